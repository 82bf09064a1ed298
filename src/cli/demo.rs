//! `hounsfield demo`: a synthetic cohort and a whole study on it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use hounsfield::{
    Study, cohort::synthetic::SyntheticCohort, progress::Progress, study::StudyRun, tables::atomic_write,
};

use super::{Done, device::NetworkArgs};

/// The study that the demonstration runs; also a start for a study of one's own.
const STUDY: &str = include_str!("demo.toml");

/// The encoder of the demonstration, its card and all that stands beside it: the program is one file.
const ENCODER: [(&str, &[u8]); 5] = [
    (
        "encoder.toml",
        include_bytes!("../../pretrained/bigbigan-ct-tiny/encoder.toml"),
    ),
    (
        "weights.safetensors",
        include_bytes!("../../pretrained/bigbigan-ct-tiny/weights.safetensors"),
    ),
    (
        "generator.safetensors",
        include_bytes!("../../pretrained/bigbigan-ct-tiny/generator.safetensors"),
    ),
    (
        "MODEL_CARD.md",
        include_bytes!("../../pretrained/bigbigan-ct-tiny/MODEL_CARD.md"),
    ),
    (
        "pretrain.toml",
        include_bytes!("../../pretrained/bigbigan-ct-tiny/pretrain.toml"),
    ),
];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the cohort, the encoder, the study's file and all artefacts go
    #[arg(long, value_name = "FOLDER", default_value = "runs/demo")]
    out: PathBuf,
    /// Override a key of the study, e.g. `--set probe.unit=slice`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    network: NetworkArgs,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let study = args.out.join("study.toml");
    make_cohort(&args.out.join("cohort"))?;
    unpack_encoder(&args.out.join("encoder"))?;
    match std::fs::read_to_string(&study) {
        Ok(found) if found != STUDY => tracing::info!("the study's file was edited, it is run as it is: {study:?}"),
        Ok(_) => {}
        Err(_) => std::fs::write(&study, STUDY).with_context(|| format!("write the study: {study:?}"))?,
    }
    let recipe = Study::load(&study, &args.overrides)?;
    let outcome = StudyRun::open(recipe, "demo", &args.out)?.run(&args.network.options())?;
    say!("{}", outcome.table);
    say!("study:  {}", study.display());
    say!("report: {}", outcome.report.display());
    Ok(Done::with(outcome.failures))
}

/// Writes the files of the encoder, where they are not in place.
fn unpack_encoder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make the folder: {folder:?}"))?;
    for (name, content) in ENCODER {
        let path = folder.join(name);
        if std::fs::read(&path).is_ok_and(|found| found == content) {
            continue;
        }
        atomic_write(&path, |file| file.write_all(content)).context("unpack the encoder")?;
    }
    Ok(())
}

/// Writes the synthetic cohort, unless an earlier run left it whole.
fn make_cohort(folder: &Path) -> anyhow::Result<()> {
    let cohort = SyntheticCohort::default();
    let mark = folder.join(".complete");
    let wanted = format!("{} {cohort:?}", env!("CARGO_PKG_VERSION"));
    if std::fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        tracing::info!("cohort: the synthetic slices are in place");
        return Ok(());
    }
    if !mark.exists() && folder.join("cohort.csv").exists() {
        anyhow::bail!(
            "the folder holds a cohort that the demonstration did not make; name another with `--out`: {folder:?}"
        );
    }
    std::fs::create_dir_all(folder).with_context(|| format!("make the folder: {folder:?}"))?;
    let progress = Progress::new("phantoms", "slices", cohort.slices() as u64);
    let written = cohort.write(folder, &progress);
    progress.finish();
    written.context("write the synthetic cohort")?;
    std::fs::write(&mark, wanted).with_context(|| format!("write {mark:?}"))?;
    Ok(())
}
