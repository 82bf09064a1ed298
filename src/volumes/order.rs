//! Which scans each step takes: a function of the step alone, so that a training that goes on sees what it would have seen.

use std::ops::Range;

use rand::seq::SliceRandom as _;

use crate::seed;

/// The order of a training's scans: each once an epoch, drawn anew every epoch.
#[derive(Debug, Clone)]
pub(super) struct Order {
    rows: Vec<usize>,
    seed: u64,
    batch: usize,
}

impl Order {
    /// Of these rows, in batches of at most `batch`.
    pub fn new(rows: &[usize], seed: u64, batch: usize) -> Self {
        Self {
            rows: rows.to_vec(),
            seed,
            batch,
        }
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.rows.len().div_ceil(self.batch) as u64
    }

    /// Scans of one epoch.
    pub fn scans(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The epoch of a step; both from 0.
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// The batches of an epoch, whose sizes differ by one at most: a last batch of one scan would have batch-norm statistics of its own
    /// and a step as large as any.
    pub fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut order = self.rows.clone();
        order.shuffle(&mut seed::stream(self.seed, &format!("order/{epoch}")));
        let batches = even(order.len(), self.batch).into_iter();
        batches.map(|range| order[range].to_vec()).collect()
    }
}

/// Cuts `n` things into as few runs as `most` allows, whose lengths differ by one at most.
pub(super) fn even(n: usize, most: usize) -> Vec<Range<usize>> {
    let runs = n.div_ceil(most.max(1));
    (0..runs).map(|run| run * n / runs..(run + 1) * n / runs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scan_is_seen_once_an_epoch_and_in_another_order() {
        let rows: Vec<usize> = (10..27).collect();
        let order = Order::new(&rows, 3, 8);
        assert_eq!((order.steps_per_epoch(), order.epoch(2), order.epoch(3)), (3, 0, 1));
        let [first, second] = [0, 1].map(|epoch| order.batches(epoch));
        for epoch in [&first, &second] {
            let mut seen: Vec<usize> = epoch.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, rows);
        }
        assert_ne!(first, second);
        assert_eq!(first, order.batches(0), "an epoch's number tells its order");
    }

    #[test]
    fn no_batch_is_smaller_than_another_by_more_than_one() {
        for n in 0..60 {
            for most in 1..12 {
                let runs = even(n, most);
                assert_eq!(runs.len(), n.div_ceil(most));
                assert_eq!(runs.iter().map(Range::len).sum::<usize>(), n);
                let lengths = || runs.iter().map(Range::len);
                assert!(lengths().max() <= Some(most));
                assert!(lengths().max().unwrap_or(0) <= lengths().min().unwrap_or(0) + 1);
            }
        }
    }
}
