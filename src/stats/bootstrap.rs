//! The patient-cluster bootstrap: whole patients are drawn with replacement (Davison & Hinkley, Bootstrap Methods and
//! their Application, 1997, 3.8). What the resamples say stands in [`Replicates`].

use rand::RngExt as _;
use rayon::prelude::*;
use serde::de::Error as _;

use super::{Clusters, Replicates, StatsError};

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

/// More than this make no better interval, and take hours.
const MOST: usize = 10_000_000;

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

impl Bootstrap {
    /// Whether an interval can be made with these settings at all.
    pub fn check(&self) -> Result<(), StatsError> {
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(StatsError::Level { found: self.level });
        }
        // One beyond each end at least; the rounding of 1 - level is forgiven.
        let beyond = (2.0 / (1.0 - self.level) - 1e-6).ceil();
        let fewest = FEWEST.max(beyond as usize);
        if self.resamples < fewest {
            return Err(StatsError::Resamples {
                found: self.resamples,
                fewest,
                level: self.level,
            });
        }
        if self.resamples > MOST {
            return Err(StatsError::ManyResamples {
                found: self.resamples,
                most: MOST,
            });
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
        let weights = || vec![0; clusters.of_row().len()];
        self.draw(clusters, weights, |weights, times| {
            for (weight, &cluster) in weights.iter_mut().zip(clusters.of_row()) {
                *weight = times[cluster as usize];
            }
            statistics(weights)
        })
    }

    /// As [`resample`](Self::resample), for statistics that are computed from how often each cluster was drawn.
    pub fn resample_times<F>(&self, clusters: &Clusters, statistics: F) -> Result<Replicates, StatsError>
    where
        F: Fn(&[u32]) -> Option<Vec<f64>> + Sync,
    {
        self.draw(clusters, || (), |(), times| statistics(times))
    }

    /// `room` is made once a thread and handed to `statistics` with the times that each cluster was drawn.
    fn draw<R, F>(
        &self,
        clusters: &Clusters,
        room: impl Fn() -> R + Sync + Send,
        statistics: F,
    ) -> Result<Replicates, StatsError>
    where
        F: Fn(&mut R, &[u32]) -> Option<Vec<f64>> + Sync,
    {
        self.check()?;
        let count = clusters.count();
        if count == 0 {
            return Err(StatsError::Undefined { draws: 0 });
        }
        let streams = crate::seed::stream(self.seed, "bootstrap");
        let draw = |(times, room): &mut (Vec<u32>, R), replicate: usize| {
            let mut rng = streams.clone();
            rng.set_stream(replicate as u64);
            for redraws in 0..DRAWS {
                times.fill(0);
                for _ in 0..count {
                    times[rng.random_range(0..count)] += 1;
                }
                if let Some(values) = statistics(room, times) {
                    return Ok((values, redraws));
                }
            }
            Err(StatsError::Undefined { draws: DRAWS })
        };
        let drawn = (0..self.resamples)
            .into_par_iter()
            .map_init(|| (vec![0; count], room()), draw)
            .collect::<Result<Vec<_>, _>>()?;

        let statistics = drawn.iter().map(|(values, _)| values.len()).min().unwrap_or(0);
        let values = (0..statistics)
            .map(|statistic| drawn.iter().map(|(values, _)| values[statistic]).collect())
            .collect();
        let redraws = drawn.iter().map(|(_, redraws)| redraws).sum();
        Ok(Replicates::new(values, self.level, redraws))
    }
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
        resamples: MOST,
        ..Bootstrap::default()
    };
    whole.check().map(|()| level).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::{Bootstrap, Clusters};

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
        assert_eq!(one, four);
        let other = Bootstrap {
            seed: 1,
            ..Bootstrap::default()
        };
        assert_ne!(one, other.resample(&clusters, share).unwrap());
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
