//! One head's numbers on one set: AUC, sensitivity, specificity and accuracy with patient-cluster intervals.

use super::{
    EvalError, ResultRow, RocCurve, Scores, Threshold, Unit,
    caution::{Size, flat, turned},
    roc::{self, BandPoint, GRID, RocPoint},
};
use crate::stats::{Bootstrap, Clusters, Ranking, newcombe, wilson};

/// The metrics, in the order of the rows.
pub const METRICS: [&str; 4] = ["auc", "sensitivity", "specificity", "accuracy"];

/// What [`evaluate`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// One row a metric, in the order of [`METRICS`].
    pub rows: Vec<ResultRow>,
    /// The curve; `None` where the set has one class only.
    pub roc: Option<RocCurve>,
    /// What a reader must know before the numbers.
    pub warnings: Vec<String>,
}

/// Measures one head on one set at a threshold that was frozen before. Scores with thresholds of their own are decided
/// by these; `threshold` then only says where they come from.
///
/// `scores` has one row a slice; they are pooled to `unit` here, as those were that the threshold was chosen on. Intervals are percentile intervals of resampled
/// patients, whatever the unit. Where a metric is 0 or 1, every resample says the same, and the interval is a score
/// interval on the number of patients instead (Wilson for proportions, Newcombe for the AUC): independent evidence
/// comes from patients, so it is wide enough for slices too. A class that is absent leaves its metrics without a value,
/// one of a single patient without an interval.
pub fn evaluate(
    features: &str,
    head: &str,
    set: &str,
    unit: Unit,
    scores: &Scores,
    threshold: &Threshold,
    bootstrap: &Bootstrap,
) -> Result<Evaluation, EvalError> {
    bootstrap.check()?;
    if scores.is_empty() {
        return Err(EvalError::Empty { set: set.to_owned() });
    }
    if threshold.unit != unit {
        return Err(EvalError::ThresholdUnit {
            chosen: threshold.unit,
            evaluated: unit,
        });
    }
    let pooling = threshold.pool;
    let pooled = scores.pool(unit, pooling)?;
    let (units, mixed) = (pooled.scores.as_ref(), pooled.mixed);
    let size = Size::of(units);
    let ranking = Ranking::new(units.positive(), units.score());
    let called: Vec<bool> = match units.thresholds() {
        None => units.score().iter().map(|&score| score >= threshold.value).collect(),
        Some(own) => units.score().iter().zip(own).map(|(score, own)| score >= own).collect(),
    };
    let once = vec![1; units.len()];
    let point = metrics(&ranking, units.positive(), &called, &once);

    let clusters = Clusters::new(units.patient());
    let both = size.positives > 0 && size.negatives > 0;
    let replicates = bootstrap.resample(&clusters, |weights| {
        let values = metrics(&ranking, units.positive(), &called, weights);
        // A class that the data have is missing in this resample: draw again.
        if (0..METRICS.len()).any(|metric| point[metric].is_some() && values[metric].is_none()) {
            return None;
        }
        let mut values: Vec<f64> = values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        if both {
            let weighted = |class: bool| {
                let of_class = weights
                    .iter()
                    .zip(units.positive())
                    .filter(|(_, positive)| **positive == class);
                of_class.map(|(weight, _)| u64::from(*weight)).sum()
            };
            values.extend(roc::on_grid(&ranking, weights, weighted(true), weighted(false)));
        }
        Some(values)
    })?;

    let percent = 100.0 * bootstrap.level;
    let mut percentile = format!(
        "{percent} % percentile interval of {} patient-cluster bootstrap resamples, seed {}",
        bootstrap.resamples, bootstrap.seed
    );
    if replicates.redraws > 0 {
        percentile += &format!(", {} one-class resamples redrawn", replicates.redraws);
    }
    let source = match unit {
        Unit::Slice => "score per slice".to_owned(),
        unit => format!("{} per {unit}", pooling.pooled("score")),
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
            "auc" => format!("{source}; AUC by midranks"),
            _ if units.thresholds().is_some() => {
                format!("threshold a fold ({} on {}), {source}", threshold.rule, threshold.set)
            }
            _ => format!("threshold {threshold}, {source}"),
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
                let why = "as all bootstrap resamples agree";
                (
                    Some(ci),
                    format!("{percent} % {name} score interval on {trials} patients, {why}"),
                )
            }
            Some(_) => (Some(replicates.interval(index)), percentile.clone()),
        };
        if let Some([lower, upper]) = ci
            && lower == upper
        {
            warnings.push(format!(
                "interval has no width: {metric} of {head} on {set} is the same in all resamples of {} patients",
                size.patients
            ));
        }
        rows.push(ResultRow {
            features: features.to_owned(),
            head: head.to_owned(),
            set: set.to_owned(),
            unit,
            pool: (unit != Unit::Slice).then_some(pooling),
            n_patients: size.patients,
            n_rows: scores.len(),
            n_positive: size.positives as usize,
            metric: metric.to_owned(),
            value: point[index],
            ci,
            level: bootstrap.level,
            method: format!("{measured}; {interval}"),
        });
    }
    warnings.extend(turned(&rows[0]));
    warnings.extend(flat(head, set, unit, &called));

    let roc = (both).then(|| {
        let auc_varies = rows[0].ci.is_some() && !matches!(rows[0].value, Some(0.0 | 1.0));
        let band = |step: u64| {
            let [lower, upper] = replicates.interval(METRICS.len() + step as usize);
            BandPoint {
                fpr: step as f64 / GRID as f64,
                lower,
                upper,
            }
        };
        RocCurve {
            features: features.to_owned(),
            head: head.to_owned(),
            set: set.to_owned(),
            unit,
            points: roc::corners(&ranking, &once),
            operating: RocPoint {
                threshold: units.thresholds().is_none().then_some(threshold.value),
                // Both classes are present, so both have values.
                fpr: 1.0 - point[2].unwrap_or_default(),
                tpr: point[1].unwrap_or_default(),
            },
            // Without spread in the resamples a band would only pretend to certainty.
            band: if auc_varies {
                (0..=GRID).map(band).collect()
            } else {
                Vec::new()
            },
            level: bootstrap.level,
        }
    });
    Ok(Evaluation { rows, roc, warnings })
}

/// The values in the order of [`METRICS`], each row counted `weights` times.
fn metrics(ranking: &Ranking, positive: &[bool], called: &[bool], weights: &[u32]) -> [Option<f64>; 4] {
    // [actual class][called class]
    let mut counts = [[0_u64; 2]; 2];
    for ((&positive, &called), &weight) in positive.iter().zip(called).zip(weights) {
        counts[usize::from(positive)][usize::from(called)] += u64::from(weight);
    }
    let [[tn, fp], [fneg, tp]] = counts;
    let share = |hits: u64, of: u64| (of > 0).then(|| hits as f64 / of as f64);
    [
        ranking.auc(weights),
        share(tp, tp + fneg),
        share(tn, tn + fp),
        share(tp + tn, tp + tn + fp + fneg),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Bootstrap, EvalError, Evaluation, Scores, Threshold, Unit, evaluate};
    use crate::eval::{Pooling, ThresholdRule, choose_threshold};

    fn at(value: f64, unit: Unit) -> Threshold {
        Threshold {
            value,
            rule: ThresholdRule::Youden,
            set: "validation".to_owned(),
            unit,
            pool: Pooling::Mean,
            sensitivity: 0.9,
            specificity: 0.9,
        }
    }

    fn measure(positive: &[u8], score: &[f64], patient: &[usize], unit: Unit) -> Result<Evaluation, EvalError> {
        let positive = positive.iter().map(|&positive| positive == 1).collect();
        let scores = Scores::new(positive, score.to_vec(), patient.to_vec())?;
        let bootstrap = Bootstrap {
            resamples: 200,
            ..Bootstrap::default()
        };
        evaluate("z_mean", "linear", "test", unit, &scores, &at(0.5, unit), &bootstrap)
    }

    #[test]
    fn rows_say_whose_they_are_and_how_they_were_made() {
        let result = measure(
            &[1, 1, 0, 0, 1, 0],
            &[0.9, 0.3, 0.1, 0.6, 0.8, 0.2],
            &[1, 2, 3, 4, 1, 5],
            Unit::Patient,
        );
        let result = result.unwrap();
        let [auc, sensitivity, ..] = &result.rows[..] else {
            panic!("four rows")
        };
        assert_eq!((auc.n_patients, auc.n_rows, auc.n_positive), (5, 6, 2));
        assert_eq!((auc.value, sensitivity.value), (Some(5.0 / 6.0), Some(0.5)));
        assert!(
            auc.method
                .starts_with("mean score per patient; AUC by midranks; 95 % percentile interval of 200 ")
        );
        assert!(auc.method.contains("one-class resamples redrawn"), "{}", auc.method);
        assert!(
            sensitivity
                .method
                .starts_with("threshold 0.5000 (Youden on validation), mean score per patient; ")
        );
        assert!(result.warnings[0].starts_with("interval is wide: test holds 2 positive and 3 negative"));
    }

    #[test]
    fn a_metric_of_one_has_an_interval_with_a_width() {
        let result = measure(
            &[1, 1, 1, 0, 0, 0],
            &[0.9, 0.8, 0.7, 0.3, 0.2, 0.1],
            &[1, 2, 3, 4, 5, 6],
            Unit::Patient,
        );
        let result = result.unwrap();
        for row in &result.rows {
            let [lower, upper] = row.ci.unwrap();
            assert!(row.value == Some(1.0) && upper == 1.0 && lower < 0.7, "{row:?}");
        }
        assert!(result.rows[0].method.contains("Newcombe score interval on 6 patients"));
        assert!(result.rows[1].method.contains("Wilson score interval on 3 patients"));
        assert!(result.roc.unwrap().band.is_empty());
    }

    #[test]
    fn one_class_leaves_only_what_is_defined() {
        let result = measure(&[1, 1, 1], &[0.9, 0.8, 0.2], &[1, 2, 3], Unit::Patient).unwrap();
        let defined: Vec<bool> = result
            .rows
            .iter()
            .map(|row| row.value.is_some() && row.ci.is_some())
            .collect();
        assert_eq!(defined, [false, true, false, true]);
        assert!(result.roc.is_none());
        assert!(
            result.warnings[0].starts_with("one class only"),
            "{:?}",
            result.warnings
        );
    }

    #[test]
    fn a_class_of_one_patient_has_no_interval() {
        let result = measure(&[1, 1, 0, 0], &[0.9, 0.4, 0.1, 0.6], &[1, 1, 3, 4], Unit::Slice).unwrap();
        let intervals: Vec<bool> = result.rows.iter().map(|row| row.ci.is_some()).collect();
        assert_eq!(intervals, [false, false, true, true]);
        assert!(result.rows[0].method.contains("fewer than 2 patients"));
    }

    #[test]
    fn a_threshold_of_another_unit_is_refused() {
        let scores = Scores::new(vec![true, false], vec![1.0, 0.0], vec![0, 1]).unwrap();
        let threshold =
            choose_threshold("validation", Unit::Slice, Pooling::Mean, &scores, ThresholdRule::Youden).unwrap();
        let bootstrap = Bootstrap::default();
        let error = evaluate("f", "knn", "test", Unit::Patient, &scores, &threshold, &bootstrap).unwrap_err();
        assert!(matches!(error, EvalError::ThresholdUnit { .. }));
        assert!(measure(&[], &[], &[], Unit::Slice).is_err());
    }

    #[test]
    fn scores_that_rank_backwards_are_called_so() {
        let positive: Vec<u8> = (0..60).map(|row| u8::from(row < 30)).collect();
        let score: Vec<f64> = (0..60).map(|row| f64::from(row) + f64::from(row % 7) * 6.0).collect();
        let patient: Vec<usize> = (0..60).collect();
        let warnings = measure(&positive, &score, &patient, Unit::Patient).unwrap().warnings;
        assert!(
            warnings.iter().any(|warning| warning.contains("wrong way round")),
            "{warnings:?}"
        );
    }
}
