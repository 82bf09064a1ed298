//! Members of a zip, by the crate `zip`.

use std::{
    borrow::Cow,
    io::{self, Read as _},
};

use zip::{CompressionMethod, ZipArchive, read::ZipFileEntry, result::ZipError};

use super::{ArchiveFlaw, Content, HARMLESS, List, MAX_RATIO, Member, Refusal, at::At};

/// What a member is, in the upper bits of a Unix mode (`sys/stat.h`).
const KIND: u32 = 0o170_000;

/// Lists a zip.
pub(super) fn open(at: At) -> Result<(List, Content), ArchiveFlaw> {
    let length = at.length;
    let zip = ZipArchive::new(at).map_err(|error| flaw(&error))?;
    if zip.has_duplicate_names() {
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
        list.add(name, entry.size(), at as u64, refusal(&entry))?;
    }
    Ok((list, Content::Zip(zip)))
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
