//! The `[encoder]` table: a kind, its weights, and the switches that the published sources leave open.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{DinoV2, ResNet50ImageNet, TorchScript};

/// Which encoder, with what weights and switches.
///
/// ```
/// use hounsfield::encoder::{EncoderConfig, Layer};
/// let config: EncoderConfig = toml::from_str("kind = \"bigbigan-resnet50\"\nweights = \"random\"")?;
/// assert_eq!(config.input_size(), 256);
/// assert_eq!(config.width(Layer::BnCreluFeat)?, 4096);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum EncoderConfig {
    /// The pre-activation ResNet-50 of `deepmind/bigbigan-resnet50/1`: 92 million parameters.
    #[serde(rename = "bigbigan-resnet50")]
    ResNet50(ResNet50),
    /// The reversible ResNet-50, four times as wide, of `deepmind/bigbigan-revnet50x4/1`: 204 million parameters.
    #[serde(rename = "bigbigan-revnet50x4")]
    RevNet50x4(RevNet50x4),
    /// A small network of the ResNet's kind, for tests, demonstrations and dry runs.
    #[serde(rename = "bigbigan-resnet-tiny")]
    TinyResNet(TinyResNet),
    /// A small network of the RevNet's kind.
    #[serde(rename = "bigbigan-revnet-tiny")]
    TinyRevNet(TinyRevNet),
    /// The ResNet-50 of torchvision and timm, trained on ImageNet's labels: 23.5 million parameters without its classifier.
    #[serde(rename = "resnet50-imagenet")]
    ResNet50ImageNet(ResNet50ImageNet),
    /// DINOv2's small vision transformer: 22.1 million parameters.
    #[serde(rename = "dinov2-vits14")]
    DinoV2(DinoV2),
    /// Any network at all, as a TorchScript program.
    #[serde(rename = "torchscript")]
    TorchScript(TorchScript),
}

/// Where an encoder's weights come from; in a recipe `"random"` or a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Weights {
    /// Drawn from the study's seed and never trained. Whatever they make is marked as untrained.
    #[default]
    Random,
    /// A `.safetensors` file; relative paths are the recipe's business. A file that is called `random` is written `./random`.
    File(PathBuf),
}

impl From<String> for Weights {
    fn from(text: String) -> Self {
        if text == "random" {
            Self::Random
        } else {
            Self::File(text.into())
        }
    }
}

impl From<Weights> for String {
    fn from(weights: Weights) -> Self {
        match weights {
            Weights::Random => "random".to_owned(),
            Weights::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// Settings of `bigbigan-resnet50`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet50 {
    /// Default: random.
    pub weights: Weights,
    /// Width of the MLP on top. Default: 4096.
    pub head_dim: usize,
    /// Rows and columns of a slice as it enters, a multiple of 32. Default: 256, which the published weights were trained on.
    pub input_size: usize,
    /// Default: `preact`.
    pub shortcut_from: ShortcutFrom,
    /// What the sources leave open.
    pub switches: Switches,
}

/// Settings of `bigbigan-revnet50x4`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RevNet50x4 {
    /// Default: random.
    pub weights: Weights,
    /// Width of the MLP on top; whether it is wider than the ResNet's is not known. Default: 4096.
    pub head_dim: usize,
    /// Rows and columns of a slice as it enters, a multiple of 32. Default: 256, which the published weights were trained on.
    pub input_size: usize,
    /// What the sources leave open.
    pub switches: Switches,
}

/// Settings of `bigbigan-resnet-tiny`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TinyResNet {
    /// Default: random.
    pub weights: Weights,
    /// Channels inside the first stage's bottlenecks; features are 32 times as wide. Default: 4.
    pub width: usize,
    /// Units a stage. Default: 2, 2, 1, 1.
    pub depths: [usize; 4],
    /// Width of the MLP on top. Default: 32.
    pub head_dim: usize,
    /// Width of `z_mean`. Default: 12.
    pub z_dim: usize,
    /// Rows and columns of a slice as it enters, a multiple of 32. Default: 64.
    pub input_size: usize,
    /// Default: `preact`.
    pub shortcut_from: ShortcutFrom,
    /// What the sources leave open.
    pub switches: Switches,
}

/// Settings of `bigbigan-revnet-tiny`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TinyRevNet {
    /// Default: random.
    pub weights: Weights,
    /// A quarter of the stem's channels, even; features are 32 times as wide. Default: 4.
    pub width: usize,
    /// Units a stage. Default: 2, 2, 1, 1.
    pub depths: [usize; 4],
    /// Width of the MLP on top. Default: 32.
    pub head_dim: usize,
    /// Width of `z_mean`. Default: 12.
    pub z_dim: usize,
    /// Rows and columns of a slice as it enters, a multiple of 32. Default: 64.
    pub input_size: usize,
    /// What the sources leave open.
    pub switches: Switches,
}

/// What no source that could be read settles. The defaults are the likeliest reading; weights that were trained under
/// another one give wrong features without an error, so a converter must set them on evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Where strided convolutions and the pool are padded. Default: `fixed`.
    pub padding: Padding,
    /// What the max-pool sees outside the image, for `fixed` padding only. Default: `zero`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_pad: Option<PoolPad>,
    /// Whether a ReLU follows the last batch norm. Default: yes in the ResNet, no in the RevNet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_relu: Option<bool>,
    /// Added to the variance in every batch norm. Default: 1e-4.
    pub bn_eps: f64,
    /// Which half of the last layer is the mean. Default: `mean-first`.
    pub halves: HalfOrder,
}

/// Where zeros are put around an image before a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// `(k - 1) / 2` before and the rest after, whatever the stride.
    #[default]
    Fixed,
    /// TensorFlow's SAME: with stride 2 on an even size the extra row and column lie at the end.
    Same,
}

/// What a max-pool sees outside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolPad {
    /// Zeros; there is no ReLU before the pool, so they can win.
    #[default]
    Zero,
    /// Nothing: the padding never wins.
    NegInf,
}

/// What a unit's 1x1 shortcut reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortcutFrom {
    /// The unit's input after its first batch norm and ReLU.
    #[default]
    Preact,
    /// The unit's input itself.
    Raw,
}

/// Order of the last layer's two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HalfOrder {
    /// The mean, then what becomes the standard deviation.
    #[default]
    MeanFirst,
    /// The other way round.
    StdevFirst,
}

impl EncoderConfig {
    /// The names of all kinds.
    pub const KINDS: [&'static str; 7] = [
        "bigbigan-resnet50",
        "bigbigan-revnet50x4",
        "bigbigan-resnet-tiny",
        "bigbigan-revnet-tiny",
        "resnet50-imagenet",
        "dinov2-vits14",
        "torchscript",
    ];

    /// Those that can be trained here.
    pub const TRAINABLE: [&'static str; 4] = {
        let [a, b, c, d, ..] = Self::KINDS;
        [a, b, c, d]
    };

    /// The name in a recipe, e.g. `bigbigan-resnet50`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ResNet50(_) => "bigbigan-resnet50",
            Self::RevNet50x4(_) => "bigbigan-revnet50x4",
            Self::TinyResNet(_) => "bigbigan-resnet-tiny",
            Self::TinyRevNet(_) => "bigbigan-revnet-tiny",
            Self::ResNet50ImageNet(_) => "resnet50-imagenet",
            Self::DinoV2(_) => "dinov2-vits14",
            Self::TorchScript(_) => "torchscript",
        }
    }

    /// Where the weights come from.
    pub fn weights(&self) -> &Weights {
        match self {
            Self::ResNet50(c) => &c.weights,
            Self::RevNet50x4(c) => &c.weights,
            Self::TinyResNet(c) => &c.weights,
            Self::TinyRevNet(c) => &c.weights,
            Self::ResNet50ImageNet(c) => &c.weights,
            Self::DinoV2(c) => &c.weights,
            Self::TorchScript(c) => &c.weights,
        }
    }

    /// The same, to be changed: e.g. where a relative path is read from the recipe's folder.
    pub fn weights_mut(&mut self) -> &mut Weights {
        match self {
            Self::ResNet50(c) => &mut c.weights,
            Self::RevNet50x4(c) => &mut c.weights,
            Self::TinyResNet(c) => &mut c.weights,
            Self::TinyRevNet(c) => &mut c.weights,
            Self::ResNet50ImageNet(c) => &mut c.weights,
            Self::DinoV2(c) => &mut c.weights,
            Self::TorchScript(c) => &mut c.weights,
        }
    }

    /// The switches, and what the shortcuts of a ResNet read, to be changed by who settles them; `None` where the kind has
    /// none.
    pub fn switches_mut(&mut self) -> Option<(&mut Switches, Option<&mut ShortcutFrom>)> {
        match self {
            Self::ResNet50(c) => Some((&mut c.switches, Some(&mut c.shortcut_from))),
            Self::RevNet50x4(c) => Some((&mut c.switches, None)),
            Self::TinyResNet(c) => Some((&mut c.switches, Some(&mut c.shortcut_from))),
            Self::TinyRevNet(c) => Some((&mut c.switches, None)),
            Self::ResNet50ImageNet(_) | Self::DinoV2(_) | Self::TorchScript(_) => None,
        }
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            padding: Padding::Fixed,
            pool_pad: None,
            last_relu: None,
            // Proven for the BigGAN modules of the same authors, extrapolated to the encoder.
            bn_eps: 1e-4,
            halves: HalfOrder::MeanFirst,
        }
    }
}

impl Default for ResNet50 {
    fn default() -> Self {
        Self {
            weights: Weights::Random,
            head_dim: 4096,
            input_size: 256,
            shortcut_from: ShortcutFrom::Preact,
            switches: Switches::default(),
        }
    }
}

impl Default for RevNet50x4 {
    fn default() -> Self {
        Self {
            weights: Weights::Random,
            head_dim: 4096,
            input_size: 256,
            switches: Switches::default(),
        }
    }
}

impl Default for TinyResNet {
    fn default() -> Self {
        Self {
            weights: Weights::Random,
            width: 4,
            depths: [2, 2, 1, 1],
            head_dim: 32,
            z_dim: 12,
            input_size: 64,
            shortcut_from: ShortcutFrom::Preact,
            switches: Switches::default(),
        }
    }
}

impl Default for TinyRevNet {
    fn default() -> Self {
        Self {
            weights: Weights::Random,
            width: 4,
            depths: [2, 2, 1, 1],
            head_dim: 32,
            z_dim: 12,
            input_size: 64,
            switches: Switches::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EncoderConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_kind_alone_is_the_default_of_that_kind() {
        let config = parse("kind = \"bigbigan-revnet50x4\"").unwrap();
        assert_eq!(config, EncoderConfig::RevNet50x4(RevNet50x4::default()));
        assert_eq!(config.weights(), &Weights::Random);
    }

    #[test]
    fn every_kind_survives_a_round_trip_through_toml() {
        for kind in EncoderConfig::KINDS {
            let more = match kind {
                "resnet50-imagenet" | "dinov2-vits14" => "mean = [0.1, 0.2, 0.3]\ninput_size = 448",
                "torchscript" => {
                    "weights = \"a.pt\"\ninput_size = 97\nplanes = 1\nmethod = \"encode\"\n\
                     outputs = { embedding = { width = 7, at = 1 }, z_mean = { width = 3, at = \"mean\" } }"
                }
                _ => "switches = { padding = \"same\", last_relu = true, bn_eps = 0.001 }",
            };
            let mut config = parse(&format!("kind = \"{kind}\"\n{more}")).unwrap();
            *config.weights_mut() = Weights::File("some/file.safetensors".into());
            assert_eq!(config.kind(), kind);
            assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn unknown_keys_kinds_and_switches_are_refused() {
        for text in [
            "kind = \"bigbigan-resnet51\"",
            "kind = \"bigbigan-resnet50\"\nwidth = 4",
            "kind = \"bigbigan-resnet50\"\nswitches = { pading = \"same\" }",
            "kind = \"bigbigan-resnet50\"\nswitches = { padding = \"valid\" }",
            "kind = \"bigbigan-revnet50x4\"\nshortcut_from = \"raw\"",
            "kind = \"bigbigan-resnet-tiny\"\ndepths = [1, 2, 3]",
            "kind = \"resnet50-imagenet\"\nswitches = {}",
            "kind = \"dinov2-vits14\"\nmean = [0.5]",
            "kind = \"torchscript\"\nweights = \"a.pt\"",
            "kind = \"torchscript\"\nweights = \"a.pt\"\ninput_size = 64\noutputs = { pooled = { width = 3 } }",
        ] {
            assert!(parse(text).is_err(), "accepted {text}");
        }
    }
}
