//! Weights: read strictly from safetensors, written atomically, or drawn from a seed.
//!
//! tch's own reader ignores names that it does not expect, stretches shapes and takes the file's precision; here a file
//! holds exactly the encoder's tensors or nothing of it is used.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt, fs,
    io::Write as _,
    path::Path,
};

use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest as _, Sha256};
use tch::{Device, Kind, Tensor};

use super::{TorchError, encoders::DinoV2};
use crate::{
    encoder::{EncoderConfig, refuse_pickle},
    tables::{hex, sha256_bytes},
};

/// Tensors by their dotted names, e.g. `encoder.stem.conv.weight`.
pub type WeightMap = BTreeMap<String, Tensor>;

/// Everything that is wrong with a set of tensors, name by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Names that the encoder needs and that are not there.
    pub missing: Vec<String>,
    /// Names that are there and that the encoder does not know.
    pub unexpected: Vec<String>,
    /// Name, shape found, shape expected.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Name and precision found; only 32-bit floats are taken.
    pub dtypes: Vec<(String, String)>,
    /// Tensors with NaN or infinity in them.
    pub not_finite: Vec<String>,
    /// Variances below zero.
    pub negative_variance: Vec<String>,
}

impl Mismatch {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with the names, shapes and precision of tensors.
    pub(super) fn between(tensors: &WeightMap, expected: &BTreeMap<String, Vec<usize>>) -> Self {
        let mut mismatch = Self::default();
        for (name, shape) in expected {
            match tensors.get(name) {
                None => mismatch.missing.push(name.clone()),
                Some(t) if t.kind() != Kind::Float => mismatch.dtypes.push((name.clone(), format!("{:?}", t.kind()))),
                Some(t) if t.size() != sizes(shape) => {
                    let found = t.size().into_iter().map(|n| n as usize).collect();
                    mismatch.shapes.push((name.clone(), found, shape.clone()));
                }
                Some(_) => {}
            }
        }
        let unexpected = tensors.keys().filter(|name| !expected.contains_key(*name));
        mismatch.unexpected.extend(unexpected.cloned());
        mismatch
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut list = |what: &str, names: Vec<String>| {
            if !names.is_empty() {
                parts.push(format!("{what} ({}): {}", names.len(), names.join(", ")));
            }
        };
        list("missing", self.missing.clone());
        list("unexpected", self.unexpected.clone());
        let shape = |(name, found, expected): &(String, _, _)| format!("{name} is {found:?}, expected {expected:?}");
        list("wrong shape", self.shapes.iter().map(shape).collect());
        let dtype = |(name, found): &(String, String)| format!("{name} is {found}, expected F32");
        list("wrong dtype", self.dtypes.iter().map(dtype).collect());
        list("not finite", self.not_finite.clone());
        list("variance below 0", self.negative_variance.clone());
        f.write_str(&parts.join("; "))
    }
}

/// The tensors of a file and the file's identity.
#[derive(Debug)]
pub struct Loaded {
    /// Every tensor of the encoder, on the CPU.
    pub tensors: WeightMap,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// Reads the encoder's weights from a `.safetensors` file. Names may lack the leading `encoder.` if all of them do; what the
/// kind [ignores](EncoderConfig::ignores) by name is left out.
///
/// # Errors
///
/// When the file cannot be read, or is not exactly the encoder's: then every wrong tensor is named and none is loaded. A
/// script has no tensors to be read.
pub fn load(config: &EncoderConfig, path: &Path) -> Result<Loaded, TorchError> {
    let (kind, expected) = (config.kind(), config.expected_tensors()?);
    match config {
        EncoderConfig::TorchScript(_) => Err(TorchError::ScriptTensors),
        EncoderConfig::DinoV2(_) => load_renamed(kind, &expected, DinoV2::canonical, path),
        _ => load_but(kind, &expected, config.prefix(), &|name| config.ignores(name), path),
    }
}

/// Reads the weights of any network, whose tensors are `expected`; their names may lack `prefix` if all of them do.
///
/// # Errors
///
/// As [`load`].
pub fn load_as(
    kind: &'static str,
    expected: &[(String, Vec<usize>)],
    prefix: &str,
    path: &Path,
) -> Result<Loaded, TorchError> {
    load_but(kind, expected, prefix, &|_| false, path)
}

/// Reads one network's weights from a file that may hold others: what does not begin with `prefix` is left there.
///
/// # Errors
///
/// As [`load`].
pub(super) fn load_part(
    kind: &'static str,
    expected: &[(String, Vec<usize>)],
    prefix: &str,
    path: &Path,
) -> Result<Loaded, TorchError> {
    load_but(kind, expected, prefix, &|name| !name.starts_with(prefix), path)
}

/// As [`load_as`], without the tensors whose names are `ignored`.
fn load_but(
    kind: &'static str,
    expected: &[(String, Vec<usize>)],
    prefix: &str,
    ignored: &dyn Fn(&str) -> bool,
    path: &Path,
) -> Result<Loaded, TorchError> {
    let bytes = read(path)?;
    let broken = |source| TorchError::Safetensors {
        source,
        path: path.to_owned(),
    };
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let bare = !file.names().iter().any(|name| name.starts_with(prefix));
    let mut views: BTreeMap<String, _> = file
        .iter()
        .filter(|(name, _)| !ignored(name))
        .map(|(name, view)| {
            (
                if bare {
                    format!("{prefix}{name}")
                } else {
                    name.to_owned()
                },
                view,
            )
        })
        .collect();

    let mut mismatch = Mismatch::default();
    let mut taken = Vec::new();
    for (name, shape) in expected {
        let Some(view) = views.remove(name) else {
            mismatch.missing.push(name.clone());
            continue;
        };
        if view.dtype() != Dtype::F32 {
            mismatch.dtypes.push((name.clone(), format!("{:?}", view.dtype())));
        } else if view.shape() != shape {
            mismatch
                .shapes
                .push((name.clone(), view.shape().to_vec(), shape.clone()));
        } else {
            let numbers = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            if !numbers.clone().all(f32::is_finite) {
                mismatch.not_finite.push(name.clone());
            } else if name.ends_with(".running_var") && numbers.clone().any(|v| v < 0.0) {
                mismatch.negative_variance.push(name.clone());
            } else {
                taken.push((name.clone(), view));
            }
        }
    }
    mismatch.unexpected.extend(views.into_keys());
    if !mismatch.is_empty() {
        return Err(TorchError::Mismatch {
            kind,
            mismatch: mismatch.into(),
            path: path.to_owned(),
        });
    }
    let mut tensors = WeightMap::new();
    for (name, view) in taken {
        let size = sizes(view.shape());
        tensors.insert(name, Tensor::f_from_data_size(view.data(), &size, Kind::Float)?);
    }
    Ok(Loaded {
        tensors,
        sha256: sha256_bytes(&bytes),
    })
}

/// As [`load`] for a network that is published under several sets of names, which `canonical` makes one.
fn load_renamed(
    kind: &'static str,
    expected: &[(String, Vec<usize>)],
    canonical: fn(&WeightMap) -> Result<WeightMap, TorchError>,
    path: &Path,
) -> Result<Loaded, TorchError> {
    let bytes = read(path)?;
    let tensors = canonical(&all_of(&bytes, kind, path)?)?;
    let mut mismatch = Mismatch::between(&tensors, &expected.iter().cloned().collect());
    for (name, tensor) in &tensors {
        if tensor.f_isfinite()?.f_all()?.int64_value(&[]) == 0 {
            mismatch.not_finite.push(name.clone());
        }
    }
    if !mismatch.is_empty() {
        return Err(TorchError::Mismatch {
            kind,
            mismatch: mismatch.into(),
            path: path.to_owned(),
        });
    }
    Ok(Loaded {
        tensors,
        sha256: sha256_bytes(&bytes),
    })
}

/// Checks that tensors in memory are exactly the encoder's.
///
/// # Errors
///
/// As [`load`]: every wrong tensor is named.
pub fn check(config: &EncoderConfig, tensors: &WeightMap) -> Result<(), TorchError> {
    check_against(config.kind(), &config.expected_tensors()?, tensors)
}

/// Checks that tensors in memory are exactly those of a network.
///
/// # Errors
///
/// As [`load`]: every wrong tensor is named.
pub fn check_against(
    kind: &'static str,
    expected: &[(String, Vec<usize>)],
    tensors: &WeightMap,
) -> Result<(), TorchError> {
    let expected = expected.iter().cloned().collect();
    let mismatch = Mismatch::between(tensors, &expected);
    if mismatch.is_empty() {
        Ok(())
    } else {
        Err(TorchError::Tensors {
            kind,
            mismatch: mismatch.into(),
        })
    }
}

/// Writes tensors to a `.safetensors` file, which appears whole or not at all. Returns the file's SHA-256.
///
/// # Errors
///
/// When the tensors are no 32-bit floats, or the file cannot be written.
pub fn save(tensors: &WeightMap, path: &Path) -> Result<String, TorchError> {
    save_with(tensors, None, path)
}

/// As [`save`], with words in the file's header.
///
/// # Errors
///
/// As [`save`].
pub(super) fn save_with(
    tensors: &WeightMap,
    metadata: Option<HashMap<String, String>>,
    path: &Path,
) -> Result<String, TorchError> {
    let wrong: Vec<_> = tensors.iter().filter(|(_, t)| t.kind() != Kind::Float).collect();
    if !wrong.is_empty() {
        let dtypes = wrong
            .into_iter()
            .map(|(name, t)| (name.clone(), format!("{:?}", t.kind())))
            .collect();
        return Err(TorchError::Tensors {
            kind: "file",
            mismatch: Box::new(Mismatch {
                dtypes,
                ..Mismatch::default()
            }),
        });
    }
    let views = tensors.iter().map(|(name, t)| {
        (
            name,
            View {
                shape: t.size().iter().map(|n| *n as usize).collect(),
                t,
            },
        )
    });
    let bytes = safetensors::serialize(views, metadata).map_err(|source| TorchError::Safetensors {
        source,
        path: path.to_owned(),
    })?;
    write_whole(&bytes, path).map_err(|source| TorchError::Io {
        verb: "written",
        source,
        path: path.to_owned(),
    })?;
    Ok(sha256_bytes(&bytes))
}

/// How files that are being written are called; one that is left is of a process that was killed.
const UNFINISHED: [&str; 2] = [".weights-", ".part"];

/// Whether a file is what a process left that was killed while it wrote weights.
pub(super) fn is_unfinished(name: &str) -> bool {
    let [prefix, suffix] = UNFINISHED;
    name.starts_with(prefix) && name.ends_with(suffix)
}

pub(super) fn write_whole(bytes: &[u8], path: &Path) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    let [prefix, suffix] = UNFINISHED;
    builder.prefix(prefix).suffix(suffix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Temporary files are private by default; a weights file is as readable as any other, less the umask.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// All tensors of a file of 32-bit floats, and the words in its header.
///
/// # Errors
///
/// When the file cannot be read, is no safetensors file, or holds something else.
pub(super) fn read_with_metadata(path: &Path) -> Result<(WeightMap, HashMap<String, String>), TorchError> {
    let bytes = read(path)?;
    let header = SafeTensors::read_metadata(&bytes).map_err(|source| TorchError::Safetensors {
        source,
        path: path.to_owned(),
    })?;
    let words = header.1.metadata().clone().unwrap_or_default();
    Ok((all_of(&bytes, "file", path)?, words))
}

/// All tensors of a file of 32-bit floats.
fn all_of(bytes: &[u8], kind: &'static str, path: &Path) -> Result<WeightMap, TorchError> {
    let file = SafeTensors::deserialize(bytes).map_err(|source| TorchError::Safetensors {
        source,
        path: path.to_owned(),
    })?;
    let mut tensors = WeightMap::new();
    let mut mismatch = Mismatch::default();
    for (name, view) in file.iter() {
        if view.dtype() == Dtype::F32 {
            let tensor = Tensor::f_from_data_size(view.data(), &sizes(view.shape()), Kind::Float)?;
            tensors.insert(name.to_owned(), tensor);
        } else {
            mismatch.dtypes.push((name.to_owned(), format!("{:?}", view.dtype())));
        }
    }
    if mismatch.is_empty() {
        return Ok(tensors);
    }
    Err(TorchError::Mismatch {
        kind,
        mismatch: mismatch.into(),
        path: path.to_owned(),
    })
}

/// The bytes of a file of tensors.
fn read(path: &Path) -> Result<Vec<u8>, TorchError> {
    refuse_pickle(path)?;
    read_any(path)
}

/// The bytes of a file, whatever it is.
pub(super) fn read_any(path: &Path) -> Result<Vec<u8>, TorchError> {
    fs::read(path).map_err(|source| TorchError::Io {
        verb: "read",
        source,
        path: path.to_owned(),
    })
}

/// SHA-256 of names, shapes and values, whatever the order and layout in memory.
pub(super) fn content_hash(tensors: &WeightMap) -> String {
    let mut hash = Sha256::new();
    for (name, t) in tensors {
        hash.update(format!("{name} {:?}\n", t.size()));
        hash.update(bytes_of(t));
    }
    hex(&hash.finalize())
}

/// The values of 32-bit floats, row after row.
fn bytes_of(t: &Tensor) -> Vec<u8> {
    let t = t.detach().to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0; 4 * t.numel()];
    t.copy_data_u8(&mut bytes, t.numel());
    bytes
}

struct View<'a> {
    shape: Vec<usize>,
    t: &'a Tensor,
}

impl safetensors::View for View<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        bytes_of(self.t).into()
    }

    fn data_len(&self) -> usize {
        4 * self.t.numel()
    }
}

/// Untrained weights: normal with variance 2 / inputs (He et al. 2015, <https://arxiv.org/abs/1502.01852>), biases 0,
/// batch norms the identity. Every tensor has a stream of its own name, so that the same seed gives the same numbers on
/// every machine and in every version of libtorch.
///
/// The last convolution of each residual branch, and the second layer of each block of the MLP, have a quarter of that
/// variance: the stored statistics of an untrained net normalise nothing, and sums of full branches double with every unit.
/// A transformer's norms and scales are the identity, its class token and positions have a standard deviation of 0.02.
///
/// # Errors
///
/// When the configuration makes no network.
pub fn random(config: &EncoderConfig, seed: u64) -> Result<WeightMap, TorchError> {
    let expected = config.expected_tensors()?;
    let drawn: Vec<Vec<f32>> = expected
        .par_iter()
        .map(|(name, shape)| draw(name, shape, seed))
        .collect();
    let mut tensors = WeightMap::new();
    for ((name, shape), values) in expected.into_iter().zip(drawn) {
        tensors.insert(name, Tensor::f_from_slice(&values)?.f_reshape(sizes(&shape))?);
    }
    Ok(tensors)
}

/// Untrained weights of a generator or discriminator: orthogonal (Saxe et al. 2014, <https://arxiv.org/abs/1312.6120>; the
/// initialisation of BigGAN), biases 0, `gamma` of the attention 0, the learned vector standard normal, `u` a random
/// direction. Streams of random numbers as in [`random`].
///
/// # Errors
///
/// When libtorch has no QR decomposition or no memory.
pub fn orthogonal(expected: &[(String, Vec<usize>)], seed: u64) -> Result<WeightMap, TorchError> {
    let mut tensors = WeightMap::new();
    for (name, shape) in expected {
        let normal = |count: usize| -> Result<Tensor, TorchError> {
            let rng = crate::seed::stream(seed, &format!("weights/{name}"));
            let values: Vec<f32> = StandardNormal.sample_iter(rng).take(count).collect();
            Ok(Tensor::f_from_slice(&values)?)
        };
        let count: usize = shape.iter().product();
        let leaf = name.rsplit('.').next().unwrap_or_default();
        let values = match leaf {
            "u" => {
                let u = normal(count)?;
                &u / u.norm()
            }
            "weight" if name.ends_with("shared.weight") => normal(count)?,
            "weight" if shape.len() > 1 => {
                let (rows, columns) = (shape[0], count / shape[0]);
                // The decomposition wants the long axis first.
                let (long, short) = (rows.max(columns) as i64, rows.min(columns) as i64);
                let (q, r) = Tensor::f_linalg_qr(&normal(count)?.reshape([long, short]), "reduced")?;
                let q = q * r.diagonal(0, 0, 1).sign();
                if rows < columns { q.tr() } else { q }
            }
            "weight" | "running_var" => Tensor::f_ones([count as i64], (Kind::Float, Device::Cpu))?,
            _ => Tensor::f_zeros([count as i64], (Kind::Float, Device::Cpu))?,
        };
        tensors.insert(name.clone(), values.f_reshape(sizes(shape))?.f_contiguous()?);
    }
    Ok(tensors)
}

fn draw(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    if shape.len() == 1 {
        let ones = [".weight", ".running_var", ".gamma"];
        let value = if ones.iter().any(|leaf| name.ends_with(leaf)) {
            1.0
        } else {
            0.0
        };
        return vec![value; count];
    }
    let inputs: usize = shape[1..].iter().product();
    let gain = match name {
        n if n.ends_with(".conv3.weight") || n.ends_with(".fc2.weight") => 0.5,
        // No ReLU follows: half the variance is enough.
        n if n.ends_with(".out.weight") || n.ends_with(".shortcut.weight") || n.ends_with(".downsample.0.weight") => {
            1.0
        }
        _ => 2.0,
    };
    let deviation = match name {
        // As the vision transformers themselves start.
        "cls_token" | "pos_embed" => 0.02,
        _ => (gain / inputs as f64).sqrt() as f32,
    };
    let mut rng = crate::seed::stream(seed, &format!("weights/{name}"));
    (0..count)
        .map(|_| {
            let normal: f32 = StandardNormal.sample(&mut rng);
            deviation * normal
        })
        .collect()
}

fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|n| *n as i64).collect()
}
