//! Stands in for the commands that need libtorch, in a build without it.

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the command takes where there is libtorch
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    anyhow::bail!(
        "this build has no libtorch (install with `--features torch`): {}",
        args.arguments.join(" ")
    )
}
