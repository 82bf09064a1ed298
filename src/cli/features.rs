//! `hounsfield features`: tables of features in and out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hounsfield::{
    ct::Pseudonymizer,
    eval::Pooling,
    features::{
        FeatureColumns, ImportOptions, PoolBy, PoolOptions, export_csv, export_npy, export_safetensors, import,
        pool_features, read_features, write_features,
    },
    study::user_pseudonymizer,
};

use super::Done;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Bring in features that others made: csv, npy, Parquet, xlsx, or the CSV files of Song 2020
    Import(Box<ImportArgs>),
    /// Write a table of features as csv, npy or safetensors
    Export(ExportArgs),
    /// Pool rows of slices to one row a scan or patient
    Pool(PoolArgs),
    /// Say what is in a table of features
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The matrix, or the folder of Song 2020's six files
    matrix: PathBuf,
    /// Where the table goes
    #[arg(long, value_name = "FILE.parquet")]
    out: PathBuf,
    /// The table of labels; without one the matrix's own columns are used
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Key column of the matrix; without one rows are joined by their order
    #[arg(long, value_name = "COLUMN")]
    on: Option<String>,
    /// Key column of the labels, where it is named otherwise
    #[arg(long, value_name = "COLUMN")]
    labels_on: Option<String>,
    /// Column of the patient: no split without patients
    #[arg(long, value_name = "COLUMN")]
    patient: String,
    /// Column of the scan [default: the patient]
    #[arg(long, value_name = "COLUMN")]
    scan: Option<String>,
    /// Column of the row's unique name [default: the key, else the row's number]
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// Column of the label
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Column of the hospital or data source
    #[arg(long, value_name = "COLUMN")]
    site: Option<String>,
    /// Columns that are features, by the beginning of their names
    #[arg(long, value_name = "TEXT", conflicts_with = "columns")]
    prefix: Option<String>,
    /// Columns that are features, by name [default: all that hold only numbers and have no other use]
    #[arg(long, value_name = "COLUMN,COLUMN", value_delimiter = ',')]
    columns: Vec<String>,
    /// Name of the layer; of Song 2020's files it chooses one
    #[arg(long)]
    layer: Option<String>,
    /// Sheet of the matrix, if it is a workbook [default: the first]
    #[arg(long)]
    sheet: Option<String>,
    /// Sheet of the labels, if they are a workbook [default: the first]
    #[arg(long)]
    label_sheet: Option<String>,
    /// Carry this column along although its name looks like an identifier
    #[arg(long, value_name = "COLUMN")]
    keep: Vec<String>,
    /// Leave identifiers as they are instead of writing pseudonyms
    #[arg(long)]
    keep_ids: bool,
}

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The table: a Parquet file or a folder of parts
    table: PathBuf,
    /// Where it goes: `.csv`, `.npy` (rows beside it as csv) or `.safetensors`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct PoolArgs {
    /// The table: a Parquet file or a folder of parts
    table: PathBuf,
    /// What a row becomes: `scan` or `patient`
    #[arg(long)]
    by: PoolBy,
    /// How the values of a column become one: `mean`, `median`, `max` or `top-k:K`, the mean of the K largest
    #[arg(long, value_name = "POOLING")]
    with: Pooling,
    /// Where the pooled table goes
    #[arg(long, value_name = "FILE.parquet")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The table: a Parquet file or a folder of parts
    table: PathBuf,
}

pub fn run(command: &Command) -> anyhow::Result<Done> {
    match command {
        Command::Import(args) => bring_in(args),
        Command::Export(args) => write_out(args),
        Command::Pool(args) => pool(args),
        Command::Show(args) => show(args),
    }
}

fn bring_in(args: &ImportArgs) -> anyhow::Result<Done> {
    check_parquet(&args.out)?;
    let features = match (&args.prefix, &args.columns[..]) {
        (Some(prefix), _) => FeatureColumns::Prefix(prefix.clone()),
        (None, []) => FeatureColumns::NumericRest,
        (None, columns) => FeatureColumns::List(columns.to_vec()),
    };
    let options = ImportOptions {
        labels: args.labels.clone(),
        sheet: args.sheet.clone(),
        label_sheet: args.label_sheet.clone(),
        on: args.on.clone(),
        labels_on: args.labels_on.clone(),
        id: args.id.clone(),
        scan: args.scan.clone(),
        patient: Some(args.patient.clone()),
        label: args.label.clone(),
        site: args.site.clone(),
        features,
        layer: args.layer.clone(),
        keep: args.keep.clone(),
    };
    let ids = if args.keep_ids {
        Pseudonymizer::keep()
    } else {
        user_pseudonymizer(None)?
    };
    let imported = import(&args.matrix, &options, &ids)?;
    for note in &imported.notes {
        tracing::warn!("{note}");
    }
    if !imported.withheld.is_empty() {
        let names = imported.withheld.join(", ");
        tracing::warn!("left out, since their names look like identifiers (`--keep` brings one back): {names}");
    }
    write_features(&args.out, &imported.table)?;
    let (rows, columns) = imported.table.values.dim();
    say!("features: {} ({rows} rows, {columns} features)", args.out.display());
    Ok(Done::Whole)
}

fn write_out(args: &ExportArgs) -> anyhow::Result<Done> {
    let table = read_features(&args.table)?;
    let ending = args
        .out
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let written = match ending.as_str() {
        "csv" => export_csv(&args.out, &table)?,
        "npy" => export_npy(&args.out, &table)?,
        "safetensors" => export_safetensors(&args.out, &table)?,
        other => bail!("no such export: `.{other}`; the file's ending chooses csv, npy or safetensors"),
    };
    for file in written {
        say!("{}", file.display());
    }
    Ok(Done::Whole)
}

/// Whether a table of features can be called so.
fn check_parquet(out: &Path) -> anyhow::Result<()> {
    if out
        .extension()
        .is_none_or(|ending| !ending.eq_ignore_ascii_case("parquet"))
    {
        bail!("features are written as Parquet: end the name in .parquet: {out:?}");
    }
    Ok(())
}

fn pool(args: &PoolArgs) -> anyhow::Result<Done> {
    check_parquet(&args.out)?;
    let options = PoolOptions {
        by: args.by,
        with: args.with,
    };
    let table = read_features(&args.table)?;
    let pooled = pool_features(&table, options).with_context(|| format!("pool the rows of {:?}", args.table))?;
    for note in &pooled.notes {
        tracing::warn!("{note}");
    }
    write_features(&args.out, &pooled.table)?;
    let (rows, columns) = pooled.table.values.dim();
    let before = table.rows.len();
    say!(
        "features: {} ({before} rows pooled to {rows}, {columns} features)",
        args.out.display()
    );
    Ok(Done::Whole)
}

fn show(args: &ShowArgs) -> anyhow::Result<Done> {
    let table = read_features(&args.table)?;
    let (rows, columns) = table.values.dim();
    let count = |cells: &[Option<String>]| {
        let mut counts = std::collections::BTreeMap::<&str, usize>::new();
        for cell in cells {
            *counts.entry(cell.as_deref().unwrap_or("(none)")).or_default() += 1;
        }
        let shown: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        shown.join(", ")
    };
    let patients: std::collections::BTreeSet<_> = table.rows.patient_id.iter().collect();
    let made = &table.provenance;
    let extra: Vec<&str> = table.rows.extra.iter().map(|(name, _)| name.as_str()).collect();
    let (first, last) = (table.names.first(), table.names.last());
    let names = format!(
        "{columns} ({} .. {})",
        first.map_or("", String::as_str),
        last.map_or("", String::as_str)
    );
    let finite = match table.non_finite() {
        None => "all".to_owned(),
        Some((count, row, column)) => {
            format!(
                "all but {count} values (first: row {}, {})",
                row + 1,
                table.names[column]
            )
        }
    };
    let weights = if made.untrained {
        format!("{} (UNTRAINED)", made.weights)
    } else {
        made.weights.clone()
    };
    let lines = [
        ("rows", rows.to_string()),
        ("patients", patients.len().to_string()),
        ("features", names),
        ("finite", finite),
        ("labels", count(&table.rows.label)),
        ("sites", count(&table.rows.site)),
        ("sets", count(&table.rows.split)),
        ("other columns", extra.join(", ")),
        ("layer", made.layer.clone()),
        ("encoder", made.encoder.clone()),
        ("weights", weights),
        ("card", made.card.clone()),
        ("preprocess", made.preprocess.clone()),
        ("source", made.source.clone()),
        ("pooled", made.pooled.clone()),
        ("watermarks", made.watermarks.join("; ")),
        (
            "pseudonyms",
            if made.pseudonyms {
                "yes"
            } else {
                "no: identifiers as they were given"
            }
            .to_owned(),
        ),
        ("written by", format!("hounsfield {}", made.hounsfield)),
    ];
    for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        say!("{name:<14} {value}");
    }
    Ok(Done::Whole)
}
