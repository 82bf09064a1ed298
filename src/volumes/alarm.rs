//! What is to be said loudly after an epoch of a training.

use super::notes::{Alarmed, EpochNumbers};
use crate::eval::Convergence;

/// Epochs after which a loss should have fallen.
const WINDOW: usize = 10;

/// Scores that differ by less are one score.
const EQUAL: f64 = 1e-6;

/// The loss of one and the same best probability for all scans, whose weights by class are given: what a network reaches that sees
/// nothing. `ln 2` for balanced classes.
pub(super) fn loss_of_a_coin(positive: f64, negative: f64) -> f64 {
    let share = positive / (positive + negative);
    -[share, 1.0 - share]
        .iter()
        .filter(|p| **p > 0.0)
        .map(|p| p * p.ln())
        .sum::<f64>()
}

/// Sentences after an epoch; `scores` are those of the validation scans. What goes on being wrong is said once, each thing by itself:
/// `alarmed` keeps what was.
pub(super) fn after_epoch(epochs: &[EpochNumbers], coin: f64, scores: &[f64], alarmed: &mut Alarmed) -> Vec<String> {
    let mut alarms = Vec::new();
    let mut say = |alarm: Option<String>, said: &mut bool| {
        let again = std::mem::replace(said, alarm.is_some());
        alarms.extend(alarm.filter(|_| !again));
    };
    say(flat(epochs, coin), &mut alarmed.flat);
    say(equal(scores), &mut alarmed.equal);
    alarms
}

/// A loss that did not fall below a coin's.
fn flat(epochs: &[EpochNumbers], coin: f64) -> Option<String> {
    let window = &epochs[epochs.len().checked_sub(WINDOW)?..];
    let losses = window.iter().map(|epoch| epoch.train_loss);
    let least = losses.fold(f64::INFINITY, f64::min);
    (least > (1.0 - Convergence::FLAT) * coin).then(|| {
        format!(
            "the training loss is flat: {least:.4} at best in the last {WINDOW} epochs, and {coin:.4} is what a network reaches that \
             sees nothing; try another `train.lr`, less augmentation, or another network"
        )
    })
}

/// Scores that tell no scan from another.
fn equal(scores: &[f64]) -> Option<String> {
    let (low, high) = scores
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
            (low.min(*score), high.max(*score))
        });
    (scores.len() > 1 && high - low < EQUAL).then(|| {
        format!(
            "all {} validation scans have the score {high:.6}: the network tells none apart",
            scores.len()
        )
    })
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
        let stays = epochs((0..WINDOW).map(|epoch| 0.70 - 1e-4 * epoch as f64));
        assert!(flat(&stays, coin).is_some());
        assert_eq!(flat(&stays[1..], coin), None, "not before the window is full");
        let falls = epochs((0..WINDOW).map(|epoch| 0.70 - 0.01 * epoch as f64));
        assert_eq!(flat(&falls, coin), None);
    }

    #[test]
    fn rare_classes_have_a_smaller_coin() {
        assert!(loss_of_a_coin(1.0, 9.0) < 0.33);
        assert_eq!(loss_of_a_coin(0.0, 3.0), 0.0);
    }

    #[test]
    fn each_alarm_is_said_once_for_as_long_as_it_lasts() {
        let stays = epochs((0..2 * WINDOW).map(|_| 0.70));
        let mut alarmed = Alarmed::default();
        let mut said = |epoch: usize, scores: &[f64]| after_epoch(&stays[..epoch], 0.69, scores, &mut alarmed);
        let equal = said(1, &[0.25, 0.25 + 1e-9]);
        assert!(equal.len() == 1 && equal[0].contains("2 validation scans"), "{equal:?}");
        let later = said(WINDOW, &[0.25, 0.25]);
        assert!(
            later.len() == 1 && later[0].contains("flat"),
            "one does not hide the other: {later:?}"
        );
        assert!(said(WINDOW + 1, &[0.25, 0.25]).is_empty());
        assert!(said(WINDOW + 2, &[0.25, 0.5]).is_empty());
        assert_eq!(said(WINDOW + 3, &[0.5, 0.5]).len(), 1, "it came back");
    }
}
