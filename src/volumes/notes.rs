//! What a training keeps in its checkpoints besides tensors: enough to go on in the middle of an epoch.

use serde::{Deserialize, Serialize};

use crate::method::{PlateauMetric, PlateauState};

/// How far a training has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notes {
    /// The learning rate and what it waits for.
    pub plateau: PlateauState,
    /// What the epoch in hand gave so far.
    pub seen: Seen,
    /// What each whole epoch gave.
    pub epochs: Vec<EpochNumbers>,
    /// The best epoch.
    pub best: Option<Best>,
    /// Whether no epoch follows.
    pub ended: bool,
    /// SHA-256 of the weights that the training began from.
    pub started_from: Option<String>,
    /// What was wrong after the last epoch and has been said.
    #[serde(default)]
    pub alarmed: Alarmed,
}

/// Alarms that last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alarmed {
    /// The training loss is flat.
    pub flat: bool,
    /// All validation scans have one score.
    pub equal: bool,
}

/// Sums over the steps of an epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    /// Losses, each times its weight.
    pub loss: f64,
    /// The weights.
    pub weight: f64,
    /// Rows, and the probability that they got while they were trained on.
    pub scores: Vec<(usize, f64)>,
}

/// What an epoch gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EpochNumbers {
    /// Mean loss of the training scans while they were trained on, changed at random and with dropout.
    pub train_loss: f64,
    /// AUC of the scores that they got meanwhile.
    pub train_auc: Option<f64>,
    /// Mean loss of the validation scans after the epoch.
    pub val_loss: f64,
    /// Their AUC; none where one class is absent.
    pub val_auc: Option<f64>,
    /// The learning rate of the epoch.
    pub lr: f64,
}

impl EpochNumbers {
    /// The number that is watched.
    pub fn watched(&self, metric: PlateauMetric) -> f64 {
        match metric {
            PlateauMetric::Auc => self.val_auc.unwrap_or(f64::NAN),
            PlateauMetric::Loss => self.val_loss,
        }
    }

    /// Under their names in the log.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let numbers = [
            ("train_loss", Some(self.train_loss)),
            ("train_auc", self.train_auc),
            ("val_loss", Some(self.val_loss)),
            ("val_auc", self.val_auc),
            ("lr", Some(self.lr)),
        ];
        numbers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// The best epoch so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The epoch, from 1.
    pub epoch: u64,
    /// The step after it.
    pub step: u64,
    /// The number that is watched.
    pub value: f64,
    /// Its validation loss, which decides between epochs of one AUC: a few patients have few different AUCs.
    pub loss: f64,
}

impl Best {
    /// Whether this one is better than what was the best before.
    pub(super) fn beats(&self, metric: PlateauMetric, before: Option<&Self>) -> bool {
        let Some(before) = before else {
            return self.value.is_finite();
        };
        match metric {
            PlateauMetric::Auc => self.value > before.value || (self.value == before.value && self.loss < before.loss),
            PlateauMetric::Loss => self.value < before.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_epochs_with_one_auc_the_surer_one_is_better() {
        let best = |value, loss| Best {
            epoch: 1,
            step: 1,
            value,
            loss,
        };
        let auc = PlateauMetric::Auc;
        assert!(best(0.5, 9.0).beats(auc, None));
        assert!(!best(f64::NAN, 0.1).beats(auc, None));
        assert!(best(0.9, 0.4).beats(auc, Some(&best(0.9, 0.5))));
        assert!(!best(0.9, 0.5).beats(auc, Some(&best(0.9, 0.5))));
        assert!(!best(0.8, 0.1).beats(auc, Some(&best(0.9, 0.5))));
        assert!(best(0.4, 0.4).beats(PlateauMetric::Loss, Some(&best(0.5, 0.5))));
    }
}
