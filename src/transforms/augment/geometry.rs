//! Flip, rotation, shift, crop and scale as one affine map, sampled once with bilinear interpolation.
//!
//! Values as `scipy.ndimage.affine_transform(order=1)`, with another border: pixels are areas, so that an image reaches
//! half a pixel beyond its outermost centres with the values that it has there. Scipy's `constant` mode ends at the
//! centres, and would put a dark frame around everything that is enlarged. Further out there is air.

use ndarray::{Array2, ArrayView2};

use super::{super::resample, Rectangle};

/// What lies outside the image: the window's lower end.
pub(super) const OUTSIDE: f32 = -1.0;

/// An output pixel may span so many source pixels, as many as a bilinear sample joins.
const WIDEST_SAMPLE: f64 = 2.0;

/// Where a slice is taken from: the image is flipped, turned about its centre and shifted, then the crop is cut out and
/// scaled to the wanted size. The default leaves everything where it is.
///
/// ```
/// use hounsfield::transforms::Geometry;
/// let quarter_turn = Geometry { rotate: 90.0, ..Geometry::default() };
/// let image = ndarray::array![[0.1, 0.2], [0.3, 0.4]];
/// assert_eq!(quarter_turn.sample(image.view(), 2), ndarray::array![[0.2, 0.4], [0.1, 0.3]]);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Geometry {
    /// Left becomes right.
    pub flip_horizontal: bool,
    /// Top becomes bottom.
    pub flip_vertical: bool,
    /// Degrees, anticlockwise as one looks at it.
    pub rotate: f64,
    /// Shift to the bottom and to the right, as fractions of `H` and `W`.
    pub translate: [f64; 2],
    /// What is kept.
    pub crop: Rectangle,
}

impl Geometry {
    /// The image through this map; outside of it is -1.
    ///
    /// Where the map shrinks more than twofold, the image is first shrunk with the antialiased filter of
    /// [`resample`], so far that a factor of 2 is left. The default map is `resample` alone, and a copy if the size
    /// is the same.
    ///
    /// # Shapes
    ///
    /// - `image`: `[H, W]` in `[-1, 1]`, neither of them 0
    /// - output: `[size, size]` in `[-1, 1]`
    pub fn sample(&self, image: ArrayView2<'_, f32>, size: usize) -> Array2<f32> {
        if *self == Self::default() {
            return resample(image, (size, size));
        }
        let affine = self.affine(image.dim(), size);
        let smaller = affine.smaller(image.dim());
        let source = resample(image, smaller);
        affine.onto(image.dim(), smaller).sample(source.view(), size)
    }

    /// The map from output pixels to image pixels, composed backwards from the output. Steps are in pixels, so that a
    /// rotation is one on oblong images too.
    fn affine(&self, (height, width): (usize, usize), size: usize) -> Affine {
        let sides = [height as f64, width as f64];
        let Rectangle { start, extent } = self.crop;
        let (sin, cos) = self.rotate.to_radians().sin_cos();
        let flips = [self.flip_vertical, self.flip_horizontal].map(|flip| if flip { -1.0 } else { 1.0 });
        let undo = |[row, column]: [f64; 2]| {
            let turned = [cos * row + sin * column, cos * column - sin * row];
            [turned[0] * flips[0], turned[1] * flips[1]]
        };
        let step = [0, 1].map(|axis| extent[axis] * sides[axis] / size as f64);
        // Seen from the centre of the image, about which it was flipped and turned.
        let corner = [0, 1].map(|axis| (start[axis] - self.translate[axis] - 0.5) * sides[axis]);
        let first = undo([0, 1].map(|axis| corner[axis] + step[axis] / 2.0));
        Affine {
            first: [0, 1].map(|axis| first[axis] + sides[axis] / 2.0 - 0.5),
            down: undo([step[0], 0.0]),
            right: undo([0.0, step[1]]),
        }
    }
}

/// Row and column in the source, counted from the middle of its first pixel.
struct Affine {
    /// Of the output's first pixel.
    first: [f64; 2],
    /// Step to the pixel below.
    down: [f64; 2],
    /// Step to the pixel on the right.
    right: [f64; 2],
}

impl Affine {
    /// The size to which the source is shrunk before it is sampled: as it is unless an output pixel spans more than
    /// two of its rows or columns.
    fn smaller(&self, (height, width): (usize, usize)) -> (usize, usize) {
        let shrunk = |side: usize, axis: usize| {
            let span = self.down[axis].hypot(self.right[axis]);
            (side as f64 * (WIDEST_SAMPLE / span).min(1.0)).ceil() as usize
        };
        (shrunk(height, 0), shrunk(width, 1))
    }

    /// The same map when the source shows the same at another size.
    fn onto(&self, from: (usize, usize), to: (usize, usize)) -> Self {
        let ratio = [to.0 as f64 / from.0 as f64, to.1 as f64 / from.1 as f64];
        Self {
            first: [0, 1].map(|axis| (self.first[axis] + 0.5) * ratio[axis] - 0.5),
            down: [0, 1].map(|axis| self.down[axis] * ratio[axis]),
            right: [0, 1].map(|axis| self.right[axis] * ratio[axis]),
        }
    }

    fn sample(&self, source: ArrayView2<'_, f32>, size: usize) -> Array2<f32> {
        let (height, width) = source.dim();
        let source = source.as_standard_layout();
        let source = source.as_slice().expect("standard layout is contiguous");
        let mut out = Vec::with_capacity(size * size);
        for row in 0..size {
            let start = [0, 1].map(|axis| self.first[axis] + row as f64 * self.down[axis]);
            out.extend((0..size).map(|column| {
                let [y, x] = [0, 1].map(|axis| start[axis] + column as f64 * self.right[axis]);
                match (Taps::at(y, height), Taps::at(x, width)) {
                    (Some(rows), Some(columns)) => {
                        let above = columns.mix(&source[rows.first * width..][..width]);
                        let below = columns.mix(&source[rows.second * width..][..width]);
                        (1.0 - rows.weight) * above + rows.weight * below
                    }
                    _ => OUTSIDE,
                }
            }));
        }
        Array2::from_shape_vec((size, size), out).expect("size rows of size values were pushed")
    }
}

/// The two pixels along one axis between which a place lies.
struct Taps {
    first: usize,
    second: usize,
    /// Of the second.
    weight: f32,
}

impl Taps {
    /// None outside the image.
    #[inline(always)]
    fn at(place: f64, length: usize) -> Option<Self> {
        let last = (length - 1) as f64;
        if !(-0.5..=last + 0.5).contains(&place) {
            return None;
        }
        let place = place.clamp(0.0, last);
        let first = place as usize;
        Some(Self {
            first,
            second: (first + 1).min(length - 1),
            weight: (place - first as f64) as f32,
        })
    }

    /// In this form a weight of 0 or 1 gives the pixel itself, so that flips are exact.
    #[inline(always)]
    fn mix(&self, line: &[f32]) -> f32 {
        (1.0 - self.weight) * line[self.first] + self.weight * line[self.second]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, s};

    use super::*;

    fn image() -> Array2<f32> {
        Array2::from_shape_fn((9, 9), |(i, j)| ((i * 31 + j * 17) % 23) as f32 / 11.0 - 1.0)
    }

    fn sample(geometry: Geometry) -> Array2<f32> {
        geometry.sample(image().view(), 9)
    }

    #[test]
    fn flips_are_exact() {
        let horizontal = sample(Geometry {
            flip_horizontal: true,
            ..Geometry::default()
        });
        let vertical = sample(Geometry {
            flip_vertical: true,
            ..Geometry::default()
        });
        assert_eq!(horizontal, image().slice(s![.., ..;-1]));
        assert_eq!(vertical, image().slice(s![..;-1, ..]));
    }

    #[test]
    fn quarter_turns_are_those_of_the_array_and_anticlockwise() {
        // numpy.rot90: transposed, then the rows in reverse.
        let mut expected = image();
        for quarters in 1..=4 {
            expected = expected.reversed_axes();
            expected.invert_axis(Axis(0));
            let turned = sample(Geometry {
                rotate: 90.0 * f64::from(quarters),
                ..Geometry::default()
            });
            // The cosine of 90 degrees is 6e-17.
            let difference = &turned - &expected;
            assert!(
                difference.iter().all(|d| d.abs() < 1e-12),
                "{quarters} quarters: {difference}"
            );
        }
    }

    #[test]
    fn a_shift_by_whole_pixels_moves_and_fills_with_air() {
        let shifted = sample(Geometry {
            translate: [2.0 / 9.0, -1.0 / 9.0],
            ..Geometry::default()
        });
        let moved = image();
        let difference = &shifted.slice(s![2.., ..8]) - &moved.slice(s![..7, 1..]);
        assert!(difference.iter().all(|d| d.abs() < 1e-6), "{difference}");
        assert!(
            shifted
                .slice(s![..2, ..])
                .iter()
                .chain(shifted.column(8))
                .all(|v| *v == -1.0)
        );
    }

    #[test]
    fn a_crop_of_whole_pixels_is_a_slice_and_enlarging_leaves_no_frame() {
        let crop = Rectangle {
            start: [1.0 / 9.0, 4.0 / 9.0],
            extent: [5.0 / 9.0, 5.0 / 9.0],
        };
        let geometry = Geometry {
            crop,
            ..Geometry::default()
        };
        let cut = geometry.sample(image().view(), 5);
        let difference = &cut - &image().slice(s![1..6, 4..]);
        assert!(difference.iter().all(|d| d.abs() < 1e-5), "{difference}");
        let bright = Array2::from_elem((9, 9), 0.5);
        assert!(geometry.sample(bright.view(), 40).iter().all(|v| *v == 0.5));
    }

    #[test]
    fn shrinking_by_much_is_antialiased() {
        // One-pixel stripes would alias into broad ones, of which the filter leaves 7 %.
        let stripes = Array2::from_shape_fn((256, 256), |(_, j)| if j % 2 == 0 { 1.0 } else { -1.0 });
        let out = Geometry {
            rotate: 3.0,
            ..Geometry::default()
        }
        .sample(stripes.view(), 40);
        let inside = out.slice(s![4..36, 4..36]);
        assert!(inside.iter().all(|v| v.abs() < 0.08), "{inside}");
    }
}
