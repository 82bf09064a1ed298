//! Material from texts, for the tests of the checks.

use super::{Material, Source, SourceColumns};
use crate::tables::TextTable;

/// A table from a text such as `who set\nA train`.
pub fn table(text: &str) -> TextTable {
    let mut lines = text
        .trim()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    let cell = |text: &str| (text != "-").then(|| text.to_owned());
    let columns = header.iter().enumerate().map(|(column, name)| {
        let cells = rows.iter().map(|row| cell(row[column])).collect();
        ((*name).to_owned(), cells)
    });
    TextTable::new(columns.collect()).unwrap()
}

/// Columns of the tests' names.
pub fn columns(names: &[&str]) -> SourceColumns {
    let of = |name: &str| names.contains(&name).then(|| name.to_owned());
    SourceColumns {
        patient: of("who"),
        label: of("label"),
        positive: of("label").map(|_| "ill".to_owned()),
        set: of("set"),
        site: of("site"),
        position: of("z"),
        ..SourceColumns::default()
    }
}

pub fn material(text: &str) -> Material {
    let table = table(text);
    let names: Vec<String> = table.names().map(str::to_owned).collect();
    let columns = columns(&names.iter().map(String::as_str).collect::<Vec<_>>());
    Material::read(&[Source::of(table)], &columns, None).unwrap()
}
