//! Columns of mean 0 and standard deviation 1, as scikit-learn's `StandardScaler` makes them.

use ndarray::{Array2, ArrayView2};

/// Mean and scale of each column, of the training rows only.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardizer {
    mean: Vec<f64>,
    scale: Vec<f64>,
    constant: usize,
}

impl Standardizer {
    /// Takes the mean and the population standard deviation (divided by N) of each column of `x` `[N, F]`.
    ///
    /// A column that does not vary beyond rounding keeps scale 1: it becomes zeros rather than amplified rounding.
    pub fn fit(x: ArrayView2<'_, f64>) -> Self {
        let (rows, features) = (x.nrows() as f64, x.ncols());
        // Row after row, as tables lie in memory: column after column took several times as long on 4,096 columns.
        let first: Vec<f64> = x
            .rows()
            .into_iter()
            .next()
            .map_or(vec![0.0; features], |row| row.to_vec());
        let (mut means, mut same) = (vec![0.0; features], vec![true; features]);
        for row in x.rows() {
            for (((sum, same), value), first) in means.iter_mut().zip(&mut same).zip(row).zip(&first) {
                *sum += value;
                *same &= value == first;
            }
        }
        means.iter_mut().for_each(|sum| *sum /= rows);
        let (mut squares, mut slips) = (vec![0.0; features], vec![0.0; features]);
        for row in x.rows() {
            for (((square, slip), value), mean) in squares.iter_mut().zip(&mut slips).zip(row).zip(&means) {
                let from_mean = value - mean;
                *square += from_mean * from_mean;
                *slip += from_mean;
            }
        }
        let (mut scales, mut constant) = (vec![1.0; features], 0);
        for column in 0..features {
            // The second term takes back the rounding of the mean (Chan, Golub & LeVeque 1983, eq. 1.7).
            let variance = (squares[column] - slips[column] * slips[column] / rows) / rows;
            // The bound of scikit-learn's `_is_constant_feature`.
            let rounding = rows * f64::EPSILON * variance + (rows * means[column] * f64::EPSILON).powi(2);
            if same[column] {
                means[column] = first[column];
            }
            if same[column] || variance <= rounding {
                constant += 1;
            } else {
                scales[column] = variance.sqrt();
            }
        }
        Self {
            mean: means,
            scale: scales,
            constant,
        }
    }

    /// From a file; `None` where lengths differ or a scale is not above zero.
    pub(super) fn from_parts(mean: Vec<f64>, scale: Vec<f64>, constant: usize) -> Option<Self> {
        let whole = mean.len() == scale.len() && scale.iter().all(|scale| *scale > 0.0);
        whole.then_some(Self { mean, scale, constant })
    }

    /// `[N, F]` to `[N, F]`: subtracts the means, divides by the scales.
    ///
    /// # Panics
    ///
    /// Where `x` has other columns than the rows it was fitted on.
    pub fn apply(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        assert_eq!(x.ncols(), self.mean.len(), "columns of the standardizer");
        // Row by row whatever the layout of `x`: products below want rows in one piece.
        let mut standardized = Array2::zeros(x.dim());
        for (mut to, from) in standardized.rows_mut().into_iter().zip(x.rows()) {
            for (((to, from), mean), scale) in to.iter_mut().zip(from).zip(&self.mean).zip(&self.scale) {
                *to = (from - mean) / scale;
            }
        }
        standardized
    }

    /// Columns that do not vary.
    pub fn constant_columns(&self) -> usize {
        self.constant
    }

    /// `F` means.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// `F` standard deviations, 1 where the column is constant.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Expected: `StandardScaler().fit_transform([[1, 5.1, 0], [2, 5.1, 10], [4, 5.1, 20]])`, scikit-learn 1.9.1.
    #[test]
    fn columns_become_those_of_scikit_learn() {
        let x = array![[1.0, 5.1, 0.0], [2.0, 5.1, 10.0], [4.0, 5.1, 20.0]];
        let fitted = Standardizer::fit(x.view());
        assert_eq!(fitted.constant_columns(), 1);
        let expected = array![
            [-1.0690449676496976, 0.0, -1.224744871391589],
            [-0.2672612419124243, 0.0, 0.0],
            [1.3363062095621219, 0.0, 1.224744871391589]
        ];
        let difference = (fitted.apply(x.view()) - expected).mapv(f64::abs).sum();
        assert!(difference < 1e-14, "off by {difference}");
    }

    #[test]
    fn a_far_offset_is_not_taken_for_variance() {
        let x = Array2::from_shape_fn((50, 1), |(row, _)| 1e9 + (row % 2) as f64 * 1e-3);
        let fitted = Standardizer::fit(x.view());
        assert_eq!(fitted.constant_columns(), 0);
        assert!((fitted.scale()[0] / 0.5e-3 - 1.0).abs() < 1e-3, "{}", fitted.scale()[0]);
        let same = Standardizer::fit(Array2::from_elem((7, 2), 0.1).view());
        assert_eq!((same.constant_columns(), same.scale()), (2, [1.0, 1.0].as_slice()));
    }
}
