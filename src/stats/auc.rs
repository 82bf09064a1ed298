//! The ROC curve and its area as the Mann-Whitney statistic with midranks (Hanley & McNeil, Radiology 1982,
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
    Ranking::new(positive, score).auc(&vec![1; score.len()])
}

/// Rows sorted once by falling score, so that the ROC curve of any reweighting takes one pass.
///
/// A weight is how often a row counts: 1 for the data as they are, a patient's multiplicity in a bootstrap resample.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// Row and class by falling score.
    order: Vec<(u32, bool)>,
    /// Score and end (in `order`) of every run of equal scores.
    ties: Vec<(f64, usize)>,
}

/// The ROC curve at one threshold, in counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocStep {
    /// Rows of at least this score are called positive.
    pub threshold: f64,
    /// Positives among them.
    pub true_positives: u64,
    /// Negatives among them.
    pub false_positives: u64,
}

impl Ranking {
    /// Sorts the rows. `positive` and `score` are of one length, at most `u32::MAX`; scores are not NaN.
    pub fn new(positive: &[bool], score: &[f64]) -> Self {
        assert_eq!(positive.len(), score.len(), "one score a label");
        assert!(!score.iter().any(|score| score.is_nan()), "scores are not NaN");
        let rows = u32::try_from(score.len()).expect("a set has fewer than 2^32 rows");
        let mut order: Vec<(u32, bool)> = (0..rows).zip(positive.iter().copied()).collect();
        order.sort_unstable_by(|a, b| score[b.0 as usize].total_cmp(&score[a.0 as usize]));

        let (mut ties, mut end) = (Vec::new(), 0);
        // `==` and not the sort's total order: 0 and -0 are one score.
        for run in order.chunk_by(|a, b| score[a.0 as usize] == score[b.0 as usize]) {
            end += run.len();
            ties.push((score[run[0].0 as usize], end));
        }
        Self { order, ties }
    }

    /// Row and class of every run of equal scores, from the highest to the lowest.
    pub(super) fn runs(&self) -> impl Iterator<Item = &[(u32, bool)]> {
        let mut start = 0;
        self.ties
            .iter()
            .map(move |&(_, end)| &self.order[std::mem::replace(&mut start, end)..end])
    }

    /// One step for each distinct score, from the highest to the lowest.
    pub fn steps<'a>(&'a self, weights: &'a [u32]) -> impl Iterator<Item = RocStep> + 'a {
        assert_eq!(weights.len(), self.order.len(), "one weight a row");
        let (mut start, mut true_positives, mut false_positives) = (0, 0, 0);
        self.ties.iter().map(move |&(threshold, end)| {
            for &(row, positive) in &self.order[start..end] {
                let weight = u64::from(weights[row as usize]);
                if positive {
                    true_positives += weight;
                } else {
                    false_positives += weight;
                }
            }
            start = end;
            RocStep {
                threshold,
                true_positives,
                false_positives,
            }
        })
    }

    /// The area under the weighted curve; `None` where the weights leave one class only.
    pub fn auc(&self, weights: &[u32]) -> Option<f64> {
        // Twice the area in counts, so that half ranks stay whole numbers: the result is then rounded once only.
        let (mut twice_area, mut positives, mut negatives) = (0_u128, 0_u64, 0_u64);
        for step in self.steps(weights) {
            let width = u128::from(step.false_positives - negatives);
            twice_area += width * u128::from(positives + step.true_positives);
            (positives, negatives) = (step.true_positives, step.false_positives);
        }
        let pairs = u128::from(positives) * u128::from(negatives);
        (pairs > 0).then(|| twice_area as f64 / (2 * pairs) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ranking, auc};

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

    #[test]
    fn a_weight_counts_like_as_many_rows() {
        let (positive, score) = ([true, false, true, false], [0.9, 0.9, 0.1, 0.4]);
        let weighted = Ranking::new(&positive, &score).auc(&[2, 1, 0, 3]);
        let repeated = auc(
            &[true, true, false, false, false, false],
            &[0.9, 0.9, 0.9, 0.4, 0.4, 0.4],
        );
        assert_eq!(weighted, repeated);
        assert_eq!(Ranking::new(&positive, &score).auc(&[1, 0, 1, 0]), None);
    }
}
