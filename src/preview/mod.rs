//! What an encoder is shown: slices of every site before and after preprocessing, and how often which values occur.
//!
//! The page is for the eye: sites that differ in units, windows or calibration are seen before anything is trained on them.

mod counts;
mod draw;
mod page;
mod read;

use std::path::{Path, PathBuf};

pub use self::{
    counts::{Scale, ValueCounts},
    draw::{Site, rows_by_site},
    read::Shown,
};
use crate::{
    cohort::Cohort,
    journal::JournalError,
    progress::Progress,
    tables::{WriteError, write_csv},
    transforms::Preprocess,
};

/// The page, which holds all its figures.
pub const FILE: &str = "preview.html";

/// Which slices are on the page, one line each.
pub const SLICES: &str = "slices.csv";

/// What is drawn and how it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewPlan {
    /// What the page is headed with.
    pub title: String,
    /// From a slice to network input.
    pub preprocess: Preprocess,
    /// Rows and columns of what the encoder sees.
    pub size: usize,
    /// Slices that are drawn of each site, of as many patients as can be.
    pub per_site: usize,
    /// Seed of the draw.
    pub seed: u64,
}

/// What was drawn.
#[derive(Debug)]
pub struct Preview {
    plan: PreviewPlan,
    sites: Vec<Site>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewError {
    /// A cohort without images.
    #[error("the cohort has no image paths: name their column with `cohort.path`")]
    NoPaths,
    /// No slice can be read.
    #[error("none of {drawn} slices could be read, the first for this reason: {reason}")]
    Unreadable {
        /// How many were tried.
        drawn: usize,
        /// Why the first could not, without its path.
        reason: String,
    },
    /// Nothing to show.
    #[error("`{field}` is 0, expected at least 1")]
    Zero {
        /// What is 0.
        field: &'static str,
    },
    /// A sheet of pictures.
    #[error(transparent)]
    Sheet(#[from] JournalError),
    /// A file.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The folder.
    #[error("the folder can't be made or changed ({source}): {path:?}")]
    Folder {
        /// What the system said.
        source: std::io::Error,
        /// The folder.
        path: PathBuf,
    },
}

impl Preview {
    /// Draws slices of every site and reads them. One that can't be read or prepared is warned about and counted.
    ///
    /// # Errors
    ///
    /// A cohort without paths, a plan that shows nothing, a draw of which nothing can be read.
    pub fn draw(cohort: &Cohort, plan: PreviewPlan) -> Result<Self, PreviewError> {
        if cohort.paths.is_empty() {
            return Err(PreviewError::NoPaths);
        }
        for (field, value) in [("per-site", plan.per_site), ("size", plan.size)] {
            if value == 0 {
                return Err(PreviewError::Zero { field });
            }
        }
        let drawn = rows_by_site(cohort, plan.per_site, plan.seed);
        let n = drawn.iter().map(|(_, rows)| rows.len()).sum::<usize>();
        let progress = Progress::new("preview", "slices read", n as u64);
        let sites: Result<Vec<Site>, _> = drawn
            .into_iter()
            .map(|(name, rows)| Site::read(name, &rows, cohort, &plan, &progress))
            .collect();
        progress.finish();
        let sites = sites?;
        if sites.iter().all(|site| site.slices.is_empty()) {
            let first = sites.iter().flat_map(|site| &site.failures).next();
            return Err(PreviewError::Unreadable {
                drawn: n,
                reason: first.map_or(String::new(), |(_, reason)| reason.clone()),
            });
        }
        Ok(Self { plan, sites })
    }

    /// What was drawn of each site, in the order of their names.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// How many slices could not be read or prepared.
    pub fn failures(&self) -> usize {
        self.sites.iter().map(|site| site.failures.len()).sum()
    }

    /// Writes the page, its figures and the list of its slices into a folder, which is made where it is missing; gives the
    /// files, the page first.
    ///
    /// # Errors
    ///
    /// A folder that can't be written to.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, PreviewError> {
        std::fs::create_dir_all(folder).map_err(|source| PreviewError::Folder {
            source,
            path: folder.to_owned(),
        })?;
        let mut paths = page::page(&self.plan, &self.sites).write(folder, FILE)?;
        let path = folder.join(SLICES);
        write_csv(&path, &page::list_header(), page::list(&self.sites))?;
        paths.push(path);
        remove_others(folder, &paths)?;
        Ok(paths)
    }
}

/// Removes the figures of an earlier page that this one does not have.
fn remove_others(folder: &Path, kept: &[PathBuf]) -> Result<(), PreviewError> {
    let failed = |source| PreviewError::Folder {
        source,
        path: folder.to_owned(),
    };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let figure = name.starts_with("site-") && name.ends_with(".png")
            || name.starts_with("values-") && name.ends_with(".svg");
        if figure && !kept.contains(&path) {
            std::fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}
