//! `[encoder]` of a recipe: a network in words, or the card of trained weights that says the network, the weights and the
//! preprocessing.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{FetchedFrom, RecipeError, Study, fetched::hub_for};
use crate::{
    card::EncoderCard,
    encoder::{EncoderConfig, Weights},
    hub::Address,
    transforms::Preprocess,
};

/// The kind that stands for a card.
const CARD: &str = "card";

/// `[encoder]`, as the file says it.
#[derive(Debug, Clone, PartialEq)]
pub enum EncoderSection {
    /// The network in words.
    Config(EncoderConfig),
    /// `kind = "card"`: as the card says it.
    Card(CardSection),
}

/// Settings of `kind = "card"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardSection {
    /// The folder that holds the card, or the card itself; on this machine, or as an address on the hub.
    pub path: PathBuf,
    /// Whether the study's `[preprocess]` may be another than the card's, which every output then says. Default: no.
    #[serde(default)]
    pub other_preprocess: bool,
}

/// The card that a study's encoder was taken from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CardOrigin {
    /// The name of the weights.
    pub name: String,
    /// SHA-256 of the card.
    pub sha256: String,
    /// What the weights were trained on.
    pub preprocess: Preprocess,
}

impl<'de> Deserialize<'de> for EncoderSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const KINDS: &[&str] = &{
            let [a, b, c, d, e, f, g] = EncoderConfig::KINDS;
            [a, b, c, d, e, f, g, CARD]
        };
        let mut table = toml::Table::deserialize(deserializer)?;
        let section = match table.get("kind").and_then(toml::Value::as_str) {
            Some(CARD) => {
                table.remove("kind");
                table.try_into().map(Self::Card)
            }
            Some(kind) if !KINDS.contains(&kind) => return Err(D::Error::unknown_variant(kind, KINDS)),
            _ => table.try_into().map(Self::Config),
        };
        section.map_err(|error| D::Error::custom(error.message()))
    }
}

impl CardOrigin {
    /// What outputs must say where slices were made into network input in another way than the weights were trained on.
    pub(super) fn watermark(&self, preprocess: &Preprocess) -> Option<String> {
        (*preprocess != self.preprocess).then(|| {
            format!(
                "preprocessing other than the encoder's: `{}` was trained on {}, these slices went through {}",
                self.name,
                self.preprocess.canonical(),
                preprocess.canonical()
            )
        })
    }
}

impl fmt::Display for CardOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (card of SHA-256 {})", self.name, self.sha256)
    }
}

impl Study<EncoderSection> {
    /// Makes relative paths relative to the recipe's folder; addresses are relative to nothing.
    pub(super) fn anchor(&mut self, folder: &Path) {
        let files = [&mut self.cohort.table, &mut self.cohort.salt, &mut self.features.table];
        let encoder = match &mut self.encoder {
            Some(EncoderSection::Card(section)) => Some(&mut section.path),
            Some(EncoderSection::Config(config)) => match config.weights_mut() {
                Weights::File(path) => Some(path),
                Weights::Random => None,
            },
            None => None,
        };
        let encoder = encoder.filter(|path| !Address::is_meant_by(path));
        for path in files.into_iter().flatten().chain(encoder) {
            *path = folder.join(&*path);
        }
    }

    /// Reads the card, if there is one, and puts what it says in its place. What is on the hub is fetched.
    pub(super) fn resolve(self) -> Result<Study, RecipeError> {
        let mut study = Study {
            title: self.title,
            seed: self.seed,
            cohort: self.cohort,
            split: self.split,
            preprocess: self.preprocess,
            encoder: None,
            card: None,
            fetched: Vec::new(),
            features: self.features,
            probe: self.probe,
        };
        match self.encoder {
            None => {}
            Some(EncoderSection::Config(mut config)) => {
                let kind = config.kind();
                if let Weights::File(path) = config.weights_mut()
                    && let Some((file, from)) = FetchedFrom::file("encoder.weights", kind, path)?
                {
                    *path = file;
                    study.fetched.push(from);
                }
                study.encoder = Some(config);
            }
            Some(EncoderSection::Card(section)) => study.take_from(&section)?,
        }
        Ok(study)
    }
}

impl Study {
    /// Takes the encoder from a card, and the preprocessing where the study has none of its own.
    fn take_from(&mut self, section: &CardSection) -> Result<(), RecipeError> {
        let file = if Address::is_meant_by(&section.path) {
            let (hub, address) = hub_for("encoder.path", &section.path)?;
            let card = EncoderCard::fetch(&hub, &address)?;
            if let EncoderConfig::TorchScript(_) = card.checked.card.encoder {
                return Err(RecipeError::Inconsistent {
                    what: format!(
                        "`encoder.path` is {address}, whose card is of a TorchScript, a program: if you trust its author, fetch it with \
                         `hounsfield weights pull {address} --out FOLDER` and name that folder"
                    ),
                });
            }
            self.fetched.push(FetchedFrom::card("encoder.path", &address, &card));
            card.checked
        } else {
            EncoderCard::load(&section.path)?
        };
        // Which layer is meant where none is named is the encoder's to say.
        self.encoder = Some(file.encoder());
        file.card.require(&self.layers())?;
        let theirs = &file.card.preprocess;
        let other = self.preprocess.as_ref().filter(|own| *own != theirs);
        match (other, section.other_preprocess) {
            (Some(own), false) => {
                return Err(RecipeError::Inconsistent {
                    what: format!(
                        "`[preprocess]` is {}, but encoder card `{}` was trained on {}: leave it out, or set \
                         `encoder.other_preprocess = true`, which every output will say",
                        own.canonical(),
                        file.card.name,
                        theirs.canonical()
                    ),
                });
            }
            (None, true) => {
                return Err(RecipeError::Inconsistent {
                    what: format!(
                        "`encoder.other_preprocess` is true, but the study has no other `[preprocess]` than encoder card \
                         `{}`: leave it out",
                        file.card.name
                    ),
                });
            }
            _ => {}
        }
        self.preprocess.get_or_insert_with(|| theirs.clone());
        self.card = Some(CardOrigin {
            name: file.card.name,
            sha256: file.sha256,
            preprocess: file.card.preprocess,
        });
        Ok(())
    }
}
