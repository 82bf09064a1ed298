//! What can be wrong with a feature table, on disk, on the way in or on the way out.

use std::path::PathBuf;

use crate::tables::{TableError, WriteError};

/// What can be wrong with a feature table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// The file under it.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A folder can't be listed, made or cleaned.
    #[error("cannot work in the folder: {source}: {path:?}")]
    Folder {
        /// Why.
        source: std::io::Error,
        /// The folder.
        path: PathBuf,
    },
    /// Parts of one table differ in length.
    #[error("{what} has {found} entries, the table has {expected}")]
    Lengths {
        /// The column.
        what: String,
        /// Its entries.
        found: usize,
        /// What the values have.
        expected: usize,
    },
    /// Rows whose `slice_id` another row has.
    #[error("{repeated} of {rows} rows repeat the slice_id of another row, each row needs its own")]
    DuplicateRows {
        /// Rows too many.
        repeated: usize,
        /// Rows in all.
        rows: usize,
    },
    /// Two columns of one name, among ids, extra columns and features.
    #[error("two columns are named {column:?}, or it is a name that the table needs for itself (rename it)")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// The table has other features than what is added.
    #[error("rows have {found} features, the table has {expected}")]
    Width {
        /// Features of the rows.
        found: usize,
        /// Features of the table.
        expected: usize,
    },
    /// Parquet, but no feature table.
    #[error(
        "no column {column:?}, so this is no feature table (bring it in with `hounsfield features import`): {path:?}"
    )]
    NotFeatures {
        /// The column that is missing.
        column: String,
        /// The file.
        path: PathBuf,
    },
    /// No column of floats.
    #[error("the table has no feature columns: {path:?}")]
    NoFeatures {
        /// The file.
        path: PathBuf,
    },
    /// A feature column that holds no floats.
    #[error("feature column {column:?} holds {found}, floats were expected: {path:?}")]
    NotFloat {
        /// The column.
        column: String,
        /// What it holds.
        found: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// An identifier that is null.
    #[error("{rows} rows have no {column}: {path:?}")]
    NullIds {
        /// `slice_id`, `scan_id` or `patient_id`.
        column: String,
        /// Rows without it.
        rows: usize,
        /// The file.
        path: PathBuf,
    },
    /// The provenance can't be read.
    #[error("the provenance in the file's metadata cannot be read (of a newer version?): {source}: {path:?}")]
    Provenance {
        /// Why.
        source: serde_json::Error,
        /// The file.
        path: PathBuf,
    },
    /// Parts that don't belong together.
    #[error("parts were made differently ({}): {first:?} and {second:?}", .fields.join(", "))]
    ProvenanceDiffers {
        /// Fields of [`super::Provenance`] that differ.
        fields: Vec<&'static str>,
        /// A part.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// Parts of one provenance with other columns.
    #[error("parts have different columns ({column:?} is in one only, or stands elsewhere): {first:?} and {second:?}")]
    ColumnsDiffer {
        /// The first column that differs.
        column: String,
        /// A part.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// A folder without parts.
    #[error("the folder holds no Parquet file: {path:?}")]
    NoParts {
        /// The folder.
        path: PathBuf,
    },
    /// A folder for parts that is used for something else.
    #[error("the folder holds a Parquet file that is no part of this table (choose an empty folder): {path:?}")]
    StrangeFile {
        /// The file.
        path: PathBuf,
    },
    /// The parts are not the rows that were asked for.
    #[error(
        "the parts have {found} rows; of the {expected} asked for {missing} are missing, and {surplus} were not asked for"
    )]
    Order {
        /// Rows in the parts.
        found: usize,
        /// Rows asked for.
        expected: usize,
        /// Asked for and not there.
        missing: usize,
        /// There and not asked for.
        surplus: usize,
    },
    /// A path to export to that has no file name.
    #[error("not a file name: {path:?}")]
    FileName {
        /// The path.
        path: PathBuf,
    },
    /// An import without the patients.
    #[error(
        "no patient column was named: slices of one patient must stay on one side of a split, or the result is leakage \
         (name the column; a label table may hold it)"
    )]
    NoPatientColumn,
    /// Rows whose patient is not known.
    #[error("{rows} of {of} rows have no patient, they could stand on both sides of a split (fill in {column:?})")]
    NoPatient {
        /// Rows without a patient.
        rows: usize,
        /// Rows in all.
        of: usize,
        /// The column.
        column: String,
    },
    /// No column of numbers is left over to be a feature.
    #[error("no feature column was found ({asked}); the columns are {}: {path:?}", .columns.join(", "))]
    NoFeatureColumns {
        /// What was asked for.
        asked: String,
        /// What there is.
        columns: Vec<String>,
        /// The file.
        path: PathBuf,
    },
    /// A cell that is no number.
    #[error("row {row} of feature column {column:?} is no number{}: {path:?}", if *.decimal_comma { " (a decimal comma? write 0.5, not 0,5)" } else { "" })]
    NotANumber {
        /// The row, from 1, the header not counted.
        row: usize,
        /// The column.
        column: String,
        /// Whether it would be one with a point instead of its comma.
        decimal_comma: bool,
        /// The file.
        path: PathBuf,
    },
    /// Row order was to join two tables of different lengths.
    #[error("{features} rows of features and {labels} of labels cannot be joined by their order (name a key column)")]
    RowCounts {
        /// Rows of the feature table.
        features: usize,
        /// Rows of the label table.
        labels: usize,
    },
    /// A key that stands twice, or is empty.
    #[error("{rows} of {of} rows of the {table} table have an empty or repeated key {key:?}, each row needs its own")]
    Keys {
        /// `feature` or `label`.
        table: &'static str,
        /// The key column.
        key: String,
        /// Rows too many.
        rows: usize,
        /// Rows in all.
        of: usize,
    },
    /// Features without a label row.
    #[error("{rows} of {of} feature rows have no row in the label table under the key {key:?}")]
    NoLabelRow {
        /// The key column.
        key: String,
        /// Feature rows without a partner.
        rows: usize,
        /// Feature rows in all.
        of: usize,
    },
    /// A NumPy file that is no matrix of numbers.
    #[error("no [N, F] matrix of floats or integers (save it as float32): {reason}: {path:?}")]
    Npy {
        /// What was found.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// A vector that was shortened when it was printed.
    #[error(
        "{rows} vectors hold `...`: NumPy left values out when it printed them (print with threshold=sys.maxsize): {path:?}"
    )]
    Truncated {
        /// Rows with dots.
        rows: usize,
        /// The file.
        path: PathBuf,
    },
    /// A row of the six-file format that isn't `name [v0 v1 ...]`.
    #[error("row {row} is not of the form `name [v0 v1 ...]` ({reason}): {path:?}")]
    SongRow {
        /// The row, from 1.
        row: usize,
        /// What is wrong.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// Rows appended by a second run, with other values.
    #[error(
        "{rows} rows repeat a name with other values, as a second run in append mode leaves them (delete one run's rows): {path:?}"
    )]
    SongRuns {
        /// Rows too many.
        rows: usize,
        /// The file or folder.
        path: PathBuf,
    },
    /// Which of the six files is not clear.
    #[error("which layer? {found}; choose one of {}: {path:?}", super::SONG_LAYERS.join(", "))]
    SongLayer {
        /// What was found.
        found: String,
        /// The file or folder.
        path: PathBuf,
    },
    /// A noisy-or of features.
    #[error(
        "noisy-or pools probabilities, and features are none: pool them by mean, median, max or top-k, or pool the \
         scores of a head (`probe.pool = \"noisy-or\"`)"
    )]
    NoisyOr,
    /// Values that can't be pooled.
    #[error("{count} values are NaN or infinite (first: row {row}, feature `{column}`): mend or leave out these rows")]
    PoolNotFinite {
        /// How many.
        count: usize,
        /// The first such row, from 1.
        row: usize,
        /// Its column.
        column: String,
    },
    /// Labels of slices, pooled as if they were labels of scans or patients.
    #[error(
        "{mixed} of {units} {by}s have slices of several labels, expected labels of {by}s: with labels of slices there \
         is nothing to pool"
    )]
    MixedLabels {
        /// Units with several labels.
        mixed: usize,
        /// All units.
        units: usize,
        /// What a unit is.
        by: super::PoolBy,
    },
    /// Units with slices in several sets of a split.
    #[error(
        "{torn} of {units} {by}s have slices in several sets of the split, one pooled row can't stand in two: split by \
         patient, or pool before the split"
    )]
    TornUnits {
        /// Units in several sets.
        torn: usize,
        /// All units.
        units: usize,
        /// What a unit is.
        by: super::PoolBy,
    },
}
