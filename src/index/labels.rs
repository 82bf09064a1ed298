//! Labels from the user's table, joined by patient, study or file.

use std::{collections::HashMap, path::Path};

use super::{
    IndexError, Scan,
    files::{COLUMNS, Hits, NamedFiles},
};
use crate::{
    ct::Pseudonymizer,
    tables::{TextTable, holds_identifiers, looks_identifying, read_table},
    words::{count, counted},
};

/// What labels are joined by, and the column that holds it; found by its name where `None`.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelKey {
    /// Patient ID, or the pseudonym.
    Patient(Option<String>),
    /// Study Instance UID, or the pseudonym.
    Study(Option<String>),
    /// A file's path, its end, or its name without the ending; `#slice=N` behind it for a slice of a volume.
    File(Option<String>),
}

impl std::str::FromStr for LabelKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, column) = match text.split_once('=') {
            Some((key, column)) => (key, Some(column.to_owned())),
            None => (text, None),
        };
        match key {
            "patient" => Ok(Self::Patient(column)),
            "study" => Ok(Self::Study(column)),
            "file" => Ok(Self::File(column)),
            _ => Err(format!(
                "found `{key}`, expected patient, study or file, e.g. `patient=COLUMN`"
            )),
        }
    }
}

impl LabelKey {
    fn name(&self) -> &'static str {
        match self {
            Self::Patient(_) => "patient",
            Self::Study(_) => "study",
            Self::File(_) => "file",
        }
    }

    /// The name of its column in a table.
    fn column(&self, table: &TextTable) -> Result<String, IndexError> {
        let (given, usual): (_, &[&str]) = match self {
            Self::Patient(column) => (
                column,
                &[
                    "patient_id",
                    "patientid",
                    "patient",
                    "pid",
                    "subject_id",
                    "subject",
                    "id",
                ],
            ),
            Self::Study(column) => (
                column,
                &[
                    "study_id",
                    "studyid",
                    "study",
                    "studyinstanceuid",
                    "study_instance_uid",
                    "study_uid",
                ],
            ),
            Self::File(column) => (column, &COLUMNS),
        };
        if let Some(column) = given {
            table.column(column)?;
            return Ok(column.clone());
        }
        let named = |usual: &&str| table.names().find(|name| name.to_lowercase() == **usual);
        let found = usual.iter().find_map(named);
        found.map(str::to_owned).ok_or_else(|| IndexError::NoKeyColumn {
            key: self.name(),
            columns: columns(table),
        })
    }
}

fn columns(table: &TextTable) -> String {
    table.names().collect::<Vec<_>>().join(", ")
}

/// A table of labels.
#[derive(Debug)]
pub struct Labels {
    table: TextTable,
    key: LabelKey,
    key_column: String,
    label_column: String,
}

/// Labels that have found their slices.
#[derive(Debug)]
pub struct Joined {
    /// The label of each slice of each scan.
    pub labels: Vec<Vec<Option<String>>>,
    /// Further columns of the user's table that identify nobody, by name.
    pub carried: Vec<(String, Vec<Vec<Option<String>>>)>,
    /// What the user must be told, without identifiers.
    pub warnings: Vec<String>,
}

impl Labels {
    /// Reads a table. The label's column is the one that is named, or `label`, or the only one beside the key.
    ///
    /// # Errors
    ///
    /// A table that can't be read, columns that are not there or can't be told, and two labels of one key.
    pub fn read(path: &Path, key: LabelKey, label: Option<&str>) -> Result<Self, IndexError> {
        Self::of(read_table(path)?, key, label)
    }

    fn of(table: TextTable, key: LabelKey, label: Option<&str>) -> Result<Self, IndexError> {
        let key_column = key.column(&table)?;
        let others: Vec<&str> = table.names().filter(|name| *name != key_column).collect();
        let label_column = match (label, table.names().find(|name| *name == "label")) {
            (Some(label), _) => {
                table.column(label)?;
                label.to_owned()
            }
            (None, Some(label)) => label.to_owned(),
            (None, None) => match others[..] {
                [only] => only.to_owned(),
                _ => {
                    return Err(IndexError::NoLabelColumn {
                        columns: columns(&table),
                    });
                }
            },
        };
        let labels = Self {
            table,
            key,
            key_column,
            label_column,
        };
        labels.one_label_each()?;
        Ok(labels)
    }

    /// Each row that has a key, and its key.
    fn keys(&self) -> impl Iterator<Item = (usize, &str)> {
        // The column is there: it was found when the table was read.
        let cells = self.table.column(&self.key_column).unwrap_or_default();
        let key = |(row, cell)| cell_text(cell).map(|key| (row, key));
        cells.iter().enumerate().filter_map(key)
    }

    fn label(&self, row: usize) -> Option<&str> {
        let cells = self.table.column(&self.label_column).unwrap_or_default();
        cells.get(row).and_then(cell_text)
    }

    fn one_label_each(&self) -> Result<(), IndexError> {
        let mut first = HashMap::new();
        for (row, key) in self.keys() {
            let first = *first.entry(key).or_insert(row);
            if self.label(first) != self.label(row) {
                return Err(IndexError::TwoLabels {
                    key: self.key.name(),
                    column: self.label_column.clone(),
                    first: first + 1,
                    second: row + 1,
                });
            }
        }
        Ok(())
    }

    /// Finds the row of each slice.
    ///
    /// # Errors
    ///
    /// A row that names several files.
    pub fn join(&self, scans: &[Scan], ids: &Pseudonymizer) -> Result<Joined, IndexError> {
        let mut by_key = HashMap::new();
        let mut by_file = NamedFiles::default();
        for (row, key) in self.keys() {
            by_key.entry(key).or_insert(row);
            if matches!(self.key, LabelKey::File(_)) {
                by_file.add(key, row);
            }
        }
        let either = |raw: &str, pseudonym: String| by_key.get(raw).or_else(|| by_key.get(pseudonym.as_str())).copied();
        let mut hits = Hits::default();
        let mut rows = Vec::with_capacity(scans.len());
        for scan in scans {
            let of_scan = match self.key {
                LabelKey::Patient(_) => {
                    let raw = scan.series.patient().0;
                    either(raw, ids.patient(raw))
                }
                LabelKey::Study(_) => either(scan.series.study(), ids.study(scan.series.study())),
                LabelKey::File(_) => None,
            };
            let row = |address| match self.key {
                LabelKey::File(_) => by_file.row(address),
                _ => of_scan,
            };
            let mut found = Vec::with_capacity(scan.slices.len());
            for placed in &scan.slices {
                let row = row(&placed.slice.address);
                if let Some(row) = row {
                    hits.add(row, &placed.slice.address);
                }
                found.push(row);
            }
            rows.push(found);
        }
        if let (LabelKey::File(_), Some((row, files))) = (&self.key, hits.ambiguous()) {
            return Err(IndexError::AmbiguousFile {
                table: "the labels",
                row: row + 1,
                files,
            });
        }
        let cells = |column: &[Option<String>]| -> Vec<Vec<Option<String>>> {
            let cell = |row: &Option<usize>| row.and_then(|row| cell_text(&column[row])).map(str::to_owned);
            rows.iter().map(|rows| rows.iter().map(cell).collect()).collect()
        };
        let labels = cells(self.table.column(&self.label_column)?);
        let mut warnings = self.unmatched(&rows, &labels, hits.rows(), by_key.len());
        let (mut carried, mut withheld) = (Vec::new(), Vec::new());
        for (name, column) in &self.table.columns {
            if *name == self.key_column || *name == self.label_column {
                continue;
            }
            let cells = cells(column);
            if self.varies(column) || identifies(name, &cells, scans) {
                withheld.push(format!("`{name}`"));
            } else {
                carried.push((name.clone(), cells));
            }
        }
        if !withheld.is_empty() {
            warnings.push(format!(
                "columns of the labels that look identifying, or differ between rows of one {}, are not carried along: {}",
                self.key.name(),
                withheld.join(", ")
            ));
        }
        Ok(Joined {
            labels,
            carried,
            warnings,
        })
    }

    /// Whether rows of one key differ in a column.
    fn varies(&self, column: &[Option<String>]) -> bool {
        let mut first = HashMap::new();
        self.keys().any(|(row, key)| {
            let first: usize = *first.entry(key).or_insert(row);
            column[first] != column[row]
        })
    }

    /// What has found no partner, both ways.
    fn unmatched(
        &self,
        rows: &[Vec<Option<usize>>],
        labels: &[Vec<Option<String>>],
        hit: usize,
        keys: usize,
    ) -> Vec<String> {
        let key = self.key.name();
        let slices: usize = rows.iter().map(Vec::len).sum();
        let alone = rows.iter().flatten().filter(|row| row.is_none()).count();
        let joined = rows.iter().flatten().flatten().count();
        let empty = joined - labels.iter().flatten().flatten().count();
        let keyless = self.table.n_rows - self.keys().count();
        let mut warnings = Vec::new();
        if alone > 0 {
            let share = format!("{} of {}", count(alone), counted(slices, "slice"));
            warnings.push(format!(
                "{share} have no row in the labels, joined by {key}, and no label"
            ));
        }
        if keys > hit {
            let share = format!("{} of {}", count(keys - hit), counted(keys, &format!("{key} key")));
            warnings.push(format!("{share} of the labels have no slice"));
        }
        if empty > 0 {
            warnings.push(format!(
                "{} have a row in the labels whose `{}` is empty",
                counted(empty, "slice"),
                self.label_column
            ));
        }
        if keyless > 0 {
            warnings.push(format!(
                "{} of {} of the labels have nothing in `{}`",
                count(keyless),
                counted(self.table.n_rows, "row"),
                self.key_column
            ));
        }
        warnings
    }
}

fn cell_text(cell: &Option<String>) -> Option<&str> {
    cell.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// Whether a column tells who its rows are, by its name, by dates and UIDs, or by holding what files say of patients.
fn identifies(name: &str, cells: &[Vec<Option<String>>], scans: &[Scan]) -> bool {
    if looks_identifying(name) || name.to_lowercase().contains("date") {
        return true;
    }
    let flat: Vec<Option<String>> = cells.iter().flatten().cloned().collect();
    if flat.iter().flatten().any(|cell| is_uid(cell) || is_date(cell)) {
        return true;
    }
    let slices = || {
        scans
            .iter()
            .flat_map(|scan| scan.slices.iter().map(|placed| &placed.slice.series))
    };
    let nothing = "\u{0}nothing";
    let patients: Vec<&str> = slices().map(|series| series.patient().0).collect();
    let persons: Vec<&str> = slices()
        .map(|series| {
            series
                .person
                .as_deref()
                .and_then(|person| person.split(['^', '\u{1f}']).next())
        })
        .map(|name| name.filter(|name| !name.is_empty()).unwrap_or(nothing))
        .collect();
    holds_identifiers(&flat, &patients) || holds_identifiers(&flat, &persons)
}

/// Numbers between points, four or more.
fn is_uid(cell: &str) -> bool {
    let parts: Vec<&str> = cell.split('.').collect();
    parts.len() > 4
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A day as ISO 8601 or DICOM writes it, whatever follows.
fn is_date(cell: &str) -> bool {
    let digits: Vec<u8> = cell.bytes().filter(u8::is_ascii_digit).take(8).collect();
    let shape = match cell.as_bytes() {
        [_, _, _, _, b'-' | b'/' | b'.', _, _, b'-' | b'/' | b'.', ..] => true,
        _ => cell.len() == 8 && cell.bytes().all(|byte| byte.is_ascii_digit()),
    };
    let number = |range: std::ops::Range<usize>| {
        digits[range]
            .iter()
            .fold(0, |n, digit| n * 10 + u32::from(digit - b'0'))
    };
    shape
        && digits.len() == 8
        && (1900..2100).contains(&number(0..4))
        && (1..=12).contains(&number(4..6))
        && (1..=31).contains(&number(6..8))
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::{
        super::{series::scans, slice::SeriesFacts, slice::Slice, testing},
        *,
    };

    fn table(text: &[&[&str]]) -> TextTable {
        let column = |at: usize| {
            let cells = text[1..]
                .iter()
                .map(|row| Some(row[at].to_owned()).filter(|cell| !cell.is_empty()));
            (text[0][at].to_owned(), cells.collect())
        };
        TextTable::new((0..text[0].len()).map(column).collect()).unwrap()
    }

    /// A scan of two slices for each patient.
    fn patients(names: &[&str]) -> Vec<Scan> {
        let slice = |name: &&str| {
            [10.0, 0.0].map(|z| Slice {
                series: Arc::new(SeriesFacts {
                    patient_id: Some((*name).to_owned()),
                    person: Some("Doe^Jane\u{1f}19700101".to_owned()),
                    study: Some(format!("1.2.{name}")),
                    series: "1.2.3".to_owned(),
                    ..SeriesFacts::default()
                }),
                ..testing::slice(z)
            })
        };
        scans(names.iter().flat_map(slice).collect(), &mut Vec::new())
    }

    fn ids() -> Pseudonymizer {
        Pseudonymizer::new(b"0123456789abcdef")
    }

    #[test]
    fn labels_come_by_patient_or_pseudonym_and_what_is_alone_is_counted() {
        let pseudonym = ids().patient("P2");
        let table = table(&[
            &["Patient", "label"],
            &["P1", "covid"],
            &[&pseudonym, "cap"],
            &["P9", "covid"],
            &["", "cap"],
        ]);
        let labels = Labels::of(table, LabelKey::Patient(None), None).unwrap();
        let joined = labels.join(&patients(&["P1", "P2", "P3"]), &ids()).unwrap();
        let some = |label: &str| vec![Some(label.to_owned()); 2];
        assert_eq!(joined.labels, [some("covid"), some("cap"), vec![None, None]]);
        assert_eq!(
            joined.warnings,
            [
                "2 of 6 slices have no row in the labels, joined by patient, and no label",
                "1 of 3 patient keys of the labels have no slice",
                "1 of 4 rows of the labels have nothing in `Patient`",
            ]
        );
    }

    #[test]
    fn labels_come_by_study_and_by_file() {
        let scans = patients(&["P1", "P2"]);
        let by_study = table(&[&["StudyInstanceUID", "class"], &["1.2.P2", "cap"]]);
        let labels = Labels::of(by_study, LabelKey::Study(None), None).unwrap();
        let joined = labels.join(&scans, &ids()).unwrap();
        assert_eq!(joined.labels[1], [Some("cap".to_owned()), Some("cap".to_owned())]);
        let name = scans[0].slices[1].slice.address.to_string();
        let by_file = table(&[&["file", "class"], &[&name, "cap"]]);
        let labels = Labels::of(by_file, LabelKey::File(None), None).unwrap();
        assert_eq!(
            labels.join(&scans, &ids()).unwrap().labels[0],
            [None, Some("cap".to_owned())]
        );
    }

    #[test]
    fn two_labels_of_one_key_are_refused_with_their_rows() {
        let twice = table(&[&["patient", "label"], &["P1", "a"], &["P2", "a"], &["P1", "b"]]);
        let error = Labels::of(twice, LabelKey::Patient(None), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("rows 1 and 3 of the labels are of one patient"),
            "{error}"
        );
        assert!(!error.contains("P1"), "{error}");
    }

    #[test]
    fn columns_that_identify_or_vary_are_withheld() {
        let table = table(&[
            &[
                "patient", "label", "age", "when", "comment", "grade", "series", "seen", "hidden",
            ],
            &[
                "P000001",
                "a",
                "61",
                "2020-03-05",
                "x",
                "1",
                "1.2.840.1.2",
                "1",
                "of P000001",
            ],
            &["P000001", "a", "61", "", "x", "1", "", "2", "x"],
        ]);
        let labels = Labels::of(table, LabelKey::Patient(None), None).unwrap();
        let joined = labels.join(&patients(&["P000001"]), &ids()).unwrap();
        let names: Vec<&str> = joined.carried.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["age", "grade"]);
        assert!(
            joined.warnings[0].contains("`when`, `comment`, `series`, `seen`, `hidden`"),
            "{:?}",
            joined.warnings
        );
    }

    #[test]
    fn columns_that_cannot_be_told_are_errors_with_the_columns() {
        let wide = || table(&[&["patient", "a", "b"], &["P1", "1", "2"]]);
        let error = Labels::of(wide(), LabelKey::Patient(None), None).unwrap_err();
        assert!(matches!(error, IndexError::NoLabelColumn { .. }));
        let error = Labels::of(wide(), LabelKey::File(None), Some("a")).unwrap_err();
        assert!(error.to_string().contains("--on file=COLUMN"), "{error}");
        let error = Labels::of(wide(), LabelKey::Patient(Some("c".to_owned())), Some("a")).unwrap_err();
        assert!(matches!(error, IndexError::Table(_)));
        assert_eq!("file=dicom".parse(), Ok(LabelKey::File(Some("dicom".to_owned()))));
        assert!("row".parse::<LabelKey>().is_err());
    }

    #[test]
    fn a_row_that_names_several_files_is_refused() {
        let mut scans = patients(&["P1"]);
        for (placed, folder) in scans[0].slices.iter_mut().zip(["a", "b"]) {
            placed.slice.address.file = PathBuf::from(format!("/data/{folder}/1.dcm"));
        }
        let labels = Labels::of(
            table(&[&["file", "class"], &["1.dcm", "x"]]),
            LabelKey::File(None),
            None,
        )
        .unwrap();
        let error = labels.join(&scans, &ids()).unwrap_err().to_string();
        assert!(error.starts_with("row 1 of the labels names 2 files"), "{error}");
    }

    #[test]
    fn days_and_identities_are_told_from_numbers() {
        assert!(is_date("2020-03-05") && is_date("20200305") && is_date("2020/03/05 14:00"));
        assert!(!is_date("20209305") && !is_date("12345678") && !is_date("0.12-34"));
        assert!(is_uid("1.2.840.113.7") && !is_uid("1.2.3") && !is_uid("1.2.x.4.5"));
    }
}
