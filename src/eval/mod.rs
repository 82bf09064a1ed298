//! How good scores are: the positive class is named, the unit is said, every number has its interval.

mod caution;
mod evaluate;
pub mod reader_study;
mod roc;
mod scores;
mod threshold;

pub use self::{
    evaluate::{Evaluation, METRICS, evaluate},
    roc::{BandPoint, RocCurve, RocPoint},
    scores::{Pooled, Scores},
    threshold::{Threshold, ThresholdRule, choose_threshold},
};
use crate::stats::StatsError;

/// One number of a study, as `results.json` holds it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ResultRow {
    /// The layer or table that the head read, e.g. `z_mean`.
    pub features: String,
    /// The head, e.g. `svm-rbf`.
    pub head: String,
    /// `train`, `validation`, `test`, `out-of-fold` or `external:SITE`.
    pub set: String,
    /// What one score is of.
    pub unit: Unit,
    /// Patients in the set.
    pub n_patients: usize,
    /// Slices in the set, whatever the unit.
    pub n_rows: usize,
    /// Units (patients or slices) of the positive class.
    pub n_positive: usize,
    /// `auc`, `sensitivity`, `specificity` or `accuracy`.
    pub metric: String,
    /// The point estimate; `None` where it is not defined (one class only).
    pub value: Option<f64>,
    /// The interval; `None` where it is not defined.
    pub ci: Option<[f64; 2]>,
    /// Confidence level of the interval.
    pub level: f64,
    /// How the number and the interval were made, with threshold, resamples and seed.
    pub method: String,
}

/// What one score is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Scores of a patient's slices are pooled by their mean first.
    #[default]
    Patient,
    /// Every slice counts.
    Slice,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Patient => "patient",
            Self::Slice => "slice",
        })
    }
}

/// Why scores can't be evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Vectors of different lengths.
    #[error("{scores} scores came with {labels} labels and {patients} patients, expected one of each a row")]
    Lengths {
        /// Number of scores.
        scores: usize,
        /// Number of labels.
        labels: usize,
        /// Number of patient indices.
        patients: usize,
    },
    /// Scores that are NaN or infinite.
    #[error("{found} of {rows} scores are not finite numbers, check the features that they were made from")]
    NotFinite {
        /// How many are not finite.
        found: usize,
        /// How many there are.
        rows: usize,
    },
    /// A set without rows.
    #[error("nothing to evaluate, the set has no rows: {set:?}")]
    Empty {
        /// The set.
        set: String,
    },
    /// Labels of slices, pooled as if they were labels of patients.
    #[error(
        "{mixed} of {patients} patients have slices of both classes, expected labels of patients; \
         with labels of slices set `unit = \"slice\"`"
    )]
    MixedPatients {
        /// Patients with both labels.
        mixed: usize,
        /// All patients.
        patients: usize,
    },
    /// A threshold can't be chosen where one class is absent.
    #[error(
        "no threshold can be chosen on {positives} positive and {negatives} negative units, both classes are needed; \
         give this set more patients or choose the threshold on another: {set:?}"
    )]
    OneClass {
        /// Units of the positive class.
        positives: usize,
        /// Units of the negative class.
        negatives: usize,
        /// The set.
        set: String,
    },
    /// A target that no threshold can be asked for.
    #[error("a threshold's target lies above 0 and at most at 1, found {found} (98 % is 0.98)")]
    Target {
        /// What was asked for.
        found: f64,
    },
    /// The threshold is of scores of another unit.
    #[error("the threshold was chosen on scores a {chosen}, the scores to evaluate are a {evaluated}'s")]
    ThresholdUnit {
        /// The threshold's unit.
        chosen: Unit,
        /// The unit to evaluate.
        evaluated: Unit,
    },
    /// The bootstrap's settings or resamples make no interval.
    #[error(transparent)]
    Stats(#[from] StatsError),
}
