//! Where a slice is: a file, a member of an archive, one of the slices in it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::ReadError;
use crate::ct::Rescale;

/// Where a slice is, as the `path` column of a cohort says it: `FILE[!MEMBER][#slice=N][&rescale=SLOPE,INTERCEPT]`.
///
/// - `FILE` alone is a file with one slice.
/// - `!MEMBER` names a file in a `.zip`, `.tar`, `.tar.gz` or `.tgz`.
/// - `slice=N` is one of many, counted from 0: in a volume from the head, in a multi-frame object in its own order.
/// - `rescale=` is what the user states where the file says nothing of Hounsfield units.
///
/// A file whose own name has a `!` or `#` is that file.
///
/// ```
/// use std::path::Path;
/// use hounsfield::readers::SliceAddress;
/// let address = SliceAddress::parse(Path::new("scans/a.zip!lung/b.dcm#slice=3&rescale=1,-1024"))?;
/// assert_eq!(address.file, Path::new("scans/a.zip"));
/// assert_eq!(address.member.as_deref(), Some("lung/b.dcm"));
/// assert_eq!(address.slice, Some(3));
/// assert_eq!(address.to_string(), "scans/a.zip!lung/b.dcm#slice=3&rescale=1,-1024");
/// # Ok::<(), hounsfield::readers::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SliceAddress {
    /// The file, or the archive.
    pub file: PathBuf,
    /// The file in the archive, with `/` between folders.
    pub member: Option<String>,
    /// Which of the slices in it.
    pub slice: Option<usize>,
    /// What stored values mean, where the user says it.
    pub rescale: Option<Rescale>,
}

/// How names of archives end, in lower case.
pub const ARCHIVES: [&str; 4] = [".zip", ".tar", ".tar.gz", ".tgz"];

impl SliceAddress {
    /// A file with one slice.
    pub fn of(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            member: None,
            slice: None,
            rescale: None,
        }
    }

    /// Reads an address from a path; looks at the disk only where the path holds a `!` or `#`.
    ///
    /// # Errors
    ///
    /// An unknown or unreadable part behind `#`.
    pub fn parse(path: &Path) -> Result<Self, ReadError> {
        let Some(text) = path.to_str().filter(|text| text.contains(['!', '#'])) else {
            return Ok(Self::of(path));
        };
        if path.exists() {
            return Ok(Self::of(path));
        }
        let (place, options) = match text.rsplit_once('#') {
            Some((place, options)) if options.contains('=') => (place, Some(options)),
            _ => (text, None),
        };
        let (file, member) = split_archive(place);
        let mut address = Self {
            member,
            ..Self::of(Path::new(file))
        };
        for option in options
            .unwrap_or_default()
            .split('&')
            .filter(|option| !option.is_empty())
        {
            let wrong = || ReadError::Address {
                found: option.to_owned(),
                path: path.to_owned(),
            };
            match option.split_once('=') {
                Some(("slice", _)) if address.slice.is_some() => return Err(wrong()),
                Some(("rescale", _)) if address.rescale.is_some() => return Err(wrong()),
                Some(("slice", number)) => address.slice = Some(number.parse().map_err(|_| wrong())?),
                Some(("rescale", numbers)) => address.rescale = Some(numbers.parse().map_err(|_| wrong())?),
                _ => return Err(wrong()),
            }
        }
        Ok(address)
    }
}

/// The archive and the member that a path names.
fn split_archive(place: &str) -> (&str, Option<String>) {
    let archive = place.match_indices('!').find(|(at, _)| {
        let file = place[..*at].to_ascii_lowercase();
        ARCHIVES.iter().any(|end| file.ends_with(end))
    });
    match archive {
        Some((at, _)) => (&place[..at], Some(place[at + 1..].to_owned())),
        None => (place, None),
    }
}

impl fmt::Display for SliceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(member) = &self.member {
            write!(f, "!{member}")?;
        }
        let slice = self.slice.map(|at| format!("slice={at}"));
        let rescale = self.rescale.map(|rescale| format!("rescale={rescale}"));
        let options: Vec<String> = slice.into_iter().chain(rescale).collect();
        if !options.is_empty() {
            write!(f, "#{}", options.join("&"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_their_text() {
        for text in [
            "a.dcm",
            "a/b.zip!c/d",
            "a.nii.gz#slice=12",
            "x.TAR.GZ!y#slice=0&rescale=0.5,-1000",
            "a.dcm#rescale=1,-1024",
            "odd!name.dcm",
        ] {
            let address = SliceAddress::parse(Path::new(text)).unwrap();
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(SliceAddress::parse(Path::new("odd!name.dcm")).unwrap().member, None);
    }

    #[test]
    fn what_is_no_option_is_an_error() {
        for text in [
            "a.dcm#slice=-1",
            "a.dcm#frame=1",
            "a.dcm#rescale=0,1",
            "a.dcm#rescale=1",
            "a.nii#slice=1&slice=2",
        ] {
            let error = SliceAddress::parse(Path::new(text)).unwrap_err();
            assert!(error.to_string().contains("slice=N"), "{error}");
        }
    }

    #[test]
    fn a_file_of_that_name_is_that_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a#slice=1");
        std::fs::write(&path, b"x").unwrap();
        assert_eq!(SliceAddress::parse(&path).unwrap(), SliceAddress::of(&path));
    }
}
