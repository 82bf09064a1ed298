//! What stands between the convolutions of networks of scans: batch norm, ReLU, max pooling.

use tch::Tensor;

use super::{super::TorchError, BatchNorm, Statistics};

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

/// Batch norm, ReLU, and max pooling of 2 x 2 x 2; an odd end is dropped.
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
    pool(&norm_relu(x, norm, statistics)?)
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
