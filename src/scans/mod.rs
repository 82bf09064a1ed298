//! Whole scans of a cohort as a network takes them: which files make one, and their voxels on disk, ready to be mapped.
//!
//! ```text
//! table ──Scans::read──> Scans (one row a scan, where it lies) ──prepare──> CachedScan (i16 HU on the network's grid, mapped)
//! ```
//!
//! | file | what |
//! |---|---|
//! | `group.rs` | rows of a table to scans |
//! | `source.rs` | where a scan lies, and reading it |
//! | `prepare.rs` | all scans onto the network's grid, in parallel |
//! | `cache/` | the file of a prepared scan, its name, its checks |

mod cache;
mod error;
mod group;
mod prepare;
mod source;

use crate::cohort::Cohort;

pub use self::{cache::CachedScan, error::ScanError, source::ScanSource};

/// The scans of a table, one row each.
#[derive(Debug)]
pub struct Scans {
    /// Who they are; `slice_id` and `scan_id` are the scan's own name, `paths` the first path that it is read from.
    pub cohort: Cohort,
    /// What each is made from.
    pub sources: Vec<ScanSource>,
}

impl Scans {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Notes the hashes of prepared voxels, by which a split finds one scan under two patients or in two sets: to be called
    /// before a split is drawn. Scans that could not be prepared have none.
    pub fn note_hashes(&mut self, prepared: &[Result<CachedScan, String>]) {
        let hash = |scan: &Result<CachedScan, String>| scan.as_ref().ok().map(|scan| scan.sha256().to_owned());
        self.cohort.sha256 = prepared.iter().map(hash).collect();
    }
}
