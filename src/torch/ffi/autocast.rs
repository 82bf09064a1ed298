//! Autocast: matrix products and convolutions in half the precision, on the CPU and on CUDA. tch's knows CUDA and Half only.

use std::{
    ffi::{c_int, c_void},
    marker::PhantomData,
};

use tch::{Device, Kind};

use super::{TorchError, last_error};

unsafe extern "C" {
    fn hf_autocast_enter(cuda: c_int, enabled: c_int, bfloat16: c_int) -> *mut c_void;
    fn hf_autocast_exit(guard: *mut c_void);
}

/// While it lives, libtorch picks the precision of each operation on a device. Guards may stand inside each other and end
/// in the opposite order; the last one also forgets the weights that were cast, so a step of an optimiser belongs outside.
#[derive(Debug)]
pub struct Autocast {
    guard: *mut c_void,
    // The mode is the thread's: the guard must end on the thread that began it.
    _thread: PhantomData<*const ()>,
}

impl Autocast {
    /// Matrix products and convolutions on the device are in `kind`, `BFloat16` or `Half`; sums and losses stay in 32 bits.
    ///
    /// # Errors
    ///
    /// When `kind` is another one.
    pub fn enter(device: Device, kind: Kind) -> Result<Self, TorchError> {
        match kind {
            Kind::BFloat16 | Kind::Half => Self::new(device, true, kind == Kind::BFloat16),
            found => Err(TorchError::AutocastKind { found }),
        }
    }

    /// An island inside of it, where every operation is in the precision of what it is given.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn off(device: Device) -> Result<Self, TorchError> {
        Self::new(device, false, true)
    }

    fn new(device: Device, enabled: bool, bfloat16: bool) -> Result<Self, TorchError> {
        let [cuda, enabled, bfloat16] = [device.is_cuda(), enabled, bfloat16].map(c_int::from);
        // SAFETY: plain numbers; a null pointer is a failure.
        let guard = unsafe { hf_autocast_enter(cuda, enabled, bfloat16) };
        if guard.is_null() {
            return Err(last_error());
        }
        Ok(Self {
            guard,
            _thread: PhantomData,
        })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: made by `new` on this thread, ended once.
        unsafe { hf_autocast_exit(self.guard) }
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    fn product() -> Kind {
        let x = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        x.matmul(&x).kind()
    }

    #[test]
    fn products_are_in_half_the_precision_inside_only() {
        assert_eq!(product(), Kind::Float);
        for kind in [Kind::BFloat16, Kind::Half] {
            let _outer = Autocast::enter(Device::Cpu, kind).unwrap();
            assert_eq!(product(), kind);
            {
                let _island = Autocast::off(Device::Cpu).unwrap();
                assert_eq!(product(), Kind::Float);
                let _inner = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
                assert_eq!(product(), Kind::BFloat16);
            }
            assert_eq!(product(), kind);
        }
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn weights_that_were_cast_are_forgotten_outside() {
        let x = Tensor::ones([1, 1], (Kind::Float, Device::Cpu));
        let weight = Tensor::ones([1, 1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let product = || {
            let _guard = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
            x.matmul(&weight).double_value(&[0, 0])
        };
        assert_eq!(product(), 1.0);
        let _ = tch::no_grad(|| weight.shallow_clone().fill_(2.0));
        assert_eq!(product(), 2.0);
    }

    #[test]
    fn other_precisions_are_refused() {
        let error = Autocast::enter(Device::Cpu, Kind::Double).unwrap_err().to_string();
        assert!(error.contains("not in Double"), "{error}");
    }
}
