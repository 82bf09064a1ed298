//! Members of a tar, by a walk over its headers.
//!
//! The crate `tar` reads the fields of a header; the walk is ours, since what GNU's and pax' extensions say must be read
//! within bounds, and members where they lie.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
};

use flate2::read::MultiGzDecoder;
use tar::{EntryType, Header};

use super::{ArchiveFlaw, Content, HARMLESS, List, MAX_INFLATED, MAX_RATIO, Member, Refusal, at::At};

/// Headers and contents begin at multiples of this.
const BLOCK: u64 = 512;

/// The longest extension that is read: Linux' longest path is 4096 bytes.
const MAX_EXTENSION: u64 = 64 << 10;

/// Inflates a packed tar into a file without a name.
pub(super) fn inflate(packed: At) -> Result<File, ArchiveFlaw> {
    let no_room = |source| ArchiveFlaw::NoRoom { source };
    let length = packed.length;
    let most = length.saturating_mul(MAX_RATIO).clamp(HARMLESS, MAX_INFLATED);
    let mut inflated = tempfile::tempfile().map_err(no_room)?;
    let mut stream = MultiGzDecoder::new(packed);
    let (mut piece, mut total) = (vec![0; 256 << 10], 0);
    loop {
        let read = match stream.read(&mut piece) {
            Ok(0) => return Ok(inflated),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken("gzip", cut_or(&error, "its content or its checksum is wrong"))),
        };
        total += read as u64;
        if total > most {
            return Err(ArchiveFlaw::Bomb {
                packed: length,
                inflated: most,
            });
        }
        inflated.write_all(&piece[..read]).map_err(no_room)?;
    }
}

/// Lists a tar.
pub(super) fn open(file: File) -> Result<(List, Content), ArchiveFlaw> {
    let length = file.metadata().map_err(|error| unreadable(&error))?.len();
    let mut list = List::default();
    let mut next = Extension::default();
    let mut at = 0;
    while at < length {
        let mut header = Header::new_old();
        file.read_exact_at(header.as_mut_bytes(), at)
            .map_err(|error| unreadable(&error))?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            // The end; a tape may hold anything behind it.
            break;
        }
        if !checksum_holds(&header) {
            return Err(broken("tar", "the checksum of a header is wrong"));
        }
        let size = match (header.entry_type(), next.size) {
            // What these say of a length is of something else.
            (
                EntryType::Link
                | EntryType::Symlink
                | EntryType::Directory
                | EntryType::Char
                | EntryType::Block
                | EntryType::Fifo,
                _,
            ) => 0,
            (EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink, _)
            | (_, None) => header
                .entry_size()
                .map_err(|_| broken("tar", "a header has no length"))?,
            (_, Some(size)) => size,
        };
        let start = at + BLOCK;
        let end = start.checked_add(size).filter(|end| *end <= length);
        let end = end.ok_or_else(|| broken("tar", "a member is cut off"))?;
        at = end.next_multiple_of(BLOCK);
        match header.entry_type() {
            EntryType::XGlobalHeader | EntryType::GNULongLink => {}
            kind @ (EntryType::XHeader | EntryType::GNULongName) => {
                if size > MAX_EXTENSION {
                    return Err(broken("tar", "a name has more than 64 KiB"));
                }
                let bytes = bytes_at(&file, start, size)?;
                match kind {
                    EntryType::XHeader => next.pax(&bytes)?,
                    _ => next.name = Some(bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()),
                }
            }
            kind => {
                let extension = std::mem::take(&mut next);
                let name = extension.name.unwrap_or_else(|| header.path_bytes().into_owned());
                // Before 1988 a folder was a file whose name ends so.
                if kind == EntryType::Directory || name.ends_with(b"/") {
                    continue;
                }
                let why = match kind {
                    EntryType::Regular | EntryType::Continuous if extension.sparse => Some(Refusal::Sparse),
                    EntryType::Regular | EntryType::Continuous => None,
                    EntryType::Link | EntryType::Symlink => Some(Refusal::Link),
                    EntryType::GNUSparse => Some(Refusal::Sparse),
                    _ => Some(Refusal::NoFile),
                };
                list.add(String::from_utf8(name).ok(), size, start, why)?;
            }
        }
    }
    Ok((list, Content::Tar(file)))
}

/// The content of a member.
pub(super) fn read(file: &File, member: &Member) -> Result<Vec<u8>, ArchiveFlaw> {
    // The list holds no member that is longer than the file or than the longest file that is read.
    bytes_at(file, member.at, member.bytes)
}

fn bytes_at(file: &File, at: u64, length: u64) -> Result<Vec<u8>, ArchiveFlaw> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, at).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

/// The sum of a header's bytes, its own field taken as spaces (POSIX.1-1988, 10.1.1).
fn checksum_holds(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let rest = bytes[..148].iter().chain(&bytes[156..]);
    let sum = rest.map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ');
    header.cksum().is_ok_and(|stated| stated == sum)
}

/// What extension headers say of the next member.
#[derive(Debug, Default)]
struct Extension {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl Extension {
    /// Records `LENGTH KEY=VALUE\n` (POSIX.1-2001, pax extended header).
    fn pax(&mut self, mut records: &[u8]) -> Result<(), ArchiveFlaw> {
        let wrong = || broken("tar", "an extended header can't be read");
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length: usize = number(&records[..space]).ok_or_else(wrong)?;
            let record = records.get(space + 1..length).ok_or_else(wrong)?;
            let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => self.size = Some(number(value).ok_or_else(wrong)?),
                _ => self.sparse |= key.starts_with(b"GNU.sparse."),
            }
            records = &records[length..];
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn broken(format: &'static str, reason: &str) -> ArchiveFlaw {
    ArchiveFlaw::Broken {
        format,
        reason: reason.to_owned(),
    }
}

fn cut_or(error: &io::Error, otherwise: &'static str) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off",
        _ => otherwise,
    }
}

fn unreadable(error: &io::Error) -> ArchiveFlaw {
    broken("tar", cut_or(error, "its file can't be read"))
}
