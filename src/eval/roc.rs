//! A head's ROC curve on one set, with a pointwise band.

use super::Unit;
use crate::stats::Ranking;

/// The ROC curve of one head on one set.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RocCurve {
    /// The layer or table that the head read.
    pub features: String,
    /// The head.
    pub head: String,
    /// The set, named as in the results.
    pub set: String,
    /// What one score is of.
    pub unit: Unit,
    /// The curve from (0, 0) to (1, 1); points on a straight line between others are left out.
    pub points: Vec<RocPoint>,
    /// Where the frozen threshold lies on this set.
    pub operating: RocPoint,
    /// Pointwise percentile band of the true-positive rate; empty where the data have none.
    pub band: Vec<BandPoint>,
    /// Confidence level of the band.
    pub level: f64,
}

/// One point of a ROC curve.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RocPoint {
    /// Called positive from this score on; `None` for the point where no one is.
    pub threshold: Option<f64>,
    /// False-positive rate, 1 - specificity.
    pub fpr: f64,
    /// True-positive rate, the sensitivity.
    pub tpr: f64,
}

/// The band at one false-positive rate.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandPoint {
    /// False-positive rate.
    pub fpr: f64,
    /// Lower end of the true-positive rate.
    pub lower: f64,
    /// Upper end of the true-positive rate.
    pub upper: f64,
}

/// The band stands at false-positive rates of 0, 0.02, ... 1.
pub(super) const GRID: u64 = 50;

/// The curve's corners. Both classes are present.
pub(super) fn corners(ranking: &Ranking, weights: &[u32]) -> Vec<RocPoint> {
    let mut counts = vec![(None, 0_u64, 0_u64)];
    for step in ranking.steps(weights) {
        let next = (Some(step.threshold), step.false_positives, step.true_positives);
        // The last point is dropped where it lies on the line from the one before it to the next.
        if let [.., a, b] = counts[..] {
            let cross =
                i128::from(b.1 - a.1) * i128::from(next.2 - b.2) - i128::from(b.2 - a.2) * i128::from(next.1 - b.1);
            if cross == 0 {
                counts.pop();
            }
        }
        counts.push(next);
    }
    let (negatives, positives) = counts.last().map_or((1, 1), |last| (last.1, last.2));
    let point = |&(threshold, fp, tp): &(Option<f64>, u64, u64)| RocPoint {
        threshold,
        fpr: fp as f64 / negatives as f64,
        tpr: tp as f64 / positives as f64,
    };
    counts.iter().map(point).collect()
}

/// The highest true-positive rate at each rate of the grid, straight between steps. Both classes have weight.
pub(super) fn on_grid(ranking: &Ranking, weights: &[u32], positives: u64, negatives: u64) -> Vec<f64> {
    let mut rates = Vec::with_capacity(GRID as usize + 1);
    let (mut fp, mut tp) = (0, 0);
    for step in ranking.steps(weights) {
        // A rate that is the step's own waits for the next: the curve may rise there without moving on.
        while (rates.len() as u64) * negatives < step.false_positives * GRID {
            let wanted = rates.len() as f64 * negatives as f64 / GRID as f64;
            let share = (wanted - fp as f64) / (step.false_positives - fp) as f64;
            let hits = tp as f64 + share * (step.true_positives - tp) as f64;
            rates.push(hits / positives as f64);
        }
        (fp, tp) = (step.false_positives, step.true_positives);
    }
    rates.resize(GRID as usize + 1, 1.0);
    rates
}

#[cfg(test)]
mod tests {
    use super::{GRID, corners, on_grid};
    use crate::stats::Ranking;

    #[test]
    fn the_curve_keeps_its_corners_only() {
        let positive = [true, true, false, false, true];
        let ranking = Ranking::new(&positive, &[5.0, 4.0, 3.0, 2.0, 1.0]);
        let points = corners(&ranking, &[1; 5]);
        let plain: Vec<_> = points
            .iter()
            .map(|point| (point.threshold, point.fpr, point.tpr))
            .collect();
        let two_thirds = 2.0 / 3.0;
        let expected = [
            (None, 0.0, 0.0),
            (Some(4.0), 0.0, two_thirds),
            (Some(2.0), 1.0, two_thirds),
            (Some(1.0), 1.0, 1.0),
        ];
        assert_eq!(plain, expected);
    }

    #[test]
    fn the_grid_takes_the_upper_end_of_a_rise_and_the_middle_of_a_tie() {
        let ranking = Ranking::new(&[true, false, true, false], &[2.0, 1.0, 1.0, 0.0]);
        let rates = on_grid(&ranking, &[1; 4], 2, 2);
        assert_eq!(rates.len() as u64, GRID + 1);
        assert_eq!((rates[0], rates[25], rates[50]), (0.5, 1.0, 1.0));
        assert!((rates[10] - 0.7).abs() < 1e-12, "{}", rates[10]);
        assert!(rates.is_sorted());
    }
}
