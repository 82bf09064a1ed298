//! The arithmetic of a printed cohort table: do its sums, percentages and means follow from its own numbers?
//!
//! Every printed number stands for all that round to it, and only what none of these can give is a finding. Brown &
//! Heathers, Soc Psychol Personal Sci 8:363-369, 2017, <https://doi.org/10.1177/1948550616673876>, do so for single means.
//! Which rows add up to a column's n is not written in a table: it is taken from the columns in which they do.

use serde_json::json;

use super::{
    Finding, Outcome, Place, Severity, counted,
    printed_cell::{Cell, Number, parse},
};
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

/// The patients of each column, and where that was read.
struct Sizes {
    n: Vec<Option<u64>>,
    from: String,
    /// The row that says it.
    row: Option<usize>,
}

/// Checks a table as it was printed: row names in the first column, groups in the others, `n = ` in headings or a row.
pub fn lint(table: &TextTable) -> Outcome {
    let (columns, rows) = understand(table);
    let mut lint = Lint {
        columns,
        rows,
        findings: Vec::new(),
        agreeing: [0; 4],
    };
    let sizes = lint.sizes();
    lint.totals_of_rows(&sizes);
    lint.percentages(&sizes);
    lint.parts_of_columns(&sizes);
    lint.total_rows();
    let [sums, means, percentages, parts] = lint.agreeing;
    if lint.findings.is_empty() && sums + means + percentages + parts == 0 {
        return Outcome::CannotRun(
            "nothing in the printed table can be computed: expected row names in the first column, one group a column, counts as `52 (53.6)` or `52 (53.6%)`, means as `49.4 ± 15.4`, and `n = 98` in the headings or a row of patients".to_owned(),
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

    /// n of each column: from the headings, from a row of patients, else from the first part of the table whose rows all
    /// hold counts.
    fn sizes(&self) -> Sizes {
        if self
            .columns
            .iter()
            .all(|column| column.n.is_some() || column.kind == Kind::PValue)
        {
            return Sizes {
                n: self.columns.iter().map(|column| column.n).collect(),
                from: "of the heading".to_owned(),
                row: None,
            };
        }
        let whole = |row: &Row| {
            let counts = row
                .cells
                .iter()
                .zip(&self.columns)
                .filter(|(_, column)| column.kind != Kind::PValue);
            counts.into_iter().all(|(cell, _)| matches!(cell, Cell::Count(_)))
        };
        if let Some(place) = self
            .rows
            .iter()
            .position(|row| speaks_of_patients(&row.label) && whole(row))
        {
            return Sizes {
                n: self.rows[place].counts().collect(),
                from: format!("of row `{}`", self.rows[place].label),
                row: Some(place),
            };
        }
        let sections = self.sections();
        let first = sections.iter().find(|(_, members)| {
            members.len() > 1
                && members.iter().all(|&row| {
                    self.rows[row]
                        .counts()
                        .zip(&self.columns)
                        .all(|(count, column)| count.is_some() || column.kind == Kind::PValue)
                })
        });
        match first {
            Some((heading, members)) => Sizes {
                n: (0..self.columns.len())
                    .map(|column| self.sum(members, column))
                    .collect(),
                from: format!("by the sum of `{}`", self.rows[*heading].label),
                row: None,
            },
            None => Sizes {
                n: self.columns.iter().map(|column| column.n).collect(),
                from: "of the heading".to_owned(),
                row: None,
            },
        }
    }

    /// Sums of rows against their totals, and means weighed by n.
    fn totals_of_rows(&mut self, sizes: &Sizes) {
        for total in 0..self.columns.len() {
            let Kind::Total(parts) = &self.columns[total].kind else {
                continue;
            };
            let parts = parts.clone();
            for row in 0..self.rows.len() {
                match &self.rows[row].cells[total] {
                    Cell::Mean(..) => self.mean_of_row(row, total, &parts, sizes),
                    Cell::Percent(..) => self.percent_of_row(row, total, &parts, sizes),
                    cell => {
                        let Some(printed) = cell.count() else { continue };
                        let counts: Option<Vec<u64>> =
                            parts.iter().map(|&part| self.rows[row].cells[part].count()).collect();
                        if let Some(counts) = counts {
                            self.sum_of_row(row, total, &counts, printed);
                        }
                    }
                }
            }
        }
    }

    fn sum_of_row(&mut self, row: usize, total: usize, counts: &[u64], printed: u64) {
        let sum: u64 = counts.iter().sum();
        if sum == printed {
            self.agreeing[0] += 1;
            return;
        }
        let sentence = format!(
            "row `{}`: {} = {sum}, but {printed} is printed as {}",
            self.rows[row].label,
            terms(counts),
            self.columns[total].name
        );
        let numbers = json!({"kind": "row sum", "row": self.rows[row].label, "column": self.columns[total].name,
            "parts": counts, "computed": sum, "printed": printed});
        self.report(row, sentence, numbers);
    }

    fn mean_of_row(&mut self, row: usize, total: usize, parts: &[usize], sizes: &Sizes) {
        let part = |&column: &usize| match (&self.rows[row].cells[column], sizes.n[column]) {
            (Cell::Mean(mean, deviation), Some(n)) if n > 0 => Some((*mean, *deviation, n as f64)),
            _ => None,
        };
        let Some(groups) = parts.iter().map(part).collect::<Option<Vec<_>>>() else {
            return;
        };
        let Cell::Mean(printed, printed_deviation) = self.rows[row].cells[total] else {
            return;
        };
        let n: f64 = groups.iter().map(|(_, _, n)| n).sum();
        let mean = groups.iter().map(|(mean, _, n)| mean.value * n).sum::<f64>() / n;
        let slack = groups.iter().map(|(mean, _, n)| mean.half() * n).sum::<f64>() / n;
        let right = (mean - printed.value).abs() <= slack + printed.half() + EPSILON;
        let deviation = pooled_deviation(&groups, mean, n);
        let weights: Vec<u64> = groups.iter().map(|(_, _, n)| *n as u64).collect();
        let mut numbers = json!({"kind": "weighted mean", "row": self.rows[row].label, "column": self.columns[total].name,
            "weights": weights, "computed": mean, "reachable": [mean - slack, mean + slack], "printed": printed.value});
        if let (Some(deviation), Some(shown)) = (deviation, printed_deviation) {
            numbers["computed_sd"] = json!(deviation);
            numbers["printed_sd"] = json!(shown.value);
        }
        let shown = groups
            .iter()
            .map(|(mean, ..)| mean.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        if !right {
            let with_deviation = deviation.map_or(String::new(), |deviation| format!(", with SD {deviation:.1}"));
            let sentence = format!(
                "row `{}`: means {shown} of n = {} give {mean:.1} ({:.2} to {:.2} with rounding{with_deviation}), but {printed} is printed as {}",
                self.rows[row].label,
                weights.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
                mean - slack,
                mean + slack,
                self.columns[total].name
            );
            self.report(row, sentence, numbers);
            return;
        }
        self.agreeing[1] += 1;
        let (Some(_), Some(shown)) = (deviation, printed_deviation) else {
            return;
        };
        let [low, high] = reachable_deviation(&groups);
        if shown.value + shown.half() + EPSILON < low || shown.value - shown.half() - EPSILON > high {
            numbers["kind"] = json!("pooled deviation");
            let sentence = format!(
                "row `{}`: the groups' means and SDs give an SD of {low:.2} to {high:.2} together, but {shown} is printed as {}",
                self.rows[row].label, self.columns[total].name
            );
            self.report(row, sentence, numbers);
        }
    }

    fn percent_of_row(&mut self, row: usize, total: usize, parts: &[usize], sizes: &Sizes) {
        let part = |&column: &usize| match (&self.rows[row].cells[column], sizes.n[column]) {
            (Cell::Percent(percent), Some(n)) if n > 0 => Some((*percent, n as f64)),
            _ => None,
        };
        let Some(groups) = parts.iter().map(part).collect::<Option<Vec<_>>>() else {
            return;
        };
        let Cell::Percent(printed) = self.rows[row].cells[total] else {
            return;
        };
        let n: f64 = groups.iter().map(|(_, n)| n).sum();
        let percent = groups.iter().map(|(percent, n)| percent.value * n).sum::<f64>() / n;
        let slack = groups.iter().map(|(percent, n)| percent.half() * n).sum::<f64>() / n;
        if (percent - printed.value).abs() <= slack + printed.half() + EPSILON {
            self.agreeing[2] += 1;
            return;
        }
        let sentence = format!(
            "row `{}`: the groups' percentages give {percent:.1} % by their n, but {printed} % is printed as {}",
            self.rows[row].label, self.columns[total].name
        );
        let numbers = json!({"kind": "weighted percentage", "row": self.rows[row].label, "column": self.columns[total].name,
            "computed": percent, "printed": printed.value});
        self.report(row, sentence, numbers);
    }

    /// `k (p)`: p must be k of n, or of one other row, or of the row's own total, throughout the row.
    fn percentages(&mut self, sizes: &Sizes) {
        for row in 0..self.rows.len() {
            let shares: Vec<(usize, u64, Number, bool)> = self.rows[row]
                .cells
                .iter()
                .enumerate()
                .filter_map(|(column, cell)| match cell {
                    Cell::Share(k, percent) => Some((column, *k, *percent, true)),
                    Cell::Pair(k, inside) => Some((column, *k, *inside, false)),
                    _ => None,
                })
                .collect();
            if shares.is_empty() {
                continue;
            }
            let agree = |of: &dyn Fn(usize) -> Option<u64>| {
                shares
                    .iter()
                    .map(|(column, k, percent, _)| Some(is_percent(*k, of(*column)?, percent)))
                    .collect::<Vec<_>>()
            };
            let by_n = agree(&|column| sizes.n[column]);
            let right = by_n.iter().filter(|right| **right == Some(true)).count();
            let said = shares.iter().all(|(.., said)| *said);
            if by_n.iter().all(Option::is_none) || (!said && 2 * right < shares.len()) {
                continue; // no n, or brackets that hold something else
            }
            let others = self.rows.iter().enumerate().filter(|(place, other)| {
                *place != row && other.cells.iter().any(|cell| matches!(cell, Cell::Count(_)))
            });
            let by_other = others
                .map(|(_, other)| agree(&|column| other.cells[column].count()))
                .chain([agree(&|column| self.total_beside(row, column))])
                .any(|fits| fits.iter().all(|right| *right == Some(true)));
            if by_other {
                self.agreeing[2] += shares.len();
                continue;
            }
            self.agreeing[2] += right;
            for ((column, k, percent, _), right) in shares.iter().zip(&by_n) {
                if *right != Some(false) {
                    continue;
                }
                // There is an n where the percentage was compared with it.
                let n = sizes.n[*column].unwrap_or_default();
                let computed = 100.0 * *k as f64 / n.max(1) as f64;
                let sentence = format!(
                    "row `{}`, {}: {k} of {n} ({}) are {computed:.1} %, but {percent} % is printed",
                    self.rows[row].label, self.columns[*column].name, sizes.from
                );
                let numbers = json!({"kind": "percentage", "row": self.rows[row].label, "column": self.columns[*column].name,
                    "k": k, "n": n, "computed": computed, "printed": percent.value});
                self.report(row, sentence, numbers);
            }
        }
    }

    /// The count of the row's total column that this column is a part of, or is.
    fn total_beside(&self, row: usize, column: usize) -> Option<u64> {
        let is_part = |other: &Column| matches!(&other.kind, Kind::Total(parts) if parts.contains(&column));
        let own = matches!(self.columns[column].kind, Kind::Total(_)).then_some(column);
        let total = own.or_else(|| self.columns.iter().position(is_part))?;
        self.rows[row].cells[total].count()
    }

    /// Rows that add up to n in most columns must do so in all.
    fn parts_of_columns(&mut self, sizes: &Sizes) {
        let sections = self.sections();
        let mut in_section = vec![false; self.rows.len()];
        for (heading, members) in &sections {
            for &row in members {
                in_section[row] = true;
            }
            let name = self.rows[*heading].label.clone();
            let (right, wrong) = self.compare(members, sizes);
            if members.len() > 1 && !right.is_empty() && right.len() >= wrong.len() {
                self.settle(members, &name, &right, &wrong, sizes);
            }
        }
        // Without a heading the rows that belong together are those that add up in nearly all columns.
        let loose: Vec<usize> = (0..self.rows.len())
            .filter(|&row| {
                !in_section[row] && self.rows[row].has_counts() && sizes.row != Some(row) && !self.rows[row].is_total()
            })
            .collect();
        let mut start = 0;
        while start < loose.len() {
            let run = (start + 1..=loose.len())
                .take_while(|&end| loose[end - 1] - loose[start] == end - 1 - start)
                .last()
                .unwrap_or(start + 1);
            let windows = (start + 2..=run).rev().map(|end| &loose[start..end]);
            let fitting = windows
                .map(|window| (window, self.compare(window, sizes)))
                .find(|(_, (right, wrong))| right.len() > 1 && right.len() > 2 * wrong.len());
            match fitting {
                Some((window, (right, wrong))) => {
                    let window = window.to_vec();
                    let name = window
                        .iter()
                        .map(|&row| self.rows[row].label.as_str())
                        .collect::<Vec<_>>()
                        .join(", ");
                    self.settle(&window, &name, &right, &wrong, sizes);
                    start += window.len();
                }
                None => start += 1,
            }
        }
    }

    /// Columns in which the rows add up to n, and those in which they don't.
    fn compare(&self, members: &[usize], sizes: &Sizes) -> (Vec<usize>, Vec<usize>) {
        let known =
            (0..self.columns.len()).filter(|&column| self.sum(members, column).is_some() && sizes.n[column].is_some());
        known.partition(|&column| self.sum(members, column) == sizes.n[column])
    }

    fn settle(&mut self, members: &[usize], name: &str, right: &[usize], wrong: &[usize], sizes: &Sizes) {
        self.agreeing[3] += right.len();
        for &column in wrong {
            let counts: Vec<u64> = members
                .iter()
                .filter_map(|&row| self.rows[row].cells[column].count())
                .collect();
            // `wrong` holds columns of known n and sum only.
            let (n, sum) = (sizes.n[column].unwrap_or_default(), counts.iter().sum::<u64>());
            let gap = if sum < n {
                format!("{} unaccounted for", n - sum)
            } else {
                format!("{} too many", sum - n)
            };
            let sentence = format!(
                "`{name}`, {}: {} = {sum}, but n is {n} {} ({gap}); in {} they add up",
                self.columns[column].name,
                terms(&counts),
                sizes.from,
                right
                    .iter()
                    .map(|&column| self.columns[column].name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            let numbers = json!({"kind": "column sum", "rows": name, "column": self.columns[column].name, "parts": counts,
                "computed": sum, "printed": n});
            self.report(members[0], sentence, numbers);
        }
    }

    /// Rows called total, against the rows above them.
    fn total_rows(&mut self) {
        for total in 0..self.rows.len() {
            if !self.rows[total].is_total() {
                continue;
            }
            let above: Vec<usize> = (0..total)
                .rev()
                .take_while(|&row| self.rows[row].has_counts() && !self.rows[row].is_total())
                .collect();
            if above.len() < 2 {
                continue;
            }
            let columns: Vec<(usize, u64, u64)> = (0..self.columns.len())
                .filter_map(|column| {
                    Some((
                        column,
                        self.sum(&above, column)?,
                        self.rows[total].cells[column].count()?,
                    ))
                })
                .collect();
            let right = columns.iter().filter(|(_, sum, printed)| sum == printed).count();
            if 2 * right < columns.len() && columns.len() > 1 {
                continue; // the rows above are no parts of it
            }
            self.agreeing[3] += right;
            for (column, sum, printed) in columns.into_iter().filter(|(_, sum, printed)| sum != printed) {
                let sentence = format!(
                    "row `{}`, {}: the {} rows above add up to {sum}, but {printed} is printed",
                    self.rows[total].label,
                    self.columns[column].name,
                    above.len()
                );
                let numbers = json!({"kind": "total row", "row": self.rows[total].label, "column": self.columns[column].name,
                    "computed": sum, "printed": printed});
                self.report(total, sentence, numbers);
            }
        }
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

fn understand(table: &TextTable) -> (Vec<Column>, Vec<Row>) {
    let (labels, groups) = match table.columns.split_first() {
        Some(((_, labels), groups)) => (&labels[..], groups),
        None => (&[][..], &[][..]),
    };
    let mut columns: Vec<Column> = Vec::new();
    for (place, (name, _)) in groups.iter().enumerate() {
        let kind = if is_p_value(name) {
            Kind::PValue
        } else if is_total(name) {
            let totals = columns.iter().rposition(|column| matches!(column.kind, Kind::Total(_)));
            let since = totals.map_or(0, |total| total + 1);
            let before: Vec<usize> = (since..place)
                .filter(|&before| columns[before].kind == Kind::Group)
                .collect();
            let after = || {
                (place + 1..groups.len())
                    .take_while(|&after| !is_total(&groups[after].0) && !is_p_value(&groups[after].0))
            };
            let all_totals = || {
                (0..place)
                    .filter(|&before| matches!(columns[before].kind, Kind::Total(_)))
                    .collect::<Vec<_>>()
            };
            Kind::Total(match (before.is_empty(), all_totals().len()) {
                (false, _) => before,
                (true, 0) => after().collect(),
                (true, _) => all_totals(),
            })
        } else {
            Kind::Group
        };
        columns.push(Column {
            name: name.clone(),
            n: heading_n(name),
            kind,
        });
    }
    let rows = (0..table.n_rows).map(|row| {
        let label = labels[row].as_deref().unwrap_or_default().trim().to_owned();
        let text = |column: usize| groups[column].1[row].as_deref().unwrap_or_default();
        let is_p = |column: usize| columns[column].kind == Kind::PValue;
        let cell = |column: usize| {
            if is_p(column) {
                Cell::Empty
            } else {
                parse(text(column), &label)
            }
        };
        Row {
            number: row + 1,
            cells: (0..groups.len()).map(cell).collect(),
            tested: (0..groups.len()).any(|column| is_p(column) && !text(column).trim().is_empty()),
            label,
        }
    });
    let rows = rows.collect();
    (columns, rows)
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn is_total(name: &str) -> bool {
    words(name)
        .iter()
        .any(|word| ["total", "overall", "all", "combined", "sum"].contains(&word.as_str()))
}

fn is_p_value(name: &str) -> bool {
    ["p", "pvalue", "pval"].contains(&words(name).concat().as_str())
}

fn speaks_of_patients(label: &str) -> bool {
    let first = words(label);
    let first = first.first().map_or("", String::as_str);
    first == "n"
        || [
            "patient",
            "subject",
            "participant",
            "case",
            "number",
            "individual",
            "no",
        ]
        .iter()
        .any(|word| first.trim_end_matches('s') == *word)
}

/// `COVID-19 (n = 98)`.
fn heading_n(name: &str) -> Option<u64> {
    let lower = name.to_lowercase();
    let (before, after) = lower.split_once('=')?;
    let is_n =
        before.trim_end().ends_with('n') && !before.trim_end().trim_end_matches('n').ends_with(char::is_alphanumeric);
    let digits: String = after
        .trim_start()
        .chars()
        .filter(|letter| *letter != ',')
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok().filter(|_| is_n)
}

fn is_percent(k: u64, n: u64, printed: &Number) -> bool {
    n > 0 && (100.0 * k as f64 / n as f64 - printed.value).abs() <= printed.half() + EPSILON
}

fn terms(counts: &[u64]) -> String {
    counts.iter().map(u64::to_string).collect::<Vec<_>>().join(" + ")
}

type Group = (Number, Option<Number>, f64);

/// The SD of all groups together, from their means and SDs.
fn pooled_deviation(groups: &[Group], mean: f64, n: f64) -> Option<f64> {
    let squares = groups
        .iter()
        .map(|(m, deviation, n)| Some((n - 1.0) * deviation.as_ref()?.value.powi(2) + n * (m.value - mean).powi(2)));
    let squares = squares.sum::<Option<f64>>()?;
    (n > 1.0).then(|| (squares / (n - 1.0)).sqrt())
}

/// Bounds of it over all roundings of the parts: means pulled together or apart, SDs at their ends.
fn reachable_deviation(groups: &[Group]) -> [f64; 2] {
    let n: f64 = groups.iter().map(|(_, _, n)| n).sum();
    let centre = groups.iter().map(|(mean, _, n)| mean.value * n).sum::<f64>() / n;
    [-1.0, 1.0].map(|side| {
        let moved: Vec<Group> = groups
            .iter()
            .map(|(mean, deviation, n)| {
                let away = mean.value - centre;
                let step = if side > 0.0 {
                    mean.half()
                } else {
                    -mean.half().min(away.abs())
                };
                let pushed = |number: &Number, by: f64| Number {
                    value: number.value + by,
                    ..*number
                };
                (
                    pushed(mean, step * away.signum()),
                    deviation
                        .as_ref()
                        .map(|deviation| pushed(deviation, side * deviation.half())),
                    *n,
                )
            })
            .collect();
        let mean = moved.iter().map(|(mean, _, n)| mean.value * n).sum::<f64>() / n;
        pooled_deviation(&moved, mean, n).unwrap_or(f64::NAN)
    })
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
