//! The area under a part of the ROC curve, raw and corrected (McClish, Med Decis Making 1989,
//! doi:10.1177/0272989X8900900307; definitions of pROC).

use super::{Ranking, StatsError};

/// Which axis the range is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// The mean sensitivity over a range of specificities, times its width.
    Specificity,
    /// The mean specificity over a range of sensitivities, times its width.
    Sensitivity,
}

/// A partial area.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PartialAuc {
    /// The area, at most the width of the range.
    pub area: f64,
    /// McClish's: 0.5 for chance and 1 for a perfect score whatever the range; `None` for an area below chance, where
    /// it is not defined.
    pub corrected: Option<f64>,
}

/// The area over `range` of one axis, its ends in either order; `None` where the weights leave one class only.
///
/// Steps of tied scores are straight lines, as in the whole area.
pub fn partial_auc(
    ranking: &Ranking,
    weights: &[u32],
    axis: Axis,
    range: [f64; 2],
) -> Result<Option<PartialAuc>, StatsError> {
    let [lower, upper] = [range[0].min(range[1]), range[0].max(range[1])];
    if !(lower >= 0.0 && upper <= 1.0 && lower < upper) || range.iter().any(|end| end.is_nan()) {
        return Err(StatsError::Range { found: range });
    }
    let Some(last) = ranking.steps(weights).last() else {
        return Ok(None);
    };
    if last.true_positives == 0 || last.false_positives == 0 {
        return Ok(None);
    }
    let (mut area, mut from) = (0.0, (0.0, 0.0));
    for step in ranking.steps(weights) {
        // (false-positive rate, true-positive rate)
        let to = (
            step.false_positives as f64 / last.false_positives as f64,
            step.true_positives as f64 / last.true_positives as f64,
        );
        area += match axis {
            Axis::Specificity => under(from, to, [1.0 - upper, 1.0 - lower]),
            // The curve seen from its other side: sensitivity across, specificity up.
            Axis::Sensitivity => under((from.1, 1.0 - from.0), (to.1, 1.0 - to.0), [lower, upper]),
        };
        from = to;
    }
    let width = upper - lower;
    // Below the diagonal: the mean of 1 - x, at both ends of the range, times its width.
    let chance = width * f64::midpoint(1.0 - lower, 1.0 - upper);
    let corrected = f64::midpoint(1.0, (area - chance) / (width - chance));
    Ok(Some(PartialAuc {
        area,
        // As many roundings as rows may lie between chance and an area on the diagonal.
        corrected: (area >= chance - 1e-12).then(|| corrected.clamp(0.5, 1.0)),
    }))
}

/// The area under the line between two points, inside a range of x.
fn under(from: (f64, f64), to: (f64, f64), [left, right]: [f64; 2]) -> f64 {
    let (start, end) = (from.0.max(left), to.0.min(right));
    if start >= end {
        return 0.0;
    }
    let slope = (to.1 - from.1) / (to.0 - from.0);
    let height = |x: f64| from.1 + (x - from.0) * slope;
    (end - start) * f64::midpoint(height(start), height(end))
}

#[cfg(test)]
mod tests {
    use super::{Axis, partial_auc};
    use crate::stats::Ranking;

    const POSITIVE: [bool; 8] = [true, true, false, true, false, true, false, false];
    const SCORE: [f64; 8] = [6.0, 5.0, 4.0, 4.0, 2.0, 2.0, 1.5, 1.0];

    #[test]
    fn parts_add_up_to_the_whole() {
        let ranking = Ranking::new(&POSITIVE, &SCORE);
        let weights = [1, 2, 1, 3, 2, 1, 0, 1];
        let part = |axis, range| partial_auc(&ranking, &weights, axis, range).unwrap().unwrap();
        for axis in [Axis::Specificity, Axis::Sensitivity] {
            let whole = part(axis, [0.0, 1.0]);
            assert!((whole.area - ranking.auc(&weights).unwrap()).abs() < 1e-15);
            assert!((whole.corrected.unwrap() - whole.area).abs() < 1e-15);
            let parts = part(axis, [0.9, 0.33]).area + part(axis, [0.0, 0.33]).area + part(axis, [0.9, 1.0]).area;
            assert!((parts - whole.area).abs() < 1e-15);
        }
    }

    #[test]
    fn chance_is_a_half_and_perfection_one_after_correction() {
        let corrected = |score: [f64; 8], axis| {
            let ranking = Ranking::new(&POSITIVE, &score);
            partial_auc(&ranking, &[1; 8], axis, [0.8, 0.9])
                .unwrap()
                .unwrap()
                .corrected
        };
        for axis in [Axis::Specificity, Axis::Sensitivity] {
            assert_eq!(corrected([1.0; 8], axis), Some(0.5));
            assert!((corrected(POSITIVE.map(f64::from), axis).unwrap() - 1.0).abs() < 1e-12);
            assert_eq!(corrected(POSITIVE.map(|positive| -f64::from(positive)), axis), None);
        }
    }

    #[test]
    fn a_range_that_is_none_is_refused() {
        let ranking = Ranking::new(&POSITIVE, &SCORE);
        for range in [[90.0, 100.0], [0.5, 0.5], [f64::NAN, 1.0], [0.1, f64::NAN], [-0.1, 0.5]] {
            assert!(
                partial_auc(&ranking, &[1; 8], Axis::Specificity, range).is_err(),
                "{range:?}"
            );
        }
        let nobody = partial_auc(&ranking, &[1, 0, 0, 0, 0, 0, 0, 0], Axis::Specificity, [0.9, 1.0]);
        assert_eq!(nobody, Ok(None));
    }
}
