//! Whole scans of patients: three volumes through `hounsfield predict-volume`, by a network that was never trained.

use std::{ffi::OsStr, fs};

use hounsfield::{
    baseline::BaselineConfig,
    card::{ClassifierCard, EncoderCard, Training},
    readers::read_volume,
    tables::read_table,
    torch::{baselines, weights},
    transforms::ScanInput,
};

use crate::{data, study::Study};

const WEIGHTS: &str = "weights.safetensors";

#[test]
fn three_volumes_are_scored_and_drawn() {
    let Some(data) = data("covid-ct-md") else { return };
    let study = Study::new("");
    let (model, maps) = (study.folder().join("model"), study.folder().join("maps"));
    fs::create_dir(&model).unwrap();
    let network: BaselineConfig = toml::from_str("kind = 'pu-a'\nfilters = [4, 8, 8]\nfully_connected = [8]").unwrap();
    let input = ScanInput {
        size: [48; 3],
        spacing: 8.0,
        ..ScanInput::default()
    };
    let tensors = baselines::random(&network, input.size, 0).unwrap();
    weights::save(&tensors, &model.join(WEIGHTS)).unwrap();
    let card = ClassifierCard {
        schema: ClassifierCard::SCHEMA,
        name: "untrained".to_owned(),
        description: "a network with random weights".to_owned(),
        licence: "CC0-1.0".to_owned(),
        positive: "covid".to_owned(),
        negative: None,
        weights: WEIGHTS.into(),
        sha256: EncoderCard::hashes(&model, &[WEIGHTS]).unwrap(),
        threshold: None,
        not_converged: Some("it was never trained".to_owned()),
        network,
        input,
        training: Training {
            method: "pu-a".to_owned(),
            data: "none".to_owned(),
            seed: 0,
            steps: 0,
            images: 0,
            batch_norm: "as they were drawn".to_owned(),
            recipe_sha256: "none".to_owned(),
            hounsfield: "0.1.0".to_owned(),
            libtorch: "2.13.0".to_owned(),
            started_from: None,
        },
    };
    card.write(&model).unwrap();
    let (table, out) = (data.join("volumes.csv"), study.folder().join("scores.csv"));
    let salt = study.folder().join("salt");
    let arguments: [&OsStr; 15] = [
        "predict-volume".as_ref(),
        model.as_ref(),
        table.as_ref(),
        "--path".as_ref(),
        "file".as_ref(),
        "--label".as_ref(),
        "cls".as_ref(),
        "--salt".as_ref(),
        salt.as_ref(),
        "--out".as_ref(),
        out.as_ref(),
        "--maps".as_ref(),
        maps.as_ref(),
        "--nifti".as_ref(),
        "--quiet".as_ref(),
    ];
    study.hounsfield(&arguments, &[0]);

    let scores = read_table(&out).unwrap();
    assert_eq!(scores.n_rows, 3);
    for score in scores.column("untrained").unwrap() {
        let score: f64 = score.as_ref().unwrap().parse().unwrap();
        assert!(score > 0.0 && score < 1.0, "{score}");
    }
    for row in 1..=3 {
        let picture = image::open(maps.join(format!("row-000{row}-grad-cam.png")))
            .unwrap()
            .into_rgb8();
        let is_coloured = |pixel: &image::Rgb<u8>| pixel.0[0].abs_diff(pixel.0[2]) > 30;
        assert!(picture.pixels().any(is_coloured), "no heat over scan {row}");
        let scan = read_volume(&maps.join(format!("row-000{row}-scan.nii.gz"))).unwrap();
        assert_eq!((scan.size(), scan.geometry.spacing), ([48; 3], [8.0; 3]));
        // A chest: air around it, lungs in it, and tissue.
        let share = |range: std::ops::Range<f32>| {
            let within = scan.voxels.iter().filter(|hu| range.contains(hu)).count();
            within as f64 / scan.voxels.len() as f64
        };
        assert!(
            share(-950.0..-600.0) > 0.01 && share(-100.0..200.0) > 0.05,
            "scan {row}"
        );
    }
    let page = fs::read_to_string(maps.join("index.html")).unwrap();
    assert!(page.contains("NOT CONVERGED: it was never trained") && page.contains("even odds"));
    assert!(!page.contains("P001") && !page.contains("cap001"), "a patient is named");
}
