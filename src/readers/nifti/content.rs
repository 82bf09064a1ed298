//! The bytes of a NIfTI file: inflated if they are compressed, and as many as its header speaks of.

use std::io::{self, Read};

use flate2::bufread::{GzDecoder, MultiGzDecoder};

use super::{Header, NiftiError};
use crate::readers::{MAX_SIDE, MAX_VOLUME, MAX_VOXELS};

/// Deflate makes no more of a byte: the ratio of its longest match to its shortest code (zlib's technical details).
const DEFLATE: u64 = 1032;
/// Compressed CT is a half to a fifth; so much is asked for at once.
const USUAL: u64 = 6;
/// The longer of the headers.
const HEADER: u64 = 540;

/// Whether a file is compressed by gzip.
pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

/// The beginning of a compressed file, as far as its first bytes give it.
pub(super) fn inflated_head(head: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The end is missing, so that an error is no news.
    let _ = MultiGzDecoder::new(head).take(HEADER).read_to_end(&mut bytes);
    bytes
}

/// The header, and the content with at least as many bytes as it speaks of. No memory is asked for that the length of the
/// file leaves out.
pub(super) fn content(bytes: Vec<u8>) -> Result<(Header, Vec<u8>), NiftiError> {
    if is_gzip(&bytes) {
        return inflate(&bytes);
    }
    let header = Header::parse(&bytes)?;
    let end = checked_end(&header)?;
    if (bytes.len() as u64) < end {
        return Err(NiftiError::Short {
            found: bytes.len() as u64,
            expected: end,
        });
    }
    Ok((header, bytes))
}

fn checked_end(header: &Header) -> Result<u64, NiftiError> {
    // Before anything is inflated: slices of such a volume are not read in any direction.
    if header.size.iter().filter(|side| **side > MAX_SIDE as usize).count() > 1 {
        return Err(NiftiError::Sides { size: header.size });
    }
    let (voxels, end) = (header.voxels()?, header.end()?);
    if end > MAX_VOLUME || voxels > MAX_VOXELS {
        return Err(NiftiError::TooLarge {
            voxels,
            mebibytes: end >> 20,
        });
    }
    Ok(end)
}

fn inflate(compressed: &[u8]) -> Result<(Header, Vec<u8>), NiftiError> {
    let mut stream = MultiGzDecoder::new(compressed);
    let mut bytes = Vec::new();
    read_until(&mut stream, &mut bytes, HEADER)?;
    let header = Header::parse(&bytes)?;
    let end = checked_end(&header)?;
    let most = (compressed.len() as u64).saturating_mul(DEFLATE);
    if end > most {
        return Err(NiftiError::Short {
            found: most,
            expected: end,
        });
    }
    let first = end.min((compressed.len() as u64).saturating_mul(USUAL));
    read_until(&mut stream, &mut bytes, first)?;
    read_until(&mut stream, &mut bytes, end)?;
    if (bytes.len() as u64) < end {
        return Err(NiftiError::Short {
            found: bytes.len() as u64,
            expected: end,
        });
    }
    // What follows is not kept, but its end holds the checksum of all.
    match io::copy(&mut stream.take(MAX_VOLUME), &mut io::sink()) {
        // Copies that are padded with zeros are whole nevertheless.
        Err(error) if compressed.ends_with(&[0; 8]) => padded(compressed).then_some(()).ok_or(inflate_error(error))?,
        copied => copied.map(drop).map_err(inflate_error)?,
    }
    Ok((header, bytes))
}

/// Whether zeros and nothing else follow on one whole stream, whose checksum is right.
fn padded(compressed: &[u8]) -> bool {
    let mut stream = GzDecoder::new(compressed);
    let whole = io::copy(&mut stream.by_ref().take(MAX_VOLUME), &mut io::sink()).is_ok();
    whole && stream.into_inner().iter().all(|byte| *byte == 0)
}

/// Goes on reading until there are so many bytes, or no more.
fn read_until(stream: &mut impl Read, bytes: &mut Vec<u8>, end: u64) -> Result<(), NiftiError> {
    let missing = end.saturating_sub(bytes.len() as u64);
    bytes.reserve_exact(missing as usize);
    stream.take(missing).read_to_end(bytes).map_err(inflate_error)?;
    Ok(())
}

fn inflate_error(source: io::Error) -> NiftiError {
    NiftiError::Gzip { source }
}
