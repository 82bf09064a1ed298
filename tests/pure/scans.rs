//! Tables to scans, scans to a network's grid against SimpleITK, the life of prepared files, made scans and their command.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use dicom_dictionary_std::tags;
use hounsfield::{
    cohort::{Classes, CohortError, CohortPlan, Columns, SplitPlan},
    ct::{CtVolume, Geometry, Hu, Pseudonymizer},
    index::read_scan,
    progress::Progress,
    readers::{WriteOptions, read_volume, write_volume},
    scans::{CachedScan, ScanError, ScanSource, Scans},
    tables::{TextTable, read_table},
    transforms::{Fit, ScanInput},
};
use ndarray::{Array2, Array3};
use serde_json::Value;

use crate::{
    command::Workshop,
    dicom_files::{CtFile, series},
};

fn input(spacing: f64, size: [usize; 3], fit: Fit) -> ScanInput {
    ScanInput {
        spacing,
        size,
        fit,
        ..ScanInput::default()
    }
}

fn small() -> ScanInput {
    input(4.0, [8, 12, 12], Fit::Shrink)
}

/// A body in air that differs with `seed`.
fn volume(seed: usize) -> CtVolume {
    CtVolume {
        voxels: Array3::from_shape_fn((6, 12, 12), |(d, h, w)| {
            let body = (2..10).contains(&h) && (2..10).contains(&w);
            if body {
                ((d * 31 + h * 7 + w * 3 + seed * 11) % 90) as Hu
            } else {
                -1000.0
            }
        }),
        geometry: Geometry::axial([5.0, 3.0, 3.0]),
    }
}

fn write(folder: &Path, name: &str, seed: usize) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_volume(&volume(seed), &path, &WriteOptions::default()).unwrap();
    path
}

/// A DICOM series of 12 x 12 pixels.
fn dicom(slices: usize) -> Vec<CtFile> {
    series(slices, 5.0, |at| {
        Array2::from_shape_fn((12, 12), |(row, column)| {
            let body = (2..10).contains(&row) && (2..10).contains(&column);
            if body { 1024 + (at * 3 + row) as i32 } else { 20 }
        })
    })
}

/// A table with these columns; an empty cell is none.
fn table(names: &[&str], rows: &[&[&str]]) -> TextTable {
    let column = |at: usize| {
        let cells = rows.iter().map(|row| (!row[at].is_empty()).then(|| row[at].to_owned()));
        (names[at].to_owned(), cells.collect())
    };
    TextTable::new((0..names.len()).map(column).collect()).unwrap()
}

fn plan(scan: Option<&str>) -> CohortPlan {
    let name = |name: &str| Some(name.to_owned());
    CohortPlan {
        columns: Columns {
            path: name("path"),
            patient: name("who"),
            scan: scan.map(str::to_owned),
            label: name("label"),
            ..Columns::default()
        },
        classes: Some(Classes {
            positive: "yes".to_owned(),
            negative: None,
        }),
        ids: Pseudonymizer::new(b"a salt for tests only"),
    }
}

fn read(table: &TextTable, folder: &Path, scan: Option<&str>) -> Result<Scans, ScanError> {
    Scans::read(table, folder, &plan(scan))
}

fn prepare(scans: &Scans, input: &ScanInput, cache: &Path) -> Result<Vec<Result<CachedScan, String>>, ScanError> {
    scans.prepare(input, cache, &Progress::hidden(), &AtomicBool::new(false))
}

/// The files in a folder and below, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Expected: nibabel's reading, one `SimpleITK.Resample` with `sitkLinear` after `SimpleITK.Convolution` with a Gaussian, numpy's
/// `pad`; see make_scans.py. A tilted gantry's sheared grid is among them.
#[test]
fn scans_lie_on_the_grid_that_simpleitk_and_numpy_give_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/scans");
    let text = fs::read_to_string(folder.join("scans.json")).unwrap();
    let cases = serde_json::from_str::<Value>(&text).unwrap()["fitted"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(cases.len(), 4);
    let reals = |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect() };
    for case in cases {
        let size: Vec<usize> = reals(&case["size"]).into_iter().map(|side| side as usize).collect();
        let fit = if case["fit"] == "shrink" {
            Fit::Shrink
        } else {
            Fit::Crop
        };
        let input = input(case["spacing"].as_f64().unwrap(), size.try_into().unwrap(), fit);
        let path = folder.join(case["file"].as_str().unwrap());
        let fitted = input.apply(read_volume(&path).unwrap()).unwrap();
        assert_eq!(fitted.size(), input.size);
        let step = case["new_spacing"].as_f64().unwrap();
        assert!(
            (fitted.geometry.spacing[0] - step).abs() < 1e-6,
            "{} at {step}",
            case["file"]
        );
        for (found, expected) in fitted.geometry.origin.iter().zip(reals(&case["new_origin"])) {
            assert!(
                (found - expected).abs() < 1e-3,
                "{found} for {expected}, {}",
                case["file"]
            );
        }
        // Ours are rounded: half a unit, and what a header's 32-bit floats lose.
        for (found, expected) in fitted.voxels.iter().zip(reals(&case["new_voxels"])) {
            assert!(
                (f64::from(*found) - expected).abs() < 0.51,
                "{found} for {expected}, {}",
                case["file"]
            );
        }
    }
}

#[test]
fn a_table_of_volumes_folders_and_slices_gives_one_row_a_scan() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    write(home, "a.nii.gz", 1);
    write(home, "b.nii", 2);
    for (at, file) in dicom(6).iter().enumerate() {
        file.write(&home.join(format!("series/{:02}.dcm", at * 5 % 6)));
        file.clone()
            .text(tags::SERIES_INSTANCE_UID, "UI", "2.25.9")
            .write(&home.join(format!("loose/{}.dcm", at * 5 % 6)));
    }
    let rows: Vec<Vec<String>> = [("A", "a.nii.gz".to_owned(), "yes"), ("A", "series".to_owned(), "no")]
        .into_iter()
        .chain((1..5).map(|at| ("B", format!("b.nii#slice={at}"), "no")))
        .chain((0..6).map(|at| ("C", format!("loose/{at}.dcm"), "yes")))
        .enumerate()
        .map(|(at, (who, path, label))| {
            vec![
                who.to_owned(),
                path,
                label.to_owned(),
                (at % 2).to_string(),
                who.to_owned(),
            ]
        })
        .collect();
    let rows: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| row.iter().map(String::as_str).collect())
        .collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let table = table(&["who", "path", "label", "odd", "ward"], &rows);
    let scans = read(&table, home, None).unwrap();
    let cohort = &scans.cohort;
    assert_eq!((scans.len(), cohort.n_patients), (4, 3));
    assert_eq!(cohort.patient, [0, 0, 1, 2]);
    assert_eq!(cohort.positive, [Some(true), Some(false), Some(false), Some(true)]);
    assert_eq!(scans.sources[0], ScanSource::Volume(home.join("a.nii.gz")));
    assert_eq!(scans.sources[1], ScanSource::Series(home.join("series")));
    assert_eq!(scans.sources[2], ScanSource::Volume(home.join("b.nii")));
    assert!(matches!(&scans.sources[3], ScanSource::Slices(paths) if paths.len() == 6));
    // What differs from slice to slice is not of the scan.
    let ward = ["A", "A", "B", "C"].map(|ward| Some(ward.to_owned())).to_vec();
    assert_eq!(cohort.rows.extra, [("ward".to_owned(), ward)]);
    assert!(
        cohort.warnings.iter().any(|warning| warning.contains("`odd`")),
        "{:?}",
        cohort.warnings
    );
    let mut names = cohort.rows.slice_id.clone();
    assert_eq!(names, cohort.rows.scan_id);
    names.sort();
    names.dedup();
    assert!(
        names.len() == 4 && names.iter().all(|name| name.starts_with("scn-")),
        "{names:?}"
    );

    let prepared = prepare(&scans, &small(), &home.join("cache")).unwrap();
    let voxels = |at: usize| prepared[at].as_ref().unwrap().voxels().to_owned();
    assert_eq!(voxels(1), voxels(3), "a folder and a list of its files");
    let whole = small().apply(read_volume(&home.join("b.nii")).unwrap()).unwrap();
    assert_eq!(
        voxels(2),
        whole.voxels.mapv(|hu| hu as i16),
        "all slices of the volume, though two had no row"
    );
    assert_eq!(prepared[2].as_ref().unwrap().geometry(), &whole.geometry);
}

#[test]
fn a_column_of_scans_tells_scans_of_one_patient_apart_and_numbers_are_each_patients_own() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let one = |series: &str, path: &str| {
        for (at, file) in dicom(5).iter().enumerate() {
            let file = file.clone().text(tags::SERIES_INSTANCE_UID, "UI", series);
            file.write(&home.join(format!("{path}{at}.dcm")));
        }
    };
    one("2.25.1", "p");
    one("2.25.2", "q");
    let rows: Vec<[String; 4]> = ["p", "q"]
        .into_iter()
        .flat_map(|scan| (0..5).map(move |at| ["A".into(), scan.into(), format!("{scan}{at}.dcm"), "yes".into()]))
        .chain([["B".into(), "p".into(), "b.nii".into(), "no".into()]])
        .collect();
    let rows: Vec<[&str; 4]> = rows.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
    let table = table(&["who", "scan", "path", "label"], &rows);
    write(home, "b.nii", 3);
    let scans = read(&table, home, Some("scan")).unwrap();
    assert_eq!((scans.len(), scans.cohort.n_patients), (3, 2));
    assert!(
        prepare(&scans, &small(), &home.join("cache"))
            .unwrap()
            .iter()
            .all(Result::is_ok)
    );
    // Without the column all files of a patient are one scan, which they can't be.
    let joined = read(&table, home, None).unwrap();
    assert_eq!(joined.len(), 2);
    let failed = prepare(&joined, &small(), &home.join("cache"))
        .unwrap()
        .remove(0)
        .unwrap_err();
    assert!(
        failed.starts_with("2 scans lie there (with 5, 5 slices), expected one"),
        "{failed}"
    );
    // Where identifiers are kept, names are made unique by the patient's.
    let mut kept = plan(Some("scan"));
    kept.ids = Pseudonymizer::keep();
    let scans = Scans::read(&table, home, &kept).unwrap();
    assert_eq!(scans.cohort.rows.scan_id, ["A/p", "A/q", "B/p"]);
}

#[test]
fn rows_that_contradict_each_other_are_named_by_number() {
    let home = Path::new("/nowhere/SECRET");
    let said = |scan: Option<&str>, rows: &[&[&str]]| {
        let table = table(&["who", "scan", "path", "label"], rows);
        let error = read(&table, home, scan).unwrap_err().to_string();
        assert!(!error.contains("SECRET"), "{error}");
        error
    };
    let labels = said(
        None,
        &[
            &["A", "", "a.nii#slice=0", "yes"],
            &["B", "", "b.nii", "no"],
            &["A", "", "a.nii#slice=1", "no"],
        ],
    );
    assert_eq!(
        labels,
        "rows 1 and 3 are of one scan and differ in `label` (label): name a column that says it of the whole scan or patient"
    );
    let missing = said(
        None,
        &[
            &["A", "", "a.nii#slice=0", "yes"],
            &["A", "", "a.nii#slice=1", ""],
            &["B", "", "b.nii", "no"],
        ],
    );
    assert!(
        missing.starts_with("rows 1 and 2 are of one scan and differ"),
        "{missing}"
    );
    let two = said(
        Some("scan"),
        &[
            &["A", "1", "a.nii", "yes"],
            &["A", "1", "b.nii", "yes"],
            &["B", "1", "c.nii", "no"],
        ],
    );
    assert!(
        two.starts_with("rows 1 and 2 are of one scan, and one of them is a whole scan"),
        "{two}"
    );
    let apart = said(
        Some("scan"),
        &[
            &["A", "1", "a.nii#slice=0", "yes"],
            &["A", "2", "a.nii#slice=1", "yes"],
            &["B", "1", "c.nii", "no"],
        ],
    );
    assert!(
        apart.starts_with("rows 1 and 2 are slices of one volume and belong to two scans"),
        "{apart}"
    );
    let mixed = said(
        Some("scan"),
        &[
            &["A", "1", "a.nii#slice=0", "yes"],
            &["A", "1", "b.nii#slice=1", "yes"],
            &["B", "1", "c.nii", "no"],
        ],
    );
    assert!(
        mixed.starts_with("rows 1 and 2 are of one scan, and one is a slice"),
        "{mixed}"
    );
    let pictures = said(
        None,
        &[
            &["A", "", "a.nii", "yes"],
            &["B", "", "b.PNG", "no"],
            &["B", "", "c.jpg", "no"],
        ],
    );
    assert!(
        pictures.starts_with("2 rows are pictures (first: row 2)") && pictures.contains("NIfTI"),
        "{pictures}"
    );
    let known = Pseudonymizer::new(b"a salt for tests only").scan("x");
    let shared = said(
        Some("scan"),
        &[&["A", &known, "a.nii", "yes"], &["B", &known, "b.nii", "no"]],
    );
    assert!(
        shared.starts_with("rows 1 and 2 name one scan and two patients"),
        "{shared}"
    );
    let mut nothing = plan(None);
    nothing.columns.path = None;
    let table = table(&["who", "label"], &[&["A", "yes"], &["B", "no"]]);
    let error = Scans::read(&table, home, &nothing).unwrap_err();
    assert!(matches!(error, ScanError::NoPathColumn { .. }), "{error}");
}

#[test]
fn a_scan_that_cannot_be_had_is_a_sentence_without_a_path_and_costs_no_other_scan() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("SECRET");
    write(&home, "good.nii", 1);
    let files = dicom(6);
    let put = |name: &str, change: &dyn Fn(usize, CtFile) -> Option<CtFile>| {
        for (at, file) in files.iter().enumerate() {
            if let Some(file) = change(at, file.clone()) {
                file.write(&home.join(format!("{name}/{at}.dcm")));
            }
        }
    };
    put("gap", &|at, file| (at != 3).then_some(file));
    put("uneven", &|at, file| {
        Some(if at == 3 { file.at([-100.0, -120.0, 17.0]) } else { file })
    });
    put("twice", &|at, file| {
        let file = file.text(tags::SOP_INSTANCE_UID, "UI", &format!("2.25.7.{at}"));
        Some(if at == 3 { file.at([-100.0, -120.0, 10.0]) } else { file })
    });
    let mask = CtVolume {
        voxels: volume(0).voxels.mapv(|hu| Hu::from(u8::from(hu > -500.0))),
        ..volume(0)
    };
    write_volume(&mask, &home.join("mask.nii"), &WriteOptions::default()).unwrap();
    fs::write(home.join("cut.nii"), &fs::read(home.join("good.nii")).unwrap()[..900]).unwrap();
    fs::create_dir(home.join("empty")).unwrap();
    let rows: Vec<[&str; 3]> = [
        "good.nii", "gap", "uneven", "twice", "mask.nii", "cut.nii", "empty", "gone.nii", "gone.dcm",
    ]
    .into_iter()
    .enumerate()
    .map(|(at, path)| [["A", "B"][at % 2], path, ["yes", "no"][at % 2]])
    .collect();
    let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
    let scans = read(&table(&["who", "path", "label"], &rows), &home, None).unwrap();
    let prepared = prepare(&scans, &small(), &folder.path().join("cache")).unwrap();
    let said: Vec<String> = prepared
        .into_iter()
        .map(|scan| scan.map_or_else(|said| said, |scan| scan.voxels().len().to_string()))
        .collect();
    let expected = [
        "1152",
        "the slices make no volume (1 slice missing in 1 gap",
        "the slices make no volume (2 of 5 steps are not 5.000 mm",
        "the slices make no volume (1 slice missing in 1 gap",
        "not a CT scan: a volume whose lowest value is 0",
        "NIfTI: ",
        "no scan was found: the folder is empty",
        "file can't be read (No such file",
        "file can't be read (No such file",
    ];
    for (said, expected) in said.iter().zip(expected) {
        assert!(
            said.starts_with(expected) && !said.contains("SECRET"),
            "{said}, expected {expected}"
        );
    }
}

#[test]
fn prepared_scans_are_found_again_shared_by_windows_and_made_anew_when_their_source_changes() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let cache = home.join("cache");
    write(home, "SECRET/a.nii", 1);
    write(home, "SECRET/b.nii.gz", 2);
    let table = table(
        &["who", "path", "label"],
        &[&["DOE", "SECRET/a.nii", "yes"], &["ROE", "SECRET/b.nii.gz", "no"]],
    );
    let scans = read(&table, home, None).unwrap();
    let first = prepare(&scans, &small(), &cache).unwrap();
    let made = files(&cache);
    assert_eq!(made.len(), 2);
    let stamp = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let stamps: Vec<_> = made.iter().map(stamp).collect();
    for path in &made {
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes.len(), 512 + 2 * 8 * 12 * 12);
        let held = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        let name = path.to_string_lossy().to_ascii_lowercase();
        for word in ["SECRET", "DOE", "ROE", ".nii"] {
            assert!(
                !held(word) && !name.contains(&word.to_ascii_lowercase()),
                "{word} stands in {name}"
            );
        }
    }
    let mut lung = small();
    lung.window = serde_json::from_str("\"lung\"").unwrap();
    for (a, b) in first.iter().zip(prepare(&scans, &lung, &cache).unwrap()) {
        let (a, b) = (a.as_ref().unwrap(), b.unwrap());
        assert_eq!(
            (a.voxels(), a.geometry(), a.sha256()),
            (b.voxels(), b.geometry(), b.sha256())
        );
        let of = CachedScan::of(&scans.sources[0], &small()).unwrap();
        assert_eq!(of.voxels().dim(), a.voxels().dim());
    }
    assert_eq!(
        made.iter().map(stamp).collect::<Vec<_>>(),
        stamps,
        "nothing was written again"
    );

    let held = first[0].as_ref().unwrap().clone();
    let before = held.voxels().to_owned();
    write(home, "SECRET/a.nii", 77);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    fs::File::options()
        .write(true)
        .open(home.join("SECRET/a.nii"))
        .unwrap()
        .set_modified(later)
        .unwrap();
    let again = prepare(&scans, &small(), &cache).unwrap();
    assert_ne!(again[0].as_ref().unwrap().sha256(), held.sha256());
    assert_eq!(held.voxels(), before, "what is mapped stays");
    assert_eq!(again[1].as_ref().unwrap().sha256(), first[1].as_ref().unwrap().sha256());
    let other = prepare(&scans, &input(5.0, [8, 12, 12], Fit::Shrink), &cache).unwrap();
    assert_ne!(other[1].as_ref().unwrap().sha256(), first[1].as_ref().unwrap().sha256());
    assert_eq!(files(&cache).len(), 5);
}

/// Cut, lengthened, replaced by another's, and every byte of the header and some of the voxels with a bit flipped.
#[test]
fn a_damaged_file_is_told_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let cache = home.join("cache");
    write(home, "a.nii", 1);
    write(home, "b.nii", 2);
    let table = table(
        &["who", "path", "label"],
        &[&["A", "a.nii", "yes"], &["B", "b.nii", "no"]],
    );
    let scans = read(&table, home, None).unwrap();
    let hash = |scans: &[Result<CachedScan, String>]| -> Vec<String> {
        scans
            .iter()
            .map(|scan| scan.as_ref().unwrap().sha256().to_owned())
            .collect()
    };
    let right = hash(&prepare(&scans, &small(), &cache).unwrap());
    let paths = files(&cache);
    let good: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut broken: Vec<Vec<u8>> = vec![
        Vec::new(),
        good[0][..100].to_vec(),
        good[0][..512].to_vec(),
        good[0][..good[0].len() - 2].to_vec(),
        [&good[0][..], &[0, 0]].concat(),
        good[1].clone(),
        b"<html>404</html>".repeat(60),
    ];
    for at in (0..512).step_by(9).chain([12, 511, 512, 513, good[0].len() - 1]) {
        let mut bytes = good[0].clone();
        bytes[at] ^= 1 << (at % 8);
        broken.push(bytes);
    }
    for bytes in broken {
        fs::remove_file(&paths[0]).unwrap();
        fs::write(&paths[0], &bytes).unwrap();
        assert_eq!(hash(&prepare(&scans, &small(), &cache).unwrap()), right);
        assert!(fs::read(&paths[0]).unwrap() == good[0], "the file is whole again");
    }
    assert_eq!(files(&cache), paths, "nothing temporary is left");
}

#[test]
fn many_trainings_may_prepare_one_cache_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let rows: Vec<[String; 3]> = (0..6)
        .map(|at| {
            write(home, &format!("{at}.nii.gz"), at);
            [
                format!("P{at}"),
                format!("{at}.nii.gz"),
                ["yes", "no"][at % 2].to_owned(),
            ]
        })
        .collect();
    let rows: Vec<[&str; 3]> = rows.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
    let scans = read(&table(&["who", "path", "label"], &rows), home, None).unwrap();
    let cache = home.join("cache");
    let hashes: Vec<Vec<String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| prepare(&scans, &small(), &cache).unwrap()))
            .collect();
        let done = threads.into_iter().map(|thread| thread.join().unwrap());
        done.map(|scans| {
            scans
                .iter()
                .map(|scan| scan.as_ref().unwrap().sha256().to_owned())
                .collect()
        })
        .collect()
    });
    assert!(hashes.iter().all(|found| *found == hashes[0]));
    assert_eq!(files(&cache).len(), 6);
}

#[test]
fn a_stop_and_a_cache_that_can_not_be_written_end_all() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    write(home, "a.nii", 1);
    write(home, "b.nii", 2);
    let table = table(
        &["who", "path", "label"],
        &[&["A", "a.nii", "yes"], &["B", "b.nii", "no"]],
    );
    let scans = read(&table, home, None).unwrap();
    let stopped = scans.prepare(
        &small(),
        &home.join("cache"),
        &Progress::hidden(),
        &AtomicBool::new(true),
    );
    assert!(matches!(stopped, Err(ScanError::Interrupted)));
    fs::write(home.join("file"), "").unwrap();
    let error = prepare(&scans, &small(), &home.join("file")).unwrap_err();
    assert!(matches!(error, ScanError::Write(_)), "{error}");
    let none = ScanInput {
        spacing: -1.0,
        ..small()
    };
    assert!(matches!(
        prepare(&scans, &none, &home.join("cache")),
        Err(ScanError::Input(_))
    ));
}

#[test]
fn one_scan_under_two_patients_is_found_by_its_voxels() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let rows: Vec<[String; 4]> = (0..20)
        .map(|at| {
            // The same scan twice, in two formats.
            let name = format!("{at}.{}", if at == 0 { "nii.gz" } else { "nii" });
            write(home, &name, if at == 1 { 0 } else { at });
            let set = if at == 0 || at > 14 { "test" } else { "train" };
            [
                format!("P{at:02}"),
                name,
                ["yes", "no"][at % 2].to_owned(),
                set.to_owned(),
            ]
        })
        .map(|mut row| {
            // Both are of one class.
            if row[0] == "P01" {
                row[2] = "yes".to_owned();
            }
            row
        })
        .collect();
    let rows: Vec<[&str; 4]> = rows.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
    let mut plan = plan(None);
    plan.columns.split = Some("set".to_owned());
    let mut scans = Scans::read(&table(&["who", "path", "label", "set"], &rows), home, &plan).unwrap();
    let prepared = prepare(&scans, &small(), &home.join("cache")).unwrap();
    scans.note_hashes(&prepared);
    let split: SplitPlan = serde_json::from_str(r#"{"kind": "column", "column": "set"}"#).unwrap();
    let error = split.split(&scans.cohort, 0).unwrap_err();
    assert!(
        matches!(
            error,
            CohortError::ImageLeak {
                images: 1,
                first: 1,
                second: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn frames_that_rows_name_are_read_and_those_that_are_not_there_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    for (at, file) in dicom(4).iter().enumerate() {
        file.write(&home.join(format!("{at}.dcm")));
    }
    let paths = |fragment: &str| -> Vec<PathBuf> {
        (0..4)
            .map(|at| home.join(format!("{}.dcm{fragment}", 3 - at)))
            .collect()
    };
    let whole = read_scan(home, None, None).unwrap();
    assert_eq!(ScanSource::Slices(paths("")).read().unwrap(), whole);
    assert_eq!(ScanSource::Slices(paths("#slice=0")).read().unwrap(), whole);
    let error = ScanSource::Slices(paths("#slice=2")).read().unwrap_err();
    let said = error.without_path();
    assert!(
        said.contains("1 slice asked for by `#slice=`") && !said.contains(".dcm"),
        "{said}"
    );
    let one = ScanSource::at(&home.join("2.dcm")).unwrap().read().unwrap();
    assert_eq!(one.size(), [1, 12, 12]);
    assert!(matches!(ScanSource::at(home).unwrap(), ScanSource::Series(_)));
}

#[test]
fn the_command_makes_scans_that_the_table_reader_takes() {
    let shop = Workshop::new("");
    let out = shop.path("made");
    let call = |more: &[&str]| {
        let base = [
            "phantoms",
            "--scans",
            "--out",
            out.to_str().unwrap(),
            "--patients",
            "6",
            "--size",
            "16",
        ];
        shop.hounsfield(&[&base[..], more].concat())
    };
    let said = call(&["--spacing", "20"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("8 scans of 6 patients: "), "{}", said.out);
    let name = |name: &str| Some(name.to_owned());
    let plan = CohortPlan {
        columns: Columns {
            path: name("path"),
            patient: name("patient_id"),
            scan: name("scan_id"),
            label: name("label"),
            site: name("site"),
            ..Columns::default()
        },
        classes: Some(Classes {
            positive: "coarse".to_owned(),
            negative: None,
        }),
        ids: Pseudonymizer::keep(),
    };
    let scans = Scans::read(&read_table(&out.join("scans.csv")).unwrap(), &out, &plan).unwrap();
    assert_eq!((scans.len(), scans.cohort.n_patients), (8, 6));
    assert_eq!(scans.cohort.rows.scan_id[2..4], ["SYN-0003-S1", "SYN-0003-S2"]);
    let prepared = prepare(&scans, &input(20.0, [16; 3], Fit::Shrink), &shop.path("cache")).unwrap();
    assert!(prepared.iter().all(Result::is_ok), "{prepared:?}");
    assert_eq!(call(&[]).code, Some(2), "a folder that holds a cohort is left alone");
    let wrong = shop.hounsfield(&["phantoms", "--out", shop.path("x").to_str().unwrap(), "--spacing", "3"]);
    assert_eq!(wrong.code, Some(2));
}

/// Three published volumes of 128 x 128 and more voxels of 2.4 to 3 mm and slices of 2 mm, by the default spacing on a small grid.
#[test]
fn three_real_volumes_fit_into_64_voxels_with_the_body_in_the_middle() {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA") else {
        eprintln!("skipped: HOUNSFIELD_DATA is not set");
        return;
    };
    let data = PathBuf::from(data).join("covid-ct-md");
    let mut plan = plan(None);
    plan.columns.path = Some("file".to_owned());
    plan.columns.patient = Some("patient_id".to_owned());
    plan.columns.label = Some("cls".to_owned());
    plan.classes = Some(Classes {
        positive: "covid".to_owned(),
        negative: None,
    });
    let scans = Scans::read(&read_table(&data.join("volumes.csv")).unwrap(), &data, &plan).unwrap();
    assert_eq!((scans.len(), scans.cohort.n_patients), (3, 3));
    let input = input(1.5, [64; 3], Fit::Shrink);
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepare(&scans, &input, folder.path()).unwrap();
    for (source, scan) in scans.sources.iter().zip(prepared) {
        let scan = scan.unwrap();
        let stored = source.read().unwrap();
        let longest = (0..3).map(|axis| stored.size()[axis] as f64 * stored.geometry.spacing[axis]);
        let step = longest.fold(0.0, f64::max) / 64.0;
        assert!(scan.geometry().spacing.iter().all(|mm| (mm - step).abs() < 1e-9));
        assert_eq!(scan.geometry().orientation().to_string(), "LPI");
        let part =
            |low: i16, high: i16| scan.voxels().iter().filter(|hu| (low..high).contains(hu)).count() as f64 / 262_144.0;
        assert!(part(-1024, -950) > 0.1 && part(-950, -500) > 0.02 && part(-50, 100) > 0.04);
        // A quarter from each side there is more of the body than at the rim.
        let mean = |at: usize| {
            scan.voxels()
                .index_axis(ndarray::Axis(2), at)
                .iter()
                .map(|hu| f64::from(*hu))
                .sum::<f64>()
        };
        assert!(mean(32) > mean(1) && mean(32) > mean(62));
    }
}

/// What `hounsfield index` lists of the same patients' DICOM files, every twelfth slice, is the folder of each.
#[test]
fn an_index_of_real_series_gives_the_scans_of_their_folders() {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA") else {
        eprintln!("skipped: HOUNSFIELD_DATA is not set");
        return;
    };
    let folder = PathBuf::from(data).join("covid-ct-md/dicom");
    let shop = Workshop::new("");
    let out = shop.path("cohort.csv");
    let said = shop.hounsfield(&["index", folder.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let name = |name: &str| Some(name.to_owned());
    let plan = CohortPlan {
        columns: Columns {
            path: name("path"),
            patient: name("patient_id"),
            scan: name("scan_id"),
            ..Columns::default()
        },
        classes: None,
        ids: Pseudonymizer::new(b"a salt for tests only"),
    };
    let scans = Scans::read(&read_table(&out).unwrap(), &shop.path(""), &plan).unwrap();
    assert_eq!(scans.len(), 3);
    let input = input(3.0, [32, 48, 48], Fit::Shrink);
    for scan in prepare(&scans, &input, &shop.path("cache"))
        .unwrap()
        .iter()
        .zip(&scans.sources)
    {
        let (Ok(scan), ScanSource::Slices(paths)) = scan else {
            panic!("{scan:?}")
        };
        let series = ScanSource::at(paths[0].parent().unwrap()).unwrap();
        let same = CachedScan::of(&series, &input).unwrap();
        assert_eq!(same.voxels(), scan.voxels());
        assert_eq!(same.geometry(), scan.geometry());
    }
}
