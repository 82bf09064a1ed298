//! The exponential moving average of a network's weights, which is what is kept of a generator or an encoder.

use tch::Tensor;

use super::{Parameters, layout};
use crate::torch::{TorchError, weights::WeightMap};

/// The average of one [`Parameters`]: `average = decay * average + (1 - decay) * weights` after every step.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    start: u64,
    average: Tensor,
    views: WeightMap,
}

impl Ema {
    /// A copy of the weights. Before the step `start` it stays one.
    ///
    /// # Errors
    ///
    /// When there is no room.
    pub fn new(parameters: &Parameters, decay: f64, start: u64) -> Result<Self, TorchError> {
        let layout = parameters.layout();
        let mut average = layout.zeros(parameters.values().device())?;
        average.f_copy_(parameters.values())?;
        let views = layout.views(&average)?;
        Ok(Self {
            decay,
            start,
            average,
            views,
        })
    }

    /// Follows the weights after the step numbered `step`.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn update(&mut self, parameters: &Parameters, step: u64) -> Result<(), TorchError> {
        if step < self.start {
            self.average.f_copy_(parameters.values())?;
        } else {
            let _ = self.average.f_lerp_(parameters.values(), 1.0 - self.decay)?;
        }
        Ok(())
    }

    /// The averaged tensors by name, which is all that there is to be stored. They share memory with the average: a network
    /// that is built on them follows every update.
    pub fn views(&self) -> &WeightMap {
        &self.views
    }

    /// Goes on from what [`views`](Self::views) gave.
    ///
    /// # Errors
    ///
    /// When the tensors are not exactly those that `views` gives: every wrong one is named, and nothing is changed.
    pub fn load(&mut self, tensors: &WeightMap) -> Result<(), TorchError> {
        layout::copy("averaged weights", tensors, &self.views)
    }
}
