//! `hounsfield reproduce`: recomputes what a paper printed.

use std::{collections::BTreeMap, io::Write as _, path::PathBuf};

use anyhow::{Context as _, bail};
use hounsfield::{
    claims::{Paper, Predictions, Readings, Verdict, leakage},
    eval::{
        Unit,
        reader_study::{ReadingColumns, ReadingPlan},
    },
    stats::Bootstrap,
    tables::atomic_write,
    volumes::Together,
};

use super::{
    Done,
    protocol::{Columns, Draws, TrainArgs},
};

/// A mismatch in the paper is a result, not a failure: the exit code is 0
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The paper: song2020 or pu2020
    paper: String,
    /// Show claims of one verdict only
    #[arg(long, value_name = "VERDICT", value_parser = verdict)]
    only: Option<Verdict>,
    /// Show the notes on claims
    #[arg(long)]
    notes: bool,
    /// Also write all numbers here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    training: TrainArgs,
    #[command(flatten)]
    simulation: SimulationArgs,
}

/// Your own figures beside the printed ones.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Your data")]
struct DataArgs {
    /// Scores: CSV, Parquet, xlsx or the run folder of a study
    #[arg(long, value_name = "TABLE", group = "data")]
    predictions: Option<PathBuf>,
    /// Readings, one row a reading: CSV, Parquet or xlsx (pu2020)
    #[arg(long, value_name = "TABLE", group = "data", requires = "positive")]
    readings: Option<PathBuf>,
    /// Column of the patients
    #[arg(long, value_name = "COL", default_value = "patient_id", requires = "data")]
    patient: String,
    /// Column of the labels
    #[arg(long, value_name = "COL", default_value = "label", requires = "data")]
    label: String,
    /// Label of the positive class [default: what the study's file says]
    #[arg(long, value_name = "LABEL", requires = "data")]
    positive: Option<String>,
    /// Label of the negative class, may be repeated [default: all others]
    #[arg(long, value_name = "LABEL", requires = "data")]
    negative: Vec<String>,
    /// Scores: column of the sets train, validation, test, external:SITE
    #[arg(long, value_name = "COL", default_value = "set", requires = "predictions")]
    set: String,
    /// Scores: which column holds which, e.g. `linear=z_mean.linear,knn=z_mean.knn` [default: by their endings]
    #[arg(long, value_name = "NAME=COL", value_delimiter = ',', value_parser = pair, requires = "predictions")]
    score: Vec<(String, String)>,
    /// Scores: what one is of, patient (mean of the slices) or slice
    #[arg(long, value_parser = unit, default_value = "patient", requires = "predictions")]
    unit: Unit,
    /// Readings: column of the reader
    #[arg(long, value_name = "COL", default_value = "reader", requires = "readings")]
    reader: String,
    /// Readings: column of the case
    #[arg(long, value_name = "COL", default_value = "case", requires = "readings")]
    case: String,
    /// Readings: column of what the reader said
    #[arg(long, value_name = "COL", default_value = "rating", requires = "readings")]
    rating: String,
    /// Readings: the rating that calls a case positive [default: the positive label]
    #[arg(long, value_name = "RATING", requires = "readings")]
    called: Option<String>,
    /// Resamples of patients behind each interval [default: 2000]
    #[arg(long, value_name = "N", requires = "data")]
    bootstrap: Option<usize>,
    /// Level of the intervals, where a claim has none of its own [default: 0.95; 0.99 in the report of trainings, as the paper]
    #[arg(long, requires = "data")]
    level: Option<f64>,
}

/// What pure leakage gives.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Simulation")]
struct SimulationArgs {
    /// Also show what a split of slices gives where labels know nothing of the images
    #[arg(long)]
    simulate: bool,
    /// Spread between patients over the spread within
    #[arg(long, default_value_t = 5.0, requires = "simulate")]
    tau: f64,
    /// Seed of the simulation, of the bootstrap and of trainings [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Seeds to average over
    #[arg(long, value_name = "N", default_value_t = 1, requires = "simulate")]
    seeds: usize,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let mut findings = Paper::named(&args.paper)?.recompute()?;
    if args.simulation.simulate && args.paper != "song2020" {
        bail!(
            "--simulate draws the study of song2020, which split slices; {} has no simulation",
            args.paper
        );
    }
    let bootstrap = args.data.bootstrap(args.simulation.seed());
    let draws = Draws {
        resamples: args.data.bootstrap,
        level: args.data.level,
        seed: args.simulation.seed,
    };
    let columns = Columns {
        patient: &args.data.patient,
        label: &args.data.label,
        positive: args.data.positive.as_deref(),
        negative: &args.data.negative,
    };
    let trained = args.training.run(&args.paper, &columns, &draws)?;
    if let Some(trained) = &trained {
        say!("{}\n", trained.table.trim_end());
        // The paper prints numbers of two of its networks.
        if trained
            .models
            .iter()
            .any(|model| ["pu-a", "covnet"].contains(&model.as_str()))
        {
            let predictions = args.data.trained(trained, bootstrap);
            let beside = predictions.beside(&mut findings);
            beside.context("set the networks' scores beside the claims")?;
        }
    }
    if let Some(predictions) = args.data.predictions(bootstrap) {
        let beside = predictions.beside(&mut findings);
        beside.context("set your scores beside the claims")?;
    }
    if let Some(readings) = args.data.readings(bootstrap) {
        let beside = readings.beside(&mut findings);
        beside.context("set your readings beside the claims")?;
    }
    let simulated = args
        .simulation
        .settings()
        .map(|settings| settings.simulate())
        .transpose()?;
    if let Some(path) = &args.json {
        let text = findings.to_json(simulated.as_ref());
        atomic_write(path, |file| file.write_all(text.as_bytes()))?;
    }
    say!("{}", findings.table(args.only, args.notes));
    if let Some(simulated) = &simulated {
        say!("\n{}", simulated.table());
    }
    Ok(Done::Whole)
}

impl DataArgs {
    fn bootstrap(&self, seed: u64) -> Bootstrap {
        Bootstrap {
            resamples: self.bootstrap.unwrap_or(2000),
            level: self.level.unwrap_or(0.95),
            seed,
        }
    }

    fn readings(&self, bootstrap: Bootstrap) -> Option<Readings> {
        let columns = ReadingColumns {
            reader: self.reader.clone(),
            case: self.case.clone(),
            patient: Some(self.patient.clone()),
            label: self.label.clone(),
            rating: self.rating.clone(),
            ..ReadingColumns::default()
        };
        let plan = ReadingPlan {
            columns,
            positive: self.positive.clone()?,
            negative: self.negative.clone(),
            called: self.called.clone(),
            ..ReadingPlan::default()
        };
        Some(Readings {
            table: self.readings.clone()?,
            plan,
            bootstrap,
        })
    }

    /// The scores of networks that were trained by the paper's protocol.
    fn trained(&self, trained: &Together, bootstrap: Bootstrap) -> Predictions {
        Predictions {
            table: trained.predictions.clone(),
            patient: "patient_id".to_owned(),
            label: "label".to_owned(),
            set: "set".to_owned(),
            positive: None,
            negative: Some(self.negative.clone()).filter(|names| !names.is_empty()),
            scores: BTreeMap::new(),
            unit: Unit::Patient,
            bootstrap,
        }
    }

    fn predictions(&self, bootstrap: Bootstrap) -> Option<Predictions> {
        Some(Predictions {
            table: self.predictions.clone()?,
            patient: self.patient.clone(),
            label: self.label.clone(),
            set: self.set.clone(),
            positive: self.positive.clone(),
            negative: Some(self.negative.clone()).filter(|names| !names.is_empty()),
            scores: self.score.iter().cloned().collect::<BTreeMap<_, _>>(),
            unit: self.unit,
            bootstrap,
        })
    }
}

impl SimulationArgs {
    fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    fn settings(&self) -> Option<leakage::Settings> {
        self.simulate.then(|| leakage::Settings {
            tau: self.tau,
            seed: self.seed(),
            seeds: self.seeds,
            ..leakage::Settings::default()
        })
    }
}

fn verdict(text: &str) -> Result<Verdict, String> {
    let found = Verdict::ALL
        .into_iter()
        .find(|verdict| verdict.name().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let names = Verdict::ALL.map(|verdict| verdict.name().to_lowercase());
        format!("expected {}", names.join(", "))
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text
        .split_once('=')
        .filter(|(name, column)| !name.is_empty() && !column.is_empty());
    let (name, column) = pair.ok_or("expected NAME=COLUMN")?;
    Ok((name.to_owned(), column.to_owned()))
}

fn unit(text: &str) -> Result<Unit, String> {
    match text {
        "patient" => Ok(Unit::Patient),
        "slice" => Ok(Unit::Slice),
        _ => Err("expected patient or slice".to_owned()),
    }
}
