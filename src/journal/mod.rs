//! What a training run writes for people while it runs: numbers by the line, TensorBoard's events, sheets of pictures.
//!
//! A run that was killed has written further than its last checkpoint. Both logs are told the step at which the run
//! goes on, so that no step is there twice: [`MetricsLog::resume`] cuts its file back, [`Events::resume`] tells
//! TensorBoard to drop what is orphaned. [`RunLog`] writes both.

mod metrics;
mod protobuf;
mod run_log;
mod sheet;
mod tensorboard;

use std::{io, path::PathBuf};

use crate::tables::WriteError;

pub use self::{
    metrics::MetricsLog,
    run_log::{RunLog, not_finite, one_line},
    sheet::{Frame, Sheet},
    tensorboard::Events,
};

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The metrics of the run that is resumed can't be read.
    #[error("cannot read the metrics of the run that is resumed: {source}: {path:?}")]
    Read {
        /// Why.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// A whole line that this program did not write.
    #[error("line {line} of the metrics is no JSON object with a step (mend it or take it out): {path:?}")]
    Damaged {
        /// The line, from 1.
        line: usize,
        /// The file.
        path: PathBuf,
    },
    /// A name that stands twice in a line.
    #[error("two values of one line of metrics are named {name:?} (rename one; step, images and wall_s are taken)")]
    RepeatedName {
        /// The name.
        name: String,
    },
    /// Images of different sizes on one sheet.
    #[error(
        "an image of {} x {} pixels on a sheet of {} x {}: resample it, or begin another sheet",
        found.0, found.1, expected.0, expected.1
    )]
    Sizes {
        /// `(H, W)` of the image.
        found: (usize, usize),
        /// `(H, W)` of the sheet's first image.
        expected: (usize, usize),
    },
    /// An image without pixels.
    #[error("an image of {} x {} pixels cannot be shown, at least 1 x 1 was expected", found.0, found.1)]
    NoPixels {
        /// `(H, W)` of the image.
        found: (usize, usize),
    },
    /// A sheet without images.
    #[error("the sheet has 0 images, at least 1 is needed: push one first")]
    EmptySheet,
}
