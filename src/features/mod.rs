//! The feature table: the waist between encoders and everything that is read from them.

mod aggregate;
mod columns;
mod error;
mod export;
mod import;
mod join;
mod matrix;
mod merge;
mod parts;
mod song2020;
mod store;

use std::collections::HashSet;

use ndarray::Array2;

pub use self::{
    aggregate::{PoolBy, PoolOptions, PooledFeatures, pool_features},
    error::FeatureError,
    export::{export_csv, export_npy, export_safetensors},
    import::{FeatureColumns, ImportOptions, Imported, import},
    merge::merge_parts,
    parts::{PartLayout, PartWriter, RemovedPart, Resumed, existing_rows},
    song2020::SONG_LAYERS,
    store::{read_features, write_features},
};

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
    /// The encoder's card by its name and SHA-256; empty where the encoder came without one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub card: String,
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
    /// How rows of slices became rows of scans or patients; empty where a row is a slice.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pooled: String,
    /// Version of the program that wrote it.
    pub hounsfield: String,
}

/// Names of the columns that every stored table has before its extra and feature columns.
pub(crate) const ID_COLUMNS: [&str; 6] = ["slice_id", "scan_id", "patient_id", "label", "site", "split"];

/// `f000`, `f001`, ..., with more digits where there are more than a thousand.
///
/// ```
/// assert_eq!(hounsfield::features::feature_names(120)[119], "f119");
/// assert_eq!(hounsfield::features::feature_names(2048)[0], "f0000");
/// ```
pub fn feature_names(n: usize) -> Vec<String> {
    let width = n.saturating_sub(1).to_string().len().max(3);
    (0..n).map(|index| format!("f{index:0width$}")).collect()
}

impl FeatureTable {
    /// How many values are NaN or infinite, and the first of them as `(count, row, column)`; `None` where all are
    /// finite.
    ///
    /// ```
    /// # use hounsfield::features::{FeatureTable, Provenance, Rows};
    /// let values = ndarray::arr2(&[[0.0, 1.0], [f32::NAN, f32::INFINITY]]);
    /// let names = vec!["f000".to_owned(), "f001".to_owned()];
    /// let table = FeatureTable { values, names, rows: Rows::default(), provenance: Provenance::default() };
    /// assert_eq!(table.non_finite(), Some((2, 1, 0)));
    /// ```
    pub fn non_finite(&self) -> Option<(usize, usize, usize)> {
        let mut places = self.values.indexed_iter().filter(|(_, value)| !value.is_finite());
        let ((row, column), _) = places.next()?;
        Some((1 + places.count(), row, column))
    }

    /// Whether values, names and rows fit together.
    ///
    /// # Errors
    ///
    /// [`FeatureError::Lengths`], [`FeatureError::DuplicateRows`], [`FeatureError::DuplicateColumn`].
    pub fn check(&self) -> Result<(), FeatureError> {
        let (n_rows, n_columns) = self.values.dim();
        if self.names.len() != n_columns {
            return Err(FeatureError::Lengths {
                what: "names".to_owned(),
                found: self.names.len(),
                expected: n_columns,
            });
        }
        self.rows.check(n_rows)?;
        let mut seen: HashSet<&str> = ID_COLUMNS.into();
        let names = self.rows.extra.iter().map(|(name, _)| name).chain(&self.names);
        match names.into_iter().find(|name| !seen.insert(name.as_str())) {
            Some(column) => Err(FeatureError::DuplicateColumn { column: column.clone() }),
            None => Ok(()),
        }
    }
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.slice_id.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.slice_id.is_empty()
    }

    /// The rows of these indices, in their order.
    ///
    /// # Panics
    ///
    /// Where an index is not below [`Self::len`].
    pub fn select(&self, indices: &[usize]) -> Self {
        fn pick<T: Clone>(cells: &[T], indices: &[usize]) -> Vec<T> {
            indices.iter().map(|&index| cells[index].clone()).collect()
        }
        Self {
            slice_id: pick(&self.slice_id, indices),
            scan_id: pick(&self.scan_id, indices),
            patient_id: pick(&self.patient_id, indices),
            label: pick(&self.label, indices),
            site: pick(&self.site, indices),
            split: pick(&self.split, indices),
            extra: self
                .extra
                .iter()
                .map(|(name, cells)| (name.clone(), pick(cells, indices)))
                .collect(),
        }
    }

    /// Adds rows with the same extra columns.
    ///
    /// # Panics
    ///
    /// Where the extra columns differ.
    pub fn append(&mut self, mut other: Self) {
        if self.is_empty() && self.extra.is_empty() {
            *self = other;
            return;
        }
        let names = |rows: &Self| rows.extra.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(self), names(&other), "rows with different extra columns");
        self.slice_id.append(&mut other.slice_id);
        self.scan_id.append(&mut other.scan_id);
        self.patient_id.append(&mut other.patient_id);
        self.label.append(&mut other.label);
        self.site.append(&mut other.site);
        self.split.append(&mut other.split);
        for ((_, cells), (_, more)) in self.extra.iter_mut().zip(&mut other.extra) {
            cells.append(more);
        }
    }

    /// Whether every column has `expected` entries and no `slice_id` stands twice.
    fn check(&self, expected: usize) -> Result<(), FeatureError> {
        let fixed = [
            self.slice_id.len(),
            self.scan_id.len(),
            self.patient_id.len(),
            self.label.len(),
            self.site.len(),
            self.split.len(),
        ];
        let fixed = ID_COLUMNS.into_iter().zip(fixed);
        let extra = self.extra.iter().map(|(name, cells)| (name.as_str(), cells.len()));
        for (what, found) in fixed.chain(extra) {
            if found != expected {
                return Err(FeatureError::Lengths {
                    what: what.to_owned(),
                    found,
                    expected,
                });
            }
        }
        let distinct = self.slice_id.iter().collect::<HashSet<_>>().len();
        match expected - distinct {
            0 => Ok(()),
            repeated => Err(FeatureError::DuplicateRows {
                repeated,
                rows: expected,
            }),
        }
    }
}

impl Provenance {
    /// The fields in which two tables differ.
    ///
    /// ```
    /// use hounsfield::features::Provenance;
    /// let a = Provenance { layer: "z_mean".to_owned(), ..Provenance::default() };
    /// assert_eq!(a.differences(&Provenance::default()), ["layer"]);
    /// ```
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            ("encoder", self.encoder != other.encoder),
            ("layer", self.layer != other.layer),
            ("weights", self.weights != other.weights),
            ("card", self.card != other.card),
            ("untrained", self.untrained != other.untrained),
            ("preprocess", self.preprocess != other.preprocess),
            ("preprocess_sha256", self.preprocess_sha256 != other.preprocess_sha256),
            ("watermarks", self.watermarks != other.watermarks),
            ("pseudonyms", self.pseudonyms != other.pseudonyms),
            ("source", self.source != other.source),
            ("pooled", self.pooled != other.pooled),
            ("hounsfield", self.hounsfield != other.hounsfield),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }
}
