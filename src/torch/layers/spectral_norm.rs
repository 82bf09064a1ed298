//! Weights divided by their spectral norm, Miyato et al. 2018, <https://arxiv.org/abs/1802.05957>.

use tch::Tensor;

use super::{super::weights::WeightMap, as_given};

/// Below this a norm is taken for it.
const EPSILON: f64 = 1e-4;

/// A weight with the left singular vector from which its norm is estimated.
#[derive(Debug)]
pub struct Spectral {
    weight: Tensor,
    u: Tensor,
}

impl Spectral {
    /// Of a weight `[O, ...]` and a vector `[O]`.
    pub fn new(weight: Tensor, u: Tensor) -> Self {
        Self { weight, u }
    }

    /// The weight over its norm: one power iteration from the stored vector, which stays as it is. The gradient flows
    /// through the norm too.
    pub fn normalised(&self) -> Tensor {
        let (sigma, _) = norm(&self.weight, &self.u);
        &self.weight / sigma
    }
}

/// The spectral norm of `weight` `[O, ...]`, and the vector `[O]` one power iteration on from `u`.
///
/// `sigma = u' W v` with `v = l2n(u W)` and `u' = l2n(W v)`; only `W` carries a gradient. In 32 bits, autocast or not.
pub fn norm(weight: &Tensor, u: &Tensor) -> (Tensor, Tensor) {
    let _precision = as_given(weight.device());
    let matrix = weight.reshape([weight.size()[0], -1]); // [O, I]
    let v = tch::no_grad(|| unit(&matrix.tr().mv(u))); // [I]
    let stretched = matrix.mv(&v); // [O]
    let next = tch::no_grad(|| unit(&stretched));
    (next.dot(&stretched), next)
}

fn unit(x: &Tensor) -> Tensor {
    let length = x.dot(x).sqrt();
    x / length.clamp_min(EPSILON)
}

/// Stores one power iteration for every spectrally normalised layer of a network: once a step of its optimiser.
pub fn advance(tensors: &WeightMap) {
    let _no_gradients = tch::no_grad_guard();
    for (name, u) in tensors {
        if let Some(layer) = name.strip_suffix(".u")
            && let Some(weight) = tensors.get(&format!("{layer}.weight"))
        {
            let (_, next) = norm(weight, u);
            u.shallow_clone().copy_(&next);
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::{
        method::Precision,
        torch::device::{DeviceChoice, autocast},
    };

    /// On CUDA autocast reaches products of a matrix and a vector, on the processor it does not.
    #[test]
    fn autocast_does_not_reach_the_norm() {
        let device = DeviceChoice::Auto.resolve().unwrap();
        let weight = Tensor::randn([7, 5, 3, 3], (Kind::Float, device));
        let u = Tensor::ones([7], (Kind::Float, device));
        let (expected, _) = norm(&weight, &u);
        let _precision = autocast(Precision::BFloat16, device).unwrap();
        let (sigma, next) = norm(&weight, &u);
        assert_eq!((sigma.kind(), next.kind()), (Kind::Float, Kind::Float));
        assert_eq!(sigma.double_value(&[]), expected.double_value(&[]));
    }

    #[test]
    fn iterations_end_at_the_largest_singular_value() {
        let weight = Tensor::randn([7, 5, 3, 3], (Kind::Float, Device::Cpu));
        let map = WeightMap::from([
            ("a.weight".to_owned(), weight.shallow_clone()),
            ("a.u".to_owned(), Tensor::ones([7], (Kind::Float, Device::Cpu))),
        ]);
        (0..300).for_each(|_| advance(&map));
        let (sigma, _) = norm(&weight, &map["a.u"]);
        let (_, largest, _) = weight.reshape([7, -1]).svd(true, true);
        let difference = (sigma.double_value(&[]) - largest.double_value(&[0])).abs();
        assert!(difference < 1e-4, "differs by {difference}");
    }
}
