//! Cross-validation that was repeated: one number from all repeats, with an interval that respects the patients.
//!
//! Every repeat scores the same patients by other heads. Their mean takes out the luck of one draw of the folds, and no
//! more: the patients are the same, so repeats are no further evidence. One resample of patients therefore goes through
//! all repeats at once, and the spread over repeats is said apart, as what it is.

use super::{
    EvalError, Evaluation, METRICS, ResultRow, RocCurve, Scores, Threshold, Unit,
    caution::{Size, flat, turned},
    evaluate::{calls, metrics},
    roc::{self, BandPoint, GRID, RocPoint},
};
use crate::stats::{Bootstrap, Clusters, Ranking, newcombe, wilson};

/// The areas of one head in all repeats and folds.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepeatedAuc {
    /// The layer or table that the head read.
    pub features: String,
    /// The head.
    pub head: String,
    /// What one score is of.
    pub unit: Unit,
    /// Standard deviation of the repeats' areas: what the draw of the folds changes, not how sure the mean is. `None` of
    /// one repeat.
    pub sd: Option<f64>,
    /// One a repeat, in their order.
    pub repeats: Vec<RepeatAuc>,
    /// Confidence level of the intervals.
    pub level: f64,
    /// How they were made.
    pub method: String,
}

/// One draw of the folds.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepeatAuc {
    /// The area of all out-of-fold scores of this repeat together.
    pub pooled: FoldAuc,
    /// The area in each outer fold.
    pub folds: Vec<FoldAuc>,
}

/// An area with what it stands on.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldAuc {
    /// Patients.
    pub n_patients: usize,
    /// Units of the positive class.
    pub n_positive: usize,
    /// Units of the negative class.
    pub n_negative: usize,
    /// The area; `None` of one class.
    pub value: Option<f64>,
    /// Its patient-cluster interval; `None` with fewer than two patients of a class.
    pub ci: Option<[f64; 2]>,
}

/// Measures one head by the out-of-fold scores of several repeats, which hold the same rows in the same order, each with
/// thresholds of its own. The numbers are means over the repeats; `threshold` says where thresholds come from and how
/// scores are pooled.
///
/// The interval is that of [`evaluate`](super::evaluate): percentiles over resampled patients, heads not fitted again.
///
/// # Panics
///
/// Where there is no repeat, or repeats are of other rows.
pub fn evaluate_repeats(
    features: &str,
    head: &str,
    set: &str,
    unit: Unit,
    repeats: &[Scores],
    threshold: &Threshold,
    bootstrap: &Bootstrap,
) -> Result<Evaluation, EvalError> {
    bootstrap.check()?;
    let first = repeats.first().expect("there is at least one repeat");
    if first.is_empty() {
        return Err(EvalError::Empty { set: set.to_owned() });
    }
    if threshold.unit != unit {
        return Err(EvalError::ThresholdUnit {
            chosen: threshold.unit,
            evaluated: unit,
        });
    }
    let same = |other: &Scores| (other.positive(), other.patient()) == (first.positive(), first.patient());
    assert!(repeats.iter().all(same), "repeats score the same rows");
    let pooling = threshold.pool;
    let pooled = repeats.iter().map(|scores| scores.pool(unit, pooling));
    let pooled = pooled.collect::<Result<Vec<_>, _>>()?;
    let (units, mixed) = (pooled[0].scores.as_ref(), pooled[0].mixed);
    let positive = units.positive();
    let size = Size::of(units);
    let rankings: Vec<Ranking> = pooled
        .iter()
        .map(|pooled| Ranking::new(positive, pooled.scores.score()))
        .collect();
    let called: Vec<Vec<bool>> = pooled.iter().map(|pooled| calls(&pooled.scores, threshold)).collect();
    let n = repeats.len() as f64;
    let means = |weights: &[u32]| -> [Option<f64>; METRICS.len()] {
        let mut sums = [Some(0.0); METRICS.len()];
        for (ranking, called) in rankings.iter().zip(&called) {
            let values = metrics(ranking, positive, called, weights);
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = sum.zip(value).map(|(sum, value)| sum + value);
            }
        }
        sums.map(|sum| sum.map(|sum| sum / n))
    };
    let grid = |weights: &[u32]| -> Vec<f64> {
        let weighted = |class: bool| {
            let of_class = weights.iter().zip(positive).filter(|(_, positive)| **positive == class);
            of_class.map(|(weight, _)| u64::from(*weight)).sum()
        };
        let (positives, negatives) = (weighted(true), weighted(false));
        let mut sums = vec![0.0; GRID as usize + 1];
        for ranking in &rankings {
            let rates = roc::on_grid(ranking, weights, positives, negatives);
            sums.iter_mut().zip(rates).for_each(|(sum, rate)| *sum += rate / n);
        }
        sums
    };
    let once = vec![1; units.len()];
    let point = means(&once);
    let areas: Vec<f64> = rankings.iter().filter_map(|ranking| ranking.auc(&once)).collect();

    let clusters = Clusters::new(units.patient());
    let both = size.positives > 0 && size.negatives > 0;
    let replicates = bootstrap.resample(&clusters, |weights| {
        let values = means(weights);
        // A class that the data have is missing in this resample: draw again.
        if (0..METRICS.len()).any(|metric| point[metric].is_some() && values[metric].is_none()) {
            return None;
        }
        let mut values: Vec<f64> = values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        if both {
            values.extend(grid(weights));
        }
        Some(values)
    })?;

    let percent = 100.0 * bootstrap.level;
    let mut percentile = format!(
        "{percent} % percentile interval of {} patient-cluster bootstrap resamples, each of one draw of patients for all \
         repeats and heads not refitted, seed {}",
        bootstrap.resamples, bootstrap.seed
    );
    if replicates.redraws > 0 {
        percentile += &format!(", {} one-class resamples redrawn", replicates.redraws);
    }
    let source = match unit {
        Unit::Slice => "score per slice".to_owned(),
        unit => format!("{} per {unit}", pooling.pooled("score")),
    };
    let over = format!("mean over {} repeats of cross-validation", repeats.len());
    let spread = match sd(&areas) {
        Some(sd) => format!(" (SD over repeats {sd:.4}, of the draw of the folds alone)"),
        None => String::new(),
    };
    let mut warnings = size.warnings(set, unit, mixed);
    let mut rows = Vec::new();
    for (index, metric) in METRICS.into_iter().enumerate() {
        let (positives, negatives) = (size.positive_patients, size.negative_patients);
        let (trials, enough) = match metric {
            "auc" => (size.patients, positives.min(negatives) >= 2),
            "sensitivity" => (positives, positives >= 2),
            "specificity" => (negatives, negatives >= 2),
            _ => (size.patients, size.patients >= 2),
        };
        let measured = match metric {
            "auc" => format!("{over} of the AUC of all out-of-fold scores{spread}; {source}; midranks"),
            _ => format!(
                "{over}; threshold a fold ({} on {}), {source}",
                threshold.rule, threshold.set
            ),
        };
        let (ci, interval) = match point[index] {
            None => (None, "not defined, one class is absent".to_owned()),
            Some(_) if !enough => (None, "no interval, fewer than 2 patients in a class".to_owned()),
            Some(value) if value == 0.0 || value == 1.0 => {
                let (ci, name) = if metric == "auc" {
                    (newcombe(value, positives, negatives, bootstrap.level)?, "Newcombe")
                } else {
                    (wilson(value as usize * trials, trials, bootstrap.level)?, "Wilson")
                };
                let words = format!("{percent} % {name} score interval on {trials} patients, as all resamples agree");
                (Some(ci), words)
            }
            Some(_) => (Some(replicates.interval(index)), percentile.clone()),
        };
        rows.push(ResultRow {
            features: features.to_owned(),
            head: head.to_owned(),
            set: set.to_owned(),
            unit,
            pool: (unit != Unit::Slice).then_some(pooling),
            n_patients: size.patients,
            n_rows: first.len(),
            n_positive: size.positives as usize,
            metric: metric.to_owned(),
            value: point[index],
            ci,
            level: bootstrap.level,
            method: format!("{measured}; {interval}"),
        });
    }
    warnings.extend(turned(&rows[0]));
    let all: Vec<bool> = called.concat();
    warnings.extend(flat(head, set, unit, &all));
    let roc = both.then(|| {
        let band = |step: u64| {
            let [lower, upper] = replicates.interval(METRICS.len() + step as usize);
            BandPoint {
                fpr: step as f64 / GRID as f64,
                lower,
                upper,
            }
        };
        let curve = |(step, tpr): (usize, f64)| RocPoint {
            threshold: None,
            fpr: step as f64 / GRID as f64,
            tpr,
        };
        let start = RocPoint {
            threshold: None,
            fpr: 0.0,
            tpr: 0.0,
        };
        RocCurve {
            features: features.to_owned(),
            head: head.to_owned(),
            set: set.to_owned(),
            unit,
            // The mean sensitivity of the repeats at each false-positive rate.
            points: std::iter::once(start)
                .chain(grid(&once).into_iter().enumerate().map(curve))
                .collect(),
            operating: RocPoint {
                threshold: None,
                // Both classes are present, so both have values.
                fpr: 1.0 - point[2].unwrap_or_default(),
                tpr: point[1].unwrap_or_default(),
            },
            band: if rows[0].ci.is_some() && !matches!(rows[0].value, Some(0.0 | 1.0)) {
                (0..=GRID).map(band).collect()
            } else {
                Vec::new()
            },
            level: bootstrap.level,
        }
    });
    Ok(Evaluation { rows, roc, warnings })
}

/// The area of each repeat and of each of its folds. `fold` is that of each row, from 0, one list a repeat.
pub fn areas_of_repeats(
    features: &str,
    head: &str,
    threshold: &Threshold,
    repeats: &[(Scores, Vec<usize>)],
    bootstrap: &Bootstrap,
) -> Result<RepeatedAuc, EvalError> {
    let mut areas = Vec::new();
    for (scores, fold) in repeats {
        let k = fold.iter().max().map_or(0, |last| last + 1);
        let of_fold = |held: usize| -> Result<FoldAuc, EvalError> {
            let rows: Vec<usize> = (0..fold.len()).filter(|row| fold[*row] == held).collect();
            area(&scores.select(&rows), threshold, bootstrap)
        };
        areas.push(RepeatAuc {
            pooled: area(scores, threshold, bootstrap)?,
            folds: (0..k).map(of_fold).collect::<Result<_, _>>()?,
        });
    }
    let pooled: Vec<f64> = areas.iter().filter_map(|repeat| repeat.pooled.value).collect();
    Ok(RepeatedAuc {
        features: features.to_owned(),
        head: head.to_owned(),
        unit: threshold.unit,
        sd: sd(&pooled),
        repeats: areas,
        level: bootstrap.level,
        method: format!(
            "AUC by midranks; {} % percentile interval of {} patient-cluster bootstrap resamples, seed {} (Newcombe \
             where the AUC is 0 or 1)",
            100.0 * bootstrap.level,
            bootstrap.resamples,
            bootstrap.seed
        ),
    })
}

fn area(scores: &Scores, threshold: &Threshold, bootstrap: &Bootstrap) -> Result<FoldAuc, EvalError> {
    let pooled = scores.pool(threshold.unit, threshold.pool)?;
    let units = pooled.scores.as_ref();
    let size = Size::of(units);
    let ranking = Ranking::new(units.positive(), units.score());
    let value = ranking.auc(&vec![1; units.len()]);
    let (positives, negatives) = (size.positive_patients, size.negative_patients);
    let ci = match value {
        Some(_) if positives.min(negatives) < 2 => None,
        Some(value) if value == 0.0 || value == 1.0 => Some(newcombe(value, positives, negatives, bootstrap.level)?),
        Some(_) => {
            let auc = |weights: &[u32]| ranking.auc(weights).map(|auc| vec![auc]);
            let replicates = bootstrap.resample(&Clusters::new(units.patient()), auc)?;
            Some(replicates.interval(0))
        }
        None => None,
    };
    Ok(FoldAuc {
        n_patients: size.patients,
        n_positive: size.positives as usize,
        n_negative: size.negatives as usize,
        value,
        ci,
    })
}

/// The standard deviation of at least two numbers.
fn sd(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;
    use crate::{
        eval::{Pooling, ThresholdRule, evaluate},
        seed,
    };

    fn frozen() -> Threshold {
        Threshold {
            value: 0.5,
            rule: ThresholdRule::Youden,
            set: "the other folds".to_owned(),
            unit: Unit::Patient,
            pool: Pooling::Mean,
            sensitivity: 0.9,
            specificity: 0.9,
        }
    }

    /// 40 patients of three slices; the score says something of the class.
    fn made(seed: u64) -> Scores {
        let mut rng = seed::stream(seed, "repeats");
        let patient: Vec<usize> = (0..120).map(|row| row / 3).collect();
        let positive: Vec<bool> = patient.iter().map(|patient| patient % 2 == 0).collect();
        let score = positive
            .iter()
            .map(|&class| rng.random::<f64>() + 0.3 * f64::from(class));
        let score: Vec<f64> = score.collect();
        Scores::new(positive, score, patient)
            .unwrap()
            .with_thresholds(vec![0.65; 120])
    }

    fn bootstrap() -> Bootstrap {
        Bootstrap {
            resamples: 400,
            ..Bootstrap::default()
        }
    }

    #[test]
    fn one_repeat_and_the_same_repeat_twice_are_a_plain_evaluation() {
        let plain = evaluate(
            "f",
            "knn",
            "out-of-fold",
            Unit::Patient,
            &made(0),
            &frozen(),
            &bootstrap(),
        )
        .unwrap();
        for repeats in [vec![made(0)], vec![made(0), made(0)]] {
            let found = evaluate_repeats(
                "f",
                "knn",
                "out-of-fold",
                Unit::Patient,
                &repeats,
                &frozen(),
                &bootstrap(),
            )
            .unwrap();
            for (a, b) in plain.rows.iter().zip(&found.rows) {
                assert!((a.value.unwrap() - b.value.unwrap()).abs() < 1e-12);
                let (a, b) = (a.ci.unwrap(), b.ci.unwrap());
                assert!(
                    (a[0] - b[0]).abs() < 1e-12 && (a[1] - b[1]).abs() < 1e-12,
                    "{a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn the_value_is_the_mean_over_repeats_and_the_spread_is_said_apart() {
        let repeats: Vec<Scores> = (0..4).map(made).collect();
        let found = evaluate_repeats(
            "f",
            "knn",
            "out-of-fold",
            Unit::Patient,
            &repeats,
            &frozen(),
            &bootstrap(),
        )
        .unwrap();
        let fold: Vec<usize> = (0..120).map(|row| row / 3 % 5).collect();
        let parts: Vec<(Scores, Vec<usize>)> = repeats.into_iter().map(|scores| (scores, fold.clone())).collect();
        let areas = areas_of_repeats("f", "knn", &frozen(), &parts, &bootstrap()).unwrap();
        let values: Vec<f64> = areas.repeats.iter().filter_map(|repeat| repeat.pooled.value).collect();
        let mean = values.iter().sum::<f64>() / 4.0;
        assert!((found.rows[0].value.unwrap() - mean).abs() < 1e-12);
        let method = &found.rows[0].method;
        assert!(
            method.starts_with("mean over 4 repeats of cross-validation of the AUC"),
            "{method}"
        );
        assert!(
            method.contains(&format!("SD over repeats {:.4}", areas.sd.unwrap())),
            "{method}"
        );
        assert!(method.contains("one draw of patients for all repeats"), "{method}");
        assert_eq!(areas.repeats[0].folds.len(), 5);
        assert_eq!(areas.repeats[0].folds[2].n_patients, 8);
        let curve = found.roc.unwrap();
        assert!(curve.points.is_sorted_by(|a, b| a.tpr <= b.tpr && a.fpr <= b.fpr));
        assert_eq!(
            curve.points.last().map(|point| (point.fpr, point.tpr)),
            Some((1.0, 1.0))
        );
    }

    #[test]
    fn one_class_is_no_number_and_no_panic() {
        let scores = Scores::new(vec![true; 3], vec![0.1, 0.2, 0.3], vec![0, 1, 2]).unwrap();
        let found = evaluate_repeats(
            "f",
            "knn",
            "out-of-fold",
            Unit::Patient,
            std::slice::from_ref(&scores),
            &frozen(),
            &bootstrap(),
        );
        let found = found.unwrap();
        assert_eq!((found.rows[0].value, found.roc), (None, None));
        let areas = areas_of_repeats("f", "knn", &frozen(), &[(scores, vec![0, 0, 1])], &bootstrap()).unwrap();
        assert_eq!((areas.sd, areas.repeats[0].folds[1].value), (None, None));
    }
}
