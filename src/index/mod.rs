//! Folders of scans to a cohort's table: who was scanned with what, slice by slice, from head to foot, and no patient named.
//!
//! ```text
//! folders ──walk──> files ──look──> Slice (facts, hash and range of its pixels) ──series──> Scan (head to foot)
//!         ──checks──> what is odd   ──select──> taken or not   ──labels──> label   ──table──> cohort.csv
//! ```
//!
//! Files are told by their content. What becomes no row is listed with the reason: nothing vanishes. Raw identifiers are
//! in memory until the table is made and leave it as salted pseudonyms only, unless the user chose to keep them.

mod checks;
mod confidential;
mod files;
mod kind;
mod labels;
mod look;
mod patients;
mod reason;
mod select;
mod series;
mod slice;
mod table;
#[cfg(test)]
mod testing;
mod volume;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

pub(crate) use self::look::Places;
use self::look::{Look, Seen};
pub use self::{
    checks::{Check, checks, usual_step},
    confidential::write_confidential,
    labels::{Joined, LabelKey, Labels},
    look::no_ct,
    reason::{LeftOut, Reason},
    select::{Selection, Selections},
    series::{Placed, Scan},
    slice::{Image, PatientBy, Place, SeriesFacts, Slice},
    table::{Site, Table, TablePlan, write_checks, write_left_out},
    volume::{read_scan, read_slices},
};
use crate::{
    ct::Rescale,
    progress::Progress,
    readers::{Finding, ReadError, SliceAddress},
    tables::{TableError, WriteError},
    words::counted,
};

/// Name of the threads that decode: a decoder that panics on a broken file is reported as that file's failure.
pub const READER: &str = "index";

/// What is to be indexed, and how.
#[derive(Debug, Clone, Default)]
pub struct IndexPlan {
    /// Folders, files and archives.
    pub roots: Vec<PathBuf>,
    /// What stored values mean in files that do not say it.
    pub rescale: Option<Rescale>,
    /// How many threads read; all that there are where `None`.
    pub threads: Option<usize>,
    /// Whether attributes with identifying content are listed.
    pub confidential: bool,
    /// Scans of fewer slices are left out.
    pub min_slices: usize,
}

/// What lies in some folders.
#[derive(Debug, Default)]
pub struct Index {
    /// Scans in the order of their files.
    pub scans: Vec<Scan>,
    /// What is no row of the table, in the order of the files.
    pub left_out: Vec<LeftOut>,
    /// The attributes with identifying content of each DICOM file, where they were asked for.
    pub confidential: Vec<(SliceAddress, Arc<Vec<Finding>>)>,
    /// DICOM files that say that text is part of their pictures, those of no scan included.
    pub burned_in: usize,
    /// How many files were looked into.
    pub files: usize,
    /// What the user must be told, without identifiers.
    pub warnings: Vec<String>,
}

impl Index {
    /// Walks the folders, looks into all files and puts slices into scans.
    ///
    /// Memory holds some 2 KB a slice (191 MB for 20,000, measured with the table), one file a thread, and two volumes.
    ///
    /// ```
    /// use std::sync::atomic::AtomicBool;
    /// use hounsfield::{index::{Index, IndexPlan}, progress::Progress};
    /// let folder = tempfile::tempdir()?;
    /// std::fs::write(folder.path().join("readme"), "no scan")?;
    /// let plan = IndexPlan { roots: vec![folder.path().to_owned()], ..IndexPlan::default() };
    /// let index = Index::of(&plan, &Progress::hidden(), &AtomicBool::new(false))?;
    /// assert_eq!((index.scans.len(), index.left_out[0].reason.kind()), (0, "no image"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A folder that can't be listed, and [`IndexError::Interrupted`] when `stop` was set. What is wrong with a file is no
    /// error but a reason to leave it out.
    pub fn of(plan: &IndexPlan, progress: &Progress, stop: &AtomicBool) -> Result<Self, IndexError> {
        Self::looked(plan, true, progress, stop)
    }

    /// [`Self::of`], with or without decoding pixels.
    fn looked(plan: &IndexPlan, pixels: bool, progress: &Progress, stop: &AtomicBool) -> Result<Self, IndexError> {
        let walk = walk::walk(&plan.roots)?;
        let look = Look {
            pixels,
            confidential: plan.confidential,
            ..Look::new(plan.rescale, stop)
        };
        let mut index = Self {
            left_out: walk.left_out,
            files: walk.files.len(),
            ..Self::default()
        };
        progress.expect(walk.files.len() as u64);
        let threads = plan
            .threads
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        let mut slices = Vec::new();
        for (file, seen) in all(&walk.files, &look, threads, progress, stop)? {
            slices.extend(seen.slices);
            index.left_out.extend(seen.left_out);
            index.burned_in += usize::from(seen.burned_in);
            index
                .confidential
                .extend(seen.confidential.map(|list| (walk.files[file].0.clone(), list)));
        }
        name_volumes_apart(&mut slices, &mut index.warnings);
        index.warnings.extend(patients::agree(&mut slices));
        index.scans = series::scans(slices, &mut index.left_out);
        index.drop_short_scans(plan.min_slices);
        index.warn_of_patients();
        index.warnings.extend(patients::copies(&index.scans));
        index.sort_left_out();
        Ok(index)
    }

    /// Into the order of the files: rows of one file follow each other.
    fn sort_left_out(&mut self) {
        self.left_out.sort_by(|a, b| key(&a.address).cmp(&key(&b.address)));
    }

    fn drop_short_scans(&mut self, least: usize) {
        let (kept, short): (Vec<Scan>, Vec<Scan>) = self.scans.drain(..).partition(|scan| scan.slices.len() >= least);
        self.scans = kept;
        for scan in short {
            let n = scan.slices.len();
            self.left_out.extend(scan.slices.into_iter().map(|placed| LeftOut {
                address: placed.slice.address,
                reason: Reason::FewSlices(n),
            }));
        }
    }

    /// Patients that are told by something else than an identifier of their own, or by one that others have too.
    fn warn_of_patients(&mut self) {
        let mut told = BTreeMap::<PatientBy, HashSet<&str>>::new();
        let mut persons = HashMap::<&str, BTreeSet<&str>>::new();
        let mut folders = 0;
        for scan in &self.scans {
            let (id, by) = scan.series.patient();
            told.entry(by).or_default().insert(id);
            if let (PatientBy::Id, Some(person)) = (by, &scan.series.person) {
                persons.entry(id).or_default().insert(person);
            }
            folders += usize::from(scan.series.series_is_folder);
        }
        let count = |by| told.get(&by).map_or(0, HashSet::len);
        let shared = persons.values().filter(|persons| persons.len() > 1).count();
        let (person, study, series, file) = (
            count(PatientBy::Person),
            count(PatientBy::Study),
            count(PatientBy::Series),
            count(PatientBy::File),
        );
        let warnings = [
            (
                person,
                "patient",
                "told by name and birth date, since files have no Patient ID",
            ),
            (
                study + series,
                "study",
                "counted as a patient of its own, since files have neither Patient ID nor name: patients with two would be split",
            ),
            (
                file,
                "patient",
                "told by the name of a volume's file, without folder and endings",
            ),
            (
                shared,
                "Patient ID",
                "of people with different names or birth dates: these count as one patient",
            ),
            (
                folders,
                "scan",
                "told by the folder, since files have no Series Instance UID",
            ),
        ];
        let warnings = warnings.into_iter().filter(|(n, _, _)| *n > 0);
        self.warnings
            .extend(warnings.map(|(n, what, why)| format!("{n} {}: {why}", words(n, what))));
    }

    /// How many files and slices were left out, by the reason's word.
    pub fn left_out_by_kind(&self) -> BTreeMap<&'static str, usize> {
        by_kind(&self.left_out)
    }

    /// How many files and slices were left out since something went wrong.
    pub fn failures(&self) -> usize {
        self.left_out.iter().filter(|left| left.reason.is_failure()).count()
    }
}

/// How many were left out, by the reason's word.
fn by_kind(left_out: &[LeftOut]) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for left in left_out {
        *kinds.entry(left.reason.kind()).or_default() += 1;
    }
    kinds
}

/// `patients` of `patient`, `studies` of `study`.
fn words(n: usize, what: &str) -> String {
    match (n, what.strip_suffix('y')) {
        (1, _) => what.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        _ => format!("{what}s"),
    }
}

/// Where something stands among all files.
fn key(address: &SliceAddress) -> (&PathBuf, &Option<String>, Option<usize>) {
    (&address.file, &address.member, address.slice)
}

/// Volumes are told by their file's name; where two files have one, as with `P001/ct.nii.gz`, by all of their path.
fn name_volumes_apart(slices: &mut [Slice], warnings: &mut Vec<String>) {
    let mut files = HashMap::<String, HashSet<String>>::new();
    for facts in slices.iter().map(|slice| &slice.series).filter(|facts| facts.volume) {
        let name = facts.patient_id.clone().unwrap_or_default();
        files.entry(name).or_default().insert(facts.series.clone());
    }
    files.retain(|_, files| files.len() > 1);
    if files.is_empty() {
        return;
    }
    let mut renamed = HashMap::<String, Arc<SeriesFacts>>::new();
    for slice in slices.iter_mut().filter(|slice| slice.series.volume) {
        let facts = &slice.series;
        if facts.patient_id.as_ref().is_some_and(|name| files.contains_key(name)) {
            let path = renamed.entry(facts.series.clone()).or_insert_with(|| {
                Arc::new(SeriesFacts {
                    patient_id: Some(facts.series.clone()),
                    ..(**facts).clone()
                })
            });
            slice.series = Arc::clone(path);
        }
    }
    warnings.push(format!(
        "{} with a name that another has too: each counts as a patient of its own, told by its path",
        counted(renamed.len(), "volume")
    ));
}

/// Looks into all files, each thread taking the next one, so that the members of an archive are read one after the other;
/// what was seen comes back in the order of the files.
fn all(
    files: &[(SliceAddress, usize)],
    look: &Look,
    threads: usize,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Vec<(usize, Seen)>, IndexError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut seen = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((address, root)) = files.get(at) else { break };
            seen.push((at, look.file(address, *root)));
            progress.tick(1);
        }
        seen
    };
    let mut seen = thread::scope(|scope| -> Result<Vec<_>, IndexError> {
        let start = |_| thread::Builder::new().name(READER.to_owned()).spawn_scoped(scope, work);
        let threads = (0..threads.clamp(1, files.len().max(1)))
            .map(start)
            .collect::<io::Result<Vec<_>>>();
        let mut seen = Vec::with_capacity(files.len());
        for thread in threads.map_err(|source| IndexError::Threads { source })? {
            // What may panic is caught a file at a time.
            seen.extend(thread.join().expect("a reader does not panic"));
        }
        Ok(seen)
    })?;
    if stop.load(Ordering::Relaxed) {
        return Err(IndexError::Interrupted);
    }
    seen.sort_unstable_by_key(|(at, _)| *at);
    Ok(seen)
}

/// Why an index can't be made. Paths come last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A folder or file that was asked for and can't be read.
    #[error("can't be read ({source}), expected a folder, an archive or a file: {}", path.display())]
    Folder {
        /// What the system said.
        source: io::Error,
        /// The folder.
        path: PathBuf,
    },
    /// No threads to be had.
    #[error("no thread to read with can be started ({source}); ask for fewer with `--threads`")]
    Threads {
        /// What the system said.
        source: io::Error,
    },
    /// The user stopped it.
    #[error("interrupted; nothing was written")]
    Interrupted,
    /// A selection that can't be understood.
    #[error(
        "`{found}` is no selection, expected `position=FROM..TO` or `lung=FROM..TO` with numbers from 0 to 1, or `list=FILE`"
    )]
    Selection {
        /// What was found.
        found: String,
    },
    /// A table of labels or a list.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Nothing to join by.
    #[error(
        "no column of the labels looks like that of a {key}, name it with `--on {key}=COLUMN`; the columns are {columns}"
    )]
    NoKeyColumn {
        /// `patient`, `study` or `file`.
        key: &'static str,
        /// The columns there are.
        columns: String,
    },
    /// Nothing to label with.
    #[error("which column is the label? Name it with `--label-column`; the columns are {columns}")]
    NoLabelColumn {
        /// The columns there are.
        columns: String,
    },
    /// Labels of others, or by other names.
    #[error(
        "none of the {keys} {key} keys of the labels in `{column}` is that of a slice: they are compared letter by letter, {}{}",
        compared_with(.key),
        but_for_case(.cased)
    )]
    NoMatch {
        /// `patient`, `study` or `file`.
        key: &'static str,
        /// How many there are.
        keys: usize,
        /// Their column.
        column: String,
        /// How many would fit but for upper and lower case.
        cased: usize,
    },
    /// One key with two labels.
    #[error(
        "rows {first} and {second} of the labels are of one {key} and differ in `{column}`: remove one, or join by another key"
    )]
    TwoLabels {
        /// `patient`, `study` or `file`.
        key: &'static str,
        /// The label's column.
        column: String,
        /// The first row, counted from 1.
        first: usize,
        /// The second.
        second: usize,
    },
    /// A file's name that several files have.
    #[error("row {row} of {table} names {files} files: write more of their path")]
    AmbiguousFile {
        /// `the labels` or `the list`.
        table: &'static str,
        /// The row, counted from 1.
        row: usize,
        /// How many files it names.
        files: usize,
    },
    /// A list whose files' column can't be told.
    #[error("which column of the list names files? Call it `path`; the columns are {columns}")]
    ListColumn {
        /// The columns there are.
        columns: String,
    },
    /// A file that could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// No format by that ending.
    #[error("the table's name ends in neither `.csv` nor `.parquet`: {}", path.display())]
    Format {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// A file that was readable before is no longer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No scan in a folder.
    #[error("no scan was found: {left_out}: {}", path.display())]
    NoScan {
        /// How many files were left out, by reason.
        left_out: String,
        /// The folder.
        path: PathBuf,
    },
    /// Several scans, or none of that number.
    #[error("{found} scans were found ({sizes}), name one of 0 to {}: {}", found - 1, path.display())]
    WhichScan {
        /// How many there are.
        found: usize,
        /// How many slices each has.
        sizes: String,
        /// The folder.
        path: PathBuf,
    },
    /// Slices that were taken for one scan.
    #[error(
        "the slices are of {found} scans ({sizes}) by their series, matrix, kernel and phase, expected one: {}",
        path.display()
    )]
    SeveralScans {
        /// How many there are.
        found: usize,
        /// How many slices each has.
        sizes: String,
        /// The first slice.
        path: PathBuf,
    },
    /// Slices that make no volume.
    #[error("the slices make no volume ({reason}): {}", path.display())]
    NoVolume {
        /// Why.
        reason: String,
        /// The folder.
        path: PathBuf,
    },
}

impl IndexError {
    /// The message without the path at its end, which may name a patient: for what is shown to others.
    pub fn without_path(&self) -> String {
        let path = match self {
            Self::Read(error) => return error.without_path(),
            Self::Folder { path, .. }
            | Self::Format { path }
            | Self::NoScan { path, .. }
            | Self::WhichScan { path, .. }
            | Self::SeveralScans { path, .. }
            | Self::NoVolume { path, .. } => path.display().to_string(),
            _ => return self.to_string(),
        };
        let message = self.to_string();
        message
            .strip_suffix(&format!(": {path}"))
            .unwrap_or(&message)
            .to_owned()
    }
}

fn compared_with(key: &str) -> &'static str {
    match key {
        "file" => "with the ends of paths, with or without the name's ending",
        _ => "with the files' own identifiers and with their pseudonyms",
    }
}

fn but_for_case(cased: &usize) -> &'static str {
    match cased {
        0 => "",
        _ => "; some are but for upper and lower case",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(series: &str, name: &str) -> Slice {
        Slice {
            series: Arc::new(SeriesFacts {
                patient_id: Some(name.to_owned()),
                series: series.to_owned(),
                volume: true,
                ..SeriesFacts::default()
            }),
            ..testing::slice(0.0)
        }
    }

    #[test]
    fn volumes_of_one_name_are_told_by_their_paths() {
        let mut slices = vec![
            volume("a/ct.nii", "ct"),
            volume("b/ct.nii", "ct"),
            volume("c/x.nii", "x"),
        ];
        let mut warnings = Vec::new();
        name_volumes_apart(&mut slices, &mut warnings);
        let patients: Vec<&str> = slices.iter().map(|slice| slice.series.patient().0).collect();
        assert_eq!(patients, ["a/ct.nii", "b/ct.nii", "x"]);
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("2 volumes") && !warnings[0].contains("nii"),
            "{warnings:?}"
        );
    }

    #[test]
    fn patients_without_identifiers_are_warned_of() {
        let scan = |facts: SeriesFacts| {
            let slice = Slice {
                series: Arc::new(facts),
                ..testing::slice(0.0)
            };
            series::scans(vec![slice], &mut Vec::new()).remove(0)
        };
        let facts = |id: Option<&str>, person: &str, series: &str| SeriesFacts {
            patient_id: id.map(str::to_owned),
            person: Some(person.to_owned()),
            series: series.to_owned(),
            ..SeriesFacts::default()
        };
        let mut index = Index {
            scans: vec![
                scan(facts(Some("0"), "DOE", "1")),
                scan(facts(Some("0"), "ROE", "2")),
                scan(facts(None, "POE", "3")),
            ],
            ..Index::default()
        };
        index.warn_of_patients();
        assert_eq!(index.warnings.len(), 2, "{:?}", index.warnings);
        assert!(
            index.warnings[0].starts_with("1 patient: told by name"),
            "{:?}",
            index.warnings
        );
        assert!(!index.warnings.concat().contains("OE"));
    }
}
