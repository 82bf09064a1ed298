//! Files to slices: one file a format.
//!
//! A reader is chosen by what the file's first bytes say, not by its name. Every reader either gives the slice as it
//! was stored or an error: half a picture is an error. [`SliceAddress`] says which slice of which file is meant.

mod address;
mod archive;
mod confidential;
mod dicom;
mod image;
mod kept;
mod nifti;
mod npy;
mod opened;
mod samples;
mod volume;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    address::{ARCHIVES, SliceAddress},
    archive::{Archive, ArchiveFlaw, Member, Refusal, Refused},
    confidential::{Finding, confidential},
    dicom::{Dicom, DicomFile, Facts, FrameValues, Frames, PADDING_HU, Plane},
    image::Image,
    nifti::{Nifti, NiftiError, NiftiVersion, write_nifti},
    npy::{Npy, NpyError, write_npy},
    opened::{Begun, archive, begin, content, open_bytes, read_slice, sha256, stamp},
    volume::{Stated, VolumeFile, WriteOptions, WriteVolumeError, open_volume, read_volume, write_volume},
};
use crate::ct::{CtSlice, Geometry, Rescale};

/// Reads slices of one kind of file.
pub trait SliceReader: Sync {
    /// What it reads, e.g. `DICOM CT`.
    fn name(&self) -> &'static str;

    /// Whether a file that starts with `head` (its first 132 bytes, or all of a shorter file) is of this kind. The path
    /// only helps where the content leaves it open.
    fn can_read(&self, head: &[u8], path: &Path) -> bool;

    /// The slices in a file with this content; the path is for messages. What the header says is checked here, pixels
    /// are decoded where a slice is read. `rescale` is what the user states where a file says nothing of Hounsfield units.
    fn open(&self, bytes: Vec<u8>, rescale: Option<Rescale>, path: &Path) -> Result<Box<dyn Slices>, ReadError>;

    /// No file of this kind may be longer, in bytes: it is read into memory at once.
    fn longest(&self) -> u64 {
        MAX_BYTES
    }

    /// What can be decoded, as pairs of a name and details, for the user to see.
    fn codecs(&self) -> Vec<(String, String)>;
}

/// The slices of one file.
#[expect(
    clippy::len_without_is_empty,
    reason = "a file without slices is an error when it is opened"
)]
pub trait Slices: Send + Sync {
    /// How many there are; at least one.
    fn len(&self) -> usize;

    /// The slice with this number, counted from 0: in a volume from the head, in a multi-frame object in its own order.
    fn read(&self, at: usize) -> Result<CtSlice, ReadError>;

    /// Where they lie as one volume, the first slice at index 0 of D. `None` where the file says it slice by slice, or not.
    fn geometry(&self) -> Option<Geometry> {
        None
    }
}

/// All readers; the first that recognises a file reads it.
pub const READERS: &[&dyn SliceReader] = &[&Dicom, &Nifti, &Npy, &Image];

/// No side of an image may be longer. CT matrices end at 2048; a bomb starts beyond.
const MAX_SIDE: u32 = 8192;

/// No file of a single slice is longer, and no other that is read at once.
const MAX_BYTES: u64 = 512 << 20;

/// No volume may be longer, inflated.
const MAX_VOLUME: u64 = 4 << 30;

/// No volume may have more voxels: as Hounsfield units they take 8 GiB.
const MAX_VOXELS: usize = 1 << 31;

/// What this build can read, as pairs of format and details; for `hounsfield doctor`.
pub fn codecs() -> Vec<(String, String)> {
    READERS.iter().flat_map(|reader| reader.codecs()).collect()
}

/// Why a file gave no slice. No message holds anything that the file says of a patient; the path comes last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file can't be opened or read.
    #[error("file can't be read: {}", path.display())]
    Io {
        /// What the system said.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// Nothing is in it.
    #[error("file is empty: {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// No reader knows its first bytes.
    #[error("not a PNG, JPEG, TIFF, NIfTI, npy or DICOM file by its first bytes: {}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// Longer than any of its kind.
    #[error("file has {mebibytes} MiB, at most {most} of this kind are read: {}", path.display())]
    TooLong {
        /// Its length.
        mebibytes: u64,
        /// The longest that is read.
        most: u64,
        /// The file.
        path: PathBuf,
    },
    /// Larger than any CT slice.
    #[error("image is {width} x {height} pixels, at most {MAX_SIDE} x {MAX_SIDE} are read: {}", path.display())]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The file.
        path: PathBuf,
    },
    /// The file ends before the image does.
    #[error("{format} file is truncated ({missing}): {}", path.display())]
    Truncated {
        /// The format.
        format: &'static str,
        /// What was expected and not found.
        missing: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The content contradicts the format.
    #[error("{format} file can't be decoded ({reason}): {}", path.display())]
    Decode {
        /// The format.
        format: &'static str,
        /// What the decoder said.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The decoder panicked, which it does on broken content.
    #[error("decoder of {format} gave up on broken content: {}", path.display())]
    DecoderPanic {
        /// The format, or the transfer syntax.
        format: String,
        /// The file.
        path: PathBuf,
    },
    /// More than one picture in a file that should hold one slice.
    #[error("file holds {found}, expected one slice, or as many as it says (split it): {}", path.display())]
    SeveralImages {
        /// What it holds, e.g. `24 frames`.
        found: String,
        /// The file.
        path: PathBuf,
    },
    /// A NIfTI file that is no volume as it is read here.
    #[error("NIfTI: {source}: {}", path.display())]
    Nifti {
        /// Why.
        source: NiftiError,
        /// The file.
        path: PathBuf,
    },
    /// An `.npy` file that is no volume or slice as it is read here.
    #[error("npy: {source}: {}", path.display())]
    Npy {
        /// Why.
        source: NpyError,
        /// The file.
        path: PathBuf,
    },
    /// A file that is no volume.
    #[error("not a NIfTI or npy file by its first bytes, a volume was expected: {}", path.display())]
    NoVolume {
        /// The file.
        path: PathBuf,
    },
    /// An address of a slice where a volume is meant.
    #[error("a whole volume was expected and slice {at} was named, leave `#slice=` out: {}", path.display())]
    SliceOfVolume {
        /// The slice.
        at: usize,
        /// The address.
        path: PathBuf,
    },
    /// An address with a part that means nothing.
    #[error("`{found}` says nothing about a slice, expected `slice=N` or `rescale=SLOPE,INTERCEPT` behind `#`: {}", path.display())]
    Address {
        /// The part.
        found: String,
        /// The address.
        path: PathBuf,
    },
    /// A number that no slice has, or none where it is needed.
    #[error("file holds {found} slices and slice {asked} was asked for, name one of 0 to {} by `#slice=N`: {}", found - 1, path.display())]
    WhichSlice {
        /// How many there are.
        found: usize,
        /// What the address says.
        asked: String,
        /// The address.
        path: PathBuf,
    },
    /// An attribute that the meaning of the pixels rests on is missing.
    #[error("DICOM attribute {attribute} is missing, expected {expected}: {}", path.display())]
    MissingAttribute {
        /// Its keyword.
        attribute: &'static str,
        /// What should stand there and why.
        expected: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// An attribute says that this is no CT slice as we read it.
    #[error("DICOM attribute {attribute} is {found}, expected {expected}: {}", path.display())]
    Attribute {
        /// Its keyword.
        attribute: &'static str,
        /// Its value.
        found: String,
        /// What can be read.
        expected: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// An array without a sidecar.
    #[error("nothing says where the slices lie, expected a `.json` beside the array as `hounsfield volume convert` writes it: {}", path.display())]
    NoPlace {
        /// The file.
        path: PathBuf,
    },
    /// The user states another rescale than the file has.
    #[error("file's own rescale is {own} and {stated} was stated, leave the statement out if the file is right: {}", path.display())]
    Restated {
        /// The file's slope and intercept.
        own: String,
        /// The user's.
        stated: Rescale,
        /// The file.
        path: PathBuf,
    },
    /// An archive that can't be read, or a member of it.
    #[error("{flaw}: {}", path.display())]
    Archive {
        /// What is wrong.
        flaw: ArchiveFlaw,
        /// The archive, or the member's address.
        path: PathBuf,
    },
    /// The transfer syntax has no decoder in this build.
    #[error("no build decodes transfer syntax {uid} ({name}): have the archive send it uncompressed, or convert it, e.g. with `gdcmconv --raw`; `hounsfield doctor` lists what is read: {}", path.display())]
    NoCodec {
        /// Its UID.
        uid: String,
        /// Its name, `unknown` for a private one.
        name: String,
        /// The file.
        path: PathBuf,
    },
}

impl ReadError {
    /// The file, or the address, that the message ends with.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Empty { path }
            | Self::UnknownFormat { path }
            | Self::TooLong { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Truncated { path, .. }
            | Self::Decode { path, .. }
            | Self::DecoderPanic { path, .. }
            | Self::SeveralImages { path, .. }
            | Self::Address { path, .. }
            | Self::WhichSlice { path, .. }
            | Self::MissingAttribute { path, .. }
            | Self::Attribute { path, .. }
            | Self::Restated { path, .. }
            | Self::Nifti { path, .. }
            | Self::Npy { path, .. }
            | Self::NoVolume { path }
            | Self::NoPlace { path }
            | Self::SliceOfVolume { path, .. }
            | Self::Archive { path, .. }
            | Self::NoCodec { path, .. } => path,
        }
    }

    /// The message and its cause, without the path: files, folders and members of archives may be named after a patient,
    /// and this goes into tables that are shown to others.
    pub fn without_path(&self) -> String {
        let (message, path) = (self.to_string(), self.path().display().to_string());
        let message = message.strip_suffix(&format!(": {path}")).unwrap_or(&message);
        let message = match path.is_empty() {
            true => message.to_owned(),
            false => message.replace(&path, "the file"),
        };
        match (self, std::error::Error::source(self)) {
            // What was taken for an option may be a piece of a name.
            (Self::Address { found, .. }, _) if !found.is_empty() => {
                message.replace(found.as_str(), "the part behind `#`")
            }
            // Some sentences hold their source already.
            (_, Some(source)) if !message.contains(&source.to_string()) => format!("{message} ({source})"),
            _ => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_have_names_of_their_own() {
        let mut names: Vec<_> = READERS.iter().map(|reader| reader.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), READERS.len());
        assert!(codecs().len() > READERS.len());
    }

    #[test]
    fn what_is_shown_to_others_names_no_file() {
        let path = PathBuf::from("/data/Smith^John/a.zip!Smith/b#slice=1");
        let source = || io::Error::from(io::ErrorKind::NotFound);
        let errors = [
            ReadError::Io {
                source: source(),
                path: path.clone(),
            },
            ReadError::Archive {
                flaw: ArchiveFlaw::NoRoom { source: source() },
                path: path.clone(),
            },
            ReadError::WhichSlice {
                found: 3,
                asked: "none".to_owned(),
                path: path.clone(),
            },
            ReadError::Address {
                found: "a=Smith".to_owned(),
                path: path.clone(),
            },
            ReadError::Empty { path },
        ];
        for error in errors {
            let shown = error.without_path();
            assert!(!shown.contains("Smith") && shown.len() > 10, "{shown}");
        }
    }
}
