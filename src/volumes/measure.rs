//! What the scores of a classifier of scans are worth: the same measures, thresholds, comparisons and reports as those of heads on
//! features, from the same functions.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
};

use super::{VolumesError, facts, failures::reasons};
use crate::{
    cohort::{Cohort, Set, Split},
    eval::{
        AssessPlan, CONVERGED, ComparePlan, Convergence, EvalError, Family, POSITIVE_KEY, PatientColumn, ScorePlan,
        ScoreTable, Scores, THRESHOLD, Threshold, ThresholdRule, Unit, assess, choose_threshold, compare,
        converged_cell, evaluate, low_risk,
    },
    recipe::{RecipeError, TrainVolume},
    report::{FORMATS, Fact, HeadAssessment, HeadComparisons, HeadThreshold, LEAKAGE, StudyReport, terminal_table},
    stats::Bootstrap,
    study::{PREDICTIONS_FILE, STUDY_FILE, exclusions, flow, judged},
    tables::{Column, ColumnData, WriteError, atomic_write, write_parquet},
};

/// The scores of one trained network on the scans of its cohort.
#[derive(Debug)]
pub struct Scored<'a> {
    /// What the network is called; its column of scores goes by this name.
    pub name: &'a str,
    /// How it was trained, and how it is to be measured.
    pub recipe: &'a TrainVolume,
    /// Whose scans, one row each.
    pub cohort: &'a Cohort,
    /// Which set each is in.
    pub split: &'a Split,
    /// The probability of the positive class, one a row; `None` where there is none.
    pub scores: &'a [Option<f64>],
    /// Rows that could not be read or scored, and why, without paths.
    pub failures: &'a [(usize, String)],
    /// Whether the training got anywhere.
    pub convergence: &'a Convergence,
    /// What else was run with what.
    pub facts: Vec<Fact>,
}

/// What [`Scored::write`] found.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The results for the terminal.
    pub table: String,
    /// The threshold that was chosen on the validation set; `None` where that lacks a class.
    pub threshold: Option<Threshold>,
    /// Why the training must be taken for one that did not converge.
    pub not_converged: Option<String>,
    report: StudyReport,
}

impl Measured {
    /// Writes what was found again into its run folder, now with a link to the page of maps, relative to that folder.
    ///
    /// # Errors
    ///
    /// Files that can't be written.
    pub fn link(&mut self, folder: &Path, page: &str) -> Result<(), VolumesError> {
        self.report.explanation = Some(page.to_owned());
        write_report(&self.report, folder)
    }
}

/// The rows of each set that have a score.
type Rows<'a> = BTreeMap<&'a Set, Vec<usize>>;

impl Scored<'_> {
    /// Measures the scores and writes `predictions.parquet`, `study.json` and the reports into the run folder. `home` is the folder
    /// that the tables of `evaluate.against` are relative to. Tables that can't be joined cost the comparison, not the rest:
    /// [`check_against`] finds them before a training begins.
    ///
    /// # Errors
    ///
    /// Scores that can't be measured, by their set, and files that can't be written.
    pub fn write(&self, folder: &Path, home: &Path) -> Result<Measured, VolumesError> {
        let rows = self.rows();
        let section = &self.recipe.evaluate;
        let not_converged = self.convergence.why_not();
        let threshold = self.choose(&rows, section.threshold)?;
        let mut report = self.report(&rows, threshold.as_ref())?;
        if let Some(why) = &not_converged {
            report.not_converged(self.name, why);
            report.mark(format!(
                "NOT CONVERGED: {why}. The figures below are of a network that found nothing: no evidence of what it can do, and no \
                 rival to others."
            ));
        }
        // The comparisons read what is written here.
        self.write_predictions(folder, threshold.as_ref(), not_converged.as_deref(), &report.banners)?;
        if !section.against.is_empty() {
            self.compare(folder, home, &rows, &mut report)?;
        }
        write_report(&report, folder)?;
        Ok(Measured {
            table: terminal_table(&report),
            threshold,
            not_converged,
            report,
        })
    }

    fn rows(&self) -> Rows<'_> {
        let mut rows = Rows::new();
        for (row, set) in self.split.sets().iter().enumerate() {
            if let Some(set) = set
                && self.scores[row].is_some()
            {
                rows.entry(set).or_default().push(row);
            }
        }
        rows
    }

    /// The threshold that [`Scored::write`] chooses on the validation set; `None` where that lacks a class.
    ///
    /// # Errors
    ///
    /// Scores that can't be pooled.
    pub fn threshold(&self) -> Result<Option<Threshold>, VolumesError> {
        self.choose(&self.rows(), self.recipe.evaluate.threshold)
    }

    /// A threshold by this rule on the validation set; `None` where that lacks a class.
    fn choose(&self, rows: &Rows, rule: ThresholdRule) -> Result<Option<Threshold>, VolumesError> {
        let section = &self.recipe.evaluate;
        let Some(own) = rows.get(&Set::Validation) else {
            return Ok(None);
        };
        let scores = self.scores_of("validation", own)?;
        match choose_threshold("validation", section.unit, section.pool, &scores, rule) {
            Ok(threshold) => Ok(Some(threshold)),
            Err(EvalError::OneClass { .. }) => Ok(None),
            Err(source) => Err(failed("validation")(source)),
        }
    }

    fn report(&self, rows: &Rows, threshold: Option<&Threshold>) -> Result<StudyReport, VolumesError> {
        let (recipe, cohort) = (self.recipe, self.cohort);
        let section = &recipe.evaluate;
        let without: BTreeSet<usize> = (0..cohort.len()).filter(|row| self.scores[*row].is_none()).collect();
        let mut report = StudyReport {
            title: self.name.to_owned(),
            positive: recipe.cohort.positive.clone().unwrap_or_default(),
            negative: match &recipe.cohort.negative {
                None => "all other labels".to_owned(),
                Some(names) => names.join(" or "),
            },
            whole_scans: true,
            cohort: flow(cohort, self.split, &without),
            exclusions: exclusions(cohort, self.split),
            facts: facts::of(recipe, cohort, self.convergence),
            sensitivity: section.sensitivity,
            prevalence: section.prevalence,
            ..StudyReport::default()
        };
        // What the training says of itself is exact where the recipe only says what was asked for.
        for fact in &self.facts {
            report
                .facts
                .retain(|known| (&known.group, &known.name) != (&fact.group, &fact.name));
            report.facts.push(fact.clone());
        }
        if self.split.is_leaky() {
            report.mark(LEAKAGE);
        }
        cohort.warnings.iter().for_each(|warning| report.warn(warning));
        if let Some(warning) = self.failed() {
            report.warn(warning);
        }
        let features = recipe.network.kind();
        match threshold {
            Some(threshold) => report.thresholds.push(HeadThreshold {
                features: features.to_owned(),
                head: self.name.to_owned(),
                threshold: threshold.clone(),
            }),
            None => report.warn(
                "no threshold was chosen, as the validation set lacks scans of one class: there are no sensitivity, specificity \
                 and accuracy",
            ),
        }
        for (set, own) in rows {
            let set = set.to_string();
            let scores = self.scores_of(&set, own)?;
            match threshold {
                Some(threshold) => {
                    let (unit, bootstrap) = (section.unit, self.bootstrap());
                    let found = evaluate(features, self.name, &set, unit, &scores, threshold, &bootstrap);
                    report.add(found.map_err(failed(&set))?);
                }
                None => {
                    let found = assess(self.name, &set, &scores, &self.plan()).map_err(failed(&set))?;
                    let mut auc = found.get("auc").map(|measure| measure.row.clone());
                    auc.iter_mut().for_each(|row| row.features = features.to_owned());
                    report.results.extend(auc);
                    found.warnings.into_iter().for_each(|warning| report.warn(warning));
                }
            }
        }
        let low = self.choose(rows, ThresholdRule::Sensitivity(section.sensitivity))?;
        for (set, own) in judged(rows) {
            let scores = self.scores_of(&set, &own)?;
            report.assessments.push(self.assess(&set, &scores, threshold)?);
            // On the validation set the threshold keeps its sensitivity by construction.
            if let Some(low) = &low
                && set != low.set
            {
                let found = low_risk(self.name, &set, &scores, low, &self.plan());
                report.low_risk.push(found.map_err(failed(&set))?);
            }
        }
        Ok(report)
    }

    /// All measures on one set, at the frozen threshold.
    fn assess(
        &self,
        set: &str,
        scores: &Scores,
        threshold: Option<&Threshold>,
    ) -> Result<HeadAssessment, VolumesError> {
        let whole = self.plan();
        let pooled = scores.pool(whole.unit, whole.pool).map_err(failed(set))?;
        // Ten units a bin of the calibration curve, where there are as many.
        let plan = AssessPlan {
            bins: (pooled.scores.len() / 10).clamp(3, whole.bins.max(3)),
            ..whole
        };
        let decided = threshold.map(|threshold| scores.clone().with_thresholds(vec![threshold.value; scores.len()]));
        let found = assess(self.name, set, decided.as_ref().unwrap_or(scores), &plan);
        let mut assessment = found.map_err(failed(set))?;
        let features = self.recipe.network.kind();
        // That of the evaluation stands in the report already.
        assessment.roc = None;
        assessment.not_converged = self.convergence.why_not();
        for measure in &mut assessment.measures {
            measure.row.features = features.to_owned();
        }
        Ok(HeadAssessment {
            features: features.to_owned(),
            assessment,
        })
    }

    /// The scores of these rows, which all have one.
    fn scores_of(&self, set: &str, rows: &[usize]) -> Result<Scores, VolumesError> {
        let cohort = self.cohort;
        let positive = rows.iter().map(|row| cohort.positive[*row] == Some(true)).collect();
        let values = rows.iter().map(|row| self.scores[*row].unwrap_or(f64::NAN)).collect();
        let patient = rows.iter().map(|row| cohort.patient[*row]).collect();
        let scores = Scores::new(positive, values, patient).map_err(failed(set))?;
        Ok(scores.with_scans(rows.to_vec()))
    }

    fn plan(&self) -> AssessPlan {
        let section = &self.recipe.evaluate;
        AssessPlan {
            unit: section.unit,
            pool: section.pool,
            bootstrap: self.bootstrap(),
            sensitivity: section.sensitivity,
            prevalence: section.prevalence,
            ..AssessPlan::default()
        }
    }

    fn bootstrap(&self) -> Bootstrap {
        self.recipe.bootstrap()
    }

    /// How many scans have no score, and why.
    fn failed(&self) -> Option<String> {
        let (failures, scans) = (self.failures.len(), self.cohort.len());
        (failures > 0).then(|| {
            format!(
                "{failures} of {scans} scans could not be read or scored, and are in no figure: {}",
                reasons(self.failures)
            )
        })
    }

    fn write_predictions(
        &self,
        folder: &Path,
        threshold: Option<&Threshold>,
        not_converged: Option<&str>,
        banners: &[String],
    ) -> Result<(), VolumesError> {
        let used: Vec<usize> = (0..self.cohort.len())
            .filter(|row| self.split.sets()[*row].is_some())
            .collect();
        let rows = &self.cohort.rows;
        let text = |name: &str, cell: &dyn Fn(usize) -> Option<String>| {
            Column::new(name, ColumnData::Text(used.iter().map(|row| cell(*row)).collect()))
        };
        let number = |name: String, cell: &dyn Fn(usize) -> Option<f64>| {
            Column::new(name, ColumnData::Float64(used.iter().map(|row| cell(*row)).collect()))
        };
        let name = self.name;
        let mut columns = vec![
            Column::new("row", ColumnData::Int(used.iter().map(|row| *row as i64 + 1).collect())),
            // A row is a scan: its own name is the scan's.
            text("scan_id", &|row| Some(rows.slice_id[row].clone())),
            text("patient_id", &|row| Some(rows.patient_id[row].clone())),
            text("label", &|row| rows.label[row].clone()),
            text("site", &|row| rows.site[row].clone()),
            text("set", &|row| self.split.sets()[row].as_ref().map(Set::to_string)),
            number(name.to_owned(), &|row| self.scores[row]),
        ];
        if let Some(threshold) = threshold {
            let of_scored = |row: usize| self.scores[row].map(|_| threshold.value);
            columns.push(number(format!("{name}{THRESHOLD}"), &of_scored));
        }
        columns.push(text(&format!("{name}{CONVERGED}"), &|_| {
            Some(converged_cell(not_converged))
        }));
        let metadata = BTreeMap::from([
            (
                POSITIVE_KEY.to_owned(),
                self.recipe.cohort.positive.clone().unwrap_or_default(),
            ),
            ("hounsfield.banners".to_owned(), banners.join("\n")),
            ("hounsfield.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        Ok(write_parquet(&folder.join(PREDICTIONS_FILE), &columns, &metadata)?)
    }

    /// These scores against those of other tables, on every set of both classes that the network was not trained on.
    fn compare(&self, folder: &Path, home: &Path, rows: &Rows, report: &mut StudyReport) -> Result<(), VolumesError> {
        let mut files = vec![folder.join(PREDICTIONS_FILE)];
        files.extend(against(self.recipe, home));
        let table = match ScoreTable::join(&files, &plan(self.recipe), self.recipe.evaluate.pool) {
            Ok(table) => table,
            Err(error) => {
                // The error ends in a path, which no report may hold.
                tracing::warn!("no comparison with the tables of `evaluate.against`: {error}");
                report.warn(
                    "there is no comparison with the tables of `evaluate.against`: they could not be joined, and the log says why; \
                     `hounsfield compare RUN --with TABLE` tries it again",
                );
                return Ok(());
            }
        };
        let own = table.scores[0].name.clone();
        table.warnings.iter().for_each(|warning| report.warn(warning));
        let judged: BTreeSet<String> = judged(rows).into_iter().map(|(set, _)| set).collect();
        let both = |(set, rows): &(String, Vec<usize>)| {
            let has = |class: bool| rows.iter().any(|row| table.positive[*row] == class);
            judged.contains(set) && has(true) && has(false)
        };
        let sets: Vec<String> = table.sets().into_iter().filter(both).map(|(set, _)| set).collect();
        if sets.is_empty() {
            report.warn(
                "there is no comparison with the tables of `evaluate.against`: no set that was not trained on has patients of both \
                 classes in all tables",
            );
            return Ok(());
        }
        let plan = ComparePlan {
            unit: Unit::Patient,
            pool: self.recipe.evaluate.pool,
            bootstrap: self.bootstrap(),
            family: Family::Against(own),
        };
        let found = compare(&table, &sets, &plan).map_err(failed("all tables"))?;
        for mut comparisons in found {
            comparisons.warnings.drain(..).for_each(|warning| report.warn(warning));
            report.comparisons.push(HeadComparisons {
                features: self.recipe.network.kind().to_owned(),
                comparisons,
            });
        }
        Ok(())
    }
}

/// Whether the tables of `evaluate.against` can be read, hold scores and know the positive class: to be asked before a training
/// begins. Whether their patients are the same is seen when they are joined.
///
/// # Errors
///
/// The key and what is wrong, the path last.
pub fn check_against(recipe: &TrainVolume, home: &Path) -> Result<(), VolumesError> {
    for file in against(recipe, home) {
        ScoreTable::open(&file, &plan(recipe)).map_err(|error| RecipeError::Inconsistent {
            what: format!("`evaluate.against` names a table of other scores that can't be used: {error}: {file:?}"),
        })?;
    }
    Ok(())
}

/// The tables of `evaluate.against`.
fn against(recipe: &TrainVolume, home: &Path) -> impl Iterator<Item = PathBuf> {
    recipe.evaluate.against.iter().map(|file| home.join(file))
}

/// What other tables' columns mean: those of ours, by their usual names.
fn plan(recipe: &TrainVolume) -> ScorePlan {
    ScorePlan {
        patient: PatientColumn::Usual,
        positive: recipe.cohort.positive.clone(),
        negative: recipe.cohort.negative.clone().unwrap_or_default(),
        ..ScorePlan::default()
    }
}

fn failed(set: &str) -> impl Fn(EvalError) -> VolumesError {
    VolumesError::of_scores(set)
}

/// As `study.json`, and in each format for people.
fn write_report(report: &StudyReport, folder: &Path) -> Result<(), VolumesError> {
    let text = serde_json::to_string(report).expect("a report has string keys");
    write_text(&folder.join(STUDY_FILE), &text)?;
    for format in FORMATS {
        write_text(&folder.join(format.file_name()), &format.render(report))?;
    }
    Ok(())
}

pub(super) fn write_text(path: &Path, text: &str) -> Result<(), WriteError> {
    atomic_write(path, |file| file.write_all(text.as_bytes()))
}
