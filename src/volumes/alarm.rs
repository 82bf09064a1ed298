//! What is to be said loudly after an epoch of a training.

use super::notes::EpochNumbers;

/// Epochs after which a loss should have fallen.
const WINDOW: usize = 10;

/// A loss above this share of a coin's tells nothing.
const FLAT: f64 = 0.98;

/// Scores that differ by less are one score.
const EQUAL: f64 = 1e-6;

/// The loss of one and the same best probability for all scans, whose weights by class are given: what a network reaches that sees
/// nothing. `ln 2` for balanced classes.
pub fn loss_of_a_coin(positive: f64, negative: f64) -> f64 {
    let share = positive / (positive + negative);
    -[share, 1.0 - share]
        .iter()
        .filter(|p| **p > 0.0)
        .map(|p| p * p.ln())
        .sum::<f64>()
}

/// Sentences after an epoch; `scores` are those of the validation scans.
pub fn after_epoch(epochs: &[EpochNumbers], coin: f64, scores: &[f64]) -> Vec<String> {
    let mut alarms = Vec::new();
    let due = epochs.len().is_multiple_of(WINDOW);
    let window = &epochs[epochs.len().saturating_sub(WINDOW)..];
    let least = window
        .iter()
        .map(|epoch| epoch.train_loss)
        .fold(f64::INFINITY, f64::min);
    if due && !epochs.is_empty() && least > FLAT * coin {
        alarms.push(format!(
            "the training loss is flat: {least:.4} at best in the last {WINDOW} epochs, and {coin:.4} is what a network reaches that \
             sees nothing; try another `train.lr`, less augmentation, or another network"
        ));
    }
    let (low, high) = scores
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
            (low.min(*score), high.max(*score))
        });
    if scores.len() > 1 && high - low < EQUAL {
        alarms.push(format!(
            "all {} validation scans have the score {high:.6}: the network tells none apart",
            scores.len()
        ));
    }
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(losses: impl Iterator<Item = f64>) -> Vec<EpochNumbers> {
        let epoch = |train_loss| EpochNumbers {
            train_loss,
            train_auc: None,
            val_loss: 1.0,
            val_auc: None,
            lr: 1e-3,
        };
        losses.map(epoch).collect()
    }

    #[test]
    fn a_loss_that_stays_that_of_a_coin_is_noticed_and_one_that_falls_is_not() {
        let coin = loss_of_a_coin(4.0, 4.0);
        assert!((coin - 2.0_f64.ln()).abs() < 1e-12);
        let flat = epochs((0..WINDOW).map(|epoch| 0.70 - 1e-4 * epoch as f64));
        assert_eq!(after_epoch(&flat, coin, &[0.1, 0.2]).len(), 1);
        assert!(
            after_epoch(&flat[1..], coin, &[0.1, 0.2]).is_empty(),
            "not before the window is full"
        );
        let falls = epochs((0..WINDOW).map(|epoch| 0.70 - 0.01 * epoch as f64));
        assert!(after_epoch(&falls, coin, &[0.1, 0.2]).is_empty());
    }

    #[test]
    fn rare_classes_have_a_smaller_coin() {
        assert!(loss_of_a_coin(1.0, 9.0) < 0.33);
        assert_eq!(loss_of_a_coin(0.0, 3.0), 0.0);
    }

    #[test]
    fn scores_that_are_all_one_are_noticed() {
        let said = after_epoch(&epochs([0.5].into_iter()), 0.7, &[0.25, 0.25 + 1e-9]);
        assert!(said.len() == 1 && said[0].contains("2 validation scans"), "{said:?}");
    }
}
