//! The MLP on top of the pooled features: two residual blocks, ReLU, and the layer that holds both halves of the posterior.

use tch::Tensor;

use super::super::layers::{Linear, Mlp, Scope};
use crate::encoder::HEAD_BLOCKS;

#[derive(Debug)]
pub(super) struct Head {
    mlp: Mlp,
    out: Linear,
}

impl Head {
    pub fn new(scope: &Scope) -> Self {
        // The first block's input is pooled after a ReLU in the ResNet, so it needs none of its own.
        Self {
            mlp: Mlp::new(scope, HEAD_BLOCKS),
            out: Linear::new(&scope.at("out")),
        }
    }

    /// `[N, F]` to `[N, 2 Z]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.out.forward(&self.mlp.forward(x))
    }
}
