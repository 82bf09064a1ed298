//! The inverse DCT of T.81 A.3.3, in integers: the algorithm of Loeffler, Ligtenberg and Moschytz (1989) with 11
//! multiplications a line, with the roundings of libjpeg's `jidctint.c`, so that pixels equal libjpeg's.

/// Bits of the constants' fraction.
const FRACTION: u32 = 13;

const fn fixed(value: f64) -> i64 {
    (value * (1 << FRACTION) as f64 + 0.5) as i64
}

/// A block's pixels, row by row, from its coefficients, row by row, level-shifted and clamped to `precision` bits.
pub(super) fn inverse(coefficients: &[i32; 64], precision: u8) -> [u16; 64] {
    // libjpeg keeps two more bits between the passes. For 12-bit samples it has room for one only; 64 bits have more.
    let between = if precision > 8 { 8 } else { 2 };
    let mut middle = [0i64; 64];
    for column in 0..8 {
        let line = std::array::from_fn(|k| i64::from(coefficients[8 * k + column]));
        // Columns without AC are many; the shortcut gives the same numbers.
        let out = if line[1..].iter().all(|value| *value == 0) {
            [line[0] << between; 8]
        } else {
            pass(line, FRACTION - between)
        };
        for (k, value) in out.into_iter().enumerate() {
            middle[8 * k + column] = value;
        }
    }
    let (half, limit) = (1i64 << (precision - 1), (1i64 << precision) - 1);
    let mut pixels = [0; 64];
    for (line, pixels) in middle.chunks_exact(8).zip(pixels.chunks_exact_mut(8)) {
        let line = std::array::from_fn(|k| line[k]);
        for (pixel, value) in pixels.iter_mut().zip(pass(line, FRACTION + between + 3)) {
            *pixel = (value + half).clamp(0, limit) as u16;
        }
    }
    pixels
}

/// The one-dimensional transform, times the square root of 8, with `descale` bits dropped.
fn pass(x: [i64; 8], descale: u32) -> [i64; 8] {
    // Even part: figure 1 of the paper, reversed; the rotation is c(-6).
    let z = (x[2] + x[6]) * fixed(0.541_196_100);
    let (t2, t3) = (z - x[6] * fixed(1.847_759_065), z + x[2] * fixed(0.765_366_865));
    let (t0, t1) = ((x[0] + x[4]) << FRACTION, (x[0] - x[4]) << FRACTION);
    let even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3];

    // Odd part: figure 8.
    let (z1, z2, z3, z4) = (x[7] + x[1], x[5] + x[3], x[7] + x[3], x[5] + x[1]);
    let z5 = (z3 + z4) * fixed(1.175_875_602);
    let (z1, z2) = (-z1 * fixed(0.899_976_223), -z2 * fixed(2.562_915_447));
    let (z3, z4) = (z5 - z3 * fixed(1.961_570_560), z5 - z4 * fixed(0.390_180_644));
    let odd = [
        x[1] * fixed(1.501_321_110) + z1 + z4,
        x[3] * fixed(3.072_711_026) + z2 + z3,
        x[5] * fixed(2.053_119_869) + z2 + z4,
        x[7] * fixed(0.298_631_336) + z1 + z3,
    ];
    std::array::from_fn(|k| {
        let sum = if k < 4 {
            even[k] + odd[k]
        } else {
            even[7 - k] - odd[7 - k]
        };
        (sum + (1 << (descale - 1))) >> descale
    })
}
