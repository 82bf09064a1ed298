//! The other half of `compare_pytorch_volume.py`: training steps of a classifier of whole scans, its numbers and its memory.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, Write as _},
    path::Path,
    time::Instant,
};

use hounsfield::{
    baseline::BaselineConfig,
    method::{Adam, Precision},
    torch::{
        classifier::{Classifier, ClassifierConfig},
        device::DeviceChoice,
        scans,
        weights::{self, WeightMap},
    },
    transforms::{ScanChange, ScanInput},
};
use ndarray::{Array3, ArrayView3};
use tch::Device;

/// What `--serve-volume` is followed by.
pub struct Request<'a> {
    folder: &'a Path,
    network: BaselineConfig,
    side: usize,
    batch: usize,
    precision: Precision,
    recompute: bool,
    device: DeviceChoice,
}

impl<'a> Request<'a> {
    /// From `FOLDER NETWORK SIDE BATCH PRECISION RECOMPUTE DEVICE`; the network is the inside of an inline table of TOML.
    pub fn parse(arguments: &'a [String]) -> Self {
        let [folder, network, side, batch, precision, recompute, device] = arguments else {
            panic!("--serve-volume FOLDER NETWORK SIDE BATCH PRECISION RECOMPUTE DEVICE");
        };
        Self {
            folder: Path::new(folder),
            network: toml::from_str::<BTreeMap<String, BaselineConfig>>(&format!("network = {{ {network} }}"))
                .expect("a table of a network")
                .remove("network")
                .expect("it was just written"),
            side: side.parse().expect("voxels along an axis"),
            batch: batch.parse().expect("a number of scans"),
            precision: match precision.as_str() {
                "bf16" => Precision::BFloat16,
                _ => Precision::Float32,
            },
            recompute: recompute == "true",
            device: device.parse().expect("cpu or cuda"),
        }
    }
}

/// Bytes that the process holds, or held at most since [`reset_peak`].
#[cfg(target_os = "linux")]
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .expect("a field of it");
    let kibibytes: u64 = line
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    kibibytes << 10
}

#[cfg(target_os = "linux")]
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
}

#[cfg(not(target_os = "linux"))]
fn resident(_: &str) -> u64 {
    0
}

#[cfg(not(target_os = "linux"))]
fn reset_peak() {}

/// Scans that differ: shells of tissue in air, `[D, H, W]` HU.
fn shells(number: usize, side: usize) -> Array3<i16> {
    let middle = (side - 1) as f32 / 2.0;
    Array3::from_shape_fn([side; 3], |(z, y, x)| {
        let [z, y, x] = [z, y, x].map(|at| (at as f32 - middle) / middle);
        let radius = (z * z + y * y + x * x).sqrt();
        let wave = (12.0 * radius + 5.0 * x * y + number as f32).sin();
        if radius > 0.95 { -1024 } else { (wave * 900.0) as i16 }
    })
}

/// Writes weights, a batch and what the first step gives. Then for each line on stdin: `go` makes a step and prints its seconds,
/// `peak` prints the bytes at most held beyond those of the program itself.
pub fn serve(request: &Request) {
    let own = resident("VmRSS:");
    let input = ScanInput {
        size: [request.side; 3],
        ..ScanInput::default()
    };
    let config = ClassifierConfig {
        network: request.network.clone(),
        input: input.clone(),
        seed: 0,
        adam: toml::from_str::<Adam>("lr = 0.0").expect("an optimiser"),
        clip: 0.0,
        precision: request.precision,
        recompute: request.recompute,
        device: request.device,
    };
    let mut classifier = Classifier::new(config, None).expect("a network");
    classifier
        .save_weights(&request.folder.join("weights.safetensors"))
        .expect("a folder that can be written");
    let scans: Vec<Array3<i16>> = (0..request.batch).map(|number| shells(number, request.side)).collect();
    let views: Vec<ArrayView3<i16>> = scans.iter().map(Array3::view).collect();
    let positive: Vec<bool> = (0..request.batch).map(|number| number % 2 == 1).collect();
    let weights = vec![1.0 / request.batch as f64; request.batch];
    let changes = vec![ScanChange::default(); request.batch];
    let x = scans::batch(&views, None, &input, Device::Cpu).expect("scans of this size");
    let inputs = WeightMap::from([("x".to_owned(), x)]);
    weights::save(&inputs, &request.folder.join("inputs.safetensors")).expect("as above");
    drop(inputs);
    reset_peak();

    let mut step = || {
        let outputs = classifier
            .part(0, &views, &changes, &positive, &weights)
            .expect("memory");
        // The weights stay what they are: moved ones could not be compared.
        let norm = classifier.step(0.0).expect("memory");
        let losses = outputs.iter().zip(&positive).map(|([negative, other], side)| {
            let margin = if *side { other - negative } else { negative - other };
            (-margin).exp().ln_1p()
        });
        (losses.sum::<f64>() / request.batch as f64, norm)
    };
    let (loss, grad) = step();
    let setup = serde_json::json!({ "network": request.network, "positive": positive, "first": { "loss": loss, "grad": grad } });
    std::fs::write(request.folder.join("setup.json"), setup.to_string()).expect("as above");
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        match line.expect("text on stdin").as_str() {
            "peak" => println!("{}", resident("VmHWM:").saturating_sub(own)),
            _ => {
                let start = Instant::now();
                std::hint::black_box(step());
                println!("{}", start.elapsed().as_secs_f64());
            }
        }
        std::io::stdout().flush().expect("a reader");
    }
}
