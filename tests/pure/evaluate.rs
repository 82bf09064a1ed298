//! `hounsfield evaluate` and `hounsfield compare` on made tables; numbers against scikit-learn and statsmodels, see
//! tests/oracles/make_evaluate.py.

use std::collections::BTreeMap;

use hounsfield::tables::{Column, ColumnData, write_parquet};
use serde_json::Value;

use crate::command::{Said, Workshop, read};

const SCORES: &str = include_str!("../oracles/evaluate/scores.csv");

/// A folder with the made table.
fn shop() -> Workshop {
    let shop = Workshop::new("");
    shop.write("scores.csv", SCORES);
    shop
}

fn expected() -> Value {
    serde_json::from_str(include_str!("../oracles/evaluate/expected.json")).expect("make_evaluate.py wrote it")
}

/// Runs the command on a table with few resamples, checks what holds for any output, and reads the JSON.
fn on(shop: &Workshop, command: &str, table: &str, more: &[&str]) -> (Said, Value) {
    let (table, json) = (shop.path(table), shop.path("out.json"));
    let _ = std::fs::remove_file(&json);
    let paths = [
        table.to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
        "--bootstrap",
        "200",
    ];
    let said = shop.hounsfield(&[&[command], &paths[..], more].concat());
    assert_eq!(said.code == Some(2), !json.exists(), "{}", said.err);
    for line in said.out.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let text = if json.exists() { read(&json) } else { "null".to_owned() };
    for output in [&said.out, &said.err, &text] {
        assert!(
            !output.contains("Zoe") && !output.contains("Miller"),
            "a patient's name: {output}"
        );
        for word in ["NaN", "inf,", "inf ", "Infinity"] {
            assert!(!output.contains(word), "{word}: {output}");
        }
    }
    (said, serde_json::from_str(&text).expect("JSON"))
}

/// The measures of one metric in one assessment.
fn measures<'a>(json: &'a Value, assessment: usize, metric: &str) -> Vec<&'a Value> {
    let all = json["assessments"][assessment]["measures"].as_array().unwrap();
    all.iter().filter(|measure| measure["metric"] == metric).collect()
}

fn value(json: &Value, assessment: usize, metric: &str) -> f64 {
    measures(json, assessment, metric)[0]["value"]
        .as_f64()
        .unwrap_or_else(|| panic!("no {metric}"))
}

fn by<'a>(json: &'a Value, metric: &str, interval: &str) -> &'a Value {
    let found = measures(json, 0, metric)
        .into_iter()
        .find(|measure| measure["interval"] == interval);
    found.unwrap_or_else(|| panic!("no {interval} interval of {metric}"))
}

fn note(json: &Value, metric: &str) -> String {
    measures(json, 0, metric)[0]["note"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() < tolerance, "{found}, expected {expected}");
}

/// Expected: `roc_auc_score`, `confusion_matrix`, `roc_curve`, `brier_score_loss`, scikit-learn 1.9.1; `Logit`,
/// `proportion_confint`, statsmodels 0.15.0.
#[test]
fn numbers_of_rows_are_those_of_scikit_learn_and_statsmodels() {
    let options = [
        "--patient-per-row",
        "--positive",
        "cancer",
        "--score",
        "good",
        "--threshold",
        "0.5",
        "--sensitivity",
        "0.9",
    ];
    let (said, json) = on(&shop(), "evaluate", "scores.csv", &options);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected = expected();
    for (metric, number) in expected["rows"].as_object().unwrap() {
        near(value(&json, 0, metric), number.as_f64().unwrap(), 1e-9);
    }
    for (interval, name) in [("wilson", "wilson"), ("clopper-pearson", "clopper_pearson")] {
        for end in 0..2 {
            let found = by(&json, "sensitivity", interval)["ci"][end].as_f64().unwrap();
            near(found, expected[name][end].as_f64().unwrap(), 1e-9);
        }
    }
    assert!(by(&json, "auc", "bca")["ci"][0].as_f64() < Some(value(&json, 0, "auc")));
    let rows = SCORES.lines().count() as u64 - 1;
    assert_eq!(json["assessments"][0]["measures"][0]["n_patients"].as_u64(), Some(rows));
}

/// Expected: `groupby("patient").mean()` of pandas, then scikit-learn.
#[test]
fn scores_are_pooled_to_patients_before_they_are_measured() {
    let options = [
        "--positive",
        "cancer",
        "--score",
        "good",
        "--threshold",
        "0.5",
        "--sensitivity",
        "0.9",
    ];
    let (said, json) = on(&shop(), "evaluate", "scores.csv", &options);
    assert!(
        said.out.contains("unit patient: mean score per patient"),
        "{}",
        said.out
    );
    for (metric, number) in expected()["patients"].as_object().unwrap() {
        near(value(&json, 0, metric), number.as_f64().unwrap(), 1e-9);
    }
    let (_, json) = on(
        &shop(),
        "evaluate",
        "scores.csv",
        &[&options[..], &["--pool", "max"]].concat(),
    );
    near(value(&json, 0, "auc"), expected()["max_auc"].as_f64().unwrap(), 1e-12);
}

#[test]
fn rows_of_one_patient_are_no_independent_evidence() {
    let options = [
        "--positive",
        "cancer",
        "--score",
        "good",
        "--unit",
        "slice",
        "--threshold",
        "0.5",
    ];
    let (said, json) = on(&shop(), "evaluate", "scores.csv", &options);
    let width = |interval: &str| {
        let ci = &by(&json, "auc", interval)["ci"];
        ci[1].as_f64().unwrap() - ci[0].as_f64().unwrap()
    };
    assert!(width("clustered-delong") > width("delong"));
    assert!(said.out.contains("hence too narrow"), "{}", said.out);
    // Wilson's and Clopper and Pearson's intervals take rows for independent: there are none.
    assert_eq!(measures(&json, 0, "sensitivity").len(), 1);
    let (said, _) = on(
        &shop(),
        "evaluate",
        "scores.csv",
        &[&options[..], &["--pool", "max"]].concat(),
    );
    assert!(
        said.code == Some(2) && said.err.contains("nothing is pooled"),
        "{}",
        said.err
    );
}

#[test]
fn every_row_says_how_it_was_made() {
    let options = [
        "--positive",
        "cancer",
        "--score",
        "good,marker",
        "--specificity",
        "0.9",
        "--prevalence",
        "0.02",
    ];
    let (said, json) = on(&shop(), "evaluate", "scores.csv", &options);
    let (auc, fixed) = (
        by(&json, "auc", "bootstrap"),
        by(&json, "specificity-at-sensitivity", "threshold-kept"),
    );
    let method = auc["method"].as_str().unwrap();
    assert!(
        method.contains("200 patient-cluster bootstrap resamples, seed 0"),
        "{method}"
    );
    assert!(fixed["method"].as_str().unwrap().contains("kept in all resamples"));
    let ppv = by(&json, "ppv-at-prevalence", "bootstrap");
    assert!(ppv["value"].as_f64() < by(&json, "ppv", "bootstrap")["value"].as_f64());
    assert!(said.out.contains("hence optimistic"), "{}", said.out);
    assert!(
        said.out.contains("no calibration and no decision curve of marker: "),
        "{}",
        said.out
    );
    assert!(measures(&json, 1, "brier").is_empty() && json["assessments"][1]["decision"] == Value::Array(vec![]));
    assert_eq!(json["plan"]["bootstrap"]["seed"].as_u64(), Some(0));
}

/// Expected: `roc_auc_score` of the women's rows, scikit-learn 1.9.1.
#[test]
fn subgroups_are_measured_and_small_ones_get_a_sentence() {
    let options = [
        "--patient-per-row",
        "--positive",
        "cancer",
        "--score",
        "good",
        "--by",
        "sex",
    ];
    let (said, json) = on(&shop(), "evaluate", "scores.csv", &options);
    assert_eq!(json["assessments"][1]["group"][1], "f");
    near(value(&json, 1, "auc"), expected()["women_auc"].as_f64().unwrap(), 1e-12);
    assert!(said.out.contains("all by sex"), "{}", said.out);
    let shop = shop();
    let few = format!("{SCORES}Zoe-Miller-999,cancer,x,0.5,0.5,1\nZoe-Miller-998,healthy,,0.5,0.5,1\n");
    shop.write("scores.csv", &few);
    let (said, _) = on(&shop, "evaluate", "scores.csv", &options[1..]);
    assert!(
        said.out
            .contains("one class only: all, sex = x holds 1 positive and 0 negative"),
        "{}",
        said.out
    );
    assert!(said.out.contains("rows of all have no sex"), "{}", said.out);
    let (said, _) = on(
        &shop,
        "evaluate",
        "scores.csv",
        &["--positive", "cancer", "--by", "patient"],
    );
    assert!(
        said.code == Some(2) && said.err.contains("two purposes"),
        "{}",
        said.err
    );
}

#[test]
fn curves_are_written_as_tables() {
    let shop = shop();
    let folder = shop.path("curves");
    let options = [
        "--positive",
        "cancer",
        "--score",
        "good",
        "--curves",
        folder.to_str().unwrap(),
    ];
    on(&shop, "evaluate", "scores.csv", &options);
    let rows = |name: &str| read(&folder.join(name)).lines().count();
    assert_eq!(
        (rows("roc-band.csv"), rows("decision.csv"), rows("calibration.csv")),
        (52, 100, 11)
    );
    let roc = read(&folder.join("roc.csv"));
    assert!(
        roc.starts_with("score,set,group,threshold,fpr,tpr\ngood,all,,,0,0\n"),
        "{roc}"
    );
    assert!(!roc.contains("Zoe") && !roc.contains("NaN"));
}

#[test]
fn what_is_not_clear_is_asked_for_and_nothing_is_written() {
    let shop = shop();
    let ask = |table: &str, options: &[&str], wanted: &str| {
        let (said, _) = on(&shop, "evaluate", table, options);
        assert!(
            said.code == Some(2) && said.err.contains(wanted),
            "{wanted}: {}",
            said.err
        );
    };
    ask(
        "scores.csv",
        &[],
        "name it with `--positive`; column `label` holds `cancer` (",
    );
    ask("scores.csv", &["--positive", "cancr"], "no row has the label `cancr`");
    shop.write("who.csv", "case,label,a\nZoe,1,0.5\nMiller,0,0.5\n");
    ask("who.csv", &["--positive", "1"], "--patient-per-row");
    shop.write("empty.csv", "patient,label,a\n");
    ask("empty.csv", &["--positive", "1"], "no rows");
    shop.write("text.csv", "patient,label,a\nZoe,1,high\n");
    ask(
        "text.csv",
        &["--positive", "1", "--score", "a"],
        "column `a` holds text at row 1",
    );
    ask("scores.csv", &["--positive", "cancer", "--level", "95"], "95 % is 0.95");
    ask(
        "scores.csv",
        &["--positive", "cancer", "--prevalence", "2"],
        "2 % is 0.02",
    );
    ask(
        "scores.csv",
        &["--positive", "cancer", "--set", "test"],
        "no row is of the set `test`",
    );
    ask(
        "scores.csv",
        &["--positive", "cancer", "--score", "good,goood"],
        "goood",
    );
}

#[test]
fn degenerate_scores_get_sentences() {
    let shop = Workshop::new("");
    let rows = |row: &dyn Fn(usize) -> String| -> String {
        (0..24)
            .map(|at| format!("Zoe-Miller-{at},{}\n", row(at)))
            .collect::<String>()
    };
    let measure = |table: &str, options: &[&str]| {
        shop.write("odd.csv", &format!("patient,label,a\n{table}"));
        on(&shop, "evaluate", "odd.csv", &[&["--positive", "1"], options].concat())
    };
    // One class.
    let (said, json) = measure(&rows(&|at| format!("1,0.{at:02}")), &["--threshold", "0.1"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("one class only") && said.out.contains("undefined"),
        "{}",
        said.out
    );
    assert!(measures(&json, 0, "auc")[0]["value"].is_null() && value(&json, 0, "sensitivity") > 0.5);
    // Constant scores.
    let (said, json) = measure(&rows(&|at| format!("{},0.5", at % 2)), &[]);
    assert_eq!((said.code, value(&json, 0, "auc")), (Some(0), 0.5));
    assert!(note(&json, "auc").contains("all resamples have this value"));
    assert!(note(&json, "calibration-slope").contains("all rows have one probability"));
    // 100 % sensitivity and specificity.
    let (said, json) = measure(
        &rows(&|at| format!("{},{}", u8::from(at > 11), at as f64 / 30.0 + 0.05)),
        &["--threshold", "0.44", "--prevalence", "0.1"],
    );
    assert_eq!((said.code, value(&json, 0, "sensitivity")), (Some(0), 1.0));
    assert_eq!(by(&json, "auc", "newcombe")["ci"][1].as_f64(), Some(1.0));
    assert!(by(&json, "sensitivity", "wilson")["ci"][0].as_f64() < Some(0.9));
    assert!(by(&json, "ppv-at-prevalence", "ends")["ci"][0].as_f64() < Some(0.9));
    assert!(note(&json, "calibration-slope").contains("separate the classes"));
    // One patient a class, in many rows.
    let few: String = (0..20)
        .map(|at| format!("Zoe{},{},0.{at:02}\n", at % 2, at % 2))
        .collect();
    let (said, json) = measure(&few, &["--unit", "slice"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        measures(&json, 0, "auc")
            .iter()
            .all(|auc| auc["interval"] == "delong" || auc["ci"].is_null())
    );
    assert!(note(&json, "auc").contains("fewer than 2 patients"));
    // Missing scores and labels are counted, and the rest goes on.
    let (said, _) = measure(
        &rows(&|at| match at {
            3 => "1,NaN".to_owned(),
            4 => ",0.5".to_owned(),
            5 => "0,inf".to_owned(),
            _ => format!("{},0.{:02}", at % 2, (at * 7) % 24),
        }),
        &[],
    );
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(
        said.out.contains("1 of 24 rows are left out: they have no label"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("2 of 23 rows have no finite number in column \"a\""),
        "{}",
        said.out
    );
    // Probabilities of exactly 0 and 1 have no slope, and all the rest.
    let (_, json) = measure(&rows(&|at| format!("{},{}", at % 2, (at % 5) as f64 / 4.0)), &[]);
    assert!(note(&json, "calibration-slope").contains("exactly 0 or 1"));
    assert!(measures(&json, 0, "calibration-slope")[0]["value"].is_null() && value(&json, 0, "brier") > 0.0);
}

#[test]
fn predictions_of_a_study_are_read_with_their_sets_thresholds_and_positive_class() {
    let shop = Workshop::new("");
    let text = |name: &str, cell: &dyn Fn(usize) -> String| {
        Column::new(name, ColumnData::Text((0..60).map(|row| Some(cell(row))).collect()))
    };
    let number = |name: &str, cell: &dyn Fn(usize) -> f64| {
        Column::new(name, ColumnData::Float64((0..60).map(|row| Some(cell(row))).collect()))
    };
    let columns = [
        Column::new("row", ColumnData::Int((1..=60).collect())),
        text("slice_id", &|row| format!("slice-{row}")),
        text("scan_id", &|row| format!("scan-{}", row / 2)),
        text("patient_id", &|row| format!("pat-{}", row / 2)),
        text("label", &|row| {
            if row % 4 < 2 {
                "covid".to_owned()
            } else {
                "cap".to_owned()
            }
        }),
        text("set", &|row| {
            if row < 20 {
                "train".to_owned()
            } else {
                "test".to_owned()
            }
        }),
        number("z_mean.svm-rbf", &|row| {
            (row * 13 % 60) as f64 - if row % 4 < 2 { 0.0 } else { 15.0 }
        }),
        number("z_mean.svm-rbf.threshold", &|_| 20.0),
    ];
    let metadata = BTreeMap::from([("hounsfield.positive".to_owned(), "covid".to_owned())]);
    write_parquet(&shop.path("predictions.parquet"), &columns, &metadata).unwrap();
    let (said, json) = on(
        &shop,
        "evaluate",
        "predictions.parquet",
        &["--set", "test", "--unit", "scan"],
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(json["positive"], "covid");
    assert_eq!(json["assessments"].as_array().unwrap().len(), 1);
    assert!(said.out.contains("the scores' own threshold 20.0000"), "{}", said.out);
    let auc = by(&json, "auc", "bootstrap");
    assert_eq!(
        (&auc["head"], &auc["set"], auc["n_patients"].as_u64()),
        (&"z_mean.svm-rbf".into(), &"test".into(), Some(20))
    );
    let (_, json) = on(&shop, "evaluate", "predictions.parquet", &[]);
    assert_eq!(json["assessments"].as_array().unwrap().len(), 2);
}

#[test]
fn comparisons_are_paired_and_adjusted_over_their_family() {
    let shop = shop();
    let options = [
        "--positive",
        "cancer",
        "--patient-per-row",
        "--score",
        "good,poor,marker",
    ];
    let (said, json) = on(&shop, "compare", "scores.csv", &options);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out
            .contains("all 3 pairs of scores, as no smaller family was declared"),
        "{}",
        said.out
    );
    let set = &json["sets"][0];
    let first = &set["comparisons"][0];
    let difference = expected()["rows"]["auc"].as_f64().unwrap() - expected()["poor_auc"].as_f64().unwrap();
    near(first["difference"].as_f64().unwrap(), difference, 1e-12);
    for test in first["tests"].as_array().unwrap() {
        let of = |key: &str| test[key].as_f64().unwrap();
        assert!(of("p") <= of("p_holm") && of("p_holm") <= of("p_bonferroni"), "{test}");
    }
    let (said, json) = on(
        &shop,
        "compare",
        "scores.csv",
        &[&options[..], &["--family", "poor:good"]].concat(),
    );
    let turned = &json["sets"][0]["comparisons"][0];
    near(turned["difference"].as_f64().unwrap(), -difference, 1e-12);
    assert!(said.out.contains("declared: 1 comparisons") && turned["tests"][1]["p"] == turned["tests"][1]["p_holm"]);
    let (said, _) = on(
        &shop,
        "compare",
        "scores.csv",
        &[&options[..], &["--family", "good:bad"]].concat(),
    );
    assert!(said.code == Some(2) && said.err.contains("`good:bad`"), "{}", said.err);
    let (said, _) = on(
        &shop,
        "compare",
        "scores.csv",
        &["--positive", "cancer", "--score", "good"],
    );
    assert!(
        said.code == Some(2) && said.err.contains("at least 2 columns"),
        "{}",
        said.err
    );
}

#[test]
fn comparisons_of_slices_respect_their_patients() {
    let options = [
        "--positive",
        "cancer",
        "--unit",
        "slice",
        "--score",
        "good,poor",
        "--reference",
        "poor",
    ];
    let (said, json) = on(&shop(), "compare", "scores.csv", &options);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let tests = json["sets"][0]["comparisons"][0]["tests"].as_array().unwrap();
    let kinds: Vec<&str> = tests.iter().map(|test| test["interval"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["bootstrap", "clustered-delong", "delong"]);
    assert!(
        said.out.contains("hence too sure") && said.out.contains("comparisons with poor"),
        "{}",
        said.out
    );
}
