//! Encoders: slices in, representations out.
//!
//! [`InferenceEncoder`] is an encoder of any kind, as fast as it can be. Beside it stand the networks in plain operators, to
//! be read and compared with: [`Encoder`] for the BigBiGAN kinds, with gradients, batch statistics and a look inside,
//! [`ResNetV1`] and [`DinoV2`]. Both give the same numbers. [`Trunk`] is any of them up to its pooled features, to be trained in other networks.

mod body;
mod bottleneck;
mod dinov2;
mod fast;
mod fused;
mod head;
mod inference;
mod pixels;
mod resnet;
mod resnet_v1;
mod revnet;
mod script;
mod trunk;

use std::collections::BTreeMap;

use tch::Tensor;

pub use dinov2::DinoV2;
pub use inference::{InferenceEncoder, Origin, noise};
pub use resnet_v1::ResNetV1;
pub use trunk::{Trunk, pool};

use self::{body::Body, head::Head};
use super::{
    TorchError,
    layers::{BatchNorm, Scope, Statistics, Watch},
    train::Tape,
    weights::{self, WeightMap},
};
use crate::encoder::{EncoderConfig, HalfOrder, IMAGE_CHANNELS, PREFIX};

/// What leaves an encoder; `N` slices, `Z` latent numbers, `F` channels of the trunk.
#[derive(Debug)]
pub struct Outputs {
    /// `[N, F]`, the trunk's average-pooled output.
    pub avepool_feat: Tensor,
    /// `[N, 2 F]`, its batch norm's positive part, then its negative part.
    pub bn_crelu_feat: Tensor,
    /// `[N, 2 Z]`, the last linear layer.
    pub z_raw: Tensor,
    /// `[N, Z]`, mean of the latent vector.
    pub z_mean: Tensor,
    /// `[N, Z]`, its standard deviation, above zero.
    pub z_stdev: Tensor,
}

impl Outputs {
    /// `z_sample` `[N, Z]` for standard normal noise of that shape.
    ///
    /// # Errors
    ///
    /// When the noise has another shape.
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor, TorchError> {
        let (n, z) = self.z_mean.size2()?;
        if noise.size() != [n, z] {
            return Err(TorchError::NoiseShape {
                found: noise.size(),
                expected: [n, z],
            });
        }
        Ok(&self.z_mean + &self.z_stdev * noise)
    }
}

/// The inside of a network, by name: `stem`, `stage0` to `stage3`.
pub type Taps = BTreeMap<String, Tensor>;

/// A BigBiGAN encoder in plain operators. Shares its tensors with the map that it was built from, so training the map's tensors
/// trains the network.
#[derive(Debug)]
pub struct Encoder {
    body: Body,
    crelu_bn: BatchNorm,
    head: Head,
}

impl Encoder {
    /// Builds the network on `tensors`, which must be exactly the encoder's.
    ///
    /// # Errors
    ///
    /// When the configuration makes no such network or the tensors do not fit: every wrong one is named.
    pub fn new(config: &EncoderConfig, tensors: &WeightMap) -> Result<Self, TorchError> {
        Self::build(config, tensors, None)
    }

    /// As [`Encoder::new`]; `watch` sees what enters the batch norms.
    ///
    /// # Errors
    ///
    /// As [`Encoder::new`].
    pub fn watched(config: &EncoderConfig, tensors: &WeightMap, watch: &Watch) -> Result<Self, TorchError> {
        Self::build(config, tensors, Some(watch))
    }

    fn build(config: &EncoderConfig, tensors: &WeightMap, watch: Option<&Watch>) -> Result<Self, TorchError> {
        let architecture = config.architecture()?;
        weights::check(config, tensors)?;
        let root = Scope::new(tensors, PREFIX.trim_end_matches('.')).under(watch);
        Ok(Self {
            crelu_bn: BatchNorm::new(&root.at("crelu_bn"), architecture.bn_eps),
            head: Head::new(&root.at("head")),
            body: Body::new(&root, architecture),
        })
    }

    /// All outputs of a batch of slices.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 3, S, S]` in `[-1, 1]`, `S` the encoder's input size
    ///
    /// # Errors
    ///
    /// When the slices have another shape.
    pub fn forward(&self, x: &Tensor, statistics: Statistics) -> Result<Outputs, TorchError> {
        self.forward_on(x, statistics, &Tape::keeping())
    }

    /// As [`Encoder::forward`]; each unit is a segment of the tape.
    ///
    /// # Errors
    ///
    /// As [`Encoder::forward`].
    pub fn forward_on<'a>(
        &'a self,
        x: &Tensor,
        statistics: Statistics,
        tape: &Tape<'a>,
    ) -> Result<Outputs, TorchError> {
        self.run(x, statistics, tape, None)
    }

    /// As [`Encoder::forward`], and what lies between.
    ///
    /// # Errors
    ///
    /// As [`Encoder::forward`].
    pub fn forward_with_taps(&self, x: &Tensor, statistics: Statistics) -> Result<(Outputs, Taps), TorchError> {
        let mut taps = Taps::new();
        let outputs = self.run(x, statistics, &Tape::keeping(), Some(&mut taps))?;
        Ok((outputs, taps))
    }

    fn run<'a>(
        &'a self,
        x: &Tensor,
        statistics: Statistics,
        tape: &Tape<'a>,
        taps: Option<&mut Taps>,
    ) -> Result<Outputs, TorchError> {
        let map = self.body.last_map(x, statistics, tape, taps)?;
        Ok(self.outputs(&map, self.body.architecture.last_relu, statistics))
    }

    /// What leaves the last batch norm, `[N, F, S / 32, S / 32]`, of a batch of slices, as [`Encoder::forward`] takes them.
    ///
    /// # Errors
    ///
    /// As [`Encoder::forward`].
    pub fn trunk(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        self.body.last_map(x, statistics, &Tape::keeping(), None)
    }

    /// All outputs from what [`Encoder::trunk`] gave, with or without the last ReLU, whatever the encoder's own switch says.
    ///
    /// # Shapes
    ///
    /// - `map`: `[N, F, S / 32, S / 32]`
    pub fn outputs(&self, map: &Tensor, last_relu: bool, statistics: Statistics) -> Outputs {
        let x = if last_relu { map.relu() } else { map.shallow_clone() };
        let avepool_feat = x.mean_dim([2i64, 3].as_slice(), false, None); // [N, F]
        let n = self.crelu_bn.forward(&avepool_feat, statistics);
        let bn_crelu_feat = Tensor::cat(&[n.relu(), (-n).relu()], 1); // [N, 2 F]
        let z_raw = self.head.forward(&avepool_feat); // [N, 2 Z]
        let (z_mean, z_stdev) = posterior(&z_raw, self.body.architecture.halves);
        Outputs {
            avepool_feat,
            bn_crelu_feat,
            z_raw,
            z_mean,
            z_stdev,
        }
    }
}

/// Mean and standard deviation `[N, Z]` out of the last layer `[N, 2 Z]`.
fn posterior(z_raw: &Tensor, halves: HalfOrder) -> (Tensor, Tensor) {
    let mut parts = z_raw.chunk(2, 1);
    // Two parts always: the last layer is 2 Z wide.
    let (second, first) = (parts.swap_remove(1), parts.swap_remove(0));
    match halves {
        HalfOrder::MeanFirst => (first, second.softplus()),
        HalfOrder::StdevFirst => (second, first.softplus()),
    }
}

/// Slices as encoders take them: grey ones `[N, 1, H, W]` to `[N, 3, H, W]`, a view; those of three planes as they are.
///
/// # Errors
///
/// When there is another number of planes.
pub fn three_planes(x: &Tensor) -> Result<Tensor, TorchError> {
    Ok(x.f_expand([-1, IMAGE_CHANNELS as i64, -1, -1], false)?)
}

fn check_slices(x: &Tensor, size: usize) -> Result<(), TorchError> {
    let found = x.size();
    let s = size as i64;
    match found.as_slice() {
        [n, c, h, w] if *n > 0 && *c == IMAGE_CHANNELS as i64 && *h == s && *w == s => Ok(()),
        _ => Err(TorchError::SliceShape { found, size }),
    }
}
