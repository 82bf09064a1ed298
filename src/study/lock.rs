//! `run.lock.toml`: all that is needed to say what a run was, and to do it again.

use std::{collections::BTreeMap, io::Write as _};

use serde::Serialize;

use super::{STAGES, StudyError, StudyRun, stage::StageFacts};
use crate::{
    encoder::Weights,
    recipe::{FetchedFrom, Study},
    tables::atomic_write,
};

/// The file in the run folder.
pub const FILE: &str = "run.lock.toml";

#[derive(Serialize)]
struct Lock<'a> {
    hounsfield: &'static str,
    target: String,
    seed: u64,
    /// What was read, by the key that names it.
    inputs_sha256: BTreeMap<&'static str, String>,
    /// What came from the hub: its commits are what a branch was when the run was made.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fetched: &'a [FetchedFrom],
    outputs_sha256: BTreeMap<String, String>,
    stages: BTreeMap<&'a str, StageFacts<'a>>,
    recipe: &'a Study,
}

impl StudyRun {
    /// Writes the resolved recipe (all defaults filled in), versions, the key of every finished stage, and the SHA-256 of
    /// what was read and written.
    ///
    /// # Errors
    ///
    /// A run folder that can't be written to.
    pub fn write_lock(&self) -> Result<(), StudyError> {
        let study = &self.study;
        let weights = match study.encoder.as_ref().map(|encoder| encoder.weights()) {
            Some(Weights::File(path)) => Some(path),
            _ => None,
        };
        let inputs = [
            ("cohort.table", study.cohort.table.as_ref()),
            ("features.table", study.features.table.as_ref()),
            ("encoder.weights", weights),
        ];
        let hash = |(name, path): (&'static str, Option<&std::path::PathBuf>)| {
            path.map(|path| Ok((name, super::sha256_path(path)?)))
        };
        let lock = Lock {
            hounsfield: env!("CARGO_PKG_VERSION"),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            seed: study.seed,
            inputs_sha256: inputs.into_iter().filter_map(hash).collect::<Result<_, StudyError>>()?,
            fetched: &study.fetched,
            outputs_sha256: self.stages.outputs(STAGES),
            stages: self.stages.facts(),
            recipe: study,
        };
        let text = toml::to_string(&lock).expect("a recipe that was read can be written");
        let text = format!("# What this run was. Written by the program; not read back.\n\n{text}");
        Ok(atomic_write(&self.folder.join(FILE), |file| {
            file.write_all(text.as_bytes())
        })?)
    }
}

/// The libtorch of this build.
pub(super) fn libtorch() -> String {
    #[cfg(feature = "torch")]
    return crate::torch::ffi::torch_version();
    #[cfg(not(feature = "torch"))]
    "none".to_owned()
}
