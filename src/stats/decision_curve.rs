//! Net benefit over threshold probabilities (Vickers & Elkin, Med Decis Making 2006, doi:10.1177/0272989x06295361).

use super::{
    Ranking,
    calibration::{CalibrationError, check_probabilities},
};

/// Net benefit of three policies at one threshold probability, in true positives a row.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetBenefit {
    /// Who has at least the threshold's probability is treated.
    pub model: f64,
    /// Everyone is treated; treating no one has 0.
    pub all: f64,
}

/// Net benefits at threshold probabilities in rising order, each above 0 and below 1, where each row counts `weights`
/// times; `None` where none does. A row is called positive from the threshold on, as everywhere here.
///
/// One pass over the ranked rows for all thresholds, so that a bootstrap can band the curve.
pub fn net_benefits(ranking: &Ranking, weights: &[u32], thresholds: &[f64]) -> Option<Vec<NetBenefit>> {
    debug_assert!(thresholds.is_sorted(), "thresholds rise");
    let mut called = vec![[0, 0]; thresholds.len()];
    let (mut open, mut before) = (thresholds.len(), [0, 0]);
    for step in ranking.steps(weights) {
        // The thresholds above this step's score call what stood before it.
        while open > 0 && thresholds[open - 1] > step.threshold {
            open -= 1;
            called[open] = before;
        }
        before = [step.true_positives, step.false_positives];
    }
    called[..open].fill(before);
    let [positives, negatives] = before;
    let benefit = |[hits, alarms]: [u64; 2], threshold: f64| {
        let odds = threshold / (1.0 - threshold);
        (hits as f64 - odds * alarms as f64) / (positives + negatives) as f64
    };
    let of_threshold = |(&called, &threshold): (&[u64; 2], &f64)| NetBenefit {
        model: benefit(called, threshold),
        all: benefit([positives, negatives], threshold),
    };
    (positives + negatives > 0).then(|| called.iter().zip(thresholds).map(of_threshold).collect())
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

/// The decision curve at these thresholds, each above 0 and below 1, in rising order.
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
    let outside = thresholds
        .iter()
        .find(|threshold| !(**threshold > 0.0 && **threshold < 1.0));
    if let Some(&found) = outside {
        return Err(CalibrationError::Threshold { found });
    }
    let mut rising = thresholds.to_vec();
    rising.sort_unstable_by(f64::total_cmp);
    let benefits = net_benefits(&Ranking::new(positive, probability), &vec![1; positive.len()], &rising);
    let benefits = benefits.ok_or(CalibrationError::OneClass {
        positives: 0,
        negatives: 0,
    })?;
    let point = |(&threshold, NetBenefit { model, all }): (&f64, NetBenefit)| DecisionPoint { threshold, model, all };
    Ok(rising.iter().zip(benefits).map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_below_all_scores_treats_everyone() {
        let (positive, p) = ([true, false, false], [0.3, 0.4, 0.9]);
        let ranking = Ranking::new(&positive, &p);
        let benefits = net_benefits(&ranking, &[1, 2, 1], &[0.3, 0.35, 0.95]).unwrap();
        assert_eq!(benefits[0].model, benefits[0].all);
        assert!((benefits[0].all - (1.0 - 3.0 * 3.0 / 7.0) / 4.0).abs() < 1e-15);
        assert!((benefits[1].model + 3.0 * 0.35 / 0.65 / 4.0).abs() < 1e-15);
        assert_eq!(benefits[2].model, 0.0);
        assert_eq!(net_benefits(&ranking, &[0; 3], &[0.3]), None);
        assert!(decision_curve(&positive, &p, &[1.0]).is_err() && decision_curve(&[], &[], &[0.5]).is_err());
        assert!(decision_curve(&positive, &[3.0; 3], &[0.5]).is_err());
    }
}
