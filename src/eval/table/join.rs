//! Tables of the same patients, joined: scores of scans beside scores of slices, one row a patient.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    PREDICTIONS, PatientColumn, ScoreColumn, ScorePlan, ScoreTable, ScoreTableError, positive_of, predictions_of,
};
use crate::{
    eval::{Pooling, Unit},
    tables::{TextTable, read_table},
};

/// The set of scores in cross-validation: no head has seen the patient that it scores, whatever set another table has them in.
const OUT_OF_FOLD: &str = "out-of-fold";

/// One table, with one row a patient.
struct Side {
    name: String,
    table: ScoreTable,
    /// The place of each patient in this table's vectors.
    place: BTreeMap<String, usize>,
    positive: Vec<bool>,
    /// `None` where no column tells sets apart.
    set: Option<Vec<String>>,
    scores: Vec<ScoreColumn>,
}

impl ScoreTable {
    /// Joins tables by the identifiers of their patients. Each table's scores are pooled to patients first, from whatever rows it has;
    /// patients that are in all tables are kept. A run folder stands for its `predictions.parquet`.
    ///
    /// Columns that the plan names are those of every table that has them, elsewhere they are found by their usual names; where it
    /// names no positive class, the first table that names its own speaks for all. Scores that it names are taken from the tables that
    /// have them; of a table without such, all are. A score keeps its column's name where no other table has it, and is
    /// `TABLE.COLUMN` otherwise.
    ///
    /// Patients must have one label and one set in all tables: a score of a patient that was trained on is no rival to one of a patient
    /// that never was. `out-of-fold` goes with any set, and a table without sets takes those of the others.
    ///
    /// # Errors
    ///
    /// [`ScoreTableError`] of one table, under its name; no shared patient, and labels or sets that contradict each other, with their
    /// counts.
    pub fn join(files: &[PathBuf], plan: &ScorePlan, pool: Pooling) -> Result<Self, ScoreTableError> {
        if plan.patient == PatientColumn::PerRow {
            return Err(ScoreTableError::JoinRows);
        }
        let mut plan = plan.clone();
        let mut read = Vec::new();
        for (file, name) in files.iter().zip(names(files)) {
            let path = predictions_of(file);
            let inside = |source: ScoreTableError| ScoreTableError::In {
                table: name.clone(),
                source: Box::new(source),
            };
            let table = read_table(&path).map_err(|error| inside(error.into()))?;
            if plan.positive.is_none() {
                plan.positive = positive_of(&path).map_err(inside)?;
            }
            read.push((name, table));
        }
        let asked = asked(&plan, &read)?;
        let mut sides = Vec::new();
        for ((name, text), scores) in read.into_iter().zip(asked) {
            let of_table = ScorePlan {
                scores,
                ..known(&plan, &text)
            };
            let side = Side::new(name, &text, &of_table, pool);
            sides.push(side.map_err(|error| match sides.is_empty() {
                true => error,
                false => in_other_words(error),
            })?);
        }
        joined(sides, plan.scores.is_empty())
    }
}

/// A label that a table lacks and the ones before it have is a matter of words.
fn in_other_words(error: ScoreTableError) -> ScoreTableError {
    match error {
        ScoreTableError::In { table, source } => match *source {
            ScoreTableError::NoSuchLabel { label, column, labels } => ScoreTableError::JoinWords {
                table,
                label,
                column,
                labels,
            },
            source => ScoreTableError::In {
                table,
                source: Box::new(source),
            },
        },
        error => error,
    }
}

/// What the tables are called: the stems of their files, or the folders of `predictions.parquet`; numbered where several have one.
fn names(files: &[PathBuf]) -> Vec<String> {
    let mut names = Vec::<String>::new();
    for file in files {
        let of_run = file.file_name().is_some_and(|name| name == PREDICTIONS);
        let named = match (of_run, file.is_dir()) {
            (true, false) => file.parent().and_then(Path::file_name).or(file.file_stem()),
            (_, true) => file.file_name(),
            _ => file.file_stem(),
        };
        let name = named.unwrap_or_default().to_string_lossy().into_owned();
        // A number may be the name of another table: `a`, `a-2`, `a`.
        let mut numbered = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
        let free = numbered.find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}

/// The plan with those of its columns that the table has.
fn known(plan: &ScorePlan, table: &TextTable) -> ScorePlan {
    let has = |name: &&String| table.names().any(|column| column == **name);
    let kept = |name: &Option<String>| name.as_ref().filter(has).cloned();
    ScorePlan {
        patient: match &plan.patient {
            PatientColumn::Named(name) if has(&name) => plan.patient.clone(),
            _ => PatientColumn::Usual,
        },
        label: kept(&plan.label),
        scan: kept(&plan.scan),
        set: kept(&plan.set),
        by: Vec::new(),
        ..plan.clone()
    }
}

/// Which scores are asked of each table; all of those of a table that has none of them.
fn asked(plan: &ScorePlan, tables: &[(String, TextTable)]) -> Result<Vec<Vec<String>>, ScoreTableError> {
    let column = |score: &str, (name, table): &(String, TextTable)| {
        let own = score
            .strip_prefix(name.as_str())
            .and_then(|rest| rest.strip_prefix('.'));
        let fits = |wanted: &&str| table.names().any(|column| column == *wanted);
        [Some(score), own].into_iter().flatten().find(fits).map(str::to_owned)
    };
    for score in &plan.scores {
        if tables.iter().all(|table| column(score, table).is_none()) {
            let all = tables.iter().flat_map(|(_, table)| table.names());
            return Err(ScoreTableError::NoSuchScore {
                score: score.clone(),
                scores: all.collect::<Vec<_>>().join(", "),
            });
        }
    }
    let of_table = |table| plan.scores.iter().filter_map(|score| column(score, table)).collect();
    Ok(tables.iter().map(of_table).collect())
}

impl Side {
    fn new(name: String, text: &TextTable, plan: &ScorePlan, pool: Pooling) -> Result<Self, ScoreTableError> {
        let keyed = ScoreTable::keyed(text, plan);
        let (table, patients) = keyed.map_err(|source| ScoreTableError::In {
            table: name.clone(),
            source: Box::new(source),
        })?;
        let n = patients.len();
        let (mut labels, mut sets) = (vec![BTreeSet::new(); n], vec![BTreeSet::new(); n]);
        for row in 0..table.len() {
            labels[table.patient[row]].insert(table.positive[row]);
            sets[table.patient[row]].extend(table.set.as_ref().map(|set| &set[row]));
        }
        let several = |found: usize| (found > 0).then_some(found);
        if let Some(patients) = several(labels.iter().filter(|labels| labels.len() > 1).count()) {
            return Err(ScoreTableError::JoinMixed { table: name, patients });
        }
        if let Some(patients) = several(sets.iter().filter(|sets| sets.len() > 1).count()) {
            return Err(ScoreTableError::JoinLeak { table: name, patients });
        }
        let set = table.set.is_some().then(|| {
            let one = sets
                .iter()
                .map(|sets| sets.first().map_or_else(String::new, |set| (*set).clone()));
            one.collect()
        });
        let positive = labels.iter().map(|labels| labels.contains(&true)).collect();
        let mut scores = Vec::new();
        for (at, column) in table.scores.iter().enumerate() {
            let rows: Vec<usize> = (0..table.len()).collect();
            let pooled = table.scores(at, &table.scored(&[at], &rows)).and_then(|scores| {
                let pooled = scores.pool(Unit::Patient, pool)?;
                Ok(pooled.scores.into_owned())
            });
            let pooled = pooled.map_err(|source| ScoreTableError::Pool {
                table: name.clone(),
                source,
            })?;
            let mut of_patient = ScoreColumn {
                name: column.name.clone(),
                score: vec![None; n],
                threshold: pooled.thresholds().map(|_| vec![None; n]),
                not_converged: column.not_converged.clone(),
            };
            for (at, patient) in pooled.patient().iter().enumerate() {
                of_patient.score[*patient] = Some(pooled.score()[at]);
                if let (Some(to), Some(from)) = (&mut of_patient.threshold, pooled.thresholds()) {
                    to[*patient] = Some(from[at]);
                }
            }
            scores.push(of_patient);
        }
        Ok(Self {
            place: patients.into_iter().zip(0..).collect(),
            name,
            table,
            positive,
            set,
            scores,
        })
    }
}

fn joined(sides: Vec<Side>, guessed: bool) -> Result<ScoreTable, ScoreTableError> {
    let first = &sides[0];
    let mut shared: Vec<&String> = first.place.keys().collect();
    for other in &sides[1..] {
        shared.retain(|patient| other.place.contains_key(*patient));
        if !first.place.keys().any(|patient| other.place.contains_key(patient)) || shared.is_empty() {
            return Err(ScoreTableError::NoSharedPatients {
                first: first.name.clone(),
                first_patients: first.place.len(),
                second: other.name.clone(),
                second_patients: other.place.len(),
            });
        }
    }
    for (at, one) in sides.iter().enumerate() {
        sides[at + 1..]
            .iter()
            .try_for_each(|other| agree(one, other, &shared))?;
    }
    let places: Vec<Vec<usize>> = sides
        .iter()
        .map(|side| shared.iter().map(|patient| side.place[*patient]).collect())
        .collect();
    let all = || sides.iter().zip(&places);
    let set = sides.iter().any(|side| side.set.is_some()).then(|| {
        let of_patient = |at: usize| {
            let found = all().filter_map(|(side, places)| Some(side.set.as_ref()?[places[at]].as_str()));
            // What only cross-validation calls out-of-fold goes by the name of the others.
            let found: Vec<&str> = found.collect();
            let named = found.iter().find(|set| **set != OUT_OF_FOLD).or(found.first());
            named.map_or_else(String::new, |set| (*set).to_owned())
        };
        (0..shared.len()).map(of_patient).collect()
    });
    let mut scores = Vec::new();
    for (side, places) in all() {
        let pick = |cells: &Vec<Option<f64>>| places.iter().map(|place| cells[*place]).collect();
        for column in &side.scores {
            let same = sides
                .iter()
                .flat_map(|side| &side.scores)
                .filter(|other| other.name == column.name);
            scores.push(ScoreColumn {
                name: match same.count() {
                    1 => column.name.clone(),
                    _ => format!("{}.{}", side.name, column.name),
                },
                score: pick(&column.score),
                threshold: column.threshold.as_ref().map(pick),
                not_converged: column.not_converged.clone(),
            });
        }
    }
    let mut table = ScoreTable {
        positive_name: first.table.positive_name.clone(),
        negative_name: first.table.negative_name.clone(),
        rows_read: sides.iter().map(|side| side.table.rows_read).sum(),
        positive: places[0].iter().map(|place| first.positive[*place]).collect(),
        patient: (0..shared.len()).collect(),
        scan: None,
        set,
        groups: Vec::new(),
        scores,
        guessed,
        left_out: sides.iter().map(|side| side.table.left_out).sum(),
        warnings: Vec::new(),
    };
    for side in &sides {
        let of_table = side.table.warnings.iter();
        // Said below of the scores under the names that they have here.
        let cautions: Vec<String> = side.table.scores.iter().filter_map(ScoreColumn::caution).collect();
        let kept = of_table.filter(|warning| !cautions.contains(warning));
        table
            .warnings
            .extend(kept.map(|warning| format!("`{}`: {warning}", side.name)));
        if side.place.len() > shared.len() {
            table.warnings.push(format!(
                "{} of {} patients of `{}` are in all tables, the others are left out",
                shared.len(),
                side.place.len(),
                side.name
            ));
        }
        if side.set.is_none() && table.set.is_some() {
            table.warnings.push(format!(
                "no column of `{}` tells sets apart: its patients are in those of the other tables, and nothing says that its scores \
                 were made without them",
                side.name
            ));
        }
    }
    table
        .warnings
        .extend(table.scores.iter().filter_map(ScoreColumn::caution));
    Ok(table)
}

/// Whether two tables say the same of the patients that all tables share.
fn agree(one: &Side, other: &Side, shared: &[&String]) -> Result<(), ScoreTableError> {
    let places = || {
        shared
            .iter()
            .map(|patient| (one.place[*patient], other.place[*patient]))
    };
    let (first, second) = (one.name.clone(), other.name.clone());
    let patients = places().filter(|(a, b)| one.positive[*a] != other.positive[*b]).count();
    let shared = shared.len();
    if patients > 0 {
        return Err(ScoreTableError::JoinLabels {
            patients,
            shared,
            first,
            second,
        });
    }
    if let (Some(sets), Some(others)) = (&one.set, &other.set) {
        let apart = |(a, b): &(usize, usize)| {
            let (a, b) = (&sets[*a], &others[*b]);
            a != b && a != OUT_OF_FOLD && b != OUT_OF_FOLD
        };
        let patients = places().filter(apart).count();
        if patients > 0 {
            return Err(ScoreTableError::JoinSets {
                patients,
                shared,
                first,
                second,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tables_go_by_one_name() {
        let files = [
            "a.csv",
            "x/a.csv",
            "a-2.csv",
            "y/a.csv",
            "run/predictions.parquet",
            "run.csv",
        ];
        let files = files.map(PathBuf::from);
        assert_eq!(names(&files), ["a", "a-2", "a-2-2", "a-3", "run", "run-2"]);
    }
}
