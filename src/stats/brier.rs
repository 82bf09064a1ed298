//! The Brier score (Brier, Mon Weather Rev 1950, doi:10.1175/1520-0493(1950)078<0001:vofeit>2.0.co;2) and its parts
//! after Dimitriadis, Gneiting & Jordan (PNAS 2021, doi:10.1073/pnas.2016191118), which need no bins.

use super::{
    Isotonic,
    calibration::{CalibrationError, check_probabilities},
};

/// The mean squared distance of probability and outcome where each row counts `weights` times; `None` where none does.
///
/// ```
/// use hounsfield::stats::brier;
/// assert_eq!(brier(&[true, false], &[0.5, 0.5], &[1, 1]), Some(0.25));
/// ```
pub fn brier(positive: &[bool], probability: &[f64], weights: &[u32]) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u64);
    for ((&positive, &p), &weight) in positive.iter().zip(probability).zip(weights) {
        let miss = p - f64::from(u8::from(positive));
        sum += f64::from(weight) * miss * miss;
        count += u64::from(weight);
    }
    (count > 0).then(|| sum / count as f64)
}

/// Brier score = miscalibration - discrimination + uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrierParts {
    /// What isotonic recalibration on these rows would take away; 0 is best.
    pub miscalibration: f64,
    /// What the recalibrated probabilities know beyond the prevalence.
    pub discrimination: f64,
    /// The score of the prevalence as everyone's probability.
    pub uncertainty: f64,
}

/// The parts of the Brier score.
///
/// # Errors
///
/// One class only, or probabilities that are none.
pub fn brier_parts(positive: &[bool], probability: &[f64]) -> Result<BrierParts, CalibrationError> {
    check_probabilities(probability)?;
    let map = Isotonic::fit(positive, probability)?;
    let weights = vec![1; positive.len()];
    let fitted: Vec<f64> = probability.iter().map(|&p| map.apply(p)).collect();
    // The fit found both classes, so there are rows.
    let score = |p: &[f64]| brier(positive, p, &weights).unwrap_or_default();
    let prevalence = positive.iter().filter(|&&positive| positive).count() as f64 / positive.len() as f64;
    let (uncertainty, recalibrated) = (prevalence * (1.0 - prevalence), score(&fitted));
    Ok(BrierParts {
        miscalibration: score(probability) - recalibrated,
        discrimination: uncertainty - recalibrated,
        uncertainty,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_and_the_prevalence_has_neither() {
        let positive = [true, false, true, true, false];
        let p = [0.9, 0.8, 0.4, 0.3, 0.3];
        let parts = brier_parts(&positive, &p).unwrap();
        let whole = parts.miscalibration - parts.discrimination + parts.uncertainty;
        assert!((whole - brier(&positive, &p, &[1; 5]).unwrap()).abs() < 1e-15);
        let flat = brier_parts(&positive, &[0.6; 5]).unwrap();
        assert!(flat.miscalibration.abs() < 1e-15 && flat.discrimination.abs() < 1e-15);
        assert!(brier_parts(&positive, &[2.0; 5]).is_err() && brier_parts(&[true], &[0.5]).is_err());
        assert_eq!(brier(&[], &[], &[]), None);
    }
}
