//! `report.md`: the results for a page of notes or a pull request.

use super::{
    ReportFormat, StudyReport,
    audit::{COLUMNS, WORDS},
    low_risk,
    measured::{COMPARED_WORDS, compared, measured, measured_words},
    panel::{
        NULL_COLUMNS, REPEAT_COLUMNS, REPEAT_WORDS, estimate, headline, null_lines, null_words, panels, repeat_lines,
        set_label,
    },
};

/// The format of `report.md`.
pub struct Markdown;

impl ReportFormat for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn file_name(&self) -> &'static str {
        "report.md"
    }

    fn render(&self, report: &StudyReport) -> String {
        let mut page = format!("# {}\n\n", escape(&report.title));
        for banner in &report.banners {
            page += &format!("> **{}**\n\n", escape(banner));
        }
        let warnings = report.shown_warnings();
        if !warnings.is_empty() {
            page += "## Warnings\n\n";
            for warning in &warnings {
                page += &format!("- {}\n", escape(warning));
            }
            page.push('\n');
        }
        page += &cohort(report);
        page += &audit(report);
        page += &format!("## Results\n\n{}\n\n", escape(&headline(report)));
        for panel in panels(report) {
            let label = set_label(panel.set, report);
            page += &format!("### {}\n\n{}\n\n", escape(&label), panel.size());
            if let Some(caveat) = panel.caveat(report) {
                page += &format!("{caveat}\n\n");
            }
            page += "| features | head | AUC | sensitivity | specificity | accuracy |\n|---|---|---|---|---|---|\n";
            for line in &panel.lines {
                let metrics = line.metrics.map(estimate).join(" | ");
                page += &format!("| {} | {} | {metrics} |\n", escape(line.features), escape(&line.label));
            }
            page.push('\n');
        }
        if !report.repeats.is_empty() {
            page += &table("Repeats", REPEAT_WORDS, REPEAT_COLUMNS, repeat_lines(report));
        }
        if let Some(words) = null_words(report) {
            page += &table("Permuted labels", &words, NULL_COLUMNS, null_lines(report));
        }
        page += &measures(report);
        if let Some(words) = low_risk::words(report) {
            page += &table("Low risk", &escape(&words), low_risk::COLUMNS, low_risk::lines(report));
        }
        if let Some(file) = &report.explanation {
            page += &format!("{}: {}\n\n", report.explanation_words(), escape(file));
        }
        page += "## How it was run\n\n";
        for chosen in &report.thresholds {
            let (features, head) = (escape(&chosen.features), escape(&report.label(&chosen.head)));
            page += &format!(
                "- threshold of {head} on {features}: {}\n",
                escape(&chosen.threshold.to_string())
            );
        }
        for fact in &report.facts {
            let text = [&fact.group, &fact.name, &fact.value].map(|text| escape(text));
            page += &format!("- {}, {}: {}\n", text[0], text[1], text[2]);
        }
        page
    }
}

fn table<const N: usize>(
    title: &str,
    words: &str,
    columns: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut page = format!(
        "### {title}\n\n{words}\n\n| {} |\n{}|\n",
        columns.join(" | "),
        "|---".repeat(N)
    );
    for row in rows {
        page += &format!("| {} |\n", row.map(|cell| escape(&cell)).join(" | "));
    }
    page + "\n"
}

/// A table, and its notes below it.
fn noted(columns: &[String], rows: impl Iterator<Item = Vec<String>>, notes: &[String]) -> String {
    let mut page = format!("| {} |\n{}|\n", columns.join(" | "), "|---".repeat(columns.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escape(cell)).collect();
        page += &format!("| {} |\n", cells.join(" | "));
    }
    page.push('\n');
    page.extend(notes.iter().map(|note| format!("- {}\n", escape(note))));
    page + if notes.is_empty() { "" } else { "\n" }
}

fn measures(report: &StudyReport) -> String {
    let mut all = String::new();
    for (at, one) in measured(report).into_iter().enumerate() {
        if at == 0 {
            all += &format!("## More measures\n\n{}\n\n", escape(&measured_words(report).join(" ")));
        }
        all += &format!("### {}\n\n", escape(&set_label(one.set, report)));
        let columns = [vec!["features".to_owned(), "head".to_owned()], one.columns].concat();
        let rows = one
            .lines
            .into_iter()
            .map(|line| [vec![line.features.to_owned(), line.head], line.cells].concat());
        all += &noted(&columns, rows, &one.notes);
    }
    for (at, one) in compared(report).into_iter().enumerate() {
        if at == 0 {
            all += &format!("## Comparisons of heads\n\n{COMPARED_WORDS}\n\n");
        }
        let label = escape(&set_label(one.set, report));
        all += &format!(
            "### {label}, features {}\n\n{}\n\n",
            escape(one.features),
            escape(one.family)
        );
        let rows = one.lines.into_iter().map(|line| line.to_vec());
        all += &noted(&one.columns, rows, &one.notes);
    }
    all
}

fn cohort(report: &StudyReport) -> String {
    if report.cohort.is_empty() {
        return String::new();
    }
    // A scan is a row of its own, or has rows of slices.
    let (rows, rule) = match report.whole_scans {
        true => ("scans", "|---|---|---|---|---|---|---|"),
        false => ("scans | slices", "|---|---|---|---|---|---|---|---|"),
    };
    let mut table =
        format!("## Cohort\n\n| set | sites | patients | positive | negative | {rows} | failed |\n{rule}\n");
    for row in &report.cohort {
        let (set, sites) = (escape(&set_label(&row.set, report)), escape(&row.sites.join(", ")));
        table += &format!(
            "| {set} | {sites} | {} | {} | {} | {} | {} |\n",
            row.patients,
            row.positive_patients,
            row.negative_patients,
            match report.whole_scans {
                true => row.slices.to_string(),
                false => format!("{} | {}", row.scans, row.slices),
            },
            row.failed_slices
        );
    }
    for excluded in &report.exclusions {
        let reason = escape(&excluded.reason);
        table += &format!(
            "\nLeft out: {reason}: {} patients, {} {}s\n",
            excluded.patients,
            excluded.slices,
            report.row_word()
        );
    }
    table + "\n"
}

fn audit(report: &StudyReport) -> String {
    if report.audit.is_empty() {
        return String::new();
    }
    let mut page = format!("## Audit\n\n{WORDS}.\n\n| {} |\n", COLUMNS.join(" | "));
    page += &format!("{}|\n", "|---".repeat(COLUMNS.len()));
    for line in &report.audit.findings {
        page += &format!("| {} |\n", line.cells().map(escape).join(" | "));
    }
    for gap in &report.audit.could_not_run {
        page += &format!(
            "\nCould not be looked at: {}: {}\n",
            escape(&gap.check),
            escape(&gap.why)
        );
    }
    page + "\n"
}

/// Text as text: no markup, no line that would break a table.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '#' => escaped.extend(['\\', c]),
            '<' => escaped += "&lt;",
            '&' => escaped += "&amp;",
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{Markdown, ReportFormat as _, StudyReport};

    #[test]
    fn names_of_the_user_are_no_markup() {
        let report = StudyReport {
            title: "a | b <script> *c*\n# d".to_owned(),
            ..StudyReport::default()
        };
        let page = Markdown.render(&report);
        assert!(page.starts_with("# a \\| b &lt;script> \\*c\\* \\# d\n"), "{page}");
    }
}
