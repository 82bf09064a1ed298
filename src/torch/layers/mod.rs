//! The pieces that networks are built of, in plain operators: gradients flow through them, and they are what the fast
//! path is measured against.

mod attention;
mod batch_norm;
mod cond_batch_norm;
mod conv;
mod conv3d;
mod dropout;
mod mlp;
mod norm_pool;
mod spectral_norm;
mod watch;

pub use attention::SelfAttention;
pub use batch_norm::{BatchNorm, Statistics};
pub use cond_batch_norm::CondBatchNorm;
pub use conv::{Conv, max_pool, padding};
pub use conv3d::Conv3d;
pub use dropout::drop_out;
pub use mlp::{Linear, Mlp, MlpBlock};
pub use norm_pool::{conv_norm_relu_pool, norm_relu, norm_relu_pool, pool};
pub use spectral_norm::{Spectral, advance, norm as spectral_norm};
pub use watch::{Entering, Watch};

use tch::{Device, Tensor};

use super::{ffi::Autocast, weights::WeightMap};

/// A place in a map of weights, e.g. `encoder.stages.0`.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    tensors: &'a WeightMap,
    path: String,
    watch: Option<&'a Watch>,
}

impl<'a> Scope<'a> {
    /// The place whose names begin with `path`, all of the map where that is empty. The map must have been checked: a tensor
    /// that is not there is a bug.
    pub fn new(tensors: &'a WeightMap, path: &str) -> Self {
        Self {
            tensors,
            path: path.to_owned(),
            watch: None,
        }
    }

    /// The same place; `watch` sees what enters the batch norms that are built at it and below.
    #[must_use]
    pub fn under(self, watch: Option<&'a Watch>) -> Self {
        Self { watch, ..self }
    }

    /// The place `name` below this one.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            tensors: self.tensors,
            path: self.name(name),
            watch: self.watch,
        }
    }

    fn name(&self, name: impl std::fmt::Display) -> String {
        match self.path.as_str() {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        }
    }

    /// The tensor `leaf` of this place; shares memory with the map's.
    pub fn tensor(&self, leaf: &str) -> Tensor {
        let name = self.name(leaf);
        let found = self.tensors.get(&name);
        found
            .unwrap_or_else(|| panic!("{name} was not checked before the network was built"))
            .shallow_clone()
    }

    /// This place as the watch knows it, where there is one.
    fn site(&self) -> Option<watch::Site> {
        self.watch.map(|watch| watch::Site {
            name: self.path.clone(),
            watch: watch.clone(),
        })
    }

    /// Whether this place has the tensor `leaf`.
    pub fn has(&self, leaf: &str) -> bool {
        self.tensors.contains_key(&self.name(leaf))
    }
}

/// Until it is dropped, operations on a device are in the precision of what they are given, autocast or not.
pub(super) fn as_given(device: Device) -> Autocast {
    Autocast::off(device).expect("to turn autocast off asks for nothing that could be missing")
}

/// A weight as a layer uses it.
#[derive(Debug)]
enum Weight {
    Plain(Tensor),
    Spectral(Spectral),
}

impl Weight {
    /// Reads `weight` at `scope`; where there is a `u` beside it, the weight is divided by its spectral norm.
    fn new(scope: &Scope) -> Self {
        let weight = scope.tensor("weight");
        match scope.has("u") {
            true => Self::Spectral(Spectral::new(weight, scope.tensor("u"))),
            false => Self::Plain(weight),
        }
    }

    fn value(&self) -> Tensor {
        match self {
            Self::Plain(weight) => weight.shallow_clone(),
            Self::Spectral(weight) => weight.normalised(),
        }
    }
}
