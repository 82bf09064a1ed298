//! `hounsfield extract`: slices to feature tables.

use std::path::PathBuf;

use super::{Done, StudyArgs, device::NetworkArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    network: NetworkArgs,
    /// Where the features go: a Parquet file for one layer, a folder for several [default: `features` in the run folder]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let mut run = args.study.open()?;
    let cohort = run.cohort()?;
    let split = match run.study.split.is_some() && run.study.cohort.positive.is_some() {
        true => Some(run.split(&cohort)?),
        false => None,
    };
    let failures = run.features(&cohort, split.as_ref(), &args.network.options())?;
    let written = match &args.out {
        Some(out) => run.copy_features(out)?,
        None => run.feature_files()?,
    };
    run.write_lock()?;
    for file in written {
        say!("features: {}", file.display());
    }
    Ok(Done::with(failures.len()))
}
