//! The kernel distance of two sets of features: the unbiased squared maximum mean discrepancy with the cubic kernel
//! k(x, y) = (x·y / F + 1)³ (Bińkowski et al., ICLR 2018, arXiv:1801.01401; on Inception's features it is the KID).

use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::index;

use super::feature_sets::{DistanceError, check_sets};
use crate::seed;

/// The mean kernel of pairs within each set less twice that of pairs across, no row paired with itself.
///
/// Its expectation does not depend on the number of rows and is 0 for two samples of one distribution, so that it can
/// come out below 0. Features are taken as they are: a distance is of their scale, and comparable within one layer of
/// one encoder only.
///
/// # Shapes
///
/// - `first`: `[N, F]`, `second`: `[M, F]`; takes time of the order of `(N + M)² F`, on one thread
///
/// # Errors
///
/// [`DistanceError`] for sets of different or no features, of fewer than 2 rows, or with features that are not finite.
///
/// ```
/// use hounsfield::stats::kernel_distance;
/// // Within: k(1, 1) = 8 and k(0, 0) = 1; across: k(1, 0) = 1.
/// let distance = kernel_distance(ndarray::array![[1.0], [1.0]].view(), ndarray::array![[0.0], [0.0]].view())?;
/// assert_eq!(distance, 8.0 + 1.0 - 2.0);
/// # Ok::<(), hounsfield::stats::DistanceError>(())
/// ```
pub fn kernel_distance(first: ArrayView2<'_, f32>, second: ArrayView2<'_, f32>) -> Result<f64, DistanceError> {
    check_sets(first, second)?;
    Ok(discrepancy(&first.mapv(f64::from), &second.mapv(f64::from)))
}

/// How subsets are drawn for a kernel distance that says how much it varies; 100 subsets of 1000 rows are usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelSubsets {
    /// Rows of a subset, drawn without replacement from each set.
    pub size: usize,
    /// Number of subsets.
    pub count: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// The kernel distance over random subsets.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubsetDistance {
    /// Mean over the subsets.
    pub mean: f64,
    /// Standard deviation over the subsets (less one). Subsets share rows: it is of one subset's distance, and neither
    /// the standard error of the mean nor that of the whole sets' distance.
    pub sd: f64,
}

impl KernelSubsets {
    /// The mean and standard deviation of [`kernel_distance`] over the subsets.
    ///
    /// # Shapes
    ///
    /// - `first`: `[N, F]`, `second`: `[M, F]`
    ///
    /// # Errors
    ///
    /// As [`kernel_distance`]'s, and [`DistanceError::Subsets`] for fewer than 2 subsets, or subsets of fewer than 2
    /// rows or of more than the smaller set has.
    ///
    /// ```
    /// use hounsfield::{seed, stats::KernelSubsets};
    /// use rand::RngExt as _;
    /// let mut rng = seed::stream(0, "example");
    /// let mut draw = || ndarray::Array2::from_shape_simple_fn((300, 4), || rng.random_range(-1.0..1.0));
    /// let subsets = KernelSubsets { size: 100, count: 20, seed: 0 };
    /// let distance = subsets.distance(draw().view(), draw().view())?;
    /// assert!(distance.mean.abs() < 0.05 && distance.sd < 0.05);
    /// # Ok::<(), hounsfield::stats::DistanceError>(())
    /// ```
    pub fn distance(
        &self,
        first: ArrayView2<'_, f32>,
        second: ArrayView2<'_, f32>,
    ) -> Result<SubsetDistance, DistanceError> {
        check_sets(first, second)?;
        let (size, count) = (self.size, self.count);
        let most = first.nrows().min(second.nrows());
        if count < 2 || !(2..=most).contains(&size) {
            return Err(DistanceError::Subsets { count, size, most });
        }
        let mut rng = seed::stream(self.seed, "kernel distance");
        let mut subset = |set: ArrayView2<'_, f32>| {
            let rows = index::sample(&mut rng, set.nrows(), size).into_vec();
            set.select(Axis(0), &rows).mapv(f64::from)
        };
        let distances: Vec<f64> = (0..count)
            .map(|_| discrepancy(&subset(first), &subset(second)))
            .collect();
        let mean = distances.iter().sum::<f64>() / count as f64;
        let squares: f64 = distances.iter().map(|distance| (distance - mean).powi(2)).sum();
        Ok(SubsetDistance {
            mean,
            sd: (squares / (count as f64 - 1.0)).sqrt(),
        })
    }
}

fn discrepancy(first: &Array2<f64>, second: &Array2<f64>) -> f64 {
    let across = sum_of_kernel(first, second) / (first.nrows() * second.nrows()) as f64;
    mean_within(first) + mean_within(second) - 2.0 * across
}

/// Mean kernel of a row with another of the set.
fn mean_within(set: &Array2<f64>) -> f64 {
    let (rows, features) = set.dim();
    let with_itself: f64 = set.rows().into_iter().map(|row| kernel(row.dot(&row), features)).sum();
    (sum_of_kernel(set, set) - with_itself) / (rows * (rows - 1)) as f64
}

/// Rows whose inner products are held at a time: 20 MB with 10000 rows on the other side.
const ROWS: usize = 256;

fn sum_of_kernel(first: &Array2<f64>, second: &Array2<f64>) -> f64 {
    let features = first.ncols();
    let chunks = first.axis_chunks_iter(Axis(0), ROWS);
    chunks
        .map(|rows| rows.dot(&second.t()).mapv(|product| kernel(product, features)).sum())
        .sum()
}

fn kernel(product: f64, features: usize) -> f64 {
    (product / features as f64 + 1.0).powi(3)
}

#[cfg(test)]
mod tests {
    use ndarray::s;
    use rand::RngExt as _;

    use super::*;
    use crate::seed::stream;

    fn features(rows: usize, name: &str) -> Array2<f32> {
        let mut rng = stream(0, name);
        Array2::from_shape_simple_fn((rows, 8), || rng.random_range(-1.0..1.0))
    }

    #[test]
    fn two_halves_of_one_set_are_at_no_distance_on_average() {
        let halves = |n: usize| {
            let set = features(40, &n.to_string());
            kernel_distance(set.slice(s![..20, ..]), set.slice(s![20.., ..])).unwrap()
        };
        let distances: Vec<f64> = (0..400).map(halves).collect();
        let mean = distances.iter().sum::<f64>() / 400.0;
        let variance = distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 399.0;
        let standard_error = (variance / 400.0).sqrt();
        assert!(mean.abs() < 3.0 * standard_error, "{mean} with {standard_error}");
        assert!(distances.iter().any(|distance| *distance < 0.0), "no square is forced");
    }

    #[test]
    fn the_distance_is_the_same_both_ways_and_in_any_order_of_rows() {
        let (first, second) = (features(300, "first"), features(33, "second") + 0.5);
        let there = kernel_distance(first.view(), second.view()).unwrap();
        let back = kernel_distance(second.view(), first.slice(s![..;-1, ..])).unwrap();
        assert!(there > 0.1 && (there - back).abs() < 1e-13, "{there} {back}");
    }

    #[test]
    fn subsets_vary_about_the_distance_of_the_whole_and_follow_the_seed() {
        let (first, second) = (features(200, "first"), features(150, "second") + 0.5);
        let whole = kernel_distance(first.view(), second.view()).unwrap();
        let subsets = KernelSubsets {
            size: 40,
            count: 200,
            seed: 1,
        };
        let found = subsets.distance(first.view(), second.view()).unwrap();
        assert!(
            found.sd > 0.0 && (found.mean - whole).abs() < 0.3 * found.sd,
            "{found:?}, {whole}"
        );
        assert_eq!(subsets.distance(first.view(), second.view()), Ok(found));
        let other = KernelSubsets { seed: 2, ..subsets };
        assert_ne!(other.distance(first.view(), second.view()), Ok(found));
        let all = KernelSubsets { size: 150, ..subsets };
        let of_one = all.distance(second.view(), second.view()).unwrap();
        assert!(of_one.sd < 1e-12, "all rows are one subset: {of_one:?}");
    }

    #[test]
    fn subsets_that_cannot_be_drawn_are_refused() {
        let (first, second) = (features(20, "first"), features(10, "second"));
        for (size, count) in [(11, 5), (1, 5), (5, 1)] {
            let subsets = KernelSubsets { size, count, seed: 0 };
            let expected = DistanceError::Subsets { count, size, most: 10 };
            assert_eq!(subsets.distance(first.view(), second.view()), Err(expected));
        }
    }
}
