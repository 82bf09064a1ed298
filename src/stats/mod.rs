//! Statistics on plain slices of `f64`. Knows nothing of CT.

mod agreement;
mod auc;
mod bootstrap;
mod contingency;
pub mod distributions;
mod fleiss;
mod folds;
mod granularity;
mod hanley_mcneil;
mod proportion;
mod summary_tests;

pub use self::{
    agreement::{Kappa, KappaWeights, PairTable, tables_with_kappa},
    auc::{Ranking, RocStep, auc},
    bootstrap::{Bootstrap, Clusters, Replicates, quantile},
    contingency::{
        ChiSquared, McNemar, ZTest, chi_squared, chi_squared_yates, cochran_armitage, fisher_exact, linear_by_linear,
        mcnemar, smallest_expected,
    },
    fleiss::{FleissKappa, fleiss_kappa, fleiss_kappa_with_error},
    folds::{FoldError, grouped_folds},
    granularity::{counts_of_percentage, smallest_n, sums_of_mean},
    hanley_mcneil::{compare_areas, hanley_mcneil, logit_interval, wald_interval},
    proportion::{clopper_pearson, newcombe, wilson},
    summary_tests::{
        Anova, Summary, TTest, anova, pooled, standardised_difference, standardised_difference_of_proportions,
        t_test_pooled, t_test_welch, weighted_mean,
    },
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
