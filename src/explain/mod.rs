//! What features look like: maps of them, each slice's neighbours, walks along the direction that a head reads. And where a
//! classifier of scans looks, drawn over the scan.
//!
//! Numbers in, numbers out: `study` reads the tables and the images, and `report` draws.

mod map;
mod neighbours;
mod overlay;
mod principal;
mod sample;
mod tsne;
mod walk;

pub use self::{
    map::{FeatureMap, maps},
    neighbours::{Neighbour, Neighbours, SamePatient, neighbours, queries, same_patient},
    overlay::{Colours, Overlay},
    principal::{PrincipalComponents, principal_components},
    sample::sample_rows,
    tsne::{Tsne, TsneMap},
    walk::{Direction, STEPS},
};

/// Why features can't be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// Too few rows to make a map of.
    #[error("a map needs {needed} rows or more, found {rows}")]
    FewRows {
        /// Rows there are.
        rows: usize,
        /// Rows that are needed.
        needed: usize,
    },
    /// No principal components.
    #[error("the principal components of {rows} rows and {features} features could not be computed ({reason})")]
    Solver {
        /// Rows.
        rows: usize,
        /// Features.
        features: usize,
        /// What the solver said.
        reason: String,
    },
    /// A direction of another space.
    #[error("the direction has {found} features, the slice has {expected}: they are of two tables")]
    Width {
        /// Features of the direction.
        found: usize,
        /// Features of the slice.
        expected: usize,
    },
    /// A direction without a length.
    #[error("all weights of the head are 0: there is no direction to walk along")]
    NoDirection,
    /// Heat that is not the scan's.
    #[error(
        "the heat has {} x {} x {} voxels and the scan {} x {} x {}, expected as many of both and more than none",
        heat[0], heat[1], heat[2], scan[0], scan[1], scan[2]
    )]
    Heat {
        /// `[D, H, W]` of the scan.
        scan: [usize; 3],
        /// `[D, H, W]` of the heat.
        heat: [usize; 3],
    },
}
