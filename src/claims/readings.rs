//! A user's readings beside the printed rates of readers: sensitivity, specificity and kappa with patient-cluster
//! intervals, as [`reader_study`](crate::eval::reader_study) measures them.

use std::path::PathBuf;

use super::{ClaimsError, Findings, Measure, Source, Yours};
use crate::{
    eval::reader_study::{Rate, ReaderReport, ReaderStudy, ReadingPlan, Stratum},
    stats::Bootstrap,
    tables::read_table,
};

/// A table of readings and how it is understood.
#[derive(Debug, Clone)]
pub struct Readings {
    /// CSV, Parquet or xlsx, one row a reading.
    pub table: PathBuf,
    /// Columns, classes and calls. Readers stand in the order of their names, the first for the paper's first.
    pub plan: ReadingPlan,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

impl Readings {
    /// Measures the readers and sets them beside the paper's.
    ///
    /// # Errors
    ///
    /// A paper without claims on readers, another number of readers, and all that a reader study refuses.
    pub fn beside(&self, findings: &mut Findings) -> Result<(), ClaimsError> {
        let sources = findings
            .findings
            .iter()
            .filter_map(|finding| finding.claim.yours.as_ref());
        let expected = sources
            .filter_map(|source| source.reader)
            .max()
            .ok_or(ClaimsError::NoReaders)?;
        let study = ReaderStudy::read(&read_table(&self.table)?, &self.plan)?;
        if study.readers.len() != expected {
            let found = study.readers.len();
            return Err(ClaimsError::Readers { found, expected });
        }
        let report = study.measure(&self.bootstrap, None)?;
        for warning in &report.warnings {
            tracing::warn!("{warning}");
        }
        for finding in &mut findings.findings {
            if let Some(source) = &finding.claim.yours {
                finding.from_your_data = self.measure(source, &report);
            }
        }
        Ok(())
    }

    /// In the first arm, which is the one without help. `None` for what readings can't tell.
    fn measure(&self, source: &Source, report: &ReaderReport) -> Option<Yours> {
        let arm = report.arms.first();
        let rate = |of: fn(&crate::eval::reader_study::ReaderRow) -> &Rate| {
            let mut rows = report.readers.iter().filter(|row| row.arm.as_ref() == arm);
            let rate = of(rows.nth(source.reader?.checked_sub(1)?)?);
            Some((
                rate.value?,
                rate.interval,
                rate.patients,
                rate.of,
                rate.interval_method.clone(),
            ))
        };
        let kappa = |stratum: Stratum| {
            let mut rows = report.agreement.iter().filter(|row| row.arm.as_ref() == arm);
            let row = rows.find(|row| row.stratum == stratum)?;
            let how = format!(
                "Cohen's kappa; percentile interval of {} patient-cluster resamples, seed {}",
                self.bootstrap.resamples, self.bootstrap.seed
            );
            Some((row.kappa?.value, row.interval, row.n_patients, row.n, how))
        };
        let (value, interval, n_patients, n_rows, method) = match source.measure {
            Measure::Auc | Measure::SpecificityAtSensitivity => None,
            Measure::Sensitivity => rate(|row| &row.sensitivity),
            Measure::Specificity => rate(|row| &row.specificity),
            Measure::KappaPositives => kappa(Stratum::Positive),
            Measure::KappaNegatives => kappa(Stratum::Negative),
        }?;
        let shown = interval.map_or_else(String::new, |[low, high]| format!(" ({low:.3} to {high:.3})"));
        let positive = matches!(source.measure, Measure::Sensitivity | Measure::KappaPositives);
        Some(Yours {
            not_converged: None,
            value,
            interval,
            level: self.bootstrap.level,
            within: interval.map(|[low, high]| low <= source.value && source.value <= high),
            unit: "case".to_owned(),
            n_patients,
            n_rows,
            n_positive: if positive { n_rows } else { 0 },
            method,
            text: format!("{value:.3}{shown}, a case; {n_patients} patients, {n_rows} cases"),
        })
    }
}
