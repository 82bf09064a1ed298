//! A trained encoder for other programs.
//!
//! [`torchscript`] writes a file that PyTorch runs by itself, in Python or C++: `torch.jit.load(FILE)(x)["z_mean"]`,
//! and [`script_card`] makes the card with which a study of ours uses it too.
//! [`safetensors()`] writes the weights alone, for the module in `pretrained/bigbigan_encoder.py`, which can be trained further.
//! Both files say what they are, which layers mean something and how slices are to be prepared.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use rand::distr::{Distribution as _, Uniform};
use serde_json::json;
use tch::{CModule, IValue, Tensor};

use super::{
    TorchError,
    encoders::{Encoder, Outputs},
    ffi,
    layers::Statistics,
    weights,
};
use crate::{
    card::{CheckedCard, EncoderCard},
    encoder::{At, EncoderConfig, IMAGE_CHANNELS, Layer, PREFIX, ScriptOutput, TorchScript, Weights},
    tables::sha256_file,
};

/// What a file says of itself lies in it under this name: as `extra/hounsfield.json` in a TorchScript archive, as an entry of the
/// header in safetensors.
pub const ABOUT: &str = "hounsfield.json";

/// How far a feature may be off after writing and reading, relative to the layer's largest value.
const TOLERANCE: f64 = 1e-5;

/// A file that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
    /// Its features with their widths, in the order in which `forward` gives them.
    pub layers: Vec<(Layer, usize)>,
}

/// Writes the network of a card as TorchScript. `forward(x)` takes `[N, 3, S, S]` in `[-1, 1]`, any `N`, and gives a dictionary of
/// the card's layers, `[N, F]` each, less `z_sample`, which needs noise. Weights are its parameters, batch norms' statistics its
/// buffers, by the names of the safetensors file without `encoder.`; it is in use, not in training, and asks for no gradients.
///
/// What was written is read back and compared with the encoder before it takes its place.
///
/// # Errors
///
/// When the card's encoder is none of BigBiGAN's, its weights don't fit, the file can't be written, or gives other features.
pub fn torchscript(card: &CheckedCard, path: &Path) -> Result<Exported, TorchError> {
    let source = Source::open(card)?;
    let encoder = Encoder::new(&source.config, &source.weights.tensors)?;
    let names: Vec<&str> = source.layers.iter().map(|(layer, _)| layer.name()).collect();
    let tensors: Vec<(&str, &Tensor)> = source.weights.tensors.iter().map(|(name, t)| (bare(name), t)).collect();
    let about = source.about(card)?;
    let recording = ffi::Recording {
        tensors: &tensors,
        is_buffer: |name| name.contains(".running_"),
        outputs: &names,
        extra: (ABOUT, &about),
    };
    let (folder, name) = place(path)?;
    let unwritten = |source| TorchError::Io {
        verb: "written",
        source,
        path: path.to_owned(),
    };
    // A folder, not a file of another name: the name is part of the archive.
    let hidden = tempfile::Builder::new()
        .prefix(".export-")
        .tempdir_in(folder)
        .map_err(unwritten)?;
    let draft = hidden.path().join(name);

    let _no_gradients = tch::no_grad_guard();
    let mut network = |x: &Tensor| source.features(&encoder.forward(x, Statistics::Stored)?);
    // Two slices: an axis of length one can be taken for one that is stretched.
    ffi::trace(&recording, &source.slices(2)?, &mut network, &draft)?;

    let module = CModule::load(&draft)?;
    for slices in [1, 3] {
        let x = source.slices(slices)?;
        source.compare(&module.forward_is(&[IValue::Tensor(x.shallow_clone())])?, &network(&x)?)?;
    }
    let sha256 = sha256_file(&draft)?;
    fs::File::open(&draft)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&draft, path))
        .map_err(unwritten)?;
    Ok(Exported {
        path: path.to_owned(),
        sha256,
        layers: source.layers,
    })
}

/// Writes the weights of a card's encoder by their names without `encoder.`, as `pretrained/bigbigan_encoder.py` has them.
///
/// # Errors
///
/// When the card's encoder is none of BigBiGAN's, its weights don't fit, or the file can't be written.
pub fn safetensors(card: &CheckedCard, path: &Path) -> Result<Exported, TorchError> {
    let source = Source::open(card)?;
    let tensors = source.weights.tensors.iter();
    let tensors = tensors
        .map(|(name, t)| (bare(name).to_owned(), t.shallow_clone()))
        .collect();
    // One entry: the order of several would be another each time.
    let about = HashMap::from([(ABOUT.to_owned(), source.about(card)?)]);
    Ok(Exported {
        sha256: weights::save_with(&tensors, Some(about), path)?,
        path: path.to_owned(),
        layers: source.layers,
    })
}

/// The card of a script that [`torchscript`] made from `card`, to be written beside it: a study then uses the script as any other
/// encoder.
pub fn script_card(card: &EncoderCard, script: &Exported) -> EncoderCard {
    let name = script.path.file_name().unwrap_or_default();
    let output = |(layer, width): &(Layer, usize)| {
        let at = Some(At::Key(layer.name().to_owned()));
        (*layer, ScriptOutput { width: *width, at })
    };
    EncoderCard {
        source: format!(
            "{}; exported as TorchScript by hounsfield {}",
            card.source,
            env!("CARGO_PKG_VERSION")
        ),
        obtain: None,
        encoder: EncoderConfig::TorchScript(TorchScript {
            weights: Weights::File(name.into()),
            input_size: card.encoder.input_size(),
            planes: IMAGE_CHANNELS,
            mean: None,
            std: None,
            method: "forward".to_owned(),
            outputs: script.layers.iter().map(output).collect(),
        }),
        layers: script.layers.iter().copied().collect(),
        sha256: BTreeMap::from([(name.to_string_lossy().into_owned(), script.sha256.clone())]),
        generator: None,
        ..card.clone()
    }
}

/// What is exported.
struct Source {
    config: EncoderConfig,
    weights: weights::Loaded,
    layers: Vec<(Layer, usize)>,
}

impl Source {
    fn open(card: &CheckedCard) -> Result<Self, TorchError> {
        let config = card.encoder();
        // The settings were checked with the card: what has no architecture is of another kind.
        if config.architecture().is_err() {
            return Err(TorchError::NotExported { kind: config.kind() });
        }
        let layers = card.card.layers.iter().map(|(layer, width)| (*layer, *width));
        let layers: Vec<_> = layers.filter(|(layer, _)| *layer != Layer::ZSample).collect();
        if layers.is_empty() {
            return Err(TorchError::OnlyNoise {
                card: card.card.name.clone(),
            });
        }
        let weights = match config.weights() {
            Weights::File(path) => weights::load(&config, path)?,
            Weights::Random => {
                return Err(TorchError::Untrained {
                    card: card.card.name.clone(),
                });
            }
        };
        Ok(Self {
            config,
            weights,
            layers,
        })
    }

    /// What the file says of itself, as JSON.
    fn about(&self, card: &CheckedCard) -> Result<String, TorchError> {
        let card = &card.card;
        let size = self.config.input_size();
        let planes = match card.preprocess.planes() {
            1 => "a grey slice in each of the planes",
            _ => "the windows of `preprocess` in the planes, in their order",
        };
        let layers: serde_json::Map<_, _> = self
            .layers
            .iter()
            .map(|(layer, width)| (layer.name().to_owned(), json!(width)))
            .collect();
        Ok(json!({
            "schema": 1,
            "name": card.name,
            "description": card.description,
            "licence": card.licence,
            "source": card.source,
            "input": format!("x [N, {IMAGE_CHANNELS}, {size}, {size}], float32 in [-1, 1], {planes}"),
            "layers": layers,
            "preprocess": card.preprocess,
            "kind": self.config.kind(),
            "architecture": self.config.architecture()?,
            "weights_sha256": self.weights.sha256,
            "hounsfield": env!("CARGO_PKG_VERSION"),
            "libtorch": ffi::torch_version(),
        })
        .to_string())
    }

    /// Made slices `[n, 3, S, S]` in `[-1, 1]`.
    fn slices(&self, n: usize) -> Result<Tensor, TorchError> {
        let size = self.config.input_size();
        let values = Uniform::new(-1.0f32, 1.0).expect("-1 is below 1");
        let count = n * IMAGE_CHANNELS * size * size;
        let values: Vec<f32> = values
            .sample_iter(crate::seed::stream(n as u64, "export"))
            .take(count)
            .collect();
        let shape = [n, IMAGE_CHANNELS, size, size].map(|length| length as i64);
        Ok(Tensor::f_from_slice(&values)?.f_reshape(shape)?)
    }

    /// The layers that are exported, in their order.
    fn features(&self, outputs: &Outputs) -> Result<Vec<Tensor>, TorchError> {
        let feature = |(layer, _): &(Layer, usize)| match layer {
            Layer::ZMean => Ok(outputs.z_mean.shallow_clone()),
            Layer::ZStdev => Ok(outputs.z_stdev.shallow_clone()),
            Layer::AvepoolFeat => Ok(outputs.avepool_feat.shallow_clone()),
            Layer::BnCreluFeat => Ok(outputs.bn_crelu_feat.shallow_clone()),
            _ => Err(TorchError::NoNoise(*layer)),
        };
        self.layers.iter().map(feature).collect()
    }

    fn compare(&self, found: &IValue, expected: &[Tensor]) -> Result<(), TorchError> {
        let entry = |layer: Layer| match found {
            IValue::GenericDict(entries) => entries.iter().find_map(|(key, value)| match (key, value) {
                (IValue::String(key), IValue::Tensor(value)) if key == layer.name() => Some(value),
                _ => None,
            }),
            _ => None,
        };
        for ((layer, _), expected) in self.layers.iter().zip(expected) {
            let found = match entry(*layer) {
                Some(found) if found.size() == expected.size() => {
                    let largest = expected.abs().max().double_value(&[]).max(f64::MIN_POSITIVE);
                    (found - expected).abs().max().double_value(&[]) / largest
                }
                _ => f64::INFINITY,
            };
            if found.is_nan() || found > TOLERANCE {
                return Err(TorchError::ExportDiffers {
                    layer: *layer,
                    found,
                    allowed: TOLERANCE,
                });
            }
        }
        Ok(())
    }
}

/// A name as it is in the file, e.g. `stem.conv.weight`.
fn bare(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// Folder and name of a file that is to be written.
fn place(path: &Path) -> Result<(&Path, &std::ffi::OsStr), TorchError> {
    let Some(name) = path.file_name() else {
        return Err(TorchError::Io {
            verb: "written",
            source: std::io::ErrorKind::InvalidFilename.into(),
            path: path.to_owned(),
        });
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    Ok((folder, name))
}
