//! Several numbers of one scan or patient as one: mean, median, maximum, mean of the k largest, noisy-or (Pearl,
//! Probabilistic Reasoning in Intelligent Systems, 1988, 4.3).

use serde::de::Error as _;

/// How the numbers of one unit become one. In a recipe `"mean"`, `"median"`, `"max"`, `{ top-k = 3 }` or `"noisy-or"`; on
/// the command line `top-k:3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean: every slice has a say.
    #[default]
    Mean,
    /// The median, half-way between the middle two of an even number.
    Median,
    /// The largest: one slice decides, and the more slices the larger it is by chance alone.
    Max,
    /// The mean of the so many largest; of all where there are fewer.
    TopK(#[serde(deserialize_with = "at_least_one")] usize),
    /// `1 - (1 - p1) (1 - p2) ...`: the probability that at least one is positive were slices independent, which they are
    /// not; it comes near 1 with many slices. Of probabilities only.
    NoisyOr,
}

/// A pooling that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such pooling: {given:?}; choose mean, median, max, top-k:K (K from 1, e.g. top-k:3) or noisy-or")]
pub struct PoolingError {
    /// What was given.
    pub given: String,
}

impl Pooling {
    /// Pools numbers in any order, at least one, all finite.
    ///
    /// Computed results are rounded to 13 decimal digits: units whose slices agree have to tie, and so do those whose votes
    /// have one mean (0.24 and 0.28, 0.26 and 0.26). Decimal fractions are not exact, and sums of them leave a last bit
    /// apart what is equal. In decimal digits, so that a mean of 0.81 reaches a threshold of 0.81. The largest number is
    /// one of those given, and stays what it is.
    ///
    /// ```
    /// use hounsfield::stats::Pooling;
    /// let slices = vec![0.5, 0.0, 1.0, 0.75];
    /// let pooled = [Pooling::Mean, Pooling::Median, Pooling::Max, Pooling::TopK(2), Pooling::NoisyOr];
    /// assert_eq!(pooled.map(|pooling| pooling.pool(slices.clone())), [0.5625, 0.625, 1.0, 0.875, 1.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// Where there is no number.
    pub fn pool(self, mut values: Vec<f64>) -> f64 {
        assert!(!values.is_empty(), "a unit has at least one row");
        // In rising order, so that the order of the rows does not reach the result.
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        rounded(match self {
            Self::Mean => mean(&values),
            Self::Median if n % 2 == 1 => values[n / 2],
            Self::Median => values[n / 2 - 1].midpoint(values[n / 2]),
            Self::Max => return values[n - 1],
            Self::TopK(k) => mean(&values[n - k.clamp(1, n)..]),
            // By logarithms, so that small probabilities of many slices do not drown.
            Self::NoisyOr => -values.iter().map(|p| (-p).ln_1p()).sum::<f64>().exp_m1(),
        })
    }

    /// What the pooled number is, for reports: `pooled("score")` is `mean score`, `mean of the 3 highest scores`.
    pub fn pooled(self, what: &str) -> String {
        match self {
            Self::Mean => format!("mean {what}"),
            Self::Median => format!("median {what}"),
            Self::Max => format!("highest {what}"),
            Self::TopK(k) => format!("mean of the {k} highest {what}s"),
            Self::NoisyOr => format!("noisy-or of the {what}s"),
        }
    }
}

/// To 13 significant decimal digits.
fn rounded(value: f64) -> f64 {
    // What was printed as a number is one; infinities can't come of finite numbers that have a mean.
    format!("{value:.12e}").parse().unwrap_or(value)
}

impl std::fmt::Display for Pooling {
    /// As the command line takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mean => f.pad("mean"),
            Self::Median => f.pad("median"),
            Self::Max => f.pad("max"),
            Self::TopK(k) => f.pad(&format!("top-k:{k}")),
            Self::NoisyOr => f.pad("noisy-or"),
        }
    }
}

impl std::str::FromStr for Pooling {
    type Err = PoolingError;

    fn from_str(given: &str) -> Result<Self, PoolingError> {
        let refused = || PoolingError {
            given: given.to_owned(),
        };
        match given {
            "mean" => Ok(Self::Mean),
            "median" => Ok(Self::Median),
            "max" => Ok(Self::Max),
            "noisy-or" => Ok(Self::NoisyOr),
            _ => {
                let k = given.strip_prefix("top-k:").and_then(|k| k.parse().ok());
                k.filter(|k| *k > 0).map(Self::TopK).ok_or_else(refused)
            }
        }
    }
}

fn at_least_one<'de, D: serde::Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
    let k: usize = serde::Deserialize::deserialize(input)?;
    let none = || D::Error::custom("top-k is the mean of the k largest, k is at least 1, found 0");
    (k > 0).then_some(k).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::Pooling;

    const ALL: [Pooling; 5] = [
        Pooling::Mean,
        Pooling::Median,
        Pooling::Max,
        Pooling::TopK(3),
        Pooling::NoisyOr,
    ];

    #[test]
    fn numbers_that_agree_pool_to_themselves_whatever_their_number() {
        for pooling in &ALL[..4] {
            let pooled: Vec<f64> = (1..40).map(|n| pooling.pool(vec![0.1; n])).collect();
            assert!(pooled.iter().all(|value| *value == pooled[0]), "{pooling}: {pooled:?}");
            assert!((pooled[0] - 0.1).abs() < 1e-12);
        }
        assert_eq!(
            Pooling::Mean.pool(vec![0.24, 0.28]),
            Pooling::Mean.pool(vec![0.26, 0.26])
        );
    }

    #[test]
    fn the_order_of_the_slices_changes_no_bit() {
        let values: Vec<f64> = (0..25).map(|i| f64::from(i * 7 % 25) / 26.0).collect();
        let backwards: Vec<f64> = values.iter().rev().copied().collect();
        for pooling in ALL {
            let (a, b) = (pooling.pool(values.clone()), pooling.pool(backwards.clone()));
            assert_eq!(a.to_bits(), b.to_bits(), "{pooling}");
        }
    }

    #[test]
    fn fewer_than_k_are_all_taken_and_one_of_the_largest_is_the_largest() {
        let values = vec![0.25, 0.5];
        assert_eq!(Pooling::TopK(3).pool(values.clone()), 0.375);
        assert_eq!(Pooling::TopK(1).pool(values.clone()), Pooling::Max.pool(values));
    }

    #[test]
    fn noisy_or_keeps_small_probabilities_and_is_certain_of_certainty() {
        assert!((Pooling::NoisyOr.pool(vec![0.1, 0.2]) - 0.28).abs() < 1e-12);
        assert!((Pooling::NoisyOr.pool(vec![1e-15; 1000]) / 1e-12 - 1.0).abs() < 1e-9);
        assert_eq!(Pooling::NoisyOr.pool(vec![1.0, 0.3]), 1.0);
        assert_eq!(Pooling::NoisyOr.pool(vec![0.0, 0.0]), 0.0);
    }

    #[test]
    fn recipes_and_the_command_line_name_it() {
        #[derive(serde::Deserialize, serde::Serialize)]
        struct Probe {
            pool: Pooling,
        }
        let parse = |text: &str| toml::from_str::<Probe>(text).map(|probe| probe.pool);
        for pooling in ALL {
            assert_eq!(pooling.to_string().parse(), Ok(pooling));
            let text = toml::to_string(&Probe { pool: pooling }).unwrap();
            assert_eq!(parse(&text).unwrap(), pooling, "{text}");
        }
        assert_eq!(parse("pool = { top-k = 3 }").unwrap(), Pooling::TopK(3));
        let error = parse("pool = { top-k = 0 }").unwrap_err().to_string();
        assert!(error.contains("at least 1") && error.contains('^'), "{error}");
        assert!(parse("pool = 'best'").unwrap_err().to_string().contains("noisy-or"));
        for given in ["best", "top-k", "top-k:0", "top-k:x"] {
            let error = given.parse::<Pooling>().unwrap_err().to_string();
            assert!(error.contains("top-k:3"), "{error}");
        }
    }
}
