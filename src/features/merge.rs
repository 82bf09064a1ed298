//! Parts of a feature table as one file, in any order, with the memory of one part.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

use ndarray::Array2;

use super::{
    FeatureError, Rows,
    store::{self, FeatureFile, GROUP},
};
use crate::tables::{ParquetWriter, atomic_write};

/// Writes the parts of a folder as one file, atomically, and gives the number of rows.
///
/// Memory holds one row group of a part and one of the result, and the names of the rows. `rows` holds every
/// `slice_id` once, in the order of the result, with the columns that stand beside the features: the parts only give the
/// values, so that labels and splits may change between them; `marks` are watermarks that it gets besides. Without it order and columns are those of the parts. A part
/// is read again for each group of the result that needs it, so an order near the parts' own is fast.
///
/// # Errors
///
/// [`FeatureError::Order`] where the parts hold other rows than `rows`, [`FeatureError::DuplicateRows`],
/// [`FeatureError::ProvenanceDiffers`], and the errors of reading and writing.
pub fn merge_parts(folder: &Path, out: &Path, rows: Option<&Rows>, marks: &[String]) -> Result<usize, FeatureError> {
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
    let mut provenance = first.provenance.clone();
    provenance.watermarks.extend(marks.iter().cloned());
    let mut failed = None;
    let written = atomic_write(out, |file| {
        let mut writer = ParquetWriter::new(file, &schema, &store::metadata(&provenance))?;
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
