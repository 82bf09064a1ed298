//! Lossless JPEG: T.81 annex H, predictors 1 to 7, point transform, restart intervals.

use super::{PIXELS_END, Scan, damaged, huffman::Huffman, unsupported};
use crate::readers::dicom::codecs::{CodecError, bits::Bits};

/// Decodes the only scan.
///
/// Differences are added modulo 2^16 (H.1.2.1), so that samples and predictions are kept in 16 bits.
pub(super) fn decode(scan: &Scan<'_>, intervals: &[Vec<u8>]) -> Result<Vec<u16>, CodecError> {
    if !(1..=7).contains(&scan.selection) {
        return Err(damaged(&format!("predictor {}, 1 to 7 expected", scan.selection)));
    }
    if scan.point >= scan.precision {
        return Err(damaged("a point transform of all bits"));
    }
    let columns = scan.columns;
    // A scan's line may not be cut (H.1.1).
    if !scan.restart.is_multiple_of(columns) {
        return Err(unsupported("restart intervals that are not whole lines"));
    }
    let lines = match scan.restart / columns {
        0 => scan.rows,
        lines => lines,
    };
    let mut samples = vec![0u16; scan.rows * columns];
    let mut coded = intervals.iter();
    for part in samples.chunks_mut(lines * columns) {
        let mut bits = Bits::new(coded.next().ok_or(PIXELS_END)?);
        let (first, rest) = part.split_at_mut(columns);
        // H.1.2.1: the first line is predicted from the left, its first sample from half the range.
        first_line(scan, &mut bits, first)?;
        let mut above: &[u16] = first;
        for line in rest.chunks_exact_mut(columns) {
            next_line(scan, &mut bits, above, line)?;
            above = line;
        }
    }
    if scan.point > 0 {
        samples.iter_mut().for_each(|sample| *sample <<= scan.point);
    }
    Ok(samples)
}

fn first_line(scan: &Scan<'_>, bits: &mut Bits<'_>, line: &mut [u16]) -> Result<(), CodecError> {
    let half = 1 << (scan.precision - scan.point - 1);
    fill(scan.dc, bits, line, half, |left, _| left)
}

/// Lines that have one above: the first sample is predicted from above (H.1.2.1), the others as table H.1 says.
fn next_line(scan: &Scan<'_>, bits: &mut Bits<'_>, above: &[u16], line: &mut [u16]) -> Result<(), CodecError> {
    let start = above[0];
    let up = |at: usize| i32::from(above[at]);
    // The closures' `at` is at least 1. One loop is compiled for each predictor.
    match scan.selection {
        1 => fill(scan.dc, bits, line, start, |left, _| left),
        2 => fill(scan.dc, bits, line, start, |_, at| up(at)),
        3 => fill(scan.dc, bits, line, start, |_, at| up(at - 1)),
        4 => fill(scan.dc, bits, line, start, |left, at| left + up(at) - up(at - 1)),
        5 => fill(scan.dc, bits, line, start, |left, at| {
            left + ((up(at) - up(at - 1)) >> 1)
        }),
        6 => fill(scan.dc, bits, line, start, |left, at| {
            up(at) + ((left - up(at - 1)) >> 1)
        }),
        _ => fill(scan.dc, bits, line, start, |left, at| (left + up(at)) >> 1),
    }
}

/// Decodes a line: `start` predicts the first sample, `predict` the others from the one to the left and their place.
#[inline(always)]
fn fill(
    table: &Huffman,
    bits: &mut Bits<'_>,
    line: &mut [u16],
    start: u16,
    predict: impl Fn(i32, usize) -> i32,
) -> Result<(), CodecError> {
    let mut left = i32::from(start);
    for (at, sample) in line.iter_mut().enumerate() {
        bits.need(32);
        let difference = table
            .difference(bits)
            .ok_or_else(|| damaged("a code that its table has not"))?;
        let prediction = if at == 0 { left } else { predict(left, at) };
        *sample = (prediction + difference) as u16;
        left = i32::from(*sample);
    }
    if bits.overrun() { Err(PIXELS_END) } else { Ok(()) }
}
