//! Maps of networks whose closed form is known, and of PyTorch's.

use std::{collections::BTreeMap, path::Path};

use tch::Device;

use super::{
    super::{baselines::Mode, train::Tape, weights},
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

/// A network of slices as the oracle has it: a convolution, ReLU, the mean over places, the largest over slices, a linear layer.
#[derive(Debug)]
struct Trunk {
    tensors: BTreeMap<String, Tensor>,
}

impl Trunk {
    fn tensor(&self, name: &str) -> &Tensor {
        &self.tensors[&format!("weights.{name}")]
    }
}

impl VolumeClassifier for Trunk {
    fn forward<'a>(&'a self, x: &Tensor, _: Mode, _: &Tape<'a>) -> Result<Tensor, TorchError> {
        Ok(self.head(&self.maps(x)?))
    }

    fn maps(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let size = x.size();
        let slices = x.transpose(1, 2).reshape([size[0] * size[2], 1, size[3], size[4]]);
        let (weight, bias) = (self.tensor("conv.weight"), self.tensor("conv.bias"));
        let maps = slices.conv2d(weight, Some(bias), [2, 2], [1, 1], [1, 1], 1).relu();
        Ok(maps.unflatten(0, [size[0], size[2]]).transpose(1, 2))
    }

    fn head(&self, maps: &Tensor) -> Tensor {
        let features = maps
            .mean_dim([3i64, 4].as_slice(), false, Kind::Float)
            .amax([2i64].as_slice(), false);
        features.linear(self.tensor("fc.weight"), Some(self.tensor("fc.bias")))
    }
}

/// Maps of the slices that were looked at, whatever the scan.
#[derive(Debug)]
struct Thinned(Tensor);

impl VolumeClassifier for Thinned {
    fn forward<'a>(&'a self, x: &Tensor, _: Mode, _: &Tape<'a>) -> Result<Tensor, TorchError> {
        Ok(self.head(&self.maps(x)?))
    }

    fn maps(&self, _: &Tensor) -> Result<Tensor, TorchError> {
        Ok(self.0.shallow_clone())
    }

    fn head(&self, maps: &Tensor) -> Tensor {
        Slices.head(maps)
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

/// Expected: `slices.safetensors` of `tests/oracles/make_saliency.py`, PyTorch 2.13.
#[test]
fn grad_cam_of_a_network_of_slices_is_pytorchs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/saliency/slices.safetensors");
    let (tensors, _) = weights::read_with_metadata(Path::new(path)).unwrap();
    let network = Trunk { tensors };
    let x = (&network.tensors["hu"] / 1024.0).unsqueeze(0).unsqueeze(0);
    let heat = grad_cam(&network, &x, Reach::Slice { every: 1 }).unwrap();
    let difference = (heat - &network.tensors["grad_cam"]).abs().max().double_value(&[]);
    assert!(difference < 1e-5, "differs by {difference}");
}

#[test]
fn slices_that_are_not_looked_at_take_the_heat_of_the_one_that_stands_for_them() {
    // Of 11 slices those at 2, 5 and 8 are looked at, each for three.
    let looked_at = scan([3, 4, 4]);
    fill(&looked_at, [1, 0, 0], 1, 1.0);
    let heat = grad_cam(&Thinned(looked_at), &scan([11, 4, 4]), Reach::Slice { every: 3 }).unwrap();
    let hot: Vec<i64> = (0..11).filter(|slice| at(&heat, [*slice, 0, 0]) > 0.0).collect();
    assert_eq!(hot, [4, 5, 6]);
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
