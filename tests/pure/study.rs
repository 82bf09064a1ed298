//! Whole studies by the command line, from tables of features: what a user without libtorch does.

use std::collections::BTreeMap;

use hounsfield::{
    features::{FeatureTable, Provenance, Rows, feature_names, write_features},
    seed::stream,
    tables::{ParquetTable, read_table},
};
use ndarray::Array2;
use rand::seq::SliceRandom as _;
use rand_distr::{Distribution as _, StandardNormal};

use crate::command::Workshop;

/// A study that starts from a table of features.
fn workshop(table: &FeatureTable, recipe: &str) -> Workshop {
    let shop = Workshop::new(recipe);
    write_features(&shop.path("features.parquet"), table).unwrap();
    shop
}

/// `(head, set, metric)` to the value, from `results.json`.
fn results(shop: &Workshop) -> BTreeMap<(String, String, String), f64> {
    let json: serde_json::Value = serde_json::from_str(&shop.text("results.json")).unwrap();
    assert_eq!(json["schema"], 1);
    let word = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = json["results"].as_array().unwrap().iter();
    rows.map(|row| {
        (
            (word(row, "head"), word(row, "set"), word(row, "metric")),
            row["value"].as_f64().unwrap(),
        )
    })
    .collect()
}

/// Patients of five slices; slices of one patient resemble each other (`clustered`), and the classes differ by `signal`.
pub(crate) fn made(patients: usize, signal: f64, clustered: f64, seed: u64) -> FeatureTable {
    const SLICES: usize = 5;
    const WIDTH: usize = 12;
    let mut rng = stream(seed, "made study");
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let mut values = Array2::zeros((patients * SLICES, WIDTH));
    for patient in 0..patients {
        let own: Vec<f64> = (0..WIDTH).map(|_| clustered * normal()).collect();
        for slice in 0..SLICES {
            for feature in 0..WIDTH {
                let shift = if patient % 2 == 0 && feature < 3 { signal } else { 0.0 };
                values[[patient * SLICES + slice, feature]] = (own[feature] + shift + normal()) as f32;
            }
        }
    }
    let n = patients * SLICES;
    let some = |cell: &dyn Fn(usize) -> String| (0..n).map(|row| Some(cell(row / SLICES))).collect::<Vec<_>>();
    FeatureTable {
        values,
        names: feature_names(WIDTH),
        rows: Rows {
            slice_id: (0..n).map(|row| format!("slc-{row:05}")).collect(),
            scan_id: (0..n).map(|row| format!("scn-{:04}", row / SLICES)).collect(),
            patient_id: (0..n).map(|row| format!("pat-{:04}", row / SLICES)).collect(),
            label: some(&|patient| if patient % 2 == 0 { "covid" } else { "cap" }.to_owned()),
            site: some(&|patient| if patient % 5 == 0 { "far" } else { "near" }.to_owned()),
            split: vec![None; n],
            extra: vec![("fold".to_owned(), some(&|patient| (patient % 4).to_string()))],
        },
        provenance: Provenance {
            layer: "made".to_owned(),
            pseudonyms: true,
            ..Provenance::default()
        },
    }
}

const HOLDOUT: &str = r#"
seed = 1
[cohort]
positive = "covid"
[split]
kind = "holdout"
external = ["far"]
fractions = { train = 0.6, validation = 0.2, test = 0.2 }
[features]
table = "features.parquet"
[probe]
bootstrap = { resamples = 200 }
"#;

const FOLDS: &str = r#"
[cohort]
positive = "covid"
[split]
kind = "folds"
k = 5
[features]
table = "features.parquet"
[probe]
unit = "slice"
heads = ["logistic", { kind = "knn", k = 5 }]
bootstrap = { resamples = 200 }
"#;

fn key(head: &str, set: &str, metric: &str) -> (String, String, String) {
    (head.to_owned(), set.to_owned(), metric.to_owned())
}

#[test]
fn a_study_leaves_all_its_artefacts_and_is_skipped_the_second_time() {
    let shop = workshop(&made(100, 1.0, 0.5, 0), HOLDOUT);
    let first = shop.run(&[]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert!(
        first.out.contains("external: far") && first.out.contains("report.html"),
        "{}",
        first.out
    );
    let results = results(&shop);
    for head in ["linear", "logistic", "svm-linear", "svm-rbf", "knn"] {
        for set in ["train", "validation", "test", "external:far"] {
            assert!(
                results[&key(head, set, "auc")] > 0.7,
                "{head} on {set}: {:?}",
                results[&key(head, set, "auc")]
            );
        }
        assert!(shop.artefact(&format!("models/features.{head}.safetensors")).exists());
    }
    assert!(shop.text("report.html").contains("covid"));
    assert!(shop.text("run.lock.toml").contains("resamples = 200"));
    let split = read_table(&shop.artefact("split.csv")).unwrap();
    assert_eq!(split.n_rows, 500);

    let predictions = ParquetTable::open(&shop.artefact("predictions.parquet")).unwrap();
    let scores = predictions
        .f64s(predictions.position("features.svm-rbf").unwrap())
        .unwrap();
    assert_eq!(scores.iter().flatten().count(), 500);

    let second = shop.run(&[]);
    assert_eq!(second.code, Some(0), "{}", second.err);
    assert_eq!(second.err.matches("up to date").count(), 5, "{}", second.err);
    assert_eq!(first.out, second.out);
}

#[test]
fn a_saved_head_scores_as_it_did_in_the_study() {
    let shop = workshop(&made(60, 1.0, 0.5, 3), HOLDOUT);
    assert_eq!(
        shop.run(&["--set", "probe.heads=[\"svm-rbf\", \"linear\"]"]).code,
        Some(0)
    );
    let predictions = ParquetTable::open(&shop.artefact("predictions.parquet")).unwrap();
    for head in ["svm-rbf", "linear"] {
        let model = shop.artefact(&format!("models/features.{head}.safetensors"));
        let table = shop.path("features.parquet");
        let said = shop.hounsfield(&["predict", model.to_str().unwrap(), table.to_str().unwrap()]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        shop.write("scores.csv", &said.out);
        let again = read_table(&shop.path("scores.csv")).unwrap();
        let again: Vec<f64> = again
            .column("score")
            .unwrap()
            .iter()
            .flatten()
            .map(|cell| cell.parse().unwrap())
            .collect();
        let name = format!("features.{head}");
        let before = predictions.f64s(predictions.position(&name).unwrap()).unwrap();
        for (a, b) in before.iter().flatten().zip(&again) {
            assert!(
                (a - b).abs() < 1e-9,
                "{head}: {a} in the study, {b} from the saved head"
            );
        }
        assert_eq!(again.len(), 300);
    }
}

/// No signal at all: what a split by slice finds is the patients.
#[test]
fn a_split_by_slice_finds_patients_and_says_so_on_every_output() {
    let shop = workshop(&made(60, 0.0, 3.0, 0), FOLDS);
    assert_eq!(shop.run(&[]).code, Some(0));
    let honest = results(&shop)[&key("knn", "out-of-fold", "auc")];
    assert!(!shop.text("report.html").contains("LEAKAGE"));

    let said = shop.run(&["--set", "split.unit=slice"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let leaky = results(&shop)[&key("knn", "out-of-fold", "auc")];
    assert!(
        honest < 0.7 && leaky > 0.95,
        "patients apart {honest}, slices apart {leaky}"
    );
    for output in [
        said.out,
        shop.text("report.html"),
        shop.text("results.json"),
        shop.text("report.md"),
    ] {
        assert!(output.contains("LEAKAGE"), "{output}");
    }
}

#[test]
fn the_order_of_the_rows_changes_nothing() {
    let table = made(60, 0.7, 1.0, 5);
    let mut order: Vec<usize> = (0..300).collect();
    order.shuffle(&mut stream(0, "order"));
    let shuffled = FeatureTable {
        values: table.values.select(ndarray::Axis(0), &order),
        rows: table.rows.select(&order),
        ..table.clone()
    };
    let run = |table: &FeatureTable, recipe: &str| {
        let shop = workshop(table, recipe);
        let said = shop.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        results(&shop)
    };
    for recipe in [HOLDOUT, FOLDS] {
        let (a, b) = (run(&table, recipe), run(&shuffled, recipe));
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
        for (key, value) in &a {
            // A score's last bits depend on the order of sums; one slice that changes places is 1 in 300.
            assert!((value - b[key]).abs() < 0.01, "{key:?}: {value} and {}", b[key]);
        }
    }
}

#[test]
fn given_folds_and_given_sets_are_taken_as_they_are() {
    let mut table = made(40, 1.0, 0.5, 2);
    let words = ["train", "train", "val", "test"];
    let sets = (0..200).map(|row| Some(words[row / 5 / 2 % 4].to_owned())).collect();
    table.rows.extra.push(("part".to_owned(), sets));
    let shop = workshop(&table, FOLDS);
    let said = shop.run(&["--set", "split={kind=\"folds\", column=\"fold\"}"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = shop.run(&["--set", "split={kind=\"column\", column=\"part\"}"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(results(&shop).contains_key(&key("knn", "test", "auc")));
}

#[test]
fn what_is_wrong_is_said_with_a_way_out_and_exit_code_2() {
    let table = made(40, 1.0, 0.5, 0);
    let shop = workshop(&table, HOLDOUT);
    let refused = |shop: &Workshop, more: &[&str], words: &[&str]| {
        let said = shop.run(more);
        assert_eq!(said.code, Some(2), "{more:?}: {}{}", said.out, said.err);
        for word in words {
            assert!(said.err.contains(word), "{more:?}: {word:?} is not in {}", said.err);
        }
        assert!(!said.err.contains("pat-00"), "an identifier: {}", said.err);
    };
    refused(
        &shop,
        &["--set", "cohort.positive=flu"],
        &["no row has the label `flu`", "`covid` (100)"],
    );
    refused(
        &shop,
        &["--set", "split.external=[\"nowhere\"]"],
        &["no row has the site `nowhere`", "`far`"],
    );
    refused(&shop, &["--set", "probe.heads=[\"svmm\"]"], &["svmm", "svm-rbf"]);
    refused(&shop, &["--set", "seed=-1"], &["-1"]);
    refused(&shop, &["--set", "features.tabel=x"], &["tabel", "table"]);
    refused(&shop, &["--set", "nonsense"], &["--set table.key=value"]);
    refused(&shop, &["--set", "cohort.patient=mrn"], &["mrn", "patient_id"]);
    refused(
        &shop,
        &["--set", "split={kind=\"column\", column=\"fold\"}"],
        &["`0` in the split column `fold`"],
    );

    shop.write(
        "study.toml",
        &HOLDOUT.replace("[split]", "[split]\nextrenal = [\"far\"]"),
    );
    refused(&shop, &[], &["extrenal", "external", "line 6, column 1", "^^^^^^^^"]);
    shop.write("study.toml", &HOLDOUT.replace("seed = 1", "seeed = 1"));
    refused(&shop, &[], &["seeed", "line 2", "^"]);
    shop.write("study.toml", &HOLDOUT.replace("table = \"features.parquet\"", ""));
    refused(&shop, &[], &["`cohort.table`", "`features.table`"]);
    shop.write("study.toml", &HOLDOUT.replace("features.parquet", "none.parquet"));
    refused(&shop, &[], &["none.parquet"]);

    let mut broken = table.clone();
    broken.values[[7, 3]] = f32::NAN;
    refused(
        &workshop(&broken, HOLDOUT),
        &[],
        &["1 values of the features `features`", "row 8", "`f003`"],
    );
    let mut one = table.clone();
    one.rows.label.fill(Some("covid".to_owned()));
    refused(
        &workshop(&one, HOLDOUT),
        &[],
        &["all 200 labelled rows are of one class (`covid`)"],
    );
    let mut leak = table.clone();
    leak.rows.extra[0].1 = (0..200).map(|row| Some((row % 4).to_string())).collect();
    let leak = workshop(&leak, FOLDS);
    let given = ["--set", "split={kind=\"folds\", column=\"fold\"}"];
    refused(
        &leak,
        &given,
        &["40 patients stand in two sets", "split.unit = \"slice\""],
    );
}

#[test]
fn rows_without_a_label_are_counted_and_left_out() {
    let mut table = made(60, 1.0, 0.5, 0);
    table.rows.label[12] = None;
    let shop = workshop(&table, HOLDOUT);
    let said = shop.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("1 of 300 rows have no label"), "{}", said.out);
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_build_without_libtorch_says_so() {
    let shop = workshop(&made(4, 1.0, 0.5, 0), HOLDOUT);
    shop.write(
        "slices.csv",
        "file,patient,label\na.png,1,covid\nb.png,2,cap\nc.png,3,covid\nd.png,4,cap\n",
    );
    shop.write(
        "study.toml",
        "[cohort]\ntable = 'slices.csv'\npath = 'file'\npatient = 'patient'\nlabel = 'label'\npositive = 'covid'\n\
         [split]\nkind = 'folds'\nk = 2\n[encoder]\nkind = 'bigbigan-resnet50'\n",
    );
    let said = shop.run(&[]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err
            .contains("this build has no libtorch (install with `--features torch`)"),
        "{}",
        said.err
    );
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let shop = workshop(&made(20, 1.0, 0.5, 0), HOLDOUT);
    shop.write("file", "in the way");
    let at = shop.path("file/run");
    let said = shop.run(&["--run-dir", at.to_str().unwrap()]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--run-dir"), "{}", said.err);
}

#[test]
fn help_is_there_without_a_study() {
    let shop = workshop(&made(4, 0.0, 0.0, 0), HOLDOUT);
    let said = shop.hounsfield(&["--help"]);
    assert_eq!(said.code, Some(0));
    for command in [
        "demo", "run", "split", "extract", "probe", "report", "predict", "features", "doctor",
    ] {
        assert!(said.out.contains(command), "{}", said.out);
    }
    assert!(shop.hounsfield(&["--version"]).out.starts_with("hounsfield "));
    assert!(!shop.path("runs").exists());
}

/// `results.json` as it is.
fn json(shop: &Workshop) -> serde_json::Value {
    serde_json::from_str(&shop.text("results.json")).unwrap()
}

#[test]
fn scores_are_pooled_as_the_recipe_says_in_the_study_and_in_predictions() {
    let mut table = made(80, 1.0, 0.5, 4);
    // Two scans a patient: of three slices and of two.
    table.rows.scan_id = (0..400).map(|row| format!("scn-{}-{}", row / 5, row % 5 / 3)).collect();
    let shop = workshop(&table, HOLDOUT);
    let one = ["--set", "probe.heads=[\"logistic\"]"];
    let said = shop.run(&[&one[..], &["--set", "probe.unit=scan", "--set", "probe.pool={top-k=2}"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let row = json(&shop)["results"][0].clone();
    assert_eq!(
        (&row["unit"], &row["pool"]["top-k"]),
        (&"scan".into(), &2.into()),
        "{row}"
    );
    let method = row["method"].as_str().unwrap();
    assert!(
        method.starts_with("mean of the 2 highest scores per scan; AUC"),
        "{method}"
    );

    let model = shop.artefact("models/features.logistic.safetensors");
    let features = shop.path("features.parquet");
    let predicted = shop.hounsfield(&["predict", model.to_str().unwrap(), features.to_str().unwrap()]);
    assert_eq!(predicted.code, Some(0), "{}", predicted.err);
    shop.write("scores.csv", &predicted.out);
    let scores = read_table(&shop.path("scores.csv")).unwrap();
    let numbers = |name: &str| -> Vec<f64> {
        let cells = scores.column(name).unwrap().iter().flatten();
        cells.map(|cell| cell.parse().unwrap()).collect()
    };
    let (score, scan) = (numbers("score"), numbers("scan_score"));
    let mut first = score[..3].to_vec();
    first.sort_by(f64::total_cmp);
    assert!((scan[0] - (first[1] + first[2]) / 2.0).abs() < 1e-9);
    assert!(scan[0] == scan[2] && (scan[3] - (score[3] + score[4]) / 2.0).abs() < 1e-9);

    // A changed pool is a changed probe, and a noisy-or takes probabilities only.
    let said = shop.run(&[&one[..], &["--set", "probe.pool=median"]].concat());
    assert!(
        said.out.contains("patient (median score of its slices)"),
        "{}",
        said.out
    );
    let linear = ["--set", "probe.heads=[\"linear\"]", "--set", "probe.pool=noisy-or"];
    let said = shop.run(&linear);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("scores lie outside 0 to 1") && said.err.contains("platt"),
        "{}",
        said.err
    );
    let said = shop.run(&[&linear[..], &["--set", "probe.calibration=platt"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn calibrated_scores_are_probabilities_in_the_study_and_from_the_saved_head() {
    let table = made(80, 1.0, 0.5, 6);
    for (recipe, on) in [(HOLDOUT, "validation set"), (FOLDS, "other folds")] {
        let shop = workshop(&table, recipe);
        let heads = [
            "--set",
            "probe.heads=[\"svm-linear\", \"knn\"]",
            "--set",
            "probe.unit=slice",
        ];
        assert_eq!(shop.run(&heads).code, Some(0));
        let plain = results(&shop);
        for kind in ["platt", "isotonic"] {
            let said = shop.run(&[&heads[..], &["--set", &format!("probe.calibration={kind}")]].concat());
            assert_eq!(said.code, Some(0), "{}", said.err);
            assert!(shop.text("report.html").contains(on), "{kind}");
            let set = if recipe == HOLDOUT { "test" } else { "out-of-fold" };
            for head in ["svm-linear", "knn"] {
                let (before, after) = (plain[&key(head, set, "auc")], results(&shop)[&key(head, set, "auc")]);
                assert!((before - after).abs() < 0.08, "{head}, {kind}: {before} and {after}");
                let predictions = ParquetTable::open(&shop.artefact("predictions.parquet")).unwrap();
                let name = format!("features.{head}");
                let scores = predictions.f64s(predictions.position(&name).unwrap()).unwrap();
                let scores: Vec<f64> = scores.into_iter().flatten().collect();
                assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{head}, {kind}");

                let model = shop.artefact(&format!("models/features.{head}.safetensors"));
                let features = shop.path("features.parquet");
                let said = shop.hounsfield(&["predict", model.to_str().unwrap(), features.to_str().unwrap()]);
                shop.write("scores.csv", &said.out);
                let again = read_table(&shop.path("scores.csv")).unwrap();
                let again = again.column("score").unwrap().iter().flatten();
                let again: Vec<f64> = again.map(|cell| cell.parse().unwrap()).collect();
                assert!(again.iter().all(|score| (0.0..=1.0).contains(score)), "{head}, {kind}");
                if recipe == HOLDOUT {
                    assert!(
                        scores.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-9),
                        "{head}, {kind}"
                    );
                }
            }
        }
    }
}

const NESTED: &str = r#"
seed = 2
[cohort]
positive = "covid"
salt = "salt"
[split]
kind = "nested-cv"
external = ["far"]
k = 4
inner = 3
repeats = 3
[features]
table = "features.parquet"
[probe]
heads = ["logistic", { kind = "knn", k = 5 }]
bootstrap = { resamples = 200 }
"#;

#[test]
fn nested_cross_validation_says_every_repeat_and_fold_and_one_number_of_all() {
    let shop = workshop(&made(60, 1.0, 0.5, 8), NESTED);
    let said = shop.run(&["--set", "probe.calibration=platt"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("SD over") && said.out.contains("external: far"),
        "{}",
        said.out
    );
    let report = json(&shop);
    let areas = &report["repeats"][0];
    assert_eq!(
        (areas["repeats"].as_array().unwrap().len(), &areas["head"]),
        (3, &"logistic".into())
    );
    let repeats = areas["repeats"].as_array().unwrap();
    let pooled: Vec<f64> = repeats
        .iter()
        .map(|repeat| repeat["pooled"]["value"].as_f64().unwrap())
        .collect();
    let auc = results(&shop)[&key("logistic", "out-of-fold", "auc")];
    assert!((auc - pooled.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    for repeat in repeats {
        let folds = repeat["folds"].as_array().unwrap();
        assert_eq!(folds.len(), 4);
        let patients: u64 = folds.iter().map(|fold| fold["n_patients"].as_u64().unwrap()).sum();
        assert_eq!(patients, 48);
        assert!(folds.iter().all(|fold| fold["ci"].is_array()));
    }
    let method = report["results"][0]["method"].as_str().unwrap();
    assert!(method.contains("one draw of patients for all repeats"), "{method}");

    let split = read_table(&shop.artefact("split.csv")).unwrap();
    for repeat in ["repeat_1", "repeat_2", "repeat_3"] {
        let folds: Vec<&str> = split
            .column(repeat)
            .unwrap()
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        assert_eq!(folds.len(), 240);
        assert!(["0", "1", "2", "3"].iter().all(|fold| folds.contains(fold)));
    }
    let open = |name: &str| ParquetTable::open(&shop.artefact(name)).unwrap();
    let (mean, all) = (open("predictions.parquet"), open("predictions_repeats.parquet"));
    let column = |table: &ParquetTable, name: &str| table.f64s(table.position(name).unwrap()).unwrap();
    let (means, every) = (column(&mean, "features.knn"), column(&all, "features.knn"));
    assert_eq!((means.len(), every.len()), (300, 720));
    let row = column(&mean, "row").iter().position(|row| *row == Some(8.0)).unwrap();
    let of_row: Vec<f64> = (0..720)
        .filter(|at| column(&all, "row")[*at] == Some(8.0))
        .filter_map(|at| every[at])
        .collect();
    assert_eq!(of_row.len(), 3);
    assert!((means[row].unwrap() - of_row.iter().sum::<f64>() / 3.0).abs() < 1e-12);

    // A second run does nothing; more repeats are another study.
    let again = shop.run(&["--set", "probe.calibration=platt"]);
    assert_eq!(again.err.matches("up to date").count(), 5, "{}", again.err);
    let other = shop.run(&["--set", "probe.calibration=platt", "--set", "split.repeats=2"]);
    assert_eq!(other.err.matches("up to date").count(), 1, "{}", other.err);
    let refused = shop.run(&["--set", "probe.tuning.folds=4"]);
    assert!(
        refused.code == Some(2) && refused.err.contains("`split.inner`"),
        "{}",
        refused.err
    );
}

/// No signal at all: labels are given to patients by chance, and a split by slice finds them all the same.
#[test]
fn permuted_labels_are_predicted_where_slices_are_split_and_nowhere_else() {
    let table = made(60, 0.0, 3.0, 0);
    let shop = workshop(&table, FOLDS);
    let study = shop.path("study.toml");
    let probe = |unit: &str| {
        let said = shop.hounsfield(&["probe", study.to_str().unwrap(), "--set", unit, "--null", "19"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let nulls = json(&shop)["nulls"].as_array().unwrap().clone();
        let knn = nulls.into_iter().find(|null| null["head"] == "knn").unwrap();
        assert_eq!(knn["values"].as_array().unwrap().len(), 19);
        (said, knn["mean"].as_f64().unwrap(), knn["p"].as_f64().unwrap())
    };
    let (said, mean, p) = probe("split.unit=slice");
    assert!(mean > 0.9, "{mean}");
    assert!(p > 0.05, "the real labels are as meaningless: {p}");
    assert!(
        said.out.contains("labels without meaning are predicted"),
        "{}",
        said.out
    );
    let (said, mean, _) = probe("split.unit=patient");
    assert!((0.4..0.6).contains(&mean), "{mean}");
    assert!(!said.out.contains("labels without meaning"), "{}", said.out);
    assert!(said.out.contains("AUC of permuted labels"), "{}", said.out);
    assert!(said.out.lines().all(|line| line.chars().count() <= 100), "{}", said.out);
}

#[test]
fn a_real_signal_stands_out_from_permuted_labels_on_every_set() {
    let shop = workshop(&made(100, 1.5, 0.5, 1), HOLDOUT);
    let run = [
        "--set",
        "probe.heads=[\"logistic\"]",
        "--set",
        "probe.null=19",
        "--set",
        "probe.null_tuning=frozen",
    ];
    let said = shop.run(&run);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let report = json(&shop);
    let nulls = report["nulls"].as_array().unwrap();
    let sets: Vec<&str> = nulls.iter().map(|null| null["set"].as_str().unwrap()).collect();
    assert_eq!(sets, ["validation", "test", "external:far"]);
    for null in nulls {
        assert_eq!(null["p"], 0.05, "{null}");
        assert!(null["method"].as_str().unwrap().contains("that the real labels chose"));
    }
    assert!(shop.text("report.html").contains("Permuted labels"));
    assert!(shop.text("report.md").contains("| p |"));
}

#[test]
fn the_number_of_threads_changes_no_null_and_no_repeat() {
    let shop = workshop(&made(40, 0.8, 0.5, 3), NESTED);
    let overrides = ["probe.null=4", "split.repeats=2", "split.external=[]"].map(str::to_owned);
    let run = |threads: usize| {
        let study = hounsfield::Study::load(&shop.path("study.toml"), &overrides).unwrap();
        let folder = shop.path(&format!("threads-{threads}"));
        let mut run = hounsfield::study::StudyRun::open(study, "study", &folder).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run.run(&hounsfield::study::ExtractOptions::default()))
            .unwrap();
        std::fs::read_to_string(folder.join("results.json")).unwrap()
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn features_are_pooled_by_the_command_and_a_study_starts_from_them() {
    let table = made(60, 1.0, 0.5, 3);
    let shop = workshop(&table, &HOLDOUT.replace("features.parquet", "patients.parquet"));
    let (from, to) = (shop.path("features.parquet"), shop.path("patients.parquet"));
    let pool = |with: &str| {
        let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
        shop.hounsfield(&["features", "pool", from, "--by", "patient", "--with", with, "--out", to])
    };
    let refused = pool("noisy-or");
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.err.contains("features are none") && !to.exists(),
        "{}",
        refused.err
    );
    assert!(pool("best").err.contains("top-k:3"));
    let said = pool("top-k:2");
    assert!(
        said.code == Some(0) && said.out.contains("300 rows pooled to 60"),
        "{}{}",
        said.out,
        said.err
    );
    let pooled = hounsfield::features::read_features(&to).unwrap();
    assert_eq!(
        pooled.provenance.pooled,
        "mean of the 2 highest values of the rows of each patient, 300 to 60"
    );
    let mut first: Vec<f32> = table.values.column(0).to_vec()[..5].to_vec();
    first.sort_by(f32::total_cmp);
    assert!((pooled.values[[0, 0]] - (first[3] + first[4]) / 2.0).abs() < 1e-6);
    let said = shop.run(&["--set", "probe.heads=[\"linear\"]"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(shop.text("report.html").contains("mean of the 2 highest values"));
}

#[test]
fn labels_of_slices_are_permuted_among_patients_of_as_many_slices_or_refused() {
    let mut table = made(40, 0.5, 0.5, 9);
    for (row, label) in table.rows.label.iter_mut().enumerate() {
        *label = Some(if row % 5 < 1 + row / 5 % 3 { "covid" } else { "cap" }.to_owned());
    }
    let shop = workshop(&table, FOLDS);
    let said = shop.run(&["--set", "probe.null=5"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(json(&shop)["nulls"][0]["permutations"], 5);

    // Of 1, 2, 3, ... slices: no patient has a partner.
    let mut alone = table.clone();
    for (row, patient) in alone.rows.patient_id.iter_mut().enumerate() {
        let number = (0..20).find(|n| row < (n + 1) * (n + 2) / 2 + n).unwrap_or(20);
        *patient = format!("pat-{number:04}");
    }
    let shop = workshop(&alone, FOLDS);
    let said = shop.run(&["--set", "probe.null=5", "--set", "split.k=2"]);
    assert_eq!(said.code, Some(2), "{}", said.out);
    assert!(said.err.contains("their labels can't be permuted"), "{}", said.err);
}

#[test]
fn a_run_has_all_measures_comparisons_and_figures() {
    let shop = workshop(&made(100, 1.0, 0.5, 0), HOLDOUT);
    let said = shop.run(&["--set", "probe.calibration=platt", "--set", "probe.prevalence=0.1"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let results = json(&shop);
    let measures = results["measures"].as_array().unwrap();
    let wanted = |head: &str, set: &str, metric: &str, interval: &str| {
        let own = |row: &&serde_json::Value| {
            (&row["head"], &row["set"], &row["metric"], &row["interval"])
                == (&head.into(), &set.into(), &metric.into(), &interval.into())
        };
        measures.iter().find(own).cloned()
    };
    for head in ["linear", "logistic", "svm-linear", "svm-rbf", "knn"] {
        for set in ["validation", "test", "external:far"] {
            for metric in ["auc", "sensitivity", "specificity", "accuracy"] {
                let own = results["results"].as_array().unwrap().iter().find(|row| {
                    (&row["head"], &row["set"], &row["metric"]) == (&head.into(), &set.into(), &metric.into())
                });
                let again = measures.iter().find(|row| {
                    (&row["head"], &row["set"], &row["metric"]) == (&head.into(), &set.into(), &metric.into())
                });
                let (own, again) = (own.unwrap(), again.unwrap());
                for name in ["features", "unit", "value", "ci", "n_patients", "n_rows", "n_positive"] {
                    assert_eq!(own[name], again[name], "{head} on {set}, {metric}: {name}");
                }
            }
            for (metric, interval) in [
                ("auc", "bca"),
                ("auc", "delong"),
                ("specificity-at-sensitivity", "bootstrap"),
                ("brier", "bootstrap"),
                ("calibration-slope", "bootstrap"),
            ] {
                // Where all resamples agree, Wilson's stands in.
                let found = wanted(head, set, metric, interval).or_else(|| wanted(head, set, metric, "wilson"));
                let none = measures.iter().any(|row| {
                    (&row["head"], &row["set"], &row["metric"]) == (&head.into(), &set.into(), &metric.into())
                        && row["note"].is_string()
                });
                assert!(found.is_some() || none, "{head} on {set}: {metric} by {interval}");
            }
            assert!(measures.iter().any(|row| row["metric"] == "ppv-at-prevalence"));
        }
        assert!(
            wanted(head, "train", "auc", "delong").is_none(),
            "{head} was fitted on these"
        );
    }
    let comparisons = results["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 3, "one a set");
    for one in comparisons {
        let one = &one["comparisons"];
        assert_eq!(one["comparisons"].as_array().unwrap().len(), 10, "{}", one["set"]);
        assert_eq!(one["family"], "each head with every other on this set: 10");
    }
    let (page, notes) = (shop.text("report.html"), shop.text("report.md"));
    for words in [
        "More measures",
        "Specificity at 98 % sensitivity",
        "PPV at prevalence 0.1",
        "Comparisons of heads",
    ] {
        assert!(page.contains(words) && notes.contains(words), "{words}");
    }
    for figure in ["Calibration curves on test", "Decision curves on external: far"] {
        assert!(page.contains(figure), "{figure}");
    }
    for wrong in ["NaN", "inf,", ">inf", "-inf"] {
        assert!(!page.contains(wrong) && !notes.contains(wrong), "{wrong}");
    }

    let text = shop.text("study.json");
    let report: hounsfield::report::StudyReport = serde_json::from_str(&text).unwrap();
    assert_eq!((report.assessments.len(), report.comparisons.len()), (15, 3));
    assert_eq!(
        serde_json::to_string(&report).unwrap(),
        text,
        "what was written is read back"
    );
}

#[test]
fn scores_that_are_no_probabilities_are_named_once_and_rows_of_a_patient_are_kept_together() {
    let shop = workshop(&made(60, 0.8, 1.5, 0), FOLDS);
    let said = shop.run(&[
        "--set",
        "probe.heads=[\"linear\", \"svm-linear\", \"svm-rbf\", \"logistic\"]",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let page = shop.text("report.html");
    assert_eq!(page.matches("are no probabilities").count(), 1);
    assert!(page.contains("AUC, clustered DeLong") && !page.contains("AUC, DeLong"));
    assert!(!said.out.contains("no calibration"), "{}", said.out);
    let results = json(&shop);
    let clustered = results["measures"].as_array().unwrap().iter();
    let clustered: Vec<&serde_json::Value> = clustered.filter(|row| row["interval"] == "clustered-delong").collect();
    assert_eq!(clustered.len(), 4);
    for row in clustered {
        let method = row["method"].as_str().unwrap();
        assert!(method.contains("logit scale") && row["set"] == "out-of-fold", "{row}");
    }
}

#[test]
fn measures_of_repeats_say_that_they_are_of_mean_scores() {
    let shop = workshop(&made(40, 0.8, 0.5, 3), NESTED);
    let said = shop.run(&["--set", "split.repeats=2"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        shop.text("report.html")
            .contains("the mean of each row over the repeats")
    );
    assert!(shop.text("report.md").contains("the mean of each row over the repeats"));
}

#[test]
fn measures_that_cannot_be_asked_for_are_refused_with_the_recipe() {
    let shop = workshop(&made(20, 1.0, 0.5, 0), HOLDOUT);
    for wrong in ["probe.sensitivity=98", "probe.prevalence=0.0"] {
        let said = shop.run(&["--set", wrong]);
        assert_eq!(said.code, Some(2), "{}", said.out);
        assert!(said.err.contains("`[probe]`"), "{}", said.err);
    }
}
