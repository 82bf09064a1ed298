//! What makes results too good: leaks between the sets of a split, images that stand twice, labels that can be told
//! without looking at the lungs. One file a check.
//!
//! Roberts et al., Nat Mach Intell 3:199-217, 2021, <https://doi.org/10.1038/s42256-021-00307-0>, found none of 62 imaging
//! models of clinical use, for such reasons above all; Yagis et al., Sci Rep 11:22544, 2021,
//! <https://doi.org/10.1038/s41598-021-01681-w>, measured what a split by slice does.

mod balance;
mod identical;
mod lookalike;
mod material;
mod neighbours;
mod patients;
pub mod printed;
mod shortcut;
mod similar;
mod thumbnail;

use std::path::PathBuf;

use serde_json::{Value, json};

pub use self::material::{Material, Metadata, Source, SourceColumns};
use crate::{
    stats::Bootstrap,
    words::{count, counted},
};

/// How much a finding matters; the worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Two sets of a split share a patient or an image: no figure measured on them means anything.
    Leak,
    /// A figure may well be wrong because of it.
    Serious,
    /// A reader of the results must know.
    Notable,
    /// Worth a look.
    Note,
    /// Looked at, and nothing is wrong.
    Ok,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Leak => "LEAK",
            Self::Serious => "serious",
            Self::Notable => "notable",
            Self::Note => "note",
            Self::Ok => "ok",
        })
    }
}

/// A row of one of the tables, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Place {
    /// The table's name.
    pub table: String,
    /// The row, the header not counted.
    pub row: usize,
}

/// A row, or two that are alike, for the list of all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Listed {
    /// The row, from 0 over all tables.
    pub row: usize,
    /// The other row.
    pub other: Option<usize>,
    /// How alike they are.
    pub value: Option<f64>,
}

/// What a check has to say.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, with its numbers and without identifiers.
    pub sentence: String,
    /// What to do about it; empty where there is nothing to do.
    pub next: String,
    /// The numbers.
    pub numbers: Value,
    /// Some of the rows.
    pub rows: Vec<Place>,
    /// The rows and pairs, at most [`LISTED`].
    #[serde(skip)]
    pub listed: Vec<Listed>,
}

/// Rows and pairs that a finding lists at most.
pub const LISTED: usize = 10_000;

/// Rows that a finding names at most.
const SHOWN: usize = 10;

impl Finding {
    fn new(check: &'static str, severity: Severity, sentence: String, numbers: Value) -> Self {
        Self {
            check,
            severity,
            sentence,
            next: String::new(),
            numbers,
            rows: Vec::new(),
            listed: Vec::new(),
        }
    }

    fn next(mut self, next: &str) -> Self {
        next.clone_into(&mut self.next);
        self
    }

    fn list(mut self, material: &Material, listed: Vec<Listed>) -> Self {
        let rows = listed.iter().flat_map(|line| [Some(line.row), line.other]).flatten();
        self.rows = rows.take(SHOWN).map(|row| material.place(row)).collect();
        self.listed = listed;
        self.listed.truncate(LISTED);
        self
    }
}

/// How a check ended that is no error.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// What it found; where nothing is wrong, that.
    Ran(Vec<Finding>),
    /// Why it could not run on this material.
    CannotRun(String),
}

/// What the checks go by.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Settings {
    /// Correlation of two images' details from which on they are certainly one image, or neighbours in one scan.
    ///
    /// 0.90: of 3,227 real slices of 500 groups of patients (5,205,151 pairs), 24 pairs within the groups reach it and none
    /// across them; from 0.85 on it is 58 and 1, from 0.80 on 120 and 7. A 64-bit dHash within 4 bits alone finds 1,533
    /// and 12,355.
    pub certain: f64,
    /// Correlation from which on two images are worth a look; 0.80.
    pub likely: f64,
    /// Bits of 64 in which two dHashes of one image differ at most; 10. It only confirms the correlation.
    pub hash_bits: u32,
    /// Cosine of two rows of standardised features from which on they are near-duplicates; 0.999.
    pub cosine: f64,
    /// Images, and rows of features, up to which they are compared in pairs; `None`: all.
    pub most_rows: Option<usize>,
    /// Folds of the baselines; fewer where a class has fewer patients.
    pub folds: usize,
    /// Intervals of the baselines; its seed draws the folds too.
    pub bootstrap: Bootstrap,
}

impl Settings {
    /// Why so many rows are not compared in pairs, if they are not.
    fn too_many(&self, rows: usize, what: &str) -> Option<String> {
        let most = self.most_rows.filter(|most| rows > *most)?;
        Some(format!(
            "{} are more than the {} that are compared in pairs here: `hounsfield audit` compares any number",
            counted(rows, what),
            count(most)
        ))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certain: 0.90,
            likely: 0.80,
            hash_bits: 10,
            cosine: 0.999,
            most_rows: None,
            folds: 5,
            bootstrap: Bootstrap::default(),
        }
    }
}

/// One thing that can be wrong.
pub trait Check: Sync {
    /// Its name, e.g. `patients in two sets`.
    fn name(&self) -> &'static str;

    /// Looks for it.
    ///
    /// # Errors
    ///
    /// What makes the audit as a whole impossible.
    fn run(&self, material: &Material, settings: &Settings) -> Result<Outcome, AuditError>;
}

/// All checks of tables, in the order of their worst findings.
pub const CHECKS: &[&dyn Check] = &[
    &patients::InTwoSets,
    &identical::SameBytes,
    &lookalike::NearDuplicateImages,
    &patients::Unknown,
    &patients::InTwoTables,
    &patients::TwoLabels,
    &patients::NamedAlike,
    &neighbours::NearDuplicateFeatures,
    &neighbours::FirstNeighbours,
    &shortcut::Baselines,
    &shortcut::NamedColumns,
    &balance::Classes,
    &balance::Differences,
];

/// The format of [`Audit::to_json`].
pub const SCHEMA: &str = "hounsfield.audit/1";

/// What an audit came to.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Audit {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Checks that could not run, and why.
    pub could_not_run: Vec<(String, String)>,
}

impl Audit {
    /// Whether two sets of a split share a patient or an image.
    pub fn leaks(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Leak)
    }

    /// All numbers, for programs.
    pub fn to_json(&self, material: &Material, settings: &Settings) -> Value {
        let gaps = self.could_not_run.iter();
        let gaps: Vec<Value> = gaps.map(|(check, why)| json!({"check": check, "why": why})).collect();
        json!({"schema": SCHEMA, "hounsfield": env!("CARGO_PKG_VERSION"),
            "tables": material.sources(), "rows": material.len(), "patients": material.n_patients(),
            "sets": material.sets(), "rows_without_a_set": material.without_a_set(), "settings": settings, "leaks": self.leaks(), "findings": self.findings,
            "could_not_run": gaps})
    }
}

/// Runs all checks.
///
/// ```
/// use hounsfield::{audit::{Material, Settings, Source, SourceColumns, audit}, tables::TextTable};
/// let column = |name: &str, cells: [&str; 4]| (name.to_owned(), cells.map(|cell| Some(cell.to_owned())).to_vec());
/// let table = TextTable::new(vec![
///     column("who", ["A", "A", "B", "C"]),
///     column("part", ["train", "test", "train", "test"]),
/// ])?;
/// let columns = SourceColumns { patient: Some("who".into()), set: Some("part".into()), ..SourceColumns::default() };
/// let found = audit(&Material::read(&[Source::of(table)], &columns, None)?, &Settings::default())?;
/// assert!(found.leaks());
/// assert!(found.findings[0].sentence.starts_with("1 of 3 patients stands in more than one set"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`AuditError`].
pub fn audit(material: &Material, settings: &Settings) -> Result<Audit, AuditError> {
    settings.bootstrap.check()?;
    if material.is_empty() {
        return Err(AuditError::Empty);
    }
    let mut done = Audit {
        findings: Vec::new(),
        could_not_run: Vec::new(),
    };
    for check in CHECKS {
        match check.run(material, settings)? {
            Outcome::Ran(findings) => done.findings.extend(findings),
            Outcome::CannotRun(why) => done.could_not_run.push((check.name().to_owned(), why)),
        }
    }
    done.findings.sort_by_key(|finding| finding.severity);
    Ok(done)
}

/// Why nothing could be audited. No message holds an identifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A table.
    #[error(transparent)]
    Table(#[from] crate::tables::TableError),
    /// A number of the settings.
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    /// No rows.
    #[error("the tables have no rows, there is nothing to audit")]
    Empty,
    /// A pattern that is none.
    #[error("the pattern that finds the patient is no regular expression ({reason}): {pattern:?}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern, and nothing to apply it to.
    #[error("patients are to be found in the rows' names, and no column holds them: name it with --name or --path")]
    NoNames,
    /// The positive label.
    #[error("no row has the positive label {label:?} in column {column:?}: the labels there are {labels}")]
    NoSuchLabel {
        /// What was asked for.
        label: String,
        /// Where.
        column: String,
        /// What there is.
        labels: String,
    },
    /// Features of other rows.
    #[error(
        "the features have {features} rows and the table has {rows}: audit the features with the table that they were made from"
    )]
    Features {
        /// Rows of the features.
        features: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A split of other rows.
    #[error(
        "the split names {unknown} of its {split} rows that the table, with {rows} rows, does not have: give the split of this table"
    )]
    Split {
        /// Rows of the split.
        split: usize,
        /// Those that are not in the table.
        unknown: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A split that gives one row two sets.
    #[error(
        "rows {first} and {second} of the split give row {row} of the table two sets, {} and {} ({}): leave one of them out",
        said(.sets[0].as_deref()), said(.sets[1].as_deref()), twice(*.rows)
    )]
    SplitTwice {
        /// The row of the table, from 1.
        row: usize,
        /// The row of the split that names it first, from 1.
        first: usize,
        /// The row of the split that contradicts.
        second: usize,
        /// What both say.
        sets: [Option<String>; 2],
        /// Rows of the table of which this holds.
        rows: usize,
    },
    /// A pattern that captures nothing.
    #[error(
        "the pattern that finds the patient has no group: put parentheses around the part that is the patient, such as \"^(P[0-9]+)_\": {pattern:?}"
    )]
    PatternGroup {
        /// The pattern.
        pattern: String,
    },
    /// A pattern that no row has.
    #[error(
        "the pattern that finds the patient matches 0 of {} with a text in {place}: mend it, or name another column: {pattern:?}",
        counted(*.texts, "row")
    )]
    PatternMatchesNothing {
        /// The pattern.
        pattern: String,
        /// Rows that it was tried on.
        texts: usize,
        /// What it was tried on.
        place: String,
    },
    /// Metadata of other patients.
    #[error(
        "0 of {} with a text in {place} belong to one of the {} in column {key:?} of the metadata: name the column that holds the rows' patients (--metadata-key), or say which part of the text is the patient (--patient-pattern)",
        counted(*.texts, "row"), counted(*.patients, "patient")
    )]
    NobodyKnown {
        /// Rows that were looked up.
        texts: usize,
        /// What was looked up.
        place: String,
        /// Different names in the metadata.
        patients: usize,
        /// Their column.
        key: String,
    },
    /// Features whose names are not the table's.
    #[error(
        "{} of {} ids of the features (`slice_id`) are among the table's: {}",
        count(*.known), count(*.features), way_out_of_ids(*.features, *.rows)
    )]
    FeatureIds {
        /// Rows of the features.
        features: usize,
        /// Those whose ids the table has.
        known: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A printed table in which nothing can be computed.
    #[error("no column of the printed table holds two counts, a mean or a percentage that could be checked: {path:?}")]
    NothingPrinted {
        /// The file.
        path: PathBuf,
    },
}

fn said(set: Option<&str>) -> String {
    set.map_or_else(|| "none".to_owned(), |set| format!("{set:?}"))
}

fn twice(rows: usize) -> String {
    match rows {
        1 => "this row alone".to_owned(),
        rows => format!("{} rows of the table have two", count(rows)),
    }
}

fn way_out_of_ids(features: usize, rows: usize) -> String {
    match features == rows {
        true => "leave --id out to join by order, or name the column that the features were made with".to_owned(),
        false => format!(
            "name the column that the features were made with (joining by order, without --id, needs as many rows: the table has {})",
            count(rows)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_have_names_of_their_own() {
        let mut names: Vec<&str> = CHECKS.iter().map(|check| check.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
    }

    #[test]
    fn the_worst_severity_sorts_first() {
        assert!(Severity::Leak < Severity::Serious && Severity::Note < Severity::Ok);
    }
}
