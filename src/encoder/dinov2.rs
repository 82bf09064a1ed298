//! `dinov2-vits14`: DINOv2's small vision transformer, <https://arxiv.org/abs/2304.07193>, as published without registers,
//! <https://github.com/facebookresearch/dinov2>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    EncoderError, IMAGE_CHANNELS, Layer, Weights,
    pixels::{self, IMAGENET},
    tensors::Tensors,
};

/// Settings of `dinov2-vits14`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DinoV2 {
    /// A `.safetensors` file with the names of torch.hub, timm or transformers. Default: random.
    pub weights: Weights,
    /// Rows and columns of a slice as it enters, a multiple of 14. Position embeddings, which were learned at 518, are
    /// resampled for it. Default: 224.
    pub input_size: usize,
    /// Mean of each plane of the photographs that it was trained on, black 0 and white 1. Slices become three equal planes,
    /// from 0 to 1, less this mean, over `std`. Default: ImageNet's.
    pub mean: [f64; 3],
    /// Standard deviation of each plane. Default: ImageNet's.
    pub std: [f64; 3],
}

impl Default for DinoV2 {
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

impl DinoV2 {
    /// Rows and columns of a patch.
    pub const PATCH: usize = 14;

    /// Width of a token.
    pub const FEATURES: usize = 384;

    /// Blocks of attention and MLP.
    pub const BLOCKS: usize = 12;

    /// Heads of each attention.
    pub const HEADS: usize = 6;

    /// The class token, and 37 x 37 patches of the 518 pixels that it was trained on last.
    const POSITIONS: usize = 1 + 37 * 37;

    pub(super) fn check(&self) -> Result<(), EncoderError> {
        pixels::check_size(self.input_size, Self::PATCH)?;
        pixels::check(&self.mean, &self.std, IMAGE_CHANNELS)
    }

    pub(super) fn layers() -> BTreeMap<Layer, usize> {
        BTreeMap::from([(Layer::ClsToken, Self::FEATURES), (Layer::PatchMean, Self::FEATURES)])
    }

    /// What stands in for hidden patches in the training.
    pub(super) fn ignores(name: &str) -> bool {
        matches!(name, "mask_token" | "embeddings.mask_token")
    }

    /// Name and shape of every tensor, sorted by name. `mask_token`, which only training reads, is none of them.
    pub fn expected_tensors() -> Vec<(String, Vec<usize>)> {
        let features = Self::FEATURES;
        let mut list = Tensors::new("");
        list.add("cls_token", &[1, 1, features]);
        list.add("pos_embed", &[1, Self::POSITIONS, features]);
        list.add(
            "patch_embed.proj.weight",
            &[features, IMAGE_CHANNELS, Self::PATCH, Self::PATCH],
        );
        list.add("patch_embed.proj.bias", &[features]);
        for block in 0..Self::BLOCKS {
            let at = |name: &str| format!("blocks.{block}.{name}");
            list.layer_norm(&at("norm1"), features);
            list.linear(&at("attn.qkv"), features, 3 * features);
            list.linear(&at("attn.proj"), features, features);
            list.add(&at("ls1.gamma"), &[features]);
            list.layer_norm(&at("norm2"), features);
            list.linear(&at("mlp.fc1"), features, 4 * features);
            list.linear(&at("mlp.fc2"), 4 * features, features);
            list.add(&at("ls2.gamma"), &[features]);
        }
        list.layer_norm("norm", features);
        list.sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_patches() {
        let made = |input_size| {
            DinoV2 {
                input_size,
                ..DinoV2::default()
            }
            .check()
        };
        assert_eq!((made(224), made(518)), (Ok(()), Ok(())));
        let said = made(256).unwrap_err().to_string();
        assert!(said.contains("256") && said.contains("multiple of 14"), "{said}");
    }

    #[test]
    fn registers_are_not_ignored() {
        assert!(DinoV2::ignores("mask_token") && !DinoV2::ignores("register_tokens"));
    }
}
