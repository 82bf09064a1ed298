//! To the hub: files become one commit of a repository. Small ones go with it, large ones before it.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use serde::Deserialize;
use serde_json::json;
use ureq::http::{Method, StatusCode};

use super::{
    Address, Hub, HubError,
    lfs::LargeFile,
    wire::{Ask, Content, host},
};
use crate::tables::sha256_file;

/// The hub looks at so many bytes of a file to tell whether it is large or text.
const SAMPLE: u64 = 512;

/// What is sent.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// Files, by the names that they get.
    pub files: Vec<(String, PathBuf)>,
    /// The commit's first line.
    pub message: String,
    /// Whether the repository is made where it is not there.
    pub create: bool,
    /// Whether a repository that is made can be seen by its owners only.
    pub private: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The commit.
    pub commit: String,
    /// The address of the repository at that commit.
    pub address: Address,
}

/// A file with what the hub must know of it.
struct Measured<'a> {
    name: &'a str,
    path: &'a Path,
    bytes: u64,
    sha256: String,
    sample: Vec<u8>,
    large: bool,
}

impl Hub {
    /// Sends files as one commit to the revision of an address: all of them are in it, or none.
    ///
    /// # Errors
    ///
    /// No token, or one that may not write there; a repository that is not there; a file that can't be read.
    pub fn push(&self, address: &Address, push: &Push) -> Result<Pushed, HubError> {
        if address.file().is_some() {
            let address = address.to_string();
            return Err(HubError::PushToFile { address });
        }
        if self.offline {
            return Err(HubError::PushOffline);
        }
        if !self.wire.has_token() {
            return Err(HubError::NoToken);
        }
        let mut files: Vec<Measured<'_>> = push
            .files
            .iter()
            .map(|(name, path)| measure(name, path))
            .collect::<Result<_, _>>()?;
        if push.create {
            self.create(address, push.private)?;
        }
        self.choose_ways(address, &mut files)?;
        let large: Vec<LargeFile<'_>> = files
            .iter()
            .filter(|file| file.large)
            .map(|file| LargeFile {
                path: file.path,
                name: file.name,
                sha256: &file.sha256,
                bytes: file.bytes,
            })
            .collect();
        self.send_large(address.repo(), address.revision(), &large)?;
        let commit = self.commit(address, &push.message, &files)?;
        Ok(Pushed {
            address: address.at(&commit),
            commit,
        })
    }

    /// Makes a repository; one that is there already is as good, unless it can be seen by all and is not to be.
    fn create(&self, address: &Address, private: bool) -> Result<(), HubError> {
        let (organization, name) = address.repo().split_once('/').unwrap_or_default();
        let request = json!({ "name": name, "organization": organization, "type": "model", "private": private });
        let url = format!("{}/api/repos/create", self.endpoint);
        let what = format!("a new repository {}", address.repo());
        let text = request.to_string();
        let ask = Ask::new(
            Method::POST,
            &url,
            &what,
            Content::Bytes("application/json", text.as_bytes()),
        );
        let response = self.wire.send_any(&ask)?;
        match response.status() {
            status if status.is_success() || status == StatusCode::CONFLICT => {}
            _ => return Err(self.wire.refusal(&ask, response)),
        }
        match private && !self.is_private(address)? {
            true => Err(HubError::Public {
                repo: address.repo().to_owned(),
            }),
            false => Ok(()),
        }
    }

    /// Looked up, not believed: hubs of different ages are told in different ways that a repository is to be private, and what was
    /// shown to all can't be taken back.
    fn is_private(&self, address: &Address) -> Result<bool, HubError> {
        #[derive(Deserialize)]
        struct Info {
            private: bool,
        }
        let url = format!("{}/api/models/{}", self.endpoint, address.repo());
        let what = format!("repository {}", address.repo());
        let mut response = self.wire.send(&Ask::get(&url, &what))?;
        let info: Info = response.body_mut().read_json().map_err(|_| HubError::Answer {
            host: host(&url),
            why: "no word on who sees a repository".to_owned(),
        })?;
        Ok(info.private)
    }

    /// Asks which files are large in the hub's eyes.
    fn choose_ways(&self, address: &Address, files: &mut [Measured<'_>]) -> Result<(), HubError> {
        #[derive(Deserialize)]
        struct Ways {
            files: Vec<Way>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Way {
            path: String,
            upload_mode: String,
        }
        let listed: Vec<_> = files
            .iter()
            .map(|file| json!({ "path": file.name, "sample": BASE64.encode(&file.sample), "size": file.bytes }))
            .collect();
        let (repo, revision) = (address.repo(), address.revision());
        let url = format!("{}/api/models/{repo}/preupload/{revision}", self.endpoint);
        let text = json!({ "files": listed }).to_string();
        let what = format!("repository {repo} with a branch {revision} to send to (`--create` makes one)");
        let ask = Ask::new(
            Method::POST,
            &url,
            &what,
            Content::Bytes("application/json", text.as_bytes()),
        );
        let mut response = self.wire.send(&ask)?;
        let answer = |why: &str| HubError::Answer {
            host: host(&url),
            why: why.to_owned(),
        };
        let ways: Ways = response
            .body_mut()
            .read_json()
            .map_err(|_| answer("no list of how to send files"))?;
        for file in files {
            let way = ways.files.iter().find(|way| way.path == file.name);
            file.large = match way.map(|way| way.upload_mode.as_str()) {
                Some("lfs") => true,
                Some("regular") => false,
                _ => return Err(answer("no way to send a file that it was told of")),
            };
        }
        Ok(())
    }

    fn commit(&self, address: &Address, message: &str, files: &[Measured<'_>]) -> Result<String, HubError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Commit {
            commit_oid: String,
        }
        let head = json!({ "key": "header", "value": { "summary": message, "description": "" } });
        let mut lines = format!("{head}\n");
        for file in files {
            let line = if file.large {
                let value = json!({ "path": file.name, "algo": "sha256", "oid": file.sha256, "size": file.bytes });
                json!({ "key": "lfsFile", "value": value })
            } else {
                let bytes = std::fs::read(file.path).map_err(|source| HubError::Read {
                    source,
                    path: file.path.to_owned(),
                })?;
                let value = json!({ "content": BASE64.encode(&bytes), "path": file.name, "encoding": "base64" });
                json!({ "key": "file", "value": value })
            };
            lines.push_str(&format!("{line}\n"));
        }
        let (repo, revision) = (address.repo(), address.revision());
        let url = format!("{}/api/models/{repo}/commit/{revision}", self.endpoint);
        let what = format!("a commit to {repo} at {revision}");
        let content = Content::Bytes("application/x-ndjson", lines.as_bytes());
        let mut response = self.wire.send(&Ask::new(Method::POST, &url, &what, content))?;
        let commit: Commit = response.body_mut().read_json().map_err(|_| HubError::Answer {
            host: host(&url),
            why: "no name of the commit that was made".to_owned(),
        })?;
        Ok(commit.commit_oid)
    }
}

fn measure<'a>(name: &'a str, path: &'a Path) -> Result<Measured<'a>, HubError> {
    let read = |source| HubError::Read {
        source,
        path: path.to_owned(),
    };
    let file = File::open(path).map_err(read)?;
    let bytes = file.metadata().map_err(read)?.len();
    let mut sample = Vec::new();
    file.take(SAMPLE).read_to_end(&mut sample).map_err(read)?;
    Ok(Measured {
        name,
        path,
        bytes,
        sha256: sha256_file(path).map_err(|error| read(std::io::Error::other(error)))?,
        sample,
        large: false,
    })
}
