//! Names that are known or assumed.
//!
//! The generator's are those of public converters of `deepmind/bigbigan-resnet50/1` (anvoynov/BigGANsAreWatching,
//! `tf_tools/bigbigan2biggan.py`). Nobody published the encoder's and the discriminator's: the names here are made up in the
//! same manner and stand for a module that happens to have them.

use super::{Why, targets::Piece};

/// The scopes in which a layer may be, and how sure that is.
pub(super) fn scopes(base: &str, piece: Piece) -> (Vec<String>, Why) {
    let steps: Vec<&str> = base.split('.').collect();
    let (root, why) = match piece {
        Piece::Generator => ("GenEncWrapper/Generator", Why::Known),
        Piece::Trunk | Piece::Crelu | Piece::Head => ("GenEncWrapper/Encoder", Why::Assumed),
        Piece::F | Piece::H | Piece::J => ("Discriminator", Why::Assumed),
    };
    let inner: Vec<String> = match (piece, &steps[1..]) {
        (Piece::Generator, ["shared"]) => vec!["linear".to_owned()],
        (Piece::Generator, ["linear"]) => vec!["GenZ/G_linear".to_owned()],
        (Piece::Generator, ["blocks", i, rest @ ..]) => vec![format!("GBlock{}/{}", suffix(i), member(rest))],
        (Piece::Generator, ["out_conv"]) => vec!["conv_2d".to_owned(), "conv_to_rgb".to_owned()],
        (Piece::Trunk, ["stem", "conv"]) => vec!["root_conv".to_owned()],
        (Piece::Trunk, ["stages", s, u, "f", rest @ ..] | ["stages", s, u, rest @ ..]) => {
            vec![format!("block{s}_unit{u}/{}", member(rest))]
        }
        (Piece::Crelu, _) => vec!["crelu/BatchNorm".to_owned()],
        (Piece::Head, ["head", "blocks", i, layer]) => vec![format!("mlp/block{i}/{}", linear(layer))],
        (Piece::Head, _) => vec!["linear".to_owned()],
        (_, ["final_bn" | "out_bn"]) => vec!["BatchNorm".to_owned()],
        (Piece::F, ["f", "blocks", i, layer]) => vec![format!("F/DBlock{}/{}", suffix(i), member(&[layer]))],
        (Piece::F, ["f", "attention", rest @ ..]) => vec![format!("F/{}", attention(rest))],
        (_, ["attention", rest @ ..]) => vec![attention(rest)],
        (_, [tower, "blocks", i, layer]) => vec![format!("{}/block{i}/{}", tower.to_uppercase(), linear(layer))],
        (_, rest) => vec![rest.join("/")],
    };
    (inner.into_iter().map(|scope| format!("{root}/{scope}")).collect(), why)
}

/// TensorFlow leaves the first one's number out.
fn suffix(i: &str) -> String {
    if i == "0" { String::new() } else { format!("_{i}") }
}

fn member(steps: &[&str]) -> String {
    let name = |step: &str| match step {
        "bn1" => "BatchNorm",
        "bn2" => "BatchNorm_1",
        "bn3" => "BatchNorm_2",
        "conv1" => "conv0",
        "conv2" => "conv1",
        "conv3" => "conv2",
        "shortcut" => "conv_sc",
        "gain" => "scale",
        _ => "offset",
    };
    steps.iter().map(|step| name(step)).collect::<Vec<_>>().join("/")
}

fn linear(layer: &str) -> &'static str {
    match layer {
        "fc1" => "linear0",
        "fc2" => "linear1",
        _ => "linear_sc",
    }
}

fn attention(steps: &[&str]) -> String {
    match steps {
        [] => "attention".to_owned(),
        ["o"] => "attention/o_conv".to_owned(),
        rest => format!("attention/{}", rest.join("/")),
    }
}
