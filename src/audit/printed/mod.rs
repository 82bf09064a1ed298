//! The arithmetic of a printed cohort table: do its sums, percentages and means follow from its own numbers?
//!
//! Every printed number stands for all that round to it, and only what none of these can give is a finding. Brown &
//! Heathers, Soc Psychol Personal Sci 8:363-369, 2017, <https://doi.org/10.1177/1948550616673876>, do so for single means.
//! Which rows add up to a column's n is not written in a table: it is taken from the columns in which they do.

mod cell;
mod headings;
mod parts;
mod shares;
mod sizes;
mod totals;

use serde_json::json;

use self::{
    cell::Cell,
    headings::{is_total, understand},
};
use super::{Finding, Outcome, Place, Severity, counted};
use crate::tables::TextTable;

const CHECK: &str = "printed table";

const NEXT: &str = "correct the table, or say which rows are missing from it";

/// Slack for the rounding of our own sums.
const EPSILON: f64 = 1e-9;

struct Column {
    name: String,
    /// Number of patients, where the heading says it.
    n: Option<u64>,
    kind: Kind,
}

#[derive(PartialEq)]
enum Kind {
    Group,
    /// What the columns of these places add up to.
    Total(Vec<usize>),
    PValue,
}

struct Row {
    /// From 1.
    number: usize,
    label: String,
    /// One for each column.
    cells: Vec<Cell>,
    /// Whether a column of p values holds something.
    tested: bool,
}

impl Row {
    fn counts(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        self.cells.iter().map(Cell::count)
    }

    fn has_counts(&self) -> bool {
        self.counts().flatten().next().is_some()
    }

    fn is_heading(&self) -> bool {
        !self.label.is_empty() && self.cells.iter().all(|cell| *cell == Cell::Empty)
    }

    fn is_total(&self) -> bool {
        is_total(&self.label)
    }
}

/// Checks a table as it was printed: row names in the first column, groups in the others, `n = ` in headings or a row.
pub fn lint(table: &TextTable) -> Outcome {
    let (columns, rows) = understand(table);
    let mut lint = Lint {
        columns,
        rows,
        findings: Vec::new(),
        agreeing: [0; 4],
        unchecked: 0,
    };
    let sizes = lint.sizes();
    lint.totals_of_rows(&sizes);
    match lint.sizes_of_total_row() {
        Some(totals) if sizes.n.iter().all(Option::is_none) => lint.percentages(&totals),
        _ => lint.percentages(&sizes),
    }
    lint.parts_of_columns(&sizes);
    lint.total_rows();
    let [sums, means, percentages, parts] = lint.agreeing;
    let unchecked = format!(
        "{} not checked: no total is known",
        counted(lint.unchecked, "percentage")
    );
    if lint.findings.is_empty() && sums + means + percentages + parts == 0 {
        return Outcome::CannotRun(format!(
            "nothing in the printed table can be computed{}: expected row names in the first column, one group a column, counts as `52 (53.6)` or `52 (53.6%)`, means as `49.4 ± 15.4`, and `n = 98` in the headings or a row of patients",
            if lint.unchecked > 0 {
                format!(" ({unchecked})")
            } else {
                String::new()
            }
        ));
    }
    if lint.unchecked > 0 {
        lint.findings.push(
            Finding::new(
                CHECK,
                Severity::Note,
                unchecked,
                json!({"unchecked_percentages": lint.unchecked}),
            )
            .next("give n in the headings (`covid (n = 25)`) or a row of patients, and check again"),
        );
    }
    let sentence = format!(
        "{}, {}, {} and {} follow from the table's own numbers within their rounding",
        counted(sums, "sum of a row"),
        counted(means, "mean"),
        counted(percentages, "percentage"),
        counted(parts, "sum of a column")
    )
    .replace("sum of a rows", "sums of rows")
    .replace("sum of a columns", "sums of columns");
    let numbers = json!({"row_sums": sums, "means": means, "percentages": percentages, "column_sums": parts});
    if sums + means + percentages + parts > 0 {
        lint.findings.push(Finding::new(CHECK, Severity::Ok, sentence, numbers));
    }
    Outcome::Ran(lint.findings)
}

struct Lint {
    columns: Vec<Column>,
    rows: Vec<Row>,
    findings: Vec<Finding>,
    /// What was checked and is right: sums of rows, means, percentages, sums of columns.
    agreeing: [usize; 4],
    /// Percentages of which no total is known.
    unchecked: usize,
}

impl Lint {
    fn report(&mut self, row: usize, sentence: String, numbers: serde_json::Value) {
        let mut finding = Finding::new(CHECK, Severity::Serious, sentence, numbers).next(NEXT);
        finding.rows.push(Place {
            table: "printed table".to_owned(),
            row: self.rows[row].number,
        });
        self.findings.push(finding);
    }

    /// Heading rows without numbers, each with the rows of counts that belong to it: up to one that was tested by itself.
    fn sections(&self) -> Vec<(usize, Vec<usize>)> {
        let headings = (0..self.rows.len()).filter(|&row| self.rows[row].is_heading());
        headings
            .map(|heading| {
                let members = (heading + 1..self.rows.len()).take_while(|&row| {
                    let row = &self.rows[row];
                    row.has_counts() && !row.tested && !row.is_total()
                });
                (heading, members.collect())
            })
            .collect()
    }

    /// The sum of the rows' counts; `None` where one is missing.
    fn sum(&self, rows: &[usize], column: usize) -> Option<u64> {
        rows.iter().map(|&row| self.rows[row].cells[column].count()).sum()
    }
}

fn terms(counts: &[u64]) -> String {
    counts.iter().map(u64::to_string).collect::<Vec<_>>().join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> TextTable {
        let mut lines = text
            .lines()
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let header = lines.next().unwrap();
        let rows: Vec<Vec<&str>> = lines.collect();
        let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let column = |place: usize| rows.iter().map(|row| cell(row.get(place).unwrap_or(&""))).collect();
        TextTable::new(
            header
                .iter()
                .enumerate()
                .map(|(place, name)| ((*name).to_owned(), column(place)))
                .collect(),
        )
        .unwrap()
    }

    fn wrong(text: &str) -> Vec<String> {
        match lint(&table(text)) {
            Outcome::Ran(findings) => findings
                .into_iter()
                .filter(|finding| finding.severity != Severity::Ok)
                .map(|finding| finding.sentence)
                .collect(),
            Outcome::CannotRun(why) => vec![why],
        }
    }

    #[test]
    fn percentages_go_by_their_decimals() {
        let table = |cell: &str| format!("row|a (n = 97)\nMale (%)|{cell}\nFemale (%)|45 (46.4)");
        assert!(wrong(&table("52 (53.6)")).is_empty() && wrong(&table("52 (54)")).is_empty());
        let found = wrong(&table("52 (53.5)"));
        assert!(
            found[0].contains("52 of 97 (of the heading) are 53.6 %, but 53.5 % is printed"),
            "{found:?}"
        );
    }

    #[test]
    fn percentages_of_another_row_or_of_the_total_are_right_too() {
        let exams = "row|a|b\nPatients|10|20\nExams|40|50\nContrast|10 (25%)|5 (10%)";
        assert!(wrong(exams).is_empty(), "{:?}", wrong(exams));
        let across = "row|a|b|Total\nPatients|10|30|40\nMale|5 (25%)|15 (75%)|20 (100%)";
        assert!(wrong(across).is_empty(), "{:?}", wrong(across));
    }

    #[test]
    fn percentages_go_by_a_total_row_else_by_the_rows_total_else_are_said_to_be_unchecked() {
        let below =
            |cell: &str| format!("site|a|b|total\nA|{cell}|20 (44.4 %)|30\nB|15 (60 %)|25 (55.6 %)|40\nTotal|25|45|70");
        assert!(
            wrong(&below("10 (40 %)")).is_empty(),
            "{:?}",
            wrong(&below("10 (40 %)"))
        );
        assert_eq!(
            wrong(&below("10 (45 %)")),
            ["row `A`, a: 10 of 25 (of row `Total`) are 40.0 %, but 45 % is printed"]
        );
        let beside = |cell: &str| format!("site|a|b|total\nA|{cell}|20 (67 %)|30\nB|15 (38 %)|25 (62 %)|40");
        assert!(
            wrong(&beside("10 (33 %)")).is_empty(),
            "{:?}",
            wrong(&beside("10 (33 %)"))
        );
        assert_eq!(
            wrong(&beside("10 (45 %)")),
            ["row `A`, a: 10 of 30 (of the row's total) are 33.3 %, but 45 % is printed"]
        );
        let unknown = "site|a|b|total\nA|10 (40 %)|20 (44 %)|30\nB|15 (60 %)|25 (56 %)|40";
        assert_eq!(wrong(unknown), ["4 percentages not checked: no total is known"]);
    }

    #[test]
    fn comorbidities_need_not_add_up_and_classes_do() {
        let many = "row|a (n = 10)|b (n = 12)\nDiseases||\nHypertension|7|3\nDiabetes|5|5";
        assert!(matches!(lint(&table(many)), Outcome::CannotRun(_)));
        let classes = "row|a (n = 10)|b (n = 12)\nStage||\nEarly|7|3\nLate|3|5";
        let found = wrong(classes);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("3 + 5 = 8, but n is 12 of the heading (4 unaccounted for); in a (n = 10)"),
            "{found:?}"
        );
    }

    #[test]
    fn a_total_before_its_parts_and_a_total_row_are_understood() {
        let before = "row|Overall|a|b\nPatients|30|10|20\nScans|61|20|40";
        assert_eq!(
            wrong(before),
            ["row `Scans`: 20 + 40 = 60, but 61 is printed as Overall"]
        );
        let below = "site|a|b\nNorth|1|2\nSouth|3|4\nTotal|4|7";
        assert_eq!(
            wrong(below),
            ["row `Total`, b: the 2 rows above add up to 6, but 7 is printed"]
        );
    }

    #[test]
    fn a_pooled_deviation_that_cannot_be_is_found() {
        let table = |deviation: &str| {
            format!("row|a|b|Total\nPatients|10|10|20\nAge, mean (SD)|40.0 (5.0)|60.0 (5.0)|50.0 ({deviation})")
        };
        assert!(wrong(&table("11.4")).is_empty(), "{:?}", wrong(&table("11.4")));
        assert_eq!(wrong(&table("5.0")).len(), 1);
    }

    #[test]
    fn a_table_in_which_nothing_can_be_computed_says_what_it_needs() {
        assert!(wrong("row|a\nAge|old").remove(0).contains("n = 98"));
        assert!(matches!(lint(&TextTable::default()), Outcome::CannotRun(_)));
    }
}
