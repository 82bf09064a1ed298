//! Which variable is which tensor: the oracle's maps, and the same maps under other names.

use std::collections::BTreeMap;

use crate::renaming::{Key, NETWORKS, Shortcut, another, numbered, renamings, scramble};
use hounsfield::convert::names::{NamesError, Overrides, Plan, Transform, resolve};
use rand::RngExt as _;

/// Keys and shapes of a checkpoint, and what each dotted tensor must come from.
struct Map {
    found: BTreeMap<String, Vec<usize>>,
    expected: BTreeMap<String, Origin>,
}

#[derive(Debug, Clone, PartialEq)]
struct Origin {
    source: String,
    ema: Option<String>,
    counter: Option<String>,
    transform: Transform,
    shape: Vec<usize>,
}

/// `tfnames.py` and `make_maps.py` of the oracle wrote the maps.
fn map(name: &str) -> Map {
    let path = format!(
        "{}/tests/oracles/bigbigan/name_map_{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let suffix = json["ema_suffix"].as_str().unwrap();
    let (mut found, mut expected) = (BTreeMap::new(), BTreeMap::new());
    let sizes = |v: &serde_json::Value| {
        v.as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .map(|n| usize::try_from(n).unwrap())
            .collect()
    };
    for entry in json["entries"].as_array().unwrap() {
        let source = entry["tf"].as_str().unwrap().to_owned();
        let shape: Vec<usize> = sizes(&entry["tf_shape"]);
        found.insert(source.clone(), shape.clone());
        let ema = entry["ema"].as_bool().unwrap().then(|| format!("{source}{suffix}"));
        found.extend(ema.clone().map(|ema| (ema, shape)));
        let Some(dotted) = entry["dotted"].as_str() else {
            continue;
        };
        let counted = entry["transform"] == "acc";
        let counter = counted.then(|| format!("{}/accumulation_counter", source.rsplit_once('/').unwrap().0));
        let transform = match entry["transform"].as_str().unwrap() {
            "conv" => Transform::Conv,
            "linear" => Transform::Linear,
            "glinear_w" => Transform::GeneratorLinear,
            "glinear_b" => Transform::GeneratorVector,
            _ => Transform::Squeeze,
        };
        let shape = sizes(&entry["dotted_shape"]);
        let origin = Origin {
            source,
            ema,
            counter,
            transform,
            shape,
        };
        expected.insert(dotted.to_owned(), origin);
    }
    found.insert("global_step".to_owned(), vec![]);
    Map { found, expected }
}

fn origins(plan: &Plan) -> BTreeMap<String, Origin> {
    let origin = |e: &hounsfield::convert::names::Entry| Origin {
        source: e.source.clone(),
        ema: e.ema.clone(),
        counter: e.counter.clone(),
        transform: e.transform,
        shape: e.target_shape.clone(),
    };
    plan.entries.iter().map(|e| (e.target.clone(), origin(e))).collect()
}

#[test]
fn the_oracles_maps_are_found() {
    for name in ["tiny", "resnet50", "revnet50x4"] {
        let map = map(name);
        let plan = resolve(&map.found, &Overrides::default()).unwrap();
        assert_eq!(origins(&plan), map.expected, "{name}");
        assert_eq!(plan.unused, ["global_step"], "{name}");
        assert_eq!(plan.entries.len(), map.expected.len());
        eprintln!("{:?}", plan.encoder);
    }
}

/// The oracle's map under other keys.
fn renamed(map: &Map, names: &BTreeMap<String, String>) -> Map {
    let new = |key: &String| names[key].clone();
    let found: BTreeMap<_, _> = map.found.iter().map(|(key, shape)| (new(key), shape.clone())).collect();
    assert_eq!(found.len(), map.found.len(), "the renaming makes two names one");
    let origin = |o: &Origin| Origin {
        source: new(&o.source),
        ema: o.ema.as_ref().map(new),
        counter: o.counter.as_ref().map(new),
        ..o.clone()
    };
    let expected = map
        .expected
        .iter()
        .map(|(dotted, o)| (dotted.clone(), origin(o)))
        .collect();
    Map { found, expected }
}

#[test]
fn other_manners_of_naming_are_understood() {
    for name in ["tiny", "resnet50", "revnet50x4"] {
        let map = map(name);
        let keys: Vec<&str> = map.found.keys().map(String::as_str).collect();
        let plain = resolve(&map.found, &Overrides::default()).unwrap();
        for (manner, names) in renamings(&keys) {
            let other = renamed(&map, &names);
            let plan = resolve(&other.found, &Overrides::default());
            // A RevNet's convolutions have no shortcuts, which would show where its MLP's is made.
            if name == "revnet50x4" && manner.ends_with("shortcuts first") {
                let expected = [
                    "encoder.head.blocks.0.fc1.weight",
                    "encoder.head.blocks.0.shortcut.weight",
                ];
                assert_eq!(undecided(plan), [expected], "{manner}");
                continue;
            }
            let plan = plan.unwrap_or_else(|error| panic!("{name}, {manner}: {error}"));
            assert_eq!(plan.encoder, plain.encoder, "{name}, {manner}");
            assert_eq!(plan.generator, plain.generator, "{name}, {manner}");
            assert_eq!(plan.discriminator, plain.discriminator, "{name}, {manner}");
            assert_eq!(origins(&plan), other.expected, "{name}, {manner}");
        }
    }
}

fn undecided(plan: Result<Plan, NamesError>) -> Vec<Vec<String>> {
    match plan {
        Err(NamesError::Ambiguous { sets }) => sets.into_iter().map(|set| set.targets).collect(),
        other => panic!("expected an undecided reading, got {other:?}"),
    }
}

/// Words are drawn anew, layers are counted per block or through a whole network, numbers begin anywhere, leaves have other
/// words, networks lie elsewhere: whatever comes out is right, or it is an error.
#[test]
fn random_names_are_understood_or_refused() {
    let (mut right, mut refused) = (0, BTreeMap::<&str, usize>::new());
    for (name, rounds) in [("tiny", 120), ("resnet50", 20), ("revnet50x4", 10)] {
        let map = map(name);
        let keys: Vec<&str> = map.found.keys().map(String::as_str).collect();
        for round in 0..rounds {
            let names = random(&keys, round);
            let other = renamed(&map, &names);
            match resolve(&other.found, &Overrides::default()) {
                Ok(plan) => {
                    let found = origins(&plan);
                    for (dotted, origin) in &other.expected {
                        assert_eq!(&found[dotted], origin, "{dotted} of {name}, round {round}");
                    }
                    right += 1;
                }
                Err(error) => {
                    let kind = match &error {
                        NamesError::Ambiguous { .. } => "ambiguous",
                        NamesError::Contradiction { .. } => "contradiction",
                        // All shapes are there, whatever they are called.
                        other => panic!("{name}, round {round}: {other}"),
                    };
                    *refused.entry(kind).or_default() += 1;
                }
            }
        }
    }
    println!("{right} understood, refused: {refused:?}");
    assert!(right > 50, "{right} understood, refused: {refused:?}");
}

fn random(keys: &[&str], round: u64) -> BTreeMap<String, String> {
    let mut rng = hounsfield::seed::stream(round, "names");
    let mut coin = |odds: f64| rng.random_bool(odds);
    let shortcut = match (coin(0.1), coin(0.5)) {
        (true, _) => Shortcut::Within,
        (_, true) => Shortcut::Before,
        _ => Shortcut::After,
    };
    let count_blocks: Vec<bool> = NETWORKS.iter().map(|_| coin(0.4)).collect();
    let count_all = [coin(0.25), false, coin(0.2)];
    let counted = numbered(keys, shortcut, &|key: &Key| {
        let at = NETWORKS.iter().position(|n| *n == key.network)?;
        // Self-attention and the codes' layers keep their words.
        if key.scope.ends_with("attention") || key.layer == "attention" || key.leaf.contains('/') {
            return None;
        }
        let made_from_codes = at == 1 && key.kind() == "batch_norm";
        if made_from_codes {
            return None;
        }
        if count_all[at] {
            return Some(key.network.clone());
        }
        let block = key.unit().is_some() || key.block().is_some();
        (count_blocks[at] && block).then(|| format!("{}/{}", key.network, key.scope))
    });
    let (salt, words, leaves, inside) = (u32::try_from(round).unwrap(), coin(0.5), coin(0.2), coin(0.3));
    let (alone, zeros, from, apart) = (coin(0.1), coin(0.3), usize::from(coin(0.3)), coin(0.2));
    let hints = coin(0.8);
    let keep = [
        "theta",
        "phi",
        "scale",
        "offset",
        "conv_sc",
        "linear_sc",
        "score_z",
        "score_xz",
    ];
    let step = |step: &str, parents: &str| {
        if hints && keep.contains(&step) {
            return step.to_owned();
        }
        let (word, number) = match step.rsplit_once('_') {
            Some((word, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => (word, digits.parse::<usize>().ok()),
            _ => (step, None),
        };
        let number = number.map(|n| {
            if zeros {
                format!("_{:03}", n + from)
            } else {
                format!("_{}", n + from)
            }
        });
        let word = if words { scramble(word, salt) } else { word.to_owned() };
        if alone {
            // Every scope has a word of its own, and no numbers.
            return another(&format!("{parents}{step}"), salt);
        }
        word + &number.unwrap_or_default()
    };
    let rename = |text: &str| {
        let (raw, average) = text
            .strip_suffix("/ema_0.9999")
            .map_or((text, ""), |raw| (raw, "/ema_0.9999"));
        let (scope, leaf) = raw.rsplit_once('/').unwrap_or(("", raw));
        let mut path = String::new();
        for part in scope.split('/').filter(|s| !s.is_empty()) {
            path = format!("{path}{}/", step(part, &path));
        }
        if inside && scope.starts_with("Discriminator") {
            path = format!("GenEncWrapper/{path}");
        }
        let leaf = if leaves && leaf != "global_step" {
            scramble(leaf, salt)
        } else {
            leaf.to_owned()
        };
        if apart && !average.is_empty() {
            format!("ema_0.9999/{path}{leaf}")
        } else {
            format!("{path}{leaf}{average}")
        }
    };
    counted.into_iter().map(|(old, new)| (old, rename(&new))).collect()
}

/// The tiny map under a change of its keys; `None` drops one.
fn changed(name: &str, change: impl Fn(&str) -> Option<String>) -> BTreeMap<String, Vec<usize>> {
    let found = map(name).found.into_iter();
    found
        .filter_map(|(key, shape)| change(&key).map(|key| (key, shape)))
        .collect()
}

fn overrides(text: &str) -> Overrides {
    toml::from_str(text).unwrap()
}

#[test]
fn an_encoder_needs_no_generator() {
    let alone = |key: &str| {
        key.contains("/Encoder/")
            .then(|| key.replace("GenEncWrapper", "elsewhere"))
    };
    let plan = resolve(&changed("resnet50", alone), &Overrides::default()).unwrap();
    assert_eq!((plan.generator, plan.discriminator), (None, None));
    assert_eq!(plan.encoder.input_size(), 256);
    let tiny = changed("tiny", alone);
    assert_eq!(resolve(&tiny, &Overrides::default()), Err(NamesError::InputSize));
    assert_eq!(
        resolve(&tiny, &overrides("input_size = 96"))
            .unwrap()
            .encoder
            .input_size(),
        96
    );
    // And a generator no discriminator, which has some of its shapes.
    let two = changed("resnet50", |key| key.starts_with("GenEnc").then(|| format!("x/{key}")));
    let plan = resolve(&two, &Overrides::default()).unwrap();
    assert_eq!(plan.generator.unwrap().channels(), [1536, 1536, 768, 384, 192, 96]);
    assert_eq!(plan.discriminator, None);
}

#[test]
fn a_network_that_nobody_understands_is_left_out_on_request() {
    let odd = |key: &str| (!key.contains("/J/block2")).then(|| format!("x/{key}"));
    for name in ["tiny", "resnet50"] {
        let found = changed(name, odd);
        let refused = resolve(&found, &Overrides::default());
        assert!(matches!(&refused, Err(NamesError::Sizes { .. })), "{refused:?}");
        let plan = resolve(&found, &overrides("without = ['discriminator']")).unwrap();
        assert!(plan.generator.is_some() && plan.discriminator.is_none());
        assert!(
            plan.unused
                .iter()
                .filter(|key| key.starts_with("x/Discriminator"))
                .count()
                > 50
        );
    }
}

#[test]
fn what_is_missing_is_listed_with_what_is_over() {
    let found = changed("tiny", |key| {
        (!key.contains("/block1_unit0/conv0/")).then(|| key.to_owned())
    });
    let error = resolve(&found, &Overrides::default()).unwrap_err();
    let NamesError::Incomplete { missing, unused } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        *missing,
        [("encoder.stages.1.0.conv1.weight".to_owned(), vec![8, 16, 1, 1])]
    );
    assert!(unused.is_empty(), "{unused:?}");
    assert!(
        error
            .to_string()
            .contains("encoder.stages.1.0.conv1.weight [8, 16, 1, 1]"),
        "{error}"
    );
}

#[test]
fn layers_of_nobody_are_refused_until_they_are_ignored() {
    let mut found = map("tiny").found;
    found.insert("classifier/dense/w".to_owned(), vec![32, 10]);
    let error = resolve(&found, &overrides("without = []")).unwrap_err();
    assert!(
        matches!(error, NamesError::Sizes { .. } | NamesError::LeftOver { .. }),
        "{error}"
    );
    let plan = resolve(&found, &overrides("ignore = ['classifier']")).unwrap();
    assert_eq!(plan.unused, ["classifier/dense/w", "global_step"]);
    found.insert("probe/conv/w".to_owned(), vec![5, 5, 3, 10]);
    let error = resolve(&found, &overrides("ignore = ['classifier']")).unwrap_err();
    assert!(matches!(error, NamesError::LeftOver { .. }), "{error}");
}

#[test]
fn two_encoders_are_told_apart_by_a_scope() {
    let mut found = changed("tiny", |key| Some(format!("x/{key}")));
    let second = changed("tiny", |key| {
        key.contains("/Encoder/").then(|| key.replace("GenEncWrapper", "old"))
    });
    found.extend(second);
    assert!(matches!(
        resolve(&found, &Overrides::default()),
        Err(NamesError::NoEncoder { stems: 2, .. })
    ));
    let plan = resolve(
        &found,
        &overrides("ignore = ['old']\nscopes = { encoder = 'x/GenEncWrapper/Encoder' }"),
    )
    .unwrap();
    assert!(plan.entries.iter().all(|e| e.source.starts_with("x/")));
    for (text, expected) in [
        (
            "scopes = { enkoder = 'x' }",
            NamesError::UnknownTarget {
                name: "enkoder".to_owned(),
            },
        ),
        (
            "scopes = { encoder = 'y' }",
            NamesError::UnknownVariable { name: "y".to_owned() },
        ),
    ] {
        let text = format!("ignore = ['old']\n{text}");
        assert_eq!(resolve(&found, &overrides(&text)), Err(expected), "{text}");
    }
}

/// Numbers alone can't tell an MLP's first layer from its shortcut.
#[test]
fn an_mlps_shortcut_is_not_guessed() {
    let map = map("tiny");
    let keys: Vec<&str> = map.found.keys().map(String::as_str).collect();
    let mlp = |key: &Key| (key.is_encoder() && key.scope.starts_with("mlp")).then(|| format!("m/{}", key.scope));
    for shortcut in [Shortcut::Before, Shortcut::Within] {
        let other = renamed(&map, &numbered(&keys, shortcut, &mlp));
        let sets = undecided(resolve(&other.found, &Overrides::default()));
        assert_eq!(
            sets,
            [[
                "encoder.head.blocks.0.fc1.weight",
                "encoder.head.blocks.0.shortcut.weight"
            ]]
        );
        let source = &other.expected["encoder.head.blocks.0.fc1.weight"].source;
        let said = overrides(&format!("[names]\n'encoder.head.blocks.0.fc1.weight' = '{source}'"));
        let plan = resolve(&other.found, &said).unwrap();
        assert_eq!(origins(&plan), other.expected);
        assert!(plan.explain().contains("the file of --names"));
    }
    let other = renamed(&map, &numbered(&keys, Shortcut::After, &mlp));
    assert_eq!(
        origins(&resolve(&other.found, &Overrides::default()).unwrap()),
        other.expected
    );
}

#[test]
fn last_words_of_nobodys_can_be_explained() {
    let map = map("tiny");
    let words = [
        ("scale", "s"),
        ("offset", "o"),
        ("accumulated_mean", "m1"),
        ("accumulated_var", "m2"),
    ];
    let rename = |key: &String| {
        let average = if key.ends_with("/ema_0.9999") {
            "/ema_0.9999"
        } else {
            ""
        };
        let raw = key.strip_suffix(average).unwrap();
        let new = words
            .iter()
            .find_map(|(old, new)| raw.strip_suffix(&format!("/{old}")).map(|at| format!("{at}/{new}")));
        (key.clone(), new.unwrap_or(raw.to_owned()) + average)
    };
    let other = renamed(&map, &map.found.keys().map(rename).collect());
    let sets = undecided(resolve(&other.found, &Overrides::default()));
    assert!(
        sets.contains(&vec![
            "encoder.final_bn.weight".to_owned(),
            "encoder.final_bn.bias".to_owned()
        ]),
        "{sets:?}"
    );
    let said = overrides("words = { s = 'scale', o = 'offset', m1 = 'mean', m2 = 'var' }");
    assert_eq!(origins(&resolve(&other.found, &said).unwrap()), other.expected);
}

#[test]
fn a_lone_tensor_may_be_anywhere() {
    let from = "GenEncWrapper/Encoder/linear/b";
    let found = changed("tiny", |key| Some(key.replace(from, "GenEncWrapper/somewhere/b")));
    assert!(resolve(&found, &Overrides::default()).is_err());
    let said = overrides("[names]\n'encoder.head.out.bias' = 'GenEncWrapper/somewhere/b'");
    let plan = resolve(&found, &said).unwrap();
    let bias = plan
        .entries
        .iter()
        .find(|e| e.target == "encoder.head.out.bias")
        .unwrap();
    assert_eq!(bias.ema.as_deref(), Some("GenEncWrapper/somewhere/b/ema_0.9999"));
    assert_eq!(plan.entries.len(), map("tiny").expected.len());
    assert_eq!(plan.unused, ["global_step"]);
}

#[test]
fn a_file_of_names_that_speaks_of_nothing_is_refused() {
    let found = map("tiny").found;
    let encoder = "GenEncWrapper/Encoder";
    for (text, says) in [
        (
            format!("'encoder.stem.weight' = '{encoder}/root_conv/w'"),
            "has no such tensor",
        ),
        (
            format!("'encoder.stem.conv.weight' = '{encoder}/root/w'"),
            "has no such variable",
        ),
        (
            format!("'encoder.stem.conv.weight' = '{encoder}/linear/w'"),
            "which needs [7, 7, 3, 4]",
        ),
        (
            format!("'encoder.head.out.bias' = '{encoder}/linear/b'\n'encoder.final_bn.bias' = '{encoder}/linear/b'"),
            "to two tensors",
        ),
    ] {
        let error = resolve(&found, &overrides(&format!("[names]\n{text}"))).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn two_last_layers_are_refused_in_words() {
    let mut found = changed("tiny", |key| {
        (!key.contains("Encoder/linear/")).then(|| format!("x/{key}"))
    });
    for half in ["mean", "stdev"] {
        found.insert(format!("x/GenEncWrapper/Encoder/{half}_out/w"), vec![32, 12]);
        found.insert(format!("x/GenEncWrapper/Encoder/{half}_out/b"), vec![12]);
    }
    assert_eq!(
        resolve(&found, &Overrides::default()),
        Err(NamesError::TwoOutputs { width: 12 })
    );
}

#[test]
fn averages_that_fit_nothing_are_refused() {
    let mut found = map("tiny").found;
    let key = "GenEncWrapper/Encoder/linear/b";
    found.insert(format!("{key}/ema_0.99"), vec![24]);
    let error = resolve(&found, &Overrides::default()).unwrap_err();
    assert!(matches!(error, NamesError::Averages { .. }), "{error}");
    resolve(&found, &overrides("ignore = ['ema_0.99']")).unwrap();
    found.remove(&format!("{key}/ema_0.99"));
    found.insert(format!("{key}/ema_0.9999"), vec![23]);
    let error = resolve(&found, &Overrides::default()).unwrap_err();
    assert!(matches!(error, NamesError::Twin { .. }), "{error}");
    // The average alone stands for both.
    let alone = changed("tiny", |old| (old != key).then(|| old.to_owned()));
    let plan = resolve(&alone, &Overrides::default()).unwrap();
    let bias = plan
        .entries
        .iter()
        .find(|e| e.target == "encoder.head.out.bias")
        .unwrap();
    assert_eq!(Some(&bias.source), bias.ema.as_ref());
}

/// What is cut, torn or swollen gives an error or what is still right, and never a panic.
#[test]
fn damaged_checkpoints_are_no_panic() {
    let whole = map("tiny");
    for round in 0..150 {
        let mut rng = hounsfield::seed::stream(round, "damage");
        let mut found = whole.found.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..found.len());
            let key = found.keys().nth(at).unwrap().clone();
            match rng.random_range(0..5) {
                0 => drop(found.remove(&key)),
                1 => found.get_mut(&key).unwrap().push(rng.random_range(0..4)),
                2 => drop(found.get_mut(&key).unwrap().pop()),
                3 => found
                    .get_mut(&key)
                    .unwrap()
                    .iter_mut()
                    .for_each(|n| *n *= rng.random_range(0..3)),
                _ => {
                    let shape = found[&key].clone();
                    found.insert(format!("{key}_{}", rng.random_range(0..3)), shape);
                }
            }
        }
        let found: BTreeMap<_, _> = found
            .into_iter()
            .map(|(key, shape)| (format!("x/{key}"), shape))
            .collect();
        if let Ok(plan) = resolve(&found, &Overrides::default()) {
            for (dotted, origin) in origins(&plan) {
                let expected = format!("x/{}", whole.expected[&dotted].source);
                assert!(
                    origin.source.starts_with(&expected),
                    "{dotted} from {}, round {round}",
                    origin.source
                );
            }
        }
    }
}

/// Axes of no length, and axes whose product is no number, in layers that look like a network's.
#[test]
fn layers_without_channels_and_endless_ones_are_no_panic() {
    let whole = map("tiny");
    let (z, wide) = (12, 1 << 62);
    let without: BTreeMap<String, Vec<usize>> = whole
        .found
        .iter()
        .filter(|(key, _)| !key.starts_with("Discriminator"))
        .map(|(key, shape)| (key.clone(), shape.clone()))
        .collect();
    let layers: [(&str, Vec<usize>); 5] = [
        ("a", vec![3, 3, 3, 0]),
        ("b", vec![3, 3, 0, 0]),
        ("c", vec![z, 8]),
        ("d", vec![8, 8]),
        ("e", vec![8, 8]),
    ];
    let mut found = without.clone();
    for (name, shape) in &layers {
        let outputs = shape[shape.len() - 1];
        found.insert(format!("Other/{name}/w"), shape.clone());
        found.insert(format!("Other/{name}/b"), vec![outputs]);
        found.insert(format!("Other/{name}/u0"), vec![1, outputs]);
    }
    assert!(resolve(&found, &Overrides::default()).is_err());
    let generator: Vec<&String> = without.keys().filter(|key| key.contains("Generator")).collect();
    for (old, new) in [(11, wide), (11, 0), (16, wide), (16, 0)] {
        // In one variable, and in all alike.
        let which = generator.iter().map(|key| vec![*key]).chain([generator.clone()]);
        for keys in which {
            let mut found = without.clone();
            for key in keys {
                let lengths = found.get_mut(key).unwrap().iter_mut();
                lengths
                    .filter(|length| **length == old)
                    .for_each(|length| *length = new);
            }
            drop(resolve(&found, &Overrides::default()));
        }
    }
}
