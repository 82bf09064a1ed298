//! Images that stand in a cohort more than once, byte for byte.

use std::collections::BTreeMap;

use super::Cohort;

/// Rows whose image files are equal byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The rows, ascending; at least two.
    pub rows: Vec<usize>,
    /// Whether they belong to more than one patient.
    pub across_patients: bool,
}

/// All groups of equal images, by SHA-256; rows without a hash are in none.
pub fn duplicates(cohort: &Cohort) -> Vec<Duplicate> {
    let mut rows_of = BTreeMap::<&str, Vec<usize>>::new();
    for (row, hash) in cohort.sha256.iter().enumerate() {
        if let Some(hash) = hash {
            rows_of.entry(hash).or_default().push(row);
        }
    }
    let repeated = rows_of.into_values().filter(|rows| rows.len() > 1);
    let mut found: Vec<Duplicate> = repeated
        .map(|rows| Duplicate {
            across_patients: rows.iter().any(|row| cohort.patient[*row] != cohort.patient[rows[0]]),
            rows,
        })
        .collect();
    found.sort_by_key(|duplicate| duplicate.rows[0]);
    found
}
