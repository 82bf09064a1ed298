//! Files by the names that a user's table gives them: a whole path, its end, or the name without its ending.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use crate::readers::SliceAddress;

/// What columns of files are called, as [`bare`] has it.
pub(super) const COLUMNS: [&str; 6] = ["path", "file", "filename", "filepath", "image", "dicom"];

/// A column's name as names are compared: `patientid` of `Patient ID` and `patient_id`.
pub(super) fn bare(name: &str) -> String {
    let letters = name.chars().filter(|letter| !matches!(letter, ' ' | '_' | '-'));
    letters.collect::<String>().to_lowercase()
}

/// Rows of a table that name files.
#[derive(Debug, Default)]
pub(super) struct NamedFiles {
    /// The rows by the last part of their name.
    rows: HashMap<String, Vec<Name>>,
}

#[derive(Debug)]
struct Name {
    /// All parts but the last.
    folders: Vec<String>,
    slice: Option<usize>,
    row: usize,
}

impl NamedFiles {
    /// Adds a row. Parts of a name stand between slashes, also backslashes, and behind the `!` of an archive; `#slice=N`
    /// names one slice of a file. What a cohort's table says of a slice is found as it stands there.
    pub fn add(&mut self, name: &str, row: usize) {
        // A file may be called `a#slice=1`.
        self.put(parts(name), None, row);
        if let Ok(address) = SliceAddress::parse(Path::new(name))
            && (address.slice.is_some() || address.rescale.is_some())
        {
            self.put(parts_of(&address), address.slice, row);
        }
    }

    fn put(&mut self, mut folders: Vec<String>, slice: Option<usize>, row: usize) {
        if let Some(last) = folders.pop() {
            self.rows.entry(last).or_default().push(Name { folders, slice, row });
        }
    }

    /// The row that names a slice; the longest name where several do.
    pub fn row(&self, address: &SliceAddress) -> Option<usize> {
        let mut folders = parts_of(address);
        let last = folders.pop()?;
        let fits = |name: &&Name| {
            folders.ends_with(&name.folders) && name.slice.is_none_or(|slice| Some(slice) == address.slice)
        };
        let mut best: Option<&Name> = None;
        for text in [last.as_str(), without_ending(&last)] {
            let longest = self.rows.get(text).into_iter().flatten().filter(fits);
            // Of names that are equally long the first: it is the one that tables say again.
            let longest = longest
                .rev()
                .max_by_key(|name| (name.folders.len(), name.slice.is_some()));
            best = best.or(longest);
        }
        best.map(|name| name.row)
    }
}

fn parts(path: &str) -> Vec<String> {
    let part = |part: &&str| !matches!(*part, "" | "." | "..");
    path.split(['/', '\\', '!']).filter(part).map(str::to_owned).collect()
}

fn parts_of(address: &SliceAddress) -> Vec<String> {
    let mut folders = parts(&address.file.to_string_lossy());
    folders.extend(address.member.iter().flat_map(|member| parts(member)));
    folders
}

fn without_ending(name: &str) -> &str {
    let short = name.strip_suffix(".gz").unwrap_or(name);
    match short.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => short,
    }
}

/// Files that each row was found to name.
#[derive(Debug, Default)]
pub(super) struct Hits<'a>(BTreeMap<usize, BTreeSet<(&'a Path, Option<&'a str>)>>);

impl<'a> Hits<'a> {
    pub fn add(&mut self, row: usize, address: &'a SliceAddress) {
        self.0
            .entry(row)
            .or_default()
            .insert((&address.file, address.member.as_deref()));
    }

    /// The first row that names several files, and how many.
    pub fn ambiguous(&self) -> Option<(usize, usize)> {
        let mut several = self.0.iter().filter(|(_, files)| files.len() > 1);
        several.next().map(|(row, files)| (*row, files.len()))
    }

    /// How many rows name a file.
    pub fn rows(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(names: &[&str], address: &str) -> Option<usize> {
        let mut files = NamedFiles::default();
        names.iter().enumerate().for_each(|(row, name)| files.add(name, row));
        files.row(&SliceAddress::parse(Path::new(address)).unwrap())
    }

    #[test]
    fn a_name_fits_the_end_of_a_path() {
        let names = ["001.dcm", "P2/001.dcm", "data\\P3\\001.dcm", "/data/P4/002"];
        assert_eq!(row(&names, "/data/P1/001.dcm"), Some(0));
        assert_eq!(row(&names, "/data/P2/001.dcm"), Some(1));
        assert_eq!(row(&names, "/data/P3/001.dcm"), Some(2));
        assert_eq!(row(&names, "/data/P4/002.dcm"), Some(3));
        assert_eq!(row(&names, "/data/P5/002.dcm"), None);
        assert_eq!(row(&names, "/data/P5/1001.dcm"), None);
    }

    #[test]
    fn members_and_slices_have_names_too() {
        let names = ["a.zip!x/1.dcm", "P.nii.gz#slice=3", "P.nii.gz", "Q"];
        assert_eq!(row(&names, "/data/a.zip!x/1.dcm"), Some(0));
        assert_eq!(row(&names, "/data/P.nii.gz#slice=3"), Some(1));
        assert_eq!(row(&names, "/data/P.nii.gz#slice=4"), Some(2));
        assert_eq!(row(&names, "/data/Q.nii.gz#slice=4"), Some(3));
    }

    #[test]
    fn what_a_cohorts_table_says_is_found() {
        let names = [
            "in/a#rescale=1,-1024",
            "in/b#slice=2&rescale=1,-1024",
            "in/z.zip!./p/0#rescale=1,0",
        ];
        for (at, name) in names.iter().enumerate() {
            assert_eq!(row(&names, &format!("/data/{name}")), Some(at), "{name}");
        }
        assert_eq!(row(&names, "/data/in/b#slice=3"), None);
        // A file may have a name that looks like more.
        let mut files = NamedFiles::default();
        files.add("in/c#slice=3", 0);
        assert_eq!(files.row(&SliceAddress::of(Path::new("/data/in/c#slice=3"))), Some(0));
    }

    #[test]
    fn columns_are_told_whatever_stands_between_their_words() {
        assert!(
            ["Patient ID", "patient_id", "PatientID", "patient-id"]
                .iter()
                .all(|name| bare(name) == "patientid")
        );
    }
}
