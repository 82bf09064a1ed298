//! The pre-activation bottleneck that both trunks are made of, <https://arxiv.org/abs/1603.05027>.

use tch::Tensor;

use super::super::layers::{BatchNorm, Conv, Scope, Statistics};
use crate::encoder::Architecture;

/// BN-ReLU-1x1, BN-ReLU-3x3 (strided), BN-ReLU-1x1.
#[derive(Debug)]
pub(super) struct Bottleneck {
    pub bn1: BatchNorm,
    conv1: Conv,
    bn2: BatchNorm,
    conv2: Conv,
    bn3: BatchNorm,
    conv3: Conv,
}

impl Bottleneck {
    pub fn new(scope: &Scope, stride: i64, net: &Architecture) -> Self {
        let bn = |name: &str| BatchNorm::new(&scope.at(name), net.bn_eps);
        Self {
            bn1: bn("bn1"),
            conv1: Conv::new(&scope.at("conv1"), 1, net.padding),
            bn2: bn("bn2"),
            conv2: Conv::new(&scope.at("conv2"), stride, net.padding),
            bn3: bn("bn3"),
            conv3: Conv::new(&scope.at("conv3"), 1, net.padding),
        }
    }

    /// The unit's input after its first batch norm and ReLU.
    pub fn preactivate(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        self.bn1.forward(x, statistics).relu_()
    }

    /// The rest of the branch, from what [`Bottleneck::preactivate`] gave.
    pub fn branch(&self, a: &Tensor, statistics: Statistics) -> Tensor {
        let h = self.conv1.forward(a);
        let h = self.conv2.forward(&self.bn2.forward(&h, statistics).relu_());
        self.conv3.forward(&self.bn3.forward(&h, statistics).relu_())
    }
}
