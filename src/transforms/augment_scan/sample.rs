//! Where a scan is read from: a plane of the result in HU, as `scipy.ndimage.affine_transform(scan, matrix, offset, order=1,
//! mode="grid-constant", cval=-1024)`.

use super::{
    super::scan::AIR,
    affine::{Affine, Move},
};

/// Places are counted in parts of a voxel, which makes steps along a row exact: 2^-32 of 1.5 mm is nothing.
const PART_BITS: u32 = 32;
/// Larger numbers in a map are cut off, so that no place overflows: 2^28 voxels is beyond every scan.
const FARTHEST: f64 = (1u64 << 28) as f64;

/// A scan in memory, W fastest.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    pub voxels: &'a [i16],
    pub size: [usize; 3],
}

/// An [`Affine`] in parts of a voxel.
struct Map {
    matrix: [[i64; 3]; 3],
    offset: [i64; 3],
}

impl Map {
    fn of(affine: &Affine) -> Self {
        let parts = |voxels: f64| (voxels.clamp(-FARTHEST, FARTHEST) * (1u64 << PART_BITS) as f64).round() as i64;
        // 2^31 voxels is what 64 bits hold: steps of less than 4 voxels over fewer than 2^28 of them stay inside.
        let steps = |voxels: f64| parts(voxels.clamp(-3.0, 3.0));
        Self {
            matrix: affine.matrix.map(|row| row.map(steps)),
            offset: affine.offset.map(parts),
        }
    }
}

impl Scan<'_> {
    /// One plane of the moved scan.
    pub fn plane(&self, moves: &Move, depth: usize, out: &mut [f32]) {
        match moves {
            Move::Flip(flip) => self.flipped(*flip, depth, out),
            Move::Map(affine) => self.mapped(&Map::of(affine), depth, out),
        }
    }

    /// No value changes.
    fn flipped(&self, flip: [bool; 3], depth: usize, out: &mut [f32]) {
        let [depths, height, width] = self.size;
        let at = |flip: bool, place: usize, size: usize| if flip { size - 1 - place } else { place };
        let first = at(flip[0], depth, depths) * height;
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let line = &self.voxels[(first + at(flip[1], row, height)) * width..][..width];
            if flip[2] {
                out.iter_mut()
                    .zip(line.iter().rev())
                    .for_each(|(out, hu)| *out = f32::from(*hu));
            } else {
                out.iter_mut().zip(line).for_each(|(out, hu)| *out = f32::from(*hu));
            }
        }
    }

    /// Trilinear. The scan lies in air, so that its outermost voxels fade into it.
    fn mapped(&self, map: &Map, depth: usize, out: &mut [f32]) {
        let width = self.size[2];
        let step = map.matrix.map(|row| row[2]);
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let start = [0, 1, 2]
                .map(|axis| map.offset[axis] + map.matrix[axis][0] * depth as i64 + map.matrix[axis][1] * row as i64);
            let (from, to) = self.inside(start, step, width);
            let place = |column: usize| [0, 1, 2].map(|axis| start[axis] + step[axis] * column as i64);
            for column in (0..from).chain(to..width) {
                out[column] = self.at_the_edge(place(column));
            }
            let mut place = place(from);
            for out in &mut out[from..to] {
                *out = self.within(place);
                place = [0, 1, 2].map(|axis| place[axis] + step[axis]);
            }
        }
    }

    /// The columns of a row whose eight voxels all lie in the scan.
    fn inside(&self, start: [i64; 3], step: [i64; 3], width: usize) -> (usize, usize) {
        let (mut from, mut to) = (0, width as i64);
        for axis in 0..3 {
            // Places `0..end` have a voxel on either side.
            let end = (self.size[axis] as i64 - 1) << PART_BITS;
            let (start, step) = match step[axis] {
                // Seen from the other end, so that steps are positive: place < end becomes end - 1 - place >= 0.
                back if back < 0 => (end - 1 - start[axis], -back),
                step => (start[axis], step),
            };
            if step == 0 {
                if !(0..end).contains(&start) {
                    return (0, 0);
                }
                continue;
            }
            let columns = |distance: i64| distance.div_euclid(step) + i64::from(distance.rem_euclid(step) > 0);
            from = from.max(columns(-start));
            to = to.min(columns(end - start));
        }
        if from < to {
            (from as usize, to as usize)
        } else {
            (0, 0)
        }
    }

    #[inline(always)]
    fn within(&self, place: [i64; 3]) -> f32 {
        let [_, height, width] = self.size;
        let [depth, row, column] = place.map(|place| (place >> PART_BITS) as usize);
        let weights = place.map(part);
        let corner = (depth * height + row) * width + column;
        let line = |offset: usize| {
            let pair = &self.voxels[corner + offset..][..2];
            mix(weights[2], f32::from(pair[0]), f32::from(pair[1]))
        };
        let plane = |offset: usize| mix(weights[1], line(offset), line(offset + width));
        mix(weights[0], plane(0), plane(height * width))
    }

    fn at_the_edge(&self, place: [i64; 3]) -> f32 {
        let first = place.map(|place| place >> PART_BITS);
        if (0..3).any(|axis| !(-1..self.size[axis] as i64).contains(&first[axis])) {
            return AIR;
        }
        let weights = place.map(part);
        let voxel = |voxel: [i64; 3]| {
            if (0..3).any(|axis| !(0..self.size[axis] as i64).contains(&voxel[axis])) {
                return AIR;
            }
            let [depth, row, column] = voxel.map(|place| place as usize);
            f32::from(self.voxels[(depth * self.size[1] + row) * self.size[2] + column])
        };
        let [depth, row, column] = first;
        let line = |depth, row| mix(weights[2], voxel([depth, row, column]), voxel([depth, row, column + 1]));
        let plane = |depth| mix(weights[1], line(depth, row), line(depth, row + 1));
        mix(weights[0], plane(depth), plane(depth + 1))
    }
}

/// How far a place is on the way to the next voxel, 0 to 1.
#[inline(always)]
fn part(place: i64) -> f32 {
    (place as u32) as f32 * (1.0 / (1u64 << PART_BITS) as f32)
}

/// In this form a weight of 0 gives the first value itself.
#[inline(always)]
fn mix(weight: f32, first: f32, second: f32) -> f32 {
    (1.0 - weight) * first + weight * second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_middle_of_a_row_is_what_the_edge_would_say() {
        let size = [5, 4, 7];
        let voxels: Vec<i16> = (0..140).map(|i| (i * 37 % 211) * 9 - 1024).collect();
        let scan = Scan { voxels: &voxels, size };
        for (matrix, offset) in [
            ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [0.0, 0.0, 0.0]),
            ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [0.25, -0.5, 1.75]),
            ([[0.9, 0.1, -0.3], [0.2, -0.8, 0.3], [-0.1, 0.4, -0.7]], [0.5, 2.5, 5.0]),
            ([[-1.0, 0.0, 0.0], [0.0, 0.0, -0.5], [0.0, 1.5, 0.0]], [4.0, 3.0, 0.0]),
            ([[f64::INFINITY, f64::NAN, 0.0]; 3], [f64::NEG_INFINITY, 1e30, 0.0]),
        ] {
            let map = Map::of(&Affine { matrix, offset });
            let mut inside = 0;
            for depth in 0..5 {
                let mut plane = [0.0; 28];
                scan.mapped(&map, depth, &mut plane);
                for (index, found) in plane.iter().enumerate() {
                    let voxel = [depth as i64, index as i64 / 7, index as i64 % 7];
                    let place = [0, 1, 2]
                        .map(|axis| map.offset[axis] + (0..3).map(|k| map.matrix[axis][k] * voxel[k]).sum::<i64>());
                    assert_eq!(*found, scan.at_the_edge(place), "{voxel:?} through {matrix:?}");
                    inside += usize::from(*found != AIR);
                }
            }
            assert!(inside > 0 || offset[0].is_infinite());
        }
    }
}
