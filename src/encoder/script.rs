//! `torchscript`: a network that was written by others and saved as a program, <https://docs.pytorch.org/docs/stable/jit.html>.
//!
//! A script is code: it can't reach Python, but it computes what its author wrote. Use scripts of people you trust.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EncoderError, IMAGE_CHANNELS, Layer, Weights, pixels};

/// Settings of `torchscript`.
///
/// ```
/// use hounsfield::encoder::{EncoderConfig, Layer};
/// let config: EncoderConfig = toml::from_str(
///     r#"
///     kind = "torchscript"
///     weights = "foundation.pt"
///     input_size = 224
///     outputs = { embedding = { width = 768, at = "pooled" } }
///     "#,
/// )?;
/// assert_eq!(config.width(Layer::Embedding)?, 768);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TorchScript {
    /// The file that `torch.jit.save` wrote. It is never drawn at random.
    pub weights: Weights,
    /// Rows and columns of a slice as it enters.
    pub input_size: usize,
    /// Planes of the images that it takes: 1, or 3, which are equal where slices are grey. Default: 3.
    #[serde(default = "three")]
    pub planes: usize,
    /// Mean of each plane, black 0 and white 1: slices go from 0 to 1, less this mean, over `std`. Default: none, and then
    /// the script sees values from -1 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Standard deviation of each plane; given with `mean` or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// The method that is called with a batch `[N, planes, S, S]`. Default: `forward`.
    #[serde(default = "forward")]
    pub method: String,
    /// What it gives, by the layer's name.
    pub outputs: BTreeMap<Layer, ScriptOutput>,
}

/// One output of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptOutput {
    /// Number of features a slice.
    pub width: usize,
    /// Which part of a tuple, a list or a dictionary. Default: none, for a script that gives a lone tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

/// A place in what a script gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum At {
    /// Of a tuple or a list, from 0.
    Index(usize),
    /// Of a dictionary.
    Key(String),
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Key(key) => write!(f, "{key:?}"),
        }
    }
}

fn three() -> usize {
    IMAGE_CHANNELS
}

fn forward() -> String {
    "forward".to_owned()
}

impl TorchScript {
    pub(super) fn check(&self) -> Result<(), EncoderError> {
        if self.weights == Weights::Random {
            return Err(EncoderError::RandomScript);
        }
        pixels::check_size(self.input_size, 1)?;
        if ![1, IMAGE_CHANNELS].contains(&self.planes) {
            return Err(EncoderError::Planes { found: self.planes });
        }
        match (&self.mean, &self.std) {
            (Some(mean), Some(std)) => pixels::check(mean, std, self.planes)?,
            (None, None) => {}
            _ => return Err(EncoderError::HalfOfPixels),
        }
        if self.outputs.is_empty() {
            return Err(EncoderError::NoOutputs);
        }
        if self.outputs.contains_key(&Layer::ZSample) {
            return Err(EncoderError::ScriptSamples);
        }
        for (&layer, output) in &self.outputs {
            if output.width == 0 {
                return Err(EncoderError::Zero { field: "outputs.width" });
            }
            if output.at.is_none() && self.outputs.len() > 1 {
                return Err(EncoderError::OutputNowhere { layer });
            }
        }
        Ok(())
    }

    pub(super) fn layers(&self) -> BTreeMap<Layer, usize> {
        let width = |(layer, output): (&Layer, &ScriptOutput)| (*layer, output.width);
        self.outputs.iter().map(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::encoder::EncoderConfig;

    fn said(lines: &str) -> String {
        let text = format!("kind = 'torchscript'\n{lines}");
        let config: EncoderConfig = toml::from_str(&text).unwrap();
        config.check().expect_err("the script was taken").to_string()
    }

    #[test]
    fn what_a_script_cannot_be_asked_is_refused_with_a_way_out() {
        let one = "outputs = { embedding = { width = 4 } }";
        for (lines, words) in [
            (format!("weights = 'random'\ninput_size = 8\n{one}"), "name its file"),
            (format!("weights = 'a.pt'\ninput_size = 0\n{one}"), "input size 0"),
            (format!("weights = 'a.pt'\ninput_size = 8\nplanes = 2\n{one}"), "2 planes"),
            (format!("weights = 'a.pt'\ninput_size = 8\nmean = [0.5, 0.5, 0.5]\n{one}"), "`std`"),
            (
                format!("weights = 'a.pt'\ninput_size = 8\nplanes = 1\nmean = [0.5, 0.5]\nstd = [1, 1]\n{one}"),
                "expected 1 finite",
            ),
            ("weights = 'a.pt'\ninput_size = 8\noutputs = {}".to_owned(), "`outputs`"),
            (
                "weights = 'a.pt'\ninput_size = 8\noutputs = { z_sample = { width = 4 } }".to_owned(),
                "`z_sample`",
            ),
            (
                "weights = 'a.pt'\ninput_size = 8\noutputs = { z_mean = { width = 4, at = 0 }, embedding = { width = 4 } }"
                    .to_owned(),
                "`embedding`",
            ),
            (
                "weights = 'a.pt'\ninput_size = 8\noutputs = { embedding = { width = 0 } }".to_owned(),
                "outputs.width",
            ),
        ] {
            let found = said(&lines);
            assert!(found.contains(words), "{words:?} is not in {found:?}");
        }
    }
}
