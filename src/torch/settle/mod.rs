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
mod switches;
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
    candidate::{EPSILONS, Graph, Trunk},
    fit::{Resamples, distance, skill},
    weigh::{SIGMAS, Trust},
};
use super::{TorchError, device::DeviceChoice};
use crate::{
    encoder::{EncoderConfig, HalfOrder, Padding},
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
    let (graph, evidence) = ask(&bench, before, inputs, options)?;
    if graph.bn_eps == before.bn_eps {
        return Ok(Settled {
            encoder: graph.applied(inputs.encoder),
            evidence,
        });
    }
    // Under a wrong epsilon every graph fits badly: with the right one the other questions are asked again.
    let with = Graph {
        bn_eps: graph.bn_eps,
        ..before
    };
    let (graph, mut again) = ask(&bench, with, inputs, options)?;
    let decided = evidence.verdicts.into_iter().next_back();
    again.verdicts.pop();
    again.verdicts.extend(decided);
    Ok(Settled {
        encoder: Graph {
            bn_eps: with.bn_eps,
            ..graph
        }
        .applied(inputs.encoder),
        evidence: again,
    })
}

/// All questions, from one graph on; that on the epsilon comes last.
fn ask(bench: &Bench, before: Graph, inputs: &Inputs, options: &Options) -> Result<(Graph, Evidence), TorchError> {
    let enlarged = enlarge(bench, &before, options)?;
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
    let mut verdicts = switches::trunk(&mut graph, &tried, trust, bench.net.family);
    let found = tried.iter().find(|tried| tried.trunk == graph.trunk);
    let found = found.expect("all trunks were tried");
    let pooled = Pooled::of(bench, &found.look.pooled);
    verdicts.push(switches::last_relu(&mut graph, found, trust, &pooled));
    verdicts.push(switches::halves(&mut graph, found, trust));
    let mut epsilons = Vec::new();
    for bn_eps in EPSILONS {
        if bn_eps != before.bn_eps {
            let look = bench.look(&Graph { bn_eps, ..graph }, shown, of_shown)?;
            epsilons.push((bn_eps, look.fits));
        }
    }
    verdicts.push(switches::epsilon(&mut graph, &found.look.fits, &epsilons, trust));

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
        discriminator: Sign::of(bench, inputs.discriminator)?,
    };
    Ok((graph, evidence))
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

/// Which way of enlarging generated images suits the stored statistics; `None` where they have the encoder's size. It goes by the
/// first batch norm: only the padding comes before it, so that no other wrong switch can be mistaken for the images.
fn enlarge(bench: &Bench, graph: &Graph, options: &Options) -> Result<Option<Enlarged>, TorchError> {
    if !bench.enlarges() {
        return Ok(None);
    }
    let count = ENLARGED.min(options.latents);
    let resamples = Resamples::new(count, options.seed, "enlarged")?;
    let by = |way| -> Result<f64, TorchError> {
        let look = bench.look(graph, Images::Generated(count, way), &resamples)?;
        Ok(distance(look.fits.first()))
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
    let nearest = switches::nearest(tried, |_| true);
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
