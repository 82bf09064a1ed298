//! One made patient: anatomy in Hounsfield units at any point of space.
//!
//! Lengths are in mm; x runs to the patient's left, y to the back, z to the head from the lung base. Attenuations are
//! those of textbooks, shapes are ellipses: enough to look like a chest, not meant to be one.

use rand::{Rng, RngExt as _};

use super::{
    Disease,
    noise::{fractal, value},
};
use crate::ct::Hu;

const AIR: Hu = -1000.0;
const FAT: Hu = -100.0;
const MUSCLE: Hu = 50.0;
const BLOOD: Hu = 40.0;
const LUNG: Hu = -860.0;

/// One patient: drawn once, then cut at any height.
pub(super) struct Phantom {
    seed: u64,
    /// Half axes of the body.
    body: [f32; 2],
    fat_mm: f32,
    lung_height: f32,
    /// Half axes of the right and the left lung at their widest.
    lungs: [[f32; 2]; 2],
    /// From the middle to a lung's centre.
    lung_offset: f32,
    heart: [f32; 2],
    lung_hu: Hu,
    /// Where the ribs begin, as a part of their spacing.
    rib_phase: f32,
    vessels: Vec<Vessel>,
    haze: Option<Haze>,
    foci: Vec<Focus>,
}

/// A straight piece of a vessel that thins out.
struct Vessel {
    from: [f32; 3],
    to: [f32; 3],
    radius: [f32; 2],
}

/// Ground glass: everywhere in the lungs where a field of noise is high enough.
struct Haze {
    threshold: f32,
    hu: Hu,
    /// Length of the field's hills.
    grain_mm: f32,
}

/// One dense focus.
struct Focus {
    center: [f32; 3],
    radius: f32,
    hu: Hu,
}

/// A point of a lung: which one, and how far out it is (0 in the axis, 1 at the pleura).
struct InLung {
    out: f32,
}

impl Phantom {
    /// A patient with this disease.
    pub(super) fn draw(rng: &mut impl Rng, disease: Disease) -> Self {
        let mut near = |mean: f32, spread: f32| mean * (1.0 + rng.random_range(-spread..spread));
        let width = near(165.0, 0.12);
        let body = [width, width * near(0.68, 0.06)];
        let lungs = [
            [width * near(0.33, 0.08), body[1] * near(0.70, 0.06)],
            [width * near(0.31, 0.08), body[1] * near(0.68, 0.06)],
        ];
        let mut phantom = Self {
            body,
            fat_mm: near(14.0, 0.5),
            lung_height: near(230.0, 0.12),
            lungs,
            lung_offset: width * near(0.43, 0.04),
            heart: [width * near(0.36, 0.15), body[1] * near(0.44, 0.15)],
            lung_hu: LUNG + near(1.0, 1.0) * 30.0 - 30.0,
            rib_phase: near(0.5, 1.0),
            seed: rng.random(),
            vessels: Vec::new(),
            haze: None,
            foci: Vec::new(),
        };
        phantom.draw_vessels(rng);
        phantom.draw_disease(rng, disease);
        phantom
    }

    /// Height of the lungs.
    pub(super) fn lung_height_mm(&self) -> f32 {
        self.lung_height
    }

    /// Side of a square image that holds the body.
    pub(super) fn field_of_view_mm(&self) -> f32 {
        self.body[0] * 2.0 + 30.0
    }

    /// `[size * size]` Hounsfield units of a plane at `z`, without noise.
    pub(super) fn plane(&self, z: f32, size: usize, spacing: f32) -> Vec<Hu> {
        let at = |index: usize| (index as f32 - (size as f32 - 1.0) / 2.0) * spacing;
        let vessels = self.vessels_in(z, size, spacing);
        (0..size * size)
            .map(|pixel| self.tissue([at(pixel % size), at(pixel / size), z], vessels[pixel]))
            .collect()
    }

    fn tissue(&self, point @ [x, y, _]: [f32; 3], vessel: f32) -> Hu {
        let [a, b] = self.body;
        // A little squarer than an ellipse.
        let r = ((x / a).abs().powf(2.4) + (y / b).abs().powf(2.4)).powf(1.0 / 2.4);
        if r > 1.0 {
            let table = b + 6.0 + 0.0006 * x * x;
            return if (table..table + 5.0).contains(&y) { -250.0 } else { AIR };
        }
        if self.in_airway(point) {
            return AIR + 10.0;
        }
        let heart = self.heart_at(point);
        if heart < 1.0 {
            return BLOOD;
        }
        let (side, out) = self.nearest_lung(point);
        if out < 1.0 && !self.under_diaphragm(point, side) {
            return self.parenchyma(point, InLung { out }, vessel);
        }
        if let Some(bone) = self.bone(point, out, side) {
            return bone;
        }
        if r > 1.0 - self.fat_mm / b { FAT } else { MUSCLE }
    }

    /// Which lung is nearer, and where the point is in it: 0 in its axis, 1 at the pleura.
    fn nearest_lung(&self, [x, y, z]: [f32; 3]) -> (usize, f32) {
        let side = usize::from(x > 0.0);
        let center = self.lung_offset * if side == 0 { -1.0 } else { 1.0 };
        let [a, b] = self.lungs[side];
        // Widest at a quarter of the height, closing at the apex.
        let t = z / self.lung_height;
        let taper = (1.0 - ((t - 0.25).max(0.0) / 0.8).powi(2)).max(0.0).sqrt();
        let (dx, dy) = (
            (x - center * (0.75 + 0.25 * taper)) / (a * taper + 1e-3),
            y / (b * taper + 1e-3),
        );
        (side, dx.hypot(dy))
    }

    fn heart_at(&self, [x, y, z]: [f32; 3]) -> f32 {
        let t = z / self.lung_height;
        let taper = 1.0 - ((t - 0.22) / 0.36).powi(2);
        // The mediastinum is a column in the middle all the way up.
        let column = (x / 24.0).hypot((y + 8.0) / (self.body[1] * 0.55));
        if taper <= 0.0 {
            return column;
        }
        let [a, b] = self.heart.map(|axis| axis * taper.sqrt());
        column.min(((x - 20.0) / a).hypot((y + 18.0) / b))
    }

    fn in_airway(&self, [x, y, z]: [f32; 3]) -> bool {
        let t = z / self.lung_height;
        match t {
            _ if t > 0.62 => x.hypot(y - 2.0) < 9.0,
            _ if t > 0.48 => (x.abs() - (0.62 - t) * 260.0).hypot(y - 4.0) < 6.5,
            _ => false,
        }
    }

    /// The domes of the diaphragm rise into the bases, the right one higher.
    fn under_diaphragm(&self, [x, y, z]: [f32; 3], side: usize) -> bool {
        let center = self.lung_offset * if side == 0 { -1.0 } else { 1.0 };
        let height = if side == 0 { 62.0 } else { 48.0 };
        let dome = 1.0 - ((x - center) / 75.0).powi(2) - ((y + 5.0) / 85.0).powi(2);
        z < height * dome
    }

    fn bone(&self, [x, y, z]: [f32; 3], out: f32, side: usize) -> Option<Hu> {
        let b = self.body[1];
        let vertebra = x.hypot((y - b * 0.52) * 1.15);
        if vertebra < 18.0 {
            return Some(if vertebra > 15.5 { 450.0 } else { 170.0 });
        }
        if x.hypot(y - b * 0.73) < 8.0 {
            return Some(30.0); // spinal canal
        }
        let arch = x.hypot(y - b * 0.73);
        if arch < 12.0 || (x.abs() < 4.0 && (b * 0.73..b * 0.9).contains(&y)) {
            return Some(380.0);
        }
        if (x / 20.0).hypot((y + b * 0.84) / 6.0) < 1.0 {
            return Some(220.0); // sternum
        }
        // Ribs: bands around the lungs that fall from the back to the front.
        let band = (z - y * 0.45) / 27.0 + self.rib_phase + side as f32 * 0.1;
        let within = band - band.floor();
        if (1.05..1.17).contains(&out) && within < 0.42 && x.abs() > 30.0 {
            let shell = !(1.075..1.145).contains(&out) || !(0.07..0.35).contains(&within);
            return Some(if shell { 550.0 } else { 200.0 });
        }
        None
    }

    fn parenchyma(&self, point @ [_, y, _]: [f32; 3], place: InLung, vessel: f32) -> Hu {
        let scaled = |mm: f32| point.map(|c| c / mm);
        // Denser at the back, where the blood is.
        let mut hu = self.lung_hu + y / self.body[1] * 35.0 + 22.0 * value(self.seed, scaled(4.0));
        if let Some(haze) = &self.haze {
            // Along the pleura and at the back first.
            let field = fractal(self.seed ^ 0x6861, scaled(haze.grain_mm))
                + 0.55 * (place.out * place.out - 0.5)
                + 0.2 * y / self.body[1];
            let amount = smooth_step(haze.threshold, haze.threshold + 0.3, field);
            if amount > 0.0 {
                // Thickened septa: the zero lines of a finer noise.
                let septa = 1.0 - (value(self.seed ^ 0x7365, scaled(6.0)).abs() * 5.0).min(1.0);
                hu += amount * (haze.hu + 70.0 * septa + 35.0 * value(self.seed ^ 0x6669, scaled(2.5)));
            }
        }
        for focus in &self.foci {
            let distance = (0..3)
                .map(|axis| (point[axis] - focus.center[axis]).powi(2))
                .sum::<f32>()
                .sqrt();
            if distance > focus.radius * 2.2 {
                continue;
            }
            let edge = distance / focus.radius + 0.45 * fractal(self.seed ^ 0x666f, scaled(14.0));
            let halo = 1.0 - smooth_step(1.0, 1.6, edge);
            hu += 110.0 * halo;
            let dense = 1.0 - smooth_step(0.92, 1.04, edge);
            // Bronchi that stay open.
            let open = smooth_step(0.55, 0.7, value(self.seed ^ 0x6272, scaled(7.0)));
            let target = focus.hu - 600.0 * open;
            hu += (target - hu).max(0.0) * dense;
        }
        let hu = hu.min(60.0);
        hu + (BLOOD - hu).max(0.0) * vessel
    }

    /// `[size * size]` parts of each pixel that vessels fill at this height.
    fn vessels_in(&self, z: f32, size: usize, spacing: f32) -> Vec<f32> {
        let mut filled = vec![0.0f32; size * size];
        let middle = (size as f32 - 1.0) / 2.0;
        for vessel in &self.vessels {
            let reach = vessel.radius[0];
            let (low, high) = (vessel.from[2].min(vessel.to[2]), vessel.from[2].max(vessel.to[2]));
            if z < low - reach || z > high + reach {
                continue;
            }
            let length = (0..3)
                .map(|axis| (vessel.to[axis] - vessel.from[axis]).powi(2))
                .sum::<f32>()
                .sqrt();
            let steps = (length / (spacing * 0.7)).ceil().max(1.0) as usize;
            for step in 0..=steps {
                let t = step as f32 / steps as f32;
                let [x, y, dz] = [0, 1, 2].map(|axis| vessel.from[axis] + (vessel.to[axis] - vessel.from[axis]) * t);
                let radius = vessel.radius[0] + (vessel.radius[1] - vessel.radius[0]) * t;
                let cut = radius * radius - (dz - z).powi(2);
                if cut <= 0.0 {
                    continue;
                }
                let radius = cut.sqrt() / spacing;
                let (column, row) = (x / spacing + middle, y / spacing + middle);
                let span = |center: f32| {
                    let first = (center - radius - 1.0).ceil().max(0.0) as usize;
                    first..((center + radius + 2.0).floor().max(0.0) as usize).min(size)
                };
                for i in span(row) {
                    for j in span(column) {
                        let distance = (i as f32 - row).hypot(j as f32 - column);
                        let part = (radius + 0.5 - distance).clamp(0.0, 1.0);
                        filled[i * size + j] = filled[i * size + j].max(part);
                    }
                }
            }
        }
        filled
    }

    /// Three generations from the hilum to the pleura.
    fn draw_vessels(&mut self, rng: &mut impl Rng) {
        for side in [-1.0, 1.0] {
            let hilum = [side * 28.0, 2.0, self.lung_height * 0.48];
            for _ in 0..9 {
                let first = self.branch(rng, hilum, side, 0.45, [5.0, 3.2]);
                for _ in 0..3 {
                    let second = self.branch(rng, first, side, 0.75, [3.0, 1.7]);
                    for _ in 0..3 {
                        self.branch(rng, second, side, 0.97, [1.6, 0.6]);
                    }
                }
            }
        }
    }

    /// Adds a piece from `from` to a point about `out` of the way to the pleura, and gives its end.
    fn branch(&mut self, rng: &mut impl Rng, from: [f32; 3], side: f32, out: f32, radius: [f32; 2]) -> [f32; 3] {
        let aim = self.point_in_lung(rng, side, out);
        // Children stay near their parent.
        let to = [0, 1, 2].map(|axis| from[axis] + (aim[axis] - from[axis]) * if out < 0.5 { 0.9 } else { 0.45 });
        self.vessels.push(Vessel { from, to, radius });
        to
    }

    fn point_in_lung(&self, rng: &mut impl Rng, side: f32, out: f32) -> [f32; 3] {
        let angle = rng.random_range(0.0..std::f32::consts::TAU);
        let [a, b] = self.lungs[usize::from(side > 0.0)];
        [
            side * self.lung_offset + out * a * angle.cos(),
            out * b * angle.sin(),
            rng.random_range(0.12..0.9) * self.lung_height,
        ]
    }

    /// Extents run from mild to severe, and each disease may have a little of the other: the label can't be read off
    /// every slice, nor off the mean density.
    fn draw_disease(&mut self, rng: &mut impl Rng, disease: Disease) {
        let severity: f32 = rng.random_range(0.0f32..1.0).powf(1.5);
        let other = rng.random_range(0.0f32..1.0) < 0.5;
        let haze = |rng: &mut dyn FnMut(f32, f32) -> f32, severity: f32| Haze {
            threshold: 0.45 - 0.6 * severity,
            hu: rng(200.0, 300.0),
            grain_mm: rng(28.0, 48.0),
        };
        let mut draw = |low: f32, high: f32| rng.random_range(low..high);
        let foci = match disease {
            Disease::GroundGlass => {
                self.haze = Some(haze(&mut draw, severity));
                if other { 2 } else { 0 }
            }
            Disease::Consolidation => {
                if other {
                    self.haze = Some(haze(&mut draw, severity * 0.45));
                }
                2 + (severity * 7.0) as usize
            }
        };
        for _ in 0..foci {
            let side = if rng.random_range(0.0f32..1.0) < 0.5 { -1.0 } else { 1.0 };
            let out = rng.random_range(0.3..0.95);
            let mut center = self.point_in_lung(rng, side, out);
            // More often at the back and at the base.
            center[1] += 12.0;
            center[2] *= 0.85;
            let radius = match disease {
                Disease::GroundGlass => rng.random_range(6.0..16.0),
                Disease::Consolidation => rng.random_range(9.0..16.0) + 12.0 * severity,
            };
            let hu = rng.random_range(0.0..50.0);
            self.foci.push(Focus { center, radius, hu });
        }
    }
}

/// 0 below `low`, 1 above `high`, smooth between.
fn smooth_step(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::stream;

    #[test]
    fn a_plane_holds_air_lung_soft_tissue_and_bone() {
        let phantom = Phantom::draw(&mut stream(0, "test"), Disease::GroundGlass);
        let size = 96;
        let plane = phantom.plane(110.0, size, phantom.field_of_view_mm() / size as f32);
        let part = |range: std::ops::Range<f32>| {
            plane.iter().filter(|hu| range.contains(hu)).count() as f32 / plane.len() as f32
        };
        assert_eq!(plane[0], AIR);
        assert!(part(-950.0..-300.0) > 0.1, "lung is {}", part(-950.0..-300.0));
        assert!(part(0.0..100.0) > 0.1, "soft tissue is {}", part(0.0..100.0));
        assert!(part(160.0..600.0) > 0.005, "bone is {}", part(160.0..600.0));
    }

    #[test]
    fn neighbouring_planes_resemble_each_other_more_than_other_patients_do() {
        let a = Phantom::draw(&mut stream(0, "a"), Disease::GroundGlass);
        let b = Phantom::draw(&mut stream(0, "b"), Disease::GroundGlass);
        let distance = |p: Vec<f32>, q: Vec<f32>| p.iter().zip(q).map(|(p, q)| (p - q).abs()).sum::<f32>();
        let near = distance(a.plane(100.0, 64, 5.5), a.plane(104.0, 64, 5.5));
        let far = distance(a.plane(100.0, 64, 5.5), b.plane(100.0, 64, 5.5));
        assert!(near < 0.6 * far, "{near} and {far}");
    }
}
