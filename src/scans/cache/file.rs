//! The file of a prepared scan: written once, checked whenever it is opened.

use std::{fs::File, io, io::Write as _, path::Path, sync::Arc};

use memmap2::Mmap;
use sha2::{Digest as _, Sha256};

use super::{CachedScan, Name, Voxels};
use crate::{
    ct::Geometry,
    tables::{WriteError, atomic_write, hex},
    transforms::ScanInput,
};

/// Bytes before the voxels. The header's own hash are its last 32, so that no field of it can rot unseen.
pub(super) const HEADER: usize = 512;
const SEAL: usize = HEADER - 32;
/// Bytes that no text begins with.
const MAGIC: [u8; 8] = *b"\x89HU scan";
/// Of the layout below. What is prepared how is [`ScanInput::key`]'s.
const VERSION: u32 = 1;

/// What is wrong with a file that should be a prepared scan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// It is not there, or can't be read or mapped.
    #[error("it can't be read ({0})")]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("it is no prepared scan by its first bytes")]
    Foreign,
    /// A later program's.
    #[error("its layout has version {found}, expected {VERSION}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// Cut off, or too long.
    #[error("it has {found} bytes, expected {expected}")]
    Length {
        /// What it has.
        found: u64,
        /// What its header says.
        expected: u64,
    },
    /// Changed bits before the voxels.
    #[error("its header is damaged")]
    Header,
    /// Changed bits among the voxels.
    #[error("its voxels are not those that were written")]
    Damaged,
    /// Of another scan or another input.
    #[error("it is of another scan or another input")]
    Other,
}

/// Writes a prepared scan. A file that is there is replaced whole; who has it mapped keeps what it had.
pub(in super::super) fn write(
    path: &Path,
    scan: &CachedScan,
    input: &ScanInput,
    name: &Name,
) -> Result<(), WriteError> {
    let voxels = scan.voxels();
    let voxels = voxels.as_slice().expect("standard layout is contiguous");
    let header = header(scan, input, name);
    atomic_write(path, |file| {
        file.write_all(&header)?;
        file.write_all(bytemuck::cast_slice(voxels))
    })
}

fn header(scan: &CachedScan, input: &ScanInput, name: &Name) -> Vec<u8> {
    let Geometry {
        origin,
        spacing,
        directions,
    } = scan.geometry;
    let mut header = Vec::with_capacity(HEADER);
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    for side in scan.size {
        // No side is longer than 1024.
        header.extend((side as u32).to_le_bytes());
    }
    header.extend(scan.not_numbers.to_le_bytes());
    for number in origin.iter().chain(&spacing).chain(directions.iter().flatten()) {
        header.extend(number.to_le_bytes());
    }
    header.extend(key_bytes(input));
    header.extend(name.0);
    header.extend(voxels_hash(scan));
    header.resize(SEAL, 0);
    let seal = Sha256::digest(&header);
    header.extend(seal);
    header
}

fn key_bytes(input: &ScanInput) -> [u8; 32] {
    Sha256::digest(input.key()).into()
}

fn voxels_hash(scan: &CachedScan) -> [u8; 32] {
    let voxels = scan.voxels();
    let voxels = voxels.as_slice().expect("standard layout is contiguous");
    Sha256::digest(bytemuck::cast_slice::<i16, u8>(voxels)).into()
}

/// Takes fields off the front of a header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_at(N);
        self.0 = rest;
        field.try_into().expect("as long as was asked for")
    }
}

/// Opens and maps a prepared scan of this input and source.
///
/// All of it is hashed: a disk that changed a bit would else train a network on it unseen. That is one pass over the file, which
/// training reads anyway and which then lies in the system's cache.
pub(in super::super) fn open(path: &Path, input: &ScanInput, name: &Name) -> Result<CachedScan, Flaw> {
    let file = File::open(path)?;
    let found = file.metadata()?.len();
    if found < HEADER as u64 {
        let expected = HEADER as u64;
        return Err(Flaw::Length { found, expected });
    }
    // SAFETY: a mapping is undefined where its file is changed or cut while it is mapped. Prepared scans never are: they are written
    // under another name and renamed into place, which leaves older mappings with the older file, and nothing opens them for
    // writing. Someone who writes into the cache by other means can end the process (SIGBUS) or change voxels after the check
    // below; all bit patterns are valid integers.
    let map = unsafe { Mmap::map(&file)? };
    let mut fields = Fields(&map[..HEADER]);
    if fields.take() != MAGIC {
        return Err(Flaw::Foreign);
    }
    let version = u32::from_le_bytes(fields.take());
    if version != VERSION {
        return Err(Flaw::Version { found: version });
    }
    let size: [usize; 3] = std::array::from_fn(|_| u32::from_le_bytes(fields.take()) as usize);
    let not_numbers = u64::from_le_bytes(fields.take());
    let mut number = || f64::from_le_bytes(fields.take());
    let mut three = || std::array::from_fn(|_| number());
    let geometry = Geometry {
        origin: three(),
        spacing: three(),
        directions: [three(), three(), three()],
    };
    let (key, source, hash): ([u8; 32], [u8; 32], [u8; 32]) = (fields.take(), fields.take(), fields.take());
    if Sha256::digest(&map[..SEAL])[..] != map[SEAL..HEADER] {
        return Err(Flaw::Header);
    }
    if key != key_bytes(input) || source != name.0 || size != input.size {
        return Err(Flaw::Other);
    }
    let expected = (HEADER + 2 * size.iter().product::<usize>()) as u64;
    if found != expected {
        return Err(Flaw::Length { found, expected });
    }
    if Sha256::digest(&map[HEADER..])[..] != hash {
        return Err(Flaw::Damaged);
    }
    Ok(CachedScan {
        voxels: Voxels::Mapped(Arc::new(map)),
        size,
        sha256: hex(&hash),
        geometry,
        not_numbers,
    })
}
