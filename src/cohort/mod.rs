//! cohort
pub mod synthetic;
