//! Parameters in one buffer, Adam, averaged weights: PyTorch's numbers, and the same bits after an interruption.

use hounsfield::torch::{
    TorchError,
    ffi::{Autocast, is_channels_last},
    train::{Adam, AdamConfig, Ema, Memory, Parameters},
    weights::{self, Mismatch, WeightMap},
};
use tch::{Device, Kind, Tensor};

use super::support::{difference, input, oracle, relative};

const BOTH: [Memory; 2] = [Memory::Plain, Memory::ChannelsLast];
const PLAIN: AdamConfig = AdamConfig {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.0,
};
const WITHOUT_MOMENTUM: AdamConfig = AdamConfig {
    beta1: 0.0,
    beta2: 0.99,
    epsilon: 1e-6,
    weight_decay: 0.0,
};
const DECAYED: AdamConfig = AdamConfig {
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    weight_decay: 0.5,
};

/// What a file has below a prefix.
fn below(tensors: &WeightMap, prefix: &str) -> WeightMap {
    let found = tensors.iter().filter_map(|(name, t)| {
        let name = name.strip_prefix(prefix)?.strip_prefix('.')?;
        Some((name.to_owned(), t.shallow_clone()))
    });
    found.collect()
}

fn parameters(tensors: &WeightMap, memory: Memory) -> Parameters {
    Parameters::new(tensors, Device::Cpu, memory).unwrap()
}

fn set_gradients(parameters: &Parameters, gradients: &WeightMap) {
    for (name, gradient) in parameters.gradients() {
        gradient.shallow_clone().copy_(&gradients[name]);
    }
}

fn assert_close(found: &WeightMap, expected: &WeightMap, what: &str) {
    assert!(found.keys().eq(expected.keys()), "{what}");
    for (name, t) in expected {
        let apart = relative(&found[name].detach(), t);
        assert!(apart < 1e-6, "{what}.{name} is {apart:e} apart");
    }
}

fn assert_equal(a: &WeightMap, b: &WeightMap) {
    assert!(a.keys().eq(b.keys()));
    for (name, t) in a {
        assert!(t.equal(&b[name]), "{name} differs by {}", difference(t, &b[name]));
    }
}

fn copies(tensors: &WeightMap) -> WeightMap {
    tensors.iter().map(|(name, t)| (name.clone(), t.copy())).collect()
}

fn small() -> WeightMap {
    let shapes: [(&str, &[usize]); 3] = [
        ("conv.weight", &[5, 3, 3, 3]),
        ("linear.bias", &[2]),
        ("linear.weight", &[2, 5]),
    ];
    let tensor = |(name, shape): (&str, &[usize])| (name.to_owned(), input(name, shape, 0.5));
    shapes.into_iter().map(tensor).collect()
}

/// A convolution, its mean over the image, a linear layer.
fn forward(views: &WeightMap, x: &Tensor) -> Tensor {
    x.conv2d(&views["conv.weight"], None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)
        .tanh()
        .mean_dim([2, 3].as_slice(), false, Kind::Float)
        .linear(&views["linear.weight"], Some(&views["linear.bias"]))
        .square()
        .sum(Kind::Float)
}

fn images(name: &str) -> Tensor {
    input(name, &[2, 3, 8, 8], 1.0)
}

/// Expected: `torch.optim.Adam` and `AdamW` after 20 steps with `foreach=False`, and `AveragedModel` with
/// `get_ema_multi_avg_fn(0.9)`.
#[test]
fn twenty_steps_are_pytorchs() {
    let file = oracle("train/adam.safetensors");
    for (kind, config) in [("adam", PLAIN), ("adam-beta1-0", WITHOUT_MOMENTUM), ("adamw", DECAYED)] {
        for memory in BOTH {
            let mut parameters = parameters(&below(&file, "start"), memory);
            let mut adam = Adam::new(&parameters, config).unwrap();
            // PyTorch's average is a copy after the first step.
            let mut ema = Ema::new(&parameters, 0.9, 2).unwrap();
            for step in 0..20 {
                set_gradients(&parameters, &below(&file, &format!("gradient.{step:02}")));
                adam.step(&mut parameters, 1e-2).unwrap();
                ema.update(&parameters, adam.steps()).unwrap();
            }
            let state = adam.state().unwrap();
            assert_close(parameters.views(), &below(&file, &format!("{kind}.end")), kind);
            assert_close(ema.views(), &below(&file, &format!("{kind}.ema")), kind);
            for mean in ["exp_avg", "exp_avg_sq"] {
                // Without momentum it is the last gradient, and not kept.
                if (mean, config.beta1) != ("exp_avg", 0.0) {
                    assert_close(&below(&state, mean), &below(&file, &format!("{kind}.{mean}")), mean);
                }
            }
        }
    }
}

/// Expected: `torch.nn.utils.clip_grad_norm_(parameters, max_norm)`.
#[test]
fn gradients_are_clipped_as_pytorch_does() {
    let file = oracle("train/adam.safetensors");
    for (name, max_norm) in [("0.5", 0.5), ("1e+06", 1e6)] {
        let mut parameters = parameters(&below(&file, "start"), Memory::ChannelsLast);
        set_gradients(&parameters, &below(&file, "gradient.00"));
        let norm = parameters.clip(max_norm).unwrap();
        let expected = file[&format!("clip.{name}.norm")].double_value(&[]);
        assert!((norm / expected - 1.0).abs() < 1e-6, "norm {norm}, expected {expected}");
        assert_close(
            parameters.gradients(),
            &below(&file, &format!("clip.{name}.gradient")),
            name,
        );
        let after = parameters.grad_norm().unwrap();
        assert!(
            after <= max_norm * (1.0 + 1e-6),
            "norm {after} after clipping to {max_norm}"
        );
    }
}

#[test]
fn backward_adds_to_the_one_buffer() {
    for memory in BOTH {
        let mut parameters = parameters(&small(), memory);
        let views = parameters.views();
        assert_eq!(is_channels_last(&views["conv.weight"]), memory == Memory::ChannelsLast);
        // By the plain way: leaves of their own, whose gradients libtorch makes.
        let plain: WeightMap = small()
            .into_iter()
            .map(|(name, t)| (name, t.set_requires_grad(true)))
            .collect();
        let places: Vec<_> = views.values().map(|view| view.grad().data_ptr()).collect();
        for batch in ["first", "second"] {
            forward(views, &images(batch)).backward();
            forward(&plain, &images(batch)).backward();
            let after: Vec<_> = views.values().map(|view| view.grad().data_ptr()).collect();
            assert_eq!(after, places, "backward has put gradients elsewhere");
        }
        let expected: WeightMap = plain.iter().map(|(name, t)| (name.clone(), t.grad())).collect();
        assert_close(parameters.gradients(), &expected, "gradient");
        for (name, view) in parameters.views() {
            assert_eq!(difference(&view.grad(), &parameters.gradients()[name]), 0.0);
        }
        parameters.zero_grad().unwrap();
        assert_eq!(parameters.grad_norm().unwrap(), 0.0);
        assert_eq!(
            parameters.views()["conv.weight"].grad().abs().max().double_value(&[]),
            0.0
        );
    }
}

#[test]
fn gradients_of_a_half_precise_pass_are_whole_and_in_place() {
    let parameters = parameters(&small(), Memory::ChannelsLast);
    let place = parameters.gradients()["conv.weight"].data_ptr();
    let loss = {
        let _half = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
        forward(parameters.views(), &images("first"))
    };
    loss.backward();
    let gradient = parameters.views()["conv.weight"].grad();
    assert_eq!((gradient.data_ptr(), gradient.kind()), (place, Kind::Float));
    assert!(parameters.grad_norm().unwrap() > 0.0);
}

#[test]
fn a_graph_from_before_a_step_is_refused() {
    let mut parameters = parameters(&small(), Memory::Plain);
    let mut adam = Adam::new(&parameters, PLAIN).unwrap();
    let loss = forward(parameters.views(), &images("first"));
    adam.step(&mut parameters, 1e-3).unwrap();
    let error = loss.f_backward().unwrap_err().to_string();
    assert!(error.contains("modified by an inplace operation"), "{error}");
}

#[test]
fn norms_of_the_parts_make_up_the_norm() {
    let mut parameters = parameters(&small(), Memory::Plain);
    forward(parameters.views(), &images("first")).backward();
    let norms = parameters.grad_norms().unwrap();
    assert!(norms.keys().eq(parameters.views().keys()));
    let whole = norms.values().map(|norm| norm * norm).sum::<f64>().sqrt();
    let found = parameters.grad_norm().unwrap();
    assert!(
        (found / whole - 1.0).abs() < 1e-6,
        "norm {found}, its parts make {whole}"
    );
    assert_eq!(parameters.count(), 135 + 2 + 10);
    // Half of it, as clipping says.
    assert_eq!(parameters.clip(found / 2.0).unwrap(), found);
    let after = parameters.grad_norm().unwrap();
    assert!((2.0 * after / found - 1.0).abs() < 1e-4, "norm {after}, was {found}");
}

/// libtorch's own norm of this vector is 1.8 % short.
#[test]
fn the_norm_of_many_small_gradients_loses_nothing() {
    let tensors = [("t".to_owned(), Tensor::zeros([20_000_003], (Kind::Float, Device::Cpu)))].into();
    let parameters = parameters(&tensors, Memory::Plain);
    let value = f64::from(1.1e-4_f32);
    let _ = parameters.gradients()["t"].shallow_clone().fill_(value);
    let expected = value * 20_000_003_f64.sqrt();
    let found = parameters.grad_norm().unwrap();
    assert!(
        (found / expected - 1.0).abs() < 1e-5,
        "norm {found}, expected {expected}"
    );
    let alone = parameters.grad_norms().unwrap()["t"];
    assert!(
        (alone / expected - 1.0).abs() < 1e-6,
        "norm {alone}, expected {expected}"
    );
}

#[test]
fn what_is_not_finite_is_named() {
    let mut parameters = parameters(&small(), Memory::ChannelsLast);
    assert_eq!(parameters.not_finite().unwrap(), [""; 0]);
    let _ = parameters.gradients()["linear.bias"].get(1).fill_(f64::NAN);
    assert!(parameters.clip(1.0).unwrap().is_nan());
    assert_eq!(parameters.not_finite().unwrap(), ["linear.bias"]);
    let _ = parameters.gradients()["linear.bias"].shallow_clone().zero_();
    let _ = parameters.gradients()["linear.weight"].get(0).fill_(f64::INFINITY);
    // Clipping leaves it: an infinite norm would make all others zero.
    let before = parameters.gradients()["conv.weight"].copy();
    assert_eq!(parameters.clip(1.0).unwrap(), f64::INFINITY);
    assert!(before.equal(&parameters.gradients()["conv.weight"]));
    assert_eq!(parameters.not_finite().unwrap(), ["linear.weight"]);
    parameters.zero_grad().unwrap();
    let _ = tch::no_grad(|| parameters.views()["conv.weight"].get(0).fill_(f64::NAN));
    assert_eq!(parameters.not_finite().unwrap(), ["conv.weight"]);
}

fn train(parameters: &mut Parameters, adam: &mut Adam, ema: &mut Ema, steps: std::ops::Range<u64>) {
    for step in steps {
        parameters.zero_grad().unwrap();
        forward(parameters.views(), &images(&step.to_string())).backward();
        adam.step(parameters, 1e-2).unwrap();
        ema.update(parameters, adam.steps()).unwrap();
    }
}

#[test]
fn what_was_interrupted_goes_on_to_the_bit() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    for config in [PLAIN, WITHOUT_MOMENTUM, DECAYED] {
        let mut whole = parameters(&small(), Memory::ChannelsLast);
        let mut adam = Adam::new(&whole, config).unwrap();
        let mut ema = Ema::new(&whole, 0.9, 3).unwrap();
        train(&mut whole, &mut adam, &mut ema, 0..5);

        // Through files: what is read back lies plainly in memory.
        let path = |name: &str| folder.path().join(name);
        weights::save(whole.views(), &path("weights")).unwrap();
        weights::save(&adam.state().unwrap(), &path("adam")).unwrap();
        weights::save(ema.views(), &path("ema")).unwrap();
        let read = |name: &str| Tensor::read_safetensors(path(name)).unwrap().into_iter().collect();
        let mut second = parameters(&read("weights"), Memory::ChannelsLast);
        let mut adam_2 = Adam::new(&second, config).unwrap();
        adam_2.load_state(&read("adam"), adam.steps()).unwrap();
        let mut ema_2 = Ema::new(&second, 0.9, 3).unwrap();
        ema_2.load(&read("ema")).unwrap();

        train(&mut whole, &mut adam, &mut ema, 5..12);
        train(&mut second, &mut adam_2, &mut ema_2, 5..12);
        assert_eq!((adam.steps(), adam_2.steps()), (12, 12));
        assert_equal(whole.views(), second.views());
        assert_equal(ema.views(), ema_2.views());
        assert_equal(&adam.state().unwrap(), &adam_2.state().unwrap());
        assert!(difference(&whole.views()["conv.weight"], &small()["conv.weight"]) > 0.01);
    }
}

fn mismatch(result: Result<(), TorchError>) -> Mismatch {
    match result {
        Err(TorchError::State { mismatch, .. }) => *mismatch,
        other => panic!("expected a mismatch, found {other:?}"),
    }
}

#[test]
fn a_state_that_does_not_fit_is_named_and_changes_nothing() {
    let mut parameters = parameters(&small(), Memory::Plain);
    let mut adam = Adam::new(&parameters, PLAIN).unwrap();
    forward(parameters.views(), &images("first")).backward();
    adam.step(&mut parameters, 1e-3).unwrap();
    let before = copies(&adam.state().unwrap());

    let mut state = copies(&before);
    drop(state.remove("exp_avg.linear.bias"));
    let float = (Kind::Float, Device::Cpu);
    state.insert("exp_avg.linear.scale".to_owned(), Tensor::zeros([2], float));
    // One element would be stretched silently by a copy.
    state.insert("exp_avg_sq.linear.bias".to_owned(), Tensor::zeros([1], float));
    let half = state["exp_avg.conv.weight"].to_kind(Kind::Half);
    state.insert("exp_avg.conv.weight".to_owned(), half);
    let found = mismatch(adam.load_state(&state, 9));
    assert_eq!(found.missing, ["exp_avg.linear.bias"]);
    assert_eq!(found.unexpected, ["exp_avg.linear.scale"]);
    assert_eq!(found.shapes, [("exp_avg_sq.linear.bias".to_owned(), vec![1], vec![2])]);
    assert_eq!(found.dtypes, [("exp_avg.conv.weight".to_owned(), "Half".to_owned())]);
    assert_eq!(adam.steps(), 1);
    assert_equal(&adam.state().unwrap(), &before);

    // A state with momentum is not one without.
    let mut other = Adam::new(&parameters, WITHOUT_MOMENTUM).unwrap();
    assert_eq!(mismatch(other.load_state(&before, 1)).unexpected.len(), 3);
    let mut ema = Ema::new(&parameters, 0.9, 0).unwrap();
    assert_eq!(mismatch(ema.load(&WeightMap::new())).missing.len(), 3);
}

#[test]
fn only_whole_floats_are_trained() {
    let mut tensors = small();
    let double = tensors["linear.bias"].to_kind(Kind::Double);
    tensors.insert("linear.bias".to_owned(), double);
    let error = Parameters::new(&tensors, Device::Cpu, Memory::Plain).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("linear.bias is Double, expected F32"), "{words}");
}

#[test]
fn before_its_start_an_average_is_a_copy() {
    let mut parameters = parameters(&small(), Memory::ChannelsLast);
    let mut adam = Adam::new(&parameters, PLAIN).unwrap();
    let mut ema = Ema::new(&parameters, 0.5, 3).unwrap();
    train(&mut parameters, &mut adam, &mut ema, 0..2);
    let second = copies(parameters.views());
    assert_equal(ema.views(), &second);
    train(&mut parameters, &mut adam, &mut ema, 2..3);
    for (name, average) in ema.views() {
        assert!(!average.requires_grad());
        let expected = (&second[name] + &parameters.views()[name]) / 2.0;
        assert!(difference(average, &expected.detach()) < 1e-6, "{name}");
    }
}
