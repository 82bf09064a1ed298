//! `hounsfield weights`: trained weights, here and on the hub.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use hounsfield::{
    card::{self, CardError, EncoderCard},
    hub::{Address, Fetched, Hub, Push},
    tables::{atomic_write, sha256_file},
    words::bytes,
};

use super::Done;

/// The page of a repository on the hub; a folder of weights calls it its model card.
const README: &str = "README.md";
const MODEL_CARD: &str = "MODEL_CARD.md";

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Fetch weights from the hub, with their card where they have one
    Pull(PullArgs),
    /// List encoder cards: those in folders, and those that were fetched
    List(ListArgs),
    /// Check weights against the SHA-256 that their cards list
    Verify(VerifyArgs),
    /// Send a folder of weights with a card to the hub
    Push(PushArgs),
}

#[derive(Debug, clap::Args)]
pub struct PullArgs {
    /// What to fetch: `hf://ORG/REPO`, `hf://ORG/REPO@REVISION` or `hf://ORG/REPO@REVISION/FILE`
    address: Address,
    /// Copy the files to this folder too; without it they stay in the hub's cache, where a study's address finds them
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Folders that are looked through [default: `pretrained`, where there is one]
    folders: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Folders with a card, files that a card beside them lists, or addresses on the hub
    #[arg(required = true, value_name = "PATH|ADDRESS")]
    which: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct PushArgs {
    /// The folder: a card, its weights, and `MODEL_CARD.md` (or `README.md`) for the page
    folder: PathBuf,
    /// Where to: `hf://ORG/REPO` or `hf://ORG/REPO@BRANCH`. The token in `HF_TOKEN` must be one that may write there
    address: Address,
    /// Make the repository where it is not there
    #[arg(long)]
    create: bool,
    /// Make it for its owners' eyes only
    #[arg(long, requires = "create")]
    private: bool,
    /// The commit's message [default: the card's name and the hash of its weights]
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

pub fn run(command: &Command) -> anyhow::Result<Done> {
    match command {
        Command::Pull(args) => pull(args),
        Command::List(args) => list(args),
        Command::Verify(args) => verify(args),
        Command::Push(args) => push(args),
    }
}

fn pull(args: &PullArgs) -> anyhow::Result<Done> {
    let hub = Hub::from_env()?;
    let pulled = Pulled::fetch(&hub, &args.address)?;
    let mut files = pulled.files.clone();
    let mut completed = None;
    if let Some(out) = &args.out {
        files = copy(&files, out)?;
        match pulled.name {
            Some(_) => drop(EncoderCard::load(out)?),
            None => completed = complete(out, &pulled.commit)?,
        }
    }
    say!("{} at commit {}", args.address, pulled.commit);
    for file in &files {
        say!("{}  {}  {}", file.sha256, bytes(file.bytes), file.path.display());
    }
    match (&pulled.name, completed) {
        (Some(name), _) => say!("the files are those that encoder card `{}` lists", plain(name)),
        (None, Some(name)) => say!(
            "encoder card `{}` waited for these weights and lists their SHA-256 from now on; what the hub gave with them is all \
             that they were checked against",
            plain(&name)
        ),
        (None, None) => say!(
            "there is no encoder card that lists them to check them against: compare the SHA-256 with what their makers say, and set \
             switches and preprocessing with care"
        ),
    }
    Ok(Done::Whole)
}

/// A card that waited in a folder for its weights takes down their hashes and where they are from. Returns its name.
fn complete(out: &Path, commit: &str) -> anyhow::Result<Option<String>> {
    let Some(card) = EncoderCard::waiting(out)? else {
        return Ok(None);
    };
    if card.files().iter().any(|file| !out.join(file).is_file()) {
        return Ok(None);
    }
    let found = EncoderCard::hashes(out, &card.files().iter().map(String::as_str).collect::<Vec<_>>())?;
    if let Some((file, listed)) = card
        .sha256
        .iter()
        .find(|(file, listed)| found.get(*file) != Some(*listed))
    {
        bail!(
            "`{file}` came with another SHA-256 than encoder card `{}` lists, which is {listed}: the address has other weights now",
            plain(&card.name)
        );
    }
    let card = EncoderCard {
        sha256: found,
        source: format!("{}, commit {commit}", card.source),
        obtain: None,
        ..card
    };
    card.write(out)?;
    Ok(Some(card.name))
}

/// What an address on the hub comes to.
struct Pulled {
    files: Vec<Fetched>,
    commit: String,
    /// The card's name; none where there is no card, one file was asked for, or the card does not list all hashes.
    name: Option<String>,
    /// A file that the card names without a hash.
    unlisted: Option<String>,
}

/// A file that a card names without its hash.
fn unlisted(card: &EncoderCard) -> Option<String> {
    card.files().into_iter().find(|file| !card.lists(Path::new(file)))
}

impl Pulled {
    /// A file that is named; else a card with its files and its page; else the weights.
    fn fetch(hub: &Hub, address: &Address) -> anyhow::Result<Self> {
        let is_card = |file: &str| Path::new(file).file_name().is_some_and(|name| name == card::FILE);
        if !address.file().is_none_or(is_card) {
            return Ok(Self::file(hub.fetch(address)?));
        }
        match EncoderCard::fetch(hub, address) {
            Ok(fetched) => {
                let mut files = fetched.files;
                // Of the same commit, whatever happened to the branch meanwhile.
                let snapshot = address.at(&fetched.commit);
                if address.file().is_none()
                    && let Ok(Some(page)) = hub.open(&snapshot)?.optional(README)
                {
                    files.push(page);
                }
                let card = fetched.checked.card;
                let unlisted = unlisted(&card);
                Ok(Self {
                    files,
                    commit: fetched.commit,
                    name: unlisted.is_none().then_some(card.name),
                    unlisted,
                })
            }
            Err(CardError::NoCard { .. }) => Ok(Self::file(hub.fetch(address)?)),
            Err(error) => Err(error.into()),
        }
    }

    fn file(file: Fetched) -> Self {
        Self {
            commit: file.commit.clone(),
            files: vec![file],
            name: None,
            unlisted: None,
        }
    }
}

/// Copies fetched files into a folder, the card last: a folder with a card is complete.
fn copy(files: &[Fetched], out: &Path) -> anyhow::Result<Vec<Fetched>> {
    std::fs::create_dir_all(out).with_context(|| format!("make the folder {}", out.display()))?;
    let name_here = |file: &Fetched| match file.name.as_str() {
        README => MODEL_CARD.to_owned(),
        name => name.rsplit('/').next().unwrap_or(name).to_owned(),
    };
    let mut copies: Vec<Fetched> = files
        .iter()
        .map(|file| Fetched {
            path: out.join(name_here(file)),
            ..file.clone()
        })
        .collect();
    for copy in &copies {
        if copy.path.exists() && sha256_file(&copy.path)? != copy.sha256 {
            bail!(
                "another file of that name is there: choose another folder, or take it away: {:?}",
                copy.path
            );
        }
    }
    for (file, copy) in files.iter().zip(&copies).rev() {
        let mut from = std::fs::File::open(&file.path).with_context(|| format!("open {}", file.path.display()))?;
        atomic_write(&copy.path, |to| io::copy(&mut from, to).map(drop))?;
    }
    copies.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(copies)
}

fn list(args: &ListArgs) -> anyhow::Result<Done> {
    let mut folders = args.folders.clone();
    let usual = PathBuf::from("pretrained");
    if folders.is_empty() && usual.is_dir() {
        folders.push(usual);
    }
    let mut places = Vec::new();
    for folder in &folders {
        if !folder.is_dir() {
            bail!("there is no such folder: {folder:?}");
        }
        let found = cards_below(folder);
        places.extend(found.into_iter().map(|folder| (folder.display().to_string(), folder)));
    }
    for (address, folder) in Hub::from_env()?.cached() {
        if folder.join(card::FILE).is_file() {
            places.push((address.to_string(), folder));
        }
    }
    if places.is_empty() {
        say!("no encoder cards; `hounsfield weights pull ADDRESS` fetches some");
    }
    let mut broken = 0;
    for (place, folder) in &places {
        let state = match EncoderCard::load(folder) {
            Ok(_) => "ok".to_owned(),
            Err(CardError::NotHere { command, .. }) => format!("not here: {command}"),
            Err(error) => {
                broken += 1;
                format!("broken: {error}")
            }
        };
        // Nothing is wrapped or cut: addresses and commands are there to be copied.
        match EncoderCard::read(folder) {
            Ok(card) => {
                say!("{}", plain(&card.name));
                for (key, value) in facts(&card, folder) {
                    say!("  {key:<8} {}", plain(&value));
                }
            }
            Err(_) => say!("?"),
        }
        say!("  {:<8} {}", "state", plain(&state));
        say!("  {:<8} {}", "where", plain(place));
    }
    Ok(Done::with(broken))
}

fn facts(card: &EncoderCard, folder: &Path) -> [(&'static str, String); 4] {
    let layers = card.layers.iter().map(|(layer, width)| format!("{layer} {width}"));
    let sizes = card
        .files()
        .into_iter()
        .filter_map(|file| folder.join(file).metadata().ok());
    let size: u64 = sizes.map(|file| file.len()).sum();
    [
        ("kind", card.encoder.kind().to_owned()),
        ("layers", layers.collect::<Vec<_>>().join(", ")),
        ("licence", card.licence.clone()),
        ("size", if size == 0 { "-".to_owned() } else { bytes(size) }),
    ]
}

/// Without control characters: cards come from anywhere, and a terminal obeys escape sequences.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Every folder with a card in it, sorted; hidden ones are passed over, and links are not followed.
fn cards_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.join(card::FILE).is_file() {
            found.push(folder.clone());
        }
        // A folder that may not be read holds nothing that could be used.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn verify(args: &VerifyArgs) -> anyhow::Result<Done> {
    let mut failures = 0;
    for which in &args.which {
        match verify_one(which) {
            Ok(checked) => {
                for (file, hash) in checked {
                    say!("ok      {hash}  {file}");
                }
            }
            Err(error) => {
                failures += 1;
                say!("FAILED  {}: {error:#}", which.display());
            }
        }
    }
    match failures {
        n if n == args.which.len() => bail!("nothing was found to be what a card lists"),
        n => Ok(Done::with(n)),
    }
}

/// The files that were checked, with their hashes.
fn verify_one(which: &Path) -> anyhow::Result<Vec<(String, String)>> {
    if Address::is_meant_by(which) {
        let address: Address = which.to_string_lossy().parse()?;
        let hub = Hub::from_env()?;
        let pulled = Pulled::fetch(&hub, &address)?;
        if let Some(file) = &pulled.unlisted {
            bail!("its card lists no SHA-256 of `{file}`, nothing can be checked");
        }
        for file in &pulled.files {
            // What was right when it came may have been damaged since.
            let found = sha256_file(&file.path)?;
            if found != file.sha256 {
                let content = file.path.canonicalize().unwrap_or_else(|_| file.path.clone());
                bail!(
                    "`{}` in the cache has SHA-256 {found}, it came with {}: remove it and pull again: {content:?}",
                    file.name,
                    file.sha256
                );
            }
        }
        let commit = address.at(&pulled.commit);
        let shown = |file: &Fetched| (commit.with_file(Some(&file.name)).to_string(), file.sha256.clone());
        return Ok(pulled.files.iter().map(shown).collect());
    }
    let is_card = which.file_name().is_some_and(|name| name == card::FILE);
    if which.is_dir() || is_card {
        let checked = EncoderCard::load(which)?;
        let path = |file: &str| checked.folder.join(file);
        let listed = checked.card.sha256.iter();
        let mut files: Vec<(String, String)> = listed
            .map(|(file, hash)| (path(file).display().to_string(), hash.clone()))
            .collect();
        if let Some(file) = unlisted(&checked.card) {
            bail!(
                "card `{}` lists no SHA-256 of `{file}`, nothing can be checked",
                checked.card.name
            );
        }
        files.insert(0, (path(card::FILE).display().to_string(), checked.sha256.clone()));
        return Ok(files);
    }
    // A file: by the card beside it. Hashing runs nothing, whatever is in it.
    let found = sha256_file(which)?;
    let folder = which.parent().unwrap_or(Path::new(""));
    let name = which.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !folder.join(card::FILE).is_file() {
        bail!("its SHA-256 is {found}, but there is no card beside it to check it against");
    }
    match EncoderCard::read(&folder.join(card::FILE))?.sha256.get(&name) {
        Some(listed) if *listed == found => Ok(vec![(which.display().to_string(), found)]),
        Some(listed) => {
            bail!("its SHA-256 is {found}, the card lists {listed}: the file is damaged or of other weights")
        }
        None => bail!("its SHA-256 is {found}, but the card beside it does not list it"),
    }
}

fn push(args: &PushArgs) -> anyhow::Result<Done> {
    let checked = EncoderCard::load(&args.folder).context("only weights that are what their card lists are sent")?;
    let (card, folder) = (&checked.card, &checked.folder);
    if let Some(file) = card.files().iter().find(|file| !card.lists(Path::new(file))) {
        bail!(
            "card `{}` lists no SHA-256 of `{file}`: whoever fetches it could not check it",
            card.name
        );
    }
    let mut files: Vec<(String, PathBuf)> = card
        .files()
        .into_iter()
        .map(|file| (file.clone(), folder.join(file)))
        .collect();
    files.push((card::FILE.to_owned(), folder.join(card::FILE)));
    let pages = [MODEL_CARD, README].map(|page| folder.join(page));
    if let Some(page) = pages.into_iter().find(|page| page.is_file()) {
        files.push((README.to_owned(), page));
    }
    let weights = card
        .sha256
        .values()
        .next()
        .map_or("", |hash| &hash[..12.min(hash.len())]);
    let message = args
        .message
        .clone()
        .unwrap_or_else(|| format!("{} ({weights})", card.name));
    let push = Push {
        files,
        message,
        create: args.create,
        private: args.private,
    };
    let pushed = Hub::from_env()?.push(&args.address, &push)?;
    say!(
        "sent {} of `{}`: {}",
        hounsfield::words::counted(push.files.len(), "file"),
        card.name,
        pushed.address
    );
    Ok(Done::Whole)
}
