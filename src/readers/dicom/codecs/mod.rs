//! Decoders of compressed frames.

/// What a frame's stream must hold: one sample a pixel.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Rows of the frame.
    pub rows: usize,
    /// Columns of the frame.
    pub columns: usize,
    /// Bits Allocated: 8 or 16.
    pub bits_allocated: u16,
    /// Bits Stored.
    pub bits_stored: u16,
    /// Whether Pixel Representation is 1.
    pub signed: bool,
}

/// Decodes one frame: `rows * columns` words, negative ones as two's complement in 16 bits.
pub type Decode = fn(stream: &[u8], expected: &Expected) -> Result<Vec<u16>, CodecError>;

/// A transfer syntax and its decoder.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    /// Its UID.
    pub uid: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// Decodes one frame's fragments, joined.
    pub decode: Decode,
}

/// Why a stream gave no frame.
#[derive(Debug, thiserror::Error)]
#[error("the stream ends before the frame does")]
pub struct CodecError;

/// All decoders.
pub const CODECS: &[Codec] = &[Codec {
    uid: "1.2.840.10008.1.2.5",
    name: "RLE Lossless",
    decode: rle,
}];

/// PS3.5 annex G: one segment a byte of a pixel, the highest byte first.
fn rle(stream: &[u8], expected: &Expected) -> Result<Vec<u16>, CodecError> {
    let number = |at: usize| {
        let bytes = stream.get(at..at + 4).ok_or(CodecError)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    };
    let pixels = expected.rows * expected.columns;
    let n = usize::from(expected.bits_allocated / 8);
    if number(0)? != n || stream.len() < 64 || stream.len().saturating_mul(64) < pixels * n {
        return Err(CodecError);
    }
    let mut words = vec![0u16; pixels];
    for segment in 0..n {
        let mut at = number(4 + 4 * segment)?;
        let mut done = 0;
        while done < pixels {
            let &code = stream.get(at).ok_or(CodecError)?;
            at += 1;
            let count = match code {
                128 => continue,
                0..128 => usize::from(code) + 1,
                129.. => 257 - usize::from(code),
            };
            for place in 0..count.min(pixels - done) {
                let from = if code < 128 { at + place } else { at };
                let &byte = stream.get(from).ok_or(CodecError)?;
                words[done + place] = words[done + place] << 8 | u16::from(byte);
            }
            at += if code < 128 { count } else { 1 };
            done += count;
        }
    }
    Ok(words)
}
