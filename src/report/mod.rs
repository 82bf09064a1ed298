//! A study as a document: one file a format.

mod assessment;
mod audit;
mod comparison;
mod explanation;
mod grid;
mod html;
mod json;
mod low_risk;
mod markdown;
mod measured;
mod panel;
mod reader_tables;
mod terminal;

use std::collections::BTreeMap;

pub use self::{
    assessment::AssessmentReport,
    audit::{AuditGap, AuditLine, AuditReport},
    comparison::ComparisonReport,
    explanation::{Explanation, ExplanationSection, Figure, FigureTable, Picture},
    grid::{Grid, wrap},
    html::{GENERATOR, Groups, Histogram, Html, Scatter, explanation_page, picture_file},
    json::Json,
    markdown::Markdown,
    reader_tables::reader_tables,
    terminal::terminal_table,
};
use crate::eval::{
    Assessment, Comparisons, Evaluation, LowRiskSubset, NullAuc, RepeatedAuc, ResultRow, RocCurve, Threshold,
};

/// Writes a report in one format.
pub trait ReportFormat: Sync {
    /// Its name on the command line, e.g. `html`.
    fn name(&self) -> &'static str;
    /// Its file's name in the run folder, e.g. `report.html`.
    fn file_name(&self) -> &'static str;
    /// The whole file.
    fn render(&self, report: &StudyReport) -> String;
}

/// All formats. `results.json` is for programs, the others are for readers.
pub const FORMATS: &[&dyn ReportFormat] = &[&Html, &Json, &Markdown];

/// Banner of a study that splits slices instead of patients.
pub const LEAKAGE: &str = "LEAKAGE: slices of one patient, or one image twice, are in more than one set, as \
                           split.unit = \"slice\" asked for. These figures do not tell how the heads do on new \
                           patients.";

/// Banner of a study whose encoder was never trained.
pub const UNTRAINED: &str = "UNTRAINED ENCODER: its weights are random. These figures test the programs, or show what \
                             random features know; they say nothing of self-supervised learning.";

/// What stands beside the name of scores whose training did not converge, in every table.
const NOT_CONVERGED: &str = "NOT CONVERGED";

/// A name as tables show it.
fn mark(name: &str, not_converged: bool) -> String {
    match not_converged {
        true => format!("{name} ({NOT_CONVERGED})"),
        false => name.to_owned(),
    }
}

/// Everything a report says, as plain data: it is saved with the run, so that it can be rendered again.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudyReport {
    /// What the study is called.
    pub title: String,
    /// Name of the positive class, e.g. `covid`.
    pub positive: String,
    /// What all others are called, e.g. `all other labels` or `cap`.
    pub negative: String,
    /// Words that stand on every output, above everything: leakage, watermarks, untrained weights.
    pub banners: Vec<String>,
    /// What a reader must know before the numbers; filled through [`Self::warn`].
    pub warnings: Vec<String>,
    /// Scores whose training did not converge: they carry a mark in every table, and are compared with none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_converged: Vec<NotConverged>,
    /// Whether a row of the cohort is a whole scan; it is a slice otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub whole_scans: bool,
    /// What was run with what, in groups.
    pub facts: Vec<Fact>,
    /// Who is in which set, in the order of the flow.
    pub cohort: Vec<CohortRow>,
    /// Who is in no set, and why.
    pub exclusions: Vec<Exclusion>,
    /// What could make the figures too good.
    pub audit: AuditReport,
    /// What was chosen when the heads were fitted.
    pub heads: Vec<HeadFacts>,
    /// The frozen thresholds.
    pub thresholds: Vec<HeadThreshold>,
    /// All numbers.
    pub results: Vec<ResultRow>,
    /// All ROC curves.
    pub roc: Vec<RocCurve>,
    /// The areas of every repeat and fold of nested cross-validation.
    pub repeats: Vec<RepeatedAuc>,
    /// What permuted labels gave.
    pub nulls: Vec<NullAuc>,
    /// What else was measured, of every head on every set that it was not fitted on.
    pub assessments: Vec<HeadAssessment>,
    /// The heads of one table of features against each other.
    pub comparisons: Vec<HeadComparisons>,
    /// Who scores so low that a reader might be spared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub low_risk: Vec<LowRiskSubset>,
    /// The sensitivity at which the specificity was asked for.
    pub sensitivity: f64,
    /// The prevalence at which predictive values were asked for, if any.
    pub prevalence: Option<f64>,
    /// The page of `hounsfield explain` (for whole scans: the maps of where the network looks), relative to the run folder, once it
    /// is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

/// Scores whose training did not converge.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotConverged {
    /// The head or network that they are of.
    pub head: String,
    /// Why it is said so, with the numbers.
    pub why: String,
}

/// One line on how the study was run.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The heading that it stands under, e.g. `Encoder` or `Reproducibility`.
    pub group: String,
    /// What it is, e.g. `weights`.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

/// One set in the cohort's flow.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortRow {
    /// `train`, `validation`, `test`, `out-of-fold` or `external:SITE`.
    pub set: String,
    /// The sites that its patients come from.
    pub sites: Vec<String>,
    /// Patients.
    pub patients: usize,
    /// Scans.
    pub scans: usize,
    /// Slices with features; scans with a score where a row is a whole scan.
    pub slices: usize,
    /// Patients with a slice of the positive class.
    pub positive_patients: usize,
    /// Patients with a slice of the negative class.
    pub negative_patients: usize,
    /// Slices of the positive class.
    pub positive_slices: usize,
    /// Slices of the negative class.
    pub negative_slices: usize,
    /// Slices that could not be read, and are in no other count.
    pub failed_slices: usize,
}

/// Rows of the cohort table that are in no set.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// Why, e.g. `label missing`.
    pub reason: String,
    /// Patients that lost at least one slice to it.
    pub patients: usize,
    /// Slices.
    pub slices: usize,
}

/// What was chosen when a head was fitted.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadFacts {
    /// The layer or table that it reads.
    pub features: String,
    /// The head.
    pub head: String,
    /// Hyperparameters by name.
    pub settings: BTreeMap<String, String>,
    /// How they were chosen, and what stood out.
    pub notes: Vec<String>,
}

/// A head's frozen threshold.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadThreshold {
    /// The layer or table that the head reads.
    pub features: String,
    /// The head.
    pub head: String,
    /// Its threshold.
    pub threshold: Threshold,
}

/// All measures of one head on one set. Its ROC curve stands with those of [`StudyReport::roc`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadAssessment {
    /// The layer or table that the head reads.
    pub features: String,
    /// What was found.
    pub assessment: Assessment,
}

/// The heads of one table of features, compared on one set.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadComparisons {
    /// The layer or table that the heads read.
    pub features: String,
    /// What was found.
    pub comparisons: Comparisons,
}

impl StudyReport {
    /// Adds a warning, once.
    pub fn warn(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The warnings, and what the audit found that may make a figure wrong.
    fn shown_warnings(&self) -> Vec<String> {
        let grave = self.audit.grave().map(|found| {
            let [severity, check, sentence, _] = found.cells();
            format!("{severity}, {check}: {sentence}")
        });
        self.warnings.iter().cloned().chain(grave).collect()
    }

    /// Adds a banner, once.
    pub fn mark(&mut self, banner: impl Into<String>) {
        let banner = banner.into();
        if !self.banners.contains(&banner) {
            self.banners.push(banner);
        }
    }

    /// Adds what was measured of one head on one set.
    pub fn add(&mut self, evaluation: Evaluation) {
        self.results.extend(evaluation.rows);
        self.roc.extend(evaluation.roc);
        evaluation.warnings.into_iter().for_each(|warning| self.warn(warning));
    }

    /// Says of a head that its training did not converge: a mark in every table, and a warning.
    pub fn not_converged(&mut self, head: &str, why: &str) {
        self.warn(format!(
            "the training of {head} did not converge: {why}; its figures are of a network that found nothing, and are compared with \
             no other"
        ));
        self.not_converged.push(NotConverged {
            head: head.to_owned(),
            why: why.to_owned(),
        });
    }

    /// A head's name as tables show it.
    fn label(&self, head: &str) -> String {
        mark(head, self.not_converged.iter().any(|one| one.head == head))
    }

    /// What leads to the page of explanations.
    fn explanation_words(&self) -> &'static str {
        match self.whole_scans {
            true => "Where the network looks",
            false => "Maps of the features, neighbours of slices and what else explains them",
        }
    }

    /// What a row of the cohort is.
    fn row_word(&self) -> &'static str {
        if self.whole_scans { "scan" } else { "slice" }
    }

    /// Adds a line on how the study was run.
    pub fn fact(&mut self, group: &str, name: &str, value: impl Into<String>) {
        self.facts.push(Fact {
            group: group.to_owned(),
            name: name.to_owned(),
            value: value.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FORMATS, StudyReport, terminal_table};

    #[test]
    fn formats_have_names_and_files_of_their_own() {
        let names: BTreeSet<_> = FORMATS.iter().map(|format| format.name()).collect();
        let files: BTreeSet<_> = FORMATS.iter().map(|format| format.file_name()).collect();
        assert_eq!((names.len(), files.len()), (FORMATS.len(), FORMATS.len()));
    }

    #[test]
    fn banners_and_warnings_stand_on_every_output() {
        let mut report = StudyReport::default();
        for _ in 0..2 {
            report.mark("SONG2020: made by min-max of every column");
            report.warn("test holds 3 patients");
        }
        assert_eq!((report.banners.len(), report.warnings.len()), (1, 1));
        let mut outputs: Vec<String> = FORMATS.iter().map(|format| format.render(&report)).collect();
        outputs.push(terminal_table(&report));
        for output in outputs {
            assert!(output.contains("SONG2020: made by min-max of every column"), "{output}");
            assert!(output.contains("test holds 3 patients"), "{output}");
        }
    }
}
