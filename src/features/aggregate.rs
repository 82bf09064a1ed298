//! From rows of slices to rows of scans or patients: one table of features from another, column by column.

use std::collections::{BTreeMap, HashSet};

use ndarray::Array2;

use super::{FeatureError, FeatureTable, Rows};
use crate::stats::Pooling;

/// What a row of the pooled table is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolBy {
    /// A scan of a patient.
    Scan,
    /// A patient, over all slices of all scans.
    Patient,
}

/// How features are pooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// What a row becomes.
    pub by: PoolBy,
    /// How a column's values of one unit become one. A noisy-or is of probabilities, which features are not.
    pub with: Pooling,
}

/// A pooled table, and what a user should know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PooledFeatures {
    /// One row a unit.
    pub table: FeatureTable,
    /// Sentences.
    pub notes: Vec<String>,
}

/// Units of two labels are let through for one unit in this many, as where scores are pooled.
const MIXED_ONE_IN: usize = 10;

impl std::fmt::Display for PoolBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Scan => "scan",
            Self::Patient => "patient",
        })
    }
}

impl std::str::FromStr for PoolBy {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        match given {
            "scan" => Ok(Self::Scan),
            "patient" => Ok(Self::Patient),
            _ => Err(format!(
                "no such unit: {given:?}; rows are pooled by scan or by patient"
            )),
        }
    }
}

/// One row a unit, in the order in which units first stand in the table; each column is pooled alone, in 64 bits.
///
/// The rows' names become those of the units. A cell of another column stays where all rows of the unit agree, and is
/// empty otherwise; a column that is empty everywhere goes. Slices without a label take that of their unit's others.
///
/// # Errors
///
/// Values that are not finite; labels of slices (more than one unit in ten, and more than one at all, has slices of
/// several labels: fewer become one row a label, and a note); a unit in two sets of a split; a noisy-or.
pub fn pool_features(table: &FeatureTable, options: PoolOptions) -> Result<PooledFeatures, FeatureError> {
    let PoolOptions { by, with } = options;
    table.check()?;
    if with == Pooling::NoisyOr {
        return Err(FeatureError::NoisyOr);
    }
    if let Some((count, row, column)) = table.non_finite() {
        return Err(FeatureError::PoolNotFinite {
            count,
            row: row + 1,
            column: table.names[column].clone(),
        });
    }
    let rows = &table.rows;
    let mut place = BTreeMap::<(&str, &str), usize>::new();
    let mut units: Vec<Vec<usize>> = Vec::new();
    for row in 0..rows.len() {
        let scan = match by {
            PoolBy::Scan => rows.scan_id[row].as_str(),
            PoolBy::Patient => "",
        };
        let at = *place.entry((&rows.patient_id[row], scan)).or_insert(units.len());
        match units.get_mut(at) {
            Some(unit) => unit.push(row),
            None => units.push(vec![row]),
        }
    }
    check_sets(rows, &units, by)?;
    let total = units.len();
    let (units, mixed) = by_label(rows, units);
    if mixed > 1 && mixed * MIXED_ONE_IN > total {
        return Err(FeatureError::MixedLabels {
            mixed,
            units: total,
            by,
        });
    }
    let mut values = Array2::zeros((units.len(), table.values.ncols()));
    for (unit, mut pooled) in units.iter().zip(values.rows_mut()) {
        for (column, cell) in pooled.iter_mut().enumerate() {
            let of_unit = unit.iter().map(|row| f64::from(table.values[[*row, column]])).collect();
            *cell = with.pool(of_unit) as f32;
        }
    }
    let mut provenance = table.provenance.clone();
    let how = format!(
        "{} of the rows of each {by}, {} to {}",
        with.pooled("value"),
        rows.len(),
        units.len()
    );
    provenance.pooled = match provenance.pooled.as_str() {
        "" => how,
        before => format!("{before}; {how}"),
    };
    let mut notes = Vec::new();
    if mixed > 0 {
        notes.push(format!(
            "{mixed} of {total} {by}s have slices of several labels and became one row a label"
        ));
    }
    let (rows, gone) = pooled_rows(rows, &units, by);
    if !gone.is_empty() {
        notes.push(format!(
            "left out, since they differ within every {by}: {}",
            gone.join(", ")
        ));
    }
    let table = FeatureTable {
        values,
        names: table.names.clone(),
        rows,
        provenance,
    };
    table.check()?;
    Ok(PooledFeatures { table, notes })
}

/// A unit in two sets was split by slice: its pooled row would stand on both sides at once.
fn check_sets(rows: &Rows, units: &[Vec<usize>], by: PoolBy) -> Result<(), FeatureError> {
    let sets = |unit: &&Vec<usize>| unit.iter().map(|row| &rows.split[*row]).collect::<HashSet<_>>().len() > 1;
    match units.iter().filter(sets).count() {
        0 => Ok(()),
        torn => Err(FeatureError::TornUnits {
            torn,
            units: units.len(),
            by,
        }),
    }
}

/// Units of several labels apart, one part a label, and how many there are.
fn by_label(rows: &Rows, units: Vec<Vec<usize>>) -> (Vec<Vec<usize>>, usize) {
    let (mut parts, mut mixed) = (Vec::new(), 0);
    for unit in units {
        let mut of_label = BTreeMap::<&str, Vec<usize>>::new();
        for row in &unit {
            if let Some(label) = &rows.label[*row] {
                of_label.entry(label).or_default().push(*row);
            }
        }
        if of_label.len() > 1 {
            mixed += 1;
            // Slices without a label belong to none of them.
            parts.extend(of_label.into_values());
        } else {
            parts.push(unit);
        }
    }
    (parts, mixed)
}

/// Whose the pooled rows are, and the columns that went.
fn pooled_rows(rows: &Rows, units: &[Vec<usize>], by: PoolBy) -> (Rows, Vec<String>) {
    let agreed = |cells: &[Option<String>]| -> Vec<Option<String>> {
        let of_unit = |unit: &Vec<usize>| {
            let first = &cells[unit[0]];
            unit.iter()
                .all(|row| cells[*row] == *first)
                .then(|| first.clone())
                .flatten()
        };
        units.iter().map(of_unit).collect()
    };
    let label = |unit: &Vec<usize>| unit.iter().find_map(|row| rows.label[*row].clone());
    let scan = |unit: &Vec<usize>| {
        let scan = &rows.scan_id[unit[0]];
        match unit.iter().all(|row| rows.scan_id[*row] == *scan) {
            true => scan.clone(),
            false => rows.patient_id[unit[0]].clone(),
        }
    };
    let mut pooled = Rows {
        slice_id: Vec::new(),
        scan_id: units.iter().map(scan).collect(),
        patient_id: units.iter().map(|unit| rows.patient_id[unit[0]].clone()).collect(),
        label: units.iter().map(label).collect(),
        site: agreed(&rows.site),
        split: agreed(&rows.split),
        extra: Vec::new(),
    };
    let mut taken = HashSet::new();
    for (at, unit) in units.iter().enumerate() {
        let (patient, scan) = (&pooled.patient_id[at], &rows.scan_id[unit[0]]);
        let label = pooled.label[at].as_deref().unwrap_or_default();
        // Scans of two patients may have one name where identifiers were kept; a mixed unit has a row a label.
        let names = match by {
            PoolBy::Patient => [
                patient.clone(),
                format!("{patient}/{label}"),
                format!("{patient}//{at}"),
            ],
            PoolBy::Scan => [
                scan.clone(),
                format!("{patient}/{scan}"),
                format!("{patient}/{scan}/{label}"),
            ],
        };
        let free = names.into_iter().find(|name| !taken.contains(name));
        let name = free.unwrap_or_else(|| format!("{patient}/{scan}/{label}/{at}"));
        taken.insert(name.clone());
        pooled.slice_id.push(name);
    }
    let mut gone = Vec::new();
    for (name, cells) in &rows.extra {
        let kept = agreed(cells);
        if kept.iter().all(Option::is_none) {
            gone.push(name.clone());
        } else {
            pooled.extra.push((name.clone(), kept));
        }
    }
    (pooled, gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Provenance, feature_names};

    /// Patients 0, 1, ... with two scans of two slices each; the values count up.
    fn table(patients: usize) -> FeatureTable {
        let n = patients * 4;
        let text = |cell: &dyn Fn(usize) -> String| (0..n).map(cell).collect::<Vec<_>>();
        let some = |cell: &dyn Fn(usize) -> String| (0..n).map(|row| Some(cell(row))).collect::<Vec<_>>();
        FeatureTable {
            values: Array2::from_shape_fn((n, 2), |(row, column)| (row * row + 10 * column) as f32),
            names: feature_names(2),
            rows: Rows {
                slice_id: text(&|row| format!("s{row}")),
                scan_id: text(&|row| format!("c{}", row / 2 % 2)),
                patient_id: text(&|row| format!("p{}", row / 4)),
                label: some(&|row| if row / 4 % 2 == 0 { "covid" } else { "cap" }.to_owned()),
                site: some(&|_| "near".to_owned()),
                split: vec![None; n],
                extra: vec![
                    ("age".to_owned(), some(&|row| (row / 4 + 40).to_string())),
                    ("position".to_owned(), some(&|row| row.to_string())),
                ],
            },
            provenance: Provenance::default(),
        }
    }

    fn pool(table: &FeatureTable, by: PoolBy, with: Pooling) -> Result<PooledFeatures, FeatureError> {
        pool_features(table, PoolOptions { by, with })
    }

    #[test]
    fn a_patient_is_one_row_with_what_its_slices_agree_on() {
        let PooledFeatures { table, notes } = pool(&table(3), PoolBy::Patient, Pooling::Median).unwrap();
        assert_eq!(table.values.row(0).to_vec(), [2.5, 12.5]);
        assert_eq!(table.rows.slice_id, ["p0", "p1", "p2"]);
        assert_eq!(table.rows.label[1].as_deref(), Some("cap"));
        assert_eq!(table.rows.extra.len(), 1);
        assert_eq!(table.rows.extra[0].1[2].as_deref(), Some("42"));
        assert!(notes[0].ends_with("position"), "{notes:?}");
        assert_eq!(
            table.provenance.pooled,
            "median value of the rows of each patient, 12 to 3"
        );
    }

    #[test]
    fn scans_of_one_name_stay_apart_and_can_be_pooled_again() {
        let scans = pool(&table(2), PoolBy::Scan, Pooling::Max).unwrap().table;
        assert_eq!(scans.rows.slice_id, ["c0", "c1", "p1/c0", "p1/c1"]);
        assert_eq!(scans.values.column(0).to_vec(), [1.0, 9.0, 25.0, 49.0]);
        let patients = pool(&scans, PoolBy::Patient, Pooling::Mean).unwrap().table;
        assert_eq!(patients.values.column(0).to_vec(), [5.0, 37.0]);
        assert_eq!(patients.provenance.pooled.matches("; mean").count(), 1);
    }

    #[test]
    fn labels_of_slices_are_refused_and_one_unit_of_two_labels_is_two_rows() {
        let mut one = table(3);
        one.rows.label[0] = Some("cap".to_owned());
        let pooled = pool(&one, PoolBy::Patient, Pooling::Mean).unwrap();
        assert_eq!(pooled.table.rows.len(), 4);
        assert!(pooled.notes[0].starts_with("1 of 3 patients"), "{:?}", pooled.notes);
        one.rows.label[5] = Some("covid".to_owned());
        let error = pool(&one, PoolBy::Patient, Pooling::Mean).unwrap_err().to_string();
        assert!(
            error.starts_with("2 of 3 patients have slices of several labels"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_pooled_is_refused_with_the_reason() {
        let mut broken = table(2);
        assert!(
            pool(&broken, PoolBy::Scan, Pooling::NoisyOr)
                .unwrap_err()
                .to_string()
                .contains("probabilities")
        );
        broken.rows.split = ["train", "test"]
            .repeat(4)
            .into_iter()
            .map(|set| Some(set.to_owned()))
            .collect();
        let error = pool(&broken, PoolBy::Scan, Pooling::Mean).unwrap_err().to_string();
        assert!(error.starts_with("4 of 4 scans"), "{error}");
        broken.values[[3, 1]] = f32::NAN;
        let error = pool(&broken, PoolBy::Scan, Pooling::Mean).unwrap_err().to_string();
        assert!(error.contains("row 4") && error.contains("f001"), "{error}");
    }
}
