//! Tables of named columns, whatever file they came in: CSV, Parquet, Excel. Knows no CT and no learning.
//!
//! A [`TextTable`] holds every cell as text, so that a label `01` stays `01` and a date stays what was typed; who needs
//! numbers parses them and can name the row where that fails. Files are told apart by content, not by their ending.

mod atomic;
mod dates;
mod delimited;
mod digest;
mod error;
mod excel;
mod identifying;
mod parquet_cells;
mod parquet_read;
mod parquet_write;

use std::{fs::File, io::Read as _, path::Path};

use self::error::check_names;

pub use self::{
    atomic::{WriteError, atomic_write, write_error},
    delimited::{DelimitedText, Layout, write_csv},
    digest::{sha256_bytes, sha256_file},
    error::TableError,
    excel::read_sheet,
    identifying::{holds_day, holds_identifiers, holds_names, looks_identifying},
    parquet_read::{ParquetColumn, ParquetKind, ParquetTable},
    parquet_write::{Column, ColumnData, ColumnKind, ParquetWriter, write_parquet},
};
pub(crate) use self::{digest::hex, parquet_cells::float32_text};

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
    read_table_as(path, Layout::default())
}

/// [`read_table`] where the layout of a delimited text is known; other kinds of files know theirs.
///
/// # Errors
///
/// [`TableError`], with the path.
pub fn read_table_as(path: &Path, layout: Layout) -> Result<TextTable, TableError> {
    match FileKind::of(path)? {
        FileKind::Parquet => ParquetTable::open(path)?.to_text(),
        FileKind::Workbook => read_sheet(path, None),
        FileKind::Text => DelimitedText::open_as(path, layout)?.to_text(),
        FileKind::Npy => Err(TableError::NotATable {
            what: "a NumPy array, which has no column names",
            path: path.to_owned(),
        }),
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
    /// A NumPy array, which has no column names.
    Npy,
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
            [0x93, b'N', b'U', b'M', ..] => Self::Npy,
            [0x1f, 0x8b, ..] => Self::Other("gzip: decompress it first"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Other("zstd: decompress it first"),
            [0x89, b'P', b'N', b'G', ..] => Self::Other("a PNG image"),
            [0x89, b'H', b'D', b'F', ..] => Self::Other("HDF5"),
            _ => Self::Text,
        })
    }
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
