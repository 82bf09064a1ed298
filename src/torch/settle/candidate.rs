//! The graphs that weights may belong to.

use crate::encoder::{Architecture, EncoderConfig, Family, HalfOrder, Padding, PoolPad, ShortcutFrom};

/// The values that [`crate::encoder::Switches::bn_eps`] may have: PyTorch's, BigGAN's, TensorFlow's.
pub(super) const EPSILONS: [f64; 3] = [1e-5, 1e-4, 1e-3];

/// The switches that all layers feel: each value is a pass of its own over the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trunk {
    pub padding: Padding,
    pub pool_pad: PoolPad,
    pub shortcut_from: ShortcutFrom,
}

impl Trunk {
    /// All there are for a family: six for a ResNet, three for a RevNet.
    pub fn all(family: Family) -> Vec<Self> {
        let pads = [
            (Padding::Fixed, PoolPad::Zero),
            (Padding::Fixed, PoolPad::NegInf),
            // SAME never pads the pool with zeros.
            (Padding::Same, PoolPad::NegInf),
        ];
        let sources = match family {
            Family::ResNet => &[ShortcutFrom::Preact, ShortcutFrom::Raw][..],
            Family::RevNet => &[ShortcutFrom::Preact],
        };
        let both = sources
            .iter()
            .flat_map(|source| pads.iter().map(move |pad| (*pad, *source)));
        both.map(|((padding, pool_pad), shortcut_from)| Self {
            padding,
            pool_pad,
            shortcut_from,
        })
        .collect()
    }
}

/// A whole graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Graph {
    pub trunk: Trunk,
    pub last_relu: bool,
    pub halves: HalfOrder,
    pub bn_eps: f64,
}

impl Graph {
    pub fn of(net: &Architecture) -> Self {
        Self {
            trunk: Trunk {
                padding: net.padding,
                pool_pad: net.pool_pad,
                shortcut_from: net.shortcut_from,
            },
            last_relu: net.last_relu,
            halves: net.halves,
            bn_eps: net.bn_eps,
        }
    }

    /// The encoder with this graph, every switch written out.
    pub fn applied(&self, config: &EncoderConfig) -> EncoderConfig {
        let mut config = config.clone();
        if let Some((switches, shortcut_from)) = config.switches_mut() {
            switches.padding = self.trunk.padding;
            switches.pool_pad = (self.trunk.padding == Padding::Fixed).then_some(self.trunk.pool_pad);
            switches.last_relu = Some(self.last_relu);
            switches.halves = self.halves;
            switches.bn_eps = self.bn_eps;
            if let Some(shortcut_from) = shortcut_from {
                *shortcut_from = self.trunk.shortcut_from;
            }
        }
        config
    }
}

/// A value as it stands in a recipe.
pub(super) trait Word {
    fn word(self) -> &'static str;
}

impl Word for Padding {
    fn word(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Same => "same",
        }
    }
}

impl Word for PoolPad {
    fn word(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::NegInf => "neg-inf",
        }
    }
}

impl Word for ShortcutFrom {
    fn word(self) -> &'static str {
        match self {
            Self::Preact => "preact",
            Self::Raw => "raw",
        }
    }
}

impl Word for HalfOrder {
    fn word(self) -> &'static str {
        match self {
            Self::MeanFirst => "mean-first",
            Self::StdevFirst => "stdev-first",
        }
    }
}

impl Word for bool {
    fn word(self) -> &'static str {
        if self { "true" } else { "false" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_graph_makes_an_encoder_with_that_graph() {
        for kind in ["bigbigan-resnet-tiny", "bigbigan-revnet-tiny"] {
            let config: EncoderConfig = toml::from_str(&format!("kind = \"{kind}\"")).unwrap();
            let family = config.architecture().unwrap().family;
            for trunk in Trunk::all(family) {
                let graph = Graph {
                    trunk,
                    last_relu: false,
                    halves: HalfOrder::StdevFirst,
                    bn_eps: 1e-3,
                };
                assert_eq!(Graph::of(&graph.applied(&config).architecture().unwrap()), graph);
            }
        }
    }
}
