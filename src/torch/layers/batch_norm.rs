//! Batch norm with stored or with batch statistics.

use tch::{Kind, Tensor};

use super::{
    super::{
        TorchError,
        ffi::{Norm, Pooled},
    },
    Scope,
    watch::Site,
};

/// Which mean and variance a batch norm divides by.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Statistics {
    /// Those that came with the weights.
    #[default]
    Stored,
    /// Those of the batch itself; the variance is the biased one. The stored ones are left as they are.
    Batch,
    /// Those of the batch, whose mean and biased variance are taken into the stored ones: after batches 0 to n - 1 these
    /// are the averages over all of them ("standing statistics" of BigGAN, Brock et al. 2018, section 3.1 and appendix B).
    Standing {
        /// How many batches went before.
        seen: usize,
    },
    /// Those of the batch, which the stored ones follow as PyTorch's do in training: `stored + momentum * (batch - stored)`, the
    /// variance that is followed being the unbiased one.
    Running {
        /// Share of the batch; PyTorch's default is 0.1.
        momentum: f64,
    },
}

/// `x` over its standard deviation, times a scale and with an offset where they are given.
///
/// # Shapes
///
/// - `x` and output: `[N, C]`, `[N, C, H, W]` or `[N, C, D, H, W]`
/// - `mean`, `variance`: `[C]`, the stored ones
pub(super) fn normalise(
    x: &Tensor,
    stored: (&Tensor, &Tensor),
    affine: Option<(&Tensor, &Tensor)>,
    statistics: Statistics,
    epsilon: f64,
) -> Result<Tensor, TorchError> {
    if let Statistics::Standing { seen } = statistics {
        take_in(x, stored, seen);
    }
    let (weight, bias) = affine.unzip();
    let (mean, variance) = match statistics {
        Statistics::Stored | Statistics::Running { .. } => (Some(stored.0), Some(stored.1)),
        Statistics::Batch | Statistics::Standing { .. } => (None, None),
    };
    let of_batch = statistics != Statistics::Stored;
    let momentum = match statistics {
        Statistics::Running { momentum } => momentum,
        _ => 0.0,
    };
    Ok(x.f_batch_norm(weight, bias, mean, variance, of_batch, momentum, epsilon, true)?)
}

/// Averages the batch's mean and biased variance into the stored ones.
fn take_in(x: &Tensor, (mean, variance): (&Tensor, &Tensor), seen: usize) {
    let _no_gradients = tch::no_grad_guard();
    let axes: Vec<i64> = (0..x.dim() as i64).filter(|axis| *axis != 1).collect();
    let (new_variance, new_mean) = x.to_kind(Kind::Float).var_mean_correction(axes.as_slice(), 0, false);
    let share = 1.0 / (seen + 1) as f64;
    let _ = mean.shallow_clone().lerp_(&new_mean, share);
    let _ = variance.shallow_clone().lerp_(&new_variance, share);
}

/// A batch norm over all axes but the second.
#[derive(Debug)]
pub struct BatchNorm {
    affine: Option<(Tensor, Tensor)>,
    mean: Tensor,
    variance: Tensor,
    epsilon: f64,
    site: Option<Site>,
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
            site: scope.site(),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[N, C]`, `[N, C, H, W]` or `[N, C, D, H, W]`
    pub fn forward(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        self.try_forward(x, statistics)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`BatchNorm::forward`], where there may be no memory for it.
    ///
    /// # Errors
    ///
    /// What libtorch says.
    pub fn try_forward(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        if let Some(site) = &self.site {
            site.note(x, (&self.mean, &self.variance));
        }
        let affine = self.affine.as_ref().map(|(weight, bias)| (weight, bias));
        normalise(x, (&self.mean, &self.variance), affine, statistics, self.epsilon)
    }

    /// Normalises in an operation of our own, which is told the tensors and whether the statistics are the batch's, and says what
    /// these were. `None` where there is no such operation, or somebody watches what enters. `values` of each channel are averaged.
    pub(super) fn fused(
        &self,
        statistics: Statistics,
        values: i64,
        run: impl FnOnce(Norm, bool) -> Result<Option<Pooled>, TorchError>,
    ) -> Result<Option<Tensor>, TorchError> {
        let (Some((weight, bias)), None) = (&self.affine, &self.site) else {
            return Ok(None);
        };
        let norm = Norm {
            weight,
            bias,
            mean: &self.mean,
            variance: &self.variance,
            epsilon: self.epsilon,
        };
        let Some(Pooled { y, moments }) = run(norm, statistics != Statistics::Stored)? else {
            return Ok(None);
        };
        if let Some((mean, variance)) = moments {
            self.follow(statistics, values, (&mean, &variance))?;
        }
        Ok(Some(y))
    }

    /// Takes mean and biased variance of a batch into the stored ones, as the statistics are meant to.
    fn follow(
        &self,
        statistics: Statistics,
        values: i64,
        (mean, variance): (&Tensor, &Tensor),
    ) -> Result<(), TorchError> {
        let (share, correction) = match statistics {
            Statistics::Stored | Statistics::Batch => return Ok(()),
            Statistics::Standing { seen } => (1.0 / (seen + 1) as f64, 1.0),
            Statistics::Running { momentum } => (momentum, values as f64 / (values - 1) as f64),
        };
        let _no_gradients = tch::no_grad_guard();
        let _ = self.mean.shallow_clone().f_lerp_(mean, share)?;
        let _ = self.variance.shallow_clone().f_lerp_(&(variance * correction), share)?;
        Ok(())
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
