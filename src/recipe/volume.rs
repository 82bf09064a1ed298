//! The TOML file of a volume classifier: whose scans, how they are split, which network, how it is trained and measured.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BootstrapSection, CohortSection, FetchedFrom, RecipeError, read_recipe, read_text};
use crate::{
    baseline::BaselineConfig,
    cohort::{Columns, SplitPlan, SplitUnit},
    encoder::Weights,
    eval::{AssessPlan, ThresholdRule, Unit},
    method::{Plateau, Precision},
    stats::Pooling,
    transforms::{ScanAugment, ScanInput},
};

/// A whole training of a volume classifier, as its file says it. Paths are relative to the recipe's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainVolume {
    /// What the classifier is to be called; the file's name where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Every random draw comes from this, each purpose by a stream of its own.
    #[serde(default)]
    pub seed: u64,
    /// Whose scans, one row a scan, or one row a slice and a column of scans.
    pub cohort: CohortSection,
    /// How patients are split: `holdout` or `column`, with a validation set. The same patients, labels and seed give the split of a
    /// study of slices.
    pub split: SplitPlan,
    /// From a scan to the network's input.
    #[serde(default)]
    pub input: ScanInput,
    /// The network.
    pub network: BaselineConfig,
    /// What happens to a scan each time that it is seen. Default: nothing.
    #[serde(default)]
    pub augment: ScanAugment,
    /// How long, and how it is computed.
    #[serde(default)]
    pub train: ClassifierSection,
    /// When the learning rate falls and the training ends.
    #[serde(default)]
    pub plateau: Plateau,
    /// What is kept for going on.
    #[serde(default)]
    pub checkpoint: ClassifierCheckpoints,
    /// How scores are measured.
    #[serde(default)]
    pub evaluate: VolumeEvaluation,
    /// Where the network looks.
    #[serde(default)]
    pub maps: MapsSection,
}

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
#[serde(rename_all = "kebab-case")]
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

impl TrainVolume {
    /// Reads a recipe and applies overrides such as `train.epochs=20`.
    ///
    /// # Errors
    ///
    /// Whatever is not understood, with line and caret; nothing is ignored.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        let recipe: Self = read_recipe(path, overrides)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Whether a file is a recipe of this kind: no other has a `network`.
    ///
    /// # Errors
    ///
    /// [`RecipeError::Read`].
    pub fn is_told_by(path: &Path) -> Result<bool, RecipeError> {
        let keys = toml::from_str::<toml::Table>(&read_text(path)?);
        Ok(keys.is_ok_and(|keys| keys.contains_key("network")))
    }

    /// The meaning of the cohort table's columns.
    pub fn columns(&self) -> Columns {
        self.cohort.columns(self.split.column().map(str::to_owned))
    }

    /// The file of weights that the trunk of COVNet starts from, in the recipe's folder or from the hub; `None` for random ones.
    ///
    /// # Errors
    ///
    /// An address on the hub that can't be fetched.
    pub fn start(&self, folder: &Path) -> Result<(Option<PathBuf>, Option<FetchedFrom>), RecipeError> {
        let BaselineConfig::CovNet(network) = &self.network else {
            return Ok((None, None));
        };
        let Weights::File(path) = network.trunk.weights() else {
            return Ok((None, None));
        };
        Ok(
            match FetchedFrom::file("network.trunk.weights", network.trunk.kind(), path)? {
                Some((file, from)) => (Some(file), Some(from)),
                None => (Some(folder.join(path)), None),
            },
        )
    }

    /// Whether the settings make a training.
    ///
    /// # Errors
    ///
    /// The first setting that does not fit, with what would.
    pub fn check(&self) -> Result<(), RecipeError> {
        self.check_cohort()?;
        self.check_split()?;
        let words = |error: &dyn std::fmt::Display, key: &str| RecipeError::Inconsistent {
            what: format!("`{key}`: {error}"),
        };
        self.input.check().map_err(|error| words(&error, "input"))?;
        self.network
            .check(self.input.size)
            .map_err(|error| words(&error, "network"))?;
        self.augment.check().map_err(|error| words(&error, "augment"))?;
        self.check_numbers()
    }

    fn check_cohort(&self) -> Result<(), RecipeError> {
        let cohort = &self.cohort;
        for (key, there) in [
            ("table", cohort.table.is_some()),
            ("path", cohort.path.is_some()),
            ("patient", cohort.patient.is_some()),
            ("label", cohort.label.is_some()),
            ("positive", cohort.positive.is_some()),
        ] {
            if !there {
                return refuse(format!(
                    "`cohort.{key}` is missing: a classifier of scans needs a table with columns of paths, patients and labels, and \
                     the label that it is to find"
                ));
            }
        }
        Ok(())
    }

    fn check_split(&self) -> Result<(), RecipeError> {
        if self.split.unit() != SplitUnit::Patient {
            return refuse(
                "`split.unit` is not `patient`: scans of one patient on both sides would be known by heart; leave it out".to_owned(),
            );
        }
        match &self.split {
            SplitPlan::Folds { .. } | SplitPlan::NestedCv { .. } => refuse(
                "`split.kind` has folds, and a classifier of scans is trained once: use `holdout` or `column`, with a validation set; \
                 for folds write one column of sets each and train as often"
                    .to_owned(),
            ),
            SplitPlan::Holdout { fractions, .. } if fractions.validation <= 0.0 => refuse(
                "`split.fractions.validation` is 0: the learning rate, the best epoch and the threshold are chosen on a validation set"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), RecipeError> {
        let (train, evaluate) = (&self.train, &self.evaluate);
        for (key, value) in [
            ("train.epochs", Some(train.epochs)),
            ("train.batch", Some(train.batch)),
            ("train.part", train.part),
            ("train.memory_mb", train.memory_mb),
            ("checkpoint.every", usize::try_from(self.checkpoint.every).ok()),
            ("checkpoint.keep", Some(self.checkpoint.keep)),
            ("evaluate.bootstrap.resamples", Some(evaluate.bootstrap.resamples)),
            ("maps.cube", self.maps.cube),
        ] {
            if value == Some(0) {
                return refuse(format!("`{key}` is 0, at least 1 is needed"));
            }
        }
        if let Some(part) = train.part.filter(|part| *part > train.batch) {
            return refuse(format!(
                "`train.part` is {part}, at most the {} scans of `train.batch` pass together",
                train.batch
            ));
        }
        let above_0 = |value: f64| value > 0.0 && value.is_finite();
        let not_below_0 = |value: f64| value >= 0.0 && value.is_finite();
        let weights = match train.class_weights {
            ClassWeights::Given(weights) => weights,
            _ => [1.0; 2],
        };
        let share = |value: f64| above_0(value) && value <= 1.0;
        for (key, value, sound, expected) in [
            ("train.lr", train.lr, above_0(train.lr), "a number above 0"),
            (
                "train.weight_decay",
                train.weight_decay,
                not_below_0(train.weight_decay) && train.weight_decay * train.lr < 1.0,
                "0 or more, below 1 / lr",
            ),
            ("train.clip", train.clip, not_below_0(train.clip), "0 or more"),
            (
                "train.class_weights",
                weights[0],
                above_0(weights[0]),
                "two numbers above 0",
            ),
            (
                "train.class_weights",
                weights[1],
                above_0(weights[1]),
                "two numbers above 0",
            ),
            (
                "evaluate.sensitivity",
                evaluate.sensitivity,
                share(evaluate.sensitivity),
                "a number above 0, at most 1",
            ),
            (
                "evaluate.prevalence",
                evaluate.prevalence.unwrap_or(0.5),
                evaluate.prevalence.is_none_or(|value| value > 0.0 && value < 1.0),
                "a number above 0 and below 1",
            ),
            (
                "evaluate.bootstrap.level",
                evaluate.bootstrap.level,
                evaluate.bootstrap.level > 0.0 && evaluate.bootstrap.level < 1.0,
                "a number above 0 and below 1",
            ),
        ] {
            if !sound {
                return refuse(format!("`{key}` is {value}, expected {expected}"));
            }
        }
        if let Some((key, value, expected)) = self.plateau.out_of_range() {
            return refuse(format!("`{key}` is {value}, expected {expected}"));
        }
        match evaluate.unit {
            Unit::Slice => {
                refuse("`evaluate.unit` is `slice`, and a scan has one score: `patient` or `scan`".to_owned())
            }
            Unit::Scan | Unit::Patient => Ok(()),
        }
    }
}

fn refuse(what: String) -> Result<(), RecipeError> {
    Err(RecipeError::Inconsistent { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = r#"
[cohort]
table = "scans.csv"
path = "path"
patient = "patient_id"
label = "label"
positive = "covid"

[split]
kind = "holdout"
fractions = { train = 0.6, validation = 0.2, test = 0.2 }

[network]
kind = "pu-a"
"#;

    fn loaded(overrides: &[&str]) -> Result<TrainVolume, RecipeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        std::fs::write(&path, RECIPE).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        TrainVolume::load(&path, &overrides)
    }

    #[test]
    fn defaults_are_those_of_the_paper() {
        let recipe = loaded(&[]).unwrap();
        assert_eq!((recipe.input.size, recipe.input.spacing), ([256; 3], 1.5));
        assert_eq!((recipe.train.lr, recipe.train.batch), (1e-3, 8));
        assert_eq!(
            (recipe.plateau.factor, recipe.plateau.patience, recipe.plateau.stop),
            (0.2, 3, 10)
        );
        let text = toml::to_string(&recipe).unwrap();
        assert_eq!(
            toml::from_str::<TrainVolume>(&text).unwrap(),
            recipe,
            "what was written is read back"
        );
    }

    #[test]
    fn shipped_recipes_can_be_followed() {
        for name in ["pu2020", "phantoms"] {
            let path = format!("{}/pretrained/volumes/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            TrainVolume::load(Path::new(&path), &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn what_can_not_be_followed_is_refused_by_its_key() {
        for (given, said) in [
            ("train.epochs=0", "`train.epochs` is 0"),
            ("train.part=9", "`train.part` is 9"),
            ("train.lr=0", "`train.lr` is 0"),
            ("train.class_weights=[1.0, -1.0]", "`train.class_weights` is -1"),
            ("plateau.factor=1.0", "`plateau.factor` is 1"),
            ("plateau.min_lr=-1.0", "`plateau.min_lr` is -1"),
            ("evaluate.unit=slice", "`evaluate.unit` is `slice`"),
            ("evaluate.sensitivity=98", "`evaluate.sensitivity` is 98"),
            ("split={ kind = 'folds', k = 5 }", "use `holdout` or `column`"),
            ("split.unit=slice", "`split.unit` is not `patient`"),
            (
                "split.fractions={ train = 0.8, test = 0.2 }",
                "`split.fractions.validation` is 0",
            ),
            ("checkpoint.keep=0", "`checkpoint.keep` is 0"),
            ("input.size=[4, 64, 64]", "`input`"),
            ("network.filters=[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", "`network`"),
        ] {
            let error = loaded(&[given]).expect_err(given).to_string();
            assert!(error.contains(said), "{given}: {error}");
        }
    }
}
