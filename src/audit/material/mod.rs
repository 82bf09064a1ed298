//! What is audited: the rows of one or several tables, whose they are and what is known of them.
//!
//! Raw identifiers live in here only; what goes out are row numbers and pseudonyms.

mod columns;
mod join;
mod meta;
mod patients;
mod read;
#[cfg(test)]
pub(super) mod testing;

use std::{collections::BTreeMap, path::PathBuf};

use ndarray::Array2;

pub use self::columns::{Metadata, Source, SourceColumns};
use super::Place;
use crate::ct::Pseudonymizer;

/// The rows that are audited.
#[derive(Debug, Clone, Default)]
pub struct Material {
    sources: Vec<String>,
    /// Source and row in it, from 0.
    places: Vec<(usize, usize)>,
    patient_names: Vec<String>,
    /// The patient of each row as an integer; `None` where it has none.
    pub(super) patient: Vec<Option<usize>>,
    /// Whether anything says who the patients are.
    pub(super) has_patients: bool,
    /// Rows whose patient the metadata do not know, where metadata were given.
    pub(super) unknown_to_metadata: Option<Vec<usize>>,
    pub(super) label: Vec<Option<String>>,
    /// The label of the positive class, where it was named.
    pub(super) positive_label: Option<String>,
    pub(super) positive: Vec<Option<bool>>,
    /// Names of the sets.
    pub(super) sets: Vec<String>,
    pub(super) set: Vec<Option<usize>>,
    pub(super) site: Option<Vec<Option<String>>>,
    pub(super) position: Option<Vec<Option<String>>>,
    pub(super) meta: Vec<(String, Vec<Option<String>>)>,
    /// The columns of `site` and `position`, where a table has them.
    pub(super) site_column: Option<String>,
    pub(super) position_column: Option<String>,
    /// Columns that the user named to predict from.
    pub(super) named: Vec<String>,
    /// Columns that look like identifiers, which nothing is predicted from.
    pub(super) identifying: Vec<String>,
    pub(super) paths: Vec<Option<PathBuf>>,
    /// Hashes of the images, where they are known already.
    pub(super) sha256: Vec<Option<String>>,
    /// `[M, F]` features and the row of each.
    pub(super) features: Option<(Array2<f32>, Vec<usize>)>,
}

impl Material {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Number of patients.
    pub fn n_patients(&self) -> usize {
        self.patient_names.len()
    }

    /// Names of the tables.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Names of the sets.
    pub fn sets(&self) -> &[String] {
        &self.sets
    }

    /// Where a row stands.
    pub fn place(&self, row: usize) -> Place {
        let (source, row) = self.places[row];
        Place {
            table: self.sources[source].clone(),
            row: row + 1,
        }
    }

    /// Rows that are in none of the sets, where there are sets.
    pub fn without_a_set(&self) -> usize {
        match self.sets.is_empty() {
            true => 0,
            false => self.set.iter().filter(|set| set.is_none()).count(),
        }
    }

    /// The name of a row's set.
    pub fn set_of(&self, row: usize) -> Option<&str> {
        self.set[row].map(|set| self.sets[set].as_str())
    }

    /// The pseudonym of a row's patient.
    pub fn pseudonym(&self, row: usize, ids: &Pseudonymizer) -> Option<String> {
        self.patient[row].map(|patient| ids.patient(&self.patient_names[patient]))
    }

    /// The table that a row stands in, from 0.
    pub(super) fn source(&self, row: usize) -> usize {
        self.places[row].0
    }

    /// The patients' own names: for comparing, never for output.
    pub(super) fn patient_names(&self) -> &[String] {
        &self.patient_names
    }

    /// Patients as clusters: rows without one are clusters of their own.
    pub(super) fn clusters(&self, rows: &[usize]) -> Vec<usize> {
        let lone = |row: usize| self.n_patients() + row;
        rows.iter().map(|&row| self.patient[row].unwrap_or(lone(row))).collect()
    }

    pub(super) fn number_patients(&mut self, names: &[Option<String>]) {
        let mut index: BTreeMap<&str, usize> = names.iter().flatten().map(|name| (name.as_str(), 0)).collect();
        for (number, value) in index.values_mut().enumerate() {
            *value = number;
        }
        self.patient = names
            .iter()
            .map(|name| name.as_deref().map(|name| index[name]))
            .collect();
        self.patient_names = index.into_keys().map(str::to_owned).collect();
    }

    pub(super) fn put_in_sets(&mut self, names: &[Option<String>]) {
        let mut index: BTreeMap<&str, usize> = names.iter().flatten().map(|name| (name.as_str(), 0)).collect();
        for (number, value) in index.values_mut().enumerate() {
            *value = number;
        }
        self.set = names
            .iter()
            .map(|name| name.as_deref().map(|name| index[name]))
            .collect();
        self.sets = index.into_keys().map(str::to_owned).collect();
    }
}
