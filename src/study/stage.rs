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
use crate::tables::{atomic_write, hex, sha256_file};

const FILE: &str = "stages.json";

/// The stages that a run folder has finished.
#[derive(Debug)]
pub struct Stages {
    folder: PathBuf,
    done: BTreeMap<String, Done>,
    /// Files of stages that are being done again.
    forgotten: BTreeMap<String, Vec<String>>,
}

/// What a finished stage leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Done {
    key: String,
    outputs: BTreeMap<String, String>,
    /// Hash of the whole recipe when the stage was last run or found up to date.
    recipe: String,
    hounsfield: String,
    libtorch: String,
    seconds: f64,
}

/// What a run's lock file says of a stage.
#[derive(Debug, Serialize)]
pub(super) struct StageFacts<'a> {
    key: &'a str,
    hounsfield: &'a str,
    libtorch: &'a str,
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
            forgotten: BTreeMap::new(),
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
            Some(done) => {
                self.forgotten
                    .insert(stage.to_owned(), done.outputs.into_keys().collect());
                self.write()
            }
            None => Ok(()),
        }
    }

    /// Notes that a stage is up to date with another recipe, which differs in what the stage does not depend on.
    pub fn confirm(&mut self, stage: &str, recipe: &str) -> Result<(), StudyError> {
        match self.done.get_mut(stage) {
            Some(done) if done.recipe != recipe => {
                done.recipe = recipe.to_owned();
                self.write()
            }
            _ => Ok(()),
        }
    }

    /// Whether a stage was last run, or found up to date, with this recipe.
    pub fn knows(&self, stage: &str, recipe: &str) -> bool {
        self.done.get(stage).is_some_and(|done| done.recipe == recipe)
    }

    /// Marks a stage as finished; `outputs` are names of files in the run folder. Files that the stage wrote before and
    /// does not write any more, such as a layer that is not asked for, are removed.
    pub fn finish(
        &mut self,
        stage: &str,
        key: &str,
        outputs: &[String],
        recipe: &str,
        seconds: f64,
    ) -> Result<(), StudyError> {
        let before = self.forgotten.remove(stage).unwrap_or_default();
        for name in before.iter().filter(|name| !outputs.contains(name)) {
            match std::fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!("an artefact of an earlier recipe can't be removed ({error}): {name}");
                }
                _ => {}
            }
        }
        let hash = |name: &String| Ok((name.clone(), sha256_file(&self.folder.join(name))?));
        let done = Done {
            key: key.to_owned(),
            outputs: outputs.iter().map(hash).collect::<Result<_, StudyError>>()?,
            recipe: recipe.to_owned(),
            hounsfield: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: super::lock::libtorch(),
            seconds,
        };
        self.done.insert(stage.to_owned(), done);
        self.write()
    }

    /// SHA-256 of every file that these finished stages wrote.
    pub fn outputs<'a>(&self, stages: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
        let done = stages.into_iter().filter_map(|stage| self.done.get(stage));
        done.flat_map(|done| done.outputs.clone()).collect()
    }

    /// Every finished stage, for the lock file.
    pub(super) fn facts(&self) -> BTreeMap<&str, StageFacts<'_>> {
        let facts = self.done.iter().map(|(stage, done)| {
            let facts = StageFacts {
                key: &done.key,
                hounsfield: &done.hounsfield,
                libtorch: &done.libtorch,
                seconds: (done.seconds * 10.0).round() / 10.0,
            };
            (stage.as_str(), facts)
        });
        facts.collect()
    }

    /// The libtorch that a stage ran with; `none` where it did not run or needed none.
    pub fn libtorch(&self, stage: &str) -> &str {
        self.done.get(stage).map_or("none", |done| &done.libtorch)
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

    /// The key of a stage that is cheap to do again: another build of the program, even of the same version, does it
    /// again. (Size and time of the executable tell builds apart.)
    pub fn of_program(stage: &str) -> Self {
        let facts = std::env::current_exe().and_then(std::fs::metadata).ok();
        let changed = facts.as_ref().and_then(|facts| facts.modified().ok());
        let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let stamp = (facts.map(|facts| facts.len()), changed.map(|time| time.as_nanos()));
        Self::new(stage).value(&stamp)
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
        hex(&self.0.finalize())
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
        stages
            .finish("split", "k", &["split.csv".to_owned()], "recipe", 1.0)
            .unwrap();
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
