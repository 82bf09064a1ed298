//! Words of a frame and the stored values in them (PS3.5 8.1.1).

/// How a pixel lies in its word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Layout {
    pub rows: usize,
    pub columns: usize,
    /// Bits Allocated: 8 or 16.
    pub allocated: u16,
    /// Bits Stored: at most as many.
    pub stored: u16,
    /// High Bit: less than Bits Allocated, at least Bits Stored - 1.
    pub high: u16,
    /// Pixel Representation is 1.
    pub signed: bool,
}

impl Layout {
    /// Pixels of a frame.
    pub fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Bytes of an uncompressed frame.
    pub fn bytes(&self) -> usize {
        self.pixels() * usize::from(self.allocated / 8)
    }

    /// Bits below the value.
    pub fn shift(&self) -> u16 {
        self.high + 1 - self.stored
    }

    /// The stored value in a word: other bits (old files keep overlays there) are dropped, the sign is extended.
    pub fn stored(&self, word: u16) -> i32 {
        let upper = u32::from(word) << (31 - u32::from(self.high));
        let unused = 32 - u32::from(self.stored);
        match self.signed {
            true => (upper as i32) >> unused,
            false => (upper >> unused) as i32,
        }
    }

    /// The whole word as a number.
    pub fn written(&self, word: u16) -> i32 {
        match self.signed {
            true => i32::from(word as i16),
            false => i32::from(word),
        }
    }

    /// The words of a frame of uncompressed pixels. Two 8-bit pixels in a big-endian word (`swapped`) stand the other way
    /// round; the pairs are counted through all frames.
    pub fn words(&self, pixels: &[u8], frame: usize, big_endian: bool, swapped: bool) -> Vec<u16> {
        let place = frame * self.bytes()..(frame + 1) * self.bytes();
        if swapped && self.allocated == 8 {
            let pixel = |at: usize| pixels.get(at ^ 1).copied().unwrap_or_default();
            return place.map(|at| u16::from(pixel(at))).collect();
        }
        let bytes = &pixels[place];
        let pairs = bytes.chunks_exact(2);
        match (self.allocated, big_endian) {
            (8, _) => bytes.iter().map(|byte| u16::from(*byte)).collect(),
            (_, true) => pairs.map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
            (_, false) => pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(stored: u16, high: u16, signed: bool) -> Layout {
        Layout {
            rows: 1,
            columns: 3,
            allocated: 16,
            stored,
            high,
            signed,
        }
    }

    #[test]
    fn bits_around_the_value_are_dropped_and_its_sign_is_kept() {
        assert_eq!(layout(16, 15, true).stored(0xF830), -2000);
        assert_eq!(layout(16, 15, false).stored(0xF830), 63536);
        assert_eq!(layout(12, 11, true).stored(0x5FFF), -1);
        assert_eq!(layout(12, 11, false).stored(0x5FFF), 4095);
        assert_eq!(layout(12, 15, false).stored(0xABCD), 0xABC);
        assert_eq!(layout(12, 15, true).stored(0xABCD), 0xABC - 4096);
        assert_eq!(layout(1, 0, false).stored(3), 1);
    }

    #[test]
    fn pairs_of_a_big_endian_word_are_turned() {
        let eight = Layout {
            allocated: 8,
            stored: 8,
            high: 7,
            ..layout(8, 7, false)
        };
        let two_frames = [2, 1, 4, 3, 6, 5];
        assert_eq!(eight.words(&two_frames, 0, true, true), [1, 2, 3]);
        assert_eq!(eight.words(&two_frames, 1, true, true), [4, 5, 6]);
        assert_eq!(eight.words(&[1, 2, 3], 0, true, false), [1, 2, 3]);
        let sixteen = layout(16, 15, false);
        assert_eq!(
            sixteen.words(&[1, 2, 3, 4, 5, 6], 0, true, false),
            [0x102, 0x304, 0x506]
        );
    }
}
