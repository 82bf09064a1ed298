//! Why a table holds no scores that could be measured.

use std::collections::BTreeMap;

use crate::{eval::EvalError, tables::TableError};

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
    /// A word that says neither that a training converged nor that it did not.
    #[error(
        "column `{column}` holds another word at row {row} than `yes`, `no` or `no: why`, by which a table says whether the training of its scores converged"
    )]
    Converged {
        /// The column.
        column: String,
        /// The row, counted from 1 without the header.
        row: usize,
    },
    /// One of several tables.
    #[error("`{table}`: {source}")]
    In {
        /// What the table is called.
        table: String,
        /// What is wrong with it.
        source: Box<ScoreTableError>,
    },
    /// Scores of a table that can't be pooled to patients.
    #[error("the scores of `{table}` can't be pooled to patients: {source}")]
    Pool {
        /// What the table is called.
        table: String,
        /// Why.
        source: EvalError,
    },
    /// A table whose labels are other words.
    #[error(
        "no row of `{table}` has the label `{label}`; its column `{column}` holds {labels}: tables are joined by labels of the same \
         words, so write those of the others into `{table}`, e.g. in a further column that `--label` names"
    )]
    JoinWords {
        /// What the table is called.
        table: String,
        /// The label that was asked for.
        label: String,
        /// The label column.
        column: String,
        /// The labels there are, with their counts.
        labels: String,
    },
    /// Rows that are each another patient, to be joined.
    #[error(
        "tables are joined by their patients, and `--patient-per-row` says that rows have none: name their column with `--patient`"
    )]
    JoinRows,
    /// A score that no table has.
    #[error("no table has the score `{score}`; the scores are {scores}")]
    NoSuchScore {
        /// What was asked for.
        score: String,
        /// The scores there are.
        scores: String,
    },
    /// Tables of other patients, or of the same ones under other names.
    #[error(
        "no patient of `{first}` ({first_patients} patients) is in `{second}` ({second_patients}) too: pseudonyms are the same only \
         where they were made with one salt (`cohort.salt`, HOUNSFIELD_SALT), and are never a table's own identifiers; make both \
         tables with one salt, or name the column that holds the same identifiers in both with `--patient`"
    )]
    NoSharedPatients {
        /// A table.
        first: String,
        /// Its patients.
        first_patients: usize,
        /// Another.
        second: String,
        /// Its patients.
        second_patients: usize,
    },
    /// Patients of both classes.
    #[error(
        "{patients} patients of `{table}` have rows of both classes, and a join takes labels of patients: give each patient one \
         label, or compare within that table with `--unit slice`"
    )]
    JoinMixed {
        /// What the table is called.
        table: String,
        /// Patients with both labels.
        patients: usize,
    },
    /// Tables that contradict each other in the labels.
    #[error(
        "{patients} of {shared} patients are of one class in `{first}` and of the other in `{second}`: name the positive class of \
         both with `--positive`, or mend the labels"
    )]
    JoinLabels {
        /// Patients with other labels.
        patients: usize,
        /// Patients of both tables.
        shared: usize,
        /// A table.
        first: String,
        /// Another.
        second: String,
    },
    /// Patients in two sets of one table.
    #[error(
        "{patients} patients of `{table}` stand in more than one set: scores of two sets can't be pooled; look closer with `hounsfield audit`"
    )]
    JoinLeak {
        /// What the table is called.
        table: String,
        /// Patients in two sets.
        patients: usize,
    },
    /// Tables that contradict each other in the sets.
    #[error(
        "{patients} of {shared} patients stand in one set in `{first}` and in another in `{second}`, so that scores of patients that \
         one was fitted on would be compared with scores of patients that it never saw: make both by one split (the same patients, \
         labels and seed, or `split.kind = \"column\"`)"
    )]
    JoinSets {
        /// Patients in other sets.
        patients: usize,
        /// Patients of both tables.
        shared: usize,
        /// A table.
        first: String,
        /// Another.
        second: String,
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
