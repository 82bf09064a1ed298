//! What reviewers ask beyond four numbers: every head assessed on every set that it was not fitted on, and the heads of
//! one table of features compared.

use std::collections::BTreeMap;

use super::{
    StudyError, StudyRun,
    probe::{OUT_OF_FOLD, Probed},
    task::{Data, Task},
};
use crate::{
    cohort::Set,
    eval::{AssessPlan, ComparePlan, EvalError, Family, ScoreColumn, ScoreTable, assess, compare},
    report::{HeadAssessment, HeadComparisons},
};

/// With more pairs than this, all heads are compared with the first: a family that no one would have declared adjusts
/// every p-value away.
const PAIRS: usize = 10;

impl Task<'_> {
    /// All measures of this head on every set that heads are not fitted on, at the frozen thresholds. `scores` and
    /// `thresholds` are those of the predictions, one a row of the cohort: means where cross-validation was repeated.
    pub fn assess(
        &self,
        scores: &[Option<f64>],
        thresholds: &[Option<f64>],
    ) -> Result<Vec<HeadAssessment>, StudyError> {
        let whole = self.run.study.assess_plan();
        let of_set = |(set, rows): (String, Vec<usize>)| {
            self.run.check_stop()?;
            let own = rows.iter().filter_map(|row| thresholds[*row]).collect();
            let scores = self.scores(&set, &rows, scores)?.with_thresholds(own);
            // Ten units a bin of the calibration curve, where there are as many.
            let pooled = scores.pool(whole.unit, whole.pool);
            let units = pooled.map_err(|error| self.eval_error(&set, error))?.scores.len();
            let plan = AssessPlan {
                bins: (units / 10).clamp(3, whole.bins.max(3)),
                ..whole
            };
            let found = assess(self.config.name(), &set, &scores, &plan);
            let mut assessment = found.map_err(|error| self.eval_error(&set, error))?;
            // That of the evaluation stands in the report already.
            assessment.roc = None;
            for measure in &mut assessment.measures {
                measure.row.features = self.features.to_owned();
            }
            Ok(HeadAssessment {
                features: self.features.to_owned(),
                assessment,
            })
        };
        judged(self.data.rows).into_iter().map(of_set).collect()
    }
}

impl StudyRun {
    /// The heads of one table of features, paired, on every set of both classes that they are not fitted on.
    pub(super) fn compare(
        &self,
        data: &Data<'_>,
        features: &str,
        probed: &[Probed],
    ) -> Result<Vec<HeadComparisons>, StudyError> {
        let mut found = Vec::new();
        let [first, _, ..] = probed else {
            return Ok(found);
        };
        let pairs = probed.len() * (probed.len() - 1) / 2;
        let (family, words) = match pairs <= PAIRS {
            true => (Family::AllPairs, "each head with every other".to_owned()),
            false => (
                Family::Against(first.head.clone()),
                format!("every other head with {}", first.head),
            ),
        };
        let plan = ComparePlan {
            unit: self.study.probe.unit,
            pool: self.study.probe.pool,
            bootstrap: self.study.bootstrap(),
            family,
        };
        for (set, rows) in judged(data.rows) {
            self.check_stop()?;
            let positive: Vec<bool> = rows
                .iter()
                .map(|row| data.cohort.positive[*row] == Some(true))
                .collect();
            // What is missing was said with the heads' own numbers.
            if !(positive.contains(&true) && positive.contains(&false)) {
                continue;
            }
            let column = |one: &Probed| ScoreColumn {
                name: one.head.clone(),
                score: rows.iter().map(|row| one.scores[*row]).collect(),
                threshold: None,
                not_converged: None,
            };
            let table = ScoreTable {
                positive_name: self.study.cohort.positive.clone().unwrap_or_default(),
                negative_name: String::new(),
                rows_read: rows.len(),
                positive,
                patient: rows.iter().map(|row| data.cohort.patient[*row]).collect(),
                scan: Some(rows.iter().map(|row| data.scan[*row]).collect()),
                set: Some(vec![set.clone(); rows.len()]),
                groups: Vec::new(),
                scores: probed.iter().map(column).collect(),
                guessed: false,
                left_out: 0,
                warnings: Vec::new(),
            };
            let failed = |source: EvalError| StudyError::Eval {
                head: words.clone(),
                features: features.to_owned(),
                set: set.clone(),
                source,
            };
            for mut comparisons in compare(&table, &[], &plan).map_err(failed)? {
                comparisons.family = format!("{words} on this set: {}", comparisons.comparisons.len());
                // Those of few patients were said with the heads' own numbers.
                comparisons.warnings.clear();
                found.push(HeadComparisons {
                    features: features.to_owned(),
                    comparisons,
                });
            }
        }
        Ok(found)
    }
}

/// The sets that heads are not fitted on, all folds as one, each with its rows in rising order.
pub(crate) fn judged(rows: &BTreeMap<&Set, Vec<usize>>) -> Vec<(String, Vec<usize>)> {
    let mut sets = BTreeMap::<String, Vec<usize>>::new();
    for (set, rows) in rows {
        let name = match set {
            Set::Train => continue,
            Set::Fold(_) | Set::OutOfFold => OUT_OF_FOLD.to_owned(),
            set => set.to_string(),
        };
        sets.entry(name).or_default().extend(rows);
    }
    sets.values_mut().for_each(|rows| rows.sort_unstable());
    sets.into_iter().collect()
}
