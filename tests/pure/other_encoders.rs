//! Encoders that others trained, in recipes and cards: what is taken for granted, and what is refused before anything is read.

use std::collections::BTreeMap;

use hounsfield::{
    Study,
    card::{CardError, EncoderCard},
    encoder::{At, EncoderConfig, Layer, ScriptOutput, TorchScript, Weights},
    recipe::Pretrain,
    transforms::Preprocess,
};

use crate::command::Workshop;

const STUDY: &str = r#"
[cohort]
table = "cohort.csv"
path = "file"
patient = "patient"
[encoder]
kind = "bigbigan-resnet50"
"#;

const TRAINING: &str = r#"
[cohort]
table = "cohort.csv"
path = "file"
patient = "patient"
[encoder]
kind = "bigbigan-resnet-tiny"
z_dim = 16
[method]
kind = "lejepa"
[train]
steps = 10
batch = 4
"#;

const SCRIPT: &str = "encoder={kind=\"torchscript\", weights=\"script.pt\", input_size=224, \
                      outputs={embedding={width=512, at=\"pooled\"}, patch_mean={width=384, at=\"patches\"}}}";

fn study(set: &[&str]) -> Result<Study, String> {
    let shop = Workshop::new(STUDY);
    let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
    Study::load(&shop.path("study.toml"), &set).map_err(|error| error.to_string())
}

#[test]
fn where_no_layer_is_named_each_kind_has_its_own() {
    for (set, layer) in [
        ("seed=1", Layer::ZMean),
        ("encoder={kind=\"resnet50-imagenet\"}", Layer::AvepoolFeat),
        ("encoder={kind=\"dinov2-vits14\"}", Layer::ClsToken),
        (SCRIPT, Layer::PatchMean),
    ] {
        let study = study(&[set]).unwrap();
        assert_eq!(study.layers(), [layer], "{set}");
        assert_eq!(study.probe_layers(), [layer.name()], "{set}");
    }
}

#[test]
fn the_weights_of_every_kind_are_relative_to_the_recipe() {
    let shop = Workshop::new(STUDY);
    let study = Study::load(&shop.path("study.toml"), &[SCRIPT.to_owned()]).unwrap();
    assert_eq!(study.encoder.unwrap().weights(), &Weights::File(shop.path("script.pt")));
}

#[test]
fn a_recipe_that_asks_an_encoder_for_what_it_has_not_is_refused_with_what_it_has() {
    for (set, words) in [
        (
            &["features.layers=[\"cls_token\"]"][..],
            &[
                "`features.layers`",
                "`bigbigan-resnet50` has no layer `cls_token`",
                "`z_mean`, `z_stdev`, `z_sample`, `avepool_feat`, `bn_crelu_feat`",
            ][..],
        ),
        (
            &[
                "encoder={kind=\"dinov2-vits14\"}",
                "features.layers=[\"cls_token\", \"z_mean\"]",
            ],
            &["no layer `z_mean`", "`cls_token`, `patch_mean`"],
        ),
        (
            &[SCRIPT, "features.layers=[\"avepool_feat\"]"],
            &["no layer `avepool_feat`", "`patch_mean`, `embedding`"],
        ),
        (
            &["encoder={kind=\"dinov2-vits14\", input_size=256}"],
            &["`[encoder]`", "input size 256", "multiple of 14"],
        ),
        (
            &["encoder={kind=\"torchscript\", weights=\"random\", input_size=8, outputs={embedding={width=1}}}"],
            &["can't be random"],
        ),
        (
            &["encoder={kind=\"resnet18-imagenet\"}"],
            &["`resnet50-imagenet`", "`dinov2-vits14`", "`torchscript`", "`card`"],
        ),
    ] {
        let said = study(set).expect_err("the recipe was taken");
        for words in words {
            assert!(said.contains(words), "{words:?} is not in {said}");
        }
    }
}

#[test]
fn only_bigbigan_kinds_can_be_trained_and_looked_at_in_their_own_layers() {
    let shop = Workshop::new(STUDY);
    shop.write("training.toml", TRAINING);
    let load = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        Pretrain::load(&shop.path("training.toml"), &set).map_err(|error| error.to_string())
    };
    load(&[]).unwrap();
    for encoder in [
        "encoder={kind=\"resnet50-imagenet\"}",
        "encoder={kind=\"dinov2-vits14\"}",
        SCRIPT,
    ] {
        let said = load(&[encoder]).unwrap_err();
        assert!(
            said.contains("can't be trained here") && said.contains("`bigbigan-resnet-tiny`"),
            "{said}"
        );
    }
    let said = load(&["watch.features=\"cls_token\""]).unwrap_err();
    assert!(
        said.contains("`watch.features`") && said.contains("no layer `cls_token`"),
        "{said}"
    );
}

/// The card of a script says how it is called, and a study needs nothing else.
#[test]
fn a_script_has_a_card_like_any_weights() {
    let shop = Workshop::new(&STUDY.replace("kind = \"bigbigan-resnet50\"", "kind = \"card\"\npath = \"encoder\""));
    let folder = shop.path("encoder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("script.pt"), "no network reads this").unwrap();
    let output = ScriptOutput {
        width: 512,
        at: Some(At::Key("pooled".to_owned())),
    };
    let encoder = EncoderConfig::TorchScript(TorchScript {
        weights: Weights::File("script.pt".into()),
        input_size: 224,
        planes: 1,
        mean: Some(vec![0.5]),
        std: Some(vec![0.25]),
        method: "encode".to_owned(),
        outputs: BTreeMap::from([(Layer::Embedding, output)]),
    });
    let mut card = EncoderCard {
        schema: EncoderCard::SCHEMA,
        name: "foundation".to_owned(),
        description: "somebody else's".to_owned(),
        licence: "CC0-1.0".to_owned(),
        source: "a test".to_owned(),
        obtain: None,
        layers: EncoderCard::widths(&encoder, &[Layer::Embedding]),
        sha256: EncoderCard::hashes(&folder, &["script.pt"]).unwrap(),
        encoder: encoder.clone(),
        preprocess: Preprocess::default(),
        training: None,
        generator: None,
        conversion: None,
    };
    card.write(&folder).unwrap();
    let study = Study::load(&shop.path("study.toml"), &[]).unwrap();
    assert_eq!(study.layers(), [Layer::Embedding]);
    let found = study.encoder.unwrap();
    assert_eq!(found.describe(), encoder.describe());
    assert_eq!(found.weights(), &Weights::File(folder.join("script.pt")));

    card.layers = BTreeMap::from([(Layer::Embedding, 384)]);
    assert!(matches!(
        card.write(&folder),
        Err(CardError::Width {
            expected: 512,
            found: 384,
            ..
        })
    ));
}

/// A script that takes grey slices has no place for three windows; nothing is read before that is said.
#[test]
fn three_windows_are_refused_for_a_script_of_one_plane() {
    let shop = crate::command::Workshop::new(
        r#"
[cohort]
table = "cohort.csv"
path = "file"
patient = "patient"
[preprocess]
kind = "standard"
windows = ["lung", "mediastinum", "wide"]
[encoder]
kind = "torchscript"
weights = "a.pt"
input_size = 32
planes = 1
outputs = { embedding = { width = 4 } }
"#,
    );
    let study = |set: &[String]| hounsfield::Study::load(&shop.path("study.toml"), set);
    let error = study(&[]).unwrap_err().to_string();
    assert!(
        error.contains("has 3 windows, the encoder takes 1: name one window"),
        "{error}"
    );
    study(&["encoder.planes=3".to_owned()]).unwrap();
}
