//! The TOML file of a volume classifier: whose scans, how they are split, which network, how it is trained and measured.

mod check;
mod sections;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::sections::{
    ClassWeights, ClassifierCheckpoints, ClassifierSection, MapsSection, ScanWeights, VolumeEvaluation,
};
use super::{CohortSection, FetchedFrom, RecipeError, parse_recipe, read_recipe, read_text};
use crate::{
    baseline::BaselineConfig,
    cohort::{Columns, SplitPlan},
    encoder::Weights,
    method::Plateau,
    stats::Bootstrap,
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

    /// As [`Self::load`], of a text that is to be written to a file.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn parse(text: String, path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        let recipe: Self = parse_recipe(text, path, overrides)?;
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

    /// How intervals are made: with the seed of all other draws.
    pub fn bootstrap(&self) -> Bootstrap {
        let section = &self.evaluate.bootstrap;
        Bootstrap {
            resamples: section.resamples,
            level: section.level,
            seed: self.seed,
        }
    }

    /// The settings that decide which weights come out, as JSON: a training is gone on with only where they are the same. What it is
    /// called, how it is measured and drawn, and what it may take of the machine can be changed even after its end. The unit and the
    /// pooling of scores make the AUC that the best epoch is chosen by.
    pub fn decides_weights(&self) -> serde_json::Value {
        let mut recipe = serde_json::to_value(self).expect("a recipe that was read can be written");
        let mut keep = |section: Option<&str>, keep: &dyn Fn(&str) -> bool| {
            let table = match section {
                None => Some(&mut recipe),
                Some(section) => recipe.get_mut(section),
            };
            if let Some(table) = table.and_then(serde_json::Value::as_object_mut) {
                table.retain(|key, _| keep(key));
            }
        };
        keep(None, &|key| !["name", "checkpoint", "maps"].contains(&key));
        keep(Some("train"), &|key| !["memory_mb", "cache"].contains(&key));
        keep(Some("evaluate"), &|key| ["unit", "pool"].contains(&key));
        recipe
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
    fn what_decides_no_weights_may_change_before_a_training_is_gone_on_with() {
        let decides = |overrides: &[&str]| loaded(overrides).unwrap().decides_weights();
        for free in [
            "name=other",
            "maps.scans=0",
            "checkpoint.every=7",
            "train.memory_mb=9000",
            "train.cache=elsewhere",
            "evaluate.bootstrap.resamples=500",
            "evaluate.sensitivity=0.9",
        ] {
            assert_eq!(decides(&[free]), decides(&[]), "{free}");
        }
        for bound in [
            "seed=1",
            "evaluate.unit=scan",
            "evaluate.pool=max",
            "train.part=2",
            "network.dropout=0.1",
        ] {
            assert_ne!(decides(&[bound]), decides(&[]), "{bound}");
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
                "evaluate.bootstrap.resamples=50",
                "`evaluate.bootstrap`: 50 bootstrap resamples",
            ),
            ("evaluate.bootstrap.resamples=999999999", "at most"),
            ("evaluate.bootstrap.level=0.9999", "at a level of 0.9999"),
            ("train.class_weights=balance", "[NEGATIVE, POSITIVE]"),
            ("name='a/b'", "has a slash"),
            ("name=' '", "is empty"),
            ("name='..'", "the one above"),
            ("name='set'", "a column beside its scores"),
            ("name='a.threshold'", "ends in `.threshold`"),
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
