//! `hounsfield volume info`.

use hounsfield::ct::{CtVolume, Hu};

use super::{Done, SourceArgs, source};

/// In percent.
const PERCENTILES: [usize; 7] = [1, 5, 25, 50, 75, 95, 99];
/// A tilt that is less is that of rounded numbers, degrees.
const TILTED: f64 = 0.01;

pub fn run(args: &SourceArgs) -> anyhow::Result<Done> {
    let file = source(args)?;
    let (volume, geometry) = (&file.volume, &file.volume.geometry);
    say!("format       {}", file.format);
    if let Some((slope, intercept)) = file.scaling {
        say!("scaling      slope {slope}, intercept {intercept}, applied");
    }
    say!(
        "size         {} voxels [D, H, W]",
        by(volume.size().map(|length| length.to_string()))
    );
    say!("spacing      {} mm [D, H, W]", by(geometry.spacing.map(short)));
    let extent = [0, 1, 2].map(|axis| volume.size()[axis] as f64 * geometry.spacing[axis]);
    say!(
        "extent       {} mm [D, H, W]",
        by(extent.map(|length| format!("{length:.1}")))
    );
    say!(
        "origin       {} mm (x to the left, y to the back, z to the head)",
        geometry.origin.map(short).join(", ")
    );
    say!("orientation  {} (W, H, D)", geometry.orientation());
    if geometry.tilt() > TILTED {
        say!(
            "tilt         {:.2} degrees between the slices' normal and D",
            geometry.tilt()
        );
    }
    values(file.volume)?;
    Ok(Done::Whole)
}

fn values(volume: CtVolume) -> anyhow::Result<()> {
    // In the order of memory and without a copy: a scan may have gigabytes.
    let (mut finite, _) = volume.voxels.into_raw_vec_and_offset();
    let voxels = finite.len();
    finite.retain(|hu| hu.is_finite());
    let others = voxels - finite.len();
    if others > 0 {
        say!("not finite   {others} voxels");
    }
    if finite.is_empty() {
        return Ok(());
    }
    let mean = finite.iter().copied().map(f64::from).sum::<f64>() / finite.len() as f64;
    let (low, high) = finite
        .iter()
        .fold((Hu::MAX, Hu::MIN), |(low, high), hu| (low.min(*hu), high.max(*hu)));
    say!("values       {low} to {high} HU, mean {mean:.4}");
    let last = finite.len() - 1;
    // What lies below one rank need not be looked at for the next.
    let mut below = 0;
    let ranks = PERCENTILES.map(|percent| {
        let rank = last * percent / 100;
        let (_, hu, _) = finite[below..].select_nth_unstable_by(rank - below, Hu::total_cmp);
        below = rank;
        format!("{percent} %: {hu}")
    });
    say!("percentiles  {}", ranks.join(", "));
    Ok(())
}

fn by(parts: [String; 3]) -> String {
    parts.join(" x ")
}

/// To a thousandth of a millimetre's tenth, without zeros at the end.
fn short(length: f64) -> String {
    format!("{}", (length * 1e4).round() / 1e4 + 0.0)
}
