//! What a bootstrap says of a statistic: its standard error, the percentile interval, the bias-corrected and
//! accelerated one (BCa; Efron, JASA 1987, doi:10.1080/01621459.1987.10478410), a p-value.

use super::distributions::{normal_cdf, normal_quantile};

/// The values of every statistic in every resample.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicates {
    /// `[statistics][resamples]`, in the order of the draws.
    drawn: Vec<Vec<f64>>,
    /// The same, each in rising order.
    sorted: Vec<Vec<f64>>,
    level: f64,
    /// Resamples that were drawn again because a statistic was undefined in them.
    pub redraws: usize,
}

/// A BCa interval, or the percentile interval and why it has to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bca {
    /// The interval.
    pub ci: [f64; 2],
    /// Why this is the percentile interval; `None` where it is the BCa interval.
    pub percentile_since: Option<&'static str>,
}

impl Replicates {
    pub(super) fn new(drawn: Vec<Vec<f64>>, level: f64, redraws: usize) -> Self {
        let sorted = drawn.iter().map(|values| rising(values)).collect();
        Self {
            drawn,
            sorted,
            level,
            redraws,
        }
    }

    /// The values of one statistic in the order of the draws: the same place of two statistics is the same resample.
    pub fn values(&self, statistic: usize) -> &[f64] {
        &self.drawn[statistic]
    }

    /// Adds the difference of two statistics, resample by resample, and gives its index.
    pub fn push_difference(&mut self, [a, b]: [usize; 2]) -> usize {
        let pairs = self.drawn[a].iter().zip(&self.drawn[b]);
        let difference: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
        self.sorted.push(rising(&difference));
        self.drawn.push(difference);
        self.drawn.len() - 1
    }

    /// The percentile interval of one statistic.
    pub fn interval(&self, statistic: usize) -> [f64; 2] {
        let values = &self.sorted[statistic];
        [(1.0 - self.level) / 2.0, (1.0 + self.level) / 2.0].map(|p| quantile(values, p))
    }

    /// The standard deviation of one statistic over the resamples.
    pub fn standard_error(&self, statistic: usize) -> f64 {
        let values = &self.sorted[statistic];
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (values.len() - 1) as f64).sqrt()
    }

    /// The two-sided p-value of a null value by inversion of the percentile interval: twice the smaller share of
    /// resamples at or beyond the null on one side, (1 + count) / (1 + resamples), at most 1 (Davison & Hinkley 1997,
    /// 4.2 and 5.2). It is never 0: with B resamples nothing smaller than 2 / (B + 1) can be told.
    pub fn p_value(&self, statistic: usize, null: f64) -> f64 {
        let values = &self.sorted[statistic];
        let at_most = values.partition_point(|&value| value <= null);
        let at_least = values.len() - values.partition_point(|&value| value < null);
        let share = (1 + at_most.min(at_least)) as f64 / (1 + values.len()) as f64;
        (2.0 * share).min(1.0)
    }

    /// The BCa interval of one statistic.
    ///
    /// `observed` is its value on the data, `jackknife` its values with each cluster left out; where one of them is not
    /// defined (a class of a single patient), hand in none.
    pub fn bca(&self, statistic: usize, observed: f64, jackknife: Option<&[f64]>) -> Bca {
        let percentile = |why| Bca {
            ci: self.interval(statistic),
            percentile_since: Some(why),
        };
        let Some(jackknife) = jackknife else {
            return percentile("the statistic is not defined without one of the patients");
        };
        let values = &self.sorted[statistic];
        // The bias correction; resamples that agree with the data count half on each side.
        let below = values.partition_point(|&value| value < observed);
        let not_above = values.partition_point(|&value| value <= observed);
        if not_above == 0 || below == values.len() {
            return percentile("all resamples lie on one side of the value, which makes the bias correction infinite");
        }
        let bias = normal_quantile((below + not_above) as f64 / (2 * values.len()) as f64);
        let Some(acceleration) = acceleration(jackknife) else {
            return percentile("the value is the same without any one of the patients");
        };
        let moved = [(1.0 - self.level) / 2.0, (1.0 + self.level) / 2.0].map(|p| {
            let z = bias + normal_quantile(p);
            let scale = 1.0 - acceleration * z;
            (scale > 0.0).then(|| normal_cdf(bias + z / scale))
        });
        match moved {
            [Some(lower), Some(upper)] => Bca {
                ci: [quantile(values, lower), quantile(values, upper)],
                percentile_since: None,
            },
            _ => percentile("a few patients decide the value, which makes the acceleration too large"),
        }
    }
}

/// A sixth of the skewness of the jackknife's influence values; `None` where they have no spread.
fn acceleration(jackknife: &[f64]) -> Option<f64> {
    let mean = jackknife.iter().sum::<f64>() / jackknife.len() as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in jackknife {
        let influence = mean - value;
        squares += influence.powi(2);
        cubes += influence.powi(3);
    }
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    // No spread at all, or one that rounding made.
    (squares > 1e-24 * jackknife.len() as f64 && acceleration.is_finite()).then_some(acceleration)
}

fn rising(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Type-7 quantile (Hyndman & Fan 1996; the default of R and numpy) of values in rising order, at least one.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::{Replicates, quantile};

    fn replicates() -> Replicates {
        Replicates::new(vec![(1..=199).map(f64::from).collect(), vec![7.0; 199]], 0.9, 0)
    }

    #[test]
    fn quantiles_are_those_of_type_7() {
        let values = [1.0, 2.0, 4.0, 8.0];
        // numpy.quantile([1, 2, 4, 8], [0, 0.1, 0.5, 0.9, 1])
        let expected = [(0.0, 1.0), (0.1, 1.3), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)];
        for (p, expected) in expected {
            assert!((quantile(&values, p) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_p_value_is_the_level_of_the_interval_that_touches_the_null() {
        let replicates = replicates();
        assert_eq!(replicates.p_value(0, 0.0), 2.0 / 200.0);
        assert_eq!(replicates.p_value(0, 10.0), 22.0 / 200.0);
        assert_eq!(replicates.p_value(0, 190.0), 22.0 / 200.0);
        assert_eq!(replicates.p_value(0, 100.0), 1.0);
        assert_eq!(replicates.p_value(1, 7.0), 1.0);
    }

    #[test]
    fn without_bias_and_skewness_bca_is_the_percentile_interval() {
        let bca = replicates().bca(0, 100.0, Some(&[1.0, 2.0, 3.0]));
        assert_eq!(bca.percentile_since, None);
        for (bca, percentile) in bca.ci.into_iter().zip(replicates().interval(0)) {
            assert!((bca - percentile).abs() < 1e-10);
        }
        let biased = replicates().bca(0, 120.0, Some(&[1.0, 2.0, 3.0])).ci;
        assert!(biased[0] > bca.ci[0] && biased[1] > bca.ci[1], "{biased:?}");
    }

    #[test]
    fn bca_falls_back_with_a_sentence() {
        let replicates = replicates();
        let why = |statistic, observed, jackknife: Option<&[f64]>| {
            let bca = replicates.bca(statistic, observed, jackknife);
            assert_eq!(bca.ci, replicates.interval(statistic));
            bca.percentile_since.unwrap()
        };
        assert!(why(0, 0.5, Some(&[1.0, 2.0, 3.0])).contains("infinite"));
        assert!(why(0, 200.0, Some(&[1.0, 2.0, 3.0])).contains("infinite"));
        assert!(why(0, 100.0, None).contains("not defined"));
        assert!(why(1, 7.0, Some(&[7.0; 3])).contains("the same without"));
        // The acceleration is at most 1/6, so that it takes a level beyond all use.
        let lone: Vec<f64> = (0..1000).map(|at| -f64::from(at == 0)).collect();
        let strict = Replicates::new(vec![(1..=199).map(f64::from).collect()], 1.0 - 1e-10, 0);
        assert!(
            strict
                .bca(0, 100.0, Some(&lone))
                .percentile_since
                .unwrap()
                .contains("a few patients")
        );
    }

    #[test]
    fn differences_are_taken_resample_by_resample() {
        let mut replicates = Replicates::new(vec![vec![3.0, 1.0, 2.0], vec![1.0, 0.5, 3.0]], 0.9, 0);
        assert_eq!(replicates.push_difference([0, 1]), 2);
        assert_eq!(replicates.values(2), [2.0, 0.5, -1.0]);
        assert_eq!(replicates.interval(2)[1], quantile(&[-1.0, 0.5, 2.0], 0.95));
        assert_eq!(replicates.standard_error(2), 1.5);
    }
}
