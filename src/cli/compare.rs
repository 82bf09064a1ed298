//! `hounsfield compare`: scores of the same rows against each other.

use std::path::PathBuf;

use anyhow::bail;
use hounsfield::{
    eval::{ComparePlan, Family, Unit, compare},
    report::ComparisonReport,
};

use super::{Done, score_args::ScoreArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scores: ScoreArgs,
    /// The family of comparisons, e.g. `ours:theirs,ours:readers`; p-values are adjusted over it [default: all pairs]
    #[arg(long, value_name = "A:B,..", value_delimiter = ',')]
    family: Vec<String>,
    /// Join another table of scores of the same patients, may be repeated: each table's scores are pooled to patients first, and
    /// patients that are in all tables are compared; a run folder stands for its predictions
    #[arg(long, value_name = "TABLE")]
    with: Vec<PathBuf>,
    /// Compare every other score with this one
    #[arg(long, value_name = "COLUMN", conflicts_with = "family")]
    reference: Option<String>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let family = match &args.reference {
        Some(reference) => Family::Against(reference.clone()),
        None if args.family.is_empty() => Family::AllPairs,
        None => Family::Pairs(
            args.family
                .iter()
                .map(|pair| halves(pair))
                .collect::<anyhow::Result<_>>()?,
        ),
    };
    let plan = ComparePlan {
        unit: args.scores.unit,
        pool: args.scores.pool()?,
        bootstrap: args.scores.bootstrap(),
        family,
    };
    let table = match &args.with[..] {
        [] => args.scores.open(&[])?,
        _ if args.scores.unit != Unit::Patient => {
            bail!("tables are joined by their patients: leave `--unit` out, or compare within one table");
        }
        others => args.scores.join(others)?,
    };
    let found = compare(&table, &args.scores.set, &plan)?;
    let report = ComparisonReport::new(&table, &plan, &found);
    if let Some(path) = &args.scores.json {
        report.write_json(path)?;
    }
    say!("{}", report.text().trim_end());
    Ok(Done::with(table.left_out))
}

fn halves(pair: &str) -> anyhow::Result<[String; 2]> {
    match pair.split_once(':') {
        Some((first, second)) if !second.contains(':') => Ok([first.trim(), second.trim()].map(str::to_owned)),
        _ => bail!("a comparison is written A:B, found `{pair}` (for names with colons compare with --reference)"),
    }
}
