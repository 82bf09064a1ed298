//! A converted module: its networks against TensorFlow's outputs, and the way from the module to a study.

use std::path::{Path, PathBuf};

use hounsfield::{
    card::EncoderCard,
    convert::{names::Overrides, tfhub::TfHub},
    features::read_features,
    torch::{
        encoders::Encoder,
        layers::Statistics,
        methods::bigbigan::{Discriminator, Generator},
        weights,
    },
};

use super::support::{difference, fixture, oracle};
use crate::{command::Workshop, study::workshop};

/// tf_vs_torch.json: TensorFlow's own outputs lie within 1e-6 of the fixtures'.
const TOLERANCE: f64 = 1e-5;

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/bigbigan/tfhub_tiny")
}

fn convert(shop: &Workshop, more: &[&str]) -> (PathBuf, String) {
    let out = shop.path("encoder");
    let module = module();
    let arguments = [
        "convert",
        "tfhub",
        module.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let said = shop.hounsfield(&[&arguments, more].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    (out, said.out)
}

/// Expected: the outputs of `encoder_tiny`, `generator_tiny` and `disc_tiny`, which TensorFlow gave from the same module.
#[test]
fn converted_networks_do_what_they_did_in_tensorflow() {
    let shop = Workshop::new("");
    let (out, _) = convert(&shop, &[]);
    let checked = EncoderCard::load(&out).unwrap();
    let _no_gradients = tch::no_grad_guard();
    let close = |found: &tch::Tensor, expected: &tch::Tensor, name: &str| {
        let off = difference(found, expected);
        assert!(off < TOLERANCE, "{name} is off by {off:e}");
    };

    let config = checked.encoder();
    let expected = fixture("encoder_tiny.safetensors");
    let loaded = weights::load(&config, &out.join("weights.safetensors")).unwrap();
    let encoder = Encoder::new(&config, &loaded.tensors).unwrap();
    let found = encoder.forward(&expected["input.x"], Statistics::Stored).unwrap();
    for (name, found) in [
        ("z_mean", &found.z_mean),
        ("z_stdev", &found.z_stdev),
        ("avepool_feat", &found.avepool_feat),
        ("bn_crelu_feat", &found.bn_crelu_feat),
    ] {
        close(found, &expected[&format!("output.{name}")], name);
    }

    let network = checked.card.generator.unwrap().network;
    let expected = fixture("generator_tiny.safetensors");
    let tensors = network.tensors(12);
    let loaded = weights::load_as("generator", &tensors, "generator.", &out.join("generator.safetensors")).unwrap();
    let generator = Generator::new(&network, 12, &loaded.tensors).unwrap();
    close(
        &generator.forward(&expected["input.z"], Statistics::Stored).unwrap(),
        &expected["output.image"],
        "image",
    );

    let plan = TfHub::open(&module(), &shop.path(""), &Overrides::default()).unwrap();
    let network = plan.plan().discriminator.clone().unwrap();
    let expected = fixture("disc_tiny.safetensors");
    let tensors = network.tensors(12);
    let all = oracle(out.join("training.safetensors").to_str().unwrap());
    let trained = all.into_iter().filter(|(name, _)| name.starts_with("disc.")).collect();
    weights::check_against("discriminator", &tensors, &trained).unwrap();
    let discriminator = Discriminator::new(&network, 12, &trained).unwrap();
    let scores = discriminator
        .forward(&expected["input.x_down"], &expected["input.z"])
        .unwrap();
    for (name, found) in [("score_x", &scores.x), ("score_z", &scores.z), ("score_xz", &scores.xz)] {
        close(
            &found.flatten(0, -1),
            &expected[&format!("output.{name}")].flatten(0, -1),
            name,
        );
    }
}

/// Convert, extract, probe: what the README shows.
#[test]
fn a_module_becomes_a_study_in_three_commands() {
    let shop = workshop();
    convert(&shop, &[]);
    let card = ["--set", "encoder={kind=\"card\", path=\"encoder\"}"];
    let layer = [
        "--set",
        "features.layers=[\"z_mean\"]",
        "--set",
        "probe.features=\"z_mean\"",
    ];
    let study = shop.path("study.toml");
    for command in ["extract", "probe"] {
        let said = shop.hounsfield(&[&[command, study.to_str().unwrap()][..], &card, &layer].concat());
        assert_eq!(said.code, Some(0), "{command}: {}", said.err);
    }
    let features = read_features(&shop.artefact("features/z_mean.parquet")).unwrap();
    assert_eq!(features.values.ncols(), 12);
    let from = features.provenance;
    assert!(
        from.card.starts_with("encoder (card of SHA-256 ") && !from.untrained,
        "{from:?}"
    );
    assert!(shop.text("results.json").contains("auc"));
}

/// The module's statistics were drawn, so that no graph can be told from them: it must say so and keep the defaults.
#[test]
fn evidence_that_settles_nothing_is_said_and_changes_nothing() {
    let shop = Workshop::new("");
    let (plain, _) = convert(&shop, &[]);
    let before = EncoderCard::load(&plain).unwrap().card;
    let (out, said) = convert(
        &shop,
        &["--settle", "--pictures", "64", "--device", "cpu", "--overwrite"],
    );
    let card = EncoderCard::load(&out).unwrap().card;
    assert!(said.contains("not settled") || said.contains("not decided"), "{said}");
    assert_eq!(card.encoder, before.encoder);
    let settled = card.conversion.unwrap().settled;
    for switch in ["padding", "shortcut_from", "last_relu", "halves", "bn_eps"] {
        assert!(settled.contains_key(switch), "{switch} is not in {settled:?}");
    }
}
