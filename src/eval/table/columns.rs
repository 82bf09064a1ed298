//! Finds the columns of a table of scores, and reads those of numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::{CONVERGED, PatientColumn, ScorePlan, ScoreTableError, THRESHOLD, cell};
use crate::tables::{TextTable, holds_identifiers, looks_identifying};

/// More columns of numbers than this are a matrix of features.
const MOST_SCORES: usize = 24;

/// More values than this are no subgroups.
const MOST_GROUPS: usize = 20;

/// What our own tables and many others call columns of numbers that are no scores.
const NO_SCORES: [&str; 7] = ["row", "index", "set", "split", "fold", "site", "unnamed: 0"];

/// What is written where a number is missing.
const MISSING: [&str; 8] = ["na", "nan", "n/a", "null", "none", "-", "?", "."];

/// The columns by what they mean.
pub(super) struct Roles<'a> {
    pub patient: Option<&'a [Option<String>]>,
    pub label: &'a [Option<String>],
    pub label_name: String,
    pub scan: Option<&'a [Option<String>]>,
    pub set: Option<&'a [Option<String>]>,
    pub scores: Vec<String>,
    /// Columns of numbers that were not taken for scores, as their names look like identifiers.
    pub passed_over: Vec<String>,
}

impl<'a> Roles<'a> {
    pub fn find(table: &'a TextTable, plan: &ScorePlan) -> Result<Self, ScoreTableError> {
        let columns = || table.names().collect::<Vec<_>>().join(", ");
        let usual = |names: &[&str]| -> Option<String> {
            let found = names.iter().find(|name| table.names().any(|column| column == **name));
            found.map(|name| (*name).to_owned())
        };
        let patient = match &plan.patient {
            PatientColumn::PerRow => None,
            PatientColumn::Named(name) => Some(name.clone()),
            PatientColumn::Usual => match usual(&["patient_id", "patient"]) {
                None => return Err(ScoreTableError::NoPatients { columns: columns() }),
                found => found,
            },
        };
        let label = match plan.label.clone().or_else(|| usual(&["label"])) {
            Some(name) => name,
            None => return Err(ScoreTableError::NoLabel { columns: columns() }),
        };
        let scan = plan.scan.clone().or_else(|| usual(&["scan_id", "scan"]));
        let set = plan.set.clone().or_else(|| usual(&["set"]));

        let mut uses = BTreeMap::<&str, &'static str>::new();
        let named = [
            (&patient, "patients"),
            (&Some(label.clone()), "labels"),
            (&plan.scan, "scans"),
            (&plan.set, "sets"),
        ]
        .map(|(name, purpose)| (name.clone(), purpose));
        for (name, purpose) in named
            .iter()
            .filter_map(|(name, purpose)| Some((name.as_deref()?, *purpose)))
        {
            claim(&mut uses, name, purpose)?;
        }
        for name in &plan.scores {
            claim(&mut uses, name, "scores")?;
        }
        // A subgroup may be made of sets or labels' neighbours, not of patients or scores.
        for name in &plan.by {
            if let Some(first @ ("patients" | "scores" | "labels")) = uses.get(name.as_str()).copied() {
                let column = name.clone();
                return Err(ScoreTableError::TwoPurposes {
                    column,
                    first,
                    second: "subgroups",
                });
            }
        }
        let (scores, passed_over) = match plan.scores.is_empty() {
            false => (plan.scores.clone(), Vec::new()),
            true => {
                let taken: BTreeSet<&str> = [&patient, &scan, &set]
                    .into_iter()
                    .filter_map(|name| name.as_deref())
                    .chain(plan.by.iter().map(String::as_str))
                    .chain([label.as_str()])
                    .collect();
                guessed(table, &taken)?
            }
        };
        let cells = |name: &Option<String>| name.as_deref().map(|name| table.column(name)).transpose();
        Ok(Self {
            patient: cells(&patient)?,
            label: table.column(&label)?,
            label_name: label,
            scan: cells(&scan)?,
            set: cells(&set)?,
            scores,
            passed_over,
        })
    }
}

fn claim<'a>(
    uses: &mut BTreeMap<&'a str, &'static str>,
    name: &'a str,
    purpose: &'static str,
) -> Result<(), ScoreTableError> {
    match uses.insert(name, purpose) {
        None => Ok(()),
        Some(first) => Err(ScoreTableError::TwoPurposes {
            column: name.to_owned(),
            first,
            second: purpose,
        }),
    }
}

/// The column that says more of the scores of another: its name and an ending, in whatever case spreadsheets leave it.
pub(super) fn beside<'a>(table: &'a TextTable, scores: &str, ending: &str) -> Option<&'a str> {
    let rest = |name: &'a str| Some((name, name.strip_prefix(scores)?));
    let own = || table.names().filter_map(rest);
    let exact = own().find(|(_, rest)| *rest == ending);
    let found = exact.or_else(|| own().find(|(_, rest)| rest.eq_ignore_ascii_case(ending)));
    found.map(|(name, _)| name)
}

/// All columns of numbers that have no other use, and those that were passed over since they look like identifiers.
fn guessed(table: &TextTable, taken: &BTreeSet<&str>) -> Result<(Vec<String>, Vec<String>), ScoreTableError> {
    let free = table.columns.iter().filter(|(name, cells)| {
        let lower = name.to_lowercase();
        !taken.contains(name.as_str())
            && !NO_SCORES.contains(&lower.as_str())
            && ![THRESHOLD, CONVERGED].iter().any(|ending| lower.ends_with(ending))
            && numeric(cells)
    });
    let (passed_over, names): (Vec<String>, Vec<String>) = free
        .map(|(name, _)| name.clone())
        .partition(|name| looks_identifying(name));
    match names.len() {
        0 => Err(ScoreTableError::NoScores {
            columns: table.names().collect::<Vec<_>>().join(", "),
        }),
        found if found > MOST_SCORES => Err(ScoreTableError::ManyScores {
            found,
            most: MOST_SCORES,
            first: names[..5].join(", "),
        }),
        _ => Ok((names, passed_over)),
    }
}

/// Whether there is a number, and nothing but numbers and what stands for none.
fn numeric(cells: &[Option<String>]) -> bool {
    let mut numbers = (0..cells.len())
        .filter_map(|row| cell(cells, row))
        .map(number)
        .peekable();
    numbers.peek().is_some() && {
        let mut some = false;
        numbers.all(|number| {
            some |= matches!(number, Ok(Some(_)));
            number.is_ok()
        }) && some
    }
}

/// A finite number, `None` for what stands for a missing one, an error for other text.
fn number(text: &str) -> Result<Option<f64>, ()> {
    if MISSING.contains(&text.to_lowercase().as_str()) {
        return Ok(None);
    }
    let value: f64 = text.parse().map_err(|_| ())?;
    Ok(Some(value).filter(|value| value.is_finite()))
}

/// The numbers of a column in these rows.
pub(super) fn numbers(table: &TextTable, name: &str, rows: &[usize]) -> Result<Vec<Option<f64>>, ScoreTableError> {
    let cells = table.column(name)?;
    let of_row = |&row: &usize| match cell(cells, row).map(number) {
        None => Ok(None),
        Some(Ok(value)) => Ok(value),
        Some(Err(())) => Err(ScoreTableError::NotANumber {
            column: name.to_owned(),
            row: row + 1,
            hint: match cell(cells, row).is_some_and(|text| number(&text.replace(',', ".")).is_ok()) {
                true => " (save it with points for decimal commas)",
                false => "",
            },
        }),
    };
    rows.iter().map(of_row).collect()
}

/// Why the scores of a column must not be taken for those of a trained network, by the words in its column `NAME.converged`: `yes`,
/// `no` or `no: why`; nothing is said where a cell is empty.
pub(super) fn not_converged(table: &TextTable, name: &str, rows: &[usize]) -> Result<Option<String>, ScoreTableError> {
    let cells = table.column(name)?;
    let mut found = None;
    for &row in rows {
        let Some(text) = cell(cells, row) else { continue };
        let (word, why) = text.split_once(':').unwrap_or((text, ""));
        match word.trim().to_lowercase().as_str() {
            "yes" | "true" | "1" => {}
            "no" | "false" | "0" => {
                let why = match why.trim() {
                    "" => "as its table says",
                    why => why,
                };
                found = found.or_else(|| Some(why.to_owned()));
            }
            _ => {
                return Err(ScoreTableError::Converged {
                    column: name.to_owned(),
                    row: row + 1,
                });
            }
        }
    }
    Ok(found)
}

/// Whether a column can be shown as subgroups.
pub(super) fn check_groups(
    name: &str,
    cells: &[Option<String>],
    roles: &Roles,
    kept: &[usize],
    patient: &[usize],
) -> Result<(), ScoreTableError> {
    if let Some(raw) = roles.patient {
        let patients: Vec<&str> = kept.iter().map(|&row| cell(raw, row).unwrap_or_default()).collect();
        if holds_identifiers(cells, &patients) {
            return Err(ScoreTableError::Identifying {
                column: name.to_owned(),
            });
        }
    }
    let values = cells.iter().flatten().collect::<BTreeSet<_>>().len();
    let patients = patient.iter().collect::<BTreeSet<_>>().len();
    if values > MOST_GROUPS || (values > 2 && 2 * values > patients) {
        return Err(ScoreTableError::ManyGroups {
            column: name.to_owned(),
            values,
            patients,
            most: MOST_GROUPS,
        });
    }
    Ok(())
}
