//! All tests. The one that the user looks at last, the whole crate's, runs last.

use crate::{Result, notebook, rules, setup, step};

/// Rules, both builds' tests, the demo and the notebook.
pub fn all() -> Result<()> {
    before()?;
    notebook::run()?;
    after()
}

/// The same without demo and notebook.
pub fn quick() -> Result<()> {
    before()?;
    after()
}

fn before() -> Result<()> {
    setup::libtorch(setup::Device::Cpu)?;
    rules::all()?;
    step::run(
        "tests without torch",
        &mut step::without_libtorch(&["test", "--locked", "--workspace"]),
    )
}

/// Nothing is printed after this: the output closes on the test runner's own summary.
fn after() -> Result<()> {
    step::run(
        "tests with torch",
        &mut step::cargo(&["test", "--locked", "--features", "torch"]),
    )
}
