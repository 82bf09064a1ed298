//! Operating points of a score: at a threshold, at Youden's (Cancer 1950, doi:10.1002/1097-0142(1950)3:1<32::aid-
//! cncr2820030106>3.0.co;2-3), at a fixed sensitivity or specificity. Functionals of weighted rows, so that a bootstrap
//! finds the threshold anew in every resample.

use super::{Ranking, RocStep};

/// By which rule the threshold is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OperatingRule {
    /// The largest sensitivity + specificity - 1; of equal ones that with the higher sensitivity.
    Youden,
    /// The highest threshold that reaches this sensitivity, hence the highest specificity with it.
    Sensitivity(f64),
    /// The lowest threshold that reaches this specificity, hence the highest sensitivity with it.
    Specificity(f64),
}

/// A threshold and what it does.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OperatingPoint {
    /// Rows of at least this score are called positive.
    pub threshold: f64,
    /// Share of positives that are called so.
    pub sensitivity: f64,
    /// Share of negatives that are called so.
    pub specificity: f64,
}

/// The operating point of a rule; `None` where the weights leave one class only.
///
/// Thresholds lie half-way between neighbouring scores, so that a rounded score stays on its side; below all scores the
/// lowest score itself (everyone is positive), above them the next larger number (no one is). Scores of weight 0 are
/// not there.
pub fn operating_point(ranking: &Ranking, weights: &[u32], rule: OperatingRule) -> Option<OperatingPoint> {
    let last = ranking.steps(weights).last()?;
    let (positives, negatives) = (last.true_positives, last.false_positives);
    if positives == 0 || negatives == 0 {
        return None;
    }
    let sensitivity = |step: &RocStep| step.true_positives as f64 / positives as f64;
    let specificity = |step: &RocStep| (negatives - step.false_positives) as f64 / negatives as f64;
    // Youden's index times positives times negatives: whole numbers, so that ties are ties.
    let youden = |step: &RocStep| {
        i128::from(step.true_positives) * i128::from(negatives)
            - i128::from(step.false_positives) * i128::from(positives)
    };

    let mut steps = steps_that_count(ranking, weights).peekable();
    let highest = steps.peek()?.threshold;
    let mut chosen: Option<(RocStep, Option<f64>)> = None;
    while let Some(step) = steps.next() {
        let better = match (rule, &chosen) {
            // The last of equal maxima is the lowest threshold.
            (OperatingRule::Youden, Some((best, _))) => youden(&step) >= youden(best),
            (OperatingRule::Youden, None) => true,
            (OperatingRule::Sensitivity(wanted), _) => sensitivity(&step) >= wanted,
            (OperatingRule::Specificity(wanted), _) => specificity(&step) >= wanted,
        };
        if better {
            chosen = Some((step, steps.peek().map(|next| next.threshold)));
        }
        match rule {
            OperatingRule::Sensitivity(_) if better => break,
            OperatingRule::Specificity(_) if !better => break,
            _ => {}
        }
    }
    Some(match chosen {
        Some((step, below)) => OperatingPoint {
            threshold: below.map_or(step.threshold, |below| between(step.threshold, below)),
            sensitivity: sensitivity(&step),
            specificity: specificity(&step),
        },
        // A negative has the highest score and the wanted specificity forbids to call it positive.
        None => OperatingPoint {
            threshold: highest.next_up(),
            sensitivity: 0.0,
            specificity: 1.0,
        },
    })
}

/// Sensitivity and specificity at a threshold that is given; `None` where the weights leave one class only.
pub fn at_threshold(ranking: &Ranking, weights: &[u32], threshold: f64) -> Option<OperatingPoint> {
    let (mut called, mut all) = ([0, 0], [0, 0]);
    for step in ranking.steps(weights) {
        all = [step.true_positives, step.false_positives];
        if step.threshold >= threshold {
            called = all;
        }
    }
    let [positives, negatives] = all;
    (positives > 0 && negatives > 0).then(|| OperatingPoint {
        threshold,
        sensitivity: called[0] as f64 / positives as f64,
        specificity: (negatives - called[1]) as f64 / negatives as f64,
    })
}

/// The steps at which the weighted curve moves.
fn steps_that_count<'a>(ranking: &'a Ranking, weights: &'a [u32]) -> impl Iterator<Item = RocStep> + 'a {
    let mut called = 0;
    ranking.steps(weights).filter(move |step| {
        let now = step.true_positives + step.false_positives;
        std::mem::replace(&mut called, now) < now
    })
}

/// Half-way between two neighbouring scores, and above the lower one.
fn between(above: f64, below: f64) -> f64 {
    // Neighbouring floats have no number between them; the midpoint may then be the lower one.
    match above.midpoint(below) {
        middle if middle > below => middle,
        _ => above,
    }
}

#[cfg(test)]
mod tests {
    use super::{OperatingRule, at_threshold, operating_point};
    use crate::stats::Ranking;

    const POSITIVE: [bool; 6] = [true, true, false, true, false, false];
    const SCORE: [f64; 6] = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0];

    #[test]
    fn the_threshold_is_found_anew_for_other_weights() {
        let ranking = Ranking::new(&POSITIVE, &SCORE);
        let found = |weights: [u32; 6], rule| {
            let point = operating_point(&ranking, &weights, rule).unwrap();
            (point.threshold, point.sensitivity, point.specificity)
        };
        let wanted = OperatingRule::Sensitivity(0.98);
        assert_eq!(found([1; 6], wanted), (2.5, 1.0, 2.0 / 3.0));
        assert_eq!(found([1, 1, 1, 0, 1, 1], wanted), (4.5, 1.0, 1.0));
        // The score of 4 is not drawn: half-way from 5 to 3, and from 3 to 1.
        assert_eq!(
            found([1, 1, 0, 1, 0, 2], OperatingRule::Sensitivity(0.5)),
            (4.0, 2.0 / 3.0, 1.0)
        );
        assert_eq!(found([1, 1, 0, 1, 0, 2], OperatingRule::Youden), (2.0, 1.0, 1.0));
        assert_eq!(
            found([2, 0, 1, 1, 0, 0], OperatingRule::Specificity(1.0)),
            (5.0, 2.0 / 3.0, 1.0)
        );
        let below = 0.1_f64;
        assert_eq!(
            found([0, 0, 1, 1, 0, 0], OperatingRule::Specificity(below)),
            (4_f64.next_up(), 0.0, 1.0)
        );
        assert_eq!(operating_point(&ranking, &[1, 1, 0, 1, 0, 0], wanted), None);
        assert_eq!(operating_point(&Ranking::new(&[], &[]), &[], wanted), None);
    }

    #[test]
    fn points_agree_with_their_own_thresholds() {
        let score = [0.3, 0.9, 0.3, 0.7, 0.1, 0.7];
        let ranking = Ranking::new(&POSITIVE, &score);
        let weights = [1, 3, 2, 0, 1, 1];
        for rule in [
            OperatingRule::Youden,
            OperatingRule::Sensitivity(0.8),
            OperatingRule::Specificity(0.5),
        ] {
            let point = operating_point(&ranking, &weights, rule).unwrap();
            assert_eq!(
                at_threshold(&ranking, &weights, point.threshold),
                Some(point),
                "{rule:?}"
            );
        }
        let all = at_threshold(&ranking, &weights, f64::NEG_INFINITY).unwrap();
        assert_eq!((all.sensitivity, all.specificity), (1.0, 0.0));
        let none = at_threshold(&ranking, &weights, f64::INFINITY).unwrap();
        assert_eq!((none.sensitivity, none.specificity), (0.0, 1.0));
    }

    #[test]
    fn constant_scores_call_all_or_none() {
        let ranking = Ranking::new(&POSITIVE, &[0.5; 6]);
        let point = |rule| operating_point(&ranking, &[1; 6], rule).unwrap();
        assert_eq!(point(OperatingRule::Sensitivity(1.0)).specificity, 0.0);
        assert_eq!(point(OperatingRule::Specificity(0.98)).sensitivity, 0.0);
    }
}
