//! Compared scores for the terminal and for programs.

use std::{collections::BTreeSet, path::Path};

use serde::Serialize;

use super::{
    Grid,
    assessment::{Head, heading, lines, names, percent, unit_words, warnings, write_json},
};
use crate::{
    eval::{ComparePlan, Comparisons, Family, ScoreTable},
    tables::WriteError,
};

/// What `compare` found, as `--json` writes it.
#[derive(Serialize)]
pub struct ComparisonReport<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    plan: &'a ComparePlan,
    sets: &'a [Comparisons],
    warnings: &'a [String],
    #[serde(skip)]
    guessed: bool,
    /// All columns of scores, compared or not.
    #[serde(skip)]
    columns: Vec<&'a str>,
}

impl<'a> ComparisonReport<'a> {
    /// Puts together what comparisons are shown with.
    pub fn new(table: &'a ScoreTable, plan: &'a ComparePlan, sets: &'a [Comparisons]) -> Self {
        Self {
            head: Head::of(table),
            plan,
            sets,
            warnings: &table.warnings,
            guessed: table.guessed,
            columns: table.scores.iter().map(|column| column.name.as_str()).collect(),
        }
    }

    /// Writes all numbers.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn write_json(&self, path: &Path) -> Result<(), WriteError> {
        write_json(self, path)
    }

    /// Plain text of at most 100 columns.
    pub fn text(&self) -> String {
        let plan = self.plan;
        let scores = names(
            self.sets
                .iter()
                .flat_map(|set| set.auc.iter().map(|(name, _)| name.as_str())),
        );
        let mut text = heading(&self.head, &scores, self.guessed);
        text += &lines(
            &format!(
                "{}; {} % intervals, {} patient-cluster bootstrap resamples, seed {}",
                unit_words(plan.unit, &plan.pool.pooled("score")),
                percent(plan.bootstrap.level),
                plan.bootstrap.resamples,
                plan.bootstrap.seed
            ),
            "",
            "  ",
        );
        text += &warnings(
            self.warnings
                .iter()
                .chain(self.sets.iter().flat_map(|set| &set.warnings)),
        );
        for set in self.sets {
            let size = format!(
                "{}: {} patients, {} units ({} positive), {} rows",
                set.set, set.n_patients, set.n_units, set.n_positive, set.n_rows
            );
            text += &format!("\n{}", lines(&size, "", "  "));
            let mut grid = Grid::new(&["score", "AUC"]);
            for (name, auc) in &set.auc {
                grid.row([name.clone(), format!("{auc:.4}")]);
            }
            if !grid.is_empty() {
                text += &grid.render();
            }
            text += &format!(
                "\n{}",
                lines(&format!("family of comparisons on this set, {}", set.family), "", "  ")
            );
            let headings = [
                "first",
                "second",
                "difference",
                "interval",
                "by",
                "p",
                "Holm",
                "Bonferroni",
            ];
            // One score is compared with all others: the line above names it, and the column gives its room to the rest.
            let against = matches!(plan.family, Family::Against(_));
            let shown = |column: usize| !against || column != 1;
            let headings: Vec<&str> = (0..headings.len())
                .filter(|&at| shown(at))
                .map(|at| headings[at])
                .collect();
            let mut grid = Grid::new(&headings);
            let mut notes = BTreeSet::new();
            for one in &set.comparisons {
                for (at, test) in one.tests.iter().enumerate() {
                    let once = |text: String| if at == 0 { text } else { String::new() };
                    notes.extend(test.note.iter().map(|note| format!("{}: {note}", test.interval)));
                    let cells = [
                        once(one.first.clone()),
                        once(one.second.clone()),
                        once(format!("{:+.3}", one.difference)),
                        test.ci.map_or("none".to_owned(), |[lower, upper]| {
                            format!("{lower:+.3} to {upper:+.3}")
                        }),
                        test.interval.to_string(),
                        p_value(test.p),
                        p_value(test.p_holm),
                        p_value(test.p_bonferroni),
                    ];
                    let cells = cells.into_iter().enumerate().filter(|(at, _)| shown(*at));
                    grid.row(cells.map(|(_, cell)| cell));
                }
            }
            for one in &set.not_compared {
                let cells = [
                    &one.first,
                    &one.second,
                    "not converged",
                    "not compared",
                    "none",
                    "none",
                    "none",
                    "none",
                ];
                let cells = cells.into_iter().enumerate().filter(|(at, _)| shown(*at));
                grid.row(cells.map(|(_, cell)| cell));
                notes.insert(one.why.clone());
            }
            text += &grid.render();
            if set.comparisons.is_empty() {
                let alone = format!(
                    "nothing is compared; `hounsfield evaluate` measures each score by itself: {}",
                    self.columns.join(", ")
                );
                text += &lines(&alone, "", "  ");
            }
            text.extend(notes.iter().map(|note| lines(note, "  ", "    ")));
        }
        text
    }
}

fn p_value(p: Option<f64>) -> String {
    match p {
        None => "none".to_owned(),
        Some(p) if p < 0.0001 => "<0.0001".to_owned(),
        Some(p) => format!("{p:.4}"),
    }
}
