//! Networks and images, and one look at a graph: how well it feeds its batch norms, and what comes out.

use rand_distr::{Distribution as _, StandardNormal};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::{
    super::{
        TorchError,
        encoders::Encoder,
        layers::{Statistics, Watch},
        methods::bigbigan::{Discriminator, Generator},
        weights::{self, WeightMap},
    },
    Inputs, Options,
    candidate::Graph,
    fit::{Entered, Fit, Resamples},
    photographs::{self, Photographs},
};
use crate::{
    encoder::{Architecture, EncoderConfig, Weights},
    method::{self, MethodError},
    progress::Progress,
    seed,
};

/// Fewer say little about anything.
const LEAST_LATENTS: usize = 8;

/// How a generated image gets the encoder's size, twice its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enlargement {
    /// Every pixel four times.
    Nearest,
    /// Linear between the centres of pixels.
    Bilinear,
}

/// Which images a graph is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Images {
    /// The first so many generated ones.
    Generated(usize, Enlargement),
    Photographs,
}

/// What was seen of one trunk; arrays of two are without and with the last ReLU.
#[derive(Debug)]
pub(super) struct Look {
    /// All batch norms of the trunk, in the order in which they run.
    pub fits: Vec<Fit>,
    /// The batch norm of the pooled features.
    pub pooled: [Fit; 2],
    /// `[N, 2 Z]`, what leaves the last layer.
    pub z_raw: [Tensor; 2],
}

#[derive(Debug)]
pub(super) struct Bench<'a> {
    config: &'a EncoderConfig,
    pub net: Architecture,
    tensors: WeightMap,
    device: Device,
    batch: usize,
    /// `[N, Z]`.
    pub z: Tensor,
    /// `[N, 3, R, R]`.
    generated: Tensor,
    pub photographs: Option<Photographs>,
    progress: &'a Progress,
}

impl<'a> Bench<'a> {
    pub fn open(inputs: &Inputs<'a>, options: &Options, progress: &'a Progress) -> Result<Self, TorchError> {
        let (latents, batch) = (options.latents, options.batch);
        if latents < LEAST_LATENTS || batch == 0 {
            return Err(TorchError::FewLatents {
                latents,
                batch,
                least: LEAST_LATENTS,
            });
        }
        let Weights::File(path) = inputs.encoder.weights() else {
            return Err(TorchError::NothingToSettle);
        };
        let net = inputs.encoder.architecture()?;
        let (generator, file) = inputs.generator;
        generator.check(net.z_dim)?;
        let resolution = generator.resolution();
        if net.input_size != resolution && net.input_size != 2 * resolution {
            return Err(MethodError::Resolution {
                encoder: net.input_size,
                generator: resolution,
            }
            .into());
        }
        let device = options.device.resolve()?;
        let tensors = on(device, &weights::load(inputs.encoder, path)?.tensors)?;
        let size = net.input_size;
        let mut bench = Self {
            config: inputs.encoder,
            tensors,
            device,
            batch,
            z: latent_vectors(latents, net.z_dim, options.seed)?,
            net,
            generated: Tensor::new(),
            photographs: inputs
                .photographs
                .map(|folder| photographs::read(folder, size, latents))
                .transpose()?,
            progress,
        };
        bench.generated = bench.draw(generator, file)?;
        Ok(bench)
    }

    /// The images of all latent vectors.
    fn draw(&self, config: &method::Generator, file: &std::path::Path) -> Result<Tensor, TorchError> {
        let z_dim = self.net.z_dim;
        let loaded = weights::load_as("generator", &config.tensors(z_dim), "generator.", file)?;
        let generator = Generator::new(config, z_dim, &on(self.device, &loaded.tensors)?)?;
        let mut images = Vec::new();
        for (from, count) in self.batches(self.z.size()[0]) {
            let z = self.z.narrow(0, from, count).to_device(self.device);
            images.push(generator.forward(&z, Statistics::Stored)?.to_device(Device::Cpu));
        }
        Ok(Tensor::f_cat(&images, 0)?)
    }

    /// Whether generated images must be enlarged.
    pub fn enlarges(&self) -> bool {
        self.net.input_size as i64 != self.generated.size()[2]
    }

    /// Shows images to a graph.
    pub fn look(&self, graph: &Graph, images: Images, resamples: &Resamples) -> Result<Look, TorchError> {
        let watch = Watch::default();
        let encoder = Encoder::watched(&graph.applied(self.config), &self.tensors, &watch)?;
        let (mut sites, mut pooled, mut z_raw) = (Vec::new(), [vec![], vec![]], [vec![], vec![]]);
        for (from, count) in self.batches(self.count(images)) {
            let map = encoder.trunk(&self.slices(images, from, count), Statistics::Stored)?;
            sites.push(watch.take());
            for last_relu in [false, true] {
                let outputs = encoder.outputs(&map, last_relu, Statistics::Stored);
                pooled[usize::from(last_relu)].push(watch.take());
                z_raw[usize::from(last_relu)].push(outputs.z_raw.to_device(Device::Cpu));
            }
            self.progress.tick(count as u64);
        }
        let mut fits = Vec::new();
        for site in Entered::joined(&sites) {
            fits.push(resamples.fit(site)?);
        }
        let one = |batches: &[Vec<_>]| -> Result<Fit, TorchError> {
            let site = Entered::joined(batches).pop();
            resamples.fit(site.expect("an encoder's pooled features pass a batch norm"))
        };
        Ok(Look {
            fits,
            pooled: [one(&pooled[0])?, one(&pooled[1])?],
            z_raw: [Tensor::f_cat(&z_raw[0], 0)?, Tensor::f_cat(&z_raw[1], 0)?],
        })
    }

    /// What a discriminator says of photographs, and of generated images: `[N]` each.
    pub fn scores(
        &self,
        photographs: &Photographs,
        config: &method::Discriminator,
        file: &std::path::Path,
    ) -> Result<(Tensor, Tensor), TorchError> {
        let z_dim = self.net.z_dim;
        let loaded = weights::load_part("discriminator", &config.tensors(z_dim), "disc.", file)?;
        let discriminator = Discriminator::new(config, z_dim, &on(self.device, &loaded.tensors)?)?;
        let score = |pixels: &Tensor| -> Result<Tensor, TorchError> {
            let mut scores = Vec::new();
            for (from, count) in self.batches(pixels.size()[0]) {
                let x = pixels.narrow(0, from, count).to_device(self.device);
                // The score of an image alone does not read the vector.
                let z = Tensor::zeros([count, z_dim as i64], (Kind::Float, self.device));
                scores.push(discriminator.forward(&x, &z)?.x.to_device(Device::Cpu));
            }
            Ok(Tensor::f_cat(&scores, 0)?.to_kind(Kind::Double))
        };
        let pixels = match self.enlarges() {
            true => photographs.pixels.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
            false => photographs.pixels.shallow_clone(),
        };
        Ok((score(&pixels)?, score(&self.generated)?))
    }

    pub fn count(&self, images: Images) -> i64 {
        match (images, &self.photographs) {
            (Images::Photographs, Some(photographs)) => photographs.pixels.size()[0],
            (Images::Photographs, None) => 0,
            (Images::Generated(count, _), _) => count as i64,
        }
    }

    /// `[count, 3, S, S]`.
    fn slices(&self, images: Images, from: i64, count: i64) -> Tensor {
        let pixels = |t: &Tensor| t.narrow(0, from, count).to_device(self.device);
        match (images, &self.photographs) {
            (Images::Photographs, Some(photographs)) => pixels(&photographs.pixels),
            (Images::Generated(_, enlargement), _) if self.enlarges() => {
                let size = [self.net.input_size as i64; 2];
                match enlargement {
                    Enlargement::Nearest => pixels(&self.generated).upsample_nearest2d(size, None, None),
                    Enlargement::Bilinear => pixels(&self.generated).upsample_bilinear2d(size, false, None, None),
                }
            }
            _ => pixels(&self.generated),
        }
    }

    /// First and number of the images of every batch.
    fn batches(&self, images: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
        let batch = self.batch as i64;
        (0..images)
            .step_by(self.batch)
            .map(move |from| (from, batch.min(images - from)))
    }

    /// A tensor of the encoder on the CPU, in double precision.
    pub fn tensor(&self, name: &str) -> Tensor {
        self.tensors[name].to_device(Device::Cpu).to_kind(Kind::Double)
    }
}

fn on(device: Device, tensors: &WeightMap) -> Result<WeightMap, TorchError> {
    let there = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.f_detach()?.f_to_device(device)?));
    tensors.iter().map(there).collect()
}

/// `[N, Z]`, standard normal.
fn latent_vectors(n: usize, z_dim: usize, seed: u64) -> Result<Tensor, TorchError> {
    let rng = seed::stream(seed, "settle/latents");
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(n * z_dim).collect();
    Ok(Tensor::f_from_slice(&values)?.f_reshape([n as i64, z_dim as i64])?)
}
