//! `hounsfield run`: a whole study.

use super::{Done, StudyArgs, device::NetworkArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let outcome = args.study.open()?.run(&args.network.options())?;
    say!("{}", outcome.table);
    say!("report: {}", outcome.report.display());
    Ok(Done::with(outcome.failures))
}
