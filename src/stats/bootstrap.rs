//! The patient-cluster bootstrap: whole patients are drawn with replacement (Davison & Hinkley, Bootstrap Methods and
//! their Application, 1997, 3.8), and the interval is the percentile interval (Efron & Tibshirani 1993, 13.3).

use std::collections::BTreeMap;

use rand::RngExt as _;
use rayon::prelude::*;
use serde::de::Error as _;

use super::StatsError;

/// How intervals are made.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    /// Number of resamples; 2000.
    #[serde(deserialize_with = "enough")]
    pub resamples: usize,
    /// Confidence level of the intervals; 0.95.
    #[serde(deserialize_with = "between_zero_and_one")]
    pub level: f64,
    /// Seed of the draws; 0.
    pub seed: u64,
}

/// Fewer resamples than this leave less than three beyond each end of a 95 % interval.
const FEWEST: usize = 100;

/// A resample that stays undefined after this many draws will stay so.
const DRAWS: usize = 10_000;

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            resamples: 2000,
            level: 0.95,
            seed: 0,
        }
    }
}

/// Which rows belong together: rows of one cluster (patient) are drawn together.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// The cluster of each row, from 0.
    of_row: Vec<u32>,
    count: usize,
}

impl Clusters {
    /// Clusters from any integers, one a row. Their numerical order is the order in which they are drawn, so that the
    /// order of the rows changes nothing.
    pub fn new(ids: &[usize]) -> Self {
        let mut index: BTreeMap<usize, u32> = ids.iter().map(|&id| (id, 0)).collect();
        for (position, value) in index.values_mut().enumerate() {
            *value = u32::try_from(position).expect("a set has fewer than 2^32 patients");
        }
        Self {
            of_row: ids.iter().map(|id| index[id]).collect(),
            count: index.len(),
        }
    }

    /// Number of clusters.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// The values of every statistic in every resample.
#[derive(Debug, Clone)]
pub struct Replicates {
    /// `[statistics][resamples]`, each in rising order.
    sorted: Vec<Vec<f64>>,
    level: f64,
    /// Resamples that were drawn again because a statistic was undefined in them.
    pub redraws: usize,
}

impl Bootstrap {
    /// Whether an interval can be made with these settings at all.
    pub fn check(&self) -> Result<(), StatsError> {
        if self.resamples < FEWEST {
            return Err(StatsError::Resamples {
                found: self.resamples,
                fewest: FEWEST,
            });
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(StatsError::Level { found: self.level });
        }
        Ok(())
    }

    /// Resamples the clusters, unstratified, and computes all statistics on each resample.
    ///
    /// `statistics` is given how often each row counts and returns `None` where the resample leaves them undefined (one
    /// class only): it is then drawn again. Each resample has a random stream of its own, so that the result depends on
    /// the seed and not on the number of threads; statistics of different scores of the same patients see the same
    /// resamples.
    pub fn resample<F>(&self, clusters: &Clusters, statistics: F) -> Result<Replicates, StatsError>
    where
        F: Fn(&[u32]) -> Option<Vec<f64>> + Sync,
    {
        self.check()?;
        if clusters.count == 0 {
            return Err(StatsError::Undefined { draws: 0 });
        }
        let streams = crate::seed::stream(self.seed, "bootstrap");
        let draw = |replicate: usize| {
            let mut rng = streams.clone();
            rng.set_stream(replicate as u64);
            let mut times = vec![0_u32; clusters.count];
            let mut weights = vec![0_u32; clusters.of_row.len()];
            for redraws in 0..DRAWS {
                times.fill(0);
                for _ in 0..clusters.count {
                    times[rng.random_range(0..clusters.count)] += 1;
                }
                for (weight, &cluster) in weights.iter_mut().zip(&clusters.of_row) {
                    *weight = times[cluster as usize];
                }
                if let Some(values) = statistics(&weights) {
                    return Ok((values, redraws));
                }
            }
            Err(StatsError::Undefined { draws: DRAWS })
        };
        let drawn = (0..self.resamples)
            .into_par_iter()
            .map(draw)
            .collect::<Result<Vec<_>, _>>()?;

        let statistics = drawn.iter().map(|(values, _)| values.len()).min().unwrap_or(0);
        let sorted = (0..statistics)
            .map(|statistic| {
                let mut values: Vec<f64> = drawn.iter().map(|(values, _)| values[statistic]).collect();
                values.sort_unstable_by(f64::total_cmp);
                values
            })
            .collect();
        let redraws = drawn.iter().map(|(_, redraws)| redraws).sum();
        Ok(Replicates {
            sorted,
            level: self.level,
            redraws,
        })
    }
}

impl Replicates {
    /// The percentile interval of one statistic.
    pub fn interval(&self, statistic: usize) -> [f64; 2] {
        let values = &self.sorted[statistic];
        [(1.0 - self.level) / 2.0, (1.0 + self.level) / 2.0].map(|p| quantile(values, p))
    }
}

/// Type-7 quantile (Hyndman & Fan 1996; the default of R and numpy) of values in rising order, at least one.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

fn enough<'de, D: serde::Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
    let resamples = serde::Deserialize::deserialize(input)?;
    let whole = Bootstrap {
        resamples,
        ..Bootstrap::default()
    };
    whole.check().map(|()| resamples).map_err(D::Error::custom)
}

fn between_zero_and_one<'de, D: serde::Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let level = serde::Deserialize::deserialize(input)?;
    let whole = Bootstrap {
        level,
        ..Bootstrap::default()
    };
    whole.check().map(|()| level).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::{Bootstrap, Clusters, quantile};

    /// Share of the drawn rows that are even, and redraws where none is.
    fn share(weights: &[u32]) -> Option<Vec<f64>> {
        let all: u32 = weights.iter().sum();
        let even: u32 = weights.iter().step_by(2).sum();
        (even > 0).then(|| vec![f64::from(even) / f64::from(all)])
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let clusters = Clusters::new(&[4, 4, 9, 1, 1, 7]);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Bootstrap::default().resample(&clusters, share).unwrap())
        };
        let (one, four) = (run(1), run(4));
        assert_eq!(one.sorted, four.sorted);
        assert_eq!(one.redraws, four.redraws);
        let other = Bootstrap {
            seed: 1,
            ..Bootstrap::default()
        };
        assert_ne!(one.sorted, other.resample(&clusters, share).unwrap().sorted);
    }

    #[test]
    fn rows_of_a_cluster_are_drawn_together_and_clusters_with_replacement() {
        let clusters = Clusters::new(&[2, 5, 2, 5, 8]);
        Bootstrap::default()
            .resample(&clusters, |weights| {
                assert_eq!((weights[0], weights[1]), (weights[2], weights[3]));
                assert_eq!(weights[0] + weights[1] + weights[4], 3);
                Some(Vec::new())
            })
            .unwrap();
    }

    #[test]
    fn undefined_resamples_are_drawn_again_and_counted() {
        let clusters = Clusters::new(&[0, 1]);
        let replicates = Bootstrap::default().resample(&clusters, share).unwrap();
        // Row 1 alone is drawn in a quarter of the draws: 2000 resamples need 667 redraws, SD 30.
        assert!(
            (520..810).contains(&replicates.redraws),
            "{} redraws",
            replicates.redraws
        );
        let message = Bootstrap::default()
            .resample(&clusters, |_| None)
            .unwrap_err()
            .to_string();
        assert!(message.contains("10000"), "{message}");
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
    fn settings_that_make_no_interval_are_refused() {
        let parse = |text: &str| toml::from_str::<Bootstrap>(text);
        assert_eq!(
            parse("seed = 3").unwrap(),
            Bootstrap {
                seed: 3,
                ..Bootstrap::default()
            }
        );
        for text in ["resamples = 20", "level = 95", "level = 1.0", "seeds = 1", "seed = -1"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("level = 95").unwrap_err().to_string().contains("0.95"));
    }
}
