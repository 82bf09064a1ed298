//! Untrained weights of networks of scans: PyTorch's own start, from streams of random numbers that every machine shares.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use tch::Tensor;

use crate::{
    baseline::{BaselineConfig, CLASSES, Shapes},
    torch::{TorchError, weights::WeightMap},
};

/// How weights of convolutions start.
#[derive(Debug, Clone, Copy)]
enum Convolutions {
    /// Uniform within `1 / sqrt(inputs)`: `kaiming_uniform_` with `a = sqrt(5)`, PyTorch's default.
    Uniform,
    /// Normal with variance `2 / outputs of a weight`: `kaiming_normal_` with `mode = "fan_out"`, as residual networks start.
    FanOut,
}

/// Untrained weights. Linear layers start uniform within `1 / sqrt(inputs)`, weights and biases; convolutions too, but for
/// `resnet3d-18`, where they are normal with variance `2 / (filters * kernel)` (He et al. 2015, <https://arxiv.org/abs/1502.01852>);
/// batch norms are the identity. The trunk of `covnet` starts as [`weights::random`](crate::torch::weights::random) says. Every tensor
/// has a stream of its own name, so that the same seed gives the same numbers on every machine.
///
/// # Errors
///
/// When the sizes make no network, or there is no memory for it.
pub fn random(config: &BaselineConfig, size: [usize; 3], seed: u64) -> Result<WeightMap, TorchError> {
    let shapes = config.expected_tensors(size)?;
    match config {
        BaselineConfig::PuA(_) | BaselineConfig::PuB(_) | BaselineConfig::PuC(_) => {
            draw(&shapes, Convolutions::Uniform, seed)
        }
        BaselineConfig::ResNet3d(_) => draw(&shapes, Convolutions::FanOut, seed),
        BaselineConfig::CovNet(covnet) => super::covnet::start(covnet, seed, None),
    }
}

/// A linear layer to the two classes, as PyTorch starts it.
pub(super) fn linear(name: &str, inputs: usize, seed: u64) -> Result<WeightMap, TorchError> {
    let shapes = vec![
        (format!("{name}.weight"), vec![CLASSES, inputs]),
        (format!("{name}.bias"), vec![CLASSES]),
    ];
    draw(&shapes, Convolutions::Uniform, seed)
}

fn draw(shapes: &Shapes, convolutions: Convolutions, seed: u64) -> Result<WeightMap, TorchError> {
    let value = |(name, shape): &(String, Vec<usize>)| values(name, shape, shapes, convolutions, seed);
    let drawn: Vec<Vec<f32>> = shapes.par_iter().map(value).collect();
    let mut tensors = WeightMap::new();
    for ((name, shape), values) in shapes.iter().zip(drawn) {
        let size: Vec<i64> = shape.iter().map(|length| *length as i64).collect();
        tensors.insert(name.clone(), Tensor::f_from_slice(&values)?.f_reshape(size)?);
    }
    Ok(tensors)
}

fn values(name: &str, shape: &[usize], shapes: &Shapes, convolutions: Convolutions, seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    let mut rng = crate::seed::stream(seed, &format!("weights/{name}"));
    let uniform = |rng: &mut ChaCha8Rng, inputs: usize| -> Vec<f32> {
        let bound = (1.0 / inputs as f64).sqrt();
        let draws = rng.random_iter::<f64>().take(count);
        draws.map(|unit| (bound * (2.0 * unit - 1.0)) as f32).collect()
    };
    match (shape, convolutions) {
        ([outputs, _, kernel @ ..], Convolutions::FanOut) if !kernel.is_empty() => {
            let fan_out = outputs * kernel.iter().product::<usize>();
            let deviation = (2.0 / fan_out as f64).sqrt();
            let draws = StandardNormal.sample_iter(&mut rng).take(count);
            draws.map(|normal: f64| (deviation * normal) as f32).collect()
        }
        ([_, inputs @ ..], _) if !inputs.is_empty() => uniform(&mut rng, inputs.iter().product()),
        // A bias of a linear layer goes by its weight; a batch norm's is 0.
        _ => match (linear_inputs(name, shapes), name.rsplit('.').next()) {
            (Some(inputs), _) => uniform(&mut rng, inputs),
            (None, Some("weight" | "running_var")) => vec![1.0; count],
            _ => vec![0.0; count],
        },
    }
}

/// What a linear layer takes, where `name` is its bias.
fn linear_inputs(name: &str, shapes: &Shapes) -> Option<usize> {
    let weight = format!("{}.weight", name.strip_suffix(".bias")?);
    let (_, shape) = shapes.iter().find(|(other, _)| *other == weight)?;
    match shape.as_slice() {
        [_, inputs] => Some(*inputs),
        _ => None,
    }
}
