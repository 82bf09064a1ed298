//! The stages that carry a study out: cohort, split, features, probe, report.
//!
//! Each stage writes its artefact in the run folder and is skipped when what it depends on has not changed:
//!
//! | stage | artefacts |
//! |---|---|
//! | cohort | `cohort.parquet` |
//! | split | `split.csv` |
//! | features | `features/LAYER.parquet`, `failures.csv` |
//! | audit | `audit.json` |
//! | probe | `predictions.parquet` (and `predictions_repeats.parquet`), `results.json`, `study.json`, `models/` |
//! | report | `report.html` |
//! | explain, when it is asked for | `explain/explain.html`, its figures, `explain/explain.json` |
//!
//! `run.lock.toml` holds the resolved recipe, versions, seeds and the hashes of all of them.

use std::{
    collections::BTreeMap,
    fs::TryLockError,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use crate::{ct::Pseudonymizer, recipe::Study};

mod audit;
mod cohort;
#[cfg(feature = "torch")]
mod encode;
mod explain;
mod features;
mod lock;
mod matrix;
mod measure;
mod null;
mod probe;
mod report;
mod salt;
mod split;
mod stage;
mod task;

pub use self::{
    audit::FILE as AUDIT_FILE,
    cohort::FILE as COHORT_FILE,
    explain::{Explained, FILE as EXPLANATION_FILE},
    features::{ExtractOptions, FAILURES_FILE, Failure},
    lock::FILE as LOCK_FILE,
    probe::{PREDICTIONS_FILE, REPEATS_FILE, RESULTS_FILE, STUDY_FILE},
    report::FILE as REPORT_FILE,
    salt::{SALT_VARIABLE, pseudonymizer, user_pseudonymizer},
    split::FILE as SPLIT_FILE,
    stage::{Key, Stages},
};
pub(crate) use self::{
    measure::judged,
    report::{exclusions, flow, split_words},
};

/// The stages in their order.
const STAGES: [&str; 7] = ["cohort", "split", "features", "audit", "probe", "report", "explain"];

/// A study in its run folder.
#[derive(Debug)]
pub struct StudyRun {
    /// The recipe.
    pub study: Study,
    /// Where the artefacts are.
    pub folder: PathBuf,
    /// The recipe's name, which heads the report where it has no title.
    name: String,
    ids: Pseudonymizer,
    stages: Stages,
    keys: BTreeMap<&'static str, String>,
    started: Instant,
    /// Set from elsewhere (Ctrl-C) to stop at the next place where nothing is lost.
    stop: Arc<AtomicBool>,
    /// Held as long as the run lives, so that two runs do not write into one folder.
    _guard: HeldFolder,
}

/// What a whole run comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The table to print.
    pub table: String,
    /// The report.
    pub report: PathBuf,
    /// Inputs that failed; they are listed in `failures.csv`.
    pub failures: usize,
}

impl StudyRun {
    /// Opens a run folder, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// A folder that can't be made or written to, that another process is using, and a salt that can't be had.
    pub fn open(study: Study, name: &str, folder: &Path) -> Result<Self, StudyError> {
        let ids = salt::pseudonymizer(&study.cohort)?;
        let guard = hold_folder(folder)?;
        Ok(Self {
            stages: Stages::open(folder),
            folder: folder.to_owned(),
            name: name.to_owned(),
            study,
            ids,
            keys: BTreeMap::new(),
            started: Instant::now(),
            stop: Arc::default(),
            _guard: guard,
        })
    }

    /// All stages.
    ///
    /// # Errors
    ///
    /// The first stage that fails; the artefacts of those before it stay.
    pub fn run(&mut self, options: &ExtractOptions) -> Result<Outcome, StudyError> {
        let cohort = self.cohort()?;
        let split = self.split(&cohort)?;
        let failures = self.features(&cohort, Some(&split), options)?;
        self.probe(&cohort, &split, &failures)?;
        let table = self.report()?;
        self.write_lock()?;
        Ok(Outcome {
            table,
            report: self.folder.join(REPORT_FILE),
            failures: failures.len(),
        })
    }

    /// Whether the user wants to stop.
    fn check_stop(&self) -> Result<(), StudyError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(StudyError::Stopped),
            false => Ok(()),
        }
    }

    /// Whether a stage can be skipped; else it is marked as not done and its clock starts.
    fn begin(&mut self, stage: &'static str, key: &str) -> Result<bool, StudyError> {
        let done = self.stages.is_done(stage, key);
        if done {
            self.stages.confirm(stage, &self.recipe_hash())?;
            tracing::info!("{stage}: up to date");
        } else {
            self.stages.forget(stage)?;
            self.started = Instant::now();
        }
        Ok(done)
    }

    fn finish(&mut self, stage: &'static str, key: &str, outputs: &[String]) -> Result<(), StudyError> {
        let seconds = self.started.elapsed().as_secs_f64();
        self.stages.finish(stage, key, outputs, &self.recipe_hash(), seconds)?;
        tracing::info!("{stage}: done in {seconds:.1} s");
        Ok(())
    }

    /// The hash of the whole resolved recipe.
    fn recipe_hash(&self) -> String {
        Key::new("recipe").value(&self.study).value(&self.name).finish()
    }

    /// The key of a stage that went before.
    fn key(&self, stage: &'static str) -> &str {
        self.keys.get(stage).map_or("", String::as_str)
    }
}

/// A run folder that no other process may use; free again when this is dropped.
#[derive(Debug)]
pub struct HeldFolder(std::fs::File);

impl Drop for HeldFolder {
    /// Unlocks in so many words: a closed file stays locked for as long as a child that was being started has a copy of it.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!("the run folder's lock can't be given back: {error}");
        }
    }
}

/// Makes a run folder where it is missing, and keeps other processes out of it for as long as what is given back lives.
///
/// # Errors
///
/// A folder that can't be made or written to, or that another process is using.
pub fn hold_folder(folder: &Path) -> Result<HeldFolder, StudyError> {
    let failed = |source| StudyError::Folder {
        source,
        path: folder.to_owned(),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let guard = std::fs::File::create(folder.join(".lock")).map_err(failed)?;
    match guard.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StudyError::Busy {
                path: folder.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => {
            tracing::warn!("the run folder can't be locked ({error}): start no second run in it");
        }
    }
    Ok(HeldFolder(guard))
}

/// Removes what an earlier run left under these names.
///
/// # Errors
///
/// Files that can't be removed.
pub fn clear_folder(folder: &Path, names: &[&str]) -> Result<(), StudyError> {
    for name in names {
        let path = folder.join(name);
        let gone = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        match gone {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StudyError::Folder { source, path });
            }
            _ => {}
        }
    }
    Ok(())
}

/// SHA-256 of a file, or of the names and hashes of the files in a folder of parts.
fn sha256_path(path: &Path) -> Result<String, StudyError> {
    if !path.is_dir() {
        return Ok(crate::tables::sha256_file(path)?);
    }
    let failed = |source| StudyError::Folder {
        source,
        path: path.to_owned(),
    };
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let entries = entries.map(|entry| Ok(entry.map_err(failed)?.path()));
    let mut files = entries.collect::<Result<Vec<PathBuf>, StudyError>>()?;
    files.sort();
    let mut key = Key::new("folder");
    for file in files.iter().filter(|file| file.is_file()) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        key = key.text(&name).text(&crate::tables::sha256_file(file)?);
    }
    Ok(key.finish())
}

/// Why a study stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] crate::recipe::RecipeError),
    /// A table.
    #[error(transparent)]
    Table(#[from] crate::tables::TableError),
    /// A file that can't be written.
    #[error(transparent)]
    Write(#[from] crate::tables::WriteError),
    /// The cohort or the split.
    #[error(transparent)]
    Cohort(#[from] crate::cohort::CohortError),
    /// A feature table.
    #[error(transparent)]
    Features(#[from] crate::features::FeatureError),
    /// What is audited.
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
    /// A head.
    #[error("head `{head}` on `{features}`: {source}")]
    Head {
        /// The head.
        head: String,
        /// The layer or table that it reads.
        features: String,
        /// What went wrong.
        source: crate::heads::HeadError,
    },
    /// A sheet of images.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// Features that can't be explained.
    #[error("features `{features}`: {source}")]
    Explain {
        /// The layer or table.
        features: String,
        /// What went wrong.
        source: crate::explain::ExplainError,
    },
    /// Scores or their evaluation.
    #[error("head `{head}` on `{features}`, set `{set}`: {source}")]
    Eval {
        /// The head.
        head: String,
        /// The layer or table that it reads.
        features: String,
        /// The set that was evaluated.
        set: String,
        /// What went wrong.
        source: crate::eval::EvalError,
    },
    /// The network.
    #[cfg(feature = "torch")]
    #[error(transparent)]
    Torch(#[from] crate::torch::TorchError),
    /// A build without the network.
    #[error(
        "features are to be extracted, but this build has no libtorch (install with `--features torch`), and the run folder has no features that were extracted with this recipe before"
    )]
    NoTorch,
    /// A weights file that is not there.
    #[error(
        "there is no such weights file: `encoder.weights` is \"random\" or a .safetensors file, relative to the study's file: {path:?}"
    )]
    NoWeights {
        /// The file.
        path: PathBuf,
    },
    /// A place for features that says another format.
    #[error("{what}: {path:?}")]
    FeaturePlace {
        /// What is wrong with it.
        what: &'static str,
        /// The place.
        path: PathBuf,
    },
    /// A device that this build can't use.
    #[error("device `{device}` was asked for, but this build has no libtorch (install with `--features torch`)")]
    NoTorchDevice {
        /// The device.
        device: String,
    },
    /// An encoder that is none.
    #[error(transparent)]
    Encoder(crate::encoder::EncoderError),
    /// `--fail-first`.
    #[error("row {row} of the cohort failed, and the first failure was to stop the extraction: {reason}")]
    FirstFailure {
        /// The row, from 1.
        row: usize,
        /// Why.
        reason: String,
    },
    /// No `[encoder]`.
    #[error(
        "the study has no `[encoder]`: name one, e.g. `kind = \"bigbigan-resnet50\"`, or start from features with `features.table`"
    )]
    NoEncoder,
    /// No `[split]`.
    #[error("the study has no `[split]`: say how patients are split, e.g. `kind = \"holdout\"`")]
    NoSplit,
    /// No positive class.
    #[error(
        "the study names no positive class: set `cohort.label` and `cohort.positive`, the label that a high score stands for"
    )]
    NoPositive,
    /// Every image failed.
    #[error("none of {rows} images could be read and encoded (first: {first}); see {file:?}")]
    NothingExtracted {
        /// Images of the cohort.
        rows: usize,
        /// What was wrong with the first.
        first: String,
        /// Where all are listed.
        file: PathBuf,
    },
    /// Ctrl-C.
    #[error("interrupted after {done} of {rows} slices; the same command goes on from there")]
    Interrupted {
        /// Slices that are on disk.
        done: usize,
        /// Slices of the cohort.
        rows: usize,
    },
    /// Ctrl-C, outside of an extraction.
    #[error("interrupted; the same command goes on after the stages that are done")]
    Stopped,
    /// Sets that a study must have.
    #[error(
        "set `{set}` of the split has {positive} positive and {negative} negative rows with features: heads are fitted on both classes"
    )]
    Set {
        /// The set.
        set: String,
        /// Rows of the positive class.
        positive: usize,
        /// Rows of the negative class.
        negative: usize,
    },
    /// Features that are no numbers.
    #[error(
        "{count} values of the features `{name}` are NaN or infinite (first: row {row}, feature `{feature}`): mend or leave out these rows"
    )]
    NotFinite {
        /// How many.
        count: usize,
        /// The layer or table.
        name: String,
        /// The first such row of the cohort, from 1.
        row: usize,
        /// The feature's column.
        feature: String,
    },
    /// Features of rows that the cohort does not have.
    #[error(
        "{joined} of {rows} rows of the features are among the {cohort} rows of the cohort: they were made from another table or under another salt"
    )]
    Foreign {
        /// Rows that were found.
        joined: usize,
        /// Rows of the feature table.
        rows: usize,
        /// Rows of the cohort.
        cohort: usize,
    },
    /// Labels of slices.
    #[error(
        "{stuck} of {patients} patients have slices of both classes, and no other such patient of their set has as many: \
         their labels can't be permuted, and a null that keeps them is none"
    )]
    NullLabels {
        /// Patients whose labels have no partner.
        stuck: usize,
        /// Patients in all.
        patients: usize,
    },
    /// A report of another recipe.
    #[error(
        "the results in the run folder are of another recipe: run `hounsfield probe` (or `hounsfield run`) with this one first: {path:?}"
    )]
    OtherRecipe {
        /// The run folder.
        path: PathBuf,
    },
    /// A report without a probe.
    #[error("there are no results to report: run `hounsfield probe` (or `hounsfield run`) first: {path:?}")]
    NoResults {
        /// The file that is missing or torn.
        path: PathBuf,
    },
    /// No place for the salt.
    #[error(
        "there is no place for the salt of the pseudonyms: set `cohort.salt`, or HOUNSFIELD_SALT, to a file that you keep"
    )]
    NoSaltPath,
    /// The salt.
    #[error(
        "the salt of the pseudonyms can't be read or made ({source}); name another file with `cohort.salt` or HOUNSFIELD_SALT: {path:?}"
    )]
    Salt {
        /// What the system said.
        source: std::io::Error,
        /// The salt's file.
        path: PathBuf,
    },
    /// A salt that can be guessed.
    #[error(
        "the salt of the pseudonyms has {bytes} bytes, at least 16 are needed; remove the file to get a new one: {path:?}"
    )]
    ShortSalt {
        /// Its length.
        bytes: usize,
        /// The salt's file.
        path: PathBuf,
    },
    /// The run folder.
    #[error("the run folder can't be used ({source}); name another with `--run-dir`: {path:?}")]
    Folder {
        /// What the system said.
        source: std::io::Error,
        /// The run folder.
        path: PathBuf,
    },
    /// Another process.
    #[error("another process is using the run folder; wait for it or name another with `--run-dir`: {path:?}")]
    Busy {
        /// The run folder.
        path: PathBuf,
    },
}
