//! Two sets of features that are to be compared, and why they cannot be.

use ndarray::ArrayView2;

/// Why two sets of features have no distance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DistanceError {
    /// The sets are of different features.
    #[error("the first set has {first} features, the second has {second}: take both from one encoder and layer")]
    Widths {
        /// Features of the first set.
        first: usize,
        /// Features of the second set.
        second: usize,
    },
    /// No features at all.
    #[error("the sets have 0 features, at least 1 is needed")]
    NoFeatures,
    /// Too few rows for a covariance.
    #[error("the sets have {first} and {second} rows, at least 2 of each are needed (thousands are usual)")]
    FewRows {
        /// Rows of the first set.
        first: usize,
        /// Rows of the second set.
        second: usize,
    },
    /// NaN or infinite features.
    #[error("{found} features of {of} are NaN or infinite: leave those rows out, or find what made them")]
    NotFinite {
        /// Features that are not finite, in both sets.
        found: usize,
        /// Features in both sets.
        of: usize,
    },
    /// Subsets that cannot be drawn.
    #[error(
        "{count} subsets of {size} rows were asked for, at least 2 subsets of 2 to {most} rows can be drawn from the \
         smaller set"
    )]
    Subsets {
        /// Subsets asked for.
        count: usize,
        /// Rows of a subset asked for.
        size: usize,
        /// Rows of the smaller set.
        most: usize,
    },
    /// The singular values were not found.
    #[error("the singular values of the covariances did not converge: features of one size, e.g. standardised, do")]
    NoConvergence,
}

/// Refuses sets without a distance.
///
/// # Shapes
///
/// - `first`: `[N, F]`, `second`: `[M, F]`
pub(super) fn check_sets(first: ArrayView2<'_, f32>, second: ArrayView2<'_, f32>) -> Result<(), DistanceError> {
    if first.ncols() != second.ncols() {
        return Err(DistanceError::Widths {
            first: first.ncols(),
            second: second.ncols(),
        });
    }
    if first.ncols() == 0 {
        return Err(DistanceError::NoFeatures);
    }
    if first.nrows().min(second.nrows()) < 2 {
        return Err(DistanceError::FewRows {
            first: first.nrows(),
            second: second.nrows(),
        });
    }
    let found = first.iter().chain(&second).filter(|value| !value.is_finite()).count();
    if found > 0 {
        return Err(DistanceError::NotFinite {
            found,
            of: first.len() + second.len(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn sets_without_a_distance_are_refused_with_both_numbers() {
        let set = |rows, features| Array2::<f32>::zeros((rows, features));
        let said = |first: Array2<f32>, second: Array2<f32>| {
            check_sets(first.view(), second.view())
                .map_err(|error| error.to_string())
                .unwrap_err()
        };
        assert!(said(set(5, 3), set(5, 4)).contains("first set has 3 features, the second has 4"));
        assert!(said(set(5, 3), set(1, 3)).contains("5 and 1 rows"));
        assert!(said(set(5, 0), set(5, 0)).contains("0 features"));
        let mut broken = set(5, 3);
        broken[[2, 1]] = f32::NAN;
        assert!(said(broken, set(5, 3)).contains("1 features of 30"));
    }
}
