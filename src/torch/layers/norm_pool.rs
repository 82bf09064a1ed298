//! What stands between the convolutions of networks of scans: batch norm, ReLU, max pooling.

use tch::Tensor;

use super::{
    super::{
        TorchError,
        ffi::{self, Input},
    },
    BatchNorm, Conv3d, Statistics,
};

/// Batch norm and ReLU.
///
/// # Shapes
///
/// - `x` and output: `[N, C, D, H, W]`
///
/// # Errors
///
/// What libtorch says, e.g. for want of memory.
pub fn norm_relu(x: &Tensor, norm: &BatchNorm, statistics: Statistics) -> Result<Tensor, TorchError> {
    // In place: the gradient of a batch norm needs its input, not what it gave.
    Ok(norm.try_forward(x, statistics)?.f_relu_()?)
}

/// Batch norm, ReLU, and max pooling of 2 x 2 x 2; an odd end is dropped. On the processor it is one operation, which keeps of a
/// training step what enters it and a byte a window.
///
/// # Shapes
///
/// - `x`: `[N, C, D, H, W]`
/// - output: `[N, C, D / 2, H / 2, W / 2]`, rounded down
///
/// # Errors
///
/// As [`norm_relu`].
pub fn norm_relu_pool(x: &Tensor, norm: &BatchNorm, statistics: Statistics) -> Result<Tensor, TorchError> {
    fused_or_plain(x, norm, statistics, Input::Kept)
}

/// A convolution, then as [`norm_relu_pool`]. On the processor, what a 3 x 3 x 3 convolution of one channel gives is neither kept
/// nor made, and that of others is overwritten by its gradient.
///
/// # Shapes
///
/// - `x`: `[N, C, D, H, W]`
/// - output: `[N, O, D / 2, H / 2, W / 2]`, rounded down
///
/// # Errors
///
/// As [`norm_relu`].
pub fn conv_norm_relu_pool(
    x: &Tensor,
    conv: &Conv3d,
    norm: &BatchNorm,
    statistics: Statistics,
) -> Result<Tensor, TorchError> {
    if let Some(weight) = conv.cube_of_three()
        && let Some(y) = norm.fused(statistics, values(x), |norm, of_batch| {
            ffi::conv_norm_relu_pool(x, weight, norm, of_batch)
        })?
    {
        return Ok(y);
    }
    fused_or_plain(&conv.forward(x)?, norm, statistics, Input::Consumed)
}

fn fused_or_plain(x: &Tensor, norm: &BatchNorm, statistics: Statistics, input: Input) -> Result<Tensor, TorchError> {
    let fused = norm.fused(statistics, values(x), |norm, of_batch| {
        ffi::norm_relu_pool(x, norm, of_batch, input)
    })?;
    match fused {
        Some(y) => Ok(y),
        None => pool(&norm_relu(x, norm, statistics)?),
    }
}

/// How many values of a channel a batch has; a convolution keeps it.
fn values(x: &Tensor) -> i64 {
    let size = x.size();
    size.iter().product::<i64>() / size[1].max(1)
}

/// Max pooling of 2 x 2 x 2; an odd end is dropped.
///
/// # Shapes
///
/// - `x`: `[N, C, D, H, W]`
/// - output: `[N, C, D / 2, H / 2, W / 2]`, rounded down
///
/// # Errors
///
/// As [`norm_relu`].
pub fn pool(x: &Tensor) -> Result<Tensor, TorchError> {
    Ok(x.f_max_pool3d([2; 3], [2; 3], [0; 3], [1; 3], false)?)
}

#[cfg(test)]
mod tests;
