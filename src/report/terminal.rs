//! The table at the end of a run: plain text of at most 110 columns.

use super::{
    StudyReport,
    panel::{estimate, headline, panels, set_label},
};

/// Widest line.
const WIDTH: usize = 110;

/// Heads by set with AUC, sensitivity and specificity; banners and warnings first.
pub fn terminal_table(report: &StudyReport) -> String {
    let mut lines = Vec::new();
    for banner in &report.banners {
        lines.push("!".repeat(WIDTH));
        lines.extend(wrap(&plain(banner), "!! ", "!! "));
        lines.push("!".repeat(WIDTH));
    }
    for warning in &report.warnings {
        lines.extend(wrap(&plain(warning), "warning: ", "         "));
    }
    lines.extend(wrap(&plain(&headline(report)), "", ""));
    for panel in panels(report) {
        lines.push(String::new());
        let heading = format!("{}: {}", set_label(panel.set, report), panel.size());
        lines.extend(wrap(&plain(&heading), "", "  "));
        lines.extend(
            panel
                .caveat(report)
                .into_iter()
                .flat_map(|caveat| wrap(caveat, "  ", "  ")),
        );
        lines.push(row(
            ["features", "head", "AUC", "sensitivity", "specificity"].map(str::to_owned)
        ));
        for line in &panel.lines {
            let [auc, sensitivity, specificity, _] = line.metrics.map(estimate);
            lines.push(row([
                plain(line.features),
                plain(line.head),
                auc,
                sensitivity,
                specificity,
            ]));
        }
    }
    lines.join("\n") + "\n"
}

/// Five columns: 2 + 16 + 2 + 14 + 3 * (2 + 22) = 106 wide.
fn row(cells: [String; 5]) -> String {
    let widths = [16, 14, 22, 22, 22];
    let cells = cells.iter().zip(widths).map(|(cell, width)| {
        let length = cell.chars().count();
        let shown: String = if length > width {
            cell.chars().take(width - 1).chain(['…']).collect()
        } else {
            cell.clone()
        };
        format!("  {shown:<width$}")
    });
    cells.collect::<String>().trim_end().to_owned()
}

/// Without control characters: names come from the user's tables, and a terminal obeys escape sequences.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Lines of at most [`WIDTH`] columns; a word that is longer than a line is cut.
fn wrap(text: &str, first: &str, next: &str) -> Vec<String> {
    let room = WIDTH - first.len().max(next.len());
    let mut lines = vec![String::new()];
    let words = text.split_whitespace().flat_map(|word| {
        let letters: Vec<char> = word.chars().collect();
        letters
            .chunks(room)
            .map(|part| part.iter().collect::<String>())
            .collect::<Vec<_>>()
    });
    for word in words {
        // There is always a last line.
        let last = lines.last_mut().expect("starts with one");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > room {
            lines.push(word);
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(&word);
        }
    }
    let indent = |(index, line): (usize, String)| format!("{}{line}", if index == 0 { first } else { next });
    lines.into_iter().enumerate().map(indent).collect()
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, terminal_table, wrap};
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

    #[test]
    fn wrapping_keeps_the_words() {
        let text = "word ".repeat(100);
        let joined = wrap(&text, "", "").join(" ");
        assert_eq!(joined, text.trim());
    }
}
