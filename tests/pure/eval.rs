//! Evaluation against scikit-learn, scipy, statsmodels and pROC, and what must hold for any scores; the report of a
//! made study.

use std::path::Path;

use hounsfield::{
    eval::{EvalError, Evaluation, Pooling, Scores, Threshold, ThresholdRule, Unit, choose_threshold, evaluate},
    report::{CohortRow, Exclusion, FORMATS, HeadFacts, HeadThreshold, StudyReport, UNTRAINED, terminal_table},
    seed,
    stats::{Bootstrap, Ranking, auc, newcombe, wilson},
};
use rand::{RngExt as _, seq::SliceRandom as _};
use serde::Deserialize;

/// What `make_eval.py` wrote.
#[derive(Deserialize)]
struct Oracle {
    curves: Vec<Curve>,
    wilson: Vec<Proportion>,
    newcombe: Vec<Area>,
    bootstrap: Cluster,
}

#[derive(Deserialize)]
struct Curve {
    positive: Vec<bool>,
    score: Vec<f64>,
    auc: f64,
    fpr: Vec<f64>,
    tpr: Vec<f64>,
    threshold: Vec<f64>,
}

#[derive(Deserialize)]
struct Proportion {
    hits: usize,
    trials: usize,
    level: f64,
    ci: [f64; 2],
}

#[derive(Deserialize)]
struct Area {
    auc: f64,
    positives: usize,
    negatives: usize,
    level: f64,
    ci: [f64; 2],
}

#[derive(Deserialize)]
struct Cluster {
    patient: Vec<usize>,
    positive: Vec<bool>,
    score: Vec<f64>,
    threshold: f64,
    resamples: usize,
    slice_unit: Intervals,
    patient_unit: Intervals,
}

#[derive(Deserialize)]
struct Intervals {
    value: [f64; 4],
    ci: [[f64; 2]; 4],
    sd: [f64; 4],
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../oracles/eval/eval.json")).expect("make_eval.py wrote it")
}

fn frozen(value: f64, unit: Unit) -> Threshold {
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

fn measure(scores: &Scores, unit: Unit, threshold: f64, bootstrap: &Bootstrap) -> Evaluation {
    evaluate(
        "z_mean",
        "linear",
        "test",
        unit,
        scores,
        &frozen(threshold, unit),
        bootstrap,
    )
    .unwrap()
}

/// Patients with one to five slices each, and a score that says something of their class.
fn made(patients: usize, shift: f64, seed: u64) -> (Vec<bool>, Vec<f64>, Vec<usize>) {
    let mut rng = seed::stream(seed, "scores");
    let (mut positive, mut score, mut patient) = (Vec::new(), Vec::new(), Vec::new());
    for who in 0..patients {
        let own: f64 = rng.random();
        for _ in 0..rng.random_range(1..6) {
            let noise: f64 = rng.random();
            let class = who % 5 < 2;
            positive.push(class);
            patient.push(3 * who + 1);
            score.push(((own + 0.5 * noise + shift * f64::from(class)) * 100.0).round() / 100.0);
        }
    }
    (positive, score, patient)
}

fn close(found: [f64; 2], expected: [f64; 2], tolerance: f64) {
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} and not {expected}");
    }
}

/// Expected: `sklearn.metrics.roc_auc_score` and `roc_curve(drop_intermediate=False)`; see make_eval.py.
#[test]
fn curves_and_areas_are_those_of_scikit_learn() {
    for case in oracle().curves {
        let found = auc(&case.positive, &case.score).unwrap();
        assert!((found - case.auc).abs() < 1e-12, "{found} and not {}", case.auc);
        let weights = vec![1; case.score.len()];
        let steps: Vec<_> = Ranking::new(&case.positive, &case.score).steps(&weights).collect();
        let (last, length) = (steps[steps.len() - 1], steps.len());
        assert_eq!(length, case.threshold.len());
        for (at, step) in steps.iter().enumerate() {
            assert_eq!(step.threshold, case.threshold[at]);
            assert_eq!(step.true_positives as f64 / last.true_positives as f64, case.tpr[at]);
            assert_eq!(step.false_positives as f64 / last.false_positives as f64, case.fpr[at]);
        }
    }
}

/// Expected: `statsmodels.stats.proportion.proportion_confint(method="wilson")`, and Newcombe's equation solved by
/// `scipy.optimize.brentq`; see make_eval.py.
#[test]
fn score_intervals_are_those_of_statsmodels_and_scipy() {
    for case in oracle().wilson {
        close(wilson(case.hits, case.trials, case.level).unwrap(), case.ci, 1e-12);
    }
    for case in oracle().newcombe {
        let found = newcombe(case.auc, case.positives, case.negatives, case.level).unwrap();
        close(found, case.ci, 1e-10);
    }
}

/// Expected: 20,000 resamples in numpy with the rows of the drawn patients written out; see make_eval.py.
#[test]
fn cluster_intervals_are_those_of_numpy_within_monte_carlo_error() {
    let case = oracle().bootstrap;
    let bootstrap = Bootstrap {
        resamples: case.resamples,
        ..Bootstrap::default()
    };
    let scores = Scores::new(case.positive, case.score, case.patient).unwrap();
    for (unit, expected) in [(Unit::Slice, case.slice_unit), (Unit::Patient, case.patient_unit)] {
        let rows = measure(&scores, unit, case.threshold, &bootstrap).rows;
        for (metric, row) in rows.iter().enumerate() {
            assert!((row.value.unwrap() - expected.value[metric]).abs() < 1e-12, "{row:?}");
            // A 2.5 % quantile of 20,000 normal draws has an error of 0.019 SD, twice that for two of them. Shares of
            // few patients jump by up to 1 / 20 = 0.6 SD between neighbouring values.
            let tolerance = if unit == Unit::Patient && metric > 0 {
                0.05
            } else {
                0.15 * expected.sd[metric]
            };
            close(row.ci.unwrap(), expected.ci[metric], tolerance);
        }
    }
}

/// Expected: pROC 1.19 (AUC of wfns and ndka) and the values recomputed beside it in `reference_values.json`.
#[test]
fn real_curves_are_those_of_proc() {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA") else {
        println!("skipped: HOUNSFIELD_DATA is not set");
        return;
    };
    let folder = Path::new(&data).join("roc-reference");
    let text = std::fs::read_to_string(folder.join("reference_values.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();

    let check = |file: &str, names: &[&str], truth: &str, expected: &serde_json::Value| {
        let mut table = csv::Reader::from_path(folder.join(file)).unwrap();
        let header = table.headers().unwrap().clone();
        let column = |name: &str| header.iter().position(|column| column == name).unwrap();
        let records: Vec<_> = table.records().map(Result::unwrap).collect();
        let numbers = |name: &str| -> Vec<f64> {
            records
                .iter()
                .map(|record| record[column(name)].parse().unwrap())
                .collect()
        };
        let positive: Vec<bool> = numbers(truth).iter().map(|&label| label == 1.0).collect();
        for name in names {
            let score = numbers(name);
            let (found, wanted) = (auc(&positive, &score).unwrap(), expected[name]["auc"].as_f64().unwrap());
            assert!((found - wanted).abs() < 1e-12, "{name}: {found} and not {wanted}");

            let patients = (0..score.len()).collect();
            let scores = Scores::new(positive.clone(), score, patients).unwrap();
            if let Some(youden) = expected[name].get("youden") {
                let chosen =
                    choose_threshold("all", Unit::Patient, Pooling::Mean, &scores, ThresholdRule::Youden).unwrap();
                assert!((chosen.sensitivity - youden["sens"].as_f64().unwrap()).abs() < 1e-12);
                assert!((chosen.specificity - youden["spec"].as_f64().unwrap()).abs() < 1e-12);
                assert!(chosen.value <= youden["threshold_ge"].as_f64().unwrap());
            }
            // DeLong's interval is another method: near, not equal.
            let delong = ["ci95", "delong_ci95"]
                .iter()
                .find_map(|key| expected[name].get(key))
                .unwrap();
            let rows = measure(&scores, Unit::Patient, 0.0, &Bootstrap::default()).rows;
            close(
                rows[0].ci.unwrap(),
                [0, 1].map(|end| delong[end].as_f64().unwrap()),
                0.02,
            );
        }
    };
    check(
        "aSAH.csv",
        &["wfns", "ndka", "s100b"],
        "label",
        &reference["aSAH"]["recomputed"],
    );
    let models = [
        "baseline_2pct",
        "ct_fm_5pct",
        "ct_fm_100pct",
        "suprem_unetencoder_10pct",
    ];
    check(
        "CQ500_combined_predictions.csv",
        &models,
        "label",
        &reference["head-CT predictions"]["CQ500"],
    );
}

#[test]
fn a_monotone_transform_changes_no_auc_and_no_interval() {
    let (positive, score, patient) = made(40, 0.4, 1);
    let transformed = score.iter().map(|score| (3.0 * score).exp()).collect();
    let scores = Scores::new(positive.clone(), score, patient.clone()).unwrap();
    let transformed = Scores::new(positive, transformed, patient).unwrap();
    let bootstrap = Bootstrap::default();
    let cut: f64 = 0.805;
    let plain = measure(&scores, Unit::Slice, cut, &bootstrap);
    assert_eq!(
        plain.rows[0].ci,
        measure(&transformed, Unit::Slice, 1.0, &bootstrap).rows[0].ci
    );
    let numbers =
        |evaluation: Evaluation| -> Vec<_> { evaluation.rows.into_iter().map(|row| (row.value, row.ci)).collect() };
    let moved = measure(&transformed, Unit::Slice, (3.0 * cut).exp(), &bootstrap);
    assert_eq!(numbers(plain), numbers(moved));
}

#[test]
fn swapped_classes_with_negated_scores_mirror_every_number() {
    let (positive, score, patient) = made(30, 0.3, 2);
    let swapped = positive.iter().map(|positive| !positive).collect();
    let negated = score.iter().map(|score| -score).collect();
    let scores = Scores::new(positive, score, patient.clone()).unwrap();
    let mirrored = Scores::new(swapped, negated, patient).unwrap();
    for unit in [Unit::Slice, Unit::Patient] {
        let there = measure(&scores, unit, 0.8051, &Bootstrap::default()).rows;
        let back = measure(&mirrored, unit, -0.8051, &Bootstrap::default()).rows;
        for (a, b) in [(0, 0), (1, 2), (2, 1), (3, 3)] {
            assert_eq!((there[a].value, there[a].ci), (back[b].value, back[b].ci));
        }
    }
}

#[test]
fn slices_that_stand_twice_are_no_more_evidence() {
    let (positive, score, patient) = made(30, 0.3, 3);
    let once = Scores::new(positive.clone(), score.clone(), patient.clone()).unwrap();
    let twice = Scores::new(positive.repeat(2), score.repeat(2), patient.repeat(2)).unwrap();
    for unit in [Unit::Slice, Unit::Patient] {
        let (once, twice) = (
            measure(&once, unit, 0.8, &Bootstrap::default()).rows,
            measure(&twice, unit, 0.8, &Bootstrap::default()).rows,
        );
        for (once, twice) in once.iter().zip(&twice) {
            close(twice.ci.unwrap(), once.ci.unwrap(), 1e-12);
            assert_eq!(once.n_patients, twice.n_patients);
        }
    }
}

#[test]
fn the_order_of_rows_changes_nothing() {
    let (positive, score, patient) = made(25, 0.2, 4);
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.shuffle(&mut seed::stream(4, "order"));
    let shuffled = Scores::new(
        order.iter().map(|&row| positive[row]).collect(),
        order.iter().map(|&row| score[row]).collect(),
        order.iter().map(|&row| patient[row]).collect(),
    );
    let (scores, shuffled) = (Scores::new(positive, score, patient).unwrap(), shuffled.unwrap());
    for unit in [Unit::Slice, Unit::Patient] {
        let bootstrap = Bootstrap::default();
        assert_eq!(
            measure(&scores, unit, 0.8, &bootstrap),
            measure(&shuffled, unit, 0.8, &bootstrap)
        );
        let choose = |scores| choose_threshold("validation", unit, Pooling::Mean, scores, ThresholdRule::Youden);
        assert_eq!(choose(&scores), choose(&shuffled));
    }
}

#[test]
fn slice_scores_of_few_patients_have_wider_intervals_than_independent_ones() {
    let (positive, score, patient) = made(30, 0.3, 5);
    let alone = (0..score.len()).collect();
    let clustered = Scores::new(positive.clone(), score.clone(), patient).unwrap();
    let independent = Scores::new(positive, score, alone).unwrap();
    let width = |scores| {
        let [lower, upper] = measure(scores, Unit::Slice, 0.8, &Bootstrap::default()).rows[0]
            .ci
            .unwrap();
        upper - lower
    };
    assert!(width(&clustered) > 1.2 * width(&independent));
}

/// A study with two layers, five heads and four sets, as the pipeline would fill it.
fn example() -> Result<StudyReport, EvalError> {
    let mut report = StudyReport {
        title: "COVID-19 against other findings, made scores".to_owned(),
        positive: "covid".to_owned(),
        negative: "all other labels".to_owned(),
        ..StudyReport::default()
    };
    report.mark(UNTRAINED);
    report.fact("Study", "recipe", "study.toml");
    report.fact(
        "Study",
        "split",
        "holdout of patients, 80 / 10 / 10 %, stratified by label, seed 0",
    );
    report.fact("Encoder", "kind", "bigbigan-resnet50");
    report.fact("Encoder", "weights", "random(0), untrained");
    report.fact(
        "Reproducibility",
        "cohort table, SHA-256",
        "9f86d081884c7d659a2feaa0c55ad015".repeat(2),
    );
    let sets = [
        ("train", 120, 0.55),
        ("validation", 30, 0.4),
        ("test", 17, 0.35),
        ("external:ucsd", 90, 0.1),
    ];
    for (index, (set, patients, _)) in sets.into_iter().enumerate() {
        let (positive, _, _) = made(patients, 0.0, index as u64);
        let positives = positive.iter().filter(|&&positive| positive).count();
        let positive_patients = (0..patients).filter(|who| who % 5 < 2).count();
        report.cohort.push(CohortRow {
            set: set.to_owned(),
            sites: vec![
                if set.starts_with("external") {
                    "ucsd"
                } else {
                    "br-sarscov2"
                }
                .to_owned(),
            ],
            patients,
            scans: patients,
            slices: positive.len(),
            positive_patients,
            negative_patients: patients - positive_patients,
            positive_slices: positives,
            negative_slices: positive.len() - positives,
            failed_slices: usize::from(set == "train"),
        });
    }
    report.exclusions.push(Exclusion {
        reason: "label missing".to_owned(),
        patients: 2,
        slices: 7,
    });
    let heads = ["linear", "logistic", "svm-linear", "svm-rbf", "knn"];
    for features in ["z_mean", "bn_crelu_feat"] {
        for (number, head) in heads.into_iter().enumerate() {
            let scores = |index: usize| {
                let (_, patients, shift) = sets[index];
                let (positive, mut score, patient) = made(patients, shift, index as u64);
                let mut rng = seed::stream(number as u64, features);
                score.iter_mut().for_each(|score| *score += 0.4 * rng.random::<f64>());
                Scores::new(positive, score, patient)
            };
            let unit = Unit::Patient;
            let threshold = choose_threshold("validation", unit, Pooling::Mean, &scores(1)?, ThresholdRule::Youden)?;
            for (index, (set, ..)) in sets.into_iter().enumerate() {
                let bootstrap = Bootstrap {
                    resamples: 500,
                    ..Bootstrap::default()
                };
                report.add(evaluate(
                    features,
                    head,
                    set,
                    unit,
                    &scores(index)?,
                    &threshold,
                    &bootstrap,
                )?);
            }
            report.heads.push(HeadFacts {
                features: features.to_owned(),
                head: head.to_owned(),
                settings: [
                    ("C".to_owned(), "0.1".to_owned()),
                    ("gamma".to_owned(), "0.0083".to_owned()),
                ]
                .into(),
                notes: vec!["5 patient-grouped folds".to_owned()],
            });
            report.thresholds.push(HeadThreshold {
                features: features.to_owned(),
                head: head.to_owned(),
                threshold,
            });
        }
    }
    Ok(report)
}

/// Leaves the files in the target folder's `tmp/report`, to be looked at.
#[test]
fn a_report_is_written_saved_and_rendered_again() {
    let report = example().unwrap();
    let saved = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<StudyReport>(&saved).unwrap(), report);

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    for format in FORMATS {
        std::fs::write(folder.join(format.file_name()), format.render(&report)).unwrap();
    }
    std::fs::write(folder.join("terminal.txt"), terminal_table(&report)).unwrap();

    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.find("UNTRAINED").unwrap() < page.find("<table").unwrap());
    assert!(page.find("interval is wide").unwrap() < page.find("<table").unwrap());
    assert_eq!(page.matches("<figure>").count(), 8, "four sets, two layers");
    for words in [
        "validation (threshold chosen here)",
        "external: ucsd",
        "are no evidence",
        "positive: covid",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("NaN"));
}

/// The schema that readers of `results.json` rely on.
#[test]
fn results_json_has_exactly_the_agreed_keys() {
    let report = example().unwrap();
    let format = FORMATS
        .iter()
        .find(|format| format.file_name() == "results.json")
        .unwrap();
    let results: serde_json::Value = serde_json::from_str(&format.render(&report)).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&results),
        ["schema", "positive", "negative", "results", "warnings", "banners"]
    );
    assert_eq!(results["schema"], 1);
    let row = &results["results"][0];
    let expected = "features head set unit pool n_patients n_rows n_positive metric value ci level method";
    assert_eq!(keys(row), expected.split(' ').collect::<Vec<_>>());
    assert_eq!((&row["unit"], &row["metric"]), (&"patient".into(), &"auc".into()));
}
