//! Adam and its learning rate over time.

use serde::{Deserialize, Serialize};

use super::MethodError;

/// Settings of Adam, Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>; with `weight_decay` above 0 it is AdamW,
/// <https://arxiv.org/abs/1711.05101>.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    /// Learning rate at its height.
    pub lr: f64,
    /// Memory of the mean gradient. Default: 0.9; BigBiGAN's is 0.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// Memory of the mean square. Default: 0.999.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// Added to the root of the mean square. Default: 1e-8.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Decoupled weight decay. Default: 0.
    #[serde(default)]
    pub weight_decay: f64,
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.999
}

fn epsilon() -> f64 {
    1e-8
}

impl Adam {
    /// The defaults at a learning rate; they are PyTorch's.
    pub fn at(lr: f64) -> Self {
        Self {
            lr,
            beta1: beta1(),
            beta2: beta2(),
            epsilon: epsilon(),
            weight_decay: 0.0,
        }
    }

    pub(super) fn check(&self, field: &'static str) -> Result<(), MethodError> {
        let out = |found, expected| Err(MethodError::OutOfRange { field, found, expected });
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return out(self.lr, "a learning rate above 0");
        }
        for beta in [self.beta1, self.beta2] {
            if !(0.0..1.0).contains(&beta) {
                return out(beta, "betas from 0 to below 1");
            }
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return out(self.epsilon, "an epsilon above 0");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay * self.lr < 1.0) {
            return out(self.weight_decay, "a weight decay of 0 or more, below 1 / lr");
        }
        Ok(())
    }
}

/// The learning rate over time, as a share of its height. In a recipe `"constant"`, or `{ kind = "cosine", warmup = 200 }`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same, after an optional rise.
    #[default]
    Constant,
    /// A linear rise.
    Warmup {
        /// Steps until the height is reached.
        steps: u64,
    },
    /// A linear rise, then half a cosine down to `floor`.
    Cosine {
        /// Steps of the rise. Default: 0.
        #[serde(default)]
        warmup: u64,
        /// What is left at the last step, as a share. Default: 0.
        #[serde(default)]
        floor: f64,
    },
    /// Halved (or multiplied by `factor`) every so many steps.
    Step {
        /// Steps between two drops.
        every: u64,
        /// What each drop leaves. Default: 0.5.
        #[serde(default = "half")]
        factor: f64,
    },
}

fn half() -> f64 {
    0.5
}

impl Schedule {
    /// The share of the learning rate at `step` (from 0) of `steps`.
    ///
    /// ```
    /// use hounsfield::method::Schedule;
    /// let cosine = Schedule::Cosine { warmup: 10, floor: 0.0 };
    /// assert_eq!(cosine.share(4, 110), 0.5);
    /// assert_eq!(cosine.share(10, 110), 1.0);
    /// assert!((cosine.share(60, 110) - 0.5).abs() < 1e-12);
    /// ```
    pub fn share(self, step: u64, steps: u64) -> f64 {
        let rise = |warmup: u64| (step + 1) as f64 / warmup as f64;
        match self {
            Self::Constant => 1.0,
            Self::Warmup { steps } if step < steps => rise(steps),
            Self::Warmup { .. } => 1.0,
            Self::Cosine { warmup, .. } if step < warmup => rise(warmup),
            Self::Cosine { warmup, floor } => {
                let fall = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * fall.min(1.0)).cos())
            }
            Self::Step { every, factor } => factor.powf((step / every.max(1)) as f64),
        }
    }

    pub(super) fn check(self) -> Result<(), MethodError> {
        let out = |field, found, expected| Err(MethodError::OutOfRange { field, found, expected });
        match self {
            Self::Cosine { floor, .. } if !(0.0..=1.0).contains(&floor) => out("schedule.floor", floor, "0 to 1"),
            Self::Step { every: 0, .. } => out("schedule.every", 0.0, "at least 1"),
            Self::Step { factor, .. } if !(factor > 0.0 && factor <= 1.0) => {
                out("schedule.factor", factor, "above 0, at most 1")
            }
            _ => Ok(()),
        }
    }
}
