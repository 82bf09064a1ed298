//! The end of a training: the best epoch's network scores every scan, is measured, and gets its card.

use std::path::PathBuf;

use super::{Measured, Scored, VolumeTraining, VolumesError, data::Data, maps, notes::Notes};
use crate::{
    card::{ClassifierCard, EncoderCard, Training},
    cohort::Set,
    eval::Convergence,
    progress::Progress,
    report::Fact,
    stats::Bootstrap,
    tables::sha256_bytes,
    torch::{classifier::Classifier, ffi, train::Checkpoints},
    words::{count, counted},
};

/// The file of weights beside the card.
const WEIGHTS: &str = "weights.safetensors";

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
) -> Result<Finished, VolumesError> {
    let (recipe, data) = (&run.recipe, &run.data);
    let best = notes.best.as_ref().expect("the first epoch was the best at first");
    let made = classifier.steps();
    let no_best = || VolumesError::NoBest {
        step: best.step,
        path: run.folder.join("checkpoints"),
    };
    classifier.restore(&checkpoints.at(best.step).map_err(|_| no_best())?)?;
    let folder = run.folder.join("classifier");
    std::fs::create_dir_all(&folder).map_err(|source| VolumesError::Folder {
        source,
        path: folder.clone(),
    })?;
    classifier.save_weights(&folder.join(WEIGHTS))?;

    let ready = data.ready();
    let scorer = classifier.scorer()?;
    let progress = Progress::new("score", "scans scored", ready.len() as u64);
    let mut scores = vec![None; data.cohort.len()];
    for row in &ready {
        scores[*row] = Some(scorer.score(&[data.scan(*row).voxels()])?[0]);
        progress.tick(1);
    }
    progress.finish();
    let convergence = convergence(run, notes, &scores)?;
    let scans: Vec<_> = ready.iter().map(|row| (*row, data.scan(*row).clone())).collect();
    let maps = maps::draw(&scorer, &scans, &data.cohort, &scores, &recipe.maps, &run.folder)?;
    let scored = Scored {
        name: &run.name,
        recipe,
        cohort: &data.cohort,
        split: &data.split,
        scores: &scores,
        failures: &data.failures,
        convergence: &convergence,
        facts: facts(run, classifier, notes, made),
        maps,
    };
    let measured = scored.write(&run.folder, &run.home)?;
    let card = ClassifierCard {
        schema: ClassifierCard::SCHEMA,
        name: run.name.clone(),
        description: format!(
            "{} trained on CT scans, chosen after epoch {} by {} = {:.4} of validation patients",
            recipe.network.kind(),
            best.epoch,
            recipe.plateau.metric.name(),
            best.value
        ),
        licence: "that of whoever trained it; see the licences of the scans".to_owned(),
        positive: recipe.cohort.positive.clone().unwrap_or_default(),
        negative: recipe.cohort.negative.clone(),
        weights: WEIGHTS.into(),
        sha256: EncoderCard::hashes(&folder, &[WEIGHTS])?,
        threshold: measured.threshold.as_ref().map(|threshold| threshold.value),
        not_converged: measured.not_converged.clone(),
        network: recipe.network.clone(),
        input: recipe.input.clone(),
        training: training(run, notes, best.step),
    };
    card.write(&folder)?;
    Ok(Finished {
        classifier: folder,
        measured,
    })
}

/// What speaks for the training having found something.
fn convergence(run: &VolumeTraining, notes: &Notes, scores: &[Option<f64>]) -> Result<Convergence, VolumesError> {
    let (recipe, data) = (&run.recipe, &run.data);
    let losses: Vec<f64> = notes.epochs.iter().map(|epoch| epoch.train_loss).collect();
    let of_training: Vec<f64> = data.training.iter().filter_map(|row| scores[*row]).collect();
    let section = &recipe.evaluate.bootstrap;
    let bootstrap = Bootstrap {
        resamples: section.resamples,
        level: section.level,
        seed: recipe.seed,
    };
    let refused = |source| VolumesError::Eval {
        set: Set::Train.to_string(),
        source,
    };
    let training = data.scores(&data.training, &of_training).map_err(refused)?;
    Convergence::of(&losses, &training, recipe.evaluate.pool, &bootstrap).map_err(refused)
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

/// What the report says of the training.
fn facts(run: &VolumeTraining, classifier: &Classifier, notes: &Notes, made: u64) -> Vec<Fact> {
    let recipe = &run.recipe;
    let section = &recipe.train;
    let metric = recipe.plateau.metric.name();
    let [d, h, w] = recipe.input.size;
    let epochs = match notes.epochs.len() < section.epochs {
        true => format!(
            "{} of at most {}: {metric} was not better for {} epochs",
            notes.epochs.len(),
            section.epochs,
            recipe.plateau.stop
        ),
        false => format!("{}, all that were asked for", notes.epochs.len()),
    };
    let mut best = String::new();
    if let Some(chosen) = &notes.best {
        best = format!(
            "epoch {}, by {metric} = {:.4} (loss {:.4})",
            chosen.epoch, chosen.value, chosen.loss
        );
    }
    let mut rates: Vec<String> = notes.epochs.iter().map(|epoch| format!("{:.3e}", epoch.lr)).collect();
    rates.dedup();
    let augment = match recipe.augment == crate::transforms::ScanAugment::default() {
        true => "none".to_owned(),
        false => serde_json::to_string(&recipe.augment).expect("plain values"),
    };
    let parts = match section.part {
        Some(part) if part < section.batch => format!("{} scans a step, in parts of {part}", section.batch),
        _ => format!("{} scans a step", section.batch),
    };
    let group = |group: &str, facts: Vec<(&str, String)>| -> Vec<Fact> {
        let fact = |(name, value): (&str, String)| Fact {
            group: group.to_owned(),
            name: name.to_owned(),
            value,
        };
        facts.into_iter().map(fact).collect()
    };
    let mut all = group(
        "Network",
        vec![
            ("kind", recipe.network.kind().to_owned()),
            ("parameters", count(classifier.size())),
            (
                "input",
                format!("{d} x {h} x {w} voxels of {} mm", recipe.input.spacing),
            ),
        ],
    );
    all.extend(group(
        "Training",
        vec![
            ("scans", trained_on(&run.data)),
            ("epochs", epochs),
            ("steps", count(made as usize)),
            ("batch", parts),
            ("best", best),
            ("learning rates", rates.join(", ")),
            ("augmentation", augment),
            ("device", classifier.device()),
        ],
    ));
    all.extend(group(
        "Reproducibility",
        vec![
            ("seed", recipe.seed.to_string()),
            ("recipe", format!("SHA-256 {}", recipe_sha256(run))),
            ("scans", format!("SHA-256 {}", run.data.sha256)),
            ("hounsfield", env!("CARGO_PKG_VERSION").to_owned()),
            ("libtorch", ffi::torch_version()),
        ],
    ));
    all
}
