//! Several networks that were trained on the same scans, in one table of scores and one report.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    measure::write_text,
    protocol::{Model, ProtocolError},
};
use crate::{
    eval::{CONVERGED, ComparePlan, Family, POSITIVE_KEY, ScorePlan, ScoreTable, THRESHOLD, compare},
    report::{FORMATS, HeadComparisons, StudyReport, terminal_table},
    study::{PREDICTIONS_FILE, REPORT_FILE, STUDY_FILE},
    tables::{Column, ColumnData, TextTable, read_table, write_parquet},
};

/// Columns that say whose a score is.
const WHOSE: [&str; 5] = ["scan_id", "patient_id", "label", "site", "set"];

/// What several networks give together.
#[derive(Debug, Clone)]
pub struct Together {
    /// The results for the terminal.
    pub table: String,
    /// The scores of all networks, one row a scan.
    pub predictions: PathBuf,
    /// The networks.
    pub models: Vec<String>,
    /// Those whose training did not converge.
    pub not_converged: Vec<String>,
}

/// Puts the run folders of networks together; the others are compared with the first.
pub(super) fn write(models: &[Model], out: &Path) -> Result<Together, ProtocolError> {
    let first = &models[0];
    let predictions = out.join(PREDICTIONS_FILE);
    write_predictions(models, &predictions)?;
    let mut report = merged(models)?;
    let section = &first.recipe.evaluate;
    let plan = ScorePlan {
        positive: first.recipe.cohort.positive.clone(),
        negative: first.recipe.cohort.negative.clone().unwrap_or_default(),
        scores: models.iter().map(|model| model.name.clone()).collect(),
        ..ScorePlan::default()
    };
    let table = ScoreTable::open(&predictions, &plan)?;
    let both = |(set, rows): &(String, Vec<usize>)| {
        let has = |class: bool| rows.iter().any(|row| table.positive[*row] == class);
        set != "train" && has(true) && has(false)
    };
    let sets: Vec<String> = table.sets().into_iter().filter(both).map(|(set, _)| set).collect();
    if models.len() > 1 && !sets.is_empty() {
        let plan = ComparePlan {
            unit: section.unit,
            pool: section.pool,
            bootstrap: first.recipe.bootstrap(),
            family: Family::Against(first.name.clone()),
        };
        for mut comparisons in compare(&table, &sets, &plan)? {
            comparisons.warnings.drain(..).for_each(|warning| report.warn(warning));
            report.comparisons.push(HeadComparisons {
                features: "whole scans".to_owned(),
                comparisons,
            });
        }
    }
    let text = serde_json::to_string(&report).expect("a report has string keys");
    let save = |name: &str, text: &str| write_text(&out.join(name), text);
    save(STUDY_FILE, &text)?;
    for format in FORMATS {
        save(format.file_name(), &format.render(&report))?;
    }
    Ok(Together {
        table: terminal_table(&report),
        predictions,
        models: models.iter().map(|model| model.name.clone()).collect(),
        not_converged: report.not_converged.iter().map(|one| one.head.clone()).collect(),
    })
}

/// One table of the scores of all.
fn write_predictions(models: &[Model], path: &Path) -> Result<(), ProtocolError> {
    let mut whose: Option<TextTable> = None;
    let mut columns = Vec::new();
    for model in models {
        let table = read_table(&model.folder.join(PREDICTIONS_FILE))?;
        let text = |name: &str| Ok::<_, ProtocolError>(table.column(name)?.to_vec());
        if let Some(first) = &whose {
            for name in WHOSE {
                if first.column(name)? != table.column(name)? {
                    return Err(ProtocolError::OtherScans {
                        model: model.name.clone(),
                        first: models[0].name.clone(),
                    });
                }
            }
        } else {
            for name in WHOSE {
                columns.push(Column::new(name, ColumnData::Text(text(name)?)));
            }
        }
        let threshold = format!("{}{THRESHOLD}", model.name);
        let numbers = [model.name.clone(), threshold].into_iter();
        for name in numbers.filter(|name| table.names().any(|column| column == name)) {
            let number = |cell: &Option<String>| cell.as_deref().and_then(|cell| cell.parse().ok());
            let cells = table.column(&name)?.iter().map(number).collect();
            columns.push(Column::new(name, ColumnData::Float64(cells)));
        }
        let converged = format!("{}{CONVERGED}", model.name);
        columns.push(Column::new(converged.clone(), ColumnData::Text(text(&converged)?)));
        whose = whose.or(Some(table));
    }
    let positive = models[0].recipe.cohort.positive.clone().unwrap_or_default();
    let metadata = BTreeMap::from([
        (POSITIVE_KEY.to_owned(), positive),
        ("hounsfield.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    Ok(write_parquet(path, &columns, &metadata)?)
}

/// One report of all: what every network has in common stands once.
fn merged(models: &[Model]) -> Result<StudyReport, ProtocolError> {
    let mut reports = Vec::new();
    for model in models {
        let path = model.folder.join(STUDY_FILE);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let report: StudyReport = serde_json::from_str(&text).map_err(|_| ProtocolError::NoResults {
            model: model.name.clone(),
            path,
        })?;
        reports.push(report);
    }
    let first = &reports[0];
    let mut all = StudyReport {
        title: "The protocol of Pu et al. 2020".to_owned(),
        positive: first.positive.clone(),
        negative: first.negative.clone(),
        whole_scans: true,
        cohort: first.cohort.clone(),
        exclusions: first.exclusions.clone(),
        sensitivity: first.sensitivity,
        prevalence: first.prevalence,
        ..StudyReport::default()
    };
    let common = |fact| reports.iter().all(|report| report.facts.contains(fact));
    all.facts
        .extend(first.facts.iter().filter(|fact| common(fact)).cloned());
    for (model, report) in models.iter().zip(&reports) {
        let own = format!("{}/{REPORT_FILE}", model.name);
        all.fact("Reports of each network", &model.name, own);
        let own = report.facts.iter().filter(|fact| !common(fact)).cloned();
        all.facts.extend(own.map(|mut fact| {
            fact.group = format!("{}: {}", model.name, fact.group);
            fact
        }));
        // A banner of one network is a mark in the tables of all; what was split or made up is everyone's.
        let not_converged = &report.not_converged;
        let everyones = report
            .banners
            .iter()
            .filter(|banner| not_converged.is_empty() || !banner.starts_with("NOT CONVERGED"));
        everyones.for_each(|banner| all.mark(banner));
        report.warnings.iter().for_each(|warning| all.warn(warning));
        all.not_converged.extend(not_converged.iter().cloned());
        all.heads.extend(report.heads.iter().cloned());
        all.thresholds.extend(report.thresholds.iter().cloned());
        all.results.extend(report.results.iter().cloned());
        all.roc.extend(report.roc.iter().cloned());
        all.assessments.extend(report.assessments.iter().cloned());
        all.low_risk.extend(report.low_risk.iter().cloned());
    }
    Ok(all)
}
