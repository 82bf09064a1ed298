//! Adam, Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>, with the decoupled weight decay of AdamW, Loshchilov and
//! Hutter 2019, <https://arxiv.org/abs/1711.05101>.

use tch::Tensor;

use super::{
    Parameters,
    layout::{self, Layout},
};
use crate::torch::{TorchError, ffi, weights::WeightMap};

/// Settings of Adam. The learning rate is an argument of every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamConfig {
    /// Memory of the mean gradient. At 0 there is none, and none is stored.
    pub beta1: f64,
    /// Memory of the mean square.
    pub beta2: f64,
    /// Added to the root of the mean square, after its correction for the start at zero.
    pub epsilon: f64,
    /// Share of the weights that a step at learning rate 1 takes off, apart from the gradient; 0 is plain Adam.
    pub weight_decay: f64,
}

/// The optimiser of one [`Parameters`].
///
/// ```no_run
/// use hounsfield::torch::train::{Adam, AdamConfig, Parameters};
/// # fn main() -> Result<(), hounsfield::torch::TorchError> {
/// # let mut parameters: Parameters = todo!();
/// # let loss: tch::Tensor = todo!();
/// let config = AdamConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };
/// let mut adam = Adam::new(&parameters, config)?;
/// parameters.zero_grad()?;
/// loss.backward();
/// adam.step(&mut parameters, 1e-3)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    layout: Layout,
    steps: u64,
    /// `None` when beta1 is 0: then it is the gradient itself.
    exp_avg: Option<Tensor>,
    exp_avg_sq: Tensor,
}

impl Adam {
    /// An optimiser that has made no step.
    ///
    /// # Errors
    ///
    /// When there is no room.
    pub fn new(parameters: &Parameters, config: AdamConfig) -> Result<Self, TorchError> {
        let layout = parameters.layout().clone();
        let device = parameters.values().device();
        let exp_avg = match config.beta1 {
            0.0 => None,
            _ => Some(layout.zeros(device)?),
        };
        let exp_avg_sq = layout.zeros(device)?;
        Ok(Self {
            config,
            layout,
            steps: 0,
            exp_avg,
            exp_avg_sq,
        })
    }

    /// Moves the parameters against their gradients, with the learning rate `lr`. They must be those that it was made for.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn step(&mut self, parameters: &mut Parameters, lr: f64) -> Result<(), TorchError> {
        self.steps += 1;
        let gradient = parameters.gradient().shallow_clone();
        ffi::adam(
            parameters.values_mut(),
            &gradient,
            self.exp_avg.as_ref().unwrap_or(&gradient),
            &self.exp_avg_sq,
            self.steps,
            lr,
            &self.config,
        )
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The running means by name, `exp_avg.NAME` and `exp_avg_sq.NAME`, as PyTorch calls them; without the former when beta1
    /// is 0. They share memory with the optimiser's.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn state(&self) -> Result<WeightMap, TorchError> {
        let mut state = WeightMap::new();
        let means = [
            ("exp_avg", self.exp_avg.as_ref()),
            ("exp_avg_sq", Some(&self.exp_avg_sq)),
        ];
        for (mean, buffer) in means {
            let Some(buffer) = buffer else { continue };
            let views = self.layout.views(buffer)?;
            state.extend(views.into_iter().map(|(name, view)| (format!("{mean}.{name}"), view)));
        }
        Ok(state)
    }

    /// Goes on from what [`state`](Self::state) gave after `steps` steps.
    ///
    /// # Errors
    ///
    /// When the tensors are not exactly those that `state` gives: every wrong one is named, and nothing is changed.
    pub fn load_state(&mut self, state: &WeightMap, steps: u64) -> Result<(), TorchError> {
        layout::copy("running means of Adam", state, &self.state()?)?;
        self.steps = steps;
        Ok(())
    }
}
