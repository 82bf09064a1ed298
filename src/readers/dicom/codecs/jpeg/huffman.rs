//! Huffman codes of T.81 (annex C), and differences in one look-up where code and bits are short.

use super::{super::bits::Bits, damaged};
use crate::readers::dicom::codecs::CodecError;

/// Bits of the look-up table. CT slices take about 6 bits a sample, so that nearly all differences are found in it.
const LOOKUP: u32 = 12;

/// Set in an entry that holds a whole difference.
const WHOLE: u32 = 1 << 15;

/// A code table. Codes that no symbol has give [`Huffman::NO_SYMBOL`].
pub(super) struct Huffman {
    /// By the next [`LOOKUP`] bits: the bits to drop (low 6), the symbol (8 bits from bit 6), [`WHOLE`], and above it
    /// the difference. 0 where the code is longer.
    lookup: Vec<u32>,
    /// By length: the first code that is too large, at the top of 16 bits.
    limits: [u32; 17],
    /// By length: what turns a code into its symbol's place.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    /// No table of JPEG has it: categories end at 16, and runs of AC are 15 and 10 bits wide.
    const NO_SYMBOL: u8 = 0xFF;

    /// From the numbers of codes of each length and the symbols in their order (C.1, C.2).
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, CodecError> {
        let mut table = Self {
            lookup: vec![0; 1 << LOOKUP],
            limits: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            let count = u32::from(counts[length as usize - 1]);
            table.offsets[length as usize] = place as i32 - code as i32;
            if code + count > 1 << length {
                return Err(damaged("a Huffman table with more codes than there are"));
            }
            for _ in 0..count {
                table.fill(code, length, symbols[place]);
                code += 1;
                place += 1;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// Fills in what starts with this code.
    fn fill(&mut self, code: u32, length: u32, symbol: u8) {
        if length > LOOKUP {
            return;
        }
        let free = LOOKUP - length;
        let size = u32::from(symbol);
        for rest in 0..1u32 << free {
            let entry = if size == 0 {
                length | WHOLE
            } else if size <= free {
                let difference = extend(rest >> (free - size), size);
                (length + size) | WHOLE | (difference as u32) << 16
            } else {
                length
            };
            self.lookup[((code << free) | rest) as usize] = entry | size << 6;
        }
    }

    /// The next symbol; 16 bits must be ready.
    #[inline(always)]
    fn symbol(&self, bits: &mut Bits<'_>) -> u8 {
        let entry = self.lookup[bits.peek(LOOKUP) as usize];
        if entry == 0 {
            return self.long_symbol(bits);
        }
        let symbol = (entry >> 6) as u8;
        // The entry's bits to drop count the difference's too.
        let extra = if entry & WHOLE != 0 { u32::from(symbol) } else { 0 };
        bits.skip((entry & 63) - extra);
        symbol
    }

    /// A symbol whose code is longer than the table looks.
    #[inline(never)]
    fn long_symbol(&self, bits: &mut Bits<'_>) -> u8 {
        let next = bits.peek(16);
        for length in LOOKUP + 1..=16 {
            if next < self.limits[length as usize] {
                bits.skip(length);
                let place = (next >> (16 - length)) as i32 + self.offsets[length as usize];
                return usize::try_from(place)
                    .ok()
                    .and_then(|place| self.symbols.get(place).copied())
                    .unwrap_or(Self::NO_SYMBOL);
            }
        }
        bits.skip(16);
        Self::NO_SYMBOL
    }

    /// The next difference: its category and as many bits (F.1.2.1, H.1.2.2); 32 bits must be ready. Category 16 is
    /// 32768 and has no bits. `None` where the code or the category does not exist.
    #[inline(always)]
    pub(super) fn difference(&self, bits: &mut Bits<'_>) -> Option<i32> {
        let entry = self.lookup[bits.peek(LOOKUP) as usize];
        if entry & WHOLE != 0 {
            bits.skip(entry & 63);
            return Some((entry as i32) >> 16);
        }
        self.long_difference(bits)
    }

    fn long_difference(&self, bits: &mut Bits<'_>) -> Option<i32> {
        match u32::from(self.symbol(bits)) {
            0 => Some(0),
            size @ 1..=15 => Some(extend(bits.take(size), size)),
            16 => Some(32768),
            _ => None,
        }
    }

    /// The next AC coefficient: zeros before it and its value, which is 0 for an end of block (no zeros) and for 16
    /// zeros (15 of them); 32 bits must be ready. `None` where the code does not exist (F.1.2.2).
    #[inline(always)]
    pub(super) fn coefficient(&self, bits: &mut Bits<'_>) -> Option<(usize, i32)> {
        let symbol = self.symbol(bits);
        if symbol == Self::NO_SYMBOL {
            return None;
        }
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        Some((run, if size == 0 { 0 } else { extend(bits.take(size), size) }))
    }
}

/// EXTEND (F.2.2.1): `size` bits, 1 to 15, as a signed difference.
#[inline(always)]
fn extend(value: u32, size: u32) -> i32 {
    let value = value as i32;
    if value < 1 << (size - 1) {
        value - (1 << size) + 1
    } else {
        value
    }
}
