//! Files over the network: bytes are hashed as they come, and a download that was cut off goes on where it ended.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    thread,
};

use sha2::{Digest as _, Sha256};
use ureq::{
    Body,
    http::{Response, StatusCode},
};

use super::{
    HubError, Patience,
    wire::{Ask, Wire, header, host},
};
use crate::{
    progress::Progress,
    tables::{hex, sha256_bytes, write_error},
};

/// A connection that brought this much has got further: what was tried in vain before it is forgotten.
const FURTHER: u64 = 1 << 20;

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// What is wanted of a download.
pub(super) struct Goal<'a> {
    pub url: &'a str,
    /// In words, for errors.
    pub what: &'a str,
    /// Its size, where that is known beforehand.
    pub bytes: Option<u64>,
    /// Its SHA-256, where that is.
    pub sha256: Option<&'a str>,
    /// The server's mark of this version of the file, for the rest of a part.
    pub version: Option<String>,
}

/// Downloads a file from any address, without a token. What was cut off is kept beside its place as a hidden part, and the same
/// download goes on from there as long as the server still has the same file.
///
/// # Errors
///
/// A server that refuses, a connection that breaks again and again, a disk that is full. `to` is there whole or not at all.
pub fn download(url: &str, to: &Path, progress: &Progress) -> Result<Downloaded, HubError> {
    let wire = Wire::new(url.split(['?', '#']).next().unwrap_or(url), None, Patience::default()).map_err(|_| {
        HubError::Redirect {
            host: host(url),
            why: "nowhere, since it is no address on the web",
        }
    })?;
    download_by(&wire, url, to, progress).map_err(|error| of_no_hub(error, url))
}

/// The error of a server that is no hub: neither tokens nor a cache are a way out.
fn of_no_hub(error: HubError, url: &str) -> HubError {
    let status = |what, status| HubError::Status {
        host: host(url),
        what,
        status,
        message: String::new(),
    };
    match error {
        HubError::NeedsToken {
            what, status: number, ..
        } => status(what, number),
        HubError::NotFound { what, .. } => status(what, StatusCode::NOT_FOUND.as_u16()),
        HubError::Unreachable { host, why } => HubError::NoAnswer { host, why },
        error => error,
    }
}

pub(super) fn download_by(wire: &Wire, url: &str, to: &Path, progress: &Progress) -> Result<Downloaded, HubError> {
    let what = shown(url);
    let response = wire.send(&Ask::get(url, &what))?;
    let version = version(&response);
    // A part is of one version of one address; parts of others are of no use any more.
    let mark = sha256_bytes(format!("{url} {version:?}").as_bytes());
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let part = to.with_file_name(format!(".{name}.{}.part", &mark[..12]));
    for other in parts(to, &name).into_iter().filter(|other| *other != part) {
        // Unless another process fills it.
        if open(&other).is_ok_and(|file| file.try_lock().is_ok()) {
            fs::remove_file(&other).map_err(|source| write_error(source, &other))?;
        }
    }
    let goal = Goal {
        url,
        what: &what,
        // Another version may have another size.
        bytes: None,
        sha256: None,
        version,
    };
    let mut file = locked(&part)?;
    let disk = |source| HubError::from(write_error(source, &part));
    // The lock is given back with the last handle: not before the file is in its place.
    let _guard = file.try_clone().map_err(disk)?;
    if goal.version.is_none() {
        // Nothing tells whether the rest would be of the same file.
        empty(&mut file).map_err(disk)?;
    }
    let done = fill(wire, &goal, &part, file, Some(response), progress)?;
    fs::rename(&part, to).map_err(|source| write_error(source, to))?;
    Ok(done)
}

/// Brings a part to its end. On success it is whole, checked and on the disk, and still has the part's name.
pub(super) fn fill(
    wire: &Wire,
    goal: &Goal<'_>,
    part: &Path,
    mut file: File,
    mut first: Option<Response<Body>>,
    progress: &Progress,
) -> Result<Downloaded, HubError> {
    let disk = |source| HubError::of_part(source, part);
    let (mut hash, mut have) = hash_of(&mut file).map_err(disk)?;
    if goal.bytes.is_some_and(|bytes| have > bytes) {
        (hash, have) = empty(&mut file).map_err(disk)?;
    }
    if have > 0 {
        // The answer that is here is of the whole file.
        first = None;
        progress.tick(have);
    }
    let (mut vain, mut bytes) = (0, goal.bytes);
    // Of all tries: one that starts anew and gets no further than those before it was in vain.
    let mut furthest = have;
    while bytes != Some(have) {
        let response = match first.take() {
            Some(response) => response,
            None => rest(wire, goal, have)?,
        };
        match begins_at(&response) {
            Some(start) if start == have => {}
            // Nothing is missing: it was all here, and only its name was a part's.
            None if have > 0 && whole_length(&response) == Some(have) => break,
            // The whole file instead of its rest, or a rest that is not ours: anew.
            Some(0) => {
                progress.untick(have);
                (hash, have) = empty(&mut file).map_err(disk)?;
            }
            _ => {
                progress.untick(have);
                (hash, have) = empty(&mut file).map_err(disk)?;
                vain += 1;
                if vain > wire.patience.tries {
                    return Err(cut_off(goal, have, bytes, vain));
                }
                continue;
            }
        }
        let whole = whole_length(&response);
        if let (Some(whole), Some(expected)) = (whole, goal.bytes)
            && whole != expected
        {
            let why = format!("{} has {whole} bytes where {expected} were listed", goal.what);
            let host = host(goal.url);
            return Err(HubError::Answer { host, why });
        }
        bytes = goal.bytes.or(whole);
        progress.expect(bytes.unwrap_or(0));
        let mut body = response.into_body().into_reader();
        let ended = pour(&mut body, &mut file, &mut hash, &mut have, bytes, progress).map_err(disk)?;
        if bytes.is_none() && ended {
            break;
        }
        if bytes != Some(have) {
            vain = if have >= furthest + FURTHER { 1 } else { vain + 1 };
            furthest = furthest.max(have);
            if vain > wire.patience.tries {
                return Err(cut_off(goal, have, bytes, vain));
            }
            tracing::debug!("{} was cut off after {have} bytes", goal.what);
            thread::sleep(wire.pause(vain));
        }
    }
    let found = hex(&hash.finalize());
    if let Some(expected) = goal.sha256
        && found != expected
    {
        drop(file);
        fs::remove_file(part).map_err(disk)?;
        return Err(HubError::Sha256 {
            what: goal.what.to_owned(),
            found,
            expected: expected.to_owned(),
        });
    }
    file.sync_all().map_err(disk)?;
    Ok(Downloaded {
        sha256: found,
        bytes: have,
    })
}

/// Asks for what is missing.
fn rest(wire: &Wire, goal: &Goal<'_>, have: u64) -> Result<Response<Body>, HubError> {
    let mut ask = Ask::get(goal.url, goal.what);
    if have > 0 {
        ask.headers.push(("range", format!("bytes={have}-")));
        if let Some(version) = &goal.version {
            ask.headers.push(("if-range", version.clone()));
        }
    }
    let response = wire.send_any(&ask)?;
    match response.status() {
        status if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
        _ => Err(wire.refusal(&ask, response)),
    }
}

/// From which byte on an answer is; none where that can't be told.
fn begins_at(response: &Response<Body>) -> Option<u64> {
    match response.status() {
        StatusCode::OK => Some(0),
        StatusCode::PARTIAL_CONTENT => {
            let range = header(response.headers(), "content-range")?;
            range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
        }
        _ => None,
    }
}

/// The size of the whole file, as an answer says it.
fn whole_length(response: &Response<Body>) -> Option<u64> {
    let headers = response.headers();
    match response.status() {
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => header(headers, "content-range")?
            .rsplit('/')
            .next()?
            .trim()
            .parse()
            .ok(),
        _ => header(headers, "content-length")?.trim().parse().ok(),
    }
}

/// What tells this version of a file from others: a strong etag, or the date.
fn version(response: &Response<Body>) -> Option<String> {
    let etag = header(response.headers(), "etag").filter(|etag| !etag.starts_with("W/"));
    etag.or_else(|| header(response.headers(), "last-modified"))
}

/// Takes what comes, never more than the file has. Says whether it ended by itself; an error is of the disk.
fn pour(
    body: &mut impl io::Read,
    file: &mut File,
    hash: &mut Sha256,
    have: &mut u64,
    bytes: Option<u64>,
    progress: &Progress,
) -> io::Result<bool> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let left = bytes.map_or(u64::MAX, |bytes| bytes - *have);
        if left == 0 {
            return Ok(true);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = match body.read(&mut buffer[..most]) {
            Ok(0) => return Ok(true),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Ok(false),
        };
        file.write_all(&buffer[..n])?;
        hash.update(&buffer[..n]);
        *have += n as u64;
        progress.tick(n as u64);
    }
}

/// The hash so far, and the file at its end.
fn hash_of(file: &mut File) -> io::Result<(Sha256, u64)> {
    let (mut hash, mut have, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    file.rewind()?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hash, have)),
            n => {
                hash.update(&buffer[..n]);
                have += n as u64;
            }
        }
    }
}

fn empty(file: &mut File) -> io::Result<(Sha256, u64)> {
    file.set_len(0)?;
    file.rewind()?;
    Ok((Sha256::new(), 0))
}

/// Opens a part for this process alone; waits for another that fills it.
fn locked(part: &Path) -> Result<File, HubError> {
    let disk = |source| HubError::from(write_error(source, part));
    loop {
        let file = open(part).map_err(disk)?;
        file.lock().map_err(disk)?;
        // Meanwhile the other may have brought it to its end and put it in its place.
        if is_at(&file, part) {
            return Ok(file);
        }
    }
}

pub(super) fn open(part: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(part)
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), path.metadata()) {
        (Ok(file), Ok(there)) => (file.dev(), file.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// All parts that were left of downloads to a place.
fn parts(to: &Path, name: &str) -> Vec<PathBuf> {
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let begin = format!(".{name}.");
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(&begin)
            .and_then(|rest| rest.strip_suffix(".part"))
            .is_some_and(|mark| mark.len() == 12)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| folder.join(entry.file_name()))
        .filter(is_part)
        .collect()
}

/// An address without what may be secret in it.
fn shown(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or(url).to_owned()
}

fn cut_off(goal: &Goal<'_>, got: u64, bytes: Option<u64>, tries: u32) -> HubError {
    HubError::CutOff {
        what: goal.what.to_owned(),
        got,
        expected: bytes.map_or("an unknown number of".to_owned(), |bytes| bytes.to_string()),
        tries,
    }
}
