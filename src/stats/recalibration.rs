//! Maps from scores to probabilities: Platt's sigmoid (Platt, Advances in Large Margin Classifiers 1999, 61-74) by the
//! Newton method of Lin, Lin & Weng (Mach Learn 2007;68:267-276, doi:10.1007/s10994-007-5018-6), and isotonic
//! regression by pooling adjacent violators (Ayer et al., Ann Math Stat 1955, doi:10.1214/aoms/1177728423).
//!
//! A map that is measured on the rows it was fitted on looks better than it is: fit it inside the folds.

use super::{
    calibration::{CalibrationError, check},
    logistic::{expit, logistic},
};

/// Platt's sigmoid: the probability is `1 / (1 + exp(-(slope * score + intercept)))`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platt {
    /// What a score is multiplied by; negative where positives score lower.
    pub slope: f64,
    /// What is added then.
    pub intercept: f64,
}

impl Platt {
    /// Fits the sigmoid to Platt's smoothed targets, `(n+ + 1) / (n+ + 2)` and `1 / (n- + 2)`: they keep it finite where
    /// the scores separate the classes. Constant scores get a slope of 0.
    ///
    /// ```
    /// use hounsfield::stats::Platt;
    /// let map = Platt::fit(&[false, false, true, true], &[-2.0, -1.0, 1.0, 2.0])?;
    /// assert!((map.apply(0.0) - 0.5).abs() < 1e-9 && map.apply(2.0) > 0.7);
    /// # Ok::<(), hounsfield::stats::CalibrationError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CalibrationError`] where a class is absent or a score is not finite.
    pub fn fit(positive: &[bool], score: &[f64]) -> Result<Self, CalibrationError> {
        let [positives, negatives] = check(positive, score)?;
        let target = |&positive: &bool| match positive {
            true => (positives as f64 + 1.0) / (positives as f64 + 2.0),
            false => 1.0 / (negatives as f64 + 2.0),
        };
        let targets: Vec<f64> = positive.iter().map(target).collect();
        let fit = logistic(score, &targets, &vec![1.0; score.len()], None);
        Ok(Self {
            slope: fit.slope,
            intercept: fit.intercept,
        })
    }

    /// The probability that belongs to a score.
    pub fn apply(&self, score: f64) -> f64 {
        // A slope of 0 makes NaN of an infinite score.
        let product = if self.slope == 0.0 { 0.0 } else { self.slope * score };
        expit(product + self.intercept)
    }
}

/// Isotonic regression: the rising step function nearest to the labels, straight lines between its steps.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isotonic {
    /// Scores in rising order, the ends of the steps.
    pub score: Vec<f64>,
    /// The probability at each of them, rising.
    pub probability: Vec<f64>,
}

impl Isotonic {
    /// Fits the map; equal scores are one point. Scores that rank backwards give one constant, the prevalence.
    ///
    /// ```
    /// use hounsfield::stats::Isotonic;
    /// let map = Isotonic::fit(&[false, true, false, true], &[1.0, 2.0, 3.0, 4.0])?;
    /// assert_eq!((map.apply(0.0), map.apply(2.5), map.apply(9.0)), (0.0, 0.5, 1.0));
    /// # Ok::<(), hounsfield::stats::CalibrationError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CalibrationError`] where a class is absent or a score is not finite.
    pub fn fit(positive: &[bool], score: &[f64]) -> Result<Self, CalibrationError> {
        Self::fit_weighted(positive, score, &vec![1.0; score.len()])
    }

    /// [`fit`](Self::fit) with a weight for each row, finite and not negative; rows of weight 0 do not count.
    ///
    /// # Errors
    ///
    /// [`CalibrationError`] where a class is absent, or a score or weight is none.
    pub fn fit_weighted(positive: &[bool], score: &[f64], weight: &[f64]) -> Result<Self, CalibrationError> {
        check(positive, score)?;
        assert_eq!(weight.len(), score.len(), "one weight a score");
        if let Some(&found) = weight.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            return Err(CalibrationError::Weight { found });
        }
        let mut order: Vec<usize> = (0..score.len()).filter(|&row| weight[row] > 0.0).collect();
        let of_class = |class: bool| order.iter().filter(|&&row| positive[row] == class).count();
        let (positives, negatives) = (of_class(true), of_class(false));
        if positives == 0 || negatives == 0 {
            return Err(CalibrationError::OneClass { positives, negatives });
        }
        // Rows of one score in an order of their own, so that sums do not depend on that of the table.
        let key = |row: usize| (positive[row], weight[row]);
        order.sort_unstable_by(|&a, &b| {
            let by_score = score[a].partial_cmp(&score[b]).expect("scores are finite");
            by_score
                .then(key(a).0.cmp(&key(b).0))
                .then(key(a).1.total_cmp(&key(b).1))
        });
        let mut blocks: Vec<Block> = Vec::new();
        for run in order.chunk_by(|&a, &b| score[a] == score[b]) {
            let hits = run.iter().filter(|&&row| positive[row]).map(|&row| weight[row]).sum();
            let mut block = Block {
                first: score[run[0]],
                last: score[run[0]],
                hits,
                weight: run.iter().map(|&row| weight[row]).sum(),
            };
            while let Some(before) = blocks.pop_if(|before| before.hits * block.weight >= block.hits * before.weight) {
                block.first = before.first;
                block.hits += before.hits;
                block.weight += before.weight;
            }
            blocks.push(block);
        }
        let mut map = Self {
            score: Vec::new(),
            probability: Vec::new(),
        };
        for block in &blocks {
            map.score.push(block.first);
            map.probability.push(block.hits / block.weight);
            if block.last > block.first {
                map.score.push(block.last);
                map.probability.push(block.hits / block.weight);
            }
        }
        Ok(map)
    }

    /// The probability that belongs to a score; beyond the scores of the fit that of the nearest.
    pub fn apply(&self, score: f64) -> f64 {
        let above = self.score.partition_point(|&known| known < score);
        if above == self.score.len() {
            return self.probability[above - 1];
        }
        if above == 0 || self.score[above] == score {
            return self.probability[above];
        }
        let (left, right) = (self.score[above - 1], self.score[above]);
        let (low, high) = (self.probability[above - 1], self.probability[above]);
        // Halves, so that the distance of two huge scores is a number.
        let share = (score / 2.0 - left / 2.0) / (right / 2.0 - left / 2.0);
        low + share * (high - low)
    }
}

/// Scores that have one probability.
struct Block {
    first: f64,
    last: f64,
    /// Weight of the positives.
    hits: f64,
    weight: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isotonic_keeps_the_prevalence_and_never_falls() {
        let positive = [true, false, true, true, false, false, true, false, true, true];
        let score = [0.1, 0.1, 0.3, 0.2, 0.5, 0.4, 0.5, 0.5, 0.9, 0.8];
        let map = Isotonic::fit(&positive, &score).unwrap();
        assert!(map.probability.is_sorted() && map.score.is_sorted());
        let sum: f64 = score.iter().map(|&score| map.apply(score)).sum();
        assert!((sum - 6.0).abs() < 1e-12, "{sum}");
        let doubled = Isotonic::fit_weighted(&positive, &score, &[2.0; 10]).unwrap();
        assert_eq!(map, doubled);
    }

    #[test]
    fn scores_that_rank_backwards_get_the_prevalence() {
        let map = Isotonic::fit(&[true, true, false, false], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(map.probability, [0.5, 0.5]);
        assert_eq!(map.apply(2.2), 0.5);
    }

    #[test]
    fn separated_and_constant_scores_have_a_sigmoid_all_the_same() {
        let separated = Platt::fit(&[false, false, true, true], &[0.0, 0.1, 5e8, 6e8]).unwrap();
        assert!(separated.slope > 0.0 && separated.slope.is_finite());
        assert!(
            (separated.apply(5.5e8) - 0.75).abs() < 0.01,
            "{}",
            separated.apply(5.5e8)
        );
        let constant = Platt::fit(&[true, false, true, true], &[7.0; 4]).unwrap();
        assert_eq!(constant.slope, 0.0);
        // (3 * 4/5 + 1/3) / 4
        assert!((constant.apply(f64::INFINITY) - 2.733_333_333_333 / 4.0).abs() < 1e-9);
    }

    #[test]
    fn what_has_no_map_is_a_sentence() {
        let error = Platt::fit(&[true, true], &[0.0, 1.0]).unwrap_err().to_string();
        assert!(error.contains("2 positive and 0 negative"), "{error}");
        assert!(Isotonic::fit(&[true, false], &[f64::NAN, 1.0]).is_err());
        assert!(Isotonic::fit_weighted(&[true, false], &[0.0, 1.0], &[0.0, 1.0]).is_err());
        assert!(Isotonic::fit_weighted(&[true, false], &[0.0, 1.0], &[-1.0, 1.0]).is_err());
        assert!(Isotonic::fit(&[], &[]).is_err());
    }

    #[test]
    fn maps_survive_their_file() {
        let map = Isotonic::fit(&[false, true, false, true], &[1.0, 2.0, 3.0, 4.5]).unwrap();
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(serde_json::from_str::<Isotonic>(&text).unwrap(), map);
        assert!(serde_json::from_str::<Platt>(r#"{"slope": 1, "intercept": 0, "more": 1}"#).is_err());
    }
}
