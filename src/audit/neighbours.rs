//! Rows of features that are nearly one, and whose rows are each other's first neighbours.
//!
//! A head that goes by neighbours recognises patients where the nearest slice is nearly always one of the same patient: on a
//! split by slice it then scores near 1 whatever the label is. Features are standardised, and compared by the cosine.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2};
use serde_json::json;

use super::{
    AuditError, Check, Finding, LISTED, Listed, Material, Outcome, Settings, Severity, count, counted,
    patients::NO_PATIENTS,
    similar::{Similar, first_neighbours, pairs_above},
};

const NO_FEATURES: &str = "there is no matrix of features: give one (--features FILE)";

/// Rows of features of different patients, or in different sets, that are nearly one.
#[derive(Debug)]
pub struct NearDuplicateFeatures;

impl Check for NearDuplicateFeatures {
    fn name(&self) -> &'static str {
        "near-duplicate features"
    }

    fn run(&self, material: &Material, settings: &Settings) -> Result<Outcome, AuditError> {
        let Some((values, row_of)) = &material.features else {
            return Ok(Outcome::CannotRun(NO_FEATURES.to_owned()));
        };
        if let Some(why) = settings.too_many(values.nrows(), "feature row") {
            return Ok(Outcome::CannotRun(why));
        }
        let unit = match directions(values.view()) {
            Ok(unit) => unit,
            Err(why) => return Ok(Outcome::CannotRun(why)),
        };
        let rows_of = |[a, b]: [usize; 2]| [row_of[a], row_of[b]];
        let differ =
            |of: &[Option<usize>], rows: [usize; 2]| matches!((of[rows[0]], of[rows[1]]), (Some(a), Some(b)) if a != b);
        let one_patient = |rows: [usize; 2]| {
            material.patient[rows[0]].is_some() && material.patient[rows[0]] == material.patient[rows[1]]
        };
        let wanted = |pair: [usize; 2]| {
            let rows = rows_of(pair);
            differ(&material.set, rows) || !one_patient(rows)
        };
        let Similar { pairs, beyond } = pairs_above(unit.view(), settings.cosine as f32, wanted);
        let across = pairs
            .iter()
            .filter(|pair| differ(&material.set, rows_of(pair.rows)))
            .count();
        let strangers = pairs
            .iter()
            .filter(|pair| differ(&material.patient, rows_of(pair.rows)))
            .count();
        let numbers = json!({"rows": values.nrows(), "features": values.ncols(), "cosine": settings.cosine,
            "pairs": pairs.len(), "counted_only": beyond, "in_two_sets": across, "of_two_patients": strangers});
        let compared = format!(
            "cosine of {} from {} on",
            counted(values.ncols(), "standardised feature"),
            settings.cosine
        );
        if pairs.is_empty() {
            let sentence = format!(
                "no two of {} of two patients or sets are near-duplicates ({compared})",
                counted(values.nrows(), "feature row")
            );
            return Ok(Outcome::Ran(vec![Finding::new(
                self.name(),
                Severity::Ok,
                sentence,
                numbers,
            )]));
        }
        let mut sentence = format!(
            "{} of rows {}, {} in two sets and {} of two patients ({compared})",
            counted(pairs.len(), "pair"),
            if pairs.len() == 1 {
                "is a near-duplicate"
            } else {
                "are near-duplicates"
            },
            count(across),
            count(strangers),
        );
        if beyond > 0 {
            sentence += &format!("; {} are in none of these counts", counted(beyond, "further pair"));
        }
        let line = |pair: &super::similar::Pair| {
            let [row, other] = rows_of(pair.rows);
            Listed {
                row,
                other: Some(other),
                value: Some(f64::from(pair.cosine)),
            }
        };
        let severity = if across > 0 {
            Severity::Serious
        } else {
            Severity::Notable
        };
        let finding = Finding::new(self.name(), severity, sentence, numbers)
            .next("compare the images of these pairs: what shows the same belongs into one set")
            .list(material, pairs.iter().take(LISTED).map(line).collect());
        Ok(Outcome::Ran(vec![finding]))
    }
}

/// How often the nearest other row is one of the same patient.
#[derive(Debug)]
pub struct FirstNeighbours;

impl Check for FirstNeighbours {
    fn name(&self) -> &'static str {
        "first neighbours"
    }

    fn run(&self, material: &Material, settings: &Settings) -> Result<Outcome, AuditError> {
        let Some((values, row_of)) = &material.features else {
            return Ok(Outcome::CannotRun(NO_FEATURES.to_owned()));
        };
        if !material.has_patients {
            return Ok(Outcome::CannotRun(NO_PATIENTS.to_owned()));
        }
        if let Some(why) = settings.too_many(values.nrows(), "feature row") {
            return Ok(Outcome::CannotRun(why));
        }
        let unit = match directions(values.view()) {
            Ok(unit) => unit,
            Err(why) => return Ok(Outcome::CannotRun(why)),
        };
        let nearest = first_neighbours(unit.view());
        let mut rows_of = BTreeMap::<usize, usize>::new();
        let patients: Vec<Option<usize>> = row_of.iter().map(|&row| material.patient[row]).collect();
        for patient in patients.iter().flatten() {
            *rows_of.entry(*patient).or_default() += 1;
        }
        // Rows that could have a neighbour of their own: those of patients with two rows or more.
        let several = |row: usize| patients[row].is_some_and(|patient| rows_of[&patient] > 1);
        let asked: Vec<usize> = (0..patients.len())
            .filter(|&row| several(row) && nearest[row].is_some())
            .collect();
        if asked.is_empty() {
            return Ok(Outcome::CannotRun("no patient has two rows of features".to_owned()));
        }
        let own = |row: &usize| nearest[*row].is_some_and(|other| patients[other] == patients[*row]);
        let others = (patients.len() - 1) as f64;
        // `asked` rows have a patient of two rows or more.
        let expected = |row: &usize| patients[*row].map_or(0.0, |patient| (rows_of[&patient] - 1) as f64 / others);
        let share = asked.iter().filter(|row| own(row)).count() as f64 / asked.len() as f64;
        let chance = asked.iter().map(expected).sum::<f64>() / asked.len() as f64;
        let set = |row: usize| material.set[row_of[row]];
        let elsewhere = asked.iter().filter(|row| {
            own(row)
                && nearest[**row]
                    .is_some_and(|other| set(**row).is_some() && set(other).is_some() && set(other) != set(**row))
        });
        let elsewhere = elsewhere.count();
        let numbers = json!({"rows": asked.len(), "patients": rows_of.values().filter(|n| **n > 1).count(), "share": share,
            "chance": chance, "same_patient_in_another_set": elsewhere});
        let mut sentence = format!(
            "the first neighbour of {:.1} % of {} is a row of the same patient; by chance it would be {:.2} % ({} with two rows or more)",
            100.0 * share,
            counted(asked.len(), "row"),
            100.0 * chance,
            counted(rows_of.values().filter(|n| **n > 1).count(), "patient"),
        );
        if elsewhere > 0 {
            sentence += &format!("; for {} it stands in another set", counted(elsewhere, "row"));
        }
        // A split by slice is what this share would be turned into a score by: alone it is how patients are.
        let severity = match (elsewhere > 0, share > 0.2 && share > 5.0 * chance) {
            (true, _) => Severity::Serious,
            (false, true) => Severity::Notable,
            _ => Severity::Note,
        };
        let finding = Finding::new(self.name(), severity, sentence, numbers)
            .next("the features tell patients apart: split by patient only, and count patients, not rows");
        Ok(Outcome::Ran(vec![finding]))
    }
}

/// `[N, F]` standardised rows of length 1; a row that is all mean has length 0.
fn directions(values: ArrayView2<'_, f32>) -> Result<Array2<f32>, String> {
    let bad = values.iter().filter(|value| !value.is_finite()).count();
    if bad > 0 {
        return Err(format!("{} of the features are NaN or infinite", counted(bad, "value")));
    }
    let n = values.nrows().max(1) as f64;
    let mut unit = values.to_owned();
    for mut column in unit.columns_mut() {
        let mean = column.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
        let variance = column
            .iter()
            .map(|value| (f64::from(*value) - mean).powi(2))
            .sum::<f64>()
            / n;
        let deviation = variance.sqrt();
        // The rounding of a constant column is no spread.
        let scale = if deviation > 1e-7 * mean.abs().max(1e-30) {
            deviation.recip()
        } else {
            0.0
        };
        column.mapv_inplace(|value| ((f64::from(value) - mean) * scale) as f32);
    }
    for mut row in unit.rows_mut() {
        let length = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            row.mapv_inplace(|value| (f64::from(value) / length) as f32);
        }
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::material::testing::material;

    fn with(text: &str, values: Array2<f32>) -> Material {
        let mut material = material(text);
        let rows = (0..values.nrows()).collect();
        material.features = Some((values, rows));
        material
    }

    fn first(check: &dyn Check, material: &Material) -> Finding {
        match check.run(material, &Settings::default()).unwrap() {
            Outcome::Ran(mut findings) => findings.remove(0),
            Outcome::CannotRun(why) => panic!("{why}"),
        }
    }

    #[test]
    fn neighbours_of_one_patient_are_counted_beside_what_chance_gives() {
        let values = ndarray::arr2(&[[0.0, 1.0], [0.1, 1.0], [5.0, -3.0], [5.1, -3.0]]);
        let own = first(&FirstNeighbours, &with("who\nA\nA\nB\nB", values.clone()));
        assert_eq!(
            (
                own.numbers["share"].as_f64(),
                own.numbers["same_patient_in_another_set"].as_u64()
            ),
            (Some(1.0), Some(0))
        );
        assert!((own.numbers["chance"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12);
        let split = first(&FirstNeighbours, &with("who set\nA a\nA b\nB a\nB a", values.clone()));
        assert_eq!(
            (split.severity, &split.numbers["same_patient_in_another_set"]),
            (Severity::Serious, &json!(2))
        );
        let apart = first(&FirstNeighbours, &with("who\nA\nB\nA\nB", values));
        assert_eq!(apart.numbers["share"], 0.0);
    }

    #[test]
    fn equal_rows_of_two_patients_are_near_duplicates() {
        let values = ndarray::arr2(&[[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [5.0, -3.0, 1.0], [1.0, 0.0, 7.0]]);
        let found = first(
            &NearDuplicateFeatures,
            &with("who set\nA a\nB b\nC a\nD b", values.clone()),
        );
        assert_eq!(
            (found.severity, &found.numbers["pairs"]),
            (Severity::Serious, &json!(1))
        );
        let found = first(&NearDuplicateFeatures, &with("who set\nA a\nA a\nC a\nD b", values));
        assert_eq!(found.severity, Severity::Ok);
    }

    #[test]
    fn constant_columns_count_nothing_and_nan_is_said() {
        let constant = directions(ndarray::arr2(&[[0.1, 1.0], [0.1, -1.0]]).view()).unwrap();
        assert_eq!(constant, ndarray::arr2(&[[0.0, 1.0], [0.0, -1.0]]));
        assert!(
            directions(ndarray::arr2(&[[f32::NAN]]).view())
                .unwrap_err()
                .contains("1 value")
        );
    }
}
