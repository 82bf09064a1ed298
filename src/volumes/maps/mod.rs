//! Where a classifier of scans looks: Grad-CAM and occlusion maps of some of its scans, as a page, pictures and volumes.

mod choice;
mod page;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use ndarray::Array3;

use self::{
    choice::Choice,
    page::{Heat, Page, Shown},
};
use super::VolumesError;
use crate::{
    baseline::BaselineConfig,
    cohort::Cohort,
    ct::{CtVolume, Geometry},
    explain::Colours,
    progress::Progress,
    readers::{WriteOptions, write_volume},
    recipe::MapsSection,
    report::GENERATOR,
    scans::CachedScan,
    torch::scorer::VolumeScorer,
    words::{count, counted},
};

/// The page, which holds all its pictures.
pub const FILE: &str = "index.html";

/// Names of what is beside the page: this, a row in four digits or more, one of [`WHAT`], one of [`ENDINGS`].
const PREFIX: &str = "row-";

/// What is drawn or written of a scan.
const WHAT: [&str; 3] = ["scan", "grad-cam", "occlusion"];

/// Pictures and volumes.
const ENDINGS: [&str; 2] = ["png", "nii.gz"];

/// The longest axis has so many sides of the cube that hides a part of a scan.
const CUBES_ALONG: usize = 8;

/// Scans that were scored, and what a reader of their maps must know.
#[derive(Debug)]
pub struct Looked<'a> {
    /// What the classifier is called.
    pub name: &'a str,
    /// Label of the positive class.
    pub positive: &'a str,
    /// Who they are, one row a scan.
    pub cohort: &'a Cohort,
    /// The set of each scan; those of none and of `train` are not drawn.
    pub sets: &'a [Option<String>],
    /// Probability of the positive class; `None` where there is none.
    pub scores: &'a [Option<f64>],
    /// Scores from here on are called positive; even odds where `None`.
    pub threshold: Option<f64>,
    /// Words that stand on the page at either end: that the training did not converge.
    pub banners: Vec<String>,
    /// Where the report is, relative to the page.
    pub report: Option<String>,
}

/// What is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MapsPlan {
    /// Scans of each set, at most.
    pub per_set: usize,
    /// Whether occlusion maps are made beside Grad-CAM.
    pub occlusion: bool,
    /// Side of the cube that hides a part of a scan, in voxels; an eighth of the longest axis where `None`.
    pub cube: Option<usize>,
    /// Whether maps and scans are written as NIfTI too, on the grid that the network sees.
    pub volumes: bool,
}

impl From<&MapsSection> for MapsPlan {
    fn from(section: &MapsSection) -> Self {
        Self {
            per_set: section.scans,
            occlusion: section.occlusion,
            cube: section.cube,
            volumes: false,
        }
    }
}

/// Draws maps of scans of each set into a folder, which is made where it is missing; gives the files, the page first, none where no
/// scan is to be drawn, or where the network has nothing that Grad-CAM looks at and no others were asked for, which is said. `scan`
/// gives a row as the network takes it.
///
/// Of each set but the training set true positives, false positives, false negatives and true negatives take turns, those furthest
/// from the threshold first.
///
/// # Errors
///
/// A scan that can't be had any more, a network that fails, a folder that can't be written to; `stop` having been set.
pub fn draw(
    scorer: &VolumeScorer,
    looked: &Looked<'_>,
    plan: &MapsPlan,
    scan: &mut dyn FnMut(usize) -> Result<CachedScan, VolumesError>,
    folder: &Path,
    stop: &AtomicBool,
) -> Result<Vec<PathBuf>, VolumesError> {
    let chosen = choice::choose(looked, plan.per_set);
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let has_maps = scorer.network().has_maps();
    if !has_maps && !plan.occlusion {
        tracing::warn!(
            "no maps: the trunk of `{}` has none for Grad-CAM; `maps.occlusion` (`--occlusion`) draws others",
            scorer.network().kind()
        );
        return Ok(Vec::new());
    }
    let failed = |source| VolumesError::MapsFolder {
        source,
        path: folder.to_owned(),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let cube = plan
        .cube
        .unwrap_or(scorer.input().size.into_iter().max().unwrap_or(1) / CUBES_ALONG);
    let cube = cube.max(1);
    let passes = match plan.occlusion {
        true => passes(scorer, chosen.iter().flat_map(|(_, choices)| choices), cube, scan)?,
        false => 0,
    };
    let progress = Progress::new("occlusion", "passes", passes as u64);
    let (mut pages, mut volumes) = (Vec::new(), Vec::new());
    for (set, choices) in chosen {
        let mut shown = Vec::new();
        for choice in choices {
            if stop.load(Ordering::SeqCst) {
                return Err(VolumesError::InterruptedMaps);
            }
            let scan = scan(choice.row)?;
            let mut heats = Vec::new();
            if has_maps {
                heats.push(Heat {
                    colours: Colours::Heat,
                    values: scorer.grad_cam(scan.voxels())?,
                });
            }
            if plan.occlusion {
                let values = scorer.occlusion(scan.voxels(), cube, &progress, stop)?;
                heats.push(Heat {
                    colours: Colours::Signed,
                    values: values.ok_or(VolumesError::InterruptedMaps)?,
                });
            }
            if plan.volumes {
                volumes.extend(write_volumes(&scan, &choice, &heats, folder)?);
            }
            shown.push(Shown::new(&scan, choice, &heats)?);
        }
        pages.push((set, shown));
    }
    progress.finish();
    let page = Page {
        looked,
        grain: has_maps.then(|| scorer.grain()).transpose()?,
        spacing: scorer.input().spacing,
        slices: matches!(scorer.network(), BaselineConfig::CovNet(_)),
        occlusion: plan.occlusion.then_some(cube),
        sets: &pages,
    };
    let mut files = page.explanation().write(folder, FILE)?;
    files.extend(volumes);
    remove_others(folder, &files).map_err(failed)?;
    Ok(files)
}

/// How many passes occlusion maps take, which is said before they begin. Scans are read for it one by one: all may be more than memory
/// holds.
fn passes<'a>(
    scorer: &VolumeScorer,
    choices: impl Iterator<Item = &'a Choice>,
    cube: usize,
    scan: &mut dyn FnMut(usize) -> Result<CachedScan, VolumesError>,
) -> Result<usize, VolumesError> {
    let passes: Vec<usize> = choices
        .map(|choice| Ok(scorer.occlusion_passes(scan(choice.row)?.voxels(), cube)))
        .collect::<Result<_, VolumesError>>()?;
    let all = passes.iter().sum();
    tracing::info!(
        "occlusion maps of {} take {} passes of the network, with a cube of {cube} voxels a side",
        counted(passes.len(), "scan"),
        count(all)
    );
    Ok(all)
}

/// The scan as the network sees it and its maps, on one grid; gives the files.
fn write_volumes(
    scan: &CachedScan,
    choice: &Choice,
    heats: &[Heat],
    folder: &Path,
) -> Result<Vec<PathBuf>, VolumesError> {
    let hu = scan.voxels().mapv(f32::from);
    let mut files = vec![write_one(
        hu,
        scan.geometry(),
        &folder.join(name(choice, "scan", "nii.gz")),
    )?];
    for heat in heats {
        let path = folder.join(name(choice, heat.name(), "nii.gz"));
        files.push(write_one(heat.values.clone(), scan.geometry(), &path)?);
    }
    Ok(files)
}

fn write_one(voxels: Array3<f32>, geometry: &Geometry, path: &Path) -> Result<PathBuf, VolumesError> {
    let volume = CtVolume {
        voxels,
        geometry: *geometry,
    };
    write_volume(&volume, path, &WriteOptions::default())?;
    Ok(path.to_owned())
}

/// Rows are counted from 1, as in all that people read.
fn name(choice: &Choice, what: &str, ending: &str) -> String {
    format!("{PREFIX}{:04}-{what}.{ending}", choice.row + 1)
}

/// Whether a file has a name that [`name`] gives.
fn is_ours(file: &str) -> bool {
    let Some((row, rest)) = file.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    let named = rest.split_once('.');
    row.len() >= 4
        && row.bytes().all(|digit| digit.is_ascii_digit())
        && named.is_some_and(|(what, ending)| WHAT.contains(&what) && ENDINGS.contains(&ending))
}

/// Whether maps can go into a folder: one that is not there, or whose page, if there is any, is one of maps. To be asked before the work.
///
/// # Errors
///
/// A page of somebody else, which would be written over.
pub fn check_folder(folder: &Path) -> Result<(), VolumesError> {
    let page = folder.join(FILE);
    if std::fs::symlink_metadata(&page).is_err() {
        return Ok(());
    }
    let found = std::fs::read(&page).unwrap_or_default();
    let found = String::from_utf8_lossy(&found);
    match found.contains(GENERATOR) && found.contains(&format!("<title>{}", page::TITLE)) {
        true => Ok(()),
        false => Err(VolumesError::OtherPage { path: page }),
    }
}

/// Removes pictures and volumes of an earlier page that this one does not have.
fn remove_others(folder: &Path, kept: &[PathBuf]) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_map = path.file_name().and_then(|name| name.to_str()).is_some_and(is_ours);
        if is_map && !kept.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Explanation;

    #[test]
    fn only_files_that_are_named_as_maps_are_taken_for_maps() {
        for what in WHAT {
            for (row, ending) in [(0, "png"), (12_344, "nii.gz")] {
                let choice = Choice {
                    row,
                    why: choice::Why::High,
                };
                assert!(is_ours(&name(&choice, what, ending)));
            }
        }
        for other in [
            "row-1-scan.png",
            "row-house.png",
            "row-0001-scan.jpg",
            "row-0001-scan.old.png",
            "row-0001-notes.png",
            "row-00a1-scan.png",
            "row-0001-scan",
            "narrow-0001-scan.png",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn a_page_of_somebody_else_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join(FILE);
        let missing = folder.path().join("maps");
        assert!(check_folder(&missing).is_ok() && check_folder(folder.path()).is_ok());
        let explanation = |title: &str| Explanation {
            title: title.to_owned(),
            ..Explanation::default()
        };
        explanation("Where net looks").write(folder.path(), FILE).unwrap();
        check_folder(folder.path()).unwrap();
        explanation("What features look like")
            .write(folder.path(), FILE)
            .unwrap();
        assert!(check_folder(folder.path()).is_err());
        std::fs::write(&page, "<html><title>Where I live</title></html>").unwrap();
        let said = check_folder(folder.path()).unwrap_err().to_string();
        assert!(said.contains("no page of maps"), "{said}");
    }
}
