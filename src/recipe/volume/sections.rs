//! The tables of a volume classifier's recipe.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::BootstrapSection;
use crate::{
    eval::{AssessPlan, ThresholdRule, Unit},
    method::Precision,
    stats::Pooling,
};

/// `[train]`. Defaults: those of Pu et al. 2020 where the paper has any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierSection {
    /// Passes over the training scans, at most. Default: 200.
    pub epochs: usize,
    /// Scans of one step of the optimiser. Default: 8.
    pub batch: usize,
    /// Scans that pass the network together; the gradients of a step are summed over such parts. Fewer need less memory, but each
    /// part has batch-norm statistics of its own. Default: the whole batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<usize>,
    /// Learning rate of Adam at the start. Default: 1e-3.
    pub lr: f64,
    /// Decoupled weight decay. Default: 0.
    pub weight_decay: f64,
    /// Largest norm of the gradient; 0 for any. Default: 0.
    pub clip: f64,
    /// `float32` or `bf16`. Default: `float32`.
    pub precision: Precision,
    /// Whether activations are computed again when gradients are wanted instead of being kept. Default: no.
    pub recompute: bool,
    /// How much scans of each class count. Default: `balanced`.
    pub class_weights: ClassWeights,
    /// How much each scan of a patient counts. Default: `per-patient`.
    pub scan_weights: ScanWeights,
    /// Memory that the training may take, in MB. Default: what the machine has free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<usize>,
    /// Folder of prepared scans; trainings with the same `[input]` share it. Default: `runs/.scans` beside the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl Default for ClassifierSection {
    fn default() -> Self {
        Self {
            epochs: 200,
            batch: 8,
            part: None,
            lr: 1e-3,
            weight_decay: 0.0,
            clip: 0.0,
            precision: Precision::Float32,
            recompute: false,
            class_weights: ClassWeights::Balanced,
            scan_weights: ScanWeights::PerPatient,
            memory_mb: None,
            cache: None,
        }
    }
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    expecting = "expected `train.class_weights` to be \"balanced\", \"none\" or [NEGATIVE, POSITIVE], two numbers"
)]
pub enum ClassWeights {
    /// Both classes of the training set as much as each other.
    #[default]
    Balanced,
    /// Every scan as much as any other.
    None,
    /// These, of the negative and the positive class.
    #[serde(untagged)]
    Given([f64; 2]),
}

/// How much each scan of a patient counts in the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanWeights {
    /// All scans of a patient together as much as one scan of another.
    #[default]
    PerPatient,
    /// Every scan as much as any other.
    Equal,
}

/// `[checkpoint]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierCheckpoints {
    /// Steps between two checkpoints inside of an epoch; one follows every epoch. Default: 50.
    pub every: u64,
    /// How many of the last ones are kept, besides the best. Default: 2.
    pub keep: usize,
}

impl Default for ClassifierCheckpoints {
    fn default() -> Self {
        Self { every: 50, keep: 2 }
    }
}

/// `[evaluate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VolumeEvaluation {
    /// What one score is of: `patient` or `scan`. Default: `patient`.
    pub unit: Unit,
    /// How the scores of a patient's scans become one. Default: `mean`.
    pub pool: Pooling,
    /// How the decision threshold is chosen on the validation set.
    pub threshold: ThresholdRule,
    /// How intervals are made.
    pub bootstrap: BootstrapSection,
    /// The sensitivity at which the specificity is asked for. Default: 0.98, as in Pu et al. 2020.
    pub sensitivity: f64,
    /// The prevalence at which predictive values are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prevalence: Option<f64>,
    /// Other scores of the same patients to compare with, e.g. the `predictions.parquet` of a study or of another network.
    pub against: Vec<PathBuf>,
}

impl Default for VolumeEvaluation {
    fn default() -> Self {
        let plan = AssessPlan::default();
        Self {
            unit: Unit::default(),
            pool: Pooling::default(),
            threshold: ThresholdRule::default(),
            bootstrap: BootstrapSection::default(),
            sensitivity: plan.sensitivity,
            prevalence: None,
            against: Vec::new(),
        }
    }
}

/// `[maps]`: pictures of where the network looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MapsSection {
    /// Scans of each set but the training set that are drawn. Default: 4.
    pub scans: usize,
    /// Whether occlusion maps are made too, which take one pass of the network for every place of the cube. Default: no.
    pub occlusion: bool,
    /// Side of the cube that hides a part of the scan, in voxels. Default: an eighth of the longest axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cube: Option<usize>,
}

impl Default for MapsSection {
    fn default() -> Self {
        Self {
            scans: 4,
            occlusion: false,
            cube: None,
        }
    }
}
