//! What the whole pipeline finds where there is nothing to find: the AUC under permuted labels (Ojala & Garriga, JMLR
//! 2010;11:1833-1863, test 1; p as in Phipson & Smyth, Stat Appl Genet Mol Biol 2010, doi:10.2202/1544-6115.1585).
//!
//! With patients kept apart it lies around 0.5. Where slices of one patient stand on both sides of a split it does not:
//! heads then know the patient again, and whatever label the patient was given.

use super::{Pooling, ResultRow, Unit};
use crate::stats::quantile;

/// Permutations from which on the range of a null says something: those with which p can be 0.05.
const ENOUGH: usize = 19;

/// The AUC of one head on one set beside its values under permuted labels.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullAuc {
    /// The layer or table that the head read.
    pub features: String,
    /// The head.
    pub head: String,
    /// The set, named as in the results.
    pub set: String,
    /// What one score is of.
    pub unit: Unit,
    /// How scores of slices became one of the unit; `None` where slices are the unit.
    pub pool: Option<Pooling>,
    /// Patients in the set.
    pub n_patients: usize,
    /// Slices in the set.
    pub n_rows: usize,
    /// The AUC with the labels as they are.
    pub auc: f64,
    /// How often labels were permuted.
    pub permutations: usize,
    /// Mean AUC under permuted labels.
    pub mean: f64,
    /// Where that share (`level`) of the permutations lies: percentiles, not an interval of the mean.
    pub range: [f64; 2],
    /// The range's share.
    pub level: f64,
    /// One-sided: (1 + permutations that reach the AUC) / (permutations + 1).
    pub p: f64,
    /// How labels were permuted and heads fitted.
    pub method: String,
    /// The AUC of each permutation.
    pub values: Vec<f64>,
}

impl NullAuc {
    /// Sets an AUC beside those of permuted labels; `None` where there are none of either.
    ///
    /// ```
    /// # use hounsfield::eval::{NullAuc, ResultRow};
    /// # let row = r#"{"features": "z_mean", "head": "knn", "set": "test", "unit": "patient", "n_patients": 40,
    /// #     "n_rows": 200, "n_positive": 20, "metric": "auc", "value": 0.8, "ci": null, "level": 0.95, "method": ""}"#;
    /// # let row: ResultRow = serde_json::from_str(row)?;
    /// let null = NullAuc::new(&row, vec![0.5, 0.4, 0.6], "labels permuted by patient").unwrap();
    /// assert_eq!((null.mean, null.p), (0.5, 0.25));
    /// assert!(!null.is_leak());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(row: &ResultRow, values: Vec<f64>, method: &str) -> Option<Self> {
        let auc = row.value?;
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len();
        if n == 0 {
            return None;
        }
        // Equal areas of other labels may differ in the last bit where they are means over repeats.
        let reached = sorted.iter().filter(|value| **value >= auc - 1e-12).count();
        Some(Self {
            features: row.features.clone(),
            head: row.head.clone(),
            set: row.set.clone(),
            unit: row.unit,
            pool: row.pool,
            n_patients: row.n_patients,
            n_rows: row.n_rows,
            auc,
            permutations: n,
            mean: sorted.iter().sum::<f64>() / n as f64,
            range: [(1.0 - row.level) / 2.0, (1.0 + row.level) / 2.0].map(|p| quantile(&sorted, p)),
            level: row.level,
            p: (1 + reached) as f64 / (n + 1) as f64,
            method: method.to_owned(),
            values,
        })
    }

    /// Whether labels without meaning are predicted: the range lies above 0.5. On fewer than 19 permutations
    /// that is chance, and on the validation set it may be the calibration, which is fitted there.
    pub fn is_leak(&self) -> bool {
        self.range[0] > 0.5 && self.permutations >= ENOUGH && self.set != "validation"
    }

    /// What a leak's reader must know.
    pub fn warning(&self) -> Option<String> {
        self.is_leak().then(|| {
            format!(
                "labels without meaning are predicted: {} on {} reaches a mean AUC of {:.3} on {} with labels permuted by \
                 patient ({:.3} to {:.3}), so the split leaks and its AUC of {:.3} is to be compared with that, not with 0.5",
                self.head, self.features, self.mean, self.set, self.range[0], self.range[1], self.auc
            )
        })
    }
}
