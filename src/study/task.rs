//! One head on one layer: fitting, scoring, freezing the map and the threshold, with nothing of an evaluated row in any
//! of it.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{StudyError, StudyRun, matrix::Matrix, probe::OUT_OF_FOLD};
use crate::{
    cohort::{Cohort, Set, Split, SplitPlan},
    eval::{
        CalibrationMap, Evaluation, RepeatedAuc, Scores, Threshold, areas_of_repeats, choose_threshold, evaluate,
        evaluate_repeats,
    },
    heads::{FittedHead, HeadConfig, HeadError, TrainingSet, Tuning},
    stats::auc,
};

/// Whole pipelines run beside each other only while their matrices and kernels stay below this.
const MEMORY: usize = 4 << 30;

/// What all heads of one layer share.
pub(super) struct Data<'a> {
    pub cohort: &'a Cohort,
    pub split: &'a Split,
    pub matrix: &'a Matrix,
    /// The scan of each row of the cohort, as a number.
    pub scan: &'a [usize],
    /// The rows of each set that have features.
    pub rows: &'a BTreeMap<&'a Set, Vec<usize>>,
}

/// One head on one layer.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub run: &'a StudyRun,
    pub data: &'a Data<'a>,
    pub features: &'a str,
    pub config: &'a HeadConfig,
    /// Labels that stand in for the cohort's, one a row, where labels are permuted.
    pub labels: Option<&'a [bool]>,
}

/// A head that is saved: whose scores its map takes, and whose pooled, mapped scores its threshold decides.
pub(super) struct Decided {
    pub fitted: FittedHead,
    pub map: Option<CalibrationMap>,
    pub threshold: Threshold,
}

/// What a head gave on rows that it had not seen, in the cohort's numbering.
pub(super) struct Crossed {
    /// Scores before their map, which is one a fold.
    raw: Vec<Option<f64>>,
    /// Scores as they are reported.
    pub scores: Vec<Option<f64>>,
    pub thresholds: Vec<Option<f64>>,
    /// Maps that give all rows one probability, of how many.
    pub flat: (usize, usize),
    /// The threshold of one of the folds, for what all have in common.
    decided_by: Option<Threshold>,
}

/// All repeats of a nested cross-validation.
pub(super) struct Repeated {
    pub decided: Decided,
    pub crossed: Vec<Crossed>,
    pub evaluation: Evaluation,
    pub areas: RepeatedAuc,
}

impl Task<'_> {
    /// Fits on the training set, scores all sets, freezes the map and the threshold.
    pub fn fit_on_training(&self, scores: &mut [Option<f64>]) -> Result<Decided, StudyError> {
        let (fitted, train) = self.fit_training(scores)?;
        // A kernel that is too narrow tells training rows apart and gives all others one score.
        let others = self.data.rows.iter().filter(|(set, _)| **set != &Set::Train);
        let others: Vec<usize> = others.flat_map(|(_, rows)| rows.iter().copied()).collect();
        for rows in [&train, &others] {
            if self.has_both_classes(rows) {
                let given: Vec<f64> = rows.iter().filter_map(|row| scores[*row]).collect();
                fitted.check_scores(&given).map_err(|error| self.head_error(error))?;
            }
        }
        let validation = self.rows_of(&Set::Validation);
        let (map, threshold) = match self.has_both_classes(&validation) {
            true => {
                let map = self.calibrate("validation", &validation, scores)?;
                apply(map.as_ref(), scores);
                (map, self.choose("validation", &validation, scores)?)
            }
            // Without a validation set both come from scores that the training rows got from heads which had not seen
            // their patients.
            false => {
                let named = "training rows, scored out of fold";
                let mut inner = self.out_of_fold(self.config, &train)?;
                let map = self.calibrate(named, &train, &inner)?;
                apply(map.as_ref(), scores);
                apply(map.as_ref(), &mut inner);
                (map, self.choose(named, &train, &inner)?)
            }
        };
        Ok(Decided { fitted, map, threshold })
    }

    /// Scores all rows that have folds by heads that have not seen their fold, then fits one on all of them for
    /// external sites. Nothing of a fold, neither rows nor labels, reaches the head, the map or the threshold that
    /// decides it.
    pub fn cross_validate(&self, folds: usize) -> Result<(Decided, Crossed, Evaluation), StudyError> {
        let fold_rows: Vec<Vec<usize>> = (0..folds).map(|fold| self.rows_of(&Set::Fold(fold))).collect();
        let crossed = self.cross(&fold_rows, true)?;
        let all = all_but(&fold_rows, folds);
        let scored = self.decided_scores(&all, &crossed)?;
        let decided_by = crossed.decided_by.as_ref().expect("there are at least two folds");
        let evaluation = self.evaluate(OUT_OF_FOLD, &scored, decided_by)?;
        let fitted = self.fit(self.config, &all)?;
        // The folds' heads stand in for the one that is fitted on all rows.
        let named = "out-of-fold scores";
        let map = self.calibrate(named, &all, &crossed.raw)?;
        let mut mapped = crossed.raw.clone();
        apply(map.as_ref(), &mut mapped);
        let threshold = self.choose(named, &all, &mapped)?;
        Ok((Decided { fitted, map, threshold }, crossed, evaluation))
    }

    /// [`Self::cross_validate`] on the folds of every repeat, measured together. The head that is saved is made like that
    /// of any fold, from all rows that have folds.
    pub fn cross_validate_repeats(&self) -> Result<Repeated, StudyError> {
        let repeats: Vec<Vec<Vec<usize>>> = (0..self.data.split.repeats().len())
            .map(|repeat| self.fold_rows(repeat))
            .collect();
        let crossed = self.beside(repeats.len(), |repeat| self.cross(&repeats[repeat], true))?;
        let all = self.rows_of(&Set::OutOfFold);
        let scored = crossed.iter().map(|crossed| self.decided_scores(&all, crossed));
        let scored = scored.collect::<Result<Vec<Scores>, _>>()?;
        let decided_by = crossed[0].decided_by.as_ref().expect("there are at least two folds");
        let unit = self.run.study.probe.unit;
        let bootstrap = self.run.study.bootstrap();
        let head = self.config.name();
        let failed = |error| self.eval_error(OUT_OF_FOLD, error);
        let evaluation = evaluate_repeats(self.features, head, OUT_OF_FOLD, unit, &scored, decided_by, &bootstrap)
            .map_err(failed)?;
        let folds = self.data.split.repeats().iter();
        let folds = folds.map(|folds| all.iter().filter_map(|row| folds[*row]).collect());
        let parts: Vec<(Scores, Vec<usize>)> = scored.into_iter().zip(folds).collect();
        let areas = areas_of_repeats(self.features, head, decided_by, &parts, &bootstrap).map_err(failed)?;
        let decided = self.fit_and_choose(&all, "the rows of all folds, scored by inner folds")?;
        Ok(Repeated {
            decided,
            crossed,
            evaluation,
            areas,
        })
    }

    /// The whole pipeline up to the AUC of every set that the heads are not fitted on, without thresholds, which change no
    /// AUC. `None` of a set with one class.
    pub fn areas(&self) -> Result<BTreeMap<String, Option<f64>>, StudyError> {
        let mut scores = vec![None; self.data.cohort.len()];
        let mut areas = BTreeMap::new();
        let folds = match (self.data.split.n_folds(), self.data.split.repeats().len()) {
            (0, 0) => {
                let (_, train) = self.fit_training(&mut scores)?;
                if self.calibrates() {
                    let validation = self.rows_of(&Set::Validation);
                    let map = match self.has_both_classes(&validation) {
                        true => self.calibrate("validation", &validation, &scores)?,
                        false => self.calibrate("train", &train, &self.out_of_fold(self.config, &train)?)?,
                    };
                    apply(map.as_ref(), &mut scores);
                }
                Vec::new()
            }
            (0, repeats) => (0..repeats).map(|repeat| self.fold_rows(repeat)).collect(),
            (folds, _) => vec![(0..folds).map(|fold| self.rows_of(&Set::Fold(fold))).collect()],
        };
        if let Some(first) = folds.first() {
            let all = all_but(first, first.len());
            let (mut sum, mut last) = (Some(0.0), None);
            for fold_rows in &folds {
                let crossed = self.cross(fold_rows, false)?;
                let area = self.area(OUT_OF_FOLD, &all, &crossed.scores)?;
                sum = sum.zip(area).map(|(sum, area)| sum + area);
                last = Some(crossed);
            }
            areas.insert(OUT_OF_FOLD.to_owned(), sum.map(|sum| sum / folds.len() as f64));
            if let Some(crossed) = last
                && self.data.rows.keys().any(|set| matches!(set, Set::External(_)))
            {
                let fitted = self.fit(self.config, &all)?;
                let map = match (self.calibrates(), self.data.split.repeats().is_empty()) {
                    (false, _) => None,
                    (true, true) => self.calibrate(OUT_OF_FOLD, &all, &crossed.raw)?,
                    (true, false) => self.calibrate(OUT_OF_FOLD, &all, &self.inner_scores(&fitted, &all)?)?,
                };
                self.score_external(&fitted, map.as_ref(), &mut scores)?;
            }
        }
        for (set, rows) in self.data.rows {
            if matches!(set, Set::Validation | Set::Test | Set::External(_)) {
                let name = set.to_string();
                let area = self.area(&name, rows, &scores)?;
                areas.insert(name, area);
            }
        }
        Ok(areas)
    }

    /// The AUC of scores, pooled as the study pools them.
    fn area(&self, set: &str, rows: &[usize], scores: &[Option<f64>]) -> Result<Option<f64>, StudyError> {
        let probe = &self.run.study.probe;
        let scores = self.scores(set, rows, scores)?;
        let pooled = scores.pool(probe.unit, probe.pool);
        let pooled = pooled.map_err(|error| self.eval_error(set, error))?.scores;
        Ok(auc(pooled.positive(), pooled.score()))
    }

    /// Does `n` things of this task, beside each other where memory allows; the results do not depend on that.
    pub fn beside<T: Send>(
        &self,
        n: usize,
        what: impl Fn(usize) -> Result<T, StudyError> + Sync,
    ) -> Result<Vec<T>, StudyError> {
        let rows: usize = self.data.rows.values().map(Vec::len).sum();
        // A kernel of all pairs of rows, and the features as they are, standardised and for inner folds.
        let bytes = 8 * rows * (rows + 3 * self.data.matrix.width());
        match bytes.saturating_mul(rayon::current_num_threads().min(n)) <= MEMORY {
            true => (0..n).into_par_iter().map(&what).collect(),
            false => (0..n).map(&what).collect(),
        }
    }

    /// Fits on the training set and scores all sets; gives the training rows too.
    fn fit_training(&self, scores: &mut [Option<f64>]) -> Result<(FittedHead, Vec<usize>), StudyError> {
        let train = self.rows_of(&Set::Train);
        self.need_both_classes("train", &train)?;
        let fitted = self.fit(self.config, &train)?;
        for rows in self.data.rows.values() {
            self.score(&fitted, None, rows, scores)?;
        }
        Ok((fitted, train))
    }

    /// Scores the rows of each fold by a head that was fitted on the others.
    fn cross(&self, fold_rows: &[Vec<usize>], with_thresholds: bool) -> Result<Crossed, StudyError> {
        let n = self.data.cohort.len();
        let mut crossed = Crossed {
            raw: vec![None; n],
            scores: vec![None; n],
            thresholds: vec![None; n],
            flat: (0, 0),
            decided_by: None,
        };
        let mut equal = Vec::new();
        for (fold, rows) in fold_rows.iter().enumerate() {
            self.run.check_stop()?;
            let train = all_but(fold_rows, fold);
            self.need_both_classes(&format!("all folds but {fold}"), &train)?;
            let (fitted, map) = match with_thresholds {
                true => {
                    let Decided { fitted, map, threshold } = self.fit_and_choose(&train, "the other folds")?;
                    rows.iter()
                        .for_each(|row| crossed.thresholds[*row] = Some(threshold.value));
                    crossed.decided_by = Some(threshold);
                    (fitted, map)
                }
                false => {
                    let fitted = self.fit(self.config, &train)?;
                    let map = match self.calibrates() {
                        true => self.calibrate("the other folds", &train, &self.inner_scores(&fitted, &train)?)?,
                        false => None,
                    };
                    (fitted, map)
                }
            };
            self.score(&fitted, None, rows, &mut crossed.raw)?;
            if let Some(map) = &map {
                crossed.flat.0 += usize::from(map.is_flat());
                crossed.flat.1 += 1;
            }
            for row in rows {
                crossed.scores[*row] = crossed.raw[*row].map(|raw| mapped(map.as_ref(), raw));
            }
            if with_thresholds && self.has_both_classes(rows) {
                let given: Vec<f64> = rows.iter().filter_map(|row| crossed.raw[*row]).collect();
                equal.push(fitted.check_scores(&given).err());
            }
        }
        // One small fold may get equal scores by chance; all of them do not.
        if let Some(error) = equal
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .and_then(|errors| errors.into_iter().next())
        {
            return Err(self.head_error(error));
        }
        Ok(crossed)
    }

    /// Scores of external sites by the head that was fitted on all rows that have folds.
    pub fn score_external(
        &self,
        fitted: &FittedHead,
        map: Option<&CalibrationMap>,
        scores: &mut [Option<f64>],
    ) -> Result<(), StudyError> {
        for (set, rows) in self.data.rows {
            if matches!(set, Set::External(_)) {
                self.score(fitted, map, rows, scores)?;
            }
        }
        Ok(())
    }

    /// Fits a head, and chooses its map and threshold on the same rows, each scored by a head with the same
    /// hyperparameters that had not seen its patient.
    fn fit_and_choose(&self, rows: &[usize], named: &str) -> Result<Decided, StudyError> {
        let fitted = self.fit(self.config, rows)?;
        let mut inner = self.inner_scores(&fitted, rows)?;
        let map = self.calibrate(named, rows, &inner)?;
        apply(map.as_ref(), &mut inner);
        let threshold = self.choose(named, rows, &inner)?;
        Ok(Decided { fitted, map, threshold })
    }

    /// Scores of the rows that a head was fitted on, by heads with its hyperparameters that had not seen their patients.
    fn inner_scores(&self, fitted: &FittedHead, rows: &[usize]) -> Result<Vec<Option<f64>>, StudyError> {
        self.out_of_fold(&self.config.fixed(&fitted.summary().chosen), rows)
    }

    fn calibrates(&self) -> bool {
        self.run.study.probe.calibration != crate::eval::Calibration::None
    }

    /// The map of scores to probabilities that the study asks for.
    fn calibrate(
        &self,
        set: &str,
        rows: &[usize],
        scores: &[Option<f64>],
    ) -> Result<Option<CalibrationMap>, StudyError> {
        if !self.calibrates() {
            return Ok(None);
        }
        let scores = self.scores(set, rows, scores)?;
        let map = self.run.study.probe.calibration.fit(&scores);
        map.map_err(|error| self.eval_error(set, error.into()))
    }

    /// Out-of-fold scores with the thresholds that decide them.
    fn decided_scores(&self, rows: &[usize], crossed: &Crossed) -> Result<Scores, StudyError> {
        let own = rows.iter().filter_map(|row| crossed.thresholds[*row]).collect();
        Ok(self.scores(OUT_OF_FOLD, rows, &crossed.scores)?.with_thresholds(own))
    }

    /// The rows of each outer fold of one repeat.
    fn fold_rows(&self, repeat: usize) -> Vec<Vec<usize>> {
        let fold = &self.data.split.repeats()[repeat];
        let mut rows = vec![Vec::new(); fold.iter().flatten().max().map_or(0, |last| last + 1)];
        for row in self.rows_of(&Set::OutOfFold) {
            if let Some(fold) = fold[row] {
                rows[fold].push(row);
            }
        }
        rows
    }

    fn rows_of(&self, set: &Set) -> Vec<usize> {
        self.data.rows.get(set).cloned().unwrap_or_default()
    }

    fn positive(&self, rows: &[usize]) -> Vec<bool> {
        let label = |row: usize| match self.labels {
            Some(labels) => labels[row],
            None => self.data.cohort.positive[row] == Some(true),
        };
        rows.iter().map(|row| label(*row)).collect()
    }

    fn patients(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|row| self.data.cohort.patient[*row]).collect()
    }

    /// What inner folds keep together: patients, or single slices where the study asked for leakage.
    fn groups(&self, rows: &[usize]) -> Vec<usize> {
        if self.data.split.is_leaky() {
            (0..rows.len()).collect()
        } else {
            self.patients(rows)
        }
    }

    fn has_both_classes(&self, rows: &[usize]) -> bool {
        let positive = self.positive(rows);
        positive.contains(&true) && positive.contains(&false)
    }

    fn need_both_classes(&self, set: &str, rows: &[usize]) -> Result<(), StudyError> {
        if self.has_both_classes(rows) {
            return Ok(());
        }
        let positive = self.positive(rows).into_iter().filter(|positive| *positive).count();
        Err(StudyError::Set {
            set: set.to_owned(),
            positive,
            negative: rows.len() - positive,
        })
    }

    fn head_error(&self, source: HeadError) -> StudyError {
        StudyError::Head {
            head: self.config.name().to_owned(),
            features: self.features.to_owned(),
            source,
        }
    }

    pub fn eval_error(&self, set: &str, source: crate::eval::EvalError) -> StudyError {
        let (head, features) = (self.config.name().to_owned(), self.features.to_owned());
        StudyError::Eval {
            head,
            features,
            set: set.to_owned(),
            source,
        }
    }

    /// What `fit` makes of these rows as a training set.
    fn train<T>(
        &self,
        rows: &[usize],
        fit: impl FnOnce(&TrainingSet<'_>, &Tuning, u64) -> Result<T, HeadError>,
    ) -> Result<T, StudyError> {
        let (x, positive, groups) = (self.data.matrix.select(rows), self.positive(rows), self.groups(rows));
        let train = TrainingSet {
            x: x.view(),
            positive: &positive,
            groups: &groups,
        };
        fit(&train, &self.run.tuning(), self.run.study.seed).map_err(|error| self.head_error(error))
    }

    fn fit(&self, config: &HeadConfig, rows: &[usize]) -> Result<FittedHead, StudyError> {
        self.train(rows, |train, tuning, seed| config.fit(train, tuning, seed))
    }

    /// Out-of-fold scores of the training rows, in the cohort's numbering.
    fn out_of_fold(&self, config: &HeadConfig, rows: &[usize]) -> Result<Vec<Option<f64>>, StudyError> {
        let inner = self.train(rows, |train, tuning, seed| config.out_of_fold(train, tuning, seed))?;
        let mut scores = vec![None; self.data.cohort.len()];
        for (row, score) in rows.iter().zip(inner) {
            scores[*row] = Some(score);
        }
        Ok(scores)
    }

    fn score(
        &self,
        fitted: &FittedHead,
        map: Option<&CalibrationMap>,
        rows: &[usize],
        scores: &mut [Option<f64>],
    ) -> Result<(), StudyError> {
        if rows.is_empty() {
            return Ok(());
        }
        let given = fitted
            .score(self.data.matrix.select(rows).view())
            .map_err(|error| self.head_error(error))?;
        for (row, score) in rows.iter().zip(given) {
            scores[*row] = Some(mapped(map, score));
        }
        Ok(())
    }

    pub fn scores(&self, set: &str, rows: &[usize], scores: &[Option<f64>]) -> Result<Scores, StudyError> {
        let given = rows.iter().filter_map(|row| scores[*row]).collect();
        let scores = Scores::new(self.positive(rows), given, self.patients(rows));
        let scans = rows.iter().map(|row| self.data.scan[*row]).collect();
        scores
            .map(|scores| scores.with_scans(scans))
            .map_err(|error| self.eval_error(set, error))
    }

    fn choose(&self, set: &str, rows: &[usize], scores: &[Option<f64>]) -> Result<Threshold, StudyError> {
        let probe = &self.run.study.probe;
        let scores = self.scores(set, rows, scores)?;
        choose_threshold(set, probe.unit, probe.pool, &scores, probe.threshold)
            .map_err(|error| self.eval_error(set, error))
    }

    /// Measures scores of rows of one set.
    pub fn evaluate(&self, set: &str, scores: &Scores, threshold: &Threshold) -> Result<Evaluation, StudyError> {
        let (head, unit) = (self.config.name(), self.run.study.probe.unit);
        evaluate(
            self.features,
            head,
            set,
            unit,
            scores,
            threshold,
            &self.run.study.bootstrap(),
        )
        .map_err(|error| self.eval_error(set, error))
    }
}

impl StudyRun {
    /// The inner folds: those of `split.inner` in nested cross-validation.
    pub(super) fn tuning(&self) -> Tuning {
        match &self.study.split {
            Some(SplitPlan::NestedCv { inner, .. }) => Tuning { folds: *inner },
            _ => self.study.probe.tuning,
        }
    }
}

/// The rows of all folds but one, in rising order; of all where there is no such fold.
fn all_but(fold_rows: &[Vec<usize>], fold: usize) -> Vec<usize> {
    let kept = fold_rows.iter().enumerate().filter(|(other, _)| *other != fold);
    let rows: BTreeSet<usize> = kept.flat_map(|(_, rows)| rows.iter().copied()).collect();
    rows.into_iter().collect()
}

fn mapped(map: Option<&CalibrationMap>, score: f64) -> f64 {
    map.map_or(score, |map| map.apply(score))
}

fn apply(map: Option<&CalibrationMap>, scores: &mut [Option<f64>]) {
    for score in scores.iter_mut().flatten() {
        *score = mapped(map, *score);
    }
}
