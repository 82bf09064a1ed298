//! Why a checkpoint's names can't be told.

use super::Part;
use crate::{encoder::EncoderError, words::counted};

/// Candidates that can't be told apart: dotted tensors, and the variables that any of them could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// Dotted names.
    pub targets: Vec<String>,
    /// Keys of the checkpoint, in no meaningful order.
    pub candidates: Vec<String>,
}

/// Why a checkpoint's names can't be told.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NamesError {
    /// Nothing to convert.
    #[error(
        "among {kernels} weights of layers there are {stems} convolutions of 7 x 7 from 3 channels without bias, with which an \
         encoder begins, expected 1: this is no BigBiGAN module, or it holds several encoders, of which `[scopes]` in the file \
         of --names can choose one"
    )]
    NoEncoder {
        /// First convolutions found.
        stems: usize,
        /// All weights of layers.
        kernels: usize,
    },
    /// Shapes that make no network of the kind.
    #[error(
        "the {}'s sizes can't be read from its shapes: {why} (in the file of --names, `[scopes]` says where it is{})",
        part.name(),
        if *part == Part::Encoder { String::new() } else { format!(", `without = [\"{}\"]` leaves it out", part.name()) }
    )]
    Sizes {
        /// The network.
        part: Part,
        /// What is wrong.
        why: String,
    },
    /// A network that this program doesn't build.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// Two last layers.
    #[error(
        "the encoder ends in two linear layers of width {width}, one for the mean and one for the deviation; this program reads \
         one layer of twice the width, so join them along their outputs, mean first"
    )]
    TwoOutputs {
        /// Outputs of each.
        width: usize,
    },
    /// No shape tells how large slices are.
    #[error(
        "no shape tells how many rows the encoder's slices have, and there is no generator to ask: write `input_size = 256`, or \
         what it is, into the file of --names"
    )]
    InputSize,
    /// Two averages of one variable.
    #[error("`{of}` has two averages, `{}` and `{}`, expected at most 1: name the step `ema_...` of one in `ignore` of the file of --names", variables[0], variables[1])]
    Averages {
        /// The variable.
        of: String,
        /// Its averages.
        variables: [String; 2],
    },
    /// An average of another shape.
    #[error(
        "`{average}` has shape {other:?} and is an average of `{variable}`, which has {shape:?}: where it is none, name a step of it in \
         `ignore` of the file of --names"
    )]
    Twin {
        /// The variable.
        variable: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The average.
        average: String,
        /// Its shape.
        other: Vec<usize>,
    },
    /// Tensors for which there is nothing.
    #[error(
        "no variable has the shape of {}, so this network is built differently from what is assumed:\n{}\n\
         variables that nothing needs:\n{}\nname them in `[names]` of the file of --names, or leave a network out: \
         `without = [\"generator\", \"discriminator\"]`",
        counted(missing.len(), "tensor"),
        shapes(missing),
        if unused.is_empty() { "  none".to_owned() } else { shapes(unused) }
    )]
    Incomplete {
        /// Dotted names and shapes.
        missing: Vec<(String, Vec<usize>)>,
        /// Keys and shapes.
        unused: Vec<(String, Vec<usize>)>,
    },
    /// Several equally good readings.
    #[error(
        "names and shapes leave {} of tensors undecided, and a guess would give wrong features without an error:{}\n\
         say which is which in `[names]` of the file of --names, where one tensor of a layer decides the layer{}",
        counted(sets.len(), "set"),
        undecided(sets),
        leave_out(sets)
    )]
    Ambiguous {
        /// What can't be told apart.
        sets: Vec<Undecided>,
    },
    /// Names whose numbers run against the network.
    #[error(
        "the numbers in the variables' names run against the order in which the network computes these tensors:{}\n\
         say which is which in `[names]` of the file of --names",
        undecided(std::slice::from_ref(set))
    )]
    Contradiction {
        /// Where it shows first.
        set: Undecided,
    },
    /// Layers that no network has.
    #[error(
        "no network that was found has a place for {} of layers, so the networks may be larger than what was read from \
         the shapes:\n{}\nwhere they are of something else, name their scope in `ignore` of the file of --names",
        counted(variables.len(), "variable"),
        shapes(variables)
    )]
    LeftOver {
        /// Keys and shapes.
        variables: Vec<(String, Vec<usize>)>,
    },
    /// A dotted name that the network doesn't have.
    #[error("the file of --names speaks of `{name}`, and the network has no such tensor")]
    UnknownTarget {
        /// The dotted name.
        name: String,
    },
    /// A variable that the checkpoint doesn't have.
    #[error(
        "the file of --names speaks of `{name}`, and the checkpoint has no such variable or scope (averages are found by \
         themselves)"
    )]
    UnknownVariable {
        /// The key.
        name: String,
    },
    /// One variable for two tensors.
    #[error("the file of --names gives `{name}` to two tensors")]
    Twice {
        /// The key.
        name: String,
    },
    /// An override of another size.
    #[error("the file of --names makes `{variable}` of shape {found:?} into `{target}`, which needs {expected:?}")]
    Shape {
        /// The key.
        variable: String,
        /// Its shape.
        found: Vec<usize>,
        /// The dotted name.
        target: String,
        /// The shape of a TensorFlow variable that would do.
        expected: Vec<usize>,
    },
}

fn shapes(list: &[(String, Vec<usize>)]) -> String {
    let lines = list.iter().map(|(name, shape)| format!("  {name} {shape:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn undecided(sets: &[Undecided]) -> String {
    let lines = sets.iter().map(|set| {
        let (targets, candidates) = (set.targets.join("\n    "), set.candidates.join("\n    "));
        format!("\n  tensors\n    {targets}\n  could be\n    {candidates}")
    });
    lines.collect()
}

/// A way out where the encoder itself is clear.
fn leave_out(sets: &[Undecided]) -> &'static str {
    let of_encoder = |set: &Undecided| set.targets.iter().any(|target| target.starts_with("encoder."));
    match sets.iter().any(of_encoder) {
        true => "",
        false => ", or leave out what is not needed: `without = [\"generator\", \"discriminator\"]`",
    }
}
