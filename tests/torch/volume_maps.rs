//! Scores of whole scans, Grad-CAM and occlusion maps against PyTorch, and `hounsfield predict-volume`.

use std::{collections::BTreeMap, path::Path, sync::atomic::AtomicBool};

use hounsfield::{
    baseline::BaselineConfig,
    card::{ClassifierCard, EncoderCard, Training},
    cohort::{CohortPlan, Columns},
    ct::{CtVolume, Geometry, Pseudonymizer},
    method::Precision,
    progress::Progress,
    readers::{WriteOptions, read_volume, write_volume},
    scans::{CachedScan, Scans},
    tables::read_table,
    torch::{baselines, scorer::VolumeScorer, weights},
    transforms::ScanInput,
    volumes::maps::{self, Looked, MapsPlan},
};
use ndarray::{Array3, s};
use tch::{Device, Tensor};

use crate::{
    command::{Said, Workshop},
    support::oracle,
};

fn network(text: &str) -> BaselineConfig {
    toml::from_str(text).unwrap()
}

fn array(tensor: &Tensor) -> Array3<f32> {
    let size: Vec<usize> = tensor.size().iter().map(|n| *n as usize).collect();
    let values = Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
    Array3::from_shape_vec([size[0], size[1], size[2]], values).unwrap()
}

fn difference(found: &Array3<f32>, expected: &Tensor) -> f32 {
    let expected = array(expected);
    assert_eq!(found.dim(), expected.dim());
    (found - &expected)
        .iter()
        .fold(0.0, |most, value| most.max(value.abs()))
}

/// The network, the scan and what was computed of them, of a file that `tests/oracles/make_saliency.py` wrote.
fn fixture(name: &str, config: &str) -> (VolumeScorer, Array3<i16>, BTreeMap<String, Tensor>) {
    let oracle = oracle(&format!("saliency/{name}.safetensors"));
    let weights = oracle.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix("weights.")?;
        Some((name.to_owned(), tensor.shallow_clone()))
    });
    let hu = array(&oracle["hu"]).mapv(|hu| hu as i16);
    let input = ScanInput {
        size: hu.dim().into(),
        ..ScanInput::default()
    };
    let scorer = VolumeScorer::new(
        network(config),
        input,
        &weights.collect(),
        Device::Cpu,
        Precision::Float32,
    );
    (scorer.unwrap(), hu, oracle)
}

/// Expected: `pu-a.safetensors` and `resnet3d-18.safetensors` of `tests/oracles/make_saliency.py`, PyTorch 2.13.
#[test]
fn scores_and_grad_cam_are_pytorchs() {
    for (name, config) in [
        ("pu-a", "kind = 'pu-a'\nfilters = [3, 4]\nfully_connected = [5]"),
        ("resnet3d-18", "kind = 'resnet3d-18'\nwidth = 2"),
    ] {
        let (scorer, hu, oracle) = fixture(name, config);
        let score = scorer.score(&[hu.view()]).unwrap()[0];
        let expected = oracle["probability"].double_value(&[0]);
        assert!((score - expected).abs() < 1e-5, "{name}: {score}, expected {expected}");
        let off = difference(&scorer.grad_cam(hu.view()).unwrap(), &oracle["grad_cam"]);
        assert!(off < 1e-5, "{name}: Grad-CAM differs by {off}");
    }
}

#[test]
fn occlusion_maps_are_pytorchs() {
    let (scorer, hu, oracle) = fixture("pu-a", "kind = 'pu-a'\nfilters = [3, 4]\nfully_connected = [5]");
    assert_eq!(scorer.occlusion_passes(hu.view(), 6), 3 * 5 * 6);
    let stop = AtomicBool::new(false);
    let map = scorer
        .occlusion(hu.view(), 6, &Progress::hidden(), &stop)
        .unwrap()
        .unwrap();
    let off = difference(&map, &oracle["occlusion"]);
    assert!(off < 1e-5, "differs by {off}");
    assert_eq!(scorer.grain().unwrap(), [2.0, 2.0, 2.0]);
}

/// Two scans' scores are each their own, and half the precision moves the third digit.
#[test]
fn a_score_depends_on_its_scan_alone() {
    let config = network("kind = 'pu-b'\nfilters = [4, 4]\nfully_connected = [8]");
    let input = ScanInput {
        size: [16; 3],
        ..ScanInput::default()
    };
    let tensors = baselines::random(&config, input.size, 1).unwrap();
    let scorer =
        |precision| VolumeScorer::new(config.clone(), input.clone(), &tensors, Device::Cpu, precision).unwrap();
    let scans = [scan(0, 16, -600), scan(1, 16, 40)].map(|scan| scan.mapv(|hu| hu as i16));
    let views: Vec<_> = scans.iter().map(Array3::view).collect();
    let exact = scorer(Precision::Float32);
    let both = exact.score(&views).unwrap();
    for (view, score) in views.iter().zip(&both) {
        assert_eq!(exact.score(&[*view]).unwrap(), [*score]);
        assert!(*score > 0.0 && *score < 1.0);
    }
    let half = scorer(Precision::BFloat16).score(&views).unwrap();
    for (half, exact) in half.iter().zip(&both) {
        assert!((half - exact).abs() < 0.02, "{half} for {exact}");
    }
    let other = Array3::<i16>::zeros((16, 16, 17));
    let said = exact.score(&[other.view()]).unwrap_err().to_string();
    assert!(said.contains("17") && said.contains("16"), "{said}");
}

#[test]
fn covnet_is_hot_in_slices_that_hold_a_largest_feature_only() {
    let config = network("kind = 'covnet'\nevery = 2\ntrunk = { kind = 'bigbigan-resnet-tiny', weights = 'random' }");
    let input = ScanInput {
        size: [9, 32, 32],
        ..ScanInput::default()
    };
    let tensors = baselines::random(&config, input.size, 5).unwrap();
    let scorer = VolumeScorer::new(config, input, &tensors, Device::Cpu, Precision::Float32).unwrap();
    let scan = Array3::from_shape_fn((9, 32, 32), |(d, h, w)| {
        ((d * 997 + h * 131 + w * 71) % 1800) as i16 - 1000
    });
    let heat = scorer.grad_cam(scan.view()).unwrap();
    assert_eq!(heat.dim(), (9, 32, 32));
    assert_eq!(heat.iter().copied().fold(0.0, f32::max), 1.0);
    // The slices that are looked at are 1, 3, 5 and 7; each stands for two, the last one for the ninth too.
    for [a, b] in [[0, 1], [2, 3], [4, 5], [6, 7], [7, 8]] {
        assert_eq!(heat.slice(s![a, .., ..]), heat.slice(s![b, .., ..]));
    }
}

/// Noise of a deviation around a mean.
fn scan(seed: usize, side: usize, mean: i32) -> Array3<f32> {
    Array3::from_shape_fn((side, side, side), |(d, h, w)| {
        let noise = (seed * 7919 + d * 104_729 + h * 1_299_709 + w * 15_485_863) % 401;
        (mean + noise as i32 - 200) as f32
    })
}

/// A folder with a card of a network that was never trained, five scans and their table.
fn workshop(not_converged: bool) -> Workshop {
    let shop = Workshop::new("");
    let folder = shop.path("runs/net/classifier");
    std::fs::create_dir_all(&folder).unwrap();
    let network = network("kind = 'pu-a'\nfilters = [4, 6]\nfully_connected = [8]");
    let input = ScanInput {
        size: [16; 3],
        spacing: 5.0,
        ..ScanInput::default()
    };
    let tensors = baselines::random(&network, input.size, 0).unwrap();
    weights::save(&tensors, &folder.join("weights.safetensors")).unwrap();
    let card = ClassifierCard {
        schema: ClassifierCard::SCHEMA,
        name: "net".to_owned(),
        description: "never trained".to_owned(),
        licence: "CC0-1.0".to_owned(),
        positive: "covid".to_owned(),
        negative: Some(vec!["cap".to_owned()]),
        weights: "weights.safetensors".into(),
        sha256: EncoderCard::hashes(&folder, &["weights.safetensors"]).unwrap(),
        threshold: Some(0.5),
        not_converged: not_converged.then(|| "the loss is flat".to_owned()),
        network,
        input,
        training: Training {
            method: "pu-a".to_owned(),
            data: "none".to_owned(),
            seed: 0,
            steps: 0,
            images: 0,
            batch_norm: "as they were drawn".to_owned(),
            recipe_sha256: "0".repeat(64),
            hounsfield: "0.1.0".to_owned(),
            libtorch: "2.13.0".to_owned(),
            started_from: None,
        },
    };
    card.write(&folder).unwrap();
    std::fs::create_dir(shop.path("scans")).unwrap();
    let mut table = "path,patient,scan,label,site\n".to_owned();
    for n in 0..5 {
        let volume = CtVolume {
            voxels: scan(n, 16, if n % 2 == 0 { -700 } else { 0 }),
            geometry: Geometry::axial([5.0; 3]),
        };
        let name = format!("scans/Doe^Jane{n}.nii.gz");
        write_volume(&volume, &shop.path(&name), &WriteOptions::default()).unwrap();
        let label = ["covid", "cap", "covid", "cap", "normal"][n];
        table += &format!("{name},Doe^Jane{n},1,{label},site-a\n");
    }
    shop.write("scans.csv", &table);
    shop
}

fn predict(shop: &Workshop, inputs: &[&str], more: &[&str]) -> Said {
    let model = shop.path("runs/net");
    let inputs: Vec<String> = inputs
        .iter()
        .map(|name| shop.path(name).to_string_lossy().into_owned())
        .collect();
    let mut arguments = vec!["predict-volume", model.to_str().unwrap()];
    arguments.extend(inputs.iter().map(String::as_str));
    arguments.extend(["--device", "cpu", "--threads", "1"]);
    shop.hounsfield(&[&arguments, more].concat())
}

fn column(path: &Path, name: &str) -> Vec<Option<String>> {
    read_table(path).unwrap().column(name).unwrap().to_vec()
}

#[test]
fn a_table_of_scans_is_scored_drawn_and_measured() {
    let shop = workshop(true);
    let (out, maps) = (shop.path("scores.parquet"), shop.path("maps"));
    let more = ["--out", out.to_str().unwrap(), "--maps", maps.to_str().unwrap()];
    let said = predict(
        &shop,
        &["scans.csv"],
        &[&more[..], &["--occlusion", "--cube", "8", "--nifti"]].concat(),
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("NOT CONVERGED: the loss is flat"), "{}", said.err);
    assert!(said.err.contains("passes of the network"), "{}", said.err);

    let names: Vec<String> = read_table(&out).unwrap().names().map(str::to_owned).collect();
    let expected = [
        "scan_id",
        "patient_id",
        "label",
        "site",
        "net",
        "net.threshold",
        "net.converged",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        column(&out, "net.converged")[0].as_deref(),
        Some("no: the loss is flat")
    );
    assert_eq!(column(&out, "net.threshold")[0].as_deref(), Some("0.5"));
    let scores: Vec<f64> = column(&out, "net")
        .into_iter()
        .map(|score| score.unwrap().parse().unwrap())
        .collect();
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)) && scores[0] != scores[1]);

    // Four scans with two maps each, and what a viewer opens.
    let files: Vec<String> = std::fs::read_dir(&maps)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let count = |ending: &str| files.iter().filter(|name| name.ends_with(ending)).count();
    assert_eq!(
        [count("-grad-cam.png"), count("-occlusion.png"), count("-scan.nii.gz")],
        [4, 4, 4]
    );
    let heat = files.iter().find(|name| name.ends_with("-grad-cam.nii.gz")).unwrap();
    let volume = read_volume(&maps.join(heat)).unwrap();
    assert_eq!((volume.size(), volume.geometry.spacing), ([16; 3], [5.0; 3]));
    assert!(volume.voxels.iter().all(|heat| (0.0..=1.0).contains(heat)));
    let page = std::fs::read_to_string(maps.join("index.html")).unwrap();
    for words in [
        "NOT CONVERGED",
        "Where net looks",
        "Grad-CAM",
        "Occlusion",
        "threshold of 0.5000",
    ] {
        assert!(page.contains(words), "{words} is not on the page");
    }
    for text in [&page, &said.err, &said.out] {
        assert!(!text.contains("Doe^Jane"), "a name was told");
    }

    // What was written is what others measure, and Parquet knows the positive class.
    let said = shop.hounsfield(&[
        "evaluate",
        out.to_str().unwrap(),
        "--unit",
        "scan",
        "--negative",
        "cap",
        "--bootstrap",
        "100",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        format!("{}{}", said.out, said.err)
            .to_uppercase()
            .contains("NOT CONVERGED"),
        "{}{}",
        said.out,
        said.err
    );
}

/// Grad-CAM looks at maps, and a transformer's class token is the mean of none.
#[test]
fn a_network_without_maps_is_drawn_by_occlusion_or_not_at_all() {
    let shop = workshop(false);
    let config =
        network("kind = 'covnet'\nevery = 8\ntrunk = { kind = 'dinov2-vits14', input_size = 28, weights = 'random' }");
    assert!(!config.has_maps());
    let input = ScanInput {
        size: [16; 3],
        spacing: 5.0,
        ..ScanInput::default()
    };
    let tensors = baselines::random(&config, input.size, 0).unwrap();
    let scorer = VolumeScorer::new(config, input, &tensors, Device::Cpu, Precision::Float32).unwrap();
    let plan = CohortPlan {
        columns: Columns {
            path: Some("path".to_owned()),
            patient: Some("patient".to_owned()),
            ..Columns::default()
        },
        classes: None,
        ids: Pseudonymizer::keep(),
    };
    let table = read_table(&shop.path("scans.csv")).unwrap();
    let scans = Scans::read(&table, &shop.path(""), &plan).unwrap();
    let n = scans.len();
    let looked = Looked {
        name: "net",
        positive: "covid",
        cohort: &scans.cohort,
        sets: &vec![Some("scans".to_owned()); n],
        scores: &vec![Some(0.7); n],
        threshold: None,
        banners: Vec::new(),
        report: None,
    };
    let mut scan = |row: usize| Ok(CachedScan::of(&scans.sources[row], scorer.input())?);
    let (folder, stop) = (shop.path("maps"), AtomicBool::new(false));
    let mut draw = |occlusion| {
        let plan = MapsPlan {
            per_set: 1,
            occlusion,
            cube: Some(16),
            volumes: false,
        };
        maps::draw(&scorer, &looked, &plan, &mut scan, &folder, &stop).unwrap()
    };
    assert!(draw(false).is_empty() && !folder.exists());
    let files = draw(true);
    let pictures = files
        .iter()
        .filter(|file| file.to_string_lossy().ends_with("-occlusion.png"));
    assert_eq!((pictures.count(), files.len()), (1, 2));
    let page = std::fs::read_to_string(&files[0]).unwrap();
    assert!(
        page.contains("There is no Grad-CAM") && page.contains("Occlusion"),
        "{page}"
    );
}

#[test]
fn scans_alone_are_scored_too_and_what_can_not_be_read_is_a_failure() {
    let shop = workshop(false);
    shop.write("scans/broken.nii.gz", "no scan");
    let inputs = [
        "scans/Doe^Jane0.nii.gz",
        "scans/broken.nii.gz",
        "scans/Doe^Jane1.nii.gz",
    ];
    let said = predict(&shop, &inputs, &[]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("row 2: "), "{}", said.err);
    assert!(!said.err.contains("Doe^") && !said.out.contains("Doe^"), "{}", said.err);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[0],
        "scan_id,patient_id,label,site,net,net.threshold,net.converged"
    );
    assert!(
        lines[1].starts_with("scn-") && lines[1].ends_with(",0.5,yes"),
        "{}",
        lines[1]
    );
    assert!(lines[2].contains(",,,,0.5,yes"), "{}", lines[2]);
    // A folder of volumes is no series, and says what it is.
    let folder = predict(&shop, &["scans"], &[]);
    assert_eq!(folder.code, Some(1), "{}", folder.err);
    assert!(
        folder.err.contains("holds 6 volumes and no DICOM series"),
        "{}",
        folder.err
    );
    // The same scan has the same pseudonym and the same score each time.
    let again = predict(&shop, &inputs[2..], &[]);
    assert_eq!(again.out.lines().nth(1), Some(lines[3]));
}

#[test]
fn what_can_not_be_done_is_said_before_anything_is_scored() {
    let shop = workshop(false);
    let refused = |inputs: &[&str], more: &[&str], words: &str| {
        let said = predict(&shop, inputs, more);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains(words), "{words:?} is not in {}", said.err);
        assert!(said.out.is_empty(), "{}", said.out);
    };
    let folder = shop.path("scans");
    let nowhere = shop.path("none/scores.csv");
    refused(
        &["scans.csv"],
        &["--out", folder.to_str().unwrap()],
        "--out names a folder",
    );
    refused(&["scans.csv"], &["--out", nowhere.to_str().unwrap()], "does not exist");
    refused(&["scans.csv"], &["--occlusion"], "--maps");
    refused(
        &["scans.csv", "scans/Doe^Jane0.nii.gz"],
        &[],
        "together with other inputs",
    );
    refused(&["scans/Doe^Jane0.nii.gz"], &["--label", "label"], "give a table");
    let twice = [
        "scans/Doe^Jane0.nii.gz",
        "scans/Doe^Jane1.nii.gz",
        "scans/../scans/Doe^Jane0.nii.gz",
    ];
    refused(&twice, &[], "inputs 1 and 3 are one scan");
    shop.write("index.html", "<html>mine</html>");
    let mine = shop.path("");
    refused(&["scans.csv"], &["--maps", mine.to_str().unwrap()], "no page of maps");
    let weights = shop.path("runs/net/classifier/weights.safetensors");
    std::fs::write(&weights, "others").unwrap();
    refused(&["scans.csv"], &[], "the file is damaged or of other weights");
    std::fs::remove_dir_all(shop.path("runs/net/classifier")).unwrap();
    refused(&["scans.csv"], &[], "name the folder that holds `classifier.toml`");
}
