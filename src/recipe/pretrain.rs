//! The TOML file of a pretraining: whose slices, which encoder, which method, how long, and what to look at meanwhile.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CohortSection, FetchedFrom, RecipeError, read_recipe};
use crate::{
    cohort::Columns,
    encoder::{EncoderConfig, Layer, Weights},
    method::{MethodConfig, Precision},
    transforms::{Augment, Preprocess},
};

/// A whole pretraining, as its file says it. Paths are relative to the recipe's folder and are kept as they are written, so
/// that a run can be moved with its recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrain {
    /// What the encoder is to be called; the file's name where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Every random draw comes from this, each purpose by a stream of its own.
    #[serde(default)]
    pub seed: u64,
    /// Whose slices. Labels are only looked at by the held-out probe, never by the method.
    pub cohort: CohortSection,
    /// Which of them are trained on.
    #[serde(default)]
    pub data: DataSection,
    /// From a slice to network input. Default: `standard`, lung window.
    #[serde(default)]
    pub preprocess: Preprocess,
    /// The encoder that comes out; its `weights` are what the training starts from.
    pub encoder: EncoderConfig,
    /// How it is trained.
    pub method: MethodConfig,
    /// What happens to a slice each time that it is seen. Default: nothing.
    #[serde(default)]
    pub augment: Augment,
    /// How long, and how it is computed.
    pub train: TrainSection,
    /// What is kept for going on.
    #[serde(default)]
    pub checkpoint: CheckpointSection,
    /// What is looked at meanwhile.
    #[serde(default)]
    pub watch: WatchSection,
}

/// The files that a training starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFiles {
    /// The encoder's weights; `None` for random ones.
    pub encoder: Option<PathBuf>,
    /// The other networks' weights, or all networks'.
    pub networks: Option<PathBuf>,
    /// What of it came from the hub.
    pub fetched: Vec<FetchedFrom>,
}

/// `[data]`: which slices of the cohort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// Sites that are trained on; all others are not touched. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sites: Option<Vec<String>>,
    /// Share of the patients of these sites that is held out, whole, to watch the training with. Default: 0.1.
    pub holdout: f64,
    /// Decoded slices are kept in memory up to so many MB, and decoded anew each time beyond. Default: 4096.
    pub memory_mb: usize,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            sites: None,
            holdout: 0.1,
            memory_mb: 4096,
        }
    }
}

/// `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSection {
    /// Steps of the encoder's optimiser.
    pub steps: u64,
    /// Slices a batch.
    pub batch: usize,
    /// `float32` or `bf16`. Default: `float32`.
    #[serde(default)]
    pub precision: Precision,
    /// Whether activations are computed again when gradients are wanted instead of being kept: less memory, more time.
    /// Default: no.
    #[serde(default)]
    pub recompute: bool,
}

/// `[checkpoint]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSection {
    /// Steps between two checkpoints. Default: 500.
    pub every: u64,
    /// How many of the last ones are kept, besides the best. Default: 2.
    pub keep: usize,
}

impl Default for CheckpointSection {
    fn default() -> Self {
        Self { every: 500, keep: 2 }
    }
}

/// `[watch]`: what is written while the training runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchSection {
    /// Steps between two lines of `metrics.jsonl`, each the mean over the steps since the last. Default: 20.
    pub log_every: u64,
    /// Steps between two sheets of pictures; 0 for none. Default: 500.
    pub sheets_every: u64,
    /// Steps between two looks at the encoder: probe, reconstructions, distances of images; 0 for none. Default: 500.
    pub evaluate_every: u64,
    /// The layer that the held-out probe reads. Default: `avepool_feat`.
    pub features: Layer,
    /// Slices (of the training and of the held-out set, each at most) that a look takes. Default: 1000.
    pub slices: usize,
    /// The number that tells the best encoder and ends the training early. Default: `probe_auc` where there are labels, else
    /// `reconstruction_l1` where there is a generator, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// Looks without a better one after which the training ends; 0 for never. Default: 0.
    pub patience: usize,
}

impl Default for WatchSection {
    fn default() -> Self {
        Self {
            log_every: 20,
            sheets_every: 500,
            evaluate_every: 500,
            features: Layer::AvepoolFeat,
            slices: 1000,
            best: None,
            patience: 0,
        }
    }
}

/// What an encoder can be chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Best {
    /// AUC of a logistic regression on held-out patients; the higher the better.
    ProbeAuc,
    /// Mean absolute difference of held-out slices and their reconstructions; the lower the better.
    ReconstructionL1,
    /// Kernel distance of drawn and held-out slices in the encoder's own features; the lower the better.
    Kid,
}

impl Best {
    /// The name in recipes and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProbeAuc => "probe_auc",
            Self::ReconstructionL1 => "reconstruction_l1",
            Self::Kid => "kid",
        }
    }

    /// Whether `new` is better than `old`.
    pub fn improves(self, new: f64, old: Option<f64>) -> bool {
        match (self, old) {
            (_, None) => new.is_finite(),
            (Self::ProbeAuc, Some(old)) => new > old,
            (_, Some(old)) => new < old,
        }
    }
}

impl Pretrain {
    /// Reads a recipe and applies overrides such as `train.steps=100`.
    ///
    /// # Errors
    ///
    /// Whatever is not understood, with line and caret; nothing is ignored.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        let recipe: Self = read_recipe(path, overrides)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The meaning of the cohort table's columns.
    pub fn columns(&self) -> Columns {
        self.cohort.columns(None)
    }

    /// The files that the training starts from, in the recipe's folder or from the hub.
    ///
    /// # Errors
    ///
    /// An address on the hub that can't be fetched.
    pub fn start(&self, folder: &Path) -> Result<StartFiles, RecipeError> {
        let mut fetched = Vec::new();
        let mut find = |key, path: &Path| -> Result<PathBuf, RecipeError> {
            let Some((file, from)) = FetchedFrom::file(key, self.encoder.kind(), path)? else {
                return Ok(folder.join(path));
            };
            fetched.push(from);
            Ok(file)
        };
        let encoder = match self.encoder.weights() {
            Weights::Random => None,
            Weights::File(path) => Some(find("encoder.weights", path)?),
        };
        let networks = self.method.networks().map(|path| find("method.networks", path));
        Ok(StartFiles {
            encoder,
            networks: networks.transpose()?,
            fetched,
        })
    }

    /// Slices that a step takes, each as often as it is taken; views of one slice count once.
    pub fn images_per_step(&self) -> u64 {
        (self.method.appetite().batches * self.train.batch) as u64
    }

    /// What an encoder is chosen by.
    pub fn best(&self) -> Option<Best> {
        let labels = self.cohort.positive.as_ref().map(|_| Best::ProbeAuc);
        let generator = matches!(self.method, MethodConfig::BigBiGan(_)).then_some(Best::ReconstructionL1);
        self.watch.best.or(labels).or(generator)
    }

    fn check(&self) -> Result<(), RecipeError> {
        let refuse = |what: String| Err(RecipeError::Inconsistent { what });
        for (key, value) in [
            ("cohort.table", self.cohort.table.is_some()),
            ("cohort.path", self.cohort.path.is_some()),
            ("cohort.patient", self.cohort.patient.is_some()),
        ] {
            if !value {
                return refuse(format!(
                    "`{key}` is missing: a training needs a table of slices with a column of paths and one of patients"
                ));
            }
        }
        if self.cohort.positive.is_some() && self.cohort.label.is_none() {
            return refuse(
                "`cohort.positive` is given without `cohort.label`: name the column of the labels".to_owned(),
            );
        }
        if self.data.sites.is_some() && self.cohort.site.is_none() {
            return refuse("`data.sites` is given without `cohort.site`: name the column of the sites".to_owned());
        }
        if !(0.0..1.0).contains(&self.data.holdout) {
            return refuse(format!(
                "`data.holdout` is {}, a share from 0 to below 1 is needed",
                self.data.holdout
            ));
        }
        let architecture = self.encoder.architecture().map_err(|error| RecipeError::Inconsistent {
            what: format!("`[encoder]`: {error}"),
        })?;
        self.encoder
            .width(self.watch.features)
            .map_err(|error| RecipeError::Inconsistent {
                what: format!("`watch.features`: {error}"),
            })?;
        self.method
            .check(&architecture)
            .map_err(|error| RecipeError::Inconsistent {
                what: error.to_string(),
            })?;
        if matches!(self.method, MethodConfig::BigBiGan(_)) && self.preprocess.planes() > 1 {
            return refuse(format!(
                "`preprocess.windows` has {} windows, but the generator of `bigbigan` draws grey slices: name one window, or \
                 train by `lejepa`",
                self.preprocess.planes()
            ));
        }
        self.augment.check().map_err(|error| RecipeError::Inconsistent {
            what: format!("`augment`: {error}"),
        })?;
        for (key, value) in [
            ("train.steps", self.train.steps),
            ("train.batch", self.train.batch as u64),
            ("checkpoint.every", self.checkpoint.every),
            ("checkpoint.keep", self.checkpoint.keep as u64),
            ("watch.log_every", self.watch.log_every),
            ("watch.slices", self.watch.slices as u64),
        ] {
            if value == 0 {
                return refuse(format!("`{key}` is 0, at least 1 is needed"));
            }
        }
        if self.train.batch < 2 {
            return refuse(
                "`train.batch` is 1, at least 2 are needed: batch norms compare the slices of a batch".to_owned(),
            );
        }
        let needs = match self.watch.best {
            Some(Best::ProbeAuc) if self.cohort.positive.is_none() => {
                "labels: set `cohort.label` and `cohort.positive`"
            }
            Some(Best::ReconstructionL1 | Best::Kid) if !matches!(self.method, MethodConfig::BigBiGan(_)) => {
                "a generator, which this method has not"
            }
            Some(_) if self.data.holdout == 0.0 => "held-out patients: set `data.holdout` above 0",
            None if self.watch.patience > 0 && self.best().is_none() => "something to choose by",
            _ => return Ok(()),
        };
        refuse(format!("`watch.best` needs {needs}"))
    }
}
