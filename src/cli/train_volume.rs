//! `hounsfield train-volume`: a classifier of whole scans.

use std::path::{Path, PathBuf};

use hounsfield::{
    recipe::TrainVolume,
    volumes::{Options, VolumeTraining},
};

use super::{Done, device::stop_at_ctrl_c};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The training's file
    recipe: PathBuf,
    /// Override a key of the recipe, e.g. `--set train.epochs=20`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where everything goes [default: `runs/NAME` beside the recipe]
    #[arg(long, value_name = "FOLDER")]
    run_dir: Option<PathBuf>,
    /// Where the network runs: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is any
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads of the network on a processor; with 1 a training is the same to the bit each time [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Start anew: what an earlier training left in the folder is removed
    #[arg(long)]
    restart: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let recipe = TrainVolume::load(&args.recipe, &args.overrides)?;
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
    let metric = recipe.plateau.metric.name();
    let options = Options {
        device: args.device.clone(),
        threads: args.threads.map(usize::from),
        restart: args.restart,
        stop: stop_at_ctrl_c("the step"),
    };
    let outcome = VolumeTraining::open(recipe, &name, home, &folder, &options)?.run()?;
    if outcome.early {
        say!(
            "ended early, after {} epochs: {metric} did not get better",
            outcome.epochs
        );
    }
    let best = &outcome.best;
    say!(
        "best:       epoch {} ({metric} {:.4}, loss {:.4})",
        best.epoch,
        best.value,
        best.loss
    );
    say!("classifier: {}", outcome.classifier.display());
    say!("report:     {}", folder.join("report.html").display());
    say!("\n{}", outcome.measured.table.trim_end());
    if let Some(why) = &outcome.measured.not_converged {
        say!("\nNOT CONVERGED: {why}");
    }
    Ok(Done::with(outcome.failures))
}
