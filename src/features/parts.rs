//! A feature table that grows part by part, so that memory holds one part and an interrupted extraction goes on.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use ndarray::ArrayView2;

use super::{
    FeatureError, Provenance, Rows,
    store::{self, FeatureFile, PROVENANCE_KEY},
};
use crate::tables::{ParquetWriter, atomic_write};

/// The key of [`PartLayout::inputs`] in a part's metadata.
const INPUTS_KEY: &str = "hounsfield.inputs";

/// What all parts of a table have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct PartLayout {
    /// `F` names of the feature columns.
    pub names: Vec<String>,
    /// Names of the extra columns, as in [`Rows::extra`].
    pub extra: Vec<String>,
    /// What makes the values.
    pub provenance: Provenance,
    /// A hash of everything else that the rows depend on, e.g. of the cohort table. Parts of other inputs are not
    /// taken over.
    pub inputs: String,
    /// Rows of a part; 4096 is one row group.
    pub rows_per_part: usize,
}

/// What a [`PartWriter`] found in its folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resumed {
    /// The `slice_id`s of the parts that are kept, part by part: these need not be made again.
    pub rows: Vec<String>,
    /// Parts that were deleted, so that their rows are made again.
    pub removed: Vec<RemovedPart>,
}

/// A part that can't be used.
#[derive(Debug, Clone, PartialEq)]
pub struct RemovedPart {
    /// The file that was deleted.
    pub path: PathBuf,
    /// Why, e.g. that it is torn.
    pub reason: String,
}

/// Appends batches of rows to a folder of parts, each written whole or not at all.
#[derive(Debug)]
pub struct PartWriter {
    folder: PathBuf,
    layout: PartLayout,
    values: Vec<f32>,
    rows: Rows,
    written: HashSet<String>,
    next: usize,
}

impl PartWriter {
    /// Opens or makes the folder and takes over the parts that are in it.
    ///
    /// A part that is torn, of another layout or inputs, or that repeats rows is deleted and reported; so are temporary
    /// files of a run that was killed. One process writes to a folder at a time.
    ///
    /// # Errors
    ///
    /// [`FeatureError::StrangeFile`] for a Parquet file whose name is not a part's, [`FeatureError::Folder`].
    pub fn open(folder: &Path, layout: PartLayout) -> Result<(Self, Resumed), FeatureError> {
        let failed = |source| FeatureError::Folder {
            source,
            path: folder.to_owned(),
        };
        fs::create_dir_all(folder).map_err(failed)?;
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(".hounsfield-") && name.ends_with(".tmp") {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        let (mut resumed, mut written, mut next) = (Resumed::default(), HashSet::new(), 0);
        for path in store::parquet_files(folder)? {
            let number = part_number(&path).ok_or_else(|| FeatureError::StrangeFile { path: path.clone() })?;
            next = next.max(number + 1);
            match layout.rows_of(&path) {
                Ok(rows) if !rows.iter().any(|row| written.contains(row)) => {
                    written.extend(rows.iter().cloned());
                    resumed.rows.extend(rows);
                }
                other => {
                    let reason = other
                        .err()
                        .unwrap_or_else(|| "its rows stand in another part".to_owned());
                    fs::remove_file(&path).map_err(failed)?;
                    tracing::warn!("deleted a part that cannot be used, its rows are made again ({reason}): {path:?}");
                    resumed.removed.push(RemovedPart { path, reason });
                }
            }
        }
        let rows = layout.no_rows();
        let folder = folder.to_owned();
        Ok((
            Self {
                folder,
                layout,
                values: Vec::new(),
                rows,
                written,
                next,
            },
            resumed,
        ))
    }

    /// Adds a batch; writes a part whenever one is full.
    ///
    /// # Shapes
    ///
    /// - `values`: `[B, F]`, with `B` rows in `rows`
    ///
    /// # Errors
    ///
    /// [`FeatureError::Width`], [`FeatureError::Lengths`], [`FeatureError::DuplicateRows`] for a row that is there
    /// already, [`FeatureError::Write`].
    pub fn append(&mut self, values: ArrayView2<'_, f32>, rows: Rows) -> Result<(), FeatureError> {
        let (found, expected) = (values.ncols(), self.layout.names.len());
        if found != expected {
            return Err(FeatureError::Width { found, expected });
        }
        rows.check(values.nrows())?;
        if let Some(column) = differing(rows.extra.iter().map(|(name, _)| name), self.layout.extra.iter()) {
            let (first, second) = (self.folder.clone(), self.folder.clone());
            return Err(FeatureError::ColumnsDiffer { column, first, second });
        }
        let repeated = rows.slice_id.iter().filter(|row| self.written.contains(*row)).count();
        if repeated > 0 {
            return Err(FeatureError::DuplicateRows {
                repeated,
                rows: rows.len(),
            });
        }
        self.written.extend(rows.slice_id.iter().cloned());
        self.values.extend(values.iter());
        self.rows.append(rows);
        while self.rows.len() >= self.layout.rows_per_part.max(1) {
            self.write_part(self.layout.rows_per_part.max(1))?;
        }
        Ok(())
    }

    /// Writes what is held as a part of its own; for a run that is being stopped.
    ///
    /// # Errors
    ///
    /// [`FeatureError::Write`].
    pub fn flush(&mut self) -> Result<(), FeatureError> {
        match self.rows.len() {
            0 => Ok(()),
            n => self.write_part(n),
        }
    }

    /// Writes the last part; a table without rows gets one part without rows.
    ///
    /// # Errors
    ///
    /// [`FeatureError::Write`].
    pub fn finish(mut self) -> Result<(), FeatureError> {
        if self.written.is_empty() {
            return self.write_part(0);
        }
        self.flush()
    }

    fn write_part(&mut self, n: usize) -> Result<(), FeatureError> {
        let width = self.layout.names.len();
        let values = ArrayView2::from_shape((n, width), &self.values[..n * width])
            .expect("the values have the names' width, checked on the way in");
        let path = self.folder.join(format!("part-{:05}.parquet", self.next));
        let rows = self.rows.select(&(0..n).collect::<Vec<_>>());
        let schema = store::schema(&self.layout.extra, &self.layout.names);
        atomic_write(&path, |file| {
            let mut writer = ParquetWriter::new(file, &schema, &self.layout.metadata())?;
            store::write_group(&mut writer, rows, values)?;
            writer.finish()
        })?;
        self.next += 1;
        self.values.drain(..n * width);
        self.rows = self.rows.select(&(n..self.rows.len()).collect::<Vec<_>>());
        Ok(())
    }
}

impl PartLayout {
    fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = store::metadata(&self.provenance);
        metadata.insert(INPUTS_KEY.to_owned(), self.inputs.clone());
        metadata
    }

    fn no_rows(&self) -> Rows {
        let extra = self.extra.iter().map(|name| (name.clone(), Vec::new())).collect();
        Rows {
            extra,
            ..Rows::default()
        }
    }

    /// The rows of a part of this layout, or why it is none.
    fn rows_of(&self, path: &Path) -> Result<Vec<String>, String> {
        let file = FeatureFile::open(path).map_err(|error| format!("torn or foreign: {error}"))?;
        let metadata = file.table.metadata();
        let fields = file.provenance.differences(&self.provenance);
        if !metadata.contains_key(PROVENANCE_KEY) || !fields.is_empty() {
            return Err(format!("made differently: {}", fields.join(", ")));
        }
        if metadata.get(INPUTS_KEY) != Some(&self.inputs) {
            return Err("made from other inputs".to_owned());
        }
        let names = file.extra.iter().chain(&file.features).map(|(name, _)| name);
        if let Some(column) = differing(names, self.extra.iter().chain(&self.names)) {
            return Err(format!("other columns, the first is {column:?}"));
        }
        let rows = file.slice_ids().map_err(|error| format!("torn: {error}"))?;
        Ok(rows.into_iter().flatten().collect())
    }
}

/// The `slice_id`s in a folder of parts, part by part; none where there is no folder yet.
///
/// # Errors
///
/// [`FeatureError`] of a part that can't be read; [`PartWriter::open`] deletes such a part.
pub fn existing_rows(folder: &Path) -> Result<Vec<String>, FeatureError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for path in store::parquet_files(folder)? {
        rows.extend(FeatureFile::open(&path)?.slice_ids()?.into_iter().flatten());
    }
    Ok(rows)
}

/// The first name in which two lists differ.
fn differing<'a>(a: impl Iterator<Item = &'a String>, b: impl Iterator<Item = &'a String>) -> Option<String> {
    let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
    let n = a.len().max(b.len());
    (0..n)
        .find(|&i| a.get(i) != b.get(i))
        .and_then(|i| a.get(i).or(b.get(i)).map(|name| (*name).clone()))
}

/// The number of `part-00012.parquet`.
fn part_number(path: &Path) -> Option<usize> {
    path.file_name()?
        .to_str()?
        .strip_prefix("part-")?
        .strip_suffix(".parquet")?
        .parse()
        .ok()
}
