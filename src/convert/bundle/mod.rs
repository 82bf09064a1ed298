//! TensorFlow's checkpoints without TensorFlow: a TensorBundle is an index of names and the bytes of the variables
//! (`tensorflow/core/util/tensor_bundle/tensor_bundle.cc`).
//!
//! Every checksum is checked, and nothing that a file says is believed: sizes, places and shapes must agree with each
//! other and with the files before memory is taken for them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

mod block;
mod dtype;
mod error;
mod message;
mod shard;
mod slices;
mod table;
mod variable;
mod wire;

pub use self::{
    dtype::DType,
    error::{BundleError, Lie},
    table::{Table, TableError},
    variable::Variable,
    wire::WireError,
};
use self::{message::Header, shard::Shard, variable::Place};

/// `kTensorBundleVersion`, the version of the format that is read.
const VERSION: i32 = 1;

/// `TensorShape::MaxDimensions()`.
const MOST_AXES: usize = 254;

/// The most parts of a variable; every two of them are compared.
const MOST_PARTS: usize = 256;

/// The most bytes of an entry: [`MOST_PARTS`] parts of many axes.
const MOST_ENTRY: usize = 1 << 20;

/// An open checkpoint.
///
/// ```no_run
/// use hounsfield::convert::bundle::Bundle;
/// let bundle = Bundle::open("bigbigan-resnet50/variables/variables".as_ref())?;
/// for (name, variable) in bundle.variables() {
///     println!("{name} {:?} {}", variable.shape, variable.dtype);
/// }
/// let kernel: Vec<f32> = bundle.read_f32("Encoder/ResNet50/conv1/w")?;
/// # Ok::<(), hounsfield::convert::bundle::BundleError>(())
/// ```
#[derive(Debug)]
pub struct Bundle {
    variables: BTreeMap<String, Variable>,
    shards: BTreeMap<i32, Shard>,
    index: PathBuf,
}

impl Bundle {
    /// Opens the checkpoint `PREFIX.index` with its data files `PREFIX.data-00000-of-00001` and so on. Reads the index
    /// only.
    ///
    /// # Errors
    ///
    /// [`BundleError`] where a file is missing, is something else or contradicts itself.
    pub fn open(prefix: &Path) -> Result<Self, BundleError> {
        let index = suffixed(prefix, ".index");
        let read = |source| BundleError::Read {
            source,
            path: index.clone(),
        };
        let mut bytes = Vec::new();
        let file = fs::File::open(&index).map_err(read)?;
        file.take(Table::MOST as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(read)?;
        Self::parse(&bytes, index, |shard, shards| {
            Shard::open(suffixed(prefix, &format!(".data-{shard:05}-of-{shards:05}")))
        })
    }

    /// A checkpoint whose files are in memory.
    ///
    /// # Errors
    ///
    /// Those of [`Bundle::open`].
    pub fn from_bytes(index: &[u8], shards: &[Arc<[u8]>]) -> Result<Self, BundleError> {
        Self::parse(index, "memory.index".into(), |shard, count| {
            let bytes = usize::try_from(shard).ok().and_then(|shard| shards.get(shard));
            Shard::from_bytes(bytes, format!("memory.data-{shard:05}-of-{count:05}").into())
        })
    }

    fn parse(
        bytes: &[u8],
        index: PathBuf,
        open: impl Fn(i32, i32) -> Result<Shard, BundleError>,
    ) -> Result<Self, BundleError> {
        let table = Table::parse(bytes).map_err(|source| BundleError::Index {
            source,
            path: index.clone(),
        })?;
        let header = header(&table, &index)?;
        // Data files are opened when a variable lies in them: TensorFlow leaves out those without any.
        let mut shards = BTreeMap::new();
        let mut length = |shard: i32| match shards.entry(shard) {
            Entry::Occupied(open) => Ok(Shard::length(open.get())),
            Entry::Vacant(place) => Ok(place.insert(open(shard, header.shards)?).length()),
        };
        let variables = variable::variables(&table, header.shards, &mut length, &index)?;
        Ok(Self {
            variables,
            shards,
            index,
        })
    }

    /// All variables by name. One that is stored in parts is listed once.
    pub fn variables(&self) -> &BTreeMap<String, Variable> {
        &self.variables
    }

    /// Bytes of all variables.
    pub fn bytes(&self) -> u64 {
        self.variables
            .values()
            .flat_map(Variable::spans)
            .map(|span| span.size)
            .sum()
    }

    /// The values of a variable of 32-bit floats, in rows.
    ///
    /// # Errors
    ///
    /// [`BundleError`] where there is no such variable, it is of another type, or its checksum is wrong.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, BundleError> {
        let variable = self.variable(name)?;
        match variable.dtype {
            DType::Float32 => self.read(name, variable, f32::from_le_bytes),
            _ => Err(self.wrong_type(name, variable, "float32")),
        }
    }

    /// The values of a variable of 32-bit or 64-bit integers, in rows.
    ///
    /// # Errors
    ///
    /// Those of [`Bundle::read_f32`].
    pub fn read_i64(&self, name: &str) -> Result<Vec<i64>, BundleError> {
        let variable = self.variable(name)?;
        match variable.dtype {
            DType::Int32 => self.read(name, variable, |bytes| i64::from(i32::from_le_bytes(bytes))),
            DType::Int64 => self.read(name, variable, i64::from_le_bytes),
            _ => Err(self.wrong_type(name, variable, "int32 or int64")),
        }
    }

    /// Checks the checksums of all variables, in the order in which they are stored and in little memory. `progress` is
    /// given the bytes that are done so far.
    ///
    /// # Errors
    ///
    /// [`BundleError`] for the first variable whose bytes have changed.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> Result<(), BundleError> {
        let mut spans = Vec::new();
        for (name, variable) in &self.variables {
            spans.extend(variable.spans().into_iter().map(|span| (span, name, variable.dtype)));
        }
        spans.sort_unstable();
        let mut done = 0;
        for (span, name, dtype) in spans {
            let shard = &self.shards[&span.shard];
            let mut count = |bytes: u64| {
                done += bytes;
                progress(done);
            };
            match dtype {
                DType::String => {
                    shard.check_strings(name, span)?;
                    count(span.size);
                }
                _ => shard.read(name, span, |bytes| count(bytes.len() as u64))?,
            }
        }
        Ok(())
    }

    fn variable(&self, name: &str) -> Result<&Variable, BundleError> {
        self.variables.get(name).ok_or_else(|| BundleError::NoVariable {
            name: name.to_owned(),
            count: self.variables.len(),
            path: self.index.clone(),
        })
    }

    fn wrong_type(&self, name: &str, variable: &Variable, expected: &'static str) -> BundleError {
        BundleError::Type {
            name: name.to_owned(),
            found: variable.dtype,
            expected,
            path: self.index.clone(),
        }
    }

    fn read<const WIDTH: usize, T: Copy + Default>(
        &self,
        name: &str,
        variable: &Variable,
        value: impl Fn([u8; WIDTH]) -> T,
    ) -> Result<Vec<T>, BundleError> {
        let span = |span: variable::Span| {
            // Not more than the data file has, which is known since it was opened.
            let mut values = Vec::with_capacity(usize::try_from(span.values).unwrap_or(0));
            let mut take = |bytes: &[u8]| values.extend(bytes.as_chunks().0.iter().map(|bytes| value(*bytes)));
            self.shards[&span.shard].read(name, span, &mut take)?;
            Ok(values)
        };
        match &variable.place {
            Place::Whole(place) => span(*place),
            Place::Parts(parts) => {
                let mut whole = vec![T::default(); variable.shape.iter().product()];
                for (region, place) in parts {
                    region.place(&span(*place)?, &variable.shape, &mut whole);
                }
                Ok(whole)
            }
        }
    }
}

/// The header, which must be one that this reader may read.
fn header(table: &Table, index: &Path) -> Result<Header, BundleError> {
    let path = index.to_owned();
    let Some(bytes) = table.get(b"") else {
        return Err(BundleError::NoHeader { path });
    };
    let header = Header::parse(bytes).map_err(|source| BundleError::Header {
        source,
        path: path.clone(),
    })?;
    if header.shards < 1 {
        return Err(BundleError::Shards {
            found: header.shards,
            path,
        });
    }
    // `CheckVersions` of tensorflow/core/framework/versions.cc; the least producer is 0.
    if header.min_consumer > VERSION || header.producer < 0 {
        let wanted = header.min_consumer.max(0).to_string();
        return Err(BundleError::Version { wanted, path });
    }
    if header.bad_consumers.contains(&VERSION) {
        return Err(BundleError::Version {
            wanted: format!("other than {VERSION}"),
            path,
        });
    }
    match header.endianness {
        0 => Ok(header),
        _ => Err(BundleError::BigEndian { path }),
    }
}

fn suffixed(prefix: &Path, suffix: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
