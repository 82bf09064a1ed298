//! Volumes at another spacing: linear between voxels, after a Gaussian where an axis is made coarser.

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use super::{CtVolume, Geometry, Hu};

/// More voxels than a CT has: 2,048 slices of 1024 x 1024, 8 GiB. A spacing that asks for more is a mistake.
const MAX_VOXELS: usize = 1 << 31;
/// Where the Gaussian is cut off, in sigmas: scipy's default. Less than 1e-4 of its weight lies beyond.
const TRUNCATE: f64 = 4.0;
/// An axis may become so much coarser; the Gaussian would be as long as memory beyond.
const COARSEST: f64 = 1000.0;

/// Why a volume has no other spacing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// No three lengths.
    #[error("spacing {} x {} x {} mm was asked for, expected three positive lengths", spacing[0], spacing[1], spacing[2])]
    Spacing {
        /// Along D, H, W.
        spacing: [f64; 3],
    },
    /// More voxels than a machine holds.
    #[error(
        "at {} x {} x {} mm the volume would have {} x {} x {} voxels, at most {MAX_VOXELS} in all are made",
        spacing[0], spacing[1], spacing[2], size[0], size[1], size[2]
    )]
    TooLarge {
        /// Along D, H, W.
        spacing: [f64; 3],
        /// `[D, H, W]`.
        size: [usize; 3],
    },
    /// A spacing that no scan is made coarser to.
    #[error(
        "spacing {} x {} x {} mm was asked for, at most {COARSEST} times that of the volume, {} x {} x {} mm, is made",
        spacing[0], spacing[1], spacing[2], old[0], old[1], old[2]
    )]
    TooCoarse {
        /// Along D, H, W.
        spacing: [f64; 3],
        /// The volume's own.
        old: [f64; 3],
    },
    /// A volume without voxels.
    #[error("the volume has no voxels")]
    Empty,
}

impl CtVolume {
    /// The volume at this spacing along D, H, W in mm.
    ///
    /// - **The grid** has the old directions and the old centre, and as many voxels along an axis as come closest to the
    ///   old extent: `round(n * old / new)`, at least 1. So the field of view stays where it is, and no axis is shifted by
    ///   the part of a voxel that a grid with the old first centre would be.
    /// - **Values** are trilinear interpolation, as ITK's `LinearInterpolateImageFunction`: between the last centre and the
    ///   edge of the field of view the outermost voxel's value goes on.
    /// - **Antialiasing**: an axis whose spacing grows is smoothed before, by the Gaussian that makes the old voxel's width
    ///   to the new one's, both taken as the full width of a Gaussian at half its height:
    ///   `sigma^2 = (new^2 - old^2) / (8 ln 2)` (Cardoso et al., MICCAI 2015, LNCS 9350:81; TorchIO does the same). The
    ///   kernel is sampled at the voxels, cut off at 4 sigma and normalised; beyond the edge the outermost value goes on.
    ///   This is `scipy.ndimage.gaussian_filter1d(.., sigma / old, mode="nearest")`.
    ///
    /// Values stay between the lowest and the highest of the volume, up to rounding. One that is not finite spreads to
    /// all that its weight reaches.
    ///
    /// ```
    /// use hounsfield::ct::{CtVolume, Geometry};
    /// let voxels = ndarray::Array3::from_elem((10, 64, 64), -1000.0);
    /// let volume = CtVolume { voxels, geometry: Geometry::axial([5.0, 0.8, 0.8]) };
    /// let isotropic = volume.resample([1.0, 1.0, 1.0])?;
    /// assert_eq!(isotropic.size(), [50, 51, 51]);
    /// # Ok::<(), hounsfield::ct::ResampleError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ResampleError`].
    pub fn resample(&self, spacing: [f64; 3]) -> Result<Self, ResampleError> {
        let old = self.geometry.spacing;
        if !spacing.iter().all(|length| length.is_finite() && *length > 0.0) {
            return Err(ResampleError::Spacing { spacing });
        }
        if self.voxels.is_empty() {
            return Err(ResampleError::Empty);
        }
        let from = self.size();
        let size = [0, 1, 2].map(|axis| ((from[axis] as f64 * old[axis] / spacing[axis]).round() as usize).max(1));
        let axes = [0, 1, 2].map(|axis| (from[axis], size[axis], spacing[axis] / old[axis]));
        if axes.iter().any(|(_, _, ratio)| *ratio > COARSEST) {
            return Err(ResampleError::TooCoarse { spacing, old });
        }
        let voxels = |of: [usize; 3]| {
            of.iter()
                .try_fold(1usize, |product, length| product.checked_mul(*length))
        };
        if voxels(size).is_none_or(|voxels| voxels > MAX_VOXELS) {
            return Err(ResampleError::TooLarge { spacing, size });
        }
        let first = axes.map(|(from, to, ratio)| first_center(from, to, ratio));
        // Axes that lose most come first, so that what lies between is small.
        let mut order = [0, 1, 2];
        order.sort_by(|a, b| axes[*b].2.total_cmp(&axes[*a].2));
        let mut voxels = self.voxels.as_standard_layout();
        for axis in order {
            let (from, to, ratio) = axes[axis];
            if (from, ratio) != (to, 1.0) {
                voxels = along(voxels.view(), axis, &Taps::of(from, to, ratio)).into();
            }
        }
        Ok(Self {
            voxels: voxels.into_owned(),
            geometry: Geometry {
                origin: self.geometry.position(first),
                spacing,
                ..self.geometry
            },
        })
    }
}

/// Where the first new centre lies among the old ones, so that both grids have one centre.
fn first_center(from: usize, to: usize, ratio: f64) -> f64 {
    ((from - 1) as f64 - (to - 1) as f64 * ratio) / 2.0
}

/// For each new voxel along an axis, the first old one and the weights from there on.
struct Taps {
    taps: Vec<(usize, Vec<f64>)>,
}

impl Taps {
    /// `ratio` is the new spacing in old voxels.
    fn of(from: usize, to: usize, ratio: f64) -> Self {
        let kernel = gaussian(ratio);
        let reach = kernel.len() / 2;
        let last = from - 1;
        let first = first_center(from, to, ratio);
        let tap = |at: usize| {
            let center = (first + at as f64 * ratio).clamp(0.0, last as f64);
            let (below, above) = (center.floor() as usize, center.ceil() as usize);
            let share = center - below as f64;
            let (begin, end) = (below.saturating_sub(reach), (above + reach).min(last));
            let mut weights = vec![0.0; end - begin + 1];
            for (of, share) in [(below, 1.0 - share), (above, share)] {
                for (tap, weight) in kernel.iter().enumerate() {
                    // Beyond the edge the outermost voxel goes on.
                    let old = (of + tap).saturating_sub(reach).min(last);
                    weights[old - begin] += share * weight;
                }
            }
            (begin, weights)
        };
        Self {
            taps: (0..to).map(tap).collect(),
        }
    }
}

/// The kernel that widens a voxel to `ratio` voxels; `[1]` where it need not.
fn gaussian(ratio: f64) -> Vec<f64> {
    let variance = (ratio * ratio - 1.0) / (8.0 * std::f64::consts::LN_2);
    if variance <= 0.0 {
        return vec![1.0];
    }
    let reach = (TRUNCATE * variance.sqrt() + 0.5) as usize;
    let weight = |at: usize| (-0.5 * (at as f64 - reach as f64).powi(2) / variance).exp();
    let total: f64 = (0..=2 * reach).map(weight).sum();
    (0..=2 * reach).map(|at| weight(at) / total).collect()
}

/// One pass over a volume in standard layout. Sums are 64-bit, so that three passes round three times.
fn along(voxels: ArrayView3<'_, Hu>, axis: usize, taps: &Taps) -> Array3<Hu> {
    let mut size: [usize; 3] = voxels.dim().into();
    let from = size[axis];
    let to = taps.taps.len();
    size[axis] = to;
    let inner: usize = size[axis + 1..].iter().product();
    let source = voxels.as_slice().expect("standard layout is contiguous");
    let mut out = Array3::<Hu>::zeros(size);
    let target = out.as_slice_mut().expect("a new array is contiguous");
    if inner == 1 {
        let rows = target.par_chunks_mut(to).zip(source.par_chunks(from));
        rows.for_each(|(row, old)| {
            for (hu, (begin, weights)) in row.iter_mut().zip(&taps.taps) {
                let weighted = weights.iter().zip(&old[*begin..]);
                *hu = weighted.map(|(weight, hu)| weight * f64::from(*hu)).sum::<f64>() as Hu;
            }
        });
        return out;
    }
    // Whole rows are added up, which vectorises.
    let rows = target.par_chunks_mut(inner).enumerate();
    rows.for_each_init(
        || vec![0.0f64; inner],
        |sums, (at, row)| {
            let (begin, weights) = &taps.taps[at % to];
            let old = source[(at / to * from + begin) * inner..].chunks_exact(inner);
            sums.fill(0.0);
            for (weight, old) in weights.iter().zip(old) {
                sums.iter_mut()
                    .zip(old)
                    .for_each(|(sum, hu)| *sum += weight * f64::from(*hu));
            }
            row.iter_mut().zip(sums).for_each(|(hu, sum)| *hu = *sum as Hu);
        },
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::Orientation;

    fn volume(size: (usize, usize, usize), spacing: [f64; 3]) -> CtVolume {
        let voxels = Array3::from_shape_fn(size, |(d, h, w)| ((d * 37 + h * 101 + w * 13) % 400) as Hu - 200.0);
        let geometry = Geometry::axial(spacing);
        CtVolume { voxels, geometry }
    }

    #[test]
    fn a_constant_stays_constant_and_nothing_leaves_the_range() {
        for spacing in [[1.0; 3], [0.3, 2.5, 0.8], [7.0, 0.7, 3.3], [100.0; 3]] {
            let flat = CtVolume {
                voxels: Array3::from_elem((7, 9, 11), 40.0),
                geometry: Geometry::axial([2.5, 0.8, 0.8]),
            };
            assert!(
                flat.resample(spacing)
                    .unwrap()
                    .voxels
                    .iter()
                    .all(|hu| (hu - 40.0).abs() < 1e-3)
            );
            let rough = volume((7, 9, 11), [2.5, 0.8, 0.8]).resample(spacing).unwrap();
            assert!(
                rough.voxels.iter().all(|hu| (-200.001..=199.001).contains(hu)),
                "{spacing:?}"
            );
        }
    }

    #[test]
    fn the_centre_of_the_volume_stays_where_it_is() {
        let volume = volume((5, 16, 20), [2.5, 0.8, 0.7]);
        let center = |volume: &CtVolume| {
            let middle = volume.size().map(|length| (length - 1) as f64 / 2.0);
            volume.geometry.position(middle)
        };
        let other = volume.resample([1.0, 1.1, 3.0]).unwrap();
        assert_eq!(other.size(), [13, 12, 5]);
        for (a, b) in center(&volume).into_iter().zip(center(&other)) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }

    /// What is linear in the place stays it: each value is that of its own place, away from the edges.
    #[test]
    fn a_ramp_keeps_its_value_at_every_place() {
        let mut volume = volume((12, 30, 40), [2.5, 0.8, 0.7]);
        let geometry = volume.geometry;
        let ramp = |place: [f64; 3]| (2.0 * place[0] - 3.0 * place[1] + place[2]) as Hu;
        volume.voxels = Array3::from_shape_fn((12, 30, 40), |(d, h, w)| {
            ramp(geometry.position([d as f64, h as f64, w as f64]))
        });
        for spacing in [[1.0, 0.5, 0.5], [3.0, 1.5, 1.0]] {
            let other = volume.resample(spacing).unwrap();
            let size = other.size();
            let inner = [0, 1, 2].map(|axis| {
                (9.0 / spacing[axis]).ceil() as usize..size[axis].saturating_sub((9.0 / spacing[axis]).ceil() as usize)
            });
            for ((d, h, w), hu) in other.voxels.indexed_iter() {
                if inner[0].contains(&d) && inner[1].contains(&h) && inner[2].contains(&w) {
                    let expected = ramp(other.geometry.position([d as f64, h as f64, w as f64]));
                    assert!((hu - expected).abs() < 1e-3, "{hu} for {expected} at {spacing:?}");
                }
            }
        }
    }

    #[test]
    fn resampling_commutes_with_another_order_of_the_axes() {
        let volume = volume((6, 9, 13), [2.5, 0.8, 0.7]);
        let sagittal: Orientation = "SAR".parse().unwrap();
        let a = volume.resample([1.0, 1.5, 0.5]).unwrap().oriented(sagittal);
        // W of the new order is the old D, H the old H, D the old W.
        let b = volume.oriented(sagittal).resample([0.5, 1.5, 1.0]).unwrap();
        let difference = (&a.voxels - &b.voxels).fold(0.0f32, |most, hu| most.max(hu.abs()));
        assert!(difference < 1e-3, "{difference}");
    }

    #[test]
    fn spacings_that_are_mistakes_are_refused_before_memory_is_asked_for() {
        let volume = volume((6, 9, 13), [2.5, 0.8, 0.7]);
        let of = |spacing| volume.resample(spacing).unwrap_err();
        assert!(matches!(of([0.0, 1.0, 1.0]), ResampleError::Spacing { .. }));
        assert!(matches!(of([f64::NAN, 1.0, 1.0]), ResampleError::Spacing { .. }));
        assert!(matches!(of([1e-9, 1e-9, 1e-9]), ResampleError::TooLarge { .. }));
        assert!(matches!(of([1e-300, 1.0, 1.0]), ResampleError::TooLarge { .. }));
        assert!(matches!(of([1e9, 1.0, 1.0]), ResampleError::TooCoarse { .. }));
        assert_eq!(volume.resample([2.5, 0.8, 0.7]).unwrap(), volume);
    }
}
