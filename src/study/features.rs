//! Stage three: slices to feature tables, one Parquet file a layer. Resumes where it was interrupted.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use super::{Key, StudyError, StudyRun};
use crate::{
    cohort::{Cohort, Set, Split, SplitPlan, SplitUnit},
    encoder::{EncoderConfig, Layer, Weights},
    features::{Rows, merge_parts, read_features, write_features},
    report::LEAKAGE,
    tables::{atomic_write, read_table, sha256_file, write_csv},
};

/// The slices that gave no features, and why.
pub const FAILURES_FILE: &str = "failures.csv";

const STAGE: &str = "features";
const FOLDER: &str = "features";
/// Parts of an extraction that is not finished.
const PARTS: &str = "features/.parts";
/// What the values in the feature tables were made from, whatever the other columns say.
const VALUES: &str = "features/.values";

/// The content of [`VALUES`].
#[derive(serde::Serialize, serde::Deserialize)]
struct Values {
    key: String,
    sha256: BTreeMap<String, String>,
}

/// How the network is run. None of it changes the features beyond the rounding of 32-bit floats.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Slices a batch.
    pub batch_size: usize,
    /// Threads that decode; all cores where `None`.
    pub decode_threads: Option<usize>,
    /// Whether the first slice that fails stops the extraction.
    pub fail_first: bool,
    /// Set from elsewhere to stop after the batch in hand.
    pub stop: Arc<AtomicBool>,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        Self {
            device: "auto".to_owned(),
            batch_size: 16,
            decode_threads: None,
            fail_first: false,
            stop: Arc::default(),
        }
    }
}

/// A slice that gave no features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its row in the cohort, from 0.
    pub row: usize,
    /// Why, without paths and identifiers.
    pub reason: String,
}

impl StudyRun {
    /// Feature tables of all layers, and the slices that failed. Nothing is done where the tables are up to date; where
    /// only labels, split or other columns changed, the network is not run again.
    ///
    /// # Errors
    ///
    /// A study without an encoder, weights that do not fit, a device that is not there, an interruption.
    pub fn features(
        &mut self,
        cohort: &Cohort,
        split: Option<&Split>,
        options: &ExtractOptions,
    ) -> Result<Vec<Failure>, StudyError> {
        self.stop = Arc::clone(&options.stop);
        self.check_device(&options.device)?;
        if self.study.features.table.is_some() {
            return Ok(Vec::new());
        }
        let config = self.study.encoder.clone().ok_or(StudyError::NoEncoder)?;
        let layers = self.study.layers();
        let values_key = self.values_key(cohort, &config, &layers)?;
        let rows = annotated(cohort, split);
        let key = Key::new(STAGE)
            .text(&values_key)
            .text(&digest(&rows))
            .text(&self.card())
            .value(&self.study.watermarks())
            .finish();
        if self.begin(STAGE, &key)? {
            self.keys.insert(STAGE, key);
            let failures = self.read_failures(cohort)?;
            return match failures.first() {
                Some(Failure { row, reason }) if options.fail_first => Err(StudyError::FirstFailure {
                    row: row + 1,
                    reason: reason.clone(),
                }),
                _ => Ok(failures),
            };
        }
        let failures = if self.has_values(&values_key, &layers) {
            self.annotate(cohort, &rows, &values_key, &layers)?
        } else {
            // From here on the tables are of no known making until all of them are written.
            let mark = self.folder.join(VALUES);
            if mark.exists() {
                std::fs::remove_file(&mark).map_err(|source| StudyError::Folder { source, path: mark })?;
            }
            let failures = self.extract(cohort, &rows, &config, &layers, &values_key, options)?;
            self.write_failures(cohort, &failures)?;
            self.mark_values(&values_key, &layers)?;
            let parts = self.folder.join(PARTS);
            std::fs::remove_dir_all(&parts).map_err(|source| StudyError::Folder { source, path: parts })?;
            failures
        };
        let mut outputs: Vec<String> = layers.iter().map(|layer| format!("{FOLDER}/{layer}.parquet")).collect();
        outputs.push(FAILURES_FILE.to_owned());
        self.finish(STAGE, &key, &outputs)?;
        self.keys.insert(STAGE, key);
        Ok(failures)
    }

    /// What the tables must say of a split by slice, whose column they carry.
    fn leak_marks(&self) -> Vec<String> {
        match self.study.split.as_ref().map(SplitPlan::unit) {
            Some(SplitUnit::Slice) => vec![LEAKAGE.to_owned()],
            _ => Vec::new(),
        }
    }

    /// What the tables say of the encoder's card.
    pub(super) fn card(&self) -> String {
        self.study.card.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// The table of a layer.
    pub(super) fn feature_file(&self, layer: &str) -> PathBuf {
        self.folder.join(FOLDER).join(format!("{layer}.parquet"))
    }

    /// The tables of all layers.
    ///
    /// # Errors
    ///
    /// None for a study that extracts.
    pub fn feature_files(&self) -> Result<Vec<PathBuf>, StudyError> {
        Ok(match &self.study.features.table {
            Some(table) => vec![table.clone()],
            None => self
                .study
                .layers()
                .iter()
                .map(|layer| self.feature_file(layer.name()))
                .collect(),
        })
    }

    /// Copies the tables: one to a file, several into a folder.
    ///
    /// # Errors
    ///
    /// A place that can't be written to.
    pub fn copy_features(&self, out: &Path) -> Result<Vec<PathBuf>, StudyError> {
        let files = self.feature_files()?;
        let ending = out.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let what = match (&files[..], ending.as_deref()) {
            ([_], None | Some("parquet")) => None,
            ([_], _) => Some(
                "features are written as Parquet: end the name in .parquet, and use `hounsfield features export` for other formats",
            ),
            (_, Some("parquet")) => Some("several layers are several tables: name a folder"),
            _ => None,
        };
        if let Some(what) = what {
            return Err(StudyError::FeaturePlace {
                what,
                path: out.to_owned(),
            });
        }
        let targets: Vec<PathBuf> = match &files[..] {
            [_] if !out.is_dir() => vec![out.to_owned()],
            _ => {
                let failed = |source| StudyError::Folder {
                    source,
                    path: out.to_owned(),
                };
                std::fs::create_dir_all(out).map_err(failed)?;
                files
                    .iter()
                    .map(|file| out.join(file.file_name().unwrap_or_default()))
                    .collect()
            }
        };
        for (file, target) in files.iter().zip(&targets) {
            let failed = |source| StudyError::Folder {
                source,
                path: file.clone(),
            };
            let mut from = std::fs::File::open(file).map_err(failed)?;
            atomic_write(target, |to| std::io::copy(&mut from, to).map(drop))?;
        }
        Ok(targets)
    }

    /// The hash of all that the values depend on.
    fn values_key(&self, cohort: &Cohort, config: &EncoderConfig, layers: &[Layer]) -> Result<String, StudyError> {
        let weights = match config.weights() {
            Weights::Random => format!("random({})", self.study.seed),
            Weights::File(path) if !path.is_file() => return Err(StudyError::NoWeights { path: path.clone() }),
            Weights::File(path) => sha256_file(path)?,
        };
        let mut key = Key::new("values")
            .text(&config.describe().map_err(StudyError::Encoder)?)
            .text(&weights)
            .value(&layers.to_vec());
        key = key.text(&self.study.preprocess().sha256());
        if layers.contains(&Layer::ZSample) {
            // Its noise is drawn from the seed for each row's number.
            key = key.value(&self.study.seed);
        }
        for (id, hash) in cohort.rows.slice_id.iter().zip(&cohort.sha256) {
            key = key.text(id).text(hash.as_deref().unwrap_or_default());
        }
        Ok(key.finish())
    }

    /// Whether the tables are those that were written last, and hold the values of this key.
    fn has_values(&self, values_key: &str, layers: &[Layer]) -> bool {
        let text = std::fs::read_to_string(self.folder.join(VALUES)).unwrap_or_default();
        let Ok(values) = serde_json::from_str::<Values>(&text) else {
            return false;
        };
        let intact =
            |(name, hash): (&String, &String)| sha256_file(&self.folder.join(name)).is_ok_and(|now| now == *hash);
        values.key == values_key && values.sha256.len() == layers.len() + 1 && values.sha256.iter().all(intact)
    }

    /// Notes what the tables hold.
    fn mark_values(&self, values_key: &str, layers: &[Layer]) -> Result<(), StudyError> {
        let names = layers.iter().map(|layer| format!("{FOLDER}/{layer}.parquet"));
        let hash = |name: String| Ok((name.clone(), sha256_file(&self.folder.join(name))?));
        let values = Values {
            key: values_key.to_owned(),
            sha256: names
                .chain([FAILURES_FILE.to_owned()])
                .map(hash)
                .collect::<Result<_, StudyError>>()?,
        };
        let text = serde_json::to_string(&values).expect("strings");
        Ok(atomic_write(&self.folder.join(VALUES), |file| {
            file.write_all(text.as_bytes())
        })?)
    }

    /// Writes the tables again with other labels, splits or columns beside the same values.
    fn annotate(
        &self,
        cohort: &Cohort,
        rows: &Rows,
        values_key: &str,
        layers: &[Layer],
    ) -> Result<Vec<Failure>, StudyError> {
        let failures = self.read_failures(cohort)?;
        let kept = without(rows, &failures);
        for layer in layers {
            let path = self.feature_file(layer.name());
            let mut table = read_features(&path)?;
            table.provenance.card = self.card();
            table.provenance.watermarks = self.study.watermarks();
            table.provenance.watermarks.extend(self.leak_marks());
            table.rows = kept.clone();
            write_features(&path, &table)?;
            self.mark_values(values_key, layers)?;
        }
        tracing::info!("{STAGE}: the values are up to date, only the other columns were written again");
        Ok(failures)
    }

    /// Runs the network over all slices that are not in parts yet, then joins the parts.
    fn extract(
        &self,
        cohort: &Cohort,
        rows: &Rows,
        config: &EncoderConfig,
        layers: &[Layer],
        values_key: &str,
        options: &ExtractOptions,
    ) -> Result<Vec<Failure>, StudyError> {
        let failures = self.encode(cohort, config, layers, values_key, options)?;
        if failures.len() == cohort.len() {
            self.write_failures(cohort, &failures)?;
            let first = failures
                .first()
                .map(|failure| failure.reason.clone())
                .unwrap_or_default();
            let file = self.folder.join(FAILURES_FILE);
            return Err(StudyError::NothingExtracted {
                rows: cohort.len(),
                first,
                file,
            });
        }
        let kept = without(rows, &failures);
        for layer in layers {
            merge_parts(
                &self.parts(*layer),
                &self.feature_file(layer.name()),
                Some(&kept),
                &self.leak_marks(),
            )?;
        }
        Ok(failures)
    }

    /// Where the parts of a layer are while it is extracted.
    pub(super) fn parts(&self, layer: Layer) -> PathBuf {
        self.folder.join(PARTS).join(layer.name())
    }

    #[cfg(not(feature = "torch"))]
    pub(super) fn check_device(&self, device: &str) -> Result<(), StudyError> {
        match device {
            "auto" | "cpu" => Ok(()),
            _ => Err(StudyError::NoTorchDevice {
                device: device.to_owned(),
            }),
        }
    }

    #[cfg(not(feature = "torch"))]
    fn encode(
        &self,
        _: &Cohort,
        _: &EncoderConfig,
        _: &[Layer],
        _: &str,
        _: &ExtractOptions,
    ) -> Result<Vec<Failure>, StudyError> {
        Err(StudyError::NoTorch)
    }

    fn write_failures(&self, cohort: &Cohort, failures: &[Failure]) -> Result<(), StudyError> {
        let header = ["row", "slice_id", "reason"].map(str::to_owned);
        let cells = failures.iter().map(|Failure { row, reason }| {
            vec![
                (row + 1).to_string(),
                cohort.rows.slice_id[*row].clone(),
                reason.clone(),
            ]
        });
        Ok(write_csv(&self.folder.join(FAILURES_FILE), &header, cells)?)
    }

    fn read_failures(&self, cohort: &Cohort) -> Result<Vec<Failure>, StudyError> {
        let table = read_table(&self.folder.join(FAILURES_FILE))?;
        let of: BTreeMap<&str, usize> = cohort
            .rows
            .slice_id
            .iter()
            .enumerate()
            .map(|(row, id)| (id.as_str(), row))
            .collect();
        let ids = table.column("slice_id")?.iter().zip(table.column("reason")?);
        let failure = |(id, reason): (&Option<String>, &Option<String>)| {
            let row = *of.get(id.as_deref()?)?;
            Some(Failure {
                row,
                reason: reason.clone().unwrap_or_default(),
            })
        };
        Ok(ids.filter_map(failure).collect())
    }
}

/// The cohort's rows with their sets.
fn annotated(cohort: &Cohort, split: Option<&Split>) -> Rows {
    let mut rows = cohort.rows.clone();
    if let Some(split) = split {
        rows.split = split
            .sets()
            .iter()
            .map(|set| set.as_ref().map(Set::to_string))
            .collect();
    }
    rows
}

fn without(rows: &Rows, failures: &[Failure]) -> Rows {
    let failed: BTreeSet<usize> = failures.iter().map(|failure| failure.row).collect();
    rows.select(&(0..rows.len()).filter(|row| !failed.contains(row)).collect::<Vec<_>>())
}

fn digest(rows: &Rows) -> String {
    let mut key = Key::new("rows");
    for cells in [&rows.slice_id, &rows.scan_id, &rows.patient_id] {
        key = key.value(cells);
    }
    for cells in [&rows.label, &rows.site, &rows.split] {
        key = key.value(cells);
    }
    key.value(&rows.extra).finish()
}
