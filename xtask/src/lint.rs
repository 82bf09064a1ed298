//! All that can be checked without libtorch: format, clippy, docs, and the rules of the house.

use crate::{Result, rules, step};

/// tch with its documentation only: our torch code is type-checked against it where there is no libtorch.
const DOC_ONLY: &str = "torch,tch/doc-only";

/// Cheap first.
pub fn all() -> Result<()> {
    rules::all()?;
    step::run("format", &mut step::cargo(&["fmt", "--all", "--check"]))?;
    let deny = ["--", "-D", "warnings"];
    let clippy = ["clippy", "--locked", "--all-targets"];
    step::run(
        "clippy",
        &mut step::without_libtorch(&[&clippy, ["--workspace"].as_slice(), &deny].concat()),
    )?;
    step::run(
        "clippy with torch",
        &mut step::without_libtorch(&[&clippy, ["--features", DOC_ONLY].as_slice(), &deny].concat()),
    )?;
    let doc = ["doc", "--locked", "--no-deps"];
    step::run("docs", step::without_libtorch(&doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    let doc = [doc.as_slice(), &["--features", DOC_ONLY]].concat();
    step::run(
        "docs with torch",
        step::without_libtorch(&doc).env("RUSTDOCFLAGS", "-D warnings"),
    )
}
