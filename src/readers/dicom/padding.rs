//! Pixels that no X-ray passed through (PS3.3 C.7.5.1.1.2): corners of a round field, outside of what was reconstructed.
//!
//! Padding is recognised before the bits outside of Bits Stored are dropped: 63536 in a file of 12 bits is -2000 and
//! padding, and its lower twelve bits alone would be bone.

use super::pixels::{Layout, Word};
use crate::ct::{Hu, Rescale};

/// Padding becomes the lowest value of the usual 12-bit scale, just below air.
pub const PADDING_HU: Hu = -1024.0;

/// What scanners write outside of the field without saying so in Pixel Padding Value: -2000 (GE; 63536 where the file
/// says unsigned) and the lowest value of 16 bits. They are padding only where they lie below [`PADDING_HU`], that is where
/// they would be less dense than nothing. Other values that low stay what the file says.
const WELL_KNOWN: [i16; 2] = [-2000, i16::MIN];

/// How far from itself a lossy codec may leave padding; by 4 in the files that were measured, of JPEG-LS and JPEG 2000.
const SMEARED: i32 = 16;

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

    /// Whether a pixel, of `hu` if it is none, can be padding: false for nearly all pixels, and told by few comparisons.
    #[inline]
    pub fn may_hold(&self, pixel: Word, hu: Hu) -> bool {
        // Where the word is the stored value, nothing else can be meant by it.
        hu < PADDING_HU
            || pixel.stored != i32::from(pixel.whole as i16)
            || self
                .named
                .is_some_and(|(low, high)| (low..=high).contains(&pixel.stored))
    }

    /// Whether a pixel is padding.
    pub fn holds(&self, pixel: Word, layout: &Layout, rescale: &Rescale) -> bool {
        let whole = i32::from(pixel.whole as i16);
        let readable = !self.overlays && layout.shift() == 0 && layout.allocated == 16;
        let as_written = if layout.signed { whole } else { i32::from(pixel.whole) };
        let near = if self.lossy { SMEARED } else { 0 };
        let empty = |value: i32| rescale.hu(value) < PADDING_HU;
        let named = |value: i32| {
            self.named.is_some_and(|(low, high)| {
                (low..=high).contains(&value) || (low - near..=high + near).contains(&value) && empty(value)
            })
        };
        let known = |value: i32| {
            let close = |known: &i16| (value - i32::from(*known)).abs() <= near;
            WELL_KNOWN.iter().any(close) && empty(value)
        };
        named(pixel.stored) || known(pixel.stored) || readable && (named(as_written) || known(whole))
    }
}
