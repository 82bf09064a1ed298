//! How fast encoders run: both paths, and extraction with decoding beside it. How fast methods train.
//!
//! With `--serve FOLDER` it is the other half of `compare_pytorch.py`: writes weights and slices to the folder, then runs
//! one batch for every line on stdin and prints its seconds, so that both programs can take turns. With `--serve-training
//! FOLDER RECIPE DEVICE THREADS [KEY=VALUE]...` it is that of `compare_pytorch_train.py`, and runs training steps; with
//! `--serve-volume THREADS FOLDER NETWORK SIDE BATCH PRECISION RECOMPUTE DEVICE` that of `compare_pytorch_volume.py`.

#[path = "torch/volume.rs"]
mod volume;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, Write as _},
    path::Path,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use criterion::Criterion;
use hounsfield::{
    encoder::{EncoderConfig, Layer, ResNet50},
    method::{Appetite, MethodConfig},
    progress::Progress,
    recipe::Pretrain,
    torch::{
        device::DeviceChoice,
        encoders::{Encoder, InferenceEncoder, Origin},
        extract::{ExtractOptions, extract},
        layers::Statistics,
        methods::{self, Setting},
        sigreg,
        weights::{self, WeightMap},
    },
};
use ndarray::Array3;
use rand_distr::{Distribution as _, StandardNormal};
use tch::{Device, Tensor};

const BATCH: i64 = 16;
const LAYERS: [Layer; 2] = [Layer::ZMean, Layer::BnCreluFeat];

fn config() -> EncoderConfig {
    EncoderConfig::ResNet50(ResNet50::default())
}

/// Grey slices in three channels, `[16, 3, 256, 256]`.
fn slices() -> Tensor {
    let grey: Vec<f32> = (0..BATCH * 256 * 256)
        .map(|i| ((i % 65_521) as f32 * 0.37).sin())
        .collect();
    Tensor::from_slice(&grey)
        .reshape([BATCH, 1, 256, 256])
        .repeat([1, 3, 1, 1])
}

fn serve(folder: &Path) {
    let tensors = weights::random(&config(), 0).expect("a valid configuration");
    weights::save(&tensors, &folder.join("weights.safetensors")).expect("a folder that can be written");
    let x = slices();
    let save = |name: &str, tensors: WeightMap| weights::save(&tensors, &folder.join(name)).map(drop);
    save(
        "slices.safetensors",
        WeightMap::from([("x".to_owned(), x.shallow_clone())]),
    )
    .expect("as above");
    let encoder = InferenceEncoder::new(&config(), &tensors, Origin::Random { seed: 0 }, Device::Cpu).expect("fits");
    drop(tensors);
    let features = encoder.encode(&x, &LAYERS, None).expect("shapes fit");
    let named = LAYERS
        .iter()
        .zip(features)
        .map(|(layer, f)| (layer.name().to_owned(), f))
        .collect();
    save("features.safetensors", named).expect("as above");
    take_turns(|| {
        std::hint::black_box(encoder.encode(&x, &LAYERS, None).expect("shapes fit"));
    });
}

/// Runs `turn` for every line on stdin and prints its seconds.
fn take_turns(mut turn: impl FnMut()) {
    println!("ready {}", tch::get_num_threads());
    for line in std::io::stdin().lock().lines() {
        line.expect("text on stdin");
        let start = Instant::now();
        turn();
        println!("{}", start.elapsed().as_secs_f64());
        std::io::stdout().flush().expect("a reader");
    }
}

/// Waves that differ from image to image, `[N, 1, S, S]` in `[-1, 1]`.
fn waves(number: usize, images: usize, side: usize) -> Tensor {
    let value = |i: usize| {
        let (image, y, x) = (number * images + i / (side * side), i / side % side, i % side);
        let (a, b) = ((image % 13 + 1) as f32, (image % 7 + 1) as f32);
        (a * x as f32 / side as f32 + b * y as f32 / side as f32 + image as f32).sin()
    };
    let values: Vec<f32> = (0..images * side * side).map(value).collect();
    Tensor::from_slice(&values).reshape([images as i64, 1, side as i64, side as i64])
}

/// The numbers of a stream of the training, `[rows, width]`, as its methods draw them.
fn drawn(seed: u64, purpose: &str, rows: usize, width: usize) -> Tensor {
    let stream = hounsfield::seed::stream(seed, purpose);
    let values: Vec<f32> = StandardNormal.sample_iter(stream).take(rows * width).collect();
    Tensor::from_slice(&values).reshape([rows as i64, width as i64])
}

/// Writes the settings, the first tensors, a step's batches and what the first step draws and gives; then makes a step for
/// every line on stdin.
fn serve_training(folder: &Path, recipe: &Path, device: &str, overrides: &[String]) {
    let recipe = Pretrain::load(recipe, overrides).expect("a recipe");
    let device: DeviceChoice = device.parse().expect("cpu or cuda");
    let architecture = recipe.encoder.architecture().expect("a valid configuration");
    let setting = Setting {
        encoder: recipe.encoder.clone(),
        seed: recipe.seed,
        steps: recipe.train.steps,
        device: device.resolve().expect("a device that is there"),
        precision: recipe.train.precision,
        recompute: recipe.train.recompute,
    };
    let mut method = methods::build(&recipe.method, setting, None).expect("a valid configuration");
    let save = |name: &str, tensors: WeightMap| {
        weights::save(&tensors, &folder.join(name)).expect("a folder that can be written");
    };
    let state = method.state().expect("memory").into_iter();
    let weights = state.filter(|(name, _)| !name.starts_with("adam.") && !name.starts_with("ema."));
    save(
        "weights.safetensors",
        weights.map(|(name, t)| (name, t.contiguous())).collect(),
    );

    let Appetite { batches, views } = recipe.method.appetite();
    let images = views * recipe.train.batch;
    let x: Vec<Tensor> = (0..batches)
        .map(|i| waves(i, images, architecture.input_size))
        .collect();
    let mut inputs = WeightMap::new();
    for (i, batch) in x.iter().enumerate() {
        inputs.insert(format!("batch.{i}"), batch.shallow_clone());
        for purpose in ["latent", "posterior"] {
            let noise = drawn(recipe.seed, &format!("{purpose}/{i}"), images, architecture.z_dim);
            inputs.insert(format!("{purpose}.{i}"), noise);
        }
    }
    if let MethodConfig::LeJepa(config) = &recipe.method {
        let mut rng = hounsfield::seed::stream(recipe.seed, "directions/0");
        let directions = sigreg::directions(&mut rng, architecture.z_dim, config.directions, Device::Cpu);
        inputs.insert("directions".to_owned(), directions.expect("memory"));
    }
    save("inputs.safetensors", inputs);

    let mut steps = 0;
    let mut step = || {
        let numbers = method.step(steps, &x).expect("memory");
        steps += 1;
        numbers
    };
    let first: BTreeMap<&str, f64> = step().into_iter().collect();
    let setup = serde_json::json!({
        "architecture": architecture, "method": recipe.method, "train": recipe.train, "first": first,
    });
    std::fs::write(folder.join("setup.json"), setup.to_string()).expect("as above");
    take_turns(|| {
        std::hint::black_box(step());
    });
}

fn benchmark(c: &mut Criterion) {
    let x = slices();
    let tensors = weights::random(&config(), 0).expect("a valid configuration");
    let mut group = c.benchmark_group("resnet50");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    let fast = InferenceEncoder::new(&config(), &tensors, Origin::Random { seed: 0 }, Device::Cpu).expect("fits");
    group.bench_function("fast/16-slices", |b| b.iter(|| fast.encode(&x, &LAYERS, None)));
    let plain = Encoder::new(&config(), &tensors).expect("fits");
    group.bench_function("plain/16-slices", |b| {
        let _no_gradients = tch::no_grad_guard();
        b.iter(|| plain.forward(&x, Statistics::Stored));
    });
    let rows: Vec<usize> = (0..32).collect();
    let load = |row: usize| Ok::<_, String>(Array3::from_elem((1, 256, 256), (row as f32).sin()));
    let stop = AtomicBool::new(false);
    group.bench_function("extract/32-slices", |b| {
        b.iter(|| {
            let mut sink = |batch| {
                std::hint::black_box(batch);
                Ok::<_, String>(())
            };
            let options = ExtractOptions::default();
            extract(
                &fast,
                &rows,
                &load,
                &LAYERS,
                &options,
                &stop,
                &Progress::hidden(),
                &mut sink,
            )
        });
    });
    group.finish();
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--serve-training") {
        let [folder, recipe, device, threads, overrides @ ..] = &arguments[at + 1..] else {
            panic!("--serve-training FOLDER RECIPE DEVICE THREADS [KEY=VALUE]...");
        };
        hounsfield::torch::init(Some(threads.parse().expect("a number of threads")));
        serve_training(Path::new(folder), Path::new(recipe), device, overrides);
        return;
    }
    if let Some(at) = arguments.iter().position(|a| a == "--serve-volume") {
        let threads = arguments.get(at + 1).expect("--serve-volume THREADS ...");
        hounsfield::torch::init(Some(threads.parse().expect("a number of threads")));
        volume::serve(&volume::Request::parse(&arguments[at + 2..]));
        return;
    }
    hounsfield::torch::init(None);
    if let Some(at) = arguments.iter().position(|a| a == "--serve") {
        serve(Path::new(arguments.get(at + 1).expect("--serve FOLDER")));
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    benchmark(&mut criterion);
    criterion.final_summary();
}
