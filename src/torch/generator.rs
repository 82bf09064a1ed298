//! A generator ready to draw: weights loaded, stored statistics, gradients off.

use std::path::Path;

use ndarray::{Array2, Array3};
use tch::{Device, Kind, Tensor};

use super::{
    TorchError, ffi,
    layers::Statistics,
    methods::bigbigan,
    weights::{self, WeightMap},
};
use crate::method;

/// Latent vectors that pass the network together.
const BATCH: usize = 64;

/// A generator that only runs forward.
#[derive(Debug)]
pub struct InferenceGenerator {
    network: bigbigan::Generator,
    device: Device,
}

impl InferenceGenerator {
    /// Loads the weights of a generator of latent vectors `z_dim` wide.
    ///
    /// # Errors
    ///
    /// When the sizes make no network, or the file is not exactly the generator's.
    pub fn open(config: &method::Generator, z_dim: usize, weights: &Path, device: Device) -> Result<Self, TorchError> {
        let loaded = weights::load_as("generator", &config.tensors(z_dim), "generator.", weights)?;
        Self::new(config, z_dim, &loaded.tensors, device)
    }

    /// Builds the network on tensors, which must be exactly the generator's.
    ///
    /// # Errors
    ///
    /// When the tensors do not fit: every wrong one is named.
    pub fn new(
        config: &method::Generator,
        z_dim: usize,
        tensors: &WeightMap,
        device: Device,
    ) -> Result<Self, TorchError> {
        let mut there = WeightMap::new();
        for (name, tensor) in tensors {
            there.insert(name.clone(), tensor.f_detach()?.f_to_device(device)?);
        }
        Ok(Self {
            network: bigbigan::Generator::new(config, z_dim, &there)?,
            device,
        })
    }

    /// Images of latent vectors; planes are averaged where there are three.
    ///
    /// # Shapes
    ///
    /// - `z`: `[N, Z]`
    /// - output: `[N, R, R]` in `[-1, 1]`
    ///
    /// # Errors
    ///
    /// When the vectors have another width, or libtorch fails.
    pub fn generate(&self, z: &Array2<f32>) -> Result<Array3<f32>, TorchError> {
        let _inference = ffi::InferenceMode::enter()?;
        let (n, r) = (z.nrows(), self.resolution());
        let mut pixels = vec![0.0_f32; n * r * r];
        for (chunk, out) in z
            .axis_chunks_iter(ndarray::Axis(0), BATCH)
            .zip(pixels.chunks_mut(BATCH * r * r))
        {
            let values: Vec<f32> = chunk.iter().copied().collect();
            let z = Tensor::f_from_slice(&values)?
                .f_reshape([chunk.nrows() as i64, chunk.ncols() as i64])?
                .f_to_device(self.device)?;
            let images = self.network.forward(&z, Statistics::Stored)?;
            let grey = images.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
            grey.f_to_device(Device::Cpu)?
                .f_contiguous()?
                .f_copy_data(out, out.len())?;
        }
        Ok(Array3::from_shape_vec((n, r, r), pixels).map_err(tch::TchError::from)?)
    }

    /// Rows and columns of its images.
    pub fn resolution(&self) -> usize {
        self.network.resolution()
    }

    /// Width of its latent vectors.
    pub fn z_dim(&self) -> usize {
        self.network.z_dim()
    }
}
