//! What a prepared scan is called: by its files, so that others, or changed ones, have another name.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf, absolute},
    time::UNIX_EPOCH,
};

use sha2::{Digest as _, Sha256};

use super::super::ScanSource;
use crate::{
    readers::{ReadError, SliceAddress},
    tables::hex,
};

/// SHA-256 of the absolute paths of a scan's files, their lengths and times, and what an address adds. Absolute, so that one scan
/// has one name wherever a command is given from; links are not resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Name(pub [u8; 32]);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Name {
    /// The name, and how many bytes the scan's files have.
    pub fn of(source: &ScanSource) -> Result<(Self, u64), ReadError> {
        let mut name = Naming {
            hash: Sha256::new_with_prefix("scan 1"),
            bytes: 0,
        };
        match source {
            ScanSource::Volume(path) => {
                let address = name.address(path)?;
                let array = address
                    .file
                    .extension()
                    .is_some_and(|end| end.eq_ignore_ascii_case("npy"));
                let mut sidecar = address.file.into_os_string();
                sidecar.push(".json");
                // An array's place is said beside it.
                if array && Path::new(&sidecar).exists() {
                    name.file(Path::new(&sidecar))?;
                }
            }
            ScanSource::Series(path) => {
                let address = SliceAddress::parse(path)?;
                if address.file.is_dir() {
                    name.folder(&address.file)?;
                    name.text(
                        address
                            .to_string()
                            .trim_start_matches(&*address.file.to_string_lossy())
                            .as_bytes(),
                    );
                } else {
                    name.address(path)?;
                }
            }
            ScanSource::Slices(paths) => {
                // In any order: they are one scan.
                let mut paths: Vec<&PathBuf> = paths.iter().collect();
                paths.sort();
                for path in paths {
                    name.address(path)?;
                }
            }
        }
        Ok((Self(name.hash.finalize().into()), name.bytes))
    }
}

struct Naming {
    hash: Sha256,
    bytes: u64,
}

impl Naming {
    fn text(&mut self, text: &[u8]) {
        self.hash.update((text.len() as u64).to_le_bytes());
        self.hash.update(text);
    }

    /// A file and what its address adds.
    fn address(&mut self, path: &Path) -> Result<SliceAddress, ReadError> {
        let address = SliceAddress::parse(path)?;
        self.file(&address.file)?;
        let added = SliceAddress {
            file: PathBuf::new(),
            ..address.clone()
        };
        self.text(added.to_string().as_bytes());
        Ok(address)
    }

    /// Where a file is, how long it is, and when it was changed.
    fn file(&mut self, path: &Path) -> Result<(), ReadError> {
        let unread = |source: io::Error| ReadError::Io {
            source,
            path: path.to_owned(),
        };
        let facts = fs::metadata(path).map_err(unread)?;
        let changed = facts
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let place = absolute(path).map_err(unread)?;
        self.text(place.as_os_str().as_encoded_bytes());
        self.text(&facts.len().to_le_bytes());
        self.text(&changed.map_or(0, |time| time.as_nanos()).to_le_bytes());
        self.bytes += facts.len();
        Ok(())
    }

    /// All files below a folder, in order. Links to folders are not followed, as they aren't when the folder is read.
    fn folder(&mut self, folder: &Path) -> Result<(), ReadError> {
        let unread = |source: io::Error| ReadError::Io {
            source,
            path: folder.to_owned(),
        };
        let entries = fs::read_dir(folder).map_err(unread)?;
        let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(unread)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().map_err(unread)?;
            if kind.is_dir() {
                self.folder(&entry.path())?;
            } else if !kind.is_symlink() || entry.path().is_file() {
                self.file(&entry.path())?;
            }
        }
        Ok(())
    }
}
