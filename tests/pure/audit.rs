//! `hounsfield audit` on the printed tables of two papers, on made data, and on real tables where `HOUNSFIELD_DATA` names
//! the folder that holds them.

use std::path::{Path, PathBuf};

use hounsfield::features::write_features;
use rand::RngExt as _;
use serde_json::Value;

use crate::{
    command::{Said, Workshop},
    study::made as made_features,
};

/// The folder of real data, or a word on the terminal that the test was skipped.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("HOUNSFIELD_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: HOUNSFIELD_DATA does not name the folder of real data");
    }
    folder
}

fn shop() -> Workshop {
    Workshop::new("")
}

/// Runs `audit` with `--json` and gives what it said with the numbers.
fn audit(shop: &Workshop, arguments: &[&str]) -> (Said, Value) {
    let json = shop.path("audit.json");
    let all = [&["audit", "--json", json.to_str().unwrap()], arguments].concat();
    let said = shop.hounsfield(&all);
    let wide = said.out.lines().find(|line| line.chars().count() > 100);
    assert_eq!(wide, None, "a line passes 100 columns");
    let text = std::fs::read_to_string(json).unwrap_or_else(|_| panic!("no numbers: {}{}", said.out, said.err));
    (said, serde_json::from_str(&text).unwrap())
}

/// Severity and sentence of all that a check found.
fn of<'a>(found: &'a Value, check: &str) -> Vec<(&'a str, &'a str)> {
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["check"] == check)
        .map(|finding| {
            (
                finding["severity"].as_str().unwrap(),
                finding["sentence"].as_str().unwrap(),
            )
        })
        .collect()
}

/// Pu et al., Eur Radiol 30:6221-6230, 2020, Table 1.
const PU: &str = "\
,COVID-19 Training,COVID-19 Validation,COVID-19 Testing,COVID-19 Total,\
Non-COVID-19 Training,Non-COVID-19 Validation,Non-COVID-19 Testing,Non-COVID-19 Total
Patient,97,27,27,151,393,55,50,498
Mild or moderate,85,25,25,135,366,52,47,465
Severe,8,1,1,10,21,2,3,26
Critical,4,1,1,6,6,1,0,7
CT exams,301,55,50,497,393,55,50,498
Age,49.4 ± 15.4,40.7 ± 13.7,53.2 ± 17.4,45.7 ± 15.7,46.9 ± 17.9,40.0 ± 17.4,45.5 ± 15.3,45.9 ± 17.7
Male (%),52 (53.6),15 (55.6),16 (59.3),83 (55.0),206 (52.4),30 (54.5),27 (54),263 (52.8)
";

/// Song et al., Eur J Nucl Med Mol Imaging 47:2516-2524, 2020, Table 1, which prints no n.
const SONG: &str = "\
Demographics,COVID-19 positive,COVID-19 negative,P value
Sex,,,0.479
Male,60,58,
Female,38,45,
Age median (SD),43 (15.8),39 (12.0),0.064
Related exposure history,,,< 0.05
History to Wuhan,41,13,
Contact with infection,17,19,
Contact with dense crowd,40,58,
Classification,,,
Mild,6,/,
Common,65,/,
Severe,27,/,
Critical illness,0,/,
Basic disease (yes),35,25,0.076
";

#[test]
fn the_table_of_pu_has_two_totals_that_cannot_be() {
    let shop = shop();
    shop.write("pu.csv", PU);
    let (said, found) = audit(&shop, &["--cohort-table", shop.path("pu.csv").to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let wrong: Vec<&Value> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] != "ok")
        .collect();
    assert_eq!(wrong.len(), 2, "{}", said.out);
    let numbers = |finding: &Value| {
        (
            finding["numbers"]["computed"].as_f64().unwrap(),
            finding["numbers"]["printed"].as_f64().unwrap(),
        )
    };
    assert_eq!(numbers(wrong[0]), (406.0, 497.0));
    let (computed, printed) = numbers(wrong[1]);
    assert!(
        (computed - 48.52).abs() < 0.005 && printed == 45.7,
        "{computed} {printed}"
    );
    let right = &found["findings"][2]["numbers"];
    // Patients, three grades, exams and men of two groups, but for one; one mean; eight percentages; grades of eight columns.
    assert_eq!(
        [
            &right["row_sums"],
            &right["means"],
            &right["percentages"],
            &right["column_sums"]
        ],
        [11, 1, 8, 8]
    );
}

#[test]
fn the_table_of_song_leaves_thirteen_patients_unaccounted_for() {
    let shop = shop();
    let with_n = SONG
        .replace("positive", "positive (n = 98)")
        .replace("negative", "negative (n = 103)");
    for (table, from) in [(SONG, "by the sum of `Sex`"), (&with_n, "of the heading")] {
        shop.write("song.csv", table);
        let (_, found) = audit(&shop, &["--cohort-table", shop.path("song.csv").to_str().unwrap()]);
        let wrong: Vec<&Value> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["severity"] != "ok")
            .collect();
        assert_eq!(wrong.len(), 1, "{found}");
        let sentence = wrong[0]["sentence"].as_str().unwrap();
        assert!(
            sentence.contains("13 + 19 + 58 = 90, but n is 103")
                && sentence.contains("13 unaccounted for")
                && sentence.contains(from),
            "{sentence}"
        );
    }
}

/// 40 patients of six slices in two classes; the scanner follows the class, the set is drawn by patient or by slice.
fn made(shop: &Workshop, leaky: bool) -> PathBuf {
    let mut draw = hounsfield::seed::stream(5, "made");
    let mut table = "who,file,cls,part,scanner,age\n".to_owned();
    std::fs::create_dir_all(shop.path("img")).unwrap();
    for patient in 0..40 {
        let wave: [f32; 4] = std::array::from_fn(|_| draw.random_range(0.05..0.6));
        let age = draw.random_range(20..90);
        for slice in 0..6 {
            let name = format!("img/{patient}-{slice}.png");
            let image = image::GrayImage::from_fn(64, 64, |x, y| {
                let (x, y) = (x as f32, y as f32 + 9.0 * slice as f32);
                let value = 120.0 + 60.0 * (wave[0] * x + wave[1] * y).sin() + 50.0 * (wave[2] * x - wave[3] * y).cos();
                image::Luma([value as u8])
            });
            image.save(shop.path(&name)).unwrap();
            let part = if leaky { slice % 2 } else { patient / 2 % 2 };
            let part = ["train", "test"][part];
            let (cls, scanner) = if patient % 2 == 0 {
                ("covid", "Alpha")
            } else {
                ("cap", "Beta")
            };
            table += &format!("Doe{patient:04},{name},{cls},{part},{scanner},{age}\n");
        }
    }
    shop.write("table.csv", &table);
    shop.path("table.csv")
}

const MADE: [&str; 10] = [
    "--patient",
    "who",
    "--label",
    "cls",
    "--positive",
    "covid",
    "--path",
    "file",
    "--set",
    "part",
];

#[test]
fn a_split_by_slice_leaks_and_exits_three_and_one_by_patient_does_not() {
    let shop = shop();
    let table = made(&shop, true);
    let out = shop.path("pairs.csv");
    let arguments = [&[table.to_str().unwrap(), "--out", out.to_str().unwrap()], &MADE[..]].concat();
    let (said, found) = audit(&shop, &arguments);
    assert_eq!(said.code, Some(3), "{}{}", said.out, said.err);
    assert_eq!(found["findings"][0]["severity"], "leak");
    assert!(
        found["findings"][0]["sentence"]
            .as_str()
            .unwrap()
            .starts_with("40 of 40 patients stand in more than one set")
    );
    assert!(
        of(&found, "baselines without images")[0]
            .1
            .contains("column `scanner` alone tells `covid` from the rest completely: AUC 1.000")
    );
    let everything = format!(
        "{}{}{found}{}",
        said.out,
        said.err,
        std::fs::read_to_string(out).unwrap()
    );
    assert!(
        !everything.contains("Doe") && everything.contains("pat-"),
        "an identifier went out"
    );

    let table = made(&shop, false);
    let (said, found) = audit(&shop, &[&[table.to_str().unwrap()], &MADE[..]].concat());
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert_eq!(of(&found, "patients in two sets")[0].0, "ok");
    assert_eq!(of(&found, "identical images")[0].0, "ok");
    assert!(
        of(&found, "baselines without images")
            .iter()
            .any(|(severity, sentence)| *severity == "ok" && sentence.contains("`age` 0."))
    );
}

#[test]
fn a_split_file_is_joined_by_row_and_missing_images_are_failures() {
    let shop = shop();
    made(&shop, false);
    let rows: String = (0..240)
        .map(|row| format!("{},{}\n", row + 1, ["train", "test"][row % 2]))
        .collect();
    shop.write("split.csv", &format!("row,set\n{rows}"));
    let (table, split) = (shop.path("table.csv"), shop.path("split.csv"));
    let (said, _) = audit(
        &shop,
        &[
            table.to_str().unwrap(),
            "--patient",
            "who",
            "--split",
            split.to_str().unwrap(),
        ],
    );
    assert_eq!(said.code, Some(3), "{}", said.err);
    std::fs::remove_file(shop.path("img/0-0.png")).unwrap();
    let (said, _) = audit(&shop, &[&[table.to_str().unwrap()], &MADE[..]].concat());
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(
        said.out.contains("1 of 240 image files could not be read"),
        "{}",
        said.out
    );
}

#[test]
fn wrong_arguments_are_errors_with_a_way_out() {
    let shop = shop();
    shop.write("a.csv", "who,part\nA,train\n");
    let a = shop.path("a.csv");
    let a = a.to_str().unwrap();
    shop.write("b.csv", "id\nB\nC\n");
    shop.write("none.csv", "who,part\n");
    shop.write("twice.csv", "row,set\n1,train\n1,test\n");
    let [b, none, split] = ["b.csv", "none.csv", "twice.csv"].map(|name| shop.path(name));
    let [b, none, split] = [&b, &none, &split].map(|path| path.to_str().unwrap());
    for (arguments, expected) in [
        (vec!["audit"], "nothing to audit"),
        (vec!["audit", a, "--patient", "whom"], "nearest: \"who\""),
        (vec!["audit", a, "--patient-pattern", "(x)"], "name it with --name"),
        (
            vec!["audit", a, "--name", "who", "--patient-pattern", "x"],
            "has no group",
        ),
        (
            vec!["audit", a, "--name", "who", "--patient-pattern", "(x)"],
            "matches 0 of 1 row with a text in column \"who\"",
        ),
        (
            vec!["audit", a, "--name", "who", "--metadata", b, "--metadata-key", "id"],
            "0 of 1 row with a text in column \"who\" belong to one of the 2 patients",
        ),
        (
            vec!["audit", a, "--split", split],
            "rows 1 and 2 of the split give row 1 of the table two sets",
        ),
        (
            vec!["audit", none, "--label", "part", "--positive", "x"],
            "the tables have no rows",
        ),
        (
            vec!["audit", a, "--patient", "who", "--patient-pattern", "("],
            "no regular expression",
        ),
        (vec!["audit", a, a], "two tables are both called"),
        (vec!["audit", a, "--bootstrap", "5"], "at least 100"),
        (vec!["audit", a, "--certain", "2"], "between 0 and 1"),
        (
            vec!["audit", "--cohort-table", a],
            "nothing in the printed table can be computed",
        ),
    ] {
        let said = shop.hounsfield(&arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn the_lists_of_covidx_share_no_patient_and_have_rows_without_one() {
    let Some(data) = data() else { return };
    let of_manifests = |name: &str| data.join("manifests").join(name).to_str().unwrap().to_owned();
    let (val, test) = (
        of_manifests("covidxct_val_3A.txt"),
        of_manifests("covidxct_test_3A.txt"),
    );
    let shop = shop();
    let (said, found) = audit(
        &shop,
        &[
            &format!("val={val}"),
            &format!("test={test}"),
            "--no-header",
            "--separator",
            "space",
            "--name",
            "c1",
            "--label",
            "c2",
            "--positive",
            "2",
            "--metadata",
            &of_manifests("covidxct_metadata.csv"),
            "--metadata-key",
            "patient id",
            "--bootstrap",
            "200",
        ],
    );
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert_eq!(of(&found, "patients in two sets")[0].0, "ok", "{}", said.out);
    let without = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["check"] == "rows without a patient")
        .unwrap();
    assert_eq!(without["numbers"]["by_table"]["val"], 2413);
    assert_eq!(without["numbers"]["by_table"]["test"], 2411);
    assert_eq!(found["rows"], 33_725 + 33_781);
}

#[test]
fn the_curated_tables_are_read_whole_and_their_sites_tell_the_classes_apart() {
    let Some(data) = data() else { return };
    let tables: Vec<String> = ["covid", "cap", "normal"]
        .iter()
        .map(|name| {
            data.join(format!("manifests/curated_{name}.csv"))
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let shop = shop();
    let mut arguments: Vec<&str> = tables.iter().map(String::as_str).collect();
    arguments.extend([
        "--patient",
        "Patient ID",
        "--label",
        "COVID-19 Infection",
        "--positive",
        "COVID-19",
        "--site",
        "Country",
        "--meta",
        "Slice Thickness",
        "--bootstrap",
        "200",
    ]);
    let (said, found) = audit(&shop, &arguments);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    // 7,593 + 2,618 + 6,893: curated_covid has 7,616 lines.
    assert_eq!(found["rows"], 17_104);
    assert!(
        of(&found, "baselines without images")
            .iter()
            .any(|(severity, sentence)| *severity != "ok" && sentence.contains("`Country` (site)")),
        "{}",
        said.out
    );
}

#[test]
fn folds_of_slices_leak_on_real_slices_and_folds_of_groups_do_not() {
    let Some(data) = data() else { return };
    let manifest = data.join("ct-slices/manifest.csv");
    let shop = shop();
    let common = [
        "--label",
        "cls",
        "--positive",
        "covid",
        "--path",
        "file",
        "--site",
        "site",
        "--meta",
        "age,sex,orig_format",
        "--bootstrap",
        "200",
    ];
    let grouped = [
        &[manifest.to_str().unwrap(), "--patient", "group_id", "--set", "fold"],
        &common[..],
    ]
    .concat();
    let start = std::time::Instant::now();
    let (said, found) = audit(&shop, &grouped);
    eprintln!("3,227 images in {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert_eq!(of(&found, "patients in two sets")[0].0, "ok");

    let mut draw = hounsfield::seed::stream(0, "random folds");
    let rows: String = (1..=3227)
        .map(|row| format!("{row},fold:{}\n", draw.random_range(0..5)))
        .collect();
    shop.write("split.csv", &format!("row,set\n{rows}"));
    let split = shop.path("split.csv");
    let random = [
        &[
            manifest.to_str().unwrap(),
            "--patient",
            "group_id",
            "--split",
            split.to_str().unwrap(),
        ],
        &common[..],
    ]
    .concat();
    let (said, found) = audit(&shop, &random);
    assert_eq!(said.code, Some(3), "{}{}", said.out, said.err);
    assert_eq!(of(&found, "patients in two sets")[0].0, "leak");
    assert_eq!(of(&found, "near-duplicate images")[0].0, "leak");
    assert!(Path::new(&split).exists());
}

/// Ten patients of eight rows; rows of a patient lie close together, and rows 0 and 79 are nearly one.
#[test]
fn features_alone_and_in_a_study_show_whose_neighbours_are_whose() {
    use hounsfield::features::{FeatureTable, Provenance, Rows, feature_names, write_features};
    let mut draw = hounsfield::seed::stream(1, "features");
    let mut values = ndarray::Array2::zeros((80, 16));
    for patient in 0..10 {
        let own: Vec<f32> = (0..16).map(|_| draw.random_range(-3.0..3.0)).collect();
        for slice in 0..8 {
            for (column, own) in own.iter().enumerate() {
                values[[8 * patient + slice, column]] = own + draw.random_range(-0.3..0.3);
            }
        }
    }
    let first = values.row(0).to_owned();
    values.row_mut(79).assign(&first);
    let some = |cell: &dyn Fn(usize) -> String| (0..80).map(|row| Some(cell(row))).collect::<Vec<_>>();
    let table = FeatureTable {
        values,
        names: feature_names(16),
        rows: Rows {
            slice_id: (0..80).map(|row| format!("slc-{row:03}")).collect(),
            scan_id: (0..80).map(|row| format!("scn-{}", row / 8)).collect(),
            patient_id: (0..80).map(|row| format!("pat-{}", row / 8)).collect(),
            label: some(&|row| if row / 8 % 2 == 0 { "ill" } else { "well" }.to_owned()),
            site: vec![None; 80],
            split: vec![None; 80],
            extra: vec![(
                "part".to_owned(),
                some(&|row| if row / 8 < 6 { "train" } else { "test" }.to_owned()),
            )],
        },
        provenance: Provenance {
            pseudonyms: true,
            ..Provenance::default()
        },
    };
    let recipe = "seed = 1\n[cohort]\npositive = \"ill\"\n[features]\ntable = \"features.parquet\"\n[split]\nkind = \"folds\"\nk = 3\n";
    let shop = Workshop::new(recipe);
    write_features(&shop.path("features.parquet"), &table).unwrap();
    let (features, study) = (shop.path("features.parquet"), shop.path("study.toml"));
    let (said, found) = audit(
        &shop,
        &[
            "--features",
            features.to_str().unwrap(),
            "--set",
            "part",
            "--positive",
            "ill",
        ],
    );
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert_eq!(of(&found, "patients in two sets")[0].0, "ok");
    let twins = of(&found, "near-duplicate features");
    assert!(
        twins[0].0 == "serious"
            && twins[0]
                .1
                .starts_with("1 pair of rows is a near-duplicate, 1 in two sets"),
        "{twins:?}"
    );
    let neighbours = of(&found, "first neighbours")[0].1;
    assert!(
        neighbours.starts_with("the first neighbour of 97.5 % of 80 rows")
            && neighbours.contains("by chance it would be 8.86 %"),
        "{neighbours}"
    );

    let (said, found) = audit(&shop, &[study.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert_eq!(found["sets"], serde_json::json!(["fold:0", "fold:1", "fold:2"]));
    assert_eq!(of(&found, "first neighbours")[0].1, neighbours);

    let rows = |start: &str| {
        (0..80)
            .map(|row| format!("{start}{row:03},{}\n", row / 8))
            .collect::<String>()
    };
    for (start, expected) in [
        ("slc-", None),
        ("img", Some("0 of 80 ids of the features (`slice_id`) are among")),
    ] {
        shop.write("rows.csv", &format!("id,who\n{}", rows(start)));
        let table = shop.path("rows.csv");
        let table = [
            table.to_str().unwrap(),
            "--features",
            features.to_str().unwrap(),
            "--id",
            "id",
        ];
        let said = shop.hounsfield(&[&["audit"], &table[..]].concat());
        match expected {
            None => assert_eq!(said.code, Some(0), "{}", said.err),
            Some(expected) => assert!(
                said.code == Some(2) && said.err.contains(expected) && said.err.contains("leave --id out"),
                "{}",
                said.err
            ),
        }
    }
}

#[test]
fn columns_that_are_not_tried_are_named_with_their_reason() {
    let shop = shop();
    let mut rows = String::new();
    for patient in 0..24 {
        for slice in 0..2 {
            let (cls, age) = (["covid", "cap"][patient % 2], 20 + (patient * 7 + slice) % 30);
            let part = if patient < 12 { "train" } else { "" };
            rows += &format!("Doe{patient:04},{cls},{part},,1,{age},x{patient}-{slice}\n");
        }
    }
    shop.write("table.csv", &format!("who,cls,part,pos,scanner,age,filename\n{rows}"));
    let (said, found) = audit(
        &shop,
        &[
            shop.path("table.csv").to_str().unwrap(),
            "--patient",
            "who",
            "--label",
            "cls",
            "--positive",
            "covid",
            "--set",
            "part",
            "--position",
            "pos",
            "--bootstrap",
            "100",
        ],
    );
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let sentences = of(&found, "baselines without images");
    assert!(
        sentences.iter().any(|(_, sentence)| *sentence
            == "2 baselines not tried: constant: `scanner`; like an identifier (--meta tries it): `filename`"),
        "{sentences:?}"
    );
    let gaps = found["could_not_run"].to_string();
    assert!(
        gaps.contains("nothing can be predicted from `pos` (position) (empty) in 48 rows with a class"),
        "{gaps}"
    );
    assert!(
        said.out.contains("24 rows are in none of them") && found["rows_without_a_set"] == 24,
        "{}",
        said.out
    );
}

/// A study of features, 300 rows of 60 patients, whose column `part` gives folds to slices.
fn study(split: &str) -> Workshop {
    let recipe = format!(
        "[cohort]\npositive = \"covid\"\n[features]\ntable = \"features.parquet\"\n[split]\n{split}\n\
         [probe]\nunit = \"slice\"\nheads = [\"linear\"]\nbootstrap = {{ resamples = 200 }}\n"
    );
    let shop = Workshop::new(&recipe);
    let mut table = made_features(60, 1.0, 1.0, 4);
    let parts = (0..300).map(|row| Some((row % 3).to_string())).collect();
    table.rows.extra.push(("part".to_owned(), parts));
    write_features(&shop.path("features.parquet"), &table).unwrap();
    shop
}

#[test]
fn a_run_carries_its_audit_into_every_document() {
    let shop = study("kind = \"holdout\"");
    let said = shop.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let results: Value = serde_json::from_str(&shop.text("results.json")).unwrap();
    assert_eq!(of(&results["audit"], "patients in two sets")[0].0, "ok");
    assert_eq!(of(&results["audit"], "first neighbours").len(), 1);
    assert_eq!(results["audit"]["could_not_run"][0]["check"], "identical images");
    for document in ["report.html", "report.md"] {
        assert!(shop.text(document).contains("first neighbours"), "{document}");
    }
    let whole: Value = serde_json::from_str(&shop.text("audit.json")).unwrap();
    assert_eq!((&whole["leaks"], &whole["rows"]), (&Value::Bool(false), &300.into()));
    assert!(shop.text("run.lock.toml").contains("\"audit.json\""));

    // Another head needs no new audit, another seed does.
    let other = shop.run(&["--set", "probe.heads=[\"knn\"]"]);
    assert!(other.err.contains("audit: up to date"), "{}", other.err);
    let other = shop.run(&["--set", "seed=9"]);
    assert!(other.err.contains("audit: done"), "{}", other.err);
}

#[test]
fn a_split_by_slice_runs_with_its_leak_among_the_warnings() {
    for split in [
        "kind = \"folds\"\nk = 3",
        "kind = \"nested-cv\"\nk = 3\ninner = 2\nrepeats = 2",
    ] {
        let shop = study(&format!("{split}\nunit = \"slice\""));
        let said = shop.run(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let results: Value = serde_json::from_str(&shop.text("results.json")).unwrap();
        let leaks = of(&results["audit"], "patients in two sets");
        assert!(
            leaks[0].0 == "leak" && leaks[0].1.contains("of 60 patients stand in more than one set"),
            "{leaks:?}"
        );
        assert!(
            said.out.contains("warning: LEAK, patients in two sets: "),
            "{}",
            said.out
        );
        assert!(said.out.lines().all(|line| line.chars().count() <= 100), "{}", said.out);
        let (said, found) = audit(&shop, &[shop.path("study.toml").to_str().unwrap()]);
        assert_eq!(
            (said.code, &found["leaks"]),
            (Some(3), &Value::Bool(true)),
            "{}",
            said.err
        );
    }
}

#[test]
fn a_split_that_a_study_refuses_is_a_leak_of_its_audit() {
    let shop = study("kind = \"folds\"\ncolumn = \"part\"");
    let refused = shop.run(&[]);
    assert_eq!(refused.code, Some(2), "{}", refused.out);
    let (said, found) = audit(&shop, &[shop.path("study.toml").to_str().unwrap()]);
    assert_eq!(said.code, Some(3), "{}{}", said.out, said.err);
    assert!(
        of(&found, "patients in two sets")[0]
            .1
            .starts_with("60 of 60 patients stand in more than one set"),
        "{found}"
    );
    let apart = study("kind = \"folds\"\ncolumn = \"fold\"");
    let (said, _) = audit(&apart, &[apart.path("study.toml").to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
}
