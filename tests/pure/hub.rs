//! The hub as a library: what is fetched, what is kept, what goes wrong. Every server is of the test's own making.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hounsfield::{
    hub::{Address, Hub, HubError, Patience, Push, Token, download},
    progress::Progress,
    tables::sha256_bytes,
};

use crate::hub_server::{Fault, HubServer, SIGNATURE, TOKEN};

const WEIGHTS: &str = "weights.safetensors";

struct Desk {
    server: HubServer,
    cache: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self {
            server: HubServer::start(),
            cache: tempfile::tempdir().unwrap(),
        }
    }

    fn hub(&self) -> Hub {
        self.builder().build().unwrap()
    }

    fn builder(&self) -> hounsfield::hub::HubBuilder {
        Hub::builder(self.cache.path())
            .endpoint(&self.server.url)
            .patience(Patience {
                tries: 2,
                pause: Duration::ZERO,
                longest: Duration::from_secs(2),
                stall: Duration::from_secs(10),
            })
    }

    fn with_token(&self) -> Hub {
        self.builder().token(Token::new(TOKEN).unwrap()).build().unwrap()
    }

    /// All files of the cache, by their paths in it; links are followed.
    fn cached(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.cache.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let path = path.strip_prefix(self.cache.path()).unwrap();
                        files.push(path.to_str().unwrap().to_owned());
                    }
                }
            }
        }
        files.sort();
        files
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// Bytes that differ from place to place.
fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 % 251) as u8).collect()
}

fn part_of(desk: &Desk, hash: &str) -> PathBuf {
    desk.cache.path().join(format!("models--a--b/blobs/{hash}.incomplete"))
}

#[test]
fn a_file_lies_in_the_cache_as_the_python_client_would_have_put_it() {
    let desk = Desk::new();
    let weights = bytes(3000);
    let commit = desk.server.put(
        "a/b",
        &[("deep/er/w +%.safetensors", &weights), ("encoder.toml", b"schema = 1")],
    );
    let hub = desk.hub();
    let large = hub.fetch(&address("hf://a/b/deep/er/w +%.safetensors")).unwrap();
    assert_eq!(std::fs::read(&large.path).unwrap(), weights);
    assert_eq!(
        (large.bytes, &large.commit, large.sha256),
        (3000, &commit, sha256_bytes(&weights))
    );
    let small = hub.fetch(&address("hf://a/b/encoder.toml")).unwrap();
    assert_eq!(small.sha256, sha256_bytes(b"schema = 1"));
    let (hash, etag) = (sha256_bytes(&weights), sha256_bytes(b"schema = 1")[..40].to_owned());
    let mut expected = [
        format!(".locks/models--a--b/{hash}.lock"),
        format!(".locks/models--a--b/{etag}.lock"),
        format!("models--a--b/blobs/{hash}"),
        format!("models--a--b/blobs/{etag}"),
        "models--a--b/refs/main".to_owned(),
        format!("models--a--b/snapshots/{commit}/deep/er/w +%.safetensors"),
        format!("models--a--b/snapshots/{commit}/encoder.toml"),
    ];
    expected.sort();
    assert_eq!(desk.cached(), expected);
    let link = std::fs::read_link(&large.path).unwrap();
    assert_eq!(link, Path::new(&format!("../../../../blobs/{hash}")));
    assert_eq!(
        std::fs::read_to_string(desk.cache.path().join("models--a--b/refs/main")).unwrap(),
        commit
    );
}

#[test]
fn weights_have_one_of_two_names_where_no_file_is_named() {
    let desk = Desk::new();
    let hub = desk.hub();
    desk.server.put("a/b", &[("model.safetensors", b"m"), (WEIGHTS, b"w")]);
    assert_eq!(hub.fetch(&address("hf://a/b")).unwrap().name, WEIGHTS);
    desk.server.put("a/c", &[("model.safetensors", b"m")]);
    assert_eq!(hub.fetch(&address("hf://a/c")).unwrap().name, "model.safetensors");
    desk.server.put("a/d", &[("other.safetensors", b"m")]);
    let said = hub.fetch(&address("hf://a/d")).unwrap_err().to_string();
    assert!(said.contains("hf://a/d/FILE.safetensors"), "{said}");
}

#[test]
fn the_token_goes_to_the_hub_and_not_where_it_sends_on() {
    let desk = Desk::new();
    desk.server.put("a/b", &[(WEIGHTS, b"w")]);
    desk.server.make_private("a/b");
    desk.with_token().fetch(&address("hf://a/b")).unwrap();
    let seen = desk.server.take_seen();
    assert!(seen.iter().any(|request| request.store));
    for request in seen {
        assert_eq!(
            request.headers.contains_key("authorization"),
            !request.store,
            "{request:?}"
        );
        assert_eq!(request.headers["accept-encoding"], "identity");
    }
}

#[test]
fn a_renamed_repository_is_followed_with_the_token() {
    let desk = Desk::new();
    let commit = desk.server.put("a/b", &[(WEIGHTS, b"w")]);
    desk.server.make_private("a/b");
    desk.server.rename("a/b", "c/d");
    assert_eq!(desk.with_token().fetch(&address("hf://a/b")).unwrap().commit, commit);
}

#[test]
fn the_second_time_a_pinned_commit_asks_nobody_and_a_branch_asks_once() {
    let desk = Desk::new();
    let commit = desk.server.put("a/b", &[("model.safetensors", b"m")]);
    let hub = desk.hub();
    let first = hub.fetch(&address("hf://a/b")).unwrap();
    desk.server.take_seen();
    for text in [
        format!("hf://a/b@{commit}"),
        format!("hf://a/b@{commit}/model.safetensors"),
    ] {
        assert_eq!(hub.fetch(&address(&text)).unwrap(), first);
    }
    assert!(desk.server.take_seen().is_empty());
    assert_eq!(hub.fetch(&address("hf://a/b@main")).unwrap(), first);
    let paths: Vec<String> = desk
        .server
        .take_seen()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(paths, ["/api/models/a/b/revision/main"]);
}

#[test]
fn without_a_network_the_cache_is_enough_and_says_so_where_it_is_not() {
    let desk = Desk::new();
    desk.server.put("a/b", &[(WEIGHTS, b"w")]);
    let first = desk.hub().fetch(&address("hf://a/b")).unwrap();
    desk.server.take_seen();
    let offline = desk.builder().offline(true).build().unwrap();
    assert_eq!(offline.fetch(&address("hf://a/b")).unwrap(), first);
    for text in ["hf://a/c", "hf://a/b@v2", "hf://a/b/other.safetensors"] {
        let said = offline.fetch(&address(text)).unwrap_err().to_string();
        assert!(
            said.contains("HF_HUB_OFFLINE") && said.contains("weights pull hf://a/"),
            "{said}"
        );
    }
    assert!(desk.server.take_seen().is_empty());
    // A hub that has gone away: nobody waits for it who can do without.
    let gone = desk.builder().endpoint("http://127.0.0.1:9");
    let patience = Patience {
        pause: Duration::from_secs(20),
        ..Patience::default()
    };
    let started = std::time::Instant::now();
    let cached = gone
        .clone()
        .patience(patience)
        .build()
        .unwrap()
        .fetch(&address("hf://a/b"));
    assert_eq!(cached.unwrap(), first);
    assert!(started.elapsed() < Duration::from_secs(20));
    let gone = gone.build().unwrap();
    let said = gone.fetch(&address("hf://a/c")).unwrap_err().to_string();
    assert!(said.contains("127.0.0.1:9 does not answer"), "{said}");
}

#[test]
fn a_download_that_was_cut_off_goes_on_and_is_whole() {
    let desk = Desk::new();
    let weights = bytes(200_000);
    let hash = sha256_bytes(&weights);
    desk.server.put("a/b", &[(WEIGHTS, &weights)]);
    for cut in [70_000, 30_000] {
        desk.server.fail_once(&hash, Fault::Cut(cut));
    }
    let fetched = desk.hub().fetch(&address("hf://a/b")).unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), weights);
    let ranges: Vec<Option<String>> = desk
        .server
        .take_seen()
        .iter()
        .filter(|request| request.store)
        .map(|request| request.headers.get("range").cloned())
        .collect();
    let expected = [None, Some("bytes=70000-".to_owned()), Some("bytes=100000-".to_owned())];
    assert_eq!(ranges, expected);
}

#[test]
fn a_download_that_is_cut_off_for_good_says_so_and_the_next_goes_on() {
    let desk = Desk::new();
    let weights = bytes(200_000);
    let hash = sha256_bytes(&weights);
    desk.server.put("a/b", &[(WEIGHTS, &weights)]);
    for _ in 0..3 {
        desk.server.fail_once(&hash, Fault::Cut(50_000));
    }
    let error = desk.hub().fetch(&address("hf://a/b")).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("150000 of 200000 bytes, 3 times") && said.contains("goes on from there"),
        "{said}"
    );
    assert_eq!(part_of(&desk, &hash).metadata().unwrap().len(), 150_000);
    assert!(
        !desk.cached().iter().any(|path| path.contains("snapshots")),
        "{:?}",
        desk.cached()
    );
    desk.server.take_seen();
    let fetched = desk.hub().fetch(&address("hf://a/b")).unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), weights);
    assert!(!part_of(&desk, &hash).exists());
    let last = desk.server.take_seen().pop().unwrap();
    assert_eq!(last.headers["range"], "bytes=150000-");
}

#[test]
fn a_server_that_gives_another_part_than_was_asked_for_is_not_believed() {
    let desk = Desk::new();
    let weights = bytes(100_000);
    let hash = sha256_bytes(&weights);
    desk.server.put("a/b", &[(WEIGHTS, &weights)]);
    for fault in [Fault::Whole, Fault::Elsewhere] {
        desk.server.fail_once(&hash, Fault::Cut(40_000));
        desk.server.fail_once(&hash, fault);
        let fetched = desk.hub().fetch(&address("hf://a/b")).unwrap();
        assert_eq!(std::fs::read(&fetched.path).unwrap(), weights);
        std::fs::remove_dir_all(desk.cache.path().join("models--a--b")).unwrap();
    }
    // A part that is longer than the file, or that holds something else.
    for left in [bytes(100_001), vec![1; 10]] {
        std::fs::create_dir_all(part_of(&desk, &hash).parent().unwrap()).unwrap();
        std::fs::write(part_of(&desk, &hash), &left).unwrap();
        let fetched = desk.hub().fetch(&address("hf://a/b")).or_else(|error| {
            assert!(matches!(error, HubError::Sha256 { .. }), "{error}");
            desk.hub().fetch(&address("hf://a/b"))
        });
        assert_eq!(std::fs::read(fetched.unwrap().path).unwrap(), weights);
        std::fs::remove_dir_all(desk.cache.path().join("models--a--b")).unwrap();
    }
}

#[test]
fn other_bytes_than_were_listed_are_removed_and_both_hashes_told() {
    let desk = Desk::new();
    let weights = bytes(5000);
    let hash = sha256_bytes(&weights);
    desk.server.put("a/b", &[(WEIGHTS, &weights)]);
    desk.server.fail_once(&hash, Fault::Wrong);
    let said = desk.hub().fetch(&address("hf://a/b")).unwrap_err().to_string();
    let wrong: Vec<u8> = weights.iter().map(|byte| byte ^ 1).collect();
    assert!(said.contains(&hash) && said.contains(&sha256_bytes(&wrong)), "{said}");
    let left: Vec<String> = desk
        .cached()
        .into_iter()
        .filter(|path| path.contains("blobs"))
        .collect();
    assert_eq!(left, [""; 0]);
    desk.hub().fetch(&address("hf://a/b")).unwrap();
}

#[test]
fn weights_that_changed_meanwhile_are_begun_anew() {
    let desk = Desk::new();
    let (old, new) = (bytes(100_000), bytes(100_001));
    desk.server.put("a/b", &[(WEIGHTS, &old)]);
    for _ in 0..3 {
        desk.server.fail_once(&sha256_bytes(&old), Fault::Cut(20_000));
    }
    desk.hub().fetch(&address("hf://a/b")).unwrap_err();
    desk.server.put("a/b", &[(WEIGHTS, &new)]);
    let fetched = desk.hub().fetch(&address("hf://a/b")).unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), new);
}

#[test]
fn what_the_hub_refuses_is_said_with_a_way_out() {
    let desk = Desk::new();
    desk.server.put("a/b", &[(WEIGHTS, b"w")]);
    desk.server.put("a/private", &[(WEIGHTS, b"w")]);
    desk.server.make_private("a/private");
    let strange = |text: &str| desk.hub().fetch(&address(text)).unwrap_err().to_string();
    for (said, words) in [
        (strange("hf://a/private"), &["a/private", "401", "set HF_TOKEN"][..]),
        (strange("hf://a/b@v9"), &["a/b", "v9", "check the name"]),
        (strange("hf://a/b/no.safetensors"), &["no.safetensors", "a/b", "main"]),
        (
            strange(&format!("hf://a/b@{}", "0".repeat(40))),
            &["a/b", "at revision 000", "check the name"],
        ),
        (
            strange("hf://a/b/pytorch_model.bin"),
            &["runs code", "weights_only=True"],
        ),
    ] {
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    }
    let wrong = desk.builder().token(Token::new("hf_wrong").unwrap()).build().unwrap();
    let said = wrong.fetch(&address("hf://a/private")).unwrap_err().to_string();
    assert!(said.contains("with this token") && !said.contains("hf_wrong"), "{said}");
    desk.server
        .fail_once("/resolve/", Fault::Status(403, "x-error-code", "GatedRepo"));
    let said = desk.with_token().fetch(&address("hf://a/b")).unwrap_err().to_string();
    assert!(
        said.contains("403") && said.contains("accept the terms") && !said.contains(TOKEN),
        "{said}"
    );
}

#[test]
fn a_hub_that_asks_to_wait_is_waited_for_but_not_for_ever() {
    let desk = Desk::new();
    desk.server.put("a/b", &[(WEIGHTS, b"w")]);
    desk.server.fail_once("/api/", Fault::Status(429, "retry-after", "1"));
    desk.server
        .fail_once("/resolve/", Fault::Status(503, "retry-after", "0"));
    let started = std::time::Instant::now();
    desk.hub().fetch(&address("hf://a/b")).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    desk.server
        .fail_once("/api/", Fault::Status(429, "retry-after", "3600"));
    let said = desk.hub().fetch(&address("hf://a/b")).unwrap_err().to_string();
    assert!(said.contains("too many requests") && said.contains("3600 s"), "{said}");
    for _ in 0..3 {
        desk.server.fail_once("/api/", Fault::Status(429, "retry-after", "0"));
    }
    assert!(matches!(
        desk.hub().fetch(&address("hf://a/b")),
        Err(HubError::TooMany { .. })
    ));
}

#[test]
fn two_who_fetch_at_once_both_get_the_whole_file() {
    let desk = Desk::new();
    let weights = bytes(3_000_000);
    desk.server.put("a/b", &[(WEIGHTS, &weights)]);
    desk.server.fail_once(&sha256_bytes(&weights), Fault::Cut(1_000_000));
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| desk.hub().fetch(&address("hf://a/b")).unwrap()))
            .collect();
        for fetch in fetches {
            assert_eq!(std::fs::read(fetch.join().unwrap().path).unwrap(), weights);
        }
    });
    let downloads = desk
        .server
        .take_seen()
        .into_iter()
        .filter(|request| request.store)
        .count();
    assert_eq!(downloads, 2, "the content is fetched once, in two pieces");
}

#[test]
fn no_message_has_the_token_or_a_signed_address_in_it() {
    let desk = Desk::new();
    let weights = bytes(5000);
    desk.server.put("a/b", &[(WEIGHTS, &weights)]);
    let hash = sha256_bytes(&weights);
    for fault in [
        Fault::Status(500, "x", "y"),
        Fault::Status(404, "x", "y"),
        Fault::Status(403, "x", "y"),
        Fault::Status(302, "location", "file:///etc/passwd"),
        Fault::Wrong,
        Fault::Cut(10),
    ] {
        for _ in 0..9 {
            desk.server.fail_once(&hash, fault.clone());
        }
        let error = desk.with_token().fetch(&address("hf://a/b")).unwrap_err();
        let said = format!("{error} {error:?} {:?}", desk.with_token());
        assert!(!said.contains(TOKEN) && !said.contains(SIGNATURE), "{said}");
        // What was not used up.
        while desk.with_token().fetch(&address("hf://a/b")).is_err() {}
        std::fs::remove_dir_all(desk.cache.path().join("models--a--b")).unwrap();
    }
}

#[test]
fn a_plain_download_goes_on_too_and_tells_the_hash() {
    let desk = Desk::new();
    let text = bytes(50_000);
    desk.server.put("a/b", &[("file.txt", &text)]);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file.txt");
    let url = format!("{}/a/b/resolve/main/file.txt?signature={SIGNATURE}", desk.server.url);
    desk.server.fail_once("file.txt", Fault::Cut(20_000));
    let done = download(&url, &to, &Progress::hidden()).unwrap();
    assert_eq!((done.bytes, done.sha256), (50_000, sha256_bytes(&text)));
    assert_eq!(std::fs::read(&to).unwrap(), text);
    let seen = desk.server.take_seen();
    assert_eq!(seen[1].headers["range"], "bytes=20000-");
    // Only of the same version.
    assert_eq!(
        seen[1].headers["if-range"],
        format!("\"{}\"", &sha256_bytes(&text)[..40])
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let said = download(&url.replace("file.txt?", "no.txt?"), &to, &Progress::hidden()).unwrap_err();
    assert!(
        said.to_string().contains("no.txt") && !format!("{said:?}").contains(SIGNATURE),
        "{said:?}"
    );
    assert_eq!(std::fs::read(&to).unwrap(), text);
    assert!(download("file:///etc/hostname", &to, &Progress::hidden()).is_err());
}

#[test]
fn files_are_sent_as_one_commit_the_large_ones_first() {
    let desk = Desk::new();
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("weights.safetensors", bytes(2500)),
        ("generator.safetensors", bytes(700)),
        ("encoder.toml", b"schema = 1\n".to_vec()),
        ("README.md", Vec::new()),
    ];
    for (name, bytes) in &files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut push = Push {
        files: files
            .iter()
            .map(|(name, _)| ((*name).to_owned(), folder.path().join(name)))
            .collect(),
        message: "weights".to_owned(),
        create: false,
        private: true,
    };
    let to = address("hf://someone/new");
    let error = desk.with_token().push(&to, &push).unwrap_err();
    assert!(error.to_string().contains("--create"), "{error}");
    assert!(matches!(desk.hub().push(&to, &push), Err(HubError::NoToken)));
    push.create = true;
    let pushed = desk.with_token().push(&to, &push).unwrap();
    for (name, bytes) in &files {
        assert_eq!(
            desk.server.file("someone/new", name),
            Some((bytes.clone(), true)),
            "{name}"
        );
    }
    for request in desk.server.take_seen().into_iter().filter(|request| request.store) {
        assert!(!request.headers.contains_key("authorization"), "{request:?}");
        assert!(request.headers.contains_key("content-length"), "{request:?}");
        assert_eq!(
            request.path.starts_with("/whole"),
            request.headers.contains_key("x-extra")
        );
    }
    // What is there is not sent again, and comes back as it went.
    let again = desk.with_token().push(&to, &push).unwrap();
    assert_eq!(again, pushed);
    assert!(!desk.server.take_seen().iter().any(|request| request.store));
    let fetched = desk.with_token().fetch(&pushed.address.with_file(None)).unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), files[0].1);
    desk.server.put("someone/public", &[(WEIGHTS, b"w")]);
    let error = desk
        .with_token()
        .push(&address("hf://someone/public"), &push)
        .unwrap_err();
    assert!(error.to_string().contains("seen by everyone"), "{error}");
    assert_eq!(desk.server.file("someone/public", "encoder.toml"), None);
    let error = desk.with_token().push(&address("hf://a/b/file"), &push).unwrap_err();
    assert!(error.to_string().contains("leave the file out"), "{error}");
}
