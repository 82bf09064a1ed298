//! The networks in full size, filled by rule, against oracle.py: both paths.

use std::collections::BTreeMap;

use hounsfield::{
    encoder::{EncoderConfig, Layer, ResNet50, RevNet50x4},
    torch::{
        encoders::{Encoder, InferenceEncoder, Origin},
        layers::Statistics,
    },
};
use tch::{Device, Kind, Tensor};

use super::support::{difference, filled, fixture, input, relative};

const TOLERANCE: f64 = 1e-4;

fn check(config: &EncoderConfig, file: &str) {
    let expected: BTreeMap<String, Tensor> = fixture(file);
    let x = input("input.x_full", &[1, 3, 256, 256], 1.0);
    let noise = input("input.eps_full", &[1, 120], 3.0_f64.sqrt());
    assert_eq!(difference(&noise, &expected["input.eps"]), 0.0);
    let weights = filled(config);
    let assert_close = |found: &Tensor, name: &str| {
        let error = relative(found, &expected[name]);
        assert!(error <= TOLERANCE, "{name} is off by {error:e}");
    };

    let _no_gradients = tch::no_grad_guard();
    let encoder = Encoder::new(config, &weights).unwrap();
    let (out, taps) = encoder.forward_with_taps(&x, Statistics::Stored).unwrap();
    let sample = out.sample(&noise).unwrap();
    for (name, found) in [
        ("output.z_mean", &out.z_mean),
        ("output.z_stdev", &out.z_stdev),
        ("output.z_sample", &sample),
        ("output.avepool_feat", &out.avepool_feat),
        ("output.bn_crelu_feat", &out.bn_crelu_feat),
    ] {
        assert_close(found, name);
    }
    for (name, tap) in &taps {
        assert_close(&tap.flatten(0, -1).narrow(0, 0, 64), &format!("tap.{name}.head"));
        let statistics = [tap.mean(Kind::Float), tap.std(false), tap.min(), tap.max()];
        assert_close(&Tensor::stack(&statistics, 0), &format!("tap.{name}.stats"));
    }
    drop((encoder, out, taps));

    let encoder = InferenceEncoder::new(config, &weights, Origin::Random { seed: 0 }, Device::Cpu).unwrap();
    drop(weights);
    let found = encoder.encode(&x, &Layer::BIGBIGAN, Some(&noise)).unwrap();
    for (layer, found) in Layer::BIGBIGAN.iter().zip(&found) {
        assert_close(found, &format!("output.{layer}"));
    }
}

/// Expected: `oracle.Encoder(FULL["resnet50"])`, filled.
#[test]
fn resnet50_matches_the_oracle() {
    check(
        &EncoderConfig::ResNet50(ResNet50::default()),
        "encoder_resnet50_io.safetensors",
    );
}

/// Expected: `oracle.Encoder(FULL["revnet50x4"])`, filled.
#[test]
fn revnet50x4_matches_the_oracle() {
    check(
        &EncoderConfig::RevNet50x4(RevNet50x4::default()),
        "encoder_revnet50x4_io.safetensors",
    );
}

/// Stored statistics of an untrained net normalise nothing, so activations could die out or blow up on the way.
#[test]
fn an_untrained_resnet50_tells_images_apart() {
    let encoder = InferenceEncoder::open(&EncoderConfig::ResNet50(ResNet50::default()), 0, Device::Cpu).unwrap();
    assert!(encoder.untrained());
    let x = Tensor::cat(
        &[
            input("one", &[1, 3, 256, 256], 1.0),
            input("two", &[1, 3, 256, 256], 0.5),
            Tensor::full([1, 3, 256, 256], -1.0, (Kind::Float, Device::Cpu)),
        ],
        0,
    );
    let z = encoder.encode(&x, &[Layer::ZMean], None).unwrap().remove(0);
    assert_eq!(z.isfinite().all().int64_value(&[]), 1);
    let largest = z.abs().max().double_value(&[]);
    assert!((0.01..1000.0).contains(&largest), "largest feature is {largest}");
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let d = difference(&z.get(a), &z.get(b)) / largest;
        assert!(d > 0.01, "images {a} and {b} differ by {d} only");
    }
}
