//! A ridge system with weighted rows, factored in the smaller of its two spaces: what each step of iteratively reweighted
//! least squares solves.
//!
//! With S the rows of X less their weighted mean, each times the root of its weight, the weights of the columns are
//! (SᵀS + lambda)⁻¹ Sᵀ q or, which is the same vector, Sᵀ (SSᵀ + lambda)⁻¹ q: features by features for tall tables, rows by
//! rows for wide ones.

use faer::{
    Accum, Mat, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        cholesky::llt::{
            factor::{cholesky_in_place, cholesky_in_place_scratch},
            solve::{solve_in_place, solve_in_place_scratch},
        },
        matmul::{
            matmul,
            triangular::{self, BlockStructure},
        },
    },
};
use ndarray::{ArrayView2, Axis};

/// A table whose columns have mean 0.
pub(super) struct Centred {
    /// `[N, F]` row after row.
    values: Vec<f64>,
    rows: usize,
    features: usize,
    pub(super) means: Vec<f64>,
    /// `[N, N]` lower half of the inner products of the rows; tall tables have none.
    gram: Option<Mat<f64>>,
}

impl Centred {
    pub(super) fn new(x: ArrayView2<'_, f64>) -> Self {
        let (rows, features) = x.dim();
        let means = x.mean_axis(Axis(0)).expect("a training set has rows");
        let values: Vec<f64> = (&x - &means).iter().copied().collect();
        let table = MatRef::from_row_major_slice(&values, rows, features);
        let gram = (rows < features).then(|| lower_product(table));
        Self {
            values,
            rows,
            features,
            means: means.to_vec(),
            gram,
        }
    }

    /// `N` sums of the columns, each times its weight.
    pub(super) fn times(&self, weights: &[f64]) -> Vec<f64> {
        product(self.table(), weights)
    }

    /// `F` sums of the rows, each times its weight.
    pub(super) fn transposed_times(&self, weights: &[f64]) -> Vec<f64> {
        product(self.table().transpose(), weights)
    }

    fn table(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.values, self.rows, self.features)
    }

    /// The weights w of the columns that minimise sum over rows of `weight` (target - (x - mean)·w)² + `lambda` |w|²,
    /// where `mean` is the weighted mean of the rows and `pull` is weight x target. `None` where the system is singular
    /// to machine precision.
    pub(super) fn solve(&self, weight: &[f64], mean: &[f64], pull: &[f64], lambda: f64) -> Option<Vec<f64>> {
        let roots: Vec<f64> = weight.iter().map(|weight| weight.sqrt()).collect();
        let Some(gram) = &self.gram else {
            let mut scaled = Vec::with_capacity(self.values.len());
            for (row, root) in self.values.chunks(self.features).zip(&roots) {
                scaled.extend(row.iter().zip(mean).map(|(x, mean)| root * (x - mean)));
            }
            let table = MatRef::from_row_major_slice(&scaled, self.rows, self.features);
            let scaled_pull: Vec<f64> = pull.iter().zip(&roots).map(|(pull, root)| pull / root).collect();
            let right = product(table.transpose(), &scaled_pull);
            return solve_positive(lower_product(table.transpose()), lambda, right);
        };
        // Inner products of rows less the weighted mean, out of those of the rows.
        let total: f64 = weight.iter().sum();
        let shares: Vec<f64> = weight.iter().map(|weight| weight / total).collect();
        let with_mean = self.times(mean);
        let mean_squared: f64 = shares
            .iter()
            .zip(&with_mean)
            .map(|(share, product)| share * product)
            .sum();
        let mut system = Mat::<f64>::zeros(self.rows, self.rows);
        for column in 0..self.rows {
            let from = gram.col_as_slice(column);
            let into = system.col_as_slice_mut(column);
            let (root, shift) = (roots[column], mean_squared - with_mean[column]);
            for row in column..self.rows {
                into[row] = root * roots[row] * (from[row] + shift - with_mean[row]);
            }
        }
        let right = pull.iter().zip(&roots).map(|(pull, root)| pull / root).collect();
        let mut dual = solve_positive(system, lambda, right)?;
        for (dual, root) in dual.iter_mut().zip(&roots) {
            *dual *= root;
        }
        let sum: f64 = dual.iter().sum();
        let mut solution = self.transposed_times(&dual);
        for (solution, mean) in solution.iter_mut().zip(mean) {
            *solution -= sum * mean;
        }
        Some(solution)
    }
}

// One thread everywhere: folds run beside each other, and results must not depend on how many threads there are.

fn product(table: MatRef<'_, f64>, vector: &[f64]) -> Vec<f64> {
    let mut result = vec![0.0; table.nrows()];
    matmul(
        MatMut::from_column_major_slice_mut(&mut result, table.nrows(), 1),
        Accum::Replace,
        table,
        MatRef::from_column_major_slice(vector, table.ncols(), 1),
        1.0,
        Par::Seq,
    );
    result
}

/// Lower half of A Aᵀ.
fn lower_product(table: MatRef<'_, f64>) -> Mat<f64> {
    let mut result = Mat::<f64>::zeros(table.nrows(), table.nrows());
    triangular::matmul(
        result.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        table,
        BlockStructure::Rectangular,
        table.transpose(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
    result
}

/// Solves (A + lambda) x = b by Cholesky; `system` is the lower half of A.
fn solve_positive(mut system: Mat<f64>, lambda: f64, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let size = right.len();
    for k in 0..size {
        system[(k, k)] += lambda;
    }
    let scratch = cholesky_in_place_scratch::<f64>(size, Par::Seq, Default::default())
        .or(solve_in_place_scratch::<f64>(size, 1, Par::Seq));
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    cholesky_in_place(system.as_mut(), Default::default(), Par::Seq, stack, Default::default()).ok()?;
    solve_in_place(
        system.as_ref(),
        MatMut::from_column_major_slice_mut(&mut right, size, 1),
        Par::Seq,
        stack,
    );
    right.iter().all(|value| value.is_finite()).then_some(right)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::RngExt as _;

    use super::*;

    /// The gradient of the weighted sum of squares is 0 at the solution, for tall tables and for wide ones.
    #[test]
    fn both_spaces_give_the_minimum() {
        let mut rng = crate::seed::stream(0, "ridge");
        for (rows, features) in [(40, 7), (12, 30), (9, 9)] {
            let x = Array2::from_shape_fn((rows, features), |_| 3.0 + rng.random::<f64>());
            let weight: Vec<f64> = (0..rows).map(|_| 0.01 + rng.random::<f64>()).collect();
            let target: Vec<f64> = (0..rows).map(|_| rng.random::<f64>()).collect();
            let total: f64 = weight.iter().sum();
            let centred = Centred::new(x.view());
            let mean: Vec<f64> = centred
                .transposed_times(&weight)
                .iter()
                .map(|sum| sum / total)
                .collect();
            let pull: Vec<f64> = weight
                .iter()
                .zip(&target)
                .map(|(weight, target)| weight * target)
                .collect();
            let w = centred.solve(&weight, &mean, &pull, 0.3).unwrap();

            let offset: f64 = mean.iter().zip(&w).map(|(mean, w)| mean * w).sum();
            let fitted = centred.times(&w);
            let errors: Vec<f64> = (0..rows)
                .map(|row| weight[row] * (target[row] - fitted[row] + offset))
                .collect();
            let sum: f64 = errors.iter().sum();
            for (column, back) in centred.transposed_times(&errors).iter().enumerate() {
                let gradient = back - sum * mean[column] - 0.3 * w[column];
                assert!(gradient.abs() < 1e-10, "{rows} x {features}: {gradient:e}");
            }
        }
    }
}
