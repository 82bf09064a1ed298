//! Maps and neighbours against numpy, scikit-learn and linfa; `hounsfield explain` on studies of feature tables.

use hounsfield::{
    explain::{Tsne, neighbours, principal_components},
    features::{FeatureTable, write_features},
    tables::read_table,
};
use linfa::traits::Transformer as _;
use ndarray::{Array2, ArrayView2};
use serde::Deserialize;

use crate::{command::Workshop, study::made};

/// What `make_explain.py` wrote.
#[derive(Deserialize)]
struct Oracle {
    features_64ths: Vec<Vec<i32>>,
    places: Vec<Vec<f64>>,
    shares: Vec<f64>,
    divergence: f64,
    trustworthiness: f64,
    nearest: Vec<Vec<usize>>,
    distance: Vec<Vec<f64>>,
}

impl Oracle {
    fn read() -> Self {
        serde_json::from_str(include_str!("../oracles/explain/explain.json")).expect("make_explain.py wrote it")
    }

    fn features(&self) -> Array2<f64> {
        let rows = &self.features_64ths;
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| {
            f64::from(rows[row][column]) / 64.0
        })
    }
}

/// Expected: `numpy.linalg.svd` of the centred table, numpy 2.4.6.
#[test]
fn principal_components_are_those_of_numpy() {
    let oracle = Oracle::read();
    let found = principal_components(oracle.features().view(), 50).unwrap();
    assert_eq!(found.places.dim(), (120, 7));
    for (row, places) in oracle.places.iter().enumerate() {
        for (k, expected) in places.iter().enumerate() {
            let place = found.places[[row, k]];
            assert!(
                (place - expected).abs() < 1e-10,
                "row {row}, component {k}: {place}, numpy {expected}"
            );
        }
    }
    for (share, expected) in found.shares.iter().zip(&oracle.shares) {
        assert!((share - expected).abs() < 1e-12, "{share}, numpy {expected}");
    }
}

/// Expected: `TSNE(method="exact", perplexity=15, init=start).kl_divergence_` and `trustworthiness(x, map,
/// n_neighbors=10)`, scikit-learn 1.9.1. The way down is chaotic, so that the ends agree and the steps do not.
#[test]
fn tsne_ends_as_near_to_the_table_as_that_of_scikit_learn_and_no_farther_than_linfas() {
    let oracle = Oracle::read();
    let x = oracle.features();
    let start = principal_components(x.view(), 2).unwrap().places;
    let tsne = Tsne {
        perplexity: 15.0,
        iterations: 1000,
    };
    let map = tsne.map(x.view(), start.view()).unwrap();
    assert!(
        map.divergence < 1.02 * oracle.divergence,
        "divergence {}, scikit-learn {}",
        map.divergence,
        oracle.divergence
    );
    let trusted = trustworthiness(x.view(), map.places.view(), 10);
    assert!(
        trusted > oracle.trustworthiness - 0.01,
        "{trusted}, scikit-learn {}",
        oracle.trustworthiness
    );

    let linfa = linfa_tsne::TSneParams::embedding_size(2)
        .perplexity(15.0)
        .approx_threshold(0.0)
        .max_iter(1000);
    let linfa = trustworthiness(x.view(), linfa.transform(x.clone()).unwrap().view(), 10);
    assert!(trusted > linfa - 0.01, "{trusted}, linfa {linfa}");
}

/// Venna & Kaski 2001: 1 less the mean of how far off in the table those are who are near on the map.
fn trustworthiness(x: ArrayView2<'_, f64>, map: ArrayView2<'_, f64>, k: usize) -> f64 {
    let order = |table: &ArrayView2<'_, f64>, row: usize| -> Vec<usize> {
        let square = |other: usize| (&table.row(other) - &table.row(row)).mapv(|d| d * d).sum();
        let mut others: Vec<usize> = (0..table.nrows()).filter(|other| *other != row).collect();
        others.sort_by(|a, b| square(*a).total_cmp(&square(*b)));
        others
    };
    let n = x.nrows();
    let off: usize = (0..n)
        .map(|row| {
            let in_table = order(&x, row);
            let rank = |other: &usize| in_table.iter().position(|found| found == other).unwrap() + 1;
            order(&map, row)[..k]
                .iter()
                .map(|other| rank(other).saturating_sub(k))
                .sum::<usize>()
        })
        .sum();
    1.0 - 2.0 * off as f64 / (n * k * (2 * n - 3 * k - 1)) as f64
}

/// Expected: `NearestNeighbors(n_neighbors=6).kneighbors(x)` without the row itself, scikit-learn 1.9.1.
#[test]
fn neighbours_are_those_of_scikit_learn_where_every_row_is_a_patient() {
    let oracle = Oracle::read();
    let rows: Vec<usize> = (0..120).collect();
    let found = neighbours(oracle.features().view(), &rows, &rows, 5);
    for (row, near) in found.iter().enumerate() {
        let nearest: Vec<usize> = near.nearest.iter().map(|near| near.row).collect();
        assert_eq!(nearest, oracle.nearest[row]);
        for (near, expected) in near.nearest.iter().zip(&oracle.distance[row]) {
            assert!(
                (near.distance - expected).abs() < 1e-9,
                "{}, scikit-learn {expected}",
                near.distance
            );
        }
    }
}

const RECIPE: &str = r#"
title = "a <study>"
[cohort]
positive = "covid"
[split]
kind = "holdout"
external = ["far"]
fractions = { train = 0.6, validation = 0.2, test = 0.2 }
[features]
table = "features.parquet"
[probe]
heads = ["linear"]
bootstrap = { resamples = 100 }
"#;

fn workshop(table: &FeatureTable) -> Workshop {
    let shop = Workshop::new(RECIPE);
    write_features(&shop.path("features.parquet"), table).unwrap();
    shop
}

fn explain(shop: &Workshop, more: &[&str]) -> crate::command::Said {
    let study = shop.path("study.toml");
    shop.hounsfield(&[&["explain", study.to_str().unwrap()], more].concat())
}

#[test]
fn a_finished_study_is_explained_and_its_report_links_to_the_page() {
    let shop = workshop(&made(40, 1.0, 3.0, 0));
    assert_eq!(shop.run(&[]).code, Some(0));
    assert!(!shop.text("report.html").contains("explain"));
    let said = explain(&shop, &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("explain.html") && said.out.contains("of 200 slices"),
        "{}",
        said.out
    );
    assert!(shop.text("report.html").contains("<a href=\"explain/explain.html\">"));

    let page = shop.text("explain/explain.html");
    for words in [
        "a &lt;study&gt;",
        "% of the variance",
        "covid (100)",
        "far (40)",
        "external:far (40)",
        "train (",
        "Nearest of all",
    ] {
        assert!(page.contains(words), "{words}");
    }
    for wrong in ["<script", "http://", "https://", "url(", "<img", "pat-", "slc-", "NaN"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    for method in ["pca", "t-sne"] {
        for by in ["label", "site", "set"] {
            let svg = shop.text(&format!("explain/features.{method}.{by}.svg"));
            assert!(svg.starts_with("<svg xmlns") && svg.matches("class=\"point").count() == 200);
        }
    }
    let list = read_table(&shop.artefact("explain/features.neighbours.csv")).unwrap();
    let (own, near) = (
        list.column("patient_id").unwrap(),
        list.column("near_patient_id").unwrap(),
    );
    assert_eq!(own.len(), 8 * 7);
    assert!(own.iter().zip(near).all(|(own, near)| own != near));
    let counts: serde_json::Value = serde_json::from_str(&shop.text("explain/explain.json")).unwrap();
    let same = &counts["layers"][0]["nearest_of_same_patient"];
    assert_eq!(same["rows"], 200);
    assert!(
        same["same"].as_u64().unwrap() > 150,
        "slices of a patient resemble each other: {same}"
    );

    // Nothing has changed; then the results have, and the page is no longer theirs.
    let before = std::fs::read(shop.artefact("explain/features.t-sne.set.svg")).unwrap();
    let again = explain(&shop, &[]);
    assert!(
        again.err.contains("explain: up to date") && again.out == said.out,
        "{}",
        again.err
    );
    assert!(shop.text("run.lock.toml").contains("\"explain/explain.html\" = "));
    let other = ["--set", "probe.heads=[\"logistic\"]"];
    let run = shop.run(&other);
    assert_eq!(run.code, Some(0));
    assert!(run.err.contains("run `hounsfield explain` again"), "{}", run.err);
    assert!(!shop.text("report.html").contains("explain"));
    assert_eq!(explain(&shop, &other).code, Some(0));
    assert!(shop.text("report.md").contains("explain/explain.html"));
    assert_eq!(
        before,
        std::fs::read(shop.artefact("explain/features.t-sne.set.svg")).unwrap()
    );
}

#[test]
fn what_was_not_run_is_not_explained() {
    let shop = workshop(&made(20, 1.0, 0.5, 0));
    let said = explain(&shop, &[]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("run `hounsfield probe` (or `hounsfield run`) first"),
        "{}",
        said.err
    );
    assert_eq!(shop.run(&[]).code, Some(0));
    let other = explain(&shop, &["--set", "seed=7"]);
    assert_eq!(other.code, Some(2));
    assert!(other.err.contains("of another recipe"), "{}", other.err);
}

#[test]
fn marks_of_the_study_stand_on_the_page_and_on_every_map() {
    let mut table = made(20, 1.0, 0.5, 0);
    table.provenance.untrained = true;
    table.rows.site.fill(None);
    let shop = workshop(&table);
    let holdout = ["--set", "split.external=[]"];
    assert_eq!(shop.run(&holdout).code, Some(0));
    let said = explain(&shop, &holdout);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let page = shop.text("explain/explain.html");
    // Twice in words, and across two maps by label and two by set; there are no sites.
    assert_eq!(page.matches("UNTRAINED ENCODER").count(), 2 + 4);
    assert!(!shop.artefact("explain/features.pca.site.svg").exists());
}
