//! ROC curves as small multiples in SVG: one figure for each set and table of features, one line a head.

use super::{
    super::{
        StudyReport,
        panel::{estimate, panels, set_label},
    },
    escape,
    plot::{Axis, DASHES, Frame, sample},
};
use crate::eval::RocCurve;

/// All figures, evidence first.
pub(super) fn figures(report: &StudyReport) -> String {
    if report.roc.is_empty() {
        return String::new();
    }
    let mut heads: Vec<&str> = Vec::new();
    for curve in &report.roc {
        if !heads.contains(&curve.head.as_str()) {
            heads.push(&curve.head);
        }
    }
    let mut figures = Vec::new();
    for panel in panels(report) {
        let mut layers: Vec<&str> = Vec::new();
        for line in &panel.lines {
            if !layers.contains(&line.features) {
                layers.push(line.features);
            }
        }
        for layer in layers {
            let own = |curve: &&RocCurve| {
                (curve.set.as_str(), curve.unit, curve.features.as_str()) == (panel.set, panel.unit, layer)
            };
            let curves: Vec<(usize, &RocCurve)> = report
                .roc
                .iter()
                .filter(own)
                .filter_map(|curve| Some((heads.iter().position(|head| *head == curve.head)?, curve)))
                .collect();
            if !curves.is_empty() {
                figures.push(figure(report, figures.len(), &curves));
            }
        }
    }
    let words = "Bands are pointwise intervals of the sensitivity, dots the frozen thresholds, numbers the AUC with \
                 its interval. Point at a head below a plot to see it alone.";
    format!(
        "<section>\n<h2>ROC curves</h2>\n<p>{words}</p>\n<div class=\"figures\">\n{}</div>\n</section>\n",
        figures.concat()
    )
}

fn figure(report: &StudyReport, number: usize, curves: &[(usize, &RocCurve)]) -> String {
    // Figures without curves are not made.
    let first = curves[0].1;
    let (label, features) = (escape(&set_label(&first.set, report)), escape(&first.features));
    let unit = first.unit;
    let frame = Frame {
        across: Axis::unit(format!("1 - specificity (per {unit})")),
        up: Axis::unit(format!("sensitivity (per {unit})")),
    };
    let bands: String = curves
        .iter()
        .map(|(index, curve)| band(&frame, *index, curve))
        .collect();
    let lines: String = curves
        .iter()
        .map(|(index, curve)| line(&frame, *index, curve))
        .collect();
    let (axes, chance) = (frame.axes(), frame.guide((0.0, 0.0), (1.0, 1.0)));
    let legend: String = curves
        .iter()
        .map(|(index, curve)| entry(report, *index, curve))
        .collect();
    format!(
        "<figure>\n<svg viewBox=\"{}\" role=\"img\" aria-labelledby=\"roc-{number}-title roc-{number}-words\">\n\
         <title id=\"roc-{number}-title\">ROC curves on {label}, features {features}</title>\n\
         <desc id=\"roc-{number}-words\">{}</desc>\n{}{axes}{chance}{bands}{lines}</svg>\n\
         <figcaption><strong>{label}</strong>, features {features}, per {unit}\n<ul class=\"legend\">\n{legend}</ul>\n\
         </figcaption>\n</figure>\n",
        Frame::view_box(),
        words(report, curves),
        mark(report)
    )
}

/// A banner across the plot: one that was cut out still carries it.
pub(super) fn mark(report: &StudyReport) -> String {
    report
        .banners
        .first()
        .map_or(String::new(), |banner| banner_mark(banner))
}

/// A banner's first words across the plot.
pub(super) fn banner_mark(banner: &str) -> String {
    let head = banner.split(':').next().unwrap_or(banner);
    let end = head.char_indices().nth(24).map_or(head.len(), |(end, _)| end);
    Frame::mark(&escape(&head[..end]))
}

fn band(frame: &Frame, index: usize, curve: &RocCurve) -> String {
    if curve.band.is_empty() {
        return String::new();
    }
    let upper = curve.band.iter().map(|point| (point.fpr, point.upper));
    let lower = curve.band.iter().rev().map(|point| (point.fpr, point.lower));
    frame.band(index, upper.chain(lower))
}

fn line(frame: &Frame, index: usize, curve: &RocCurve) -> String {
    let points = curve.points.iter().map(|point| (point.fpr, point.tpr));
    frame.line(index, points) + &frame.dot(index, curve.operating.fpr, curve.operating.tpr, 4.0)
}

fn entry(report: &StudyReport, index: usize, curve: &RocCurve) -> String {
    format!(
        "<li class=\"h{}\">{} {} <span class=\"num\">{}</span></li>\n",
        index % DASHES.len(),
        sample(index),
        escape(&report.label(&curve.head)),
        auc(report, curve)
    )
}

fn auc(report: &StudyReport, curve: &RocCurve) -> String {
    let own = report.results.iter().find(|row| {
        (&row.features, &row.head, &row.set, row.unit, row.metric.as_str())
            == (&curve.features, &curve.head, &curve.set, curve.unit, "auc")
    });
    estimate(own)
}

/// The figure for those who don't see it.
fn words(report: &StudyReport, curves: &[(usize, &RocCurve)]) -> String {
    let word =
        |(_, curve): &(usize, &RocCurve)| format!("{}: AUC {}", escape(&report.label(&curve.head)), auc(report, curve));
    curves.iter().map(word).collect::<Vec<_>>().join("; ")
}
