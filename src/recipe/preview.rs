//! What `hounsfield preview` looks at: whose slices and which preprocessing, of a study, of a training or of a table alone.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{CohortSection, Pretrain, RecipeError, Study, overrides, pointed, read_text};
use crate::{
    cohort::Columns,
    tables::{TextTable, read_table},
    transforms::Preprocess,
};

/// Rows and columns of slices where no encoder says them.
const SIZE: usize = 256;

/// What stands for the recipe of a table, so that `preprocess.window` can be set alone.
const TABLE: &str = "[preprocess]\nkind = \"standard\"\n";

/// Names that columns of a table have where nothing else is said, the first that is there.
const PATHS: &[&str] = &["path", "file"];
const PATIENTS: &[&str] = &["patient_id", "patient"];
const SCANS: &[&str] = &["scan_id", "scan"];
const SITES: &[&str] = &["site"];
const LABELS: &[&str] = &["label"];

/// The part of a recipe that slices and preprocessing are told by.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Whose slices; `table` is where the table lies.
    pub cohort: CohortSection,
    /// From a slice to network input.
    pub preprocess: Preprocess,
    /// Rows and columns of what the encoder sees.
    pub size: usize,
}

/// What can be set for a table that no recipe names.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    cohort: CohortSection,
    preprocess: Preprocess,
}

impl Preview {
    /// Reads the recipe of a study or of a training, or takes a table by the usual names of its columns. Overrides are keys of
    /// the recipe; for a table those of `cohort` and `preprocess`.
    ///
    /// # Errors
    ///
    /// Whatever is not understood, a study that starts from features, a table without a column of paths or patients.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        let is_recipe = path.extension().is_some_and(|extension| extension == "toml");
        if !is_recipe {
            return Self::of_table(path, overrides);
        }
        let text = read_text(path)?;
        let training = toml::from_str::<toml::Table>(&text).is_ok_and(|keys| keys.contains_key("method"));
        match training {
            true => {
                let mut recipe = Pretrain::load(path, overrides)?;
                let folder = path.parent().unwrap_or(Path::new(""));
                for file in [&mut recipe.cohort.table, &mut recipe.cohort.salt]
                    .into_iter()
                    .flatten()
                {
                    *file = folder.join(&*file);
                }
                Ok(Self {
                    size: recipe.encoder.input_size(),
                    cohort: recipe.cohort,
                    preprocess: recipe.preprocess,
                })
            }
            false => {
                let study = Study::load(path, overrides)?;
                if study.cohort.table.is_none() {
                    return Err(RecipeError::Inconsistent {
                        what: "the study starts from a table of features: there are no slices to preview".to_owned(),
                    });
                }
                Ok(Self {
                    size: study.encoder.as_ref().map_or(SIZE, |encoder| encoder.input_size()),
                    preprocess: study.preprocess().clone(),
                    cohort: study.cohort,
                })
            }
        }
    }

    /// The meaning of the table's columns.
    pub fn columns(&self) -> Columns {
        self.cohort.columns(None)
    }

    fn of_table(path: &Path, given: &[String]) -> Result<Self, RecipeError> {
        let text = overrides::apply(TABLE, given, path)?;
        let mut settings: Settings = toml::from_str(&text).map_err(|error| RecipeError::Parse {
            message: pointed(&text, &error),
            after_set: " (as `--set` left it)",
            path: path.to_owned(),
        })?;
        let table = read_table(path)?;
        let cohort = &mut settings.cohort;
        cohort.take_usual(&table);
        for (key, column, names) in [
            ("cohort.path", &cohort.path, PATHS),
            ("cohort.patient", &cohort.patient, PATIENTS),
        ] {
            if column.is_none() {
                return Err(RecipeError::Inconsistent {
                    what: format!(
                        "the table has no column `{}`: name it by `--set {key}=COLUMN`",
                        names.join("` or `")
                    ),
                });
            }
        }
        settings.cohort.table = Some(PathBuf::from(path));
        Ok(Self {
            cohort: settings.cohort,
            preprocess: settings.preprocess,
            size: SIZE,
        })
    }
}

impl CohortSection {
    /// Where no column is named, takes the one that the table has under a usual name, e.g. `patient_id` or `patient`.
    pub fn take_usual(&mut self, table: &TextTable) {
        for (column, names) in [
            (&mut self.path, PATHS),
            (&mut self.patient, PATIENTS),
            (&mut self.scan, SCANS),
            (&mut self.site, SITES),
            (&mut self.label, LABELS),
        ] {
            *column = column.take().or_else(|| usual(table, names));
        }
    }
}

/// The first of these names that the table has a column of.
fn usual(table: &TextTable, names: &[&str]) -> Option<String> {
    let there = |name: &&&str| table.columns.iter().any(|(column, _)| column == **name);
    names.iter().find(there).map(|name| (*name).to_owned())
}
