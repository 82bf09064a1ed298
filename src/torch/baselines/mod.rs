//! SHELF: classifiers of whole scans. Each file is one network, in plain operators, built on the tensors that `crate::baseline` names.

pub mod covnet;
mod initial;
mod pu;
mod resnet3d;
mod run;

pub use self::{covnet::CovNet, initial::random, pu::Pu, resnet3d::ResNet3d};

use tch::Tensor;

use super::{
    TorchError,
    layers::Statistics,
    train::Tape,
    weights::{self, WeightMap},
};
use crate::baseline::BaselineConfig;

/// How a network is run.
#[derive(Debug, Clone, Copy)]
pub enum Mode {
    /// To score: stored statistics, nothing dropped.
    Score,
    /// To train: statistics of the batch, which the stored ones follow, and dropout.
    Train(Dropout),
}

/// What the stored statistics of batch norms take of each batch; PyTorch's default.
const MOMENTUM: f64 = 0.1;

impl Mode {
    /// Of the batch norms.
    pub fn statistics(self) -> Statistics {
        match self {
            Self::Score => Statistics::Stored,
            Self::Train(_) => Statistics::Running { momentum: MOMENTUM },
        }
    }
}

/// Which numbers are dropped: each draw has a stream of its own name, so that there is no state to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropout {
    /// Seed of the training.
    pub seed: u64,
    /// Step of the optimiser.
    pub step: u64,
    /// Which part of the step's batch.
    pub part: usize,
}

/// A network that classifies scans.
pub trait VolumeClassifier: std::fmt::Debug {
    /// Two numbers a scan; their softmax is the probability of the negative and the positive class.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 1, D, H, W]` in `[-1, 1]`
    /// - output: `[N, 2]`
    ///
    /// # Errors
    ///
    /// When the scans have another size, or libtorch fails.
    fn forward<'a>(&'a self, x: &Tensor, mode: Mode, tape: &Tape<'a>) -> Result<Tensor, TorchError>;

    /// The last maps that know where things are, with stored statistics: what Grad-CAM looks at.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 1, D, H, W]` in `[-1, 1]`
    /// - output: `[N, C, d, h, w]`; of a network of slices `d` counts the slices that it looks at
    ///
    /// # Errors
    ///
    /// As [`Self::forward`].
    fn maps(&self, x: &Tensor) -> Result<Tensor, TorchError>;

    /// From [`Self::maps`] to the two numbers a scan, with stored statistics and nothing dropped.
    ///
    /// # Shapes
    ///
    /// - `maps`: `[N, C, d, h, w]`
    /// - output: `[N, 2]`
    fn head(&self, maps: &Tensor) -> Tensor;
}

/// Builds a network of scans `[D, H, W]` on `tensors`, which must be exactly its own.
///
/// # Errors
///
/// When the sizes make no network, or the tensors do not fit: every wrong one is named.
pub fn build(
    config: &BaselineConfig,
    size: [usize; 3],
    tensors: &WeightMap,
) -> Result<Box<dyn VolumeClassifier>, TorchError> {
    weights::check_against(config.kind(), &config.expected_tensors(size)?, tensors)?;
    Ok(match config {
        BaselineConfig::PuA(pu) | BaselineConfig::PuB(pu) | BaselineConfig::PuC(pu) => {
            Box::new(Pu::new(pu, size, tensors))
        }
        BaselineConfig::ResNet3d(resnet) => Box::new(ResNet3d::new(resnet, size, tensors)),
        BaselineConfig::CovNet(covnet) => Box::new(CovNet::new(covnet, size, tensors)?),
    })
}
