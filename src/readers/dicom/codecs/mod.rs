//! Decoders of compressed pixels: one a transfer syntax, in safe Rust, without a system library.
//!
//! DICOM PS3.5 annex A.4 says which stream each syntax holds. Every decoder gives a whole frame or an error: sizes that
//! a stream claims are held against the data set and against the stream's own length before memory is asked for, a
//! stream that ends early is refused, and only padding may follow the last pixel.
//!
//! Why these are our own: of the crates that dicom-rs 0.10 calls, the RLE decoder panicked on 18 of 150 damaged files,
//! CharLS (JPEG-LS) needs cmake and took 8 to 12 s for one truncated slice, and jpeg-decoder knows no 12-bit DCT.
//! JPEG 2000 is the exception: see [`jpeg2000`].

mod bits;
mod jpeg;
mod jpeg2000;
mod jpeg_ls;
mod rle;

use thiserror::Error;

/// What the data set says of a frame; one sample a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// `BitsAllocated`: 8 or 16.
    pub bits_allocated: u16,
    /// `BitsStored`.
    pub bits_stored: u16,
    /// `PixelRepresentation` 1: values are two's complement.
    pub signed: bool,
}

/// Decodes one frame's fragments, joined, to `rows * columns` stored values; negative ones are two's complement in 16
/// bits where the stream itself is signed, or in the stream's own width.
pub type Decode = fn(stream: &[u8], expected: &Expected) -> Result<Vec<u16>, CodecError>;

/// The decoder of one transfer syntax.
#[derive(Debug)]
pub struct Codec {
    /// `TransferSyntaxUID`.
    pub uid: &'static str,
    /// The syntax' name, short.
    pub name: &'static str,
    /// The decoder.
    pub decode: Decode,
}

/// The compressed transfer syntaxes that are read.
pub const CODECS: &[Codec] = &[
    Codec {
        uid: "1.2.840.10008.1.2.4.50",
        name: "JPEG baseline",
        decode: jpeg::decode,
    },
    Codec {
        uid: "1.2.840.10008.1.2.4.51",
        name: "JPEG extended, 8 and 12 bit",
        decode: jpeg::decode,
    },
    Codec {
        uid: "1.2.840.10008.1.2.4.57",
        name: "JPEG lossless",
        decode: jpeg::decode,
    },
    Codec {
        uid: "1.2.840.10008.1.2.4.70",
        name: "JPEG lossless, first-order prediction",
        decode: jpeg::decode,
    },
    Codec {
        uid: "1.2.840.10008.1.2.4.80",
        name: "JPEG-LS lossless",
        decode: jpeg_ls::decode,
    },
    Codec {
        uid: "1.2.840.10008.1.2.4.81",
        name: "JPEG-LS near-lossless",
        decode: jpeg_ls::decode,
    },
    Codec {
        uid: "1.2.840.10008.1.2.4.90",
        name: "JPEG 2000 lossless",
        decode: jpeg2000::decode,
    },
    Codec {
        uid: "1.2.840.10008.1.2.4.91",
        name: "JPEG 2000",
        decode: jpeg2000::decode,
    },
    Codec {
        uid: "1.2.840.10008.1.2.5",
        name: "RLE lossless",
        decode: rle::decode,
    },
];

/// Why a stream is not decoded. Decoders see pixels only: nothing of a patient can be in a message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The stream ends before its image does.
    #[error("{format} stream ends in {part}: the file is cut off")]
    Truncated {
        /// E.g. `JPEG`.
        format: &'static str,
        /// Where it ends.
        part: &'static str,
    },
    /// The stream contradicts its own format.
    #[error("damaged {format} stream: {what}")]
    Damaged {
        /// E.g. `JPEG`.
        format: &'static str,
        /// What was found and what was expected.
        what: String,
    },
    /// The stream is of another size than the data set says.
    #[error(
        "{format} stream of {rows} x {columns} pixels, {} x {} expected from Rows and Columns",
        expected.rows, expected.columns
    )]
    Size {
        /// E.g. `JPEG`.
        format: &'static str,
        /// Rows found.
        rows: usize,
        /// Columns found.
        columns: usize,
        /// What the data set says.
        expected: Expected,
    },
    /// The samples do not fit what the data set says.
    #[error("{format} stream of {precision} bits a sample, at most {allocated} expected from BitsAllocated")]
    Precision {
        /// E.g. `JPEG`.
        format: &'static str,
        /// Bits a sample found.
        precision: u16,
        /// `BitsAllocated`.
        allocated: u16,
    },
    /// No stream of this length can hold that many pixels.
    #[error("{format} stream of {bytes} bytes for {rows} x {columns} pixels: more than it can hold")]
    TooShort {
        /// E.g. `JPEG`.
        format: &'static str,
        /// The stream's length.
        bytes: usize,
        /// Rows expected.
        rows: usize,
        /// Columns expected.
        columns: usize,
    },
    /// Part of the format's standard, but not read here.
    #[error("{format} stream with {feature}, which is not read here (have the archive send it uncompressed)")]
    Unsupported {
        /// E.g. `JPEG`.
        format: &'static str,
        /// What it uses.
        feature: String,
    },
}

impl CodecError {
    fn damaged(format: &'static str, what: &str) -> Self {
        let what = what.to_owned();
        Self::Damaged { format, what }
    }

    fn unsupported(format: &'static str, feature: &str) -> Self {
        let feature = feature.to_owned();
        Self::Unsupported { format, feature }
    }
}

/// The checks that all formats share; `per_byte` is how many pixels a byte of the stream can hold at most.
fn plausible(format: &'static str, stream: &[u8], expected: &Expected, per_byte: usize) -> Result<usize, CodecError> {
    let (rows, columns) = (expected.rows, expected.columns);
    if !matches!(expected.bits_allocated, 8 | 16) {
        return Err(CodecError::Unsupported {
            format,
            feature: format!("{} bits allocated", expected.bits_allocated),
        });
    }
    match rows.checked_mul(columns) {
        Some(pixels) if pixels > 0 && pixels <= stream.len().saturating_mul(per_byte) => Ok(pixels),
        _ => Err(CodecError::TooShort {
            format,
            bytes: stream.len(),
            rows,
            columns,
        }),
    }
}

/// Compares what a stream says of itself with the data set.
fn same_frame(
    format: &'static str,
    (rows, columns): (usize, usize),
    precision: u16,
    expected: &Expected,
) -> Result<(), CodecError> {
    if (rows, columns) != (expected.rows, expected.columns) {
        return Err(CodecError::Size {
            format,
            rows,
            columns,
            expected: *expected,
        });
    }
    if precision > expected.bits_allocated {
        return Err(CodecError::Precision {
            format,
            precision,
            allocated: expected.bits_allocated,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
