//! Net benefit over threshold probabilities (Vickers & Elkin, Med Decis Making 2006, doi:10.1177/0272989x06295361).

use super::calibration::{CalibrationError, check_probabilities};

/// Net benefit of three policies at one threshold probability, in true positives a row.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetBenefit {
    /// Who has at least the threshold's probability is treated.
    pub model: f64,
    /// Everyone is treated; treating no one has 0.
    pub all: f64,
}

/// Net benefit at a threshold probability between 0 and 1, where each row counts `weights` times; `None` where none
/// does. A row is called positive from the threshold on, as everywhere here.
pub fn net_benefit(positive: &[bool], probability: &[f64], weights: &[u32], threshold: f64) -> Option<NetBenefit> {
    // [called][actual class]
    let mut counts = [[0_u64; 2]; 2];
    for ((&positive, &p), &weight) in positive.iter().zip(probability).zip(weights) {
        counts[usize::from(p >= threshold)][usize::from(positive)] += u64::from(weight);
    }
    let [[tn, fneg], [fp, tp]] = counts;
    let rows = tn + fneg + fp + tp;
    let odds = threshold / (1.0 - threshold);
    let benefit = |hits: u64, alarms: u64| (hits as f64 - odds * alarms as f64) / rows as f64;
    (rows > 0).then(|| NetBenefit {
        model: benefit(tp, fp),
        all: benefit(tp + fneg, fp + tn),
    })
}

/// One threshold of a decision curve.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionPoint {
    /// The probability from which on one would treat.
    pub threshold: f64,
    /// Net benefit of treating by the model.
    pub model: f64,
    /// Net benefit of treating everyone.
    pub all: f64,
}

/// The decision curve at these thresholds, each above 0 and below 1.
///
/// ```
/// use hounsfield::stats::decision_curve;
/// let curve = decision_curve(&[true, false, false, true], &[0.9, 0.1, 0.6, 0.7], &[0.5])?;
/// assert_eq!((curve[0].model, curve[0].all), (0.25, 0.0));
/// # Ok::<(), hounsfield::stats::CalibrationError>(())
/// ```
///
/// # Errors
///
/// Scores that are no probabilities, no rows, a threshold of 0 or 1 or beyond.
pub fn decision_curve(
    positive: &[bool],
    probability: &[f64],
    thresholds: &[f64],
) -> Result<Vec<DecisionPoint>, CalibrationError> {
    check_probabilities(probability)?;
    let weights = vec![1; positive.len()];
    let point = |&threshold: &f64| {
        if !(threshold > 0.0 && threshold < 1.0) {
            return Err(CalibrationError::Threshold { found: threshold });
        }
        let found = net_benefit(positive, probability, &weights, threshold);
        let NetBenefit { model, all } = found.ok_or(CalibrationError::OneClass {
            positives: 0,
            negatives: 0,
        })?;
        Ok(DecisionPoint { threshold, model, all })
    };
    thresholds.iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_below_all_scores_treats_everyone() {
        let (positive, p) = ([true, false, false], [0.3, 0.4, 0.9]);
        let low = net_benefit(&positive, &p, &[1, 2, 1], 0.3).unwrap();
        assert_eq!(low.model, low.all);
        assert!((low.all - (1.0 - 3.0 * 3.0 / 7.0) / 4.0).abs() < 1e-15);
        assert_eq!(net_benefit(&positive, &p, &[0; 3], 0.3), None);
        assert!(decision_curve(&positive, &p, &[1.0]).is_err() && decision_curve(&[], &[], &[0.5]).is_err());
        assert!(decision_curve(&positive, &[3.0; 3], &[0.5]).is_err());
    }
}
