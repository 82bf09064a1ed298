//! How good scores are: the positive class is named, the unit is said, every number has its interval.

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
