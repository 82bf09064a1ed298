//! A BigBiGAN encoder rebuilt for speed: batch norms folded away, channels innermost, bias, ReLU and sums inside the convolutions.
//!
//! In a pre-activation network the batch norms *after* a convolution fold into it together with their ReLU. The one at a
//! unit's start follows a sum, so it stays, as one pass of multiply, add and ReLU; the sum itself is written by the
//! branch's last convolution, in place.

use tch::{Device, Tensor};

use super::super::{TorchError, ffi, layers::Scope};
use super::{
    fused::{Builder, Conv, ScaleShift},
    head::Head,
    posterior,
    resnet::stride,
};
use crate::encoder::{Architecture, Family, IMAGE_CHANNELS, Layer, Padding, PoolPad, ShortcutFrom};

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

/// A bottleneck for images of `size` rows.
fn bottleneck(build: &Builder, scope: &Scope, stride: i64, size: i64) -> Result<Bottleneck, TorchError> {
    let shortcut = scope.at("shortcut");
    Ok(Bottleneck {
        bn1: build.batch_norm(&scope.at("bn1")),
        conv1: build.conv(&scope.at("conv1"), Some(&scope.at("bn2")), 1, size)?,
        conv2: build.conv(&scope.at("conv2"), Some(&scope.at("bn3")), stride, size)?,
        conv3: build.conv(&scope.at("conv3"), None, 1, size / stride)?,
        shortcut: match shortcut.has("weight") {
            true => Some(build.conv(&shortcut, None, stride, size)?),
            false => None,
        },
    })
}

impl Network {
    /// `root` must hold the encoder's tensors on `device`.
    pub fn new(root: &Scope, net: Architecture, device: Device) -> Result<Self, TorchError> {
        let build = Builder::new(net.bn_eps, net.padding, device);
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
                        stage.push(bottleneck(&build, &scope, stride, size)?);
                        size /= stride;
                    }
                    Family::RevNet => stage.push(bottleneck(&build, &scope.at("f"), 1, size)?),
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

    /// Chosen layers of `[N, 3, S, S]`, in their order; the noise for [`Layer::ZSample`] is `[N, Z]`.
    pub fn outputs(&self, x: &Tensor, layers: &[Layer], noise: Option<&Tensor>) -> Result<Vec<Tensor>, TorchError> {
        let pooled = self.avepool_feat(x)?;
        let latent = |layer: &Layer| matches!(layer, Layer::ZMean | Layer::ZStdev | Layer::ZSample);
        // The MLP is three quarters of a ResNet's weights: it is only run where it is read.
        let z = layers
            .iter()
            .any(latent)
            .then(|| posterior(&self.head.forward(&pooled), self.net.halves));
        let mut outputs = Vec::with_capacity(layers.len());
        for &layer in layers {
            outputs.push(match (layer, &z) {
                (Layer::BnCreluFeat, _) => self.bn_crelu_feat(&pooled)?,
                (Layer::ZMean, Some((mean, _))) => mean.shallow_clone(),
                (Layer::ZStdev, Some((_, stdev))) => stdev.shallow_clone(),
                (Layer::ZSample, Some((mean, stdev))) => {
                    let noise = noise.ok_or(TorchError::NoNoise(layer))?;
                    let expected = [x.size()[0], self.net.z_dim as i64];
                    if noise.size() != expected {
                        return Err(TorchError::NoiseShape {
                            found: noise.size(),
                            expected,
                        });
                    }
                    mean.f_add(&stdev.f_mul(&noise.f_to_device(self.device)?)?)?
                }
                // The latent layers without `z` cannot be: the line above made it for them. Layers of other kinds were
                // refused before.
                _ => pooled.shallow_clone(),
            });
        }
        Ok(outputs)
    }

    /// `[N, 3, S, S]` to the pooled `[N, F]`.
    fn avepool_feat(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        debug_assert_eq!(x.size()[1], IMAGE_CHANNELS as i64);
        let x = ffi::channels_last(&x.f_to_device(self.device)?)?;
        let x = self.pool(&self.stem.forward(&x, false)?)?;
        match self.net.family {
            Family::ResNet => self.resnet(x),
            Family::RevNet => self.revnet(&x),
        }
    }

    /// `[N, F]` to `[N, 2 F]`.
    fn bn_crelu_feat(&self, pooled: &Tensor) -> Result<Tensor, TorchError> {
        let n = self.crelu_shift.f_addcmul(pooled, &self.crelu_scale)?;
        Ok(Tensor::f_cat(&[n.f_relu()?, n.f_neg()?.f_relu()?], 1)?)
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
