//! Volumes: NIfTI, arrays, geometry, resampling and the command, against nibabel, numpy, SimpleITK and real files.

use std::path::{Path, PathBuf};

use hounsfield::{
    ct::{CtSlice, CtVolume, Geometry, Hu, Pixels},
    readers::{
        NiftiVersion, ReadError, SliceReader as _, Stated, WriteOptions, open_bytes, open_volume, read_slice,
        read_volume, write_volume,
    },
};
use ndarray::{Array2, Array3};
use rand::{Rng as _, RngExt as _};
use serde_json::Value;

use crate::{command::Workshop, dicom_files::series};

fn oracles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/volume")
}

fn oracle(part: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(oracles().join("volume.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[part]
        .as_array()
        .unwrap()
        .clone()
}

fn reals(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

fn three(value: &Value) -> [f64; 3] {
    reals(value).try_into().unwrap()
}

fn size(value: &Value) -> [usize; 3] {
    three(value).map(|length| length as usize)
}

/// nibabel's affine, RAS, in LPS.
fn lps(value: &Value) -> [[f64; 4]; 3] {
    let rows = value.as_array().unwrap();
    [(0, -1.0), (1, -1.0), (2, 1.0)].map(|(row, sign)| {
        let row: [f64; 4] = reals(&rows[row]).try_into().unwrap();
        row.map(|part| sign * part)
    })
}

/// `[D, H, W]` of values in the order of a NIfTI file, whose first axis is W.
fn voxels(values: &Value, shape: [usize; 3]) -> Array3<Hu> {
    let values = reals(values).into_iter().map(|hu| hu as Hu).collect();
    Array3::from_shape_vec((shape[2], shape[1], shape[0]), values).unwrap()
}

fn furthest<'a>(a: impl IntoIterator<Item = &'a f64>, b: impl IntoIterator<Item = &'a f64>) -> f64 {
    let pairs = a.into_iter().zip(b);
    pairs.fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

fn hu(slice: &CtSlice) -> &Array2<Hu> {
    match &slice.pixels {
        Pixels::Hu(hu) => hu,
        other => panic!("{other:?}"),
    }
}

/// A head-first slice of a file by its address.
fn slice_of(path: &Path, at: usize) -> Array2<Hu> {
    let address = format!("{}#slice={at}", path.display());
    hu(&read_slice(Path::new(&address)).unwrap()).clone()
}

/// A made volume with a geometry that is nobody's standard.
fn volume(size: [usize; 3], scale: Hu, affine: [[f64; 4]; 3]) -> CtVolume {
    CtVolume {
        voxels: Array3::from_shape_fn(size, |(d, h, w)| {
            scale * (((d * 97 + h * 31 + w * 7) % 4000) as Hu - 1024.0)
        }),
        geometry: Geometry::from_affine(affine).unwrap(),
    }
}

/// Turned about x, with a reflection.
const TURNED: [[f64; 4]; 3] = [
    [-0.75, 0.0, 0.0, 101.25],
    [0.0, 0.48, 1.5, -30.5],
    [0.0, -0.36, 2.0, 800.125],
];
/// A gantry that is tilted.
const TILTED: [[f64; 4]; 3] = [
    [0.75, 0.0, 0.0, -101.25],
    [0.0, 0.7, 0.0, -30.5],
    [0.0, -0.2, 5.0, 800.125],
];

fn slice_at(path: &Path, at: usize) -> Result<CtSlice, ReadError> {
    read_slice(Path::new(&format!("{}#slice={at}", path.display())))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut stream = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    stream.write_all(bytes).unwrap();
    stream.finish().unwrap()
}

/// The rows of a table of the folder that HOUNSFIELD_DATA names, as maps of its columns.
fn inventory(table: &str) -> Option<(PathBuf, Vec<std::collections::HashMap<String, String>>)> {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA").filter(|data| !data.is_empty()) else {
        eprintln!("skipped: HOUNSFIELD_DATA is not set");
        return None;
    };
    let path = Path::new(&data).join(table);
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let rows = reader.deserialize().map(Result::unwrap).collect();
    Some((path.parent().unwrap().to_owned(), rows))
}

/// Expected: `nibabel.load(..)`, `.dataobj`, `.affine` and `aff2axcodes(affine)`, nibabel 5.4; see make_volume.py.
#[test]
fn nifti_files_of_every_kind_read_as_nibabel_reads_them() {
    let cases = oracle("nifti");
    assert!(cases.len() >= 25);
    for case in cases {
        let name = case["file"].as_str().unwrap();
        let path = oracles().join(name);
        let read = read_volume(&path).unwrap();
        let expected = voxels(&case["values"], size(&case["shape"]));
        assert_eq!(read.voxels, expected, "{name}");
        let affine = lps(&case["affine"]);
        let scale = affine.iter().flatten().fold(1.0f64, |most, part| most.max(part.abs()));
        let off = furthest(read.geometry.affine().iter().flatten(), affine.iter().flatten());
        assert!(
            off / scale < 1e-6,
            "{name}: {:?} for {affine:?}",
            read.geometry.affine()
        );
        assert_eq!(
            read.geometry.orientation().to_string(),
            case["codes"].as_str().unwrap(),
            "{name}"
        );
        // Slice by slice, from the head.
        let axial = read.axial();
        for at in 0..axial.size()[0] {
            let address = format!("{}#slice={at}", path.display());
            assert_eq!(read_slice(Path::new(&address)).unwrap(), axial.slice(at), "{name} {at}");
        }
    }
}

/// Expected: `nibabel.aff2axcodes(affine)`, nibabel 5.4; see make_volume.py.
#[test]
fn orientations_are_nibabels() {
    for case in oracle("orientations") {
        let geometry = Geometry::from_affine(lps(&case["affine"])).unwrap();
        assert_eq!(
            geometry.orientation().to_string(),
            case["codes"].as_str().unwrap(),
            "{case}"
        );
    }
}

/// Expected: `SimpleITK.Resample` with `sitkLinear`, after `SimpleITK.Convolution` where an axis grows coarser, 2.5; see
/// make_volume.py. The grids are the same, edges are compared too.
#[test]
fn resampling_is_itks_to_a_thousandth_of_a_unit() {
    for case in oracle("resampled") {
        let directions = case["directions"].as_array().unwrap();
        let voxels = reals(&case["voxels"]).into_iter().map(|hu| hu as Hu).collect();
        let volume = CtVolume {
            voxels: Array3::from_shape_vec(size(&case["size"]), voxels).unwrap(),
            geometry: Geometry {
                origin: three(&case["origin"]),
                spacing: three(&case["spacing"]),
                directions: [0, 1, 2].map(|axis| three(&directions[axis])),
            },
        };
        let other = volume.resample(three(&case["new_spacing"])).unwrap();
        assert_eq!(other.size(), size(&case["new_size"]));
        let off = furthest(&other.geometry.origin, &three(&case["new_origin"]));
        assert!(off < 1e-9, "origin is off by {off} mm");
        let found: Vec<f64> = other.voxels.iter().copied().map(f64::from).collect();
        let off = furthest(&found, &reals(&case["new_voxels"]));
        assert!(off < 1e-3, "{off} HU at {}", case["new_spacing"]);
    }
}

/// Expected: what `numpy.save` was given, numpy 2.4; see make_volume.py.
#[test]
fn arrays_of_numpy_are_read_slice_by_slice_in_both_orders() {
    for case in oracle("arrays") {
        let path = oracles().join(case["file"].as_str().unwrap());
        let shape = reals(&case["shape"]);
        let (height, width) = (shape[shape.len() - 2] as usize, shape[shape.len() - 1] as usize);
        for (at, values) in reals(&case["values"]).chunks(height * width).enumerate() {
            let expected = values.iter().map(|value| *value as Hu).collect();
            assert_eq!(
                slice_of(&path, at),
                Array2::from_shape_vec((height, width), expected).unwrap()
            );
        }
        let error = read_volume(&path).unwrap_err().to_string();
        assert!(error.contains("--assume-spacing"), "{error}");
        let spacing = Some([5.0, 0.5, 0.5]);
        let stated = Stated {
            spacing,
            ..Stated::default()
        };
        let read = open_volume(&path, &stated).unwrap().volume;
        assert_eq!(hu(&read.slice(0)), &slice_of(&path, 0));
        assert_eq!(read.geometry, Geometry::axial([5.0, 0.5, 0.5]));
    }
}

#[test]
fn what_was_written_is_read_back_with_its_geometry() {
    let folder = tempfile::tempdir().unwrap();
    for (name, version, precision) in [
        ("a.nii", None, 1e-4),
        ("a.nii.gz", None, 1e-4),
        ("b.nii.gz", Some(NiftiVersion::Two), 1e-12),
    ] {
        for affine in [TURNED, TILTED] {
            for (scale, float, stored) in [(1.0, false, "int16"), (1.0, true, "float32"), (0.3, false, "float32")] {
                let written = volume([4, 5, 6], scale, affine);
                let path = folder.path().join(name);
                let options = WriteOptions { float, nifti: version };
                write_volume(&written, &path, &options).unwrap();
                let read = open_volume(&path, &Stated::default()).unwrap();
                assert_eq!(read.volume.voxels, written.voxels);
                assert_eq!(read.stored, stored);
                let off = furthest(read.volume.geometry.affine().iter().flatten(), affine.iter().flatten());
                assert!(off < precision, "{name} is off by {off} mm");
            }
        }
    }
}

#[test]
fn values_that_are_no_number_stay_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = volume([2, 3, 4], 1.0, TURNED);
    written.voxels[[0, 1, 2]] = Hu::NAN;
    written.voxels[[1, 0, 0]] = Hu::NEG_INFINITY;
    for name in ["a.nii.gz", "a.npy"] {
        let path = folder.path().join(name);
        write_volume(&written, &path, &WriteOptions::default()).unwrap();
        let read = open_volume(&path, &Stated::default()).unwrap();
        assert_eq!(read.stored, "float32");
        let bits = |volume: CtVolume| volume.axial().voxels.mapv(Hu::to_bits);
        assert_eq!(bits(read.volume), bits(written.clone()));
    }
}

#[test]
fn an_array_has_its_geometry_beside_it_and_lies_from_the_head() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.npy");
    for (affine, scale) in [(TURNED, 1.0), (TILTED, 0.3)] {
        let written = volume([4, 5, 6], scale, affine);
        write_volume(&written, &path, &WriteOptions::default()).unwrap();
        let axial = written.axial();
        assert_eq!(read_volume(&path).unwrap(), axial);
        assert_eq!(&slice_of(&path, 3), hu(&axial.slice(3)));
    }
    let stated = Stated {
        spacing: Some([1.0; 3]),
        ..Stated::default()
    };
    assert!(matches!(open_volume(&path, &stated), Err(ReadError::Npy { .. })));
    std::fs::write(folder.path().join("scan.npy.json"), r#"{"spacing": [1, 1]}"#).unwrap();
    let error = read_volume(&path).unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
}

/// Written files as others see them; only where HOUNSFIELD_PYTHON names a Python with nibabel.
#[test]
fn nibabel_and_itk_read_what_was_written() {
    let python = std::env::var_os("HOUNSFIELD_PYTHON").filter(|python| {
        let imported = std::process::Command::new(python)
            .args(["-c", "import nibabel"])
            .output();
        imported.is_ok_and(|output| output.status.success())
    });
    let Some(python) = python else {
        eprintln!("skipped: HOUNSFIELD_PYTHON names no Python with nibabel");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, affine, scale, version) in [
        ("a.nii.gz", TURNED, 1.0, None),
        ("b.nii", TILTED, 0.3, None),
        ("c.nii", TURNED, 0.3, Some(NiftiVersion::Two)),
    ] {
        let path = folder.path().join(name);
        let written = volume([4, 5, 6], scale, affine);
        let options = WriteOptions {
            float: false,
            nifti: version,
        };
        write_volume(&written, &path, &options).unwrap();
        let output = std::process::Command::new(&python)
            .arg(oracles().join("../check_volume.py"))
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            said["kind"],
            if version.is_some() {
                "Nifti2Image"
            } else {
                "Nifti1Image"
            }
        );
        assert_eq!(said["dtype"], if scale == 1.0 { "int16" } else { "float32" });
        assert_eq!(said["units"], "mm");
        assert_eq!(voxels(&said["values"], size(&said["shape"])), written.voxels, "{name}");
        let off = furthest(lps(&said["affine"]).iter().flatten(), affine.iter().flatten());
        assert!(off < 1e-4, "{name} is off by {off} mm");
        assert_eq!(said["codes"], written.geometry.orientation().to_string());
        if written.geometry.is_orthogonal() {
            let off = furthest(lps(&said["qform"]).iter().flatten(), affine.iter().flatten());
            assert!(off < 1e-4, "the qform of {name} is off by {off} mm");
            if let Some(itk) = said.get("itk") {
                assert!(furthest(&three(&itk["origin"]), &written.geometry.origin) < 1e-4);
                let spacing = written.geometry.spacing;
                assert!(furthest(&three(&itk["spacing"]), &[spacing[2], spacing[1], spacing[0]]) < 1e-6);
            }
        } else {
            assert_eq!(said["qform"], Value::Null, "a tilted gantry has no quaternion");
        }
    }
}

#[test]
fn what_a_file_states_itself_is_not_stated_again() {
    let path = oracles().join("i2.nii");
    let rescaled = format!("{}#rescale=1,-1024", path.display());
    let error = read_slice(Path::new(&rescaled)).unwrap_err().to_string();
    assert!(error.contains("leave it out"), "{error}");
    let sliced = format!("{}#slice=1", path.display());
    let error = read_volume(Path::new(&sliced)).unwrap_err().to_string();
    assert!(error.contains("slice 1"), "{error}");
    let error = read_slice(&path).unwrap_err().to_string();
    assert!(
        error.contains("3 slices") || error.contains("4 slices") || error.contains("5 slices"),
        "{error}"
    );
}

#[test]
fn a_copy_padded_with_zeros_is_whole_and_one_padded_with_junk_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii.gz");
    let volume = CtVolume {
        voxels: Array3::from_shape_fn((8, 8, 8), |(d, h, w)| (d * 64 + h * 8 + w) as f32),
        geometry: Geometry::axial([2.0, 1.0, 1.0]),
    };
    write_volume(&volume, &path, &WriteOptions::default()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for (padding, readable) in [([0; 512], true), ([7; 512], false)] {
        std::fs::write(&path, [&whole[..], &padding].concat()).unwrap();
        assert_eq!(read_volume(&path).is_ok(), readable);
    }
}

#[test]
fn headers_that_lie_are_refused_before_memory_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(oracles().join("i2.nii")).unwrap();
    let with = |fields: &[(usize, &[u8])]| {
        let mut lying = bytes.clone();
        for (at, field) in fields {
            lying[*at..*at + field.len()].copy_from_slice(field);
        }
        lying
    };
    let huge = 32767i16.to_le_bytes();
    let many = [(42, &huge[..]), (44, &huge[..]), (46, &huge[..])];
    let far = 1e12f32.to_le_bytes();
    for (lying, expected) in [
        (with(&many), "longer than 8192"),
        (with(&many[..2]), "longer than 8192"),
        (with(&many[..1]), "cut off"),
        (with(&[(108, &far[..])]), "at most"),
        (bytes[..400].to_vec(), "cut off"),
        (bytes[..300].to_vec(), "300 bytes"),
    ] {
        for compressed in [false, true] {
            let path = folder.path().join(if compressed { "a.nii.gz" } else { "a.nii" });
            let content = if compressed { gzip(&lying) } else { lying.clone() };
            std::fs::write(&path, content).unwrap();
            let error = read_volume(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.ends_with(path.to_str().unwrap()), "paths come last: {error}");
        }
    }
}

#[test]
fn a_compressed_file_that_is_cut_off_or_changed_is_an_error() {
    let reader = hounsfield::readers::Nifti;
    let path = Path::new("a.nii.gz");
    let whole = std::fs::read(oracles().join("n1_little.nii.gz")).unwrap();
    assert!(reader.open(whole.clone(), None, path).is_ok());
    for length in 0..whole.len() {
        assert!(
            reader.open(whole[..length].to_vec(), None, path).is_err(),
            "cut to {length}"
        );
    }
    let mut checksum = whole.clone();
    let at = whole.len() - 6;
    checksum[at] ^= 1;
    assert!(reader.open(checksum, None, path).is_err());
}

/// Every file of the oracle, damaged at random places: an error or numbers, never a panic.
#[test]
fn damaged_volumes_are_errors_and_no_panics() {
    let mut random = hounsfield::seed::stream(6, "damage");
    let mut files: Vec<PathBuf> = std::fs::read_dir(oracles())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending != "json"))
        .collect();
    files.sort();
    let folder = tempfile::tempdir().unwrap();
    let (mut read, mut refused) = (0, 0);
    for round in 0..180 {
        for file in &files {
            let mut bytes = std::fs::read(file).unwrap();
            for _ in 0..=random.random_range(0..4) {
                // Half of the damage goes where the header is.
                let end = if random.random() {
                    bytes.len().min(400)
                } else {
                    bytes.len()
                };
                let at = random.random_range(0..end);
                match random.random_range(0..4) {
                    0 => bytes[at] = random.next_u32() as u8,
                    1 => bytes[at] ^= 1 << random.random_range(0..8),
                    2 => bytes[at] = if random.random() { 255 } else { 0x7f },
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let path = folder.path().join(file.file_name().unwrap());
            match open_bytes(bytes.clone(), None, &path) {
                Ok(slices) => {
                    let pixels = slices.read(slices.len() - 1).unwrap().pixels.dim();
                    // What is read has no more voxels than the file has bytes for, inflated.
                    assert!(
                        slices.len() * pixels.0 * pixels.1 <= bytes.len() * 1032,
                        "round {round}"
                    );
                    read += 1;
                }
                Err(error) => {
                    assert!(error.to_string().ends_with(path.to_str().unwrap()), "{error}");
                    refused += 1;
                }
            }
            if round % 20 == 0 {
                std::fs::write(&path, &bytes).unwrap();
                let stated = Stated {
                    spacing: (path.extension().unwrap() == "npy").then_some([1.0; 3]),
                    ..Stated::default()
                };
                // A volume is read where its slices are.
                if let Ok(file) = open_volume(&path, &stated) {
                    let axial = file.volume.axial();
                    assert!(slice_at(&path, axial.size()[0] - 1).is_ok());
                }
            }
        }
    }
    assert!(read + refused >= 5000, "{read} + {refused}");
    assert!(read > 500 && refused > 500, "{read} read, {refused} refused");
}

#[test]
fn the_command_says_what_a_volume_is_and_nothing_of_a_patient() {
    let shop = Workshop::new("");
    let path = shop.path("doe_jane.nii.gz");
    write_volume(&volume([4, 5, 6], 1.0, TILTED), &path, &WriteOptions::default()).unwrap();
    let said = shop.hounsfield(&["volume", "info", path.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for expected in [
        "NIfTI-1, int16",
        "4 x 5 x 6 voxels",
        "5 x 0.728 x 0.75 mm",
        "orientation  LPS",
        "tilt         15.95 degrees",
        "-1024 to",
        "50 %:",
    ] {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }
    assert!(!said.out.contains("doe"), "{}", said.out);
}

#[test]
fn the_command_converts_resamples_reorders_and_keeps_the_source() {
    let shop = Workshop::new("");
    let made = volume([4, 5, 6], 1.0, TURNED);
    let path = shop.path("scan.nii.gz");
    write_volume(&made, &path, &WriteOptions::default()).unwrap();
    let convert = |target: &str, options: &[&str]| {
        let target = shop.path(target);
        let ends = [path.to_str().unwrap(), target.to_str().unwrap()];
        shop.hounsfield(&[&["volume", "convert"], &ends[..], options].concat())
    };
    let stored = read_volume(&path).unwrap();
    let said = convert(
        "a.nii",
        &[
            "--orientation",
            "axial",
            "--isotropic",
            "1.5",
            "--size",
            "6,4,4",
            "--fill=-2000",
        ],
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected = stored
        .clone()
        .axial()
        .resample([1.5; 3])
        .unwrap()
        .crop_or_pad([6, 4, 4], -2000.0);
    assert_eq!(read_volume(&shop.path("a.nii")).unwrap().voxels, expected.voxels);
    let said = convert("b.npy", &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(read_volume(&shop.path("b.npy")).unwrap(), stored.clone().axial());
    for (target, options, reason) in [
        ("scan.nii.gz", &[][..], "one file"),
        ("c.dcm", &[][..], ".nii.gz or .npy"),
        ("c.npy", &["--orientation", "RAS"][..], "axial order"),
        ("c.npy", &["--nifti2"][..], "--nifti2"),
        ("c.nii", &["--isotropic", "0"][..], "positive"),
        ("c.nii", &["--isotropic", "1e-7"][..], "at most"),
        ("c.nii", &["--spacing", "1,2"][..], "three lengths"),
        ("c.nii", &["--size", "4000000,4000000,4000000"][..], "at most"),
        ("c.nii", &["--fill", "3"][..], "--size"),
        ("c.nii", &["--assume-spacing", "1,1,1"][..], "leave it out"),
        ("c.nii", &["--scan", "1"][..], "one volume"),
    ] {
        let said = convert(target, options);
        assert_eq!(said.code, Some(2), "{target} {options:?}: {}", said.err);
        assert!(said.err.contains(reason), "{}", said.err);
        assert!(target == "scan.nii.gz" || !shop.path(target).exists());
    }
    assert_eq!(read_volume(&path).unwrap(), stored, "the source is as it was");
}

#[test]
fn a_dicom_series_becomes_a_nifti_file_with_the_same_slices() {
    let shop = Workshop::new("");
    let folder = shop.path("series");
    std::fs::create_dir(&folder).unwrap();
    let stored = |at: usize| Array2::from_shape_fn((6, 4), |(h, w)| (at * 100 + h * 10 + w) as i32);
    for (at, file) in series(5, 2.5, stored).iter().enumerate() {
        file.write(&folder.join(format!("{}.dcm", (at * 3) % 5)));
    }
    let target = shop.path("scan.nii.gz");
    let ends = [folder.to_str().unwrap(), target.to_str().unwrap()];
    let said = shop.hounsfield(&["volume", "convert", ends[0], ends[1]]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let volume = read_volume(&target).unwrap();
    assert_eq!(
        volume.geometry.orientation().to_string(),
        "LPS",
        "right-handed, from the feet"
    );
    let axial = volume.axial();
    assert_eq!(axial.size(), [5, 6, 4]);
    assert!((axial.geometry.spacing[0] - 2.5).abs() < 1e-6);
    for at in 0..5 {
        // The series is made from the feet up.
        let expected = stored(4 - at).mapv(|stored| stored as Hu - 1024.0);
        assert_eq!(hu(&axial.slice(at)), expected);
        assert_eq!(slice_of(&target, at), expected);
    }
    let said = shop.hounsfield(&["volume", "info", ends[0]]);
    assert!(
        said.out.contains("DICOM series") && !said.out.contains("SECRET"),
        "{}",
        said.out
    );
    let said = shop.hounsfield(&["volume", "info", ends[0], "--assume-spacing", "1,1,1"]);
    assert!(said.code == Some(2) && said.err.contains("own spacing"), "{}", said.err);
}

#[test]
fn a_sheet_shows_planes_in_the_proportions_of_the_body() {
    let shop = Workshop::new("");
    let path = shop.path("scan.nii.gz");
    let mut scan = CtVolume {
        voxels: Array3::from_elem((10, 40, 20), -1000.0),
        geometry: Geometry::axial([5.0, 1.0, 1.0]),
    };
    // Bright at the head, the front and the right of the patient.
    scan.voxels[[0, 0, 0]] = 3000.0;
    write_volume(&scan, &path, &WriteOptions::default()).unwrap();
    let view = |options: &[&str]| {
        let target = shop.path("sheet.png");
        let ends = [path.to_str().unwrap(), target.to_str().unwrap()];
        shop.hounsfield(&[&["volume", "view"], &ends[..], options].concat())
    };
    let all = [
        "--planes",
        "axial,coronal,sagittal",
        "--every",
        "100",
        "--side",
        "200",
        "--window",
        "wide",
    ];
    let said = view(&all);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let sheet = image::open(shop.path("sheet.png")).unwrap().into_luma8();
    // The longest side is the 50 mm from head to feet; tiles are 200 x 160 pixels, three rows of one.
    assert_eq!(sheet.dimensions(), (2 + 162, 2 + 3 * 202));
    let brightest = |row: u32| {
        let pixels = (0..200).flat_map(|y| (0..160).map(move |x| (y, x)));
        let (y, x) = pixels
            .max_by_key(|(y, x)| sheet.get_pixel(2 + x, 2 + row * 202 + y).0[0])
            .unwrap();
        (y, x)
    };
    // Axial 160 x 80 in the middle of the tile: its upper left corner. Coronal 200 x 80, sagittal 200 x 160.
    let (y, x) = brightest(0);
    assert!((20..28).contains(&y) && (40..48).contains(&x), "{y} {x}");
    let (y, x) = brightest(1);
    assert!(y < 40 && (40..48).contains(&x), "{y} {x}");
    let (y, x) = brightest(2);
    assert!(y < 40 && x < 8, "{y} {x}");
    for (options, reason) in [
        (&["--window", "brain"][..], "centre and width"),
        (&["--slices", "0"][..], "no slice"),
        (&["--side", "9"][..], "--side"),
    ] {
        let said = view(options);
        assert_eq!(said.code, Some(2));
        assert!(said.err.contains(reason), "{}", said.err);
    }
    let said = shop.hounsfield(&["volume", "view", path.to_str().unwrap(), path.to_str().unwrap()]);
    assert!(said.code == Some(2) && said.err.contains("PNG"), "{}", said.err);
}

/// Values of nibabel in the inventories, all of the columns; slices read one by one are those of the volume.
#[test]
fn real_volumes_read_to_the_values_of_their_inventories() {
    for (table, minimum, maximum, mean) in [
        ("nifti-ct/inventory.csv", "min", "max", "mean"),
        ("covid-ct-md/volumes.csv", "hu_min", "hu_max", "hu_mean"),
    ] {
        let Some((folder, rows)) = inventory(table) else { return };
        for row in rows {
            let path = folder.join(&row["file"]);
            let file = open_volume(&path, &Stated::default()).unwrap();
            let [depth, height, width] = file.volume.size();
            assert_eq!(format!("{width}x{height}x{depth}"), row["shape"]);
            let [d, h, w] = file.volume.geometry.spacing;
            assert_eq!(format!("{w:.4}x{h:.4}x{d:.4}"), row["spacing"]);
            if let Some(orientation) = row.get("orientation") {
                assert_eq!(file.volume.geometry.orientation().to_string(), *orientation);
                assert_eq!(file.stored, row["dtype"]);
            }
            let number = |column: &str| row[column].parse::<f64>().unwrap();
            let values = file.volume.voxels.iter().copied().map(f64::from);
            let (low, high) = values
                .clone()
                .fold((f64::MAX, f64::MIN), |(low, high), hu| (low.min(hu), high.max(hu)));
            let found = values.sum::<f64>() / file.volume.voxels.len() as f64;
            assert!((low - number(minimum)).abs() < 1e-4, "{low}");
            assert!((high - number(maximum)).abs() < 1e-4, "{high}");
            // The tables have three or four decimals.
            assert!((found - number(mean)).abs() <= 5.1e-4, "{found} for {}", number(mean));
            let axial = file.volume.axial();
            for at in [0, axial.size()[0] / 2, axial.size()[0] - 1] {
                assert_eq!(slice_at(&path, at).unwrap(), axial.slice(at));
            }
        }
    }
}
