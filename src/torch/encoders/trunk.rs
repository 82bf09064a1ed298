//! An encoder up to its pooled features, for networks that are built on it and trained with it.

use tch::{Device, Tensor};

use super::{
    super::{
        TorchError,
        layers::{Scope, Statistics},
        train::Tape,
        weights::{self, WeightMap},
    },
    DinoV2, ResNetV1,
    body::Body,
    pixels::Pixels,
    three_planes,
};
use crate::encoder::{EncoderConfig, PREFIX};

#[derive(Debug)]
enum Network {
    BigBiGan(Box<Body>),
    ResNet50(Pixels, ResNetV1),
    DinoV2(Pixels, DinoV2),
}

/// The pooled features of an encoder of any kind but a script, in plain operators: gradients reach its tensors.
#[derive(Debug)]
pub struct Trunk {
    kind: &'static str,
    network: Network,
}

impl Trunk {
    /// Builds it on tensors that must be exactly [`EncoderConfig::trunk_tensors`].
    ///
    /// # Errors
    ///
    /// When the configuration makes no network or the tensors do not fit: every wrong one is named. A script is no set of tensors.
    pub fn new(config: &EncoderConfig, tensors: &WeightMap) -> Result<Self, TorchError> {
        let kind = config.kind();
        weights::check_against(kind, &config.trunk_tensors()?, tensors)?;
        let device = tensors.values().next().map_or(Device::Cpu, Tensor::device);
        let network = match config {
            EncoderConfig::ResNet50(_)
            | EncoderConfig::RevNet50x4(_)
            | EncoderConfig::TinyResNet(_)
            | EncoderConfig::TinyRevNet(_) => {
                let root = Scope::new(tensors, PREFIX.trim_end_matches('.'));
                Network::BigBiGan(Body::new(&root, config.architecture()?).into())
            }
            EncoderConfig::ResNet50ImageNet(c) => {
                Network::ResNet50(Pixels::new(&c.mean, &c.std, device)?, ResNetV1::new(tensors)?)
            }
            EncoderConfig::DinoV2(c) => Network::DinoV2(
                Pixels::new(&c.mean, &c.std, device)?,
                DinoV2::new(tensors, c.input_size)?,
            ),
            EncoderConfig::TorchScript(_) => return Err(TorchError::ScriptTensors),
        };
        Ok(Self { kind, network })
    }

    /// Pooled features, `avepool_feat`; the class token of a transformer.
    ///
    /// # Shapes
    ///
    /// - `slices`: `[N, 1, S, S]` in `[-1, 1]`, `S` the encoder's input size
    /// - output: `[N, F]`
    ///
    /// # Errors
    ///
    /// When the slices have another shape, or libtorch fails.
    pub fn features<'a>(
        &'a self,
        slices: &Tensor,
        statistics: Statistics,
        tape: &Tape<'a>,
    ) -> Result<Tensor, TorchError> {
        match &self.network {
            Network::DinoV2(pixels, network) => {
                let (class, _) = network.forward_on(&pixels.forward(&three_planes(slices)?)?, tape)?;
                Ok(class)
            }
            _ => pool(&self.maps(slices, statistics, tape)?),
        }
    }

    /// The maps whose means are the features.
    ///
    /// # Shapes
    ///
    /// - `slices`: as of [`Trunk::features`]
    /// - output: `[N, F, h, w]`
    ///
    /// # Errors
    ///
    /// As [`Trunk::features`]; a transformer's class token is the mean of no maps.
    pub fn maps<'a>(&'a self, slices: &Tensor, statistics: Statistics, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        let x = three_planes(slices)?;
        match &self.network {
            Network::BigBiGan(body) => {
                let map = body.last_map(&x, statistics, tape, None)?;
                match body.architecture.last_relu {
                    true => Ok(map.f_relu()?),
                    false => Ok(map),
                }
            }
            Network::ResNet50(pixels, network) => network.last_map(&pixels.forward(&x)?, statistics, tape),
            Network::DinoV2(..) => Err(TorchError::NoMaps { kind: self.kind }),
        }
    }
}

/// The mean over a slice: `[N, F, h, w]` to `[N, F]`.
pub fn pool(maps: &Tensor) -> Result<Tensor, TorchError> {
    Ok(maps.f_mean_dim([2i64, 3].as_slice(), false, None)?)
}
