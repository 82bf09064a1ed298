//! Tests from what a paper prints: n, mean and standard deviation of each group (Altman, Practical Statistics for Medical
//! Research, 1991, chapter 9), pooled summaries, and the standardised difference (Austin, Stat Med 2009,
//! doi:10.1002/sim.3697).
//!
//! `None` means that the numbers define no test: a standard deviation below 0, fewer than two observations where a spread
//! is needed, no spread at all.

use super::distributions::{f_upper, t_two_sided};

/// What a table prints of a group.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// Observations.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (divisor n - 1).
    pub sd: f64,
}

impl Summary {
    fn sound(&self) -> bool {
        self.n > 0 && self.mean.is_finite() && self.sd.is_finite() && self.sd >= 0.0
    }

    /// Sum of squares about the group's own mean.
    fn squares(&self) -> f64 {
        (self.n as f64 - 1.0) * self.sd * self.sd
    }
}

/// A t test of two means.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TTest {
    /// First mean minus second.
    pub difference: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The statistic.
    pub t: f64,
    /// Degrees of freedom; Welch's are fractional.
    pub df: f64,
    /// Two-sided.
    pub p: f64,
}

impl TTest {
    fn new(difference: f64, variance: f64, df: f64) -> Option<Self> {
        let standard_error = variance.sqrt();
        let t = difference / standard_error;
        (standard_error > 0.0 && t.is_finite() && df > 0.0).then(|| Self {
            difference,
            standard_error,
            t,
            df,
            p: t_two_sided(t, df),
        })
    }
}

/// Student's t test with the pooled variance.
pub fn t_test_pooled(a: Summary, b: Summary) -> Option<TTest> {
    let df = (a.n + b.n)
        .checked_sub(2)
        .filter(|&df| df > 0 && a.sound() && b.sound())? as f64;
    let variance = (a.squares() + b.squares()) / df * (1.0 / a.n as f64 + 1.0 / b.n as f64);
    TTest::new(a.mean - b.mean, variance, df)
}

/// Welch's t test, which lets the variances differ (Welch, Biometrika 1947, doi:10.1093/biomet/34.1-2.28).
pub fn t_test_welch(a: Summary, b: Summary) -> Option<TTest> {
    if a.n < 2 || b.n < 2 || !a.sound() || !b.sound() {
        return None;
    }
    let [v, w] = [a, b].map(|group| group.sd * group.sd / group.n as f64);
    let df = (v + w).powi(2) / (v * v / (a.n as f64 - 1.0) + w * w / (b.n as f64 - 1.0));
    TTest::new(a.mean - b.mean, v + w, df)
}

/// A one-way analysis of variance.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Anova {
    /// Ratio of the mean squares.
    pub f: f64,
    /// Degrees of freedom between groups.
    pub df_between: f64,
    /// Degrees of freedom within groups.
    pub df_within: f64,
    /// Upper tail.
    pub p: f64,
}

/// One-way analysis of variance from the groups' summaries.
///
/// ```
/// use hounsfield::stats::{Summary, anova};
/// // Pu 2020: age of the COVID-19 patients in training, validation and test.
/// let ages = [(97, 49.4, 15.4), (27, 40.7, 13.7), (27, 53.2, 17.4)];
/// let test = anova(&ages.map(|(n, mean, sd)| Summary { n, mean, sd })).unwrap();
/// assert!((test.p - 0.009).abs() < 5e-4);
/// ```
pub fn anova(groups: &[Summary]) -> Option<Anova> {
    let whole = pooled(groups)?;
    let df_between = groups.len().checked_sub(1).filter(|&df| df > 0)? as f64;
    let df_within = whole.n.checked_sub(groups.len() as u64).filter(|&df| df > 0)? as f64;
    let between: f64 = groups
        .iter()
        .map(|group| group.n as f64 * (group.mean - whole.mean).powi(2))
        .sum();
    let within: f64 = groups.iter().map(Summary::squares).sum();
    let f = (between / df_between) / (within / df_within);
    f.is_finite().then(|| Anova {
        f,
        df_between,
        df_within,
        p: f_upper(f, df_between, df_within),
    })
}

/// The summary of all groups together, as if their observations stood in one list: the SD holds the spread between the
/// groups too. `None` without groups; a single observation has an SD of 0.
pub fn pooled(groups: &[Summary]) -> Option<Summary> {
    if groups.is_empty() || !groups.iter().all(Summary::sound) {
        return None;
    }
    let n: u64 = groups.iter().map(|group| group.n).sum();
    let mean = groups.iter().map(|group| group.n as f64 * group.mean).sum::<f64>() / n as f64;
    let square = |group: &Summary| group.squares() + group.n as f64 * (group.mean - mean).powi(2);
    let squares: f64 = groups.iter().map(square).sum();
    let sd = if n > 1 {
        (squares / (n as f64 - 1.0)).sqrt()
    } else {
        0.0
    };
    Some(Summary { n, mean, sd })
}

/// The mean of values that count `weights` times. `None` where lengths differ, a weight is negative or all are 0.
pub fn weighted_mean(values: &[f64], weights: &[f64]) -> Option<f64> {
    if values.len() != weights.len() || weights.iter().any(|&weight| weight.is_nan() || weight < 0.0) {
        return None;
    }
    let sum: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    let mean = sum / weights.iter().sum::<f64>();
    mean.is_finite().then_some(mean)
}

/// The difference of two means in standard deviations (the root of the groups' average variance). Beyond 0.1 groups count
/// as unbalanced; unlike p, it does not grow with n.
///
/// `None` where neither group has spread.
pub fn standardised_difference(a: Summary, b: Summary) -> Option<f64> {
    let spread = ((a.sd * a.sd + b.sd * b.sd) / 2.0).sqrt();
    (a.sound() && b.sound() && spread > 0.0).then(|| (a.mean - b.mean) / spread)
}

/// The same of two proportions. `None` where both are 0 or both are 1, or one is no proportion.
pub fn standardised_difference_of_proportions(a: f64, b: f64) -> Option<f64> {
    let spread = ((a * (1.0 - a) + b * (1.0 - b)) / 2.0).sqrt();
    let proportions = [a, b].iter().all(|p| (0.0..=1.0).contains(p));
    (proportions && spread > 0.0).then(|| (a - b) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n: u64, mean: f64, sd: f64) -> Summary {
        Summary { n, mean, sd }
    }

    #[test]
    fn numbers_that_define_no_test_give_none() {
        let good = of(5, 1.0, 1.0);
        for bad in [
            of(0, 1.0, 1.0),
            of(5, f64::NAN, 1.0),
            of(5, 1.0, -1.0),
            of(5, 1.0, f64::INFINITY),
        ] {
            assert_eq!(t_test_pooled(good, bad), None);
            assert_eq!(t_test_welch(bad, good), None);
            assert_eq!(anova(&[good, bad]), None);
            assert_eq!(pooled(&[bad]), None);
            assert_eq!(standardised_difference(good, bad), None);
        }
        assert_eq!(t_test_welch(good, of(1, 2.0, 0.0)), None);
        assert!(t_test_pooled(good, of(1, 2.0, 0.0)).is_some());
        assert_eq!(t_test_pooled(of(1, 1.0, 0.0), of(1, 2.0, 0.0)), None);
        assert_eq!(t_test_pooled(of(5, 1.0, 0.0), of(5, 2.0, 0.0)), None);
        assert_eq!(anova(&[good]), None);
        assert_eq!(anova(&[]), None);
        assert_eq!(weighted_mean(&[1.0], &[0.0]), None);
        assert_eq!(weighted_mean(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(standardised_difference_of_proportions(1.0, 1.0), None);
        assert_eq!(standardised_difference_of_proportions(1.2, 0.5), None);
    }

    #[test]
    fn two_groups_give_the_squared_t_as_f() {
        let (a, b) = (of(12, 3.5, 1.2), of(20, 4.1, 0.8));
        let (t, f) = (t_test_pooled(a, b).unwrap(), anova(&[a, b]).unwrap());
        assert!((t.t * t.t - f.f).abs() < 1e-12 && (t.p - f.p).abs() < 1e-12);
    }

    #[test]
    fn pooled_groups_are_the_one_list() {
        // 1 2 3 and 7 9: mean 4.4, squares 11.56 + 5.76 + 1.96 + 6.76 + 21.16.
        let whole = pooled(&[of(3, 2.0, 1.0), of(2, 8.0, 2.0_f64.sqrt())]).unwrap();
        assert!((whole.mean - 4.4).abs() < 1e-12 && (whole.sd - 11.8_f64.sqrt()).abs() < 1e-12);
        assert_eq!(whole.n, 5);
    }
}
