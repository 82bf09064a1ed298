//! Rows of a table to scans.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use super::{ScanError, ScanSource, Scans, source::Holds};
use crate::{
    cohort::{Cohort, CohortError, CohortPlan},
    features::Rows,
    readers::SliceAddress,
    tables::TextTable,
};

/// What a row names.
struct Named {
    holds: Holds,
    /// The volume, where the row is a slice of one.
    slice_of: Option<PathBuf>,
}

/// What tells scans apart. Ordered only so that it can be a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// A patient and a cell of the scans' column.
    Scan(usize, String),
    /// A volume that rows are slices of.
    Volume(usize, PathBuf),
    /// A patient, where nothing else tells.
    Patient(usize),
    /// A row that is a scan of its own.
    Row(usize),
}

impl Scans {
    /// The scans of a table whose paths are relative to `folder`: one row a scan, or one row a slice as `hounsfield index` writes it.
    ///
    /// - A row may name a **volume** (NIfTI, or `.npy` with its sidecar; in an archive too), a **folder or archive** with one DICOM
    ///   series, or a **slice**.
    /// - **Slices are joined** by patient and the column of scans. Where that says nothing, rows of one volume are one scan, and DICOM
    ///   files of one patient are. Their order is told by their positions when they are read.
    /// - Rows `#slice=N` of a volume mean **all of that volume**, also where some of its slices have no row: a scan is whole.
    /// - Labels, sites and the column of a split are those of the scan, and its rows must agree. Other columns are carried where they
    ///   agree in all scans.
    ///
    /// ```
    /// use std::path::Path;
    /// use hounsfield::{cohort::{CohortPlan, Columns}, ct::Pseudonymizer, scans::Scans, tables::TextTable};
    /// let column = |name: &str, cells: &[&str]| {
    ///     (name.to_owned(), cells.iter().map(|cell| Some((*cell).to_owned())).collect())
    /// };
    /// let table = TextTable::new(vec![
    ///     column("who", &["A", "A", "A", "B"]),
    ///     column("path", &["a.nii#slice=0", "a.nii#slice=1", "a2.nii.gz", "b.nii.gz"]),
    /// ])?;
    /// let columns = Columns { path: Some("path".to_owned()), patient: Some("who".to_owned()), ..Columns::default() };
    /// let plan = CohortPlan { columns, classes: None, ids: Pseudonymizer::new(b"a secret of 16+ bytes") };
    /// let scans = Scans::read(&table, Path::new("data"), &plan)?;
    /// assert_eq!((scans.len(), scans.cohort.n_patients), (3, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What [`Cohort::read`] refuses, pictures, and rows that contradict each other. Messages name rows by number.
    pub fn read(table: &TextTable, folder: &Path, plan: &CohortPlan) -> Result<Self, ScanError> {
        let cohort = Cohort::read(table, folder, plan)?;
        if cohort.paths.is_empty() {
            let names: Vec<String> = table.columns.iter().map(|(name, _)| format!("`{name}`")).collect();
            return Err(ScanError::NoPathColumn {
                columns: names.join(", "),
            });
        }
        let named = named(&cohort.paths)?;
        let scan_cell = scan_cells(table, plan)?;
        let groups = groups(&cohort, &named, &scan_cell);
        no_volume_is_shared(&named, &groups)?;
        let mut sources = Vec::with_capacity(groups.len());
        for (_, rows) in &groups {
            agree(&cohort, plan, rows)?;
            sources.push(source(&cohort, &named, rows)?);
        }
        let names = names(table, &cohort, plan, folder, &groups)?;
        Ok(Self {
            cohort: one_row_each(cohort, &groups, names, &sources),
            sources,
        })
    }
}

/// What each row names; each file is looked at once.
fn named(paths: &[PathBuf]) -> Result<Vec<Named>, ScanError> {
    let mut known = HashMap::<(PathBuf, Option<String>), Holds>::new();
    let mut named = Vec::with_capacity(paths.len());
    for path in paths {
        let address = SliceAddress::parse(path)?;
        let place = (address.file.clone(), address.member.clone());
        let holds = *known.entry(place).or_insert_with(|| Holds::of(&address));
        let slice_of = (holds == Holds::Volume && address.slice.is_some()).then(|| {
            let volume = SliceAddress { slice: None, ..address };
            PathBuf::from(volume.to_string())
        });
        named.push(Named { holds, slice_of });
    }
    let picture = |named: &Named| named.holds == Holds::Picture;
    match named.iter().position(picture) {
        Some(first) => Err(ScanError::Pictures {
            rows: named.iter().filter(|named| picture(named)).count(),
            first: first + 1,
        }),
        None => Ok(named),
    }
}

/// Cells of the column of scans that say something.
fn scan_cells(table: &TextTable, plan: &CohortPlan) -> Result<Vec<Option<String>>, ScanError> {
    let Some(column) = &plan.columns.scan else {
        return Ok(vec![None; table.n_rows]);
    };
    let cells = table.column(column).map_err(CohortError::from)?;
    let said = |cell: &Option<String>| {
        cell.as_deref()
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned)
    };
    Ok(cells.iter().map(said).collect())
}

/// Rows of each scan, in the order of its first row.
fn groups(cohort: &Cohort, named: &[Named], scan_cell: &[Option<String>]) -> Vec<(Key, Vec<usize>)> {
    let mut place = BTreeMap::<Key, usize>::new();
    let mut groups = Vec::<(Key, Vec<usize>)>::new();
    for (row, named) in named.iter().enumerate() {
        let patient = cohort.patient[row];
        let key = match (&scan_cell[row], &named.slice_of, named.holds) {
            (Some(scan), _, _) => Key::Scan(patient, scan.clone()),
            (None, Some(volume), _) => Key::Volume(patient, volume.clone()),
            (None, None, Holds::Dicom) => Key::Patient(patient),
            (None, None, _) => Key::Row(row),
        };
        let at = *place.entry(key.clone()).or_insert(groups.len());
        if at == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[at].1.push(row);
    }
    groups
}

/// A volume is read as one: its slices must not be of two scans.
fn no_volume_is_shared(named: &[Named], groups: &[(Key, Vec<usize>)]) -> Result<(), ScanError> {
    let mut owner = HashMap::<&Path, (usize, usize)>::new();
    for (at, (_, rows)) in groups.iter().enumerate() {
        for row in rows {
            let Some(volume) = &named[*row].slice_of else { continue };
            let (scan, first) = *owner.entry(volume).or_insert((at, *row));
            if scan != at {
                return Err(ScanError::Shared {
                    first: first.min(*row) + 1,
                    second: first.max(*row) + 1,
                });
            }
        }
    }
    Ok(())
}

/// Rows of one scan must say one thing of it.
fn agree(cohort: &Cohort, plan: &CohortPlan, rows: &[usize]) -> Result<(), ScanError> {
    let columns = &plan.columns;
    let said = [
        ("label", &columns.label, Some(&cohort.rows.label)),
        ("site", &columns.site, Some(&cohort.rows.site)),
        ("split", &columns.split, cohort.given.as_ref()),
    ];
    for (what, column, cells) in said {
        let (Some(column), Some(cells)) = (column, cells) else {
            continue;
        };
        if let Some(other) = rows.iter().find(|row| cells[**row] != cells[rows[0]]) {
            return Err(ScanError::Differ {
                what,
                column: column.clone(),
                first: rows[0] + 1,
                second: other + 1,
            });
        }
    }
    Ok(())
}

/// What the rows of one scan are read from.
fn source(cohort: &Cohort, named: &[Named], rows: &[usize]) -> Result<ScanSource, ScanError> {
    let first = rows[0];
    let path = |row: usize| cohort.paths[row].clone();
    let several = |second: usize, what| ScanError::Several {
        first: first + 1,
        second: second + 1,
        what,
    };
    if let Some(volume) = &named[first].slice_of {
        let other = rows.iter().find(|row| named[**row].slice_of.as_ref() != Some(volume));
        return match other {
            Some(row) => Err(several(
                *row,
                "one is a slice of a volume that the other does not lie in",
            )),
            None => Ok(ScanSource::Volume(volume.clone())),
        };
    }
    if named[first].holds == Holds::Dicom {
        let other = rows.iter().find(|row| named[**row].holds != Holds::Dicom);
        return match other {
            Some(row) => Err(several(*row, "one is a DICOM slice and the other is none")),
            None => Ok(ScanSource::Slices(rows.iter().map(|row| path(*row)).collect())),
        };
    }
    match (rows.get(1), named[first].holds) {
        (Some(second), _) => Err(several(*second, "one of them is a whole scan by itself")),
        (None, Holds::Series) => Ok(ScanSource::Series(path(first))),
        (None, _) => Ok(ScanSource::Volume(path(first))),
    }
}

/// The scans' own names: pseudonyms unless identifiers are kept, and no two alike.
fn names(
    table: &TextTable,
    cohort: &Cohort,
    plan: &CohortPlan,
    folder: &Path,
    groups: &[(Key, Vec<usize>)],
) -> Result<Vec<String>, ScanError> {
    let ids = &plan.ids;
    let ids_of_rows = match &plan.columns.id {
        Some(column) => Some(table.column(column).map_err(CohortError::from)?),
        None => None,
    };
    let own_name = |path: &Path| ids.scan(&path.strip_prefix(folder).unwrap_or(path).to_string_lossy());
    let mut names: Vec<String> = groups
        .iter()
        .map(|(key, rows)| match key {
            Key::Scan(..) | Key::Patient(_) => cohort.rows.scan_id[rows[0]].clone(),
            Key::Volume(_, volume) => own_name(volume),
            Key::Row(row) => match ids_of_rows.and_then(|cells| cells[*row].as_deref()) {
                Some(id) => ids.scan(id.trim()),
                None => own_name(&cohort.paths[*row]),
            },
        })
        .collect();
    let mut first = HashMap::<String, usize>::new();
    let twins: Vec<(usize, usize)> = names
        .iter()
        .enumerate()
        .filter_map(|(at, name)| match first.get(name) {
            Some(before) => Some((*before, at)),
            None => first.insert(name.clone(), at).map(|before| (before, at)),
        })
        .collect();
    if let (Some((a, b)), false) = (twins.first(), ids.keeps()) {
        return Err(ScanError::TwoPatients {
            first: groups[*a].1[0] + 1,
            second: groups[*b].1[0] + 1,
        });
    }
    // Numbers such as `1`, which every patient has.
    if !twins.is_empty() {
        for (name, (_, rows)) in names.iter_mut().zip(groups) {
            *name = format!("{}/{name}", cohort.rows.patient_id[rows[0]]);
        }
    }
    Ok(names)
}

/// The cohort with one row a scan. Patients keep their numbers: each has a row of a scan.
fn one_row_each(cohort: Cohort, groups: &[(Key, Vec<usize>)], names: Vec<String>, sources: &[ScanSource]) -> Cohort {
    let firsts: Vec<usize> = groups.iter().map(|(_, rows)| rows[0]).collect();
    let pick =
        |cells: &[Option<String>]| -> Vec<Option<String>> { firsts.iter().map(|row| cells[*row].clone()).collect() };
    let mut warnings = cohort.warnings;
    let mut differing = Vec::new();
    let mut extra = Vec::new();
    for (name, cells) in &cohort.rows.extra {
        let same = |rows: &Vec<usize>| rows.iter().all(|row| cells[*row] == cells[rows[0]]);
        match groups.iter().all(|(_, rows)| same(rows)) {
            true => extra.push((name.clone(), pick(cells))),
            false => differing.push(format!("`{name}`")),
        }
    }
    if !differing.is_empty() {
        warnings.push(format!(
            "columns that differ between the slices of a scan are not carried into outputs: {}",
            differing.join(", ")
        ));
    }
    let rows = Rows {
        slice_id: names.clone(),
        scan_id: names,
        patient_id: firsts.iter().map(|row| cohort.rows.patient_id[*row].clone()).collect(),
        label: pick(&cohort.rows.label),
        site: pick(&cohort.rows.site),
        split: vec![None; firsts.len()],
        extra,
    };
    Cohort {
        rows,
        patient: firsts.iter().map(|row| cohort.patient[*row]).collect(),
        n_patients: cohort.n_patients,
        positive: firsts.iter().map(|row| cohort.positive[*row]).collect(),
        paths: sources.iter().map(|source| source.first_path().to_owned()).collect(),
        sha256: vec![None; firsts.len()],
        given: cohort.given.as_deref().map(pick),
        warnings,
    }
}
