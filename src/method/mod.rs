//! How an encoder is trained, in words: the `[method]` table of a pretraining recipe. Knows no tensors.
//!
//! Two methods stand on this shelf, and both train the same encoders: [`BigBiGan`], an adversarial one, and [`LeJepa`], a
//! joint-embedding one. `torch::methods` holds what they do.

mod bigbigan;
mod lejepa;
mod network;
mod optimizer;
mod plateau;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::{
    bigbigan::{BigBiGan, LossScale},
    lejepa::LeJepa,
    network::{BOTTOM, Discriminator, Generator},
    optimizer::{Adam, Schedule},
    plateau::{Heard, Plateau, PlateauMetric, PlateauState, ThresholdMode},
};
use crate::encoder::{Architecture, EncoderError};

/// Which method, with what settings.
///
/// ```
/// use hounsfield::method::MethodConfig;
/// let method: MethodConfig = toml::from_str("kind = 'lejepa'\nlambda = 0.05")?;
/// assert_eq!(method.kind(), "lejepa");
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
// A recipe holds one of them: a box would save nothing.
#[allow(clippy::large_enum_variant)]
pub enum MethodConfig {
    /// Encoder, generator and joint discriminator: Donahue and Simonyan 2019, <https://arxiv.org/abs/1907.02544>.
    #[serde(rename = "bigbigan")]
    BigBiGan(BigBiGan),
    /// Agreement of views, embeddings held to a standard normal distribution: Balestriero and LeCun 2025,
    /// <https://arxiv.org/abs/2511.08544>.
    #[serde(rename = "lejepa")]
    LeJepa(LeJepa),
}

impl MethodConfig {
    /// The name in a recipe.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BigBiGan(_) => "bigbigan",
            Self::LeJepa(_) => "lejepa",
        }
    }

    /// Whether the settings can train this encoder.
    ///
    /// # Errors
    ///
    /// A sentence with both numbers.
    pub fn check(&self, encoder: &Architecture) -> Result<(), MethodError> {
        match self {
            Self::BigBiGan(config) => config.check(encoder),
            Self::LeJepa(config) => config.check(),
        }
    }

    /// A file of networks that the training starts from, besides the encoder's own weights.
    pub fn networks(&self) -> Option<&Path> {
        match self {
            Self::BigBiGan(config) => config.networks.as_deref(),
            Self::LeJepa(_) => None,
        }
    }

    /// Images that one step takes, of `batch` each time, and views of each.
    pub fn appetite(&self) -> Appetite {
        match self {
            Self::BigBiGan(config) => Appetite {
                batches: (config.discriminator_steps + 1) * config.accumulate,
                views: 1,
            },
            Self::LeJepa(config) => Appetite {
                batches: config.accumulate,
                views: config.views,
            },
        }
    }
}

/// What one step of a method takes from the loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appetite {
    /// Batches of fresh images.
    pub batches: usize,
    /// Augmented views of each image.
    pub views: usize,
}

/// Which mean and variance an encoder's batch norms use while it is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchNormPolicy {
    /// Those that came with the weights, which never change: for small batches, and the only ones that keep an encoder
    /// what it was. Scale and offset are trained.
    Frozen,
    /// As `frozen`, but they are first taken anew from the training slices, and again whenever the encoder is looked at.
    Adapt,
    /// Those of each batch; what is stored is taken anew whenever the encoder is looked at.
    #[default]
    Train,
}

impl BatchNormPolicy {
    /// The name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Adapt => "adapt",
            Self::Train => "train",
        }
    }
}

/// In what precision convolutions and products are computed; weights, sums, norms and optimisers stay 32-bit floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    #[serde(rename = "float32")]
    Float32,
    /// bfloat16: 8 bits of mantissa and the range of 32-bit floats, so that no loss is to be scaled.
    #[serde(rename = "bf16")]
    BFloat16,
}

/// Settings that train nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MethodError {
    /// The encoder.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A number outside of its range.
    #[error("`method.{field}` is {found}, expected {expected}")]
    OutOfRange {
        /// The setting.
        field: &'static str,
        /// Its value.
        found: f64,
        /// What would do.
        expected: &'static str,
    },
    /// A latent vector that does not split into a part for each level of the generator.
    #[error(
        "the encoder's z_dim is {z_dim}, which does not split into {parts} equal parts, one for the generator's first \
         layer and one for each of its blocks: change z_dim or `method.generator.multipliers`"
    )]
    Chunks {
        /// Width of the latent vector.
        z_dim: usize,
        /// Parts needed.
        parts: usize,
    },
    /// Images of two sizes.
    #[error(
        "the encoder sees {encoder} x {encoder} pixels and the generator makes {generator} x {generator}: they must be equal, \
         or the encoder's twice as many"
    )]
    Resolution {
        /// Rows of the encoder's input.
        encoder: usize,
        /// Rows of the generator's output.
        generator: usize,
    },
    /// A discriminator that halves an image too often.
    #[error(
        "the discriminator halves {resolution} x {resolution} pixels {halvings} times: give `method.discriminator.multipliers` \
         at most {} entries",
        most + 1
    )]
    Halvings {
        /// Rows of its input.
        resolution: usize,
        /// Blocks that halve it.
        halvings: usize,
        /// How often it can be halved.
        most: usize,
    },
    /// Self-attention behind a block that is not there, or on too few channels.
    #[error("`{field}` is {found}, but {why}")]
    Attention {
        /// The setting.
        field: &'static str,
        /// Its value.
        found: usize,
        /// What is wrong.
        why: String,
    },
}
