//! `standard`: crop, window, square, resize. The mapping is monotone and the same in every column.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use serde::{Deserialize, Serialize};

use super::{
    PreprocessError,
    window::{Window, Windows, checked_window},
};
use crate::{
    ct::{Hu, HuWindow, Pixels, body_box},
    transforms::resample,
};

/// Kept around the body on every side, as a share of the slice's shorter side: 10 pixels of 512, so that the skin is not at
/// the very edge and a threshold that is a pixel off takes nothing away.
const MARGIN: f64 = 0.02;

/// Settings of `standard`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct Standard {
    /// The Hounsfield units that become `[-1, 1]`: `window = NAME` for a grey slice, `windows = [NAME, NAME, NAME]` for one
    /// window a plane. A window is `lung`, `mediastinum`, `wide`, `bone` or `{ center, width }`; default: `lung`. Pictures of 8
    /// bits were windowed by whoever made them and enter as `v / 127.5 - 1`; they have no second window.
    pub windows: Windows,
    /// The stored values of 16-bit pictures that become `[-1, 1]`, as `{ center, width }`. Without it such pictures are
    /// refused: nothing in them states their unit.
    pub grey16_window: Option<HuWindow>,
    /// How an oblong image becomes square; default `pad`.
    pub resize: Squaring,
    /// What of the slice is kept, before it becomes square; default `none`, which keeps all of it.
    pub crop: Cropping,
}

/// `[preprocess]` of a recipe, without its kind. What is at its default since it came later is not written, so that recipes
/// keep their hashes.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<Vec<Window>>,
    #[serde(deserialize_with = "checked_window", skip_serializing_if = "Option::is_none")]
    grey16_window: Option<HuWindow>,
    resize: Squaring,
    #[serde(skip_serializing_if = "Cropping::is_none")]
    crop: Cropping,
}

impl TryFrom<Keys> for Standard {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        Ok(Self {
            windows: Windows::of(keys.window, keys.windows.as_deref())?,
            grey16_window: keys.grey16_window,
            resize: keys.resize,
            crop: keys.crop,
        })
    }
}

impl From<Standard> for Keys {
    fn from(standard: Standard) -> Self {
        let (window, windows) = match standard.windows {
            Windows::One(window) => (Some(window), None),
            Windows::Three(windows) => (None, Some(windows.to_vec())),
        };
        Self {
            window,
            windows,
            grey16_window: standard.grey16_window,
            resize: standard.resize,
            crop: standard.crop,
        }
    }
}

impl Default for Standard {
    fn default() -> Self {
        Self {
            windows: Windows::One(Window(HuWindow::LUNG)),
            grey16_window: None,
            resize: Squaring::default(),
            crop: Cropping::default(),
        }
    }
}

/// How an oblong image becomes square.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Squaring {
    /// The lowest value is added evenly to the short sides: no anatomy is lost or distorted.
    #[default]
    Pad,
    /// The middle square of the long side is kept.
    Crop,
    /// Both sides are scaled for themselves, which distorts.
    Stretch,
}

/// What of a slice is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cropping {
    /// All of it.
    #[default]
    None,
    /// The box around the patient (see [`body_box`]) and 2 % of the slice's shorter side around it: no table, less air. Slices
    /// are cropped one by one, so that one anatomy has another scale from slice to slice. A slice with nobody in it is kept as
    /// it is. Needs Hounsfield units.
    Body,
}

impl Cropping {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl Standard {
    /// `[H, W]` to `[C, size, size]` in `[-1, 1]`.
    pub(super) fn apply(&self, pixels: &Pixels, size: usize) -> Result<Array3<f32>, PreprocessError> {
        let signed = |window: HuWindow| move |value: f32| window.normalize(value) * 2.0 - 1.0;
        match pixels {
            Pixels::Hu(hu) => {
                let kept = self.region(hu.view());
                let kept = hu.slice(s![kept[0].clone(), kept[1].clone()]);
                if let Windows::One(window) = &self.windows {
                    return Ok(self.plane(kept.mapv(signed(window.0)), size).insert_axis(Axis(0)));
                }
                let windows = self.windows.all();
                let mut out = Array3::zeros((windows.len(), size, size));
                for (mut plane, window) in out.outer_iter_mut().zip(windows) {
                    plane.assign(&self.plane(kept.mapv(signed(window.0)), size));
                }
                Ok(out)
            }
            Pixels::Grey8(grey) => {
                self.check_needs("an 8-bit picture")?;
                let grey = grey.mapv(|value| f32::from(value) / 127.5 - 1.0);
                Ok(self.plane(grey, size).insert_axis(Axis(0)))
            }
            Pixels::Grey16(grey) => {
                let Some(window) = self.grey16_window else {
                    return Err(PreprocessError::NoGrey16Window {
                        lowest: grey.iter().copied().min().unwrap_or(0),
                        highest: grey.iter().copied().max().unwrap_or(0),
                    });
                };
                self.check_needs("a 16-bit picture")?;
                let signed = signed(window);
                let grey = grey.mapv(|value| signed(f32::from(value)));
                Ok(self.plane(grey, size).insert_axis(Axis(0)))
            }
        }
    }

    /// The part of a slice that is kept: rows and columns.
    pub(super) fn region(&self, hu: ArrayView2<'_, Hu>) -> [Range<usize>; 2] {
        let (height, width) = hu.dim();
        let whole = [0..height, 0..width];
        let body = match self.crop {
            Cropping::None => None,
            Cropping::Body => body_box(hu),
        };
        let margin = (MARGIN * height.min(width) as f64).round() as usize;
        let wider = |range: Range<usize>, end: usize| range.start.saturating_sub(margin)..(range.end + margin).min(end);
        body.map_or(whole, |[rows, columns]| [wider(rows, height), wider(columns, width)])
    }

    /// Pictures that are no longer in Hounsfield units have one plane and no body.
    fn check_needs(&self, found: &'static str) -> Result<(), PreprocessError> {
        let refuse = |setting, instead| {
            Err(PreprocessError::NeedsHu {
                setting,
                found,
                instead,
            })
        };
        match (&self.windows, self.crop) {
            (Windows::Three(_), _) => refuse("preprocess.windows", "name one window"),
            (_, Cropping::Body) => refuse("preprocess.crop = \"body\"", "set it to \"none\""),
            _ => Ok(()),
        }
    }

    /// `[H, W]` in `[-1, 1]` to `[size, size]`.
    fn plane(&self, image: Array2<f32>, size: usize) -> Array2<f32> {
        let mut out = resample(self.resize.square(image).view(), (size, size));
        // The filter's weights add up to 1 only up to rounding.
        out.mapv_inplace(|value| value.clamp(-1.0, 1.0));
        out
    }
}

impl Squaring {
    /// `[H, W]` in `[-1, 1]` to a square, except for `stretch`, which leaves that to the resampling.
    fn square(self, image: Array2<f32>) -> Array2<f32> {
        let (height, width) = image.dim();
        let (short, long) = (height.min(width), height.max(width));
        if short == long {
            return image;
        }
        match self {
            Self::Stretch => image,
            Self::Pad => {
                let (top, left) = ((long - height) / 2, (long - width) / 2);
                let mut square = Array2::from_elem((long, long), -1.0);
                square
                    .slice_mut(s![top..top + height, left..left + width])
                    .assign(&image);
                square
            }
            Self::Crop => {
                let (top, left) = ((height - short) / 2, (width - short) / 2);
                image.slice_move(s![top..top + short, left..left + short])
            }
        }
    }
}
