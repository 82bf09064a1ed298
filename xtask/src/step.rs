//! Running commands: what is run stands on stderr, and a failure names its step.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use crate::Result;

/// The folder of the checkout.
pub fn root() -> PathBuf {
    // Cargo sets the variable at run time too; the built-in value is that of the place where this was compiled.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest)
        .parent()
        .expect("xtask/ lies in the checkout")
        .to_owned()
}

/// The folder that cargo builds into, wherever the user put it: this program lies in `<target>/debug/`.
pub fn target() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let target = exe.parent().and_then(Path::parent);
    target.map_or_else(|| root().join("target"), Path::to_owned)
}

/// `cargo <args>` in the checkout, by the cargo that runs this.
pub fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(args);
    if crate::setup::given_libtorch().is_none() {
        // `cargo run` has handed us its own [env]. Without it the child sees what a plain `cargo` in a shell would
        // see, and torch-sys is not compiled again because a variable came or went.
        cargo.env_remove("LIBTORCH");
    }
    cargo
}

/// `cargo <args>` that would fail if it looked for a libtorch.
pub fn without_libtorch(args: &[&str]) -> Command {
    let mut cargo = cargo(args);
    cargo.env("LIBTORCH", root().join("no/libtorch"));
    cargo
}

/// Runs the step; anything but success is an error that names it.
pub fn run(name: &str, command: &mut Command) -> Result<()> {
    let status = status(name, command)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the step \"{name}\" failed ({status})"))
    }
}

/// Runs the step and gives its exit status.
pub fn status(name: &str, command: &mut Command) -> Result<ExitStatus> {
    eprintln!("[{name}] {}", words(command));
    let status = command.status();
    status.map_err(|error| format!("the step \"{name}\" could not start, {error}: {}", words(command)))
}

/// The command as one would type it.
fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    let words: Vec<_> = std::iter::once(program.to_string_lossy()).chain(args).collect();
    words.join(" ")
}
