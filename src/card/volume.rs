//! The card of a volume classifier: the file `classifier.toml` that stands beside trained weights and says how to use them.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Training;
use crate::{baseline::BaselineConfig, transforms::ScanInput};

/// The card's name in the folder of its weights.
pub const CLASSIFIER: &str = "classifier.toml";

/// What a trained volume classifier is and how it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierCard {
    /// Version of this format.
    pub schema: u32,
    /// What it is called; the name of its column of scores.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Under what terms it may be used.
    pub licence: String,
    /// Label of the positive class.
    pub positive: String,
    /// Labels of the negative class; all others where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative: Option<Vec<String>>,
    /// The file of weights beside the card.
    pub weights: PathBuf,
    /// SHA-256 of every file beside the card, by its name.
    pub sha256: BTreeMap<String, String>,
    /// Scores from here on are called positive: chosen on the validation set; none where there was none of both classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Why the training must be taken for one that did not converge; none where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_converged: Option<String>,
    /// The network.
    pub network: BaselineConfig,
    /// What a scan must go through.
    pub input: ScanInput,
    /// How it was trained.
    pub training: Training,
}
