//! DeLong, clustered DeLong, partial areas, BCa and adjusted p-values against pROC, scipy, scikit-learn, statsmodels
//! and formulas written out in numpy; see make_roc.py and make_roc.R.

use std::{collections::BTreeMap, path::Path, time::Instant};

use hounsfield::{
    seed,
    stats::{
        Alternative, AucCovariance, Axis, Bootstrap, ClusterRanking, Clusters, Components, OperatingRule, Ranking,
        Scale, auc, bonferroni, clustered_delong, delong, holm, operating_point, partial_auc,
    },
};
use rand::RngExt as _;
use serde::Deserialize;

/// What `make_roc.py` wrote.
#[derive(Deserialize)]
struct Oracle {
    covariances: Vec<Covariances>,
    bca: Bootstrapped,
    adjusted: Vec<Adjusted>,
    partial: Vec<Partial>,
}

#[derive(Deserialize)]
struct Covariances {
    positive: Vec<bool>,
    patient: Vec<usize>,
    scores: Vec<Vec<f64>>,
    auc: Vec<f64>,
    delong: Vec<Vec<f64>>,
    clustered: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Bootstrapped {
    positive: Vec<bool>,
    patient: Vec<usize>,
    scores: Vec<Vec<f64>>,
    resamples: usize,
    auc: Intervals,
    difference: Intervals,
}

#[derive(Deserialize)]
struct Intervals {
    #[serde(rename = "BCa")]
    bca: [f64; 2],
    percentile: [f64; 2],
    standard_error: f64,
}

#[derive(Deserialize)]
struct Adjusted {
    p: Vec<f64>,
    holm: Vec<f64>,
    bonferroni: Vec<f64>,
}

#[derive(Deserialize)]
struct Partial {
    positive: Vec<bool>,
    score: Vec<f64>,
    corrected: BTreeMap<String, f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../oracles/roc/roc.json")).expect("make_roc.py wrote it")
}

fn near(name: &str, found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{name}: {found} and not {expected}"
    );
}

fn areas(positive: &[bool], scores: &[Vec<f64>]) -> Vec<Components> {
    scores
        .iter()
        .map(|score| Components::new(positive, score).unwrap())
        .collect()
}

/// Expected: DeLong's and Obuchowski's sums over all pairs, in numpy.
#[test]
fn covariances_are_those_of_the_formulas_written_out() {
    for case in oracle().covariances {
        let columns = areas(&case.positive, &case.scores);
        let columns: Vec<&Components> = columns.iter().collect();
        let check = |found: AucCovariance, expected: &[Vec<f64>]| {
            for (found, expected) in found.auc.iter().zip(&case.auc) {
                near("auc", *found, *expected, 1e-14);
            }
            for (found, expected) in found.covariance.iter().flatten().zip(expected.iter().flatten()) {
                near("covariance", *found, *expected, 1e-12 * expected.abs().max(1e-3));
            }
        };
        check(delong(&columns).unwrap(), &case.delong);
        check(
            clustered_delong(&columns, &Clusters::new(&case.patient)).unwrap(),
            &case.clustered,
        );
    }
}

/// Expected: pROC 1.18.0, `auc`, `var`, `cov`, `ci.auc` and `roc.test` with `method = "delong"`, `auc(partial.auc = )`.
#[test]
fn made_scores_give_the_numbers_of_proc() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/roc");
    let mut table = csv::Reader::from_path(folder.join("scores.csv")).unwrap();
    let rows: Vec<Vec<f64>> = table.deserialize().map(Result::unwrap).collect();
    let column = |at: usize| -> Vec<f64> { rows.iter().map(|row| row[at]).collect() };
    let positive: Vec<bool> = column(1).iter().map(|&class| class == 1.0).collect();
    let scores = [column(2), column(3), column(4)];
    let columns = areas(&positive, &scores);
    let all = delong(&columns.iter().collect::<Vec<_>>()).unwrap();
    let part = areas(&positive[..100], &scores.each_ref().map(|score| score[..100].to_vec()));
    let part = delong(&part.iter().collect::<Vec<_>>()).unwrap();

    let mut checked = 0;
    for record in csv::Reader::from_path(folder.join("proc.csv")).unwrap().records() {
        let record = record.unwrap();
        let expected: f64 = record[1].parse().unwrap();
        let words: Vec<&str> = record[0].split(' ').collect();
        let score = |word: &str| ["a", "b", "c"].iter().position(|name| *name == word).unwrap();
        let number = |word: &str| word.parse::<f64>().unwrap();
        let alternative = |word: &str| match word {
            "two.sided" => Alternative::TwoSided,
            "greater" => Alternative::Greater,
            _ => Alternative::Less,
        };
        let paired = |a, b, word| all.paired_test([score(a), score(b)], 0.9, alternative(word)).unwrap();
        let unpaired = |a, b, word| {
            all.unpaired_test(score(a), &part, score(b), 0.9, alternative(word))
                .unwrap()
        };
        let found = match words[..] {
            ["auc", a] => all.auc[score(a)],
            ["var", a] => all.covariance[score(a)][score(a)],
            ["cov", a, b] => all.covariance[score(a)][score(b)],
            ["lower", a, level] => all.interval(score(a), number(level), Scale::Wald).unwrap()[0],
            ["upper", a, level] => all.interval(score(a), number(level), Scale::Wald).unwrap()[1],
            ["Z", a, b, side] => paired(a, b, side).statistic,
            ["paired", "p", a, b, side] => paired(a, b, side).p,
            ["paired", "lower", a, b] => paired(a, b, "two.sided").ci[0],
            ["paired", "upper", a, b] => paired(a, b, "two.sided").ci[1],
            ["D", a, b, side] => unpaired(a, b, side).statistic,
            ["df", a, b, side] => unpaired(a, b, side).df.unwrap(),
            ["unpaired", "p", a, b, side] => unpaired(a, b, side).p,
            ["partial", a, focus, from, to, corrected] => {
                let axis = if focus == "specificity" {
                    Axis::Specificity
                } else {
                    Axis::Sensitivity
                };
                let ranking = Ranking::new(&positive, &scores[score(a)]);
                let range = [number(from), number(to)];
                let found = partial_auc(&ranking, &vec![1; positive.len()], axis, range)
                    .unwrap()
                    .unwrap();
                if corrected == "TRUE" {
                    found.corrected.unwrap()
                } else {
                    found.area
                }
            }
            _ => panic!("what is {}?", &record[0]),
        };
        near(&record[0], found, expected, 1e-11 * expected.abs().max(1.0));
        checked += 1;
    }
    assert!(checked > 100, "{checked} numbers");
}

/// Expected: the values of pROC 1.19's own tests (aSAH), and those of a numpy DeLong beside them (CQ500), in
/// `reference_values.json`.
#[test]
fn real_scores_give_the_published_numbers() {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA") else {
        println!("skipped: HOUNSFIELD_DATA is not set");
        return;
    };
    let folder = Path::new(&data).join("roc-reference");
    let text = std::fs::read_to_string(folder.join("reference_values.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let read = |file: &str, names: &[&str]| {
        let mut table = csv::Reader::from_path(folder.join(file)).unwrap();
        let header = table.headers().unwrap().clone();
        let records: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
        let numbers = |name: &str| -> Vec<f64> {
            let at = header.iter().position(|column| column == name).unwrap();
            records.iter().map(|record| record[at].parse().unwrap()).collect()
        };
        let positive: Vec<bool> = numbers("label").iter().map(|&label| label == 1.0).collect();
        let scores: Vec<Vec<f64>> = names.iter().map(|name| numbers(name)).collect();
        (positive, scores)
    };

    let names = ["wfns", "ndka", "s100b"];
    let at = |name: &str| names.iter().position(|other| *other == name).unwrap();
    let (positive, scores) = read("aSAH.csv", &names);
    let columns = areas(&positive, &scores);
    let all = delong(&columns.iter().collect::<Vec<_>>()).unwrap();
    let proc = &reference["aSAH"]["pROC"];
    let check = |name: &str, found: f64, expected: &serde_json::Value| {
        near(
            name,
            found,
            expected.as_f64().unwrap_or_else(|| panic!("{name}: {expected}")),
            1e-9,
        );
    };
    for name in names {
        check(name, all.covariance[at(name)][at(name)], &proc["delong_var"][name]);
        let recomputed = &reference["aSAH"]["recomputed"][name];
        check(name, all.auc[at(name)], &recomputed["auc"]);
        for (found, end) in all.interval(at(name), 0.95, Scale::Wald).unwrap().into_iter().zip(0..) {
            check(name, found, &recomputed["ci95"][end]);
        }
        let point = operating_point(
            &Ranking::new(&positive, &scores[at(name)]),
            &vec![1; positive.len()],
            OperatingRule::Youden,
        );
        check(name, point.unwrap().sensitivity, &recomputed["youden"]["sens"]);
        check(name, point.unwrap().specificity, &recomputed["youden"]["spec"]);
    }
    for (pair, expected) in proc["delong_cov"].as_object().unwrap() {
        let (a, b) = pair.split_once(',').unwrap();
        check(pair, all.covariance[at(a)][at(b)], expected);
    }
    for kind in ["paired_delong", "unpaired_delong"] {
        for (pair, expected) in proc[kind].as_object().unwrap() {
            let (a, b) = pair.split_once(" vs ").unwrap();
            if kind == "paired_delong" {
                let test = all.paired_test([at(a), at(b)], 0.95, Alternative::TwoSided).unwrap();
                check(pair, test.statistic, &expected["Z"]);
                check(pair, test.p, &expected["p"]);
                check(pair, test.ci[0], &expected["ci"][0]);
                check(pair, test.ci[1], &expected["ci"][1]);
            } else {
                let test = all
                    .unpaired_test(at(a), &all, at(b), 0.95, Alternative::TwoSided)
                    .unwrap();
                check(pair, test.statistic, &expected["D"]);
                check(pair, test.p, &expected["p"]);
            }
        }
    }
    let sided = |alternative| all.paired_test([at("wfns"), at("s100b")], 0.95, alternative).unwrap().p;
    check("greater", sided(Alternative::Greater), &proc["one_sided_wfns_gt_s100b"]);
    check("less", sided(Alternative::Less), &proc["one_sided_wfns_lt_s100b"]);
    for (axis, key) in [
        (Axis::Specificity, "partial_auc_specificity"),
        (Axis::Sensitivity, "partial_auc_sensitivity"),
    ] {
        for (name, ranges) in proc[key].as_object().unwrap() {
            let ranking = Ranking::new(&positive, &scores[at(name)]);
            for (range, expected) in ranges.as_object().unwrap() {
                let (from, to) = range.split_once('-').unwrap();
                let range = [from, to].map(|end| end.parse().unwrap());
                let found = partial_auc(&ranking, &vec![1; positive.len()], axis, range)
                    .unwrap()
                    .unwrap();
                check(name, found.area, expected);
            }
        }
    }

    let expected = &reference["head-CT predictions"]["CQ500"];
    let kinds = ["baseline", "ct_fm", "suprem_unetencoder"];
    let names: Vec<String> = ["2", "5", "10", "100"]
        .iter()
        .flat_map(|share| kinds.map(|kind| format!("{kind}_{share}pct")))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (positive, scores) = read("CQ500_combined_predictions.csv", &names);
    let columns = areas(&positive, &scores);
    let all = delong(&columns.iter().collect::<Vec<_>>()).unwrap();
    for (column, name) in names.iter().enumerate() {
        check(name, all.auc[column], &expected[name]["auc"]);
        let ci = all.interval(column, 0.95, Scale::Wald).unwrap();
        check(name, ci[0], &expected[name]["delong_ci95"][0]);
        check(name, ci[1], &expected[name]["delong_ci95"][1]);
    }
    let at = |name: &str| names.iter().position(|other| *other == name).unwrap();
    for (pair, a, b) in [
        ("ct_fm_100pct vs baseline_100pct", "ct_fm_100pct", "baseline_100pct"),
        (
            "ct_fm_100pct vs suprem_100pct",
            "ct_fm_100pct",
            "suprem_unetencoder_100pct",
        ),
    ] {
        let test = all.paired_test([at(a), at(b)], 0.95, Alternative::TwoSided).unwrap();
        check(pair, test.statistic, &expected[pair]["Z"]);
        check(pair, test.p, &expected[pair]["p"]);
    }
}

/// Expected: `scipy.stats.bootstrap(method="BCa")` and `"percentile"` over patients.
#[test]
fn bca_is_that_of_scipy_within_monte_carlo_error() {
    let case = oracle().bca;
    let bootstrap = Bootstrap {
        resamples: case.resamples,
        ..Bootstrap::default()
    };
    let clusters = Clusters::new(&case.patient);
    let rankings = [0, 1].map(|at| ClusterRanking::new(&case.positive, &case.scores[at], &clusters));
    let mut replicates = bootstrap.resample_auc(&clusters, &rankings).unwrap();
    let difference = replicates.push_difference([0, 1]);
    let [a, b] = rankings.map(|ranking| ranking.jackknife().unwrap());
    let [auc_a, auc_b] = [0, 1].map(|at| auc(&case.positive, &case.scores[at]).unwrap());
    let paired: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    for (name, statistic, observed, jackknife, expected) in [
        ("auc", 0, auc_a, &a, &case.auc),
        ("difference", difference, auc_a - auc_b, &paired, &case.difference),
    ] {
        let bca = replicates.bca(statistic, observed, Some(jackknife));
        assert_eq!(bca.percentile_since, None);
        // A 2.5 % quantile of 20,000 normal draws has an error of 0.019 SD, the one that BCa moves outward up to twice.
        let tolerance = 0.08 * expected.standard_error;
        let percentile = replicates.interval(statistic);
        for end in [0, 1] {
            near(name, bca.ci[end], expected.bca[end], tolerance);
            near(name, percentile[end], expected.percentile[end], tolerance);
        }
        let error = replicates.standard_error(statistic);
        near(name, error, expected.standard_error, 0.03 * expected.standard_error);
    }
    // The two methods are further apart here than the tolerance.
    assert!(case.auc.percentile[0] - case.auc.bca[0] > 0.3 * case.auc.standard_error);
}

/// Expected: `statsmodels.stats.multitest.multipletests`, `"holm"` and `"bonferroni"`.
#[test]
fn adjusted_p_values_are_those_of_statsmodels() {
    for case in oracle().adjusted {
        let found = [holm(&case.p).unwrap(), bonferroni(&case.p).unwrap()];
        for (found, expected) in found.iter().zip([&case.holm, &case.bonferroni]) {
            for (found, expected) in found.iter().zip(expected) {
                near("p", *found, *expected, 1e-15);
            }
        }
    }
}

/// Expected: `sklearn.metrics.roc_auc_score(max_fpr=...)`.
#[test]
fn corrected_partial_areas_are_those_of_scikit_learn() {
    for case in oracle().partial {
        let ranking = Ranking::new(&case.positive, &case.score);
        for (fpr, expected) in case.corrected {
            let range = [1.0 - fpr.parse::<f64>().unwrap(), 1.0];
            let found = partial_auc(&ranking, &vec![1; case.score.len()], Axis::Specificity, range).unwrap();
            near(&fpr, found.unwrap().corrected.unwrap(), expected, 1e-12);
        }
    }
}

#[test]
fn a_million_tied_rows_are_like_any_others() {
    let positive: Vec<bool> = (0..1_000_000).map(|row| row % 3 == 0).collect();
    let score = vec![0.25; positive.len()];
    let components = Components::new(&positive, &score).unwrap();
    assert_eq!(components.auc(), 0.5);
    let areas = delong(&[&components, &components]).unwrap();
    assert_eq!(areas.covariance, [[0.0; 2]; 2]);
    assert!(areas.interval(0, 0.95, Scale::Wald).is_err());
    assert!(areas.paired_test([0, 1], 0.95, Alternative::TwoSided).is_err());
    let patients = Clusters::new(&(0..positive.len()).map(|row| row / 10_000).collect::<Vec<_>>());
    let ranking = ClusterRanking::new(&positive, &score, &patients);
    let bootstrap = Bootstrap {
        resamples: 100,
        ..Bootstrap::default()
    };
    let replicates = bootstrap
        .resample_auc(&patients, std::slice::from_ref(&ranking))
        .unwrap();
    assert_eq!(replicates.interval(0), [0.5, 0.5]);
    let bca = replicates.bca(0, 0.5, ranking.jackknife().as_deref());
    assert!(bca.percentile_since.is_some() && bca.ci == [0.5, 0.5]);
}

/// Prints seconds; the figures that are quoted come from `cargo bench --bench pure -- auc delong`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let mut rng = seed::stream(0, "speed");
    let mut made = |rows: usize, per_patient: usize| {
        let patient: Vec<usize> = (0..rows).map(|row| row / per_patient).collect();
        let positive: Vec<bool> = patient.iter().map(|who| who % 2 == 0).collect();
        let scores = [0.5, 0.3].map(|shift| -> Vec<f64> {
            positive
                .iter()
                .map(|&class| rng.random::<f64>() + shift * f64::from(class))
                .collect()
        });
        (positive, scores, patient)
    };
    let (positive, scores, patient) = made(10_000, 10);
    let start = Instant::now();
    let clusters = Clusters::new(&patient);
    let rankings = scores
        .each_ref()
        .map(|score| ClusterRanking::new(&positive, score, &clusters));
    let bootstrap = Bootstrap {
        resamples: 10_000,
        ..Bootstrap::default()
    };
    let mut replicates = bootstrap.resample_auc(&clusters, &rankings).unwrap();
    let difference = replicates.push_difference([0, 1]);
    println!(
        "10k replicates, 1k patients, 10k rows, AUC and difference: {:?} in {:?}",
        replicates.interval(difference),
        start.elapsed()
    );

    let (positive, scores, patient) = made(1_000_000, 5);
    let start = Instant::now();
    let columns = scores
        .each_ref()
        .map(|score| Components::new(&positive, score).unwrap());
    let areas = delong(&[&columns[0]]).unwrap();
    println!(
        "DeLong, 1M rows, two sorts and one variance: {:?} in {:?}",
        areas.auc,
        start.elapsed()
    );
    let start = Instant::now();
    delong(&[&columns[0], &columns[1]]).unwrap();
    println!("covariance of two: {:?}", start.elapsed());
    let start = Instant::now();
    clustered_delong(&[&columns[0], &columns[1]], &Clusters::new(&patient)).unwrap();
    println!("clustered, 200k patients, covariance of two: {:?}", start.elapsed());
}
