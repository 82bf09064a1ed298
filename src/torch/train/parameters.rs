//! The trained tensors of a network in one flat buffer, and their gradients in another.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::layout::{self, Layout, Memory, ROW};
use crate::torch::{TorchError, ffi, weights::WeightMap};

/// What an optimiser changes: leaves that a network is built on, and the gradients that `backward` adds to.
///
/// A graph that was recorded before a step of an optimiser refuses to run backward after it: libtorch sees that the leaves
/// have changed.
///
/// ```no_run
/// use hounsfield::torch::train::{Memory, Parameters};
/// use tch::{Device, Kind, Tensor};
/// # fn main() -> Result<(), hounsfield::torch::TorchError> {
/// let weight = Tensor::ones([2, 3], (Kind::Float, Device::Cpu));
/// let tensors = [("linear.weight".to_owned(), weight)].into();
/// let mut parameters = Parameters::new(&tensors, Device::Cpu, Memory::Plain)?;
/// parameters.views()["linear.weight"].sum(Kind::Float).backward();
/// assert!((parameters.grad_norm()? - 6.0_f64.sqrt()).abs() < 1e-6);
/// parameters.zero_grad()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Parameters {
    layout: Layout,
    values: Tensor,
    gradient: Tensor,
    views: WeightMap,
    gradients: WeightMap,
}

impl Parameters {
    /// Copies the tensors to `device`; gradients start at zero.
    ///
    /// # Errors
    ///
    /// When a tensor is not of 32-bit floats, or libtorch has no room.
    pub fn new(tensors: &WeightMap, device: Device, memory: Memory) -> Result<Self, TorchError> {
        let layout = Layout::new(tensors, memory);
        let values = layout.zeros(device)?;
        let gradient = layout.zeros(device)?;
        let views = layout.views(&values)?;
        let gradients = layout.views(&gradient)?;
        layout::copy("tensors to train", tensors, &views)?;
        for (name, view) in &views {
            ffi::set_grad(&view.f_set_requires_grad(true)?, &gradients[name])?;
        }
        Ok(Self {
            layout,
            values,
            gradient,
            views,
            gradients,
        })
    }

    /// The leaves by name. They share the buffer's memory: a network that is built on them follows every step.
    pub fn views(&self) -> &WeightMap {
        &self.views
    }

    /// The gradients by name, shaped as the leaves; they share memory with what `backward` adds to.
    pub fn gradients(&self) -> &WeightMap {
        &self.gradients
    }

    /// Number of trained elements.
    pub fn count(&self) -> usize {
        self.layout.count()
    }

    /// Sets all gradients to zero.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn zero_grad(&mut self) -> Result<(), TorchError> {
        let _ = self.gradient.f_zero_()?;
        Ok(())
    }

    /// Euclidean norm of all gradients together.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn grad_norm(&self) -> Result<f64, TorchError> {
        // Over one long vector of floats libtorch loses squares: 0.8 % of the norm at 80 million normal elements. By rows it
        // is right to 1e-7, and takes no longer.
        let rows = self.gradient.f_view([-1, ROW])?; // [rows, ROW]
        let norms = rows.f_norm_scalaropt_dim(2, [1], false)?; // [rows]
        Ok(norms.f_norm_scalaropt_dtype(2, Kind::Double)?.f_double_value(&[])?)
    }

    /// Euclidean norm of each gradient, by name.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn grad_norms(&self) -> Result<BTreeMap<String, f64>, TorchError> {
        let mut norms = Vec::new();
        for gradient in self.gradients.values() {
            norms.push(gradient.f_norm_scalaropt_dtype(2, Kind::Double)?);
        }
        if norms.is_empty() {
            return Ok(BTreeMap::new());
        }
        // One transfer from the device instead of one a name.
        let norms = Vec::<f64>::try_from(Tensor::f_stack(&norms, 0)?.f_to_device(Device::Cpu)?)?;
        Ok(self.gradients.keys().cloned().zip(norms).collect())
    }

    /// Scales all gradients together so that their norm is at most `max_norm`, and returns the norm before, as
    /// `torch.nn.utils.clip_grad_norm_`. When that norm is not finite the gradients stay as they are, for
    /// [`not_finite`](Self::not_finite) to name.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn clip(&mut self, max_norm: f64) -> Result<f64, TorchError> {
        let norm = self.grad_norm()?;
        // PyTorch's guard against a norm of zero.
        let factor = max_norm / (norm + 1e-6);
        if norm.is_finite() && factor < 1.0 {
            let _ = self.gradient.f_mul_scalar_(factor)?;
        }
        Ok(norm)
    }

    /// Names of tensors that have NaN or infinity in their values or gradients.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn not_finite(&self) -> Result<Vec<String>, TorchError> {
        // Nearly always there are none, and one look at each buffer tells.
        if all_finite(&self.values)? && all_finite(&self.gradient)? {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for (name, view) in &self.views {
            if !(all_finite(view)? && all_finite(&self.gradients[name])?) {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn values(&self) -> &Tensor {
        &self.values
    }

    pub(super) fn values_mut(&mut self) -> &mut Tensor {
        &mut self.values
    }

    pub(super) fn gradient(&self) -> &Tensor {
        &self.gradient
    }
}

fn all_finite(t: &Tensor) -> Result<bool, TorchError> {
    Ok(t.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1)
}
