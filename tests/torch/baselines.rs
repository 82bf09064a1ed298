//! Networks of whole scans: PyTorch's numbers in every layout and with every tape, dropout, strict tensors, the start of weights.

use hounsfield::{
    baseline::{BaselineConfig, Pu, ResNet3d},
    method::Precision,
    torch::{
        TorchError,
        baselines::{Dropout, Mode, VolumeClassifier, build, random},
        device::autocast,
        train::{Adam, AdamConfig, Memory, Parameters, Tape},
        weights::WeightMap,
    },
};
use tch::{Device, Kind, Tensor};

use super::support::{difference, input, oracle, relative};

const TRAIN: Mode = Mode::Train(Dropout {
    seed: 1,
    step: 0,
    part: 0,
});
const FLOAT: Precision = Precision::Float32;
const LEARNING_RATE: f64 = 1e-3;

struct Case {
    file: &'static str,
    config: BaselineConfig,
    size: [usize; 3],
}

/// Those of make_baselines.py.
fn cases() -> [Case; 3] {
    let pu = |filters: &[usize], convolutions, fully_connected: &[usize]| Pu {
        filters: filters.to_vec(),
        convolutions,
        fully_connected: fully_connected.to_vec(),
        dropout: 0.0,
    };
    [
        Case {
            file: "pu",
            config: BaselineConfig::PuA(pu(&[4, 6], 1, &[16, 12])),
            size: [12, 16, 20],
        },
        Case {
            file: "pu-odd",
            config: BaselineConfig::PuC(pu(&[3, 5], 2, &[])),
            size: [13, 15, 22],
        },
        Case {
            file: "resnet3d",
            config: BaselineConfig::ResNet3d(ResNet3d { width: 2 }),
            size: [36, 33, 40],
        },
    ]
}

/// `start` of make_baselines.py.
fn start(name: &str, shape: &[usize]) -> Tensor {
    match name.rsplit('.').next() {
        _ if shape.len() > 1 => {
            let inputs: usize = shape[1..].iter().product();
            input(name, shape, (6.0 / inputs as f64).sqrt())
        }
        Some("running_var") => input(name, shape, 0.5) + 1.0,
        Some("weight") => input(name, shape, 1.5),
        _ => input(name, shape, 0.3),
    }
}

/// A network on parameters that are trained.
struct Trained {
    parameters: Parameters,
    buffers: WeightMap,
    network: Box<dyn VolumeClassifier>,
}

impl Trained {
    fn new(case: &Case, memory: Memory) -> Self {
        let (mut trained, mut buffers) = (WeightMap::new(), WeightMap::new());
        for (name, shape) in case.config.expected_tensors(case.size).unwrap() {
            let value = start(&name, &shape);
            match name.contains("running_") {
                true => buffers.insert(name, value),
                false => trained.insert(name, value),
            };
        }
        let parameters = Parameters::new(&trained, Device::Cpu, memory).unwrap();
        let mut all = WeightMap::new();
        for (name, t) in parameters.views().iter().chain(&buffers) {
            all.insert(name.clone(), t.shallow_clone());
        }
        Self {
            network: build(&case.config, case.size, &all).unwrap(),
            parameters,
            buffers,
        }
    }

    fn score(&self, x: &Tensor) -> Tensor {
        tch::no_grad(|| self.network.forward(x, Mode::Score, &Tape::keeping())).unwrap()
    }

    /// Forward and backward; gives logits and loss.
    fn pass(&self, x: &Tensor, recompute: bool, precision: Precision) -> (Tensor, Tensor) {
        let tape = match recompute {
            true => Tape::recomputing(precision, Device::Cpu),
            false => Tape::keeping(),
        };
        let logits = {
            let _precision = autocast(precision, Device::Cpu).unwrap();
            self.network.forward(x, TRAIN, &tape).unwrap()
        };
        let loss = loss(&logits);
        tape.backward(&loss).unwrap();
        (logits, loss)
    }
}

fn scans(case: &Case) -> Tensor {
    let [d, h, w] = case.size;
    input("scans", &[3, 1, d, h, w], 1.0)
}

/// Weighted cross entropy, as in make_baselines.py.
fn loss(logits: &Tensor) -> Tensor {
    let labels = Tensor::from_slice(&[0i64, 1, 1]).unsqueeze(1);
    let weights = Tensor::from_slice(&[0.7f32, 1.6, 0.4]);
    let losses = -logits
        .log_softmax(1, Kind::Float)
        .gather(1, &labels, false)
        .squeeze_dim(1);
    (losses * &weights).sum(Kind::Float) / weights.sum(Kind::Float)
}

/// Norm of the difference over the norm of what is expected.
fn apart(found: &Tensor, expected: &Tensor) -> f64 {
    let norm = |t: &Tensor| t.norm_scalaropt_dtype(2, Kind::Double).double_value(&[]);
    norm(&(found.detach() - expected)) / norm(expected)
}

/// Expected: PyTorch modules from the same description; see make_baselines.py. Batch norms there have scales of both signs.
#[test]
fn outputs_gradients_and_a_step_are_those_of_pytorch_in_every_layout_and_with_every_tape() {
    for case in cases() {
        let expected = oracle(&format!("baselines/{}.safetensors", case.file));
        let x = scans(&case);
        for memory in [Memory::Plain, Memory::ChannelsLast3d] {
            for recompute in [false, true] {
                let what = format!("{} {memory:?}, recompute {recompute}", case.file);
                let mut trained = Trained::new(&case, memory);
                let error = relative(&trained.score(&x), &expected["logits.stored"]);
                assert!(error < 1e-5, "{what}: scores are {error:e} apart");

                let (logits, loss) = trained.pass(&x, recompute, FLOAT);
                let error = relative(&logits.detach(), &expected["logits.batch"]);
                assert!(error < 1e-5, "{what}: logits are {error:e} apart");
                assert!(difference(&loss.detach(), &expected["loss"]) < 1e-5, "{what}");
                for (name, gradient) in trained.parameters.gradients() {
                    let error = apart(gradient, &expected[&format!("gradient.{name}")]);
                    assert!(error < 1e-4, "{what}: the gradient of {name} is {error:e} apart");
                }
                for (name, buffer) in &trained.buffers {
                    let error = relative(buffer, &expected[&format!("after.{name}")]);
                    assert!(error < 1e-5, "{what}: {name} is {error:e} apart");
                }
                step(&mut trained.parameters);
                for (name, value) in trained.parameters.views() {
                    let gradient = &expected[&format!("gradient.{name}")];
                    // A first step of Adam has the sign of the gradient: only one that is no rounding error tells it.
                    let sure = gradient.abs().gt(1e-4 * gradient.abs().max().double_value(&[]));
                    let error = (value.detach() - &expected[&format!("after.{name}")]).abs();
                    let most = (error * sure.to_kind(Kind::Float)).max().double_value(&[]);
                    assert!(most < 1e-6, "{what}: {name} is {most:e} apart after a step");
                }
            }
        }
    }
}

fn step(parameters: &mut Parameters) {
    let config = AdamConfig {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
    };
    let mut adam = Adam::new(parameters, config).unwrap();
    adam.step(parameters, LEARNING_RATE).unwrap();
}

/// Expected: no more rounding than under PyTorch's own autocast; see make_baselines.py. On networks of so few channels that is much.
#[test]
fn half_the_precision_gives_nearly_the_same_and_32_bit_logits() {
    for case in cases() {
        let expected = oracle(&format!("baselines/{}.safetensors", case.file));
        let pytorch = expected["autocast.gradient"].double_value(&[]);
        let x = scans(&case);
        for memory in [Memory::Plain, Memory::ChannelsLast3d] {
            for recompute in [false, true] {
                let trained = Trained::new(&case, memory);
                let (logits, _) = trained.pass(&x, recompute, Precision::BFloat16);
                assert_eq!(logits.kind(), Kind::Float);
                let error = relative(&logits.detach(), &expected["logits.batch"]);
                assert!(error < 0.03, "{}: logits are {error} apart", case.file);
                let gradients = trained.parameters.gradients().iter();
                let (found, wanted): (Vec<Tensor>, Vec<Tensor>) = gradients
                    .map(|(name, gradient)| {
                        (
                            gradient.flatten(0, -1),
                            expected[&format!("gradient.{name}")].flatten(0, -1),
                        )
                    })
                    .unzip();
                let error = apart(&Tensor::cat(&found, 0), &Tensor::cat(&wanted, 0));
                assert!(
                    error < 1.3 * pytorch,
                    "{}: {error} apart, PyTorch's {pytorch}",
                    case.file
                );
                for (name, buffer) in &trained.buffers {
                    let error = relative(buffer, &expected[&format!("after.{name}")]);
                    assert!(error < 0.02, "{}: {name} is {error} apart", case.file);
                }
            }
        }
    }
}

/// Memory that was filled with NaN and given back is what oneDNN would read.
#[test]
fn gradients_in_half_the_precision_are_finite_over_maps_of_two_positions() {
    let case = Case {
        file: "",
        config: BaselineConfig::ResNet3d(ResNet3d { width: 16 }),
        size: [33, 64, 40],
    };
    let x = scans(&case);
    for memory in [Memory::Plain, Memory::ChannelsLast3d] {
        for _ in 0..3 {
            let trained = Trained::new(&case, memory);
            for power in 10..21 {
                drop(vec![f32::NAN; 1 << power]);
                let _ = Tensor::full([1 << power], f64::NAN, (Kind::Float, Device::Cpu));
            }
            let _ = trained.pass(&x, false, Precision::BFloat16);
            assert_eq!(trained.parameters.not_finite().unwrap(), [""; 0], "{memory:?}");
        }
    }
}

/// Expected: what `torch.autograd.graph.saved_tensors_hooks` sees; see make_baselines.py. Levels of Pu's networks are one operation each,
/// and keep less: half and below where a level has one convolution, three quarters where it has two.
#[test]
fn what_a_network_is_said_to_keep_of_a_scan_is_what_pytorch_keeps_and_less_where_levels_are_one_operation() {
    for case in cases() {
        let expected = oracle(&format!("baselines/{}.safetensors", case.file))["kept"].double_value(&[]);
        let layers = case.config.layers(case.size).unwrap();
        let kept: usize = layers.iter().map(|layer| layer.kept).sum();
        let ratio = kept as f64 / expected;
        let one_operation = matches!(
            case.config,
            BaselineConfig::PuA(_) | BaselineConfig::PuB(_) | BaselineConfig::PuC(_)
        );
        let expected_ratio = if one_operation { 0.0..0.75 } else { 0.99..1.01 };
        assert!(
            expected_ratio.contains(&ratio),
            "{}: {kept} numbers, {expected} in PyTorch",
            case.file
        );
    }
}

#[test]
fn maps_and_head_together_are_the_network() {
    for case in cases() {
        let trained = Trained::new(&case, Memory::Plain);
        let x = scans(&case);
        let maps = tch::no_grad(|| trained.network.maps(&x)).unwrap();
        assert_eq!(maps.dim(), 5, "{}", case.file);
        let maps = maps.detach().set_requires_grad(true);
        let logits = trained.network.head(&maps);
        // Levels that are one operation add up in another order.
        let error = relative(&logits.detach(), &trained.score(&x));
        assert!(error < 1e-5, "{}: {error:e} apart", case.file);
        logits.select(1, 1).sum(Kind::Float).backward();
        assert!(maps.grad().abs().max().double_value(&[]) > 0.0, "{}", case.file);
        let one = tch::no_grad(|| {
            trained
                .network
                .forward(&x.narrow(0, 1, 1), Mode::Score, &Tape::keeping())
        })
        .unwrap();
        let error = relative(&one, &trained.score(&x).narrow(0, 1, 1));
        assert!(error < 1e-5, "{}: a scan alone is {error:e} apart", case.file);
    }
}

/// In parts, statistics follow each part once; scoring changes nothing.
#[test]
fn stored_statistics_follow_each_training_pass_once_and_no_other() {
    let case = &cases()[0];
    let x = scans(case);
    let name = "levels.0.norm.0.running_mean";
    let after = |recompute: bool, passes: usize| {
        let trained = Trained::new(case, Memory::Plain);
        let before = trained.buffers[name].copy();
        let _ = trained.score(&x);
        assert!(before.equal(&trained.buffers[name]));
        for _ in 0..passes {
            let _ = trained.pass(&x, recompute, FLOAT);
        }
        (before, trained.buffers[name].copy())
    };
    let (before, once) = after(false, 1);
    let (_, again) = after(true, 1);
    assert!(once.equal(&again), "apart by {}", difference(&once, &again));
    let (_, twice) = after(true, 2);
    // The batch's own mean, from what one pass took of it: the second takes as much of the rest.
    let batch = (&once - &before * 0.9) / 0.1;
    let expected = &once * 0.9 + batch * 0.1;
    assert!(difference(&twice, &expected) < 1e-5);
}

#[test]
fn dropout_is_drawn_by_step_and_part_and_only_in_training() {
    let size = [8; 3];
    let config = BaselineConfig::PuA(Pu {
        filters: vec![4],
        fully_connected: vec![64, 32],
        ..Pu::a()
    });
    let network = build(&config, size, &random(&config, size, 2).unwrap()).unwrap();
    let x = input("scans", &[4, 1, 8, 8, 8], 1.0);
    let run = |mode: Mode| tch::no_grad(|| network.forward(&x, mode, &Tape::keeping())).unwrap();
    let mode = |seed, step, part| Mode::Train(Dropout { seed, step, part });
    let first = run(mode(1, 5, 0));
    assert!(first.equal(&run(mode(1, 5, 0))));
    for other in [mode(1, 5, 1), mode(1, 6, 0), mode(2, 5, 0)] {
        assert!(!first.equal(&run(other)), "{other:?}");
    }
    assert!(run(Mode::Score).equal(&run(Mode::Score)));
    // Behind the only hidden layer, where what follows is linear, dropout leaves the expectation as it is.
    let one_layer = |dropout| {
        BaselineConfig::PuA(Pu {
            filters: vec![4],
            fully_connected: vec![64],
            dropout,
            ..Pu::a()
        })
    };
    let tensors = random(&one_layer(0.0), size, 2).unwrap();
    let without = build(&one_layer(0.0), size, &tensors).unwrap();
    let with = build(&one_layer(0.5), size, &tensors).unwrap();
    let run = |network: &dyn VolumeClassifier, step| {
        tch::no_grad(|| network.forward(&x, mode(1, step, 0), &Tape::keeping())).unwrap()
    };
    let expected = run(without.as_ref(), 0);
    let draws: Vec<Tensor> = (0..400).map(|step| run(with.as_ref(), step)).collect();
    let draws = Tensor::stack(&draws, 0);
    let mean = draws.mean_dim([0i64].as_slice(), false, None);
    let error = draws.std_dim([0i64].as_slice(), true, false) / 20.0;
    let most = ((mean - expected) / error).abs().max().double_value(&[]);
    assert!(most < 4.5, "the mean over draws is {most} standard errors away");
}

#[test]
fn tensors_and_scans_that_do_not_fit_are_named() {
    let case = &cases()[0];
    let mut tensors = random(&case.config, case.size, 0).unwrap();
    let network = build(&case.config, case.size, &tensors).unwrap();
    let other = input("scans", &[1, 1, 12, 16, 21], 1.0);
    let error = network.forward(&other, Mode::Score, &Tape::keeping()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "scans have the shape [1, 1, 12, 16, 21], the network takes [N, 1, 12, 16, 20]"
    );
    assert!(
        network
            .maps(&other.narrow(4, 0, 20).expand([1, 3, 12, 16, 20], false))
            .is_err()
    );

    let weight = tensors.remove("levels.1.conv.0.weight").unwrap();
    tensors.insert("levels.2.conv.0.weight".to_owned(), weight);
    let error = build(&case.config, case.size, &tensors).unwrap_err();
    assert!(matches!(error, TorchError::Tensors { kind: "pu-a", .. }));
    let error = error.to_string();
    assert!(error.contains("missing (1): levels.1.conv.0.weight"), "{error}");
    assert!(error.contains("unexpected (1): levels.2.conv.0.weight"), "{error}");
    // The same sizes, other scans: the first linear layer tells.
    let tensors = random(&case.config, case.size, 0).unwrap();
    let error = build(&case.config, [16; 3], &tensors).unwrap_err().to_string();
    assert!(
        error.contains("fc.0.weight is [16, 360], expected [16, 384]"),
        "{error}"
    );
    assert!(
        build(&case.config, [3; 3], &tensors)
            .unwrap_err()
            .to_string()
            .contains("3 x 3 x 3")
    );
}

#[test]
fn untrained_weights_are_as_pytorch_starts_them() {
    let size = [32; 3];
    let tensors = random(&BaselineConfig::PuA(Pu::a()), size, 7).unwrap();
    for (name, inputs) in [("levels.3.conv.0", 64 * 27), ("fc.0", 256), ("fc.1", 128), ("out", 64)] {
        let weight = &tensors[&format!("{name}.weight")];
        let bound = (1.0 / inputs as f64).sqrt();
        let most = weight.abs().max().double_value(&[]);
        assert!(most <= bound && most > 0.97 * bound, "{name}: {most} of {bound}");
        let deviation = weight.std(false).double_value(&[]) * 3f64.sqrt();
        assert!((deviation / bound - 1.0).abs() < 0.1, "{name}: {deviation} of {bound}");
    }
    let bias = &tensors["fc.0.bias"];
    assert!(bias.abs().max().double_value(&[]) <= 1.0 / 16.0 && bias.std(false).double_value(&[]) > 0.02);
    assert_eq!(tensors["levels.0.norm.0.weight"].min().double_value(&[]), 1.0);
    assert_eq!(tensors["levels.0.norm.0.bias"].abs().max().double_value(&[]), 0.0);

    let config = BaselineConfig::ResNet3d(ResNet3d { width: 16 });
    let resnet = random(&config, [64; 3], 7).unwrap();
    let deviation = resnet["layer3.0.conv1.weight"].std(false).double_value(&[]);
    let expected = (2.0 / (64.0 * 27.0f64)).sqrt();
    assert!((deviation / expected - 1.0).abs() < 0.02, "{deviation} of {expected}");

    let again = random(&BaselineConfig::PuA(Pu::a()), size, 7).unwrap();
    let other = random(&BaselineConfig::PuA(Pu::a()), size, 8).unwrap();
    let name = "levels.0.conv.0.weight";
    assert!(tensors[name].equal(&again[name]) && !tensors[name].equal(&other[name]));
}
