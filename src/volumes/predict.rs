//! Scores of whole scans by a trained classifier, as a table that `evaluate` and `compare` take.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use super::VolumesError;
use crate::{
    card::{CheckedClassifier, ClassifierCard},
    cohort::{Classes, Cohort},
    eval::{CONVERGED, POSITIVE_KEY, THRESHOLD, converged_cell},
    index::READER,
    progress::Progress,
    scans::{CachedScan, ScanError, Scans},
    tables::{Column, ColumnData, TextTable},
    torch::scorer::VolumeScorer,
};

/// Scores of the scans of a table, one a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// Probability of the positive class; `None` for a scan that can't be read.
    pub scores: Vec<Option<f64>>,
    /// Rows that can't be read, from 0, and why, without paths.
    pub failures: Vec<(usize, String)>,
    /// Scans with voxels that are no finite numbers and were taken as air.
    pub not_numbers: usize,
    /// Scans that were looked at, from the first on; less than all where it was stopped.
    pub done: usize,
}

/// The classifier that a folder holds: of its card, or of a training's run folder.
///
/// # Errors
///
/// No card in either place, and what [`ClassifierCard::load`] finds.
pub fn open(model: &Path) -> Result<CheckedClassifier, VolumesError> {
    Ok(ClassifierCard::load(&ClassifierCard::folder(model))?)
}

/// A table of scans that are named one by one: each is taken for another patient's. Rows are told by where the scans are, so that the
/// same scan has the same pseudonym each time.
pub fn table_of(scans: &[PathBuf]) -> TextTable {
    let place = |path: &PathBuf| {
        // An address such as `a.zip!b.nii.gz` is no file, and stays as it is.
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        Some(path.to_string_lossy().into_owned())
    };
    let places: Vec<Option<String>> = scans.iter().map(place).collect();
    let columns = vec![("path".to_owned(), places.clone()), ("patient".to_owned(), places)];
    TextTable::new(columns).expect("two columns of one length")
}

/// The first two of the scans of [`table_of`] that lie at one place, counted from 1.
///
/// # Errors
///
/// A table without a column `path`.
pub fn same_twice(table: &TextTable) -> Result<Option<[usize; 2]>, VolumesError> {
    let places = table.column("path")?;
    let before = |at: usize| places[..at].iter().position(|place| *place == places[at]);
    Ok((0..places.len()).find_map(|at| Some([before(at)? + 1, at + 1])))
}

/// Scores every scan as it is in its file, one after the other; the next is read while one passes the network. Where `stop` is set,
/// the scans that are left have no score.
///
/// # Errors
///
/// What libtorch refuses. A scan that can't be read is a failure and no error.
pub fn predict(
    scorer: &VolumeScorer,
    scans: &Scans,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Predicted, VolumesError> {
    let n = scans.len();
    let mut predicted = Predicted {
        scores: vec![None; n],
        failures: Vec::new(),
        not_numbers: 0,
        done: 0,
    };
    thread::scope(|scope| -> Result<(), VolumesError> {
        // Without room in between: one scan is scored, one is read or waits.
        let (sender, receiver) = mpsc::sync_channel(0);
        let input = scorer.input();
        let read = move || {
            for source in &scans.sources {
                let scan = catch_unwind(AssertUnwindSafe(|| CachedScan::of(source, input)));
                let scan = scan.unwrap_or(Err(ScanError::Panicked));
                if sender.send(scan).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name(READER.to_owned())
            .spawn_scoped(scope, read)
            .map_err(|source| ScanError::Threads { source })?;
        for (row, scan) in receiver.iter().enumerate() {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            match scan {
                Ok(scan) => {
                    predicted.scores[row] = Some(scorer.score(&[scan.voxels()])?[0]);
                    predicted.not_numbers += usize::from(scan.not_numbers() > 0);
                }
                Err(error) => predicted.failures.push((row, error.without_path())),
            }
            predicted.done = row + 1;
            progress.tick(1);
        }
        Ok(())
    })?;
    Ok(predicted)
}

impl Predicted {
    /// The table of scores: who, label, site, then the classifier's own columns: its name with the probability of the positive class,
    /// `NAME.threshold`, and `NAME.converged` with `yes`, or `no` and why.
    pub fn columns(&self, card: &ClassifierCard, cohort: &Cohort) -> Vec<Column> {
        let rows = &cohort.rows;
        let all = |cells: &[String]| ColumnData::Text(cells.iter().cloned().map(Some).collect());
        let n = self.scores.len();
        let converged = converged_cell(card.not_converged.as_deref());
        vec![
            Column::new("scan_id", all(&rows.scan_id)),
            Column::new("patient_id", all(&rows.patient_id)),
            Column::new("label", ColumnData::Text(rows.label.clone())),
            Column::new("site", ColumnData::Text(rows.site.clone())),
            Column::new(card.name.clone(), ColumnData::Float64(self.scores.clone())),
            Column::new(
                format!("{}{THRESHOLD}", card.name),
                ColumnData::Float64(vec![card.threshold; n]),
            ),
            Column::new(
                format!("{}{CONVERGED}", card.name),
                ColumnData::Text(vec![Some(converged); n]),
            ),
        ]
    }
}

/// Which classes the classifier tells apart, under the names that labels have in a table: `positive` where the table calls the
/// positive class something else.
pub fn classes(card: &ClassifierCard, positive: Option<&str>) -> Classes {
    match positive {
        // What is negative is then not known by the card's words.
        Some(positive) => Classes {
            positive: positive.to_owned(),
            negative: None,
        },
        None => Classes {
            positive: card.positive.clone(),
            negative: card.negative.clone(),
        },
    }
}

/// Fills in on which side each row is, for scans whose labels are known; none where a label is of neither side.
pub fn label(cohort: &mut Cohort, classes: &Classes) {
    let side = |label: &Option<String>| classes.side(label.as_deref()?);
    cohort.positive = cohort.rows.label.iter().map(side).collect();
}

/// What stands in the metadata of a Parquet table: the positive class, and whose scores they are.
pub fn metadata(checked: &CheckedClassifier, classes: &Classes) -> BTreeMap<String, String> {
    BTreeMap::from([
        (POSITIVE_KEY.to_owned(), classes.positive.clone()),
        ("hounsfield.classifier".to_owned(), checked.card.name.clone()),
        ("hounsfield.classifier_sha256".to_owned(), checked.sha256.clone()),
    ])
}
