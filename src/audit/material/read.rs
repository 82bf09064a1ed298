//! Rows of tables with named columns.

use super::{Material, Metadata, Source, SourceColumns, meta::meta_columns};
use crate::audit::AuditError;

impl Material {
    /// Rows of all tables together.
    ///
    /// # Errors
    ///
    /// Columns that are not there, a pattern that is none or finds nobody, metadata of others, a positive label that no row
    /// has, tables without rows.
    pub fn read(sources: &[Source], columns: &SourceColumns, metadata: Option<&Metadata>) -> Result<Self, AuditError> {
        let mut material = Self {
            sources: sources.iter().map(|source| source.name.clone()).collect(),
            positive_label: columns.positive.clone(),
            ..Self::default()
        };
        for (index, source) in sources.iter().enumerate() {
            material.places.extend((0..source.table.n_rows).map(|row| (index, row)));
        }
        let gather = |name: &String| -> Result<Vec<Option<String>>, AuditError> {
            let mut cells = Vec::new();
            for source in sources {
                cells.extend(source.table.column(name)?.iter().map(trimmed));
            }
            Ok(cells)
        };
        let optional = |name: &Option<String>| name.as_ref().map(gather).transpose();

        let paths = optional(&columns.path)?;
        let names = optional(&columns.name)?;
        let patients =
            material.find_patients(columns, metadata, names, paths.as_deref(), optional(&columns.patient)?)?;
        material.number_patients(&patients);
        material.named = columns.named();
        material.label = optional(&columns.label)?.unwrap_or_else(|| vec![None; material.len()]);
        material.sides(columns)?;
        material.site = optional(&columns.site)?;
        material.position = optional(&columns.position)?;
        (material.site_column, material.position_column) = (columns.site.clone(), columns.position.clone());
        (material.meta, material.identifying) = meta_columns(sources, columns, metadata, &patients)?;
        material.paths = match paths {
            Some(cells) => {
                let joined = cells.iter().zip(&material.places);
                joined
                    .map(|(cell, place)| Some(sources[place.0].folder.join(cell.as_deref()?)))
                    .collect()
            }
            None => vec![None; material.len()],
        };
        let sets = match optional(&columns.set)? {
            Some(cells) => cells,
            None => material
                .places
                .iter()
                .map(|place| sources[place.0].is_set.then(|| sources[place.0].name.clone()))
                .collect(),
        };
        material.put_in_sets(&sets);
        match material.is_empty() {
            true => Err(AuditError::Empty),
            false => Ok(material),
        }
    }

    fn sides(&mut self, columns: &SourceColumns) -> Result<(), AuditError> {
        let side = |label: &Option<String>| {
            let (label, positive) = (label.as_ref()?, columns.positive.as_ref()?);
            let negative = columns.negative.is_empty() || columns.negative.contains(label);
            (label == positive || negative).then_some(label == positive)
        };
        self.positive = self.label.iter().map(side).collect();
        match (&columns.positive, &columns.label) {
            (Some(label), Some(column)) if !self.is_empty() && !self.positive.contains(&Some(true)) => {
                let labels: std::collections::BTreeSet<&str> =
                    self.label.iter().flatten().map(String::as_str).collect();
                let labels: Vec<&str> = labels.into_iter().take(20).collect();
                Err(AuditError::NoSuchLabel {
                    label: label.clone(),
                    column: column.clone(),
                    labels: labels.join(", "),
                })
            }
            _ => Ok(()),
        }
    }
}

/// A blank cell is an empty one.
pub(super) fn trimmed(cell: &Option<String>) -> Option<String> {
    let text = cell.as_deref()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{
        testing::{self, table},
        *,
    };

    #[test]
    fn several_tables_keep_their_rows_numbers_and_may_be_sets() {
        let source = |name: &str| Source {
            name: name.to_owned(),
            is_set: true,
            ..Source::of(table("who\nA\nB"))
        };
        let columns = testing::columns(&["who"]);
        let material = Material::read(&[source("train"), source("test")], &columns, None).unwrap();
        assert_eq!(material.place(2).row, 1);
        assert_eq!((material.set_of(0), material.set_of(3)), (Some("train"), Some("test")));
        assert_eq!(material.patient[0], material.patient[2]);
    }
}
