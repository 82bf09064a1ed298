//! The feature table: the waist between encoders and everything that is read from them.

use ndarray::Array2;

/// `[N, F]` features, one row a slice, with whose they are and where they come from.
///
/// Every vector has one entry a row. Identifiers are pseudonyms unless the user chose to keep them.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTable {
    /// `[N, F]` feature values.
    pub values: Array2<f32>,
    /// `F` column names, `f000`, `f001`, ... unless the table was imported with names.
    pub names: Vec<String>,
    /// Who the rows are.
    pub rows: Rows,
    /// What made the values.
    pub provenance: Provenance,
}

/// The columns of a table that are not features.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Unique name of the row.
    pub slice_id: Vec<String>,
    /// The scan that the slice is of; the patient's where none was given.
    pub scan_id: Vec<String>,
    /// The patient.
    pub patient_id: Vec<String>,
    /// The class; `None` where it is not known.
    pub label: Vec<Option<String>>,
    /// The hospital or data source; `None` where none was given.
    pub site: Vec<Option<String>>,
    /// The set of the split (`train`, `validation`, `test`, `external:SITE`); `None` before a split was made.
    pub split: Vec<Option<String>>,
    /// Further columns that the user brought, by name, as text.
    pub extra: Vec<(String, Vec<Option<String>>)>,
}

/// What made a table: enough to make it again. Travels in the Parquet file's key-value metadata.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// The encoder's kind and switches as TOML or JSON text, or `imported`.
    pub encoder: String,
    /// The layer, e.g. `z_mean`.
    pub layer: String,
    /// SHA-256 of the weights file, or `random(seed)` for untrained weights.
    pub weights: String,
    /// Whether the weights were never trained: then every output says so.
    pub untrained: bool,
    /// The preprocessing recipe as text.
    pub preprocess: String,
    /// SHA-256 of the preprocessing recipe.
    pub preprocess_sha256: String,
    /// Words that every output made from this table must carry, e.g. of the `song2020` recipe.
    pub watermarks: Vec<String>,
    /// Whether identifiers in the table are pseudonyms.
    pub pseudonyms: bool,
    /// Where the table came from: the source file's name and SHA-256 for an imported one.
    pub source: String,
    /// Version of the program that wrote it.
    pub hounsfield: String,
}
