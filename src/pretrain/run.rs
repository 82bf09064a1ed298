//! The loop: steps, logs, looks, checkpoints, and the end.

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
    Alarms, Data, PretrainError, Watch, card,
    loader::Loader,
    watch::{Look, sheet},
};
use crate::{
    journal::{RunLog, not_finite, one_line},
    progress::Progress,
    recipe::{FetchedFrom, Pretrain, write_resolved},
    study::{HeldFolder, clear_folder, hold_folder, pseudonymizer},
    tables::write_csv,
    torch::{
        self,
        device::DeviceChoice,
        train::{BestMark, Checkpoints, Stamp},
        trainer::{Start, Trainer, TrainerConfig},
    },
    words::count,
};

/// What the number of slices a second is called.
const RATE: &str = "images_per_s";

/// How a training is run. None of it changes what comes out on one thread of a processor.
#[derive(Debug, Clone)]
pub struct Options {
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of one operation; all cores where `None`. With 1 a training is the same to the bit each time.
    pub threads: Option<usize>,
    /// Threads that load slices. Default: one on a processor, which computes itself, else one a core.
    pub load_threads: Option<usize>,
    /// Remove what an earlier training left in the folder.
    pub restart: bool,
    /// Set from elsewhere to stop after the step in hand.
    pub stop: Arc<AtomicBool>,
}

/// What a training comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The folder of the encoder after the last step.
    pub encoder: PathBuf,
    /// The best look, and the folder of its encoder.
    pub best: Option<(BestMark, PathBuf)>,
    /// Steps that were made in all.
    pub steps: u64,
    /// Whether it ended before its last step, since looks did not get better.
    pub early: bool,
    /// Slices that could not be read.
    pub failures: usize,
}

/// A training in its run folder.
pub struct Pretraining {
    recipe: Pretrain,
    name: String,
    folder: PathBuf,
    data: Data,
    /// The files that networks start from.
    start: Start,
    /// What of them came from the hub.
    fetched: Vec<FetchedFrom>,
    /// Held as long as the run lives, so that two runs do not write into one folder.
    _guard: HeldFolder,
}

/// What a run keeps in its checkpoints besides tensors.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Notes {
    /// Looks since the best one.
    worse: usize,
    /// SHA-256 of the weights that the training began from.
    #[serde(default)]
    started_from: Option<String>,
}

/// The parts of a run that change.
struct State {
    trainer: Trainer,
    checkpoints: Checkpoints,
    watch: Watch,
    log: RunLog,
    alarms: Alarms,
    saved: u64,
    notes: Notes,
}

impl Pretraining {
    /// Opens a run folder and reads the slices. `home` is the recipe's folder, which its paths are relative to.
    ///
    /// # Errors
    ///
    /// A folder that can't be used or that another process uses, and whatever is wrong with the slices.
    pub fn open(recipe: Pretrain, name: &str, home: &Path, folder: &Path) -> Result<Self, PretrainError> {
        let guard = hold_folder(folder)?;
        let files = recipe.start(home)?;
        let mut section = recipe.cohort.clone();
        section.salt = section.salt.map(|salt| home.join(salt));
        let ids = pseudonymizer(&section)?;
        let data = Data::read(&recipe, home, ids)?;
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            start: Start {
                encoder: files.encoder,
                networks: files.networks,
            },
            fetched: files.fetched,
            recipe,
            data,
            _guard: guard,
        })
    }

    /// The recipe with all its defaults, and who is trained on.
    fn write_facts(&self) -> Result<(), PretrainError> {
        let head: String = self.fetched.iter().map(FetchedFrom::line).collect();
        write_resolved(&self.recipe, &head, &self.folder.join("recipe.toml"))?;
        let rows = &self.data.cohort.rows;
        let mut cells: Vec<(usize, &str, &str)> = Vec::new();
        cells.extend(self.data.training.iter().map(|row| (*row, "training", "")));
        cells.extend(self.data.held_out.iter().map(|row| (*row, "held-out", "")));
        cells.extend(
            self.data
                .failures
                .iter()
                .map(|(row, why)| (*row, "failed", why.as_str())),
        );
        cells.sort_unstable();
        let header = ["row", "slice_id", "patient_id", "set", "reason"].map(str::to_owned);
        let cells = cells.into_iter().map(|(row, set, why)| {
            let (slice, patient) = (rows.slice_id[row].clone(), rows.patient_id[row].clone());
            vec![(row + 1).to_string(), slice, patient, set.to_owned(), why.to_owned()]
        });
        Ok(write_csv(&self.folder.join("data.csv"), &header, cells)?)
    }

    /// Trains, from the newest checkpoint on where there is one.
    ///
    /// # Errors
    ///
    /// A checkpoint of another recipe or of other slices, a device that is not there, numbers that are not finite, an
    /// interruption (then everything is saved first).
    pub fn run(&self, options: &Options) -> Result<Outcome, PretrainError> {
        torch::init(options.threads);
        let device: DeviceChoice = options.device.parse()?;
        if options.restart {
            clear_folder(
                &self.folder,
                &["checkpoints", "events", "sheets", "best", "encoder", "alarms"],
            )?;
        }
        let mut state = self.start(device)?;
        // Not before it is sure that what is written is of this training.
        self.write_facts()?;
        let threads = options.load_threads.unwrap_or_else(|| match state.trainer.on_cpu() {
            true => 1,
            false => thread::available_parallelism().map_or(1, usize::from),
        });
        self.say_what(&state.trainer);
        let steps = self.recipe.train.steps;
        let images = self.recipe.images_per_step();
        let progress = Progress::new("pretrain", "images", (steps - state.trainer.steps()) * images);
        let early = thread::scope(|scope| {
            let mut loader = Loader::start(scope, &self.recipe, &self.data, state.trainer.steps(), threads.max(1));
            self.steps(&mut state, &mut loader, &progress, &options.stop)
        });
        progress.finish();
        let early = early?;
        let best = state.checkpoints.best();
        Ok(Outcome {
            encoder: self.finish(&mut state)?,
            best: best.map(|best| (best, self.folder.join("best"))),
            steps: state.trainer.steps(),
            early,
            failures: self.data.failures.len(),
        })
    }

    fn start(&self, device: DeviceChoice) -> Result<State, PretrainError> {
        let recipe = &self.recipe;
        let config = TrainerConfig {
            encoder: recipe.encoder.clone(),
            method: recipe.method.clone(),
            seed: recipe.seed,
            steps: recipe.train.steps,
            precision: recipe.train.precision,
            recompute: recipe.train.recompute,
            device,
        };
        let mut trainer = Trainer::new(config, &self.start)?;
        let checkpoints = Checkpoints::open(&self.folder.join("checkpoints"), recipe.checkpoint.keep)?;
        let watch = Watch::new(recipe, &self.data);
        let mut notes = Notes::default();
        let log = match checkpoints.latest()? {
            Some(checkpoint) => {
                checkpoint.check_same(&self.recipe_value(), &self.data.sha256, "slices")?;
                trainer.restore(&checkpoint)?;
                notes = serde_json::from_value(checkpoint.stamp.notes.clone()).unwrap_or_default();
                checkpoint.check_start(notes.started_from.as_deref(), trainer.started_from())?;
                let step = trainer.steps();
                tracing::info!("goes on after step {step} of {}", recipe.train.steps);
                RunLog::resume(&self.folder, RATE, step)?
            }
            None => {
                notes.started_from = trainer.started_from().map(str::to_owned);
                trainer.adapt(watch.standing.view())?;
                RunLog::create(&self.folder, RATE)?
            }
        };
        Ok(State {
            saved: trainer.steps(),
            trainer,
            checkpoints,
            watch,
            log,
            alarms: Alarms::default(),
            notes,
        })
    }

    fn recipe_value(&self) -> serde_json::Value {
        serde_json::to_value(&self.recipe).expect("a recipe that was read can be written")
    }

    fn say_what(&self, trainer: &Trainer) {
        let sizes = trainer.sizes().into_iter();
        let sizes: Vec<String> = sizes.map(|(name, n)| format!("{name} {}", count(n))).collect();
        tracing::info!(
            "{} on {} slices of {} patients ({} held out); parameters: {}; {}",
            self.recipe.method.kind(),
            count(self.data.training.len()),
            count(self.data.patients(&self.data.training)),
            count(self.data.patients(&self.data.held_out)),
            sizes.join(", "),
            trainer.device()
        );
        if !self.data.failures.is_empty() {
            tracing::warn!(
                "{} slices could not be read; they are listed in data.csv (first: row {}: {})",
                self.data.failures.len(),
                self.data.failures[0].0 + 1,
                self.data.failures[0].1
            );
        }
    }

    /// All steps that are left; whether the training ended early.
    fn steps(
        &self,
        state: &mut State,
        loader: &mut Loader,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<bool, PretrainError> {
        let recipe = &self.recipe;
        let due = |step: u64, every: u64| every > 0 && step.is_multiple_of(every);
        while state.trainer.steps() < recipe.train.steps {
            let Some(batches) = loader.step()? else { break };
            let images = batches.len() * recipe.train.batch;
            let numbers = state.trainer.step(&batches)?;
            let step = state.trainer.steps();
            self.check_finite(state, &numbers, &batches)?;
            for alarm in state.alarms.hear(&numbers) {
                state.log.alarm(step, &alarm)?;
            }
            progress.note(&one_line(&numbers));
            progress.tick(images as u64);
            state.log.hear(&numbers, recipe.images_per_step());
            if due(step, recipe.watch.log_every) {
                state.log.write_means(step, step * recipe.images_per_step())?;
            }
            let last = step == recipe.train.steps;
            let sheets = due(step, recipe.watch.sheets_every) || (last && recipe.watch.sheets_every > 0);
            let look = due(step, recipe.watch.evaluate_every) || (last && recipe.watch.evaluate_every > 0);
            let ended = self.look(state, sheets, look)?;
            let stopped = stop.load(Ordering::Relaxed);
            if (due(step, recipe.checkpoint.every) || last || ended || stopped) && state.saved != step {
                self.save(state)?;
            }
            if ended {
                return Ok(true);
            }
            if stopped && !last {
                return Err(PretrainError::Interrupted {
                    done: step,
                    steps: recipe.train.steps,
                });
            }
        }
        Ok(false)
    }

    /// Stops at numbers that are none, with the batch that did it on disk.
    fn check_finite(
        &self,
        state: &State,
        numbers: &[(&'static str, f64)],
        batches: &[ndarray::Array4<f32>],
    ) -> Result<(), PretrainError> {
        let broken = not_finite(numbers);
        if broken.is_empty() {
            return Ok(());
        }
        let step = state.trainer.steps();
        let folder = self.folder.join("alarms");
        std::fs::create_dir_all(&folder).map_err(|source| PretrainError::Folder {
            source,
            path: folder.clone(),
        })?;
        for (at, batch) in batches.iter().enumerate() {
            let path = folder.join(format!("step-{step:08}-batch-{at}.png"));
            let (n, planes, height, width) = batch.dim();
            let grey = batch.view().into_shape_with_order((n * planes, height, width));
            sheet(16, grey.expect("a batch lies in one piece").outer_iter())?.save(&path)?;
            torch::trainer::save_batch(batch, &path.with_extension("safetensors"))?;
        }
        let mut what: Vec<String> = broken.iter().map(|name| (*name).to_owned()).collect();
        what.extend(state.trainer.not_finite()?.into_iter().take(5));
        Err(PretrainError::NotFinite {
            step,
            what: what.join(", "),
            good: state.saved,
            path: folder,
        })
    }

    /// Sheets and a look where they are due; whether the training is to end.
    fn look(&self, state: &mut State, sheets: bool, look: bool) -> Result<bool, PretrainError> {
        if !sheets && !look {
            return Ok(false);
        }
        let started = Instant::now();
        let step = state.trainer.steps();
        let product = state.trainer.product(state.watch.standing.view())?;
        if sheets {
            let folder = self.folder.join("sheets");
            std::fs::create_dir_all(&folder).map_err(|source| PretrainError::Folder {
                source,
                path: folder.clone(),
            })?;
            state.watch.sheets(&product, &folder, step, state.log.events())?;
        }
        let mut ended = false;
        if look {
            let found = state.watch.look(&product, self.recipe.watch.features)?;
            if !found.is_empty() {
                tracing::info!("step {step}: {}", one_line(&found));
                let seen = step * self.recipe.images_per_step();
                state.log.write(step, seen, &found, "look")?;
            }
            ended = self.choose(state, &product, &found)?;
            state.trainer.adapt(state.watch.standing.view())?;
        }
        // Looks are no training: the rate in the log leaves them out.
        state.log.pause(started.elapsed());
        Ok(ended)
    }

    /// Keeps the encoder where it is the best so far; whether too many looks were worse.
    fn choose(
        &self,
        state: &mut State,
        product: &torch::trainer::Product,
        found: &Look,
    ) -> Result<bool, PretrainError> {
        let Some(best) = self.recipe.best() else {
            return Ok(false);
        };
        let Some((_, value)) = found.iter().find(|(name, _)| *name == best.name()) else {
            return Ok(false);
        };
        let before = state.checkpoints.best().map(|mark| mark.value);
        if !best.improves(*value, before) {
            state.notes.worse += 1;
            let patience = self.recipe.watch.patience;
            return Ok(patience > 0 && state.notes.worse >= patience);
        }
        state.notes.worse = 0;
        let step = state.trainer.steps();
        let chosen = format!(
            "chosen at step {step} by {} = {value:.4} of held-out patients",
            best.name()
        );
        card::write(
            &self.folder.join("best"),
            &self.name,
            (&self.recipe, &self.data),
            (&state.trainer, product),
            &chosen,
        )?;
        state.checkpoints.mark_best(&BestMark {
            step,
            metric: best.name().to_owned(),
            value: *value,
        })?;
        self.save(state)?;
        Ok(false)
    }

    fn save(&self, state: &mut State) -> Result<(), PretrainError> {
        let stamp = Stamp {
            step: state.trainer.steps(),
            recipe: self.recipe_value(),
            data: self.data.sha256.clone(),
            notes: serde_json::to_value(&state.notes).expect("a number"),
        };
        state.trainer.save(&state.checkpoints, &stamp)?;
        state.saved = stamp.step;
        Ok(())
    }

    /// Writes the encoder after the last step.
    fn finish(&self, state: &mut State) -> Result<PathBuf, PretrainError> {
        let product = state.trainer.product(state.watch.standing.view())?;
        let folder = self.folder.join("encoder");
        let chosen = format!("after its last step, {}", state.trainer.steps());
        card::write(
            &folder,
            &self.name,
            (&self.recipe, &self.data),
            (&state.trainer, &product),
            &chosen,
        )?;
        Ok(folder)
    }
}
