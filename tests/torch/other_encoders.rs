//! Encoders that others trained: ResNet-50 against torchvision and timm, scripts of every shape, and each kind in a study.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hounsfield::{
    cohort::synthetic::SyntheticCohort,
    encoder::{At, EncoderConfig, Layer, ResNet50ImageNet, ScriptOutput, TorchScript, Weights},
    features::read_features,
    progress::Progress,
    tables::sha256_file,
    torch::{
        TorchError,
        encoders::{InferenceEncoder, Origin, ResNetV1},
        weights::{self, WeightMap},
    },
};
use tch::{CModule, Device, Kind, Tensor};

use super::support::{difference, fill_other, filled_other, input, oracle, relative};
use crate::command::Workshop;

/// Pixels pass as they are.
fn plain_resnet(input_size: usize) -> ResNet50ImageNet {
    ResNet50ImageNet {
        input_size,
        mean: [0.5; 3],
        std: [0.5; 3],
        ..ResNet50ImageNet::default()
    }
}

fn origin() -> Origin {
    Origin::File { sha256: String::new() }
}

/// Expected: `torchvision.models.resnet50` 0.28.0 and `timm.create_model("resnet50")` 1.0.20; see make_other_encoders.py.
#[test]
fn pooled_features_are_those_of_torchvision_and_of_timm() {
    let config = EncoderConfig::ResNet50ImageNet(plain_resnet(224));
    let tensors = filled_other(&config);
    let x = input("input.resnet50", &[2, 3, 224, 224], 3f64.sqrt());
    let plain = ResNetV1::new(&tensors).unwrap().forward(&x);
    let fast = InferenceEncoder::new(&config, &tensors, origin(), Device::Cpu).unwrap();
    let fast = fast.encode(&x, &[Layer::AvepoolFeat], None).unwrap().remove(0);
    for file in ["resnet50_torchvision", "resnet50_timm"] {
        let expected = &oracle(&format!("encoders/{file}.safetensors"))["output.avepool_feat"];
        for (path, found) in [("plain", &plain), ("fast", &fast)] {
            let error = relative(found, expected);
            assert!(error <= 1e-5, "the {path} path is off from {file} by {error:e}");
        }
    }
}

#[test]
fn the_fast_resnet_gives_the_plain_ones_numbers_whatever_the_batch() {
    let config = EncoderConfig::ResNet50ImageNet(plain_resnet(96));
    let tensors = weights::random(&config, 3).unwrap();
    let plain = ResNetV1::new(&tensors).unwrap();
    let fast = InferenceEncoder::open(&config, 3, Device::Cpu).unwrap();
    for batch in [1, 5, 16] {
        let x = input("slices", &[batch, 3, 96, 96], 1.0);
        let before = x.copy();
        let found = fast.encode(&x, &[Layer::AvepoolFeat], None).unwrap().remove(0);
        let expected = plain.forward(&x);
        let error = relative(&found, &expected);
        assert!(error <= 1e-4, "off by {error:e} in a batch of {batch}");
        let size = expected.max().double_value(&[]);
        assert!(
            (0.01..100.0).contains(&size),
            "random weights give features up to {size}"
        );
        assert_eq!(difference(&x, &before), 0.0);
    }
}

/// The mean and standard deviation of the settings are what a slice goes through before the network.
#[test]
fn slices_are_normalised_inside_the_encoder() {
    let config = ResNet50ImageNet {
        input_size: 32,
        ..ResNet50ImageNet::default()
    };
    let tensors = weights::random(&EncoderConfig::ResNet50ImageNet(config.clone()), 0).unwrap();
    let grey = input("grey", &[2, 1, 32, 32], 1.0).expand([2, 3, 32, 32], false);
    let column = |values: [f64; 3]| Tensor::from_slice(&values).to_kind(Kind::Float).reshape([1, 3, 1, 1]);
    let seen = ((&grey + 1.0) / 2.0 - column(config.mean)) / column(config.std);
    let expected = ResNetV1::new(&tensors).unwrap().forward(&seen);
    let encoder = EncoderConfig::ResNet50ImageNet(config);
    let encoder = InferenceEncoder::new(&encoder, &tensors, origin(), Device::Cpu).unwrap();
    let found = encoder.encode(&grey, &[Layer::AvepoolFeat], None).unwrap().remove(0);
    let error = relative(&found, &expected);
    assert!(error <= 1e-5, "off by {error:e}");
}

#[test]
fn a_published_file_is_loaded_without_its_classifier_and_nothing_else_is_let_through() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut config = EncoderConfig::ResNet50ImageNet(plain_resnet(32));
    *config.weights_mut() = Weights::File(path.clone());
    let mut tensors = filled_other(&config);
    let needed = tensors.len();
    tensors.insert("fc.weight".to_owned(), fill_other("fc.weight", &[10, 2048]));
    tensors.insert("fc.bias".to_owned(), fill_other("fc.bias", &[10]));
    // As PyTorch writes them: whole numbers, no 32-bit floats.
    let counters: Vec<String> = tensors
        .keys()
        .filter_map(|name| Some(format!("{}.num_batches_tracked", name.strip_suffix(".running_mean")?)))
        .collect();
    assert_eq!(counters.len(), 53);
    let counters = counters.into_iter().map(|name| (name, Tensor::from(7_i64)));
    let all: Vec<(String, Tensor)> = tensors
        .iter()
        .map(|(name, t)| (name.clone(), t.shallow_clone()))
        .chain(counters)
        .collect();
    Tensor::write_safetensors(&all, &path).unwrap();
    let loaded = weights::load(&config, &path).unwrap();
    assert_eq!(loaded.tensors.len(), needed);
    assert_eq!(loaded.sha256, sha256_file(&path).unwrap());
    assert!(!InferenceEncoder::open(&config, 0, Device::Cpu).unwrap().untrained());

    let more: Vec<(String, Tensor)> = all
        .into_iter()
        .filter(|(name, _)| name != "layer3.2.bn2.running_var")
        .chain([("classifier.weight".to_owned(), Tensor::from(1.0_f32))])
        .collect();
    Tensor::write_safetensors(&more, &path).unwrap();
    let said = weights::load(&config, &path).unwrap_err().to_string();
    for words in [
        "missing (1): layer3.2.bn2.running_var",
        "unexpected (1): classifier.weight",
        "resnet50-imagenet",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

/// Names of torch.hub with a mask token, and of transformers with query, key and value apart, are the same encoder.
#[test]
fn dinov2_is_loaded_under_any_of_its_names_and_not_with_registers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let config: EncoderConfig = toml::from_str("kind = 'dinov2-vits14'\ninput_size = 28").unwrap();
    let tensors = filled_other(&config);
    let write = |tensors: &WeightMap| weights::save(tensors, &path).unwrap();
    let mut hub = copy(&tensors);
    hub.insert("mask_token".to_owned(), Tensor::zeros([1, 384], tch::kind::FLOAT_CPU));
    write(&hub);
    let loaded = weights::load(&config, &path).unwrap().tensors;
    assert!(loaded.keys().eq(tensors.keys()));

    let mut theirs = WeightMap::new();
    for (name, tensor) in &tensors {
        theirs.extend(transformers(name, tensor));
    }
    write(&theirs);
    for (name, tensor) in weights::load(&config, &path).unwrap().tensors {
        assert!(tensor.equal(&tensors[&name]), "{name} is another");
    }

    hub.insert(
        "register_tokens".to_owned(),
        Tensor::zeros([1, 4, 384], tch::kind::FLOAT_CPU),
    );
    hub.insert(
        "norm.bias".to_owned(),
        Tensor::full([384], f64::NAN, tch::kind::FLOAT_CPU),
    );
    write(&hub);
    let said = weights::load(&config, &path).unwrap_err().to_string();
    for words in ["unexpected (1): register_tokens", "not finite (1): norm.bias"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

/// What `transformers.Dinov2Model` calls a tensor of torch.hub's.
fn transformers(name: &str, tensor: &Tensor) -> Vec<(String, Tensor)> {
    let all = |name: String| vec![(name, tensor.shallow_clone())];
    let Some((number, rest)) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) else {
        let (at, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        return all(match (at, leaf) {
            ("norm", _) => format!("layernorm.{leaf}"),
            ("patch_embed.proj", _) => format!("embeddings.patch_embeddings.projection.{leaf}"),
            (_, "pos_embed") => "embeddings.position_embeddings".to_owned(),
            _ => format!("embeddings.{leaf}"),
        });
    };
    let at = format!("encoder.layer.{number}");
    if let Some(leaf) = rest.strip_prefix("attn.qkv.") {
        let parts = ["query", "key", "value"].into_iter().zip(tensor.chunk(3, 0));
        let apart = |(part, t)| (format!("{at}.attention.attention.{part}.{leaf}"), t);
        return parts.map(apart).collect();
    }
    all(match rest {
        "ls1.gamma" => format!("{at}.layer_scale1.lambda1"),
        "ls2.gamma" => format!("{at}.layer_scale2.lambda1"),
        _ => match rest.strip_prefix("attn.proj.") {
            Some(leaf) => format!("{at}.attention.output.dense.{leaf}"),
            None => format!("{at}.{rest}"),
        },
    })
}

fn copy(tensors: &WeightMap) -> WeightMap {
    let entry = |(name, t): (&String, &Tensor)| (name.clone(), t.shallow_clone());
    tensors.iter().map(entry).collect()
}

#[test]
fn a_layer_that_an_encoder_has_not_is_refused_before_the_network_runs() {
    let config = EncoderConfig::ResNet50ImageNet(plain_resnet(32));
    let encoder = InferenceEncoder::open(&config, 0, Device::Cpu).unwrap();
    let x = Tensor::zeros([1, 3, 32, 32], tch::kind::FLOAT_CPU);
    let said = encoder.encode(&x, &[Layer::ZMean], None).unwrap_err().to_string();
    assert!(
        said.contains("no layer `z_mean`") && said.contains("`avepool_feat`"),
        "{said}"
    );
}

fn script_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracles/encoders")
        .join(format!("{name}.pt"))
}

/// A script that takes 8 x 8 pixels.
fn script(file: &Path, outputs: &[(Layer, Option<At>, usize)]) -> TorchScript {
    TorchScript {
        weights: Weights::File(file.to_owned()),
        input_size: 8,
        planes: 3,
        mean: None,
        std: None,
        method: "forward".to_owned(),
        outputs: outputs
            .iter()
            .map(|(layer, at, width)| {
                (
                    *layer,
                    ScriptOutput {
                        width: *width,
                        at: at.clone(),
                    },
                )
            })
            .collect(),
    }
}

fn open(script: &TorchScript) -> Result<InferenceEncoder, TorchError> {
    InferenceEncoder::open(&EncoderConfig::TorchScript(script.clone()), 0, Device::Cpu)
}

fn key(key: &str) -> Option<At> {
    Some(At::Key(key.to_owned()))
}

fn said(script: &TorchScript, layer: Layer) -> String {
    let x = Tensor::zeros([2, 3, 8, 8], tch::kind::FLOAT_CPU);
    let given = open(script).unwrap().encode(&x, &[layer], None);
    given.expect_err("the output was taken").to_string()
}

/// Expected: what the scripts of make_scripts.py compute, written out.
#[test]
fn tensors_tuples_lists_and_dictionaries_are_read_for_any_batch() {
    let x = input("slices", &[5, 1, 8, 8], 1.0).expand([5, 3, 8, 8], false);
    let grey = x.narrow(1, 0, 1).contiguous();
    let flat = grey.flatten(1, -1); // [N, 64]
    let (mean, rows) = (
        flat.mean_dim([1i64].as_slice(), true, None),
        grey.mean_dim([1i64, 3].as_slice(), false, None),
    );
    let check = |script: &TorchScript, expected: &[(Layer, &Tensor)]| {
        let encoder = open(script).unwrap();
        for n in [1, 3, 5] {
            let layers: Vec<Layer> = expected.iter().map(|(layer, _)| *layer).collect();
            let found = encoder.encode(&x.narrow(0, 0, n), &layers, None).unwrap();
            for (found, (layer, expected)) in found.iter().zip(expected) {
                let off = difference(found, &expected.narrow(0, 0, n));
                assert!(off < 1e-6, "{layer} of {n} slices is off by {off:e}");
            }
        }
        assert_eq!(encoder.origin().to_string().len(), 64);
    };
    let dictionary = script(
        &script_file("dictionary"),
        &[(Layer::ZMean, key("mean"), 1), (Layer::Embedding, key("rows"), 8)],
    );
    check(&dictionary, &[(Layer::ZMean, &mean), (Layer::Embedding, &rows)]);
    check(&dictionary, &[(Layer::Embedding, &rows)]);
    let tuple = |at| script(&script_file("tuple"), &[(Layer::AvepoolFeat, Some(At::Index(at)), 8)]);
    check(&tuple(1), &[(Layer::AvepoolFeat, &rows)]);
    let mut list = tuple(1);
    "parts".clone_into(&mut list.method);
    check(&list, &[(Layer::AvepoolFeat, &rows)]);

    // One plane, normalised; a map of one pixel counts as a vector, and dropout is asleep.
    let mut pooled = script(&script_file("pooled"), &[(Layer::Embedding, None, 1)]);
    pooled.planes = 1;
    pooled.mean = Some(vec![0.25]);
    pooled.std = Some(vec![0.5]);
    let seen = ((&mean + 1.0) / 2.0 - 0.25) / 0.5;
    check(&pooled, &[(Layer::Embedding, &seen)]);
}

#[test]
fn a_traced_script_runs_and_is_known_by_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("traced.pt");
    let example = Tensor::zeros([2, 3, 8, 8], tch::kind::FLOAT_CPU);
    let mut closure = |x: &[Tensor]| vec![(&x[0] + 1.0).mean_dim([2i64, 3].as_slice(), false, None)];
    let traced = CModule::create_by_tracing("Traced", "forward", &[example], &mut closure).unwrap();
    traced.save(&file).unwrap();
    let encoder = open(&script(&file, &[(Layer::Embedding, None, 3)])).unwrap();
    let x = input("slices", &[4, 3, 8, 8], 1.0);
    let found = encoder.encode(&x, &[Layer::Embedding], None).unwrap().remove(0);
    let expected = x.mean_dim([2i64, 3].as_slice(), false, None) + 1.0;
    let off = difference(&found, &expected);
    assert!(off < 1e-6, "off by {off:e}");
    assert_eq!(encoder.origin().to_string(), sha256_file(&file).unwrap());
}

#[test]
fn a_script_that_writes_over_its_slices_writes_over_a_copy() {
    let mut script = script(&script_file("tuple"), &[(Layer::Embedding, Some(At::Index(0)), 8)]);
    "writes_over".clone_into(&mut script.method);
    let encoder = open(&script).unwrap();
    let x = input("slices", &[1, 3, 8, 8], 1.0);
    let before = x.copy();
    let found = encoder.encode(&x, &[Layer::Embedding], None).unwrap().remove(0);
    assert_eq!(found.sum(Kind::Float).double_value(&[]), 0.0);
    assert_eq!(difference(&x, &before), 0.0);
}

#[test]
fn a_script_that_gives_something_else_is_told_what_was_found_and_expected() {
    let dictionary = |at: &str| script(&script_file("dictionary"), &[(Layer::Embedding, key(at), 8)]);
    let tuple = |at, width| script(&script_file("tuple"), &[(Layer::Embedding, Some(At::Index(at)), width)]);
    let lone = |name: &str, width| script(&script_file(name), &[(Layer::Embedding, None, width)]);
    let calling = |method: &str| {
        let mut script = tuple(0, 1);
        method.clone_into(&mut script.method);
        script
    };
    for (script, words) in [
        (
            dictionary("pooled"),
            &["the keys \"mean\", \"rows\"", "the key \"pooled\""][..],
        ),
        (dictionary("mean"), &["[2, 1] of Float", "[2, 8]"]),
        (tuple(4, 8), &["a tuple of 4 parts", "a part 4"]),
        (tuple(2, 8), &["nothing", "a tensor"]),
        (tuple(3, 8), &["of Double", "32-bit floats"]),
        (
            lone("tuple", 8),
            &["a tuple of 4 parts", "say which part is meant with `at`"],
        ),
        (lone("dictionary", 8), &["a dictionary with"]),
        (calling("encode"), &["`encode`"]),
        (
            calling("fails"),
            &["`fails` failed", "slices of 9 rows are wanted", "[2, 3, 8, 8]"],
        ),
        (
            calling("one_row"),
            &["for layer `embedding`", "[1, 1] of Float", "[2, 1]"],
        ),
    ] {
        let found = said(&script, Layer::Embedding);
        for words in words {
            assert!(found.contains(words), "{words:?} is not in {found}");
        }
    }
}

#[test]
fn what_is_no_script_is_no_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.pt");
    weights::save(
        &BTreeMap::from([("a".to_owned(), Tensor::zeros([2], tch::kind::FLOAT_CPU))]),
        &file,
    )
    .unwrap();
    let settings = script(&file, &[(Layer::Embedding, None, 3)]);
    let found = open(&settings).unwrap_err();
    assert!(matches!(found, TorchError::NoScript { .. }), "{found}");
    assert!(found.to_string().contains("torch.jit.save"), "{found}");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(open(&settings), Err(TorchError::NoScript { .. })));
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(open(&settings), Err(TorchError::Io { .. })));

    let config = EncoderConfig::TorchScript(settings);
    assert!(matches!(weights::load(&config, &file), Err(TorchError::ScriptTensors)));
    let nothing = InferenceEncoder::new(&config, &WeightMap::new(), origin(), Device::Cpu);
    assert!(matches!(nothing, Err(TorchError::ScriptTensors)));
    let mut random = config;
    *random.weights_mut() = Weights::Random;
    let found = InferenceEncoder::open(&random, 0, Device::Cpu).unwrap_err().to_string();
    assert!(found.contains("name its file"), "{found}");
}

const RECIPE: &str = r#"
[cohort]
table = "cohort/cohort.csv"
path = "file"
patient = "patient"
label = "label"
positive = "ground-glass"
[split]
kind = "holdout"
fractions = { train = 0.5, validation = 0.25, test = 0.25 }
[encoder]
kind = "resnet50-imagenet"
input_size = 32
[probe]
heads = ["knn"]
bootstrap = { resamples = 100 }
"#;

/// The same cohort, split and head for each kind, by nothing but `[encoder]`.
#[test]
fn every_kind_goes_through_the_same_study() {
    let shop = Workshop::new(RECIPE);
    let cohort = SyntheticCohort {
        patients_per_site: 12,
        slices_per_patient: 1,
        size: 64,
        ..SyntheticCohort::default()
    };
    std::fs::create_dir(shop.path("cohort")).unwrap();
    cohort.write(&shop.path("cohort"), &Progress::hidden()).unwrap();
    std::fs::copy(script_file("dictionary"), shop.path("script.pt")).unwrap();
    let outputs = "outputs={embedding={width=8, at=\"rows\"}}";
    let script = format!("encoder={{kind=\"torchscript\", weights=\"script.pt\", input_size=8, {outputs}}}");
    let kinds = [
        (
            "encoder={kind=\"resnet50-imagenet\", input_size=32}",
            "avepool_feat",
            2048,
            true,
        ),
        (
            "encoder={kind=\"dinov2-vits14\", input_size=28}",
            "cls_token",
            384,
            true,
        ),
        (&script, "embedding", 8, false),
    ];
    for (encoder, layer, width, untrained) in kinds {
        let said = shop.run(&["--set", encoder]);
        assert_eq!(said.code, Some(0), "{encoder}: {}", said.err);
        assert!(said.out.contains(layer), "{}", said.out);
        let table = read_features(&shop.artefact(&format!("features/{layer}.parquet"))).unwrap();
        assert_eq!(table.values.ncols(), width);
        assert!(table.values.iter().all(|v| v.is_finite()));
        assert_eq!(table.provenance.untrained, untrained);
        let described: serde_json::Value = serde_json::from_str(&table.provenance.encoder).unwrap();
        assert!(encoder.contains(described["kind"].as_str().unwrap()), "{described}");
        assert_eq!(said.out.contains("UNTRAINED"), untrained, "{}", said.out);
    }
    assert!(shop.text("run.lock.toml").contains("torchscript"));

    // Another script under the same name is another encoder.
    let again = shop.run(&["--set", &script]);
    assert!(again.err.contains("up to date"), "{}", again.err);
    let before = std::fs::read(shop.artefact("features/embedding.parquet")).unwrap();
    std::fs::copy(script_file("tuple"), shop.path("script.pt")).unwrap();
    let other = script.replace("at=\"rows\"", "at=1");
    assert_eq!(shop.run(&["--set", &other]).code, Some(0));
    assert_ne!(
        std::fs::read(shop.artefact("features/embedding.parquet")).unwrap(),
        before
    );

    let both = "features.layers=[\"patch_mean\", \"cls_token\"]";
    let said = shop.run(&[
        "--set",
        "encoder={kind=\"dinov2-vits14\", input_size=28}",
        "--set",
        both,
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = shop.run(&["--set", both]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err
            .contains("`resnet50-imagenet` has no layer `patch_mean`: ask for `avepool_feat`"),
        "{}",
        said.err
    );
}
