//! DINOv2's small vision transformer, ViT-S/14 without registers, Oquab et al. 2023, <https://arxiv.org/abs/2304.07193>; reference code
//! <https://github.com/facebookresearch/dinov2>, `dinov2/models/vision_transformer.py`.
//!
//! Its weights are found under three sets of names, see [`DinoV2::canonical`]. They were trained at 518 pixels, on 37 x 37 patches; for other
//! sizes the position embedding is resampled as the reference does it. timm and transformers resample it in other ways, so that below
//! 518 pixels the three give different features from the same weights.

use std::collections::BTreeMap;

use tch::Tensor;

use super::super::{
    TorchError,
    layers::{Linear, Scope},
    train::Tape,
    weights::{self, WeightMap},
};
use super::check_slices;

const KIND: &str = "dinov2-vits14";

/// Width of a token.
const WIDTH: usize = 384;
const BLOCKS: usize = 12;
const HEADS: usize = 6;
/// Rows and columns of a patch.
const PATCH: usize = 14;
/// Patches along one side of the 518 pixels that the position embedding was trained at.
const GRID: usize = 37;
/// In every layer norm; PyTorch's own default is ten times that.
const EPSILON: f64 = 1e-6;
/// `interpolate_offset` of the reference: patches are counted as this many more where positions are resampled.
const OFFSET: f64 = 0.1;

/// The transformer in plain operators.
#[derive(Debug)]
pub struct DinoV2 {
    input_size: usize,
    patch_weight: Tensor,
    patch_bias: Tensor,
    class: Tensor,
    /// `[1, 1 + 37 * 37, 384]`
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl DinoV2 {
    /// Builds the network for slices of `input_size` rows and columns, on tensors that must be exactly
    /// [`DinoV2::expected_tensors`].
    ///
    /// # Errors
    ///
    /// When the size is no multiple of 14, or the tensors do not fit: every wrong one is named.
    pub fn new(tensors: &WeightMap, input_size: usize) -> Result<Self, TorchError> {
        if input_size == 0 || !input_size.is_multiple_of(PATCH) {
            return Err(TorchError::Patches {
                size: input_size,
                patch: PATCH,
            });
        }
        weights::check_against(KIND, &Self::expected_tensors(), tensors)?;
        let patch = Scope::new(tensors, "patch_embed.proj");
        let blocks = Scope::new(tensors, "blocks");
        Ok(Self {
            input_size,
            patch_weight: patch.tensor("weight"),
            patch_bias: patch.tensor("bias"),
            class: tensors["cls_token"].shallow_clone(),
            positions: tensors["pos_embed"].shallow_clone(),
            blocks: (0..BLOCKS).map(|number| Block::new(&blocks.at(number))).collect(),
            norm: LayerNorm::new(&Scope::new(tensors, "norm")),
        })
    }

    /// The normalised class token, `x_norm_clstoken` of the reference, and the mean of the normalised patch tokens.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 3, S, S]`, `S` the input size, less the mean and over the deviation of ImageNet's colours
    /// - outputs: `[N, 384]` each
    ///
    /// # Errors
    ///
    /// When the slices have another shape.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor), TorchError> {
        self.forward_on(x, &Tape::keeping())
    }

    /// As [`DinoV2::forward`]; each block is a segment of the tape.
    ///
    /// # Errors
    ///
    /// As [`DinoV2::forward`].
    pub fn forward_on<'a>(&'a self, x: &Tensor, tape: &Tape<'a>) -> Result<(Tensor, Tensor), TorchError> {
        check_slices(x, self.input_size)?;
        let stride = [PATCH as i64; 2];
        let patches = x.f_conv2d(&self.patch_weight, Some(&self.patch_bias), stride, [0, 0], [1, 1], 1)?;
        let patches = patches.flatten(2, 3).transpose(1, 2); // [N, L, 384]
        // The row of zeros in front is where the class token stands.
        let mut tokens = patches.f_constant_pad_nd([0, 0, 1, 0])?.f_add(&self.places()?)?; // [N, 1 + L, 384]
        for block in &self.blocks {
            tokens = tape.try_run(&tokens, move |tokens| block.forward(tokens))?;
        }
        let tokens = self.norm.forward(&tokens)?;
        let patches = tokens.narrow(1, 1, tokens.size()[1] - 1);
        Ok((
            tokens.select(1, 0),
            patches.f_mean_dim([1i64].as_slice(), false, None)?, // [N, 384]
        ))
    }

    /// `[1, 1 + L, 384]`: the class token at its place, then the position of each patch. Made at every pass, since training moves both.
    fn places(&self) -> Result<Tensor, TorchError> {
        let positions = resample(&self.positions, self.input_size / PATCH)?;
        let first = positions.narrow(1, 0, 1).f_add(&self.class)?;
        let rest = positions.narrow(1, 1, positions.size()[1] - 1);
        Ok(Tensor::f_cat(&[first, rest], 1)?)
    }

    /// Name and shape of every tensor, sorted by name. `mask_token`, which only training reads, is none of them.
    pub fn expected_tensors() -> Vec<(String, Vec<usize>)> {
        crate::encoder::DinoV2::expected_tensors()
    }

    /// Tensors by the names of torch.hub's weights, from any of the three sets of names: torch.hub's own and timm's, which are the same but
    /// for `mask_token`, and transformers' (`embeddings.*`, `encoder.layer.N.*`, `layernorm.*`), where query, key and value lie apart.
    /// `mask_token` is left out. What is in none of the three keeps its name, so that a strict check will name it.
    ///
    /// # Errors
    ///
    /// When libtorch has no memory, or parts of one layer that can't be joined.
    pub fn canonical(tensors: &WeightMap) -> Result<WeightMap, TorchError> {
        let mut named = WeightMap::new();
        let mut parts = BTreeMap::<String, [Option<&Tensor>; 3]>::new();
        for (name, tensor) in tensors {
            if name == "mask_token" || name == "embeddings.mask_token" {
                continue;
            }
            match part_of_attention(name) {
                Some((joined, part)) => parts.entry(joined).or_default()[part] = Some(tensor),
                None => {
                    named.insert(hub_name(name), tensor.shallow_clone());
                }
            }
        }
        for (joined, parts) in parts {
            // A layer with a part missing is missing as a whole.
            if let [Some(query), Some(key), Some(value)] = parts {
                named.insert(joined, Tensor::f_cat(&[query, key, value], 0)?);
            }
        }
        Ok(named)
    }
}

/// Attention and MLP, each on normalised tokens and each scaled by channel before it is added.
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    scale1: Tensor,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    scale2: Tensor,
}

impl Block {
    fn new(scope: &Scope) -> Self {
        let linear = |room: &str, name: &str| Linear::new(&scope.at(room).at(name));
        Self {
            norm1: LayerNorm::new(&scope.at("norm1")),
            qkv: linear("attn", "qkv"),
            proj: linear("attn", "proj"),
            scale1: scope.at("ls1").tensor("gamma"),
            norm2: LayerNorm::new(&scope.at("norm2")),
            fc1: linear("mlp", "fc1"),
            fc2: linear("mlp", "fc2"),
            scale2: scope.at("ls2").tensor("gamma"),
        }
    }

    /// `[N, T, 384]` to the same.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let x = x.f_add(&self.attend(&self.norm1.forward(x)?)?.f_mul(&self.scale1)?)?;
        let h = self.fc1.try_forward(&self.norm2.forward(&x)?)?.f_gelu("none")?;
        let h = self.fc2.try_forward(&h)?.f_mul(&self.scale2)?;
        Ok(x.f_add(&h)?)
    }

    fn attend(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let head = (WIDTH / HEADS) as i64;
        let qkv = self.qkv.try_forward(x)?.unflatten(-1, [3, HEADS as i64, head]); // [N, T, 3, heads, 64]
        let part = |number: i64| qkv.select(2, number).transpose(1, 2); // [N, heads, T, 64]
        let (query, key, value) = (part(0), part(1), part(2));
        let attended =
            Tensor::f_scaled_dot_product_attention(&query, &key, &value, None::<Tensor>, 0.0, false, None, false)?;
        self.proj.try_forward(&attended.transpose(1, 2).f_flatten(2, 3)?)
    }
}

#[derive(Debug)]
struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    fn new(scope: &Scope) -> Self {
        Self {
            weight: scope.tensor("weight"),
            bias: scope.tensor("bias"),
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        Ok(x.f_layer_norm([WIDTH as i64], Some(&self.weight), Some(&self.bias), EPSILON, false)?)
    }
}

/// The position embedding for `side` x `side` patches: `interpolate_pos_encoding` of the reference. Bicubic and not antialiased; the
/// factor is of `side + 0.1` patches, which moves every position a little and belongs to the published features.
///
/// # Shapes
///
/// - `positions`: `[1, 1 + 37 * 37, 384]`
/// - output: `[1, 1 + side * side, 384]`
fn resample(positions: &Tensor, side: usize) -> Result<Tensor, TorchError> {
    if side == GRID {
        return Ok(positions.shallow_clone());
    }
    let (grid, width) = (GRID as i64, WIDTH as i64);
    let class = positions.narrow(1, 0, 1);
    let patches = positions.narrow(1, 1, grid * grid);
    let patches = patches.f_reshape([1, grid, grid, width])?.permute([0, 3, 1, 2]);
    let factor = (side as f64 + OFFSET) / GRID as f64;
    let patches = patches.f_upsample_bicubic2d([side as i64; 2], false, factor, factor)?; // [1, 384, side, side]
    Ok(Tensor::f_cat(&[class, patches.flatten(2, 3).transpose(1, 2)], 1)?)
}

/// For `encoder.layer.N.attention.attention.query.weight` of transformers: the joined tensor's name, and which part of it.
fn part_of_attention(name: &str) -> Option<(String, usize)> {
    let (number, rest) = name.strip_prefix("encoder.layer.")?.split_once('.')?;
    let (part, leaf) = rest.strip_prefix("attention.attention.")?.split_once('.')?;
    let part = ["query", "key", "value"].iter().position(|known| *known == part)?;
    Some((format!("blocks.{number}.attn.qkv.{leaf}"), part))
}

/// torch.hub's name of what transformers calls `name`; others stay.
fn hub_name(name: &str) -> String {
    let plain = [
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        (
            "embeddings.patch_embeddings.projection.weight",
            "patch_embed.proj.weight",
        ),
        ("embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"),
        ("layernorm.weight", "norm.weight"),
        ("layernorm.bias", "norm.bias"),
    ];
    if let Some((_, hub)) = plain.iter().find(|(theirs, _)| *theirs == name) {
        return (*hub).to_owned();
    }
    let Some((number, rest)) = name
        .strip_prefix("encoder.layer.")
        .and_then(|rest| rest.split_once('.'))
    else {
        return name.to_owned();
    };
    let rest = match rest {
        "layer_scale1.lambda1" => "ls1.gamma",
        "layer_scale2.lambda1" => "ls2.gamma",
        "attention.output.dense.weight" => "attn.proj.weight",
        "attention.output.dense.bias" => "attn.proj.bias",
        same => same,
    };
    format!("blocks.{number}.{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_transformers_are_told_in_torch_hubs() {
        assert_eq!(hub_name("encoder.layer.11.mlp.fc1.bias"), "blocks.11.mlp.fc1.bias");
        assert_eq!(hub_name("encoder.layer.3.layer_scale2.lambda1"), "blocks.3.ls2.gamma");
        assert_eq!(hub_name("blocks.0.norm1.weight"), "blocks.0.norm1.weight");
        assert_eq!(hub_name("register_tokens"), "register_tokens");
        assert_eq!(
            part_of_attention("encoder.layer.7.attention.attention.key.bias"),
            Some(("blocks.7.attn.qkv.bias".to_owned(), 1))
        );
        assert_eq!(part_of_attention("encoder.layer.7.attention.output.dense.bias"), None);
    }

    /// timm 1.0.20 counts 22,056,192 of `vit_small_patch14_dinov2`.
    #[test]
    fn the_small_transformer_has_as_many_parameters_as_timms() {
        let count: usize = DinoV2::expected_tensors()
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!(count, 22_056_192);
    }
}
