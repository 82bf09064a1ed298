//! The slices that lie nearest in feature space: of other patients, and how often the very nearest is of the same one.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{Rng, seq::SliceRandom as _};
use rayon::prelude::*;

/// Rows whose distances to all others are held at once by each thread.
const BLOCK: usize = 128;

/// A row near another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// The row.
    pub row: usize,
    /// Euclidean distance.
    pub distance: f64,
}

/// What lies near one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// The row that was asked for.
    pub query: usize,
    /// The nearest rows of other patients, nearest first.
    pub nearest: Vec<Neighbour>,
    /// Whether a row of the same patient is nearer than all of them; `None` where the patient has no other row.
    pub own_first: Option<bool>,
}

/// How often the nearest row is one of the same patient.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SamePatient {
    /// Rows that were asked, all of patients with several rows.
    pub rows: usize,
    /// Those whose nearest row is of the same patient.
    pub same: usize,
    /// The share that rows without any meaning would have.
    pub by_chance: f64,
}

/// The `k` nearest rows of other patients for each query.
///
/// ```
/// use hounsfield::explain::neighbours;
/// let x = ndarray::array![[0.0], [0.1], [1.0], [5.0]];
/// let near = neighbours(x.view(), &[0, 0, 1, 2], &[0], 2);
/// assert_eq!(near[0].nearest.iter().map(|near| near.row).collect::<Vec<_>>(), [2, 3]);
/// assert_eq!(near[0].own_first, Some(true));
/// ```
///
/// # Shapes
///
/// - `x`: `[N, F]`, finite
/// - `patient`: `N`
///
/// # Panics
///
/// Where a query is no row of `x`, or a row has no patient.
pub fn neighbours(x: ArrayView2<'_, f64>, patient: &[usize], queries: &[usize], k: usize) -> Vec<Neighbours> {
    let of_query = |query: usize, squares: Vec<f64>| {
        let (own, mut others): (Vec<usize>, Vec<usize>) = (0..squares.len())
            .filter(|row| *row != query)
            .partition(|row| patient[*row] == patient[query]);
        others.sort_by(|a, b| squares[*a].total_cmp(&squares[*b]).then(a.cmp(b)));
        let nearest: Vec<Neighbour> = others
            .into_iter()
            .take(k)
            .map(|row| Neighbour {
                row,
                distance: squares[row].sqrt(),
            })
            .collect();
        let own = own.into_iter().map(|row| squares[row].sqrt()).reduce(f64::min);
        let own_first = own.map(|own| nearest.first().is_none_or(|first| own < first.distance));
        Neighbours {
            query,
            nearest,
            own_first,
        }
    };
    each(x, queries, of_query)
}

/// How often the nearest row is one of the same patient, asked for `queries`.
///
/// # Shapes
///
/// - `x`: `[N, F]`, finite
/// - `patient`: `N`
///
/// # Panics
///
/// As [`neighbours`].
pub fn same_patient(x: ArrayView2<'_, f64>, patient: &[usize], queries: &[usize]) -> SamePatient {
    let mut rows_of = BTreeMap::<usize, usize>::new();
    patient
        .iter()
        .for_each(|patient| *rows_of.entry(*patient).or_default() += 1);
    let others = |row: usize| rows_of[&patient[row]] - 1;
    let asked: Vec<usize> = queries.iter().copied().filter(|row| others(*row) > 0).collect();
    let same = |query: usize, squares: Vec<f64>| {
        let rows = (0..squares.len()).filter(|row| *row != query);
        let nearest = rows.min_by(|a, b| squares[*a].total_cmp(&squares[*b]));
        nearest.is_some_and(|row| patient[row] == patient[query])
    };
    let chances: f64 = asked.iter().map(|row| others(*row) as f64).sum();
    SamePatient {
        rows: asked.len(),
        same: each(x, &asked, same).into_iter().filter(|same| *same).count(),
        by_chance: chances / (asked.len().max(1) * (patient.len() - 1).max(1)) as f64,
    }
}

/// Slices to look at: one a patient, half of them positive, from the first sets before later ones.
///
/// `rows` are the candidates with the rank of their set (0 first) and their class; `patient` is that of every row.
/// Fewer than `wanted` come back where there are no more patients.
pub fn queries(rows: &[(usize, usize, bool)], patient: &[usize], wanted: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut drawn = rows.to_vec();
    drawn.shuffle(rng);
    drawn.sort_by_key(|(_, rank, _)| *rank);
    let mut seen = BTreeSet::new();
    // A patient stands for the class of its first row, also where it has slices of both.
    drawn.retain(|(row, ..)| seen.insert(patient[*row]));
    let (positive, negative): (Vec<_>, Vec<_>) = drawn.into_iter().partition(|(_, _, positive)| *positive);
    let from_positive = wanted.div_ceil(2).max(wanted.saturating_sub(negative.len()));
    let positive: Vec<usize> = positive.into_iter().map(|(row, ..)| row).take(from_positive).collect();
    let from_negative = wanted.saturating_sub(positive.len());
    let negative = negative.into_iter().map(|(row, ..)| row).take(from_negative);
    positive.iter().copied().chain(negative).collect()
}

/// What `find` makes of the squared distances of each query to all rows.
fn each<T: Send>(x: ArrayView2<'_, f64>, queries: &[usize], find: impl Fn(usize, Vec<f64>) -> T + Sync) -> Vec<T> {
    let squares: Array1<f64> = x.rows().into_iter().map(|row| row.dot(&row)).collect();
    let of_block = |block: &[usize]| {
        let products: Array2<f64> = x.select(Axis(0), block).dot(&x.t()); // [BLOCK, N]
        let of_query = |(query, products): (&usize, ndarray::ArrayView1<'_, f64>)| {
            // Rounding may leave a little less than 0 between equal rows.
            let square = |(product, square): (&f64, &f64)| (squares[*query] + square - 2.0 * product).max(0.0);
            find(*query, products.iter().zip(&squares).map(square).collect())
        };
        block
            .iter()
            .zip(products.outer_iter())
            .map(of_query)
            .collect::<Vec<T>>()
    };
    queries.par_chunks(BLOCK).flat_map_iter(of_block).collect()
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::seed::stream;

    /// 20 patients of four rows each that lie near each other.
    fn clustered() -> (Array2<f64>, Vec<usize>) {
        let mut rng = stream(1, "clustered");
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let patient: Vec<usize> = (0..80).map(|row| row / 4).collect();
        let mut x = Array2::zeros((80, 6));
        for patient in 0..20 {
            let own: Vec<f64> = (0..6).map(|_| 10.0 * normal()).collect();
            for row in 4 * patient..4 * patient + 4 {
                (0..6).for_each(|feature| x[[row, feature]] = own[feature] + normal());
            }
        }
        (x, patient)
    }

    #[test]
    fn neighbours_are_of_other_patients_and_nearest_first() {
        let (x, patient) = clustered();
        let all: Vec<usize> = (0..80).collect();
        let found = neighbours(x.view(), &patient, &all, 5);
        for Neighbours {
            query,
            nearest,
            own_first,
        } in &found
        {
            assert!(nearest.iter().all(|near| patient[near.row] != patient[*query]));
            assert!(nearest.is_sorted_by(|a, b| a.distance <= b.distance) && nearest.len() == 5);
            assert!(own_first.is_some());
            let direct = |row: usize| (&x.row(row) - &x.row(*query)).mapv(|d| d * d).sum().sqrt();
            assert!((direct(nearest[0].row) - nearest[0].distance).abs() < 1e-9);
            let others = all.iter().filter(|row| patient[**row] != patient[*query]);
            assert!(others.into_iter().all(|row| direct(*row) >= nearest[0].distance - 1e-9));
        }
        let share = same_patient(x.view(), &patient, &all);
        let own = found.iter().filter(|found| found.own_first == Some(true)).count();
        assert_eq!((share.rows, share.same), (80, own));
        assert!(share.same > 70 && (share.by_chance - 3.0 / 79.0).abs() < 1e-12);
    }

    #[test]
    fn a_patient_of_one_row_is_not_asked_for_its_own() {
        let x = ndarray::array![[0.0], [1.0], [2.0]];
        let share = same_patient(x.view(), &[0, 1, 2], &[0, 1, 2]);
        assert_eq!((share.rows, share.same, share.by_chance), (0, 0, 0.0));
        assert_eq!(neighbours(x.view(), &[0, 1, 2], &[2], 9)[0].own_first, None);
    }

    #[test]
    fn queries_are_one_a_patient_balanced_and_of_the_first_set_first() {
        let patient: Vec<usize> = (0..40).map(|row| row / 2).collect();
        // Patients 0 to 9 are of the later set; every other patient is positive.
        let rows: Vec<_> = (0..40)
            .map(|row| (row, usize::from(row < 20), row / 2 % 2 == 0))
            .collect();
        let drawn = queries(&rows, &patient, 6, &mut stream(0, "queries"));
        let patients: BTreeSet<usize> = drawn.iter().map(|row| patient[*row]).collect();
        assert_eq!((drawn.len(), patients.len()), (6, 6));
        assert_eq!(drawn.iter().filter(|row| rows[**row].2).count(), 3);
        assert!(
            drawn.iter().all(|row| *row >= 20),
            "held-out rows come first: {drawn:?}"
        );

        let one_class: Vec<_> = rows.iter().copied().filter(|(.., positive)| !positive).collect();
        assert_eq!(queries(&one_class, &patient, 6, &mut stream(0, "queries")).len(), 6);
        assert_eq!(queries(&rows, &patient, 99, &mut stream(0, "queries")).len(), 20);
    }
}
