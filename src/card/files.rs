//! What all cards share: a TOML file of a known version, words that are not empty, files beside it whose hashes it lists.

use std::{
    collections::BTreeMap,
    fmt,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{CLASSIFIER, CardError, ClassifierCard, EncoderCard, FILE};
use crate::tables::{atomic_write, sha256_bytes, sha256_file};

/// Whose card it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardKind {
    /// An encoder of slices.
    Encoder,
    /// A classifier of whole scans.
    Classifier,
}

impl CardKind {
    /// The card's name in the folder of its weights.
    pub fn file(self) -> &'static str {
        match self {
            Self::Encoder => FILE,
            Self::Classifier => CLASSIFIER,
        }
    }

    /// The version of the format that this program reads and writes.
    fn schema(self) -> u32 {
        match self {
            Self::Encoder => EncoderCard::SCHEMA,
            Self::Classifier => ClassifierCard::SCHEMA,
        }
    }
}

impl fmt::Display for CardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoder => "encoder card",
            Self::Classifier => "classifier card",
        })
    }
}

/// A card as its file says it, and where that is.
pub(super) struct Read<C> {
    pub card: C,
    pub folder: PathBuf,
    pub sha256: String,
}

/// Reads a card, by its folder or its file. Whether it agrees with itself is not looked at.
pub(super) fn read<C: DeserializeOwned>(kind: CardKind, path: &Path) -> Result<Read<C>, CardError> {
    let path = match path.is_dir() {
        true => path.join(kind.file()),
        false => path.to_owned(),
    };
    let text = std::fs::read_to_string(&path).map_err(|source| CardError::Read {
        kind,
        source,
        path: path.clone(),
    })?;
    Ok(Read {
        card: parse(kind, &text, &path)?,
        folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        sha256: sha256_bytes(text.as_bytes()),
    })
}

fn parse<C: DeserializeOwned>(kind: CardKind, text: &str, path: &Path) -> Result<C, CardError> {
    /// Read first: a card of another version has other keys.
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    match toml::from_str::<Version>(text) {
        Ok(Version { schema }) if schema != kind.schema() => Err(CardError::Schema {
            kind,
            found: schema,
            expected: kind.schema(),
            path: path.to_owned(),
        }),
        _ => toml::from_str(text).map_err(|error| CardError::Parse {
            kind,
            message: error.to_string().trim_end().to_owned(),
            path: path.to_owned(),
        }),
    }
}

/// Writes a card under what it is and how it is used, in sentences.
pub(super) fn write(
    kind: CardKind,
    card: &impl Serialize,
    what: &str,
    usage: &str,
    folder: &Path,
) -> Result<(), CardError> {
    let name = match kind {
        CardKind::Encoder => "Encoder card",
        CardKind::Classifier => "Classifier card",
    };
    let usage: String = usage
        .lines()
        .map(|line| format!("# {line}").trim_end().to_owned() + "\n")
        .collect();
    let head = format!(
        "# {name}: {what}. Written by hounsfield {}.\n{usage}\n",
        env!("CARGO_PKG_VERSION")
    );
    let text = head + &toml::to_string(card)?;
    Ok(atomic_write(&folder.join(kind.file()), |file| {
        file.write_all(text.as_bytes())
    })?)
}

/// Checks that something is said under each of these keys.
pub(super) fn check_words(kind: CardKind, card: &str, words: &[(&'static str, &String)]) -> Result<(), CardError> {
    match words.iter().find(|(_, words)| words.trim().is_empty()) {
        None => Ok(()),
        Some((field, _)) => Err(CardError::Empty {
            kind,
            card: card.to_owned(),
            field,
        }),
    }
}

/// A card may come from anywhere: what it lists must not lead out of its folder.
pub(super) fn check_names(kind: CardKind, card: &str, listed: &BTreeMap<String, String>) -> Result<(), CardError> {
    match listed.keys().find(|file| !is_name(file)) {
        None => Ok(()),
        Some(file) => Err(CardError::FileName {
            kind,
            card: card.to_owned(),
            file: file.clone(),
        }),
    }
}

/// Whether it names a file and no folder.
pub(super) fn is_name(file: &str) -> bool {
    Path::new(file).file_name().is_some_and(|name| name == file)
}

/// Checks that a file is beside its card, and the one whose hash is listed, if any is.
pub(super) fn check_file(
    kind: CardKind,
    card: &str,
    folder: &Path,
    file: &str,
    listed: Option<&String>,
) -> Result<(), CardError> {
    let path = folder.join(file);
    if !path.is_file() {
        return Err(CardError::NoFile {
            kind,
            card: card.to_owned(),
            file: file.to_owned(),
            path,
        });
    }
    let Some(listed) = listed else { return Ok(()) };
    let found = sha256_file(&path)?;
    if found == *listed {
        return Ok(());
    }
    Err(CardError::Sha256 {
        kind,
        card: card.to_owned(),
        file: file.to_owned(),
        found,
        listed: listed.clone(),
        path,
    })
}
