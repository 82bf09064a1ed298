//! `hounsfield convert ... --settle`: what no source settles, by the evidence in the weights. Needs libtorch.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use hounsfield::{
    convert::tfhub::{GENERATOR, TRAINING, TfHub, WEIGHTS},
    encoder::{EncoderConfig, Weights},
    progress::Progress,
    torch::settle::{Inputs, Options, settle, steps},
};

/// How evidence is gathered.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of ordinary photographs, for the discriminator's sign and nearer statistics; without it the former is not tested
    #[arg(long, value_name = "FOLDER", requires = "settle")]
    images: Option<PathBuf>,
    /// Pictures that the generator draws for it, and the most photographs that are read
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(32..), requires = "settle")]
    pictures: u16,
    /// Where the networks run: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is any
    #[arg(long, default_value = "auto", requires = "settle")]
    device: String,
}

impl Args {
    /// The library's options.
    pub fn options(&self) -> anyhow::Result<Options> {
        Ok(Options {
            latents: usize::from(self.pictures),
            device: self.device.parse()?,
            ..Options::default()
        })
    }

    /// The encoder of converted weights with its switches chosen, and a sentence on each; the evidence is printed.
    pub fn run(
        &self,
        options: Options,
        module: &TfHub,
        folder: &Path,
    ) -> anyhow::Result<(EncoderConfig, BTreeMap<String, String>)> {
        let plan = module.plan();
        let generator = plan.generator.as_ref().context("the module has no generator")?;
        hounsfield::torch::init(None);
        let mut encoder = plan.encoder.clone();
        *encoder.weights_mut() = Weights::File(folder.join(WEIGHTS));
        let (drawn, trained) = (folder.join(GENERATOR), folder.join(TRAINING));
        let inputs = Inputs {
            encoder: &encoder,
            generator: (generator, &drawn),
            discriminator: plan.discriminator.as_ref().map(|network| (network, trained.as_path())),
            photographs: self.images.as_deref(),
        };
        let progress = Progress::new("settle", "images", steps(&inputs, &options)?);
        let settled = settle(&inputs, &options, &progress);
        progress.finish();
        let settled = settled.context("settle what no source settles")?;
        say!("{}", settled.evidence);
        let verdicts = settled.evidence.verdicts.iter();
        let verdicts = verdicts.map(|verdict| (verdict.switch.to_owned(), verdict.to_string()));
        Ok((settled.encoder, verdicts.collect()))
    }
}
