//! The table at the end of a run.

use super::{
    Grid, StudyReport,
    grid::{WIDTH, wrap},
    low_risk,
    measured::compared,
    panel::{
        NULL_COLUMNS, REPEAT_COLUMNS, REPEAT_WORDS, estimate, headline, null_lines, null_words, panels, repeat_lines,
        set_label,
    },
};

/// Heads by set with AUC, sensitivity and specificity; banners and warnings first.
pub fn terminal_table(report: &StudyReport) -> String {
    let mut lines = Vec::new();
    for banner in &report.banners {
        lines.push("!".repeat(WIDTH));
        lines.extend(wrap(banner, "!! ", "!! "));
        lines.push("!".repeat(WIDTH));
    }
    for warning in report.shown_warnings() {
        lines.extend(wrap(&warning, "warning: ", "         "));
    }
    lines.extend(wrap(&headline(report), "", ""));
    for panel in panels(report) {
        lines.push(String::new());
        let heading = format!("{}: {}", set_label(panel.set, report), panel.size());
        lines.extend(wrap(&heading, "", "  "));
        lines.extend(
            panel
                .caveat(report)
                .into_iter()
                .flat_map(|caveat| wrap(caveat, "  ", "  ")),
        );
        let mut grid = Grid::new(&["features", "head", "AUC", "sensitivity", "specificity"]);
        for line in &panel.lines {
            let [auc, sensitivity, specificity, _] = line.metrics.map(estimate);
            grid.row([line.features, &line.label, &auc, &sensitivity, &specificity]);
        }
        lines.extend(grid.render().lines().map(str::to_owned));
    }
    if !report.repeats.is_empty() {
        lines.extend(grid(REPEAT_WORDS, REPEAT_COLUMNS, repeat_lines(report)));
    }
    if let Some(words) = null_words(report) {
        lines.extend(grid(&words, NULL_COLUMNS, null_lines(report)));
    }
    if let Some(words) = low_risk::words(report) {
        lines.extend(grid(&words, low_risk::COLUMNS, low_risk::lines(report)));
    }
    // Those of a study's heads are many, and stand in its reports.
    for one in compared(report).into_iter().filter(|_| report.whole_scans) {
        lines.push(String::new());
        let heading = format!("comparisons on {}: {}", set_label(one.set, report), one.family);
        lines.extend(wrap(&heading, "", "  "));
        let mut grid = Grid::new(&one.columns.each_ref().map(String::as_str));
        one.lines.into_iter().for_each(|line| {
            grid.row(line);
        });
        lines.extend(grid.render().lines().map(str::to_owned));
        lines.extend(one.notes.iter().flat_map(|note| wrap(note, "  ", "    ")));
    }
    if !report.assessments.is_empty() {
        lines.push(String::new());
        let more = "The reports also have DeLong's and BCa intervals, specificity at a given sensitivity, calibration and \
                    decision curves, and the heads compared with one another.";
        lines.extend(wrap(more, "", "  "));
    }
    lines.join("\n") + "\n"
}

/// A table with a sentence above it.
fn grid<const N: usize>(words: &str, columns: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<String> {
    let mut grid = Grid::new(&columns);
    rows.for_each(|row| {
        grid.row(row);
    });
    let mut lines = vec![String::new()];
    lines.extend(wrap(words, "", "  "));
    lines.extend(grid.render().lines().map(str::to_owned));
    lines
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, terminal_table};
    use crate::{
        eval::{ResultRow, Unit},
        report::StudyReport,
    };

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_escape_sequence_gets_through() {
        let mut report = StudyReport {
            positive: "covid".repeat(40),
            ..StudyReport::default()
        };
        report.mark(format!("SLICES {}", "of one patient in two sets ".repeat(9)));
        for set in ["train", "external:\u{1b}[31mred"] {
            report.results.push(ResultRow {
                features: "a-very-long-name-of-a-layer".to_owned(),
                head: "svm-rbf".to_owned(),
                set: set.to_owned(),
                unit: Unit::Patient,
                pool: None,
                n_patients: 1,
                n_rows: 12,
                n_positive: 1,
                metric: "auc".to_owned(),
                value: Some(0.5),
                ci: Some([0.25, 0.75]),
                level: 0.95,
                method: String::new(),
            });
        }
        let table = terminal_table(&report);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        assert!(!table.contains('\u{1b}'));
        assert!(table.contains("0.500 (0.250 to 0.750)  not measured"), "{table}");
        assert!(table.contains("1 patient (1 positive), 12 slices"), "{table}");
        assert!(table.find("external: ").unwrap() < table.find("train: ").unwrap());
    }
}
