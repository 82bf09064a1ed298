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
//! | `results.json`, `report.html`, `report.md` | what `evaluate` and `compare` say of them, as of a study |
//! | `maps/` | where the network looks |

mod error;
#[cfg(feature = "torch")]
pub mod maps;
#[cfg(feature = "torch")]
pub mod predict;

pub use self::error::VolumesError;
