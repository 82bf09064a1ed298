//! Classifiers of whole scans at work: trained in a run folder, measured, and asked about other scans.
//!
//! | file | what |
//! |---|---|
//! | `recipe.toml` | the recipe with all its defaults |
//! | `data.csv` | which scans stand in which set, under pseudonyms |
//! | `metrics.jsonl`, `events/` | losses, norms, learning rates, and what every epoch gave; the same for TensorBoard |
//! | `sheets/` | scans as augmentation changes them |
//! | `checkpoints/` | what is needed to go on; the last ones and the best |
//! | `classifier/` | the best network with its card |
//! | `predictions.parquet` | scores of all scans, with thresholds and whether the training converged |
//! | `results.json`, `study.json`, `report.html`, `report.md` | what `evaluate` and `compare` say of them, as of a study |
//! | `maps/` | where the network looks |

#[cfg(feature = "torch")]
mod alarm;
#[cfg(feature = "torch")]
mod data;
#[cfg(feature = "torch")]
mod epoch;
mod error;
mod facts;
mod failures;
#[cfg(feature = "torch")]
mod finish;
#[cfg(feature = "torch")]
mod loader;
#[cfg(feature = "torch")]
pub mod maps;
mod measure;
#[cfg(feature = "torch")]
mod notes;
#[cfg(feature = "torch")]
mod order;
#[cfg(feature = "torch")]
pub mod predict;
mod protocol;
#[cfg(feature = "torch")]
mod run;
pub mod sheet;
#[cfg(feature = "torch")]
mod steps;
mod together;
#[cfg(feature = "torch")]
mod weighting;

pub use self::{
    error::VolumesError,
    measure::{Measured, Scored, check_against},
    protocol::{Model, Protocol, ProtocolError},
    together::Together,
};
#[cfg(feature = "torch")]
pub use self::{
    notes::Best,
    run::{Options, Outcome, VolumeTraining},
};
