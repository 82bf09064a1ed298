//! Stage four: what could make the results too good, looked for in the study's own cohort, split and
//! features. Writes `audit.json`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use super::{Key, StudyError, StudyRun};
use crate::{
    audit::{Material, Settings, audit},
    cohort::{Cohort, Split},
    features::read_features,
    report::{AuditGap, AuditReport},
    stats::Bootstrap,
    tables::atomic_write,
};

/// All findings with their numbers and rows.
pub const FILE: &str = "audit.json";

const STAGE: &str = "audit";

/// Images, and rows of features, beyond which pairs of them are left to `hounsfield audit`: 3,227 images take seconds, and
/// the time grows with the square.
const MOST_ROWS: usize = 50_000;

impl StudyRun {
    /// Audits the cohort with its split and one table of features. It stops no study: an audit that can't be done says why.
    pub(super) fn audit(
        &mut self,
        cohort: &Cohort,
        split: &Split,
        features: Option<&(String, PathBuf)>,
    ) -> Result<AuditReport, StudyError> {
        let bootstrap = &self.study.probe.bootstrap;
        let settings = Settings {
            bootstrap: Bootstrap {
                resamples: bootstrap.resamples,
                level: bootstrap.level,
                seed: self.study.seed,
            },
            most_rows: Some(MOST_ROWS),
            ..Settings::default()
        };
        let key = Key::of_program(STAGE)
            .text(self.key("split"))
            .text(self.key("features"))
            .text(features.map_or("", |(name, _)| name))
            .value(&settings)
            .finish();
        let path = self.folder.join(FILE);
        if !self.begin(STAGE, &key)? {
            self.check_stop()?;
            let sets = split.first_draw();
            let mut material = Material::of_cohort(cohort, Some(&sets), self.study.cohort.positive.as_deref());
            let mut gaps = Vec::new();
            if let Some((_, file)) = features
                && let Err(why) = self.add_features(&mut material, cohort, file)
            {
                gaps.push(("features".to_owned(), why.to_string()));
            }
            let value = match audit(&material, &settings) {
                Ok(mut found) => {
                    found.could_not_run.extend(gaps);
                    found.to_json(&material, &settings)
                }
                Err(why) => {
                    let gap = AuditGap {
                        check: "audit".to_owned(),
                        why: why.to_string(),
                    };
                    let report = AuditReport {
                        could_not_run: vec![gap],
                        ..AuditReport::default()
                    };
                    serde_json::to_value(report).expect("strings only")
                }
            };
            let text = serde_json::to_string_pretty(&value).expect("a value is JSON");
            atomic_write(&path, |file| file.write_all((text + "\n").as_bytes()))?;
            self.finish(STAGE, &key, &[FILE.to_owned()])?;
        }
        self.keys.insert(STAGE, key);
        // The file is what was written: its hash was compared.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        serde_json::from_str(&text).map_err(|_| StudyError::NoResults { path })
    }

    /// The cohort with the sets of its split as it was drawn, unchecked: an audit finds what a study refuses.
    ///
    /// # Errors
    ///
    /// A study with a split and without a positive label, and a split that can't be drawn.
    pub fn audit_material(&self, cohort: &Cohort) -> Result<Material, StudyError> {
        let positive = self.study.cohort.positive.as_deref();
        let sets = match &self.study.split {
            Some(_) if positive.is_none() => return Err(StudyError::NoPositive),
            Some(plan) => Some(plan.unchecked(cohort, self.study.seed)?.first_draw()),
            None => None,
        };
        Ok(Material::of_cohort(cohort, sets.as_deref(), positive))
    }

    /// Adds features to it; the table that the cohort was read from has its rows in their order.
    ///
    /// # Errors
    ///
    /// A table that can't be read, or is of other rows.
    pub fn add_features(&self, material: &mut Material, cohort: &Cohort, file: &Path) -> Result<(), StudyError> {
        let same = self.study.features.table.as_deref() == Some(file);
        let names = (!same).then_some(&cohort.rows.slice_id[..]);
        Ok(material.add_features(read_features(file)?, names)?)
    }
}
