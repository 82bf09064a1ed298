//! Batch norm with stored or with batch statistics.

use tch::Tensor;

use super::Scope;

/// Which mean and variance a batch norm divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Statistics {
    /// Those that came with the weights.
    #[default]
    Stored,
    /// Those of the batch itself; the variance is the biased one. The stored ones are left as they are.
    Batch,
}

/// A batch norm over all axes but the second.
#[derive(Debug)]
pub struct BatchNorm {
    affine: Option<(Tensor, Tensor)>,
    mean: Tensor,
    variance: Tensor,
    epsilon: f64,
}

impl BatchNorm {
    /// Reads `running_mean` and `running_var` at `scope`, and `weight` and `bias` where they are there, all `[C]`.
    pub fn new(scope: &Scope, epsilon: f64) -> Self {
        let affine = scope
            .has("weight")
            .then(|| (scope.tensor("weight"), scope.tensor("bias")));
        Self {
            affine,
            mean: scope.tensor("running_mean"),
            variance: scope.tensor("running_var"),
            epsilon,
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[N, C]` or `[N, C, H, W]`
    pub fn forward(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        let (weight, bias) = self.affine.as_ref().map(|(w, b)| (w, b)).unzip();
        let (mean, variance, batch) = match statistics {
            Statistics::Stored => (Some(&self.mean), Some(&self.variance), false),
            Statistics::Batch => (None, None, true),
        };
        x.batch_norm(weight, bias, mean, variance, batch, 0.0, self.epsilon, true)
    }

    /// With stored statistics a batch norm is `x * scale + shift`; both `[C]`, in double precision.
    pub fn scale_and_shift(&self) -> (Tensor, Tensor) {
        let double = |t: &Tensor| t.detach().to_kind(tch::Kind::Double);
        let unit = (double(&self.variance) + self.epsilon).rsqrt();
        match &self.affine {
            Some((weight, bias)) => {
                let scale = double(weight) * unit;
                let shift = double(bias) - double(&self.mean) * &scale;
                (scale, shift)
            }
            None => {
                let shift = -double(&self.mean) * &unit;
                (unit, shift)
            }
        }
    }
}
