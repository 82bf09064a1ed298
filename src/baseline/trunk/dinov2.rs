//! ViT-S/14, as `torch::encoders::DinoV2` computes it.

use super::Rows;
use crate::encoder::{DinoV2, IMAGE_CHANNELS};

/// From slices of `size` rows and columns to the class token.
pub(super) fn trunk(size: usize, rows: &mut Rows) {
    let side = size / DinoV2::PATCH;
    let tokens = 1 + side * side;
    let features = DinoV2::FEATURES;
    let wide = tokens * features;
    rows.add(
        &["patch_embed", "cls_token", "pos_embed"],
        "patches of 14, positions",
        &[tokens, features],
        IMAGE_CHANNELS * size * size,
    );
    for block in 0..DinoV2::BLOCKS {
        rows.cut();
        // Attention: what enters and leaves the norm, query, key and value, what is attended, the projection before its scale. MLP: the
        // norm's two, four-fold width before and after GELU, the last layer before its scale. Then two statistics a token and norm, and
        // one a token and head.
        let kept = (2 + 3 + 1 + 1) * wide + (2 + 4 + 4 + 1) * wide + (4 + DinoV2::HEADS) * tokens;
        rows.add(
            &[&format!("blocks.{block}")],
            "attention, MLP",
            &[tokens, features],
            kept,
        );
    }
    rows.cut();
    rows.add(&["norm"], "layer norm, class token", &[features], wide + 2 * tokens);
}
