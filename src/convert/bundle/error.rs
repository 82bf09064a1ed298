//! Why a checkpoint can't be read.

use std::{io, path::PathBuf};

use super::{DType, TableError, WireError};

/// Why a checkpoint can't be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file can't be opened or read.
    #[error("a file of the checkpoint can't be read ({source}): {path:?}")]
    Read {
        /// What the system said.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// The index is damaged, or something else.
    #[error("the checkpoint's index is not understood: {source}: {path:?}")]
    Index {
        /// Why.
        source: TableError,
        /// The index.
        path: PathBuf,
    },
    /// A table, but not that of a checkpoint.
    #[error("the index has no header, which every TensorBundle begins with: {path:?}")]
    NoHeader {
        /// The index.
        path: PathBuf,
    },
    /// The header is no message.
    #[error("the header of the checkpoint is not understood: {source}: {path:?}")]
    Header {
        /// Why.
        source: WireError,
        /// The index.
        path: PathBuf,
    },
    /// A number of data files that can't be.
    #[error("the header says that the checkpoint has {found} data files, at least 1 was expected: {path:?}")]
    Shards {
        /// What it says.
        found: i32,
        /// The index.
        path: PathBuf,
    },
    /// Written on a machine of the other byte order.
    #[error("the checkpoint is big-endian, little-endian is read: save it again on an x86 or ARM machine: {path:?}")]
    BigEndian {
        /// The index.
        path: PathBuf,
    },
    /// A format of another time.
    #[error(
        "the checkpoint asks for readers of version {wanted} of the format, this one is of version {}: {path:?}",
        super::VERSION
    )]
    Version {
        /// The least version that may read it, or the one that must not.
        wanted: String,
        /// The index.
        path: PathBuf,
    },
    /// A name that is not text.
    #[error("the name of a variable is not UTF-8 ({name:?}): {path:?}")]
    Name {
        /// The name, as far as it can be shown.
        name: String,
        /// The index.
        path: PathBuf,
    },
    /// An entry is no message.
    #[error("the entry of variable {name:?} is not understood: {source}: {path:?}")]
    Entry {
        /// The variable.
        name: String,
        /// Why.
        source: WireError,
        /// The index.
        path: PathBuf,
    },
    /// An entry that says what can't be.
    #[error("the entry of variable {name:?} is wrong: {what}: {path:?}")]
    Lie {
        /// The variable.
        name: String,
        /// What it says, and what was expected.
        what: Lie,
        /// The index.
        path: PathBuf,
    },
    /// A part of a variable that has no such part.
    #[error("{count} of the stored parts belong to no variable: {path:?}")]
    Stray {
        /// Parts.
        count: usize,
        /// The index.
        path: PathBuf,
    },
    /// Two variables in one place.
    #[error("variables {first:?} and {second:?} are stored in the same bytes: {path:?}")]
    Overlap {
        /// The one that begins first.
        first: String,
        /// The other.
        second: String,
        /// The index.
        path: PathBuf,
    },
    /// No variable has the name.
    #[error("the checkpoint has no variable {name:?} (it has {count} others): {path:?}")]
    NoVariable {
        /// The name that was asked for.
        name: String,
        /// Variables in the checkpoint.
        count: usize,
        /// The index.
        path: PathBuf,
    },
    /// Values of another type.
    #[error("variable {name:?} holds {found}, {expected} was expected: {path:?}")]
    Type {
        /// The variable.
        name: String,
        /// Its type.
        found: DType,
        /// What was to be read.
        expected: &'static str,
        /// The index.
        path: PathBuf,
    },
    /// Bytes have changed since they were written.
    #[error("the checksum of variable {name:?} is wrong: the file is damaged, fetch it again: {path:?}")]
    Checksum {
        /// The variable.
        name: String,
        /// The data file.
        path: PathBuf,
    },
    /// Strings whose lengths don't fit.
    #[error("the strings of variable {name:?} do not fill the bytes that the index gives them: {path:?}")]
    Strings {
        /// The variable.
        name: String,
        /// The data file.
        path: PathBuf,
    },
}

/// What an entry says that can't be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Lie {
    /// A type that holds no numbers, or none that is known.
    #[error("its type has the code {code}, which is no type of numbers or strings")]
    Type {
        /// `DataType`.
        code: i32,
    },
    /// A shape that is open.
    #[error("its shape is not known")]
    UnknownShape,
    /// An axis of less than no values.
    #[error("an axis of its shape has the size {size}")]
    Axis {
        /// The size.
        size: i64,
    },
    /// More axes than TensorFlow allows.
    #[error("its shape has {axes} axes, TensorFlow allows {}", super::MOST_AXES)]
    Axes {
        /// Axes.
        axes: usize,
    },
    /// More values than can be counted.
    #[error("its shape has more values than memory has addresses")]
    Huge,
    /// Bytes and shape that don't fit.
    #[error("it has {found} bytes, its shape and type make {expected}")]
    Size {
        /// Bytes in the entry.
        found: i64,
        /// Bytes of the shape.
        expected: u64,
    },
    /// A data file that is not there.
    #[error("it lies in data file {shard}, there are {shards}")]
    Shard {
        /// Number of the file, from 0.
        shard: i32,
        /// Data files.
        shards: i32,
    },
    /// Bytes that are not there.
    #[error("it lies at {offset} with {size} bytes, the data file has {length}: it was cut off, or is another's")]
    Outside {
        /// First byte.
        offset: i64,
        /// Bytes.
        size: i64,
        /// Bytes of the file.
        length: u64,
    },
    /// A part that is not in the variable.
    #[error("part {part} of it does not lie in its shape")]
    Part {
        /// Place in the list of parts, from 0.
        part: usize,
    },
    /// A part without an entry, or with one that doesn't fit.
    #[error("part {part} of it is not stored with the shape and type that it must have")]
    PartEntry {
        /// Place in the list of parts, from 0.
        part: usize,
    },
    /// More parts than a variable has.
    #[error("it is stored in {parts} parts, at most {} are read", super::MOST_PARTS)]
    Parts {
        /// Parts.
        parts: usize,
    },
    /// Parts that leave holes or lie on each other.
    #[error("its parts do not make up its shape, each value once")]
    Cover,
    /// An entry larger than any.
    #[error("it has {length} bytes in the index, at most {} are read", super::MOST_ENTRY)]
    Long {
        /// Bytes.
        length: usize,
    },
}
