//! Further measures, comparisons of heads, calibration curves and decision curves.

use super::{
    super::{
        StudyReport,
        measured::{COMPARED_WORDS, classes, compared, distinct, measured, measured_words, sets},
        panel::{estimate, set_label},
    },
    escape,
    plot::{Axis, DASHES, Frame, sample},
    roc::mark,
    tables::table,
};
use crate::eval::{Assessment, Unit};

/// The steps of the net benefit's axis are multiples of a third of this.
const STEP: f64 = 0.15;

/// One table a set, one line a head.
pub(super) fn measures(report: &StudyReport) -> String {
    if report.assessments.is_empty() {
        return String::new();
    }
    let words = paragraphs(&measured_words(report));
    let mut section = format!("<section>\n<h2>More measures</h2>\n{words}");
    for one in measured(report) {
        let label = escape(&set_label(one.set, report));
        let caption = format!("<strong>{label}</strong>: {}", escape(&classes(report, one.set)));
        let columns = ["Head", "Features"]
            .into_iter()
            .chain(one.columns.iter().map(String::as_str));
        let rows = one.lines.iter().map(|line| {
            let cells = line
                .cells
                .iter()
                .map(|cell| format!("<td class=\"num\">{}</td>", escape(cell)));
            let (head, features) = (escape(&line.head), escape(line.features));
            format!(
                "<tr><th scope=\"row\">{head}</th><td>{features}</td>{}</tr>\n",
                cells.collect::<String>()
            )
        });
        section += &table(&caption, "measures", columns, rows);
        section += &notes(&one.notes);
    }
    section + "</section>\n"
}

/// One table a set and table of features, one line a pair.
pub(super) fn comparisons(report: &StudyReport) -> String {
    if report.comparisons.is_empty() {
        return String::new();
    }
    let mut section = format!("<section>\n<h2>Comparisons of heads</h2>\n<p>{COMPARED_WORDS}</p>\n");
    for one in compared(report) {
        let (label, features) = (escape(&set_label(one.set, report)), escape(one.features));
        let caption = format!("<strong>{label}</strong>, features {features}; {}", escape(one.family));
        let rows = one.lines.iter().map(|line| {
            let [names, numbers @ ..] = line;
            let cells = numbers
                .iter()
                .map(|cell| format!("<td class=\"num\">{}</td>", escape(cell)));
            format!(
                "<tr><th scope=\"row\">{}</th>{}</tr>\n",
                escape(names),
                cells.collect::<String>()
            )
        });
        section += &table(&caption, "measures", one.columns.iter().map(String::as_str), rows);
        section += &notes(&one.notes);
    }
    section + "</section>\n"
}

/// Observed shares over predicted probabilities, and net benefit over threshold probabilities.
pub(super) fn figures(report: &StudyReport) -> String {
    let words = "Share of positives over mean probability in at most ten parts of the scores, larger dots for more \
                 units, vertical lines for pointwise intervals, numbers the calibration slope with its interval. On the \
                 dotted diagonal probabilities hold what they promise.";
    let calibration = section(report, "Calibration curves", words, calibration);
    let words = "Net benefit of treating by the score over the probability from which on one would treat, with pointwise \
                 intervals. The dotted level line treats no one, the dotted falling line everyone: a score is of use where \
                 it lies above both. At the prevalence of each set; lines end where they leave the plot.";
    calibration + &section(report, "Decision curves", words, decision)
}

/// The heads of one figure with their numbers.
type Heads<'a> = [(usize, &'a Assessment)];

fn section(
    report: &StudyReport,
    title: &str,
    words: &str,
    figure: fn(&StudyReport, &Heads<'_>, &str, &str) -> Option<String>,
) -> String {
    let heads = distinct(report.assessments.iter().map(|one| one.assessment.head.as_str()));
    let layers = distinct(report.assessments.iter().map(|one| one.features.as_str()));
    let mut figures = String::new();
    for set in sets(report.assessments.iter().map(|one| one.assessment.set.as_str())) {
        for layer in &layers {
            let own = report
                .assessments
                .iter()
                .filter(|one| (one.assessment.set.as_str(), one.features.as_str()) == (set, *layer));
            let own: Vec<(usize, &Assessment)> = own
                .filter_map(|one| {
                    let index = heads.iter().position(|head| *head == one.assessment.head)?;
                    Some((index, &one.assessment))
                })
                .collect();
            figures.extend(figure(report, &own, set, layer));
        }
    }
    match figures.is_empty() {
        true => figures,
        false => format!(
            "<section>\n<h2>{title}</h2>\n<p>{words}</p>\n<div class=\"figures\">\n{figures}</div>\n</section>\n"
        ),
    }
}

fn calibration(report: &StudyReport, heads: &Heads<'_>, set: &str, layer: &str) -> Option<String> {
    let heads: Vec<_> = heads.iter().filter(|(_, one)| !one.calibration.is_empty()).collect();
    let unit = unit(heads.first()?.1);
    let frame = Frame {
        across: Axis::unit(format!("mean probability (per {unit})")),
        up: Axis::unit("share of positives"),
    };
    let most = heads
        .iter()
        .flat_map(|(_, one)| &one.calibration)
        .map(|bin| bin.n)
        .max()?;
    let mut drawn = frame.guide((0.0, 0.0), (1.0, 1.0));
    let mut legend = String::new();
    for (index, one) in heads {
        let points = one.calibration.iter().map(|bin| (bin.predicted, bin.observed));
        drawn += &frame.line(*index, points);
        for bin in &one.calibration {
            let size = 1.5 + 3.0 * (bin.n as f64 / most as f64).sqrt();
            drawn += &frame.whisker(*index, bin.predicted, [bin.lower, bin.upper]);
            drawn += &frame.dot(*index, bin.predicted, bin.observed, size);
        }
        let slope = estimate(one.get("calibration-slope").map(|found| &found.row));
        legend += &entry(*index, &report.label(&one.head), &slope);
    }
    Some(figure(
        report,
        &frame,
        ["Calibration curves", set, layer, &unit.to_string()],
        &drawn,
        &legend,
    ))
}

fn decision(report: &StudyReport, heads: &Heads<'_>, set: &str, layer: &str) -> Option<String> {
    let heads: Vec<_> = heads.iter().filter(|(_, one)| !one.decision.is_empty()).collect();
    let first = heads.first()?.1;
    let unit = unit(first);
    let points = heads.iter().flat_map(|(_, one)| &one.decision);
    let most = points.map(|at| at.model.max(at.all)).fold(0.0, f64::max);
    let top = STEP * (most / STEP).ceil().max(1.0);
    let frame = Frame {
        across: Axis::unit("threshold probability"),
        up: Axis {
            from: -top / 3.0,
            to: top,
            label: format!("net benefit (per {unit})"),
        },
    };
    let all = first.decision.iter().map(|at| (at.threshold, at.all));
    let mut drawn = frame.guide((0.0, 0.0), (1.0, 0.0));
    drawn += &frame.reference(all.take_while(|at| at.1 >= frame.up.from));
    let mut legend = String::new();
    for (index, one) in &heads {
        let banded: Vec<_> = one
            .decision
            .iter()
            .filter_map(|at| Some((at.threshold, at.model_ci?)))
            .collect();
        let upper = banded.iter().map(|(at, [_, upper])| (*at, *upper));
        let lower = banded.iter().rev().map(|(at, [lower, _])| (*at, *lower));
        if !banded.is_empty() {
            drawn += &frame.band(*index, upper.chain(lower));
        }
    }
    for (index, one) in heads {
        // A line that leaves the plot may come back.
        for run in one
            .decision
            .split(|at| at.model < frame.up.from)
            .filter(|run| run.len() > 1)
        {
            drawn += &frame.line(*index, run.iter().map(|at| (at.threshold, at.model)));
        }
        legend += &entry(*index, &report.label(&one.head), "");
    }
    Some(figure(
        report,
        &frame,
        ["Decision curves", set, layer, &unit.to_string()],
        &drawn,
        &legend,
    ))
}

fn figure(report: &StudyReport, frame: &Frame, names: [&str; 4], drawn: &str, legend: &str) -> String {
    let [title, set, layer, unit] = names;
    let (label, features) = (escape(&set_label(set, report)), escape(layer));
    format!(
        "<figure>\n<svg viewBox=\"{}\" role=\"img\" aria-label=\"{title} on {label}, features {features}\">\n{}{}{drawn}\
         </svg>\n<figcaption><strong>{label}</strong>, features {features}, per {unit}\n<ul class=\"legend\">\n{legend}\
         </ul>\n</figcaption>\n</figure>\n",
        Frame::view_box(),
        mark(report),
        frame.axes()
    )
}

fn entry(index: usize, head: &str, number: &str) -> String {
    format!(
        "<li class=\"h{}\">{} {} <span class=\"num\">{}</span></li>\n",
        index % DASHES.len(),
        sample(index),
        escape(head),
        escape(number)
    )
}

fn unit(one: &Assessment) -> Unit {
    one.measures.first().map_or(Unit::Patient, |found| found.row.unit)
}

fn paragraphs(words: &[String]) -> String {
    words
        .iter()
        .map(|words| format!("<p>{}</p>\n", escape(words)))
        .collect()
}

fn notes(notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let items: String = notes
        .iter()
        .map(|note| format!("<li>{}</li>\n", escape(note)))
        .collect();
    format!("<ul class=\"notes\">\n{items}</ul>\n")
}
