//! `hounsfield convert tfhub`: from what TensorFlow wrote to files of weights, as a user runs it and as a program does.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hounsfield::{
    card::{self, EncoderCard},
    convert::{
        ConvertError,
        bundle::{Bundle, DType},
        names::Overrides,
        tfhub::{GENERATOR, TRAINING, TfHub, WEIGHTS},
    },
    encoder::{EncoderConfig, Layer},
    tables::sha256_file,
};
use safetensors::SafeTensors;

use crate::{
    checkpoint,
    command::{Said, Workshop},
    renaming,
};

/// What TensorFlow wrote: raw weights are the averages + 0.01, the encoder's statistics are doubled with counters of 2.
fn tiny() -> PathBuf {
    oracle("tfhub_tiny")
}

fn oracle(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracles/bigbigan")
        .join(name)
}

/// Shapes and values of all tensors of a file.
fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| {
        data.chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let tensor = |(name, view): (&str, safetensors::tensor::TensorView)| {
        (name.to_owned(), (view.shape().to_vec(), floats(view.data())))
    };
    file.iter().map(tensor).collect()
}

/// A variable's shape and values.
type Values = (Vec<u64>, Vec<f32>);

/// The floats of TensorFlow's checkpoint, to be changed and written again.
fn variables() -> BTreeMap<String, Values> {
    let bundle = Bundle::open(&tiny().join("variables/variables")).unwrap();
    let floats = bundle
        .variables()
        .iter()
        .filter(|(_, variable)| variable.dtype == DType::Float32);
    floats
        .map(|(name, variable)| {
            let shape = variable.shape.iter().map(|n| *n as u64).collect();
            (name.clone(), (shape, bundle.read_f32(name).unwrap()))
        })
        .collect()
}

/// A module's folder with these variables.
fn module(folder: &Path, variables: &BTreeMap<String, Values>) -> PathBuf {
    let list: Vec<(&str, &[u64], &[f32])> = variables
        .iter()
        .map(|(name, (shape, values))| (name.as_str(), &shape[..], &values[..]))
        .collect();
    let (index, data) = checkpoint::floats(&list);
    let home = folder.join("module");
    std::fs::create_dir_all(home.join("variables")).unwrap();
    std::fs::write(home.join("tfhub_module.pb"), [8, 3]).unwrap();
    std::fs::write(home.join("variables/variables.index"), index).unwrap();
    std::fs::write(home.join("variables/variables.data-00000-of-00001"), data).unwrap();
    home
}

/// `hounsfield convert tfhub MODULE --out OUT` with further arguments.
fn command(shop: &Workshop, module: &Path, out: &Path, more: &[&str]) -> Said {
    let arguments = [
        "convert",
        "tfhub",
        module.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    shop.hounsfield(&[&arguments, more].concat())
}

/// Converts with the library into a new folder below `home`.
fn convert(module: &Path, home: &Path, overrides: &Overrides) -> Result<PathBuf, ConvertError> {
    let out = tempfile::tempdir_in(home).unwrap().keep();
    TfHub::open(module, home, overrides)?.write(&out)?;
    Ok(out)
}

/// Expected: `encoder_tiny`, `generator_tiny`, `disc_tiny` of oracle.py, which tf_twin.py put into the module.
#[test]
fn the_module_that_tensorflow_wrote_becomes_its_averages_to_the_bit() {
    let shop = Workshop::new("");
    let out = shop.path("out");
    let said = command(&shop, &tiny(), &out, &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("converted"), "{}", said.out);

    let expected = |file: &str, prefix: &str| -> BTreeMap<_, _> {
        let all = tensors(&oracle(&format!("../bigbigan/{file}.safetensors")));
        all.into_iter().filter(|(name, _)| name.starts_with(prefix)).collect()
    };
    let (encoder, generator) = (
        expected("encoder_tiny", "encoder."),
        expected("generator_tiny", "generator."),
    );
    assert_eq!(tensors(&out.join(WEIGHTS)), encoder);
    assert_eq!(tensors(&out.join(GENERATOR)), generator);

    let mut trained: BTreeMap<_, _> = encoder.into_iter().chain(generator).collect();
    for (name, (_, values)) in &mut trained {
        if !["running_mean", "running_var", "u"].contains(&name.rsplit('.').next().unwrap()) {
            values.iter_mut().for_each(|value| *value += 0.01);
        }
    }
    trained.extend(expected("disc_tiny", "disc."));
    assert_eq!(tensors(&out.join(TRAINING)), trained);

    let card = EncoderCard::load(&out).unwrap();
    assert_eq!((card.card.name.as_str(), card.card.layers[&Layer::ZMean]), ("out", 12));
    assert_eq!(card.card.sha256.len(), 3);
    let conversion = card.card.conversion.unwrap();
    assert_eq!(conversion.statistics_divided_by, "encoder 2, generator 1");
    assert!(
        conversion.settled["all"].contains("--settle"),
        "{:?}",
        conversion.settled
    );
    let EncoderConfig::TinyResNet(encoder) = card.card.encoder else {
        panic!("not the tiny ResNet");
    };
    assert_eq!(
        (encoder.width, encoder.depths, encoder.input_size),
        (4, [2, 2, 1, 1], 64)
    );
    assert_eq!(card.card.generator.unwrap().network.resolution(), 32);
}

#[test]
fn a_module_under_other_names_becomes_the_same_weights() {
    let home = tempfile::tempdir().unwrap();
    let first = convert(&tiny(), home.path(), &Overrides::default()).unwrap();
    let hashes = |out: &Path| [WEIGHTS, GENERATOR, TRAINING].map(|file| sha256_file(&out.join(file)).unwrap());
    let variables = variables();
    let keys: Vec<&str> = variables.keys().map(String::as_str).collect();
    let mut the_same = Vec::new();
    for (style, rename) in renaming::renamings(&keys) {
        let renamed = variables
            .iter()
            .map(|(name, values)| (rename.get(name).unwrap_or(name).clone(), values.clone()))
            .collect();
        let folder = home.path().join(style.replace(' ', "-"));
        let module = module(&folder, &renamed);
        match convert(&module, home.path(), &Overrides::default()) {
            Ok(out) => {
                assert_eq!(hashes(&out), hashes(&first), "{style}: other weights");
                the_same.push(style);
            }
            // Where names tell too little the answer is a list, never another reading.
            Err(ConvertError::Names(error)) => assert!(error.to_string().contains("--names"), "{style}: {error}"),
            Err(error) => panic!("{style}: {error}"),
        }
    }
    assert!(the_same.len() >= 5, "only {the_same:?}");
}

#[test]
fn an_archive_and_a_folder_are_one_module() {
    let home = tempfile::tempdir().unwrap();
    let archive = home.path().join("module.tar.gz");
    let file = std::fs::File::create(&archive).unwrap();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
    tar.append_dir_all(".", tiny()).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    let [folder, packed] =
        [tiny(), archive].map(|module| convert(&module, home.path(), &Overrides::default()).unwrap());
    for file in [WEIGHTS, GENERATOR, TRAINING] {
        assert_eq!(
            sha256_file(&folder.join(file)).unwrap(),
            sha256_file(&packed.join(file)).unwrap()
        );
    }
}

#[test]
fn damage_leaves_nothing_behind() {
    let shop = Workshop::new("");
    // In the middle of a kernel, and in the last variable, the number of steps, which is not taken.
    let data = "variables/variables.data-00000-of-00001";
    let bytes = std::fs::read(tiny().join(data)).unwrap();
    let (module, out) = (shop.path("damaged"), shop.path("models/out"));
    std::fs::create_dir_all(module.join("variables")).unwrap();
    for file in ["tfhub_module.pb", "variables/variables.index"] {
        std::fs::copy(tiny().join(file), module.join(file)).unwrap();
    }
    for at in [bytes.len() / 2, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        std::fs::write(module.join(data), bytes).unwrap();
        let said = command(&shop, &module, &out, &[]);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains("checksum"), "{}", said.err);
        assert!(!shop.path("models").exists());
    }
    let left: Vec<_> = std::fs::read_dir(shop.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter().all(|name| !name.to_string_lossy().starts_with('.')),
        "{left:?}"
    );
}

#[test]
fn values_that_are_no_weights_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let encoder = "GenEncWrapper/Encoder";
    let cases: [(&str, f32, &str); 4] = [
        ("block0_unit0/conv0/w/ema_0.9999", f32::NAN, "holds NaN"),
        ("BatchNorm/accumulated_var", -3.0, "read as a variance and holds -1.5"),
        ("BatchNorm/accumulation_counter", 0.0, "which is 0, expected 1 or more"),
        ("BatchNorm/accumulation_counter", f32::INFINITY, "which is inf"),
    ];
    for (number, (name, value, expected)) in cases.into_iter().enumerate() {
        let mut variables = variables();
        variables.get_mut(&format!("{encoder}/{name}")).unwrap().1[0] = value;
        let module = module(&home.path().join(number.to_string()), &variables);
        let error = convert(&module, home.path(), &Overrides::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    // One average is missing: the encoder would be a mixture of two.
    let mut variables = variables();
    variables.remove(&format!("{encoder}/linear/b/ema_0.9999")).unwrap();
    let module = module(&home.path().join("mixture"), &variables);
    let error = convert(&module, home.path(), &Overrides::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("1 have no average") && error.contains("Encoder/linear/b"),
        "{error}"
    );
}

#[test]
fn a_card_that_waits_for_its_weights_keeps_its_words() {
    let shop = Workshop::new("");
    let out = shop.path("shelf");
    let convert = |more: &[&str]| command(&shop, &tiny(), &out, more);
    assert_eq!(convert(&["--name", "first", "--licence", "CC0-1.0"]).code, Some(0));
    let card = EncoderCard::load(&out).unwrap().card;
    assert_eq!((card.name.as_str(), card.licence.as_str()), ("first", "CC0-1.0"));

    let refused = convert(&[]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.err.contains("is there already") && refused.err.contains("--overwrite"),
        "{}",
        refused.err
    );
    assert_eq!(convert(&["--overwrite"]).code, Some(0));

    // As the shelf has it: words and the way to the weights, no weights.
    for file in [WEIGHTS, GENERATOR, TRAINING] {
        std::fs::remove_file(out.join(file)).unwrap();
    }
    let waiting = EncoderCard {
        name: "waiting".to_owned(),
        description: "waits".to_owned(),
        obtain: Some("hounsfield convert tfhub ADDRESS".to_owned()),
        sha256: BTreeMap::new(),
        generator: None,
        conversion: None,
        ..card
    };
    std::fs::write(out.join(card::FILE), toml::to_string(&waiting).unwrap()).unwrap();
    let shelf = shop.path("resnet50");
    std::fs::create_dir(&shelf).unwrap();
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("pretrained/bigbigan-resnet50/encoder.toml");
    std::fs::copy(published, shelf.join(card::FILE)).unwrap();
    let said = command(&shop, &tiny(), &shelf, &[]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("waits for weights of `bigbigan-resnet50`"),
        "{}",
        said.err
    );
    assert_eq!(std::fs::read_dir(&shelf).unwrap().count(), 1);

    let said = convert(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let card = EncoderCard::load(&out).unwrap().card;
    assert_eq!(
        (card.name.as_str(), card.description.as_str(), card.licence.as_str()),
        ("waiting", "waits", "CC0-1.0")
    );
    assert_eq!((card.obtain, card.sha256.len()), (None, 3));
}

/// A batch norm that nothing expects would change all that follows it: without this the conversion would go on without it.
#[test]
fn a_layer_that_no_network_has_is_not_passed_over() {
    let home = tempfile::tempdir().unwrap();
    let scope = "GenEncWrapper/Encoder/mlp/block0/BatchNorm";
    let mut larger = variables();
    for leaf in [
        "scale",
        "scale/ema_0.9999",
        "offset",
        "offset/ema_0.9999",
        "accumulated_mean",
        "accumulated_var",
    ] {
        larger.insert(format!("{scope}/{leaf}"), (vec![32], vec![1.0; 32]));
    }
    larger.insert(format!("{scope}/accumulation_counter"), (vec![], vec![1.0]));
    let module = module(home.path(), &larger);
    let without = home.path().join("without.toml");
    std::fs::write(&without, "without = [\"discriminator\"]").unwrap();
    for overrides in [Overrides::default(), Overrides::read(&without).unwrap()] {
        let error = convert(&module, home.path(), &overrides).unwrap_err().to_string();
        assert!(error.contains("mlp/block0/BatchNorm/scale"), "{error}");
    }
}

#[test]
fn the_card_says_which_values_the_encoder_has() {
    let home = tempfile::tempdir().unwrap();
    let mut raw = variables();
    raw.retain(|name, _| !(name.starts_with("GenEncWrapper/Encoder") && name.ends_with("/ema_0.9999")));
    let module = module(home.path(), &raw);
    let shop = Workshop::new("");
    let out = shop.path("out");
    let said = command(&shop, &module, &out, &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let conversion = EncoderCard::load(&out).unwrap().card.conversion.unwrap();
    assert!(
        conversion.weights.contains("no averages of the encoder"),
        "{}",
        conversion.weights
    );
    let [weights, trained] = [WEIGHTS, TRAINING].map(|file| tensors(&out.join(file)));
    assert!(weights.iter().all(|(name, values)| trained[name] == *values));
}

/// The file of `--names` as a user gives it: here it says what the module says already.
#[test]
fn a_file_of_names_is_read_and_what_it_asks_for_must_be_there() {
    let shop = Workshop::new("");
    shop.write(
        "names.toml",
        "[names]\n\"encoder.stem.conv.weight\" = \"GenEncWrapper/Encoder/root_conv/w\"\n",
    );
    let (names, module) = (shop.path("names.toml"), tiny());
    let arguments = |names: &Path| {
        [
            "convert",
            "tfhub",
            module.to_str().unwrap(),
            "--explain",
            "--names",
            names.to_str().unwrap(),
        ]
        .map(str::to_owned)
    };
    let run = |names: &Path| {
        let arguments = arguments(names);
        shop.hounsfield(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let said = run(&names);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("the file of --names"), "{}", said.out);
    shop.write("names.toml", "[names]\n\"encoder.stem.conv.weight\" = \"nowhere/w\"\n");
    let said = run(&names);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("nowhere/w"), "{}", said.err);
}

#[test]
fn an_explanation_alone_writes_nothing() {
    let shop = Workshop::new("");
    let said = shop.hounsfield(&["convert", "tfhub", tiny().to_str().unwrap(), "--explain"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for line in [
        "encoder.stem.conv.weight",
        "GenEncWrapper/Encoder/root_conv/w",
        "global_step",
    ] {
        assert!(said.out.contains(line), "no {line} in\n{}", said.out);
    }
}
