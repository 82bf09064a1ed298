//! Why a card can't be used.

use std::path::PathBuf;

use super::{CardKind, FILE};
use crate::encoder::Layer;

/// Why a card can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The file can't be read.
    #[error("the {kind} can't be read ({source}): name the folder that holds `{}`, or that file: {path:?}", kind.file())]
    Read {
        /// Whose card.
        kind: CardKind,
        /// What the system said.
        source: std::io::Error,
        /// The card.
        path: PathBuf,
    },
    /// The text is no such card. `message` draws the line and the caret.
    #[error("the {kind} is not understood: {path:?}\n{message}")]
    Parse {
        /// Whose card.
        kind: CardKind,
        /// What the parser said.
        message: String,
        /// The card.
        path: PathBuf,
    },
    /// A card of another time.
    #[error(
        "the {kind} is of version {found} of the format, this program reads version {expected}: use a program that was \
         made for it: {path:?}"
    )]
    Schema {
        /// Whose card.
        kind: CardKind,
        /// The version.
        found: u32,
        /// The version that is read.
        expected: u32,
        /// The card.
        path: PathBuf,
    },
    /// Nothing said where something must be.
    #[error("`{field}` of {kind} `{card}` is empty: say in words what is known, and where nothing is known say so")]
    Empty {
        /// Whose card.
        kind: CardKind,
        /// The card's name.
        card: String,
        /// The key.
        field: &'static str,
    },
    /// Settings that make no network.
    #[error("encoder card `{card}`: {source}")]
    Encoder {
        /// The card's name.
        card: String,
        /// What is wrong with them.
        source: crate::encoder::EncoderError,
    },
    /// Settings that make no network of scans.
    #[error("classifier card `{card}`: {source}")]
    Network {
        /// The card's name.
        card: String,
        /// What is wrong with them.
        source: crate::baseline::BaselineError,
    },
    /// An input that no scan can be made.
    #[error("classifier card `{card}`: {source}")]
    Input {
        /// The card's name.
        card: String,
        /// What is wrong with it.
        source: crate::transforms::ScanInputError,
    },
    /// A threshold that no score can be compared with.
    #[error("`threshold` of classifier card `{card}` is {found}, expected a finite number, or no such line")]
    Threshold {
        /// The card's name.
        card: String,
        /// What stands there.
        found: f64,
    },
    /// No features.
    #[error("encoder card `{card}` lists no layers: list those that mean something, e.g. `z_mean = 120`")]
    NoLayers {
        /// The card's name.
        card: String,
    },
    /// A width that is not the network's.
    #[error(
        "layer `{layer}` is {found} wide in encoder card `{card}`, but its network makes {expected} features: the sizes \
         or the list are of other weights; write the card anew"
    )]
    Width {
        /// The card's name.
        card: String,
        /// The layer.
        layer: Layer,
        /// Width in the card.
        found: usize,
        /// Width of the network.
        expected: usize,
    },
    /// A layer that means nothing for these weights.
    #[error(
        "layer `{layer}` is not listed in encoder card `{card}`, it means nothing for these weights: ask for {}",
        listed.iter().map(|layer| format!("`{layer}`")).collect::<Vec<_>>().join(", ")
    )]
    Layer {
        /// The card's name.
        card: String,
        /// The layer that was asked for.
        layer: Layer,
        /// Those that there are.
        listed: Vec<Layer>,
    },
    /// Weights that were never trained.
    #[error("encoder card `{card}` has `weights = \"random\"`: a card is of trained weights, name their file")]
    Random {
        /// The card's name.
        card: String,
    },
    /// Weights whose hash is not known.
    #[error(
        "{kind} `{card}` has no SHA-256 of its weights: list the file under `[sha256]`; it stands beside the card \
         and is named without folders: {weights:?}"
    )]
    NotListed {
        /// Whose card.
        kind: CardKind,
        /// The card's name.
        card: String,
        /// The weights.
        weights: PathBuf,
    },
    /// Preprocessing that gives what the encoder does not take.
    #[error("encoder card `{card}`: {source}")]
    Preprocess {
        /// The card's name.
        card: String,
        /// What is wrong.
        source: crate::transforms::PreprocessError,
    },
    /// A path where a name belongs.
    #[error("{kind} `{card}` lists `{file}` under `[sha256]`, which is no plain file name: its files stand beside it")]
    FileName {
        /// Whose card.
        kind: CardKind,
        /// The card's name.
        card: String,
        /// What is listed.
        file: String,
    },
    /// A file that is not there.
    #[error(
        "{kind} `{card}` lists `{file}`, which is not beside it: put the file there, or fetch the whole folder again: {path:?}"
    )]
    NoFile {
        /// Whose card.
        kind: CardKind,
        /// The card's name.
        card: String,
        /// The file.
        file: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// Weights that are to be made or fetched first.
    #[error("`{file}` of encoder card `{card}` is not here yet: get it with `{command}`: {path:?}")]
    NotHere {
        /// The card's name.
        card: String,
        /// The file.
        file: String,
        /// What the card says to do.
        command: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A repository of the hub that has no card.
    #[error(
        "{address} has no `{FILE}`: name weights instead, with the network that they are of, as `kind = \"...\"` and \
         `weights = \"hf://ORG/REPO/FILE.safetensors\"`"
    )]
    NoCard {
        /// The repository.
        address: String,
    },
    /// The hub.
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
    /// Another file than the card's.
    #[error(
        "the SHA-256 of `{file}` begins with {}, {kind} `{card}` lists {}: the file is damaged or of other weights; \
         fetch the whole folder again, or write the card anew where the weights are yours: {path:?}",
        first_digits(found),
        first_digits(listed)
    )]
    Sha256 {
        /// Whose card.
        kind: CardKind,
        /// The card's name.
        card: String,
        /// The file.
        file: String,
        /// SHA-256 of the file.
        found: String,
        /// SHA-256 in the card.
        listed: String,
        /// Where the file is.
        path: PathBuf,
    },
    /// A file of weights that can't be hashed.
    #[error(transparent)]
    Table(#[from] crate::tables::TableError),
    /// Numbers that TOML does not have, such as a seed above 2^63.
    #[error("the card can't be written as TOML: {0}")]
    Toml(#[from] toml::ser::Error),
    /// The card can't be written.
    #[error(transparent)]
    Write(#[from] crate::tables::WriteError),
}

/// As many digits as tell files apart by eye.
fn first_digits(hash: &str) -> String {
    hash.chars().take(12).collect()
}
