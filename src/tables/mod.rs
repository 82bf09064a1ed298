//! Tables of named columns, whatever file they came in: CSV, Parquet, Excel. Knows no CT and no learning.
//!
//! A [`TextTable`] holds every cell as text, so that a label `01` stays `01` and a date stays what was typed; who needs
//! numbers parses them and can name the row where that fails. Files are told apart by content, not by their ending.

mod atomic;
mod dates;
mod delimited;
mod digest;
mod excel;
mod identifying;
mod parquet_read;
mod parquet_write;

use std::{fs::File, io, io::Read as _, path::Path, path::PathBuf};

pub use self::{
    atomic::{WriteError, atomic_write, write_error},
    delimited::{DelimitedText, write_csv},
    digest::{sha256_bytes, sha256_file},
    excel::read_sheet,
    identifying::looks_identifying,
    parquet_read::{ParquetColumn, ParquetKind, ParquetTable},
    parquet_write::{Column, ColumnData, ColumnKind, ParquetWriter, write_parquet},
};

/// A table whose cells are text, in the file's column order.
///
/// ```
/// use hounsfield::tables::TextTable;
/// let table = TextTable::new(vec![("label".to_owned(), vec![Some("covid".to_owned()), None])])?;
/// assert_eq!(table.n_rows, 2);
/// assert_eq!(table.column("label")?[1], None);
/// assert!(table.column("labels").unwrap_err().to_string().contains("nearest: \"label\""));
/// # Ok::<(), hounsfield::tables::TableError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextTable {
    /// Names and cells; `None` is an empty or null cell. All columns have `n_rows` cells.
    pub columns: Vec<(String, Vec<Option<String>>)>,
    /// Number of rows, the header not counted.
    pub n_rows: usize,
}

impl TextTable {
    /// A table of these columns.
    ///
    /// # Errors
    ///
    /// [`TableError::Lengths`] where columns differ in length, [`TableError::DuplicateName`] and
    /// [`TableError::EmptyName`] for names that can't be asked for.
    pub fn new(columns: Vec<(String, Vec<Option<String>>)>) -> Result<Self, TableError> {
        check_names(columns.iter().map(|(name, _)| name.as_str()), Path::new(""))?;
        let n_rows = columns.first().map_or(0, |(_, cells)| cells.len());
        for (name, cells) in &columns {
            if cells.len() != n_rows {
                let (column, found) = (name.clone(), cells.len());
                return Err(TableError::Lengths {
                    column,
                    found,
                    expected: n_rows,
                });
            }
        }
        Ok(Self { columns, n_rows })
    }

    /// The cells of a column.
    ///
    /// # Errors
    ///
    /// [`TableError::NoColumn`], with the columns that there are and the nearest name.
    pub fn column(&self, name: &str) -> Result<&[Option<String>], TableError> {
        match self.columns.iter().find(|(column, _)| column == name) {
            Some((_, cells)) => Ok(cells),
            None => Err(TableError::no_column(name, self.names())),
        }
    }

    /// The columns' names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }
}

/// Reads a table: Parquet, Excel (the first sheet; [`read_sheet`] for another) or delimited text, by content.
///
/// A Parquet file's columns come as they are, pandas' index column `__index_level_0__` included: an index that is
/// stored at all holds what the user set it to, often the slice's name.
///
/// # Errors
///
/// [`TableError`], with the path.
pub fn read_table(path: &Path) -> Result<TextTable, TableError> {
    match FileKind::of(path)? {
        FileKind::Parquet => ParquetTable::open(path)?.to_text(),
        FileKind::Workbook => read_sheet(path, None),
        FileKind::Text => DelimitedText::open(path)?.to_text(),
        FileKind::Other(what) => Err(TableError::NotATable {
            what,
            path: path.to_owned(),
        }),
    }
}

/// What a file is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Parquet.
    Parquet,
    /// A workbook: xlsx, xlsb, ods or xls.
    Workbook,
    /// Anything else that may be text.
    Text,
    /// Known, and no table.
    Other(&'static str),
}

impl FileKind {
    /// Looks at the file's first bytes.
    ///
    /// # Errors
    ///
    /// [`TableError::Read`] where the file can't be read.
    pub fn of(path: &Path) -> Result<Self, TableError> {
        let mut head = Vec::new();
        File::open(path)
            .and_then(|file| file.take(8).read_to_end(&mut head))
            .map_err(|source| TableError::read(source, path))?;
        Ok(match head.as_slice() {
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            [b'P', b'K', 3, 4, ..] | [0xd0, 0xcf, 0x11, 0xe0, ..] => Self::Workbook,
            [0x93, b'N', b'U', b'M', ..] => Self::Other("a NumPy array, which has no column names"),
            [0x1f, 0x8b, ..] => Self::Other("gzip: decompress it first"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Other("zstd: decompress it first"),
            [0x89, b'P', b'N', b'G', ..] => Self::Other("a PNG image"),
            [0x89, b'H', b'D', b'F', ..] => Self::Other("HDF5"),
            _ => Self::Text,
        })
    }
}

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

    fn read(source: io::Error, path: &Path) -> Self {
        Self::Read {
            source,
            path: path.to_owned(),
        }
    }
}

/// Refuses empty and repeated names.
fn check_names<'a>(names: impl Iterator<Item = &'a str> + Clone, path: &Path) -> Result<(), TableError> {
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

/// The name with the fewest edits, if at most a third of its letters differ; case does not count.
fn nearest(name: &str, names: &[String]) -> Option<String> {
    let wanted = name.to_lowercase();
    let scored = names
        .iter()
        .map(|candidate| (edits(&wanted, &candidate.to_lowercase()), candidate));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    let longest = wanted.chars().count().max(best.chars().count());
    (distance * 3 <= longest).then(|| best.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_column_suggests_the_nearest_name_and_only_a_near_one() {
        let columns = ["patient_id", "label"].map(|name| (name.to_owned(), vec![None]));
        let table = TextTable::new(columns.to_vec()).unwrap();
        let typo = table.column("Patient_Id").unwrap_err().to_string();
        assert_eq!(
            typo,
            r#"no column "Patient_Id" (nearest: "patient_id"); the columns are patient_id, label"#
        );
        let far = table.column("site").unwrap_err().to_string();
        assert!(!far.contains("nearest"), "{far}");
    }

    #[test]
    fn repeated_names_and_lengths_that_differ_are_refused() {
        let twice = vec![("a".to_owned(), vec![]), ("a".to_owned(), vec![])];
        assert!(matches!(
            TextTable::new(twice),
            Err(TableError::DuplicateName {
                first: 1,
                second: 2,
                ..
            })
        ));
        let ragged = vec![("a".to_owned(), vec![None]), ("b".to_owned(), vec![])];
        assert!(matches!(
            TextTable::new(ragged),
            Err(TableError::Lengths {
                found: 0,
                expected: 1,
                ..
            })
        ));
    }
}
