//! One question after the other: what each switch is decided by.

use tch::Tensor;

use super::{
    LEAST_SKILL, Tried,
    candidate::{Graph, Trunk, Word as _},
    evidence::Pooled,
    fit::{Fit, skill},
    weigh::{Decision, Doubt, Jump, Side, Trust, Verdict, weigh},
};
use crate::encoder::{Family, HalfOrder, Padding, PoolPad, ShortcutFrom};

/// A batch norm at which graphs part: one is so many times farther from what is stored, and far enough to mean something.
const JUMP: (f64, f64) = (2.0, 1e-4);

/// A value of a switch of the trunk, and which trunks have it.
type Value = (&'static str, fn(&Trunk) -> bool);

const PADDINGS: [Value; 2] = [
    ("fixed", |trunk| trunk.padding == Padding::Fixed),
    ("same", |trunk| trunk.padding == Padding::Same),
];

const POOL_PADS: [Value; 2] = [
    ("zero", |trunk| {
        trunk.padding == Padding::Fixed && trunk.pool_pad == PoolPad::Zero
    }),
    ("neg-inf", |trunk| {
        trunk.padding == Padding::Fixed && trunk.pool_pad == PoolPad::NegInf
    }),
];

const SHORTCUTS: [Value; 2] = [
    ("preact", |trunk| trunk.shortcut_from == ShortcutFrom::Preact),
    ("raw", |trunk| trunk.shortcut_from == ShortcutFrom::Raw),
];

/// The switches that all layers feel.
pub(super) fn trunk(graph: &mut Graph, tried: &[Tried], trust: Trust, family: Family) -> Vec<Verdict> {
    let ask = |switch, values: &[Value; 2], kept: usize| weigh_trunks(switch, values, tried, kept, trust);
    let before = graph.trunk;
    let mut verdicts = Vec::new();
    let (padding, verdict) = ask("padding", &PADDINGS, usize::from(before.padding == Padding::Same));
    verdicts.push(verdict);
    graph.trunk.padding = [Padding::Fixed, Padding::Same][padding];
    graph.trunk.pool_pad = PoolPad::NegInf; // as TensorFlow's SAME, where there is no question
    if graph.trunk.padding == Padding::Fixed {
        // A graph that stood on SAME had no word on it: then the default stays.
        let kept = before.padding == Padding::Fixed && before.pool_pad == PoolPad::NegInf;
        let (pool_pad, verdict) = ask("pool_pad", &POOL_PADS, usize::from(kept));
        verdicts.push(verdict);
        graph.trunk.pool_pad = [PoolPad::Zero, PoolPad::NegInf][pool_pad];
    }
    if family == Family::ResNet {
        let kept = usize::from(before.shortcut_from == ShortcutFrom::Raw);
        let (shortcut_from, verdict) = ask("shortcut_from", &SHORTCUTS, kept);
        verdicts.push(verdict);
        graph.trunk.shortcut_from = [ShortcutFrom::Preact, ShortcutFrom::Raw][shortcut_from];
    }
    verdicts
}

/// Weighs the best trunks with one value against the best with the other.
fn weigh_trunks(
    switch: &'static str,
    values: &[Value; 2],
    tried: &[Tried],
    kept: usize,
    trust: Trust,
) -> (usize, Verdict) {
    let found = values.map(|(_, has)| nearest(tried, has));
    let sides = [0, 1].map(|i| {
        let (value, has) = values[i];
        let with = tried.iter().filter(|tried| has(&tried.trunk));
        let correlations: Vec<&Tensor> = with.flat_map(|tried| tried.correlation.iter().flatten()).collect();
        Side {
            value: value.to_owned(),
            fits: found[i].map(|tried| tried.look.fits.as_slice()),
            correlation: Some(Tensor::stack(&correlations, 0).amax([0i64].as_slice(), false)),
        }
    });
    let (value, mut verdict) = weigh(switch, &sides, kept, trust);
    if let (Some(chosen), Some(other)) = (sides[value].fits, sides[1 - value].fits) {
        verdict.jump = jump(chosen, other);
    }
    (value, verdict)
}

/// Of the trunks with a value the one that feeds batch norms best.
pub(super) fn nearest(tried: &[Tried], has: impl Fn(&Trunk) -> bool) -> Option<&Tried> {
    let with = tried.iter().filter(|tried| has(&tried.trunk));
    with.min_by(|a, b| a.distance.total_cmp(&b.distance))
}

/// The first site that the other feeds much worse.
fn jump(chosen: &[Fit], other: &[Fit]) -> Option<Jump> {
    let pairs = chosen.iter().zip(other).map(|(chosen, other)| Jump {
        site: chosen.site.clone(),
        chosen: chosen.distance(),
        other: other.distance(),
    });
    pairs
        .into_iter()
        .find(|jump| jump.other >= JUMP.0 * jump.chosen && jump.other - jump.chosen >= JUMP.1)
}

/// At the batch norm of the pooled features, under the trunk that was found.
pub(super) fn last_relu(graph: &mut Graph, found: &Tried, trust: Trust, pooled: &Pooled) -> Verdict {
    let fits = &found.look.pooled;
    let side = |relu: bool| {
        let [first, second] = &found.correlation[usize::from(relu)];
        Side {
            value: relu.word().to_owned(),
            fits: Some(std::slice::from_ref(&fits[usize::from(relu)])),
            correlation: Some(first.maximum(second)),
        }
    };
    let trust = Trust {
        statistics: trust.statistics && fits[0].skill.max(fits[1].skill) >= LEAST_SKILL,
        ..trust
    };
    let kept = graph.last_relu;
    let (value, mut verdict) = weigh("last_relu", &[side(false), side(true)], usize::from(kept), trust);
    let mut last_relu = value == 1;
    if last_relu && pooled.negative > 0 && matches!(verdict.decision, Decision::Decided(_)) {
        // No mean over what a ReLU lets through is below zero.
        last_relu = kept;
        verdict.value = kept.word().to_owned();
        verdict.decision = Decision::Undecided(Doubt::Disagreement);
    }
    graph.last_relu = last_relu;
    verdict.jump = jump(
        std::slice::from_ref(&fits[usize::from(last_relu)]),
        std::slice::from_ref(&fits[usize::from(!last_relu)]),
    );
    verdict
}

/// The order of the halves, which no batch norm feels.
pub(super) fn halves(graph: &mut Graph, found: &Tried, trust: Trust) -> Verdict {
    let orders = [HalfOrder::MeanFirst, HalfOrder::StdevFirst];
    let correlation = &found.correlation[usize::from(graph.last_relu)];
    let sides = [0, 1].map(|half| Side {
        value: orders[half].word().to_owned(),
        fits: None,
        correlation: Some(correlation[half].shallow_clone()),
    });
    let kept = usize::from(graph.halves == HalfOrder::StdevFirst);
    let (value, verdict) = weigh("halves", &sides, kept, trust);
    graph.halves = orders[value];
    verdict
}

/// What was added to variances, under the trunk that was found. It bends scales alone, which a correlation hardly feels.
pub(super) fn epsilon(graph: &mut Graph, found: &[Fit], others: &[(f64, Vec<Fit>)], trust: Trust) -> Verdict {
    let others = others.iter().map(|(bn_eps, fits)| (*bn_eps, fits.as_slice()));
    let all: Vec<(f64, &[Fit])> = std::iter::once((graph.bn_eps, found)).chain(others).collect();
    let sides = all.iter().map(|(bn_eps, fits)| Side {
        value: format!("{bn_eps:?}"),
        fits: Some(fits),
        correlation: None,
    });
    let sides: Vec<Side> = sides.collect();
    let trust = Trust {
        // A wrong one can spoil every graph: then the right one shows what the statistics are worth.
        statistics: all.iter().any(|(_, fits)| skill(fits) >= LEAST_SKILL),
        ..trust
    };
    let (value, verdict) = weigh("bn_eps", &sides, 0, trust);
    graph.bn_eps = all[value].0;
    verdict
}
