//! The features of a study as heads take them: a matrix of `f64` whose rows are known rows of the cohort.

use std::collections::HashMap;

use ndarray::{Array2, Axis};

use super::StudyError;
use crate::{
    cohort::{Cohort, Split},
    features::{FeatureTable, Provenance},
};

/// One feature table, joined with the cohort.
#[derive(Debug)]
pub(super) struct Matrix {
    /// `[N, F]`, only rows that have features.
    values: Array2<f64>,
    /// For each row of the cohort its row in `values`.
    place: Vec<Option<usize>>,
    /// What made the features.
    pub provenance: Provenance,
}

impl Matrix {
    /// Joins by `slice_id`; a cohort that was read from the table itself (`same`) has the table's rows in its order. Rows
    /// that the cohort does not have are an error: they belong to another study. So are values that are not finite in
    /// rows that take part.
    pub fn join(
        name: &str,
        table: FeatureTable,
        cohort: &Cohort,
        split: &Split,
        same: bool,
    ) -> Result<Self, StudyError> {
        let place: Vec<Option<usize>> = if same {
            (0..cohort.len()).map(Some).collect()
        } else {
            let ids = table.rows.slice_id.iter().enumerate();
            let of: HashMap<&str, usize> = ids.map(|(row, id)| (id.as_str(), row)).collect();
            let ids = cohort.rows.slice_id.iter();
            ids.map(|id| of.get(id.as_str()).copied()).collect()
        };
        let joined = place.iter().flatten().count();
        if joined != table.rows.len() {
            return Err(StudyError::Foreign {
                joined,
                rows: table.rows.len(),
                cohort: cohort.len(),
            });
        }
        let mut bad = Vec::new();
        for (row, place) in place.iter().enumerate() {
            if let (Some(_), Some(place)) = (&split.sets()[row], place) {
                let values = table.values.row(*place);
                let columns = values.iter().enumerate().filter(|(_, value)| !value.is_finite());
                bad.extend(columns.map(|(column, _)| (row, column)));
            }
        }
        if let Some((row, column)) = bad.first() {
            let (name, feature) = (name.to_owned(), table.names[*column].clone());
            return Err(StudyError::NotFinite {
                count: bad.len(),
                name,
                row: row + 1,
                feature,
            });
        }
        Ok(Self {
            values: table.values.mapv(f64::from),
            place,
            provenance: table.provenance,
        })
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.values.ncols()
    }

    /// Whether a row of the cohort has features.
    pub fn has(&self, row: usize) -> bool {
        self.place[row].is_some()
    }

    /// The features of some rows of the cohort, which all have some.
    pub fn select(&self, rows: &[usize]) -> Array2<f64> {
        let places: Vec<usize> = rows.iter().filter_map(|row| self.place[*row]).collect();
        self.values.select(Axis(0), &places)
    }
}
