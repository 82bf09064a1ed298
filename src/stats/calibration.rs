//! Whether probabilities mean what they say: calibration in the large, slope and intercept of the logistic
//! recalibration (Cox, Biometrika 1958, doi:10.1093/biomet/45.3-4.562; the levels of Van Calster et al., BMC Med 2019,
//! doi:10.1186/s12916-019-1466-7) and the binned curve.

use super::{
    StatsError,
    logistic::{Line, expit, logistic, logit, offset},
    wilson,
};

/// Why probabilities can't be judged, or scores not be turned into them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// One class is absent.
    #[error("calibration needs both classes, found {positives} positive and {negatives} negative rows")]
    OneClass {
        /// Positive rows.
        positives: usize,
        /// Negative rows.
        negatives: usize,
    },
    /// Scores that are NaN or infinite.
    #[error("{found} of {rows} scores are not finite numbers")]
    NotFinite {
        /// How many are not.
        found: usize,
        /// How many there are.
        rows: usize,
    },
    /// Scores that are no probabilities.
    #[error("{found} of {rows} scores lie outside of 0 to 1 and are no probabilities (map them inside the folds)")]
    NoProbability {
        /// How many do.
        found: usize,
        /// How many there are.
        rows: usize,
    },
    /// Probabilities of exactly 0 or 1.
    #[error("{found} of {rows} probabilities are exactly 0 or 1, whose log odds are infinite: no slope")]
    Certain {
        /// How many are.
        found: usize,
        /// How many there are.
        rows: usize,
    },
    /// Probabilities that separate the classes.
    #[error("the probabilities separate the classes, so the calibration slope is infinite")]
    Separated,
    /// One probability for all rows.
    #[error("all rows have one probability, so there is no calibration slope")]
    Constant,
    /// A weight that is none.
    #[error("weights are finite and not negative, found {found}")]
    Weight {
        /// What was found.
        found: f64,
    },
    /// Fewer than one bin.
    #[error("a calibration curve has at least 1 bin, found {bins}")]
    Bins {
        /// What was asked for.
        bins: usize,
    },
    /// A threshold probability that has no odds.
    #[error("a threshold probability lies above 0 and below 1, found {found}")]
    Threshold {
        /// What was asked for.
        found: f64,
    },
    /// The interval can't be made.
    #[error(transparent)]
    Stats(#[from] StatsError),
}

/// Counts of `[positives, negatives]`, where both are there and all scores are finite.
pub(super) fn check(positive: &[bool], score: &[f64]) -> Result<[usize; 2], CalibrationError> {
    assert_eq!(positive.len(), score.len(), "one score a label");
    let (rows, found) = (score.len(), score.iter().filter(|score| !score.is_finite()).count());
    if found > 0 {
        return Err(CalibrationError::NotFinite { found, rows });
    }
    let positives = positive.iter().filter(|&&positive| positive).count();
    let negatives = rows - positives;
    if positives == 0 || negatives == 0 {
        return Err(CalibrationError::OneClass { positives, negatives });
    }
    Ok([positives, negatives])
}

/// Whether all scores can be probabilities.
///
/// # Errors
///
/// [`CalibrationError::NotFinite`] and [`CalibrationError::NoProbability`], with the counts.
pub fn check_probabilities(probability: &[f64]) -> Result<(), CalibrationError> {
    let rows = probability.len();
    let count = |odd: &dyn Fn(f64) -> bool| probability.iter().filter(|&&p| odd(p)).count();
    match (count(&|p| !p.is_finite()), count(&|p| !(0.0..=1.0).contains(&p))) {
        (0, 0) => Ok(()),
        (0, found) => Err(CalibrationError::NoProbability { found, rows }),
        (found, _) => Err(CalibrationError::NotFinite { found, rows }),
    }
}

/// Labels with the log odds that they were given, to be fitted under any weights.
#[derive(Debug, Clone)]
pub struct LogOdds<'a> {
    positive: &'a [bool],
    target: Vec<f64>,
    logit: Vec<f64>,
}

/// The logistic recalibration `logit P(positive) = intercept + slope * logit(probability)`.
#[derive(Debug, Clone, Copy)]
pub struct CalibrationLine {
    line: Line,
    /// The intercept where the slope is 1: below 0 the probabilities are too high on the whole, above it too low.
    pub in_the_large: f64,
}

impl CalibrationLine {
    /// Below 1 the probabilities are too extreme, above it too timid.
    pub fn slope(&self) -> f64 {
        self.line.slope
    }

    /// The intercept beside that slope.
    pub fn intercept(&self) -> f64 {
        self.line.intercept
    }

    /// Variances and covariance of `[intercept, slope]` for independent rows.
    pub fn covariance(&self) -> [[f64; 2]; 2] {
        self.line.covariance
    }
}

impl<'a> LogOdds<'a> {
    /// Takes the log odds.
    ///
    /// ```
    /// use hounsfield::stats::LogOdds;
    /// let (positive, p) = ([true, false, true, false], [0.99, 0.01, 0.2, 0.8]);
    /// let line = LogOdds::new(&positive, &p)?.fit(&[1; 4], None)?;
    /// assert!(line.slope() > 0.0 && line.slope() < 1.0);
    /// # Ok::<(), hounsfield::stats::CalibrationError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Probabilities that are none, or exactly 0 or 1.
    pub fn new(positive: &'a [bool], probability: &[f64]) -> Result<Self, CalibrationError> {
        check_probabilities(probability)?;
        check(positive, probability)?;
        let found = probability.iter().filter(|&&p| p == 0.0 || p == 1.0).count();
        if found > 0 {
            let rows = probability.len();
            return Err(CalibrationError::Certain { found, rows });
        }
        Ok(Self {
            positive,
            target: positive.iter().map(|&positive| f64::from(u8::from(positive))).collect(),
            logit: probability.iter().map(|&p| logit(p)).collect(),
        })
    }

    /// Slope, intercept and calibration in the large where each row counts `weights` times. A line from elsewhere to
    /// `start` from saves steps.
    ///
    /// # Errors
    ///
    /// Where the counted rows are of one class, of one probability, or separated by it.
    pub fn fit(&self, weights: &[u32], start: Option<&CalibrationLine>) -> Result<CalibrationLine, CalibrationError> {
        assert_eq!(weights.len(), self.logit.len(), "one weight a row");
        let (mut counts, mut ends) = ([0; 2], [[f64::INFINITY, f64::NEG_INFINITY]; 2]);
        for ((&positive, &x), &weight) in self.positive.iter().zip(&self.logit).zip(weights) {
            if weight > 0 {
                let (count, [low, high]) = (&mut counts[usize::from(positive)], &mut ends[usize::from(positive)]);
                *count += 1;
                (*low, *high) = (low.min(x), high.max(x));
            }
        }
        let ([negatives, positives], [below, above]) = (counts, ends);
        if positives == 0 || negatives == 0 {
            return Err(CalibrationError::OneClass { positives, negatives });
        }
        if below == above && below[0] == below[1] {
            return Err(CalibrationError::Constant);
        }
        if below[1] <= above[0] || above[1] <= below[0] {
            return Err(CalibrationError::Separated);
        }
        let weight: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
        Ok(CalibrationLine {
            line: logistic(&self.logit, &self.target, &weight, start.map(|start| &start.line)),
            in_the_large: offset(&self.logit, self.positive, &weight),
        })
    }

    /// Calibration in the large alone: it exists where there is no slope. Both classes have weight.
    pub fn in_the_large(&self, weights: &[u32]) -> f64 {
        let weight: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
        offset(&self.logit, self.positive, &weight)
    }

    /// The mean over rows of how far the fitted line moves their probability.
    pub fn mean_shift(&self, line: &CalibrationLine) -> f64 {
        let shift = |&x: &f64| (expit(line.intercept() + line.slope() * x) - expit(x)).abs();
        self.logit.iter().map(shift).sum::<f64>() / self.logit.len() as f64
    }
}

/// Rows in bins of similar probability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalibrationBins {
    /// The bin of each row.
    of_row: Vec<usize>,
    count: usize,
}

/// One point of a calibration curve.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBin {
    /// Mean probability of the rows.
    pub predicted: f64,
    /// Share of them that is positive.
    pub observed: f64,
    /// Lower end of the interval of that share.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Number of rows.
    pub n: usize,
}

impl CalibrationBins {
    /// Bins between the quantiles (type 7) of the probabilities, as scikit-learn's `calibration_curve` has them under
    /// `strategy="quantile"`: equal probabilities share a bin, and bins that stay empty are left out.
    ///
    /// # Errors
    ///
    /// No bins, or probabilities that are none.
    pub fn quantiles(probability: &[f64], bins: usize) -> Result<Self, CalibrationError> {
        check_probabilities(probability)?;
        if bins == 0 {
            return Err(CalibrationError::Bins { bins });
        }
        let mut sorted = probability.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        // Whole numbers tell whether a quantile is a row's own probability: `0.3 * 10` does not.
        let edge = |k: usize| {
            let (below, rest) = (k * last / bins, k * last % bins);
            let above = (below + 1).min(last);
            sorted[below] + (sorted[above] - sorted[below]) * (rest as f64 / bins as f64)
        };
        let edges: Vec<f64> = if sorted.is_empty() {
            vec![]
        } else {
            (1..bins).map(edge).collect()
        };
        let place = |p: &f64| edges.partition_point(|edge| edge < p);
        let mut of_row: Vec<usize> = probability.iter().map(place).collect();
        let mut names = of_row.clone();
        names.sort_unstable();
        names.dedup();
        for bin in &mut of_row {
            *bin = names.partition_point(|name| name < bin);
        }
        let count = names.len();
        Ok(Self { of_row, count })
    }

    /// Number of bins that hold rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bin of each row.
    pub fn of_row(&self) -> &[usize] {
        &self.of_row
    }

    /// The share of positives in each bin where each row counts `weights` times; `None` where none does.
    pub fn observed(&self, positive: &[bool], weights: &[u32]) -> Vec<Option<f64>> {
        let mut counts = vec![[0_u64; 2]; self.count];
        for ((&bin, &positive), &weight) in self.of_row.iter().zip(positive).zip(weights) {
            counts[bin][usize::from(positive)] += u64::from(weight);
        }
        let share = |&[negatives, positives]: &[u64; 2]| {
            let all = negatives + positives;
            (all > 0).then(|| positives as f64 / all as f64)
        };
        counts.iter().map(share).collect()
    }

    /// The curve, with Wilson intervals that take rows for independent.
    ///
    /// # Errors
    ///
    /// A level that is none.
    pub fn curve(
        &self,
        positive: &[bool],
        probability: &[f64],
        level: f64,
    ) -> Result<Vec<CalibrationBin>, CalibrationError> {
        let mut sums = vec![(0.0, 0, 0); self.count];
        for ((&bin, &positive), &p) in self.of_row.iter().zip(positive).zip(probability) {
            let (predicted, hits, n) = &mut sums[bin];
            *predicted += p;
            *hits += usize::from(positive);
            *n += 1;
        }
        let point = |(predicted, hits, n): (f64, usize, usize)| {
            let [lower, upper] = wilson(hits, n, level)?;
            Ok(CalibrationBin {
                predicted: predicted / n as f64,
                observed: hits as f64 / n as f64,
                lower,
                upper,
                n,
            })
        };
        sums.into_iter().map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn true_log_odds_have_slope_one_and_a_stretch_shows() {
        // 3 in 4 and 1 in 4: probabilities that are exactly right.
        let positive: Vec<bool> = (0..16)
            .map(|row| if row < 8 { row % 4 < 3 } else { row % 4 == 0 })
            .collect();
        let p: Vec<f64> = (0..16).map(|row| if row < 8 { 0.75 } else { 0.25 }).collect();
        let line = LogOdds::new(&positive, &p).unwrap().fit(&[1; 16], None).unwrap();
        assert!((line.slope() - 1.0).abs() < 1e-9 && line.intercept().abs() < 1e-9 && line.in_the_large.abs() < 1e-9);
        let extreme: Vec<f64> = p.iter().map(|&p| expit(2.0 * logit(p))).collect();
        let odds = LogOdds::new(&positive, &extreme).unwrap();
        let line = odds.fit(&[1; 16], None).unwrap();
        assert!((line.slope() - 0.5).abs() < 1e-9);
        assert!(
            (odds.mean_shift(&line) - 0.15).abs() < 1e-9,
            "{}",
            odds.mean_shift(&line)
        );
    }

    #[test]
    fn what_has_no_slope_is_a_sentence() {
        let fit = |positive: &[bool], p: &[f64]| LogOdds::new(positive, p)?.fit(&vec![1; p.len()], None).map(|_| ());
        let two = [true, false];
        assert_eq!(fit(&two, &[0.9, 0.1]), Err(CalibrationError::Separated));
        assert_eq!(fit(&two, &[0.1, 0.9]), Err(CalibrationError::Separated));
        assert_eq!(fit(&two, &[0.5, 0.5]), Err(CalibrationError::Constant));
        assert_eq!(
            fit(&two, &[1.0, 0.5]),
            Err(CalibrationError::Certain { found: 1, rows: 2 })
        );
        assert_eq!(
            fit(&two, &[1.5, 0.5]),
            Err(CalibrationError::NoProbability { found: 1, rows: 2 })
        );
        assert!(fit(&[true, true], &[0.5, 0.4]).is_err() && fit(&two, &[f64::NAN, 0.5]).is_err());
        // One shared probability between the classes is still a separation.
        let touching = fit(&[true, true, false, false], &[0.9, 0.5, 0.5, 0.1]);
        assert_eq!(touching, Err(CalibrationError::Separated));
    }

    #[test]
    fn bins_hold_all_rows_once_and_ties_together() {
        let p = [0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.3, 0.9];
        let positive = [false, true, false, false, true, false, true, true];
        let bins = CalibrationBins::quantiles(&p, 4).unwrap();
        let curve = bins.curve(&positive, &p, 0.95).unwrap();
        assert_eq!(curve.iter().map(|bin| bin.n).sum::<usize>(), 8);
        assert_eq!(bins.of_row[1..6], [bins.of_row[1]; 5]);
        let observed: Vec<f64> = bins.observed(&positive, &[1; 8]).into_iter().flatten().collect();
        assert_eq!(observed, curve.iter().map(|bin| bin.observed).collect::<Vec<_>>());
        assert_eq!(bins.observed(&positive, &[0; 8])[0], None);
        assert_eq!(CalibrationBins::quantiles(&[0.5; 9], 10).unwrap().count(), 1);
        assert_eq!(CalibrationBins::quantiles(&[], 10).unwrap().count(), 0);
        assert!(CalibrationBins::quantiles(&p, 0).is_err());
    }
}
