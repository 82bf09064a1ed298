//! What can go wrong between here and the hub.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::AddressError;
use crate::{
    encoder::PickleError,
    tables::{WriteError, write_error},
};

/// Why something could not be fetched or sent. No message holds a token or the query of an address, which may be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text that is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A file that runs code where it is read.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// Nowhere to put the cache.
    #[error("there is no home folder to put the hub's cache into: set HF_HOME")]
    NoHome,
    /// An endpoint that is none.
    #[error("HF_ENDPOINT is no address of a hub: write it as https://HOST, without a user and without a query")]
    Endpoint,
    /// A token that no header can carry.
    #[error("the token is empty or has spaces, line breaks or other letters than a token has: set HF_TOKEN anew")]
    Token,
    /// A token's file that can't be read.
    #[error("the token's file that HF_TOKEN_PATH names can't be read ({source}): {path:?}")]
    TokenFile {
        /// What the system said.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// Not in the cache, and no network is to be used.
    #[error(
        "{address} is not in the hub's cache, and HF_HUB_OFFLINE is set: fetch it once with `hounsfield weights pull \
         {address}` and HF_HUB_OFFLINE=0: {cache:?}"
    )]
    Offline {
        /// What was asked for.
        address: String,
        /// The cache.
        cache: PathBuf,
    },
    /// No answer at all.
    #[error(
        "{host} does not answer ({why}): look at the network, and set HTTPS_PROXY where there is a proxy; what is in the \
         cache can be used with HF_HUB_OFFLINE=1"
    )]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the network said.
        why: String,
    },
    /// No answer of a server that is no hub.
    #[error("{host} does not answer ({why}): look at the network, and set HTTPS_PROXY where there is a proxy")]
    NoAnswer {
        /// Host and port.
        host: String,
        /// What the network said.
        why: String,
    },
    /// 401 or 403.
    #[error(
        "the hub lets nobody have {what} {} (status {status}): it is private, gated or not there; {}",
        if *sent { "with this token" } else { "without a token" },
        if *sent { "check what HF_TOKEN may do, and accept the terms on its page" } else { "set HF_TOKEN" }
    )]
    NeedsToken {
        /// Repository, file, revision.
        what: String,
        /// The status.
        status: u16,
        /// Whether a token was sent.
        sent: bool,
    },
    /// 404.
    #[error("the hub has no {what}: check the name{}", if *sent { "" } else { "; a private one needs HF_TOKEN" })]
    NotFound {
        /// Repository, file, revision.
        what: String,
        /// Whether a token was sent.
        sent: bool,
    },
    /// A repository without weights of the usual names.
    #[error(
        "{address} has neither a `weights.safetensors` nor a `model.safetensors`: name the file, e.g. {address}/FILE.safetensors"
    )]
    NoWeights {
        /// The repository.
        address: String,
    },
    /// 429 once too often, or for too long.
    #[error(
        "{host} has had too many requests from here and asks to wait {}: go on later, what was fetched is kept; with \
         HF_TOKEN more is allowed",
        waiting(*wait)
    )]
    TooMany {
        /// Host and port.
        host: String,
        /// How long it wants to be left alone, if it said so.
        wait: Option<Duration>,
    },
    /// Any other status.
    #[error("{host} answers with status {status} to {what}{}", said(message))]
    Status {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// What it said, shortened.
        message: String,
    },
    /// An answer that is not the hub's.
    #[error("{host} gives an answer that is not understood ({why}): check that HF_ENDPOINT names a hub")]
    Answer {
        /// Host and port.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// Redirects without end, or to where one must not go.
    #[error("{host} sends on {why}: check the address")]
    Redirect {
        /// Host and port.
        host: String,
        /// Where to.
        why: &'static str,
    },
    /// A download that ended early again and again.
    #[error(
        "the download of {what} ended after {got} of {expected} bytes, {tries} times without getting further: run the same \
         command again, it goes on from there"
    )]
    CutOff {
        /// The file.
        what: String,
        /// Bytes that are here.
        got: u64,
        /// Bytes that it has.
        expected: String,
        /// How often it was tried.
        tries: u32,
    },
    /// Other bytes than the server says they are.
    #[error(
        "{what} came with SHA-256 {found}, the hub lists {expected}: what came was removed; run the same command again, and \
         where it comes wrong again, tell the repository's owner"
    )]
    Sha256 {
        /// The file.
        what: String,
        /// SHA-256 of what came.
        found: String,
        /// SHA-256 that was promised.
        expected: String,
    },
    /// A push without a network.
    #[error("HF_HUB_OFFLINE is set, and nothing is sent while it is: set HF_HUB_OFFLINE=0")]
    PushOffline,
    /// A push without a token.
    #[error("nothing can be sent to the hub without a token that may write there: set HF_TOKEN")]
    NoToken,
    /// A repository that all can see where it should not be.
    #[error(
        "{repo} can be seen by everyone and was to be private: nothing was sent; make it private on its page, or leave \
         `--private` out"
    )]
    Public {
        /// The repository.
        repo: String,
    },
    /// A push to a file.
    #[error("{address} names a file: weights are sent to a repository with their names, leave the file out")]
    PushToFile {
        /// What was asked for.
        address: String,
    },
    /// A push that the hub did not take.
    #[error("the hub does not take {what}: {message}")]
    Refused {
        /// The file.
        what: String,
        /// Its words.
        message: String,
    },
    /// A file that can't be read.
    #[error("can't be read ({source}): {path:?}")]
    Read {
        /// What the system said.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// No room for what comes.
    #[error(
        "the disk is full: free some space, or set HF_HUB_CACHE to another disk; the download goes on from what is here: {path:?}"
    )]
    Full {
        /// What was written to.
        path: PathBuf,
    },
    /// A file that can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl HubError {
    /// The error of writing to a part, which is kept.
    pub(super) fn of_part(source: io::Error, part: &Path) -> Self {
        match write_error(source, part) {
            WriteError::Full { path } => Self::Full { path },
            other => Self::Write(other),
        }
    }
}

fn waiting(wait: Option<Duration>) -> String {
    wait.map_or("a while".to_owned(), |wait| format!("{} s", wait.as_secs()))
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}
