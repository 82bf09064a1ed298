//! The numbers that a scan is coded with: C.2.4.1.1 and A.2.1 of T.87.

use super::damaged;
use crate::readers::dicom::codecs::CodecError;

/// Named as in the standard.
#[derive(Debug)]
pub(super) struct Parameters {
    /// NEAR, the largest error.
    pub(super) near: i32,
    /// MAXVAL, the largest sample.
    pub(super) max: i32,
    /// RANGE: errors are coded modulo this.
    pub(super) range: i32,
    /// T1 to T3: where gradients change their class.
    pub(super) thresholds: [i32; 3],
    /// RESET: contexts are halved when they have seen this many.
    pub(super) reset: i32,
    /// LIMIT: the longest code.
    pub(super) limit: u32,
    /// qbpp: bits of an error.
    pub(super) error_bits: u32,
}

impl Parameters {
    /// `preset` are MAXVAL, T1, T2, T3 and RESET of an LSE segment, 0 where the default is meant.
    pub(super) fn new(precision: u8, near: u8, preset: [i32; 5]) -> Result<Self, CodecError> {
        let [max, t1, t2, t3, reset] = preset;
        let full = (1 << precision) - 1;
        let max = if max == 0 { full } else { max };
        let near = i32::from(near);
        if max > full || near > max / 2 {
            return Err(damaged("a largest sample or error out of range"));
        }
        let defaults = thresholds(max, near);
        let pick = |value, default| if value == 0 { default } else { value };
        let thresholds = [pick(t1, defaults[0]), pick(t2, defaults[1]), pick(t3, defaults[2])];
        // Table C.2 and C.3.
        let reset = pick(reset, 64);
        let [t1, t2, t3] = thresholds;
        if !(near < t1 && t1 <= t2 && t2 <= t3 && t3 <= max.max(near + 1) && (3..=max.max(255)).contains(&reset)) {
            return Err(damaged("coding parameters out of range"));
        }
        let range = (max + 2 * near) / (2 * near + 1) + 1;
        let bits = bits(max + 1).max(2);
        Ok(Self {
            near,
            max,
            range,
            thresholds,
            reset,
            limit: 2 * (bits + bits.max(8)),
            error_bits: self::bits(range),
        })
    }
}

/// The defaults of C.2.4.1.1.1.
fn thresholds(max: i32, near: i32) -> [i32; 3] {
    let clamp = |value: i32, low: i32| if value > max || value < low { low } else { value };
    let [t1, t2, t3] = if max >= 128 {
        let factor = (max.min(4095) + 128) / 256;
        [factor + 2, 4 * factor + 3, 17 * factor + 4]
    } else {
        let factor = 256 / (max + 1);
        [2.max(3 / factor), 3.max(7 / factor), 4.max(21 / factor)]
    };
    let t1 = clamp(t1 + 3 * near, near + 1);
    let t2 = clamp(t2 + 5 * near, t1);
    [t1, t2, clamp(t3 + 7 * near, t2)]
}

/// The bits that `values` different values take.
fn bits(values: i32) -> u32 {
    32 - (values - 1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T.87 table C.3 for 8 bits, and what CharLS takes for 12 and 16.
    #[test]
    fn default_thresholds_are_the_standards() {
        assert_eq!(thresholds(255, 0), [3, 7, 21]);
        assert_eq!(thresholds(4095, 0), [18, 67, 276]);
        assert_eq!(thresholds(65535, 0), [18, 67, 276]);
        assert_eq!(thresholds(255, 3), [12, 22, 42]);
    }

    #[test]
    fn codes_are_as_long_as_the_standard_says() {
        let eight = Parameters::new(8, 0, [0; 5]).unwrap();
        assert_eq!((eight.range, eight.error_bits, eight.limit), (256, 8, 32));
        let near = Parameters::new(16, 3, [0; 5]).unwrap();
        assert_eq!((near.range, near.error_bits, near.limit), (9364, 14, 64));
    }
}
