//! Stage five: fits every head on every layer and measures it on every set.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
};

use super::{
    Failure, Key, StudyError, StudyRun,
    matrix::Matrix,
    task::{Crossed, Data, Decided, Repeated, Task},
};
use crate::{
    cohort::{Cohort, Set, Split},
    eval::{CalibrationMap, Evaluation, NullAuc, POSITIVE_KEY, RepeatedAuc, Threshold},
    features::{Provenance, read_features},
    heads::{FittedHead, HeadConfig},
    progress::Progress,
    report::{HeadAssessment, HeadComparisons, Json, ReportFormat as _},
    tables::{Column, ColumnData, atomic_write, write_parquet},
};

/// Scores and the thresholds that decide them, one row a slice, two columns a head and layer.
pub const PREDICTIONS_FILE: &str = "predictions.parquet";
/// Scores and thresholds of every repeat of nested cross-validation, one row a slice and repeat (from 1), two columns a
/// head and layer; [`PREDICTIONS_FILE`] then holds their means.
pub const REPEATS_FILE: &str = "predictions_repeats.parquet";
/// The numbers, for programs.
pub const RESULTS_FILE: &str = "results.json";
/// All that a report says; the report is rendered from it.
pub const STUDY_FILE: &str = "study.json";
/// Folder of the fitted heads.
pub(super) const MODELS: &str = "models";

const STAGE: &str = "probe";

/// The name under which scores of all folds are evaluated together.
pub(super) const OUT_OF_FOLD: &str = "out-of-fold";

/// One head on one layer: what it gave.
pub(super) struct Probed {
    pub features: String,
    pub head: String,
    /// For each row of the cohort; `None` where it was not scored.
    pub scores: Vec<Option<f64>>,
    /// The threshold that decides each scored row.
    pub thresholds: Vec<Option<f64>>,
    pub evaluations: Vec<Evaluation>,
    /// The threshold of the head that is saved.
    pub threshold: Threshold,
    /// The head that is saved: fitted on the training set, or on all rows that have folds.
    pub fitted: FittedHead,
    /// The map of its scores to probabilities.
    pub map: Option<CalibrationMap>,
    /// Scores and thresholds of every repeat.
    repeats: Vec<Crossed>,
    pub areas: Option<RepeatedAuc>,
    pub nulls: Vec<NullAuc>,
    pub assessments: Vec<HeadAssessment>,
    /// What a reader must know of how it came about.
    pub warnings: Vec<String>,
}

impl StudyRun {
    /// Fits and measures; writes predictions, results and the fitted heads.
    ///
    /// # Errors
    ///
    /// A set with one class that needs both, features that are not finite, a head that gives one score to all.
    pub fn probe(&mut self, cohort: &Cohort, split: &Split, failures: &[Failure]) -> Result<(), StudyError> {
        let files = self.probe_files()?;
        let audit = self.audit(cohort, split, files.first())?;
        let mut key = Key::of_program(STAGE)
            .text(self.key("split"))
            .text(self.key("audit"))
            .value(&self.study.probe)
            .value(&self.study.seed);
        key = key.value(&self.study.title).value(&self.name).value(&failures.len());
        for (name, file) in &files {
            key = key.text(name).text(&super::sha256_path(file)?);
        }
        let key = key.finish();
        if !self.begin(STAGE, &key)? {
            let (mut probed, mut comparisons, mut made_by) = (Vec::new(), Vec::new(), Vec::new());
            for (name, file) in &files {
                let matrix = Matrix::join(
                    name,
                    read_features(file)?,
                    cohort,
                    split,
                    self.study.features.table.is_some(),
                )?;
                let (of_layer, compared) = self.probe_layer(cohort, split, name, &matrix)?;
                probed.extend(of_layer);
                comparisons.extend(compared);
                made_by.push((name.clone(), matrix.provenance));
            }
            let banners = super::report::banners(split, &made_by);
            self.write_predictions(cohort, split, &probed, &banners)?;
            if !split.repeats().is_empty() {
                self.write_repeats(cohort, split, &probed, &banners)?;
            }
            let mut outputs = self.write_models(&mut probed, &made_by, &banners)?;
            let mut report = self.study_report(cohort, split, failures, probed, &made_by);
            report.audit = audit;
            report.comparisons = comparisons;
            banners.into_iter().for_each(|banner| report.mark(banner));
            let text = serde_json::to_string(&report).expect("a report has string keys");
            atomic_write(&self.folder.join(STUDY_FILE), |file| file.write_all(text.as_bytes()))?;
            let results = Json.render(&report);
            atomic_write(&self.folder.join(RESULTS_FILE), |file| {
                file.write_all(results.as_bytes())
            })?;
            if !split.repeats().is_empty() {
                outputs.push(REPEATS_FILE.to_owned());
            }
            outputs.extend([PREDICTIONS_FILE, RESULTS_FILE, STUDY_FILE].map(str::to_owned));
            self.finish(STAGE, &key, &outputs)?;
        }
        self.keys.insert(STAGE, key);
        Ok(())
    }

    /// The tables that heads read, by name.
    pub(super) fn probe_files(&self) -> Result<Vec<(String, PathBuf)>, StudyError> {
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
    ) -> Result<(Vec<Probed>, Vec<HeadComparisons>), StudyError> {
        let mut rows = BTreeMap::<&Set, Vec<usize>>::new();
        for (row, set) in split.sets().iter().enumerate() {
            if let Some(set) = set
                && matrix.has(row)
            {
                rows.entry(set).or_default().push(row);
            }
        }
        let scan = scans(cohort);
        let data = Data {
            cohort,
            split,
            matrix,
            scan: &scan,
            rows: &rows,
        };
        let heads = &self.study.probe.heads;
        let progress = Progress::new("probe", "heads", heads.len() as u64);
        let probe = |config: &HeadConfig| {
            let probed = self.probe_head(&data, features, config);
            progress.tick(1);
            probed
        };
        let probed = heads.iter().map(probe).collect::<Result<Vec<Probed>, _>>();
        progress.finish();
        let mut probed = probed?;
        self.add_nulls(&data, features, &mut probed)?;
        let comparisons = self.compare(&data, features, &probed)?;
        Ok((probed, comparisons))
    }

    fn probe_head(&self, data: &Data<'_>, features: &str, config: &HeadConfig) -> Result<Probed, StudyError> {
        self.check_stop()?;
        let task = Task {
            run: self,
            data,
            features,
            config,
            labels: None,
        };
        let n = data.cohort.len();
        let (mut scores, mut thresholds) = (vec![None; n], vec![None; n]);
        let (mut evaluations, mut repeats, mut areas, mut flat) = (Vec::new(), Vec::new(), None, (0, 0));
        let decided = match (data.split.n_folds(), data.split.repeats().len()) {
            (0, 0) => task.fit_on_training(&mut scores)?,
            (0, _) => {
                let repeated = task.cross_validate_repeats()?;
                scores = means(n, repeated.crossed.iter().map(|crossed| &crossed.scores));
                thresholds = means(n, repeated.crossed.iter().map(|crossed| &crossed.thresholds));
                let Repeated {
                    decided,
                    crossed,
                    evaluation,
                    areas: found,
                } = repeated;
                evaluations.push(evaluation);
                areas = Some(found);
                repeats = crossed;
                for crossed in &repeats {
                    flat = (flat.0 + crossed.flat.0, flat.1 + crossed.flat.1);
                }
                decided
            }
            (folds, _) => {
                let (decided, crossed, evaluation) = task.cross_validate(folds)?;
                evaluations.push(evaluation);
                flat = crossed.flat;
                (scores, thresholds) = (crossed.scores, crossed.thresholds);
                decided
            }
        };
        let Decided { fitted, map, threshold } = decided;
        if data.split.n_folds() > 0 || !data.split.repeats().is_empty() {
            task.score_external(&fitted, map.as_ref(), &mut scores)?;
        }
        for (set, rows) in data.rows {
            if !matches!(set, Set::Fold(_) | Set::OutOfFold) {
                rows.iter().for_each(|row| thresholds[*row] = Some(threshold.value));
                let set = set.to_string();
                evaluations.push(task.evaluate(&set, &task.scores(&set, rows, &scores)?, &threshold)?);
            }
        }
        if let Some(map) = &map {
            flat = (flat.0 + usize::from(map.is_flat()), flat.1 + 1);
        }
        let assessments = task.assess(&scores, &thresholds)?;
        let warnings = match flat {
            (0, _) => Vec::new(),
            (flat, maps) => vec![format!(
                "{} on {features}: {flat} of {maps} calibration maps give every row one probability, since the scores that \
                 they were fitted on do not rank the classes, or rank them backwards",
                config.name()
            )],
        };
        Ok(Probed {
            features: features.to_owned(),
            head: config.name().to_owned(),
            scores,
            thresholds,
            evaluations,
            threshold,
            fitted,
            map,
            repeats,
            areas,
            nulls: Vec::new(),
            assessments,
            warnings,
        })
    }

    fn write_predictions(
        &self,
        cohort: &Cohort,
        split: &Split,
        probed: &[Probed],
        banners: &[String],
    ) -> Result<(), StudyError> {
        let used: Vec<usize> = (0..cohort.len()).filter(|row| split.sets()[*row].is_some()).collect();
        let rows = &cohort.rows;
        let text = |name: &str, cell: &dyn Fn(usize) -> Option<String>| {
            Column::new(name, ColumnData::Text(used.iter().map(|row| cell(*row)).collect()))
        };
        let set = |row: usize| match split.sets()[row].as_ref()? {
            Set::Fold(_) => Some(OUT_OF_FOLD.to_owned()),
            set => Some(set.to_string()),
        };
        let mut columns = vec![
            Column::new("row", ColumnData::Int(used.iter().map(|row| *row as i64 + 1).collect())),
            text("slice_id", &|row| Some(rows.slice_id[row].clone())),
            text("scan_id", &|row| Some(rows.scan_id[row].clone())),
            text("patient_id", &|row| Some(rows.patient_id[row].clone())),
            text("label", &|row| rows.label[row].clone()),
            text("site", &|row| rows.site[row].clone()),
            text("set", &set),
        ];
        for one in probed {
            let name = format!("{}.{}", one.features, one.head);
            let thresholds = used.iter().map(|row| one.thresholds[*row]).collect();
            let scores = used.iter().map(|row| one.scores[*row]).collect();
            columns.push(Column::new(name.clone(), ColumnData::Float64(scores)));
            columns.push(Column::new(
                format!("{name}.threshold"),
                ColumnData::Float64(thresholds),
            ));
        }
        let metadata = self.prediction_facts(banners);
        Ok(write_parquet(&self.folder.join(PREDICTIONS_FILE), &columns, &metadata)?)
    }

    /// Every repeat's scores below one another.
    fn write_repeats(
        &self,
        cohort: &Cohort,
        split: &Split,
        probed: &[Probed],
        banners: &[String],
    ) -> Result<(), StudyError> {
        let folds = split.repeats();
        let places: Vec<(usize, usize)> = (0..folds.len())
            .flat_map(|repeat| (0..cohort.len()).map(move |row| (repeat, row)))
            .filter(|(repeat, row)| folds[*repeat][*row].is_some())
            .collect();
        let rows = &cohort.rows;
        let text = |name: &str, cell: &dyn Fn(usize) -> Option<String>| {
            Column::new(
                name,
                ColumnData::Text(places.iter().map(|(_, row)| cell(*row)).collect()),
            )
        };
        let whole = |name: &str, cell: &dyn Fn(usize, usize) -> usize| {
            let cells = places.iter().map(|(repeat, row)| cell(*repeat, *row) as i64);
            Column::new(name, ColumnData::Int(cells.collect()))
        };
        let mut columns = vec![
            whole("row", &|_, row| row + 1),
            whole("repeat", &|repeat, _| repeat + 1),
            whole("fold", &|repeat, row| folds[repeat][row].unwrap_or_default()),
            text("slice_id", &|row| Some(rows.slice_id[row].clone())),
            text("scan_id", &|row| Some(rows.scan_id[row].clone())),
            text("patient_id", &|row| Some(rows.patient_id[row].clone())),
            text("label", &|row| rows.label[row].clone()),
        ];
        for one in probed {
            let name = format!("{}.{}", one.features, one.head);
            let numbers = |name: String, of: &dyn Fn(&Crossed, usize) -> Option<f64>| {
                let cells = places.iter().map(|(repeat, row)| of(&one.repeats[*repeat], *row));
                Column::new(name, ColumnData::Float64(cells.collect()))
            };
            columns.push(numbers(name.clone(), &|crossed, row| crossed.scores[row]));
            columns.push(numbers(format!("{name}.threshold"), &|crossed, row| {
                crossed.thresholds[row]
            }));
        }
        let metadata = self.prediction_facts(banners);
        Ok(write_parquet(&self.folder.join(REPEATS_FILE), &columns, &metadata)?)
    }

    fn prediction_facts(&self, banners: &[String]) -> BTreeMap<String, String> {
        BTreeMap::from([
            (POSITIVE_KEY.to_owned(), self.positive()),
            ("hounsfield.banners".to_owned(), banners.join("\n")),
            ("hounsfield.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ])
    }

    fn positive(&self) -> String {
        self.study.cohort.positive.clone().unwrap_or_default()
    }

    /// Saves the fitted heads; returns their names in the run folder.
    fn write_models(
        &self,
        probed: &mut [Probed],
        made_by: &[(String, Provenance)],
        banners: &[String],
    ) -> Result<Vec<String>, StudyError> {
        let folder = self.folder.join(MODELS);
        let failed = |source| StudyError::Folder {
            source,
            path: folder.clone(),
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut names = Vec::new();
        for one in probed.iter_mut() {
            let name = format!("{MODELS}/{}.{}.safetensors", one.features, one.head);
            let provenance = made_by.iter().find(|(features, _)| *features == one.features);
            let provenance = provenance.map(|(_, provenance)| provenance.clone()).unwrap_or_default();
            let pairs = [
                ("features", one.features.clone()),
                ("positive", self.positive()),
                ("threshold", one.threshold.value.to_string()),
                ("threshold_from", one.threshold.to_string()),
                ("unit", self.study.probe.unit.to_string()),
                ("pool", self.study.probe.pool.to_string()),
                ("calibration", one.map.as_ref().map_or(String::new(), calibration_text)),
                ("encoder", provenance.encoder),
                ("layer", provenance.layer),
                ("weights", provenance.weights),
                ("preprocess_sha256", provenance.preprocess_sha256),
                ("pooled", provenance.pooled),
                ("banners", banners.join("\n")),
            ];
            one.fitted.metadata = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let save = one.fitted.save(&self.folder.join(&name));
            save.map_err(|source| StudyError::Head {
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
        let names: BTreeSet<String> = self.stages.outputs([STAGE]).into_keys().collect();
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

/// The scan of each row as a number.
fn scans(cohort: &Cohort) -> Vec<usize> {
    let ids = &cohort.rows.scan_id;
    let mut number: BTreeMap<&str, usize> = ids.iter().map(|id| (id.as_str(), 0)).collect();
    number.values_mut().enumerate().for_each(|(at, number)| *number = at);
    ids.iter().map(|id| number[id.as_str()]).collect()
}

/// The mean of each row over the repeats that scored it.
fn means<'a>(rows: usize, repeats: impl Iterator<Item = &'a Vec<Option<f64>>>) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0_u32); rows];
    for repeat in repeats {
        for ((sum, n), value) in sums.iter_mut().zip(repeat) {
            if let Some(value) = value {
                *sum += value;
                *n += 1;
            }
        }
    }
    let mean = |(sum, n): (f64, u32)| (n > 0).then(|| sum / f64::from(n));
    sums.into_iter().map(mean).collect()
}

/// The map as the head's file holds it.
fn calibration_text(map: &CalibrationMap) -> String {
    serde_json::to_string(map).expect("finite numbers have a text")
}
