//! Where a classifier of scans looks: Grad-CAM and occlusion maps.
//!
//! Both tell what moved one score of one network, not where a disease is. Grad-CAM is as coarse as the last maps, shows only what
//! speaks for the positive class, and takes the network for linear around the scan; a network that tells a class by what is missing
//! is hot where there is nothing. Occlusion shows what hiding a place does by
//! itself: what is there twice can be hidden once without a change, and a scan with a hole is none that the network was trained on.

use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{Array3, ArrayView3, s};
use tch::{Kind, Tensor};

use super::{TorchError, baselines::VolumeClassifier};
use crate::progress::Progress;

/// Channel of the positive class.
const POSITIVE: i64 = 1;

/// What one weight of a channel stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The whole scan.
    Scan,
    /// One slice: a maximum over slices hands its gradient to a single one of them, and a mean over the scan would spread what that
    /// slice earned over all others. One of every so many slices is looked at, the middle one, as far from one end of the scan as from
    /// the other; its neighbours take its heat.
    Slice { every: usize },
}

/// Grad-CAM, Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>, as Li et al. 2020 (doi:10.1148/radiol.2020200905) look at
/// COVNet: the gradient of the positive class's number, before the softmax, with respect to the last maps; its mean over places
/// is the weight of a channel; the weighted sum of the channels where it is above 0, brought to the scan's grid between maps'
/// places linearly, and divided by its largest value. All 0 where nothing speaks for the positive class.
///
/// That number is one of two. The log-odds, which occlusion maps are of, are its difference from the other.
///
/// Maps are taken as covering the scan from edge to edge, which is right to within one of their places.
///
/// # Shapes
///
/// - `x`: `[1, 1, D, H, W]` in `[-1, 1]`
/// - output: `[D, H, W]` in `[0, 1]`
pub(super) fn grad_cam(network: &dyn VolumeClassifier, x: &Tensor, reach: Reach) -> Result<Tensor, TorchError> {
    let maps = tch::no_grad(|| network.maps(x))?;
    let maps = maps.f_detach()?.f_to_kind(Kind::Float)?.f_set_requires_grad(true)?;
    let number = network.head(&maps).f_select(1, POSITIVE)?.f_sum(Kind::Float)?;
    let gradient = Tensor::f_run_backward(&[number], &[&maps], false, false)?.swap_remove(0);
    let _no_gradients = tch::no_grad_guard();
    let places: &[i64] = match reach {
        Reach::Scan => &[2, 3, 4],
        Reach::Slice { .. } => &[3, 4],
    };
    let weights = gradient.f_mean_dim(places, true, Kind::Float)?; // [1, C, 1 or d, 1, 1]
    let heat = (weights * maps.f_detach()?).f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?;
    let heat = heat.f_relu()?; // [1, 1, d, h, w]
    let size = x.size();
    let slices = heat.size()[2];
    let heat = match reach {
        Reach::Scan => heat.f_upsample_trilinear3d(&size[2..], false, None, None, None)?,
        Reach::Slice { every } => {
            let heat = heat.f_upsample_trilinear3d([slices, size[3], size[4]], false, None, None, None)?;
            let every = every.max(1) as i64;
            let before = size[2] % every / 2;
            let nearest = (0..size[2]).map(|at| ((at - before).max(0) / every).min(slices - 1));
            let nearest = Tensor::f_from_slice(&nearest.collect::<Vec<i64>>())?;
            heat.f_index_select(2, &nearest.f_to_device(heat.device())?)?
        }
    };
    let heat = heat.f_reshape(&size[2..])?;
    let most = heat.f_max()?.f_double_value(&[])?;
    Ok(if most > 0.0 { heat / most } else { heat })
}

/// The places of a cube that hides a part of a scan: half a cube apart, the last one at the end of its axis.
///
/// # Shapes
///
/// - `size`: `[D, H, W]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cubes {
    side: [usize; 3],
    corners: Vec<[usize; 3]>,
}

impl Cubes {
    /// Those that hide anything: where all is `air` already a pass would tell nothing.
    pub fn that_hide(x: ArrayView3<f32>, cube: usize, air: f32) -> Self {
        let size = <[usize; 3]>::from(x.dim());
        let side = size.map(|length| cube.clamp(1, length.max(1)));
        let starts = [0, 1, 2].map(|axis| starts(size[axis], side[axis], (cube / 2).max(1)));
        let mut corners = Vec::new();
        for &d in &starts[0] {
            for &h in &starts[1] {
                for &w in &starts[2] {
                    let part = x.slice(s![d..d + side[0], h..h + side[1], w..w + side[2]]);
                    if part.iter().any(|value| *value != air) {
                        corners.push([d, h, w]);
                    }
                }
            }
        }
        Self { side, corners }
    }

    /// How many passes of the network they take.
    pub fn len(&self) -> usize {
        self.corners.len()
    }
}

fn starts(length: usize, side: usize, step: usize) -> Vec<usize> {
    let last = length - side;
    (0..last).step_by(step).chain([last]).collect()
}

/// Occlusion maps, Zeiler and Fergus 2014, <https://arxiv.org/abs/1311.2901>: how much the log-odds of the positive class fall
/// when a cube of air hides a part of the scan, as the mean over all cubes that hide a voxel. Above 0: the place speaks for the
/// positive class; below 0: against it. `None` when it was stopped.
///
/// # Shapes
///
/// - `x`: `[1, 1, D, H, W]` in `[-1, 1]`
/// - output: `[D, H, W]`
pub(super) fn occlusion(
    log_odds: &dyn Fn(&Tensor) -> Result<Vec<f64>, TorchError>,
    x: &Tensor,
    cubes: &Cubes,
    air: f32,
    together: usize,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Option<Array3<f32>>, TorchError> {
    let size = [2, 3, 4].map(|axis| x.size()[axis] as usize);
    let whole = log_odds(x)?[0];
    let (mut sum, mut covered) = (Array3::<f64>::zeros(size), Array3::<u32>::zeros(size));
    for corners in cubes.corners.chunks(together.max(1)) {
        if stop.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let hidden = x.f_repeat([corners.len() as i64, 1, 1, 1, 1])?;
        for (at, corner) in corners.iter().enumerate() {
            let mut part = hidden.f_narrow(0, at as i64, 1)?;
            for (axis, (from, side)) in corner.iter().zip(cubes.side).enumerate() {
                part = part.f_narrow(axis as i64 + 2, *from as i64, side as i64)?;
            }
            let _ = part.f_fill_(f64::from(air))?;
        }
        for ([d, h, w], left) in corners.iter().copied().zip(log_odds(&hidden)?) {
            let part = s![d..d + cubes.side[0], h..h + cubes.side[1], w..w + cubes.side[2]];
            sum.slice_mut(part).mapv_inplace(|sum| sum + (whole - left));
            covered.slice_mut(part).mapv_inplace(|covered| covered + 1);
        }
        progress.tick(corners.len() as u64);
    }
    sum.zip_mut_with(&covered, |sum, covered| *sum /= f64::from((*covered).max(1)));
    Ok(Some(sum.mapv(|drop| drop as f32)))
}

#[cfg(test)]
mod tests;
