//! The images of a cohort, read again to be shown.

use std::cell::Cell;

use ndarray::{Array2, Axis};

use super::super::StudyRun;
use crate::{cohort::Cohort, readers::read_slice, transforms::Preprocess};

/// The images of a cohort as the encoder sees them.
pub(super) struct Images<'a> {
    cohort: &'a Cohort,
    preprocess: &'a Preprocess,
    size: usize,
    unreadable: Cell<usize>,
}

impl<'a> Images<'a> {
    /// The images of the study; `None` where it starts from a table of features.
    pub fn of(run: &'a StudyRun, cohort: &'a Cohort) -> Option<Self> {
        let encoder = run.study.encoder.as_ref().filter(|_| !cohort.paths.is_empty())?;
        Some(Self {
            cohort,
            preprocess: run.study.preprocess(),
            size: encoder.input_size(),
            unreadable: Cell::new(0),
        })
    }

    /// The image of a row of the cohort as the encoder sees it, `[size, size]` in `[-1, 1]`; in the first of its windows.
    pub fn read(&self, row: usize) -> Array2<f32> {
        self.read_at(row, self.size)
    }

    /// The same with another number of rows and columns; black where it can't be read any more.
    pub fn read_at(&self, row: usize, size: usize) -> Array2<f32> {
        let slice = read_slice(&self.cohort.paths[row]).ok();
        let image = slice.and_then(|slice| self.preprocess.apply(&slice, size).ok());
        let first = image.map(|planes| planes.index_axis_move(Axis(0), 0));
        first.unwrap_or_else(|| {
            // The reason would name the file, which may name a patient; `extract` says it.
            tracing::warn!("row {}: its image can't be read any more and is shown black", row + 1);
            self.unreadable.set(self.unreadable.get() + 1);
            Array2::from_elem((size, size), -1.0)
        })
    }

    /// How slices are shown.
    pub fn words(&self) -> String {
        match self.preprocess.windows() {
            [first, _, ..] => format!(
                "in the first of the windows in which the encoder sees them, {}",
                first.words()
            ),
            _ => "as the encoder sees them".to_owned(),
        }
    }

    /// How many could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable.get()
    }
}
