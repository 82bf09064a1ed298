//! Prepared scans on disk: `KEY/NAME.scan`, `KEY` a hash of how scans are prepared, `NAME` one of what a scan is read from.
//!
//! A file is a header of [`HEADER`](file::HEADER) bytes and the voxels, 16-bit little-endian integers, `[D, H, W]`. It is written
//! beside its place and renamed into it, and never changed. Nothing in it or in its name says whose scan it is; who can guess
//! a path can tell whether it was prepared.

mod file;
mod name;

use std::{path::Path, sync::Arc};

use memmap2::Mmap;
use ndarray::{Array3, ArrayView3};

pub use self::file::Flaw;
pub(super) use self::{file::open, file::write, name::Name};
use super::{ScanError, ScanSource};
use crate::{ct::Geometry, tables::sha256_bytes, transforms::ScanInput};

#[cfg(target_endian = "big")]
compile_error!("prepared scans are mapped as they lie on disk, little endian: this machine is big endian");

/// A scan as a network takes it: `[D, H, W]` HU as 16-bit integers on the grid of a [`ScanInput`], mapped from the disk or in memory.
/// A clone shares the voxels.
#[derive(Debug, Clone)]
pub struct CachedScan {
    voxels: Voxels,
    size: [usize; 3],
    sha256: String,
    geometry: Geometry,
    not_numbers: u64,
}

#[derive(Debug, Clone)]
enum Voxels {
    /// All of a prepared file, its header included.
    Mapped(Arc<Mmap>),
    Memory(Arc<Array3<i16>>),
}

impl CachedScan {
    /// Reads a scan and puts it onto the network's grid, in memory: nothing is written.
    ///
    /// ```
    /// use hounsfield::{
    ///     ct::{CtVolume, Geometry},
    ///     readers::{WriteOptions, write_volume},
    ///     scans::{CachedScan, ScanSource},
    ///     transforms::ScanInput,
    /// };
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("air.nii.gz");
    /// let voxels = ndarray::Array3::from_elem((10, 16, 16), -1000.0);
    /// write_volume(&CtVolume { voxels, geometry: Geometry::axial([5.0, 4.0, 4.0]) }, &path, &WriteOptions::default())?;
    /// let input = ScanInput { spacing: 5.0, size: [16; 3], ..ScanInput::default() };
    /// let scan = CachedScan::of(&ScanSource::at(&path)?, &input)?;
    /// assert_eq!(scan.voxels()[[8, 8, 8]], -1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`ScanSource::read`] and [`ScanInput::apply`].
    pub fn of(source: &ScanSource, input: &ScanInput) -> Result<Self, ScanError> {
        input.check()?;
        let volume = source.read()?;
        let not_numbers = volume.voxels.iter().filter(|hu| !hu.is_finite()).count() as u64;
        let fitted = input.apply(volume)?;
        // Whole and in range: nothing is lost.
        let voxels = fitted.voxels.mapv(|hu| hu as i16);
        let voxels = voxels.as_standard_layout().into_owned();
        let sha256 = sha256_bytes(bytemuck::cast_slice(
            voxels.as_slice().expect("standard layout is contiguous"),
        ));
        Ok(Self {
            size: voxels.dim().into(),
            voxels: Voxels::Memory(Arc::new(voxels)),
            sha256,
            geometry: fitted.geometry,
            not_numbers,
        })
    }

    /// `[D, H, W]` in HU.
    pub fn voxels(&self) -> ArrayView3<'_, i16> {
        match &self.voxels {
            Voxels::Memory(voxels) => voxels.view(),
            Voxels::Mapped(map) => {
                let voxels = bytemuck::cast_slice(&map[file::HEADER..]);
                ArrayView3::from_shape(self.size, voxels).expect("the length was checked when the file was opened")
            }
        }
    }

    /// SHA-256 of the voxels as little-endian bytes, 64 hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Where the voxels lie in the patient.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How many voxels of the file were no finite numbers and became air.
    pub fn not_numbers(&self) -> u64 {
        self.not_numbers
    }
}

/// A prepared file of this name: where it is in the cache.
pub(super) fn place(folder: &Path, name: &Name) -> std::path::PathBuf {
    folder.join(format!("{name}.scan"))
}
