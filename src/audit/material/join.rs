//! Cohorts, tables of features, and what is joined to rows that are there: features and sets.

use std::collections::{BTreeMap, HashMap};

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
        let named = columns.named();
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
        material.named = named;
        let n = material.len();
        material.features = Some((features.values, (0..n).collect()));
        Ok(material)
    }

    /// Adds `[M, F]` features: of the rows whose names (`slice_id`) are given, else of all rows in their order.
    ///
    /// # Errors
    ///
    /// [`AuditError::Features`] and [`AuditError::FeatureIds`] where they are of other rows.
    pub fn add_features(&mut self, features: FeatureTable, names: Option<&[String]>) -> Result<(), AuditError> {
        let n = features.values.nrows();
        let rows: Vec<usize> = match names {
            Some(names) => {
                let row: HashMap<&str, usize> = names
                    .iter()
                    .enumerate()
                    .map(|(row, name)| (name.as_str(), row))
                    .collect();
                let ids = features.rows.slice_id.iter();
                let found: Vec<usize> = ids.filter_map(|name| row.get(name.as_str()).copied()).collect();
                if found.len() < n {
                    return Err(AuditError::FeatureIds {
                        features: n,
                        known: found.len(),
                        rows: self.len(),
                    });
                }
                found
            }
            None if n == self.len() => (0..n).collect(),
            None => {
                return Err(AuditError::Features {
                    features: n,
                    rows: self.len(),
                });
            }
        };
        self.features = Some((features.values, rows));
        Ok(())
    }

    /// Takes the sets from a split's table: its columns `row` (from 1) and `set`.
    ///
    /// # Errors
    ///
    /// A table without these columns, of other rows, or that gives a row two sets.
    pub fn add_split(&mut self, split: &TextTable) -> Result<(), AuditError> {
        let (rows, names) = (split.column("row")?, split.column("set")?);
        let mut unknown = 0;
        // Row of the split and set, of each row that it names.
        let mut named: Vec<Option<(usize, Option<String>)>> = vec![None; self.len()];
        let mut contradicted = BTreeMap::<usize, (usize, Option<String>)>::new();
        for (line, (row, name)) in rows.iter().zip(names).enumerate() {
            let row: Option<usize> = row.as_deref().and_then(|row| row.trim().parse().ok());
            let row = row.and_then(|row| row.checked_sub(1)).filter(|row| *row < self.len());
            let (Some(row), set) = (row, trimmed(name)) else {
                unknown += 1;
                continue;
            };
            match &named[row] {
                Some((_, before)) if *before != set => {
                    contradicted.entry(row).or_insert((line, set));
                }
                Some(_) => {}
                None => named[row] = Some((line, set)),
            }
        }
        if unknown > 0 {
            return Err(AuditError::Split {
                split: split.n_rows,
                unknown,
                rows: self.len(),
            });
        }
        let earliest = contradicted.iter().min_by_key(|(_, (line, _))| *line);
        if let Some((&row, (second, set))) = earliest
            && let Some((first, before)) = &named[row]
        {
            return Err(AuditError::SplitTwice {
                row: row + 1,
                first: first + 1,
                second: second + 1,
                sets: [before.clone(), set.clone()],
                rows: contradicted.len(),
            });
        }
        let sets: Vec<Option<String>> = named.into_iter().map(|named| named?.1).collect();
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

    #[test]
    fn a_row_with_two_sets_is_refused_and_one_that_is_said_twice_is_not() {
        let mut material = testing::material("who\nA\nB\nC");
        material.add_split(&table("row set\n1 train\n1 train\n2 test")).unwrap();
        assert_eq!((material.set_of(0), material.without_a_set()), (Some("train"), 1));
        let error = material
            .add_split(&table("row set\n2 test\n1 train\n1 test\n2 -"))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "rows 2 and 3 of the split give row 1 of the table two sets, \"train\" and \"test\" (2 rows of the table have two): \
             leave one of them out"
        );
    }
}
