//! `hounsfield explain` on images, with a generator beside the encoder.

use hounsfield::{
    card::{EncoderCard, GeneratorEntry},
    cohort::synthetic::SyntheticCohort,
    encoder::{EncoderConfig, Layer, TinyResNet, Weights},
    features::read_features,
    heads::FittedHead,
    method::Generator,
    progress::Progress,
    tables::read_table,
    torch::{generator::InferenceGenerator, weights},
    transforms::Preprocess,
};
use ndarray::Axis;

use crate::command::Workshop;

const RECIPE: &str = r#"
[cohort]
table = "cohort/cohort.csv"
path = "file"
patient = "patient"
label = "label"
positive = "ground-glass"
site = "site"
[split]
kind = "holdout"
external = ["site-b"]
fractions = { train = 0.6, validation = 0.2, test = 0.2 }
[encoder]
kind = "card"
path = "encoder"
[probe]
heads = ["linear", "svm-linear", "knn"]
bootstrap = { resamples = 100 }
"#;

const GENERATOR: &str = "generator.safetensors";

/// Four levels of 3 of the 12 latent numbers: 32 x 32.
fn generator() -> Generator {
    Generator {
        width: 4,
        multipliers: vec![4, 2, 2, 1],
        attention_after: 1,
        shared_dim: 4,
        planes: 1,
    }
}

/// A study whose encoder and generator were drawn.
fn workshop(with_generator: bool) -> Workshop {
    let shop = Workshop::new(RECIPE);
    let cohort = SyntheticCohort {
        patients_per_site: 12,
        slices_per_patient: 2,
        size: 64,
        ..SyntheticCohort::default()
    };
    let folder = shop.path("encoder");
    std::fs::create_dir(shop.path("cohort")).unwrap();
    std::fs::create_dir(&folder).unwrap();
    cohort.write(&shop.path("cohort"), &Progress::hidden()).unwrap();
    let mut encoder = EncoderConfig::TinyResNet(TinyResNet::default());
    weights::save(
        &weights::random(&encoder, 0).unwrap(),
        &folder.join("weights.safetensors"),
    )
    .unwrap();
    *encoder.weights_mut() = Weights::File("weights.safetensors".into());
    let drawn = weights::orthogonal(&generator().tensors(12), 0).unwrap();
    weights::save(&drawn, &folder.join(GENERATOR)).unwrap();
    let files = match with_generator {
        true => vec!["weights.safetensors", GENERATOR],
        false => vec!["weights.safetensors"],
    };
    let card = EncoderCard {
        schema: EncoderCard::SCHEMA,
        name: "drawn".to_owned(),
        description: "never trained".to_owned(),
        licence: "CC0-1.0".to_owned(),
        source: "a test".to_owned(),
        obtain: None,
        layers: EncoderCard::widths(&encoder, &[Layer::ZMean]),
        sha256: EncoderCard::hashes(&folder, &files).unwrap(),
        encoder,
        preprocess: Preprocess::default(),
        training: None,
        generator: with_generator.then(|| GeneratorEntry {
            weights: GENERATOR.into(),
            network: generator(),
        }),
        conversion: None,
    };
    card.write(&folder).unwrap();
    shop
}

fn explain(shop: &Workshop) -> crate::command::Said {
    shop.hounsfield(&["explain", shop.path("study.toml").to_str().unwrap(), "--device", "cpu"])
}

fn png(shop: &Workshop, name: &str) -> image::GrayImage {
    image::open(shop.artefact(&format!("explain/{name}")))
        .unwrap()
        .into_luma8()
}

#[test]
fn reconstructions_are_the_generators_and_walks_move_the_score() {
    let shop = workshop(true);
    assert_eq!(shop.run(&["--device", "cpu"]).code, Some(0));
    let said = explain(&shop);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let page = shop.text("explain/explain.html");
    for words in [
        "Reconstructions from z_mean",
        "What linear reads",
        "What svm-linear reads",
        "+3 SD",
        "images of patients",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("What knn reads") && !page.contains("SYN-") && !page.contains("http://"));
    assert_eq!(page.matches("<img").count(), 4);

    // The first slice's reconstruction stands below it: 32 pixels, each four wide, behind a gap of 2.
    let list = read_table(&shop.artefact("explain/z_mean.neighbours.csv")).unwrap();
    let first = list.column("slice_id").unwrap()[0].clone().unwrap();
    let table = read_features(&shop.artefact("features/z_mean.parquet")).unwrap();
    let row = table.rows.slice_id.iter().position(|id| *id == first).unwrap();
    let weights = shop.path("encoder").join(GENERATOR);
    let generator = InferenceGenerator::open(&generator(), 12, &weights, tch::Device::Cpu).unwrap();
    let z = table.values.select(Axis(0), &[row]);
    let expected = generator.generate(&z).unwrap();
    let sheet = png(&shop, "z_mean.reconstructions.png");
    assert_eq!(sheet.dimensions(), (2 + 8 * 130, 2 + 2 * 130));
    for ((_, y, x), value) in expected.indexed_iter() {
        let grey = sheet.get_pixel(2 + 4 * x as u32, 2 + 130 + 4 * y as u32).0[0];
        let wanted = 127.5 * (value + 1.0);
        assert!(
            (f32::from(grey) - wanted).abs() <= 1.0,
            "{grey} at {y}, {x}, {wanted} by the generator"
        );
    }

    // In the middle of a walk stands the slice's own score; least squares rises by even steps.
    let head = FittedHead::load(&shop.artefact("models/z_mean.linear.safetensors")).unwrap();
    let own = head.score(z.mapv(f64::from).view()).unwrap()[0];
    let walks = page.split("What linear reads").nth(1).unwrap();
    let line = walks.split("<tbody>").nth(1).unwrap().split("</tr>").next().unwrap();
    let cells: Vec<&str> = line
        .split("<td>")
        .skip(1)
        .map(|cell| cell.split('<').next().unwrap())
        .collect();
    let scores: Vec<f64> = cells[3..].iter().map(|cell| cell.parse().unwrap()).collect();
    assert_eq!(scores.len(), 7);
    assert!((scores[3] - own).abs() < 1e-3, "{scores:?}, {own} by the head");
    let steps: Vec<f64> = scores.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        steps.iter().all(|step| *step > 0.0 && (step - steps[0]).abs() < 3e-3),
        "{scores:?}"
    );
    assert_eq!(
        png(&shop, "z_mean.walk.linear.png").dimensions(),
        (2 + 8 * 130, 2 + 4 * 130)
    );
}

#[test]
fn without_a_generator_the_page_says_so_and_images_that_are_gone_are_black() {
    let shop = workshop(false);
    assert_eq!(shop.run(&["--device", "cpu"]).code, Some(0));
    std::fs::rename(shop.path("cohort"), shop.path("gone")).unwrap();
    std::fs::create_dir(shop.path("cohort")).unwrap();
    std::fs::copy(shop.path("gone/cohort.csv"), shop.path("cohort/cohort.csv")).unwrap();
    let said = explain(&shop);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(
        said.err.contains("can't be read any more") && !said.err.contains("SYN-"),
        "{}",
        said.err
    );
    let page = shop.text("explain/explain.html");
    assert!(page.contains("no reconstructions and no walks"));
    assert_eq!(page.matches("<img").count(), 1);
    assert_eq!(png(&shop, "z_mean.neighbours.png").get_pixel(66, 66).0[0], 0);
}
