//! `hounsfield describe`: layers, parameters and memory of networks, by name, by recipe and by card.

use crate::command::{Said, Workshop};

fn describe(arguments: &[&str]) -> Said {
    Workshop::new("").hounsfield(&[&["describe"], arguments].concat())
}

const RECIPE: &str = r#"
[cohort]
table = "scans.csv"
path = "file"
patient = "patient"
label = "label"
positive = "covid"
[split]
kind = "holdout"
fractions = { train = 0.6, validation = 0.2, test = 0.2 }
[input]
size = [32, 64, 64]
[network]
kind = "covnet"
every = 2
trunk = { kind = "bigbigan-resnet-tiny" }
[train]
batch = 4
part = 2
recompute = true
"#;

#[test]
fn every_classifier_is_described_with_its_memory() {
    for kind in ["pu-a", "pu-b", "pu-c", "covnet", "resnet3d-18"] {
        let said = describe(&[kind, "--size", "64", "--batch", "2"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        for words in [
            &format!("{kind}: scans of 64 x 64 x 64 voxels"),
            "parameters",
            "kept a scan",
            "memory of a training step: 2 scans of 64 x 64 x 64 together",
            "optimiser (Adam)",
            "memory of scoring: 1 scan",
        ] {
            assert!(said.out.contains(words), "{kind}: no {words:?} in\n{}", said.out);
        }
    }
    let said = describe(&["covnet", "--size", "64"]);
    assert!(said.out.contains("23,512,130 parameters"), "{}", said.out);
}

/// 256 x 256 x 256 voxels in a batch of 8: one activation of 16 channels alone is 8 GiB, and is made on a graphics card only.
#[test]
fn bf16_recomputing_and_parts_are_told() {
    let total = |more: &[&str]| {
        let said = describe(&[&["pu-a", "--size", "256"], more].concat());
        let line = said.out.lines().find(|line| line.trim_start().starts_with("together"));
        let words: Vec<String> = line.unwrap().split_whitespace().map(str::to_owned).collect();
        assert_eq!(words[2], "GiB", "{words:?}");
        words[1].parse::<f64>().unwrap()
    };
    let whole = total(&[]);
    assert!(whole > 4.0, "{whole}");
    let said = describe(&["pu-a", "--size", "256"]);
    assert!(said.out.contains("On a graphics card"), "{}", said.out);
    for more in [&["--bf16"][..], &["--part", "2"], &["--part", "2", "--recompute"]] {
        assert!(total(more) < whole, "{more:?}");
    }
}

#[test]
fn every_encoder_is_described_by_its_kind() {
    for (kind, words) in [
        ("bigbigan-resnet50", "91,612,976 parameters"),
        ("bigbigan-revnet50x4", "features: z_mean (120)"),
        ("resnet50-imagenet", "23,508,032 parameters"),
        ("dinov2-vits14", "cls_token (384)"),
    ] {
        let said = describe(&[kind]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(said.out.contains(words), "no {words:?} in\n{}", said.out);
    }
}

#[test]
fn a_recipe_is_described_as_it_would_be_trained() {
    let shop = Workshop::new(RECIPE);
    let recipe = shop.path("study.toml");
    let recipe = recipe.to_str().unwrap();
    let said = shop.hounsfield(&["describe", recipe]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("2 scans of 4 together, of 32 x 64 x 64"),
        "{}",
        said.out
    );
    assert!(said.out.contains("computed again"), "{}", said.out);
    assert!(said.out.contains("trunk.encoder.stages.3.0"), "{}", said.out);
    assert!(
        said.out.contains("16 x 4 x 32 x 32"),
        "every second of 32 slices: {}",
        said.out
    );
    let set = shop.hounsfield(&["describe", recipe, "--set", "network.every=4"]);
    assert!(set.out.contains("8 x 4 x 32 x 32"), "{}", set.out);
}

#[test]
fn what_is_not_understood_is_refused_in_a_sentence() {
    let shop = Workshop::new(RECIPE);
    let folder = shop.path("");
    for (arguments, words) in [
        (&["pu-d"][..], "no kind of network"),
        (&["covnet", "--size", "0"], "from 1 to 4096"),
        (&["covnet", "--size", "64,64"], "three with commas"),
        (&["covnet", "--size", "32,64,96"], "64 x 96"),
        (&["covnet", "--batch", "4", "--part", "5"], "parts of 5"),
        (&["covnet", "--set", "a=1"], "keys of a recipe"),
        (&["resnet50-imagenet", "--recompute"], "encoder of slices"),
        (&["torchscript"], "torchscript"),
        (&[folder.to_str().unwrap()], "no card"),
    ] {
        let said = describe(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.out);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn sizes_beyond_all_measure_are_refused() {
    for (more, words) in [
        (["--size", "99999999999"], "from 1 to 4096"),
        (["--size", "4294967296,4294967296,4"], "from 1 to 4096"),
        (["--size", "0"], "from 1 to 4096"),
        (["--batch", "9999999999999999"], "1..=65535"),
        (["--part", "0"], "1..=65535"),
    ] {
        let said = describe(&[&["pu-a"], &more[..]].concat());
        assert_eq!(said.code, Some(2), "{}", said.out);
        assert!(said.err.contains(words), "{}", said.err);
    }
    let said = describe(&["pu-a", "--size", "4096", "--batch", "65535"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}
