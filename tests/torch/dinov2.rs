//! DINOv2's small transformer against timm and transformers, on weights by formula; see make_other_encoders.py.

use std::collections::BTreeMap;

use hounsfield::torch::{TorchError, encoders::DinoV2, weights::WeightMap};
use tch::Tensor;

use super::support::{difference, fill_other, input, oracle};

/// As torch.hub and timm name them.
fn hub_weights() -> WeightMap {
    let expected = DinoV2::expected_tensors();
    expected
        .into_iter()
        .map(|(name, shape)| (name.clone(), fill_other(&name, &shape)))
        .collect()
}

/// The same tensors as `transformers.Dinov2Model` names them: `transformers_names` of make_other_encoders.py.
fn transformers_weights(hub: &WeightMap) -> WeightMap {
    let mut out = WeightMap::from([(
        "embeddings.mask_token".to_owned(),
        Tensor::zeros([1, 384], tch::kind::FLOAT_CPU),
    )]);
    for (name, tensor) in hub {
        let (at, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        let block = at.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
        let theirs = match (at, block) {
            ("", _) if leaf == "cls_token" => "embeddings.cls_token".to_owned(),
            ("", _) => "embeddings.position_embeddings".to_owned(),
            ("patch_embed.proj", _) => format!("embeddings.patch_embeddings.projection.{leaf}"),
            (_, None) => format!("layernorm.{leaf}"),
            (_, Some((number, "attn.qkv"))) => {
                for (part, tensor) in ["query", "key", "value"].iter().zip(tensor.chunk(3, 0)) {
                    out.insert(
                        format!("encoder.layer.{number}.attention.attention.{part}.{leaf}"),
                        tensor,
                    );
                }
                continue;
            }
            (_, Some((number, "attn.proj"))) => format!("encoder.layer.{number}.attention.output.dense.{leaf}"),
            (_, Some((number, "ls1"))) => format!("encoder.layer.{number}.layer_scale1.lambda1"),
            (_, Some((number, "ls2"))) => format!("encoder.layer.{number}.layer_scale2.lambda1"),
            (_, Some((number, rest))) => format!("encoder.layer.{number}.{rest}.{leaf}"),
        };
        out.insert(theirs, tensor.shallow_clone());
    }
    out
}

fn assert_features(tensors: &WeightMap, expected: &BTreeMap<String, Tensor>, size: usize) {
    let _no_gradients = tch::no_grad_guard();
    let x = input(&format!("input.dinov2_{size}"), &[2, 3, size, size], 3f64.sqrt());
    let (class, patches) = DinoV2::new(tensors, size).unwrap().forward(&x).unwrap();
    for (name, found) in [("cls_token", class), ("patch_mean", patches)] {
        let difference = difference(&found, &expected[&format!("output_{size}.{name}")]);
        assert!(difference < 1e-4, "{name} of {size} pixels differs by {difference}");
    }
}

/// Expected: at 518 pixels timm 1.0.20 and transformers 4.57.3, which agree; at 224 the position embedding by the one call of
/// facebookresearch/dinov2, and timm's blocks on it. timm's own resampling is 0.8 away from that, transformers' 0.4.
#[test]
fn features_are_those_of_timm_and_of_transformers_by_either_names() {
    let expected = oracle("encoders/dinov2_vits14.safetensors");
    let hub = hub_weights();
    for size in [224, 518] {
        assert_features(&hub, &expected, size);
    }
    let theirs = transformers_weights(&hub);
    assert_eq!(theirs.len(), hub.len() + 2 * 24 + 1, "names were lost");
    let canonical = DinoV2::canonical(&theirs).unwrap();
    assert!(canonical.keys().eq(hub.keys()));
    assert_features(&canonical, &expected, 224);
}

#[test]
fn tensors_that_do_not_fit_and_sizes_that_can_not_be_cut_are_named() {
    let mut weights = DinoV2::canonical(&hub_weights()).unwrap();
    let said = DinoV2::new(&weights, 256).unwrap_err().to_string();
    assert!(said.contains("256 x 256") && said.contains("multiple of 14"), "{said}");
    let network = DinoV2::new(&weights, 28).unwrap();
    let x = Tensor::zeros([1, 3, 32, 32], tch::kind::FLOAT_CPU);
    assert!(matches!(
        network.forward(&x),
        Err(TorchError::SliceShape { size: 28, .. })
    ));
    weights.insert(
        "register_tokens".to_owned(),
        Tensor::zeros([1, 4, 384], tch::kind::FLOAT_CPU),
    );
    weights.remove("blocks.3.ls1.gamma");
    let said = DinoV2::new(&weights, 224).unwrap_err().to_string();
    assert!(
        said.contains("register_tokens") && said.contains("blocks.3.ls1.gamma"),
        "{said}"
    );
}
