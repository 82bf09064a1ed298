//! Random changes of a slice for training: `[C, H, W]` in `[-1, 1]` to `[C, size, size]` in `[-1, 1]`.
//!
//! A slice is moved first, all at once (see [`Geometry`]), so that it is interpolated once. Then its values change in
//! the order in which a scanner would do it: contrast and shift are its calibration, smoothing its kernel, noise its
//! dose. Jitter stays small, since Hounsfield units are calibrated and mean something.

mod blur;
mod check;
mod geometry;
mod preset;
mod rectangle;

use ndarray::{Array2, Array3, ArrayView3, s};
use rand::{Rng, RngExt as _};
use rand_distr::{Distribution as _, StandardNormal};
use serde::{Deserialize, Serialize};

pub(crate) use self::blur::kernel;
pub use self::{blur::gaussian_blur, check::AugmentError, geometry::Geometry, rectangle::Rectangle};
pub(super) use self::{
    blur::{smooth, weighted},
    check::{shift, within},
};
use crate::ct::Hu;

/// How slices are changed at random: a table in a recipe, or the name of one of the [presets](Self::named).
///
/// What is off draws nothing from the generator. The default is off altogether.
///
/// ```
/// use hounsfield::{seed::stream, transforms::Augment};
/// let light = Augment::named("light").expect("a preset");
/// let slice = ndarray::Array3::from_elem((1, 96, 96), -0.2);
/// let (mut one, mut other) = (stream(0, "augment"), stream(0, "augment"));
/// let changed = light.apply(slice.view(), &[1500.0], 64, &mut one);
/// assert_eq!(changed.dim(), (1, 64, 64));
/// assert_eq!(changed, light.apply(slice.view(), &[1500.0], 64, &mut other));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct Augment {
    /// Probability that left becomes right, which puts the heart on the other side; default 0.
    pub flip_horizontal: f64,
    /// Probability that top becomes bottom, as if a supine patient lay prone; default 0.
    pub flip_vertical: f64,
    /// Largest rotation in degrees, either way; default 0.
    pub rotate: f64,
    /// Largest shift along each axis as a fraction of that side, either way; default 0.
    pub translate: f64,
    /// Random resized crop; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// Largest relative change of contrast about the middle of the window, either way; default 0.
    pub gain: f64,
    /// Largest shift of all values in HU, either way; default 0. Pu et al. 2020 have 25.
    pub hu_shift: Hu,
    /// Gaussian smoothing; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blur: Option<Blur>,
    /// Gaussian noise; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// A rectangle that is blanked out; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase: Option<Erase>,
}

/// A part of the slice becomes the whole; defaults of Szegedy et al. 2015 (arXiv:1409.4842, section 6), which
/// `resnet_preprocessing.py` (tensorflow/tpu) has too.
///
/// Of ten tries the first that fits is taken, else the largest part in the middle with an aspect in the range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Crop {
    /// Share of the slice's area; default 0.08 to 1.
    pub area: [f64; 2],
    /// Width to height before both become `size`; default 3/4 to 4/3.
    pub aspect: [f64; 2],
}

impl Default for Crop {
    fn default() -> Self {
        Self {
            area: [0.08, 1.0],
            aspect: [3.0 / 4.0, 4.0 / 3.0],
        }
    }
}

/// Gaussian smoothing; defaults of Chen et al. 2020 (SimCLR, arXiv:2002.05709, appendix A).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// How often; default 0.5.
    pub probability: f64,
    /// Standard deviation in pixels (of a scan: voxels) of the output; default 0.1 to 2.
    pub sigma: [f64; 2],
}

impl Default for Blur {
    fn default() -> Self {
        Self {
            probability: 0.5,
            sigma: [0.1, 2.0],
        }
    }
}

/// Gaussian noise, independent from pixel to pixel, which the noise of a reconstruction is not. The defaults are ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// How often; default 0.5.
    pub probability: f64,
    /// Standard deviation in HU; default 0 to 25.
    pub sigma: [Hu; 2],
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            probability: 0.5,
            sigma: [0.0, 25.0],
        }
    }
}

/// One rectangle becomes the window's lower end; defaults of Zhong et al. 2020 (random erasing, arXiv:1708.04896), who
/// fill it with random values.
///
/// Of ten tries the first that fits is taken; else nothing is erased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Erase {
    /// How often; default 0.5.
    pub probability: f64,
    /// Share of the area; default 0.02 to 0.4.
    pub area: [f64; 2],
    /// Width to height; default 0.3 to 1 / 0.3.
    pub aspect: [f64; 2],
}

impl Default for Erase {
    fn default() -> Self {
        Self {
            probability: 0.5,
            area: [0.02, 0.4],
            aspect: [0.3, 1.0 / 0.3],
        }
    }
}

impl Augment {
    /// The slice, changed at random: all planes in the same way, as the windows of one scan.
    ///
    /// `window_widths` says of each plane how many HU lie between -1 and 1. Pictures of 8 bits do not state it: pass the width
    /// of the window with which they were made, or of the one that is assumed. Values that a window has cut off are not known
    /// any more; they and what lies outside of the image change as if they were at its ends.
    ///
    /// # Shapes
    ///
    /// - `image`: `[C, H, W]` in `[-1, 1]`, none of them 0
    /// - `window_widths`: as many as there are planes
    /// - output: `[C, size, size]` in `[-1, 1]`; a copy where nothing is on and `H` and `W` are `size` already
    pub fn apply(
        &self,
        image: ArrayView3<'_, f32>,
        window_widths: &[Hu],
        size: usize,
        rng: &mut impl Rng,
    ) -> Array3<f32> {
        let (planes, height, width) = image.dim();
        assert_eq!(window_widths.len(), planes, "a width for each plane");
        let geometry = self.geometry((height, width), rng);
        let factor = 1.0 + either_way(self.gain, rng) as f32;
        let shift = either_way(self.hu_shift.into(), rng) as f32;
        let blur = self.blur.as_ref().and_then(|blur| blur.draw(rng));
        let noise = self.noise.as_ref().and_then(|noise| noise.draw(rng));
        let noise = noise.map(|sigma| {
            (
                sigma,
                Array2::from_shape_simple_fn((size, size), || StandardNormal.sample(rng)),
            )
        });
        let erase = self.erase.as_ref().filter(|erase| chance(erase.probability, rng));
        let erase = erase.and_then(|erase| Rectangle::draw(erase.area, erase.aspect, 1.0, rng));

        let mut out = Array3::zeros((planes, size, size));
        for ((mut out, image), width) in out.outer_iter_mut().zip(image.outer_iter()).zip(window_widths) {
            let per_hu = 2.0 / width;
            let mut plane = geometry.sample(image, size);
            plane.mapv_inplace(|value| value * factor + shift * per_hu);
            if let Some(sigma) = blur {
                plane = gaussian_blur(plane.view(), sigma);
            }
            if let Some((sigma, normal)) = &noise {
                let sigma = sigma * per_hu;
                plane.zip_mut_with(normal, |value, normal: &f32| *value += sigma * normal);
            }
            if let Some(rectangle) = &erase {
                let [rows, columns] = rectangle.pixels(size);
                plane.slice_mut(s![rows, columns]).fill(geometry::OUTSIDE);
            }
            out.assign(&plane.mapv(|value| value.clamp(-1.0, 1.0)));
        }
        out
    }

    fn geometry(&self, (height, width): (usize, usize), rng: &mut impl Rng) -> Geometry {
        Geometry {
            flip_horizontal: chance(self.flip_horizontal, rng),
            flip_vertical: chance(self.flip_vertical, rng),
            rotate: either_way(self.rotate, rng),
            translate: [0, 1].map(|_| either_way(self.translate, rng)),
            crop: match &self.crop {
                Some(crop) => crop.draw(width as f64 / height as f64, rng),
                None => Rectangle::default(),
            },
        }
    }
}

impl Blur {
    /// A standard deviation, if there is to be any smoothing.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Option<f64> {
        chance(self.probability, rng).then(|| rng.random_range(self.sigma[0]..=self.sigma[1]))
    }
}

impl Noise {
    /// A standard deviation in HU, if there is to be any noise.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Option<Hu> {
        chance(self.probability, rng).then(|| rng.random_range(self.sigma[0]..=self.sigma[1]))
    }
}

impl Crop {
    fn draw(&self, image_aspect: f64, rng: &mut impl Rng) -> Rectangle {
        Rectangle::draw(self.area, self.aspect, image_aspect, rng)
            .unwrap_or_else(|| Rectangle::central(self.aspect, image_aspect))
    }
}

/// True so often; no draw where it never is.
pub(super) fn chance(probability: f64, rng: &mut impl Rng) -> bool {
    probability > 0.0 && rng.random_bool(probability)
}

/// Uniform from `-largest` to `largest`; no draw where that is 0.
pub(super) fn either_way(largest: f64, rng: &mut impl Rng) -> f64 {
    if largest > 0.0 {
        rng.random_range(-largest..=largest)
    } else {
        0.0
    }
}
