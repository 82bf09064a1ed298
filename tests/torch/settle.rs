//! The switches of made modules, whose true ones are known: all of them are found, and none where there is nothing to find.

use std::path::{Path, PathBuf};

use hounsfield::{
    encoder::{
        EncoderConfig, HEAD_BLOCKS, HalfOrder, Padding, PoolPad, ShortcutFrom, Switches, TinyResNet, TinyRevNet,
        Weights,
    },
    method,
    progress::Progress,
    seed,
    torch::{
        TorchError,
        device::DeviceChoice,
        encoders::Encoder,
        layers::{Mlp, Scope, Statistics},
        methods::bigbigan::{Discriminator, Generator},
        settle::{Decision, Inputs, Options, Settled, Sign, settle},
        train::Tape,
        weights::{self, WeightMap},
    },
};
use image::RgbImage;
use rand_distr::{Distribution as _, StandardNormal};
use tch::{Device, Kind, Tensor};

const Z: usize = 12;

/// Latent vectors that statistics are taken of and outputs fitted on, in batches of a quarter.
const KNOWN: i64 = 2048;

fn options() -> Options {
    Options {
        latents: 512,
        batch: 256,
        seed: 5,
        device: DeviceChoice::Cpu,
    }
}

fn normal(name: &str, shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let values: Vec<f32> = StandardNormal.sample_iter(seed::stream(1, name)).take(count).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// A generator of 16 x 16 pixels with its file, and images of latent vectors that are known.
struct World {
    folder: tempfile::TempDir,
    generator: method::Generator,
    z: Tensor,
    images: Tensor,
}

impl World {
    fn new() -> Self {
        // Many small operations: threads only wait for each other.
        tch::set_num_threads(1);
        let _no_gradients = tch::no_grad_guard();
        let generator = method::Generator {
            width: 4,
            multipliers: vec![8, 8, 4],
            attention_after: 1,
            shared_dim: 8,
            planes: 3,
        };
        let mut tensors = weights::orthogonal(&generator.tensors(Z), 2).unwrap();
        for (name, t) in &mut tensors {
            if name.contains(".gain.weight") || name.contains(".bias.weight") {
                *t = &*t * 2.0;
            }
        }
        // Images with a colour of their own, so that it matters what lies outside of them.
        tensors.insert(
            "generator.out_conv.bias".to_owned(),
            Tensor::from_slice(&[0.8f32, -0.1, 0.5]),
        );
        let z = normal("known", &[KNOWN, Z as i64]);
        let network = Generator::new(&generator, Z, &tensors).unwrap();
        for seen in 0..4 {
            let z = z.narrow(0, seen * KNOWN / 4, KNOWN / 4);
            let _ = network
                .forward(&z, Statistics::Standing { seen: seen as usize })
                .unwrap();
        }
        let images = network.forward(&z, Statistics::Stored).unwrap();
        let folder = tempfile::tempdir().unwrap();
        weights::save(&tensors, &folder.path().join("generator.safetensors")).unwrap();
        Self {
            folder,
            generator,
            z,
            images: images.upsample_nearest2d([32, 32], None, None),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An encoder's weights as a training under its switches leaves them: statistics of `images` and an output that finds `z`.
    fn trained(&self, config: &EncoderConfig, shrink: f64, images: &Tensor) -> WeightMap {
        let _no_gradients = tch::no_grad_guard();
        let mut tensors = weights::random(config, 3).unwrap();
        for (name, t) in &mut tensors {
            let size = t.size();
            if name.ends_with("bn1.weight")
                || name.ends_with("bn2.weight")
                || name.ends_with("bn3.weight")
                || name.ends_with("final_bn.weight")
            {
                *t = normal(name, &size) * 0.3 + 1.0;
            } else if name.contains("bn") && name.ends_with(".bias") {
                *t = normal(name, &size) * 0.4;
            } else if size.len() == 4 {
                *t = &*t * shrink;
            }
            if name.ends_with("stem.conv.weight") {
                // Kernels that see brightness, as those of real networks do.
                // Every other one is low on what is bright, so that a zero around its map can win.
                let sign = Tensor::arange(size[0], (Kind::Float, Device::Cpu)).remainder(2.0) * 2.0 - 1.0;
                *t = &*t + sign.reshape([-1, 1, 1, 1]) * 0.1 * shrink;
            }
        }
        let encoder = Encoder::new(config, &tensors).unwrap();
        let batch = images.size()[0] / 4;
        for seen in 0..4 {
            let x = images.narrow(0, seen * batch, batch);
            encoder
                .forward(&x, Statistics::Standing { seen: seen as usize })
                .unwrap();
        }
        let pooled = encoder.forward(&self.images, Statistics::Stored).unwrap().avepool_feat;
        let hidden = Mlp::new(&Scope::new(&tensors, "encoder.head"), HEAD_BLOCKS).forward(&pooled);
        let (weight, bias) = ridge(&hidden, &self.z);
        let other = normal("stdev", &weight.size()) * 0.01;
        let zeros = bias.zeros_like();
        let (weights, biases) = match config.architecture().unwrap().halves {
            HalfOrder::MeanFirst => ([&weight, &other], [&bias, &zeros]),
            HalfOrder::StdevFirst => ([&other, &weight], [&zeros, &bias]),
        };
        tensors.insert("encoder.head.out.weight".to_owned(), Tensor::cat(&weights, 0));
        tensors.insert("encoder.head.out.bias".to_owned(), Tensor::cat(&biases, 0));
        tensors
    }

    /// Forgets the switches of a configuration, and settles weights.
    fn settle(&self, mut config: EncoderConfig, tensors: &WeightMap, photographs: Option<&Path>) -> Settled {
        let file = self.path("weights.safetensors");
        weights::save(tensors, &file).unwrap();
        *config.weights_mut() = Weights::File(file);
        let (switches, shortcut_from) = config.switches_mut().unwrap();
        *switches = Switches::default();
        if let Some(shortcut_from) = shortcut_from {
            *shortcut_from = ShortcutFrom::Preact;
        }
        let generator = self.path("generator.safetensors");
        let inputs = Inputs {
            encoder: &config,
            generator: (&self.generator, &generator),
            discriminator: None,
            photographs,
        };
        settle(&inputs, &options(), &Progress::hidden()).unwrap()
    }
}

/// The linear map with an offset, `[Z, F]` and `[Z]`, that best finds `z` `[N, Z]` in `x` `[N, F]`.
fn ridge(x: &Tensor, z: &Tensor) -> (Tensor, Tensor) {
    let double = |t: &Tensor| t.to_kind(Kind::Double);
    let (mean, x) = (x.mean_dim([0i64].as_slice(), false, None), double(x));
    let x = &x - x.mean_dim([0i64].as_slice(), true, None);
    let gram = x.tr().matmul(&x);
    let ridge = gram.trace() / gram.size()[0] as f64 * 1e-3;
    let gram = &gram + Tensor::eye(gram.size()[0], (Kind::Double, Device::Cpu)) * ridge;
    let weight = Tensor::linalg_solve(&gram, &x.tr().matmul(&double(z)), true);
    let weight = weight.tr().to_kind(Kind::Float);
    let bias = -weight.matmul(&mean);
    (weight, bias)
}

/// Every combination of switches, the shortcut's for a ResNet only.
fn combinations(config: &EncoderConfig) -> Vec<EncoderConfig> {
    let mut all = Vec::new();
    let pads = [
        (Padding::Fixed, Some(PoolPad::Zero)),
        (Padding::Fixed, Some(PoolPad::NegInf)),
        (Padding::Same, None),
    ];
    for (padding, pool_pad) in pads {
        for source in [ShortcutFrom::Preact, ShortcutFrom::Raw] {
            for last_relu in [false, true] {
                for halves in [HalfOrder::MeanFirst, HalfOrder::StdevFirst] {
                    let mut config = config.clone();
                    let (switches, shortcut_from) = config.switches_mut().unwrap();
                    *switches = Switches {
                        padding,
                        pool_pad,
                        last_relu: Some(last_relu),
                        halves,
                        ..Switches::default()
                    };
                    match shortcut_from {
                        Some(shortcut_from) => *shortcut_from = source,
                        None if source == ShortcutFrom::Raw => continue,
                        None => {}
                    }
                    all.push(config);
                }
            }
        }
    }
    all
}

fn assert_found(settled: &Settled, truth: &EncoderConfig) {
    let evidence = &settled.evidence;
    assert_eq!(
        settled.encoder.architecture().unwrap(),
        truth.architecture().unwrap(),
        "{evidence}"
    );
    let undecided = evidence.undecided();
    assert!(
        undecided.iter().all(|switch| *switch == "bn_eps"),
        "{undecided:?}\n{evidence}"
    );
    // Written out, so that a change of a default changes no card.
    assert_eq!(settled.encoder, settled.encoder.clone().spelled_out());
}

fn resnet() -> EncoderConfig {
    EncoderConfig::TinyResNet(TinyResNet {
        head_dim: 64,
        input_size: 32,
        ..TinyResNet::default()
    })
}

fn revnet() -> EncoderConfig {
    EncoderConfig::TinyRevNet(TinyRevNet {
        head_dim: 64,
        input_size: 32,
        ..TinyRevNet::default()
    })
}

#[test]
fn all_switches_of_a_resnet_are_found() {
    let world = World::new();
    let all = combinations(&resnet());
    assert_eq!(all.len(), 24);
    for truth in all {
        let settled = world.settle(resnet(), &world.trained(&truth, 1.0, &world.images), None);
        assert_found(&settled, &truth);
    }
}

#[test]
fn all_switches_of_a_revnet_are_found() {
    let world = World::new();
    let all = combinations(&revnet());
    assert_eq!(all.len(), 12);
    for truth in all {
        let settled = world.settle(revnet(), &world.trained(&truth, 1.0, &world.images), None);
        assert_found(&settled, &truth);
    }
}

#[test]
fn small_variances_tell_what_was_added_to_them() {
    let world = World::new();
    for bn_eps in [1e-5, 1e-3] {
        let mut truth = resnet();
        truth.switches_mut().unwrap().0.bn_eps = bn_eps;
        let settled = world.settle(resnet(), &world.trained(&truth, 0.05, &world.images), None);
        let evidence = &settled.evidence;
        assert_eq!(
            settled.encoder.architecture().unwrap(),
            truth.architecture().unwrap(),
            "{evidence}"
        );
        assert!(!evidence.undecided().contains(&"bn_eps"), "{evidence}");
    }
}

#[test]
fn weights_without_a_signal_settle_nothing() {
    let world = World::new();
    for config in [resnet(), revnet()] {
        let settled = world.settle(config.clone(), &weights::random(&config, 4).unwrap(), None);
        let evidence = &settled.evidence;
        for verdict in &evidence.verdicts {
            assert!(
                matches!(verdict.decision, Decision::Undecided(_)),
                "{verdict}\n{evidence}"
            );
        }
        assert_eq!(settled.encoder.architecture().unwrap(), config.architecture().unwrap());
        assert!(
            evidence
                .to_string()
                .contains("padding is not decided by evidence, kept at fixed")
        );
    }
}

/// Stripes of a random width, direction and colour, 80 x 72.
fn photograph(number: usize) -> RgbImage {
    let rng = seed::stream(9, &format!("photograph {number}"));
    let t: Vec<f32> = StandardNormal.sample_iter(rng).take(5).collect();
    RgbImage::from_fn(80, 72, |x, y| {
        let wave = (x as f32 * (0.3 + 0.1 * t[0]) + y as f32 * 0.3 * t[1]).sin();
        let level = |shift: f32| (128.0 + 60.0 * wave + 30.0 * shift) as u8;
        image::Rgb([level(t[2]), level(t[3]), level(t[4])])
    })
}

/// `[N, 3, 32, 32]`, as the encoder is trained on them.
fn prepared(numbers: std::ops::Range<usize>) -> Tensor {
    let rows = numbers.map(|number| {
        let square = image::DynamicImage::from(photograph(number)).crop_imm(4, 0, 72, 72);
        let scaled = square
            .resize_exact(32, 32, image::imageops::FilterType::CatmullRom)
            .to_rgb8();
        let rows = Tensor::from_data_size(scaled.as_raw(), &[32, 32, 3], Kind::Uint8);
        rows.permute([2, 0, 1]).to_kind(Kind::Float) / 127.5 - 1.0
    });
    Tensor::stack(&rows.collect::<Vec<_>>(), 0)
}

#[test]
fn photographs_give_the_statistics_and_the_discriminators_sign() {
    let world = World::new();
    let photographs = world.path("photographs");
    std::fs::create_dir(&photographs).unwrap();
    for number in 0..200 {
        photograph(number)
            .save(photographs.join(format!("{number:03}.png")))
            .unwrap();
    }
    let pixels = prepared(200..1000);
    let mut truth = resnet();
    let (switches, shortcut_from) = truth.switches_mut().unwrap();
    (switches.padding, *shortcut_from.unwrap()) = (Padding::Same, ShortcutFrom::Raw);
    let tensors = world.trained(&truth, 1.0, &pixels);
    let settled = world.settle(resnet(), &tensors, Some(&photographs));
    assert_found(&settled, &truth);
    assert!(settled.evidence.statistics_of_photographs);
    assert_eq!(
        settled.evidence.discriminator,
        Sign::NotTested {
            why: "there is no discriminator"
        }
    );

    let disc = method::Discriminator {
        width: 8,
        multipliers: vec![1, 2, 4],
        attention_after: 0,
        mlp_dim: 16,
        mlp_blocks: 2,
    };
    let mut weights = weights::orthogonal(&disc.tensors(Z), 6).unwrap();
    let tower = Discriminator::new(&disc, Z, &weights).unwrap();
    let half = |t: &Tensor| t.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
    let mean = |t: &Tensor| {
        tower
            .image(&half(t), &Tape::keeping())
            .unwrap()
            .mean_dim([0i64].as_slice(), true, None)
    };
    let towards = mean(&pixels) - mean(&world.images);
    for (sign, right) in [(1.0, true), (-1.0, false)] {
        weights.insert("disc.score_x.weight".to_owned(), &towards * sign);
        weights.insert(
            "encoder.other".to_owned(),
            Tensor::zeros([1], (Kind::Float, Device::Cpu)),
        );
        let file = world.path("training.safetensors");
        weights::save(&weights, &file).unwrap();
        weights.remove("encoder.other");
        let generator = world.path("generator.safetensors");
        let inputs = Inputs {
            encoder: &settled.encoder,
            generator: (&world.generator, &generator),
            discriminator: Some((&disc, &file)),
            photographs: Some(&photographs),
        };
        let evidence = settle(&inputs, &options(), &Progress::hidden()).unwrap().evidence;
        match evidence.discriminator {
            Sign::Tested { right: found, .. } => assert_eq!(found, Some(right), "{evidence}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_cannot_be_settled_is_an_error() {
    let world = World::new();
    let (config, generator) = (resnet(), world.path("generator.safetensors"));
    let try_with = |config: &EncoderConfig, options: &Options, photographs: Option<&Path>| {
        let inputs = Inputs {
            encoder: config,
            generator: (&world.generator, &generator),
            discriminator: None,
            photographs,
        };
        settle(&inputs, options, &Progress::hidden()).unwrap_err()
    };
    let error = try_with(&config, &options(), None);
    assert!(matches!(error, TorchError::NothingToSettle), "{error}");
    let mut filed = config.clone();
    let file = world.path("weights.safetensors");
    weights::save(&weights::random(&config, 0).unwrap(), &file).unwrap();
    *filed.weights_mut() = Weights::File(file);
    let few = Options {
        latents: 3,
        ..options()
    };
    let error = try_with(&filed, &few, None);
    assert!(matches!(error, TorchError::FewLatents { latents: 3, .. }), "{error}");
    let error = try_with(&filed, &options(), Some(&world.path("nowhere")));
    assert!(matches!(error, TorchError::Folder { .. }), "{error}");
    let mut wide = resnet();
    if let EncoderConfig::TinyResNet(c) = &mut wide {
        c.input_size = 128;
    }
    *wide.weights_mut() = filed.weights().clone();
    let error = try_with(&wide, &options(), None);
    assert!(error.to_string().contains("128"), "{error}");
}
