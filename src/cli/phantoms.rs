//! `hounsfield phantoms`: a made cohort, to try and to train things on.

use std::path::PathBuf;

use anyhow::Context as _;
use hounsfield::{cohort::synthetic::SyntheticCohort, progress::Progress};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where `images/` and `cohort.csv` go
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Patients of each of two sites, half of each of two diseases
    #[arg(long, value_name = "N", default_value_t = 40)]
    patients: usize,
    /// Slices of a patient at the site with thick slices; the other has half as many again
    #[arg(long, value_name = "N", default_value_t = 4)]
    slices: usize,
    /// Rows and columns of a slice
    #[arg(long, value_name = "PIXELS", default_value_t = 192)]
    size: usize,
    /// Seed of everything; other seeds make other patients
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    if args.out.join("cohort.csv").exists() {
        anyhow::bail!(
            "the folder holds a cohort already; name another with `--out`: {:?}",
            args.out
        );
    }
    let cohort = SyntheticCohort {
        patients_per_site: args.patients,
        slices_per_patient: args.slices,
        size: args.size,
        seed: args.seed,
    };
    std::fs::create_dir_all(&args.out).with_context(|| format!("make the folder: {:?}", args.out))?;
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
