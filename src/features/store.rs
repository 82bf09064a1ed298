//! Feature tables as Parquet: one file, or a folder of files that is the same table.
//!
//! Columns: the six of the rows, the user's own as text, then the features as 32-bit floats. The provenance is one JSON
//! object under the key [`PROVENANCE_KEY`] of the file's metadata.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use ndarray::{Array2, ArrayView2};

use super::{FeatureError, FeatureTable, ID_COLUMNS, Provenance, Rows};
use crate::tables::{ColumnData, ColumnKind, ParquetKind, ParquetTable, ParquetWriter, atomic_write, sha256_file};

/// The key of the provenance in the metadata.
pub(super) const PROVENANCE_KEY: &str = "hounsfield.provenance";

/// Rows of a row group: a reader holds one group of thousands of columns at a time.
pub(super) const GROUP: usize = 4096;

/// Writes one Parquet file, atomically.
///
/// # Errors
///
/// [`FeatureTable::check`]'s, and [`FeatureError::Write`].
pub fn write_features(path: &Path, table: &FeatureTable) -> Result<(), FeatureError> {
    table.check()?;
    let extra: Vec<String> = table.rows.extra.iter().map(|(name, _)| name.clone()).collect();
    let metadata = metadata(&table.provenance);
    atomic_write(path, |file| {
        let mut writer = ParquetWriter::new(file, &schema(&extra, &table.names), &metadata)?;
        for start in (0..table.rows.len()).step_by(GROUP) {
            let end = (start + GROUP).min(table.rows.len());
            let rows = table.rows.select(&(start..end).collect::<Vec<_>>());
            write_group(&mut writer, rows, table.values.slice(ndarray::s![start..end, ..]))?;
        }
        writer.finish()
    })?;
    Ok(())
}

/// Reads a file, or all `*.parquet` of a folder in the order of their names.
///
/// A Parquet file without our provenance is read too where it has the id columns: its float columns are the features
/// (only those named `f` and digits, if there are such), 64-bit floats are rounded, and both are said in the log.
///
/// # Errors
///
/// [`FeatureError`]: rows that repeat, parts that don't belong together, columns that are missing or no floats. NaN and
/// infinities are read; [`FeatureTable::non_finite`] counts them.
pub fn read_features(path: &Path) -> Result<FeatureTable, FeatureError> {
    let paths = if path.is_dir() {
        parquet_files(path)?
    } else {
        vec![path.to_owned()]
    };
    let first = paths
        .first()
        .ok_or_else(|| FeatureError::NoParts { path: path.to_owned() })?;
    let first = FeatureFile::open(first)?;
    // Counted first: the values are then held once, and only one part is open at a time.
    let counts = paths.iter().map(|path| Ok(ParquetTable::open(path)?.n_rows()));
    let n_rows = counts.sum::<Result<usize, FeatureError>>()?;
    let mut values = Array2::zeros((n_rows, first.features.len()));
    let mut rows = Rows::default();
    for path in &paths {
        let file = FeatureFile::open(path)?;
        file.same_as(&first)?;
        for group in 0..file.table.group_rows().len() {
            let part = file.values(group)?;
            let start = rows.len();
            values
                .slice_mut(ndarray::s![start..start + part.nrows(), ..])
                .assign(&part);
            rows.append(file.rows(group)?);
        }
    }
    if rows.is_empty() {
        rows.extra = first.extra.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
    }
    let names = first.names();
    let provenance = first.provenance;
    let table = FeatureTable {
        values,
        names,
        rows,
        provenance,
    };
    table.check()?;
    Ok(table)
}

/// The `*.parquet` of a folder, sorted.
pub(super) fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>, FeatureError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let paths = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        let hidden = |path: &Path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']))
        };
        let parquet = |path: &Path| path.extension().is_some_and(|extension| extension == "parquet");
        let mut paths: Vec<_> = paths
            .into_iter()
            .filter(|path| parquet(path) && !hidden(path))
            .collect();
        paths.sort();
        Ok(paths)
    };
    list().map_err(|source| FeatureError::Folder {
        source,
        path: folder.to_owned(),
    })
}

/// The metadata that carries a provenance.
pub(super) fn metadata(provenance: &Provenance) -> BTreeMap<String, String> {
    let json = serde_json::to_string(provenance).expect("strings, booleans and lists of strings are JSON");
    BTreeMap::from([(PROVENANCE_KEY.to_owned(), json)])
}

/// Names and types of the columns.
pub(super) fn schema(extra: &[String], names: &[String]) -> Vec<(String, ColumnKind)> {
    let text = ID_COLUMNS
        .iter()
        .map(|name| (*name).to_owned())
        .chain(extra.iter().cloned());
    let text = text.map(|name| (name, ColumnKind::Text));
    text.chain(names.iter().map(|name| (name.clone(), ColumnKind::Float32)))
        .collect()
}

/// Writes rows and their `[B, F]` values as one group.
pub(super) fn write_group<W: io::Write + Send>(
    writer: &mut ParquetWriter<W>,
    rows: Rows,
    values: ArrayView2<'_, f32>,
) -> io::Result<()> {
    let n_rows = rows.len();
    let ids = [rows.slice_id, rows.scan_id, rows.patient_id].map(|cells| cells.into_iter().map(Some).collect());
    let text = ids.into_iter().chain([rows.label, rows.site, rows.split]);
    let text = text
        .chain(rows.extra.into_iter().map(|(_, cells)| cells))
        .map(ColumnData::Text);
    let features = values
        .columns()
        .into_iter()
        .map(|column| ColumnData::Float32(column.to_vec()));
    writer.write_group(text.chain(features), 0..n_rows)
}

/// An open Parquet file that was found to be a feature table.
pub(super) struct FeatureFile {
    pub(super) table: ParquetTable,
    ids: [usize; 6],
    pub(super) extra: Vec<(String, usize)>,
    pub(super) features: Vec<(String, usize)>,
    pub(super) provenance: Provenance,
    path: PathBuf,
}

impl FeatureFile {
    pub(super) fn open(path: &Path) -> Result<Self, FeatureError> {
        let table = ParquetTable::open(path)?;
        let mut ids = [0; 6];
        for (place, name) in ids.iter_mut().zip(ID_COLUMNS) {
            let missing = |_| FeatureError::NotFeatures {
                column: name.to_owned(),
                path: path.to_owned(),
            };
            *place = table.position(name).map_err(missing)?;
        }
        let stated = match table.metadata().get(PROVENANCE_KEY) {
            Some(json) => {
                let failed = |source| FeatureError::Provenance {
                    source,
                    path: path.to_owned(),
                };
                Some(serde_json::from_str(json).map_err(failed)?)
            }
            None => None,
        };
        // In a table of ours all text is about the row; elsewhere a float may be an age, so that names decide.
        let numbered = stated.is_none() && table.columns().iter().any(|column| is_numbered(&column.name));
        let (mut extra, mut features) = (Vec::new(), Vec::new());
        for (index, column) in table
            .columns()
            .iter()
            .enumerate()
            .filter(|(index, _)| !ids.contains(index))
        {
            let is_feature = if numbered {
                is_numbered(&column.name)
            } else {
                column.kind.is_float()
            };
            match (is_feature, column.kind.is_float()) {
                (true, true) => features.push((column.name.clone(), index)),
                (true, false) => {
                    let (column, found) = (column.name.clone(), column.kind.words());
                    return Err(FeatureError::NotFloat {
                        column,
                        found,
                        path: path.to_owned(),
                    });
                }
                (false, _) => extra.push((column.name.clone(), index)),
            }
        }
        if features.is_empty() {
            return Err(FeatureError::NoFeatures { path: path.to_owned() });
        }
        let rounded = |(_, index): &&(String, usize)| table.columns()[*index].kind == ParquetKind::Float64;
        match features.iter().filter(rounded).count() {
            0 => {}
            n => tracing::warn!("{n} feature columns hold 64-bit floats, rounded to 32 bits: {path:?}"),
        }
        let provenance = match stated {
            Some(provenance) => provenance,
            None => {
                tracing::warn!("a table without provenance, not written by hounsfield: {path:?}");
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let source = format!("{name} (sha256 {})", sha256_file(path)?);
                Provenance {
                    encoder: "unknown".to_owned(),
                    source,
                    ..Provenance::default()
                }
            }
        };
        Ok(Self {
            table,
            ids,
            extra,
            features,
            provenance,
            path: path.to_owned(),
        })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.features.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Refuses a file that is no part of the same table.
    pub(super) fn same_as(&self, first: &Self) -> Result<(), FeatureError> {
        let (one, other) = (first.path.clone(), self.path.clone());
        // The source of a table without provenance is the file itself.
        let foreign = self.provenance.encoder == "unknown" && first.provenance.encoder == "unknown";
        let mut fields = first.provenance.differences(&self.provenance);
        fields.retain(|field| !(foreign && *field == "source"));
        if !fields.is_empty() {
            return Err(FeatureError::ProvenanceDiffers {
                fields,
                first: one,
                second: other,
            });
        }
        let names = |file: &Self| {
            file.extra
                .iter()
                .chain(&file.features)
                .map(|(name, _)| name.clone())
                .collect()
        };
        let (ours, theirs): (Vec<String>, Vec<String>) = (names(self), names(first));
        let differing = ours.iter().zip(&theirs).find(|(a, b)| a != b).map(|(a, _)| a.clone());
        let longer = if ours.len() > theirs.len() { &ours } else { &theirs };
        let rest = longer.get(ours.len().min(theirs.len())).cloned();
        match differing.or(rest) {
            Some(column) => Err(FeatureError::ColumnsDiffer {
                column,
                first: one,
                second: other,
            }),
            None => Ok(()),
        }
    }

    /// `[B, F]` of one row group.
    pub(super) fn values(&self, group: usize) -> Result<Array2<f32>, FeatureError> {
        let mut values = Array2::zeros((self.table.group_rows()[group], self.features.len()));
        for ((_, index), mut column) in self.features.iter().zip(values.columns_mut()) {
            column.assign(&ndarray::Array1::from(self.table.group_f32s(*index, group)?));
        }
        Ok(values)
    }

    /// The rows of one row group.
    pub(super) fn rows(&self, group: usize) -> Result<Rows, FeatureError> {
        let text = |index: usize| self.table.group_texts(index, group);
        let [slice, scan, patient, label, site, split] = self.ids;
        let extra = self.extra.iter().map(|(name, index)| Ok((name.clone(), text(*index)?)));
        Ok(Rows {
            slice_id: self.ids(slice, group)?,
            scan_id: self.ids(scan, group)?,
            patient_id: self.ids(patient, group)?,
            label: text(label)?,
            site: text(site)?,
            split: text(split)?,
            extra: extra.collect::<Result<_, FeatureError>>()?,
        })
    }

    /// The `slice_id`s of all groups, by group.
    pub(super) fn slice_ids(&self) -> Result<Vec<Vec<String>>, FeatureError> {
        (0..self.table.group_rows().len())
            .map(|group| self.ids(self.ids[0], group))
            .collect()
    }

    fn ids(&self, column: usize, group: usize) -> Result<Vec<String>, FeatureError> {
        let cells = self.table.group_texts(column, group)?;
        let rows = cells.iter().filter(|cell| cell.is_none()).count();
        if rows > 0 {
            let column = self.table.columns()[column].name.clone();
            return Err(FeatureError::NullIds {
                column,
                rows,
                path: self.path.clone(),
            });
        }
        Ok(cells.into_iter().flatten().collect())
    }
}

/// `f` and digits, as our own numbered features are named.
fn is_numbered(name: &str) -> bool {
    name.strip_prefix('f')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
