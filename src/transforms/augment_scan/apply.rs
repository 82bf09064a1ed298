//! A change carried out on the processor, plane by plane.

use ndarray::{Array3, ArrayView3};
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;

use super::{
    super::{
        augment::{kernel, smooth, weighted},
        scan::ScanInput,
    },
    ScanChange,
    affine::Move,
    sample::Scan,
};
use crate::seed::stream;

/// A scan of another size than the network's input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scan has {found:?} voxels along D, H and W, the input is said to have {expected:?}")]
pub struct ScanShapeError {
    /// Of the scan.
    pub found: [usize; 3],
    /// What `[input]` says.
    pub expected: [usize; 3],
}

impl ScanChange {
    /// The scan after this change, and through the window. What is off costs nothing; the default is the window alone.
    ///
    /// Every number is the same on any number of threads.
    ///
    /// # Shapes
    ///
    /// - `voxels`: `[D, H, W]` HU, of `input.size`
    /// - output: `[D, H, W]` in `[-1, 1]`
    ///
    /// # Errors
    ///
    /// [`ScanShapeError`].
    ///
    /// ```
    /// use hounsfield::transforms::{ScanChange, ScanInput};
    /// let input = ScanInput { size: [1, 1, 2], ..ScanInput::default() };
    /// let scan = ndarray::array![[[-1024, 512]]];
    /// let flipped = ScanChange { flip: [false, false, true], ..ScanChange::default() };
    /// assert_eq!(flipped.apply(scan.view(), &input)?, ndarray::array![[[0.5, -1.0]]]);
    /// # Ok::<(), hounsfield::transforms::ScanShapeError>(())
    /// ```
    pub fn apply(&self, voxels: ArrayView3<'_, i16>, input: &ScanInput) -> Result<Array3<f32>, ScanShapeError> {
        let mut out = Array3::zeros(input.size);
        self.write(
            voxels,
            input,
            out.as_slice_mut().expect("new arrays are in standard layout"),
        )?;
        Ok(out)
    }

    /// The same into memory that is there, `D * H * W` numbers, W fastest.
    pub(crate) fn write(
        &self,
        voxels: ArrayView3<'_, i16>,
        input: &ScanInput,
        out: &mut [f32],
    ) -> Result<(), ScanShapeError> {
        let expected = input.size;
        let found = <[usize; 3]>::from(voxels.dim());
        if found != expected {
            return Err(ScanShapeError { found, expected });
        }
        let [_, height, width] = expected;
        assert_eq!(out.len(), voxels.len(), "room for every voxel");
        if out.is_empty() {
            return Ok(());
        }
        let voxels = voxels.as_standard_layout();
        let scan = Scan {
            voxels: voxels.as_slice().expect("standard layout is contiguous"),
            size: expected,
        };
        let moves = self.moves(expected, input.spacing);
        let plane = height * width;
        let kernel = kernel(self.blur.unwrap_or(0.0));
        if kernel.len() == 1 && self.noise.is_none() && matches!(moves, Move::Flip(_)) {
            // Memory is all that it waits for: threads would only have to be woken.
            for (depth, out) in out.chunks_exact_mut(plane).enumerate() {
                scan.plane(&moves, depth, out);
                self.values(depth, input, out);
            }
            return Ok(());
        }
        if kernel.len() == 1 {
            out.par_chunks_exact_mut(plane).enumerate().for_each(|(depth, out)| {
                scan.plane(&moves, depth, out);
                self.values(depth, input, out);
            });
            return Ok(());
        }
        let mut sharp = vec![0.0; out.len()];
        sharp
            .par_chunks_exact_mut(plane)
            .enumerate()
            .for_each(|(depth, out)| scan.plane(&moves, depth, out));
        let places = expected.map(|size| edges(size, kernel.len() / 2));
        out.par_chunks_exact_mut(plane).enumerate().for_each_init(
            || vec![0.0; plane],
            |sums, (depth, out)| {
                weighted(&kernel, &places[0][depth..], &sharp, sums);
                smooth(sums, &kernel, [&places[1], &places[2]], out);
                self.values(depth, input, out);
            },
        );
        Ok(())
    }

    /// What changes values in place, HU to `[-1, 1]`. The shift comes after the smoothing, which it passes through unchanged.
    fn values(&self, depth: usize, input: &ScanInput, plane: &mut [f32]) {
        let window = input.window.0;
        let (shift, scale) = (self.hu_shift - window.center, 2.0 / window.width);
        match self.noise {
            Some((sigma, seed)) if sigma > 0.0 => {
                for (value, normal) in plane.iter_mut().zip(noise(seed, depth)) {
                    *value = ((*value + shift + sigma * normal) * scale).clamp(-1.0, 1.0);
                }
            }
            _ => {
                for value in plane.iter_mut() {
                    *value = ((*value + shift) * scale).clamp(-1.0, 1.0);
                }
            }
        }
    }
}

/// Standard normal numbers for one plane of a scan. Each plane has a stream of its own, so that they can be drawn at once.
pub(crate) fn noise(seed: u64, depth: usize) -> impl Iterator<Item = f32> {
    StandardNormal.sample_iter(stream(seed, &format!("noise of scan/{depth}")))
}

/// The places of an axis, and half a kernel more on either side where the outermost one is seen again.
fn edges(size: usize, radius: usize) -> Vec<usize> {
    (0..size + 2 * radius)
        .map(|place| place.saturating_sub(radius).min(size - 1))
        .collect()
}
