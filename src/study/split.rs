//! Stage two: who is trained on and who is measured. Writes `split.csv`.

use std::io::Write as _;

use super::{Key, StudyError, StudyRun};
use crate::{
    cohort::{Cohort, Set, Split},
    tables::atomic_write,
};

/// The stage's artefact in the run folder: an explicit list, so that nobody has to draw it again.
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
        let key = Key::new(STAGE).text(self.key("cohort")).value(&plan).value(&self.study.seed).finish();
        if !self.begin(STAGE, &key)? {
            self.write_split(cohort, &split)?;
            self.finish(STAGE, &key, &[FILE.to_owned()])?;
        }
        self.keys.insert(STAGE, key);
        Ok(split)
    }

    fn write_split(&self, cohort: &Cohort, split: &Split) -> Result<(), StudyError> {
        let rows = &cohort.rows;
        let mut table = csv::Writer::from_writer(Vec::new());
        let in_memory = "writing to memory does not fail";
        table.write_record(["row", "slice_id", "patient_id", "label", "site", "set"]).expect(in_memory);
        for row in 0..cohort.len() {
            let set = split.sets()[row].as_ref().map(Set::to_string).unwrap_or_default();
            let cells = [
                &(row + 1).to_string(),
                &rows.slice_id[row],
                &rows.patient_id[row],
                rows.label[row].as_deref().unwrap_or_default(),
                rows.site[row].as_deref().unwrap_or_default(),
                &set,
            ];
            table.write_record(cells).expect(in_memory);
        }
        let bytes = table.into_inner().expect(in_memory);
        Ok(atomic_write(&self.folder.join(FILE), |file| file.write_all(&bytes))?)
    }
}
