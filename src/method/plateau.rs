//! Learning rates that fall, and trainings that end, when a number on the validation set gets no better.

use serde::{Deserialize, Serialize};

/// When the learning rate falls and when the training ends. Defaults: those of Pu et al. 2020; the rules are those of PyTorch's
/// `ReduceLROnPlateau`: with a patience of 3 the rate falls at the fourth epoch in a row that is not better, and a number that is
/// no number is not better.
///
/// ```
/// use hounsfield::method::Plateau;
/// let plateau = Plateau { patience: 1, stop: 3, ..Plateau::default() };
/// let mut state = plateau.start(1e-3);
/// assert!(plateau.hear(&mut state, 0.70).better);
/// assert!(!plateau.hear(&mut state, 0.70).fell);
/// assert!(plateau.hear(&mut state, 0.69).fell);
/// assert!((state.lr - 2e-4).abs() < 1e-12);
/// assert!(plateau.hear(&mut state, 0.68).ended);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// The number that is watched. Default: `auc`.
    pub metric: PlateauMetric,
    /// What the learning rate is multiplied by. Default: 0.2.
    pub factor: f64,
    /// Epochs in a row that may be without a better number; at the next such one the rate falls. Default: 3.
    pub patience: usize,
    /// Epochs in a row without a better number after which the training ends; 0 for never. Default: 10.
    pub stop: usize,
    /// A number is better when it is so by more than this. Default: 1e-4.
    pub threshold: f64,
    /// Whether `threshold` is a share of the best number or a difference. Default: `rel`, as PyTorch's.
    pub threshold_mode: ThresholdMode,
    /// Epochs after a fall in which none is counted. Default: 0.
    pub cooldown: usize,
    /// The rate never falls below. Default: 0.
    pub min_lr: f64,
}

/// What is watched on the validation set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlateauMetric {
    /// The AUC over the units of `[evaluate]`, patients unless it says otherwise; higher is better. A few patients have few
    /// different AUCs: of epochs with one AUC that with the lowest loss is kept.
    #[default]
    Auc,
    /// The mean loss over scans, weighted as in training; lower is better.
    Loss,
}

impl PlateauMetric {
    /// The name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auc => "val_auc",
            Self::Loss => "val_loss",
        }
    }
}

/// What a threshold is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdMode {
    /// A share of the best number.
    #[default]
    Rel,
    /// A difference from it.
    Abs,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            metric: PlateauMetric::Auc,
            factor: 0.2,
            patience: 3,
            stop: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
        }
    }
}

/// A fall by less is none, as in PyTorch.
const LEAST_FALL: f64 = 1e-8;

/// How far a [`Plateau`] has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauState {
    /// The learning rate of the next epoch.
    pub lr: f64,
    /// The best number; `None` before there was any.
    pub best: Option<f64>,
    /// Epochs in a row without a better number since the rate last fell, outside of cooldowns.
    bad: usize,
    /// Epochs of the cooldown that are left.
    cooldown: usize,
    /// Epochs in a row without a better number.
    pub worse: usize,
}

/// What one epoch's number changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// It is the best so far.
    pub better: bool,
    /// The learning rate fell.
    pub fell: bool,
    /// The training ends.
    pub ended: bool,
}

impl Plateau {
    /// Before the first epoch.
    pub fn start(&self, lr: f64) -> PlateauState {
        PlateauState {
            lr,
            best: None,
            bad: 0,
            cooldown: 0,
            worse: 0,
        }
    }

    /// Takes the number of one epoch.
    pub fn hear(&self, state: &mut PlateauState, number: f64) -> Heard {
        let better = self.is_better(number, state.best);
        if better {
            (state.best, state.bad, state.worse) = (Some(number), 0, 0);
        } else {
            state.bad += 1;
            state.worse += 1;
        }
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.bad = 0;
        }
        let mut fell = false;
        if state.bad > self.patience {
            let lower = (state.lr * self.factor).max(self.min_lr);
            fell = state.lr - lower > LEAST_FALL;
            if fell {
                state.lr = lower;
            }
            state.cooldown = self.cooldown;
            state.bad = 0;
        }
        Heard {
            better,
            fell,
            ended: self.stop > 0 && state.worse >= self.stop,
        }
    }

    /// Whether a number is better than the best by more than the threshold.
    fn is_better(&self, number: f64, best: Option<f64>) -> bool {
        let (threshold, rel) = (self.threshold, self.threshold_mode == ThresholdMode::Rel);
        match self.metric {
            PlateauMetric::Auc => {
                let best = best.unwrap_or(f64::NEG_INFINITY);
                let least = if rel {
                    best * (threshold + 1.0)
                } else {
                    best + threshold
                };
                number > least
            }
            PlateauMetric::Loss => {
                let best = best.unwrap_or(f64::INFINITY);
                let most = if rel {
                    best * (1.0 - threshold)
                } else {
                    best - threshold
                };
                number < most
            }
        }
    }

    /// What is wrong with the settings, as `(key, value, what is expected)`.
    pub fn out_of_range(&self) -> Option<(&'static str, f64, &'static str)> {
        let sound = |value: f64| value >= 0.0 && value.is_finite();
        match self {
            Self { factor, .. } if !(*factor > 0.0 && *factor < 1.0) => {
                Some(("plateau.factor", *factor, "a number above 0 and below 1"))
            }
            Self { threshold, .. } if !(sound(*threshold) && *threshold < 1.0) => {
                Some(("plateau.threshold", *threshold, "a number from 0 to below 1"))
            }
            Self { min_lr, .. } if !sound(*min_lr) => Some(("plateau.min_lr", *min_lr, "a learning rate of 0 or more")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_never_better_and_never_forgiven() {
        let plateau = Plateau {
            patience: 1,
            stop: 4,
            ..Plateau::default()
        };
        let mut state = plateau.start(1.0);
        let heard: Vec<Heard> = (0..4).map(|_| plateau.hear(&mut state, f64::NAN)).collect();
        assert!(heard.iter().all(|heard| !heard.better));
        assert_eq!(
            heard.iter().map(|heard| heard.fell).collect::<Vec<_>>(),
            [false, true, false, true]
        );
        assert!(heard[3].ended);
    }

    #[test]
    fn a_state_goes_through_its_text() {
        let plateau = Plateau::default();
        let mut state = plateau.start(0.1 + 0.2);
        plateau.hear(&mut state, 1.0 / 3.0);
        plateau.hear(&mut state, 0.3);
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<PlateauState>(&text).unwrap(), state);
    }
}
