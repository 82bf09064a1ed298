//! SHELF: how encoders are trained. A method owns its networks and their optimisers; who drives it knows only
//! [`Method::step`] and what a checkpoint must hold.

pub mod bigbigan;
pub mod lejepa;
pub(super) mod trained;

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::{TorchError, layers::Statistics, weights::WeightMap};
use crate::{
    encoder::EncoderConfig,
    method::{BatchNormPolicy, MethodConfig, Precision},
};

/// What a method is built with, whatever its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The encoder that comes out.
    pub encoder: EncoderConfig,
    /// Seed of weights and noise: each draw has a stream of its own name and step, so that there is no state to keep.
    pub seed: u64,
    /// Steps of the whole training; schedules end there.
    pub steps: u64,
    /// Where the networks run.
    pub device: Device,
    /// In what precision convolutions and products are computed.
    pub precision: Precision,
    /// Whether activations are computed again when their gradients are wanted, instead of being kept.
    pub recompute: bool,
}

/// Numbers of one step, by name, in the order in which they are shown: losses, scores, norms, and the learning rates that
/// the optimisers took.
pub type Numbers = Vec<(&'static str, f64)>;

/// A way to train an encoder.
pub trait Method {
    /// One step, number `step` from 0, on as many batches as the method's appetite says.
    ///
    /// # Shapes
    ///
    /// - `batches`: `[V * N, C, S, S]` each, in `[-1, 1]`, C being 1 or 3; the first view of all images, then the second, and so on
    ///
    /// # Errors
    ///
    /// When libtorch fails, e.g. for want of memory. Numbers that are not finite are no error here: whoever drives the
    /// method looks at them.
    fn step(&mut self, step: u64, batches: &[Tensor]) -> Result<Numbers, TorchError>;

    /// Everything that a later process needs to go on as if nothing had happened, by name.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    fn state(&self) -> Result<WeightMap, TorchError>;

    /// Goes on from what [`Method::state`] gave after `steps` steps.
    ///
    /// # Errors
    ///
    /// When the tensors are not exactly those of this method: every wrong one is named, and nothing may be used then.
    fn restore(&mut self, state: &WeightMap, steps: u64) -> Result<(), TorchError>;

    /// The encoder as it is to be used now: averaged weights where the method averages, and batch-norm statistics taken anew
    /// over `slices` where its policy says so.
    ///
    /// # Shapes
    ///
    /// - `slices`: batches `[N, C, S, S]` in `[-1, 1]`, not augmented
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    fn encoder(&self, slices: &[Tensor]) -> Result<WeightMap, TorchError>;

    /// The generator as it is to be used now, for methods that have one.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    fn generator(&self) -> Result<Option<WeightMap>, TorchError> {
        Ok(None)
    }

    /// Takes the statistics that the encoder is trained with anew, for a policy that wants it. Before the first step, and
    /// whenever the encoder was looked at.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    fn adapt(&mut self, slices: &[Tensor]) -> Result<(), TorchError> {
        let _ = slices;
        Ok(())
    }

    /// Trained elements of each network, by name.
    fn sizes(&self) -> BTreeMap<&'static str, usize>;

    /// Names of tensors that hold NaN or infinity, in weights or gradients.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    fn not_finite(&self) -> Result<Vec<String>, TorchError>;
}

/// Builds a method. Networks start from the tensors of `start`, and from the seed where it has none of theirs.
///
/// # Errors
///
/// When settings make no network or the tensors do not fit.
pub fn build(
    config: &MethodConfig,
    setting: Setting,
    start: Option<&WeightMap>,
) -> Result<Box<dyn Method>, TorchError> {
    config.check(&setting.encoder.architecture()?)?;
    Ok(match config {
        MethodConfig::BigBiGan(config) => Box::new(bigbigan::BigBiGan::new(config, setting, start)?),
        MethodConfig::LeJepa(config) => Box::new(lejepa::LeJepa::new(config, setting, start)?),
    })
}

/// Standard normal numbers `[rows, width]` of a purpose and a step.
fn noise(seed: u64, purpose: &str, step: u64, rows: i64, width: i64, device: Device) -> Result<Tensor, TorchError> {
    use rand_distr::{Distribution as _, StandardNormal};
    let rng = crate::seed::stream(seed, &format!("{purpose}/{step}"));
    let count = usize::try_from(rows * width).unwrap_or(0);
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(count).collect();
    Ok(Tensor::f_from_slice(&values)?
        .f_reshape([rows, width])?
        .f_to_device(device)?)
}

/// Which statistics a policy trains with.
fn training_statistics(policy: BatchNormPolicy) -> Statistics {
    match policy {
        BatchNormPolicy::Train => Statistics::Batch,
        _ => Statistics::Stored,
    }
}

/// Numbers from a device, all in one transfer.
fn read(named: &[(&'static str, Tensor)]) -> Result<Numbers, TorchError> {
    let values: Vec<Tensor> = named
        .iter()
        .map(|(_, value)| value.detach().to_kind(Kind::Double))
        .collect();
    let values = Vec::<f64>::try_from(Tensor::f_stack(&values, 0)?.f_to_device(Device::Cpu)?)?;
    Ok(named.iter().map(|(name, _)| *name).zip(values).collect())
}
