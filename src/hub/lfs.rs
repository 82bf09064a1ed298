//! How the hub takes large files: it says where they go, they are put there, and it is told,
//! <https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md>.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::json;
use ureq::http::Method;

use super::{
    Hub, HubError,
    wire::{Ask, Content, header, host},
};
use crate::progress::Progress;

/// What the batch address speaks.
const LFS_JSON: &str = "application/vnd.git-lfs+json";

/// A large file that is to be sent.
#[derive(Debug)]
pub(super) struct LargeFile<'a> {
    pub path: &'a Path,
    pub name: &'a str,
    pub sha256: &'a str,
    pub bytes: u64,
}

#[derive(Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    actions: Option<Actions>,
    error: Option<ObjectError>,
}

#[derive(Deserialize)]
struct ObjectError {
    message: String,
}

#[derive(Deserialize)]
struct Actions {
    upload: Option<Action>,
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    /// Headers to send, or (for a file in parts) their size and addresses; numbers may be written as text.
    #[serde(default)]
    header: BTreeMap<String, serde_json::Value>,
}

impl Hub {
    /// Brings the contents of large files to the hub, those that it does not have. They are of no repository until a commit
    /// names them.
    pub(super) fn send_large(&self, repo: &str, revision: &str, files: &[LargeFile<'_>]) -> Result<(), HubError> {
        if files.is_empty() {
            return Ok(());
        }
        let objects: Vec<_> = files
            .iter()
            .map(|file| json!({ "oid": file.sha256, "size": file.bytes }))
            .collect();
        let request = json!({
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "objects": objects,
            "hash_algo": "sha256",
            "ref": { "name": revision },
        });
        let url = format!("{}/{repo}.git/info/lfs/objects/batch", self.endpoint);
        let what = format!("large files of {repo}");
        let bytes = request.to_string();
        let mut ask = Ask::new(Method::POST, &url, &what, Content::Bytes(LFS_JSON, bytes.as_bytes()));
        ask.headers.push(("accept", LFS_JSON.to_owned()));
        let mut response = self.wire.send(&ask)?;
        let answer = |why: &str| HubError::Answer {
            host: host(&url),
            why: why.to_owned(),
        };
        let batch: Batch = response
            .body_mut()
            .read_json()
            .map_err(|_| answer("no list of places for large files"))?;
        for file in files {
            let of = batch.objects.iter().find(|object| object.oid == file.sha256);
            let object = of.ok_or_else(|| answer("a large file that it was told of is not in its list"))?;
            if let Some(error) = &object.error {
                return Err(HubError::Refused {
                    what: file.name.to_owned(),
                    message: error.message.clone(),
                });
            }
            // Without actions the content is there already.
            let Some(actions) = &object.actions else { continue };
            if let Some(upload) = &actions.upload {
                self.upload(upload, file)?;
            }
            if let Some(verify) = &actions.verify {
                let told = json!({ "oid": file.sha256, "size": file.bytes }).to_string();
                let content = Content::Bytes("application/json", told.as_bytes());
                self.wire
                    .send(&Ask::new(Method::POST, &verify.href, file.name, content))?;
            }
        }
        Ok(())
    }

    fn upload(&self, action: &Action, file: &LargeFile<'_>) -> Result<(), HubError> {
        let progress = Progress::bytes(file.name, file.bytes);
        let sent = match action.header.get("chunk_size") {
            Some(size) => self.upload_in_parts(action, file, number(size), &progress),
            None => self.upload_whole(action, file, &progress),
        };
        progress.finish();
        sent
    }

    fn upload_whole(&self, action: &Action, file: &LargeFile<'_>, progress: &Progress) -> Result<(), HubError> {
        let content = Content::Part(file.path, 0, file.bytes, progress);
        let mut ask = Ask::new(Method::PUT, &action.href, file.name, content);
        let headers = action.header.iter();
        ask.headers = headers
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?.to_owned())))
            .collect();
        self.wire.send(&ask).map(drop)
    }

    /// The hub's own transfer: an address for each part, then one that is told the etags of all.
    fn upload_in_parts(
        &self,
        action: &Action,
        file: &LargeFile<'_>,
        size: Option<u64>,
        progress: &Progress,
    ) -> Result<(), HubError> {
        let answer = |why: &str| HubError::Answer {
            host: host(&action.href),
            why: why.to_owned(),
        };
        let size = size
            .filter(|size| *size > 0)
            .ok_or_else(|| answer("parts of no size for a large file"))?;
        let addresses: BTreeMap<u64, &str> = action
            .header
            .iter()
            .filter_map(|(number, url)| Some((number.parse().ok()?, url.as_str()?)))
            .collect();
        if addresses.len() as u64 != file.bytes.div_ceil(size) {
            return Err(answer("another number of parts than the file has"));
        }
        let mut parts = Vec::new();
        for (place, url) in addresses.values().enumerate() {
            let start = place as u64 * size;
            let content = Content::Part(file.path, start, size.min(file.bytes - start), progress);
            let response = self.wire.send(&Ask::new(Method::PUT, url, file.name, content))?;
            let etag = header(response.headers(), "etag").filter(|etag| !etag.is_empty());
            let etag = etag.ok_or_else(|| answer("a part of a large file without an etag"))?;
            parts.push(json!({ "partNumber": place + 1, "etag": etag }));
        }
        let told = json!({ "oid": file.sha256, "parts": parts }).to_string();
        let mut ask = Ask::new(
            Method::POST,
            &action.href,
            file.name,
            Content::Bytes(LFS_JSON, told.as_bytes()),
        );
        ask.headers.push(("accept", LFS_JSON.to_owned()));
        self.wire.send(&ask).map(drop)
    }
}

fn number(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
