//! `norm_pool.cpp` and `stem.cpp`: levels of networks of scans in one operation, on the processor.

use std::{ffi::c_int, ptr};

use tch::Tensor;
use torch_sys::C_tensor;

use super::{TorchError, last_error, tensor};

unsafe extern "C" {
    fn hf_norm_relu_pool(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        mean: *const C_tensor,
        variance: *const C_tensor,
        batch: c_int,
        epsilon: f64,
        consume: c_int,
        out: *mut *mut C_tensor,
    ) -> c_int;
    fn hf_conv_norm_relu_pool(
        x: *const C_tensor,
        w: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        mean: *const C_tensor,
        variance: *const C_tensor,
        batch: c_int,
        epsilon: f64,
        out: *mut *mut C_tensor,
    ) -> c_int;
}

/// What a batch norm knows, all `[C]`.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Scale.
    pub weight: &'a Tensor,
    /// Offset.
    pub bias: &'a Tensor,
    /// The stored mean.
    pub mean: &'a Tensor,
    /// The stored variance.
    pub variance: &'a Tensor,
    /// Added to the variance.
    pub epsilon: f64,
}

/// What came out.
#[derive(Debug)]
pub struct Pooled {
    /// `[N, C, D / 2, H / 2, W / 2]`, channels innermost.
    pub y: Tensor,
    /// Mean and biased variance of the batch, `[C]`, where these were asked for.
    pub moments: Option<(Tensor, Tensor)>,
}

/// Whether what enters may be written over by the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// It stays as it is.
    Kept,
    /// Nobody else needs it; backward runs once.
    Consumed,
}

/// Batch norm with stored statistics or with those `of_batch`, ReLU, and max pooling over 2 x 2 x 2. `None` where this is for
/// libtorch's own operators: on other devices than the processor, in other precisions than 32-bit floats and bfloat16, and for
/// the gradient with stored statistics.
///
/// # Shapes
///
/// - `x`: `[N, C, D, H, W]`, fastest where the channels are innermost
///
/// # Errors
///
/// When there is no memory.
pub fn norm_relu_pool(x: &Tensor, norm: Norm, of_batch: bool, input: Input) -> Result<Option<Pooled>, TorchError> {
    let mut out = [ptr::null_mut(); 3];
    // SAFETY: the pointers are valid for the call; at most three tensors come back, which nobody else owns.
    let status = unsafe {
        hf_norm_relu_pool(
            x.as_ptr(),
            norm.weight.as_ptr(),
            norm.bias.as_ptr(),
            norm.mean.as_ptr(),
            norm.variance.as_ptr(),
            c_int::from(of_batch),
            norm.epsilon,
            c_int::from(input == Input::Consumed),
            out.as_mut_ptr(),
        )
    };
    pooled(status, out)
}

/// As [`norm_relu_pool`] of a convolution without bias, which never stands in memory. `None` also where `x` needs a gradient.
///
/// # Shapes
///
/// - `x`: `[N, 1, D, H, W]`; `w`: `[C, 1, 3, 3, 3]`
///
/// # Errors
///
/// As [`norm_relu_pool`].
pub fn conv_norm_relu_pool(x: &Tensor, w: &Tensor, norm: Norm, of_batch: bool) -> Result<Option<Pooled>, TorchError> {
    let mut out = [ptr::null_mut(); 3];
    // SAFETY: as above.
    let status = unsafe {
        hf_conv_norm_relu_pool(
            x.as_ptr(),
            w.as_ptr(),
            norm.weight.as_ptr(),
            norm.bias.as_ptr(),
            norm.mean.as_ptr(),
            norm.variance.as_ptr(),
            c_int::from(of_batch),
            norm.epsilon,
            out.as_mut_ptr(),
        )
    };
    pooled(status, out)
}

fn pooled(status: c_int, [y, mean, variance]: [*mut C_tensor; 3]) -> Result<Option<Pooled>, TorchError> {
    match status {
        0 => {}
        1 => return Ok(None),
        _ => return Err(last_error()),
    }
    let moments = match mean.is_null() {
        true => None,
        false => Some((tensor(mean)?, tensor(variance)?)),
    };
    Ok(Some(Pooled { y: tensor(y)?, moments }))
}
