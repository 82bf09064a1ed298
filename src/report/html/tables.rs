//! The tables of `report.html`.

use super::{
    super::{
        StudyReport, audit, low_risk,
        panel::{
            NULL_COLUMNS, REPEAT_COLUMNS, REPEAT_WORDS, estimate, null_lines, null_words, panels, repeat_lines,
            set_label,
        },
    },
    escape,
};
use crate::words::counted;

const METRIC_NAMES: [&str; 4] = ["AUC", "Sensitivity", "Specificity", "Accuracy"];

/// One table a set, one line a head.
pub(super) fn results(report: &StudyReport) -> String {
    if report.results.is_empty() {
        return String::new();
    }
    let mut section = "<section>\n<h2>Results</h2>\n".to_owned();
    for panel in panels(report) {
        let label = escape(&set_label(panel.set, report));
        let note = match panel.caveat(report) {
            Some(caveat) => format!("<br><span class=\"caveat\">{caveat}</span>"),
            None => String::new(),
        };
        let caption = format!(
            "<strong>{label}</strong>: {}; estimate ({} % interval), one score per {}{note}",
            panel.size(),
            100.0 * panel.level,
            panel.unit
        );
        let columns = ["Head", "Features"].into_iter().chain(METRIC_NAMES);
        let mut above = None;
        let rows = panel.lines.iter().map(|line| {
            // A rule between tables of features, which follow one another.
            let class = if above.replace(line.features).is_some_and(|above| above != line.features) {
                " class=\"next\""
            } else {
                ""
            };
            let metrics = line
                .metrics
                .map(|row| format!("<td class=\"num\">{}</td>", estimate(row)));
            let (head, features) = (escape(&line.label), escape(line.features));
            format!(
                "<tr{class}><th scope=\"row\">{head}</th><td>{features}</td>{}</tr>\n",
                metrics.concat()
            )
        });
        section += &table(&caption, "results", columns, rows);
    }
    section + "</section>\n"
}

/// The areas of repeats, and what permuted labels gave.
pub(super) fn checks(report: &StudyReport) -> String {
    let mut section = String::new();
    if !report.repeats.is_empty() {
        let rows = repeat_lines(report).map(cells);
        section += &format!(
            "<section>\n<h2>Repeats</h2>\n{}</section>\n",
            table(REPEAT_WORDS, "heads", REPEAT_COLUMNS, rows)
        );
    }
    if let Some(words) = null_words(report) {
        let rows = null_lines(report).map(cells);
        let methods = report.nulls.first().map_or("", |null| &null.method);
        section += &format!(
            "<section>\n<h2>Permuted labels</h2>\n{}<p>{}.</p>\n</section>\n",
            table(&escape(&words), "heads", NULL_COLUMNS, rows),
            escape(methods)
        );
    }
    section
}

/// One line of text cells, numbers from the third on.
fn cells(row: [String; 6]) -> String {
    let cells = row.iter().enumerate().map(|(at, cell)| match at {
        0 => format!("<th scope=\"row\">{}</th>", escape(cell)),
        1 | 2 => format!("<td>{}</td>", escape(cell)),
        _ => format!("<td class=\"num\">{}</td>", escape(cell)),
    });
    format!("<tr>{}</tr>\n", cells.collect::<String>())
}

/// Who might be spared further reading.
pub(super) fn low_risk(report: &StudyReport) -> String {
    let Some(words) = low_risk::words(report) else {
        return String::new();
    };
    let rows = low_risk::lines(report).map(cells);
    let table = table(&escape(&words), "heads", low_risk::COLUMNS, rows);
    format!("<section>\n<h2>Low risk</h2>\n{table}</section>\n")
}

/// What could make the figures too good.
pub(super) fn audit(report: &StudyReport) -> String {
    let found = &report.audit;
    if found.is_empty() {
        return String::new();
    }
    let rows = found.findings.iter().map(|line| {
        let [severity, check, sentence, next] = line.cells().map(escape);
        format!("<tr><th scope=\"row\">{severity}</th><td>{check}</td><td>{sentence}</td><td>{next}</td></tr>\n")
    });
    let mut section = format!(
        "<section>\n<h2>Audit</h2>\n{}",
        table(audit::WORDS, "audit", audit::COLUMNS, rows)
    );
    if !found.could_not_run.is_empty() {
        let gap = |gap: &super::super::AuditGap| format!("<li>{}: {}</li>\n", escape(&gap.check), escape(&gap.why));
        let gaps: String = found.could_not_run.iter().map(gap).collect();
        section += &format!("<p>Could not be looked at:</p>\n<ul>\n{gaps}</ul>\n");
    }
    section + "</section>\n"
}

/// Who is in which set.
pub(super) fn cohort(report: &StudyReport) -> String {
    if report.cohort.is_empty() {
        return String::new();
    }
    let (positive, negative) = (escape(&report.positive), escape(&report.negative));
    let word = report.row_word();
    let caption =
        format!("Patients and {word}s of each set; positive is <strong>{positive}</strong>, negative {negative}");
    let mut columns = vec!["Set", "Sites", "Patients", "Positive patients", "Negative patients"];
    columns.extend(match report.whole_scans {
        true => ["Scans", "Positive scans", "Negative scans", "Failed scans"].as_slice(),
        false => ["Scans", "Slices", "Positive slices", "Negative slices", "Failed slices"].as_slice(),
    });
    let rows = report.cohort.iter().map(|row| {
        let mut numbers = vec![row.patients, row.positive_patients, row.negative_patients];
        // A scan is a row of its own, or has rows of slices.
        numbers.extend((!report.whole_scans).then_some(row.scans));
        numbers.extend([row.slices, row.positive_slices, row.negative_slices, row.failed_slices]);
        let cell = |number: usize| format!("<td class=\"num\">{number}</td>");
        let numbers: String = numbers.into_iter().map(cell).collect();
        let (set, sites) = (escape(&set_label(&row.set, report)), escape(&row.sites.join(", ")));
        format!("<tr><th scope=\"row\">{set}</th><td>{sites}</td>{numbers}</tr>\n")
    });
    let mut section = format!(
        "<section>\n<h2>Cohort</h2>\n{}",
        table(&caption, "cohort", columns, rows)
    );
    if !report.exclusions.is_empty() {
        let rows = report.exclusions.iter().map(|excluded| {
            let reason = escape(&excluded.reason);
            let (patients, slices) = (excluded.patients, excluded.slices);
            format!(
                "<tr><th scope=\"row\">{reason}</th><td class=\"num\">{patients}</td>\
                     <td class=\"num\">{slices}</td></tr>\n"
            )
        });
        section += &table(
            "Left out of every set",
            "cohort left-out",
            [
                "Reason",
                "Patients",
                if report.whole_scans { "Scans" } else { "Slices" },
            ],
            rows,
        );
    }
    section + "</section>\n"
}

/// What was chosen for the heads, and their thresholds.
pub(super) fn heads(report: &StudyReport) -> String {
    if report.heads.is_empty() && report.thresholds.is_empty() {
        return String::new();
    }
    let mut section = "<section>\n<h2>Heads</h2>\n".to_owned();
    if !report.heads.is_empty() {
        let rows = report.heads.iter().map(|facts| {
            let settings: Vec<String> = facts
                .settings
                .iter()
                .map(|(name, value)| format!("{name} = {value}"))
                .collect();
            let settings = if settings.is_empty() {
                "none".to_owned()
            } else {
                escape(&settings.join(", "))
            };
            let (head, features) = (escape(&report.label(&facts.head)), escape(&facts.features));
            let notes = escape(&facts.notes.join("; "));
            format!("<tr><th scope=\"row\">{head}</th><td>{features}</td><td>{settings}</td><td>{notes}</td></tr>\n")
        });
        let caption = "Hyperparameters, chosen inside the training set";
        section += &table(caption, "heads", ["Head", "Features", "Chosen", "Notes"], rows);
    }
    if !report.thresholds.is_empty() {
        let rows = report.thresholds.iter().map(|chosen| {
            let (head, features) = (escape(&report.label(&chosen.head)), escape(&chosen.features));
            let threshold = &chosen.threshold;
            let (rule, set) = (escape(&threshold.rule.to_string()), escape(&threshold.set));
            format!(
                "<tr><th scope=\"row\">{head}</th><td>{features}</td><td class=\"num\">{}</td><td>{rule}</td>\
                 <td>{set}, per {}</td><td class=\"num\">{:.3}</td><td class=\"num\">{:.3}</td></tr>\n",
                threshold.rounded(),
                threshold.unit,
                threshold.sensitivity,
                threshold.specificity
            )
        });
        let columns = [
            "Head",
            "Features",
            "Threshold",
            "Rule",
            "Chosen on",
            "Sensitivity there",
            "Specificity there",
        ];
        let caption = "Decision thresholds, frozen before any other set was looked at; what they reached where they \
                       were chosen is optimistic";
        section += &table(caption, "heads", columns, rows);
    }
    section + "</section>\n"
}

/// How the study was run, in groups.
pub(super) fn facts(report: &StudyReport) -> String {
    let mut groups: Vec<&str> = Vec::new();
    for fact in &report.facts {
        if !groups.contains(&fact.group.as_str()) {
            groups.push(&fact.group);
        }
    }
    let group = |group: &str| {
        let own = report.facts.iter().filter(|fact| fact.group == group);
        let line =
            |name: &str, value: &str| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value));
        let lines: String = own.map(|fact| line(&fact.name, &fact.value)).collect();
        format!(
            "<section class=\"facts\">\n<h2>{}</h2>\n<dl>\n{lines}</dl>\n</section>\n",
            escape(group)
        )
    };
    groups.into_iter().map(group).collect()
}

/// How each number was made.
pub(super) fn methods(report: &StudyReport) -> String {
    if report.results.is_empty() {
        return String::new();
    }
    let rows = report.results.iter().map(|row| {
        let cells = [
            &report.label(&row.head),
            &row.features,
            &set_label(&row.set, report),
            &row.metric,
            &row.method,
        ];
        let cells = cells.map(|cell| format!("<td>{}</td>", escape(cell))).concat();
        format!("<tr>{cells}</tr>\n")
    });
    let table = table(
        "Method of each number",
        "methods",
        ["Head", "Features", "Set", "Metric", "Method"],
        rows,
    );
    let numbers = counted(report.results.len(), "number");
    format!("<details>\n<summary>How each of the {numbers} was made</summary>\n{table}</details>\n")
}

/// `caption` and `rows` are markup, `columns` text of ours.
pub(super) fn table<'a>(
    caption: &str,
    class: &str,
    columns: impl IntoIterator<Item = &'a str>,
    rows: impl Iterator<Item = String>,
) -> String {
    let columns: String = columns
        .into_iter()
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    // The box scrolls where the page is narrower than the table; it takes the focus, so that keys scroll it too.
    format!(
        "<div class=\"scroll\" tabindex=\"0\">\n<table class=\"{class}\">\n<caption><span>{caption}</span></caption>\n\
         <thead><tr>{columns}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</div>\n",
        rows.collect::<String>()
    )
}
