//! `results.json`: every number of a study for programs.

use serde::Serialize;

use super::{AuditReport, HeadComparisons, NotConverged, ReportFormat, StudyReport};
use crate::eval::{LowRiskSubset, Measure, NullAuc, RepeatedAuc, ResultRow};

/// The format of `results.json`.
pub struct Json;

/// Grows by one when a reader of the file would have to change.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Results<'a> {
    schema: u32,
    positive: &'a str,
    negative: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    not_converged: &'a [NotConverged],
    results: &'a [ResultRow],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    repeats: &'a [RepeatedAuc],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    nulls: &'a [NullAuc],
    #[serde(skip_serializing_if = "AuditReport::is_empty")]
    audit: &'a AuditReport,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measures: Vec<&'a Measure>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    comparisons: &'a [HeadComparisons],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    low_risk: &'a [LowRiskSubset],
    warnings: &'a [String],
    banners: &'a [String],
}

impl ReportFormat for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn file_name(&self) -> &'static str {
        "results.json"
    }

    fn render(&self, report: &StudyReport) -> String {
        let results = Results {
            schema: SCHEMA,
            positive: &report.positive,
            negative: &report.negative,
            not_converged: &report.not_converged,
            results: &report.results,
            repeats: &report.repeats,
            nulls: &report.nulls,
            audit: &report.audit,
            measures: report
                .assessments
                .iter()
                .flat_map(|one| &one.assessment.measures)
                .collect(),
            comparisons: &report.comparisons,
            low_risk: &report.low_risk,
            warnings: &report.warnings,
            banners: &report.banners,
        };
        // Strings, numbers and options only, with string keys: nothing that JSON can't hold.
        let text = serde_json::to_string_pretty(&results).expect("results are plain data");
        text + "\n"
    }
}
