//! Files and members of archives, found by their address: opened, read, hashed.
//!
//! Files with many slices and archives stay open for as long as they are among the last that were asked for, since a
//! cohort's rows name the slices of one file one by one. One of the former for each processor is kept, two at least, with its
//! bytes in memory ([`SliceReader::longest`](super::SliceReader::longest)), and four of the latter, of which the lists are.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Archive, MAX_BYTES, READERS, ReadError, SliceAddress, SliceReader, Slices, kept::Kept};
use crate::{
    ct::{CtSlice, Rescale},
    tables::{sha256_bytes, sha256_file},
};

/// Enough for every signature: a DICOM file's stands behind a preamble of 128 bytes.
pub(super) const HEAD: usize = 132;

static STACKS: Kept<Key, Arc<dyn Slices>> = Kept::new(|| threads().max(2));
static ARCHIVES: Kept<Key, Arc<Archive>> = Kept::new(|| threads().max(4));
/// Hashes of files with many slices.
static HASHES: Kept<Key, String> = Kept::new(|| threads().max(64));

/// Each may stand in a file of its own.
fn threads() -> usize {
    rayon::current_num_threads()
}

/// A file or a member of an archive, and what tells that it is still the same.
#[derive(Debug, PartialEq)]
struct Key {
    file: PathBuf,
    member: Option<String>,
    rescale: Option<Rescale>,
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Key {
    fn of(address: &SliceAddress) -> Result<Self, ReadError> {
        let facts = fs::metadata(&address.file).map_err(|source| ReadError::Io {
            source,
            path: shown(address),
        })?;
        Ok(Self {
            file: address.file.clone(),
            member: address.member.clone(),
            rescale: address.rescale,
            bytes: facts.len(),
            changed: facts.modified().ok(),
        })
    }
}

/// Reads one slice of any known format; the path is a [`SliceAddress`].
///
/// # Errors
///
/// Whatever keeps the file from being read as a CT slice or picture; one of many where the address does not say which.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("slice.txt");
/// std::fs::write(&path, "not an image")?;
/// let error = hounsfield::readers::read_slice(&path).unwrap_err();
/// assert!(error.to_string().starts_with("not a PNG, JPEG, TIFF, NIfTI, npy or DICOM file"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_slice(path: &Path) -> Result<CtSlice, ReadError> {
    let address = SliceAddress::parse(path)?;
    let slices = match address.slice {
        Some(_) => STACKS.get(Key::of(&address)?, || begin(&address)?.open().map(Arc::from))?,
        None => Arc::from(begin(&address)?.open()?),
    };
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

/// The slices in bytes that are in memory. The path is for messages, and for what the content leaves open.
///
/// # Errors
///
/// Bytes of no known format, and whatever a reader refuses by the header.
pub fn open_bytes(bytes: Vec<u8>, rescale: Option<Rescale>, path: &Path) -> Result<Box<dyn Slices>, ReadError> {
    let head = &bytes[..bytes.len().min(HEAD)];
    match READERS.iter().find(|reader| reader.can_read(head, path)) {
        Some(reader) => reader.open(bytes, rescale, path),
        None if bytes.is_empty() => Err(ReadError::Empty { path: path.to_owned() }),
        None => Err(ReadError::UnknownFormat { path: path.to_owned() }),
    }
}

/// A file or a member of an archive, of which so much was read as tells what it is.
pub struct Begun {
    /// Who reads it; `None` where nobody knows its first bytes.
    pub reader: Option<&'static dyn SliceReader>,
    address: SliceAddress,
    empty: bool,
    /// A member is in memory anyway; of a file no more is read than tells what it is.
    content: Option<Vec<u8>>,
}

/// Looks at the first bytes of what an address names.
///
/// # Errors
///
/// What can't be read.
pub fn begin(address: &SliceAddress) -> Result<Begun, ReadError> {
    let (head, content, name) = match &address.member {
        Some(member) => {
            let content = archive(&address.file)?.read(member)?;
            let head = content[..content.len().min(HEAD)].to_vec();
            (head, Some(content), Path::new(member))
        }
        None => {
            let path = &address.file;
            let head = read_head(path).map_err(|source| ReadError::Io {
                source,
                path: path.to_owned(),
            })?;
            (head, None, path.as_path())
        }
    };
    Ok(Begun {
        reader: READERS.iter().copied().find(|reader| reader.can_read(&head, name)),
        address: address.clone(),
        empty: head.is_empty(),
        content,
    })
}

impl Begun {
    /// All of it: a file as long as files of its kind may be, or a member, at most `MAX_BYTES`.
    ///
    /// # Errors
    ///
    /// What can't be read, and what is longer.
    pub fn content(self) -> Result<Vec<u8>, ReadError> {
        match self.content {
            Some(content) => Ok(content),
            None => read_bytes(&self.address.file, self.reader.map_or(MAX_BYTES, SliceReader::longest)),
        }
    }

    /// Its slices.
    ///
    /// # Errors
    ///
    /// No known format, and whatever its reader refuses by the header.
    pub fn open(self) -> Result<Box<dyn Slices>, ReadError> {
        let path = shown(&self.address);
        match self.reader {
            Some(reader) => {
                let rescale = self.address.rescale;
                reader.open(self.content()?, rescale, &path)
            }
            None if self.empty => Err(ReadError::Empty { path }),
            None => Err(ReadError::UnknownFormat { path }),
        }
    }
}

/// All of what an address names; see [`Begun::content`].
///
/// # Errors
///
/// What can't be read, and what is longer.
pub fn content(address: &SliceAddress) -> Result<Vec<u8>, ReadError> {
    begin(address)?.content()
}

/// An archive, opened once and shared by all who ask while it is among the last four.
///
/// # Errors
///
/// As [`Archive::open`].
pub fn archive(path: &Path) -> Result<Arc<Archive>, ReadError> {
    let key = Key::of(&SliceAddress::of(path))?;
    ARCHIVES.get(key, || Archive::open(path).map(Arc::new))
}

/// SHA-256 of what a [`SliceAddress`] names: of the bytes of a file or member, or of that hash and the part behind the `#`.
///
/// # Errors
///
/// What can't be read.
pub fn sha256(path: &Path) -> Result<String, ReadError> {
    let address = SliceAddress::parse(path)?;
    let whole = SliceAddress {
        slice: None,
        rescale: None,
        ..address.clone()
    };
    let (full, short) = (address.to_string(), whole.to_string());
    match full.strip_prefix(&short).filter(|fragment| !fragment.is_empty()) {
        None => sha256_whole(&whole),
        Some(fragment) => {
            let hash = HASHES.get(Key::of(&whole)?, || sha256_whole(&whole))?;
            Ok(sha256_bytes(format!("{hash}{fragment}").as_bytes()))
        }
    }
}

fn sha256_whole(address: &SliceAddress) -> Result<String, ReadError> {
    match &address.member {
        Some(_) => Ok(sha256_bytes(&content(address)?)),
        // A file may be longer than what is read: it is hashed piece by piece.
        None => sha256_file(&address.file).map_err(|error| ReadError::Io {
            source: io::Error::other(cause(&error)),
            path: address.file.clone(),
        }),
    }
}

/// What an error says of its cause, without the path.
fn cause(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or("it can't be hashed".to_owned(), ToString::to_string)
}

/// Size in bytes and time of last change, in ns, of the file or archive that a [`SliceAddress`] names: what tells, without
/// reading it, that it is still the same. `None` where it can't be told.
pub fn stamp(path: &Path) -> Option<(u64, u128)> {
    let facts = fs::metadata(SliceAddress::parse(path).ok()?.file).ok()?;
    let changed = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((facts.len(), changed.as_nanos()))
}

/// The file, or the archive and its member: what a message ends with where no slice is meant.
fn shown(address: &SliceAddress) -> PathBuf {
    match &address.member {
        Some(member) => format!("{}!{member}", address.file.display()).into(),
        None => address.file.clone(),
    }
}

/// A file's first bytes, as many as a signature may need.
pub(super) fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The whole file, if it has no more than `most` bytes.
pub(super) fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    let io_error = |source| ReadError::Io {
        source,
        path: path.to_owned(),
    };
    let file = File::open(path).map_err(io_error)?;
    let bytes = file.metadata().map_err(io_error)?.len();
    if bytes > most {
        return Err(ReadError::TooLong {
            mebibytes: bytes >> 20,
            most: most >> 20,
            path: path.to_owned(),
        });
    }
    let mut content = Vec::with_capacity(bytes as usize);
    file.take(most).read_to_end(&mut content).map_err(io_error)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_missing_and_foreign_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.png");
        std::fs::write(&empty, b"").unwrap();
        let html = dir.path().join("slice.png");
        std::fs::write(&html, b"<html>404</html>").unwrap();
        assert!(matches!(read_slice(&empty), Err(ReadError::Empty { .. })));
        assert!(matches!(read_slice(&html), Err(ReadError::UnknownFormat { .. })));
        for missing in ["none", "none#slice=3", "none.zip!a"] {
            let error = read_slice(&dir.path().join(missing)).unwrap_err();
            assert!(matches!(error, ReadError::Io { .. }), "{error}");
        }
    }

    #[test]
    fn a_slice_of_many_has_a_hash_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        let of = |fragment: &str| sha256(&dir.path().join(format!("a{fragment}"))).unwrap();
        assert_eq!(of(""), sha256_bytes(b"abc"));
        assert_eq!(of("#slice=3"), sha256_bytes(format!("{}#slice=3", of("")).as_bytes()));
        assert_eq!(of("#slice=03"), of("#slice=3"));
        assert_ne!(of("#slice=4"), of("#slice=3"));
        assert_ne!(of("#rescale=1,-1024"), of(""));
        std::fs::write(&path, b"abcd").unwrap();
        assert_eq!(
            of("#slice=3"),
            sha256_bytes(format!("{}#slice=3", sha256_bytes(b"abcd")).as_bytes())
        );
        assert!(stamp(&dir.path().join("a#slice=9")).is_some_and(|(bytes, _)| bytes == 4));
        assert_eq!(stamp(&dir.path().join("b")), None);
    }
}
