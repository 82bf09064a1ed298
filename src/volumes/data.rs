//! The scans of a training, in their sets, as the network takes them.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use super::{VolumesError, failures::reasons, weighting::Weighting};
use crate::{
    cohort::{Cohort, CohortPlan, Set, Split},
    ct::Pseudonymizer,
    eval::{EvalError, Scores},
    method::PlateauMetric,
    progress::Progress,
    recipe::TrainVolume,
    scans::{CachedScan, Scans},
    stats::auc,
    tables::{read_table, sha256_bytes},
};

/// Prepared scans of all trainings beside a recipe.
const CACHE: &str = "runs/.scans";

/// The scans of a training. Rows are those of the cohort, one a scan.
#[derive(Debug)]
pub struct Data {
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
        let split = recipe.split.split(&scans.cohort, recipe.seed)?;
        // Making scans ready takes hours: what can be refused is refused before.
        check_classes(recipe, &scans.cohort, &split, &[])?;
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
        cohort: Cohort,
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
        let split = recipe.split.split(&cohort, recipe.seed)?;
        failures.retain(|(row, _)| split.sets()[*row].is_some());
        check_classes(recipe, &cohort, &split, &failures)?;
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
        // Patients whose scans differ in their labels have no score: say so now, not after the first epoch.
        for (set, rows) in [("training", &data.training), ("validation", &data.validation)] {
            data.auc(recipe, rows, &vec![0.5; rows.len()])
                .map_err(|source| VolumesError::Eval {
                    set: set.to_owned(),
                    source,
                })?;
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
        rows.iter()
            .map(|row| self.cohort.positive[*row] == Some(true))
            .collect()
    }

    /// The patient of each of the rows.
    pub fn patients(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|row| self.cohort.patient[*row]).collect()
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
        let scores = Scores::new(self.classes(rows), scores.to_vec(), self.patients(rows))?;
        Ok(scores.with_scans(rows.to_vec()))
    }
}

/// Where prepared scans lie.
pub fn cache_folder(recipe: &TrainVolume, home: &Path) -> PathBuf {
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
