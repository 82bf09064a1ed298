//! Assessed scores for the terminal, for programs and as tables of curves.

use std::{collections::BTreeSet, path::Path};

use serde::Serialize;

use super::{Grid, mark, wrap};
use crate::{
    eval::{AssessPlan, Assessment, Measure, ScoreTable, Unit},
    tables::{WriteError, atomic_write, write_csv},
};

/// Grows by one when a reader of the files would have to change.
const SCHEMA: u32 = 1;

/// More scores than this are shown in an overview only.
const DETAILED: usize = 3;

/// Threshold probabilities of the decision curve that the terminal shows.
const SHOWN: [f64; 6] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7];

/// What both commands say of their table.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    schema: u32,
    hounsfield: &'static str,
    positive: &'a str,
    negative: &'a str,
    rows_read: usize,
    rows_left_out: usize,
}

impl<'a> Head<'a> {
    pub(super) fn of(table: &'a ScoreTable) -> Self {
        Self {
            schema: SCHEMA,
            hounsfield: env!("CARGO_PKG_VERSION"),
            positive: &table.positive_name,
            negative: &table.negative_name,
            rows_read: table.rows_read,
            rows_left_out: table.left_out,
        }
    }
}

/// What `evaluate` found, as `--json` writes it.
#[derive(Serialize)]
pub struct AssessmentReport<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    plan: &'a AssessPlan,
    assessments: &'a [Assessment],
    warnings: &'a [String],
    #[serde(skip)]
    guessed: bool,
}

impl<'a> AssessmentReport<'a> {
    /// Puts together what a table's assessment is shown with.
    pub fn new(
        table: &'a ScoreTable,
        plan: &'a AssessPlan,
        assessments: &'a [Assessment],
        warnings: &'a [String],
    ) -> Self {
        Self {
            head: Head::of(table),
            plan,
            assessments,
            warnings,
            guessed: table.guessed,
        }
    }

    /// Writes all numbers and curves.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn write_json(&self, path: &Path) -> Result<(), WriteError> {
        write_json(self, path)
    }

    /// Plain text of at most 100 columns.
    pub fn text(&self) -> String {
        let plan = self.plan;
        let scores = names(self.assessments.iter().map(|one| one.head.as_str()));
        let mut text = heading(&self.head, &scores, self.guessed);
        let intervals = format!(
            "{}; {} % intervals, {} patient-cluster bootstrap resamples, seed {}",
            unit_words(plan.unit, &plan.pool.pooled("score")),
            percent(plan.bootstrap.level),
            plan.bootstrap.resamples,
            plan.bootstrap.seed
        );
        text += &lines(&intervals, "", "  ");
        let own = self.assessments.iter().flat_map(|one| &one.warnings);
        text += &warnings(self.warnings.iter().chain(own));
        let sets = names(self.assessments.iter().map(|one| one.set.as_str()));
        for set in &sets {
            let of_set: Vec<&Assessment> = self.assessments.iter().filter(|one| one.set == *set).collect();
            let whole: Vec<&Assessment> = of_set.iter().copied().filter(|one| one.group.is_none()).collect();
            if whole.len() > 1 {
                text += &format!("\n{}", lines(&format!("{set}: {}", size(whole[0])), "", "  "));
                text += &overview(&whole);
            }
            if scores.len() <= DETAILED {
                text.extend(whole.iter().map(|one| detail(one, plan)));
            }
            text += &groups(&of_set);
        }
        if scores.len() > DETAILED {
            let more = format!(
                "{} scores: `--score NAME` shows all measures of one, `--json FILE` holds those of all",
                scores.len()
            );
            text += &format!("\n{}", lines(&more, "", "  "));
        }
        text
    }

    /// Writes the curves as tables into a folder, which is made where it is not there: `roc.csv`, `roc-band.csv`,
    /// `calibration.csv`, `decision.csv`.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn write_curves(&self, folder: &Path) -> Result<(), WriteError> {
        let all = || {
            self.assessments.iter().map(|one| {
                let group = one.group.as_ref().map(|[name, value]| format!("{name}={value}"));
                (one, vec![marked(one), one.set.clone(), group.unwrap_or_default()])
            })
        };
        let text = |value: f64| value.to_string();
        let optional = |value: Option<f64>| value.map(text).unwrap_or_default();
        let write = |name: &str, columns: &[&str], rows: Vec<Vec<String>>| {
            let header: Vec<String> = ["score", "set", "group"]
                .iter()
                .chain(columns)
                .map(|&name| name.to_owned())
                .collect();
            write_csv(&folder.join(name), &header, rows.into_iter())
        };
        let (mut roc, mut band, mut calibration, mut decision) = (vec![], vec![], vec![], vec![]);
        for (one, key) in all() {
            let row = |cells: Vec<String>| [key.clone(), cells].concat();
            if let Some(curve) = &one.roc {
                roc.extend(
                    curve
                        .points
                        .iter()
                        .map(|at| row(vec![optional(at.threshold), text(at.fpr), text(at.tpr)])),
                );
                band.extend(
                    curve
                        .band
                        .iter()
                        .map(|at| row([at.fpr, at.lower, at.upper].map(text).to_vec())),
                );
            }
            calibration.extend(one.calibration.iter().map(|bin| {
                let shown = [bin.predicted, bin.observed, bin.lower, bin.upper].map(text);
                row([shown.to_vec(), vec![bin.n.to_string()]].concat())
            }));
            decision.extend(one.decision.iter().map(|at| {
                let [lower, upper] = [0, 1].map(|end| optional(at.model_ci.map(|ci| ci[end])));
                row(vec![
                    text(at.threshold),
                    text(at.model),
                    lower,
                    upper,
                    text(at.all),
                    "0".to_owned(),
                ])
            }));
        }
        write("roc.csv", &["threshold", "fpr", "tpr"], roc)?;
        write("roc-band.csv", &["fpr", "tpr_lower", "tpr_upper"], band)?;
        let columns = ["predicted", "observed", "lower", "upper", "n"];
        write("calibration.csv", &columns, calibration)?;
        let columns = ["threshold", "net_benefit", "lower", "upper", "treat_all", "treat_none"];
        write("decision.csv", &columns, decision)
    }
}

pub(super) fn write_json(report: &impl Serialize, path: &Path) -> Result<(), WriteError> {
    use std::io::Write as _;
    // Strings, numbers and options only, with string keys: nothing that JSON can't hold.
    let text = serde_json::to_string_pretty(report).expect("results are plain data");
    atomic_write(path, |file| writeln!(file, "{text}"))
}

/// The names in their first order, each once.
pub(super) fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    all.filter(|name| seen.insert(*name)).collect()
}

pub(super) fn lines(text: &str, first: &str, next: &str) -> String {
    wrap(text, first, next).join("\n") + "\n"
}

pub(super) fn percent(level: f64) -> f64 {
    (level * 1e8).round() / 1e6
}

pub(super) fn unit_words(unit: Unit, pooled: &str) -> String {
    match unit {
        Unit::Slice => "unit slice: every row counts, patients are drawn whole".to_owned(),
        unit => format!("unit {unit}: {pooled} per {unit}"),
    }
}

pub(super) fn heading(head: &Head, scores: &[&str], guessed: bool) -> String {
    let mut text = lines(
        &format!("positive class {}, negative {}", head.positive, head.negative),
        "",
        "  ",
    );
    if guessed {
        let found = format!(
            "scores: {} (all columns of numbers; choose with --score)",
            scores.join(", ")
        );
        text += &lines(&found, "", "  ");
    }
    text
}

/// Each warning once.
pub(super) fn warnings<'a>(all: impl Iterator<Item = &'a String>) -> String {
    let once = names(all.map(String::as_str));
    once.into_iter()
        .map(|warning| lines(warning, "warning: ", "         "))
        .collect()
}

/// The score's name, with a mark where its training did not converge.
fn marked(one: &Assessment) -> String {
    mark(&one.head, one.not_converged.is_some())
}

fn size(one: &Assessment) -> String {
    let Some(row) = one.measures.first().map(|measure| &measure.row) else {
        return String::new();
    };
    let [positives, negatives] = one.class_patients;
    format!(
        "{} patients ({positives} with positive, {negatives} with negative {}), {} rows",
        row.n_patients,
        match row.unit {
            Unit::Patient => "label",
            Unit::Scan => "scans",
            Unit::Slice => "slices",
        },
        row.n_rows
    )
}

/// `0.903 (0.837-0.957)`.
fn estimate(one: &Assessment, metric: &str) -> String {
    match one.get(metric).map(|found| (&found.row.value, &found.row.ci)) {
        Some((Some(value), Some([lower, upper]))) => format!("{value:.3} ({lower:.3}-{upper:.3})"),
        Some((Some(value), None)) => format!("{value:.3} (none)"),
        _ => "undefined".to_owned(),
    }
}

fn overview(all: &[&Assessment]) -> String {
    let mut grid = Grid::new(&["score", "AUC", "sensitivity", "specificity"]);
    for one in all {
        let cells = ["auc", "sensitivity", "specificity"].map(|metric| estimate(one, metric));
        grid.row([vec![marked(one)], cells.to_vec()].concat());
    }
    let cuts = names(all.iter().map(|one| one.cut.as_str()));
    let cut = match cuts[..] {
        [one] => one.to_owned(),
        _ if all.iter().all(|one| one.cut.starts_with("Youden")) => {
            "each score's own Youden threshold on these same rows, hence optimistic".to_owned()
        }
        _ => "each score's own threshold".to_owned(),
    };
    grid.render() + &lines(&format!("sensitivity and specificity at: {cut}"), "  ", "    ")
}

fn detail(one: &Assessment, plan: &AssessPlan) -> String {
    let title = format!("{} on {}: {}", marked(one), one.set, size(one));
    let mut text = format!("\n{}", lines(&title, "", "  "));
    text += &lines(
        &format!("sensitivity, specificity, accuracy, PPV and NPV at: {}", one.cut),
        "  ",
        "    ",
    );
    let mut grid = Grid::new(&["measure", "value", "interval", "by", "note"]);
    let mut before = "";
    for measure in &one.measures {
        let row = &measure.row;
        let again = row.metric == before;
        before = &row.metric;
        grid.row([
            if again { String::new() } else { label(measure, plan) },
            match row.value {
                _ if again => String::new(),
                Some(value) => number(&row.metric, value),
                None => "undefined".to_owned(),
            },
            row.ci.map_or_else(String::new, |[lower, upper]| {
                format!("{} to {}", number(&row.metric, lower), number(&row.metric, upper))
            }),
            measure
                .interval
                .map_or_else(String::new, |interval| interval.to_string()),
            measure.note.clone().unwrap_or_default(),
        ]);
    }
    text += &grid.render();
    if !one.calibration.is_empty() {
        text += "\n";
        let mut grid = Grid::new(&["mean probability", "share positive", "interval", "units"]);
        for bin in &one.calibration {
            grid.row([
                format!("{:.3}", bin.predicted),
                format!("{:.3}", bin.observed),
                format!("{:.3} to {:.3}", bin.lower, bin.upper),
                bin.n.to_string(),
            ]);
        }
        text += &grid.render();
    }
    let shown = one.decision.iter().filter(|at| SHOWN.contains(&at.threshold));
    let mut grid = Grid::new(&[
        "threshold probability",
        "net benefit",
        "interval",
        "treat all",
        "treat none",
    ]);
    for at in shown {
        grid.row([
            format!("{:.2}", at.threshold),
            format!("{:.3}", at.model),
            at.model_ci
                .map_or_else(String::new, |[lower, upper]| format!("{lower:.3} to {upper:.3}")),
            format!("{:.3}", at.all),
            "0".to_owned(),
        ]);
    }
    if !grid.is_empty() {
        text += &format!("\n{}", grid.render());
    }
    text
}

/// Subgroups, a table for each column that they are made of.
fn groups(of_set: &[&Assessment]) -> String {
    let grouped = || of_set.iter().filter_map(|one| Some((one, one.group.as_ref()?)));
    let mut text = String::new();
    for column in names(grouped().map(|(_, [name, _])| name.as_str())) {
        let mut grid = Grid::new(&[column, "score", "patients +/-", "AUC", "sensitivity", "specificity"]);
        for (one, [_, value]) in grouped().filter(|(_, [name, _])| name == column) {
            let [positives, negatives] = one.class_patients;
            let cells = ["auc", "sensitivity", "specificity"].map(|metric| estimate(one, metric));
            let first = vec![value.clone(), marked(one), format!("{positives}/{negatives}")];
            grid.row([first, cells.to_vec()].concat());
        }
        text += &format!(
            "\n{}{}",
            lines(&format!("{} by {column}", of_set[0].set), "", "  "),
            grid.render()
        );
        text += &lines("thresholds are those of the whole set, not of each group", "  ", "    ");
    }
    text
}

fn label(measure: &Measure, plan: &AssessPlan) -> String {
    let words = match measure.row.metric.as_str() {
        "auc" => "AUC",
        "partial-auc" => {
            let (axis, [from, to]) = plan.partial;
            return format!("partial AUC, {} {from} to {to}", format!("{axis:?}").to_lowercase());
        }
        "specificity-at-sensitivity" => return format!("specificity at sensitivity {}", plan.sensitivity),
        "threshold-for-sensitivity" => "  its threshold",
        "sensitivity-at-specificity" => {
            return format!("sensitivity at specificity {}", plan.specificity.unwrap_or_default());
        }
        "threshold-for-specificity" => "  its threshold",
        "partial-auc-corrected" => "partial AUC, McClish",
        "ppv" => "PPV",
        "npv" => "NPV",
        "ppv-at-prevalence" => return format!("PPV at prevalence {}", plan.prevalence.unwrap_or_default()),
        "npv-at-prevalence" => return format!("NPV at prevalence {}", plan.prevalence.unwrap_or_default()),
        "youden" => "Youden index",
        "youden-threshold" => "  its threshold",
        "brier-miscalibration" => "  miscalibration",
        "brier-discrimination" => "  discrimination",
        "brier-uncertainty" => "  uncertainty",
        "brier" => "Brier score",
        "expected-observed" => "expected / observed",
        other => return other.replace('-', " "),
    };
    words.to_owned()
}

/// Three decimals; thresholds, which have a unit of their own, four significant digits.
fn number(metric: &str, value: f64) -> String {
    if !metric.contains("threshold") {
        return format!("{value:.3}");
    }
    let decimals = match value.abs() {
        size if size < f64::MIN_POSITIVE => 1,
        size => (3 - size.log10().floor() as i32).clamp(0, 12) as usize,
    };
    format!("{value:.decimals$}")
}
