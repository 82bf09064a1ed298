//! Which hub, which cache, which token: from the environment variables that the hub's Python client reads, or set by hand.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{HubError, wire::Wire};

/// The hub where `HF_ENDPOINT` names no other.
const ENDPOINT: &str = "https://huggingface.co";

/// A hub and the cache of what came from it.
#[derive(Debug)]
pub struct Hub {
    pub(super) wire: Wire,
    pub(super) endpoint: String,
    pub(super) cache: PathBuf,
    pub(super) offline: bool,
}

/// Settings of a [`Hub`], for callers that have their own.
#[derive(Debug, Clone)]
pub struct HubBuilder {
    endpoint: String,
    cache: PathBuf,
    token: Option<Token>,
    offline: bool,
    patience: Patience,
}

/// How long is waited for a hub that does not answer as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often something is tried again that got no further.
    pub tries: u32,
    /// The pause before the first of these; each next one is twice as long.
    pub pause: Duration,
    /// The longest `Retry-After` that is waited for.
    pub longest: Duration,
    /// After so long without a byte a connection is given up.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 5,
            pause: Duration::from_secs(1),
            // The hub counts requests in windows of five minutes.
            longest: Duration::from_secs(330),
            stall: Duration::from_secs(60),
        }
    }
}

/// An access token. It can be sent and cannot be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a token, without the line break at its end that a file has.
    ///
    /// # Errors
    ///
    /// [`HubError::Token`] for what no header can carry.
    pub fn new(text: &str) -> Result<Self, HubError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HubError::Token);
        }
        Ok(Self(text.to_owned()))
    }

    /// The header's value. For the hub's own host only.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

impl Hub {
    /// The hub that the environment names: `HF_ENDPOINT`, the cache `HF_HUB_CACHE` or `HF_HOME/hub` (default
    /// `~/.cache/huggingface/hub`), a token in `HF_TOKEN` or in the file `HF_TOKEN_PATH`, and no network where `HF_HUB_OFFLINE` is
    /// `1`, `true`, `yes` or `on`.
    ///
    /// # Errors
    ///
    /// A variable that makes no sense, or no home folder to put the cache into.
    pub fn from_env() -> Result<Self, HubError> {
        // An empty variable is as good as none.
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
        let folder = |name| variable(name).map(PathBuf::from);
        let home = || {
            let general = || Some(std::env::home_dir()?.join(".cache"));
            let caches = folder("XDG_CACHE_HOME").or_else(general)?;
            Some(caches.join("huggingface"))
        };
        let cache = folder("HF_HUB_CACHE").or_else(|| Some(folder("HF_HOME").or_else(home)?.join("hub")));
        let mut builder = Self::builder(&cache.ok_or(HubError::NoHome)?);
        if let Some(endpoint) = text("HF_ENDPOINT") {
            builder = builder.endpoint(&endpoint);
        }
        let token = match (text("HF_TOKEN"), folder("HF_TOKEN_PATH")) {
            (Some(token), _) => Some(token),
            (None, Some(path)) => {
                Some(std::fs::read_to_string(&path).map_err(|source| HubError::TokenFile { source, path })?)
            }
            (None, None) => None,
        };
        if let Some(token) = token {
            builder = builder.token(Token::new(&token)?);
        }
        let yes = |value: String| matches!(value.to_lowercase().as_str(), "1" | "true" | "yes" | "on");
        builder.offline(text("HF_HUB_OFFLINE").is_some_and(yes)).build()
    }

    /// The public hub with a cache of one's own, without a token.
    pub fn builder(cache: &Path) -> HubBuilder {
        HubBuilder {
            endpoint: ENDPOINT.to_owned(),
            cache: cache.to_owned(),
            token: None,
            offline: false,
            patience: Patience::default(),
        }
    }

    /// The folder of the cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }
}

impl HubBuilder {
    /// Another hub, e.g. `https://hub.example.org`.
    #[must_use]
    pub fn endpoint(mut self, endpoint: &str) -> Self {
        self.endpoint = endpoint.trim_end_matches('/').to_owned();
        self
    }

    /// Who asks.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Whether only the cache is asked.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// How long is waited.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The hub.
    ///
    /// # Errors
    ///
    /// [`HubError::Endpoint`] for an address that is not of the kind `https://HOST`.
    pub fn build(self) -> Result<Hub, HubError> {
        Ok(Hub {
            wire: Wire::new(&self.endpoint, self.token, self.patience)?,
            endpoint: self.endpoint,
            cache: self.cache,
            offline: self.offline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown_whoever_prints_what_holds_it() {
        let token = Token::new("hf_secret\n").unwrap();
        assert_eq!(token.bearer(), "Bearer hf_secret");
        let builder = Hub::builder(Path::new("cache")).token(token);
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_token_that_would_break_a_header_is_refused_unseen() {
        for text in ["", " \n", "hf_a\r\nHost: b", "hf a", "hf_ä"] {
            let said = Token::new(text).unwrap_err().to_string();
            assert!(said.contains("HF_TOKEN") && !said.contains("hf_"), "{said}");
        }
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_refused() {
        for endpoint in [
            "hub.example.org",
            "file:///etc",
            "https://",
            "https://user:word@hub.example.org",
        ] {
            let error = Hub::builder(Path::new("")).endpoint(endpoint).build().unwrap_err();
            assert!(matches!(error, HubError::Endpoint), "{error}");
            assert!(!error.to_string().contains("word"), "{error}");
        }
    }
}
