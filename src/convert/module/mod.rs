//! A module as TensorFlow Hub gives it: a folder, or the archive of one, of which only the variables are taken.
//!
//! An archive is unpacked as it is read, and is refused as a whole where anything in it looks like a trick: paths that
//! leave the folder, links, a name that stands twice, more or larger files than a module has.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufReader, Read, Seek as _},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use tempfile::TempDir;

use super::bundle::{Bundle, BundleError};
use crate::tables::{TableError, sha256_file};

mod error;
mod member;

pub use self::error::{ModuleError, Trick};
use self::member::{Members, Wanted};

/// A module's variables on disk.
///
/// ```no_run
/// use hounsfield::convert::{bundle::Bundle, module::Module};
/// let module = Module::open("bigbigan-resnet50_1.tar.gz".as_ref(), "scratch".as_ref())?;
/// let bundle = Bundle::open(module.variables_prefix())?;
/// println!("{} variables from {:?}", bundle.variables().len(), module.fingerprint()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Module {
    prefix: PathBuf,
    archive: Option<(String, String)>,
    /// Holds what was unpacked, until the module is dropped.
    _unpacked: Option<TempDir>,
}

/// How much an archive may hold.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes, unpacked, of all files together. BigBiGAN's have one or two GB.
    bytes: u64,
    /// Files and folders.
    members: usize,
}

const LIMITS: Limits = Limits {
    bytes: 64 << 30,
    members: 10_000,
};

/// The name in every checkpoint of TensorFlow 2 that holds its graph of objects.
const OBJECTS: &str = "_CHECKPOINTABLE_OBJECT_GRAPH";

impl Module {
    /// Opens a module's folder (or its folder `variables`), or unpacks the variables of an archive (`.tar`, `.tar.gz`,
    /// told by its content) into a new folder within `scratch`, which goes with the module.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] where `path` is something else, an archive is damaged or dangerous, or the variables are those
    /// of TensorFlow 2.
    pub fn open(path: &Path, scratch: &Path) -> Result<Self, ModuleError> {
        let module = match fs::metadata(path)
            .map_err(|source| ModuleError::read(source, path))?
            .is_dir()
        {
            true => Self::folder(path)?,
            false => Self::archive(path, scratch, LIMITS)?,
        };
        let bundle = Bundle::open(&module.prefix)?;
        match bundle.variables().contains_key(OBJECTS) {
            true => Err(ModuleError::Objects { path: path.to_owned() }),
            false => Ok(module),
        }
    }

    /// The checkpoint, as [`Bundle::open`] takes it.
    pub fn variables_prefix(&self) -> &Path {
        &self.prefix
    }

    /// SHA-256 of the archive; none where the module was a folder.
    pub fn archive_sha256(&self) -> Option<&str> {
        self.archive.as_ref().map(|(_, digest)| digest.as_str())
    }

    /// Names and SHA-256 of the files that the variables came from: the archive, or the index and the data files.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] where a file can't be read.
    pub fn fingerprint(&self) -> Result<Vec<(String, String)>, ModuleError> {
        if let Some(archive) = &self.archive {
            return Ok(vec![archive.clone()]);
        }
        let folder = self.prefix.parent().unwrap_or(Path::new("."));
        let entries = fs::read_dir(folder).map_err(|source| ModuleError::read(source, folder))?;
        let mut files = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(|source| ModuleError::read(source, folder))?.file_name();
            files.extend(
                name.to_str()
                    .filter(|name| member::is_of_checkpoint(name))
                    .map(str::to_owned),
            );
        }
        let digest = |name: String| Ok((name.clone(), sha256_file(&folder.join(&name))?));
        files.into_iter().map(digest).collect()
    }

    fn folder(path: &Path) -> Result<Self, ModuleError> {
        let within = [path.join("variables/variables"), path.join("variables")];
        let prefix = within
            .into_iter()
            .find(|prefix| prefix.with_extension("index").is_file());
        match prefix {
            Some(prefix) => Ok(Self {
                prefix,
                archive: None,
                _unpacked: None,
            }),
            None => Err(ModuleError::NotAModule {
                what: contents(path),
                path: path.to_owned(),
            }),
        }
    }

    fn archive(path: &Path, scratch: &Path, limits: Limits) -> Result<Self, ModuleError> {
        let read = |source| ModuleError::read(source, path);
        let mut file = File::open(path).map_err(read)?;
        let mut start = Vec::new();
        file.by_ref().take(512).read_to_end(&mut start).map_err(read)?;
        file.rewind().map_err(read)?;
        let file = BufReader::with_capacity(1 << 18, file);
        let tar: Box<dyn Read> = match start.as_slice() {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(file)),
            start if start.get(257..262) == Some(b"ustar") => Box::new(file),
            start => {
                return Err(ModuleError::NotAModule {
                    what: kind(start),
                    path: path.to_owned(),
                });
            }
        };
        let digest = sha256_file(path)?;
        let unpacked = tempfile::Builder::new()
            .prefix(".hounsfield-module-")
            .tempdir_in(scratch)
            .map_err(|source| ModuleError::Unpack {
                source,
                path: scratch.to_owned(),
            })?;
        let prefix = unpack(tar, unpacked.path(), limits, path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            prefix,
            archive: Some((name, digest)),
            _unpacked: Some(unpacked),
        })
    }
}

/// Takes the variables from a tar and gives their prefix.
fn unpack(tar: Box<dyn Read>, folder: &Path, limits: Limits, path: &Path) -> Result<PathBuf, ModuleError> {
    let trick = |what| ModuleError::Trick {
        what,
        path: path.to_owned(),
    };
    let mut members = Members::new(limits, path);
    let mut left = Capped {
        inner: tar,
        left: limits.bytes,
    };
    let mut tar = tar::Archive::new(&mut left);
    // Unpacked by hand: what tar's extensions may say (names, sizes, holes) is read within bounds, or not at all.
    for entry in tar
        .entries()
        .map_err(|source| ModuleError::archive(source, path))?
        .raw(true)
    {
        let mut entry = entry.map_err(|source| ModuleError::archive(source, path))?;
        let Some(Wanted { name }) = members.next(&mut entry)? else {
            continue;
        };
        let target = folder.join(name);
        let mut file = File::create_new(&target).map_err(|source| ModuleError::Unpack {
            source,
            path: target.clone(),
        })?;
        copy(&mut entry, &mut file, &target, path)?;
    }
    // To the end, where the packed file has its checksum.
    io::copy(&mut left, &mut io::sink()).map_err(|source| ModuleError::archive(source, path))?;
    match folder.join("variables.index").is_file() {
        true => Ok(folder.join("variables")),
        false if members.is_empty() => Err(trick(Trick::Empty)),
        false => Err(ModuleError::NotAModule {
            what: "an archive of something else",
            path: path.to_owned(),
        }),
    }
}

/// As [`io::copy`], but tells an archive that can't be read from a disk that can't be written.
fn copy(entry: &mut impl Read, file: &mut File, target: &Path, path: &Path) -> Result<(), ModuleError> {
    let mut piece = vec![0; 1 << 18];
    loop {
        match entry.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => io::Write::write_all(file, &piece[..length]).map_err(|source| ModuleError::Unpack {
                source,
                path: target.to_owned(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(ModuleError::archive(source, path)),
        }
    }
}

/// A reader of so many bytes and no more; one more is an error, not the end.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(read)
    }
}

/// What a file is that is no archive, in words.
fn kind(start: &[u8]) -> &'static str {
    match start {
        [b'P', b'K', 3, 4, ..] => {
            "a zip archive (unpack it first, and name the folder; PyTorch's files are zip as well)"
        }
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file of Keras",
        [0x80, 2..=5, ..] => "a pickle of Python",
        [b'B', b'Z', b'h', ..] => "a bzip2 archive (unpack it first, and name the folder)",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz archive (unpack it first, and name the folder)",
        [_, _, _, _, _, _, _, _, b'{', ..] => "a safetensors file",
        [] => "an empty file",
        _ => "a file of another kind",
    }
}

/// What a folder without variables is, in words.
fn contents(folder: &Path) -> &'static str {
    let has = |name: &str| folder.join(name).exists();
    let named = |end: &str| {
        let mut names = fs::read_dir(folder).into_iter().flatten().flatten();
        names.any(|entry| entry.file_name().to_string_lossy().ends_with(end))
    };
    if has("variables/variables.data-00000-of-00001") || has("variables.data-00000-of-00001") {
        "a module whose `variables.index` is missing"
    } else if has("saved_model.pb") || has("tfhub_module.pb") {
        "a module whose folder `variables` is missing"
    } else if named(".h5") || named(".keras") {
        "a folder of Keras"
    } else if named(".index") {
        "a folder of checkpoints outside a module"
    } else if named(".tar.gz") || named(".tgz") || named(".tar") {
        "a folder that holds an archive (name the archive)"
    } else {
        "a folder of another kind"
    }
}

impl From<BundleError> for ModuleError {
    fn from(source: BundleError) -> Self {
        Self::Bundle(source)
    }
}

impl From<TableError> for ModuleError {
    fn from(source: TableError) -> Self {
        Self::Digest(source)
    }
}
