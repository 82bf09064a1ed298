//! A checkpoint's names in other people's manners: which variable is which must not depend on them.
//!
//! The names that are rewritten are those of the oracle's maps (`tfnames.py`): `GenEncWrapper/Encoder/block0_unit1/conv0/w`.

use std::collections::BTreeMap;

/// Old keys and new ones.
pub type Renaming = BTreeMap<String, String>;

/// Where an implementation makes the shortcut of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    Before,
    /// Between its layers: what nobody does, and no name can tell from `Before` in an MLP.
    Within,
    After,
}

/// A key of the maps, taken apart.
#[derive(Debug, Clone)]
pub struct Key {
    /// `GenEncWrapper/Encoder`, `GenEncWrapper/Generator` or `Discriminator`; empty outside of them.
    pub network: String,
    /// Scopes below, without the layer: `block0_unit1`.
    pub scope: String,
    /// `conv0`, `BatchNorm_1`.
    pub layer: String,
    /// `w`, or `scale/w`.
    pub leaf: String,
    /// `/ema_0.9999` or nothing.
    pub average: String,
}

pub const NETWORKS: [&str; 3] = ["GenEncWrapper/Encoder", "GenEncWrapper/Generator", "Discriminator"];

impl Key {
    pub fn parse(text: &str) -> Self {
        let (raw, average) = match text.strip_suffix("/ema_0.9999") {
            Some(raw) => (raw, "/ema_0.9999"),
            None => (text, ""),
        };
        let network = NETWORKS.into_iter().find(|n| raw.starts_with(n)).unwrap_or("");
        let mut steps: Vec<&str> = raw[network.len()..].split('/').filter(|s| !s.is_empty()).collect();
        let mut leaf = steps.pop().unwrap_or_default().to_owned();
        // The scale of a norm that is made from a code is itself a layer.
        if let [.., norm, made @ ("scale" | "offset")] = steps[..]
            && norm.starts_with("BatchNorm")
        {
            leaf = format!("{made}/{leaf}");
            steps.pop();
        }
        let layer = steps.pop().unwrap_or_default().to_owned();
        Self {
            network: network.to_owned(),
            scope: steps.join("/"),
            layer,
            leaf,
            average: average.to_owned(),
        }
    }

    pub fn write(&self) -> String {
        let steps = [&self.network, &self.scope, &self.layer, &self.leaf].map(String::as_str);
        let steps: Vec<&str> = steps.into_iter().filter(|s| !s.is_empty()).collect();
        steps.join("/") + &self.average
    }

    pub fn is_encoder(&self) -> bool {
        self.network == NETWORKS[0]
    }

    /// Stage and unit of a layer of the trunk.
    pub fn unit(&self) -> Option<(usize, usize)> {
        let (stage, unit) = self.scope.strip_prefix("block")?.split_once("_unit")?;
        Some((stage.parse().ok()?, unit.parse().ok()?))
    }

    /// Block of an MLP or of the generator's and discriminator's convolutions.
    pub fn block(&self) -> Option<usize> {
        let last = self.scope.rsplit('/').next()?;
        match last.strip_prefix("GBlock").or(last.strip_prefix("DBlock")) {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix('_')?.parse().ok(),
            None => last.strip_prefix("block")?.parse().ok(),
        }
    }

    /// Place in the forward pass of its network, for numbers; layers of other networks don't compare.
    pub fn place(&self, shortcut: Shortcut) -> Vec<usize> {
        let slot = match self.layer.as_str() {
            "BatchNorm" => 0,
            "conv_sc" | "linear_sc" if shortcut == Shortcut::Before => 1,
            "conv0" | "linear0" => 2,
            "conv_sc" | "linear_sc" if shortcut == Shortcut::Within => 3,
            "BatchNorm_1" => 3,
            "conv1" | "linear1" => 4,
            "BatchNorm_2" => 5,
            "conv2" => 6,
            _ => 7,
        };
        match (self.unit(), self.block(), self.layer.as_str()) {
            (Some((stage, unit)), ..) => vec![1, stage, unit, slot],
            (_, Some(block), _) if self.scope.starts_with("mlp") => vec![4, block, slot],
            (_, Some(block), _) if self.scope.starts_with('J') => vec![3, block, slot],
            (_, Some(block), _) => vec![2, block, slot],
            (.., "root_conv") => vec![0],
            (.., "linear" | "score_x" | "score_z" | "score_xz") => vec![5],
            _ if self.scope == "crelu" => vec![3],
            _ => vec![2, usize::MAX],
        }
    }

    /// The word under which TensorFlow counts such a layer.
    pub fn kind(&self) -> &'static str {
        match self.layer.as_str() {
            l if l.starts_with("BatchNorm") => "batch_norm",
            l if l.starts_with("linear") || l.starts_with("score") => "linear",
            _ => "conv2d",
        }
    }
}

/// All manners in which a module of these keys must be understood.
pub fn renamings(keys: &[&str]) -> Vec<(&'static str, Renaming)> {
    let each = |rename: &dyn Fn(&mut Key)| -> Renaming {
        let new = |text: &&str| {
            let mut key = Key::parse(text);
            rename(&mut key);
            ((*text).to_owned(), key.write())
        };
        keys.iter().map(new).collect()
    };
    let text = |rename: &dyn Fn(&str) -> String| -> Renaming {
        keys.iter().map(|key| ((*key).to_owned(), rename(key))).collect()
    };
    let counted = |shortcut, flat: bool| {
        numbered(keys, shortcut, &|key: &Key| {
            let scope = match (key.is_encoder(), key.unit(), key.block(), flat) {
                (true, .., true) => Some(String::new()),
                (true, Some((stage, unit)), ..) => Some(format!("unit_{stage}_{unit}")),
                // Norms that are made from a code keep their scopes.
                (_, _, Some(_), false) if key.kind() != "batch_norm" => Some(key.scope.clone()),
                _ => None,
            };
            scope.map(|scope| format!("{}/{scope}", key.network))
        })
    };
    vec![
        ("another prefix", text(&|key| format!("module/v2/{key}"))),
        (
            "the discriminator in the wrapper",
            each(&|key| key.network = key.network.replace(NETWORKS[2], "GenEncWrapper/Disc")),
        ),
        ("tf-slim", each(&slim)),
        ("Keras's last words", each(&keras_leaves)),
        ("res2a_branch2a", each(&caffe)),
        (
            "numbered in each block, shortcuts first",
            counted(Shortcut::Before, false),
        ),
        (
            "numbered in each block, shortcuts last",
            counted(Shortcut::After, false),
        ),
        (
            "numbered through the encoder, shortcuts first",
            counted(Shortcut::Before, true),
        ),
        (
            "numbered through the encoder, shortcuts last",
            counted(Shortcut::After, true),
        ),
        ("leading zeros, from 1", each(&padded)),
        ("words that say nothing in the encoder", each(&scrambled)),
        (
            "averages in a scope of their own",
            text(&|key| match key.strip_suffix("/ema_0.9999") {
                Some(raw) => format!("ema_0.9999/{raw}"),
                None => key.to_owned(),
            }),
        ),
        (
            "TensorFlow's averages",
            text(&|key| key.replace("/ema_0.9999", "/ExponentialMovingAverage")),
        ),
        (
            "dots",
            text(&|key| match key.strip_suffix("/ema_0.9999") {
                Some(raw) => raw.replace('/', ".") + "/ema_0.9999",
                None => key.replace('/', "."),
            }),
        ),
        (
            "the MLP in another scope than the trunk",
            each(&|key| {
                if key.is_encoder() && (key.scope.starts_with("mlp") || key.layer == "linear") {
                    key.network = "Latent/Posterior".to_owned();
                }
            }),
        ),
        (
            "the towers have numbers",
            each(&|key| {
                for (tower, name) in [("H", "mlp"), ("J", "mlp_1")] {
                    if key.network == NETWORKS[2] && key.scope.starts_with(tower) {
                        key.scope = key.scope.replacen(tower, name, 1);
                    }
                }
            }),
        ),
        (
            "scores in their towers",
            each(&|key| {
                for (score, tower) in [("score_xz", "J"), ("score_x", "F"), ("score_z", "H")] {
                    if key.layer == score {
                        (key.scope, key.layer) = (tower.to_owned(), "out".to_owned());
                    }
                }
            }),
        ),
    ]
}

/// By their place, the layers that are counted together.
type Stream = BTreeMap<Vec<usize>, Vec<String>>;

/// Layers that the function gives a scope are counted in it by kind, in the order of the forward pass.
pub fn numbered(keys: &[&str], shortcut: Shortcut, scope: &dyn Fn(&Key) -> Option<String>) -> Renaming {
    let mut streams: BTreeMap<(String, &str), Stream> = BTreeMap::new();
    let parsed: Vec<(String, Key)> = keys.iter().map(|text| ((*text).to_owned(), Key::parse(text))).collect();
    let layer = |key: &Key| format!("{}/{}/{}", key.network, key.scope, key.layer);
    for (_, key) in &parsed {
        if let Some(scope) = scope(key) {
            // Towers that share a scope are made one after the other; two layers of one place by name.
            let mut place = key.place(shortcut);
            place.extend(layer(key).bytes().map(usize::from));
            streams
                .entry((scope, key.kind()))
                .or_default()
                .entry(place)
                .or_default()
                .push(layer(key));
        }
    }
    let mut names: BTreeMap<String, (String, String)> = BTreeMap::new();
    for ((scope, kind), places) in streams {
        for (at, layers) in places.into_values().enumerate() {
            let name = if at == 0 {
                kind.to_owned()
            } else {
                format!("{kind}_{at}")
            };
            names.extend(layers.into_iter().map(|layer| (layer, (scope.clone(), name.clone()))));
        }
    }
    let rename = |(text, mut key): (String, Key)| {
        if let Some((scope, name)) = names.get(&layer(&key)) {
            (key.network, key.scope, key.layer) = (String::new(), scope.trim_end_matches('/').to_owned(), name.clone());
        }
        (text, key.write())
    };
    parsed.into_iter().map(rename).collect()
}

/// `resnet_v2_50/block1/unit_1/bottleneck_v2/conv1/BatchNorm/gamma`: norms stand in the scope of the convolution before.
fn slim(key: &mut Key) {
    if !key.is_encoder() {
        return;
    }
    key.network = "GenEncWrapper/resnet_v2_50".to_owned();
    if let Some((stage, unit)) = key.unit() {
        key.scope = format!("block{}/unit_{}/bottleneck_v2", stage + 1, unit + 1);
    }
    let layer = match (key.scope.as_str(), key.layer.as_str()) {
        ("", "root_conv") => "conv1",
        ("", "BatchNorm") => "postnorm",
        ("", "linear") => "logits",
        ("crelu", layer) => layer,
        (_, "BatchNorm") => "preact",
        (_, "BatchNorm_1") => "conv1/BatchNorm",
        (_, "BatchNorm_2") => "conv2/BatchNorm",
        (_, "conv0" | "linear0") => "conv1",
        (_, "conv1" | "linear1") => "conv2",
        (_, "conv2") => "conv3",
        _ => "shortcut",
    };
    key.layer = layer.to_owned();
    let leaf = match key.leaf.as_str() {
        "w" => "weights",
        "b" => "biases",
        "scale" => "gamma",
        "offset" => "beta",
        "accumulated_mean" => "moving_mean",
        "accumulated_var" => "moving_variance",
        leaf => leaf,
    };
    key.leaf = leaf.to_owned();
}

fn keras_leaves(key: &mut Key) {
    let leaf = match key.leaf.as_str() {
        "w" => "kernel",
        "b" => "bias",
        "u0" => "sn_u",
        "scale" => "gamma",
        "offset" => "beta",
        "scale/w" => "gamma/kernel",
        "offset/w" => "beta/kernel",
        "scale/u0" => "gamma/sn_u",
        "offset/u0" => "beta/sn_u",
        "accumulated_mean" => "moving_mean",
        "accumulated_var" => "moving_variance",
        "accumulation_counter" => "count",
        leaf => leaf,
    };
    key.leaf = leaf.to_owned();
}

/// The names of the first published ResNet-50: stages from 2, units by letter.
fn caffe(key: &mut Key) {
    if !key.is_encoder() {
        return;
    }
    let letter = |n: usize| char::from(b'a' + u8::try_from(n).unwrap());
    key.layer = match (key.unit(), key.block(), key.layer.as_str()) {
        (Some((stage, unit)), _, layer) => {
            let at = format!("{}{}", stage + 2, letter(unit));
            match layer {
                "BatchNorm" => format!("bn{at}_branch2a"),
                "BatchNorm_1" => format!("bn{at}_branch2b"),
                "BatchNorm_2" => format!("bn{at}_branch2c"),
                "conv0" => format!("res{at}_branch2a"),
                "conv1" => format!("res{at}_branch2b"),
                "conv2" => format!("res{at}_branch2c"),
                _ => format!("res{at}_branch1"),
            }
        }
        (_, Some(block), "linear0") => format!("fc{}a", block + 1),
        (_, Some(block), "linear1") => format!("fc{}b", block + 1),
        (_, Some(block), _) => format!("fc{}_sc", block + 1),
        (.., "root_conv") => "conv1".to_owned(),
        _ if key.scope == "crelu" => "bn_crelu".to_owned(),
        (.., "BatchNorm") => "bn_out".to_owned(),
        _ => "out".to_owned(),
    };
    key.scope.clear();
}

fn padded(key: &mut Key) {
    if let Some((stage, unit)) = key.unit() {
        key.scope = format!("stage_{:02}/unit_{:03}", stage + 1, unit + 1);
    } else if let Some(block) = key.block() {
        let at = key.scope.rfind('/').map_or(0, |at| at + 1);
        key.scope = format!("{}block_{:02}", &key.scope[..at], block + 1);
    }
}

/// Every word of the encoder's scopes becomes another; numbers stay.
fn scrambled(key: &mut Key) {
    if key.is_encoder() {
        key.network = "GenEncWrapper/qa".to_owned();
        let steps = key.scope.split('/').map(|step| scramble(step, 0));
        key.scope = steps.collect::<Vec<_>>().join("/");
        key.layer = scramble(&key.layer, 0);
    }
}

/// Words become words of six letters, the same one always the same.
pub fn scramble(step: &str, salt: u32) -> String {
    let (mut out, mut word) = (String::new(), String::new());
    for c in step.chars().chain(['/']) {
        if c.is_alphabetic() || (c == '_' && step.ends_with("_sc")) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            out += &another(&word, salt);
            word.clear();
        }
        if c != '/' {
            out.push(c);
        }
    }
    out
}

/// A word that says nothing.
pub fn another(word: &str, salt: u32) -> String {
    // FNV-1a.
    let hash = word.bytes().fold(0x811C_9DC5 ^ salt, |h: u32, b| {
        (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
    });
    let digits = (0..6).map(|i| hash / 26_u32.pow(i) % 26);
    digits.map(|n| char::from(b'a' + u8::try_from(n).unwrap())).collect()
}
