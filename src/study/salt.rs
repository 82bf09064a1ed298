//! The salt of the pseudonyms: a file that the user keeps, outside of every run folder.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use rand::RngExt as _;

use super::StudyError;
use crate::{
    ct::Pseudonymizer,
    recipe::{CohortSection, Ids},
};

/// Names the salt file of the user where the recipe does not.
pub const SALT_VARIABLE: &str = "HOUNSFIELD_SALT";

/// Shorter ones could be guessed.
const MIN_BYTES: usize = 16;

/// The pseudonyms of a study. One salt serves all studies of a user, so that their tables join.
///
/// # Errors
///
/// A salt file that can't be read or made, or that is too short.
pub fn pseudonymizer(section: &CohortSection) -> Result<Pseudonymizer, StudyError> {
    match section.ids {
        Ids::Keep => Ok(Pseudonymizer::keep()),
        Ids::Pseudonym => user_pseudonymizer(section.salt.as_deref()),
    }
}

/// The pseudonyms under the salt in a file; without a name, under the user's own salt.
///
/// # Errors
///
/// A salt file that can't be read or made, or that is too short.
pub fn user_pseudonymizer(file: Option<&Path>) -> Result<Pseudonymizer, StudyError> {
    let path = match file {
        Some(path) => path.to_owned(),
        None => default_path()?,
    };
    Ok(Pseudonymizer::new(&read_or_make(&path)?))
}

fn default_path() -> Result<PathBuf, StudyError> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable(SALT_VARIABLE)
        .or_else(|| variable("XDG_CONFIG_HOME").map(|home| home.join("hounsfield/salt")))
        .or_else(|| variable("HOME").map(|home| home.join(".config/hounsfield/salt")))
        .ok_or(StudyError::NoSaltPath)
}

fn read_or_make(path: &Path) -> Result<Vec<u8>, StudyError> {
    let failed = |source| StudyError::Salt {
        path: path.to_owned(),
        source,
    };
    match std::fs::read(path) {
        Ok(salt) if salt.trim_ascii().len() >= MIN_BYTES => return Ok(salt.trim_ascii().to_vec()),
        Ok(salt) => {
            return Err(StudyError::ShortSalt {
                bytes: salt.trim_ascii().len(),
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let salt: String = (0..32).map(|_| format!("{:02x}", rand::rng().random::<u8>())).collect();
    // Written whole beside its place, then put there unless another process was first: its salt is then the one.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(salt.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => return read_or_make(path),
        Err(error) => return Err(failed(error.error)),
    }
    tracing::info!("made a salt for pseudonyms; keep it to get the same pseudonyms again: {path:?}");
    Ok(salt.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_made_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/salt");
        let first = user_pseudonymizer(Some(&path)).unwrap();
        let second = user_pseudonymizer(Some(&path)).unwrap();
        assert_eq!(first.patient("7"), second.patient("7"));
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(
            user_pseudonymizer(Some(&path)),
            Err(StudyError::ShortSalt { bytes: 5, .. })
        ));
    }
}
