//! `hounsfield preview`: slices before and after preprocessing, and how often which values occur at each site.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use hounsfield::{
    cohort::{Cohort, CohortPlan},
    preview::{Preview, PreviewPlan},
    recipe,
    study::pseudonymizer,
    tables::read_table,
};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A table of slices, as `hounsfield index` writes it, or the file of a study or of a training
    source: PathBuf,
    /// Override a key of the study, or set one for a table, e.g. `--set preprocess.window=mediastinum`,
    /// `--set 'preprocess.windows=["lung", "mediastinum", "wide"]'` or `--set cohort.patient=pid`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Folder for the page, its figures and the list of its slices
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Slices that are drawn of each site, of as many patients as can be
    #[arg(long, value_name = "N", default_value_t = 8)]
    per_site: usize,
    /// Seed of the draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let recipe = recipe::Preview::load(&args.source, &args.overrides)?;
    let table = recipe.cohort.table.as_deref().unwrap_or(Path::new(""));
    let plan = CohortPlan {
        columns: recipe.columns(),
        // Whatever the labels are, slices can be looked at.
        classes: None,
        ids: pseudonymizer(&recipe.cohort)?,
    };
    let folder = table.parent().unwrap_or(Path::new(""));
    let cohort = Cohort::read(&read_table(table)?, folder, &plan).context("read the table of slices")?;
    let name = args.source.file_stem().unwrap_or_default().to_string_lossy();
    let plan = PreviewPlan {
        title: format!("Preview of {name}"),
        preprocess: recipe.preprocess,
        size: recipe.size,
        per_site: args.per_site,
        seed: args.seed,
    };
    // Before thousands of slices are read.
    ensure!(
        args.out.is_dir() || !args.out.exists(),
        "--out names a file, give a folder: {:?}",
        args.out
    );
    let preview = Preview::draw(&cohort, plan)?;
    for file in preview.write(&args.out)? {
        say!("{}", file.display());
    }
    Ok(Done::with(preview.failures()))
}
