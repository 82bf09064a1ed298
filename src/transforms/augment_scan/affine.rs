//! Flips, size, rotations and shift as one map from a voxel of the result to a place in the scan.

use super::ScanChange;

/// How a scan is moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Move {
    /// Along D, H and W; nothing is interpolated.
    Flip([bool; 3]),
    /// All else.
    Map(Affine),
}

/// `place = matrix * voxel + offset`, both counted in voxels from the middle of the first one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    /// Rows are axes of the scan, columns axes of the result.
    pub matrix: [[f64; 3]; 3],
    /// The place of the result's first voxel.
    pub offset: [f64; 3],
}

impl ScanChange {
    /// How a scan of this size and spacing (mm) is moved.
    pub(crate) fn moves(&self, size: [usize; 3], spacing: f64) -> Move {
        if self.rotate == [0.0; 3] && self.translate == [0.0; 3] && self.scale == 0.0 {
            return Move::Flip(self.flip);
        }
        // Forwards: voxel = turn * (1 + scale) * flip * place + shift, seen from the centre. Its inverse needs no solving, since
        // the inverse of a rotation is its transpose.
        let turn = self.turn();
        let shrink = (1.0 + self.scale).recip();
        let matrix = [0, 1, 2].map(|place| {
            let sign = if self.flip[place] { -shrink } else { shrink };
            [0, 1, 2].map(|voxel| sign * turn[voxel][place])
        });
        let center = size.map(|voxels| (voxels as f64 - 1.0) / 2.0);
        let moved = [0, 1, 2].map(|axis| center[axis] + self.translate[axis] / spacing);
        let offset =
            [0, 1, 2].map(|place| center[place] - (0..3).map(|axis| matrix[place][axis] * moved[axis]).sum::<f64>());
        Move::Map(Affine { matrix, offset })
    }

    /// The rotations, the one about D first.
    fn turn(&self) -> [[f64; 3]; 3] {
        let about = |axis: usize| {
            let (sin, cos) = self.rotate[axis].to_radians().sin_cos();
            let (from, to) = ((axis + 1) % 3, (axis + 2) % 3);
            let mut turn = [[0.0; 3]; 3];
            turn[axis][axis] = 1.0;
            (turn[from][from], turn[from][to], turn[to][from], turn[to][to]) = (cos, -sin, sin, cos);
            turn
        };
        product(about(2), product(about(1), about(0)))
    }
}

fn product(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    a.map(|row| [0, 1, 2].map(|column| (0..3).map(|k| row[k] * b[k][column]).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(change: &ScanChange, voxel: [f64; 3]) -> [f64; 3] {
        match change.moves([9, 9, 9], 2.0) {
            Move::Map(Affine { matrix, offset }) => {
                [0, 1, 2].map(|axis| offset[axis] + (0..3).map(|k| matrix[axis][k] * voxel[k]).sum::<f64>())
            }
            Move::Flip(flip) => panic!("only flips: {flip:?}"),
        }
    }

    #[track_caller]
    fn near(found: [f64; 3], expected: [f64; 3]) {
        assert!(
            (0..3).all(|axis| (found[axis] - expected[axis]).abs() < 1e-12),
            "{found:?}, not {expected:?}"
        );
    }

    #[test]
    fn rotations_are_right_handed_in_d_h_w() {
        for (axis, from, to) in [(0, 1, 2), (1, 2, 0), (2, 0, 1)] {
            let mut change = ScanChange::default();
            change.rotate[axis] = 90.0;
            let (mut source, mut result) = ([4.0; 3], [4.0; 3]);
            source[from] += 3.0;
            result[to] += 3.0;
            near(place(&change, result), source);
        }
    }

    #[test]
    fn a_shift_is_in_mm_and_comes_last() {
        let change = ScanChange {
            rotate: [90.0, 0.0, 0.0],
            translate: [0.0, 4.0, 0.0],
            scale: 1.0,
            ..ScanChange::default()
        };
        // One voxel off the centre along H is two along W after both, and then two further along H.
        near(place(&change, [4.0, 6.0, 6.0]), [4.0, 5.0, 4.0]);
    }

    #[test]
    fn flips_alone_are_no_map() {
        let flip = [true, false, true];
        let change = ScanChange {
            flip,
            hu_shift: 3.0,
            ..ScanChange::default()
        };
        assert_eq!(change.moves([4, 4, 4], 1.5), Move::Flip(flip));
    }
}
