//! What can be read out of an encoder.

use serde::{Deserialize, Serialize};

use super::EncoderConfig;

/// One output of an encoder; the names are those of the published modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Mean of the posterior over the latent vector: 120 numbers, the features of the paper's downstream work.
    ZMean,
    /// Its standard deviation, per number, above zero.
    ZStdev,
    /// A draw from that posterior. Noise: seeded, but never the better feature.
    ZSample,
    /// The trunk's average-pooled output, before the MLP.
    AvepoolFeat,
    /// Batch norm of the pooled output, its positive part and then its negative part.
    BnCreluFeat,
}

impl Layer {
    /// All layers.
    pub const ALL: [Self; 5] = [
        Self::ZMean,
        Self::ZStdev,
        Self::ZSample,
        Self::AvepoolFeat,
        Self::BnCreluFeat,
    ];

    /// The name in recipes and files, e.g. `z_mean`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZMean => "z_mean",
            Self::ZStdev => "z_stdev",
            Self::ZSample => "z_sample",
            Self::AvepoolFeat => "avepool_feat",
            Self::BnCreluFeat => "bn_crelu_feat",
        }
    }

    /// Number of features a slice.
    pub fn width(self, config: &EncoderConfig) -> usize {
        let net = config.sizes();
        match self {
            Self::ZMean | Self::ZStdev | Self::ZSample => net.z_dim,
            Self::AvepoolFeat => net.feature_width(),
            Self::BnCreluFeat => 2 * net.feature_width(),
        }
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::{ResNet50, RevNet50x4};

    #[test]
    fn names_are_those_that_serde_reads() {
        for layer in Layer::ALL {
            assert_eq!(serde_json::to_value(layer).unwrap(), layer.name());
        }
    }

    /// Widths of the published signatures.
    #[test]
    fn widths_are_those_of_the_published_modules() {
        let resnet = EncoderConfig::ResNet50(ResNet50::default());
        let revnet = EncoderConfig::RevNet50x4(RevNet50x4::default());
        let widths = |c: &EncoderConfig| Layer::ALL.map(|l| l.width(c));
        assert_eq!(widths(&resnet), [120, 120, 120, 2048, 4096]);
        assert_eq!(widths(&revnet), [120, 120, 120, 8192, 16384]);
    }
}
