//! Slices to scans: which belong together, and in which order they lie from head to foot.
//!
//! A scan is what one would stack into a volume: slices of one patient, study and series with one matrix, pixel spacing
//! and kernel, all axial and parallel. A series that holds several such stacks, as phases or matrices, gives several scans.
//! Slices are ordered by Image Position (Patient) along the normal, never by file name or Instance Number, which follow
//! the table, the reconstruction or the archive as often as the patient.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    LeftOut, Reason, kind,
    slice::{SeriesFacts, Slice, dot},
};

/// A stack of parallel axial slices, from head to foot.
#[derive(Debug)]
pub struct Scan {
    /// What its slices have in common; where they differ, as the first one says.
    pub series: Arc<SeriesFacts>,
    /// Which of the series' stacks it is, counted from 0, and how many there are.
    pub part: (usize, usize),
    /// Its slices.
    pub slices: Vec<Placed>,
    /// Slices that were left out of it since they stood twice.
    pub repeated: usize,
    /// Slices that were left out of its series since they are turned against it.
    pub turned: usize,
}

/// A slice in its scan.
#[derive(Debug)]
pub struct Placed {
    /// The slice.
    pub slice: Slice,
    /// Its number, counted from 0 at the head.
    pub index: usize,
    /// How far it lies towards the head along the scan's normal, in mm: Image Position (Patient)'s z in a scan without tilt.
    pub height: f64,
    /// Where it lies in the scan: 0 at the first slice, 1 at the last; `None` where all lie at one place.
    pub fraction: Option<f64>,
    /// Whether it becomes a row of the table.
    pub taken: bool,
}

/// Directions that agree to this cosine (0.8 degrees) are one orientation.
const PARALLEL: f64 = 0.9999;

/// Positions nearer than this, in mm, are one: DICOM states them in tenths or hundredths.
pub(super) const SAME_PLACE: f64 = 0.005;

/// Puts slices into scans, in the order of their first slice in `slices`. What belongs to none is left out.
pub(super) fn scans(slices: Vec<Slice>, left_out: &mut Vec<LeftOut>) -> Vec<Scan> {
    let mut leave = |slice: Slice, reason: Reason| {
        left_out.push(LeftOut {
            address: slice.address,
            reason,
        });
    };
    let mut groups = BTreeMap::<Arc<str>, usize>::new();
    let mut series = Vec::<Vec<Slice>>::new();
    for slice in once_each(slices, &mut leave) {
        match slice.place.as_ref().map(kind::plane) {
            None => leave(slice, Reason::NoPlace),
            Some(Some(reason)) => leave(slice, reason),
            Some(None) => {
                let facts = &slice.series;
                let key = [facts.patient().0, facts.study(), &facts.series].join("\u{1f}");
                let at = *groups.entry(key.into()).or_insert(series.len());
                if at == series.len() {
                    series.push(Vec::new());
                }
                series[at].push(slice);
            }
        }
    }
    series
        .into_iter()
        .flat_map(|slices| stacks(slices, &mut leave))
        .collect()
}

/// The slices without those that are the same one again: of one SOP Instance UID, with the same pixels or at the same
/// place of the same series. A UID alone proves nothing, since some anonymisers write one into all files.
fn once_each(slices: Vec<Slice>, leave: &mut impl FnMut(Slice, Reason)) -> Vec<Slice> {
    let (mut known, mut pixels, mut places) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut kept = Vec::with_capacity(slices.len());
    for mut slice in slices {
        if let Some(instance) = slice.instance {
            let hash = slice.image.as_ref().map(|image| image.sha256);
            let place = slice.place.map(|place| place.position.map(f64::to_bits));
            let same_pixels = hash.is_some_and(|hash| !pixels.insert((instance, hash)));
            // Facts that are equal are held once, so that their address tells them apart.
            let same_place = place.is_some_and(|place| !places.insert((instance, Arc::as_ptr(&slice.series), place)));
            if same_pixels || same_place {
                leave(slice, Reason::SameInstance(same_pixels));
                continue;
            }
            slice.reused = !known.insert(instance);
        }
        kept.push(slice);
    }
    kept
}

/// The stacks of one series.
fn stacks(slices: Vec<Slice>, leave: &mut impl FnMut(Slice, Reason)) -> Vec<Scan> {
    let mut stacks = Vec::new();
    for slices in by_matrix(slices) {
        let (slices, turned) = parallel(slices);
        let n = turned.len();
        turned.into_iter().for_each(|slice| leave(slice, Reason::Turned));
        let first = stacks.len();
        stacks.extend(by_phase(slices).into_iter().map(|slices| stack(slices, leave)));
        stacks[first].turned = n;
    }
    let n = stacks.len();
    for (part, scan) in stacks.iter_mut().enumerate() {
        scan.part = (part, n);
    }
    stacks
}

/// One group for each size, pixel spacing and kernel, in the order in which they occur.
fn by_matrix(slices: Vec<Slice>) -> Vec<Vec<Slice>> {
    let matrix = |slice: &Slice| {
        // To a ten-thousandth of a millimetre: writers round differently.
        let spacing = slice
            .pixel_spacing
            .map(|spacing| spacing.map(|mm| (mm * 1e4).round() as i64));
        (slice.rows, slice.columns, spacing, slice.series.kernel.clone())
    };
    split(slices, matrix)
}

/// Groups by a key, in the order in which keys occur.
fn split<K: Ord>(slices: Vec<Slice>, key: impl Fn(&Slice) -> K) -> Vec<Vec<Slice>> {
    let mut place = BTreeMap::new();
    let mut groups = Vec::<Vec<Slice>>::new();
    for slice in slices {
        let at = *place.entry(key(&slice)).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(slice);
    }
    groups
}

/// The slices of the orientation that most have, and the others.
fn parallel(slices: Vec<Slice>) -> (Vec<Slice>, Vec<Slice>) {
    let mut orientations = Vec::<([f64; 3], [f64; 3], usize)>::new();
    let mut of_slice = Vec::with_capacity(slices.len());
    for place in slices.iter().filter_map(|slice| slice.place) {
        let alike = |(row, column, _): &([f64; 3], [f64; 3], usize)| {
            dot(*row, place.row) > PARALLEL && dot(*column, place.column) > PARALLEL
        };
        let at = orientations.iter().position(alike).unwrap_or_else(|| {
            orientations.push((place.row, place.column, 0));
            orientations.len() - 1
        });
        orientations[at].2 += 1;
        of_slice.push(at);
    }
    // The first of those that most have.
    let most = (0..orientations.len()).rev().max_by_key(|at| orientations[*at].2);
    let (mut kept, mut turned) = (Vec::new(), Vec::new());
    for (slice, at) in slices.into_iter().zip(of_slice) {
        match Some(at) == most {
            true => kept.push(slice),
            false => turned.push(slice),
        }
    }
    (kept, turned)
}

/// A way to tell apart what lies at one place.
type Key = fn(&Slice) -> (Option<i32>, &str);

/// What phases and reconstructions differ in, in the order in which it is tried.
const KEYS: [Key; 3] = [
    |slice| (slice.acquisition, ""),
    |slice| (slice.temporal, ""),
    |slice| (None, &slice.series.image_type),
];

/// One group for each phase or reconstruction, where something takes repeated positions apart; else one group.
fn by_phase(slices: Vec<Slice>) -> Vec<Vec<Slice>> {
    KEYS.iter().fold(vec![slices], |groups, key| {
        groups.into_iter().flat_map(|slices| apart(slices, *key)).collect()
    })
}

/// One group for each value of the key where that takes half of the repeated positions apart or more, as acquisitions do with the
/// phases of a contrast study; else one group, since step-and-shoot scanners count an acquisition for each step.
fn apart(slices: Vec<Slice>, key: Key) -> Vec<Vec<Slice>> {
    let all = repeats(slices.iter());
    if all == 0 {
        return vec![slices];
    }
    let mut groups = BTreeMap::<_, Vec<&Slice>>::new();
    for slice in &slices {
        groups.entry(key(slice)).or_default().push(slice);
    }
    let left: usize = groups.values().map(|slices| repeats(slices.iter().copied())).sum();
    // Each phase repeats a place of another one; steps have places of their own, but for a copy here and there.
    let phases = groups.len() > 1 && groups.len() - 1 <= all;
    match phases && 2 * left <= all {
        true => split(slices, |slice| {
            let (number, text) = key(slice);
            (number, text.to_owned())
        }),
        false => vec![slices],
    }
}

/// How many slices lie at the place of another one.
fn repeats<'a>(slices: impl Iterator<Item = &'a Slice>) -> usize {
    let mut heights: Vec<f64> = slices.filter_map(height).collect();
    heights.sort_by(f64::total_cmp);
    heights.windows(2).filter(|pair| pair[1] - pair[0] < SAME_PLACE).count()
}

/// How far a slice lies towards the head along its own normal.
fn height(slice: &Slice) -> Option<f64> {
    slice.place.map(|place| dot(place.position, place.up()))
}

/// Slices of one orientation and matrix, ordered from head to foot; at least one.
fn stack(slices: Vec<Slice>, leave: &mut impl FnMut(Slice, Reason)) -> Scan {
    // One normal for all: slices that differ by a rounding of it must not change places.
    let up = slices
        .iter()
        .find_map(|slice| slice.place)
        .map_or([0.0, 0.0, 1.0], |place| place.up());
    let along = |slice: &Slice| slice.place.map_or(0.0, |place| dot(place.position, up));
    let mut ordered: Vec<(f64, Slice)> = slices.into_iter().map(|slice| (along(&slice), slice)).collect();
    // Stable: slices at one place stay in the order of their files but for their numbers.
    ordered.sort_by(|(a, first), (b, second)| b.total_cmp(a).then(first.number.cmp(&second.number)));
    let series = Arc::clone(&ordered[0].1.series);
    let mut kept = Vec::<(f64, Slice)>::with_capacity(ordered.len());
    let mut repeated = 0;
    for (height, slice) in ordered {
        let here = kept.iter().rev().take_while(|(other, _)| other - height < SAME_PLACE);
        let pixels = |slice: &Slice| slice.image.as_ref().map(|image| image.sha256);
        let again = pixels(&slice).is_some() && here.into_iter().any(|(_, other)| pixels(other) == pixels(&slice));
        if again {
            repeated += 1;
            leave(slice, Reason::SamePixels);
        } else {
            kept.push((height, slice));
        }
    }
    let (top, bottom) = (kept[0].0, kept[kept.len() - 1].0);
    let length = top - bottom;
    let placed = kept.into_iter().enumerate().map(|(index, (height, slice))| Placed {
        slice,
        index,
        height,
        fraction: (length > SAME_PLACE).then(|| (top - height) / length),
        taken: true,
    });
    Scan {
        series,
        part: (0, 1),
        slices: placed.collect(),
        repeated,
        turned: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::testing, *};
    use crate::readers::SliceAddress;

    fn sorted(slices: Vec<Slice>) -> (Vec<Scan>, Vec<&'static str>) {
        let mut left_out = Vec::new();
        let scans = scans(slices, &mut left_out);
        (scans, left_out.iter().map(|left| left.reason.kind()).collect())
    }

    fn heights(scan: &Scan) -> Vec<f64> {
        scan.slices.iter().map(|placed| placed.height).collect()
    }

    #[test]
    fn slices_lie_from_head_to_foot_whatever_their_names_and_numbers() {
        let mut slices: Vec<Slice> = [3.0, -7.0, 13.0, 8.0, -2.0].into_iter().map(testing::slice).collect();
        for (number, slice) in slices.iter_mut().enumerate() {
            slice.number = Some(number as i32);
        }
        let (scans, left_out) = sorted(slices);
        assert_eq!(heights(&scans[0]), [13.0, 8.0, 3.0, -2.0, -7.0]);
        let fractions: Vec<f64> = scans[0].slices.iter().filter_map(|placed| placed.fraction).collect();
        assert_eq!(fractions, [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!((scans.len(), left_out.len()), (1, 0));
    }

    /// Feet first and prone change the signs of rows and columns, not where the head is.
    #[test]
    fn head_to_foot_is_that_of_the_patient_and_not_of_the_table() {
        for (row, column) in [
            ([-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
            ([-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]),
        ] {
            let mut slices: Vec<Slice> = [3.0, -7.0, 13.0].into_iter().map(testing::slice).collect();
            for place in slices.iter_mut().filter_map(|slice| slice.place.as_mut()) {
                (place.row, place.column) = (row, column);
            }
            assert_eq!(heights(&sorted(slices).0[0]), [13.0, 3.0, -7.0]);
        }
    }

    #[test]
    fn phases_are_scans_of_their_own_and_steps_are_not() {
        let mut phases: Vec<Slice> = [10.0, 5.0, 0.0, 10.0, 5.0, 0.0]
            .into_iter()
            .map(testing::slice)
            .collect();
        for (at, slice) in phases.iter_mut().enumerate() {
            slice.acquisition = Some(at as i32 / 3);
        }
        let (scans, _) = sorted(phases);
        assert_eq!(
            scans
                .iter()
                .map(|scan| (scan.part, scan.slices.len()))
                .collect::<Vec<_>>(),
            [((0, 2), 3), ((1, 2), 3)]
        );
        let mut steps: Vec<Slice> = [10.0, 5.0, 0.0].into_iter().map(testing::slice).collect();
        for (at, slice) in steps.iter_mut().enumerate() {
            slice.acquisition = Some(at as i32);
        }
        assert_eq!(sorted(steps).0.len(), 1);
    }

    /// Three phases of three slices, told apart by `change`.
    fn phases(change: impl Fn(usize, &mut Slice)) -> Vec<Slice> {
        let heights = [10.0, 5.0, 0.0].into_iter().cycle().take(9);
        let mut slices: Vec<Slice> = heights.map(testing::slice).collect();
        for (at, slice) in slices.iter_mut().enumerate() {
            change(at / 3, slice);
        }
        slices
    }

    fn sizes(slices: Vec<Slice>) -> Vec<usize> {
        sorted(slices).0.iter().map(|scan| scan.slices.len()).collect()
    }

    #[test]
    fn phases_and_reconstructions_are_told_by_whatever_tells_them() {
        let facts = |slice: &mut Slice, change: &dyn Fn(&mut SeriesFacts)| {
            change(Arc::make_mut(&mut slice.series));
        };
        let temporal = phases(|phase, slice| slice.temporal = Some(phase as i32));
        assert_eq!(sizes(temporal), [3, 3, 3]);
        let kernels = phases(|phase, slice| facts(slice, &|facts| facts.kernel = Some(format!("B{phase}0f"))));
        assert_eq!(sizes(kernels), [3, 3, 3]);
        let types = phases(|phase, slice| facts(slice, &|facts| facts.image_type = format!("ORIGINAL\\{phase}")));
        assert_eq!(sizes(types), [3, 3, 3]);
        assert_eq!(sizes(phases(|_, _| ())), [9]);
        // Two acquisitions, of which the second was made twice.
        let both = phases(|phase, slice| {
            slice.acquisition = Some(phase.min(1) as i32);
            slice.temporal = Some(phase as i32);
        });
        assert_eq!(sizes(both), [3, 3, 3]);
    }

    #[test]
    fn an_odd_slice_does_not_mix_phases() {
        let mut slices = phases(|phase, slice| slice.acquisition = Some(phase as i32));
        slices.push(Slice {
            acquisition: Some(1),
            ..testing::slice(5.0)
        });
        slices.push(testing::slice(-5.0));
        assert_eq!(sizes(slices), [3, 4, 3, 1]);
        // Steps of an acquisition each stay together where one of them was made again.
        let mut steps: Vec<Slice> = [10.0, 5.0, 0.0, 0.0].into_iter().map(testing::slice).collect();
        for (at, slice) in steps.iter_mut().enumerate() {
            slice.acquisition = Some(at as i32);
        }
        assert_eq!(sizes(steps), [4]);
    }

    #[test]
    fn matrices_are_scans_of_their_own() {
        let mut slices: Vec<Slice> = [10.0, 5.0, 0.0, -5.0].into_iter().map(testing::slice).collect();
        slices[1].rows = 256;
        slices[2].pixel_spacing = Some([0.5, 0.5]);
        slices[3].pixel_spacing = slices[0].pixel_spacing.map(|spacing| spacing.map(|mm| mm + 1e-6));
        let (scans, left_out) = sorted(slices);
        assert_eq!(
            scans.iter().map(|scan| scan.slices.len()).collect::<Vec<_>>(),
            [2, 1, 1]
        );
        assert!(left_out.is_empty());
    }

    #[test]
    fn repeated_files_and_pixels_are_left_out() {
        let mut slices: Vec<Slice> = [10.0, 10.0, 5.0, 5.0, 0.0, 0.0]
            .into_iter()
            .map(testing::slice)
            .collect();
        slices[1].instance = slices[0].instance;
        slices[1].series = Arc::clone(&slices[0].series);
        slices[3].image = slices[2].image.clone();
        let (scans, left_out) = sorted(slices);
        // The last two are at one place and differ.
        assert_eq!(heights(&scans[0]), [10.0, 5.0, 0.0, 0.0]);
        assert_eq!(left_out, ["duplicate", "duplicate"]);
        assert_eq!(scans[0].repeated, 1);
    }

    #[test]
    fn one_identity_in_all_files_is_said_and_costs_no_slice() {
        let mut slices: Vec<Slice> = (0..12).map(|at| testing::slice(f64::from(at))).collect();
        let series = Arc::clone(&slices[0].series);
        for slice in &mut slices {
            (slice.instance, slice.series) = (Some((7, 0)), Arc::clone(&series));
        }
        let (scans, left_out) = sorted(slices);
        assert_eq!((scans[0].slices.len(), left_out.len()), (12, 0));
        assert_eq!(scans[0].slices.iter().filter(|placed| placed.slice.reused).count(), 11);
    }

    #[test]
    fn what_is_turned_or_has_no_place_is_left_out() {
        let mut slices: Vec<Slice> = [10.0, 5.0, 0.0, -5.0, -10.0].into_iter().map(testing::slice).collect();
        let angle = 10f64.to_radians();
        slices[0].place.as_mut().unwrap().column = [0.0, angle.cos(), angle.sin()];
        slices[3].place = None;
        slices[4].place.as_mut().unwrap().column = [0.0, 0.0, -1.0];
        let (scans, left_out) = sorted(slices);
        assert_eq!(heights(&scans[0]), [5.0, 0.0]);
        assert_eq!(scans[0].turned, 1);
        assert_eq!(left_out, ["no position", "not axial", "mixed orientation"]);
    }

    #[test]
    fn one_series_number_under_two_patients_is_two_scans() {
        let mut slices: Vec<Slice> = [10.0, 5.0].into_iter().map(testing::slice).collect();
        let other = SeriesFacts {
            patient_id: Some("another".to_owned()),
            ..(*slices[0].series).clone()
        };
        slices[1].series = Arc::new(other);
        slices[1].address = SliceAddress::of(Path::new("other"));
        assert_eq!(sorted(slices).0.len(), 2);
    }
}
