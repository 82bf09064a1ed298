//! Cards from the hub: the card first, then the files that it lists.

use std::path::Path;

use super::{CardError, CheckedCard, EncoderCard, FILE};
use crate::{
    encoder::{EncoderConfig, refuse_pickle_name},
    hub::{Address, Fetched, Hub, HubError},
};

/// A card in the hub's cache, with its files, all of one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedCard {
    /// The card; its folder is in the cache.
    pub checked: CheckedCard,
    /// The commit.
    pub commit: String,
    /// The card and its files.
    pub files: Vec<Fetched>,
}

impl EncoderCard {
    /// Fetches a card and every file that it lists, and checks them as [`EncoderCard::load`] does. An address without a file
    /// means the card at the repository's root; a folder, or the card in it, means that one.
    ///
    /// # Errors
    ///
    /// A repository without a card, whatever the hub refuses, and what [`EncoderCard::load`] finds.
    pub fn fetch(hub: &Hub, address: &Address) -> Result<FetchedCard, CardError> {
        let snapshot = hub.open(address)?;
        let place = match address.file() {
            None => FILE.to_owned(),
            Some(file) if Path::new(file).file_name().is_some_and(|name| name == FILE) => file.to_owned(),
            Some(folder) => format!("{folder}/{FILE}"),
        };
        let card_file = snapshot.optional(&place)?.ok_or_else(|| CardError::NoCard {
            address: match place.rsplit_once('/') {
                Some((folder, _)) => address.with_file(Some(folder)).to_string(),
                None => address.with_file(None).to_string(),
            },
        })?;
        let folder = place.strip_suffix(FILE).unwrap_or_default();
        // Checked before anything that it names is asked for: its names are plain.
        let card = Self::read(&card_file.path)?;
        if !matches!(card.encoder, EncoderConfig::TorchScript(_)) {
            for name in card.files() {
                refuse_pickle_name(Path::new(&name)).map_err(HubError::from)?;
            }
        }
        let path = card_file.path.clone();
        let mut files = vec![card_file];
        for name in card.files() {
            // What is missing is said below, with the way to obtain it where there is one.
            files.extend(snapshot.optional(&format!("{folder}{name}"))?);
        }
        Ok(FetchedCard {
            checked: Self::load(&path)?,
            commit: snapshot.commit().to_owned(),
            files,
        })
    }
}
