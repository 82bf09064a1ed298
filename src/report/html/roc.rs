//! ROC curves as small multiples in SVG: one figure for each set and table of features, one line a head.

use super::{
    super::{
        StudyReport,
        panel::{estimate, panels, set_label},
    },
    escape,
};
use crate::eval::{RocCurve, Unit};

/// Side of the unit square in SVG units, and where it stands.
const SIDE: f64 = 260.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 10.0;

/// Dash patterns beside colours, so that no head is told by colour alone. As many as `--head-N` colours in style.css.
const DASHES: [&str; 8] = ["none", "8 3", "2 2.5", "9 3 2 3", "14 3 2 3 2 3", "4 4", "14 5", "1 4"];

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
    let bands: String = curves.iter().map(|(index, curve)| band(*index, curve)).collect();
    let lines: String = curves.iter().map(|(index, curve)| line(*index, curve)).collect();
    let legend: String = curves
        .iter()
        .map(|(index, curve)| entry(report, *index, curve))
        .collect();
    let mark = match report.banners.first() {
        Some(banner) => format!(
            "<text class=\"mark\" x=\"{}\" y=\"{}\" transform=\"rotate(-45 {0} {1})\">{}</text>\n",
            LEFT + SIDE / 2.0,
            TOP + SIDE / 2.0,
            escape(short(banner))
        ),
        None => String::new(),
    };
    format!(
        "<figure>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"roc-{number}-title roc-{number}-words\">\n\
         <title id=\"roc-{number}-title\">ROC curves on {label}, features {features}</title>\n\
         <desc id=\"roc-{number}-words\">{}</desc>\n{mark}{}{bands}{lines}</svg>\n\
         <figcaption><strong>{label}</strong>, features {features}, per {unit}\n<ul class=\"legend\">\n{legend}</ul>\n\
         </figcaption>\n</figure>\n",
        LEFT + SIDE + 12.0,
        TOP + SIDE + 42.0,
        words(report, curves),
        axes(unit)
    )
}

/// A banner's first words, to stand across a plot: a plot that was cut out still carries them.
fn short(banner: &str) -> &str {
    let head = banner.split(':').next().unwrap_or(banner);
    let end = head.char_indices().nth(24).map_or(head.len(), |(end, _)| end);
    &head[..end]
}

fn x(rate: f64) -> f64 {
    LEFT + SIDE * rate
}

fn y(rate: f64) -> f64 {
    TOP + SIDE * (1.0 - rate)
}

fn axes(unit: Unit) -> String {
    let mut axes = String::new();
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (across, up, left, bottom) = (x(tick), y(tick), x(0.0), y(0.0));
        axes += &format!(
            "<path class=\"grid\" d=\"M{across:.1} {bottom:.1}V{:.1}M{left:.1} {up:.1}H{:.1}\"/>\n\
             <text class=\"tick\" x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>\n\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>\n",
            y(1.0),
            x(1.0),
            bottom + 15.0,
            left - 6.0,
            up + 4.0
        );
    }
    let middle = TOP + SIDE / 2.0;
    axes += &format!(
        "<path class=\"chance\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>\n\
         <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">1 - specificity (per {unit})</text>\n\
         <text class=\"axis\" x=\"12\" y=\"{middle:.1}\" text-anchor=\"middle\" \
         transform=\"rotate(-90 12 {middle:.1})\">\
         sensitivity (per {unit})</text>\n",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0),
        LEFT + SIDE / 2.0,
        TOP + SIDE + 34.0
    );
    axes
}

fn band(index: usize, curve: &RocCurve) -> String {
    if curve.band.is_empty() {
        return String::new();
    }
    let upper = curve.band.iter().map(|point| (point.fpr, point.upper));
    let lower = curve.band.iter().rev().map(|point| (point.fpr, point.lower));
    let points: Vec<String> = upper
        .chain(lower)
        .map(|(fpr, tpr)| format!("{:.1},{:.1}", x(fpr), y(tpr)))
        .collect();
    format!(
        "<polygon class=\"band h{}\" points=\"{}\"/>\n",
        index % DASHES.len(),
        points.join(" ")
    )
}

fn line(index: usize, curve: &RocCurve) -> String {
    let mut points: Vec<String> = curve
        .points
        .iter()
        .map(|p| format!("{:.1},{:.1}", x(p.fpr), y(p.tpr)))
        .collect();
    // Steps finer than a tenth of a unit fall together: sets of many slices stay small.
    points.dedup();
    let class = index % DASHES.len();
    format!(
        "<polyline class=\"curve h{class}\" stroke-dasharray=\"{}\" points=\"{}\"/>\n\
         <circle class=\"dot h{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>\n",
        dashes(index),
        points.join(" "),
        x(curve.operating.fpr),
        y(curve.operating.tpr)
    )
}

/// The ninth head has the first one's colour and the second one's dashes, and so on.
fn dashes(index: usize) -> &'static str {
    DASHES[(index + index / DASHES.len()) % DASHES.len()]
}

fn entry(report: &StudyReport, index: usize, curve: &RocCurve) -> String {
    format!(
        "<li class=\"h{0}\"><svg class=\"sample\" viewBox=\"0 0 34 10\" aria-hidden=\"true\">\
         <path class=\"curve h{0}\" stroke-dasharray=\"{1}\" d=\"M1 5H33\"/></svg> {2} \
         <span class=\"num\">{3}</span></li>\n",
        index % DASHES.len(),
        dashes(index),
        escape(&curve.head),
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
    let word = |(_, curve): &(usize, &RocCurve)| format!("{}: AUC {}", escape(&curve.head), auc(report, curve));
    curves.iter().map(word).collect::<Vec<_>>().join("; ")
}
