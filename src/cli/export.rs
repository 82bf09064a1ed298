//! `hounsfield export`: a trained encoder for other programs.

use std::path::PathBuf;

use hounsfield::{
    card::EncoderCard,
    torch::export::{Exported, safetensors, torchscript},
};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// An encoder card, by its folder or its file
    card: PathBuf,
    /// Write a network that PyTorch runs by itself: `torch.jit.load(FILE)(x)["z_mean"]`
    #[arg(long, value_name = "FILE.pt", required_unless_present = "safetensors")]
    torchscript: Option<PathBuf>,
    /// Write the weights for the module in pretrained/bigbigan_encoder.py
    #[arg(long, value_name = "FILE.safetensors")]
    safetensors: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    hounsfield::torch::init(None);
    let card = EncoderCard::load(&args.card)?;
    if let Some(path) = &args.torchscript {
        tell("torchscript", &torchscript(&card, path)?)?;
    }
    if let Some(path) = &args.safetensors {
        tell("safetensors", &safetensors(&card, path)?)?;
    }
    let size = card.card.encoder.input_size();
    let preprocess = card.card.preprocess.canonical();
    tracing::info!("slices enter as [N, 3, {size}, {size}] in [-1, 1], prepared as {preprocess}");
    Ok(Done::Whole)
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
