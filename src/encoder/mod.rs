//! Which network turns a slice into features: the `[encoder]` table of a recipe. Knows no tensors.
//!
//! Both networks are the encoders of BigBiGAN, <https://arxiv.org/abs/1907.02544>, as published in the TensorFlow Hub
//! modules `deepmind/bigbigan-resnet50/1` and `deepmind/bigbigan-revnet50x4/1`. What the sources leave open is a
//! switch, see [`Switches`].

mod architecture;
mod config;
mod layer;
mod pickle;

pub use architecture::{Architecture, Family, HEAD_BLOCKS, IMAGE_CHANNELS, PREFIX};
pub use config::{
    EncoderConfig, HalfOrder, Padding, PoolPad, ResNet50, RevNet50x4, ShortcutFrom, Switches, TinyResNet, TinyRevNet,
    Weights,
};
pub use layer::Layer;
pub use pickle::{PickleError, refuse_pickle, refuse_pickle_name};

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
    /// The trunk halves the image five times.
    #[error("input size {found} of the encoder is not a multiple of 32 from 32 to 4096")]
    InputSize {
        /// Size found.
        found: usize,
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
}
