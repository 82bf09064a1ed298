//! Stages that are skipped when nothing they depend on has changed.
//!
//! `stages.json` in the run folder keeps, for each finished stage, a key (the hash of all that went in) and the SHA-256 of
//! each file that came out. A stage is skipped when its key is the same and its files are still what it wrote.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::StudyError;
use crate::tables::{atomic_write, sha256_file};

const FILE: &str = "stages.json";

/// The stages that a run folder has finished.
#[derive(Debug)]
pub struct Stages {
    folder: PathBuf,
    done: BTreeMap<String, Done>,
}

/// What a finished stage leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Done {
    key: String,
    outputs: BTreeMap<String, String>,
    seconds: f64,
}

impl Stages {
    /// The finished stages of a run folder; none where it is new. A `stages.json` that can't be read counts as none: the
    /// stages are then done again.
    pub fn open(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        Self {
            folder: folder.to_owned(),
            done: serde_json::from_str(&text).unwrap_or_default(),
        }
    }

    /// Whether a stage was finished with this key and its files are still what it wrote.
    pub fn is_done(&self, stage: &str, key: &str) -> bool {
        let intact =
            |(name, hash): (&String, &String)| sha256_file(&self.folder.join(name)).is_ok_and(|now| now == *hash);
        self.done
            .get(stage)
            .is_some_and(|done| done.key == key && done.outputs.iter().all(intact))
    }

    /// Forgets a stage before it is done again, so that a run that is cut off leaves no stage marked as finished.
    pub fn forget(&mut self, stage: &str) -> Result<(), StudyError> {
        match self.done.remove(stage) {
            Some(_) => self.write(),
            None => Ok(()),
        }
    }

    /// Marks a stage as finished; `outputs` are names of files in the run folder.
    pub fn finish(&mut self, stage: &str, key: &str, outputs: &[String], seconds: f64) -> Result<(), StudyError> {
        let hash = |name: &String| Ok((name.clone(), sha256_file(&self.folder.join(name))?));
        let done = Done {
            key: key.to_owned(),
            outputs: outputs.iter().map(hash).collect::<Result<_, StudyError>>()?,
            seconds,
        };
        self.done.insert(stage.to_owned(), done);
        self.write()
    }

    /// SHA-256 of every file that the finished stages wrote.
    pub fn outputs(&self) -> BTreeMap<String, String> {
        self.done.values().flat_map(|done| done.outputs.clone()).collect()
    }

    /// Seconds that each finished stage took when it last ran.
    pub fn seconds(&self) -> BTreeMap<String, f64> {
        self.done
            .iter()
            .map(|(stage, done)| (stage.clone(), (done.seconds * 10.0).round() / 10.0))
            .collect()
    }

    fn write(&self) -> Result<(), StudyError> {
        let text = serde_json::to_string_pretty(&self.done).expect("strings and numbers");
        Ok(atomic_write(&self.folder.join(FILE), |file| {
            file.write_all(text.as_bytes())
        })?)
    }
}

/// The hash of all that goes into a stage, fed piece by piece.
#[derive(Debug, Clone)]
pub struct Key(Sha256);

impl Key {
    /// The key of a stage. The program's version goes in: another version may compute something else.
    pub fn new(stage: &str) -> Self {
        Self(Sha256::new()).text(stage).text(env!("CARGO_PKG_VERSION"))
    }

    /// Adds a text, with its length, so that no two lists of texts run together.
    pub fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    /// Adds anything that has a canonical form.
    pub fn value(self, value: &impl Serialize) -> Self {
        self.text(&serde_json::to_string(value).expect("recipes have string keys"))
    }

    /// The finished key, 64 hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_done_until_its_key_or_its_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("split.csv"), "a").unwrap();
        let mut stages = Stages::open(folder.path());
        assert!(!stages.is_done("split", "k"));
        stages.finish("split", "k", &["split.csv".to_owned()], 1.0).unwrap();
        let stages = Stages::open(folder.path());
        assert!(stages.is_done("split", "k"));
        assert!(!stages.is_done("split", "other"));
        std::fs::write(folder.path().join("split.csv"), "b").unwrap();
        assert!(!stages.is_done("split", "k"));
    }

    #[test]
    fn texts_do_not_run_together_in_a_key() {
        assert_ne!(
            Key::new("s").text("ab").text("c").finish(),
            Key::new("s").text("a").text("bc").finish()
        );
    }
}
