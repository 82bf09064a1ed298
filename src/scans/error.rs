//! What keeps a table from being scans, and a scan from being prepared.

use std::io;

use super::cache::Flaw;
use crate::{
    cohort::CohortError,
    ct::GeometryError,
    index::{IndexError, Reason},
    readers::ReadError,
    tables::WriteError,
    transforms::ScanInputError,
};

/// Why there are no scans. Messages name rows by number, counted from 1, and paths last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The table.
    #[error(transparent)]
    Cohort(#[from] CohortError),
    /// A file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Slices that make no volume.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An input that can't be made, or not of this scan.
    #[error(transparent)]
    Input(#[from] ScanInputError),
    /// A place that is none.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// A prepared scan that can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// No files.
    #[error("no column says where scans lie: name it with `cohort.path = \"...\"`; the table has {columns}")]
    NoPathColumn {
        /// The columns there are.
        columns: String,
    },
    /// Rows that are pictures.
    #[error(
        "{rows} rows are pictures (first: row {first}), which have neither Hounsfield units nor a place in a scan: name NIfTI or .npy volumes, folders of DICOM files, or DICOM slices"
    )]
    Pictures {
        /// How many rows are.
        rows: usize,
        /// The first of them.
        first: usize,
    },
    /// Rows of one scan that each hold a whole one.
    #[error(
        "rows {first} and {second} are of one scan, and {what}: give each a scan of its own in the column of scans, or leave one out"
    )]
    Several {
        /// The first row of the scan.
        first: usize,
        /// The row that does not go with it.
        second: usize,
        /// What is wrong, e.g. `each is a whole volume`.
        what: &'static str,
    },
    /// Rows of one file in two scans.
    #[error(
        "rows {first} and {second} are slices of one volume and belong to two scans: a volume is read as one, so give its rows one scan and one patient"
    )]
    Shared {
        /// A row of the one scan.
        first: usize,
        /// A row of the other.
        second: usize,
    },
    /// One name for the scans of two patients.
    #[error("rows {first} and {second} name one scan and two patients: one of both columns is wrong")]
    TwoPatients {
        /// A row of the one patient.
        first: usize,
        /// A row of the other.
        second: usize,
    },
    /// Rows of one scan that contradict each other.
    #[error(
        "rows {first} and {second} are of one scan and differ in `{column}` ({what}): name a column that says it of the whole scan or patient"
    )]
    Differ {
        /// `label`, `site` or `split`.
        what: &'static str,
        /// The column.
        column: String,
        /// The first row of the scan.
        first: usize,
        /// The row that differs.
        second: usize,
    },
    /// Several scans where one is meant.
    #[error(
        "{found} scans lie there ({sizes}), expected one: give each a folder of its own, or list slices with `hounsfield index`"
    )]
    SeveralScans {
        /// How many there are.
        found: usize,
        /// How many slices each has.
        sizes: String,
    },
    /// A folder of volumes, where a series is meant.
    #[error(
        "the folder holds {} and no DICOM series: name volumes one by one, or in a table with a row each",
        crate::words::counted(*found, "volume")
    )]
    FolderOfVolumes {
        /// Files that are named as volumes.
        found: usize,
    },
    /// Values that are no Hounsfield units.
    #[error("not a CT scan: {reason}")]
    NoCt {
        /// Why.
        reason: Reason,
    },
    /// Files that are not what they were.
    #[error("its files changed while they were read: prepare it again when they are whole")]
    Changed,
    /// A decoder that panicked.
    #[error("its decoder gave up on broken content")]
    Panicked,
    /// A prepared scan that was written and can't be mapped.
    #[error("a prepared scan was written and {flaw}: name a cache on another disk: {}", path.display())]
    Unmapped {
        /// What is wrong with it.
        flaw: Flaw,
        /// The file.
        path: std::path::PathBuf,
    },
    /// No threads to be had.
    #[error("no thread to read with can be started ({source})")]
    Threads {
        /// What the system said.
        source: io::Error,
    },
    /// The user stopped it.
    #[error("interrupted; scans that were prepared are kept")]
    Interrupted,
}

impl ScanError {
    /// The message without the path at its end, which may name a patient: for what is shown to others.
    pub fn without_path(&self) -> String {
        match self {
            Self::Read(error) => error.without_path(),
            Self::Index(error) => error.without_path(),
            Self::Unmapped { flaw, .. } => format!("a prepared scan was written and {flaw}"),
            error => error.to_string(),
        }
    }

    /// Whether it is of the machine and not of a scan, so that others will fail too.
    pub(super) fn is_of_the_machine(&self) -> bool {
        matches!(
            self,
            Self::Write(_) | Self::Unmapped { .. } | Self::Threads { .. } | Self::Interrupted
        )
    }
}
