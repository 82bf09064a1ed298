//! NIfTI-1 and NIfTI-2 volumes, `.nii` and `.nii.gz`.
//!
//! - A slope is applied exactly once, where a number is read; a slope of 0 is none. What comes out are Hounsfield units:
//!   NIfTI has no field that says so, and all CT in it has them.
//! - Geometry is nibabel's best affine (`sform`, `qform`, spacing), turned from RAS to LPS.
//! - Slices are numbered from the head: axes are put in the axial order that is closest, whatever the file's own is.
//! - Stored numbers are kept as they are and converted slice by slice.
//!
//! Sources: <https://nifti.nimh.nih.gov/nifti-1>, `nifti1.h`, `nifti2.h`; nibabel 5 where they leave a choice.

mod affine;
mod content;
mod header;
mod write;

use std::{io, path::Path};

use self::{
    content::content,
    header::{Header, kind_of},
};
pub use self::{header::NiftiVersion, write::write_nifti};
use super::{
    MAX_SIDE, MAX_VOLUME, MAX_VOXELS, ReadError, SliceReader, Slices, Stated, VolumeFile,
    samples::{Samples, Stored},
};
use crate::ct::{AxisOrder, CtSlice, CtVolume, Geometry, GeometryError, Orientation, Pixels, Rescale};

/// Reads axial slices of volumes.
#[derive(Debug)]
pub struct Nifti;

impl SliceReader for Nifti {
    fn name(&self) -> &'static str {
        "NIfTI volume"
    }

    fn can_read(&self, head: &[u8], path: &Path) -> bool {
        if !content::is_gzip(head) {
            return kind_of(head).is_some();
        }
        // So few bytes may be too few to inflate any.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.to_ascii_lowercase().ends_with(".nii.gz") || kind_of(&content::inflated_head(head)).is_some()
    }

    fn open(&self, bytes: Vec<u8>, rescale: Option<Rescale>, path: &Path) -> Result<Box<dyn Slices>, ReadError> {
        Ok(Box::new(AxialSlices::of(File::open(bytes, rescale, path)?, path)?))
    }

    fn longest(&self) -> u64 {
        MAX_VOLUME
    }

    fn codecs(&self) -> Vec<(String, String)> {
        [("NIfTI-1", "n+1"), ("NIfTI-2", "n+2")]
            .map(|(name, magic)| {
                (
                    name,
                    format!("{magic}, .nii and .nii.gz, one volume of integers or floats"),
                )
            })
            .map(|(name, details)| (name.to_owned(), details))
            .into()
    }
}

/// A file whose header was checked.
struct File {
    header: Header,
    geometry: Geometry,
    stored: Stored,
}

impl File {
    fn open(bytes: Vec<u8>, rescale: Option<Rescale>, path: &Path) -> Result<Self, ReadError> {
        Self::parse(bytes, rescale).map_err(|source| ReadError::Nifti {
            source,
            path: path.to_owned(),
        })
    }

    fn parse(bytes: Vec<u8>, rescale: Option<Rescale>) -> Result<Self, NiftiError> {
        if rescale.is_some() {
            return Err(NiftiError::Stated { what: "rescale" });
        }
        let (header, bytes) = content(bytes)?;
        let [width, height, depth] = header.size;
        Ok(Self {
            geometry: header.geometry()?,
            stored: Stored {
                samples: Samples {
                    bytes,
                    begin: header.begin,
                    kind: header.kind,
                    big_endian: header.big_endian,
                },
                size: [depth, height, width],
                strides: [width * height, width, 1],
                scaling: header.scaling,
            },
            header,
        })
    }
}

/// The volume of a file, as it is stored.
pub(super) fn read(bytes: Vec<u8>, stated: Stated, path: &Path) -> Result<VolumeFile, ReadError> {
    if stated.spacing.is_some() {
        return Err(ReadError::Nifti {
            source: NiftiError::Stated { what: "spacing" },
            path: path.to_owned(),
        });
    }
    let file = File::open(bytes, stated.rescale, path)?;
    Ok(VolumeFile {
        volume: CtVolume {
            voxels: file.stored.volume(),
            geometry: file.geometry,
        },
        format: match file.header.version {
            NiftiVersion::One => "NIfTI-1",
            NiftiVersion::Two => "NIfTI-2",
        },
        stored: file.header.kind.name(),
        scaling: file.header.scaling,
    })
}

/// The slices of a file from the head to the feet.
struct AxialSlices {
    stored: Stored,
    order: AxisOrder,
    geometry: Geometry,
}

impl AxialSlices {
    fn of(file: File, path: &Path) -> Result<Self, ReadError> {
        let order = file.geometry.orientation().order_to(Orientation::AXIAL);
        let [_, height, width] = order.size(file.stored.size);
        if height.max(width) > MAX_SIDE as usize {
            return Err(ReadError::TooLarge {
                width: u32::try_from(width).unwrap_or(u32::MAX),
                height: u32::try_from(height).unwrap_or(u32::MAX),
                path: path.to_owned(),
            });
        }
        Ok(Self {
            geometry: file.geometry.reordered(file.stored.size, &order),
            stored: file.stored,
            order,
        })
    }
}

impl Slices for AxialSlices {
    fn len(&self) -> usize {
        self.order.size(self.stored.size)[0]
    }

    fn read(&self, at: usize) -> Result<CtSlice, ReadError> {
        Ok(CtSlice {
            pixels: Pixels::Hu(self.stored.slice(&self.order, at)),
        })
    }

    fn geometry(&self) -> Option<Geometry> {
        Some(self.geometry)
    }
}

/// Why a NIfTI file is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NiftiError {
    /// Nothing that begins a NIfTI file.
    #[error("the file begins with no NIfTI header")]
    NoHeader,
    /// Fewer bytes than the header speaks of.
    #[error(
        "the file has at most {found} bytes (inflated), {expected} were expected: it is cut off, or its header lies"
    )]
    Short {
        /// How many there are, or can be.
        found: u64,
        /// How many the header speaks of.
        expected: u64,
    },
    /// A header whose voxels stand in another file.
    #[error("the header is one of a pair (.hdr and .img), a single file was expected: save the volume as .nii")]
    Pair,
    /// The older format, which does not say left from right.
    #[error("the header is that of ANALYZE 7.5, which does not say left from right: save the volume as .nii")]
    Analyze,
    /// A series of volumes.
    #[error("the file holds {found} volumes, one was expected: split it")]
    Several {
        /// Length of the fourth or a later dimension.
        found: usize,
    },
    /// Dimensions that no volume has.
    #[error("the dimensions are {found}, expected two or three positive lengths")]
    Dimensions {
        /// What the header says.
        found: String,
    },
    /// More than a machine is asked to hold.
    #[error("the header speaks of {voxels} voxels in {mebibytes} MiB, at most {MAX_VOXELS} in {} are read", MAX_VOLUME >> 20)]
    TooLarge {
        /// How many voxels.
        voxels: usize,
        /// How much they take.
        mebibytes: u64,
    },
    /// No slice has such sides.
    #[error("the volume is {} x {} x {} voxels, at most one side may be longer than {MAX_SIDE}", size[0], size[1], size[2])]
    Sides {
        /// Along i, j, k.
        size: [usize; 3],
    },
    /// Numbers that are no attenuation.
    #[error("voxels are of datatype {code} ({name}), expected integers of 8 to 64 bits or floats of 32 or 64")]
    Datatype {
        /// `datatype`.
        code: i64,
        /// Its name.
        name: &'static str,
    },
    /// Voxels that begin nowhere.
    #[error("voxels begin at byte {found} by the header, expected a whole number from {first} on")]
    Offset {
        /// `vox_offset`.
        found: f64,
        /// Where they can begin.
        first: usize,
    },
    /// A scaling of which one half is missing.
    #[error("the slope is {slope} and the intercept no number: state both or neither")]
    Intercept {
        /// `scl_slope`.
        slope: f64,
    },
    /// A rotation that is none.
    #[error("the quaternion of qform has the squared length {length} without its first number, expected at most 1")]
    Quaternion {
        /// The sum of the squares.
        length: f64,
    },
    /// Axes that span no space.
    #[error("{0} (mend sform or qform)")]
    Geometry(#[from] GeometryError),
    /// Something that the file states itself.
    #[error("a {what} was stated, which a NIfTI file has of its own: leave it out")]
    Stated {
        /// `rescale` or `spacing`.
        what: &'static str,
    },
    /// Broken compression.
    #[error("the file can't be inflated ({source})")]
    Gzip {
        /// What the decoder said.
        source: io::Error,
    },
}
