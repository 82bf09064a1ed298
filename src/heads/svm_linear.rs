//! Support vector machine without a kernel: scikit-learn's `SVC(kernel="linear")`, scores are decision values.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    HeadError, Hyperparameter,
    hyperplane::{Hyperplane, Link},
    product::{Rows, inner_products},
    smo::{Smo, cap_of_fit, cap_of_tuning},
    svm_rbf::{check_rows, decisions, kernel_bytes, support_notes},
    tuning::{C_GRID, Learner, Problem, Solved},
    value::check_above_zero,
};

pub(super) const KIND: &str = "svm-linear";

/// The linear SVM's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SvmLinearConfig {
    /// Weight of the training errors against the margin; chosen from 0.01, 0.1, 1, 10 and 100 where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c: Option<f64>,
    /// Whether columns are standardised on the training rows (default: yes).
    pub standardize: bool,
}

impl Default for SvmLinearConfig {
    fn default() -> Self {
        Self {
            c: None,
            standardize: true,
        }
    }
}

impl Learner for SvmLinearConfig {
    type Point = f64;

    fn standardize(&self) -> bool {
        self.standardize
    }

    fn check(&self) -> Result<(), HeadError> {
        check_above_zero(KIND, "c", self.c)
    }

    fn check_size(&self, rows: usize) -> Result<(), HeadError> {
        check_rows(KIND, rows)
    }

    fn grid(&self, _rows: usize) -> Vec<f64> {
        self.c.map_or_else(|| C_GRID.to_vec(), |c| vec![c])
    }

    fn fallback(&self, _rows: usize) -> f64 {
        self.c.unwrap_or(1.0)
    }

    fn words(&self, &c: &f64) -> BTreeMap<String, Hyperparameter> {
        BTreeMap::from([("c".to_owned(), Hyperparameter::Number(c))])
    }

    fn bytes_of_fold(&self, rows: usize) -> usize {
        2 * kernel_bytes(rows)
    }

    fn scores_of_grid(
        &self,
        train: Problem<'_>,
        held_out: ndarray::ArrayView2<'_, f64>,
        grid: &[f64],
    ) -> Result<Vec<Vec<f64>>, HeadError> {
        let rows = Rows::new(train.x);
        let kernel = inner_products(&rows, &rows);
        let kernel_out = inner_products(&Rows::new(held_out), &rows);
        let mut machine = Smo::new(&kernel, train.positive);
        let cap = cap_of_tuning(rows.len());
        Ok(grid
            .iter()
            .map(|&c| decisions(&kernel_out, &machine.solve(c, cap)))
            .collect())
    }

    fn fit(&self, train: Problem<'_>, &c: &f64) -> Result<Solved, HeadError> {
        let rows = Rows::new(train.x);
        let kernel = inner_products(&rows, &rows);
        let solution = Smo::new(&kernel, train.positive).solve(c, cap_of_fit(rows.len()));
        let mut weights = vec![0.0; train.x.ncols()];
        for (row, coefficient) in solution.coefficients.iter().enumerate() {
            if *coefficient != 0.0 {
                for (weight, x) in weights.iter_mut().zip(rows.row(row)) {
                    *weight += coefficient * x;
                }
            }
        }
        let (notes, facts) = support_notes(&solution);
        Ok(Solved {
            head: Arc::new(Hyperplane {
                kind: KIND,
                link: Link::Identity,
                weights,
                intercept: solution.bias,
            }),
            chosen: self.words(&c),
            notes,
            facts,
        })
    }
}
