//! Matrices from elsewhere (CSV, Excel, Parquet, NumPy) as named columns of numbers and of text.

use std::{fs::File, io::BufReader, path::Path};

use ndarray::Array2;
use ndarray_npy::{ReadNpyError, ReadNpyExt as _, ReadableElement};

use super::{FeatureError, feature_names};
use crate::tables::{DelimitedText, FileKind, ParquetKind, ParquetTable, TextTable, read_sheet};

/// A table whose columns are numbers or text.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    pub(super) columns: Vec<(String, Cells)>,
    pub(super) n_rows: usize,
    /// What a user should know of the reading, in words.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Cells {
    Numbers(Vec<f32>),
    Text(Vec<Option<String>>),
}

/// What a column is wanted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Numbers; another cell is an error.
    Numbers,
    /// Text, whatever it holds.
    Text,
    /// Numbers, if all its cells are numbers.
    NumbersIfAll,
}

/// Reads a table; `wanted` says what a column of that name is to be.
pub(super) fn read_matrix(
    path: &Path,
    sheet: Option<&str>,
    wanted: &dyn Fn(&str) -> Wanted,
) -> Result<Matrix, FeatureError> {
    match FileKind::of(path)? {
        FileKind::Npy => read_npy(path),
        FileKind::Parquet => read_parquet(path, wanted),
        FileKind::Workbook => from_text(read_sheet(path, sheet)?, path, wanted),
        FileKind::Text => read_delimited(path, wanted),
        FileKind::Other(what) => Err(crate::tables::TableError::NotATable {
            what,
            path: path.to_owned(),
        }
        .into()),
    }
}

/// Cells that stand for a missing number, as pandas, R and Excel write them.
const MISSING: [&str; 8] = ["", "na", "n/a", "nan", "null", "none", "#n/a", "-nan"];

/// The number of a cell; NaN for a missing one.
fn number(cell: &str) -> Option<f32> {
    let cell = cell.trim();
    if MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word)) {
        return Some(f32::NAN);
    }
    // The shortest text of a 32-bit float has at most nine digits and must come back as that float; longer texts are
    // 64-bit floats, which are rounded as a NumPy file's are. In between lie the ties of rounding twice.
    let digits = cell
        .split(['e', 'E'])
        .next()
        .unwrap_or(cell)
        .bytes()
        .filter(u8::is_ascii_digit)
        .count();
    if digits <= 9 {
        cell.parse().ok()
    } else {
        cell.parse::<f64>().ok().map(|value| value as f32)
    }
}

fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|word| cell.trim().eq_ignore_ascii_case(word))
}

/// A column while it is being filled from text.
struct Filling<'a> {
    name: &'a str,
    cells: Cells,
    missing: usize,
}

impl<'a> Filling<'a> {
    fn new(name: &'a str, numeric: bool) -> Self {
        let cells = if numeric {
            Cells::Numbers(Vec::new())
        } else {
            Cells::Text(Vec::new())
        };
        Self {
            name,
            cells,
            missing: 0,
        }
    }

    fn push(&mut self, row: usize, cell: &str, path: &Path) -> Result<(), FeatureError> {
        match &mut self.cells {
            Cells::Text(cells) => cells.push((!cell.is_empty()).then(|| cell.to_owned())),
            Cells::Numbers(cells) => {
                self.missing += usize::from(is_missing(cell));
                cells.push(number(cell).ok_or_else(|| FeatureError::NotANumber {
                    row: row + 1,
                    column: self.name.to_owned(),
                    decimal_comma: cell.matches(',').count() == 1 && number(&cell.replace(',', ".")).is_some(),
                    path: path.to_owned(),
                })?);
            }
        }
        Ok(())
    }
}

fn finish(columns: Vec<Filling<'_>>, n_rows: usize) -> Matrix {
    let missing: usize = columns.iter().map(|column| column.missing).sum();
    let notes = (missing > 0)
        .then(|| format!("{missing} feature cells are empty and became NaN"))
        .into_iter()
        .collect();
    let columns = columns
        .into_iter()
        .map(|column| (column.name.to_owned(), column.cells))
        .collect();
    Matrix { columns, n_rows, notes }
}

/// Two passes over the text, so that a wide table is never held as cells of text.
fn read_delimited(path: &Path, wanted: &dyn Fn(&str) -> Wanted) -> Result<Matrix, FeatureError> {
    let text = DelimitedText::open(path)?;
    let wishes: Vec<Wanted> = text.names().iter().map(|name| wanted(name)).collect();
    let mut numeric: Vec<bool> = wishes.iter().map(|wish| *wish != Wanted::Text).collect();
    if wishes.contains(&Wanted::NumbersIfAll) {
        let mut filled = vec![false; wishes.len()];
        text.for_each_row(|_, record| {
            for (column, cell) in record
                .iter()
                .enumerate()
                .filter(|(column, _)| wishes[*column] == Wanted::NumbersIfAll)
            {
                numeric[column] &= number(cell).is_some();
                filled[column] |= !is_missing(cell);
            }
            Ok::<_, FeatureError>(())
        })?;
        for (column, wish) in wishes.iter().enumerate() {
            numeric[column] &= *wish != Wanted::NumbersIfAll || filled[column];
        }
    }
    let names = text.names().iter().zip(numeric);
    let mut columns: Vec<_> = names.map(|(name, numeric)| Filling::new(name, numeric)).collect();
    let n_rows = text.for_each_row(|row, record| {
        columns
            .iter_mut()
            .zip(record)
            .try_for_each(|(column, cell)| column.push(row, cell, path))
    })?;
    Ok(finish(columns, n_rows))
}

fn from_text(table: TextTable, path: &Path, wanted: &dyn Fn(&str) -> Wanted) -> Result<Matrix, FeatureError> {
    let mut columns = Vec::new();
    for (name, cells) in &table.columns {
        let cells = || cells.iter().map(|cell| cell.as_deref().unwrap_or_default());
        let numeric = match wanted(name) {
            Wanted::Numbers => true,
            Wanted::Text => false,
            Wanted::NumbersIfAll => cells().all(|cell| number(cell).is_some()) && cells().any(|cell| !is_missing(cell)),
        };
        let mut column = Filling::new(name, numeric);
        for (row, cell) in cells().enumerate() {
            column.push(row, cell, path)?;
        }
        columns.push(column);
    }
    Ok(finish(columns, table.n_rows))
}

fn read_parquet(path: &Path, wanted: &dyn Fn(&str) -> Wanted) -> Result<Matrix, FeatureError> {
    let table = ParquetTable::open(path)?;
    let mut matrix = Matrix {
        n_rows: table.n_rows(),
        ..Matrix::default()
    };
    let (mut rounded, mut missing) = (0, 0);
    for (index, column) in table.columns().iter().enumerate() {
        let numeric = match wanted(&column.name) {
            Wanted::Numbers if column.kind == ParquetKind::Text => {
                // Numbers that were stored as text.
                let text = TextTable::new(vec![(column.name.clone(), table.texts(index)?)])?;
                let read = from_text(text, path, &|_| Wanted::Numbers)?;
                matrix.columns.extend(read.columns);
                matrix.notes.extend(read.notes);
                continue;
            }
            Wanted::Numbers => true,
            Wanted::Text => false,
            Wanted::NumbersIfAll => column.kind.is_numeric(),
        };
        let cells = if numeric {
            let numbers = table.f32s(index)?;
            rounded += usize::from(column.kind == ParquetKind::Float64);
            missing += numbers.iter().filter(|value| value.is_nan()).count();
            Cells::Numbers(numbers)
        } else {
            Cells::Text(table.texts(index)?)
        };
        matrix.columns.push((column.name.clone(), cells));
    }
    if rounded > 0 {
        matrix
            .notes
            .push(format!("{rounded} columns of 64-bit floats were rounded to 32 bits"));
    }
    if missing > 0 {
        matrix.notes.push(format!("{missing} feature cells are null or NaN"));
    }
    Ok(matrix)
}

/// `.npy` of a matrix of floats or integers, rounded to 32-bit floats.
fn read_npy(path: &Path) -> Result<Matrix, FeatureError> {
    let exact = "";
    let rounded = "its numbers were rounded to 32-bit floats";
    type Try = fn(&Path) -> Result<Array2<f32>, ReadNpyError>;
    let tries: [(Try, &str); 10] = [
        (|path| as_f32::<f32>(path, |value| value), exact),
        (|path| as_f32::<f64>(path, |value| value as f32), rounded),
        (|path| as_f32::<i64>(path, |value| value as f32), rounded),
        (|path| as_f32::<i32>(path, |value| value as f32), rounded),
        (|path| as_f32::<i16>(path, f32::from), exact),
        (|path| as_f32::<i8>(path, f32::from), exact),
        (|path| as_f32::<u8>(path, f32::from), exact),
        (|path| as_f32::<u16>(path, f32::from), exact),
        (|path| as_f32::<u32>(path, |value| value as f32), rounded),
        (|path| as_f32::<u64>(path, |value| value as f32), rounded),
    ];
    let mut reason = String::new();
    for (read, note) in tries {
        match read(path) {
            Ok(values) => {
                let (n_rows, width) = values.dim();
                let columns = values
                    .columns()
                    .into_iter()
                    .map(|column| Cells::Numbers(column.to_vec()));
                let columns = feature_names(width).into_iter().zip(columns).collect();
                let notes = (!note.is_empty()).then(|| note.to_owned()).into_iter().collect();
                return Ok(Matrix { columns, n_rows, notes });
            }
            Err(ReadNpyError::WrongDescriptor(found)) => reason = format!("its type is {found}"),
            Err(other) => {
                reason = other.to_string();
                break;
            }
        }
    }
    Err(FeatureError::Npy {
        reason,
        path: path.to_owned(),
    })
}

fn as_f32<T: ReadableElement + Copy>(path: &Path, cast: fn(T) -> f32) -> Result<Array2<f32>, ReadNpyError> {
    let file = BufReader::new(File::open(path)?);
    Ok(Array2::<T>::read_npy(file)?.mapv(cast))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_was_written_and_a_missing_one_is_nan() {
        assert_eq!(number(" -1.5e-3 "), Some(-0.0015));
        assert_eq!(number("16777217"), Some(16_777_216.0));
        assert!(
            ["", "NA", "NaN", "None"]
                .iter()
                .all(|cell| number(cell).is_some_and(f32::is_nan))
        );
        assert_eq!(number("inf"), Some(f32::INFINITY));
        assert_eq!(number("1,5"), None);
        assert_eq!(number("covid"), None);
    }

    #[test]
    fn every_32_bit_float_survives_its_shortest_text() {
        use rand::RngExt as _;
        let mut draw = crate::seed::stream(0, "floats");
        for _ in 0..200_000 {
            let value = f32::from_bits(draw.random());
            let back = number(&crate::tables::float32_text(value)).unwrap();
            assert!(
                back.to_bits() == value.to_bits() || (back.is_nan() && value.is_nan()),
                "{value:e} became {back:e}"
            );
        }
    }
}
