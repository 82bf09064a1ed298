//! The `hounsfield` command.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;

fn main() -> ExitCode {
    let command = cli::Cli::parse();
    command.start_logging();
    match command.run() {
        Ok(done) => done.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
