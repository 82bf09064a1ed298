//! From DICOM files to a report, by the command line and by the library: resumed, skipped, with files that can't be read.

use std::{
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use hounsfield::{
    Study,
    card::EncoderCard,
    cohort::synthetic::SyntheticCohort,
    encoder::{Layer, Weights},
    features::{read_features, write_features},
    progress::Progress,
    readers::read_slice,
    study::{ExtractOptions, StudyError, StudyRun},
    tables::read_table,
    torch::{encoders::InferenceEncoder, weights},
    transforms::Preprocess,
};
use tch::{Device, Tensor};

use crate::{command::Workshop, support::tiny_resnet};

const RECIPE: &str = r#"
[cohort]
table = "cohort/cohort.csv"
path = "file"
patient = "patient"
scan = "scan"
label = "label"
positive = "ground-glass"
site = "site"
[split]
kind = "holdout"
external = ["site-b"]
fractions = { train = 0.5, validation = 0.25, test = 0.25 }
[encoder]
kind = "bigbigan-resnet-tiny"
weights = "random"
[features]
layers = ["z_mean", "bn_crelu_feat"]
[probe]
features = ["z_mean", "bn_crelu_feat"]
heads = ["logistic", "knn"]
bootstrap = { resamples = 200 }
"#;

pub fn workshop() -> Workshop {
    let shop = Workshop::new(RECIPE);
    let cohort = SyntheticCohort {
        patients_per_site: 16,
        slices_per_patient: 2,
        size: 64,
        ..SyntheticCohort::default()
    };
    std::fs::create_dir(shop.path("cohort")).unwrap();
    cohort.write(&shop.path("cohort"), &Progress::hidden()).unwrap();
    shop
}

#[test]
fn slices_become_a_report_that_names_its_encoder_untrained_and_no_patient() {
    let shop = workshop();
    let said = shop.run(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for output in [
        &said.out,
        &shop.text("report.html"),
        &shop.text("results.json"),
        &shop.text("report.md"),
    ] {
        assert!(output.contains("UNTRAINED ENCODER"), "{output}");
    }
    let z = read_features(&shop.artefact("features/z_mean.parquet")).unwrap();
    let n = read_table(&shop.path("cohort/cohort.csv")).unwrap().n_rows;
    assert_eq!(z.values.dim(), (n, 12));
    assert!(z.provenance.untrained && z.provenance.pseudonyms && z.provenance.weights == "random(0)");
    assert!(z.rows.split.iter().flatten().any(|set| set == "external:site-b"));
    for name in [
        "split.csv",
        "results.json",
        "report.html",
        "report.md",
        "failures.csv",
        "study.json",
    ] {
        assert!(!shop.text(name).contains("SYN-"), "{name} names a patient");
    }
    let bytes = std::fs::read(shop.artefact("features/z_mean.parquet")).unwrap();
    assert!(
        !bytes.windows(4).any(|window| window == b"SYN-"),
        "the features name a patient"
    );

    let again = shop.run(&[]);
    assert_eq!(again.err.matches("up to date").count(), 6, "{}", again.err);
    assert_eq!(said.out, again.out);

    // Another split leaves the values as they are and only changes the column.
    let other = shop.run(&[
        "--set",
        "seed=0",
        "--set",
        "split.fractions={train=0.5, validation=0.0, test=0.5}",
    ]);
    assert_eq!(other.code, Some(0), "{}", other.err);
    assert!(
        other.err.contains("only the other columns were written again"),
        "{}",
        other.err
    );
    let resplit = read_features(&shop.artefact("features/z_mean.parquet")).unwrap();
    assert_eq!(resplit.values, z.values);
    assert_ne!(resplit.rows.split, z.rows.split);

    // A table that was changed by hand, or is of another recipe, is never taken for an up-to-date one.
    let path = shop.artefact("features/z_mean.parquet");
    let mut forged = resplit;
    forged.values[[0, 0]] = 42.0;
    write_features(&path, &forged).unwrap();
    let mended = shop.run(&["--set", "split.fractions={train=0.5, validation=0.25, test=0.25}"]);
    assert_eq!(mended.code, Some(0), "{}", mended.err);
    assert_eq!(read_features(&path).unwrap().values, z.values);
    let wide = shop.run(&["--set", "preprocess={kind=\"standard\", window=\"wide\"}"]);
    assert_eq!(wide.code, Some(0), "{}", wide.err);
    assert_ne!(read_features(&path).unwrap().values, z.values);

    // Marks survive a way out and back in.
    let out = shop.path("z.csv");
    let back = shop.path("back.parquet");
    let (path, out, back) = (path.to_str().unwrap(), out.to_str().unwrap(), back.to_str().unwrap());
    assert_eq!(
        shop.hounsfield(&["features", "export", path, "--out", out]).code,
        Some(0)
    );
    let said = shop.hounsfield(&[
        "features",
        "import",
        out,
        "--patient",
        "patient_id",
        "--label",
        "label",
        "--id",
        "slice_id",
        "--out",
        back,
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(read_features(std::path::Path::new(back)).unwrap().provenance.untrained);
}

#[test]
fn files_that_cannot_be_read_are_listed_and_the_rest_goes_on() {
    let shop = workshop();
    let table = shop.path("cohort/cohort.csv");
    let cohort = read_table(&table).unwrap();
    let file = |row: usize| {
        shop.path("cohort")
            .join(cohort.column("file").unwrap()[row].as_deref().unwrap())
    };
    let whole = std::fs::read(file(3)).unwrap();
    std::fs::write(file(3), &whole[..whole.len() / 2]).unwrap();
    std::fs::remove_file(file(7)).unwrap();
    let said = shop.run(&[]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    let failures = read_table(&shop.artefact("failures.csv")).unwrap();
    assert_eq!(
        failures.column("row").unwrap(),
        [Some("4".to_owned()), Some("8".to_owned())]
    );
    for reason in failures.column("reason").unwrap().iter().flatten() {
        assert!(!reason.contains("cohort") && !reason.contains("SYN"), "{reason}");
    }
    let kept = read_features(&shop.artefact("features/z_mean.parquet")).unwrap();
    assert_eq!(kept.rows.len(), cohort.n_rows - 2);
    assert!(said.out.contains("2 of 80 slices could not be read"), "{}", said.out);

    // Skipped or not, the run says by its exit code that something is missing.
    assert_eq!(shop.run(&[]).code, Some(1));
    let stopped = shop.run(&[
        "--fail-first",
        "--set",
        "preprocess={kind=\"standard\", window=\"wide\"}",
    ]);
    assert_eq!(stopped.code, Some(2));
    assert!(stopped.err.contains("row 4 of the cohort failed"), "{}", stopped.err);
}

#[test]
fn an_interrupted_extraction_goes_on_and_ends_with_the_same_table() {
    let shop = workshop();
    let table = |folder: &str| std::fs::read(shop.path(folder).join("features/z_mean.parquet")).unwrap();
    let open = |folder: &str| {
        let mut study = Study::load(&shop.path("study.toml"), &[]).unwrap();
        study.cohort.salt = Some(shop.path("salt"));
        StudyRun::open(study, "study", &shop.path(folder)).unwrap()
    };
    let extract = |folder: &str, options: &ExtractOptions| {
        let mut run = open(folder);
        let cohort = run.cohort().unwrap();
        run.features(&cohort, None, options).map(|failures| failures.len())
    };
    assert_eq!(extract("whole", &ExtractOptions::default()).unwrap(), 0);

    let mut interruptions = 0;
    for delay in (0..40).map(|step| Duration::from_millis(5 * step)) {
        let options = ExtractOptions {
            batch_size: 2,
            ..ExtractOptions::default()
        };
        let stop = options.stop.clone();
        let started = Instant::now();
        let stopper = std::thread::spawn(move || {
            while started.elapsed() < delay {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
        });
        let ended = extract("cut", &options);
        stopper.join().unwrap();
        match ended {
            Err(StudyError::Interrupted { done, rows }) => {
                assert!(done < rows && rows == 80, "{done} of {rows}");
                interruptions += 1;
            }
            other => {
                assert_eq!(other.unwrap(), 0);
                break;
            }
        }
    }
    assert!(interruptions > 0, "nothing was interrupted");
    assert_eq!(extract("cut", &ExtractOptions::default()).unwrap(), 0);
    let (whole, cut) = (
        shop.path("whole/features/z_mean.parquet"),
        shop.path("cut/features/z_mean.parquet"),
    );
    let (whole_table, cut_table) = (read_features(&whole).unwrap(), read_features(&cut).unwrap());
    assert_eq!(whole_table.rows, cut_table.rows);
    for (a, b) in whole_table.values.iter().zip(&cut_table.values) {
        assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{a} in one go, {b} in pieces");
    }
    assert!(!shop.path("cut/features/.parts").exists());
    assert_eq!(table("whole").len(), std::fs::metadata(&whole).unwrap().len() as usize);
}

/// The same image under two patients, at two sites.
#[test]
fn one_image_under_two_patients_stops_the_run_where_it_crosses_sets() {
    let shop = workshop();
    let path = shop.path("cohort/cohort.csv");
    let cohort = read_table(&path).unwrap();
    let column = |name: &str| cohort.column(name).unwrap();
    let at_site = |site: &str| {
        column("site")
            .iter()
            .position(|cell| cell.as_deref() == Some(site))
            .unwrap()
    };
    let image = |row: usize| shop.path("cohort").join(column("file")[row].as_deref().unwrap());
    std::fs::copy(image(at_site("site-a")), image(at_site("site-b"))).unwrap();
    let said = shop.run(&[]);
    assert_eq!(said.code, Some(2), "{}", said.out);
    assert!(
        said.err.contains("1 images stand in two sets, byte for byte"),
        "{}",
        said.err
    );
    assert!(!Path::new(&shop.artefact("features")).exists());

    let leaky = shop.run(&["--set", "split.unit=slice"]);
    assert_eq!(leaky.code, Some(0), "{}", leaky.err);
    assert!(
        leaky.out.contains("LEAKAGE") && leaky.out.contains("under two patients"),
        "{}",
        leaky.out
    );
}

/// The weights were drawn and saved, so that the card's features must be those of the same seed without a card.
#[test]
fn a_study_runs_from_a_card_and_names_it_on_the_way() {
    const BY_CARD: &str = "encoder={kind=\"card\", path=\"encoder\"}";
    let layer = [
        "--set",
        "features.layers=[\"z_mean\"]",
        "--set",
        "probe.features=\"z_mean\"",
    ];
    let shop = workshop();
    let folder = shop.path("encoder");
    std::fs::create_dir(&folder).unwrap();
    let mut encoder = tiny_resnet();
    let drawn = weights::random(&encoder, 0).unwrap();
    let sha256 = weights::save(&drawn, &folder.join("weights.safetensors")).unwrap();
    *encoder.weights_mut() = Weights::File("weights.safetensors".into());
    let card = EncoderCard {
        schema: EncoderCard::SCHEMA,
        name: "drawn".to_owned(),
        description: "never trained".to_owned(),
        licence: "CC0-1.0".to_owned(),
        source: "a test".to_owned(),
        obtain: None,
        layers: EncoderCard::widths(&encoder, &[Layer::ZMean]),
        sha256: EncoderCard::hashes(&folder, &["weights.safetensors"]).unwrap(),
        encoder,
        preprocess: Preprocess::default(),
        training: None,
        generator: None,
        conversion: None,
    };
    assert_eq!(card.sha256["weights.safetensors"], sha256);
    card.write(&folder).unwrap();

    let table = || read_features(&shop.artefact("features/z_mean.parquet")).unwrap();
    let said = shop.run(&layer);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let without = table();
    let said = shop.run(&[&layer[..], &["--set", BY_CARD]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let with = table();
    assert_eq!(with.values, without.values);
    assert_eq!(with.provenance.encoder, without.provenance.encoder);
    assert_eq!(
        (with.provenance.weights.as_str(), without.provenance.card.as_str()),
        (sha256.as_str(), "")
    );
    assert!(
        with.provenance.card.starts_with("drawn (card of SHA-256 "),
        "{}",
        with.provenance.card
    );
    for output in ["report.html", "results.json", "report.md", "run.lock.toml"] {
        assert!(shop.text(output).contains("drawn"), "{output} does not name the card");
    }
    assert!(shop.text("run.lock.toml").contains("weights.safetensors"));

    // The same values under another name are not encoded again, but say the new name.
    let renamed = EncoderCard {
        name: "renamed".to_owned(),
        ..card
    };
    renamed.write(&folder).unwrap();
    let said = shop.run(&[&layer[..], &["--set", BY_CARD]].concat());
    assert!(
        said.err.contains("only the other columns were written again"),
        "{}",
        said.err
    );
    assert!(
        table().provenance.card.starts_with("renamed"),
        "{}",
        table().provenance.card
    );

    let other = [
        "--set",
        "preprocess={kind=\"standard\", window=\"wide\"}",
        "--set",
        "encoder={kind=\"card\", path=\"encoder\", other_preprocess=true}",
    ];
    let said = shop.run(&[&layer[..], &other].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(table().provenance.watermarks.len(), 1);
    for output in [
        &said.out,
        &shop.text("report.html"),
        &shop.text("results.json"),
        &shop.text("report.md"),
    ] {
        assert!(output.contains("preprocessing other than"), "{output}");
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    if tch::Cuda::is_available() {
        eprintln!("skipped: there is CUDA");
        return;
    }
    let shop = workshop();
    let said = shop.run(&["--device", "cuda"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("no CUDA"), "{}", said.err);
    assert_eq!(shop.hounsfield(&["doctor", "--device", "cuda"]).code, Some(2));
    let doctor = shop.hounsfield(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{}{}", doctor.out, doctor.err);
    assert!(
        doctor.out.contains("libtorch") && doctor.out.contains("JPEG"),
        "{}",
        doctor.out
    );
}

/// Three windows through a whole study: its features are those of the planes stacked by hand, say their preprocessing, and are
/// none of a grey slice.
#[test]
fn a_study_in_three_windows_has_the_features_of_the_planes_stacked_by_hand() {
    let shop = workshop();
    let layer = [
        "--set",
        "features.layers=[\"z_mean\"]",
        "--set",
        "probe.features=z_mean",
    ];
    let table = || read_features(&shop.artefact("features/z_mean.parquet")).unwrap();
    let said = shop.run(&layer);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let grey = table();
    let windows = "preprocess={ kind = \"standard\", windows = [\"lung\", \"mediastinum\", \"wide\"] }";
    let said = shop.run(&[&layer[..], &["--set", windows]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let found = table();
    assert_ne!(found.values, grey.values);
    assert_ne!(found.provenance.preprocess_sha256, grey.provenance.preprocess_sha256);
    assert!(found.provenance.preprocess.contains("\"windows\":[{"));

    let cohort = read_table(&shop.path("cohort/cohort.csv")).unwrap();
    let files = cohort.column("file").unwrap();
    let encoder = InferenceEncoder::open(&tiny_resnet(), 0, Device::Cpu).unwrap();
    let mut pixels = Vec::new();
    for file in files.iter().flatten().take(16) {
        let slice = read_slice(&shop.path("cohort").join(file)).unwrap();
        for window in ["lung", "mediastinum", "wide"] {
            let alone: Preprocess = toml::from_str(&format!("kind = 'standard'\nwindow = '{window}'")).unwrap();
            pixels.extend(alone.apply(&slice, 64).unwrap());
        }
    }
    let batch = Tensor::from_slice(&pixels).reshape([16, 3, 64, 64]);
    let z_mean = encoder.encode(&batch, &[Layer::ZMean], None).unwrap().swap_remove(0);
    let expected = Vec::<f32>::try_from(z_mean.flatten(0, -1)).unwrap();
    let scale = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    for (at, (found, expected)) in found.values.iter().zip(&expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-5 * scale,
            "value {at}: {found}, by hand {expected}"
        );
    }
}
