//! `hounsfield weights`, and studies whose weights are on the hub: the command as a user runs it, against a hub on this machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use hounsfield::{
    card::{self, EncoderCard},
    encoder::{EncoderConfig, Layer, TinyRevNet, Weights},
    tables::sha256_bytes,
    transforms::Preprocess,
};

use crate::{
    command::{Said, read},
    hub_server::{Fault, HubServer, SIGNATURE, TOKEN},
};

const WEIGHTS: &str = "weights.safetensors";

/// A hub, a user's home folder for its cache, and a folder to work in.
struct Desk {
    server: HubServer,
    home: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            server: HubServer::start(),
            home: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(desk.path("work")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs the command in the work folder. Whatever it says, it never says the token.
    fn hounsfield(&self, more: &[(&str, &str)], arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hounsfield"));
        command
            .args(arguments)
            .current_dir(self.path("work"))
            .env("HF_ENDPOINT", &self.server.url)
            .env("HF_HOME", self.path("hf"))
            .env("HF_TOKEN", TOKEN)
            .env("HOUNSFIELD_SALT", self.path("salt"))
            // Whatever can be said is said.
            .env("RUST_LOG", "trace");
        for name in ["HF_HUB_CACHE", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"] {
            command.env_remove(name);
        }
        let output = command.envs(more.iter().copied()).output().unwrap();
        let said = Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        for secret in [TOKEN, SIGNATURE] {
            assert!(
                !said.out.contains(secret) && !said.err.contains(secret),
                "{}{}",
                said.out,
                said.err
            );
        }
        said
    }

    fn weights(&self, arguments: &[&str]) -> Said {
        self.hounsfield(&[], &[&["weights"], arguments].concat())
    }

    /// A folder with a card and what are called weights.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(WEIGHTS), [7; 1500]).unwrap();
        std::fs::write(folder.join("MODEL_CARD.md"), "# made\n").unwrap();
        let encoder = EncoderConfig::TinyRevNet(TinyRevNet {
            weights: Weights::File(WEIGHTS.into()),
            ..TinyRevNet::default()
        });
        let card = EncoderCard {
            schema: EncoderCard::SCHEMA,
            name: "made".to_owned(),
            description: "never trained".to_owned(),
            licence: "CC0-1.0".to_owned(),
            source: "a test".to_owned(),
            obtain: None,
            layers: EncoderCard::widths(&encoder, &[Layer::ZMean]),
            sha256: EncoderCard::hashes(&folder, &[WEIGHTS]).unwrap(),
            encoder,
            preprocess: Preprocess::default(),
            training: None,
            generator: None,
            conversion: None,
        };
        card.write(&folder).unwrap();
        folder
    }

    /// The same on the hub; returns the commit.
    fn on_hub(&self, repo: &str) -> String {
        let folder = self.folder("for-the-hub");
        let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
        self.server.put(
            repo,
            &[
                (card::FILE, &bytes(card::FILE)),
                (WEIGHTS, &bytes(WEIGHTS)),
                ("README.md", b"# made\n"),
            ],
        )
    }

    /// A study of twenty slices, whose `[encoder]` is these lines.
    fn study(&self, encoder: &str) -> String {
        let work = self.path("work");
        // Once: a stage is told by the files' dates too.
        if !work.join("cohort.csv").exists() {
            for n in 0..20 {
                std::fs::write(work.join(format!("{n}.dcm")), format!("no image {n}")).unwrap();
            }
            let rows: String = (0..20)
                .map(|n| format!("{n}.dcm,p{n},{}\n", if n % 2 == 0 { "x" } else { "y" }))
                .collect();
            std::fs::write(work.join("cohort.csv"), format!("file,patient,label\n{rows}")).unwrap();
        }
        let cohort = "table = 'cohort.csv'\npath = 'file'\npatient = 'patient'\nlabel = 'label'\npositive = 'x'";
        let recipe = format!("[cohort]\n{cohort}\n[split]\nkind = 'folds'\nk = 2\n[encoder]\n{encoder}");
        std::fs::write(work.join("study.toml"), recipe).unwrap();
        let study = work.join("study.toml");
        study.to_str().unwrap().to_owned()
    }

    fn lock(&self) -> toml::Table {
        toml::from_str(&read(&self.path("work/runs/study/run.lock.toml"))).unwrap()
    }
}

fn assert_says(said: &Said, code: i32, words: &[&str]) {
    let all = format!("{}{}", said.out, said.err);
    assert_eq!(said.code, Some(code), "{all}");
    for word in words {
        assert!(all.contains(word), "{word:?} is not in {all}");
    }
}

#[test]
fn weights_are_pulled_with_their_card_listed_and_verified() {
    let desk = Desk::new();
    let commit = desk.on_hub("a/made");
    let hash = sha256_bytes(&[7; 1500]);
    let said = desk.weights(&["pull", "hf://a/made"]);
    assert_says(&said, 0, &[&commit, &hash, "1.5 kB", "encoder card `made` lists"]);
    assert!(
        said.out.contains(desk.path("hf/hub/models--a--made").to_str().unwrap()),
        "{}",
        said.out
    );
    let said = desk.weights(&["list"]);
    assert_says(
        &said,
        0,
        &[
            "made",
            "bigbigan-revnet-tiny",
            "z_mean 12",
            "CC0-1.0",
            "ok",
            &format!("hf://a/made@{commit}"),
        ],
    );
    let said = desk.weights(&["verify", "hf://a/made", &format!("hf://a/made@{commit}/{WEIGHTS}")]);
    assert_says(&said, 0, &["ok", &hash]);
    // Damage in the cache.
    let blob = desk.path("hf/hub/models--a--made/blobs").join(&hash);
    std::fs::write(&blob, "damaged").unwrap();
    assert_says(&desk.weights(&["list"]), 1, &["broken"]);
    let said = desk.weights(&["verify", &format!("hf://a/made@{commit}/{WEIGHTS}")]);
    assert_says(
        &said,
        2,
        &["FAILED", "remove it and pull again", blob.to_str().unwrap()],
    );
    std::fs::remove_file(&blob).unwrap();
    assert_says(&desk.weights(&["pull", "hf://a/made"]), 0, &[&hash]);
}

#[test]
fn pulled_into_a_folder_weights_stand_beside_their_card() {
    let desk = Desk::new();
    desk.on_hub("a/made");
    let out = desk.path("here");
    for _ in 0..2 {
        assert_says(
            &desk.weights(&["pull", "hf://a/made", "--out", out.to_str().unwrap()]),
            0,
            &["made"],
        );
        assert_eq!(EncoderCard::load(&out).unwrap().card.name, "made");
        assert_eq!(read(&out.join("MODEL_CARD.md")), "# made\n");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 3);
    }
    std::fs::write(out.join(WEIGHTS), "mine").unwrap();
    let said = desk.weights(&["pull", "hf://a/made", "--out", out.to_str().unwrap()]);
    assert_says(&said, 2, &["another file of that name", WEIGHTS]);
    assert_eq!(read(&out.join(WEIGHTS)), "mine");
}

#[test]
fn weights_without_a_card_are_pulled_with_a_word_of_caution() {
    let desk = Desk::new();
    desk.server.put("a/bare", &[("model.safetensors", b"m")]);
    assert_says(
        &desk.weights(&["pull", "hf://a/bare"]),
        0,
        &["no encoder card", &sha256_bytes(b"m"), "model.safetensors"],
    );
    assert_says(
        &desk.weights(&["pull", "hf://a/bare/pytorch_model.bin"]),
        2,
        &["runs code", "weights_only=True"],
    );
    assert_says(&desk.weights(&["pull", "hf://a"]), 2, &["hf://ORG/REPO@REVISION/FILE"]);
    assert_says(&desk.weights(&["pull", "hf://a/none"]), 2, &["a/none"]);
}

#[test]
fn a_card_that_waits_for_weights_takes_down_what_was_pulled() {
    let desk = Desk::new();
    let shelf = Path::new(env!("CARGO_MANIFEST_DIR")).join("pretrained/resnet50-imagenet");
    let out = desk.path("shelf");
    std::fs::create_dir(&out).unwrap();
    std::fs::copy(shelf.join(card::FILE), out.join(card::FILE)).unwrap();
    let commit = desk.server.put("timm/resnet50", &[("model.safetensors", &[3; 100])]);
    let address = format!("hf://timm/resnet50@{commit}");
    let said = desk.weights(&["pull", &address, "--out", out.to_str().unwrap()]);
    assert_says(&said, 0, &["encoder card `resnet50-imagenet` waited for these weights"]);
    let card = EncoderCard::load(&out).unwrap().card;
    assert_eq!(card.sha256["model.safetensors"], sha256_bytes(&[3; 100]));
    assert!(card.source.ends_with(&format!("commit {commit}")), "{}", card.source);
    assert_eq!(card.obtain, None);
    std::fs::write(out.join("model.safetensors"), "others").unwrap();
    assert_says(&desk.weights(&["verify", out.to_str().unwrap()]), 2, &["SHA-256"]);
}

#[test]
fn verify_tells_right_from_wrong_by_its_exit_code() {
    let desk = Desk::new();
    let (good, bad) = (desk.folder("good"), desk.folder("bad"));
    std::fs::write(bad.join(WEIGHTS), "others").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (good_file, bad_file) = (text(&good.join(WEIGHTS)), text(&bad.join(WEIGHTS)));
    let hash = sha256_bytes(&[7; 1500]);
    assert_says(
        &desk.weights(&["verify", &text(&good), &good_file]),
        0,
        &["ok", &hash, card::FILE],
    );
    assert_says(
        &desk.weights(&["verify", &text(&good), &text(&bad)]),
        1,
        &["ok", "FAILED", "damaged"],
    );
    assert_says(
        &desk.weights(&["verify", &bad_file]),
        2,
        &["FAILED", &hash, "damaged or of other weights"],
    );
    std::fs::write(desk.path("alone.safetensors"), "?").unwrap();
    let said = desk.weights(&["verify", &text(&desk.path("alone.safetensors"))]);
    assert_says(&said, 2, &["no card beside it", &sha256_bytes(b"?")]);
    assert_says(
        &desk.weights(&["verify", &text(&desk.path("nowhere"))]),
        2,
        &["nowhere"],
    );
}

#[test]
fn what_is_shipped_without_weights_is_listed_with_the_command_that_obtains_them() {
    let desk = Desk::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("pretrained");
    let said = desk.weights(&["list", shipped.to_str().unwrap()]);
    assert_says(
        &said,
        0,
        &[
            "bigbigan-ct-tiny",
            "bigbigan-resnet50",
            "avepool_feat 2048",
            "not here: hounsfield convert tfhub",
        ],
    );
    assert_says(&desk.weights(&["list"]), 0, &["no encoder cards"]);
    let study = desk.study(&format!(
        "kind = 'card'\npath = '{}'",
        shipped.join("bigbigan-resnet50").display()
    ));
    let said = desk.hounsfield(&[], &["split", &study]);
    assert_says(
        &said,
        2,
        &["`encoder.path`", "not here yet", "`hounsfield convert tfhub"],
    );
}

#[test]
fn a_folder_is_pushed_and_can_be_pulled_by_others() {
    let desk = Desk::new();
    let folder = desk.folder("mine");
    let from = folder.to_str().unwrap();
    let without = desk.hounsfield(
        &[("HF_TOKEN", "")],
        &["weights", "push", from, "hf://me/made", "--create"],
    );
    assert_says(&without, 2, &["set HF_TOKEN"]);
    assert_says(&desk.weights(&["push", from, "hf://me/made"]), 2, &["--create"]);
    let said = desk.weights(&["push", from, "hf://me/made", "--create", "--private"]);
    assert_says(&said, 0, &["3 files", "hf://me/made@"]);
    assert_eq!(
        desk.server.file("me/made", "README.md"),
        Some((b"# made\n".to_vec(), true))
    );
    assert_eq!(desk.server.file("me/made", WEIGHTS), Some((vec![7; 1500], true)));
    let address = said.out.split_whitespace().last().unwrap();
    assert_says(&desk.weights(&["pull", address]), 0, &["encoder card `made`"]);
    let stranger = desk.hounsfield(
        &[("HF_TOKEN", ""), ("HF_HUB_CACHE", "other")],
        &["weights", "pull", address],
    );
    assert_says(&stranger, 2, &["set HF_TOKEN"]);
    std::fs::write(desk.path("token"), format!("{TOKEN}\n")).unwrap();
    let token = desk.path("token");
    let by_file = [
        ("HF_TOKEN", ""),
        ("HF_HUB_CACHE", "other"),
        ("HF_TOKEN_PATH", token.to_str().unwrap()),
    ];
    assert_says(
        &desk.hounsfield(&by_file, &["weights", "pull", address]),
        0,
        &["encoder card `made`"],
    );
    std::fs::write(folder.join(WEIGHTS), "others").unwrap();
    desk.server.take_seen();
    assert_says(&desk.weights(&["push", from, "hf://me/made"]), 2, &["damaged"]);
    assert!(desk.server.take_seen().is_empty());
}

#[test]
fn a_study_names_a_card_on_the_hub_and_its_lock_says_what_came() {
    let desk = Desk::new();
    let commit = desk.on_hub("a/made");
    let study = desk.study("kind = 'card'\npath = 'hf://a/made'");
    assert_says(&desk.hounsfield(&[], &["split", &study]), 0, &["split:"]);
    let lock = desk.lock();
    let from = &lock["fetched"][0];
    assert_eq!(from["key"].as_str(), Some("encoder.path"));
    assert_eq!(from["address"].as_str(), Some("hf://a/made"));
    assert_eq!(from["commit"].as_str(), Some(commit.as_str()));
    let hash = sha256_bytes(&[7; 1500]);
    assert_eq!(from["sha256"][WEIGHTS].as_str(), Some(hash.as_str()));
    assert_eq!(lock["inputs_sha256"]["encoder.weights"].as_str(), Some(hash.as_str()));
    assert_eq!(lock["recipe"]["card"]["name"].as_str(), Some("made"));
    // The second time no network is needed.
    desk.server.take_seen();
    let offline = desk.hounsfield(&[("HF_HUB_OFFLINE", "1")], &["split", &study]);
    assert_says(&offline, 0, &["split:"]);
    let pinned = desk.study(&format!("kind = 'card'\npath = 'hf://a/made@{commit}'"));
    assert_says(&desk.hounsfield(&[], &["split", &pinned]), 0, &["split:"]);
    assert!(desk.server.take_seen().is_empty());
    // The stages are those of the same files on this machine.
    let keys = |lock: &toml::Table| lock["stages"].clone();
    let before = keys(&desk.lock());
    let local = desk.study(&format!(
        "kind = 'card'\npath = '{}'",
        desk.path("for-the-hub").display()
    ));
    assert_says(&desk.hounsfield(&[], &["split", &local]), 0, &["split:"]);
    let lock = desk.lock();
    assert_eq!(keys(&lock), before);
    assert!(!lock.contains_key("fetched"), "{lock}");
    assert!(desk.server.take_seen().is_empty());
}

#[test]
fn a_study_names_weights_on_the_hub() {
    let desk = Desk::new();
    desk.on_hub("a/made");
    let hash = sha256_bytes(&[7; 1500]);
    for address in ["hf://a/made", "hf://a/made/weights.safetensors"] {
        let study = desk.study(&format!("kind = 'bigbigan-revnet-tiny'\nweights = '{address}'"));
        assert_says(&desk.hounsfield(&[], &["split", &study]), 0, &["split:"]);
        let lock = desk.lock();
        assert_eq!(lock["fetched"][0]["sha256"][WEIGHTS].as_str(), Some(hash.as_str()));
        assert_eq!(lock["inputs_sha256"]["encoder.weights"].as_str(), Some(hash.as_str()));
    }
    let refused = |encoder: &str, words: &[&str]| {
        let study = desk.study(encoder);
        assert_says(&desk.hounsfield(&[], &["split", &study]), 2, words);
    };
    let kind = "kind = 'bigbigan-revnet-tiny'\nweights =";
    refused(
        &format!("{kind} 'hf://a/../b'"),
        &["`encoder.weights`", "hf://ORG/REPO"],
    );
    refused(
        &format!("{kind} 'hf://a/made/pytorch_model.bin'"),
        &["`encoder.weights`", "runs code"],
    );
    refused(&format!("{kind} 'hf://a/none'"), &["`encoder.weights`", "a/none"]);
    desk.server.put("a/bare", &[("model.safetensors", b"m")]);
    refused(
        "kind = 'card'\npath = 'hf://a/bare'",
        &["hf://a/bare has no `encoder.toml`", "kind = "],
    );
}

#[test]
fn weights_on_the_hub_that_are_not_those_of_the_card_are_refused() {
    let desk = Desk::new();
    desk.on_hub("a/made");
    let folder = desk.path("for-the-hub");
    let bytes = std::fs::read(folder.join(card::FILE)).unwrap();
    desk.server.put("a/made", &[(card::FILE, &bytes), (WEIGHTS, b"others")]);
    assert_says(&desk.weights(&["pull", "hf://a/made"]), 2, &["SHA-256", "`made`"]);
    desk.server.put("a/made", &[(card::FILE, &bytes)]);
    assert_says(&desk.weights(&["pull", "hf://a/made"]), 2, &[WEIGHTS, "not beside it"]);
    desk.on_hub("a/other");
    for _ in 0..9 {
        desk.server
            .fail_once("/api/models/a/other", Fault::Status(403, "x-error-code", "GatedRepo"));
    }
    assert_says(
        &desk.weights(&["pull", "hf://a/other"]),
        2,
        &["403", "accept the terms"],
    );
}
