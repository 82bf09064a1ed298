//! `hounsfield index`: folders of scans to a cohort's table.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hounsfield::{
    ct::{Pseudonymizer, Rescale},
    index::{
        Check, Index, IndexPlan, LabelKey, Labels, READER, Scan, Selection, Selections, Site, Table, TablePlan, checks,
        write_checks, write_confidential, write_left_out,
    },
    progress::Progress,
    study::user_pseudonymizer,
    words::{count, counted},
};

use super::{Done, device::stop_at_ctrl_c};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders, files and archives (.zip, .tar, .tar.gz) with scans
    #[arg(required = true, value_name = "FOLDER")]
    roots: Vec<PathBuf>,
    /// Where the table goes: .csv or .parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File with the salt of the pseudonyms, made where it is missing; keep it to get the same pseudonyms again
    #[arg(long, value_name = "FILE", conflicts_with = "keep_ids")]
    salt: Option<PathBuf>,
    /// Write identifiers as the files have them, and no pseudonyms: for those who may
    #[arg(long)]
    keep_ids: bool,
    /// One site for all slices
    #[arg(long, value_name = "NAME", conflicts_with = "site_from")]
    site: Option<String>,
    /// Where the site comes from
    #[arg(long, value_enum, default_value_t = SiteFrom::Institution)]
    site_from: SiteFrom,
    /// Table with labels: CSV, Parquet or xlsx
    #[arg(long, value_name = "TABLE")]
    labels: Option<PathBuf>,
    /// What labels are joined by: patient, study or file; `patient=COLUMN` where the column's name does not say it
    #[arg(long, value_name = "KEY", default_value = "patient", requires = "labels")]
    on: LabelKey,
    /// Column of the label [default: `label`, or the only one beside the key]
    #[arg(long, value_name = "COLUMN", requires = "labels")]
    label_column: Option<String>,
    /// Take slices by `position=FROM..TO` (0 at the head's end of a scan, 1 at the foot's), `lung=FROM..TO` (share of the body) or
    /// `list=FILE`; several must all hold
    #[arg(long, value_name = "RULE")]
    select: Vec<Selection>,
    /// Leave out scans of fewer slices
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_slices: usize,
    /// Write nothing if anything is odd about a scan
    #[arg(long)]
    strict: bool,
    /// What stored values mean in files that do not say it, e.g. `1,-1024`
    #[arg(long, value_name = "SLOPE,INTERCEPT", allow_hyphen_values = true)]
    assume_rescale: Option<Rescale>,
    /// Write which attributes of which files hold identifying content, without the content
    #[arg(long, value_name = "FILE")]
    phi_report: Option<PathBuf>,
    /// Where the list of what was left out goes [default: beside the table]
    #[arg(long, value_name = "FILE")]
    left_out: Option<PathBuf>,
    /// Threads that read; of them at most two have a volume open [default: all processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SiteFrom {
    /// Institution Name, as a pseudonym unless `--keep-ids`
    Institution,
    /// Manufacturer
    Manufacturer,
    /// The name of the folder that was asked for
    Folder,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    // Whatever can be wrong with the question is said before an hour of reading.
    Table::check_name(&args.out)?;
    let files = Files::of(args)?;
    let ids = match args.keep_ids {
        true => Pseudonymizer::keep(),
        false => user_pseudonymizer(args.salt.as_deref())?,
    };
    let labels = args
        .labels
        .as_ref()
        .map(|path| Labels::read(path, args.on.clone(), args.label_column.as_deref()));
    let labels = labels.transpose().context("read the labels")?;
    let selections = Selections::read(&args.select)?;

    let mut index = read(args)?;
    let mut warnings = std::mem::take(&mut index.warnings);
    let joined = labels.map(|labels| labels.join(&index.scans, &ids)).transpose()?;
    warnings.extend(joined.iter().flat_map(|joined| joined.warnings.clone()));
    warnings.extend(selections.apply(&mut index)?);
    warnings.extend(
        joined
            .as_ref()
            .and_then(|joined| selections.warn_of_labels(&index, joined)),
    );
    let burned_in_scans = index
        .scans
        .iter()
        .any(|scan| scan.slices.iter().any(|placed| placed.slice.burned_in));
    if index.burned_in > 0 && !burned_in_scans {
        let files = counted(index.burned_in, "file");
        warnings.push(format!(
            "text is in the picture (Burned In Annotation is YES) of {files} left out"
        ));
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let (odd, lines) = odd(&index.scans, &ids);
    if args.strict && !odd.is_empty() {
        bail!(refused(&lines));
    }

    let table = Table::of(
        &index.scans,
        &TablePlan {
            ids: &ids,
            site: &args.site(),
            roots: &args.roots,
            folder: &folder_of(&args.out)?,
            selection: selections.words.as_deref(),
            labels: joined.as_ref(),
        },
    );
    let left_out = &files.left_out;
    write_left_out(left_out, &index.left_out, &folder_of(left_out)?)?;
    say_left_out(&index, left_out)?;
    if table.n_rows == 0 {
        bail!("{}", files.no_row(&index));
    }
    if let Some(path) = &args.phi_report {
        let rows = write_confidential(path, &index, &table)?;
        say!(
            "{} with identifying content: {}",
            counted(rows, "attribute"),
            path.display()
        );
    }
    write_checks(&files.checks, &odd, &ids)?;
    // Last, so that a table has its neighbours.
    table.write(&args.out)?;
    say_what_was_written(&index, &table, args)?;
    Ok(Done::with(index.failures()))
}

impl Args {
    fn site(&self) -> Site {
        match (&self.site, self.site_from) {
            (Some(name), _) => Site::Named(name.clone()),
            (None, SiteFrom::Institution) => Site::Institution,
            (None, SiteFrom::Manufacturer) => Site::Manufacturer,
            (None, SiteFrom::Folder) => Site::Folder,
        }
    }
}

impl Args {
    /// The files that are read by name, and the salt, which is kept.
    fn inputs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let lists = self.select.iter().filter_map(|selection| match selection {
            Selection::List(path) => Some(("--select list=", path.as_path())),
            _ => None,
        });
        let labels = self.labels.iter().map(|path| ("--labels", path.as_path()));
        let salt = self.salt.iter().map(|path| ("--salt", path.as_path()));
        let roots = self.roots.iter().map(|path| ("a file to be indexed", path.as_path()));
        lists.chain(labels).chain(salt).chain(roots)
    }
}

fn read(args: &Args) -> anyhow::Result<Index> {
    let plan = IndexPlan {
        roots: args.roots.clone(),
        rescale: args.assume_rescale,
        threads: args.threads.map(usize::from),
        confidential: args.phi_report.is_some(),
        min_slices: args.min_slices,
    };
    quiet_readers();
    let stop = stop_at_ctrl_c("the files");
    let progress = Progress::new("index", "files", 0);
    let index = Index::of(&plan, &progress, &stop);
    progress.finish();
    Ok(index?)
}

/// A decoder that panics on a broken file is reported as that file's failure; the panic itself is for those who debug.
fn quiet_readers() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
        Some(READER) => tracing::debug!("a decoder panicked: {:?}", panic.location()),
        _ => usual(panic),
    }));
}

/// All that is odd, and the lines that say it, which are warnings too.
fn odd<'a>(scans: &'a [Scan], ids: &Pseudonymizer) -> (Vec<(&'a Scan, Check)>, Vec<String>) {
    let (mut odd, mut lines) = (Vec::new(), Vec::new());
    let pseudonyms = scans.iter().map(|scan| scan.pseudonym(ids));
    for (at, (scan, pseudonym)) in scans.iter().zip(pseudonyms).enumerate() {
        // Where identifiers are kept they are kept out of the log.
        let name = if ids.keeps() {
            format!("scan {}", at + 1)
        } else {
            pseudonym
        };
        for check in checks(scan) {
            let line = format!("{name}: {}: {check}", check.kind());
            tracing::warn!("{line}");
            lines.push(line);
            odd.push((scan, check));
        }
    }
    (odd, lines)
}

/// Lines of an error that are read; the log has all of them.
const SHOWN: usize = 20;

/// What `--strict` says.
fn refused(lines: &[String]) -> String {
    let n = counted(lines.len(), "thing");
    let mut said = format!(
        "`--strict`: {n} odd about scans, nothing was written; leave these scans out, or leave out `--strict` to get the \
         table with a list of them"
    );
    for line in lines.iter().take(SHOWN) {
        said += &format!("\n  {line}");
    }
    if lines.len() > SHOWN {
        said += &format!("\n  and {} more", count(lines.len() - SHOWN));
    }
    said
}

fn say_left_out(index: &Index, path: &Path) -> anyhow::Result<()> {
    let kinds = index.left_out_by_kind();
    if kinds.is_empty() {
        return Ok(());
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    say!("left out: {}: {}", kinds.join(", "), path.display());
    Ok(())
}

fn say_what_was_written(index: &Index, table: &Table, args: &Args) -> anyhow::Result<()> {
    let taken = || {
        index
            .scans
            .iter()
            .filter(|scan| scan.slices.iter().any(|placed| placed.taken))
    };
    let patients: std::collections::HashSet<&str> = taken().map(|scan| scan.series.patient().0).collect();
    say!(
        "{} of {} of {}: {}",
        counted(table.n_rows, "slice"),
        counted(taken().count(), "scan"),
        counted(patients.len(), "patient"),
        args.out.display()
    );
    Ok(())
}

/// The folder that a file will lie in, which must be there.
fn folder_of(file: &Path) -> anyhow::Result<PathBuf> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    folder
        .canonicalize()
        .with_context(|| format!("the folder can't be written to (create it first): {}", folder.display()))
}

/// The files that are written, each under a name of its own.
struct Files {
    out: PathBuf,
    checks: PathBuf,
    left_out: PathBuf,
}

impl Files {
    /// Looks whether all of them can be written and none is another one, or one that is read.
    fn of(args: &Args) -> anyhow::Result<Self> {
        let files = Self {
            out: args.out.clone(),
            checks: beside(&args.out, "checks"),
            left_out: args.left_out.clone().unwrap_or_else(|| beside(&args.out, "left-out")),
        };
        let mut outputs = vec![
            ("--out", &files.out),
            ("the checks beside --out", &files.checks),
            ("--left-out", &files.left_out),
        ];
        outputs.extend(args.phi_report.as_ref().map(|path| ("--phi-report", path)));
        let mut known: Vec<(&str, PathBuf)> = args.inputs().map(|(name, path)| (name, real(path))).collect();
        for (option, path) in outputs {
            let folder = folder_of(path)?;
            // Made and gone: an hour of reading ends with a table.
            tempfile::tempfile_in(&folder)
                .with_context(|| format!("{option}: the folder can't be written to: {}", folder.display()))?;
            let path = real(path);
            if path.is_dir() {
                bail!("{option} is a folder, expected the name of a file: {}", path.display());
            }
            if let Some((other, _)) = known.iter().find(|(_, known)| *known == path) {
                bail!(
                    "{option} and {other} are one file, give each a name of its own: {}",
                    path.display()
                );
            }
            known.push((option, path));
        }
        Ok(files)
    }

    /// Why there is no table.
    fn no_row(&self, index: &Index) -> String {
        let slices: usize = index.scans.iter().map(|scan| scan.slices.len()).sum();
        let why = match slices {
            0 => format!("no axial CT slice in {}", counted(index.files, "file")),
            n => format!("the selection takes none of {}", counted(n, "slice")),
        };
        let old = [&self.out, &self.checks].into_iter().filter(|path| path.exists());
        let old: Vec<String> = old.map(|path| path.display().to_string()).collect();
        let old = match old.is_empty() {
            true => String::new(),
            false => format!("; an earlier run's {} stay as they were", old.join(" and ")),
        };
        format!("{why}{old}; the reasons are in {}", self.left_out.display())
    }
}

/// A path as other paths are compared with it, whether something is there or not.
fn real(path: &Path) -> PathBuf {
    let whole = || {
        let folder = folder_of(path).ok()?;
        Some(folder.join(path.file_name()?))
    };
    path.canonicalize()
        .ok()
        .or_else(whole)
        .unwrap_or_else(|| path.to_owned())
}

/// `cohort.left-out.csv` beside `cohort.csv`.
fn beside(out: &Path, what: &str) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}.{what}.csv"))
}
