//! The file of `--names`: what a user says of names that can't be told apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{NamesError, Role, order::Component, variables::Site};

/// Networks of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Slices to features.
    Encoder,
    /// Codes to slices.
    Generator,
    /// What judges both.
    Discriminator,
}

/// What the user says of names.
///
/// ```
/// use hounsfield::convert::names::Overrides;
/// let overrides: Overrides = toml::from_str(
///     r#"
///     without = ["discriminator"]
///     [scopes]
///     "encoder" = "GenEncWrapper/Enc"
///     [words]
///     "s" = "scale"
///     [names]
///     "encoder.head.blocks.0.fc1.weight" = "GenEncWrapper/Enc/dense_2/w"
///     "#,
/// )?;
/// assert_eq!(overrides.names.len(), 1);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Rows and columns of a slice as it enters the encoder, which no shape tells. Default: 256 for networks of the published
    /// sizes, else twice what the generator draws.
    pub input_size: Option<usize>,
    /// Networks that are left where they are, because nobody needs them or nobody understands them.
    pub without: BTreeSet<Part>,
    /// Scopes of the checkpoint, or steps of its names (`ema_0.99`), that belong to no network.
    pub ignore: BTreeSet<String>,
    /// In which scope of the checkpoint a part is, by the beginning of its dotted names: `"disc.h" = "Discriminator/latent"`.
    pub scopes: BTreeMap<String, String>,
    /// Last words of variables' names and what they mean.
    pub words: BTreeMap<String, Role>,
    /// Dotted tensors and the variables that they are.
    pub names: BTreeMap<String, String>,
}

/// Why a file of names can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverridesError {
    /// The file can't be read.
    #[error("the file of names can't be read ({source}): {path:?}")]
    Read {
        /// What the system said.
        source: std::io::Error,
        /// The file.
        path: PathBuf,
    },
    /// The text is no such file. `message` draws the line and the caret.
    #[error("the file of names is not understood: {path:?}\n{message}")]
    Parse {
        /// What the parser said.
        message: String,
        /// The file.
        path: PathBuf,
    },
}

impl Part {
    /// The word in messages and in a file of names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Generator => "generator",
            Self::Discriminator => "discriminator",
        }
    }

    /// What its dotted names begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Generator => "generator",
            Self::Discriminator => "disc",
        }
    }
}

impl Overrides {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it can't be read, is no TOML or has unknown keys.
    pub fn read(path: &Path) -> Result<Self, OverridesError> {
        let text = std::fs::read_to_string(path).map_err(|source| OverridesError::Read {
            source,
            path: path.to_owned(),
        })?;
        toml::from_str(&text).map_err(|error| OverridesError::Parse {
            message: error.to_string(),
            path: path.to_owned(),
        })
    }

    /// Whether a variable lies in a scope that belongs to no network, or has a step of that name.
    pub(super) fn ignores(&self, name: &str) -> bool {
        let steps: Vec<&str> = name.split('/').collect();
        self.ignore.iter().any(|scope| {
            let inner: Vec<&str> = scope.split('/').filter(|s| !s.is_empty()).collect();
            !inner.is_empty() && (steps.starts_with(&inner) || (inner.len() == 1 && steps.contains(&inner[0])))
        })
    }

    /// Whether what it says can be meant.
    pub(super) fn check(&self, sites: &[Site]) -> Result<(), NamesError> {
        let mut keys = BTreeSet::new();
        if let Some(name) = self.names.values().find(|key| !keys.insert(*key)) {
            return Err(NamesError::Twice { name: name.clone() });
        }
        let parts = [Part::Encoder, Part::Generator, Part::Discriminator];
        let of_nothing = |prefix: &&String| !parts.iter().any(|part| begins(prefix, part.prefix()));
        if let Some(name) = self.scopes.keys().find(of_nothing) {
            return Err(NamesError::UnknownTarget { name: name.clone() });
        }
        let empty = |scope: &&String| !sites.iter().any(|site| is_under(&site.path, scope));
        match self.scopes.values().find(empty) {
            Some(scope) => Err(NamesError::UnknownVariable { name: scope.clone() }),
            None => Ok(()),
        }
    }

    /// Whether a scope can belong to a part.
    pub(super) fn allows(&self, part: Part, path: &[Component]) -> bool {
        match self.scope_of(path) {
            Some(prefix) => prefix.split('.').next() == Some(part.prefix()),
            None => !self.scopes.contains_key(part.prefix()),
        }
    }

    /// Whether a scope can be what this dotted name needs.
    pub(super) fn fits(&self, base: &str, path: &[Component]) -> bool {
        let longest = self
            .scopes
            .keys()
            .filter(|prefix| begins(base, prefix))
            .max_by_key(|prefix| prefix.len());
        longest.map(String::as_str) == self.scope_of(path)
    }

    /// The part whose scope holds this path, the innermost of them.
    fn scope_of(&self, path: &[Component]) -> Option<&str> {
        let holding = self.scopes.iter().filter(|(_, scope)| is_under(path, scope));
        let innermost = holding.max_by_key(|(prefix, scope)| (scope.len(), prefix.len()));
        innermost.map(|(prefix, _)| prefix.as_str())
    }
}

/// Whether a path lies in a scope.
fn is_under(path: &[Component], scope: &str) -> bool {
    let mut steps = path.iter();
    scope
        .split('/')
        .filter(|s| !s.is_empty())
        .all(|step| steps.next().is_some_and(|c| c.text == step))
}

/// Whether a dotted name begins with these steps.
pub(super) fn begins(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_strictly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.toml");
        assert!(matches!(Overrides::read(&path), Err(OverridesError::Read { .. })));
        std::fs::write(&path, "input_sise = 64").unwrap();
        assert!(matches!(Overrides::read(&path), Err(OverridesError::Parse { .. })));
        std::fs::write(&path, "input_size = 64\n[names]\n\"a\" = \"b\"\n\"a\" = \"c\"").unwrap();
        assert!(matches!(Overrides::read(&path), Err(OverridesError::Parse { .. })));
        std::fs::write(&path, "input_size = 64\n[words]\nq = \"scale\"").unwrap();
        assert_eq!(Overrides::read(&path).unwrap().words["q"], Role::Scale);
    }
}
