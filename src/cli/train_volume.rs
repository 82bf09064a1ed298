//! `hounsfield train-volume`: a classifier of whole scans.

use hounsfield::{
    recipe::TrainVolume,
    volumes::{Options, VolumeTraining},
};

use super::{Done, device::stop_at_ctrl_c, training_args::TrainingArgs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    training: TrainingArgs,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let args = &args.training;
    let recipe = TrainVolume::load(&args.recipe, &args.overrides)?;
    let (name, folder) = args.place(recipe.name.as_deref());
    let metric = recipe.plateau.metric.name();
    let options = Options {
        device: args.device.clone(),
        threads: args.threads.map(usize::from),
        restart: args.restart,
        stop: stop_at_ctrl_c("the step"),
    };
    let outcome = VolumeTraining::open(recipe, &name, args.home(), &folder, &options)?.run()?;
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
