//! Learning rates that fall, and trainings that end, when a number on the validation set gets no better.

use serde::{Deserialize, Serialize};

/// When the learning rate falls and when the training ends. Defaults: those of Pu et al. 2020; the rules are those of PyTorch's
/// `ReduceLROnPlateau`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// The number that is watched. Default: `auc`.
    pub metric: PlateauMetric,
    /// What the learning rate is multiplied by. Default: 0.2.
    pub factor: f64,
    /// Epochs without a better number after which the rate falls. Default: 3.
    pub patience: usize,
    /// Epochs without a better number after which the training ends; 0 for never. Default: 10.
    pub stop: usize,
    /// A number is better when it is so by more than this. Default: 1e-4.
    pub threshold: f64,
    /// Whether `threshold` is a share of the best number or a difference. Default: `rel`, as PyTorch's.
    pub threshold_mode: ThresholdMode,
    /// Epochs after a fall in which none is counted. Default: 0.
    pub cooldown: usize,
    /// The rate never falls below. Default: 0.
    pub min_lr: f64,
}

/// What is watched on the validation set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlateauMetric {
    /// The AUC over patients; higher is better.
    #[default]
    Auc,
    /// The mean loss over scans; lower is better.
    Loss,
}

/// What a threshold is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdMode {
    /// A share of the best number.
    #[default]
    Rel,
    /// A difference from it.
    Abs,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            metric: PlateauMetric::Auc,
            factor: 0.2,
            patience: 3,
            stop: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
        }
    }
}
