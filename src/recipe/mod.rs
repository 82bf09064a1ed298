//! The TOML file of a study: what to read, how to split, what to extract, what to fit.
//!
//! Parsed once and strictly: an unknown key, a wrong type or a negative seed is refused with its line. Paths in a recipe
//! are relative to the recipe's own folder, so that a study works from wherever it is started. Where weights are named, an address
//! on the hub may stand for a path; only then the network is asked.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use crate::{
    card::CardError,
    cohort::{Classes, Columns, SplitPlan},
    encoder::{EncoderConfig, Layer},
    eval::{AssessPlan, Calibration, Pooling, ThresholdRule, Unit},
    heads::{HeadConfig, Tuning},
    hub::HubError,
    stats::Bootstrap,
    tables::{TableError, WriteError, atomic_write},
    transforms::Preprocess,
};

mod encoder;
mod fetched;
mod overrides;
mod pretrain;
mod preview;
mod volume;

pub use pretrain::{Best, CheckpointSection, DataSection, Pretrain, StartFiles, TrainSection, WatchSection};

pub use encoder::{CardOrigin, CardSection, EncoderSection};
pub use fetched::FetchedFrom;
pub use preview::Preview;
pub use volume::{
    ClassWeights, ClassifierCheckpoints, ClassifierSection, MapsSection, ScanWeights, TrainVolume, VolumeEvaluation,
};

/// A whole study, as its file says it. `E` is what its encoder may be: an [`EncoderSection`] in the file, where a card may
/// stand for the network, and the network once the card was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study<E = EncoderConfig> {
    /// What the report is headed with; the file's name where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Every random draw comes from this, each purpose by a stream of its own.
    #[serde(default)]
    pub seed: u64,
    /// Whose slices.
    pub cohort: CohortSection,
    /// How patients are split; needed for `probe`, not for `extract`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitPlan>,
    /// From a slice to network input. Default: that of the encoder's card, and `standard`, lung window, without a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<Preprocess>,
    /// The network; none where the study starts from a table of features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<E>,
    /// The card that the encoder was taken from. No key of the file: `[encoder]` names the card.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardOrigin>,
    /// What came from the hub. No key of the file: it names addresses.
    #[serde(skip)]
    pub fetched: Vec<FetchedFrom>,
    /// Which features.
    #[serde(default)]
    pub features: FeaturesSection,
    /// Which heads, and how they are measured.
    #[serde(default)]
    pub probe: ProbeSection,
}

/// `[cohort]`: the table and what its columns mean.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CohortSection {
    /// CSV, Parquet or xlsx, one row a slice. None where the study starts from a table of features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<PathBuf>,
    /// Column of the image's path, relative to the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Column of the patient. Default for a table of features: `patient_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Column of the scan; the patient stands in where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<String>,
    /// Column of the row's unique name; the path stands in where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Column of the label. Default for a table of features: `label`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The label that a high score stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// The labels of the other side. Default: all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative: Option<Vec<String>>,
    /// Column of the hospital or data source. Default for a table of features: `site`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Columns to carry into outputs although their names look like identifiers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// Whether outputs hold pseudonyms or the table's own identifiers.
    pub ids: Ids,
    /// File with the salt of the pseudonyms; made where it is missing. Default: one for all studies of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<PathBuf>,
}

/// What stands for a patient in outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// A salted hash.
    #[default]
    Pseudonym,
    /// The table's own identifier: for tables that hold pseudonyms already, and for those who may.
    Keep,
}

/// `[features]`: what to extract, or the table to start from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeaturesSection {
    /// Outputs of the encoder to write, one table each. Default: `z_mean`, or the first layer of an encoder that has no such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Layer>>,
    /// A Parquet file (or a folder of parts) to start from instead of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<PathBuf>,
}

/// `[probe]`: which heads, and how they are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeSection {
    /// The layer (or layers) that heads read. Default: every layer of `[features]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<OneOrMany>,
    /// The classifiers. Default: all five.
    pub heads: Vec<HeadConfig>,
    /// What one score is of: `patient`, `scan` or `slice`.
    pub unit: Unit,
    /// How the scores of a patient's (or scan's) slices become one: `mean`, `median`, `max`, `{ top-k = 3 }` or
    /// `noisy-or`.
    pub pool: Pooling,
    /// Whether scores become probabilities: `none`, `platt` or `isotonic`, fitted on the validation set where there is one,
    /// and on out-of-fold scores of the training rows otherwise.
    pub calibration: Calibration,
    /// How the decision threshold is chosen on the validation set.
    pub threshold: ThresholdRule,
    /// How hyperparameters are chosen inside the training set.
    pub tuning: Tuning,
    /// How intervals are made.
    pub bootstrap: BootstrapSection,
    /// How often labels are permuted by patient and all is fitted again, to see what the pipeline finds where there is
    /// nothing. Default: 0, never.
    pub null: usize,
    /// The sensitivity at which the specificity is asked for, above 0 and at most 1. Default: 0.98.
    pub sensitivity: f64,
    /// The prevalence at which predictive values are asked for, between 0 and 1: that of the people whom a score is to
    /// serve, not that of the cohort. Default: none, and no such values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prevalence: Option<f64>,
    /// Whether heads are tuned again for permuted labels: `again`, or `frozen` to what the real labels chose, which is
    /// faster.
    pub null_tuning: NullTuning,
}

/// Hyperparameters where labels are permuted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NullTuning {
    /// Chosen again, as the same pipeline does.
    #[default]
    Again,
    /// Those that the real labels chose.
    Frozen,
}

impl Default for ProbeSection {
    fn default() -> Self {
        Self {
            features: None,
            heads: HeadConfig::all(),
            unit: Unit::default(),
            pool: Pooling::default(),
            calibration: Calibration::default(),
            threshold: ThresholdRule::default(),
            tuning: Tuning::default(),
            bootstrap: BootstrapSection::default(),
            null: 0,
            sensitivity: AssessPlan::default().sensitivity,
            prevalence: None,
            null_tuning: NullTuning::default(),
        }
    }
}

/// One name or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `features = "z_mean"`
    One(String),
    /// `features = ["z_mean", "bn_crelu_feat"]`
    Many(Vec<String>),
}

/// `[probe.bootstrap]`: the patient-cluster bootstrap; its seed is the study's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapSection {
    /// Resamples. Default: 2000.
    pub resamples: usize,
    /// Confidence level. Default: 0.95.
    pub level: f64,
}

impl Default for BootstrapSection {
    fn default() -> Self {
        Self {
            resamples: 2000,
            level: 0.95,
        }
    }
}

/// Why a recipe can't be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file can't be read.
    #[error("the recipe can't be read ({source}): {path:?}")]
    Read {
        /// The recipe.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is no such recipe. `message` draws the line and the caret.
    #[error("the recipe is not understood{after_set}: {path:?}\n{message}")]
    Parse {
        /// What the parser said.
        message: String,
        /// Says so where the text that was parsed had overrides in it.
        after_set: &'static str,
        /// The recipe.
        path: PathBuf,
    },
    /// An override that is none.
    #[error("`--set {given}` is not understood: write `--set table.key=value`, e.g. `--set probe.unit=slice`{hint}")]
    Override {
        /// What was given.
        given: String,
        /// What went wrong, where there is more to say.
        hint: String,
    },
    /// The encoder's card.
    #[error("`encoder.path`: {0}")]
    Card(#[from] CardError),
    /// A file on the hub.
    #[error("`{key}`: {source}")]
    Hub {
        /// The key that names it.
        key: &'static str,
        /// Why it can't be had.
        source: HubError,
    },
    /// The table that is previewed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Two keys that need or exclude each other.
    #[error("{what}")]
    Inconsistent {
        /// The sentence.
        what: String,
    },
}

/// The first name that stands twice.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

/// The parser's words with line and caret. In tables that are chosen by `kind` the parser only points at the whole table;
/// the key that it names is then looked for there.
fn pointed(text: &str, error: &toml::de::Error) -> String {
    let plain = error.to_string().trim_end().to_owned();
    let key = error
        .message()
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next());
    let (Some(key), Some(table)) = (key, error.span()) else {
        return plain;
    };
    if text.get(table.clone()) == Some(key) {
        return plain;
    }
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let assigns = |at: &usize| {
            let before = line[..*at].trim_end();
            let free = before.is_empty() || before.ends_with(['{', ',']);
            free && line[at + key.len()..].trim_start().starts_with('=')
        };
        if let Some(column) = line.match_indices(key).map(|(at, _)| at).find(assigns)
            && start + column >= table.start
        {
            let (number, line) = (number + 1, line.trim_end());
            let margin = " ".repeat(number.to_string().len());
            let (indent, carets) = (" ".repeat(column), "^".repeat(key.len()));
            return format!(
                "TOML parse error at line {number}, column {}\n{margin} |\n{number} | {line}\n{margin} | {indent}{carets}\n{}",
                column + 1,
                error.message()
            );
        }
        start += line.len();
    }
    plain
}

/// The text of a recipe.
fn read_text(path: &Path) -> Result<String, RecipeError> {
    std::fs::read_to_string(path).map_err(|source| RecipeError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Reads the file of a recipe, with overrides, strictly.
fn read_recipe<R: serde::de::DeserializeOwned>(path: &Path, overrides: &[String]) -> Result<R, RecipeError> {
    parse_recipe(read_text(path)?, path, overrides)
}

/// The recipe that a text is, of a file that need not be there yet.
fn parse_recipe<R: serde::de::DeserializeOwned>(
    text: String,
    path: &Path,
    overrides: &[String],
) -> Result<R, RecipeError> {
    let (text, after_set) = match overrides {
        [] => (text, ""),
        _ => (overrides::apply(&text, overrides, path)?, " (as `--set` left it)"),
    };
    toml::from_str(&text).map_err(|error| RecipeError::Parse {
        message: pointed(&text, &error),
        after_set,
        path: path.to_owned(),
    })
}

/// Writes the recipe of a run with all its defaults; lines of `head` become comments above it.
///
/// # Errors
///
/// A folder that can't be written to.
pub fn write_resolved(recipe: &impl Serialize, head: &str, path: &Path) -> Result<(), WriteError> {
    let text = toml::to_string(recipe).expect("a recipe that was read can be written");
    let version = env!("CARGO_PKG_VERSION");
    let mut comments = format!("# The recipe of this run with all its defaults. Written by hounsfield {version}.\n");
    comments.extend(head.lines().map(|line| format!("# {line}\n")));
    atomic_write(path, |file| write!(file, "{comments}\n{text}"))
}

impl Study {
    /// Reads a recipe and applies overrides such as `probe.unit=slice`.
    ///
    /// # Errors
    ///
    /// Whatever is not understood, with line and caret; nothing is ignored.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        let mut written: Study<EncoderSection> = read_recipe(path, overrides)?;
        written.anchor(path.parent().unwrap_or(Path::new("")));
        let study = written.resolve()?;
        study.check()?;
        Ok(study)
    }

    fn check(&self) -> Result<(), RecipeError> {
        let refuse = |what: &str| Err(RecipeError::Inconsistent { what: what.to_owned() });
        match (&self.features.table, &self.cohort.table) {
            (Some(_), Some(_)) => {
                return refuse(
                    "`features.table` and `cohort.table` are both given: a study starts from features or from images; remove one",
                );
            }
            (None, None) => {
                return refuse("a study needs `cohort.table` (slices) or `features.table` (features), found neither");
            }
            (Some(_), None) if self.encoder.is_some() => {
                return refuse(
                    "`features.table` is given and `[encoder]` too: features are extracted or read; remove one",
                );
            }
            (Some(_), None) if self.preprocess.is_some() => {
                return refuse(
                    "`features.table` is given and `[preprocess]` too: features are read as they are; remove one",
                );
            }
            (Some(table), None) if self.probe.features.is_some() => {
                let stem = table.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if self.probe_layers() != [stem.clone()] {
                    return refuse(&format!(
                        "`probe.features` names other features than the table, which is called `{stem}`: leave it out"
                    ));
                }
            }
            (Some(_), None) if self.features.layers.is_some() => {
                return refuse("`features.table` is given and `features.layers` too: a table is one layer; remove one");
            }
            _ => {}
        }
        if self.cohort.table.is_some() && self.cohort.patient.is_none() {
            return refuse(
                "`cohort.patient` is missing: no split without patients; name the column that tells patients apart",
            );
        }
        if self.encoder.is_some() && self.cohort.path.is_none() {
            return refuse("`cohort.path` is missing: name the column that holds the image paths");
        }
        if self.cohort.negative.is_some() && self.cohort.positive.is_none() {
            return refuse("`cohort.negative` is given without `cohort.positive`: name the positive label too");
        }
        if self.cohort.table.is_some() && self.cohort.positive.is_some() && self.cohort.label.is_none() {
            return refuse("`cohort.positive` is given without `cohort.label`: name the column of the labels");
        }
        if let Some(encoder) = &self.encoder {
            encoder.check().map_err(|error| RecipeError::Inconsistent {
                what: format!("`[encoder]`: {error}"),
            })?;
            let planes = self.preprocess().check_planes(encoder.planes());
            planes.map_err(|error| RecipeError::Inconsistent {
                what: error.to_string(),
            })?;
            for layer in self.layers() {
                encoder.width(layer).map_err(|error| RecipeError::Inconsistent {
                    what: format!("`features.layers`: {error}"),
                })?;
            }
        }
        let layers: Vec<String> = self.layers().iter().map(ToString::to_string).collect();
        for (key, names) in [("features.layers", &layers), ("probe.features", &self.probe_layers())] {
            if let Some(name) = repeated(names.iter().map(String::as_str)) {
                return refuse(&format!("`{key}` names `{name}` twice"));
            }
        }
        if self.probe.tuning.folds < 2 {
            return refuse(&format!(
                "`probe.tuning.folds` is {}, 2 or more are needed",
                self.probe.tuning.folds
            ));
        }
        if let Some(SplitPlan::NestedCv { k, inner, repeats, .. }) = &self.split
            && (*k < 2 || *inner < 2 || *repeats == 0)
        {
            return refuse(&format!(
                "`split` has k = {k}, inner = {inner} and repeats = {repeats}: at least 2 folds, 2 inner folds and 1 repeat are needed"
            ));
        }
        if let Some(SplitPlan::NestedCv { inner, .. }) = &self.split
            && ![*inner, Tuning::default().folds].contains(&self.probe.tuning.folds)
        {
            return refuse(&format!(
                "`probe.tuning.folds` is {} and `split.inner` {inner}: in nested cross-validation the inner folds are `split.inner`; leave `probe.tuning.folds` out",
                self.probe.tuning.folds
            ));
        }
        if self.features.layers.as_ref().is_some_and(Vec::is_empty) {
            return refuse("`features.layers` is empty: name at least one layer, e.g. `z_mean`");
        }
        if self.probe.heads.is_empty() {
            return refuse("`probe.heads` is empty: name at least one head, e.g. `logistic`");
        }
        for head in &self.probe.heads {
            head.check().map_err(|error| RecipeError::Inconsistent {
                what: format!("`probe.heads`: {error}"),
            })?;
        }
        if let Some(name) = repeated(self.probe.heads.iter().map(HeadConfig::name)) {
            return refuse(&format!(
                "`probe.heads` names `{name}` twice: results are told apart by the head's name"
            ));
        }
        let BootstrapSection { resamples, level } = self.probe.bootstrap;
        if resamples < 100 || !(0.5..1.0).contains(&level) {
            return refuse(&format!(
                "`probe.bootstrap` has resamples = {resamples} and level = {level}: at least 100 resamples and a level from 0.5 to below 1 are needed"
            ));
        }
        self.assess_plan().check().map_err(|error| RecipeError::Inconsistent {
            what: format!("`[probe]`: {error}"),
        })?;
        for layer in self.probe_layers() {
            let known = self.layers().iter().any(|known| known.name() == layer);
            if self.features.table.is_none() && !known {
                let layers: Vec<String> = self.layers().iter().map(|layer| format!("`{layer}`")).collect();
                return refuse(&format!(
                    "`probe.features` names `{layer}`, but `features.layers` extracts {}: add it there",
                    layers.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// What is asked of the scores of every head.
    pub fn assess_plan(&self) -> AssessPlan {
        let probe = &self.probe;
        AssessPlan {
            unit: probe.unit,
            pool: probe.pool,
            bootstrap: self.bootstrap(),
            sensitivity: probe.sensitivity,
            prevalence: probe.prevalence,
            ..AssessPlan::default()
        }
    }

    /// How intervals are made, with the study's seed.
    pub fn bootstrap(&self) -> Bootstrap {
        let BootstrapSection { resamples, level } = self.probe.bootstrap;
        Bootstrap {
            resamples,
            level,
            seed: self.seed,
        }
    }

    /// From a slice to network input.
    pub fn preprocess(&self) -> &Preprocess {
        static DEFAULT: LazyLock<Preprocess> = LazyLock::new(Preprocess::default);
        self.preprocess.as_ref().unwrap_or(&DEFAULT)
    }

    /// Sentences that every output of the study must carry; mostly none.
    pub fn watermarks(&self) -> Vec<String> {
        let preprocess = self.preprocess();
        let mut watermarks = preprocess.watermarks();
        watermarks.extend(self.card.as_ref().and_then(|card| card.watermark(preprocess)));
        watermarks
    }

    /// The layers that are extracted.
    pub fn layers(&self) -> Vec<Layer> {
        match (&self.features.layers, &self.encoder) {
            (Some(layers), _) => layers.clone(),
            (None, Some(encoder)) => vec![encoder.default_layer()],
            (None, None) => vec![Layer::ZMean],
        }
    }

    /// The names of the feature tables that heads read: layers, or the stem of the table's file name.
    pub fn probe_layers(&self) -> Vec<String> {
        match (&self.probe.features, &self.features.table) {
            (Some(OneOrMany::One(name)), _) => vec![name.clone()],
            (Some(OneOrMany::Many(names)), _) => names.clone(),
            (None, Some(table)) => vec![table.file_stem().unwrap_or_default().to_string_lossy().into_owned()],
            (None, None) => self.layers().iter().map(ToString::to_string).collect(),
        }
    }

    /// The classes that are told apart; `None` for a study without a positive label.
    pub fn classes(&self) -> Option<Classes> {
        self.cohort.classes()
    }

    /// The meaning of the cohort table's columns.
    pub fn columns(&self) -> Columns {
        self.cohort
            .columns(self.split.as_ref().and_then(SplitPlan::column).map(str::to_owned))
    }
}

impl CohortSection {
    /// The meaning of the table's columns, with the column of a split that came with the data.
    pub fn columns(&self, split: Option<String>) -> Columns {
        Columns {
            path: self.path.clone(),
            patient: self.patient.clone(),
            scan: self.scan.clone(),
            id: self.id.clone(),
            label: self.label.clone(),
            site: self.site.clone(),
            split,
            keep: self.keep.clone(),
        }
    }

    /// The classes that are told apart; `None` without a positive label.
    pub fn classes(&self) -> Option<Classes> {
        Some(Classes {
            positive: self.positive.clone()?,
            negative: self.negative.clone(),
        })
    }
}
