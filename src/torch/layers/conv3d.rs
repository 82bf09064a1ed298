//! Convolutions in 3D.

use tch::{Device, Tensor};

use super::{super::TorchError, Scope, as_given};

/// oneDNN 3.12 under libtorch 2.13 in bfloat16, seen on a processor with AVX-512 BF16: over axes shorter than the kernel, or of 1 or 2
/// positions, gradients of weights hold memory that was never written, and the heap may be damaged. None was seen from here on.
const LEAST_IN_HALF: i64 = 3;

/// A convolution whose kernel is a cube of odd length, with as many zeros around as keep the size at stride 1; without a bias, as
/// those before a batch norm are.
///
/// Maps so short that bfloat16 goes wrong on a processor are computed in the precision of the weights there, whatever autocast says; they are small.
///
/// libtorch computes it in the layout of its weight: with the channels innermost where the weight's are
/// (`train::Memory::ChannelsLast3d`).
#[derive(Debug)]
pub struct Conv3d {
    weight: Tensor,
    stride: i64,
}

impl Conv3d {
    /// Reads `weight` `[O, C, k, k, k]` at `scope`.
    pub fn new(scope: &Scope, stride: i64) -> Self {
        Self {
            weight: scope.tensor("weight"),
            stride,
        }
    }

    /// The weight, where it is 3 x 3 x 3 and moved by one.
    pub(super) fn cube_of_three(&self) -> Option<&Tensor> {
        (self.stride == 1 && self.weight.size()[2..] == [3; 3]).then_some(&self.weight)
    }

    /// # Shapes
    ///
    /// - `x`: `[N, C, D, H, W]`
    /// - output: `[N, O, D / stride, H / stride, W / stride]`, rounded up
    ///
    /// # Errors
    ///
    /// What libtorch says, e.g. for want of memory.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let kernel = self.weight.size()[2];
        let shortest = x.size()[2..].iter().min().copied().unwrap_or(0);
        if x.device() == Device::Cpu && shortest < kernel.max(LEAST_IN_HALF) {
            let _as_given = as_given(x.device());
            return self.convolve(&x.f_to_kind(self.weight.kind())?, kernel / 2);
        }
        self.convolve(x, kernel / 2)
    }

    fn convolve(&self, x: &Tensor, padding: i64) -> Result<Tensor, TorchError> {
        let none = None::<&Tensor>;
        Ok(x.f_conv3d(&self.weight, none, [self.stride; 3], [padding; 3], [1; 3], 1)?)
    }
}
