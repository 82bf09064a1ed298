//! A BigBiGAN configuration with all its defaults filled in, and the names and shapes of the tensors that it needs.

use serde::Serialize;

use super::{EncoderConfig, EncoderError, HalfOrder, Padding, PoolPad, ShortcutFrom, Switches, tensors::Tensors};

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
    /// The network of one of the BigBiGAN kinds with all defaults filled in: what a training needs to know.
    ///
    /// # Errors
    ///
    /// When sizes or switches do not make a network, or the kind is one that can't be trained.
    pub fn architecture(&self) -> Result<Architecture, EncoderError> {
        let Some((net, switches)) = self.bigbigan() else {
            return Err(EncoderError::NotTrainable { kind: self.kind() });
        };
        let sizes = [("width", net.width), ("head_dim", net.head_dim), ("z_dim", net.z_dim)];
        let depths = net.depths.map(|d| ("depths", d));
        if let Some(&(field, _)) = sizes.iter().chain(&depths).find(|(_, n)| *n == 0) {
            return Err(EncoderError::Zero { field });
        }
        if net.family == Family::RevNet && !net.width.is_multiple_of(2) {
            return Err(EncoderError::OddWidth { width: net.width });
        }
        if !net.input_size.is_multiple_of(32) || !(32..=4096).contains(&net.input_size) {
            return Err(EncoderError::InputSize {
                found: net.input_size,
                multiple: 32,
            });
        }
        if !(net.bn_eps > 0.0 && net.bn_eps < 1.0) {
            return Err(EncoderError::Epsilon { found: net.bn_eps });
        }
        if switches.padding == Padding::Same && switches.pool_pad.is_some() {
            return Err(EncoderError::PoolPad);
        }
        Ok(net)
    }

    /// The same network with every switch written out, whatever its default is.
    #[must_use]
    pub fn spelled_out(mut self) -> Self {
        let Some((net, _)) = self.bigbigan() else {
            return self; // the others have no settings that are not written
        };
        let switches = match &mut self {
            Self::ResNet50(c) => &mut c.switches,
            Self::RevNet50x4(c) => &mut c.switches,
            Self::TinyResNet(c) => &mut c.switches,
            Self::TinyRevNet(c) => &mut c.switches,
            Self::ResNet50ImageNet(_) | Self::DinoV2(_) | Self::TorchScript(_) => return self,
        };
        switches.last_relu = Some(net.last_relu);
        // SAME leaves no choice, and an error where one is made.
        switches.pool_pad = (net.padding == Padding::Fixed).then_some(net.pool_pad);
        self
    }

    /// As [`EncoderConfig::architecture`], unchecked, and the switches as they are written; none for other kinds.
    pub(super) fn bigbigan(&self) -> Option<(Architecture, &Switches)> {
        const DEPTHS: [usize; 4] = [3, 4, 6, 3];
        let (family, width, depths, head_dim, z_dim, input_size, shortcut_from, switches) = match self {
            Self::ResNet50(c) => (
                Family::ResNet,
                64,
                DEPTHS,
                c.head_dim,
                120,
                c.input_size,
                c.shortcut_from,
                &c.switches,
            ),
            // The base width of 64 times four.
            Self::RevNet50x4(c) => (
                Family::RevNet,
                256,
                DEPTHS,
                c.head_dim,
                120,
                c.input_size,
                ShortcutFrom::Preact,
                &c.switches,
            ),
            Self::TinyResNet(c) => (
                Family::ResNet,
                c.width,
                c.depths,
                c.head_dim,
                c.z_dim,
                c.input_size,
                c.shortcut_from,
                &c.switches,
            ),
            Self::TinyRevNet(c) => (
                Family::RevNet,
                c.width,
                c.depths,
                c.head_dim,
                c.z_dim,
                c.input_size,
                ShortcutFrom::Preact,
                &c.switches,
            ),
            Self::ResNet50ImageNet(_) | Self::DinoV2(_) | Self::TorchScript(_) => return None,
        };
        let pool_pad = match switches.padding {
            Padding::Fixed => switches.pool_pad.unwrap_or_default(),
            Padding::Same => PoolPad::NegInf,
        };
        let net = Architecture {
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
        };
        Some((net, switches))
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
        let mut list = Tensors::new(PREFIX);
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
        list.sorted()
    }
}

impl Tensors {
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
    use crate::encoder::{ResNet50, RevNet50x4, TinyRevNet};

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
    fn sizes_that_make_no_network_are_refused() {
        let tiny = |edit: fn(&mut TinyRevNet)| {
            let mut config = TinyRevNet::default();
            edit(&mut config);
            EncoderConfig::TinyRevNet(config).architecture()
        };
        assert_eq!(tiny(|c| c.width = 3), Err(EncoderError::OddWidth { width: 3 }));
        assert_eq!(tiny(|c| c.depths[2] = 0), Err(EncoderError::Zero { field: "depths" }));
        assert_eq!(
            tiny(|c| c.input_size = 72),
            Err(EncoderError::InputSize {
                found: 72,
                multiple: 32
            })
        );
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
