//! What is asked of scores.

use crate::{
    eval::{EvalError, Pooling, Unit},
    stats::{Axis, Bootstrap, StatsError},
};

/// What is asked of scores.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct AssessPlan {
    /// What one score is to be of.
    pub unit: Unit,
    /// How scores of slices become one of the unit.
    pub pool: Pooling,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
    /// What is called positive.
    pub cut: Cut,
    /// The sensitivity at which the specificity is asked for; 0.98.
    pub sensitivity: f64,
    /// The specificity at which the sensitivity is asked for, if any.
    pub specificity: Option<f64>,
    /// The part of the curve whose area is asked for; specificities of 0.9 to 1.
    pub partial: (Axis, [f64; 2]),
    /// The prevalence at which predictive values are asked for.
    pub prevalence: Option<f64>,
    /// Bins of the calibration curve; 10.
    pub bins: usize,
}

/// What is called positive: scores of at least a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// The thresholds that came with the scores, frozen before; Youden's where none came.
    #[default]
    Own,
    /// This threshold.
    At(f64),
    /// The threshold with the largest sensitivity + specificity - 1 on these same rows, which is optimistic.
    Youden,
    /// Youden's threshold of the whole set, for a group of its rows.
    OfSet(f64),
}

impl Default for AssessPlan {
    fn default() -> Self {
        Self {
            unit: Unit::default(),
            pool: Pooling::default(),
            bootstrap: Bootstrap::default(),
            cut: Cut::default(),
            sensitivity: 0.98,
            specificity: None,
            partial: (Axis::Specificity, [0.9, 1.0]),
            prevalence: None,
            bins: 10,
        }
    }
}

impl AssessPlan {
    /// Refuses what can't be computed, before anything is.
    ///
    /// # Errors
    ///
    /// A target, prevalence, threshold, range, number of bins or of resamples that is none.
    pub fn check(&self) -> Result<(), EvalError> {
        self.bootstrap.check()?;
        for found in [Some(self.sensitivity), self.specificity].into_iter().flatten() {
            if !(found > 0.0 && found <= 1.0) {
                return Err(EvalError::Target { found });
            }
        }
        if let Some(found) = self.prevalence
            && !(found > 0.0 && found < 1.0)
        {
            return Err(EvalError::Prevalence { found });
        }
        if let Cut::At(found) = self.cut
            && !found.is_finite()
        {
            return Err(EvalError::Cut { found });
        }
        let found = self.partial.1;
        if !(found[0] >= 0.0 && found[1] <= 1.0 && found[0] < found[1]) {
            return Err(StatsError::Range { found }.into());
        }
        if self.bins == 0 {
            return Err(crate::stats::CalibrationError::Bins { bins: 0 }.into());
        }
        Ok(())
    }
}
