//! Which variable of a BigBiGAN checkpoint is which tensor of ours.
//!
//! Nobody published the names of the encoder's and the discriminator's variables in `deepmind/bigbigan-resnet50/1` and its
//! larger sister. So sizes are read from shapes, tables of names are tried first, and whatever they don't know is found by its
//! shape, its scope and its number. That rests on what TensorFlow programs keep to:
//!
//! 1. numbers under one name count in the order of making, which is the order of the forward pass;
//! 2. a shortcut is made before its branch or behind it, in all blocks of a network alike, never in the midst of it; an MLP's
//!    first layer and shortcut look the same, so that there this holds only where the network's convolutions show it;
//! 3. in numbered blocks one name means one layer, unless the numbering itself shows otherwise;
//! 4. layers of one network lie nearer to each other than to those of another.
//!
//! Where that leaves two readings, the answer is an error that lists both: weights in wrong places give wrong features without
//! a word. A module is converted by `convert`, and [`Plan::explain`] prints the reason for every tensor.

mod attention;
mod encoder;
mod entries;
mod error;
mod evidence;
mod explain;
mod known;
mod matching;
mod nearness;
mod order;
mod overrides;
mod sizes;
mod solve;
mod targets;
mod variables;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::sizes::Sizes;
pub use self::{
    error::{NamesError, Undecided},
    overrides::{Overrides, OverridesError, Part},
};
use crate::{
    encoder::EncoderConfig,
    method::{Discriminator, Generator},
};

/// Every tensor's variable, and the networks that they make.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The encoder; its switches are the defaults, which names can't tell.
    pub encoder: EncoderConfig,
    /// The generator, if there is one. Only its channels are known: `width` is the largest that divides them all.
    pub generator: Option<Generator>,
    /// The discriminator, likewise.
    pub discriminator: Option<Discriminator>,
    /// One for each tensor, sorted by its name.
    pub entries: Vec<Entry>,
    /// Keys of the checkpoint that no entry uses.
    pub unused: Vec<String>,
    /// Why they are not used, where that is known.
    reasons: BTreeMap<String, &'static str>,
}

/// Where one tensor comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The dotted name.
    pub target: String,
    /// The dotted tensor's shape.
    pub target_shape: Vec<usize>,
    /// The variable's key.
    pub source: String,
    /// The variable's shape.
    pub source_shape: Vec<usize>,
    /// The key of its exponential average; the same as `source` where the checkpoint has the average alone.
    pub ema: Option<String>,
    /// The key of the number by which a sum of statistics is divided.
    pub counter: Option<String>,
    /// How axes move.
    pub transform: Transform,
    /// Why it is this variable.
    pub why: Why,
}

/// From TensorFlow's axes to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transform {
    /// `[rows, columns, inputs, outputs]` to `[outputs, inputs, rows, columns]`.
    Conv,
    /// `[inputs, outputs]` to `[outputs, inputs]`.
    Linear,
    /// The same, and outputs from `(row, column, channel)` to `(channel, row, column)`: the generator's first layer.
    GeneratorLinear,
    /// That order of outputs for its bias and its singular vector.
    GeneratorVector,
    /// Axes of size 1 are left out.
    Squeeze,
}

/// Why a tensor is this variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The published module has this name.
    Known,
    /// A name of the table that nobody confirmed.
    Assumed,
    /// The only layer of its shape.
    Shape,
    /// The only one of its shape that lies with its network.
    Scope,
    /// One of several equals, by the numbers in their names.
    Order {
        /// Its place, from 1.
        rank: usize,
        /// Equals.
        of: usize,
    },
    /// A word in its name.
    Word,
    /// The same name in another block.
    Sibling,
    /// The user said so.
    Override,
}

/// What a variable is in its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A kernel, a matrix or the generator's learned vector.
    Weight,
    /// What is added.
    Bias,
    /// The stored singular vector.
    U,
    /// A batch norm's factor.
    Scale,
    /// What it adds.
    Offset,
    /// Its mean, or a sum of means.
    Mean,
    /// Its variance, or a sum of variances.
    Var,
    /// How many such were added.
    Counter,
    /// Self-attention's factor.
    Gate,
}

/// Finds the variable of every tensor.
///
/// `found` are the checkpoint's keys with TensorFlow's shapes, averages among them.
///
/// ```
/// use std::collections::BTreeMap;
/// use hounsfield::convert::names::{NamesError, Overrides, resolve};
/// let found = BTreeMap::from([("a/w".to_owned(), vec![3, 3, 8, 8])]);
/// let nothing = resolve(&found, &Overrides::default());
/// assert!(matches!(nothing, Err(NamesError::NoEncoder { stems: 0, .. })));
/// ```
///
/// # Errors
///
/// When there is no encoder, tensors are missing, or names leave two readings.
pub fn resolve(found: &BTreeMap<String, Vec<usize>>, overrides: &Overrides) -> Result<Plan, NamesError> {
    let variables = variables::read(found, overrides)?;
    overrides.check(&variables.sites)?;
    let sizes = sizes::read(&variables, overrides)?;
    let mut tensors = sizes.encoder.expected_tensors()?;
    let generator = sizes.generator.as_ref();
    let discriminator = sizes.discriminator.as_ref();
    tensors.extend(generator.map(|g| g.tensors(sizes.z_dim)).unwrap_or_default());
    tensors.extend(discriminator.map(|d| d.tensors(sizes.z_dim)).unwrap_or_default());
    let attention = [
        generator.map_or(0, |g| g.attention_after),
        discriminator.map_or(0, |d| d.attention_after),
    ];
    let targets = targets::layers(&tensors, attention);
    let entries = entries::find(targets, variables.clone(), overrides)?;
    let used: BTreeSet<&String> = entries
        .iter()
        .flat_map(|e| [Some(&e.source), e.ema.as_ref(), e.counter.as_ref()])
        .flatten()
        .collect();
    let unused = found.keys().filter(|name| !used.contains(name)).cloned().collect();
    let reasons = variables.ignored.into_iter().collect();
    let Sizes {
        encoder,
        generator,
        discriminator,
        ..
    } = sizes;
    Ok(Plan {
        encoder,
        generator,
        discriminator,
        entries,
        unused,
        reasons,
    })
}
