//! A small hub on this machine: repositories, a store of large files on another port, and what can go wrong on demand.
//!
//! It speaks what the public hub speaks to its Python client 1.x and 2.x.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use hounsfield::tables::sha256_bytes;
use serde_json::{Value, json};

/// The only token that is taken.
pub const TOKEN: &str = "hf_nobody_may_see_this";

/// What redirects to the store carry in their query; as secret as a token.
pub const SIGNATURE: &str = "signed-and-secret";

/// The hub. It answers until the test ends.
#[derive(Clone)]
pub struct HubServer {
    pub url: String,
    state: Arc<State>,
}

struct State {
    store: String,
    repos: Mutex<BTreeMap<String, Repo>>,
    contents: Mutex<BTreeMap<String, Vec<u8>>>,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<(String, Fault)>>,
}

#[derive(Clone, Default)]
struct Repo {
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
    private: bool,
    moved_to: Option<String>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub store: bool,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What goes wrong once, at the next request whose path has some words in it.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An answer of this status, with a header.
    Status(u16, &'static str, &'static str),
    /// The connection breaks after so many bytes of the body.
    Cut(usize),
    /// Other bytes of the same length.
    Wrong,
    /// The whole file although a part was asked for.
    Whole,
    /// A part from another place than was asked for.
    Elsewhere,
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    cut: Option<usize>,
}

impl Reply {
    fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            cut: None,
        }
    }

    fn json(status: u16, value: &Value) -> Self {
        Self::new(status, value.to_string().into_bytes()).with("content-type", "application/json")
    }

    fn error(status: u16, code: &str) -> Self {
        Self::json(status, &json!({ "error": code })).with("x-error-code", code)
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

impl HubServer {
    pub fn start() -> Self {
        let (hub, store) = (listen(), listen());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            store: address(&store),
            repos: Mutex::default(),
            contents: Mutex::default(),
            seen: Mutex::default(),
            faults: Mutex::default(),
        });
        let server = Self {
            url: address(&hub),
            state,
        };
        for (listener, is_store) in [(hub, false), (store, true)] {
            let server = server.clone();
            thread::spawn(move || {
                for connection in listener.incoming().flatten() {
                    let server = server.clone();
                    thread::spawn(move || server.serve(connection, is_store));
                }
            });
        }
        server
    }

    /// Puts files into a repository, all of them; returns the commit.
    pub fn put(&self, repo: &str, files: &[(&str, &[u8])]) -> String {
        let files: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
            .collect();
        let commit = commit_of(repo, &files);
        let mut repos = self.state.repos.lock().unwrap();
        let entry = repos.entry(repo.to_owned()).or_default();
        (entry.commit, entry.files) = (commit.clone(), files);
        commit
    }

    pub fn make_private(&self, repo: &str) {
        self.state.repos.lock().unwrap().get_mut(repo).unwrap().private = true;
    }

    pub fn rename(&self, old: &str, new: &str) {
        let mut repos = self.state.repos.lock().unwrap();
        let repo = repos.get_mut(old).unwrap();
        let moved = repo.clone();
        repo.moved_to = Some(new.to_owned());
        repos.insert(new.to_owned(), moved);
    }

    /// A file of a repository, and whether only those with the token see it.
    pub fn file(&self, repo: &str, name: &str) -> Option<(Vec<u8>, bool)> {
        let repos = self.state.repos.lock().unwrap();
        let repo = repos.get(repo)?;
        Some((repo.files.get(name)?.clone(), repo.private))
    }

    /// Something goes wrong at the next request whose path has these words in it.
    pub fn fail_once(&self, words: &str, fault: Fault) {
        self.state.faults.lock().unwrap().push((words.to_owned(), fault));
    }

    /// The requests that came since the last time.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }

    fn serve(&self, connection: TcpStream, store: bool) {
        let Some(request) = read_request(&connection, store) else {
            return;
        };
        self.state.seen.lock().unwrap().push(request.clone());
        let fault = {
            let mut faults = self.state.faults.lock().unwrap();
            let at = faults
                .iter()
                .position(|(words, _)| request.path.contains(words.as_str()));
            at.map(|at| faults.remove(at).1)
        };
        let mut reply = match (&fault, store) {
            (Some(Fault::Status(status, name, value)), _) => Reply::new(*status, b"not now".to_vec()).with(name, value),
            (_, true) => self.answer_as_store(&request, fault.as_ref()),
            (_, false) => self.answer_as_hub(&request, fault.as_ref()),
        };
        match fault {
            Some(Fault::Cut(bytes)) => reply.cut = Some(bytes),
            Some(Fault::Wrong) => reply.body.iter_mut().for_each(|byte| *byte ^= 1),
            _ => {}
        }
        write_reply(&connection, &request, &reply);
    }

    fn answer_as_store(&self, request: &Seen, fault: Option<&Fault>) -> Reply {
        let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let mut contents = self.state.contents.lock().unwrap();
        match (request.method.as_str(), &parts[..]) {
            ("PUT", ["whole", oid]) => {
                contents.insert((*oid).to_owned(), request.body.clone());
                Reply::new(200, Vec::new())
            }
            ("PUT", ["part", oid, number]) => {
                contents.insert(format!("{oid}/{number}"), request.body.clone());
                Reply::new(200, Vec::new()).with("etag", format!("\"part-{number}\""))
            }
            (_, [name, ..]) if contents.contains_key(*name) => ranged(request, &contents[*name], fault),
            _ => Reply::new(404, Vec::new()),
        }
    }

    fn answer_as_hub(&self, request: &Seen, fault: Option<&Fault>) -> Reply {
        let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let authorised = request
            .headers
            .get("authorization")
            .is_some_and(|value| *value == format!("Bearer {TOKEN}"));
        // The end of a transfer is told by an address of its own, as the Python client does it.
        if request.method == "POST" && !authorised && !request.path.contains("/complete/") {
            return Reply::error(401, "Unauthorized");
        }
        if parts == ["api", "repos", "create"] {
            return self.create(request);
        }
        let name = match &parts[..] {
            ["api", "models", org, repo, ..] | [org, repo, ..] => format!("{org}/{}", repo.trim_end_matches(".git")),
            _ => return Reply::new(404, Vec::new()),
        };
        let Some(repo) = self.state.repos.lock().unwrap().get(&name).cloned() else {
            // The public hub hides from strangers what there is.
            return Reply::error(if authorised { 404 } else { 401 }, "RepoNotFound");
        };
        if repo.private && !authorised {
            return Reply::error(401, "RepoNotFound");
        }
        if let Some(new) = &repo.moved_to {
            return Reply::new(307, Vec::new()).with("location", request.path.replacen(&name, new, 1));
        }
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["api", "models", _, _, "revision", revision]) => match known(&repo, revision) {
                true => {
                    let siblings: Vec<Value> = repo.files.keys().map(|name| json!({ "rfilename": name })).collect();
                    Reply::json(200, &json!({ "id": name, "sha": repo.commit, "siblings": siblings }))
                }
                false => Reply::error(404, "RevisionNotFound"),
            },
            ("GET", ["api", "models", _, _]) => Reply::json(200, &json!({ "id": name, "private": repo.private })),
            ("GET" | "HEAD", [_, _, "resolve", revision, file @ ..]) if known(&repo, revision) => {
                self.resolve(request, &repo, &unescape(&file.join("/")), fault)
            }
            ("POST", ["api", "models", _, _, "preupload", _]) => ways(request),
            ("POST", [_, _, "info", "lfs", "objects", "batch"]) => self.batch(request),
            ("POST", [_, _, "complete", oid]) => self.complete(request, oid),
            ("POST", [_, _, "verify"]) => self.verify(request),
            ("POST", ["api", "models", _, _, "commit", _]) => self.commit(request, &name),
            _ => Reply::error(404, "RevisionNotFound"),
        }
    }

    fn resolve(&self, request: &Seen, repo: &Repo, file: &str, fault: Option<&Fault>) -> Reply {
        let Some(bytes) = repo.files.get(file) else {
            return Reply::error(404, "EntryNotFound").with("x-repo-commit", &repo.commit);
        };
        let hash = sha256_bytes(bytes);
        if is_large(file) {
            self.state.contents.lock().unwrap().insert(hash.clone(), bytes.clone());
            return Reply::new(302, Vec::new())
                .with("location", format!("{}/{hash}?signature={SIGNATURE}", self.state.store))
                .with("x-repo-commit", &repo.commit)
                .with("x-linked-etag", format!("\"{hash}\""))
                .with("x-linked-size", bytes.len());
        }
        ranged(request, bytes, fault)
            .with("x-repo-commit", &repo.commit)
            .with("etag", format!("\"{}\"", &hash[..40]))
    }

    fn create(&self, request: &Seen) -> Reply {
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let word = |name: &str| asked[name].as_str().unwrap();
        let name = format!("{}/{}", word("organization"), word("name"));
        let mut repos = self.state.repos.lock().unwrap();
        if repos.contains_key(&name) {
            return Reply::error(409, "Conflict");
        }
        let repo = Repo {
            commit: "0".repeat(40),
            // Older clients say it in the first way, newer ones in the second.
            private: asked["private"] == true || asked["visibility"] == "private",
            ..Repo::default()
        };
        repos.insert(name.clone(), repo);
        Reply::json(200, &json!({ "url": format!("{}/{name}", self.url), "name": name }))
    }

    /// Files of more than 1,000 bytes come in parts of 1,000.
    fn batch(&self, request: &Seen) -> Reply {
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let repo = request.path.split(".git").next().unwrap();
        let store = &self.state.store;
        let object = |object: &Value| {
            let (oid, size) = (object["oid"].as_str().unwrap(), object["size"].as_u64().unwrap());
            if self.state.contents.lock().unwrap().contains_key(oid) {
                return json!({ "oid": oid, "size": size });
            }
            let upload = if size > 1000 {
                let mut header = json!({ "chunk_size": "1000" });
                for number in 1..=size.div_ceil(1000) {
                    header[number.to_string()] = json!(format!("{store}/part/{oid}/{number}?signature={SIGNATURE}"));
                }
                json!({ "href": format!("{}{repo}/complete/{oid}", self.url), "header": header })
            } else {
                json!({ "href": format!("{store}/whole/{oid}?signature={SIGNATURE}"), "header": { "x-extra": "kept" } })
            };
            let verify = json!({ "href": format!("{}{repo}/verify", self.url) });
            json!({ "oid": oid, "size": size, "actions": { "upload": upload, "verify": verify } })
        };
        let objects: Vec<Value> = asked["objects"].as_array().unwrap().iter().map(object).collect();
        Reply::json(200, &json!({ "transfer": "multipart", "objects": objects }))
    }

    fn complete(&self, request: &Seen, oid: &str) -> Reply {
        let told: Value = serde_json::from_slice(&request.body).unwrap();
        let mut contents = self.state.contents.lock().unwrap();
        let mut whole = Vec::new();
        for part in told["parts"].as_array().unwrap() {
            let number = part["partNumber"].as_u64().unwrap();
            assert_eq!(part["etag"], format!("\"part-{number}\""));
            whole.extend(contents.remove(&format!("{oid}/{number}")).unwrap());
        }
        contents.insert(oid.to_owned(), whole);
        Reply::json(200, &json!({}))
    }

    fn verify(&self, request: &Seen) -> Reply {
        let told: Value = serde_json::from_slice(&request.body).unwrap();
        let oid = told["oid"].as_str().unwrap();
        let contents = self.state.contents.lock().unwrap();
        match contents.get(oid).is_some_and(|bytes| sha256_bytes(bytes) == oid) {
            true => Reply::json(200, &json!({})),
            false => Reply::error(422, "the content has another hash"),
        }
    }

    fn commit(&self, request: &Seen, name: &str) -> Reply {
        let mut repos = self.state.repos.lock().unwrap();
        let repo = repos.get_mut(name).unwrap();
        for line in String::from_utf8(request.body.clone()).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let value = &line["value"];
            let bytes = match line["key"].as_str().unwrap() {
                "header" => continue,
                "file" => BASE64.decode(value["content"].as_str().unwrap()).unwrap(),
                "lfsFile" => self.state.contents.lock().unwrap()[value["oid"].as_str().unwrap()].clone(),
                other => panic!("a line of kind {other}"),
            };
            repo.files.insert(value["path"].as_str().unwrap().to_owned(), bytes);
        }
        repo.commit = commit_of(name, &repo.files);
        let url = format!("{}/{name}/commit/{}", self.url, repo.commit);
        Reply::json(
            200,
            &json!({ "commitOid": repo.commit, "commitUrl": url, "success": true }),
        )
    }
}

/// Weights are large, whatever their size.
fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".bin")
}

fn ways(request: &Seen) -> Reply {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let way = |file: &Value| {
        let mode = if is_large(file["path"].as_str().unwrap()) {
            "lfs"
        } else {
            "regular"
        };
        json!({ "path": file["path"], "uploadMode": mode, "shouldIgnore": false })
    };
    let files: Vec<Value> = asked["files"].as_array().unwrap().iter().map(way).collect();
    Reply::json(200, &json!({ "files": files }))
}

fn known(repo: &Repo, revision: &str) -> bool {
    revision == "main" || revision == repo.commit
}

fn commit_of(repo: &str, files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut text = repo.to_owned();
    for (name, bytes) in files {
        text.push_str(&format!("\n{name} {}", sha256_bytes(bytes)));
    }
    sha256_bytes(text.as_bytes())[..40].to_owned()
}

/// A file, or the rest of it.
fn ranged(request: &Seen, bytes: &[u8], fault: Option<&Fault>) -> Reply {
    let start = request
        .headers
        .get("range")
        .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
    match (start, fault) {
        (None, _) | (_, Some(Fault::Whole)) => Reply::new(200, bytes.to_vec()).with("accept-ranges", "bytes"),
        (Some(start), _) if start >= bytes.len() => {
            Reply::new(416, Vec::new()).with("content-range", format!("bytes */{}", bytes.len()))
        }
        (Some(start), fault) => {
            let start = if matches!(fault, Some(Fault::Elsewhere)) {
                start - 1
            } else {
                start
            };
            let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            Reply::new(206, bytes[start..].to_vec()).with("content-range", range)
        }
    }
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn read_request(connection: &TcpStream, store: bool) -> Option<Seen> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen {
        store,
        method,
        path,
        headers,
        body,
    })
}

fn write_reply(mut connection: &TcpStream, request: &Seen, reply: &Reply) {
    let mut head = format!(
        "HTTP/1.1 {} -\r\nconnection: close\r\ncontent-length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let body = match (request.method.as_str(), reply.cut) {
        ("HEAD", _) => &[],
        (_, Some(bytes)) => &reply.body[..bytes.min(reply.body.len())],
        _ => &reply.body[..],
    };
    // The other side may have gone, as a client does that wanted the head only.
    let _ = connection
        .write_all(head.as_bytes())
        .and_then(|()| connection.write_all(body));
}

/// `%20` is a space.
fn unescape(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut pieces = path.split('%');
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend(piece[2..].bytes());
    }
    String::from_utf8(bytes).unwrap()
}
