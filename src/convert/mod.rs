//! Weights of other programs, made into files that this one reads: safetensors and an encoder card.
//!
//! [`tfhub`] reads the modules of TensorFlow Hub without TensorFlow: [`module`] is the folder or archive, [`bundle`] the
//! checkpoint inside of it, [`names`] finds out which variable is which tensor, `layout` turns the values around. Files come
//! from anywhere: none of this panics, and nothing is written before all of it was understood.

pub mod bundle;
mod layout;
pub mod module;
pub mod names;
mod staging;
pub mod tfhub;

pub use self::staging::Staging;

use std::path::PathBuf;

use crate::{
    card::CardError,
    convert::{bundle::BundleError, module::ModuleError, names::NamesError},
    tables::WriteError,
};

/// Why weights can't be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The module is none.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The checkpoint can't be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It is not clear which variable is which.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// The card.
    #[error(transparent)]
    Card(#[from] CardError),
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The library that writes weights.
    #[error("the weights can't be written as safetensors ({source})")]
    Safetensors {
        /// What it said.
        source: safetensors::SafeTensorError,
    },
    /// A file that would be replaced.
    #[error("`{file}` is there already: name another folder, or replace it with `--overwrite`: {folder:?}")]
    There {
        /// The file.
        file: String,
        /// The folder.
        folder: PathBuf,
    },
    /// Variables of one network that are stored in several ways.
    #[error(
        "of a network's {of} trained variables {} have {what} and the others have not, so that no set of them is whole: without \
         averages it can be converted, name their step (`ema_...`) in `ignore` of the file of `--names`. They are: {}",
        variables.len(),
        variables.join(", ")
    )]
    SomeAverages {
        /// Trained variables of the network.
        of: usize,
        /// What the fewer have.
        what: String,
        /// Which these are.
        variables: Vec<String>,
    },
    /// A value that is no number.
    #[error("variable `{variable}` holds {value}: the module is damaged, or its training had failed; fetch it again")]
    NotFinite {
        /// The variable.
        variable: String,
        /// The first such value.
        value: f32,
    },
    /// A variance below zero.
    #[error(
        "variable `{variable}` is read as a variance and holds {value}: it is another variable, name the right one with \
         `--names`"
    )]
    NegativeVariance {
        /// The variable.
        variable: String,
        /// The first such value.
        value: f32,
    },
    /// Statistics of nothing.
    #[error(
        "statistics `{variable}` are sums of as many batches as `{counter}` says, which is {found}, expected 1 or more: if they are \
         no sums, name the last step of `{counter}` in `ignore` of the file of `--names`"
    )]
    Counter {
        /// The counter.
        counter: String,
        /// Its value.
        found: f32,
        /// The statistics.
        variable: String,
    },
    /// A counter of many things.
    #[error(
        "counter `{counter}` holds {values} values, expected 1: if it is none, name its last step in `ignore` of the file of \
         `--names`"
    )]
    Counters {
        /// The counter.
        counter: String,
        /// How many it holds.
        values: usize,
    },
    /// A variable of another shape than its tensor.
    #[error(
        "variable `{variable}` of shape {found:?} does not become `{target}` of shape {expected:?}: name another with `--names`"
    )]
    Layout {
        /// The variable.
        variable: String,
        /// Its shape.
        found: Vec<usize>,
        /// The tensor.
        target: String,
        /// The tensor's shape.
        expected: Vec<usize>,
    },
}
