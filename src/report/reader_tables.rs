//! A reader study as tables for the terminal.

use super::{Grid, wrap};
use crate::{
    eval::reader_study::{Agreement, ArmComparison, LowRisk, LowRiskRule, PairedRates, Rate, ReaderReport, Scale},
    stats::{KappaWeights, McNemar, ZTest},
};

/// Warnings first, then what was read, then a table for each question.
pub fn reader_tables(report: &ReaderReport) -> String {
    let mut text = String::new();
    for warning in &report.warnings {
        push(&mut text, &wrap(warning, "warning: ", "         "));
    }
    push(&mut text, &wrap(&headline(report), "", "  "));
    each_reader(&mut text, report);
    independent(&mut text, report);
    areas(&mut text, report);
    agreement(&mut text, report);
    weighted(&mut text, report);
    group(&mut text, report);
    pairs(&mut text, report);
    for comparison in &report.arm_comparisons {
        arms(&mut text, comparison);
    }
    if let Some(subset) = &report.low_risk {
        low_risk(&mut text, report, subset);
    }
    text
}

fn headline(report: &ReaderReport) -> String {
    let mut readers: Vec<&str> = report.readers.iter().map(|row| row.reader.as_str()).collect();
    readers.sort_unstable();
    readers.dedup();
    let called = match &report.scale {
        Scale::Binary => "binary ratings".to_owned(),
        Scale::Ordinal { steps } => {
            let (steps, cutoff) = (steps.len(), report.cutoff);
            format!("ratings in {steps} steps, called positive from {cutoff} on")
        }
        Scale::Continuous => format!("continuous ratings, called positive from {} on", report.cutoff),
    };
    let arms = match report.arms.as_slice() {
        [] => String::new(),
        [reference, ..] => format!(" in {} arms (reference: {reference})", report.arms.len()),
    };
    format!(
        "{} readers{arms}, {} cases ({} positive: {}) of {} patients, {} readings; {called}; {} % intervals, bootstrap of {} \
         resamples of patients, seed {}",
        readers.len(),
        report.n_cases,
        report.n_positive,
        report.positive,
        report.n_patients,
        report.n_readings,
        100.0 * report.level,
        report.resamples,
        report.seed
    )
}

fn push(text: &mut String, lines: &[String]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

/// A heading and its table, or nothing.
fn table(text: &mut String, heading: &str, grid: &Grid) {
    if !grid.is_empty() {
        text.push('\n');
        push(text, &wrap(heading, "", "  "));
        text.push_str(&grid.render());
    }
}

/// Headings with a column of arms where there are any.
fn grid(report: &ReaderReport, headings: &[&str]) -> Grid {
    let mut all = headings.to_vec();
    if !report.arms.is_empty() {
        all.insert(1, "arm");
    }
    Grid::new(&all)
}

/// Who, in which arm, and the rest of the row.
fn cells(report: &ReaderReport, who: String, arm: Option<&String>, rest: Vec<String>) -> Vec<String> {
    let arm = (!report.arms.is_empty()).then(|| arm.cloned().unwrap_or_default());
    [who].into_iter().chain(arm).chain(rest).collect()
}

fn each_reader(text: &mut String, report: &ReaderReport) {
    let mut rows = grid(report, &["reader", "cases", "sensitivity", "specificity"]);
    for row in &report.readers {
        let rest = vec![row.n_cases.to_string(), rate(&row.sensitivity), rate(&row.specificity)];
        rows.row(cells(report, row.reader.clone(), row.arm.as_ref(), rest));
    }
    for mean in &report.averages {
        let [sensitivity, specificity] =
            [&mean.sensitivity, &mean.specificity].map(|mean| estimate(mean.value, mean.interval));
        let who = format!("mean of {}", mean.n_readers);
        let rest = vec![String::new(), sensitivity, specificity];
        rows.row(cells(report, who, mean.arm.as_ref(), rest));
    }
    let heading = "Each reader: cases called as they are, with intervals over resampled patients (of these readers)";
    table(text, heading, &rows);
}

fn independent(text: &mut String, report: &ReaderReport) {
    let mut rows = grid(report, &["reader", "rate", "Wilson", "Clopper-Pearson"]);
    for row in &report.readers {
        for (name, rate) in [("sensitivity", &row.sensitivity), ("specificity", &row.specificity)] {
            let rest = vec![name.to_owned(), range(rate.wilson), range(rate.clopper_pearson)];
            rows.row(cells(report, row.reader.clone(), row.arm.as_ref(), rest));
        }
    }
    let heading = if report.n_patients < report.n_cases {
        "Intervals as if cases were independent, which these are not"
    } else {
        "Intervals of the binomial distribution (one case a patient)"
    };
    table(text, heading, &rows);
}

fn areas(text: &mut String, report: &ReaderReport) {
    let mut rows = grid(report, &["reader", "AUC", "interval"]);
    for row in &report.readers {
        if let Some(area) = &row.auc {
            let rest = vec![estimate(area.value, area.interval), area.interval_method.clone()];
            rows.row(cells(report, row.reader.clone(), row.arm.as_ref(), rest));
        }
    }
    for mean in &report.averages {
        if let Some(auc) = &mean.auc {
            let who = format!("mean of {}", mean.n_readers);
            let rest = vec![estimate(auc.value, auc.interval), "of these readers".to_owned()];
            rows.row(cells(report, who, mean.arm.as_ref(), rest));
        }
    }
    table(text, "Area under the curve of the ratings", &rows);
}

fn who(row: &Agreement) -> String {
    format!("{}, {}", row.first, row.second)
}

fn agreement(text: &mut String, report: &ReaderReport) {
    let headings = ["readers", "cases", "n", "alike", "kappa", "asymptotic", "adjusted"];
    let mut rows = grid(report, &headings);
    for row in &report.agreement {
        let rest = vec![
            row.stratum.to_string(),
            row.n.to_string(),
            number(row.agreement),
            estimate(row.kappa.map(|kappa| kappa.value), row.interval),
            range(row.kappa.and_then(|kappa| kappa.interval)),
            number(row.adjusted_kappa),
        ];
        rows.row(cells(report, who(row), row.arm.as_ref(), rest));
    }
    let heading = "Agreement of the calls, in all cases and in each class: Cohen's kappa with its interval over resampled \
                   patients and its asymptotic one; adjusted: for prevalence and bias";
    table(text, heading, &rows);
}

fn weighted(text: &mut String, report: &ReaderReport) {
    let mut rows = grid(
        report,
        &["readers", "cases", "n", "linear weights", "quadratic weights"],
    );
    for row in report.agreement.iter().filter(|row| !row.weighted.is_empty()) {
        let of = |weights: KappaWeights| {
            let found = row.weighted.iter().find(|weighted| weighted.weights == weights);
            estimate(
                found.and_then(|found| found.kappa).map(|kappa| kappa.value),
                found.and_then(|found| found.interval),
            )
        };
        let rest = vec![
            row.stratum.to_string(),
            row.n.to_string(),
            of(KappaWeights::Linear),
            of(KappaWeights::Quadratic),
        ];
        rows.row(cells(report, who(row), row.arm.as_ref(), rest));
    }
    let heading = "Agreement of the ratings: weighted kappa of the steps, with its interval over resampled patients";
    table(text, heading, &rows);
}

fn group(text: &mut String, report: &ReaderReport) {
    let mut rows = grid(report, &["readers", "cases", "n", "Fleiss' kappa", "asymptotic"]);
    for row in &report.group_agreement {
        let rest = vec![
            row.stratum.to_string(),
            row.n.to_string(),
            estimate(row.kappa.map(|kappa| kappa.value), row.interval),
            range(row.kappa.and_then(|kappa| kappa.interval)),
        ];
        rows.row(cells(report, format!("all {}", row.n_readers), row.arm.as_ref(), rest));
    }
    table(text, "Agreement of all readers' calls", &rows);
}

/// Rate, both sides, difference, discordant cases and three p values.
fn paired(name: &str, rates: &PairedRates) -> Vec<String> {
    let McNemar {
        only_first,
        only_second,
        asymptotic,
        exact_p,
        ..
    } = rates.mcnemar;
    vec![
        name.to_owned(),
        number(rates.first),
        number(rates.second),
        estimate(rates.difference, rates.interval),
        format!("{only_first}, {only_second}"),
        probability(asymptotic.map(|test| test.p)),
        probability((rates.n > 0).then_some(exact_p)),
        clustered(rates.clustered),
    ]
}

const PAIRED: [&str; 8] = [
    "rate",
    "first",
    "second",
    "difference",
    "alone",
    "McNemar",
    "exact",
    "clustered",
];

const PAIRED_WORDS: &str = "first minus second in the cases that both read; alone: cases that only one calls as they are; p of \
                            McNemar's test (asymptotic, exact) and of the test with patients as the sample";

fn pairs(text: &mut String, report: &ReaderReport) {
    let headings = [&["readers"][..], &PAIRED].concat();
    let mut rows = grid(report, &headings);
    for row in &report.reader_comparisons {
        for (name, rates) in [("sens.", &row.sensitivity), ("spec.", &row.specificity)] {
            let who = format!("{}, {}", row.first, row.second);
            rows.row(cells(report, who, row.arm.as_ref(), paired(name, rates)));
        }
    }
    table(text, &format!("Readers against each other: {PAIRED_WORDS}"), &rows);
}

fn arms(text: &mut String, comparison: &ArmComparison) {
    let headings = [&["reader"][..], &PAIRED].concat();
    let mut rows = Grid::new(&headings);
    for row in &comparison.readers {
        for (name, rates) in [("sens.", &row.sensitivity), ("spec.", &row.specificity)] {
            rows.row([vec![row.reader.clone()], paired(name, rates)].concat());
        }
        if let Some(auc) = &row.auc {
            let difference = estimate(auc.value, auc.interval);
            let empty = String::new;
            rows.row([row.reader.clone(), "AUC".to_owned(), empty(), empty(), difference]);
        }
    }
    let (arm, reference) = (&comparison.arm, &comparison.reference);
    table(
        text,
        &format!("{arm} (first) against {reference} (second), each reader: {PAIRED_WORDS}"),
        &rows,
    );

    let mut rows = Grid::new(&[
        "mean of",
        "metric",
        "difference",
        "patients as sample",
        "readers as sample",
    ]);
    for test in &comparison.averages {
        rows.row([
            format!("{} readers", test.n_readers),
            test.metric.to_owned(),
            estimate(test.difference, test.interval),
            clustered(test.clustered),
            probability(test.across_readers.map(|test| test.p)),
        ]);
    }
    let heading = format!(
        "{arm} against {reference}, mean over readers: p with these readers and a sample of patients, and with these cases \
         and a sample of readers; for both at once export the readings (`--mrmc`)"
    );
    table(text, &heading, &rows);
}

fn low_risk(text: &mut String, report: &ReaderReport, subset: &LowRisk) {
    let chosen = match subset.rule {
        LowRiskRule::Below(_) => "as given".to_owned(),
        LowRiskRule::Sensitivity(target) => format!("chosen here for a sensitivity of at least {} %", 100.0 * target),
    };
    let heading = format!(
        "Low risk: {} of {} scored cases ({} positive) of {} patients have a score below {} ({chosen}); the model's \
         sensitivity at this threshold is {}, its specificity {}",
        subset.n,
        subset.n_scored,
        subset.n_positive,
        subset.n_patients,
        subset.threshold,
        number(subset.sensitivity),
        number(subset.specificity)
    );
    let mut rows = grid(
        report,
        &[
            "reader",
            "negatives called positive",
            "Wilson",
            "positives called positive",
        ],
    );
    for row in &subset.readers {
        let of = |[hits, of]: [usize; 2]| match of {
            0 => "none".to_owned(),
            _ => format!("{hits}/{of} {:.3}", hits as f64 / of as f64),
        };
        let rest = vec![of(row.negatives), range(row.false_alarms), of(row.positives)];
        rows.row(cells(report, row.reader.clone(), row.arm.as_ref(), rest));
    }
    if rows.is_empty() {
        text.push('\n');
        push(text, &wrap(&heading, "", "  "));
    }
    table(text, &heading, &rows);
}

fn rate(rate: &Rate) -> String {
    match rate.value {
        None => "not defined".to_owned(),
        value => format!("{}/{} {}", rate.hits, rate.of, estimate(value, rate.interval)),
    }
}

fn estimate(value: Option<f64>, interval: Option<[f64; 2]>) -> String {
    match (value, interval) {
        (None, _) => "not defined".to_owned(),
        (value, None) => format!("{} (no interval)", number(value)),
        (value, interval) => format!("{} ({})", number(value), range(interval)),
    }
}

fn range(interval: Option<[f64; 2]>) -> String {
    interval.map_or("none".to_owned(), |[lower, upper]| {
        format!("{} to {}", number(Some(lower)), number(Some(upper)))
    })
}

/// Three decimals; a zero has no sign.
fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "none".to_owned() };
    let shown = format!("{value:.3}");
    if shown == "-0.000" { "0.000".to_owned() } else { shown }
}

fn clustered(test: Option<ZTest>) -> String {
    probability(test.map(|test| test.p))
}

fn probability(p: Option<f64>) -> String {
    match p {
        None => "none".to_owned(),
        Some(p) if p < 0.0005 => "<0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}
