//! A made cohort: phantoms of two diseases from two sites, written as DICOM files with a cohort table.
//!
//! No patient is in it, so that everything can be tried and tested anywhere. It has what makes real cohorts hard:
//! slices of one patient resemble each other (anatomy and vessels are drawn once a patient), sites differ in noise,
//! calibration and slice thickness, extents run from mild to severe, and each disease borrows a little of the other.

mod file;
mod noise;
mod phantom;
mod scans;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rand::{RngExt as _, seq::SliceRandom as _};
use rand_distr::{Distribution as _, Normal};
use rayon::prelude::*;

pub use self::scans::{SyntheticScans, WrittenScans};
use self::{file::Tags, phantom::Phantom};
use crate::{ct::Hu, progress::Progress, readers::WriteVolumeError, seed::stream};

/// How many patients and slices to make.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticCohort {
    /// Patients of each site, half of each disease; default 40.
    pub patients_per_site: usize,
    /// Slices of a patient at the site with thick slices; the site with thin slices makes half as many again. Default 4.
    pub slices_per_patient: usize,
    /// Rows and columns of a slice; default 192.
    pub size: usize,
    /// Seed of everything; the same seed writes the same bytes.
    pub seed: u64,
}

impl Default for SyntheticCohort {
    fn default() -> Self {
        Self {
            patients_per_site: 40,
            slices_per_patient: 4,
            size: 192,
            seed: 0,
        }
    }
}

/// The labels: two diseases of different texture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disease {
    /// Diffuse, peripheral haze of 200 to 300 HU with fine reticulation.
    GroundGlass,
    /// Dense, sharply bounded foci of soft-tissue attenuation.
    Consolidation,
}

impl Disease {
    /// The label in the cohort table.
    pub fn label(self) -> &'static str {
        match self {
            Self::GroundGlass => "ground-glass",
            Self::Consolidation => "consolidation",
        }
    }
}

/// What a cohort's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The cohort table: one row a slice, with paths relative to it.
    pub table: PathBuf,
    /// Patients in it.
    pub patients: usize,
    /// Slices in it.
    pub slices: usize,
}

/// A hospital and its scanner.
struct Site {
    name: &'static str,
    thickness_mm: f32,
    /// Slices a patient, as a multiple of the thick site's.
    slices: (usize, usize),
    /// Standard deviation of the noise.
    noise: Hu,
    /// Whether the reconstruction smooths the noise.
    smooth: bool,
    /// What the scanner's calibration is off by.
    offset: Hu,
    kernel: &'static str,
}

const SITES: [Site; 2] = [
    Site {
        name: "site-a",
        thickness_mm: 5.0,
        slices: (1, 1),
        noise: 30.0,
        smooth: true,
        offset: 0.0,
        kernel: "SOFT",
    },
    Site {
        name: "site-b",
        thickness_mm: 1.0,
        slices: (3, 2),
        noise: 35.0,
        smooth: false,
        offset: 18.0,
        kernel: "SHARP",
    },
];

/// Stored values are 12 bits above this intercept.
const INTERCEPT: Hu = -1024.0;
const HIGHEST_STORED: Hu = 4095.0;

/// One row of the table, in the order of its columns.
#[derive(serde::Serialize)]
struct Row {
    file: String,
    slice: String,
    scan: String,
    patient: String,
    label: &'static str,
    site: &'static str,
    slice_pos: String,
    thickness_mm: f32,
}

impl SyntheticCohort {
    /// Slices that [`write`](Self::write) will make: the steps of its progress.
    pub fn slices(&self) -> usize {
        SITES
            .iter()
            .map(|site| self.patients_per_site * self.slices_of(site))
            .sum()
    }

    /// Writes `images/` and `cohort.csv` into a folder. Slices are ticked off on `progress`.
    ///
    /// The columns of the table are file, slice, scan, patient, label, site, slice_pos (mm above the lung base) and
    /// thickness_mm.
    ///
    /// ```
    /// use hounsfield::{cohort::synthetic::SyntheticCohort, progress::Progress};
    /// let dir = tempfile::tempdir()?;
    /// let small = SyntheticCohort { patients_per_site: 2, slices_per_patient: 2, size: 32, seed: 0 };
    /// let written = small.write(dir.path(), &Progress::hidden())?;
    /// assert_eq!(written.slices, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&self, dir: &Path, progress: &Progress) -> Result<Written, SyntheticError> {
        self.check()?;
        let mut patients = Vec::new();
        for site in &SITES {
            let mut diseases: Vec<_> = (0..self.patients_per_site)
                .map(|patient| {
                    if patient % 2 == 0 {
                        Disease::GroundGlass
                    } else {
                        Disease::Consolidation
                    }
                })
                .collect();
            diseases.shuffle(&mut stream(self.seed, &format!("synthetic labels {}", site.name)));
            patients.extend(diseases.into_iter().map(|disease| (site, disease)));
        }
        let rows: Vec<Vec<Row>> = patients
            .par_iter()
            .enumerate()
            .map(|(index, (site, disease))| self.write_patient(dir, index + 1, site, *disease, progress))
            .collect::<Result<_, _>>()?;
        let table = dir.join("cohort.csv");
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows.iter().flatten() {
            writer.serialize(row).expect("rows are flat and memory does not fail");
        }
        let text = writer.into_inner().expect("memory does not fail");
        save(&table, &text)?;
        Ok(Written {
            table,
            patients: patients.len(),
            slices: rows.iter().map(Vec::len).sum(),
        })
    }

    fn check(&self) -> Result<(), SyntheticError> {
        // Below 16 pixels no organ is left; DICOM counts rows in 16 bits.
        for (field, found, low, high) in [
            ("patients_per_site", self.patients_per_site, 2, 4999),
            ("slices_per_patient", self.slices_per_patient, 1, 200),
            ("size", self.size, 16, 2048),
        ] {
            if !(low..=high).contains(&found) {
                return Err(SyntheticError::OutOfRange {
                    field,
                    found,
                    low,
                    high,
                });
            }
        }
        Ok(())
    }

    fn slices_of(&self, site: &Site) -> usize {
        (self.slices_per_patient * site.slices.0).div_ceil(site.slices.1)
    }

    fn write_patient(
        &self,
        dir: &Path,
        number: usize,
        site: &Site,
        disease: Disease,
        progress: &Progress,
    ) -> Result<Vec<Row>, SyntheticError> {
        let patient = format!("SYN-{number:04}");
        let mut rng = stream(self.seed, &format!("synthetic {patient}"));
        let phantom = Phantom::draw(&mut rng, disease);
        let folder = format!("images/{}/{patient}", site.name);
        let absolute = dir.join(&folder);
        fs::create_dir_all(&absolute).map_err(|source| SyntheticError::Write {
            source,
            path: absolute.clone(),
        })?;
        let count = self.slices_of(site);
        let spacing_mm = phantom.field_of_view_mm() / self.size as f32;
        (0..count)
            .map(|index| {
                let position = (index as f32 + 0.5 + rng.random_range(-0.3..0.3)) / count as f32;
                // Between the domes of the diaphragm and the apices.
                let z_mm = (0.15 + 0.7 * position) * phantom.lung_height_mm();
                let hu = self.scan(&phantom, site, z_mm, spacing_mm, &mut rng);
                let name = format!("{:03}.dcm", index + 1);
                let tags = Tags {
                    seed: self.seed,
                    patient: &patient,
                    number: index + 1,
                    size: self.size,
                    spacing_mm,
                    thickness_mm: site.thickness_mm,
                    z_mm,
                    station: site.name,
                    kernel: site.kernel,
                };
                let stored = hu
                    .iter()
                    .map(|hu| (hu - INTERCEPT).round().clamp(0.0, HIGHEST_STORED) as u16);
                save(&absolute.join(&name), &file::encode(&tags, stored.collect()))?;
                progress.tick(1);
                Ok(Row {
                    file: format!("{folder}/{name}"),
                    slice: format!("{patient}-{:03}", index + 1),
                    scan: format!("{patient}-S1"),
                    patient: patient.clone(),
                    label: disease.label(),
                    site: site.name,
                    slice_pos: format!("{z_mm:.1}"),
                    thickness_mm: site.thickness_mm,
                })
            })
            .collect()
    }

    /// `[H * W]` Hounsfield units as this site's scanner sees the plane: averaged over the slice's thickness, noisy, off
    /// by its calibration.
    fn scan(&self, phantom: &Phantom, site: &Site, z_mm: f32, spacing_mm: f32, rng: &mut impl rand::Rng) -> Vec<Hu> {
        let planes = site.thickness_mm.round().max(1.0) as usize;
        let mut mean = vec![0.0; self.size * self.size];
        for plane in 0..planes {
            let z = z_mm + plane as f32 - (planes - 1) as f32 / 2.0;
            let hu = phantom.plane(z, self.size, spacing_mm);
            mean.iter_mut()
                .zip(hu)
                .for_each(|(mean, hu)| *mean += hu / planes as f32);
        }
        let normal = Normal::new(0.0f32, site.noise).expect("a constant, positive deviation");
        let mut noise: Vec<f32> = (0..mean.len()).map(|_| normal.sample(rng)).collect();
        if site.smooth {
            noise = noise::box_blur(&noise, self.size);
        }
        mean.iter()
            .zip(noise)
            .map(|(hu, noise)| hu + noise + site.offset)
            .collect()
    }
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), SyntheticError> {
    fs::write(path, bytes).map_err(|source| SyntheticError::Write {
        source,
        path: path.to_owned(),
    })
}

/// Why no cohort was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// A number that makes no cohort.
    #[error("synthetic.{field} is {found}, expected {low} to {high}")]
    OutOfRange {
        /// The setting.
        field: &'static str,
        /// Its value.
        found: usize,
        /// The lowest that works.
        low: usize,
        /// The highest that works.
        high: usize,
    },
    /// No distance of voxels.
    #[error("synthetic.spacing is {found} mm, expected 0.1 to 50")]
    Spacing {
        /// Its value.
        found: f64,
    },
    /// A scan can't be written.
    #[error(transparent)]
    Volume(#[from] WriteVolumeError),
    /// A file or folder can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// What the system said.
        source: io::Error,
        /// The file or folder.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{cohort::testing::rows, ct::Pixels, readers::read_slice};

    fn small() -> SyntheticCohort {
        SyntheticCohort {
            patients_per_site: 4,
            slices_per_patient: 2,
            size: 48,
            seed: 3,
        }
    }

    #[test]
    fn files_read_back_as_chests_of_their_site() {
        let dir = tempfile::tempdir().unwrap();
        let cohort = small();
        let written = cohort.write(dir.path(), &Progress::hidden()).unwrap();
        let rows = rows(&written.table);
        assert_eq!(
            (rows.len(), written.patients, written.slices),
            (cohort.slices(), 8, cohort.slices())
        );
        for row in rows {
            let slice = read_slice(&dir.path().join(&row["file"])).unwrap();
            let Pixels::Hu(hu) = slice.pixels else {
                panic!("not in Hounsfield units")
            };
            assert_eq!(hu.dim(), (48, 48));
            assert!((-1024.0..-900.0).contains(&hu[[0, 0]]), "air is {}", hu[[0, 0]]);
            assert!(hu.iter().any(|hu| *hu > 100.0));
        }
    }

    #[test]
    fn equal_seeds_write_equal_bytes_and_others_do_not() {
        let write = |seed| {
            let dir = tempfile::tempdir().unwrap();
            let written = SyntheticCohort { seed, ..small() }
                .write(dir.path(), &Progress::hidden())
                .unwrap();
            let mut bytes = fs::read(&written.table).unwrap();
            for row in rows(&written.table) {
                bytes.extend(fs::read(dir.path().join(&row["file"])).unwrap());
            }
            bytes
        };
        assert!(write(1) == write(1));
        assert!(write(1) != write(2));
    }

    #[test]
    fn labels_are_balanced_in_each_site_and_constant_in_each_patient() {
        let dir = tempfile::tempdir().unwrap();
        let written = small().write(dir.path(), &Progress::hidden()).unwrap();
        let mut labels = BTreeMap::new();
        for row in rows(&written.table) {
            let key = (row["site"].clone(), row["patient"].clone());
            let label = labels.entry(key).or_insert_with(|| row["label"].clone());
            assert_eq!(*label, row["label"]);
        }
        for site in ["site-a", "site-b"] {
            let of_site = labels.iter().filter(|((s, _), _)| s == site).map(|(_, label)| label);
            assert_eq!(of_site.filter(|label| *label == "ground-glass").count(), 2);
        }
    }

    #[test]
    fn sizes_that_make_no_cohort_are_refused() {
        let tiny = SyntheticCohort { size: 4, ..small() };
        let error = tiny.write(Path::new("nowhere"), &Progress::hidden()).unwrap_err();
        assert_eq!(error.to_string(), "synthetic.size is 4, expected 16 to 2048");
    }
}
