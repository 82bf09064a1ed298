//! t-SNE: a map on which rows that are near in the table stay near (van der Maaten & Hinton 2008, "Visualizing Data
//! using t-SNE", <https://jmlr.org/papers/v9/vandermaaten08a.html>).
//!
//! Exact, over all pairs of rows, with the settings of scikit-learn's `TSNE(method="exact")`. It starts from the first
//! two principal components (Kobak & Berens 2019, "The art of using t-SNE for single-cell transcriptomics"), so that
//! nothing is drawn and the number of threads changes nothing.
//!
//! linfa-tsne 0.8 is what it is measured against. Its Barnes-Hut tree takes its pivots from a generator that can't be
//! seeded: two runs over 500 rows ended 12 units apart. Its exact form, which is the same every time, uses one core:
//! 2.2 s for 100 steps of 1,000 rows.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::ExplainError;

/// How the map is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tsne {
    /// How many neighbours of a row count, softly. Default: 30; no more than a third of the other rows.
    pub perplexity: f64,
    /// Steps down the gradient, the first 250 of them with neighbours pulled together. Default: 1000.
    pub iterations: usize,
}

impl Default for Tsne {
    fn default() -> Self {
        Self {
            perplexity: 30.0,
            iterations: 1000,
        }
    }
}

/// A finished map.
#[derive(Debug, Clone, PartialEq)]
pub struct TsneMap {
    /// `[N, 2]` places; only who is near whom means something.
    pub places: Array2<f64>,
    /// Kullback-Leibler divergence of the map's neighbourhoods from the table's: 0 would be a map that keeps them all.
    pub divergence: f64,
    /// The perplexity that was used.
    pub perplexity: f64,
}

/// Fewer rows have no neighbourhoods to speak of.
const LEAST_ROWS: usize = 10;

/// How much neighbours are pulled together at first, and for how many steps.
const EXAGGERATION: f64 = 12.0;
const EXAGGERATED: usize = 250;

/// Standard deviation of the first axis at the start.
const START: f64 = 1e-4;

impl Tsne {
    /// The map of `x`.
    ///
    /// ```
    /// use hounsfield::explain::Tsne;
    /// // Two groups of rows, far from each other.
    /// let x = ndarray::Array2::from_shape_fn((20, 3), |(row, column)| {
    ///     (row % 2) as f64 * 50.0 + ((row * 7 + column * 3) % 5) as f64
    /// });
    /// let map = Tsne::default().map(x.view(), x.view())?;
    /// let left_of_middle = |row: usize| map.places[[row, 0]] < 0.0;
    /// assert!((2..20).all(|row| left_of_middle(row) == left_of_middle(row % 2)));
    /// # Ok::<(), hounsfield::explain::ExplainError>(())
    /// ```
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, F]`, finite
    /// - `start`: `[N, 2]` or wider, of which two columns are taken: where the rows start, in any unit
    ///
    /// # Errors
    ///
    /// Fewer than 10 rows.
    pub fn map(&self, x: ArrayView2<'_, f64>, start: ArrayView2<'_, f64>) -> Result<TsneMap, ExplainError> {
        let n = x.nrows();
        if n < LEAST_ROWS {
            return Err(ExplainError::FewRows {
                rows: n,
                needed: LEAST_ROWS,
            });
        }
        let perplexity = self.perplexity.min((n - 1) as f64 / 3.0);
        let near = Nearness::of(x, perplexity);
        let mut places = started(start);
        // scikit-learn's `learning_rate="auto"` (Belkina et al. 2019).
        let rate = (n as f64 / EXAGGERATION / 4.0).max(50.0);
        let (mut steps, mut gains) = (vec![[0.0; 2]; n], vec![[1.0; 2]; n]);
        for iteration in 0..self.iterations {
            let (exaggeration, momentum) = match iteration < EXAGGERATED {
                true => (EXAGGERATION, 0.5),
                false => (1.0, 0.8),
            };
            let gradient = near.gradient(&places, exaggeration);
            for row in 0..n {
                for axis in 0..2 {
                    let (step, slope) = (&mut steps[row][axis], gradient[row][axis]);
                    let gain = &mut gains[row][axis];
                    // Jacobs 1988: faster where the sign stays, slower where it turns.
                    let changed = if *step * slope < 0.0 { *gain + 0.2 } else { *gain * 0.8 };
                    *gain = f64::max(changed, 0.01);
                    *step = momentum * *step - rate * *gain * slope;
                    places[row][axis] += *step;
                }
            }
        }
        centre(&mut places);
        Ok(TsneMap {
            divergence: near.divergence(&places),
            places: Array2::from_shape_fn((n, 2), |(row, axis)| places[row][axis]),
            perplexity,
        })
    }
}

/// How near all pairs of rows are: `[N, N]`, symmetric, 0 on the diagonal, with a sum of 1.
struct Nearness {
    rows: Array2<f64>,
}

impl Nearness {
    fn of(x: ArrayView2<'_, f64>, perplexity: f64) -> Self {
        let n = x.nrows();
        let x = x.as_standard_layout();
        let of_row = |row: usize| {
            let own = x.row(row);
            let squares: Vec<f64> = x
                .rows()
                .into_iter()
                .map(|other| own.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum())
                .collect();
            conditional(row, &squares, perplexity)
        };
        let conditional: Vec<Vec<f64>> = (0..n).into_par_iter().map(of_row).collect();
        let both =
            |(row, other): (usize, usize)| (conditional[row][other] + conditional[other][row]) / (2.0 * n as f64);
        Self {
            rows: Array2::from_shape_fn((n, n), both),
        }
    }

    /// The slope of the divergence for each place.
    fn gradient(&self, places: &[[f64; 2]], exaggeration: f64) -> Vec<[f64; 2]> {
        struct Forces {
            pull: [f64; 2],
            push: [f64; 2],
            sum: f64,
        }
        let forces = |row: usize| {
            let [x, y] = places[row];
            let mut forces = Forces {
                pull: [0.0; 2],
                push: [0.0; 2],
                sum: -1.0, // the row itself
            };
            for (near, place) in self.rows.row(row).iter().zip(places) {
                let apart = [x - place[0], y - place[1]];
                let heavy_tail = 1.0 / (1.0 + apart[0] * apart[0] + apart[1] * apart[1]);
                let (pull, push) = (near * heavy_tail, heavy_tail * heavy_tail);
                forces.sum += heavy_tail;
                for (axis, apart) in apart.into_iter().enumerate() {
                    forces.pull[axis] += pull * apart;
                    forces.push[axis] += push * apart;
                }
            }
            forces
        };
        let forces: Vec<Forces> = (0..places.len()).into_par_iter().map(forces).collect();
        let sum: f64 = forces.iter().map(|forces| forces.sum).sum();
        let slope =
            |forces: &Forces| [0, 1].map(|axis| 4.0 * (exaggeration * forces.pull[axis] - forces.push[axis] / sum));
        forces.iter().map(slope).collect()
    }

    fn divergence(&self, places: &[[f64; 2]]) -> f64 {
        let heavy_tail = |a: &[f64; 2], b: &[f64; 2]| 1.0 / (1.0 + (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2));
        let of_row = |place: &[f64; 2]| places.iter().map(|other| heavy_tail(place, other)).sum::<f64>() - 1.0;
        let sum: f64 = places.iter().map(of_row).sum();
        let pairs = self.rows.indexed_iter().filter(|(_, near)| **near > 0.0);
        pairs
            .map(|((row, other), near)| near * (near * sum / heavy_tail(&places[row], &places[other])).ln())
            .sum()
    }
}

/// The weights of a row's neighbours: a Gaussian as wide as makes their entropy the logarithm of the perplexity.
fn conditional(row: usize, squares: &[f64], perplexity: f64) -> Vec<f64> {
    let others = || squares.iter().enumerate().filter(|(other, _)| *other != row);
    // Counted from the nearest: the exponentials of far rows' distances alone would all be 0.
    let nearest = others().map(|(_, square)| *square).fold(f64::INFINITY, f64::min);
    let mean = others().map(|(_, square)| square - nearest).sum::<f64>() / (squares.len() - 1) as f64;
    let weights = |beta: f64| -> Vec<f64> {
        let weight = |(other, square): (usize, &f64)| match other == row {
            true => 0.0,
            false => (-beta * (square - nearest)).exp(),
        };
        squares.iter().enumerate().map(weight).collect()
    };
    let entropy = |weights: &[f64], beta: f64| {
        let sum: f64 = weights.iter().sum();
        let energy: f64 = weights
            .iter()
            .zip(squares)
            .map(|(weight, square)| weight * (square - nearest))
            .sum();
        sum.ln() + beta * energy / sum
    };
    // The entropy falls as beta grows. Halving in the logarithm ends at the spacing of floats.
    let (mut low, mut high) = (-60.0_f64, 60.0_f64);
    let scale = if mean > 0.0 { 1.0 / mean } else { 1.0 };
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        let beta = scale * middle.exp();
        match entropy(&weights(beta), beta) > perplexity.ln() {
            true => low = middle,
            false => high = middle,
        }
    }
    let mut weights = weights(scale * (0.5 * (low + high)).exp());
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

/// The first two columns, so small that no pair is far apart yet; a missing column is 0.
fn started(start: ArrayView2<'_, f64>) -> Vec<[f64; 2]> {
    let mut places: Vec<[f64; 2]> = start
        .rows()
        .into_iter()
        .map(|row| [0, 1].map(|axis| row.get(axis).copied().unwrap_or(0.0)))
        .collect();
    centre(&mut places);
    let variance = places.iter().map(|place| place[0] * place[0]).sum::<f64>() / places.len() as f64;
    if variance > 0.0 {
        let scale = START / variance.sqrt();
        places.iter_mut().flatten().for_each(|place| *place *= scale);
    }
    places
}

fn centre(places: &mut [[f64; 2]]) {
    for axis in 0..2 {
        let mean = places.iter().map(|place| place[axis]).sum::<f64>() / places.len() as f64;
        places.iter_mut().for_each(|place| place[axis] -= mean);
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::seed::stream;

    /// Two groups of 30 rows, `apart` standard deviations from each other.
    fn blobs(apart: f64) -> Array2<f64> {
        let mut rng = stream(5, "blobs");
        Array2::from_shape_fn((60, 4), |(row, _)| {
            let normal: f64 = StandardNormal.sample(&mut rng);
            normal + if row % 2 == 0 { apart } else { 0.0 }
        })
    }

    #[test]
    fn far_groups_stay_apart_and_the_map_is_the_same_on_any_number_of_threads() {
        let x = blobs(20.0);
        let map = Tsne::default().map(x.view(), x.view()).unwrap();
        let distance = |a: usize, b: usize| {
            let difference = &map.places.row(a) - &map.places.row(b);
            difference.dot(&difference).sqrt()
        };
        let within = (2..60).step_by(2).map(|row| distance(0, row)).fold(0.0, f64::max);
        let between = (1..60)
            .step_by(2)
            .map(|row| distance(0, row))
            .fold(f64::INFINITY, f64::min);
        assert!(between > within, "{between} between the groups, {within} within one");
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(map, one.install(|| Tsne::default().map(x.view(), x.view()).unwrap()));
    }

    #[test]
    fn every_row_has_as_many_neighbours_as_the_perplexity_says() {
        let x = blobs(3.0);
        for perplexity in [2.0, 15.0] {
            let squares: Vec<f64> = (0..60)
                .map(|row| (&x.row(row) - &x.row(7)).mapv(|d| d * d).sum())
                .collect();
            let weights = conditional(7, &squares, perplexity);
            let entropy: f64 = weights.iter().filter(|w| **w > 0.0).map(|w| -w * w.ln()).sum();
            assert!((entropy.exp() - perplexity).abs() < 1e-9, "{}", entropy.exp());
            assert_eq!(weights[7], 0.0);
        }
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_divergence() {
        let x = blobs(2.0);
        let near = Nearness::of(x.view(), 10.0);
        let mut places: Vec<[f64; 2]> = x.rows().into_iter().map(|row| [row[0], row[1]]).collect();
        let gradient = near.gradient(&places, 1.0);
        for (row, axis) in [(0, 0), (17, 1), (59, 0)] {
            let here = places[row][axis];
            let mut at = |step: f64| {
                places[row][axis] = here + step;
                let divergence = near.divergence(&places);
                places[row][axis] = here;
                divergence
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope - gradient[row][axis]).abs() < 1e-8,
                "{slope} and {}",
                gradient[row][axis]
            );
        }
    }

    #[test]
    fn equal_rows_and_few_rows_are_no_trouble() {
        let same = Array2::from_elem((12, 3), 1.0);
        let map = Tsne::default().map(same.view(), same.view()).unwrap();
        assert!(map.places.iter().all(|place| place.is_finite()));
        assert!(matches!(
            Tsne::default().map(same.slice(ndarray::s![..9, ..]), same.view()),
            Err(ExplainError::FewRows { rows: 9, needed: 10 })
        ));
    }
}
