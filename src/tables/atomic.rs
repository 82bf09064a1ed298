//! Files that are there whole or not at all: written beside their place, then renamed.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// Why a file couldn't be written, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The folder is read-only, or belongs to someone else.
    #[error("no permission to write (choose another folder, or make this one writable): {path:?}")]
    Permission {
        /// The file that was to be written.
        path: PathBuf,
    },
    /// The disk or the quota is full.
    #[error("the disk is full (free some space or choose another disk; nothing half-written was left): {path:?}")]
    Full {
        /// The file that was to be written.
        path: PathBuf,
    },
    /// There is no such folder.
    #[error("the folder does not exist (create it first): {path:?}")]
    NoFolder {
        /// The file that was to be written.
        path: PathBuf,
    },
    /// A device, a pipe or a folder, which a file would replace.
    #[error("no file but a device, a pipe or a folder (name a file): {path:?}")]
    NoFile {
        /// What was to be written to.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot write: {source}: {path:?}")]
    Other {
        /// Why.
        source: io::Error,
        /// The file that was to be written.
        path: PathBuf,
    },
}

/// Writes a file through a temporary one in the same folder, so that a reader never sees half of it and a failed or
/// interrupted write leaves the old file as it was.
///
/// ```
/// use std::io::Write as _;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("note.txt");
/// hounsfield::tables::atomic_write(&path, |file| file.write_all(b"whole"))?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`WriteError`], with the path and a way out.
pub fn atomic_write(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), WriteError> {
    if is_no_file(path) {
        return Err(WriteError::NoFile { path: path.to_owned() });
    }
    write_and_rename(path, write).map_err(|source| write_error(source, path))
}

/// Whether something lies there that must not be replaced by a file: `/dev/null` and `/dev/stdout` would be, by those who may.
fn is_no_file(path: &Path) -> bool {
    let device = path.starts_with("/dev") && !path.starts_with("/dev/shm");
    device || std::fs::metadata(path).is_ok_and(|there| !there.is_file())
}

/// The [`WriteError`] of an I/O error that was met while writing to `path`.
pub fn write_error(source: io::Error, path: &Path) -> WriteError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => WriteError::Permission { path },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WriteError::Full { path },
        io::ErrorKind::NotFound => WriteError::NoFolder { path },
        _ => WriteError::Other { source, path },
    }
}

fn write_and_rename(path: &Path, write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".hounsfield-").suffix(".tmp");
    // tempfile's own default is 0600, which would survive the rename and shut colleagues out; the umask still applies.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    let mut buffered = BufWriter::with_capacity(1 << 16, file.as_file_mut());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    // A full disk may answer only here, and a rename must not overtake the data.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "old").unwrap();
        let failed = atomic_write(&path, |file| {
            file.write_all(b"new")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(failed, Err(WriteError::Full { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_said_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = atomic_write(&folder.path().join("no/such.txt"), |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("does not exist") && error.contains("such.txt"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_folders_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for path in [Path::new("/dev/stdout"), Path::new("/dev/null"), folder.path()] {
            assert!(
                matches!(atomic_write(path, |_| Ok(())), Err(WriteError::NoFile { .. })),
                "{path:?}"
            );
        }
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file() && folder.path().is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_readable_by_others_as_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("a"), folder.path().join("b"));
        atomic_write(&ours, |_| Ok(())).unwrap();
        std::fs::write(&plain, "").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
