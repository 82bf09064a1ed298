//! Logistic regression with an L2 penalty: scikit-learn's `LogisticRegression(C=c)`, scores are probabilities.
//!
//! Minimises |w|²/2 + c sum log(1 + exp(-y (w·x + b))), the intercept b is free. Solved by linfa-logistic (L-BFGS). At its
//! default tolerance of 1e-4 probabilities were up to 1.2e-3 from scikit-learn's (more features than rows, c = 100);
//! at 1e-8 they are within 1e-7 on every set of `tests/oracles/make_heads.py`, for 1.2 to 2.2 times the time: 0.4 s for
//! 4,000 rows of 120 features, 2.6 to 11 s for 1,600 rows of 2,048. linfa calls the larger class positive; its labels
//! are read here.

use std::{collections::BTreeMap, sync::Arc};

use linfa::{DatasetBase, prelude::Fit as _};
use linfa_logistic::{FittedLogisticRegression, LogisticRegression};
use ndarray::{Array1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::{
    Head as _, HeadError, Hyperparameter,
    hyperplane::{Hyperplane, Link},
    tuning::{C_GRID, Learner, Problem, Solved},
    value::check_above_zero,
};

pub(super) const KIND: &str = "logistic";

/// Length of the gradient that counts as solved, tried one after the other: near the minimum a line search can fail on
/// rounding alone.
const TOLERANCES: [f64; 3] = [1e-8, 1e-6, 1e-4];

/// While tuning only ranks are looked at.
const TUNING_TOLERANCES: [f64; 2] = [1e-5, 1e-4];

/// Far beyond what any set of the oracle needed: this only ends what would never end.
const MAX_ITERATIONS: u64 = 10_000;

/// The logistic regression's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogisticConfig {
    /// Inverse strength of the penalty; chosen from 0.01, 0.1, 1, 10 and 100 where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c: Option<f64>,
    /// Whether columns are standardised on the training rows (default: yes).
    pub standardize: bool,
}

impl Default for LogisticConfig {
    fn default() -> Self {
        Self {
            c: None,
            standardize: true,
        }
    }
}

impl Learner for LogisticConfig {
    type Point = f64;

    fn standardize(&self) -> bool {
        self.standardize
    }

    fn check(&self) -> Result<(), HeadError> {
        check_above_zero(KIND, "c", self.c)
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

    fn scores_of_grid(
        &self,
        train: Problem<'_>,
        held_out: ArrayView2<'_, f64>,
        grid: &[f64],
    ) -> Result<Vec<Vec<f64>>, HeadError> {
        // Each c starts from the solution of the last, which lies nearby.
        let mut start = None;
        let mut scores = vec![];
        for &c in grid {
            let (plane, _) = solve(train, c, &TUNING_TOLERANCES, start.as_ref())?;
            scores.push(plane.score(held_out)?);
            start = Some(plane);
        }
        Ok(scores)
    }

    fn fit(&self, train: Problem<'_>, &c: &f64) -> Result<Solved, HeadError> {
        let (plane, tolerance) = solve(train, c, &TOLERANCES, None)?;
        let mut notes = vec![];
        if tolerance > TOLERANCES[0] {
            notes.push(format!(
                "the solver reached a gradient of {tolerance:e} only, {:e} was asked",
                TOLERANCES[0]
            ));
        }
        Ok(Solved {
            head: Arc::new(plane),
            chosen: self.words(&c),
            notes,
            facts: BTreeMap::new(),
        })
    }
}

/// The plane, and the tolerance that was reached.
fn solve(
    train: Problem<'_>,
    c: f64,
    tolerances: &[f64],
    start: Option<&Hyperplane>,
) -> Result<(Hyperplane, f64), HeadError> {
    let targets = Array1::from_iter(train.positive.iter().copied());
    let data = DatasetBase::new(train.x, targets);
    let mut reason = String::new();
    for &tolerance in tolerances {
        let mut solver = LogisticRegression::default()
            .alpha(1.0 / c)
            .gradient_tolerance(tolerance)
            .max_iterations(MAX_ITERATIONS);
        if let Some(start) = start {
            // linfa's larger class is positive, so the plane is turned into its sense.
            let sense = if larger_is_positive(train.positive) { 1.0 } else { -1.0 };
            let values = start
                .weights
                .iter()
                .chain([&start.intercept])
                .map(|value| value * sense);
            solver = solver.initial_params(values.collect());
        }
        match solver.fit(&data) {
            Ok(fitted) => return Ok((plane(&fitted), tolerance)),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(HeadError::Solver { head: KIND, reason })
}

fn plane(fitted: &FittedLogisticRegression<f64, bool>) -> Hyperplane {
    let sense = if fitted.labels().pos.class { 1.0 } else { -1.0 };
    Hyperplane {
        kind: KIND,
        link: Link::Logistic,
        weights: fitted.params().iter().map(|weight| weight * sense).collect(),
        intercept: fitted.intercept() * sense,
    }
}

/// A start in the wrong sense costs iterations, never the result: which of two equal classes linfa takes does not matter.
fn larger_is_positive(positive: &[bool]) -> bool {
    2 * positive.iter().filter(|positive| **positive).count() > positive.len()
}
