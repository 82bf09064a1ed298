//! Who scores so low that a reader might be spared (Pu et al. 2020, doi:10.1007/s00330-020-06956-w, there below the threshold of 98 %
//! sensitivity). Theirs was chosen on the test set; here it comes from another set, and what it keeps of its sensitivity is measured.

use std::collections::BTreeSet;

use super::{AssessPlan, Cut, EvalError, Measure, Scores, Threshold, Unit, assess};

/// The units of one set that score below a threshold of high sensitivity.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowRiskSubset {
    /// The score.
    pub head: String,
    /// The set.
    pub set: String,
    /// What one score is of.
    pub unit: Unit,
    /// Where low risk ends, and on which set that was chosen.
    pub threshold: Threshold,
    /// Units of the set.
    pub n_units: usize,
    /// Units of low risk.
    pub n: usize,
    /// Their patients.
    pub n_patients: usize,
    /// Those of them that are positive all the same: the misses.
    pub n_positive: usize,
    /// `sensitivity`, `specificity` and `npv` at the threshold, with their intervals of resampled patients.
    pub measures: Vec<Measure>,
}

impl LowRiskSubset {
    /// The measure of a metric.
    pub fn get(&self, metric: &str) -> Option<&Measure> {
        self.measures.iter().find(|measure| measure.row.metric == metric)
    }
}

/// The low-risk subset of a set: units with a score below the threshold, which was chosen on another set.
///
/// # Errors
///
/// As [`assess`], and a threshold of another unit.
pub fn low_risk(
    head: &str,
    set: &str,
    scores: &Scores,
    threshold: &Threshold,
    plan: &AssessPlan,
) -> Result<LowRiskSubset, EvalError> {
    if threshold.unit != plan.unit {
        return Err(EvalError::ThresholdUnit {
            chosen: threshold.unit,
            evaluated: plan.unit,
        });
    }
    let plan = AssessPlan {
        cut: Cut::At(threshold.value),
        ..*plan
    };
    let found = assess(head, set, scores, &plan)?;
    let pooled = scores.pool(plan.unit, plan.pool)?.scores;
    let low = || {
        let all = pooled.score().iter().zip(pooled.patient()).zip(pooled.positive());
        all.filter(|((score, _), _)| **score < threshold.value)
    };
    let measure = |metric: &&str| found.get(metric).cloned();
    Ok(LowRiskSubset {
        head: head.to_owned(),
        set: set.to_owned(),
        unit: plan.unit,
        threshold: threshold.clone(),
        n_units: pooled.len(),
        n: low().count(),
        n_patients: low().map(|((_, patient), _)| patient).collect::<BTreeSet<_>>().len(),
        n_positive: low().filter(|(_, positive)| **positive).count(),
        measures: ["sensitivity", "specificity", "npv"]
            .iter()
            .filter_map(measure)
            .collect(),
    })
}
