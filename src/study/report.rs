//! Stage six: the report, rendered from what the probe found.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use super::{Failure, Key, StudyError, StudyRun, probe};
use crate::{
    cohort::{Cohort, Fractions, Set, Split, SplitPlan, SplitUnit},
    eval::{Calibration, Unit},
    features::Provenance,
    heads::FitSummary,
    recipe::NullTuning,
    report::{
        CohortRow, Exclusion, FORMATS, HeadFacts, HeadThreshold, LEAKAGE, StudyReport, UNTRAINED, terminal_table,
    },
    tables::atomic_write,
};

/// The report for readers: one file that needs no network.
pub const FILE: &str = "report.html";

const STAGE: &str = "report";

impl StudyRun {
    /// Renders the report from the probe's results; returns the table for the terminal.
    ///
    /// # Errors
    ///
    /// A run folder without results, or with those of another recipe.
    pub fn report(&mut self) -> Result<String, StudyError> {
        self.check_results()?;
        let mut report = self.saved_report()?;
        report.explanation = self.explanation()?;
        let key = Key::of_program(STAGE).value(&report).finish();
        if !self.begin(STAGE, &key)? {
            let mut written = Vec::new();
            // The numbers are the probe's own artefact.
            for format in FORMATS
                .iter()
                .filter(|format| format.file_name() != probe::RESULTS_FILE)
            {
                let text = format.render(&report);
                atomic_write(&self.folder.join(format.file_name()), |file| {
                    file.write_all(text.as_bytes())
                })?;
                written.push(format.file_name().to_owned());
            }
            self.finish(STAGE, &key, &written)?;
        }
        self.keys.insert(STAGE, key);
        Ok(terminal_table(&report))
    }

    /// Whether the run folder has results of this recipe.
    pub(super) fn check_results(&self) -> Result<(), StudyError> {
        if self.stages.knows("probe", &self.recipe_hash()) {
            return Ok(());
        }
        let path = self.folder.clone();
        Err(match path.join(probe::STUDY_FILE).exists() {
            true => StudyError::OtherRecipe { path },
            false => StudyError::NoResults { path },
        })
    }

    /// The table for the terminal.
    ///
    /// # Errors
    ///
    /// A run folder without results.
    pub fn results_table(&self) -> Result<String, StudyError> {
        Ok(terminal_table(&self.saved_report()?))
    }

    pub(super) fn saved_report(&self) -> Result<StudyReport, StudyError> {
        let path = self.folder.join(probe::STUDY_FILE);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        serde_json::from_str(&text).map_err(|_| StudyError::NoResults { path })
    }

    /// All that the report says.
    pub(super) fn study_report(
        &self,
        cohort: &Cohort,
        split: &Split,
        failures: &[Failure],
        probed: Vec<probe::Probed>,
        made_by: &[(String, Provenance)],
    ) -> StudyReport {
        let classes = self.study.classes().unwrap_or_default();
        let negative = classes
            .negative
            .map_or("all other labels".to_owned(), |names| names.join(" or "));
        let mut report = StudyReport {
            title: self.study.title.clone().unwrap_or_else(|| self.name.clone()),
            positive: classes.positive,
            negative,
            cohort: flow(cohort, split, &failures.iter().map(|failure| failure.row).collect()),
            exclusions: exclusions(cohort, split),
            sensitivity: self.study.probe.sensitivity,
            prevalence: self.study.probe.prevalence,
            ..StudyReport::default()
        };
        cohort.warnings.iter().for_each(|warning| report.warn(warning));
        if !failures.is_empty() {
            report.warn(format!(
                "{} of {} slices could not be read or encoded; they are listed in failures.csv",
                failures.len(),
                cohort.len()
            ));
        }
        let (unit, pool) = (self.study.probe.unit, self.study.probe.pool);
        if self.study.probe.calibration != Calibration::None && unit != Unit::Slice {
            report.warn(format!(
                "calibration was fitted on scores of slices, and the {} of a {unit} is no probability of the {unit} for \
                 that: read the calibration slope before the probabilities",
                pool.pooled("score")
            ));
        }
        if self.study.probe.calibration != Calibration::None && split.sets().contains(&Some(Set::Validation)) {
            report.warn("calibration was fitted on the validation set: the AUC there is optimistic too");
        }
        self.facts(&mut report, cohort, made_by);
        for one in probed {
            one.warnings.iter().for_each(|warning| report.warn(warning));
            report.repeats.extend(one.areas);
            report.nulls.extend(one.nulls);
            report.assessments.extend(one.assessments);
            let FitSummary { chosen, notes, .. } = one.fitted.summary();
            report.heads.push(HeadFacts {
                features: one.features.clone(),
                head: one.head.clone(),
                settings: chosen
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_string()))
                    .collect(),
                notes: notes.clone(),
            });
            report.thresholds.push(HeadThreshold {
                features: one.features,
                head: one.head,
                threshold: one.threshold,
            });
            one.evaluations
                .into_iter()
                .for_each(|evaluation| report.add(evaluation));
        }
        report
    }

    fn facts(&self, report: &mut StudyReport, cohort: &Cohort, made_by: &[(String, Provenance)]) {
        let study = &self.study;
        let file = |path: &Option<std::path::PathBuf>| {
            path.as_ref()
                .and_then(|path| path.file_name())
                .map(|name| name.to_string_lossy().into_owned())
        };
        if let Some(table) = file(&study.cohort.table).or_else(|| file(&study.features.table)) {
            report.fact("Cohort", "table", table);
        }
        report.fact("Cohort", "rows", cohort.len().to_string());
        report.fact("Cohort", "patients", cohort.n_patients.to_string());
        if let Some(plan) = &study.split {
            report.fact("Split", "kind", split_words(plan));
        }
        for (name, provenance) in made_by {
            let group = format!("Features: {name}");
            let weights = match provenance.untrained {
                true => format!("{} (untrained)", provenance.weights),
                false => provenance.weights.clone(),
            };
            let facts = [
                ("encoder", &provenance.encoder),
                ("layer", &provenance.layer),
                ("weights", &weights),
                ("encoder card", &provenance.card),
                ("preprocess", &provenance.preprocess),
                ("preprocess SHA-256", &provenance.preprocess_sha256),
                ("source", &provenance.source),
                ("pooled", &provenance.pooled),
            ];
            for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
                report.fact(&group, name, value.clone());
            }
        }
        let probe = &study.probe;
        let unit = match probe.unit {
            Unit::Slice => "slice".to_owned(),
            unit => format!("{unit}, by the {} of its slices", probe.pool.pooled("score")),
        };
        report.fact("Heads", "unit of evaluation", unit);
        report.fact(
            "Heads",
            "threshold rule",
            format!("{}, chosen before the sets that it is applied to", probe.threshold),
        );
        report.fact(
            "Heads",
            "tuning",
            match study.split.as_ref().map(SplitPlan::unit) {
                Some(SplitUnit::Slice) => format!("{} inner folds BY SLICE", self.tuning().folds),
                _ => format!("{} inner folds by patient", self.tuning().folds),
            },
        );
        if probe.calibration != Calibration::None {
            let fitted = match &study.split {
                Some(SplitPlan::Folds { .. }) => {
                    "in each fold on inner out-of-fold scores of the other folds; that of the saved head on the out-of-fold \
                     scores"
                }
                Some(SplitPlan::NestedCv { .. }) => "in each fold on inner out-of-fold scores of the other folds",
                _ => "on the validation set, or without one on out-of-fold scores of the training rows",
            };
            let words = format!(
                "scores of slices are probabilities by {}, fitted {fitted}",
                probe.calibration
            );
            report.fact("Heads", "calibration", words);
        }
        if probe.null > 0 {
            let tuned = match probe.null_tuning {
                NullTuning::Again => "tuned again each time",
                NullTuning::Frozen => "hyperparameters frozen to those of the real labels",
            };
            let words = format!("labels permuted by patient {} times, {tuned}", probe.null);
            report.fact("Heads", "leakage null", words);
        }
        let again = "Reproducibility";
        report.fact(again, "seed", study.seed.to_string());
        report.fact(again, "hounsfield", env!("CARGO_PKG_VERSION"));
        report.fact(again, "libtorch of the features", self.stages.libtorch("features"));
        // Those of the stages before; the lock file has all.
        for (name, hash) in self.stages.outputs(["cohort", "split", "features"]) {
            report.fact(again, &format!("SHA-256 of {name}"), hash);
        }
    }
}

/// Words that every output of a study must carry.
pub(super) fn banners(split: &Split, made_by: &[(String, Provenance)]) -> Vec<String> {
    let mut banners = Vec::new();
    if split.is_leaky() {
        banners.push(LEAKAGE.to_owned());
    }
    if made_by.iter().any(|(_, provenance)| provenance.untrained) {
        banners.push(UNTRAINED.to_owned());
    }
    for watermark in made_by.iter().flat_map(|(_, provenance)| &provenance.watermarks) {
        if !banners.contains(watermark) {
            banners.push(watermark.clone());
        }
    }
    banners
}

/// How patients are split, in words.
pub(crate) fn split_words(plan: &SplitPlan) -> String {
    let unit = match plan.unit() {
        SplitUnit::Patient => "by patient",
        SplitUnit::Slice => "BY SLICE: patients stand on both sides",
    };
    let kind = match plan {
        SplitPlan::Holdout {
            fractions,
            positive_fractions,
            ..
        } => {
            let shares =
                |of: &Fractions| format!("train {} / validation {} / test {}", of.train, of.validation, of.test);
            match positive_fractions {
                None => format!("holdout, {} of the patients of each class", shares(fractions)),
                Some(positive) => format!(
                    "holdout, {} of the patients of the positive class, {} of the others",
                    shares(positive),
                    shares(fractions)
                ),
            }
        }
        SplitPlan::Folds { k: Some(k), .. } => format!("{k} folds"),
        SplitPlan::Folds { column, .. } => format!("folds of column `{}`", column.as_deref().unwrap_or_default()),
        SplitPlan::NestedCv { k, inner, repeats, .. } => {
            format!("nested cross-validation, {repeats} repeats of {k} outer folds, {inner} inner folds")
        }
        SplitPlan::Column { column, .. } => format!("as column `{column}` gives it"),
    };
    match plan.external() {
        [] => format!("{kind}, {unit}"),
        sites => format!("{kind}, {unit}; sites held out whole: {}", sites.join(", ")),
    }
}

/// Who is in which set; rows that failed are in no other count.
pub(crate) fn flow(cohort: &Cohort, split: &Split, failed: &BTreeSet<usize>) -> Vec<CohortRow> {
    let mut rows_of = BTreeMap::<(usize, String), Vec<usize>>::new();
    for (row, set) in split.sets().iter().enumerate() {
        let place = match set {
            None => continue,
            Some(Set::Train) => (0, "train".to_owned()),
            Some(Set::Validation) => (1, "validation".to_owned()),
            Some(Set::Test) => (2, "test".to_owned()),
            Some(Set::Fold(_) | Set::OutOfFold) => (3, "out-of-fold".to_owned()),
            Some(external @ Set::External(_)) => (4, external.to_string()),
        };
        rows_of.entry(place).or_default().push(row);
    }
    let count = |(place, rows): ((usize, String), Vec<usize>)| {
        let (lost, rows): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(|row| failed.contains(row));
        let of_class = |class: bool| rows.iter().filter(move |row| cohort.positive[**row] == Some(class));
        let patients = |rows: &mut dyn Iterator<Item = &usize>| {
            rows.map(|row| cohort.patient[*row]).collect::<BTreeSet<_>>().len()
        };
        let sites: BTreeSet<&String> = rows.iter().filter_map(|row| cohort.rows.site[*row].as_ref()).collect();
        CohortRow {
            set: place.1,
            sites: sites.into_iter().cloned().collect(),
            patients: patients(&mut rows.iter()),
            scans: rows
                .iter()
                .map(|row| &cohort.rows.scan_id[*row])
                .collect::<BTreeSet<_>>()
                .len(),
            slices: rows.len(),
            positive_patients: patients(&mut of_class(true)),
            negative_patients: patients(&mut of_class(false)),
            positive_slices: of_class(true).count(),
            negative_slices: of_class(false).count(),
            failed_slices: lost.len(),
        }
    };
    rows_of.into_iter().map(count).collect()
}

/// Who is in no set, and why.
pub(crate) fn exclusions(cohort: &Cohort, split: &Split) -> Vec<Exclusion> {
    let mut lost = BTreeMap::<&str, (BTreeSet<usize>, usize)>::new();
    for row in 0..cohort.len() {
        let reason = match (&split.sets()[row], &cohort.rows.label[row], cohort.positive[row]) {
            (Some(_), ..) => continue,
            (None, None, _) => "label missing",
            (None, Some(_), None) => "label of neither class",
            (None, Some(_), Some(_)) => "no set in the split column",
        };
        let entry = lost.entry(reason).or_default();
        entry.0.insert(cohort.patient[row]);
        entry.1 += 1;
    }
    let exclusion = |(reason, (patients, slices)): (&str, (BTreeSet<usize>, usize))| Exclusion {
        reason: reason.to_owned(),
        patients: patients.len(),
        slices,
    };
    lost.into_iter().map(exclusion).collect()
}
