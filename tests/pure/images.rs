//! Readers, preprocessing and the made cohort against other people's code and real files.

use std::path::{Path, PathBuf};

use hounsfield::{
    ct::{CtSlice, Pixels},
    readers::{ReadError, read_slice},
    transforms::{Preprocess, Song2020, resample},
};
use ndarray::Array2;
use serde_json::Value;

fn oracles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles")
}

fn oracle(part: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(oracles().join("images.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[part]
        .as_array()
        .unwrap()
        .clone()
}

fn dim(case: &Value, key: &str) -> (usize, usize) {
    let dim = case[key].as_array().unwrap();
    (dim[0].as_u64().unwrap() as usize, dim[1].as_u64().unwrap() as usize)
}

fn array(case: &Value, values: &str, dim: (usize, usize)) -> Array2<f32> {
    let values = case[values]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap() as f32);
    Array2::from_shape_vec(dim, values.collect()).unwrap()
}

fn grey(slice: &CtSlice) -> (u64, Array2<f32>) {
    match &slice.pixels {
        Pixels::Grey8(pixels) => (8, pixels.mapv(f32::from)),
        Pixels::Grey16(pixels) => (16, pixels.mapv(f32::from)),
        other => panic!("{other:?}"),
    }
}

fn largest(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    (a - b).fold(0.0f32, |largest, v| largest.max(v.abs()))
}

/// Expected: `numpy.asarray(PIL.Image.open(..).convert("L"))`, Pillow 12.0; see make_images.py. JPEG decoders may differ by
/// their inverse transforms.
#[test]
fn pictures_of_every_kind_read_as_pillow_reads_them() {
    for case in oracle("pictures") {
        let file = case["file"].as_str().unwrap();
        let slice = read_slice(&oracles().join("images").join(file)).unwrap();
        let (bits, pixels) = grey(&slice);
        assert_eq!(bits, case["bits"].as_u64().unwrap(), "{file}");
        let difference = largest(&pixels, &array(&case, "values", dim(&case, "dim")));
        assert!(
            f64::from(difference) <= case["tolerance"].as_f64().unwrap(),
            "{file} differs by {difference}"
        );
    }
}

/// Expected: `PIL.Image.resize(.., BILINEAR)` in mode F, Pillow 12.0; see make_images.py.
#[test]
fn resampling_equals_pillow_to_1e_5() {
    for case in oracle("resampled") {
        let size = dim(&case, "size");
        let out = resample(array(&case, "input", dim(&case, "dim")).view(), size);
        let difference = largest(&out, &array(&case, "output", size));
        assert!(difference <= 1e-5, "{difference} at {size:?}");
    }
}

/// Expected: `sklearn.preprocessing.MinMaxScaler(feature_range=(-1, 1))`, scikit-learn 1.8; see make_images.py.
#[test]
fn song2020_equals_the_scaler_that_the_authors_called() {
    for case in oracle("columns") {
        let dim = dim(&case, "dim");
        let mut input = array(&case, "input", dim);
        let mut expected = array(&case, "output", dim);
        if dim.0 != dim.1 {
            // Columns are independent: any square of them will do.
            let side = dim.0.min(dim.1);
            let columns: Vec<usize> = (0..dim.0).map(|i| i % side).collect();
            input = input.select(ndarray::Axis(1), &columns);
            expected = expected.select(ndarray::Axis(1), &columns);
        }
        let slice = CtSlice {
            pixels: Pixels::Hu(input),
        };
        let out = Preprocess::Song2020(Song2020 {}).apply(&slice, dim.0).unwrap();
        let out = out.index_axis_move(ndarray::Axis(0), 0);
        let difference = largest(&out, &expected);
        assert!(difference <= 1e-5, "{difference}");
    }
}

#[test]
fn pages_animations_and_floats_are_refused() {
    let read = |file: &str| read_slice(&oracles().join("images").join(file)).unwrap_err();
    assert!(matches!(read("two-pages.tif"), ReadError::SeveralImages { .. }));
    assert!(matches!(read("animation.png"), ReadError::SeveralImages { .. }));
    assert!(matches!(read("float.tif"), ReadError::Decode { .. }));
}

/// A picture cut off anywhere is an error, or what was cut off held no pixel.
#[test]
fn truncated_pictures_never_decode_to_something_else() {
    let dir = tempfile::tempdir().unwrap();
    for case in oracle("pictures") {
        let file = case["file"].as_str().unwrap();
        let source = oracles().join("images").join(file);
        let (bytes, whole) = (std::fs::read(&source).unwrap(), read_slice(&source).unwrap());
        let cut = dir.path().join("cut");
        // Every length near the ends, where formats keep their structure; every seventh between.
        for length in (0..bytes.len()).filter(|n| n % 7 == 0 || *n < 20 || n + 20 > bytes.len()) {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            if let Ok(slice) = read_slice(&cut) {
                assert!(
                    file.ends_with(".tif") && slice == whole,
                    "{file} cut to {length} of {} bytes",
                    bytes.len()
                );
            }
        }
    }
}

/// One flipped byte in a PNG is noticed by its checksums.
#[test]
fn a_flipped_byte_in_a_png_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let source = std::fs::read(oracles().join("images/rgba8.png")).unwrap();
    let path = dir.path().join("flipped.png");
    for at in 0..source.len() {
        let mut bytes = source.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        assert!(read_slice(&path).is_err(), "byte {at}");
    }
}

/// Pictures that claim 60,000 x 60,000 pixels, or 8192 x 8192 in a few bytes, are refused before memory is asked for.
#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    for claim in [bomb_tiff, bomb_png, bomb_jpeg] {
        let open = |side| {
            let slices = hounsfield::readers::open_bytes(claim(side), None, Path::new("bomb"));
            slices.and_then(|slices| slices.read(0)).unwrap_err()
        };
        let error = open(60_000);
        assert!(matches!(error, ReadError::TooLarge { width: 60_000, .. }), "{error}");
        let error = open(8192).to_string();
        assert!(error.contains("8192 x 8192 pixels in"), "{error}");
    }
}

/// The decoder made room for as many values as a directory claims, 32 bytes each; found by fuzzing.
#[test]
fn a_directory_that_speaks_of_more_values_than_the_file_holds_is_cut_off() {
    let mut bytes = bomb_tiff(9);
    // The count of the first entry, ImageWidth.
    bytes[14..18].copy_from_slice(&(8_u32 << 20).to_le_bytes());
    let slices = hounsfield::readers::open_bytes(bytes, None, Path::new("bomb"));
    let error = slices.and_then(|slices| slices.read(0)).unwrap_err().to_string();
    assert!(error.contains("a directory is cut off"), "{error}");
}

fn bomb_png(side: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
    for (kind, data) in [
        (b"IHDR", &header[..]),
        (b"IDAT", &[0x78, 0x9c, 3, 0, 0, 0, 0, 1]),
        (b"IEND", &[]),
    ] {
        let chunk = [kind, data].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&chunk);
        png.extend((data.len() as u32).to_be_bytes());
        png.extend(chunk);
        png.extend(crc.sum().to_be_bytes());
    }
    png
}

/// A JPEG with another size in its frame header.
fn bomb_jpeg(side: u32) -> Vec<u8> {
    let mut bytes = std::fs::read(oracles().join("images/l8.jpg")).unwrap();
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    let side = (side as u16).to_be_bytes();
    bytes[frame + 5..frame + 9].copy_from_slice(&[side, side].concat());
    bytes
}

fn bomb_tiff(side: u32) -> Vec<u8> {
    // Little-endian TIFF, one directory: width, height, bits, compression, photometric, strip, rows, bytes.
    let mut bytes = b"II*\0\x08\0\0\0\x08\0".to_vec();
    for (tag, value) in [
        (256u16, side),
        (257, side),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (278, side),
        (279, 4),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(4u16.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}
