//! Slices through an encoder, as a stream: threads decode ahead, the network runs on the calling thread, memory does not
//! grow with the number of slices, and one bad file does not stop the rest.

use std::{
    convert::Infallible,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use ndarray::{Array2, Array3};
use tch::Tensor;

use super::{
    TorchError,
    encoders::{InferenceEncoder, noise, three_planes},
};
use crate::{encoder::Layer, progress::Progress};

/// How to extract.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// Slices that pass the network together. Default: 16, which the weights' layout in memory is chosen for.
    pub batch_size: NonZeroUsize,
    /// Planes of a prepared slice: 1, grey, which the encoder sees in all its planes, or 3. Default: 1.
    pub planes: usize,
    /// Threads that read and prepare slices. Default: one a core.
    pub decode_threads: NonZeroUsize,
    /// Seed of the noise in `z_sample`. Default: 0.
    pub seed: u64,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        let batch_size = const { NonZeroUsize::new(16).unwrap() };
        let decode_threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            batch_size,
            planes: 1,
            decode_threads,
            seed: 0,
        }
    }
}

/// What one step of an extraction gave. Rows, and rows with failures, come in the order in which they were asked for.
#[derive(Debug)]
pub struct ExtractedBatch<E> {
    /// The rows that have features, `n` of them.
    pub rows: Vec<usize>,
    /// `[n, config.width(layer)]` for each layer, in the order asked for.
    pub features: Vec<Array2<f32>>,
    /// Rows that failed. They lie before, between or right after `rows`, never behind a row of a later batch.
    pub failures: Vec<RowFailure<E>>,
}

/// A row without features.
#[derive(Debug, PartialEq)]
pub struct RowFailure<E> {
    /// The row.
    pub row: usize,
    /// What happened.
    pub cause: FailureCause<E>,
}

/// Why a row has no features.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureCause<E> {
    /// The slice could not be read or prepared.
    #[error("{0}")]
    Load(E),
    /// The slice has another size than the encoder takes.
    #[error("the prepared slice is {found:?}, the encoder takes {expected:?}")]
    Shape {
        /// Planes, rows and columns found.
        found: [usize; 3],
        /// Planes, rows and columns expected.
        expected: [usize; 3],
    },
    /// Values that are no image in `[-1, 1]`.
    #[error("the prepared slice holds {found}, the encoder takes finite values from -1 to 1")]
    Values {
        /// The first value outside, or NaN.
        found: f32,
    },
    /// Code of ours or of a decoder broke on it.
    #[error("reading the slice broke the decoder: {message}")]
    Panic {
        /// The decoder's words.
        message: String,
    },
    /// The network gave something that is no number.
    #[error("layer {layer} of the slice is not finite")]
    NotFinite {
        /// The layer.
        layer: Layer,
    },
}

/// How an extraction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Rows with features.
    pub extracted: usize,
    /// Rows that failed.
    pub failed: usize,
    /// Rows that were not reached, because the stop flag was set.
    pub left: usize,
}

/// Why an extraction gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError<S = Infallible> {
    /// The network failed.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// The sink refused a batch, e.g. because the disk is full.
    #[error("{0}")]
    Sink(S),
}

/// Name of the threads that decode: a panic in one of them is a failed row, not a bug to print.
pub const DECODER: &str = "decode";

/// A little more than rounding in a resize may add.
const RANGE: f32 = 1.0 + 1e-3;

type Slice<E> = Result<Array3<f32>, FailureCause<E>>;

/// Extracts `layers` of `rows`; `load` gives a row's slice, `[C, S, S]` in `[-1, 1]`, C being
/// `options.planes`, and is called from several threads.
///
/// `sink` gets the results in the order of `rows`, whatever the number of threads. A row that fails is handed on as a
/// failure. Every batch that enters the network is full: the last one is filled up with copies of its last slice, whose
/// results are thrown away. So every row meets the same kernels, and its features do not depend on its neighbours beyond
/// the rounding of 32-bit floats.
///
/// When `stop` is set, the batch at work is still handed to the sink; then the function returns.
///
/// # Errors
///
/// When the network fails or the sink does.
#[allow(clippy::too_many_arguments)]
pub fn extract<E: Send, S>(
    encoder: &InferenceEncoder,
    rows: &[usize],
    load: &(dyn Fn(usize) -> Result<Array3<f32>, E> + Sync),
    layers: &[Layer],
    options: &ExtractOptions,
    stop: &AtomicBool,
    progress: &Progress,
    sink: &mut dyn FnMut(ExtractedBatch<E>) -> Result<(), S>,
) -> Result<Summary, ExtractError<S>> {
    let threads = options.decode_threads.get().min(rows.len().max(1));
    let batch_size = options.batch_size.get();
    let size = encoder.config().input_size();
    let shape = [options.planes, size, size];
    // Together the queues hold two batches: the network finds the next one ready, and no more lies about.
    let ahead = (2 * batch_size).div_ceil(threads);
    thread::scope(|scope| {
        let queues: Vec<Receiver<Slice<E>>> = (0..threads)
            .map(|first| {
                let (sender, receiver) = sync_channel(ahead);
                let mine = rows.iter().copied().skip(first).step_by(threads);
                let decoder = thread::Builder::new().name(DECODER.to_owned());
                decoder
                    .spawn_scoped(scope, move || decode(mine, load, shape, stop, &sender))
                    .expect("the system has threads to spare");
                receiver
            })
            .collect();
        // Thread t decodes rows t, t + threads, ...: taking turns restores the order.
        let mut slices = rows
            .iter()
            .enumerate()
            .map(|(i, &row)| (row, queues[i % threads].recv()));
        let mut summary = Summary {
            extracted: 0,
            failed: 0,
            left: rows.len(),
        };
        while summary.left > 0 && !stop.load(Ordering::Relaxed) {
            let mut batch = ExtractedBatch {
                rows: Vec::new(),
                features: Vec::new(),
                failures: Vec::new(),
            };
            let mut pixels = Vec::with_capacity(batch_size * options.planes * size * size);
            for (row, slice) in slices.by_ref() {
                match slice {
                    Ok(Ok(slice)) => {
                        batch.rows.push(row);
                        pixels.extend(slice);
                    }
                    Ok(Err(cause)) => batch.failures.push(RowFailure { row, cause }),
                    // The decoders only hang up when they were told to stop.
                    Err(_) => break,
                }
                // Failures count too: a thousand bad files must not pile up unreported.
                if batch.rows.len() == batch_size || batch.failures.len() >= 4 * batch_size {
                    break;
                }
            }
            let taken = batch.rows.len() + batch.failures.len();
            if taken == 0 {
                break;
            }
            run(encoder, &mut batch, pixels, layers, options)?;
            summary.extracted += batch.rows.len();
            summary.failed += batch.failures.len();
            summary.left -= taken;
            sink(batch).map_err(ExtractError::Sink)?;
            progress.tick(taken as u64);
        }
        Ok(summary)
    })
}

/// Decodes `rows` into a queue until they end, the reader is gone, or `stop` is set.
fn decode<E>(
    rows: impl Iterator<Item = usize>,
    load: &(dyn Fn(usize) -> Result<Array3<f32>, E> + Sync),
    shape: [usize; 3],
    stop: &AtomicBool,
    queue: &SyncSender<Slice<E>>,
) {
    for row in rows {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // A slice that a decoder choked on is left alone, so nothing half-changed is used again.
        let slice = match catch_unwind(AssertUnwindSafe(|| load(row))) {
            Ok(Ok(slice)) => check(slice, shape),
            Ok(Err(error)) => Err(FailureCause::Load(error)),
            Err(panic) => Err(FailureCause::Panic {
                message: words(panic.as_ref()),
            }),
        };
        if queue.send(slice).is_err() {
            return;
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

fn check<E>(slice: Array3<f32>, expected: [usize; 3]) -> Slice<E> {
    let found: [usize; 3] = slice.dim().into();
    if found != expected {
        return Err(FailureCause::Shape { found, expected });
    }
    match slice.iter().find(|v| !(-RANGE..=RANGE).contains(*v)) {
        Some(&found) => Err(FailureCause::Values { found }),
        None => Ok(slice),
    }
}

/// Runs a batch and fills in its features; rows whose features are not finite become failures.
fn run<E>(
    encoder: &InferenceEncoder,
    batch: &mut ExtractedBatch<E>,
    mut pixels: Vec<f32>,
    layers: &[Layer],
    options: &ExtractOptions,
) -> Result<(), TorchError> {
    let size = encoder.config().input_size();
    let n = batch.rows.len();
    if n == 0 {
        for &layer in layers {
            batch.features.push(Array2::zeros((0, encoder.config().width(layer)?)));
        }
        return Ok(());
    }
    let full = options.batch_size.get();
    for _ in n..full {
        pixels.extend_from_within(pixels.len() - options.planes * size * size..);
    }
    let s = size as i64;
    let x = Tensor::f_from_slice(&pixels)?.f_reshape([full as i64, options.planes as i64, s, s])?;
    drop(pixels);
    let x = three_planes(&x)?;
    let noise = match layers.contains(&Layer::ZSample) {
        true => {
            let mut rows = batch.rows.clone();
            rows.resize(full, batch.rows[n - 1]);
            Some(noise(options.seed, &rows, encoder.config().width(Layer::ZSample)?)?)
        }
        false => None,
    };
    let outputs = encoder.encode(&x, layers, noise.as_ref())?;
    let mut features = Vec::with_capacity(layers.len());
    for (&layer, output) in layers.iter().zip(&outputs) {
        let width = encoder.config().width(layer)?;
        let mut values = vec![0.0_f32; n * width];
        let head = output.f_narrow(0, 0, n as i64)?;
        head.f_copy_data(&mut values, n * width)?;
        let shaped = Array2::from_shape_vec((n, width), values);
        features.push(shaped.map_err(tch::TchError::from)?);
    }
    batch.features = features;
    drop_not_finite(batch, layers);
    Ok(())
}

fn drop_not_finite<E>(batch: &mut ExtractedBatch<E>, layers: &[Layer]) {
    let broken = |row: usize| {
        let layer = batch
            .features
            .iter()
            .position(|f| !f.row(row).iter().all(|v| v.is_finite()));
        layer.map(|i| layers[i])
    };
    let found: Vec<Option<Layer>> = (0..batch.rows.len()).map(broken).collect();
    if found.iter().all(Option::is_none) {
        return;
    }
    let keep: Vec<usize> = (0..found.len()).filter(|&i| found[i].is_none()).collect();
    for (i, layer) in found.iter().enumerate() {
        if let Some(layer) = *layer {
            batch.failures.push(RowFailure {
                row: batch.rows[i],
                cause: FailureCause::NotFinite { layer },
            });
        }
    }
    batch.features = batch
        .features
        .iter()
        .map(|f| f.select(ndarray::Axis(0), &keep))
        .collect();
    batch.rows = keep.iter().map(|&i| batch.rows[i]).collect();
}
