//! `hounsfield report`: renders the report again.

use std::path::PathBuf;

use anyhow::Context as _;
use hounsfield::study::REPORT_FILE;

use super::{Done, StudyArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// Also write the report here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let mut run = args.study.open()?;
    say!("{}", run.report()?);
    let mut report = run.folder.join(REPORT_FILE);
    if let Some(out) = &args.out {
        std::fs::copy(&report, out).with_context(|| format!("write the report: {out:?}"))?;
        report = out.clone();
    }
    say!("report: {}", report.display());
    Ok(Done::Whole)
}
