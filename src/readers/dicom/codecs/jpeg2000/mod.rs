//! JPEG 2000, ITU-T T.800: hayro-jpeg2000 decodes, behind checks of what a stream asks for. One component.
//!
//! hayro-jpeg2000 0.5 is safe Rust, keeps samples of 16 bits exactly (as `f32`, with the reversible transform in whole
//! numbers), and gave the same pixels as OpenJPEG on every reversible stream tried, cut ones (lossy) included. The
//! alternative, openjp2, is C turned into unsafe Rust. Its memory grows with what the headers claim, which is why they
//! are read here first: sizes, tiles and precincts must be paid for by bytes. No high-throughput code blocks.

mod codestream;

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use self::codestream::Codestream;
use super::{CodecError, Expected, plausible, same_frame};

const FORMAT: &str = "JPEG 2000";

/// The stream of an even image may be very short. Decoding takes about 20 bytes a pixel, so that this is 20 MB.
const FREE_PIXELS: usize = 1 << 20;

/// Beyond that, pixels must be paid for.
const PER_BYTE: usize = 1024;

/// Decodes a frame.
pub(super) fn decode(stream: &[u8], expected: &Expected) -> Result<Vec<u16>, CodecError> {
    let per_byte = |bytes: usize| PER_BYTE.max(FREE_PIXELS.div_ceil(bytes.max(1)));
    plausible(FORMAT, stream, expected, per_byte(stream.len()))?;
    let codestream = Codestream::read(stream)?;
    let precision = codestream.precision;
    same_frame(FORMAT, (codestream.rows, codestream.columns), precision, expected)?;
    codestream.affordable()?;
    // Once more, of what is no padding.
    plausible(FORMAT, &codestream.bytes, expected, per_byte(codestream.bytes.len()))?;

    let settings = DecodeSettings {
        resolve_palette_indices: false,
        // What is not strict fills up a cut stream with zeros.
        strict: true,
        target_resolution: None,
    };
    let damaged = |error: hayro_jpeg2000::DecodeError| damaged(&error.to_string());
    let image = Image::new(&codestream.bytes, &settings).map_err(damaged)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(damaged)?;
    let samples = match decoded.components() {
        [component] if component.samples().len() == expected.rows * expected.columns => component.samples(),
        _ => return Err(self::damaged("another number of samples than its header says")),
    };
    // The library shifts signed samples like unsigned ones (G.1.2): by half the range.
    let half = if codestream.signed { 1 << (precision - 1) } else { 0 };
    let limit = ((1u32 << precision) - 1) as f32;
    let unused = 16 - u32::from(precision);
    Ok(samples
        .iter()
        .map(|sample| {
            let value = sample.round_ties_even().clamp(0.0, limit) as i32 - half;
            // As pydicom does where stream and data set disagree about the sign: the bits are taken for what the data
            // set says.
            if expected.signed {
                ((value << unused) as i16 >> unused).cast_unsigned()
            } else {
                value as u16 & (limit as u16)
            }
        })
        .collect())
}

fn damaged(what: &str) -> CodecError {
    CodecError::damaged(FORMAT, what)
}

fn unsupported(feature: &str) -> CodecError {
    CodecError::unsupported(FORMAT, feature)
}
