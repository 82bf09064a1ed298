//! The cache on the disk, as the hub's Python client lays it out:
//!
//! ```text
//! models--ORG--REPO/refs/REVISION        the commit that a branch or tag was last found at
//!                   blobs/ETAG           contents; the etag of a large file is its SHA-256
//!                   snapshots/COMMIT/... the files of a commit, links to contents
//!                   .no_exist/COMMIT/... files that the commit does not have
//! .locks/models--ORG--REPO/ETAG.lock     held while a content is fetched
//! ```

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use hf_hub::{Cache, Repo};

use super::{HubError, address::is_commit, download::open};
use crate::tables::{atomic_write, write_error};

/// The part of the cache that is of one repository.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    root: PathBuf,
    repo: Repo,
}

impl Shelf {
    pub fn new(root: &Path, repo: &str) -> Self {
        Self {
            root: root.to_owned(),
            repo: Repo::model(repo.to_owned()),
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.join(self.repo.folder_name())
    }

    /// The folder of a commit's files.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        Cache::new(self.root.clone())
            .repo(self.repo.clone())
            .pointer_path(commit)
    }

    /// The commit that a branch or tag was last found at.
    pub fn commit_of(&self, revision: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder().join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Notes at which commit a branch or tag is.
    pub fn note_commit(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.folder().join("refs").join(revision);
        make_parent(&path)?;
        Ok(atomic_write(&path, |file| file.write_all(commit.as_bytes()))?)
    }

    /// Whether a commit is known not to have a file.
    pub fn lacks(&self, commit: &str, file: &str) -> bool {
        // A folder there is of the note on a file below a name that is none.
        self.no_such(commit, file).is_file()
    }

    /// Notes that a commit does not have a file. Where that can't be noted it is asked for again.
    pub fn note_lack(&self, commit: &str, file: &str) {
        let path = self.no_such(commit, file);
        let noted = make_parent(&path).and_then(|()| Ok(atomic_write(&path, |_| Ok(()))?));
        if let Err(error) = noted {
            tracing::debug!("what the hub lacks is not noted: {error}");
        }
    }

    fn no_such(&self, commit: &str, file: &str) -> PathBuf {
        self.folder().join(".no_exist").join(commit).join(file)
    }

    /// Where a content is, or will be.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.folder().join("blobs").join(etag)
    }

    /// The part of a content that is being fetched.
    pub fn part(&self, etag: &str) -> PathBuf {
        self.folder().join("blobs").join(format!("{etag}.incomplete"))
    }

    /// Held by whoever fetches a content, whichever program it is. It is given back with the file, also by a process that dies.
    pub fn lock(&self, etag: &str) -> Result<File, HubError> {
        let name = format!("{etag}.lock");
        let path = self.root.join(".locks").join(self.repo.folder_name()).join(name);
        make_parent(&path)?;
        let disk = |source| HubError::from(write_error(source, &path));
        let file = open(&path).map_err(disk)?;
        if file.try_lock().is_err() {
            tracing::info!("waiting for another process that fetches the same file");
            file.lock().map_err(disk)?;
        }
        Ok(file)
    }

    /// Puts a content where a commit's file is looked for.
    pub fn link(&self, etag: &str, commit: &str, file: &str) -> Result<PathBuf, HubError> {
        let (blob, pointer) = (self.blob(etag), self.snapshot(commit).join(file));
        make_parent(&pointer)?;
        let up = "../".repeat(2 + file.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        // Under another name first: whoever looks meanwhile finds the old link or the new one.
        let mut new = pointer.clone().into_os_string();
        new.push(format!(".{}.tmp", std::process::id()));
        let new = PathBuf::from(new);
        let _ = fs::remove_file(&new);
        symlink_or_copy(&target, &blob, &new)
            .and_then(|()| fs::rename(&new, &pointer))
            .map_err(|source| write_error(source, &pointer))?;
        Ok(pointer)
    }
}

#[cfg(unix)]
fn symlink_or_copy(target: &Path, blob: &Path, new: &Path) -> std::io::Result<()> {
    // Some file systems have no links.
    std::os::unix::fs::symlink(target, new).or_else(|_| fs::copy(blob, new).map(drop))
}

#[cfg(not(unix))]
fn symlink_or_copy(_: &Path, blob: &Path, new: &Path) -> std::io::Result<()> {
    fs::copy(blob, new).map(drop)
}

pub(super) fn make_parent(path: &Path) -> Result<(), HubError> {
    let parent = path.parent().unwrap_or(Path::new(""));
    Ok(fs::create_dir_all(parent).map_err(|source| write_error(source, parent))?)
}

/// The folder in the cache of every commit of every repository that something was fetched of, with the repository's name.
pub(super) fn snapshots(root: &Path) -> Vec<(String, PathBuf)> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let mut found = Vec::new();
    for folder in entries(root) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((org, repo)) = name.strip_prefix("models--").and_then(|name| name.split_once("--")) else {
            continue;
        };
        for snapshot in entries(&folder.join("snapshots")) {
            found.push((format!("{org}/{repo}"), snapshot));
        }
    }
    found
}
