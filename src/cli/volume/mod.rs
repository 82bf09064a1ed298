//! `hounsfield volume`: what a scan is, the scan in another format, grid or order, sheets of its slices.

mod convert;
mod info;
mod view;

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use hounsfield::{
    ct::{CtVolume, Rescale},
    index::read_scan,
    readers::{ReadError, SliceAddress, Stated, open_volume},
};

use super::Done;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say what is in a volume: size, spacing, orientation, values. Names no patient
    Info(SourceArgs),
    /// Write a volume in another format, at another spacing, of another size, in another order of its axes
    Convert(convert::Args),
    /// Draw slices of a volume on one sheet, in the proportions of the body
    View(view::Args),
}

/// Where a volume comes from.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// The volume: `.nii`, `.nii.gz`, `.npy`, or a folder, archive or file with a DICOM series
    source: PathBuf,
    /// Which scan of a folder that has several, from 0 in the order of their files
    #[arg(long, value_name = "N")]
    scan: Option<usize>,
    /// Spacing of an array that has no geometry beside it, mm
    #[arg(long, value_name = "D,H,W", value_parser = lengths)]
    assume_spacing: Option<[f64; 3]>,
    /// What stored numbers mean where the file doesn't say it
    #[arg(long, value_name = "SLOPE,INTERCEPT", allow_hyphen_values = true)]
    assume_rescale: Option<Rescale>,
}

pub fn run(command: &Command) -> anyhow::Result<Done> {
    match command {
        Command::Info(args) => info::run(args),
        Command::Convert(args) => convert::run(args),
        Command::View(args) => view::run(args),
    }
}

/// A volume, and what is said of its file.
struct Source {
    volume: CtVolume,
    /// `NIfTI-1, int16`.
    format: String,
    /// Slope and intercept that were applied.
    scaling: Option<(f64, f64)>,
}

/// Reads the volume that the arguments name: a file of a volume, else whatever of DICOM is there.
fn source(args: &SourceArgs) -> anyhow::Result<Source> {
    let path = &args.source;
    let stated = Stated {
        spacing: args.assume_spacing,
        rescale: args.assume_rescale,
    };
    let file = match path.is_dir() {
        true => None,
        false => match open_volume(path, &stated) {
            Err(ReadError::NoVolume { .. }) if SliceAddress::parse(path)?.member.is_some() => {
                bail!("a series in an archive is read as a whole, name the archive alone (and `--scan N`): {path:?}")
            }
            Err(ReadError::NoVolume { .. }) => None,
            file => Some(file?),
        },
    };
    if let Some(file) = file {
        ensure!(
            args.scan.is_none(),
            "--scan is for folders, and this is one volume: {path:?}"
        );
        return Ok(Source {
            volume: file.volume,
            format: format!("{}, {}", file.format, file.stored),
            scaling: file.scaling,
        });
    }
    ensure!(
        args.assume_spacing.is_none(),
        "--assume-spacing is for arrays, DICOM files have their own spacing: {path:?}"
    );
    Ok(Source {
        volume: read_scan(path, args.scan, args.assume_rescale)?,
        format: "DICOM series".to_owned(),
        scaling: None,
    })
}

/// Refuses to write over what is read.
fn keep_source(source: &Path, target: &Path) -> anyhow::Result<()> {
    let file = SliceAddress::parse(source)?.file;
    match (file.canonicalize(), target.canonicalize()) {
        (Ok(from), Ok(to)) if from == to => bail!("source and target are one file, name another target: {target:?}"),
        _ => Ok(()),
    }
}

/// `D,H,W` as numbers.
fn three<T: std::str::FromStr>(text: &str, good: impl Fn(&T) -> bool) -> Option<[T; 3]> {
    let parts: Option<Vec<T>> = text
        .split(',')
        .map(|part| part.trim().parse().ok().filter(&good))
        .collect();
    parts?.try_into().ok()
}

fn lengths(text: &str) -> Result<[f64; 3], String> {
    three(text, |length: &f64| length.is_finite() && *length > 0.0)
        .ok_or_else(|| "expected three lengths in mm, e.g. `5,0.7,0.7`".to_owned())
}

fn counts(text: &str) -> Result<[usize; 3], String> {
    three(text, |count: &usize| *count > 0)
        .ok_or_else(|| "expected three counts of voxels, e.g. `64,256,256`".to_owned())
}
