//! Requests as the hub wants them: the token to its own host only, redirects by hand, waiting where it asks for that.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    path::Path,
    thread,
    time::Duration,
};

use ureq::{
    Agent, Body, SendBody,
    http::{HeaderMap, Method, Request, Response, StatusCode},
};

use super::{HubError, Patience, Token};
use crate::progress::Progress;

/// Redirects that are followed at most.
const REDIRECTS: usize = 10;

/// A server may say much; an error message says this much of it.
const MESSAGE: usize = 300;

/// How requests are made.
#[derive(Debug)]
pub(super) struct Wire {
    agent: Agent,
    origin: String,
    token: Option<Token>,
    pub(super) patience: Patience,
}

/// One request. Requests that are safe to repeat are repeated where the network fails.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub url: &'a str,
    pub headers: Vec<(&'a str, String)>,
    pub content: Content<'a>,
    /// What is asked for, in words for errors, e.g. `weights.safetensors of someone/ct-encoder at main`.
    pub what: &'a str,
    pub follow: Follow,
    /// Whether a network that is not there is given time to come back: not where one can do without.
    pub patient: bool,
}

/// What goes with a request.
pub(super) enum Content<'a> {
    Nothing,
    /// A content type, and what is of it.
    Bytes(&'a str, &'a [u8]),
    /// Bytes of a file, from where and how many.
    Part(&'a Path, u64, u64, &'a Progress),
}

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    All,
    /// Those that name no host: a renamed repository. What leads elsewhere is the answer itself.
    Relative,
}

impl<'a> Ask<'a> {
    pub fn get(url: &'a str, what: &'a str) -> Self {
        Self::new(Method::GET, url, what, Content::Nothing)
    }

    pub fn new(method: Method, url: &'a str, what: &'a str, content: Content<'a>) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            content,
            what,
            follow: Follow::All,
            patient: true,
        }
    }
}

impl Wire {
    pub fn new(endpoint: &str, token: Option<Token>, patience: Patience) -> Result<Self, HubError> {
        let plain = !endpoint.contains(['?', '#', '@']);
        let origin = origin(endpoint).filter(|_| plain).ok_or(HubError::Endpoint)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("hounsfield/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(patience.stall.min(Duration::from_secs(20))))
            .timeout_recv_response(Some(patience.stall))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall))
            .build();
        Ok(Self {
            agent: config.new_agent(),
            origin,
            token,
            patience,
        })
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The answer of status 2xx (or 3xx where it is not followed); any other is an error.
    pub fn send(&self, ask: &Ask<'_>) -> Result<Response<Body>, HubError> {
        let response = self.send_any(ask)?;
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(response);
        }
        Err(self.refusal(ask, response))
    }

    /// The answer, whatever its status: redirects are followed, and what passes is waited for.
    pub fn send_any(&self, ask: &Ask<'_>) -> Result<Response<Body>, HubError> {
        let mut url = ask.url.to_owned();
        for _ in 0..=REDIRECTS {
            let response = self.patiently(ask, &url)?;
            let location = header(response.headers(), "location");
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok(response);
            };
            if ask.follow == Follow::Relative && is_absolute(&location) {
                return Ok(response);
            }
            let host = host(&url);
            let next = join(&url, &location).ok_or(HubError::Redirect {
                host: host.clone(),
                why: "to something that is no address on the web",
            })?;
            if is_secret(&url) && !is_secret(&next) {
                let why = "from https to a connection that anyone can read";
                return Err(HubError::Redirect { host, why });
            }
            url = next;
        }
        Err(HubError::Redirect {
            host: host(&url),
            why: "again and again",
        })
    }

    /// One answer of one address. Waits where the server wants that, and tries again where it stumbles.
    fn patiently(&self, ask: &Ask<'_>, url: &str) -> Result<Response<Body>, HubError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let again = tries <= self.patience.tries;
            match self.once(ask, url) {
                Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
                    let wait = retry_after(response.headers());
                    let pause = wait.unwrap_or_else(|| self.pause(tries));
                    if !again || pause > self.patience.longest {
                        return Err(HubError::TooMany { host: host(url), wait });
                    }
                    tracing::info!("{} asks to wait {} s", host(url), pause.as_secs());
                    thread::sleep(pause);
                }
                Ok(response) if again && response.status().is_server_error() && repeatable(&ask.method) => {
                    let wait = retry_after(response.headers()).filter(|wait| *wait <= self.patience.longest);
                    thread::sleep(wait.unwrap_or_else(|| self.pause(tries)));
                }
                Ok(response) => return Ok(response),
                Err(Failure::Network(why)) if again && ask.patient && repeatable(&ask.method) => {
                    tracing::debug!("{}: {why}, trying again", host(url));
                    thread::sleep(self.pause(tries));
                }
                Err(Failure::Network(why)) => return Err(HubError::Unreachable { host: host(url), why }),
                Err(Failure::Hub(error)) => return Err(error),
            }
        }
    }

    /// The pause after a try that came to nothing.
    pub fn pause(&self, tries: u32) -> Duration {
        self.patience.pause.saturating_mul(1 << tries.saturating_sub(1).min(5))
    }

    fn once(&self, ask: &Ask<'_>, url: &str) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(ask.method.clone()).uri(url);
        // What is compressed on its way has neither the size nor the hash that is listed.
        request = request.header("accept-encoding", "identity");
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.is_own(url)) {
            request = request.header("authorization", token.bearer());
        }
        let not_understood = |_| {
            Failure::Hub(HubError::Answer {
                host: host(url),
                why: "an address or a header that can't be sent".to_owned(),
            })
        };
        let answer = match &ask.content {
            Content::Nothing if ask.method == Method::POST => {
                self.agent.run(request.body(&b""[..]).map_err(not_understood)?)
            }
            Content::Nothing => self.agent.run(request.body(()).map_err(not_understood)?),
            Content::Bytes(kind, bytes) => {
                let request = request.header("content-type", *kind);
                self.agent.run(request.body(*bytes).map_err(not_understood)?)
            }
            Content::Part(path, start, len, progress) => {
                let read = |source| {
                    Failure::Hub(HubError::Read {
                        source,
                        path: path.to_path_buf(),
                    })
                };
                let mut file = File::open(path).map_err(read)?;
                file.seek(io::SeekFrom::Start(*start)).map_err(read)?;
                let mut part = Ticking(file.take(*len), progress);
                let request = request.header("content-length", len.to_string());
                let body = SendBody::from_reader(&mut part);
                self.agent.run(request.body(body).map_err(not_understood)?)
            }
        };
        answer.map_err(|error| Failure::Network(plain(&error)))
    }

    /// Whether an address is of the hub itself, scheme and port included: only there the token goes.
    pub fn is_own(&self, url: &str) -> bool {
        origin(url).is_some_and(|origin| origin == self.origin)
    }

    /// The error of an answer that is a refusal.
    pub fn refusal(&self, ask: &Ask<'_>, mut response: Response<Body>) -> HubError {
        let (what, status) = (ask.what.to_owned(), response.status().as_u16());
        let sent = self.has_token() && self.is_own(ask.url);
        match status {
            401 | 403 => HubError::NeedsToken { what, status, sent },
            404 => HubError::NotFound { what, sent },
            _ => HubError::Status {
                host: host(ask.url),
                what,
                status,
                message: message(&mut response),
            },
        }
    }
}

enum Failure {
    /// Worth another try.
    Network(String),
    Hub(HubError),
}

/// Reads and says how far it came.
struct Ticking<'a, R>(R, &'a Progress);

impl<R: io::Read> io::Read for Ticking<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.tick(n as u64);
        Ok(n)
    }
}

fn repeatable(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::PUT].contains(method)
}

/// A header as text.
pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Seconds; the hub and its stores send no dates here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    header(headers, "retry-after")?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// The hub's own words, from `{"error": "..."}` or as they are.
fn message(response: &mut Response<Body>) -> String {
    let mut text = String::new();
    let body = response.body_mut().as_reader();
    // A body that can't be read says nothing.
    let _ = body.take(1 << 16).read_to_string(&mut text);
    let error = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|json| json.get("error")?.as_str().map(str::to_owned));
    let words = error.unwrap_or(text);
    let line: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(MESSAGE).collect()
}

/// The network's words without addresses in them, which may be signed.
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "an address that can't be read".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        error => error.to_string(),
    }
}

/// `scheme://host:port` in lower case with its port written out; none for what is no address on the web.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "https" => "443",
        "http" => "80",
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    // A user before the host is a way to make one host look like another.
    if authority.is_empty() || authority.contains(['@', '\\']) {
        return None;
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = if has_port { String::new() } else { format!(":{port}") };
    Some(format!("{scheme}://{authority}{port}"))
}

/// Host and port for messages.
pub(super) fn host(url: &str) -> String {
    origin(url).map_or("the server".to_owned(), |origin| {
        let (scheme, host) = origin.split_once("://").unwrap_or_default();
        let usual = if scheme == "https" { ":443" } else { ":80" };
        host.strip_suffix(usual).unwrap_or(host).to_owned()
    })
}

/// Whether nobody on the way can read it.
fn is_secret(url: &str) -> bool {
    origin(url).is_some_and(|origin| origin.starts_with("https:"))
}

/// Whether it begins with a scheme or a host; what stands in its query is no matter.
fn is_absolute(location: &str) -> bool {
    let first = location.split(['/', '?', '#']).next().unwrap_or_default();
    location.starts_with("//") || first.ends_with(':')
}

/// Where a redirect leads (RFC 3986, section 5.2, for the forms that servers send).
fn join(base: &str, location: &str) -> Option<String> {
    let (scheme, rest) = base.split_once("://")?;
    let joined = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if is_absolute(location) {
        location.to_owned()
    } else {
        let authority = rest.split(['/', '?', '#']).next()?;
        if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else {
            let path = base.split(['?', '#']).next()?;
            let folder = path[scheme.len() + 3..]
                .rsplit_once('/')
                .map_or(authority, |(folder, _)| folder);
            format!("{scheme}://{folder}/{location}")
        }
    };
    origin(&joined).is_some().then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (url, expected) in [
            ("https://Hub.example/a?b", "https://hub.example:443"),
            ("https://hub.example:443", "https://hub.example:443"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
            ("http://[::1]/x", "http://[::1]:80"),
        ] {
            assert_eq!(origin(url).as_deref(), Some(expected), "{url}");
        }
        for url in [
            "ftp://a",
            "a.example",
            "https://",
            "https://hub.example@evil.example/",
            "file:///etc",
        ] {
            assert_eq!(origin(url), None, "{url}");
        }
    }

    #[test]
    fn the_token_goes_to_the_hubs_own_host_scheme_and_port_only() {
        let wire = Wire::new("https://hub.example", None, Patience::default()).unwrap();
        assert!(wire.is_own("https://hub.example/a/b") && wire.is_own("https://HUB.example:443/"));
        for url in [
            "http://hub.example/a",
            "https://hub.example:8443/a",
            "https://hub.example.evil/a",
            "https://evil.example/https://hub.example/",
            "https://hub.example@evil.example/",
        ] {
            assert!(!wire.is_own(url), "{url}");
        }
    }

    #[test]
    fn redirects_lead_where_a_browser_would_go() {
        for (location, expected) in [
            ("/x/y?z", "https://a.example/x/y?z"),
            ("y", "https://a.example/b/y"),
            ("//c.example/d", "https://c.example/d"),
            ("http://c.example/d", "http://c.example/d"),
        ] {
            assert_eq!(join("https://a.example/b/c?d=/e", location).as_deref(), Some(expected));
        }
        assert_eq!(join("https://a.example", "y").as_deref(), Some("https://a.example/y"));
        assert_eq!(join("https://a.example/", "file:///etc/passwd"), None);
    }
}
