//! The six-file CSV format of Song et al. 2020 (Eur J Nucl Med Mol Imaging 47:2516), as their notebook writes it.
//!
//! For each set (`featureTrain`, `featureTval`, `featureTest`) there is one file a layer, `featureTrain_z_mean.csv` and
//! so on. Python's csv writer puts a space between the slice's name and one field that holds the whole vector: a list
//! (`[0.1, 0.2]`) for the two wide layers, NumPy's printed array (`[0.1 0.2]`, rounded to eight digits) for the others.
//! The files are opened to append, so that a second run leaves every name twice.
//! <https://github.com/MI-12/BigBIGAN-for-COVID-19>

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    FeatureError, feature_names,
    matrix::{Cells, Matrix},
};
use crate::tables::TableError;

/// The layers, each with a file of its own.
pub const SONG_LAYERS: [&str; 6] = [
    "avepool_feat",
    "bn_crelu_feat",
    "default",
    "z_mean",
    "z_sample",
    "z_stdev",
];

/// The column of the slices' names.
pub(super) const NAME: &str = "name";

/// The column of the set that a row was in. It is no split of ours: the authors split by slice.
const SET: &str = "song2020_set";

const SETS: [(&str, &str); 3] = [
    ("featureTrain", "train"),
    ("featureTval", "validation"),
    ("featureTest", "test"),
];

/// What was read, from which files.
#[derive(Debug)]
pub(super) struct Song {
    pub(super) matrix: Matrix,
    pub(super) layer: String,
    pub(super) files: Vec<PathBuf>,
}

/// Whether the file's first line is `name [number` or `name "[number`.
pub(super) fn is_song(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut head));
    let text = String::from_utf8_lossy(&head);
    let Some((_, vector)) = text.trim_start().lines().next().and_then(|line| line.split_once('[')) else {
        return false;
    };
    let numeric = vector
        .trim_start()
        .starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c));
    read.is_ok() && (numeric || vector.trim_start().starts_with("np.float") || vector.starts_with("nan"))
}

/// Reads one file, or one layer of a folder's files.
pub(super) fn read_song(path: &Path, layer: Option<&str>) -> Result<Song, FeatureError> {
    let wrong = |found: String| FeatureError::SongLayer {
        found,
        path: path.to_owned(),
    };
    if let Some(layer) = layer.filter(|layer| !SONG_LAYERS.contains(layer)) {
        return Err(wrong(format!("{layer:?} is none of the six")));
    }
    let files: Vec<PathBuf> = if path.is_dir() {
        let layer = layer.ok_or_else(|| wrong("a folder holds six".to_owned()))?;
        let candidates = SETS
            .iter()
            .map(|(prefix, _)| path.join(format!("{prefix}_{layer}.csv")));
        let files: Vec<_> = candidates.filter(|file| file.exists()).collect();
        if files.is_empty() {
            return Err(wrong(format!(
                "the folder has no featureTrain_{layer}.csv, featureTval_ or featureTest_"
            )));
        }
        files
    } else {
        vec![path.to_owned()]
    };
    let named = layer_of(&files[0]); // one at least: checked or given
    let layer = match (layer, named) {
        (Some(asked), Some(named)) if asked != named => {
            return Err(wrong(format!(
                "{asked:?} was asked for, the file's name says {named:?}"
            )));
        }
        (Some(layer), _) | (None, Some(layer)) => layer.to_owned(),
        (None, None) => return Err(wrong("the file's name says none".to_owned())),
    };
    let mut table = Table::default();
    for file in &files {
        let bytes = fs::read(file).map_err(|source| TableError::Read {
            source,
            path: file.clone(),
        })?;
        table.read(&String::from_utf8_lossy(&bytes), file)?;
    }
    let matrix = table.into_matrix(path)?;
    Ok(Song { matrix, layer, files })
}

/// The layer that a file's name ends in.
fn layer_of(file: &Path) -> Option<&'static str> {
    let stem = file.file_stem()?.to_str()?;
    SONG_LAYERS
        .into_iter()
        .find(|layer| stem == *layer || stem.ends_with(&format!("_{layer}")))
}

#[derive(Debug, Default)]
struct Table {
    names: Vec<String>,
    sets: Vec<Option<String>>,
    /// `[N, F]` row by row.
    values: Vec<f32>,
    width: usize,
    printed: usize,
    truncated: usize,
}

impl Table {
    fn read(&mut self, text: &str, path: &Path) -> Result<(), FeatureError> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let set = SETS
            .iter()
            .find(|(prefix, _)| stem.starts_with(prefix))
            .map(|(_, set)| (*set).to_owned());
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
        let mut row = 0;
        while !rest.is_empty() {
            row += 1;
            let wrong = |reason: &str| FeatureError::SongRow {
                row,
                reason: reason.to_owned(),
                path: path.to_owned(),
            };
            let (name, after) = split_name(rest).ok_or_else(|| wrong("no name before the vector"))?;
            let (vector, after) = after.split_once(']').ok_or_else(|| wrong("the vector has no end"))?;
            rest = after.strip_prefix('"').unwrap_or(after).trim_start();
            if vector.contains("...") || vector.contains('…') {
                self.truncated += 1;
                continue;
            }
            let before = self.values.len();
            self.printed += usize::from(!vector.contains(','));
            for number in vector
                .split([' ', ',', '\n', '\r', '\t'])
                .filter(|number| !number.is_empty())
            {
                // NumPy 2 prints the items of a list as `np.float32(0.5)`.
                let item = number
                    .strip_prefix("np.float32(")
                    .or(number.strip_prefix("np.float64("));
                let bare = item.and_then(|item| item.strip_suffix(')')).unwrap_or(number);
                self.values
                    .push(bare.parse().map_err(|_| wrong("the vector holds no numbers only"))?);
            }
            let width = self.values.len() - before;
            if self.names.is_empty() {
                self.width = width;
            }
            if width != self.width || width == 0 {
                return Err(wrong(&format!("{width} values, the first row has {}", self.width)));
            }
            self.names.push(name);
            self.sets.push(set.clone());
        }
        match self.truncated {
            0 => Ok(()),
            rows => Err(FeatureError::Truncated {
                rows,
                path: path.to_owned(),
            }),
        }
    }

    /// Rows of one name become one where their values are the same.
    fn into_matrix(self, path: &Path) -> Result<Matrix, FeatureError> {
        let row = |index: usize| &self.values[index * self.width..(index + 1) * self.width];
        let (mut first, mut kept, mut other) = (HashMap::new(), Vec::new(), 0);
        for (index, name) in self.names.iter().enumerate() {
            match first.get(name) {
                None => {
                    first.insert(name, index);
                    kept.push(index);
                }
                Some(&earlier) => {
                    let same = row(earlier)
                        .iter()
                        .zip(row(index))
                        .all(|(a, b)| a.to_bits() == b.to_bits());
                    other += usize::from(!same);
                }
            }
        }
        if other > 0 {
            return Err(FeatureError::SongRuns {
                rows: other,
                path: path.to_owned(),
            });
        }
        let mut notes = Vec::new();
        match self.names.len() - kept.len() {
            0 => {}
            n => notes.push(format!("{n} rows repeat a name with the same values and were left out")),
        }
        if self.printed > 0 {
            notes.push(format!(
                "{} vectors were printed by NumPy, rounded to about eight digits",
                self.printed
            ));
        }
        let text =
            |cells: &dyn Fn(usize) -> Option<String>| Cells::Text(kept.iter().map(|&index| cells(index)).collect());
        let mut columns = vec![(NAME.to_owned(), text(&|index| Some(self.names[index].clone())))];
        if self.sets.iter().any(Option::is_some) {
            columns.push((SET.to_owned(), text(&|index| self.sets[index].clone())));
        }
        for (column, name) in feature_names(self.width).into_iter().enumerate() {
            columns.push((
                name,
                Cells::Numbers(kept.iter().map(|&index| row(index)[column]).collect()),
            ));
        }
        Ok(Matrix {
            columns,
            n_rows: kept.len(),
            notes,
        })
    }
}

/// The name, without quotes, and what follows the vector's `[`.
fn split_name(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let (piece, after) = rest.split_once('"')?;
            name.push_str(piece);
            match after.strip_prefix('"') {
                Some(after) => {
                    name.push('"'); // a doubled quote
                    rest = after;
                }
                None => {
                    let vector = after.trim_start().trim_start_matches('"').strip_prefix('[')?;
                    return Some((name, vector));
                }
            }
        }
    }
    let (before, vector) = text.split_once('[')?;
    let name = before.trim_end_matches('"').trim();
    (!name.is_empty() && !name.contains(['\n', ']'])).then(|| (name.to_owned(), vector))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Matrix, FeatureError> {
        let path = Path::new("featureTrain_z_mean.csv");
        let mut table = Table::default();
        table.read(text, path)?;
        table.into_matrix(path)
    }

    fn numbers(matrix: &Matrix, column: &str) -> Vec<f32> {
        match &matrix.columns.iter().find(|(name, _)| name == column).unwrap().1 {
            Cells::Numbers(cells) => cells.clone(),
            Cells::Text(_) => panic!("{column} is text"),
        }
    }

    #[test]
    fn lists_printed_arrays_and_wrapped_lines_are_read() {
        let matrix =
            read("a \"[0.5, -1e-05]\"\r\r\nb \"[ 0.25  2. ]\"\n\"c d\" \"[np.float32(1.5), np.float32(3)]\"\n")
                .unwrap();
        assert_eq!(numbers(&matrix, "f000"), [0.5, 0.25, 1.5]);
        assert_eq!(numbers(&matrix, "f001"), [-1e-5, 2.0, 3.0]);
        let wrapped = read("a [0.5 1.5\n 2.5]\nb [1 2\n 3]\n").unwrap();
        assert_eq!(numbers(&wrapped, "f002"), [2.5, 3.0]);
    }

    #[test]
    fn what_numpy_left_out_and_rows_that_do_not_fit_are_errors() {
        assert!(matches!(
            read("a \"[0.5 ... 1.5]\"\nb \"[1 ... 2]\"\n"),
            Err(FeatureError::Truncated { rows: 2, .. })
        ));
        let ragged = read("a \"[1 2]\"\nb \"[1 2 3]\"\n").unwrap_err().to_string();
        assert!(
            ragged.contains("row 2") && ragged.contains("3 values, the first row has 2"),
            "{ragged}"
        );
        assert!(matches!(
            read("a \"[1 x]\"\n"),
            Err(FeatureError::SongRow { row: 1, .. })
        ));
        assert!(matches!(read("a \"[1 2"), Err(FeatureError::SongRow { row: 1, .. })));
    }

    #[test]
    fn a_second_run_is_dropped_where_it_is_equal_and_refused_where_it_is_not() {
        let equal = read("a \"[1 2]\"\nb \"[3 4]\"\na \"[1 2]\"\n").unwrap();
        assert_eq!(equal.n_rows, 2);
        assert!(equal.notes[0].starts_with("1 rows repeat"), "{:?}", equal.notes);
        let other = read("a \"[1 2]\"\na \"[1 3]\"\n");
        assert!(matches!(other, Err(FeatureError::SongRuns { rows: 1, .. })));
    }
}
