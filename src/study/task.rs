//! One head on one layer: fitting, scoring, freezing the threshold, with nothing of an evaluated row in any of it.

use std::collections::BTreeMap;

use super::{StudyError, StudyRun, matrix::Matrix, probe::OUT_OF_FOLD};
use crate::{
    cohort::{Cohort, Set},
    eval::{Evaluation, Scores, Threshold, choose_threshold, evaluate},
    heads::{FittedHead, HeadConfig, HeadError, TrainingSet, Tuning},
    stats::Bootstrap,
};

/// What all heads of one layer share.
pub(super) struct Data<'a> {
    pub cohort: &'a Cohort,
    pub matrix: &'a Matrix,
    /// The scan of each row of the cohort, as a number.
    pub scan: &'a [usize],
    /// Whether the study asked for patients on both sides.
    pub leaky: bool,
    /// The rows of each set that have features.
    pub rows: &'a BTreeMap<&'a Set, Vec<usize>>,
}

/// One head on one layer.
pub(super) struct Task<'a> {
    pub run: &'a StudyRun,
    pub data: &'a Data<'a>,
    pub features: &'a str,
    pub config: &'a HeadConfig,
}

impl Task<'_> {
    /// Fits on the training set, scores all sets, freezes the threshold.
    pub fn fit_on_training(&self, scores: &mut [Option<f64>]) -> Result<(FittedHead, Threshold), StudyError> {
        let train = self.rows_of(&Set::Train);
        self.need_both_classes("train", &train)?;
        let fitted = self.fit(self.config, &train)?;
        for rows in self.data.rows.values() {
            self.score(&fitted, rows, scores)?;
        }
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
        let threshold = match self.has_both_classes(&validation) {
            true => self.choose("validation", &validation, scores)?,
            // Without a validation set the threshold comes from scores that the training rows got from heads which had
            // not seen their patients.
            false => {
                let inner = self.out_of_fold(self.config, &train)?;
                self.choose("training rows, scored out of fold", &train, &inner)?
            }
        };
        Ok((fitted, threshold))
    }

    /// Scores all rows that have folds by heads that have not seen their fold, then fits one on all of them for
    /// external sites. Nothing of a fold, neither rows nor labels, reaches the head or the threshold that decides it.
    pub fn cross_validate(
        &self,
        folds: usize,
        scores: &mut [Option<f64>],
        thresholds: &mut [Option<f64>],
    ) -> Result<(FittedHead, Threshold, Evaluation), StudyError> {
        let fold_rows: Vec<Vec<usize>> = (0..folds).map(|fold| self.rows_of(&Set::Fold(fold))).collect();
        let others = |fold: usize| -> Vec<usize> {
            let kept = fold_rows.iter().enumerate().filter(|(other, _)| *other != fold);
            let mut rows: Vec<usize> = kept.flat_map(|(_, rows)| rows.iter().copied()).collect();
            rows.sort_unstable();
            rows
        };
        let (mut decided_by, mut equal) = (None, Vec::new());
        for (fold, rows) in fold_rows.iter().enumerate() {
            let train = others(fold);
            self.need_both_classes(&format!("all folds but {fold}"), &train)?;
            let (fitted, threshold) = self.fit_and_choose(&train, "the other folds")?;
            self.score(&fitted, rows, scores)?;
            rows.iter().for_each(|row| thresholds[*row] = Some(threshold.value));
            if self.has_both_classes(rows) {
                let given: Vec<f64> = rows.iter().filter_map(|row| scores[*row]).collect();
                equal.push(fitted.check_scores(&given).err());
            }
            decided_by = Some(threshold);
        }
        // One small fold may get equal scores by chance; all of them do not.
        if let Some(error) = equal
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .and_then(|errors| errors.into_iter().next())
        {
            return Err(self.head_error(error));
        }
        let all = others(folds);
        let own = all.iter().filter_map(|row| thresholds[*row]).collect();
        let scored = self.scores(OUT_OF_FOLD, &all, scores)?.with_thresholds(own);
        let decided_by = decided_by.expect("there are at least two folds");
        let evaluation = self.evaluate(OUT_OF_FOLD, &scored, &decided_by)?;
        let fitted = self.fit(self.config, &all)?;
        let threshold = self.choose("out-of-fold scores", &all, scores)?;
        for (set, rows) in self.data.rows {
            if matches!(set, Set::External(_)) {
                self.score(&fitted, rows, scores)?;
            }
        }
        Ok((fitted, threshold, evaluation))
    }

    /// Fits a head and chooses its threshold on the same rows, each scored by a head with the same hyperparameters that
    /// had not seen its patient.
    fn fit_and_choose(&self, rows: &[usize], named: &str) -> Result<(FittedHead, Threshold), StudyError> {
        let fitted = self.fit(self.config, rows)?;
        let fixed = self.config.fixed(&fitted.summary().chosen);
        let inner = self.out_of_fold(&fixed, rows)?;
        let threshold = self.choose(named, rows, &inner)?;
        Ok((fitted, threshold))
    }

    fn rows_of(&self, set: &Set) -> Vec<usize> {
        self.data.rows.get(set).cloned().unwrap_or_default()
    }

    fn positive(&self, rows: &[usize]) -> Vec<bool> {
        rows.iter()
            .map(|row| self.data.cohort.positive[*row] == Some(true))
            .collect()
    }

    fn patients(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|row| self.data.cohort.patient[*row]).collect()
    }

    /// What inner folds keep together: patients, or single slices where the study asked for leakage.
    fn groups(&self, rows: &[usize]) -> Vec<usize> {
        if self.data.leaky {
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

    fn eval_error(&self, set: &str, source: crate::eval::EvalError) -> StudyError {
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
        let study = &self.run.study;
        fit(&train, &study.probe.tuning, study.seed).map_err(|error| self.head_error(error))
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

    fn score(&self, fitted: &FittedHead, rows: &[usize], scores: &mut [Option<f64>]) -> Result<(), StudyError> {
        if rows.is_empty() {
            return Ok(());
        }
        let given = fitted
            .score(self.data.matrix.select(rows).view())
            .map_err(|error| self.head_error(error))?;
        for (row, score) in rows.iter().zip(given) {
            scores[*row] = Some(score);
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
        let study = &self.run.study;
        let section = study.probe.bootstrap;
        let bootstrap = Bootstrap {
            resamples: section.resamples,
            level: section.level,
            seed: study.seed,
        };
        let (head, unit) = (self.config.name(), study.probe.unit);
        evaluate(self.features, head, set, unit, scores, threshold, &bootstrap)
            .map_err(|error| self.eval_error(set, error))
    }
}
