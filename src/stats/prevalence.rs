//! Predictive values at a prevalence that is not that of the data, by Bayes' theorem (Altman & Bland, BMJ 1994,
//! doi:10.1136/bmj.309.6947.102): a case-control set's own are of no use.

/// The probability of the condition after a positive call; `None` where no one would be called positive.
///
/// ```
/// use hounsfield::stats::positive_predictive_value;
/// let ppv = positive_predictive_value(0.9, 0.9, 0.1).unwrap();
/// assert!((ppv - 0.5).abs() < 1e-12);
/// assert_eq!(positive_predictive_value(0.0, 1.0, 0.1), None);
/// ```
pub fn positive_predictive_value(sensitivity: f64, specificity: f64, prevalence: f64) -> Option<f64> {
    let (hits, alarms) = (sensitivity * prevalence, (1.0 - specificity) * (1.0 - prevalence));
    (hits + alarms > 0.0).then(|| hits / (hits + alarms))
}

/// The probability of not having the condition after a negative call; `None` where no one would be called negative.
pub fn negative_predictive_value(sensitivity: f64, specificity: f64, prevalence: f64) -> Option<f64> {
    positive_predictive_value(specificity, sensitivity, 1.0 - prevalence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_prevalence_of_the_data_bayes_gives_the_plain_shares() {
        // 18 of 20 positives and 60 of 80 negatives are called right.
        let ppv = positive_predictive_value(0.9, 0.75, 0.2).unwrap();
        let npv = negative_predictive_value(0.9, 0.75, 0.2).unwrap();
        assert!((ppv - 18.0 / 38.0).abs() < 1e-15 && (npv - 60.0 / 62.0).abs() < 1e-15);
    }
}
