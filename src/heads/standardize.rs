//! Columns of mean 0 and standard deviation 1, as scikit-learn's `StandardScaler` makes them.

use ndarray::{Array2, ArrayView2, Axis};

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
        let rows = x.nrows() as f64;
        let (mut means, mut scales, mut constant) = (vec![], vec![], 0);
        for column in x.axis_iter(Axis(1)) {
            let first = column.first().copied().unwrap_or(0.0);
            let mean = column.iter().sum::<f64>() / rows;
            // The second term takes back the rounding of the mean (Chan, Golub & LeVeque 1983, eq. 1.7).
            let square = column.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            let slip = column.iter().map(|value| value - mean).sum::<f64>();
            let variance = (square - slip * slip / rows) / rows;
            // The bound of scikit-learn's `_is_constant_feature`.
            let rounding = rows * f64::EPSILON * variance + (rows * mean * f64::EPSILON).powi(2);
            let same = column.iter().all(|&value| value == first);
            if same || variance <= rounding {
                constant += 1;
                means.push(if same { first } else { mean });
                scales.push(1.0);
            } else {
                means.push(mean);
                scales.push(variance.sqrt());
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
        Array2::from_shape_fn(x.dim(), |(row, column)| {
            (x[[row, column]] - self.mean[column]) / self.scale[column]
        })
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
