//! Calibration and net benefit, where scores are probabilities.

use std::collections::BTreeSet;

use super::{
    Decision, Measure,
    measures::Measures,
    statistics::{Probability, Slot},
};
use crate::{
    eval::EvalError,
    stats::{CalibrationBin, brier_parts, net_benefits, wilson},
};

impl Measures<'_> {
    /// Brier score with its parts, expected to observed, calibration in the large, intercept and slope. Why there are
    /// none goes to the warnings.
    pub fn of_probabilities(&self, warnings: &mut Vec<String>) -> Result<Vec<Measure>, EvalError> {
        let found = match &self.statistics.probability {
            Ok(found) => found,
            Err(error) => {
                warnings.push(format!(
                    "no calibration and no decision curve of {}: {error}",
                    self.head
                ));
                return Ok(Vec::new());
            }
        };
        let (positive, score) = (self.units.positive(), self.units.score());
        let mut measures = vec![self.of_both("brier", Slot::Brier, "Brier score, 0 is best")?];
        if let Ok(parts) = brier_parts(positive, score) {
            let named = [
                (
                    "brier-miscalibration",
                    parts.miscalibration,
                    "what isotonic recalibration on these rows takes away",
                ),
                (
                    "brier-discrimination",
                    parts.discrimination,
                    "what the score knows beyond the prevalence",
                ),
                (
                    "brier-uncertainty",
                    parts.uncertainty,
                    "the Brier score of the prevalence",
                ),
            ];
            for (metric, value, words) in named {
                let words = format!("part of the Brier score (Dimitriadis 2021): {words}; no interval");
                measures.push(self.measure(metric, Some(value), None, &words));
            }
        }
        let expected = "sum of the probabilities over the number of positives, 1 is best";
        measures.push(self.of_both("expected-observed", Slot::ExpectedObserved, expected)?);
        measures.extend(self.of_line(found)?);
        Ok(measures)
    }

    fn of_line(&self, found: &Probability) -> Result<Vec<Measure>, EvalError> {
        let lines = [
            (
                "calibration-in-the-large",
                Slot::InTheLarge,
                "intercept of the logistic recalibration with a slope of 1, 0 is best",
            ),
            (
                "calibration-intercept",
                Slot::Intercept,
                "intercept of the logistic recalibration, 0 is best",
            ),
            (
                "calibration-slope",
                Slot::Slope,
                "slope of the logistic recalibration, 1 is best, below 1 the probabilities are too extreme",
            ),
        ];
        let mut measures = Vec::new();
        for (metric, slot, words) in lines {
            let mut measure = self.of_both(metric, slot, words)?;
            // The error that is nearest to the cause.
            let why = found.odds.as_ref().err().or(found.line.as_ref().err());
            if let (None, Some(why)) = (measure.row.value, why) {
                measure.row.method = self
                    .measure(metric, None, None, &format!("{words}; not defined: {why}"))
                    .row
                    .method;
                measure.note = Some(format!("not defined: {why}"));
            }
            measures.push(measure);
        }
        Ok(measures)
    }

    /// The calibration curve: Wilson's intervals where each patient has one row, else percentile intervals of resampled
    /// patients, with Wilson's on the number of patients where all resamples agree.
    pub fn calibration(&self) -> Result<Vec<CalibrationBin>, EvalError> {
        let Ok(found) = &self.statistics.probability else {
            return Ok(Vec::new());
        };
        let level = self.plan.bootstrap.level;
        let mut curve = found.bins.curve(self.units.positive(), self.units.score(), level)?;
        if self.independent() {
            return Ok(curve);
        }
        let [_, first, _] = self.statistics.curves();
        let mut patients = vec![BTreeSet::new(); curve.len()];
        for (&bin, &patient) in found.bins.of_row().iter().zip(self.units.patient()) {
            patients[bin].insert(patient);
        }
        for (bin, (point, patients)) in curve.iter_mut().zip(&patients).enumerate() {
            let n = patients.len();
            [point.lower, point.upper] = match self.intervals.percentile(first + bin) {
                Ok((ci, _)) => ci,
                Err(_) => wilson((point.observed * n as f64).round() as usize, n, level)?,
            };
        }
        Ok(curve)
    }

    /// The decision curve with its pointwise interval.
    pub fn decision(&self) -> Vec<Decision> {
        let (statistics, both) = (self.statistics, self.statistics.both());
        let ones = vec![1; self.units.len()];
        let benefits = net_benefits(&statistics.ranking, &ones, &statistics.decisions);
        let (Ok(_), true, Some(benefits)) = (&statistics.probability, both, benefits) else {
            return Vec::new();
        };
        let [_, _, first] = statistics.curves();
        let point = |(at, (&threshold, benefit)): (usize, (&f64, crate::stats::NetBenefit))| Decision {
            threshold,
            model: benefit.model,
            model_ci: self.intervals.percentile(first + at).ok().map(|(ci, _)| ci),
            all: benefit.all,
        };
        statistics
            .decisions
            .iter()
            .zip(benefits)
            .enumerate()
            .map(point)
            .collect()
    }
}
