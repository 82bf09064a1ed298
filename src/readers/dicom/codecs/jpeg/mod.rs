//! JPEG, ITU-T T.81: headers (annex B), and which decoder a frame needs. One component.

mod dct;
mod huffman;
mod lossless;
mod markers;
mod sequential;
mod tables;

use self::{
    huffman::Huffman,
    markers::{Segments, intervals, marker},
    tables::{Scan, Tables},
};
use super::{CodecError, Expected, plausible, same_frame};

const FORMAT: &str = "JPEG";

/// Two codes of one bit each are the least that a block of 64 pixels takes: DC and end of block.
const DCT_PER_BYTE: usize = 4 * 64;

/// A sample takes at least one bit.
const LOSSLESS_PER_BYTE: usize = 8;

/// A frame header (B.2.2) of one component.
struct Frame {
    lossless: bool,
    precision: u8,
    component: u8,
    quantization: usize,
}

/// Decodes a frame: baseline, extended sequential (8 and 12 bit) or lossless, whichever the stream says; files name the
/// wrong one of these syntaxes often enough.
pub(super) fn decode(stream: &[u8], expected: &Expected) -> Result<Vec<u16>, CodecError> {
    plausible(FORMAT, stream, expected, DCT_PER_BYTE)?;
    let mut segments = Segments { bytes: stream };
    if segments.marker()? != marker::SOI {
        return Err(damaged("no start of image"));
    }
    let mut tables = Tables::default();
    let mut frame = None;
    loop {
        let code = segments.marker()?;
        match code {
            marker::SOI | marker::TEM | marker::RST0..=marker::RST7 => {}
            marker::EOI => return Err(damaged("end of image before its pixels")),
            marker::SOF0 | marker::SOF1 | marker::SOF3 => {
                if frame.is_some() {
                    return Err(damaged("two frames"));
                }
                frame = Some(frame_header(
                    segments.segment()?,
                    code == marker::SOF3,
                    stream,
                    expected,
                )?);
            }
            marker::SOF2 => return Err(unsupported("progressive DCT")),
            marker::DAC | 0xC9..=0xCB | 0xCD..=0xCF => return Err(unsupported("arithmetic coding")),
            0xC5..=0xC7 => return Err(unsupported("a hierarchy of frames")),
            marker::DHT => tables.huffman(segments.segment()?)?,
            marker::DQT => tables.quantization(segments.segment()?)?,
            marker::DRI => match segments.segment()? {
                &[high, low] => tables.restart = usize::from(u16::from_be_bytes([high, low])),
                _ => return Err(damaged("restart interval of a wrong length")),
            },
            marker::SOS => {
                let frame = frame.ok_or_else(|| damaged("a scan before its frame"))?;
                let scan = tables.scan(segments.segment()?, &frame, expected)?;
                let intervals = intervals(segments.bytes)?;
                return if frame.lossless {
                    lossless::decode(&scan, &intervals)
                } else {
                    sequential::decode(&scan, &intervals)
                };
            }
            // Application data, comments and what tomorrow brings.
            _ => drop(segments.segment()?),
        }
    }
}

fn frame_header(segment: &[u8], lossless: bool, stream: &[u8], expected: &Expected) -> Result<Frame, CodecError> {
    let &[precision, r1, r0, c1, c0, components, ref rest @ ..] = segment else {
        return Err(damaged("a short frame header"));
    };
    if components != 1 {
        return Err(unsupported(&format!("{components} components a pixel")));
    }
    let &[component, _sampling, quantization] = rest else {
        return Err(damaged("a frame header of a wrong length"));
    };
    let size = (u16::from_be_bytes([r1, r0]).into(), u16::from_be_bytes([c1, c0]).into());
    same_frame(FORMAT, size, precision.into(), expected)?;
    if lossless {
        plausible(FORMAT, stream, expected, LOSSLESS_PER_BYTE)?;
    }
    // Table B.2.
    if !(if lossless {
        (2..=16).contains(&precision)
    } else {
        matches!(precision, 8 | 12)
    }) {
        return Err(damaged(&format!("{precision} bits a sample")));
    }
    Ok(Frame {
        lossless,
        precision,
        component,
        quantization: quantization.into(),
    })
}

const PIXELS_END: CodecError = CodecError::Truncated {
    format: FORMAT,
    part: "its pixels",
};

fn damaged(what: &str) -> CodecError {
    CodecError::damaged(FORMAT, what)
}

fn unsupported(feature: &str) -> CodecError {
    CodecError::unsupported(FORMAT, feature)
}
