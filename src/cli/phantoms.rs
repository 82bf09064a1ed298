//! `hounsfield phantoms`: a made cohort, to try and to train things on.

use std::path::PathBuf;

use anyhow::Context as _;
use hounsfield::{
    cohort::synthetic::{SyntheticCohort, SyntheticScans},
    progress::Progress,
};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where `images/` and `cohort.csv` go, or `scans/` and `scans.csv`
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Make whole scans with one of two textures in the lungs, for classifiers of scans, instead of slices
    #[arg(long)]
    scans: bool,
    /// Patients of each of two sites, half of each of two diseases; of scans, patients in all
    /// [default: 40; of scans 48]
    #[arg(long, value_name = "N")]
    patients: Option<usize>,
    /// Slices of a patient at the site with thick slices; the other has half as many again
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "scans")]
    slices: usize,
    /// Rows and columns of a slice, or voxels along each axis of a scan [default: 192; of scans 64]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Distance of two voxels of a scan
    #[arg(long, value_name = "MM", default_value_t = 5.0, requires = "scans")]
    spacing: f64,
    /// Seed of everything; other seeds make other patients
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let table = if args.scans { "scans.csv" } else { "cohort.csv" };
    if args.out.join(table).exists() {
        anyhow::bail!(
            "the folder holds a cohort already; name another with `--out`: {:?}",
            args.out
        );
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("make the folder: {:?}", args.out))?;
    if args.scans { scans(args) } else { slices(args) }
}

fn slices(args: &Args) -> anyhow::Result<Done> {
    let usual = SyntheticCohort::default();
    let cohort = SyntheticCohort {
        patients_per_site: args.patients.unwrap_or(usual.patients_per_site),
        slices_per_patient: args.slices,
        size: args.size.unwrap_or(usual.size),
        seed: args.seed,
    };
    let progress = Progress::new("phantoms", "slices", cohort.slices() as u64);
    let written = cohort.write(&args.out, &progress);
    progress.finish();
    let written = written.context("write the synthetic cohort")?;
    say!(
        "{} slices of {} patients: {}",
        written.slices,
        written.patients,
        written.table.display()
    );
    Ok(Done::Whole)
}

fn scans(args: &Args) -> anyhow::Result<Done> {
    let usual = SyntheticScans::default();
    let cohort = SyntheticScans {
        patients: args.patients.unwrap_or(usual.patients),
        size: args.size.unwrap_or(usual.size),
        spacing: args.spacing,
        seed: args.seed,
    };
    let progress = Progress::new("phantoms", "scans", cohort.scans() as u64);
    let written = cohort.write(&args.out, &progress);
    progress.finish();
    let written = written.context("write the synthetic scans")?;
    say!(
        "{} scans of {} patients: {}",
        written.scans,
        written.patients,
        written.table.display()
    );
    Ok(Done::Whole)
}
