//! `hounsfield probe`: fits heads and measures them.

use std::path::PathBuf;

use super::{Done, StudyArgs, device::NetworkArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    network: NetworkArgs,
    /// Also save the fitted heads in this folder, for `hounsfield predict`
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    /// Also permute the labels by patient so many times, fit all again each time, and print what that finds: overrides
    /// `probe.null`
    #[arg(long, value_name = "TIMES")]
    null: Option<usize>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let mut study = args.study.clone();
    study
        .overrides
        .extend(args.null.map(|times| format!("probe.null={times}")));
    let mut run = study.open()?;
    let cohort = run.cohort()?;
    let split = run.split(&cohort)?;
    let failures = run.features(&cohort, Some(&split), &args.network.options())?;
    run.probe(&cohort, &split, &failures)?;
    if let Some(folder) = &args.save {
        for file in run.copy_models(folder)? {
            say!("model: {}", file.display());
        }
    }
    run.write_lock()?;
    say!("{}", run.results_table()?);
    Ok(Done::with(failures.len()))
}
