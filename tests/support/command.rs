//! The `hounsfield` command as a test runs it: in another folder than the study's, with a salt of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What a command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A folder with `study.toml`; its run folder is `runs/study`.
pub struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    pub fn new(recipe: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shop = Self { folder };
        shop.write("study.toml", recipe);
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn hounsfield(&self, arguments: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_hounsfield"))
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .env("HOUNSFIELD_SALT", self.path("salt"))
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `hounsfield run study.toml` with further arguments.
    pub fn run(&self, more: &[&str]) -> Said {
        let study = self.path("study.toml");
        self.hounsfield(&[&["run", study.to_str().unwrap()], more].concat())
    }

    /// An artefact of the run.
    pub fn artefact(&self, name: &str) -> PathBuf {
        self.path("runs/study").join(name)
    }

    /// The text of an artefact.
    pub fn text(&self, name: &str) -> String {
        read(&self.artefact(name))
    }
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{error}: {}", path.display()))
}
