//! Pixels that no X-ray passed through (PS3.3 C.7.5.1.1.2): corners of a round field, outside of what was reconstructed.
//!
//! Padding is recognised before the bits outside of Bits Stored are dropped: 63536 in a file of 12 bits is -2000 and
//! padding, and its lower twelve bits alone would be bone.

use std::ops::RangeInclusive;

use super::pixels::Layout;
use crate::ct::{Hu, Rescale};

/// Padding becomes the lowest value of the usual 12-bit scale, just below air.
pub const PADDING_HU: Hu = -1024.0;

/// What scanners write outside of the field without saying so in Pixel Padding Value: -2000 (GE; 63536 where the file
/// says unsigned) and the lowest value of 16 bits. They are padding only where they lie below [`PADDING_HU`], that is where
/// they would be less dense than nothing. Other values that low stay what the file says.
const WELL_KNOWN: [i16; 2] = [-2000, i16::MIN];

/// Above the extended scale for metal, which ends at 30,710 HU.
const HIGHEST_HU: Hu = 31_000.0;

/// A lossy codec smears padding over all that lies between it and air: by 970 in a JPEG 2000 file of pydicom's, by 4 in
/// others. Where there is padding, what lies below this is padding too; the noise of air does not reach it.
const SMEARED: Hu = PADDING_HU - 100.0;

/// How the padding of a file is told from its image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Padding {
    /// Lowest and highest stored value that the file names as padding.
    pub named: Option<(i32, i32)>,
    /// The file hides overlays in the bits above High Bit: then only the stored value counts.
    pub overlays: bool,
    /// The pixels went through a lossy codec.
    pub lossy: bool,
}

impl Padding {
    /// Pixel Padding Value and Pixel Padding Range Limit, each as any number whose lower 16 bits are meant: writers get
    /// the sign wrong, 63536 in a file of signed values is -2000.
    pub fn range(value: i32, limit: Option<i32>, signed: bool) -> (i32, i32) {
        let meant = |value: i32| match signed {
            true => i32::from(value as i16),
            false => i32::from(value as u16),
        };
        let (value, limit) = (meant(value), meant(limit.unwrap_or(value)));
        (value.min(limit), value.max(limit))
    }

    /// What is padding in a frame with this rescale.
    pub fn marks(&self, layout: &Layout, rescale: &Rescale) -> Marks {
        let empty = |value: i32| rescale.hu(value) < PADDING_HU;
        let named = self.named.map(|(low, high)| low..=high);
        let known = WELL_KNOWN.map(i32::from).into_iter().filter(|value| empty(*value));
        let known: Vec<_> = known.map(|value| value..=value).collect();
        // -2000 is written as 63536 where values have no sign.
        let unsigned = if layout.signed { 0 } else { 1 << 16 };
        let written = known
            .iter()
            .map(|range| range.start() + unsigned..=range.end() + unsigned)
            // Where all bits are the value's, it may be meant as it is written.
            .filter(|range| layout.signed || layout.stored < 16 || rescale.hu(*range.start()) > HIGHEST_HU);
        let readable = !self.overlays && layout.shift() == 0 && layout.allocated == 16;
        let mut words: Vec<_> = written.chain(named.clone()).filter(|_| readable).collect();
        let mut stored: Vec<_> = known.into_iter().chain(named).collect();
        if layout.stored == 16 {
            // A whole word is its stored value.
            stored.append(&mut words);
        }
        stored.sort_unstable_by_key(|range| *range.start());
        stored.dedup();
        let smeared = self.lossy.then(|| below(SMEARED, rescale));
        Marks { stored, words, smeared }
    }
}

/// The stored values of less than so many Hounsfield units.
fn below(hu: Hu, rescale: &Rescale) -> RangeInclusive<i32> {
    let end = (f64::from(hu) - rescale.intercept) / rescale.slope;
    match rescale.slope > 0.0 {
        true => i32::MIN..=(end.ceil() - 1.0) as i32,
        false => (end.floor() + 1.0) as i32..=i32::MAX,
    }
}

/// What is padding in a frame.
#[derive(Debug, PartialEq)]
pub(super) struct Marks {
    /// Stored values.
    pub stored: Vec<RangeInclusive<i32>>,
    /// Whole words, with the sign that Pixel Representation gives them.
    pub words: Vec<RangeInclusive<i32>>,
    /// Stored values that are padding if anything is.
    pub smeared: Option<RangeInclusive<i32>>,
}

impl Marks {
    /// Turns padding into NaN. One pass a mark, which compilers make fast.
    pub fn erase(&self, hu: &mut [Hu], words: &[u16], layout: &Layout) {
        for range in &self.stored {
            erase_where(hu, words, range, |word| layout.stored(word));
        }
        for range in &self.words {
            erase_where(hu, words, range, |word| layout.written(word));
        }
    }

    /// Turns what a lossy codec made of padding into NaN, where any has been found in the frame.
    pub fn erase_smeared(&self, hu: &mut [Hu], words: &[u16], layout: &Layout) {
        if let Some(range) = self.smeared.as_ref().filter(|_| hu.iter().any(|hu| hu.is_nan())) {
            erase_where(hu, words, range, |word| layout.stored(word));
        }
    }
}

fn erase_where(hu: &mut [Hu], words: &[u16], range: &RangeInclusive<i32>, value: impl Fn(u16) -> i32) {
    let (low, high) = range.clone().into_inner();
    for (hu, word) in hu.iter_mut().zip(words) {
        let value = value(*word);
        // Not lazy, so that it is done without a branch.
        *hu = if (low <= value) & (value <= high) { Hu::NAN } else { *hu };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the words are padding.
    fn padded(bits: u16, signed: bool, padding: &Padding, rescale: (f64, f64), words: &[u16]) -> Vec<bool> {
        let layout = Layout {
            rows: 1,
            columns: words.len(),
            allocated: 16,
            stored: bits,
            high: bits - 1,
            signed,
        };
        let (slope, intercept) = rescale;
        let mut hu = vec![0.0; words.len()];
        let marks = padding.marks(&layout, &Rescale { slope, intercept });
        marks.erase(&mut hu, words, &layout);
        marks.erase_smeared(&mut hu, words, &layout);
        hu.iter().map(|hu| hu.is_nan()).collect()
    }

    const UNNAMED: Padding = Padding {
        named: None,
        overlays: false,
        lossy: false,
    };

    #[test]
    fn well_known_values_are_padding_where_they_are_less_than_nothing() {
        let words = [0x8000, 63536, 63488, 63535, 0, 1000];
        let two = [true, true, false, false, false, false];
        assert_eq!(padded(16, true, &UNNAMED, (1.0, -1024.0), &words), two);
        assert_eq!(padded(16, false, &UNNAMED, (1.0, -1024.0), &words), two);
        assert_eq!(padded(12, false, &UNNAMED, (1.0, -1024.0), &words), two);
        // -2000 is -500 HU, 32768 is 2252 HU: both may be tissue.
        assert_eq!(padded(16, true, &UNNAMED, (0.25, 0.0), &words[1..]), [false; 5]);
        assert_eq!(padded(16, false, &UNNAMED, (0.1, -1024.0), &words), [false; 6]);
    }

    #[test]
    fn the_lower_bits_of_padding_are_no_padding() {
        assert_eq!(
            padded(12, false, &UNNAMED, (1.0, -1024.0), &[63536 & 0xFFF, 63536]),
            [false, true]
        );
        let overlays = Padding {
            overlays: true,
            ..UNNAMED
        };
        assert_eq!(padded(12, false, &overlays, (1.0, -1024.0), &[63536]), [false]);
    }

    #[test]
    fn lossy_codecs_smear_padding_but_not_into_the_image() {
        let lossy = Padding {
            named: Some(Padding::range(0, None, false)),
            lossy: true,
            ..UNNAMED
        };
        let words = [0, 899, 900, 2000];
        assert_eq!(
            padded(16, false, &lossy, (1.0, -1024.0), &words),
            [true, false, false, false]
        );
        assert_eq!(
            padded(16, false, &lossy, (1.0, -2024.0), &words),
            [true, true, false, false]
        );
        // Without padding there is nothing to smear.
        let unnamed = Padding { named: None, ..lossy };
        assert_eq!(
            padded(16, true, &unnamed, (1.0, -1024.0), &[63488, 63488]),
            [false, false]
        );
        assert_eq!(
            padded(16, true, &unnamed, (1.0, -1024.0), &[63536, 63488]),
            [true, true]
        );
        let rising = padded(16, true, &unnamed, (1.0, 0.0), &[63536, 64411, 64412, 0]);
        assert_eq!(rising, [true, true, false, false]);
    }

    #[test]
    fn values_below_a_limit_are_found_for_either_sign_of_the_slope() {
        let of = |slope, intercept| below(-1124.0, &Rescale { slope, intercept });
        assert_eq!(*of(1.0, -1024.0).end(), -101);
        assert_eq!(*of(0.5, 0.0).end(), -2249);
        assert_eq!(*of(-1.0, 0.0).start(), 1125);
    }
}
