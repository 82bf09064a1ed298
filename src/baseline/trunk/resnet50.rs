//! ResNet-50 v1.5, as `torch::encoders::ResNetV1` computes it.

use super::{PLACE, Rows};
use crate::encoder::{IMAGE_CHANNELS, ResNet50ImageNet};

/// From slices of `size` rows and columns to pooled features.
pub(super) fn trunk(size: usize, rows: &mut Rows) {
    let map = |channels: usize, side: usize| channels * side * side;
    let mut side = size / 2;
    // The normalised slice, what the convolution gives, what the ReLU gives.
    let kept = map(IMAGE_CHANNELS, size) + 2 * map(64, side);
    rows.add(&["conv1", "bn1"], "conv 7x7 / 2, norm, ReLU", &[64, side, side], kept);
    side /= 2;
    rows.add(
        &["maxpool"],
        "max pool 3 / 2",
        &[64, side, side],
        (1 + PLACE) * map(64, side),
    );
    for (stage, depth) in ResNet50ImageNet::DEPTHS.into_iter().enumerate() {
        let middle = 64 << stage;
        for unit in 0..depth {
            rows.cut();
            let before = side;
            if unit == 0 && stage > 0 {
                side /= 2;
            }
            // What enters each batch norm and leaves each ReLU; the shortcut's convolution has a batch norm of its own.
            let wide = if unit == 0 { 3 } else { 2 };
            let kept = 2 * map(middle, before) + 2 * map(middle, side) + wide * map(4 * middle, side);
            let stride = if before == side { "" } else { " / 2" };
            rows.add(
                &[&format!("layer{}.{unit}", stage + 1)],
                &format!("bottleneck of {middle}{stride}"),
                &[4 * middle, side, side],
                kept,
            );
        }
    }
    rows.cut();
    rows.add(&["avgpool"], "mean over the slice", &[2048], 0);
}
