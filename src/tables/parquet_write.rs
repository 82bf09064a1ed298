//! Typed Parquet files without arrow: columns of text, floats and integers, zstd, metadata as key and value.

use std::{borrow::Borrow, collections::BTreeMap, io, io::Write, path::Path, sync::Arc};

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{ColumnPath, Type},
};

use super::{WriteError, atomic_write};

/// One column and its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its cells.
    pub data: ColumnData,
}

/// The cells of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnData {
    /// UTF-8 text, may be null.
    Text(Vec<Option<String>>),
    /// 32-bit floats, never null.
    Float32(Vec<f32>),
    /// 64-bit floats, may be null.
    Float64(Vec<Option<f64>>),
    /// 64-bit integers, never null.
    Int(Vec<i64>),
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// [`ColumnData::Text`].
    Text,
    /// [`ColumnData::Float32`].
    Float32,
    /// [`ColumnData::Float64`].
    Float64,
    /// [`ColumnData::Int`].
    Int,
}

impl Column {
    /// A column of this name.
    pub fn new(name: impl Into<String>, data: ColumnData) -> Self {
        Self {
            name: name.into(),
            data,
        }
    }
}

impl ColumnData {
    /// Its type.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Self::Text(_) => ColumnKind::Text,
            Self::Float32(_) => ColumnKind::Float32,
            Self::Float64(_) => ColumnKind::Float64,
            Self::Int(_) => ColumnKind::Int,
        }
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(cells) => cells.len(),
            Self::Float32(cells) => cells.len(),
            Self::Float64(cells) => cells.len(),
            Self::Int(cells) => cells.len(),
        }
    }

    /// Whether there are no cells.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows of a group in [`write_parquet`]: enough to compress well, few enough to be held while reading.
const GROUP: usize = 65_536;

/// Writes a table atomically, with its metadata.
///
/// # Errors
///
/// [`WriteError`].
///
/// # Panics
///
/// Where the columns differ in length.
pub fn write_parquet(path: &Path, columns: &[Column], metadata: &BTreeMap<String, String>) -> Result<(), WriteError> {
    let kinds: Vec<_> = columns
        .iter()
        .map(|column| (column.name.clone(), column.data.kind()))
        .collect();
    let n_rows = columns.first().map_or(0, |column| column.data.len());
    assert!(
        columns.iter().all(|column| column.data.len() == n_rows),
        "columns differ in length"
    );
    atomic_write(path, |file| {
        let mut writer = ParquetWriter::new(file, &kinds, metadata)?;
        for start in (0..n_rows).step_by(GROUP) {
            writer.write_group(
                columns.iter().map(|column| &column.data),
                start..(start + GROUP).min(n_rows),
            )?;
        }
        writer.finish()
    })
}

/// Writes a Parquet file group by group, so that memory holds one group.
pub struct ParquetWriter<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    kinds: Vec<(String, ColumnKind)>,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Starts a file of these columns.
    ///
    /// # Errors
    ///
    /// I/O errors of `sink`.
    pub fn new(sink: W, kinds: &[(String, ColumnKind)], metadata: &BTreeMap<String, String>) -> io::Result<Self> {
        let fields = kinds
            .iter()
            .map(|(name, kind)| field(name, *kind))
            .collect::<Result<_, _>>();
        let schema = fields
            .and_then(|fields| Type::group_type_builder("schema").with_fields(fields).build())
            .map_err(io_error)?;
        let pairs = metadata
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let mut properties = WriterProperties::builder()
            // 3 is zstd's own default.
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(io_error)?))
            .set_created_by(format!("hounsfield version {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata((!metadata.is_empty()).then(|| pairs.collect()));
        for (name, _) in kinds.iter().filter(|(_, kind)| *kind != ColumnKind::Text) {
            // Floats rarely repeat; a dictionary would be tried, held and thrown away for each of thousands of columns.
            let path = ColumnPath::new(vec![name.clone()]);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        let writer = SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties.build()));
        Ok(Self {
            writer: writer.map_err(io_error)?,
            kinds: kinds.to_vec(),
        })
    }

    /// Writes `rows` of the columns as one group. No rows, no group.
    ///
    /// # Errors
    ///
    /// I/O errors of the sink.
    ///
    /// # Panics
    ///
    /// Where the columns are not of the kinds that the file was started with, or shorter than `rows`.
    pub fn write_group<C: Borrow<ColumnData>>(
        &mut self,
        columns: impl Iterator<Item = C>,
        rows: std::ops::Range<usize>,
    ) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(io_error)?;
        let mut kinds = self.kinds.iter();
        for data in columns {
            let data = data.borrow();
            let expected = kinds.next().map(|(_, kind)| *kind);
            assert_eq!(
                expected,
                Some(data.kind()),
                "a column is not of the kind that the file was started with"
            );
            let rows = rows.clone();
            match data {
                ColumnData::Text(cells) => {
                    let bytes = |cell: &String| ByteArray::from(cell.as_str());
                    optional::<ByteArrayType, _>(&mut group, &cells[rows], bytes)
                }
                ColumnData::Float64(cells) => optional::<DoubleType, _>(&mut group, &cells[rows], |cell| *cell),
                ColumnData::Float32(cells) => required::<FloatType>(&mut group, &cells[rows]),
                ColumnData::Int(cells) => required::<Int64Type>(&mut group, &cells[rows]),
            }
            .map_err(io_error)?;
        }
        assert!(kinds.next().is_none(), "fewer columns than the file was started with");
        group.close().map_err(io_error)?;
        Ok(())
    }

    /// Writes the footer; without it the file is torn.
    ///
    /// # Errors
    ///
    /// I/O errors of the sink.
    pub fn finish(self) -> io::Result<()> {
        self.writer.close().map_err(io_error).map(drop)
    }
}

fn field(name: &str, kind: ColumnKind) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical, repetition) = match kind {
        ColumnKind::Text => (
            PhysicalType::BYTE_ARRAY,
            Some(LogicalType::String),
            Repetition::OPTIONAL,
        ),
        ColumnKind::Float32 => (PhysicalType::FLOAT, None, Repetition::REQUIRED),
        ColumnKind::Float64 => (PhysicalType::DOUBLE, None, Repetition::OPTIONAL),
        ColumnKind::Int => (PhysicalType::INT64, None, Repetition::REQUIRED),
    };
    let builder = Type::primitive_type_builder(name, physical).with_repetition(repetition);
    builder.with_logical_type(logical).build().map(Arc::new)
}

fn optional<T: DataType, C>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    cells: &[Option<C>],
    value: impl Fn(&C) -> T::T,
) -> Result<(), ParquetError> {
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values: Vec<T::T> = cells.iter().flatten().map(value).collect();
    column::<T>(group, &values, Some(&levels))
}

fn required<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    column::<T>(group, values, None)
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General(
            "more columns than the file was started with".to_owned(),
        ));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

/// The I/O error inside, so that a full disk is still a full disk.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(inner) => *inner,
            Err(inner) => io::Error::other(inner),
        },
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then is full.
    struct Disk {
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_fills_up_anywhere_is_said_to_be_full() {
        let kinds = [("f".to_owned(), ColumnKind::Float32)];
        let data = ColumnData::Float32((0..5000).map(|value| value as f32).collect());
        let write = |room| {
            let mut writer = ParquetWriter::new(Disk { room }, &kinds, &BTreeMap::new())?;
            writer.write_group([&data].into_iter(), 0..5000)?;
            writer.finish()
        };
        write(1 << 20).unwrap();
        for room in [0, 100, 3000] {
            assert_eq!(
                write(room).unwrap_err().kind(),
                io::ErrorKind::StorageFull,
                "with room for {room} bytes"
            );
        }
    }
}
