//! Whose slices they are, with what label, and how patients are split.
//!
//! Raw identifiers live only inside [`Cohort::read`]: what it returns carries pseudonyms and an integer for each patient.

use std::path::PathBuf;

use crate::{ct::Pseudonymizer, features::Rows};

mod duplicates;
mod split;
pub mod synthetic;
mod table;
#[cfg(test)]
mod testing;

pub use self::{
    duplicates::{Duplicate, duplicates, same_bytes},
    split::{Fractions, Set, Split, SplitPlan, SplitUnit},
    table::Columns,
};

/// The slices of a study, in the order of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cohort {
    /// Who the slices are; identifiers are pseudonyms unless the user chose to keep them.
    pub rows: Rows,
    /// The patient of each row as an integer, `0..n_patients`, in the order of the raw identifiers: what is drawn from
    /// these does not depend on the salt or on the order of the table.
    pub patient: Vec<usize>,
    /// How many patients there are.
    pub n_patients: usize,
    /// Whether the row is of the positive class; `None` where its label is missing or left out of the study.
    pub positive: Vec<Option<bool>>,
    /// The image file of each row; empty for a cohort that starts from features.
    pub paths: Vec<PathBuf>,
    /// SHA-256 of each image file; `None` where there is none or it can't be read.
    pub sha256: Vec<Option<String>>,
    /// The column of a split or of folds that came with the data.
    pub given: Option<Vec<Option<String>>>,
    /// What a reader of the results must be told, without identifiers.
    pub warnings: Vec<String>,
}

impl Cohort {
    /// How many slices there are.
    pub fn len(&self) -> usize {
        self.patient.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.patient.is_empty()
    }
}

/// Which labels a study tells apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classes {
    /// The label of the positive class.
    pub positive: String,
    /// The labels of the negative class; all others where `None`.
    pub negative: Option<Vec<String>>,
}

impl Classes {
    /// Whether a label is of the positive class; `None` where it belongs to neither side.
    pub(crate) fn side(&self, label: &str) -> Option<bool> {
        if label == self.positive {
            return Some(true);
        }
        match &self.negative {
            Some(names) if !names.iter().any(|name| name == label) => None,
            _ => Some(false),
        }
    }
}

/// Who the rows of a table are: the columns' meaning, the classes and the pseudonyms.
#[derive(Debug)]
pub struct CohortPlan {
    /// Which column means what.
    pub columns: Columns,
    /// The positive and negative labels; `None` where the study needs no labels.
    pub classes: Option<Classes>,
    /// How identifiers are hidden.
    pub ids: Pseudonymizer,
}

/// Why a cohort or a split can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CohortError {
    /// The table itself.
    #[error(transparent)]
    Table(#[from] crate::tables::TableError),
    /// No patients.
    #[error(
        "no column tells patients apart, and slices of one patient must not be split: name it with `cohort.patient = \"...\"`; the table has {columns}"
    )]
    NoPatientColumn {
        /// The columns there are.
        columns: String,
    },
    /// A cell that every row must have.
    #[error(
        "{missing} of {rows} rows have no {what} in column `{column}` (first: row {first}): fill it in or leave the rows out"
    )]
    MissingCells {
        /// What is missing.
        what: &'static str,
        /// The column's name.
        column: String,
        /// How many cells are empty.
        missing: usize,
        /// How many rows there are.
        rows: usize,
        /// The first such row, counted from 1.
        first: usize,
    },
    /// Two rows of one name.
    #[error("rows {first} and {second} have the same {what}: every slice must stand once")]
    Repeated {
        /// `path` or `id`.
        what: &'static str,
        /// The first of the two rows, counted from 1.
        first: usize,
        /// The second.
        second: usize,
    },
    /// A label that no row has.
    #[error("no row has the label `{label}` in column `{column}`: the labels there are {labels}")]
    NoSuchLabel {
        /// The label that was asked for.
        label: String,
        /// The label column.
        column: String,
        /// The labels there are, with their counts.
        labels: String,
    },
    /// Only one side.
    #[error(
        "all {rows} labelled rows are of one class (`{label}`): a classifier needs both; the labels there are {labels}"
    )]
    OneClass {
        /// Rows that have a label of the study.
        rows: usize,
        /// The only label.
        label: String,
        /// The labels there are, with their counts.
        labels: String,
    },
    /// No rows.
    #[error("the table has no rows")]
    Empty,
    /// A site that no row has.
    #[error("no row has the site `{site}`: the sites there are {sites}")]
    NoSuchSite {
        /// The site that was asked for.
        site: String,
        /// The sites there are.
        sites: String,
    },
    /// A patient in two sets.
    #[error(
        "{patients} patients stand in two sets (first: rows {first} and {second}, in `{first_set}` and `{second_set}`): split by patient, or ask for `split.unit = \"slice\"` and every output will carry a leakage banner"
    )]
    PatientLeak {
        /// How many patients do.
        patients: usize,
        /// A row of such a patient, counted from 1.
        first: usize,
        /// Another row of the same patient, in another set.
        second: usize,
        /// The set of the first row.
        first_set: String,
        /// The set of the second.
        second_set: String,
    },
    /// One image in two sets.
    #[error(
        "{images} images stand in two sets, byte for byte (first: rows {first} and {second}, in `{first_set}` and `{second_set}`): give both rows one patient, remove one, or ask for `split.unit = \"slice\"` and every output will carry a leakage banner"
    )]
    ImageLeak {
        /// How many images do.
        images: usize,
        /// A row with such an image, counted from 1.
        first: usize,
        /// Another row with it.
        second: usize,
        /// The set of the first row.
        first_set: String,
        /// The set of the second.
        second_set: String,
    },
    /// Too few to split.
    #[error(
        "the {class} class has {patients} patients and {sets} sets to fill ({names}): use fewer sets, or `split.kind = \"folds\"`"
    )]
    TooFewPatients {
        /// The class, in words.
        class: String,
        /// How many patients it has.
        patients: usize,
        /// How many sets have a fraction above zero.
        sets: usize,
        /// Their names.
        names: String,
    },
    /// Fractions that are none.
    #[error(
        "the fractions of the split are {train} + {validation} + {test} = {sum}: they must be 0 or more and sum to 1, with some in `train`"
    )]
    Fractions {
        /// Share of the training set.
        train: f64,
        /// Share of the validation set.
        validation: f64,
        /// Share of the test set.
        test: f64,
        /// Their sum.
        sum: f64,
    },
    /// A set that only one class is in.
    #[error(
        "`split.positive_fractions` fills {positive} and `split.fractions` fills {negative}: every set needs patients of both classes, \
         so give both tables the same sets"
    )]
    FractionSets {
        /// Sets with patients of the positive class.
        positive: String,
        /// Sets with patients of the negative class.
        negative: String,
    },
    /// A split column with an unknown word.
    #[error("row {row} has {value} in the split column `{column}`: {expected}")]
    SplitValue {
        /// The row, counted from 1.
        row: usize,
        /// What was found.
        value: String,
        /// The split column.
        column: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// No training rows.
    #[error("no labelled row falls into the training set: {why}")]
    NoTraining {
        /// What to look at.
        why: &'static str,
    },
    /// Folds.
    #[error(transparent)]
    Folds(#[from] crate::stats::FoldError),
    /// Neither or both of `k` and `column`.
    #[error("`split.kind = \"folds\"` takes either `k` (2 or more) or `column`, found {found}")]
    FoldsPlan {
        /// What was found.
        found: String,
    },
    /// Folds or repeats that make no nested cross-validation.
    #[error(
        "`split.kind = \"nested-cv\"` needs `k` and `inner` of 2 or more and `repeats` of 1 or more, found k = {k}, inner = \
         {inner}, repeats = {repeats}"
    )]
    NestedPlan {
        /// Outer folds.
        k: usize,
        /// Inner folds.
        inner: usize,
        /// Draws of the outer folds.
        repeats: usize,
    },
    /// External sites without sites.
    #[error("`split.external` names sites, but the cohort has no site column: name it with `cohort.site = \"...\"`")]
    NoSites,
}

/// Labels, sites or sets with their counts, e.g. "`covid` (3), `cap` (2)", at most twelve of them.
fn counted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let shown: Vec<String> = counts
        .iter()
        .take(12)
        .map(|(name, n)| format!("`{name}` ({n})"))
        .collect();
    match counts.len() {
        0 => "none".to_owned(),
        n if n > 12 => format!("{} and {} more", shown.join(", "), n - 12),
        _ => shown.join(", "),
    }
}
