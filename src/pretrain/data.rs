//! Which slices are trained on, which patients are held out, and the slices themselves as the encoder sees them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use ndarray::{Array3, Array4, Axis};
use rand::seq::SliceRandom as _;
use rayon::prelude::*;

use super::PretrainError;
use crate::{
    cohort::{Cohort, CohortPlan},
    ct::Pseudonymizer,
    progress::Progress,
    readers::{read_slice, sha256},
    recipe::Pretrain,
    seed,
    tables::{read_table, sha256_bytes},
    transforms::Preprocess,
};

/// The slices of a training. Rows are those of the cohort's table.
#[derive(Debug)]
pub struct Data {
    /// Who they are.
    pub cohort: Cohort,
    /// Rows that are trained on.
    pub training: Vec<usize>,
    /// Rows of patients that are held out.
    pub held_out: Vec<usize>,
    /// Rows that could not be read, and why.
    pub failures: Vec<(usize, String)>,
    /// A hash of the files and of who is held out.
    pub sha256: String,
    slices: Slices,
}

/// The hash of a slice's file, and the slice where it is kept.
type Read = (String, Option<Array3<f32>>);

/// Where slices come from when they are wanted.
#[derive(Debug)]
enum Slices {
    /// All in memory; `None` for rows that are not used.
    Kept(Vec<Option<Array3<f32>>>),
    /// Too many: each is decoded anew.
    Decoded {
        preprocess: Preprocess,
        size: usize,
        paths: Vec<PathBuf>,
    },
}

impl Data {
    /// Reads the table, draws who is held out, and reads every slice once, so that what can't be read is known before the
    /// first step.
    ///
    /// # Errors
    ///
    /// A table that is no cohort, a site that is not there, too few slices or patients.
    pub fn read(recipe: &Pretrain, folder: &Path, ids: Pseudonymizer) -> Result<Self, PretrainError> {
        let table = folder.join(recipe.cohort.table.as_deref().unwrap_or(Path::new("")));
        let plan = CohortPlan {
            columns: recipe.columns(),
            classes: recipe.cohort.classes(),
            ids,
        };
        let cohort = Cohort::read(&read_table(&table)?, table.parent().unwrap_or(Path::new("")), &plan)?;
        let (training, held_out) = draw(recipe, &cohort)?;
        let mut wanted: Vec<usize> = training.iter().chain(&held_out).copied().collect();
        wanted.sort_unstable();

        let size = recipe.encoder.input_size();
        let bytes = size_of::<f32>() * recipe.preprocess.planes() * size * size;
        let fits = wanted.len().saturating_mul(bytes) <= recipe.data.memory_mb.saturating_mul(1_000_000);
        let progress = Progress::new("slices", "slices read", wanted.len() as u64);
        let read = |row: &usize| {
            let path = &cohort.paths[*row];
            let hash = sha256(path).map_err(|error| error.without_path());
            let slice = hash.and_then(|hash| Ok((hash, load(path, &recipe.preprocess, size)?)));
            progress.tick(1);
            let kept = slice.map(|(hash, slice)| (hash, fits.then_some(slice)));
            (*row, kept)
        };
        let found: Vec<(usize, Result<Read, String>)> = wanted.par_iter().map(read).collect();
        progress.finish();

        let mut kept = vec![None; cohort.len()];
        let (mut failures, mut content) = (Vec::new(), String::new());
        let out: BTreeSet<usize> = held_out.iter().copied().collect();
        for (row, slice) in found {
            match slice {
                Ok((hash, slice)) => {
                    content += &format!("{row} {hash} {}\n", out.contains(&row));
                    kept[row] = slice;
                }
                Err(why) => failures.push((row, why)),
            }
        }
        let failed: BTreeSet<usize> = failures.iter().map(|(row, _)| *row).collect();
        let whole = |rows: Vec<usize>| -> Vec<usize> { rows.into_iter().filter(|row| !failed.contains(row)).collect() };
        let (training, held_out) = (whole(training), whole(held_out));
        if training.len() < recipe.train.batch {
            return Err(PretrainError::TooFew {
                slices: training.len(),
                patients: patients(&cohort, &training),
                batch: recipe.train.batch,
            });
        }
        let slices = match fits {
            true => Slices::Kept(kept),
            false => Slices::Decoded {
                preprocess: recipe.preprocess.clone(),
                size,
                paths: cohort.paths.clone(),
            },
        };
        Ok(Self {
            sha256: sha256_bytes(content.as_bytes()),
            cohort,
            training,
            held_out,
            failures,
            slices,
        })
    }

    /// The slice of a row, `[C, S, S]` in `[-1, 1]`.
    ///
    /// # Errors
    ///
    /// Where it is decoded anew and its file has gone since.
    pub fn slice(&self, row: usize) -> Result<Array3<f32>, String> {
        match &self.slices {
            Slices::Kept(slices) => slices[row].clone().ok_or_else(|| "is not used".to_owned()),
            Slices::Decoded {
                preprocess,
                size,
                paths,
            } => load(&paths[row], preprocess, *size),
        }
    }

    /// Slices of rows, `[N, C, S, S]`; those whose files have gone are left out.
    pub fn stack(&self, rows: &[usize]) -> Array4<f32> {
        let slices: Vec<Array3<f32>> = rows.iter().filter_map(|row| self.slice(*row).ok()).collect();
        let views: Vec<_> = slices.iter().map(Array3::view).collect();
        ndarray::stack(Axis(0), &views).unwrap_or_else(|_| Array4::zeros((0, 0, 0, 0)))
    }

    /// At most `most` of the rows, drawn by a named stream and in the order of the table.
    pub fn some(rows: &[usize], most: usize, seed: u64, purpose: &str) -> Vec<usize> {
        let mut drawn = rows.to_vec();
        drawn.shuffle(&mut seed::stream(seed, purpose));
        drawn.truncate(most);
        drawn.sort_unstable();
        drawn
    }

    /// Patients of rows.
    pub fn patients(&self, rows: &[usize]) -> usize {
        patients(&self.cohort, rows)
    }
}

fn patients(cohort: &Cohort, rows: &[usize]) -> usize {
    rows.iter()
        .map(|row| cohort.patient[*row])
        .collect::<BTreeSet<_>>()
        .len()
}

/// Rows of the sites that are trained on, without and with the patients that are held out.
fn draw(recipe: &Pretrain, cohort: &Cohort) -> Result<(Vec<usize>, Vec<usize>), PretrainError> {
    let sites: BTreeSet<&str> = cohort.rows.site.iter().flatten().map(String::as_str).collect();
    for site in recipe.data.sites.iter().flatten() {
        if !sites.contains(site.as_str()) {
            let found: Vec<String> = sites.iter().map(|site| format!("`{site}`")).collect();
            return Err(PretrainError::NoSuchSite {
                site: site.clone(),
                found: found.join(", "),
            });
        }
    }
    let taken = |row: &usize| match (&recipe.data.sites, &cohort.rows.site[*row]) {
        (None, _) => true,
        (Some(sites), Some(site)) => sites.contains(site),
        (Some(_), None) => false,
    };
    let rows: Vec<usize> = (0..cohort.len()).filter(taken).collect();
    let ids: BTreeSet<usize> = rows.iter().map(|row| cohort.patient[*row]).collect();
    let mut order: Vec<usize> = ids.into_iter().collect();
    order.shuffle(&mut seed::stream(recipe.seed, "holdout"));
    let out = (recipe.data.holdout * order.len() as f64).round() as usize;
    if recipe.data.holdout > 0.0 && (out == 0 || out == order.len()) {
        return Err(PretrainError::NoHoldout { patients: order.len() });
    }
    let out: BTreeSet<usize> = order.into_iter().take(out).collect();
    Ok(rows.into_iter().partition(|row| !out.contains(&cohort.patient[*row])))
}

fn load(path: &Path, preprocess: &Preprocess, size: usize) -> Result<Array3<f32>, String> {
    let slice = read_slice(path).map_err(|error| error.without_path())?;
    preprocess.apply(&slice, size).map_err(|error| error.to_string())
}
