//! Statistics on plain slices of `f64`. Knows nothing of CT.
//!
//! Whether intervals keep their word was simulated: binormal scores, 5 rows a patient, an intraclass correlation of 0.5,
//! 2000 data sets a design with 2000 resamples each (`cargo test --test pure coverage -- --ignored`; standard error 0.5).
//! Shares of the 95 % intervals of an AUC that hold the true one, in per cent:
//!
//! | design | DeLong, rows independent | bootstrap of rows | clustered DeLong, plain | clustered DeLong, logit | bootstrap of patients | the same, BCa |
//! |---|---|---|---|---|---|---|
//! | 100 patients, AUC 0.76 | 75.5 | 75.3 | 94.7 | 95.5 | 95.0 | 95.3 |
//! | both classes in each patient | 98.5 | 98.4 | 94.0 | 94.2 | 94.5 | 94.2 |
//! | 100 patients, AUC 0.92 | 75.6 | 75.6 | 92.6 | 95.0 | 93.8 | 95.0 |
//! | 40 patients, AUC 0.76 | 73.7 | 74.1 | 93.0 | 94.4 | 93.7 | 94.5 |

mod agreement;
mod auc;
mod auc_test;
mod bootstrap;
mod brier;
mod calibration;
mod cluster_ranking;
mod clusters;
mod contingency;
mod decision_curve;
mod delong;
pub mod distributions;
mod feature_sets;
mod fleiss;
mod folds;
mod frechet;
mod granularity;
mod hanley_mcneil;
mod kernel_distance;
mod logistic;
mod multiple;
mod operating;
mod partial_auc;
mod pooling;
mod prevalence;
mod proportion;
mod recalibration;
mod replicates;
mod ssim;
mod summary_tests;

pub use self::{
    agreement::{Kappa, KappaWeights, PairTable, tables_with_kappa},
    auc::{Ranking, RocStep, auc},
    auc_test::{Alternative, AucTest, Scale},
    bootstrap::Bootstrap,
    brier::{BrierParts, brier, brier_parts},
    calibration::{CalibrationBin, CalibrationBins, CalibrationError, CalibrationLine, LogOdds, check_probabilities},
    cluster_ranking::ClusterRanking,
    clusters::Clusters,
    contingency::{
        ChiSquared, McNemar, ZTest, chi_squared, chi_squared_yates, cochran_armitage, fisher_exact, linear_by_linear,
        mcnemar, smallest_expected,
    },
    decision_curve::{DecisionPoint, NetBenefit, decision_curve, net_benefits},
    delong::{AucCovariance, Components, clustered_delong, delong},
    feature_sets::DistanceError,
    fleiss::{FleissKappa, fleiss_kappa, fleiss_kappa_with_error},
    folds::{FoldError, grouped_folds},
    frechet::frechet_distance,
    granularity::{counts_of_percentage, smallest_n, sums_of_mean},
    hanley_mcneil::{compare_areas, hanley_mcneil, logit_interval, wald_interval},
    kernel_distance::{KernelSubsets, SubsetDistance, kernel_distance},
    multiple::{bonferroni, holm},
    operating::{OperatingPoint, OperatingRule, at_threshold, operating_point},
    partial_auc::{Axis, PartialAuc, partial_auc},
    pooling::{Pooling, PoolingError},
    prevalence::{negative_predictive_value, positive_predictive_value},
    proportion::{clopper_pearson, newcombe, wilson},
    recalibration::{Isotonic, Platt},
    replicates::{Bca, Replicates, quantile},
    ssim::{SsimError, ssim},
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
    #[error(
        "{found} bootstrap resamples make no interval at a level of {level}, at least {fewest} are needed (2000 is usual)"
    )]
    Resamples {
        /// Resamples asked for.
        found: usize,
        /// Fewest that are accepted.
        fewest: usize,
        /// The confidence level.
        level: f64,
    },
    /// More resamples than make sense.
    #[error("{found} bootstrap resamples take hours and make no better interval, at most {most} are accepted")]
    ManyResamples {
        /// Resamples asked for.
        found: usize,
        /// Most that are accepted.
        most: usize,
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
    /// An AUC or an operating point of one class.
    #[error("a ROC curve takes both classes, found {positives} positive and {negatives} negative rows")]
    OneClass {
        /// Positive rows.
        positives: usize,
        /// Negative rows.
        negatives: usize,
    },
    /// A variance from one row or patient of a class.
    #[error(
        "a variance takes two {unit} of each class, found {positives} positive and {negatives} negative {unit} \
         (an interval from counts alone is Newcombe's)"
    )]
    FewInClass {
        /// What is independent: rows or patients.
        unit: &'static str,
        /// Units with the positive class.
        positives: usize,
        /// Units with the negative class.
        negatives: usize,
    },
    /// An AUC that DeLong cannot give an interval.
    #[error(
        "an AUC of {auc} has no variance here, as all rows stand alike among the other class \
         (Newcombe's interval keeps a width)"
    )]
    NoVariance {
        /// The area.
        auc: f64,
    },
    /// Two AUCs that cannot be tested against each other.
    #[error(
        "the difference of the AUCs, {difference}, has no variance and no test: \
         the scores rank alike, are perfect or are constant"
    )]
    NoDifference {
        /// First less second.
        difference: f64,
    },
    /// A part of a ROC curve that is none.
    #[error(
        "a range of specificity or sensitivity lies in [0, 1] and has a width, found {} to {} (90 to 100 % is 0.9 to 1)",
        found[0],
        found[1]
    )]
    Range {
        /// The ends asked for.
        found: [f64; 2],
    },
    /// A p-value that is none.
    #[error("a p-value lies in [0, 1], found {found}: take comparisons without one out of the family")]
    PValue {
        /// The number given.
        found: f64,
    },
}
