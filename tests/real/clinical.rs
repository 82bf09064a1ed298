//! Clinical CT: three patients from their DICOM files, from volumes made of these, and from the volumes that were published.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use hounsfield::{FeatureTable, features::read_features};

use super::{data, study::Study};

/// Scanners' rows of slices, as `slices.csv` beside the data describes them.
type Row = BTreeMap<String, String>;

/// The patients, in the order in which their folders are walked.
const PATIENTS: [(&str, &str); 3] = [("cap", "cap001"), ("covid", "P001"), ("normal", "normal001")];

const RECIPE: &str = r#"
seed = 0
[cohort]
table = "cohort.csv"
path = "path"
patient = "patient_id"
scan = "scan_id"
label = "label"
positive = "1"
# Three patients are too few to be split: the report says that these figures leak.
[split]
kind = "folds"
k = 2
unit = "slice"
[encoder]
kind = "bigbigan-resnet-tiny"
weights = "random"
[features]
layers = ["z_mean"]
[probe]
features = "z_mean"
heads = ["logistic"]
unit = "slice"
"#;

#[test]
fn three_patients_have_the_same_features_from_dicom_and_from_nifti() {
    let Some(data) = data("covid-ct-md") else { return };
    let slices = rows(&data.join("slices.csv"));
    let dicom: Vec<&Row> = slices.iter().filter(|row| !row["dicom"].is_empty()).collect();

    let labels = dicom.iter().map(|row| [row["dicom"].clone(), row["infected"].clone()]);
    let (of_files, table) = run(&data.join("dicom"), labels, |_| ());
    assert_eq!(table.len(), dicom.len());
    for (_, patient) in PATIENTS {
        let mut truth: Vec<&&Row> = dicom.iter().filter(|row| row["patient_id"] == patient).collect();
        truth.sort_by_key(|row| row["k_from_head"].parse::<usize>().unwrap());
        let found: Vec<&Row> = table.iter().filter(|row| row["path"].contains(patient)).collect();
        assert_eq!(found.len(), truth.len());
        for (at, (found, truth)) in found.iter().zip(truth).enumerate() {
            assert_eq!(found["slice_index"], at.to_string());
            assert!((number(found, "position_mm") - number(truth, "z")).abs() < 1e-3);
            assert!((number(found, "hu_mean") - number(truth, "hu_mean")).abs() < 1e-3);
            assert_eq!(found["label"], truth["infected"]);
        }
    }

    // Every twelfth slice, as volumes: the values are the same, and so are the features, but for the order of sums.
    let labels = PATIENTS.iter().flat_map(|(class, patient)| {
        let mut rows: Vec<&&Row> = dicom.iter().filter(|row| row["patient_id"] == *patient).collect();
        rows.sort_by_key(|row| row["k_from_head"].parse::<usize>().unwrap());
        let rows: Vec<[String; 2]> = rows
            .iter()
            .enumerate()
            .map(|(at, row)| {
                let address = format!("{class}/{patient}.nii.gz#slice={at}");
                [address, row["infected"].clone()]
            })
            .collect();
        rows
    });
    let volumes = tempfile::tempdir().expect("a writable temporary folder");
    let (of_volumes, _) = run(volumes.path(), labels, |study| {
        for (class, patient) in PATIENTS {
            let folder = volumes.path().join(class);
            fs::create_dir(&folder).expect("a writable temporary folder");
            let series = data.join("dicom").join(class).join(patient);
            let volume = folder.join(format!("{patient}.nii.gz"));
            study.hounsfield(
                &[
                    "volume".as_ref(),
                    "convert".as_ref(),
                    series.as_os_str(),
                    volume.as_os_str(),
                ],
                &[0],
            );
        }
    });
    assert_eq!(of_files.values.dim(), of_volumes.values.dim());
    let differences = of_files.values.iter().zip(&of_volumes.values);
    let worst = differences.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    eprintln!("features from DICOM and from NIfTI differ by at most {worst:e}");
    assert!(worst <= 1e-5, "{worst}");

    // The published volumes have a quarter of the pixels a side, shrunk by others: features are near, not the same.
    let labels = slices.iter().map(|row| {
        let address = format!("{}.nii.gz#slice={}", row["patient_id"], row["k_from_head"]);
        [address, row["infected"].clone()]
    });
    let (of_small, small) = run(&data.join("volumes"), labels, |_| ());
    assert_eq!(small.len(), slices.len());
    let mut far = 0.0_f32;
    for (at, row) in table.iter().enumerate() {
        let (_, patient) = PATIENTS
            .iter()
            .find(|(_, patient)| row["path"].contains(patient))
            .expect("a patient");
        let same = |other: &&Row| {
            other["path"].contains(patient) && (number(other, "position_mm") - number(row, "position_mm")).abs() < 1e-2
        };
        let other = small.iter().find(same).expect("a slice at the same height");
        assert_eq!(other["label"], row["label"]);
        let other = small
            .iter()
            .position(|row| row["path"] == other["path"])
            .expect("its row");
        let (a, b) = (of_files.values.row(at), of_small.values.row(other));
        let length = a.dot(&a).sqrt();
        let apart = &a - &b;
        far = far.max(apart.dot(&apart).sqrt() / length);
    }
    eprintln!(
        "features of the published volumes are at most {:.1} % of their length away",
        100.0 * far
    );
    assert!(far <= 0.1, "{far}");
}

/// Indexes a folder with labels by file, runs a study on the table, and gives features and table.
fn run(
    folder: &Path,
    labels: impl Iterator<Item = [String; 2]>,
    prepare: impl FnOnce(&Study),
) -> (FeatureTable, Vec<Row>) {
    let study = Study::new(RECIPE);
    prepare(&study);
    let place = |name: &str| study.folder().join(name);
    let mut writer = csv::Writer::from_path(place("labels.csv")).expect("a writable temporary folder");
    writer.write_record(["file", "label"]).expect("a row");
    labels.for_each(|row| writer.write_record(row).expect("a row"));
    writer.flush().expect("a writable temporary folder");
    let (labels, table, salt): (PathBuf, PathBuf, PathBuf) = (place("labels.csv"), place("cohort.csv"), place("salt"));
    let arguments: [&OsStr; 10] = [
        "index".as_ref(),
        folder.as_os_str(),
        "--out".as_ref(),
        table.as_os_str(),
        "--salt".as_ref(),
        salt.as_os_str(),
        "--labels".as_ref(),
        labels.as_os_str(),
        "--on".as_ref(),
        "file".as_ref(),
    ];
    study.hounsfield(&arguments, &[0]);
    study.run(&[0]);
    let features = read_features(&study.path("features/z_mean.parquet")).expect("features");
    (features, rows(&table))
}

fn rows(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).expect("a table");
    reader.deserialize().collect::<Result<_, _>>().expect("a table")
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().expect("a number")
}
