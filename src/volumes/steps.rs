//! The steps of a training: parts, the optimiser, and when to save or to stop.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use super::{
    VolumeTraining, VolumesError,
    loader::{Loader, Part},
    order::Order,
    run::State,
    weighting::{mean_loss, probability},
};
use crate::{
    journal::{not_finite, one_line},
    progress::Progress,
    tables::write_csv,
    torch::train::Stamp,
};

impl VolumeTraining {
    /// All epochs that are left.
    pub(super) fn train(&self, state: &mut State, stop: &AtomicBool) -> Result<(), VolumesError> {
        let recipe = &self.recipe;
        let order = Order::new(&self.data.training, recipe.seed, recipe.train.batch);
        let all = recipe.train.epochs as u64 * order.scans();
        let done = state.notes.epochs.len() as u64 * order.scans() + state.notes.seen.scores.len() as u64;
        let progress = Progress::new("train", "scans", all - done);
        let ended = thread::scope(|scope| {
            let mut loader = Loader::start(scope, recipe, &self.data, state.classifier.steps());
            self.steps(state, &mut loader, &order, &progress, stop)
        });
        progress.finish();
        ended
    }

    fn steps(
        &self,
        state: &mut State,
        loader: &mut Loader,
        order: &Order,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<(), VolumesError> {
        state.since = Instant::now();
        let mut batch = Batch::default();
        while let Some(part) = loader.part() {
            let outputs = self.part(state, &part)?;
            progress.tick(part.rows.len() as u64);
            let last = part.last;
            batch.add(part, outputs);
            if !last {
                continue;
            }
            let batch = std::mem::take(&mut batch);
            let numbers = self.step(state, &batch)?;
            let step = state.classifier.steps();
            progress.note(&one_line(&numbers));
            let seen = state.notes.epochs.len() as u64 * order.scans() + state.notes.seen.scores.len() as u64;
            state.log.hear(&numbers, batch.rows.len() as u64);
            state.log.write_means(step, seen)?;
            let whole = step.is_multiple_of(order.steps_per_epoch());
            if whole {
                let started = Instant::now();
                self.end_epoch(state, seen)?;
                state.log.pause(started.elapsed());
            }
            let stopped = stop.load(Ordering::Relaxed) && !state.notes.ended;
            if (step.is_multiple_of(self.recipe.checkpoint.every) || stopped) && state.saved != step {
                self.save(state)?;
            }
            if state.notes.ended {
                return Ok(());
            }
            if stopped {
                return Err(VolumesError::Interrupted {
                    epoch: order.epoch(step) + 1,
                    done: step,
                });
            }
        }
        Ok(())
    }

    /// The gradient of a part.
    fn part(&self, state: &mut State, part: &Part) -> Result<Vec<[f64; 2]>, VolumesError> {
        let voxels: Vec<_> = part.rows.iter().map(|row| self.data.scan(*row).voxels()).collect();
        let positive = self.data.classes(&part.rows);
        Ok(state
            .classifier
            .part(part.part, &voxels, &part.changes, &positive, &part.weights)?)
    }

    /// The step of the optimiser, and its numbers.
    fn step(&self, state: &mut State, batch: &Batch) -> Result<Vec<(&'static str, f64)>, VolumesError> {
        let lr = state.notes.plateau.lr;
        let loss = mean_loss(&batch.outputs, &self.data.classes(&batch.rows), &batch.weights);
        let norm = state.classifier.step(lr)?;
        let numbers = vec![("loss", loss), ("grad_norm", norm), ("lr", lr)];
        let step = state.classifier.steps();
        let broken = not_finite(&numbers);
        if !broken.is_empty() {
            return Err(self.stop_at(state, step, &broken, &batch.rows)?);
        }
        let weight: f64 = batch.rows.iter().map(|row| self.data.weights[*row]).sum();
        let seen = &mut state.notes.seen;
        seen.loss += weight * loss;
        seen.weight += weight;
        let scores = batch.outputs.iter().map(|outputs| probability(*outputs));
        seen.scores.extend(batch.rows.iter().copied().zip(scores));
        Ok(numbers)
    }

    /// What stops a training at numbers that are none, with the rows that did it on disk.
    pub(super) fn stop_at(
        &self,
        state: &State,
        step: u64,
        broken: &[&str],
        rows: &[usize],
    ) -> Result<VolumesError, VolumesError> {
        let folder = self.folder.join("alarms");
        std::fs::create_dir_all(&folder).map_err(|source| VolumesError::Folder {
            source,
            path: folder.clone(),
        })?;
        let path = folder.join(format!("step-{step:08}.csv"));
        let header = ["row", "scan_id", "sha256"].map(str::to_owned);
        let cells = rows.iter().map(|row| {
            let scan = &self.data.cohort.rows.scan_id[*row];
            vec![
                (row + 1).to_string(),
                scan.clone(),
                self.data.scan(*row).sha256().to_owned(),
            ]
        });
        write_csv(&path, &header, cells)?;
        let mut what: Vec<String> = broken.iter().map(|name| (*name).to_owned()).collect();
        what.extend(state.classifier.not_finite()?.into_iter().take(5));
        Ok(VolumesError::NotFinite {
            step,
            what: what.join(", "),
            good: state.saved,
            path,
        })
    }

    pub(super) fn save(&self, state: &mut State) -> Result<(), VolumesError> {
        let stamp = Stamp {
            step: state.classifier.steps(),
            recipe: self.recipe.decides_weights(),
            data: self.data.sha256.clone(),
            notes: serde_json::to_value(&state.notes).expect("numbers and rows"),
        };
        state.classifier.save(&state.checkpoints, &stamp)?;
        state.saved = stamp.step;
        Ok(())
    }
}

/// What the parts of a step gave.
#[derive(Default)]
struct Batch {
    rows: Vec<usize>,
    weights: Vec<f64>,
    outputs: Vec<[f64; 2]>,
}

impl Batch {
    fn add(&mut self, part: Part, outputs: Vec<[f64; 2]>) {
        self.rows.extend(part.rows);
        self.weights.extend(part.weights);
        self.outputs.extend(outputs);
    }
}
