//! What enters batch norms, seen from outside: a graph is the one that weights were made for if it feeds each batch norm
//! what the stored statistics say.

use std::sync::{Arc, Mutex};

use tch::{Kind, Tensor};

/// Moments of what entered one batch norm, slice by slice.
#[derive(Debug)]
pub struct Entering {
    /// Which one, e.g. `encoder.stages.0.0.bn1`.
    pub site: String,
    /// `[N, C]`, the mean over positions.
    pub mean: Tensor,
    /// `[N, C]`, the biased variance over positions.
    pub variance: Tensor,
    /// `[C]` each, the stored mean and variance.
    pub stored: (Tensor, Tensor),
}

/// Collects what enters the batch norms of a network that was built under it, in the order in which they run.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Vec<Entering>>>);

impl Watch {
    /// What entered since the last call.
    pub fn take(&self) -> Vec<Entering> {
        std::mem::take(&mut self.seen())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Entering>> {
        // A list of tensors is whole whatever became of the thread that pushed to it.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A batch norm's place under a watch.
#[derive(Debug)]
pub(super) struct Site {
    pub name: String,
    pub watch: Watch,
}

impl Site {
    /// Notes the moments of `x`, `[N, C]` or `[N, C, H, W]`.
    pub fn note(&self, x: &Tensor, (mean, variance): (&Tensor, &Tensor)) {
        let _no_gradients = tch::no_grad_guard();
        let x = x.to_kind(Kind::Float);
        let (own_variance, own_mean) = match x.dim() {
            2 => (x.zeros_like(), x),
            _ => x.var_mean_correction([2i64, 3].as_slice(), 0, false),
        };
        self.watch.seen().push(Entering {
            site: self.name.clone(),
            mean: own_mean,
            variance: own_variance,
            stored: (mean.shallow_clone(), variance.shallow_clone()),
        });
    }
}
