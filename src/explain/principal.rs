//! Principal components, exact, from the singular values of the centred table.

use faer::{
    Mat, Par,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::svd::{ComputeSvdVectors, svd, svd_scratch},
};
use ndarray::{Array2, ArrayView2, Axis};

use super::ExplainError;

/// Rows along the directions in which they vary most.
#[derive(Debug, Clone, PartialEq)]
pub struct PrincipalComponents {
    /// `[N, K]` places of the rows, the component of the largest variance first. Signs are free; here the place that is
    /// farthest from 0 is positive.
    pub places: Array2<f64>,
    /// `K` shares of the whole variance; 0 where nothing varies.
    pub shares: Vec<f64>,
}

/// The first `most` principal components, or as many as there are.
///
/// ```
/// let x = ndarray::array![[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]];
/// let components = hounsfield::explain::principal_components(x.view(), 2)?;
/// assert!((components.places[[0, 0]].abs() - 5.0).abs() < 1e-12);
/// assert!((components.shares[0] - 1.0).abs() < 1e-12);
/// # Ok::<(), hounsfield::explain::ExplainError>(())
/// ```
///
/// # Shapes
///
/// - `x`: `[N, F]`, finite
///
/// # Errors
///
/// Fewer than two rows, and values for which the solver finds nothing.
pub fn principal_components(x: ArrayView2<'_, f64>, most: usize) -> Result<PrincipalComponents, ExplainError> {
    let (rows, features) = x.dim();
    let mean = match x.mean_axis(Axis(0)) {
        Some(mean) if rows >= 2 => mean,
        _ => return Err(ExplainError::FewRows { rows, needed: 2 }),
    };
    let centred = Mat::from_fn(rows, features, |row, column| x[[row, column]] - mean[column]);
    let size = rows.min(features);
    let (mut left, mut singular) = (Mat::<f64>::zeros(rows, size), Diag::<f64>::zeros(size));
    let (thin, none) = (ComputeSvdVectors::Thin, ComputeSvdVectors::No);
    // One thread: the places must not depend on how many there are.
    let scratch = svd_scratch::<f64>(rows, features, thin, none, Par::Seq, Default::default());
    svd(
        centred.as_ref(),
        singular.as_mut(),
        Some(left.as_mut()),
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|error| ExplainError::Solver {
        rows,
        features,
        reason: format!("{error:?}"),
    })?;

    let singular: Vec<f64> = singular.column_vector().iter().copied().collect();
    let whole: f64 = singular.iter().map(|s| s * s).sum();
    let share = |s: &f64| if whole > 0.0 { s * s / whole } else { 0.0 };
    let kept = size.min(most);
    let mut places = Array2::from_shape_fn((rows, kept), |(row, k)| left[(row, k)] * singular[k]);
    for mut component in places.columns_mut() {
        let farthest = component.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
        if farthest.is_some_and(|place| place < 0.0) {
            component.mapv_inplace(|place| -place);
        }
    }
    Ok(PrincipalComponents {
        places,
        shares: singular.iter().take(kept).map(share).collect(),
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn components_of_a_rotated_cross_are_its_arms() {
        // Arms of 2 and 1 at 45 degrees: variances 4 and 1 of 5.
        let s = 0.5_f64.sqrt();
        let x = array![
            [2.0 * s, 2.0 * s, 7.0],
            [-2.0 * s, -2.0 * s, 7.0],
            [s, -s, 7.0],
            [-s, s, 7.0]
        ];
        let found = principal_components(x.view(), 2).unwrap();
        assert!((found.shares[0] - 0.8).abs() < 1e-12 && (found.shares[1] - 0.2).abs() < 1e-12);
        let sizes = found.places.mapv(f64::abs);
        let expected = array![[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        assert!((sizes - expected).iter().all(|difference| difference.abs() < 1e-12));
    }

    #[test]
    fn rows_that_are_all_one_have_no_variance_and_one_row_is_refused() {
        let same = principal_components(Array2::from_elem((4, 3), 0.1).view(), 2).unwrap();
        assert!(same.shares.iter().all(|share| (0.0..=1.0).contains(share)));
        assert!(same.places.iter().all(|place| place.abs() < 1e-12));
        assert!(matches!(
            principal_components(array![[1.0, 2.0]].view(), 2),
            Err(ExplainError::FewRows { rows: 1, needed: 2 })
        ));
    }
}
