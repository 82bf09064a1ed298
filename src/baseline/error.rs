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
    /// Scans of which the network leaves a single position.
    #[error(
        "the network leaves one position of scans of {} x {} x {} voxels, and its batch norms take the variance over several: \
         make scans at least {least} voxels long along one axis or more (`input.size`)",
        size[0], size[1], size[2]
    )]
    OnePosition {
        /// `[D, H, W]`.
        size: [usize; 3],
        /// The longest axis that would do.
        least: usize,
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

/// That a number of the network is in its range; `what` is counted stands in the sentence.
pub(super) fn range(
    field: &'static str,
    found: usize,
    least: usize,
    most: usize,
    what: &str,
) -> Result<(), BaselineError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(BaselineError::OutOfRange {
        field,
        found: format!("{found} {what}"),
        expected: format!("{least} to {most} {what}"),
    })
}
