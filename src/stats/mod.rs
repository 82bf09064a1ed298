//! Statistics on plain slices of `f64`. Knows nothing of CT.

mod auc;
mod folds;

pub use self::auc::auc;
pub use self::folds::{FoldError, grouped_folds};

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
