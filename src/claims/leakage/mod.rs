//! What a split of slices gives where labels tell nothing of the images: the simulation behind the critique of Song 2020.
//!
//! Features are a point for each patient plus noise for each slice; labels are drawn by patient, whatever the features.
//! On new patients every classifier is then at 0.5. Split by slice, the same classifiers reach the printed figures: they
//! know the patients again. It does not prove that the features of the paper hold no signal. Precedent: Yagis et al. 2021,
//! Sci Rep 11:22544, doi:10.1038/s41598-021-01681-w.

mod data;
mod kernel;

use std::collections::BTreeMap;

use ndarray::Axis;
use serde::Serialize;

use self::data::{Made, made};
pub use self::kernel::{KernelRow, KernelTable};
use super::ClaimsError;
use crate::{
    eval::{Pooling, Scores, Unit},
    heads::{Gamma, HeadConfig, KnnConfig, LinearConfig, SvmRbfConfig, TrainingSet, Tuning},
    progress::Progress,
    seed,
    stats::auc,
};

/// One head's areas (train, validation, test, slices and patients elsewhere), and whether all test rows had one score.
type Areas = ([f64; 5], bool);

/// What is simulated; the defaults are Song 2020's first hospital and its external set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Patients, half of them positive: 166.
    pub patients: usize,
    /// Slices: 8,366, as the authors' saved output counts them.
    pub slices: usize,
    /// Features: 120.
    pub features: usize,
    /// Positive and negative patients of the other hospital: 15 and 20.
    pub external: [usize; 2],
    /// Slices of each external patient: 50.
    pub external_slices: usize,
    /// Spread between patients over the spread within a patient: 5. Not known of the paper's features.
    pub tau: f64,
    /// Training rows that the support vector machines are fitted on: 3,000, which changes nothing but the time.
    pub svm_rows: usize,
    /// The first seed: 0.
    pub seed: u64,
    /// How many seeds, one after the other: 1.
    pub seeds: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            patients: 166,
            slices: 8366,
            features: 120,
            external: [15, 20],
            external_slices: 50,
            tau: 5.0,
            svm_rows: 3000,
            seed: 0,
            seeds: 1,
        }
    }
}

/// Fewest slices of a patient.
const LEAST_SLICES: usize = 10;

/// Training rows that are scored again: enough for an AUC.
const TRAIN_SCORED: usize = 1500;

/// What is drawn into training, validation and test sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// Slices, as in the paper: a patient stands in all sets.
    Slice,
    /// Patients.
    Patient,
}

/// The sets that are scored, in the order of [`Row::areas`].
pub const SETS: [&str; 5] = ["train", "validation", "test", "external, slices", "external, patients"];

/// One head under one split, over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was split.
    pub split: SplitBy,
    /// `linear`, `knn`, `svm-narrow` or `svm-scaled`.
    pub head: &'static str,
    /// Mean, least and greatest AUC over the seeds on each of [`SETS`].
    pub areas: [Area; 5],
    /// Seeds in which all test slices had one score.
    pub one_score: usize,
}

/// An AUC over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Area {
    /// Mean.
    pub mean: f64,
    /// Least.
    pub least: f64,
    /// Greatest.
    pub greatest: f64,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leakage {
    /// What was simulated.
    pub settings: Settings,
    /// Slice split first.
    pub rows: Vec<Row>,
    /// The kernel's width on the first seed's slices, with tau 1.
    pub kernel: KernelTable,
}

/// The heads: Song 2020's three, and its machine as it should have been.
fn heads() -> [(&'static str, HeadConfig); 4] {
    // Rows as they are: an unscaled Gaussian of width 1 is what leaves no two slices alike.
    let svm = |gamma, standardize| {
        HeadConfig::SvmRbf(SvmRbfConfig {
            c: Some(1.0),
            gamma: Some(gamma),
            standardize,
        })
    };
    [
        ("linear", HeadConfig::Linear(LinearConfig::default())),
        (
            "knn",
            HeadConfig::Knn(KnnConfig {
                k: Some(5),
                standardize: false,
            }),
        ),
        (NARROW, svm(Gamma::Value(1.0), false)),
        ("svm-scaled", svm(Gamma::Auto, true)),
    ]
}

/// The machine whose kernel is too narrow.
const NARROW: &str = "svm-narrow";

impl Settings {
    fn check(&self) -> Result<(), ClaimsError> {
        let refuse = |name, found: String, expected: &str| {
            Err(ClaimsError::Simulation {
                name,
                found,
                expected: expected.to_owned(),
            })
        };
        if !(self.tau.is_finite() && self.tau >= 0.0) {
            return refuse("tau", self.tau.to_string(), "a finite number, 0 or above");
        }
        if self.seeds == 0 {
            return refuse("number of seeds", "0".to_owned(), "1 or more");
        }
        if self.patients < 20 {
            return refuse("number of patients", self.patients.to_string(), "20 or more");
        }
        let fewest = self.patients * LEAST_SLICES;
        if self.slices < fewest {
            let expected = format!("{fewest} or more, {LEAST_SLICES} a patient");
            return refuse("number of slices", self.slices.to_string(), &expected);
        }
        let counts = [
            ("number of features", self.features),
            ("number of rows for the machines", self.svm_rows / 100),
            ("number of external slices", self.external_slices),
            (
                "number of external patients of a class",
                self.external[0].min(self.external[1]),
            ),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => refuse(
                name,
                "too small".to_owned(),
                "1 or more (100 or more rows for the machines)",
            ),
            None => Ok(()),
        }
    }

    /// The seeds, one after the other.
    pub(super) fn each_seed(&self) -> impl Iterator<Item = u64> {
        let first = self.seed;
        (0..self.seeds as u64).map(move |step| first.wrapping_add(step))
    }

    /// Draws, splits both ways, fits all heads and measures them, seed after seed.
    ///
    /// # Errors
    ///
    /// Settings from which nothing can be drawn, and all that a head refuses.
    pub fn simulate(&self) -> Result<Leakage, ClaimsError> {
        self.check()?;
        let mut found: BTreeMap<(SplitBy, usize), Vec<Areas>> = BTreeMap::new();
        let progress = Progress::new("simulate", "seeds", self.seeds as u64);
        for seed in self.each_seed() {
            let made = made(self, self.tau, seed);
            let mut rng = seed::stream(seed, "leakage split");
            for split in [SplitBy::Slice, SplitBy::Patient] {
                let sets = match split {
                    SplitBy::Slice => made.cut_of_slices(&mut rng),
                    SplitBy::Patient => made.cut_of_patients(&mut rng),
                };
                for (at, (name, config)) in heads().iter().enumerate() {
                    // The narrow kernel tells no two patients apart whatever the split.
                    if split == SplitBy::Slice || *name != NARROW {
                        found
                            .entry((split, at))
                            .or_default()
                            .push(self.measure(&made, &sets, config, seed)?);
                    }
                }
            }
            progress.tick(1);
        }
        progress.finish();
        let rows = found.into_iter().map(|((split, at), seeds)| Row {
            split,
            head: heads()[at].0,
            areas: std::array::from_fn(|set| Area::of(seeds.iter().map(|(areas, _)| areas[set]))),
            one_score: seeds.iter().filter(|(_, one_score)| *one_score).count(),
        });
        Ok(Leakage {
            settings: self.clone(),
            rows: rows.collect(),
            kernel: kernel::table(self)?,
        })
    }

    /// The AUCs on [`SETS`], and whether all test rows got one score.
    fn measure(
        &self,
        made: &Made,
        [train, validation, test]: &[Vec<usize>; 3],
        config: &HeadConfig,
        seed: u64,
    ) -> Result<Areas, ClaimsError> {
        let rows = match config {
            HeadConfig::SvmRbf(_) => &train[..train.len().min(self.svm_rows)],
            _ => &train[..],
        };
        let x = made.x.select(Axis(0), rows);
        let positive: Vec<bool> = rows.iter().map(|row| made.positive[*row]).collect();
        let groups: Vec<usize> = rows.iter().map(|row| made.patient[*row]).collect();
        let set = TrainingSet {
            x: x.view(),
            positive: &positive,
            groups: &groups,
        };
        let head = config.fit(&set, &Tuning::default(), seed)?;
        let area = |rows: &[usize]| -> Result<(f64, bool), ClaimsError> {
            let scores = head.score(made.x.select(Axis(0), rows).view())?;
            let positive: Vec<bool> = rows.iter().map(|row| made.positive[*row]).collect();
            let one_score = scores.iter().all(|score| *score == scores[0]);
            Ok((defined(&positive, &scores)?, one_score))
        };
        let of_train = area(&rows[..rows.len().min(TRAIN_SCORED)])?.0;
        let (of_validation, (of_test, one_score)) = (area(validation)?.0, area(test)?);
        let external = &made.external;
        let scores = head.score(external.x.view())?;
        let of_slices = defined(&external.positive, &scores)?;
        let scores = Scores::new(external.positive.clone(), scores, external.patient.clone())?;
        let pooled = scores.pool(Unit::Patient, Pooling::Mean)?.scores;
        let of_patients = defined(pooled.positive(), pooled.score())?;
        Ok(([of_train, of_validation, of_test, of_slices, of_patients], one_score))
    }
}

fn defined(positive: &[bool], scores: &[f64]) -> Result<f64, ClaimsError> {
    auc(positive, scores).ok_or(ClaimsError::NotDefined {
        test: "AUC of a set with one class (use more patients)",
    })
}

impl Area {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_of_slices_is_that_of_the_saved_output() {
        let settings = Settings {
            features: 2,
            ..Settings::default()
        };
        let made = made(&settings, 1.0, 0);
        let mut rng = seed::stream(0, "test");
        assert_eq!(made.cut_of_slices(&mut rng).map(|set| set.len()), [6692, 836, 838]);
        let patients = made.cut_of_patients(&mut rng).map(|rows| {
            let of_set: std::collections::BTreeSet<usize> = rows.iter().map(|row| made.patient[*row]).collect();
            of_set
        });
        assert_eq!(patients.clone().map(|set| set.len()), [133, 16, 17]);
        assert!(patients[0].is_disjoint(&patients[1]) && patients[1].is_disjoint(&patients[2]));
    }

    #[test]
    fn settings_that_draw_nothing_are_refused() {
        let refused = [
            Settings {
                tau: f64::NAN,
                ..Settings::default()
            },
            Settings {
                seeds: 0,
                ..Settings::default()
            },
            Settings {
                slices: 100,
                ..Settings::default()
            },
            Settings {
                external: [15, 0],
                ..Settings::default()
            },
        ];
        for settings in refused {
            let message = settings.simulate().unwrap_err().to_string();
            assert!(message.starts_with("the simulation's "), "{message}");
        }
    }
}
