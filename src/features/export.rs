//! Feature tables for other programs: CSV, NumPy, safetensors.
//!
//! The values go out bit for bit (CSV: the shortest text that parses back to the same 32-bit float). Beside a NumPy or
//! safetensors file stands `NAME.rows.csv` with whose the rows are, and beside a CSV or NumPy file `NAME.provenance.json`
//! with where they come from and the words that every output must carry; safetensors holds the provenance itself.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use ndarray_npy::{WriteNpyError, WriteNpyExt as _};

use super::{FeatureError, FeatureTable, ID_COLUMNS, Rows};
use crate::tables::{atomic_write, float32_text, write_csv, write_error};

/// Writes ids, extra columns and features as one CSV file, and the provenance beside it. Gives the files' paths.
///
/// # Errors
///
/// [`FeatureTable::check`]'s, and [`FeatureError::Write`].
pub fn export_csv(path: &Path, table: &FeatureTable) -> Result<Vec<PathBuf>, FeatureError> {
    table.check()?;
    let header: Vec<String> = row_header(&table.rows)
        .into_iter()
        .chain(table.names.iter().cloned())
        .collect();
    let rows = table.values.rows().into_iter().enumerate().map(|(index, values)| {
        let mut cells = row_cells(&table.rows, index);
        cells.extend(values.iter().map(|value| float32_text(*value)));
        cells
    });
    write_csv(path, &header, rows)?;
    Ok(vec![path.to_owned(), write_provenance(path, table)?])
}

/// Writes the `[N, F]` values as float32 `.npy`, the rows and the provenance beside it. Gives the files' paths.
///
/// # Errors
///
/// [`FeatureTable::check`]'s, and [`FeatureError::Write`].
pub fn export_npy(path: &Path, table: &FeatureTable) -> Result<Vec<PathBuf>, FeatureError> {
    table.check()?;
    atomic_write(path, |file| {
        table.values.write_npy(file).map_err(|error| match error {
            WriteNpyError::Io(error) => error,
            other => io::Error::other(other),
        })
    })?;
    Ok(vec![
        path.to_owned(),
        write_rows(path, table)?,
        write_provenance(path, table)?,
    ])
}

/// Writes the values as the tensor `features` `[N, F]` of a safetensors file, whose metadata holds the column names
/// (`names`) and the `provenance` as JSON, and the rows beside it. Gives the files' paths.
///
/// The format: <https://github.com/huggingface/safetensors#format>.
///
/// # Errors
///
/// [`FeatureTable::check`]'s, and [`FeatureError::Write`].
pub fn export_safetensors(path: &Path, table: &FeatureTable) -> Result<Vec<PathBuf>, FeatureError> {
    table.check()?;
    let names = serde_json::to_string(&table.names).map_err(io::Error::from);
    let provenance = serde_json::to_string(&table.provenance).map_err(io::Error::from);
    let failed = |source| write_error(source, path);
    let (names, provenance) = (names.map_err(failed)?, provenance.map_err(failed)?);
    let (n_rows, n_columns) = table.values.dim();
    let header = serde_json::json!({
        "__metadata__": { "names": names, "provenance": provenance },
        "features": { "dtype": "F32", "shape": [n_rows, n_columns], "data_offsets": [0, n_rows * n_columns * 4] },
    });
    let mut header = header.to_string();
    // The tensor starts at a multiple of eight bytes.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    atomic_write(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        table
            .values
            .iter()
            .try_for_each(|value| file.write_all(&value.to_le_bytes()))
    })?;
    Ok(vec![path.to_owned(), write_rows(path, table)?])
}

fn write_rows(path: &Path, table: &FeatureTable) -> Result<PathBuf, FeatureError> {
    let beside = beside(path, "rows.csv")?;
    let cells = (0..table.rows.len()).map(|index| row_cells(&table.rows, index));
    write_csv(&beside, &row_header(&table.rows), cells)?;
    Ok(beside)
}

fn write_provenance(path: &Path, table: &FeatureTable) -> Result<PathBuf, FeatureError> {
    let beside = beside(path, "provenance.json")?;
    atomic_write(&beside, |file| {
        serde_json::to_writer_pretty(&mut *file, &table.provenance)?;
        file.write_all(b"\n")
    })?;
    Ok(beside)
}

/// `folder/name.rows.csv` for `folder/name.npy`.
pub(super) fn beside(path: &Path, ending: &str) -> Result<PathBuf, FeatureError> {
    let stem = path
        .file_stem()
        .ok_or_else(|| FeatureError::FileName { path: path.to_owned() })?;
    let mut name = stem.to_owned();
    name.push(".");
    name.push(ending);
    Ok(path.with_file_name(name))
}

fn row_header(rows: &Rows) -> Vec<String> {
    let fixed = ID_COLUMNS.iter().map(|name| (*name).to_owned());
    fixed.chain(rows.extra.iter().map(|(name, _)| name.clone())).collect()
}

fn row_cells(rows: &Rows, index: usize) -> Vec<String> {
    let ids = [&rows.slice_id, &rows.scan_id, &rows.patient_id]
        .into_iter()
        .map(|cells| cells[index].clone());
    let text = [&rows.label, &rows.site, &rows.split].into_iter();
    let text = text.chain(rows.extra.iter().map(|(_, cells)| cells));
    ids.chain(text.map(|cells| cells[index].clone().unwrap_or_default()))
        .collect()
}
