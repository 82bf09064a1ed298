//! Stage one: whose slices they are. Reads the table, hashes the images, writes `cohort.parquet`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{Key, StudyError, StudyRun};
use crate::{
    cohort::{Cohort, CohortPlan, duplicates},
    features::{FeatureTable, Rows, read_features},
    progress::Progress,
    readers,
    recipe::CohortSection,
    tables::{Column, ColumnData, TextTable, read_table, sha256_file, write_parquet},
};

/// The stage's artefact in the run folder.
pub const FILE: &str = "cohort.parquet";

const STAGE: &str = "cohort";

impl StudyRun {
    /// The cohort of the study; its images are hashed only where they, the table or the recipe have changed.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the table, and a run folder that can't be written to.
    pub fn cohort(&mut self) -> Result<Cohort, StudyError> {
        if let Some(path) = self.study.features.table.clone() {
            return self.feature_cohort(&path);
        }
        let path = self
            .study
            .cohort
            .table
            .clone()
            .expect("a checked study has one of both tables");
        let table = read_table(&path)?;
        let plan = CohortPlan {
            columns: self.study.columns(),
            classes: self.study.classes(),
            ids: self.ids.clone(),
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut cohort = Cohort::read(&table, folder, &plan)?;
        let key = Key::new(STAGE)
            .text(&sha256_file(&path)?)
            .value(&self.meaning())
            .value(&stamps(&cohort.paths))
            .finish();
        let done = self.begin(STAGE, &key)?;
        if done {
            cohort.sha256 = hashes(&read_table(&self.folder.join(FILE))?)?;
        } else {
            cohort.sha256 = hash_images(&cohort.paths);
            write_cohort(&self.folder.join(FILE), &cohort)?;
            self.finish(STAGE, &key, &[FILE.to_owned()])?;
        }
        warn_of_images(&mut cohort);
        // What comes after depends on what is in the images, not on when they were written.
        let content = Key::new(STAGE)
            .text(&sha256_file(&path)?)
            .value(&self.meaning())
            .value(&cohort.sha256);
        self.keys.insert(STAGE, content.finish());
        Ok(cohort)
    }

    /// What the recipe says of the cohort, wherever its files lie, and a mark of the salt.
    fn meaning(&self) -> (CohortSection, Option<String>, String) {
        let mut section = self.study.cohort.clone();
        (section.table, section.salt) = (None, None);
        (section, self.study.columns().split, self.ids.patient("the salt's mark"))
    }

    /// The cohort of a table of features.
    fn feature_cohort(&mut self, path: &Path) -> Result<Cohort, StudyError> {
        let features = read_features(path)?;
        let mut columns = self.study.columns();
        columns.patient.get_or_insert("patient_id".to_owned());
        columns.label.get_or_insert("label".to_owned());
        columns.id.get_or_insert("slice_id".to_owned());
        columns.scan.get_or_insert("scan_id".to_owned());
        if features.rows.site.iter().any(Option::is_some) {
            columns.site.get_or_insert("site".to_owned());
        }
        // Pseudonyms of pseudonyms would join with nothing.
        let ids = match features.provenance.pseudonyms {
            true => crate::ct::Pseudonymizer::keep(),
            false => self.ids.clone(),
        };
        let plan = CohortPlan {
            columns,
            classes: self.study.classes(),
            ids,
        };
        let mut cohort = Cohort::read(&text_table(&features.rows), Path::new(""), &plan)?;
        warn_of_rows(&mut cohort, &features);
        let key = Key::new(STAGE)
            .text(&super::sha256_path(path)?)
            .value(&self.meaning())
            .finish();
        if !self.begin(STAGE, &key)? {
            write_cohort(&self.folder.join(FILE), &cohort)?;
            self.finish(STAGE, &key, &[FILE.to_owned()])?;
        }
        self.keys.insert(STAGE, key);
        Ok(cohort)
    }
}

/// Size and time of last change of each image: what tells, without reading them all, that images are still the same.
fn stamps(paths: &[PathBuf]) -> Vec<Option<(u64, u128)>> {
    paths.par_iter().map(|path| readers::stamp(path)).collect()
}

fn hash_images(paths: &[PathBuf]) -> Vec<Option<String>> {
    let progress = Progress::new("cohort", "images hashed", paths.len() as u64);
    let hash = |path: &PathBuf| {
        let hash = readers::sha256(path).ok();
        progress.tick(1);
        hash
    };
    let hashes = paths.par_iter().map(hash).collect();
    progress.finish();
    hashes
}

fn hashes(table: &TextTable) -> Result<Vec<Option<String>>, StudyError> {
    Ok(table.column("sha256")?.to_vec())
}

fn warn_of_images(cohort: &mut Cohort) {
    let missing = cohort.sha256.iter().filter(|hash| hash.is_none()).count();
    if missing > 0 && !cohort.paths.is_empty() {
        cohort
            .warnings
            .push(format!("{missing} of {} image files can't be read", cohort.len()));
    }
    let repeated = duplicates(cohort);
    let across = repeated.iter().filter(|duplicate| duplicate.across_patients).count();
    if let Some(first) = repeated.first() {
        cohort.warnings.push(format!(
            "{} images stand in the cohort more than once, byte for byte, {across} of them under two patients (first: rows {} and {})",
            repeated.len(),
            first.rows[0] + 1,
            first.rows[1] + 1
        ));
    }
}

/// Equal features under two patients: there are no images to compare, and one image under two names looks like this.
fn warn_of_rows(cohort: &mut Cohort, features: &FeatureTable) {
    let mut first_of = BTreeMap::<Vec<u32>, usize>::new();
    let mut equal = Vec::new();
    for (row, values) in features.values.rows().into_iter().enumerate() {
        let bits = values.iter().map(|value| value.to_bits()).collect();
        let first = *first_of.entry(bits).or_insert(row);
        if cohort.patient[first] != cohort.patient[row] {
            equal.push((first, row));
        }
    }
    if let Some((first, row)) = equal.first() {
        cohort.warnings.push(format!(
            "{} rows have exactly the features of a row of another patient (first: rows {} and {}): one image under two names?",
            equal.len(),
            first + 1,
            row + 1
        ));
    }
}

fn write_cohort(path: &Path, cohort: &Cohort) -> Result<(), StudyError> {
    let text = |name: &str, cells: Vec<Option<String>>| Column {
        name: name.to_owned(),
        data: ColumnData::Text(cells),
    };
    let some = |cells: &[String]| cells.iter().cloned().map(Some).collect();
    let rows = &cohort.rows;
    let side = |positive: &Option<bool>| positive.map(|yes| if yes { "positive" } else { "negative" }.to_owned());
    let mut columns = vec![
        Column {
            name: "row".to_owned(),
            data: ColumnData::Int((1..=cohort.len() as i64).collect()),
        },
        text("slice_id", some(&rows.slice_id)),
        text("scan_id", some(&rows.scan_id)),
        text("patient_id", some(&rows.patient_id)),
        text("label", rows.label.clone()),
        text("class", cohort.positive.iter().map(side).collect()),
        text("site", rows.site.clone()),
        text("sha256", cohort.sha256.clone()),
    ];
    let taken: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    for (name, cells) in &rows.extra {
        let name = if taken.contains(name) {
            format!("table_{name}")
        } else {
            name.clone()
        };
        columns.push(Column {
            name,
            data: ColumnData::Text(cells.clone()),
        });
    }
    Ok(write_parquet(path, &columns, &BTreeMap::new())?)
}

/// The rows of a feature table as a table of text, so that one reader serves both.
fn text_table(rows: &Rows) -> TextTable {
    let some = |cells: &[String]| cells.iter().cloned().map(Some).collect();
    let mut columns = vec![
        ("slice_id".to_owned(), some(&rows.slice_id)),
        ("scan_id".to_owned(), some(&rows.scan_id)),
        ("patient_id".to_owned(), some(&rows.patient_id)),
        ("label".to_owned(), rows.label.clone()),
        ("site".to_owned(), rows.site.clone()),
        ("split".to_owned(), rows.split.clone()),
    ];
    columns.extend(rows.extra.iter().cloned());
    TextTable {
        columns,
        n_rows: rows.slice_id.len(),
    }
}
