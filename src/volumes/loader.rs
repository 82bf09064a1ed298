//! Parts of batches for the network, made ahead by a thread of their own: which scans, how they are changed, how much each counts. Their
//! voxels are read from the disk before they are wanted; the changes are carried out where the network runs.

use std::{
    hint::black_box,
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, Scope},
};

use ndarray::ArrayView3;

use super::{
    data::Data,
    order::{Order, even},
};
use crate::{
    recipe::TrainVolume,
    seed,
    transforms::{ScanAugment, ScanChange},
};

/// Parts that are made ready ahead.
const AHEAD: usize = 4;

/// Scans that pass the network together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// The step, from 0.
    pub step: u64,
    /// Which part of the step, from 0.
    pub part: usize,
    /// Whether the step ends with it.
    pub last: bool,
    /// The scans.
    pub rows: Vec<usize>,
    /// What happens to each.
    pub changes: Vec<ScanChange>,
    /// How much each counts; 1 over all scans of the step.
    pub weights: Vec<f64>,
}

/// The parts of all steps from one on.
#[derive(Debug)]
pub(super) struct Loader {
    queue: Receiver<Part>,
}

impl Loader {
    /// Starts the thread, which ends with the training's last step, with the scope, or when the loader is dropped.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        recipe: &'scope TrainVolume,
        data: &'scope Data,
        first_step: u64,
    ) -> Self {
        let (sender, queue) = sync_channel(AHEAD);
        thread::Builder::new()
            .name("order".to_owned())
            .spawn_scoped(scope, move || {
                for part in parts(recipe, data, first_step) {
                    for row in &part.rows {
                        touch(data.scan(*row).voxels());
                    }
                    if sender.send(part).is_err() {
                        return;
                    }
                }
            })
            .expect("the system has threads to spare");
        Self { queue }
    }

    /// The next part; `None` after the last one.
    pub fn part(&mut self) -> Option<Part> {
        self.queue.recv().ok()
    }
}

/// All parts from a step on.
fn parts<'a>(recipe: &'a TrainVolume, data: &'a Data, first_step: u64) -> impl Iterator<Item = Part> + 'a {
    let order = Order::new(&data.training, recipe.seed, recipe.train.batch);
    let per_epoch = order.steps_per_epoch();
    let steps = (first_step / per_epoch..recipe.train.epochs as u64).flat_map(move |epoch| {
        let first = epoch * per_epoch;
        let batches = order.batches(epoch).into_iter().zip(first..);
        batches.map(move |(rows, step)| (epoch, step, rows))
    });
    steps
        .filter(move |(_, step, _)| *step >= first_step)
        .flat_map(move |(epoch, step, rows)| step_parts(recipe, data, (epoch, step), &rows))
}

fn step_parts(recipe: &TrainVolume, data: &Data, (epoch, step): (u64, u64), rows: &[usize]) -> Vec<Part> {
    let total: f64 = rows.iter().map(|row| data.weights[*row]).sum();
    let ranges = even(rows.len(), recipe.train.part.unwrap_or(recipe.train.batch));
    let of = ranges.len();
    let part = |(part, range): (usize, std::ops::Range<usize>)| {
        let rows = rows[range].to_vec();
        Part {
            step,
            part,
            last: part + 1 == of,
            changes: rows
                .iter()
                .map(|row| change(&recipe.augment, recipe.seed, epoch, *row))
                .collect(),
            weights: rows.iter().map(|row| data.weights[*row] / total).collect(),
            rows,
        }
    };
    ranges.into_iter().enumerate().map(part).collect()
}

/// What happens to a scan in an epoch, from 0: whichever batch it stands in.
fn change(augment: &ScanAugment, seed: u64, epoch: u64, row: usize) -> ScanChange {
    augment.draw(&mut seed::stream(seed, &format!("augment/{epoch}/{row}")))
}

/// Reads one voxel of every page of memory, so that it is there.
fn touch(voxels: ArrayView3<i16>) {
    const PAGE: usize = 4096 / size_of::<i16>();
    if let Some(voxels) = voxels.as_slice() {
        black_box(voxels.iter().step_by(PAGE).fold(0i16, |all, voxel| all ^ voxel));
    }
}
