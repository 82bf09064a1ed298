//! Ordinary least squares on 0 and 1, the linear model of Song et al. 2020 (R's `lm`), with an optional ridge.
//!
//! Solved by singular values, so that doubled or constant columns give the shortest solution: linfa-linear's QR was off
//! by up to 7.5e-2 in its scores on such a table. Equals scikit-learn's `LinearRegression` and `Ridge`.

use std::{collections::BTreeMap, sync::Arc};

use faer::{
    Mat, Par,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::svd::{ComputeSvdVectors, svd, svd_scratch},
};
use ndarray::{Array1, ArrayView2, Axis};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Head as _, HeadError, Hyperparameter,
    hyperplane::{Hyperplane, Link},
    tuning::{Learner, Problem, Solved},
    value::number_or_word,
};

pub(super) const KIND: &str = "linear";

/// Strongest first.
const LAMBDA_GRID: [f64; 7] = [1e4, 1e3, 1e2, 1e1, 1.0, 0.1, 0.0];

/// Least squares' settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearConfig {
    /// The ridge (default: 0, which is ordinary least squares).
    pub lambda: Lambda,
    /// Whether columns are standardised on the training rows (default: yes). Without a ridge the scores are the same.
    pub standardize: bool,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self {
            lambda: Lambda::Value(0.0),
            standardize: true,
        }
    }
}

/// Weight of the squared length of the weights in the sum of squares; the intercept is free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lambda {
    /// `"tuned"`: chosen from 0, 0.1, 1, 10, ... 10000.
    Tuned,
    /// The number itself.
    Value(f64),
}

impl Serialize for Lambda {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tuned => serializer.serialize_str("tuned"),
            Self::Value(value) => serializer.serialize_f64(*value),
        }
    }
}

impl<'de> Deserialize<'de> for Lambda {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_word(deserializer, "\"tuned\" or a number", Self::Value, |word| {
            (word == "tuned").then_some(Self::Tuned)
        })
    }
}

impl Learner for LinearConfig {
    type Point = f64;

    fn standardize(&self) -> bool {
        self.standardize
    }

    fn check(&self) -> Result<(), HeadError> {
        match self.lambda {
            Lambda::Value(value) if !(value.is_finite() && value >= 0.0) => Err(HeadError::Hyperparameter {
                head: KIND,
                name: "lambda",
                found: value.to_string(),
                expected: "\"tuned\" or a finite number, 0 or above".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn grid(&self, _rows: usize) -> Vec<f64> {
        match self.lambda {
            Lambda::Tuned => LAMBDA_GRID.to_vec(),
            Lambda::Value(value) => vec![value],
        }
    }

    fn fallback(&self, _rows: usize) -> f64 {
        match self.lambda {
            Lambda::Tuned => 0.0,
            Lambda::Value(value) => value,
        }
    }

    fn words(&self, &lambda: &f64) -> BTreeMap<String, Hyperparameter> {
        BTreeMap::from([("lambda".to_owned(), Hyperparameter::Number(lambda))])
    }

    fn scores_of_grid(
        &self,
        train: Problem<'_>,
        held_out: ArrayView2<'_, f64>,
        grid: &[f64],
    ) -> Result<Vec<Vec<f64>>, HeadError> {
        let decomposed = Decomposed::new(train)?;
        grid.iter()
            .map(|&lambda| decomposed.plane(lambda).score(held_out))
            .collect()
    }

    fn fit(&self, train: Problem<'_>, &lambda: &f64) -> Result<Solved, HeadError> {
        let decomposed = Decomposed::new(train)?;
        let (rank, features) = (decomposed.rank, train.x.ncols());
        let mut notes = vec![];
        if rank < features {
            notes.push(format!(
                "{rank} of {features} columns are independent on {} rows: the shortest solution was taken",
                train.x.nrows()
            ));
        }
        Ok(Solved {
            head: Arc::new(decomposed.plane(lambda)),
            chosen: self.words(&lambda),
            notes,
            facts: BTreeMap::from([("rank".to_owned(), rank as f64)]),
        })
    }
}

/// The centred training matrix as U diag(s) Vᵀ: every ridge is then a division.
struct Decomposed {
    column_means: Array1<f64>,
    target_mean: f64,
    singular: Vec<f64>,
    /// Uᵀ y
    turned: Vec<f64>,
    right: Mat<f64>,
    rank: usize,
}

impl Decomposed {
    fn new(train: Problem<'_>) -> Result<Self, HeadError> {
        let (rows, features) = train.x.dim();
        let column_means = train.x.mean_axis(Axis(0)).expect("a training set has rows");
        let target = |row: usize| f64::from(u8::from(train.positive[row]));
        let target_mean = (0..rows).map(target).sum::<f64>() / rows as f64;
        let centred = Mat::from_fn(rows, features, |row, column| {
            train.x[[row, column]] - column_means[column]
        });

        let size = rows.min(features);
        let (mut left, mut right) = (Mat::<f64>::zeros(rows, size), Mat::<f64>::zeros(features, size));
        let mut singular = Diag::<f64>::zeros(size);
        // One thread: the folds run beside each other, and the result must not depend on how many threads there are.
        let thin = ComputeSvdVectors::Thin;
        let scratch = svd_scratch::<f64>(rows, features, thin, thin, Par::Seq, Default::default());
        svd(
            centred.as_ref(),
            singular.as_mut(),
            Some(left.as_mut()),
            Some(right.as_mut()),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Default::default(),
        )
        .map_err(|error| HeadError::Solver {
            head: KIND,
            reason: format!("{error:?}"),
        })?;

        let singular: Vec<f64> = singular.column_vector().iter().copied().collect();
        // numpy's rank: what is below is rounding.
        let largest = singular.first().copied().unwrap_or(0.0);
        let floor = largest * rows.max(features) as f64 * f64::EPSILON;
        let rank = singular.iter().take_while(|s| **s > floor).count();
        let turned = (0..rank)
            .map(|k| (0..rows).map(|row| left[(row, k)] * (target(row) - target_mean)).sum())
            .collect();
        Ok(Self {
            column_means,
            target_mean,
            singular,
            turned,
            right,
            rank,
        })
    }

    fn plane(&self, lambda: f64) -> Hyperplane {
        let mut weights = vec![0.0; self.right.nrows()];
        for k in 0..self.rank {
            let s = self.singular[k];
            let factor = self.turned[k] * s / (s * s + lambda);
            for (column, weight) in weights.iter_mut().enumerate() {
                *weight += factor * self.right[(column, k)];
            }
        }
        let at_mean: f64 = weights.iter().zip(&self.column_means).map(|(w, x)| w * x).sum();
        Hyperplane {
            kind: KIND,
            link: Link::Identity,
            weights,
            intercept: self.target_mean - at_mean,
        }
    }
}
