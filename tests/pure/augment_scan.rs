//! Augmentation of scans against scipy, and what must hold for any settings.

use hounsfield::{
    ct::HuWindow,
    seed::stream,
    transforms::{AIR, Blur, Noise, ScanAugment, ScanChange, ScanInput, Window},
};
use ndarray::{Array3, Array4, ArrayView3, Axis, s};
use ndarray_npy::ReadNpyExt as _;
use rand::RngExt as _;
use serde::Deserialize;

/// One of the settings of `make_augment_scan.py`.
#[derive(Deserialize)]
struct Settings {
    flip: [bool; 3],
    rotate: [f64; 3],
    translate: [f64; 3],
    scale: f64,
    blur: Option<f64>,
}

/// A window as wide as all values: a power of two, so that HU come back as they were.
const WHOLE: Window = Window(HuWindow {
    center: 0.0,
    width: 8192.0,
});

fn input(size: [usize; 3]) -> ScanInput {
    ScanInput {
        size,
        window: WHOLE,
        ..ScanInput::default()
    }
}

/// A change of a scan, in HU.
fn changed(scan: ArrayView3<i16>, change: &ScanChange) -> Array3<f32> {
    let out = change
        .apply(scan, &input(scan.dim().into()))
        .expect("the input's size is the scan's");
    out * (WHOLE.0.width / 2.0)
}

fn scan(size: [usize; 3], purpose: &str) -> Array3<i16> {
    let mut rng = stream(0, purpose);
    Array3::from_shape_simple_fn(size, || rng.random_range(-1024..=3071))
}

fn floats(scan: &Array3<i16>) -> Array3<f32> {
    scan.mapv(f32::from)
}

/// Expected: `scipy.ndimage.affine_transform(scan, matrix, offset, order=1, mode="grid-constant", cval=-1024)`, then
/// `gaussian_filter(mode="nearest", truncate=4)`, scipy 1.17.1; see make_augment_scan.py, which has TorchIO's opinion too.
#[test]
fn moves_and_smoothing_are_those_of_scipy() {
    let read = |bytes: &[u8]| Array4::<f32>::read_npy(bytes).expect("make_augment_scan.py wrote it");
    let scan = Array3::<i16>::read_npy(&include_bytes!("../oracles/augment_scan/scan.npy")[..]).expect("likewise");
    let settings: Vec<Settings> =
        serde_json::from_str(include_str!("../oracles/augment_scan/settings.json")).expect("likewise");
    let expected = read(include_bytes!("../oracles/augment_scan/changed.npy"));
    assert_eq!((settings.len(), expected.dim()), (12, (12, 12, 14, 16)));
    for (settings, expected) in settings.into_iter().zip(expected.outer_iter()) {
        let change = ScanChange {
            flip: settings.flip,
            rotate: settings.rotate,
            translate: settings.translate,
            scale: settings.scale,
            blur: settings.blur,
            ..ScanChange::default()
        };
        let difference = (changed(scan.view(), &change) - expected).fold(0.0f32, |largest, d| largest.max(d.abs()));
        assert!(difference < 1e-3, "{difference} HU after {change:?}");
    }
}

#[test]
fn no_change_is_exact_and_two_flips_are_none() {
    let scan = scan([5, 6, 7], "identity");
    let none = ScanChange::default();
    assert_eq!(changed(scan.view(), &none), floats(&scan));
    for flip in [
        [true, false, false],
        [false, true, false],
        [false, false, true],
        [true; 3],
    ] {
        let change = ScanChange { flip, ..none.clone() };
        let once = changed(scan.view(), &change);
        assert_ne!(once, floats(&scan));
        let twice = changed(once.mapv(|hu| hu as i16).view(), &change);
        assert_eq!(twice, floats(&scan), "{flip:?}");
    }
    let left_right = ScanChange {
        flip: [false, false, true],
        ..none
    };
    assert_eq!(
        changed(scan.view(), &left_right),
        floats(&scan).slice(s![.., .., ..;-1])
    );
}

/// `numpy.rot90(scan, axes=(1, 2))`, `(2, 0)` and `(0, 1)`, on a cube and on the axes of one that is none.
#[test]
fn quarter_turns_about_each_axis_only_move_voxels() {
    for size in [[6, 6, 6], [5, 5, 5]] {
        let scan = scan(size, "quarter turns");
        for (axis, from, to) in [(0, 1, 2), (1, 2, 0), (2, 0, 1)] {
            let mut change = ScanChange::default();
            change.rotate[axis] = 90.0;
            // rot90: axes exchanged, and then the first of them counted from the other end.
            let mut expected = floats(&scan);
            expected.swap_axes(from, to);
            expected.invert_axis(Axis(from));
            assert_eq!(changed(scan.view(), &change), expected, "about axis {axis}");
            change.rotate[axis] = -270.0;
            assert_eq!(changed(scan.view(), &change), expected, "about axis {axis}");
        }
    }
}

#[test]
fn a_shift_by_whole_voxels_brings_air_in() {
    let scan = scan([4, 5, 6], "shift");
    let change = ScanChange {
        translate: [1.5, 0.0, -3.0],
        ..ScanChange::default()
    };
    let found = changed(scan.view(), &change);
    let floats = floats(&scan);
    assert_eq!(found.slice(s![1.., .., ..4]), floats.slice(s![..3, .., 2..]));
    assert!(
        found
            .slice(s![0, .., ..])
            .iter()
            .chain(found.slice(s![.., .., 4..]))
            .all(|hu| *hu == AIR)
    );
}

#[test]
fn hu_are_shifted_before_the_window_cuts() {
    let scan = ndarray::array![[[-1100i16, -1000, 0, 1000, 1100]]];
    let input = ScanInput {
        size: [1, 1, 5],
        ..ScanInput::default()
    };
    let change = ScanChange {
        hu_shift: 100.0,
        ..ScanChange::default()
    };
    let found = change.apply(scan.view(), &input).unwrap();
    assert_eq!(
        found,
        ndarray::array![[[-1000.0, -900.0, 100.0, 1024.0, 1024.0]]] / 1024.0
    );
}

#[test]
fn noise_has_its_sigma_and_comes_from_its_seed() {
    let scan = Array3::from_elem([16, 32, 32], 40i16);
    let noisy = |sigma, seed| ScanChange {
        noise: Some((sigma, seed)),
        ..ScanChange::default()
    };
    let found = changed(scan.view(), &noisy(20.0, 7));
    let (mean, std) = (found.mean().unwrap(), found.std(0.0));
    // Six standard errors of 16384 numbers.
    assert!(
        (mean - 40.0).abs() < 0.95 && (std - 20.0).abs() < 0.7,
        "{mean} and {std}"
    );
    assert_eq!(found, changed(scan.view(), &noisy(20.0, 7)));
    assert_ne!(found, changed(scan.view(), &noisy(20.0, 8)));
    assert_ne!(
        found.slice(s![0, .., ..]),
        found.slice(s![1, .., ..]),
        "planes have noise of their own"
    );
    assert_eq!(changed(scan.view(), &noisy(0.0, 7)), floats(&scan));
}

#[test]
fn threads_change_no_number() {
    let scan = scan([9, 16, 16], "threads");
    let augment = ScanAugment {
        blur: Some(Blur {
            probability: 1.0,
            sigma: [0.5, 1.0],
        }),
        ..ScanAugment::named("pu2020").unwrap()
    };
    let change = augment.draw(&mut stream(0, "threads/0"));
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let one = alone.install(|| changed(scan.view(), &change));
    assert_eq!(changed(scan.view(), &change), one);
}

#[test]
fn whatever_is_drawn_stays_in_the_window() {
    let strong = ScanAugment {
        flip: [0.5; 3],
        rotate: [180.0; 3],
        translate: 40.0,
        scale: 0.5,
        hu_shift: 4096.0,
        blur: Some(Blur {
            probability: 0.5,
            sigma: [0.0, 6.0],
        }),
        noise: Some(Noise {
            probability: 0.5,
            sigma: [0.0, 4096.0],
        }),
    };
    let mut rng = stream(0, "anything");
    for draw in 0..60 {
        let size = [0; 3].map(|_| rng.random_range(1..=9usize));
        let mut scan = scan(size, &format!("anything/{draw}"));
        scan[[0, 0, 0]] = i16::MIN;
        let input = ScanInput {
            size,
            spacing: rng.random_range(0.3..5.0),
            ..ScanInput::default()
        };
        let change = strong.draw(&mut rng);
        let found = change.apply(scan.view(), &input).unwrap();
        assert!(
            found.iter().all(|value| (-1.0..=1.0).contains(value)),
            "{change:?} of {size:?}"
        );
    }
}

#[test]
fn scans_in_another_order_of_axes_are_read_as_they_say() {
    let scan = scan([4, 5, 6], "order");
    let turned = scan.view().permuted_axes([2, 0, 1]);
    let change = ScanChange {
        rotate: [10.0, 0.0, 5.0],
        ..ScanChange::default()
    };
    assert_eq!(
        changed(turned, &change),
        changed(turned.to_owned().as_standard_layout().view(), &change)
    );
}

#[test]
fn a_scan_of_another_size_is_refused_and_an_empty_one_stays_empty() {
    let scan = scan([4, 5, 6], "size");
    let error = ScanChange::default().apply(scan.view(), &input([4, 6, 5])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a scan has [4, 5, 6] voxels along D, H and W, the input is said to have [4, 6, 5]"
    );
    let empty = Array3::<i16>::zeros([0, 5, 6]);
    assert!(changed(empty.view(), &ScanChange::default()).is_empty());
}
