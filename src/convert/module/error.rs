//! Why a module can't be opened.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::BundleError;
use crate::tables::TableError;

/// Why a module can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// A file or folder can't be read.
    #[error("the module can't be read ({source}): {path:?}")]
    Read {
        /// What the system said.
        source: io::Error,
        /// The file or folder.
        path: PathBuf,
    },
    /// Something else.
    #[error(
        "{what} was found, a module of TensorFlow Hub was expected: a folder with `variables/variables.index`, or its \
         .tar.gz: {path:?}"
    )]
    NotAModule {
        /// What it is.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// A model of TensorFlow 2.
    #[error(
        "the variables are those of a TensorFlow 2 model, named by its objects; a module of TensorFlow 1 was expected, \
         as the BigBiGAN of TensorFlow Hub is one: {path:?}"
    )]
    Objects {
        /// The file or folder.
        path: PathBuf,
    },
    /// An archive that ends too early, or was changed.
    #[error("the archive is damaged ({source}): fetch it again: {path:?}")]
    Archive {
        /// What the unpacker said.
        source: io::Error,
        /// The archive.
        path: PathBuf,
    },
    /// An archive that does what a module's does not.
    #[error("the archive is not unpacked: {what}: {path:?}")]
    Trick {
        /// What it does.
        what: Trick,
        /// The archive.
        path: PathBuf,
    },
    /// No place for what is unpacked.
    #[error("the archive can't be unpacked ({source}): choose another scratch folder, or free some space: {path:?}")]
    Unpack {
        /// What the system said.
        source: io::Error,
        /// The file or folder that was to be written.
        path: PathBuf,
    },
    /// The checkpoint can't be read.
    #[error(transparent)]
    Bundle(BundleError),
    /// A file can't be read for its digest.
    #[error(transparent)]
    Digest(TableError),
}

/// What an archive does that a module's does not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trick {
    /// A path from the root, or out of the folder.
    #[error("the path {name:?} in it leaves the folder")]
    Leaves {
        /// The path.
        name: String,
    },
    /// A path that is not text, or too long.
    #[error("it has a path that is not readable")]
    Unreadable,
    /// A link, a device, a file with holes.
    #[error("{name:?} in it is {what}, files and folders were expected")]
    Kind {
        /// The path.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// Two of one name.
    #[error("{name:?} stands in it twice")]
    Twice {
        /// The path.
        name: String,
    },
    /// More than one module.
    #[error("it holds the variables of two modules, in {first:?} and {second:?}")]
    Two {
        /// The folder of one.
        first: String,
        /// The folder of the other.
        second: String,
    },
    /// More files than any module.
    #[error("it has more than {most} files and folders")]
    Many {
        /// How many it may have.
        most: usize,
    },
    /// Larger than any module.
    #[error("it unpacks to more than {} GiB", most >> 30)]
    Large {
        /// Bytes that it may have.
        most: u64,
    },
    /// Sizes in an extension header, which are needed from 8 GiB on.
    #[error("{name:?} in it has its size in a pax header, as files beyond 8 GiB have: unpack it, and name the folder")]
    PaxSize {
        /// The path.
        name: String,
    },
    /// Nothing.
    #[error("it is empty")]
    Empty,
}

impl ModuleError {
    pub(super) fn read(source: io::Error, path: &Path) -> Self {
        Self::Read {
            source,
            path: path.to_owned(),
        }
    }

    /// An error while an archive was read, which may be that it has come to its limit.
    pub(super) fn archive(source: io::Error, path: &Path) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::FileTooLarge => Self::Trick {
                what: Trick::Large {
                    most: super::LIMITS.bytes,
                },
                path,
            },
            _ => Self::Archive { source, path },
        }
    }
}
