//! Columns of totals: sums of rows, means and percentages weighed by n.

use serde_json::json;

use super::{
    EPSILON, Kind, Lint,
    cell::{Cell, Number},
    sizes::Sizes,
    terms,
};

impl Lint {
    /// Sums of rows against their totals, and means weighed by n.
    pub(super) fn totals_of_rows(&mut self, sizes: &Sizes) {
        for total in 0..self.columns.len() {
            let Kind::Total(parts) = &self.columns[total].kind else {
                continue;
            };
            let parts = parts.clone();
            for row in 0..self.rows.len() {
                match &self.rows[row].cells[total] {
                    Cell::Mean(..) => self.mean_of_row(row, total, &parts, sizes),
                    Cell::Percent(..) => self.percent_of_row(row, total, &parts, sizes),
                    cell => {
                        let Some(printed) = cell.count() else { continue };
                        let counts: Option<Vec<u64>> =
                            parts.iter().map(|&part| self.rows[row].cells[part].count()).collect();
                        if let Some(counts) = counts {
                            self.sum_of_row(row, total, &counts, printed);
                        }
                    }
                }
            }
        }
    }

    fn sum_of_row(&mut self, row: usize, total: usize, counts: &[u64], printed: u64) {
        let sum: u64 = counts.iter().sum();
        if sum == printed {
            self.agreeing[0] += 1;
            return;
        }
        let sentence = format!(
            "row `{}`: {} = {sum}, but {printed} is printed as {}",
            self.rows[row].label,
            terms(counts),
            self.columns[total].name
        );
        let numbers = json!({"kind": "row sum", "row": self.rows[row].label, "column": self.columns[total].name,
            "parts": counts, "computed": sum, "printed": printed});
        self.report(row, sentence, numbers);
    }

    fn mean_of_row(&mut self, row: usize, total: usize, parts: &[usize], sizes: &Sizes) {
        let part = |&column: &usize| match (&self.rows[row].cells[column], sizes.n[column]) {
            (Cell::Mean(mean, deviation), Some(n)) if n > 0 => Some((*mean, *deviation, n as f64)),
            _ => None,
        };
        let Some(groups) = parts.iter().map(part).collect::<Option<Vec<_>>>() else {
            return;
        };
        let Cell::Mean(printed, printed_deviation) = self.rows[row].cells[total] else {
            return;
        };
        let n: f64 = groups.iter().map(|(_, _, n)| n).sum();
        let mean = groups.iter().map(|(mean, _, n)| mean.value * n).sum::<f64>() / n;
        let slack = groups.iter().map(|(mean, _, n)| mean.half() * n).sum::<f64>() / n;
        let right = (mean - printed.value).abs() <= slack + printed.half() + EPSILON;
        let deviation = pooled_deviation(&groups, mean, n);
        let weights: Vec<u64> = groups.iter().map(|(_, _, n)| *n as u64).collect();
        let mut numbers = json!({"kind": "weighted mean", "row": self.rows[row].label, "column": self.columns[total].name,
            "weights": weights, "computed": mean, "reachable": [mean - slack, mean + slack], "printed": printed.value});
        if let (Some(deviation), Some(shown)) = (deviation, printed_deviation) {
            numbers["computed_sd"] = json!(deviation);
            numbers["printed_sd"] = json!(shown.value);
        }
        let shown = groups
            .iter()
            .map(|(mean, ..)| mean.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        if !right {
            let with_deviation = deviation.map_or(String::new(), |deviation| format!(", with SD {deviation:.1}"));
            let sentence = format!(
                "row `{}`: means {shown} of n = {} give {mean:.1} ({:.2} to {:.2} with rounding{with_deviation}), but {printed} is printed as {}",
                self.rows[row].label,
                weights.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
                mean - slack,
                mean + slack,
                self.columns[total].name
            );
            self.report(row, sentence, numbers);
            return;
        }
        self.agreeing[1] += 1;
        let (Some(_), Some(shown)) = (deviation, printed_deviation) else {
            return;
        };
        let [low, high] = reachable_deviation(&groups);
        if shown.value + shown.half() + EPSILON < low || shown.value - shown.half() - EPSILON > high {
            numbers["kind"] = json!("pooled deviation");
            let sentence = format!(
                "row `{}`: the groups' means and SDs give an SD of {low:.2} to {high:.2} together, but {shown} is printed as {}",
                self.rows[row].label, self.columns[total].name
            );
            self.report(row, sentence, numbers);
        }
    }

    fn percent_of_row(&mut self, row: usize, total: usize, parts: &[usize], sizes: &Sizes) {
        let part = |&column: &usize| match (&self.rows[row].cells[column], sizes.n[column]) {
            (Cell::Percent(percent), Some(n)) if n > 0 => Some((*percent, n as f64)),
            _ => None,
        };
        let Some(groups) = parts.iter().map(part).collect::<Option<Vec<_>>>() else {
            return;
        };
        let Cell::Percent(printed) = self.rows[row].cells[total] else {
            return;
        };
        let n: f64 = groups.iter().map(|(_, n)| n).sum();
        let percent = groups.iter().map(|(percent, n)| percent.value * n).sum::<f64>() / n;
        let slack = groups.iter().map(|(percent, n)| percent.half() * n).sum::<f64>() / n;
        if (percent - printed.value).abs() <= slack + printed.half() + EPSILON {
            self.agreeing[2] += 1;
            return;
        }
        let sentence = format!(
            "row `{}`: the groups' percentages give {percent:.1} % by their n, but {printed} % is printed as {}",
            self.rows[row].label, self.columns[total].name
        );
        let numbers = json!({"kind": "weighted percentage", "row": self.rows[row].label, "column": self.columns[total].name,
            "computed": percent, "printed": printed.value});
        self.report(row, sentence, numbers);
    }
}

type Group = (Number, Option<Number>, f64);

/// The SD of all groups together, from their means and SDs.
fn pooled_deviation(groups: &[Group], mean: f64, n: f64) -> Option<f64> {
    let squares = groups
        .iter()
        .map(|(m, deviation, n)| Some((n - 1.0) * deviation.as_ref()?.value.powi(2) + n * (m.value - mean).powi(2)));
    let squares = squares.sum::<Option<f64>>()?;
    (n > 1.0).then(|| (squares / (n - 1.0)).sqrt())
}

/// Bounds of it over all roundings of the parts: means pulled together or apart, SDs at their ends.
fn reachable_deviation(groups: &[Group]) -> [f64; 2] {
    let n: f64 = groups.iter().map(|(_, _, n)| n).sum();
    let centre = groups.iter().map(|(mean, _, n)| mean.value * n).sum::<f64>() / n;
    [-1.0, 1.0].map(|side| {
        let moved: Vec<Group> = groups
            .iter()
            .map(|(mean, deviation, n)| {
                let away = mean.value - centre;
                let step = if side > 0.0 {
                    mean.half()
                } else {
                    -mean.half().min(away.abs())
                };
                let pushed = |number: &Number, by: f64| Number {
                    value: number.value + by,
                    ..*number
                };
                (
                    pushed(mean, step * away.signum()),
                    deviation
                        .as_ref()
                        .map(|deviation| pushed(deviation, side * deviation.half())),
                    *n,
                )
            })
            .collect();
        let mean = moved.iter().map(|(mean, _, n)| mean.value * n).sum::<f64>() / n;
        pooled_deviation(&moved, mean, n).unwrap_or(f64::NAN)
    })
}
