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
    same_bytes(&cohort.sha256)
        .into_iter()
        .map(|rows| Duplicate {
            across_patients: rows.iter().any(|row| cohort.patient[*row] != cohort.patient[rows[0]]),
            rows,
        })
        .collect()
}

/// The rows that share a hash, ascending, at least two in a group; groups in the order of their first rows.
///
/// ```
/// let hashes = ["b", "a", "b"].map(|hash| Some(hash.to_owned()));
/// assert_eq!(hounsfield::cohort::same_bytes(&hashes), [[0, 2]]);
/// ```
pub fn same_bytes(sha256: &[Option<String>]) -> Vec<Vec<usize>> {
    let mut rows_of = BTreeMap::<&str, Vec<usize>>::new();
    for (row, hash) in sha256.iter().enumerate() {
        if let Some(hash) = hash {
            rows_of.entry(hash).or_default().push(row);
        }
    }
    let mut repeated: Vec<Vec<usize>> = rows_of.into_values().filter(|rows| rows.len() > 1).collect();
    repeated.sort_by_key(|rows| rows[0]);
    repeated
}
