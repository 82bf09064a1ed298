//! Dropout, Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>.

use rand::{Rng, RngExt as _};
use tch::Tensor;

use super::super::TorchError;

/// `x` with each number set to 0 with probability `share` and multiplied by `1 / (1 - share)` otherwise, so that its expectation
/// stays. Which ones are dropped is drawn from `rng`, and is the same on every device.
///
/// # Shapes
///
/// - `x` and output: any, the same
///
/// # Errors
///
/// When libtorch has no memory.
pub fn drop_out(x: &Tensor, share: f64, rng: &mut impl Rng) -> Result<Tensor, TorchError> {
    let kept = (1.0 / (1.0 - share)) as f32;
    let factors: Vec<f32> = (0..x.numel())
        .map(|_| match rng.random_bool(share) {
            true => 0.0,
            false => kept,
        })
        .collect();
    let factors = Tensor::f_from_slice(&factors)?.f_reshape(x.size())?;
    Ok(x.f_mul(&factors.f_to_device(x.device())?.f_to_kind(x.kind())?)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::seed::stream;

    #[test]
    fn the_share_is_dropped_and_the_rest_scaled() {
        let x = Tensor::ones([200, 100], (Kind::Float, Device::Cpu));
        for share in [0.0, 0.25, 0.5, 0.9] {
            let y = drop_out(&x, share, &mut stream(1, "dropout/0/0/fc.0")).unwrap();
            let dropped = y.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
            // Five standard deviations of 20 000 draws.
            let slack = 5.0 * (share * (1.0 - share) / 20_000.0).sqrt();
            assert!((dropped - share).abs() <= slack, "{dropped} instead of {share}");
            let largest = y.max().double_value(&[]);
            assert!((largest - 1.0 / (1.0 - share)).abs() < 1e-5, "scaled to {largest}");
        }
    }

    #[test]
    fn a_draw_belongs_to_its_stream() {
        let x = Tensor::ones([64, 8], (Kind::Float, Device::Cpu));
        let of = |purpose: &str| drop_out(&x, 0.5, &mut stream(1, purpose)).unwrap();
        assert!(of("dropout/3/0/fc.0").equal(&of("dropout/3/0/fc.0")));
        for other in ["dropout/3/1/fc.0", "dropout/4/0/fc.0", "dropout/3/0/fc.1"] {
            assert!(!of("dropout/3/0/fc.0").equal(&of(other)), "{other}");
        }
    }
}
