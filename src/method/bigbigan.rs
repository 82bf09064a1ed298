//! Settings of BigBiGAN: three networks, two optimisers, what the paper and its released module leave open.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Adam, BatchNormPolicy, Discriminator, Generator, MethodError, Schedule};
use crate::encoder::Architecture;

/// Settings of `bigbigan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BigBiGan {
    /// From a latent vector to an image.
    pub generator: Generator,
    /// From an image, a latent vector, and both together, to three scores.
    pub discriminator: Discriminator,
    /// A `.safetensors` file with the tensors of generator and discriminator (`generator.` and `disc.`) to start from, and of
    /// the encoder where `encoder.weights` is `"random"`. Default: none, they start from random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<PathBuf>,
    /// Updates of the discriminator, each on a fresh batch, before one of generator and encoder. Default: 2.
    pub discriminator_steps: usize,
    /// Whether the three scores are summed, as in the paper, or averaged, as in the released module. Default: `mean`.
    pub loss: LossScale,
    /// Whether the encoder's latent vector is drawn from its posterior, as in the paper, or is its mean. Default: true.
    pub stochastic: bool,
    /// Default: lr 2e-4, beta1 0.
    pub adam_discriminator: Adam,
    /// Default: lr 5e-5, beta1 0.
    pub adam_generator: Adam,
    /// Default: lr 5e-4, beta1 0: ten times the generator's, the paper's improved setting.
    pub adam_encoder: Adam,
    /// Of all three learning rates. Default: constant.
    pub schedule: Schedule,
    /// Memory of the averaged weights of encoder and generator. Default: 0.9999.
    pub ema: f64,
    /// Steps before which the average is a copy of the weights. Default: 0.
    pub ema_start: u64,
    /// Which statistics the encoder's batch norms use. Default: `train`. The generator's are always those of the batch.
    pub batch_norm: BatchNormPolicy,
    /// Largest norm of the gradient of each network; 0 leaves it as it is. Default: 0.
    pub clip: f64,
    /// Batches whose gradients are averaged before a step. Default: 1.
    pub accumulate: usize,
}

/// How the three scores of a pair become one loss. With Adam the factor of three hardly matters; clipping would feel it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossScale {
    /// The mean over the scores: a third of the paper's value.
    #[default]
    Mean,
    /// The paper's sum.
    Sum,
}

impl Default for BigBiGan {
    fn default() -> Self {
        let adam = |lr| Adam {
            lr,
            beta1: 0.0,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        };
        Self {
            generator: Generator::default(),
            discriminator: Discriminator::default(),
            networks: None,
            discriminator_steps: 2,
            loss: LossScale::Mean,
            stochastic: true,
            adam_discriminator: adam(2e-4),
            adam_generator: adam(5e-5),
            adam_encoder: adam(5e-4),
            schedule: Schedule::Constant,
            ema: 0.9999,
            ema_start: 0,
            batch_norm: BatchNormPolicy::Train,
            clip: 0.0,
            accumulate: 1,
        }
    }
}

impl BigBiGan {
    /// By how much the encoder's images are shrunk before the discriminator sees them: 1 or 2.
    pub fn shrink(&self, encoder: &Architecture) -> usize {
        encoder.input_size / self.generator.resolution().max(1)
    }

    pub(super) fn check(&self, encoder: &Architecture) -> Result<(), MethodError> {
        self.generator.check(encoder.z_dim)?;
        let resolution = self.generator.resolution();
        if encoder.input_size != resolution && encoder.input_size != 2 * resolution {
            return Err(MethodError::Resolution {
                encoder: encoder.input_size,
                generator: resolution,
            });
        }
        self.discriminator.check(resolution)?;
        let out = |field, found, expected| Err(MethodError::OutOfRange { field, found, expected });
        for (field, found) in [
            ("discriminator_steps", self.discriminator_steps),
            ("accumulate", self.accumulate),
        ] {
            if found == 0 {
                return out(field, 0.0, "at least 1");
            }
        }
        if !(0.0..1.0).contains(&self.ema) {
            return out("ema", self.ema, "0 to below 1");
        }
        if self.clip.is_nan() || self.clip < 0.0 {
            return out("clip", self.clip, "0 or more");
        }
        self.schedule.check()?;
        self.adam_discriminator.check("adam_discriminator")?;
        self.adam_generator.check("adam_generator")?;
        self.adam_encoder.check("adam_encoder")
    }
}
