//! Which files lie in a folder: in order, archives looked into, links not followed out.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{IndexError, LeftOut, Reason};
use crate::readers::{self, Archive, SliceAddress};

/// What lies in the folders that were asked for.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Files and members of archives that may hold slices, and under which folder, in order.
    pub files: Vec<(SliceAddress, usize)>,
    /// What was not even looked at.
    pub left_out: Vec<LeftOut>,
    /// Files that were reached, where they really lie.
    reached: HashSet<PathBuf>,
}

/// Walks folders, files and archives.
///
/// Names are sorted. A link to a file is followed where its target lies under the same folder; links to folders never are, so
/// that no walk goes in circles. A file that is reached twice is looked into once. What starts with a dot is passed over, and a DICOMDIR is.
pub(super) fn walk(roots: &[PathBuf]) -> Result<Walk, IndexError> {
    let mut walk = Walk::default();
    for (at, root) in roots.iter().enumerate() {
        let unread = |source| IndexError::Folder {
            source,
            path: root.clone(),
        };
        // Paths in a table must hold wherever a command is given.
        let real = root.canonicalize().map_err(unread)?;
        if real.is_dir() {
            walk.folder(&real, at).map_err(unread)?;
        } else {
            walk.file(real, at);
        }
    }
    Ok(walk)
}

impl Walk {
    /// All that lies under a folder; an error is that of the folder itself.
    fn folder(&mut self, root: &Path, at: usize) -> io::Result<()> {
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match list(&folder) {
                Ok(entries) => entries,
                Err(error) if folder == root => return Err(error),
                Err(error) => {
                    self.leave(&folder, Reason::Unreadable(format!("folder can't be listed: {error}")));
                    continue;
                }
            };
            let mut inner = Vec::new();
            for (path, kind) in entries {
                if path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with('.'))
                {
                    self.leave(&path, Reason::Hidden);
                } else if kind.is_dir() {
                    inner.push(path);
                } else if kind.is_file() || (kind.is_symlink() && stays(&path, root)) {
                    self.file(path, at);
                } else if kind.is_symlink() {
                    self.leave(&path, Reason::Link);
                } else {
                    self.leave(&path, Reason::NoImage);
                }
            }
            // The last is looked at first: names stay in order.
            folders.extend(inner.into_iter().rev());
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, at: usize) {
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_ascii_lowercase)
        else {
            return self.leave(&path, Reason::Name);
        };
        // Folders are walked by their real paths, so that only a link has another one.
        let real = match path.is_symlink() {
            true => path.canonicalize().unwrap_or_else(|_| path.clone()),
            false => path.clone(),
        };
        if path.to_str().is_none() {
            self.leave(&path, Reason::Name);
        } else if !self.reached.insert(real) {
            self.leave(&path, Reason::SameFile);
        } else if name == "dicomdir" {
            self.leave(&path, Reason::Directory);
        } else if Archive::is_named_like_one(&path) {
            self.archive(path, at);
        } else {
            self.files.push((SliceAddress::of(&path), at));
        }
    }

    fn archive(&mut self, path: PathBuf, at: usize) {
        let archive = match readers::archive(&path) {
            Ok(archive) => archive,
            Err(error) => return self.leave(&path, Reason::Unreadable(super::look::sentence(&error))),
        };
        for refused in archive.refused() {
            let address = SliceAddress {
                member: Some(refused.name.clone()),
                ..SliceAddress::of(&path)
            };
            let reason = Reason::Refused(refused.why);
            self.left_out.push(LeftOut { address, reason });
        }
        let mut names: Vec<&str> = archive.members().iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        for name in names {
            let address = SliceAddress {
                member: Some(name.to_owned()),
                ..SliceAddress::of(&path)
            };
            let parts = || name.split('/');
            // `tar czf x.tar.gz .` writes `./a/b`.
            let hidden = |part: &str| part.starts_with('.') && part != "." || part == "__MACOSX";
            let reason = if parts().any(hidden) {
                Reason::Hidden
            } else if parts()
                .next_back()
                .is_some_and(|part| part.eq_ignore_ascii_case("dicomdir"))
            {
                Reason::Directory
            } else {
                self.files.push((address, at));
                continue;
            };
            self.left_out.push(LeftOut { address, reason });
        }
    }

    fn leave(&mut self, path: &Path, reason: Reason) {
        let address = SliceAddress::of(path);
        self.left_out.push(LeftOut { address, reason });
    }
}

/// What lies in a folder, by name.
fn list(folder: &Path) -> io::Result<Vec<(PathBuf, fs::FileType)>> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

/// Whether a link leads to a file under the root.
fn stays(link: &Path, root: &Path) -> bool {
    link.canonicalize()
        .is_ok_and(|target| target.starts_with(root) && target.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(walk: &Walk, root: &Path) -> Vec<String> {
        let root = root.canonicalize().unwrap();
        let short = |file: &Path| file.strip_prefix(&root).unwrap().display().to_string();
        walk.files.iter().map(|(address, _)| short(&address.file)).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_names() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b/2", "b/1", "a/x.dcm", "c", "b/.hidden", "DICOMDIR"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let walk = walk(&[root.path().to_owned()]).unwrap();
        let mut found = names(&walk, root.path());
        assert_eq!(found.len(), 4);
        found.retain(|name| name.contains('/'));
        assert_eq!(found, ["a/x.dcm", "b/1", "b/2"]);
        let reasons: Vec<&str> = walk.left_out.iter().map(|left| left.reason.kind()).collect();
        assert_eq!(reasons, ["DICOMDIR", "hidden file"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_to_files_of_the_same_folder_only() {
        use std::os::unix::fs::symlink;
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("in")).unwrap();
        fs::write(root.path().join("in/a"), "x").unwrap();
        fs::write(other.path().join("secret"), "x").unwrap();
        symlink(root.path().join("in/a"), root.path().join("b")).unwrap();
        symlink(other.path().join("secret"), root.path().join("c")).unwrap();
        symlink(root.path(), root.path().join("in/circle")).unwrap();
        symlink("/no/such/file", root.path().join("d")).unwrap();
        let walk = walk(&[root.path().to_owned()]).unwrap();
        // `b` leads to `in/a`: one of both is enough.
        assert_eq!(names(&walk, root.path()), ["b"]);
        let left_out = |reason| walk.left_out.iter().filter(|left| left.reason == reason).count();
        assert_eq!((left_out(Reason::Link), left_out(Reason::SameFile)), (3, 1));
    }

    #[test]
    fn folders_within_each_other_are_read_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        fs::write(root.path().join("in/a"), "x").unwrap();
        let walk = walk(&[root.path().to_owned(), root.path().join("in"), root.path().join("in/a")]).unwrap();
        assert_eq!(names(&walk, root.path()), ["in/a"]);
        assert_eq!(walk.left_out.len(), 2);
    }

    /// `tar czf scans.tar.gz .` names its members so.
    #[test]
    fn members_below_the_folder_dot_are_not_hidden() {
        let root = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(fs::File::create(root.path().join("scans.tar")).unwrap());
        for name in ["./p/0", "./.hidden/1"] {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(4);
            header.set_cksum();
            tar.append(&header, &b"some"[..]).unwrap();
        }
        tar.finish().unwrap();
        let walk = walk(&[root.path().to_owned()]).unwrap();
        let [(address, _)] = &walk.files[..] else {
            panic!("{:?}", walk.files)
        };
        assert!(address.to_string().ends_with("scans.tar!./p/0"), "{address}");
        let again = SliceAddress::parse(Path::new(&address.to_string())).unwrap();
        assert_eq!(readers::content(&again).unwrap(), b"some");
        assert_eq!(walk.left_out.len(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let error = walk(&[PathBuf::from("/no/such/folder")]).unwrap_err();
        assert!(error.to_string().ends_with("/no/such/folder"), "{error}");
    }
}
