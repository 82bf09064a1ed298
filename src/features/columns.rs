//! What is known of imported rows beside their features: the columns of the label table and of the matrix.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    FeatureError, ID_COLUMNS, ImportOptions,
    join::{Keys, join_by_key},
};
use crate::tables::{TableError, TextTable, holds_identifiers, looks_identifying};

/// All columns of text that are known of the rows, in the rows' order; the label table's come first.
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    cells: BTreeMap<String, Vec<Option<String>>>,
}

impl Columns {
    pub(super) fn joined(
        mut cells: BTreeMap<String, Vec<Option<String>>>,
        mut names: Vec<String>,
        labels: Option<TextTable>,
        n_rows: usize,
        options: &ImportOptions,
        notes: &mut Vec<String>,
    ) -> Result<Self, FeatureError> {
        let Some(labels) = labels else {
            return Ok(Self { names, cells });
        };
        let indices: Vec<usize> = match &options.on {
            None if labels.n_rows != n_rows => {
                return Err(FeatureError::RowCounts {
                    features: n_rows,
                    labels: labels.n_rows,
                });
            }
            None => (0..n_rows).collect(),
            Some(key) => {
                let ours = cells
                    .get(key)
                    .ok_or_else(|| TableError::no_column(key, names.iter().map(String::as_str)))?;
                let theirs = options.labels_on.as_ref().unwrap_or(key);
                let label_keys = Keys {
                    name: theirs,
                    cells: labels.column(theirs)?,
                };
                let (indices, unused) = join_by_key(&Keys { name: key, cells: ours }, &label_keys)?;
                if unused > 0 {
                    notes.push(format!(
                        "{unused} of {} rows of the label table have no features",
                        labels.n_rows
                    ));
                }
                indices
            }
        };
        let theirs: Vec<String> = labels.names().map(str::to_owned).collect();
        names.retain(|name| !theirs.contains(name));
        for (name, column) in labels.columns {
            cells.insert(name, indices.iter().map(|&index| column[index].clone()).collect());
        }
        Ok(Self {
            names: theirs.into_iter().chain(names).collect(),
            cells,
        })
    }

    pub(super) fn get(&self, name: &str) -> Result<&[Option<String>], TableError> {
        match self.cells.get(name) {
            Some(cells) => Ok(cells),
            None => Err(TableError::no_column(name, self.names.iter().map(String::as_str))),
        }
    }

    /// The columns that have no other use, and the names of those that are withheld.
    #[expect(clippy::type_complexity, reason = "the fields of Rows::extra")]
    pub(super) fn extra<'a>(
        &self,
        options: &ImportOptions,
        has_split: bool,
        patients: &[&str],
        features: impl Iterator<Item = &'a str>,
    ) -> Result<(Vec<(String, Vec<Option<String>>)>, Vec<String>), FeatureError> {
        for name in &options.keep {
            self.get(name)?;
        }
        let taken: BTreeSet<&str> = features.chain(ID_COLUMNS).collect();
        let (mut extra, mut withheld) = (Vec::new(), Vec::new());
        for name in &self.names {
            let kept = options.keep.contains(name);
            if !kept && (options.mapped(name) || (has_split && name == "split")) {
                continue;
            }
            if !kept && (looks_identifying(name) || holds_identifiers(self.get(name)?, patients)) {
                withheld.push(name.clone());
                continue;
            }
            // The table's own columns and the features have their names first.
            let free = if taken.contains(name.as_str()) {
                format!("table_{name}")
            } else {
                name.clone()
            };
            extra.push((free, self.get(name)?.to_vec()));
        }
        Ok((extra, withheld))
    }
}
