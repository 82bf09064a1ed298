//! Every score of a table, on every set and in every subgroup.

use super::{AssessPlan, Assessment, Cut, assess, probabilities::NO_CALIBRATION};
use crate::{
    eval::{EvalError, ScoreTable},
    stats::{OperatingRule, Ranking, operating_point},
};

/// Measures every score of the table on each of the named sets (all where none is named) and in each subgroup, where the
/// threshold is that of the whole set: one of its own would hide what a group loses by it. The second answer is what a
/// reader must know of the table as a whole.
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
            found.push(Assessment {
                not_converged: score.not_converged.clone(),
                ..assess(&score.name, set, &table.scores(column, &scored)?, plan)?
            });
        }
        for (by, (name, _)) in table.groups.iter().enumerate() {
            let set_rows = rows;
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
                    let assessed = whole_set_cut(table, column, set_rows, plan).and_then(|cut| {
                        let plan = AssessPlan { cut, ..*plan };
                        assess(&score.name, &named, &table.scores(column, &scored)?, &plan)
                    });
                    match assessed {
                        // Why there is no calibration was said of the whole set.
                        Ok(mut assessed) => {
                            assessed.warnings.retain(|warning| !warning.starts_with(NO_CALIBRATION));
                            found.push(Assessment {
                                set: set.clone(),
                                group: Some([name.clone(), value.clone()]),
                                not_converged: score.not_converged.clone(),
                                ..assessed
                            })
                        }
                        Err(error) => warnings.push(format!("{} of {named} is not measured: {error}", score.name)),
                    }
                }
            }
        }
    }
    Ok((found, warnings))
}

/// The threshold that decides in the groups of a set: where it is found on the data, it is found on the whole set.
fn whole_set_cut(table: &ScoreTable, column: usize, rows: &[usize], plan: &AssessPlan) -> Result<Cut, EvalError> {
    let scores = table.scores(column, &table.scored(&[column], rows))?;
    match plan.cut {
        Cut::At(threshold) => return Ok(Cut::At(threshold)),
        Cut::Own if scores.thresholds().is_some() => return Ok(Cut::Own),
        _ => {}
    }
    let pooled = scores.pool(plan.unit, plan.pool)?;
    let units = pooled.scores.as_ref();
    let ranking = Ranking::new(units.positive(), units.score());
    let point = operating_point(&ranking, &vec![1; units.len()], OperatingRule::Youden);
    Ok(point.map_or(plan.cut, |point| Cut::OfSet(point.threshold)))
}
