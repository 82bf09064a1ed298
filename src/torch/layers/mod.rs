//! The pieces that networks are built of, in plain operators: gradients flow through them, and they are what the fast
//! path is measured against.

mod batch_norm;
mod conv;
mod mlp;

pub use batch_norm::{BatchNorm, Statistics};
pub use conv::{Conv, max_pool, padding};
pub use mlp::{Linear, MlpBlock};

use tch::Tensor;

use super::weights::WeightMap;

/// A place in a map of weights, e.g. `encoder.stages.0`.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    tensors: &'a WeightMap,
    path: String,
}

impl<'a> Scope<'a> {
    /// The place whose names begin with `path`. The map must have been checked: a tensor that is not there is a bug.
    pub fn new(tensors: &'a WeightMap, path: &str) -> Self {
        Self {
            tensors,
            path: path.to_owned(),
        }
    }

    /// The place `name` below this one.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            tensors: self.tensors,
            path: format!("{}.{name}", self.path),
        }
    }

    /// The tensor `leaf` of this place; shares memory with the map's.
    pub fn tensor(&self, leaf: &str) -> Tensor {
        let name = format!("{}.{leaf}", self.path);
        let found = self.tensors.get(&name);
        found
            .unwrap_or_else(|| panic!("{name} was not checked before the network was built"))
            .shallow_clone()
    }

    /// Whether this place has the tensor `leaf`.
    pub fn has(&self, leaf: &str) -> bool {
        self.tensors.contains_key(&format!("{}.{leaf}", self.path))
    }
}
