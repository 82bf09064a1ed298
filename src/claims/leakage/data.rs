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
