//! What an audit of the study's cohort, split and features found, for the report.

/// The findings, the worst first. It reads `audit.json`, which has the numbers and rows too.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct AuditReport {
    /// What was found.
    pub findings: Vec<AuditLine>,
    /// What could not be looked at.
    pub could_not_run: Vec<AuditGap>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AuditLine {
    /// The check.
    pub check: String,
    /// `leak`, `serious`, `notable`, `note` or `ok`.
    pub severity: String,
    /// What was found.
    pub sentence: String,
    /// What to do about it; may be empty.
    pub next: String,
}

/// One check that could not run.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AuditGap {
    /// The check.
    pub check: String,
    /// Why.
    pub why: String,
}

impl AuditReport {
    /// Whether nothing was audited.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.could_not_run.is_empty()
    }

    /// Leaks, and what may make a figure wrong: they stand among the warnings.
    pub(super) fn grave(&self) -> impl Iterator<Item = &AuditLine> {
        self.findings
            .iter()
            .filter(|line| ["leak", "serious"].contains(&line.severity.as_str()))
    }
}

impl AuditLine {
    /// The cells of [`COLUMNS`].
    pub(super) fn cells(&self) -> [&str; 4] {
        let severity = match self.severity.as_str() {
            "leak" => "LEAK",
            severity => severity,
        };
        [severity, &self.check, &self.sentence, &self.next]
    }
}

/// The columns of the table of findings.
pub(super) const COLUMNS: [&str; 4] = ["Severity", "Check", "Finding", "What to do"];

/// The table's caption.
pub(super) const WORDS: &str = "What could make the figures too good, the worst first; rows are counted in audit.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{FORMATS, StudyReport, terminal_table};

    #[test]
    fn findings_stand_in_every_document_and_the_grave_ones_on_the_terminal() {
        let line = |severity: &str| AuditLine {
            check: format!("check of {severity}"),
            severity: severity.to_owned(),
            sentence: format!("{severity} <b> {}", "found again ".repeat(12)),
            next: String::new(),
        };
        let report = StudyReport {
            audit: AuditReport {
                findings: ["leak", "serious", "notable", "ok"].map(line).to_vec(),
                could_not_run: vec![AuditGap {
                    check: "identical images".to_owned(),
                    why: "there are none".to_owned(),
                }],
            },
            ..StudyReport::default()
        };
        for format in FORMATS {
            let text = format.render(&report);
            for severity in ["leak", "serious", "notable", "ok"] {
                assert!(text.contains(&format!("check of {severity}")), "{text}");
            }
            assert!(text.contains("there are none"), "{text}");
        }
        let table = terminal_table(&report);
        assert!(
            table.contains("warning: LEAK, check of leak: leak <b> found"),
            "{table}"
        );
        assert!(
            table.contains("serious, check of serious") && !table.contains("notable"),
            "{table}"
        );
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    }
}
