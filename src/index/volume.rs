//! A series of DICOM files as a volume.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use ndarray::{Array3, Axis};

use super::{
    Index, IndexError, IndexPlan, LeftOut, Look, Scan, Slice, by_kind,
    checks::{Check, checks},
    series,
    slice::{dot, minus},
};
use crate::{
    ct::{CtVolume, Geometry, Pixels, Rescale},
    progress::Progress,
    readers::{SliceAddress, read_slice},
    words::counted,
};

/// Reads the series in a folder as one volume, `[D, H, W]` with D from feet to head, H to the back and W to the left for a
/// patient who lies as usual: right-handed, in the patient's own axes. `scan` picks one where there are several, counted
/// from 0 in the order of their files; `rescale` is what stored values mean where files do not say it.
///
/// A stack that was made with a tilted gantry keeps its slices as they are; the direction of D is then not perpendicular to
/// them.
///
/// # Errors
///
/// No scan, several and none picked, slices that are missing, uneven, repeated or shifted, no pixel spacing, and what is
/// wrong with a file.
pub fn read_scan(folder: &Path, scan: Option<usize>, rescale: Option<Rescale>) -> Result<CtVolume, IndexError> {
    let plan = IndexPlan {
        roots: vec![folder.to_owned()],
        rescale,
        ..IndexPlan::default()
    };
    let mut index = Index::looked(&plan, false, &Progress::hidden(), &AtomicBool::new(false))?;
    let n = index.scans.len();
    if n == 0 {
        return Err(IndexError::NoScan {
            left_out: reasons(&index.left_out),
            path: folder.to_owned(),
        });
    }
    let at = match scan {
        None if n == 1 => 0,
        Some(at) if at < n => at,
        _ => {
            return Err(IndexError::WhichScan {
                found: n,
                sizes: sizes(&index.scans),
                path: folder.to_owned(),
            });
        }
    };
    stacked(&index.scans.swap_remove(at), folder)
}

/// Reads the slices at these addresses, DICOM files or frames of them in any order, as one volume: as [`read_scan`] does, with
/// the same checks.
///
/// # Errors
///
/// Slices of several scans, one that can't be part of a volume, and the errors of [`read_scan`].
pub fn read_slices(paths: &[PathBuf]) -> Result<CtVolume, IndexError> {
    let path = paths.first().cloned().unwrap_or_default();
    let no_volume = |reason: String| IndexError::NoVolume {
        reason,
        path: path.clone(),
    };
    // Frames of one file follow each other, so that it is looked into once.
    let mut addresses = paths
        .iter()
        .map(|path| SliceAddress::parse(path))
        .collect::<Result<Vec<_>, _>>()?;
    addresses.sort_by(|a, b| (&a.file, &a.member, a.slice).cmp(&(&b.file, &b.member, b.slice)));
    let stop = AtomicBool::new(false);
    let mut look = Look::new(None, &stop);
    let (mut slices, mut left_out) = (Vec::new(), Vec::new());
    for frames in addresses.chunk_by(|a, b| (&a.file, &a.member) == (&b.file, &b.member)) {
        let first = &frames[0];
        look.rescale = first.rescale;
        let file = SliceAddress {
            slice: None,
            ..first.clone()
        };
        let number = |address: &SliceAddress| address.slice.unwrap_or(0);
        let mut seen = look.file(&file, 0);
        // A file that is named without a frame is meant with all that it has.
        if frames.iter().all(|frame| frame.slice.is_some())
            && seen.left_out.iter().all(|left| left.address.slice.is_some())
        {
            let asked: BTreeSet<usize> = frames.iter().map(number).collect();
            seen.slices.retain(|slice| asked.contains(&number(&slice.address)));
            seen.left_out.retain(|left| asked.contains(&number(&left.address)));
            let missing = asked.len().saturating_sub(seen.slices.len() + seen.left_out.len());
            if missing > 0 {
                let missing = counted(missing, "slice");
                return Err(no_volume(format!(
                    "{missing} asked for by `#slice=` that the file does not have"
                )));
            }
        }
        slices.extend(seen.slices);
        left_out.extend(seen.left_out);
    }
    let mut scans = series::scans(slices, &mut left_out);
    if !left_out.is_empty() {
        return Err(no_volume(format!("of {} {}", paths.len(), reasons(&left_out))));
    }
    if scans.len() > 1 {
        return Err(IndexError::SeveralScans {
            found: scans.len(),
            sizes: sizes(&scans),
            path,
        });
    }
    match scans.pop() {
        Some(scan) => stacked(&scan, &path),
        None => Err(no_volume("there are none".to_owned())),
    }
}

/// How many slices each scan has, in words.
fn sizes(scans: &[Scan]) -> String {
    let sizes: Vec<String> = scans.iter().map(|scan| scan.slices.len().to_string()).collect();
    format!("with {} slices", sizes.join(", "))
}

/// The slices of a scan, decoded and put on each other from the feet to the head.
fn stacked(scan: &Scan, path: &Path) -> Result<CtVolume, IndexError> {
    let no_volume = |reason: String| IndexError::NoVolume {
        reason,
        path: path.to_owned(),
    };
    let geometry = geometry(scan).map_err(&no_volume)?;
    let slices: Vec<&Slice> = scan.slices.iter().rev().map(|placed| &placed.slice).collect();
    let (rows, columns) = (slices[0].rows, slices[0].columns);
    let mut voxels = Array3::zeros((0, rows, columns));
    for slice in slices {
        let Pixels::Hu(hu) = read_slice(&PathBuf::from(slice.address.to_string()))?.pixels else {
            return Err(no_volume("a slice has no Hounsfield units".to_owned()));
        };
        // Memory grows by what was decoded, not by what headers say.
        voxels.push(Axis(0), hu.view()).map_err(|_| {
            no_volume(format!(
                "a slice is {} x {} pixels, the first {rows} x {columns}",
                hu.nrows(),
                hu.ncols()
            ))
        })?;
    }
    Ok(CtVolume { voxels, geometry })
}

/// How many files were left out, by reason.
fn reasons(left_out: &[LeftOut]) -> String {
    let kinds = by_kind(left_out).into_iter();
    let kinds: Vec<String> = kinds.map(|(kind, n)| format!("{n} {kind}")).collect();
    match kinds.is_empty() {
        true => "the folder is empty".to_owned(),
        false => format!("left out were {}{}", kinds.join(", "), detail(left_out)),
    }
}

/// The reason in full, if there is only one.
fn detail(left_out: &[LeftOut]) -> String {
    let mut details = left_out.iter().map(|left| left.reason.to_string());
    match details.next() {
        Some(first) if details.all(|detail| detail == first) => format!(" ({first})"),
        _ => String::new(),
    }
}

/// The geometry of a scan whose slices are evenly spaced, or what keeps them from being a volume.
fn geometry(scan: &Scan) -> Result<Geometry, String> {
    let fatal = |check: &Check| {
        matches!(
            check,
            Check::Missing { .. } | Check::Uneven { .. } | Check::SamePosition { .. } | Check::Shifted { .. }
        )
    };
    if let Some(check) = checks(scan).iter().find(|check| fatal(check)) {
        return Err(check.to_string());
    }
    let [Some(first), Some(last)] = [scan.slices.last(), scan.slices.first()].map(|placed| placed?.slice.place) else {
        return Err("slices have no place".to_owned());
    };
    let slice = &scan.slices[0].slice;
    let Some([between_rows, between_columns]) =
        slice.pixel_spacing.filter(|spacing| spacing.iter().all(|mm| *mm > 0.0))
    else {
        return Err("Pixel Spacing is missing".to_owned());
    };
    let way = minus(last.position, first.position);
    let length = dot(way, way).sqrt();
    // One slice has no neighbour: its thickness stands for the step, and its normal for the way.
    let (up, step) = match scan.slices.len() {
        1 => (first.up(), slice.thickness.filter(|mm| *mm > 0.0).unwrap_or(1.0)),
        n => (way.map(|part| part / length), length / (n - 1) as f64),
    };
    Ok(Geometry {
        origin: first.position,
        spacing: [step, between_rows, between_columns],
        directions: [up, first.column, first.row],
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Reason, series::scans, testing},
        *,
    };
    use crate::readers::SliceAddress;

    fn made(heights: &[f64]) -> Scan {
        let slices = heights.iter().copied().map(testing::slice).collect();
        scans(slices, &mut Vec::new()).remove(0)
    }

    #[test]
    fn a_volume_starts_at_the_feet() {
        let geometry = geometry(&made(&[5.0, 0.0, 2.5])).unwrap();
        assert_eq!(geometry.origin, [-100.0, -100.0, 0.0]);
        assert_eq!(geometry.spacing, [2.5, 0.7, 0.7]);
        assert_eq!(geometry.directions, [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]);
    }

    #[test]
    fn what_has_gaps_is_no_volume() {
        let error = geometry(&made(&[10.0, 7.5, 2.5, 0.0])).unwrap_err();
        assert!(error.starts_with("1 slice missing in 1 gap"), "{error}");
        assert!(geometry(&made(&[10.0, 7.5, 5.5, 3.0])).unwrap_err().contains("2.000"));
        assert!(geometry(&made(&[3.0, 3.0])).is_err());
        assert_eq!(geometry(&made(&[3.0])).unwrap().spacing[0], 5.0);
    }

    #[test]
    fn a_tilted_stack_keeps_its_slices() {
        let (sin, cos) = 20f64.to_radians().sin_cos();
        let mut slices: Vec<Slice> = [0.0, 2.5, 5.0].into_iter().map(testing::slice).collect();
        for place in slices.iter_mut().filter_map(|slice| slice.place.as_mut()) {
            place.column = [0.0, cos, sin];
        }
        let tilted = geometry(&scans(slices, &mut Vec::new())[0]).unwrap();
        assert_eq!(tilted.directions[0], [0.0, 0.0, 1.0]);
        assert_eq!(tilted.directions[1], [0.0, cos, sin]);
        assert!((tilted.spacing[0] - 2.5).abs() < 1e-12);
    }

    #[test]
    fn reasons_are_counted() {
        let left = LeftOut {
            address: SliceAddress::of(Path::new("a")),
            reason: Reason::Localizer,
        };
        assert_eq!(
            reasons(&[left.clone(), left]),
            format!("left out were 2 localizer ({})", Reason::Localizer)
        );
    }
}
