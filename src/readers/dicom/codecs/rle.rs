//! RLE lossless: DICOM PS3.5 annex G, one segment of PackBits a byte of the sample, the most significant first.

use super::{CodecError, Expected, plausible};

const FORMAT: &str = "RLE";

/// The header: the number of segments and 15 offsets, 32 bits each (G.5).
const HEADER: usize = 64;

/// Two bytes give at most 128 (G.3.2).
const PER_BYTE: usize = 64;

/// Decodes a frame. Bytes behind the last pixel are padding.
pub(super) fn decode(stream: &[u8], expected: &Expected) -> Result<Vec<u16>, CodecError> {
    let pixels = plausible(FORMAT, stream, expected, PER_BYTE)?;
    let header = stream.first_chunk::<HEADER>().ok_or(CodecError::Truncated {
        format: FORMAT,
        part: "its header",
    })?;
    let word = |at: usize| {
        let bytes = [
            header[4 * at],
            header[4 * at + 1],
            header[4 * at + 2],
            header[4 * at + 3],
        ];
        u32::from_le_bytes(bytes) as usize
    };
    let segments = usize::from(expected.bits_allocated / 8);
    if word(0) != segments {
        return Err(damaged(format!("{} segments, {segments} expected", word(0))));
    }
    let mut values = vec![0u16; pixels];
    for segment in 0..segments {
        let start = word(1 + segment);
        // Segments follow each other; the last one takes what is left. Some writers leave offsets in another order, so
        // that the end is the next larger offset.
        let end = (1..=segments).map(word).filter(|other| *other > start).min();
        let bytes = stream
            .get(start..end.unwrap_or(stream.len()).min(stream.len()))
            .filter(|_| start >= HEADER)
            .ok_or_else(|| damaged(format!("segment {} starts outside the stream", segment + 1)))?;
        let shift = 8 * (segments - 1 - segment) as u32;
        unpack(bytes, shift, &mut values)?;
    }
    Ok(values)
}

/// PackBits (G.3.2): a count n of 0 to 127 copies n + 1 bytes, one of -1 to -127 repeats one 1 - n times, -128 is
/// nothing. Every byte is put at `shift` of its value.
fn unpack(mut bytes: &[u8], shift: u32, values: &mut [u16]) -> Result<(), CodecError> {
    let mut left = values;
    while !left.is_empty() {
        let (&count, rest) = bytes.split_first().ok_or(TRUNCATED)?;
        bytes = rest;
        match count {
            0..=127 => {
                let n = usize::from(count) + 1;
                let (literal, rest) = bytes.split_at_checked(n.min(left.len())).ok_or(TRUNCATED)?;
                bytes = rest;
                for (value, byte) in left.iter_mut().zip(literal) {
                    *value |= u16::from(*byte) << shift;
                }
                left = &mut left[literal.len()..];
            }
            128 => {}
            129.. => {
                let n = (257 - usize::from(count)).min(left.len());
                let (&byte, rest) = bytes.split_first().ok_or(TRUNCATED)?;
                bytes = rest;
                for value in &mut left[..n] {
                    *value |= u16::from(byte) << shift;
                }
                left = &mut left[n..];
            }
        }
    }
    Ok(())
}

const TRUNCATED: CodecError = CodecError::Truncated {
    format: FORMAT,
    part: "a segment",
};

fn damaged(what: String) -> CodecError {
    CodecError::Damaged { format: FORMAT, what }
}
