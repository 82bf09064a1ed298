//! Whether a checkpoint is of the training that wants to go on from it.

use std::path::PathBuf;

use serde_json::Value;

use super::Checkpoint;
use crate::torch::TorchError;

/// Why a checkpoint is not gone on from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtherTraining {
    /// Another recipe.
    #[error(
        "the checkpoint in the run folder is of another recipe: {keys} changed; put it back, or start anew with another \
         `--run-dir` (or `--restart`, which removes the checkpoints): {path:?}"
    )]
    Recipe {
        /// The keys that differ, with both values.
        keys: String,
        /// The checkpoint.
        path: PathBuf,
    },
    /// Other weights at the start than there were.
    #[error(
        "this training began from weights of SHA-256 {began}, and what the recipe names has {found} now: put the file back, or name \
         the commit in the address; or start anew with another `--run-dir` or `--restart`: {path:?}"
    )]
    Start {
        /// SHA-256 of what is there.
        found: String,
        /// SHA-256 of what the training began from.
        began: String,
        /// The checkpoint.
        path: PathBuf,
    },
    /// Other images.
    #[error(
        "the checkpoint in the run folder was trained on other {what} (a file of the cohort has changed, come or gone); put \
         them back, or start anew with another `--run-dir` or `--restart`: {path:?}"
    )]
    Data {
        /// `slices` or `scans`.
        what: &'static str,
        /// The checkpoint.
        path: PathBuf,
    },
}

impl Checkpoint {
    /// Refuses to be gone on from by another training, naming what differs. `recipe` has all its defaults; `data` is a hash of the images,
    /// which are called `what`.
    ///
    /// # Errors
    ///
    /// [`OtherTraining`].
    pub fn check_same(&self, recipe: &Value, data: &str, what: &'static str) -> Result<(), OtherTraining> {
        self.check_recipe(recipe)?;
        match self.stamp.data == data {
            true => Ok(()),
            false => Err(OtherTraining::Data {
                what,
                path: self.path.clone(),
            }),
        }
    }

    /// The first half of [`Self::check_same`], which needs no images.
    ///
    /// # Errors
    ///
    /// [`OtherTraining::Recipe`].
    pub fn check_recipe(&self, recipe: &Value) -> Result<(), OtherTraining> {
        let mut keys = Vec::new();
        differences("", &self.stamp.recipe, recipe, &mut keys);
        match keys.is_empty() {
            true => Ok(()),
            false => Err(OtherTraining::Recipe {
                keys: keys.join(", "),
                path: self.path.clone(),
            }),
        }
    }

    /// Refuses to be gone on from where the weights at the start are others by now: a branch on the hub moves, a file is replaced. The
    /// card would name weights that the training never saw.
    ///
    /// # Errors
    ///
    /// [`OtherTraining::Start`].
    pub fn check_start(&self, began: Option<&str>, found: Option<&str>) -> Result<(), OtherTraining> {
        match (began, found) {
            (Some(began), Some(found)) if began != found => Err(OtherTraining::Start {
                found: found.to_owned(),
                began: began.to_owned(),
                path: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// What the run itself wanted to keep.
    ///
    /// # Errors
    ///
    /// Notes of another form, e.g. those of an older program.
    pub fn notes<N: serde::de::DeserializeOwned>(&self) -> Result<N, TorchError> {
        serde_json::from_value(self.stamp.notes.clone()).map_err(|_| TorchError::Checkpoint {
            why: "does not say how far its training had come".to_owned(),
            path: self.path.clone(),
        })
    }
}

/// Paths of keys whose values differ, with both.
fn differences(at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let at = if at.is_empty() {
                key.clone()
            } else {
                format!("{at}.{key}")
            };
            let null = Value::Null;
            differences(&at, old.get(key).unwrap_or(&null), new.get(key).unwrap_or(&null), found);
        }
    } else if old != new {
        found.push(format!("`{at}` (was {old}, is {new})"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_recipe_is_told_by_its_keys() {
        let (old, new) = (
            serde_json::json!({"train": {"steps": 10, "batch": 4}, "seed": 0}),
            serde_json::json!({"train": {"steps": 20, "batch": 4}, "seed": 0, "augment": 1}),
        );
        let mut keys = Vec::new();
        differences("", &old, &new, &mut keys);
        assert_eq!(keys, ["`augment` (was null, is 1)", "`train.steps` (was 10, is 20)"]);
    }
}
