//! The studies that this project is for, on real CT: what `hounsfield run` says of public data with known answers.
//!
//! The data are not in the repository. `HOUNSFIELD_DATA` names their folder; without it every test prints "skipped".
//! `cargo test --features torch --test real -- --nocapture`; a plain `cargo test` leaves this file out, for it takes
//! minutes.

mod clinical;
mod study;
mod volumes;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use study::{Study, modified};

/// The folder of the data set `name`, unless the data are not there.
fn data(name: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA").filter(|data| !data.is_empty()) else {
        eprintln!("skipped: HOUNSFIELD_DATA is not set");
        return None;
    };
    let folder = Path::new(&data).join(name);
    assert!(folder.is_dir(), "HOUNSFIELD_DATA has no {name}: {}", folder.display());
    Some(folder)
}

/// Slices -> features -> five heads -> internal and external validation -> report, from any folder; and a second run
/// that does nothing again.
#[test]
fn slices_of_two_sites_become_an_honest_report() {
    let Some(data) = data("ct-slices") else { return };
    let table = data.join("manifest.csv");
    let recipe = format!(
        r#"
seed = 0
[cohort]
table = {table:?}
path = "file"
patient = "group_id"
label = "cls"
positive = "covid"
site = "site"
[split]
kind = "holdout"
external = ["ucsd"]
fractions = {{ train = 0.8, validation = 0.1, test = 0.1 }}
[encoder]
kind = "bigbigan-resnet50"
weights = "random"
[features]
layers = ["z_mean", "bn_crelu_feat"]
[probe]
features = "z_mean"
heads = ["linear", "logistic", "svm-linear", "svm-rbf", "knn"]
unit = "patient"
"#
    );
    let study = Study::new(&recipe);
    let started = Instant::now();
    study.run(&[0, 1]);
    eprintln!(
        "the study took {:.0} s, at most {:.1} GB",
        started.elapsed().as_secs_f64(),
        study::peak_gigabytes()
    );

    // Every slice is a row or a named failure.
    for layer in ["z_mean", "bn_crelu_feat"] {
        let rows = study.rows(&format!("features/{layer}.parquet")) + study.failures();
        assert_eq!(rows, 3227, "rows and failures of {layer}");
    }
    let results = study.results();
    for head in ["linear", "logistic", "svm-linear", "svm-rbf", "knn"] {
        for set in ["train", "validation", "test", "external:ucsd"] {
            for metric in ["auc", "sensitivity", "specificity", "accuracy"] {
                let row = results.find(head, set, metric);
                let [low, high] = row.ci.unwrap_or_else(|| panic!("no interval: {head} {set} {metric}"));
                assert!(row.features == "z_mean" && row.unit == "patient", "{row:?}");
                assert!(row.level == 0.95 && !row.method.is_empty(), "{row:?}");
                assert!(low <= row.value && row.value <= high, "{row:?}");
                assert!(0 < row.n_positive && row.n_positive < row.n_patients, "{row:?}");
                assert!(row.n_patients <= row.n_rows, "{row:?}");
            }
        }
    }
    // 746 slices of ucsd, whatever the split of the other site.
    let external = results.find("knn", "external:ucsd", "auc");
    assert_eq!(external.n_rows, 746);
    let inner: usize = ["train", "validation", "test"]
        .map(|set| results.find("knn", set, "auc").n_rows)
        .iter()
        .sum();
    assert_eq!(inner, 2481);
    let report = study.text("report.html");
    assert!(
        report.contains("untrained"),
        "the report does not say that the weights were never trained"
    );
    assert!(!report.contains("src=\"http"), "the report is not offline");

    let artefacts = [
        "features/z_mean.parquet",
        "predictions.parquet",
        "results.json",
        "report.html",
    ];
    let before = artefacts.map(|name| modified(&study.path(name)));
    let started = Instant::now();
    study.run(&[0, 1]);
    assert_eq!(
        before,
        artefacts.map(|name| modified(&study.path(name))),
        "a stage ran again though nothing changed"
    );
    let took = started.elapsed();
    assert!(
        took < Duration::from_secs(60),
        "a run that has nothing to do took {took:?}"
    );
}

/// Published radiomics of one site, patients grouped: scikit-learn's `SVC(C=1, gamma="scale")` after
/// `StandardScaler` has an out-of-fold AUC of 0.9033 (reference_results.json beside the data).
#[test]
fn grouped_folds_give_the_auc_of_scikit_learn() {
    let Some(data) = data("features/cs760-sarscov2") else {
        return;
    };
    let study = cs760(&data, "kind = \"folds\"\ncolumn = \"fold\"");
    let auc = study.results().find("svm-rbf", "out-of-fold", "auc").value;
    assert!((auc - 0.903).abs() <= 0.01, "AUC {auc}, scikit-learn has 0.903");
    assert!(
        study
            .results()
            .banners
            .iter()
            .all(|banner| !banner.to_lowercase().contains("leak"))
    );
}

/// The same with slices of one patient on both sides: 0.9544, too good, and every output says why.
#[test]
fn slice_level_folds_leak_and_say_so() {
    let Some(data) = data("features/cs760-sarscov2") else {
        return;
    };
    let study = cs760(&data, "kind = \"folds\"\nk = 5\nunit = \"slice\"");
    let results = study.results();
    let auc = results.find("svm-rbf", "out-of-fold", "auc").value;
    assert!((auc - 0.954).abs() <= 0.01, "AUC {auc}, scikit-learn has 0.954");
    let leak = |text: &str| text.to_lowercase().contains("leak");
    assert!(
        results.banners.iter().any(|banner| leak(banner)),
        "no banner: {:?}",
        results.banners
    );
    assert!(leak(&study.text("report.html")), "the report does not tell of the leak");
}

/// A study of the 33 published features of cs760, imported from its CSV file, under the given split.
fn cs760(data: &Path, split: &str) -> Study {
    let recipe = format!(
        r#"
seed = 0
[cohort]
patient = "patient_id"
label = "label"
positive = "1"
[split]
{split}
[features]
table = "f33.parquet"
[probe]
unit = "slice"
heads = [{{ kind = "svm-rbf", c = 1.0, gamma = "scale" }}]
"#
    );
    let study = Study::new(&recipe);
    let features = data.join("features_33.csv");
    let labels = data.join("labels.csv");
    study.hounsfield(
        &[
            "features".as_ref(),
            "import".as_ref(),
            features.as_os_str(),
            "--labels".as_ref(),
            labels.as_os_str(),
            "--patient".as_ref(),
            "group_id".as_ref(),
            "--label".as_ref(),
            "label".as_ref(),
            "--out".as_ref(),
            study.folder().join("f33.parquet").as_os_str(),
        ],
        &[0],
    );
    assert!(fs::metadata(study.folder().join("f33.parquet")).is_ok_and(|file| file.len() > 0));
    study.run(&[0]);
    study
}
