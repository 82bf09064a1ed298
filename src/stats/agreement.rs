//! Agreement of two raters: percent agreement, Cohen's kappa plain and weighted (Cohen, Educ Psychol Meas 1960,
//! doi:10.1177/001316446002000104; Psychol Bull 1968, doi:10.1037/h0026256) with the large-sample errors of Fleiss, Cohen &
//! Everitt (Psychol Bull 1969, doi:10.1037/h0028106).

use super::{
    Estimate, StatsError,
    distributions::{normal_two_sided, z_of_level},
};

/// How much a disagreement counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KappaWeights {
    /// Any disagreement is a whole one.
    #[default]
    Unweighted,
    /// In proportion to the distance of the categories.
    Linear,
    /// In proportion to the square of the distance.
    Quadratic,
}

impl KappaWeights {
    /// Credit for the pair (i, j) of `k` categories, 1 on the diagonal.
    fn credit(self, i: usize, j: usize, k: usize) -> f64 {
        let distance = i.abs_diff(j) as f64 / (k as f64 - 1.0).max(1.0);
        match self {
            Self::Unweighted => f64::from(u8::from(i == j)),
            Self::Linear => 1.0 - distance,
            Self::Quadratic => 1.0 - distance * distance,
        }
    }
}

/// Cohen's kappa with its asymptotic errors, which take the cases as independent.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Kappa {
    /// Agreement beyond chance: 1 is perfect, 0 what chance alone would give.
    pub value: f64,
    /// Standard error at the observed agreement.
    pub standard_error: f64,
    /// Wald interval, kept within -1 and 1; `None` where the error is 0 and the interval would have no width.
    pub interval: Option<[f64; 2]>,
    /// Standard error if there were no agreement beyond chance.
    pub null_standard_error: f64,
    /// Two-sided p of no agreement beyond chance; `None` where that error is 0.
    pub p: Option<f64>,
}

/// How often each pair of categories was given: the first rater's in rows, the second's in columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairTable {
    categories: usize,
    /// `[categories * categories]`, row by row.
    counts: Vec<u64>,
}

impl PairTable {
    /// A table of counts; `None` where it is not square or empty of categories.
    pub fn new(rows: &[&[u64]]) -> Option<Self> {
        let categories = rows.len();
        (categories > 0 && rows.iter().all(|row| row.len() == categories)).then(|| Self {
            categories,
            counts: rows.concat(),
        })
    }

    /// Counts the pairs of two raters' categories (from 0, in their order), each `times` over. All are of one length, and
    /// categories are below `categories`.
    pub fn of_ratings(first: &[usize], second: &[usize], times: &[u32], categories: usize) -> Self {
        let mut counts = vec![0; categories * categories];
        for ((&i, &j), &times) in first.iter().zip(second).zip(times) {
            counts[i * categories + j] += u64::from(times);
        }
        Self { categories, counts }
    }

    /// Pairs in the table.
    pub fn n(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Pairs of the category `i` by the first and `j` by the second.
    pub fn count(&self, i: usize, j: usize) -> u64 {
        self.counts[i * self.categories + j]
    }

    /// Share of the pairs that agree; `None` without pairs.
    pub fn agreement(&self) -> Option<f64> {
        let n = self.n();
        let same: u64 = (0..self.categories).map(|i| self.count(i, i)).sum();
        (n > 0).then(|| same as f64 / n as f64)
    }

    /// Prevalence- and bias-adjusted kappa (Byrt, Bishop & Carlin, J Clin Epidemiol 1993,
    /// doi:10.1016/0895-4356(93)90018-V): agreement beyond that of raters who throw dice. `None` without pairs or with one
    /// category.
    pub fn adjusted_kappa(&self) -> Option<f64> {
        let k = self.categories as f64;
        let agreement = self.agreement()?;
        (self.categories > 1).then(|| (k * agreement - 1.0) / (k - 1.0))
    }

    /// Cohen's kappa; `None` without pairs, or where both raters gave one and the same category throughout, as chance
    /// alone would then agree wholly.
    pub fn kappa(&self, weights: KappaWeights) -> Option<f64> {
        let shares = Shares::of(self, weights)?;
        Some((shares.observed - shares.expected) / (1.0 - shares.expected))
    }

    /// Cohen's kappa with errors, interval and test; `None` as in [`Self::kappa`].
    ///
    /// # Errors
    ///
    /// A level that is none.
    pub fn kappa_with_error(&self, weights: KappaWeights, level: f64) -> Result<Option<Kappa>, StatsError> {
        let z = z_of_level(level)?;
        let Some(shares) = Shares::of(self, weights) else {
            return Ok(None);
        };
        let (n, k) = (self.n() as f64, self.categories);
        let (observed, expected) = (shares.observed, shares.expected);
        let value = (observed - expected) / (1.0 - expected);
        let pairs = || (0..k).flat_map(|i| (0..k).map(move |j| (i, j)));
        // Mean credit of a row's category against all of the second rater's, and of a column's.
        let credit = |i, j| weights.credit(i, j, k);
        let of_row: Vec<f64> = (0..k)
            .map(|i| (0..k).map(|j| shares.second[j] * credit(i, j)).sum())
            .collect();
        let of_column: Vec<f64> = (0..k)
            .map(|j| (0..k).map(|i| shares.first[i] * credit(i, j)).sum())
            .collect();
        let spread: f64 = pairs()
            .map(|(i, j)| {
                let share = self.count(i, j) as f64 / n;
                share * (credit(i, j) - (of_row[i] + of_column[j]) * (1.0 - value)).powi(2)
            })
            .sum();
        let null: f64 = pairs()
            .map(|(i, j)| shares.first[i] * shares.second[j] * (credit(i, j) - of_row[i] - of_column[j]).powi(2))
            .sum();
        // Rounding may leave -1e-17 of nothing.
        let error = |square: f64| {
            let square = if square < 1e-14 { 0.0 } else { square };
            square.sqrt() / ((1.0 - expected) * n.sqrt())
        };
        let standard_error = error(spread - (value - expected * (1.0 - value)).powi(2));
        let null_standard_error = error(null - expected * expected);
        let ends = [value - z * standard_error, value + z * standard_error];
        Ok(Some(Kappa {
            value,
            standard_error,
            interval: (standard_error > 0.0).then(|| ends.map(|end| end.clamp(-1.0, 1.0))),
            null_standard_error,
            p: (null_standard_error > 0.0).then(|| normal_two_sided(value / null_standard_error)),
        }))
    }
}

impl Kappa {
    /// Value and interval; `None` where the interval has no width.
    pub fn estimate(&self) -> Option<Estimate> {
        let [lower, upper] = self.interval?;
        let value = self.value;
        Some(Estimate { value, lower, upper })
    }
}

/// Margins and agreement as shares of the pairs.
struct Shares {
    first: Vec<f64>,
    second: Vec<f64>,
    observed: f64,
    expected: f64,
}

impl Shares {
    fn of(table: &PairTable, weights: KappaWeights) -> Option<Self> {
        let (n, k) = (table.n() as f64, table.categories);
        let margin = |count: &dyn Fn(usize, usize) -> u64| -> Vec<u64> {
            (0..k).map(|i| (0..k).map(|j| count(i, j)).sum()).collect()
        };
        let (rows, columns) = (margin(&|i, j| table.count(i, j)), margin(&|j, i| table.count(i, j)));
        // In whole numbers, so that 1 - expected is never a rounding error that something is divided by.
        let one_category = (0..k).any(|i| rows[i] == table.n() && columns[i] == table.n());
        if n == 0.0 || one_category {
            return None;
        }
        let share = |counts: Vec<u64>| -> Vec<f64> { counts.into_iter().map(|count| count as f64 / n).collect() };
        let (first, second) = (share(rows), share(columns));
        let (mut observed, mut expected) = (0.0, 0.0);
        for (i, in_first) in first.iter().enumerate() {
            for (j, in_second) in second.iter().enumerate() {
                let credit = weights.credit(i, j, k);
                observed += credit * table.count(i, j) as f64 / n;
                expected += credit * in_first * in_second;
            }
        }
        Some(Self {
            first,
            second,
            observed,
            expected,
        })
    }
}

/// All 2x2 tables `[[++, +-], [-+, --]]` of `n` cases in which the raters call `p1` and `p2` positive and whose kappa prints
/// as `kappa` with so many `decimals`: a table that a paper did not print, if only one comes back.
///
/// ```
/// use hounsfield::stats::tables_with_kappa;
/// // Pu 2020: the two readers called 42 and 40 of 50 scans positive, kappa 0.19.
/// assert_eq!(tables_with_kappa(42, 40, 50, 0.19, 2), [[[35, 7], [5, 3]]]);
/// ```
pub fn tables_with_kappa(p1: u64, p2: u64, n: u64, kappa: f64, decimals: u32) -> Vec<[[u64; 2]; 2]> {
    if p1 > n || p2 > n {
        return Vec::new();
    }
    let half = 0.5 * 10_f64.powi(-(decimals as i32));
    let tables =
        ((p1 + p2).saturating_sub(n)..=p1.min(p2)).map(|both| [[both, p1 - both], [p2 - both, n + both - p1 - p2]]);
    let prints = |table: &[[u64; 2]; 2]| {
        let pairs = PairTable::new(&[&table[0], &table[1]])?;
        // A kappa on the border may have been rounded either way.
        Some((pairs.kappa(KappaWeights::Unweighted)? - kappa).abs() <= half * (1.0 + 1e-9))
    };
    tables.filter(|table| prints(table) == Some(true)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_that_chance_explains_wholly_has_no_kappa() {
        for table in [[[0, 0], [0, 0]], [[7, 0], [0, 0]], [[0, 0], [0, 3]]] {
            let pairs = PairTable::new(&[&table[0], &table[1]]).unwrap();
            assert_eq!(pairs.kappa(KappaWeights::Unweighted), None);
            assert_eq!(pairs.kappa_with_error(KappaWeights::Linear, 0.95), Ok(None));
        }
        assert_eq!(PairTable::new(&[&[1, 2], &[3]]), None);
        assert_eq!(PairTable::new(&[]), None);
        assert_eq!(PairTable::new(&[&[4]]).unwrap().adjusted_kappa(), None);
        assert_eq!(PairTable::new(&[&[0]]).unwrap().agreement(), None);
    }

    #[test]
    fn perfect_agreement_has_no_interval_of_no_width() {
        let pairs = PairTable::new(&[&[5, 0], &[0, 5]]).unwrap();
        let kappa = pairs.kappa_with_error(KappaWeights::Unweighted, 0.95).unwrap().unwrap();
        assert_eq!((kappa.value, kappa.standard_error, kappa.interval), (1.0, 0.0, None));
        assert!(kappa.p.unwrap() < 0.01 && kappa.estimate().is_none());
        assert!(pairs.kappa_with_error(KappaWeights::Unweighted, 95.0).is_err());
    }

    #[test]
    fn raters_who_always_contradict_stay_within_the_bounds() {
        let pairs = PairTable::new(&[&[0, 4], &[5, 0]]).unwrap();
        let kappa = pairs.kappa_with_error(KappaWeights::Unweighted, 0.95).unwrap().unwrap();
        assert!((-1.0..-0.9).contains(&kappa.value), "{kappa:?}");
        assert!(
            kappa.interval.is_none_or(|[lower, upper]| lower >= -1.0 && upper < 0.0),
            "{kappa:?}"
        );
    }

    #[test]
    fn two_categories_make_all_weights_the_same_and_raters_may_swap() {
        let (pairs, swapped) = ([[11, 11], [8, 20]], [[11, 8], [11, 20]]);
        let kappa = |t: [[u64; 2]; 2], weights| {
            let pairs = PairTable::new(&[&t[0], &t[1]]).unwrap();
            pairs.kappa_with_error(weights, 0.95).unwrap().unwrap()
        };
        let plain = kappa(pairs, KappaWeights::Unweighted);
        for other in [
            kappa(pairs, KappaWeights::Linear),
            kappa(pairs, KappaWeights::Quadratic),
            kappa(swapped, KappaWeights::Unweighted),
        ] {
            assert!((plain.value - other.value).abs() < 1e-14, "{plain:?} {other:?}");
            assert!((plain.standard_error - other.standard_error).abs() < 1e-14);
        }
    }

    #[test]
    fn margins_that_cannot_be_give_no_table() {
        assert!(tables_with_kappa(6, 2, 5, 0.0, 2).is_empty());
        assert!(tables_with_kappa(0, 0, 0, 0.0, 2).is_empty());
        assert_eq!(tables_with_kappa(22, 19, 50, 0.22, 2), [[[11, 11], [8, 20]]]);
        assert_eq!(tables_with_kappa(5, 5, 10, 1.0, 2), [[[5, 0], [0, 5]]]);
    }
}
