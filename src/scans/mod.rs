//! Whole scans of a cohort as a network takes them: which files make one, and their voxels on disk, ready to be mapped.

use std::{path::PathBuf, sync::Arc};

use ndarray::ArrayView3;

use crate::cohort::Cohort;

/// The scans of a table, one row each.
#[derive(Debug)]
pub struct Scans {
    /// Who they are; `slice_id` is the scan's own name.
    pub cohort: Cohort,
    /// What each is made from.
    pub sources: Vec<ScanSource>,
}

/// What a scan is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanSource {
    /// A file that holds it: NIfTI, or `.npy` with its sidecar; an address may stand in for it.
    Volume(PathBuf),
    /// A folder of DICOM files of one series.
    Series(PathBuf),
    /// Addresses of its slices, in any order.
    Slices(Vec<PathBuf>),
}

/// A scan as a network takes it, mapped from the disk: `[D, H, W]` HU as 16-bit integers, all of one size and spacing.
#[derive(Debug, Clone)]
pub struct CachedScan {
    voxels: Arc<ndarray::Array3<i16>>,
    sha256: String,
}

impl CachedScan {
    /// `[D, H, W]` in HU.
    pub fn voxels(&self) -> ArrayView3<'_, i16> {
        self.voxels.view()
    }

    /// SHA-256 of the voxels.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}
