//! PNG, JPEG and TIFF pictures of slices: grey values without Hounsfield units.
//!
//! Colour becomes grey by ITU-R BT.601 luma, rounded as Pillow's `convert("L")` does it, so that a grey picture stored
//! as RGB stays exactly what it was; transparency is laid over black. The decoders are lenient where a measurement must
//! not be, so the file's own structure is checked first: chunks and checksums of PNG, markers of JPEG, directories of
//! TIFF.

use std::{
    io::Cursor,
    panic,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits};
use ndarray::Array2;

use super::{MAX_SIDE, ReadError, SliceReader, Slices};
use crate::ct::{CtSlice, Pixels, Rescale};

/// Reads 8- and 16-bit pictures.
#[derive(Debug)]
pub struct Image;

/// Memory that one decoder may ask for: the largest picture with four 16-bit channels.
const MAX_ALLOC: u64 = MAX_SIDE as u64 * MAX_SIDE as u64 * 8;

/// Bytes of samples that nobody asks the file's length for: 2048 x 2048 of four 8-bit channels.
const HARMLESS: u64 = 16 << 20;

/// Beyond, a byte of the file gives at most so many: what deflate can do, the densest of the packings.
const MAX_RATIO: u64 = 1032;

impl SliceReader for Image {
    fn name(&self) -> &'static str {
        "picture"
    }

    fn can_read(&self, head: &[u8], _: &Path) -> bool {
        format_of(head).is_some()
    }

    fn open(&self, bytes: Vec<u8>, _: Option<Rescale>, path: &Path) -> Result<Box<dyn Slices>, ReadError> {
        Ok(Box::new(Picture {
            bytes,
            path: path.to_owned(),
        }))
    }

    fn codecs(&self) -> Vec<(String, String)> {
        [
            ("PNG", "1 to 16 bits, grey, palette, RGB, alpha"),
            ("JPEG", "8 bits, baseline and progressive"),
            ("TIFF", "1, 8 and 16 bits unsigned, grey, RGB, alpha, one page"),
        ]
        .map(|(name, details)| (name.to_owned(), details.to_owned()))
        .into()
    }
}

/// A picture that is not decoded yet. Nothing that a user states makes Hounsfield units of it.
struct Picture {
    bytes: Vec<u8>,
    path: PathBuf,
}

impl Slices for Picture {
    fn len(&self) -> usize {
        1
    }

    fn read(&self, _: usize) -> Result<CtSlice, ReadError> {
        decode(&self.bytes, &self.path)
    }
}

fn format_of(head: &[u8]) -> Option<ImageFormat> {
    match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(ImageFormat::Png),
        [0xff, 0xd8, 0xff, ..] => Some(ImageFormat::Jpeg),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(ImageFormat::Tiff),
        _ => None,
    }
}

/// Decodes a picture that is in memory.
fn decode(bytes: &[u8], path: &Path) -> Result<CtSlice, ReadError> {
    let format = format_of(bytes).ok_or_else(|| ReadError::UnknownFormat { path: path.to_owned() })?;
    let name = match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        _ => "TIFF",
    };
    let structure = match format {
        ImageFormat::Png => check_png(bytes),
        ImageFormat::Jpeg => check_jpeg(bytes),
        _ => check_tiff(bytes),
    };
    structure.map_err(|flaw| flaw.at(name, path))?;
    let decode_error = |reason: String| ReadError::Decode {
        format: name,
        reason,
        path: path.to_owned(),
    };
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    // A panic in a decoder must not end a run over thousands of files.
    let decoded = panic::catch_unwind(|| {
        let decoder = reader().into_decoder()?;
        let (claim, (width, height)) = (decoder.total_bytes(), decoder.dimensions());
        if width > MAX_SIDE || height > MAX_SIDE {
            return Ok(Err(ReadError::TooLarge {
                width,
                height,
                path: path.to_owned(),
            }));
        }
        if claim > HARMLESS.max(MAX_RATIO * bytes.len() as u64) {
            let reason = format!(
                "{width} x {height} pixels in {} bytes, more than they can hold",
                bytes.len()
            );
            return Ok(Err(decode_error(reason)));
        }
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_ALLOC);
        let mut reader = reader();
        reader.limits(limits);
        reader.decode().map(Ok)
    });
    let picture = match decoded {
        Ok(Ok(picture)) => picture?,
        Ok(Err(ImageError::IoError(error))) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(ReadError::Truncated {
                format: name,
                missing: "pixels are missing",
                path: path.to_owned(),
            });
        }
        Ok(Err(error)) => return Err(decode_error(error.to_string())),
        Err(_) => {
            return Err(ReadError::DecoderPanic {
                format: name.to_owned(),
                path: path.to_owned(),
            });
        }
    };
    if picture.width() == 0 || picture.height() == 0 {
        return Err(decode_error("no pixels".to_owned()));
    }
    let found = picture.color();
    let pixels = to_grey(picture).ok_or_else(|| decode_error(format!("{found:?} samples, expected 8 or 16 bits")))?;
    Ok(CtSlice { pixels })
}

/// `[H, W]` grey values; `None` for floating-point samples, whose range nothing states.
fn to_grey(picture: DynamicImage) -> Option<Pixels> {
    let dim = (picture.height() as usize, picture.width() as usize);
    let eight = |samples: Vec<u8>, channels| {
        let grey = samples.chunks_exact(channels).map(|pixel| grey_of(pixel, 255) as u8);
        Array2::from_shape_vec(dim, grey.collect()).ok().map(Pixels::Grey8)
    };
    let sixteen = |samples: Vec<u16>, channels| {
        let grey = samples.chunks_exact(channels).map(|pixel| grey_of(pixel, 65535) as u16);
        Array2::from_shape_vec(dim, grey.collect()).ok().map(Pixels::Grey16)
    };
    match picture {
        DynamicImage::ImageLuma8(picture) => eight(picture.into_raw(), 1),
        DynamicImage::ImageLumaA8(picture) => eight(picture.into_raw(), 2),
        DynamicImage::ImageRgb8(picture) => eight(picture.into_raw(), 3),
        DynamicImage::ImageRgba8(picture) => eight(picture.into_raw(), 4),
        DynamicImage::ImageLuma16(picture) => sixteen(picture.into_raw(), 1),
        DynamicImage::ImageLumaA16(picture) => sixteen(picture.into_raw(), 2),
        DynamicImage::ImageRgb16(picture) => sixteen(picture.into_raw(), 3),
        DynamicImage::ImageRgba16(picture) => sixteen(picture.into_raw(), 4),
        _ => None,
    }
}

/// BT.601 luma in 16-bit fixed point (the weights add up to 65536), then over black.
fn grey_of<T: Copy + Into<u64>>(pixel: &[T], opaque: u64) -> u64 {
    let luma = |r: T, g: T, b: T| (r.into() * 19595 + g.into() * 38470 + b.into() * 7471 + 0x8000) >> 16;
    let over_black = |grey: u64, alpha: T| (grey * alpha.into() + opaque / 2) / opaque;
    match *pixel {
        [grey] => grey.into(),
        [grey, alpha] => over_black(grey.into(), alpha),
        [r, g, b] => luma(r, g, b),
        [r, g, b, alpha] => over_black(luma(r, g, b), alpha),
        _ => unreachable!("pictures have one to four channels"),
    }
}

/// What is wrong with a file before its pixels are looked at.
enum Flaw {
    Truncated(&'static str),
    Broken(&'static str),
    Several(String),
}

impl Flaw {
    fn at(self, format: &'static str, path: &Path) -> ReadError {
        let path = path.to_owned();
        match self {
            Self::Truncated(missing) => ReadError::Truncated { format, missing, path },
            Self::Broken(reason) => ReadError::Decode {
                format,
                reason: reason.to_owned(),
                path,
            },
            Self::Several(found) => ReadError::SeveralImages { found, path },
        }
    }
}

/// Walks the chunks to IEND and checks their CRC (PNG 3rd edition, 5.3): the decoder stops at the last pixel.
fn check_png(bytes: &[u8]) -> Result<(), Flaw> {
    let mut rest = &bytes[8..];
    loop {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(Flaw::Truncated("no IEND chunk"))?;
        // Type, data and CRC.
        let size = u32::from_be_bytes(*length) as usize + 8;
        if after.len() < size {
            return Err(Flaw::Truncated("a chunk is cut off"));
        }
        let (chunk, next) = after.split_at(size);
        let (covered, crc) = chunk.split_at(size - 4);
        if crc32(covered).to_be_bytes() != crc {
            return Err(Flaw::Broken("checksum of a chunk is wrong"));
        }
        match &covered[..4] {
            b"IEND" => return Ok(()),
            b"acTL" => return Err(Flaw::Several("an animation".to_owned())),
            _ => rest = next,
        }
    }
}

/// CRC-32 of ISO 3309, as PNG wants it (annex D).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut c = n as u32;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[n] = c;
            n += 1;
        }
        table
    };
    !bytes
        .iter()
        .fold(!0, |crc, byte| TABLE[(crc as u8 ^ byte) as usize] ^ (crc >> 8))
}

/// Walks the markers to EOI (ITU-T T.81, B.1.1): the decoder fills what is missing with grey.
fn check_jpeg(bytes: &[u8]) -> Result<(), Flaw> {
    const CUT: Flaw = Flaw::Truncated("no end-of-image marker");
    let mut at = 2;
    loop {
        // Entropy-coded data up to the next marker that is neither a stuffed zero, a fill byte nor a restart.
        let marker = loop {
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(0xff), Some(0x00 | 0xd0..=0xd7)) => at += 2,
                (Some(0xff), Some(0xff)) => at += 1,
                (Some(0xff), Some(&marker)) => break marker,
                (Some(_), Some(_)) => at += 1,
                _ => return Err(CUT),
            }
        };
        at += 2;
        if marker == 0xd9 {
            return Ok(());
        }
        let length = bytes.get(at..at + 2).ok_or(CUT)?;
        let length = u16::from_be_bytes([length[0], length[1]]) as usize;
        if length < 2 {
            return Err(Flaw::Broken("a segment has no length"));
        }
        at += length;
    }
}

/// Counts the directories (TIFF 6.0, section 2): the decoder would read the first page and be silent about the rest. Values that
/// a directory speaks of must lie in the file: the decoder makes room for them before it looks, up to 256 MiB.
fn check_tiff(bytes: &[u8]) -> Result<(), Flaw> {
    const CUT: Flaw = Flaw::Truncated("a directory is cut off");
    let little = bytes[0] == b'I';
    let big_tiff = bytes[2] == 43 || bytes[3] == 43;
    let number = |at: usize, size: usize| -> Result<usize, Flaw> {
        let end = at.checked_add(size).ok_or(CUT)?;
        let digits = bytes.get(at..end).ok_or(CUT)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let value = if little {
            digits.iter().rev().fold(0, fold)
        } else {
            digits.iter().fold(0, fold)
        };
        usize::try_from(value).map_err(|_| CUT)
    };
    // Sizes of an offset, of the entry count and of one entry.
    let (offset, count, entry) = if big_tiff { (8, 8, 20) } else { (4, 2, 12) };
    let mut directory = number(if big_tiff { 8 } else { 4 }, offset)?;
    let mut pages = 0;
    while directory != 0 {
        let entries = number(directory, count)?;
        let size = entries
            .checked_mul(entry)
            .and_then(|size| size.checked_add(directory + count));
        let next = number(size.ok_or(CUT)?, offset)?;
        for at in (directory + count..).step_by(entry).take(entries) {
            let values = number(at + 4, offset)?
                .checked_mul(tiff_size(number(at + 2, 2)?))
                .ok_or(CUT)?;
            // Short values stand in the entry itself.
            if values > offset {
                let end = number(at + 4 + offset, offset)?.checked_add(values);
                end.filter(|end| *end <= bytes.len()).ok_or(CUT)?;
            }
        }
        directory = next;
        pages += 1;
        if pages > 1 {
            return Err(Flaw::Several("several pages".to_owned()));
        }
    }
    if pages == 0 {
        Err(Flaw::Broken("no page"))
    } else {
        Ok(())
    }
}

/// Bytes of a value of a field's type (TIFF 6.0, section 2, and BigTIFF); 0 for types that no decoder reads.
fn tiff_size(kind: usize) -> usize {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 0,
    }
}
