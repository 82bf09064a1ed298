//! Two pieces of evidence on one switch, and what they are worth together.
//!
//! The statistics come first, the correlation second; a switch that both decide differently is not settled. A difference
//! decides only if it is large in itself *and* against what resampled images and channels make of it: a bias that all images
//! share, e.g. since they are generated and the stored statistics are of photographs, is in no resample.

use serde::Serialize;
use tch::Tensor;

use super::fit::{Fit, contrast, distance};

/// Of the contrast, see [`Margin::by`].
const LEAST_NEARER: f64 = 0.05;

/// Of the correlation. An output that was made for another graph can correlate a little better by chance.
const LEAST_CORRELATION: f64 = 0.02;

/// A margin below so many of its standard errors decides nothing. A dozen questions are asked at once.
pub(super) const SIGMAS: f64 = 4.0;

/// How far one value of a switch is ahead of the best other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Margin {
    /// The value that is ahead.
    pub favours: String,
    /// The next.
    pub over: String,
    /// By how much. Of correlations the difference. Of distances the difference over the sum, mean over batch norms: 0 where both
    /// are alike, 1 where the other is far off everywhere.
    pub by: f64,
    /// How many times nearer, geometric mean over batch norms, where it is about distances.
    pub times: Option<f64>,
    /// Its standard error, from resampled images and channels.
    pub deviation: f64,
    /// Whether that decides.
    pub decisive: bool,
}

/// What a switch was decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The stored statistics of batch norms; the correlation says nothing against it.
    Statistics,
    /// The correlation of latent vectors alone.
    Correlation,
    /// Each of them.
    Both,
}

/// Why a switch was not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// Nothing that was measured tells its values apart.
    Silent,
    /// Two pieces of evidence decide for different values.
    Disagreement,
}

/// The outcome for one switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The value was found.
    Decided(Basis),
    /// The value is the one that was there before.
    Undecided(Doubt),
}

/// The first batch norm that one graph feeds much worse than another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Jump {
    /// Which, e.g. `stages.0.0.bn1`.
    pub site: String,
    /// Squared Hellinger distance from what is stored, under the chosen value.
    pub chosen: f64,
    /// The same under the next value.
    pub other: f64,
}

/// All on one switch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Its name in a recipe, e.g. `padding`.
    pub switch: &'static str,
    /// Its value from now on.
    pub value: String,
    /// Whether that was found or kept.
    pub decision: Decision,
    /// What the stored statistics say, where they bear on it.
    pub statistics: Option<Margin>,
    /// What the correlation of latent vectors says, where it bears on it.
    pub correlation: Option<Margin>,
    /// Where the values part.
    pub jump: Option<Jump>,
}

/// One value of a switch.
#[derive(Debug)]
pub(super) struct Side<'a> {
    pub value: String,
    /// Batch norms under the nearest graph with this value.
    pub fits: Option<&'a [Fit]>,
    /// The best of all graphs with this value, `[B]`: row 0 is what was measured, the others are resamples.
    pub correlation: Option<Tensor>,
}

/// Whether a kind of evidence is worth anything for these weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    pub statistics: bool,
    pub correlation: bool,
}

/// Number of the value that stands from now on, and why; `kept` is the one that stood before. There are two values or more.
pub(super) fn weigh(switch: &'static str, sides: &[Side], kept: usize, trust: Trust) -> (usize, Verdict) {
    let statistics = nearest(sides, trust.statistics);
    let correlation = best_correlated(sides, trust.correlation);
    let decided = |found: &Option<(usize, Margin)>| found.as_ref().filter(|(_, m)| m.decisive).map(|(best, _)| *best);
    let (value, decision) = match (decided(&statistics), decided(&correlation)) {
        (Some(a), Some(b)) if a == b => (a, Decision::Decided(Basis::Both)),
        (Some(_), Some(_)) => (kept, Decision::Undecided(Doubt::Disagreement)),
        (Some(a), None) => (a, Decision::Decided(Basis::Statistics)),
        (None, Some(b)) => (b, Decision::Decided(Basis::Correlation)),
        (None, None) => (kept, Decision::Undecided(Doubt::Silent)),
    };
    let verdict = Verdict {
        switch,
        value: sides[value].value.clone(),
        decision,
        statistics: statistics.map(|(_, margin)| margin),
        correlation: correlation.map(|(_, margin)| margin),
        jump: None,
    };
    (value, verdict)
}

/// The value whose batch norms are fed best; `None` where that does not bear on the switch.
fn nearest(sides: &[Side], trusted: bool) -> Option<(usize, Margin)> {
    let fits: Vec<&[Fit]> = sides.iter().map(|side| side.fits).collect::<Option<_>>()?;
    let distances: Vec<f64> = fits.iter().map(|fits| distance(*fits)).collect();
    let (best, next) = first_two(&distances, f64::total_cmp);
    let lead = Lead {
        sides,
        places: (best, next),
        ahead: contrast(fits[best], fits[next]),
        times: Some(distances[next] / distances[best]),
    };
    Some((best, lead.margin(LEAST_NEARER, trusted)))
}

/// The value whose graphs find latent vectors best; `None` where that does not bear on the switch.
fn best_correlated(sides: &[Side], trusted: bool) -> Option<(usize, Margin)> {
    let correlations: Vec<&Tensor> = sides
        .iter()
        .map(|side| side.correlation.as_ref())
        .collect::<Option<_>>()?;
    let measured: Vec<f64> = correlations.iter().map(|r| r.double_value(&[0])).collect();
    let (best, next) = first_two(&measured, |a, b| b.total_cmp(a));
    let lead = Lead {
        sides,
        places: (best, next),
        ahead: correlations[best] - correlations[next],
        times: None,
    };
    Some((best, lead.margin(LEAST_CORRELATION, trusted)))
}

/// Numbers of the first and the second in an order.
fn first_two(values: &[f64], compare: impl Fn(&f64, &f64) -> std::cmp::Ordering) -> (usize, usize) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| compare(&values[*a], &values[*b]));
    (order[0], order[1])
}

struct Lead<'a> {
    sides: &'a [Side<'a>],
    places: (usize, usize),
    /// `[B]`.
    ahead: Tensor,
    times: Option<f64>,
}

impl Lead<'_> {
    fn margin(self, least: f64, trusted: bool) -> Margin {
        let resampled = self.ahead.narrow(0, 1, self.ahead.size()[0] - 1);
        let (by, deviation) = (self.ahead.double_value(&[0]), resampled.std(true).double_value(&[]));
        Margin {
            favours: self.sides[self.places.0].value.clone(),
            over: self.sides[self.places.1].value.clone(),
            by,
            times: self.times,
            deviation,
            decisive: trusted && by >= least && by >= SIGMAS * deviation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fit::fits_at, *};

    const TRUST: Trust = Trust {
        statistics: true,
        correlation: true,
    };

    /// Two values with a distance and a correlation each; the latter is off by `jitter` in resamples of the first.
    fn decision(sides: [(f64, f64); 2], jitter: f64, trust: Trust) -> (usize, Decision) {
        let fits = sides.map(|(distance, _)| fits_at(distance));
        let correlation = |i: usize| {
            let jitter = if i == 0 { jitter } else { 0.0 };
            let rows: Vec<f64> = (0..9)
                .map(|row| sides[i].1 + jitter * f64::from((row + 1) % 3 - 1))
                .collect();
            Tensor::from_slice(&rows)
        };
        let side = |i: usize| Side {
            value: ["fixed", "same"][i].to_owned(),
            fits: Some(&fits[i]),
            correlation: Some(correlation(i)),
        };
        let sides = [side(0), side(1)];
        let (value, verdict) = weigh("padding", &sides, 0, trust);
        assert_eq!(verdict.value, sides[value].value);
        (value, verdict.decision)
    }

    #[test]
    fn evidence_decides_alone_or_together() {
        let decided = |basis| (1, Decision::Decided(basis));
        assert_eq!(decision([(0.1, 0.5), (0.01, 0.9)], 0.0, TRUST), decided(Basis::Both));
        assert_eq!(
            decision([(0.1, 0.5), (0.01, 0.495)], 0.0, TRUST),
            decided(Basis::Statistics)
        );
        assert_eq!(
            decision([(0.1, 0.5), (0.1001, 0.6)], 0.0, TRUST),
            decided(Basis::Correlation)
        );
    }

    #[test]
    fn what_disagrees_is_not_settled() {
        let found = decision([(0.1, 0.9), (0.01, 0.5)], 0.0, TRUST);
        assert_eq!(found, (0, Decision::Undecided(Doubt::Disagreement)));
    }

    #[test]
    fn small_uncertain_and_untrusted_margins_decide_nothing() {
        let silent = (0, Decision::Undecided(Doubt::Silent));
        assert_eq!(decision([(0.1, 0.5), (0.099, 0.51)], 0.0, TRUST), silent);
        assert_eq!(decision([(0.1, 0.5), (0.1, 0.9)], 0.2, TRUST), silent);
        let none = Trust {
            statistics: false,
            correlation: false,
        };
        assert_eq!(decision([(0.1, 0.5), (0.01, 0.9)], 0.0, none), silent);
    }
}
