//! Shares: `k (p)`, where p must be k of something.

use serde_json::json;

use super::{
    Column, EPSILON, Kind, Lint,
    cell::{Cell, Number},
    sizes::Sizes,
};

impl Lint {
    /// `k (p)`: p must be k of n, or of one other row, or of the row's own total, throughout the row.
    pub(super) fn percentages(&mut self, sizes: &Sizes) {
        for row in 0..self.rows.len() {
            let shares: Vec<(usize, u64, Number, bool)> = self.rows[row]
                .cells
                .iter()
                .enumerate()
                .filter_map(|(column, cell)| match cell {
                    Cell::Share(k, percent) => Some((column, *k, *percent, true)),
                    Cell::Pair(k, inside) => Some((column, *k, *inside, false)),
                    _ => None,
                })
                .collect();
            if shares.is_empty() {
                continue;
            }
            let agree = |of: &dyn Fn(usize) -> Option<u64>| {
                shares
                    .iter()
                    .map(|(column, k, percent, _)| Some(is_percent(*k, of(*column)?, percent)))
                    .collect::<Vec<_>>()
            };
            let by_n = agree(&|column| sizes.n[column]);
            let right = by_n.iter().filter(|right| **right == Some(true)).count();
            let said = shares.iter().all(|(.., said)| *said);
            if by_n.iter().all(Option::is_none) {
                self.shares_of_row(row, &shares);
                continue;
            }
            if !said && 2 * right < shares.len() {
                continue; // brackets that hold something else
            }
            let others = self.rows.iter().enumerate().filter(|(place, other)| {
                *place != row && other.cells.iter().any(|cell| matches!(cell, Cell::Count(_)))
            });
            let by_other = others
                .map(|(_, other)| agree(&|column| other.cells[column].count()))
                .chain([agree(&|column| self.total_beside(row, column))])
                .any(|fits| fits.iter().all(|right| *right == Some(true)));
            if by_other {
                self.agreeing[2] += shares.len();
                continue;
            }
            self.agreeing[2] += right;
            self.unchecked += by_n.iter().filter(|right| right.is_none()).count();
            for ((column, k, percent, _), right) in shares.iter().zip(&by_n) {
                if *right != Some(false) {
                    continue;
                }
                // There is an n where the percentage was compared with it.
                let n = sizes.n[*column].unwrap_or_default();
                self.wrong_share([row, *column], [*k, n], *percent, &sizes.from);
            }
        }
    }

    /// Shares without an n: of the row's own total, if one of them is; the others are counted as unchecked.
    fn shares_of_row(&mut self, row: usize, shares: &[(usize, u64, Number, bool)]) {
        let totals: Vec<Option<u64>> = shares
            .iter()
            .map(|(column, ..)| self.total_beside(row, *column))
            .collect();
        let agree = |(share, total): (&(usize, u64, Number, bool), &Option<u64>)| {
            total.is_some_and(|total| is_percent(share.1, total, &share.2))
        };
        let right = shares.iter().zip(&totals).filter(|pair| agree(*pair)).count();
        let said = shares.iter().all(|(.., said)| *said);
        if right == 0 || (!said && right < shares.len()) {
            self.unchecked += if said { shares.len() } else { 0 };
            return;
        }
        self.agreeing[2] += right;
        for (share, total) in shares.iter().zip(&totals) {
            match total {
                None => self.unchecked += 1,
                Some(total) if !agree((share, &Some(*total))) => {
                    self.wrong_share([row, share.0], [share.1, *total], share.2, "of the row's total");
                }
                Some(_) => {}
            }
        }
    }

    fn wrong_share(&mut self, [row, column]: [usize; 2], [k, n]: [u64; 2], percent: Number, from: &str) {
        let computed = 100.0 * k as f64 / n.max(1) as f64;
        let (label, column) = (self.rows[row].label.clone(), self.columns[column].name.clone());
        let sentence =
            format!("row `{label}`, {column}: {k} of {n} ({from}) are {computed:.1} %, but {percent} % is printed");
        let numbers = json!({"kind": "percentage", "row": label, "column": column, "k": k, "n": n, "computed": computed,
            "printed": percent.value});
        self.report(row, sentence, numbers);
    }

    /// The count of the row's total column that this column is a part of, or is.
    fn total_beside(&self, row: usize, column: usize) -> Option<u64> {
        let is_part = |other: &Column| matches!(&other.kind, Kind::Total(parts) if parts.contains(&column));
        let own = matches!(self.columns[column].kind, Kind::Total(_)).then_some(column);
        let total = own.or_else(|| self.columns.iter().position(is_part))?;
        self.rows[row].cells[total].count()
    }
}

fn is_percent(k: u64, n: u64, printed: &Number) -> bool {
    n > 0 && (100.0 * k as f64 / n as f64 - printed.value).abs() <= printed.half() + EPSILON
}
