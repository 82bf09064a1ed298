//! The generator: BigGAN's at 128 x 128 without classes (Brock et al. 2018, appendix B, <https://arxiv.org/abs/1809.11096>).

use tch::Tensor;

use super::super::super::{
    TorchError,
    layers::{BatchNorm, CondBatchNorm, Conv, Linear, Scope, SelfAttention, Statistics},
    train::Tape,
    weights::{self, WeightMap},
};
use crate::{
    encoder::{IMAGE_CHANNELS, Padding},
    method,
};

/// Added to every variance; proven on the published module.
const BN_EPSILON: f64 = 1e-4;

/// `conv2(relu(bn2(conv1(up(relu(bn1(x))))))) + shortcut(up(x))`.
#[derive(Debug)]
struct Block {
    bn1: CondBatchNorm,
    conv1: Conv,
    bn2: CondBatchNorm,
    conv2: Conv,
    shortcut: Conv,
}

impl Block {
    fn new(scope: &Scope) -> Self {
        let bn = |name: &str| CondBatchNorm::new(&scope.at(name), BN_EPSILON);
        let conv = |name: &str| Conv::new(&scope.at(name), 1, Padding::Fixed);
        Self {
            bn1: bn("bn1"),
            conv1: conv("conv1"),
            bn2: bn("bn2"),
            conv2: conv("conv2"),
            shortcut: conv("shortcut"),
        }
    }

    /// `[N, C, H, W]` to `[N, C', 2 H, 2 W]`.
    fn forward(&self, x: &Tensor, condition: &Tensor, statistics: Statistics) -> Tensor {
        let h = double(&self.bn1.forward(x, condition, statistics).relu_());
        let h = self.conv1.forward(&h);
        let mut h = self.conv2.forward(&self.bn2.forward(&h, condition, statistics).relu_());
        // A 1x1 convolution of copies is the copies of the convolution, at a quarter of the work.
        h += double(&self.shortcut.forward(x));
        h
    }
}

/// Every pixel twice in each direction.
fn double(x: &Tensor) -> Tensor {
    let size = x.size();
    x.upsample_nearest2d([2 * size[2], 2 * size[3]], 2.0, 2.0)
}

/// From latent vectors to images.
#[derive(Debug)]
pub struct Generator {
    config: method::Generator,
    z_dim: usize,
    shared: Tensor,
    linear: Linear,
    blocks: Vec<Block>,
    attention: SelfAttention,
    out_bn: BatchNorm,
    out_conv: Conv,
}

impl Generator {
    /// Builds the network on `tensors`, which must be exactly the generator's; training them trains it.
    ///
    /// # Errors
    ///
    /// When the sizes make no network or the tensors do not fit: every wrong one is named.
    pub fn new(config: &method::Generator, z_dim: usize, tensors: &WeightMap) -> Result<Self, TorchError> {
        config.check(z_dim)?;
        weights::check_against("generator", &config.tensors(z_dim), tensors)?;
        let root = Scope::new(tensors, "generator");
        Ok(Self {
            shared: root.at("shared").tensor("weight"),
            linear: Linear::new(&root.at("linear")),
            blocks: (0..config.blocks())
                .map(|i| Block::new(&root.at("blocks").at(i)))
                .collect(),
            attention: SelfAttention::new(&root.at("attention")),
            out_bn: BatchNorm::new(&root.at("out_bn"), BN_EPSILON),
            out_conv: Conv::new(&root.at("out_conv"), 1, Padding::Fixed),
            config: config.clone(),
            z_dim,
        })
    }

    /// Images of latent vectors.
    ///
    /// # Shapes
    ///
    /// - `z`: `[N, Z]`
    /// - output: `[N, 3, R, R]` in `[-1, 1]`
    ///
    /// # Errors
    ///
    /// When the vectors have another width.
    pub fn forward(&self, z: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        self.forward_on(z, statistics, &Tape::keeping())
    }

    /// As [`Generator::forward`]; each block is a segment of the tape.
    ///
    /// # Errors
    ///
    /// As [`Generator::forward`].
    pub fn forward_on<'a>(&'a self, z: &Tensor, statistics: Statistics, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        let size = z.size();
        if size.len() != 2 || size[0] == 0 || size[1] != self.z_dim as i64 {
            return Err(TorchError::LatentShape {
                found: size,
                expected: self.z_dim,
            });
        }
        let chunk = self.config.chunk(self.z_dim) as i64;
        let parts = z.split(chunk, 1);
        let shared = self.shared.expand([size[0], -1], false); // [N, K]
        let bottom = method::BOTTOM as i64;
        let mut h = self.linear.forward(&parts[0]).view([size[0], -1, bottom, bottom]);
        for (i, block) in self.blocks.iter().enumerate() {
            // The block's part of the vector first, then the shared one: the order of the published weights.
            let condition = Tensor::cat(&[&parts[i + 1], &shared], 1);
            let attention = (i == self.config.attention_after).then_some(&self.attention);
            h = tape.run(&h, move |h| {
                let h = block.forward(h, &condition, statistics);
                attention.map_or_else(|| h.shallow_clone(), |attention| attention.forward(&h))
            });
        }
        let image = self
            .out_conv
            .forward(&self.out_bn.forward(&h, statistics).relu())
            .tanh();
        Ok(image.expand([-1, IMAGE_CHANNELS as i64, -1, -1], false))
    }

    /// Rows and columns of its images.
    pub fn resolution(&self) -> usize {
        self.config.resolution()
    }

    /// Width of its latent vectors.
    pub fn z_dim(&self) -> usize {
        self.z_dim
    }
}
