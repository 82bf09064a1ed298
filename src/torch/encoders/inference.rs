//! An encoder ready to extract: weights loaded or drawn, rebuilt for speed, gradients off.

use rand_distr::{Distribution as _, StandardNormal};
use tch::{Device, Tensor};

use super::super::{
    TorchError, ffi,
    layers::Scope,
    weights::{self, WeightMap},
};
use super::{check_slices, fast::Network, posterior};
use crate::encoder::{EncoderConfig, Layer, PREFIX, Weights};

/// Where an encoder's weights came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Drawn from this seed, never trained.
    Random {
        /// The study's seed.
        seed: u64,
    },
    /// A file.
    File {
        /// SHA-256 of the file.
        sha256: String,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Random { seed } => write!(f, "random({seed})"),
            Self::File { sha256 } => f.write_str(sha256),
        }
    }
}

/// An encoder that only runs forward, as fast as the device allows.
#[derive(Debug)]
pub struct InferenceEncoder {
    config: EncoderConfig,
    origin: Origin,
    device: Device,
    network: Network,
}

impl InferenceEncoder {
    /// Loads the weights that the configuration names, or draws them from `seed`.
    ///
    /// # Errors
    ///
    /// When the configuration makes no network, or its file is not exactly the encoder's.
    pub fn open(config: &EncoderConfig, seed: u64, device: Device) -> Result<Self, TorchError> {
        match config.weights() {
            Weights::Random => {
                let tensors = weights::random(config, seed)?;
                Self::new(config, &tensors, Origin::Random { seed }, device)
            }
            Weights::File(path) => {
                let loaded = weights::load(config, path)?;
                Self::new(config, &loaded.tensors, Origin::File { sha256: loaded.sha256 }, device)
            }
        }
    }

    /// Builds the network on tensors, which must be exactly the encoder's.
    ///
    /// # Errors
    ///
    /// When the tensors do not fit: every wrong one is named.
    pub fn new(
        config: &EncoderConfig,
        tensors: &WeightMap,
        origin: Origin,
        device: Device,
    ) -> Result<Self, TorchError> {
        weights::check(config, tensors)?;
        let architecture = config.architecture()?;
        let _no_gradients = tch::no_grad_guard();
        let mut there = WeightMap::new();
        for (name, tensor) in tensors {
            there.insert(name.clone(), tensor.f_detach()?.f_to_device(device)?);
        }
        let root = Scope::new(&there, PREFIX.trim_end_matches('.'));
        let network = Network::new(&root, architecture, device)?;
        Ok(Self {
            config: config.clone(),
            origin,
            device,
            network,
        })
    }

    /// Chosen layers of a batch of slices, in the order of `layers`, on the CPU.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 3, S, S]` in `[-1, 1]`, `S` the encoder's input size
    /// - `noise`: `[N, Z]`, standard normal; only for [`Layer::ZSample`], see [`noise`]
    /// - outputs: `[N, layer.width(config)]` each
    ///
    /// # Errors
    ///
    /// When slices or noise have another shape, noise is missing, or libtorch fails, e.g. for want of memory.
    pub fn encode(&self, x: &Tensor, layers: &[Layer], noise: Option<&Tensor>) -> Result<Vec<Tensor>, TorchError> {
        let net = self.config.architecture()?;
        check_slices(x, net.input_size)?;
        let _inference = ffi::InferenceMode::enter()?;
        let pooled = self.network.avepool_feat(x)?;
        let latent = |layer: &Layer| matches!(layer, Layer::ZMean | Layer::ZStdev | Layer::ZSample);
        // The MLP is three quarters of a ResNet's weights: it is only run where it is read.
        let z = layers
            .iter()
            .any(latent)
            .then(|| posterior(&self.network.z_raw(&pooled), net.halves));
        let mut outputs = Vec::with_capacity(layers.len());
        for &layer in layers {
            let values = match (layer, &z) {
                (Layer::BnCreluFeat, _) => self.network.bn_crelu_feat(&pooled)?,
                (Layer::ZMean, Some((mean, _))) => mean.shallow_clone(),
                (Layer::ZStdev, Some((_, stdev))) => stdev.shallow_clone(),
                (Layer::ZSample, Some((mean, stdev))) => {
                    let noise = noise.ok_or(TorchError::NoNoise(layer))?;
                    let expected = [x.size()[0], net.z_dim as i64];
                    if noise.size() != expected {
                        return Err(TorchError::NoiseShape {
                            found: noise.size(),
                            expected,
                        });
                    }
                    mean.f_add(&stdev.f_mul(&noise.f_to_device(self.device)?)?)?
                }
                // The latent layers without `z` cannot be: the line above made it for them.
                (Layer::AvepoolFeat, _) | (_, None) => pooled.shallow_clone(),
            };
            outputs.push(values.f_to_device(Device::Cpu)?.f_contiguous()?);
        }
        Ok(outputs)
    }

    /// What it was built from.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Where its weights came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether its weights were never trained: then whatever it makes must say so.
    pub fn untrained(&self) -> bool {
        matches!(self.origin, Origin::Random { .. })
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }
}

/// Standard normal noise for `z_sample`: each row has a stream of its own, so that it does not matter which rows share a
/// batch, or whether an extraction was resumed.
///
/// # Shapes
///
/// - output: `[rows, z_dim]`
///
/// # Errors
///
/// When libtorch has no memory for it.
pub fn noise(seed: u64, rows: &[usize], z_dim: usize) -> Result<Tensor, TorchError> {
    let mut values: Vec<f32> = Vec::with_capacity(rows.len() * z_dim);
    for row in rows {
        let rng = crate::seed::stream(seed, &format!("z_sample/{row}"));
        values.extend(StandardNormal.sample_iter(rng).take(z_dim).map(|v: f32| v));
    }
    Ok(Tensor::f_from_slice(&values)?.f_reshape([rows.len() as i64, z_dim as i64])?)
}
