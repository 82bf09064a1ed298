//! A scan in Hounsfield units with its place in the patient.

use ndarray::{Array3, ArrayView3, Axis, s};

use super::{AxisOrder, CtSlice, Geometry, Hu, Orientation, Pixels};

/// A CT volume as it was stored; [`axial`](Self::axial) puts it into the order in which slices are numbered.
///
/// ```
/// use hounsfield::ct::{CtVolume, Geometry};
/// // Two slices from the feet to the head become two from the head to the feet.
/// let mut geometry = Geometry::axial([5.0, 1.0, 1.0]);
/// geometry.directions[0] = [0.0, 0.0, 1.0];
/// let voxels = ndarray::array![[[-1000.0]], [[40.0]]];
/// let axial = CtVolume { voxels, geometry }.axial();
/// assert_eq!(axial.voxels, ndarray::array![[[40.0]], [[-1000.0]]]);
/// assert_eq!(axial.geometry.origin, [0.0, 0.0, 5.0]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CtVolume {
    /// `[D, H, W]` Hounsfield units.
    pub voxels: Array3<Hu>,
    /// Where they lie.
    pub geometry: Geometry,
}

impl CtVolume {
    /// `[D, H, W]`.
    pub fn size(&self) -> [usize; 3] {
        self.voxels.dim().into()
    }

    /// The volume in the axial order that is closest: D from the head to the feet, H to the back, W to the patient's
    /// left. Axes are permuted and turned round, nothing is interpolated.
    pub fn axial(self) -> Self {
        self.oriented(Orientation::AXIAL)
    }

    /// The volume in the order of axes that is closest to this orientation. Nothing is interpolated.
    pub fn oriented(self, orientation: Orientation) -> Self {
        let order = self.geometry.orientation().order_to(orientation);
        self.reordered(&order)
    }

    /// The volume with its axes in another order; every voxel stays where it is in the patient.
    pub fn reordered(self, order: &AxisOrder) -> Self {
        if *order == AxisOrder::SAME {
            return self;
        }
        let geometry = self.geometry.reordered(self.size(), order);
        let voxels = ordered(self.voxels.view(), order);
        Self {
            voxels: voxels.as_standard_layout().into_owned(),
            geometry,
        }
    }

    /// The slice at this index along D.
    ///
    /// # Panics
    ///
    /// Where the index is no smaller than D.
    pub fn slice(&self, at: usize) -> CtSlice {
        CtSlice {
            pixels: Pixels::Hu(self.voxels.index_axis(Axis(0), at).to_owned()),
        }
    }

    /// Cut or filled up about its centre; every voxel stays where it is in the patient.
    ///
    /// Where an odd number is cut or filled, the end of the axis gets one more than its beginning.
    ///
    /// # Shapes
    ///
    /// - `size`: `[D, H, W]`; 0 is taken as 1
    pub fn crop_or_pad(&self, size: [usize; 3], fill: Hu) -> Self {
        let size = size.map(|length| length.max(1));
        // What is cut at the beginning of each axis, and what is put there.
        let margins = |from: [usize; 3], to: [usize; 3]| [0, 1, 2].map(|axis| from[axis].saturating_sub(to[axis]) / 2);
        let (cut, filled) = (margins(self.size(), size), margins(size, self.size()));
        let kept = [0, 1, 2].map(|axis| self.size()[axis].min(size[axis]));
        let range = |begin: [usize; 3], axis: usize| begin[axis]..begin[axis] + kept[axis];
        let mut voxels = Array3::from_elem(size, fill);
        voxels
            .slice_mut(s![range(filled, 0), range(filled, 1), range(filled, 2)])
            .assign(&self.voxels.slice(s![range(cut, 0), range(cut, 1), range(cut, 2)]));
        let first = [0, 1, 2].map(|axis| cut[axis] as f64 - filled[axis] as f64);
        Self {
            voxels,
            geometry: Geometry {
                origin: self.geometry.position(first),
                ..self.geometry
            },
        }
    }
}

/// A view with the axes in another order.
fn ordered<'a>(voxels: ArrayView3<'a, Hu>, order: &AxisOrder) -> ArrayView3<'a, Hu> {
    let mut voxels = voxels.permuted_axes(order.axes);
    for (axis, _) in order.flipped.iter().enumerate().filter(|(_, flipped)| **flipped) {
        voxels.invert_axis(Axis(axis));
    }
    voxels
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    /// A volume of 3 x 4 x 5 different voxels, somewhere, turned somehow, with axes that are not at right angles.
    fn somewhere(seed: u64) -> CtVolume {
        let mut random = crate::seed::stream(seed, "volume");
        loop {
            let affine = [0, 1, 2].map(|_| [0, 1, 2, 3].map(|_| random.random_range(-3.0..3.0)));
            let voxels = Array3::from_shape_fn((3, 4, 5), |(d, h, w)| (d * 20 + h * 5 + w) as Hu);
            if let Ok(geometry) = Geometry::from_affine(affine) {
                return CtVolume { voxels, geometry };
            }
        }
    }

    fn close(a: [f64; 3], b: [f64; 3]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn every_voxel_stays_in_its_place_in_all_48_orders_and_the_way_back_is_exact() {
        for seed in 0..20 {
            let volume = somewhere(seed);
            for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                for flips in 0..8 {
                    let flipped = [0, 1, 2].map(|axis| flips >> axis & 1 == 1);
                    let order = AxisOrder { axes, flipped };
                    let other = volume.clone().reordered(&order);
                    assert_eq!(other.size(), order.size(volume.size()));
                    for ((d, h, w), value) in other.voxels.indexed_iter() {
                        let place = other.geometry.position([d as f64, h as f64, w as f64]);
                        let before = volume.geometry.index(place).map(|index| index.round() as usize);
                        assert_eq!(volume.voxels[before], *value, "{order:?}");
                    }
                    let back = other.reordered(&order.inverse());
                    assert_eq!(back.voxels, volume.voxels);
                    assert_eq!(back.geometry.spacing, volume.geometry.spacing);
                    assert_eq!(back.geometry.directions, volume.geometry.directions);
                    assert!(close(back.geometry.origin, volume.geometry.origin));
                }
            }
        }
    }

    #[test]
    fn an_axial_volume_goes_from_the_head_to_the_feet_the_front_to_the_back_and_right_to_left() {
        for seed in 0..200 {
            let volume = somewhere(seed).axial();
            assert_eq!(volume.geometry.orientation(), Orientation::AXIAL);
            assert_eq!(volume.geometry.orientation().to_string(), "LPI");
            assert_eq!(volume.clone().axial(), volume, "what is axial stays as it is");
            let back = volume.oriented("RAS".parse().unwrap());
            assert_eq!(back.geometry.orientation().to_string(), "RAS");
        }
    }

    #[test]
    fn cutting_what_was_filled_up_gives_the_volume_again() {
        let volume = somewhere(1);
        for size in [[3, 4, 5], [6, 5, 9], [4, 4, 6]] {
            let larger = volume.crop_or_pad(size, -1024.0);
            assert_eq!(larger.size(), size);
            let outside = larger.voxels.iter().filter(|hu| **hu == -1024.0).count();
            assert_eq!(outside, larger.voxels.len() - 60);
            for ((d, h, w), value) in larger.voxels.indexed_iter().filter(|(_, hu)| **hu != -1024.0) {
                let place = larger.geometry.position([d as f64, h as f64, w as f64]);
                let before = volume.geometry.index(place).map(|index| index.round() as usize);
                assert_eq!(volume.voxels[before], *value);
            }
            let back = larger.crop_or_pad([3, 4, 5], 0.0);
            assert_eq!(back.voxels, volume.voxels);
            assert!(close(back.geometry.origin, volume.geometry.origin));
        }
        assert_eq!(
            volume.crop_or_pad([0, 1, 2], 0.0).voxels,
            ndarray::array![[[26.0, 27.0]]]
        );
    }
}
