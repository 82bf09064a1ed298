//! What a printed number leaves open.

use super::Verdict;

/// Rounding of binary fractions may not decide.
const SLACK: f64 = 1e-9;

/// Half a unit of the last printed digit.
pub(super) fn half_unit(decimals: u32) -> f64 {
    0.5 * 0.1_f64.powi(decimals.cast_signed())
}

/// Whether the value may be printed so; a half goes either way, as programs differ in it.
pub(super) fn reads(value: f64, printed: f64, decimals: u32) -> bool {
    (value - printed).abs() <= half_unit(decimals) + SLACK
}

/// Whether some value of the range may be printed so.
pub(super) fn reaches([low, high]: [f64; 2], printed: f64, decimals: u32) -> bool {
    let half = half_unit(decimals) + SLACK;
    low <= printed + half && high >= printed - half
}

/// The verdict on a number with the range that rounding of its inputs leaves.
pub(super) fn verdict(value: f64, reachable: [f64; 2], printed: f64, decimals: u32) -> Verdict {
    if reads(value, printed, decimals) {
        Verdict::Ok
    } else if reaches(reachable, printed, decimals) {
        Verdict::OkRoundOnly
    } else {
        Verdict::Mismatch
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, reads, verdict};

    #[test]
    fn halves_go_either_way_and_nothing_else_does() {
        assert!(reads(54.55, 54.5, 1) && reads(54.55, 54.6, 1) && !reads(54.56, 54.5, 1));
        assert!(reads(83.5, 84.0, 0) && reads(83.5, 83.0, 0) && !reads(83.71, 83.0, 0));
    }

    #[test]
    fn the_range_of_the_inputs_makes_the_difference() {
        assert_eq!(verdict(45.997, [45.947, 46.047], 45.9, 1), Verdict::OkRoundOnly);
        assert_eq!(verdict(45.997, [45.947, 46.047], 46.0, 1), Verdict::Ok);
        assert_eq!(verdict(48.524, [48.474, 48.574], 45.7, 1), Verdict::Mismatch);
    }
}
