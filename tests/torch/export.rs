//! Encoders for other programs: what was written does what the encoder does, whole or not at all.

use std::{fs, path::Path, process::Command};

use hounsfield::{
    card::{CheckedCard, EncoderCard},
    encoder::{
        EncoderConfig, HalfOrder, Layer, Padding, PoolPad, ShortcutFrom, Switches, TinyResNet, TinyRevNet, Weights,
    },
    torch::{
        TorchError,
        encoders::{Encoder, InferenceEncoder, Outputs},
        export::{ABOUT, safetensors, script_card, torchscript},
        layers::Statistics,
        weights,
    },
    transforms::Preprocess,
};
use tch::{CModule, Device, IValue, Tensor};

use super::{
    command::Workshop,
    support::{filled, input, relative},
};

const LAYERS: [Layer; 4] = [Layer::ZMean, Layer::ZStdev, Layer::AvepoolFeat, Layer::BnCreluFeat];

/// A card of an encoder with weights by formula, in `folder`.
fn card(folder: &Path, mut encoder: EncoderConfig, layers: &[Layer]) -> CheckedCard {
    weights::save(&filled(&encoder), &folder.join("weights.safetensors")).unwrap();
    *encoder.weights_mut() = Weights::File("weights.safetensors".into());
    let card = EncoderCard {
        schema: EncoderCard::SCHEMA,
        name: "made".to_owned(),
        description: "weights by formula".to_owned(),
        licence: "CC0-1.0".to_owned(),
        source: "a test".to_owned(),
        obtain: None,
        layers: EncoderCard::widths(&encoder, layers),
        sha256: EncoderCard::hashes(folder, &["weights.safetensors"]).unwrap(),
        encoder,
        preprocess: Preprocess::default(),
        training: None,
        generator: None,
        conversion: None,
    };
    card.write(folder).unwrap();
    EncoderCard::load(folder).unwrap()
}

/// Every switch on either side, in either family.
fn encoders() -> Vec<EncoderConfig> {
    let other = Switches {
        padding: Padding::Same,
        last_relu: Some(false),
        bn_eps: 1e-3,
        halves: HalfOrder::StdevFirst,
        ..Switches::default()
    };
    let resnet = |shortcut_from, switches| {
        EncoderConfig::TinyResNet(TinyResNet {
            shortcut_from,
            switches,
            ..TinyResNet::default()
        })
    };
    let no_zeros = Switches {
        pool_pad: Some(PoolPad::NegInf),
        last_relu: Some(true),
        ..Switches::default()
    };
    vec![
        resnet(ShortcutFrom::Preact, Switches::default()),
        resnet(ShortcutFrom::Raw, other),
        EncoderConfig::TinyRevNet(TinyRevNet::default()),
        EncoderConfig::TinyRevNet(TinyRevNet {
            switches: no_zeros,
            ..TinyRevNet::default()
        }),
    ]
}

fn features(outputs: &Outputs, layer: Layer) -> &Tensor {
    match layer {
        Layer::ZMean => &outputs.z_mean,
        Layer::ZStdev => &outputs.z_stdev,
        Layer::AvepoolFeat => &outputs.avepool_feat,
        Layer::BnCreluFeat => &outputs.bn_crelu_feat,
        other => panic!("{other} is not exported"),
    }
}

fn run(encoder: &EncoderConfig, slices: usize) -> (Tensor, Outputs) {
    let _no_gradients = tch::no_grad_guard();
    let x = input("input.export", &[slices, 3, 64, 64], 1.0);
    let outputs = Encoder::new(encoder, &filled(encoder))
        .unwrap()
        .forward(&x, Statistics::Stored)
        .unwrap();
    (x, outputs)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_script_gives_the_encoders_features_for_any_number_of_slices() {
    for encoder in encoders() {
        let folder = tempfile::tempdir().unwrap();
        let card = card(folder.path(), encoder.clone(), &Layer::BIGBIGAN);
        let path = folder.path().join("encoder.ts");
        let written = torchscript(&card, &path).unwrap();
        assert_eq!(
            written.layers,
            LAYERS.map(|layer| (layer, encoder.width(layer).unwrap()))
        );
        let module = CModule::load(&path).unwrap();
        for slices in [1, 3, 7] {
            let (x, outputs) = run(&encoder, slices);
            let IValue::GenericDict(entries) = module.forward_is(&[IValue::Tensor(x)]).unwrap() else {
                panic!("no dictionary");
            };
            assert_eq!(entries.len(), LAYERS.len());
            for ((key, value), layer) in entries.into_iter().zip(LAYERS) {
                let (IValue::String(key), IValue::Tensor(value)) = (key, value) else {
                    panic!("no names of tensors");
                };
                assert_eq!(key, layer.name());
                let difference = relative(&value, features(&outputs, layer));
                assert!(difference < 1e-5, "{layer} of {slices} slices differs by {difference}");
            }
        }
    }
}

#[test]
fn a_script_has_the_weights_as_parameters_and_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = encoders().remove(0);
    let card = card(folder.path(), encoder.clone(), &[Layer::ZMean]);
    let path = folder.path().join("encoder.ts");
    let written = torchscript(&card, &path).unwrap();
    let parameters = CModule::load(&path).unwrap().named_parameters().unwrap();
    let weights = filled(&encoder);
    let trained = weights.keys().filter(|name| !name.contains(".running_")).count();
    assert_eq!(parameters.len(), trained);
    for (name, value) in &parameters {
        assert_eq!(value, &weights[&format!("encoder.{name}")], "{name}");
        assert!(!value.requires_grad(), "{name}");
    }
    // The archive is not compressed.
    let bytes = fs::read(&path).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&format!("extra/{ABOUT}")));
    assert!(holds(&format!(
        "\"layers\":{{\"z_mean\":{}}}",
        encoder.width(Layer::ZMean).unwrap()
    )));
    assert!(holds(&card.card.sha256["weights.safetensors"]));

    let again = torchscript(&card, &path).unwrap();
    assert_eq!(again, written, "the same card gave another file");
    assert_eq!(
        names(folder.path()),
        ["encoder.toml", "encoder.ts", "weights.safetensors"]
    );
}

#[test]
fn a_script_with_its_card_is_an_encoder_like_the_one_it_was_made_of() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let encoder = encoders().remove(3);
    let source = card(folder.path(), encoder.clone(), &Layer::BIGBIGAN);
    let script = torchscript(&source, &other.path().join("encoder.ts")).unwrap();
    script_card(&source.card, &script).write(other.path()).unwrap();
    let card = EncoderCard::load(other.path()).unwrap();
    assert_eq!(card.card.preprocess, source.card.preprocess);
    assert_eq!(card.card.layers, EncoderCard::widths(&encoder, &LAYERS));
    let scripted = InferenceEncoder::open(&card.encoder(), 0, Device::Cpu).unwrap();
    let (x, outputs) = run(&encoder, 3);
    let found = scripted.encode(&x, &LAYERS, None).unwrap();
    for (found, layer) in found.iter().zip(LAYERS) {
        let difference = relative(found, features(&outputs, layer));
        assert!(difference < 1e-5, "{layer} differs by {difference}");
    }
    // A script is not exported again.
    let again = torchscript(&card, &other.path().join("again.ts")).unwrap_err();
    assert!(again.to_string().contains("kind torchscript"), "{again}");
}

#[test]
fn exported_weights_are_read_back_by_their_bare_names() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = encoders().remove(2);
    let card = card(folder.path(), encoder.clone(), &[Layer::AvepoolFeat]);
    let path = folder.path().join("bare.safetensors");
    let written = safetensors(&card, &path).unwrap();
    assert_eq!(written.layers, [(Layer::AvepoolFeat, 128)]);
    let loaded = weights::load(&encoder, &path).unwrap();
    assert_eq!(loaded.sha256, written.sha256);
    assert_eq!(loaded.tensors, filled(&encoder));
    let header = safetensors::SafeTensors::read_metadata(&fs::read(&path).unwrap())
        .unwrap()
        .1;
    assert!(header.info("stem.conv.weight").is_some());
    let about: serde_json::Value = serde_json::from_str(&header.metadata().as_ref().unwrap()[ABOUT]).unwrap();
    assert_eq!(about["architecture"]["family"], "revnet");
    assert_eq!(
        about["weights_sha256"],
        card.card.sha256["weights.safetensors"].as_str()
    );
    assert_eq!(safetensors(&card, &path).unwrap(), written);
}

#[test]
fn what_can_not_be_exported_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = encoders().remove(0);
    let noise = card(folder.path(), encoder.clone(), &[Layer::ZSample]);
    let before = names(folder.path());
    let path = folder.path().join("encoder.ts");
    for refused in [torchscript(&noise, &path), safetensors(&noise, &path)] {
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("`made`") && said.contains("`z_sample`"), "{said}");
    }

    let mut card = card(folder.path(), encoder, &[Layer::ZMean]);
    let nowhere = folder.path().join("nowhere/encoder.ts");
    for refused in [torchscript(&card, &nowhere), safetensors(&card, &nowhere)] {
        assert!(matches!(refused, Err(TorchError::Io { verb: "written", .. })));
    }
    assert!(torchscript(&card, Path::new("..")).is_err());
    fs::create_dir(folder.path().join("taken.ts")).unwrap();
    assert!(torchscript(&card, &folder.path().join("taken.ts")).is_err());
    fs::remove_dir(folder.path().join("taken.ts")).unwrap();

    *card.card.encoder.weights_mut() = Weights::Random;
    assert!(matches!(torchscript(&card, &path), Err(TorchError::Untrained { .. })));
    assert_eq!(names(folder.path()), before);
}

#[test]
fn the_command_writes_both_files() {
    let shop = Workshop::new("");
    card(
        shop.path("").as_path(),
        encoders().remove(0),
        &[Layer::ZMean, Layer::ZSample],
    );
    let at = |name: &str| shop.path(name).to_str().unwrap().to_owned();
    let (script, weights) = (at("a.ts"), at("a.safetensors"));
    let said = shop.hounsfield(&["export", &at(""), "--torchscript", &script, "--safetensors", &weights]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains(&script) && said.out.contains(&weights) && said.out.contains("z_mean 12"),
        "{}",
        said.out
    );
    assert!(said.err.contains("[N, 3, 64, 64]"), "{}", said.err);
    assert!(Path::new(&script).is_file() && Path::new(&weights).is_file());
    let said = shop.hounsfield(&["export", &at(""), "--torchscript", &script, "--card"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("take the place of another"), "{}", said.err);
    std::fs::create_dir(shop.path("script")).unwrap();
    let said = shop.hounsfield(&["export", &at(""), "--torchscript", &at("script/a.ts"), "--card"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    EncoderCard::load(&shop.path("script")).unwrap();
    let said = shop.hounsfield(&["export", &at("")]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--torchscript"), "{}", said.err);
}

/// Python opens what was written and gets the same features: tests/oracles/check_export.py, torch 2.13.0.
#[test]
fn pytorch_opens_what_was_written() {
    let Some(python) = std::env::var_os("HOUNSFIELD_PYTHON") else {
        eprintln!("skipped: HOUNSFIELD_PYTHON names no Python with torch");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/check_export.py");
    for encoder in encoders() {
        let folder = tempfile::tempdir().unwrap();
        let card = card(folder.path(), encoder.clone(), &LAYERS);
        torchscript(&card, &folder.path().join("encoder.ts")).unwrap();
        safetensors(&card, &folder.path().join("encoder.safetensors")).unwrap();
        let (x, outputs) = run(&encoder, 3);
        let named = LAYERS.map(|layer| (layer.name().to_owned(), features(&outputs, layer).contiguous()));
        let mut expected = weights::WeightMap::from(named);
        expected.insert("x".to_owned(), x);
        weights::save(&expected, &folder.path().join("expected.safetensors")).unwrap();
        let output = Command::new(&python).arg(&script).arg(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", encoder.kind());
        println!("{}\n{}", encoder.kind(), String::from_utf8_lossy(&output.stdout));
    }
}
