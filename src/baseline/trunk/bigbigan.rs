//! The encoders of BigBiGAN, as `torch::encoders::Encoder` computes them.

use super::{PLACE, Rows};
use crate::encoder::{Architecture, Family, HEAD_BLOCKS};

/// From slices to pooled features.
pub(super) fn trunk(net: &Architecture, rows: &mut Rows) {
    let map = |channels: usize, side: usize| channels * side * side;
    let mut side = net.input_size / 2;
    let stem = net.stem_width();
    // The grey plane: the convolution sums its weight over the planes instead of repeating the slice.
    rows.add(
        &["encoder.stem"],
        "conv 7x7 / 2",
        &[stem, side, side],
        map(1, net.input_size),
    );
    // The pool reads a padded copy.
    let padded = map(stem, side + 2);
    side /= 2;
    rows.add(
        &["encoder.pool"],
        "max pool 3 / 2",
        &[stem, side, side],
        padded + PLACE * map(stem, side),
    );
    let mut channels = stem;
    for (stage, &depth) in net.depths.iter().enumerate() {
        for unit in 0..depth {
            rows.cut();
            let before = side;
            let first = unit == 0 && stage > 0;
            let name = format!("encoder.stages.{stage}.{unit}");
            match net.family {
                Family::ResNet => {
                    if first {
                        side /= 2;
                    }
                    let middle = net.width << stage;
                    let kept = 2 * (map(channels, before) + map(middle, before) + map(middle, side));
                    channels = 4 * middle;
                    let stride = if first { " / 2" } else { "" };
                    let kind = format!("bottleneck of {middle}{stride}");
                    rows.add(&[&name], &kind, &[channels, side, side], kept);
                }
                Family::RevNet => {
                    let mut kept = 0;
                    if first {
                        // The average pool keeps what enters it.
                        kept = map(channels, before);
                        side /= 2;
                        channels *= 2;
                    }
                    // Both halves, then the branch of one: its input and its four inner maps, each a quarter as wide.
                    kept += 2 * map(channels, side);
                    let pool = if first { "pool 2, " } else { "" };
                    let kind = format!("{pool}reversible of {}", channels / 8);
                    rows.add(&[&name], &kind, &[channels, side, side], kept);
                }
            }
        }
    }
    rows.cut();
    let features = net.feature_width();
    let (kind, copies) = match net.last_relu {
        true => ("batch norm, ReLU", 2),
        false => ("batch norm", 1),
    };
    rows.add(
        &["encoder.final_bn"],
        kind,
        &[features, side, side],
        copies * map(features, side),
    );
    rows.add(&["avepool_feat"], "mean over the slice", &[features], 0);
}

/// From pooled features to the latent vector's mean and deviation.
pub(super) fn head(net: &Architecture, rows: &mut Rows) {
    let features = net.feature_width();
    rows.cut();
    rows.add(
        &["bn_crelu_feat"],
        "batch norm, both ReLUs",
        &[2 * features],
        3 * features,
    );
    for block in 0..HEAD_BLOCKS {
        let inputs = if block == 0 { features } else { net.head_dim };
        // The block's input, and what leaves the ReLU between its layers; the second block has a ReLU before both.
        let kept = inputs + (1 + block.min(1)) * net.head_dim;
        rows.add(
            &[&format!("encoder.head.blocks.{block}")],
            "residual, two linear layers",
            &[net.head_dim],
            kept,
        );
    }
    rows.add(&["encoder.head.out"], "linear", &[2 * net.z_dim], net.head_dim);
}
