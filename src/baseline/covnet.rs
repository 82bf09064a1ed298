//! COVNet, Li et al. 2020 (doi:10.1148/radiol.2020200905): a 2D ResNet-50 shared over the slices of a scan, the largest of each pooled
//! feature over the scan, one linear layer. Pu et al. 2020 (doi:10.1007/s00330-020-06956-w) compare with it.
//!
//! As published there is no dropout. Three choices are ours: slices are resampled to the size that the trunk takes, a scan has one grey
//! plane which stands in all three, and outputs are two classes instead of three.

use super::{BaselineError, CLASSES, LayerFacts, Made, Shapes, layers::linear, trunk::trunk_layers};
use serde::{Deserialize, Serialize};

use crate::encoder::{EncoderConfig, ResNet50ImageNet};

/// What the names of the trunk's tensors begin with; the rest is the encoder's own.
pub const TRUNK: &str = "trunk.";

/// An encoder shared over the axial slices of a scan, the largest of each feature over the slices, one linear layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CovNet {
    /// The encoder, whose pooled features are taken. Default: `resnet50-imagenet`, as in the paper; its `weights` are what the
    /// training starts from.
    pub trunk: EncoderConfig,
    /// Every so many slices along D is looked at. Default: 1, all of them.
    pub every: usize,
}

impl Default for CovNet {
    fn default() -> Self {
        Self {
            trunk: EncoderConfig::ResNet50ImageNet(ResNet50ImageNet::default()),
            every: 1,
        }
    }
}

impl CovNet {
    /// Slices that pass the trunk together where a scan is only scored: stored statistics make them independent of each other.
    pub const TOGETHER: usize = 32;

    /// Slices that are looked at, in scans of `depth` slices.
    pub fn slices(&self, depth: usize) -> usize {
        depth / self.every.max(1)
    }

    /// Width of the trunk's pooled features.
    ///
    /// # Errors
    ///
    /// When the trunk is one that no network is built on.
    pub fn features(&self) -> Result<usize, BaselineError> {
        let layer = self.trunk.pooled_layer().ok_or(BaselineError::ScriptTrunk)?;
        Ok(self.trunk.width(layer)?)
    }

    pub(super) fn check(&self, size: [usize; 3]) -> Result<(), BaselineError> {
        self.features()?;
        self.trunk.check()?;
        let [depth, rows, columns] = size;
        if !(1..=depth).contains(&self.every) {
            return Err(BaselineError::OutOfRange {
                field: "every",
                found: self.every.to_string(),
                expected: format!("a number from 1 to {depth}, the slices of a scan"),
            });
        }
        if rows != columns || rows == 0 {
            return Err(BaselineError::NotSquare { rows, columns });
        }
        Ok(())
    }

    pub(super) fn tensors(&self) -> Result<Shapes, BaselineError> {
        let features = self.features()?;
        let trunk = self.trunk.trunk_tensors()?.into_iter();
        let mut tensors: Shapes = trunk.map(|(name, shape)| (format!("{TRUNK}{name}"), shape)).collect();
        tensors.extend(linear("fc", features, CLASSES));
        Ok(tensors)
    }

    pub(super) fn layers(&self, size: [usize; 3]) -> Result<Vec<LayerFacts>, BaselineError> {
        let features = self.features()?;
        let mut layers = trunk_layers(&self.trunk, self.slices(size[0]))?;
        let segment = layers.last().map_or(0, |layer| layer.segment);
        let mut add = |name: &str, kind: &str, output: usize, parameters: usize, kept: usize| {
            layers.push(LayerFacts {
                name: name.to_owned(),
                kind: kind.to_owned(),
                output: vec![output],
                parameters,
                kept,
                segment,
                made: Made::Whole,
            });
        };
        // The places of the largest are 64-bit numbers.
        add("max", "largest over the slices", features, 0, 2 * features);
        add("fc", "linear", CLASSES, CLASSES * (features + 1), features);
        Ok(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{baseline::BaselineConfig, encoder::EncoderError};

    fn parse(text: &str) -> BaselineConfig {
        toml::from_str(&format!("kind = 'covnet'\n{text}")).unwrap()
    }

    /// 23,508,032 of `torchvision.models.resnet50` without `fc`, and two rows of 2,048 with their bias.
    #[test]
    fn it_has_the_resnets_parameters_and_one_linear_layer() {
        let layers = parse("").layers([64, 64, 64]).unwrap();
        let parameters: usize = layers.iter().map(|layer| layer.parameters).sum();
        assert_eq!(parameters, 23_508_032 + 2 * 2048 + 2);
        assert_eq!(layers.last().unwrap().output, [2]);
    }

    #[test]
    fn any_encoder_stands_in_for_the_trunk_without_what_is_on_top_of_its_features() {
        for (kind, width) in [("bigbigan-resnet-tiny", 128), ("dinov2-vits14", 384)] {
            let tensors = parse(&format!("trunk = {{ kind = '{kind}' }}"))
                .expected_tensors([8, 64, 64])
                .unwrap();
            assert!(tensors.contains(&("fc.weight".to_owned(), vec![2, width])));
            assert!(
                tensors
                    .iter()
                    .all(|(name, _)| name.starts_with("fc.") || name.starts_with("trunk.")),
                "{kind}"
            );
            assert!(!tensors.iter().any(|(name, _)| name.contains(".head.")), "{kind}");
        }
    }

    #[test]
    fn what_makes_no_network_is_refused_with_a_sentence() {
        let script = "trunk = { kind = 'torchscript', weights = 'a.pt', input_size = 64, outputs = { embedding = { width = 5 } } }";
        for (text, size, words) in [
            (script, [64, 64, 64], "torchscript"),
            ("every = 0", [64, 64, 64], "from 1 to 64"),
            ("every = 65", [64, 64, 64], "`network.every` is 65"),
            ("", [64, 96, 64], "96 x 64"),
            (
                "trunk = { kind = 'resnet50-imagenet', input_size = 33 }",
                [64, 64, 64],
                "33",
            ),
        ] {
            let said = parse(text).check(size).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(parse("every = 4").check([66, 64, 64]), Ok(()));
    }

    #[test]
    fn every_fourth_slice_keeps_a_quarter() {
        let kept = |text: &str| -> usize {
            let layers = parse(text).layers([64, 64, 64]).unwrap();
            layers
                .iter()
                .filter(|layer| layer.name.starts_with(TRUNK))
                .map(|layer| layer.kept)
                .sum()
        };
        assert_eq!(kept("every = 4") * 4, kept(""));
    }

    #[test]
    fn an_encoders_error_is_the_networks() {
        assert!(matches!(
            parse("trunk = { kind = 'dinov2-vits14', input_size = 15 }").check([8, 8, 8]),
            Err(BaselineError::Encoder(EncoderError::InputSize { .. }))
        ));
    }
}
