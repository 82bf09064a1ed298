//! Pickles: files of weights that are programs, and are refused wherever weights are named.
//!
//! `torch.save` writes a pickle, alone or in a zip archive, and whoever reads a pickle runs what it says,
//! <https://docs.python.org/3/library/pickle.html>.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// What pickles are called.
const ENDINGS: [&str; 6] = ["pt", "pth", "bin", "ckpt", "pkl", "pickle"];

/// A file that would have to be run to be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the weights are {what}, which runs code where it is read, and are not opened: make a safetensors file of them where you \
     trust them, `{command}`: {path:?}"
)]
pub struct PickleError {
    /// What gave it away.
    pub what: &'static str,
    /// The command that converts it.
    pub command: String,
    /// The file.
    pub path: PathBuf,
}

/// Refuses a file that is a pickle by its name or by its first bytes. A file that can't be read is left to whoever reads it.
///
/// # Errors
///
/// [`PickleError`], with the command that converts the file elsewhere.
pub fn refuse_pickle(path: &Path) -> Result<(), PickleError> {
    let mut bytes = Vec::new();
    // What can't be opened will be said by the loader, in its own words.
    let read: io::Result<usize> = File::open(path).and_then(|file| file.take(16).read_to_end(&mut bytes));
    match read.ok().and_then(|_| content(&bytes)) {
        Some(Content::Safetensors) => Ok(()),
        Some(Content::Pickle(what)) => Err(refusal(what, path)),
        None => refuse_pickle_name(path),
    }
}

/// Refuses a file by its name, before anyone has fetched it.
///
/// # Errors
///
/// As [`refuse_pickle`].
pub fn refuse_pickle_name(path: &Path) -> Result<(), PickleError> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if ENDINGS.contains(&ending.as_str()) {
        return Err(refusal("a pickle by their name", path));
    }
    Ok(())
}

enum Content {
    Safetensors,
    Pickle(&'static str),
}

/// What the first bytes say; none where they say neither.
fn content(bytes: &[u8]) -> Option<Content> {
    // A safetensors file begins with the length of its header, which may read like anything: 640 is 80 02.
    if bytes.len() > 8 && bytes[6..9] == [0, 0, b'{'] {
        return Some(Content::Safetensors);
    }
    match bytes {
        [0x80, 2..=5, ..] => Some(Content::Pickle("a pickle")),
        [b'P', b'K', 3, 4, ..] => Some(Content::Pickle(
            "a zip archive as `torch.save` writes it, with a pickle inside",
        )),
        _ => None,
    }
}

fn refusal(what: &'static str, path: &Path) -> PickleError {
    // A name that would need quoting is left to the reader.
    let plain = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    let file = path.to_str().filter(plain).unwrap_or("FILE");
    let target = Path::new(file).with_extension("safetensors");
    PickleError {
        what,
        command: format!(
            "python -c \"import torch, safetensors.torch as s; s.save_file({{k: v.contiguous() for k, v in \
             torch.load('{file}', map_location='cpu', weights_only=True).items()}}, '{}')\"",
            target.display()
        ),
        path: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_of(name: &str, bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        refuse_pickle(&path).err().map(|error| error.to_string())
    }

    #[test]
    fn pickles_are_refused_by_name_and_by_content_with_the_command() {
        for (name, bytes) in [
            ("weights.PTH", &b""[..]),
            ("pytorch_model.bin", b"?"),
            ("weights.safetensors", b"PK\x03\x04\0\0archive/data.pkl"),
            // The magic number of `torch.save` before it wrote archives.
            (
                "weights.safetensors",
                b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8",
            ),
        ] {
            let said = said_of(name, bytes).unwrap_or_else(|| panic!("{name} was let through"));
            for words in ["runs code", "weights_only=True", "s.save_file"] {
                assert!(said.contains(words), "{words:?} is not in {said}");
            }
        }
        let error = refuse_pickle_name(Path::new("runs/a/model.ckpt")).unwrap_err();
        assert!(
            error.command.contains("torch.load('runs/a/model.ckpt'"),
            "{}",
            error.command
        );
        assert!(
            error.command.contains("'runs/a/model.safetensors'"),
            "{}",
            error.command
        );
        let quoted = refuse_pickle_name(Path::new("it's.pt")).unwrap_err();
        assert!(quoted.command.contains("'FILE.safetensors'") || quoted.command.contains("'FILE'"));
    }

    #[test]
    fn a_safetensors_file_whose_header_has_640_bytes_is_no_pickle() {
        for length in [640_u64, 0x380, 0x0403_4b50] {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend(b"{\"a\":");
            assert_eq!(said_of("weights.safetensors", &bytes), None, "{length}");
            // Who calls it something else has renamed it.
            assert_eq!(said_of("weights.bin", &bytes), None);
        }
    }

    #[test]
    fn what_is_not_there_is_judged_by_its_name() {
        assert!(refuse_pickle(Path::new("no/such.pt")).is_err());
        assert_eq!(refuse_pickle(Path::new("no/such.safetensors")), Ok(()));
    }
}
