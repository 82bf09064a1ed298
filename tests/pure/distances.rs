//! Distances of feature sets and of images against scipy, scikit-learn and scikit-image.

use hounsfield::stats::{frechet_distance, kernel_distance, ssim};
use ndarray::Array2;
use serde::Deserialize;

/// What `make_images_distance.py` wrote.
#[derive(Deserialize)]
struct Oracle {
    features: Vec<Features>,
    images: Vec<Images>,
}

/// In 64ths.
#[derive(Deserialize)]
struct Features {
    first: Vec<Vec<i16>>,
    second: Vec<Vec<i16>>,
    frechet: f64,
    kernel: f64,
}

/// In 128ths.
#[derive(Deserialize)]
struct Images {
    first: Vec<Vec<i16>>,
    second: Vec<Vec<i16>>,
    data_range: f64,
    ssim: f64,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../oracles/distances/distances.json")).expect("make_images_distance.py wrote it")
}

fn parts(of_one: f32, rows: &[Vec<i16>]) -> Array2<f32> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| {
        f32::from(rows[row][column]) / of_one
    })
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance * expected.abs().max(1.0),
        "{found}, expected {expected}"
    );
}

/// Expected: Heusel's formula on `numpy.cov` and `scipy.linalg.sqrtm(c @ d)`, scipy 1.17.1. With fewer rows than
/// features the product has eigenvalues of 0, whose roots scipy has to 1e-8 only.
#[test]
fn frechet_distances_are_those_of_scipys_root_of_the_product() {
    for case in oracle().features {
        let (first, second) = (parts(64.0, &case.first), parts(64.0, &case.second));
        let found = frechet_distance(first.view(), second.view()).unwrap();
        let full_rank = first.nrows().min(second.nrows()) > first.ncols();
        near(found, case.frechet, if full_rank { 1e-12 } else { 1e-7 });
    }
}

/// Expected: the unbiased estimator on `polynomial_kernel(x, y, degree=3, coef0=1)`, scikit-learn 1.9.1.
#[test]
fn kernel_distances_are_those_of_scikit_learns_kernel() {
    for case in oracle().features {
        let (first, second) = (parts(64.0, &case.first), parts(64.0, &case.second));
        near(
            kernel_distance(first.view(), second.view()).unwrap(),
            case.kernel,
            1e-12,
        );
    }
}

/// Expected: `structural_similarity(x, y, data_range=.., gaussian_weights=True, use_sample_covariance=False)`,
/// scikit-image 0.26.0.
#[test]
fn structural_similarities_are_those_of_scikit_image() {
    for case in oracle().images {
        let (first, second) = (parts(128.0, &case.first), parts(128.0, &case.second));
        near(
            ssim(first.view(), second.view(), case.data_range).unwrap(),
            case.ssim,
            1e-12,
        );
    }
}
