//! `hounsfield describe`: a network's layers, its parameters, and the memory that it takes. No libtorch is needed.

use std::path::Path;

use anyhow::{Context as _, bail};
use hounsfield::{
    baseline::{BaselineConfig, LayerFacts, MemoryPlan, encoder_layers, free_memory},
    card::{CLASSIFIER, CheckedClassifier, ClassifierCard, EncoderCard},
    encoder::EncoderConfig,
    method::Precision,
    recipe::TrainVolume,
    report::Grid,
    transforms::ScanInput,
    words::{binary, count, counted},
};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A network by its kind (e.g. `pu-a`, `covnet`, `resnet50-imagenet`), a recipe of `train-volume`, or a folder with a card: a run folder's too
    #[arg(value_name = "KIND|RECIPE|FOLDER")]
    which: String,
    /// Override a key of the recipe, e.g. `--set network.every=2`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Voxels of a scan along all axes, or along D, H and W: `128` or `64,96,96` [default: the recipe's or the card's; 256]
    #[arg(long, value_name = "VOXELS", value_parser = size)]
    size: Option<[usize; 3]>,
    /// Scans of one step of the optimiser [default: the recipe's; 8]
    #[arg(long, value_name = "SCANS", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Scans that pass the network together [default: the recipe's; the whole batch]
    #[arg(long, value_name = "SCANS", value_parser = clap::value_parser!(u16).range(1..))]
    part: Option<u16>,
    /// Compute in bf16
    #[arg(long)]
    bf16: bool,
    /// Compute activations again instead of keeping them
    #[arg(long)]
    recompute: bool,
}

/// More voxels than this along an axis no network here is built for: a recipe's `input.size` stops earlier.
const SIDE: usize = 4096;

/// `128` or `64,96,96`.
fn size(text: &str) -> Result<[usize; 3], String> {
    let fits = |side: &usize| (1..=SIDE).contains(side);
    let numbers: Result<Vec<usize>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok([side]) if fits(side) => Ok([*side; 3]),
        Ok(sides @ [d, h, w]) if sides.iter().all(fits) => Ok([*d, *h, *w]),
        _ => Err(format!(
            "expected one number of voxels from 1 to {SIDE}, or three with commas between"
        )),
    }
}

/// What is described.
enum Subject {
    Classifier(Box<Plan>),
    Encoder(EncoderConfig),
}

/// A classifier of scans, and how it is to be trained.
struct Plan {
    network: BaselineConfig,
    size: [usize; 3],
    batch: usize,
    part: Option<usize>,
    precision: Precision,
    recompute: bool,
}

impl Plan {
    /// Of a network alone: the sizes of the recipes' defaults.
    fn of(network: BaselineConfig, size: [usize; 3]) -> Self {
        Self {
            network,
            size,
            batch: 8,
            part: None,
            precision: Precision::Float32,
            recompute: false,
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    match args.subject()? {
        Subject::Classifier(plan) => classifier(args, *plan)?,
        Subject::Encoder(encoder) => {
            let of_scans = [
                ("size", args.size.is_some()),
                ("batch", args.batch.is_some()),
                ("part", args.part.is_some()),
                ("bf16", args.bf16),
                ("recompute", args.recompute),
            ];
            if let Some((name, _)) = of_scans.into_iter().find(|(_, given)| *given) {
                bail!(
                    "`--{name}` is for classifiers of scans, and `{}` is an encoder of slices: leave it out, or describe a recipe \
                     whose network is `covnet` with this trunk",
                    encoder.kind()
                );
            }
            self::encoder(&encoder)?;
        }
    }
    Ok(Done::Whole)
}

impl Args {
    fn subject(&self) -> anyhow::Result<Subject> {
        let name = self.which.as_str();
        if let Some(network) = BaselineConfig::named(name) {
            self.no_overrides()?;
            return Ok(Subject::Classifier(Plan::of(network, ScanInput::default().size).into()));
        }
        if EncoderConfig::KINDS.contains(&name) {
            self.no_overrides()?;
            let text = format!("kind = \"{name}\"");
            let encoder = toml::from_str(&text).with_context(|| {
                format!("`{name}` has no layers that are known before its file: describe another kind")
            })?;
            return Ok(Subject::Encoder(encoder));
        }
        let path = Path::new(name);
        if !path.exists() {
            let kinds = BaselineConfig::KINDS.into_iter().chain(EncoderConfig::KINDS);
            bail!(
                "{name:?} is no kind of network, no recipe and no folder: expected one of {}, or a path",
                kinds.collect::<Vec<_>>().join(", ")
            );
        }
        let path = ClassifierCard::folder(path);
        let path = path.as_path();
        let is = |file: &str| path.ends_with(file) || path.join(file).is_file();
        if is(CLASSIFIER) {
            self.no_overrides()?;
            let CheckedClassifier { card, .. } = ClassifierCard::load(path)?;
            return Ok(Subject::Classifier(Plan::of(card.network, card.input.size).into()));
        }
        if is(hounsfield::card::FILE) {
            self.no_overrides()?;
            return Ok(Subject::Encoder(EncoderCard::read(path)?.encoder));
        }
        if path.is_dir() {
            bail!(
                "there is no card, `{CLASSIFIER}` or `{}`, in the folder: {name:?}",
                hounsfield::card::FILE
            );
        }
        let recipe = TrainVolume::load(path, &self.overrides)?;
        Ok(Subject::Classifier(
            Plan {
                network: recipe.network,
                size: recipe.input.size,
                batch: recipe.train.batch,
                part: recipe.train.part,
                precision: recipe.train.precision,
                recompute: recipe.train.recompute,
            }
            .into(),
        ))
    }

    fn no_overrides(&self) -> anyhow::Result<()> {
        if !self.overrides.is_empty() {
            bail!("`--set` changes keys of a recipe, and {:?} is none", self.which);
        }
        Ok(())
    }
}

fn classifier(args: &Args, plan: Plan) -> anyhow::Result<()> {
    let size = args.size.unwrap_or(plan.size);
    let batch = args.batch.map_or(plan.batch, usize::from);
    // A part of the recipe's batch may be more than the whole of another.
    let of_plan = || plan.part.map_or(batch, |part| part.min(batch));
    let part = args.part.map_or_else(of_plan, usize::from);
    let precision = if args.bf16 { Precision::BFloat16 } else { plan.precision };
    let recompute = args.recompute || plan.recompute;
    let (network, [d, h, w]) = (&plan.network, size);
    let layers = network.layers(size)?;
    let training = MemoryPlan::of(network, size, batch, part, precision, recompute)?;
    let scoring = MemoryPlan::scoring(network, size, 1, precision)?;
    say!("{}: scans of {d} x {h} x {w} voxels to two classes", network.kind());
    table(&layers, "kept a scan")?;
    say!("\n{}", training.table().trim_end());
    say!("\n{}", scoring.table().trim_end());
    let card = training.on_card()?;
    if card.total != training.total {
        say!(
            "\nOn a graphics card, where a level is not one operation, a training step takes {}.",
            binary(card.total)
        );
    }
    let Some(free) = free_memory() else { return Ok(()) };
    let verdict = match training.proposal(free) {
        _ if training.total <= free => "the training fits".to_owned(),
        Some(proposal) => format!("the training does not fit: {proposal}"),
        None => "no setting of this training fits".to_owned(),
    };
    say!("\nThis machine has {} of main memory free: {verdict}.", binary(free));
    Ok(())
}

fn encoder(encoder: &EncoderConfig) -> anyhow::Result<()> {
    let side = encoder.input_size();
    say!("{}: slices of {side} x {side} pixels", encoder.kind());
    if matches!(encoder, EncoderConfig::TorchScript(_)) {
        say!("\nIts layers are those of its file, and not known.");
    } else {
        table(&encoder_layers(encoder)?, "kept a slice")?;
    }
    let layers = encoder.layers();
    let features = layers
        .iter()
        .map(|(layer, width)| format!("{layer} ({})", count(*width)));
    say!("\nfeatures: {}", features.collect::<Vec<_>>().join(", "));
    Ok(())
}

/// The layers, and a line with their sums. What is kept is counted in 32-bit floats.
fn table(layers: &[LayerFacts], kept: &str) -> anyhow::Result<()> {
    let mut grid = Grid::new(&["layer", "what", "output", "parameters", kept]);
    let (mut parameters, mut bytes) = (0, 0);
    for layer in layers {
        let output: Vec<String> = layer.output.iter().map(ToString::to_string).collect();
        let of_layer = 4 * layer.kept as u64;
        let shown = |n: u64, text: String| if n == 0 { String::new() } else { text };
        grid.row([
            layer.name.clone(),
            layer.kind.clone(),
            output.join(" x "),
            shown(layer.parameters as u64, count(layer.parameters)),
            shown(of_layer, binary(of_layer)),
        ]);
        parameters += layer.parameters;
        bytes += of_layer;
    }
    say!("\n{}", grid.render().trim_end());
    say!(
        "\n{} in {}; for gradients of one, {} of activations are kept in 32-bit floats",
        counted(parameters, "parameter"),
        counted(layers.len(), "layer"),
        binary(bytes)
    );
    Ok(())
}
