//! Checkpoints: one file holds everything that a later process needs to go on, and is there whole or not at all.
//!
//! A file is a safetensors file whose metadata holds the step, the recipe and a SHA-256 of the tensors, so that a torn or
//! foreign file is told from a whole one. Random numbers have no state of their own: each draw has a stream that is named by
//! its purpose and its step.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::super::{
    TorchError,
    weights::{self, WeightMap},
};

/// The word by which a checkpoint is known.
const FORMAT: &str = "hounsfield checkpoint 1";

/// Which checkpoint is the best, beside them.
const BEST: &str = "best.json";

/// What is known of a checkpoint besides its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Steps that were made.
    pub step: u64,
    /// The recipe with all its defaults, as JSON, or what of it decides the weights; what differs from it is not the same training.
    pub recipe: serde_json::Value,
    /// A hash of the slices.
    pub data: String,
    /// What the run itself wants to keep: running numbers of the log, looks without a better one, ...
    pub notes: serde_json::Value,
}

/// A checkpoint that was found to be whole.
#[derive(Debug)]
pub struct Checkpoint {
    /// What is known of it.
    pub stamp: Stamp,
    /// Its tensors.
    pub state: WeightMap,
    /// Its file.
    pub path: PathBuf,
}

/// The best look so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestMark {
    /// The step of the look.
    pub step: u64,
    /// What it is the best by.
    pub metric: String,
    /// Its number.
    pub value: f64,
}

/// The checkpoints of one training, in a folder of their own.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// The folder, made where it is missing; `keep` of the last checkpoints stay, and the best. What a process left that was killed
    /// while it wrote is removed: the run folder is held, so that no other process writes here.
    ///
    /// # Errors
    ///
    /// A folder that can't be made.
    pub fn open(folder: &Path, keep: usize) -> Result<Self, TorchError> {
        std::fs::create_dir_all(folder).map_err(|source| TorchError::Io {
            verb: "written",
            source,
            path: folder.to_owned(),
        })?;
        let checkpoints = Self {
            folder: folder.to_owned(),
            keep,
        };
        checkpoints.sweep()?;
        Ok(checkpoints)
    }

    /// Writes a checkpoint, then removes those that are too many.
    ///
    /// # Errors
    ///
    /// A disk that is full; then the checkpoints before are as they were.
    pub fn save(&self, stamp: &Stamp, state: &WeightMap) -> Result<PathBuf, TorchError> {
        let path = self.path(stamp.step);
        let metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("stamp".to_owned(), serde_json::to_string(stamp).expect("plain values")),
            ("sha256".to_owned(), weights::content_hash(state)),
        ]);
        weights::save_with(state, Some(metadata), &path)?;
        self.prune()?;
        Ok(path)
    }

    /// The newest checkpoint that is whole. Those that are not are passed over with a warning.
    ///
    /// # Errors
    ///
    /// A folder that can't be read.
    pub fn latest(&self) -> Result<Option<Checkpoint>, TorchError> {
        for (_, path) in self.files()?.into_iter().rev() {
            match Self::read(&path) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) => tracing::warn!("{error}; the checkpoint before it is used"),
            }
        }
        Ok(None)
    }

    /// The checkpoint of a step.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn at(&self, step: u64) -> Result<Checkpoint, TorchError> {
        Self::read(&self.path(step))
    }

    /// Reads and checks one checkpoint.
    ///
    /// # Errors
    ///
    /// A file that is torn, changed, or none of ours.
    pub fn read(path: &Path) -> Result<Checkpoint, TorchError> {
        let broken = |why: &str| TorchError::Checkpoint {
            why: why.to_owned(),
            path: path.to_owned(),
        };
        let (state, metadata) = weights::read_with_metadata(path)?;
        if metadata.get("format").is_none_or(|format| format != FORMAT) {
            return Err(broken("is none of this program's"));
        }
        let stamp = metadata.get("stamp").and_then(|text| serde_json::from_str(text).ok());
        let stamp = stamp.ok_or_else(|| broken("does not say of what training it is"))?;
        if metadata.get("sha256") != Some(&weights::content_hash(&state)) {
            return Err(broken("is damaged: its tensors are not those that were written"));
        }
        Ok(Checkpoint {
            stamp,
            state,
            path: path.to_owned(),
        })
    }

    /// Marks a step as the best: its checkpoint is kept whatever comes after.
    ///
    /// # Errors
    ///
    /// A folder that can't be written to.
    pub fn mark_best(&self, best: &BestMark) -> Result<(), TorchError> {
        let text = serde_json::to_string(best).expect("plain values");
        weights::write_whole(text.as_bytes(), &self.folder.join(BEST)).map_err(|source| TorchError::Io {
            verb: "written",
            source,
            path: self.folder.join(BEST),
        })
    }

    /// The best so far.
    pub fn best(&self) -> Option<BestMark> {
        let text = std::fs::read_to_string(self.folder.join(BEST)).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:08}.safetensors"))
    }

    /// Removes unfinished files, each as large as a checkpoint.
    fn sweep(&self) -> Result<(), TorchError> {
        for path in self.entries()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if weights::is_unfinished(&name)
                && let Err(error) = std::fs::remove_file(&path)
            {
                tracing::warn!("what a killed process left can't be removed ({error}): {path:?}");
            }
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<PathBuf>, TorchError> {
        let entries = std::fs::read_dir(&self.folder).and_then(|entries| {
            let paths = entries.map(|entry| Ok(entry?.path()));
            paths.collect::<std::io::Result<Vec<PathBuf>>>()
        });
        entries.map_err(|source| TorchError::Io {
            verb: "read",
            source,
            path: self.folder.clone(),
        })
    }

    /// Steps and files, the oldest first.
    fn files(&self) -> Result<BTreeMap<u64, PathBuf>, TorchError> {
        let mut files = BTreeMap::new();
        for path in self.entries()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let step = name
                .strip_prefix("step-")
                .and_then(|rest| rest.strip_suffix(".safetensors"));
            if let Some(step) = step.and_then(|digits| digits.parse().ok()) {
                files.insert(step, path);
            }
        }
        Ok(files)
    }

    fn prune(&self) -> Result<(), TorchError> {
        let best = self.best().map(|best| best.step);
        let files = self.files()?;
        let spare = files.len().saturating_sub(self.keep);
        for (step, path) in files.into_iter().take(spare) {
            if Some(step) != best
                && let Err(error) = std::fs::remove_file(&path)
            {
                tracing::warn!("an old checkpoint can't be removed ({error}): {path:?}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [".weights-abc123.part", "step-00000003.safetensors", "notes.part"] {
            std::fs::write(path(name), "").unwrap();
        }
        Checkpoints::open(folder.path(), 2).unwrap();
        assert!(!path(".weights-abc123.part").exists());
        assert!(path("step-00000003.safetensors").exists() && path("notes.part").exists());
    }
}
