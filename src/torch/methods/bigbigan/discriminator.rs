//! The joint discriminator: a tower F on the image, a tower H on the latent vector, a tower J on both, and a score of each.

use tch::{Kind, Tensor};

use super::super::super::{
    TorchError,
    layers::{Conv, Linear, Mlp, Scope, SelfAttention},
    train::Tape,
    weights::{self, WeightMap},
};
use crate::{
    encoder::{IMAGE_CHANNELS, Padding},
    method,
};

/// `conv2(relu(conv1(p(x)))) + shortcut(x)`, both averaged over 2x2 where the block halves the image; `p` is a ReLU but in
/// the first block.
#[derive(Debug)]
struct Block {
    preactivated: bool,
    halves: bool,
    conv1: Conv,
    conv2: Conv,
    shortcut: Option<Conv>,
}

impl Block {
    fn new(scope: &Scope, preactivated: bool, halves: bool) -> Self {
        let conv = |scope: &Scope| Conv::new(scope, 1, Padding::Fixed);
        let shortcut = scope.at("shortcut");
        Self {
            preactivated,
            halves,
            conv1: conv(&scope.at("conv1")),
            conv2: conv(&scope.at("conv2")),
            shortcut: shortcut.has("weight").then(|| conv(&shortcut)),
        }
    }

    /// `[N, C, H, W]` to `[N, C', H, W]` or half of the sides.
    fn forward(&self, x: &Tensor) -> Tensor {
        let h = if self.preactivated { x.relu() } else { x.shallow_clone() };
        let h = self.conv2.forward(&self.conv1.forward(&h).relu_());
        let half = |t: Tensor| match self.halves {
            true => t.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
            false => t,
        };
        // A 1x1 convolution of means is the mean of the convolution, at a quarter of the work.
        let x = half(x.shallow_clone());
        let skip = self
            .shortcut
            .as_ref()
            .map_or_else(|| x.shallow_clone(), |conv| conv.forward(&x));
        half(h) + skip
    }
}

/// What a discriminator says of pairs of images and latent vectors, `[N]` each.
#[derive(Debug)]
pub struct Scores {
    /// Of the image alone.
    pub x: Tensor,
    /// Of the latent vector alone.
    pub z: Tensor,
    /// Of both.
    pub xz: Tensor,
}

impl Scores {
    /// The scores of the first `n` pairs, and of the others.
    pub fn split(&self, n: i64) -> (Self, Self) {
        let part = |from: i64, count: i64| Self {
            x: self.x.narrow(0, from, count),
            z: self.z.narrow(0, from, count),
            xz: self.xz.narrow(0, from, count),
        };
        (part(0, n), part(n, self.x.size()[0] - n))
    }
}

/// What lies behind the towers.
#[derive(Debug)]
pub struct Towers {
    /// `[N, F]` of the images.
    pub f: Tensor,
    /// `[N, M]` of the latent vectors.
    pub h: Tensor,
    /// `[N, M]` of both.
    pub j: Tensor,
}

/// From pairs of images and latent vectors to scores: high for a slice and its code, low for a drawn code and its image.
#[derive(Debug)]
pub struct Discriminator {
    config: method::Discriminator,
    blocks: Vec<Block>,
    attention: SelfAttention,
    h: Mlp,
    j: Mlp,
    score_x: Linear,
    score_z: Linear,
    score_xz: Linear,
}

impl Discriminator {
    /// Builds the network on `tensors`, which must be exactly the discriminator's; training them trains it.
    ///
    /// # Errors
    ///
    /// When the tensors do not fit: every wrong one is named.
    pub fn new(config: &method::Discriminator, z_dim: usize, tensors: &WeightMap) -> Result<Self, TorchError> {
        weights::check_against("discriminator", &config.tensors(z_dim), tensors)?;
        let root = Scope::new(tensors, "disc");
        let tower = root.at("f");
        let last = config.multipliers.len() - 1;
        let block = |i: usize| Block::new(&tower.at("blocks").at(i), i > 0, i < last);
        Ok(Self {
            blocks: (0..=last).map(block).collect(),
            attention: SelfAttention::new(&tower.at("attention")),
            h: Mlp::new(&root.at("h"), config.mlp_blocks),
            j: Mlp::new(&root.at("j"), config.mlp_blocks),
            score_x: Linear::new(&root.at("score_x")),
            score_z: Linear::new(&root.at("score_z")),
            score_xz: Linear::new(&root.at("score_xz")),
            config: config.clone(),
        })
    }

    /// Scores of pairs.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 3, R, R]` in `[-1, 1]`
    /// - `z`: `[N, Z]`
    ///
    /// # Errors
    ///
    /// When the images have not three planes, or as many rows as vectors.
    pub fn forward(&self, x: &Tensor, z: &Tensor) -> Result<Scores, TorchError> {
        self.forward_on(x, z, &Tape::keeping())
    }

    /// As [`Discriminator::forward`]; each block is a segment of the tape.
    ///
    /// # Errors
    ///
    /// As [`Discriminator::forward`].
    pub fn forward_on<'a>(&'a self, x: &Tensor, z: &Tensor, tape: &Tape<'a>) -> Result<Scores, TorchError> {
        let (found, vectors) = (x.size(), z.size());
        if vectors.first() != found.first() {
            return Err(TorchError::PairShape { found, vectors });
        }
        Ok(self.scores(&self.join(self.image(x, tape)?, self.latent(z))))
    }

    /// Tower F: images `[N, 3, R, R]` to `[N, F]`.
    ///
    /// # Errors
    ///
    /// When they have not three planes.
    pub fn image<'a>(&'a self, x: &Tensor, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        let found = x.size();
        if found.len() != 4 || found[1] != IMAGE_CHANNELS as i64 {
            return Err(TorchError::ImageShape { found });
        }
        let mut x = x.shallow_clone();
        for (i, block) in self.blocks.iter().enumerate() {
            let attention = (i == self.config.attention_after).then_some(&self.attention);
            x = tape.run(&x, move |x| {
                let x = block.forward(x);
                attention.map_or_else(|| x.shallow_clone(), |attention| attention.forward(&x))
            });
        }
        // A sum over positions, which half precision would overflow or round: always in 32 bits.
        Ok(x.relu().sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Float))
    }

    /// Tower H: latent vectors `[N, Z]` to `[N, M]`.
    pub fn latent(&self, z: &Tensor) -> Tensor {
        self.h.forward(z).to_kind(Kind::Float)
    }

    /// Tower J on what the other two gave.
    pub fn join(&self, f: Tensor, h: Tensor) -> Towers {
        let j = self.j.forward(&Tensor::cat(&[&f, &h], 1)).to_kind(Kind::Float);
        Towers { f, h, j }
    }

    /// The scores of what lies behind the towers, as 32-bit floats.
    pub fn scores(&self, towers: &Towers) -> Scores {
        let score = |linear: &Linear, x: &Tensor| linear.forward(x).squeeze_dim(1).to_kind(Kind::Float);
        Scores {
            x: score(&self.score_x, &towers.f),
            z: score(&self.score_z, &towers.h),
            xz: score(&self.score_xz, &towers.j),
        }
    }
}
