//! One table of features as `explain` sees it: only rows that take part in the study, and standardised as for heads.

use ndarray::{Array2, Axis};

use super::super::{StudyError, matrix::Matrix, probe::OUT_OF_FOLD};
use crate::{
    cohort::{Cohort, Set, Split},
    explain::queries,
    features::FeatureTable,
    heads::Standardizer,
    seed::stream,
};

/// One table of features.
pub(super) struct Layer<'a> {
    /// The layer, or the stem of the table's file name.
    pub name: String,
    /// Who the rows of the study are.
    pub cohort: &'a Cohort,
    pub split: &'a Split,
    /// `N` rows of the cohort that take part and have features.
    pub rows: Vec<usize>,
    /// `N` patients.
    pub patient: Vec<usize>,
    /// `[N, F]` features as they are in the table.
    pub raw: Array2<f64>,
    /// What heads do to them first: fitted on the training rows.
    standardizer: Standardizer,
}

impl<'a> Layer<'a> {
    /// The table's rows that take part; `same` where the cohort was read from the table itself.
    pub fn new(
        name: String,
        table: FeatureTable,
        cohort: &'a Cohort,
        split: &'a Split,
        same: bool,
    ) -> Result<Self, StudyError> {
        let matrix = Matrix::join(&name, table, cohort, split, same)?;
        let takes_part = |row: &usize| split.sets()[*row].is_some() && matrix.has(*row);
        let rows: Vec<usize> = (0..cohort.len()).filter(takes_part).collect();
        let raw = matrix.select(&rows);
        let fitted: Vec<usize> = (0..rows.len()).filter(|at| is_fitted_on(split, rows[*at])).collect();
        Ok(Self {
            name,
            patient: rows.iter().map(|row| cohort.patient[*row]).collect(),
            standardizer: Standardizer::fit(raw.select(Axis(0), &fitted).view()),
            raw,
            cohort,
            split,
            rows,
        })
    }

    /// `[N, F]` features as heads see them.
    pub fn standardised(&self) -> Array2<f64> {
        self.standardizer.apply(self.raw.view())
    }

    /// The set of one of the rows, folds as one.
    pub fn set(&self, at: usize) -> String {
        match &self.split.sets()[self.rows[at]] {
            Some(Set::Fold(_)) => OUT_OF_FOLD.to_owned(),
            Some(set) => set.to_string(),
            None => String::new(),
        }
    }

    /// The label of one of the rows.
    pub fn label(&self, at: usize) -> &'a str {
        self.cohort.rows.label[self.rows[at]].as_deref().unwrap_or("no label")
    }

    /// Rows to look at: one a patient, of both classes, from held-out sets first.
    pub fn queries(&self, wanted: usize, seed: u64) -> Vec<usize> {
        let candidate = |at: usize| (at, held_out_rank(&self.set(at)), self.positive(at));
        let candidates: Vec<(usize, usize, bool)> = (0..self.rows.len()).map(candidate).collect();
        queries(&candidates, &self.patient, wanted, &mut stream(seed, "explain queries"))
    }

    /// Whether one of the rows is of the positive class; rows that take part are of one class or the other.
    pub fn positive(&self, at: usize) -> bool {
        self.cohort.positive[self.rows[at]] == Some(true)
    }
}

/// Sets that no head was fitted or decided on come first.
fn held_out_rank(set: &str) -> usize {
    match set {
        "train" => 3,
        "validation" => 2,
        OUT_OF_FOLD => 1,
        _ => 0,
    }
}

/// Training rows, or those that some fold's head is fitted on.
fn is_fitted_on(split: &Split, row: usize) -> bool {
    matches!(split.sets()[row], Some(Set::Train | Set::Fold(_) | Set::OutOfFold))
}
