//! The members of a module's archive, one after the other, each held against what a module may hold.

use std::{collections::BTreeSet, io::Read, path::Path};

use tar::{Entry, EntryType};

use super::{Limits, ModuleError, Trick};

/// What has been seen of an archive.
pub(super) struct Members<'a> {
    limits: Limits,
    path: &'a Path,
    seen: usize,
    names: BTreeSet<String>,
    /// The folder that holds the folder `variables`: empty, or one name.
    top: Option<String>,
    /// Bytes taken.
    taken: u64,
    /// The name that an extension header gives to the next member.
    long: Option<String>,
    /// Whether a pax header has given the next member a size.
    sized: bool,
}

/// A file of the checkpoint.
pub(super) struct Wanted {
    /// Without its folders.
    pub(super) name: String,
}

/// The longest name in an extension header, and the longest of these headers.
const MOST: u64 = 1 << 16;

impl<'a> Members<'a> {
    pub(super) fn new(limits: Limits, path: &'a Path) -> Self {
        let (names, top, long) = (BTreeSet::new(), None, None);
        Self {
            limits,
            path,
            seen: 0,
            names,
            top,
            taken: 0,
            long,
            sized: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What the member is: a file of the checkpoint, or nothing that is needed.
    pub(super) fn next<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<Option<Wanted>, ModuleError> {
        self.seen += 1;
        // An extension header and its member count as two.
        if self.seen > 2 * self.limits.members {
            return Err(self.trick(Trick::Many {
                most: self.limits.members,
            }));
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::XGlobalHeader => return Ok(None),
            EntryType::XHeader => return self.pax(entry).map(|()| None),
            EntryType::GNULongName => {
                let mut name = self.extension(entry)?;
                name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                self.long = Some(String::from_utf8(name).map_err(|_| self.trick(Trick::Unreadable))?);
                return Ok(None);
            }
            _ => {}
        }
        let name = match self.long.take() {
            Some(name) => name,
            None => std::str::from_utf8(&entry.path_bytes())
                .map_err(|_| self.trick(Trick::Unreadable))?
                .to_owned(),
        };
        if std::mem::take(&mut self.sized) {
            return Err(self.trick(Trick::PaxSize { name }));
        }
        if let Some(what) = unexpected(kind) {
            return Err(self.trick(Trick::Kind { name, what }));
        }
        let parts = self.parts(&name)?;
        if !self.names.insert(parts.join("/")) {
            return Err(self.trick(Trick::Twice { name }));
        }
        match kind {
            EntryType::Directory => Ok(None),
            _ => self.wanted(&parts, entry.size()),
        }
    }

    /// A file, if it is `variables/variables.*` in the archive or in the one folder at its top.
    fn wanted(&mut self, parts: &[&str], size: u64) -> Result<Option<Wanted>, ModuleError> {
        let (top, name) = match *parts {
            ["variables", name] => ("", name),
            [top, "variables", name] => (top, name),
            _ => return Ok(None),
        };
        if !is_of_checkpoint(name) {
            return Ok(None);
        }
        let first = self.top.get_or_insert_with(|| top.to_owned());
        if first != top {
            let two = Trick::Two {
                first: first.clone(),
                second: top.to_owned(),
            };
            return Err(self.trick(two));
        }
        self.taken = self.taken.saturating_add(size);
        if self.taken > self.limits.bytes {
            return Err(self.trick(Trick::Large {
                most: self.limits.bytes,
            }));
        }
        Ok(Some(Wanted { name: name.to_owned() }))
    }

    /// The parts of a path, which must lead down only.
    fn parts<'n>(&self, name: &'n str) -> Result<Vec<&'n str>, ModuleError> {
        let leaves = name.starts_with('/') || name.split('/').any(|part| part == "..");
        match leaves {
            true => Err(self.trick(Trick::Leaves { name: name.to_owned() })),
            false => Ok(name.split('/').filter(|part| !matches!(*part, "" | ".")).collect()),
        }
    }

    /// A pax header of the next member: lines of `LENGTH KEY=VALUE`.
    fn pax<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), ModuleError> {
        let lines = self.extension(entry)?;
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            let (line, after) = pax_line(rest).ok_or_else(|| self.trick(Trick::Unreadable))?;
            match line {
                ("path", value) => self.long = Some(value.to_owned()),
                ("size", _) => self.sized = true,
                // Of the sparse files of GNU tar, which have their own names.
                (key, _) if key.starts_with("GNU.sparse") => {
                    return Err(self.trick(Trick::Kind {
                        name: key.to_owned(),
                        what: "a file with holes",
                    }));
                }
                _ => {}
            }
            rest = after;
        }
        Ok(())
    }

    fn extension<R: Read>(&self, entry: &mut Entry<'_, R>) -> Result<Vec<u8>, ModuleError> {
        if entry.size() > MOST {
            return Err(self.trick(Trick::Unreadable));
        }
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|source| ModuleError::archive(source, self.path))?;
        Ok(bytes)
    }

    fn trick(&self, what: Trick) -> ModuleError {
        ModuleError::Trick {
            what,
            path: self.path.to_owned(),
        }
    }
}

/// Whether a file of the folder `variables` belongs to the checkpoint.
pub(super) fn is_of_checkpoint(name: &str) -> bool {
    let shard = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit() || b"-of".contains(&byte));
    name == "variables.index" || name.strip_prefix("variables.data-").is_some_and(shard)
}

/// The first line of a pax header, and what follows it.
fn pax_line(bytes: &[u8]) -> Option<((&str, &str), &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (line, after) = bytes.split_at_checked(length)?;
    let line = std::str::from_utf8(line.get(space + 1..)?).ok()?.strip_suffix('\n')?;
    Some((line.split_once('=')?, after))
}

fn unexpected(kind: EntryType) -> Option<&'static str> {
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => None,
        EntryType::Symlink => Some("a link"),
        EntryType::Link => Some("a hard link"),
        EntryType::Char | EntryType::Block => Some("a device"),
        EntryType::Fifo => Some("a pipe"),
        EntryType::GNUSparse => Some("a file with holes"),
        _ => Some("of a kind that is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_checkpoint_are_told_by_their_names() {
        assert!(is_of_checkpoint("variables.index") && is_of_checkpoint("variables.data-00000-of-00001"));
        assert!(!is_of_checkpoint("variables.data-00000-of-00001.tempstate1") && !is_of_checkpoint("checkpoint"));
    }

    #[test]
    fn lines_of_pax_headers_count_themselves() {
        let (line, after) = pax_line(b"12 path=a/b\n11 size=77\n").unwrap();
        assert_eq!((line, after), (("path", "a/b"), b"11 size=77\n".as_slice()));
        for wrong in [
            b"99 path=a\n".as_slice(),
            b"path=a\n",
            b"0 path=a\n",
            b"9 path=a ",
            b"3 \xff\n",
        ] {
            assert_eq!(pax_line(wrong), None, "{wrong:?}");
        }
    }
}
