//! Random changes of a whole scan for training, in words: what is drawn, and from which ranges. `torch::augment` carries it out.

use serde::{Deserialize, Serialize};

use super::{Blur, Noise};
use crate::ct::Hu;

/// How scans are changed at random: a table in a recipe, or the name of a preset. What is off draws nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScanAugment {
    /// Probability of a flip along D, H and W; default 0 each. Along W left becomes right.
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
