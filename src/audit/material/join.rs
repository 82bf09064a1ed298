//! Cohorts, tables of features, and what is joined to rows that are there: features and sets.

use std::collections::HashMap;

use super::{Material, Source, SourceColumns, read::trimmed};
use crate::{
    audit::AuditError,
    cohort::{Cohort, Set},
    features::FeatureTable,
    tables::TextTable,
};

impl Material {
    /// The rows of a cohort with the sets of its split.
    pub fn of_cohort(cohort: &Cohort, sets: Option<&[Option<Set>]>, positive: Option<&str>) -> Self {
        let n = cohort.len();
        let mut material = Self {
            sources: vec!["cohort".to_owned()],
            places: (0..n).map(|row| (0, row)).collect(),
            label: cohort.rows.label.clone(),
            positive_label: positive.map(str::to_owned),
            positive: cohort.positive.clone(),
            meta: cohort.rows.extra.clone(),
            paths: (0..n).map(|row| cohort.paths.get(row).cloned()).collect(),
            sha256: cohort.sha256.clone(),
            ..Self::default()
        };
        material.number_patients(&cohort.rows.patient_id.iter().cloned().map(Some).collect::<Vec<_>>());
        material.has_patients = true;
        material.site = Some(cohort.rows.site.clone()).filter(|site| site.iter().any(Option::is_some));
        let sets = sets.map_or_else(
            || vec![None; n],
            |sets| sets.iter().map(|set| set.as_ref().map(ToString::to_string)).collect(),
        );
        material.put_in_sets(&sets);
        material
    }

    /// Rows of a table of features, whose own columns say whose they are.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn of_features(features: FeatureTable, columns: &SourceColumns) -> Result<Self, AuditError> {
        let rows = &features.rows;
        let filled = |cells: &[String]| cells.iter().cloned().map(Some).collect::<Vec<_>>();
        let mut table = vec![
            ("slice_id".to_owned(), filled(&rows.slice_id)),
            ("patient_id".to_owned(), filled(&rows.patient_id)),
            ("label".to_owned(), rows.label.clone()),
            ("site".to_owned(), rows.site.clone()),
            ("split".to_owned(), rows.split.clone()),
        ];
        table.extend(rows.extra.iter().cloned());
        let mut columns = columns.clone();
        let has = |cells: &[Option<String>]| cells.iter().any(Option::is_some);
        columns.patient.get_or_insert("patient_id".to_owned());
        for (column, name, cells) in [
            (&mut columns.label, "label", &rows.label),
            (&mut columns.site, "site", &rows.site),
            (&mut columns.set, "split", &rows.split),
        ] {
            if column.is_none() && has(cells) {
                *column = Some(name.to_owned());
            }
        }
        let source = Source {
            name: "features".to_owned(),
            ..Source::of(TextTable::new(table)?)
        };
        let mut material = Self::read(&[source], &columns, None)?;
        let n = material.len();
        material.features = Some((features.values, (0..n).collect()));
        Ok(material)
    }

    /// Adds `[M, F]` features: of the rows whose names (`slice_id`) are given, else of all rows in their order.
    ///
    /// # Errors
    ///
    /// [`AuditError::Features`] where they are of other rows.
    pub fn add_features(&mut self, features: FeatureTable, names: Option<&[String]>) -> Result<(), AuditError> {
        let rows: Option<Vec<usize>> = match names {
            Some(names) => {
                let row: HashMap<&str, usize> = names
                    .iter()
                    .enumerate()
                    .map(|(row, name)| (name.as_str(), row))
                    .collect();
                let found = features
                    .rows
                    .slice_id
                    .iter()
                    .map(|name| row.get(name.as_str()).copied());
                found.collect()
            }
            None => (features.values.nrows() == self.len()).then(|| (0..self.len()).collect()),
        };
        let rows = rows.ok_or(AuditError::Features {
            features: features.values.nrows(),
            rows: self.len(),
        })?;
        self.features = Some((features.values, rows));
        Ok(())
    }

    /// Takes the sets from a split's table: its columns `row` (from 1) and `set`.
    ///
    /// # Errors
    ///
    /// A table without these columns, or of other rows.
    pub fn add_split(&mut self, split: &TextTable) -> Result<(), AuditError> {
        let (rows, names) = (split.column("row")?, split.column("set")?);
        let mut sets = vec![None; self.len()];
        let mut unknown = 0;
        for (row, name) in rows.iter().zip(names) {
            let row: Option<usize> = row.as_deref().and_then(|row| row.trim().parse().ok());
            match row.and_then(|row| sets.get_mut(row.checked_sub(1)?)) {
                Some(set) => *set = trimmed(name),
                None => unknown += 1,
            }
        }
        if unknown > 0 {
            return Err(AuditError::Split {
                split: split.n_rows,
                unknown,
                rows: self.len(),
            });
        }
        self.put_in_sets(&sets);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, table};

    #[test]
    fn a_split_of_other_rows_is_refused() {
        let mut material = testing::material("who\nA\nB");
        material.add_split(&table("row set\n1 train\n2 test")).unwrap();
        assert_eq!(material.set_of(1), Some("test"));
        let error = material.add_split(&table("row set\n3 train")).unwrap_err().to_string();
        assert!(error.contains("1 of its 1 rows"), "{error}");
    }
}
