//! What can be wrong with a table.

use std::{
    io,
    path::{Path, PathBuf},
};

/// What can be wrong with a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file can't be opened or read.
    #[error("cannot read the table: {source}: {path:?}")]
    Read {
        /// Why.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("no CSV, Parquet or Excel table but {what}: {path:?}")]
    NotATable {
        /// What it is.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A text file without a header line.
    #[error("the table is empty, a header line was expected: {path:?}")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line with more or fewer fields than the header.
    #[error(
        "line {line} has {found} fields, the header has {expected} (a delimiter in a field needs quotes): {path:?}"
    )]
    Ragged {
        /// The line on which the row starts, from 1.
        line: u64,
        /// Fields in the row.
        found: usize,
        /// Fields in the header.
        expected: usize,
        /// The file.
        path: PathBuf,
    },
    /// A column without a name.
    #[error("column {position} of {columns} has no name (pandas writes its index so: use `index=False`): {path:?}")]
    EmptyName {
        /// Its place, from 1.
        position: usize,
        /// Number of columns.
        columns: usize,
        /// The file.
        path: PathBuf,
    },
    /// Two columns of one name.
    #[error("columns {first} and {second} are both named {name:?} (rename one): {path:?}")]
    DuplicateName {
        /// The name.
        name: String,
        /// Place of the first, from 1.
        first: usize,
        /// Place of the second.
        second: usize,
        /// The file.
        path: PathBuf,
    },
    /// A column that isn't there.
    #[error("no column {column:?}{}; the columns are {}", nearest_words(.nearest), .columns.join(", "))]
    NoColumn {
        /// What was asked for.
        column: String,
        /// The nearest name, if one is near.
        nearest: Option<String>,
        /// What there is.
        columns: Vec<String>,
    },
    /// Columns of different lengths.
    #[error("column {column:?} has {found} rows, the first column has {expected}")]
    Lengths {
        /// The column.
        column: String,
        /// Its rows.
        found: usize,
        /// The first column's rows.
        expected: usize,
    },
    /// A Parquet column that holds lists, maps or structs.
    #[error("column {column:?} is nested (a list, map or struct), only flat columns can be read: {path:?}")]
    Nested {
        /// The column.
        column: String,
        /// The file.
        path: PathBuf,
    },
    /// A Parquet column of bytes that are no text.
    #[error("column {column:?} holds bytes that are no UTF-8 text at row {row}: {path:?}")]
    Binary {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The file.
        path: PathBuf,
    },
    /// A Parquet column that is asked for as numbers and holds none.
    #[error("column {column:?} holds {found}, numbers were expected: {path:?}")]
    NotNumeric {
        /// The column.
        column: String,
        /// What it holds.
        found: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The Parquet file is damaged, or of a kind that isn't known.
    #[error("the Parquet file cannot be read (torn, or of an unknown kind): {source}: {path:?}")]
    Parquet {
        /// What the reader says.
        source: parquet::errors::ParquetError,
        /// The file.
        path: PathBuf,
    },
    /// The text can't be split into fields.
    #[error("the text table cannot be read: {source}: {path:?}")]
    Csv {
        /// What the reader says.
        source: csv::Error,
        /// The file.
        path: PathBuf,
    },
    /// The workbook can't be read.
    #[error("the workbook cannot be read: {source}: {path:?}")]
    Workbook {
        /// What the reader says.
        source: Box<calamine::Error>,
        /// The file.
        path: PathBuf,
    },
    /// A sheet that isn't there.
    #[error("no sheet {sheet:?}; the sheets are {}: {path:?}", .sheets.join(", "))]
    NoSheet {
        /// What was asked for.
        sheet: String,
        /// What there is.
        sheets: Vec<String>,
        /// The file.
        path: PathBuf,
    },
}

impl TableError {
    /// [`TableError::NoColumn`] with the nearest of `names`.
    pub fn no_column<'a>(column: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let columns: Vec<String> = names.map(str::to_owned).collect();
        let nearest = nearest(column, &columns);
        Self::NoColumn {
            column: column.to_owned(),
            nearest,
            columns,
        }
    }

    pub(super) fn read(source: io::Error, path: &Path) -> Self {
        Self::Read {
            source,
            path: path.to_owned(),
        }
    }
}

/// Refuses empty and repeated names.
pub(super) fn check_names<'a>(names: impl Iterator<Item = &'a str> + Clone, path: &Path) -> Result<(), TableError> {
    let mut seen = std::collections::BTreeMap::new();
    for (index, name) in names.clone().enumerate() {
        if name.is_empty() {
            let (position, columns) = (index + 1, names.count());
            return Err(TableError::EmptyName {
                position,
                columns,
                path: path.to_owned(),
            });
        }
        if let Some(first) = seen.insert(name, index) {
            let (name, first, second) = (name.to_owned(), first + 1, index + 1);
            return Err(TableError::DuplicateName {
                name,
                first,
                second,
                path: path.to_owned(),
            });
        }
    }
    Ok(())
}

fn nearest_words(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!(" (nearest: {name:?})"))
        .unwrap_or_default()
}

/// The name with the fewest edits, if at most half of its letters differ; case does not count.
fn nearest(name: &str, names: &[String]) -> Option<String> {
    let wanted = name.to_lowercase();
    let scored = names
        .iter()
        .map(|candidate| (edits(&wanted, &candidate.to_lowercase()), candidate));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    let longest = wanted.chars().count().max(best.chars().count());
    (distance * 2 <= longest).then(|| best.clone())
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
