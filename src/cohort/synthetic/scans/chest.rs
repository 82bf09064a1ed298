//! A simple chest: a body, fat, a spine, a heart and two lungs, whose texture is another matter.

use rand::{Rng, RngExt as _};

use crate::ct::Hu;

/// Lengths of a chest are stated for this field of view, mm.
pub(super) const FIELD: f32 = 320.0;
const AIR: Hu = -1000.0;

/// How a patient lies in the scanner.
pub(super) struct Lie {
    /// Sine and cosine of the turn about the long axis.
    turn: (f32, f32),
    shift: [f32; 3],
}

impl Lie {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        Self {
            turn: rng.random_range(-5f32..5.0).to_radians().sin_cos(),
            shift: std::array::from_fn(|_| rng.random_range(-8.0..8.0)),
        }
    }

    /// Where a point of the scanner lies in the patient.
    pub(super) fn seen(&self, point: [f32; 3]) -> [f32; 3] {
        let [x, y, z] = [0, 1, 2].map(|axis| point[axis] - self.shift[axis]);
        let (sin, cos) = self.turn;
        [cos * x + sin * y, cos * y - sin * x, z]
    }
}

/// A patient's anatomy, lengths in mm: x to the patient's left, y to the back, z to the feet.
pub(super) struct Chest {
    scale: f32,
    /// Half the height of the body over half its width.
    depth: f32,
    /// Half axes of both lungs.
    lungs: [[f32; 3]; 2],
}

impl Chest {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let scale = rng.random_range(0.9..1.1);
        Self {
            scale,
            depth: rng.random_range(0.66..0.74),
            lungs: std::array::from_fn(|_| [44.0, 64.0, 105.0].map(|axis| axis * rng.random_range(0.9..1.1))),
        }
    }

    /// Hounsfield units; `None` in the lungs, whose texture is the scan's.
    pub(super) fn tissue(&self, point: [f32; 3]) -> Option<Hu> {
        let [x, y, z] = point.map(|part| part / self.scale);
        let ellipse = |a: f32, b: f32| (x / a).powi(2) + (y / b).powi(2);
        let (a, b) = (140.0, 140.0 * self.depth);
        if ellipse(a, b) > 1.0 {
            return Some(AIR);
        }
        if ellipse(a - 12.0, b - 12.0) > 1.0 {
            return Some(-100.0); // fat
        }
        if x.hypot(y - 66.0) < 16.0 {
            return Some(250.0); // spine
        }
        let within = |center: [f32; 3], axes: [f32; 3]| {
            let parts = [x, y, z].into_iter().zip(center).zip(axes);
            parts
                .map(|((at, center), axis)| ((at - center) / axis).powi(2))
                .sum::<f32>()
                < 1.0
        };
        let heart = within([18.0, -20.0, 35.0], [36.0, 34.0, 45.0]);
        let lung = |side: usize| within([if side == 0 { -58.0 } else { 58.0 }, 0.0, 0.0], self.lungs[side]);
        if !heart && (lung(0) || lung(1)) {
            None
        } else {
            Some(40.0)
        }
    }
}
