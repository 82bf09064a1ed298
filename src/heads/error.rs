//! What can go wrong with a head.

use std::path::PathBuf;

use crate::stats::FoldError;

/// Why a head can't be fitted, can't score, or can't be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Nothing to fit on.
    #[error("the training set has {rows} rows of {features} features, a head needs at least one of each")]
    Empty {
        /// Rows found.
        rows: usize,
        /// Columns found.
        features: usize,
    },
    /// Labels or groups of other rows.
    #[error("{rows} rows of features came with {labels} labels and {groups} patients, expected one of each a row")]
    Length {
        /// Rows of features.
        rows: usize,
        /// Labels.
        labels: usize,
        /// Patients.
        groups: usize,
    },
    /// Values that no head can read.
    #[error(
        "{count} feature values are NaN or infinite, the first in row {row}, column {column} (counted from 0): drop \
         or fill these rows before"
    )]
    NotFinite {
        /// How many.
        count: usize,
        /// Row of the first.
        row: usize,
        /// Column of the first.
        column: usize,
    },
    /// Nothing to tell apart.
    #[error(
        "{positive} of {rows} training rows are positive, a head needs both classes: look at the named positive \
         class and at the split"
    )]
    OneClass {
        /// Training rows.
        rows: usize,
        /// Positive ones among them.
        positive: usize,
    },
    /// Features of another table.
    #[error("features have {found} columns, the head was fitted on {expected}")]
    Width {
        /// Columns given.
        found: usize,
        /// Columns of the training set.
        expected: usize,
    },
    /// A hyperparameter out of its range.
    #[error("{head}: {name} is {found}, expected {expected}")]
    Hyperparameter {
        /// The head.
        head: &'static str,
        /// The hyperparameter.
        name: &'static str,
        /// Its value.
        found: String,
        /// Its range.
        expected: String,
    },
    /// The kernel matrix would not fit.
    #[error(
        "{head} on {rows} rows needs a kernel matrix of {gib:.1} GiB, the limit is {limit} rows: train on fewer slices \
         a patient, or take the head \"logistic\" in its place"
    )]
    TooLarge {
        /// The head.
        head: &'static str,
        /// Training rows.
        rows: usize,
        /// Memory that the kernel matrix needs.
        gib: f64,
        /// The most rows that are taken on.
        limit: usize,
    },
    /// All rows got one score, so nothing was told apart.
    #[error("{head} gives all {rows} rows the score {score}: {reason}")]
    ConstantScores {
        /// The head.
        head: &'static str,
        /// Rows scored.
        rows: usize,
        /// The score.
        score: f64,
        /// Why, and a way out.
        reason: String,
    },
    /// A solver of another crate gave up.
    #[error("{head}: the solver gave up ({reason}): standardise the features or fix a smaller c")]
    Solver {
        /// The head.
        head: &'static str,
        /// In the solver's words.
        reason: String,
    },
    /// Too few patients for the folds.
    #[error("no out-of-fold scores: {0}")]
    Folds(#[from] FoldError),
    /// A file that is not a fitted head, or not a whole one.
    #[error("not a saved head: {reason}: {path:?}")]
    NotAHead {
        /// What is wrong with it.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The file can't be read or written.
    #[error("{doing} a saved head failed ({source}): {path:?}")]
    Io {
        /// `reading` or `writing`.
        doing: &'static str,
        /// The system's reason.
        source: std::io::Error,
        /// The file.
        path: PathBuf,
    },
}
