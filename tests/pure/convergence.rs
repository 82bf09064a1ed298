//! Trainings that found nothing: told by their loss and by their own training scans, and marked wherever their scores go.

use hounsfield::{
    eval::{Convergence, Pooling, ScorePlan, ScoreTable, Scores, Unit, converged_cell, not_converged},
    stats::Bootstrap,
    tables::TextTable,
};
use serde_json::Value;

use crate::command::{Workshop, read};

fn run(losses: [f64; 2], auc: Option<f64>, ci: Option<[f64; 2]>) -> Convergence {
    Convergence {
        epochs: 20,
        first_loss: losses[0],
        best_loss: losses[1],
        scored_loss: None,
        training_auc: auc,
        training_auc_ci: ci,
    }
}

#[test]
fn a_training_auc_near_one_half_is_no_convergence_and_a_loss_speaks_where_the_auc_does_not_clear_it() {
    let trained = run([0.70, 0.42], Some(0.93), Some([0.85, 0.98]));
    assert_eq!(trained.why_not(), None);
    for (losses, auc, ci) in [
        // The first epoch was enough: the loss is low and stays there.
        ([0.30, 0.298], Some(0.95), Some([0.9, 0.99])),
        // Dropout of 0.8 keeps the training's own loss where a guess is.
        ([3.7150, 0.6914], Some(0.917), Some([0.771, 1.0])),
        ([0.694, 0.690], Some(0.99), Some([0.97, 1.0])),
        ([0.500, 0.300], None, None),
        ([0.700, 0.420], Some(0.75), Some([0.55, 0.9])),
    ] {
        assert_eq!(run(losses, auc, ci).why_not(), None, "{losses:?}");
    }
    for (losses, auc, ci, said) in [
        (
            [0.694, 0.690],
            Some(0.75),
            Some([0.55, 0.9]),
            "flat, 0.6940 in the first epoch, 0.6900 at best",
        ),
        (
            [1.900, 0.693],
            Some(0.75),
            Some([0.55, 0.9]),
            "stayed above that of a constant guess, 0.6931",
        ),
        ([0.500, 0.499], None, None, "flat, 0.5000 in the first epoch, 0.4990"),
        // A network that was never trained, and is lucky.
        (
            [0.700, 0.420],
            Some(0.7),
            Some([0.45, 0.9]),
            "covers 0.5 (0.450 to 0.900)",
        ),
        ([0.700, 0.420], Some(0.56), Some([0.51, 0.61]), "is 0.560, at least 0.6"),
        ([0.700, 0.420], Some(0.20), Some([0.1, 0.3]), "is 0.200"),
        ([0.700, f64::NAN], Some(0.93), Some([0.85, 0.98]), "no number"),
        ([f64::INFINITY, 0.4], Some(0.93), Some([0.85, 0.98]), "infinite"),
        ([f64::NAN, f64::NAN], Some(0.99), Some([0.97, 1.0]), "no number"),
    ] {
        let why = run(losses, auc, ci)
            .why_not()
            .unwrap_or_else(|| panic!("{losses:?} {auc:?}"));
        assert!(why.contains(said), "{why}");
        assert_eq!(why.contains("flat"), losses[1] > 0.98 * losses[0], "{why}");
    }
    let both = run([0.694, 0.690], Some(0.5), Some([0.4, 0.6])).why_not().unwrap();
    assert!(both.contains("flat") && both.contains(", and its AUC"), "{both}");
    let none = Convergence { epochs: 0, ..trained };
    assert_eq!(none.why_not().unwrap(), "no epoch was trained");
}

#[test]
fn a_loss_that_only_dropout_keeps_high_does_not_speak_against_a_training() {
    let mut noisy = run([1.900, 0.693], Some(0.75), Some([0.55, 0.9]));
    noisy.scored_loss = Some(0.5);
    assert_eq!(noisy.why_not(), None);
    noisy.scored_loss = Some(0.69);
    assert!(noisy.why_not().unwrap().contains("0.6900 by the scores"));
    let old = r#"{"epochs":3,"first_loss":0.7,"best_loss":0.3,"training_auc":null,"training_auc_ci":null}"#;
    assert_eq!(serde_json::from_str::<Convergence>(old).unwrap().scored_loss, None);
}

#[test]
fn the_evidence_is_taken_from_losses_and_from_patients() {
    let bootstrap = Bootstrap {
        resamples: 200,
        ..Bootstrap::default()
    };
    let of = |losses: &[f64], score: &dyn Fn(usize) -> f64| {
        // 20 patients of two scans each.
        let positive: Vec<bool> = (0..40).map(|row| row / 2 % 2 == 0).collect();
        let score = (0..40).map(score).collect();
        let scores = Scores::new(positive, score, (0..40).map(|row| row / 2).collect()).unwrap();
        Convergence::of(losses, &scores, Unit::Patient, Pooling::Mean, &bootstrap).unwrap()
    };
    let perfect = of(&[0.7, 0.3, 0.4], &|row| if row / 2 % 2 == 0 { 0.9 } else { 0.1 });
    assert_eq!((perfect.epochs, perfect.first_loss, perfect.best_loss), (3, 0.7, 0.3));
    assert_eq!(perfect.training_auc, Some(1.0));
    assert!((perfect.scored_loss.unwrap() + 0.9_f64.ln()).abs() < 1e-12);
    assert!(perfect.training_auc_ci.unwrap()[0] < 1.0 && perfect.why_not().is_none());
    let constant = of(&[0.7, 0.693], &|_| 0.5);
    assert_eq!(constant.training_auc, Some(0.5));
    assert!(constant.why_not().is_some());
    assert!((constant.scored_loss.unwrap() - 2_f64.ln()).abs() < 1e-12);
    let noise = of(&[0.7, 0.6], &|row| (row as f64 * 0.61803).fract());
    assert!(noise.why_not().unwrap().contains("training scans"), "{noise:?}");
    let numbers = of(&[0.7, f64::NAN, 0.3], &|row| row as f64);
    assert!(numbers.best_loss.is_nan() && numbers.scored_loss.is_none());
    let sure = of(&[0.7, 0.3], &|row| f64::from(u8::from(row / 2 % 2 == 1)));
    assert_eq!(sure.scored_loss, Some(100.0));
    assert_eq!(of(&[], &|row| row as f64).why_not().unwrap(), "no epoch was trained");
}

/// Two columns of scores of 24 patients, of which the second did not converge.
fn table(second: &str) -> String {
    let mut csv = "patient_id,label,set,a,a.threshold,a.converged,net,net.threshold,net.converged\n".to_owned();
    for row in 0..24_usize {
        let label = if row % 2 == 0 { "covid" } else { "cap" };
        let (a, b) = ((row * 7 % 24) as f64 / 24.0, (row * 11 % 24) as f64 / 24.0);
        let a = if row % 2 == 0 { (a + 0.4).min(1.0) } else { a };
        csv += &format!("p{row:02},{label},test,{a:.3},0.5,yes,{b:.3},0.5,{second}\n");
    }
    csv
}

fn text(csv: &str) -> TextTable {
    let mut lines = csv
        .lines()
        .map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let rows: Vec<Vec<String>> = lines.collect();
    let cells = |at: usize| {
        rows.iter()
            .map(|row| Some(row[at].clone()).filter(|cell| !cell.is_empty()))
            .collect()
    };
    TextTable::new(
        names
            .into_iter()
            .enumerate()
            .map(|(at, name)| (name, cells(at)))
            .collect(),
    )
    .unwrap()
}

#[test]
fn a_table_says_which_of_its_scores_did_not_converge() {
    let plan = ScorePlan {
        positive: Some("covid".to_owned()),
        ..ScorePlan::default()
    };
    let found = |cell: &str| ScoreTable::new(&text(&table(cell)), &plan);
    let read = found("no: its loss is flat").unwrap();
    let names: Vec<&str> = read.scores.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["a", "net"], "what says so is no score");
    assert_eq!(read.scores[0].not_converged, None);
    assert_eq!(read.scores[1].not_converged.as_deref(), Some("its loss is flat"));
    assert!(
        read.warnings[0].contains("net did not converge: its loss is flat"),
        "{:?}",
        read.warnings
    );
    for cell in ["yes", "", "1", "TRUE"] {
        assert_eq!(found(cell).unwrap().scores[1].not_converged, None, "{cell}");
    }
    for cell in ["no", "0", "False"] {
        assert!(found(cell).unwrap().scores[1].not_converged.is_some(), "{cell}");
    }
    let error = found("maybe").unwrap_err().to_string();
    assert!(error.contains("`net.converged`") && error.contains("row 1"), "{error}");
    // Spreadsheets change the case of a word.
    for ending in [".Converged", ".CONVERGED"] {
        let other = text(&table("no").replacen("net.converged", &format!("net{ending}"), 1));
        let read = ScoreTable::new(&other, &plan).unwrap();
        assert!(read.scores[1].not_converged.is_some(), "{ending}");
        assert!(not_converged(&other, "net").unwrap().is_some(), "{ending}");
    }
    let other = text(&table("yes").replacen("net.threshold", "net.Threshold", 1));
    assert!(ScoreTable::new(&other, &plan).unwrap().scores[1].threshold.is_some());
    // What is written is what is read.
    let why = "its AUC is 0.5: a guess";
    let cell = converged_cell(Some(why));
    assert_eq!(found(&cell).unwrap().scores[1].not_converged.as_deref(), Some(why));
    assert_eq!(found(&converged_cell(None)).unwrap().scores[1].not_converged, None);
}

#[test]
fn evaluate_marks_such_scores_in_every_table_and_compare_compares_them_with_nothing() {
    let shop = Workshop::new("");
    shop.write("scores.csv", &table("no: its loss is flat"));
    let on = |command: &str, more: &[&str]| {
        let (table, json) = (shop.path("scores.csv"), shop.path("out.json"));
        let fixed = [
            command,
            table.to_str().unwrap(),
            "--positive",
            "covid",
            "--bootstrap",
            "200",
            "--json",
        ];
        let said = shop.hounsfield(&[&fixed[..], &[json.to_str().unwrap()], more].concat());
        let json: Value = serde_json::from_str(&read(&json)).unwrap();
        assert!(said.out.lines().all(|line| line.chars().count() <= 100), "{}", said.out);
        (said, json)
    };
    let curves = shop.path("curves");
    let (said, json) = on("evaluate", &["--curves", curves.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out
            .contains("warning: the training of net did not converge: its loss is flat"),
        "{}",
        said.out
    );
    assert!(said.out.contains("net (NOT CONVERGED) on test"), "{}", said.out);
    assert!(!said.out.contains("a (NOT CONVERGED)"), "{}", said.out);
    assert_eq!(json["assessments"][1]["not_converged"], "its loss is flat");
    assert!(json["assessments"][0].get("not_converged").is_none());
    assert!(read(&curves.join("roc.csv")).contains("net (NOT CONVERGED)"));

    let (said, json) = on("compare", &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let set = &json["sets"][0];
    assert_eq!(set["comparisons"].as_array().unwrap().len(), 0);
    assert_eq!(set["not_compared"][0]["why"], "net did not converge: its loss is flat");
    assert!(
        said.out.contains("not compared") && said.out.contains("not converged"),
        "{}",
        said.out
    );
    // As the reference too: there is nothing to compare with.
    let (said, json) = on("compare", &["--reference", "net"]);
    assert_eq!(
        (said.code, json["sets"][0]["comparisons"].as_array().unwrap().len()),
        (Some(0), 0)
    );
}
