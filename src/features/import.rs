//! Feature matrices from elsewhere, joined with a label table that says whose they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use ndarray::{Array1, Array2};

use super::{
    FeatureError, FeatureTable, ID_COLUMNS, Provenance, Rows,
    columns::Columns,
    export::beside,
    matrix::{Cells, Matrix, Wanted, read_matrix},
    song2020,
    store::PROVENANCE_KEY,
};
use crate::{
    ct::Pseudonymizer,
    tables::{FileKind, ParquetTable, TableError, TextTable, looks_identifying, read_sheet, read_table, sha256_file},
};

/// How a matrix and its label table are read and joined.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportOptions {
    /// The label table; without one the matrix's own columns are used.
    pub labels: Option<PathBuf>,
    /// Sheet of the matrix, if it is a workbook; the first by default.
    pub sheet: Option<String>,
    /// Sheet of the label table.
    pub label_sheet: Option<String>,
    /// Key column of the matrix; without one rows are joined by their order. The six-file format's is `name`.
    pub on: Option<String>,
    /// Key column of the label table, where it is named otherwise.
    pub labels_on: Option<String>,
    /// Column that names the slice; by default the key, else the row's number.
    pub id: Option<String>,
    /// Column that names the scan; by default the patient.
    pub scan: Option<String>,
    /// Column that names the patient. Required.
    pub patient: Option<String>,
    /// Column of the class.
    pub label: Option<String>,
    /// Column of the hospital or source.
    pub site: Option<String>,
    /// Which columns are features.
    pub features: FeatureColumns,
    /// Name of the layer; of the six-file format it chooses the file.
    pub layer: Option<String>,
    /// Columns that are kept although their names look identifying.
    pub keep: Vec<String>,
}

/// Which columns of the matrix are features.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FeatureColumns {
    /// Those whose names start so and that have no other use.
    Prefix(String),
    /// These, in this order.
    List(Vec<String>),
    /// All that hold numbers only, have no other use, are not in the label table, and do not look identifying.
    #[default]
    NumericRest,
}

/// An imported table, and what to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The table.
    pub table: FeatureTable,
    /// Columns that were left out since their names look identifying; [`ImportOptions::keep`] brings one back.
    pub withheld: Vec<String>,
    /// What else the user should know, e.g. that values were rounded.
    pub notes: Vec<String>,
}

/// Reads a matrix (CSV, NumPy, Parquet, Excel, the six-file format of Song 2020) and joins it with its label table.
///
/// Patients, scans and slices pass through `ids`. All other columns of the label table and all columns of the matrix
/// that are no features become extra columns, but for those whose names look identifying; a column named `split`
/// becomes the split.
///
/// # Errors
///
/// [`FeatureError`]: no patient column, rows without a partner, cells that are no numbers, and the errors of reading.
pub fn import(path: &Path, options: &ImportOptions, ids: &Pseudonymizer) -> Result<Imported, FeatureError> {
    let Some(patient) = &options.patient else {
        return Err(FeatureError::NoPatientColumn);
    };
    let labels = match &options.labels {
        Some(path) => Some(match &options.label_sheet {
            Some(sheet) => read_sheet(path, Some(sheet))?,
            None => read_table(path)?,
        }),
        None => None,
    };
    let (matrix, layer, files) = read(path, options, labels.as_ref())?;
    let Matrix {
        columns,
        n_rows,
        mut notes,
    } = matrix;
    let (mut features, mut texts) = (Vec::new(), BTreeMap::new());
    let mut order = Vec::new();
    for (name, cells) in columns {
        match cells {
            Cells::Numbers(values) => features.push((name, values)),
            Cells::Text(cells) => {
                if options.features == FeatureColumns::NumericRest && !options.mapped(&name) {
                    notes.extend(mostly_numbers(&name, &cells));
                }
                order.push(name.clone());
                texts.insert(name, cells);
            }
        }
    }
    if let FeatureColumns::List(list) = &options.features {
        let names = || features.iter().map(|(name, _)| name.as_str());
        if let Some(missing) = list.iter().find(|listed| !names().any(|name| name == *listed)) {
            return Err(TableError::no_column(missing, names().chain(order.iter().map(String::as_str))).into());
        }
        let place = |name: &str| list.iter().position(|listed| listed == name);
        features.retain(|(name, _)| place(name).is_some());
        features.sort_by_key(|(name, _)| place(name));
    }
    if let FeatureColumns::Prefix(prefix) = &options.features {
        features.retain(|(name, _)| name.starts_with(prefix.as_str())); // a NumPy file's names are ours
    }
    if features.is_empty() {
        let asked = match &options.features {
            FeatureColumns::Prefix(prefix) => format!("none starts with {prefix:?}"),
            FeatureColumns::List(_) => "the list is empty".to_owned(),
            FeatureColumns::NumericRest => "none that has no other use holds numbers only".to_owned(),
        };
        return Err(FeatureError::NoFeatureColumns {
            asked,
            columns: order,
            path: path.to_owned(),
        });
    }

    let columns = Columns::joined(texts, order, labels, n_rows, options, &mut notes)?;
    let patients = columns.get(patient)?;
    let without = patients.iter().filter(|cell| blank(cell)).count();
    if without > 0 {
        return Err(FeatureError::NoPatient {
            rows: without,
            of: n_rows,
            column: patient.clone(),
        });
    }
    let patients: Vec<&str> = patients.iter().flatten().map(|cell| cell.trim()).collect();
    let slice_id = match options.id.as_ref().or(options.on.as_ref()) {
        Some(name) => {
            let cells = columns.get(name)?;
            let rows = cells.iter().filter(|cell| blank(cell)).count();
            if rows > 0 {
                return Err(FeatureError::NullIds {
                    column: name.clone(),
                    rows,
                    path: path.to_owned(),
                });
            }
            cells.iter().flatten().map(|cell| ids.slice(cell.trim())).collect()
        }
        None => (0..n_rows).map(|row| format!("row-{row:06}")).collect(),
    };
    let pseudonyms: Vec<String> = patients.iter().map(|patient| ids.patient(patient)).collect();
    let scan_id = match &options.scan {
        Some(name) => scan_ids(columns.get(name)?, &patients, &pseudonyms, ids, &mut notes),
        None => pseudonyms.clone(),
    };
    let optional = |name: Option<&String>| -> Result<Vec<Option<String>>, TableError> {
        match name {
            Some(name) => {
                let trimmed = |cell: &Option<String>| cell.as_ref().map(|text| text.trim().to_owned());
                Ok(columns
                    .get(name)?
                    .iter()
                    .map(trimmed)
                    .map(|cell| cell.filter(|text| !text.is_empty()))
                    .collect())
            }
            None => Ok(vec![None; n_rows]),
        }
    };
    let has_split = columns.names.iter().any(|name| name == "split") && !options.mapped("split");
    // Where identifiers are kept they may stand in other columns too.
    let hidden = if ids.keeps() { &[][..] } else { &patients };
    let names = features.iter().map(|(name, _)| name.as_str());
    let (extra, withheld) = columns.extra(options, has_split, hidden, names)?;
    let rows = Rows {
        slice_id,
        scan_id,
        patient_id: pseudonyms,
        label: optional(options.label.as_ref())?,
        site: optional(options.site.as_ref())?,
        split: optional(has_split.then(|| "split".to_owned()).as_ref())?,
        extra,
    };
    let mut values = Array2::zeros((n_rows, features.len()));
    let mut names = Vec::with_capacity(features.len());
    for ((name, cells), mut column) in features.into_iter().zip(values.columns_mut()) {
        column.assign(&Array1::from(cells));
        names.push(name);
    }
    let sources = files.iter().chain(&options.labels).map(|file| {
        // The name alone: a folder's name may be a patient's or a user's.
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("{name} (sha256 {})", sha256_file(file)?))
    });
    // A table of ours that comes back brings its making, and every mark, with it.
    let made = match made_by(path)? {
        Some(made) => {
            notes.push("the table was written by hounsfield: its encoder, preprocessing and marks are kept".to_owned());
            made
        }
        None => Provenance {
            encoder: "imported".to_owned(),
            layer,
            ..Provenance::default()
        },
    };
    let provenance = Provenance {
        pseudonyms: ids.patient("x") != "x",
        source: sources.collect::<Result<Vec<_>, TableError>>()?.join("; "),
        hounsfield: env!("CARGO_PKG_VERSION").to_owned(),
        ..made
    };
    let table = FeatureTable {
        values,
        names,
        rows,
        provenance,
    };
    table.check()?;
    Ok(Imported { table, withheld, notes })
}

/// What to say of a column that would be a feature but for a few cells.
fn mostly_numbers(name: &str, cells: &[Option<String>]) -> Option<String> {
    let is_number = |cell: &Option<String>| cell.as_deref().is_none_or(|text| text.trim().parse::<f64>().is_ok());
    let odd = cells.iter().filter(|cell| !is_number(cell)).count();
    let first = cells.iter().position(|cell| !is_number(cell))?;
    (odd * 10 <= cells.len()).then(|| {
        format!(
            "column `{name}` is no feature: {odd} of {} cells are no numbers (first: row {}); mend them, or name it among the feature columns to get an error",
            cells.len(),
            first + 1
        )
    })
}

/// The provenance in a file of ours, or beside it.
fn made_by(path: &Path) -> Result<Option<Provenance>, FeatureError> {
    let failed = |source| FeatureError::Provenance {
        source,
        path: path.to_owned(),
    };
    let beside = beside(path, "provenance.json")?;
    if path.is_file() && FileKind::of(path)? == FileKind::Parquet {
        let table = ParquetTable::open(path)?;
        return match table.metadata().get(PROVENANCE_KEY) {
            Some(json) => serde_json::from_str(json).map(Some).map_err(failed),
            None => Ok(None),
        };
    }
    match std::fs::read_to_string(beside) {
        Ok(json) => serde_json::from_str(&json).map(Some).map_err(failed),
        Err(_) => Ok(None),
    }
}

impl ImportOptions {
    /// Whether the column has a use that is named.
    pub(super) fn mapped(&self, column: &str) -> bool {
        let uses = [
            &self.on,
            &self.labels_on,
            &self.id,
            &self.scan,
            &self.patient,
            &self.label,
            &self.site,
        ];
        uses.into_iter().flatten().any(|name| name == column)
    }
}

/// The matrix, its layer's name and the files that it was read from.
fn read(
    path: &Path,
    options: &ImportOptions,
    labels: Option<&TextTable>,
) -> Result<(Matrix, String, Vec<PathBuf>), FeatureError> {
    if path.is_dir() || song2020::is_song(path) {
        let song = song2020::read_song(path, options.layer.as_deref())?;
        return Ok((song.matrix, song.layer, song.files));
    }
    let described: BTreeSet<&str> = labels.into_iter().flat_map(TextTable::names).collect();
    let wanted = |name: &str| match &options.features {
        FeatureColumns::List(list) if list.iter().any(|listed| listed == name) => Wanted::Numbers,
        _ if options.mapped(name) => Wanted::Text,
        FeatureColumns::Prefix(prefix) if name.starts_with(prefix.as_str()) => Wanted::Numbers,
        FeatureColumns::NumericRest => {
            // pandas' names of an index that had none.
            let index = ["__index_level_0__", "Unnamed: 0"].contains(&name);
            let other = index || ID_COLUMNS.contains(&name) || described.contains(name) || looks_identifying(name);
            if other { Wanted::Text } else { Wanted::NumbersIfAll }
        }
        _ => Wanted::Text,
    };
    let matrix = read_matrix(path, options.sheet.as_deref(), &wanted)?;
    Ok((matrix, options.layer.clone().unwrap_or_default(), vec![path.to_owned()]))
}

fn blank(cell: &Option<String>) -> bool {
    cell.as_ref().is_none_or(|text| text.trim().is_empty())
}

/// Pseudonyms of scans; a scan without a name is the patient's only one. Names such as `1` that several patients have
/// are of different scans.
fn scan_ids(
    scans: &[Option<String>],
    patients: &[&str],
    pseudonyms: &[String],
    ids: &Pseudonymizer,
    notes: &mut Vec<String>,
) -> Vec<String> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let mut shared: BTreeSet<&str> = BTreeSet::new();
    for (scan, patient) in scans.iter().zip(patients) {
        let Some(scan) = scan.as_deref().map(str::trim) else {
            continue;
        };
        if *owners.entry(scan).or_insert(patient) != *patient {
            shared.insert(scan);
        }
    }
    if !shared.is_empty() {
        notes.push(format!(
            "{} scan names stand with several patients and were read as different scans",
            shared.len()
        ));
    }
    let rows = scans.iter().zip(patients).zip(pseudonyms);
    rows.map(|((scan, patient), pseudonym)| match scan.as_deref().map(str::trim) {
        None | Some("") => pseudonym.clone(),
        Some(scan) if shared.contains(scan) => ids.scan(&format!("{patient}/{scan}")),
        Some(scan) => ids.scan(scan),
    })
    .collect()
}
