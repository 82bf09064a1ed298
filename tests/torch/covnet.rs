//! COVNet: PyTorch's numbers with a ResNet-50, our own encoders' with the others, and what must hold for any trunk.

use std::collections::BTreeMap;

use hounsfield::{
    baseline::{BaselineConfig, CovNet, TRUNK},
    encoder::EncoderConfig,
    method::Precision,
    torch::{
        TorchError,
        baselines::{Dropout, Mode, VolumeClassifier, build, covnet::start, random},
        encoders::{DinoV2, Encoder, three_planes},
        layers::Statistics,
        train::{Memory, Parameters, Tape},
        weights::{self, WeightMap},
    },
};
use tch::{Device, Kind, Tensor};

use super::support::{difference, fill, fill_other, input, oracle, relative, tiny_resnet, tiny_revnet};

const TRAIN: Mode = Mode::Train(Dropout {
    seed: 1,
    step: 0,
    part: 0,
});

fn parse(text: &str) -> CovNet {
    match toml::from_str(&format!("kind = 'covnet'\n{text}")).unwrap() {
        BaselineConfig::CovNet(config) => config,
        other => panic!("{other:?}"),
    }
}

fn with_trunk(trunk: EncoderConfig) -> CovNet {
    CovNet {
        trunk,
        ..CovNet::default()
    }
}

fn network(config: &CovNet, size: [usize; 3], tensors: &WeightMap) -> Box<dyn VolumeClassifier> {
    build(&BaselineConfig::CovNet(config.clone()), size, tensors).unwrap()
}

fn score(network: &dyn VolumeClassifier, x: &Tensor) -> Tensor {
    tch::no_grad(|| network.forward(x, Mode::Score, &Tape::keeping())).unwrap()
}

/// `fill` of make_covnet.py, under the network's names.
fn filled(name: &str, shape: &[usize]) -> Tensor {
    let name = name.strip_prefix(TRUNK).unwrap_or(name);
    let parents: Vec<&str> = name.split('.').collect();
    match parents.as_slice() {
        [.., "bn3", "weight"] => fill(name, shape) * 0.2,
        [_, _, "bn1" | "bn2", "bias"] => fill(name, shape) + 0.7,
        _ => fill_other(name, shape),
    }
}

/// COVNet on a ResNet-50, as make_covnet.py has it.
struct Trained {
    parameters: Parameters,
    buffers: WeightMap,
    network: Box<dyn VolumeClassifier>,
}

impl Trained {
    const SIZE: [usize; 3] = [3, 48, 48];

    fn config() -> CovNet {
        parse("trunk = { kind = 'resnet50-imagenet', input_size = 64 }")
    }

    fn new(memory: Memory) -> Self {
        let config = Self::config();
        let shapes = BaselineConfig::CovNet(config.clone())
            .expected_tensors(Self::SIZE)
            .unwrap();
        let tensors = shapes.iter().map(|(name, shape)| (name.clone(), filled(name, shape)));
        let (buffers, trained): (WeightMap, WeightMap) = tensors.partition(|(name, _)| name.contains("running_"));
        let parameters = Parameters::new(&trained, Device::Cpu, memory).unwrap();
        let all = parameters.views().iter().chain(&buffers);
        let network = network(
            &config,
            Self::SIZE,
            &all.map(|(name, t)| (name.clone(), t.shallow_clone())).collect(),
        );
        Self {
            parameters,
            buffers,
            network,
        }
    }

    /// The outputs in training; gradients and statistics stay.
    fn step<'a>(&'a self, x: &Tensor, tape: Tape<'a>) -> Tensor {
        let logits = self.network.forward(x, TRAIN, &tape).unwrap();
        let loss = logits.cross_entropy_for_logits(&Tensor::from_slice(&[0_i64, 1]));
        tape.backward(&loss).unwrap();
        logits.detach()
    }
}

/// The scans of a pair of make_covnet.py.
fn pair(number: usize) -> Tensor {
    input(&format!("input.covnet{number}"), &[2, 1, 3, 48, 48], 1.0)
}

/// `look` of make_covnet.py.
fn look(name: &str, t: &Tensor) -> Tensor {
    let flat = t.contiguous().flatten(0, -1).to_kind(Kind::Double);
    let length = flat.size()[0];
    let product = |side: &str| {
        let vector = input(&format!("{side}.{name}"), &[length as usize], 1.0).to_kind(Kind::Double);
        (&flat * vector).sum(Kind::Double).reshape([1])
    };
    Tensor::cat(
        &[flat.narrow(0, 0, length.min(32)), product("left"), product("right")],
        0,
    )
    .to_kind(Kind::Float)
}

/// Expected: the PyTorch program of make_covnet.py, torch 2.13.0, in double precision. It says why a gradient need be right in one of
/// the pairs only.
#[test]
fn scores_a_step_and_statistics_are_pytorchs() {
    const PAIRS: usize = 4;
    let expected = oracle("covnet/covnet.safetensors");
    let mut errors = BTreeMap::<String, f64>::new();
    for number in 0..PAIRS {
        let (x, trained) = (pair(number), Trained::new(Memory::Plain));
        let expected = |name: &str| expected[name].get(number as i64);
        let error = relative(&score(&*trained.network, &x), &expected("output.score"));
        assert!(error <= 1e-5, "scores of pair {number} are off by {error:e}");
        let logits = trained.step(&x, Tape::keeping());
        let error = relative(&logits, &expected("output.train"));
        assert!(
            error <= 1e-5,
            "outputs in training of pair {number} are off by {error:e}"
        );
        for (name, t) in &trained.buffers {
            let name = name.strip_prefix(TRUNK).unwrap();
            let error = relative(&look(name, t), &expected(&format!("buffer.{name}")));
            assert!(error <= 1e-5, "{name} of pair {number} is off by {error:e}");
        }
        for (name, t) in trained.parameters.gradients() {
            let plain = name.strip_prefix(TRUNK).unwrap_or(name);
            let error = relative(&look(plain, t), &expected(&format!("gradient.{plain}")));
            let best = errors.entry(plain.to_owned()).or_insert(f64::INFINITY);
            *best = best.min(error);
        }
    }
    // A sign may change in all pairs: on two threads in 8 of 161 tensors, on one in none.
    let off = |bound: f64| errors.iter().filter(|(_, error)| **error > bound).collect::<Vec<_>>();
    assert!(off(2e-3).is_empty(), "gradients are off: {:?}", off(2e-3));
    assert!(
        off(1e-4).len() * 10 < errors.len(),
        "gradients are off: {:?}",
        off(1e-4)
    );
}

#[test]
fn recomputed_activations_and_channels_innermost_give_the_same_step() {
    let x = pair(0);
    let plain = Trained::new(Memory::Plain);
    let expected = plain.step(&x, Tape::keeping());
    for memory in [Memory::Plain, Memory::ChannelsLast] {
        let other = Trained::new(memory);
        let found = other.step(&x, Tape::recomputing(Precision::Float32, Device::Cpu));
        assert!(relative(&found, &expected) <= 1e-5);
        for (name, t) in &other.buffers {
            let error = relative(t, &plain.buffers[name]);
            assert!(
                error <= 1e-5,
                "{name} is off by {error:e}: a batch that is run again is taken in once"
            );
        }
        // In another layout the sums have another order, and a ReLU may flip.
        let bound = if memory == Memory::Plain { 1e-5 } else { 0.1 };
        for (name, t) in other.parameters.gradients() {
            let error = relative(t, &plain.parameters.gradients()[name]);
            assert!(error <= bound, "{name} is off by {error:e}");
        }
    }
}

/// Expected: what `torch.autograd.graph.saved_tensors_hooks` sees; see make_covnet.py.
#[test]
fn what_it_is_said_to_keep_of_a_scan_is_what_pytorch_keeps() {
    let expected = oracle("covnet/covnet.safetensors")["kept"].double_value(&[]);
    let layers = BaselineConfig::CovNet(Trained::config()).layers(Trained::SIZE).unwrap();
    let kept: usize = layers.iter().map(|layer| layer.kept).sum();
    assert!(
        (kept as f64 / expected - 1.0).abs() < 0.01,
        "{kept} instead of {expected}"
    );
}

/// Trunks of BigBiGAN's sort against the encoders, which have an oracle of their own.
#[test]
fn a_scan_is_the_largest_of_each_feature_of_its_slices() {
    for trunk in [tiny_resnet(), tiny_revnet()] {
        let config = with_trunk(trunk.clone());
        let encoder = weights::random(&trunk, 5).unwrap();
        let tensors = start(&config, 5, Some(&encoder)).unwrap();
        let network = network(&config, [4, 64, 64], &tensors);
        let x = input("scans", &[2, 1, 4, 64, 64], 1.0);
        let slices = three_planes(&x.permute([0, 2, 1, 3, 4]).reshape([8, 1, 64, 64])).unwrap();
        let outputs = Encoder::new(&trunk, &encoder)
            .unwrap()
            .forward(&slices, Statistics::Stored)
            .unwrap();
        let features = outputs.avepool_feat.view([2, 4, -1]);
        let expected = features
            .amax([1i64].as_slice(), false)
            .linear(&tensors["fc.weight"], Some(&tensors["fc.bias"]));
        let error = relative(&score(&*network, &x), &expected);
        assert!(error <= 1e-5, "{} is off by {error:e}", trunk.kind());
    }
}

#[test]
fn the_order_of_slices_changes_nothing() {
    for text in ["", "trunk = { kind = 'bigbigan-revnet-tiny', input_size = 32 }"] {
        let config = match text {
            "" => with_trunk(tiny_resnet()),
            text => parse(text),
        };
        let tensors = start(&config, 3, None).unwrap();
        let network = network(&config, [5, 64, 64], &tensors);
        let x = input("scans", &[2, 1, 5, 64, 64], 1.0);
        let turned = x.index_select(2, &Tensor::from_slice(&[3_i64, 0, 4, 2, 1]));
        let moved = difference(&score(&*network, &x), &score(&*network, &turned));
        assert!(moved <= 1e-6, "moved by {moved:e}");
        let both = (
            network.forward(&x, TRAIN, &Tape::keeping()),
            network.forward(&turned, TRAIN, &Tape::keeping()),
        );
        let moved = relative(&both.0.unwrap().detach(), &both.1.unwrap().detach());
        assert!(moved <= 1e-4, "moved by {moved:e} in training");
    }
}

/// Each slice stands in the scan twice: of two that are alike the first is the largest, and nothing depends on the second.
#[test]
fn slices_below_the_largest_have_no_gradient() {
    let config = with_trunk(tiny_resnet());
    let network = network(&config, [6, 64, 64], &start(&config, 3, None).unwrap());
    let half = input("scans", &[1, 1, 3, 64, 64], 1.0);
    let x = Tensor::cat(&[&half, &half], 2).set_requires_grad(true);
    let logits = network.forward(&x, Mode::Score, &Tape::keeping()).unwrap();
    logits.select(1, 1).sum(Kind::Float).backward();
    let of_slices = x.grad().abs().amax([0i64, 1, 3, 4].as_slice(), false);
    let of_slices = Vec::<f32>::try_from(of_slices).unwrap();
    assert!(of_slices[..3].iter().all(|g| *g > 0.0), "{of_slices:?}");
    assert_eq!(of_slices[3..], [0.0; 3]);
}

#[test]
fn every_second_slice_is_taken_from_the_middle_out() {
    let mut config = with_trunk(tiny_resnet());
    let tensors = start(&config, 3, None).unwrap();
    let x = input("scans", &[1, 1, 7, 64, 64], 1.0);
    // Seven slices, one left over: the middles of 0..3 and 3..6, as far from both ends as whole slices allow.
    let expected = x.index_select(2, &Tensor::from_slice(&[1_i64, 4]));
    let expected = score(&*network(&config, [2, 64, 64], &tensors), &expected);
    config.every = 3;
    let found = score(&*network(&config, [7, 64, 64], &tensors), &x);
    assert_eq!(difference(&found, &expected), 0.0);
}

#[test]
fn maps_and_head_together_are_the_network() {
    for trunk in [tiny_resnet(), tiny_revnet()] {
        let config = with_trunk(trunk);
        // More slices than pass together.
        let depth = CovNet::TOGETHER + 3;
        let network = network(&config, [depth, 64, 64], &start(&config, 3, None).unwrap());
        let x = input("scans", &[2, 1, depth, 64, 64], 1.0);
        let maps = tch::no_grad(|| network.maps(&x)).unwrap();
        assert_eq!(maps.size(), [2, 128, depth as i64, 2, 2]);
        let maps = maps.detach().set_requires_grad(true);
        let logits = network.head(&maps);
        assert!(difference(&logits.detach(), &score(&*network, &x)) <= 1e-6);
        logits.select(1, 1).sum(Kind::Float).backward();
        assert!(maps.grad().abs().max().double_value(&[]) > 0.0);
    }
}

/// Two steps: positions are part of the graph each time. What scores is the encoder's class token.
#[test]
fn a_transformer_is_trained_as_a_trunk_and_has_no_maps() {
    let config = parse("trunk = { kind = 'dinov2-vits14', input_size = 28 }");
    let tensors = start(&config, 3, None).unwrap();
    let parameters = Parameters::new(&tensors, Device::Cpu, Memory::ChannelsLast).unwrap();
    let net = network(&config, [2, 32, 32], parameters.views());
    let x = input("scans", &[1, 1, 2, 32, 32], 1.0);
    let mut gradients = Vec::new();
    for recompute in [false, true] {
        let tape = match recompute {
            true => Tape::recomputing(Precision::Float32, Device::Cpu),
            false => Tape::keeping(),
        };
        let logits = net.forward(&x, TRAIN, &tape).unwrap();
        tape.backward(&logits.select(1, 0).sum(Kind::Float)).unwrap();
        gradients.push(parameters.grad_norms().unwrap());
    }
    for (name, once) in &gradients[0] {
        assert!(*once > 0.0, "no gradient of {name}");
        let twice = gradients[1][name];
        assert!((twice / once - 2.0).abs() < 1e-3, "{name}: {once} and {twice}");
    }
    let error = net.maps(&x).unwrap_err();
    assert!(matches!(error, TorchError::NoMaps { .. }), "{error}");

    let plain = network(&config, [1, 28, 28], &tensors);
    let x = input("scans", &[1, 1, 1, 28, 28], 1.0);
    let EncoderConfig::DinoV2(settings) = &config.trunk else {
        panic!()
    };
    let column = |values: [f64; 3]| Tensor::from_slice(&values).to_kind(Kind::Float).reshape([1, 3, 1, 1]);
    let seen = ((x.squeeze_dim(1) + 1.0) / 2.0 - column(settings.mean)) / column(settings.std);
    let trunk = tensors
        .iter()
        .filter_map(|(name, t)| Some((name.strip_prefix(TRUNK)?.to_owned(), t.shallow_clone())));
    let (class, _) = DinoV2::new(&trunk.collect(), 28).unwrap().forward(&seen).unwrap();
    let expected = class.linear(&tensors["fc.weight"], Some(&tensors["fc.bias"]));
    let error = relative(&score(&*plain, &x), &expected);
    assert!(error <= 1e-5, "off by {error:e}");
}

#[test]
fn a_start_takes_the_encoders_tensors_or_names_every_one_that_is_wrong() {
    let config = with_trunk(tiny_resnet());
    let whole = BaselineConfig::CovNet(config.clone());
    let mut encoder = weights::random(&config.trunk, 9).unwrap();
    let tensors = start(&config, 1, Some(&encoder)).unwrap();
    weights::check_against("covnet", &whole.expected_tensors([2, 64, 64]).unwrap(), &tensors).unwrap();
    assert!(tensors["trunk.encoder.stem.conv.weight"].equal(&encoder["encoder.stem.conv.weight"]));
    let drawn = random(&whole, [2, 64, 64], 1).unwrap();
    assert!(drawn["fc.weight"].equal(&tensors["fc.weight"]));
    assert!(!drawn["trunk.encoder.stem.conv.weight"].equal(&tensors["trunk.encoder.stem.conv.weight"]));
    let bound = 1.0 / 128_f64.sqrt();
    for name in ["fc.weight", "fc.bias"] {
        let largest = drawn[name].abs().max().double_value(&[]);
        assert!(largest > 0.0 && largest <= bound, "{name} up to {largest}");
    }
    encoder.remove("encoder.final_bn.bias");
    let said = start(&config, 1, Some(&encoder)).unwrap_err().to_string();
    assert!(said.contains("missing (1): encoder.final_bn.bias"), "{said}");
}

#[test]
fn scans_of_another_size_are_refused() {
    let config = with_trunk(tiny_resnet());
    let network = network(&config, [3, 64, 64], &start(&config, 3, None).unwrap());
    for shape in [[1, 1, 4, 64, 64], [1, 2, 3, 64, 64], [0, 1, 3, 64, 64]] {
        let x = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let error = network.forward(&x, Mode::Score, &Tape::keeping()).unwrap_err();
        assert!(matches!(error, TorchError::ScanShape { .. }), "{error}");
    }
}
