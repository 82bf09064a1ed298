//! Which network turns a slice into features: the `[encoder]` table of a recipe. Knows no tensors.
//!
//! Four kinds are the encoders of BigBiGAN, <https://arxiv.org/abs/1907.02544>, as published in the TensorFlow Hub
//! modules `deepmind/bigbigan-resnet50/1` and `deepmind/bigbigan-revnet50x4/1`, and small ones of their sort. What the
//! sources leave open is a switch, see [`Switches`]. These can be trained here.
//!
//! The others are what people would use today, to be measured in the same study: [`ResNet50ImageNet`], [`DinoV2`], and
//! whatever can be saved as a [`TorchScript`].

mod architecture;
mod config;
mod dinov2;
mod facts;
mod layer;
mod pickle;
mod pixels;
mod resnet50;
mod script;
mod tensors;

pub use architecture::{Architecture, Family, HEAD_BLOCKS, IMAGE_CHANNELS, PREFIX};
pub use config::{
    EncoderConfig, HalfOrder, Padding, PoolPad, ResNet50, RevNet50x4, ShortcutFrom, Switches, TinyResNet, TinyRevNet,
    Weights,
};
pub use dinov2::DinoV2;
pub use layer::Layer;
pub use pickle::{PickleError, refuse_pickle, refuse_pickle_name};
pub use resnet50::ResNet50ImageNet;
pub use script::{At, ScriptOutput, TorchScript};

/// An encoder that cannot be built as it was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// A size that must be at least one is zero.
    #[error("{field} of the encoder is 0, expected at least 1")]
    Zero {
        /// The setting.
        field: &'static str,
    },
    /// The halves of a reversible unit are squeezed to an eighth of the stage's width.
    #[error("width {width} of a RevNet is not even, expected a multiple of 2")]
    OddWidth {
        /// Width found.
        width: usize,
    },
    /// Trunks halve the image five times, transformers cut it into patches.
    #[error("input size {found} of the encoder is not a multiple of {multiple} from {multiple} to 4096")]
    InputSize {
        /// Size found.
        found: usize,
        /// What it must be a multiple of.
        multiple: usize,
    },
    /// The constant that keeps a batch norm's denominator from zero.
    #[error("bn_eps of the encoder is {found}, expected a number above 0 and below 1")]
    Epsilon {
        /// Value found.
        found: f64,
    },
    /// TensorFlow's SAME max-pool ignores its padding, so there is nothing to choose.
    #[error("pool_pad has no meaning with padding \"same\", which never pads the pool with zeros; leave it out")]
    PoolPad,
    /// A kind that features are only extracted with.
    #[error(
        "encoder `{kind}` extracts features and can't be trained here: train one of {}",
        quoted(EncoderConfig::TRAINABLE)
    )]
    NotTrainable {
        /// The kind.
        kind: &'static str,
    },
    /// A layer that this encoder has not.
    #[error("encoder `{kind}` has no layer `{layer}`: ask for {}", quoted(has))]
    NoLayer {
        /// The kind.
        kind: &'static str,
        /// What was asked for.
        layer: Layer,
        /// Those that it has.
        has: Vec<Layer>,
    },
    /// A mean or standard deviation that is none.
    #[error("`{field}` of the encoder is {found:?}, expected {planes} finite numbers{range}, one for each plane")]
    Pixels {
        /// The setting.
        field: &'static str,
        /// What it is.
        found: Vec<f64>,
        /// How many are needed.
        planes: usize,
        /// What numbers are needed.
        range: &'static str,
    },
    /// One without the other.
    #[error("the encoder has one of `mean` and `std`: give both, or neither for values from -1 to 1")]
    HalfOfPixels,
    /// Images that are neither grey nor coloured.
    #[error("the encoder has {found} planes, expected 1 or 3")]
    Planes {
        /// Number found.
        found: usize,
    },
    /// A script that is not there.
    #[error("encoder `torchscript` can't be random, its weights are part of the script: name its file as `weights`")]
    RandomScript,
    /// A script of which nothing is wanted.
    #[error("`outputs` of encoder `torchscript` is empty: say what it gives, e.g. `embedding = {{ width = 512 }}`")]
    NoOutputs,
    /// Noise belongs to the study's seed.
    #[error(
        "a script's output can't be the layer `z_sample`, whose noise is drawn from the study's seed: call it another, e.g. \
         `z_mean` or `embedding`"
    )]
    ScriptSamples,
    /// One of several outputs without a place.
    #[error(
        "the script has several outputs and `{layer}` has no place among them: say which it is, by number (`at = 0`) or by \
         key (`at = \"features\"`)"
    )]
    OutputNowhere {
        /// The output.
        layer: Layer,
    },
}

/// Names as a message lists them.
fn quoted<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
