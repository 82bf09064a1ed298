//! Sequential DCT, Huffman coded: T.81 annex F, 8 bits (baseline, extended) and 12 (extended).

use super::{PIXELS_END, Scan, damaged, dct, huffman::Huffman};
use crate::readers::dicom::codecs::{CodecError, bits::Bits};

/// Where the k-th coefficient in zigzag order stands in a block (figure 5 of T.81).
#[rustfmt::skip]
const ZIGZAG: [usize; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10,
    17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34,
    27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36,
    29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46,
    53, 60, 61, 54, 47, 55, 62, 63,
];

/// Decodes the only scan. Of one component, blocks stand line by line whatever its sampling factors say (A.2.2).
pub(super) fn decode(scan: &Scan<'_>, intervals: &[Vec<u8>]) -> Result<Vec<u16>, CodecError> {
    let Some(ac) = scan.ac else {
        return Err(damaged("a scan whose tables are missing"));
    };
    let (down, across) = (scan.rows.div_ceil(8), scan.columns.div_ceil(8));
    let restart = if scan.restart == 0 { down * across } else { scan.restart };
    let mut samples = vec![0u16; scan.rows * scan.columns];
    let mut coded = intervals.iter();
    let mut bits = Bits::new(&[]);
    let mut dc = 0i32;
    for at in 0..down * across {
        if at.is_multiple_of(restart) {
            if bits.overrun() {
                return Err(PIXELS_END);
            }
            bits = Bits::new(coded.next().ok_or(PIXELS_END)?);
            dc = 0;
        }
        let coefficients = block(scan, ac, &mut bits, &mut dc)?;
        let pixels = dct::inverse(&coefficients, scan.precision);
        let (row, column) = (at / across * 8, at % across * 8);
        let width = (scan.columns - column).min(8);
        // The last blocks reach beyond the image.
        for (line, pixels) in (row..scan.rows).zip(pixels.chunks_exact(8)) {
            let start = line * scan.columns + column;
            samples[start..start + width].copy_from_slice(&pixels[..width]);
        }
        if column == 0 && bits.overrun() {
            return Err(PIXELS_END);
        }
    }
    if bits.overrun() { Err(PIXELS_END) } else { Ok(samples) }
}

/// The coefficients of a block, dequantized, in their places. `dc` is the last block's (F.2.2).
fn block(scan: &Scan<'_>, ac: &Huffman, bits: &mut Bits<'_>, dc: &mut i32) -> Result<[i32; 64], CodecError> {
    const NO_CODE: &str = "a code that its table has not";
    let mut block = [0; 64];
    bits.need(32);
    let difference = scan.dc.difference(bits).ok_or_else(|| damaged(NO_CODE))?;
    // 16 bits hold what 12-bit samples give; damage must not add up.
    *dc = i32::from((*dc + difference) as i16);
    block[0] = *dc * i32::from(scan.quantization[0]);
    let mut at = 1;
    while at < 64 {
        bits.need(32);
        let (run, value) = ac.coefficient(bits).ok_or_else(|| damaged(NO_CODE))?;
        if value == 0 {
            // Sixteen zeros, or the end of the block.
            if run != 15 {
                break;
            }
            at += 16;
            continue;
        }
        at += run;
        let place = *ZIGZAG
            .get(at)
            .ok_or_else(|| damaged("a block of more than 64 coefficients"))?;
        block[place] = value * i32::from(scan.quantization[at]);
        at += 1;
    }
    Ok(block)
}
