//! `hounsfield export`: a trained encoder for other programs.

use std::path::{Path, PathBuf};

use anyhow::bail;
use hounsfield::{
    card::{self, CheckedCard, EncoderCard},
    hub::{Address, Hub},
    torch::export::{Exported, safetensors, script_card, torchscript},
};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// An encoder card, by its folder, its file, or its address on the hub
    #[arg(value_name = "CARD|ADDRESS")]
    encoder: PathBuf,
    /// Write a network that PyTorch runs by itself: `torch.jit.load(FILE)(x)["z_mean"]`
    #[arg(long, value_name = "FILE.ts", required_unless_present = "safetensors")]
    torchscript: Option<PathBuf>,
    /// Write a card beside the TorchScript file too, so that a study can use it as its encoder
    #[arg(long, requires = "torchscript")]
    card: bool,
    /// Write the weights for the module in pretrained/bigbigan_encoder.py
    #[arg(long, value_name = "FILE.safetensors")]
    safetensors: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    hounsfield::torch::init(None);
    let source = load(&args.encoder)?;
    check_places(args, &source)?;
    if let Some(path) = &args.torchscript {
        let folder = path.parent().unwrap_or(Path::new(""));
        let place = folder.join(card::FILE);
        if args.card && place.exists() {
            bail!("the card would take the place of another: name a file in a folder without one: {place:?}");
        }
        let script = torchscript(&source, path)?;
        tell("torchscript", &script)?;
        if args.card {
            script_card(&source.card, &script).write(folder)?;
            say!("card: {}", place.display());
        }
    }
    if let Some(path) = &args.safetensors {
        tell("safetensors", &safetensors(&source, path)?)?;
    }
    let size = source.card.encoder.input_size();
    let preprocess = source.card.preprocess.canonical();
    tracing::info!("slices enter as [N, 3, {size}, {size}] in [-1, 1], prepared as {preprocess}");
    Ok(Done::Whole)
}

/// Nothing that is written may take the place of what is read, or of what was written before it.
fn check_places(args: &Args, source: &CheckedCard) -> anyhow::Result<()> {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let mut taken: Vec<PathBuf> = source
        .card
        .files()
        .iter()
        .map(|file| source.folder.join(file))
        .collect();
    taken.push(source.folder.join(card::FILE));
    for path in args.torchscript.iter().chain(&args.safetensors) {
        if place(path).is_some_and(|here| {
            taken
                .iter()
                .any(|other| place(other).is_some_and(|other| other == here))
        }) {
            bail!(
                "it would take the place of the encoder's own files, or of the other export: name another file: {path:?}"
            );
        }
        taken.push(path.clone());
    }
    Ok(())
}

fn load(encoder: &Path) -> anyhow::Result<CheckedCard> {
    if !Address::is_meant_by(encoder) {
        return Ok(EncoderCard::load(encoder)?);
    }
    let address: Address = encoder.to_string_lossy().parse()?;
    Ok(EncoderCard::fetch(&Hub::from_env()?, &address)?.checked)
}

fn tell(what: &str, file: &Exported) -> anyhow::Result<()> {
    let layers: Vec<String> = file
        .layers
        .iter()
        .map(|(layer, width)| format!("{layer} {width}"))
        .collect();
    say!(
        "{what}: {} ({}; sha256 {})",
        file.path.display(),
        layers.join(", "),
        file.sha256
    );
    Ok(())
}
