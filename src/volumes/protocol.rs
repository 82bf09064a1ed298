//! The protocol of Pu et al. 2020 (doi:10.1007/s00330-020-06956-w) from end to end on a table of scans: patients split in the paper's
//! proportions, its networks and COVNet trained on the same scans, measured, and compared with the first of them.
//!
//! | file | what |
//! |---|---|
//! | `MODEL.toml` | the recipe of one network, for `hounsfield train-volume` |
//! | `MODEL/` | its run folder |
//! | `predictions.parquet` | the scores of all networks, one row a scan |
//! | `results.json`, `study.json`, `report.html`, `report.md` | all of them in one report |

use std::{collections::BTreeMap, error::Error, path::PathBuf};

use toml::{Table, Value};

use super::{
    measure::write_text,
    together::{self, Together},
};
use crate::{
    baseline::BaselineConfig,
    eval::{EvalError, ScoreTableError},
    recipe::{RecipeError, TrainVolume},
    tables::{TableError, TextTable, WriteError, read_table},
};

/// Where a run folder keeps the recipe of its training.
const RUN_RECIPE: &str = "recipe.toml";

/// The recipe of model A, of which those of the other networks are made.
const RECIPE: &str = include_str!("../../pretrained/volumes/pu2020.toml");

/// Why the protocol can't be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A network that is none.
    #[error("there is no network `{found}`, expected some of {}", BaselineConfig::KINDS.join(", "))]
    UnknownModel {
        /// What was asked for.
        found: String,
    },
    /// A network twice, or none.
    #[error("the networks are {found}: name each once, the one that the others are compared with first")]
    Models {
        /// What was asked for.
        found: String,
    },
    /// A key of a network that is not trained.
    #[error("`{given}` is for `{model}`, and the networks are {models}: mend its name, or name it among them")]
    OverrideOf {
        /// What was given.
        given: String,
        /// The network that it is for.
        model: String,
        /// The networks.
        models: String,
    },
    /// A run folder of another training.
    #[error(
        "`{model}` was trained there with another `{key}`: name another folder with `--out`, or the settings of before: {path:?}"
    )]
    OtherRecipe {
        /// The network.
        model: String,
        /// The first setting that differs.
        key: String,
        /// Its run folder.
        path: PathBuf,
    },
    /// A folder that can't be made.
    #[error("the folder can't be made ({source}): {path:?}")]
    Folder {
        /// What the system said.
        source: std::io::Error,
        /// The folder.
        path: PathBuf,
    },
    /// The recipe of a network.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A file that can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A training.
    #[error("the training of `{model}`: {source}")]
    Training {
        /// The network.
        model: String,
        /// Why it ended.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A run folder without results.
    #[error("`{model}` left no results that could be read: train it again with its recipe: {path:?}")]
    NoResults {
        /// The network.
        model: String,
        /// The file.
        path: PathBuf,
    },
    /// Run folders of other scans.
    #[error(
        "`{model}` has scores of other scans than `{first}`: the folder holds networks of two tables; train all into a new one with \
         `--out`"
    )]
    OtherScans {
        /// The network.
        model: String,
        /// The first.
        first: String,
    },
    /// The scores of all networks.
    #[error(transparent)]
    Scores(#[from] ScoreTableError),
    /// Their comparison.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

/// What the protocol is carried out on.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// The cohort: one row a scan, or one row a slice and a column of scans.
    pub table: PathBuf,
    /// The folder of all that comes out.
    pub out: PathBuf,
    /// Columns by their keys in a recipe's `[cohort]`, e.g. `patient`; those of the shipped recipe stand in for others, where the table
    /// has them.
    pub columns: BTreeMap<String, String>,
    /// Label of the positive class.
    pub positive: String,
    /// Labels of the negative class; all others where there are none.
    pub negative: Vec<String>,
    /// The networks by their kinds; the others are compared with the first. [`Self::MODELS`] are those of the paper.
    pub models: Vec<String>,
    /// Keys of the recipes that differ, `KEY=VALUE`, or `MODEL:KEY=VALUE` for one network alone.
    pub overrides: Vec<String>,
}

/// One network of the protocol.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its kind, and its column of scores.
    pub name: String,
    /// How it is trained.
    pub recipe: TrainVolume,
    /// The recipe's file, which its paths are relative to.
    pub file: PathBuf,
    /// Its run folder.
    pub folder: PathBuf,
}

impl Protocol {
    /// The networks of the paper: its models A, B and C, and the one of Li et al. that they are compared with.
    pub const MODELS: [&str; 4] = ["pu-a", "pu-b", "pu-c", "covnet"];

    /// Trains each network with `train`, which leaves a run folder as `hounsfield train-volume` does, and puts their results together.
    /// All recipes are made, and all are asked of `check`, before the first training begins.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`].
    pub fn run(
        &self,
        check: impl Fn(&Model) -> Result<(), Box<dyn Error + Send + Sync>>,
        mut train: impl FnMut(&Model) -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> Result<Together, ProtocolError> {
        let models = self.recipes()?;
        let of = |model: &Model| {
            let model = model.name.clone();
            |source| ProtocolError::Training { model, source }
        };
        models.iter().try_for_each(|model| check(model).map_err(of(model)))?;
        for (at, model) in models.iter().enumerate() {
            tracing::info!("network {} of {}: {}", at + 1, models.len(), model.name);
            train(model).map_err(of(model))?;
        }
        together::write(&models, &self.out)
    }

    /// Writes the recipe of each network, with all its settings; none where one of them can't be followed.
    ///
    /// # Errors
    ///
    /// A network that is none, a table that can't be read, settings that make no training, or another than the one that its run folder
    /// holds.
    pub fn recipes(&self) -> Result<Vec<Model>, ProtocolError> {
        let again = |at: usize| self.models[..at].contains(&self.models[at]);
        if self.models.is_empty() || (0..self.models.len()).any(again) {
            let found = match &self.models[..] {
                [] => "none".to_owned(),
                models => models.join(", "),
            };
            return Err(ProtocolError::Models { found });
        }
        if let Some(found) = self.models.iter().find(|model| BaselineConfig::named(model).is_none()) {
            return Err(ProtocolError::UnknownModel { found: found.clone() });
        }
        for given in &self.overrides {
            if let (Some(model), _) = of_one(given)
                && !self.models.iter().any(|known| known == model)
            {
                return Err(ProtocolError::OverrideOf {
                    given: given.clone(),
                    model: model.to_owned(),
                    models: self.models.join(", "),
                });
            }
        }
        let cohort = self.cohort(&read_table(&self.table)?);
        let models: Result<Vec<Model>, _> = self.models.iter().map(|model| self.recipe(model, &cohort)).collect();
        let models = models?;
        std::fs::create_dir_all(&self.out).map_err(|source| ProtocolError::Folder {
            source,
            path: self.out.clone(),
        })?;
        for model in &models {
            // With what was overridden, so that it can be trained again by itself.
            write_text(
                &model.file,
                &toml::to_string(&model.recipe).expect("a recipe is a table"),
            )?;
        }
        Ok(models)
    }

    /// `[cohort]` of all recipes.
    fn cohort(&self, table: &TextTable) -> Table {
        let mut cohort = shipped("cohort");
        // A column that nobody named is one where the table has it.
        cohort.retain(|key, column| {
            let there = column
                .as_str()
                .is_some_and(|column| table.names().any(|name| name == column));
            there || !["scan", "site"].contains(&key)
        });
        let path = std::path::absolute(&self.table).unwrap_or_else(|_| self.table.clone());
        let mut put = |key: &str, value: Value| drop(cohort.insert(key.to_owned(), value));
        put("table", Value::String(path.to_string_lossy().into_owned()));
        put("positive", Value::String(self.positive.clone()));
        if !self.negative.is_empty() {
            put(
                "negative",
                self.negative
                    .iter()
                    .cloned()
                    .map(Value::String)
                    .collect::<Vec<_>>()
                    .into(),
            );
        }
        for (key, column) in &self.columns {
            put(key, Value::String(column.clone()));
        }
        cohort
    }

    fn recipe(&self, model: &str, cohort: &Table) -> Result<Model, ProtocolError> {
        let mut recipe: Table = toml::from_str(RECIPE).expect("a shipped recipe is TOML");
        recipe.insert("name".to_owned(), Value::String(model.to_owned()));
        recipe.insert("cohort".to_owned(), Value::Table(cohort.clone()));
        let network = Table::from_iter([("kind".to_owned(), Value::String(model.to_owned()))]);
        recipe.insert("network".to_owned(), Value::Table(network));
        let file = self.out.join(format!("{model}.toml"));
        let text = toml::to_string(&recipe).expect("a parsed table can be written");
        let recipe = TrainVolume::parse(text, &file, &self.overrides_of(model))?;
        let folder = self.out.join(model);
        // A run folder whose recipe can't be read is seen when it is opened.
        if let Ok(before) = TrainVolume::load(&folder.join(RUN_RECIPE), &[])
            && let Some(key) = differs(&before.decides_weights(), &recipe.decides_weights(), "")
        {
            return Err(ProtocolError::OtherRecipe {
                model: model.to_owned(),
                key,
                path: folder,
            });
        }
        Ok(Model {
            name: model.to_owned(),
            recipe,
            file,
            folder,
        })
    }

    /// The overrides of one network: those of all, then its own.
    fn overrides_of(&self, model: &str) -> Vec<String> {
        let of = |wanted: Option<&str>| {
            let own = self.overrides.iter().map(|given| of_one(given));
            own.filter(|(of, _)| *of == wanted)
                .map(|(_, key)| key.to_owned())
                .collect::<Vec<_>>()
        };
        [of(None), of(Some(model))].concat()
    }
}

/// The network that an override is for, if it is for one alone, and `KEY=VALUE`.
fn of_one(given: &str) -> (Option<&str>, &str) {
    let key = given.split('=').next().unwrap_or_default();
    match key.split_once(':') {
        Some((of, _)) => (Some(of), &given[of.len() + 1..]),
        None => (None, given),
    }
}

/// The first key, e.g. `train.epochs`, whose value is not the same in both.
fn differs(one: &serde_json::Value, other: &serde_json::Value, key: &str) -> Option<String> {
    let (Some(first), Some(second)) = (one.as_object(), other.as_object()) else {
        return (one != other).then(|| key.to_owned());
    };
    let missing = serde_json::Value::Null;
    let keys: std::collections::BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    keys.into_iter().find_map(|name| {
        let [one, other] = [first, second].map(|table| table.get(name).unwrap_or(&missing));
        let key = if key.is_empty() {
            name.clone()
        } else {
            format!("{key}.{name}")
        };
        differs(one, other, &key)
    })
}

/// A table of the shipped recipe.
fn shipped(key: &str) -> Table {
    let recipe: Table = toml::from_str(RECIPE).expect("a shipped recipe is TOML");
    recipe.get(key).and_then(Value::as_table).cloned().unwrap_or_default()
}
