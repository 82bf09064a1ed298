//! The fast path beside the plain one, and what must not matter to it.

use hounsfield::{
    encoder::{EncoderConfig, Layer, TinyResNet, TinyRevNet},
    torch::{
        TorchError,
        encoders::{Encoder, InferenceEncoder, noise},
        layers::Statistics,
        weights,
    },
};
use tch::{Device, Kind, Tensor};

use super::support::{difference, input, relative, tiny_resnet, tiny_revnet};

/// Larger than the fixtures' networks, and of another shape.
fn medium() -> [EncoderConfig; 2] {
    let resnet = TinyResNet {
        width: 16,
        depths: [1, 2, 3, 1],
        input_size: 96,
        ..TinyResNet::default()
    };
    let revnet = TinyRevNet {
        width: 16,
        depths: [3, 1, 2, 2],
        input_size: 96,
        ..TinyRevNet::default()
    };
    [EncoderConfig::TinyResNet(resnet), EncoderConfig::TinyRevNet(revnet)]
}

#[test]
fn the_fast_path_gives_the_plain_paths_numbers() {
    for config in medium() {
        for batch in [1, 5, 16] {
            let x = input("slices", &[batch, 3, 96, 96], 1.0);
            let tensors = weights::random(&config, 3).unwrap();
            let plain = Encoder::new(&config, &tensors)
                .unwrap()
                .forward(&x, Statistics::Stored)
                .unwrap();
            let fast = InferenceEncoder::open(&config, 3, Device::Cpu).unwrap();
            let layers = [Layer::BnCreluFeat, Layer::ZMean, Layer::AvepoolFeat, Layer::ZStdev];
            let found = fast.encode(&x, &layers, None).unwrap();
            let expected = [&plain.bn_crelu_feat, &plain.z_mean, &plain.avepool_feat, &plain.z_stdev];
            for ((layer, found), expected) in layers.iter().zip(&found).zip(expected) {
                let error = relative(found, expected);
                assert!(
                    error <= 1e-4,
                    "{} {layer} is off by {error:e} in a batch of {batch}",
                    config.kind()
                );
                assert_eq!(found.size()[1] as usize, config.width(*layer).unwrap());
            }
        }
    }
}

#[test]
fn a_batch_gives_what_its_slices_give_one_by_one() {
    for config in [tiny_resnet(), tiny_revnet()] {
        let encoder = InferenceEncoder::open(&config, 0, Device::Cpu).unwrap();
        let x = input("slices", &[7, 3, 64, 64], 1.0);
        let together = encoder.encode(&x, &[Layer::ZMean], None).unwrap().remove(0);
        for i in 0..7 {
            let alone = encoder
                .encode(&x.narrow(0, i, 1), &[Layer::ZMean], None)
                .unwrap()
                .remove(0);
            let error = relative(&alone, &together.narrow(0, i, 1));
            assert!(error <= 1e-5, "slice {i} is off by {error:e}");
        }
    }
}

#[test]
fn the_slices_that_enter_are_left_as_they_are() {
    let encoder = InferenceEncoder::open(&tiny_revnet(), 0, Device::Cpu).unwrap();
    let x = input("slices", &[2, 3, 64, 64], 1.0);
    let before = x.copy();
    let first = encoder.encode(&x, &[Layer::AvepoolFeat], None).unwrap().remove(0);
    let second = encoder.encode(&x, &[Layer::AvepoolFeat], None).unwrap().remove(0);
    assert_eq!(difference(&x, &before), 0.0);
    assert_eq!(difference(&first, &second), 0.0);
}

#[test]
fn noise_belongs_to_its_row_and_seed() {
    let all = noise(5, &[0, 1, 2, 3], 12).unwrap();
    let some = noise(5, &[3, 1], 12).unwrap();
    assert_eq!(difference(&some.get(0), &all.get(3)), 0.0);
    assert_eq!(difference(&some.get(1), &all.get(1)), 0.0);
    assert!(difference(&noise(6, &[1], 12).unwrap().get(0), &all.get(1)) > 0.1);
    let many = noise(0, &(0..2000).collect::<Vec<_>>(), 12).unwrap();
    let (mean, std) = (
        many.mean(Kind::Float).double_value(&[]),
        many.std(false).double_value(&[]),
    );
    assert!(
        mean.abs() < 0.03 && (std - 1.0).abs() < 0.03,
        "mean {mean}, standard deviation {std}"
    );
}

#[test]
fn wrong_shapes_are_refused_before_the_network_runs() {
    let encoder = InferenceEncoder::open(&tiny_resnet(), 0, Device::Cpu).unwrap();
    for shape in [&[2, 1, 64, 64][..], &[2, 3, 64, 32], &[3, 64, 64], &[0, 3, 64, 64]] {
        let x = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let found = encoder.encode(&x, &[Layer::ZMean], None);
        assert!(
            matches!(found, Err(TorchError::SliceShape { .. })),
            "accepted {shape:?}"
        );
    }
    let x = Tensor::zeros([2, 3, 64, 64], (Kind::Float, Device::Cpu));
    assert!(matches!(
        encoder.encode(&x, &[Layer::ZSample], None),
        Err(TorchError::NoNoise(_))
    ));
    let one = noise(0, &[0], 12).unwrap();
    assert!(matches!(
        encoder.encode(&x, &[Layer::ZSample], Some(&one)),
        Err(TorchError::NoiseShape { .. })
    ));
}
