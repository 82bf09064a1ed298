//! The small networks against oracle.py: every output, the inside, every switch, batch statistics.

use std::collections::BTreeMap;

use hounsfield::{
    encoder::{EncoderConfig, Layer, Padding, PoolPad, ShortcutFrom, Switches},
    torch::{
        encoders::{Encoder, InferenceEncoder, Origin, Outputs},
        layers::Statistics,
    },
};
use tch::{Device, Kind, Tensor};

use super::support::{difference, fixture, relative, tiny_resnet, tiny_revnet, weights_of};

const TOLERANCE: f64 = 1e-5;

fn both() -> [(EncoderConfig, &'static str); 2] {
    [
        (tiny_resnet(), "encoder_tiny.safetensors"),
        (tiny_revnet(), "encoder_tiny_revnet.safetensors"),
    ]
}

fn switches(config: &mut EncoderConfig) -> &mut Switches {
    match config {
        EncoderConfig::TinyResNet(c) => &mut c.switches,
        EncoderConfig::TinyRevNet(c) => &mut c.switches,
        _ => panic!("only the tiny kinds are asked for"),
    }
}

fn assert_close(found: &Tensor, expected: &Tensor, what: &str) {
    let d = difference(found, expected);
    assert!(d <= TOLERANCE, "{what} differs by {d:e}");
}

fn assert_outputs(out: &Outputs, noise: &Tensor, expected: &BTreeMap<String, Tensor>, prefix: &str) {
    let sample = out.sample(noise).unwrap();
    for (name, found) in [
        ("avepool_feat", &out.avepool_feat),
        ("bn_crelu_feat", &out.bn_crelu_feat),
        ("z_raw", &out.z_raw),
        ("z_mean", &out.z_mean),
        ("z_stdev", &out.z_stdev),
        ("z_sample", &sample),
    ] {
        assert_close(
            found,
            &expected[&format!("{prefix}.{name}")],
            &format!("{prefix}.{name}"),
        );
    }
}

/// The fast path's layers, for weights in memory.
fn fast(config: &EncoderConfig, t: &BTreeMap<String, Tensor>, layers: &[Layer]) -> Vec<Tensor> {
    let encoder = InferenceEncoder::new(config, &weights_of(t), Origin::Random { seed: 0 }, Device::Cpu).unwrap();
    encoder.encode(&t["input.x"], layers, Some(&t["input.eps"])).unwrap()
}

/// Where the three planes are one in memory, the stem convolves one.
#[test]
fn three_views_of_a_plane_are_three_equal_planes() {
    for (config, file) in both() {
        let t = fixture(file);
        let mut weights = weights_of(&t);
        let name = "encoder.stem.conv.weight".to_owned();
        let stem = weights[&name].copy().set_requires_grad(true);
        weights.insert(name, stem.shallow_clone());
        let encoder = Encoder::new(&config, &weights).unwrap();
        let code_and_gradient = |x: &Tensor| {
            let code = encoder.forward(x, Statistics::Stored).unwrap().z_mean;
            let gradient = Tensor::run_backward(&[code.square().sum(Kind::Float)], &[&stem], false, false);
            [code.detach(), gradient[0].shallow_clone()]
        };
        let views = t["input.x"].narrow(1, 0, 1).expand([-1, 3, -1, -1], false);
        let (found, expected) = (code_and_gradient(&views), code_and_gradient(&views.contiguous()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(relative(found, expected) < 1e-5, "{} apart", relative(found, expected));
        }
    }
}

/// Expected: `oracle.Encoder(...).eval()`, `output.*` and `tap.*`.
#[test]
fn outputs_and_inside_match_the_oracle() {
    for (config, file) in both() {
        let t = fixture(file);
        let encoder = Encoder::new(&config, &weights_of(&t)).unwrap();
        let (out, taps) = encoder.forward_with_taps(&t["input.x"], Statistics::Stored).unwrap();
        assert_outputs(&out, &t["input.eps"], &t, "output");
        assert_eq!(taps.len(), 5);
        for (name, tap) in &taps {
            assert_close(tap, &t[&format!("tap.{name}")], name);
        }
    }
}

/// Expected: `oracle.Encoder(...).train()`, `output_train.*`.
#[test]
fn batch_statistics_match_the_oracle() {
    for (config, file) in both() {
        let t = fixture(file);
        let encoder = Encoder::new(&config, &weights_of(&t)).unwrap();
        let out = encoder.forward(&t["input.x"], Statistics::Batch).unwrap();
        assert_outputs(&out, &t["input.eps"], &t, "output_train");
        // The stored statistics are untouched: the other mode still gives its own numbers.
        let stored = encoder.forward(&t["input.x"], Statistics::Stored).unwrap();
        assert_outputs(&stored, &t["input.eps"], &t, "output");
    }
}

#[test]
fn the_fast_path_matches_the_oracle() {
    for (config, file) in both() {
        let t = fixture(file);
        for (layer, found) in Layer::BIGBIGAN.iter().zip(fast(&config, &t, &Layer::BIGBIGAN)) {
            assert_close(&found, &t[&format!("output.{layer}")], layer.name());
        }
    }
}

/// Expected: the oracle with one switch turned, `variant.*`; both paths.
#[test]
fn every_switch_matches_the_oracle() {
    for (config, file) in both() {
        let t = fixture(file);
        let resnet = matches!(config, EncoderConfig::TinyResNet(_));
        let mut variants = vec!["same_padding", "pool_neg_inf", "last_relu_flipped"];
        if resnet {
            variants.push("shortcut_raw");
        }
        for name in variants {
            let mut config = config.clone();
            match name {
                "same_padding" => switches(&mut config).padding = Padding::Same,
                "pool_neg_inf" => switches(&mut config).pool_pad = Some(PoolPad::NegInf),
                "last_relu_flipped" => switches(&mut config).last_relu = Some(!resnet),
                _ => {
                    let EncoderConfig::TinyResNet(c) = &mut config else {
                        panic!("only the ResNet has shortcuts")
                    };
                    c.shortcut_from = ShortcutFrom::Raw;
                }
            }
            let out = Encoder::new(&config, &weights_of(&t))
                .unwrap()
                .forward(&t["input.x"], Statistics::Stored)
                .unwrap();
            let quick = fast(&config, &t, &[Layer::AvepoolFeat, Layer::ZMean]);
            for (layer, found, quick) in [
                ("avepool_feat", &out.avepool_feat, &quick[0]),
                ("z_mean", &out.z_mean, &quick[1]),
            ] {
                let expected = &t[&format!("variant.{name}.{layer}")];
                assert_close(found, expected, &format!("{file} {name} {layer}"));
                assert_close(quick, expected, &format!("{file} {name} {layer}, fast"));
                // A switch that changes nothing would prove nothing.
                assert!(
                    difference(expected, &t[&format!("output.{layer}")]) > 10.0 * TOLERANCE,
                    "{name} is idle"
                );
            }
        }
    }
}

#[test]
fn the_halves_of_the_last_layer_can_be_swapped() {
    let t = fixture("encoder_tiny.safetensors");
    let mut config = tiny_resnet();
    switches(&mut config).halves = hounsfield::encoder::HalfOrder::StdevFirst;
    let out = Encoder::new(&config, &weights_of(&t))
        .unwrap()
        .forward(&t["input.x"], Statistics::Stored)
        .unwrap();
    assert_close(&out.z_mean, &t["output.z_raw"].narrow(1, 12, 12), "mean");
    assert_close(&out.z_stdev, &t["output.z_raw"].narrow(1, 0, 12).softplus(), "stdev");
}

#[test]
fn gradients_reach_every_weight() {
    for (config, file) in both() {
        let t = fixture(file);
        let mut weights = weights_of(&t);
        for (name, w) in &mut weights {
            if !name.contains("running_") {
                *w = w.set_requires_grad(true);
            }
        }
        let encoder = Encoder::new(&config, &weights).unwrap();
        let out = encoder.forward(&t["input.x"], Statistics::Batch).unwrap();
        out.sample(&t["input.eps"]).unwrap().square().sum(None).backward();
        for (name, w) in weights.iter().filter(|(name, _)| !name.contains("running_")) {
            assert!(w.grad().defined(), "{name} has no gradient");
        }
    }
}
