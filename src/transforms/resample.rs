//! Resampling with the triangle filter (bilinear), antialiased when shrinking.
//!
//! The same filter as Pillow's `Image.resize(.., BILINEAR)` in mode `F` and PyTorch's
//! `interpolate(mode="bilinear", antialias=True, align_corners=False)`: pixels are areas, the filter widens with the
//! scale, and at the border its weights are cut off and normalised again. Enlarging is plain bilinear interpolation.

use ndarray::{Array2, ArrayView2};

/// The image at another size.
///
/// Values stay between the lowest and the highest of the image, up to rounding.
///
/// # Shapes
///
/// - `image`: `[H, W]`, neither of them 0
/// - output: `[size.0, size.1]`
///
/// ```
/// use hounsfield::transforms::resample;
/// let image = ndarray::array![[0.0, 1.0], [2.0, 3.0]];
/// assert_eq!(resample(image.view(), (1, 1))[[0, 0]], 1.5);
/// ```
pub fn resample(image: ArrayView2<'_, f32>, size: (usize, usize)) -> Array2<f32> {
    let (height, width) = image.dim();
    if (height, width) == size {
        return image.to_owned();
    }
    let image = image.as_standard_layout();
    let image = image.as_slice().expect("standard layout is contiguous");
    // Rows first: whole rows are added up, which vectorises, and leaves fewer of them for the columns.
    let vertical = Taps::of(height, size.0);
    let mut rows = vec![0.0f32; size.0 * width];
    for (row, (start, weights)) in rows.chunks_exact_mut(width).zip(vertical.iter()) {
        for (weight, source) in weights.iter().zip(image[start * width..].chunks_exact(width)) {
            row.iter_mut()
                .zip(source)
                .for_each(|(sum, value)| *sum += weight * value);
        }
    }
    let horizontal = Taps::of(width, size.1);
    let mut out = Vec::with_capacity(size.0 * size.1);
    for row in rows.chunks_exact(width) {
        out.extend(horizontal.iter().map(|(start, weights)| {
            let source = &row[start..start + weights.len()];
            weights
                .iter()
                .zip(source)
                .map(|(weight, value)| weight * value)
                .sum::<f32>()
        }));
    }
    Array2::from_shape_vec(size, out).expect("size.0 rows of size.1 values were pushed")
}

/// For each output pixel along one axis, the first input pixel and the weights from there on.
struct Taps {
    starts: Vec<usize>,
    ends: Vec<usize>,
    weights: Vec<f32>,
}

impl Taps {
    fn of(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let support = scale.max(1.0);
        let mut taps = Self {
            starts: Vec::with_capacity(output),
            ends: Vec::with_capacity(output),
            weights: Vec::new(),
        };
        for pixel in 0..output {
            let center = (pixel as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let last = ((center + support + 0.5) as usize).min(input);
            let triangle = |at: usize| (1.0 - ((at as f64 + 0.5 - center) / support).abs()).max(0.0);
            let total: f64 = (first..last).map(triangle).sum();
            taps.starts.push(first);
            taps.weights
                .extend((first..last).map(|at| (triangle(at) / total) as f32));
            taps.ends.push(taps.weights.len());
        }
        taps
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .zip(&self.starts)
            .map(|((begin, end), start)| (*start, &self.weights[begin..*end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_constant_and_nothing_leaves_the_range() {
        for size in [(1, 1), (3, 50), (64, 64), (7, 5)] {
            let flat = resample(Array2::from_elem((31, 17), 0.25).view(), size);
            assert!(flat.iter().all(|v| (v - 0.25).abs() < 1e-6), "{size:?}");
            let steps = Array2::from_shape_fn((31, 17), |(i, j)| if (i / 3 + j / 2) % 2 == 0 { 1.0 } else { -1.0 });
            let out = resample(steps.view(), size);
            assert!(out.iter().all(|v| v.abs() <= 1.0 + 1e-6), "{size:?}");
        }
    }

    #[test]
    fn resampling_commutes_with_transposition() {
        let image = Array2::from_shape_fn((20, 33), |(i, j)| ((i * 7 + j * 13) % 11) as f32);
        let a = resample(image.view(), (9, 50));
        let b = resample(image.t(), (50, 9));
        let difference = (&a - &b.t()).fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(difference < 1e-5, "{difference}");
    }
}
