//! Every score of a table, on every set and in every subgroup.

use super::{AssessPlan, Assessment, assess};
use crate::eval::{EvalError, ScoreTable};

/// Measures every score of the table on each of the named sets (all where none is named) and in each subgroup. The second
/// answer is what a reader must know of the table as a whole.
///
/// # Errors
///
/// A set that the table does not have, and what [`assess`] answers for a whole set. A subgroup that can't be measured is
/// a sentence.
pub fn assess_table(
    table: &ScoreTable,
    sets: &[String],
    plan: &AssessPlan,
) -> Result<(Vec<Assessment>, Vec<String>), EvalError> {
    plan.check()?;
    let there = table.sets();
    if let Some(set) = sets.iter().find(|set| !there.iter().any(|(name, _)| name == *set)) {
        let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
        return Err(EvalError::NoSuchSet {
            set: set.clone(),
            sets: names.join(", "),
        });
    }
    let (mut found, mut warnings) = (Vec::new(), table.warnings.clone());
    for (set, rows) in there.iter().filter(|(name, _)| sets.is_empty() || sets.contains(name)) {
        for (column, score) in table.scores.iter().enumerate() {
            let scored = table.scored(&[column], rows);
            if scored.is_empty() {
                warnings.push(format!("no row of {set} has a score in column {:?}", score.name));
                continue;
            }
            found.push(assess(&score.name, set, &table.scores(column, &scored)?, plan)?);
        }
        for (by, (name, _)) in table.groups.iter().enumerate() {
            let (groups, without) = table.groups_of(by, rows);
            if without > 0 {
                warnings.push(format!(
                    "{without} of {} rows of {set} have no {name} and are in none of its groups",
                    rows.len()
                ));
            }
            for (value, rows) in &groups {
                let named = format!("{set}, {name} = {value}");
                for (column, score) in table.scores.iter().enumerate() {
                    let scored = table.scored(&[column], rows);
                    let assessed = table
                        .scores(column, &scored)
                        .and_then(|scores| assess(&score.name, &named, &scores, plan));
                    match assessed {
                        Ok(assessed) => found.push(Assessment {
                            set: set.clone(),
                            group: Some([name.clone(), value.clone()]),
                            ..assessed
                        }),
                        Err(error) => warnings.push(format!("{} of {named} is not measured: {error}", score.name)),
                    }
                }
            }
        }
    }
    Ok((found, warnings))
}
