//! A walk through feature space along the direction that a linear head reads.

use ndarray::{Array2, ArrayView1};

use super::ExplainError;

/// The steps of a walk, in standard deviations of the head's score.
pub const STEPS: [f64; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];

/// The direction that a linear head reads: its score rises with the sum of weights times features.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// `F` weights, on the features' own scale.
    pub weights: Vec<f64>,
    /// Standard deviation of the sum over the slices of the study.
    pub sd: f64,
}

impl Direction {
    /// From a slice's features to those whose sum is `steps` standard deviations higher, on the shortest way.
    ///
    /// ```
    /// use hounsfield::explain::Direction;
    /// let direction = Direction { weights: vec![3.0, 4.0], sd: 5.0 };
    /// let walked = direction.walk(ndarray::aview1(&[1.0, 1.0]), &[0.0, 2.0])?;
    /// // A step of 0 stays; two standard deviations raise 3 x + 4 y by 10.
    /// assert_eq!(walked, ndarray::array![[1.0, 1.0], [2.2, 2.6]]);
    /// # Ok::<(), hounsfield::explain::ExplainError>(())
    /// ```
    ///
    /// # Shapes
    ///
    /// - `from`: `F`
    /// - output: `[steps, F]`
    ///
    /// # Errors
    ///
    /// A direction of another width, and one without a length.
    pub fn walk(&self, from: ArrayView1<'_, f64>, steps: &[f64]) -> Result<Array2<f64>, ExplainError> {
        let (found, expected) = (self.weights.len(), from.len());
        if found != expected {
            return Err(ExplainError::Width { found, expected });
        }
        let squared_length: f64 = self.weights.iter().map(|weight| weight * weight).sum();
        if squared_length == 0.0 {
            return Err(ExplainError::NoDirection);
        }
        let at = |(step, feature): (usize, usize)| {
            from[feature] + steps[step] * self.sd * self.weights[feature] / squared_length
        };
        Ok(Array2::from_shape_fn((steps.len(), expected), at))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, aview1};

    use super::*;

    #[test]
    fn every_step_raises_the_sum_by_one_standard_deviation() {
        let weights: Vec<f64> = (0..12).map(|k| f64::from(k) - 4.5).collect();
        let from: Array1<f64> = (0..12).map(|k| f64::from(k * k) / 7.0).collect();
        let direction = Direction {
            weights: weights.clone(),
            sd: 0.37,
        };
        let walked = direction.walk(from.view(), &STEPS).unwrap();
        let sums = walked.dot(&aview1(&weights));
        for (sum, step) in sums.iter().zip(STEPS) {
            assert!((sum - sums[3] - step * 0.37).abs() < 1e-12);
        }
        assert_eq!(walked.row(3), from);
    }

    #[test]
    fn no_direction_and_another_width_are_errors() {
        let walk = |weights: &[f64]| {
            let weights = weights.to_vec();
            Direction { weights, sd: 1.0 }.walk(aview1(&[1.0, 2.0]), &STEPS)
        };
        assert!(matches!(walk(&[0.0, 0.0]), Err(ExplainError::NoDirection)));
        assert!(matches!(
            walk(&[1.0]),
            Err(ExplainError::Width { found: 1, expected: 2 })
        ));
    }
}
