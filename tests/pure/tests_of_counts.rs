//! Tests on counts and printed summaries, kappa and its errors, against scipy, statsmodels, scikit-learn and irrCAC.

use hounsfield::stats::{
    ChiSquared, KappaWeights, PairTable, Summary, anova, chi_squared, chi_squared_yates, cochran_armitage,
    fisher_exact, fleiss_kappa_with_error, linear_by_linear, mcnemar, pooled, smallest_expected, t_test_pooled,
    t_test_welch,
};
use serde::Deserialize;

/// What `make_tests.py` wrote.
#[derive(Deserialize)]
struct Oracle {
    counts: Vec<Counts>,
    paired: Vec<Paired>,
    trends: Vec<Trend>,
    summaries: Vec<Groups>,
    kappas: Vec<Ratings>,
    fleiss: Vec<Raters>,
}

#[derive(Deserialize)]
struct Counts {
    table: Vec<Vec<u64>>,
    chi2: [f64; 3],
    smallest: f64,
    scores: [Vec<f64>; 2],
    trend: [f64; 2],
    yates: Option<[f64; 2]>,
    fisher: Option<f64>,
}

#[derive(Deserialize)]
struct Paired {
    b: u64,
    c: u64,
    plain: [f64; 2],
    corrected: [f64; 2],
    exact: f64,
}

#[derive(Deserialize)]
struct Trend {
    hits: Vec<u64>,
    trials: Vec<u64>,
    scores: Vec<f64>,
    z: f64,
    p: f64,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<(u64, f64, f64)>,
    pooled: [f64; 3],
    welch: [f64; 3],
    anova: [f64; 2],
    whole: (u64, f64, f64),
}

#[derive(Deserialize)]
struct Ratings {
    table: Vec<Vec<u64>>,
    unweighted: [f64; 3],
    linear: [f64; 3],
    quadratic: [f64; 3],
}

#[derive(Deserialize)]
struct Raters {
    table: Vec<Vec<u64>>,
    kappa: f64,
    se: f64,
    statsmodels: Option<f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../oracles/tests/tests.json")).expect("make_tests.py wrote it")
}

/// Within 1e-9 of the expected number's size.
#[track_caller]
fn close(found: f64, expected: f64) {
    let size = expected.abs().max(1e-3);
    assert!((found - expected).abs() <= 1e-9 * size, "{found} and not {expected}");
}

fn rows(table: &[Vec<u64>]) -> Vec<&[u64]> {
    table.iter().map(Vec::as_slice).collect()
}

#[track_caller]
fn close_test(found: Option<ChiSquared>, [statistic, p]: [f64; 2]) {
    let found = found.expect("the table defines the test");
    close(found.statistic, statistic);
    close(found.p, p);
}

/// Expected: `scipy.stats.chi2_contingency`, `scipy.stats.fisher_exact`, and
/// `statsmodels.stats.contingency_tables.Table.test_ordinal_association` as M2; see make_tests.py.
#[test]
fn tests_of_independence_and_of_a_trend_are_those_of_scipy_and_statsmodels() {
    for case in oracle().counts {
        let table = rows(&case.table);
        let [statistic, df, p] = case.chi2;
        close_test(chi_squared(&table), [statistic, p]);
        close(chi_squared(&table).unwrap().df, df);
        close(smallest_expected(&table).unwrap(), case.smallest);
        close_test(linear_by_linear(&table, &case.scores[0], &case.scores[1]), case.trend);
        if let (Some(yates), Some(fisher)) = (case.yates, case.fisher) {
            let square = [0, 1].map(|i| [0, 1].map(|j| case.table[i][j]));
            close_test(chi_squared_yates(square), yates);
            close(fisher_exact(square), fisher);
        }
    }
}

/// Expected: `statsmodels.stats.contingency_tables.mcnemar`; see make_tests.py.
#[test]
fn tests_of_pairs_are_those_of_statsmodels() {
    for case in oracle().paired {
        let found = mcnemar(case.b, case.c);
        close_test(found.asymptotic, case.plain);
        close_test(found.corrected, case.corrected);
        close(found.exact_p, case.exact);
    }
}

/// Expected: the square root of n times `scipy.stats.pearsonr` of the single observations; see make_tests.py.
#[test]
fn a_trend_in_proportions_is_a_correlation() {
    for case in oracle().trends {
        let found = cochran_armitage(&case.hits, &case.trials, &case.scores).unwrap();
        close(found.z, case.z);
        close(found.p, case.p);
    }
}

/// Expected: `scipy.stats.ttest_ind` and `f_oneway` on the observations that the summaries are of; see make_tests.py.
#[test]
fn summaries_give_the_tests_of_the_observations() {
    for case in oracle().summaries {
        let groups: Vec<Summary> = case
            .groups
            .iter()
            .map(|&(n, mean, sd)| Summary { n, mean, sd })
            .collect();
        for (found, [t, df, p]) in [
            (t_test_pooled(groups[0], groups[1]), case.pooled),
            (t_test_welch(groups[0], groups[1]), case.welch),
        ] {
            let found = found.unwrap();
            close(found.t, t);
            close(found.df, df);
            close(found.p, p);
        }
        let found = anova(&groups).unwrap();
        close(found.f, case.anova[0]);
        close(found.p, case.anova[1]);
        let whole = pooled(&groups).unwrap();
        assert_eq!(whole.n, case.whole.0);
        close(whole.mean, case.whole.1);
        close(whole.sd, case.whole.2);
    }
}

/// Expected: `sklearn.metrics.cohen_kappa_score`, and the errors of `statsmodels.stats.inter_rater.cohens_kappa`; see
/// make_tests.py.
#[test]
fn kappa_and_its_errors_are_those_of_scikit_learn_and_statsmodels() {
    for case in oracle().kappas {
        let pairs = PairTable::new(&rows(&case.table)).unwrap();
        for (weights, [value, error, null_error]) in [
            (KappaWeights::Unweighted, case.unweighted),
            (KappaWeights::Linear, case.linear),
            (KappaWeights::Quadratic, case.quadratic),
        ] {
            let found = pairs.kappa_with_error(weights, 0.95).unwrap().unwrap();
            close(found.value, value);
            close(pairs.kappa(weights).unwrap(), value);
            close(found.standard_error, error);
            close(found.null_standard_error, null_error);
            let [lower, upper] = found.interval.unwrap();
            assert!(lower < value && value < upper && lower >= -1.0 && upper <= 1.0);
        }
    }
}

/// Expected: `irrCAC.raw.CAC.fleiss` (value and error, with missing readings too) and
/// `statsmodels.stats.inter_rater.fleiss_kappa`; see make_tests.py.
#[test]
fn the_kappa_of_many_raters_is_that_of_irr_cac_and_statsmodels() {
    for case in oracle().fleiss {
        let found = fleiss_kappa_with_error(&case.table, 0.95).unwrap().unwrap();
        close(found.value, case.kappa);
        close(found.standard_error.unwrap(), case.se);
        if let Some(value) = case.statsmodels {
            close(found.value, value);
            assert!(found.p.is_some_and(|p| (0.0..=1.0).contains(&p)));
        }
    }
}
