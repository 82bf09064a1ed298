//! Readings of the cases that a model scores low: whether it could have spared the readers any (Pu et al., Eur Radiol 2020,
//! doi:10.1007/s00330-020-06956-w, there at 98 % sensitivity).

use super::{ReaderStudyError, Tools, plural};
use crate::stats::wilson;

/// Where low risk ends.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LowRiskRule {
    /// Cases with a score below this.
    Below(f64),
    /// Cases below the highest threshold at which the model has at least this sensitivity in these cases.
    Sensitivity(f64),
}

/// The low-risk subset and its readings.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LowRisk {
    /// How the threshold was chosen.
    pub rule: LowRiskRule,
    /// Cases with a score below it are of low risk.
    pub threshold: f64,
    /// Cases with a score, whatever it is.
    pub n_scored: usize,
    /// Low-risk cases.
    pub n: usize,
    /// Their patients.
    pub n_patients: usize,
    /// Those that are positive all the same: the model's misses.
    pub n_positive: usize,
    /// The model's sensitivity at the threshold; `None` without positives.
    pub sensitivity: Option<f64>,
    /// Its specificity: the share of negatives that are of low risk; `None` without negatives.
    pub specificity: Option<f64>,
    /// What each reader called there.
    pub readers: Vec<LowRiskCalls>,
    /// What to know before the numbers.
    #[serde(skip)]
    pub(super) warnings: Vec<String>,
}

/// One reader's calls of the low-risk cases.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LowRiskCalls {
    /// The reader.
    pub reader: String,
    /// The arm; `None` without arms.
    pub arm: Option<String>,
    /// Positives called positive, and positives read.
    pub positives: [usize; 2],
    /// Negatives called positive (false alarms that the model would have spared), and negatives read.
    pub negatives: [usize; 2],
    /// Wilson's interval of the share of false alarms; `None` where no negative was read.
    pub false_alarms: Option<[f64; 2]>,
}

pub(super) fn measure(tools: &Tools, rule: LowRiskRule) -> Result<LowRisk, ReaderStudyError> {
    let study = tools.study;
    let scored: Vec<(usize, f64)> = (0..study.cases.len())
        .filter_map(|case| study.cases[case].score.map(|score| (case, score)))
        .collect();
    let all = study.cases.len();
    if scored.is_empty() {
        return Err(ReaderStudyError::NoScores { found: 0, cases: all });
    }
    let mut warnings = Vec::new();
    if scored.len() < all {
        let missing = all - scored.len();
        warnings.push(format!(
            "{missing} of {all} cases have no score and are not in the low-risk table"
        ));
    }
    let positive = |case: usize| study.cases[case].positive;
    let threshold = match rule {
        LowRiskRule::Below(threshold) if threshold.is_finite() => threshold,
        LowRiskRule::Below(found) => return Err(ReaderStudyError::Cutoff { found }),
        LowRiskRule::Sensitivity(target) => {
            if !(target > 0.0 && target <= 1.0) {
                return Err(ReaderStudyError::Target { found: target });
            }
            let of_positives = scored.iter().filter(|(case, _)| positive(*case));
            let mut scores: Vec<f64> = of_positives.map(|(_, score)| *score).collect();
            if scores.is_empty() {
                return Err(ReaderStudyError::NoPositive { cases: scored.len() });
            }
            scores.sort_by(f64::total_cmp);
            // As many may be missed; 1e-9 because 0.02 * 50 is not quite 1.
            let missed = ((1.0 - target) * scores.len() as f64 + 1e-9).floor() as usize;
            warnings.push(format!(
                "the low-risk threshold was chosen on the {} positives that it is shown on: in other patients its \
                 sensitivity will differ; take it from another set with `--low-risk-below`",
                scores.len()
            ));
            scores[missed.min(scores.len() - 1)]
        }
    };
    let low: Vec<usize> = scored
        .iter()
        .filter(|(_, score)| *score < threshold)
        .map(|(case, _)| *case)
        .collect();
    let of_class = |cases: &[usize], class: bool| cases.iter().filter(|&&case| positive(case) == class).count();
    let every: Vec<usize> = scored.iter().map(|(case, _)| *case).collect();
    let share = |class: bool| {
        let of = of_class(&every, class);
        (of > 0).then(|| of_class(&low, class) as f64 / of as f64)
    };
    if low.is_empty() {
        warnings.push(format!(
            "no case is of low risk: none of {} scores is below {threshold}",
            scored.len()
        ));
    }
    let n_positive = of_class(&low, true);
    if n_positive > 0 {
        let cases = plural(n_positive, "case");
        warnings.push(format!(
            "the model misses {n_positive} positive {cases} below the low-risk threshold"
        ));
    }
    let mut readers = Vec::new();
    for arm in 0..study.arms.len() {
        for reader in 0..study.readers.len() {
            let calls = |class: bool| {
                let read = low.iter().filter(|&&case| positive(case) == class);
                let calls: Vec<bool> = read.filter_map(|&case| study.call(reader, arm, case)).collect();
                [calls.iter().filter(|&&call| call).count(), calls.len()]
            };
            let (positives, negatives) = (calls(true), calls(false));
            if positives[1] + negatives[1] == 0 {
                continue;
            }
            readers.push(LowRiskCalls {
                reader: study.readers[reader].clone(),
                arm: study.arm(arm),
                positives,
                negatives,
                false_alarms: match negatives {
                    [_, 0] => None,
                    [hits, of] => Some(wilson(hits, of, tools.bootstrap.level)?),
                },
            });
        }
    }
    Ok(LowRisk {
        rule,
        threshold,
        n_scored: scored.len(),
        n: low.len(),
        n_patients: study.patients(&low),
        n_positive,
        sensitivity: share(true).map(|missed| 1.0 - missed),
        specificity: share(false),
        readers,
        warnings,
    })
}
