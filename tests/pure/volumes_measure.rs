//! Scores of whole scans, measured as those of a study: the run folder's table and reports, other tables, the protocol of a paper.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hounsfield::{
    cohort::{Classes, Cohort, CohortPlan, Columns, Set, Split, SplitPlan},
    ct::Pseudonymizer,
    eval::{Convergence, Scores, evaluate},
    recipe::TrainVolume,
    report::Fact,
    stats::Bootstrap,
    tables::TextTable,
    volumes::{Measured, Protocol, Scored, check_against},
};
use serde_json::Value;

use crate::command::{Workshop, read};

const RECIPE: &str = r#"
seed = 3
[cohort]
table = "scans.csv"
path = "path"
patient = "patient_id"
label = "label"
positive = "covid"
[split]
kind = "holdout"
fractions = { train = 0.4, validation = 0.3, test = 0.3 }
[network]
kind = "pu-a"
[evaluate]
bootstrap = { resamples = 200 }
"#;

/// Scans a patient has.
fn scans_of(patient: usize) -> usize {
    1 + patient % 3
}

/// A table of scans of so many patients, half of them positive.
fn table(patients: usize, rows_of: impl Fn(usize) -> usize) -> TextTable {
    let rows: Vec<(usize, usize)> = (0..patients)
        .flat_map(|patient| (0..rows_of(patient)).map(move |row| (patient, row)))
        .collect();
    let column = |name: &str, cell: &dyn Fn(usize, usize) -> String| {
        let cells = rows.iter().map(|(patient, row)| Some(cell(*patient, *row)));
        (name.to_owned(), cells.collect())
    };
    TextTable::new(vec![
        column("path", &|patient, row| format!("{patient}-{row}.nii.gz")),
        column("patient_id", &|patient, _| format!("Miller{patient:03}")),
        column("label", &|patient, _| {
            if patient % 2 == 0 { "covid" } else { "cap" }.to_owned()
        }),
    ])
    .unwrap()
}

fn cohort(table: &TextTable) -> Cohort {
    let name = |name: &str| Some(name.to_owned());
    let plan = CohortPlan {
        columns: Columns {
            path: name("path"),
            patient: name("patient_id"),
            label: name("label"),
            ..Columns::default()
        },
        classes: Some(Classes {
            positive: "covid".to_owned(),
            negative: None,
        }),
        ids: Pseudonymizer::new(b"a salt for tests only"),
    };
    Cohort::read(table, Path::new("data"), &plan).unwrap()
}

fn recipe(more: &str) -> TrainVolume {
    toml::from_str(&format!("{RECIPE}{more}")).unwrap()
}

fn trained() -> Convergence {
    Convergence {
        epochs: 12,
        first_loss: 0.7,
        best_loss: 0.2,
        scored_loss: Some(0.15),
        training_auc: Some(0.98),
        training_auc_ci: Some([0.95, 1.0]),
    }
}

/// A score that knows something of the label, better the larger `signal` is.
fn score(cohort: &Cohort, row: usize, signal: f64) -> f64 {
    let noise = ((row * 37 + cohort.patient[row] * 11) as f64 * 0.618_034).fract();
    let label = f64::from(u8::from(cohort.positive[row] == Some(true)));
    (signal * label + noise) / (1.0 + signal)
}

struct Case {
    recipe: TrainVolume,
    cohort: Cohort,
    split: Split,
    scores: Vec<Option<f64>>,
    failures: Vec<(usize, String)>,
    convergence: Convergence,
}

impl Case {
    fn new(more: &str) -> Self {
        let recipe = recipe(more);
        let cohort = cohort(&table(60, scans_of));
        let split = recipe.split.split(&cohort, recipe.seed).unwrap();
        let mut scores: Vec<Option<f64>> = (0..cohort.len()).map(|row| Some(score(&cohort, row, 0.5))).collect();
        scores[4] = None;
        Self {
            split,
            scores,
            failures: vec![(4, "the file ends too early".to_owned())],
            convergence: trained(),
            recipe,
            cohort,
        }
    }

    fn write(&self, name: &str, folder: &Path) -> Measured {
        let scored = Scored {
            name,
            recipe: &self.recipe,
            cohort: &self.cohort,
            split: &self.split,
            scores: &self.scores,
            failures: &self.failures,
            convergence: &self.convergence,
            facts: vec![Fact {
                group: "Training".to_owned(),
                name: "epochs".to_owned(),
                value: "12 of at most 200".to_owned(),
            }],
        };
        std::fs::create_dir_all(folder).unwrap();
        let mut measured = scored.write(folder, folder.parent().unwrap()).unwrap();
        assert!(!read(&folder.join("report.html")).contains("maps/index.html"));
        measured.link(folder, "maps/index.html").unwrap();
        measured
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&read(path)).unwrap()
}

fn outputs(folder: &Path, measured: &Measured) -> BTreeMap<&'static str, String> {
    let mut all: BTreeMap<&str, String> = ["report.html", "report.md", "results.json"]
        .into_iter()
        .map(|name| (name, read(&folder.join(name))))
        .collect();
    // As one line: the terminal wraps.
    let words: Vec<&str> = measured.table.split_whitespace().collect();
    all.insert("terminal", words.join(" "));
    for (name, text) in &all {
        assert!(!text.contains("Miller") && !text.contains("NaN"), "{name}: {text}");
    }
    all
}

#[test]
fn numbers_are_those_of_the_same_functions_that_measure_heads() {
    let shop = Workshop::new("");
    let case = Case::new("");
    let folder = shop.path("run");
    let measured = case.write("pu-a", &folder);
    let threshold = measured.threshold.clone().unwrap();
    assert_eq!((threshold.set.as_str(), &measured.not_converged), ("validation", &None));
    let rows: Vec<usize> = (0..case.cohort.len())
        .filter(|row| case.split.sets()[*row] == Some(Set::Test) && case.scores[*row].is_some())
        .collect();
    let of = |row: &usize| case.scores[*row].unwrap();
    let scores = Scores::new(
        rows.iter()
            .map(|row| case.cohort.positive[*row] == Some(true))
            .collect(),
        rows.iter().map(of).collect(),
        rows.iter().map(|row| case.cohort.patient[*row]).collect(),
    );
    let bootstrap = Bootstrap {
        resamples: 200,
        level: 0.95,
        seed: 3,
    };
    let unit = case.recipe.evaluate.unit;
    let own = evaluate("pu-a", "pu-a", "test", unit, &scores.unwrap(), &threshold, &bootstrap).unwrap();
    let results = json(&folder.join("results.json"));
    let test: Vec<&Value> = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["set"] == "test")
        .collect();
    assert_eq!(test.len(), 4);
    for (row, own) in test.iter().zip(&own.rows) {
        assert_eq!(**row, serde_json::to_value(own).unwrap());
    }
    // Every set is measured, and those that were not trained on in all ways.
    let sets: Vec<&str> = results["measures"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["set"].as_str())
        .collect();
    assert!(sets.contains(&"test") && sets.contains(&"validation") && !sets.contains(&"train"));
    let low = &results["low_risk"];
    assert_eq!(
        (low.as_array().unwrap().len(), &low[0]["set"]),
        (1, &Value::from("test"))
    );
    assert_eq!(low[0]["threshold"]["set"], "validation");

    let all = outputs(&folder, &measured);
    for (name, text) in &all {
        assert!(!text.contains("NOT CONVERGED"), "{name}: {text}");
        assert!(text.contains("the file ends too early (1)"), "{name}: {text}");
    }
    for name in ["report.html", "report.md", "terminal"] {
        assert!(all[name].contains("could be spared further reading"), "{name}");
        assert!(!all[name].contains("slice"), "{name}: {}", all[name]);
    }
    for name in ["report.html", "report.md"] {
        assert!(
            all[name].contains("maps/index.html") && all[name].contains("12 of at most 200"),
            "{name}"
        );
        assert!(!all[name].contains(", epochs: 200"), "{name}");
    }
    // The table of scores says the same to the command as to the report.
    let table = folder.join("predictions.parquet");
    let out = shop.path("out.json");
    let arguments = [
        "evaluate",
        table.to_str().unwrap(),
        "--bootstrap",
        "200",
        "--seed",
        "3",
        "--json",
        out.to_str().unwrap(),
    ];
    let said = shop.hounsfield(&arguments);
    assert_eq!(said.code, Some(1), "a scan has no score: {}", said.err);
    assert!(said.out.contains("positive class covid"), "{}", said.out);
    let found = json(&out);
    let test = found["assessments"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["set"] == "test")
        .unwrap();
    assert_eq!(
        test["measures"][0]["value"],
        serde_json::to_value(own.rows[0].value).unwrap()
    );
    assert_eq!(test["head"], "pu-a");
}

#[test]
fn a_training_that_did_not_converge_is_marked_everywhere_and_compared_with_nothing() {
    let shop = Workshop::new("");
    let rival = shop.path("rival");
    Case::new("").write("covnet", &rival);
    let mut case = Case::new("against = ['rival']\n");
    case.convergence = Convergence {
        best_loss: 0.692,
        training_auc_ci: Some([0.55, 0.99]),
        ..case.convergence
    };
    let folder = shop.path("run");
    let measured = case.write("pu-a", &folder);
    assert!(measured.not_converged.as_deref().unwrap().contains("flat"));
    for (name, text) in outputs(&folder, &measured) {
        assert!(
            text.contains("NOT CONVERGED: the training loss is flat"),
            "{name}: {text}"
        );
        assert!(
            text.contains("not converged") || text.contains("not_converged"),
            "{name}: {text}"
        );
    }
    let results = json(&folder.join("results.json"));
    assert_eq!(results["not_converged"][0]["head"], "pu-a");
    for found in results["comparisons"].as_array().unwrap() {
        assert_eq!(found["comparisons"]["comparisons"].as_array().unwrap().len(), 0);
        assert_eq!(found["comparisons"]["not_compared"][0]["first"], "covnet");
    }
    assert!(read(&folder.join("report.md")).contains("pu-a (NOT CONVERGED)"));
    assert!(read(&folder.join("report.html")).contains("pu-a (NOT CONVERGED)"));
}

#[test]
fn other_tables_are_joined_by_patients_on_sets_that_were_not_trained_on() {
    let shop = Workshop::new("");
    let mut other = Case::new("");
    other.scores = (0..other.cohort.len())
        .map(|row| Some(score(&other.cohort, row, 2.0)))
        .collect();
    other.failures.clear();
    other.write("covnet", &shop.path("rival"));
    let case = Case::new("against = ['rival']\n");
    let folder = shop.path("run");
    let measured = case.write("pu-a", &folder);
    let results = json(&folder.join("results.json"));
    let found = results["comparisons"].as_array().unwrap();
    let sets: Vec<&str> = found
        .iter()
        .filter_map(|one| one["comparisons"]["set"].as_str())
        .collect();
    assert_eq!(sets, ["test", "validation"]);
    let pair = &found[0]["comparisons"]["comparisons"][0];
    assert_eq!(
        (&pair["first"], &pair["second"]),
        (&Value::from("covnet"), &Value::from("pu-a"))
    );
    assert!(pair["difference"].as_f64().unwrap() > 0.0);
    assert!(measured.table.contains("covnet - pu-a"), "{}", measured.table);

    // The same by the command.
    let (out, arguments) = (
        shop.path("out.json"),
        ["run", "rival"].map(|name| shop.path(name).join("predictions.parquet")),
    );
    let [own, rival] = arguments.each_ref().map(|path| path.to_str().unwrap());
    let said = shop.hounsfield(&[
        "compare",
        own,
        "--with",
        rival,
        "--reference",
        "pu-a",
        "--bootstrap",
        "200",
        "--seed",
        "3",
        "--json",
        out.to_str().unwrap(),
    ]);
    let by_command = json(&out);
    let test = by_command["sets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|set| set["set"] == "test");
    assert_eq!(test.unwrap()["comparisons"][0]["tests"], pair["tests"], "{}", said.out);

    // What can't be used is found before the training begins, and costs nothing but the comparison after it.
    assert!(check_against(&case.recipe, &shop.path("")).is_ok());
    shop.write("bad.csv", "patient_id,label\np,covid\n");
    for (name, why) in [("bad.csv", "no row has"), ("missing.csv", "missing.csv")] {
        let case = Case::new(&format!("against = ['{name}']\n"));
        let error = check_against(&case.recipe, &shop.path(""))
            .map(|()| String::new())
            .unwrap_or_else(|error| error.to_string());
        assert!(error.contains("`evaluate.against`") || error.contains(why), "{error}");
        case.write("pu-a", &folder);
        let report = read(&folder.join("report.md"));
        assert!(report.contains("there is no comparison with the tables"), "{report}");
        assert!(!report.contains(name), "{report}");
    }
}

#[test]
fn without_both_classes_in_the_validation_set_there_is_an_auc_and_no_threshold() {
    let shop = Workshop::new("");
    let mut case = Case::new("");
    for row in 0..case.cohort.len() {
        if case.split.sets()[row] == Some(Set::Validation) && case.cohort.positive[row] == Some(true) {
            case.scores[row] = None;
        }
    }
    let folder = shop.path("run");
    let measured = case.write("pu-a", &folder);
    assert_eq!(measured.threshold, None);
    let results = json(&folder.join("results.json"));
    let metrics: Vec<&Value> = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["metric"])
        .collect();
    assert!(
        !metrics.is_empty() && metrics.iter().all(|metric| **metric == "auc"),
        "{metrics:?}"
    );
    assert!(measured.table.contains("no threshold was chosen"), "{}", measured.table);
    let said = shop.hounsfield(&[
        "evaluate",
        folder.join("predictions.parquet").to_str().unwrap(),
        "--bootstrap",
        "100",
    ]);
    assert!(!said.out.contains("no threshold: sets"), "{}", said.out);
}

#[test]
fn a_table_of_slices_and_one_of_scans_are_split_alike() {
    let by_scan = cohort(&table(60, scans_of));
    let by_slice = cohort(&table(60, |patient| 5 * scans_of(patient)));
    for seed in [0, 7] {
        for text in [
            "kind = 'holdout'\nfractions = { train = 0.5, validation = 0.25, test = 0.25 }",
            "kind = 'holdout'\nfractions = { train = 0.8, validation = 0.1, test = 0.1 }\n\
             positive_fractions = { train = 0.6, validation = 0.2, test = 0.2 }",
        ] {
            let plan: SplitPlan = toml::from_str(text).unwrap();
            let sets = |cohort: &Cohort| -> BTreeMap<usize, Option<Set>> {
                let split = plan.split(cohort, seed).unwrap();
                cohort
                    .patient
                    .iter()
                    .copied()
                    .zip(split.sets().iter().cloned())
                    .collect()
            };
            assert_eq!(sets(&by_scan), sets(&by_slice));
        }
    }
}

#[test]
fn the_shipped_recipe_gives_the_paper_its_patients() {
    let shop = Workshop::new("");
    // 151 patients of the one class with several scans each, 498 of the other with one.
    let mut csv = "path,patient_id,label\n".to_owned();
    for patient in 0..649 {
        let (label, scans) = if patient < 151 {
            ("covid", 1 + patient % 4)
        } else {
            ("cap", 1)
        };
        for scan in 0..scans {
            csv += &format!("{patient}-{scan}.nii,P{patient:04},{label}\n");
        }
    }
    shop.write("scans.csv", &csv);
    let models = protocol(&shop, &["pu-a"], &[]).recipes().unwrap();
    let cohort = cohort(&hounsfield::tables::read_table(&shop.path("scans.csv")).unwrap());
    let recipe = &models[0].recipe;
    let split = recipe.split.split(&cohort, recipe.seed).unwrap();
    let patients = |set: &Set, class: bool| {
        let own = (0..cohort.len())
            .filter(|row| split.sets()[*row].as_ref() == Some(set) && cohort.positive[*row] == Some(class));
        own.map(|row| cohort.patient[row])
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    let counts = |class| [Set::Train, Set::Validation, Set::Test].map(|set| patients(&set, class));
    assert_eq!((counts(true), counts(false)), ([97, 27, 27], [393, 55, 50]));
}

fn protocol(shop: &Workshop, models: &[&str], overrides: &[&str]) -> Protocol {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let columns = [("path", "path"), ("patient", "patient_id"), ("label", "label")];
    Protocol {
        table: shop.path("scans.csv"),
        out: shop.path("out"),
        columns: columns.map(|(key, column)| (key.to_owned(), column.to_owned())).into(),
        positive: "covid".to_owned(),
        negative: Vec::new(),
        models: own(models),
        overrides: own(overrides),
    }
}

#[test]
fn what_the_protocol_can_not_follow_is_refused_before_a_recipe_is_written() {
    let shop = Workshop::new("");
    write_table(&shop, 20);
    let said = |models: &[&str], overrides: &[&str]| {
        let refused = protocol(&shop, models, overrides).recipes();
        refused.unwrap_err().to_string()
    };
    for given in ["pu-x:train.lr=0.1", "pu-b:train.lr=0.1"] {
        let error = said(&["pu-a", "pu-c"], &[given]);
        assert!(error.contains(given) && error.contains("pu-a, pu-c"), "{error}");
    }
    assert!(said(&["pu-a", "pu-c"], &["pu-c:train.epochs=0"]).contains("`train.epochs` is 0"));
    assert!(!shop.path("out").exists(), "nothing is written");

    let models = protocol(&shop, &["pu-a"], &["train.epochs=7"]).recipes().unwrap();
    let run = shop.path("out/pu-a");
    std::fs::create_dir(&run).unwrap();
    std::fs::copy(&models[0].file, run.join("recipe.toml")).unwrap();
    let before = read(&models[0].file);
    let error = said(&["pu-a"], &["train.epochs=8"]);
    assert!(
        error.contains("another `train.epochs`") && error.contains("`--out`"),
        "{error}"
    );
    assert_eq!(read(&models[0].file), before, "the recipe of before stays");
    // How it is measured may change.
    protocol(
        &shop,
        &["pu-a"],
        &["train.epochs=7", "evaluate.bootstrap.resamples=200"],
    )
    .recipes()
    .unwrap();
}

fn write_table(shop: &Workshop, patients: usize) -> PathBuf {
    let table = table(patients, scans_of);
    let mut csv = "path,patient_id,label\n".to_owned();
    for row in 0..table.n_rows {
        let cells = ["path", "patient_id", "label"].map(|name| table.column(name).unwrap()[row].clone().unwrap());
        csv += &format!("{}\n", cells.join(","));
    }
    shop.write("scans.csv", &csv);
    shop.path("scans.csv")
}

#[test]
fn the_protocol_trains_each_network_on_one_split_and_compares_them_with_the_first() {
    let shop = Workshop::new("");
    write_table(&shop, 120);
    let overrides = [
        "input.size=[64, 64, 64]",
        "train.epochs=7",
        "pu-c:train.batch=2",
        "evaluate.bootstrap.resamples=200",
    ];
    let protocol = protocol(&shop, &["pu-a", "pu-c", "covnet"], &overrides);
    let mut seen = Vec::new();
    let together = protocol.run(
        |_| Ok(()),
        |model| {
            let recipe = &model.recipe;
            assert_eq!((recipe.input.size, recipe.train.epochs), ([64; 3], 7));
            assert_eq!(recipe.train.batch, if model.name == "pu-c" { 2 } else { 8 });
            assert_eq!(recipe.network.kind(), model.name);
            // What stands in the file trains the same network again.
            assert_eq!(&TrainVolume::load(&model.file, &[])?, recipe);
            let cohort = cohort(&table(120, scans_of));
            let split = recipe.split.split(&cohort, recipe.seed)?;
            let mut convergence = trained();
            let signal = match model.name.as_str() {
                "covnet" => {
                    convergence.training_auc = Some(0.52);
                    convergence.training_auc_ci = Some([0.4, 0.64]);
                    0.0
                }
                "pu-a" => 1.0,
                _ => 0.6,
            };
            let case = Case {
                scores: (0..cohort.len()).map(|row| Some(score(&cohort, row, signal))).collect(),
                recipe: recipe.clone(),
                failures: Vec::new(),
                split,
                cohort,
                convergence,
            };
            case.write(&model.name, &model.folder);
            seen.push(model.name.clone());
            Ok(())
        },
    );
    let together = together.unwrap();
    assert_eq!(seen, ["pu-a", "pu-c", "covnet"]);
    assert_eq!(
        (&together.models, &together.not_converged),
        (&seen, &vec!["covnet".to_owned()])
    );
    let results = json(&shop.path("out/results.json"));
    let found = &results["comparisons"][0]["comparisons"];
    assert_eq!(found["comparisons"].as_array().unwrap().len(), 1);
    assert_eq!(found["not_compared"][0]["first"], "covnet");
    assert_eq!(results["results"][0]["level"], 0.99);
    let (report, terminal) = (read(&shop.path("out/report.html")), together.table);
    for text in [&report, &terminal] {
        assert!(
            text.contains("covnet (NOT") && !text.contains("pu-a (NOT CONVERGED)"),
            "{text}"
        );
        assert!(text.contains("not compared"), "{text}");
    }
    assert!(
        report.contains("12 of at most 200") && report.contains("pu-c: Training"),
        "{report}"
    );

    // The claims of the paper beside them.
    let out = shop.path("claims.json");
    let table = together.predictions.to_str().unwrap();
    let said = shop.hounsfield(&[
        "reproduce",
        "pu2020",
        "--predictions",
        table,
        "--bootstrap",
        "200",
        "--json",
        out.to_str().unwrap(),
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let claims = json(&out);
    let claim = |id: &str| {
        claims["findings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["id"] == id)
            .unwrap()
            .clone()
    };
    assert!(claim("P-auc-A")["from_your_data"]["value"].as_f64().unwrap() > 0.6);
    assert!(claim("P-sp98")["from_your_data"]["value"].is_number());
    let li = &claim("P-auc-Li")["from_your_data"];
    assert!(
        li["not_converged"].as_str().unwrap().contains("training scans") && li["within"].is_null(),
        "{li}"
    );
    assert!(said.out.contains("not converged"), "{}", said.out);
}

#[test]
fn what_is_no_protocol_is_refused_before_anything_is_trained() {
    let shop = Workshop::new("");
    write_table(&shop, 30);
    let refused = |models: &[&str], overrides: &[&str]| {
        let error = protocol(&shop, models, overrides)
            .run(|_| Ok(()), |_| panic!("nothing may be trained"))
            .unwrap_err();
        error.to_string()
    };
    assert!(refused(&["pu-d"], &[]).contains("expected some of pu-a"));
    assert!(refused(&[], &[]).contains("none"));
    assert!(refused(&["pu-a", "pu-a"], &[]).contains("name each once"));
    assert!(refused(&["pu-a", "covnet"], &["covnet:train.epochs=0"]).contains("train.epochs"));
    assert!(refused(&["pu-a"], &["train.epoch=5"]).contains("`epoch`"));

    let table = shop.path("scans.csv");
    let out = shop.path("out");
    let train = [
        "--train",
        table.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--positive",
        "covid",
        "--size",
        "64",
    ];
    let said = shop.hounsfield(&[&["reproduce", "song2020"], &train[..]].concat());
    assert!(
        said.code == Some(2) && said.err.contains("protocol of pu2020"),
        "{}",
        said.err
    );
    if cfg!(not(feature = "torch")) {
        let said = shop.hounsfield(&[&["reproduce", "pu2020"], &train[..]].concat());
        assert!(said.code == Some(2) && said.err.contains("no libtorch"), "{}", said.err);
        assert!(said.err.contains("4 recipes"), "{}", said.err);
        let recipe = TrainVolume::load(&out.join("covnet.toml"), &[]).unwrap();
        assert_eq!((recipe.input.size, recipe.cohort.scan), ([64; 3], None));
    }
}
