//! Reads a study from a table: one row a reading.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    str::FromStr as _,
};

use super::{Case, ReaderStudy, ReaderStudyError, Scale};
use crate::tables::{TableError, TextTable};

/// More different ratings than this are a continuous scale.
const MOST_STEPS: usize = 20;

/// A list in a message shows as many.
const SHOWN: usize = 8;

/// Which column means what.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadingColumns {
    /// The reader.
    pub reader: String,
    /// The case.
    pub case: String,
    /// The patient; the case stands in where it is `None`.
    pub patient: Option<String>,
    /// The arm: without and with help, first and second session.
    pub arm: Option<String>,
    /// What is true of the case.
    pub label: String,
    /// What the reader said; an empty cell is a missing reading.
    pub rating: String,
    /// A model's score of the case.
    pub score: Option<String>,
}

/// How a table is understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadingPlan {
    /// Which column means what.
    pub columns: ReadingColumns,
    /// The label of the positive class.
    pub positive: String,
    /// The labels of the negative class; all others where empty.
    pub negative: Vec<String>,
    /// The rating that calls a case positive; the positive label where neither this nor a cutoff is given.
    pub called: Option<String>,
    /// The lowest of numeric ratings that calls a case positive.
    pub cutoff: Option<f64>,
    /// The arm that others are compared with.
    pub reference: Option<String>,
}

/// A row's cells, and its number from 1.
struct Row<'a> {
    number: usize,
    reader: &'a str,
    case: &'a str,
    patient: &'a str,
    arm: &'a str,
    label: &'a str,
    positive: bool,
    rating: &'a str,
    score: Option<f64>,
}

impl ReaderStudy {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// A column that isn't there, empty cells, a case with two labels, patients or scores, a reading that stands twice,
    /// ratings that nothing says how to call.
    pub fn read(table: &TextTable, plan: &ReadingPlan) -> Result<Self, ReaderStudyError> {
        let mut notes = Vec::new();
        let rows = rows(table, plan, &mut notes)?;
        if rows.is_empty() {
            return Err(ReaderStudyError::Empty {
                rows: table.n_rows,
                left_out: table.n_rows,
            });
        }
        let (scale, cutoff, rated) = ratings(&rows, plan)?;
        let names = |of: fn(&Row) -> String| -> Vec<String> {
            rows.iter().map(of).collect::<BTreeSet<String>>().into_iter().collect()
        };
        let readers = names(|row| row.reader.to_owned());
        let arms = arms(names(|row| row.arm.to_owned()), plan)?;
        let patients = names(|row| row.patient.to_owned());

        let mut first_of = BTreeMap::<&str, &Row>::new();
        for row in &rows {
            let first = *first_of.entry(row.case).or_insert(row);
            let contradictions = [
                ("label", first.positive != row.positive),
                ("patient", first.patient != row.patient),
                ("score", first.score != row.score),
            ];
            let Some((what, _)) = contradictions.into_iter().find(|(_, contradicts)| *contradicts) else {
                continue;
            };
            let (first, row) = (first.number, row.number);
            return Err(ReaderStudyError::TwoOfACase { what, first, row });
        }
        let place = |of: &[String], name: &str| of.binary_search_by(|other| other.as_str().cmp(name));
        let case = |row: &&Row| Case {
            // Every row's patient is in the list.
            patient: place(&patients, row.patient).unwrap_or_default(),
            positive: row.positive,
            score: row.score,
        };
        let cases: Vec<Case> = first_of.values().map(case).collect();
        let case_index: HashMap<&str, usize> = first_of
            .keys()
            .enumerate()
            .map(|(index, &name)| (name, index))
            .collect();
        let arm_index: HashMap<&str, usize> = arms
            .iter()
            .enumerate()
            .map(|(index, name)| (name.as_str(), index))
            .collect();

        let mut seen = vec![None; readers.len() * arms.len() * cases.len()];
        let (mut duplicate, mut found) = (None, 0);
        for (row, rating) in rows.iter().zip(rated) {
            let reader = place(&readers, row.reader).unwrap_or_default();
            let seat = &mut seen[(reader * arms.len() + arm_index[row.arm]) * cases.len() + case_index[row.case]];
            match *seat {
                None => *seat = Some((row.number, rating)),
                Some((first, _)) => {
                    duplicate.get_or_insert((first, row.number));
                    found += 1;
                }
            }
        }
        if let Some((first, row)) = duplicate {
            return Err(ReaderStudyError::Duplicate { first, row, found });
        }
        Ok(Self {
            positive: plan.positive.clone(),
            readers,
            arms,
            cases,
            scale,
            cutoff,
            notes,
            ratings: seen.into_iter().map(|seat| seat.map(|(_, rating)| rating)).collect(),
        })
    }
}

/// The rows that are readings of the two classes.
fn rows<'a>(
    table: &'a TextTable,
    plan: &'a ReadingPlan,
    notes: &mut Vec<String>,
) -> Result<Vec<Row<'a>>, ReaderStudyError> {
    let columns = &plan.columns;
    let optional = |name: &'a Option<String>| -> Result<Option<&'a [Option<String>]>, TableError> {
        name.as_ref().map(|name| table.column(name)).transpose()
    };
    let (reader, case) = (table.column(&columns.reader)?, table.column(&columns.case)?);
    let (label, rating) = (table.column(&columns.label)?, table.column(&columns.rating)?);
    let (patient, arm, score) = (
        optional(&columns.patient)?,
        optional(&columns.arm)?,
        optional(&columns.score)?,
    );
    if table.n_rows == 0 {
        return Err(ReaderStudyError::NoRows);
    }
    if plan.negative.contains(&plan.positive) {
        return Err(ReaderStudyError::BothClasses {
            label: plan.positive.clone(),
        });
    }
    let labels: Vec<&str> = label.iter().filter_map(text).collect();
    for wanted in plan.negative.iter().chain([&plan.positive]) {
        if !labels.contains(&wanted.as_str()) {
            return Err(ReaderStudyError::NoSuchLabel {
                label: wanted.clone(),
                column: columns.label.clone(),
                labels: listed(&labels),
            });
        }
    }
    let (mut kept, mut unlabelled, mut unrated, mut other) = (Vec::new(), 0, 0, 0);
    for index in 0..table.n_rows {
        let number = index + 1;
        let filled = |cells: &'a [Option<String>], what: &'static str, column: &str| {
            text(&cells[index]).ok_or_else(|| ReaderStudyError::EmptyCell {
                row: number,
                what,
                column: column.to_owned(),
            })
        };
        let reader = filled(reader, "reader", &columns.reader)?;
        let case = filled(case, "case", &columns.case)?;
        let patient = match (patient, &columns.patient) {
            (Some(cells), Some(column)) => filled(cells, "patient", column)?,
            _ => case,
        };
        let arm = match (arm, &columns.arm) {
            (Some(cells), Some(column)) => filled(cells, "arm", column)?,
            _ => "",
        };
        let Some(label) = text(&label[index]) else {
            unlabelled += 1;
            continue;
        };
        let positive = label == plan.positive;
        if !positive && !plan.negative.is_empty() && !plan.negative.iter().any(|negative| negative == label) {
            other += 1;
            continue;
        }
        let Some(rating) = text(&rating[index]) else {
            unrated += 1;
            continue;
        };
        let score = match (score.and_then(|cells| text(&cells[index])), &columns.score) {
            (Some(cell), Some(column)) => Some(number_of(cell, number, column)?),
            _ => None,
        };
        kept.push(Row {
            number,
            reader,
            case,
            patient,
            arm,
            label,
            positive,
            rating,
            score,
        });
    }
    for (count, why) in [
        (unlabelled, "have no label and take no part"),
        (
            other,
            "have a label that is neither positive nor negative and take no part",
        ),
        (unrated, "have no rating and count as missing readings"),
    ] {
        if count > 0 {
            notes.push(format!("{count} of {} rows {why}", table.n_rows));
        }
    }
    Ok(kept)
}

/// What the ratings are, from which on a case is called positive, and the rating of each row.
fn ratings(rows: &[Row], plan: &ReadingPlan) -> Result<(Scale, f64, Vec<f64>), ReaderStudyError> {
    let given: Vec<&str> = rows.iter().map(|row| row.rating).collect();
    let distinct: BTreeSet<&str> = given.iter().copied().collect();
    let labels: BTreeSet<&str> = rows.iter().map(|row| row.label).collect();
    let shown = || listed(&given);
    let Some(cutoff) = plan.cutoff else {
        let called = match &plan.called {
            Some(called) if !distinct.contains(called.as_str()) => {
                let called = called.clone();
                return Err(ReaderStudyError::NoSuchRating {
                    called,
                    ratings: shown(),
                });
            }
            Some(called) => called,
            // Where readers rate by the labels' names, the positive one may have been given to no case.
            None if distinct.contains(plan.positive.as_str()) || distinct.is_subset(&labels) => &plan.positive,
            None => {
                let positive = plan.positive.clone();
                return Err(ReaderStudyError::NoCutoff {
                    positive,
                    ratings: shown(),
                });
            }
        };
        if distinct.len() > 2 {
            let found = distinct.len();
            return Err(ReaderStudyError::NotBinary {
                found,
                ratings: shown(),
            });
        }
        let rated = given
            .iter()
            .map(|rating| f64::from(u8::from(rating == called)))
            .collect();
        return Ok((Scale::Binary, 1.0, rated));
    };
    if !cutoff.is_finite() {
        return Err(ReaderStudyError::Cutoff { found: cutoff });
    }
    let rated = rows
        .iter()
        .map(|row| number_of(row.rating, row.number, &plan.columns.rating))
        .collect::<Result<Vec<f64>, _>>()?;
    Ok((scale(&rated), cutoff, rated))
}

fn scale(rated: &[f64]) -> Scale {
    let mut steps = rated.to_vec();
    steps.sort_by(f64::total_cmp);
    steps.dedup_by(|a, b| a == b);
    let (lowest, highest) = (steps[0], steps[steps.len() - 1]);
    // A step that nobody chose lies between its neighbours all the same.
    if steps.iter().all(|step| step.fract() == 0.0) && highest - lowest < MOST_STEPS as f64 {
        steps = (0..=(highest - lowest) as u32)
            .map(|up| lowest + f64::from(up))
            .collect();
    }
    match steps.len() {
        ..=2 => Scale::Binary,
        len if len <= MOST_STEPS => Scale::Ordinal { steps },
        _ => Scale::Continuous,
    }
}

/// The arms with the reference first.
fn arms(mut arms: Vec<String>, plan: &ReadingPlan) -> Result<Vec<String>, ReaderStudyError> {
    let names = || arms.join(", ");
    match &plan.reference {
        None if arms.len() > 1 => {
            return Err(ReaderStudyError::NoReference {
                found: arms.len(),
                arms: names(),
            });
        }
        Some(reference) if plan.columns.arm.is_some() => match arms.iter().position(|arm| arm == reference) {
            Some(at) => arms[..=at].rotate_right(1),
            None => {
                return Err(ReaderStudyError::NoSuchArm {
                    arm: reference.clone(),
                    arms: names(),
                });
            }
        },
        _ => {}
    }
    Ok(arms)
}

/// The cell without space around it; `None` where it is blank.
fn text(cell: &Option<String>) -> Option<&str> {
    cell.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

fn number_of(cell: &str, row: usize, column: &str) -> Result<f64, ReaderStudyError> {
    f64::from_str(cell)
        .ok()
        .filter(|value| value.is_finite())
        .ok_or_else(|| ReaderStudyError::NotANumber {
            row,
            column: column.to_owned(),
        })
}

/// Distinct values with their counts, the most frequent ones.
fn listed(values: &[&str]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let more = counts.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = counts
        .iter()
        .take(SHOWN)
        .map(|(value, count)| format!("{value:?} ({count})"))
        .collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}
