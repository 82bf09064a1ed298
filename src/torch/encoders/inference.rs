//! An encoder ready to extract: weights loaded or drawn, rebuilt for speed, gradients off.

use rand_distr::{Distribution as _, StandardNormal};
use tch::{Device, Tensor};

use super::super::{
    TorchError, ffi,
    layers::Scope,
    weights::{self, WeightMap},
};
use super::{DinoV2, check_slices, fast, pixels::Pixels, resnet_v1::FastResNetV1, script::Script};
use crate::encoder::{EncoderConfig, Layer, Weights};

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

/// One of each family of kinds.
#[derive(Debug)]
enum Network {
    BigBiGan(Box<fast::Network>),
    ResNet50(Pixels, FastResNetV1),
    DinoV2(Pixels, DinoV2),
    Script(Script),
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
    /// When the configuration makes no network, or its file is not exactly the encoder's; a script is checked when it runs.
    pub fn open(config: &EncoderConfig, seed: u64, device: Device) -> Result<Self, TorchError> {
        match (config, config.weights()) {
            (EncoderConfig::TorchScript(settings), Weights::File(path)) => {
                config.check()?;
                let (script, sha256) = Script::open(settings, path, device)?;
                Ok(Self {
                    config: config.clone(),
                    origin: Origin::File { sha256 },
                    device,
                    network: Network::Script(script),
                })
            }
            (_, Weights::Random) => {
                let tensors = weights::random(config, seed)?;
                Self::new(config, &tensors, Origin::Random { seed }, device)
            }
            (_, Weights::File(path)) => {
                let loaded = weights::load(config, path)?;
                Self::new(config, &loaded.tensors, Origin::File { sha256: loaded.sha256 }, device)
            }
        }
    }

    /// Builds the network on tensors, which must be exactly the encoder's.
    ///
    /// # Errors
    ///
    /// When the tensors do not fit: every wrong one is named. A script is no set of tensors.
    pub fn new(
        config: &EncoderConfig,
        tensors: &WeightMap,
        origin: Origin,
        device: Device,
    ) -> Result<Self, TorchError> {
        if matches!(config, EncoderConfig::TorchScript(_)) {
            return Err(TorchError::ScriptTensors);
        }
        weights::check(config, tensors)?;
        let _no_gradients = tch::no_grad_guard();
        let mut there = WeightMap::new();
        for (name, tensor) in tensors {
            there.insert(name.clone(), tensor.f_detach()?.f_to_device(device)?);
        }
        let root = Scope::new(&there, config.prefix().trim_end_matches('.'));
        let network = match config {
            EncoderConfig::ResNet50(_)
            | EncoderConfig::RevNet50x4(_)
            | EncoderConfig::TinyResNet(_)
            | EncoderConfig::TinyRevNet(_) => {
                let network = fast::Network::new(&root, config.architecture()?, device)?;
                Network::BigBiGan(network.into())
            }
            EncoderConfig::ResNet50ImageNet(c) => {
                let pixels = Pixels::new(&c.mean, &c.std, device)?;
                Network::ResNet50(pixels, FastResNetV1::new(&root, c.input_size, device)?)
            }
            EncoderConfig::DinoV2(c) => {
                let pixels = Pixels::new(&c.mean, &c.std, device)?;
                Network::DinoV2(pixels, DinoV2::new(&there, c.input_size)?)
            }
            EncoderConfig::TorchScript(_) => return Err(TorchError::ScriptTensors),
        };
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
    /// - outputs: `[N, config.width(layer)]` each
    ///
    /// # Errors
    ///
    /// When the encoder has no such layer, slices or noise have another shape, noise is missing, or libtorch fails, e.g. for
    /// want of memory.
    pub fn encode(&self, x: &Tensor, layers: &[Layer], noise: Option<&Tensor>) -> Result<Vec<Tensor>, TorchError> {
        check_slices(x, self.config.input_size())?;
        for &layer in layers {
            self.config.width(layer)?;
        }
        let _inference = ffi::InferenceMode::enter()?;
        let outputs = match &self.network {
            Network::BigBiGan(network) => network.outputs(x, layers, noise)?,
            Network::ResNet50(pixels, network) => {
                let pooled = network.avepool_feat(&pixels.forward(x)?)?;
                layers.iter().map(|_| pooled.shallow_clone()).collect()
            }
            Network::DinoV2(pixels, network) => {
                let (class, patches) = network.forward(&pixels.forward(x)?)?;
                let chosen = |layer: &Layer| match layer {
                    Layer::PatchMean => patches.shallow_clone(),
                    _ => class.shallow_clone(), // others were refused above
                };
                layers.iter().map(chosen).collect()
            }
            Network::Script(script) => script.outputs(x, layers)?,
        };
        let here = |values: Tensor| Ok(values.f_to_device(Device::Cpu)?.f_contiguous()?);
        outputs.into_iter().map(here).collect()
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
