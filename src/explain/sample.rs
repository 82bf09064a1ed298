//! Fewer rows than there are, of as many patients as can be.

use std::collections::BTreeMap;

use rand::{Rng, seq::SliceRandom as _};

/// At most `limit` of these rows, in their order. Patients give one row each in turn until there are enough, so that a
/// patient of many slices does not crowd out others.
///
/// ```
/// use hounsfield::{explain::sample_rows, seed::stream};
/// let patient = [0, 0, 0, 0, 1, 2];
/// let rows = sample_rows(&[0, 1, 2, 3, 4, 5], &patient, 3, &mut stream(0, "sample"));
/// assert_eq!(rows.iter().map(|row| patient[*row]).collect::<Vec<_>>(), [0, 1, 2]);
/// ```
///
/// # Panics
///
/// Where a row has no patient.
pub fn sample_rows(rows: &[usize], patient: &[usize], limit: usize, rng: &mut impl Rng) -> Vec<usize> {
    if rows.len() <= limit {
        return rows.to_vec();
    }
    let mut of_patient = BTreeMap::<usize, Vec<usize>>::new();
    for row in rows {
        of_patient.entry(patient[*row]).or_default().push(*row);
    }
    let mut patients: Vec<Vec<usize>> = of_patient.into_values().collect();
    patients.iter_mut().for_each(|rows| rows.shuffle(rng));
    patients.shuffle(rng);
    let longest = patients.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| patients.iter().filter_map(move |rows| rows.get(turn)));
    let mut kept: Vec<usize> = turns.copied().take(limit).collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::stream;

    #[test]
    fn all_patients_are_kept_as_long_as_there_is_room() {
        // Patient p has p + 1 rows: 55 rows of 10 patients.
        let patient: Vec<usize> = (0..10).flat_map(|p| vec![p; p + 1]).collect();
        let rows: Vec<usize> = (0..55).collect();
        let kept = sample_rows(&rows, &patient, 25, &mut stream(3, "sample"));
        assert_eq!(kept.len(), 25);
        assert!(kept.is_sorted());
        let count = |p: usize| kept.iter().filter(|row| patient[**row] == p).count();
        // Two turns take 10 and 9 rows, the third the last 6 of 8.
        assert!((0..10).all(|p| (1..=3).contains(&count(p)) && count(p) <= p + 1));
        assert!((1..10).all(|p| count(p) >= 2));
        assert_eq!(kept, sample_rows(&rows, &patient, 25, &mut stream(3, "sample")));
        assert_ne!(kept, sample_rows(&rows, &patient, 25, &mut stream(4, "sample")));
    }

    #[test]
    fn few_rows_are_all_taken() {
        assert_eq!(sample_rows(&[4, 2], &[0; 5], 2, &mut stream(0, "sample")), [4, 2]);
    }
}
