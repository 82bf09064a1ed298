//! Whole scans to network input: one spacing, one size, one window.

use serde::{Deserialize, Serialize};

use super::Window;
use crate::ct::{Hu, HuWindow};

/// What lies around a scan: air.
pub const AIR: Hu = -1024.0;

/// How a scan becomes a network's input. Defaults: those of Pu et al. 2020, 1.5 mm and 256 x 256 x 256.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScanInput {
    /// Distance of two voxels in mm, the same along all axes. Default: 1.5.
    pub spacing: f64,
    /// Voxels along D (head to feet), H (front to back) and W (the patient's right to left). Default: 256 each.
    pub size: [usize; 3],
    /// What becomes of a scan that is larger. Default: `shrink`.
    pub fit: Fit,
    /// The window whose ends become -1 and 1. Default: -1024 to 1024 HU; the paper names none.
    pub window: Window,
}

impl Default for ScanInput {
    fn default() -> Self {
        Self {
            spacing: 1.5,
            size: [256; 3],
            fit: Fit::Shrink,
            window: Window(HuWindow {
                center: 0.0,
                width: 2048.0,
            }),
        }
    }
}

/// What becomes of a scan that is larger than the size. One that is smaller has air put around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// It is resampled to a coarser spacing, the same along all axes, at which all of it fits ("resized and padded").
    #[default]
    Shrink,
    /// It is cut about its centre and keeps its spacing.
    Crop,
}
