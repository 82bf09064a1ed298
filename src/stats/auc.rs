//! The area under the ROC curve as the Mann-Whitney statistic with midranks (Hanley & McNeil, Radiology 1982,
//! doi:10.1148/radiology.143.1.7063747).

/// The probability that a positive scores higher than a negative, ties counting half; exact under any number of ties.
///
/// `None` where one class is absent: the area is not defined there. `positive` and `score` are of one length, and
/// scores are not NaN; infinities are scores like others.
///
/// ```
/// use hounsfield::stats::auc;
/// assert_eq!(auc(&[false, true, false, true], &[0.1, 0.4, 0.35, 0.8]), Some(1.0));
/// assert_eq!(auc(&[false, true], &[0.5, 0.5]), Some(0.5));
/// assert_eq!(auc(&[true, true], &[0.1, 0.2]), None);
/// ```
pub fn auc(positive: &[bool], score: &[f64]) -> Option<f64> {
    assert_eq!(positive.len(), score.len(), "one score a label");
    assert!(!score.iter().any(|score| score.is_nan()), "scores are not NaN");
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.sort_unstable_by(|&a, &b| score[a].total_cmp(&score[b]));

    // Twice the statistic, so that half ranks stay whole numbers: the result is then rounded once only.
    let (mut twice_wins, mut positives, mut negatives) = (0_u128, 0_u128, 0_u128);
    for ties in order.chunk_by(|&a, &b| score[a] == score[b]) {
        let tied_positives = ties.iter().filter(|&&row| positive[row]).count() as u128;
        let tied_negatives = ties.len() as u128 - tied_positives;
        twice_wins += tied_positives * (2 * negatives + tied_negatives);
        positives += tied_positives;
        negatives += tied_negatives;
    }
    (positives > 0 && negatives > 0).then(|| twice_wins as f64 / (2 * positives * negatives) as f64)
}

#[cfg(test)]
mod tests {
    use super::auc;

    #[test]
    fn swapped_labels_mirror_the_auc() {
        let score = [0.2, 0.2, 0.7, -1.0, f64::INFINITY, 0.7, 0.0, -0.0];
        let positive = [true, false, true, false, false, false, true, false];
        let swapped = positive.map(|positive| !positive);
        let negated = score.map(|score| -score);
        let there = auc(&positive, &score).unwrap();
        assert_eq!(auc(&swapped, &score).unwrap(), 1.0 - there);
        assert_eq!(auc(&swapped, &negated).unwrap(), there);
    }

    #[test]
    fn both_zeros_are_one_score() {
        assert_eq!(auc(&[false, true], &[-0.0, 0.0]), Some(0.5));
        assert_eq!(auc(&[true, false], &[-0.0, 0.0]), Some(0.5));
    }

    #[test]
    fn one_class_has_no_auc() {
        assert_eq!(auc(&[], &[]), None);
        assert_eq!(auc(&[false, false], &[1.0, 2.0]), None);
    }
}
