//! What is asked of an encoder whatever its kind: sizes, layers, tensors, and a line for the provenance.

use std::collections::BTreeMap;

use super::{DinoV2, EncoderConfig, EncoderError, IMAGE_CHANNELS, Layer, PREFIX, ResNet50ImageNet};

impl EncoderConfig {
    /// Whether the settings make a network.
    ///
    /// # Errors
    ///
    /// The first setting that does not.
    pub fn check(&self) -> Result<(), EncoderError> {
        match self {
            Self::ResNet50(_) | Self::RevNet50x4(_) | Self::TinyResNet(_) | Self::TinyRevNet(_) => {
                self.architecture().map(drop)
            }
            Self::ResNet50ImageNet(c) => c.check(),
            Self::DinoV2(c) => c.check(),
            Self::TorchScript(c) => c.check(),
        }
    }

    /// Rows and columns of the slices that it takes.
    pub fn input_size(&self) -> usize {
        match self {
            Self::ResNet50(c) => c.input_size,
            Self::RevNet50x4(c) => c.input_size,
            Self::TinyResNet(c) => c.input_size,
            Self::TinyRevNet(c) => c.input_size,
            Self::ResNet50ImageNet(c) => c.input_size,
            Self::DinoV2(c) => c.input_size,
            Self::TorchScript(c) => c.input_size,
        }
    }

    /// Planes of the slices that it takes: 3 but for a script that takes 1. Grey slices stand in all of them.
    pub fn planes(&self) -> usize {
        match self {
            Self::TorchScript(c) => c.planes,
            _ => IMAGE_CHANNELS,
        }
    }

    /// The layers that it has, with the number of features a slice.
    pub fn layers(&self) -> BTreeMap<Layer, usize> {
        if let Some((net, _)) = self.bigbigan() {
            let features = net.feature_width();
            return BTreeMap::from([
                (Layer::ZMean, net.z_dim),
                (Layer::ZStdev, net.z_dim),
                (Layer::ZSample, net.z_dim),
                (Layer::AvepoolFeat, features),
                (Layer::BnCreluFeat, 2 * features),
            ]);
        }
        match self {
            Self::ResNet50ImageNet(_) => ResNet50ImageNet::layers(),
            Self::DinoV2(_) => DinoV2::layers(),
            Self::TorchScript(c) => c.layers(),
            Self::ResNet50(_) | Self::RevNet50x4(_) | Self::TinyResNet(_) | Self::TinyRevNet(_) => BTreeMap::new(),
        }
    }

    /// Number of features a slice of one layer.
    ///
    /// # Errors
    ///
    /// [`EncoderError::NoLayer`] for a layer that it has not, which names those that it has.
    pub fn width(&self, layer: Layer) -> Result<usize, EncoderError> {
        let layers = self.layers();
        layers.get(&layer).copied().ok_or_else(|| EncoderError::NoLayer {
            kind: self.kind(),
            layer,
            has: layers.into_keys().collect(),
        })
    }

    /// The layer that is meant where none is named: `z_mean`, or the first one of an encoder that has none of that name.
    pub fn default_layer(&self) -> Layer {
        // An encoder without any layer does not pass `check`.
        self.layers().into_keys().next().unwrap_or(Layer::ZMean)
    }

    /// What the names of all its tensors begin with: [`PREFIX`] for the BigBiGAN kinds, and nothing for the others, whose names
    /// are those of the published files.
    pub fn prefix(&self) -> &'static str {
        match self {
            Self::ResNet50(_) | Self::RevNet50x4(_) | Self::TinyResNet(_) | Self::TinyRevNet(_) => PREFIX,
            Self::ResNet50ImageNet(_) | Self::DinoV2(_) | Self::TorchScript(_) => "",
        }
    }

    /// Name and shape of every tensor of the encoder, sorted by name; none for a script, whose tensors are its own.
    ///
    /// # Errors
    ///
    /// As [`EncoderConfig::check`].
    pub fn expected_tensors(&self) -> Result<Vec<(String, Vec<usize>)>, EncoderError> {
        self.check()?;
        Ok(match self {
            Self::ResNet50(_) | Self::RevNet50x4(_) | Self::TinyResNet(_) | Self::TinyRevNet(_) => {
                self.architecture()?.expected_tensors()
            }
            Self::ResNet50ImageNet(_) => ResNet50ImageNet::expected_tensors(),
            Self::DinoV2(_) => DinoV2::expected_tensors(),
            Self::TorchScript(_) => Vec::new(),
        })
    }

    /// Those of [`EncoderConfig::expected_tensors`] that its pooled features are made of, which is all but the MLP on top of the BigBiGAN
    /// kinds and the batch norm of `bn_crelu_feat`.
    ///
    /// # Errors
    ///
    /// As [`EncoderConfig::check`].
    pub fn trunk_tensors(&self) -> Result<Vec<(String, Vec<usize>)>, EncoderError> {
        let mut tensors = self.expected_tensors()?;
        if self.bigbigan().is_some() {
            let on_top = [format!("{PREFIX}head."), format!("{PREFIX}crelu_bn.")];
            tensors.retain(|(name, _)| !on_top.iter().any(|place| name.starts_with(place)));
        }
        Ok(tensors)
    }

    /// The layer that its trunk ends in, for networks that are built on it: pooled features, or a transformer's class token; none for a
    /// script.
    pub fn pooled_layer(&self) -> Option<Layer> {
        match self {
            Self::TorchScript(_) => None,
            Self::DinoV2(_) => Some(Layer::ClsToken),
            _ => Some(Layer::AvepoolFeat),
        }
    }

    /// Whether a tensor of this name in a published file is no part of the encoder, such as the classifier on top. All other
    /// names must be expected ones.
    pub fn ignores(&self, name: &str) -> bool {
        match self {
            Self::ResNet50ImageNet(_) => ResNet50ImageNet::ignores(name),
            Self::DinoV2(_) => DinoV2::ignores(name),
            Self::ResNet50(_)
            | Self::RevNet50x4(_)
            | Self::TinyResNet(_)
            | Self::TinyRevNet(_)
            | Self::TorchScript(_) => false,
        }
    }

    /// Kind and arithmetic in one line of JSON, for a table's provenance: everything but where the weights come from.
    ///
    /// # Errors
    ///
    /// As [`EncoderConfig::check`].
    pub fn describe(&self) -> Result<String, EncoderError> {
        self.check()?;
        if self.bigbigan().is_some() {
            return Ok(serde_json::json!({ "kind": self.kind(), "architecture": self.architecture()? }).to_string());
        }
        let mut settings = serde_json::to_value(self).expect("settings are numbers and words");
        if let Some(settings) = settings.as_object_mut() {
            settings.remove("weights");
        }
        Ok(settings.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::{Padding, ResNet50, RevNet50x4, TinyResNet, TinyRevNet, Weights};

    fn parse(text: &str) -> EncoderConfig {
        toml::from_str(text).unwrap()
    }

    /// One of each kind.
    fn all() -> Vec<EncoderConfig> {
        let script = "weights = 'a.pt'\ninput_size = 64\noutputs = { embedding = { width = 5 } }";
        let text = |kind: &str| match kind {
            "torchscript" => format!("kind = '{kind}'\n{script}"),
            _ => format!("kind = '{kind}'"),
        };
        EncoderConfig::KINDS.map(|kind| parse(&text(kind))).to_vec()
    }

    /// Widths of the published signatures.
    #[test]
    fn widths_are_those_of_the_published_modules() {
        let resnet = EncoderConfig::ResNet50(ResNet50::default());
        let revnet = EncoderConfig::RevNet50x4(RevNet50x4::default());
        let widths = |c: &EncoderConfig| Layer::BIGBIGAN.map(|layer| c.width(layer).unwrap());
        assert_eq!(widths(&resnet), [120, 120, 120, 2048, 4096]);
        assert_eq!(widths(&revnet), [120, 120, 120, 8192, 16384]);
        assert_eq!(parse("kind = 'resnet50-imagenet'").width(Layer::AvepoolFeat), Ok(2048));
        assert_eq!(parse("kind = 'dinov2-vits14'").width(Layer::ClsToken), Ok(384));
    }

    #[test]
    fn every_kind_has_layers_and_all_but_bigbigan_are_not_trained() {
        for config in all() {
            config.check().unwrap();
            assert!(config.layers().contains_key(&config.default_layer()), "{config:?}");
            assert_eq!(
                config.architecture().is_ok(),
                EncoderConfig::TRAINABLE.contains(&config.kind())
            );
        }
        let said = parse("kind = 'dinov2-vits14'").architecture().unwrap_err().to_string();
        assert!(
            said.contains("`dinov2-vits14`") && said.contains("`bigbigan-resnet50`"),
            "{said}"
        );
    }

    #[test]
    fn a_layer_that_is_not_there_is_refused_with_those_that_are() {
        let said = parse("kind = 'dinov2-vits14'")
            .width(Layer::ZMean)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("`z_mean`") && said.contains("`cls_token`, `patch_mean`"),
            "{said}"
        );
    }

    #[test]
    fn a_description_tells_arithmetic_apart_and_no_paths() {
        for mut config in all() {
            let plain = config.describe().unwrap();
            *config.weights_mut() = Weights::File("secret/place".into());
            assert_eq!(config.describe().unwrap(), plain);
        }
        let mut config = TinyResNet::default();
        let plain = EncoderConfig::TinyResNet(config.clone()).describe().unwrap();
        config.switches.padding = Padding::Same;
        assert_ne!(EncoderConfig::TinyResNet(config).describe().unwrap(), plain);
        let other = parse("kind = 'resnet50-imagenet'\nmean = [0.5, 0.5, 0.5]");
        assert_ne!(other.describe(), parse("kind = 'resnet50-imagenet'").describe());
    }

    #[test]
    fn names_are_unique() {
        let tiny = [
            EncoderConfig::TinyResNet(TinyResNet::default()),
            EncoderConfig::TinyRevNet(TinyRevNet::default()),
            parse("kind = 'resnet50-imagenet'"),
            parse("kind = 'dinov2-vits14'"),
        ];
        for config in tiny {
            let names = config.expected_tensors().unwrap();
            assert!(names.windows(2).all(|pair| pair[0].0 < pair[1].0));
            assert!(!names.iter().any(|(name, _)| config.ignores(name)));
        }
    }

    /// Counts of `torchvision.models.resnet50` without `fc` and of `torch.hub`'s `dinov2_vits14` without its mask token.
    #[test]
    fn parameters_are_as_many_as_published() {
        let count = |kind: &str| {
            let tensors = parse(&format!("kind = '{kind}'")).expected_tensors().unwrap();
            let trained = tensors.iter().filter(|(name, _)| !name.contains("running_"));
            trained.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
        };
        assert_eq!(count("resnet50-imagenet"), 25_557_032 - 2048 * 1000 - 1000);
        assert_eq!(count("dinov2-vits14"), 22_056_576 - 384);
    }
}
