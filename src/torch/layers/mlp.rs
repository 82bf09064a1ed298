//! Linear layers and the two-layer residual block of the MLPs.

use tch::Tensor;

use super::Scope;

/// A linear layer with bias.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Reads `weight` `[O, F]` and `bias` `[O]` at `scope`.
    pub fn new(scope: &Scope) -> Self {
        Self {
            weight: scope.tensor("weight"),
            bias: scope.tensor("bias"),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[N, F]`
    /// - output: `[N, O]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
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
