//! Random rectangles: what a crop keeps and what is erased.

use std::ops::Range;

use rand::{Rng, RngExt as _};

/// Tries until one fits: `max_attempts` of `resnet_preprocessing.py` (tensorflow/tpu), and what torchvision does.
const TRIES: usize = 10;

/// A part of an image, in fractions of `H` and `W`. The default is the whole image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectangle {
    /// Upper and left edge.
    pub start: [f64; 2],
    /// Height and width.
    pub extent: [f64; 2],
}

impl Default for Rectangle {
    fn default() -> Self {
        Self {
            start: [0.0, 0.0],
            extent: [1.0, 1.0],
        }
    }
}

impl Rectangle {
    /// A rectangle with a share of the area from the first range and an aspect (width to height, in pixels) from the
    /// second, anywhere in an image of this aspect; none if ten tries did not fit.
    ///
    /// The area is uniform and so is the logarithm of the aspect, as in torchvision's `RandomResizedCrop`: an aspect
    /// and its inverse are equally likely.
    pub(super) fn draw(area: [f64; 2], aspect: [f64; 2], image_aspect: f64, rng: &mut impl Rng) -> Option<Self> {
        (0..TRIES).find_map(|_| {
            let area = rng.random_range(area[0]..=area[1]);
            let aspect = rng.random_range(aspect[0].ln()..=aspect[1].ln()).exp();
            let relative = aspect / image_aspect;
            let extent = [(area / relative).sqrt(), (area * relative).sqrt()];
            extent.iter().all(|side| *side <= 1.0).then(|| Self {
                start: extent.map(|side| rng.random_range(0.0..=1.0 - side)),
                extent,
            })
        })
    }

    /// The largest rectangle in the middle of an image of this aspect whose own aspect is in the range.
    pub(super) fn central(aspect: [f64; 2], image_aspect: f64) -> Self {
        let relative = image_aspect.clamp(aspect[0], aspect[1]) / image_aspect;
        let extent = [relative.recip().min(1.0), relative.min(1.0)];
        Self {
            start: extent.map(|side| (1.0 - side) / 2.0),
            extent,
        }
    }

    /// The rows and columns of an image of `[size, size]` pixels, to the nearest whole pixel.
    pub(super) fn pixels(&self, size: usize) -> [Range<usize>; 2] {
        let pixel = |fraction: f64| (fraction * size as f64).round() as usize;
        [0, 1].map(|axis| pixel(self.start[axis])..pixel(self.start[axis] + self.extent[axis]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::stream;

    #[test]
    fn drawn_rectangles_lie_inside_and_have_the_area_and_the_aspect() {
        let near = |value: f64, low: f64, high: f64| (low - 1e-9..high + 1e-9).contains(&value);
        let mut rng = stream(0, "rectangles");
        for image_aspect in [1.0, 0.5, 1.7] {
            let drawn = (0..200).filter_map(|_| Rectangle::draw([0.1, 0.4], [0.75, 1.5], image_aspect, &mut rng));
            let drawn: Vec<Rectangle> = drawn.collect();
            assert!(drawn.len() > 190, "{}", drawn.len());
            for Rectangle { start, extent } in drawn {
                assert!((0..2).all(|axis| start[axis] >= 0.0 && near(start[axis] + extent[axis], 0.0, 1.0)));
                assert!(near(extent[0] * extent[1], 0.1, 0.4), "{extent:?}");
                assert!(near(extent[1] / extent[0] * image_aspect, 0.75, 1.5), "{extent:?}");
            }
        }
    }

    #[test]
    fn what_never_fits_is_none_and_the_centre_always_fits() {
        let never = Rectangle::draw([0.9, 1.0], [2.0, 3.0], 1.0, &mut stream(0, "never"));
        assert_eq!(never, None);
        assert_eq!(Rectangle::central([0.75, 1.5], 1.0), Rectangle::default());
        let flat = Rectangle::central([2.0, 3.0], 1.0);
        assert_eq!((flat.start, flat.extent), ([0.25, 0.0], [0.5, 1.0]));
        let tall = Rectangle::central([0.5, 1.0], 2.0);
        assert_eq!((tall.start, tall.extent), ([0.0, 0.25], [1.0, 0.5]));
    }
}
