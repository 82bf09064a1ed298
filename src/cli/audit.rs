//! `hounsfield audit`: what makes results too good, on tables, a study, features or a printed table.

use std::{
    collections::HashSet,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use hounsfield::{
    Study,
    audit::{
        Audit, Finding, Material, Metadata, Outcome, SCHEMA, Settings, Severity, Source, SourceColumns, audit, printed,
    },
    ct::Pseudonymizer,
    features::{FeatureTable, read_features},
    report::wrap,
    stats::Bootstrap,
    study::{StudyRun, user_pseudonymizer},
    tables::{Layout, TableError, TextTable, atomic_write, read_table, read_table_as, write_csv},
    words::{count, counted},
};
use serde_json::json;

use super::Done;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 3: two sets of a split share a patient, an image, or a certain near-duplicate of one. Copies of
an image that are cropped, mirrored or rotated are not found.

Examples:
  hounsfield audit table.csv --patient patient_id --label cls --positive covid --set fold --path file
  hounsfield audit train=a.csv test=b.csv --patient id
  hounsfield audit val=val.txt test=test.txt --no-header --separator space --name c1 --label c2 \\
      --metadata patients.csv --metadata-key 'patient id'
  hounsfield audit study.toml
  hounsfield audit --features features/z_mean.parquet --positive covid
  hounsfield audit --cohort-table table1.csv")]
pub struct Args {
    /// Tables (CSV, Parquet, xlsx), or NAME=FILE where each table is a set of the split, or a study's file (.toml)
    #[arg(value_name = "[NAME=]FILE")]
    inputs: Vec<String>,
    /// Column of the patient
    #[arg(long, value_name = "COLUMN")]
    patient: Option<String>,
    /// Regular expression whose first group is the patient, in --patient, else --name, else the file name of --path
    #[arg(long, value_name = "REGEX")]
    patient_pattern: Option<String>,
    /// Column of the row's name, such as its file's
    #[arg(long, value_name = "COLUMN")]
    name: Option<String>,
    /// Table of patients; without --patient or a pattern, a row's patient is the longest one its name begins with
    #[arg(long, value_name = "FILE", requires = "metadata_key")]
    metadata: Option<PathBuf>,
    /// Column of the patient in --metadata
    #[arg(long, value_name = "COLUMN", requires = "metadata")]
    metadata_key: Option<String>,
    /// Column of the label
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Label of the positive class
    #[arg(long, value_name = "LABEL")]
    positive: Option<String>,
    /// Labels of the negative class [default: all others]
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    negative: Vec<String>,
    /// Column of the image's path, relative to its table
    #[arg(long, value_name = "COLUMN")]
    path: Option<String>,
    /// Column of the set or fold
    #[arg(long, value_name = "COLUMN", conflicts_with = "split")]
    set: Option<String>,
    /// A split: a table with the columns `row` (from 1) and `set`, such as `split.csv` of a run
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Column of the hospital or data source
    #[arg(long, value_name = "COLUMN")]
    site: Option<String>,
    /// Column that says where in the body a slice lies
    #[arg(long, value_name = "COLUMN")]
    position: Option<String>,
    /// Columns to compare and predict from [default: all that do not look like identifiers]
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    meta: Vec<String>,
    /// Features (Parquet) of the table's rows in their order, or alone
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,
    /// Column that names the rows as `slice_id` of the features does [default: rows in the same order]
    #[arg(long, value_name = "COLUMN", requires = "features")]
    id: Option<String>,
    /// The first line of a text table is a row; columns are named c1, c2, ...
    #[arg(long)]
    no_header: bool,
    /// What stands between the fields of a text table [default: found out, a space never is]
    #[arg(long, value_enum)]
    separator: Option<Separator>,
    /// A printed cohort table whose arithmetic is checked; row names in its first column
    #[arg(long, value_name = "FILE")]
    cohort_table: Option<PathBuf>,
    /// Where the artefacts of a study are [default: `runs/NAME` beside its file]
    #[arg(long, value_name = "FOLDER")]
    run_dir: Option<PathBuf>,
    /// Correlation of two images' details from which on they are certainly near-duplicates
    #[arg(long, value_name = "R", default_value_t = Settings::default().certain)]
    certain: f64,
    /// Cosine of two rows of standardised features from which on they are near-duplicates
    #[arg(long, value_name = "R", default_value_t = Settings::default().cosine)]
    cosine: f64,
    /// Resamples of the intervals
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().resamples)]
    bootstrap: usize,
    /// Level of the intervals
    #[arg(long, default_value_t = Bootstrap::default().level)]
    level: f64,
    /// Seed of folds and resamples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write all findings with their numbers
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the rows and pairs of the findings, patients as pseudonyms
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Separator {
    Comma,
    Semicolon,
    Tab,
    Space,
}

impl Separator {
    fn letter(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Semicolon => ';',
            Self::Tab => '\t',
            Self::Space => ' ',
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    ensure!(
        args.certain > 0.0 && args.certain <= 1.0 && args.cosine > 0.0 && args.cosine <= 1.0,
        "--certain and --cosine lie between 0 and 1, found {} and {}",
        args.certain,
        args.cosine
    );
    if let Some(path) = &args.cohort_table {
        ensure!(
            args.inputs.is_empty() && args.features.is_none(),
            "a printed table is audited alone: leave out the other inputs"
        );
        return printed_table(args, path);
    }
    let settings = Settings {
        certain: args.certain,
        likely: Settings::default().likely.min(args.certain),
        cosine: args.cosine,
        bootstrap: Bootstrap {
            resamples: args.bootstrap,
            level: args.level,
            seed: args.seed,
        },
        ..Settings::default()
    };
    let (mut material, keeps) = match &args.inputs[..] {
        [] if args.features.is_none() => {
            bail!("nothing to audit: name a table, a study's file, --features or --cohort-table")
        }
        [] => of_features(args)?,
        [study] if study.ends_with(".toml") => (of_study(args, Path::new(study))?, true),
        _ => (of_tables(args)?, false),
    };
    if let Some(path) = &args.split {
        material
            .add_split(&read_table(path)?)
            .with_context(|| format!("read the split {}", path.display()))?;
    }
    let found = audit(&material, &settings)?;
    if let Some(path) = &args.json {
        write_json(path, &found.to_json(&material, &settings))?;
    }
    if let Some(path) = &args.out {
        let ids = if keeps {
            Pseudonymizer::keep()
        } else {
            user_pseudonymizer(None)?
        };
        write_list(path, &material, &found, &ids)?;
    }
    say!("{}", heading(&material));
    show(&found, material.sources().len() > 1)?;
    // Zero unreadable images are no failure; what could not be read is a finding with this number.
    let unread = found.findings.iter().any(|finding| {
        finding.severity != Severity::Ok && finding.numbers["unreadable"].as_u64().is_some_and(|unread| unread > 0)
    });
    Ok(match (found.leaks(), unread) {
        (true, _) => Done::SplitLeaks,
        (false, true) => Done::WithFailures,
        (false, false) => Done::Whole,
    })
}

fn printed_table(args: &Args, path: &Path) -> anyhow::Result<Done> {
    let found = match printed::lint(&printed_cells(args, path)?) {
        Outcome::Ran(findings) => Audit {
            findings,
            could_not_run: Vec::new(),
        },
        Outcome::CannotRun(why) => bail!("{why}: {}", path.display()),
    };
    if let Some(path) = &args.json {
        write_json(
            path,
            &json!({"schema": SCHEMA, "hounsfield": env!("CARGO_PKG_VERSION"), "findings": found.findings}),
        )?;
    }
    let wrong = found
        .findings
        .iter()
        .filter(|finding| finding.severity < Severity::Note)
        .count();
    say!(
        "audit of a printed table: {}",
        match wrong {
            1 => "1 thing does not add up".to_owned(),
            wrong => format!("{} things do not add up", count(wrong)),
        }
    );
    show(&found, false)?;
    Ok(Done::Whole)
}

/// A printed table; the column of its row names needs no name, as the columns of other tables do.
fn printed_cells(args: &Args, path: &Path) -> anyhow::Result<TextTable> {
    let unnamed = match table(args, path) {
        Err(why) if matches!(why.downcast_ref(), Some(TableError::EmptyName { position: 1, .. })) => why,
        other => return other,
    };
    let bare = Layout {
        separator: args.separator.map(Separator::letter),
        header: false,
    };
    let Ok(bare) = read_table_as(path, bare) else {
        return Err(unnamed);
    };
    let mut columns = Vec::new();
    for (place, (_, cells)) in bare.columns.into_iter().enumerate() {
        let Some((name, cells)) = cells.split_first() else {
            return Err(unnamed);
        };
        let name = match name.as_deref().map(str::trim).unwrap_or_default() {
            "" if place == 0 => "names of the rows",
            "" => return Err(unnamed),
            name => name,
        };
        columns.push((name.to_owned(), cells.to_vec()));
    }
    TextTable::new(columns).with_context(|| format!("read the printed table {}", path.display()))
}

fn columns(args: &Args) -> SourceColumns {
    SourceColumns {
        patient: args.patient.clone(),
        pattern: args.patient_pattern.clone(),
        name: args.name.clone(),
        label: args.label.clone(),
        positive: args.positive.clone(),
        negative: args.negative.clone(),
        path: args.path.clone(),
        set: args.set.clone(),
        site: args.site.clone(),
        position: args.position.clone(),
        meta: args.meta.clone(),
    }
}

fn table(args: &Args, path: &Path) -> anyhow::Result<TextTable> {
    let layout = Layout {
        separator: args.separator.map(Separator::letter),
        header: !args.no_header,
    };
    Ok(read_table_as(path, layout)?)
}

fn of_tables(args: &Args) -> anyhow::Result<Material> {
    let mut sources: Vec<Source> = Vec::new();
    for input in &args.inputs {
        let (name, path) = match input.split_once('=') {
            Some((name, path)) if !Path::new(input).exists() => (Some(name.trim()), Path::new(path)),
            _ => (None, Path::new(input)),
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let source = Source {
            name: name.map_or_else(|| stem.into_owned(), str::to_owned),
            is_set: name.is_some(),
            table: table(args, path)?,
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        };
        ensure!(
            sources.iter().all(|other| other.name != source.name),
            "two tables are both called {:?}: call them by names of their own, such as {}1={}",
            source.name,
            source.name,
            path.display()
        );
        sources.push(source);
    }
    ensure!(
        sources.iter().all(|source| source.is_set) || !sources.iter().any(|source| source.is_set),
        "some tables are named and some are not: name all of them (each is then a set) or none"
    );
    let metadata = match (&args.metadata, &args.metadata_key) {
        (Some(path), Some(key)) => Some(Metadata {
            table: read_table(path)?,
            key: key.clone(),
        }),
        _ => None,
    };
    let mut material = Material::read(&sources, &columns(args), metadata.as_ref())?;
    if let Some(path) = &args.features {
        let names = match &args.id {
            Some(id) => {
                let mut names = Vec::new();
                for source in &sources {
                    names.extend(
                        source
                            .table
                            .column(id)?
                            .iter()
                            .map(|cell| cell.clone().unwrap_or_default()),
                    );
                }
                Some(names)
            }
            None => None,
        };
        let features = read_features(path)?;
        let names = match names {
            Some(names) if features.provenance.pseudonyms => Some(as_in(&features, names)?),
            names => names,
        };
        material.add_features(features, names.as_deref())?;
    }
    Ok(material)
}

/// The rows' names as the features have them: as they are, or, where none is among theirs, their pseudonyms under the
/// user's salt.
fn as_in(features: &FeatureTable, names: Vec<String>) -> anyhow::Result<Vec<String>> {
    let known: HashSet<&str> = features.rows.slice_id.iter().map(String::as_str).collect();
    if names.iter().any(|name| known.contains(name.as_str())) {
        return Ok(names);
    }
    let ids = user_pseudonymizer(None)?;
    Ok(names.iter().map(|name| ids.slice(name.trim())).collect())
}

/// The material, and whether its patients are pseudonyms already.
fn of_features(args: &Args) -> anyhow::Result<(Material, bool)> {
    let Some(path) = &args.features else {
        bail!("no features are named")
    };
    let features = read_features(path)?;
    let keeps = features.provenance.pseudonyms;
    Ok((Material::of_features(features, &columns(args))?, keeps))
}

/// Cohort, split and features of a study, as its stages have them.
fn of_study(args: &Args, path: &Path) -> anyhow::Result<Material> {
    let given = [
        &args.patient,
        &args.label,
        &args.path,
        &args.set,
        &args.site,
        &args.position,
        &args.name,
    ];
    ensure!(
        given.iter().all(|column| column.is_none()) && args.meta.is_empty() && args.metadata.is_none(),
        "a study's file says itself which column means what: leave --patient, --label and the like out"
    );
    let study = Study::load(path, &[])?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let beside = || path.parent().unwrap_or(Path::new("")).join("runs").join(&name);
    let folder = args.run_dir.clone().unwrap_or_else(beside);
    let mut run = StudyRun::open(study, &name, &folder).context("open the run folder")?;
    let cohort = run.cohort()?;
    let mut material = run.audit_material(&cohort)?;
    let layers = || -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder.join("features"))
            .into_iter()
            .flatten()
            .flatten();
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
            .collect();
        files.sort();
        files
    };
    let features = args
        .features
        .clone()
        .or_else(|| run.study.features.table.clone())
        .or_else(|| layers().into_iter().next());
    match features {
        Some(path) => {
            tracing::info!("features: {} (another layer: --features FILE)", path.display());
            run.add_features(&mut material, &cohort, &path)?;
        }
        None => tracing::info!("the study has no features yet: `hounsfield run` makes them"),
    }
    Ok(material)
}

fn heading(material: &Material) -> String {
    let sets = match material.sets() {
        [] => "no sets".to_owned(),
        sets if sets.len() > 8 => format!("{} sets", sets.len()),
        sets => format!("{} ({})", counted(sets.len(), "set"), sets.join(", ")),
    };
    let sets = match material.without_a_set() {
        0 => sets,
        1 => format!("{sets}; 1 row is in none of them"),
        n => format!("{sets}; {} rows are in none of them", count(n)),
    };
    let text = format!(
        "audit of {}: {}, {}, {sets}",
        material.sources().join(", "),
        counted(material.len(), "row"),
        counted(material.n_patients(), "patient"),
    );
    wrap(&text, "", "  ").join("\n")
}

/// The findings, the worst first, then what is right and what could not be looked at; rows of one of several tables with
/// its name.
fn show(found: &Audit, several: bool) -> anyhow::Result<()> {
    let (right, wrong): (Vec<&Finding>, Vec<&Finding>) = found
        .findings
        .iter()
        .partition(|finding| finding.severity == Severity::Ok);
    for finding in wrong {
        let first = format!("{:<8} ", finding.severity.to_string());
        say!("");
        for line in wrap(&format!("{}: {}", finding.check, finding.sentence), &first, "         ") {
            say!("{line}");
        }
        if !finding.rows.is_empty() {
            let place = |place: &hounsfield::audit::Place| {
                if several {
                    format!("{} {}", place.table, place.row)
                } else {
                    place.row.to_string()
                }
            };
            let rows: Vec<String> = finding.rows.iter().map(place).collect();
            let more = if finding.listed.len() > finding.rows.len() {
                ", ..."
            } else {
                ""
            };
            for line in wrap(
                &format!("{}{more}", rows.join(", ")),
                "         rows: ",
                "               ",
            ) {
                say!("{line}");
            }
        }
        if !finding.next.is_empty() {
            for line in wrap(&finding.next, "         next: ", "               ") {
                say!("{line}");
            }
        }
    }
    let plain = |heading: &str, lines: Vec<String>| -> anyhow::Result<()> {
        if !lines.is_empty() {
            say!("\n{heading}");
        }
        for line in lines.iter().flat_map(|line| wrap(line, "  ", "    ")) {
            say!("{line}");
        }
        Ok(())
    };
    plain(
        "looked at, and nothing to say against it:",
        right
            .iter()
            .map(|finding| format!("{}: {}", finding.check, finding.sentence))
            .collect(),
    )?;
    plain(
        "could not be looked at:",
        found
            .could_not_run
            .iter()
            .map(|(check, why)| format!("{check}: {why}"))
            .collect(),
    )
}

fn write_json(path: &Path, value: &serde_json::Value) -> anyhow::Result<()> {
    atomic_write(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })?;
    Ok(())
}

/// One line a row or pair: where it stands, whose it is (pseudonyms) and in which set.
fn write_list(path: &Path, material: &Material, found: &Audit, ids: &Pseudonymizer) -> anyhow::Result<()> {
    let header = [
        "check",
        "severity",
        "table",
        "row",
        "patient",
        "set",
        "other_table",
        "other_row",
        "other_patient",
        "other_set",
        "value",
    ]
    .map(str::to_owned);
    let side = |row: Option<usize>| match row {
        Some(row) => {
            let place = material.place(row);
            let set = material.set_of(row).unwrap_or_default().to_owned();
            vec![
                place.table,
                place.row.to_string(),
                material.pseudonym(row, ids).unwrap_or_default(),
                set,
            ]
        }
        None => vec![String::new(); 4],
    };
    let lines = found
        .findings
        .iter()
        .flat_map(|finding| finding.listed.iter().map(move |line| (finding, line)));
    let rows = lines.map(|(finding, line)| {
        let mut cells = vec![finding.check.to_owned(), finding.severity.to_string().to_lowercase()];
        cells.extend(side(Some(line.row)));
        cells.extend(side(line.other));
        cells.push(line.value.map(|value| format!("{value:.4}")).unwrap_or_default());
        cells
    });
    Ok(write_csv(path, &header, rows)?)
}
