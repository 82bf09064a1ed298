//! A training in its run folder: what is refused before any work, what is written down, where it begins, and what it comes to.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use super::{
    Measured, VolumesError, check_against,
    data::Data,
    finish,
    notes::{Alarmed, Best, Notes, Seen},
    sheet,
};
use crate::{
    baseline::{MemoryLimit, MemoryPlan, Place},
    card::ClassifierCard,
    journal::RunLog,
    method::Adam,
    recipe::{FetchedFrom, TrainVolume, write_resolved},
    study::{HeldFolder, clear_folder, hold_folder, pseudonymizer},
    tables::write_csv,
    torch::{
        self,
        classifier::{self, Classifier, ClassifierConfig},
        device::{self, DeviceChoice},
        train::Checkpoints,
    },
    words::{count, counted},
};

/// What the number of scans a second is called.
const RATE: &str = "scans_per_s";

/// The folder of checkpoints.
const CHECKPOINTS: &str = "checkpoints";

/// What a training leaves in its folder.
const OUTPUTS: [&str; 13] = [
    "data.csv",
    CHECKPOINTS,
    "metrics.jsonl",
    "events",
    "sheets",
    "alarms",
    ClassifierCard::FOLDER,
    finish::MAPS,
    "predictions.parquet",
    "results.json",
    "study.json",
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
    pub(super) options: Options,
    device: DeviceChoice,
    /// The file of weights that the trunk of COVNet starts from.
    start: Option<PathBuf>,
    /// What of it came from the hub.
    fetched: Option<FetchedFrom>,
    /// Held as long as the run lives, so that two runs do not write into one folder.
    _guard: HeldFolder,
}

/// The parts of a run that change.
pub(super) struct State {
    pub classifier: Classifier,
    pub checkpoints: Checkpoints,
    pub log: RunLog,
    pub notes: Notes,
    /// Step of the last checkpoint.
    pub saved: u64,
    /// When the epoch began, or was gone on with.
    pub since: Instant,
}

impl VolumeTraining {
    /// Opens a run folder and makes the scans ready. `home` is the recipe's folder, which its paths are relative to. Making scans ready
    /// takes hours, so that whatever can be refused without them is refused before.
    ///
    /// # Errors
    ///
    /// A name that is none, a folder that can't be used or that another process uses, a network that does not fit into memory, a device
    /// that is not there, a file of weights of another network, a checkpoint of another recipe; then whatever is wrong with the scans,
    /// and `options.stop` having been set.
    pub fn open(
        recipe: TrainVolume,
        name: &str,
        home: &Path,
        folder: &Path,
        options: &Options,
    ) -> Result<Self, VolumesError> {
        TrainVolume::check_name(name)?;
        check_against(&recipe, home)?;
        torch::init(options.threads);
        let device: DeviceChoice = options.device.parse()?;
        let (plan, limit) = plan_memory(&recipe, device)?;
        tracing::info!("{}", plan.table().trim_end());
        refuse(&plan, limit)?;
        let guard = hold_folder(folder)?;
        let (start, fetched) = recipe.start(home)?;
        // Built to see that it can be, and thrown away: scans are made ready meanwhile, which takes memory too.
        let classifier = Classifier::new(config(&recipe, device), start.as_deref())?;
        if !options.restart {
            check_checkpoint(&recipe, folder, classifier.started_from())?;
        }
        drop(classifier);
        let mut section = recipe.cohort.clone();
        section.salt = section.salt.map(|salt| home.join(salt));
        let ids = pseudonymizer(&section)?;
        let data = Data::read(&recipe, home, ids, &options.stop)?;
        Ok(Self {
            name: name.to_owned(),
            home: home.to_owned(),
            folder: folder.to_owned(),
            recipe,
            data,
            options: options.clone(),
            device,
            start,
            fetched,
            _guard: guard,
        })
    }

    /// Whether a training fits into the memory of a device, which [`Self::open`] asks too: for several of them, before the first.
    ///
    /// # Errors
    ///
    /// A device that is not there, a network that does not fit.
    pub fn check_memory(recipe: &TrainVolume, device: &str) -> Result<(), VolumesError> {
        let (plan, limit) = plan_memory(recipe, device.parse()?)?;
        refuse(&plan, limit)
    }

    /// Trains, from the newest checkpoint on where there is one, and measures what came out.
    ///
    /// # Errors
    ///
    /// A checkpoint of other scans, numbers that are not finite, an interruption (then everything is saved first).
    pub fn run(&self) -> Result<Outcome, VolumesError> {
        let stop = &self.options.stop;
        let mut state = self.start()?;
        // Not before it is sure that what is written is of this training.
        self.write_facts()?;
        self.say_what(&state.classifier);
        if !state.notes.ended {
            self.train(&mut state, stop)?;
        }
        let notes = &state.notes;
        let best = notes.best.clone().expect("an epoch that ended was the best at first");
        let early = (notes.epochs.len()) < self.recipe.train.epochs;
        let ended = finish::finish(self, &mut state.classifier, &state.checkpoints, notes, stop)?;
        Ok(Outcome {
            classifier: ended.classifier,
            best,
            epochs: notes.epochs.len(),
            early,
            failures: self.data.failures.len(),
            measured: ended.measured,
        })
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

    /// A new network, or that of the newest checkpoint.
    fn start(&self) -> Result<State, VolumesError> {
        let recipe = &self.recipe;
        let mut classifier = Classifier::new(config(recipe, self.device), self.start.as_deref())?;
        if self.options.restart {
            // Not before there is a new one to take its place.
            clear_folder(&self.folder, &OUTPUTS)?;
        }
        let checkpoints = Checkpoints::open(&self.folder.join(CHECKPOINTS), recipe.checkpoint.keep)?;
        let mut notes = Notes {
            plateau: recipe.plateau.start(recipe.train.lr),
            seen: Seen::default(),
            epochs: Vec::new(),
            best: None,
            ended: false,
            alarmed: Alarmed::default(),
            started_from: classifier.started_from().map(str::to_owned),
        };
        let log = match checkpoints.latest()? {
            Some(checkpoint) => {
                checkpoint.check_same(&recipe.decides_weights(), &self.data.sha256, "scans")?;
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
}

/// How the recipe's network is set up.
fn config(recipe: &TrainVolume, device: DeviceChoice) -> ClassifierConfig {
    let section = &recipe.train;
    ClassifierConfig {
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
    }
}

/// What the training will take, and what there is, where that is known.
fn plan_memory(recipe: &TrainVolume, device: DeviceChoice) -> Result<(MemoryPlan, Option<MemoryLimit>), VolumesError> {
    let section = &recipe.train;
    let plan = MemoryPlan::of(
        &recipe.network,
        recipe.input.size,
        section.batch,
        section.part.unwrap_or(section.batch),
        section.precision,
        section.recompute,
    )?;
    let plan = match classifier::place(device)? {
        Place::Processor => plan,
        Place::Card => plan.on_card()?,
    };
    let free = device::free_memory(device.resolve()?);
    let allowed = |mb: usize| MemoryLimit::Allowed((mb as u64).saturating_mul(1_000_000));
    let limit = section.memory_mb.map(allowed).or(free.map(MemoryLimit::Free));
    Ok((plan, limit))
}

fn refuse(plan: &MemoryPlan, limit: Option<MemoryLimit>) -> Result<(), VolumesError> {
    limit.map_or(Ok(()), |limit| Ok(plan.refuse(limit)?))
}

/// Refuses to go on from the checkpoint of another recipe, or where the weights at the start are others by now.
fn check_checkpoint(recipe: &TrainVolume, folder: &Path, started_from: Option<&str>) -> Result<(), VolumesError> {
    let folder = folder.join(CHECKPOINTS);
    if !folder.is_dir() {
        return Ok(());
    }
    if let Some(checkpoint) = Checkpoints::open(&folder, recipe.checkpoint.keep)?.latest()? {
        checkpoint.check_recipe(&recipe.decides_weights())?;
        let notes: Notes = checkpoint.notes()?;
        checkpoint.check_start(notes.started_from.as_deref(), started_from)?;
    }
    Ok(())
}
