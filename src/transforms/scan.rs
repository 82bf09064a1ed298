//! Whole scans to network input: one spacing, one size, one window.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Window;
use crate::{
    ct::{CtVolume, Hu, HuWindow, ResampleError},
    tables::hex,
};

/// What lies around a scan: air.
pub const AIR: Hu = -1024.0;

/// Raised whenever [`ScanInput::apply`] gives other voxels than before, so that no scan that was prepared by an older version is taken
/// for one of this.
const VERSION: u32 = 1;
/// What a spacing may be, in mm: a tenth of the finest CT voxel, and a chest in a dozen voxels.
const SPACING: std::ops::RangeInclusive<f64> = 0.1..=50.0;
/// What a side of the input may have.
const SIDE: std::ops::RangeInclusive<usize> = 8..=1024;
/// More voxels than any network of the shelf takes: 512 MiB as 16-bit integers.
const MAX_VOXELS: usize = 1 << 28;

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

/// Why a scan is no input, or an input can't be asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanInputError {
    /// No spacing.
    #[error("`input.spacing` is {found}, expected {} to {} mm", SPACING.start(), SPACING.end())]
    Spacing {
        /// What was asked for, mm.
        found: f64,
    },
    /// No size.
    #[error("`input.size` is {size:?}, expected {} to {} voxels along each axis", SIDE.start(), SIDE.end())]
    Size {
        /// `[D, H, W]`.
        size: [usize; 3],
    },
    /// More voxels than a network takes.
    #[error("`input.size` is {size:?}, in all {voxels} voxels, expected at most {MAX_VOXELS}: ask for a shorter side")]
    Voxels {
        /// `[D, H, W]`.
        size: [usize; 3],
        /// Their product.
        voxels: usize,
    },
    /// No window.
    #[error("`input.window` has center {center} and width {width}, expected finite numbers and a width of 1 or more")]
    Window {
        /// HU.
        center: Hu,
        /// HU.
        width: Hu,
    },
    /// A scan that has no such grid.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// A scan that is mostly no numbers.
    #[error("{found} of {of} voxels are no finite numbers, expected less than half: they would all become air")]
    NoNumbers {
        /// Voxels that are none.
        found: usize,
        /// Voxels in all.
        of: usize,
    },
}

impl ScanInput {
    /// Whether this is an input that can be made.
    ///
    /// # Errors
    ///
    /// [`ScanInputError`], with what was asked for and what may be.
    pub fn check(&self) -> Result<(), ScanInputError> {
        let Self { spacing, size, .. } = *self;
        if !SPACING.contains(&spacing) {
            return Err(ScanInputError::Spacing { found: spacing });
        }
        if !size.iter().all(|side| SIDE.contains(side)) {
            return Err(ScanInputError::Size { size });
        }
        let voxels = size.iter().product();
        if voxels > MAX_VOXELS {
            return Err(ScanInputError::Voxels { size, voxels });
        }
        let HuWindow { center, width } = self.window.0;
        if !center.is_finite() || !width.is_finite() || width < 1.0 {
            return Err(ScanInputError::Window { center, width });
        }
        Ok(())
    }

    /// The scan on the network's grid: axial (D from the head to the feet, H to the back, W to the patient's left), one spacing along all
    /// axes, of this size about its centre, [`AIR`] around it; whole Hounsfield units that fit into 16 bits. The window is not applied.
    ///
    /// It is resampled once, from the voxels of the file, by [`CtVolume::resample`]: smoothed where it is made coarser, linear between
    /// voxels. Where [`Fit::Shrink`] has to, the spacing is the finest at which all of the scan fits, and the geometry says which. Axes
    /// keep their directions: a scan that lies obliquely or was made with a tilted gantry keeps its angles, its slices stay slices,
    /// and what is 1.5 mm apart is so along the axes of the scan.
    ///
    /// Voxels that are no finite numbers, with which some writers pad, are taken as air.
    ///
    /// ```
    /// use hounsfield::{ct::{CtVolume, Geometry}, transforms::ScanInput};
    /// let input = ScanInput { spacing: 2.0, size: [32, 64, 64], ..ScanInput::default() };
    /// // 40 slices of 5 mm are 200 mm, 100 voxels of 2 mm: shrunk to 6.25 mm, at which 32 voxels hold them.
    /// let voxels = ndarray::Array3::from_elem((40, 50, 50), 40.0);
    /// let volume = input.apply(CtVolume { voxels, geometry: Geometry::axial([5.0, 2.0, 2.0]) })?;
    /// assert_eq!((volume.size(), volume.geometry.spacing), ([32, 64, 64], [6.25; 3]));
    /// assert_eq!((volume.voxels[[16, 0, 0]], volume.voxels[[16, 32, 32]]), (-1024.0, 40.0));
    /// # Ok::<(), hounsfield::transforms::ScanInputError>(())
    /// ```
    ///
    /// # Shapes
    ///
    /// - output: `size`
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check), a scan that has no such grid, and one half of which or more is no number.
    pub fn apply(&self, volume: CtVolume) -> Result<CtVolume, ScanInputError> {
        self.check()?;
        let mut volume = volume.axial();
        let found = volume.voxels.iter().filter(|hu| !hu.is_finite()).count();
        let of = volume.voxels.len();
        if found > 0 && found >= of.div_ceil(2) {
            return Err(ScanInputError::NoNumbers { found, of });
        }
        if found > 0 {
            // Before the grid is changed: one such value spreads to all that its weight reaches.
            volume.voxels.mapv_inplace(|hu| if hu.is_finite() { hu } else { AIR });
        }
        let spacing = match self.fit {
            Fit::Shrink => self.fitting_spacing(&volume),
            Fit::Crop => self.spacing,
        };
        let resampled = volume.resample([spacing; 3])?;
        drop(volume);
        let mut fitted = resampled.crop_or_pad(self.size, AIR);
        let highest = Hu::from(i16::MAX);
        fitted.voxels.mapv_inplace(|hu| hu.round().clamp(AIR, highest));
        Ok(fitted)
    }

    /// The asked spacing, or the finest at which no axis is longer than the size.
    fn fitting_spacing(&self, volume: &CtVolume) -> f64 {
        let extent = [0, 1, 2].map(|axis| volume.size()[axis] as f64 * volume.geometry.spacing[axis]);
        let fits = (0..3).all(|axis| (extent[axis] / self.spacing).round() <= self.size[axis] as f64);
        match fits {
            true => self.spacing,
            false => (0..3).fold(self.spacing, |spacing, axis| {
                spacing.max(extent[axis] / self.size[axis] as f64)
            }),
        }
    }

    /// SHA-256 of all that changes what [`apply`](Self::apply) gives: spacing, size, fit and the version of the algorithm. Not the
    /// window, so that inputs which differ in nothing else share prepared scans.
    pub fn key(&self) -> String {
        let fit: u8 = match self.fit {
            Fit::Shrink => 0,
            Fit::Crop => 1,
        };
        let mut hash = Sha256::new_with_prefix("scan input");
        hash.update(VERSION.to_le_bytes());
        hash.update(self.spacing.to_le_bytes());
        for side in self.size {
            hash.update((side as u64).to_le_bytes());
        }
        hash.update([fit]);
        hex(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::ct::Geometry;

    fn input(spacing: f64, size: [usize; 3], fit: Fit) -> ScanInput {
        ScanInput {
            spacing,
            size,
            fit,
            ..ScanInput::default()
        }
    }

    fn scan(size: (usize, usize, usize), spacing: [f64; 3]) -> CtVolume {
        CtVolume {
            voxels: Array3::from_shape_fn(size, |(d, h, w)| ((d * 37 + h * 101 + w * 13) % 900) as Hu - 800.25),
            geometry: Geometry::axial(spacing),
        }
    }

    fn center(volume: &CtVolume) -> [f64; 3] {
        volume
            .geometry
            .position(volume.size().map(|side| (side as f64 - 1.0) / 2.0))
    }

    #[test]
    fn a_scan_that_fits_keeps_the_asked_spacing_and_its_centre() {
        for fit in [Fit::Shrink, Fit::Crop] {
            let scan = scan((12, 20, 24), [5.0, 2.0, 2.0]);
            let fitted = input(2.5, [32, 24, 24], fit).apply(scan.clone()).unwrap();
            assert_eq!((fitted.size(), fitted.geometry.spacing), ([32, 24, 24], [2.5; 3]));
            let same = scan.resample([2.5; 3]).unwrap().crop_or_pad([32, 24, 24], AIR);
            assert_eq!(fitted.voxels, same.voxels.mapv(Hu::round));
            assert_eq!(fitted.geometry, same.geometry);
        }
    }

    #[test]
    fn a_scan_that_is_longer_is_shrunk_alike_along_all_axes_or_cut() {
        let long = scan((60, 20, 24), [5.0, 2.0, 2.0]); // 300 x 40 x 48 mm
        let shrunk = input(2.0, [40, 24, 24], Fit::Shrink).apply(long.clone()).unwrap();
        assert_eq!((shrunk.size(), shrunk.geometry.spacing), ([40, 24, 24], [7.5; 3]));
        let outside = |volume: &CtVolume| volume.voxels.iter().filter(|hu| **hu == AIR).count();
        // 40 x 5 x 6 voxels of 7.5 mm hold the scan.
        assert_eq!(outside(&shrunk), 40 * (24 * 24 - 5 * 6));
        let cut = input(2.0, [40, 24, 24], Fit::Crop).apply(long.clone()).unwrap();
        assert_eq!((cut.geometry.spacing, outside(&cut)), ([2.0; 3], 40 * 4 * 24));
        for volume in [&shrunk, &cut] {
            let off = center(volume)
                .iter()
                .zip(center(&long))
                .fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(off <= volume.geometry.spacing[0] / 2.0 + 1e-9, "{off} mm");
        }
    }

    #[test]
    fn the_order_in_which_a_file_holds_its_axes_changes_nothing() {
        let scan = scan((9, 14, 12), [4.0, 2.0, 3.0]);
        for fit in [Fit::Shrink, Fit::Crop] {
            let input = input(3.0, [8, 8, 8], fit);
            let axial = input.apply(scan.clone()).unwrap();
            let other = input.apply(scan.clone().oriented("RAS".parse().unwrap())).unwrap();
            let off = (&axial.voxels - &other.voxels).fold(0.0f32, |most, hu| most.max(hu.abs()));
            assert!(off <= 1.0, "{off} HU");
            assert_eq!(axial.geometry.directions, other.geometry.directions);
        }
    }

    #[test]
    fn values_are_whole_and_fit_into_16_bits_and_what_is_no_number_is_air() {
        let mut odd = scan((8, 8, 8), [3.0; 3]);
        let given = [Hu::NAN, Hu::INFINITY, Hu::NEG_INFINITY, 1e6, -9000.0, 3.4];
        for (at, hu) in given.into_iter().enumerate() {
            odd.voxels[[at, 3, 3]] = hu;
        }
        let same = input(3.0, [8, 8, 8], Fit::Crop).apply(odd.clone()).unwrap();
        let found: Vec<Hu> = (0..6).map(|at| same.voxels[[at, 3, 3]]).collect();
        assert_eq!(found, [AIR, AIR, AIR, 32767.0, AIR, 3.0]);
        let smooth = input(6.0, [8, 8, 8], Fit::Crop).apply(odd.clone()).unwrap();
        assert!(smooth.voxels.iter().all(|hu| hu.is_finite() && hu.fract() == 0.0));
        odd.voxels.slice_mut(ndarray::s![.., ..4, ..]).fill(Hu::NAN);
        let error = input(3.0, [8, 8, 8], Fit::Crop).apply(odd).unwrap_err();
        assert!(matches!(error, ScanInputError::NoNumbers { of: 512, .. }), "{error}");
    }

    #[test]
    fn inputs_that_are_none_are_refused_with_what_may_be() {
        let said = |input: ScanInput| input.check().unwrap_err().to_string();
        assert_eq!(
            said(input(0.0, [64; 3], Fit::Shrink)),
            "`input.spacing` is 0, expected 0.1 to 50 mm"
        );
        assert!(said(input(f64::NAN, [64; 3], Fit::Shrink)).contains("NaN"));
        assert_eq!(
            said(input(1.0, [64, 7, 64], Fit::Shrink)),
            "`input.size` is [64, 7, 64], expected 8 to 1024 voxels along each axis"
        );
        assert!(said(input(1.0, [1024; 3], Fit::Shrink)).contains("1073741824 voxels"));
        let mut flat = ScanInput::default();
        flat.window.0.width = 0.0;
        assert!(said(flat).contains("width 0"));
        let empty = CtVolume {
            voxels: Array3::zeros((0, 4, 4)),
            geometry: Geometry::axial([1.0; 3]),
        };
        assert!(input(1.0, [8; 3], Fit::Shrink).apply(empty).is_err());
    }

    #[test]
    fn the_key_tells_all_that_changes_voxels_and_not_the_window() {
        let base = ScanInput::default();
        let mut other = base.clone();
        other.window = Window(HuWindow::LUNG);
        assert_eq!(base.key(), other.key());
        assert_eq!(base.key().len(), 64);
        for other in [
            input(1.6, [256; 3], Fit::Shrink),
            input(1.5, [256, 256, 128], Fit::Shrink),
            input(1.5, [256; 3], Fit::Crop),
        ] {
            assert_ne!(base.key(), other.key());
        }
    }
}
