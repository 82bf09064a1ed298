//! Which graph do weights belong to? Finds out what the published sources leave open, [`crate::encoder::Switches`].
//!
//! Two witnesses stand in the weights themselves. An encoder's batch norms stored the mean and variance of what the true graph
//! fed them, so that every other graph shows at the first batch norm it feeds otherwise. And the encoder was trained to
//! find the latent vector of a generated image: under the true graph `z_mean` correlates with it most. No image from
//! elsewhere is needed, though photographs are nearer to what the statistics were taken of.
//!
//! All graphs are tried: every trunk has one pass over the images, and what follows it is cheap. A switch is changed only
//! where the margin is clear, see [`Verdict`]; where witnesses are silent or disagree it keeps its value, and says so.

mod bench;
mod candidate;
mod evidence;
mod fit;
mod photographs;
mod weigh;

use std::path::Path;

use tch::{Kind, Tensor};

pub use self::{
    bench::Enlargement,
    evidence::{Candidate, Enlarged, Evidence, Pooled, Sign},
    weigh::{Basis, Decision, Doubt, Jump, Margin, Verdict},
};
use self::{
    bench::{Bench, Images, Look},
    candidate::{EPSILONS, Graph, Trunk, Word},
    fit::{Fit, Resamples, distance, skill},
    weigh::{SIGMAS, Side, Trust, weigh},
};
use super::{TorchError, device::DeviceChoice};
use crate::{
    encoder::{EncoderConfig, Family, HalfOrder, Padding, PoolPad, ShortcutFrom},
    method,
    progress::Progress,
};

/// Converted weights.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The encoder; its weights are the file of the averaged ones. What can't be settled stays as it says.
    pub encoder: &'a EncoderConfig,
    /// The generator and the file of its averaged weights.
    pub generator: (&'a method::Generator, &'a Path),
    /// The discriminator and a file with its weights, maybe among others.
    pub discriminator: Option<(&'a method::Discriminator, &'a Path)>,
    /// A folder of photographs like those that the networks were trained on.
    pub photographs: Option<&'a Path>,
}

/// How much is spent on it.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Generated images, and the most photographs that are read.
    pub latents: usize,
    /// Images that pass the networks together.
    pub batch: usize,
    /// Of latent vectors and resamples.
    pub seed: u64,
    /// Where the networks run.
    pub device: DeviceChoice,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            latents: 256,
            batch: 16,
            seed: 0,
            device: DeviceChoice::Auto,
        }
    }
}

/// What came out.
#[derive(Debug)]
pub struct Settled {
    /// The encoder with every switch written out.
    pub encoder: EncoderConfig,
    /// Why; prints as tables.
    pub evidence: Evidence,
}

/// Images that the way of enlarging is chosen on.
const ENLARGED: usize = 64;

/// With fewer photographs the statistics are compared on generated images.
const LEAST_PHOTOGRAPHS: i64 = 32;

/// Below it the statistics are not those of any graph that was tried.
const LEAST_SKILL: f64 = 0.5;

/// Below it the encoder finds no latent vector under any graph that was tried.
const LEAST_CORRELATION: f64 = 0.1;

/// A batch norm at which graphs part: one is so many times farther from what is stored, and far enough to mean something.
const JUMP: (f64, f64) = (2.0, 1e-4);

/// The most images that will pass the encoder, for a bar.
///
/// # Errors
///
/// When the configuration makes no network.
pub fn steps(inputs: &Inputs, options: &Options) -> Result<u64, TorchError> {
    let trunks = Trunk::all(inputs.encoder.architecture()?.family).len();
    let shown = if inputs.photographs.is_some() { 2 } else { 1 };
    let passes = trunks * shown + EPSILONS.len() - 1;
    Ok((passes * options.latents + 2 * ENLARGED.min(options.latents)) as u64)
}

/// Finds the switches of weights.
///
/// # Errors
///
/// When weights do not fit, no photograph can be read, or libtorch fails. Evidence that settles nothing is no error.
pub fn settle(inputs: &Inputs, options: &Options, progress: &Progress) -> Result<Settled, TorchError> {
    let _no_gradients = tch::no_grad_guard();
    let bench = Bench::open(inputs, options, progress)?;
    let before = Graph::of(&bench.net);
    let enlarged = enlarge(&bench, &before, options)?;
    let way = enlarged
        .as_ref()
        .map_or(Enlargement::Nearest, |enlarged| enlarged.chosen);
    let generated = Images::Generated(options.latents, way);
    let shown = match bench.count(Images::Photographs) {
        LEAST_PHOTOGRAPHS.. => Images::Photographs,
        _ => generated,
    };
    let resampled = Resamples::new(options.latents, options.seed, "generated")?;
    let of_shown = match shown {
        Images::Photographs => &Resamples::new(bench.count(shown) as usize, options.seed, "photographs")?,
        Images::Generated(..) => &resampled,
    };

    let mut tried = Vec::new();
    for trunk in Trunk::all(bench.net.family) {
        let graph = Graph { trunk, ..before };
        let mut look = bench.look(&graph, generated, &resampled)?;
        let correlation = correlations(&look, &bench.z, &resampled);
        if matches!(shown, Images::Photographs) {
            look = bench.look(&graph, shown, of_shown)?;
        }
        tried.push(Tried::new(trunk, look, correlation));
    }
    let trust = trust(&tried);

    let mut graph = before;
    let mut verdicts = settle_trunk(&mut graph, &tried, trust, bench.net.family);
    let found = tried.iter().find(|tried| tried.trunk == graph.trunk);
    let found = found.expect("all trunks were tried");
    let pooled = Pooled::of(&bench, &found.look.pooled);
    verdicts.push(settle_last_relu(&mut graph, found, trust, &pooled));
    verdicts.push(settle_halves(&mut graph, found, trust));
    let mut epsilons = Vec::new();
    for bn_eps in EPSILONS {
        if bn_eps != before.bn_eps {
            let look = bench.look(&Graph { bn_eps, ..graph }, shown, of_shown)?;
            epsilons.push((bn_eps, look.fits));
        }
    }
    verdicts.push(settle_epsilon(&mut graph, &found.look.fits, &epsilons, trust));

    let evidence = Evidence {
        latents: options.latents,
        seed: options.seed,
        enlarged,
        photographs: bench
            .photographs
            .as_ref()
            .map(|_| bench.count(Images::Photographs) as usize),
        unreadable: bench.photographs.as_ref().map_or(0, |photographs| photographs.failed),
        statistics_of_photographs: matches!(shown, Images::Photographs),
        skill: tried.iter().map(|tried| tried.skill).fold(f64::MIN, f64::max),
        least_skill: LEAST_SKILL,
        correlation: tried.iter().map(Tried::best_correlation).fold(f64::MIN, f64::max),
        least_correlation: LEAST_CORRELATION,
        candidates: candidates(&tried),
        verdicts,
        pooled,
        discriminator: Sign::of(&bench, inputs.discriminator)?,
    };
    Ok(Settled {
        encoder: graph.applied(inputs.encoder),
        evidence,
    })
}

/// One trunk and all that was seen of it.
#[derive(Debug)]
struct Tried {
    trunk: Trunk,
    look: Look,
    /// Geometric mean over the batch norms of the trunk.
    distance: f64,
    skill: f64,
    /// `[B]` each, without and with the last ReLU, of the first and the second half.
    correlation: [[Tensor; 2]; 2],
}

impl Tried {
    fn new(trunk: Trunk, look: Look, correlation: [[Tensor; 2]; 2]) -> Self {
        Self {
            trunk,
            distance: distance(&look.fits),
            skill: skill(&look.fits),
            look,
            correlation,
        }
    }

    fn best_correlation(&self) -> f64 {
        let measured = self.correlation.iter().flatten().map(|r| r.double_value(&[0]));
        measured.fold(f64::MIN, f64::max)
    }
}

fn correlations(look: &Look, z: &Tensor, resamples: &Resamples) -> [[Tensor; 2]; 2] {
    let z_dim = z.size()[1];
    let of = |raw: &Tensor| [0, 1].map(|half| resamples.correlation(&raw.narrow(1, half * z_dim, z_dim), z));
    [of(&look.z_raw[0]), of(&look.z_raw[1])]
}

/// Which way of enlarging generated images suits the stored statistics, under the graph that stands; `None` where they have
/// the encoder's size.
fn enlarge(bench: &Bench, graph: &Graph, options: &Options) -> Result<Option<Enlarged>, TorchError> {
    if !bench.enlarges() {
        return Ok(None);
    }
    let count = ENLARGED.min(options.latents);
    let resamples = Resamples::new(count, options.seed, "enlarged")?;
    let by = |way| -> Result<f64, TorchError> {
        let look = bench.look(graph, Images::Generated(count, way), &resamples)?;
        Ok(distance(&look.fits))
    };
    let (nearest, bilinear) = (by(Enlargement::Nearest)?, by(Enlargement::Bilinear)?);
    Ok(Some(Enlarged {
        chosen: if bilinear < nearest {
            Enlargement::Bilinear
        } else {
            Enlargement::Nearest
        },
        nearest,
        bilinear,
    }))
}

fn trust(tried: &[Tried]) -> Trust {
    let nearest = nearest(tried, |_| true);
    let best = tried
        .iter()
        .flat_map(|tried| tried.correlation.iter().flatten())
        .max_by(|a, b| a.double_value(&[0]).total_cmp(&b.double_value(&[0])));
    Trust {
        statistics: nearest.is_some_and(|tried| tried.skill >= LEAST_SKILL),
        correlation: best.is_some_and(|r| {
            let (found, deviation) = (r.double_value(&[0]), r.std(true).double_value(&[]));
            found >= LEAST_CORRELATION.max(SIGMAS * deviation)
        }),
    }
}

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

fn settle_trunk(graph: &mut Graph, tried: &[Tried], trust: Trust, family: Family) -> Vec<Verdict> {
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
fn nearest(tried: &[Tried], has: impl Fn(&Trunk) -> bool) -> Option<&Tried> {
    let with = tried.iter().filter(|tried| has(&tried.trunk));
    with.min_by(|a, b| a.distance.total_cmp(&b.distance))
}

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

fn settle_last_relu(graph: &mut Graph, found: &Tried, trust: Trust, pooled: &Pooled) -> Verdict {
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

fn settle_halves(graph: &mut Graph, found: &Tried, trust: Trust) -> Verdict {
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

/// The correlation hardly feels it: a layer's scale is not what a wrong one changes most.
fn settle_epsilon(graph: &mut Graph, found: &[Fit], others: &[(f64, Vec<Fit>)], trust: Trust) -> Verdict {
    let others = others.iter().map(|(bn_eps, fits)| (*bn_eps, fits.as_slice()));
    let all: Vec<(f64, &[Fit])> = std::iter::once((graph.bn_eps, found)).chain(others).collect();
    let sides = all.iter().map(|(bn_eps, fits)| Side {
        value: format!("{bn_eps:?}"),
        fits: Some(fits),
        correlation: None,
    });
    let sides: Vec<Side> = sides.collect();
    let (value, verdict) = weigh("bn_eps", &sides, 0, trust);
    graph.bn_eps = all[value].0;
    verdict
}

/// All graphs, the best first: the nearest, and of those the one that correlates most.
fn candidates(tried: &[Tried]) -> Vec<Candidate> {
    let mut rows = Vec::new();
    for tried in tried {
        for relu in [false, true] {
            let last = &tried.look.pooled[usize::from(relu)];
            let distance = distance(tried.look.fits.iter().chain([last]));
            for (half, halves) in [HalfOrder::MeanFirst, HalfOrder::StdevFirst].into_iter().enumerate() {
                rows.push(Candidate {
                    padding: tried.trunk.padding,
                    pool_pad: (tried.trunk.padding == Padding::Fixed).then_some(tried.trunk.pool_pad),
                    shortcut_from: tried.trunk.shortcut_from,
                    last_relu: relu,
                    halves,
                    distance,
                    pooled_distance: last.distance(),
                    correlation: tried.correlation[usize::from(relu)][half].double_value(&[0]),
                });
            }
        }
    }
    rows.sort_by(|a, b| (a.distance.total_cmp(&b.distance)).then(b.correlation.total_cmp(&a.correlation)));
    rows
}

/// Mean of `[N]` and its standard error.
fn mean_and_error(t: &Tensor) -> (f64, f64) {
    let n = t.size()[0] as f64;
    (
        t.mean(Kind::Double).double_value(&[]),
        t.std(true).double_value(&[]) / n.sqrt(),
    )
}
