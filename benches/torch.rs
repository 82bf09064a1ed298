//! How fast encoders run: both paths, and extraction with decoding beside it.
//!
//! With `--serve FOLDER` it is the other half of `compare_pytorch.py`: writes weights and slices to the folder, then runs
//! one batch for every line on stdin and prints its seconds, so that both programs can take turns.

use std::{
    io::{BufRead as _, Write as _},
    path::Path,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use criterion::Criterion;
use hounsfield::{
    encoder::{EncoderConfig, Layer, ResNet50},
    progress::Progress,
    torch::{
        encoders::{Encoder, InferenceEncoder, Origin},
        extract::{ExtractOptions, extract},
        layers::Statistics,
        weights::{self, WeightMap},
    },
};
use ndarray::Array2;
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
    println!("ready {}", tch::get_num_threads());
    for line in std::io::stdin().lock().lines() {
        line.expect("text on stdin");
        let start = Instant::now();
        std::hint::black_box(encoder.encode(&x, &LAYERS, None).expect("shapes fit"));
        println!("{}", start.elapsed().as_secs_f64());
        std::io::stdout().flush().expect("a reader");
    }
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
    let load = |row: usize| Ok::<_, String>(Array2::from_elem((256, 256), (row as f32).sin()));
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
    hounsfield::torch::init(None);
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--serve") {
        serve(Path::new(arguments.get(at + 1).expect("--serve FOLDER")));
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    benchmark(&mut criterion);
    criterion.final_summary();
}
