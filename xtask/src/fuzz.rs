//! The readers against damaged files: seeds from the repository and the data folder, all targets for so many seconds each.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use crate::{Result, machine, step};

/// A target of fuzz/ and the files that it starts from, by how their names end.
struct Target {
    name: &'static str,
    ends: &'static [&'static str],
}

const TARGETS: [Target; 5] = [
    Target {
        name: "archive",
        ends: &[".zip", ".tar", ".tgz"],
    },
    Target {
        name: "codecs",
        ends: &[".jpg", ".jls", ".j2k", ".jp2", ".rle"],
    },
    Target {
        name: "dicom",
        ends: &[".dcm"],
    },
    Target {
        name: "image",
        ends: &[".png", ".jpg", ".tif"],
    },
    Target {
        name: "nifti",
        ends: &[".nii", ".nii.gz", ".npy"],
    },
];

/// The longest file that is tried, in bytes; longer seeds are cut off there. See `MOST` in fuzz/src/lib.rs.
const LONGEST: usize = 64 << 10;

/// Of one folder the shortest so many files become seeds: the data folder has thousands of one kind.
const SEEDS: usize = 60;

/// Seconds for one file.
const TIMEOUT: u32 = 20;

/// Builds the targets and runs each for so many seconds, as many at a time as there are processors.
pub fn run(seconds: u32) -> Result<()> {
    let fuzz = step::root().join("fuzz");
    let cargo = |args: &[&str]| {
        let mut cargo = step::cargo(&[&["fuzz"], args].concat());
        // `ring` would be compiled again, and all that rests on it, because xtask's own cargo has set this.
        cargo.current_dir(&fuzz).env_remove("CARGO_MANIFEST_DIR");
        cargo
    };
    let known = cargo(&["--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !known.is_ok_and(|status| status.success()) {
        return Err("no cargo-fuzz here, `cargo install cargo-fuzz` builds it".to_owned());
    }
    for target in &TARGETS {
        let n = seed(target, &fuzz.join("corpus").join(target.name))?;
        eprintln!("[fuzz] {}: {n} seeds", target.name);
    }
    // Without a sanitizer, which needs a nightly compiler: the readers are safe Rust, and memory is counted by the targets.
    step::run("fuzz targets", &mut cargo(&["build", "--sanitizer", "none"]))?;
    let left = Mutex::new(TARGETS.iter().collect::<Vec<_>>());
    let lines = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(target) = { left.lock().expect("no thread panics").pop() } {
                    let mut command = cargo(&["run", "--sanitizer", "none", target.name, "--"]);
                    command.args([
                        format!("-max_total_time={seconds}"),
                        format!("-max_len={LONGEST}"),
                        format!("-timeout={TIMEOUT}"),
                        "-print_final_stats=1".to_owned(),
                    ]);
                    let line = told(target.name, &mut command, &fuzz);
                    eprintln!("[fuzz] {}: {}", target.name, line.as_ref().unwrap_or_else(|why| why));
                    lines.lock().expect("no thread panics").push(line);
                }
            });
        }
    });
    let lines = lines.into_inner().expect("no thread panics");
    match lines.iter().filter(|line| line.is_err()).count() {
        0 => Ok(()),
        n => Err(format!(
            "{n} of {} targets failed; the files lie in fuzz/artifacts",
            lines.len()
        )),
    }
}

/// Runs a target and gives what it did in a line; an error where it failed.
fn told(name: &str, command: &mut Command, fuzz: &Path) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo-fuzz could not start: {error}"))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let path = fuzz.join("artifacts").join(format!("{name}.log"));
    fs::create_dir_all(fuzz.join("artifacts"))
        .and_then(|()| fs::write(&path, &log))
        .map_err(|error| machine::io("write", &path, &error))?;
    let last = |key: &str| {
        let tail = log.rsplit_once(key).map_or("?", |(_, tail)| tail);
        tail.split_whitespace().next().unwrap_or("?").to_owned()
    };
    let caught = log.lines().filter(|line| line.starts_with("panic at ")).count();
    let line = format!(
        "{} files, {} places of code, {} MB; panics caught at {caught} places",
        last("stat::number_of_executed_units:"),
        last(" cov: "),
        last("stat::peak_rss_mb:")
    );
    match output.status.success() {
        true => Ok(line),
        false => Err(format!("failed ({}), see {}: {line}", output.status, path.display())),
    }
}

/// Copies files of the target's kind into its corpus, and gives how many are there.
fn seed(target: &Target, corpus: &Path) -> Result<usize> {
    fs::create_dir_all(corpus).map_err(|error| machine::io("create", corpus, &error))?;
    let mut folders = vec![step::root().join("tests/oracles")];
    folders.extend(std::env::var_os("HOUNSFIELD_DATA").map(PathBuf::from));
    let mut copied = 0;
    while let Some(folder) = folders.pop() {
        let mut files = Vec::new();
        let entries = folder
            .read_dir()
            .map_err(|error| machine::io("list", &folder, &error))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
        let fits = |path: &Path| {
            let name = path.to_string_lossy().to_ascii_lowercase();
            target.ends.iter().any(|end| name.ends_with(end))
        };
        let length = |path: PathBuf| Some((path.metadata().ok()?.len(), path));
        let mut files: Vec<(u64, PathBuf)> = files.into_iter().filter(|path| fits(path)).filter_map(length).collect();
        files.sort();
        for (_, path) in files.into_iter().take(SEEDS) {
            let mut bytes = fs::read(&path).map_err(|error| machine::io("read", &path, &error))?;
            bytes.truncate(LONGEST);
            if target.name == "codecs" {
                bytes.splice(0..0, frame(&path));
            }
            let seed = corpus.join(format!("seed-{copied}"));
            fs::write(&seed, bytes).map_err(|error| machine::io("write", &seed, &error))?;
            copied += 1;
        }
    }
    Ok(copied)
}

/// What the codecs' target wants before a stream: the codec, and the frame that the streams of the repository hold.
fn frame(path: &Path) -> [u8; 6] {
    // Numbers in `CODECS`.
    let codec = match path.extension().and_then(|end| end.to_str()) {
        Some("jls") => 4,
        Some("j2k" | "jp2") => 6,
        Some("rle") => 8,
        _ => 2,
    };
    let (rows, columns, bits_stored, signed, sixteen) = (46, 53, 16, 0, 1);
    [codec, rows - 1, columns - 1, bits_stored - 1, signed, sixteen]
}
