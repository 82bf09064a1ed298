//! `run.lock.toml`: all that is needed to say what a run was, and to do it again.

use std::{collections::BTreeMap, io::Write as _};

use serde::Serialize;

use super::{StudyError, StudyRun};
use crate::{recipe::Study, tables::atomic_write};

/// The file in the run folder.
pub const FILE: &str = "run.lock.toml";

#[derive(Serialize)]
struct Lock<'a> {
    hounsfield: &'static str,
    commit: &'static str,
    libtorch: String,
    target: String,
    stage_keys: BTreeMap<&'static str, &'a str>,
    stage_seconds: BTreeMap<String, f64>,
    sha256: BTreeMap<String, String>,
    recipe: &'a Study,
}

impl StudyRun {
    /// Writes the resolved recipe (all defaults filled in), versions, keys and the SHA-256 of every artefact.
    ///
    /// # Errors
    ///
    /// A run folder that can't be written to.
    pub fn write_lock(&self) -> Result<(), StudyError> {
        let lock = Lock {
            hounsfield: env!("CARGO_PKG_VERSION"),
            commit: commit(),
            libtorch: libtorch(),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            stage_keys: self.keys.iter().map(|(stage, key)| (*stage, key.as_str())).collect(),
            stage_seconds: self.stages.seconds(),
            sha256: self.stages.outputs(),
            recipe: &self.study,
        };
        let text = toml::to_string(&lock).expect("a recipe that was read can be written");
        let text = format!("# What this run was. Written by the program; not read back.\n\n{text}");
        Ok(atomic_write(&self.folder.join(FILE), |file| {
            file.write_all(text.as_bytes())
        })?)
    }
}

/// The commit that the program was built from, where it was built in a clone.
pub(super) fn commit() -> &'static str {
    option_env!("HOUNSFIELD_COMMIT").unwrap_or("unknown")
}

/// The libtorch in use.
pub(super) fn libtorch() -> String {
    #[cfg(feature = "torch")]
    return crate::torch::ffi::torch_version();
    #[cfg(not(feature = "torch"))]
    "none".to_owned()
}
