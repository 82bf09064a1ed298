//! Where the voxels of a NIfTI file lie: its three ways of saying so, in nibabel's order (`get_best_affine`).
//!
//! NIfTI's coordinates are RAS, x to the patient's right and y to the front; ours are LPS. They are turned here.

use std::sync::Once;

use super::{Header, NiftiError};
use crate::ct::{Geometry, GeometryError};

/// A quaternion's three numbers may be longer than 1 by so much, from 32-bit floats and rounded decimals.
const ROUNDED: f64 = 1e-5;

impl Header {
    /// `sform`, else `qform`, else the spacing alone.
    ///
    /// # Errors
    ///
    /// What is in force spans no space.
    pub(super) fn geometry(&self) -> Result<Geometry, NiftiError> {
        let ras = match (self.sform, self.qform) {
            (Some(rows), _) => rows,
            (None, Some(qform)) => self.of_quaternion(qform)?,
            (None, None) => {
                static SAID: Once = Once::new();
                SAID.call_once(|| {
                    tracing::warn!(
                        "a NIfTI file states no orientation (sform_code and qform_code are 0): its axes are taken to go \
                         to the left, the front and the head, as nibabel takes them"
                    );
                });
                self.of_spacing()?
            }
        };
        Ok(Geometry::from_affine(turned(
            ras.map(|row| row.map(|part| part * self.millimeters)),
        ))?)
    }

    /// Method 2 of `nifti1.h`.
    fn of_quaternion(&self, [b, c, d, x, y, z]: [f64; 6]) -> Result<[[f64; 4]; 3], NiftiError> {
        let [factor, di, dj, dk] = self.pixdim;
        let rest = 1.0 - (b * b + c * c + d * d);
        let spacing = [dk, dj, di];
        if rest.is_nan() || rest < -ROUNDED {
            return Err(NiftiError::Quaternion { length: 1.0 - rest });
        }
        if !spacing.iter().all(|length| *length > 0.0) {
            return Err(GeometryError::Spacing { spacing }.into());
        }
        let a = rest.max(0.0).sqrt();
        // Numbers of a rounded quaternion are brought to the length 1.
        let s = 2.0 / (a * a + b * b + c * c + d * d);
        let rotation = [
            [1.0 - s * (c * c + d * d), s * (b * c - a * d), s * (b * d + a * c)],
            [s * (b * c + a * d), 1.0 - s * (b * b + d * d), s * (c * d - a * b)],
            [s * (b * d - a * c), s * (c * d + a * b), 1.0 - s * (b * b + c * c)],
        ];
        let dk = if factor < 0.0 { -dk } else { dk };
        let offset = [x, y, z];
        Ok([0, 1, 2].map(|row| {
            let [i, j, k] = rotation[row];
            [i * di, j * dj, k * dk, offset[row]]
        }))
    }

    /// Nothing but the spacing: nibabel's `get_base_affine`, with the centre of the volume at the origin and i to the
    /// left, as ANALYZE files have it.
    fn of_spacing(&self) -> Result<[[f64; 4]; 3], NiftiError> {
        let [_, di, dj, dk] = self.pixdim;
        let spacing = [dk, dj, di];
        if !spacing.iter().all(|length| *length > 0.0) {
            return Err(GeometryError::Spacing { spacing }.into());
        }
        let steps = [-di, dj, dk];
        Ok([0, 1, 2].map(|row| {
            let mut affine = [0.0; 4];
            affine[row] = steps[row];
            affine[3] = -steps[row] * (self.size[row] as f64 - 1.0) / 2.0;
            affine
        }))
    }
}

/// RAS to LPS and back.
pub(super) fn turned([x, y, z]: [[f64; 4]; 3]) -> [[f64; 4]; 3] {
    // Adding 0 makes a plain zero of a negative one.
    let minus = |row: [f64; 4]| row.map(|part| -part + 0.0);
    [minus(x), minus(y), z]
}

/// `qfac` and the quaternion's b, c, d of axes that are at right angles: `nifti_mat44_to_quatern` of `nifti1_io.c`.
///
/// `ras` has the unit vectors of i, j, k as columns.
pub(super) fn quaternion(ras: [[f64; 3]; 3]) -> (f64, [f64; 3]) {
    let [[xi, xj, xk], [yi, yj, yk], [zi, zj, zk]] = ras;
    let determinant = xi * (yj * zk - yk * zj) - xj * (yi * zk - yk * zi) + xk * (yi * zj - yj * zi);
    let factor = if determinant < 0.0 { -1.0 } else { 1.0 };
    let [xk, yk, zk] = [xk, yk, zk].map(|part| part * factor);
    let a = xi + yj + zk + 1.0;
    if a > 0.5 {
        let a = 0.5 * a.sqrt();
        return (
            factor,
            [(zj - yk) / (4.0 * a), (xk - zi) / (4.0 * a), (yi - xj) / (4.0 * a)],
        );
    }
    let [b, c, d] = [1.0 + xi - (yj + zk), 1.0 + yj - (xi + zk), 1.0 + zk - (xi + yj)];
    let (a, quaternion) = if b >= c && b >= d {
        let b = 0.5 * b.sqrt();
        ((zj - yk) / b, [b, (xj + yi) / (4.0 * b), (xk + zi) / (4.0 * b)])
    } else if c >= d {
        let c = 0.5 * c.sqrt();
        ((xk - zi) / c, [(xj + yi) / (4.0 * c), c, (yk + zj) / (4.0 * c)])
    } else {
        let d = 0.5 * d.sqrt();
        ((yi - xj) / d, [(xk + zi) / (4.0 * d), (yk + zj) / (4.0 * d), d])
    };
    // The header leaves out the first number, which is positive.
    (factor, quaternion.map(|part| if a < 0.0 { -part } else { part }))
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;
    use crate::readers::{nifti::NiftiVersion, samples::Kind};

    fn header() -> Header {
        Header {
            version: NiftiVersion::Two,
            big_endian: false,
            size: [5, 4, 3],
            kind: Kind::I16,
            begin: 544,
            scaling: None,
            pixdim: [1.0, 0.75, 0.5, 2.5],
            millimeters: 1.0,
            qform: None,
            sform: None,
        }
    }

    #[test]
    fn every_rotation_and_reflection_survives_its_quaternion() {
        let mut random = crate::seed::stream(3, "quaternion");
        for turn in 0..300 {
            let numbers: [f64; 4] = std::array::from_fn(|_| random.random_range(-1.0..1.0));
            // Half turns have a first number of 0, where the formulas change.
            let [a, b, c, d] = if turn % 3 == 0 {
                [0.0, numbers[1], numbers[2], numbers[3]]
            } else {
                numbers
            };
            let length = (a * a + b * b + c * c + d * d).sqrt();
            let bcd = [b, c, d].map(|part| part / length * if a < 0.0 { -1.0 } else { 1.0 });
            let factor = if turn % 2 == 0 { 1.0 } else { -1.0 };
            let mut made = header();
            made.pixdim = [factor, 1.0, 1.0, 1.0];
            let rows = made.of_quaternion([bcd[0], bcd[1], bcd[2], 0.0, 0.0, 0.0]).unwrap();
            let (found, back) = quaternion(rows.map(|[i, j, k, _]| [i, j, k]));
            assert_eq!(found, factor);
            let again = made.of_quaternion([back[0], back[1], back[2], 0.0, 0.0, 0.0]).unwrap();
            for (a, b) in rows.iter().flatten().zip(again.iter().flatten()) {
                assert!((a - b).abs() < 1e-7, "{rows:?} {again:?}");
            }
        }
    }

    #[test]
    fn what_is_in_force_wins_and_units_are_millimetres() {
        let mut header = header();
        let geometry = header.geometry().unwrap();
        assert_eq!(geometry.orientation().to_string(), "LAS");
        assert_eq!(geometry.spacing, [2.5, 0.5, 0.75]);
        assert_eq!(geometry.position([1.0, 1.5, 2.0]), [0.0; 3], "the centre is the origin");
        header.qform = Some([0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
        let geometry = header.geometry().unwrap();
        assert_eq!(geometry.orientation().to_string(), "RAS");
        assert_eq!(geometry.origin, [-1.0, -2.0, 3.0], "RAS becomes LPS");
        header.sform = Some([[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.002, 0.0]]);
        header.millimeters = 1000.0;
        let geometry = header.geometry().unwrap();
        assert_eq!(geometry.orientation().to_string(), "LPS");
        assert_eq!(geometry.spacing, [2.0, 1000.0, 1000.0]);
    }

    #[test]
    fn what_spans_no_space_is_an_error() {
        let mut header = header();
        header.sform = Some([[0.0; 4]; 3]);
        assert!(matches!(header.geometry(), Err(NiftiError::Geometry(_))));
        header.sform = None;
        header.qform = Some([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(matches!(header.geometry(), Err(NiftiError::Quaternion { .. })));
        header.qform = Some([f64::NAN, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(matches!(header.geometry(), Err(NiftiError::Quaternion { .. })));
        header.qform = None;
        header.pixdim[2] = 0.0;
        assert!(matches!(header.geometry(), Err(NiftiError::Geometry(_))));
    }
}
