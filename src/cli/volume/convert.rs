//! `hounsfield volume convert`.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use hounsfield::{
    ct::{Hu, Orientation},
    readers::{NiftiVersion, PADDING_HU, WriteOptions, write_volume},
};

use super::{Done, SourceArgs, counts, keep_source, lengths, source};

/// More voxels than a CT has.
const MAX_VOXELS: usize = 1 << 31;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    from: SourceArgs,
    /// Where it goes: `.nii`, `.nii.gz`, or `.npy` with the geometry beside it as `.npy.json`
    target: PathBuf,
    /// The order of axes: `axial` (from the head, to the back, to the left) or where W, H and D go, e.g. `LPS`
    /// [default: as stored; arrays are always axial]
    #[arg(long, value_name = "CODE")]
    orientation: Option<Orientation>,
    /// Resample to this spacing, mm, along the axes of the target
    #[arg(long, value_name = "D,H,W", value_parser = lengths, conflicts_with = "isotropic")]
    spacing: Option<[f64; 3]>,
    /// Resample to this spacing in all directions
    #[arg(long, value_name = "MM")]
    isotropic: Option<f64>,
    /// Cut or fill up to this size about the centre, after resampling
    #[arg(long, value_name = "D,H,W", value_parser = counts)]
    size: Option<[usize; 3]>,
    /// What is filled up with, HU
    #[arg(long, value_name = "HU", default_value_t = PADDING_HU, allow_negative_numbers = true, value_parser = finite, requires = "size")]
    fill: Hu,
    /// Write 32-bit floats even where 16-bit integers hold all values
    #[arg(long)]
    float: bool,
    /// Write NIfTI-2, whose geometry has 64 bits
    #[arg(long)]
    nifti2: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    keep_source(&args.from.source, &args.target)?;
    let array = args
        .target
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
    let orientation = match args.orientation {
        Some(other) if array && other != Orientation::AXIAL => {
            bail!("an .npy file is written in axial order, `{other}` was asked for: leave it out, or write .nii.gz")
        }
        None if array => Some(Orientation::AXIAL),
        orientation => orientation,
    };
    if array && args.nifti2 {
        bail!("--nifti2 says nothing of an .npy file: leave it out, or write .nii.gz");
    }
    let mut volume = source(&args.from)?.volume;
    if let Some(orientation) = orientation {
        volume = volume.oriented(orientation);
    }
    if let Some(spacing) = args.spacing.or(args.isotropic.map(|length| [length; 3])) {
        volume = volume.resample(spacing)?;
    }
    if let Some(size) = args.size {
        let voxels = size
            .iter()
            .try_fold(1usize, |product, length| product.checked_mul(*length));
        ensure!(
            voxels.is_some_and(|voxels| voxels <= MAX_VOXELS),
            "size {size:?} was asked for, at most {MAX_VOXELS} voxels are made"
        );
        volume = volume.crop_or_pad(size, args.fill);
    }
    let options = WriteOptions {
        float: args.float,
        nifti: args.nifti2.then_some(NiftiVersion::Two),
    };
    write_volume(&volume, &args.target, &options)?;
    Ok(Done::Whole)
}

fn finite(text: &str) -> Result<Hu, String> {
    let hu = text.trim().parse().ok().filter(|hu: &Hu| hu.is_finite());
    hu.ok_or_else(|| "expected Hounsfield units, e.g. `-1024`".to_owned())
}
