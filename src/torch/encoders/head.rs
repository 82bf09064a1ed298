//! The MLP on top of the pooled features: two residual blocks, ReLU, and the layer that holds both halves of the posterior.

use tch::Tensor;

use super::super::layers::{Linear, MlpBlock, Scope};
use crate::encoder::HEAD_BLOCKS;

#[derive(Debug)]
pub(super) struct Head {
    blocks: Vec<MlpBlock>,
    out: Linear,
}

impl Head {
    pub fn new(scope: &Scope) -> Self {
        // The first block's input is pooled after a ReLU in the ResNet, so it needs none of its own.
        let block = |i: usize| MlpBlock::new(&scope.at("blocks").at(i), i > 0);
        Self {
            blocks: (0..HEAD_BLOCKS).map(block).collect(),
            out: Linear::new(&scope.at("out")),
        }
    }

    /// `[N, F]` to `[N, 2 Z]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = x.shallow_clone();
        for block in &self.blocks {
            x = block.forward(&x);
        }
        self.out.forward(&x.relu())
    }
}
