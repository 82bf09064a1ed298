//! n of each column.

use super::{Kind, Lint, Row, cell::Cell, headings::speaks_of_patients};

/// The patients of each column, and where that was read.
pub(super) struct Sizes {
    pub(super) n: Vec<Option<u64>>,
    pub(super) from: String,
    /// The row that says it.
    pub(super) row: Option<usize>,
}

impl Lint {
    /// n of each column from the last row called total: what percentages are of where nothing else says it.
    pub(super) fn sizes_of_total_row(&self) -> Option<Sizes> {
        let counted = |row: &Row| {
            let columns = row.cells.iter().zip(&self.columns);
            columns
                .filter(|(_, column)| column.kind != Kind::PValue)
                .all(|(cell, _)| cell.count().is_some())
        };
        let place = self.rows.iter().rposition(|row| row.is_total() && counted(row))?;
        Some(Sizes {
            n: self.rows[place].counts().collect(),
            from: format!("of row `{}`", self.rows[place].label),
            row: Some(place),
        })
    }

    /// n of each column: from the headings, from a row of patients, else from the first part of the table whose rows all
    /// hold counts.
    pub(super) fn sizes(&self) -> Sizes {
        if self
            .columns
            .iter()
            .all(|column| column.n.is_some() || column.kind == Kind::PValue)
        {
            return Sizes {
                n: self.columns.iter().map(|column| column.n).collect(),
                from: "of the heading".to_owned(),
                row: None,
            };
        }
        let whole = |row: &Row| {
            let counts = row
                .cells
                .iter()
                .zip(&self.columns)
                .filter(|(_, column)| column.kind != Kind::PValue);
            counts.into_iter().all(|(cell, _)| matches!(cell, Cell::Count(_)))
        };
        if let Some(place) = self
            .rows
            .iter()
            .position(|row| speaks_of_patients(&row.label) && whole(row))
        {
            return Sizes {
                n: self.rows[place].counts().collect(),
                from: format!("of row `{}`", self.rows[place].label),
                row: Some(place),
            };
        }
        let sections = self.sections();
        let first = sections.iter().find(|(_, members)| {
            members.len() > 1
                && members.iter().all(|&row| {
                    self.rows[row]
                        .counts()
                        .zip(&self.columns)
                        .all(|(count, column)| count.is_some() || column.kind == Kind::PValue)
                })
        });
        match first {
            Some((heading, members)) => Sizes {
                n: (0..self.columns.len())
                    .map(|column| self.sum(members, column))
                    .collect(),
                from: format!("by the sum of `{}`", self.rows[*heading].label),
                row: None,
            },
            None => Sizes {
                n: self.columns.iter().map(|column| column.n).collect(),
                from: "of the heading".to_owned(),
                row: None,
            },
        }
    }
}
