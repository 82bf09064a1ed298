//! `hounsfield preview`: slices before and after preprocessing, and how often which values occur at each site; of a training of
//! whole scans, what augmentation does to them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use hounsfield::{
    cohort::{Cohort, CohortPlan},
    preview::{Preview, PreviewPlan, rows_by_site},
    progress::Progress,
    recipe::{self, CohortSection, TrainVolume},
    scans::{CachedScan, Scans},
    study::pseudonymizer,
    tables::{read_table, write_csv},
    volumes::sheet,
};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A table of slices, as `hounsfield index` writes it, or the file of a study or of a training; of a training of whole scans, the
    /// scans and changes of them as augmentation makes them are shown
    source: PathBuf,
    /// Override a key of the study, or set one for a table, e.g. `--set preprocess.window=mediastinum`,
    /// `--set 'preprocess.windows=["lung", "mediastinum", "wide"]'` or `--set cohort.patient=pid`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Folder for the page, its figures and the list of its slices
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Slices, or whole scans, that are drawn of each site, of as many patients as can be
    #[arg(long, value_name = "N", default_value_t = 8)]
    per_site: usize,
    /// Seed of the draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    // Before thousands of slices are read.
    ensure!(
        args.out.is_dir() || !args.out.exists(),
        "--out names a file, give a folder: {:?}",
        args.out
    );
    if args.source.extension().is_some_and(|extension| extension == "toml") && TrainVolume::is_told_by(&args.source)? {
        return scans(args);
    }
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
    let preview = Preview::draw(&cohort, plan)?;
    for file in preview.write(&args.out)? {
        say!("{}", file.display());
    }
    Ok(Done::with(preview.failures()))
}

/// The sheet of a training of whole scans.
fn scans(args: &Args) -> anyhow::Result<Done> {
    let recipe = TrainVolume::load(&args.source, &args.overrides)?;
    ensure!(args.per_site > 0, "--per-site is 0, expected at least 1");
    let home = args.source.parent().unwrap_or(Path::new(""));
    let table = home.join(recipe.cohort.table.as_deref().unwrap_or(Path::new("")));
    let section = CohortSection {
        salt: recipe.cohort.salt.as_ref().map(|salt| home.join(salt)),
        ..recipe.cohort.clone()
    };
    let plan = CohortPlan {
        columns: recipe.columns(),
        classes: None,
        ids: pseudonymizer(&section)?,
    };
    let folder = table.parent().unwrap_or(Path::new(""));
    let all = Scans::read(&read_table(&table)?, folder, &plan).context("read the table of scans")?;
    let drawn = rows_by_site(&all.cohort, args.per_site, args.seed);
    let drawn: Vec<(&String, usize)> = drawn
        .iter()
        .flat_map(|(site, rows)| rows.iter().map(move |row| (site, *row)))
        .collect();
    let progress = Progress::new("scans", "scans read", drawn.len() as u64);
    let (mut ready, mut lines, mut reason) = (Vec::new(), Vec::new(), None);
    for (site, row) in &drawn {
        match CachedScan::of(&all.sources[*row], &recipe.input) {
            Ok(scan) => {
                ready.push(scan);
                let rows = &all.cohort.rows;
                let [scan, patient] = [&rows.scan_id, &rows.patient_id].map(|ids| ids[*row].clone());
                let label = rows.label[*row].clone().unwrap_or_default();
                lines.push(vec![ready.len().to_string(), (*site).clone(), scan, patient, label]);
            }
            Err(error) => {
                let why = error.without_path();
                tracing::warn!("scan {} of the table is left out: {why}", row + 1);
                reason.get_or_insert(why);
            }
        }
        progress.tick(1);
    }
    progress.finish();
    let failures = drawn.len() - ready.len();
    ensure!(
        !ready.is_empty(),
        "none of {failures} scans could be read, the first for this reason: {}",
        reason.unwrap_or_default()
    );
    std::fs::create_dir_all(&args.out).with_context(|| format!("make the folder {:?}", args.out))?;
    let (picture, list) = (args.out.join("augmentation.png"), args.out.join("scans.csv"));
    sheet::augmentation(&ready, &recipe, &picture)?;
    let header = ["line", "site", "scan_id", "patient_id", "label"].map(str::to_owned);
    write_csv(&list, &header, lines.into_iter())?;
    for file in [picture, list] {
        say!("{}", file.display());
    }
    Ok(Done::with(failures))
}
