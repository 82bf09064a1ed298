//! `hounsfield pretrain`: an encoder from slices without labels.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hounsfield::{
    pretrain::{Options, Pretraining},
    recipe::Pretrain,
};

use super::{Done, device::stop_at_ctrl_c};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The training's file
    recipe: PathBuf,
    /// Override a key of the recipe, e.g. `--set train.steps=100`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where everything goes [default: `runs/NAME` beside the recipe]
    #[arg(long, value_name = "FOLDER")]
    run_dir: Option<PathBuf>,
    /// Where the networks run: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is any
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads of the network on a processor; with 1 a training is the same to the bit each time [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Threads that load slices [default: 1 on a processor, else all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    load_threads: Option<u16>,
    /// Start anew: checkpoints and pictures of an earlier training in the folder are removed
    #[arg(long)]
    restart: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let recipe = Pretrain::load(&args.recipe, &args.overrides)?;
    let stem = || {
        args.recipe
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let name = recipe.name.clone().unwrap_or_else(stem);
    let home = args.recipe.parent().unwrap_or(Path::new(""));
    let folder = args.run_dir.clone().unwrap_or_else(|| home.join("runs").join(&name));
    let options = Options {
        device: args.device.clone(),
        threads: args.threads.map(usize::from),
        load_threads: args.load_threads.map(usize::from),
        restart: args.restart,
        stop: stop_at_ctrl_c("the step"),
    };
    let training = Pretraining::open(recipe, &name, home, &folder).context("open the run folder")?;
    let outcome = training.run(&options)?;
    if outcome.early {
        say!("ended early, after {} steps: looks did not get better", outcome.steps);
    }
    if let Some((best, folder)) = &outcome.best {
        say!(
            "best:    {} ({} {:.4} at step {})",
            folder.display(),
            best.metric,
            best.value,
            best.step
        );
    }
    say!("encoder: {}", outcome.encoder.display());
    Ok(Done::with(outcome.failures))
}
