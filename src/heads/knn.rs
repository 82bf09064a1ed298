//! Nearest neighbours by Euclidean distance: scikit-learn's `KNeighborsClassifier(k)`, scores are the share of positives.
//!
//! Distances come from a blocked matrix product; the few rows that may be among the nearest are measured again exactly.
//! linfa-nn 0.8 is an index without a classifier: 500 queries among 2,500 rows of 120 features took its linear search
//! 1.25 s and this 0.028 s on the same two busy cores (its one thread, our two; dev profile, `benches/pure.rs`), and an
//! encoder's 4,096 columns are where the difference grows. The product is needed for kernels anyway.

use std::{collections::BTreeMap, sync::Arc};

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::{
    Head, HeadError, Hyperparameter, Tensor64,
    hyperplane::{scalar, tensor},
    product::{Rows, map_products},
    tuning::{Learner, Problem, Solved},
};

pub(super) const KIND: &str = "knn";

/// Most neighbours first: the smoothest.
const K_GRID: [usize; 6] = [25, 15, 9, 5, 3, 1];

/// The nearest neighbours' settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnnConfig {
    /// Number of neighbours that vote; chosen from 1, 3, 5, 9, 15 and 25 where it is not given. Of rows equally far the
    /// one that comes first in the training set votes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// Whether columns are standardised on the training rows (default: yes).
    pub standardize: bool,
}

impl Default for KnnConfig {
    fn default() -> Self {
        Self {
            k: None,
            standardize: true,
        }
    }
}

impl Learner for KnnConfig {
    type Point = usize;

    fn standardize(&self) -> bool {
        self.standardize
    }

    fn check(&self) -> Result<(), HeadError> {
        match self.k {
            Some(0) => Err(k_out_of_range(0, "1 or more")),
            _ => Ok(()),
        }
    }

    fn check_size(&self, rows: usize) -> Result<(), HeadError> {
        match self.k {
            Some(k) if k > rows => Err(k_out_of_range(k, &format!("at most the {rows} training rows"))),
            _ => Ok(()),
        }
    }

    fn grid(&self, rows: usize) -> Vec<usize> {
        match self.k {
            Some(k) => vec![k],
            // Were all rows to vote, all scores would be equal.
            None => K_GRID.into_iter().filter(|&k| k == 1 || k < rows).collect(),
        }
    }

    fn fallback(&self, rows: usize) -> usize {
        // Of very few rows not all: see `grid`.
        self.k.unwrap_or_else(|| 5.min(rows.saturating_sub(1)).max(1))
    }

    fn words(&self, &k: &usize) -> BTreeMap<String, Hyperparameter> {
        BTreeMap::from([("k".to_owned(), Hyperparameter::Number(k as f64))])
    }

    fn scores_of_grid(
        &self,
        train: Problem<'_>,
        held_out: ArrayView2<'_, f64>,
        grid: &[usize],
    ) -> Result<Vec<Vec<f64>>, HeadError> {
        let most = grid.iter().copied().max().unwrap_or(1);
        let neighbours = nearest(&Rows::new(train.x), &Rows::new(held_out), most);
        Ok(grid.iter().map(|&k| shares(&neighbours, train.positive, k)).collect())
    }

    fn fit(&self, train: Problem<'_>, &k: &usize) -> Result<Solved, HeadError> {
        Ok(Solved {
            head: Arc::new(Knn {
                x: train.x.to_owned(),
                positive: train.positive.to_vec(),
                k,
            }),
            chosen: self.words(&k),
            notes: vec!["a saved knn holds the features of all training rows".to_owned()],
            facts: BTreeMap::new(),
        })
    }
}

fn k_out_of_range(k: usize, expected: &str) -> HeadError {
    HeadError::Hyperparameter {
        head: KIND,
        name: "k",
        found: k.to_string(),
        expected: expected.to_owned(),
    }
}

/// Training rows that vote.
#[derive(Debug, Clone)]
pub(super) struct Knn {
    /// `[N, F]`
    x: Array2<f64>,
    positive: Vec<bool>,
    k: usize,
}

impl Knn {
    pub(super) fn restore(tensors: &BTreeMap<String, Tensor64>) -> Result<Arc<dyn Head>, String> {
        let x = tensor(tensors, "x", 2)?;
        let positive: Vec<bool> = tensor(tensors, "positive", 1)?
            .values
            .iter()
            .map(|p| *p != 0.0)
            .collect();
        let k = scalar(tensors, "k")?;
        if x.shape[0] != positive.len() || k < 1.0 || k.fract() != 0.0 || k > positive.len() as f64 {
            let (rows, labels) = (x.shape[0], positive.len());
            return Err(format!("{rows} rows, {labels} labels and k = {k} do not go together"));
        }
        let x = Array2::from_shape_vec((x.shape[0], x.shape[1]), x.values.clone()).map_err(|e| e.to_string())?;
        Ok(Arc::new(Self {
            x,
            positive,
            k: k as usize,
        }))
    }
}

impl Head for Knn {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn feature_dim(&self) -> usize {
        self.x.ncols()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, HeadError> {
        let neighbours = nearest(&Rows::new(self.x.view()), &Rows::new(x), self.k);
        Ok(shares(&neighbours, &self.positive, self.k))
    }

    fn tensors(&self) -> BTreeMap<String, Tensor64> {
        let positive = self.positive.iter().map(|&p| f64::from(u8::from(p))).collect();
        BTreeMap::from([
            ("x".to_owned(), Tensor64::matrix(self.x.view())),
            ("positive".to_owned(), Tensor64::vector(positive)),
            ("k".to_owned(), Tensor64::vector(vec![self.k as f64])),
        ])
    }
}

/// Share of positives among the first `k` neighbours of each row.
fn shares(neighbours: &[Vec<usize>], positive: &[bool], k: usize) -> Vec<f64> {
    let votes = |row: &Vec<usize>| row[..k].iter().filter(|&&neighbour| positive[neighbour]).count();
    neighbours.iter().map(|row| votes(row) as f64 / k as f64).collect()
}

/// The `k` training rows nearest to each query, nearest first; of equal ones the one that comes first.
fn nearest(train: &Rows<'_>, queries: &Rows<'_>, k: usize) -> Vec<Vec<usize>> {
    let longest = train.norms().iter().copied().fold(0.0, f64::max);
    map_products(queries, train, |row, values| {
        let query = queries.row(row);
        // Squared distance less the query's own length, which is the same for all.
        for (value, norm) in values.iter_mut().zip(train.norms()) {
            *value = norm - 2.0 * *value;
        }
        // A product of F terms is off by at most F eps |a||b| (Higham 2002, eq. 3.5), each norm likewise; |a||b| is at most
        // the mean of the squares. Twice that bound beyond the k-th lies everything that could belong to the nearest.
        let slip = 2.0 * (query.len() + 4) as f64 * f64::EPSILON * (queries.norms()[row] + longest);
        let mut order = values.to_vec();
        let (_, kth, _) = order.select_nth_unstable_by(k - 1, f64::total_cmp);
        let reach = *kth + 2.0 * slip;
        let candidates = (0..values.len()).filter(|&other| values[other] <= reach);
        let mut measured: Vec<(f64, usize)> = candidates
            .map(|other| {
                let pairs = query.iter().zip(train.row(other));
                (pairs.map(|(a, b)| (a - b) * (a - b)).sum(), other)
            })
            .collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        measured.into_iter().take(k).map(|(_, other)| other).collect()
    })
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    #[test]
    fn neighbours_are_those_of_a_plain_search_even_among_twins_far_from_the_origin() {
        let mut rng = crate::seed::stream(0, "knn");
        // Few distinct values on a far offset: ties abound, and products alone can't tell near from nearest.
        let x = Array2::from_shape_fn((300, 7), |_| 1e6 + f64::from(rng.random_range(0_u8..3)) * 1e-3);
        let queries = x.select(ndarray::Axis(0), &[3, 70, 71, 299]);
        let found = nearest(&Rows::new(x.view()), &Rows::new(queries.view()), 12);
        for (query, found) in queries.rows().into_iter().zip(found) {
            let mut order: Vec<(f64, usize)> = x
                .rows()
                .into_iter()
                .enumerate()
                .map(|(row, other)| (query.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum(), row))
                .collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            assert_eq!(found, order[..12].iter().map(|(_, row)| *row).collect::<Vec<_>>());
        }
    }
}
