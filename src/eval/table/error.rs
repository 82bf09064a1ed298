//! Why a table holds no scores that could be measured.

use std::collections::BTreeMap;

use crate::tables::TableError;

/// Why a table holds no scores that could be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreTableError {
    /// One label for both classes.
    #[error("the label {label:?} is named both positive and negative: a row can't be of both classes")]
    BothClasses {
        /// The label.
        label: String,
    },
    /// The table itself.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No rows.
    #[error("the table has a header and no rows")]
    Empty,
    /// No patients.
    #[error(
        "no column tells patients apart, and rows of one patient are no independent evidence: name it with `--patient`, \
         or say `--patient-per-row` where each row is another patient; the columns are {columns}"
    )]
    NoPatients {
        /// The columns there are.
        columns: String,
    },
    /// No labels.
    #[error("no column is called `label`: name that of the classes with `--label`; the columns are {columns}")]
    NoLabel {
        /// The columns there are.
        columns: String,
    },
    /// The positive class was not named.
    #[error("which label is the positive class? name it with `--positive`; column `{column}` holds {labels}")]
    NoPositive {
        /// The label column.
        column: String,
        /// The labels there are, with their counts.
        labels: String,
    },
    /// A label that no row has.
    #[error("no row has the label `{label}`; column `{column}` holds {labels}")]
    NoSuchLabel {
        /// The label that was asked for.
        label: String,
        /// The label column.
        column: String,
        /// The labels there are, with their counts.
        labels: String,
    },
    /// No row has both a patient and a label of either class.
    #[error("none of the {rows} rows has both a patient and a label of either class")]
    NothingLeft {
        /// Rows of the table.
        rows: usize,
    },
    /// No column of numbers.
    #[error("no column of numbers is left for scores: name them with `--score`; the columns are {columns}")]
    NoScores {
        /// The columns there are.
        columns: String,
    },
    /// So many columns of numbers that they are features.
    #[error(
        "{found} columns hold numbers, more than {most} are features rather than scores: name the scores with `--score`; \
         the first are {first}"
    )]
    ManyScores {
        /// Columns of numbers.
        found: usize,
        /// As many are taken for scores.
        most: usize,
        /// The first of them.
        first: String,
    },
    /// Text where a score was expected.
    #[error("column `{column}` holds text at row {row} where a number was expected{hint}")]
    NotANumber {
        /// The column.
        column: String,
        /// The row, counted from 1 without the header.
        row: usize,
        /// What to do.
        hint: &'static str,
    },
    /// One column for two purposes.
    #[error("column `{column}` is named for two purposes, {first} and {second}")]
    TwoPurposes {
        /// The column.
        column: String,
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A column of too many values for subgroups.
    #[error(
        "column `{column}` holds {values} different values over {patients} patients, too many for subgroups (at most \
         {most}, and one in two patients): make a column of a few groups of them"
    )]
    ManyGroups {
        /// The column.
        column: String,
        /// Its values.
        values: usize,
        /// Patients of the table.
        patients: usize,
        /// The most there may be.
        most: usize,
    },
    /// A column whose cells hold identifiers of patients.
    #[error("column `{column}` holds identifiers of patients, which no output may show: choose another for subgroups")]
    Identifying {
        /// The column.
        column: String,
    },
}

/// More labels than this are no classes, and may be names: they are counted, not shown.
const SHOWN: usize = 12;

/// Labels with their counts, e.g. "`covid` (3), `cap` (2)".
pub(super) fn counted<'a>(labels: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for label in labels {
        *counts.entry(label).or_default() += 1;
    }
    if counts.is_empty() || counts.len() > SHOWN {
        return format!("{} different values", counts.len());
    }
    let shown = counts.iter().map(|(label, n)| format!("`{label}` ({n})"));
    shown.collect::<Vec<_>>().join(", ")
}
