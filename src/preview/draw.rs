//! Which slices of which site are looked at, and what is found in them.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{PreviewError, PreviewPlan, Scale, Shown, ValueCounts, read::Pictures};
use crate::{cohort::Cohort, explain::sample_rows, journal::Sheet, progress::Progress, seed::stream};

/// The site of rows that have none.
const NO_SITE: &str = "no site";

/// The slices of one site.
#[derive(Debug)]
pub struct Site {
    /// What it is called.
    pub name: String,
    /// Patients of the slices that could be read.
    pub patients: usize,
    /// The slices that could be read, in the order of the table.
    pub slices: Vec<Listed>,
    /// Rows that could not be read or prepared, from 0, and why.
    pub failures: Vec<(usize, String)>,
    /// How often which values occur, by what they are.
    pub counts: BTreeMap<Scale, ValueCounts>,
    /// The pictures as a PNG, a line a slice: before, then the planes. `None` where no slice could be read.
    pub sheet: Option<Vec<u8>>,
}

/// A slice with what the cohort says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// What was found in it.
    pub shown: Shown,
    /// Its pseudonym.
    pub slice_id: String,
    /// The patient's pseudonym.
    pub patient_id: String,
    /// Its label, where it has one.
    pub label: Option<String>,
}

/// For each site some rows of a cohort, of as many patients as can be. Sites stand in the order of their names.
pub fn rows_by_site(cohort: &Cohort, per_site: usize, seed: u64) -> Vec<(String, Vec<usize>)> {
    let mut sites = BTreeMap::<&str, Vec<usize>>::new();
    for (row, site) in cohort.rows.site.iter().enumerate() {
        sites.entry(site.as_deref().unwrap_or(NO_SITE)).or_default().push(row);
    }
    let draw = |(name, rows): (&str, Vec<usize>)| {
        let mut rng = stream(seed, &format!("preview/{name}"));
        (name.to_owned(), sample_rows(&rows, &cohort.patient, per_site, &mut rng))
    };
    sites.into_iter().map(draw).collect()
}

impl Site {
    /// Reads the rows of a site. One that can't be read or prepared is warned about.
    pub(super) fn read(
        name: String,
        rows: &[usize],
        cohort: &Cohort,
        plan: &PreviewPlan,
        progress: &Progress,
    ) -> Result<Self, PreviewError> {
        let read = |row: &usize| {
            let found = Pictures::read(*row, &cohort.paths[*row], &plan.preprocess, plan.size);
            progress.tick(1);
            found.map_err(|why| (*row, why))
        };
        let found: Vec<Result<Pictures, (usize, String)>> = rows.par_iter().map(read).collect();
        let mut site = Self {
            name,
            patients: 0,
            slices: Vec::new(),
            failures: Vec::new(),
            counts: BTreeMap::new(),
            sheet: None,
        };
        let mut sheet = Sheet::new(1 + plan.preprocess.planes());
        let mut patients = BTreeSet::new();
        for found in found {
            let pictures = match found {
                Ok(pictures) => pictures,
                Err(failure) => {
                    site.failures.push(failure);
                    continue;
                }
            };
            sheet.push(pictures.before.view())?;
            for plane in pictures.after.outer_iter() {
                sheet.push(plane)?;
            }
            let shown = pictures.shown;
            let counts = site.counts.entry(shown.scale);
            let counts = counts.or_insert_with(|| ValueCounts::new(shown.scale));
            counts.merge(&pictures.counts);
            patients.insert(cohort.patient[shown.row]);
            site.failures
                .extend(shown.refused.iter().map(|why| (shown.row, why.clone())));
            let ids = &cohort.rows;
            site.slices.push(Listed {
                slice_id: ids.slice_id[shown.row].clone(),
                patient_id: ids.patient_id[shown.row].clone(),
                label: ids.label[shown.row].clone(),
                shown,
            });
        }
        for (row, why) in &site.failures {
            tracing::warn!("row {}: {why}", row + 1);
        }
        site.patients = patients.len();
        site.sheet = (!site.slices.is_empty()).then(|| sheet.png()).transpose()?;
        Ok(site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Rows;

    #[test]
    fn every_site_is_drawn_from_with_as_many_patients_as_can_be() {
        let n = 40;
        let cohort = Cohort {
            rows: Rows {
                site: (0..n)
                    .map(|row| ["a", "b"].get(row % 3).map(|site| (*site).to_owned()))
                    .collect(),
                ..Rows::default()
            },
            patient: (0..n).map(|row| row / 6).collect(),
            n_patients: 7,
            positive: vec![None; n],
            paths: vec!["x".into(); n],
            sha256: vec![None; n],
            given: None,
            warnings: Vec::new(),
        };
        let drawn = rows_by_site(&cohort, 5, 1);
        let names: Vec<&str> = drawn.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", NO_SITE]);
        for (_, rows) in &drawn {
            let patients: BTreeSet<usize> = rows.iter().map(|row| cohort.patient[*row]).collect();
            assert_eq!((rows.len(), patients.len()), (5, 5));
        }
        assert_eq!(rows_by_site(&cohort, 5, 1), drawn);
        assert_ne!(rows_by_site(&cohort, 5, 2), drawn);
    }
}
