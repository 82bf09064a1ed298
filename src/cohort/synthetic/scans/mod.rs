//! Made scans for classifiers of whole scans: chests whose lungs have one of two textures, written as NIfTI with a cohort table.
//!
//! Inside the lungs both textures have the same values at other places: fine grains or coarse ones. Mean, spread and
//! histogram of a scan say nothing of its label; a network has to see which voxels lie side by side. A 3D network of three levels
//! tells both apart after some hundred steps on 24 patients.

mod chest;
mod texture;

use std::{
    fs,
    path::{Path, PathBuf},
};

use ndarray::Array3;
use rand::{Rng, RngExt as _, seq::SliceRandom as _};
use rand_distr::{Distribution as _, Normal};
use rayon::prelude::*;

use self::chest::{Chest, Lie};
use super::{SyntheticError, save};
use crate::{
    ct::{CtVolume, Geometry, Hu, Orientation},
    progress::Progress,
    readers::{WriteOptions, write_volume},
    seed::stream,
};

/// How many scans to make, and how large.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticScans {
    /// Patients, half of each texture and half of each of two sites; every third has two scans. Default 48.
    pub patients: usize,
    /// Voxels along each axis; default 64.
    pub size: usize,
    /// Distance of two voxels in mm; default 5. The chest fills the field of view, whatever that measures.
    pub spacing: f64,
    /// Seed of everything; the same seed writes the same bytes.
    pub seed: u64,
}

impl Default for SyntheticScans {
    fn default() -> Self {
        Self {
            patients: 48,
            size: 64,
            spacing: 5.0,
            seed: 0,
        }
    }
}

/// What a cohort's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenScans {
    /// The cohort table: one row a scan, with paths relative to it.
    pub table: PathBuf,
    /// Patients in it.
    pub patients: usize,
    /// Scans in it.
    pub scans: usize,
}

/// A texture of the lungs, which is the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texture {
    Fine,
    Coarse,
}

impl Texture {
    fn label(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Coarse => "coarse",
        }
    }

    /// Of the Gaussian that makes its grains, in voxels: grains about one voxel and about six voxels wide.
    fn sigma(self) -> f32 {
        match self {
            Self::Fine => 0.5,
            Self::Coarse => 2.5,
        }
    }
}

/// A hospital and its scanner.
struct Site {
    name: &'static str,
    /// Standard deviation of the noise.
    noise: Hu,
    /// What the scanner's calibration is off by.
    offset: Hu,
    /// Where the axes of its files go.
    orientation: &'static str,
}

const SITES: [Site; 2] = [
    Site {
        name: "site-a",
        noise: 20.0,
        offset: 0.0,
        orientation: "LPI",
    },
    Site {
        name: "site-b",
        noise: 30.0,
        offset: 15.0,
        orientation: "RAS",
    },
];

/// Values of 12 bits.
const RANGE: (Hu, Hu) = (-1024.0, 3071.0);

/// A row of the table, in the order of its columns.
#[derive(serde::Serialize)]
struct Row {
    scan_id: String,
    patient_id: String,
    site: &'static str,
    label: &'static str,
    path: String,
}

impl SyntheticScans {
    /// Scans that [`write`](Self::write) will make: the steps of its progress.
    pub fn scans(&self) -> usize {
        (0..self.patients).map(scans_of).sum()
    }

    /// Writes `scans/*.nii.gz` and `scans.csv` into a folder; the columns are scan_id, patient_id, site, label (`fine` or `coarse`)
    /// and path.
    ///
    /// ```
    /// use hounsfield::{cohort::synthetic::SyntheticScans, progress::Progress};
    /// let dir = tempfile::tempdir()?;
    /// let small = SyntheticScans { patients: 4, size: 16, spacing: 20.0, seed: 0 };
    /// let written = small.write(dir.path(), &Progress::hidden())?;
    /// assert_eq!((written.patients, written.scans), (4, 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Numbers that make no cohort, and files that can't be written.
    pub fn write(&self, dir: &Path, progress: &Progress) -> Result<WrittenScans, SyntheticError> {
        self.check()?;
        let folder = dir.join("scans");
        fs::create_dir_all(&folder).map_err(|source| SyntheticError::Write { source, path: folder })?;
        let rows: Vec<Vec<Row>> = self
            .textures()
            .into_par_iter()
            .enumerate()
            .map(|(patient, texture)| self.write_patient(dir, patient, texture, progress))
            .collect::<Result<_, _>>()?;
        let table = dir.join("scans.csv");
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows.iter().flatten() {
            writer.serialize(row).expect("rows are flat and memory does not fail");
        }
        save(&table, &writer.into_inner().expect("memory does not fail"))?;
        Ok(WrittenScans {
            table,
            patients: rows.len(),
            scans: rows.iter().map(Vec::len).sum(),
        })
    }

    fn check(&self) -> Result<(), SyntheticError> {
        // Each site has two patients of both textures at least; below 16 voxels no organ is left.
        for (field, found, low, high) in [("patients", self.patients, 4, 9999), ("size", self.size, 16, 512)] {
            if !(low..=high).contains(&found) {
                return Err(SyntheticError::OutOfRange {
                    field,
                    found,
                    low,
                    high,
                });
            }
        }
        match (0.1..=50.0).contains(&self.spacing) {
            true => Ok(()),
            false => Err(SyntheticError::Spacing { found: self.spacing }),
        }
    }

    /// The texture of each patient: half of each at each site.
    fn textures(&self) -> Vec<Texture> {
        let mut of_site: Vec<_> = SITES
            .iter()
            .enumerate()
            .map(|(at, site)| {
                // Sites take turns.
                let patients = (0..self.patients).filter(|patient| patient % SITES.len() == at).count();
                let mut textures: Vec<Texture> = (0..patients)
                    .map(|at| if at % 2 == 0 { Texture::Coarse } else { Texture::Fine })
                    .collect();
                textures.shuffle(&mut stream(self.seed, &format!("synthetic textures {}", site.name)));
                textures.into_iter()
            })
            .collect();
        (0..self.patients)
            .filter_map(|patient| of_site[patient % SITES.len()].next())
            .collect()
    }

    fn write_patient(
        &self,
        dir: &Path,
        patient: usize,
        texture: Texture,
        progress: &Progress,
    ) -> Result<Vec<Row>, SyntheticError> {
        let site = &SITES[patient % SITES.len()];
        let patient_id = format!("SYN-{:04}", patient + 1);
        let chest = Chest::draw(&mut stream(self.seed, &format!("synthetic chest {patient_id}")));
        (1..=scans_of(patient))
            .map(|number| {
                let scan_id = format!("{patient_id}-S{number}");
                let path = format!("scans/{scan_id}.nii.gz");
                let mut rng = stream(self.seed, &format!("synthetic scan {scan_id}"));
                let volume = self.scan(&chest, texture, site, &mut rng);
                write_volume(&volume, &dir.join(&path), &WriteOptions::default())?;
                progress.tick(1);
                Ok(Row {
                    scan_id,
                    patient_id: patient_id.clone(),
                    site: site.name,
                    label: texture.label(),
                    path,
                })
            })
            .collect()
    }

    /// One scan: the patient lies a little otherwise each time, and both texture and noise are drawn anew.
    fn scan(&self, chest: &Chest, texture: Texture, site: &Site, rng: &mut impl Rng) -> CtVolume {
        let lie = Lie::draw(rng);
        let step = chest::FIELD / self.size as f32;
        let middle = (self.size as f32 - 1.0) / 2.0;
        let at = |index: usize| (index as f32 - middle) * step;
        let size = [self.size; 3];
        let tissue = Array3::from_shape_fn(size, |(d, h, w)| chest.tissue(lie.seen([at(w), at(h), at(d)])));
        let field = texture::field(rng, size, texture.sigma());
        let in_lungs: Vec<f32> = field
            .iter()
            .zip(&tissue)
            .filter_map(|(value, tissue)| tissue.is_none().then_some(*value))
            .collect();
        let mut grains = texture::equalised(&in_lungs).into_iter();
        let (mean, depth) = (rng.random_range(-670.0..-640.0), rng.random_range(230.0..260.0));
        let noise = Normal::new(0.0f32, site.noise).expect("a constant, positive deviation");
        let voxels = tissue.map(|tissue| {
            // One grain for each voxel of the lungs, in the order in which they were ranked.
            let hu = tissue
                .or_else(|| grains.next().map(|grain| mean + depth * grain))
                .unwrap_or(mean);
            (hu + site.offset + noise.sample(rng)).round().clamp(RANGE.0, RANGE.1)
        });
        let half = f64::from(middle) * self.spacing;
        let geometry = Geometry {
            origin: [-half, -half, half],
            ..Geometry::axial([self.spacing; 3])
        };
        let orientation: Orientation = site.orientation.parse().expect("a constant code");
        CtVolume { voxels, geometry }.oriented(orientation)
    }
}

/// How many scans a patient has, counted from 0.
fn scans_of(patient: usize) -> usize {
    if patient % 3 == 2 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{cohort::testing::rows, readers::read_volume};

    fn small() -> SyntheticScans {
        SyntheticScans {
            patients: 12,
            size: 16,
            spacing: 20.0,
            seed: 3,
        }
    }

    #[test]
    fn scans_read_back_as_chests_and_their_histograms_do_not_tell_the_label() {
        let dir = tempfile::tempdir().unwrap();
        let written = small().write(dir.path(), &Progress::hidden()).unwrap();
        let rows = rows(&written.table);
        assert_eq!((rows.len(), written.scans, written.patients), (16, small().scans(), 12));
        let mut orientations = std::collections::BTreeSet::new();
        for row in &rows {
            let volume = read_volume(&dir.path().join(&row["path"])).unwrap();
            orientations.insert(volume.geometry.orientation().to_string());
            let axial = volume.axial();
            assert_eq!((axial.size(), axial.geometry.spacing), ([16; 3], [20.0; 3]));
            let center = axial.geometry.position([7.5; 3]);
            assert!(center.iter().all(|mm| mm.abs() < 1e-3), "{center:?}");
            assert!(axial.voxels[[0, 0, 0]] < -850.0);
            let part =
                |low: Hu, high: Hu| axial.voxels.iter().filter(|hu| (low..high).contains(hu)).count() as f64 / 4096.0;
            assert!((0.02..0.4).contains(&part(-950.0, -350.0)) && part(-20.0, 120.0) > 0.1);
        }
        assert_eq!(orientations.len(), 2);
    }

    #[test]
    fn labels_are_balanced_in_each_site_and_constant_in_each_patient() {
        let dir = tempfile::tempdir().unwrap();
        let written = small().write(dir.path(), &Progress::hidden()).unwrap();
        let mut labels = BTreeMap::new();
        for row in rows(&written.table) {
            let key = (row["site"].clone(), row["patient_id"].clone());
            assert_eq!(*labels.entry(key).or_insert_with(|| row["label"].clone()), row["label"]);
        }
        for site in ["site-a", "site-b"] {
            let of_site = labels.iter().filter(|((s, _), _)| s == site).map(|(_, label)| label);
            assert_eq!(of_site.filter(|label| *label == "coarse").count(), 3);
        }
    }

    #[test]
    fn equal_seeds_write_equal_bytes_and_numbers_that_make_no_cohort_are_refused() {
        let write = |seed| {
            let dir = tempfile::tempdir().unwrap();
            let made = SyntheticScans {
                seed,
                patients: 4,
                ..small()
            };
            let written = made.write(dir.path(), &Progress::hidden()).unwrap();
            let mut bytes = fs::read(&written.table).unwrap();
            for row in rows(&written.table) {
                bytes.extend(fs::read(dir.path().join(&row["path"])).unwrap());
            }
            bytes
        };
        assert!(write(1) == write(1));
        assert!(write(1) != write(2));
        let refused = |scans: SyntheticScans| {
            let nowhere = Path::new("nowhere");
            scans.write(nowhere, &Progress::hidden()).unwrap_err().to_string()
        };
        let few = SyntheticScans { patients: 3, ..small() };
        assert_eq!(refused(few), "synthetic.patients is 3, expected 4 to 9999");
        let none = SyntheticScans {
            spacing: f64::NAN,
            ..small()
        };
        assert_eq!(refused(none), "synthetic.spacing is NaN mm, expected 0.1 to 50");
    }
}
