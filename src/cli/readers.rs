//! `hounsfield readers`: a reader study from a table of readings.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::bail;
use hounsfield::{
    eval::reader_study::{LowRiskRule, ReaderStudy, ReadingColumns, ReadingPlan, mrmc},
    report::reader_tables,
    stats::Bootstrap,
    tables::{atomic_write, read_table},
};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The table of readings, one row a reading: CSV, Parquet or xlsx
    readings: PathBuf,
    /// Column of the reader
    #[arg(long, value_name = "COLUMN", default_value = "reader")]
    reader: String,
    /// Column of the case
    #[arg(long, value_name = "COLUMN", default_value = "case")]
    case: String,
    /// Column of the patient, whose cases are resampled together [default: the case]
    #[arg(long, value_name = "COLUMN")]
    patient: Option<String>,
    /// Column of the arm, e.g. without and with help
    #[arg(long, value_name = "COLUMN", requires = "reference")]
    arm: Option<String>,
    /// The arm that others are compared with
    #[arg(long, value_name = "ARM", requires = "arm")]
    reference: Option<String>,
    /// Column of what is true of the case
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    label: String,
    /// The label of the positive class
    #[arg(long, value_name = "LABEL")]
    positive: String,
    /// A label of the negative class [default: every other label]
    #[arg(long, value_name = "LABEL")]
    negative: Vec<String>,
    /// Column of what the reader said; an empty cell is a missing reading
    #[arg(long, value_name = "COLUMN", default_value = "rating")]
    rating: String,
    /// The rating that calls a case positive [default: the positive label]
    #[arg(long, value_name = "RATING", conflicts_with = "cutoff")]
    called: Option<String>,
    /// The lowest numeric rating that calls a case positive
    #[arg(long, value_name = "RATING", allow_negative_numbers = true)]
    cutoff: Option<f64>,
    /// Column of a model's score of the case
    #[arg(long, value_name = "COLUMN")]
    score: Option<String>,
    /// Show the readings of cases with a score below this
    #[arg(
        long,
        value_name = "SCORE",
        requires = "score",
        conflicts_with = "low_risk_sensitivity"
    )]
    #[arg(allow_negative_numbers = true)]
    low_risk_below: Option<f64>,
    /// Show the readings of cases below the threshold of this sensitivity, e.g. 0.98
    #[arg(long, value_name = "SHARE", requires = "score")]
    low_risk_sensitivity: Option<f64>,
    /// Number of resamples of the patients
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().resamples)]
    bootstrap: usize,
    /// Confidence level of the intervals
    #[arg(long, default_value_t = Bootstrap::default().level)]
    level: f64,
    /// Seed of the resamples
    #[arg(long, default_value_t = Bootstrap::default().seed)]
    seed: u64,
    /// Write all numbers as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the readings for MRMC programs: `.imrmc` for iMRMC, `.csv` for MRMCaov
    #[arg(long, value_name = "FILE")]
    mrmc: Vec<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let exports = args
        .mrmc
        .iter()
        .map(|path| export_of(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let plan = ReadingPlan {
        columns: ReadingColumns {
            reader: args.reader.clone(),
            case: args.case.clone(),
            patient: args.patient.clone(),
            arm: args.arm.clone(),
            label: args.label.clone(),
            rating: args.rating.clone(),
            score: args.score.clone(),
        },
        positive: args.positive.clone(),
        negative: args.negative.clone(),
        called: args.called.clone(),
        cutoff: args.cutoff,
        reference: args.reference.clone(),
    };
    let bootstrap = Bootstrap {
        resamples: args.bootstrap,
        level: args.level,
        seed: args.seed,
    };
    let low_risk = match (args.low_risk_below, args.low_risk_sensitivity) {
        (Some(below), _) => Some(LowRiskRule::Below(below)),
        (None, Some(target)) => Some(LowRiskRule::Sensitivity(target)),
        (None, None) => None,
    };
    let study = ReaderStudy::read(&read_table(&args.readings)?, &plan)?;
    let report = study.measure(&bootstrap, low_risk)?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        atomic_write(path, |file| writeln!(file, "{text}"))?;
    }
    for (path, write) in args.mrmc.iter().zip(exports) {
        write(path, &study)?;
    }
    write!(std::io::stdout(), "{}", reader_tables(&report))?;
    Ok(Done::Whole)
}

type Export = fn(&Path, &ReaderStudy) -> Result<(), hounsfield::tables::WriteError>;

fn export_of(path: &Path) -> anyhow::Result<Export> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    Ok(match ending.as_str() {
        "imrmc" => mrmc::write_imrmc,
        "csv" => mrmc::write_long_csv,
        other => bail!("no such export: `.{other}`; the file's ending chooses: `.imrmc` for iMRMC, `.csv` for MRMCaov"),
    })
}
