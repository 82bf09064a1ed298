//! Support vector machine with the kernel exp(-gamma d²): scikit-learn's `SVC(kernel="rbf")`, scores are decision values.
//!
//! A kernel that is too narrow for the features gives every new row the same score. Hence the defaults: standardised
//! features, gamma near scikit-learn's `scale`; and [`super::FittedHead::check_scores`], which finds what slips through.

use std::{collections::BTreeMap, sync::Arc};

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Head, HeadError, Hyperparameter, Tensor64,
    hyperplane::{scalar, tensor},
    product::{Rows, map_products, squared_distances},
    smo::{Smo, Solution, cap_of_fit, cap_of_tuning},
    tuning::{C_GRID, Learner, Problem, Solved},
    value::{check_above_zero, number_or_word},
};

pub(super) const KIND: &str = "svm-rbf";

/// Beyond this the kernel matrix outgrows ordinary machines: 1.5 GiB here, several times that while tuning.
const MAX_ROWS: usize = 20_000;

/// Multiples of the scale rule among which gamma is chosen.
const GAMMA_GRID: [f64; 3] = [0.1, 1.0, 10.0];

/// The Gaussian SVM's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SvmRbfConfig {
    /// Weight of the training errors against the margin; chosen from 0.01, 0.1, 1, 10 and 100 where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c: Option<f64>,
    /// Width of the kernel; chosen from 0.1, 1 and 10 times [`Gamma::Scale`] where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<Gamma>,
    /// Whether columns are standardised on the training rows (default: yes).
    pub standardize: bool,
}

impl Default for SvmRbfConfig {
    fn default() -> Self {
        Self {
            c: None,
            gamma: None,
            standardize: true,
        }
    }
}

/// The kernel's width, in scikit-learn's words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gamma {
    /// `"scale"`: 1 / (F x variance of all values of the training matrix).
    Scale,
    /// `"auto"`: 1 / F.
    Auto,
    /// The number itself.
    Value(f64),
}

impl Serialize for Gamma {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scale => serializer.serialize_str("scale"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Value(value) => serializer.serialize_f64(*value),
        }
    }
}

impl<'de> Deserialize<'de> for Gamma {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_word(
            deserializer,
            "\"scale\", \"auto\" or a number",
            Self::Value,
            |word| match word {
                "scale" => Some(Self::Scale),
                "auto" => Some(Self::Auto),
                _ => None,
            },
        )
    }
}

impl Gamma {
    fn of(self, x: ArrayView2<'_, f64>) -> f64 {
        let features = x.ncols() as f64;
        match self {
            Self::Auto => 1.0 / features,
            Self::Value(value) => value,
            Self::Scale => {
                let mean = x.mean().unwrap_or(0.0);
                let variance = x.fold(0.0, |sum, value| sum + (value - mean).powi(2)) / x.len() as f64;
                if variance > 0.0 {
                    1.0 / (features * variance)
                } else {
                    1.0
                }
            }
        }
    }
}

/// A point of the grid: gamma is `rule` times `times`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    c: f64,
    rule: Gamma,
    times: f64,
}

impl Learner for SvmRbfConfig {
    type Point = Point;

    fn standardize(&self) -> bool {
        self.standardize
    }

    fn check(&self) -> Result<(), HeadError> {
        check_above_zero(KIND, "c", self.c)?;
        match self.gamma {
            Some(Gamma::Value(value)) => check_above_zero(KIND, "gamma", Some(value)),
            _ => Ok(()),
        }
    }

    fn check_size(&self, rows: usize) -> Result<(), HeadError> {
        check_rows(KIND, rows)
    }

    fn grid(&self, _rows: usize) -> Vec<Point> {
        let bounds = self.c.map_or_else(|| C_GRID.to_vec(), |c| vec![c]);
        let widths = match self.gamma {
            Some(rule) => vec![(rule, 1.0)],
            None => GAMMA_GRID.iter().map(|&times| (Gamma::Scale, times)).collect(),
        };
        let points = bounds
            .iter()
            .flat_map(|&c| widths.iter().map(move |&(rule, times)| Point { c, rule, times }));
        points.collect()
    }

    fn fallback(&self, _rows: usize) -> Point {
        Point {
            c: self.c.unwrap_or(1.0),
            rule: self.gamma.unwrap_or(Gamma::Scale),
            times: 1.0,
        }
    }

    fn words(&self, point: &Point) -> BTreeMap<String, Hyperparameter> {
        let gamma = match (point.rule, point.times) {
            (Gamma::Scale, 1.0) => Hyperparameter::Text("scale".to_owned()),
            (Gamma::Scale, times) => Hyperparameter::Text(format!("scale x {times}")),
            (Gamma::Auto, _) => Hyperparameter::Text("auto".to_owned()),
            (Gamma::Value(value), _) => Hyperparameter::Number(value),
        };
        BTreeMap::from([
            ("c".to_owned(), Hyperparameter::Number(point.c)),
            ("gamma".to_owned(), gamma),
        ])
    }

    fn bytes_of_fold(&self, rows: usize) -> usize {
        // Distances, and a kernel for each width at once; blocks are put together from copies.
        let widths = if self.gamma.is_some() { 1 } else { GAMMA_GRID.len() };
        (2 + widths) * kernel_bytes(rows)
    }

    fn scores_of_grid(
        &self,
        train: Problem<'_>,
        held_out: ArrayView2<'_, f64>,
        grid: &[Point],
    ) -> Result<Vec<Vec<f64>>, HeadError> {
        let rows = Rows::new(train.x);
        let distances = squared_distances(&rows, &rows);
        let distances_out = squared_distances(&Rows::new(held_out), &rows);
        let mut widths: Vec<(Gamma, f64)> = vec![];
        for point in grid {
            if !widths.contains(&(point.rule, point.times)) {
                widths.push((point.rule, point.times));
            }
        }
        let cap = cap_of_tuning(rows.len());
        // One kernel a width; bounds ascend within it, each started from the last.
        let by_width: Vec<Vec<(usize, Vec<f64>)>> = widths
            .par_iter()
            .map(|&(rule, times)| {
                let gamma = rule.of(train.x) * times;
                let kernel = gaussian(&distances, gamma);
                let kernel_out = gaussian(&distances_out, gamma);
                let mut machine = Smo::new(&kernel, train.positive);
                let of_width = |point: &Point| (point.rule, point.times) == (rule, times);
                let points = grid.iter().enumerate().filter(|(_, point)| of_width(point));
                points
                    .map(|(index, point)| (index, decisions(&kernel_out, &machine.solve(point.c, cap))))
                    .collect()
            })
            .collect();
        let mut scores: Vec<_> = by_width.into_iter().flatten().collect();
        scores.sort_by_key(|(index, _)| *index);
        Ok(scores.into_iter().map(|(_, scores)| scores).collect())
    }

    fn fit(&self, train: Problem<'_>, point: &Point) -> Result<Solved, HeadError> {
        let gamma = point.rule.of(train.x) * point.times;
        let rows = Rows::new(train.x);
        let kernel = gaussian(&squared_distances(&rows, &rows), gamma);
        let solution = Smo::new(&kernel, train.positive).solve(point.c, cap_of_fit(rows.len()));
        let support: Vec<usize> = (0..rows.len())
            .filter(|&row| solution.coefficients[row] != 0.0)
            .collect();
        let head = SvmRbf {
            support: train.x.select(Axis(0), &support),
            coefficients: support.iter().map(|&row| solution.coefficients[row]).collect(),
            bias: solution.bias,
            gamma,
        };
        let (mut notes, mut facts) = support_notes(&solution);
        notes.push("a saved svm-rbf holds the features of its support vectors".to_owned());
        facts.insert("median_squared_distance".to_owned(), median_squared_distance(train.x));
        let mut chosen = self.words(point);
        if let Some(Hyperparameter::Text(rule)) = chosen.insert("gamma".to_owned(), Hyperparameter::Number(gamma)) {
            chosen.insert("gamma_rule".to_owned(), Hyperparameter::Text(rule));
        }
        Ok(Solved {
            head: Arc::new(head),
            chosen,
            notes,
            facts,
        })
    }
}

/// A fitted Gaussian SVM.
#[derive(Debug, Clone)]
pub(super) struct SvmRbf {
    /// `[S, F]`
    support: Array2<f64>,
    coefficients: Vec<f64>,
    bias: f64,
    gamma: f64,
}

impl SvmRbf {
    pub(super) fn restore(tensors: &BTreeMap<String, Tensor64>) -> Result<Arc<dyn Head>, String> {
        let support = tensor(tensors, "support", 2)?;
        let coefficients = tensor(tensors, "coefficients", 1)?.values.clone();
        if support.shape[0] != coefficients.len() {
            let (rows, count) = (support.shape[0], coefficients.len());
            return Err(format!("{rows} support vectors have {count} coefficients"));
        }
        let support = Array2::from_shape_vec((support.shape[0], support.shape[1]), support.values.clone())
            .map_err(|error| error.to_string())?;
        Ok(Arc::new(Self {
            support,
            coefficients,
            bias: scalar(tensors, "bias")?,
            gamma: scalar(tensors, "gamma")?,
        }))
    }
}

impl Head for SvmRbf {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn feature_dim(&self) -> usize {
        self.support.ncols()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, HeadError> {
        let (rows, support) = (Rows::new(x), Rows::new(self.support.view()));
        Ok(map_products(&rows, &support, |row, products| {
            let norm = rows.norms()[row];
            let terms = products.iter().zip(support.norms()).zip(&self.coefficients);
            let decision: f64 = terms
                .map(|((product, other), a)| a * (-self.gamma * (norm + other - 2.0 * product).max(0.0)).exp())
                .sum();
            decision + self.bias
        }))
    }

    fn tensors(&self) -> BTreeMap<String, Tensor64> {
        BTreeMap::from([
            ("support".to_owned(), Tensor64::matrix(self.support.view())),
            ("coefficients".to_owned(), Tensor64::vector(self.coefficients.clone())),
            ("bias".to_owned(), Tensor64::vector(vec![self.bias])),
            ("gamma".to_owned(), Tensor64::vector(vec![self.gamma])),
        ])
    }
}

fn gaussian(distances: &[f32], gamma: f64) -> Vec<f32> {
    distances
        .par_iter()
        .map(|&distance| (-gamma * f64::from(distance)).exp() as f32)
        .collect()
}

/// Decision values of rows whose kernel values with the training rows are the rows of `kernel` `[M, N]`.
pub(super) fn decisions(kernel: &[f32], solution: &Solution) -> Vec<f64> {
    let rows = kernel.chunks(solution.coefficients.len());
    rows.map(|row| {
        let terms = row.iter().zip(&solution.coefficients).map(|(&k, a)| f64::from(k) * a);
        terms.sum::<f64>() + solution.bias
    })
    .collect()
}

/// Memory of an `[N, N]` kernel matrix.
pub(super) fn kernel_bytes(rows: usize) -> usize {
    rows * rows * size_of::<f32>()
}

/// Refuses more rows than a kernel matrix is made for.
pub(super) fn check_rows(head: &'static str, rows: usize) -> Result<(), HeadError> {
    if rows <= MAX_ROWS {
        return Ok(());
    }
    Err(HeadError::TooLarge {
        head,
        rows,
        gib: kernel_bytes(rows) as f64 / f64::from(1 << 30),
        limit: MAX_ROWS,
    })
}

/// What a report should say of a solved machine.
pub(super) fn support_notes(solution: &Solution) -> (Vec<String>, BTreeMap<String, f64>) {
    let rows = solution.coefficients.len();
    let support = solution
        .coefficients
        .iter()
        .filter(|coefficient| **coefficient != 0.0)
        .count();
    let share = 100.0 * support as f64 / rows as f64;
    let mut notes = vec![format!(
        "{support} of {rows} training rows ({share:.1} %) are support vectors"
    )];
    if !solution.converged {
        notes.push(format!(
            "the solver stopped at its cap of {} iterations before it reached its tolerance: scores are close to the \
             solution, a smaller c converges",
            solution.iterations
        ));
    }
    let facts = BTreeMap::from([
        ("support_vectors".to_owned(), support as f64),
        ("iterations".to_owned(), solution.iterations as f64),
    ]);
    (notes, facts)
}

/// The median over pairs of at most 256 rows, evenly spread over the training set.
fn median_squared_distance(x: ArrayView2<'_, f64>) -> f64 {
    let step = x.nrows().div_ceil(256);
    let rows: Vec<_> = x.rows().into_iter().step_by(step).collect();
    let mut distances: Vec<f64> = vec![];
    for (index, a) in rows.iter().enumerate() {
        for b in &rows[..index] {
            distances.push(a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum());
        }
    }
    if distances.is_empty() {
        return 0.0;
    }
    let middle = distances.len() / 2;
    *distances.select_nth_unstable_by(middle, f64::total_cmp).1
}
