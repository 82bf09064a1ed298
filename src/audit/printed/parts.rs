//! Rows that are parts of a whole: sections, and rows called total.

use serde_json::json;

use super::{Lint, sizes::Sizes, terms};

impl Lint {
    /// Rows that add up to n in most columns must do so in all.
    pub(super) fn parts_of_columns(&mut self, sizes: &Sizes) {
        let sections = self.sections();
        let mut in_section = vec![false; self.rows.len()];
        for (heading, members) in &sections {
            for &row in members {
                in_section[row] = true;
            }
            let name = self.rows[*heading].label.clone();
            let (right, wrong) = self.compare(members, sizes);
            if members.len() > 1 && !right.is_empty() && right.len() >= wrong.len() {
                self.settle(members, &name, &right, &wrong, sizes);
            }
        }
        // Without a heading the rows that belong together are those that add up in nearly all columns.
        let loose: Vec<usize> = (0..self.rows.len())
            .filter(|&row| {
                !in_section[row] && self.rows[row].has_counts() && sizes.row != Some(row) && !self.rows[row].is_total()
            })
            .collect();
        let mut start = 0;
        while start < loose.len() {
            let run = (start + 1..=loose.len())
                .take_while(|&end| loose[end - 1] - loose[start] == end - 1 - start)
                .last()
                .unwrap_or(start + 1);
            let windows = (start + 2..=run).rev().map(|end| &loose[start..end]);
            let fitting = windows
                .map(|window| (window, self.compare(window, sizes)))
                .find(|(_, (right, wrong))| right.len() > 1 && right.len() > 2 * wrong.len());
            match fitting {
                Some((window, (right, wrong))) => {
                    let window = window.to_vec();
                    let name = window
                        .iter()
                        .map(|&row| self.rows[row].label.as_str())
                        .collect::<Vec<_>>()
                        .join(", ");
                    self.settle(&window, &name, &right, &wrong, sizes);
                    start += window.len();
                }
                None => start += 1,
            }
        }
    }

    /// Columns in which the rows add up to n, and those in which they don't.
    fn compare(&self, members: &[usize], sizes: &Sizes) -> (Vec<usize>, Vec<usize>) {
        let known =
            (0..self.columns.len()).filter(|&column| self.sum(members, column).is_some() && sizes.n[column].is_some());
        known.partition(|&column| self.sum(members, column) == sizes.n[column])
    }

    fn settle(&mut self, members: &[usize], name: &str, right: &[usize], wrong: &[usize], sizes: &Sizes) {
        self.agreeing[3] += right.len();
        for &column in wrong {
            let counts: Vec<u64> = members
                .iter()
                .filter_map(|&row| self.rows[row].cells[column].count())
                .collect();
            // `wrong` holds columns of known n and sum only.
            let (n, sum) = (sizes.n[column].unwrap_or_default(), counts.iter().sum::<u64>());
            let gap = if sum < n {
                format!("{} unaccounted for", n - sum)
            } else {
                format!("{} too many", sum - n)
            };
            let sentence = format!(
                "`{name}`, {}: {} = {sum}, but n is {n} {} ({gap}); in {} they add up",
                self.columns[column].name,
                terms(&counts),
                sizes.from,
                right
                    .iter()
                    .map(|&column| self.columns[column].name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            let numbers = json!({"kind": "column sum", "rows": name, "column": self.columns[column].name, "parts": counts,
                "computed": sum, "printed": n});
            self.report(members[0], sentence, numbers);
        }
    }

    /// Rows called total, against the rows above them.
    pub(super) fn total_rows(&mut self) {
        for total in 0..self.rows.len() {
            if !self.rows[total].is_total() {
                continue;
            }
            let above: Vec<usize> = (0..total)
                .rev()
                .take_while(|&row| self.rows[row].has_counts() && !self.rows[row].is_total())
                .collect();
            if above.len() < 2 {
                continue;
            }
            let columns: Vec<(usize, u64, u64)> = (0..self.columns.len())
                .filter_map(|column| {
                    Some((
                        column,
                        self.sum(&above, column)?,
                        self.rows[total].cells[column].count()?,
                    ))
                })
                .collect();
            let right = columns.iter().filter(|(_, sum, printed)| sum == printed).count();
            if 2 * right < columns.len() && columns.len() > 1 {
                continue; // the rows above are no parts of it
            }
            self.agreeing[3] += right;
            for (column, sum, printed) in columns.into_iter().filter(|(_, sum, printed)| sum != printed) {
                let sentence = format!(
                    "row `{}`, {}: the {} rows above add up to {sum}, but {printed} is printed",
                    self.rows[total].label,
                    self.columns[column].name,
                    above.len()
                );
                let numbers = json!({"kind": "total row", "row": self.rows[total].label, "column": self.columns[column].name,
                    "computed": sum, "printed": printed});
                self.report(total, sentence, numbers);
            }
        }
    }
}
