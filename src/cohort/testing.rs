//! A small cohort for this room's tests.

use std::{collections::BTreeMap, path::Path};

use super::{Classes, Cohort, CohortError, CohortPlan, Columns};
use crate::{ct::Pseudonymizer, tables::TextTable};

/// `patients` patients of three slices each, classes and sites alternating, in the order that `order` gives.
pub(super) fn table(patients: usize, order: impl Fn(&mut Vec<usize>)) -> TextTable {
    let mut rows: Vec<usize> = (0..3 * patients).collect();
    order(&mut rows);
    let column = |name: &str, cell: &dyn Fn(usize) -> String| {
        (name.to_owned(), rows.iter().map(|row| Some(cell(*row))).collect())
    };
    TextTable::new(vec![
        column("file", &|row| format!("img/{row}.png")),
        column("patient", &|row| format!("P{:03}", row / 3)),
        column("label", &|row| {
            if row / 3 % 2 == 0 { "covid" } else { "cap" }.to_owned()
        }),
        column("site", &|row| if row / 3 % 5 == 4 { "far" } else { "near" }.to_owned()),
        column("fold", &|row| (row / 3 % 3).to_string()),
        column("age", &|row| (40 + row / 3).to_string()),
        column("orig_name", &|row| format!("Doe {row}")),
    ])
    .expect("columns of one length")
}

pub(super) fn columns() -> Columns {
    let name = |name: &str| Some(name.to_owned());
    Columns {
        path: name("file"),
        patient: name("patient"),
        label: name("label"),
        site: name("site"),
        split: name("fold"),
        ..Columns::default()
    }
}

pub(super) fn read(table: &TextTable, columns: Columns) -> Result<Cohort, CohortError> {
    let classes = Classes {
        positive: "covid".to_owned(),
        negative: None,
    };
    let ids = Pseudonymizer::new(b"a salt for tests only");
    Cohort::read(
        table,
        Path::new("data"),
        &CohortPlan {
            columns,
            classes: Some(classes),
            ids,
        },
    )
}

pub(super) fn cohort(patients: usize) -> Cohort {
    read(&table(patients, |_| ()), columns()).expect("a sound table")
}

/// The rows of a table that was written, by the names of their columns.
pub(super) fn rows(table: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(table)
        .unwrap()
        .deserialize()
        .map(|row| row.unwrap())
        .collect()
}
