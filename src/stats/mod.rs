//! Statistics on plain slices of `f64`. Knows nothing of CT.

mod auc;
mod bootstrap;
mod brier;
mod calibration;
mod decision_curve;
pub mod distributions;
mod folds;
mod logistic;
mod pooling;
mod prevalence;
mod proportion;
mod recalibration;

pub use self::{
    auc::{Ranking, RocStep, auc},
    bootstrap::{Bootstrap, Clusters, Replicates, quantile},
    brier::{BrierParts, brier, brier_parts},
    calibration::{CalibrationBin, CalibrationBins, CalibrationError, CalibrationLine, LogOdds, check_probabilities},
    decision_curve::{DecisionPoint, NetBenefit, decision_curve, net_benefit},
    folds::{FoldError, grouped_folds},
    pooling::{Pooling, PoolingError},
    prevalence::{negative_predictive_value, positive_predictive_value},
    proportion::{clopper_pearson, newcombe, wilson},
    recalibration::{Isotonic, Platt},
};

/// A number with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// Why a statistic could not be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// Too few resamples for an interval.
    #[error("{found} bootstrap resamples make no interval, at least {fewest} are needed (2000 is usual)")]
    Resamples {
        /// Resamples asked for.
        found: usize,
        /// Fewest that are accepted.
        fewest: usize,
    },
    /// A confidence level that is none.
    #[error("a confidence level lies between 0 and 1, found {found} (95 % is 0.95)")]
    Level {
        /// The level asked for.
        found: f64,
    },
    /// No resample in which the statistic is defined.
    #[error("no resample has a value of the statistic after {draws} draws")]
    Undefined {
        /// Draws that were tried.
        draws: usize,
    },
}
