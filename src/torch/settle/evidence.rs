//! What was measured and what it means, for people and for a card.

use std::{fmt, path::Path};

use serde::Serialize;
use tch::{Kind, Tensor};

use super::{
    super::TorchError,
    Enlargement,
    bench::Bench,
    candidate::Word as _,
    fit::Fit,
    mean_and_error,
    weigh::{Basis, Decision, Doubt, Margin, SIGMAS, Verdict},
};
use crate::{
    encoder::{HalfOrder, Padding, PoolPad, ShortcutFrom},
    method,
    words::counted,
};

/// Rows of the printed table.
const SHOWN: usize = 10;

/// A stored mean below zero by more of its channel's deviation is no rounding.
const BELOW_ZERO: f64 = 1e-3;

/// All that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// Generated images.
    pub latents: usize,
    /// Of latent vectors and resamples.
    pub seed: u64,
    /// How they got the encoder's size; `None` where they have it.
    pub enlarged: Option<Enlarged>,
    /// Photographs that were read; `None` where no folder was given.
    pub photographs: Option<usize>,
    /// Files of that folder that are no photographs.
    pub unreadable: usize,
    /// Whether stored statistics were compared with those of the photographs instead of the generated images.
    pub statistics_of_photographs: bool,
    /// By how much channels are nearer to their own statistics than to those of other channels, median over batch norms, under
    /// the best graph: 1 is a perfect fit, 0 is chance.
    pub skill: f64,
    /// Below it the statistics decide nothing.
    pub least_skill: f64,
    /// The highest correlation of `z_mean` with the latent vector.
    pub correlation: f64,
    /// Below it the correlation decides nothing.
    pub least_correlation: f64,
    /// Every graph, the best first.
    pub candidates: Vec<Candidate>,
    /// Every switch.
    pub verdicts: Vec<Verdict>,
    /// The stored means of the pooled features.
    pub pooled: Pooled,
    /// Whether the discriminator is the right way round.
    pub discriminator: Sign,
}

/// How generated images were enlarged, and how far from the stored statistics each way leads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Enlarged {
    /// The nearer.
    pub chosen: Enlargement,
    /// Squared Hellinger distance at the first batch norm.
    pub nearest: f64,
    /// The same.
    pub bilinear: f64,
}

/// One graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the switches are those of `Switches`")]
pub struct Candidate {
    pub padding: Padding,
    pub pool_pad: Option<PoolPad>,
    pub shortcut_from: ShortcutFrom,
    pub last_relu: bool,
    pub halves: HalfOrder,
    /// Geometric mean over all batch norms of the squared Hellinger distance between what enters and what is stored.
    pub distance: f64,
    /// That of the pooled features' batch norm, which the last ReLU decides.
    pub pooled_distance: f64,
    /// Of `z_mean` with the latent vector, mean over its numbers.
    pub correlation: f64,
}

/// The stored means of the pooled features beside what they must be: a mean of what leaves the last batch norm is its offset,
/// and after a ReLU it is above zero. No image comes into it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pooled {
    /// Channels.
    pub channels: usize,
    /// Channels whose stored mean is below zero.
    pub negative: usize,
    /// Root mean square of the stored means less the offsets, over that of the last batch norm's scales.
    pub from_offsets: f64,
    /// The same, less the means of rectified normal distributions with those offsets and scales.
    pub from_rectified: f64,
}

/// What the discriminator says of photographs and of generated images. It was trained to score photographs higher.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Sign {
    /// There is nothing to test it on, or nothing to test.
    NotTested {
        /// What was missing.
        why: &'static str,
    },
    /// The mean scores of images alone.
    Tested {
        /// Of photographs.
        photographs: f64,
        /// Of generated images.
        generated: f64,
        /// Standard error of their difference.
        deviation: f64,
        /// Photographs score higher: `Some(false)` is a wrong sign, `None` a difference within the noise.
        right: Option<bool>,
    },
}

impl Pooled {
    pub(super) fn of(bench: &Bench, fits: &[Fit; 2]) -> Self {
        debug_assert_eq!(fits[0].site, "crelu_bn");
        let read = |name: &str| bench.tensor(&format!("{}{name}", crate::encoder::PREFIX));
        let (scale, offset) = (read("final_bn.weight").abs(), read("final_bn.bias"));
        let (mean, variance) = (read("crelu_bn.running_mean"), read("crelu_bn.running_var"));
        let rms = |t: Tensor| t.square().mean(Kind::Double).sqrt().double_value(&[]);
        let t = &offset / scale.clamp_min(1e-12);
        let density = (t.square() * -0.5).exp() / std::f64::consts::TAU.sqrt();
        let below = ((&t / std::f64::consts::SQRT_2).erf() + 1.0) * 0.5;
        let rectified = &offset * below + &scale * density;
        let unit = rms(scale.shallow_clone()).max(1e-12);
        let negative = mean.lt_tensor(&(variance.sqrt() * -BELOW_ZERO)).sum(Kind::Int64);
        Self {
            channels: mean.numel(),
            negative: usize::try_from(negative.int64_value(&[])).unwrap_or(0),
            from_offsets: rms(&mean - &offset) / unit,
            from_rectified: rms(&mean - rectified) / unit,
        }
    }
}

impl Sign {
    pub(super) fn of(
        bench: &Bench,
        discriminator: Option<(&method::Discriminator, &Path)>,
    ) -> Result<Self, TorchError> {
        let why = match (&bench.photographs, discriminator) {
            (Some(photographs), Some((config, file))) => {
                let (real, made) = bench.scores(photographs, config, file)?;
                let ((photographs, a), (generated, b)) = (mean_and_error(&real), mean_and_error(&made));
                let (ahead, deviation) = (photographs - generated, a.hypot(b));
                return Ok(Self::Tested {
                    photographs,
                    generated,
                    deviation,
                    right: (ahead.abs() >= SIGMAS * deviation).then_some(ahead > 0.0),
                });
            }
            (_, None) => "there is no discriminator",
            (None, Some(_)) => "no photographs were given",
        };
        Ok(Self::NotTested { why })
    }
}

impl Evidence {
    /// The switches that kept their value for want of evidence.
    pub fn undecided(&self) -> Vec<&'static str> {
        let kept = self
            .verdicts
            .iter()
            .filter(|v| matches!(v.decision, Decision::Undecided(_)));
        kept.map(|verdict| verdict.switch).collect()
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (seed {})", counted(self.latents, "generated image"), self.seed)?;
        if let Some(Enlarged {
            chosen,
            nearest,
            bilinear,
        }) = self.enlarged
        {
            let way = match chosen {
                Enlargement::Nearest => "nearest neighbours",
                Enlargement::Bilinear => "bilinear",
            };
            write!(
                f,
                ", enlarged: {way} (distance at the first batch norm {nearest:.5} by nearest neighbours, {bilinear:.5} bilinear)"
            )?;
        }
        writeln!(f)?;
        if let Some(photographs) = self.photographs {
            let files = counted(self.unreadable, "other file");
            writeln!(f, "{}, {files} in their folder", counted(photographs, "photograph"))?;
        }
        let of = if self.statistics_of_photographs {
            "photographs"
        } else {
            "generated images"
        };
        writeln!(
            f,
            "distance: between what {of} feed the batch norms and what these stored (squared Hellinger, geometric mean)\n"
        )?;
        self.table(f)?;
        writeln!(
            f,
            "\nskill of the best graph {:.3} (0 is chance; below {} the statistics decide nothing), correlation {:.3} (below {} \
             it decides nothing)",
            self.skill, self.least_skill, self.correlation, self.least_correlation
        )?;
        let Pooled {
            channels,
            negative,
            from_offsets,
            from_rectified,
        } = &self.pooled;
        writeln!(
            f,
            "pooled features: {negative} of {channels} stored means below 0; off the last offsets by {from_offsets:.3}, off \
             their rectified means by {from_rectified:.3} scales\n"
        )?;
        for verdict in &self.verdicts {
            writeln!(f, "{verdict}")?;
        }
        writeln!(f, "{}", self.discriminator)
    }
}

impl Evidence {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shortcuts = self.verdicts.iter().any(|verdict| verdict.switch == "shortcut_from");
        let shortcut = |word: &str| {
            if shortcuts {
                format!("{word:<14}")
            } else {
                String::new()
            }
        };
        let row = |f: &mut fmt::Formatter<'_>, words: [&str; 5], numbers: [&str; 3]| {
            let [padding, pool_pad, from, last_relu, halves] = words;
            let [distance, pooled, correlation] = numbers;
            let from = shortcut(from);
            writeln!(
                f,
                "{padding:<8} {pool_pad:<9} {from}{last_relu:<10} {halves:<12} {distance:>10} {pooled:>10} {correlation:>12}"
            )
        };
        row(
            f,
            ["padding", "pool_pad", "shortcut_from", "last_relu", "halves"],
            ["distance", "pooled", "correlation"],
        )?;
        for c in self.candidates.iter().take(SHOWN) {
            row(
                f,
                [
                    c.padding.word(),
                    c.pool_pad.map_or("-", PoolPad::word),
                    c.shortcut_from.word(),
                    c.last_relu.word(),
                    c.halves.word(),
                ],
                [
                    &format!("{:.6}", c.distance),
                    &format!("{:.6}", c.pooled_distance),
                    &format!("{:+.4}", c.correlation),
                ],
            )?;
        }
        match self.candidates.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { switch, value, .. } = self;
        match self.decision {
            Decision::Decided(basis) => {
                let by = match basis {
                    Basis::Statistics => "the statistics",
                    Basis::Correlation => "the correlation alone",
                    Basis::Both => "statistics and correlation",
                };
                write!(f, "{switch} = {value}, decided by {by}")?;
            }
            Decision::Undecided(Doubt::Silent) => write!(f, "{switch} is not decided by evidence, kept at {value}")?,
            Decision::Undecided(Doubt::Disagreement) => {
                write!(f, "{switch} is NOT SETTLED, evidence disagrees, kept at {value}")?;
            }
        }
        let mut between = ": ";
        if let Some(margin) = &self.statistics {
            let Margin {
                favours,
                over,
                by,
                deviation,
                ..
            } = margin;
            let times = margin.times.unwrap_or(1.0);
            write!(
                f,
                "{between}{favours} is {times:.2} times nearer than {over} (contrast {by:+.4}, standard error {deviation:.4}{})",
                aside(margin)
            )?;
            between = "; ";
        }
        if let Some(margin) = &self.correlation {
            let Margin {
                favours,
                over,
                by,
                deviation,
                ..
            } = margin;
            write!(
                f,
                "{between}{favours} correlates better than {over} by {by:+.4} (standard error {deviation:.4}{})",
                aside(margin)
            )?;
            between = "; ";
        }
        if let Some(jump) = &self.jump {
            write!(
                f,
                "{between}jump at {} from {:.5} to {:.5}",
                jump.site, jump.chosen, jump.other
            )?;
        }
        Ok(())
    }
}

fn aside(margin: &Margin) -> &'static str {
    if margin.decisive { "" } else { ", which decides nothing" }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTested { why } => write!(f, "the discriminator's sign was not tested: {why}"),
            Self::Tested {
                photographs,
                generated,
                deviation,
                right,
            } => {
                let words = match right {
                    Some(true) => "is right",
                    Some(false) => "is WRONG, photographs should score higher",
                    None => "is not decided by evidence",
                };
                write!(
                    f,
                    "the discriminator's sign {words}: photographs score {photographs:+.3}, generated images {generated:+.3} \
                     (standard error of the difference {deviation:.3})"
                )
            }
        }
    }
}
