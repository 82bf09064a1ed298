//! Why a classifier of scans is not trained, measured or asked.

use std::path::PathBuf;

use crate::{cohort::CohortError, eval::EvalError, words::counted};

/// An error of this room. Messages hold no identifiers; paths come last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumesError {
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
    Cohort(#[from] CohortError),
    /// The salt of the pseudonyms, or another part that studies share.
    #[error(transparent)]
    Study(#[from] crate::study::StudyError),
    /// Logs and sheets.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// A card.
    #[error(transparent)]
    Card(#[from] crate::card::CardError),
    /// A network that is none, or that does not fit into memory.
    #[error(transparent)]
    Baseline(#[from] crate::baseline::BaselineError),
    /// Scores or their evaluation.
    #[error("scores of `{set}`: {source}")]
    Eval {
        /// The set that was measured.
        set: String,
        /// What went wrong.
        source: EvalError,
    },
    /// Patients with scans of both classes, where a score is a patient's.
    #[error(
        "{mixed} of {patients} patients of the {set} set have scans of both classes, and a patient has one score: give each patient \
         one label, or set `evaluate.unit = \"scan\"`"
    )]
    MixedPatients {
        /// The set.
        set: String,
        /// Patients with both labels.
        mixed: usize,
        /// All patients of the set.
        patients: usize,
    },
    /// A patient in two sets.
    #[error(
        "{} in two sets (first: scans {first} and {second} in the order of the table, in `{first_set}` and `{second_set}`): give all \
         scans of a patient one set, or leave some out",
        counted(*patients, "patient")
    )]
    PatientInTwoSets {
        /// How many patients do.
        patients: usize,
        /// A scan of such a patient, counted from 1.
        first: usize,
        /// Another one of the same patient.
        second: usize,
        /// The set of the first.
        first_set: String,
        /// The set of the second.
        second_set: String,
    },
    /// One scan in two sets.
    #[error(
        "{} in two sets, voxel for voxel (first: scans {first} and {second} in the order of the table, in `{first_set}` and \
         `{second_set}`): give both one patient, and one set where a column tells the sets, or leave one out",
        counted(*scans, "scan")
    )]
    ScanInTwoSets {
        /// How many scans do.
        scans: usize,
        /// One of them, counted from 1.
        first: usize,
        /// Its twin.
        second: usize,
        /// The set of the first.
        first_set: String,
        /// The set of the second.
        second_set: String,
    },
    /// Too few patients to split.
    #[error(
        "the {class} class has {patients} patients and {sets} sets to fill ({names}): give it more patients, or use fewer sets"
    )]
    TooFewPatients {
        /// The class, in words.
        class: String,
        /// How many patients it has.
        patients: usize,
        /// How many sets have a fraction above zero.
        sets: usize,
        /// Their names.
        names: String,
    },
    /// An interval.
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    /// The networks.
    #[cfg(feature = "torch")]
    #[error(transparent)]
    Torch(#[from] crate::torch::TorchError),
    /// A checkpoint of another recipe or of other scans.
    #[cfg(feature = "torch")]
    #[error(transparent)]
    OtherTraining(#[from] crate::torch::train::OtherTraining),
    /// A set without scans of both classes.
    #[error(
        "the {set} set has {positives} scans of the positive class and {negatives} of the negative one{after_failures}, and {needs}: \
         {way_out}"
    )]
    OneClass {
        /// `training` or `validation`.
        set: &'static str,
        /// Scans of the positive class.
        positives: usize,
        /// Scans of the negative class.
        negatives: usize,
        /// Says so where scans were left out that could not be read, and why they could not.
        after_failures: String,
        /// What needs them.
        needs: &'static str,
        /// What to do.
        way_out: &'static str,
    },
    /// A loss or a weight that is no number.
    #[error(
        "step {step} gave numbers that are not finite ({what}): stopped; the last good checkpoint is of step {good}, and the rows of \
         the scans that did it are written down; lower `train.lr` or set `train.clip`: {path:?}"
    )]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// Which numbers.
        what: String,
        /// Step of the last checkpoint; 0 for none.
        good: u64,
        /// Where the rows are.
        path: PathBuf,
    },
    /// Ctrl-C.
    #[error("interrupted in epoch {epoch}, after {done} steps; the same command goes on from there")]
    Interrupted {
        /// The epoch, from 1.
        epoch: u64,
        /// Steps that are in the checkpoint.
        done: u64,
    },
    /// Ctrl-C at the end.
    #[error("interrupted while scans were scored after the training; the same command goes on from there")]
    InterruptedEnd,
    /// The checkpoint of the best epoch is not there any more.
    #[error(
        "the checkpoint of the best epoch (step {step}) is not there or is damaged: put it back, or start anew with `--restart`: {path:?}"
    )]
    NoBest {
        /// Its step.
        step: u64,
        /// The folder of checkpoints.
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
    /// Pictures of where a network looks.
    #[error(transparent)]
    Explain(#[from] crate::explain::ExplainError),
    /// Scans of a table.
    #[error(transparent)]
    Scan(#[from] crate::scans::ScanError),
    /// A map that can't be written as a volume.
    #[error(transparent)]
    WriteVolume(#[from] crate::readers::WriteVolumeError),
    /// The folder of maps.
    #[error("the folder of maps can't be made or changed ({source}); name another: {path:?}")]
    MapsFolder {
        /// What the system said.
        source: std::io::Error,
        /// The folder.
        path: PathBuf,
    },
    /// A page that would be written over.
    #[error(
        "what lies in the folder of maps is no page of maps and would be written over: name another folder: {path:?}"
    )]
    OtherPage {
        /// The page.
        path: PathBuf,
    },
    /// Ctrl-C while maps were drawn.
    #[error("interrupted while maps were drawn; there is no page of them, the same command draws them anew")]
    InterruptedMaps,
    /// Ctrl-C while scans were scored.
    #[error(
        "interrupted after {done} of {scans} scans; {}",
        if *done == 0 { "nothing was written" } else { "their scores were written, and those of the others are empty" }
    )]
    InterruptedScores {
        /// Scans that were looked at.
        done: usize,
        /// All scans.
        scans: usize,
    },
}

impl VolumesError {
    /// What is wrong with the scores of a set.
    pub(super) fn of_scores(set: &str) -> impl Fn(EvalError) -> Self {
        move |source| {
            let set = set.to_owned();
            match source {
                EvalError::MixedPatients { mixed, patients } => Self::MixedPatients { set, mixed, patients },
                source => Self::Eval { set, source },
            }
        }
    }

    /// What is wrong with a split of scans. Studies of slices have ways out that a classifier of scans has not.
    #[cfg(feature = "torch")]
    pub(super) fn of_split(error: CohortError) -> Self {
        match error {
            CohortError::PatientLeak {
                patients,
                first,
                second,
                first_set,
                second_set,
            } => Self::PatientInTwoSets {
                patients,
                first,
                second,
                first_set,
                second_set,
            },
            CohortError::ImageLeak {
                images: scans,
                first,
                second,
                first_set,
                second_set,
            } => Self::ScanInTwoSets {
                scans,
                first,
                second,
                first_set,
                second_set,
            },
            CohortError::TooFewPatients {
                class,
                patients,
                sets,
                names,
            } => Self::TooFewPatients {
                class,
                patients,
                sets,
                names,
            },
            error => Self::Cohort(error),
        }
    }
}
