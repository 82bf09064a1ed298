//! The end of a training: the best epoch's network scores every scan, is measured, and gets its card.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    Measured, Scored, VolumeTraining, VolumesError,
    data::Data,
    maps::{self, Looked, MapsPlan},
    notes::Notes,
};
use crate::{
    card::{ClassifierCard, EncoderCard, Training},
    cohort::Set,
    eval::{Convergence, Unit},
    method::PlateauMetric,
    progress::Progress,
    report::Fact,
    study::clear_folder,
    tables::sha256_bytes,
    torch::{classifier::Classifier, ffi, scorer::VolumeScorer, train::Checkpoints},
    words::{count, counted},
};

/// The file of weights beside the card.
const WEIGHTS: &str = "weights.safetensors";

/// The folder of pictures.
pub(super) const MAPS: &str = "maps";

/// What the end of a training leaves.
pub(super) struct Finished {
    /// The folder of the network and its card.
    pub classifier: PathBuf,
    /// How its scores were measured.
    pub measured: Measured,
}

/// Goes back to the best epoch and writes all that follows from it.
pub(super) fn finish(
    run: &VolumeTraining,
    classifier: &mut Classifier,
    checkpoints: &Checkpoints,
    notes: &Notes,
    stop: &AtomicBool,
) -> Result<Finished, VolumesError> {
    let (recipe, data) = (&run.recipe, &run.data);
    let best = notes.best.as_ref().expect("the first epoch was the best at first");
    let made = classifier.steps();
    let no_best = || VolumesError::NoBest {
        step: best.step,
        path: run.folder.join("checkpoints"),
    };
    classifier.restore(&checkpoints.at(best.step).map_err(|_| no_best())?)?;
    let ready = data.ready();
    let scorer = classifier.scorer()?;
    let progress = Progress::new("score", "scans scored", ready.len() as u64);
    let mut scores = vec![None; data.cohort.len()];
    for row in &ready {
        scores[*row] = Some(scorer.score(&[data.scan(*row).voxels()])?[0]);
        progress.tick(1);
        if stop.load(Ordering::Relaxed) {
            return Err(VolumesError::InterruptedEnd);
        }
    }
    progress.finish();
    let convergence = convergence(run, notes, &scores)?;
    let scored = Scored {
        name: &run.name,
        recipe,
        cohort: &data.cohort,
        split: &data.split,
        scores: &scores,
        failures: &data.failures,
        convergence: &convergence,
        facts: facts(run, classifier, notes, made),
    };
    // Both before the pictures, which may take long, be broken off or fail.
    let folder = write_classifier(run, classifier, notes, &scored)?;
    let mut measured = scored.write(&run.folder, &run.home)?;
    match draw_maps(run, &scorer, &scored, stop) {
        Ok(None) => {}
        Ok(Some(page)) => measured.link(&run.folder, &page)?,
        Err(VolumesError::InterruptedMaps) => return Err(VolumesError::InterruptedMaps),
        Err(error) => tracing::warn!("no maps, all else is written: {error}"),
    }
    Ok(Finished {
        classifier: folder,
        measured,
    })
}

/// Writes the weights of the best epoch and their card; gives their folder.
fn write_classifier(
    run: &VolumeTraining,
    classifier: &Classifier,
    notes: &Notes,
    scored: &Scored,
) -> Result<PathBuf, VolumesError> {
    let recipe = &run.recipe;
    let best = notes.best.as_ref().expect("the first epoch was the best at first");
    let folder = run.folder.join(ClassifierCard::FOLDER);
    std::fs::create_dir_all(&folder).map_err(|source| VolumesError::Folder {
        source,
        path: folder.clone(),
    })?;
    classifier.save_weights(&folder.join(WEIGHTS))?;
    let card = ClassifierCard {
        schema: ClassifierCard::SCHEMA,
        name: run.name.clone(),
        description: format!(
            "{} trained on CT scans, chosen after epoch {} by {} = {:.4} of validation {}s",
            recipe.network.kind(),
            best.epoch,
            recipe.plateau.metric.name(),
            best.value,
            match recipe.plateau.metric {
                PlateauMetric::Auc => recipe.evaluate.unit,
                PlateauMetric::Loss => Unit::Scan,
            }
        ),
        licence: "that of whoever trained it; see the licences of the scans".to_owned(),
        positive: recipe.cohort.positive.clone().unwrap_or_default(),
        negative: recipe.cohort.negative.clone(),
        weights: WEIGHTS.into(),
        sha256: EncoderCard::hashes(&folder, &[WEIGHTS])?,
        threshold: scored.threshold()?.map(|threshold| threshold.value),
        not_converged: scored.convergence.why_not(),
        network: recipe.network.clone(),
        input: recipe.input.clone(),
        training: training(run, notes, best.step),
    };
    card.write(&folder)?;
    Ok(folder)
}

/// Pictures of where the network looks; the page, relative to the run folder.
fn draw_maps(
    run: &VolumeTraining,
    scorer: &VolumeScorer,
    scored: &Scored,
    stop: &AtomicBool,
) -> Result<Option<String>, VolumesError> {
    // Those of an earlier end, which may have been by other scores.
    clear_folder(&run.folder, &[MAPS])?;
    let sets = run.data.split.sets().iter();
    let sets: Vec<Option<String>> = sets.map(|set| set.as_ref().map(Set::to_string)).collect();
    let not_converged = scored.convergence.why_not();
    let looked = Looked {
        name: &run.name,
        positive: run.recipe.cohort.positive.as_deref().unwrap_or_default(),
        cohort: &run.data.cohort,
        sets: &sets,
        scores: scored.scores,
        threshold: scored.threshold()?.map(|threshold| threshold.value),
        banners: not_converged
            .map(|why| format!("NOT CONVERGED: {why}"))
            .into_iter()
            .collect(),
        report: Some("../report.html".to_owned()),
    };
    let mut scan = |row: usize| Ok(run.data.scan(row).clone());
    let plan = MapsPlan::from(&run.recipe.maps);
    let files = maps::draw(scorer, &looked, &plan, &mut scan, &run.folder.join(MAPS), stop)?;
    Ok((!files.is_empty()).then(|| format!("{MAPS}/{}", maps::FILE)))
}

/// What speaks for the training having found something.
fn convergence(run: &VolumeTraining, notes: &Notes, scores: &[Option<f64>]) -> Result<Convergence, VolumesError> {
    let (recipe, data) = (&run.recipe, &run.data);
    let losses: Vec<f64> = notes.epochs.iter().map(|epoch| epoch.train_loss).collect();
    let of_training: Vec<f64> = data.training.iter().filter_map(|row| scores[*row]).collect();
    let (unit, pool) = (recipe.evaluate.unit, recipe.evaluate.pool);
    let training = data.scores(&data.training, &of_training);
    training
        .and_then(|training| Convergence::of(&losses, &training, unit, pool, &recipe.bootstrap()))
        .map_err(VolumesError::of_scores(&Set::Train.to_string()))
}

/// Which scans it was trained on, in words.
fn trained_on(data: &Data) -> String {
    let of = |rows: &[usize]| {
        let patients: std::collections::BTreeSet<usize> = data.patients(rows).into_iter().collect();
        format!(
            "{} of {}",
            counted(rows.len(), "scan"),
            counted(patients.len(), "patient")
        )
    };
    format!("{}; chosen on {}", of(&data.training), of(&data.validation))
}

fn recipe_sha256(run: &VolumeTraining) -> String {
    sha256_bytes(run.recipe_value().to_string().as_bytes())
}

fn training(run: &VolumeTraining, notes: &Notes, step: u64) -> Training {
    let best = notes.best.as_ref().map_or(0, |best| best.epoch);
    Training {
        method: run.recipe.network.kind().to_owned(),
        data: trained_on(&run.data),
        seed: run.recipe.seed,
        steps: step,
        images: best * run.data.training.len() as u64,
        batch_norm: "running means of the training's batches".to_owned(),
        recipe_sha256: recipe_sha256(run),
        hounsfield: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: ffi::torch_version(),
        started_from: notes.started_from.clone(),
    }
}

/// What the report says of this training besides its recipe.
fn facts(run: &VolumeTraining, classifier: &Classifier, notes: &Notes, made: u64) -> Vec<Fact> {
    let metric = run.recipe.plateau.metric.name();
    let best = notes.best.as_ref().map(|best| {
        let (epoch, value, loss) = (best.epoch, best.value, best.loss);
        format!("epoch {epoch}, by {metric} = {value:.4}; its validation loss is {loss:.4}")
    });
    let end = match notes.epochs.len() < run.recipe.train.epochs {
        true => format!("{metric} was not better for {} epochs", run.recipe.plateau.stop),
        false => "all epochs were made".to_owned(),
    };
    let mut rates: Vec<String> = notes.epochs.iter().map(|epoch| format!("{:.3e}", epoch.lr)).collect();
    rates.dedup();
    let facts = [
        ("Training", "scans", trained_on(&run.data)),
        ("Training", "steps", count(made as usize)),
        ("Training", "end", end),
        ("Training", "best epoch", best.unwrap_or_default()),
        ("Training", "learning rates", rates.join(", ")),
        ("Training", "device", classifier.device()),
        ("Reproducibility", "recipe", format!("SHA-256 {}", recipe_sha256(run))),
        ("Reproducibility", "scans", format!("SHA-256 {}", run.data.sha256)),
        ("Reproducibility", "libtorch", ffi::torch_version()),
    ];
    let fact = |(group, name, value): (&str, &str, String)| Fact {
        group: group.to_owned(),
        name: name.to_owned(),
        value,
    };
    facts.into_iter().map(fact).collect()
}
