//! What can go wrong around libtorch.

use std::path::PathBuf;

use super::weights::Mismatch;
use crate::encoder::{EncoderError, Layer};

/// An error of the room that needs libtorch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// A call into libtorch failed.
    #[error("libtorch refused a call: {what}")]
    Libtorch {
        /// The first line of libtorch's words.
        what: String,
    },
    /// The same, through tch.
    #[error("libtorch refused a call: {0}")]
    Tch(#[from] tch::TchError),
    /// The configuration makes no network.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The sizes of a network of scans.
    #[error(transparent)]
    Baseline(#[from] crate::baseline::BaselineError),
    /// Scans of the wrong shape.
    #[error("scans have the shape {found:?}, the network takes [N, 1, {}, {}, {}]", size[0], size[1], size[2])]
    ScanShape {
        /// Shape found.
        found: Vec<i64>,
        /// `[D, H, W]` expected.
        size: [usize; 3],
    },
    /// Grad-CAM of a network that has no maps for it.
    #[error(
        "`{kind}` gives a class token, which is the mean of no maps that Grad-CAM could weigh: take occlusion maps (`maps.occlusion`), \
         or another trunk"
    )]
    NoMaps {
        /// The encoder.
        kind: &'static str,
    },
    /// A device that this program does not know.
    #[error("unknown device {found:?}, expected cpu, cuda, cuda:N or auto")]
    UnknownDevice {
        /// What was asked for.
        found: String,
    },
    /// CUDA was asked for on a machine without NVIDIA's driver.
    #[error("no CUDA: this machine has no NVIDIA driver (libcuda.so.1 was not found); use device cpu or auto")]
    NoDriver,
    /// CUDA was asked for, there is a driver, and libtorch's CUDA part does not load.
    #[error("no CUDA: there is a driver, but libtorch's CUDA part does not load ({why}); use device cpu or auto")]
    CudaUnusable {
        /// The loader's words.
        why: String,
    },
    /// CUDA was asked for and works, but shows no such device.
    #[error("no CUDA: {found} devices are visible, device {wanted} was asked for (numbers start at 0)")]
    NoCudaDevice {
        /// Devices that libtorch sees.
        found: i64,
        /// The number asked for.
        wanted: usize,
    },
    /// CUDA was asked for on a system other than Linux.
    #[error("no CUDA: it is only looked for on Linux; use device cpu or auto")]
    CudaUnsupported,
    /// A weights file that cannot be read or written.
    #[error("weights cannot be {verb}: {source}: {path:?}")]
    Io {
        /// `read` or `written`.
        verb: &'static str,
        /// The system's reason.
        source: std::io::Error,
        /// The file.
        path: PathBuf,
    },
    /// A file that runs code where it is read.
    #[error(transparent)]
    Pickle(#[from] crate::encoder::PickleError),
    /// A file that is no safetensors file.
    #[error("weights are no valid safetensors file ({source}): {path:?}")]
    Safetensors {
        /// The parser's reason.
        source: safetensors::SafeTensorError,
        /// The file.
        path: PathBuf,
    },
    /// A file whose tensors are not exactly those of the network.
    #[error("weights do not fit the network {kind}, nothing was loaded; {mismatch}: {path:?}")]
    Mismatch {
        /// The network.
        kind: &'static str,
        /// Every tensor that is wrong.
        mismatch: Box<Mismatch>,
        /// The file.
        path: PathBuf,
    },
    /// Tensors in memory that are not exactly those of the network.
    #[error("tensors do not fit the network {kind}; {mismatch}")]
    Tensors {
        /// The network.
        kind: &'static str,
        /// Every tensor that is wrong.
        mismatch: Box<Mismatch>,
    },
    /// Tensors that are not exactly those of the trained parameters.
    #[error("{what} do not fit the parameters, nothing was changed; {mismatch}")]
    State {
        /// What the tensors are, in the plural.
        what: &'static str,
        /// Every tensor that is wrong.
        mismatch: Box<Mismatch>,
    },
    /// Embeddings and directions that do not fit together.
    #[error("embeddings have the shape {embeddings:?}, directions {directions:?}; expected [V, N, D] and [D, M]")]
    EmbeddingShape {
        /// Shape of the embeddings.
        embeddings: Vec<i64>,
        /// Shape of the directions.
        directions: Vec<i64>,
    },
    /// An integral over nothing.
    #[error("SIGReg cannot integrate over {knots} knots up to {t_max}; it takes 2 knots or more, up to a t above 0")]
    Knots {
        /// Number of knots.
        knots: usize,
        /// The last knot.
        t_max: f64,
    },
    /// A precision that autocast does not know.
    #[error("autocast computes in BFloat16 or Half, not in {found:?}")]
    AutocastKind {
        /// The precision asked for.
        found: tch::Kind,
    },
    /// A batch of the wrong shape.
    #[error("slices have the shape {found:?}, the encoder takes [N, 3, {size}, {size}]")]
    SliceShape {
        /// Shape found.
        found: Vec<i64>,
        /// Rows and columns expected.
        size: usize,
    },
    /// A scan of the wrong size.
    #[error(transparent)]
    Scan(#[from] crate::transforms::ScanShapeError),
    /// Scans and changes that do not belong together.
    #[error("{scans} scans and {changes} changes, expected one for each scan")]
    Changes {
        /// Scans of the batch.
        scans: usize,
        /// Changes given.
        changes: usize,
    },
    /// A size that can't be cut into patches.
    #[error("slices of {size} x {size} can't be cut into patches of {patch} x {patch}, take a multiple of {patch}")]
    Patches {
        /// Rows and columns of a slice.
        size: usize,
        /// Rows and columns of a patch.
        patch: usize,
    },
    /// Latent vectors of the wrong shape.
    #[error("latent vectors have the shape {found:?}, the generator takes [N, {expected}]")]
    LatentShape {
        /// Shape found.
        found: Vec<i64>,
        /// Width expected.
        expected: usize,
    },
    /// Images of the wrong shape.
    #[error("images have the shape {found:?}, the discriminator takes [N, 3, R, R]")]
    ImageShape {
        /// Shape found.
        found: Vec<i64>,
    },
    /// Pairs of which the halves do not fit.
    #[error("images have the shape {found:?} and latent vectors {vectors:?}, expected as many of each")]
    PairShape {
        /// Shape of the images.
        found: Vec<i64>,
        /// Shape of the vectors.
        vectors: Vec<i64>,
    },
    /// A checkpoint that can't be gone on from.
    #[error("checkpoint {why}: {path:?}")]
    Checkpoint {
        /// What is wrong.
        why: String,
        /// The file.
        path: PathBuf,
    },
    /// The method of a recipe.
    #[error(transparent)]
    Method(#[from] crate::method::MethodError),
    /// Others' networks are there without us.
    #[error(
        "encoders of kind {kind} are not exported, only BigBiGAN's are: take the network from where its weights are from"
    )]
    NotExported {
        /// The kind.
        kind: &'static str,
    },
    /// Weights that were never trained are of no use elsewhere.
    #[error("encoder card `{card}` has `weights = \"random\"`: only trained weights are exported, name their file")]
    Untrained {
        /// The card's name.
        card: String,
    },
    /// Nothing to export.
    #[error(
        "encoder card `{card}` lists no layer that is the same at every call: `z_sample` needs noise and is not exported"
    )]
    OnlyNoise {
        /// The card's name.
        card: String,
    },
    /// An exported file that does not do what the encoder does.
    #[error(
        "the exported network gives `{layer}` that differs by {found:.1e} of its largest value, {allowed:.0e} is allowed: \
         nothing was written"
    )]
    ExportDiffers {
        /// The layer.
        layer: Layer,
        /// Largest difference, relative to the largest value.
        found: f64,
        /// What may be.
        allowed: f64,
    },
    /// A file that can't be hashed.
    #[error(transparent)]
    Table(#[from] crate::tables::TableError),
    /// Weights to settle that are none.
    #[error("the encoder's weights are random, and only weights of a file have switches to settle")]
    NothingToSettle,
    /// Too few latent vectors to tell anything apart.
    #[error(
        "{latents} latent vectors in batches of {batch} settle nothing, expected {least} or more in batches of 1 or more"
    )]
    FewLatents {
        /// Vectors asked for.
        latents: usize,
        /// Vectors a batch.
        batch: usize,
        /// The fewest.
        least: usize,
    },
    /// A folder that cannot be listed.
    #[error("the folder of photographs cannot be read: {source}: {path:?}")]
    Folder {
        /// The system's reason.
        source: std::io::Error,
        /// The folder.
        path: PathBuf,
    },
    /// A folder without one picture that can be decoded.
    #[error("none of {tried} files is a photograph, expected PNG, JPEG or TIFF pictures: {path:?}")]
    NoPhotograph {
        /// Files that were tried.
        tried: usize,
        /// The folder.
        path: PathBuf,
    },
    /// Noise of the wrong shape.
    #[error("noise has the shape {found:?}, expected {expected:?}")]
    NoiseShape {
        /// Shape found.
        found: Vec<i64>,
        /// Shape expected.
        expected: [i64; 2],
    },
    /// A sample was asked for without noise to make it from.
    #[error("layer {0} needs noise")]
    NoNoise(Layer),
    /// A program where tensors are wanted.
    #[error("encoder `torchscript` is a program and no set of tensors: open it from its file")]
    ScriptTensors,
    /// A file that is no program of libtorch's.
    #[error(
        "the file is no TorchScript program ({what}): write one in Python with `torch.jit.save`, after `torch.jit.trace` or \
         `torch.jit.script`: {path:?}"
    )]
    NoScript {
        /// The last of libtorch's words.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// A script that broke off.
    #[error("the script's `{method}` failed on slices {found:?}: {what}")]
    Script {
        /// The method that was called.
        method: String,
        /// Shape of what it was given.
        found: Vec<i64>,
        /// The last of libtorch's words.
        what: String,
    },
    /// A script that gives something else than was said of it.
    #[error("the script gives {found} for layer `{layer}`, expected {expected}")]
    ScriptOutput {
        /// The layer.
        layer: Layer,
        /// What it gives.
        found: String,
        /// What the settings say.
        expected: String,
    },
}
