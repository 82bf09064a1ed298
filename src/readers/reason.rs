//! Why a slice could not be read, without saying where it lies.

use std::path::Path;

use super::{ReadError, SliceAddress};

/// The sentence of an error and its cause without the path, which may name a patient: for logs and for tables that are shown
/// to others. `path` is what was read.
///
/// ```
/// use std::path::Path;
/// use hounsfield::readers::{read_slice, reason};
/// let path = Path::new("no-such-folder/jane-doe.dcm");
/// let error = read_slice(path).unwrap_err();
/// assert!(!reason(&error, path).contains("jane"));
/// ```
pub fn reason(error: &ReadError, path: &Path) -> String {
    let mut words = error.to_string();
    let address = SliceAddress::parse(path);
    let file = address.as_ref().map_or(path, |address| &address.file);
    for path in [path, file].map(|path| path.display().to_string()) {
        words = words.strip_suffix(&format!(": {path}")).unwrap_or(&words).to_owned();
        words = words.replace(&path, "the file");
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{words} ({source})"),
        None => words,
    }
}
