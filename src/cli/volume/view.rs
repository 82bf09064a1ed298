//! `hounsfield volume view`: a contact sheet.

use std::path::PathBuf;

use anyhow::ensure;
use hounsfield::{
    ct::{CtVolume, HuWindow},
    journal::Sheet,
    transforms::Window,
    transforms::resample,
};
use ndarray::{Array2, Axis, s};

use super::{Done, SourceArgs, keep_source, source};

/// Black, in the grey of a [`Sheet`].
const BLACK: f32 = -1.0;
/// No sheet has more pixels: 4,096 pictures of 256 x 256.
const MOST: usize = 1 << 28;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    from: SourceArgs,
    /// Where the sheet goes
    #[arg(value_name = "OUT.png")]
    target: PathBuf,
    /// The window: `lung`, `mediastinum`, `wide`, `bone`, or centre and width in HU
    #[arg(long, value_name = "NAME|C,W", default_value = "lung", value_parser = window, allow_hyphen_values = true)]
    window: HuWindow,
    /// Planes, each in rows of its own
    #[arg(long, value_delimiter = ',', default_value = "axial")]
    planes: Vec<Plane>,
    /// Slices of each plane, evenly spread
    #[arg(long, value_name = "N", default_value_t = 12, conflicts_with = "every")]
    slices: usize,
    /// Every so many slices of each plane, from the first one on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    every: Option<u32>,
    /// Pictures a row
    #[arg(long, value_name = "N", default_value_t = 6)]
    columns: usize,
    /// Pixels of the longest side of a picture
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = clap::value_parser!(u16).range(16..=2048))]
    side: u16,
}

/// A plane of the body, as it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Plane {
    /// From the feet: the front is up, the patient's left is right
    Axial,
    /// From the front: the head is up, the patient's left is right
    Coronal,
    /// From the patient's left: the head is up, the front is left
    Sagittal,
}

impl Plane {
    /// The axis of an axial volume that it is cut across, and those that go down and to the right.
    fn axes(self) -> (usize, [usize; 2]) {
        match self {
            Self::Axial => (0, [1, 2]),
            Self::Coronal => (1, [0, 2]),
            Self::Sagittal => (2, [0, 1]),
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    ensure!(
        args.target
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("png")),
        "a sheet is a PNG, expected a name that ends in .png: {:?}",
        args.target
    );
    keep_source(&args.from.source, &args.target)?;
    let volume = source(&args.from)?.volume.axial();
    let size = volume.size();
    let chosen: Vec<(Plane, Vec<usize>)> = args
        .planes
        .iter()
        .map(|plane| (*plane, chosen(size[plane.axes().0], args.slices, args.every)))
        .collect();
    let pictures: usize = chosen.iter().map(|(_, slices)| slices.len()).sum();
    ensure!(pictures > 0, "no slice was asked for");
    let fit = MOST / usize::from(args.side).pow(2);
    ensure!(
        pictures <= fit,
        "{pictures} pictures of {} pixels a side were asked for, at most {fit} go on a sheet",
        args.side
    );
    // One scale for all planes, so that lengths can be compared.
    let extents = [0, 1, 2].map(|axis| size[axis] as f64 * volume.geometry.spacing[axis]);
    let sides = args.planes.iter().flat_map(|plane| plane.axes().1);
    let pixel = sides.map(|axis| extents[axis]).fold(0.0, f64::max) / f64::from(args.side);
    let pixels = extents.map(|extent| ((extent / pixel).round() as usize).max(1));
    let tile = [0, 1].map(|side| {
        let sides = args.planes.iter().map(|plane| pixels[plane.axes().1[side]]);
        sides.max().unwrap_or(1)
    });
    let longest = chosen.iter().map(|(_, slices)| slices.len()).max().unwrap_or(1);
    let columns = args.columns.clamp(1, longest);
    let mut sheet = Sheet::new(columns);
    for (plane, slices) in &chosen {
        for at in slices {
            sheet.push(picture(&volume, *plane, *at, &args.window, pixels, tile).view())?;
        }
        // The next plane begins a row.
        if chosen.len() > 1 {
            for _ in 0..(columns - slices.len() % columns) % columns {
                sheet.push(Array2::from_elem(tile, BLACK).view())?;
            }
        }
    }
    sheet.save(&args.target)?;
    Ok(Done::Whole)
}

/// Numbers of slices: every so many, or so many at even distances with the ends left out alike.
fn chosen(length: usize, slices: usize, every: Option<u32>) -> Vec<usize> {
    match every {
        Some(step) => (0..length).step_by(step as usize).collect(),
        None => {
            let n = slices.min(length);
            (0..n).map(|at| (2 * at + 1) * length / (2 * n)).collect()
        }
    }
}

/// A slice in its window, in the proportions of the body, in the middle of a black tile.
fn picture(
    volume: &CtVolume,
    plane: Plane,
    at: usize,
    window: &HuWindow,
    pixels: [usize; 3],
    tile: [usize; 2],
) -> Array2<f32> {
    let (across, sides) = plane.axes();
    let grey = volume
        .voxels
        .index_axis(Axis(across), at)
        .mapv(|hu| 2.0 * window.normalize(hu) - 1.0);
    let [height, width] = sides.map(|axis| pixels[axis]);
    let grey = resample(grey.view(), (height, width));
    let mut picture = Array2::from_elem(tile, BLACK);
    let [top, left] = [(tile[0] - height) / 2, (tile[1] - width) / 2];
    picture
        .slice_mut(s![top..top + height, left..left + width])
        .assign(&grey);
    picture
}

/// A window by its name, or by its numbers.
fn window(text: &str) -> Result<HuWindow, String> {
    let numbers = || {
        let (center, width) = text.split_once(',')?;
        let (center, width): (f32, f32) = (center.trim().parse().ok()?, width.trim().parse().ok()?);
        (center.is_finite() && width.is_finite() && width > 0.0).then_some(HuWindow { center, width })
    };
    match Window::named(text) {
        Some(window) => Some(window.0),
        None => numbers(),
    }
    .ok_or_else(|| "expected lung, mediastinum, wide, bone, or centre and width in HU, e.g. `-600,1500`".to_owned())
}
