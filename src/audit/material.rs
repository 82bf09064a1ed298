//! What is audited: the rows of one or several tables, whose they are and what is known of them.
//!
//! Raw identifiers live in here only; what goes out are row numbers and pseudonyms.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use ndarray::Array2;
use regex::bytes::{Regex, RegexBuilder};

use super::{AuditError, Place};
use crate::{
    cohort::{Cohort, Set},
    ct::Pseudonymizer,
    features::FeatureTable,
    tables::{TextTable, holds_identifiers, looks_identifying},
};

/// A table with its name.
#[derive(Debug, Clone)]
pub struct Source {
    /// The table's name.
    pub name: String,
    /// Whether the table as a whole is a set of the split, of its name.
    pub is_set: bool,
    /// Its rows.
    pub table: TextTable,
    /// The folder that image paths start from.
    pub folder: PathBuf,
}

impl Source {
    /// A table that is no set, called `table`.
    pub fn of(table: TextTable) -> Self {
        Self {
            name: "table".to_owned(),
            is_set: false,
            table,
            folder: PathBuf::new(),
        }
    }
}

/// Which column of a table means what; nothing is required.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceColumns {
    /// The patient.
    pub patient: Option<String>,
    /// A regular expression whose first group (or whole match) is the patient, in the patient's column, else in the
    /// name's, else in the path's file name.
    pub pattern: Option<String>,
    /// The row's name, such as that of its file.
    pub name: Option<String>,
    /// The label.
    pub label: Option<String>,
    /// The label of the positive class.
    pub positive: Option<String>,
    /// The labels of the negative class; all others where there are none.
    pub negative: Vec<String>,
    /// The image's path, relative to its table.
    pub path: Option<String>,
    /// The set of a split, or the fold.
    pub set: Option<String>,
    /// The hospital or data source.
    pub site: Option<String>,
    /// Where in the body the slice lies: a number.
    pub position: Option<String>,
    /// What else is known of a row; all columns that do not look like identifiers where there are none.
    pub meta: Vec<String>,
}

/// A table of what is known of the patients.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// One row a patient.
    pub table: TextTable,
    /// Its column of patients.
    pub key: String,
}

/// The rows that are audited.
#[derive(Debug, Clone, Default)]
pub struct Material {
    sources: Vec<String>,
    /// Source and row in it, from 0.
    places: Vec<(usize, usize)>,
    patient_names: Vec<String>,
    /// The patient of each row as an integer; `None` where it has none.
    pub(super) patient: Vec<Option<usize>>,
    /// Whether anything says who the patients are.
    pub(super) has_patients: bool,
    /// Rows whose patient the metadata do not know, where metadata were given.
    pub(super) unknown_to_metadata: Option<Vec<usize>>,
    pub(super) label: Vec<Option<String>>,
    /// The label of the positive class, where it was named.
    pub(super) positive_label: Option<String>,
    pub(super) positive: Vec<Option<bool>>,
    /// Names of the sets.
    pub(super) sets: Vec<String>,
    pub(super) set: Vec<Option<usize>>,
    pub(super) site: Option<Vec<Option<String>>>,
    pub(super) position: Option<Vec<Option<String>>>,
    pub(super) meta: Vec<(String, Vec<Option<String>>)>,
    pub(super) paths: Vec<Option<PathBuf>>,
    /// Hashes of the images, where they are known already.
    pub(super) sha256: Vec<Option<String>>,
    /// `[M, F]` features and the row of each.
    pub(super) features: Option<(Array2<f32>, Vec<usize>)>,
}

/// Names of columns that count the rows of a file.
const INDEX: [&str; 4] = ["index", "unnamed: 0", "__index_level_0__", "row"];

impl Material {
    /// Rows of all tables together.
    ///
    /// # Errors
    ///
    /// Columns that are not there, a pattern that is none, a positive label that no row has.
    pub fn read(sources: &[Source], columns: &SourceColumns, metadata: Option<&Metadata>) -> Result<Self, AuditError> {
        let mut material = Self {
            sources: sources.iter().map(|source| source.name.clone()).collect(),
            positive_label: columns.positive.clone(),
            ..Self::default()
        };
        for (index, source) in sources.iter().enumerate() {
            material.places.extend((0..source.table.n_rows).map(|row| (index, row)));
        }
        let gather = |name: &String| -> Result<Vec<Option<String>>, AuditError> {
            let mut cells = Vec::new();
            for source in sources {
                cells.extend(source.table.column(name)?.iter().map(trimmed));
            }
            Ok(cells)
        };
        let optional = |name: &Option<String>| name.as_ref().map(gather).transpose();

        let paths = optional(&columns.path)?;
        let names = optional(&columns.name)?;
        let patients =
            material.find_patients(columns, metadata, names, paths.as_deref(), optional(&columns.patient)?)?;
        material.number_patients(&patients);
        material.label = optional(&columns.label)?.unwrap_or_else(|| vec![None; material.len()]);
        material.sides(columns)?;
        material.site = optional(&columns.site)?;
        material.position = optional(&columns.position)?;
        material.meta = meta_columns(sources, columns, metadata, &patients)?;
        material.paths = match paths {
            Some(cells) => {
                let joined = cells.iter().zip(&material.places);
                joined
                    .map(|(cell, place)| Some(sources[place.0].folder.join(cell.as_deref()?)))
                    .collect()
            }
            None => vec![None; material.len()],
        };
        let sets = match optional(&columns.set)? {
            Some(cells) => cells,
            None => material
                .places
                .iter()
                .map(|place| sources[place.0].is_set.then(|| sources[place.0].name.clone()))
                .collect(),
        };
        material.put_in_sets(&sets);
        Ok(material)
    }

    /// The rows of a cohort with the sets of its split.
    pub fn of_cohort(cohort: &Cohort, sets: Option<&[Option<Set>]>, positive: Option<&str>) -> Self {
        let n = cohort.len();
        let mut material = Self {
            sources: vec!["cohort".to_owned()],
            places: (0..n).map(|row| (0, row)).collect(),
            label: cohort.rows.label.clone(),
            positive_label: positive.map(str::to_owned),
            positive: cohort.positive.clone(),
            meta: cohort.rows.extra.clone(),
            paths: (0..n).map(|row| cohort.paths.get(row).cloned()).collect(),
            sha256: cohort.sha256.clone(),
            ..Self::default()
        };
        material.number_patients(&cohort.rows.patient_id.iter().cloned().map(Some).collect::<Vec<_>>());
        material.has_patients = true;
        material.site = Some(cohort.rows.site.clone()).filter(|site| site.iter().any(Option::is_some));
        let sets = sets.map_or_else(
            || vec![None; n],
            |sets| sets.iter().map(|set| set.as_ref().map(ToString::to_string)).collect(),
        );
        material.put_in_sets(&sets);
        material
    }

    /// Rows of a table of features, whose own columns say whose they are.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn of_features(features: FeatureTable, columns: &SourceColumns) -> Result<Self, AuditError> {
        let rows = &features.rows;
        let filled = |cells: &[String]| cells.iter().cloned().map(Some).collect::<Vec<_>>();
        let mut table = vec![
            ("slice_id".to_owned(), filled(&rows.slice_id)),
            ("patient_id".to_owned(), filled(&rows.patient_id)),
            ("label".to_owned(), rows.label.clone()),
            ("site".to_owned(), rows.site.clone()),
            ("split".to_owned(), rows.split.clone()),
        ];
        table.extend(rows.extra.iter().cloned());
        let mut columns = columns.clone();
        let has = |cells: &[Option<String>]| cells.iter().any(Option::is_some);
        columns.patient.get_or_insert("patient_id".to_owned());
        for (column, name, cells) in [
            (&mut columns.label, "label", &rows.label),
            (&mut columns.site, "site", &rows.site),
            (&mut columns.set, "split", &rows.split),
        ] {
            if column.is_none() && has(cells) {
                *column = Some(name.to_owned());
            }
        }
        let source = Source {
            name: "features".to_owned(),
            ..Source::of(TextTable::new(table)?)
        };
        let mut material = Self::read(&[source], &columns, None)?;
        let n = material.len();
        material.features = Some((features.values, (0..n).collect()));
        Ok(material)
    }

    /// Adds `[M, F]` features: of the rows whose names (`slice_id`) are given, else of all rows in their order.
    ///
    /// # Errors
    ///
    /// [`AuditError::Features`] where they are of other rows.
    pub fn add_features(&mut self, features: FeatureTable, names: Option<&[String]>) -> Result<(), AuditError> {
        let rows: Option<Vec<usize>> = match names {
            Some(names) => {
                let row: HashMap<&str, usize> = names
                    .iter()
                    .enumerate()
                    .map(|(row, name)| (name.as_str(), row))
                    .collect();
                let found = features
                    .rows
                    .slice_id
                    .iter()
                    .map(|name| row.get(name.as_str()).copied());
                found.collect()
            }
            None => (features.values.nrows() == self.len()).then(|| (0..self.len()).collect()),
        };
        let rows = rows.ok_or(AuditError::Features {
            features: features.values.nrows(),
            rows: self.len(),
        })?;
        self.features = Some((features.values, rows));
        Ok(())
    }

    /// Takes the sets from a split's table: its columns `row` (from 1) and `set`.
    ///
    /// # Errors
    ///
    /// A table without these columns, or of other rows.
    pub fn add_split(&mut self, split: &TextTable) -> Result<(), AuditError> {
        let (rows, names) = (split.column("row")?, split.column("set")?);
        let mut sets = vec![None; self.len()];
        let mut unknown = 0;
        for (row, name) in rows.iter().zip(names) {
            let row: Option<usize> = row.as_deref().and_then(|row| row.trim().parse().ok());
            match row.and_then(|row| sets.get_mut(row.checked_sub(1)?)) {
                Some(set) => *set = trimmed(name),
                None => unknown += 1,
            }
        }
        if unknown > 0 {
            return Err(AuditError::Split {
                split: split.n_rows,
                unknown,
                rows: self.len(),
            });
        }
        self.put_in_sets(&sets);
        Ok(())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Number of patients.
    pub fn n_patients(&self) -> usize {
        self.patient_names.len()
    }

    /// Names of the tables.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Names of the sets.
    pub fn sets(&self) -> &[String] {
        &self.sets
    }

    /// Where a row stands.
    pub fn place(&self, row: usize) -> Place {
        let (source, row) = self.places[row];
        Place {
            table: self.sources[source].clone(),
            row: row + 1,
        }
    }

    /// The name of a row's set.
    pub fn set_of(&self, row: usize) -> Option<&str> {
        self.set[row].map(|set| self.sets[set].as_str())
    }

    /// The pseudonym of a row's patient.
    pub fn pseudonym(&self, row: usize, ids: &Pseudonymizer) -> Option<String> {
        self.patient[row].map(|patient| ids.patient(&self.patient_names[patient]))
    }

    /// The table that a row stands in, from 0.
    pub(super) fn source(&self, row: usize) -> usize {
        self.places[row].0
    }

    /// The patients' own names: for comparing, never for output.
    pub(super) fn patient_names(&self) -> &[String] {
        &self.patient_names
    }

    /// Patients as clusters: rows without one are clusters of their own.
    pub(super) fn clusters(&self, rows: &[usize]) -> Vec<usize> {
        let lone = |row: usize| self.n_patients() + row;
        rows.iter().map(|&row| self.patient[row].unwrap_or(lone(row))).collect()
    }

    fn find_patients(
        &mut self,
        columns: &SourceColumns,
        metadata: Option<&Metadata>,
        names: Option<Vec<Option<String>>>,
        paths: Option<&[Option<String>]>,
        patients: Option<Vec<Option<String>>>,
    ) -> Result<Vec<Option<String>>, AuditError> {
        let file_names = || paths.map(|paths| paths.iter().map(|path| path.as_deref().map(file_name)).collect());
        let given = patients.is_some();
        let texts: Option<Vec<Option<String>>> = patients.or(names).or_else(file_names);
        let by_pattern = columns.pattern.as_deref().map(pattern).transpose()?;
        if !given && by_pattern.is_none() && metadata.is_none() {
            return Ok(vec![None; self.len()]);
        }
        let texts = texts.ok_or(AuditError::NoNames)?;
        self.has_patients = true;
        let found: Vec<Option<String>> = match &by_pattern {
            Some(pattern) => texts.iter().map(|text| captured(pattern, text.as_deref()?)).collect(),
            None => texts,
        };
        let Some(metadata) = metadata else { return Ok(found) };
        let keys: std::collections::HashSet<String> = metadata
            .table
            .column(&metadata.key)?
            .iter()
            .filter_map(trimmed)
            .collect();
        let known: Vec<Option<String>> = found
            .iter()
            .map(|text| known_patient(text.as_deref()?, &keys, given || by_pattern.is_some()))
            .collect();
        self.unknown_to_metadata = Some((0..self.len()).filter(|&row| known[row].is_none()).collect());
        // A patient that was named outright stays one, whether or not the metadata know it.
        Ok(if given || by_pattern.is_some() { found } else { known })
    }

    fn number_patients(&mut self, names: &[Option<String>]) {
        let mut index: BTreeMap<&str, usize> = names.iter().flatten().map(|name| (name.as_str(), 0)).collect();
        for (number, value) in index.values_mut().enumerate() {
            *value = number;
        }
        self.patient = names
            .iter()
            .map(|name| name.as_deref().map(|name| index[name]))
            .collect();
        self.patient_names = index.into_keys().map(str::to_owned).collect();
    }

    fn put_in_sets(&mut self, names: &[Option<String>]) {
        let mut index: BTreeMap<&str, usize> = names.iter().flatten().map(|name| (name.as_str(), 0)).collect();
        for (number, value) in index.values_mut().enumerate() {
            *value = number;
        }
        self.set = names
            .iter()
            .map(|name| name.as_deref().map(|name| index[name]))
            .collect();
        self.sets = index.into_keys().map(str::to_owned).collect();
    }

    fn sides(&mut self, columns: &SourceColumns) -> Result<(), AuditError> {
        let side = |label: &Option<String>| {
            let (label, positive) = (label.as_ref()?, columns.positive.as_ref()?);
            let negative = columns.negative.is_empty() || columns.negative.contains(label);
            (label == positive || negative).then_some(label == positive)
        };
        self.positive = self.label.iter().map(side).collect();
        match (&columns.positive, &columns.label) {
            (Some(label), Some(column)) if !self.positive.contains(&Some(true)) => {
                let labels: std::collections::BTreeSet<&str> =
                    self.label.iter().flatten().map(String::as_str).collect();
                let labels: Vec<&str> = labels.into_iter().take(20).collect();
                Err(AuditError::NoSuchLabel {
                    label: label.clone(),
                    column: column.clone(),
                    labels: labels.join(", "),
                })
            }
            _ => Ok(()),
        }
    }
}

/// The metadata's name of a patient: the text itself, or the longest key that the text begins with as a word.
fn known_patient(text: &str, keys: &std::collections::HashSet<String>, whole: bool) -> Option<String> {
    if keys.contains(text) {
        return Some(text.to_owned());
    }
    if whole {
        return None;
    }
    let ends = text.char_indices().rev().filter(|(_, next)| !next.is_alphanumeric());
    ends.map(|(end, _)| &text[..end])
        .find(|start| keys.contains(*start))
        .map(str::to_owned)
}

/// Letters and digits are those of ASCII: names of files are compared byte by byte.
fn pattern(text: &str) -> Result<Regex, AuditError> {
    RegexBuilder::new(text)
        .unicode(false)
        .build()
        .map_err(|error| AuditError::Pattern {
            pattern: text.to_owned(),
            // The last line says what is wrong, those before show where.
            reason: error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })
}

fn captured(pattern: &Regex, text: &str) -> Option<String> {
    let captures = pattern.captures(text.as_bytes())?;
    let found = captures.get(1).or(captures.get(0))?;
    let text = String::from_utf8_lossy(found.as_bytes()).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// A blank cell is an empty one.
fn trimmed(cell: &Option<String>) -> Option<String> {
    let text = cell.as_deref()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

type Named = Vec<(String, Vec<Option<String>>)>;

/// What is known of the rows beside the columns with a meaning: the columns asked for, else all that do not look like
/// identifiers, and those of the metadata.
fn meta_columns(
    sources: &[Source],
    columns: &SourceColumns,
    metadata: Option<&Metadata>,
    patients: &[Option<String>],
) -> Result<Named, AuditError> {
    let mut all = Named::new();
    for name in sources.iter().flat_map(|source| source.table.names()) {
        if all.iter().all(|(known, _)| known != name) {
            let mut cells = Vec::new();
            for source in sources {
                match source.table.column(name) {
                    Ok(column) => cells.extend(column.iter().map(trimmed)),
                    Err(_) => cells.extend(vec![None; source.table.n_rows]),
                }
            }
            all.push((name.to_owned(), cells));
        }
    }
    if let Some(metadata) = metadata {
        let mut row_of = HashMap::new();
        for (row, key) in metadata.table.column(&metadata.key)?.iter().enumerate() {
            if let Some(key) = trimmed(key) {
                row_of.entry(key).or_insert(row);
            }
        }
        for (name, cells) in metadata.table.columns.iter().filter(|(name, _)| *name != metadata.key) {
            let of = |patient: &Option<String>| trimmed(&cells[*row_of.get(patient.as_ref()?)?]);
            let name = match all.iter().any(|(known, _)| known == name) {
                true => format!("metadata {name}"),
                false => name.clone(),
            };
            all.push((name, patients.iter().map(of).collect()));
        }
    }
    if !columns.meta.is_empty() {
        let names = || all.iter().map(|(name, _)| name.as_str());
        if let Some(missing) = columns.meta.iter().find(|name| !names().any(|known| known == *name)) {
            return Err(crate::tables::TableError::no_column(missing, names()).into());
        }
        all.retain(|(name, _)| columns.meta.contains(name));
        return Ok(all);
    }
    let mapped = [
        &columns.patient,
        &columns.name,
        &columns.label,
        &columns.path,
        &columns.set,
        &columns.site,
        &columns.position,
    ];
    let known: Vec<&str> = patients
        .iter()
        .map(|patient| patient.as_deref().unwrap_or_default())
        .collect();
    all.retain(|(name, cells)| {
        !mapped.iter().any(|column| column.as_ref() == Some(name))
            && !looks_identifying(name)
            && !INDEX.contains(&name.to_lowercase().as_str())
            && !holds_identifiers(cells, &known)
    });
    Ok(all)
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A table from a text such as `who set\nA train`.
    pub fn table(text: &str) -> TextTable {
        let mut lines = text
            .trim()
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let header = lines.next().unwrap();
        let rows: Vec<Vec<&str>> = lines.collect();
        let cell = |text: &str| (text != "-").then(|| text.to_owned());
        let columns = header.iter().enumerate().map(|(column, name)| {
            let cells = rows.iter().map(|row| cell(row[column])).collect();
            ((*name).to_owned(), cells)
        });
        TextTable::new(columns.collect()).unwrap()
    }

    /// Columns of the tests' names.
    pub fn columns(names: &[&str]) -> SourceColumns {
        let of = |name: &str| names.contains(&name).then(|| name.to_owned());
        SourceColumns {
            patient: of("who"),
            label: of("label"),
            positive: of("label").map(|_| "ill".to_owned()),
            set: of("set"),
            site: of("site"),
            position: of("z"),
            ..SourceColumns::default()
        }
    }

    pub fn material(text: &str) -> Material {
        let table = table(text);
        let names: Vec<String> = table.names().map(str::to_owned).collect();
        let columns = columns(&names.iter().map(String::as_str).collect::<Vec<_>>());
        Material::read(&[Source::of(table)], &columns, None).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::table, *};

    fn named(pattern: Option<&str>) -> SourceColumns {
        SourceColumns {
            name: Some("name".to_owned()),
            pattern: pattern.map(str::to_owned),
            ..SourceColumns::default()
        }
    }

    const LIST: &str = "name\nCP_12_3.png\nCP_1_4.png\nCP_1_5.png\n9covid_7.png";

    #[test]
    fn a_pattern_finds_the_patient_in_the_name() {
        let columns = named(Some(r"^(CP_\d+)_"));
        let material = Material::read(&[Source::of(table(LIST))], &columns, None).unwrap();
        assert_eq!(material.patient, [Some(1), Some(0), Some(0), None]);
        let error = Material::read(&[Source::of(table(LIST))], &named(Some("(")), None).unwrap_err();
        assert!(error.to_string().contains("unclosed group"), "{error}");
    }

    #[test]
    fn the_longest_key_at_a_word_is_the_patient() {
        let metadata = Metadata {
            table: table("id site\nCP_1 a\nCP_12 b\nCP_12_3x c"),
            key: "id".to_owned(),
        };
        let material = Material::read(&[Source::of(table(LIST))], &named(None), Some(&metadata)).unwrap();
        assert_eq!(material.patient, [Some(1), Some(0), Some(0), None]);
        assert_eq!(material.unknown_to_metadata, Some(vec![3]));
        assert_eq!(material.meta[0].1[0].as_deref(), Some("b"));
    }

    #[test]
    fn several_tables_keep_their_rows_numbers_and_may_be_sets() {
        let source = |name: &str| Source {
            name: name.to_owned(),
            is_set: true,
            ..Source::of(table("who\nA\nB"))
        };
        let columns = testing::columns(&["who"]);
        let material = Material::read(&[source("train"), source("test")], &columns, None).unwrap();
        assert_eq!(material.place(2).row, 1);
        assert_eq!((material.set_of(0), material.set_of(3)), (Some("train"), Some("test")));
        assert_eq!(material.patient[0], material.patient[2]);
    }

    #[test]
    fn a_split_of_other_rows_is_refused() {
        let mut material = testing::material("who\nA\nB");
        material.add_split(&table("row set\n1 train\n2 test")).unwrap();
        assert_eq!(material.set_of(1), Some("test"));
        let error = material.add_split(&table("row set\n3 train")).unwrap_err().to_string();
        assert!(error.contains("1 of its 1 rows"), "{error}");
    }

    #[test]
    fn identifiers_and_row_numbers_are_no_metadata() {
        let material = testing::material("who index age text\nPAT001 0 40 PAT001x\nPAT002 1 50 PAT002x");
        let names: Vec<&str> = material.meta.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["age"]);
    }
}
