//! One file a subcommand; each reads a recipe, calls the library and prints.
//!
//! Exit codes: 0 done, 1 done but some inputs failed, 2 error, 3 an audited split leaks. Data goes to stdout, logs and progress to stderr.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use hounsfield::{Study, study::StudyRun};

/// Prints a line of data. A reader that has gone away is an error, not a panic.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($text)*)?
    }};
}

mod audit;
mod compare;
mod convert;
mod demo;
mod describe;
mod device;
mod doctor;
mod evaluate;
mod explain;
#[cfg(feature = "torch")]
mod export;
mod extract;
mod features;
mod index;
mod phantoms;
mod predict;
#[cfg(feature = "torch")]
mod predict_volume;
#[cfg(feature = "torch")]
mod pretrain;
mod preview;
mod probe;
mod protocol;
mod readers;
mod report;
mod reproduce;
mod run;
mod score_args;
#[cfg(feature = "torch")]
mod settle;
mod split;
#[cfg(feature = "torch")]
mod train_volume;
#[cfg(feature = "torch")]
mod training_args;
mod volume;
mod weights;
#[cfg(not(feature = "torch"))]
mod without_torch;

#[cfg(not(feature = "torch"))]
use without_torch::{self as export, self as predict_volume, self as pretrain, self as train_volume};

/// Self-supervised representations of CT slices, and honest measures of what they know
#[derive(Debug, clap::Parser)]
#[command(version, arg_required_else_help = true, propagate_version = false)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more; twice for all
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a synthetic cohort and run a whole study on it
    Demo(demo::Args),
    /// Run a whole study: cohort, split, features, probe, report
    Run(run::Args),
    /// Make a synthetic cohort: slices of two diseases from two sites, or whole scans of two textures
    Phantoms(phantoms::Args),
    /// Make a cohort's table of folders of scans: slices from head to foot, no patient named
    Index(Box<index::Args>),
    /// Train an encoder on slices without labels, or fine-tune one
    Pretrain(pretrain::Args),
    /// Train a classifier of whole scans, and measure it
    TrainVolume(train_volume::Args),
    /// Write a trained encoder for other programs: TorchScript, or safetensors for a small PyTorch module
    Export(export::Args),
    /// Make weights and a card of another program's weights
    #[command(subcommand)]
    Convert(convert::Command),
    /// Show slices before and after preprocessing, and how often which values occur at each site; or whole scans, and what augmentation
    /// does to them
    Preview(preview::Args),
    /// Split a cohort by patient and write the list
    Split(split::Args),
    /// Turn the slices of a cohort into feature tables
    Extract(extract::Args),
    /// Fit heads on features and measure them
    Probe(probe::Args),
    /// Write the report of a finished probe again
    Report(report::Args),
    /// Draw maps of a finished study's features, neighbours of slices, and what a generator makes of them
    Explain(explain::Args),
    /// Score a table of features with a saved head
    Predict(predict::Args),
    /// Score whole scans with a trained classifier, and show where it looks
    ///
    /// A card holds no patients: whether the classifier was trained on any of these can't be known here. Scores of those are no
    /// evidence; `set` in the `predictions.parquet` of its training says who they were.
    PredictVolume(Box<predict_volume::Args>),
    /// Measure readers: rates, agreement, arms with and without help
    Readers(Box<readers::Args>),
    /// Measure the scores of any table, with the intervals and the names that reviewers ask for
    Evaluate(Box<evaluate::Args>),
    /// Compare scores of the same rows, paired, over a declared family
    Compare(Box<compare::Args>),
    /// Look for what makes results too good: leaks, duplicates, shortcuts, tables that do not add up
    Audit(Box<audit::Args>),
    /// Import, export and show tables of features
    #[command(subcommand)]
    Features(features::Command),
    /// Fetch, list, check and send trained weights
    #[command(subcommand)]
    Weights(weights::Command),
    /// Recompute what a paper printed: printed, recomputed, verdict
    Reproduce(Box<reproduce::Args>),
    /// Look at a scan, write it in another format, grid or order, draw a sheet of its slices
    #[command(subcommand)]
    Volume(Box<volume::Command>),
    /// Show a network's layers, its parameters, and the memory that it takes
    Describe(describe::Args),
    /// Say what this build and this machine can do
    Doctor(doctor::Args),
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Everything.
    Whole,
    /// Some inputs failed and the rest went on.
    WithFailures,
    /// An audit found that a split leaks.
    SplitLeaks,
}

impl Done {
    fn with(failures: usize) -> Self {
        if failures == 0 { Self::Whole } else { Self::WithFailures }
    }
}

impl From<Done> for ExitCode {
    fn from(done: Done) -> Self {
        match done {
            Done::Whole => Self::SUCCESS,
            Done::WithFailures => Self::from(1),
            Done::SplitLeaks => Self::from(3),
        }
    }
}

/// The crates that parse DICOM, as targets of logs.
const DICOM_LOGS: [&str; 5] = [
    "dicom_core",
    "dicom_encoding",
    "dicom_object",
    "dicom_parser",
    "dicom_transfer_syntax_registry",
];

impl Cli {
    /// Logs go to stderr; `RUST_LOG` wins over `-v` and `-q`.
    pub fn start_logging(&self) {
        use tracing_subscriber::EnvFilter;
        let level = match (self.quiet, self.verbose) {
            (true, _) => "error",
            (_, 0) => "warn,hounsfield=info",
            (_, 1) => "info,hounsfield=debug",
            _ => "trace",
        };
        if self.quiet {
            hounsfield::progress::silence();
        }
        #[cfg(feature = "torch")]
        quiet_decoders();
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        // What the parser has to say it says of a patient's file, values included; no level brings that back.
        let filter = DICOM_LOGS.iter().fold(filter, |filter, target| {
            let off = format!("{target}=off").parse().expect("a target and a level");
            filter.add_directive(off)
        });
        let plain = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .without_time()
            .with_target(false);
        plain
            .with_env_filter(filter)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
    }

    pub fn run(self) -> anyhow::Result<Done> {
        match self.command {
            Command::Demo(args) => demo::run(&args),
            Command::Run(args) => run::run(&args),
            Command::Phantoms(args) => phantoms::run(&args),
            Command::Index(args) => index::run(&args),
            Command::Pretrain(args) => pretrain::run(&args),
            Command::TrainVolume(args) => train_volume::run(&args),
            Command::Export(args) => export::run(&args),
            Command::Convert(command) => convert::run(&command),
            Command::Preview(args) => preview::run(&args),
            Command::Split(args) => split::run(&args),
            Command::Extract(args) => extract::run(&args),
            Command::Probe(args) => probe::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::PredictVolume(args) => predict_volume::run(&args),
            Command::Readers(args) => readers::run(&args),
            Command::Evaluate(args) => evaluate::run(&args),
            Command::Compare(args) => compare::run(&args),
            Command::Audit(args) => audit::run(&args),
            Command::Features(command) => features::run(&command),
            Command::Weights(command) => weights::run(&command),
            Command::Reproduce(args) => reproduce::run(&args),
            Command::Volume(command) => volume::run(&command),
            Command::Describe(args) => describe::run(&args),
            Command::Doctor(args) => doctor::run(&args),
        }
    }
}

/// A decoder that panics on a broken file is reported as that row's failure; the panic itself is for those who debug.
#[cfg(feature = "torch")]
fn quiet_decoders() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
        Some(hounsfield::torch::extract::DECODER | hounsfield::pretrain::LOADER | hounsfield::index::READER) => {
            tracing::debug!("a decoder panicked: {panic}")
        }
        _ => usual(panic),
    }));
}

/// The study that a stage command works on.
#[derive(Debug, Clone, clap::Args)]
struct StudyArgs {
    /// The study's file
    study: PathBuf,
    /// Override a key of the study, e.g. `--set probe.unit=slice`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where artefacts go [default: `runs/NAME` beside the study's file]
    #[arg(long, value_name = "FOLDER")]
    run_dir: Option<PathBuf>,
}

impl StudyArgs {
    fn load(&self) -> anyhow::Result<Study> {
        Ok(Study::load(&self.study, &self.overrides)?)
    }

    fn open(&self) -> anyhow::Result<StudyRun> {
        let study = self.load()?;
        let name = self
            .study
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let beside = || self.study.parent().unwrap_or(Path::new("")).join("runs").join(&name);
        let folder = self.run_dir.clone().unwrap_or_else(beside);
        StudyRun::open(study, &name, &folder).context("open the run folder")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
