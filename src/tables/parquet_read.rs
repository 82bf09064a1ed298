//! Flat Parquet files without arrow, column by column: as text, or as numbers.

use std::{collections::BTreeMap, fs::File, path::Path, path::PathBuf};

use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    errors::ParquetError,
    file::reader::{FileReader as _, SerializedFileReader},
    schema::types::ColumnDescriptor,
};

use super::{
    TableError, TextTable,
    error::check_names,
    parquet_cells::{
        Time, big_endian, decimal_text, float_text, float16, float32_text, int96_text, is_unsigned, time_unit,
    },
};

/// An open Parquet file whose columns are all flat.
pub struct ParquetTable {
    reader: SerializedFileReader<File>,
    columns: Vec<ParquetColumn>,
    metadata: BTreeMap<String, String>,
    path: PathBuf,
}

/// A column of a Parquet file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ParquetKind,
}

/// What a Parquet column holds, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParquetKind {
    /// UTF-8 text, or bytes without a stated meaning.
    Text,
    /// 16-bit floats.
    Float16,
    /// 32-bit floats.
    Float32,
    /// 64-bit floats.
    Float64,
    /// Integers of any width and sign.
    Int,
    /// True and false.
    Bool,
    /// Days, times of day, timestamps.
    Time,
    /// Decimal numbers of fixed scale.
    Decimal,
}

impl ParquetKind {
    /// Whether it is a float of any width.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float16 | Self::Float32 | Self::Float64)
    }

    /// Whether [`ParquetTable::f64s`] can read it.
    pub fn is_numeric(self) -> bool {
        self.is_float() || self == Self::Int
    }

    /// In words, for messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Float16 => "16-bit floats",
            Self::Float32 => "32-bit floats",
            Self::Float64 => "64-bit floats",
            Self::Int => "integers",
            Self::Bool => "booleans",
            Self::Time => "dates or times",
            Self::Decimal => "decimals",
        }
    }

    fn of(column: &ColumnDescriptor) -> Self {
        match (
            column.physical_type(),
            column.logical_type_ref(),
            column.converted_type(),
        ) {
            (_, Some(LogicalType::Decimal(_)), _) | (_, _, ConvertedType::DECIMAL) => Self::Decimal,
            (PhysicalType::BOOLEAN, ..) => Self::Bool,
            (PhysicalType::INT96, ..) => Self::Time,
            (PhysicalType::FLOAT, ..) => Self::Float32,
            (PhysicalType::DOUBLE, ..) => Self::Float64,
            (PhysicalType::INT32 | PhysicalType::INT64, ..) if time_unit(column) != Time::None => Self::Time,
            (PhysicalType::INT32 | PhysicalType::INT64, ..) => Self::Int,
            (PhysicalType::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16), _) => Self::Float16,
            (PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY, ..) => Self::Text,
        }
    }
}

impl ParquetTable {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    ///
    /// [`TableError::Read`], [`TableError::Parquet`] for a torn file, [`TableError::Nested`] with the column.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let file = File::open(path).map_err(|source| TableError::read(source, path))?;
        let failed = |source| TableError::Parquet {
            source,
            path: path.to_owned(),
        };
        let reader = SerializedFileReader::new(file).map_err(failed)?;
        let footer = reader.metadata().file_metadata();
        for field in footer.schema_descr().root_schema().get_fields() {
            let info = field.get_basic_info();
            if field.is_group() || (info.has_repetition() && info.repetition() == Repetition::REPEATED) {
                return Err(TableError::Nested {
                    column: field.name().to_owned(),
                    path: path.to_owned(),
                });
            }
        }
        let columns: Vec<_> = (footer.schema_descr().columns().iter())
            .map(|column| ParquetColumn {
                name: column.name().to_owned(),
                kind: ParquetKind::of(column),
            })
            .collect();
        check_names(columns.iter().map(|column| column.name.as_str()), path)?;
        let pairs = footer.key_value_metadata().into_iter().flatten();
        let metadata = pairs
            .filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?)))
            .collect();
        Ok(Self {
            reader,
            columns,
            metadata,
            path: path.to_owned(),
        })
    }

    /// The columns in the file's order.
    pub fn columns(&self) -> &[ParquetColumn] {
        &self.columns
    }

    /// The place of a column.
    ///
    /// # Errors
    ///
    /// [`TableError::NoColumn`], with the nearest name.
    pub fn position(&self, name: &str) -> Result<usize, TableError> {
        let names = self.columns.iter().map(|column| column.name.as_str());
        (names.clone().position(|column| column == name)).ok_or_else(|| TableError::no_column(name, names))
    }

    /// The file's key-value metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Rows of each row group.
    pub fn group_rows(&self) -> Vec<usize> {
        // A negative count is no count; reading such a group then gives fewer rows and is refused.
        self.reader
            .metadata()
            .row_groups()
            .iter()
            .map(|group| group.num_rows().max(0) as usize)
            .collect()
    }

    /// Rows of all groups.
    pub fn n_rows(&self) -> usize {
        self.group_rows().iter().sum()
    }

    /// All cells as text.
    ///
    /// # Errors
    ///
    /// [`TableError::Parquet`] and [`TableError::Binary`].
    pub fn to_text(&self) -> Result<TextTable, TableError> {
        let n_rows = self.n_rows();
        let mut columns = Vec::new();
        for index in 0..self.columns.len() {
            columns.push((self.columns[index].name.clone(), self.texts(index)?));
        }
        Ok(TextTable { columns, n_rows })
    }

    /// A column as text: floats so that they parse back equal and without `.0`, dates as ISO 8601, `true` and `false`.
    ///
    /// # Errors
    ///
    /// [`TableError::Parquet`] and [`TableError::Binary`].
    pub fn texts(&self, column: usize) -> Result<Vec<Option<String>>, TableError> {
        let mut cells = Vec::with_capacity(self.n_rows());
        for group in 0..self.group_rows().len() {
            cells.extend(self.group_texts(column, group)?);
        }
        Ok(cells)
    }

    /// A column as numbers, rounded to `f32`; null is NaN.
    ///
    /// # Errors
    ///
    /// [`TableError::Parquet`] and [`TableError::NotNumeric`].
    pub fn f32s(&self, column: usize) -> Result<Vec<f32>, TableError> {
        let mut cells = Vec::with_capacity(self.n_rows());
        for group in 0..self.group_rows().len() {
            cells.extend(self.group_f32s(column, group)?);
        }
        Ok(cells)
    }

    /// A column as numbers; null is `None`.
    ///
    /// # Errors
    ///
    /// [`TableError::Parquet`] and [`TableError::NotNumeric`].
    pub fn f64s(&self, column: usize) -> Result<Vec<Option<f64>>, TableError> {
        let mut cells = Vec::with_capacity(self.n_rows());
        for group in 0..self.group_rows().len() {
            cells.extend(self.group_f64s(column, group)?);
        }
        Ok(cells)
    }

    /// One row group of [`Self::f32s`].
    ///
    /// # Errors
    ///
    /// [`TableError::Parquet`] and [`TableError::NotNumeric`].
    pub fn group_f32s(&self, column: usize, group: usize) -> Result<Vec<f32>, TableError> {
        match self.column_reader(column, group)? {
            (ColumnReader::FloatColumnReader(mut reader), rows) => {
                let cells = self.cells(&mut reader, rows)?;
                Ok(cells.into_iter().map(|cell| cell.unwrap_or(f32::NAN)).collect())
            }
            _ => {
                let cells = self.group_f64s(column, group)?;
                Ok(cells
                    .into_iter()
                    .map(|cell| cell.map_or(f32::NAN, |value| value as f32))
                    .collect())
            }
        }
    }

    fn group_f64s(&self, column: usize, group: usize) -> Result<Vec<Option<f64>>, TableError> {
        let kind = self.columns[column].kind;
        if !kind.is_numeric() {
            let column = self.columns[column].name.clone();
            return Err(TableError::NotNumeric {
                column,
                found: kind.words(),
                path: self.path.clone(),
            });
        }
        let unsigned = is_unsigned(self.descriptor(column));
        let (reader, rows) = self.column_reader(column, group)?;
        Ok(match reader {
            ColumnReader::DoubleColumnReader(mut reader) => self.cells(&mut reader, rows)?,
            ColumnReader::FloatColumnReader(mut reader) => map(self.cells(&mut reader, rows)?, f64::from),
            ColumnReader::Int32ColumnReader(mut reader) if unsigned => {
                map(self.cells(&mut reader, rows)?, |value| f64::from(value as u32))
            }
            ColumnReader::Int32ColumnReader(mut reader) => map(self.cells(&mut reader, rows)?, f64::from),
            ColumnReader::Int64ColumnReader(mut reader) if unsigned => {
                map(self.cells(&mut reader, rows)?, |value| value as u64 as f64)
            }
            ColumnReader::Int64ColumnReader(mut reader) => map(self.cells(&mut reader, rows)?, |value| value as f64),
            ColumnReader::FixedLenByteArrayColumnReader(mut reader) => {
                map(self.cells(&mut reader, rows)?, |value| f64::from(float16(value.data())))
            }
            _ => unreachable!("numeric kinds have these readers"),
        })
    }

    /// One row group of [`Self::texts`].
    ///
    /// # Errors
    ///
    /// [`TableError::Parquet`] and [`TableError::Binary`].
    pub fn group_texts(&self, column: usize, group: usize) -> Result<Vec<Option<String>>, TableError> {
        let descriptor = self.descriptor(column);
        let kind = self.columns[column].kind;
        let first_row = self.group_rows()[..group].iter().sum();
        let (reader, rows) = self.column_reader(column, group)?;
        let time = time_unit(descriptor);
        let scale = descriptor.type_scale();
        let whole = |value: i64| match kind {
            ParquetKind::Decimal => decimal_text(i128::from(value), scale),
            _ => time.text(value),
        };
        Ok(match reader {
            ColumnReader::BoolColumnReader(mut reader) => {
                map(self.cells(&mut reader, rows)?, |value| value.to_string())
            }
            ColumnReader::Int32ColumnReader(mut reader) if is_unsigned(descriptor) => {
                map(self.cells(&mut reader, rows)?, |value| (value as u32).to_string())
            }
            ColumnReader::Int32ColumnReader(mut reader) => {
                map(self.cells(&mut reader, rows)?, |value| whole(i64::from(value)))
            }
            ColumnReader::Int64ColumnReader(mut reader) if is_unsigned(descriptor) => {
                map(self.cells(&mut reader, rows)?, |value| (value as u64).to_string())
            }
            ColumnReader::Int64ColumnReader(mut reader) => map(self.cells(&mut reader, rows)?, whole),
            ColumnReader::Int96ColumnReader(mut reader) => {
                map(self.cells(&mut reader, rows)?, |value| int96_text(&value))
            }
            ColumnReader::FloatColumnReader(mut reader) => map(self.cells(&mut reader, rows)?, float32_text),
            ColumnReader::DoubleColumnReader(mut reader) => map(self.cells(&mut reader, rows)?, float_text),
            ColumnReader::ByteArrayColumnReader(mut reader) => {
                let cells = self.cells(&mut reader, rows)?;
                let cells = cells.iter().map(|cell| cell.as_ref().map(|bytes| bytes.data()));
                self.byte_texts(column, cells, first_row, scale)?
            }
            ColumnReader::FixedLenByteArrayColumnReader(mut reader) => {
                let cells = self.cells(&mut reader, rows)?;
                let cells = cells.iter().map(|cell| cell.as_ref().map(|bytes| bytes.data()));
                self.byte_texts(column, cells, first_row, scale)?
            }
        })
    }

    fn byte_texts<'a>(
        &self,
        column: usize,
        cells: impl Iterator<Item = Option<&'a [u8]>>,
        first_row: usize,
        scale: i32,
    ) -> Result<Vec<Option<String>>, TableError> {
        let kind = self.columns[column].kind;
        let uuid = matches!(self.descriptor(column).logical_type_ref(), Some(LogicalType::Uuid));
        let mut texts = Vec::new();
        for (row, cell) in cells.enumerate() {
            texts.push(match cell {
                None => None,
                Some(bytes) if kind == ParquetKind::Float16 => Some(float32_text(float16(bytes))),
                Some(bytes) if kind == ParquetKind::Decimal && bytes.len() <= 16 => {
                    Some(decimal_text(big_endian(bytes), scale))
                }
                Some(bytes) if uuid => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
                Some(bytes) => match std::str::from_utf8(bytes) {
                    Ok("") => None, // as in a CSV file
                    Ok(text) => Some(text.to_owned()),
                    Err(_) => {
                        let (column, row) = (self.columns[column].name.clone(), first_row + row);
                        return Err(TableError::Binary {
                            column,
                            row,
                            path: self.path.clone(),
                        });
                    }
                },
            });
        }
        Ok(texts)
    }

    fn descriptor(&self, column: usize) -> &ColumnDescriptor {
        &self.reader.metadata().file_metadata().schema_descr().columns()[column]
    }

    /// The reader of a column in a group, and the group's rows.
    fn column_reader(&self, column: usize, group: usize) -> Result<(ColumnReader, usize), TableError> {
        let group = self.reader.get_row_group(group).map_err(|source| self.failed(source))?;
        let rows = group.metadata().num_rows().max(0) as usize;
        let reader = group.get_column_reader(column).map_err(|source| self.failed(source))?;
        Ok((reader, rows))
    }

    /// All cells of a column chunk; refuses one that is shorter than its group.
    fn cells<T: DataType>(
        &self,
        reader: &mut ColumnReaderImpl<T>,
        rows: usize,
    ) -> Result<Vec<Option<T::T>>, TableError> {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let (read, _, _) = reader
            .read_records(rows, Some(&mut levels), None, &mut values)
            .map_err(|source| self.failed(source))?;
        if read != rows {
            let message = format!("a column has {read} of its row group's {rows} rows");
            return Err(self.failed(ParquetError::General(message)));
        }
        if levels.is_empty() {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = values.into_iter();
        // Flat columns have level 1 where there is a value, and the reader gives one value for each.
        Ok(levels
            .into_iter()
            .map(|level| if level > 0 { values.next() } else { None })
            .collect())
    }

    fn failed(&self, source: ParquetError) -> TableError {
        TableError::Parquet {
            source,
            path: self.path.clone(),
        }
    }
}

fn map<A, B>(cells: Vec<Option<A>>, change: impl Fn(A) -> B) -> Vec<Option<B>> {
    cells.into_iter().map(|cell| cell.map(&change)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{Column, ColumnData, write_parquet};

    #[test]
    fn typed_columns_and_metadata_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let columns = [
            Column::new("s", ColumnData::Text(vec![Some("ü".into()), None, Some("b".into())])),
            Column::new("f", ColumnData::Float32(vec![0.1, -0.0, f32::NAN])),
            Column::new("d", ColumnData::Float64(vec![None, Some(1e300), Some(2.0)])),
            Column::new("i", ColumnData::Int(vec![i64::MIN, 0, 7])),
        ];
        let metadata = BTreeMap::from([("k".to_owned(), "v \u{1f600}".to_owned())]);
        write_parquet(&path, &columns, &metadata).unwrap();
        let table = ParquetTable::open(&path).unwrap();
        assert_eq!(table.metadata(), &metadata);
        assert_eq!(
            table.texts(0).unwrap(),
            [Some("ü".to_owned()), None, Some("b".to_owned())]
        );
        let floats = table.f32s(table.position("f").unwrap()).unwrap();
        assert_eq!(
            floats[..2].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            [0.1f32, -0.0].map(f32::to_bits)
        );
        assert!(floats[2].is_nan());
        assert_eq!(table.f64s(2).unwrap(), [None, Some(1e300), Some(2.0)]);
        let text = table.to_text().unwrap();
        assert_eq!(text.column("d").unwrap()[1].as_deref(), Some("1e300"));
        assert_eq!(text.column("d").unwrap()[2].as_deref(), Some("2"));
        assert_eq!(text.column("i").unwrap()[0].as_deref(), Some("-9223372036854775808"));
        assert!(matches!(
            table.f64s(0),
            Err(TableError::NotNumeric { found: "text", .. })
        ));
    }

    #[test]
    fn a_torn_file_is_said_to_be_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        write_parquet(
            &path,
            &[Column::new("i", ColumnData::Int(vec![1; 100]))],
            &BTreeMap::new(),
        )
        .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        assert!(matches!(ParquetTable::open(&path), Err(TableError::Parquet { .. })));
    }
}
