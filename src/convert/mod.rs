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
    /// Averages of some variables of a network only.
    #[error(
        "{with} variables of one network have an average over the training and {} have none: give the averages' names with \
         `--names`. Without one: {}",
        without.len(),
        without.join(", ")
    )]
    SomeAverages {
        /// Variables with an average.
        with: usize,
        /// Those without.
        without: Vec<String>,
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
        "statistics `{variable}` are sums of as many batches as `{counter}` says, which is {}, expected a number above 0: the \
         module holds no statistics to use",
        found.map_or_else(|| "empty".to_owned(), |value| value.to_string())
    )]
    Counter {
        /// The counter.
        counter: String,
        /// Its value.
        found: Option<f32>,
        /// The statistics.
        variable: String,
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
