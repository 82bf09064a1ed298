//! The losses of BigBiGAN, equations 1 to 7 of <https://arxiv.org/abs/1907.02544>: a hinge for each score of the
//! discriminator, plain scores for encoder and generator.

use tch::{Kind, Tensor};

use super::Scores;
use crate::method::LossScale;

/// The discriminator's: `E[h(s)]` over a slice's pairs plus `E[h(-s)]` over drawn pairs, with the hinge `h(t) = max(0, 1 - t)`
/// of each of the three scores.
pub fn discriminator(encoder_pairs: &Scores, generator_pairs: &Scores, scale: LossScale) -> Tensor {
    let hinge = |t: Tensor| (-t + 1.0).relu();
    let real = joined(encoder_pairs, |s| hinge(s.shallow_clone()), scale);
    let drawn = joined(generator_pairs, |s| hinge(-s), scale);
    real + drawn
}

/// The encoder's: the scores of a slice with its code, which it lowers.
pub fn encoder(encoder_pairs: &Scores, scale: LossScale) -> Tensor {
    joined(encoder_pairs, Tensor::shallow_clone, scale)
}

/// The generator's: the scores of a drawn code with its image, which it raises.
pub fn generator(generator_pairs: &Scores, scale: LossScale) -> Tensor {
    -joined(generator_pairs, Tensor::shallow_clone, scale)
}

/// Mean over the pairs, mean or sum over the three scores.
fn joined(scores: &Scores, f: impl Fn(&Tensor) -> Tensor, scale: LossScale) -> Tensor {
    let sum = f(&scores.xz).mean(Kind::Float) + f(&scores.x).mean(Kind::Float) + f(&scores.z).mean(Kind::Float);
    match scale {
        LossScale::Sum => sum,
        LossScale::Mean => sum / 3.0,
    }
}
