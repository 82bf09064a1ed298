//! Convolutions in 3D.

use tch::Tensor;

use super::{super::TorchError, Scope};

/// A convolution whose kernel is a cube of odd length, with as many zeros around as keep the size at stride 1; without a bias, as
/// those before a batch norm are.
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
        let padding = self.weight.size()[2] / 2;
        let none = None::<&Tensor>;
        Ok(x.f_conv3d(&self.weight, none, [self.stride; 3], [padding; 3], [1; 3], 1)?)
    }
}
