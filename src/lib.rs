//! Self-supervised representations of CT slices, and honest measures of what they know.
//!
//! One way through the house, from the ground up:
//!
//! - [`ct`] is an image in physical units, [`stats`] are numbers in and numbers out;
//! - [`tables`] are files of named columns (CSV, Parquet, Excel), as text or numbers;
//! - [`readers`] turn files into slices, [`transforms`] turn slices into network input, [`cohort`] says whose slices
//!   they are and how patients are split;
//! - [`index`] makes a cohort's table of folders of scans, from head to foot and without names;
//! - [`encoder`] and [`method`] are networks and trainings in words, [`card`] is the file that stands beside trained weights and
//!   says how to use them, [`hub`] brings both from where others keep theirs;
//! - [`convert`] makes weights of other programs into such a card;
//! - [`features`] is the waist: one table of features, whoever made it;
//! - [`heads`] are the classifiers on features, `torch` (feature `torch`) is all that needs libtorch;
//! - [`eval`] measures scores, [`report`] shows them, [`audit`] looks for what makes them too good;
//! - [`recipe`] is the TOML file of a study and [`study`] the stages that carry it out;
//! - `pretrain` (feature `torch`) trains encoders, and [`journal`] is what a training writes for people while it runs;
//! - [`explain`] shows what features hold, [`preview`] what encoders are shown;
//! - [`claims`] are what two papers printed, recomputed.
#![warn(missing_docs)]

pub mod audit;
pub mod baseline;
pub mod card;
pub mod claims;
pub mod cohort;
pub mod convert;
pub mod ct;
pub mod encoder;
mod error;
pub mod eval;
pub mod explain;
pub mod features;
pub mod heads;
pub mod hub;
pub mod index;
pub mod journal;
pub mod method;
#[cfg(feature = "torch")]
pub mod pretrain;
pub mod preview;
pub mod progress;
pub mod readers;
pub mod recipe;
pub mod report;
pub mod scans;
pub mod seed;
pub mod stats;
pub mod study;
pub mod tables;
#[cfg(feature = "torch")]
pub mod torch;
pub mod transforms;
pub mod volumes;
pub mod words;

pub use crate::{
    cohort::{Cohort, Split},
    error::{Error, Result},
    features::{FeatureTable, Provenance},
    heads::{FittedHead, HeadConfig},
    recipe::Study,
};
