//! What a command that measures scores asks of its table: the columns, the unit, the resamples.

use std::path::PathBuf;

use anyhow::bail;
use hounsfield::{
    eval::{PatientColumn, Pooling, ScorePlan, ScoreTable, Unit},
    stats::Bootstrap,
};

#[derive(Debug, clap::Args)]
pub struct ScoreArgs {
    /// The table of scores: CSV, Parquet or Excel, one row a slice, scan or patient; a run folder stands for its predictions
    table: PathBuf,
    /// Column of the patients [default: patient_id or patient]
    #[arg(long, value_name = "COLUMN")]
    patient: Option<String>,
    /// Each row is another patient
    #[arg(long, conflicts_with = "patient")]
    patient_per_row: bool,
    /// Column of the classes [default: label]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Label of the positive class; a study's own predictions name it
    #[arg(long, value_name = "LABEL")]
    positive: Option<String>,
    /// Labels of the negative class [default: all others]
    #[arg(long, value_name = "LABEL,..", value_delimiter = ',')]
    negative: Vec<String>,
    /// Columns of scores, higher is more like the positive class [default: all columns of numbers]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    score: Vec<String>,
    /// Column of the scans [default: scan_id or scan]
    #[arg(long, value_name = "COLUMN")]
    scan: Option<String>,
    /// Column of the sets, which are measured apart [default: set]
    #[arg(long, value_name = "COLUMN")]
    set_column: Option<String>,
    /// Measure these sets only
    #[arg(long, value_name = "SET,..", value_delimiter = ',')]
    pub set: Vec<String>,
    /// What one score is to be of: patient, scan or slice
    #[arg(long, default_value = "patient", value_parser = unit)]
    pub unit: Unit,
    /// How scores of slices become one: mean, median, max, top-k:K or noisy-or [default: mean]
    #[arg(long)]
    pool: Option<Pooling>,
    /// Resamples of the patients
    #[arg(long, value_name = "N", default_value_t = 2000)]
    bootstrap: usize,
    /// Confidence level of the intervals
    #[arg(long, default_value_t = 0.95)]
    level: f64,
    /// Seed of the resamples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write all numbers to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl ScoreArgs {
    pub fn open(&self, by: &[String]) -> anyhow::Result<ScoreTable> {
        Ok(ScoreTable::open(&self.table, &self.plan(by))?)
    }

    /// The table joined with others by its patients.
    pub fn join(&self, others: &[PathBuf]) -> anyhow::Result<ScoreTable> {
        let files = [std::slice::from_ref(&self.table), others].concat();
        Ok(ScoreTable::join(&files, &self.plan(&[]), self.pool()?)?)
    }

    fn plan(&self, by: &[String]) -> ScorePlan {
        ScorePlan {
            patient: match (&self.patient, self.patient_per_row) {
                (Some(name), _) => PatientColumn::Named(name.clone()),
                (None, true) => PatientColumn::PerRow,
                (None, false) => PatientColumn::Usual,
            },
            label: self.label.clone(),
            positive: self.positive.clone(),
            negative: self.negative.clone(),
            scores: self.score.clone(),
            scan: self.scan.clone(),
            set: self.set_column.clone(),
            by: by.to_vec(),
        }
    }

    pub fn pool(&self) -> anyhow::Result<Pooling> {
        if self.pool.is_some() && self.unit == Unit::Slice {
            bail!(
                "nothing is pooled where every slice counts: leave `--pool` out, or use `--unit patient` or `--unit scan`"
            );
        }
        Ok(self.pool.unwrap_or_default())
    }

    pub fn bootstrap(&self) -> Bootstrap {
        Bootstrap {
            resamples: self.bootstrap,
            level: self.level,
            seed: self.seed,
        }
    }
}

fn unit(name: &str) -> Result<Unit, String> {
    match name {
        "patient" => Ok(Unit::Patient),
        "scan" => Ok(Unit::Scan),
        "slice" => Ok(Unit::Slice),
        _ => Err("expected patient, scan or slice".to_owned()),
    }
}
