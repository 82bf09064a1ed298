//! A classifier of scans in training, as those see it who know no tensors: voxels in, numbers out, checkpoints in between.

use std::path::Path;

use ndarray::ArrayView3;
use tch::{Device, Kind, Tensor};

use super::{
    TorchError,
    baselines::{self, Dropout, Mode, VolumeClassifier},
    device::{DeviceChoice, autocast},
    methods::trained::{Trained, check_state, for_use, on_cpu},
    scans,
    scorer::VolumeScorer,
    train::{Checkpoint, Checkpoints, Stamp, Tape},
    weights::{self, WeightMap},
};
use crate::{
    baseline::{BaselineConfig, Place},
    method::{Adam, Precision},
    transforms::{ScanChange, ScanInput},
};

/// How a training is set up.
#[derive(Debug, Clone)]
pub struct ClassifierConfig {
    /// The network.
    pub network: BaselineConfig,
    /// What scans were made ready by.
    pub input: ScanInput,
    /// Seed of weights and dropout.
    pub seed: u64,
    /// The optimiser; the learning rate is an argument of every step.
    pub adam: Adam,
    /// Largest norm of the gradient; 0 for any.
    pub clip: f64,
    /// Of convolutions and products.
    pub precision: Precision,
    /// Whether activations are computed again instead of kept.
    pub recompute: bool,
    /// Where it runs.
    pub device: DeviceChoice,
}

/// A network, its optimiser, and how far they have come.
#[derive(Debug)]
pub struct Classifier {
    config: ClassifierConfig,
    network: Box<dyn VolumeClassifier>,
    trained: Trained,
    device: Device,
    steps: u64,
    /// SHA-256 of the file that COVNet's trunk started from.
    started_from: Option<String>,
}

/// Where a network on this device runs, as a plan of its memory wants it.
///
/// # Errors
///
/// A device that is not there.
pub fn place(device: DeviceChoice) -> Result<Place, TorchError> {
    Ok(match device.resolve()? {
        Device::Cpu => Place::Processor,
        _ => Place::Card,
    })
}

impl Classifier {
    /// A network from the seed; `trunk` is a file of weights that the trunk of COVNet starts from.
    ///
    /// # Errors
    ///
    /// Settings that make no network, weights that do not fit, a device that is not there.
    pub fn new(config: ClassifierConfig, trunk: Option<&Path>) -> Result<Self, TorchError> {
        let device = config.device.resolve()?;
        let (tensors, started_from) = match (&config.network, trunk) {
            (BaselineConfig::CovNet(covnet), Some(path)) => {
                let loaded = weights::load(&covnet.trunk, path)?;
                let tensors = baselines::covnet::start(covnet, config.seed, Some(&loaded.tensors))?;
                (tensors, Some(loaded.sha256))
            }
            _ => (
                baselines::random(&config.network, config.input.size, config.seed)?,
                None,
            ),
        };
        let trained = Trained::new(&tensors, config.adam, config.clip, device)?;
        let network = baselines::build(&config.network, config.input.size, trained.tensors())?;
        Ok(Self {
            config,
            network,
            trained,
            device,
            steps: 0,
            started_from,
        })
    }

    /// SHA-256 of the file that it started from.
    pub fn started_from(&self) -> Option<&str> {
        self.started_from.as_deref()
    }

    /// Steps that were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Trained elements.
    pub fn size(&self) -> usize {
        self.trained.parameters().count()
    }

    /// Where it runs, in words.
    pub fn device(&self) -> String {
        match self.device {
            Device::Cpu => format!("cpu, {} threads", tch::get_num_threads()),
            device => format!("{device:?}"),
        }
    }

    /// Adds the gradient of a part of a step's batch: of the sum of the scans' cross entropies, each times its weight. Weights of a step
    /// add up to 1, so that the gradient of the step is that of the weighted mean however it is cut into parts; only batch norms, whose
    /// statistics are those of a part, and dropout see the parts.
    ///
    /// Gives the two outputs of each scan, before the step.
    ///
    /// # Shapes
    ///
    /// - `voxels`: `[D, H, W]` HU each, of the input's size; as many `changes`, `positive` and `weights`
    ///
    /// # Errors
    ///
    /// When libtorch fails, e.g. for want of memory. Numbers that are not finite are no error here.
    pub fn part(
        &mut self,
        part: usize,
        voxels: &[ArrayView3<i16>],
        changes: &[ScanChange],
        positive: &[bool],
        weights: &[f64],
    ) -> Result<Vec<[f64; 2]>, TorchError> {
        if part == 0 {
            self.trained.zero_grad()?;
        }
        let (device, config) = (self.device, &self.config);
        let x = scans::batch(voxels, Some(changes), &config.input, device)?;
        let dropout = Dropout {
            seed: config.seed,
            step: self.steps,
            part,
        };
        let tape = match config.recompute {
            true => Tape::recomputing(config.precision, device),
            false => Tape::keeping(),
        };
        let outputs = {
            let _precision = autocast(config.precision, device)?;
            self.network.forward(&x, Mode::Train(dropout), &tape)?
        };
        let outputs = outputs.f_to_kind(Kind::Float)?; // [N, 2]
        let loss = weighted_loss(&outputs, positive, weights)?;
        tape.backward(&loss)?;
        pairs(&outputs)
    }

    /// A step of the optimiser with what the parts added up; gives the norm of the gradient before clipping.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn step(&mut self, lr: f64) -> Result<f64, TorchError> {
        let norm = self.trained.step_at(lr)?;
        self.steps += 1;
        Ok(norm)
    }

    /// The two outputs of each scan, with stored statistics and nothing dropped.
    ///
    /// # Shapes
    ///
    /// - `voxels`: `[D, H, W]` HU each, of the input's size
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn outputs(&self, voxels: &[ArrayView3<i16>]) -> Result<Vec<[f64; 2]>, TorchError> {
        let _no_gradients = tch::no_grad_guard();
        let x = scans::batch(voxels, None, &self.config.input, self.device)?;
        let _precision = autocast(self.config.precision, self.device)?;
        let outputs = self.network.forward(&x, Mode::Score, &Tape::keeping())?;
        pairs(&outputs.f_to_kind(Kind::Float)?)
    }

    /// Names of tensors that hold NaN or infinity, in values, gradients or statistics.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn not_finite(&self) -> Result<Vec<String>, TorchError> {
        let mut names = self.trained.parameters().not_finite()?;
        for (name, buffer) in self.trained.buffers() {
            if buffer.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    ///
    /// A disk that is full; checkpoints before it stay as they are.
    pub fn save(&self, checkpoints: &Checkpoints, stamp: &Stamp) -> Result<(), TorchError> {
        checkpoints.save(stamp, &self.trained.state()?).map(drop)
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    ///
    /// When its tensors are not exactly this network's and its optimiser's.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TorchError> {
        check_state(&checkpoint.state, &self.trained.state()?)?;
        self.trained.restore(&checkpoint.state, checkpoint.stamp.step)?;
        self.steps = checkpoint.stamp.step;
        Ok(())
    }

    /// Copies of the network's tensors on the processor.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn weights(&self) -> Result<WeightMap, TorchError> {
        on_cpu(&for_use(self.trained.parameters().views(), self.trained.buffers())?)
    }

    /// The network as it is now, ready to score.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn scorer(&self) -> Result<VolumeScorer, TorchError> {
        let config = &self.config;
        VolumeScorer::new(
            config.network.clone(),
            config.input.clone(),
            &self.weights()?,
            self.device,
            config.precision,
        )
    }

    /// Writes the network's tensors; gives the SHA-256 of the file.
    ///
    /// # Errors
    ///
    /// A disk that is full.
    pub fn save_weights(&self, path: &Path) -> Result<String, TorchError> {
        weights::save(&self.weights()?, path)
    }
}

/// The sum of the scans' cross entropies, each times its weight.
///
/// # Shapes
///
/// - `outputs`: `[N, 2]`
fn weighted_loss(outputs: &Tensor, positive: &[bool], weights: &[f64]) -> Result<Tensor, TorchError> {
    let device = outputs.device();
    let classes: Vec<i64> = positive.iter().map(|side| i64::from(*side)).collect();
    let classes = Tensor::f_from_slice(&classes)?.f_to_device(device)?.f_unsqueeze(1)?; // [N, 1]
    let weights: Vec<f32> = weights.iter().map(|weight| *weight as f32).collect();
    let weights = Tensor::f_from_slice(&weights)?.f_to_device(device)?; // [N]
    let logs = outputs.f_log_softmax(1, Kind::Float)?.f_gather(1, &classes, false)?; // [N, 1]
    Ok(logs.f_squeeze_dim(1)?.f_mul(&weights)?.f_sum(Kind::Float)?.f_neg()?)
}

/// `[N, 2]` as numbers.
fn pairs(outputs: &Tensor) -> Result<Vec<[f64; 2]>, TorchError> {
    let outputs = outputs.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
    let values = Vec::<f64>::try_from(outputs.f_contiguous()?.f_view([-1])?)?;
    Ok(values.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cross_entropy([negative, positive]: [f32; 2], class: bool) -> f64 {
        let margin = f64::from(if class {
            positive - negative
        } else {
            negative - positive
        });
        (-margin).exp().ln_1p()
    }

    #[test]
    fn the_loss_is_the_weighted_cross_entropy_and_does_not_see_the_parts() {
        let rows = [[0.5f32, -1.0], [2.0, 2.5], [-3.0, 1.0], [0.0, 0.25]];
        let (positive, weights) = ([true, false, true, false], [0.1, 0.2, 0.3, 0.4]);
        let outputs = || Tensor::from_slice2(&rows).set_requires_grad(true);
        let expected: f64 = (0..4)
            .map(|row| weights[row] * cross_entropy(rows[row], positive[row]))
            .sum();
        let whole = outputs();
        let loss = weighted_loss(&whole, &positive, &weights).unwrap();
        loss.backward();
        let found = loss.double_value(&[]);
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        let parts = outputs();
        for range in [0..1, 1..4] {
            let part = parts.narrow(0, range.start as i64, range.len() as i64);
            weighted_loss(&part, &positive[range.clone()], &weights[range])
                .unwrap()
                .backward();
        }
        let difference = (whole.grad() - parts.grad()).abs().max().double_value(&[]);
        assert!(difference < 1e-7, "gradients differ by {difference}");
    }
}
