//! Augmentation against scipy, and what must hold for any settings.

use hounsfield::{
    seed::stream,
    transforms::{Augment, Blur, Crop, Erase, Geometry, Noise, Rectangle, gaussian_blur},
};
use ndarray::{Array2, ArrayView2, Axis, stack};
use rand::{Rng, RngExt as _};
use serde::Deserialize;

/// What `make_augment.py` wrote.
#[derive(Deserialize)]
struct Oracle {
    moved: Vec<Moved>,
    blurred: Vec<Blurred>,
}

#[derive(Deserialize)]
struct Moved {
    flip_horizontal: bool,
    flip_vertical: bool,
    rotate: f64,
    translate: [f64; 2],
    start: [f64; 2],
    extent: [f64; 2],
    size: usize,
    image: Vec<Vec<f32>>,
    constant: Vec<Vec<f32>>,
    nearest: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Blurred {
    sigma: f64,
    image: Vec<Vec<f32>>,
    blurred: Vec<Vec<f32>>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../oracles/augment/augment.json")).expect("make_augment.py wrote it")
}

fn image(rows: &[Vec<f32>]) -> Array2<f32> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).expect("rows are equally long")
}

/// A grey slice through augmentation, in a window of this width.
fn apply(augment: &Augment, image: ArrayView2<f32>, width: f32, size: usize, rng: &mut impl Rng) -> Array2<f32> {
    let out = augment.apply(image.insert_axis(Axis(0)), &[width], size, rng);
    out.index_axis_move(Axis(0), 0)
}

#[track_caller]
fn close(found: &Array2<f32>, expected: &Array2<f32>) {
    assert_eq!(found.dim(), expected.dim());
    let difference = (found - expected).fold(0.0f32, |largest, d| largest.max(d.abs()));
    assert!(difference < 1e-5, "{difference}");
}

/// Expected: `scipy.ndimage.affine_transform(image, order=1, mode="constant", cval=-1)`, scipy 1.17.1, on images whose
/// outermost pixels are -1; see make_augment.py.
#[test]
fn moved_slices_are_those_of_scipy() {
    for case in oracle().moved {
        let mut framed = image(&case.image);
        for axis in [Axis(0), Axis(1)] {
            let last = framed.len_of(axis) - 1;
            framed.index_axis_mut(axis, 0).fill(-1.0);
            framed.index_axis_mut(axis, last).fill(-1.0);
        }
        let found = geometry(&case).sample(framed.view(), case.size);
        close(&found, &image(&case.constant));
    }
}

/// Expected: `scipy.ndimage.map_coordinates(image, order=1, mode="nearest")`, scipy 1.17.1, and -1 further than half a
/// pixel from the outermost pixels' centres; see make_augment.py.
#[test]
fn the_border_reaches_half_a_pixel_out() {
    for case in oracle().moved {
        let found = geometry(&case).sample(image(&case.image).view(), case.size);
        close(&found, &image(&case.nearest));
    }
}

fn geometry(case: &Moved) -> Geometry {
    Geometry {
        flip_horizontal: case.flip_horizontal,
        flip_vertical: case.flip_vertical,
        rotate: case.rotate,
        translate: case.translate,
        crop: Rectangle {
            start: case.start,
            extent: case.extent,
        },
    }
}

/// Expected: `scipy.ndimage.gaussian_filter(image, sigma, truncate=4)`, scipy 1.17.1; see make_augment.py.
#[test]
fn smoothing_is_that_of_scipy() {
    for case in oracle().blurred {
        close(
            &gaussian_blur(image(&case.image).view(), case.sigma),
            &image(&case.blurred),
        );
    }
}

/// Stripes and spots that fill the range.
fn made(height: usize, width: usize) -> Array2<f32> {
    Array2::from_shape_fn((height, width), |(i, j)| {
        let wave = (i as f32 * 0.37).sin() * (j as f32 * 0.23).cos();
        if (i * 7 + j * 3) % 29 == 0 { 1.0 } else { wave }
    })
}

/// Possible settings of any strength.
fn any(rng: &mut impl Rng) -> Augment {
    let mut up_to = |largest: f64| rng.random_range(0.0..=largest);
    let mut range = |low: f64, high: f64| {
        let first = low + up_to(high - low);
        [first, first + up_to(high - first)]
    };
    let crop = Crop {
        area: range(0.1, 1.0),
        aspect: [range(0.5, 1.0)[0], range(1.0, 2.0)[1]],
    };
    let blur = Blur {
        probability: 0.5,
        sigma: range(0.0, 3.0),
    };
    let noise = Noise {
        probability: 0.5,
        sigma: range(0.0, 100.0).map(|sigma| sigma as f32),
    };
    let erase = Erase {
        probability: 0.5,
        area: range(0.0, 0.5),
        ..Erase::default()
    };
    Augment {
        flip_horizontal: up_to(1.0),
        flip_vertical: up_to(1.0),
        rotate: up_to(180.0),
        translate: up_to(0.5),
        crop: (up_to(1.0) < 0.7).then_some(crop),
        gain: up_to(1.0),
        hu_shift: up_to(300.0) as f32,
        blur: (up_to(1.0) < 0.7).then_some(blur),
        noise: (up_to(1.0) < 0.7).then_some(noise),
        erase: (up_to(1.0) < 0.7).then_some(erase),
    }
}

#[test]
fn any_settings_stay_in_range_and_repeat_to_the_bit() {
    let mut rng = stream(0, "settings");
    for round in 0..200 {
        let augment = any(&mut rng);
        assert_eq!(augment.check(), Ok(()), "{augment:?}");
        let image = made(rng.random_range(1..80), rng.random_range(1..80));
        let size = rng.random_range(1..50);
        let again = || apply(&augment, image.view(), 1500.0, size, &mut stream(round, "augment"));
        let out = again();
        assert_eq!(out.dim(), (size, size));
        assert!(out.iter().all(|v| (-1.0..=1.0).contains(v)), "{augment:?}");
        assert!(
            out.iter().zip(&again()).all(|(a, b)| a.to_bits() == b.to_bits()),
            "{augment:?}"
        );
    }
}

#[test]
fn nothing_on_is_a_copy_and_draws_nothing() {
    let mut rng = stream(0, "augment");
    let image = made(40, 40);
    assert_eq!(apply(&Augment::default(), image.view(), 1500.0, 40, &mut rng), image);
    assert_eq!(rng.random::<u64>(), stream(0, "augment").random::<u64>());
}

#[test]
fn a_shift_of_hu_moves_the_mean_by_two_over_the_width() {
    let augment = Augment {
        hu_shift: 25.0,
        ..Augment::default()
    };
    let image = Array2::from_elem((16, 16), 0.2);
    let mut rng = stream(0, "augment");
    let shifts: Vec<f32> = (0..2000)
        .map(|_| {
            (apply(&augment, image.view(), 400.0, 16, &mut rng)
                .mean()
                .expect("256 pixels")
                - 0.2)
                * 400.0
                / 2.0
        })
        .collect();
    let [low, high] = [
        shifts.iter().copied().fold(0.0, f32::min),
        shifts.iter().copied().fold(0.0, f32::max),
    ];
    assert!(
        (-25.001..-24.5).contains(&low) && (24.5..25.001).contains(&high),
        "{low} to {high} HU"
    );
    // Uniform: a mean of 0 with a standard error of 25 / sqrt(3 * 2000) = 0.32.
    let mean = shifts.iter().sum::<f32>() / 2000.0;
    assert!(mean.abs() < 1.3, "{mean} HU");
}

#[test]
fn gain_turns_about_the_middle_and_noise_has_the_stated_hu() {
    let gain = Augment {
        gain: 0.3,
        ..Augment::default()
    };
    let image = ndarray::array![[-0.5, 0.0], [0.25, 0.5]];
    let out = apply(&gain, image.view(), 1500.0, 2, &mut stream(1, "augment"));
    let factor = out[[1, 1]] / 0.5;
    assert!((0.7..1.3).contains(&factor) && factor != 1.0, "{factor}");
    close(&out, &(&image * factor));

    let noise = Augment {
        noise: Some(Noise {
            probability: 1.0,
            sigma: [30.0, 30.0],
        }),
        ..Augment::default()
    };
    let flat = Array2::zeros((200, 200));
    let out = apply(&noise, flat.view(), 1500.0, 200, &mut stream(0, "augment"));
    let sigma = out.std(0.0) * 1500.0 / 2.0;
    assert!((sigma - 30.0).abs() < 0.5, "{sigma} HU");
}

#[test]
fn what_is_erased_is_one_rectangle_of_air_with_the_stated_area() {
    let erase = Augment {
        erase: Some(Erase {
            probability: 1.0,
            area: [0.1, 0.2],
            ..Erase::default()
        }),
        ..Augment::default()
    };
    let bright = Array2::from_elem((100, 100), 0.5);
    for round in 0..50 {
        let out = apply(&erase, bright.view(), 1500.0, 100, &mut stream(round, "augment"));
        let air = out.mapv(|v| v == -1.0);
        let rows = air.rows().into_iter().filter(|row| row.iter().any(|v| *v)).count();
        let columns = air
            .columns()
            .into_iter()
            .filter(|column| column.iter().any(|v| *v))
            .count();
        let erased = air.iter().filter(|v| **v).count();
        assert_eq!(erased, rows * columns);
        assert!((900..2200).contains(&erased), "{erased} of 10000 pixels");
    }
}

/// A shift of so many HU is more of a narrow window than of a wide one; what moves, moves alike in all planes.
#[test]
fn planes_change_as_windows_of_one_scan() {
    let (narrow, wide) = (400.0, 2000.0);
    let mut rng = stream(0, "settings");
    for round in 0..50 {
        let mut augment = any(&mut rng);
        // Noise and shift small enough that nothing is cut off; no gain, which turns about each window's own middle.
        (augment.gain, augment.hu_shift) = (0.0, 20.0);
        augment.noise = Some(Noise {
            probability: 1.0,
            sigma: [1.0, 2.0],
        });
        let hu = made(rng.random_range(8..40), rng.random_range(8..40)).mapv(|value| 50.0 * value);
        let planes = [narrow, wide].map(|width| hu.mapv(|value| value * 2.0 / width));
        let slice = stack(Axis(0), &planes.each_ref().map(Array2::view)).unwrap();
        let out = augment.apply(slice.view(), &[narrow, wide], 24, &mut stream(round, "augment"));
        for (plane, (alone, width)) in planes.iter().zip([narrow, wide]).enumerate() {
            let alone = apply(&augment, alone.view(), width, 24, &mut stream(round, "augment"));
            assert_eq!(out.index_axis(Axis(0), plane), alone, "{augment:?}");
        }
    }
    let shift = Augment {
        hu_shift: 50.0,
        ..Augment::default()
    };
    let flat = ndarray::Array3::zeros((2, 4, 4));
    let out = shift.apply(flat.view(), &[narrow, wide], 4, &mut stream(1, "augment"));
    let moved = [out[[0, 0, 0]] * narrow, out[[1, 0, 0]] * wide];
    assert!(moved[0] != 0.0 && (moved[0] - moved[1]).abs() < 1e-3, "{moved:?}");
}
