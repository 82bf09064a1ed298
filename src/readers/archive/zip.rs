//! Members of a zip, by the crate `zip`.

use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, Read as _, Seek as _, SeekFrom},
};

use zip::{CompressionMethod, ZipArchive, read::ZipFileEntry, result::ZipError};

use super::{ArchiveFlaw, Content, HARMLESS, List, MAX_RATIO, Member, Refusal, at::At};

/// What a member is, in the upper bits of a Unix mode (`sys/stat.h`).
const KIND: u32 = 0o170_000;

/// Lists a zip.
pub(super) fn open(at: At) -> Result<(List, Content), ArchiveFlaw> {
    let length = at.length;
    let zip = ZipArchive::new(at.clone()).map_err(|error| flaw(&error))?;
    let twice = match zip.has_duplicate_names() {
        true => repeated(at, zip.central_directory_start()).map_err(|error| damaged(&error))?,
        false => HashSet::new(),
    };
    if zip.has_duplicate_names() && twice.is_empty() {
        return Err(broken("two members have one name"));
    }
    let (mut list, mut packed) = (List::default(), 0_u64);
    for at in 0..zip.len() {
        let entry = zip.by_index_data(at).map_err(|error| flaw(&error))?;
        packed = packed.saturating_add(entry.compressed_size());
        // Members that share their bytes make terabytes of a small file (D. Fifield, "A better zip bomb", WOOT 2019).
        if packed > length {
            return Err(broken("its members overlap"));
        }
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().ok().map(Cow::into_owned);
        let why = twice.contains(entry.name_raw()).then_some(Refusal::Twice);
        list.add(name, entry.size(), at as u64, why.or_else(|| refusal(&entry)))?;
    }
    Ok((list, Content::Zip(zip)))
}

/// The names that stand more than once in the list (APPNOTE 4.3.12), of which the crate keeps the last.
fn repeated(mut at: At, start: u64) -> io::Result<HashSet<Vec<u8>>> {
    let (mut known, mut twice) = (HashSet::new(), HashSet::new());
    at.seek(SeekFrom::Start(start))?;
    loop {
        let mut header = [0; 46];
        let (signature, rest) = header.split_at_mut(4);
        at.read_exact(signature)?;
        // Behind the last entry stands the end of the list, which is shorter.
        if signature != b"PK\x01\x02" {
            return Ok(twice);
        }
        at.read_exact(rest)?;
        let length = |place: usize| u16::from_le_bytes([header[place], header[place + 1]]);
        let mut name = vec![0; usize::from(length(28))];
        at.read_exact(&mut name)?;
        at.seek(SeekFrom::Current(i64::from(length(30)) + i64::from(length(32))))?;
        if let Some(name) = known.replace(name.clone()) {
            twice.insert(name);
        }
    }
}

fn refusal(entry: &ZipFileEntry<'_>) -> Option<Refusal> {
    let (packed, bytes) = (entry.compressed_size(), entry.size());
    match entry.unix_mode().map_or(0, |mode| mode & KIND) {
        0 | 0o100_000 => {}
        0o120_000 => return Some(Refusal::Link),
        _ => return Some(Refusal::NoFile),
    }
    if entry.encrypted() {
        return Some(Refusal::Encrypted);
    }
    let method = entry.compression();
    if method != CompressionMethod::Stored && method != CompressionMethod::Deflated {
        return Some(Refusal::Method);
    }
    (bytes > HARMLESS && bytes / MAX_RATIO > packed).then_some(Refusal::Bomb { packed, bytes })
}

/// The content of a member, of the length that the list says and with its checksum.
pub(super) fn read(zip: &ZipArchive<At>, member: &Member) -> Result<Vec<u8>, ArchiveFlaw> {
    // A clone has the list in common, and a place in the file of its own.
    let mut zip = zip.clone();
    let mut file = zip.by_index(member.at as usize).map_err(|error| flaw(&error))?;
    // Deflate makes at most a thousand bytes of one, whatever the list says.
    let likely = member.bytes.min(file.compressed_size().saturating_mul(1032));
    let mut content = Vec::with_capacity(likely as usize);
    // To the end and no further: the checksum is looked at where the content ends.
    (&mut file)
        .take(member.bytes + 1)
        .read_to_end(&mut content)
        .map_err(|error| damaged(&error))?;
    if content.len() as u64 == member.bytes {
        Ok(content)
    } else {
        Err(broken("a member has another length than the list says"))
    }
}

fn broken(reason: &str) -> ArchiveFlaw {
    ArchiveFlaw::Broken {
        format: "zip",
        reason: reason.to_owned(),
    }
}

fn damaged(error: &io::Error) -> ArchiveFlaw {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => broken("a member is cut off"),
        _ => broken("a member's content or its checksum is wrong"),
    }
}

/// What the crate says, where it can't have put a name into it.
fn flaw(error: &ZipError) -> ArchiveFlaw {
    match error {
        ZipError::InvalidArchive(Cow::Borrowed(reason)) | ZipError::UnsupportedArchive(reason) => broken(reason),
        ZipError::Io(error) => damaged(error),
        _ => broken("its structure is wrong"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::{Archive, Refusal};

    #[test]
    fn a_name_that_stands_twice_costs_no_other_member() {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for name in ["a", "b", "c"] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        }
        let mut bytes = zip.finish().unwrap().into_inner();
        let last = bytes.iter().rposition(|byte| *byte == b'c').unwrap();
        bytes[last] = b'a';
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.zip");
        std::fs::write(&path, bytes).unwrap();
        let archive = Archive::open(&path).unwrap();
        assert_eq!(archive.read("b").unwrap(), b"b");
        let error = archive.read("a").unwrap_err().to_string();
        assert!(error.contains("has the name of another member"), "{error}");
        assert!(archive.refused().iter().all(|refused| refused.why == Refusal::Twice));
    }
}
