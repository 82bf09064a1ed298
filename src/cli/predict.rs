//! `hounsfield predict`: scores a table of features with a saved head.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use hounsfield::{
    FeatureTable, FittedHead,
    eval::{CalibrationMap, Pooling},
    features::{Rows, read_features},
    tables::{Column, ColumnData, write_csv, write_parquet},
};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A head that `probe --save` or `run` saved
    model: PathBuf,
    /// The table of features (Parquet) to score
    features: PathBuf,
    /// Where the scores go: `.parquet`, else CSV [default: CSV on stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let head = FittedHead::load(&args.model)?;
    let table = read_features(&args.features)?;
    warn(&head, &table);
    let scores = calibrated(&head, head.score(table.values.mapv(f64::from).view())?)?;
    let columns = columns(&head, &table, &scores)?;
    let facts = head.metadata.iter();
    let metadata = facts.map(|(key, value)| (format!("hounsfield.{key}"), value.clone()));
    write_scores(&columns, &metadata.collect(), args.out.as_deref())?;
    Ok(Done::Whole)
}

/// Writes a table of scores: Parquet with its metadata where the name says so, else CSV, which goes to stdout without a name.
pub(super) fn write_scores(
    columns: &[Column],
    metadata: &BTreeMap<String, String>,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    match out {
        Some(path) if path.extension().is_some_and(|ending| ending == "parquet") => {
            Ok(write_parquet(path, columns, metadata)?)
        }
        out => write_text(columns, out),
    }
}

/// Scores as the study reported them: probabilities where it calibrated them.
fn calibrated(head: &FittedHead, scores: Vec<f64>) -> anyhow::Result<Vec<f64>> {
    let text = head.metadata.get("calibration").map_or("", String::as_str);
    if text.is_empty() {
        return Ok(scores);
    }
    let map: CalibrationMap = serde_json::from_str(text).context("read the calibration in the head's file")?;
    Ok(scores.into_iter().map(|score| map.apply(score)).collect())
}

/// The unit that the threshold was frozen on decides what is called positive: a slice, or a patient (or scan) by the
/// pooled score of its slices in this table.
fn columns(head: &FittedHead, table: &FeatureTable, scores: &[f64]) -> anyhow::Result<Vec<Column>> {
    let fact = |name: &str| head.metadata.get(name).map_or("", String::as_str);
    let positive = if fact("positive").is_empty() {
        "positive"
    } else {
        fact("positive")
    };
    let threshold: Option<f64> = fact("threshold").parse().ok();
    let rows = &table.rows;
    let unit = Some(fact("unit")).filter(|unit| ["patient", "scan"].contains(unit));
    let decided: Vec<Option<f64>> = match unit {
        Some(unit) => {
            // Heads that were saved before pooling was a choice were frozen on means.
            let pooling = match fact("pool") {
                "" => Pooling::Mean,
                word => word.parse()?,
            };
            pooled(rows, unit == "scan", pooling, scores)?
        }
        None => scores.iter().copied().map(Some).collect(),
    };
    let call = |score: &Option<f64>| {
        let is_positive = (*score)? >= threshold?;
        Some(if is_positive {
            positive.to_owned()
        } else {
            format!("not {positive}")
        })
    };
    let called = decided.iter().map(call).collect();
    let text =
        |name: &str, cells: &[String]| Column::new(name, ColumnData::Text(cells.iter().cloned().map(Some).collect()));
    let mut columns = vec![
        text("slice_id", &rows.slice_id),
        text("scan_id", &rows.scan_id),
        text("patient_id", &rows.patient_id),
        Column::new("score", ColumnData::Float64(scores.iter().copied().map(Some).collect())),
    ];
    if let Some(unit) = unit {
        columns.push(Column::new(format!("{unit}_score"), ColumnData::Float64(decided)));
    }
    columns.push(Column::new("called", ColumnData::Text(called)));
    Ok(columns)
}

/// The pooled score of each row's patient or scan.
fn pooled(rows: &Rows, by_scan: bool, pooling: Pooling, scores: &[f64]) -> anyhow::Result<Vec<Option<f64>>> {
    let outside = scores.iter().filter(|score| !(0.0..=1.0).contains(*score)).count();
    anyhow::ensure!(
        pooling != Pooling::NoisyOr || outside == 0,
        "noisy-or pools probabilities, but {outside} of {} scores lie outside 0 to 1: take a head that was calibrated",
        scores.len()
    );
    let unit = |row: usize| {
        let scan = by_scan.then(|| rows.scan_id[row].as_str());
        (rows.patient_id[row].as_str(), scan)
    };
    let mut slices = BTreeMap::<_, Vec<f64>>::new();
    for (row, score) in scores.iter().enumerate() {
        slices.entry(unit(row)).or_default().push(*score);
    }
    let of_unit: BTreeMap<_, f64> = slices
        .into_iter()
        .map(|(unit, scores)| (unit, pooling.pool(scores)))
        .collect();
    Ok((0..scores.len()).map(|row| of_unit.get(&unit(row)).copied()).collect())
}

/// What the head carries with it, and whether the table is of the same making.
fn warn(head: &FittedHead, table: &FeatureTable) {
    let fact = |name: &str| head.metadata.get(name).map_or("", String::as_str);
    for banner in fact("banners").lines() {
        tracing::warn!("{banner}");
    }
    let made = &table.provenance;
    let pairs = [
        ("encoder", &made.encoder),
        ("layer", &made.layer),
        ("weights", &made.weights),
        ("preprocess_sha256", &made.preprocess_sha256),
        ("pooled", &made.pooled),
    ];
    let differing: Vec<&str> = pairs
        .iter()
        .filter(|(name, value)| fact(name) != value.as_str())
        .map(|(name, _)| *name)
        .collect();
    if !differing.is_empty() {
        tracing::warn!(
            "the head was fitted on features of another making ({} differ): scores mean nothing unless they are the same features",
            differing.join(", ")
        );
    }
    if !fact("threshold_from").is_empty() {
        let (from, unit) = (fact("threshold_from"), fact("unit"));
        tracing::info!("called positive from a score of {from} on, frozen on scores a {unit}");
    }
}

fn write_text(columns: &[Column], out: Option<&Path>) -> anyhow::Result<()> {
    let header: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let cell = |column: &Column, row: usize| match &column.data {
        ColumnData::Text(cells) => cells[row].clone().unwrap_or_default(),
        ColumnData::Float64(cells) => cells[row].map(|value| value.to_string()).unwrap_or_default(),
        ColumnData::Float32(cells) => cells[row].to_string(),
        ColumnData::Int(cells) => cells[row].to_string(),
    };
    let rows = columns.first().map_or(0, |column| column.data.len());
    let rows = (0..rows).map(|row| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>());
    match out {
        Some(path) => write_csv(path, &header, rows)?,
        None => {
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(&header)?;
            for row in rows {
                csv.write_record(&row)?;
            }
            std::io::stdout().write_all(&csv.into_inner()?)?;
        }
    }
    Ok(())
}
