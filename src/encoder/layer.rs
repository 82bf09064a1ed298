//! What can be read out of an encoder.

use serde::{Deserialize, Serialize};

/// One output of an encoder; the names are those of the published modules. Which of them an encoder has, and how wide they
/// are, says [`EncoderConfig::layers`](super::EncoderConfig::layers).
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
    /// A vision transformer's class token after the last norm.
    ClsToken,
    /// Mean over the image of a vision transformer's patch tokens after the last norm.
    PatchMean,
    /// What a script gives that has no name of its own.
    Embedding,
}

impl Layer {
    /// All layers of all kinds.
    pub const ALL: [Self; 8] = [
        Self::ZMean,
        Self::ZStdev,
        Self::ZSample,
        Self::AvepoolFeat,
        Self::BnCreluFeat,
        Self::ClsToken,
        Self::PatchMean,
        Self::Embedding,
    ];

    /// The layers of the BigBiGAN kinds.
    pub const BIGBIGAN: [Self; 5] = [
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
            Self::ClsToken => "cls_token",
            Self::PatchMean => "patch_mean",
            Self::Embedding => "embedding",
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

    #[test]
    fn names_are_those_that_serde_reads() {
        for layer in Layer::ALL {
            assert_eq!(serde_json::to_value(layer).unwrap(), layer.name());
        }
    }
}
