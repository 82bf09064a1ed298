//! `hounsfield reproduce pu2020 --train`: the networks of the paper, trained on a cohort of the user's.

use std::path::PathBuf;

use anyhow::bail;
use hounsfield::volumes::{Protocol, Together};

/// The paper's protocol on scans of your own.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training on your scans (pu2020)")]
pub struct TrainArgs {
    /// Train the paper's networks on a cohort: a table with one row a scan, or one row a slice
    #[arg(long, value_name = "TABLE", group = "data", requires = "out", requires = "positive")]
    pub train: Option<PathBuf>,
    /// Where recipes, run folders and the report go
    #[arg(long, value_name = "FOLDER", requires = "train")]
    out: Option<PathBuf>,
    /// The networks; the others are compared with the first. The trunk of covnet starts from random weights unless
    /// `--override covnet:network.trunk.weights=FILE` names others [default: pu-a,pu-b,pu-c,covnet]
    #[arg(long, value_name = "MODEL,..", value_delimiter = ',', requires = "train")]
    models: Vec<String>,
    /// Column of the scans' paths
    #[arg(long, value_name = "COL", default_value = "path", requires = "train")]
    path: String,
    /// Column of the scans [default: scan_id, where there is one]
    #[arg(long, value_name = "COL", requires = "train")]
    scan: Option<String>,
    /// Column of the sites [default: site, where there is one]
    #[arg(long, value_name = "COL", requires = "train")]
    site: Option<String>,
    /// Voxels of a scan along each axis [default: 256, as the paper]
    #[arg(long, value_name = "N", requires = "train")]
    size: Option<usize>,
    /// Distance of voxels in mm [default: 1.5, as the paper]
    #[arg(long, value_name = "MM", requires = "train")]
    spacing: Option<f64>,
    /// Passes over the training scans, at most [default: 200]
    #[arg(long, value_name = "N", requires = "train")]
    epochs: Option<usize>,
    /// Another key of the recipes, e.g. `train.part=2`, or of one network, e.g. `covnet:network.every=4`; may be repeated
    #[arg(long = "override", value_name = "[MODEL:]KEY=VALUE", requires = "train")]
    overrides: Vec<String>,
    /// Where the networks run: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is any
    #[arg(long, default_value = "auto", requires = "train")]
    device: String,
    /// Threads of a network on a processor; with 1 a training is the same to the bit each time [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), requires = "train")]
    threads: Option<u16>,
}

/// What the options on the user's data say of the cohort's table.
pub struct Columns<'a> {
    pub patient: &'a str,
    pub label: &'a str,
    pub positive: Option<&'a str>,
    pub negative: &'a [String],
}

/// What the options on intervals and draws say, where they are given; the recipes have their own values.
pub struct Draws {
    pub resamples: Option<usize>,
    pub level: Option<f64>,
    pub seed: Option<u64>,
}

impl TrainArgs {
    /// Trains, where it was asked for.
    pub fn run(&self, paper: &str, columns: &Columns<'_>, draws: &Draws) -> anyhow::Result<Option<Together>> {
        let (Some(table), Some(out), Some(positive)) = (&self.train, &self.out, columns.positive) else {
            return Ok(None);
        };
        if paper != "pu2020" {
            bail!(
                "--train carries out the protocol of pu2020, whose networks read whole scans; {paper} has no such protocol"
            );
        }
        let optional = [("scan", &self.scan), ("site", &self.site)];
        let named = optional.map(|(key, column)| Some((key, column.as_deref()?)));
        let fixed = [
            ("path", &*self.path),
            ("patient", columns.patient),
            ("label", columns.label),
        ];
        let keys = fixed.into_iter().chain(named.into_iter().flatten());
        let mut overrides = Vec::new();
        overrides.extend(self.size.map(|size| format!("input.size=[{size}, {size}, {size}]")));
        overrides.extend(self.spacing.map(|spacing| format!("input.spacing={spacing:?}")));
        overrides.extend(self.epochs.map(|epochs| format!("train.epochs={epochs}")));
        let resamples = draws.resamples.map(|n| format!("evaluate.bootstrap.resamples={n}"));
        let level = draws.level.map(|level| format!("evaluate.bootstrap.level={level:?}"));
        overrides.extend(
            [resamples, level, draws.seed.map(|seed| format!("seed={seed}"))]
                .into_iter()
                .flatten(),
        );
        overrides.extend(self.overrides.iter().cloned());
        let protocol = Protocol {
            table: table.clone(),
            out: out.clone(),
            columns: keys.map(|(key, column)| (key.to_owned(), column.to_owned())).collect(),
            positive: positive.to_owned(),
            negative: columns.negative.to_vec(),
            models: match &self.models[..] {
                [] => Protocol::MODELS.map(str::to_owned).to_vec(),
                models => models.to_vec(),
            },
            overrides,
        };
        self.train(&protocol).map(Some)
    }

    #[cfg(feature = "torch")]
    fn train(&self, protocol: &Protocol) -> anyhow::Result<Together> {
        use std::{path::Path, sync::Arc};

        use hounsfield::volumes::{Model, Options, VolumeTraining};

        let stop = super::device::stop_at_ctrl_c("the step");
        let train = |model: &Model| {
            let options = Options {
                device: self.device.clone(),
                threads: self.threads.map(usize::from),
                restart: false,
                stop: Arc::clone(&stop),
            };
            let home = model.file.parent().unwrap_or(Path::new(""));
            VolumeTraining::open(model.recipe.clone(), &model.name, home, &model.folder, &options)?.run()?;
            Ok(())
        };
        let check = |model: &Model| Ok(VolumeTraining::check_memory(&model.recipe, &self.device)?);
        Ok(protocol.run(check, train)?)
    }

    /// The recipes are checked and written, for a machine that can train.
    #[cfg(not(feature = "torch"))]
    fn train(&self, protocol: &Protocol) -> anyhow::Result<Together> {
        let recipes = protocol.recipes()?.len();
        let threads = self
            .threads
            .map_or_else(String::new, |threads| format!(" on {threads} threads"));
        bail!(
            "this build has no libtorch, so nothing is trained on `{}`{threads} (install with `--features torch`); {recipes} recipes for \
             `hounsfield train-volume` were written: {:?}",
            self.device,
            protocol.out
        )
    }
}
