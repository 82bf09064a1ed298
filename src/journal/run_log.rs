//! The numbers of a training as people see them: a line of `metrics.jsonl` and scalars of TensorBoard, each the mean over the steps since
//! the last.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use super::{Events, JournalError, MetricsLog};

/// Names of numbers that are not finite: what must stop a training.
pub fn not_finite(numbers: &[(&'static str, f64)]) -> Vec<&'static str> {
    let broken = numbers.iter().filter(|(_, value)| !value.is_finite());
    broken.map(|(name, _)| *name).collect()
}

/// Numbers on one line, as a bar shows them: without learning rates and gradients.
pub fn one_line(numbers: &[(&'static str, f64)]) -> String {
    let hidden = |name: &str| name == "lr" || name.starts_with("lr_") || name.starts_with("grad_");
    let shown = numbers.iter().filter(|(name, _)| !hidden(name));
    let words: Vec<String> = shown.map(|(name, value)| format!("{name} {value:.4}")).collect();
    words.join("  ")
}

/// Writes `metrics.jsonl` and `events/` of a run folder.
#[derive(Debug)]
pub struct RunLog {
    metrics: MetricsLog,
    events: Events,
    /// What the number of images a second is called.
    rate: &'static str,
    /// Sums since the last line.
    sums: BTreeMap<&'static str, f64>,
    /// The numbers of the last step.
    last: Vec<(&'static str, f64)>,
    steps: u64,
    images: u64,
    since: Instant,
}

impl RunLog {
    /// Begins both anew; `rate` is the name of the number of images a second, e.g. `scans_per_s`.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`].
    pub fn create(folder: &Path, rate: &'static str) -> Result<Self, JournalError> {
        let metrics = MetricsLog::create(&folder.join("metrics.jsonl"))?;
        Ok(Self::new(metrics, Events::create(&folder.join("events"))?, rate))
    }

    /// Goes on with those of a run whose last checkpoint is of this step.
    ///
    /// # Errors
    ///
    /// As [`MetricsLog::resume`].
    pub fn resume(folder: &Path, rate: &'static str, step: u64) -> Result<Self, JournalError> {
        let metrics = MetricsLog::resume(&folder.join("metrics.jsonl"), step)?;
        Ok(Self::new(metrics, Events::resume(&folder.join("events"), step)?, rate))
    }

    fn new(metrics: MetricsLog, events: Events, rate: &'static str) -> Self {
        Self {
            metrics,
            events,
            rate,
            sums: BTreeMap::new(),
            last: Vec::new(),
            steps: 0,
            images: 0,
            since: Instant::now(),
        }
    }

    /// Adds up the numbers of one step of so many images.
    pub fn hear(&mut self, numbers: &[(&'static str, f64)], images: u64) {
        for (name, value) in numbers {
            *self.sums.entry(name).or_default() += value;
        }
        self.last = numbers.to_vec();
        self.steps += 1;
        self.images += images;
    }

    /// Writes the means over the steps that were heard since the last line, in the group `train`. A learning rate (`lr`, `lr_...`) is
    /// what the optimiser took last, not a mean. `seen` are the images of the whole run.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`].
    pub fn write_means(&mut self, step: u64, seen: u64) -> Result<(), JournalError> {
        let of = self.steps.max(1) as f64;
        let mean = |(name, value): &(&'static str, f64)| match name.starts_with("lr") {
            true => (*name, *value),
            false => (*name, self.sums[name] / of),
        };
        let mut means: Vec<(&'static str, f64)> = self.last.iter().map(mean).collect();
        let seconds = self.since.elapsed().as_secs_f64();
        means.push((self.rate, self.images as f64 / seconds.max(1e-9)));
        self.write(step, seen, &means, "train")?;
        self.sums.clear();
        (self.steps, self.images, self.since) = (0, 0, Instant::now());
        Ok(())
    }

    /// Writes numbers as they are; TensorBoard has them under `group/name`.
    ///
    /// # Errors
    ///
    /// [`JournalError::RepeatedName`], [`JournalError::Write`].
    pub fn write(
        &mut self,
        step: u64,
        seen: u64,
        numbers: &[(&'static str, f64)],
        group: &str,
    ) -> Result<(), JournalError> {
        self.metrics.append(step, seen, numbers.iter().copied())?;
        for (name, value) in numbers {
            self.events.scalar(step, &format!("{group}/{name}"), *value)?;
        }
        Ok(())
    }

    /// Says that something is wrong, loudly and for TensorBoard.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`].
    pub fn alarm(&mut self, step: u64, alarm: &str) -> Result<(), JournalError> {
        tracing::warn!("step {step}: {alarm}");
        self.events.text(step, "alarm", alarm)
    }

    /// Leaves time that was no training out of the rate.
    pub fn pause(&mut self, time: Duration) {
        self.since += time;
    }

    /// TensorBoard's part, for sheets.
    pub fn events(&mut self) -> &mut Events {
        &mut self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_the_steps_since_the_last_line_and_rates_are_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RunLog::create(folder.path(), "scans_per_s").unwrap();
        for (loss, lr) in [(1.0, 0.5), (2.0, 0.25), (9.0, 0.125)] {
            log.hear(&[("loss", loss), ("lr", lr)], 4);
        }
        log.write_means(3, 12).unwrap();
        log.hear(&[("loss", 7.0), ("lr", 0.125)], 4);
        log.write_means(4, 16).unwrap();
        let text = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |name: &str| -> Vec<f64> { lines.iter().map(|line| line[name].as_f64().unwrap()).collect() };
        assert_eq!((of("loss"), of("lr")), (vec![4.0, 7.0], vec![0.125, 0.125]));
        assert!(of("scans_per_s").iter().all(|rate| *rate > 0.0));
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let numbers = [("a", 1.0), ("b", f64::NAN), ("c", f64::INFINITY)];
        assert_eq!(not_finite(&numbers), ["b", "c"]);
    }
}
