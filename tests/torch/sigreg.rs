//! The loss of LeJEPA against its formulas, and what it must say of samples that one knows.

use hounsfield::{
    seed,
    torch::{
        ffi::Autocast,
        sigreg::{SigReg, directions},
    },
};
use rand_distr::{Distribution as _, StandardNormal};
use tch::{Device, Kind, Tensor};

use super::support::{difference, oracle, relative};

/// A standard normal sample `[V, N, D]`.
fn normal(views: usize, n: usize, d: usize) -> Tensor {
    let numbers = StandardNormal.sample_iter(seed::stream(0, "sample"));
    let values: Vec<f32> = numbers.take(views * n * d).collect();
    Tensor::from_slice(&values).view([views as i64, n as i64, d as i64])
}

fn some_directions(width: usize, count: usize) -> Tensor {
    directions(&mut seed::stream(0, "directions"), width, count, Device::Cpu).unwrap()
}

fn statistic(embeddings: &Tensor, directions: &Tensor) -> f64 {
    let sigreg = SigReg::new(17, 3.0).unwrap();
    sigreg.statistic(embeddings, directions).unwrap().double_value(&[])
}

/// Expected: `epps_pulley` of make_train.py, complex exponentials and `torch.trapezoid` over both signs, in float64; the
/// gradients by its autograd.
#[test]
fn loss_and_gradients_are_those_of_the_formulas() {
    let file = oracle("train/lejepa.safetensors");
    for (name, knots, t_max, lambda) in [("program", 17, 3.0, 0.05), ("paper", 9, 5.0, 0.3)] {
        let sigreg = SigReg::new(knots, t_max).unwrap();
        let embeddings = file["embeddings"].copy().set_requires_grad(true);
        let loss = sigreg.loss(&embeddings, &file["directions"], lambda).unwrap();
        for (part, found) in [
            ("total", &loss.total),
            ("invariance", &loss.invariance),
            ("sigreg", &loss.sigreg),
        ] {
            let apart = relative(&found.detach(), &file[&format!("{name}.{part}")]);
            assert!(apart < 1e-6, "{name}.{part} is {apart:e} apart");
        }
        for (part, of) in [("gradient", &loss.total), ("sigreg_gradient", &loss.sigreg)] {
            let found = Tensor::run_backward(&[of], &[&embeddings], true, false);
            let apart = relative(&found[0], &file[&format!("{name}.{part}")]);
            assert!(apart < 1e-5, "{name}.{part} is {apart:e} apart");
        }
    }
}

#[test]
fn a_normal_sample_is_small_and_a_collapsed_one_large() {
    let directions = some_directions(8, 64);
    let good = statistic(&normal(1, 4000, 8), &directions);
    let shifted = statistic(&(normal(1, 4000, 8) + 0.5), &directions);
    let narrow = statistic(&(normal(1, 4000, 8) * 0.5), &directions);
    let collapsed = statistic(&Tensor::zeros([1, 4000, 8], (Kind::Float, Device::Cpu)), &directions);
    for (what, bad) in [("shifted", shifted), ("narrow", narrow), ("collapsed", collapsed)] {
        assert!(bad > 50.0 * good, "{what}: {bad}, a normal sample: {good}");
    }
}

/// On one direction the mean over normal samples is `∫ (1 - exp(-t²)) exp(-t²/2) dt`, whatever their size: N times the
/// variance of the empirical characteristic function.
#[test]
fn the_mean_over_normal_samples_is_the_variance_of_the_characteristic_function() {
    // sqrt(2 pi) - sqrt(2 pi / 3); the part beyond t = 5 is below 1e-6 of it.
    let tau = std::f64::consts::TAU;
    let expected = tau.sqrt() - (tau / 3.0).sqrt();
    let sigreg = SigReg::new(65, 5.0).unwrap();
    for n in [8, 64] {
        let samples = normal(4000, n, 1);
        let found = sigreg.statistic(&samples, &Tensor::ones([1, 1], (Kind::Float, Device::Cpu)));
        let found = found.unwrap().double_value(&[]);
        assert!(
            (found / expected - 1.0).abs() < 0.06,
            "mean {found} at {n}, expected {expected}"
        );
    }
}

#[test]
fn turning_embeddings_and_directions_together_changes_nothing() {
    let (embeddings, directions) = (normal(2, 50, 6) * 0.7 + 0.3, some_directions(6, 16));
    let (rotation, _) = Tensor::linalg_qr(&normal(1, 6, 6).squeeze_dim(0), "reduced");
    let before = statistic(&embeddings, &directions);
    let after = statistic(
        &embeddings.matmul(&rotation),
        &rotation.transpose(0, 1).matmul(&directions),
    );
    assert!((after / before - 1.0).abs() < 1e-5, "{before} became {after}");
    // Alone it does change something.
    let alone = statistic(&embeddings.matmul(&rotation), &directions);
    assert!((alone / before - 1.0).abs() > 1e-3, "{before} became {alone}");
}

#[test]
fn the_order_of_images_and_the_signs_of_directions_do_not_matter() {
    let (embeddings, directions) = (normal(2, 50, 6) + 0.2, some_directions(6, 16));
    let before = statistic(&embeddings, &directions);
    for after in [
        statistic(&embeddings.flip([1]), &directions),
        statistic(&embeddings, &-&directions),
    ] {
        assert!((after / before - 1.0).abs() < 1e-5, "{before} became {after}");
    }
}

#[test]
fn equal_views_agree() {
    let sigreg = SigReg::new(17, 3.0).unwrap();
    let one = normal(1, 10, 6);
    let loss = sigreg
        .loss(&one.repeat([3, 1, 1]), &some_directions(6, 16), 0.05)
        .unwrap();
    assert!(loss.invariance.double_value(&[]) < 1e-12);
    assert!(loss.total.double_value(&[]) > 0.0);
}

#[test]
fn autocast_does_not_reach_it() {
    let sigreg = SigReg::new(17, 3.0).unwrap();
    let (embeddings, directions) = (normal(2, 20, 6), some_directions(6, 16));
    let outside = sigreg.loss(&embeddings, &directions, 0.05).unwrap();
    let _half = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
    let inside = sigreg.loss(&embeddings, &directions, 0.05).unwrap();
    assert_eq!(inside.total.kind(), Kind::Float);
    assert_eq!(difference(&inside.total, &outside.total), 0.0);
}

#[test]
fn shapes_and_knots_that_do_not_fit_are_errors() {
    let sigreg = SigReg::new(17, 3.0).unwrap();
    let error = sigreg
        .statistic(&normal(2, 20, 6), &some_directions(7, 16))
        .unwrap_err();
    let words = error.to_string();
    assert!(words.contains("[2, 20, 6], directions [7, 16]"), "{words}");
    assert!(
        sigreg
            .statistic(&normal(2, 20, 6).squeeze_dim(0).view([40, 6]), &some_directions(6, 16))
            .is_err()
    );
    for (knots, t_max) in [(1, 3.0), (17, 0.0), (17, f64::NAN), (17, f64::INFINITY)] {
        assert!(SigReg::new(knots, t_max).is_err(), "{knots} knots up to {t_max}");
    }
}
