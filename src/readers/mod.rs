//! Files to slices: one file a format.
//!
//! A reader is chosen by what the file's first bytes say, not by its name. Every reader either gives the slice as it
//! was stored or an error: half a picture is an error. [`SliceAddress`] says which slice of which file is meant.

mod address;
mod dicom;
mod image;
mod reason;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

pub use self::{
    address::{ARCHIVES, SliceAddress},
    dicom::Dicom,
    image::Image,
    reason::reason,
};
use crate::ct::{CtSlice, Rescale};

/// Reads slices of one kind of file.
pub trait SliceReader: Sync {
    /// What it reads, e.g. `DICOM CT`.
    fn name(&self) -> &'static str;

    /// Whether a file that starts with `head` (its first 132 bytes, or all of a shorter file) is of this kind. The path
    /// only helps where the content leaves it open.
    fn can_read(&self, head: &[u8], path: &Path) -> bool;

    /// The slices in a file with this content; the path is for messages. What the header says is checked here, pixels
    /// are decoded where a slice is read. `rescale` is what the user states where a file says nothing of Hounsfield units.
    fn open(&self, bytes: Vec<u8>, rescale: Option<Rescale>, path: &Path) -> Result<Box<dyn Slices>, ReadError>;

    /// What can be decoded, as pairs of a name and details, for the user to see.
    fn codecs(&self) -> Vec<(String, String)>;
}

/// The slices of one file.
#[expect(
    clippy::len_without_is_empty,
    reason = "a file without slices is an error when it is opened"
)]
pub trait Slices: Send + Sync {
    /// How many there are; at least one.
    fn len(&self) -> usize;

    /// The slice with this number, counted from 0: in a volume from the head, in a multi-frame object in its own order.
    fn read(&self, at: usize) -> Result<CtSlice, ReadError>;
}

/// All readers; the first that recognises a file reads it.
pub const READERS: &[&dyn SliceReader] = &[&Dicom, &Image];

/// Enough for every signature: a DICOM file's stands behind a preamble of 128 bytes.
const HEAD: usize = 132;

/// No side of an image may be longer. CT matrices end at 2048; a bomb starts beyond.
const MAX_SIDE: u32 = 8192;

/// No file may be longer: a single slice never is, and it is read into memory at once.
const MAX_BYTES: u64 = 512 << 20;

/// Reads one slice of any known format; the path is a [`SliceAddress`].
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("slice.txt");
/// std::fs::write(&path, "not an image")?;
/// let error = hounsfield::readers::read_slice(&path).unwrap_err();
/// assert!(error.to_string().starts_with("not a PNG, JPEG, TIFF or DICOM file"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_slice(path: &Path) -> Result<CtSlice, ReadError> {
    let address = SliceAddress::parse(path)?;
    let slices = open(&address)?;
    match (address.slice, slices.len()) {
        (None, 1) => slices.read(0),
        (Some(at), n) if at < n => slices.read(at),
        (at, n) => Err(ReadError::WhichSlice {
            found: n,
            asked: at.map_or("none".to_owned(), |at| at.to_string()),
            path: path.to_owned(),
        }),
    }
}

/// Opens the file or the member of an archive that an address names.
fn open(address: &SliceAddress) -> Result<Box<dyn Slices>, ReadError> {
    let path = &address.file;
    let head = read_head(path).map_err(|source| ReadError::Io {
        source,
        path: path.to_owned(),
    })?;
    match READERS.iter().find(|reader| reader.can_read(&head, path)) {
        Some(reader) => reader.open(read_bytes(path)?, address.rescale, path),
        None if head.is_empty() => Err(ReadError::Empty { path: path.to_owned() }),
        None => Err(ReadError::UnknownFormat { path: path.to_owned() }),
    }
}

/// What this build can read, as pairs of format and details; for `hounsfield doctor`.
pub fn codecs() -> Vec<(String, String)> {
    READERS.iter().flat_map(|reader| reader.codecs()).collect()
}

fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The whole file, if it is not absurdly long.
fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let io_error = |source| ReadError::Io {
        source,
        path: path.to_owned(),
    };
    let file = File::open(path).map_err(io_error)?;
    let bytes = file.metadata().map_err(io_error)?.len();
    if bytes > MAX_BYTES {
        return Err(ReadError::TooLong {
            mebibytes: bytes >> 20,
            path: path.to_owned(),
        });
    }
    let mut content = Vec::with_capacity(bytes as usize);
    file.take(MAX_BYTES).read_to_end(&mut content).map_err(io_error)?;
    Ok(content)
}

/// Why a file gave no slice. No message holds anything that the file says of a patient; the path comes last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file can't be opened or read.
    #[error("file can't be read: {}", path.display())]
    Io {
        /// What the system said.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// Nothing is in it.
    #[error("file is empty: {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// No reader knows its first bytes.
    #[error("not a PNG, JPEG, TIFF or DICOM file by its first bytes: {}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// Longer than any single slice.
    #[error("file has {mebibytes} MiB, a single slice at most {}: {}", MAX_BYTES >> 20, path.display())]
    TooLong {
        /// Its length.
        mebibytes: u64,
        /// The file.
        path: PathBuf,
    },
    /// Larger than any CT slice.
    #[error("image is {width} x {height} pixels, at most {MAX_SIDE} x {MAX_SIDE} are read: {}", path.display())]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The file.
        path: PathBuf,
    },
    /// The file ends before the image does.
    #[error("{format} file is truncated ({missing}): {}", path.display())]
    Truncated {
        /// The format.
        format: &'static str,
        /// What was expected and not found.
        missing: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The content contradicts the format.
    #[error("{format} file can't be decoded ({reason}): {}", path.display())]
    Decode {
        /// The format.
        format: &'static str,
        /// What the decoder said.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The decoder panicked, which it does on broken content.
    #[error("decoder of {format} gave up on broken content: {}", path.display())]
    DecoderPanic {
        /// The format, or the transfer syntax.
        format: String,
        /// The file.
        path: PathBuf,
    },
    /// More than one picture in a file that should hold one slice.
    #[error("file holds {found}, expected one slice (volumes and multi-frame objects aren't read yet): {}", path.display())]
    SeveralImages {
        /// What it holds, e.g. `24 frames`.
        found: String,
        /// The file.
        path: PathBuf,
    },
    /// An address with a part that means nothing.
    #[error("`{found}` says nothing about a slice, expected `slice=N` or `rescale=SLOPE,INTERCEPT` behind `#`: {}", path.display())]
    Address {
        /// The part.
        found: String,
        /// The address.
        path: PathBuf,
    },
    /// A number that no slice has, or none where it is needed.
    #[error("file holds {found} slices and slice {asked} was asked for, name one of 0 to {} by `#slice=N`: {}", found - 1, path.display())]
    WhichSlice {
        /// How many there are.
        found: usize,
        /// What the address says.
        asked: String,
        /// The address.
        path: PathBuf,
    },
    /// An attribute that the meaning of the pixels rests on is missing.
    #[error("DICOM attribute {attribute} is missing, expected {expected}: {}", path.display())]
    MissingAttribute {
        /// Its keyword.
        attribute: &'static str,
        /// What should stand there and why.
        expected: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// An attribute says that this is no CT slice as we read it.
    #[error("DICOM attribute {attribute} is {found}, expected {expected}: {}", path.display())]
    Attribute {
        /// Its keyword.
        attribute: &'static str,
        /// Its value.
        found: String,
        /// What can be read.
        expected: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The transfer syntax has no decoder in this build.
    #[error("no decoder for transfer syntax {uid} ({name}), convert the file or see `hounsfield doctor`: {}", path.display())]
    NoCodec {
        /// Its UID.
        uid: String,
        /// Its name, `unknown` for a private one.
        name: String,
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_have_names_of_their_own() {
        let mut names: Vec<_> = READERS.iter().map(|reader| reader.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), READERS.len());
        assert!(codecs().len() > READERS.len());
    }

    #[test]
    fn empty_missing_and_foreign_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.png");
        std::fs::write(&empty, b"").unwrap();
        let html = dir.path().join("slice.png");
        std::fs::write(&html, b"<html>404</html>").unwrap();
        assert!(matches!(read_slice(&empty), Err(ReadError::Empty { .. })));
        assert!(matches!(read_slice(&html), Err(ReadError::UnknownFormat { .. })));
        assert!(matches!(
            read_slice(&dir.path().join("none")),
            Err(ReadError::Io { .. })
        ));
    }
}
