//! `hounsfield volume info`.

use hounsfield::ct::{CtVolume, Hu};

use super::{Done, SourceArgs, source};

/// In percent.
const PERCENTILES: [usize; 7] = [1, 5, 25, 50, 75, 95, 99];
/// A tilt that is less is that of rounded numbers, degrees.
const TILTED: f64 = 0.01;

pub fn run(args: &SourceArgs) -> anyhow::Result<Done> {
    let file = source(args)?;
    let volume = &file.volume;
    let geometry = &volume.geometry;
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
    values(volume)?;
    Ok(Done::Whole)
}

fn values(volume: &CtVolume) -> anyhow::Result<()> {
    let mut finite: Vec<Hu> = volume.voxels.iter().copied().filter(|hu| hu.is_finite()).collect();
    let others = volume.voxels.len() - finite.len();
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
    let ranks = PERCENTILES.map(|percent| {
        let (_, hu, _) = finite.select_nth_unstable_by(last * percent / 100, Hu::total_cmp);
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
