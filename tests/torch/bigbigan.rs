//! Generator, discriminator, losses, gradients and one whole iteration against oracle.py.

use std::collections::BTreeMap;

use hounsfield::{
    method::{self, LossScale, Precision},
    torch::{
        TorchError,
        layers::{Statistics, spectral_norm},
        methods::{
            Setting,
            bigbigan::{BigBiGan, Discriminator, Generator, Pairs, loss},
        },
        train::Tape,
        weights::WeightMap,
    },
};
use tch::{Device, Tensor};

use super::support::{difference, fill, fixture, input, relative, tiny_resnet};

fn generator() -> method::Generator {
    method::Generator {
        width: 2,
        multipliers: vec![8, 8, 4, 2],
        attention_after: 1,
        shared_dim: 8,
        planes: 3,
    }
}

fn discriminator() -> method::Discriminator {
    method::Discriminator {
        width: 8,
        multipliers: vec![1, 2, 4, 4],
        attention_after: 0,
        mlp_dim: 16,
        mlp_blocks: 4,
    }
}

fn part(fixture: &BTreeMap<String, Tensor>, prefix: &str) -> WeightMap {
    let part = fixture.iter().filter(|(name, _)| name.starts_with(prefix));
    part.map(|(name, t)| (name.clone(), t.copy())).collect()
}

fn value(t: &Tensor) -> f64 {
    t.double_value(&[])
}

/// `sigma.*` and `u_next.*` of every spectrally normalised layer.
fn assert_spectral(t: &BTreeMap<String, Tensor>, weights: &WeightMap) {
    let mut layers = 0;
    for (name, u) in weights.iter().filter(|(name, _)| name.ends_with(".u")) {
        let layer = name.trim_end_matches(".u");
        let (sigma, next) = spectral_norm(&weights[&format!("{layer}.weight")], u);
        let expected = value(&t[&format!("sigma.{layer}")]);
        assert!((value(&sigma) / expected - 1.0).abs() <= 1e-6, "sigma of {layer}");
        let d = difference(&next, &t[&format!("u_next.{name}")]);
        assert!(d <= 1e-6, "next u of {layer} differs by {d:e}");
        layers += 1;
    }
    assert_eq!(layers, t.keys().filter(|name| name.starts_with("sigma.")).count());
}

/// Expected: `oracle.Generator(TINY["gen"])` with stored and with batch statistics, and with standing statistics over two
/// batches.
#[test]
fn the_generator_matches_the_oracle() {
    let t = fixture("generator_tiny.safetensors");
    let weights = part(&t, "generator.");
    assert_spectral(&t, &weights);
    let net = Generator::new(&generator(), 12, &weights).unwrap();
    let close = |found: &Tensor, name: &str| {
        let d = difference(found, &t[name]);
        assert!(d <= 1e-5, "{name} differs by {d:e}");
    };
    close(&net.forward(&t["input.z"], Statistics::Stored).unwrap(), "output.image");
    close(
        &net.forward(&t["input.z"], Statistics::Batch).unwrap(),
        "output_train.image",
    );
    for seen in 0..2 {
        let z = &t[&format!("input.standing_z{seen}")];
        let _ = net.forward(z, Statistics::Standing { seen }).unwrap();
    }
    for (name, expected) in t.iter().filter(|(name, _)| name.starts_with("standing.")) {
        let found = &weights[name.trim_start_matches("standing.")];
        assert!(difference(found, expected) <= 1e-5, "{name}");
    }
    close(
        &net.forward(&t["input.z"], Statistics::Stored).unwrap(),
        "output_standing.image",
    );
}

/// Expected: `oracle.Discriminator(TINY["disc"])`.
#[test]
fn the_discriminator_matches_the_oracle() {
    let t = fixture("disc_tiny.safetensors");
    let weights = part(&t, "disc.");
    assert_spectral(&t, &weights);
    let net = Discriminator::new(&discriminator(), 12, &weights).unwrap();
    let tape = Tape::keeping();
    let towers = net.join(net.image(&t["input.x_down"], &tape).unwrap(), net.latent(&t["input.z"]));
    let scores = net.scores(&towers);
    for (name, found) in [
        ("feat_f", &towers.f),
        ("feat_h", &towers.h),
        ("feat_j", &towers.j),
        ("score_x", &scores.x),
        ("score_z", &scores.z),
        ("score_xz", &scores.xz),
    ] {
        let d = difference(found, &t[&format!("output.{name}")]);
        assert!(d <= 1e-5, "{name} differs by {d:e}");
    }
}

fn config() -> method::BigBiGan {
    method::BigBiGan {
        generator: generator(),
        discriminator: discriminator(),
        ..method::BigBiGan::default()
    }
}

fn setting(recompute: bool) -> Setting {
    Setting {
        encoder: tiny_resnet(),
        seed: 0,
        steps: 10,
        device: Device::Cpu,
        precision: Precision::Float32,
        recompute,
    }
}

fn trainer(config: &method::BigBiGan, recompute: bool) -> Result<BigBiGan, TorchError> {
    let e = part(&fixture("encoder_tiny.safetensors"), "encoder.");
    let g = part(&fixture("generator_tiny.safetensors"), "generator.");
    let d = part(&fixture("disc_tiny.safetensors"), "disc.");
    BigBiGan::from_tensors(config, setting(recompute), [&e, &g, &d])
}

fn pairs(t: &BTreeMap<String, Tensor>) -> Pairs {
    Pairs {
        x: t["input.x"].shallow_clone(),
        x_small: t["input.x"].avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
        z: t["input.z"].shallow_clone(),
        noise: t["input.eps"].shallow_clone(),
    }
}

/// The norms that are there are the oracle's, to 1e-4 of each; a few would drown in rounding and are held to the network's.
fn assert_norms(t: &BTreeMap<String, Tensor>, found: &BTreeMap<String, f64>, networks: &[&str]) {
    let mut compared = 0;
    for network in networks {
        let total = value(&t[&format!("train.grad_norm_total.{network}")]);
        let mut squares = 0.0;
        for (name, norm) in found
            .iter()
            .filter(|(name, _)| name.starts_with(&format!("{network}.")))
        {
            let expected = value(&t[&format!("grad_norm.{name}")]);
            let off = (norm - expected).abs();
            assert!(
                off <= 1e-4 * expected + 1e-7 * total,
                "{name}: {norm} instead of {expected}"
            );
            squares += norm * norm;
            compared += 1;
        }
        assert!((squares.sqrt() / total - 1.0).abs() < 1e-5, "{network}");
    }
    let prefix = |name: &&String| networks.iter().any(|n| name.starts_with(&format!("grad_norm.{n}.")));
    assert_eq!(compared, t.keys().filter(prefix).count());
}

/// Expected: `oracle.fx_disc_tiny`, `train.*`: scores, losses in both conventions, and the gradient norm of every parameter
/// of the three networks; with activations kept and computed again.
#[test]
fn losses_and_gradients_match_the_oracle() {
    let t = fixture("train_tiny.safetensors");
    let close = |found: &Tensor, name: &str, tolerance: f64| {
        let d = (value(found) - value(&t[name])).abs();
        assert!(d <= tolerance, "{name} differs by {d:e}");
    };
    for recompute in [false, true] {
        let mut trainer = trainer(&config(), recompute).unwrap();
        let pairs = pairs(&t);
        assert!(difference(&pairs.x_small, &t["train.x_down"]) <= 1e-6);
        trainer.zero_grad().unwrap();
        let pass = trainer.discriminator_pass(&pairs, 1).unwrap();
        for (kind, scores) in [("enc", &pass.real), ("gen", &pass.drawn)] {
            for (name, found) in [("x", &scores.x), ("z", &scores.z), ("xz", &scores.xz)] {
                let d = difference(found, &t[&format!("train.{kind}.score_{name}")]);
                assert!(d <= 1e-5, "{kind} {name} differs by {d:e}");
            }
        }
        close(&pass.loss, "train.loss_disc", 1e-6);
        let sum = loss::discriminator(&pass.real, &pass.drawn, LossScale::Sum);
        close(&sum, "train.loss_disc_sum", 3e-6);
        let norms = trainer.gradient_norms().unwrap();
        assert_norms(&t, &norms, &["disc"]);
        // The discriminator's loss moves neither of the others.
        let others = norms.iter().filter(|(name, _)| !name.starts_with("disc."));
        others.for_each(|(name, norm)| assert_eq!(*norm, 0.0, "{name}"));

        trainer.zero_grad().unwrap();
        let pass = trainer.joint_pass(&pairs, 1).unwrap();
        close(&pass.loss_encoder, "train.loss_enc", 1e-6);
        close(&pass.loss_generator, "train.loss_gen", 1e-6);
        let norms = trainer.gradient_norms().unwrap();
        assert_norms(&t, &norms, &["encoder", "generator"]);
        let disc = norms.iter().filter(|(name, _)| name.starts_with("disc."));
        disc.for_each(|(name, norm)| assert_eq!(*norm, 0.0, "{name}"));
    }
}

/// Expected: `train_frozen_bn.*`, the mode of fine-tuning.
#[test]
fn frozen_batch_norms_match_the_oracle() {
    let t = fixture("train_tiny.safetensors");
    let frozen = method::BigBiGan {
        batch_norm: method::BatchNormPolicy::Frozen,
        ..config()
    };
    let mut trainer = trainer(&frozen, false).unwrap();
    trainer.zero_grad().unwrap();
    let pass = trainer.joint_pass(&pairs(&t), 1).unwrap();
    let d = (value(&pass.loss_encoder) - value(&t["train_frozen_bn.loss_enc"])).abs();
    assert!(d <= 1e-6, "differs by {d:e}");
    let norms = trainer.gradient_norms().unwrap();
    let squares = norms.iter().filter(|(name, _)| name.starts_with("encoder."));
    let norm = squares.map(|(_, norm)| norm * norm).sum::<f64>().sqrt();
    let expected = value(&t["train_frozen_bn.grad_norm_total.encoder"]);
    assert!((norm / expected - 1.0).abs() < 1e-4, "{norm} instead of {expected}");
}

/// Expected: `iter.*`: spectral vectors on, discriminator's step, vectors on, the other two's step; with one optimiser each,
/// at the paper's learning rates. After a step tiny gradients may have turned: 1e-3 as the oracle's text says.
#[test]
fn one_iteration_matches_the_oracle() {
    let t = fixture("train_tiny.safetensors");
    let close = |found: f64, name: &str, tolerance: f64| {
        let d = (found - value(&t[name])).abs();
        assert!(d <= tolerance, "{name} differs by {d:e}");
    };
    let mut trainer = trainer(&config(), false).unwrap();
    let pairs = pairs(&t);
    let before = trainer.tensors();
    let before: WeightMap = before.iter().map(|(name, t)| (name.clone(), t.copy())).collect();
    let moved = |trainer: &BigBiGan, prefix: &str| {
        let now = trainer.tensors();
        let trained = |name: &str| !name.ends_with(".u") && !name.contains("running_");
        now.iter()
            .filter(|(name, _)| name.starts_with(prefix) && trained(name))
            .any(|(name, now)| difference(&now.detach(), &before[name]) > 0.0)
    };
    trainer.advance();
    trainer.zero_grad().unwrap();
    close(
        value(&trainer.discriminator_pass(&pairs, 1).unwrap().loss),
        "iter.loss_disc_before",
        1e-5,
    );
    trainer.step_discriminator(1.0).unwrap();
    assert!(moved(&trainer, "disc.") && !moved(&trainer, "encoder.") && !moved(&trainer, "generator."));
    let after = trainer.discriminator_pass(&pairs, 1).unwrap().loss;
    close(value(&after), "iter.loss_disc_after_d_step", 1e-3);
    trainer.advance();
    trainer.zero_grad().unwrap();
    let sum = |pass: hounsfield::torch::methods::bigbigan::JointPass| value(&(pass.loss_encoder + pass.loss_generator));
    close(sum(trainer.joint_pass(&pairs, 1).unwrap()), "iter.loss_eg_before", 1e-3);
    trainer.step_joint(1.0).unwrap();
    assert!(moved(&trainer, "encoder.") && moved(&trainer, "generator."));
    close(
        sum(trainer.joint_pass(&pairs, 1).unwrap()),
        "iter.loss_eg_after_eg_step",
        1e-3,
    );
}

fn filled(expected: Vec<(String, Vec<usize>)>) -> WeightMap {
    let fill = |(name, shape): (String, Vec<usize>)| {
        let tensor = fill(&name, &shape);
        (name, tensor)
    };
    expected.into_iter().map(fill).collect()
}

/// Expected: `oracle.Generator(FULL["gen"])` and `oracle.Discriminator(FULL["disc"])`, filled by rule.
#[test]
fn the_full_sizes_match_the_oracle() {
    let _no_gradients = tch::no_grad_guard();
    let z = input("input.z_full", &[1, 120], 3.0_f64.sqrt());
    let t = fixture("generator_128_io.safetensors");
    let config = method::Generator::default();
    let net = Generator::new(&config, 120, &filled(config.tensors(120))).unwrap();
    let image = net.forward(&z, Statistics::Stored).unwrap();
    let d = difference(&image, &t["output.image"]);
    assert!(d <= 1e-5, "image differs by {d:e}");
    drop(net);
    let t = fixture("disc_128_io.safetensors");
    let config = method::Discriminator::default();
    let net = Discriminator::new(&config, 120, &filled(config.tensors(120))).unwrap();
    let scores = net.forward(&t["input.x"], &t["input.z"]).unwrap();
    for (name, found) in [("x", &scores.x), ("z", &scores.z), ("xz", &scores.xz)] {
        let off = relative(found, &t[&format!("output.score_{name}")]);
        assert!(off <= 1e-5, "score {name} is off by {off:e}");
    }
}
