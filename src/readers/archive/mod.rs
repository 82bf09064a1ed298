//! Archives of slices, whose members are read where they lie: nothing is ever unpacked by name.
//!
//! - `.zip` (PKWARE's APPNOTE 6.3.10): stored and deflated members, zip64; checksums are checked.
//! - `.tar` (POSIX.1-1988 ustar, with GNU's and pax' longer names and sizes).
//! - `.tar.gz`, `.tgz` (RFC 1952) are inflated once, into a temporary file that has no name, so that nothing of a patient
//!   is left where the program is killed.
//!
//! The content decides which of them it is. A name that leads out of the archive, a link and a device are listed with the
//! reason and never read. Archives in archives are not opened.

mod at;
mod tar;
mod zip;

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::zip::ZipArchive;

use self::at::At;
use super::{ARCHIVES, MAX_BYTES, ReadError};

/// How many times its packed length content may have, where it is longer than [`HARMLESS`]. CT shrinks to a third, masks to a
/// hundredth; deflate can do a thousandth.
const MAX_RATIO: u64 = 200;

/// Bytes at which nobody asks how far content was packed.
const HARMLESS: u64 = 64 << 20;

/// A `.tar.gz` may inflate to this on disk.
const MAX_INFLATED: u64 = 64 << 30;

/// What an archive may hold, so that its list fits into memory: a million members take some 100 MB.
const MAX_MEMBERS: usize = 1 << 20;

/// An archive that is open: its list is in memory, its content is not.
#[derive(Debug)]
pub struct Archive {
    members: Vec<Member>,
    refused: Vec<Refused>,
    content: Content,
    path: PathBuf,
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name with `/` between folders, as a [`SliceAddress`](super::SliceAddress) has it behind the `!`.
    pub name: String,
    /// How long it is when it is read.
    pub bytes: u64,
    /// Its number in a zip, where it begins in a tar.
    at: u64,
}

/// A member that is never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name, as far as it is text.
    pub name: String,
    /// Why.
    pub why: Refusal,
}

/// Why a member is never read; completes "a member of the archive".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Absolute, with `..`, a drive or backslashes.
    #[error("has a name that leads out of the archive")]
    Outside,
    /// No text, or text that no address can hold.
    #[error("has a name that is empty, is not UTF-8, or has control characters or `=` behind a `#`")]
    Unnameable,
    /// A symbolic or hard link.
    #[error("is a link")]
    Link,
    /// A device, a pipe, a socket.
    #[error("is no file")]
    NoFile,
    /// A file with holes, which a few bytes can make endless.
    #[error("is a sparse file, pack it without --sparse")]
    Sparse,
    /// Its content is under a password.
    #[error("is encrypted, unpack the archive with its password first")]
    Encrypted,
    /// Packed by something else than deflate.
    #[error("is packed by a method other than deflate, pack it anew")]
    Method,
    /// Nobody can tell which one a name means.
    #[error("has the name of another member")]
    Twice,
    /// An archive in an archive.
    #[error("is an archive itself, unpack the outer one first")]
    Nested,
    /// Longer than any file that is read.
    #[error("has {mebibytes} MiB, at most {} MiB are read", MAX_BYTES >> 20)]
    TooLong {
        /// Its length.
        mebibytes: u64,
    },
    /// So much of so little is an attack, or no CT.
    #[error("claims to inflate from {packed} bytes to {bytes}, at most {MAX_RATIO} times as many are read")]
    Bomb {
        /// As it lies in the archive.
        packed: u64,
        /// What it claims.
        bytes: u64,
    },
}

/// What is wrong with an archive. No message holds a member's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveFlaw {
    /// The content contradicts the format.
    #[error("{format} archive can't be read ({reason})")]
    Broken {
        /// `zip`, `tar` or `gzip`.
        format: &'static str,
        /// What was found.
        reason: String,
    },
    /// So much of so little is an attack, or no CT.
    #[error(
        "archive of {packed} bytes inflates to more than {inflated}, at most {MAX_RATIO} times its length and {} GiB are inflated",
        MAX_INFLATED >> 30
    )]
    Bomb {
        /// The archive's length.
        packed: u64,
        /// How far it was inflated.
        inflated: u64,
    },
    /// The list would not fit into memory.
    #[error("archive has more than {MAX_MEMBERS} members, split it or unpack it")]
    TooMany,
    /// The temporary file can't be written.
    #[error("archive can't be inflated into a temporary file ({source}), set TMPDIR to a folder with more room")]
    NoRoom {
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing of that name is in it.
    #[error("archive has no such member")]
    NoMember,
    /// A member that is there and not read.
    #[error("a member of the archive {0}")]
    Refused(Refusal),
}

#[derive(Debug)]
enum Content {
    Zip(ZipArchive<At>),
    /// The tar itself, or what a `.tar.gz` holds.
    Tar(File),
}

impl Archive {
    /// Whether a file is taken for an archive, by its name.
    pub fn is_named_like_one(path: &Path) -> bool {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        ARCHIVES.iter().any(|end| name.ends_with(end))
    }

    /// Opens an archive and lists it.
    ///
    /// # Errors
    ///
    /// What can't be opened, is damaged, holds members that overlap, or inflates beyond all reason.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| ReadError::Io {
            source,
            path: path.to_owned(),
        })?;
        Self::from_file(file, path)
    }

    /// The same for a file that is open; the path is for messages.
    ///
    /// # Errors
    ///
    /// As [`Archive::open`].
    pub fn from_file(file: File, path: &Path) -> Result<Self, ReadError> {
        let io_error = |source| ReadError::Io {
            source,
            path: path.to_owned(),
        };
        let length = file.metadata().map_err(io_error)?.len();
        let mut head = [0; 4];
        let start = file.read_at(&mut head, 0).map_err(io_error)?;
        let (list, content) = match &head[..start] {
            [] => return Err(ReadError::Empty { path: path.to_owned() }),
            [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6] => zip::open(At::new(Arc::new(file), length)),
            [0x1f, 0x8b, ..] => tar::inflate(At::new(Arc::new(file), length)).and_then(tar::open),
            _ => tar::open(file),
        }
        .map_err(|flaw| ReadError::Archive {
            flaw,
            path: path.to_owned(),
        })?;
        let (members, refused) = list.finish();
        Ok(Self {
            members,
            refused,
            content,
            path: path.to_owned(),
        })
    }

    /// The files in it, sorted by name.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What is in it and is never read, sorted by name.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The whole content of a member.
    ///
    /// # Errors
    ///
    /// No member of that name, one that is refused, and content that contradicts its length or checksum.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, ReadError> {
        self.content(name).map_err(|flaw| ReadError::Archive {
            flaw,
            path: self.address(name),
        })
    }

    fn content(&self, name: &str) -> Result<Vec<u8>, ArchiveFlaw> {
        let member = self.member(name)?;
        match &self.content {
            Content::Zip(zip) => zip::read(zip, member),
            Content::Tar(file) => tar::read(file, member),
        }
    }

    fn member(&self, name: &str) -> Result<&Member, ArchiveFlaw> {
        if let Ok(at) = self.members.binary_search_by(|member| member.name.as_str().cmp(name)) {
            return Ok(&self.members[at]);
        }
        let refused = self.refused.iter().find(|refused| refused.name == name);
        Err(refused.map_or(ArchiveFlaw::NoMember, |refused| ArchiveFlaw::Refused(refused.why)))
    }

    fn address(&self, name: &str) -> PathBuf {
        format!("{}!{name}", self.path.display()).into()
    }
}

/// The list of an archive, as it grows.
#[derive(Debug, Default)]
struct List {
    members: Vec<Member>,
    refused: Vec<Refused>,
}

impl List {
    /// Adds a file, or the reason why it is none that can be read.
    fn add(&mut self, name: Option<String>, bytes: u64, at: u64, why: Option<Refusal>) -> Result<(), ArchiveFlaw> {
        if self.members.len() + self.refused.len() >= MAX_MEMBERS {
            return Err(ArchiveFlaw::TooMany);
        }
        let named = name.as_deref().map_or(Some(Refusal::Unnameable), name_refused);
        let long = (bytes > MAX_BYTES).then_some(Refusal::TooLong { mebibytes: bytes >> 20 });
        let name = name.unwrap_or_default();
        match named.or(why).or(long) {
            Some(why) => self.refused.push(Refused { name, why }),
            None => self.members.push(Member { name, bytes, at }),
        }
        Ok(())
    }

    /// Sorts, and refuses all that share a name.
    fn finish(mut self) -> (Vec<Member>, Vec<Refused>) {
        self.members.sort_by(|a, b| a.name.cmp(&b.name));
        let mut members = Vec::with_capacity(self.members.len());
        for same in self.members.chunk_by(|a, b| a.name == b.name) {
            match same {
                [member] => members.push(member.clone()),
                _ => self.refused.extend(same.iter().map(|member| Refused {
                    name: member.name.clone(),
                    why: Refusal::Twice,
                })),
            }
        }
        self.refused.sort_by(|a, b| a.name.cmp(&b.name));
        (members, self.refused)
    }
}

/// What speaks against a member's name.
fn name_refused(name: &str) -> Option<Refusal> {
    let drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if name.starts_with('/') || name.contains('\\') || drive || name.split('/').any(|part| part == "..") {
        return Some(Refusal::Outside);
    }
    // Such a tail would be taken for `#slice=N`.
    let option = name.rsplit_once('#').is_some_and(|(_, tail)| tail.contains('='));
    if name.is_empty() || name.contains(char::is_control) || option {
        return Some(Refusal::Unnameable);
    }
    Archive::is_named_like_one(Path::new(name)).then_some(Refusal::Nested)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_or_that_no_address_can_hold_are_refused() {
        let cases = [
            ("/etc/passwd", Refusal::Outside),
            ("a/../../b", Refusal::Outside),
            ("..", Refusal::Outside),
            ("a\\b", Refusal::Outside),
            ("C:/b", Refusal::Outside),
            ("", Refusal::Unnameable),
            ("a\nb", Refusal::Unnameable),
            ("a#slice=1", Refusal::Unnameable),
            ("a/b.TAR.gz", Refusal::Nested),
        ];
        for (name, why) in cases {
            assert_eq!(name_refused(name), Some(why), "{name}");
        }
        for name in ["a", "./a/b..c", "a!b", "a#1", "scan.nii.gz", "...", "\u{e4}/\u{df}.dcm"] {
            assert_eq!(name_refused(name), None, "{name}");
        }
    }

    #[test]
    fn members_of_one_name_are_all_refused() {
        let mut list = List::default();
        for (at, name) in ["b", "a", "b"].into_iter().enumerate() {
            list.add(Some(name.to_owned()), 1, at as u64, None).unwrap();
        }
        let (members, refused) = list.finish();
        assert_eq!(members.len(), 1);
        assert_eq!(
            refused.iter().map(|refused| refused.why).collect::<Vec<_>>(),
            [Refusal::Twice; 2]
        );
    }
}
