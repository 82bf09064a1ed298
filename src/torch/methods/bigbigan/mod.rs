//! BigBiGAN, Donahue and Simonyan 2019, <https://arxiv.org/abs/1907.02544>: an encoder and a generator against a
//! discriminator that sees images and latent vectors together.
//!
//! Each network has parameters, gradients and an optimiser of its own, so that the discriminator's step can't move the
//! others (the released fine-tuning script of Song et al. 2020 minimised all three losses over all variables).

mod discriminator;
mod generator;
pub mod loss;

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

pub use self::{
    discriminator::{Discriminator, Scores, Towers},
    generator::Generator,
};
use super::{
    super::{
        TorchError,
        device::autocast,
        encoders::{Encoder, three_planes},
        layers::{self, Statistics},
        train::{Ema, Tape},
        weights::{self, WeightMap},
    },
    Method, Numbers, Setting, noise, read,
    trained::{Trained, check_state, for_use, on_cpu, stand, with},
    training_statistics,
};
use crate::{
    encoder::Architecture,
    method::{self, BatchNormPolicy},
};

/// Batches of latent vectors over which the generator's standing statistics are averaged.
const STANDING_BATCHES: usize = 16;

/// Latent vectors of each of them.
const STANDING_BATCH: i64 = 64;

/// Power iterations that bring the singular vectors of averaged weights up to date.
const SETTLING: usize = 16;

/// The three networks in training, and the averages of two of them.
#[derive(Debug)]
pub struct BigBiGan {
    config: method::BigBiGan,
    setting: Setting,
    architecture: Architecture,
    encoder: Encoder,
    generator: Generator,
    discriminator: Discriminator,
    e: Trained,
    g: Trained,
    d: Trained,
    ema_e: Ema,
    ema_g: Ema,
}

/// A batch of slices and the draws that go with it.
#[derive(Debug)]
pub struct Pairs {
    /// `[N, 3, S, S]`, what the encoder sees.
    pub x: Tensor,
    /// `[N, 3, R, R]`, what the discriminator sees of it.
    pub x_small: Tensor,
    /// `[N, Z]`, draws of the prior, which is standard normal.
    pub z: Tensor,
    /// `[N, Z]`, standard normal noise of the encoder's posterior.
    pub noise: Tensor,
}

/// What a discriminator's gradient was taken of.
#[derive(Debug)]
pub struct DiscriminatorPass {
    /// Its loss.
    pub loss: Tensor,
    /// Scores of slices with their codes.
    pub real: Scores,
    /// Scores of images with the draws that they were made from.
    pub drawn: Scores,
}

/// What the encoder's and the generator's gradients were taken of.
#[derive(Debug)]
pub struct JointPass {
    /// The encoder's loss.
    pub loss_encoder: Tensor,
    /// The generator's loss.
    pub loss_generator: Tensor,
    /// Mean standard deviation of a code's number over the batch.
    pub code_spread: Tensor,
    /// Mean standard deviation of an image's pixel over the batch.
    pub image_spread: Tensor,
}

impl BigBiGan {
    /// Networks that start from the tensors of `start`, and from random ones where it has none of a network's.
    ///
    /// # Errors
    ///
    /// When settings make no network or the tensors do not fit.
    pub fn new(config: &method::BigBiGan, setting: Setting, start: Option<&WeightMap>) -> Result<Self, TorchError> {
        let z_dim = setting.encoder.architecture()?.z_dim;
        let part = |prefix: &str| -> Option<WeightMap> {
            let part = start.into_iter().flatten().filter(|(name, _)| name.starts_with(prefix));
            let part: WeightMap = part
                .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
                .collect();
            (!part.is_empty()).then_some(part)
        };
        let fresh = |expected: Vec<(String, Vec<usize>)>| weights::orthogonal(&expected, setting.seed);
        let e = part("encoder.").map_or_else(|| weights::random(&setting.encoder, setting.seed), Ok)?;
        let g = part("generator.").map_or_else(|| fresh(config.generator.tensors(z_dim)), Ok)?;
        let d = part("disc.").map_or_else(|| fresh(config.discriminator.tensors(z_dim)), Ok)?;
        Self::from_tensors(config, setting, [&e, &g, &d])
    }

    /// Networks with the weights of encoder, generator and discriminator, in this order.
    ///
    /// # Errors
    ///
    /// When settings make no network or the tensors do not fit.
    pub fn from_tensors(
        config: &method::BigBiGan,
        setting: Setting,
        [e, g, d]: [&WeightMap; 3],
    ) -> Result<Self, TorchError> {
        let architecture = setting.encoder.architecture()?;
        method::MethodConfig::BigBiGan(config.clone()).check(&architecture)?;
        weights::check(&setting.encoder, e)?;
        let trained = |tensors, adam| Trained::new(tensors, adam, config.clip, setting.device);
        let e = trained(e, config.adam_encoder)?;
        let g = trained(g, config.adam_generator)?;
        let d = trained(d, config.adam_discriminator)?;
        let z_dim = architecture.z_dim;
        Ok(Self {
            encoder: Encoder::new(&setting.encoder, e.tensors())?,
            generator: Generator::new(&config.generator, z_dim, g.tensors())?,
            discriminator: Discriminator::new(&config.discriminator, z_dim, d.tensors())?,
            ema_e: Ema::new(e.parameters(), config.ema, config.ema_start)?,
            ema_g: Ema::new(g.parameters(), config.ema, config.ema_start)?,
            e,
            g,
            d,
            config: config.clone(),
            architecture,
            setting,
        })
    }

    /// One power iteration of all spectral norms: once before each step of an optimiser.
    pub fn advance(&self) {
        layers::advance(self.d.tensors());
        layers::advance(self.g.tensors());
    }

    /// A batch as the networks see it, with its draws. `draw` tells the batches of one training apart.
    fn pairs(&self, batch: &Tensor, draw: u64) -> Result<Pairs, TorchError> {
        let device = self.setting.device;
        let batch = batch.f_to_device(device)?;
        let k = self.config.shrink(&self.architecture) as i64;
        let small = match k {
            1 => batch.shallow_clone(),
            _ => batch.f_avg_pool2d([k, k], [k, k], [0, 0], false, true, None)?,
        };
        let (n, z_dim) = (batch.size()[0], self.architecture.z_dim as i64);
        let drawn = |purpose: &str| noise(self.setting.seed, purpose, draw, n, z_dim, device);
        Ok(Pairs {
            x: three_planes(&batch)?,
            x_small: three_planes(&small)?,
            z: drawn("latent")?,
            noise: drawn("posterior")?,
        })
    }

    /// The code of slices `[N, Z]`: a draw of the posterior, or its mean.
    fn code<'a>(&'a self, pairs: &Pairs, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        let statistics = training_statistics(self.config.batch_norm);
        let posterior = self.encoder.forward_on(&pairs.x, statistics, tape)?;
        match self.config.stochastic {
            true => posterior.sample(&pairs.noise),
            false => Ok(posterior.z_mean),
        }
    }

    fn tape<'a>(&self) -> Tape<'a> {
        match self.setting.recompute {
            true => Tape::recomputing(self.setting.precision, self.setting.device),
            false => Tape::keeping(),
        }
    }

    /// Adds the gradient of the discriminator's loss on a batch, of which there are `of` before a step.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn discriminator_pass(&self, pairs: &Pairs, of: usize) -> Result<DiscriminatorPass, TorchError> {
        self.d.listen(true);
        let tape = self.tape();
        let pass = {
            let _precision = autocast(self.setting.precision, self.setting.device)?;
            let (code, image) = tch::no_grad(|| -> Result<_, TorchError> {
                let image = self.generator.forward(&pairs.z, Statistics::Batch)?;
                Ok((self.code(pairs, &Tape::keeping())?, image))
            })?;
            // Both kinds of pairs in one pass: the discriminator has no batch norm, so they do not see each other.
            let x = Tensor::f_cat(&[&pairs.x_small, &image.to_kind(Kind::Float)], 0)?;
            let z = Tensor::f_cat(&[&code.to_kind(Kind::Float), &pairs.z], 0)?;
            let scores = self.discriminator.forward_on(&x, &z, &tape)?;
            let (real, drawn) = scores.split(pairs.x.size()[0]);
            DiscriminatorPass {
                loss: loss::discriminator(&real, &drawn, self.config.loss),
                real,
                drawn,
            }
        };
        tape.backward(&(&pass.loss / of as f64))?;
        Ok(pass)
    }

    /// Adds the gradients of the encoder's and the generator's losses on a batch, of which there are `of` before a step.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn joint_pass(&self, pairs: &Pairs, of: usize) -> Result<JointPass, TorchError> {
        self.d.listen(false);
        let tape = self.tape();
        let pass = {
            let _precision = autocast(self.setting.precision, self.setting.device)?;
            let code = self.code(pairs, &tape)?;
            let image = self.generator.forward_on(&pairs.z, Statistics::Batch, &tape)?;
            // A slice leads back to nothing that is trained: its way through the tower of images needs no graph.
            let d = &self.discriminator;
            let slice = tch::no_grad(|| d.image(&pairs.x_small, &Tape::keeping()))?;
            let f = Tensor::f_cat(&[&slice, &d.image(&image, &tape)?], 0)?;
            let z = Tensor::f_cat(&[&code.to_kind(Kind::Float), &pairs.z], 0)?;
            let (real, drawn) = d.scores(&d.join(f, d.latent(&z))).split(pairs.x.size()[0]);
            JointPass {
                loss_encoder: loss::encoder(&real, self.config.loss),
                loss_generator: loss::generator(&drawn, self.config.loss),
                code_spread: spread(&code),
                image_spread: spread(&image.narrow(1, 0, 1)),
            }
        };
        tape.backward(&((&pass.loss_encoder + &pass.loss_generator) / of as f64))?;
        Ok(pass)
    }

    /// Gradients of all networks become zero.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn zero_grad(&mut self) -> Result<(), TorchError> {
        self.e.zero_grad()?;
        self.g.zero_grad()?;
        self.d.zero_grad()
    }

    /// Moves the discriminator, at a share of its learning rate; gives the norm of its gradient.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn step_discriminator(&mut self, share: f64) -> Result<f64, TorchError> {
        self.d.step(share)
    }

    /// Moves encoder and generator, at a share of their learning rates; gives the norms of their gradients.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn step_joint(&mut self, share: f64) -> Result<(f64, f64), TorchError> {
        Ok((self.e.step(share)?, self.g.step(share)?))
    }

    /// Euclidean norm of the gradient of every tensor, by name.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn gradient_norms(&self) -> Result<BTreeMap<String, f64>, TorchError> {
        let mut norms = BTreeMap::new();
        for network in [&self.e, &self.g, &self.d] {
            norms.extend(network.parameters().grad_norms()?);
        }
        Ok(norms)
    }

    /// All tensors of the three networks by name; they share memory with what is trained.
    pub fn tensors(&self) -> WeightMap {
        with(&with(self.e.tensors(), self.g.tensors()), self.d.tensors())
    }
}

impl Method for BigBiGan {
    fn step(&mut self, step: u64, batches: &[Tensor]) -> Result<Numbers, TorchError> {
        let share = self.config.schedule.share(step, self.setting.steps);
        let of = self.config.accumulate;
        let draw = |at: usize| step * batches.len() as u64 + at as u64;
        let mut turns = batches.chunks(of).enumerate();
        let (mut discriminators, mut norm_d) = (Vec::new(), 0.0);
        for (turn, chunk) in turns.by_ref().take(self.config.discriminator_steps) {
            self.advance();
            self.d.zero_grad()?;
            for (i, batch) in chunk.iter().enumerate() {
                let pairs = self.pairs(batch, draw(turn * of + i))?;
                discriminators.push(self.discriminator_pass(&pairs, of)?);
            }
            norm_d = self.step_discriminator(share)?;
        }
        self.advance();
        self.e.zero_grad()?;
        self.g.zero_grad()?;
        let mut joints = Vec::new();
        for (turn, chunk) in turns {
            for (i, batch) in chunk.iter().enumerate() {
                let pairs = self.pairs(batch, draw(turn * of + i))?;
                joints.push(self.joint_pass(&pairs, of)?);
            }
        }
        let (norm_e, norm_g) = self.step_joint(share)?;
        self.ema_e.update(self.e.parameters(), step)?;
        self.ema_g.update(self.g.parameters(), step)?;

        let of_d = |f: fn(&DiscriminatorPass) -> Tensor| mean(discriminators.iter().map(f));
        let of_j = |f: fn(&JointPass) -> Tensor| mean(joints.iter().map(f));
        let named = [
            ("loss_disc", of_d(|pass| pass.loss.shallow_clone())),
            ("loss_enc", of_j(|pass| pass.loss_encoder.shallow_clone())),
            ("loss_gen", of_j(|pass| pass.loss_generator.shallow_clone())),
            ("margin_x", of_d(|pass| margin(&pass.real.x, &pass.drawn.x))),
            ("margin_z", of_d(|pass| margin(&pass.real.z, &pass.drawn.z))),
            ("margin_xz", of_d(|pass| margin(&pass.real.xz, &pass.drawn.xz))),
            ("code_spread", of_j(|pass| pass.code_spread.shallow_clone())),
            ("image_spread", of_j(|pass| pass.image_spread.shallow_clone())),
        ];
        let mut numbers = read(&named)?;
        numbers.extend([
            ("grad_disc", norm_d),
            ("grad_enc", norm_e),
            ("grad_gen", norm_g),
            ("lr_disc", self.d.lr()),
            ("lr_enc", self.e.lr()),
            ("lr_gen", self.g.lr()),
        ]);
        Ok(numbers)
    }

    fn state(&self) -> Result<WeightMap, TorchError> {
        let mut state = WeightMap::new();
        for network in [&self.e, &self.g, &self.d] {
            state.extend(network.state()?);
        }
        for average in [&self.ema_e, &self.ema_g] {
            let views = average.views().iter();
            state.extend(views.map(|(name, view)| (format!("ema.{name}"), view.shallow_clone())));
        }
        Ok(state)
    }

    fn restore(&mut self, state: &WeightMap, steps: u64) -> Result<(), TorchError> {
        check_state(state, &self.state()?)?;
        self.e.restore(state, steps)?;
        self.g.restore(state, steps)?;
        self.d.restore(state, steps * self.config.discriminator_steps as u64)?;
        for average in [&mut self.ema_e, &mut self.ema_g] {
            let names: Vec<String> = average.views().keys().cloned().collect();
            let tensors = names.into_iter().map(|name| {
                let tensor = state[&format!("ema.{name}")].shallow_clone();
                (name, tensor)
            });
            average.load(&tensors.collect())?;
        }
        Ok(())
    }

    fn encoder(&self, slices: &[Tensor]) -> Result<WeightMap, TorchError> {
        let tensors = for_use(self.ema_e.views(), self.e.buffers())?;
        if self.config.batch_norm != BatchNormPolicy::Frozen {
            stand(&self.setting, &tensors, slices)?;
        }
        on_cpu(&tensors)
    }

    fn generator(&self) -> Result<Option<WeightMap>, TorchError> {
        let tensors = for_use(self.ema_g.views(), self.g.buffers())?;
        // The stored vectors belong to the weights that are trained, not to their average.
        (0..SETTLING).for_each(|_| layers::advance(&tensors));
        let z_dim = self.architecture.z_dim;
        let generator = Generator::new(&self.config.generator, z_dim, &tensors)?;
        let _no_gradients = tch::no_grad_guard();
        for seen in 0..STANDING_BATCHES {
            let (seed, device) = (self.setting.seed, self.setting.device);
            let z = noise(seed, "standing", seen as u64, STANDING_BATCH, z_dim as i64, device)?;
            let _ = generator.forward(&z, Statistics::Standing { seen })?;
        }
        Ok(Some(on_cpu(&tensors)?))
    }

    fn adapt(&mut self, slices: &[Tensor]) -> Result<(), TorchError> {
        match self.config.batch_norm {
            BatchNormPolicy::Adapt => stand(&self.setting, self.e.tensors(), slices),
            _ => Ok(()),
        }
    }

    fn sizes(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::from([
            ("encoder", self.e.parameters().count()),
            ("generator", self.g.parameters().count()),
            ("discriminator", self.d.parameters().count()),
        ])
    }

    fn not_finite(&self) -> Result<Vec<String>, TorchError> {
        let mut names = Vec::new();
        for network in [&self.e, &self.g, &self.d] {
            names.extend(network.parameters().not_finite()?);
        }
        Ok(names)
    }
}

/// By how much slices score above drawn pairs.
fn margin(real: &Tensor, drawn: &Tensor) -> Tensor {
    real.detach().mean(Kind::Float) - drawn.detach().mean(Kind::Float)
}

/// Mean over all but the first axis of the standard deviation along it: 0 where all rows are one. From the mean square, which
/// is several times as fast as libtorch's own and exact enough for an alarm.
fn spread(x: &Tensor) -> Tensor {
    let x = x.detach().to_kind(Kind::Float);
    let first = [0i64].as_slice();
    let mean = x.mean_dim(first, false, Kind::Float);
    let squares = x.square().mean_dim(first, false, Kind::Float);
    (squares - mean.square()).clamp_min(0.0).sqrt().mean(Kind::Float)
}

fn mean(values: impl Iterator<Item = Tensor>) -> Tensor {
    let values: Vec<Tensor> = values.map(|value| value.detach()).collect();
    Tensor::stack(&values, 0).mean(Kind::Float)
}
