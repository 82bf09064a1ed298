//! Percentile intervals of statistics that a few resamples may leave undefined.

use crate::stats::{Bootstrap, Replicates, quantile};

/// A statistic that more than one resample in ten leaves undefined has no interval: what is left is a selection.
const UNDEFINED_ONE_IN: usize = 10;

/// The resamples of one score.
pub(super) struct Intervals<'a> {
    pub replicates: &'a Replicates,
    bootstrap: &'a Bootstrap,
}

/// Why a statistic has no percentile interval.
pub(super) enum NoInterval {
    /// All resamples have one value.
    NoWidth,
    /// Anything else, in words.
    Words(String),
}

impl<'a> Intervals<'a> {
    pub fn new(replicates: &'a Replicates, bootstrap: &'a Bootstrap) -> Self {
        Self { replicates, bootstrap }
    }

    /// The interval, and what to say of resamples that have no value.
    pub fn percentile(&self, statistic: usize) -> Result<([f64; 2], String), NoInterval> {
        let mut values: Vec<f64> = self.replicates.values(statistic).to_vec();
        let all = values.len();
        values.retain(|value| !value.is_nan());
        values.sort_unstable_by(f64::total_cmp);
        let undefined = all - values.len();
        if undefined * UNDEFINED_ONE_IN > all {
            let words = format!("{undefined} of {all} resamples leave it undefined");
            return Err(NoInterval::Words(words));
        }
        let level = self.bootstrap.level;
        let ends = [(1.0 - level) / 2.0, (1.0 + level) / 2.0].map(|p| quantile(&values, p));
        if ends.iter().any(|end| !end.is_finite()) {
            let infinite = values.iter().filter(|value| !value.is_finite()).count();
            let words = format!("it is infinite in {infinite} of {all} resamples, as they separate the classes");
            return Err(NoInterval::Words(words));
        }
        if ends[0] == ends[1] {
            return Err(NoInterval::NoWidth);
        }
        let left_out = match undefined {
            0 => String::new(),
            n => format!(", {n} resamples without a value left out"),
        };
        Ok((ends, left_out))
    }

    /// `95 % percentile interval of 2000 patient-cluster bootstrap resamples, seed 0`.
    pub fn words(&self, kind: &str) -> String {
        let Bootstrap { resamples, seed, .. } = self.bootstrap;
        let percent = self.percent();
        let redrawn = match self.replicates.redraws {
            0 => String::new(),
            n => format!(", {n} one-class resamples redrawn"),
        };
        format!("{percent} % {kind} interval of {resamples} patient-cluster bootstrap resamples, seed {seed}{redrawn}")
    }

    /// The level in per cent, without rounding's dust.
    pub fn percent(&self) -> f64 {
        (self.bootstrap.level * 1e8).round() / 1e6
    }
}
