//! Agreement of many raters: Fleiss' kappa (Psychol Bull 1971, doi:10.1037/h0031619), with the null error of Fleiss, Nee &
//! Landis (Psychol Bull 1979, doi:10.1037/0033-2909.86.5.974) and Gwet's linearised error at the observed agreement (Educ
//! Psychol Meas 2021, doi:10.1177/0013164420973080).

use super::{
    StatsError,
    distributions::{normal_two_sided, z_of_level},
};

/// Fleiss' kappa with its asymptotic errors, which take the cases as independent.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FleissKappa {
    /// Agreement beyond chance: 1 is perfect.
    pub value: f64,
    /// Cases that at least two raters read.
    pub cases: usize,
    /// Standard error at the observed agreement (Gwet 2021); `None` with fewer than two cases.
    pub standard_error: Option<f64>,
    /// Wald interval, kept within -1 and 1; `None` where there is no error or it is 0.
    pub interval: Option<[f64; 2]>,
    /// Two-sided p of no agreement beyond chance; `None` where cases had different numbers of raters, for which the null
    /// error was not derived.
    pub p: Option<f64>,
}

/// Fleiss' kappa of cases `[cases][categories]` that hold how many raters gave each category, each case `times` over.
///
/// Cases may have different numbers of raters; one that fewer than two read says nothing of agreement but counts for the
/// categories' shares (Gwet 2014). `None` without such a case, or where one category was given throughout.
pub fn fleiss_kappa(cases: &[Vec<u64>], times: &[u32]) -> Option<f64> {
    Parts::of(cases, times).map(|parts| parts.kappa())
}

/// Fleiss' kappa with errors and interval; `None` as in [`fleiss_kappa`].
///
/// # Errors
///
/// A level that is none.
pub fn fleiss_kappa_with_error(cases: &[Vec<u64>], level: f64) -> Result<Option<FleissKappa>, StatsError> {
    let z = z_of_level(level)?;
    let Some(parts) = Parts::of(cases, &vec![1; cases.len()]) else {
        return Ok(None);
    };
    let value = parts.kappa();
    let raters: Vec<f64> = cases.iter().map(|case| case.iter().sum::<u64>() as f64).collect();
    let n = raters.iter().filter(|&&raters| raters > 0.0).count() as f64;
    let squares: f64 = cases
        .iter()
        .zip(&raters)
        .filter(|(_, raters)| **raters > 0.0)
        .map(|(case, &raters)| {
            // A case's part in the observed agreement: none where one rater read it, so that the rest count for more.
            let agreed = if raters < 2.0 {
                0.0
            } else {
                agreed(case) * n / parts.weight
            };
            let adjust = if raters < 2.0 { 0.0 } else { n / parts.weight };
            let own = (agreed - adjust * parts.expected) / (1.0 - parts.expected);
            let share: f64 = case
                .iter()
                .zip(&parts.shares)
                .map(|(&given, p)| given as f64 / raters * p)
                .sum();
            let linear = own - 2.0 * (1.0 - value) * (share - parts.expected) / (1.0 - parts.expected);
            (linear - value).powi(2)
        })
        .sum();
    let standard_error = (n > 1.0).then(|| (squares / (n * (n - 1.0))).sqrt());
    let interval = standard_error
        .filter(|&error| error > 1e-12)
        .map(|error| [value - z * error, value + z * error].map(|end| end.clamp(-1.0, 1.0)));
    let same = raters.iter().all(|&other| other == raters[0]);
    Ok(Some(FleissKappa {
        value,
        cases: parts.weight as usize,
        standard_error,
        interval,
        p: same.then(|| normal_two_sided(value / parts.null_error(raters[0]))),
    }))
}

/// Share of the pairs of raters of one case that agree; at least two raters.
fn agreed(case: &[u64]) -> f64 {
    let raters: u64 = case.iter().sum();
    let pairs: u64 = case.iter().map(|&given| given * given.saturating_sub(1)).sum();
    pairs as f64 / (raters * (raters - 1)) as f64
}

struct Parts {
    /// Share of each category.
    shares: Vec<f64>,
    observed: f64,
    expected: f64,
    /// Cases that at least two raters read.
    weight: f64,
}

impl Parts {
    fn of(cases: &[Vec<u64>], times: &[u32]) -> Option<Self> {
        let categories = cases.first()?.len();
        let (mut shares, mut all) = (vec![0.0; categories], 0.0);
        let (mut observed, mut weight) = (0.0, 0.0);
        let mut given_at_all = vec![false; categories];
        for (case, &times) in cases.iter().zip(times) {
            let raters: u64 = case.iter().sum();
            if raters == 0 || times == 0 {
                continue;
            }
            let times = f64::from(times);
            all += times;
            for (category, &given) in case.iter().enumerate() {
                shares[category] += times * given as f64 / raters as f64;
                given_at_all[category] |= given > 0;
            }
            if raters > 1 {
                observed += times * agreed(case);
                weight += times;
            }
        }
        if weight == 0.0 || given_at_all.iter().filter(|&&given| given).count() < 2 {
            return None;
        }
        let shares: Vec<f64> = shares.into_iter().map(|share| share / all).collect();
        Some(Self {
            observed: observed / weight,
            expected: shares.iter().map(|share| share * share).sum(),
            shares,
            weight,
        })
    }

    fn kappa(&self) -> f64 {
        (self.observed - self.expected) / (1.0 - self.expected)
    }

    /// Fleiss, Nee & Landis 1979, equation 12: every case with as many `raters`.
    fn null_error(&self, raters: f64) -> f64 {
        let spread: f64 = self.shares.iter().map(|p| p * (1.0 - p)).sum();
        let skew: f64 = self.shares.iter().map(|p| p * (1.0 - p) * (1.0 - 2.0 * p)).sum();
        (2.0 / (self.weight * raters * (raters - 1.0))).sqrt() * (spread * spread - skew).sqrt() / spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_that_say_nothing_of_agreement_have_no_kappa() {
        let none: [&[Vec<u64>]; 4] = [&[], &[vec![1, 0], vec![0, 1]], &[vec![3, 0], vec![3, 0]], &[vec![0, 0]]];
        for cases in none {
            assert_eq!(fleiss_kappa_with_error(cases, 0.95), Ok(None), "{cases:?}");
        }
        let one = fleiss_kappa_with_error(&[vec![2, 1]], 0.95).unwrap().unwrap();
        assert_eq!((one.standard_error, one.interval), (None, None));
        assert!(one.value.is_finite());
    }

    #[test]
    fn a_case_twice_is_a_case_of_weight_two() {
        let cases = [vec![3, 0], vec![1, 2], vec![0, 3], vec![2, 1]];
        let doubled: Vec<Vec<u64>> = [&cases[..], &cases[1..2]].concat();
        let (a, b) = (fleiss_kappa(&cases, &[1, 2, 1, 1]), fleiss_kappa(&doubled, &[1; 5]));
        assert!((a.unwrap() - b.unwrap()).abs() < 1e-14);
    }

    #[test]
    fn perfect_agreement_has_a_kappa_of_one_and_no_interval() {
        let kappa = fleiss_kappa_with_error(&[vec![3, 0], vec![0, 3], vec![3, 0]], 0.95)
            .unwrap()
            .unwrap();
        assert!((kappa.value - 1.0).abs() < 1e-15);
        assert_eq!(kappa.interval, None);
    }
}
