//! Whether a training found anything at all: what did not is marked, never compared as if it were a rival.
//!
//! Pu et al. 2020 (doi:10.1007/s00330-020-06956-w) compare their model with a network that "did not converge", and print p = 0.008
//! for the difference. A loss that stays where it was and an AUC of one half on the very scans that were trained on say that a
//! network was not trained; a difference from it says nothing of its kind.
//!
//! The scores of the chosen weights decide, which are made without dropout and without augmentation. The loss by epoch is of scans
//! with both, and may stay high while a network learns.

use std::{collections::BTreeSet, f64::consts::LN_2};

use super::{EvalError, Pooling, Scores, Unit};
use crate::stats::{Bootstrap, Clusters, Ranking, newcombe};

/// A network whose AUC on its own training scans is lower found nothing: what it will not rank better than this, it did not learn. Where
/// the whole interval is above it, no loss speaks against the training.
const LEAST_AUC: f64 = 0.6;

/// No probability that is 0 makes the loss infinite: its logarithm is bounded as PyTorch's `BCELoss` bounds it.
const LEAST_LOG: f64 = -100.0;

/// Level of the interval, whatever level the results are reported at: it must not be what decides who is compared.
const LEVEL: f64 = 0.95;

/// What a training leaves as evidence that it got somewhere.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convergence {
    /// Epochs that were trained.
    pub epochs: usize,
    /// Mean loss of the first epoch, a cross-entropy in nats; with both classes weighted alike a constant guess has ln 2.
    pub first_loss: f64,
    /// The lowest mean loss of an epoch.
    pub best_loss: f64,
    /// Mean cross-entropy of the chosen weights, those of the best epoch, on the training scans as they are: without dropout and
    /// augmentation, both classes weighted alike. `None` where scores are no probabilities, or were not kept.
    #[serde(default)]
    pub scored_loss: Option<f64>,
    /// AUC of the chosen weights on the training scans as they are, one unit each; `None` where a class is absent.
    pub training_auc: Option<f64>,
    /// Its interval, at 95 %.
    pub training_auc_ci: Option<[f64; 2]>,
}

impl Convergence {
    /// A loss that fell by less than this share is flat. Two normal classes with an AUC of 0.6 lie 0.358 SD apart, and the best
    /// probabilities for them have a loss of ln 2 less 0.358² / 8, which is 2.3 % below that of a constant guess.
    pub const FLAT: f64 = 0.02;

    /// How the interval is made where results are made by `bootstrap`: at 95 %, with the same resamples.
    pub fn interval(bootstrap: &Bootstrap) -> Bootstrap {
        Bootstrap {
            level: LEVEL,
            ..*bootstrap
        }
    }

    /// Takes the mean loss of each epoch, and the chosen weights' scores of the training scans, which are pooled to the unit of the
    /// results for the AUC. The interval is at 95 %, with the resamples and the seed of `bootstrap`; whole patients are drawn, whatever
    /// the unit.
    ///
    /// # Errors
    ///
    /// Settings that make no interval, and scores that can't be pooled.
    pub fn of(
        losses: &[f64],
        training: &Scores,
        unit: Unit,
        pool: Pooling,
        bootstrap: &Bootstrap,
    ) -> Result<Self, EvalError> {
        let bootstrap = Self::interval(bootstrap);
        bootstrap.check()?;
        let pooled = training.pool(unit, pool)?.scores;
        let units = pooled.as_ref();
        let ranking = Ranking::new(units.positive(), units.score());
        let auc = ranking.auc(&vec![1; units.len()]);
        // Of scans too: those of one patient are no evidence of their own.
        let patients = |class: bool| {
            let own = units.patient().iter().zip(units.positive());
            let own: BTreeSet<usize> = own.filter(|(_, side)| **side == class).map(|(who, _)| *who).collect();
            own.len()
        };
        let ci = match auc {
            None => None,
            Some(auc) if auc == 0.0 || auc == 1.0 => {
                Some(newcombe(auc, patients(true), patients(false), bootstrap.level)?)
            }
            Some(_) if patients(true).min(patients(false)) < 2 => None,
            Some(_) => {
                let clusters = Clusters::new(units.patient());
                let replicates = bootstrap.resample(&clusters, |weights| Some(vec![ranking.auc(weights)?]))?;
                Some(replicates.interval(0))
            }
        };
        Ok(Self {
            epochs: losses.len(),
            first_loss: losses.first().copied().unwrap_or(f64::NAN),
            // A NaN is not hidden by the epochs around it.
            best_loss: match losses.iter().all(|loss| loss.is_finite()) {
                true => losses.iter().copied().fold(f64::INFINITY, f64::min),
                false => f64::NAN,
            },
            scored_loss: scored_loss(training),
            training_auc: auc,
            training_auc_ci: ci,
        })
    }

    /// Why the training must be taken for one that did not converge, with its numbers; `None` where nothing says so.
    ///
    /// It did not where the AUC on its own training scans is below 0.6 or has an interval that covers 0.5. And where that interval is not
    /// all above 0.6, it did not if its loss is flat, the lowest of all epochs not 2 % below that of the first, or never was 2 % below
    /// that of a constant guess, neither in an epoch nor by the scores of the chosen weights.
    ///
    /// ```
    /// use hounsfield::eval::Convergence;
    /// let mut run = Convergence {
    ///     epochs: 40,
    ///     first_loss: 0.69,
    ///     best_loss: 0.31,
    ///     scored_loss: Some(0.25),
    ///     training_auc: Some(0.97),
    ///     training_auc_ci: Some([0.93, 0.99]),
    /// };
    /// assert_eq!(run.why_not(), None);
    /// run.training_auc_ci = Some([0.48, 0.99]);
    /// assert!(run.why_not().unwrap().contains("0.480 to 0.990"));
    /// ```
    pub fn why_not(&self) -> Option<String> {
        if self.epochs == 0 {
            return Some("no epoch was trained".to_owned());
        }
        if !(self.first_loss.is_finite() && self.best_loss.is_finite()) {
            return Some("the training loss became infinite or no number".to_owned());
        }
        let reasons = [self.stuck(), self.unranked()];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join(", and "))
    }

    /// What speaks against the loss, unless the training scans are ranked too well for it to matter.
    fn stuck(&self) -> Option<String> {
        if self.training_auc_ci.is_some_and(|[lower, _]| lower > LEAST_AUC) {
            return None;
        }
        let (first, best, epochs) = (self.first_loss, self.best_loss, self.epochs);
        let course = format!("{first:.4} in the first epoch, {best:.4} at best in {epochs} epochs");
        if best > (1.0 - Self::FLAT) * first {
            return Some(format!(
                "the training loss is flat, {course}, where a constant guess has {LN_2:.4}"
            ));
        }
        let guess = (1.0 - Self::FLAT) * LN_2;
        let scored = match self.scored_loss {
            Some(scored) if scored <= guess => return None,
            Some(scored) => format!(", {scored:.4} by the scores of the chosen weights"),
            None => String::new(),
        };
        (best > guess).then(|| {
            format!("the training loss stayed above that of a constant guess, {LN_2:.4}, less 2 %: {course}{scored}")
        })
    }

    /// What speaks against the ranking of the training scans.
    fn unranked(&self) -> Option<String> {
        let auc = self.training_auc?;
        match self.training_auc_ci {
            Some([lower, upper]) if lower <= 0.5 && 0.5 <= upper => Some(format!(
                "its AUC on its own training scans is {auc:.3} with an interval that covers 0.5 ({lower:.3} to {upper:.3})"
            )),
            _ if auc < LEAST_AUC => Some(format!(
                "its AUC on its own training scans is {auc:.3}, at least {LEAST_AUC} was expected"
            )),
            _ => None,
        }
    }
}

/// The mean of both classes' mean cross-entropy, so that a constant guess has ln 2 or more however many scans either has.
fn scored_loss(training: &Scores) -> Option<f64> {
    if !training.score().iter().all(|score| (0.0..=1.0).contains(score)) {
        return None;
    }
    let rows = || training.positive().iter().zip(training.score());
    let of_class = |class: bool| {
        let own = rows().filter(|(positive, _)| **positive == class);
        let losses: Vec<f64> = own
            .map(|(_, score)| -(if class { *score } else { 1.0 - score }).ln().max(LEAST_LOG))
            .collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    };
    let classes: Vec<f64> = [true, false].into_iter().filter_map(of_class).collect();
    (!classes.is_empty()).then(|| classes.iter().sum::<f64>() / classes.len() as f64)
}
