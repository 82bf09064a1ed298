//! The encoder rebuilt for speed: batch norms folded away, channels innermost, bias, ReLU and sums inside the convolutions.
//!
//! In a pre-activation network the batch norms *after* a convolution fold into it together with their ReLU. The one at a
//! unit's start follows a sum, so it stays, as one pass of multiply, add and ReLU; the sum itself is written by the
//! branch's last convolution, in place.

use tch::{Device, Kind, Tensor};

use super::super::{
    TorchError, ffi,
    layers::{BatchNorm, Scope, padding},
};
use super::{head::Head, resnet::stride};
use crate::encoder::{Architecture, Family, IMAGE_CHANNELS, Padding, PoolPad, ShortcutFrom};

/// Slices a batch that oneDNN's weight layouts are chosen for. Other sizes work, at the price of a reordering a call.
pub(super) const BATCH: i64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// libtorch's fused oneDNN operators, on a CPU.
    OneDnn,
    /// Ordinary operators, for other devices and builds.
    Plain,
}

#[derive(Debug)]
struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    /// Rows and columns of zeros on every side.
    pad: i64,
    /// Left, right, top, bottom, where they differ: then `pad` is 0.
    lopsided: Option<[i64; 4]>,
    engine: Engine,
}

impl Conv {
    fn padded(&self, x: &Tensor) -> Tensor {
        match self.lopsided {
            Some(sides) => x.constant_pad_nd(sides),
            None => x.shallow_clone(),
        }
    }

    fn forward(&self, x: &Tensor, relu: bool) -> Result<Tensor, TorchError> {
        let x = self.padded(x);
        match self.engine {
            Engine::OneDnn => ffi::conv(&x, &self.weight, self.bias.as_ref(), self.pad, self.stride, relu),
            Engine::Plain => {
                let mut y = self.plain(&x)?;
                Ok(if relu { y.f_relu_()? } else { y })
            }
        }
    }

    /// `sum + conv(x)`, written over `sum`.
    fn add_to(&self, mut sum: Tensor, x: &Tensor) -> Result<Tensor, TorchError> {
        let x = self.padded(x);
        match self.engine {
            Engine::OneDnn => {
                ffi::conv_add(&mut sum, &x, &self.weight, self.bias.as_ref(), self.pad, self.stride)?;
                Ok(sum)
            }
            Engine::Plain => Ok(sum.f_add_(&self.plain(&x)?)?),
        }
    }

    fn plain(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        Ok(x.f_conv2d(
            &self.weight,
            self.bias.as_ref(),
            [self.stride; 2],
            [self.pad; 2],
            [1, 1],
            1,
        )?)
    }
}

/// A batch norm with stored statistics, as a factor and a summand a channel.
#[derive(Debug)]
struct ScaleShift {
    scale: Tensor,
    shift: Tensor,
    engine: Engine,
}

impl ScaleShift {
    fn forward(&self, x: &Tensor, relu: bool) -> Result<Tensor, TorchError> {
        match self.engine {
            Engine::OneDnn => ffi::scale_shift(x, &self.scale, &self.shift, relu),
            Engine::Plain => {
                let channels = [1, -1, 1, 1];
                let mut y = self
                    .shift
                    .f_reshape(channels)?
                    .f_addcmul(x, &self.scale.f_reshape(channels)?)?;
                Ok(if relu { y.f_relu_()? } else { y })
            }
        }
    }
}

#[derive(Debug)]
struct Bottleneck {
    bn1: ScaleShift,
    conv1: Conv,
    conv2: Conv,
    conv3: Conv,
    shortcut: Option<Conv>,
}

impl Bottleneck {
    /// Adds the branch of the preactivated `a` to `sum`.
    fn branch(&self, sum: Tensor, a: &Tensor) -> Result<Tensor, TorchError> {
        let h = self.conv1.forward(a, true)?;
        let h = self.conv2.forward(&h, true)?;
        self.conv3.add_to(sum, &h)
    }
}

/// The whole network but the batch norm of `bn_crelu_feat`, which is two operations on a small matrix.
#[derive(Debug)]
pub(super) struct Network {
    net: Architecture,
    device: Device,
    stem: Conv,
    stages: Vec<Vec<Bottleneck>>,
    final_bn: ScaleShift,
    crelu_scale: Tensor,
    crelu_shift: Tensor,
    head: Head,
}

struct Builder<'a> {
    net: &'a Architecture,
    engine: Engine,
    device: Device,
}

impl Builder<'_> {
    /// A convolution for images of `size` rows, with the batch norm that follows it folded in.
    fn conv(&self, scope: &Scope, after: Option<&Scope>, stride: i64, size: i64) -> Result<Conv, TorchError> {
        let mut weight = scope.tensor("weight").detach();
        let mut bias = None;
        if let Some(after) = after {
            let (scale, shift) = BatchNorm::new(after, self.net.bn_eps).scale_and_shift();
            weight = (weight.to_kind(Kind::Double) * scale.reshape([-1, 1, 1, 1])).to_kind(Kind::Float);
            bias = Some(shift.to_kind(Kind::Float).to_device(self.device));
        }
        let shape = weight.size();
        let (before, behind) = padding(size, shape[2], stride, self.net.padding);
        let (pad, lopsided) = if before == behind {
            (before, None)
        } else {
            (0, Some([before, behind, before, behind]))
        };
        let mut weight = ffi::channels_last(&weight.to_device(self.device))?;
        if self.engine == Engine::OneDnn {
            let rows = if lopsided.is_some() {
                size + before + behind
            } else {
                size
            };
            weight = ffi::conv_prepack(&weight, pad, stride, [BATCH, shape[1], rows, rows])?;
        }
        Ok(Conv {
            weight,
            bias,
            stride,
            pad,
            lopsided,
            engine: self.engine,
        })
    }

    fn batch_norm(&self, scope: &Scope) -> ScaleShift {
        let (scale, shift) = BatchNorm::new(scope, self.net.bn_eps).scale_and_shift();
        let float = |t: Tensor| t.to_kind(Kind::Float).to_device(self.device);
        ScaleShift {
            scale: float(scale),
            shift: float(shift),
            engine: self.engine,
        }
    }

    fn bottleneck(&self, scope: &Scope, stride: i64, size: i64) -> Result<Bottleneck, TorchError> {
        let shortcut = scope.at("shortcut");
        Ok(Bottleneck {
            bn1: self.batch_norm(&scope.at("bn1")),
            conv1: self.conv(&scope.at("conv1"), Some(&scope.at("bn2")), 1, size)?,
            conv2: self.conv(&scope.at("conv2"), Some(&scope.at("bn3")), stride, size)?,
            conv3: self.conv(&scope.at("conv3"), None, 1, size / stride)?,
            shortcut: match shortcut.has("weight") {
                true => Some(self.conv(&shortcut, None, stride, size)?),
                false => None,
            },
        })
    }
}

impl Network {
    /// `root` must hold the encoder's tensors on `device`.
    pub fn new(root: &Scope, net: Architecture, device: Device) -> Result<Self, TorchError> {
        let onednn = device == Device::Cpu && tch::utils::has_mkldnn();
        let engine = if onednn { Engine::OneDnn } else { Engine::Plain };
        let build = Builder {
            net: &net,
            engine,
            device,
        };
        let image = net.input_size as i64;
        let mut stages = Vec::new();
        let mut size = image / 4;
        for (number, &depth) in net.depths.iter().enumerate() {
            let mut stage = Vec::new();
            for unit in 0..depth {
                let scope = root.at("stages").at(number).at(unit);
                match net.family {
                    Family::ResNet => {
                        let stride = stride(number, unit);
                        stage.push(build.bottleneck(&scope, stride, size)?);
                        size /= stride;
                    }
                    Family::RevNet => stage.push(build.bottleneck(&scope.at("f"), 1, size)?),
                }
            }
            stages.push(stage);
            if net.family == Family::RevNet {
                size /= 2;
            }
        }
        let crelu = build.batch_norm(&root.at("crelu_bn"));
        Ok(Self {
            stem: build.conv(&root.at("stem").at("conv"), None, 2, image)?,
            stages,
            final_bn: build.batch_norm(&root.at("final_bn")),
            crelu_scale: crelu.scale,
            crelu_shift: crelu.shift,
            head: Head::new(&root.at("head")),
            device,
            net,
        })
    }

    /// `[N, 3, S, S]` to the pooled `[N, F]`.
    pub fn avepool_feat(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        debug_assert_eq!(x.size()[1], IMAGE_CHANNELS as i64);
        let x = ffi::channels_last(&x.f_to_device(self.device)?)?;
        let x = self.pool(&self.stem.forward(&x, false)?)?;
        match self.net.family {
            Family::ResNet => self.resnet(x),
            Family::RevNet => self.revnet(&x),
        }
    }

    /// `[N, F]` to `[N, 2 F]`.
    pub fn bn_crelu_feat(&self, pooled: &Tensor) -> Result<Tensor, TorchError> {
        let n = self.crelu_shift.f_addcmul(pooled, &self.crelu_scale)?;
        Ok(Tensor::f_cat(&[n.f_relu()?, n.f_neg()?.f_relu()?], 1)?)
    }

    /// `[N, F]` to the last layer's `[N, 2 Z]`.
    pub fn z_raw(&self, pooled: &Tensor) -> Tensor {
        self.head.forward(pooled)
    }

    fn resnet(&self, mut x: Tensor) -> Result<Tensor, TorchError> {
        for unit in self.stages.iter().flatten() {
            let a = unit.bn1.forward(&x, true)?;
            let sum = match (&unit.shortcut, self.net.shortcut_from) {
                (Some(shortcut), ShortcutFrom::Preact) => shortcut.forward(&a, false)?,
                (Some(shortcut), ShortcutFrom::Raw) => shortcut.forward(&x, false)?,
                (None, _) => x,
            };
            x = unit.branch(sum, &a)?;
        }
        Ok(self
            .final_bn
            .forward(&x, self.net.last_relu)?
            .f_mean_dim([2i64, 3].as_slice(), false, None)?)
    }

    /// The two halves of the channels stay two tensors, so that nothing is joined or cut between units.
    fn revnet(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let half = x.size()[1] / 2;
        let mut x1 = ffi::channels_last(&x.f_narrow(1, 0, half)?)?;
        let mut x2 = ffi::channels_last(&x.f_narrow(1, half, half)?)?;
        for (number, stage) in self.stages.iter().enumerate() {
            if number > 0 {
                // Zeros below the first half and above the second: together, the old channels in the middle.
                let channels = x1.size()[1];
                let pooled = |t: &Tensor| t.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
                x1 = pooled(&x1)?.f_constant_pad_nd([0, 0, 0, 0, channels, 0])?;
                x2 = pooled(&x2)?.f_constant_pad_nd([0, 0, 0, 0, 0, channels])?;
            }
            for unit in stage {
                let y1 = unit.branch(x1, &unit.bn1.forward(&x2, true)?)?;
                (x1, x2) = (x2, y1);
            }
        }
        let x = ffi::channels_last(&Tensor::f_cat(&[x1, x2], 1)?)?;
        Ok(self
            .final_bn
            .forward(&x, self.net.last_relu)?
            .f_mean_dim([2i64, 3].as_slice(), false, None)?)
    }

    fn pool(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let pool = |x: &Tensor, pad: i64| x.f_max_pool2d([3, 3], [2, 2], [pad, pad], [1, 1], false);
        match self.net.padding {
            Padding::Same => Ok(pool(&x.f_pad([0, 1, 0, 1], "constant", f64::NEG_INFINITY)?, 0)?),
            Padding::Fixed => {
                let y = pool(x, 1)?;
                if self.net.pool_pad == PoolPad::Zero {
                    // Sizes are even, so only the first row and column of windows reach outside the image.
                    let _ = y.f_narrow(2, 0, 1)?.f_clamp_min_(0.0)?;
                    let _ = y.f_narrow(3, 0, 1)?.f_clamp_min_(0.0)?;
                }
                Ok(y)
            }
        }
    }
}
