//! A classifier of whole scans ready to score: weights loaded, stored statistics, nothing dropped, nothing random.

use std::sync::atomic::AtomicBool;

use ndarray::{Array3, ArrayView3};
use tch::{Device, Kind, Tensor};

use super::{
    TorchError,
    baselines::{self, Mode, VolumeClassifier},
    device::{DeviceChoice, autocast},
    ffi,
    saliency::{self, Cubes, Reach},
    scans,
    train::Tape,
    weights::{self, WeightMap},
};
use crate::{
    baseline::BaselineConfig,
    card::CheckedClassifier,
    method::Precision,
    progress::Progress,
    transforms::{AIR, ScanInput},
};

/// Voxels of hidden scans that pass the network together: 8 scans of 64 x 64 x 64.
const TOGETHER: usize = 8 << 18;

/// A network that only runs forward, and what a scan must go through to be its input.
#[derive(Debug)]
pub struct VolumeScorer {
    network: Box<dyn VolumeClassifier>,
    config: BaselineConfig,
    input: ScanInput,
    device: Device,
    precision: Precision,
}

impl VolumeScorer {
    /// The classifier of a card.
    ///
    /// # Errors
    ///
    /// A device that is not there, weights that are not exactly the network's.
    pub fn open(card: &CheckedClassifier, device: DeviceChoice, precision: Precision) -> Result<Self, TorchError> {
        let device = device.resolve()?;
        let (network, input) = (&card.card.network, &card.card.input);
        let loaded = weights::load_as(
            network.kind(),
            &network.expected_tensors(input.size)?,
            "",
            &card.weights(),
        )?;
        Self::new(network.clone(), input.clone(), &loaded.tensors, device, precision)
    }

    /// A network on tensors, which must be exactly its own.
    ///
    /// # Errors
    ///
    /// When the tensors do not fit: every wrong one is named.
    pub fn new(
        network: BaselineConfig,
        input: ScanInput,
        tensors: &WeightMap,
        device: Device,
        precision: Precision,
    ) -> Result<Self, TorchError> {
        let mut there = WeightMap::new();
        for (name, tensor) in tensors {
            there.insert(name.clone(), tensor.f_detach()?.f_to_device(device)?);
        }
        Ok(Self {
            network: baselines::build(&network, input.size, &there)?,
            config: network,
            input,
            device,
            precision,
        })
    }

    /// The network.
    pub fn network(&self) -> &BaselineConfig {
        &self.config
    }

    /// What a scan must go through.
    pub fn input(&self) -> &ScanInput {
        &self.input
    }

    /// Probabilities of the positive class, one a scan. Scans pass the network one by one, so that they need no more memory than one
    /// and a score does not depend on what is scored beside it.
    ///
    /// # Shapes
    ///
    /// - `voxels`: `[D, H, W]` HU each, as [`ScanInput::apply`] leaves them
    ///
    /// # Errors
    ///
    /// Scans of another size, and what libtorch refuses, e.g. for want of memory.
    pub fn score(&self, voxels: &[ArrayView3<i16>]) -> Result<Vec<f64>, TorchError> {
        let _inference = ffi::InferenceMode::enter()?;
        let mut scores = Vec::with_capacity(voxels.len());
        for scan in voxels {
            let log_odds = self.log_odds(&self.tensor(*scan)?)?[0];
            scores.push(probability(log_odds));
        }
        Ok(scores)
    }

    /// Grad-CAM of the positive class: where the last maps speak for it, 1 at the hottest place, all 0 where none do.
    /// See Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>. Of `covnet`, which decides by the largest feature of all slices,
    /// only slices that hold such a maximum are hot.
    ///
    /// # Shapes
    ///
    /// - `voxels`: `[D, H, W]` HU
    /// - output: `[D, H, W]` in `[0, 1]`
    ///
    /// # Errors
    ///
    /// As [`Self::score`].
    pub fn grad_cam(&self, voxels: ArrayView3<i16>) -> Result<Array3<f32>, TorchError> {
        let x = self.tensor(voxels)?;
        let reach = match &self.config {
            BaselineConfig::CovNet(covnet) => Reach::Slice { every: covnet.every },
            _ => Reach::Scan,
        };
        let heat = {
            let _precision = autocast(self.precision, self.device)?;
            saliency::grad_cam(self.network.as_ref(), &x, reach)?
        };
        array(&heat, voxels.dim())
    }

    /// How many voxels along D, H and W one place of the maps stands for that Grad-CAM looks at: it can't tell what lies closer.
    ///
    /// # Errors
    ///
    /// As [`Self::score`].
    pub fn grain(&self) -> Result<[f64; 3], TorchError> {
        let _inference = ffi::InferenceMode::enter()?;
        let size = self.input.size;
        let air = ndarray::Array3::from_elem(size, AIR as i16);
        let maps = self.network.maps(&self.tensor(air.view())?)?.size();
        Ok([0, 1, 2].map(|axis| size[axis] as f64 / maps[axis + 2].max(1) as f64))
    }

    /// How many passes of the network [`Self::occlusion`] takes for a scan.
    ///
    /// # Errors
    ///
    /// As [`Self::score`].
    pub fn occlusion_passes(&self, voxels: ArrayView3<i16>, cube: usize) -> usize {
        self.cubes(voxels, cube).len()
    }

    /// Occlusion map: how much the log-odds of the positive class fall where a cube of air hides a part of the scan; below 0 they rise.
    /// Cubes lie half a side apart, and a voxel has the mean of all that hide it. `None` when it was stopped. See Zeiler and Fergus
    /// 2014, <https://arxiv.org/abs/1311.2901>.
    ///
    /// # Shapes
    ///
    /// - `voxels`: `[D, H, W]` HU
    /// - output: `[D, H, W]` in log-odds
    ///
    /// # Errors
    ///
    /// As [`Self::score`].
    pub fn occlusion(
        &self,
        voxels: ArrayView3<i16>,
        cube: usize,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<Option<Array3<f32>>, TorchError> {
        let _inference = ffi::InferenceMode::enter()?;
        let cubes = self.cubes(voxels, cube);
        let x = self.tensor(voxels)?;
        let together = (TOGETHER / voxels.len().max(1)).max(1);
        let log_odds = |x: &Tensor| self.log_odds(x);
        saliency::occlusion(&log_odds, &x, &cubes, self.air(), together, progress, stop)
    }

    /// The places of a cube at which it hides anything.
    fn cubes(&self, voxels: ArrayView3<i16>, cube: usize) -> Cubes {
        let air = self.air();
        let input = voxels.mapv(|hu| self.normalised(f32::from(hu)));
        Cubes::that_hide(input.view(), cube, air)
    }

    fn air(&self) -> f32 {
        self.normalised(AIR)
    }

    fn normalised(&self, hu: f32) -> f32 {
        2.0 * self.input.window.0.normalize(hu) - 1.0
    }

    /// `[D, H, W]` HU to `[1, 1, D, H, W]`.
    fn tensor(&self, voxels: ArrayView3<i16>) -> Result<Tensor, TorchError> {
        scans::batch(&[voxels], None, &self.input, self.device)
    }

    /// Log-odds of the positive class of scans `[N, 1, D, H, W]`: the difference of the two numbers under the softmax.
    fn log_odds(&self, x: &Tensor) -> Result<Vec<f64>, TorchError> {
        let numbers = {
            let _precision = autocast(self.precision, self.device)?;
            self.network.forward(x, Mode::Score, &Tape::keeping())?
        };
        let numbers = numbers.f_to_kind(Kind::Double)?.f_to_device(Device::Cpu)?;
        let log_odds = numbers.f_select(1, 1)? - numbers.f_select(1, 0)?;
        Ok(Vec::try_from(log_odds.f_contiguous()?)?)
    }
}

/// The second of two numbers under a softmax.
fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

fn array(heat: &Tensor, size: (usize, usize, usize)) -> Result<Array3<f32>, TorchError> {
    let mut values = vec![0.0_f32; size.0 * size.1 * size.2];
    let heat = heat.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?.f_contiguous()?;
    heat.f_copy_data(&mut values, heat.numel())?;
    Ok(Array3::from_shape_vec(size, values).map_err(tch::TchError::from)?)
}
