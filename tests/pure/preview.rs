//! `hounsfield preview` as a user runs it: tables and recipes, several windows, what can't be read, and no patient named.

use std::path::Path;

use hounsfield::{
    cohort::synthetic::SyntheticCohort,
    ct::{body_box, lung_fraction},
    progress::Progress,
    readers::{read_slice, read_volume},
    tables::read_table,
};

use crate::command::{Workshop, read};

const WINDOWS: &str = "preprocess.windows=[\"lung\", \"mediastinum\", \"wide\"]";

/// A workshop with phantoms of 8 patients from two sites.
fn workshop() -> Workshop {
    let shop = Workshop::new("");
    let cohort = SyntheticCohort {
        patients_per_site: 4,
        slices_per_patient: 2,
        size: 64,
        seed: 3,
    };
    std::fs::create_dir_all(shop.path("cohort")).unwrap();
    cohort.write(&shop.path("cohort"), &Progress::hidden()).unwrap();
    shop
}

fn preview(shop: &Workshop, source: &str, out: &str, more: &[&str]) -> crate::command::Said {
    let (source, out) = (shop.path(source), shop.path(out));
    let arguments = ["preview", source.to_str().unwrap(), "--out", out.to_str().unwrap()];
    shop.hounsfield(&[&arguments, more].concat())
}

/// Everything that a preview wrote that is text.
fn texts(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension != "png"));
    texts.map(|path| read(&path)).collect()
}

#[test]
fn a_table_is_shown_site_by_site_and_no_patient_is_named() {
    let shop = workshop();
    let said = preview(
        &shop,
        "cohort/cohort.csv",
        "out",
        &["--per-site", "3", "--set", WINDOWS, "--set", "preprocess.crop=body"],
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    let slices = read_table(&shop.path("out/slices.csv")).unwrap();
    assert_eq!(slices.n_rows, 6);
    let patients: std::collections::BTreeSet<_> = slices.column("patient_id").unwrap().iter().collect();
    assert_eq!(patients.len(), 6, "as many patients as can be");
    let page = read(&shop.path("out/preview.html"));
    for words in [
        "Slices of site-a",
        "Slices of site-b",
        "mediastinum (-160 to 240 HU)",
        "&quot;crop&quot;:&quot;body&quot;",
        "images of patients",
    ] {
        assert!(page.contains(words), "{words}");
    }
    for markup in ["<script", "http://", "https://", "url("] {
        assert!(!page.contains(markup), "{markup}");
    }
    // One sheet a site, of four pictures a line: before, and three planes.
    for site in ["site-1.png", "site-2.png"] {
        let sheet = image::open(shop.path("out").join(site)).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (2 + 4 * 258, 2 + 3 * 258));
    }
    let cohort = read_table(&shop.path("cohort/cohort.csv")).unwrap();
    let all = texts(&shop.path("out")) + &said.err;
    for column in ["patient", "file", "scan"] {
        for name in cohort.column(column).unwrap().iter().flatten() {
            assert!(!all.contains(name.as_str()), "{name} of column {column}");
        }
    }
    // The same draw is the same page, another seed another.
    let again = |out: &str, seed: &str| {
        let set = [
            "--per-site",
            "3",
            "--set",
            WINDOWS,
            "--set",
            "preprocess.crop=body",
            "--seed",
            seed,
        ];
        assert_eq!(preview(&shop, "cohort/cohort.csv", out, &set).code, Some(0));
        read(&shop.path(out).join("preview.html"))
    };
    assert!(again("again", "0") == page && again("other", "1") != page);
}

#[test]
fn recipes_of_studies_and_of_trainings_say_what_is_shown() {
    let shop = workshop();
    let cohort = "[cohort]\ntable = \"cohort/cohort.csv\"\npath = \"file\"\npatient = \"patient\"\nsite = \"site\"\n\
                  [preprocess]\nkind = \"standard\"\nwindow = \"mediastinum\"\n\
                  [encoder]\nkind = \"bigbigan-resnet-tiny\"\ninput_size = 32\n";
    shop.write("study.toml", cohort);
    shop.write(
        "training.toml",
        &format!("{cohort}[method]\nkind = \"lejepa\"\n[train]\nsteps = 1\nbatch = 2\n"),
    );
    for recipe in ["study.toml", "training.toml"] {
        let said = preview(&shop, recipe, "out", &["--per-site", "2"]);
        assert_eq!(said.code, Some(0), "{recipe}: {}", said.err);
        let page = read(&shop.path("out/preview.html"));
        assert!(page.contains("32 x 32 pixels enter the encoder"), "{recipe}");
        assert!(page.contains("67b154959d815cb2a77608256052679431dc7c9aa4360eb7dca757a4020df37f"));
    }
    let said = preview(&shop, "study.toml", "out", &["--set", "preprocess.window=lungs"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("mediastinum"), "{}", said.err);
}

#[test]
fn what_cannot_be_read_or_prepared_is_counted_without_its_path() {
    let shop = Workshop::new("");
    for name in ["secret-one", "secret-two"] {
        let picture = image::GrayImage::from_fn(40, 30, |x, y| image::Luma([(x * 3 + y) as u8]));
        picture.save(shop.path(&format!("{name}.png"))).unwrap();
    }
    shop.write("secret-three.dcm", "no image");
    shop.write(
        "table.csv",
        "path,patient,site\nsecret-one.png,a,pictures\nsecret-two.png,b,pictures\nsecret-three.dcm,c,broken\n\
         secret-four.dcm,d,broken\n",
    );
    let said = preview(&shop, "table.csv", "out", &["--set", WINDOWS]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    let all = texts(&shop.path("out")) + &said.err;
    assert!(!all.contains("secret"), "{all}");
    assert!(all.contains("name one window"), "{all}");
    assert!(all.contains("4 slices could not be read or prepared"), "{all}");
    assert!(
        said.err.contains("row 3: ") && said.err.contains("row 4: "),
        "{}",
        said.err
    );

    let fewer = "path,patient\nsecret-three.dcm,c\n";
    shop.write("none.csv", fewer);
    let said = preview(&shop, "none.csv", "none", &[]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("none of 1 slices could be read") && !said.err.contains("secret"));
    assert!(!shop.path("none").exists());
}

#[test]
fn a_table_without_patients_or_slices_is_refused_with_a_way_out() {
    let shop = workshop();
    shop.write("table.csv", "path,who\nx.dcm,a\n");
    let said = preview(&shop, "table.csv", "out", &[]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--set cohort.patient=COLUMN"), "{}", said.err);
    let said = preview(&shop, "cohort/cohort.csv", "out", &["--set", "split.k=5"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("unknown field `split`"), "{}", said.err);
    let said = preview(&shop, "cohort/cohort.csv", "out", &["--per-site", "0"]);
    assert!(
        said.code == Some(2) && said.err.contains("`per-site` is 0"),
        "{}",
        said.err
    );
    assert!(!shop.path("out").exists());
}

/// Of every phantom a good part of the body is lung, whatever the site's noise; the table below it is not the body.
#[test]
fn phantoms_have_lungs_and_the_table_is_not_their_body() {
    let shop = Workshop::new("");
    let cohort = SyntheticCohort {
        patients_per_site: 2,
        slices_per_patient: 2,
        size: 192,
        seed: 8,
    };
    let written = cohort.write(&shop.path(""), &Progress::hidden()).unwrap();
    let table = read_table(&written.table).unwrap();
    for file in table.column("file").unwrap().iter().flatten() {
        let slice = read_slice(&shop.path(file)).unwrap();
        let hounsfield::ct::Pixels::Hu(hu) = &slice.pixels else {
            panic!("phantoms have HU");
        };
        let lung = lung_fraction(hu.view());
        assert!((0.1..0.6).contains(&lung), "{lung}");
        let [rows, columns] = body_box(hu.view()).unwrap();
        assert!(rows.end < 170 && columns.len() > 96, "{rows:?} {columns:?}");
    }
}

/// Three real patients from head to feet: no lung at the ends, most of it between, and no jumps from slice to slice, which a
/// mattress or a stomach that came and went would make.
#[test]
fn lungs_of_patients_begin_and_end_within_the_scan() {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA").filter(|data| !data.is_empty()) else {
        eprintln!("skipped: HOUNSFIELD_DATA is not set");
        return;
    };
    let volumes = Path::new(&data).join("covid-ct-md/volumes");
    for (patient, most) in [("P001", 0.46), ("cap001", 0.61), ("normal001", 0.27)] {
        let volume = read_volume(&volumes.join(format!("{patient}.nii.gz"))).unwrap().axial();
        let lung: Vec<f32> = volume.voxels.outer_iter().map(lung_fraction).collect();
        let n = lung.len();
        for end in [&lung[..3], &lung[n - 3..]] {
            assert!(end.iter().all(|share| *share < 0.03), "{patient}: {end:?} at an end");
        }
        let largest = lung.iter().copied().fold(0.0, f32::max);
        assert!((largest - most).abs() < 0.02, "{patient}: {largest}");
        let middle = &lung[n / 4..n / 2];
        assert!(middle.iter().all(|share| *share > 0.15), "{patient}: {middle:?}");
        let jump = lung
            .windows(2)
            .map(|pair| (pair[0] - pair[1]).abs())
            .fold(0.0, f32::max);
        assert!(jump < 0.08, "{patient}: {jump} between two slices");
    }
}

/// A recipe of a training of whole scans.
const SCANS: &str = r#"
split = { kind = "holdout" }
network = { kind = "pu-a" }
augment = "pu2020"

[cohort]
table = "scans/scans.csv"
path = "path"
patient = "patient_id"
scan = "scan_id"
label = "label"
positive = "coarse"
site = "site"

[input]
size = [32, 32, 32]
spacing = 10.0
"#;

#[test]
fn a_training_of_scans_is_shown_as_augmentation_changes_them() {
    let shop = Workshop::new("");
    shop.write("scans.toml", SCANS);
    let made = shop.path("scans");
    let arguments = [
        "phantoms",
        "--scans",
        "--patients",
        "4",
        "--size",
        "32",
        "--spacing",
        "10",
        "--out",
    ];
    let said = shop.hounsfield(&[&arguments[..], &[made.to_str().unwrap()]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = preview(&shop, "scans.toml", "out", &["--per-site", "3"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let sheet = image::open(shop.path("out/augmentation.png")).unwrap();
    let list = read_table(&shop.path("out/scans.csv")).unwrap();
    assert_eq!(
        (sheet.width(), sheet.height()),
        (2 + 13 * 130, 2 + list.n_rows as u32 * 130)
    );
    let cohort = read_table(&made.join("scans.csv")).unwrap();
    let all = texts(&shop.path("out")) + &said.err;
    for name in cohort.column("patient_id").unwrap().iter().flatten() {
        assert!(!all.contains(name.as_str()), "{name}");
    }

    // One that can't be read is left out and counted; without any there is no sheet.
    let files = cohort.column("path").unwrap();
    std::fs::write(made.join(files[0].as_ref().unwrap()), "no scan").unwrap();
    let said = preview(&shop, "scans.toml", "fewer", &["--per-site", "100"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("scan 1 of the table is left out"), "{}", said.err);
    assert_eq!(
        read_table(&shop.path("fewer/scans.csv")).unwrap().n_rows,
        cohort.n_rows - 1
    );
    let said = preview(&shop, "scans.toml", "none", &["--per-site", "0"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("--per-site is 0"), "{}", said.err);
    assert!(!shop.path("none").exists());
}
