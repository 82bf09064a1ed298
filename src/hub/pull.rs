//! From the hub into the cache, and from the cache.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use ureq::http::{Method, StatusCode};

use super::{
    Address, Hub, HubError,
    address::{is_commit, is_inside},
    cache::{self, Shelf, make_parent},
    download::{Goal, fill, open},
    wire::{Ask, Content, Follow, header, host},
};
use crate::{
    encoder::refuse_pickle_name,
    progress::Progress,
    tables::{sha256_file, write_error},
};

/// What weights are called in a repository where no file is named, the first that there is.
pub const WEIGHTS: [&str; 2] = ["weights.safetensors", "model.safetensors"];

/// A repository at one commit.
#[derive(Debug)]
pub struct Snapshot<'a> {
    hub: &'a Hub,
    address: Address,
    commit: String,
    shelf: Shelf,
    /// Why the network is left alone, where it is.
    away: Option<Away>,
}

/// Why the network is left alone.
#[derive(Debug, Clone)]
enum Away {
    /// It was not to be used.
    Offline,
    /// It did not answer when the commit was asked for.
    Unreachable { host: String, why: String },
}

/// A file that is in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its name in the repository.
    pub name: String,
    /// Where it is. The content stays as long as nobody clears the cache.
    pub path: PathBuf,
    /// The commit that it is of.
    pub commit: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

impl Hub {
    /// Finds the commit that an address means. A whole commit is taken as it is; for a branch or a tag the hub is asked, and
    /// what the cache knows of it is taken where the network is not there or not to be used.
    ///
    /// # Errors
    ///
    /// A repository or revision that is not there, a token that is missing, an address that is not cached without a network.
    pub fn open(&self, address: &Address) -> Result<Snapshot<'_>, HubError> {
        let shelf = Shelf::new(&self.cache, address.repo());
        let revision = address.revision();
        let known = || shelf.commit_of(revision);
        let offline = self.offline.then_some(Away::Offline);
        let (commit, away) = if address.is_pinned() {
            (revision.to_owned(), offline)
        } else if self.offline {
            (known().ok_or_else(|| self.not_cached(address))?, offline)
        } else {
            match self.ask_commit(address, known().is_none()) {
                Ok(commit) => {
                    shelf.note_commit(revision, &commit)?;
                    (commit, None)
                }
                Err(HubError::Unreachable { host, why }) => match known() {
                    Some(commit) => {
                        tracing::warn!("{host} does not answer ({why}); using {address} as it was at commit {commit}");
                        (commit, Some(Away::Unreachable { host, why }))
                    }
                    None => return Err(HubError::Unreachable { host, why }),
                },
                Err(error) => return Err(error),
            }
        };
        Ok(Snapshot {
            hub: self,
            address: address.clone(),
            commit,
            shelf,
            away,
        })
    }

    /// The file that an address names; without a file the repository's weights, [`WEIGHTS`].
    ///
    /// # Errors
    ///
    /// As [`Hub::open`] and [`Snapshot::file`]; a file of a kind that runs code where it is read.
    pub fn fetch(&self, address: &Address) -> Result<Fetched, HubError> {
        // Asked first: nobody waits for gigabytes that will not be read.
        refuse_pickle_name(Path::new(address.file().unwrap_or_default()))?;
        let snapshot = self.open(address)?;
        match address.file() {
            Some(file) => snapshot.file(file),
            None => snapshot.weights(),
        }
    }

    /// The folders in the cache of all commits that something was fetched of, with the address of each.
    pub fn cached(&self) -> Vec<(Address, PathBuf)> {
        let address = |(repo, folder): (String, PathBuf)| {
            let commit = folder.file_name()?.to_str()?;
            let address: Address = format!("hf://{repo}@{commit}").parse().ok()?;
            Some((address, folder))
        };
        cache::snapshots(&self.cache).into_iter().filter_map(address).collect()
    }

    fn not_cached(&self, address: &Address) -> HubError {
        HubError::Offline {
            address: address.to_string(),
            cache: self.cache.clone(),
        }
    }

    fn ask_commit(&self, address: &Address, patient: bool) -> Result<String, HubError> {
        #[derive(Deserialize)]
        struct Info {
            sha: String,
        }
        let (repo, revision) = (address.repo(), address.revision());
        let url = format!("{}/api/models/{repo}/revision/{revision}", self.endpoint);
        let what = format!("repository {repo} with a revision {revision}");
        let ask = Ask {
            patient,
            ..Ask::get(&url, &what)
        };
        let mut response = self.wire.send(&ask)?;
        let info = response.body_mut().with_config().limit(1 << 26).read_json::<Info>();
        let answer = |why: String| HubError::Answer { host: host(&url), why };
        let Info { sha } = info.map_err(|_| answer("no JSON with the commit of a revision".to_owned()))?;
        match is_commit(&sha) {
            true => Ok(sha),
            false => Err(answer("a commit that is none".to_owned())),
        }
    }
}

impl Snapshot<'_> {
    /// The commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Where its files are in the cache, those that were fetched.
    pub fn folder(&self) -> PathBuf {
        self.shelf.snapshot(&self.commit)
    }

    /// A file of this commit: from the cache, else from the hub. Its size is checked before it enters the cache, and its SHA-256
    /// where the hub knows it, which it does for large files.
    ///
    /// # Errors
    ///
    /// A file that is not there, a download that fails, other bytes than were listed, a disk that is full.
    pub fn file(&self, name: &str) -> Result<Fetched, HubError> {
        self.optional(name)?.ok_or_else(|| HubError::NotFound {
            what: self.what(name),
            sent: self.hub.wire.has_token(),
        })
    }

    /// As [`Snapshot::file`], `None` where the repository has no such file.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::file`].
    pub fn optional(&self, name: &str) -> Result<Option<Fetched>, HubError> {
        if !is_inside(name) {
            // Names come from cards too, which come from anywhere.
            let found = self.address.with_file(Some(name)).to_string();
            let why = "the file is a path inside of the repository";
            return Err(super::AddressError { found, why }.into());
        }
        let path = self.folder().join(name);
        if path.is_file() {
            return self.cached_file(name, path).map(Some);
        }
        if self.shelf.lacks(&self.commit, name) {
            return Ok(None);
        }
        match self.away.clone() {
            Some(Away::Offline) => Err(self.hub.not_cached(&self.address.with_file(Some(name)))),
            Some(Away::Unreachable { host, why }) => Err(HubError::Unreachable { host, why }),
            None => self.download(name),
        }
    }

    /// The weights under the names that they usually have.
    fn weights(&self) -> Result<Fetched, HubError> {
        for name in WEIGHTS {
            // One that is not in the cache, and not known to be missing, is no reason for the next: online it would be this one.
            if let Some(file) = self.optional(name)? {
                return Ok(file);
            }
        }
        Err(HubError::NoWeights {
            address: self.address.to_string(),
        })
    }

    fn what(&self, name: &str) -> String {
        format!(
            "file `{name}` in {} at revision {}",
            self.address.repo(),
            self.address.revision()
        )
    }

    fn cached_file(&self, name: &str, path: PathBuf) -> Result<Fetched, HubError> {
        let read = |source| HubError::Read {
            source,
            path: path.clone(),
        };
        let bytes = path.metadata().map_err(read)?.len();
        // A large file's content is named by its hash, under which it was checked when it came.
        let blob = path.read_link().ok();
        let named = blob.as_deref().and_then(|blob| blob.file_name()?.to_str());
        let sha256 = match named.filter(|etag| is_sha256(etag)) {
            Some(etag) => etag.to_owned(),
            None => sha256_file(&path).map_err(|error| read(std::io::Error::other(error)))?,
        };
        Ok(Fetched {
            name: name.to_owned(),
            commit: self.commit.clone(),
            path,
            sha256,
            bytes,
        })
    }

    /// Fetches a file into the cache; `None` where the commit has none of that name.
    fn download(&self, name: &str) -> Result<Option<Fetched>, HubError> {
        let (hub, what) = (self.hub, self.what(name));
        let (repo, escaped) = (self.address.repo(), escape(name));
        let url = format!("{}/{repo}/resolve/{}/{escaped}", hub.endpoint, self.commit);
        let mut ask = Ask::new(Method::HEAD, &url, &what, Content::Nothing);
        // The hub's own answer tells the hash; where it leads to is a store that knows nothing of repositories.
        ask.follow = Follow::Relative;
        let response = hub.wire.send_any(&ask)?;
        if response.status() == StatusCode::NOT_FOUND {
            match header(response.headers(), "x-error-code").as_deref() {
                Some("EntryNotFound") => {
                    self.shelf.note_lack(&self.commit, name);
                    return Ok(None);
                }
                // A mirror that does not say what is missing.
                None => return Ok(None),
                // The repository or the commit.
                Some(_) => {}
            }
        }
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(hub.wire.refusal(&ask, response));
        }
        let headers = response.headers();
        let number = |name| header(headers, name)?.trim().parse::<u64>().ok();
        let own_length = || number("content-length").filter(|_| !response.status().is_redirection());
        let bytes = number("x-linked-size").or_else(own_length);
        let linked = header(headers, "x-linked-etag").or_else(|| header(headers, "etag"));
        let etag = linked.as_deref().and_then(plain_etag).ok_or_else(|| HubError::Answer {
            host: host(&url),
            why: format!("no etag for {what}"),
        })?;
        if let Some(found) = header(headers, "x-repo-commit").filter(|found| *found != self.commit) {
            let why = format!("commit {found} where {} was asked for", self.commit);
            return Err(HubError::Answer { host: host(&url), why });
        }
        let path = self.fetch_content(&url, &what, name, etag, bytes)?;
        self.cached_file(name, path).map(Some)
    }

    fn fetch_content(
        &self,
        url: &str,
        what: &str,
        name: &str,
        etag: &str,
        bytes: Option<u64>,
    ) -> Result<PathBuf, HubError> {
        let blob = self.shelf.blob(etag);
        make_parent(&blob)?;
        let _guard = self.shelf.lock(etag)?;
        // Another commit may have the same content, and another process may have fetched it meanwhile.
        if !blob.is_file() {
            let part = self.shelf.part(etag);
            let disk = |source| HubError::from(write_error(source, &part));
            let file = open(&part).map_err(disk)?;
            let goal = Goal {
                url,
                what,
                bytes,
                sha256: Some(etag).filter(|etag| is_sha256(etag)),
                version: None,
            };
            let progress = Progress::bytes(name, bytes.unwrap_or(0));
            let done = fill(&self.hub.wire, &goal, &part, file, None, &progress);
            progress.finish();
            done?;
            std::fs::rename(&part, &blob).map_err(disk)?;
        }
        self.shelf.link(etag, &self.commit, name)
    }
}

/// The etag without its quotes, if it can name a file.
fn plain_etag(etag: &str) -> Option<&str> {
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (!etag.is_empty() && etag.len() <= 128 && etag.bytes().all(plain)).then_some(etag)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A path in an address: whatever is neither a letter nor a digit nor harmless is written by its bytes.
fn escape(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    path.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_that_would_lead_out_of_the_cache_is_none() {
        assert_eq!(plain_etag("\"0a1b\""), Some("0a1b"));
        assert_eq!(plain_etag("W/\"0a-1\""), Some("0a-1"));
        for etag in ["", "\"\"", "../a", "a/b", "a.lock", "a b"] {
            assert_eq!(plain_etag(etag), None, "{etag}");
        }
    }

    #[test]
    fn names_are_escaped_as_addresses_want_it() {
        assert_eq!(escape("a/b c+%ä.safetensors"), "a/b%20c%2B%25%C3%A4.safetensors");
    }
}
