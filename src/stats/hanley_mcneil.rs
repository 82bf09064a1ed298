//! The error of an AUC from its value and the number of positives and negatives alone (Hanley & McNeil, Radiology 1982,
//! doi:10.1148/radiology.143.1.7063747), and the test of two such areas under an assumed correlation (Radiology 1983,
//! doi:10.1148/radiology.148.3.6878708).
//!
//! It takes scores as exponential and rows as independent; with the scores at hand use DeLong's error instead.

use super::{StatsError, ZTest, distributions::z_of_level};

/// The standard error; `None` where a class is empty or `auc` is no proportion. An AUC of 0 or 1 has an error of 0, which
/// is no certainty: see [`newcombe`](super::newcombe) there.
///
/// ```
/// use hounsfield::stats::hanley_mcneil;
/// // Song 2020's external set: AUC 0.850 of 15 positive and 20 negative patients.
/// assert!((hanley_mcneil(0.85, 15, 20).unwrap() - 0.070).abs() < 5e-4);
/// ```
pub fn hanley_mcneil(auc: f64, positives: u64, negatives: u64) -> Option<f64> {
    if positives == 0 || negatives == 0 || !(0.0..=1.0).contains(&auc) {
        return None;
    }
    let (m, n) = (positives as f64, negatives as f64);
    let (q1, q2) = (auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc));
    let variance = auc * (1.0 - auc) + (m - 1.0) * (q1 - auc * auc) + (n - 1.0) * (q2 - auc * auc);
    Some((variance.max(0.0) / (m * n)).sqrt())
}

/// The Wald interval of an AUC with this error, kept within 0 and 1; `None` where the error is 0 or not a number.
///
/// # Errors
///
/// A level that is none.
pub fn wald_interval(auc: f64, standard_error: f64, level: f64) -> Result<Option<[f64; 2]>, StatsError> {
    let half = z_of_level(level)? * standard_error;
    let sound = auc.is_finite() && half.is_finite() && half > 0.0;
    Ok(sound.then(|| [auc - half, auc + half].map(|end| end.clamp(0.0, 1.0))))
}

/// The interval made on the logit of the AUC, which cannot leave 0 and 1; `None` where the AUC is 0 or 1 or the error is 0.
///
/// # Errors
///
/// A level that is none.
pub fn logit_interval(auc: f64, standard_error: f64, level: f64) -> Result<Option<[f64; 2]>, StatsError> {
    let z = z_of_level(level)?;
    let variance = auc * (1.0 - auc);
    if !(variance > 0.0 && standard_error > 0.0 && standard_error.is_finite()) {
        return Ok(None);
    }
    let (middle, half) = ((auc / (1.0 - auc)).ln(), z * standard_error / variance);
    Ok(Some(
        [middle - half, middle + half].map(|logit| 1.0 / (1.0 + (-logit).exp())),
    ))
}

/// The z test of two areas with these errors and a correlation between them: 0 for different patients; for the same
/// patients it is unknown without the scores, and has to be assumed.
///
/// `None` where the difference has no error (both 0, or alike and wholly correlated) or the correlation is none.
pub fn compare_areas(a: f64, error_a: f64, b: f64, error_b: f64, correlation: f64) -> Option<ZTest> {
    let variance = error_a * error_a + error_b * error_b - 2.0 * correlation * error_a * error_b;
    let sound = (-1.0..=1.0).contains(&correlation) && variance > 1e-16 && (a - b).is_finite() && variance.is_finite();
    sound.then(|| ZTest::new((a - b) / variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degenerate_areas_have_no_interval_and_no_nan() {
        assert_eq!(hanley_mcneil(0.8, 0, 5), None);
        assert_eq!(hanley_mcneil(1.2, 5, 5), None);
        assert_eq!(hanley_mcneil(f64::NAN, 5, 5), None);
        assert_eq!(hanley_mcneil(1.0, 5, 5), Some(0.0));
        for auc in [0.0, 1.0] {
            assert_eq!(wald_interval(auc, 0.0, 0.95), Ok(None));
            assert_eq!(logit_interval(auc, 0.1, 0.95), Ok(None));
        }
        assert_eq!(wald_interval(0.99, 0.05, 0.95).unwrap().unwrap()[1], 1.0);
        assert_eq!(compare_areas(0.8, 0.0, 0.7, 0.0, 0.0), None);
        assert_eq!(compare_areas(0.8, 0.1, 0.7, 0.1, 1.0), None);
        assert_eq!(compare_areas(0.8, 0.1, 0.7, 0.1, 1.5), None);
        assert!(logit_interval(0.8, 0.1, 0.0).is_err());
    }

    /// Expected: the closed forms in numpy (float64), for AUC 0.850 of 15 positives and 20 negatives.
    #[test]
    fn intervals_of_a_printed_area_are_those_of_the_closed_forms() {
        let error = hanley_mcneil(0.85, 15, 20).unwrap();
        for (found, expected) in [
            (wald_interval(0.85, error, 0.95).unwrap().unwrap(), [0.713, 0.987]),
            (logit_interval(0.85, error, 0.95).unwrap().unwrap(), [0.659, 0.943]),
        ] {
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() < 5e-4, "{found} and not {expected}");
            }
        }
        // Different patients, a difference of two errors' root: z = 0.1 / sqrt(2 * 0.05^2).
        let test = compare_areas(0.8, 0.05, 0.7, 0.05, 0.0).unwrap();
        assert!((test.z - 2.0_f64.sqrt()).abs() < 1e-12 && (test.p - 0.1573).abs() < 1e-4);
    }

    #[test]
    fn mirrored_areas_have_mirrored_intervals() {
        let error = hanley_mcneil(0.85, 15, 20).unwrap();
        assert!((error - hanley_mcneil(0.15, 20, 15).unwrap()).abs() < 1e-14);
        let ([a, b], [c, d]) = (
            logit_interval(0.85, error, 0.95).unwrap().unwrap(),
            logit_interval(0.15, error, 0.95).unwrap().unwrap(),
        );
        assert!((a + d - 1.0).abs() < 1e-12 && (b + c - 1.0).abs() < 1e-12);
    }
}
