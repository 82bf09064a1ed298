//! A training as those see it who know no tensors: arrays in, numbers out, checkpoints in between.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ndarray::{Array2, Array4, ArrayView4};
use tch::Tensor;

use super::{
    TorchError,
    device::DeviceChoice,
    encoders::{InferenceEncoder, Origin, three_planes},
    generator::InferenceGenerator,
    methods::{self, Method, Numbers, Setting},
    train::{Checkpoint, Checkpoints, Stamp},
    weights::{self, WeightMap},
};
use crate::{
    encoder::{EncoderConfig, Layer, PREFIX},
    method::{MethodConfig, Precision},
};

/// Slices that pass an encoder together where it is only looked at.
const LOOK: usize = 64;

/// How a training is set up.
#[derive(Debug, Clone)]
pub struct TrainerConfig {
    /// The encoder that comes out.
    pub encoder: EncoderConfig,
    /// How it is trained.
    pub method: MethodConfig,
    /// Seed of weights and noise.
    pub seed: u64,
    /// Steps of the whole training.
    pub steps: u64,
    /// Of convolutions and products.
    pub precision: Precision,
    /// Whether activations are computed again instead of kept.
    pub recompute: bool,
    /// Where it runs.
    pub device: DeviceChoice,
}

/// Files that a training starts from.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Weights of the encoder.
    pub encoder: Option<PathBuf>,
    /// Tensors of the other networks, and of the encoder where it has no file of its own.
    pub networks: Option<PathBuf>,
}

/// A method at work.
pub struct Trainer {
    config: TrainerConfig,
    method: Box<dyn Method>,
    device: tch::Device,
    steps: u64,
    /// SHA-256 of the file that it started from; the encoder's, where there are two.
    started_from: Option<String>,
}

/// What a training has made so far, ready to be used and saved.
#[derive(Debug)]
pub struct Product {
    encoder: InferenceEncoder,
    generator: Option<InferenceGenerator>,
    encoder_weights: WeightMap,
    generator_weights: Option<WeightMap>,
}

impl Trainer {
    /// Networks that start from the files that are given, and from the seed otherwise.
    ///
    /// # Errors
    ///
    /// Settings that make no network, weights that do not fit, a device that is not there.
    pub fn new(config: TrainerConfig, start: &Start) -> Result<Self, TorchError> {
        let device = config.device.resolve()?;
        let (mut tensors, mut started_from) = (WeightMap::new(), None);
        if let Some(path) = &start.networks {
            let (networks, _) = weights::read_with_metadata(path)?;
            tensors.extend(networks);
            started_from = Some(crate::tables::sha256_file(path).unwrap_or_default());
        }
        if let Some(path) = &start.encoder {
            tensors.retain(|name, _| !name.starts_with(PREFIX));
            let loaded = weights::load(&config.encoder, path)?;
            tensors.extend(loaded.tensors);
            started_from = Some(loaded.sha256);
        }
        let setting = Setting {
            encoder: config.encoder.clone(),
            seed: config.seed,
            steps: config.steps,
            device,
            precision: config.precision,
            recompute: config.recompute,
        };
        let start = (!tensors.is_empty()).then_some(&tensors);
        let method = methods::build(&config.method, setting, start)?;
        Ok(Self {
            config,
            method,
            device,
            steps: 0,
            started_from,
        })
    }

    /// Steps that were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// SHA-256 of the file that it started from; the encoder's, where there are two.
    pub fn started_from(&self) -> Option<&str> {
        self.started_from.as_deref()
    }

    /// Trained elements of each network, by name.
    pub fn sizes(&self) -> BTreeMap<&'static str, usize> {
        self.method.sizes()
    }

    /// Whether it computes on the processor, which then has no core to spare for loading.
    pub fn on_cpu(&self) -> bool {
        self.device == tch::Device::Cpu
    }

    /// Where it runs, in words.
    pub fn device(&self) -> String {
        match self.device {
            tch::Device::Cpu => format!("cpu, {} threads", tch::get_num_threads()),
            device => format!("{device:?}"),
        }
    }

    /// One step.
    ///
    /// # Shapes
    ///
    /// - `batches`: `[V * N, C, S, S]` each, as many as the method's appetite says
    ///
    /// # Errors
    ///
    /// When libtorch fails, e.g. for want of memory.
    pub fn step(&mut self, batches: &[Array4<f32>]) -> Result<Numbers, TorchError> {
        let tensors = batches.iter().map(|batch| tensor(batch.view()));
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        let numbers = self.method.step(self.steps, &tensors)?;
        self.steps += 1;
        Ok(numbers)
    }

    /// Names of tensors that hold NaN or infinity.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn not_finite(&self) -> Result<Vec<String>, TorchError> {
        self.method.not_finite()
    }

    /// Takes the statistics that the encoder is trained with anew, where its policy wants it.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn adapt(&mut self, slices: ArrayView4<f32>) -> Result<(), TorchError> {
        let slices = batches(slices)?;
        self.method.adapt(&slices)
    }

    /// Encoder and generator as they are to be used now; statistics of batch norms are taken over `slices` `[N, C, S, S]`.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn product(&self, slices: ArrayView4<f32>) -> Result<Product, TorchError> {
        let encoder_weights = self.method.encoder(&batches(slices)?)?;
        let generator_weights = self.method.generator()?;
        let origin = Origin::File { sha256: String::new() };
        let encoder = InferenceEncoder::new(&self.config.encoder, &encoder_weights, origin, self.device)?;
        let generator = match (&self.config.method, &generator_weights) {
            (MethodConfig::BigBiGan(config), Some(weights)) => {
                let z_dim = self.config.encoder.architecture()?.z_dim;
                Some(InferenceGenerator::new(&config.generator, z_dim, weights, self.device)?)
            }
            _ => None,
        };
        Ok(Product {
            encoder,
            generator,
            encoder_weights,
            generator_weights,
        })
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    ///
    /// A disk that is full.
    pub fn save(&self, checkpoints: &Checkpoints, stamp: &Stamp) -> Result<(), TorchError> {
        checkpoints.save(stamp, &self.method.state()?).map(drop)
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    ///
    /// When its tensors are not exactly this method's.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TorchError> {
        self.method.restore(&checkpoint.state, checkpoint.stamp.step)?;
        self.steps = checkpoint.stamp.step;
        Ok(())
    }
}

impl Product {
    /// Layers of slices.
    ///
    /// # Shapes
    ///
    /// - `slices`: `[N, C, S, S]` in `[-1, 1]`, C being 1 or 3
    /// - outputs: `[N, F]`, one a layer
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn features(&self, slices: ArrayView4<f32>, layers: &[Layer]) -> Result<Vec<Array2<f32>>, TorchError> {
        let widths = layers.iter().map(|layer| self.encoder.config().width(*layer));
        let widths: Vec<usize> = widths.collect::<Result<_, _>>()?;
        let mut features: Vec<Vec<f32>> = layers.iter().map(|_| Vec::new()).collect();
        for batch in batches(slices)? {
            let batch = three_planes(&batch)?;
            for (values, found) in features.iter_mut().zip(self.encoder.encode(&batch, layers, None)?) {
                values.extend(Vec::<f32>::try_from(found.f_flatten(0, -1)?)?);
            }
        }
        let shaped = features.into_iter().zip(widths).map(|(values, width)| {
            let shape = (values.len() / width, width);
            Ok(Array2::from_shape_vec(shape, values).map_err(tch::TchError::from)?)
        });
        shaped.collect()
    }

    /// The generator, for methods that have one.
    pub fn generator(&self) -> Option<&InferenceGenerator> {
        self.generator.as_ref()
    }

    /// Writes the encoder's weights, and the generator's where there is one.
    ///
    /// # Errors
    ///
    /// A disk that is full.
    pub fn save(&self, encoder: &Path, generator: &Path) -> Result<(), TorchError> {
        weights::save(&self.encoder_weights, encoder)?;
        if let Some(tensors) = &self.generator_weights {
            weights::save(tensors, generator)?;
        }
        Ok(())
    }
}

/// Writes a batch `[N, C, S, S]`, for those who want to know what went wrong with it.
///
/// # Errors
///
/// A disk that is full.
pub fn save_batch(batch: &Array4<f32>, path: &Path) -> Result<(), TorchError> {
    let tensors = WeightMap::from([("batch".to_owned(), tensor(batch.view())?)]);
    weights::save(&tensors, path).map(drop)
}

/// `[N, C, S, S]` to batches `[n, C, S, S]`.
fn batches(slices: ArrayView4<f32>) -> Result<Vec<Tensor>, TorchError> {
    slices.axis_chunks_iter(ndarray::Axis(0), LOOK).map(tensor).collect()
}

fn tensor(slices: ArrayView4<f32>) -> Result<Tensor, TorchError> {
    let (n, c, h, w) = slices.dim();
    let shape = [n, c, h, w].map(|length| length as i64);
    let tensor = match slices.as_slice() {
        Some(values) => Tensor::f_from_slice(values)?,
        None => Tensor::f_from_slice(&slices.iter().copied().collect::<Vec<f32>>())?,
    };
    Ok(tensor.f_reshape(shape)?)
}
