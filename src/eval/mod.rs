//! How good scores are: the positive class is named, the unit is said, every number has its interval.

mod assess;
mod caution;
mod compare;
mod convergence;
mod evaluate;
mod low_risk;
mod null;
mod pooling;
mod probability;
pub mod reader_study;
mod repeats;
mod roc;
mod scores;
mod table;
mod threshold;

pub use self::{
    assess::{AssessPlan, Assessment, Cut, Decision, Interval, Measure, assess, assess_table},
    compare::{ComparePlan, Comparison, Comparisons, DifferenceTest, Family, NotCompared, compare},
    convergence::Convergence,
    evaluate::{Evaluation, METRICS, evaluate},
    low_risk::{LowRiskSubset, low_risk},
    null::NullAuc,
    pooling::Pooled,
    probability::{Calibration, CalibrationMap},
    repeats::{FoldAuc, RepeatAuc, RepeatedAuc, areas_of_repeats, evaluate_repeats},
    roc::{BandPoint, RocCurve, RocPoint},
    scores::Scores,
    table::{
        CONVERGED, POSITIVE_KEY, PatientColumn, ScoreColumn, ScorePlan, ScoreTable, ScoreTableError, THRESHOLD,
        converged_cell, not_converged,
    },
    threshold::{Threshold, ThresholdRule, choose_threshold},
};
use crate::stats::{CalibrationError, StatsError};
pub use crate::stats::{Pooling, PoolingError};

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
    /// How scores of slices became one of the unit; `None` where slices are the unit.
    #[serde(default)]
    pub pool: Option<Pooling>,
    /// Patients in the set.
    pub n_patients: usize,
    /// Slices in the set, whatever the unit.
    pub n_rows: usize,
    /// Units (patients, scans or slices) of the positive class.
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
    /// Scores of a patient's slices are pooled first.
    #[default]
    Patient,
    /// Scores of a scan's slices are pooled first.
    Scan,
    /// Every slice counts.
    Slice,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Patient => "patient",
            Self::Scan => "scan",
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
         with labels of slices set `unit = \"slice\"` (`--unit slice`)"
    )]
    MixedPatients {
        /// Patients with both labels.
        mixed: usize,
        /// All patients.
        patients: usize,
    },
    /// Labels of slices, pooled as if they were labels of scans.
    #[error(
        "{mixed} of {scans} scans have slices of both classes, expected labels of scans; \
         with labels of slices set `unit = \"slice\"` (`--unit slice`)"
    )]
    MixedScans {
        /// Scans with both labels.
        mixed: usize,
        /// All scans.
        scans: usize,
    },
    /// Scans are to be pooled, and no one said which slices are of one scan.
    #[error(
        "{rows} scores are to be pooled by scan, but no scans came with them: name their column or use another unit"
    )]
    NoScans {
        /// Rows without a scan.
        rows: usize,
    },
    /// A noisy-or of scores that are no probabilities.
    #[error(
        "noisy-or pools probabilities, but {outside} of {rows} scores lie outside 0 to 1: calibrate them \
         (`probe.calibration = \"platt\"`) or pool by mean, median, max or top-k"
    )]
    NotProbabilities {
        /// Scores below 0 or above 1.
        outside: usize,
        /// All scores.
        rows: usize,
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
    /// A prevalence that is none.
    #[error("a prevalence lies above 0 and below 1, found {found} (2 % is 0.02)")]
    Prevalence {
        /// What was asked for.
        found: f64,
    },
    /// A threshold that is no number.
    #[error("a threshold is a finite number, found {found}")]
    Cut {
        /// What was asked for.
        found: f64,
    },
    /// A set that the table does not have.
    #[error("no row is of the set `{set}`; the sets are {sets}")]
    NoSuchSet {
        /// What was asked for.
        set: String,
        /// What there is.
        sets: String,
    },
    /// A comparison of scores that are not there, or of one with itself.
    #[error(
        "the comparison `{pair}` is none: it takes two different columns of scores as A:B; the scores are {scores}"
    )]
    Pair {
        /// What was asked for.
        pair: String,
        /// The columns of scores.
        scores: String,
    },
    /// Fewer than two scores to compare.
    #[error(
        "a comparison takes at least 2 columns of scores, and there is {}: join another table with `--with`, name columns with \
         `--score A,B`, or measure it by itself with `hounsfield evaluate`",
        if scores.is_empty() { "none".to_owned() } else { format!("only `{scores}`") }
    )]
    OneScore {
        /// The columns of scores there are.
        scores: String,
    },
    /// Probabilities that can't be judged, or can't be made of the scores.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The bootstrap's settings or resamples make no interval.
    #[error(transparent)]
    Stats(#[from] StatsError),
}
