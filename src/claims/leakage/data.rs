//! Made features: a point a patient, noise a slice, and labels that know nothing of either.

use ndarray::Array2;
use rand::{RngExt as _, seq::SliceRandom as _};
use rand_distr::{Distribution as _, StandardNormal};

use super::{LEAST_SLICES, Settings};
use crate::seed;

/// Slices of made patients.
pub(super) struct Set {
    /// `[N, F]`
    pub x: Array2<f64>,
    pub positive: Vec<bool>,
    pub patient: Vec<usize>,
}

/// The hospital whose slices are split, and the other one.
pub(super) struct Made {
    pub x: Array2<f64>,
    pub positive: Vec<bool>,
    pub patient: Vec<usize>,
    pub external: Set,
}

pub(super) fn made(settings: &Settings, tau: f64, seed: u64) -> Made {
    let mut rng = seed::stream(seed, "leakage");
    let n = settings.patients;
    let mut labels: Vec<bool> = (0..n).map(|patient| patient < n / 2).collect();
    labels.shuffle(&mut rng);
    let mut counts = vec![LEAST_SLICES; n];
    for _ in 0..settings.slices - n * LEAST_SLICES {
        counts[rng.random_range(0..n)] += 1;
    }
    let own = set(settings.features, &labels, &counts, tau, &mut rng);
    let [positives, negatives] = settings.external;
    let labels: Vec<bool> = (0..positives + negatives).map(|patient| patient < positives).collect();
    let external = set(
        settings.features,
        &labels,
        &vec![settings.external_slices; labels.len()],
        tau,
        &mut rng,
    );
    Made {
        x: own.x,
        positive: own.positive,
        patient: own.patient,
        external,
    }
}

fn set(features: usize, labels: &[bool], counts: &[usize], tau: f64, rng: &mut impl rand::Rng) -> Set {
    let mut normal = || -> f64 { StandardNormal.sample(rng) };
    let centres = Array2::from_shape_simple_fn((labels.len(), features), || tau * normal());
    let patient: Vec<usize> = counts
        .iter()
        .enumerate()
        .flat_map(|(patient, &count)| vec![patient; count])
        .collect();
    let mut x = Array2::from_shape_simple_fn((patient.len(), features), normal);
    for (mut row, &patient) in x.rows_mut().into_iter().zip(&patient) {
        row += &centres.row(patient);
    }
    Set {
        x,
        positive: patient.iter().map(|&patient| labels[patient]).collect(),
        patient,
    }
}

impl Made {
    /// 80:10:10 of all slices, the last part takes the rest: 6692, 836 and 838 of 8,366.
    pub(super) fn cut_of_slices(&self, rng: &mut impl rand::Rng) -> [Vec<usize>; 3] {
        let mut rows: Vec<usize> = (0..self.patient.len()).collect();
        rows.shuffle(rng);
        let (train, tenth) = (rows.len() * 8 / 10, rows.len() / 10);
        [
            rows[..train].to_vec(),
            rows[train..train + tenth].to_vec(),
            rows[train + tenth..].to_vec(),
        ]
    }

    /// 80:10:10 of the patients: 133, 16 and 17 of 166. Rows of the training set are shuffled, since a part of them stands
    /// for all.
    pub(super) fn cut_of_patients(&self, rng: &mut impl rand::Rng) -> [Vec<usize>; 3] {
        let count = self.patient.iter().max().map_or(0, |last| last + 1);
        let mut patients: Vec<usize> = (0..count).collect();
        patients.shuffle(rng);
        let (train, tenth) = ((count * 8).div_ceil(10), count / 10);
        let mut place = vec![0; count];
        for (at, patient) in patients.into_iter().enumerate() {
            place[patient] = usize::from(at >= train) + usize::from(at >= train + tenth);
        }
        let of = |set: usize| {
            (0..self.patient.len())
                .filter(|row| place[self.patient[*row]] == set)
                .collect()
        };
        let mut sets: [Vec<usize>; 3] = [of(0), of(1), of(2)];
        sets[0].shuffle(rng);
        sets
    }
}
