//! `hounsfield explain`: what the features of a finished study look like.

use super::{Done, StudyArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// Where a generator runs, if the encoder has one: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is any
    #[arg(long, default_value = "auto")]
    device: String,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let mut run = args.study.open()?;
    let explained = run.explain(&args.device)?;
    run.write_lock()?;
    for line in &explained.lines {
        say!("{line}");
    }
    for file in &explained.files {
        say!("{}", file.display());
    }
    Ok(Done::with(explained.unreadable))
}
