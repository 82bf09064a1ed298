//! Calibration against scikit-learn and statsmodels.

use hounsfield::stats::{CalibrationBins, Isotonic, LogOdds, Platt, brier, brier_parts, decision_curve, wilson};
use serde::Deserialize;

/// What `make_calibration.py` wrote.
#[derive(Deserialize)]
struct Oracle {
    probabilities: Vec<Probabilities>,
    maps: Vec<Maps>,
    net_benefit: Vec<[f64; 3]>,
    wilson: [f64; 2],
}

#[derive(Deserialize)]
struct Probabilities {
    positive: Vec<bool>,
    p: Vec<f64>,
    weight: Vec<u32>,
    brier: f64,
    weighted_brier: f64,
    miscalibration: f64,
    discrimination: f64,
    intercept: f64,
    slope: f64,
    covariance: [[f64; 2]; 2],
    in_the_large: f64,
    weighted_slope: f64,
    observed: Vec<f64>,
    predicted: Vec<f64>,
}

#[derive(Deserialize)]
struct Maps {
    positive: Vec<bool>,
    score: Vec<f64>,
    weight: Vec<f64>,
    grid: Vec<f64>,
    slope: f64,
    intercept: f64,
    sigmoid: Vec<f64>,
    isotonic: Vec<f64>,
    weighted_isotonic: Vec<f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../oracles/calibration/calibration.json")).expect("make_calibration.py wrote it")
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance * expected.abs().max(1.0),
        "{found}, expected {expected}"
    );
}

/// Expected: `brier_score_loss` of the probabilities and of `IsotonicRegression`'s, scikit-learn 1.9.1.
#[test]
fn brier_scores_and_their_parts_are_those_of_scikit_learn() {
    for case in oracle().probabilities {
        let ones = vec![1; case.p.len()];
        near(brier(&case.positive, &case.p, &ones).unwrap(), case.brier, 1e-13);
        near(
            brier(&case.positive, &case.p, &case.weight).unwrap(),
            case.weighted_brier,
            1e-13,
        );
        let parts = brier_parts(&case.positive, &case.p).unwrap();
        near(parts.miscalibration, case.miscalibration, 1e-12);
        near(parts.discrimination, case.discrimination, 1e-12);
    }
}

/// Expected: `Logit(y, [1, logit(p)])` and `GLM(y, 1, Binomial, offset=logit(p))`, statsmodels 0.15.0.
#[test]
fn slope_intercept_and_calibration_in_the_large_are_those_of_statsmodels() {
    for case in oracle().probabilities {
        let odds = LogOdds::new(&case.positive, &case.p).unwrap();
        let line = odds.fit(&vec![1; case.p.len()], None).unwrap();
        near(line.slope(), case.slope, 1e-9);
        near(line.intercept(), case.intercept, 1e-9);
        near(line.in_the_large, case.in_the_large, 1e-9);
        for (found, expected) in line.covariance().iter().flatten().zip(case.covariance.iter().flatten()) {
            near(*found, *expected, 1e-8);
        }
        let counted = odds.fit(&case.weight, Some(&line)).unwrap();
        near(counted.slope(), case.weighted_slope, 1e-9);
    }
}

/// Expected: `calibration_curve(y, p, n_bins=7, strategy="quantile")`, scikit-learn 1.9.1;
/// `proportion_confint(7, 12, method="wilson")`, statsmodels 0.15.0.
#[test]
fn the_curve_is_that_of_scikit_learn() {
    for case in oracle().probabilities {
        let bins = CalibrationBins::quantiles(&case.p, 7).unwrap();
        let curve = bins.curve(&case.positive, &case.p, 0.95).unwrap();
        assert_eq!(curve.len(), case.observed.len());
        for (bin, (observed, predicted)) in curve.iter().zip(case.observed.iter().zip(&case.predicted)) {
            near(bin.observed, *observed, 1e-13);
            near(bin.predicted, *predicted, 1e-13);
            assert!(bin.lower <= bin.observed && bin.observed <= bin.upper, "{bin:?}");
        }
    }
    let [lower, upper] = wilson(7, 12, 0.95).unwrap();
    near(lower, oracle().wilson[0], 1e-13);
    near(upper, oracle().wilson[1], 1e-13);
}

/// Expected: a binomial `GLM` on Platt's targets, statsmodels 0.15.0, to 1e-8; `_SigmoidCalibration`, scikit-learn
/// 1.9.1, which stops where the gradient is 1e-6 and has an odd sign convention only inside.
#[test]
fn the_sigmoid_is_that_of_statsmodels_and_scikit_learn() {
    for case in oracle().maps {
        let map = Platt::fit(&case.positive, &case.score).unwrap();
        near(map.slope, case.slope, 1e-8);
        near(map.intercept, case.intercept, 1e-8);
        for (score, expected) in case.grid.iter().zip(&case.sigmoid) {
            near(map.apply(*score), *expected, 1e-4);
        }
    }
}

/// Expected: `IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")`, scikit-learn 1.9.1.
#[test]
fn the_isotonic_map_is_that_of_scikit_learn() {
    for case in oracle().maps {
        let plain = Isotonic::fit(&case.positive, &case.score).unwrap();
        let weighted = Isotonic::fit_weighted(&case.positive, &case.score, &case.weight).unwrap();
        for (at, score) in case.grid.iter().enumerate() {
            near(plain.apply(*score), case.isotonic[at], 1e-10);
            near(weighted.apply(*score), case.weighted_isotonic[at], 1e-10);
        }
    }
}

/// Expected: the formula of Vickers & Elkin 2006 on `confusion_matrix`, scikit-learn 1.9.1.
#[test]
fn net_benefits_are_those_of_the_confusion_matrix() {
    let oracle = oracle();
    let case = &oracle.probabilities[0];
    let thresholds: Vec<f64> = oracle.net_benefit.iter().map(|row| row[0]).collect();
    let curve = decision_curve(&case.positive, &case.p, &thresholds).unwrap();
    for (point, [_, model, all]) in curve.iter().zip(&oracle.net_benefit) {
        near(point.model, *model, 1e-13);
        near(point.all, *all, 1e-13);
    }
}
