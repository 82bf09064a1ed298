//! Where a classifier of scans looks: Grad-CAM and occlusion maps.
//!
//! Both tell what moved one score of one network, not where a disease is. Grad-CAM is as coarse as the last maps, shows only what
//! speaks for the positive class, and takes the network for linear around the scan. Occlusion shows what hiding a place does by
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
    /// slice earned over all others. Of a scan every so many slices is looked at; slices between take the heat of the nearest.
    Slice { every: usize },
}

/// Grad-CAM, Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>, as Li et al. 2020 (doi:10.1148/radiol.2020200905) look at
/// COVNet: the gradient of the positive class's number, before the softmax, with respect to the last maps; its mean over places
/// is the weight of a channel; the weighted sum of the channels where it is above 0, brought to the scan's grid between maps'
/// places linearly, and divided by its largest value. All 0 where nothing speaks for the positive class.
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
            let nearest = (0..size[2]).map(|at| ((at + every / 2) / every).min(slices - 1));
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
            for axis in 0..3 {
                part = part.f_narrow(axis as i64 + 2, corner[axis] as i64, cubes.side[axis] as i64)?;
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
mod tests {
    use tch::Device;

    use super::{
        super::{baselines::Mode, train::Tape},
        *,
    };

    /// Maps are means over places of 2 x 2 x 2 voxels of the scan and of its negative; the numbers are linear in the means of these.
    #[derive(Debug)]
    struct Linear {
        weights: [[f64; 2]; 2],
    }

    impl VolumeClassifier for Linear {
        fn forward<'a>(&'a self, x: &Tensor, _: Mode, _: &Tape<'a>) -> Result<Tensor, TorchError> {
            Ok(self.head(&self.maps(x)?))
        }

        fn maps(&self, x: &Tensor) -> Result<Tensor, TorchError> {
            let pooled = x.f_avg_pool3d([2, 2, 2], [2, 2, 2], [0, 0, 0], false, true, None)?;
            Ok(Tensor::f_cat(&[&pooled, &(-&pooled)], 1)?.relu())
        }

        fn head(&self, maps: &Tensor) -> Tensor {
            let pooled = maps.mean_dim([2i64, 3, 4].as_slice(), false, Kind::Float);
            let weights = Tensor::from_slice(&self.weights.concat())
                .to_kind(Kind::Float)
                .reshape([2, 2]);
            pooled.matmul(&weights.tr())
        }
    }

    /// The largest of the scan's slices, one number a slice.
    #[derive(Debug)]
    struct Slices;

    impl VolumeClassifier for Slices {
        fn forward<'a>(&'a self, x: &Tensor, _: Mode, _: &Tape<'a>) -> Result<Tensor, TorchError> {
            Ok(self.head(&self.maps(x)?))
        }

        fn maps(&self, x: &Tensor) -> Result<Tensor, TorchError> {
            Ok(x.relu())
        }

        fn head(&self, maps: &Tensor) -> Tensor {
            let slices = maps.mean_dim([3i64, 4].as_slice(), false, Kind::Float); // [N, C, d]
            let number = slices.amax([2i64].as_slice(), false); // [N, C]
            Tensor::cat(&[&(-&number), &number], 1)
        }
    }

    fn scan(size: [i64; 3]) -> Tensor {
        Tensor::zeros([1, 1, size[0], size[1], size[2]], (Kind::Float, Device::Cpu))
    }

    fn at(heat: &Tensor, place: [i64; 3]) -> f64 {
        heat.double_value(&place)
    }

    fn fill(x: &Tensor, corner: [i64; 3], side: i64, value: f64) {
        let part = (0..3).fold(x.shallow_clone(), |part, axis| {
            part.narrow(axis + 2, corner[axis as usize], side)
        });
        let _ = part.shallow_clone().fill_(value);
    }

    /// Where the numbers are linear in the means of the maps, weights of channels are theirs over the number of places.
    #[test]
    fn grad_cam_of_a_linear_head_is_the_weighted_sum_of_its_maps() {
        let network = Linear {
            weights: [[5.0, -3.0], [2.0, 0.5]],
        };
        tch::manual_seed(3);
        let x = Tensor::randn([1, 1, 4, 6, 8], (Kind::Float, Device::Cpu));
        let heat = grad_cam(&network, &x, Reach::Scan).unwrap();
        let maps = network.maps(&x).unwrap();
        let sum = maps.select(1, 0) * 2.0 + maps.select(1, 1) * 0.5;
        let expected = sum
            .unsqueeze(1)
            .upsample_trilinear3d([4, 6, 8], false, None, None, None)
            .reshape([4, 6, 8]);
        let expected = &expected / expected.max();
        let difference = (&heat - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "differs by {difference}");
        assert!((heat.max().double_value(&[]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn heat_moves_with_what_is_seen() {
        let network = Linear {
            weights: [[0.0, 0.0], [1.0, -1.0]],
        };
        for corner in [[0, 0, 0], [4, 8, 12], [12, 12, 2]] {
            let x = scan([16, 16, 16]);
            fill(&x, corner, 4, 1.0);
            let heat = grad_cam(&network, &x, Reach::Scan).unwrap();
            let middle = corner.map(|at| at + 1);
            assert!(at(&heat, middle) > 0.9, "{}", at(&heat, middle));
            let other = corner.map(|at| (at + 8) % 16);
            assert_eq!(at(&heat, other), 0.0);
        }
    }

    #[test]
    fn what_speaks_against_the_positive_class_leaves_no_heat() {
        let network = Linear {
            weights: [[1.0, 0.0], [-1.0, 0.0]],
        };
        let x = scan([8, 8, 8]) + 0.5;
        let heat = grad_cam(&network, &x, Reach::Scan).unwrap();
        assert_eq!(heat.abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn of_a_network_of_slices_only_the_slice_with_the_maximum_is_hot() {
        let x = scan([6, 8, 8]);
        fill(&x, [1, 0, 0], 1, 1.0);
        fill(&x, [4, 3, 5], 1, 2.0);
        let heat = grad_cam(&Slices, &x, Reach::Slice { every: 1 }).unwrap();
        assert_eq!(at(&heat, [4, 3, 5]), 1.0);
        assert_eq!(at(&heat, [1, 0, 0]), 0.0);
        assert_eq!(heat.sum(Kind::Double).double_value(&[]), 1.0);
    }

    /// One network's log-odds are the mean over the corner of the scan.
    fn corner(x: &Tensor) -> Result<Vec<f64>, TorchError> {
        let corner = x.narrow(2, 0, 4).narrow(3, 0, 4).narrow(4, 0, 4);
        let means = corner.mean_dim([1i64, 2, 3, 4].as_slice(), false, Kind::Double);
        Ok(Vec::try_from(means)?)
    }

    fn hidden(x: &Tensor, cube: usize) -> Array3<f32> {
        let size = [2, 3, 4].map(|axis| x.size()[axis] as usize);
        let values = Vec::<f32>::try_from(x.flatten(0, -1)).unwrap();
        let array = Array3::from_shape_vec(size, values).unwrap();
        let cubes = Cubes::that_hide(array.view(), cube, -1.0);
        let stop = AtomicBool::new(false);
        occlusion(&corner, x, &cubes, -1.0, 3, &Progress::hidden(), &stop)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_network_that_looks_at_one_corner_falls_there_and_nowhere_else() {
        let drop = hidden(&(scan([9, 10, 12]) + 0.5), 4);
        assert!((drop[[0, 0, 0]] - 1.5).abs() < 1e-6, "{}", drop[[0, 0, 0]]);
        assert!(drop[[0, 0, 0]] > drop[[3, 3, 3]] && drop[[3, 3, 3]] > 0.0);
        // Cubes that begin behind the fourth voxel hide nothing of the corner.
        assert_eq!(drop.slice(s![6.., .., ..]).iter().copied().fold(0.0, f32::max), 0.0);
        assert_eq!(drop.slice(s![.., .., 6..]).iter().copied().fold(0.0, f32::max), 0.0);
    }

    #[test]
    fn what_speaks_against_the_positive_class_is_below_zero() {
        let x = scan([8, 8, 8]) - 1.0;
        fill(&x, [0, 0, 0], 4, -1.5);
        assert!(hidden(&x, 4)[[0, 0, 0]] < 0.0);
    }

    #[test]
    fn cubes_lie_half_a_side_apart_reach_the_end_and_leave_air_out() {
        assert_eq!(starts(8, 4, 2), [0, 2, 4]);
        assert_eq!(starts(9, 4, 2), [0, 2, 4, 5]);
        assert_eq!(starts(3, 3, 2), [0]);
        let mut x = Array3::from_elem((8, 8, 8), -1.0);
        assert_eq!(Cubes::that_hide(x.view(), 4, -1.0).len(), 0);
        x[[0, 0, 7]] = 0.3;
        assert_eq!(Cubes::that_hide(x.view(), 4, -1.0).corners, [[0, 0, 4]]);
        assert_eq!(Cubes::that_hide(x.view(), 100, -1.0).corners, [[0, 0, 0]]);
        assert_eq!(Cubes::that_hide(x.view(), 1, -1.0).len(), 1);
    }

    #[test]
    fn it_can_be_stopped() {
        let x = scan([8, 8, 8]);
        let zeros = Array3::zeros((8, 8, 8));
        let cubes = Cubes::that_hide(zeros.view(), 4, -1.0);
        let stop = AtomicBool::new(true);
        let found = occlusion(&corner, &x, &cubes, -1.0, 1, &Progress::hidden(), &stop).unwrap();
        assert_eq!(found, None);
    }
}
