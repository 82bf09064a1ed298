//! A data file: the bytes of variables, read in pieces and held against their checksums.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{BundleError, block::masked, variable::Span};

/// A data file.
#[derive(Debug)]
pub(super) struct Shard {
    bytes: Bytes,
    length: u64,
    path: PathBuf,
}

#[derive(Debug)]
enum Bytes {
    /// Opened anew for every variable, so that many can be read at once.
    File,
    Memory(Arc<[u8]>),
}

/// Bytes that are read at a time: a multiple of the width of every type, and little enough to stay in a core's cache.
const PIECE: usize = 1 << 18;

impl Shard {
    pub(super) fn open(path: PathBuf) -> Result<Self, BundleError> {
        match File::open(&path).and_then(|file| file.metadata()) {
            Ok(data) => Ok(Self {
                bytes: Bytes::File,
                length: data.len(),
                path,
            }),
            Err(source) => Err(BundleError::Read { source, path }),
        }
    }

    pub(super) fn from_bytes(bytes: Option<&Arc<[u8]>>, path: PathBuf) -> Result<Self, BundleError> {
        match bytes {
            Some(bytes) => Ok(Self {
                bytes: Bytes::Memory(bytes.clone()),
                length: bytes.len() as u64,
                path,
            }),
            None => Err(BundleError::Read {
                source: io::ErrorKind::NotFound.into(),
                path,
            }),
        }
    }

    /// Bytes of the file, as it was opened.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Hands on the bytes of a variable piece by piece. Only once this has returned they are known to be good.
    pub(super) fn read(&self, name: &str, span: Span, mut take: impl FnMut(&[u8])) -> Result<(), BundleError> {
        let failed = |source| BundleError::Read {
            source,
            path: self.path.clone(),
        };
        let mut file = self.at(span.offset, span.size).map_err(failed)?;
        let mut piece = vec![0; PIECE.min(usize::try_from(span.size).unwrap_or(PIECE))];
        let (mut checksum, mut left) = (0, span.size);
        while left > 0 {
            let length = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
            let piece = &mut piece[..length];
            file.read_exact(piece).map_err(failed)?;
            checksum = crc32c::crc32c_append(checksum, piece);
            take(piece);
            left -= length as u64;
        }
        self.compare(name, checksum, span)
    }

    /// Checks a variable of strings: their lengths as varints, the checksum of these, the strings. What the checksums
    /// are taken of are the lengths as four bytes, or as eight where they need them, and all that follows.
    pub(super) fn check_strings(&self, name: &str, span: Span) -> Result<(), BundleError> {
        // Without bytes there is nothing to check, as TensorFlow has it: a shape of no values.
        if span.size == 0 {
            return Ok(());
        }
        let failed = |source| BundleError::Read {
            source,
            path: self.path.clone(),
        };
        let misfit = || BundleError::Strings {
            name: name.to_owned(),
            path: self.path.clone(),
        };
        let file = self.at(span.offset, span.size).map_err(failed)?;
        let mut file = BufReader::with_capacity(PIECE, file);
        let (mut checksum, mut total) = (0, 0_u64);
        for _ in 0..span.values {
            let length = varint(&mut file).map_err(failed)?.ok_or_else(misfit)?;
            total = total.checked_add(length).ok_or_else(misfit)?;
            checksum = match u32::try_from(length) {
                Ok(short) => crc32c::crc32c_append(checksum, &short.to_le_bytes()),
                Err(_) => crc32c::crc32c_append(checksum, &length.to_le_bytes()),
            };
        }
        let mut stored = [0; 4];
        file.read_exact(&mut stored).map_err(|_| misfit())?;
        if masked(checksum) != u32::from_le_bytes(stored) {
            return Err(BundleError::Checksum {
                name: name.to_owned(),
                path: self.path.clone(),
            });
        }
        checksum = crc32c::crc32c_append(checksum, &stored);
        let mut strings = 0;
        loop {
            let piece = file.fill_buf().map_err(failed)?;
            if piece.is_empty() {
                break;
            }
            checksum = crc32c::crc32c_append(checksum, piece);
            let length = piece.len();
            strings += length as u64;
            file.consume(length);
        }
        if strings != total {
            return Err(misfit());
        }
        self.compare(name, checksum, span)
    }

    fn at(&self, offset: u64, size: u64) -> io::Result<Box<dyn Read + '_>> {
        match &self.bytes {
            Bytes::File => {
                let mut file = File::open(&self.path)?;
                file.seek(SeekFrom::Start(offset))?;
                Ok(Box::new(file.take(size)))
            }
            Bytes::Memory(bytes) => {
                let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                Ok(Box::new(from.unwrap_or_default().take(size)))
            }
        }
    }

    fn compare(&self, name: &str, checksum: u32, span: Span) -> Result<(), BundleError> {
        if masked(checksum) == span.checksum {
            return Ok(());
        }
        Err(BundleError::Checksum {
            name: name.to_owned(),
            path: Path::to_owned(&self.path),
        })
    }
}

/// The next varint; none where the bytes end or it is longer than 64 bits.
fn varint(file: &mut impl Read) -> io::Result<Option<u64>> {
    let mut value = 0;
    for place in 0..10 {
        let mut byte = [0];
        if file.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let bits = u64::from(byte[0] & 0x7f);
        if place == 9 && bits > 1 {
            return Ok(None);
        }
        value |= bits << (7 * place);
        if byte[0] < 0x80 {
            return Ok(Some(value));
        }
    }
    Ok(None)
}
