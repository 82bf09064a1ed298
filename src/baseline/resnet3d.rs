//! A residual network of 3D convolutions with 18 layers, Hara et al. 2018, <https://arxiv.org/abs/1711.09577>.

use super::{BaselineError, LayerFacts, Shapes};
use serde::{Deserialize, Serialize};

/// A 7 x 7 x 7 convolution and max pooling, four stages of two basic blocks, the mean over the scan, one linear layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet3d {
    /// Filters of the first stage; each further stage has twice as many. Default: 64.
    pub width: usize,
}

impl Default for ResNet3d {
    fn default() -> Self {
        Self { width: 64 }
    }
}

impl ResNet3d {
    pub(super) fn check(&self, size: [usize; 3]) -> Result<(), BaselineError> {
        let _ = size;
        Ok(())
    }

    pub(super) fn tensors(&self) -> Shapes {
        Shapes::new()
    }

    pub(super) fn layers(&self, size: [usize; 3]) -> Vec<LayerFacts> {
        let _ = size;
        Vec::new()
    }
}
