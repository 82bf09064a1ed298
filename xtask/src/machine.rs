//! What the machine must have before anything is fetched or built, and what to do where it has not.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Result, step};

/// Disk space for the dependencies, tests and lints of both builds in the dev profile, in MB: 1,600 were measured; cargo's
/// incremental builds add to it.
const BUILD: u64 = 3_000;

/// What of the disk a piece of work fills.
pub struct Need {
    what: &'static str,
    folder: PathBuf,
    megabytes: u64,
}

impl Need {
    /// `megabytes` in `folder`, which need not exist yet.
    pub fn of(what: &'static str, folder: &Path, megabytes: u64) -> Self {
        Self {
            what,
            folder: folder.to_owned(),
            megabytes,
        }
    }

    /// What the build still needs: nothing once torch-sys, its largest part, is compiled.
    pub fn build() -> Self {
        let target = step::target();
        let compiled = target.join("debug/deps").read_dir().is_ok_and(|mut files| {
            files.any(|file| {
                let name = file
                    .map(|file| file.file_name().to_string_lossy().into_owned())
                    .unwrap_or_default();
                name.starts_with("libtorch_sys-") && name.ends_with(".rlib")
            })
        });
        Self::of("the build", &target, if compiled { 0 } else { BUILD })
    }
}

/// Refuses to begin what would end with a full disk.
pub fn space(needs: &[Need]) -> Result<()> {
    let mut disks: BTreeMap<String, (u64, Vec<&Need>)> = BTreeMap::new();
    for need in needs.iter().filter(|need| need.megabytes > 0) {
        // Where df is not there or speaks otherwise, the work itself will tell.
        if let Some((mount, free)) = free(&need.folder) {
            disks.entry(mount).or_insert((free, Vec::new())).1.push(need);
        }
    }
    for (mount, (free, needs)) in disks {
        let sum = needs.iter().map(|need| need.megabytes).sum();
        if free < sum {
            let parts: Vec<_> = needs
                .iter()
                .map(|need| format!("{} for {}", gigabytes(need.megabytes), need.what))
                .collect();
            let (parts, free, sum) = (parts.join(", "), gigabytes(free), gigabytes(sum));
            let way = if needs.iter().any(|need| need.folder == step::target()) {
                "free some, or build on another disk with CARGO_TARGET_DIR"
            } else {
                "free some"
            };
            return Err(format!(
                "{free} of disk space are free, {sum} are needed ({parts}), {way}: {mount}"
            ));
        }
    }
    Ok(())
}

fn gigabytes(megabytes: u64) -> String {
    format!("{:.1} GB", megabytes as f64 / 1e3)
}

/// Where the folder's disk is mounted and how many MB of it are free, by POSIX's `df -P`.
fn free(folder: &Path) -> Option<(String, u64)> {
    let exists = folder.ancestors().find(|folder| folder.is_dir())?;
    let output = Command::new("df")
        .arg("-Pk")
        .arg(exists)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse_df(&String::from_utf8_lossy(&output.stdout))
}

/// Columns: file system, size, used, available in units of 1024 bytes, capacity, mount point.
fn parse_df(text: &str) -> Option<(String, u64)> {
    let mut words = text.lines().nth(1)?.split_whitespace().skip(3);
    let kibibytes: u64 = words.next()?.parse().ok()?;
    Some((words.nth(1)?.to_owned(), kibibytes * 1024 / 1_000_000))
}

/// The only machines that the pinned wheels run on.
pub fn platform() -> Result<()> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Ok(());
    }
    Err(format!(
        "libtorch is fetched for Linux on x86_64 with glibc only, this is {} on {}: install libtorch {} and set LIBTORCH \
         to the folder that holds include/ and lib/ (all but encoders works without: `cargo build`)",
        std::env::consts::OS,
        std::env::consts::ARCH,
        crate::setup::TORCH
    ))
}

/// torch-sys is C++ in part: what the cc crate will call must be there.
pub fn compiler() -> Result<()> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    // CXX may hold a wrapper or flags too (`ccache g++`), as the cc crate allows.
    let mut words = compiler.split_whitespace();
    let runs = Command::new(words.next().unwrap_or("c++"))
        .args(words)
        .arg("--version")
        .output();
    if runs.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let install = "install one (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++)";
    Err(format!(
        "no C++ compiler, which torch-sys needs: {install} or set CXX: {compiler}"
    ))
}

/// Waits until no other set-up of this checkout runs; the lock goes with the file or the process.
pub fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(|error| io("write", path, &error))?;
    file.lock().map_err(|error| io("lock", path, &error))?;
    Ok(file)
}

/// A sentence on a failed file operation.
pub fn io(verb: &str, path: &Path, error: &std::io::Error) -> String {
    format!("could not {verb}, {error}: {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_from_the_second_line_of_df() {
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 1000 10 2000000 16% /home\n";
        assert_eq!(parse_df(text), Some(("/home".to_owned(), 2048)));
        assert_eq!(parse_df("df: no such file"), None);
    }

    #[test]
    fn needs_on_one_disk_are_summed() {
        let most = u64::MAX / 4;
        let here = std::env::temp_dir();
        let none = [Need::of("nothing", &here, 0)];
        assert_eq!(space(&none), Ok(()));
        if free(&here).is_some() {
            let needs = [
                Need::of("one", &here, most),
                Need::of("two", &here.join("not/yet"), most),
            ];
            let message = space(&needs).unwrap_err();
            assert!(
                message.contains("for one, ") && message.contains("for two"),
                "{message}"
            );
        }
    }
}
