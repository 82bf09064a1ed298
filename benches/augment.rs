//! How fast scans are changed at random: `cargo bench --bench augment`.
//!
//! With `--serve` it is the other half of `compare_augment.py` and answers lines on stdin: `threads` with their number, `values WHAT
//! SIDE` with the changed scan in native `f32`, `time WHAT SIDE` with the seconds that it took.

use std::{
    collections::BTreeMap,
    hint::black_box,
    io::{self, BufRead as _, Write as _},
    time::Instant,
};

use criterion::{BenchmarkId, Criterion};
use hounsfield::transforms::{ScanChange, ScanInput};
use ndarray::Array3;

/// What is measured, from nothing but the window to all at once.
const WHAT: [&str; 6] = ["window", "flip", "move", "smooth", "noise", "all"];

/// A change by its name; `compare_augment.py` has the same numbers.
fn change(what: &str) -> ScanChange {
    let none = ScanChange::default();
    match what {
        "window" => none,
        "flip" => ScanChange {
            flip: [false, true, true],
            ..none
        },
        "move" => ScanChange {
            rotate: [10.0, -7.0, 5.0],
            translate: [3.0, 4.0, -8.0],
            ..none
        },
        "smooth" => ScanChange {
            blur: Some(1.0),
            ..none
        },
        "noise" => ScanChange {
            noise: Some((20.0, 0)),
            ..none
        },
        "all" => ScanChange {
            hu_shift: 12.0,
            blur: Some(1.0),
            noise: Some((20.0, 0)),
            ..change("move")
        },
        other => panic!("{other} is not measured"),
    }
}

/// Waves of several lengths, -1024 to 1000 HU.
fn scan(side: usize) -> Array3<i16> {
    Array3::from_shape_fn([side; 3], |(d, h, w)| {
        ((d * 131 + h * 37 + w * 71) % 2025) as i16 - 1024
    })
}

fn input(side: usize) -> ScanInput {
    ScanInput {
        size: [side; 3],
        ..ScanInput::default()
    }
}

fn serve() {
    let mut out = io::stdout().lock();
    // Made once: the other programs have theirs in memory, too.
    let mut scans = BTreeMap::<usize, Array3<i16>>::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("text on stdin");
        let words: Vec<&str> = line.split(' ').collect();
        let mut run = |what: &str, side: &str| {
            let side = side.parse().expect("a number of voxels");
            let (input, change) = (input(side), change(what));
            let scan = scans.entry(side).or_insert_with(|| scan(side));
            let start = Instant::now();
            let changed = change.apply(scan.view(), &input).expect("the size is the scan's");
            (changed, start.elapsed().as_secs_f64())
        };
        match words.as_slice() {
            ["threads"] => writeln!(out, "{}", rayon::current_num_threads()),
            ["time", what, side] => writeln!(out, "{}", run(what, side).1),
            ["values", what, side] => {
                let bytes: Vec<u8> = run(what, side).0.iter().flat_map(|value| value.to_ne_bytes()).collect();
                out.write_all(&bytes)
            }
            _ => panic!("{line:?} is no request"),
        }
        .and_then(|()| out.flush())
        .expect("stdout is read");
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "--serve") {
        return serve();
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("augment-scan");
    for side in [64, 128] {
        let (scan, input) = (scan(side), input(side));
        for what in WHAT {
            let change = change(what);
            group.bench_function(BenchmarkId::new(what, format!("{side}-voxels-a-side")), |bencher| {
                bencher.iter(|| black_box(change.apply(scan.view(), &input)));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
