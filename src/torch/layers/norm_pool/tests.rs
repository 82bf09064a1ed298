use tch::{Device, Kind};

use super::*;
use crate::torch::{layers::Scope, weights::WeightMap};

const MOMENTUM: Statistics = Statistics::Running { momentum: 0.1 };

/// A convolution and a batch norm; one filter has no scale, and some have negative ones.
fn tensors(inputs: i64, filters: i64, kind: Kind) -> WeightMap {
    let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
    let scale = random(&[filters]);
    let _ = scale.get(1).fill_(0.0);
    let trained = |t: Tensor| t.set_requires_grad(true);
    WeightMap::from([
        (
            "conv.weight".to_owned(),
            trained(random(&[filters, inputs, 3, 3, 3]) * 0.2),
        ),
        ("norm.weight".to_owned(), trained(scale)),
        ("norm.bias".to_owned(), trained(random(&[filters]) * 0.3)),
        ("norm.running_mean".to_owned(), random(&[filters])),
        ("norm.running_var".to_owned(), random(&[filters]).abs() + 0.1),
    ])
}

/// Copies.
fn to_kind(tensors: &WeightMap, kind: Kind) -> WeightMap {
    let copy = |t: &Tensor| t.detach().copy().to_kind(kind).set_requires_grad(t.requires_grad());
    tensors.iter().map(|(name, t)| (name.clone(), copy(t))).collect()
}

fn layers(tensors: &WeightMap) -> (Conv3d, BatchNorm) {
    let root = Scope::new(tensors, "");
    (Conv3d::new(&root.at("conv"), 1), BatchNorm::new(&root.at("norm"), 1e-5))
}

/// Largest difference over the largest value.
fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    let [found, expected] = [found, expected].map(|t| t.to_kind(Kind::Double));
    let largest = expected.abs().max().double_value(&[]).max(1e-9);
    (found - expected).abs().max().double_value(&[]) / largest
}

/// The level on `found` and, by libtorch's operators, on `expected`; the outputs, and all gradients and statistics, must be alike.
fn compare(x: &Tensor, found: &WeightMap, expected: &WeightMap, statistics: Statistics, bound: f64) {
    let (conv, norm) = layers(found);
    let y = conv_norm_relu_pool(x, &conv, &norm, statistics).unwrap();
    let (conv, norm) = layers(expected);
    let wide = x.to_kind(expected["conv.weight"].kind());
    let z = pool(&norm_relu(&conv.forward(&wide).unwrap(), &norm, statistics).unwrap()).unwrap();
    let what = format!("{:?}, {:?}", x.size(), statistics);
    let error = difference(&y, &z);
    assert!(error < bound, "{what}: outputs differ by {error}");
    if y.requires_grad() {
        let towards = z.detach().randn_like();
        for y in [y, z] {
            (&y * towards.to_kind(y.kind())).sum(Kind::Double).backward();
        }
    }
    for (name, t) in found {
        let error = match t.requires_grad() && t.grad().defined() {
            true => difference(&t.grad(), &expected[name].grad()),
            false => difference(t, &expected[name]),
        };
        assert!(error < bound, "{what}: {name} differs by {error}");
    }
}

#[test]
fn levels_are_what_libtorchs_operators_give() {
    tch::manual_seed(1);
    // Sizes that are odd, that fill no vector, that are the least there can be; of one channel, and of more.
    for shape in [
        [2, 1, 8, 8, 8],
        [3, 1, 5, 7, 9],
        [1, 1, 2, 2, 2],
        [2, 1, 4, 3, 35],
        [2, 3, 8, 8, 8],
        [1, 5, 5, 4, 3],
    ] {
        for filters in [2, 6, 16, 35] {
            let x = Tensor::randn(shape, (Kind::Float, Device::Cpu)) * 0.3 - 0.7;
            for statistics in [MOMENTUM, Statistics::Batch] {
                let ours = tensors(shape[1], filters, Kind::Float);
                compare(&x, &ours, &to_kind(&ours, Kind::Double), statistics, 1e-5);
            }
            let ours = tensors(shape[1], filters, Kind::Float);
            let standing = Statistics::Standing { seen: 3 };
            tch::no_grad(|| compare(&x, &ours, &to_kind(&ours, Kind::Float), standing, 1e-4));
            let ours = tensors(shape[1], filters, Kind::Float);
            tch::no_grad(|| compare(&x, &ours, &to_kind(&ours, Kind::Double), Statistics::Stored, 1e-5));
        }
    }
}

#[test]
fn what_the_kernels_do_not_know_goes_to_libtorch() {
    let x = Tensor::randn([2, 1, 6, 6, 6], (Kind::Float, Device::Cpu));
    // A gradient through stored statistics.
    let ours = tensors(1, 4, Kind::Float);
    compare(&x, &ours, &to_kind(&ours, Kind::Double), Statistics::Stored, 1e-5);
    // Double precision.
    let ours = tensors(1, 4, Kind::Double);
    compare(
        &x.to_kind(Kind::Double),
        &ours,
        &to_kind(&ours, Kind::Double),
        MOMENTUM,
        1e-12,
    );
    // The gradient of the scans themselves.
    let ours = tensors(1, 4, Kind::Float);
    let (conv, norm) = layers(&ours);
    let leaf = x.copy().set_requires_grad(true);
    let y = conv_norm_relu_pool(&leaf, &conv, &norm, Statistics::Batch).unwrap();
    y.sum(Kind::Float).backward();
    assert!(leaf.grad().defined());
}

/// Air is one value: most windows have no largest element, and ours must be libtorch's, the first.
#[test]
fn the_first_of_equal_elements_gets_the_gradient() {
    let ours = tensors(2, 4, Kind::Float);
    let libtorchs = to_kind(&ours, Kind::Float);
    let gradient = |run: &dyn Fn(&Tensor) -> Tensor| {
        let x = Tensor::ones([2, 4, 4, 6, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        run(&x).sum(Kind::Float).backward();
        x.grad()
    };
    let (_, norm) = layers(&ours);
    let found = gradient(&|x| norm_relu_pool(x, &norm, Statistics::Batch).unwrap());
    let (_, norm) = layers(&libtorchs);
    let expected = gradient(&|x| pool(&norm_relu(x, &norm, Statistics::Batch).unwrap()).unwrap());
    assert!(difference(&found, &expected) < 1e-5);
    assert_eq!(
        found.get(0).get(0).get(0).get(0).get(0).double_value(&[]) > 0.0,
        expected.get(0).get(0).get(0).get(0).get(0).double_value(&[]) > 0.0
    );
}

/// The slope of the loss along a direction, by central differences in double precision.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    tch::manual_seed(3);
    let x = Tensor::randn([2, 1, 6, 5, 8], (Kind::Float, Device::Cpu));
    let ours = tensors(1, 5, Kind::Float);
    // Where a scale is zero there is no slope: the largest element becomes the smallest.
    let _ = tch::no_grad(|| ours["norm.weight"].get(1).fill_(-0.5));
    let towards = Tensor::randn([2, 5, 3, 2, 4], (Kind::Float, Device::Cpu));
    let (conv, norm) = layers(&ours);
    let y = conv_norm_relu_pool(&x, &conv, &norm, Statistics::Batch).unwrap();
    (y * &towards).sum(Kind::Float).backward();
    let wide = to_kind(&ours, Kind::Double);
    for name in ["conv.weight", "norm.weight", "norm.bias"] {
        let direction = wide[name].detach().randn_like();
        let loss = |step: f64| {
            let mut moved = wide.iter().map(|(n, t)| (n.clone(), t.detach())).collect::<WeightMap>();
            moved.insert(name.to_owned(), wide[name].detach() + &direction * step);
            let (conv, norm) = layers(&moved);
            let z = norm_relu(
                &conv.forward(&x.to_kind(Kind::Double)).unwrap(),
                &norm,
                Statistics::Batch,
            )
            .unwrap();
            (pool(&z).unwrap() * &towards).sum(Kind::Double).double_value(&[])
        };
        let slope = (loss(1e-6) - loss(-1e-6)) / 2e-6;
        let found = (ours[name].grad() * &direction).sum(Kind::Double).double_value(&[]);
        assert!(
            (found - slope).abs() < 1e-3 * slope.abs().max(1.0),
            "{name}: {found}, expected {slope}"
        );
    }
}

#[test]
fn half_the_precision_gives_half_the_digits() {
    use crate::{method::Precision, torch::device::autocast};
    for inputs in [1, 3] {
        let ours = tensors(inputs, 20, Kind::Float);
        let x = Tensor::randn([2, inputs, 6, 6, 6], (Kind::Float, Device::Cpu));
        let expected = {
            let (conv, norm) = layers(&ours);
            conv_norm_relu_pool(&x, &conv, &norm, Statistics::Batch).unwrap()
        };
        let _precision = autocast(Precision::BFloat16, Device::Cpu).unwrap();
        let (conv, norm) = layers(&ours);
        let y = conv_norm_relu_pool(&x, &conv, &norm, Statistics::Batch).unwrap();
        assert_eq!(y.kind(), Kind::BFloat16);
        let error = difference(&y, &expected);
        assert!(error < 0.03, "differs by {error}");
        y.to_kind(Kind::Float).sum(Kind::Float).backward();
        assert!(ours["conv.weight"].grad().isfinite().all().int64_value(&[]) == 1);
    }
}

#[test]
fn not_a_number_passes_through() {
    let ours = tensors(1, 3, Kind::Float);
    let (conv, norm) = layers(&ours);
    let x = Tensor::randn([2, 1, 6, 6, 6], (Kind::Float, Device::Cpu));
    let _ = x.get(0).get(0).get(2).get(2).get(3).fill_(f64::NAN);
    let _no_gradients = tch::no_grad_guard();
    let nans = |statistics| {
        let ours = conv_norm_relu_pool(&x, &conv, &norm, statistics).unwrap().isnan();
        let libtorchs = norm_relu(&conv.forward(&x).unwrap(), &norm, statistics).unwrap();
        (ours, pool(&libtorchs).unwrap().isnan())
    };
    for statistics in [Statistics::Stored, Statistics::Batch] {
        let (ours, libtorchs) = nans(statistics);
        assert!(ours.any().int64_value(&[]) == 1);
        assert_eq!(ours, libtorchs);
    }
}

/// The gradient lies where the convolution's output lay.
#[test]
fn backward_through_what_was_consumed_runs_once() {
    let ours = tensors(2, 4, Kind::Float);
    let (conv, norm) = layers(&ours);
    let x = Tensor::randn([1, 2, 4, 4, 4], (Kind::Float, Device::Cpu));
    let loss = conv_norm_relu_pool(&x, &conv, &norm, Statistics::Batch)
        .unwrap()
        .sum(Kind::Float);
    let again = |keep| Tensor::f_run_backward(&[&loss], &[&ours["norm.bias"]], keep, false);
    assert!(again(true).is_ok());
    let error = again(true).unwrap_err().to_string();
    assert!(error.contains("modified by an inplace operation"), "{error}");
}

#[test]
fn the_number_of_threads_does_not_show() {
    let x = Tensor::randn([3, 1, 10, 8, 8], (Kind::Float, Device::Cpu));
    let ours = tensors(1, 6, Kind::Float);
    let threads = tch::get_num_threads();
    let run = |threads| {
        tch::set_num_threads(threads);
        let (conv, norm) = layers(&ours);
        ours.values().for_each(|t| {
            if t.grad().defined() {
                let _ = t.grad().zero_();
            }
        });
        conv_norm_relu_pool(&x, &conv, &norm, Statistics::Batch)
            .unwrap()
            .square()
            .sum(Kind::Float)
            .backward();
        ["conv.weight", "norm.weight", "norm.bias"].map(|name| ours[name].grad().copy())
    };
    let (one, three) = (run(1), run(3));
    tch::set_num_threads(threads);
    assert_eq!(one, three);
}
