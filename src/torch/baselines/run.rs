//! What all networks of scans do in a forward pass.

use tch::{Kind, Tensor};

use super::Dropout;
use crate::torch::{
    TorchError,
    layers::{Linear, as_given, drop_out},
};

/// Checks that scans are `[N, 1, D, H, W]` of the network's size.
pub(super) fn check_scans(x: &Tensor, size: [usize; 3]) -> Result<(), TorchError> {
    let found = x.size();
    let [d, h, w] = size.map(|length| length as i64);
    match found.as_slice() {
        [n, 1, rest @ ..] if *n > 0 && *rest == [d, h, w] => Ok(()),
        _ => Err(TorchError::ScanShape { found, size }),
    }
}

/// The last layer of a network, in 32-bit floats whatever the others' precision: scores that are rounded to 8 bits would tie.
pub(super) fn outputs(layer: &Linear, features: &Tensor) -> Result<Tensor, TorchError> {
    let _as_given = as_given(features.device());
    layer.try_forward(&features.f_to_kind(Kind::Float)?)
}

impl Dropout {
    /// `x` with a share dropped, behind the layer of this name.
    pub(super) fn apply(self, x: &Tensor, share: f64, layer: &str) -> Result<Tensor, TorchError> {
        let purpose = format!("dropout/{}/{}/{layer}", self.step, self.part);
        drop_out(x, share, &mut crate::seed::stream(self.seed, &purpose))
    }
}
