//! `hounsfield readers` on made tables of readings: what Pu 2020 printed of two readers, arms, and tables that define little.

use hounsfield::stats::{KappaWeights, PairTable, auc};
use serde_json::Value;

use crate::command::{Said, Workshop, read};

/// Runs `readers` on a table and gives what it said and the numbers.
fn measure(table: &str, more: &[&str]) -> (Said, Value) {
    let shop = Workshop::new("");
    shop.write("readings.csv", table);
    let (readings, json) = (shop.path("readings.csv"), shop.path("out.json"));
    let start = ["readers", readings.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let said = shop.hounsfield(&[&start[..], more].concat());
    if said.code != Some(0) {
        assert!(!json.exists(), "numbers of a failed command");
        return (said, Value::Null);
    }
    for line in said.out.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
    for word in ["NaN", "inf"] {
        assert!(!said.out.contains(word), "{}", said.out);
    }
    let numbers = serde_json::from_str(&read(&json)).unwrap();
    (said, numbers)
}

fn refused(table: &str, more: &[&str]) -> String {
    let (said, _) = measure(table, more);
    assert_eq!(said.code, Some(2), "{}{}", said.out, said.err);
    assert!(said.out.is_empty(), "{}", said.out);
    said.err
}

#[track_caller]
fn near(found: &Value, expected: f64, tolerance: f64) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{found} and not {expected}"));
    assert!((found - expected).abs() <= tolerance, "{found} and not {expected}");
}

fn warnings(numbers: &Value) -> String {
    let all = numbers["warnings"].as_array().unwrap();
    all.iter()
        .map(|warning| warning.as_str().unwrap().to_owned() + "\n")
        .collect()
}

/// Rows `reader,case,patient,label,rating,score` of the two readers of Pu 2020: their 2x2 tables come back from the printed
/// margins and kappas. 50 scans of 27 COVID-19 patients, one of each of 50 controls; a score that is low for 14 controls
/// and one positive.
fn pu() -> String {
    let mut rows = "reader,case,patient,label,rating,score\n".to_owned();
    let tables = [("covid", [35, 7, 5, 3]), ("cap", [11, 11, 8, 20])];
    for (label, table) in tables {
        let calls = [["covid", "covid"], ["covid", "cap"], ["cap", "covid"], ["cap", "cap"]];
        let cases = calls.iter().zip(table).flat_map(|(calls, count)| vec![calls; count]);
        for (case, calls) in cases.enumerate() {
            let patient = if label == "covid" { case % 27 } else { case };
            // Seven of the 22 controls that the first reader calls positive, four of the second's 19, as printed.
            let low = match label {
                "covid" => case == 49,
                _ => (8..15).contains(&case) || (31..37).contains(&case) || case == 22,
            };
            let score = if low { 0.2 } else { 0.4 };
            for (reader, call) in ["R1", "R2"].iter().zip(calls) {
                rows += &format!("{reader},{label}-{case},{label}-p{patient},{label},{call},{score}\n");
            }
        }
    }
    rows
}

const PU: [&str; 4] = ["--positive", "covid", "--patient", "patient"];

#[test]
fn the_readers_of_pu_2020_come_back_from_their_tables() {
    let (said, numbers) = measure(
        &pu(),
        &[&PU[..], &["--score", "score", "--low-risk-sensitivity", "0.98"]].concat(),
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    for (reader, hits) in [(0, [42, 28]), (1, [40, 31])] {
        for (rate, hits) in ["sensitivity", "specificity"].iter().zip(hits) {
            let rate = &numbers["readers"][reader][rate];
            assert_eq!((&rate["hits"], &rate["of"]), (&hits.into(), &50.into()));
        }
    }
    // One case a patient: the percentile bootstrap gives the binomial quantiles that the paper prints, 42-70 and 48-76.
    for (reader, ends) in [(0, [0.42, 0.70]), (1, [0.48, 0.76])] {
        let specificity = &numbers["readers"][reader]["specificity"];
        assert_eq!(specificity["patients"], 50);
        for (end, expected) in ends.into_iter().enumerate() {
            near(&specificity["interval"][end], expected, 0.02);
        }
    }
    near(&numbers["readers"][0]["sensitivity"]["wilson"][0], 0.715, 5e-4);
    near(&numbers["readers"][0]["sensitivity"]["clopper_pearson"][1], 0.928, 5e-4);

    let of = |stratum: &str| {
        let rows = numbers["agreement"].as_array().unwrap();
        rows.iter().find(|row| row["stratum"] == stratum).unwrap()
    };
    near(&of("negative")["kappa"]["value"], 0.217, 5e-4);
    near(&of("positive")["kappa"]["value"], 0.189, 5e-4);
    assert_eq!(of("positive")["table"], serde_json::json!([[35, 7], [5, 3]]));
    assert_eq!(of("all")["n"], 100);
    // Printed: -0.04 to 0.50, bootstrapped.
    near(&of("negative")["interval"][0], -0.05, 0.03);
    near(&of("negative")["interval"][1], 0.49, 0.03);

    let pair = &numbers["reader_comparisons"][0];
    for (rate, asymptotic, exact) in [("specificity", 0.491, 0.648), ("sensitivity", 0.564, 0.774)] {
        near(&pair[rate]["mcnemar"]["asymptotic"]["p"], asymptotic, 5e-4);
        near(&pair[rate]["mcnemar"]["exact_p"], exact, 5e-4);
    }
    near(&pair["sensitivity"]["difference"], 0.04, 1e-12);

    let low = &numbers["low_risk"];
    assert_eq!((&low["n"], &low["n_positive"]), (&15.into(), &1.into()));
    near(&low["sensitivity"], 0.98, 1e-12);
    near(&low["specificity"], 0.28, 1e-12);
    assert_eq!(low["readers"][0]["negatives"], serde_json::json!([7, 14]));
    let said_of = warnings(&numbers);
    assert!(said_of.contains("chosen on the 50 positives"), "{said_of}");
    assert!(said_of.contains("100 cases are of 77 patients"), "{said_of}");
    assert!(said.out.contains("42/50 0.840 ("), "{}", said.out);
}

#[test]
fn the_order_of_the_rows_and_the_names_of_the_patients_change_nothing() {
    let table = pu();
    let (header, rows) = table.split_once('\n').unwrap();
    let mut turned: Vec<&str> = rows.lines().collect();
    turned.reverse();
    let (first, second) = (
        measure(&table, &PU),
        measure(&format!("{header}\n{}\n", turned.join("\n")), &PU),
    );
    assert_eq!(first.1, second.1);
    for said in [&first.0.out, &first.0.err, &first.1.to_string()] {
        assert!(
            !said.contains("-p3") && !said.contains("cap-1"),
            "an identifier: {said}"
        );
    }
    let other = measure(&table, &[&PU[..], &["--seed", "1"]].concat());
    assert_ne!(first.1["readers"], other.1["readers"]);
}

/// Three readers, 30 patients, ratings from 1 to 5 in two arms; with help a step nearer to the truth for two readers.
fn graded() -> (String, Vec<(bool, [f64; 3])>) {
    let (mut rows, mut plain) = ("reader,case,arm,label,rating\n".to_owned(), Vec::new());
    for case in 0..30_i32 {
        let positive = case % 3 == 0;
        let mut ratings = [0.0; 3];
        for reader in 0..3 {
            let noise = (case * case * (reader + 1) / 5 + case) % 4;
            let rating = if positive { 2 + noise } else { 1 + noise };
            let step = if positive { 1 } else { -1 };
            let helped = if reader < 2 {
                (rating + step).clamp(1, 5)
            } else {
                rating
            };
            ratings[reader as usize] = f64::from(rating);
            let label = if positive { "ill" } else { "well" };
            rows += &format!("r{reader},{case},alone,{label},{rating}\nr{reader},{case},with,{label},{helped}\n");
        }
        plain.push((positive, ratings));
    }
    (rows, plain)
}

const GRADED: [&str; 8] = [
    "--positive",
    "ill",
    "--cutoff",
    "3",
    "--arm",
    "arm",
    "--reference",
    "alone",
];

#[test]
fn ordinal_ratings_have_areas_weighted_kappas_and_arms() {
    let (table, plain) = graded();
    let (said, numbers) = measure(&table, &GRADED);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let positive: Vec<bool> = plain.iter().map(|(positive, _)| *positive).collect();
    let rated = |reader: usize| -> Vec<f64> { plain.iter().map(|(_, ratings)| ratings[reader]).collect() };
    for reader in 0..3 {
        let row = &numbers["readers"][reader];
        assert_eq!(
            (&row["reader"], &row["arm"]),
            (&format!("r{reader}").into(), &"alone".into())
        );
        near(&row["auc"]["value"], auc(&positive, &rated(reader)).unwrap(), 1e-12);
    }
    assert_eq!(numbers["scale"]["steps"], serde_json::json!([1.0, 2.0, 3.0, 4.0, 5.0]));

    // Readers 0 and 1, alone, all cases.
    let row = &numbers["agreement"][0];
    assert_eq!(
        (&row["first"], &row["second"], &row["stratum"]),
        (&"r0".into(), &"r1".into(), &"all".into())
    );
    let steps = |reader| -> Vec<usize> { rated(reader).iter().map(|rating| *rating as usize - 1).collect() };
    let pairs = PairTable::of_ratings(&steps(0), &steps(1), &[1; 30], 5);
    for (index, weights) in [KappaWeights::Unweighted, KappaWeights::Linear, KappaWeights::Quadratic]
        .into_iter()
        .enumerate()
    {
        near(
            &row["weighted"][index]["kappa"]["value"],
            pairs.kappa(weights).unwrap(),
            1e-12,
        );
    }
    assert_eq!(numbers["group_agreement"].as_array().unwrap().len(), 6);
    assert_eq!(numbers["group_agreement"][0]["n_readers"], 3);

    let arms = &numbers["arm_comparisons"][0];
    assert_eq!((&arms["arm"], &arms["reference"]), (&"with".into(), &"alone".into()));
    let each: Vec<f64> = (0..3)
        .map(|reader| arms["readers"][reader]["specificity"]["difference"].as_f64().unwrap())
        .collect();
    assert!(each[0] > 0.0 && each[1] > 0.0 && each[2] == 0.0, "{each:?}");
    let mean = &arms["averages"][1];
    assert_eq!(
        (&mean["metric"], &mean["n_readers"]),
        (&"specificity".into(), &3.into())
    );
    near(&mean["difference"], each.iter().sum::<f64>() / 3.0, 1e-12);
    assert!(mean["clustered"]["p"].as_f64().unwrap() < 0.05, "{mean}");
    assert_eq!(arms["readers"][2]["specificity"]["clustered"], Value::Null);
    assert_eq!(arms["averages"][2]["metric"], "auc");
    assert!(said.out.contains("with (first) against alone (second)"), "{}", said.out);
}

/// One case a patient: the clustered variance is n / (n - 1) times that of the paired difference, (b + c - (b - c)2 / n) / n2.
#[test]
fn the_clustered_test_is_the_paired_one_where_patients_have_one_case() {
    let (_, numbers) = measure(&pu().replace("-p", "-"), &["--positive", "covid"]);
    let found = &numbers["reader_comparisons"][0]["specificity"];
    let (n, b, c) = (50.0_f64, 8.0_f64, 11.0_f64);
    let error = (n / (n - 1.0) * (b + c - (b - c).powi(2) / n)).sqrt() / n;
    near(&found["clustered"]["z"], (b - c) / n / error, 1e-12);
    // As a case of each patient twice adds patients' rows but no patient, z stays as it is.
    let twice = pu()
        .replace("-p", "-")
        .lines()
        .skip(1)
        .fold(String::new(), |rows, line| {
            let (reader, rest) = line.split_once(',').unwrap();
            let (case, rest) = rest.split_once(',').unwrap();
            rows + &format!("{reader},{case}-a,{rest}\n{reader},{case}-b,{rest}\n")
        });
    let table = format!("reader,case,patient,label,rating,score\n{twice}");
    let (_, doubled) = measure(&table, &PU);
    let again = &doubled["reader_comparisons"][0]["specificity"];
    near(
        &again["clustered"]["z"],
        found["clustered"]["z"].as_f64().unwrap(),
        1e-9,
    );
    assert!(again["mcnemar"]["asymptotic"]["p"].as_f64() < found["mcnemar"]["asymptotic"]["p"].as_f64());
}

#[test]
fn missing_readings_are_counted_and_pairs_use_what_both_read() {
    let (table, _) = graded();
    let lines: Vec<String> = table
        .lines()
        .map(|line| match line {
            // Two cases of one reader are not read, once as an empty cell, once as no row.
            line if line.starts_with("r1,3,alone") => "r1,3,alone,ill,".to_owned(),
            line if line.starts_with("r1,4,alone") => String::new(),
            line => line.to_owned(),
        })
        .filter(|line| !line.is_empty())
        .collect();
    let (said, numbers) = measure(&(lines.join("\n") + "\n"), &GRADED);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let told = warnings(&numbers);
    assert!(told.contains("2 of 180 readings"), "{told}");
    assert!(told.contains("1 of 179 rows have no rating"), "{told}");
    assert!(
        told.contains("unequal in arm alone: the readers read 30, 28, 30 cases"),
        "{told}"
    );
    let agreement = &numbers["agreement"];
    assert_eq!(
        (&agreement[0]["n"], &agreement[3]["n"], &agreement[6]["n"]),
        (&28.into(), &30.into(), &28.into())
    );
    assert_eq!(numbers["arm_comparisons"][0]["readers"][1]["sensitivity"]["n"], 9);
}

#[test]
fn readings_go_to_mrmc_programs_without_identifiers() {
    let shop = Workshop::new("");
    shop.write(
        "readings.csv",
        &graded().0.replace("r2,", "\"Dr: 2\",").replace(",29,", ",Jane Doe,"),
    );
    let path = |name: &str| shop.path(name).to_str().unwrap().to_owned();
    let (readings, imrmc, csv) = (path("readings.csv"), path("study.imrmc"), path("study.csv"));
    let start = [
        "readers",
        &readings,
        "--mrmc",
        &imrmc,
        "--mrmc",
        &csv,
        "--bootstrap",
        "100",
    ];
    let said = shop.hounsfield(&[&start[..], &GRADED].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);

    let text = read(&shop.path("study.imrmc"));
    assert!(!text.contains("Jane") && text.contains("reader 1 is Dr  2"), "{text}");
    let (head, data) = text.split_once("BEGIN DATA:\n").unwrap();
    for line in ["NR: 3", "N0: 20", "N1: 10", "NM: 2"] {
        assert_eq!(head.lines().filter(|found| *found == line).count(), 1, "{head}");
    }
    let rows: Vec<Vec<f64>> = data
        .lines()
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    let (truth, scores): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row[0] == -1.0);
    assert_eq!((truth.len(), scores.len()), (30, 180));
    assert_eq!(truth.iter().map(|row| row[3]).sum::<f64>(), 10.0);
    assert!(truth.iter().all(|row| row[2] == 0.0));

    let text = read(&shop.path("study.csv"));
    assert!(
        text.starts_with("reader,treatment,case,truth,rating,patient\n") && !text.contains("Jane"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 181);
    let said = shop.hounsfield(&[
        "readers",
        &readings,
        "--mrmc",
        "study.xls",
        "--positive",
        "ill",
        "--cutoff",
        "3",
    ]);
    assert!(said.code == Some(2) && said.err.contains(".imrmc"), "{}", said.err);
}

#[test]
fn tables_that_define_little_get_sentences_and_no_nan() {
    let told = |table: &str, more: &[&str]| {
        let (said, numbers) = measure(table, &[&["--positive", "ill"], more].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        (warnings(&numbers), numbers)
    };
    let one_reader = "reader,case,label,rating\na,1,ill,ill\na,2,well,ill\na,3,well,well\n";
    let (words, numbers) = told(one_reader, &[]);
    assert!(words.contains("one reader: there is no agreement"), "{words}");
    assert_eq!(numbers["readers"][0]["sensitivity"]["interval"], Value::Null);
    assert_eq!(numbers["agreement"], serde_json::json!([]));

    let one_class = "reader,case,label,rating\na,1,ill,ill\na,2,ill,well\nb,1,ill,ill\nb,2,ill,ill\n";
    let (words, numbers) = told(one_class, &[]);
    assert!(words.contains("no negative case was read"), "{words}");
    assert!(words.contains("b calls every case positive"), "{words}");
    assert_eq!(numbers["readers"][0]["specificity"]["value"], Value::Null);

    let mut all_equal = "reader,case,label,rating\n".to_owned();
    for case in 0..12 {
        let label = if case % 2 == 0 { "ill" } else { "well" };
        all_equal += &format!("a,{case},{label},3\nb,{case},{label},3\n");
    }
    let (words, numbers) = told(&all_equal, &["--cutoff", "3"]);
    assert!(words.contains("kappa is not defined in 3 of 3 comparisons"), "{words}");
    assert_eq!(numbers["agreement"][0]["kappa"], Value::Null);
    assert_eq!(numbers["readers"][0]["sensitivity"]["interval"][1], 1.0);
    assert!(
        numbers["readers"][0]["sensitivity"]["interval_method"]
            .as_str()
            .unwrap()
            .starts_with("Wilson")
    );

    // The readers call by the labels' names, and nobody was called ill.
    let none_called = "reader,case,label,rating\na,1,ill,well\na,2,well,well\nb,1,ill,well\nb,2,well,well\n";
    let (words, numbers) = told(none_called, &[]);
    assert!(words.contains("b calls every case negative"), "{words}");
    assert_eq!(numbers["readers"][0]["sensitivity"]["value"], 0.0);

    let one_patient = "reader,case,who,label,rating\na,1,p,ill,ill\na,2,p,well,ill\nb,1,p,ill,well\nb,2,p,well,well\n";
    let (words, numbers) = told(one_patient, &["--patient", "who"]);
    assert!(words.contains("2 cases are of 1 patient:"), "{words}");
    assert_eq!(numbers["readers"][0]["sensitivity"]["interval"], Value::Null);
    assert_eq!(
        numbers["reader_comparisons"][0]["sensitivity"]["clustered"],
        Value::Null
    );
}

#[test]
fn what_cannot_be_read_is_said_with_the_row_and_a_way_out() {
    let ill = ["--positive", "ill"];
    let with = |more: &[&'static str]| -> Vec<&'static str> { [&ill[..], more].concat() };
    let head = "reader,case,label,rating\n";
    let table = |rows: &str| format!("{head}{rows}");
    for (rows, more, words) in [
        ("", &[][..], "the table has a header and no rows"),
        (
            "a,1,ill,\nb,1,ill,\n",
            &[],
            "no row is a reading: 2 rows, 2 without a rating",
        ),
        (
            "a,1,ill,ill\nb,1,ill,ill\na,1,ill,well\n",
            &[],
            "rows 1 and 3 are both readings of one case",
        ),
        (
            "a,1,ill,ill\nb,1,well,ill\n",
            &[],
            "rows 1 and 2 are of one case and have different labels",
        ),
        ("a,1,ill,ill\n,2,well,ill\n", &[], "row 2 has no reader"),
        ("a,1,ill,4\na,2,well,2\n", &[], "`--cutoff`"),
        (
            "a,1,ill,4\na,2,well,x\n",
            &["--cutoff", "3"],
            "row 2 of column \"rating\" is no finite number",
        ),
        (
            "a,1,ill,nan\n",
            &["--cutoff", "3"],
            "row 1 of column \"rating\" is no finite number",
        ),
        (
            "a,1,ill,ill\na,2,well,well\na,3,well,unsure\n",
            &[],
            "3 different ratings are not binary",
        ),
        (
            "a,1,ill,yes\n",
            &["--called", "Yes"],
            "no reading is rated \"Yes\", the ratings are \"yes\" (1)",
        ),
    ] {
        let said = refused(&table(rows), &with(more));
        assert!(said.contains(words), "{said}");
    }
    let (graded, _) = graded();
    let arms = ["--cutoff", "3", "--arm", "arm", "--reference", "without"];
    let said = refused(&graded, &with(&arms));
    assert!(
        said.contains("no reading is of the arm \"without\"; the arms are alone, with"),
        "{said}"
    );
    let few = ["--bootstrap", "10"];
    assert!(refused(&pu(), &[&PU[..], &few].concat()).contains("10 bootstrap resamples"));
    let target = ["--score", "score", "--low-risk-sensitivity", "98"];
    assert!(refused(&pu(), &[&PU[..], &target].concat()).contains("98 % is 0.98"));
}
