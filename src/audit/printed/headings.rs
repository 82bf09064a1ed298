//! What the headings of columns and the names of rows say.

use super::{
    Column, Kind, Row,
    cell::{Cell, parse},
};
use crate::tables::TextTable;

pub(super) fn understand(table: &TextTable) -> (Vec<Column>, Vec<Row>) {
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

pub(super) fn is_total(name: &str) -> bool {
    words(name)
        .iter()
        .any(|word| ["total", "overall", "all", "combined", "sum"].contains(&word.as_str()))
}

fn is_p_value(name: &str) -> bool {
    ["p", "pvalue", "pval"].contains(&words(name).concat().as_str())
}

pub(super) fn speaks_of_patients(label: &str) -> bool {
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
