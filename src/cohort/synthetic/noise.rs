//! Smooth noise in space: the same everywhere a plane cuts it, so that neighbouring slices fit together.

/// Value noise in `[-1, 1]` that changes over about one unit of its coordinates.
pub(super) fn value(seed: u64, [x, y, z]: [f32; 3]) -> f32 {
    let (x0, y0, z0) = (x.floor(), y.floor(), z.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v, w) = (ease(x - x0), ease(y - y0), ease(z - z0));
    let at = |dx: i32, dy: i32, dz: i32| lattice(seed, x0 as i32 + dx, y0 as i32 + dy, z0 as i32 + dz);
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let face = |dz| {
        mix(
            mix(at(0, 0, dz), at(1, 0, dz), u),
            mix(at(0, 1, dz), at(1, 1, dz), u),
            v,
        )
    };
    mix(face(0), face(1), w)
}

/// Three octaves of [`value`], about `[-1, 1]`.
pub(super) fn fractal(seed: u64, [x, y, z]: [f32; 3]) -> f32 {
    (0..3u8)
        .map(|octave| {
            let scale = f32::from(1u8 << octave);
            value(seed ^ u64::from(octave), [x * scale, y * scale, z * scale]) / scale
        })
        .sum::<f32>()
        / 1.75
}

/// A number in `[-1, 1]` for each point of the lattice (the finaliser of SplitMix64).
fn lattice(seed: u64, x: i32, y: i32, z: i32) -> f32 {
    let mut h = seed
        .wrapping_add((x as u32 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add((y as u32 as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f))
        .wrapping_add((z as u32 as u64).wrapping_mul(0x1656_67b1_9e37_79f9));
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (((h ^ (h >> 31)) >> 40) as f32) / 8_388_608.0 - 1.0
}

/// The mean of each pixel's 3 x 3 neighbourhood in a square image; the border repeats itself.
pub(super) fn box_blur(image: &[f32], size: usize) -> Vec<f32> {
    let pass = |image: &[f32], stride: usize, place: fn(usize, usize) -> usize| -> Vec<f32> {
        (0..image.len())
            .map(|at| {
                let place = place(at, size);
                let before = if place > 0 { image[at - stride] } else { image[at] };
                let after = if place + 1 < size {
                    image[at + stride]
                } else {
                    image[at]
                };
                (before + image[at] + after) / 3.0
            })
            .collect()
    };
    let rows = pass(image, 1, |at, size| at % size);
    pass(&rows, size, |at, size| at / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smooth_bounded_and_seeded() {
        let mut steepest = 0.0f32;
        for i in 0..2000 {
            let t = i as f32 * 0.01 - 10.0;
            let (a, b) = (value(1, [t, -t, 0.3]), value(1, [t + 0.01, -t, 0.3]));
            assert!(a.abs() <= 1.0 && fractal(1, [t, 0.0, t]).abs() <= 1.0);
            steepest = steepest.max((a - b).abs());
        }
        assert!(steepest < 0.05, "{steepest}");
        assert_ne!(value(1, [0.5; 3]), value(2, [0.5; 3]));
    }

    #[test]
    fn blurring_keeps_a_constant() {
        assert!(box_blur(&[2.0; 25], 5).iter().all(|v| (v - 2.0).abs() < 1e-6));
    }
}
