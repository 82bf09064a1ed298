use std::{io::Write as _, path::PathBuf};

use hounsfield::{FittedHead, features::read_features, tables};

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
    let facts = head.metadata.clone();
    let table = read_features(&args.features)?;
    let fact = |name: &str| facts.get(name).map_or("", String::as_str);
    if !fact("features").is_empty() && !table.provenance.layer.is_empty() && table.provenance.layer != fact("features")
    {
        tracing::warn!(
            "the head was fitted on `{}`, the table holds `{}`: scores mean nothing unless they are the same features",
            fact("features"),
            table.provenance.layer
        );
    }
    let scores = head.score(table.values.mapv(f64::from).view())?;
    let threshold: Option<f64> = fact("threshold").parse().ok();
    let positive = match fact("positive") {
        "" => "positive".to_owned(),
        name => name.to_owned(),
    };
    let some = |cells: &[String]| cells.iter().cloned().map(Some).collect::<Vec<_>>();
    let call = |score: &f64| {
        threshold.map(|threshold| {
            if *score >= threshold {
                positive.clone()
            } else {
                format!("not {positive}")
            }
        })
    };
    let columns = [
        ("slice_id".to_owned(), some(&table.rows.slice_id)),
        ("scan_id".to_owned(), some(&table.rows.scan_id)),
        ("patient_id".to_owned(), some(&table.rows.patient_id)),
        (
            "score".to_owned(),
            scores.iter().map(|score| Some(score.to_string())).collect(),
        ),
        ("called".to_owned(), scores.iter().map(call).collect()),
    ];
    if !fact("threshold_from").is_empty() {
        tracing::info!(
            "a slice is called `{positive}` from a score of {} on; it was frozen on scores a {}",
            fact("threshold_from"),
            fact("unit")
        );
    }
    match &args.out {
        Some(path) if path.extension().is_some_and(|ending| ending == "parquet") => {
            let typed = columns.into_iter().map(|(name, cells)| {
                let data = match name.as_str() {
                    "score" => tables::ColumnData::Float64(scores.iter().copied().map(Some).collect()),
                    _ => tables::ColumnData::Text(cells),
                };
                tables::Column::new(name, data)
            });
            tables::write_parquet(path, &typed.collect::<Vec<_>>(), &facts)?;
        }
        out => {
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(columns.iter().map(|(name, _)| name))?;
            for row in 0..scores.len() {
                csv.write_record(
                    columns
                        .iter()
                        .map(|(_, cells)| cells[row].as_deref().unwrap_or_default()),
                )?;
            }
            let bytes = csv.into_inner()?;
            match out {
                Some(path) => tables::atomic_write(path, |file| file.write_all(&bytes))?,
                None => std::io::stdout().write_all(&bytes)?,
            }
        }
    }
    Ok(Done::Whole)
}
