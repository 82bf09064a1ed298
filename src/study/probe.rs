//! Stage four: fits every head on every layer and measures it on every set.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
};

use super::{Failure, Key, StudyError, StudyRun, matrix::Matrix};
use crate::{
    cohort::{Cohort, Set, Split},
    eval::{Evaluation, Scores, Threshold, choose_threshold, evaluate},
    features::read_features,
    heads::{FittedHead, HeadConfig, TrainingSet},
    progress::Progress,
    report::{Json, LEAKAGE, ReportFormat as _},
    stats::Bootstrap,
    tables::{Column, ColumnData, atomic_write, write_parquet},
};

/// Scores, one row a slice, one column a head and layer.
pub const PREDICTIONS_FILE: &str = "predictions.parquet";
/// The numbers, for programs.
pub const RESULTS_FILE: &str = "results.json";
/// All that a report says; the report is rendered from it.
pub const STUDY_FILE: &str = "study.json";
/// Folder of the fitted heads.
const MODELS: &str = "models";

const STAGE: &str = "probe";

/// The name under which scores of all folds are evaluated together.
const OUT_OF_FOLD: &str = "out-of-fold";

/// One head on one layer: what it gave.
pub(super) struct Probed {
    pub features: String,
    pub head: String,
    /// For each row of the cohort; `None` where it was not scored.
    pub scores: Vec<Option<f64>>,
    pub evaluations: Vec<Evaluation>,
    pub threshold: Threshold,
    /// The head that is saved: fitted on the training set, or on all rows that have folds.
    pub fitted: FittedHead,
}

impl StudyRun {
    /// Fits and measures; writes predictions, results and the fitted heads.
    ///
    /// # Errors
    ///
    /// A set with one class that needs both, features that are not finite, a head that gives one score to all.
    pub fn probe(&mut self, cohort: &Cohort, split: &Split, failures: &[Failure]) -> Result<(), StudyError> {
        let files = self.probe_files()?;
        let mut key = Key::new(STAGE)
            .text(self.key("split"))
            .value(&self.study.probe)
            .value(&self.study.seed);
        key = key.value(&self.study.title).value(&self.name).value(&failures.len());
        for (name, file) in &files {
            key = key.text(name).text(&super::sha256_path(file)?);
        }
        let key = key.finish();
        if !self.begin(STAGE, &key)? {
            let mut probed = Vec::new();
            let mut made_by = Vec::new();
            for (name, file) in &files {
                let matrix = Matrix::join(name, read_features(file)?, cohort, split)?;
                probed.extend(self.probe_layer(cohort, split, name, &matrix)?);
                made_by.push((name.clone(), matrix.provenance));
            }
            self.write_predictions(cohort, split, &probed)?;
            let mut outputs = self.write_models(&mut probed)?;
            let report = self.study_report(cohort, split, failures, probed, &made_by);
            let text = serde_json::to_string(&report).expect("a report has string keys");
            atomic_write(&self.folder.join(STUDY_FILE), |file| file.write_all(text.as_bytes()))?;
            let results = Json.render(&report);
            atomic_write(&self.folder.join(RESULTS_FILE), |file| {
                file.write_all(results.as_bytes())
            })?;
            outputs.extend([PREDICTIONS_FILE, RESULTS_FILE, STUDY_FILE].map(str::to_owned));
            self.finish(STAGE, &key, &outputs)?;
        }
        self.keys.insert(STAGE, key);
        Ok(())
    }

    /// The tables that heads read, by name.
    fn probe_files(&self) -> Result<Vec<(String, PathBuf)>, StudyError> {
        let file = |name: String| match &self.study.features.table {
            Some(table) => (name, table.clone()),
            None => (name.clone(), self.feature_file(&name)),
        };
        Ok(self.study.probe_layers().into_iter().map(file).collect())
    }

    fn probe_layer(
        &self,
        cohort: &Cohort,
        split: &Split,
        features: &str,
        matrix: &Matrix,
    ) -> Result<Vec<Probed>, StudyError> {
        let mut rows = BTreeMap::<&Set, Vec<usize>>::new();
        for (row, set) in split.sets().iter().enumerate() {
            if let Some(set) = set
                && matrix.has(row)
            {
                rows.entry(set).or_default().push(row);
            }
        }
        let data = Data {
            cohort,
            matrix,
            leaky: split.is_leaky(),
            rows: &rows,
        };
        let heads = &self.study.probe.heads;
        let progress = Progress::new("probe", "heads", heads.len() as u64);
        let probe = |config: &HeadConfig| {
            let probed = self.probe_head(&data, split, features, config);
            progress.tick(1);
            probed
        };
        let probed = heads.iter().map(probe).collect();
        progress.finish();
        probed
    }

    fn probe_head(
        &self,
        data: &Data<'_>,
        split: &Split,
        features: &str,
        config: &HeadConfig,
    ) -> Result<Probed, StudyError> {
        let task = Task {
            run: self,
            data,
            features,
            config,
        };
        let mut scores = vec![None; data.cohort.len()];
        let mut evaluations = Vec::new();
        let (fitted, threshold) = match split.n_folds() {
            0 => {
                let train = task.rows_of(&Set::Train);
                task.need_both_classes("train", &train, "heads are fitted on both classes")?;
                let fitted = task.fit(&train)?;
                for rows in data.rows.values() {
                    task.score(&fitted, rows, &mut scores)?;
                }
                let validation = task.rows_of(&Set::Validation);
                let threshold = match task.has_both_classes(&validation) {
                    true => task.choose("validation", &validation, &scores)?,
                    // Without a validation set the threshold comes from scores that the training rows got from heads
                    // which had not seen their patients.
                    false => {
                        let inner = task.out_of_fold(&train)?;
                        task.choose("training rows, scored out of fold", &train, &inner)?
                    }
                };
                (fitted, threshold)
            }
            folds => task.cross_validate(folds, &mut scores, &mut evaluations)?,
        };
        for (set, rows) in data.rows {
            if !matches!(set, Set::Fold(_)) {
                evaluations.push(task.evaluate(&set.to_string(), rows, &scores, &threshold)?);
            }
        }
        Ok(Probed {
            features: features.to_owned(),
            head: config.name().to_owned(),
            scores,
            evaluations,
            threshold,
            fitted,
        })
    }

    fn write_predictions(&self, cohort: &Cohort, split: &Split, probed: &[Probed]) -> Result<(), StudyError> {
        let used: Vec<usize> = (0..cohort.len()).filter(|row| split.sets()[*row].is_some()).collect();
        let rows = &cohort.rows;
        let text = |name: &str, cell: &dyn Fn(usize) -> Option<String>| {
            Column::new(name, ColumnData::Text(used.iter().map(|row| cell(*row)).collect()))
        };
        let mut columns = vec![
            Column::new("row", ColumnData::Int(used.iter().map(|row| *row as i64 + 1).collect())),
            text("slice_id", &|row| Some(rows.slice_id[row].clone())),
            text("scan_id", &|row| Some(rows.scan_id[row].clone())),
            text("patient_id", &|row| Some(rows.patient_id[row].clone())),
            text("label", &|row| rows.label[row].clone()),
            text("site", &|row| rows.site[row].clone()),
            text("set", &|row| split.sets()[row].as_ref().map(Set::to_string)),
        ];
        for one in probed {
            let scores = used.iter().map(|row| one.scores[*row]).collect();
            columns.push(Column::new(
                format!("{}.{}", one.features, one.head),
                ColumnData::Float64(scores),
            ));
        }
        let mut metadata = BTreeMap::from([
            (
                "hounsfield.positive".to_owned(),
                self.study.cohort.positive.clone().unwrap_or_default(),
            ),
            ("hounsfield.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        if split.is_leaky() {
            metadata.insert("hounsfield.warning".to_owned(), LEAKAGE.to_owned());
        }
        Ok(write_parquet(&self.folder.join(PREDICTIONS_FILE), &columns, &metadata)?)
    }

    /// Saves the fitted heads; returns their names in the run folder.
    fn write_models(&self, probed: &mut [Probed]) -> Result<Vec<String>, StudyError> {
        let folder = self.folder.join(MODELS);
        let failed = |source| StudyError::Folder {
            source,
            path: folder.clone(),
        };
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(failed)?;
        }
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut names = Vec::new();
        for one in probed.iter_mut() {
            let name = format!("{MODELS}/{}.{}.safetensors", one.features, one.head);
            one.fitted.metadata = BTreeMap::from([
                ("features".to_owned(), one.features.clone()),
                (
                    "positive".to_owned(),
                    self.study.cohort.positive.clone().unwrap_or_default(),
                ),
                ("threshold".to_owned(), one.threshold.value.to_string()),
                ("threshold_from".to_owned(), one.threshold.to_string()),
                ("unit".to_owned(), self.study.probe.unit.to_string()),
            ]);
            one.fitted
                .save(&self.folder.join(&name))
                .map_err(|source| StudyError::Head {
                    head: one.head.clone(),
                    features: one.features.clone(),
                    source,
                })?;
            names.push(name);
        }
        Ok(names)
    }

    /// Copies the fitted heads into a folder of the user's.
    ///
    /// # Errors
    ///
    /// A folder that can't be written to.
    pub fn copy_models(&self, folder: &Path) -> Result<Vec<PathBuf>, StudyError> {
        let failed = |source| StudyError::Folder {
            source,
            path: folder.to_owned(),
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let names: BTreeSet<String> = self.stages.outputs().into_keys().collect();
        let models = names
            .iter()
            .filter_map(|name| name.strip_prefix("models/").map(|file| (name, file)));
        models
            .map(|(name, file)| {
                let to = folder.join(file);
                std::fs::copy(self.folder.join(name), &to).map_err(failed)?;
                Ok(to)
            })
            .collect()
    }
}

/// What all heads of one layer share.
struct Data<'a> {
    cohort: &'a Cohort,
    matrix: &'a Matrix,
    leaky: bool,
    rows: &'a BTreeMap<&'a Set, Vec<usize>>,
}

/// One head on one layer.
struct Task<'a> {
    run: &'a StudyRun,
    data: &'a Data<'a>,
    features: &'a str,
    config: &'a HeadConfig,
}

impl Task<'_> {
    /// Scores all rows that have folds by heads that have not seen their fold, then fits one on all of them for
    /// external sites.
    fn cross_validate(
        &self,
        folds: usize,
        scores: &mut [Option<f64>],
        evaluations: &mut Vec<Evaluation>,
    ) -> Result<(FittedHead, Threshold), StudyError> {
        let fold_rows: Vec<Vec<usize>> = (0..folds).map(|fold| self.rows_of(&Set::Fold(fold))).collect();
        let others = |fold: usize| -> Vec<usize> {
            let kept = fold_rows.iter().enumerate().filter(|(other, _)| *other != fold);
            let mut rows: Vec<usize> = kept.flat_map(|(_, rows)| rows.iter().copied()).collect();
            rows.sort_unstable();
            rows
        };
        for (fold, rows) in fold_rows.iter().enumerate() {
            let train = others(fold);
            let name = format!("all folds but {fold}");
            self.need_both_classes(&name, &train, "heads are fitted on both classes")?;
            self.score(&self.fit(&train)?, rows, scores)?;
        }
        // The threshold of a fold is chosen on the out-of-fold scores of all other folds, never on its own; scores are
        // shifted by it, so that one threshold of 0 serves all.
        let mut shifted = vec![None; scores.len()];
        let rule = self.run.study.probe.threshold;
        let mut frozen = None;
        for (fold, rows) in fold_rows.iter().enumerate() {
            let threshold = self.choose("the other folds", &others(fold), scores)?;
            for row in rows {
                shifted[*row] = scores[*row].map(|score| score - threshold.value);
            }
            frozen = Some(Threshold {
                value: 0.0,
                set: "the other folds, subtracted".to_owned(),
                rule,
                ..threshold
            });
        }
        let all = others(folds);
        let frozen = frozen.expect("there are at least two folds");
        let mut evaluation = self.evaluate(OUT_OF_FOLD, &all, &shifted, &frozen)?;
        let plain = self.choose("out-of-fold scores", &all, scores)?;
        let unshifted = self.evaluate(OUT_OF_FOLD, &all, scores, &plain)?;
        // The AUC and the curve are those of the scores themselves.
        evaluation.rows[0] = unshifted.rows[0].clone();
        evaluation.roc = unshifted.roc.zip(evaluation.roc).map(|(mut curve, shifted)| {
            curve.operating = shifted.operating;
            curve.operating.threshold = None;
            curve
        });
        evaluations.push(evaluation);
        let fitted = self.fit(&all)?;
        for (set, rows) in self.data.rows {
            if matches!(set, Set::External(_)) {
                self.score(&fitted, rows, scores)?;
            }
        }
        Ok((fitted, plain))
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

    fn need_both_classes(&self, set: &str, rows: &[usize], need: &'static str) -> Result<(), StudyError> {
        if self.has_both_classes(rows) {
            return Ok(());
        }
        let positive = self.positive(rows).into_iter().filter(|positive| *positive).count();
        Err(StudyError::Set {
            set: set.to_owned(),
            positive,
            negative: rows.len() - positive,
            need,
        })
    }

    fn head_error(&self, source: crate::heads::HeadError) -> StudyError {
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

    fn fit(&self, rows: &[usize]) -> Result<FittedHead, StudyError> {
        let (x, positive, groups) = (self.data.matrix.select(rows), self.positive(rows), self.groups(rows));
        let train = TrainingSet {
            x: x.view(),
            positive: &positive,
            groups: &groups,
        };
        let study = &self.run.study;
        self.config
            .fit(&train, &study.probe.tuning, study.seed)
            .map_err(|error| self.head_error(error))
    }

    /// Out-of-fold scores of the training rows, in the cohort's numbering.
    fn out_of_fold(&self, rows: &[usize]) -> Result<Vec<Option<f64>>, StudyError> {
        let (x, positive, groups) = (self.data.matrix.select(rows), self.positive(rows), self.groups(rows));
        let train = TrainingSet {
            x: x.view(),
            positive: &positive,
            groups: &groups,
        };
        let study = &self.run.study;
        let inner = self.config.out_of_fold(&train, &study.probe.tuning, study.seed);
        let inner = inner.map_err(|error| self.head_error(error))?;
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
            .score_checked(self.data.matrix.select(rows).view())
            .map_err(|error| self.head_error(error))?;
        for (row, score) in rows.iter().zip(given) {
            scores[*row] = Some(score);
        }
        Ok(())
    }

    fn scores(&self, set: &str, rows: &[usize], scores: &[Option<f64>]) -> Result<Scores, StudyError> {
        let given = rows.iter().filter_map(|row| scores[*row]).collect();
        Scores::new(self.positive(rows), given, self.patients(rows)).map_err(|error| self.eval_error(set, error))
    }

    fn choose(&self, set: &str, rows: &[usize], scores: &[Option<f64>]) -> Result<Threshold, StudyError> {
        let probe = &self.run.study.probe;
        let scores = self.scores(set, rows, scores)?;
        choose_threshold(set, probe.unit, &scores, probe.threshold).map_err(|error| self.eval_error(set, error))
    }

    fn evaluate(
        &self,
        set: &str,
        rows: &[usize],
        scores: &[Option<f64>],
        threshold: &Threshold,
    ) -> Result<Evaluation, StudyError> {
        let study = &self.run.study;
        let section = study.probe.bootstrap;
        let bootstrap = Bootstrap {
            resamples: section.resamples,
            level: section.level,
            seed: study.seed,
        };
        let scores = self.scores(set, rows, scores)?;
        let head = self.config.name();
        evaluate(
            self.features,
            head,
            set,
            study.probe.unit,
            &scores,
            threshold,
            &bootstrap,
        )
        .map_err(|error| self.eval_error(set, error))
    }
}
