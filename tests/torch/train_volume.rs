//! `hounsfield train-volume` as a user runs it: whole trainings of a few epochs on synthetic scans, killed, gone on with, refused.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use hounsfield::{card::ClassifierCard, torch::train::Checkpoints};

use super::{
    command::{Said, Workshop, read},
    training::{self, checkpoint, killed_at, metrics},
};

const RECIPE: &str = r#"
seed = 5

[cohort]
table = "scans.csv"
path = "path"
patient = "patient_id"
scan = "scan_id"
label = "label"
positive = "coarse"
site = "site"

[split]
kind = "holdout"
fractions = { train = 0.5, validation = 0.25, test = 0.25 }

[input]
spacing = 10.0
size = [32, 32, 32]

[augment]
flip = [0.0, 0.0, 0.5]
hu_shift = 25.0
noise = { sigma = [0.0, 20.0] }

[network]
kind = "pu-a"
filters = [4, 8]
fully_connected = [8]

[train]
epochs = 2
batch = 4
part = 2
cache = "CACHE"

[checkpoint]
every = 2
keep = 3

[evaluate]
bootstrap = { resamples = 200 }

[maps]
scans = 1
"#;

/// Synthetic scans of 32 patients, made once for all tests, and the folder of them as a network takes them.
static SCANS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_hounsfield"))
        .args(["--quiet", "phantoms", "--scans", "--patients", "32", "--size", "32"])
        .args(["--spacing", "10", "--seed", "3", "--out"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    folder
});

/// A shop in which a training was made that nobody killed.
static WHOLE: LazyLock<Workshop> = LazyLock::new(|| {
    let shop = workshop();
    let whole = train(&shop, "whole", &[]);
    assert_eq!(whole.code, Some(0), "{}", whole.err);
    shop
});

/// The recipe and its table, which names the scans where they lie.
fn workshop() -> Workshop {
    let shop = Workshop::new("");
    let cache = SCANS.path().join("ready");
    shop.write("recipe.toml", &RECIPE.replace("CACHE", cache.to_str().unwrap()));
    shop.write("scans.csv", &table());
    shop
}

fn table() -> String {
    let folder = format!(",{}/scans/", SCANS.path().display());
    read(&SCANS.path().join("scans.csv")).replace(",scans/", &folder)
}

fn train(shop: &Workshop, run: &str, more: &[&str]) -> Said {
    training::run(shop, "train-volume", run, more)
}

fn last_step(run: &Path) -> u64 {
    metrics(run).last().unwrap()["step"].as_u64().unwrap()
}

fn assert_same(one: &Path, other: &Path) {
    let step = last_step(one);
    let read_end = |run: &Path| Checkpoints::read(&checkpoint(run, step)).unwrap();
    let (one_end, other_end) = (read_end(one), read_end(other));
    assert_eq!(one_end.stamp, other_end.stamp);
    assert!(one_end.state.len() > 10 && one_end.state.len() == other_end.state.len());
    for (name, tensor) in &one_end.state {
        assert!(tensor.equal(&other_end.state[name]), "{name} differs");
    }
    assert_eq!(metrics(one), metrics(other));
    let card = |run: &Path| ClassifierCard::load(&run.join("classifier")).unwrap().card;
    assert_eq!(card(one), card(other));
    let scores = |run: &Path| std::fs::read(run.join("predictions.parquet")).unwrap();
    assert_eq!(scores(one), scores(other));
}

#[test]
fn a_training_that_was_killed_in_an_epoch_ends_as_one_that_was_not() {
    let shop = &*WHOLE;
    killed_at(shop, "train-volume", "cut", 2);
    killed_at(shop, "train-volume", "cut", 8);
    let rest = train(shop, "cut", &[]);
    assert_eq!(rest.code, Some(0), "{}", rest.err);
    assert!(rest.err.contains("goes on after step"), "{}", rest.err);
    assert_same(&shop.path("whole"), &shop.path("cut"));
    for name in [
        "recipe.toml",
        "data.csv",
        "sheets/augmentation.png",
        "report.html",
        "report.md",
        "results.json",
        "maps/index.html",
    ] {
        assert!(shop.path("whole").join(name).exists(), "{name}");
    }
    // What has ended is only measured again.
    let again = train(shop, "cut", &[]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_same(&shop.path("whole"), &shop.path("cut"));
    // Also by other rules, which make no other weights.
    let rules = [
        "evaluate.bootstrap.resamples=100",
        "maps.scans=0",
        "checkpoint.keep=1",
        "name=b",
    ];
    let rules: Vec<&str> = rules.iter().flat_map(|rule| ["--set", rule]).collect();
    let measured = train(shop, "cut", &rules);
    assert_eq!(measured.code, Some(0), "{}", measured.err);
    let weights = |run: &str| std::fs::read(shop.path(run).join("classifier/weights.safetensors")).unwrap();
    assert_eq!(weights("cut"), weights("whole"));
    assert!(!shop.path("cut/maps").exists());
    assert!(read(&shop.path("cut/results.json")).contains("\"b\""));

    // Other settings of the training, before any scan is looked at.
    let none = shop.path("none");
    let other = [
        "train.batch=5".to_owned(),
        "plateau.patience=4".to_owned(),
        format!("train.cache={}", none.display()),
    ];
    let other: Vec<&str> = other.iter().flat_map(|setting| ["--set", setting]).collect();
    let other = train(shop, "cut", &other);
    assert_eq!(other.code, Some(2));
    for word in [
        "`plateau.patience` (was 3, is 4)",
        "`train.batch` (was 4, is 5)",
        "--restart",
    ] {
        assert!(other.err.contains(word), "{word} in {}", other.err);
    }
    assert!(!none.exists());
}

#[test]
fn other_scans_under_the_same_recipe_are_refused() {
    let shop = workshop();
    killed_at(&shop, "train-volume", "run", 2);
    let table = table();
    let (fewer, _) = table.trim_end().rsplit_once('\n').unwrap();
    shop.write("scans.csv", &format!("{fewer}\n"));
    let changed = train(&shop, "run", &[]);
    assert_eq!(changed.code, Some(2));
    assert!(changed.err.contains("trained on other scans"), "{}", changed.err);
}

/// Making scans ready takes hours where they are large.
#[test]
fn what_can_be_refused_without_scans_is_refused_before_they_are_made_ready() {
    let shop = workshop();
    let ready = shop.path("ready");
    let cache = format!("train.cache={}", ready.display());
    // The first scan of each patient with two gets the label of the other class.
    let mut seen = std::collections::HashSet::new();
    let mixed = table().lines().fold(String::new(), |text, line| {
        let other = match (line.contains(",coarse,"), line.contains("-S1,")) {
            (true, true) => line.replace(",coarse,", ",fine,"),
            (false, true) => line.replace(",fine,", ",coarse,"),
            _ => line.to_owned(),
        };
        let patient = line.split(',').nth(1).unwrap_or_default().to_owned();
        let two = table().matches(&format!(",{patient},")).count() > 1;
        let line = if two && seen.insert(patient) { &other } else { line };
        text + line + "\n"
    });
    shop.write("mixed.csv", &mixed);
    let trunk =
        "network={ kind = 'covnet', trunk = { kind = 'bigbigan-resnet-tiny', weights = 'missing.safetensors' } }";
    for (setting, said) in [
        ("train.memory_mb=1", "`train.memory_mb` allows 976.6 KiB"),
        ("evaluate.bootstrap.resamples=50", "50 bootstrap resamples"),
        ("name=set", "a column beside its scores"),
        (trunk, "weights cannot be read"),
        ("cohort.table=mixed.csv", "`evaluate.unit = \"scan\"`"),
    ] {
        let refused = train(&shop, "run", &["--set", setting, "--set", &cache]);
        assert_eq!(refused.code, Some(2), "{setting}: {}", refused.out);
        assert!(refused.err.contains(said), "{setting}: {}", refused.err);
        assert!(!ready.exists(), "{setting}");
    }
    // An earlier training stays until there is a new one to take its place.
    std::fs::create_dir_all(shop.path("run/checkpoints")).unwrap();
    let refused = train(&shop, "run", &["--restart", "--set", trunk]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(shop.path("run/checkpoints").exists());
}

#[test]
fn textures_are_learned() {
    let shop = workshop();
    let settings = [
        "train.epochs=8",
        "train.part=4",
        "plateau={ metric = 'loss', patience = 8 }",
        "augment=none",
        "network={ kind = 'pu-a', filters = [8, 16, 32], fully_connected = [32], dropout = 0.0 }",
    ];
    let more: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let learned = train(&shop, "learned", &more);
    assert_eq!(learned.code, Some(0), "{}", learned.err);
    let auc = |run: &str| {
        let results: serde_json::Value = serde_json::from_str(&read(&shop.path(run).join("results.json"))).unwrap();
        let rows = results["results"].as_array().unwrap().clone();
        let row = rows
            .into_iter()
            .find(|row| row["set"] == "test" && row["metric"] == "auc")
            .unwrap();
        row["value"].as_f64().unwrap()
    };
    assert!(auc("learned") > 0.85, "{}\n{}", learned.out, learned.err);
    assert!(!learned.out.contains("NOT CONVERGED"), "{}", learned.out);
}

#[test]
fn numbers_that_are_none_stop_a_training_and_name_the_rows() {
    let shop = workshop();
    let broken = train(&shop, "run", &["--set", "train.lr=1e30"]);
    assert_eq!(broken.code, Some(2), "{}{}", broken.out, broken.err);
    assert!(broken.err.contains("not finite ("), "{}", broken.err);
    let kept: Vec<_> = std::fs::read_dir(shop.path("run/alarms")).unwrap().collect();
    assert_eq!(kept.len(), 1);
    assert!(!shop.path("run/classifier").exists());
}

/// A limit of the size of files stands in for a disk that is full.
#[test]
fn a_full_disk_during_a_checkpoint_loses_the_steps_since_the_last_one_and_nothing_else() {
    let shop = &*WHOLE;
    killed_at(shop, "train-volume", "full", 2);
    let folder = shop.path("full/checkpoints");
    let checkpoints = || {
        let files = std::fs::read_dir(&folder).unwrap();
        let mut files: Vec<(PathBuf, u64)> = files
            .map(|file| file.unwrap())
            .map(|file| (file.path(), file.metadata().unwrap().len()))
            .collect();
        files.sort();
        files
    };
    let before = checkpoints();
    let recipe = shop.path("recipe.toml");
    let run = shop.path("full");
    let words = training::arguments("train-volume", recipe.to_str().unwrap(), run.to_str().unwrap(), &[]);
    let full = Command::new("bash")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 256; exec \"$@\"",
            "bash",
            env!("CARGO_BIN_EXE_hounsfield"),
        ])
        .args(&words)
        .env("HOUNSFIELD_SALT", shop.path("salt"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(2), "{said}");
    assert!(said.contains("weights cannot be written"), "{said}");
    assert_eq!(
        checkpoints(),
        before,
        "earlier checkpoints are whole, and nothing is left of the new one"
    );
    let rest = train(shop, "full", &[]);
    assert_eq!(rest.code, Some(0), "{}", rest.err);
    assert_same(&shop.path("whole"), &run);
}
