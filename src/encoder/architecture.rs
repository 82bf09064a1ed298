//! A configuration with all its defaults filled in, and the names and shapes of the tensors that it needs.

use serde::Serialize;

use super::{EncoderConfig, EncoderError, HalfOrder, Padding, PoolPad, ShortcutFrom, Switches};

/// Two-layer residual blocks in the MLP on top.
pub const HEAD_BLOCKS: usize = 2;

/// Channels of the first convolution; a grey slice is repeated.
pub const IMAGE_CHANNELS: usize = 3;

/// What the names of all tensors of an encoder begin with.
pub const PREFIX: &str = "encoder.";

/// Which of the two trunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Pre-activation bottlenecks with shortcuts.
    ResNet,
    /// Reversible units on two halves of the channels.
    RevNet,
}

/// Everything that fixes the network's arithmetic, nothing else: two encoders with equal architectures and weights
/// give equal features.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Architecture {
    /// The trunk.
    pub family: Family,
    /// Base width: the bottlenecks of a ResNet's first stage.
    pub width: usize,
    /// Units a stage.
    pub depths: [usize; 4],
    /// Width of the MLP on top.
    pub head_dim: usize,
    /// Width of the latent vector.
    pub z_dim: usize,
    /// Rows and columns of a slice.
    pub input_size: usize,
    /// Where zeros are put.
    pub padding: Padding,
    /// What the max-pool sees outside the image.
    pub pool_pad: PoolPad,
    /// What a ResNet's 1x1 shortcuts read.
    pub shortcut_from: ShortcutFrom,
    /// Whether a ReLU follows the last batch norm.
    pub last_relu: bool,
    /// Added to the variance in every batch norm.
    pub bn_eps: f64,
    /// Which half of the last layer is the mean.
    pub halves: HalfOrder,
}

impl EncoderConfig {
    /// Rows and columns of the slices that it takes.
    pub fn input_size(&self) -> usize {
        self.sizes().input_size
    }

    /// The network with all defaults filled in.
    ///
    /// # Errors
    ///
    /// When sizes or switches do not make a network.
    pub fn architecture(&self) -> Result<Architecture, EncoderError> {
        let net = self.sizes();
        let sizes = [("width", net.width), ("head_dim", net.head_dim), ("z_dim", net.z_dim)];
        let depths = net.depths.map(|d| ("depths", d));
        if let Some(&(field, _)) = sizes.iter().chain(&depths).find(|(_, n)| *n == 0) {
            return Err(EncoderError::Zero { field });
        }
        if net.family == Family::RevNet && !net.width.is_multiple_of(2) {
            return Err(EncoderError::OddWidth { width: net.width });
        }
        if !net.input_size.is_multiple_of(32) || !(32..=4096).contains(&net.input_size) {
            return Err(EncoderError::InputSize { found: net.input_size });
        }
        if !(net.bn_eps > 0.0 && net.bn_eps < 1.0) {
            return Err(EncoderError::Epsilon { found: net.bn_eps });
        }
        let switches = self.switches();
        if switches.padding == Padding::Same && switches.pool_pad.is_some() {
            return Err(EncoderError::PoolPad);
        }
        Ok(net)
    }

    /// Name and shape of every tensor of the encoder, sorted by name.
    ///
    /// # Errors
    ///
    /// As [`EncoderConfig::architecture`].
    pub fn expected_tensors(&self) -> Result<Vec<(String, Vec<usize>)>, EncoderError> {
        Ok(self.architecture()?.expected_tensors())
    }

    /// Kind and arithmetic in one line of JSON, for a table's provenance: everything but where the weights come from.
    ///
    /// # Errors
    ///
    /// As [`EncoderConfig::architecture`].
    pub fn describe(&self) -> Result<String, EncoderError> {
        Ok(serde_json::json!({ "kind": self.kind(), "architecture": self.architecture()? }).to_string())
    }

    /// The same network with every switch written out, whatever its default is.
    #[must_use]
    pub fn spelled_out(mut self) -> Self {
        let Architecture {
            padding,
            pool_pad,
            last_relu,
            ..
        } = self.sizes();
        let switches = match &mut self {
            Self::ResNet50(c) => &mut c.switches,
            Self::RevNet50x4(c) => &mut c.switches,
            Self::TinyResNet(c) => &mut c.switches,
            Self::TinyRevNet(c) => &mut c.switches,
        };
        switches.last_relu = Some(last_relu);
        // SAME leaves no choice, and an error where one is made.
        switches.pool_pad = (padding == Padding::Fixed).then_some(pool_pad);
        self
    }

    fn switches(&self) -> &Switches {
        match self {
            Self::ResNet50(c) => &c.switches,
            Self::RevNet50x4(c) => &c.switches,
            Self::TinyResNet(c) => &c.switches,
            Self::TinyRevNet(c) => &c.switches,
        }
    }

    /// As [`EncoderConfig::architecture`], unchecked.
    pub(super) fn sizes(&self) -> Architecture {
        let (family, width, depths, head_dim, z_dim, input_size, shortcut_from) = match self {
            Self::ResNet50(c) => (
                Family::ResNet,
                64,
                [3, 4, 6, 3],
                c.head_dim,
                120,
                c.input_size,
                c.shortcut_from,
            ),
            // The base width of 64 times four.
            Self::RevNet50x4(c) => (
                Family::RevNet,
                256,
                [3, 4, 6, 3],
                c.head_dim,
                120,
                c.input_size,
                ShortcutFrom::Preact,
            ),
            Self::TinyResNet(c) => (
                Family::ResNet,
                c.width,
                c.depths,
                c.head_dim,
                c.z_dim,
                c.input_size,
                c.shortcut_from,
            ),
            Self::TinyRevNet(c) => (
                Family::RevNet,
                c.width,
                c.depths,
                c.head_dim,
                c.z_dim,
                c.input_size,
                ShortcutFrom::Preact,
            ),
        };
        let switches = self.switches();
        let pool_pad = match switches.padding {
            Padding::Fixed => switches.pool_pad.unwrap_or_default(),
            Padding::Same => PoolPad::NegInf,
        };
        Architecture {
            family,
            width,
            depths,
            head_dim,
            z_dim,
            input_size,
            padding: switches.padding,
            pool_pad,
            shortcut_from,
            last_relu: switches.last_relu.unwrap_or(family == Family::ResNet),
            bn_eps: switches.bn_eps,
            halves: switches.halves,
        }
    }
}

impl Architecture {
    /// Channels that leave the trunk.
    pub fn feature_width(&self) -> usize {
        32 * self.width
    }

    /// Channels that leave the first convolution.
    pub fn stem_width(&self) -> usize {
        match self.family {
            Family::ResNet => self.width,
            Family::RevNet => 4 * self.width,
        }
    }

    /// Name and shape of every tensor, sorted by name.
    pub fn expected_tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = Tensors(Vec::new());
        list.add("stem.conv.weight", &[self.stem_width(), IMAGE_CHANNELS, 7, 7]);
        let mut channels = self.width;
        for (stage, &depth) in self.depths.iter().enumerate() {
            for unit in 0..depth {
                let at = format!("stages.{stage}.{unit}");
                match self.family {
                    Family::ResNet => {
                        let middle = self.width << stage;
                        list.bottleneck(&at, channels, middle, 4 * middle);
                        // Strided units are the first of their stage, where the width changes as well.
                        if channels != 4 * middle {
                            list.add(&format!("{at}.shortcut.weight"), &[4 * middle, channels, 1, 1]);
                        }
                        channels = 4 * middle;
                    }
                    Family::RevNet => {
                        let half = (2 * self.width) << stage;
                        list.bottleneck(&format!("{at}.f"), half, half / 4, half);
                    }
                }
            }
        }
        let features = self.feature_width();
        list.batch_norm("final_bn", features);
        list.add("crelu_bn.running_mean", &[features]);
        list.add("crelu_bn.running_var", &[features]);
        for block in 0..HEAD_BLOCKS {
            let inputs = if block == 0 { features } else { self.head_dim };
            list.linear(&format!("head.blocks.{block}.fc1"), inputs, self.head_dim);
            list.linear(&format!("head.blocks.{block}.fc2"), self.head_dim, self.head_dim);
            if inputs != self.head_dim {
                list.linear(&format!("head.blocks.{block}.shortcut"), inputs, self.head_dim);
            }
        }
        list.linear("head.out", self.head_dim, 2 * self.z_dim);
        list.0.sort();
        list.0
    }
}

struct Tensors(Vec<(String, Vec<usize>)>);

impl Tensors {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.0.push((format!("{PREFIX}{name}"), shape.to_vec()));
    }

    fn batch_norm(&mut self, at: &str, channels: usize) {
        for leaf in ["weight", "bias", "running_mean", "running_var"] {
            self.add(&format!("{at}.{leaf}"), &[channels]);
        }
    }

    fn linear(&mut self, at: &str, inputs: usize, outputs: usize) {
        self.add(&format!("{at}.weight"), &[outputs, inputs]);
        self.add(&format!("{at}.bias"), &[outputs]);
    }

    fn bottleneck(&mut self, at: &str, inputs: usize, middle: usize, outputs: usize) {
        self.batch_norm(&format!("{at}.bn1"), inputs);
        self.add(&format!("{at}.conv1.weight"), &[middle, inputs, 1, 1]);
        self.batch_norm(&format!("{at}.bn2"), middle);
        self.add(&format!("{at}.conv2.weight"), &[middle, middle, 3, 3]);
        self.batch_norm(&format!("{at}.bn3"), middle);
        self.add(&format!("{at}.conv3.weight"), &[outputs, middle, 1, 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::{ResNet50, RevNet50x4, TinyResNet, TinyRevNet};

    fn parameters(config: &EncoderConfig, part: &str) -> usize {
        let tensors = config.expected_tensors().unwrap();
        let trained = tensors
            .iter()
            .filter(|(name, _)| !name.contains("running_") && name.contains(part));
        trained.map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// The RevNet trunk's count is the published 85.765632 million of Kolesnikov et al.'s RevNet-50 (x16); the others are
    /// `oracle.py params`.
    #[test]
    fn parameters_are_as_many_as_published() {
        let resnet = EncoderConfig::ResNet50(ResNet50::default());
        assert_eq!(parameters(&resnet, ""), 91_612_976);
        assert_eq!(parameters(&resnet, ".head."), 68_112_624);
        let revnet = EncoderConfig::RevNet50x4(RevNet50x4::default());
        assert_eq!(parameters(&revnet, "") - parameters(&revnet, ".head."), 85_765_632);
        assert_eq!(parameters(&revnet, ".head."), 118_444_272);
    }

    #[test]
    fn a_description_tells_arithmetic_apart_and_no_paths() {
        let mut config = TinyResNet::default();
        let plain = EncoderConfig::TinyResNet(config.clone()).describe().unwrap();
        config.weights = crate::encoder::Weights::File("secret/place".into());
        assert_eq!(EncoderConfig::TinyResNet(config.clone()).describe().unwrap(), plain);
        config.switches.padding = Padding::Same;
        assert_ne!(EncoderConfig::TinyResNet(config).describe().unwrap(), plain);
    }

    #[test]
    fn names_are_unique() {
        for config in [
            EncoderConfig::TinyResNet(TinyResNet::default()),
            EncoderConfig::TinyRevNet(TinyRevNet::default()),
        ] {
            let names = config.expected_tensors().unwrap();
            assert!(names.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn sizes_that_make_no_network_are_refused() {
        let tiny = |edit: fn(&mut TinyRevNet)| {
            let mut config = TinyRevNet::default();
            edit(&mut config);
            EncoderConfig::TinyRevNet(config).architecture()
        };
        assert_eq!(tiny(|c| c.width = 3), Err(EncoderError::OddWidth { width: 3 }));
        assert_eq!(tiny(|c| c.depths[2] = 0), Err(EncoderError::Zero { field: "depths" }));
        assert_eq!(tiny(|c| c.input_size = 72), Err(EncoderError::InputSize { found: 72 }));
        assert_eq!(
            tiny(|c| c.switches.bn_eps = 0.0),
            Err(EncoderError::Epsilon { found: 0.0 })
        );
        let both = tiny(|c| {
            c.switches.padding = Padding::Same;
            c.switches.pool_pad = Some(PoolPad::Zero);
        });
        assert_eq!(both, Err(EncoderError::PoolPad));
    }
}
