//! Where a scan lies, and reading it.

use std::path::{Path, PathBuf};

use super::ScanError;
use crate::{
    ct::CtVolume,
    index::{IndexError, no_ct, read_scan, read_slices},
    readers::{ARCHIVES, Dicom, Image, Nifti, Npy, ReadError, SliceAddress, SliceReader as _, begin, read_volume},
};

/// How files of volumes are called.
const VOLUMES: [&str; 3] = [".nii", ".nii.gz", ".npy"];

/// What a scan is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanSource {
    /// A file that holds it: NIfTI, or `.npy` with its sidecar; an address may stand in for it.
    Volume(PathBuf),
    /// A folder or archive of DICOM files of one series.
    Series(PathBuf),
    /// Addresses of its slices, in any order.
    Slices(Vec<PathBuf>),
}

/// What a path of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// A volume, or slices of one.
    Volume,
    /// A folder, or an archive.
    Series,
    /// A DICOM file.
    Dicom,
    /// A picture.
    Picture,
}

impl Holds {
    /// By what lies there; where nothing can be read, by the name: what is wrong is said where the scan is read.
    pub(super) fn of(address: &SliceAddress) -> Self {
        let name = match &address.member {
            Some(member) => member.to_ascii_lowercase(),
            None => address.file.to_string_lossy().to_ascii_lowercase(),
        };
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if address.member.is_none() {
            if address.file.is_dir() || ends(&ARCHIVES) {
                return Self::Series;
            }
            let known = begin(address)
                .ok()
                .and_then(|begun| begun.reader)
                .map(|reader| reader.name());
            match known {
                Some(found) if found == Nifti.name() || found == Npy.name() => return Self::Volume,
                Some(found) if found == Image.name() => return Self::Picture,
                Some(found) if found == Dicom.name() => return Self::Dicom,
                _ => {}
            }
        }
        // A member is inflated as a whole before its first byte is seen: its name must do.
        if ends(&VOLUMES) {
            Self::Volume
        } else if ends(&[".png", ".jpg", ".jpeg", ".tif", ".tiff"]) {
            Self::Picture
        } else {
            Self::Dicom
        }
    }
}

impl ScanSource {
    /// The scan at a path that is no row of a table: a volume, a folder or archive with a DICOM series, one DICOM file.
    ///
    /// # Errors
    ///
    /// An address that is none, one slice of a volume, and a picture.
    pub fn at(path: &Path) -> Result<Self, ScanError> {
        let address = SliceAddress::parse(path)?;
        if let Some(at) = address.slice {
            let path = path.to_owned();
            return Err(ReadError::SliceOfVolume { at, path }.into());
        }
        let path = path.to_owned();
        Ok(match Holds::of(&address) {
            Holds::Volume => Self::Volume(path),
            Holds::Series => Self::Series(path),
            Holds::Dicom => Self::Slices(vec![path]),
            Holds::Picture => return Err(ScanError::Pictures { rows: 1, first: 1 }),
        })
    }

    /// The first of its paths.
    pub fn first_path(&self) -> &Path {
        match self {
            Self::Volume(path) | Self::Series(path) => path,
            Self::Slices(paths) => paths.first().map_or(Path::new(""), PathBuf::as_path),
        }
    }

    /// The scan as it is stored, in Hounsfield units, with its place in the patient.
    ///
    /// Slices are put on each other by their own positions. A stack that was made with a tilted gantry keeps its slices; the
    /// direction of D is then not perpendicular to them.
    ///
    /// # Errors
    ///
    /// Whatever keeps files from being read, slices that are missing, uneven, repeated or shifted, several scans where one is
    /// meant, a place that is none, and values that are no Hounsfield units.
    pub fn read(&self) -> Result<CtVolume, ScanError> {
        let volume = match self {
            Self::Volume(path) => read_volume(path)?,
            Self::Series(path) => {
                let address = SliceAddress::parse(path)?;
                read_scan(&address.file, None, address.rescale).map_err(|error| match volumes_in(&address.file) {
                    found if found > 0 && matches!(error, IndexError::NoScan { .. }) => {
                        ScanError::FolderOfVolumes { found }
                    }
                    _ => several(error),
                })?
            }
            Self::Slices(paths) => read_slices(paths).map_err(several)?,
        };
        volume.geometry.check()?;
        match no_ct(&volume) {
            Some(reason) => Err(ScanError::NoCt { reason }),
            None => Ok(volume),
        }
    }
}

/// Files of a folder that are named as volumes; those in folders within are not looked for.
fn volumes_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().to_ascii_lowercase());
    names
        .filter(|name| VOLUMES.iter().any(|ending| name.ends_with(ending)))
        .count()
}

/// The way out of a command's `--scan` is none here.
fn several(error: IndexError) -> ScanError {
    match error {
        IndexError::WhichScan { found, sizes, .. } | IndexError::SeveralScans { found, sizes, .. } => {
            ScanError::SeveralScans { found, sizes }
        }
        error => error.into(),
    }
}
