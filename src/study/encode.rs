//! The part of extraction that needs libtorch: decode, preprocess, encode, append to the parts.

use std::{collections::HashSet, num::NonZeroUsize};

use super::{ExtractOptions, Failure, StudyError, StudyRun};
use crate::{
    cohort::Cohort,
    encoder::{EncoderConfig, Layer},
    features::{PartLayout, PartWriter, Provenance, Rows, feature_names},
    progress::Progress,
    readers::read_slice,
    torch::{
        self,
        device::DeviceChoice,
        encoders::InferenceEncoder,
        extract::{ExtractError, ExtractedBatch, extract},
    },
};

/// What is lost when the process is killed; Ctrl-C loses nothing.
const ROWS_PER_PART: usize = 512;

impl StudyRun {
    /// Whether the device can be had; asked before anything is read, and even where nothing is left to extract.
    pub(super) fn check_device(&self, device: &str) -> Result<(), StudyError> {
        let choice = device.parse::<DeviceChoice>()?;
        // Looking for CUDA loads libraries: `auto` does that only when there is something to run.
        if choice != DeviceChoice::Auto {
            choice.resolve()?;
        }
        Ok(())
    }

    /// Encodes every slice that is not in the parts of all layers yet.
    pub(super) fn encode(
        &self,
        cohort: &Cohort,
        config: &EncoderConfig,
        layers: &[Layer],
        values_key: &str,
        options: &ExtractOptions,
    ) -> Result<Vec<Failure>, StudyError> {
        torch::init(None);
        let device = options.device.parse::<DeviceChoice>()?.resolve()?;
        let encoder = InferenceEncoder::open(config, self.study.seed, device)?;
        let preprocess = self.study.preprocess();
        let provenance = Provenance {
            encoder: config.describe().map_err(StudyError::Encoder)?,
            weights: encoder.origin().to_string(),
            card: self.card(),
            untrained: encoder.untrained(),
            preprocess: preprocess.canonical(),
            preprocess_sha256: preprocess.sha256(),
            watermarks: self.study.watermarks(),
            pseudonyms: !self.ids.keeps(),
            hounsfield: env!("CARGO_PKG_VERSION").to_owned(),
            ..Provenance::default()
        };
        let mut sinks = Vec::new();
        for &layer in layers {
            let provenance = Provenance {
                layer: layer.to_string(),
                ..provenance.clone()
            };
            let layout = PartLayout {
                names: feature_names(config.width(layer).map_err(StudyError::Encoder)?),
                extra: Vec::new(),
                provenance,
                inputs: values_key.to_owned(),
                rows_per_part: ROWS_PER_PART,
            };
            let (writer, resumed) = PartWriter::open(&self.parts(layer), layout)?;
            sinks.push((writer, resumed.rows.into_iter().collect::<HashSet<String>>()));
        }
        let ids = &cohort.rows.slice_id;
        let left: Vec<usize> = (0..cohort.len())
            .filter(|row| !sinks.iter().all(|(_, done)| done.contains(&ids[*row])))
            .collect();
        if left.len() < cohort.len() {
            tracing::info!(
                "features: going on, {} of {} slices are there",
                cohort.len() - left.len(),
                cohort.len()
            );
        }

        let size = config.input_size();
        let load = |row: usize| {
            let slice = read_slice(&cohort.paths[row]).map_err(|error| error.without_path())?;
            preprocess.apply(&slice, size).map_err(|error| error.to_string())
        };
        let mut failures = Vec::new();
        let mut sink = |batch: ExtractedBatch<String>| {
            for failure in batch.failures {
                let failure = Failure {
                    row: failure.row,
                    reason: failure.cause.to_string(),
                };
                if options.fail_first {
                    return Err(StudyError::FirstFailure {
                        row: failure.row + 1,
                        reason: failure.reason,
                    });
                }
                tracing::warn!("row {}: {}", failure.row + 1, failure.reason);
                failures.push(failure);
            }
            for ((writer, done), values) in sinks.iter_mut().zip(&batch.features) {
                // A layer may be a part ahead of the others where the process was killed between two writes.
                let new: Vec<usize> = (0..batch.rows.len())
                    .filter(|at| !done.contains(&ids[batch.rows[*at]]))
                    .collect();
                let rows: Vec<usize> = new.iter().map(|at| batch.rows[*at]).collect();
                writer.append(
                    values.select(ndarray::Axis(0), &new).view(),
                    names_only(&cohort.rows, &rows),
                )?;
            }
            Ok(())
        };
        let extraction = torch::extract::ExtractOptions {
            batch_size: NonZeroUsize::new(options.batch_size).unwrap_or(NonZeroUsize::MIN),
            decode_threads: options
                .decode_threads
                .and_then(NonZeroUsize::new)
                .unwrap_or_else(|| torch::extract::ExtractOptions::default().decode_threads),
            planes: preprocess.planes(),
            seed: self.study.seed,
        };
        let progress = Progress::new("features", "slices", left.len() as u64);
        let ended = extract(
            &encoder,
            &left,
            &load,
            layers,
            &extraction,
            &options.stop,
            &progress,
            &mut sink,
        );
        progress.finish();
        let summary = ended.map_err(|error| match error {
            ExtractError::Torch(error) => StudyError::from(error),
            ExtractError::Sink(error) => error,
        });
        // Whatever ended it, what was encoded is kept.
        if summary.as_ref().map_or(true, |summary| summary.left > 0) {
            for (writer, _) in &mut sinks {
                writer.flush()?;
            }
        }
        match summary?.left {
            0 => {}
            left => {
                return Err(StudyError::Interrupted {
                    done: cohort.len() - left,
                    rows: cohort.len(),
                });
            }
        }
        for (writer, _) in sinks {
            writer.finish()?;
        }
        Ok(failures)
    }
}

/// Rows with their identifiers only: what a label or a split says may change while the values stay.
fn names_only(rows: &Rows, which: &[usize]) -> Rows {
    let nothing = vec![None; which.len()];
    let pick = |cells: &[String]| which.iter().map(|row| cells[*row].clone()).collect();
    Rows {
        slice_id: pick(&rows.slice_id),
        scan_id: pick(&rows.scan_id),
        patient_id: pick(&rows.patient_id),
        label: nothing.clone(),
        site: nothing.clone(),
        split: nothing,
        extra: Vec::new(),
    }
}
