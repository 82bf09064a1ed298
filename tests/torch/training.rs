//! A command that trains in a run folder, on one thread: run, killed, looked at.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::command::{Said, Workshop, read};

/// Runs `hounsfield COMMAND recipe.toml` of a workshop.
pub fn run(shop: &Workshop, command: &str, run: &str, more: &[&str]) -> Said {
    let (recipe, run) = (shop.path("recipe.toml"), shop.path(run));
    shop.hounsfield(&arguments(
        command,
        recipe.to_str().unwrap(),
        run.to_str().unwrap(),
        more,
    ))
}

/// Starts a training and kills it as soon as the checkpoint of a step is there.
pub fn killed_at(shop: &Workshop, command: &str, run: &str, step: u64) {
    let (recipe, folder) = (shop.path("recipe.toml"), shop.path(run));
    let mut child = Command::new(env!("CARGO_BIN_EXE_hounsfield"))
        .args(arguments(
            command,
            recipe.to_str().unwrap(),
            folder.to_str().unwrap(),
            &[],
        ))
        .env("HOUNSFIELD_SALT", shop.path("salt"))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (file, started) = (checkpoint(&folder, step), Instant::now());
    while !file.exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "no checkpoint came");
        assert!(
            child.try_wait().unwrap().is_none(),
            "the training ended before its checkpoint"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The file of the checkpoint after a step.
pub fn checkpoint(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:08}.safetensors"))
}

/// The log without what a clock says.
pub fn metrics(run: &Path) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let line = |line: &str| {
        let mut values: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
        for clock in ["wall_s", "images_per_s", "scans_per_s", "seconds"] {
            values.remove(clock);
        }
        values
    };
    read(&run.join("metrics.jsonl")).lines().map(line).collect()
}

/// The command line.
pub fn arguments<'a>(command: &'a str, recipe: &'a str, run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let threads = ["--threads", "1", "--device", "cpu"];
    [&[command, recipe, "--run-dir", run], threads.as_slice(), more].concat()
}
