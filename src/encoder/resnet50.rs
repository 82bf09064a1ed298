//! `resnet50-imagenet`: the ResNet-50 that most people start from, <https://arxiv.org/abs/1512.03385>, in the layout of
//! torchvision and timm (version 1.5, stride on the 3x3), <https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    EncoderError, IMAGE_CHANNELS, Layer, Weights,
    pixels::{self, IMAGENET},
    tensors::Tensors,
};

/// Settings of `resnet50-imagenet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet50ImageNet {
    /// A `.safetensors` file of torchvision's or timm's layout. Default: random.
    pub weights: Weights,
    /// Rows and columns of a slice as it enters, a multiple of 32. Default: 224.
    pub input_size: usize,
    /// Mean of each plane of the photographs that it was trained on, black 0 and white 1. Slices become three equal planes,
    /// from 0 to 1, less this mean, over `std`. Default: ImageNet's.
    pub mean: [f64; 3],
    /// Standard deviation of each plane. Default: ImageNet's.
    pub std: [f64; 3],
}

impl Default for ResNet50ImageNet {
    fn default() -> Self {
        let (mean, std) = IMAGENET;
        Self {
            weights: Weights::Random,
            input_size: 224,
            mean,
            std,
        }
    }
}

impl ResNet50ImageNet {
    /// Units a stage.
    pub const DEPTHS: [usize; 4] = [3, 4, 6, 3];

    /// Added to the variance in every batch norm.
    pub const BN_EPS: f64 = 1e-5;

    const FEATURES: usize = 2048;

    pub(super) fn check(&self) -> Result<(), EncoderError> {
        pixels::check_size(self.input_size, 32)?;
        pixels::check(&self.mean, &self.std, IMAGE_CHANNELS)
    }

    pub(super) fn layers() -> BTreeMap<Layer, usize> {
        BTreeMap::from([(Layer::AvepoolFeat, Self::FEATURES)])
    }

    /// The classifier, and counters of batches that only a training reads.
    pub(super) fn ignores(name: &str) -> bool {
        matches!(name, "fc.weight" | "fc.bias") || name.ends_with(".num_batches_tracked")
    }

    pub(super) fn expected_tensors() -> Vec<(String, Vec<usize>)> {
        let mut list = Tensors::new("");
        list.add("conv1.weight", &[64, IMAGE_CHANNELS, 7, 7]);
        list.batch_norm("bn1", 64);
        let mut channels = 64;
        for (stage, depth) in Self::DEPTHS.into_iter().enumerate() {
            let middle = 64 << stage;
            let outputs = 4 * middle;
            for unit in 0..depth {
                let at = format!("layer{}.{unit}", stage + 1);
                list.add(&format!("{at}.conv1.weight"), &[middle, channels, 1, 1]);
                list.batch_norm(&format!("{at}.bn1"), middle);
                list.add(&format!("{at}.conv2.weight"), &[middle, middle, 3, 3]);
                list.batch_norm(&format!("{at}.bn2"), middle);
                list.add(&format!("{at}.conv3.weight"), &[outputs, middle, 1, 1]);
                list.batch_norm(&format!("{at}.bn3"), outputs);
                if unit == 0 {
                    list.add(&format!("{at}.downsample.0.weight"), &[outputs, channels, 1, 1]);
                    list.batch_norm(&format!("{at}.downsample.1"), outputs);
                }
                channels = outputs;
            }
        }
        list.sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classifier_is_ignored_by_name_and_nothing_else_that_looks_like_it() {
        for name in ["fc.weight", "fc.bias", "layer4.2.bn3.num_batches_tracked"] {
            assert!(ResNet50ImageNet::ignores(name), "{name}");
        }
        for name in ["fc", "layer1.fc.weight", "head.weight", "num_batches_tracked"] {
            assert!(!ResNet50ImageNet::ignores(name), "{name}");
        }
    }

    #[test]
    fn sizes_and_pixels_that_make_no_sense_are_refused() {
        let made = |edit: fn(&mut ResNet50ImageNet)| {
            let mut config = ResNet50ImageNet::default();
            edit(&mut config);
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(made(|c| c.input_size = 64), Ok(()));
        assert!(made(|c| c.input_size = 72).unwrap_err().contains("72"));
        assert!(made(|c| c.std[1] = 0.0).unwrap_err().contains("`std`"));
        assert!(made(|c| c.mean[2] = f64::NAN).unwrap_err().contains("`mean`"));
    }
}
