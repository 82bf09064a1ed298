//! The layers that a network needs, in the order in which it computes them.

use std::collections::BTreeMap;

use super::{Role, Transform};

/// A part of one network whose layers are computed in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    /// The encoder up to its last batch norm.
    Trunk,
    /// The statistics of `bn_crelu_feat`.
    Crelu,
    /// The encoder's MLP.
    Head,
    /// The generator.
    Generator,
    /// The discriminator of images.
    F,
    /// The discriminator of latent vectors.
    H,
    /// The discriminator of both.
    J,
}

/// Of two layers, where a shortcut is made. Nothing published says so, and names can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortcuts {
    /// Before or after its branch.
    Anywhere,
    /// Before the branch's first convolution.
    First,
    /// Behind the branch.
    Last,
}

/// A layer, or a batch norm, or what else has a scope of its own.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Dotted, without its tensors: `encoder.stages.0.0.conv1`.
    pub base: String,
    /// What it is in its unit: `conv1`.
    pub role: String,
    /// Where it belongs.
    pub piece: Piece,
    /// Its tensors.
    pub tensors: Vec<Tensor>,
    /// Place of its unit, place in its unit.
    at: (usize, usize),
    /// Made with its unit, in no order that one could know.
    free: bool,
}

/// One tensor of a layer.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// What it is.
    pub role: Role,
    /// The dotted name.
    pub name: String,
    /// As the dotted network has it.
    pub shape: Vec<usize>,
    /// From TensorFlow's.
    pub transform: Transform,
}

/// What a layer looks like to someone who can't read: roles and TensorFlow's shapes, axes of size 1 left out of vectors.
pub(super) type Signature = Vec<(Role, Vec<usize>)>;

impl Piece {
    /// Whether both are of one network.
    pub(super) fn same_network(self, other: Self) -> bool {
        self.network() == other.network()
    }

    /// The network's first word.
    pub(super) fn network(self) -> &'static str {
        match self {
            Self::Trunk | Self::Crelu | Self::Head => "encoder",
            Self::Generator => "generator",
            Self::F | Self::H | Self::J => "disc",
        }
    }
}

impl Target {
    /// What its site must look like.
    pub(super) fn signature(&self) -> Signature {
        let mut list: Signature = self.tensors.iter().map(|t| (t.role, t.source_shape())).collect();
        list.sort();
        list
    }

    /// Piece, unit and place in the unit.
    pub(super) fn place(&self) -> (Piece, (usize, usize)) {
        (self.piece, self.at)
    }

    /// Whether this layer is certainly made before that one.
    pub(super) fn precedes(&self, other: &Self, shortcuts: Shortcuts) -> bool {
        let score = self.role.starts_with("score_");
        match (self.piece, other.piece) {
            (one, two) if one == two => {}
            (Piece::Trunk, Piece::Crelu | Piece::Head) => return true,
            (Piece::F | Piece::H, Piece::J) => return !score,
            _ => return false,
        }
        if self.at.0 != other.at.0 {
            return self.at.0 < other.at.0;
        }
        match (self.is_shortcut(), other.is_shortcut()) {
            _ if self.free || other.free => false,
            // Where it reads the raw input it can be made before the first batch norm, else behind it.
            (true, false) => shortcuts == Shortcuts::First && other.at.1 > 0,
            (false, true) => shortcuts == Shortcuts::Last,
            _ => self.at.1 < other.at.1,
        }
    }

    /// Whether it is the 1x1 convolution or the linear layer beside a branch.
    pub(super) fn is_shortcut(&self) -> bool {
        self.role == "shortcut"
    }
}

impl Tensor {
    /// The shape that TensorFlow's variable has, axes of size 1 left out of vectors.
    pub(super) fn source_shape(&self) -> Vec<usize> {
        match (self.transform, self.shape.as_slice()) {
            (Transform::Conv, [outputs, inputs, rows, columns]) => vec![*rows, *columns, *inputs, *outputs],
            (Transform::Linear | Transform::GeneratorLinear, [outputs, inputs]) => vec![*inputs, *outputs],
            (_, shape) => shape.to_vec(),
        }
    }
}

/// Groups dotted tensors into layers. `attention` are the blocks that self-attention stands behind, in the generator and in
/// the discriminator.
pub(super) fn layers(tensors: &[(String, Vec<usize>)], attention: [usize; 2]) -> Vec<Target> {
    let mut bases: BTreeMap<&str, Vec<(&str, &[usize])>> = BTreeMap::new();
    for (name, shape) in tensors {
        let (base, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        bases.entry(base).or_default().push((leaf, shape));
    }
    let layer = |(base, leaves): (&str, Vec<(&str, &[usize])>)| {
        let norm = leaves.iter().any(|(leaf, _)| *leaf == "running_mean");
        let mut tensors: Vec<Tensor> = leaves
            .iter()
            .map(|(leaf, shape)| tensor(base, leaf, shape, norm))
            .collect();
        tensors.sort_by_key(|tensor| tensor.role);
        let (piece, at, role) = place(base, attention);
        let free = matches!(
            role.as_str(),
            "attention" | "attention.theta" | "attention.phi" | "attention.g"
        );
        Target {
            base: base.to_owned(),
            role,
            piece,
            tensors,
            at,
            free,
        }
    };
    bases.into_iter().map(layer).collect()
}

fn tensor(base: &str, leaf: &str, shape: &[usize], norm: bool) -> Tensor {
    let role = match leaf {
        "weight" if norm => Role::Scale,
        "bias" if norm => Role::Offset,
        "weight" => Role::Weight,
        "bias" => Role::Bias,
        "u" => Role::U,
        "running_mean" => Role::Mean,
        "running_var" => Role::Var,
        _ => Role::Gate,
    };
    let transform = match (base, shape.len()) {
        ("generator.linear", 2) => Transform::GeneratorLinear,
        ("generator.linear", _) => Transform::GeneratorVector,
        (_, 4) => Transform::Conv,
        (_, 2) => Transform::Linear,
        _ => Transform::Squeeze,
    };
    Tensor {
        role,
        name: format!("{base}.{leaf}"),
        shape: shape.to_vec(),
        transform,
    }
}

/// Where a layer stands: its piece, unit and place in the unit, and its role there.
fn place(base: &str, attention: [usize; 2]) -> (Piece, (usize, usize), String) {
    /// Behind all units.
    const END: usize = 1_000_000;
    let steps: Vec<&str> = base.split('.').collect();
    let number = |at: usize| steps.get(at).and_then(|s| s.parse::<usize>().ok()).unwrap_or(0);
    let rest = |from: usize| steps.get(from..).unwrap_or_default().join(".");
    let slot = |role: &str| match role.split('.').next().unwrap_or_default() {
        "bn1" => 0,
        "conv1" | "fc1" => 1,
        "bn2" => 2,
        "conv2" | "fc2" => 3,
        "bn3" => 4,
        _ => 5,
    };
    let unit = |piece, unit: usize, role: String| (piece, (2 * unit + 2, slot(&role)), role);
    // Between the blocks.
    let attend = |piece, after: usize, role: String| {
        let slot = usize::from(role == "attention.o");
        (piece, (2 * after + 3, slot), role)
    };
    match (
        steps[0],
        steps.get(1).copied().unwrap_or_default(),
        steps.get(2).copied(),
    ) {
        ("encoder", "stem", _) => (Piece::Trunk, (0, 0), rest(1)),
        ("encoder", "stages", _) => {
            let role = rest(4);
            let role = role.strip_prefix("f.").unwrap_or(&role).to_owned();
            unit(Piece::Trunk, 1000 * number(2) + number(3), role)
        }
        ("encoder", "crelu_bn", _) => (Piece::Crelu, (END, 0), rest(1)),
        ("encoder", "head", Some("blocks")) => unit(Piece::Head, number(3), rest(4)),
        ("encoder", "head", _) => (Piece::Head, (END, 0), rest(1)),
        ("encoder", ..) => (Piece::Trunk, (END, 0), rest(1)),
        ("generator", "blocks", _) => unit(Piece::Generator, number(2), rest(3)),
        ("generator", "attention", _) => attend(Piece::Generator, attention[0], rest(1)),
        ("generator", "out_bn", _) => (Piece::Generator, (END, 0), rest(1)),
        ("generator", "out_conv", _) => (Piece::Generator, (END, 1), rest(1)),
        ("generator", ..) => (Piece::Generator, (0, 0), rest(1)),
        (_, "f", Some("attention")) => attend(Piece::F, attention[1], rest(2)),
        (_, tower @ ("f" | "h" | "j"), _) => unit(of_tower(tower), number(3), rest(4)),
        (_, score, _) => {
            let tower = match score {
                "score_x" => Piece::F,
                "score_z" => Piece::H,
                _ => Piece::J,
            };
            (tower, (END, 0), rest(1))
        }
    }
}

fn of_tower(name: &str) -> Piece {
    match name {
        "f" => Piece::F,
        "h" => Piece::H,
        _ => Piece::J,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encoder::{EncoderConfig, TinyResNet},
        method::Discriminator,
    };

    fn find<'a>(list: &'a [Target], base: &str) -> &'a Target {
        list.iter().find(|t| t.base == base).unwrap()
    }

    #[test]
    fn layers_stand_in_the_order_of_the_forward_pass() {
        let encoder = EncoderConfig::TinyResNet(TinyResNet::default());
        let list = layers(&encoder.expected_tensors().unwrap(), [0, 0]);
        let before = |one: &str, two: &str, shortcuts| {
            let path = |base: &str| format!("encoder.{base}");
            find(&list, &path(one)).precedes(find(&list, &path(two)), shortcuts)
        };
        assert!(before("stem.conv", "stages.0.0.bn1", Shortcuts::Anywhere));
        assert!(before("stages.0.1.conv3", "stages.1.0.bn1", Shortcuts::Anywhere));
        assert!(before("stages.0.0.bn2", "stages.0.0.conv2", Shortcuts::Anywhere));
        assert!(before("final_bn", "head.blocks.0.fc1", Shortcuts::Anywhere));
        for order in [Shortcuts::Anywhere, Shortcuts::First, Shortcuts::Last] {
            let first = before("stages.0.0.shortcut", "stages.0.0.conv1", order);
            let last = before("stages.0.0.conv3", "stages.0.0.shortcut", order);
            assert_eq!((first, last), (order == Shortcuts::First, order == Shortcuts::Last));
        }
    }

    #[test]
    fn towers_stand_before_what_joins_them() {
        let list = layers(&Discriminator::default().tensors(120), [0, 0]);
        let (f, h) = (find(&list, "disc.f.blocks.5.conv2"), find(&list, "disc.h.blocks.3.fc2"));
        let (j, z) = (find(&list, "disc.j.blocks.0.fc1"), find(&list, "disc.score_z"));
        let before = |a: &Target, b: &Target| a.precedes(b, Shortcuts::Anywhere);
        assert!(before(f, j) && before(h, j) && before(h, z));
        assert!(!before(f, h) && !before(h, f) && !before(z, j) && !before(j, z));
    }
}
