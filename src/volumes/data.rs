//! The scans of a training, in their sets, as the network takes them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use super::{VolumesError, failures::reasons, weighting::Weighting};
use crate::{
    cohort::{Cohort, CohortPlan, Set, Split, duplicates},
    ct::Pseudonymizer,
    eval::{EvalError, Scores},
    method::PlateauMetric,
    progress::Progress,
    recipe::TrainVolume,
    scans::{CachedScan, Scans},
    stats::auc,
    tables::{read_table, sha256_bytes},
    words::counted,
};

/// Prepared scans of all trainings beside a recipe.
const CACHE: &str = "runs/.scans";

/// The scans of a training. Rows are those of the cohort, one a scan.
#[derive(Debug)]
pub(super) struct Data {
    /// Who they are.
    pub cohort: Cohort,
    /// The set of each.
    pub split: Split,
    /// Rows that are trained on.
    pub training: Vec<usize>,
    /// Rows that the learning rate, the best epoch and the threshold are chosen on.
    pub validation: Vec<usize>,
    /// Rows of a set that could not be made ready, and why.
    pub failures: Vec<(usize, String)>,
    /// How much each row counts in the loss of its set; 0 outside of the training and validation sets.
    pub weights: Vec<f64>,
    /// A hash of the voxels, the labels and the sets.
    pub sha256: String,
    scans: Vec<Option<CachedScan>>,
}

impl Data {
    /// Reads the table, splits it, and makes all scans ready, so that what can't be read is known before the first step. `home` is the
    /// recipe's folder.
    ///
    /// # Errors
    ///
    /// A table that is no cohort of scans, sets without both classes, scans that stand in two sets, `stop` having been set.
    pub fn read(
        recipe: &TrainVolume,
        home: &Path,
        ids: Pseudonymizer,
        stop: &AtomicBool,
    ) -> Result<Self, VolumesError> {
        let table = home.join(recipe.cohort.table.as_deref().unwrap_or(Path::new("")));
        let plan = CohortPlan {
            columns: recipe.columns(),
            classes: recipe.cohort.classes(),
            ids,
        };
        let mut scans = Scans::read(&read_table(&table)?, table.parent().unwrap_or(Path::new("")), &plan)?;
        let split = draw(recipe, &scans.cohort)?;
        // Making scans ready takes hours: what can be refused is refused before.
        check_classes(recipe, &scans.cohort, &split, &[])?;
        check_units(recipe, &scans.cohort, &split, &[])?;
        let cache = cache_folder(recipe, home);
        let progress = Progress::new("scans", "scans made ready", scans.cohort.len() as u64);
        let prepared = scans.prepare(&recipe.input, &cache, &progress, stop);
        progress.finish();
        let prepared = prepared?;
        scans.note_hashes(&prepared);
        Self::new(recipe, scans.cohort, prepared)
    }

    /// From scans that are ready, one a row of the cohort, which knows the hashes of their voxels.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn new(
        recipe: &TrainVolume,
        mut cohort: Cohort,
        prepared: Vec<Result<CachedScan, String>>,
    ) -> Result<Self, VolumesError> {
        let (mut scans, mut failures) = (Vec::new(), Vec::new());
        for (row, scan) in prepared.into_iter().enumerate() {
            if let Err(why) = &scan {
                failures.push((row, why.clone()));
            }
            scans.push(scan.ok());
        }
        // The same split, now checked by what the network sees: one scan under two names, or in two formats.
        let split = draw(recipe, &cohort)?;
        failures.retain(|(row, _)| split.sets()[*row].is_some());
        check_classes(recipe, &cohort, &split, &failures)?;
        check_units(recipe, &cohort, &split, &failures)?;
        cohort.warnings.extend(twins(&cohort, &split));
        let of = |wanted: &Set| -> Vec<usize> {
            let rows = (0..cohort.len()).filter(|row| scans[*row].is_some());
            rows.filter(|row| split.sets()[*row].as_ref() == Some(wanted)).collect()
        };
        let (training, validation) = (of(&Set::Train), of(&Set::Validation));
        let mut data = Self {
            weights: vec![0.0; cohort.len()],
            sha256: content(&cohort, &split),
            cohort,
            split,
            training,
            validation,
            failures,
            scans,
        };
        let (positive, patient) = (data.classes(&data.training), data.patients(&data.training));
        let section = &recipe.train;
        let weighting = Weighting::of(section.class_weights, section.scan_weights, &positive, &patient);
        for rows in [data.training.clone(), data.validation.clone()] {
            let weights = weighting.weights(&data.classes(&rows), &data.patients(&rows));
            for (row, weight) in rows.into_iter().zip(weights) {
                data.weights[row] = weight;
            }
        }
        Ok(data)
    }

    /// A scan that is ready.
    ///
    /// # Panics
    ///
    /// Where it could not be made ready, or is of no set.
    pub fn scan(&self, row: usize) -> &CachedScan {
        self.scans[row].as_ref().expect("a row of a set is ready")
    }

    /// Rows of all sets that are ready, in the order of the table.
    pub fn ready(&self) -> Vec<usize> {
        let rows = 0..self.cohort.len();
        rows.filter(|row| self.scans[*row].is_some() && self.split.sets()[*row].is_some())
            .collect()
    }

    /// The class of each of the rows, which have one.
    pub fn classes(&self, rows: &[usize]) -> Vec<bool> {
        classes(&self.cohort, rows)
    }

    /// The patient of each of the rows.
    pub fn patients(&self, rows: &[usize]) -> Vec<usize> {
        patients(&self.cohort, rows)
    }

    /// The AUC of scores of rows, over the units of `[evaluate]`; `None` where one class is absent.
    ///
    /// # Errors
    ///
    /// Units whose rows differ in their labels, and scores that are no numbers.
    pub fn auc(&self, recipe: &TrainVolume, rows: &[usize], scores: &[f64]) -> Result<Option<f64>, EvalError> {
        let units = self.scores(rows, scores)?;
        let units = units.pool(recipe.evaluate.unit, recipe.evaluate.pool)?.scores;
        Ok(auc(units.positive(), units.score()))
    }

    /// Scores of rows with their classes, patients and scans.
    ///
    /// # Errors
    ///
    /// Scores that are no numbers.
    pub fn scores(&self, rows: &[usize], scores: &[f64]) -> Result<Scores, EvalError> {
        scores_of(&self.cohort, rows, scores)
    }
}

fn classes(cohort: &Cohort, rows: &[usize]) -> Vec<bool> {
    rows.iter().map(|row| cohort.positive[*row] == Some(true)).collect()
}

fn patients(cohort: &Cohort, rows: &[usize]) -> Vec<usize> {
    rows.iter().map(|row| cohort.patient[*row]).collect()
}

fn scores_of(cohort: &Cohort, rows: &[usize], scores: &[f64]) -> Result<Scores, EvalError> {
    let scores = Scores::new(classes(cohort, rows), scores.to_vec(), patients(cohort, rows))?;
    Ok(scores.with_scans(rows.to_vec()))
}

/// The set of each scan.
fn draw(recipe: &TrainVolume, cohort: &Cohort) -> Result<Split, VolumesError> {
    recipe.split.split(cohort, recipe.seed).map_err(VolumesError::of_split)
}

/// Where prepared scans lie.
fn cache_folder(recipe: &TrainVolume, home: &Path) -> PathBuf {
    home.join(recipe.train.cache.as_deref().unwrap_or(Path::new(CACHE)))
}

/// Whether the training set has both classes, and the validation set where it must.
fn check_classes(
    recipe: &TrainVolume,
    cohort: &Cohort,
    split: &Split,
    failures: &[(usize, String)],
) -> Result<(), VolumesError> {
    let failed = |row: usize| failures.iter().any(|(failed, _)| *failed == row);
    let watched = match recipe.plateau.metric {
        PlateauMetric::Auc => (
            1,
            "the AUC that is watched needs both",
            "give the set more patients, or set `plateau.metric = \"loss\"`",
        ),
        PlateauMetric::Loss => (0, "the loss that is watched needs some", "give the set some patients"),
    };
    let trained = (1, "a classifier needs both", "give the set patients of both classes");
    for (set, name, (least, needs, way_out)) in [
        (Set::Train, "training", trained),
        (Set::Validation, "validation", watched),
    ] {
        let rows = (0..cohort.len()).filter(|row| split.sets()[*row].as_ref() == Some(&set) && !failed(*row));
        let (positives, negatives): (Vec<usize>, Vec<usize>) =
            rows.partition(|row| cohort.positive[*row] == Some(true));
        let (positives, negatives) = (positives.len(), negatives.len());
        if positives.min(negatives) < least || positives + negatives == 0 {
            return Err(VolumesError::OneClass {
                set: name,
                positives,
                negatives,
                after_failures: match failures.len() {
                    0 => String::new(),
                    n => format!(" that could be read ({n} of all sets could not: {})", reasons(failures)),
                },
                needs,
                way_out,
            });
        }
    }
    Ok(())
}

/// Whether every set has units that can be scored: patients whose scans differ in their labels have no score, and that is not to be
/// said after the training.
fn check_units(
    recipe: &TrainVolume,
    cohort: &Cohort,
    split: &Split,
    failures: &[(usize, String)],
) -> Result<(), VolumesError> {
    let mut rows_of = BTreeMap::<&Set, Vec<usize>>::new();
    for (row, set) in split.sets().iter().enumerate() {
        if let Some(set) = set
            && !failures.iter().any(|(failed, _)| *failed == row)
        {
            rows_of.entry(set).or_default().push(row);
        }
    }
    for (set, rows) in rows_of {
        let scores = scores_of(cohort, &rows, &vec![0.5; rows.len()]);
        let (unit, pool) = (recipe.evaluate.unit, recipe.evaluate.pool);
        scores
            .and_then(|scores| scores.pool(unit, pool).map(drop))
            .map_err(VolumesError::of_scores(&set.to_string()))?;
    }
    Ok(())
}

/// A sentence on scans of the sets that stand more than once. Those that stand in two sets were refused.
fn twins(cohort: &Cohort, split: &Split) -> Option<String> {
    let used = |row: &usize| split.sets()[*row].is_some();
    let groups = duplicates(cohort).into_iter();
    let groups: Vec<Vec<usize>> = groups
        .map(|twins| twins.rows.into_iter().filter(used).collect())
        .filter(|rows: &Vec<usize>| rows.len() > 1)
        .collect();
    let other_patient = |rows: &&Vec<usize>| rows.iter().any(|row| cohort.patient[*row] != cohort.patient[rows[0]]);
    let other_class = |rows: &&Vec<usize>| rows.iter().any(|row| cohort.positive[*row] != cohort.positive[rows[0]]);
    // The worst first: what has both labels is wrong somewhere.
    let worst = groups
        .iter()
        .find(other_class)
        .or_else(|| groups.iter().find(other_patient));
    let first = worst.or(groups.first())?;
    Some(format!(
        "{} {} more than once, voxel for voxel, {} under two patients and {} with labels of both classes (first: scans {} and {} in the \
         order of the table)",
        counted(groups.len(), "scan"),
        if groups.len() == 1 { "stands" } else { "stand" },
        groups.iter().filter(other_patient).count(),
        groups.iter().filter(other_class).count(),
        first[0] + 1,
        first[1] + 1
    ))
}

/// A hash of what is trained on, row by row.
fn content(cohort: &Cohort, split: &Split) -> String {
    let row = |row: usize| {
        let set = split.sets()[row].as_ref().map(Set::to_string).unwrap_or_default();
        let hash = cohort.sha256[row].as_deref().unwrap_or("");
        format!(
            "{row} {hash} {} {:?} {set}\n",
            cohort.patient[row], cohort.positive[row]
        )
    };
    sha256_bytes((0..cohort.len()).map(row).collect::<String>().as_bytes())
}
