//! The low-risk subsets as tables show them.

use super::{
    StudyReport,
    panel::{estimate, set_label},
};

/// Columns of the table.
pub(super) const COLUMNS: [&str; 6] = [
    "Head",
    "Set",
    "Low risk",
    "Sensitivity kept",
    "Specificity",
    "Negative predictive value",
];

/// Above the table.
pub(super) fn words(report: &StudyReport) -> Option<String> {
    let threshold = &report.low_risk.first()?.threshold;
    Some(format!(
        "Who scores below the threshold of {} on the {} set, and could be spared further reading if the scores held what they \
         promise. The threshold stays as it is on every other set; how much of its sensitivity is left there is its test.",
        threshold.rule, threshold.set
    ))
}

/// Its lines, sets in the order of the results.
pub(super) fn lines(report: &StudyReport) -> impl Iterator<Item = [String; 6]> + '_ {
    report.low_risk.iter().map(|one| {
        let missed = match one.n_positive {
            0 => "none of them positive".to_owned(),
            missed => format!("{missed} of them positive"),
        };
        let [sensitivity, specificity, npv] =
            ["sensitivity", "specificity", "npv"].map(|metric| estimate(one.get(metric).map(|found| &found.row)));
        [
            report.label(&one.head),
            set_label(&one.set, report),
            format!(
                "{} of {} {}s below {:.4}, {missed}",
                one.n, one.n_units, one.unit, one.threshold.value
            ),
            sensitivity,
            specificity,
            npv,
        ]
    })
}
