//! Extraction: order, failures, stopping, and what must not matter.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use hounsfield::{
    encoder::Layer,
    progress::Progress,
    torch::{
        encoders::InferenceEncoder,
        extract::{ExtractError, ExtractOptions, ExtractedBatch, FailureCause, RowFailure, Summary, extract},
    },
};
use ndarray::{Array2, Array3, ArrayView1, Axis, concatenate, stack};
use tch::{Device, Tensor};

use super::support::{tiny_resnet, tiny_revnet};

const LAYERS: [Layer; 3] = [Layer::ZMean, Layer::ZSample, Layer::BnCreluFeat];

/// A grey slice that belongs to its row.
fn slice(row: usize) -> Array3<f32> {
    Array3::from_shape_fn((1, 64, 64), |(_, i, j)| {
        ((row * 37 + i * (row % 5 + 1) + j * 3) as f32 * 0.1).sin()
    })
}

fn options(batch: usize, threads: usize) -> ExtractOptions {
    let positive = |n| NonZeroUsize::new(n).unwrap();
    ExtractOptions {
        batch_size: positive(batch),
        planes: 1,
        decode_threads: positive(threads),
        seed: 4,
    }
}

#[derive(Debug, Default)]
struct Table {
    rows: Vec<usize>,
    features: Vec<Vec<Array2<f32>>>,
    failures: Vec<RowFailure<String>>,
}

impl Table {
    fn add(&mut self, batch: ExtractedBatch<String>) {
        self.rows.extend(&batch.rows);
        self.features.push(batch.features);
        self.failures.extend(batch.failures);
    }

    fn layer(&self, layer: usize) -> Array2<f32> {
        let parts: Vec<_> = self.features.iter().map(|f| f[layer].view()).collect();
        concatenate(ndarray::Axis(0), &parts).unwrap()
    }
}

fn run(
    encoder: &InferenceEncoder,
    rows: &[usize],
    load: &(dyn Fn(usize) -> Result<Array3<f32>, String> + Sync),
    options: &ExtractOptions,
) -> (Table, Summary) {
    let mut table = Table::default();
    let mut sink = |batch| {
        table.add(batch);
        Ok::<(), String>(())
    };
    let stop = AtomicBool::new(false);
    let summary = extract(
        encoder,
        rows,
        load,
        &LAYERS,
        options,
        &stop,
        &Progress::hidden(),
        &mut sink,
    )
    .unwrap();
    (table, summary)
}

fn close(a: ArrayView1<f32>, b: ArrayView1<f32>) -> bool {
    let scale = b.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * scale)
}

#[test]
fn rows_come_in_order_whatever_the_threads_and_batches() {
    for config in [tiny_resnet(), tiny_revnet()] {
        let encoder = InferenceEncoder::open(&config, 0, Device::Cpu).unwrap();
        let rows: Vec<usize> = (0..43).map(|i| (i * 7) % 43 + 100).collect();
        let load = |row: usize| {
            // The later rows are ready first.
            std::thread::sleep(std::time::Duration::from_micros(((143 - row) * 20) as u64));
            Ok(slice(row))
        };
        let (first, summary) = run(&encoder, &rows, &load, &options(16, 1));
        assert_eq!(
            summary,
            Summary {
                extracted: 43,
                failed: 0,
                left: 0
            }
        );
        assert_eq!(first.rows, rows);
        assert_eq!(first.layer(2).dim(), (43, 256));
        for (batch, threads) in [(16, 5), (16, 64), (5, 3), (1, 2), (64, 2)] {
            let (other, _) = run(&encoder, &rows, &load, &options(batch, threads));
            assert_eq!(other.rows, rows);
            for layer in 0..LAYERS.len() {
                let (a, b) = (other.layer(layer), first.layer(layer));
                if batch == 16 {
                    assert_eq!(a, b, "{threads} threads changed the features");
                }
                for (i, (a, b)) in a.rows().into_iter().zip(b.rows()).enumerate() {
                    assert!(close(a, b), "row {i} of layer {layer} differs in batches of {batch}");
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_features_among_other_rows() {
    let encoder = InferenceEncoder::open(&tiny_resnet(), 0, Device::Cpu).unwrap();
    let rows: Vec<usize> = (0..40).collect();
    let (all, _) = run(&encoder, &rows, &|row| Ok(slice(row)), &options(16, 2));
    // As after an interruption: the rest is extracted later, in other batches.
    let (rest, _) = run(&encoder, &rows[21..], &|row| Ok(slice(row)), &options(16, 2));
    for layer in 0..LAYERS.len() {
        let (all, rest) = (all.layer(layer), rest.layer(layer));
        for (i, row) in rest.rows().into_iter().enumerate() {
            assert!(close(row, all.row(21 + i)), "row {} of layer {layer} differs", 21 + i);
        }
    }
}

#[test]
fn bad_rows_are_reported_and_the_rest_goes_on() {
    let encoder = InferenceEncoder::open(&tiny_resnet(), 0, Device::Cpu).unwrap();
    let rows: Vec<usize> = (0..30).collect();
    let load = |row: usize| match row {
        3 => Err("truncated".to_owned()),
        8 => Ok(Array3::zeros((1, 64, 63))),
        9 => panic!("the decoder broke on purpose"),
        20 => Ok(Array3::from_elem((1, 64, 64), f32::NAN)),
        21 => Ok(Array3::from_elem((1, 64, 64), 255.0)),
        29 => Err("gone".to_owned()),
        _ => Ok(slice(row)),
    };
    let (table, summary) = run(&encoder, &rows, &load, &options(4, 3));
    assert_eq!(
        summary,
        Summary {
            extracted: 24,
            failed: 6,
            left: 0
        }
    );
    let good: Vec<usize> = rows
        .iter()
        .copied()
        .filter(|r| ![3, 8, 9, 20, 21, 29].contains(r))
        .collect();
    assert_eq!(table.rows, good);
    let causes: BTreeMap<usize, String> = table.failures.iter().map(|f| (f.row, f.cause.to_string())).collect();
    assert_eq!(causes.keys().copied().collect::<Vec<_>>(), [3, 8, 9, 20, 21, 29]);
    assert_eq!(causes[&3], "truncated");
    assert_eq!(
        causes[&8],
        "the prepared slice is [1, 64, 63], the encoder takes [1, 64, 64]"
    );
    assert!(causes[&9].contains("broke on purpose"), "{}", causes[&9]);
    assert!(causes[&20].contains("NaN"), "{}", causes[&20]);
    assert!(causes[&21].contains("255"), "{}", causes[&21]);
    // The good rows' features are those that they have without bad ones.
    let (clean, _) = run(&encoder, &good, &|row| Ok(slice(row)), &options(4, 1));
    assert_eq!(table.layer(0), clean.layer(0));
}

#[test]
fn only_bad_rows_and_no_rows_end_well() {
    let encoder = InferenceEncoder::open(&tiny_resnet(), 0, Device::Cpu).unwrap();
    let rows: Vec<usize> = (0..50).collect();
    let (table, summary) = run(&encoder, &rows, &|_| Err("no".to_owned()), &options(4, 2));
    assert_eq!(
        summary,
        Summary {
            extracted: 0,
            failed: 50,
            left: 0
        }
    );
    assert!(
        table
            .failures
            .iter()
            .all(|f| f.cause == FailureCause::Load("no".to_owned()))
    );
    assert_eq!(table.layer(0).dim(), (0, 12));
    let (_, summary) = run(&encoder, &[], &|_| Err("no".to_owned()), &options(4, 2));
    assert_eq!(
        summary,
        Summary {
            extracted: 0,
            failed: 0,
            left: 0
        }
    );
}

#[test]
fn stopping_hands_over_whole_batches_and_counts_the_rest() {
    let encoder = InferenceEncoder::open(&tiny_resnet(), 0, Device::Cpu).unwrap();
    let rows: Vec<usize> = (0..1000).collect();
    let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = |row: usize| {
        calls.fetch_add(1, Ordering::Relaxed);
        Ok::<_, String>(slice(row))
    };
    let mut table = Table::default();
    let mut sink = |batch| {
        table.add(batch);
        stop.store(table.rows.len() >= 12, Ordering::Relaxed);
        Ok::<(), String>(())
    };
    let summary = extract(
        &encoder,
        &rows,
        &load,
        &LAYERS,
        &options(4, 3),
        &stop,
        &Progress::hidden(),
        &mut sink,
    )
    .unwrap();
    assert_eq!(
        summary,
        Summary {
            extracted: 12,
            failed: 0,
            left: 988
        }
    );
    assert_eq!(table.rows, rows[..12]);
    // Decoding runs ahead by the queues, not by the collection.
    let calls = calls.into_inner();
    assert!(calls < 12 + 30, "{calls} slices were decoded");
}

#[test]
fn a_sink_that_fails_ends_the_extraction() {
    let encoder = InferenceEncoder::open(&tiny_resnet(), 0, Device::Cpu).unwrap();
    let rows: Vec<usize> = (0..1000).collect();
    let load = |row: usize| Ok::<_, String>(slice(row));
    let stop = AtomicBool::new(false);
    let mut sink = |_| Err("disk full");
    let found = extract(
        &encoder,
        &rows,
        &load,
        &LAYERS,
        &options(4, 3),
        &stop,
        &Progress::hidden(),
        &mut sink,
    );
    assert!(matches!(found, Err(ExtractError::Sink("disk full"))), "{found:?}");
}

/// Three planes enter as they are: the features are those of the network on a batch that was stacked by hand, and those of
/// three equal planes are a grey slice's.
#[test]
fn three_planes_are_encoded_as_they_are_stacked() {
    let encoder = InferenceEncoder::open(&tiny_resnet(), 0, Device::Cpu).unwrap();
    let rows: Vec<usize> = (0..10).collect();
    let three = ExtractOptions {
        planes: 3,
        ..options(4, 2)
    };
    let stacked = |planes: [usize; 3]| {
        let planes = planes.map(|row| slice(row).index_axis_move(Axis(0), 0));
        stack(Axis(0), &planes.each_ref().map(Array2::view)).unwrap()
    };
    let (grey, _) = run(&encoder, &rows, &|row| Ok(slice(row)), &options(4, 2));
    let (equal, _) = run(&encoder, &rows, &|row| Ok(stacked([row; 3])), &three);
    let windows = |row| stacked([row, row + 1, row + 2]);
    let (found, _) = run(&encoder, &rows, &|row| Ok(windows(row)), &three);
    for (layer, name) in LAYERS.iter().enumerate() {
        for (row, (a, b)) in equal
            .layer(layer)
            .rows()
            .into_iter()
            .zip(grey.layer(layer).rows())
            .enumerate()
        {
            assert!(close(a, b), "row {row} of {name} differs in three equal planes");
        }
        assert_ne!(found.layer(layer), grey.layer(layer), "{name}");
    }
    // ZSample has noise of its own; the others are compared with one batch.
    let pixels: Vec<f32> = rows.iter().flat_map(|row| windows(*row)).collect();
    let batch = Tensor::from_slice(&pixels).reshape([10, 3, 64, 64]);
    let layers = [LAYERS[0], LAYERS[2]];
    for (layer, expected) in [0, 2].into_iter().zip(encoder.encode(&batch, &layers, None).unwrap()) {
        let found = found.layer(layer);
        let expected = Vec::<f32>::try_from(expected.flatten(0, -1)).unwrap();
        let expected = Array2::from_shape_vec(found.dim(), expected).unwrap();
        for (row, (a, b)) in found.rows().into_iter().zip(expected.rows()).enumerate() {
            assert!(close(a, b), "row {row} of {} differs", LAYERS[layer]);
        }
    }
    let (table, _) = run(&encoder, &rows[..1], &|row| Ok(slice(row)), &three);
    assert_eq!(
        table.failures[0].cause.to_string(),
        "the prepared slice is [1, 64, 64], the encoder takes [3, 64, 64]"
    );
}
