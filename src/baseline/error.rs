//! Sizes that make no network.

use crate::encoder::EncoderError;

/// Why sizes make no network of scans.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// The trunk of COVNet.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A number outside of its range.
    #[error("`network.{field}` is {found}, expected {expected}")]
    OutOfRange {
        /// The setting.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: String,
    },
    /// Scans that are halved too often.
    #[error(
        "the network halves scans of {} x {} x {} voxels {halvings} times, and nothing is left of the shortest axis: make scans at \
         least {least} voxels long (`input.size`), or give `network.filters` fewer levels",
        size[0], size[1], size[2]
    )]
    TooSmall {
        /// `[D, H, W]`.
        size: [usize; 3],
        /// How often the network halves them.
        halvings: usize,
        /// The shortest axis that would do.
        least: usize,
    },
}
