//! `hounsfield evaluate`: all measures of the scores of a table.

use std::path::PathBuf;

use anyhow::Context as _;
use hounsfield::{
    eval::{AssessPlan, Cut, assess_table},
    report::AssessmentReport,
    stats::Axis,
};

use super::{Done, score_args::ScoreArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scores: ScoreArgs,
    /// Columns whose values are measured as subgroups
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    by: Vec<String>,
    /// Call positive from this score on, or `youden` for the best on these same rows [default: the table's own
    /// thresholds, else youden]
    #[arg(long, value_name = "SCORE", value_parser = cut, allow_negative_numbers = true)]
    threshold: Option<Cut>,
    /// Ask for the specificity at this sensitivity
    #[arg(long, value_name = "SHARE", default_value_t = 0.98)]
    sensitivity: f64,
    /// Ask for the sensitivity at this specificity
    #[arg(long, value_name = "SHARE")]
    specificity: Option<f64>,
    /// Ask for predictive values at this prevalence
    #[arg(long, value_name = "SHARE")]
    prevalence: Option<f64>,
    /// Specificities (or sensitivities) over which the partial AUC is taken, e.g. `specificity:0.9:1`
    #[arg(long, value_name = "AXIS:FROM:TO", default_value = "specificity:0.9:1", value_parser = partial)]
    partial: (Axis, [f64; 2]),
    /// Bins of the calibration curve
    #[arg(long, value_name = "N", default_value_t = 10)]
    bins: usize,
    /// Write ROC, calibration and decision curves as CSV into this folder
    #[arg(long, value_name = "FOLDER")]
    curves: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let plan = AssessPlan {
        unit: args.scores.unit,
        pool: args.scores.pool()?,
        bootstrap: args.scores.bootstrap(),
        cut: args.threshold.unwrap_or_default(),
        sensitivity: args.sensitivity,
        specificity: args.specificity,
        partial: args.partial,
        prevalence: args.prevalence,
        bins: args.bins,
    };
    plan.check()?;
    let table = args.scores.open(&args.by)?;
    let (found, warnings) = assess_table(&table, &args.scores.set, &plan)?;
    let report = AssessmentReport::new(&table, &plan, &found, &warnings);
    // The folder first: where it can't be had, nothing is written.
    if let Some(folder) = &args.curves {
        std::fs::create_dir_all(folder).with_context(|| format!("make the folder {folder:?}"))?;
    }
    if let Some(path) = &args.scores.json {
        report.write_json(path)?;
    }
    if let Some(folder) = &args.curves {
        report.write_curves(folder)?;
    }
    say!("{}", report.text().trim_end());
    Ok(Done::with(table.left_out))
}

fn cut(text: &str) -> Result<Cut, String> {
    match text {
        "youden" => Ok(Cut::Youden),
        number => match number.parse() {
            Ok(threshold) => Ok(Cut::At(threshold)),
            Err(_) => Err("expected a number or `youden`".to_owned()),
        },
    }
}

fn partial(text: &str) -> Result<(Axis, [f64; 2]), String> {
    let parts: Vec<&str> = text.split(':').collect();
    let axis = |name: &str| match name {
        "specificity" => Some(Axis::Specificity),
        "sensitivity" => Some(Axis::Sensitivity),
        _ => None,
    };
    if let [name, from, to] = parts[..]
        && let (Some(axis), Ok(from), Ok(to)) = (axis(name), from.parse(), to.parse())
    {
        return Ok((axis, [from, to]));
    }
    Err("expected `specificity:FROM:TO` or `sensitivity:FROM:TO`".to_owned())
}
