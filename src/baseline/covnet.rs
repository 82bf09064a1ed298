//! COVNet, Li et al. 2020 (doi:10.1148/radiol.2020200905).

use super::{BaselineError, LayerFacts, Shapes};
use serde::{Deserialize, Serialize};

use crate::encoder::{EncoderConfig, ResNet50ImageNet};

/// An encoder shared over the axial slices of a scan, the largest of each feature over the slices, one linear layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CovNet {
    /// The encoder, whose pooled features are taken. Default: `resnet50-imagenet`, as in the paper; its `weights` are what the
    /// training starts from.
    pub trunk: EncoderConfig,
    /// Every so many slices along D is looked at. Default: 1, all of them.
    pub every: usize,
}

impl Default for CovNet {
    fn default() -> Self {
        Self {
            trunk: EncoderConfig::ResNet50ImageNet(ResNet50ImageNet::default()),
            every: 1,
        }
    }
}

impl CovNet {
    pub(super) fn check(&self, size: [usize; 3]) -> Result<(), BaselineError> {
        let _ = size;
        Ok(())
    }

    pub(super) fn tensors(&self) -> Result<Shapes, BaselineError> {
        Ok(Shapes::new())
    }

    pub(super) fn layers(&self, size: [usize; 3]) -> Result<Vec<LayerFacts>, BaselineError> {
        let _ = size;
        Ok(Vec::new())
    }
}
