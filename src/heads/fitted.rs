//! A head that was fitted: its scores, and everything a report should say about how it came about.

use std::{collections::BTreeMap, sync::Arc};

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::{Head, HeadConfig, HeadError, Hyperparameter, Standardizer, check_finite, knn, svm_rbf};

/// Scores whose range is below this share of their size are one score.
const SAME: f64 = 1e-9;

/// A point of the grid and how well it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuningPoint {
    /// The hyperparameters.
    pub values: BTreeMap<String, Hyperparameter>,
    /// Mean area under the ROC curve over the folds.
    pub auc: f64,
    /// The area in each fold.
    pub fold_aucs: Vec<f64>,
}

/// How a head was fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitSummary {
    /// What was asked.
    pub config: HeadConfig,
    /// Every hyperparameter as it was used, chosen or fixed.
    pub chosen: BTreeMap<String, Hyperparameter>,
    /// The points that were tried, strongest regularisation first; empty where nothing was chosen.
    pub tuning: Vec<TuningPoint>,
    /// Sentences for the report.
    pub notes: Vec<String>,
    /// Numbers about the solution, e.g. `support_vectors`, `rank`, `median_squared_distance`.
    pub facts: BTreeMap<String, f64>,
    /// Training rows.
    pub rows: usize,
    /// Training patients.
    pub groups: usize,
    /// Training rows of the positive class.
    pub positive_rows: usize,
    /// Feature columns.
    pub features: usize,
    /// Columns that did not vary on the training rows.
    pub constant_columns: usize,
    /// The seed of the inner folds.
    pub seed: u64,
}

/// A fitted head with its standardisation: takes raw features, gives scores.
///
/// ```
/// use hounsfield::heads::{HeadConfig, TrainingSet, Tuning};
/// use ndarray::array;
/// let x = array![[0.0, 5.0], [0.2, 4.0], [1.0, 5.5], [1.3, 4.5]];
/// let set = TrainingSet {
///     x: x.view(),
///     positive: &[false, false, true, true],
///     groups: &[0, 1, 2, 3],
/// };
/// let head = &HeadConfig::all()[0];
/// let fitted = head.fit(&set, &Tuning::default(), 0)?;
/// let scores = fitted.score(array![[0.1, 5.0], [1.2, 5.0]].view())?;
/// assert!(scores[1] > scores[0]);
/// # Ok::<(), hounsfield::heads::HeadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FittedHead {
    /// What the caller wants to keep with the head: feature layer, preprocessing, positive class, threshold, ...
    pub metadata: BTreeMap<String, String>,
    summary: FitSummary,
    standardizer: Option<Standardizer>,
    head: Arc<dyn Head>,
}

impl FittedHead {
    pub(super) fn new(summary: FitSummary, standardizer: Option<Standardizer>, head: Arc<dyn Head>) -> Self {
        Self {
            metadata: BTreeMap::new(),
            summary,
            standardizer,
            head,
        }
    }

    /// The head's name, e.g. `svm-rbf`.
    pub fn kind(&self) -> &'static str {
        self.head.kind()
    }

    /// Columns that it expects.
    pub fn feature_dim(&self) -> usize {
        self.head.feature_dim()
    }

    /// How it was fitted.
    pub fn summary(&self) -> &FitSummary {
        &self.summary
    }

    /// The standardisation; `None` where it was switched off.
    pub fn standardizer(&self) -> Option<&Standardizer> {
        self.standardizer.as_ref()
    }

    pub(super) fn head(&self) -> &dyn Head {
        self.head.as_ref()
    }

    /// `F` weights on the raw features' scale, standardisation undone, for a head whose score rises with the sum of
    /// weights times features; `None` for other heads.
    pub fn raw_weights(&self) -> Option<Vec<f64>> {
        let weights = self.head.weights()?;
        Some(match &self.standardizer {
            Some(standardizer) => weights
                .iter()
                .zip(standardizer.scale())
                .map(|(w, scale)| w / scale)
                .collect(),
            None => weights.to_vec(),
        })
    }

    /// How much each row looks like the positive class: greater is more alike.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, F]` raw features
    /// - output: `N` scores
    pub fn score(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, HeadError> {
        if x.ncols() != self.feature_dim() {
            return Err(HeadError::Width {
                found: x.ncols(),
                expected: self.feature_dim(),
            });
        }
        check_finite(x)?;
        match &self.standardizer {
            Some(standardizer) => self.head.score(standardizer.apply(x).view()),
            None => self.head.score(x),
        }
    }

    /// [`FittedHead::score`] and [`FittedHead::check_scores`].
    pub fn score_checked(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, HeadError> {
        let scores = self.score(x)?;
        self.check_scores(&scores)?;
        Ok(scores)
    }

    /// Whether scores of several rows differ at all.
    ///
    /// # Errors
    ///
    /// Where they do not: such a head tells nothing apart, and an AUC of 0.5 would hide why. The message says why.
    pub fn check_scores(&self, scores: &[f64]) -> Result<(), HeadError> {
        let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if scores.len() < 2 || most - least > SAME * most.abs().max(least.abs()) {
            return Ok(());
        }
        Err(HeadError::ConstantScores {
            head: self.kind(),
            rows: scores.len(),
            score: most,
            reason: self.why_constant(),
        })
    }

    fn why_constant(&self) -> String {
        let FitSummary { features, rows, .. } = self.summary;
        if self.summary.constant_columns == features {
            return format!("all {features} features are constant on the training rows: take another feature table");
        }
        let number = |name: &str| match self.summary.chosen.get(name) {
            Some(Hyperparameter::Number(number)) => Some(*number),
            _ => None,
        };
        match self.kind() {
            svm_rbf::KIND => {
                let gamma = number("gamma").unwrap_or(f64::NAN);
                let distance = self
                    .summary
                    .facts
                    .get("median_squared_distance")
                    .copied()
                    .unwrap_or(f64::NAN);
                let product = gamma * distance;
                let shape = if product < 1.0 {
                    "the kernel is too wide or c too small"
                } else {
                    "the kernel is too narrow"
                };
                format!(
                    "{shape}: gamma is {gamma:.3e}, the median squared distance of training rows {distance:.3e}, \
                     their product {product:.3e} should be near 2 (standardise, and leave gamma out or set it to \
                     \"scale\")"
                )
            }
            knn::KIND => {
                let k = number("k").unwrap_or(f64::NAN);
                let cause = if k >= rows as f64 {
                    "all of them vote on every row"
                } else {
                    "all rows get the same votes"
                };
                format!("k is {k} of {rows} training rows, {cause} (use another k, or more rows to score)")
            }
            _ => {
                "the rows are alike or the penalty leaves no weights (look at the features, use a larger c or smaller \
                  lambda)"
                    .to_owned()
            }
        }
    }
}
