//! LeJEPA, Balestriero and LeCun 2025, <https://arxiv.org/abs/2511.08544>: views of one image have one embedding, and
//! embeddings are standard normal. No teacher, no stopped gradient, no moving average.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::{
    super::{
        TorchError,
        device::autocast,
        encoders::Encoder,
        layers::Statistics,
        sigreg,
        train::Tape,
        weights::{self, WeightMap},
    },
    Method, Numbers, Setting, noise, read,
    trained::{Trained, check_state, for_use, on_cpu, stand, with},
};
use crate::{encoder::IMAGE_CHANNELS, method};

/// The encoder in training.
#[derive(Debug)]
pub struct LeJepa {
    config: method::LeJepa,
    setting: Setting,
    z_dim: i64,
    encoder: Encoder,
    e: Trained,
}
