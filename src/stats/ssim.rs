//! Structural similarity of two images (Wang, Bovik, Sheikh & Simoncelli, IEEE Trans Image Process 2004,
//! doi:10.1109/TIP.2003.819861), as scikit-image's `structural_similarity` computes it with `gaussian_weights=True` and
//! `use_sample_covariance=False`.

use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Side of the window in pixels (section III-B of the paper).
const WINDOW: usize = 11;
/// Standard deviation of the Gaussian window in pixels (section III-B).
const SIGMA: f64 = 1.5;
/// Keep the ratios stable where means and variances are near 0, times the data range (section III-B).
const K: [f64; 2] = [0.01, 0.03];

/// Why two images have no structural similarity.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SsimError {
    /// The images are of different sizes.
    #[error(
        "the first image is {} x {}, the second is {} x {}: resample one",
        first.0, first.1, second.0, second.1
    )]
    Sizes {
        /// `(H, W)` of the first image.
        first: (usize, usize),
        /// `(H, W)` of the second image.
        second: (usize, usize),
    },
    /// No window fits into the images.
    #[error("images of {} x {} hold no window of {WINDOW} x {WINDOW} pixels: enlarge both", found.0, found.1)]
    Small {
        /// `(H, W)` of the images.
        found: (usize, usize),
    },
    /// A data range that is none.
    #[error("the data range is {found}, a finite width above 0 was expected (2 for values in [-1, 1])")]
    DataRange {
        /// The width given.
        found: f64,
    },
    /// NaN or infinite pixels.
    #[error("{found} pixels of {of} are NaN or infinite: find what made them")]
    NotFinite {
        /// Pixels that are not finite, in both images.
        found: usize,
        /// Pixels in both images.
        of: usize,
    },
}

/// The mean structural similarity, 1 for equal images and at least -1.
///
/// `data_range` is the width of the range that values may take, 2 for images in `[-1, 1]`; what the images hold does
/// not matter. Nothing is made up beyond the border: the mean is over the `(H - 10) (W - 10)` windows of 11 x 11 pixels
/// that lie within the image, so pixels near the border count less.
///
/// # Shapes
///
/// - `first`, `second`: `[H, W]`, both at least 11
///
/// # Errors
///
/// [`SsimError`] for images of different sizes, below 11 x 11, or with pixels that are not finite, and for a range that
/// is none.
///
/// ```
/// use hounsfield::stats::ssim;
/// let image = ndarray::Array2::from_shape_fn((16, 16), |(row, column)| ((row * column) % 5) as f32 / 2.0 - 1.0);
/// assert_eq!(ssim(image.view(), image.view(), 2.0), Ok(1.0));
/// assert!(ssim(image.view(), (&image * 0.5).view(), 2.0)? < 0.9); // half the contrast
/// # Ok::<(), hounsfield::stats::SsimError>(())
/// ```
pub fn ssim(first: ArrayView2<'_, f32>, second: ArrayView2<'_, f32>, data_range: f64) -> Result<f64, SsimError> {
    check(first, second, data_range)?;
    let (x, y) = (first.mapv(f64::from), second.mapv(f64::from));
    let window = window();
    let (mean_x, mean_y) = (windowed(&x, &window), windowed(&y, &window));
    let (xx, yy, xy) = (
        windowed(&(&x * &x), &window),
        windowed(&(&y * &y), &window),
        windowed(&(&x * &y), &window),
    );
    let [c1, c2] = K.map(|k| (k * data_range).powi(2));
    let mut sum = 0.0;
    for (at, &mean_x) in mean_x.indexed_iter() {
        let mean_y = mean_y[at];
        let (variance_x, variance_y) = (xx[at] - mean_x * mean_x, yy[at] - mean_y * mean_y);
        let covariance = xy[at] - mean_x * mean_y;
        let luminance = (2.0 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1);
        let structure = (2.0 * covariance + c2) / (variance_x + variance_y + c2);
        sum += luminance * structure;
    }
    Ok(sum / mean_x.len() as f64)
}

fn check(first: ArrayView2<'_, f32>, second: ArrayView2<'_, f32>, data_range: f64) -> Result<(), SsimError> {
    let (size, other) = (first.dim(), second.dim());
    if size != other {
        return Err(SsimError::Sizes {
            first: size,
            second: other,
        });
    }
    if size.0.min(size.1) < WINDOW {
        return Err(SsimError::Small { found: size });
    }
    if !(data_range.is_finite() && data_range > 0.0) {
        return Err(SsimError::DataRange { found: data_range });
    }
    let found = first.iter().chain(&second).filter(|pixel| !pixel.is_finite()).count();
    if found > 0 {
        return Err(SsimError::NotFinite {
            found,
            of: first.len() + second.len(),
        });
    }
    Ok(())
}

/// The weights along one axis, of sum 1.
fn window() -> Array1<f64> {
    let radius = (WINDOW / 2) as f64;
    let weights = Array1::from_shape_fn(WINDOW, |at| {
        let distance = (at as f64 - radius) / SIGMA;
        (-0.5 * distance * distance).exp()
    });
    let sum = weights.sum();
    weights / sum
}

/// `[H - 10, W - 10]` weighted means of the windows within the image, rows first.
fn windowed(image: &Array2<f64>, window: &Array1<f64>) -> Array2<f64> {
    let along = |image: &Array2<f64>, axis: Axis| {
        let mut shape = image.raw_dim();
        shape[axis.index()] -= WINDOW - 1;
        let mut means = Array2::zeros(shape);
        for (shift, &weight) in window.iter().enumerate() {
            let length = shape[axis.index()];
            let shifted = image.slice_axis(axis, (shift..shift + length).into());
            means.scaled_add(weight, &shifted);
        }
        means
    };
    along(&along(image, Axis(0)), Axis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(height: usize, width: usize) -> Array2<f32> {
        Array2::from_shape_fn((height, width), |(row, column)| {
            ((row * 7 + column * 13) % 17) as f32 / 8.0 - 1.0
        })
    }

    #[test]
    fn an_image_is_wholly_similar_to_itself_and_less_to_any_other() {
        for size in [(11, 11), (12, 30)] {
            let image = image(size.0, size.1);
            assert_eq!(ssim(image.view(), image.view(), 2.0), Ok(1.0));
            let other = image.mapv(|pixel| 0.9 * pixel);
            assert!(ssim(image.view(), other.view(), 2.0).unwrap() < 1.0);
        }
    }

    #[test]
    fn similarity_is_the_same_both_ways_transposed_and_in_another_unit() {
        let (first, second) = (image(14, 23), image(23, 14).reversed_axes());
        let found = ssim(first.view(), second.view(), 2.0).unwrap();
        let back = ssim(second.view(), first.view(), 2.0).unwrap();
        let turned = ssim(first.t(), second.t(), 2.0).unwrap();
        let scaled = ssim((&first * 8.0).view(), (&second * 8.0).view(), 16.0).unwrap();
        for other in [back, turned, scaled] {
            assert!((found - other).abs() < 1e-14, "{found} {other}");
        }
    }

    #[test]
    fn what_has_no_similarity_is_refused_with_a_way_out() {
        let said = |first: Array2<f32>, second: Array2<f32>, range| {
            ssim(first.view(), second.view(), range).unwrap_err().to_string()
        };
        assert!(said(image(12, 12), image(12, 13), 2.0).contains("12 x 12, the second is 12 x 13"));
        assert!(said(image(10, 64), image(10, 64), 2.0).contains("10 x 64 hold no window of 11 x 11"));
        assert!(said(image(12, 12), image(12, 12), 0.0).contains("data range is 0"));
        let mut broken = image(12, 12);
        broken[[0, 0]] = f32::INFINITY;
        assert!(said(broken, image(12, 12), 2.0).contains("1 pixels of 288"));
    }
}
