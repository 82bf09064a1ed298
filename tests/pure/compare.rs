//! `hounsfield compare --with`: scores of other tables, joined by their patients.

use hounsfield::{
    eval::{ComparePlan, Family, PatientColumn, Pooling, ScorePlan, ScoreTable, Unit, compare},
    stats::Bootstrap,
    tables::{Column, ColumnData, write_parquet},
};
use serde_json::Value;

use crate::command::{Workshop, read};

/// Slices of 20 patients, three each, out of order; scores of two heads.
fn slices() -> String {
    let mut csv = "slice,patient_id,label,set,lin,knn\n".to_owned();
    for slice in (0..60_usize).rev() {
        let patient = slice / 3;
        let (a, b) = ((slice * 37 % 61) as f64 / 61.0, (slice * 23 % 61) as f64 / 61.0);
        let up = if patient.is_multiple_of(2) { 0.3 } else { 0.0 };
        csv += &format!(
            "s{slice},p{patient:02},{},{},{},{}\n",
            label(patient),
            set(patient),
            a + up,
            b + up / 2.0
        );
    }
    csv
}

/// Scans of patients 2 to 21, two each.
fn scans() -> String {
    let mut csv = "scan_id,patient_id,label,set,net,lin\n".to_owned();
    for scan in 4..44_usize {
        let patient = scan / 2;
        let score = (scan * 29 % 43) as f64 / 43.0 + if patient.is_multiple_of(2) { 0.2 } else { 0.0 };
        csv += &format!(
            "c{scan},p{patient:02},{},{},{score},{}\n",
            label(patient),
            set(patient),
            -score
        );
    }
    csv
}

fn label(patient: usize) -> &'static str {
    if patient.is_multiple_of(2) { "covid" } else { "cap" }
}

fn set(patient: usize) -> &'static str {
    if patient < 8 { "validation" } else { "test" }
}

/// The mean of a column over the rows of a patient.
fn mean(csv: &str, column: usize, patient: usize) -> f64 {
    let id = format!("p{patient:02}");
    let rows = csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let of_patient: Vec<f64> = rows
        .filter(|row| row[1] == id)
        .map(|row| row[column].parse().unwrap())
        .collect();
    Pooling::Mean.pool(of_patient)
}

fn plan(family: Family) -> ComparePlan {
    ComparePlan {
        unit: Unit::Patient,
        pool: Pooling::Mean,
        bootstrap: Bootstrap {
            resamples: 200,
            ..Bootstrap::default()
        },
        family,
    }
}

fn columns() -> ScorePlan {
    ScorePlan {
        positive: Some("covid".to_owned()),
        ..ScorePlan::default()
    }
}

#[test]
fn tables_of_slices_and_of_scans_compare_as_one_table_made_by_hand() {
    let shop = Workshop::new("");
    shop.write("heads.csv", &slices());
    shop.write("network.csv", &scans());
    let mut by_hand = "patient_id,label,set,heads.lin,knn,net,network.lin\n".to_owned();
    for patient in 2..20 {
        let values =
            [(slices(), 4), (slices(), 5), (scans(), 4), (scans(), 5)].map(|(csv, at)| mean(&csv, at, patient));
        let values = values.map(|value| value.to_string()).join(",");
        by_hand += &format!("p{patient:02},{},{},{values}\n", label(patient), set(patient));
    }
    shop.write("one.csv", &by_hand);
    let one = ScoreTable::open(&shop.path("one.csv"), &columns()).unwrap();
    let files = [shop.path("heads.csv"), shop.path("network.csv")];
    let joined = ScoreTable::join(&files, &columns(), Pooling::Mean).unwrap();
    assert_eq!(joined.scores, one.scores);
    assert_eq!(
        (&joined.patient, &joined.positive, &joined.set),
        (&one.patient, &one.positive, &one.set)
    );
    for set in [
        "`heads`: ",
        "18 of 20 patients of `heads` are in all tables",
        "18 of 20 patients of `network`",
    ] {
        let said = joined.warnings.iter().any(|warning| warning.contains(set));
        assert_eq!(said, set != "`heads`: ", "{:?}", joined.warnings);
    }
    let family = || plan(Family::Against("net".to_owned()));
    assert_eq!(
        compare(&joined, &[], &family()).unwrap(),
        compare(&one, &[], &family()).unwrap()
    );

    // The same by the command.
    let on = |arguments: &[&str]| {
        let json = shop.path("out.json");
        let fixed = [
            "--positive",
            "covid",
            "--bootstrap",
            "200",
            "--json",
            json.to_str().unwrap(),
            "--reference",
            "net",
        ];
        let said = shop.hounsfield(&[&["compare"], arguments, &fixed].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        (said.out, serde_json::from_str::<Value>(&read(&json)).unwrap())
    };
    let paths = ["heads.csv", "network.csv", "one.csv"].map(|name| shop.path(name).to_str().unwrap().to_owned());
    let (out, two) = on(&[&paths[0], "--with", &paths[1]]);
    let (_, hand) = on(&[&paths[2]]);
    assert_eq!(two["sets"], hand["sets"]);
    assert!(out.contains("18 of 20 patients of `heads` are in all tables"), "{out}");
    assert!(!out.contains("p02"), "an identifier: {out}");
}

#[test]
fn scores_that_are_named_narrow_the_tables_that_have_them() {
    let shop = Workshop::new("");
    shop.write("heads.csv", &slices());
    shop.write("network.csv", &scans());
    let files = [shop.path("heads.csv"), shop.path("network.csv")];
    let names = |scores: &[&str]| {
        let plan = ScorePlan {
            scores: scores.iter().map(|name| (*name).to_owned()).collect(),
            ..columns()
        };
        let table = ScoreTable::join(&files, &plan, Pooling::Mean)?;
        Ok::<_, hounsfield::eval::ScoreTableError>(
            table.scores.into_iter().map(|column| column.name).collect::<Vec<_>>(),
        )
    };
    assert_eq!(names(&["knn"]).unwrap(), ["knn", "net", "lin"]);
    assert_eq!(names(&["knn", "net"]).unwrap(), ["knn", "net"]);
    assert_eq!(names(&["heads.lin", "net"]).unwrap(), ["lin", "net"]);
    let error = names(&["other"]).unwrap_err().to_string();
    assert!(error.contains("no table has the score `other`"), "{error}");
}

#[test]
fn run_folders_stand_for_their_predictions_and_name_their_positive_class() {
    let shop = Workshop::new("");
    for (run, name, salt) in [("first", "pu-a", 0.1), ("second", "pu-a", 0.2)] {
        let patients: Vec<usize> = (0..12).collect();
        let text = |cell: &dyn Fn(usize) -> String| {
            ColumnData::Text(patients.iter().map(|patient| Some(cell(*patient))).collect())
        };
        let scores = patients
            .iter()
            .map(|patient| Some((*patient * 5 % 12) as f64 * salt))
            .collect();
        let columns = [
            Column::new("patient_id", text(&|patient| format!("p{patient:02}"))),
            Column::new("label", text(&|patient| label(patient).to_owned())),
            Column::new(
                "set",
                text(&|_| if run == "first" { "out-of-fold" } else { "test" }.to_owned()),
            ),
            Column::new(name, ColumnData::Float64(scores)),
            Column::new(
                "pu-a.converged",
                text(&|_| if run == "first" { "yes" } else { "no: flat" }.to_owned()),
            ),
        ];
        let metadata = [("hounsfield.positive".to_owned(), "covid".to_owned())].into();
        std::fs::create_dir(shop.path(run)).unwrap();
        write_parquet(&shop.path(run).join("predictions.parquet"), &columns, &metadata).unwrap();
    }
    let files = [shop.path("first"), shop.path("second/predictions.parquet")];
    let joined = ScoreTable::join(&files, &ScorePlan::default(), Pooling::Mean).unwrap();
    let names: Vec<&str> = joined.scores.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["first.pu-a", "second.pu-a"]);
    assert_eq!(joined.positive_name, "covid");
    // What no head of a cross-validation has seen is no more than a test set.
    assert_eq!(
        joined.sets().into_iter().map(|(set, _)| set).collect::<Vec<_>>(),
        ["test"]
    );
    assert_eq!(joined.scores[1].not_converged.as_deref(), Some("flat"));

    // By itself a run folder is measured; there is nothing in it to be compared.
    let folder = files[0].to_str().unwrap();
    let said = shop.hounsfield(&["evaluate", folder, "--bootstrap", "100"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("pu-a"), "{}", said.out);
    let said = shop.hounsfield(&["compare", folder]);
    assert_eq!(said.code, Some(2), "{}", said.out);
    assert!(
        said.err.contains("there is only `pu-a`") && said.err.contains("`--with`"),
        "{}",
        said.err
    );
    let second = shop.path("second");
    let said = shop.hounsfield(&[
        "compare",
        folder,
        "--with",
        second.to_str().unwrap(),
        "--bootstrap",
        "100",
    ]);
    assert!(
        said.out.contains("nothing is compared; `hounsfield evaluate`") && said.out.contains("first.pu-a"),
        "{}{}",
        said.out,
        said.err
    );
}

#[test]
fn tables_that_contradict_each_other_are_refused_with_counts_and_a_way_out() {
    let shop = Workshop::new("");
    shop.write("heads.csv", &slices());
    let refused = |other: &str| {
        shop.write("other.csv", other);
        let files = [shop.path("heads.csv"), shop.path("other.csv")];
        let error = ScoreTable::join(&files, &columns(), Pooling::Mean)
            .unwrap_err()
            .to_string();
        assert!(
            !error.contains("p04") && !error.contains("q04"),
            "an identifier: {error}"
        );
        error
    };
    let error = refused(
        &scans()
            .replace(",p0", ",q0")
            .replace(",p1", ",q1")
            .replace(",p2", ",q2"),
    );
    assert!(error.contains("20 patients") && error.contains("one salt"), "{error}");
    let turned = scans()
        .replace("covid", "x")
        .replace("cap", "covid")
        .replace(",x,", ",cap,");
    let error = refused(&turned);
    assert!(
        error.contains("18 of 18 patients are of one class") && error.contains("--positive"),
        "{error}"
    );
    let error = refused(&scans().replace("validation", "train"));
    assert!(
        error.contains("6 of 18 patients stand in one set") && error.contains("one split"),
        "{error}"
    );
    let error = refused(&scans().replacen("test", "train", 1));
    assert!(
        error.contains("1 patients of `other` stand in more than one set"),
        "{error}"
    );
    let error = refused(&scans().replacen("covid", "cap", 1));
    assert!(
        error.contains("1 patients of `other` have rows of both classes"),
        "{error}"
    );
    let error = refused("patient_id,label,net\np04,cap,0.5");
    assert!(
        error.starts_with("no row of `other` has the label `covid`") && error.contains("`--label`"),
        "{error}"
    );

    let per_row = ScorePlan {
        patient: PatientColumn::PerRow,
        ..columns()
    };
    let files = [shop.path("heads.csv"), shop.path("heads.csv")];
    let error = ScoreTable::join(&files, &per_row, Pooling::Mean)
        .unwrap_err()
        .to_string();
    assert!(error.contains("--patient-per-row"), "{error}");
    let path = shop.path("heads.csv");
    let path = path.to_str().unwrap();
    let said = shop.hounsfield(&[
        "compare",
        path,
        "--with",
        path,
        "--positive",
        "covid",
        "--unit",
        "slice",
    ]);
    assert!(
        said.code == Some(2) && said.err.contains("joined by their patients"),
        "{}",
        said.err
    );
}

#[test]
fn a_table_without_sets_takes_those_of_the_other_and_says_so() {
    let shop = Workshop::new("");
    shop.write("heads.csv", &slices());
    let bare: Vec<String> = scans()
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            [&cells[..3], &cells[4..]].concat().join(",")
        })
        .collect();
    shop.write("bare.csv", &bare.join("\n"));
    let files = [shop.path("heads.csv"), shop.path("bare.csv")];
    let joined = ScoreTable::join(&files, &columns(), Pooling::Mean).unwrap();
    assert_eq!(joined.sets().len(), 2);
    let said = joined
        .warnings
        .iter()
        .any(|warning| warning.starts_with("no column of `bare` tells sets apart"));
    assert!(said, "{:?}", joined.warnings);
}
