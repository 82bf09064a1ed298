//! Results as tables show them: one panel a set, one line a head.

use super::StudyReport;
use crate::{
    eval::{METRICS, ResultRow, Unit},
    words::counted,
};

/// The results of all heads on one set.
pub(super) struct Panel<'a> {
    /// The set as in the results.
    pub set: &'a str,
    pub unit: Unit,
    n_patients: usize,
    n_rows: usize,
    n_positive: usize,
    pub level: f64,
    pub lines: Vec<Line<'a>>,
    /// What a row is.
    row: &'static str,
}

/// The results of one head on one set, in the order of [`METRICS`].
pub(super) struct Line<'a> {
    pub features: &'a str,
    head: &'a str,
    /// The head, with a mark where its training did not converge.
    pub label: String,
    pub metrics: [Option<&'a ResultRow>; METRICS.len()],
}

/// The panels, evidence first: test, external sites, out-of-fold, then validation and train.
pub(super) fn panels(report: &StudyReport) -> Vec<Panel<'_>> {
    let mut panels: Vec<Panel> = Vec::new();
    for row in &report.results {
        let same = |panel: &&mut Panel| {
            (panel.set, panel.unit, panel.n_patients, panel.n_rows, panel.n_positive)
                == (&row.set, row.unit, row.n_patients, row.n_rows, row.n_positive)
        };
        let panel = match panels.iter_mut().find(same) {
            Some(panel) => panel,
            None => {
                panels.push(Panel {
                    set: &row.set,
                    unit: row.unit,
                    n_patients: row.n_patients,
                    n_rows: row.n_rows,
                    n_positive: row.n_positive,
                    level: row.level,
                    lines: Vec::new(),
                    row: report.row_word(),
                });
                panels.last_mut().expect("one was pushed")
            }
        };
        let own = |line: &&mut Line| (line.features, line.head) == (&row.features, &row.head);
        let line = match panel.lines.iter_mut().find(own) {
            Some(line) => line,
            None => {
                panel.lines.push(Line {
                    features: &row.features,
                    head: &row.head,
                    label: report.label(&row.head),
                    metrics: [None; METRICS.len()],
                });
                panel.lines.last_mut().expect("one was pushed")
            }
        };
        if let Some(index) = METRICS.iter().position(|metric| *metric == row.metric) {
            line.metrics[index] = Some(row);
        }
    }
    panels.sort_by_key(|panel| rank(panel.set));
    panels
}

/// Where a set stands: evidence first.
pub(super) fn rank(set: &str) -> usize {
    match set {
        "test" => 0,
        "out-of-fold" => 2,
        "validation" => 3,
        "train" => 4,
        // Sites, and sets that a split brought with it.
        _ => 1,
    }
}

impl Panel<'_> {
    /// `25 patients (12 positive), 310 slices`, `25 patients, 310 slices, 14 positive scans`, or
    /// `25 patients, 310 slices (150 positive)`.
    pub fn size(&self) -> String {
        let (patients, slices) = (counted(self.n_patients, "patient"), counted(self.n_rows, self.row));
        match self.unit {
            Unit::Patient => format!("{patients} ({} positive), {slices}", self.n_positive),
            Unit::Scan => format!("{patients}, {slices}, {}", counted(self.n_positive, "positive scan")),
            Unit::Slice => format!("{patients}, {slices} ({} positive)", self.n_positive),
        }
    }

    /// What the numbers of this set can't be taken for.
    pub fn caveat(&self, report: &StudyReport) -> Option<&'static str> {
        match self.set {
            "train" if report.whole_scans => {
                Some("Figures on the training set are no evidence: the network was trained on it.")
            }
            "train" => Some("Figures on the training set are no evidence: the heads were fitted on it."),
            set if chosen_on(set, report) => {
                Some("Sensitivity, specificity and accuracy are optimistic here: the threshold was chosen on this set.")
            }
            _ => None,
        }
    }
}

/// A set's name for readers, e.g. `external: ucsd` or `validation (threshold chosen here)`.
pub(super) fn set_label(set: &str, report: &StudyReport) -> String {
    match set.split_once(':') {
        Some(("external", site)) => format!("external: {site}"),
        _ if chosen_on(set, report) => format!("{set} (threshold chosen here)"),
        _ => set.to_owned(),
    }
}

fn chosen_on(set: &str, report: &StudyReport) -> bool {
    report.thresholds.iter().any(|chosen| chosen.threshold.set == set)
}

/// `0.843 (0.702 to 0.951)`, `1.000 (no interval)` or `not defined`.
pub(super) fn estimate(row: Option<&ResultRow>) -> String {
    match row.map(|row| (row.value, row.ci)) {
        None => "not measured".to_owned(),
        Some((None, _)) => "not defined".to_owned(),
        Some((Some(value), None)) => format!("{value:.3} (no interval)"),
        Some((Some(value), Some([lower, upper]))) => format!("{value:.3} ({lower:.3} to {upper:.3})"),
    }
}

/// `0.843 (0.702 to 0.951)` of what is no result row.
pub(super) fn range(value: f64, [lower, upper]: [f64; 2]) -> String {
    format!("{value:.3} ({lower:.3} to {upper:.3})")
}

/// A p-value that never says 0: of B permutations the least is 1 / (B + 1).
pub(super) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".to_owned(),
        p => format!("{p:.3}"),
    }
}

/// Above the table of permuted labels.
pub(super) fn null_words(report: &StudyReport) -> Option<String> {
    let first = report.nulls.first()?;
    Some(format!(
        "Labels permuted by patient, the same pipeline fitted again on the same split {} times: the AUC should then lie \
         around 0.5. In brackets {} % of the permutations; p is one-sided.",
        first.permutations,
        100.0 * first.level
    ))
}

/// Columns of the table of permuted labels.
pub(super) const NULL_COLUMNS: [&str; 6] = ["Features", "Head", "Set", "AUC", "AUC of permuted labels", "p"];

/// Its lines.
pub(super) fn null_lines(report: &StudyReport) -> impl Iterator<Item = [String; 6]> + '_ {
    report.nulls.iter().map(|null| {
        [
            null.features.clone(),
            null.head.clone(),
            null.set.clone(),
            format!("{:.3}", null.auc),
            range(null.mean, null.range),
            p_value(null.p),
        ]
    })
}

/// Above the table of repeats.
pub(super) const REPEAT_WORDS: &str = "AUC of each repeat of the cross-validation and of each outer fold. The SD over \
                                       repeats is of the draw of the folds alone; how sure the mean is, its interval \
                                       above says.";

/// Columns of the table of repeats.
pub(super) const REPEAT_COLUMNS: [&str; 6] = [
    "Features",
    "Head",
    "Repeats",
    "AUC, least to most",
    "SD over repeats",
    "AUC of folds, least to most",
];

/// Its lines.
pub(super) fn repeat_lines(report: &StudyReport) -> impl Iterator<Item = [String; 6]> + '_ {
    let span = |values: Vec<f64>| {
        let least = values.iter().copied().reduce(f64::min);
        let most = values.iter().copied().reduce(f64::max);
        match least.zip(most) {
            Some((least, most)) => format!("{least:.3} to {most:.3}"),
            None => "not defined".to_owned(),
        }
    };
    report.repeats.iter().map(move |areas| {
        let pooled = areas.repeats.iter().filter_map(|repeat| repeat.pooled.value);
        let folds = areas.repeats.iter().flat_map(|repeat| &repeat.folds);
        [
            areas.features.clone(),
            areas.head.clone(),
            areas.repeats.len().to_string(),
            span(pooled.collect()),
            areas.sd.map_or("of one: none".to_owned(), |sd| format!("{sd:.4}")),
            span(folds.filter_map(|fold| fold.value).collect()),
        ]
    })
}

/// What the numbers are of: `positive: covid; negative: cap; scores per patient; 95 % intervals in brackets`.
pub(super) fn headline(report: &StudyReport) -> String {
    let mut parts = vec![format!("positive: {}", report.positive)];
    if !report.negative.is_empty() {
        parts.push(format!("negative: {}", report.negative));
    }
    let mut units: Vec<String> = Vec::new();
    let mut levels: Vec<String> = Vec::new();
    for row in &report.results {
        let unit = match row.pool {
            // A scan's own score is no pool of anything.
            Some(_) if report.whole_scans && row.unit == Unit::Scan => row.unit.to_string(),
            Some(pool) => format!("{} ({} of its {}s)", row.unit, pool.pooled("score"), report.row_word()),
            None => row.unit.to_string(),
        };
        let (unit, level) = (unit, format!("{} %", 100.0 * row.level));
        if !units.contains(&unit) {
            units.push(unit);
        }
        if !levels.contains(&level) {
            levels.push(level);
        }
    }
    if !units.is_empty() {
        parts.push(format!("one score per {}", units.join(" and per ")));
        parts.push(format!("{} intervals in brackets", levels.join(" and ")));
    }
    parts.join("; ")
}
