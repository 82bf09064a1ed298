//! Batches for the network, made ahead by threads of their own: order, augmentation and views are functions of the step
//! alone, so that a training that goes on sees what it would have seen.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, Scope},
};

use ndarray::{Array4, Axis};
use rand::seq::SliceRandom as _;

use super::{Data, PretrainError};
use crate::{ct::Hu, method::Appetite, recipe::Pretrain, seed};

/// Name of the loading threads: a panic in one of them is a slice's failure, not a bug to print.
pub const LOADER: &str = "load";

/// Batches that each thread makes ahead.
const AHEAD: usize = 2;

/// The order in which slices are seen: every slice once, in an order drawn anew, then again.
#[derive(Debug)]
struct Sampler<'a> {
    rows: &'a [usize],
    seed: u64,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Sampler<'_> {
    /// The row at a position of the training, from 0 on.
    fn row(&mut self, position: u64) -> usize {
        let count = self.rows.len() as u64;
        let epoch = position / count;
        if self.epoch.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let mut order = self.rows.to_vec();
            order.shuffle(&mut seed::stream(self.seed, &format!("order/{epoch}")));
            self.epoch = Some((epoch, order));
        }
        let (_, order) = self.epoch.as_ref().expect("it was just drawn");
        order[usize::try_from(position % count).expect("a row's place")]
    }
}

/// Batches in the order of the training.
#[derive(Debug)]
pub struct Loader {
    queues: Vec<Receiver<Result<Array4<f32>, PretrainError>>>,
    next: u64,
    per_step: usize,
}

impl Loader {
    /// Starts `threads` that make batches from `first_step` to the recipe's last one. They end with the scope, or when the
    /// loader is dropped.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        recipe: &'scope Pretrain,
        data: &'scope Data,
        first_step: u64,
        threads: usize,
    ) -> Self {
        let appetite = recipe.method.appetite();
        let per_step = appetite.batches as u64;
        let (first, end) = (first_step * per_step, recipe.train.steps * per_step);
        let queues = (0..threads as u64).map(|thread| {
            let (sender, receiver) = sync_channel(AHEAD);
            let mine = (first + thread..end).step_by(threads);
            thread::Builder::new()
                .name(LOADER.to_owned())
                .spawn_scoped(scope, move || make(mine, recipe, data, appetite, &sender))
                .expect("the system has threads to spare");
            receiver
        });
        Self {
            queues: queues.collect(),
            next: 0,
            per_step: appetite.batches,
        }
    }

    /// The batches of the next step, `[V * N, C, S, S]` each; `None` after the last one.
    ///
    /// # Errors
    ///
    /// A file that has gone since the training started.
    pub fn step(&mut self) -> Result<Option<Vec<Array4<f32>>>, PretrainError> {
        let mut batches = Vec::new();
        for _ in 0..self.per_step {
            let queue = (self.next % self.queues.len() as u64) as usize;
            self.next += 1;
            match self.queues[queue].recv() {
                Ok(batch) => batches.push(batch?),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(batches))
    }
}

fn make(
    numbers: impl Iterator<Item = u64>,
    recipe: &Pretrain,
    data: &Data,
    appetite: Appetite,
    queue: &SyncSender<Result<Array4<f32>, PretrainError>>,
) {
    let mut sampler = Sampler {
        rows: &data.training,
        seed: recipe.seed,
        epoch: None,
    };
    for number in numbers {
        if queue.send(batch(number, recipe, data, appetite, &mut sampler)).is_err() {
            return;
        }
    }
}

/// Batch `number` of the training, `[V * N, C, S, S]`: the first view of all slices, then the second, and so on.
fn batch(
    number: u64,
    recipe: &Pretrain,
    data: &Data,
    appetite: Appetite,
    sampler: &mut Sampler,
) -> Result<Array4<f32>, PretrainError> {
    let (n, size) = (recipe.train.batch, recipe.encoder.input_size());
    let windows = recipe.preprocess.windows();
    let widths: Vec<Hu> = windows.iter().map(|window| window.0.width).collect();
    let mut batch = Array4::zeros((appetite.views * n, widths.len(), size, size));
    for at in 0..n {
        let row = sampler.row(number * n as u64 + at as u64);
        let slice = data
            .slice(row)
            .map_err(|why| PretrainError::Gone { row: row + 1, why })?;
        for view in 0..appetite.views {
            let mut rng = seed::stream(recipe.seed, &format!("augment/{number}/{at}/{view}"));
            let image = recipe.augment.apply(slice.view(), &widths, size, &mut rng);
            batch.index_axis_mut(Axis(0), view * n + at).assign(&image);
        }
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_slice_is_seen_once_an_epoch_and_in_another_order() {
        let rows: Vec<usize> = (10..30).collect();
        let mut sampler = Sampler {
            rows: &rows,
            seed: 3,
            epoch: None,
        };
        let epoch = |sampler: &mut Sampler, from: u64| (from..from + 20).map(|at| sampler.row(at)).collect::<Vec<_>>();
        let (first, second) = (epoch(&mut sampler, 0), epoch(&mut sampler, 20));
        let set = |order: &[usize]| order.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(set(&first), set(&rows));
        assert_eq!(set(&second), set(&rows));
        assert_ne!(first, second);
        assert_eq!(first, epoch(&mut sampler, 0), "a position tells the slice");
    }
}
