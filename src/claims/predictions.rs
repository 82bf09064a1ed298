//! A user's scores beside the printed areas: AUC, sensitivity and specificity with patient-cluster intervals.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{ClaimsError, Findings, Measure, Source, Yours};
use crate::{
    cohort::Classes,
    eval::{AssessPlan, POSITIVE_KEY, Pooling, Scores, Unit, assess, not_converged},
    stats::{Bootstrap, Clusters, Ranking, newcombe, wilson},
    tables::{FileKind, ParquetTable, TextTable, read_table},
};

/// Where a study's predictions lie in its run folder.
const OF_A_RUN: &str = "predictions.parquet";

/// Endings of score columns that go by a paper's name: a study calls them by its heads.
const ENDINGS: [(&str, &[&str]); 5] = [
    ("linear", &["linear"]),
    ("svm", &["svm", "svm-rbf"]),
    ("knn", &["knn"]),
    ("a", &["model_a", "a", "pu-a"]),
    ("li", &["li", "covnet"]),
];

/// The set of all rows of a table without sets.
const WITHOUT_SETS: &str = "test";

/// A table of scores and what its columns mean.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// CSV, Parquet or xlsx, or a study's run folder.
    pub table: PathBuf,
    /// Column of the patients.
    pub patient: String,
    /// Column of the labels.
    pub label: String,
    /// Column of the sets; without it all rows are of the test set.
    pub set: String,
    /// The positive label; what a study's own file says where `None`.
    pub positive: Option<String>,
    /// The negative labels; all others where `None`.
    pub negative: Option<Vec<String>>,
    /// Score columns by the paper's names; those that are missing are found by their endings.
    pub scores: BTreeMap<String, String>,
    /// What one score is of.
    pub unit: Unit,
    /// How intervals are made; the level is the claim's.
    pub bootstrap: Bootstrap,
}

/// What was measured for one claim.
struct Found {
    value: f64,
    interval: Option<[f64; 2]>,
    level: f64,
    n_patients: usize,
    n_rows: usize,
    n_positive: usize,
    how: String,
}

/// Rows of the table that take part.
struct Rows {
    positive: Vec<bool>,
    patient: Vec<usize>,
    /// In the table, from 0.
    row: Vec<usize>,
}

impl Predictions {
    /// Measures the scores on the sets of the paper's claims and sets them beside.
    ///
    /// # Errors
    ///
    /// Columns, classes or sets that can't be found, and cells that are no numbers.
    pub fn beside(&self, findings: &mut Findings) -> Result<(), ClaimsError> {
        let path = match self.table.is_dir() {
            true => self.table.join(OF_A_RUN),
            false => self.table.clone(),
        };
        let table = read_table(&path)?;
        let classes = self.classes(&path)?;
        let columns = self.columns(findings, &table)?;
        let sets = self.sets(&table, &classes)?;
        let mut measured = 0;
        for finding in &mut findings.findings {
            let Some(source) = &finding.claim.yours else { continue };
            let column = source.scores.as_ref().and_then(|name| columns.get(name));
            let rows = source.set.as_ref().and_then(|set| sets.get(set));
            if let (Some(column), Some(rows)) = (column, rows) {
                finding.from_your_data = self.measure(source, &table, column, rows)?;
                measured += usize::from(finding.from_your_data.is_some());
            }
        }
        if measured == 0 {
            let found = table.column(&self.set).map_or_else(|_| String::new(), few);
            return Err(ClaimsError::NoRows {
                rows: table.n_rows,
                found,
            });
        }
        Ok(())
    }

    fn classes(&self, path: &Path) -> Result<Classes, ClaimsError> {
        let stored = match (&self.positive, FileKind::of(path)?) {
            (Some(positive), _) => Some(positive.clone()),
            (None, FileKind::Parquet) => {
                let table = ParquetTable::open(path)?;
                table
                    .metadata()
                    .get(POSITIVE_KEY)
                    .filter(|name| !name.is_empty())
                    .cloned()
            }
            (None, _) => None,
        };
        let positive = stored.ok_or(ClaimsError::NoPositive)?;
        Ok(Classes {
            positive,
            negative: self.negative.clone(),
        })
    }

    /// The score column of each name that claims use.
    fn columns(&self, findings: &Findings, table: &TextTable) -> Result<BTreeMap<String, String>, ClaimsError> {
        let sources = findings
            .findings
            .iter()
            .filter_map(|finding| finding.claim.yours.as_ref());
        let wanted: BTreeSet<&String> = sources.filter_map(|source| source.scores.as_ref()).collect();
        let all = || wanted.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        for (name, column) in &self.scores {
            if !wanted.contains(name) {
                return Err(ClaimsError::UnknownScores {
                    found: name.clone(),
                    expected: all(),
                });
            }
            table.column(column)?;
        }
        let mut columns = self.scores.clone();
        for name in &wanted {
            let endings = ENDINGS
                .iter()
                .find(|(of, _)| of == name)
                .map_or(&[][..], |(_, endings)| endings);
            let fits = |column: &&str| {
                let last = column.rsplit_once('.').map_or(*column, |(_, last)| last);
                endings.contains(&last.to_lowercase().as_str())
            };
            let found: Vec<&str> = table.names().filter(fits).collect();
            match (columns.contains_key(*name), &found[..]) {
                (true, _) | (false, []) => {}
                (false, [one]) => {
                    columns.insert((*name).clone(), (*one).to_owned());
                }
                (false, several) => {
                    let (name, count, columns) = ((*name).clone(), several.len(), several.join(", "));
                    return Err(ClaimsError::AmbiguousScores { name, count, columns });
                }
            }
        }
        if columns.is_empty() {
            let example = wanted.first().map(|name| (*name).clone()).unwrap_or_default();
            let names: Vec<&str> = table.names().collect();
            return Err(ClaimsError::NoScores {
                wanted: all(),
                example,
                columns: names.join(", "),
            });
        }
        Ok(columns)
    }

    /// Rows by the claims' names of their sets: all external sites are one.
    fn sets(&self, table: &TextTable, classes: &Classes) -> Result<BTreeMap<String, Rows>, ClaimsError> {
        let (labels, patients) = (table.column(&self.label)?, table.column(&self.patient)?);
        let given = match table.column(&self.set) {
            Ok(cells) => Some(cells),
            Err(_) => {
                tracing::warn!(
                    "no column {:?} tells sets apart: all rows are taken for the test set",
                    self.set
                );
                None
            }
        };
        // Integers in the order of the identifiers, so that intervals don't depend on the order of the rows.
        let ids: BTreeSet<&String> = patients.iter().flatten().collect();
        let number: BTreeMap<&String, usize> = ids.into_iter().enumerate().map(|(at, id)| (id, at)).collect();
        let mut sets: BTreeMap<String, Rows> = BTreeMap::new();
        let mut left_out = 0;
        for row in 0..table.n_rows {
            let set = given.map_or(Some(WITHOUT_SETS), |cells| cells[row].as_deref());
            let side = labels[row].as_deref().and_then(|label| classes.side(label));
            let (Some(set), Some(positive), Some(patient)) = (set, side, &patients[row]) else {
                left_out += 1;
                continue;
            };
            let name = match set {
                "val" => "validation",
                external if external.starts_with("external") => "external",
                other => other,
            };
            let rows = sets.entry(name.to_owned()).or_insert_with(|| Rows {
                positive: Vec::new(),
                patient: Vec::new(),
                row: Vec::new(),
            });
            rows.positive.push(positive);
            rows.patient.push(number[patient]);
            rows.row.push(row);
        }
        if !sets.values().any(|rows| rows.positive.contains(&true)) {
            return Err(ClaimsError::Positive {
                positive: classes.positive.clone(),
                labels: few(labels),
            });
        }
        if left_out > 0 {
            tracing::warn!(
                "{left_out} of {} rows without a set, a class or a patient are left out",
                table.n_rows
            );
        }
        Ok(sets)
    }

    /// `None` where the table can't tell: no threshold for a sensitivity, one class only.
    fn measure(
        &self,
        source: &Source,
        table: &TextTable,
        column: &str,
        rows: &Rows,
    ) -> Result<Option<Yours>, ClaimsError> {
        let thresholds = format!("{column}.threshold");
        let decided = match (source.measure, table.column(&thresholds).is_ok()) {
            (Measure::Auc | Measure::SpecificityAtSensitivity, _) => false,
            (Measure::Sensitivity | Measure::Specificity, true) => true,
            _ => return Ok(None),
        };
        // Rows that the study could not score have an empty cell.
        let scored = table.column(column)?;
        let at: Vec<usize> = (0..rows.row.len())
            .filter(|at| scored[rows.row[*at]].is_some())
            .collect();
        let row: Vec<usize> = at.iter().map(|at| rows.row[*at]).collect();
        let positive = at.iter().map(|at| rows.positive[*at]).collect();
        let patient = at.iter().map(|at| rows.patient[*at]).collect();
        let mut scores = Scores::new(positive, numbers(table, column, &row)?, patient)?;
        if decided {
            scores = scores.with_thresholds(numbers(table, &thresholds, &row)?);
        }
        if source.measure == Measure::SpecificityAtSensitivity {
            return self.at_sensitivity(source, table, column, &scores);
        }
        let pooled = scores.pool(self.unit, Pooling::Mean)?.scores;
        let units = pooled.as_ref();
        let once = vec![1; units.len()];
        let ranking = Ranking::new(units.positive(), units.score());
        let called: Vec<bool> = match units.thresholds() {
            Some(own) => units.score().iter().zip(own).map(|(score, own)| score >= own).collect(),
            None => Vec::new(),
        };
        let statistic = |weights: &[u32]| match source.measure {
            Measure::Auc => ranking.auc(weights),
            measure => share(units.positive(), &called, weights, measure == Measure::Sensitivity),
        };
        let Some(value) = statistic(&once) else {
            let set = source.set.as_deref().unwrap_or_default();
            tracing::warn!(
                "a class is missing from the scored rows of the set {set:?}, its claims stay without your figure"
            );
            return Ok(None);
        };
        let patients = |class: bool| {
            let of_class = units
                .patient()
                .iter()
                .zip(units.positive())
                .filter(|(_, positive)| **positive == class);
            of_class.map(|(patient, _)| patient).collect::<BTreeSet<_>>().len()
        };
        let (positives, negatives) = (patients(true), patients(false));
        let n_patients = Clusters::new(units.patient()).count();
        let level = source.level.unwrap_or(self.bootstrap.level);
        let bootstrap = Bootstrap {
            level,
            ..self.bootstrap
        };
        let fewest = match source.measure {
            Measure::Auc => positives.min(negatives),
            Measure::Sensitivity => positives,
            _ => negatives,
        };
        let percent = 100.0 * level;
        let (interval, how) = if fewest < 2 {
            (None, "no interval, fewer than 2 patients in a class".to_owned())
        } else if value == 0.0 || value == 1.0 {
            let interval = match source.measure {
                Measure::Auc => newcombe(value, positives, negatives, level)?,
                _ => wilson(value as usize * fewest, fewest, level)?,
            };
            (
                Some(interval),
                format!("{percent} % score interval on the number of patients"),
            )
        } else {
            let clusters = Clusters::new(units.patient());
            let replicates = bootstrap.resample(&clusters, |weights| Some(vec![statistic(weights)?]))?;
            let (resamples, seed) = (bootstrap.resamples, bootstrap.seed);
            let how = format!("{percent} % percentile interval of {resamples} patient-cluster resamples, seed {seed}");
            (Some(replicates.interval(0)), how)
        };
        let found = Found {
            value,
            interval,
            level,
            n_patients,
            n_rows: scores.len(),
            n_positive: units.positive().iter().filter(|positive| **positive).count(),
            how,
        };
        Ok(Some(self.yours(source, table, column, found)?))
    }

    /// The specificity at a sensitivity; `None` where a class is missing.
    fn at_sensitivity(
        &self,
        source: &Source,
        table: &TextTable,
        column: &str,
        scores: &Scores,
    ) -> Result<Option<Yours>, ClaimsError> {
        let standard = AssessPlan::default();
        let plan = AssessPlan {
            unit: self.unit,
            pool: Pooling::Mean,
            bootstrap: Bootstrap {
                level: source.level.unwrap_or(self.bootstrap.level),
                ..self.bootstrap
            },
            sensitivity: source.sensitivity.unwrap_or(standard.sensitivity),
            ..standard
        };
        let found = assess(column, source.set.as_deref().unwrap_or_default(), scores, &plan)?;
        let measured = found.get("specificity-at-sensitivity").map(|measure| &measure.row);
        let Some((row, value)) = measured.and_then(|row| Some((row, row.value?))) else {
            return Ok(None);
        };
        let found = Found {
            value,
            interval: row.ci,
            level: row.level,
            n_patients: row.n_patients,
            n_rows: row.n_rows,
            n_positive: row.n_positive,
            how: row.method.clone(),
        };
        Ok(Some(self.yours(source, table, column, found)?))
    }

    fn yours(&self, source: &Source, table: &TextTable, column: &str, found: Found) -> Result<Yours, ClaimsError> {
        let Found {
            value,
            interval,
            n_patients,
            n_rows,
            ..
        } = found;
        let not_converged = not_converged(table, column)?;
        // A network that found nothing neither confirms nor contradicts.
        let compared = interval.filter(|_| not_converged.is_none());
        let shown = interval.map_or_else(String::new, |[low, high]| format!(" ({low:.3} to {high:.3})"));
        let unit = self.unit;
        Ok(Yours {
            value,
            interval,
            level: found.level,
            within: compared.map(|[low, high]| low <= source.value && source.value <= high),
            unit: unit.to_string(),
            n_patients,
            n_rows,
            n_positive: found.n_positive,
            method: format!("column {column}, one score a {unit}; {}", found.how),
            text: format!("{value:.3}{shown}, a {unit}; {n_patients} patients, {n_rows} rows"),
            not_converged,
        })
    }
}

/// The values of a column for a message, or their number where they could be identifiers.
fn few(cells: &[Option<String>]) -> String {
    let names: BTreeSet<&str> = cells.iter().flatten().map(String::as_str).collect();
    match names.len() {
        0 => "none".to_owned(),
        count @ 9.. => format!("{count} different ones"),
        _ => names.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// Share of a class that is called right, each row counted `weights` times.
fn share(positive: &[bool], called: &[bool], weights: &[u32], class: bool) -> Option<f64> {
    let (mut hits, mut of) = (0_u64, 0_u64);
    for ((&positive, &called), &weight) in positive.iter().zip(called).zip(weights) {
        if positive == class {
            of += u64::from(weight);
            hits += if called == class { u64::from(weight) } else { 0 };
        }
    }
    (of > 0).then(|| hits as f64 / of as f64)
}

fn numbers(table: &TextTable, column: &str, rows: &[usize]) -> Result<Vec<f64>, ClaimsError> {
    let cells = table.column(column)?;
    let read = |row: &usize| cells[*row].as_deref().and_then(|cell| cell.trim().parse::<f64>().ok());
    let values: Vec<Option<f64>> = rows
        .iter()
        .map(|row| read(row).filter(|value| value.is_finite()))
        .collect();
    let bad: Vec<usize> = (0..rows.len()).filter(|at| values[*at].is_none()).collect();
    match bad.first() {
        Some(first) => Err(ClaimsError::NotANumber {
            column: column.to_owned(),
            count: bad.len(),
            row: rows[*first] + 1,
        }),
        None => Ok(values.into_iter().flatten().collect()),
    }
}
