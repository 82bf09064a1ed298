//! Models A, B and C of Pu et al. 2020 (doi:10.1007/s00330-020-06956-w, section "Deep learning models").

use super::{BaselineError, LayerFacts, Shapes};
use serde::{Deserialize, Deserializer, Serialize};

/// Levels of convolution, batch norm, ReLU and max pooling, then fully connected layers with dropout between them, and two
/// outputs under a softmax. The paper's figure with the number of filters is not in its text: the sizes are ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pu {
    /// Filters of each level; each level halves all three axes.
    pub filters: Vec<usize>,
    /// Convolutions of each level, 3 x 3 x 3.
    pub convolutions: usize,
    /// Widths of the fully connected layers before the two outputs.
    pub fully_connected: Vec<usize>,
    /// Share of the numbers that is dropped between fully connected layers while training. The paper has 0.5 in models A and B.
    pub dropout: f64,
}

/// What a recipe says; the rest is the model's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    filters: Option<Vec<usize>>,
    convolutions: Option<usize>,
    fully_connected: Option<Vec<usize>>,
    dropout: Option<f64>,
}

impl Pu {
    /// Model A.
    pub fn a() -> Self {
        Self {
            filters: vec![16, 32, 64, 128, 256],
            convolutions: 1,
            fully_connected: vec![128, 64],
            dropout: 0.5,
        }
    }

    /// Model B.
    pub fn b() -> Self {
        Self {
            filters: vec![8, 16, 32, 64, 128],
            ..Self::a()
        }
    }

    /// Model C.
    pub fn c() -> Self {
        Self {
            filters: vec![16, 16, 32, 32, 64],
            convolutions: 1,
            fully_connected: vec![64],
            dropout: 0.0,
        }
    }

    pub(super) fn model_a<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stated::deserialize(deserializer).map(|stated| stated.over(Self::a()))
    }

    pub(super) fn model_b<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stated::deserialize(deserializer).map(|stated| stated.over(Self::b()))
    }

    pub(super) fn model_c<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stated::deserialize(deserializer).map(|stated| stated.over(Self::c()))
    }
}

impl Stated {
    fn over(self, model: Pu) -> Pu {
        Pu {
            filters: self.filters.unwrap_or(model.filters),
            convolutions: self.convolutions.unwrap_or(model.convolutions),
            fully_connected: self.fully_connected.unwrap_or(model.fully_connected),
            dropout: self.dropout.unwrap_or(model.dropout),
        }
    }
}

impl Pu {
    pub(super) fn check(&self, size: [usize; 3]) -> Result<(), BaselineError> {
        let _ = size;
        Ok(())
    }

    pub(super) fn tensors(&self, size: [usize; 3]) -> Shapes {
        let _ = size;
        Shapes::new()
    }

    pub(super) fn layers(&self, size: [usize; 3]) -> Vec<LayerFacts> {
        let _ = size;
        Vec::new()
    }
}
