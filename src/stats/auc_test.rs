//! Intervals and tests of AUCs from their covariance (DeLong 1988; unpaired as pROC does, Robin et al., BMC
//! Bioinformatics 2011, doi:10.1186/1471-2105-12-77).

use super::{
    AucCovariance, StatsError,
    distributions::{normal_cdf, normal_two_sided, t_quantile, t_two_sided, z_of_level},
};

/// On which scale an interval is symmetric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// The AUC itself, cut off at 0 and 1 (Wald; pROC's interval).
    #[default]
    Wald,
    /// The log-odds of the AUC, which stays inside (0, 1) and covers better near 1 (Pepe, The Statistical Evaluation of
    /// Medical Tests, 2003, 5.2.4).
    Logit,
}

/// What a test holds against equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alternative {
    /// The AUCs differ.
    #[default]
    TwoSided,
    /// The first is the greater.
    Greater,
    /// The first is the lesser.
    Less,
}

/// A test that two AUCs are equal.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AucTest {
    /// First AUC less second.
    pub difference: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Two-sided interval of the difference, whatever the alternative.
    pub ci: [f64; 2],
    /// The difference in standard errors: Z of paired scores, D of unpaired ones.
    pub statistic: f64,
    /// Degrees of freedom of its t distribution; `None` where it is normal.
    pub df: Option<f64>,
    /// P-value.
    pub p: f64,
}

impl AucCovariance {
    /// Standard error of one AUC.
    pub fn standard_error(&self, column: usize) -> f64 {
        self.covariance[column][column].sqrt()
    }

    /// The interval of one AUC. An AUC that has no variance (0, 1, constant scores) has none: see
    /// [`newcombe`](super::newcombe) for one that keeps its width.
    pub fn interval(&self, column: usize, level: f64, scale: Scale) -> Result<[f64; 2], StatsError> {
        let z = z_of_level(level)?;
        let (auc, error) = (self.auc[column], self.standard_error(column));
        if error == 0.0 {
            return Err(StatsError::NoVariance { auc });
        }
        Ok(match scale {
            Scale::Wald => [(auc - z * error).max(0.0), (auc + z * error).min(1.0)],
            Scale::Logit => {
                let (logit, step) = ((auc / (1.0 - auc)).ln(), z * error / (auc * (1.0 - auc)));
                [logit - step, logit + step].map(|logit| 1.0 / (1.0 + (-logit).exp()))
            }
        })
    }

    /// Tests two scores of the same rows against each other; the statistic is normal.
    pub fn paired_test(&self, [a, b]: [usize; 2], level: f64, alternative: Alternative) -> Result<AucTest, StatsError> {
        let z = z_of_level(level)?;
        let covariance = &self.covariance;
        let both = covariance[a][a] + covariance[b][b];
        let variance = both - 2.0 * covariance[a][b];
        let difference = self.auc[a] - self.auc[b];
        // Less than rounding leaves of equal scores.
        if variance <= 1e-13 * both {
            return Err(StatsError::NoDifference { difference });
        }
        let error = variance.sqrt();
        let statistic = difference / error;
        Ok(AucTest {
            difference,
            standard_error: error,
            ci: [difference - z * error, difference + z * error],
            statistic,
            df: None,
            p: match alternative {
                Alternative::TwoSided => normal_two_sided(statistic),
                Alternative::Greater => normal_cdf(-statistic),
                Alternative::Less => normal_cdf(statistic),
            },
        })
    }

    /// Tests an AUC of these rows against one of other patients, independent of them: Student's t with the degrees of
    /// freedom of Welch and Satterthwaite on the units of each side, as in pROC.
    pub fn unpaired_test(
        &self,
        column: usize,
        other: &Self,
        other_column: usize,
        level: f64,
        alternative: Alternative,
    ) -> Result<AucTest, StatsError> {
        z_of_level(level)?;
        let here = self.covariance[column][column];
        let there = other.covariance[other_column][other_column];
        let variance = here + there;
        let difference = self.auc[column] - other.auc[other_column];
        if variance == 0.0 {
            return Err(StatsError::NoDifference { difference });
        }
        let share = |variance: f64, units: usize| variance * variance / (units - 1) as f64;
        let df = variance * variance / (share(here, self.units) + share(there, other.units));
        let error = variance.sqrt();
        let statistic = difference / error;
        let p = t_two_sided(statistic, df);
        let t = t_quantile(f64::midpoint(1.0, level), df);
        let above = if statistic > 0.0 { p / 2.0 } else { 1.0 - p / 2.0 };
        Ok(AucTest {
            difference,
            standard_error: error,
            ci: [difference - t * error, difference + t * error],
            statistic,
            df: Some(df),
            p: match alternative {
                Alternative::TwoSided => p,
                Alternative::Greater => above,
                Alternative::Less => 1.0 - above,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Alternative, Scale};
    use crate::stats::{Components, delong};

    const POSITIVE: [bool; 8] = [true, false, true, false, false, true, false, true];
    const SCORE: [f64; 8] = [0.5, 0.4, 0.9, 0.2, 0.6, 0.3, 0.0, 0.7];
    const OTHER: [f64; 8] = [0.1, 0.4, 0.5, 0.3, 0.6, 0.8, 0.2, 0.7];

    #[test]
    fn turned_comparisons_mirror() {
        let columns = [&SCORE, &OTHER].map(|score| Components::new(&POSITIVE, score).unwrap());
        let areas = delong(&[&columns[0], &columns[1]]).unwrap();
        let there = areas.paired_test([0, 1], 0.9, Alternative::Greater).unwrap();
        let back = areas.paired_test([1, 0], 0.9, Alternative::Less).unwrap();
        assert_eq!((there.p, there.statistic), (back.p, -back.statistic));
        assert_eq!(there.ci[0], -back.ci[1]);
        let unpaired = |a, b, alternative| areas.unpaired_test(a, &areas, b, 0.9, alternative).unwrap();
        let (greater, less) = (unpaired(0, 1, Alternative::Greater), unpaired(1, 0, Alternative::Less));
        assert!((greater.p - less.p).abs() < 1e-15);
        assert!((2.0 * greater.p - unpaired(0, 1, Alternative::TwoSided).p).abs() < 1e-15);
    }

    #[test]
    fn intervals_stay_in_their_bounds() {
        let components = Components::new(&POSITIVE, &SCORE).unwrap();
        let areas = delong(&[&components]).unwrap();
        let [_, upper] = areas.interval(0, 0.999, Scale::Wald).unwrap();
        let [lower, logit] = areas.interval(0, 0.999, Scale::Logit).unwrap();
        assert!(upper == 1.0 && lower > 0.0 && logit < 1.0, "{upper} {logit}");
        assert!(areas.interval(0, 95.0, Scale::Wald).is_err());
    }

    #[test]
    fn what_has_no_variance_is_a_sentence() {
        let perfect = POSITIVE.map(f64::from);
        let same = SCORE.map(f64::exp);
        let columns = [SCORE, same, perfect, [1.0; 8]].map(|score| Components::new(&POSITIVE, &score).unwrap());
        let areas = delong(&[&columns[0], &columns[1], &columns[2], &columns[3]]).unwrap();
        for flat in [2, 3] {
            let error = areas.interval(flat, 0.95, Scale::Logit).unwrap_err().to_string();
            assert!(error.contains("no variance"), "{error}");
        }
        for pair in [[0, 1], [2, 3]] {
            let error = areas
                .paired_test(pair, 0.95, Alternative::TwoSided)
                .unwrap_err()
                .to_string();
            assert!(error.contains("no variance"), "{error}");
        }
        assert!(areas.unpaired_test(2, &areas, 3, 0.95, Alternative::TwoSided).is_err());
    }
}
