//! A feature table that grows part by part, so that memory holds one part and an interrupted extraction goes on.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use ndarray::{Array2, ArrayView2};

use super::{
    FeatureError, Provenance, Rows,
    store::{self, FeatureFile, GROUP, PROVENANCE_KEY},
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

/// Writes the parts of a folder as one file, atomically, and gives the number of rows.
///
/// Memory holds one row group of a part and one of the result, and the names of the rows. `rows` holds every
/// `slice_id` once, in the order of the result, with the columns that stand beside the features: the parts only give the
/// values, so that labels and splits may change between them. Without it order and columns are those of the parts. A part
/// is read again for each group of the result that needs it, so an order near the parts' own is fast.
///
/// # Errors
///
/// [`FeatureError::Order`] where the parts hold other rows than `rows`, [`FeatureError::DuplicateRows`],
/// [`FeatureError::ProvenanceDiffers`], and the errors of reading and writing.
pub fn merge_parts(folder: &Path, out: &Path, rows: Option<&Rows>) -> Result<usize, FeatureError> {
    let paths = store::parquet_files(folder)?;
    let first = paths.first().ok_or_else(|| FeatureError::NoParts {
        path: folder.to_owned(),
    })?;
    let first = FeatureFile::open(first)?;
    // Where each row is: part, row group, row in the group.
    let mut places: Vec<(String, Place)> = Vec::new();
    for (part, path) in paths.iter().enumerate() {
        let file = FeatureFile::open(path)?;
        file.same_as(&first)?;
        for (group, ids) in file.slice_ids()?.into_iter().enumerate() {
            let located = ids
                .into_iter()
                .enumerate()
                .map(|(row, id)| (id, Place { part, group, row }));
            places.extend(located);
        }
    }
    let places = match rows {
        None => {
            let distinct = places.iter().map(|(id, _)| id).collect::<HashSet<_>>().len();
            check_repeats(places.len(), distinct)?;
            places.into_iter().map(|(_, place)| place).collect()
        }
        Some(rows) => in_order(places, &rows.slice_id)?,
    };
    let extra: Vec<String> = match rows {
        None => first.extra.iter().map(|(name, _)| name.clone()).collect(),
        Some(rows) => rows.extra.iter().map(|(name, _)| name.clone()).collect(),
    };
    let schema = store::schema(&extra, &first.names());
    let mut groups = Groups {
        paths: &paths,
        held: None,
    };
    let mut failed = None;
    let written = atomic_write(out, |file| {
        let mut writer = ParquetWriter::new(file, &schema, &store::metadata(&first.provenance))?;
        for (group, places) in places.chunks(GROUP).enumerate() {
            match groups.gather(places, first.features.len()) {
                Ok((found, values)) => {
                    let start = group * GROUP;
                    let given = rows.map(|rows| rows.select(&(start..start + places.len()).collect::<Vec<_>>()));
                    store::write_group(&mut writer, given.unwrap_or(found), values.view())?;
                }
                // Kept aside: a torn part is not a failure to write.
                Err(error) => {
                    failed = Some(error);
                    return Err(std::io::ErrorKind::InvalidData.into());
                }
            }
        }
        writer.finish()
    });
    match failed {
        Some(error) => Err(error),
        None => written.map(|()| places.len()).map_err(FeatureError::from),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    part: usize,
    group: usize,
    row: usize,
}

fn in_order(places: Vec<(String, Place)>, order: &[String]) -> Result<Vec<Place>, FeatureError> {
    let found = places.len();
    let places: HashMap<String, Place> = places.into_iter().collect();
    check_repeats(found, places.len())?;
    check_repeats(order.len(), order.iter().collect::<HashSet<_>>().len())?;
    let chosen: Vec<Place> = order.iter().filter_map(|id| places.get(id).copied()).collect();
    let (missing, surplus) = (order.len() - chosen.len(), found - chosen.len());
    if missing + surplus > 0 {
        return Err(FeatureError::Order {
            found,
            expected: order.len(),
            missing,
            surplus,
        });
    }
    Ok(chosen)
}

fn check_repeats(rows: usize, distinct: usize) -> Result<(), FeatureError> {
    match rows - distinct {
        0 => Ok(()),
        repeated => Err(FeatureError::DuplicateRows { repeated, rows }),
    }
}

/// Row groups of the parts; the last one that was read is held.
struct Groups<'a> {
    paths: &'a [PathBuf],
    held: Option<((usize, usize), Rows, Array2<f32>)>,
}

impl Groups<'_> {
    /// Rows and `[B, F]` values of these places, in their order.
    fn gather(&mut self, places: &[Place], width: usize) -> Result<(Rows, Array2<f32>), FeatureError> {
        let mut values = Array2::zeros((places.len(), width));
        let mut by_group: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for (target, place) in places.iter().enumerate() {
            by_group
                .entry((place.part, place.group))
                .or_default()
                .push((place.row, target));
        }
        let (mut rows, mut targets) = (Rows::default(), Vec::new());
        for (key, moves) in by_group {
            let (group_rows, group_values) = self.load(key)?;
            let sources: Vec<usize> = moves.iter().map(|(row, _)| *row).collect();
            rows.append(group_rows.select(&sources));
            for (row, target) in moves {
                values.row_mut(target).assign(&group_values.row(row));
                targets.push(target);
            }
        }
        let mut inverse = vec![0; targets.len()];
        for (position, target) in targets.into_iter().enumerate() {
            inverse[target] = position;
        }
        Ok((rows.select(&inverse), values))
    }

    fn load(&mut self, key: (usize, usize)) -> Result<(&Rows, &Array2<f32>), FeatureError> {
        if self.held.as_ref().is_none_or(|(held, ..)| *held != key) {
            self.held = None; // freed before the next is read
            let file = FeatureFile::open(&self.paths[key.0])?;
            self.held = Some((key, file.rows(key.1)?, file.values(key.1)?));
        }
        let (_, rows, values) = self.held.as_ref().expect("just filled");
        Ok((rows, values))
    }
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
