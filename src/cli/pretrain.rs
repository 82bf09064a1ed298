//! `hounsfield pretrain`: an encoder from slices without labels.

use anyhow::Context as _;
use hounsfield::{
    pretrain::{Options, Pretraining},
    recipe::Pretrain,
};

use super::{Done, device::stop_at_ctrl_c, training_args::TrainingArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    training: TrainingArgs,
    /// Threads that load slices [default: 1 on a processor, else all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    load_threads: Option<u16>,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let load_threads = args.load_threads.map(usize::from);
    let args = &args.training;
    let recipe = Pretrain::load(&args.recipe, &args.overrides)?;
    let (name, folder) = args.place(recipe.name.as_deref());
    let options = Options {
        device: args.device.clone(),
        threads: args.threads.map(usize::from),
        load_threads,
        restart: args.restart,
        stop: stop_at_ctrl_c("the step"),
    };
    let training = Pretraining::open(recipe, &name, args.home(), &folder).context("open the run folder")?;
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
