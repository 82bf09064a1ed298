//! Weights: exactly the encoder's or none, the same from the same seed, whole on disk.

use std::{collections::BTreeMap, fs, path::Path};

use hounsfield::{
    encoder::{EncoderConfig, Weights},
    torch::{
        TorchError,
        encoders::{Encoder, InferenceEncoder},
        weights::{self, Mismatch, WeightMap},
    },
};
use safetensors::{Dtype, tensor::TensorView};
use tch::{Device, Kind, Tensor};

use super::support::{difference, tiny_resnet, tiny_revnet};

fn assert_equal(a: &WeightMap, b: &WeightMap) {
    assert!(a.keys().eq(b.keys()));
    for (name, t) in a {
        assert_eq!(difference(t, &b[name]), 0.0, "{name}");
    }
}

fn mismatch(config: &EncoderConfig, path: &Path) -> Mismatch {
    match weights::load(config, path) {
        Err(TorchError::Mismatch { mismatch, .. }) => *mismatch,
        other => panic!("expected a mismatch, found {other:?}"),
    }
}

#[test]
fn what_was_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for config in [tiny_resnet(), tiny_revnet()] {
        let tensors = weights::random(&config, 1).unwrap();
        let sha256 = weights::save(&tensors, &path).unwrap();
        let loaded = weights::load(&config, &path).unwrap();
        assert_equal(&loaded.tensors, &tensors);
        assert_eq!(loaded.sha256, sha256);
        assert_eq!(sha256.len(), 64);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "temporary files are left: {left:?}");
    }
}

#[test]
fn an_encoder_opened_on_a_file_remembers_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut config = tiny_resnet();
    let sha256 = weights::save(&weights::random(&config, 1).unwrap(), &path).unwrap();
    *config.weights_mut() = Weights::File(path);
    let encoder = InferenceEncoder::open(&config, 9, Device::Cpu).unwrap();
    assert!(!encoder.untrained());
    assert_eq!(encoder.origin().to_string(), sha256);
    assert!(!encoder.config().describe().unwrap().contains("safetensors"));
}

#[test]
fn names_may_lack_the_prefix_if_all_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bare.safetensors");
    let config = tiny_resnet();
    let tensors = weights::random(&config, 1).unwrap();
    let mut bare: WeightMap = tensors
        .iter()
        .map(|(name, t)| (name.trim_start_matches("encoder.").to_owned(), t.shallow_clone()))
        .collect();
    weights::save(&bare, &path).unwrap();
    assert_equal(&weights::load(&config, &path).unwrap().tensors, &tensors);

    let one = bare.remove("head.out.bias").unwrap();
    bare.insert("encoder.head.out.bias".to_owned(), one);
    weights::save(&bare, &path).unwrap();
    let found = mismatch(&config, &path);
    assert_eq!(
        (found.missing.len(), found.unexpected.len()),
        (tensors.len() - 1, tensors.len() - 1)
    );
}

#[test]
fn every_kind_of_wrong_tensor_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let config = tiny_resnet();
    let mut tensors = weights::random(&config, 1).unwrap();
    drop(tensors.remove("encoder.head.out.bias"));
    drop(tensors.remove("encoder.final_bn.weight"));
    let float = (Kind::Float, Device::Cpu);
    tensors.insert("encoder.extra.weight".to_owned(), Tensor::zeros([1], float));
    tensors.insert("generator.linear.weight".to_owned(), Tensor::zeros([1], float));
    // One element would be stretched silently by a copy.
    tensors.insert("encoder.final_bn.bias".to_owned(), Tensor::zeros([1], float));
    let _ = tensors
        .get_mut("encoder.head.out.weight")
        .unwrap()
        .get(0)
        .fill_(f64::NAN);
    let _ = tensors
        .get_mut("encoder.crelu_bn.running_mean")
        .unwrap()
        .get(3)
        .fill_(f64::INFINITY);
    let _ = tensors
        .get_mut("encoder.crelu_bn.running_var")
        .unwrap()
        .get(3)
        .fill_(-0.5);
    // Our own writer only writes 32-bit floats.
    let bytes: BTreeMap<String, (Vec<usize>, Vec<u8>, Dtype)> = tensors
        .iter()
        .map(|(name, t)| {
            let shape = t.size().iter().map(|n| *n as usize).collect();
            let (kind, dtype, width) = match name.as_str() {
                "encoder.stem.conv.weight" => (Kind::Double, Dtype::F64, 8),
                _ => (Kind::Float, Dtype::F32, 4),
            };
            let t = t.to_kind(kind);
            let mut bytes = vec![0; width * t.numel()];
            t.copy_data_u8(&mut bytes, t.numel());
            (name.clone(), (shape, bytes, dtype))
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, (shape, b, d))| (name, TensorView::new(*d, shape.clone(), b).unwrap()));
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();

    let found = mismatch(&config, &path);
    assert_eq!(found.missing, ["encoder.final_bn.weight", "encoder.head.out.bias"]);
    assert_eq!(found.unexpected, ["encoder.extra.weight", "generator.linear.weight"]);
    assert_eq!(found.shapes, [("encoder.final_bn.bias".to_owned(), vec![1], vec![128])]);
    assert_eq!(
        found.dtypes,
        [("encoder.stem.conv.weight".to_owned(), "F64".to_owned())]
    );
    assert_eq!(
        found.not_finite,
        ["encoder.crelu_bn.running_mean", "encoder.head.out.weight"]
    );
    assert_eq!(found.negative_variance, ["encoder.crelu_bn.running_var"]);
    let words = weights::load(&config, &path).unwrap_err().to_string();
    for part in [
        "missing (2)",
        "encoder.extra.weight",
        "[1], expected [128]",
        "F64, expected F32",
        "nothing was loaded",
    ] {
        assert!(words.contains(part), "{part:?} is not in: {words}");
    }
}

#[test]
fn another_kinds_weights_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    weights::save(&weights::random(&tiny_resnet(), 0).unwrap(), &path).unwrap();
    let found = mismatch(&tiny_revnet(), &path);
    assert!(!found.missing.is_empty() && !found.unexpected.is_empty() && !found.shapes.is_empty());
}

#[test]
fn files_that_are_no_weights_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let missing = weights::load(&tiny_resnet(), &path).unwrap_err();
    assert!(matches!(missing, TorchError::Io { verb: "read", .. }), "{missing}");
    weights::save(&weights::random(&tiny_resnet(), 0).unwrap(), &path).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 100, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = weights::load(&tiny_resnet(), &path).unwrap_err();
        assert!(
            matches!(error, TorchError::Safetensors { .. }),
            "{length} bytes: {error}"
        );
    }
    let nowhere = folder.path().join("no/such/folder/weights.safetensors");
    let error = weights::save(&weights::random(&tiny_resnet(), 0).unwrap(), &nowhere).unwrap_err();
    assert!(matches!(error, TorchError::Io { verb: "written", .. }), "{error}");
}

#[test]
fn a_seed_gives_the_same_weights_whatever_libtorch_was_doing() {
    tch::manual_seed(1);
    let first = weights::random(&tiny_resnet(), 7).unwrap();
    tch::manual_seed(2);
    let _ = Tensor::randn([100], (Kind::Float, Device::Cpu));
    assert_equal(&first, &weights::random(&tiny_resnet(), 7).unwrap());
    let other = weights::random(&tiny_resnet(), 8).unwrap();
    assert!(difference(&first["encoder.head.out.weight"], &other["encoder.head.out.weight"]) > 0.1);
    // Equal shapes draw from different streams.
    let (a, b) = (
        &first["encoder.head.blocks.1.fc1.weight"],
        &first["encoder.head.blocks.1.fc2.weight"],
    );
    assert!(difference(&(a / a.std(false)), &(b / b.std(false))) > 0.1);
}

#[test]
fn untrained_weights_have_the_variance_that_they_say() {
    let tensors = weights::random(&tiny_resnet(), 0).unwrap();
    let t = &tensors["encoder.stages.3.0.conv2.weight"]; // [32, 32, 3, 3]
    let found = t.std(false).double_value(&[]);
    let expected = (2.0_f64 / 288.0).sqrt();
    assert!(
        (found / expected - 1.0).abs() < 0.05,
        "deviation {found}, expected {expected}"
    );
    assert_eq!(
        difference(
            &tensors["encoder.final_bn.running_var"],
            &Tensor::ones([128], (Kind::Float, Device::Cpu))
        ),
        0.0
    );
}

#[test]
fn a_network_is_not_built_on_tensors_that_do_not_fit() {
    let mut tensors = weights::random(&tiny_resnet(), 0).unwrap();
    let half = tensors["encoder.head.out.bias"].to_kind(Kind::Half);
    tensors.insert("encoder.head.out.bias".to_owned(), half);
    let error = Encoder::new(&tiny_resnet(), &tensors).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("encoder.head.out.bias is Half, expected F32"),
        "{error}"
    );
}

#[test]
fn a_pickle_is_refused_before_anything_in_it_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("weights.pt", &b"?"[..]),
        ("weights.safetensors", b"PK\x03\x04 archive/data.pkl"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = weights::load(&tiny_resnet(), &path).unwrap_err();
        assert!(matches!(error, TorchError::Pickle(_)), "{error}");
        assert!(error.to_string().contains("weights_only=True"), "{error}");
    }
    // Whose weights those are is said by what is in the file.
    let path = folder.path().join("weights.bin");
    weights::save(&weights::random(&tiny_resnet(), 1).unwrap(), &path).unwrap();
    weights::load(&tiny_resnet(), &path).unwrap();
}
