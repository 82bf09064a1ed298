//! Choice of hyperparameters inside the training set, by cross-validation that keeps patients whole.
//!
//! The measure is the area under the ROC curve, taken in each fold and averaged: scores of two folds come from two heads
//! and need not be on one scale. Of equal points the more strongly regularised is taken.

use std::{collections::BTreeMap, sync::Arc};

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    FitSummary, FittedHead, Head, HeadConfig, HeadError, Hyperparameter, Standardizer, TrainingSet, TuningPoint,
};
use crate::{
    seed,
    stats::{FoldError, auc, grouped_folds},
};

/// Bounds and inverse penalties among which heads choose, strongest regularisation first.
pub(super) const C_GRID: [f64; 5] = [0.01, 0.1, 1.0, 10.0, 100.0];

/// Folds run beside each other only while their kernels stay below this: a slower run is better than a swapping one.
const MEMORY_OF_FOLDS: usize = 4 << 30;

/// How open hyperparameters are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// Folds inside the training set (default: 5). Lowered, with a note, where a class has fewer patients.
    pub folds: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { folds: 5 }
    }
}

/// Standardised training rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Problem<'a> {
    /// `[N, F]`
    pub(super) x: ArrayView2<'a, f64>,
    pub(super) positive: &'a [bool],
}

/// A fitted head with what there is to say about it.
pub(super) struct Solved {
    pub(super) head: Arc<dyn Head>,
    pub(super) chosen: BTreeMap<String, Hyperparameter>,
    pub(super) notes: Vec<String>,
    pub(super) facts: BTreeMap<String, f64>,
}

/// What a head's configuration knows to do; a new head implements this and [`Head`].
pub(super) trait Learner: Sync {
    /// One choice of all hyperparameters.
    type Point: Clone + Send + Sync;

    /// Whether columns are standardised.
    fn standardize(&self) -> bool;

    /// Whether fixed hyperparameters are in range.
    fn check(&self) -> Result<(), HeadError>;

    /// Whether so many training rows can be taken on.
    fn check_size(&self, _rows: usize) -> Result<(), HeadError> {
        Ok(())
    }

    /// The points to try on `rows` training rows, strongest regularisation first; one point where all is fixed.
    fn grid(&self, rows: usize) -> Vec<Self::Point>;

    /// The point to take where there are too few patients to choose.
    fn fallback(&self, rows: usize) -> Self::Point;

    /// The point for reports.
    fn words(&self, point: &Self::Point) -> BTreeMap<String, Hyperparameter>;

    /// Memory that [`Learner::scores_of_grid`] takes beyond the features.
    fn bytes_of_fold(&self, _rows: usize) -> usize {
        0
    }

    /// Scores of `held_out` by a head fitted at each point: what the points share is computed once.
    fn scores_of_grid(
        &self,
        train: Problem<'_>,
        held_out: ArrayView2<'_, f64>,
        grid: &[Self::Point],
    ) -> Result<Vec<Vec<f64>>, HeadError>;

    /// Fits one head.
    fn fit(&self, train: Problem<'_>, point: &Self::Point) -> Result<Solved, HeadError>;
}

/// Chooses and fits: what [`HeadConfig::fit`] does.
pub(super) fn fit<L: Learner>(
    learner: &L,
    config: &HeadConfig,
    set: &TrainingSet<'_>,
    tuning: &Tuning,
    seed: u64,
) -> Result<FittedHead, HeadError> {
    check(tuning)?;
    learner.check()?;
    set.check()?;
    learner.check_size(set.x.nrows())?;
    let mut notes = vec![];
    let (point, table) = choose(learner, set, tuning, seed, &mut notes)?;
    let standardizer = learner.standardize().then(|| Standardizer::fit(set.x));
    // Constant columns are counted, standardised or not.
    let constant_columns = standardizer.as_ref().map_or_else(
        || Standardizer::fit(set.x).constant_columns(),
        Standardizer::constant_columns,
    );
    if constant_columns > 0 {
        let features = set.x.ncols();
        notes.push(format!(
            "{constant_columns} of {features} feature columns are constant on the training rows"
        ));
    }
    let x = applied(standardizer.as_ref(), set.x);
    let train = Problem {
        x: x.view(),
        positive: set.positive,
    };
    let solved = learner.fit(train, &point)?;
    notes.extend(solved.notes);
    let summary = FitSummary {
        config: config.clone(),
        chosen: solved.chosen,
        tuning: table,
        notes,
        facts: solved.facts,
        rows: set.x.nrows(),
        groups: set.group_count(),
        positive_rows: set.positive.iter().filter(|positive| **positive).count(),
        features: set.x.ncols(),
        constant_columns,
        seed,
    };
    Ok(FittedHead::new(summary, standardizer, solved.head))
}

/// Fits on all folds but one and scores that one: what [`HeadConfig::out_of_fold`] does.
pub(super) fn out_of_fold(
    config: &HeadConfig,
    set: &TrainingSet<'_>,
    tuning: &Tuning,
    seed: u64,
) -> Result<Vec<f64>, HeadError> {
    check(tuning)?;
    set.check()?;
    let (fold, k) = folds(set, tuning.folds, seed, "out-of-fold")?;
    let mut scores = vec![0.0; fold.len()];
    // One fold after the other: the choice inside each already keeps all threads busy.
    for held in 0..k {
        let part = Part::new(set, &fold, held);
        let inner = TrainingSet {
            x: part.train.view(),
            positive: &part.train_positive,
            groups: &part.train_groups,
        };
        let fitted = config.fit(&inner, tuning, seed)?;
        for (&row, score) in part.held_rows.iter().zip(fitted.score(part.held.view())?) {
            scores[row] = score;
        }
    }
    Ok(scores)
}

fn check(tuning: &Tuning) -> Result<(), HeadError> {
    if tuning.folds >= 2 {
        return Ok(());
    }
    Err(HeadError::Hyperparameter {
        head: "tuning",
        name: "folds",
        found: tuning.folds.to_string(),
        expected: "2 or more".to_owned(),
    })
}

fn choose<L: Learner>(
    learner: &L,
    set: &TrainingSet<'_>,
    tuning: &Tuning,
    seed: u64,
    notes: &mut Vec<String>,
) -> Result<(L::Point, Vec<TuningPoint>), HeadError> {
    let rows = set.x.nrows();
    let mut grid = learner.grid(rows);
    if let [point] = &grid[..] {
        return Ok((point.clone(), vec![]));
    }
    let (fold, k) = match folds(set, tuning.folds, seed, "tuning") {
        Ok(folds) => folds,
        Err(error) => {
            let point = learner.fallback(rows);
            let words: Vec<_> = learner
                .words(&point)
                .iter()
                .map(|(name, value)| format!("{name} = {value}"))
                .collect();
            notes.push(format!(
                "hyperparameters are defaults ({}), not chosen: {error}",
                words.join(", ")
            ));
            return Ok((point, vec![]));
        }
    };
    if k < tuning.folds {
        notes.push(format!(
            "hyperparameters were chosen on {k} inner folds, not {}: the rarer class has {k} patients",
            tuning.folds
        ));
    }
    let largest = (0..k)
        .map(|held| fold.iter().filter(|fold| **fold == held).count())
        .max();
    grid = learner.grid(rows - largest.unwrap_or(0));

    let scored = |held: usize| -> Result<Vec<f64>, HeadError> {
        let part = Part::new(set, &fold, held);
        let standardizer = learner.standardize().then(|| Standardizer::fit(part.train.view()));
        let train = applied(standardizer.as_ref(), part.train.view());
        let held_out = applied(standardizer.as_ref(), part.held.view());
        let problem = Problem {
            x: train.view(),
            positive: &part.train_positive,
        };
        let scores = learner.scores_of_grid(problem, held_out.view(), &grid)?;
        // Every fold has both classes, so every area is defined.
        Ok(scores
            .iter()
            .map(|scores| auc(&part.held_positive, scores).unwrap_or(0.5))
            .collect())
    };
    let areas: Vec<Vec<f64>> = if k * learner.bytes_of_fold(rows) <= MEMORY_OF_FOLDS {
        (0..k).into_par_iter().map(scored).collect::<Result<_, _>>()?
    } else {
        (0..k).map(scored).collect::<Result<_, _>>()?
    };

    let table: Vec<TuningPoint> = grid
        .iter()
        .enumerate()
        .map(|(index, point)| {
            let fold_aucs: Vec<f64> = areas.iter().map(|areas| areas[index]).collect();
            TuningPoint {
                values: learner.words(point),
                auc: fold_aucs.iter().sum::<f64>() / k as f64,
                fold_aucs,
            }
        })
        .collect();
    let mut best = 0;
    for index in 1..table.len() {
        // Less than this is rounding of the mean.
        if table[index].auc > table[best].auc + 1e-12 {
            best = index;
        }
    }
    Ok((grid[best].clone(), table))
}

/// The fold of each row, and how many folds there are: as many as asked, or as the rarer class has patients.
fn folds(set: &TrainingSet<'_>, wanted: usize, seed: u64, purpose: &str) -> Result<(Vec<usize>, usize), FoldError> {
    let draw = |k| grouped_folds(set.positive, set.groups, k, &mut seed::stream(seed, purpose)).map(|fold| (fold, k));
    match draw(wanted) {
        Err(FoldError::TooFewGroups { positive, negative, .. }) if positive.min(negative) >= 2 => {
            draw(positive.min(negative))
        }
        drawn => drawn,
    }
}

fn applied(standardizer: Option<&Standardizer>, x: ArrayView2<'_, f64>) -> Array2<f64> {
    standardizer.map_or_else(
        || x.as_standard_layout().into_owned(),
        |standardizer| standardizer.apply(x),
    )
}

/// A fold and the rest.
struct Part {
    train: Array2<f64>,
    train_positive: Vec<bool>,
    train_groups: Vec<usize>,
    held: Array2<f64>,
    held_positive: Vec<bool>,
    held_rows: Vec<usize>,
}

impl Part {
    fn new(set: &TrainingSet<'_>, fold: &[usize], held: usize) -> Self {
        let (held_rows, rows): (Vec<usize>, Vec<usize>) = (0..fold.len()).partition(|&row| fold[row] == held);
        Self {
            train: set.x.select(Axis(0), &rows),
            train_positive: rows.iter().map(|&row| set.positive[row]).collect(),
            train_groups: rows.iter().map(|&row| set.groups[row]).collect(),
            held: set.x.select(Axis(0), &held_rows),
            held_positive: held_rows.iter().map(|&row| set.positive[row]).collect(),
            held_rows,
        }
    }
}
