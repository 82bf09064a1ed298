//! Convolutions for speed: channels innermost, batch norm, bias, ReLU and sums inside of them.

use tch::{Device, Kind, Tensor};

use super::super::{
    TorchError, ffi,
    layers::{BatchNorm, Scope, padding},
};
use crate::encoder::Padding;

/// Slices a batch that oneDNN's weight layouts are chosen for. Other sizes work, at the price of a reordering a call.
const BATCH: i64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// libtorch's fused oneDNN operators, on a CPU.
    OneDnn,
    /// Ordinary operators, for other devices and builds.
    Plain,
}

/// A convolution with all that can be folded into it.
#[derive(Debug)]
pub(super) struct Conv {
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

    pub fn forward(&self, x: &Tensor, relu: bool) -> Result<Tensor, TorchError> {
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
    pub fn add_to(&self, mut sum: Tensor, x: &Tensor) -> Result<Tensor, TorchError> {
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
pub(super) struct ScaleShift {
    pub scale: Tensor,
    pub shift: Tensor,
    engine: Engine,
}

impl ScaleShift {
    pub fn forward(&self, x: &Tensor, relu: bool) -> Result<Tensor, TorchError> {
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

/// Makes fused convolutions out of weights and the batch norms that follow them.
#[derive(Debug)]
pub(super) struct Builder {
    bn_eps: f64,
    padding: Padding,
    engine: Engine,
    device: Device,
}

impl Builder {
    /// Of a network with these settings throughout, whose tensors are on `device`.
    pub fn new(bn_eps: f64, padding: Padding, device: Device) -> Self {
        let onednn = device == Device::Cpu && tch::utils::has_mkldnn();
        let engine = if onednn { Engine::OneDnn } else { Engine::Plain };
        Self {
            bn_eps,
            padding,
            engine,
            device,
        }
    }

    /// A convolution for images of `size` rows, with the batch norm that follows it folded in.
    pub fn conv(&self, scope: &Scope, after: Option<&Scope>, stride: i64, size: i64) -> Result<Conv, TorchError> {
        let mut weight = scope.tensor("weight").detach();
        let mut bias = None;
        if let Some(after) = after {
            let (scale, shift) = BatchNorm::new(after, self.bn_eps).scale_and_shift();
            weight = (weight.to_kind(Kind::Double) * scale.reshape([-1, 1, 1, 1])).to_kind(Kind::Float);
            bias = Some(shift.to_kind(Kind::Float).to_device(self.device));
        }
        let shape = weight.size();
        let (before, behind) = padding(size, shape[2], stride, self.padding);
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

    /// A batch norm that follows a sum and so folds into nothing.
    pub fn batch_norm(&self, scope: &Scope) -> ScaleShift {
        let (scale, shift) = BatchNorm::new(scope, self.bn_eps).scale_and_shift();
        let float = |t: Tensor| t.to_kind(Kind::Float).to_device(self.device);
        ScaleShift {
            scale: float(scale),
            shift: float(shift),
            engine: self.engine,
        }
    }
}
