//! The card of an encoder that a training made.

use std::path::Path;

use super::{Data, PretrainError};
use crate::{
    card::{EncoderCard, GeneratorEntry, Training},
    encoder::{Layer, Weights},
    method::{BatchNormPolicy, MethodConfig},
    recipe::Pretrain,
    tables::sha256_bytes,
    torch::{
        ffi,
        trainer::{Product, Trainer},
    },
    words::counted,
};

/// The files of weights beside a card.
const ENCODER: &str = "weights.safetensors";
const GENERATOR: &str = "generator.safetensors";

/// Writes weights and card into a folder; `chosen` says why these and no others.
pub(super) fn write(
    folder: &Path,
    name: &str,
    (recipe, data): (&Pretrain, &Data),
    (trainer, product): (&Trainer, &Product),
    chosen: &str,
) -> Result<(), PretrainError> {
    std::fs::create_dir_all(folder).map_err(|source| PretrainError::Folder {
        source,
        path: folder.to_owned(),
    })?;
    product.save(&folder.join(ENCODER), &folder.join(GENERATOR))?;
    let mut encoder = recipe.encoder.clone();
    *encoder.weights_mut() = Weights::File(ENCODER.into());
    let (layers, generator, policy) = match &recipe.method {
        MethodConfig::BigBiGan(config) => {
            let entry = GeneratorEntry {
                weights: GENERATOR.into(),
                network: config.generator.clone(),
            };
            let layers = if config.stochastic {
                Layer::BIGBIGAN.to_vec()
            } else {
                without_posterior()
            };
            (layers, Some(entry), config.batch_norm)
        }
        MethodConfig::LeJepa(_) => (without_posterior(), None, BatchNormPolicy::Train),
    };
    let files: Vec<&str> = match &generator {
        Some(_) => vec![ENCODER, GENERATOR],
        None => vec![ENCODER],
    };
    let statistics = match policy {
        BatchNormPolicy::Frozen => "frozen: as they came with the weights",
        BatchNormPolicy::Adapt => "adapt: means over training slices; weights were trained with such",
        BatchNormPolicy::Train => "train: means over training slices; weights were trained with those of each batch",
    };
    let steps = trainer.steps();
    let text = serde_json::to_string(recipe).expect("a recipe that was read can be written");
    let card = EncoderCard {
        schema: EncoderCard::SCHEMA,
        name: name.to_owned(),
        description: format!(
            "{} trained by {} on CT slices, {chosen}",
            recipe.encoder.kind(),
            recipe.method.kind()
        ),
        licence: "that of whoever trained it; see the licences of the slices".to_owned(),
        source: format!("`hounsfield pretrain {name}.toml`"),
        obtain: None,
        layers: EncoderCard::widths(&recipe.encoder, &layers),
        sha256: EncoderCard::hashes(folder, &files)?,
        encoder,
        preprocess: recipe.preprocess.clone(),
        training: Some(Training {
            method: recipe.method.kind().to_owned(),
            data: format!(
                "{} of {}; {} of {} held out",
                counted(data.training.len(), "slice"),
                counted(data.patients(&data.training), "patient"),
                counted(data.held_out.len(), "slice"),
                counted(data.patients(&data.held_out), "patient"),
            ),
            seed: recipe.seed,
            steps,
            images: steps * recipe.images_per_step(),
            batch_norm: statistics.to_owned(),
            recipe_sha256: sha256_bytes(text.as_bytes()),
            hounsfield: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: ffi::torch_version(),
            started_from: trainer.started_from().map(str::to_owned),
        }),
        generator,
        conversion: None,
    };
    Ok(card.write(folder)?)
}

/// The layers of an encoder whose standard deviation nothing trained.
fn without_posterior() -> Vec<Layer> {
    vec![Layer::ZMean, Layer::AvepoolFeat, Layer::BnCreluFeat]
}
