//! Batch norm whose scale and offset are linear in a condition; BigGAN's, without a running average.

use tch::Tensor;

use super::{Linear, Scope, Statistics, batch_norm::normalise};

/// `normalise(x) * (1 + gain(c)) + bias(c)`; both maps are divided by their spectral norm.
#[derive(Debug)]
pub struct CondBatchNorm {
    gain: Linear,
    bias: Linear,
    mean: Tensor,
    variance: Tensor,
    epsilon: f64,
}

impl CondBatchNorm {
    /// Reads `gain` and `bias`, `[C, K]` each, and `running_mean` and `running_var`, `[C]` each, at `scope`.
    pub fn new(scope: &Scope, epsilon: f64) -> Self {
        Self {
            gain: Linear::new(&scope.at("gain")),
            bias: Linear::new(&scope.at("bias")),
            mean: scope.tensor("running_mean"),
            variance: scope.tensor("running_var"),
            epsilon,
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[N, C, H, W]`
    /// - `condition`: `[N, K]`
    pub fn forward(&self, x: &Tensor, condition: &Tensor, statistics: Statistics) -> Tensor {
        let per_channel = |t: Tensor| t.unsqueeze(-1).unsqueeze(-1); // [N, C, 1, 1]
        let gain = per_channel(self.gain.forward(condition) + 1.0);
        let bias = per_channel(self.bias.forward(condition));
        let x = normalise(x, (&self.mean, &self.variance), None, statistics, self.epsilon)
            .unwrap_or_else(|error| panic!("{error}"));
        bias.addcmul(&x, &gain)
    }
}
