//! DeepMind's BigBiGAN module of TensorFlow Hub as three files of weights and a card, without TensorFlow.
//!
//! The module holds every trained variable twice, as it was trained and averaged over the training, and the statistics of
//! batch norms as sums beside a counter. Features are made with the averages; a training goes on from what was trained.
//! The generator's names are those that <https://github.com/anvoynov/BigGANsAreWatching> reads; see [`super::names`] for the
//! others.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use safetensors::Dtype;

use super::{
    ConvertError,
    bundle::Bundle,
    module::Module,
    names::{Entry, Overrides, Plan, resolve},
};
use crate::{
    card::{Conversion, EncoderCard, GeneratorEntry},
    encoder::{EncoderConfig, Layer, PREFIX, Weights},
    progress::Progress,
    tables::write_error,
    transforms::Preprocess,
};

/// The encoder's averaged weights.
pub const WEIGHTS: &str = "weights.safetensors";

/// The generator's averaged weights.
pub const GENERATOR: &str = "generator.safetensors";

/// All networks as they were trained, singular vectors included.
pub const TRAINING: &str = "training.safetensors";

/// Which of its two values a variable has in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    /// As it was trained.
    Trained,
    /// Averaged over the training, where there is an average.
    Averaged,
}

/// A module that was read and understood.
#[derive(Debug)]
pub struct TfHub {
    module: Module,
    bundle: Bundle,
    plan: Plan,
}

/// The counters that statistics were divided by, smallest and greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counters {
    /// The smallest.
    pub least: f32,
    /// The greatest.
    pub most: f32,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The files, in the folder.
    pub files: Vec<&'static str>,
    /// By the first part of the tensors' names: `encoder`, `generator`.
    pub counters: BTreeMap<String, Counters>,
}

/// What a card says that no module tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Words {
    /// What the weights are called.
    pub name: String,
    /// What they are.
    pub description: String,
    /// Under what terms they may be used.
    pub licence: String,
    /// Where the module came from.
    pub source: String,
    /// What slices go through.
    pub preprocess: Preprocess,
}

impl TfHub {
    /// Reads a module's list of variables and finds out which is which; no values yet. `path` is its folder or its archive,
    /// which is unpacked in a folder of its own below `scratch` for as long as this lives.
    ///
    /// # Errors
    ///
    /// A module that can't be read, variables that are no BigBiGAN's, and names that leave more than one reading.
    pub fn open(path: &Path, scratch: &Path, overrides: &Overrides) -> Result<Self, ConvertError> {
        let module = Module::open(path, scratch)?;
        let bundle = Bundle::open(module.variables_prefix())?;
        let found = bundle
            .variables()
            .iter()
            .map(|(name, variable)| (name.clone(), variable.shape.clone()))
            .collect();
        let plan = resolve(&found, overrides)?;
        Ok(Self { module, bundle, plan })
    }

    /// Which variable goes where, and why.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Writes the weights into a folder, one tensor at a time. The files are whole when this returns and to be thrown away when
    /// it fails.
    ///
    /// # Errors
    ///
    /// Values that were damaged on their way, are not finite, or have no statistics behind them; a full disk.
    pub fn write(&self, folder: &Path) -> Result<Written, ConvertError> {
        self.check_averages()?;
        self.verify()?;
        let of = |prefix: &str| -> Vec<&Entry> {
            let entries = self.plan.entries.iter();
            entries.filter(|entry| entry.target.starts_with(prefix)).collect()
        };
        let mut files = vec![(WEIGHTS, Values::Averaged, of(PREFIX))];
        if self.plan.generator.is_some() {
            files.push((GENERATOR, Values::Averaged, of("generator.")));
        }
        files.push((TRAINING, Values::Trained, of("")));
        let total = files.iter().map(|(_, _, entries)| entries.len()).sum::<usize>();
        let progress = Progress::new("convert", "tensors", total as u64);
        let reader = Reader {
            bundle: &self.bundle,
            counters: RefCell::default(),
            failure: RefCell::default(),
            progress: &progress,
        };
        for (file, values, entries) in &files {
            reader.write(entries, *values, &folder.join(file))?;
        }
        progress.finish();
        Ok(Written {
            files: files.into_iter().map(|(file, _, _)| file).collect(),
            counters: reader.counters.into_inner(),
        })
    }

    /// The card of what [`TfHub::write`] wrote into a folder, with the encoder as it was found out, or as it was settled.
    ///
    /// # Errors
    ///
    /// A file that can't be read again.
    pub fn card(
        &self,
        folder: &Path,
        written: &Written,
        words: Words,
        encoder: &EncoderConfig,
        settled: BTreeMap<String, String>,
    ) -> Result<EncoderCard, ConvertError> {
        let mut encoder = encoder.clone();
        *encoder.weights_mut() = Weights::File(PathBuf::from(WEIGHTS));
        // A draw from the posterior is fresh noise at every call: no feature.
        let layers = [Layer::ZMean, Layer::ZStdev, Layer::AvepoolFeat, Layer::BnCreluFeat];
        let counters = written
            .counters
            .iter()
            .map(|(part, Counters { least, most })| match least == most {
                true => format!("{part} {least}"),
                false => format!("{part} {least} to {most}"),
            });
        Ok(EncoderCard {
            schema: EncoderCard::SCHEMA,
            name: words.name,
            description: words.description,
            licence: words.licence,
            source: words.source,
            layers: EncoderCard::widths(&encoder, &layers),
            sha256: EncoderCard::hashes(folder, &written.files)?,
            encoder,
            preprocess: words.preprocess,
            training: None,
            generator: self.plan.generator.clone().map(|network| GeneratorEntry {
                weights: PathBuf::from(GENERATOR),
                network,
            }),
            conversion: Some(Conversion {
                files: self.module.fingerprint()?.into_iter().collect(),
                names: self.plan.summary(),
                weights: self.weights_in_words().to_owned(),
                statistics_divided_by: match written.counters.is_empty() {
                    true => "nothing: the module holds means, not sums".to_owned(),
                    false => counters.collect::<Vec<_>>().join(", "),
                },
                settled,
                hounsfield: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            obtain: None,
        })
    }

    /// Checks all that the module holds, what is not taken too: damage is no matter of luck.
    fn verify(&self) -> Result<(), ConvertError> {
        let progress = Progress::bytes("check", self.bundle.bytes());
        let seen = Cell::new(0);
        let verified = self.bundle.verify(&|done| progress.tick(done - seen.replace(done)));
        progress.finish();
        Ok(verified?)
    }

    fn weights_in_words(&self) -> &'static str {
        let of_encoder = |entry: &&Entry| entry.target.starts_with(PREFIX) && is_trained(&entry.target);
        match self.plan.entries.iter().find(of_encoder) {
            Some(entry) if entry.ema.as_ref() == Some(&entry.source) => {
                "averages over the training (EMA), of which alone the module has the encoder"
            }
            Some(entry) if entry.ema.is_some() => {
                "averages over the training (EMA); `training.safetensors` as they were trained"
            }
            _ => "as they were trained: the module holds no averages of the encoder",
        }
    }

    /// A network is averaged as a whole or not at all, and has its trained values as a whole or not at all: a mixture would
    /// compute something that nobody trained.
    fn check_averages(&self) -> Result<(), ConvertError> {
        for part in [PREFIX, "generator.", "disc."] {
            let of = |entry: &&Entry| entry.target.starts_with(part) && is_trained(&entry.target);
            let trained = self.plan.entries.iter().filter(of);
            let kind = |entry: &Entry| match &entry.ema {
                None => "no average",
                Some(average) if *average == entry.source => "an average alone",
                Some(_) => "both",
            };
            let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for entry in trained {
                kinds.entry(kind(entry)).or_default().push(&entry.source);
            }
            if kinds.len() > 1 {
                let fewest = kinds.iter().min_by_key(|(_, variables)| variables.len());
                let (what, variables) = fewest.expect("there is more than one");
                return Err(ConvertError::SomeAverages {
                    of: kinds.values().map(Vec::len).sum(),
                    what: (*what).to_owned(),
                    variables: variables.iter().map(|name| (*name).to_owned()).collect(),
                });
            }
        }
        Ok(())
    }
}

/// Whether an optimiser changed it: not statistics of batch norms, not singular vectors.
fn is_trained(target: &str) -> bool {
    !matches!(target.rsplit('.').next(), Some("running_mean" | "running_var" | "u"))
}

/// Reads values when they are written, so that one tensor is in memory at a time.
struct Reader<'a> {
    bundle: &'a Bundle,
    counters: RefCell<BTreeMap<String, Counters>>,
    /// A view of a tensor has no way to fail: what went wrong is kept here.
    failure: RefCell<Option<ConvertError>>,
    progress: &'a Progress,
}

struct View<'a> {
    reader: &'a Reader<'a>,
    entry: &'a Entry,
    values: Values,
}

impl Reader<'_> {
    fn write(&self, entries: &[&Entry], values: Values, path: &Path) -> Result<(), ConvertError> {
        let views = entries.iter().map(|entry| {
            let reader = self;
            (entry.target.as_str(), View { reader, entry, values })
        });
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        // The library's file is private to its owner and takes this one's place: it gets this one's permissions.
        let io = |source| write_error(source, path);
        let permissions = fs::File::create(path)
            .and_then(|file| file.metadata())
            .map_err(io)?
            .permissions();
        let written = safetensors::serialize_to_file(views, Some(format), path);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        written.map_err(|source| match source {
            safetensors::SafeTensorError::IoError(source) => ConvertError::Write(write_error(source, path)),
            source => ConvertError::Safetensors { source },
        })?;
        fs::set_permissions(path, permissions).map_err(io)?;
        // A full disk may answer only here.
        Ok(fs::File::open(path).and_then(|file| file.sync_all()).map_err(io)?)
    }

    /// The values of a tensor, as libtorch has them.
    fn read(&self, entry: &Entry, values: Values) -> Result<Vec<f32>, ConvertError> {
        let source = match (&entry.ema, values) {
            (Some(average), Values::Averaged) => average,
            _ => &entry.source,
        };
        let mut found = self.bundle.read_f32(source)?;
        if let Some(counter) = &entry.counter {
            let counter = self.counter(counter, entry)?;
            found.iter_mut().for_each(|value| *value /= counter);
        }
        if let Some(value) = found.iter().find(|value| !value.is_finite()) {
            return Err(ConvertError::NotFinite {
                variable: source.clone(),
                value: *value,
            });
        }
        if entry.target.ends_with(".running_var")
            && let Some(value) = found.iter().find(|value| **value < 0.0)
        {
            return Err(ConvertError::NegativeVariance {
                variable: source.clone(),
                value: *value,
            });
        }
        let shape = &self.bundle.variables()[source].shape;
        let laid_out = entry.transform.apply(found, shape);
        laid_out.ok_or_else(|| ConvertError::Layout {
            variable: source.clone(),
            found: shape.clone(),
            target: entry.target.clone(),
            expected: entry.target_shape.clone(),
        })
    }

    fn counter(&self, name: &str, entry: &Entry) -> Result<f32, ConvertError> {
        let found = self.bundle.read_f32(name)?;
        let counter = match found.as_slice() {
            // Batches are counted: less than one is none.
            [counter] if *counter >= 1.0 && counter.is_finite() => *counter,
            [counter] => {
                return Err(ConvertError::Counter {
                    counter: name.to_owned(),
                    found: *counter,
                    variable: entry.source.clone(),
                });
            }
            values => {
                return Err(ConvertError::Counters {
                    counter: name.to_owned(),
                    values: values.len(),
                });
            }
        };
        let part = entry.target.split('.').next().unwrap_or_default().to_owned();
        let mut counters = self.counters.borrow_mut();
        let seen = counters.entry(part).or_insert(Counters {
            least: counter,
            most: counter,
        });
        seen.least = seen.least.min(counter);
        seen.most = seen.most.max(counter);
        Ok(counter)
    }
}

impl safetensors::View for View<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.entry.target_shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // After a failure the file is thrown away: nothing more is read for it.
        let failed = self.reader.failure.borrow().is_some();
        let read = if failed {
            None
        } else {
            self.reader.progress.tick(1);
            match self.reader.read(self.entry, self.values) {
                Ok(values) if 4 * values.len() == self.data_len() => Some(values),
                Ok(values) => {
                    *self.reader.failure.borrow_mut() = Some(ConvertError::Layout {
                        variable: self.entry.source.clone(),
                        found: vec![values.len()],
                        target: self.entry.target.clone(),
                        expected: self.entry.target_shape.clone(),
                    });
                    None
                }
                Err(error) => {
                    *self.reader.failure.borrow_mut() = Some(error);
                    None
                }
            }
        };
        match read {
            Some(values) => {
                let mut bytes = vec![0; self.data_len()];
                for (place, value) in bytes.chunks_exact_mut(4).zip(values) {
                    place.copy_from_slice(&value.to_le_bytes());
                }
                Cow::Owned(bytes)
            }
            None => Cow::Borrowed(&[]),
        }
    }

    fn data_len(&self) -> usize {
        4 * self.entry.target_shape.iter().product::<usize>()
    }
}
