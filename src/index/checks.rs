//! What is odd about a scan, with numbers: what dicom2nifti's validation looks for
//! (<https://github.com/icometrix/dicom2nifti>, `common.py`), and what else makes a stack no volume.

use std::fmt;

use super::{
    series::{SAME_PLACE, Scan},
    slice::{PIXEL, Place, cross, dot, minus},
};
use crate::words::counted;

/// Something odd about a scan.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Check {
    /// Gaps that are multiples of the usual step.
    Missing {
        /// Slices that would fill them.
        slices: usize,
        /// Gaps.
        gaps: usize,
        /// Where the first begins, in mm towards the head.
        first: f64,
        /// The usual step in mm.
        step: f64,
    },
    /// Steps that differ, and are no multiples of the usual one.
    Uneven {
        /// Steps other than the usual one.
        steps: usize,
        /// Steps in all.
        of: usize,
        /// The usual one in mm.
        step: f64,
        /// The shortest in mm.
        shortest: f64,
        /// The longest in mm.
        longest: f64,
        /// Where the first begins, in mm towards the head.
        first: f64,
    },
    /// Slices that were left out since they stood twice.
    Duplicates {
        /// How many.
        slices: usize,
    },
    /// Slices with the SOP Instance UID of another slice, and other pixels at another place.
    Identities {
        /// How many.
        slices: usize,
    },
    /// Several slices at one position that differ in their pixels.
    SamePosition {
        /// Slices beyond the first at their positions.
        slices: usize,
        /// The first such position, in mm towards the head.
        first: f64,
    },
    /// Slices follow each other in another direction than their normal.
    Tilt {
        /// Degrees between both, by the positions.
        degrees: f64,
        /// What Gantry/Detector Tilt says.
        stated: Option<f64>,
    },
    /// Gantry/Detector Tilt is stated and the positions have none.
    StatedTilt {
        /// What it says, in degrees.
        stated: f64,
        /// Degrees between normal and steps, by the positions.
        degrees: f64,
    },
    /// Slices that do not lie behind each other.
    Shifted {
        /// The farthest that a slice lies beside the line from the first to the last, in mm.
        mm: f64,
    },
    /// Slices that were left out since they are turned against the others.
    Turned {
        /// How many.
        slices: usize,
    },
    /// Rescale slope or intercept are not the same in all slices.
    Rescale {
        /// Different pairs.
        pairs: usize,
        /// The first slice that differs from the one before it, counted from 0 at the head.
        first: usize,
    },
    /// Pixel Spacing is missing, or no size of a pixel.
    PixelSpacing {
        /// How many slices have none.
        slices: usize,
    },
    /// Slice Thickness is not the same in all slices.
    Thickness {
        /// The least in mm.
        thinnest: f64,
        /// The greatest in mm.
        thickest: f64,
    },
    /// The series holds several stacks: matrices, pixel spacings, kernels or phases.
    Parts {
        /// How many stacks it holds.
        parts: usize,
    },
    /// Too few slices for a body part.
    Few {
        /// How many there are.
        slices: usize,
    },
    /// Files say that text is part of their pictures.
    BurnedIn {
        /// How many slices do.
        slices: usize,
    },
}

impl Check {
    /// A word for tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing slices",
            Self::Uneven { .. } => "uneven spacing",
            Self::Duplicates { .. } => "duplicates",
            Self::Identities { .. } => "shared identities",
            Self::SamePosition { .. } => "same position",
            Self::Tilt { .. } | Self::StatedTilt { .. } => "gantry tilt",
            Self::Shifted { .. } => "shifted slices",
            Self::Turned { .. } => "changed orientation",
            Self::Rescale { .. } => "changed rescale",
            Self::PixelSpacing { .. } => "pixel spacing",
            Self::Thickness { .. } => "changed thickness",
            Self::Parts { .. } => "mixed stacks",
            Self::Few { .. } => "few slices",
            Self::BurnedIn { .. } => "burned-in text",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slices = |n: usize| counted(n, "slice");
        match self {
            Self::Missing {
                slices: n,
                gaps,
                first,
                step,
            } => write!(
                f,
                "{} missing in {} of a stack with steps of {step:.3} mm, the first below {first:.2} mm",
                slices(*n),
                counted(*gaps, "gap")
            ),
            Self::Uneven {
                steps,
                of,
                step,
                shortest,
                longest,
                first,
            } => write!(
                f,
                "{steps} of {of} steps are not {step:.3} mm but {shortest:.3} to {longest:.3} mm, the first below {first:.2} mm"
            ),
            Self::Duplicates { slices: n } => {
                write!(f, "{} with the pixels of another at the same position", slices(*n))
            }
            Self::Identities { slices: n } => write!(
                f,
                "{} with the SOP Instance UID of another slice: identities were overwritten, and studies or series may have been too",
                slices(*n)
            ),
            Self::SamePosition { slices: n, first } => write!(
                f,
                "{} at the position of another, with other pixels, the first at {first:.2} mm: index the files of each phase or reconstruction by themselves",
                slices(*n)
            ),
            Self::Tilt { degrees, stated } => {
                write!(f, "slices are sheared by {degrees:.2} degrees (Gantry/Detector Tilt ")?;
                match stated {
                    Some(stated) => write!(f, "{stated:.2})"),
                    None => f.write_str("not stated)"),
                }
            }
            Self::StatedTilt { stated, degrees } => write!(
                f,
                "Gantry/Detector Tilt is {stated:.2} degrees, by the positions slices are sheared by {degrees:.2}"
            ),
            Self::Shifted { mm } => write!(
                f,
                "slices lie up to {mm:.2} mm beside the line from the first to the last"
            ),
            Self::Turned { slices: n } => write!(f, "{} turned against the others, left out", slices(*n)),
            Self::Rescale { pairs, first } => {
                write!(
                    f,
                    "{pairs} pairs of rescale slope and intercept, the first change at slice {first}"
                )
            }
            Self::PixelSpacing { slices: n } => write!(
                f,
                "{} with no Pixel Spacing from {} to {} mm: lengths in them can't be told",
                slices(*n),
                PIXEL.start(),
                PIXEL.end()
            ),
            Self::Thickness { thinnest, thickest } => write!(f, "slices are {thinnest} to {thickest} mm thick"),
            Self::Parts { parts } => write!(
                f,
                "the series holds {parts} stacks of other matrix, pixel spacing, kernel or phase, each a scan of its own"
            ),
            Self::Few { slices: n } => write!(f, "{} only", slices(*n)),
            Self::BurnedIn { slices: n } => write!(
                f,
                "{} with text in the picture (Burned In Annotation is YES): look for names before it is shared",
                slices(*n)
            ),
        }
    }
}

/// Fewer slices than this are said: a chest of 300 mm has 30 of 10 mm.
const FEW: usize = 10;

/// Steps that differ by this share of the usual one are no longer even.
const EVEN: f64 = 0.05;

/// Nor by less than this in mm: some scanners state positions in tenths of a millimetre, so that a step is off by one.
const ROUNDING: f64 = 0.101;

/// A gap is a multiple of the usual step to this share of it.
const MULTIPLE: f64 = 0.1;

/// Degrees of tilt that are said. Positions in tenths of a millimetre over 200 mm give 0.03 degrees.
const TILTED: f64 = 0.5;

/// How far slices may lie beside their line, in mm.
const BESIDE: f64 = 0.5;

/// All that is odd about a scan.
pub fn checks(scan: &Scan) -> Vec<Check> {
    let slices = || scan.slices.iter().map(|placed| &placed.slice);
    let mut found = steps(scan);
    let mut add = |check: Option<Check>| found.extend(check);
    add((scan.repeated > 0).then_some(Check::Duplicates { slices: scan.repeated }));
    let reused = slices().filter(|slice| slice.reused).count();
    add((reused > 0).then_some(Check::Identities { slices: reused }));
    add(tilt(scan));
    add(shift(scan));
    add((scan.turned > 0).then_some(Check::Turned { slices: scan.turned }));
    add(rescale(scan));
    let unmeasured = slices().filter(|slice| slice.pixel_spacing.is_none()).count();
    add((unmeasured > 0).then_some(Check::PixelSpacing { slices: unmeasured }));
    let thickness = || slices().filter_map(|slice| slice.thickness);
    let (thinnest, thickest) = (
        thickness().fold(f64::INFINITY, f64::min),
        thickness().fold(0.0, f64::max),
    );
    add((thickest - thinnest > ROUNDING).then_some(Check::Thickness { thinnest, thickest }));
    add((scan.part.1 > 1).then_some(Check::Parts { parts: scan.part.1 }));
    let n = scan.slices.len();
    add((n < FEW).then_some(Check::Few { slices: n }));
    let burned = slices().filter(|slice| slice.burned_in).count();
    add((burned > 0).then_some(Check::BurnedIn { slices: burned }));
    found
}

/// The usual step of a stack in mm: the mean of those steps that are like the median; `None` for one slice.
pub fn usual_step(scan: &Scan) -> Option<f64> {
    let mut steps: Vec<f64> = gaps(scan).map(|(_, gap)| gap).filter(|gap| *gap > SAME_PLACE).collect();
    steps.sort_by(f64::total_cmp);
    // Of two in the middle the shorter: the longer one may be a gap.
    let median = *steps.get(steps.len().checked_sub(1)? / 2)?;
    steps.retain(|step| (step - median).abs() <= tolerance(median));
    Some(steps.iter().sum::<f64>() / steps.len() as f64)
}

/// How far a step may be off the usual one and be even.
fn tolerance(step: f64) -> f64 {
    (EVEN * step).max(ROUNDING)
}

/// From each slice to the next: where it begins, and how far it goes.
fn gaps(scan: &Scan) -> impl Iterator<Item = (f64, f64)> {
    scan.slices
        .windows(2)
        .map(|pair| (pair[0].height, pair[0].height - pair[1].height))
}

/// What is odd about the steps from slice to slice.
fn steps(scan: &Scan) -> Vec<Check> {
    let Some(step) = usual_step(scan) else {
        return same_position(scan).into_iter().collect();
    };
    let (mut missing, mut uneven) = (Vec::new(), Vec::new());
    for (from, gap) in gaps(scan).filter(|(_, gap)| *gap > SAME_PLACE) {
        if (gap - step).abs() <= tolerance(step) {
            continue;
        }
        let times = (gap / step).round();
        if times >= 2.0 && (gap - times * step).abs() <= (MULTIPLE * step).max(ROUNDING) {
            missing.push((from, (times as usize).saturating_sub(1)));
        } else {
            uneven.push((from, gap));
        }
    }
    let mut found = Vec::new();
    if let Some((first, _)) = missing.first() {
        found.push(Check::Missing {
            slices: missing.iter().fold(0, |sum, (_, slices)| sum.saturating_add(*slices)),
            gaps: missing.len(),
            first: *first,
            step,
        });
    }
    if let Some((first, _)) = uneven.first() {
        let odd = || uneven.iter().map(|(_, gap)| *gap);
        found.push(Check::Uneven {
            steps: uneven.len(),
            of: scan.slices.len() - 1,
            step,
            shortest: odd().fold(f64::INFINITY, f64::min),
            longest: odd().fold(0.0, f64::max),
            first: *first,
        });
    }
    found.extend(same_position(scan));
    found
}

fn same_position(scan: &Scan) -> Option<Check> {
    let mut same = gaps(scan).filter(|(_, gap)| *gap <= SAME_PLACE).map(|(from, _)| from);
    let first = same.next()?;
    Some(Check::SamePosition {
        slices: 1 + same.count(),
        first,
    })
}

/// The first and the last slice's places, and the way between them, which is not nothing.
fn ends(scan: &Scan) -> Option<(Place, [f64; 3])> {
    let first = scan.slices.first()?.slice.place?;
    let last = scan.slices.last()?.slice.place?;
    let way = minus(first.position, last.position);
    let long = dot(way, first.up()).abs() > SAME_PLACE;
    long.then_some((first, way))
}

fn tilt(scan: &Scan) -> Option<Check> {
    let (first, way) = ends(scan)?;
    let up = first.up();
    let beside = cross(way, up);
    let degrees = dot(beside, beside).sqrt().atan2(dot(way, up)).to_degrees();
    let stated = scan.slices.iter().find_map(|placed| placed.slice.tilt);
    match stated {
        _ if degrees > TILTED => Some(Check::Tilt { degrees, stated }),
        Some(stated) if stated.abs() > TILTED => Some(Check::StatedTilt { stated, degrees }),
        _ => None,
    }
}

fn shift(scan: &Scan) -> Option<Check> {
    let (first, way) = ends(scan)?;
    let length = dot(way, first.up());
    let beside = scan.slices.iter().filter_map(|placed| {
        let from = minus(placed.slice.place?.position, first.position);
        let share = dot(from, first.up()) / length;
        let off = minus(from, way.map(|part| part * share));
        Some(dot(off, off).sqrt())
    });
    let mm = beside.fold(0.0, f64::max);
    (mm > BESIDE).then_some(Check::Shifted { mm })
}

fn rescale(scan: &Scan) -> Option<Check> {
    let of = |at: usize| {
        scan.slices[at]
            .slice
            .rescale
            .map(|rescale| (rescale.slope.to_bits(), rescale.intercept.to_bits()))
    };
    let mut pairs: Vec<_> = (0..scan.slices.len()).map(of).collect();
    let first = (1..pairs.len()).find(|at| pairs[*at] != pairs[*at - 1])?;
    pairs.sort_unstable();
    pairs.dedup();
    Some(Check::Rescale {
        pairs: pairs.len(),
        first,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{series::scans, slice::Slice, testing},
        *,
    };

    /// The sentences on a scan with these heights.
    fn said(heights: &[f64], change: impl Fn(usize, &mut Slice)) -> Vec<String> {
        let mut slices: Vec<Slice> = heights.iter().copied().map(testing::slice).collect();
        for (at, slice) in slices.iter_mut().enumerate() {
            change(at, slice);
        }
        let scans = scans(slices, &mut Vec::new());
        checks(&scans[0])
            .iter()
            .map(|check| format!("{}: {check}", check.kind()))
            .collect()
    }

    /// Twelve steps of 2.5 mm.
    fn even() -> Vec<f64> {
        (0..13).map(|at| 10.0 - 2.5 * f64::from(at)).collect()
    }

    #[test]
    fn nothing_is_odd_about_an_even_scan() {
        assert!(said(&even(), |_, _| ()).is_empty());
        // Positions in tenths of a millimetre, steps of 0.625.
        let rounded: Vec<f64> = (0..40).map(|at| (f64::from(at) * 6.25).round() / 10.0).collect();
        assert!(said(&rounded, |_, _| ()).is_empty(), "{:?}", said(&rounded, |_, _| ()));
    }

    #[test]
    fn missing_slices_are_counted_and_placed() {
        let mut heights = even();
        heights.drain(4..6);
        heights.remove(8);
        assert_eq!(
            said(&heights, |_, _| ()),
            ["missing slices: 3 slices missing in 2 gaps of a stack with steps of 2.500 mm, the first below 2.50 mm"]
        );
    }

    #[test]
    fn one_gap_of_two_steps_is_a_gap_and_not_the_usual_step() {
        assert_eq!(
            said(&[10.0, 7.5, 2.5], |_, _| ())[0],
            "missing slices: 1 slice missing in 1 gap of a stack with steps of 2.500 mm, the first below 7.50 mm"
        );
    }

    #[test]
    fn any_positions_are_counted_without_overflow() {
        let far = [9e4, -9e4, 1e-2, 0.0, -1e-2, 1e16, 9e18, -1e300, 1e300];
        assert!(!said(&far, |_, _| ()).is_empty());
    }

    #[test]
    fn uneven_steps_are_counted_and_placed() {
        let mut heights = even();
        heights[3] -= 0.9;
        assert_eq!(
            said(&heights, |_, _| ()),
            ["uneven spacing: 2 of 12 steps are not 2.500 mm but 1.600 to 3.400 mm, the first below 5.00 mm"]
        );
    }

    #[test]
    fn slices_at_one_position_are_said() {
        let mut heights = even();
        heights.push(0.0);
        assert_eq!(
            said(&heights, |_, _| ()),
            [
                "same position: 1 slice at the position of another, with other pixels, the first at 0.00 mm: \
              index the files of each phase or reconstruction by themselves"
            ]
        );
        let twins = said(&heights, |at, slice| {
            if at == 4 || at == 13 {
                slice.image.as_mut().unwrap().sha256 = [7; 32];
            }
        });
        assert_eq!(
            twins,
            ["duplicates: 1 slice with the pixels of another at the same position"]
        );
    }

    #[test]
    fn a_sheared_stack_is_tilted_and_a_stated_tilt_without_shear_is_said() {
        let (sin, cos) = 20f64.to_radians().sin_cos();
        let sheared = said(&even(), |_, slice| {
            slice.place.as_mut().unwrap().column = [0.0, cos, sin];
            slice.tilt = Some(-20.0);
        });
        assert_eq!(
            sheared,
            ["gantry tilt: slices are sheared by 20.00 degrees (Gantry/Detector Tilt -20.00)"]
        );
        let stated = said(&even(), |_, slice| slice.tilt = Some(15.0));
        assert_eq!(
            stated,
            ["gantry tilt: Gantry/Detector Tilt is 15.00 degrees, by the positions slices are sheared by 0.00"]
        );
    }

    #[test]
    fn what_changes_within_a_scan_is_said() {
        let changed = said(&even(), |at, slice| match at {
            2 => slice.place.as_mut().unwrap().position[0] += 4.0,
            5 => slice.rescale.as_mut().unwrap().intercept = -1000.0,
            6 => slice.thickness = Some(1.25),
            7 => slice.burned_in = true,
            _ => {}
        });
        assert_eq!(
            changed,
            [
                "shifted slices: slices lie up to 4.00 mm beside the line from the first to the last",
                "changed rescale: 2 pairs of rescale slope and intercept, the first change at slice 5",
                "changed thickness: slices are 1.25 to 5 mm thick",
                "burned-in text: 1 slice with text in the picture (Burned In Annotation is YES): look for names before it is shared",
            ]
        );
    }

    #[test]
    fn pixels_of_no_size_are_said() {
        assert_eq!(
            said(&even(), |_, slice| slice.pixel_spacing = None),
            ["pixel spacing: 13 slices with no Pixel Spacing from 0.01 to 100 mm: lengths in them can't be told"]
        );
    }

    #[test]
    fn a_single_slice_is_few_and_nothing_else() {
        assert_eq!(said(&[1.0], |_, _| ()), ["few slices: 1 slice only"]);
        assert_eq!(said(&[1.0, 1.0], |_, _| ()).len(), 2);
    }
}
