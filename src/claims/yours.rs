//! A user's own figures beside the printed ones.

use serde::{Deserialize, Serialize};

/// What of a user's data stands beside a claim.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What is measured.
    pub measure: Measure,
    /// By which scores: `linear`, `svm`, `knn`; `a`, `li`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// On which set: `train`, `validation`, `test`, `external`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// By which reader, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<usize>,
    /// Level of the interval; 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// The sensitivity at which a specificity is printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<f64>,
    /// The printed value as a number.
    pub value: f64,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The area under the ROC curve.
    Auc,
    /// Share of positives that are called so.
    Sensitivity,
    /// Share of negatives that are called so.
    Specificity,
    /// Specificity at the highest threshold of a given sensitivity, found on the same rows and anew in each resample.
    SpecificityAtSensitivity,
    /// Two readers' agreement on positives.
    KappaPositives,
    /// Two readers' agreement on negatives.
    KappaNegatives,
}

/// A user's figure beside a printed one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Yours {
    /// The user's figure.
    pub value: f64,
    /// Its interval; `None` where a class has fewer than two patients.
    pub interval: Option<[f64; 2]>,
    /// Level of the interval.
    pub level: f64,
    /// Whether the printed value lies in the interval; `None` without one.
    pub within: Option<bool>,
    /// What is counted: `patient`, `slice` or `case`.
    pub unit: String,
    /// Patients.
    pub n_patients: usize,
    /// Rows of the table (readings: cases), whatever the unit.
    pub n_rows: usize,
    /// Units of the positive class.
    pub n_positive: usize,
    /// How it was made.
    pub method: String,
    /// For the table.
    pub text: String,
    /// Why the training of the scores must be taken for one that did not converge: its figure is no rival to the printed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_converged: Option<String>,
}

impl Yours {
    /// For the table.
    pub(super) fn relation(&self) -> &'static str {
        match self.within {
            _ if self.not_converged.is_some() => "not converged",
            Some(true) => "within",
            Some(false) => "outside",
            None => "no interval",
        }
    }
}
