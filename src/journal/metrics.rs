//! The run's numbers, one JSON object a line (<https://jsonlines.org>), for notebooks and `tail -f`.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::JournalError;
use crate::tables::{atomic_write, write_error};

/// Appends to `metrics.jsonl`. A line is in the file when [`append`](Self::append) returns.
///
/// ```
/// use hounsfield::journal::MetricsLog;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("metrics.jsonl");
/// let mut log = MetricsLog::create(&path)?;
/// log.append(100, 6400, [("loss", 0.5), ("gradient", f64::INFINITY)])?;
/// log.append(200, 12800, [("loss", 0.25), ("gradient", 1.5)])?;
///
/// let mut log = MetricsLog::resume(&path, 100)?; // from a checkpoint of step 100
/// log.append(150, 9600, [("loss", 0.375)])?;
/// let text = std::fs::read_to_string(&path)?;
/// let lines: Vec<&str> = text.lines().collect();
/// assert_eq!(lines.len(), 2);
/// assert!(lines[0].starts_with(r#"{"step":100,"images":6400,"wall_s":0."#));
/// assert!(lines[0].ends_with(r#""loss":0.5,"gradient":"inf"}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MetricsLog {
    file: File,
    path: PathBuf,
    /// Seconds of the run before this start of the program.
    before_s: f64,
    started: Instant,
}

/// What is read of a line when a run is resumed.
#[derive(Deserialize)]
struct Stamp {
    step: u64,
    wall_s: f64,
}

impl MetricsLog {
    /// Begins an empty log; an older file is overwritten.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`].
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        atomic_write(path, |_| Ok(()))?;
        Self::open(path, 0.0)
    }

    /// Goes on with the log of a run whose last checkpoint is of this step. Lines of later steps are cut off, and so is
    /// a last line that was torn; a log that isn't there begins empty. `wall_s` goes on from the last line that is
    /// kept.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] for a whole line that can't be read, [`JournalError::Read`], [`JournalError::Write`].
    pub fn resume(path: &Path, step: u64) -> Result<Self, JournalError> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::create(path),
            text => text.map_err(|source| JournalError::Read {
                source,
                path: path.to_owned(),
            })?,
        };
        let (mut kept, mut before_s) = (Vec::new(), 0.0);
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if !line.ends_with(b"\n") {
                break; // Torn: a line is written together with its end.
            }
            let stamp: Stamp = serde_json::from_slice(line).map_err(|_| JournalError::Damaged {
                line: index + 1,
                path: path.to_owned(),
            })?;
            if stamp.step <= step {
                kept.extend_from_slice(line);
                before_s = stamp.wall_s;
            }
        }
        atomic_write(path, |file| file.write_all(&kept))?;
        Self::open(path, before_s)
    }

    fn open(path: &Path, before_s: f64) -> Result<Self, JournalError> {
        let file = File::options().append(true).open(path);
        Ok(Self {
            file: file.map_err(|source| write_error(source, path))?,
            path: path.to_owned(),
            before_s,
            started: Instant::now(),
        })
    }

    /// Appends the line of a step: `{"step": .., "images": .., "wall_s": .., NAME: VALUE, ..}`.
    ///
    /// `images` is how many the run has seen so far; `wall_s` is how many seconds it has run, over all its starts. JSON
    /// has no NaN and no infinity: they are written as `"NaN"`, `"inf"` and `"-inf"`.
    ///
    /// # Errors
    ///
    /// [`JournalError::RepeatedName`], [`JournalError::Write`].
    pub fn append(
        &mut self,
        step: u64,
        images: u64,
        values: impl IntoIterator<Item = (impl Into<String>, f64)>,
    ) -> Result<(), JournalError> {
        let wall_ms = (1e3 * (self.before_s + self.started.elapsed().as_secs_f64())).round();
        let mut line = Map::new();
        line.insert("step".to_owned(), step.into());
        line.insert("images".to_owned(), images.into());
        line.insert("wall_s".to_owned(), (wall_ms / 1e3).into());
        for (name, value) in values {
            let name = name.into();
            if line.insert(name.clone(), number(value)).is_some() {
                return Err(JournalError::RepeatedName { name });
            }
        }
        let line = format!("{}\n", Value::Object(line));
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| write_error(source, &self.path).into())
    }
}

fn number(value: f64) -> Value {
    if value.is_finite() {
        value.into()
    } else {
        value.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &Path) -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap();
        let stamps = text.lines().map(|line| serde_json::from_str::<Stamp>(line).unwrap());
        stamps.map(|stamp| stamp.step).collect()
    }

    #[test]
    fn a_resumed_log_has_each_step_once_and_no_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::resume(&path, 0).unwrap();
        for step in 1..=5 {
            log.append(step, 8 * step, [("loss", 1.0 / step as f64)]).unwrap();
        }
        log.file.write_all(b"{\"step\":6,\"ima\xff").unwrap();
        let mut log = MetricsLog::resume(&path, 3).unwrap();
        assert_eq!(steps(&path), [1, 2, 3]);
        log.append(4, 32, [("loss", 0.25)]).unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4]);
    }

    #[test]
    fn the_seconds_go_on_from_the_line_that_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = |step: u64, seconds: f64| format!("{{\"step\":{step},\"images\":1,\"wall_s\":{seconds}}}\n");
        fs::write(&path, line(1, 500.0) + &line(2, 900.0)).unwrap();
        let none: [(&str, f64); 0] = [];
        MetricsLog::resume(&path, 1).unwrap().append(2, 1, none).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let last: Stamp = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert!((500.0..560.0).contains(&last.wall_s), "{}", last.wall_s);
    }

    #[test]
    fn every_line_is_json_whatever_the_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::create(&path).unwrap();
        let values = [("a\"b", f64::NAN), ("c", f64::NEG_INFINITY), ("d", 0.1)];
        log.append(1, 2, values).unwrap();
        let line: Map<String, Value> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!((&line["a\"b"], &line["c"]), (&"NaN".into(), &"-inf".into()));
        assert_eq!(line["d"], 0.1);
    }

    #[test]
    fn a_damaged_line_and_a_name_that_is_taken_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::create(&path).unwrap();
        let error = log.append(1, 1, [("step", 2.0)]).unwrap_err();
        assert!(matches!(error, JournalError::RepeatedName { name } if name == "step"));
        assert_eq!(fs::read(&path).unwrap(), b"", "nothing of the line was written");
        log.append(1, 1, [("loss", 2.0)]).unwrap();
        log.file.write_all(b"loss is 3\n").unwrap();
        let error = MetricsLog::resume(&path, 1).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
        assert!(
            fs::read(&path).unwrap().ends_with(b"loss is 3\n"),
            "the file is as it was"
        );
    }
}
