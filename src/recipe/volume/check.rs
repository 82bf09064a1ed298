//! Whether a volume classifier's recipe makes a training: what can't be followed is refused before any work.

use super::{ClassWeights, TrainVolume};
use crate::{
    cohort::{SplitPlan, SplitUnit},
    eval::{CONVERGED, Convergence, THRESHOLD, Unit},
    recipe::RecipeError,
};

/// Columns beside scores, in tables of predictions.
const COLUMNS: [&str; 8] = [
    "row",
    "scan_id",
    "slice_id",
    "patient_id",
    "label",
    "site",
    "set",
    "split",
];

impl TrainVolume {
    /// Whether the settings make a training.
    ///
    /// # Errors
    ///
    /// The first setting that does not fit, with what would.
    pub fn check(&self) -> Result<(), RecipeError> {
        if let Some(name) = &self.name {
            Self::check_name(name)?;
        }
        self.check_cohort()?;
        self.check_split()?;
        let words = |error: &dyn std::fmt::Display, key: &str| RecipeError::Inconsistent {
            what: format!("`{key}`: {error}"),
        };
        self.input.check().map_err(|error| words(&error, "input"))?;
        self.network
            .check(self.input.size)
            .map_err(|error| words(&error, "network"))?;
        self.augment.check().map_err(|error| words(&error, "augment"))?;
        self.check_numbers()?;
        self.check_intervals()
    }

    /// Whether a classifier can go by a name: a run folder and the column of its scores do.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check_name(name: &str) -> Result<(), RecipeError> {
        let suffix = [THRESHOLD, CONVERGED].into_iter().find(|suffix| name.ends_with(suffix));
        let why = match (name, suffix) {
            _ if name.trim().is_empty() => "is empty".to_owned(),
            ("." | "..", _) => "is a folder's own or the one above it".to_owned(),
            _ if name.contains(['/', '\\']) => "has a slash in it, and a folder goes by it".to_owned(),
            _ if name.contains(char::is_control) => "has a character in it that can't be printed".to_owned(),
            (_, Some(suffix)) => format!("ends in `{suffix}`, as columns beside scores do"),
            _ if COLUMNS.contains(&name) => format!(
                "is a column beside its scores already; others are {}",
                COLUMNS
                    .iter()
                    .filter(|column| **column != name)
                    .copied()
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            _ => return Ok(()),
        };
        refuse(format!(
            "the classifier's name {name:?} {why}: give it another with `name`, which is that of the recipe's file otherwise"
        ))
    }

    /// That of the results, and that of the AUC which tells whether the training converged.
    fn check_intervals(&self) -> Result<(), RecipeError> {
        let bootstrap = self.bootstrap();
        let checked = bootstrap
            .check()
            .and_then(|()| Convergence::interval(&bootstrap).check());
        checked.map_err(|error| RecipeError::Inconsistent {
            what: format!("`evaluate.bootstrap`: {error}"),
        })
    }

    fn check_cohort(&self) -> Result<(), RecipeError> {
        let cohort = &self.cohort;
        for (key, there) in [
            ("table", cohort.table.is_some()),
            ("path", cohort.path.is_some()),
            ("patient", cohort.patient.is_some()),
            ("label", cohort.label.is_some()),
            ("positive", cohort.positive.is_some()),
        ] {
            if !there {
                return refuse(format!(
                    "`cohort.{key}` is missing: a classifier of scans needs a table with columns of paths, patients and labels, and \
                     the label that it is to find"
                ));
            }
        }
        Ok(())
    }

    fn check_split(&self) -> Result<(), RecipeError> {
        if self.split.unit() != SplitUnit::Patient {
            return refuse(
                "`split.unit` is not `patient`: scans of one patient on both sides would be known by heart; leave it out".to_owned(),
            );
        }
        match &self.split {
            SplitPlan::Folds { .. } | SplitPlan::NestedCv { .. } => refuse(
                "`split.kind` has folds, and a classifier of scans is trained once: use `holdout` or `column`, with a validation set; \
                 for folds write one column of sets each and train as often"
                    .to_owned(),
            ),
            SplitPlan::Holdout { fractions, .. } if fractions.validation <= 0.0 => refuse(
                "`split.fractions.validation` is 0: the learning rate, the best epoch and the threshold are chosen on a validation set"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), RecipeError> {
        let (train, evaluate) = (&self.train, &self.evaluate);
        for (key, value) in [
            ("train.epochs", Some(train.epochs)),
            ("train.batch", Some(train.batch)),
            ("train.part", train.part),
            ("train.memory_mb", train.memory_mb),
            ("checkpoint.every", usize::try_from(self.checkpoint.every).ok()),
            ("checkpoint.keep", Some(self.checkpoint.keep)),
            ("maps.cube", self.maps.cube),
        ] {
            if value == Some(0) {
                return refuse(format!("`{key}` is 0, at least 1 is needed"));
            }
        }
        if let Some(part) = train.part.filter(|part| *part > train.batch) {
            return refuse(format!(
                "`train.part` is {part}, at most the {} scans of `train.batch` pass together",
                train.batch
            ));
        }
        let above_0 = |value: f64| value > 0.0 && value.is_finite();
        let not_below_0 = |value: f64| value >= 0.0 && value.is_finite();
        let weights = match train.class_weights {
            ClassWeights::Given(weights) => weights,
            _ => [1.0; 2],
        };
        let share = |value: f64| above_0(value) && value <= 1.0;
        for (key, value, sound, expected) in [
            ("train.lr", train.lr, above_0(train.lr), "a number above 0"),
            (
                "train.weight_decay",
                train.weight_decay,
                not_below_0(train.weight_decay) && train.weight_decay * train.lr < 1.0,
                "0 or more, below 1 / lr",
            ),
            ("train.clip", train.clip, not_below_0(train.clip), "0 or more"),
            (
                "train.class_weights",
                weights[0],
                above_0(weights[0]),
                "two numbers above 0",
            ),
            (
                "train.class_weights",
                weights[1],
                above_0(weights[1]),
                "two numbers above 0",
            ),
            (
                "evaluate.sensitivity",
                evaluate.sensitivity,
                share(evaluate.sensitivity),
                "a number above 0, at most 1",
            ),
            (
                "evaluate.prevalence",
                evaluate.prevalence.unwrap_or(0.5),
                evaluate.prevalence.is_none_or(|value| value > 0.0 && value < 1.0),
                "a number above 0 and below 1",
            ),
        ] {
            if !sound {
                return refuse(format!("`{key}` is {value}, expected {expected}"));
            }
        }
        if let Some((key, value, expected)) = self.plateau.out_of_range() {
            return refuse(format!("`{key}` is {value}, expected {expected}"));
        }
        match evaluate.unit {
            Unit::Slice => {
                refuse("`evaluate.unit` is `slice`, and a scan has one score: `patient` or `scan`".to_owned())
            }
            Unit::Scan | Unit::Patient => Ok(()),
        }
    }
}

fn refuse(what: String) -> Result<(), RecipeError> {
    Err(RecipeError::Inconsistent { what })
}
