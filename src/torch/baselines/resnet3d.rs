//! A residual network of 3D convolutions with 18 layers, Hara et al. 2018, <https://arxiv.org/abs/1711.09577>, in libtorch; its sizes
//! stand in [`crate::baseline::ResNet3d`].

use tch::Tensor;

use super::{
    Mode, VolumeClassifier,
    run::{check_scans, outputs},
};
use crate::{
    baseline,
    torch::{
        TorchError,
        layers::{BatchNorm, Conv3d, Linear, Scope, Statistics, norm_relu},
        train::Tape,
        weights::WeightMap,
    },
};

/// A convolution and the batch norm that follows it.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv3d,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(conv: &Scope, norm: &Scope, stride: usize) -> Self {
        Self {
            conv: Conv3d::new(conv, stride as i64),
            norm: BatchNorm::new(norm, baseline::ResNet3d::BN_EPS),
        }
    }

    fn forward(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        self.norm.try_forward(&self.conv.forward(x)?, statistics)
    }

    fn forward_relu(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        norm_relu(&self.conv.forward(x)?, &self.norm, statistics)
    }
}

/// Two 3 x 3 x 3 convolutions, and a ReLU after the sum.
#[derive(Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl Block {
    fn new(root: &Scope, block: baseline::Block) -> Self {
        let scope = root.at(block.name());
        let shortcut = scope.at("downsample");
        let reshape = || ConvNorm::new(&shortcut.at(0), &shortcut.at(1), block.stride);
        Self {
            first: ConvNorm::new(&scope.at("conv1"), &scope.at("bn1"), block.stride),
            second: ConvNorm::new(&scope.at("conv2"), &scope.at("bn2"), 1),
            shortcut: block.reshapes().then(reshape),
        }
    }

    fn forward(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        let branch = self.first.forward_relu(x, statistics)?;
        let mut branch = self.second.forward(&branch, statistics)?;
        let mut sum = match &self.shortcut {
            Some(shortcut) => branch.f_add_(&shortcut.forward(x, statistics)?)?,
            None => branch.f_add_(x)?,
        };
        Ok(sum.f_relu_()?)
    }
}

/// The network.
#[derive(Debug)]
pub struct ResNet3d {
    stem: ConvNorm,
    blocks: Vec<Block>,
    fc: Linear,
    size: [usize; 3],
}

impl ResNet3d {
    /// The network on tensors that were checked.
    pub(super) fn new(config: &baseline::ResNet3d, size: [usize; 3], tensors: &WeightMap) -> Self {
        let root = Scope::new(tensors, "");
        Self {
            stem: ConvNorm::new(&root.at("conv1"), &root.at("bn1"), 2),
            blocks: config.blocks().map(|block| Block::new(&root, block)).collect(),
            fc: Linear::new(&root.at("fc")),
            size,
        }
    }

    /// `[N, 1, D, H, W]` to `[N, C, D / 32, H / 32, W / 32]`, rounded up.
    fn trunk<'a>(&'a self, x: &Tensor, statistics: Statistics, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        check_scans(x, self.size)?;
        let mut x = tape.run_normed(x, statistics, |x, statistics| {
            let x = self.stem.forward_relu(x, statistics)?; // [N, C, D / 2, H / 2, W / 2]
            Ok(x.f_max_pool3d([3; 3], [2; 3], [1; 3], [1; 3], false)?)
        })?; // [N, C, D / 4, H / 4, W / 4]
        for block in &self.blocks {
            x = tape.run_normed(&x, statistics, move |x, statistics| block.forward(x, statistics))?;
        }
        Ok(x)
    }

    /// From what leaves the last block, `[N, C, d, h, w]`, to `[N, 2]`.
    fn classify(&self, maps: &Tensor) -> Result<Tensor, TorchError> {
        let features = maps.f_mean_dim([2i64, 3, 4].as_slice(), false, None)?; // [N, C]
        outputs(&self.fc, &features)
    }
}

impl VolumeClassifier for ResNet3d {
    fn forward<'a>(&'a self, x: &Tensor, mode: Mode, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        self.classify(&self.trunk(x, mode.statistics(), tape)?)
    }

    /// What leaves the last block.
    fn maps(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        self.trunk(x, Statistics::Stored, &Tape::keeping())
    }

    fn head(&self, maps: &Tensor) -> Tensor {
        self.classify(maps).unwrap_or_else(|error| panic!("{error}"))
    }
}
