//! `hounsfield index` on made series: order, what is left out, checks, labels, selections, and that nobody is named.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use dicom_dictionary_std::tags;
use hounsfield::{
    ct::Rescale,
    index::{Index, IndexError, IndexPlan, read_scan},
    progress::Progress,
    readers::read_slice,
    tables::{TextTable, read_table},
};
use ndarray::Array2;

use crate::{
    command::{Said, Workshop},
    dicom_files::{CtFile, series},
};

/// Stored values of a slice that differ from those of any other number.
fn stored(at: usize) -> Array2<i32> {
    Array2::from_shape_fn((16, 16), |(row, column)| {
        let body = (3..13).contains(&row) && (3..13).contains(&column);
        if body { 1024 + at as i32 + row as i32 } else { 0 }
    })
}

/// A series of a patient: identities of its own, slices from the feet up, 2 mm apart.
fn scan(patient: &str, slices: usize) -> Vec<CtFile> {
    let number = patient
        .bytes()
        .fold(1, |number: u64, byte| (number * 257 + u64::from(byte)) % 1_000_003);
    let of_patient = |(at, file): (usize, CtFile)| {
        file.text(tags::PATIENT_ID, "LO", patient)
            .text(tags::PATIENT_NAME, "PN", &format!("SECRET^{patient}"))
            .text(tags::PATIENT_BIRTH_DATE, "DA", "19330303")
            .text(tags::STUDY_DATE, "DA", "20200305")
            .text(tags::ACCESSION_NUMBER, "SH", "SECRETACC")
            .text(tags::INSTITUTION_NAME, "LO", "SECRET HOSPITAL")
            .text(tags::MANUFACTURER, "LO", "SIEMENS")
            .text(tags::STUDY_INSTANCE_UID, "UI", &format!("2.25.77.{number}"))
            .text(tags::SERIES_INSTANCE_UID, "UI", &format!("2.25.78.{number}"))
            .text(tags::SOP_INSTANCE_UID, "UI", &format!("2.25.79.{number}.{at}"))
    };
    series(slices, 2.0, |at| stored(at + 100 * (number as usize % 97)))
        .into_iter()
        .enumerate()
        .map(of_patient)
        .collect()
}

/// Writes files under names that say nothing of their order.
fn put(files: &[CtFile], folder: &Path) {
    for (at, file) in files.iter().enumerate() {
        file.write(&folder.join(format!("{:03}", at * 17 % files.len())));
    }
}

struct Indexed {
    shop: Workshop,
    said: Said,
}

/// Runs `index` on the folder `in` that `fill` has filled.
fn index(fill: impl Fn(&Path), more: &[&str]) -> Indexed {
    let shop = Workshop::new("");
    let folder = shop.path("in");
    fs::create_dir(&folder).unwrap();
    fill(&folder);
    let said = again(&shop, more);
    Indexed { shop, said }
}

fn again(shop: &Workshop, more: &[&str]) -> Said {
    let (folder, out) = (shop.path("in"), shop.path("cohort.csv"));
    let start = ["index", folder.to_str().unwrap(), "--out", out.to_str().unwrap()];
    shop.hounsfield(&[&start[..], more].concat())
}

impl Indexed {
    fn table(&self, name: &str) -> TextTable {
        read_table(&self.shop.path(name)).unwrap_or_else(|error| panic!("{error}\n{}{}", self.said.out, self.said.err))
    }

    fn column(&self, name: &str) -> Vec<String> {
        cells(&self.table("cohort.csv"), name)
    }

    /// How many rows of the left-out table have each reason.
    fn left_out(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for reason in cells(&self.table("cohort.left-out.csv"), "reason") {
            *reasons.entry(reason).or_default() += 1;
        }
        reasons
    }

    fn checks(&self) -> Vec<String> {
        let table = self.table("cohort.checks.csv");
        let details = cells(&table, "detail");
        cells(&table, "check")
            .into_iter()
            .zip(details)
            .map(|(check, detail)| format!("{check}: {detail}"))
            .collect()
    }
}

fn cells(table: &TextTable, name: &str) -> Vec<String> {
    table
        .column(name)
        .unwrap()
        .iter()
        .map(|cell| cell.clone().unwrap_or_default())
        .collect()
}

fn numbers(cells: &[String]) -> Vec<f64> {
    cells.iter().map(|cell| cell.parse().unwrap()).collect()
}

#[test]
fn series_become_scans_from_head_to_foot_whatever_files_are_called() {
    let indexed = index(
        |folder| {
            put(&scan("A", 12), &folder.join("deep/a"));
            let b = scan("B", 11);
            put(&b[..6], &folder.join("b"));
            put(&b[6..], &folder.join("elsewhere"));
            // Without preamble, as some archives keep them.
            let first = fs::read(folder.join("b/000")).unwrap();
            fs::write(folder.join("b/000"), &first[132..]).unwrap();
        },
        &[],
    );
    assert_eq!(indexed.said.code, Some(0), "{}{}", indexed.said.out, indexed.said.err);
    assert!(
        indexed.said.out.contains("23 slices of 2 scans of 2 patients"),
        "{}",
        indexed.said.out
    );
    let scans = indexed.column("scan_id");
    let heights = numbers(&indexed.column("position_mm"));
    let fractions = numbers(&indexed.column("position_fraction"));
    let indices = numbers(&indexed.column("slice_index"));
    for at in 1..scans.len() {
        if scans[at] == scans[at - 1] {
            assert_eq!(heights[at - 1] - heights[at], 2.0);
            assert!(fractions[at] > fractions[at - 1]);
        } else {
            assert_eq!((indices[at], fractions[at], fractions[at - 1]), (0.0, 0.0, 1.0));
        }
    }
    assert_eq!(indexed.column("orientation"), vec!["LP"; 23]);
    assert_eq!(indexed.column("spacing_slice_mm"), vec!["2"; 23]);
    assert!(indexed.checks().is_empty(), "{:?}", indexed.checks());
    // The slice at a path is the one that the row speaks of.
    let rows = indexed.column("path").into_iter().zip(indexed.column("hu_max"));
    for (path, highest) in rows {
        let slice = read_slice(&indexed.shop.path("").join(&path)).unwrap();
        let hounsfield::ct::Pixels::Hu(hu) = slice.pixels else {
            panic!("{path} has no HU")
        };
        assert_eq!(hu.iter().copied().fold(f32::MIN, f32::max).to_string(), highest);
    }
}

#[test]
fn threads_and_names_change_nothing_but_paths() {
    let fill = |folder: &Path| {
        put(&scan("A", 12), &folder.join("a"));
        put(&scan("B", 12), &folder.join("b"));
    };
    let one = index(fill, &["--threads", "1"]);
    let before = fs::read_to_string(one.shop.path("cohort.csv")).unwrap();
    again(&one.shop, &["--threads", "7"]);
    assert_eq!(fs::read_to_string(one.shop.path("cohort.csv")).unwrap(), before);
    fs::rename(one.shop.path("in/a"), one.shop.path("in/c")).unwrap();
    again(&one.shop, &[]);
    let mut scans = one.column("scan_id");
    let mut hashes = one.column("sha256");
    for cells in [&mut scans, &mut hashes] {
        cells.sort_unstable();
        cells.dedup();
        assert!(cells.iter().all(|cell| before.contains(cell)));
    }
    assert_eq!((hashes.len(), scans.len()), (24, 2));
}

#[test]
fn what_is_no_axial_slice_is_listed_with_the_reason() {
    let indexed = index(
        |folder| {
            let files = scan("A", 12);
            put(&files, &folder.join("a"));
            let odd = |name: &str, change: &dyn Fn(CtFile) -> CtFile| {
                let file = files[0]
                    .clone()
                    .text(tags::SOP_INSTANCE_UID, "UI", &format!("2.25.80.{}", name.len()));
                change(file).write(&folder.join(name));
            };
            odd("localizer", &|file| {
                file.text(tags::IMAGE_TYPE, "CS", r"ORIGINAL\PRIMARY\LOCALIZER")
            });
            odd("coronal1", &|file| {
                file.text(tags::IMAGE_ORIENTATION_PATIENT, "DS", r"1\0\0\0\0\-1")
            });
            odd("sagittal12", &|file| {
                file.text(tags::IMAGE_ORIENTATION_PATIENT, "DS", r"0\1\0\0\0\-1")
            });
            odd("capture1234", &|file| {
                file.text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.7")
            });
            odd("magnetic12345", &|file| {
                file.text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.4")
                    .text(tags::MODALITY, "CS", "MR")
            });
            odd("projection1234", &|file| {
                file.text(tags::IMAGE_TYPE, "CS", r"DERIVED\SECONDARY\AXIAL\CT_SOM5 MIP")
            });
            odd("nowhere12345678", &|file| file.without(tags::IMAGE_POSITION_PATIENT));
            odd("tilted123456789a", &|file| {
                file.text(tags::IMAGE_ORIENTATION_PATIENT, "DS", r"1\0\0\0\0.984808\0.173648")
            });
            odd("no-rescale1234567", &|file| file.without(tags::RESCALE_SLOPE));
            // The same file again, and the same pixels under another identity.
            files[3].write(&folder.join("twin"));
            files[4]
                .clone()
                .text(tags::SOP_INSTANCE_UID, "UI", "2.25.81")
                .write(&folder.join("twin-by-pixels"));
            fs::write(folder.join("readme.txt"), "words").unwrap();
            fs::write(folder.join(".hidden"), files[0].bytes()).unwrap();
            fs::write(folder.join("DICOMDIR"), files[0].bytes()).unwrap();
            fs::write(folder.join("empty"), "").unwrap();
            let picture = image::GrayImage::from_pixel(4, 4, image::Luma([7]));
            picture.save(folder.join("picture.png")).unwrap();
        },
        &[],
    );
    let expected = [
        ("DICOMDIR", 1),
        ("derived image", 1),
        ("duplicate", 2),
        ("hidden file", 1),
        ("localizer", 1),
        ("mixed orientation", 1),
        ("no image", 2),
        ("no position", 1),
        ("not CT", 1),
        ("not axial", 2),
        ("picture", 1),
        ("secondary capture", 1),
        ("unreadable", 1),
    ];
    let expected: BTreeMap<String, usize> = expected.map(|(reason, n)| (reason.to_owned(), n)).into();
    assert_eq!(indexed.left_out(), expected);
    // A file that could not be read is a failure, all others are not.
    assert_eq!(indexed.said.code, Some(1));
    assert_eq!(indexed.column("path").len(), 12);
    let details = cells(&indexed.table("cohort.left-out.csv"), "detail").join("\n");
    assert!(
        details.contains("RescaleSlope is missing") && details.contains("coronal, not axial"),
        "{details}"
    );
    assert!(!details.contains(indexed.shop.path("").to_str().unwrap()), "{details}");
    let paths = cells(&indexed.table("cohort.left-out.csv"), "path");
    assert!(paths.iter().all(|path| path.starts_with("in/")), "{paths:?}");
}

#[test]
fn a_missing_rescale_is_read_as_the_user_states_it() {
    let fill = |folder: &Path| {
        let mut files = scan("A", 12);
        files[5] = files[5]
            .clone()
            .without(tags::RESCALE_SLOPE)
            .without(tags::RESCALE_INTERCEPT);
        put(&files, folder);
    };
    let refused = index(fill, &[]);
    assert_eq!((refused.said.code, refused.column("path").len()), (Some(1), 11));
    let details = cells(&refused.table("cohort.left-out.csv"), "detail");
    assert!(details[0].contains("--assume-rescale"), "{details:?}");
    assert!(
        refused.checks()[0].starts_with("missing slices: 1 slice"),
        "{:?}",
        refused.checks()
    );
    let stated = index(fill, &["--assume-rescale", "1,-1024"]);
    assert_eq!(stated.said.code, Some(0), "{}", stated.said.err);
    let assumed = stated.column("rescale_assumed");
    assert_eq!(assumed.iter().filter(|cell| *cell == "1,-1024").count(), 1);
    let path = stated
        .column("path")
        .into_iter()
        .find(|path| path.ends_with("#rescale=1,-1024"))
        .unwrap();
    assert!(read_slice(&stated.shop.path("").join(path)).is_ok());
}

#[test]
fn what_is_odd_is_said_with_numbers_and_strict_writes_nothing() {
    let fill = |folder: &Path| {
        let mut files = scan("A", 14);
        files.remove(6);
        files[2] = files[2].clone().text(tags::RESCALE_INTERCEPT, "DS", "-1000");
        put(&files, folder);
    };
    let indexed = index(fill, &[]);
    let expected = [
        "missing slices: 1 slice missing in 1 gap of a stack with steps of 2.000 mm, the first below 14.00 mm",
        "changed rescale: 2 pairs of rescale slope and intercept, the first change at slice 10",
    ];
    assert_eq!(indexed.checks(), expected);
    for line in expected {
        assert!(indexed.said.err.contains(line), "{}", indexed.said.err);
    }
    let strict = index(fill, &["--strict"]);
    assert_eq!(strict.said.code, Some(2));
    assert!(
        strict
            .said
            .err
            .contains("2 things odd about scans, nothing was written"),
        "{}",
        strict.said.err
    );
    let written: Vec<PathBuf> = ["cohort.csv", "cohort.left-out.csv", "cohort.checks.csv"]
        .map(|name| strict.shop.path(name))
        .into();
    assert!(written.iter().all(|path| !path.exists()));
    let even = index(|folder| put(&scan("A", 14), folder), &["--strict"]);
    assert_eq!(even.said.code, Some(0), "{}", even.said.err);
}

/// Nothing that names a patient, a day or an examination stands in any output but the paths that the user gave.
#[test]
fn nobody_is_named_in_any_output() {
    let shop = Workshop::new("");
    let folder = shop.path("in");
    let mut files = scan("SECRETID1", 12);
    files[1] = files[1].clone().text(tags::CONVOLUTION_KERNEL, "SH", "SECRETID1 B30f");
    files[2] = files[2].clone().text(tags::RESCALE_SLOPE, "DS", "SECRET");
    files[3] = files[3]
        .clone()
        .text(tags::MODALITY, "CS", "SECRET")
        .without(tags::SOP_CLASS_UID);
    files[4] = files[4]
        .clone()
        .text(tags::PHOTOMETRIC_INTERPRETATION, "CS", "SECRETID1");
    files[5] = files[5].clone().text(tags::BURNED_IN_ANNOTATION, "CS", "YES");
    put(&files, &folder);
    let whole = files[6].bytes();
    fs::write(folder.join("cut"), &whole[..whole.len() / 2]).unwrap();
    let said = again(&shop, &["--phi-report", shop.path("phi.csv").to_str().unwrap(), "-v"]);
    let indexed = Indexed { shop, said };
    assert!(
        indexed.said.err.contains("burned-in text: 1 slice"),
        "{}",
        indexed.said.err
    );
    let phi = indexed.table("phi.csv");
    assert!(cells(&phi, "keyword").contains(&"PatientName".to_owned()));
    assert!(cells(&phi, "tag").contains(&"(0010,0020)".to_owned()));
    // Of each file either a row of the cohort or one of what was left out is named.
    let rows = cells(&phi, "cohort_rows").into_iter().zip(cells(&phi, "left_out_rows"));
    assert!(
        rows.into_iter()
            .all(|(cohort, left)| cohort.is_empty() != left.is_empty())
    );
    let mut shown = vec![indexed.said.out.clone(), indexed.said.err.clone()];
    for name in ["cohort.csv", "cohort.left-out.csv", "cohort.checks.csv", "phi.csv"] {
        shown.push(fs::read_to_string(indexed.shop.path(name)).unwrap());
    }
    for text in shown {
        for secret in ["SECRET", "19330303", "20200305", "2.25."] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(indexed.column("site").iter().all(|site| site.starts_with("sit-")));
}

#[test]
fn identifiers_are_kept_where_the_user_says_so_and_out_of_the_log() {
    let indexed = index(|folder| put(&scan("SECRETID1", 5), folder), &["--keep-ids"]);
    assert_eq!(indexed.column("patient_id"), vec!["SECRETID1"; 5]);
    assert_eq!(indexed.column("site"), vec!["SECRET HOSPITAL"; 5]);
    assert!(indexed.column("scan_id")[0].starts_with("2.25.78."));
    assert!(indexed.said.err.contains("scan 1: few slices"), "{}", indexed.said.err);
    assert!(
        !indexed.said.err.contains("SECRET") && !indexed.said.err.contains("2.25"),
        "{}",
        indexed.said.err
    );
}

#[test]
fn the_same_salt_gives_the_same_pseudonyms_and_another_others() {
    let fill = |folder: &Path| put(&scan("A", 12), folder);
    let first = index(fill, &[]);
    let pseudonym = first.column("patient_id")[0].clone();
    again(&first.shop, &[]);
    assert_eq!(first.column("patient_id")[0], pseudonym);
    let other = first.shop.path("other-salt");
    again(&first.shop, &["--salt", other.to_str().unwrap()]);
    assert_ne!(first.column("patient_id")[0], pseudonym);
}

#[test]
fn labels_and_selections_stand_in_the_table() {
    let shop = Workshop::new("");
    put(&scan("A", 11), &shop.path("in/a"));
    put(&scan("B", 11), &shop.path("in/b"));
    shop.write(
        "labels.csv",
        "patient,label,age,visit_date\nA,covid,61,2020-03-05\nC,cap,40,2020-03-06\n",
    );
    let labels = shop.path("labels.csv");
    let labels = ["--labels", labels.to_str().unwrap()];
    let said = again(&shop, &[&labels[..], &["--select", "position=0.2..0.8"]].concat());
    let indexed = Indexed { shop, said };
    assert_eq!(indexed.said.code, Some(0), "{}", indexed.said.err);
    assert_eq!(
        indexed.column("slice_index"),
        [["2", "3", "4", "5", "6", "7", "8"], ["2", "3", "4", "5", "6", "7", "8"]].concat()
    );
    assert_eq!(indexed.column("slices_in_scan"), vec!["11"; 14]);
    assert_eq!(indexed.column("selection"), vec!["position=0.2..0.8"; 14]);
    assert_eq!(
        indexed.column("label").iter().filter(|label| *label == "covid").count(),
        7
    );
    assert_eq!(indexed.column("age").iter().filter(|age| *age == "61").count(), 7);
    assert!(indexed.table("cohort.csv").column("visit_date").is_err());
    assert_eq!(indexed.left_out(), BTreeMap::from([("not selected".to_owned(), 8)]));
    let err = &indexed.said.err;
    assert!(
        err.contains("11 of 22 slices have no row in the labels") && err.contains("`visit_date`"),
        "{err}"
    );
    assert!(err.contains("1 of 2 patient keys of the labels have no slice"), "{err}");
    // A list by name, and labels by file.
    indexed.shop.write("list.txt", "a/000\nb/003\n");
    indexed.shop.write("files.csv", "file,infected\na/000,1\nb/003,0\n");
    let (list, files) = (indexed.shop.path("list.txt"), indexed.shop.path("files.csv"));
    let list = format!("list={}", list.display());
    let more = ["--select", &list, "--labels", files.to_str().unwrap(), "--on", "file"];
    let said = again(&indexed.shop, &more);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(indexed.column("path"), ["in/a/000", "in/b/003"]);
    assert_eq!(indexed.column("label"), ["1", "0"]);
    assert!(
        said.err.contains("100 % of `0`, 100 % of `1`, 0 % of `no label`"),
        "{}",
        said.err
    );
}

/// Each frame of an enhanced object is a slice with an address of its own; pydicom made the file.
#[test]
fn frames_of_an_enhanced_object_are_slices() {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/dicom/enhanced.dcm");
    let copy = |folder: &Path| {
        fs::copy(&made, folder.join("enhanced")).unwrap();
    };
    let indexed = index(copy, &[]);
    assert_eq!(indexed.said.code, Some(0), "{}", indexed.said.err);
    assert_eq!(
        indexed.column("path"),
        [0, 1, 2].map(|at| format!("in/enhanced#slice={at}"))
    );
    assert_eq!(indexed.column("position_mm"), ["100", "97.5", "95"]);
    assert!(
        indexed.checks()[0].starts_with("changed rescale: 3 pairs"),
        "{:?}",
        indexed.checks()
    );
    let volume = read_scan(&indexed.shop.path("in"), None, None).unwrap();
    assert_eq!(volume.voxels.dim(), (3, 8, 16));
    assert_eq!(volume.geometry.spacing, [2.5, 0.75, 0.5]);
}

#[test]
fn volumes_are_scans_of_the_patient_that_their_name_says() {
    use hounsfield::readers::{WriteOptions, write_volume};
    let shop = Workshop::new("");
    put(&scan("A", 12), &shop.path("in/dicom"));
    let volume = read_scan(&shop.path("in"), None, None).unwrap();
    write_volume(&volume, &shop.path("in/A.nii.gz"), &WriteOptions::default()).unwrap();
    let mut mask = volume.clone();
    mask.voxels.mapv_inplace(|hu| f32::from(u8::from(hu > 0.0)));
    write_volume(&mask, &shop.path("in/A_mask.nii.gz"), &WriteOptions::default()).unwrap();
    let said = again(&shop, &["--min-slices", "5"]);
    let indexed = Indexed { shop, said };
    assert_eq!(indexed.said.code, Some(0), "{}", indexed.said.err);
    assert_eq!(
        indexed.left_out(),
        BTreeMap::from([("no Hounsfield units".to_owned(), 1)])
    );
    for column in [
        "position_mm",
        "hu_mean",
        "hu_max",
        "orientation",
        "lung_fraction",
        "slice_index",
        "patient_id",
    ] {
        let cells = indexed.column(column);
        let (volume, dicom) = cells.split_at(12);
        assert_eq!(volume, dicom, "{column}");
    }
    assert_eq!(indexed.column("path")[3], "in/A.nii.gz#slice=3");
    let short = again(&indexed.shop, &["--min-slices", "13"]);
    assert_eq!(short.code, Some(2), "{}", short.err);
    assert_eq!(indexed.left_out()["few slices"], 24);
}

#[test]
fn a_study_takes_the_table_as_it_is() {
    let shop = Workshop::new(
        r#"
[cohort]
table = "cohort.csv"
path = "path"
patient = "patient_id"
scan = "scan_id"
label = "label"
site = "site"
positive = "covid"

[split]
kind = "holdout"
fractions = { train = 0.5, validation = 0.25, test = 0.25 }

[encoder]
kind = "bigbigan-resnet50"
"#,
    );
    let mut labels = "patient,label\n".to_owned();
    for patient in 0..16 {
        let name = format!("PAT{patient:04}");
        put(&scan(&name, 2), &shop.path("in").join(&name));
        labels += &format!("{name},{}\n", if patient % 2 == 0 { "covid" } else { "cap" });
    }
    shop.write("labels.csv", &labels);
    let said = again(&shop, &["--labels", shop.path("labels.csv").to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = shop.hounsfield(&["split", shop.path("study.toml").to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let cohort = read_table(&shop.artefact("cohort.parquet")).unwrap();
    assert_eq!(cohort.n_rows, 32);
    for carried in ["sha256", "position_fraction", "hu_mean", "kernel"] {
        assert!(
            cohort.column(carried).is_ok() || cohort.column(&format!("table_{carried}")).is_ok(),
            "{carried}"
        );
    }
    assert!(!said.err.contains("can't be read"), "{}", said.err);
}

#[test]
fn members_of_archives_are_rows_and_what_leads_out_of_one_is_not() {
    use std::io::Write as _;

    use hounsfield::{
        ct::{CtVolume, Geometry},
        readers::{WriteOptions, write_volume},
    };
    use ndarray::Array3;
    let indexed = index(
        |folder| {
            let mut zip = zip::ZipWriter::new(fs::File::create(folder.join("scans.zip")).unwrap());
            let options = zip::write::SimpleFileOptions::default();
            let mut add = |name: &str, bytes: &[u8]| {
                zip.start_file(name, options).unwrap();
                zip.write_all(bytes).unwrap();
            };
            for (at, file) in scan("A", 12).iter().enumerate() {
                add(&format!("x/{:02}", at * 5 % 12), &file.bytes());
            }
            let volume = CtVolume {
                voxels: Array3::from_elem((3, 8, 8), -900.0),
                geometry: Geometry::axial([5.0, 1.0, 1.0]),
            };
            let file = folder.join("C.nii.gz");
            write_volume(&volume, &file, &WriteOptions::default()).unwrap();
            add("y/C.nii.gz", &fs::read(&file).unwrap());
            fs::remove_file(&file).unwrap();
            add("x/.hidden", b"x");
            add("notes.txt", b"words");
            add("../../escaped", &scan("B", 1)[0].bytes());
            zip.finish().unwrap();
        },
        &[],
    );
    assert_eq!(indexed.said.code, Some(0), "{}", indexed.said.err);
    let paths = indexed.column("path");
    assert_eq!(paths.len(), 15);
    assert!(
        paths[..12].iter().all(|path| path.starts_with("in/scans.zip!x/")),
        "{paths:?}"
    );
    assert_eq!(paths[14], "in/scans.zip!y/C.nii.gz#slice=2");
    for path in [&paths[0], &paths[14]] {
        assert!(read_slice(&indexed.shop.path("").join(path)).is_ok(), "{path}");
    }
    let expected = [("hidden file", 1), ("no image", 1), ("refused member", 1)];
    assert_eq!(
        indexed.left_out(),
        expected.map(|(reason, n)| (reason.to_owned(), n)).into()
    );
}

#[test]
fn a_folder_without_a_slice_is_an_error_that_says_what_lies_there() {
    let indexed = index(|folder| fs::write(folder.join("readme"), "words").unwrap(), &[]);
    assert_eq!(indexed.said.code, Some(2));
    assert!(
        indexed.said.out.contains("left out: 1 no image"),
        "{}",
        indexed.said.out
    );
    assert!(
        indexed.said.err.contains("no axial CT slice in 1 file"),
        "{}",
        indexed.said.err
    );
    assert!(!indexed.shop.path("cohort.csv").exists());
    for wrong in [
        &["--select", "slice=3"][..],
        &["--on", "file"],
        &["--labels", "/none.csv"],
        &["--threads", "0"],
    ] {
        let said = again(&indexed.shop, wrong);
        assert_eq!(said.code, Some(2), "{wrong:?}: {}", said.err);
    }
    let said = indexed.shop.hounsfield(&[
        "index",
        "/no/such/folder",
        "--out",
        indexed.shop.path("c.csv").to_str().unwrap(),
    ]);
    assert_eq!(said.code, Some(2), "{}", said.err);
}

#[test]
fn a_stop_leaves_an_error() {
    let folder = tempfile::tempdir().unwrap();
    put(&scan("A", 3), folder.path());
    let plan = IndexPlan {
        roots: vec![folder.path().to_owned()],
        ..IndexPlan::default()
    };
    let stopped = Index::of(&plan, &Progress::hidden(), &true.into());
    assert!(matches!(stopped, Err(IndexError::Interrupted)));
}

#[test]
fn damaged_files_are_left_out_and_the_rest_is_read() {
    let indexed = index(
        |folder| {
            put(&scan("A", 12), &folder.join("a"));
            let bytes = scan("B", 1)[0].bytes();
            for at in 0..60 {
                let mut damaged = bytes.clone();
                let place = 132 + at * (bytes.len() - 132) / 60;
                match at % 3 {
                    0 => damaged.truncate(place),
                    1 => damaged[place] ^= 0xff,
                    _ => drop(damaged.splice(place..place, [0xff; 7])),
                }
                fs::write(folder.join(format!("damaged-{at:02}")), damaged).unwrap();
            }
        },
        &[],
    );
    assert!(matches!(indexed.said.code, Some(0 | 1)), "{}", indexed.said.err);
    assert!(!indexed.said.err.contains("panicked"), "{}", indexed.said.err);
    let n = indexed.table("cohort.csv").n_rows + indexed.table("cohort.left-out.csv").n_rows;
    assert_eq!(n, 72, "each file is a row of one table");
}

#[test]
fn a_series_is_a_volume_from_the_feet_up() {
    let folder = tempfile::tempdir().unwrap();
    let files = scan("A", 12);
    put(&files, folder.path());
    let volume = read_scan(folder.path(), None, None).unwrap();
    assert_eq!(volume.voxels.dim(), (12, 16, 16));
    assert_eq!(volume.geometry.origin, [-100.0, -120.0, 0.0]);
    assert_eq!(volume.geometry.spacing, [2.0, 0.7, 0.7]);
    // The first value of the body's first row rises by one from slice to slice.
    let first = volume.voxels[[0, 3, 3]];
    assert!((0..12).all(|at| volume.voxels[[at, 3, 3]] == first + at as f32));

    put(&scan("B", 11), &folder.path().join("b"));
    let error = read_scan(folder.path(), None, None).unwrap_err().to_string();
    assert!(
        error.starts_with("2 scans were found (with 12, 11 slices), name one of 0 to 1"),
        "{error}"
    );
    assert_eq!(read_scan(folder.path(), Some(1), None).unwrap().voxels.dim().0, 11);
    assert!(read_scan(folder.path(), Some(2), None).is_err());

    let gap = tempfile::tempdir().unwrap();
    put(&[&files[..3], &files[4..]].concat(), gap.path());
    let error = read_scan(gap.path(), None, None).unwrap_err().to_string();
    assert!(
        error.starts_with("the slices make no volume (1 slice missing"),
        "{error}"
    );

    let silent = tempfile::tempdir().unwrap();
    let files: Vec<CtFile> = files
        .into_iter()
        .map(|file| file.without(tags::RESCALE_INTERCEPT))
        .collect();
    put(&files, silent.path());
    assert!(read_scan(silent.path(), None, None).is_err());
    let rescale = Rescale {
        slope: 1.0,
        intercept: -1024.0,
    };
    let stated = read_scan(silent.path(), None, Some(rescale)).unwrap();
    assert_eq!(stated.voxels, volume.voxels);
}

/// Expected: `slices.csv`, which its makers computed with pydicom; every twelfth slice of each scan is there.
#[test]
fn three_real_scans_lie_from_head_to_foot_with_their_means_and_labels() {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA") else {
        eprintln!("skipped: HOUNSFIELD_DATA is not set");
        return;
    };
    let data = PathBuf::from(data).join("covid-ct-md");
    let shop = Workshop::new("");
    let out = shop.path("cohort.csv");
    let (folder, slices) = (data.join("dicom"), data.join("slices.csv"));
    let said = shop.hounsfield(&[
        "index",
        folder.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--labels",
        slices.to_str().unwrap(),
        "--on",
        "file=dicom",
        "--label-column",
        "infected",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("40 slices of 3 scans of 3 patients"), "{}", said.out);
    let truth = read_table(&slices).unwrap();
    let keys = cells(&truth, "dicom");
    let column = |name: &str| cells(&truth, name);
    let (heads, heights, means, infected) = (
        column("k_from_head"),
        column("z"),
        column("hu_mean"),
        column("infected"),
    );
    let indexed = Indexed { shop, said };
    let mut last = (String::new(), -1.0);
    let rows = indexed
        .column("path")
        .into_iter()
        .zip(indexed.column("scan_id"))
        .enumerate();
    for (row, (path, scan)) in rows {
        let at = keys
            .iter()
            .position(|key| !key.is_empty() && path.ends_with(key.as_str()))
            .unwrap();
        let head: f64 = heads[at].parse().unwrap();
        assert!(scan != last.0 || head > last.1, "row {row}");
        last = (scan, head);
        let near = |name: &str, expected: &str, tolerance: f64| {
            let found: f64 = indexed.column(name)[row].parse().unwrap();
            let expected: f64 = expected.parse().unwrap();
            assert!(
                (found - expected).abs() <= tolerance,
                "{name} of row {row}: {found} and not {expected}"
            );
        };
        near("position_mm", &heights[at], 1e-3);
        near("hu_mean", &means[at], 1e-4);
        assert_eq!(indexed.column("label")[row], infected[at]);
    }
}
