//! Whole volumes from files and into them.

use std::path::{Path, PathBuf};

use super::{
    MAX_VOLUME, Nifti, NiftiVersion, Npy, ReadError, SliceAddress, SliceReader as _, nifti, npy,
    opened::{HEAD, content, read_bytes, read_head},
};
use crate::{
    ct::{CtVolume, GeometryError, Hu, Rescale},
    tables::WriteError,
};

/// A volume, and how its file held it.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeFile {
    /// In the order of its axes in the file.
    pub volume: CtVolume,
    /// `NIfTI-1`, `NIfTI-2` or `npy`.
    pub format: &'static str,
    /// How a number is stored, by numpy's name: `int16`.
    pub stored: &'static str,
    /// Slope and intercept that stored numbers were scaled by.
    pub scaling: Option<(f64, f64)>,
}

/// Reads a volume: NIfTI, or `.npy` with its sidecar. Axes keep the order of the file; [`CtVolume::axial`] changes it. The
/// path is a [`SliceAddress`] without a slice.
///
/// ```
/// use hounsfield::{ct::{CtVolume, Geometry}, readers::{WriteOptions, read_volume, write_volume}};
/// let voxels = ndarray::Array3::from_elem((4, 8, 8), -1000.0);
/// let volume = CtVolume { voxels, geometry: Geometry::axial([5.0, 0.75, 0.75]) };
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("air.nii.gz");
/// write_volume(&volume, &path, &WriteOptions::default())?;
/// assert_eq!(read_volume(&path)?, volume);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`ReadError`].
pub fn read_volume(path: &Path) -> Result<CtVolume, ReadError> {
    open_volume(path, &Stated::default()).map(|file| file.volume)
}

/// What the user states of a file that does not say it itself. Where it does, this is an error: one of both is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stated {
    /// Along D, H, W in mm: of an `.npy` file without a sidecar, whose slices are then taken to lie axially, from the head
    /// to the feet.
    pub spacing: Option<[f64; 3]>,
    /// What stored numbers mean; it can stand in the address as well.
    pub rescale: Option<Rescale>,
}

/// Reads a volume as [`read_volume`] does, and says how it was stored.
///
/// # Errors
///
/// [`ReadError`].
pub fn open_volume(path: &Path, stated: &Stated) -> Result<VolumeFile, ReadError> {
    let address = SliceAddress::parse(path)?;
    let file = &address.file;
    let io_error = |source| ReadError::Io {
        source,
        path: file.to_owned(),
    };
    if let Some(at) = address.slice {
        return Err(ReadError::SliceOfVolume {
            at,
            path: path.to_owned(),
        });
    }
    let stated = Stated {
        rescale: stated.rescale.or(address.rescale),
        ..*stated
    };
    // A member of an archive is in memory anyway; of a file no more is read than tells what it is.
    let member = address.member.as_ref().map(|_| content(&address)).transpose()?;
    let (head, name) = match &member {
        Some(bytes) => (bytes[..bytes.len().min(HEAD)].to_vec(), path),
        None => (read_head(file).map_err(io_error)?, file.as_path()),
    };
    let read = if Nifti.can_read(&head, name) {
        nifti::read
    } else if Npy.can_read(&head, name) {
        npy::read
    } else {
        return Err(ReadError::NoVolume { path: path.to_owned() });
    };
    let bytes = match member {
        Some(bytes) => bytes,
        None => read_bytes(file, MAX_VOLUME)?,
    };
    read(bytes, stated, name)
}

/// How a volume is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// 32-bit floats even where 16-bit integers hold all values. Off by default.
    pub float: bool,
    /// Which NIfTI; by default the first that can hold the volume.
    pub nifti: Option<NiftiVersion>,
}

/// Writes a volume; the name's ending chooses the format: `.nii`, `.nii.gz` or `.npy`.
///
/// # Errors
///
/// [`WriteVolumeError`]; nothing half-written is left.
pub fn write_volume(volume: &CtVolume, path: &Path, options: &WriteOptions) -> Result<(), WriteVolumeError> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
    let ends = |ending: &str| name.as_ref().is_some_and(|name| name.ends_with(ending));
    if ends(".nii") || ends(".nii.gz") {
        nifti::write_nifti(volume, path, options)
    } else if ends(".npy") {
        npy::write_npy(volume, path, options)
    } else {
        Err(WriteVolumeError::Name { path: path.to_owned() })
    }
}

/// Whether 16-bit integers hold all values.
pub(super) fn is_whole(volume: &CtVolume) -> bool {
    let fits = |hu: &Hu| hu.fract() == 0.0 && (-32768.0..=32767.0).contains(hu);
    volume.voxels.iter().all(fits)
}

/// Why a volume is not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteVolumeError {
    /// A name that says no format.
    #[error("the file's name ends in no known way, expected .nii, .nii.gz or .npy: {}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A place that is none.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Nothing to write.
    #[error("the volume has no voxels")]
    Empty,
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
