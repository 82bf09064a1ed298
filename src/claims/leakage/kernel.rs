//! What the width of a Gaussian kernel does to unscaled features: below the distances between slices, every training
//! slice is its own neighbourhood and every new one gets the same score.

use ndarray::Axis;
use rand::seq::SliceRandom as _;
use serde::Serialize;

use super::{Settings, data::made, defined};
use crate::{
    claims::ClaimsError,
    heads::{Gamma, HeadConfig, SvmRbfConfig, TrainingSet, Tuning},
    seed,
};

/// Spread between patients over that within: that of the shipped figures.
const TAU: f64 = 1.0;

/// A kernel's width and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KernelRow {
    /// Factor of the squared distance.
    pub gamma: f64,
    /// Share of the training rows that are support vectors.
    pub support: f64,
    /// AUC on the training rows.
    pub train: f64,
    /// AUC on other slices of the same patients.
    pub test: f64,
    /// AUC on slices of other patients.
    pub external: f64,
    /// Different scores among the test rows, to 12 decimals.
    pub distinct: usize,
}

/// Widths from too narrow to right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTable {
    /// Spread between patients over that within.
    pub tau: f64,
    /// Median squared distance of training rows: gamma times this should be near 2.
    pub median_squared_distance: f64,
    /// Rows to train on and to test on.
    pub rows: [usize; 2],
    /// Narrowest first.
    pub widths: Vec<KernelRow>,
}

pub(super) fn table(settings: &Settings) -> Result<KernelTable, ClaimsError> {
    let made = made(settings, TAU, settings.seed);
    let mut rows: Vec<usize> = (0..made.patient.len()).collect();
    rows.shuffle(&mut seed::stream(settings.seed, "leakage kernel"));
    rows.truncate(settings.svm_rows);
    let (train, test) = rows.split_at(rows.len() * 8 / 10);
    let [x, x_test] = [train, test].map(|rows| made.x.select(Axis(0), rows));
    let [positive, positive_test] = [train, test].map(|rows| rows.iter().map(|row| made.positive[*row]).collect());
    let (positive, positive_test): (Vec<bool>, Vec<bool>) = (positive, positive_test);
    let groups: Vec<usize> = train.iter().map(|row| made.patient[*row]).collect();
    let set = TrainingSet {
        x: x.view(),
        positive: &positive,
        groups: &groups,
    };
    let features = settings.features as f64;
    let gammas = [2.0, 1.0, 0.2, 0.1, 0.05, 1.0 / features, 0.5 / features];
    let mut median = 0.0;
    let mut widths = Vec::new();
    for gamma in gammas {
        let config = SvmRbfConfig {
            c: Some(1.0),
            gamma: Some(Gamma::Value(gamma)),
            standardize: false,
        };
        let head = HeadConfig::SvmRbf(config).fit(&set, &Tuning::default(), settings.seed)?;
        let fact = |name: &str| head.summary().facts.get(name).copied().unwrap_or(0.0);
        median = fact("median_squared_distance");
        let of_test = head.score(x_test.view())?;
        let mut distinct: Vec<i64> = of_test.iter().map(|score| (score * 1e12).round() as i64).collect();
        distinct.sort_unstable();
        distinct.dedup();
        widths.push(KernelRow {
            gamma,
            support: fact("support_vectors") / train.len() as f64,
            train: defined(&positive, &head.score(x.view())?)?,
            test: defined(&positive_test, &of_test)?,
            external: defined(&made.external.positive, &head.score(made.external.x.view())?)?,
            distinct: distinct.len(),
        });
    }
    Ok(KernelTable {
        tau: TAU,
        median_squared_distance: median,
        rows: [train.len(), test.len()],
        widths,
    })
}
