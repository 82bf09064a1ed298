//! All statistics of one score under one weighting of its rows, so that one pass of resamples bands them all.

use super::{AssessPlan, Cut};
use crate::{
    eval::{
        Scores,
        roc::{self, GRID},
    },
    stats::{
        Axis, CalibrationBins, CalibrationError, CalibrationLine, LogOdds, OperatingRule, Ranking, at_threshold, brier,
        check_probabilities, negative_predictive_value, net_benefits, operating_point, partial_auc,
        positive_predictive_value,
    },
};

/// Where each statistic stands in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Auc,
    PartialAuc,
    CorrectedPartialAuc,
    Sensitivity,
    Specificity,
    Accuracy,
    Ppv,
    Npv,
    PpvAtPrevalence,
    NpvAtPrevalence,
    SpecificityAtSensitivity,
    ThresholdForSensitivity,
    /// With the threshold of the data kept.
    SpecificityKept,
    SensitivityAtSpecificity,
    ThresholdForSpecificity,
    SensitivityKept,
    Youden,
    YoudenThreshold,
    Brier,
    ExpectedObserved,
    InTheLarge,
    Intercept,
    Slope,
    /// The first of the ROC curve's, the calibration bins' and the decision curve's.
    Curves,
}

/// Threshold probabilities of the decision curve, in hundredths.
const DECISIONS: std::ops::Range<usize> = 1..100;

/// What does not change from one weighting to the next.
pub(super) struct Statistics<'a> {
    units: &'a Scores,
    pub ranking: Ranking,
    /// Whether each class is there at all, negatives first.
    classes: [bool; 2],
    plan: &'a AssessPlan,
    /// Who is called positive; `None` where the threshold is found anew.
    called: Option<Vec<bool>>,
    /// The thresholds of the data for the wanted sensitivity and specificity.
    kept: [Option<f64>; 2],
    /// What there is of probabilities, or why they are none.
    pub probability: Result<Probability<'a>, CalibrationError>,
    pub decisions: Vec<f64>,
}

/// What is asked of scores that are probabilities.
pub(super) struct Probability<'a> {
    pub bins: CalibrationBins,
    pub odds: Result<LogOdds<'a>, CalibrationError>,
    /// The line of the data, or why there is none.
    pub line: Result<CalibrationLine, CalibrationError>,
}

impl<'a> Statistics<'a> {
    pub fn new(units: &'a Scores, plan: &'a AssessPlan) -> Self {
        let ranking = Ranking::new(units.positive(), units.score());
        let classes = [false, true].map(|class| units.positive().contains(&class));
        let ones = vec![1; units.len()];
        let kept = |rule| operating_point(&ranking, &ones, rule).map(|point| point.threshold);
        let called = match (plan.cut, units.thresholds()) {
            (Cut::At(threshold) | Cut::OfSet(threshold), _) => {
                Some(units.score().iter().map(|&score| score >= threshold).collect())
            }
            (Cut::Own, Some(own)) => Some(units.score().iter().zip(own).map(|(score, own)| score >= own).collect()),
            _ => None,
        };
        let probability = check_probabilities(units.score()).and_then(|()| {
            let odds = LogOdds::new(units.positive(), units.score());
            let line = odds.clone().and_then(|odds| odds.fit(&ones, None));
            Ok(Probability {
                bins: CalibrationBins::quantiles(units.score(), plan.bins)?,
                odds,
                line,
            })
        });
        Self {
            kept: [
                kept(OperatingRule::Sensitivity(plan.sensitivity)),
                plan.specificity
                    .and_then(|specificity| kept(OperatingRule::Specificity(specificity))),
            ],
            units,
            ranking,
            classes,
            plan,
            called,
            probability,
            decisions: DECISIONS.map(|percent| percent as f64 / 100.0).collect(),
        }
    }

    /// Whether both classes are there.
    pub fn both(&self) -> bool {
        self.classes == [true; 2]
    }

    /// Who is called positive in the data.
    pub fn called(&self) -> Vec<bool> {
        let called = self
            .called
            .clone()
            .or_else(|| self.youden_calls(&vec![1; self.units.len()]));
        called.unwrap_or_else(|| vec![false; self.units.len()])
    }

    /// Place of the first point of the ROC curve's grid, the first bin and the first decision.
    pub fn curves(&self) -> [usize; 3] {
        let roc = Slot::Curves as usize;
        let bins = roc + GRID as usize + 1;
        let decisions = bins + self.probability.as_ref().map_or(0, |found| found.bins.count());
        [roc, bins, decisions]
    }

    fn youden_calls(&self, weights: &[u32]) -> Option<Vec<bool>> {
        let point = operating_point(&self.ranking, weights, OperatingRule::Youden)?;
        Some(
            self.units
                .score()
                .iter()
                .map(|&score| score >= point.threshold)
                .collect(),
        )
    }

    /// All values, NaN where one is not defined; `None` where the weights leave out a class that the data have.
    pub fn of(&self, weights: &[u32]) -> Option<Vec<f64>> {
        let [_, _, decisions] = self.curves();
        let mut values = vec![f64::NAN; decisions + self.decisions.len()];
        let again = match &self.called {
            None => self.youden_calls(weights),
            Some(_) => None,
        };
        let called = self.called.as_ref().or(again.as_ref());
        // [actual class][called class]
        let mut counts = [[0_u64; 2]; 2];
        for (row, (&positive, &weight)) in self.units.positive().iter().zip(weights).enumerate() {
            let called = called.is_some_and(|called| called[row]);
            counts[usize::from(positive)][usize::from(called)] += u64::from(weight);
        }
        let [[tn, fp], [fneg, tp]] = counts;
        if (self.classes[0] && tn + fp == 0) || (self.classes[1] && fneg + tp == 0) {
            return None;
        }
        let mut set = |slot: Slot, value: Option<f64>| values[slot as usize] = value.unwrap_or(f64::NAN);
        if called.is_some() {
            let share = |hits: u64, of: u64| (of > 0).then(|| hits as f64 / of as f64);
            let (sensitivity, specificity) = (share(tp, tp + fneg), share(tn, tn + fp));
            set(Slot::Sensitivity, sensitivity);
            set(Slot::Specificity, specificity);
            set(Slot::Accuracy, share(tp + tn, tp + tn + fp + fneg));
            set(Slot::Ppv, share(tp, tp + fp));
            set(Slot::Npv, share(tn, tn + fneg));
            if let (Some(se), Some(sp), Some(prevalence)) = (sensitivity, specificity, self.plan.prevalence) {
                set(Slot::PpvAtPrevalence, positive_predictive_value(se, sp, prevalence));
                set(Slot::NpvAtPrevalence, negative_predictive_value(se, sp, prevalence));
            }
        }
        if self.both() {
            self.of_curve(weights, &mut set);
        }
        self.of_probabilities(weights, tp + fneg, &mut set);
        if self.both() {
            let [roc, ..] = self.curves();
            let rates = roc::on_grid(&self.ranking, weights, tp + fneg, tn + fp);
            values[roc..roc + rates.len()].copy_from_slice(&rates);
        }
        self.of_curves(weights, &mut values);
        Some(values)
    }

    fn of_curve(&self, weights: &[u32], set: &mut impl FnMut(Slot, Option<f64>)) {
        set(Slot::Auc, self.ranking.auc(weights));
        let (axis, range): (Axis, [f64; 2]) = self.plan.partial;
        // The range was checked with the plan.
        let part = partial_auc(&self.ranking, weights, axis, range).ok().flatten();
        set(Slot::PartialAuc, part.map(|part| part.area));
        set(Slot::CorrectedPartialAuc, part.and_then(|part| part.corrected));
        let at = |rule| operating_point(&self.ranking, weights, rule);
        let kept = |threshold: Option<f64>| at_threshold(&self.ranking, weights, threshold?);
        let point = at(OperatingRule::Sensitivity(self.plan.sensitivity));
        set(Slot::SpecificityAtSensitivity, point.map(|point| point.specificity));
        set(Slot::ThresholdForSensitivity, point.map(|point| point.threshold));
        set(Slot::SpecificityKept, kept(self.kept[0]).map(|point| point.specificity));
        if let Some(wanted) = self.plan.specificity {
            let point = at(OperatingRule::Specificity(wanted));
            set(Slot::SensitivityAtSpecificity, point.map(|point| point.sensitivity));
            set(Slot::ThresholdForSpecificity, point.map(|point| point.threshold));
            set(Slot::SensitivityKept, kept(self.kept[1]).map(|point| point.sensitivity));
        }
        let point = at(OperatingRule::Youden);
        set(
            Slot::Youden,
            point.map(|point| point.sensitivity + point.specificity - 1.0),
        );
        set(Slot::YoudenThreshold, point.map(|point| point.threshold));
    }

    fn of_probabilities(&self, weights: &[u32], positives: u64, set: &mut impl FnMut(Slot, Option<f64>)) {
        let Ok(probability) = &self.probability else { return };
        set(Slot::Brier, brier(self.units.positive(), self.units.score(), weights));
        let expected: f64 = self
            .units
            .score()
            .iter()
            .zip(weights)
            .map(|(p, &weight)| p * f64::from(weight))
            .sum();
        set(
            Slot::ExpectedObserved,
            (positives > 0).then(|| expected / positives as f64),
        );
        let Ok(odds) = &probability.odds else { return };
        match odds.fit(weights, probability.line.as_ref().ok()) {
            Ok(line) => {
                set(Slot::InTheLarge, Some(line.in_the_large));
                set(Slot::Intercept, Some(line.intercept()));
                set(Slot::Slope, Some(line.slope()));
            }
            Err(error) => {
                set(Slot::InTheLarge, Some(odds.in_the_large(weights)));
                // Where a resample separates the classes its slope is beyond all numbers.
                set(
                    Slot::Slope,
                    (error == CalibrationError::Separated).then_some(f64::INFINITY),
                );
            }
        }
    }

    fn of_curves(&self, weights: &[u32], values: &mut [f64]) {
        let Ok(probability) = &self.probability else { return };
        let [_, bins, decisions] = self.curves();
        let observed = probability.bins.observed(self.units.positive(), weights);
        for (value, observed) in values[bins..].iter_mut().zip(observed) {
            *value = observed.unwrap_or(f64::NAN);
        }
        if let Some(benefits) = net_benefits(&self.ranking, weights, &self.decisions) {
            for (value, benefit) in values[decisions..].iter_mut().zip(benefits) {
                *value = benefit.model;
            }
        }
    }
}
