//! ResNet-50 v1.5 from image to pooled features: in plain operators, and rebuilt for speed. Layout and names are those of
//! <https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py>, which timm shares.

use tch::{Device, Tensor};

use super::super::{
    TorchError, ffi,
    layers::{BatchNorm, Conv, Scope, Statistics},
    train::Tape,
    weights::{self, WeightMap},
};
use super::{
    fused::{self, Builder},
    resnet::stride,
};
use crate::encoder::{EncoderConfig, Padding, ResNet50ImageNet};

/// A convolution and the batch norm that follows it.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(conv: &Scope, norm: &Scope, stride: i64) -> Self {
        Self {
            conv: Conv::new(conv, stride, Padding::Fixed),
            norm: BatchNorm::new(norm, ResNet50ImageNet::BN_EPS),
        }
    }

    fn forward(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        self.norm.try_forward(&self.conv.forward(x), statistics)
    }
}

/// A bottleneck: 1x1, 3x3 (strided), 1x1, and a ReLU after the sum.
#[derive(Debug)]
struct Unit {
    branch: [ConvNorm; 3],
    shortcut: Option<ConvNorm>,
}

impl Unit {
    fn new(scope: &Scope, stride: i64) -> Self {
        let part = |number: usize, stride| {
            ConvNorm::new(
                &scope.at(format!("conv{number}")),
                &scope.at(format!("bn{number}")),
                stride,
            )
        };
        let shortcut = scope.at("downsample");
        Self {
            branch: [part(1, 1), part(2, stride), part(3, 1)],
            shortcut: shortcut
                .at(0)
                .has("weight")
                .then(|| ConvNorm::new(&shortcut.at(0), &shortcut.at(1), stride)),
        }
    }

    fn forward(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        let [first, second, third] = &self.branch;
        let h = first.forward(x, statistics)?.f_relu_()?;
        let h = second.forward(&h, statistics)?.f_relu_()?;
        let mut h = third.forward(&h, statistics)?;
        let mut sum = match &self.shortcut {
            Some(shortcut) => h.f_add_(&shortcut.forward(x, statistics)?)?,
            None => h.f_add_(x)?,
        };
        Ok(sum.f_relu_()?)
    }
}

/// Number of every stage and of every unit in it.
fn units() -> impl Iterator<Item = (usize, usize)> {
    let stages = ResNet50ImageNet::DEPTHS.into_iter().enumerate();
    stages.flat_map(|(stage, depth)| (0..depth).map(move |unit| (stage, unit)))
}

/// The place of a unit in the published names, whose stages count from 1.
fn at<'a>(root: &Scope<'a>, stage: usize, unit: usize) -> Scope<'a> {
    root.at(format!("layer{}", stage + 1)).at(unit)
}

/// The network in plain operators.
#[derive(Debug)]
pub struct ResNetV1 {
    stem: ConvNorm,
    units: Vec<Unit>,
}

impl ResNetV1 {
    /// Builds the network on `tensors`, which must be exactly those of `resnet50-imagenet`.
    ///
    /// # Errors
    ///
    /// When they are not: every wrong one is named.
    pub fn new(tensors: &WeightMap) -> Result<Self, TorchError> {
        let config = EncoderConfig::ResNet50ImageNet(ResNet50ImageNet::default());
        weights::check(&config, tensors)?;
        let root = Scope::new(tensors, "");
        let unit = |(stage, unit)| Unit::new(&at(&root, stage, unit), stride(stage, unit));
        Ok(Self {
            stem: ConvNorm::new(&root.at("conv1"), &root.at("bn1"), 2),
            units: units().map(unit).collect(),
        })
    }

    /// Pooled features of images, with stored statistics.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 3, S, S]`, normalised as the network was trained
    /// - output: `[N, 2048]`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let map = self.last_map(x, Statistics::Stored, &Tape::keeping());
        let map = map.unwrap_or_else(|error| panic!("{error}"));
        map.mean_dim([2i64, 3].as_slice(), false, None)
    }

    /// What the last unit gives; the stem with its pool and each unit are segments of the tape.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 3, S, S]`, normalised as the network was trained
    /// - output: `[N, 2048, S / 32, S / 32]`
    ///
    /// # Errors
    ///
    /// When libtorch fails, e.g. for want of memory.
    pub fn last_map<'a>(&'a self, x: &Tensor, statistics: Statistics, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        let mut x = tape.run_normed(x, statistics, |x, statistics| {
            let x = self.stem.forward(x, statistics)?.f_relu_()?; // [N, 64, S / 2, S / 2]
            Ok(x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?)
        })?; // [N, 64, S / 4, S / 4]
        for unit in &self.units {
            x = tape.run_normed(&x, statistics, move |x, statistics| unit.forward(x, statistics))?;
        }
        Ok(x)
    }
}

#[derive(Debug)]
struct FastUnit {
    conv1: fused::Conv,
    conv2: fused::Conv,
    conv3: fused::Conv,
    shortcut: Option<fused::Conv>,
}

/// The same network with every batch norm folded into the convolution before it.
#[derive(Debug)]
pub(super) struct FastResNetV1 {
    stem: fused::Conv,
    units: Vec<FastUnit>,
    device: Device,
}

impl FastResNetV1 {
    /// `root` must hold the network's tensors on `device`.
    pub fn new(root: &Scope, input_size: usize, device: Device) -> Result<Self, TorchError> {
        let build = Builder::new(ResNet50ImageNet::BN_EPS, Padding::Fixed, device);
        let image = input_size as i64;
        let mut size = image / 4;
        let mut fast = Vec::new();
        for (stage, unit) in units() {
            let (scope, stride) = (at(root, stage, unit), stride(stage, unit));
            let conv = |number: usize, stride, size| {
                let norm = scope.at(format!("bn{number}"));
                build.conv(&scope.at(format!("conv{number}")), Some(&norm), stride, size)
            };
            let shortcut = scope.at("downsample");
            fast.push(FastUnit {
                conv1: conv(1, 1, size)?,
                conv2: conv(2, stride, size)?,
                conv3: conv(3, 1, size / stride)?,
                shortcut: match shortcut.at(0).has("weight") {
                    true => Some(build.conv(&shortcut.at(0), Some(&shortcut.at(1)), stride, size)?),
                    false => None,
                },
            });
            size /= stride;
        }
        Ok(Self {
            stem: build.conv(&root.at("conv1"), Some(&root.at("bn1")), 2, image)?,
            units: fast,
            device,
        })
    }

    /// `[N, 3, S, S]`, normalised, to `[N, 2048]`.
    pub fn avepool_feat(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let x = ffi::channels_last(&x.f_to_device(self.device)?)?;
        let x = self.stem.forward(&x, true)?;
        let mut x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for unit in &self.units {
            let h = unit.conv1.forward(&x, true)?;
            let h = unit.conv2.forward(&h, true)?;
            let sum = match &unit.shortcut {
                Some(shortcut) => shortcut.forward(&x, false)?,
                None => x,
            };
            x = unit.conv3.add_to(sum, &h)?.f_relu_()?;
        }
        Ok(x.f_mean_dim([2i64, 3].as_slice(), false, None)?)
    }
}
