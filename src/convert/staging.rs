//! A folder that is filled out of sight and shown when it is whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::ConvertError;
use crate::tables::write_error;

/// Files on their way into a folder. What is not published is removed when this is dropped.
#[derive(Debug)]
pub struct Staging {
    hidden: tempfile::TempDir,
    out: PathBuf,
}

impl Staging {
    /// A hidden folder on the disk of `out`, which need not be there yet. `files` are what will be published.
    ///
    /// # Errors
    ///
    /// Files that are there already, unless they may be replaced; a disk that can't be written to.
    pub fn beside(out: &Path, files: &[&str], replace: bool) -> Result<Self, ConvertError> {
        let there = files.iter().find(|file| out.join(file).exists());
        if let (Some(file), false) = (there, replace) {
            return Err(ConvertError::There {
                file: (*file).to_owned(),
                folder: out.to_owned(),
            });
        }
        // The nearest folder that is there: a rename can't cross disks, and a failure must leave no empty folders.
        let mut home = std::path::absolute(out).map_err(|source| write_error(source, out))?;
        while !home.is_dir() && home.pop() {}
        let mut builder = tempfile::Builder::new();
        let hidden = builder.prefix(".hounsfield-convert-").tempdir_in(&home);
        Ok(Self {
            hidden: hidden.map_err(|source| write_error(source, out))?,
            out: out.to_owned(),
        })
    }

    /// Where files are put meanwhile.
    pub fn path(&self) -> &Path {
        self.hidden.path()
    }

    /// Moves files to where they belong, in this order.
    ///
    /// # Errors
    ///
    /// A folder that can't be made or written to.
    pub fn publish(self, files: &[&str]) -> Result<(), ConvertError> {
        fs::create_dir_all(&self.out).map_err(|source| write_error(source, &self.out))?;
        for file in files {
            let target = self.out.join(file);
            fs::rename(self.path().join(file), &target).map_err(|source| write_error(source, &target))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_seen_before_it_is_published_and_nothing_stays_of_what_is_not() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("not/there/yet");
        let staging = Staging::beside(&out, &["a"], false).unwrap();
        fs::write(staging.path().join("a"), "whole").unwrap();
        assert!(!out.exists());
        staging.publish(&["a"]).unwrap();
        assert_eq!(fs::read_to_string(out.join("a")).unwrap(), "whole");

        let given_up = Staging::beside(&out, &["b"], false).unwrap();
        fs::write(given_up.path().join("b"), "half").unwrap();
        drop(given_up);
        assert!(!out.join("b").exists());
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_is_replaced_only_when_that_was_asked_for() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("a"), "old").unwrap();
        let error = Staging::beside(home.path(), &["a"], false).unwrap_err().to_string();
        assert!(
            error.contains("`a` is there already") && error.contains("--overwrite"),
            "{error}"
        );
        let staging = Staging::beside(home.path(), &["a"], true).unwrap();
        fs::write(staging.path().join("a"), "new").unwrap();
        staging.publish(&["a"]).unwrap();
        assert_eq!(fs::read_to_string(home.path().join("a")).unwrap(), "new");
    }
}
