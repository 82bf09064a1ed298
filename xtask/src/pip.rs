//! Python's installer: `python3 -m pip`, or uv where there is no pip. Its failures are told apart by its own words.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use crate::Result;

/// The oldest pip that takes several `--platform`.
const OLDEST: (u32, u32) = (20, 3);

/// Who installs wheels on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pip {
    /// `python3 -m pip`
    Python,
    /// `uv tool run pip`
    Uv,
}

impl std::fmt::Display for Pip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Python => "pip",
            Self::Uv => "pip of uv",
        })
    }
}

impl Pip {
    /// Looks for pip, then for uv.
    pub fn find() -> Result<Self> {
        let answers = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
            output
                .status
                .success()
                .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let pip = answers("python3", &["-m", "pip", "--version"]);
        if pip
            .as_deref()
            .and_then(version)
            .is_some_and(|version| version >= OLDEST)
        {
            return Ok(Self::Python);
        }
        if answers("uv", &["--version"]).is_some() {
            return Ok(Self::Uv);
        }
        let otherwise = "install uv, or set LIBTORCH to a libtorch of your own";
        let packages = "Debian, Ubuntu: apt-get install python3-pip; Fedora: dnf install python3-pip";
        Err(match (pip, answers("python3", &["--version"])) {
            (Some(pip), _) => {
                let pip = pip.split_whitespace().nth(1).unwrap_or("of unknown version").to_owned();
                let (major, minor) = OLDEST;
                let upgrade = "upgrade it (python3 -m pip install --user --upgrade pip)";
                format!("pip is {pip}, {major}.{minor} or newer is needed to fetch libtorch: {upgrade}, or {otherwise}")
            }
            (None, Some(python)) => {
                let python = python.trim();
                format!("{python} has no pip, which fetches libtorch: install it ({packages}), or {otherwise}")
            }
            (None, None) => {
                format!("no python3 on the PATH, whose pip fetches libtorch: install it ({packages}), or {otherwise}")
            }
        })
    }

    /// pip's command line so far, safe from settings that contradict `--target`.
    pub fn command(self) -> Command {
        let mut command = match self {
            Self::Python => Command::new("python3"),
            Self::Uv => Command::new("uv"),
        };
        command.args(match self {
            Self::Python => ["-m", "pip"].as_slice(),
            Self::Uv => ["tool", "run", "pip"].as_slice(),
        });
        command.envs([
            ("PIP_USER", "0"),
            ("PIP_REQUIRE_VIRTUALENV", "0"),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
        ]);
        command
    }

    /// Runs pip with its words on stderr, and explains a failure.
    pub fn run(self, command: &mut Command, what: &str) -> Result<()> {
        let explain = |error: std::io::Error| format!("{self} could not be run, {error}");
        // Progress goes where logs go: stdout is for data.
        command
            .stdout(std::io::stderr())
            .stderr(Stdio::piped())
            .stdin(Stdio::null());
        let mut child = command.spawn().map_err(explain)?;
        let mut said = String::new();
        for line in BufReader::new(child.stderr.take().expect("it is piped"))
            .lines()
            .map_while(|line| line.ok())
        {
            eprintln!("{line}");
            said.push_str(&line);
            said.push('\n');
        }
        let status = child.wait().map_err(explain)?;
        if status.success() {
            Ok(())
        } else {
            Err(diagnose(what, &said))
        }
    }
}

/// `pip 23.2.1 from /usr/...` to (23, 2).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("pip ")?.split(['.', ' ']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What pip's last words mean. The first sign that is found counts: a full disk can show as a broken download.
fn diagnose(what: &str, said: &str) -> String {
    let has = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
    if has(&["No space left on device", "Disk quota exceeded"]) {
        return format!("the disk filled up while {what} was fetched: free some space and run the same command again");
    }
    let network = "connection: check the network and, behind a proxy, HTTPS_PROXY; for a mirror set PIP_INDEX_URL; \
                   then run the same command again";
    if has(&[
        "NewConnectionError",
        "ConnectTimeoutError",
        "ConnectionResetError",
        "ReadTimeoutError",
        "IncompleteRead",
        "Connection broken",
        "ProxyError",
        "SSLError",
        "Temporary failure in name resolution",
        "Name or service not known",
    ]) {
        return format!("{what} could not be fetched for want of a {network}");
    }
    if has(&["DO NOT MATCH THE HASHES"]) {
        return format!("what the package index gave as {what} is not what is pinned: do not use that index");
    }
    if has(&["No matching distribution found"]) {
        return format!(
            "the package index does not have {what} in the pinned versions: look at PIP_INDEX_URL, PIP_NO_INDEX and \
             pip's configuration"
        );
    }
    format!("{what} could not be fetched: pip's own words stand above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_pip_are_compared_as_numbers() {
        assert_eq!(version("pip 20.0.2 from /usr/lib (python 3.8)\n"), Some((20, 0)));
        assert!(version("pip 9.0.1 from /usr/lib").is_some_and(|version| version < OLDEST));
        assert!(version("pip 26.1 from /usr/lib").is_some_and(|version| version >= OLDEST));
        assert_eq!(version("no module named pip"), None);
    }

    #[test]
    fn a_full_disk_is_told_from_a_missing_network() {
        let full = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device";
        assert!(diagnose("libtorch", full).contains("disk filled up"));
        let offline = "NewConnectionError('Failed to establish')\nERROR: No matching distribution found for torch";
        assert!(diagnose("libtorch", offline).contains("network"));
        assert!(diagnose("libtorch", "ERROR: No matching distribution found").contains("PIP_NO_INDEX"));
    }
}
