//! JPEG-LS, ITU-T T.87: the markers (annex C) and the stuffing. One component, lossless and near-lossless.

mod line;
mod parameters;

use self::{line::Lines, parameters::Parameters};
use super::{CodecError, Expected, bits::Bits, plausible, same_frame};

const FORMAT: &str = "JPEG-LS";

/// Marker codes, the byte behind 0xFF (table C.1).
mod marker {
    pub(super) const SOI: u8 = 0xD8;
    pub(super) const EOI: u8 = 0xD9;
    pub(super) const SOS: u8 = 0xDA;
    pub(super) const DRI: u8 = 0xDD;
    pub(super) const RST0: u8 = 0xD0;
    pub(super) const SOF55: u8 = 0xF7;
    pub(super) const LSE: u8 = 0xF8;
}

/// Decodes a frame. Values of a signed image are extended from the stream's precision, as pydicom does.
pub(super) fn decode(stream: &[u8], expected: &Expected) -> Result<Vec<u16>, CodecError> {
    // A line takes at least one bit, however long it is: runs double with every bit.
    plausible(FORMAT, stream, expected, expected.columns.saturating_mul(8))?;
    let mut rest = stream;
    if marker(&mut rest)? != marker::SOI {
        return Err(damaged("no start of image"));
    }
    let (mut frame, mut preset, mut restart) = (None, [0; 5], 0);
    loop {
        match marker(&mut rest)? {
            marker::EOI => return Err(damaged("end of image before its pixels")),
            marker::SOF55 => {
                if frame.is_some() {
                    return Err(damaged("two frames"));
                }
                frame = Some(frame_header(segment(&mut rest)?, expected)?);
            }
            marker::LSE => match segment(&mut rest)? {
                // C.2.4.1.1: preset coding parameters; others are tables of colours and sizes beyond 65535.
                [1, values @ ..] if values.len() == 10 => {
                    for (value, bytes) in preset.iter_mut().zip(values.chunks_exact(2)) {
                        *value = i32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
                    }
                }
                _ => return Err(unsupported("extension parameters other than coding parameters")),
            },
            // C.2.5: lines, in 2 to 4 bytes.
            marker::DRI => {
                let bytes = segment(&mut rest)?;
                if !(2..=4).contains(&bytes.len()) {
                    return Err(damaged("restart interval of a wrong length"));
                }
                restart = bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
            }
            marker::SOS => {
                let (component, precision) = frame.ok_or_else(|| damaged("a scan before its frame"))?;
                let near = scan_header(segment(&mut rest)?, component)?;
                let parameters = Parameters::new(precision, near, preset)?;
                let mut values = scan(rest, &parameters, restart, expected)?;
                if expected.signed && precision < 16 {
                    let shift = 16 - precision;
                    for value in &mut values {
                        *value = ((*value << shift).cast_signed() >> shift).cast_unsigned();
                    }
                }
                return Ok(values);
            }
            0xC0..=0xCF => return Err(damaged("a frame of another JPEG")),
            // Application data, comments.
            _ => drop(segment(&mut rest)?),
        }
    }
}

/// C.2.2: the component's name and the precision.
fn frame_header(segment: &[u8], expected: &Expected) -> Result<(u8, u8), CodecError> {
    match *segment {
        [precision, r1, r0, c1, c0, 1, component, _sampling, _table] => {
            let size = (u16::from_be_bytes([r1, r0]).into(), u16::from_be_bytes([c1, c0]).into());
            same_frame(FORMAT, size, precision.into(), expected)?;
            if !(2..=16).contains(&precision) {
                return Err(damaged(&format!("{precision} bits a sample")));
            }
            Ok((component, precision))
        }
        [_, _, _, _, _, n, ..] if n > 1 => Err(unsupported(&format!("{n} components a pixel"))),
        _ => Err(damaged("a frame header of a wrong length")),
    }
}

/// C.2.3: the largest error.
fn scan_header(segment: &[u8], component: u8) -> Result<u8, CodecError> {
    match *segment {
        [1, of, _, _, _, _] if of != component => Err(damaged("a scan of a component that the frame has not")),
        [1, _, 0, near, _interleave, 0] => Ok(near),
        [1, _, _, _, _, 0] => Err(unsupported("a mapping table")),
        [1, _, _, _, _, _] => Err(unsupported("a point transform")),
        _ => Err(damaged("a scan header that is not of one component")),
    }
}

/// Decodes the lines behind a scan header. The memory grows with the lines that were found.
fn scan(coded: &[u8], parameters: &Parameters, restart: usize, expected: &Expected) -> Result<Vec<u16>, CodecError> {
    let (rows, columns) = (expected.rows, expected.columns);
    let interval = if restart == 0 { rows } else { restart };
    let mut values = Vec::new();
    let mut rest = coded;
    for (number, first) in (0..rows).step_by(interval).enumerate() {
        if number > 0 {
            match marker(&mut rest) {
                // They are numbered 0 to 7, round and round.
                Ok(code) if code == marker::RST0 + ((number - 1) % 8) as u8 => {}
                Ok(marker::EOI) | Err(_) => return Err(PIXELS_END),
                Ok(_) => return Err(damaged("no restart marker where one is due")),
            }
        }
        let (bytes, left) = rest.split_at(scan_end(rest));
        rest = left;
        let bytes = unstuff(bytes);
        let mut bits = Bits::new(&bytes);
        let mut lines = Lines::new(parameters, columns);
        for _ in first..rows.min(first.saturating_add(interval)) {
            lines.next(&mut bits, &mut values)?;
        }
    }
    Ok(values)
}

/// Where the next marker starts: data never have a byte above 0x7F behind 0xFF (A.1).
fn scan_end(coded: &[u8]) -> usize {
    coded
        .windows(2)
        .position(|pair| pair[0] == 0xFF && pair[1] >= 0x80)
        .unwrap_or(coded.len())
}

/// The bits of a scan without the zero bit that is stuffed behind every byte 0xFF (A.1).
fn unstuff(coded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(coded.len());
    let (mut buffer, mut have) = (0u32, 0);
    let mut last = 0;
    for &byte in coded {
        let bits = if last == 0xFF { 7 } else { 8 };
        buffer = buffer << bits | u32::from(byte);
        have += bits;
        last = byte;
        if have >= 8 {
            have -= 8;
            plain.push((buffer >> have) as u8);
        }
    }
    if have > 0 {
        plain.push((buffer << (8 - have)) as u8);
    }
    plain
}

/// The next marker's code; fill bytes (B.1.1.2 of T.81) are passed over.
fn marker(bytes: &mut &[u8]) -> Result<u8, CodecError> {
    let fill = match bytes.iter().position(|byte| *byte != 0xFF) {
        Some(0) => return Err(damaged("no marker where one is due")),
        Some(fill) => fill,
        None => return Err(HEADERS_END),
    };
    let code = bytes[fill];
    *bytes = &bytes[fill + 1..];
    Ok(code)
}

/// What stands behind a marker, without the two bytes of its length.
fn segment<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(HEADERS_END)?;
    let length = usize::from(u16::from_be_bytes(*length))
        .checked_sub(2)
        .ok_or_else(|| damaged("a segment shorter than its length"))?;
    let (segment, rest) = rest.split_at_checked(length).ok_or(HEADERS_END)?;
    *bytes = rest;
    Ok(segment)
}

const HEADERS_END: CodecError = CodecError::Truncated {
    format: FORMAT,
    part: "its headers",
};

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
