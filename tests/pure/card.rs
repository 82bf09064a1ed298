//! Studies that take their encoder from a card: what is taken over, and what is refused.

use std::path::Path;

use hounsfield::{
    Study,
    card::{self, EncoderCard},
    encoder::{EncoderConfig, Layer, TinyRevNet, Weights},
    transforms::Preprocess,
};

use crate::command::{Workshop, read};

const STUDY: &str = r#"
[cohort]
table = "cohort.csv"
path = "file"
patient = "patient"
[encoder]
kind = "card"
path = "encoder"
"#;

const WEIGHTS: &str = "weights.safetensors";

/// A study of weights that mean something in two layers and were trained on the mediastinal window.
fn workshop() -> Workshop {
    let shop = Workshop::new(STUDY);
    let folder = shop.path("encoder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(WEIGHTS), "no network reads these").unwrap();
    let encoder = EncoderConfig::TinyRevNet(TinyRevNet {
        weights: Weights::File(WEIGHTS.into()),
        ..TinyRevNet::default()
    });
    let card = EncoderCard {
        schema: EncoderCard::SCHEMA,
        name: "made".to_owned(),
        description: "never trained".to_owned(),
        licence: "CC0-1.0".to_owned(),
        source: "a test".to_owned(),
        obtain: None,
        layers: EncoderCard::widths(&encoder, &[Layer::ZMean, Layer::AvepoolFeat]),
        sha256: EncoderCard::hashes(&folder, &[WEIGHTS]).unwrap(),
        encoder,
        preprocess: mediastinum(),
        training: None,
        generator: None,
        conversion: None,
    };
    card.write(&folder).unwrap();
    shop
}

fn mediastinum() -> Preprocess {
    toml::from_str("kind = 'standard'\nwindow = 'mediastinum'").unwrap()
}

fn load(shop: &Workshop, overrides: &[&str]) -> Study {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Study::load(&shop.path("study.toml"), &overrides).unwrap()
}

#[test]
fn a_study_takes_network_weights_and_preprocessing_from_the_card() {
    let shop = workshop();
    let written = EncoderCard::load(&shop.path("encoder")).unwrap();
    for path in ["encoder", "encoder/encoder.toml"] {
        let study = load(&shop, &[&format!("encoder.path={path}")]);
        let encoder = study.encoder.as_ref().unwrap();
        assert_eq!(*encoder, written.encoder());
        assert_eq!(encoder.weights(), &Weights::File(shop.path("encoder").join(WEIGHTS)));
        assert_eq!(study.preprocess(), &mediastinum());
        let origin = study.card.as_ref().unwrap();
        assert_eq!((origin.name.as_str(), &origin.sha256), ("made", &written.sha256));
        assert_eq!(study.watermarks(), [""; 0]);
    }
}

#[test]
fn the_cards_own_lines_make_the_same_study() {
    let shop = workshop();
    let by_card = load(&shop, &[]);
    let lines = EncoderCard::load(&shop.path("encoder")).unwrap().study_lines();
    let (cohort, _) = STUDY.split_once("[encoder]").unwrap();
    shop.write("study.toml", &format!("{cohort}{lines}"));
    let by_lines = load(&shop, &[]);
    assert_eq!(by_lines.encoder, by_card.encoder);
    assert_eq!(by_lines.preprocess, by_card.preprocess);
}

#[test]
fn another_preprocessing_is_taken_where_it_is_asked_for_and_then_marked() {
    let shop = workshop();
    let same = load(&shop, &["preprocess={kind=\"standard\", window=\"mediastinum\"}"]);
    assert_eq!(same.watermarks(), [""; 0]);
    let other = load(
        &shop,
        &[
            "preprocess={kind=\"standard\", window=\"lung\"}",
            "encoder.other_preprocess=true",
        ],
    );
    assert_eq!(other.preprocess(), &Preprocess::default());
    let marks = other.watermarks();
    assert!(
        matches!(&marks[..], [mark] if mark.contains("`made`") && mark.contains("400") && mark.contains("1500")),
        "{marks:?}"
    );
}

#[test]
fn what_does_not_fit_the_card_is_refused_with_a_way_out() {
    let shop = workshop();
    let refused = |more: &[&str], words: &[&str]| {
        let said = shop.run(more);
        assert_eq!(said.code, Some(2), "{more:?}: {}{}", said.out, said.err);
        for word in words {
            assert!(said.err.contains(word), "{more:?}: {word:?} is not in {}", said.err);
        }
    };
    refused(
        &["--set", "preprocess.kind=standard"],
        &[
            "`[preprocess]`",
            "`made`",
            "400",
            "1500",
            "`encoder.other_preprocess = true`",
        ],
    );
    refused(
        &["--set", "encoder.other_preprocess=true"],
        &["`encoder.other_preprocess` is true", "leave it out"],
    );
    refused(
        &["--set", "features.layers=[\"z_mean\", \"z_stdev\"]"],
        &["`z_stdev`", "`made`", "`z_mean`, `avepool_feat`"],
    );
    refused(
        &["--set", "encoder.width=8"],
        &["unknown field `width`", "other_preprocess"],
    );
    refused(&["--set", "encoder={kind=\"card\"}"], &["missing field `path`"]);
    refused(
        &["--set", "encoder.kind=bigbigan-resnet51"],
        &[
            "`bigbigan-resnet51`",
            "`bigbigan-resnet50`",
            "`bigbigan-revnet-tiny`",
            "`card`",
        ],
    );
    refused(&["--set", "encoder={weights=\"random\"}"], &["missing field `kind`"]);
    refused(
        &["--set", "encoder={kind=\"bigbigan-resnet-tiny\", pading=\"same\"}"],
        &["pading", "switches"],
    );
    refused(
        &["--set", "encoder.path=elsewhere"],
        &["`encoder.path`", "elsewhere", "`encoder.toml`"],
    );
    refused(&["--set", "card={name=\"made\"}"], &["unknown field `card`"]);

    shop.write("encoder/weights.safetensors", "others");
    refused(
        &[],
        &[
            "`weights.safetensors`",
            "`made`",
            "damaged or of other weights",
            "fetch",
        ],
    );
    std::fs::remove_file(shop.path("encoder/weights.safetensors")).unwrap();
    refused(&[], &["`weights.safetensors`, which is not beside it"]);
}

#[test]
fn a_misspelt_key_beside_a_card_is_pointed_at() {
    let shop = workshop();
    shop.write(
        "study.toml",
        &STUDY.replace("path = \"encoder\"", "paths = \"encoder\""),
    );
    let said = shop.run(&[]);
    assert_eq!(said.code, Some(2));
    for words in ["paths", "line 8, column 1", "^^^^^"] {
        assert!(said.err.contains(words), "{words:?} is not in {}", said.err);
    }
}

/// What is shipped can be used as it lies there: names, words, sizes, hashes.
#[test]
fn every_card_under_pretrained_holds() {
    let pretrained = Path::new(env!("CARGO_MANIFEST_DIR")).join("pretrained");
    let table = read(&pretrained.join("README.md"));
    let folders = std::fs::read_dir(&pretrained)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    // A folder without a card is a recipe to train with.
    for folder in folders.filter(|path| path.join(card::FILE).is_file()) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let card: EncoderCard = toml::from_str(&read(&folder.join(card::FILE))).unwrap();
        // Large weights are fetched by whoever needs them.
        if folder.join(WEIGHTS).is_file() {
            EncoderCard::load(&folder).unwrap();
        }
        assert_eq!(card.name, name);
        assert!(folder.join("MODEL_CARD.md").is_file(), "{name} has no MODEL_CARD.md");
        let begin = format!("| [{name}]({name}/MODEL_CARD.md) |");
        let row = table.lines().find(|line| line.starts_with(&begin));
        let row = row.unwrap_or_else(|| panic!("{name} has no row"));
        for (layer, width) in &card.layers {
            assert!(
                row.contains(&format!("`{layer}` {width}")),
                "{layer} of {name} is not in its row"
            );
        }
        // What is obtained is made anew by everyone, so that its row can't know its hash.
        match &card.obtain {
            None => assert!(
                row.contains(&card.sha256[WEIGHTS][..12]),
                "the row of {name} has another SHA-256"
            ),
            Some(_) => assert!(
                row.contains("| obtain |"),
                "the row of {name} does not say that it is to be obtained"
            ),
        }
        // What was trained here can be trained again, and what was not can be had.
        match (&card.training, &card.obtain) {
            (Some(_), None) => assert!(folder.join("pretrain.toml").is_file(), "{name} has no pretrain.toml"),
            (None, Some(command)) => {
                EncoderCard::read(&folder).unwrap();
                assert!(
                    command.contains(&format!("--out pretrained/{name}")),
                    "{name}: {command}"
                );
            }
            _ => panic!("{name} says neither how it was trained nor how it is obtained, or both"),
        }
    }
}
