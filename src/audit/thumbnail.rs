//! What is left of an image when only its kind of details counts: a dHash of 64 bits and the detail of a thumbnail.
//!
//! dHash: the signs of the differences between neighbours of a `[8, 9]` thumbnail (N. Krawetz, "Kind of like that", 2013,
//! <https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html>). All chests look alike at that size,
//! so that the hash alone finds thousands of strangers; the detail is a `[32, 32]` thumbnail minus its own blur, which
//! leaves vessels and the edges of organs and takes away what all chests share.

use std::path::Path;

use ndarray::Array2;

use crate::{
    ct::Pixels,
    readers::{ReadError, read_slice},
};

/// Side of the thumbnail whose details are compared.
const SIDE: usize = 32;

/// Number of details.
pub(super) const DETAILS: usize = SIDE * SIDE;

/// A window that keeps lung and soft tissue apart, in HU: what a picture of the slice would show.
const WINDOW: [f32; 2] = [-1024.0, 600.0];

/// An image's fingerprint.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fingerprint {
    /// Rows and columns of the image.
    pub(super) dim: (usize, usize),
    /// Signs of the differences of neighbours.
    pub(super) hash: u64,
    /// `DETAILS` values of mean 0 and length 1; all 0 for an image of one value.
    pub(super) detail: Vec<f32>,
}

impl Fingerprint {
    /// Of the image in a file.
    pub(super) fn read(path: &Path) -> Result<Self, ReadError> {
        let pixels = match read_slice(path)?.pixels {
            Pixels::Hu(values) => values.mapv(|value| value.clamp(WINDOW[0], WINDOW[1])),
            Pixels::Grey8(values) => values.mapv(f32::from),
            Pixels::Grey16(values) => values.mapv(f32::from),
        };
        Ok(Self::of(&pixels))
    }

    /// Of `[H, W]` values.
    pub(super) fn of(pixels: &Array2<f32>) -> Self {
        let small = shrink(pixels, 8, 9);
        let mut hash = 0;
        for row in small.rows() {
            for (left, right) in row.iter().zip(row.iter().skip(1)) {
                hash = hash << 1 | u64::from(right > left);
            }
        }
        let thumbnail = shrink(pixels, SIDE, SIDE);
        let mut detail: Vec<f32> = thumbnail
            .indexed_iter()
            .map(|((row, column), value)| value - around(&thumbnail, row, column))
            .collect();
        let mean = detail.iter().sum::<f32>() / DETAILS as f32;
        detail.iter_mut().for_each(|value| *value -= mean);
        let length = detail.iter().map(|value| value * value).sum::<f32>().sqrt();
        // Grey levels: below a thousandth of one there is no detail but rounding.
        let scale = if length > 1e-3 { length.recip() } else { 0.0 };
        detail.iter_mut().for_each(|value| *value *= scale);
        Self {
            dim: pixels.dim(),
            hash,
            detail,
        }
    }
}

/// Mean of the three by three values around a place; beyond the border its values are repeated.
fn around(image: &Array2<f32>, row: usize, column: usize) -> f32 {
    let near = |place: usize| [place.saturating_sub(1), place, (place + 1).min(SIDE - 1)];
    let rows = near(row);
    let sum: f32 = rows.iter().flat_map(|&r| near(column).map(|c| image[(r, c)])).sum();
    sum / 9.0
}

/// `[rows, columns]` means over equal areas, whatever the size of the image.
fn shrink(image: &Array2<f32>, rows: usize, columns: usize) -> Array2<f32> {
    let shares = |from: usize, to: usize| -> Vec<(usize, Vec<f32>)> {
        let step = from as f64 / to as f64;
        let cell = |index: usize| {
            let (start, end) = (index as f64 * step, (index + 1) as f64 * step);
            let first = (start.floor() as usize).min(from - 1);
            let last = (end.ceil() as usize).clamp(first + 1, from);
            let share = |place: usize| ((end.min((place + 1) as f64) - start.max(place as f64)).max(0.0) / step) as f32;
            (first, (first..last).map(share).collect())
        };
        (0..to).map(cell).collect()
    };
    let (across, down) = (shares(image.ncols(), columns), shares(image.nrows(), rows));
    let mut narrow = Array2::zeros((image.nrows(), columns));
    for (source, mut target) in image.rows().into_iter().zip(narrow.rows_mut()) {
        for ((first, shares), value) in across.iter().zip(target.iter_mut()) {
            *value = shares
                .iter()
                .zip(source.iter().skip(*first))
                .map(|(share, value)| share * value)
                .sum();
        }
    }
    let mut small = Array2::zeros((rows, columns));
    for ((first, shares), mut target) in down.iter().zip(small.rows_mut()) {
        for (offset, &share) in shares.iter().enumerate() {
            target.scaled_add(share, &narrow.row(first + offset));
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(rows: usize, columns: usize, shift: f32) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            let (y, x) = (row as f32 / rows as f32 + shift, column as f32 / columns as f32);
            100.0 + 50.0 * (9.0 * y).sin() * (7.0 * x).cos() + 30.0 * (31.0 * x * y).sin()
        })
    }

    fn cosine(a: &Fingerprint, b: &Fingerprint) -> f32 {
        a.detail.iter().zip(&b.detail).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn size_brightness_and_contrast_hardly_change_a_fingerprint() {
        let large = Fingerprint::of(&picture(300, 260, 0.0));
        let small = Fingerprint::of(&picture(150, 130, 0.0).mapv(|value| 0.5 * value + 20.0));
        assert!(cosine(&large, &small) > 0.97, "{}", cosine(&large, &small));
        assert!((large.hash ^ small.hash).count_ones() <= 4);
        let other = Fingerprint::of(&picture(300, 260, 0.4));
        assert!(cosine(&large, &other) < 0.8, "{}", cosine(&large, &other));
    }

    #[test]
    fn areas_are_weighed_by_their_share() {
        let image = ndarray::arr2(&[[0.0, 3.0, 6.0]]);
        // Cells of 1.5 pixels: (0 + 3 / 2) / 1.5 and (3 / 2 + 6) / 1.5.
        let small = shrink(&image, 1, 2);
        assert!(
            (small[(0, 0)] - 1.0).abs() < 1e-6 && (small[(0, 1)] - 5.0).abs() < 1e-6,
            "{small}"
        );
        assert_eq!(
            shrink(&ndarray::arr2(&[[2.0]]), 2, 2),
            ndarray::arr2(&[[2.0, 2.0], [2.0, 2.0]])
        );
    }

    #[test]
    fn an_image_of_one_value_has_no_detail() {
        let flat = Fingerprint::of(&Array2::from_elem((5, 7), 0.1));
        assert!(flat.detail.iter().all(|value| *value == 0.0));
    }
}
