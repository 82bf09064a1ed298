//! Convolutions, and the padding that PyTorch's own arguments cannot say.

use tch::Tensor;

use super::{Scope, Weight};
use crate::encoder::{Padding, PoolPad};

/// Zeros before and after an axis of `size`, for a kernel of `kernel` moved by `stride`.
pub fn padding(size: i64, kernel: i64, stride: i64, mode: Padding) -> (i64, i64) {
    let total = match mode {
        Padding::Fixed => kernel - 1,
        // TensorFlow: the output has ceil(size / stride) elements.
        Padding::Same => {
            let outputs = (size + stride - 1) / stride;
            ((outputs - 1) * stride + kernel - size).max(0)
        }
    };
    (total / 2, total - total / 2)
}

/// A square convolution, with a bias and a spectral norm where its tensors say so.
#[derive(Debug)]
pub struct Conv {
    weight: Weight,
    bias: Option<Tensor>,
    stride: i64,
    padding: Padding,
}

impl Conv {
    /// Reads `weight` `[O, C, k, k]` at `scope`, and `bias` and `u`, both `[O]`, where they are there.
    pub fn new(scope: &Scope, stride: i64, padding: Padding) -> Self {
        Self {
            weight: Weight::new(scope),
            bias: scope.has("bias").then(|| scope.tensor("bias")),
            stride,
            padding,
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[N, C, H, W]`
    /// - output: `[N, O, H / stride, W / stride]`, rounded up
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.with(&self.weight.value(), x)
    }

    /// As [`Conv::forward`] of images whose `C` channels are all alike, at the work of one of them.
    ///
    /// # Shapes
    ///
    /// - `channel`: `[N, 1, H, W]`
    /// - output: as of [`Conv::forward`]
    pub fn forward_grey(&self, channel: &Tensor) -> Tensor {
        let sum = self.weight.value().sum_dim_intlist([1i64].as_slice(), true, None);
        self.with(&sum, channel)
    }

    fn with(&self, weight: &Tensor, x: &Tensor) -> Tensor {
        let kernel = weight.size()[2];
        let size = x.size();
        let (top, bottom) = padding(size[2], kernel, self.stride, self.padding);
        let (left, right) = padding(size[3], kernel, self.stride, self.padding);
        let stride = [self.stride; 2];
        let dilation = [1, 1];
        if top == bottom && left == right {
            return x.conv2d(weight, self.bias.as_ref(), stride, [top, left], dilation, 1);
        }
        let x = x.constant_pad_nd([left, right, top, bottom]);
        x.conv2d(weight, self.bias.as_ref(), stride, [0, 0], dilation, 1)
    }
}

/// Max-pool 3x3 with stride 2.
///
/// # Shapes
///
/// - `x`: `[N, C, H, W]`
/// - output: `[N, C, H / 2, W / 2]`, rounded up
pub fn max_pool(x: &Tensor, mode: Padding, outside: PoolPad) -> Tensor {
    let size = x.size();
    let (top, bottom) = padding(size[2], 3, 2, mode);
    let (left, right) = padding(size[3], 3, 2, mode);
    let value = match outside {
        PoolPad::Zero => 0.0,
        PoolPad::NegInf => f64::NEG_INFINITY,
    };
    x.pad([left, right, top, bottom], "constant", value)
        .max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TensorFlow's documentation of SAME: stride 2 on an even size pads 2 and 3 for a 7x7, 0 and 1 for a 3x3 kernel.
    #[test]
    fn same_padding_is_lopsided_where_tensorflow_says_so() {
        assert_eq!(padding(256, 7, 2, Padding::Same), (2, 3));
        assert_eq!(padding(128, 3, 2, Padding::Same), (0, 1));
        assert_eq!(padding(64, 3, 1, Padding::Same), (1, 1));
        assert_eq!(padding(7, 1, 2, Padding::Same), (0, 0));
    }

    #[test]
    fn fixed_padding_forgets_size_and_stride() {
        for size in [5, 8, 64] {
            assert_eq!(padding(size, 7, 2, Padding::Fixed), (3, 3));
            assert_eq!(padding(size, 3, 1, Padding::Fixed), (1, 1));
        }
    }
}
