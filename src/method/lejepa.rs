//! Settings of LeJEPA: one trade-off, no teacher, no moving average, no stopped gradient.

use serde::{Deserialize, Serialize};

use super::{Adam, MethodError, Schedule};

/// Settings of `lejepa`. The embedding is `z_mean`: the encoder's own MLP is the projector, so that the same encoder comes
/// out as from BigBiGAN, whose latent vectors are standard normal too. `z_stdev` is not trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeJepa {
    /// Weight of the distribution against agreement, between 0 and 1. Default: 0.05.
    pub lambda: f64,
    /// Augmented views of each image. Default: 4.
    pub views: usize,
    /// Random directions of each step. Default: 256.
    pub directions: usize,
    /// Points at which characteristic functions are compared, from 0 to `reach`. Default: 17.
    pub knots: usize,
    /// The largest of them. Default: 3, as in the authors' short program; the paper's text has 5.
    pub reach: f64,
    /// Default: lr 1e-3, weight decay 0.05.
    pub adam: Adam,
    /// Default: cosine with a rise of 200 steps.
    pub schedule: Schedule,
    /// Largest norm of the gradient; 0 leaves it as it is. Default: 0.
    pub clip: f64,
    /// Batches whose gradients are averaged before a step. Default: 1.
    pub accumulate: usize,
}

impl Default for LeJepa {
    fn default() -> Self {
        Self {
            lambda: 0.05,
            views: 4,
            directions: 256,
            knots: 17,
            reach: 3.0,
            adam: Adam {
                lr: 1e-3,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.05,
            },
            schedule: Schedule::Cosine {
                warmup: 200,
                floor: 0.0,
            },
            clip: 0.0,
            accumulate: 1,
        }
    }
}

impl LeJepa {
    pub(super) fn check(&self) -> Result<(), MethodError> {
        let out = |field, found, expected| Err(MethodError::OutOfRange { field, found, expected });
        if !(self.lambda > 0.0 && self.lambda < 1.0) {
            return out("lambda", self.lambda, "a number between 0 and 1");
        }
        for (field, found, low, expected) in [
            ("views", self.views, 2, "at least 2: one view agrees with itself"),
            ("directions", self.directions, 1, "at least 1"),
            ("knots", self.knots, 2, "at least 2"),
            ("accumulate", self.accumulate, 1, "at least 1"),
        ] {
            if found < low {
                return out(field, found as f64, expected);
            }
        }
        if !(self.reach > 0.0 && self.reach.is_finite()) {
            return out("reach", self.reach, "a number above 0");
        }
        if self.clip.is_nan() || self.clip < 0.0 {
            return out("clip", self.clip, "0 or more");
        }
        self.schedule.check()?;
        self.adam.check("adam")
    }
}
