//! Stage two: who is trained on and who is measured. Writes `split.csv`.

use super::{Key, StudyError, StudyRun};
use crate::{
    cohort::{Cohort, Set, Split},
    report::LEAKAGE,
    tables::write_csv,
};

/// The stage's artefact in the run folder: an explicit list, so that nobody has to draw it again. Nested cross-validation
/// has a column of fold numbers for each repeat, `repeat_1`, `repeat_2`, ...
pub const FILE: &str = "split.csv";

const STAGE: &str = "split";

impl StudyRun {
    /// The split of the cohort, checked for patients and images on both sides.
    ///
    /// # Errors
    ///
    /// A study without `[split]` or without a positive label, and all that [`crate::cohort::SplitPlan::split`] refuses.
    pub fn split(&mut self, cohort: &Cohort) -> Result<Split, StudyError> {
        let plan = self.study.split.clone().ok_or(StudyError::NoSplit)?;
        if self.study.cohort.positive.is_none() {
            return Err(StudyError::NoPositive);
        }
        let split = plan.split(cohort, self.study.seed)?;
        let key = Key::of_program(STAGE)
            .text(self.key("cohort"))
            .value(&plan)
            .value(&self.study.seed)
            .finish();
        if !self.begin(STAGE, &key)? {
            self.write_split(cohort, &split)?;
            self.finish(STAGE, &key, &[FILE.to_owned()])?;
        }
        self.keys.insert(STAGE, key);
        Ok(split)
    }

    fn write_split(&self, cohort: &Cohort, split: &Split) -> Result<(), StudyError> {
        let rows = &cohort.rows;
        let mut header = ["row", "slice_id", "patient_id", "label", "site", "set"]
            .map(str::to_owned)
            .to_vec();
        header.extend((1..=split.repeats().len()).map(|repeat| format!("repeat_{repeat}")));
        if split.is_leaky() {
            header.push("warning".to_owned());
        }
        let cells = (0..cohort.len()).map(|row| {
            let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
            let mut cells = vec![
                (row + 1).to_string(),
                rows.slice_id[row].clone(),
                rows.patient_id[row].clone(),
                text(&rows.label[row]),
                text(&rows.site[row]),
                split.sets()[row].as_ref().map(Set::to_string).unwrap_or_default(),
            ];
            let fold = |folds: &Vec<Option<usize>>| folds[row].map_or(String::new(), |fold| fold.to_string());
            cells.extend(split.repeats().iter().map(fold));
            if split.is_leaky() {
                cells.push(LEAKAGE.to_owned());
            }
            cells
        });
        Ok(write_csv(&self.folder.join(FILE), &header, cells)?)
    }
}
