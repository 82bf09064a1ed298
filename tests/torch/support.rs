//! Fixtures of `tests/oracles/bigbigan`, and the rule that fills tensors too large to be shipped.

use std::{collections::BTreeMap, fs, path::PathBuf};

use hounsfield::encoder::{EncoderConfig, TinyResNet, TinyRevNet};
use rayon::prelude::*;
use safetensors::SafeTensors;
use tch::{Kind, Tensor};

/// The tensors of a fixture; all are 32-bit floats.
pub fn fixture(name: &str) -> BTreeMap<String, Tensor> {
    oracle(&format!("bigbigan/{name}"))
}

/// The tensors of a file below `tests/oracles`; all are 32-bit floats.
pub fn oracle(path: &str) -> BTreeMap<String, Tensor> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracles")
        .join(path);
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: &safetensors::tensor::TensorView| {
        let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
        Tensor::from_data_size(view.data(), &shape, Kind::Float)
    };
    file.iter()
        .map(|(name, view)| (name.to_owned(), tensor(&view)))
        .collect()
}

/// The tensors of a fixture that are weights of the encoder.
pub fn weights_of(fixture: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let weights = fixture.iter().filter(|(name, _)| name.starts_with("encoder."));
    weights.map(|(name, t)| (name.clone(), t.shallow_clone())).collect()
}

pub fn tiny_resnet() -> EncoderConfig {
    EncoderConfig::TinyResNet(TinyResNet::default())
}

pub fn tiny_revnet() -> EncoderConfig {
    EncoderConfig::TinyRevNet(TinyRevNet::default())
}

/// Largest absolute difference.
pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// Largest absolute difference over the largest absolute value expected.
pub fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    difference(found, expected) / expected.abs().max().double_value(&[])
}

/// FNV-1a, 32 bits.
fn fnv(name: &str) -> u32 {
    name.bytes()
        .fold(0x811C_9DC5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

/// In [0, 1): a counter, keyed by a name, through murmur3's finaliser.
fn unit(key: u32, index: usize) -> f64 {
    let mut x = (index as u32).wrapping_mul(0x9E37_79B1).wrapping_add(key);
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^= x >> 16;
    f64::from(x) / 4_294_967_296.0
}

/// `det_input` of oracle.py: uniform in [-scale, scale).
pub fn input(name: &str, shape: &[usize], scale: f64) -> Tensor {
    let key = fnv(name);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|i| (scale * (2.0 * unit(key, i) - 1.0)) as f32)
        .collect();
    Tensor::from_slice(&values).reshape(shape.iter().map(|n| *n as i64).collect::<Vec<_>>())
}

/// `det_fill` of oracle.py: the value of the parameter `name`.
pub fn fill(name: &str, shape: &[usize]) -> Tensor {
    let key = fnv(name);
    let count: usize = shape.iter().product();
    let mut parts = name.rsplit('.');
    let (leaf, parent) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let signed = move |i: usize| 2.0 * unit(key, i) - 1.0;
    let all = |f: &(dyn Fn(usize) -> f64 + Sync)| (0..count).into_par_iter().map(|i| f(i) as f32).collect::<Vec<f32>>();
    let one_axis = shape.len() == 1;
    let values = match leaf {
        "running_mean" => all(&|i| 0.1 * signed(i)),
        "running_var" => all(&|i| 1.0 + 0.5 * unit(key, i)),
        "u" => {
            let norm = (0..count).map(|i| signed(i).powi(2)).sum::<f64>().sqrt();
            all(&|i| signed(i) / norm)
        }
        "gamma" => vec![0.3; count],
        _ if name.ends_with("shared.weight") => all(&signed),
        "weight" if one_axis && parent.contains("bn") => all(&|i| 1.0 + 0.1 * signed(i)),
        "bias" if one_axis && parent.contains("bn") => all(&|i| 0.1 * signed(i)),
        _ if shape.len() <= 1 => all(&|i| 0.05 * signed(i)),
        _ => {
            let inputs: usize = shape[1..].iter().product();
            let plain =
                name.contains(".gain.") || name.contains(".bias.") || parent == "out" || parent.starts_with("score_");
            let gain = match name {
                n if n.ends_with("conv3.weight") || n.ends_with("fc2.weight") => 0.25,
                _ if plain => 1.0,
                _ => 2.0,
            };
            let bound = (3.0 * gain / inputs as f64).sqrt();
            all(&|i| bound * signed(i))
        }
    };
    Tensor::from_slice(&values).reshape(shape.iter().map(|n| *n as i64).collect::<Vec<_>>())
}

/// `fill` of make_other_encoders.py: the value of a parameter of torchvision's or torch.hub's networks.
pub fn fill_other(name: &str, shape: &[usize]) -> Tensor {
    let parts: Vec<&str> = name.split('.').collect();
    let (leaf, parents) = parts.split_last().unwrap();
    let norm =
        parents.last().is_some_and(|parent| parent.starts_with("norm")) || parents.ends_with(&["downsample", "1"]);
    match *leaf {
        "gamma" => input(name, shape, 0.1) + 0.3,
        "weight" if norm => input(name, shape, 0.1) + 1.0,
        "bias" if norm => input(name, shape, 0.1),
        "cls_token" => input(name, shape, 1.0),
        "pos_embed" => input(name, shape, 0.5),
        _ => fill(name, shape),
    }
}

/// An encoder's weights by that rule.
pub fn filled_other(config: &EncoderConfig) -> BTreeMap<String, Tensor> {
    let expected = config.expected_tensors().unwrap();
    let filled = |(name, shape): (String, Vec<usize>)| (name.clone(), fill_other(&name, &shape));
    expected.into_iter().map(filled).collect()
}

/// An encoder's weights by the rule of oracle.py.
pub fn filled(config: &EncoderConfig) -> BTreeMap<String, Tensor> {
    let expected = config.expected_tensors().unwrap();
    expected
        .into_iter()
        .map(|(name, shape)| (name.clone(), fill(&name, &shape)))
        .collect()
}

/// Expected: `oracle.det_fill` and `oracle.det_input`, first 128 values of seven tensors.
#[test]
fn the_fill_is_the_oracles() {
    let samples = fixture("fill_samples.safetensors");
    let shapes: BTreeMap<&str, &[usize]> = BTreeMap::from([
        ("encoder.stem.conv.weight", &[64, 3, 7, 7][..]),
        ("encoder.stages.0.0.bn1.weight", &[64]),
        ("encoder.stages.0.0.bn1.running_var", &[64]),
        ("encoder.head.out.bias", &[240]),
        ("generator.blocks.0.bn1.gain.u", &[1536]),
        ("generator.blocks.0.bn1.gain.weight", &[1536, 148]),
        ("input.x_full", &[1, 3, 256, 256]),
    ]);
    assert_eq!(samples.len(), shapes.len());
    for (name, expected) in &samples {
        let shape = shapes[name.as_str()];
        let found = if name.starts_with("input.") {
            input(name, shape, 1.0)
        } else {
            fill(name, shape)
        };
        let found = found.flatten(0, -1).narrow(0, 0, expected.size()[0]);
        // The norm of `u` is a sum whose order differs.
        let tolerance = if name.ends_with(".u") { 1e-9 } else { 0.0 };
        let difference = difference(&found, expected);
        assert!(difference <= tolerance, "{name} differs by {difference}");
    }
}
