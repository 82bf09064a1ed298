//! Findings for a terminal: printed | recomputed | verdict, by the paper's sections.

use super::{Finding, Findings, Verdict};
use crate::report::{Grid, wrap};

/// Sections in the order in which a paper is read; what stands in several is shown in the first.
const SECTIONS: [&str; 8] = [
    "Abstract",
    "Methods",
    "Table 1",
    "Results",
    "Table 2",
    "Table 3",
    "Discussion",
    "Eq. 1",
];

impl Findings {
    /// The table, of one verdict only where `only` names it, with notes where they are asked for. No line is wider than
    /// 100 columns.
    pub fn table(&self, only: Option<Verdict>, notes: bool) -> String {
        let mut lines = wrap(&format!("{} (doi:{})", self.title, self.doi), "", "  ");
        for section in SECTIONS {
            let of_section = |finding: &&Finding| section_of(&finding.claim.location) == section;
            let chosen = |finding: &&Finding| only.is_none_or(|only| finding.verdict == only);
            let shown: Vec<&Finding> = self.findings.iter().filter(of_section).filter(chosen).collect();
            if shown.is_empty() {
                continue;
            }
            let mut grid = Grid::new(&["claim", "printed", "recomputed", "verdict"]);
            for finding in shown {
                let claim = &finding.claim;
                let label = format!("{}: {}", claim.id, claim.quantity);
                grid.row([
                    label.as_str(),
                    &claim.printed,
                    &finding.recomputed,
                    finding.verdict.name(),
                ]);
                if let Some(yours) = &finding.from_your_data {
                    grid.row(["", "your data", &yours.text, yours.relation()]);
                }
                if notes {
                    let said = [("note", &claim.note), ("mended", &claim.mended)];
                    for (what, text) in said.into_iter().filter(|(_, text)| !text.is_empty()) {
                        grid.row(["", what, text.as_str(), ""]);
                    }
                }
            }
            lines.push(String::new());
            lines.push(section.to_owned());
            lines.extend(grid.render().lines().map(str::to_owned));
        }
        lines.push(String::new());
        lines.extend(wrap(&self.summary(only), "", "  "));
        lines.join("\n")
    }

    fn summary(&self, only: Option<Verdict>) -> String {
        let counts = self.counts();
        let words: Vec<String> = counts
            .iter()
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        let mut text = format!("{} claims: {}", self.findings.len(), words.join(", "));
        let yours = self
            .findings
            .iter()
            .filter_map(|finding| finding.from_your_data.as_ref())
            .filter(|yours| yours.not_converged.is_none());
        let (within, outside) = yours.partition::<Vec<_>, _>(|yours| yours.within == Some(true));
        if !within.is_empty() || !outside.is_empty() {
            let (inside, all) = (within.len(), within.len() + outside.len());
            text += &format!("; {inside} of {all} printed values are within the intervals of your data");
        }
        if let Some(only) = only {
            let shown = counts
                .iter()
                .find(|(verdict, _)| *verdict == only)
                .map_or(0, |(_, count)| *count);
            text += &format!("; shown: {shown} {only}");
        }
        text
    }
}

/// `Abstract/Results/Fig. 4` stands in the abstract.
fn section_of(location: &str) -> &str {
    let found = SECTIONS.into_iter().find(|section| location.starts_with(section));
    found.unwrap_or(SECTIONS[3])
}

#[cfg(test)]
mod tests {
    use crate::claims::{Paper, Verdict};

    #[test]
    fn the_table_fits_holds_every_claim_and_keeps_to_a_verdict() {
        for name in Paper::NAMES {
            let findings = Paper::named(name).unwrap().recompute().unwrap();
            let whole = findings.table(None, true);
            assert!(whole.lines().all(|line| line.chars().count() <= 100), "{whole}");
            // Identifiers may be cut by the width of their column, but not here: each starts a line.
            for finding in &findings.findings {
                let id = &finding.claim.id;
                assert!(whole.contains(id.as_str()), "{id} is not in\n{whole}");
            }
            let some = findings.table(Some(Verdict::Mismatch), false);
            assert!(!some.contains("DATA\n") && some.contains("MISMATCH"), "{some}");
            assert!(some.contains(" claims: "), "{some}");
        }
    }
}
