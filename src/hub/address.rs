//! Addresses on the hub: `hf://org/repo[@revision][/file]`.

use std::{fmt, path::Path, str::FromStr};

/// What an address begins with.
const SCHEME: &str = "hf://";

/// The branch that is meant where no revision is named.
const MAIN: &str = "main";

/// A repository of the hub, a revision of it, and perhaps a file in it. Strict: it names nothing outside of the repository.
///
/// ```
/// use hounsfield::hub::Address;
/// let address: Address = "hf://someone/ct-encoder@v1.2/weights.safetensors".parse()?;
/// assert_eq!((address.repo(), address.revision()), ("someone/ct-encoder", "v1.2"));
/// assert_eq!(address.file(), Some("weights.safetensors"));
/// assert_eq!(address.to_string(), "hf://someone/ct-encoder@v1.2/weights.safetensors");
/// # Ok::<(), hounsfield::hub::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    repo: String,
    revision: Option<String>,
    file: Option<String>,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no address on the hub ({why}): write hf://ORG/REPO, hf://ORG/REPO@REVISION or hf://ORG/REPO@REVISION/FILE"
)]
pub struct AddressError {
    /// The text.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Address {
    /// Whether a path in a recipe is an address, well written or not.
    pub fn is_meant_by(path: &Path) -> bool {
        path.to_str().is_some_and(|text| text.starts_with(SCHEME))
    }

    /// The repository, e.g. `someone/ct-encoder`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The branch, tag or commit; `main` where none is named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    /// The file in it, with folders where it lies in some.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Whether the revision is a whole commit, which never means anything else later.
    pub fn is_pinned(&self) -> bool {
        is_commit(self.revision())
    }

    /// The same repository at a commit.
    #[must_use]
    pub fn at(&self, commit: &str) -> Self {
        Self {
            revision: Some(commit.to_owned()),
            ..self.clone()
        }
    }

    /// A file of the same revision; none for the repository itself.
    #[must_use]
    pub fn with_file(&self, file: Option<&str>) -> Self {
        Self {
            file: file.map(str::to_owned),
            ..self.clone()
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |why| AddressError {
            found: text.to_owned(),
            why,
        };
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| refuse("it does not begin with hf://"))?;
        let mut parts = rest.splitn(3, '/');
        let org = parts.next().unwrap_or_default();
        let repo = parts.next().ok_or_else(|| refuse("it has no repository"))?;
        let (repo, revision) = match repo.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (repo, None),
        };
        if !is_name(org) || !is_name(repo) {
            return Err(refuse(
                "organisation and repository have letters, digits, `-`, `_` and `.` only, no two `-` or `.` in a row, and \
                 neither at an end",
            ));
        }
        if revision.is_some_and(|revision| !is_revision(revision)) {
            return Err(refuse(
                "a revision is a branch, a tag or a commit of letters, digits, `-`, `_` and `.`",
            ));
        }
        let file = parts.next();
        if file.is_some_and(|file| !is_inside(file)) {
            return Err(refuse("the file is a path inside of the repository"));
        }
        Ok(Self {
            repo: format!("{org}/{repo}"),
            revision: revision.map(str::to_owned),
            file: file.map(str::to_owned),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repo)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        Ok(())
    }
}

/// Whether a revision is the name of a commit: nothing else has 40 hexadecimal digits.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path names a file below the folder that it is joined to.
pub(super) fn is_inside(file: &str) -> bool {
    let outside = |part: &str| part.is_empty() || part == "." || part == "..";
    !file.split('/').any(outside) && !file.contains(|c: char| c == '\\' || c.is_control())
}

/// The hub's own rule for the names of organisations and repositories. The cache's folders are named by them with `--` in
/// between, so that a `--` in a name would make two repositories one.
fn is_name(name: &str) -> bool {
    let edge = |c: char| c == '-' || c == '.';
    (1..=96).contains(&name.len())
        && is_word(name)
        && !name.starts_with(edge)
        && !name.ends_with(edge)
        && !name.contains("--")
        && !name.contains("..")
        && !name.ends_with(".git")
}

fn is_revision(revision: &str) -> bool {
    !revision.is_empty() && is_word(revision) && !revision.starts_with(['-', '.']) && !revision.contains("..")
}

fn is_word(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_again() {
        for text in [
            "hf://a/b",
            "hf://a/b@main",
            "hf://a/b/weights.safetensors",
            "hf://an-org/re.po_2@0123456789abcdef0123456789abcdef01234567/deep/er/file.bin",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let address: Address = "hf://a/b".parse().unwrap();
        assert_eq!(
            (address.revision(), address.file(), address.is_pinned()),
            ("main", None, false)
        );
        assert!(address.at(&"0a".repeat(20)).is_pinned());
        assert!(!address.at("v1").is_pinned());
    }

    #[test]
    fn what_leads_elsewhere_is_refused_with_the_three_forms() {
        for text in [
            "hf://",
            "hf://a",
            "hf://a/",
            "hf:///b",
            "hf://../b",
            "hf://a/..",
            "hf://a/b/",
            "hf://a/b/../c",
            "hf://a/b//c",
            "hf://a/b/./c",
            "hf://a/b/c\\..\\d",
            "hf://a/b@/c",
            "hf://a/b@",
            "hf://a/b@../c",
            "hf://a/b@x y/c",
            "hf://a--b/c",
            "hf://a/-b",
            "hf://a/b.git",
            "hf://user:secret@a/b",
            "https://a/b",
            "a/b",
        ] {
            let said = text.parse::<Address>().unwrap_err().to_string();
            assert!(said.contains("hf://ORG/REPO@REVISION/FILE"), "{text}: {said}");
        }
    }

    #[test]
    fn a_path_that_only_looks_alike_is_no_address() {
        assert!(Address::is_meant_by(Path::new("hf://a/b")));
        assert!(Address::is_meant_by(Path::new("hf://")));
        for path in ["hf/a/b", "./hf://a/b", "weights.safetensors", "random"] {
            assert!(!Address::is_meant_by(Path::new(path)), "{path}");
        }
    }
}
