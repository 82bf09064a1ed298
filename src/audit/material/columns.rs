//! Tables as they are given, and what their columns mean.

use std::path::PathBuf;

use crate::tables::TextTable;

/// A table with its name.
#[derive(Debug, Clone)]
pub struct Source {
    /// The table's name.
    pub name: String,
    /// Whether the table as a whole is a set of the split, of its name.
    pub is_set: bool,
    /// Its rows.
    pub table: TextTable,
    /// The folder that image paths start from.
    pub folder: PathBuf,
}

impl Source {
    /// A table that is no set, called `table`.
    pub fn of(table: TextTable) -> Self {
        Self {
            name: "table".to_owned(),
            is_set: false,
            table,
            folder: PathBuf::new(),
        }
    }
}

/// Which column of a table means what; nothing is required.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceColumns {
    /// The patient.
    pub patient: Option<String>,
    /// A regular expression whose first group is the patient, in the patient's column, else in the
    /// name's, else in the path's file name.
    pub pattern: Option<String>,
    /// The row's name, such as that of its file.
    pub name: Option<String>,
    /// The label.
    pub label: Option<String>,
    /// The label of the positive class.
    pub positive: Option<String>,
    /// The labels of the negative class; all others where there are none.
    pub negative: Vec<String>,
    /// The image's path, relative to its table.
    pub path: Option<String>,
    /// The set of a split, or the fold.
    pub set: Option<String>,
    /// The hospital or data source.
    pub site: Option<String>,
    /// Where in the body the slice lies: a number.
    pub position: Option<String>,
    /// What else is known of a row; all columns that do not look like identifiers where there are none.
    pub meta: Vec<String>,
}

impl SourceColumns {
    /// The columns that were named to predict from.
    pub(super) fn named(&self) -> Vec<String> {
        self.position
            .iter()
            .chain(&self.site)
            .chain(&self.meta)
            .cloned()
            .collect()
    }
}

/// A table of what is known of the patients.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// One row a patient.
    pub table: TextTable,
    /// Its column of patients.
    pub key: String,
}
