//! The protocol of Pu et al. 2020 (doi:10.1007/s00330-020-06956-w) from end to end on a table of scans: patients split in the paper's
//! proportions, its networks and COVNet trained on the same scans, measured, and compared with the first of them.
//!
//! | file | what |
//! |---|---|
//! | `MODEL.toml` | the recipe of one network, for `hounsfield train-volume` |
//! | `MODEL/` | its run folder |
//! | `predictions.parquet` | the scores of all networks, one row a scan |
//! | `results.json`, `study.json`, `report.html`, `report.md` | all of them in one report |

use std::{
    collections::BTreeMap,
    error::Error,
    io::Write as _,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::together::{self, Together};
use crate::{
    baseline::BaselineConfig,
    eval::{EvalError, ScoreTableError},
    recipe::{RecipeError, TrainVolume},
    tables::{TableError, TextTable, WriteError, atomic_write, read_table},
};

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
    /// All recipes are made and checked before the first training begins.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`].
    pub fn run(
        &self,
        mut train: impl FnMut(&Model) -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> Result<Together, ProtocolError> {
        let models = self.recipes()?;
        for (at, model) in models.iter().enumerate() {
            tracing::info!("network {} of {}: {}", at + 1, models.len(), model.name);
            train(model).map_err(|source| ProtocolError::Training {
                model: model.name.clone(),
                source,
            })?;
        }
        together::write(&models, &self.out)
    }

    /// Writes the recipe of each network, with all its settings.
    ///
    /// # Errors
    ///
    /// A network that is none, a table that can't be read, settings that make no training.
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
        let cohort = self.cohort(&read_table(&self.table)?);
        std::fs::create_dir_all(&self.out).map_err(|source| ProtocolError::Folder {
            source,
            path: self.out.clone(),
        })?;
        self.models.iter().map(|model| self.recipe(model, &cohort)).collect()
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
        write(&file, &toml::to_string(&recipe).expect("a parsed table can be written"))?;
        // A recipe that can't be followed does not stay.
        let recipe =
            TrainVolume::load(&file, &self.overrides_of(model)).inspect_err(|_| drop(std::fs::remove_file(&file)))?;
        // With what was overridden, so that it can be trained again by itself.
        write(&file, &toml::to_string(&recipe).expect("a recipe is a table"))?;
        Ok(Model {
            name: model.to_owned(),
            recipe,
            file,
            folder: self.out.join(model),
        })
    }

    /// The overrides of one network: those of all, then its own.
    fn overrides_of(&self, model: &str) -> Vec<String> {
        let split = |given: &str| -> (Option<String>, String) {
            let before = given.split('=').next().unwrap_or_default();
            match before.split_once(':') {
                Some((of, _)) => (Some(of.to_owned()), given[of.len() + 1..].to_owned()),
                None => (None, given.to_owned()),
            }
        };
        let of = |wanted: Option<&str>| {
            let own = self.overrides.iter().map(|given| split(given));
            own.filter(|(of, _)| of.as_deref() == wanted)
                .map(|(_, key)| key)
                .collect::<Vec<_>>()
        };
        [of(None), of(Some(model))].concat()
    }
}

/// A table of the shipped recipe.
fn shipped(key: &str) -> Table {
    let recipe: Table = toml::from_str(RECIPE).expect("a shipped recipe is TOML");
    recipe.get(key).and_then(Value::as_table).cloned().unwrap_or_default()
}

fn write(path: &Path, text: &str) -> Result<(), WriteError> {
    atomic_write(path, |file| file.write_all(text.as_bytes()))
}
