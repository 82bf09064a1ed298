//! A cohort from a table: one row a slice.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use super::{Classes, Cohort, CohortError, CohortPlan, counted};
use crate::{
    features::Rows,
    tables::{TextTable, holds_identifiers, looks_identifying},
};

/// Which column of a table means what. Names are the table's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// Path of the image, relative to the table; `None` where the study starts from features.
    pub path: Option<String>,
    /// The patient. Required: without patients there is no split.
    pub patient: Option<String>,
    /// The scan; the patient stands in where it is `None`.
    pub scan: Option<String>,
    /// Unique name of the row; the path, or the row number, stands in where it is `None`.
    pub id: Option<String>,
    /// The label; `None` for a cohort without labels.
    pub label: Option<String>,
    /// The hospital or data source.
    pub site: Option<String>,
    /// A split or folds that came with the data; read whatever its name.
    pub split: Option<String>,
    /// Columns to carry along although their names look like identifiers.
    pub keep: Vec<String>,
}

impl Cohort {
    /// Reads a cohort from a table whose image paths are relative to `folder`. Opens no image.
    ///
    /// # Errors
    ///
    /// A column that is not there, empty patients or paths, rows that stand twice, a positive label that no row has,
    /// one class only. Messages name rows by number, never by identifier.
    pub fn read(table: &TextTable, folder: &Path, plan: &CohortPlan) -> Result<Self, CohortError> {
        let columns = &plan.columns;
        let n = table.n_rows;
        if n == 0 {
            return Err(CohortError::Empty);
        }
        let Some(patient_column) = &columns.patient else {
            let names: Vec<String> = table.columns.iter().map(|(name, _)| format!("`{name}`")).collect();
            return Err(CohortError::NoPatientColumn {
                columns: names.join(", "),
            });
        };
        let raw_patient = filled(table, patient_column, "patient")?;
        let optional = |name: &Option<String>| name.as_ref().map(|name| table.column(name)).transpose();
        let raw_path = columns
            .path
            .as_ref()
            .map(|name| filled(table, name, "image path"))
            .transpose()?;
        let raw_id = columns.id.as_ref().map(|name| filled(table, name, "id")).transpose()?;
        let raw_scan = optional(&columns.scan)?;
        let label = optional(&columns.label)?.map_or_else(|| vec![None; n], trimmed);
        let site = optional(&columns.site)?.map_or_else(|| vec![None; n], trimmed);
        let given = optional(&columns.split)?.map(trimmed);
        for (what, cells) in [("path", &raw_path), ("id", &raw_id)] {
            if let Some(cells) = cells {
                all_differ(what, cells)?;
            }
        }

        let ids = &plan.ids;
        let slice_id = (0..n).map(|row| match (&raw_id, &raw_path) {
            (Some(id), _) => ids.slice(id[row]),
            (None, Some(path)) => ids.slice(path[row]),
            (None, None) => format!("row-{:06}", row + 1),
        });
        let scan_id = (0..n).map(|row| match raw_scan.and_then(|scan| scan[row].as_deref()) {
            // Scan numbers such as "1" are often unique within a patient only.
            Some(scan) if ids.keeps() || ids.scan(scan) == scan => scan.to_owned(),
            Some(scan) => ids.scan(&format!("{}\u{1f}{scan}", raw_patient[row])),
            None => ids.scan(raw_patient[row]),
        });
        // Where identifiers are kept they may stand in other columns too.
        let hidden = if ids.keeps() { &[][..] } else { &raw_patient };
        let (extra, withheld) = extra_columns(table, columns, hidden)?;
        let rows = Rows {
            slice_id: slice_id.collect(),
            scan_id: scan_id.collect(),
            patient_id: raw_patient.iter().map(|id| ids.patient(id)).collect(),
            label,
            site,
            split: vec![None; n],
            extra,
        };

        let order: BTreeSet<&str> = raw_patient.iter().copied().collect();
        let index: HashMap<&str, usize> = order.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let mut warnings = Vec::new();
        if !withheld.is_empty() {
            warnings.push(format!(
                "columns that look like identifiers, by name or content, are not carried into outputs: {} (bring one back with `cohort.keep`)",
                withheld.join(", ")
            ));
        }
        let positive = sides(&rows, plan, &mut warnings)?;
        Ok(Self {
            patient: raw_patient.iter().map(|id| index[id]).collect(),
            n_patients: order.len(),
            positive,
            paths: raw_path.map_or_else(Vec::new, |paths| paths.iter().map(|path| folder.join(path)).collect()),
            sha256: vec![None; n],
            given,
            rows,
            warnings,
        })
    }
}

/// The class of each row, checked to be a two-class problem.
fn sides(rows: &Rows, plan: &CohortPlan, warnings: &mut Vec<String>) -> Result<Vec<Option<bool>>, CohortError> {
    let (Some(classes), Some(column)) = (&plan.classes, &plan.columns.label) else {
        return Ok(vec![None; rows.label.len()]);
    };
    let labels = || counted(rows.label.iter().flatten().map(String::as_str));
    for label in classes.negative.iter().flatten().chain([&classes.positive]) {
        if !rows.label.iter().flatten().any(|found| found == label) {
            let (label, column) = (label.clone(), column.clone());
            return Err(CohortError::NoSuchLabel {
                label,
                column,
                labels: labels(),
            });
        }
    }
    let positive: Vec<Option<bool>> = rows
        .label
        .iter()
        .map(|label| label.as_deref().and_then(|label| classes.side(label)))
        .collect();
    let n = positive.iter().flatten().count();
    if positive.iter().flatten().all(|positive| *positive) {
        return Err(CohortError::OneClass {
            rows: n,
            label: classes.positive.clone(),
            labels: labels(),
        });
    }
    warn_of_labels(rows, classes, column, warnings);
    let missing = rows.label.iter().filter(|label| label.is_none()).count();
    if missing > 0 {
        warnings.push(format!(
            "{missing} of {} rows have no label in column `{column}` and take no part in fitting or evaluation",
            rows.label.len()
        ));
    }
    let left_out = rows.label.len() - missing - n;
    if left_out > 0 {
        warnings.push(format!(
            "{left_out} of {} rows have a label that is neither `positive` nor among `negative` and take no part in fitting or evaluation",
            rows.label.len()
        ));
    }
    Ok(positive)
}

/// The cells without space around them; a blank cell is an empty one.
fn trimmed(cells: &[Option<String>]) -> Vec<Option<String>> {
    let trim = |cell: &Option<String>| {
        cell.as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    cells.iter().map(trim).collect()
}

/// Labels that were probably meant to be another one, or none.
fn warn_of_labels(rows: &Rows, classes: &Classes, column: &str, warnings: &mut Vec<String>) {
    let names: BTreeSet<&str> = rows.label.iter().flatten().map(String::as_str).collect();
    let mut plain = BTreeMap::<String, Vec<&str>>::new();
    for name in &names {
        let key: String = name
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric())
            .collect();
        plain.entry(key).or_default().push(name);
    }
    for alike in plain.values().filter(|alike| alike.len() > 1) {
        warnings.push(format!(
            "labels that differ only in case, space or punctuation are different classes: `{}` in column `{column}`",
            alike.join("`, `")
        ));
    }
    let missing = ["na", "nan", "none", "null", "unknown"];
    let taken = |name: &&&str| classes.negative.is_none() && missing.contains(&name.to_lowercase().as_str());
    for name in names.iter().filter(taken) {
        warnings.push(format!(
            "rows with the label `{name}` in column `{column}` count as negative: name the negative labels with `cohort.negative`, or leave their cells empty"
        ));
    }
}

/// A column without empty cells.
fn filled<'a>(table: &'a TextTable, column: &str, what: &'static str) -> Result<Vec<&'a str>, CohortError> {
    let cells = table.column(column)?;
    let empty = |cell: &Option<String>| cell.as_deref().is_none_or(|text| text.trim().is_empty());
    if let Some(first) = cells.iter().position(empty) {
        return Err(CohortError::MissingCells {
            what,
            column: column.to_owned(),
            missing: cells.iter().filter(|cell| empty(cell)).count(),
            rows: cells.len(),
            first: first + 1,
        });
    }
    Ok(cells.iter().flatten().map(|text| text.trim()).collect())
}

fn all_differ(what: &'static str, cells: &[&str]) -> Result<(), CohortError> {
    let mut seen = BTreeMap::new();
    for (row, cell) in cells.iter().enumerate() {
        if let Some(first) = seen.insert(*cell, row) {
            return Err(CohortError::Repeated {
                what,
                first: first + 1,
                second: row + 1,
            });
        }
    }
    Ok(())
}

type Extra = Vec<(String, Vec<Option<String>>)>;

/// The user's own columns, and the names of those that are withheld since they look like or hold identifiers.
fn extra_columns(table: &TextTable, columns: &Columns, patients: &[&str]) -> Result<(Extra, Vec<String>), CohortError> {
    for name in &columns.keep {
        table.column(name)?;
    }
    let mapped = [
        &columns.path,
        &columns.patient,
        &columns.scan,
        &columns.id,
        &columns.label,
        &columns.site,
    ];
    let (mut extra, mut withheld) = (Vec::new(), Vec::new());
    for (name, cells) in &table.columns {
        if mapped.iter().any(|column| column.as_ref() == Some(name)) || is_feature_name(name) {
            continue;
        }
        match name.as_str() {
            "slice_id" | "scan_id" | "patient_id" => withheld.push(format!("`{name}`")),
            _ if columns.keep.contains(name) => extra.push((name.clone(), cells.clone())),
            _ if looks_identifying(name) || holds_identifiers(cells, patients) => withheld.push(format!("`{name}`")),
            // Every table that we write has columns of these names; the user's own of the same name stands beside them.
            "label" | "site" | "split" => extra.push((format!("table_{name}"), cells.clone())),
            _ => extra.push((name.clone(), cells.clone())),
        }
    }
    Ok((extra, withheld))
}

/// `f000`, `f0001`, ...: the names that a feature table gives to its own columns must stay free.
fn is_feature_name(name: &str) -> bool {
    name.strip_prefix('f')
        .is_some_and(|digits| digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::{
        CohortError,
        testing::{columns, read, table},
    };
    use crate::cohort::Columns;

    #[test]
    fn identifiers_become_pseudonyms_and_stay_out_of_what_is_carried() {
        let cohort = read(&table(4, |_| ()), columns()).unwrap();
        let shown = format!("{:?} {:?}", cohort.rows, cohort.warnings);
        assert!(
            !shown.contains("P00") && !shown.contains("Doe") && !shown.contains("img/"),
            "{shown}"
        );
        let names: Vec<&str> = cohort.rows.extra.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["fold", "age"]);
        assert_eq!(cohort.n_patients, 4);
        assert_eq!(cohort.patient[..4], [0, 0, 0, 1]);
        assert_eq!(cohort.positive[2..4], [Some(true), Some(false)]);
        assert!(cohort.warnings[0].contains("`orig_name`"), "{:?}", cohort.warnings);
    }

    #[test]
    fn a_column_that_holds_the_patients_is_withheld_whatever_its_name() {
        let mut named = table(4, |_| ());
        named.columns[5] = (
            "slice".to_owned(),
            (0..12).map(|row| Some(format!("P{:03}-{row}", row / 3))).collect(),
        );
        let cohort = read(&named, columns()).unwrap();
        assert!(
            cohort.rows.extra.iter().all(|(name, _)| name == "fold"),
            "{:?}",
            cohort.rows.extra
        );
        assert!(cohort.warnings[0].contains("`slice`"), "{:?}", cohort.warnings);
    }

    #[test]
    fn a_kept_column_is_carried_whatever_its_name() {
        let kept = Columns {
            keep: vec!["orig_name".to_owned()],
            ..columns()
        };
        let cohort = read(&table(4, |_| ()), kept).unwrap();
        assert_eq!(cohort.rows.extra[2].0, "orig_name");
    }

    #[test]
    fn what_a_study_cannot_do_without_is_an_error() {
        let without = Columns {
            patient: None,
            ..columns()
        };
        assert!(matches!(
            read(&table(4, |_| ()), without),
            Err(CohortError::NoPatientColumn { .. })
        ));
        let mut holes = table(4, |_| ());
        holes.columns[1].1[5] = Some("  ".to_owned());
        let error = read(&holes, columns()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("1 of 12 rows have no patient in column `patient` (first: row 6)"),
            "{error}"
        );
        let mut twice = table(4, |_| ());
        twice.columns[0].1[3] = twice.columns[0].1[0].clone();
        let error = read(&twice, columns()).unwrap_err();
        assert!(
            matches!(
                error,
                CohortError::Repeated {
                    what: "path",
                    first: 1,
                    second: 4
                }
            ),
            "{error}"
        );
        let mut one = table(4, |_| ());
        one.columns[2].1.fill(Some("covid".to_owned()));
        assert!(matches!(
            read(&one, columns()),
            Err(CohortError::OneClass { rows: 12, .. })
        ));
        one.columns[2].1.fill(Some("healthy".to_owned()));
        let error = read(&one, columns()).unwrap_err().to_string();
        assert!(
            error.contains("no row has the label `covid`") && error.contains("`healthy` (12)"),
            "{error}"
        );
    }

    #[test]
    fn cells_are_trimmed_and_labels_that_look_alike_are_named() {
        let mut odd = table(4, |_| ());
        odd.columns[2].1[0] = Some(" covid ".to_owned());
        odd.columns[2].1[1] = Some("COVID".to_owned());
        odd.columns[2].1[2] = Some("  ".to_owned());
        odd.columns[2].1[3] = Some("NA".to_owned());
        odd.columns[3].1[0] = Some("near ".to_owned());
        let cohort = read(&odd, columns()).unwrap();
        assert_eq!(cohort.positive[..4], [Some(true), Some(false), None, Some(false)]);
        assert_eq!(cohort.rows.site[0].as_deref(), Some("near"));
        let warnings = cohort.warnings.join("; ");
        assert!(
            warnings.contains("`COVID`, `covid`") && warnings.contains("label `NA`"),
            "{warnings}"
        );
    }

    #[test]
    fn rows_without_a_label_are_counted_and_take_no_part() {
        let mut holes = table(4, |_| ());
        holes.columns[2].1[0] = None;
        let cohort = read(&holes, columns()).unwrap();
        assert_eq!(cohort.positive[0], None);
        assert!(
            cohort
                .warnings
                .iter()
                .any(|warning| warning.starts_with("1 of 12 rows have no label"))
        );
    }
}
