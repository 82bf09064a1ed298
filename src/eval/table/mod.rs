//! Tables of scores, whoever made them: labels, patients and one or more columns of scores, from CSV, Parquet or Excel.

mod columns;
mod error;
mod join;
mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use self::{columns::Roles, error::counted};
pub use self::{
    error::ScoreTableError,
    plan::{PatientColumn, ScorePlan},
};
use super::{EvalError, Scores};
use crate::tables::{FileKind, ParquetTable, TextTable, read_table};

/// The threshold that decides each row of the scores `NAME` stands in the column `NAME.threshold`, whose ending may be in any case.
pub const THRESHOLD: &str = ".threshold";

/// Whether the training of the scores `NAME` converged stands in the column `NAME.converged`, whose ending may be in any case:
/// `yes`, `no` or `no: why`.
pub const CONVERGED: &str = ".converged";

/// What stands in the column of [`CONVERGED`].
pub fn converged_cell(not_converged: Option<&str>) -> String {
    not_converged.map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"))
}

/// Why the scores of a column must not be taken for those of a trained network; `None` where the table does not say so.
///
/// # Errors
///
/// A word in the column of [`CONVERGED`] that says neither.
pub fn not_converged(table: &TextTable, scores: &str) -> Result<Option<String>, ScoreTableError> {
    match columns::beside(table, scores, CONVERGED) {
        Some(column) => columns::not_converged(table, column, &(0..table.n_rows).collect::<Vec<_>>()),
        None => Ok(None),
    }
}

/// Where a run folder keeps its scores.
const PREDICTIONS: &str = "predictions.parquet";

/// Under this key our own Parquet tables name the positive class.
pub const POSITIVE_KEY: &str = "hounsfield.positive";

/// Labelled rows with whose they are and what they scored. Holds no name of a patient.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreTable {
    /// Name of the positive class.
    pub positive_name: String,
    /// What the others are called: their names, or `all other labels`.
    pub negative_name: String,
    /// Rows of the file.
    pub rows_read: usize,
    /// Whether each row is of the positive class.
    pub positive: Vec<bool>,
    /// The patient of each row, numbered in the order of the identifiers.
    pub patient: Vec<usize>,
    /// The scan of each row, where a column tells.
    pub scan: Option<Vec<usize>>,
    /// The set of each row, where a column tells.
    pub set: Option<Vec<String>>,
    /// The columns that subgroups are made of; a cell may be empty.
    pub groups: Vec<(String, Vec<Option<String>>)>,
    /// The columns of scores.
    pub scores: Vec<ScoreColumn>,
    /// Whether they were found, not named.
    pub guessed: bool,
    /// Rows that were left out though they should have counted: without patient, label or score.
    pub left_out: usize,
    /// What a reader must know of the table.
    pub warnings: Vec<String>,
}

/// One column of scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreColumn {
    /// Its name.
    pub name: String,
    /// The score of each row; `None` where it is missing or no finite number.
    pub score: Vec<Option<f64>>,
    /// The threshold of each row, where the table has a column `NAME.threshold`.
    pub threshold: Option<Vec<Option<f64>>>,
    /// Why its training must be taken for one that did not converge, where the table says so in a column `NAME.converged`. Such
    /// scores are shown with a mark, and are compared with nothing.
    pub not_converged: Option<String>,
}

impl ScoreColumn {
    /// What a reader must know of scores whose training did not converge.
    fn caution(&self) -> Option<String> {
        let why = self.not_converged.as_ref()?;
        Some(format!(
            "the training of {} did not converge: {why}; its figures are of a network that found nothing, and are compared with no other",
            self.name
        ))
    }
}

impl ScoreTable {
    /// Reads a file, of a run folder its `predictions.parquet`; our own Parquet tables name the positive class where the plan does
    /// not.
    ///
    /// # Errors
    ///
    /// [`ScoreTableError`]; messages name rows and columns, never a patient.
    pub fn open(path: &Path, plan: &ScorePlan) -> Result<Self, ScoreTableError> {
        let mut plan = plan.clone();
        let path = predictions_of(path);
        if plan.positive.is_none() {
            plan.positive = positive_of(&path)?;
        }
        Self::new(&read_table(&path)?, &plan)
    }

    /// Takes a table of text apart.
    ///
    /// # Errors
    ///
    /// [`ScoreTableError`]: a column that is not there or not clear, a positive class that no row has, no rows.
    pub fn new(table: &TextTable, plan: &ScorePlan) -> Result<Self, ScoreTableError> {
        Ok(Self::keyed(table, plan)?.0)
    }

    /// The table, and the identifiers of its patients in their order, which no output may show.
    fn keyed(table: &TextTable, plan: &ScorePlan) -> Result<(Self, Vec<String>), ScoreTableError> {
        let rows_read = table.n_rows;
        if rows_read == 0 {
            return Err(ScoreTableError::Empty);
        }
        let roles = Roles::find(table, plan)?;
        let sides = sides(&roles, plan)?;
        let kept: Vec<usize> = (0..rows_read)
            .filter(|&row| sides[row].is_some() && roles.patient.is_none_or(|cells| cell(cells, row).is_some()))
            .collect();
        if kept.is_empty() {
            return Err(ScoreTableError::NothingLeft { rows: rows_read });
        }
        let patient = match roles.patient {
            None => kept.clone(),
            Some(cells) => numbered(&kept, |row| cell(cells, row).unwrap_or_default().to_owned()),
        };
        let scan = roles.scan.map(|cells| {
            // Scan numbers such as "1" are often unique within a patient only; a row without one is a scan of its own.
            let keys: Vec<(usize, Option<&str>, usize)> = kept
                .iter()
                .zip(&patient)
                .map(|(&row, &patient)| match cell(cells, row) {
                    Some(scan) => (patient, Some(scan), 0),
                    None => (patient, None, row),
                })
                .collect();
            let indices: Vec<usize> = (0..kept.len()).collect();
            numbered(&indices, |at| keys[at])
        });
        let of_kept = |cells: &[Option<String>]| -> Vec<Option<String>> {
            kept.iter().map(|&row| cell(cells, row).map(str::to_owned)).collect()
        };
        let set = roles.set.map(|cells| {
            let named = of_kept(cells).into_iter();
            named
                .map(|name| name.unwrap_or_else(|| "(no set)".to_owned()))
                .collect()
        });
        let mut scores = Vec::new();
        for name in &roles.scores {
            let own = |ending: &str| columns::beside(table, name, ending);
            let threshold = own(THRESHOLD).map(|own| columns::numbers(table, own, &kept));
            let not_converged = own(CONVERGED).map(|own| columns::not_converged(table, own, &kept));
            scores.push(ScoreColumn {
                name: name.clone(),
                score: columns::numbers(table, name, &kept)?,
                threshold: threshold.transpose()?,
                not_converged: not_converged.transpose()?.flatten(),
            });
        }
        let mut whole = Self {
            positive_name: plan.positive.clone().unwrap_or_default(),
            negative_name: match plan.negative.is_empty() {
                true => "all other labels".to_owned(),
                false => plan.negative.join(" or "),
            },
            rows_read,
            positive: kept.iter().map(|&row| sides[row] == Some(true)).collect(),
            patient,
            scan,
            set,
            groups: Vec::new(),
            scores,
            guessed: plan.scores.is_empty(),
            left_out: 0,
            warnings: Vec::new(),
        };
        for name in &plan.by {
            let cells = of_kept(table.column(name)?);
            columns::check_groups(name, &cells, &roles, &kept, &whole.patient)?;
            whole.groups.push((name.clone(), cells));
        }
        whole.count_losses(&roles, &sides);
        if !roles.passed_over.is_empty() {
            whole.warnings.push(format!(
                "not taken for scores, as their names look like identifiers: {} (name them with --score)",
                roles.passed_over.join(", ")
            ));
        }
        whole.warnings.extend(whole.shared_patients());
        whole
            .warnings
            .extend(whole.scores.iter().filter_map(ScoreColumn::caution));
        let names = roles.patient.map(|cells| {
            let names: BTreeSet<&str> = kept.iter().filter_map(|&row| cell(cells, row)).collect();
            names.into_iter().map(str::to_owned).collect()
        });
        Ok((whole, names.unwrap_or_default()))
    }

    /// What to know where sets share patients: figures on one are then no evidence beside the other.
    fn shared_patients(&self) -> Option<String> {
        let mut sets = BTreeMap::<usize, BTreeSet<&str>>::new();
        for (patient, set) in self.patient.iter().zip(self.set.as_ref()?) {
            sets.entry(*patient).or_default().insert(set);
        }
        let shared = sets.values().filter(|sets| sets.len() > 1).count();
        let patients = sets.len();
        (shared > 0).then(|| {
            format!("{shared} of {patients} patients stand in more than one set: look closer with `hounsfield audit`")
        })
    }

    /// Number of rows that have a patient and a label.
    pub fn len(&self) -> usize {
        self.positive.len()
    }

    /// Whether there is no row; [`new`](Self::new) refuses such tables.
    pub fn is_empty(&self) -> bool {
        self.positive.is_empty()
    }

    /// The sets in alphabetical order, `all` where no column tells sets apart, each with its rows.
    pub fn sets(&self) -> Vec<(String, Vec<usize>)> {
        let Some(of_row) = &self.set else {
            return vec![("all".to_owned(), (0..self.len()).collect())];
        };
        let mut sets = BTreeMap::<&str, Vec<usize>>::new();
        for (row, name) in of_row.iter().enumerate() {
            sets.entry(name).or_default().push(row);
        }
        sets.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect()
    }

    /// The groups of one of [`groups`](Self::groups) among these rows, in alphabetical order, and the number of rows that
    /// belong to none.
    pub fn groups_of(&self, column: usize, rows: &[usize]) -> (Vec<(String, Vec<usize>)>, usize) {
        let mut groups = BTreeMap::<&str, Vec<usize>>::new();
        let mut without = 0;
        for &row in rows {
            match &self.groups[column].1[row] {
                Some(name) => groups.entry(name).or_default().push(row),
                None => without += 1,
            }
        }
        let groups = groups.into_iter().map(|(name, rows)| (name.to_owned(), rows));
        (groups.collect(), without)
    }

    /// Those of these rows that have a score in each of the columns.
    pub fn scored(&self, columns: &[usize], rows: &[usize]) -> Vec<usize> {
        let has_all = |row: &usize| columns.iter().all(|&column| self.scores[column].score[*row].is_some());
        rows.iter().copied().filter(has_all).collect()
    }

    /// The scores of one column in these rows, which all have one; with thresholds where all rows have these.
    ///
    /// # Errors
    ///
    /// [`EvalError`], which [`scored`](Self::scored) rows do not give.
    pub fn scores(&self, column: usize, rows: &[usize]) -> Result<Scores, EvalError> {
        let column = &self.scores[column];
        let values = rows.iter().map(|&row| column.score[row].unwrap_or(f64::NAN)).collect();
        let positive = rows.iter().map(|&row| self.positive[row]).collect();
        let patient = rows.iter().map(|&row| self.patient[row]).collect();
        let mut scores = Scores::new(positive, values, patient)?;
        if let Some(scan) = &self.scan {
            scores = scores.with_scans(rows.iter().map(|&row| scan[row]).collect());
        }
        let own: Option<Vec<f64>> = column
            .threshold
            .as_ref()
            .and_then(|own| rows.iter().map(|&row| own[row]).collect());
        Ok(match own {
            Some(own) => scores.with_thresholds(own),
            None => scores,
        })
    }

    fn count_losses(&mut self, roles: &Roles, sides: &[Option<bool>]) {
        let rows = self.rows_read;
        let lost = |what: bool, why: &dyn Fn(usize) -> bool| match what {
            true => (0..rows).filter(|&row| why(row)).count(),
            false => 0,
        };
        let no_patient = lost(true, &|row| {
            roles.patient.is_some_and(|cells| cell(cells, row).is_none())
        });
        let no_label = lost(true, &|row| cell(roles.label, row).is_none());
        let neither = lost(true, &|row| sides[row].is_none() && cell(roles.label, row).is_some());
        let mut warn = |n: usize, why: &str| {
            if n > 0 {
                self.warnings.push(format!("{n} of {rows} rows are left out: {why}"));
            }
        };
        warn(no_patient, "they name no patient");
        warn(no_label, "they have no label");
        warn(neither, "their label is of neither class");
        self.left_out = rows - self.len() - neither.min(rows - self.len());
        let labelled = self.len();
        for column in &self.scores {
            if let Some(own) = &column.threshold {
                let pairs = column.score.iter().zip(own);
                let without = pairs.filter(|(score, own)| score.is_some() && own.is_none()).count();
                if without > 0 {
                    self.warnings.push(format!(
                        "{without} rows have a score in column {:?} and no threshold: sets that hold them are measured without \
                         the table's own thresholds",
                        column.name
                    ));
                }
            }
            let missing = column.score.iter().filter(|score| score.is_none()).count();
            if missing > 0 {
                self.left_out += missing;
                self.warnings.push(format!(
                    "{missing} of {labelled} rows have no finite number in column {:?} and are left out of its figures",
                    column.name
                ));
            }
        }
    }
}

/// The file of a table: a run folder's own, where a folder is named.
fn predictions_of(file: &Path) -> PathBuf {
    match file.is_dir() {
        true => file.join(PREDICTIONS),
        false => file.to_owned(),
    }
}

/// The positive class that one of our own Parquet tables names.
fn positive_of(path: &Path) -> Result<Option<String>, ScoreTableError> {
    if FileKind::of(path)? != FileKind::Parquet {
        return Ok(None);
    }
    let named = ParquetTable::open(path)?.metadata().get(POSITIVE_KEY).cloned();
    Ok(named.filter(|name| !name.is_empty()))
}

/// A cell without white space around it; `None` where nothing is left.
fn cell(cells: &[Option<String>], row: usize) -> Option<&str> {
    cells[row].as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// Integers in the order of the keys.
fn numbered<K: Ord + Clone>(rows: &[usize], key: impl Fn(usize) -> K) -> Vec<usize> {
    let keys: Vec<K> = rows.iter().map(|&row| key(row)).collect();
    let mut index: BTreeMap<K, usize> = keys.iter().map(|key| (key.clone(), 0)).collect();
    for (position, value) in index.values_mut().enumerate() {
        *value = position;
    }
    keys.iter().map(|key| index[key]).collect()
}

/// Labels are the same as text or, `1` and `1.0`, as numbers.
fn same_label(found: &str, wanted: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    found == wanted || number(found).is_some_and(|found| Some(found) == number(wanted))
}

/// Whether each row is of the positive class; `None` where it is of neither.
fn sides(roles: &Roles, plan: &ScorePlan) -> Result<Vec<Option<bool>>, ScoreTableError> {
    let rows = roles.label.len();
    let labels = || counted((0..rows).filter_map(|row| cell(roles.label, row)));
    let Some(positive) = plan.positive.as_deref() else {
        return Err(ScoreTableError::NoPositive {
            column: roles.label_name.clone(),
            labels: labels(),
        });
    };
    let negatives = &plan.negative;
    if negatives.iter().any(|negative| same_label(negative, positive)) {
        return Err(ScoreTableError::BothClasses {
            label: positive.to_owned(),
        });
    }
    for wanted in negatives.iter().map(String::as_str).chain([positive]) {
        if !(0..rows).any(|row| cell(roles.label, row).is_some_and(|found| same_label(found, wanted))) {
            return Err(ScoreTableError::NoSuchLabel {
                label: wanted.to_owned(),
                column: roles.label_name.clone(),
                labels: labels(),
            });
        }
    }
    let side = |row: usize| {
        let found = cell(roles.label, row)?;
        if same_label(found, positive) {
            return Some(true);
        }
        (negatives.is_empty() || negatives.iter().any(|name| same_label(found, name))).then_some(false)
    };
    Ok((0..rows).map(side).collect())
}

#[cfg(test)]
mod tests;
