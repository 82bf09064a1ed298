//! A study in a folder of its own, carried out by the built command and read back as its users read it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde::Deserialize;

/// One study at a time: each uses all cores, and times are reported.
static TURN: Mutex<()> = Mutex::new(());

/// A recipe and its run folder; both go with the value.
pub struct Study {
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// `results.json`, schema 1.
#[derive(Debug, Deserialize)]
pub struct Results {
    schema: u32,
    results: Vec<ResultRow>,
    #[serde(rename = "warnings")]
    _warnings: Vec<String>,
    #[serde(default)]
    pub banners: Vec<String>,
}

/// A number of the study whose metric is defined.
#[derive(Debug, Clone, Deserialize)]
pub struct ResultRow {
    pub features: String,
    head: String,
    set: String,
    pub unit: String,
    pub n_patients: usize,
    pub n_rows: usize,
    pub n_positive: usize,
    metric: String,
    pub value: f64,
    pub ci: Option<[f64; 2]>,
    pub level: f64,
    pub method: String,
}

impl Study {
    /// Writes the recipe as `study.toml`.
    pub fn new(recipe: &str) -> Self {
        // A test that failed leaves no half-done work to the next.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        fs::write(folder.path().join("study.toml"), recipe).expect("a writable temporary folder");
        Self { folder, _turn: turn }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An artefact of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join("run").join(name)
    }

    /// `hounsfield run study.toml`, from another folder than the recipe's.
    pub fn run(&self, codes: &[i32]) {
        let (recipe, run) = (self.folder().join("study.toml"), self.folder().join("run"));
        self.hounsfield(
            &[
                "run".as_ref(),
                recipe.as_os_str(),
                "--run-dir".as_ref(),
                run.as_os_str(),
            ],
            codes,
        );
    }

    /// Runs the command; it must end with one of the exit codes.
    pub fn hounsfield(&self, args: &[&OsStr], codes: &[i32]) {
        let elsewhere = tempfile::tempdir().expect("a writable temporary folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hounsfield"));
        let status = command
            .current_dir(elsewhere.path())
            .args(args)
            .status()
            .expect("it was built for this test");
        assert!(
            status.code().is_some_and(|code| codes.contains(&code)),
            "{args:?} ended with {status}"
        );
    }

    pub fn text(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{error}: {}", path.display()))
    }

    pub fn results(&self) -> Results {
        let results: Results = serde_json::from_str(&self.text("results.json")).expect("schema 1");
        assert_eq!(results.schema, 1);
        results
    }

    /// Rows of a Parquet file.
    pub fn rows(&self, name: &str) -> usize {
        let path = self.path(name);
        let file = File::open(&path).unwrap_or_else(|error| panic!("{error}: {}", path.display()));
        let reader = SerializedFileReader::new(file).expect("a Parquet file");
        usize::try_from(reader.metadata().file_metadata().num_rows()).expect("a count")
    }

    /// Slices that could not be read, one a line below the header of `failures.csv`.
    pub fn failures(&self) -> usize {
        let listed = fs::read_to_string(self.path("failures.csv")).unwrap_or_default();
        listed.lines().count().saturating_sub(1)
    }
}

impl Results {
    /// The one number of this head, set and metric.
    pub fn find(&self, head: &str, set: &str, metric: &str) -> &ResultRow {
        let fits = |row: &&ResultRow| row.head == head && row.set == set && row.metric == metric;
        let found: Vec<_> = self.results.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "numbers for {head}, {set}, {metric}");
        found[0]
    }
}

pub fn modified(path: &Path) -> SystemTime {
    let time = fs::metadata(path).and_then(|file| file.modified());
    time.unwrap_or_else(|error| panic!("{error}: {}", path.display()))
}

/// The most memory that one child process has held so far.
pub fn peak_gigabytes() -> f64 {
    // SAFETY: rusage is plain numbers, for which zeros are valid, and getrusage only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    usage.ru_maxrss as f64 * unit / 1e9
}
