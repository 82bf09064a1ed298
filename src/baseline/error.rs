//! Sizes that make no network.

use super::plan::{MemoryLimit, Proposal, voxels};
use crate::{
    encoder::{EncoderConfig, EncoderError},
    words::{binary, counted},
};

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
    /// A trunk whose tensors are its own.
    #[error(
        "`network.trunk` is `torchscript`, a program whose tensors are its own and can't be trained here: take one of {}",
        EncoderConfig::KINDS.into_iter().filter(|kind| *kind != "torchscript").collect::<Vec<_>>().join(", ")
    )]
    ScriptTrunk,
    /// Slices that would be stretched.
    #[error(
        "slices of {rows} x {columns} voxels would be stretched to the square that the trunk takes: give `input.size` as many \
         voxels along H as along W"
    )]
    NotSquare {
        /// Voxels along H.
        rows: usize,
        /// Voxels along W.
        columns: usize,
    },
    /// A step of no scans, or a part that is none of it.
    #[error("a batch of {batch} scans in parts of {part}, expected at least 1 scan in parts of 1 to the whole batch")]
    Scans {
        /// Scans of a step.
        batch: usize,
        /// Those that pass together.
        part: usize,
    },
    /// More memory than there is.
    #[error(
        "passing {} of {} voxels through the network takes {} of memory, and {limit}: {}",
        counted(*scans, "scan"), voxels(*size), binary(*total), way_out(proposal.as_deref())
    )]
    Memory {
        /// Bytes needed.
        total: u64,
        /// What there is.
        limit: MemoryLimit,
        /// Scans that pass together.
        scans: usize,
        /// `[D, H, W]`.
        size: [usize; 3],
        /// What would fit; none where no setting does.
        proposal: Option<Box<Proposal>>,
    },
}

fn way_out(proposal: Option<&Proposal>) -> String {
    match proposal {
        Some(proposal) => proposal.to_string(),
        None => "no setting of this network fits, take a smaller one, or give it more memory".to_owned(),
    }
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
