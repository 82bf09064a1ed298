//! The loop: epochs of steps, validation, learning rates, checkpoints, and the end.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use super::{
    Measured, VolumesError, alarm, check_against,
    data::Data,
    finish,
    loader::{Loader, Part},
    notes::{Best, EpochNumbers, Notes, Seen},
    order::Order,
    sheet,
    weighting::{mean_loss, probability},
};
use crate::{
    baseline::MemoryPlan,
    journal::{RunLog, not_finite},
    method::Adam,
    progress::Progress,
    recipe::{FetchedFrom, TrainVolume, write_resolved},
    study::{HeldFolder, clear_folder, hold_folder, pseudonymizer},
    tables::write_csv,
    torch::{
        self,
        classifier::{Classifier, ClassifierConfig, free_memory},
        device::DeviceChoice,
        train::{BestMark, Checkpoints, Stamp},
    },
    words::{count, counted},
};

/// What the number of scans a second is called.
const RATE: &str = "scans_per_s";

/// What a training leaves in its folder.
const OUTPUTS: [&str; 10] = [
    "checkpoints",
    "events",
    "sheets",
    "alarms",
    "classifier",
    "maps",
    "predictions.parquet",
    "results.json",
    "report.html",
    "report.md",
];

/// How a training is run. None of it changes what comes out on one thread of a processor.
#[derive(Debug, Clone)]
pub struct Options {
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of one operation; all cores where `None`. With 1 a training is the same to the bit each time.
    pub threads: Option<usize>,
    /// Remove what an earlier training left in the folder.
    pub restart: bool,
    /// Set from elsewhere to stop after the step in hand.
    pub stop: Arc<AtomicBool>,
}

/// What a training comes to.
#[derive(Debug)]
pub struct Outcome {
    /// The folder of the best network and its card.
    pub classifier: PathBuf,
    /// The best epoch.
    pub best: Best,
    /// Epochs that were made in all.
    pub epochs: usize,
    /// Whether it ended before its last epoch, since none was better.
    pub early: bool,
    /// Scans that could not be read.
    pub failures: usize,
    /// How its scores were measured.
    pub measured: Measured,
}

/// A training in its run folder.
#[derive(Debug)]
pub struct VolumeTraining {
    pub(super) recipe: TrainVolume,
    pub(super) name: String,
    /// The recipe's folder.
    pub(super) home: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) data: Data,
    /// The file of weights that the trunk of COVNet starts from.
    start: Option<PathBuf>,
    /// What of it came from the hub.
    fetched: Option<FetchedFrom>,
    /// Held as long as the run lives, so that two runs do not write into one folder.
    _guard: HeldFolder,
}

/// The parts of a run that change.
struct State {
    classifier: Classifier,
    checkpoints: Checkpoints,
    log: RunLog,
    notes: Notes,
    /// Step of the last checkpoint.
    saved: u64,
    /// When the epoch began, or was gone on with.
    since: Instant,
    alarmed: bool,
}

impl VolumeTraining {
    /// Opens a run folder and makes the scans ready. `home` is the recipe's folder, which its paths are relative to.
    ///
    /// # Errors
    ///
    /// A folder that can't be used or that another process uses, whatever is wrong with the scans, `stop` having been set.
    pub fn open(
        recipe: TrainVolume,
        name: &str,
        home: &Path,
        folder: &Path,
        stop: &AtomicBool,
    ) -> Result<Self, VolumesError> {
        let guard = hold_folder(folder)?;
        check_against(&recipe, home)?;
        let (start, fetched) = recipe.start(home)?;
        let mut section = recipe.cohort.clone();
        section.salt = section.salt.map(|salt| home.join(salt));
        let ids = pseudonymizer(&section)?;
        let data = Data::read(&recipe, home, ids, stop)?;
        Ok(Self {
            name: name.to_owned(),
            home: home.to_owned(),
            folder: folder.to_owned(),
            recipe,
            data,
            start,
            fetched,
            _guard: guard,
        })
    }

    /// The scans of the training.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Trains, from the newest checkpoint on where there is one, and measures what came out.
    ///
    /// # Errors
    ///
    /// A checkpoint of another recipe or of other scans, a network that does not fit into memory, a device that is not there, numbers
    /// that are not finite, an interruption (then everything is saved first).
    pub fn run(&self, options: &Options) -> Result<Outcome, VolumesError> {
        torch::init(options.threads);
        let device: DeviceChoice = options.device.parse()?;
        self.plan_memory(device)?;
        if options.restart {
            clear_folder(&self.folder, &OUTPUTS)?;
        }
        let mut state = self.start(device)?;
        // Not before it is sure that what is written is of this training.
        self.write_facts()?;
        self.say_what(&state.classifier);
        if !state.notes.ended {
            self.train(&mut state, &options.stop)?;
        }
        let notes = &state.notes;
        let best = notes.best.clone().expect("an epoch that ended was the best at first");
        let early = (notes.epochs.len()) < self.recipe.train.epochs;
        let ended = finish::finish(self, &mut state.classifier, &state.checkpoints, notes, &options.stop)?;
        Ok(Outcome {
            classifier: ended.classifier,
            best,
            epochs: notes.epochs.len(),
            early,
            failures: self.data.failures.len(),
            measured: ended.measured,
        })
    }

    /// Says what the training will take, and refuses what will not fit.
    fn plan_memory(&self, device: DeviceChoice) -> Result<(), VolumesError> {
        let section = &self.recipe.train;
        let part = section.part.unwrap_or(section.batch);
        let plan = MemoryPlan::of(
            &self.recipe.network,
            self.recipe.input.size,
            section.batch,
            part,
            section.precision,
            section.recompute,
        )?;
        let free = free_memory(device)?;
        tracing::info!("memory of a step:\n{}", plan.table());
        let limit = section.memory_mb.map(|limit| limit as u64 * 1_000_000).or(free);
        match limit {
            Some(limit) => Ok(plan.refuse(limit)?),
            None => Ok(()),
        }
    }

    /// The recipe with all its defaults, and who is in which set.
    fn write_facts(&self) -> Result<(), VolumesError> {
        let head: String = self.fetched.iter().map(FetchedFrom::line).collect();
        write_resolved(&self.recipe, &head, &self.folder.join("recipe.toml"))?;
        let (rows, data) = (&self.data.cohort.rows, &self.data);
        let failed = |row: usize| data.failures.iter().find(|(failed, _)| *failed == row);
        let header = ["row", "scan_id", "patient_id", "set", "reason"].map(str::to_owned);
        let cells = (0..data.cohort.len()).map(|row| {
            let set = data.split.sets()[row].as_ref();
            vec![
                (row + 1).to_string(),
                rows.scan_id[row].clone(),
                rows.patient_id[row].clone(),
                set.map_or_else(|| "none".to_owned(), ToString::to_string),
                failed(row).map_or("", |(_, why)| why.as_str()).to_owned(),
            ]
        });
        write_csv(&self.folder.join("data.csv"), &header, cells)?;
        let shown: Vec<_> = data
            .training
            .iter()
            .take(4)
            .map(|row| data.scan(*row).clone())
            .collect();
        let folder = self.folder.join("sheets");
        std::fs::create_dir_all(&folder).map_err(|source| VolumesError::Folder {
            source,
            path: folder.clone(),
        })?;
        Ok(sheet::augmentation(
            &shown,
            &self.recipe,
            &folder.join("augmentation.png"),
        )?)
    }

    fn start(&self, device: DeviceChoice) -> Result<State, VolumesError> {
        let recipe = &self.recipe;
        let section = &recipe.train;
        let config = ClassifierConfig {
            network: recipe.network.clone(),
            input: recipe.input.clone(),
            seed: recipe.seed,
            adam: Adam {
                weight_decay: section.weight_decay,
                ..Adam::at(section.lr)
            },
            clip: section.clip,
            precision: section.precision,
            recompute: section.recompute,
            device,
        };
        let mut classifier = Classifier::new(config, self.start.as_deref())?;
        let checkpoints = Checkpoints::open(&self.folder.join("checkpoints"), recipe.checkpoint.keep)?;
        let mut notes = Notes {
            plateau: recipe.plateau.start(section.lr),
            seen: Seen::default(),
            epochs: Vec::new(),
            best: None,
            ended: false,
            started_from: classifier.started_from().map(str::to_owned),
        };
        let log = match checkpoints.latest()? {
            Some(checkpoint) => {
                checkpoint.check_same(&self.recipe_value(), &self.data.sha256, "scans")?;
                let began: Notes = checkpoint.notes()?;
                checkpoint.check_start(began.started_from.as_deref(), notes.started_from.as_deref())?;
                classifier.restore(&checkpoint)?;
                notes = began;
                // A run that was killed between a checkpoint and its mark.
                if let Some(best) = &notes.best {
                    checkpoints.mark_best(&self.mark(best))?;
                }
                let step = classifier.steps();
                if !notes.ended {
                    tracing::info!("goes on after step {step}, in epoch {}", notes.epochs.len() + 1);
                }
                RunLog::resume(&self.folder, RATE, step)?
            }
            None => RunLog::create(&self.folder, RATE)?,
        };
        Ok(State {
            saved: classifier.steps(),
            classifier,
            checkpoints,
            log,
            notes,
            since: Instant::now(),
            alarmed: false,
        })
    }

    pub(super) fn recipe_value(&self) -> serde_json::Value {
        serde_json::to_value(&self.recipe).expect("a recipe that was read can be written")
    }

    fn say_what(&self, classifier: &Classifier) {
        let data = &self.data;
        let patients = |rows: &[usize]| {
            let patients: std::collections::BTreeSet<usize> = data.patients(rows).into_iter().collect();
            counted(patients.len(), "patient")
        };
        tracing::info!(
            "{} on {} of {}, watched by {} on {} of {}; {} parameters; {}",
            self.recipe.network.kind(),
            counted(data.training.len(), "scan"),
            patients(&data.training),
            self.recipe.plateau.metric.name(),
            counted(data.validation.len(), "scan"),
            patients(&data.validation),
            count(classifier.size()),
            classifier.device()
        );
        if let Some((row, why)) = data.failures.first() {
            tracing::warn!(
                "{} could not be read; they are listed in data.csv (first: row {}: {why})",
                counted(data.failures.len(), "scan"),
                row + 1
            );
        }
        for warning in &data.cohort.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// All epochs that are left.
    fn train(&self, state: &mut State, stop: &AtomicBool) -> Result<(), VolumesError> {
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
            progress.note(&shown(&numbers));
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
    fn stop_at(&self, state: &State, step: u64, broken: &[&str], rows: &[usize]) -> Result<VolumesError, VolumesError> {
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

    /// Validates, decides what follows, writes it all down and saves.
    fn end_epoch(&self, state: &mut State, seen: u64) -> Result<(), VolumesError> {
        let (recipe, data) = (&self.recipe, &self.data);
        let (step, metric) = (state.classifier.steps(), recipe.plateau.metric);
        let outputs = self.outputs(&state.classifier, &data.validation)?;
        let scores: Vec<f64> = outputs.iter().map(|outputs| probability(*outputs)).collect();
        let weights: Vec<f64> = data.validation.iter().map(|row| data.weights[*row]).collect();
        let val_loss = mean_loss(&outputs, &data.classes(&data.validation), &weights);
        if !val_loss.is_finite() {
            return Err(self.stop_at(state, step, &["val_loss"], &data.validation)?);
        }
        let trained = std::mem::take(&mut state.notes.seen);
        let (rows, train_scores): (Vec<usize>, Vec<f64>) = trained.scores.into_iter().unzip();
        let auc = |set: &str, rows: &[usize], scores: &[f64]| {
            data.auc(recipe, rows, scores).map_err(|source| VolumesError::Eval {
                set: set.to_owned(),
                source,
            })
        };
        let numbers = EpochNumbers {
            train_loss: trained.loss / trained.weight,
            train_auc: auc("training", &rows, &train_scores)?,
            val_loss,
            val_auc: auc("validation", &data.validation, &scores)?,
            lr: state.notes.plateau.lr,
        };
        let watched = numbers.watched(metric);
        let heard = recipe.plateau.hear(&mut state.notes.plateau, watched);
        let epoch = state.notes.epochs.len() as u64 + 1;
        let mut line = vec![("epoch", epoch as f64)];
        line.extend(numbers.named());
        tracing::info!("epoch {epoch}: {}", shown(&numbers.named()));
        line.push(("seconds", state.since.elapsed().as_secs_f64()));
        state.since = Instant::now();
        state.log.write(step, seen, &line, "epoch")?;
        if heard.fell {
            tracing::info!(
                "the learning rate falls to {:.3e}: {} got no better",
                state.notes.plateau.lr,
                metric.name()
            );
        }
        state.notes.epochs.push(numbers);
        self.alarm(state, step, &scores)?;
        state.notes.ended = heard.ended || epoch == recipe.train.epochs as u64;
        let candidate = Best {
            epoch,
            step,
            value: watched,
            loss: val_loss,
        };
        let better = candidate.beats(metric, state.notes.best.as_ref());
        if better {
            state.notes.best = Some(candidate);
        }
        self.save(state)?;
        // The mark follows its checkpoint: until then the old one is kept, and what goes on from here marks it again.
        match &state.notes.best {
            Some(best) if better => Ok(state.checkpoints.mark_best(&self.mark(best))?),
            _ => Ok(()),
        }
    }

    fn alarm(&self, state: &mut State, step: u64, scores: &[f64]) -> Result<(), VolumesError> {
        let data = &self.data;
        let side = |wanted: bool| -> f64 {
            let rows = data
                .training
                .iter()
                .filter(|row| (data.cohort.positive[**row] == Some(true)) == wanted);
            rows.map(|row| data.weights[*row]).sum()
        };
        let alarms = alarm::after_epoch(
            &state.notes.epochs,
            alarm::loss_of_a_coin(side(true), side(false)),
            scores,
        );
        let silent = alarms.is_empty();
        if !state.alarmed {
            for alarm in alarms {
                state.log.alarm(step, &alarm)?;
            }
        }
        // What goes on being wrong is said once.
        state.alarmed = !silent;
        Ok(())
    }

    /// The two outputs of rows, one scan after the other: no scan's score depends on its neighbours' in a batch, not even in its last bit.
    pub(super) fn outputs(&self, classifier: &Classifier, rows: &[usize]) -> Result<Vec<[f64; 2]>, VolumesError> {
        let mut outputs = Vec::new();
        for row in rows {
            outputs.extend(classifier.outputs(&[self.data.scan(*row).voxels()])?);
        }
        Ok(outputs)
    }

    fn mark(&self, best: &Best) -> BestMark {
        BestMark {
            step: best.step,
            metric: self.recipe.plateau.metric.name().to_owned(),
            value: best.value,
        }
    }

    fn save(&self, state: &mut State) -> Result<(), VolumesError> {
        let stamp = Stamp {
            step: state.classifier.steps(),
            recipe: self.recipe_value(),
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

/// Numbers on one line, as a bar shows them.
fn shown(numbers: &[(&'static str, f64)]) -> String {
    let some = numbers.iter().filter(|(name, _)| *name != "lr" && *name != "grad_norm");
    let words: Vec<String> = some.map(|(name, value)| format!("{name} {value:.4}")).collect();
    words.join("  ")
}
