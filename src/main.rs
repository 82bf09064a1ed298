//! The `hounsfield` command.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;

/// The error and its causes on one line, without causes that the message before them already says.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn main() -> ExitCode {
    #[cfg(unix)]
    // SAFETY: restores the default, which Rust's start-up changed: `hounsfield ... | head` ends quietly.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
    let command = cli::Cli::parse();
    command.start_logging();
    match command.run() {
        Ok(done) => done.into(),
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(2)
        }
    }
}
