//! `cargo xtask`: set-up, demo and tests of hounsfield, one command each; after matklad's cargo-xtask.

mod fuzz;
mod lint;
mod machine;
mod notebook;
mod pip;
mod rules;
mod setup;
mod step;
mod test;

use std::process::ExitCode;

/// What went wrong, in a sentence that says what to do.
type Result<T, E = String> = std::result::Result<T, E>;

const HELP: &str = "\
Sets up, runs and checks hounsfield

Usage: cargo xtask <COMMAND>

Commands:
  setup [--cuda]   Put the pinned libtorch into .torch/ (1.2 GB; with --cuda what a GPU needs too: 5 GB)
  demo [ARGS]      Set up, then run the demo study; further arguments go to `hounsfield demo`
  test [--quick]   Set up, then run all tests, the demo and the notebook; --quick leaves out the last two
  lint             Check format, clippy, docs and the rules of the house, without libtorch
  fuzz [SECONDS]   Run the readers against damaged files, each target for so long (600); needs cargo-fuzz
  notebook         Run the demo and execute the notebook on what it wrote, into the target folder
  help             Print this

A second run sets nothing up again. Where LIBTORCH is set in the environment, that libtorch is used and none is
fetched.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut words = args.iter().map(String::as_str);
    let command = words.next().unwrap_or("help");
    let rest: Vec<&str> = words.collect();
    match run(command, &rest) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("[{command}] error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, args: &[&str]) -> Result<ExitCode> {
    match (command, args) {
        ("setup", []) => setup::libtorch(setup::Device::Cpu)?,
        ("setup", ["--cuda"]) => setup::libtorch(setup::Device::Cuda)?,
        ("demo", args) => return demo(args.strip_prefix(&["--"]).unwrap_or(args)),
        ("test", []) => test::all()?,
        ("test", ["--quick"]) => test::quick()?,
        ("lint", []) => lint::all()?,
        ("fuzz", []) => fuzz::run(600)?,
        ("fuzz", [seconds]) => {
            let wrong = |_| format!("not a number of seconds: {seconds}");
            fuzz::run(seconds.parse().map_err(wrong)?)?;
        }
        ("notebook", []) => {
            setup::libtorch(setup::Device::Cpu)?;
            notebook::run()?;
        }
        ("help" | "--help" | "-h", _) => println!("{HELP}"),
        ("setup" | "test" | "lint" | "notebook" | "fuzz", _) => {
            return Err(format!(
                "unexpected arguments, see `cargo xtask help`: {}",
                args.join(" ")
            ));
        }
        _ => return Err(format!("no such command, see `cargo xtask help`: {command}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the demo study and ends as it ends.
fn demo(args: &[&str]) -> Result<ExitCode> {
    setup::libtorch(setup::Device::Cpu)?;
    // The profile and features of the tests, so that dependencies are compiled once for both.
    let mut cargo = step::cargo(&["run", "--locked", "--features", "torch", "--", "demo"]);
    cargo.args(args);
    let status = step::status("demo", &mut cargo)?;
    let code = status
        .code()
        .ok_or_else(|| format!("the demo was ended by a signal ({status})"))?;
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}
