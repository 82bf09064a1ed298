//! Random changes of a whole scan for training: `[D, H, W]` HU to `[D, H, W]` in `[-1, 1]`.
//!
//! A [`ScanAugment`] says from which ranges is drawn, a [`ScanChange`] is what was drawn. As with slices, all that moves a
//! scan is one map, so that it is interpolated once, and then its values change in the order in which a scanner would do it:
//! shift (calibration), smoothing (kernel), noise (dose). At the end there is the window. The work is done here on the
//! processor, and with the same meaning by `torch::scans` on a graphics card.

pub(super) mod affine;
pub(super) mod apply;
mod change;
mod check;
mod preset;
mod sample;

use serde::{Deserialize, Serialize};

pub use self::{apply::ScanShapeError, change::ScanChange};
use super::{Blur, Noise};
use crate::ct::Hu;

/// How scans are changed at random: a table in a recipe, or the name of one of the [presets](Self::named).
///
/// What is off draws nothing from the generator. The default is off altogether.
///
/// ```
/// use hounsfield::{seed::stream, transforms::{ScanAugment, ScanChange}};
/// let pu2020 = ScanAugment::named("pu2020").expect("a preset");
/// let change = pu2020.draw(&mut stream(0, "augment/0/0"));
/// assert!(change.hu_shift.abs() <= 25.0);
/// assert_eq!(change, pu2020.draw(&mut stream(0, "augment/0/0")));
/// assert_eq!(ScanAugment::default().draw(&mut stream(0, "augment/0/0")), ScanChange::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct ScanAugment {
    /// Probability of a flip along D (head becomes feet), H (front becomes back) and W; default 0 each. Along W left becomes
    /// right, which puts the heart on the other side.
    pub flip: [f64; 3],
    /// Largest rotation in degrees about the axes D, H and W, either way; default 0 each.
    pub rotate: [f64; 3],
    /// Largest shift in mm along each axis, either way; default 0.
    pub translate: f64,
    /// Largest relative change of size, either way, the same along all axes; default 0.
    pub scale: f64,
    /// Largest shift of all values in HU, either way; default 0. Pu et al. 2020 have 25.
    pub hu_shift: Hu,
    /// Gaussian smoothing, its sigma in voxels; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blur: Option<Blur>,
    /// Gaussian noise, its sigma in HU; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
}
