//! Gaussian smoothing, as `scipy.ndimage.gaussian_filter(image, sigma)` with its defaults: `truncate=4`,
//! `mode="reflect"`.

use ndarray::{Array2, ArrayView2};

/// Beyond so many standard deviations the kernel is cut off.
const TRUNCATE: f64 = 4.0;

/// The image smoothed with a Gaussian of this standard deviation in pixels; its border is a mirror (`c b a | a b c`).
///
/// # Shapes
///
/// - `image`: `[H, W]`
/// - output: `[H, W]`
pub fn gaussian_blur(image: ArrayView2<'_, f32>, sigma: f64) -> Array2<f32> {
    let kernel = kernel(sigma);
    let radius = kernel.len() / 2;
    if radius == 0 || image.is_empty() {
        return image.to_owned();
    }
    let (height, width) = image.dim();
    let image = image.as_standard_layout();
    let image = image.as_slice().expect("standard layout is contiguous");
    let mut out = vec![0.0; height * width];
    smooth(
        image,
        &kernel,
        [&mirrored(height, radius), &mirrored(width, radius)],
        &mut out,
    );
    Array2::from_shape_vec((height, width), out).expect("as many as the image has")
}

/// An image smoothed along both axes. At each axis stand the places to look at beyond its ends too: half a kernel more on either
/// side.
pub(in crate::transforms) fn smooth(image: &[f32], kernel: &[f32], [rows, columns]: [&[usize]; 2], out: &mut [f32]) {
    let width = columns.len() + 1 - kernel.len();
    let mut sums = vec![0.0f32; width];
    let mut padded = vec![0.0f32; columns.len()];
    for (rows, out) in rows.windows(kernel.len()).zip(out.chunks_exact_mut(width)) {
        weighted(kernel, rows, image, &mut sums);
        for (place, column) in padded.iter_mut().zip(columns) {
            *place = sums[*column];
        }
        out.fill(0.0);
        for (offset, weight) in kernel.iter().enumerate() {
            add(out, *weight, &padded[offset..][..width]);
        }
    }
}

/// The sum of these lines, each as long as `sums`, with a weight each. Whole lines are added up, which vectorises.
pub(in crate::transforms) fn weighted(kernel: &[f32], places: &[usize], lines: &[f32], sums: &mut [f32]) {
    let length = sums.len();
    sums.fill(0.0);
    for (weight, place) in kernel.iter().zip(places) {
        add(sums, *weight, &lines[place * length..][..length]);
    }
}

fn add(sums: &mut [f32], weight: f32, values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

/// Weights that add up to 1, from `-radius` to `radius`.
pub(crate) fn kernel(sigma: f64) -> Vec<f32> {
    let radius = (TRUNCATE * sigma + 0.5) as i32;
    if radius == 0 {
        return vec![1.0];
    }
    let weights: Vec<f64> = (-radius..=radius)
        .map(|offset| (-0.5 * (f64::from(offset) / sigma).powi(2)).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / total) as f32).collect()
}

/// The places `-radius..length + radius` of a line that is mirrored at its ends as often as is needed.
fn mirrored(length: usize, radius: usize) -> Vec<usize> {
    let period = 2 * length;
    // A whole number of periods, so that places are not negative.
    let start = radius.next_multiple_of(period) - radius;
    (start..start + length + 2 * radius)
        .map(|place| place % period)
        .map(|place| if place < length { place } else { period - 1 - place })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_mirrored_as_often_as_needed() {
        assert_eq!(mirrored(3, 2), [1, 0, 0, 1, 2, 2, 1]);
        assert_eq!(mirrored(2, 5), [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(mirrored(1, 2), [0; 5]);
    }

    #[test]
    fn a_blur_keeps_the_mean_and_none_is_a_copy() {
        let image = Array2::from_shape_fn((11, 7), |(i, j)| ((i * 5 + j * 3) % 13) as f32 / 6.5 - 1.0);
        assert_eq!(gaussian_blur(image.view(), 0.0), image);
        let blurred = gaussian_blur(image.view(), 2.5);
        assert!((blurred.mean().unwrap() - image.mean().unwrap()).abs() < 1e-6);
        assert!(blurred.std(0.0) < 0.2 * image.std(0.0));
    }
}
