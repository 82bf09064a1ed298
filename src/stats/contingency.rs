//! Tests on tables of counts: Pearson's chi-square, Fisher's exact test, McNemar's test and tests for a trend (Agresti,
//! Categorical Data Analysis, 3rd ed. 2013, chapters 3 and 11).
//!
//! `None` means that the table does not define the test (an empty row or column, no discordant pair, scores without
//! spread): there is then no number to print, and no p of 1 either.

use super::distributions::{binomial_cdf, chi_squared_upper, normal_two_sided};

/// A statistic with its reference distribution's degrees of freedom and its p value.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ChiSquared {
    /// The statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Upper tail.
    pub p: f64,
}

impl ChiSquared {
    fn new(statistic: f64, df: f64) -> Self {
        let p = chi_squared_upper(statistic, df);
        Self { statistic, df, p }
    }
}

/// Pearson's chi-square test of independence in an `r x c` table, without correction (`chisq.test(correct = FALSE)`).
///
/// `None` where rows differ in length, there are fewer than two rows or columns, or one of them is empty: leave an empty
/// category out first, since it has no say and would cost a degree of freedom.
///
/// ```
/// use hounsfield::stats::chi_squared;
/// // 53 of 103 and 45 of 98: p is 0.43.
/// let test = chi_squared(&[&[53, 50], &[45, 53]]).unwrap();
/// assert!(test.df == 1.0 && test.p > 0.4 && test.p < 0.5);
/// assert_eq!(chi_squared(&[&[3, 0], &[4, 0]]), None);
/// ```
pub fn chi_squared(table: &[&[u64]]) -> Option<ChiSquared> {
    let expected = expected(table)?;
    let cells = table
        .iter()
        .zip(&expected)
        .flat_map(|(row, means)| row.iter().zip(means));
    let statistic = cells.map(|(&n, mean)| (n as f64 - mean).powi(2) / mean).sum();
    let df = (table.len() - 1) * (table[0].len() - 1);
    Some(ChiSquared::new(statistic, df as f64))
}

/// The smallest count that independence expects in a cell: under 5, chi-square is doubtful (Cochran 1954).
///
/// `None` where [`chi_squared`] has none.
pub fn smallest_expected(table: &[&[u64]]) -> Option<f64> {
    expected(table)?.into_iter().flatten().reduce(f64::min)
}

/// Chi-square of a 2x2 table with Yates' continuity correction, which never takes more than the whole difference (R's
/// and scipy's default).
///
/// `None` where a row or column is empty.
pub fn chi_squared_yates(table: [[u64; 2]; 2]) -> Option<ChiSquared> {
    let expected = expected(&[&table[0], &table[1]])?;
    let cells = table.as_flattened().iter().zip(expected.iter().flatten());
    let statistic = cells
        .map(|(&n, mean)| ((n as f64 - mean).abs() - 0.5).max(0.0).powi(2) / mean)
        .sum();
    Some(ChiSquared::new(statistic, 1.0))
}

/// Expected counts under independence; `None` where the table isn't one or a margin is 0.
fn expected(table: &[&[u64]]) -> Option<Vec<Vec<f64>>> {
    let columns = table.first()?.len();
    if table.len() < 2 || columns < 2 || table.iter().any(|row| row.len() != columns) {
        return None;
    }
    let of_row: Vec<f64> = table.iter().map(|row| row.iter().map(|&n| n as f64).sum()).collect();
    let of_column: Vec<f64> = (0..columns)
        .map(|at| table.iter().map(|row| row[at] as f64).sum())
        .collect();
    let n: f64 = of_row.iter().sum();
    if of_row.iter().chain(&of_column).any(|&margin| margin == 0.0) {
        return None;
    }
    let row = |margin: &f64| of_column.iter().map(|column| margin * column / n).collect();
    Some(of_row.iter().map(row).collect())
}

/// Two-sided p of Fisher's exact test: all tables with these margins that are at most as likely as this one, as R's
/// `fisher.test` and scipy's `fisher_exact` define it. An empty margin leaves one possible table, and p is 1.
pub fn fisher_exact(table: [[u64; 2]; 2]) -> f64 {
    let [[a, b], [c, d]] = table;
    let (row, column, n) = (a + b, a + c, a + b + c + d);
    let (lowest, highest) = (column.saturating_sub(n - row), row.min(column));
    // Likelihoods relative to the mode's, by their ratios: no logarithm of a factorial loses digits.
    let rise = |k: u64| {
        let (first, second) = ((row - k) as f64 / (k + 1) as f64, (column - k) as f64);
        first * second / (n + k + 1 - row - column) as f64
    };
    let mode = ((row as f64 + 1.0) * (column as f64 + 1.0) / (n as f64 + 2.0)) as u64;
    let mode = mode.clamp(lowest, highest);
    let mut weights = vec![0.0; (highest - lowest + 1) as usize];
    let place = |k: u64| (k - lowest) as usize;
    weights[place(mode)] = 1.0;
    for k in mode..highest {
        weights[place(k + 1)] = weights[place(k)] * rise(k);
    }
    for k in (lowest..mode).rev() {
        weights[place(k)] = weights[place(k + 1)] / rise(k);
    }
    // R's tolerance: tables that tie in truth must tie in floating point.
    let limit = weights[place(a)] * (1.0 + 1e-7);
    let as_rare: f64 = weights.iter().filter(|&&weight| weight <= limit).sum();
    (as_rare / weights.iter().sum::<f64>()).min(1.0)
}

/// McNemar's test of two paired proportions (McNemar, Psychometrika 1947, doi:10.1007/BF02295996), from the pairs that
/// differ.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct McNemar {
    /// Pairs that only the first called so.
    pub only_first: u64,
    /// Pairs that only the second called so.
    pub only_second: u64,
    /// Without correction; `None` where no pair differs.
    pub asymptotic: Option<ChiSquared>,
    /// With Edwards' continuity correction; `None` where no pair differs.
    pub corrected: Option<ChiSquared>,
    /// Two-sided binomial test, twice the smaller tail and at most 1.
    pub exact_p: f64,
}

/// McNemar's test, three ways. Where no pair differs the two agree in everything: the exact p is 1, the others are not
/// defined.
///
/// ```
/// use hounsfield::stats::mcnemar;
/// // Pu 2020: 11 and 8 controls that only one of the two readers called positive.
/// let test = mcnemar(11, 8);
/// assert!((test.asymptotic.unwrap().p - 0.491).abs() < 5e-4 && (test.exact_p - 0.648).abs() < 5e-4);
/// ```
pub fn mcnemar(only_first: u64, only_second: u64) -> McNemar {
    let discordant = only_first + only_second;
    let difference = only_first.abs_diff(only_second) as f64;
    let test =
        |difference: f64| (discordant > 0).then(|| ChiSquared::new(difference * difference / discordant as f64, 1.0));
    let exact_p = match discordant {
        0 => 1.0,
        n => (2.0 * binomial_cdf(only_first.min(only_second), n, 0.5)).min(1.0),
    };
    McNemar {
        only_first,
        only_second,
        asymptotic: test(difference),
        corrected: test((difference - 1.0).max(0.0)),
        exact_p,
    }
}

/// The linear-by-linear test of a trend, M2 = (n - 1) r2, where r is the correlation of the row and column scores
/// (Mantel 1963; Agresti 3.4.1; SPSS calls it "linear-by-linear association").
///
/// `None` where scores do not fit the table or have no spread over it.
pub fn linear_by_linear(table: &[&[u64]], row_scores: &[f64], column_scores: &[f64]) -> Option<ChiSquared> {
    let (n, r) = correlation(table, row_scores, column_scores)?;
    Some(ChiSquared::new((n - 1.0) * r * r, 1.0))
}

/// A test whose statistic is normal.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ZTest {
    /// The statistic; its sign is that of the effect.
    pub z: f64,
    /// Two-sided.
    pub p: f64,
}

impl ZTest {
    pub(super) fn new(z: f64) -> Self {
        let p = normal_two_sided(z);
        Self { z, p }
    }
}

/// The Cochran-Armitage test of a trend in proportions (Armitage, Biometrics 1955, doi:10.2307/3001775): `hits` of
/// `trials` at each score; z is positive where the proportion rises with the score. Its square is n r2, a little more
/// than [`linear_by_linear`]'s (n - 1) r2.
///
/// `None` where lengths differ, hits exceed trials, or hits or scores have no spread.
pub fn cochran_armitage(hits: &[u64], trials: &[u64], scores: &[f64]) -> Option<ZTest> {
    if hits.len() != trials.len() || hits.iter().zip(trials).any(|(hits, trials)| hits > trials) {
        return None;
    }
    let misses: Vec<u64> = hits.iter().zip(trials).map(|(hits, trials)| trials - hits).collect();
    let (n, r) = correlation(&[&misses, hits], &[0.0, 1.0], scores)?;
    Some(ZTest::new(n.sqrt() * r))
}

/// The number of observations and the correlation of the scores over a table.
fn correlation(table: &[&[u64]], row_scores: &[f64], column_scores: &[f64]) -> Option<(f64, f64)> {
    let fits = table.len() == row_scores.len() && table.iter().all(|row| row.len() == column_scores.len());
    if !fits || !row_scores.iter().chain(column_scores).all(|score| score.is_finite()) {
        return None;
    }
    let cells = || {
        let rows = table.iter().zip(row_scores);
        rows.flat_map(|(row, &x)| row.iter().zip(column_scores).map(move |(&n, &y)| (n as f64, x, y)))
    };
    let n: f64 = cells().map(|(n, _, _)| n).sum();
    let mean_x = cells().map(|(n, x, _)| n * x).sum::<f64>() / n;
    let mean_y = cells().map(|(n, _, y)| n * y).sum::<f64>() / n;
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (n, x, y) in cells() {
        let (x, y) = (x - mean_x, y - mean_y);
        (xx, yy, xy) = (xx + n * x * x, yy + n * y * y, xy + n * x * y);
    }
    // Also false where n is 0 and all is NaN.
    (xx > 0.0 && yy > 0.0).then(|| (n, (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_define_no_test_give_none_and_no_nan() {
        let empty: [&[u64]; 6] = [&[], &[0, 0], &[1], &[1, 2], &[0, 5], &[3, 0]];
        for row in empty {
            assert_eq!(chi_squared(&[row]), None);
            assert_eq!(chi_squared(&[row, &[0, 0]]), None);
        }
        assert_eq!(chi_squared(&[]), None);
        assert_eq!(chi_squared(&[&[1, 2], &[1, 2, 3]]), None);
        assert_eq!(chi_squared_yates([[0, 0], [4, 5]]), None);
        assert_eq!(fisher_exact([[0, 0], [0, 0]]), 1.0);
        assert_eq!(fisher_exact([[0, 9], [0, 5]]), 1.0);
        let none = mcnemar(0, 0);
        assert_eq!((none.asymptotic, none.corrected, none.exact_p), (None, None, 1.0));
        // A correction that overshot would find a difference of -1 here.
        assert_eq!(mcnemar(4, 4).corrected.unwrap().statistic, 0.0);
        assert_eq!(cochran_armitage(&[1, 2], &[5, 5], &[1.0, 1.0]), None);
        assert_eq!(cochran_armitage(&[0, 0], &[5, 5], &[1.0, 2.0]), None);
        assert_eq!(cochran_armitage(&[6, 0], &[5, 5], &[1.0, 2.0]), None);
        assert_eq!(linear_by_linear(&[&[0, 0], &[0, 0]], &[0.0, 1.0], &[0.0, 1.0]), None);
        assert_eq!(
            linear_by_linear(&[&[1, 2], &[2, 1]], &[0.0, f64::NAN], &[0.0, 1.0]),
            None
        );
    }

    #[test]
    fn a_turned_table_gives_the_same_p() {
        let (table, turned) = ([[7, 2], [3, 11]], [[7, 3], [2, 11]]);
        assert!((fisher_exact(table) - fisher_exact(turned)).abs() < 1e-14);
        let p = |t: [[u64; 2]; 2]| chi_squared(&[&t[0], &t[1]]).unwrap().p;
        assert!((p(table) - p(turned)).abs() < 1e-14);
        assert_eq!(mcnemar(7, 2).exact_p, mcnemar(2, 7).exact_p);
    }

    #[test]
    fn a_huge_table_neither_overflows_nor_takes_long() {
        let p = fisher_exact([[500_000, 500_100], [499_900, 500_300]]);
        assert!(p > 0.5 && p < 1.0, "{p}");
        assert!(fisher_exact([[1_000_000, 0], [0, 1_000_000]]) < 1e-300);
    }
}
