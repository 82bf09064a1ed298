//! Why a pretraining stops.

use std::path::PathBuf;

/// An error of this room. Messages hold no identifiers; paths come last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] crate::recipe::RecipeError),
    /// The cohort's table.
    #[error(transparent)]
    Table(#[from] crate::tables::TableError),
    /// A file that can't be written.
    #[error(transparent)]
    Write(#[from] crate::tables::WriteError),
    /// The cohort.
    #[error(transparent)]
    Cohort(#[from] crate::cohort::CohortError),
    /// The salt of the pseudonyms, or another part that studies share.
    #[error(transparent)]
    Study(#[from] crate::study::StudyError),
    /// Logs and sheets.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// The encoder's card.
    #[error(transparent)]
    Card(#[from] crate::card::CardError),
    /// The networks.
    #[error(transparent)]
    Torch(#[from] crate::torch::TorchError),
    /// The held-out probe.
    #[error("the held-out probe: {0}")]
    Probe(#[from] crate::heads::HeadError),
    /// A site that no row has.
    #[error("`data.sites` names `{site}`, but the sites of the cohort are {found}")]
    NoSuchSite {
        /// The site that was asked for.
        site: String,
        /// The sites there are.
        found: String,
    },
    /// Too few slices to train on.
    #[error(
        "{slices} slices of {patients} patients are left to train on, and a step takes {batch}: lower `train.batch` or \
         `data.holdout`, or add slices"
    )]
    TooFew {
        /// Slices that could be read.
        slices: usize,
        /// Their patients.
        patients: usize,
        /// Slices a batch.
        batch: usize,
    },
    /// Too few patients to hold some out.
    #[error("{patients} patients are too few to hold some out: set `data.holdout = 0`, or add patients")]
    NoHoldout {
        /// Patients of the sites that are trained on.
        patients: usize,
    },
    /// A checkpoint of another recipe, of other slices or of other weights at the start.
    #[error(transparent)]
    OtherTraining(#[from] crate::torch::train::OtherTraining),
    /// A loss or a weight that is no number.
    #[error(
        "step {step} gave numbers that are not finite ({what}): stopped; the last good checkpoint is of step {good}, and the \
         batch that did it is kept; lower the learning rate or set `method.clip`: {path:?}"
    )]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// Which numbers.
        what: String,
        /// Step of the last checkpoint; 0 for none.
        good: u64,
        /// Where the batch is.
        path: PathBuf,
    },
    /// A file that was there at the start.
    #[error(
        "row {row} of the cohort can't be read any more ({why}); the same command goes on from the last checkpoint"
    )]
    Gone {
        /// The row, from 1.
        row: usize,
        /// Why.
        why: String,
    },
    /// Ctrl-C.
    #[error("interrupted after {done} of {steps} steps; the same command goes on from there")]
    Interrupted {
        /// Steps that are in the checkpoint.
        done: u64,
        /// Steps of the recipe.
        steps: u64,
    },
    /// The run folder.
    #[error("the run folder can't be used ({source}); name another with `--run-dir`: {path:?}")]
    Folder {
        /// What the system said.
        source: std::io::Error,
        /// The run folder.
        path: PathBuf,
    },
}
