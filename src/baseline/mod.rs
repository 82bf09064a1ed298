//! SHELF: classifiers of whole scans, in words: which network, its sizes, the names of its tensors, what it keeps in memory.
//! Knows no tensors; `torch::baselines` computes what stands here.
//!
//! Every network takes scans `[N, 1, D, H, W]` and gives two numbers a scan, `[N, 2]`, for the negative and the positive class; their
//! softmax is the probability.

mod covnet;
mod error;
mod free;
mod layers;
mod plan;
mod pu;
mod resnet3d;
mod trunk;

use serde::{Deserialize, Serialize};

#[cfg(feature = "torch")]
pub(crate) use self::resnet3d::Block;
pub use self::{
    covnet::{CovNet, TRUNK},
    error::BaselineError,
    free::free_memory,
    layers::{LayerFacts, Made},
    plan::{MemoryLimit, MemoryPlan, Proposal},
    pu::Pu,
    resnet3d::ResNet3d,
    trunk::encoder_layers,
};

use crate::encoder::EncoderConfig;

/// Numbers a scan that every network gives: for the negative and the positive class.
pub const CLASSES: usize = 2;

/// Names of tensors and their shapes.
pub type Shapes = Vec<(String, Vec<usize>)>;

/// A network and its sizes, as the `[network]` table of a recipe names them.
///
/// ```
/// use hounsfield::baseline::BaselineConfig;
/// let network: BaselineConfig = toml::from_str("kind = 'pu-a'\nfilters = [8, 16]")?;
/// assert_eq!(network.kind(), "pu-a");
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum BaselineConfig {
    /// Model A of Pu et al. 2020.
    #[serde(rename = "pu-a", deserialize_with = "Pu::model_a")]
    PuA(Pu),
    /// Model B of Pu et al. 2020: with fewer filters than A, which is our choice.
    #[serde(rename = "pu-b", deserialize_with = "Pu::model_b")]
    PuB(Pu),
    /// Model C of Pu et al. 2020: no dropout.
    #[serde(rename = "pu-c", deserialize_with = "Pu::model_c")]
    PuC(Pu),
    /// COVNet of Li et al. 2020: a 2D encoder shared over the slices, the largest of each feature over the scan, one linear layer.
    #[serde(rename = "covnet")]
    CovNet(CovNet),
    /// A residual network of 3D convolutions with 18 layers.
    #[serde(rename = "resnet3d-18")]
    ResNet3d(ResNet3d),
}

/// Where a network runs: levels of 3D networks are one operation on a processor, and several elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// The processor.
    #[default]
    Processor,
    /// A graphics card.
    Card,
}

impl BaselineConfig {
    /// All kinds, as recipes name them.
    pub const KINDS: [&str; 5] = ["pu-a", "pu-b", "pu-c", "covnet", "resnet3d-18"];

    /// The network of this name with its default sizes.
    pub fn named(kind: &str) -> Option<Self> {
        match kind {
            "pu-a" => Some(Self::PuA(Pu::a())),
            "pu-b" => Some(Self::PuB(Pu::b())),
            "pu-c" => Some(Self::PuC(Pu::c())),
            "covnet" => Some(Self::CovNet(CovNet::default())),
            "resnet3d-18" => Some(Self::ResNet3d(ResNet3d::default())),
            _ => None,
        }
    }

    /// The name in a recipe.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PuA(_) => "pu-a",
            Self::PuB(_) => "pu-b",
            Self::PuC(_) => "pu-c",
            Self::CovNet(_) => "covnet",
            Self::ResNet3d(_) => "resnet3d-18",
        }
    }

    /// Whether its last layers are maps over the scan, which Grad-CAM looks at; a transformer's class token is the mean of none.
    pub fn has_maps(&self) -> bool {
        !matches!(self, Self::CovNet(covnet) if matches!(covnet.trunk, EncoderConfig::DinoV2(_)))
    }

    /// Whether the sizes make a network of scans of this size.
    ///
    /// # Errors
    ///
    /// A sentence with both numbers.
    pub fn check(&self, size: [usize; 3]) -> Result<(), BaselineError> {
        match self {
            Self::PuA(config) | Self::PuB(config) | Self::PuC(config) => config.check(size),
            Self::CovNet(config) => config.check(size),
            Self::ResNet3d(config) => config.check(size),
        }
    }

    /// The tensors of the network for scans `[D, H, W]` of this size, by PyTorch's names.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub fn expected_tensors(&self, size: [usize; 3]) -> Result<Shapes, BaselineError> {
        self.check(size)?;
        match self {
            Self::PuA(config) | Self::PuB(config) | Self::PuC(config) => Ok(config.tensors(size)),
            Self::CovNet(config) => config.tensors(),
            Self::ResNet3d(config) => Ok(config.tensors()),
        }
    }

    /// What each layer gives and keeps on a processor, from the first to the last.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub fn layers(&self, size: [usize; 3]) -> Result<Vec<LayerFacts>, BaselineError> {
        self.layers_on(Place::Processor, size)
    }

    /// What each layer gives and keeps, from the first to the last.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub fn layers_on(&self, place: Place, size: [usize; 3]) -> Result<Vec<LayerFacts>, BaselineError> {
        self.check(size)?;
        match self {
            Self::PuA(config) | Self::PuB(config) | Self::PuC(config) => Ok(config.layers(place, size)),
            Self::CovNet(config) => config.layers(size),
            Self::ResNet3d(config) => Ok(config.layers(size)),
        }
    }
}
