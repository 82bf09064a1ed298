//! The loss of LeJEPA: agreement of views, and SIGReg, which holds embeddings to a standard normal distribution. Balestriero
//! and LeCun 2025, <https://arxiv.org/abs/2511.08544>.
//!
//! A vector is standard normal if and only if its projection on every direction is (Cramér and Wold). On each of a few
//! random directions the test of Epps and Pulley compares characteristic functions: that of the sample with exp(-t²/2).

use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};
use tch::{Device, Kind, Tensor};

use super::{TorchError, ffi::Autocast};

/// The statistic of Epps and Pulley, `N ∫ |φ_N(t) - exp(-t²/2)|² exp(-t²/2) dt`, averaged over directions and views.
///
/// The integrand is even, so that one half is integrated and counted twice, by the trapezoid rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SigReg {
    knots: usize,
    t_max: f64,
}

/// A loss and its two parts, scalars.
#[derive(Debug)]
pub struct LeJepaLoss {
    /// `(1 - lambda) * invariance + lambda * sigreg`.
    pub total: Tensor,
    /// Mean square of what separates a view from the mean of all views.
    pub invariance: Tensor,
    /// How far the embeddings are from a standard normal distribution.
    pub sigreg: Tensor,
}

impl SigReg {
    /// Integrates over `knots` points from 0 to `t_max`. The authors' short program has 17 up to 3; 9 up to 5 are the 17 from
    /// -5 to 5 of the paper's text.
    ///
    /// # Errors
    ///
    /// When there is nothing to integrate over.
    pub fn new(knots: usize, t_max: f64) -> Result<Self, TorchError> {
        if knots < 2 || !(t_max > 0.0 && t_max.is_finite()) {
            return Err(TorchError::Knots { knots, t_max });
        }
        Ok(Self { knots, t_max })
    }

    /// The statistic in 32 bits, autocast or not. Its mean over N standard normal embeddings does not depend on N; that of a
    /// collapsed batch grows with N. Backward needs one `[V, N, M]` a knot: 4 MB for 4 views of 64 images on 256 directions,
    /// 136 MB for 8 views of 256 on 1,024.
    ///
    /// # Shapes
    ///
    /// - `embeddings`: `[V, N, D]`, compared view by view
    /// - `directions`: `[D, M]`, columns of length 1
    /// - output: scalar
    ///
    /// # Errors
    ///
    /// When the shapes do not fit.
    pub fn statistic(&self, embeddings: &Tensor, directions: &Tensor) -> Result<Tensor, TorchError> {
        let (size, other) = (embeddings.size(), directions.size());
        if size.len() != 3 || other.len() != 2 || size[2] != other[0] {
            return Err(TorchError::EmbeddingShape {
                embeddings: size,
                directions: other,
            });
        }
        let _full_precision = Autocast::off(embeddings.device())?;
        let projected = embeddings.to_kind(Kind::Float).matmul(directions); // [V, N, M]
        let step = self.t_max / (self.knots - 1) as f64;
        // The two functions meet at 0, so the first knot adds nothing. The last one counts half, in both halves.
        let (value, gradient) = tch::no_grad(|| {
            let mut value = Tensor::from(0.0_f32).to_device(projected.device());
            let mut gradient = projected.zeros_like();
            for knot in 1..self.knots {
                let t = step * knot as f64;
                let normal = (-0.5 * t * t).exp();
                let angle = &projected * t;
                let (cos, sin) = (angle.cos(), angle.sin());
                let real = cos.mean_dim(1, true, Kind::Float) - normal; // [V, 1, M]
                let imaginary = sin.mean_dim(1, true, Kind::Float);
                let width = if knot + 1 == self.knots { step } else { 2.0 * step };
                let weight = width * normal;
                value += (real.square() + imaginary.square()).mean(Kind::Float) * weight;
                gradient += (cos * imaginary - sin * real) * (weight * t);
            }
            let averaged = size[0] * other[1]; // views and directions
            (value * size[1] as f64, gradient * (2.0 / averaged as f64))
        });
        // With sines and cosines at hand the gradient is written out, instead of having them computed once more on the way
        // back: zero is added that has it.
        let product = (&projected * gradient).sum(Kind::Float);
        Ok(value + (&product - product.detach()))
    }

    /// The loss of LeJEPA, with `lambda` between 0 and 1.
    ///
    /// # Shapes
    ///
    /// - `embeddings`: `[V, N, D]`, V views of N images
    /// - `directions`: `[D, M]`, columns of length 1
    ///
    /// # Errors
    ///
    /// When the shapes do not fit.
    pub fn loss(&self, embeddings: &Tensor, directions: &Tensor, lambda: f64) -> Result<LeJepaLoss, TorchError> {
        let sigreg = self.statistic(embeddings, directions)?;
        let embeddings = embeddings.to_kind(Kind::Float);
        let center = embeddings.mean_dim(0, true, Kind::Float); // [1, N, D]
        let invariance = (center - embeddings).square().mean(Kind::Float);
        Ok(LeJepaLoss {
            total: &invariance * (1.0 - lambda) + &sigreg * lambda,
            invariance,
            sigreg,
        })
    }
}

/// Random directions: columns of length 1, uniform on the sphere.
///
/// # Shapes
///
/// - output: `[width, count]`
pub fn directions(rng: &mut impl Rng, width: usize, count: usize, device: Device) -> Result<Tensor, TorchError> {
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(width * count).collect();
    let normal = Tensor::f_from_slice(&values)?.f_view([width as i64, count as i64])?;
    let lengths = normal.f_norm_scalaropt_dim(2, [0], true)?; // [1, count]
    Ok(normal.f_div(&lengths)?.f_to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    #[test]
    fn directions_have_length_one() {
        let a = directions(&mut seed::stream(0, "directions"), 7, 50, Device::Cpu).unwrap();
        assert_eq!(a.size(), [7, 50]);
        let off = (a.square().sum_dim_intlist(0, false, Kind::Float) - 1.0).abs().max();
        assert!(off.double_value(&[]) < 1e-6, "{off}");
    }
}
