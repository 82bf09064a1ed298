//! The Fréchet distance of two sets of features, each taken for a normal distribution (Heusel et al., NeurIPS 2017,
//! arXiv:1706.08500; on Inception's features it is the FID).
//!
//! With means m, covariances C and centred rows A, B over the root of their number less one (C1 = AᵀA, C2 = BᵀB),
//!
//! |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½) = |m1 - m2|² + |A|² + |B|² - 2 |A Bᵀ|\*
//!
//! where |·|² is the sum of squares and |·|\* the sum of singular values: the eigenvalues of C1 C2 are the squares of
//! the singular values of A Bᵀ. No covariance is formed and no root of a matrix taken. The root of an eigenvalue that
//! is 0 but for rounding is 1e-8, and there are many where rows are fewer than features; a singular value is exact to
//! 1e-16.

use faer::{
    Accum, Mat, MatRef, Par,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        matmul::matmul,
        qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size},
        svd::{ComputeSvdVectors, svd, svd_scratch},
    },
};
use ndarray::{Array1, ArrayView2};

use super::feature_sets::{DistanceError, check_sets};

/// The Fréchet distance (squared, as FID is stated) of two sets of features; covariances are unbiased, as
/// `numpy.cov`'s.
///
/// It is biased: two samples of one distribution are at a distance above 0. Of `N` rows each of `F` independent
/// standard normal features, whose variances sum to `F`, it is about `F² / (2 N)`: simulated with 512 features, 450 of
/// 256 rows, 259 of 512, 26 of 5120 and 5 of 25600. Compare distances of equal `N` only, and state it; where `N` is not
/// many times `F`, [`kernel_distance`](super::kernel_distance()), which has no bias, is the better number.
///
/// # Shapes
///
/// - `first`: `[N, F]`, `second`: `[M, F]`; takes time of the order of `(N + M) F²`, on one thread
///
/// # Errors
///
/// [`DistanceError`] for sets of different or no features, of fewer than 2 rows, or with features that are not finite.
///
/// ```
/// use hounsfield::stats::frechet_distance;
/// let first = ndarray::array![[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]];
/// let moved = &first + 3.0; // by 3 in both features
/// assert!((frechet_distance(first.view(), moved.view())? - 18.0).abs() < 1e-12);
/// # Ok::<(), hounsfield::stats::DistanceError>(())
/// ```
pub fn frechet_distance(first: ArrayView2<'_, f32>, second: ArrayView2<'_, f32>) -> Result<f64, DistanceError> {
    check_sets(first, second)?;
    let (first, second) = (Spread::of(first), Spread::of(second));
    let between: f64 = (&first.mean - &second.mean).iter().map(|x| x * x).sum();
    let common = sum_of_singular_values(&product(first.factor.as_ref(), second.factor.as_ref()))?;
    // Below 0 by rounding only.
    Ok((between + first.variance + second.variance - 2.0 * common).max(0.0))
}

/// The mean and covariance of a set.
struct Spread {
    mean: Array1<f64>,
    /// The trace of the covariance.
    variance: f64,
    /// `[min(N, F), F]`: R with the covariance RᵀR.
    factor: Mat<f64>,
}

impl Spread {
    /// Of `[N, F]` features, `N` at least 2.
    fn of(set: ArrayView2<'_, f32>) -> Self {
        let (rows, features) = set.dim();
        let mean: Array1<f64> = set
            .columns()
            .into_iter()
            .map(|column| column.iter().map(|&value| f64::from(value)).sum::<f64>() / rows as f64)
            .collect();
        let scale = 1.0 / (rows as f64 - 1.0).sqrt();
        let centred = Mat::from_fn(rows, features, |row, feature| {
            scale * (f64::from(set[[row, feature]]) - mean[feature])
        });
        let variance = centred.squared_norm_l2();
        let factor = if rows > features { triangle(centred) } else { centred };
        Self { mean, variance, factor }
    }
}

// One thread everywhere: the number must not depend on how many there are.

/// The R of A = QR, which has AᵀA = RᵀR, of a matrix with more rows than columns.
fn triangle(mut tall: Mat<f64>) -> Mat<f64> {
    let (rows, columns) = tall.shape();
    let block = recommended_block_size::<f64>(rows, columns);
    let mut reflections = Mat::zeros(block, columns);
    let scratch = qr_in_place_scratch::<f64>(rows, columns, block, Par::Seq, Default::default());
    qr_in_place(
        tall.as_mut(),
        reflections.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    // Below the diagonal stand the reflections that make up Q.
    Mat::from_fn(
        columns,
        columns,
        |row, column| {
            if row <= column { tall[(row, column)] } else { 0.0 }
        },
    )
}

/// A Bᵀ.
fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut product = Mat::zeros(a.nrows(), b.nrows());
    matmul(product.as_mut(), Accum::Replace, a, b.transpose(), 1.0, Par::Seq);
    product
}

fn sum_of_singular_values(matrix: &Mat<f64>) -> Result<f64, DistanceError> {
    let (rows, columns) = matrix.shape();
    let mut singular = Diag::<f64>::zeros(rows.min(columns));
    let none = ComputeSvdVectors::No;
    let scratch = svd_scratch::<f64>(rows, columns, none, none, Par::Seq, Default::default());
    svd(
        matrix.as_ref(),
        singular.as_mut(),
        None,
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| DistanceError::NoConvergence)?;
    Ok(singular.column_vector().iter().sum())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::RngExt as _;

    use super::*;
    use crate::seed::stream;

    fn features(rows: usize, width: usize, name: &str) -> Array2<f32> {
        let mut rng = stream(0, name);
        Array2::from_shape_simple_fn((rows, width), || rng.random_range(-1.0..1.0))
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself_however_few_its_rows() {
        for (rows, width) in [(400, 20), (20, 20), (5, 40), (2, 1)] {
            let set = features(rows, width, "set");
            let distance = frechet_distance(set.view(), set.view()).unwrap();
            assert!(distance < 1e-13 * width as f64, "{distance} of {rows} rows");
        }
    }

    #[test]
    fn the_distance_is_the_same_both_ways_and_in_any_order_of_rows() {
        let (first, second) = (features(60, 9, "first"), features(7, 9, "second"));
        let there = frechet_distance(first.view(), second.view()).unwrap();
        let back = frechet_distance(second.view(), first.slice(ndarray::s![..;-1, ..])).unwrap();
        assert!((there - back).abs() < 1e-13, "{there} {back}");
    }

    /// Normals of standard deviations a and b and means 1 apart are at 1 + (a - b)².
    #[test]
    fn the_distance_of_a_stretched_set_is_that_of_the_deviations() {
        let set = features(50, 1, "set");
        let (mean, sd) = (set.mean().unwrap(), f64::from(set.std(1.0)));
        let stretched = set.mapv(|x| mean + 1.0 + 3.0 * (x - mean));
        let distance = frechet_distance(set.view(), stretched.view()).unwrap();
        assert!((distance - (1.0 + 4.0 * sd * sd)).abs() < 1e-5, "{distance}");
    }
}
