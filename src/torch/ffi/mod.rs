//! Safe wrappers of the C++ files beside this one: what tch lacks, reached through libtorch's own C++ interface.

mod autocast;
mod cuda;
#[cfg(target_os = "linux")]
mod library;
mod norm_pool;
mod trace;

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    marker::PhantomData,
    ptr,
};

use tch::Tensor;
use torch_sys::C_tensor;

pub use autocast::Autocast;
pub use cuda::{Cuda, cuda_free_memory, load_cuda};
#[cfg(target_os = "linux")]
pub use library::libtorch_path;
pub use norm_pool::{Input, Norm, Pooled, conv_norm_relu_pool, norm_relu_pool};
pub use trace::{Recording, trace};

use super::{TorchError, train::AdamConfig};

unsafe extern "C" {
    fn hf_last_error() -> *const c_char;
    fn hf_torch_version() -> *const c_char;
    fn hf_full_float32() -> c_int;
    fn hf_channels_last(t: *const C_tensor) -> *mut C_tensor;
    fn hf_is_channels_last(t: *const C_tensor) -> c_int;
    fn hf_inference_enter() -> *mut c_void;
    fn hf_inference_exit(guard: *mut c_void);
    fn hf_conv(
        x: *const C_tensor,
        w: *const C_tensor,
        b: *const C_tensor,
        pad: i64,
        stride: i64,
        relu: c_int,
    ) -> *mut C_tensor;
    fn hf_conv_add(
        sum: *const C_tensor,
        x: *const C_tensor,
        w: *const C_tensor,
        b: *const C_tensor,
        pad: i64,
        stride: i64,
    ) -> c_int;
    fn hf_conv_prepack(w: *const C_tensor, pad: i64, stride: i64, size: *const i64) -> *mut C_tensor;
    fn hf_scale_shift(x: *const C_tensor, scale: *const C_tensor, shift: *const C_tensor, relu: c_int)
    -> *mut C_tensor;
    fn hf_set_grad(t: *const C_tensor, grad: *const C_tensor) -> c_int;
    fn hf_adam(
        values: *const C_tensor,
        grad: *const C_tensor,
        exp_avg: *const C_tensor,
        exp_avg_sq: *const C_tensor,
        step: f64,
        lr: f64,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        weight_decay: f64,
    ) -> c_int;
}

/// What the last failed call on this thread said.
fn last_error() -> TorchError {
    // SAFETY: the pointer is to a thread-local string that lives until the next failure on this thread.
    let text = unsafe { CStr::from_ptr(hf_last_error()) };
    // libtorch appends notes and stack traces on further lines.
    let first = text.to_string_lossy().lines().next().unwrap_or_default().to_owned();
    TorchError::Libtorch { what: first }
}

fn tensor(pointer: *mut C_tensor) -> Result<Tensor, TorchError> {
    if pointer.is_null() {
        return Err(last_error());
    }
    // SAFETY: a pointer that is not null is a tensor on the heap that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(pointer) })
}

fn done(status: c_int) -> Result<(), TorchError> {
    match status {
        0 => Ok(()),
        _ => Err(last_error()),
    }
}

fn optional(t: Option<&Tensor>) -> *const C_tensor {
    t.map_or(ptr::null(), Tensor::as_ptr)
}

/// From now on convolutions and products of 32-bit floats keep 23 bits of mantissa on CUDA too, where libtorch's default are 10
/// (TF32) in convolutions.
pub fn full_float32() -> Result<(), TorchError> {
    // SAFETY: no arguments.
    done(unsafe { hf_full_float32() })
}

/// The libtorch version that this build belongs to, e.g. `2.13.0`.
pub fn torch_version() -> String {
    // SAFETY: a constant string.
    unsafe { CStr::from_ptr(hf_torch_version()) }
        .to_string_lossy()
        .into_owned()
}

/// The same `[N, C, H, W]` values with the channels innermost in memory; shared when they already are.
pub fn channels_last(t: &Tensor) -> Result<Tensor, TorchError> {
    // SAFETY: the pointer is valid for the call, as everywhere below.
    tensor(unsafe { hf_channels_last(t.as_ptr()) })
}

/// Whether the channels are innermost in memory.
pub fn is_channels_last(t: &Tensor) -> bool {
    // SAFETY: as above.
    unsafe { hf_is_channels_last(t.as_ptr()) == 1 }
}

/// While it lives, this thread records no gradients and no versions of tensors. Tensors made under it can never enter a
/// gradient.
#[derive(Debug)]
pub struct InferenceMode {
    guard: *mut c_void,
    // The mode is the thread's: the guard must end on the thread that began it.
    _thread: PhantomData<*const ()>,
}

impl InferenceMode {
    /// Begins it.
    pub fn enter() -> Result<Self, TorchError> {
        // SAFETY: no arguments; a null pointer is a failure.
        let guard = unsafe { hf_inference_enter() };
        if guard.is_null() {
            Err(last_error())
        } else {
            Ok(Self {
                guard,
                _thread: PhantomData,
            })
        }
    }
}

impl Drop for InferenceMode {
    fn drop(&mut self) {
        // SAFETY: made by `enter` on this thread, ended once.
        unsafe { hf_inference_exit(self.guard) }
    }
}

/// oneDNN's convolution with bias and ReLU in one pass.
///
/// # Shapes
///
/// - `x`: `[N, C, H, W]`, float, CPU
/// - `w`: `[O, C, k, k]`, plain or from [`conv_prepack`]; `b`: `[O]`
/// - output: `[N, O, H', W']`
pub fn conv(
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    pad: i64,
    stride: i64,
    relu: bool,
) -> Result<Tensor, TorchError> {
    // SAFETY: as above.
    tensor(unsafe { hf_conv(x.as_ptr(), w.as_ptr(), optional(b), pad, stride, c_int::from(relu)) })
}

/// Adds a convolution to `sum` in place; shapes as in [`conv`].
pub fn conv_add(
    sum: &mut Tensor,
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    pad: i64,
    stride: i64,
) -> Result<(), TorchError> {
    // SAFETY: as above; `sum` is borrowed exclusively.
    done(unsafe { hf_conv_add(sum.as_ptr(), x.as_ptr(), w.as_ptr(), optional(b), pad, stride) })
}

/// A convolution's weight in the layout that oneDNN wants for inputs of `size` `[N, C, H, W]`. Other sizes still work.
pub fn conv_prepack(w: &Tensor, pad: i64, stride: i64, size: [i64; 4]) -> Result<Tensor, TorchError> {
    // SAFETY: as above; four numbers are read.
    tensor(unsafe { hf_conv_prepack(w.as_ptr(), pad, stride, size.as_ptr()) })
}

/// `x * scale + shift` a channel, then ReLU if asked for, in one pass.
///
/// # Shapes
///
/// - `x`: `[N, C, H, W]`, float, CPU, channels-last; `scale`, `shift`: `[C]`
/// - output: `[N, C, H, W]`, channels-last
pub fn scale_shift(x: &Tensor, scale: &Tensor, shift: &Tensor, relu: bool) -> Result<Tensor, TorchError> {
    // SAFETY: as above.
    tensor(unsafe { hf_scale_shift(x.as_ptr(), scale.as_ptr(), shift.as_ptr(), c_int::from(relu)) })
}

/// Makes `grad` the gradient of a leaf: `backward` adds to it in place.
pub fn set_grad(t: &Tensor, grad: &Tensor) -> Result<(), TorchError> {
    // SAFETY: as above.
    done(unsafe { hf_set_grad(t.as_ptr(), grad.as_ptr()) })
}

/// One step of Adam in one pass over memory, numbered from 1. `values`, `exp_avg` and `exp_avg_sq` are changed in place;
/// with beta1 = 0 `exp_avg` may be the gradient itself.
///
/// # Shapes
///
/// All alike, float, on one device.
pub fn adam(
    values: &mut Tensor,
    grad: &Tensor,
    exp_avg: &Tensor,
    exp_avg_sq: &Tensor,
    step: u64,
    lr: f64,
    config: &AdamConfig,
) -> Result<(), TorchError> {
    // SAFETY: as above; the running means are the optimiser's own.
    done(unsafe {
        hf_adam(
            values.as_ptr(),
            grad.as_ptr(),
            exp_avg.as_ptr(),
            exp_avg_sq.as_ptr(),
            step as f64,
            lr,
            config.beta1,
            config.beta2,
            config.epsilon,
            config.weight_decay,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_shape_that_does_not_fit_is_an_error_and_no_crash() {
        let x = Tensor::zeros([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        let w = Tensor::zeros([4, 5, 3, 3], (Kind::Float, Device::Cpu));
        assert!(matches!(
            conv(&x, &w, None, 1, 1, true),
            Err(TorchError::Libtorch { .. })
        ));
        assert!(conv_add(&mut x.copy(), &x, &w, None, 1, 1).is_err());
        assert!(scale_shift(&x, &w, &w, false).is_err());
    }

    #[test]
    fn scaling_and_shifting_is_what_the_words_say() {
        let x = channels_last(&Tensor::randn([2, 19, 5, 3], (Kind::Float, Device::Cpu))).unwrap();
        let (s, b) = (
            Tensor::randn([19], (Kind::Float, Device::Cpu)),
            Tensor::randn([19], (Kind::Float, Device::Cpu)),
        );
        let plain = &x * s.reshape([1, 19, 1, 1]) + b.reshape([1, 19, 1, 1]);
        for relu in [false, true] {
            let want = if relu { plain.relu() } else { plain.copy() };
            let got = scale_shift(&x, &s, &b, relu).unwrap();
            assert!(is_channels_last(&got));
            let difference = (got - want).abs().max().double_value(&[]);
            assert!(difference < 1e-6, "differs by {difference}");
        }
    }

    #[test]
    fn a_gradient_of_another_shape_is_refused() {
        let leaf = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        assert!(set_grad(&leaf, &Tensor::zeros([3, 2], (Kind::Float, Device::Cpu))).is_err());
        assert!(set_grad(&leaf, &Tensor::zeros([2, 3], (Kind::Double, Device::Cpu))).is_err());
        assert!(!leaf.grad().defined());
    }

    #[test]
    fn not_a_number_passes_through_the_relu() {
        let x = channels_last(&Tensor::full([1, 8, 1, 1], f64::NAN, (Kind::Float, Device::Cpu))).unwrap();
        let one = Tensor::ones([8], (Kind::Float, Device::Cpu));
        assert!(
            scale_shift(&x, &one, &one, true)
                .unwrap()
                .isnan()
                .all()
                .int64_value(&[])
                == 1
        );
    }
}
