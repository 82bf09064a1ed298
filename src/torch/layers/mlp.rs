//! Linear layers and the two-layer residual block of the MLPs.

use tch::Tensor;

use super::{super::TorchError, Scope, Weight};

/// A linear layer, with a bias and a spectral norm where its tensors say so.
#[derive(Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

impl Linear {
    /// Reads `weight` `[O, F]` at `scope`, and `bias` and `u`, both `[O]`, where they are there.
    pub fn new(scope: &Scope) -> Self {
        Self {
            weight: Weight::new(scope),
            bias: scope.has("bias").then(|| scope.tensor("bias")),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[N, F]`
    /// - output: `[N, O]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight.value(), self.bias.as_ref())
    }

    /// As [`Linear::forward`], where there may be no memory for it.
    ///
    /// # Errors
    ///
    /// What libtorch says.
    pub fn try_forward(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        Ok(x.f_linear(&self.weight.value(), self.bias.as_ref())?)
    }
}

/// `fc2(relu(fc1(p(x)))) + skip(x)`: `p` is a ReLU where `preactivated`, the skip is linear where the width changes.
#[derive(Debug)]
pub struct MlpBlock {
    preactivated: bool,
    fc1: Linear,
    fc2: Linear,
    shortcut: Option<Linear>,
}

impl MlpBlock {
    /// Reads `fc1`, `fc2` and, where it is there, `shortcut` at `scope`.
    pub fn new(scope: &Scope, preactivated: bool) -> Self {
        let shortcut = scope.at("shortcut");
        Self {
            preactivated,
            fc1: Linear::new(&scope.at("fc1")),
            fc2: Linear::new(&scope.at("fc2")),
            shortcut: shortcut.has("weight").then(|| Linear::new(&shortcut)),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[N, F]`
    /// - output: `[N, O]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let h = if self.preactivated { x.relu() } else { x.shallow_clone() };
        let h = self.fc2.forward(&self.fc1.forward(&h).relu());
        match &self.shortcut {
            Some(shortcut) => h + shortcut.forward(x),
            None => h + x,
        }
    }
}

/// Residual blocks one after the other, then a ReLU. The first block reads its input as it is.
#[derive(Debug)]
pub struct Mlp {
    blocks: Vec<MlpBlock>,
}

impl Mlp {
    /// Reads `blocks.0`, `blocks.1`, ... at `scope`.
    pub fn new(scope: &Scope, blocks: usize) -> Self {
        let block = |i: usize| MlpBlock::new(&scope.at("blocks").at(i), i > 0);
        Self {
            blocks: (0..blocks).map(block).collect(),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[N, F]`
    /// - output: `[N, O]`, not negative
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = x.shallow_clone();
        for block in &self.blocks {
            x = block.forward(&x);
        }
        x.relu()
    }
}
