//! `hounsfield convert`: weights of another program into files and a card of this one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use hounsfield::{
    card::{self, EncoderCard},
    convert::{
        Staging,
        names::Overrides,
        tfhub::{GENERATOR, TRAINING, TfHub, WEIGHTS, Words, Written},
    },
    encoder::EncoderConfig,
    hub,
    progress::Progress,
    transforms::Preprocess,
};

use super::Done;

/// What a folder of converted weights holds; the card comes last, when all else is there.
const FILES: [&str; 4] = [WEIGHTS, GENERATOR, TRAINING, card::FILE];

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// DeepMind's BigBiGAN modules of TensorFlow Hub; needs no TensorFlow
    Tfhub(Box<TfhubArgs>),
}

#[derive(Debug, clap::Args)]
pub struct TfhubArgs {
    /// The module: its folder, its .tar.gz, or its https address
    module: String,
    /// Where weights and card go; a card that waits there for its weights keeps its words
    #[arg(long, value_name = "FOLDER", required_unless_present = "explain")]
    out: Option<PathBuf>,
    /// Say which variable goes where, and why; without `--out` nothing is written
    #[arg(long)]
    explain: bool,
    /// A file that says which variable is which where that can't be told
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Choose what no source settles about the network by the evidence in the weights; needs libtorch and minutes
    #[arg(long, requires = "out")]
    settle: bool,
    #[cfg(feature = "torch")]
    #[command(flatten)]
    settling: super::settle::Args,
    /// What the weights are called [default: the folder's name]
    #[arg(long, requires = "out")]
    name: Option<String>,
    /// Under what terms they may be used
    #[arg(long, requires = "out")]
    licence: Option<String>,
    /// Replace weights and a card that are there already
    #[arg(long, requires = "out")]
    overwrite: bool,
}

pub fn run(command: &Command) -> anyhow::Result<Done> {
    match command {
        Command::Tfhub(args) => tfhub(args),
    }
}

fn tfhub(args: &TfhubArgs) -> anyhow::Result<Done> {
    #[cfg(not(feature = "torch"))]
    anyhow::ensure!(
        !args.settle,
        "this build has no libtorch (install with `--features torch`), which `--settle` needs"
    );
    let overrides = match &args.names {
        Some(file) => Overrides::read(file)?,
        None => Overrides::default(),
    };
    #[cfg(feature = "torch")]
    let settling = args.settle.then(|| args.settling.options()).transpose()?;
    let waiting = match args.out.as_deref().map(EncoderCard::waiting).transpose() {
        // What is there is to go anyway, whatever it is.
        Err(_) if args.overwrite => None,
        waiting => waiting?.flatten(),
    };
    // A card that waits is there to be replaced.
    let kept = if waiting.is_some() { &FILES[..3] } else { &FILES[..] };
    let scratch = args
        .out
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join("explained"));
    let staging = Staging::beside(&scratch, kept, args.overwrite || args.out.is_none())?;
    remove_at_ctrl_c(staging.path());

    let archive = fetch(&args.module, &scratch, staging.path())?;
    let module = TfHub::open(&archive, staging.path(), &overrides)?;
    if args.explain {
        say!("{}", module.plan().explain());
    }
    let Some(out) = &args.out else {
        return Ok(Done::Whole);
    };
    if let Some(card) = &waiting {
        check_waiting(card, &module.plan().encoder, out)?;
    }
    #[cfg(feature = "torch")]
    anyhow::ensure!(
        settling.is_none() || module.plan().generator.is_some(),
        "the module has no generator, whose pictures `--settle` looks at: convert without it"
    );
    let written = module.write(staging.path())?;
    let plain = || (module.plan().encoder.clone(), not_settled());
    #[cfg(feature = "torch")]
    let (encoder, settled) = match settling {
        Some(options) => args.settling.run(options, &module, staging.path())?,
        None => plain(),
    };
    #[cfg(not(feature = "torch"))]
    let (encoder, settled) = plain();
    let words = words(args, waiting, out, &encoder);
    module
        .card(staging.path(), &written, words, &encoder, settled)?
        .write(staging.path())?;
    publish(staging, &written)?;
    say!("converted: {}", out.display());
    Ok(Done::Whole)
}

/// Words on one network must not get another one's weights.
fn check_waiting(card: &EncoderCard, found: &EncoderConfig, out: &Path) -> anyhow::Result<()> {
    let shapes = |encoder: &EncoderConfig| Some((encoder.kind(), encoder.expected_tensors().ok()?));
    anyhow::ensure!(
        shapes(&card.encoder) == shapes(found),
        "encoder card `{}` waits for weights of `{}`, and the module has `{}`{}: name another folder: {}",
        card.name,
        card.encoder.kind(),
        found.kind(),
        if card.encoder.kind() == found.kind() {
            " of other sizes"
        } else {
            ""
        },
        out.display()
    );
    Ok(())
}

fn is_address(module: &str) -> bool {
    module.starts_with("https://") || module.starts_with("http://")
}

/// The module on this machine: a path as it is, an address fetched. What came is kept beside `out` until it is whole, so that the
/// same command goes on where it was cut off.
fn fetch(module: &str, out: &Path, scratch: &Path) -> anyhow::Result<PathBuf> {
    if !is_address(module) {
        return Ok(PathBuf::from(module));
    }
    let address = match module.contains("tfhub.dev/") && !module.contains('?') {
        // What a browser gets there is a page about the module.
        true => format!("{module}?tf-hub-format=compressed"),
        false => module.to_owned(),
    };
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = scratch.with_file_name(format!(".{name}.module"));
    let archive = scratch.join("module");
    hub::download(&address, &beside, &Progress::bytes("fetch", 0)).context("fetch the module")?;
    std::fs::rename(&beside, &archive).with_context(|| format!("move {}", beside.display()))?;
    Ok(archive)
}

/// Words of the card: those of the card that waited, those of the command line, or that nothing is known.
fn words(args: &TfhubArgs, waiting: Option<EncoderCard>, out: &Path, encoder: &EncoderConfig) -> Words {
    let folder = || {
        let path = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
        path.file_name()
            .map_or_else(|| encoder.kind().to_owned(), |name| name.to_string_lossy().into_owned())
    };
    // An address says where weights are from, and its query may be secret; a path says only where this machine had them.
    let source = match is_address(&args.module) {
        true => args.module.split(['?', '#']).next().unwrap_or_default().to_owned(),
        false => "a module of TensorFlow Hub on disk".to_owned(),
    };
    let known = waiting.as_ref();
    Words {
        name: args
            .name
            .clone()
            .or_else(|| known.map(|card| card.name.clone()))
            .unwrap_or_else(folder),
        description: known.map_or_else(
            || format!("`{}` of a BigBiGAN module of TensorFlow Hub", encoder.kind()),
            |card| card.description.clone(),
        ),
        licence: args
            .licence
            .clone()
            .or_else(|| known.map(|card| card.licence.clone()))
            .unwrap_or_else(|| "not told: see the module's publisher".to_owned()),
        source: known.map_or(source, |card| card.source.clone()),
        preprocess: known.map_or_else(Preprocess::default, |card| card.preprocess.clone()),
    }
}

/// What is said of the switches where nobody looked.
fn not_settled() -> BTreeMap<String, String> {
    let words = "the likeliest reading of the sources; `hounsfield convert tfhub --settle` looks at the evidence";
    BTreeMap::from([("all".to_owned(), words.to_owned())])
}

fn publish(staging: Staging, written: &Written) -> anyhow::Result<()> {
    let files: Vec<&str> = written.files.iter().copied().chain([card::FILE]).collect();
    Ok(staging.publish(&files)?)
}

/// An interrupted conversion leaves nothing.
fn remove_at_ctrl_c(folder: &Path) {
    let folder = folder.to_owned();
    let installed = ctrlc::set_handler(move || {
        // Nothing better can be done with an error here: the folder is hidden and says what it is from.
        let _ = std::fs::remove_dir_all(&folder);
        eprintln!("interrupted; nothing was written");
        std::process::exit(2);
    });
    if let Err(error) = installed {
        tracing::debug!("Ctrl-C leaves the hidden folder: {error}");
    }
}
