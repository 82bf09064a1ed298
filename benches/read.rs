//! How fast slices are read: from a path to Hounsfield units, for every transfer syntax of the sample files.
//!
//! `HOUNSFIELD_DATA` names the folder that has `dicom-ct/inventory.csv`; without it nothing is measured. With `--serve` it
//! is the other half of `compare_pydicom.py` and answers lines on stdin: `values PATH` with the raw Hounsfield units in
//! native `f32` behind a line that counts them, `time THREADS PATH...` (separated by tabs) with the seconds of reading and those that
//! the first thread was on a processor.

use std::{
    collections::BTreeMap,
    env, fs,
    hint::black_box,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use hounsfield::{ct::Pixels, readers::read_slice};

fn hu(path: &Path) -> Vec<f32> {
    match read_slice(path).expect("a slice that can be read").pixels {
        Pixels::Hu(hu) => hu.into_iter().collect(),
        _ => panic!("{} holds no Hounsfield units", path.display()),
    }
}

/// Reads every file once; threads take the next one as they get free.
fn read_all(paths: &[&str], threads: usize) -> Duration {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            black_box(read_slice(Path::new(path)).expect("a slice that can be read"));
        }
    };
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    start.elapsed()
}

/// How long this thread has been on a processor: what does not depend on who else wants it. Linux only.
fn on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

fn serve() {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line.expect("text on stdin");
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            ["values", path] => {
                let values = hu(Path::new(path));
                writeln!(out, "{}", values.len()).expect("a reader");
                for value in values {
                    out.write_all(&value.to_ne_bytes()).expect("a reader");
                }
            }
            ["time", threads, paths @ ..] => {
                let start = on_processor();
                let took = read_all(paths, threads.parse().expect("a number of threads"));
                let busy = on_processor() - start;
                writeln!(out, "{} {}", took.as_secs_f64(), busy.as_secs_f64()).expect("a reader");
            }
            _ => panic!("values or time expected, not {line}"),
        }
        out.flush().expect("a reader");
    }
}

/// The first file of 512 x 512 of each transfer syntax.
fn samples(data: &Path) -> BTreeMap<String, PathBuf> {
    let folder = data.join("dicom-ct");
    let mut reader = csv::Reader::from_path(folder.join("inventory.csv")).expect("an inventory");
    let mut samples = BTreeMap::new();
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let row = row.expect("a row");
        if row["rows"] == "512" && row["cols"] == "512" && row["decode"] == "ok" {
            let path = folder.join(&row["file"]);
            samples.entry(row["transfer_syntax"].clone()).or_insert(path);
        }
    }
    samples
}

fn main() {
    if env::args().any(|argument| argument == "--serve") {
        return serve();
    }
    let Some(data) = env::var_os("HOUNSFIELD_DATA") else {
        println!("skipped: HOUNSFIELD_DATA is not set");
        return;
    };
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("read-512x512");
    group.throughput(Throughput::Elements(1));
    for (syntax, path) in samples(Path::new(&data)) {
        group.bench_function(BenchmarkId::from_parameter(syntax), |bencher| {
            bencher.iter(|| black_box(read_slice(&path).expect("a slice that can be read")));
        });
    }
    group.finish();
    criterion.final_summary();
}
