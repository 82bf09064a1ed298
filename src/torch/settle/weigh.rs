//! Two pieces of evidence on one switch, and what they are worth together.
//!
//! The statistics come first, the correlation second; a switch that both decide differently is not settled. A difference
//! decides only if it is large in itself *and* against what resampled images and channels make of it: a bias that all images
//! share, e.g. since they are generated and the stored statistics are of photographs, is in no resample.

use serde::Serialize;
use tch::Tensor;

/// Of the logarithm of the distance: 2 % nearer.
const LEAST_NEARER: f64 = 0.02;

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
    /// By how much: logarithm of the ratio of distances, or difference of correlations.
    pub by: f64,
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

/// One value of a switch with the best that any graph with it reaches, `[B]`: row 0 is what was measured, the others are
/// resamples.
#[derive(Debug)]
pub(super) struct Side {
    pub value: String,
    /// Logarithm of the distance: less is better.
    pub distance: Option<Tensor>,
    /// More is better.
    pub correlation: Option<Tensor>,
}

/// Whether a kind of evidence is worth anything for these weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    pub statistics: bool,
    pub correlation: bool,
}

/// Number of the value that stands from now on, and why; `kept` is the one that stood before.
pub(super) fn weigh(switch: &'static str, sides: &[Side], kept: usize, trust: Trust) -> (usize, Verdict) {
    let distances: Option<Vec<Tensor>> = sides
        .iter()
        .map(|side| side.distance.as_ref().map(Tensor::neg))
        .collect();
    let correlations: Option<Vec<Tensor>> = sides
        .iter()
        .map(|side| side.correlation.as_ref().map(Tensor::shallow_clone))
        .collect();
    let ahead = |scores: Option<Vec<Tensor>>, least, trusted| {
        scores.map(|scores| {
            let (best, next, by, deviation) = lead(&scores);
            let margin = Margin {
                favours: sides[best].value.clone(),
                over: sides[next].value.clone(),
                by,
                deviation,
                decisive: trusted && by >= least && by >= SIGMAS * deviation,
            };
            (best, margin)
        })
    };
    let statistics = ahead(distances, LEAST_NEARER, trust.statistics);
    let correlation = ahead(correlations, LEAST_CORRELATION, trust.correlation);
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

/// The highest of two scores or more, the next, and by how much it leads in what was measured and over resamples.
fn lead(scores: &[Tensor]) -> (usize, usize, f64, f64) {
    let measured: Vec<f64> = scores.iter().map(|score| score.double_value(&[0])).collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| measured[*b].total_cmp(&measured[*a]));
    let (best, next) = (order[0], order[1]);
    let others: Vec<&Tensor> = order[1..].iter().map(|i| &scores[*i]).collect();
    let ahead = &scores[best] - Tensor::stack(&others, 0).amax([0i64].as_slice(), false); // [B]
    let resampled = ahead.narrow(0, 1, ahead.size()[0] - 1);
    (
        best,
        next,
        ahead.double_value(&[0]),
        resampled.std(true).double_value(&[]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUST: Trust = Trust {
        statistics: true,
        correlation: true,
    };

    fn scores(at: f64, jitter: f64) -> Tensor {
        let rows: Vec<f64> = (0..9).map(|i| at + jitter * f64::from((i + 1) % 3 - 1)).collect();
        Tensor::from_slice(&rows)
    }

    fn side(value: &str, distance: f64, correlation: f64, jitter: f64) -> Side {
        Side {
            value: value.to_owned(),
            distance: Some(scores(distance, jitter)),
            correlation: Some(scores(correlation, 0.0)),
        }
    }

    fn decision(sides: &[Side], trust: Trust) -> (usize, Decision) {
        let (value, verdict) = weigh("padding", sides, 0, trust);
        assert_eq!(verdict.value, sides[value].value);
        (value, verdict.decision)
    }

    #[test]
    fn evidence_decides_alone_or_together() {
        let sides = [side("fixed", 0.0, 0.5, 0.0), side("same", -1.0, 0.9, 0.0)];
        assert_eq!(decision(&sides, TRUST), (1, Decision::Decided(Basis::Both)));
        let sides = [side("fixed", 0.0, 0.5, 0.0), side("same", -1.0, 0.495, 0.0)];
        assert_eq!(decision(&sides, TRUST), (1, Decision::Decided(Basis::Statistics)));
        let sides = [side("fixed", 0.0, 0.5, 0.0), side("same", 0.01, 0.6, 0.0)];
        assert_eq!(decision(&sides, TRUST), (1, Decision::Decided(Basis::Correlation)));
    }

    #[test]
    fn what_disagrees_is_not_settled() {
        let sides = [side("fixed", 0.0, 0.9, 0.0), side("same", -1.0, 0.5, 0.0)];
        assert_eq!(decision(&sides, TRUST), (0, Decision::Undecided(Doubt::Disagreement)));
    }

    #[test]
    fn small_uncertain_and_untrusted_margins_decide_nothing() {
        let silent = (0, Decision::Undecided(Doubt::Silent));
        let small = [side("fixed", 0.0, 0.5, 0.0), side("same", -0.019, 0.5, 0.0)];
        assert_eq!(decision(&small, TRUST), silent);
        let uncertain = [side("fixed", 0.0, 0.5, 1.0), side("same", -1.0, 0.5, 0.0)];
        assert_eq!(decision(&uncertain, TRUST), silent);
        let clear = [side("fixed", 0.0, 0.5, 0.0), side("same", -1.0, 0.9, 0.0)];
        let none = Trust {
            statistics: false,
            correlation: false,
        };
        assert_eq!(decision(&clear, none), silent);
    }
}
