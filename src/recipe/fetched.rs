//! Files that a recipe names by their address on the hub, `hf://org/repo[@revision][/file]`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::RecipeError;
use crate::{
    card::FetchedCard,
    hub::{Address, Fetched, Hub, HubError},
};

/// What came from the hub for a key of a recipe: all that is needed to fetch the same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FetchedFrom {
    /// The key, e.g. `encoder.weights`.
    pub key: &'static str,
    /// The address as the recipe has it.
    pub address: String,
    /// The commit that it meant.
    pub commit: String,
    /// SHA-256 of every file, by its name in the repository.
    pub sha256: BTreeMap<String, String>,
}

impl FetchedFrom {
    /// Fetches the file that a key names where it is an address; `None` for a path on this machine, which nobody asks a
    /// network for. `kind` is the encoder's: one is made of a file of another kind than all others.
    pub(super) fn file(
        key: &'static str,
        kind: &str,
        path: &Path,
    ) -> Result<Option<(PathBuf, FetchedFrom)>, RecipeError> {
        if !Address::is_meant_by(path) {
            return Ok(None);
        }
        let (hub, address) = hub_for(key, path)?;
        let fetch = || match address.file() {
            // TorchScript is a program, and whoever asks for it by its kind wants that.
            Some(file) if kind == "torchscript" => hub.open(&address)?.file(file),
            _ => hub.fetch(&address),
        };
        let file = fetch().map_err(|source| RecipeError::Hub { key, source })?;
        let commit = file.commit.clone();
        Ok(Some((file.path.clone(), Self::new(key, &address, commit, &[file]))))
    }

    /// The same for a card.
    pub(super) fn card(key: &'static str, address: &Address, card: &FetchedCard) -> Self {
        Self::new(key, address, card.commit.clone(), &card.files)
    }

    /// What the address was when a run began, as a line.
    pub fn line(&self) -> String {
        let files = self.sha256.iter();
        let files: Vec<String> = files
            .map(|(name, hash)| format!("{name} with SHA-256 {hash}"))
            .collect();
        format!("{} was at commit {}: {}\n", self.address, self.commit, files.join(", "))
    }

    fn new(key: &'static str, address: &Address, commit: String, files: &[Fetched]) -> Self {
        let hash = |file: &Fetched| (file.name.clone(), file.sha256.clone());
        Self {
            key,
            address: address.to_string(),
            commit,
            sha256: files.iter().map(hash).collect(),
        }
    }
}

/// The hub of the environment and the address that a path is.
pub(super) fn hub_for(key: &'static str, path: &Path) -> Result<(Hub, Address), RecipeError> {
    let open = || -> Result<_, HubError> { Ok((Hub::from_env()?, path.to_string_lossy().parse()?)) };
    open().map_err(|source| RecipeError::Hub { key, source })
}
