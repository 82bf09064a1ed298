//! Where the voxels of a volume lie in the patient.
//!
//! Positions are millimetres in DICOM's patient coordinates, LPS (PS3.3 C.7.6.2.1.1): x grows to the patient's left, y
//! to the back, z to the head. NIfTI's RAS is turned into LPS where a file is read, and nowhere else. Axes of arrays
//! are `[D, H, W]`; an affine's columns are W, H, D, as NIfTI and ITK have them.

use super::{AxisOrder, Orientation};

/// Below this volume of the three unit vectors (1 when they are at right angles) the axes don't span a space.
const FLAT: f64 = 1e-4;
/// Axes whose cosine is no greater are at right angles: more than a header's 32-bit floats and rounded decimals lose, and
/// less than a gantry that is tilted by a hundredth of a degree.
const ORTHOGONAL: f64 = 1.5e-4;

/// The place of a volume's voxels: `position = origin + sum of index * spacing * direction` over the axes D, H, W.
///
/// ```
/// use hounsfield::ct::Geometry;
/// let geometry = Geometry::axial([5.0, 0.7, 0.7]);
/// assert_eq!(geometry.position([2.0, 0.0, 0.0]), [0.0, 0.0, -10.0]);
/// assert_eq!(geometry.orientation().to_string(), "LPI");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// x, y, z of the centre of voxel `[0, 0, 0]`, mm in LPS.
    pub origin: [f64; 3],
    /// Distance of neighbours along D, H, W, mm.
    pub spacing: [f64; 3],
    /// Unit vectors along D, H, W. Those of a tilted gantry are not at right angles.
    pub directions: [[f64; 3]; 3],
}

/// Why three axes are no geometry.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A number that is infinite or not a number.
    #[error("a position, spacing or direction is not a finite number")]
    NotFinite,
    /// Voxels without an extent.
    #[error("spacing is {} x {} x {} mm, expected three positive lengths", spacing[0], spacing[1], spacing[2])]
    Spacing {
        /// Along D, H, W.
        spacing: [f64; 3],
    },
    /// Axes in one plane.
    #[error(
        "the axes of the volume lie in one plane (their unit vectors span {volume}), expected three directions in space"
    )]
    Flat {
        /// The determinant of the unit vectors.
        volume: f64,
    },
    /// Vectors of another length than 1.
    #[error("a direction has the length {length}, expected unit vectors")]
    NoUnit {
        /// Its length.
        length: f64,
    },
}

impl Geometry {
    /// An axial scan from head to feet at the origin: W to the patient's left, H to the back.
    pub fn axial(spacing: [f64; 3]) -> Self {
        Self {
            origin: [0.0; 3],
            spacing,
            directions: [[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
        }
    }

    /// From an affine, x, y, z in LPS mm of `(w, h, d, 1)`.
    ///
    /// # Errors
    ///
    /// [`GeometryError`], where its columns are no three directions.
    pub fn from_affine(affine: [[f64; 4]; 3]) -> Result<Self, GeometryError> {
        let column = |at: usize| [affine[0][at], affine[1][at], affine[2][at]];
        let steps = [column(2), column(1), column(0)];
        let spacing = steps.map(length);
        let directions = [0, 1, 2].map(|axis| steps[axis].map(|part| part / spacing[axis]));
        let geometry = Self {
            origin: column(3),
            spacing,
            directions,
        };
        geometry.check().map(|()| geometry)
    }

    /// x, y, z in LPS mm of `(w, h, d, 1)`.
    pub fn affine(&self) -> [[f64; 4]; 3] {
        let [d, h, w] = self.steps();
        [0, 1, 2].map(|part| [w[part], h[part], d[part], self.origin[part]])
    }

    /// Whether this is a geometry: finite, with extents, in three directions.
    ///
    /// # Errors
    ///
    /// [`GeometryError`].
    pub fn check(&self) -> Result<(), GeometryError> {
        // Spacings first: a length of 0 has made its direction no number.
        if self.spacing.iter().any(|spacing| *spacing <= 0.0) {
            return Err(GeometryError::Spacing { spacing: self.spacing });
        }
        let numbers = self
            .directions
            .iter()
            .flatten()
            .chain(&self.spacing)
            .chain(&self.origin);
        if !numbers.copied().all(f64::is_finite) {
            return Err(GeometryError::NotFinite);
        }
        let lengths = self.directions.map(length);
        if let Some(length) = lengths.into_iter().find(|length| (length - 1.0).abs() > 1e-3) {
            return Err(GeometryError::NoUnit { length });
        }
        let volume = determinant(self.directions);
        if volume.abs() < FLAT {
            return Err(GeometryError::Flat { volume });
        }
        Ok(())
    }

    /// The place of an index along `[D, H, W]`, which may lie between voxels: x, y, z in LPS mm.
    pub fn position(&self, index: [f64; 3]) -> [f64; 3] {
        let steps = self.steps();
        [0, 1, 2].map(|part| self.origin[part] + (0..3).map(|axis| index[axis] * steps[axis][part]).sum::<f64>())
    }

    /// The index along `[D, H, W]` of a place, which may lie between voxels; [`position`](Self::position) turned round.
    pub fn index(&self, position: [f64; 3]) -> [f64; 3] {
        let inverse = inverse_transposed(self.steps());
        let from_origin = [0, 1, 2].map(|part| position[part] - self.origin[part]);
        inverse.map(|row| dot(row, from_origin))
    }

    /// Whether the axes are at right angles; those of a tilted gantry are not.
    pub fn is_orthogonal(&self) -> bool {
        let [d, h, w] = self.directions;
        [dot(d, h), dot(d, w), dot(h, w)]
            .iter()
            .all(|cosine| cosine.abs() <= ORTHOGONAL)
    }

    /// The angle between D and the normal of the slices, degrees: that of a gantry which was tilted, 0 for others.
    pub fn tilt(&self) -> f64 {
        let [d, h, w] = self.directions;
        let normal = cross(h, w);
        (dot(d, normal).abs() / length(normal)).min(1.0).acos().to_degrees()
    }

    /// Where the axes go, each by the direction of the body that it is closest to: nibabel's
    /// `aff2axcodes(affine)`.
    pub fn orientation(&self) -> Orientation {
        Orientation::closest_to(without_shear(self.directions))
    }

    /// The geometry of a volume of this size after its axes were reordered.
    pub fn reordered(&self, size: [usize; 3], order: &AxisOrder) -> Self {
        let first = [0, 1, 2].map(|axis| if order.flips(axis) { size[axis].max(1) - 1 } else { 0 });
        let directions = order.axes.map(|axis| {
            let sign = if order.flips(axis) { -1.0 } else { 1.0 };
            // Adding 0 makes a plain zero of a negative one.
            self.directions[axis].map(|part| sign * part + 0.0)
        });
        Self {
            origin: self.position(first.map(|index| index as f64)),
            spacing: order.axes.map(|axis| self.spacing[axis]),
            directions,
        }
    }

    /// From one voxel to the next along D, H, W.
    fn steps(&self) -> [[f64; 3]; 3] {
        [0, 1, 2].map(|axis| self.directions[axis].map(|part| part * self.spacing[axis]))
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn length(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

fn determinant([a, b, c]: [[f64; 3]; 3]) -> f64 {
    dot(a, cross(b, c))
}

/// The transposed inverse: rows that give the coordinates along the rows of `m`.
fn inverse_transposed([a, b, c]: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let volume = determinant([a, b, c]);
    [cross(b, c), cross(c, a), cross(a, b)].map(|row| row.map(|part| part / volume))
}

/// The rotation (perhaps with a reflection) that is closest to three directions, their polar factor, by Newton's
/// iteration (Higham, SIAM J Sci Stat Comput 7:1160, 1986).
fn without_shear(directions: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let mut rotation = directions;
    for _ in 0..32 {
        let other = inverse_transposed(rotation);
        let next = [0, 1, 2].map(|row| [0, 1, 2].map(|part| (rotation[row][part] + other[row][part]) / 2.0));
        if next.iter().flatten().any(|part| !part.is_finite()) {
            return directions;
        }
        let change = rotation.iter().flatten().zip(next.iter().flatten());
        let settled = change.fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) < 1e-14;
        rotation = next;
        if settled {
            break;
        }
    }
    rotation
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scan with a gantry that is tilted by 20 degrees, turned a little.
    fn tilted() -> Geometry {
        let (sin, cos) = 20f64.to_radians().sin_cos();
        Geometry {
            origin: [-120.5, 33.0, 800.25],
            spacing: [5.0, 0.7, 0.8],
            directions: [[0.0, 0.0, -1.0], [0.0, cos, -sin], [1.0, 0.0, 0.0]],
        }
    }

    #[test]
    fn an_index_is_found_again_from_its_place_with_a_tilted_gantry_too() {
        let geometry = tilted();
        assert!(!geometry.is_orthogonal() && geometry.check().is_ok());
        assert!((geometry.tilt() - 20.0).abs() < 1e-9);
        let found = geometry.index(geometry.position([3.0, 17.5, -2.0]));
        for (found, expected) in found.iter().zip([3.0, 17.5, -2.0]) {
            assert!((found - expected).abs() < 1e-10, "{found} for {expected}");
        }
    }

    #[test]
    fn an_affine_and_back_is_the_same_geometry() {
        let geometry = tilted();
        let back = Geometry::from_affine(geometry.affine()).unwrap();
        for (a, b) in geometry.affine().iter().flatten().zip(back.affine().iter().flatten()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }

    #[test]
    fn what_spans_no_space_is_refused() {
        let flat = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
        assert!(matches!(Geometry::from_affine(flat), Err(GeometryError::Flat { .. })));
        let none = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
        assert!(matches!(
            Geometry::from_affine(none),
            Err(GeometryError::Spacing { .. })
        ));
        let mut endless = none;
        endless[2][2] = f64::INFINITY;
        assert_eq!(Geometry::from_affine(endless), Err(GeometryError::NotFinite));
        let long = Geometry {
            directions: [[0.0, 0.0, 2.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
            ..Geometry::axial([1.0; 3])
        };
        assert_eq!(long.check(), Err(GeometryError::NoUnit { length: 2.0 }));
    }
}
