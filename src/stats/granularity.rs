//! Whether a printed percentage or mean is possible with n observations (the GRIM test: Brown & Heathers, Soc Psychol
//! Personal Sci 2017, doi:10.1177/1948550616673876).
//!
//! A value that falls on the border of two printed ones may have been rounded up or to even; both are accepted.

/// The counts k of n for which 100 k / n prints as `percent` with so many `decimals`, smallest and largest; `None` where
/// there is none.
///
/// ```
/// use hounsfield::stats::counts_of_percentage;
/// assert_eq!(counts_of_percentage(83.3, 1, 6), Some([5, 5]));
/// // No count of 8 patients gives 77 %.
/// assert_eq!(counts_of_percentage(77.0, 0, 8), None);
/// ```
pub fn counts_of_percentage(percent: f64, decimals: u32, n: u64) -> Option<[u64; 2]> {
    let [lowest, highest] = sums(percent, decimals, 100, n)?;
    (lowest <= n).then(|| [lowest, highest.min(n)])
}

/// The sums of n whole numbers whose mean prints as `mean`, smallest and largest; `None` where there is none, or where
/// `mean` is negative. Ages in whole years, scores of a questionnaire.
pub fn sums_of_mean(mean: f64, decimals: u32, n: u64) -> Option<[u64; 2]> {
    sums(mean, decimals, 1, n)
}

/// The smallest n for which each of the percentages is possible, up to `largest`; `None` where there is none.
///
/// ```
/// use hounsfield::stats::smallest_n;
/// assert_eq!(smallest_n(&[77.0, 75.0, 85.0, 88.0], 0, 100), Some(48));
/// ```
pub fn smallest_n(percentages: &[f64], decimals: u32, largest: u64) -> Option<u64> {
    (1..=largest).find(|&n| {
        let possible = |&percent: &f64| counts_of_percentage(percent, decimals, n).is_some();
        percentages.iter().all(possible)
    })
}

/// The whole k for which `per * k / n` prints as `printed`.
fn sums(printed: f64, decimals: u32, per: u128, n: u64) -> Option<[u64; 2]> {
    let scale = 10_u128.checked_pow(decimals.min(9))?;
    let steps = (printed * scale as f64).round();
    if n == 0 || !(0.0..1e15).contains(&steps) {
        return None;
    }
    // In whole numbers: printed - 1/2 <= per * scale * k / n < printed + 1/2, or <= where printed is even.
    let (steps, n) = (steps as u128, u128::from(n));
    let unit = 2 * per * scale;
    let lowest = ((2 * steps).saturating_sub(1) * n).div_ceil(unit);
    let above = (2 * steps + 1) * n;
    let highest = if steps.is_multiple_of(2) {
        above / unit
    } else {
        (above - 1) / unit
    };
    let ends = [u64::try_from(lowest).ok()?, u64::try_from(highest).ok()?];
    (ends[0] <= ends[1]).then_some(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_percentage_that_a_count_gives_is_possible_and_no_other() {
        for n in 1..120_u64 {
            let mut seen = std::collections::BTreeSet::new();
            for k in 0..=n {
                let exact = 100.0 * k as f64 / n as f64;
                // 200 k / n is odd where the value ends in .5, which prints either way.
                let border = (200 * k) % n == 0 && (200 * k / n) % 2 == 1;
                seen.insert((exact + 1e-9).round() as u64);
                if border && (exact.floor() as u64).is_multiple_of(2) {
                    seen.insert(exact.floor() as u64);
                }
                let found = counts_of_percentage((exact + 1e-9).round(), 0, n).unwrap();
                assert!(found[0] <= k && k <= found[1], "{k} of {n}");
            }
            for percent in 0..=100 {
                let possible = counts_of_percentage(percent as f64, 0, n).is_some();
                assert_eq!(possible, seen.contains(&percent), "{percent} % of {n}");
            }
        }
    }

    #[test]
    fn a_border_prints_up_or_even() {
        // 1 of 8 is 12.5 %: 13 rounded up, 12 to even. 3 of 8 is 37.5 %: 38 either way.
        assert_eq!(counts_of_percentage(12.0, 0, 8), Some([1, 1]));
        assert_eq!(counts_of_percentage(13.0, 0, 8), Some([1, 1]));
        assert_eq!(counts_of_percentage(37.0, 0, 8), None);
        assert_eq!(counts_of_percentage(38.0, 0, 8), Some([3, 3]));
    }

    #[test]
    fn what_is_no_percentage_is_not_possible() {
        for percent in [-1.0, 101.0, f64::NAN, f64::INFINITY] {
            assert_eq!(counts_of_percentage(percent, 0, 10), None);
        }
        assert_eq!(counts_of_percentage(50.0, 0, 0), None);
        assert_eq!(smallest_n(&[77.0], 0, 8), None);
        assert_eq!(smallest_n(&[], 0, 8), Some(1));
        assert_eq!(sums_of_mean(3.47, 2, 20), None);
        assert_eq!(sums_of_mean(3.45, 2, 20), Some([69, 69]));
    }
}
