//! Heads beside the library that could have done the work, and the statistics: `cargo bench --bench pure`.
//!
//! Made data, seed 0: two normal classes that overlap. Sizes are in the ids; linfa's linear SVM bounds the rows of its group.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hounsfield::{
    heads::{
        Gamma, HeadConfig, KnnConfig, LinearConfig, LogisticConfig, SvmLinearConfig, SvmRbfConfig, TrainingSet, Tuning,
    },
    seed::stream,
    stats::{Bootstrap, ClusterRanking, Clusters, Components, auc, clustered_delong, delong},
};
use linfa::{Dataset, prelude::Fit as _};
use linfa_nn::{LinearSearch, NearestNeighbour as _, distance::L2Dist};
use linfa_svm::Svm;
use ndarray::{Array1, Array2};
use rand::RngExt as _;

/// Rows of unit variance; a fifth of the columns differ between the classes.
struct Made {
    x: Array2<f64>,
    positive: Vec<bool>,
    groups: Vec<usize>,
}

impl Made {
    fn new(rows: usize, features: usize) -> Self {
        let mut rng = stream(0, "bench");
        let positive: Vec<bool> = (0..rows).map(|row| row % 3 == 0).collect();
        let x = Array2::from_shape_fn((rows, features), |(row, column)| {
            let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            if positive[row] && column % 5 == 0 {
                normal + 0.25
            } else {
                normal
            }
        });
        Self {
            x,
            positive,
            groups: (0..rows).map(|row| row / 4).collect(),
        }
    }

    fn set(&self) -> TrainingSet<'_> {
        TrainingSet {
            x: self.x.view(),
            positive: &self.positive,
            groups: &self.groups,
        }
    }

    fn id(&self) -> String {
        format!("{}-rows-{}-feats", self.x.nrows(), self.x.ncols())
    }

    fn dataset(&self) -> Dataset<f64, bool, ndarray::Ix1> {
        Dataset::new(self.x.clone(), Array1::from_iter(self.positive.iter().copied()))
    }
}

fn fit(head: &HeadConfig, made: &Made) {
    let fitted = head
        .fit(black_box(&made.set()), &Tuning::default(), 0)
        .expect("made data can be fitted");
    black_box(fitted);
}

fn svm_rbf(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("svm-rbf-fit");
    group.sample_size(10);
    for made in [Made::new(500, 120), Made::new(2000, 120)] {
        let features = made.x.ncols() as f64;
        let head = HeadConfig::SvmRbf(SvmRbfConfig {
            c: Some(1.0),
            gamma: Some(Gamma::Auto),
            standardize: true,
        });
        group.bench_function(BenchmarkId::new("ours", made.id()), |bencher| {
            bencher.iter(|| fit(&head, &made))
        });
        let data = made.dataset();
        group.bench_function(BenchmarkId::new("linfa", made.id()), |bencher| {
            bencher.iter(|| {
                let params = Svm::<f64, bool>::params()
                    .gaussian_kernel(features)
                    .pos_neg_weights(1.0, 1.0);
                black_box(params.fit(black_box(&data)).expect("made data can be fitted"))
            });
        });
    }
    group.finish();
}

fn svm_linear(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("svm-linear-fit");
    group.sample_size(10);
    for made in [Made::new(300, 60), Made::new(600, 60)] {
        let head = HeadConfig::SvmLinear(SvmLinearConfig {
            c: Some(1.0),
            standardize: true,
        });
        group.bench_function(BenchmarkId::new("ours", made.id()), |bencher| {
            bencher.iter(|| fit(&head, &made))
        });
        let data = made.dataset();
        group.bench_function(BenchmarkId::new("linfa", made.id()), |bencher| {
            bencher.iter(|| {
                let params = Svm::<f64, bool>::params().linear_kernel().pos_neg_weights(1.0, 1.0);
                black_box(params.fit(black_box(&data)).expect("made data can be fitted"))
            });
        });
    }
    group.finish();
}

fn knn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("knn-score-500-queries");
    group.sample_size(10);
    for made in [Made::new(2500, 120), Made::new(2500, 1024)] {
        let queries = made.x.slice(ndarray::s![..500, ..]).to_owned();
        let head = HeadConfig::Knn(KnnConfig {
            k: Some(5),
            standardize: false,
        });
        let fitted = head
            .fit(&made.set(), &Tuning::default(), 0)
            .expect("made data can be fitted");
        group.bench_function(BenchmarkId::new("ours", made.id()), |bencher| {
            bencher.iter(|| black_box(fitted.score(black_box(queries.view())).expect("finite")));
        });
        let index = LinearSearch::new()
            .from_batch(&made.x, L2Dist)
            .expect("made data can be indexed");
        group.bench_function(BenchmarkId::new("linfa", made.id()), |bencher| {
            bencher.iter(|| {
                for query in queries.rows() {
                    black_box(index.k_nearest(query, 5).expect("of one width"));
                }
            });
        });
    }
    group.finish();
}

fn planes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plane-fit");
    group.sample_size(10);
    let logistic = HeadConfig::Logistic(LogisticConfig {
        c: Some(1.0),
        standardize: true,
    });
    let linear = HeadConfig::Linear(LinearConfig::default());
    for made in [Made::new(2500, 120), Made::new(600, 1024)] {
        for head in [&logistic, &linear] {
            let id = BenchmarkId::new(head.name(), made.id());
            group.bench_function(id, |bencher| bencher.iter(|| fit(head, &made)));
        }
    }
    group.finish();
}

fn tuned(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tuned-fit");
    group.sample_size(10);
    let made = Made::new(1000, 120);
    for head in HeadConfig::all() {
        let id = BenchmarkId::new(head.name(), made.id());
        group.bench_function(id, |bencher| bencher.iter(|| fit(&head, &made)));
    }
    group.finish();
}

/// Two scores of rows in patients of ten, every second patient positive; what is the patient's and what is the row's
/// weighs alike. Drawn by splitmix64 (Steele, Lea & Flood 2014), so that compare_sklearn.py can have the same ones.
fn scores(rows: u64) -> (Vec<bool>, [Vec<f64>; 2], Clusters) {
    let draw = |at: u64| {
        let mut z = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as f64 / 4_294_967_296.0
    };
    let positive: Vec<bool> = (0..rows).map(|row| row / 10 % 2 == 0).collect();
    let column = |start: u64, shift: f64| {
        let row = |row: u64| {
            let class = f64::from(u8::from((row / 10).is_multiple_of(2)));
            draw(start + row / 10 + 1) + draw(start + (1 << 30) + row + 1) + shift * class
        };
        (0..rows).map(row).collect()
    };
    let patients: Vec<usize> = (0..rows as usize).map(|row| row / 10).collect();
    (
        positive,
        [column(0, 0.5), column(1 << 40, 0.3)],
        Clusters::new(&patients),
    )
}

fn cluster_bootstrap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("auc-cluster-bootstrap");
    group.sample_size(10);
    let (positive, scores, patients) = scores(10_000);
    let bootstrap = Bootstrap {
        resamples: 10_000,
        ..Bootstrap::default()
    };
    // From labels and scores to the intervals of both areas and of their paired difference.
    let run = || {
        let rankings = scores
            .each_ref()
            .map(|score| ClusterRanking::new(&positive, score, &patients));
        let mut replicates = bootstrap
            .resample_auc(black_box(&patients), &rankings)
            .expect("both classes have 500 patients");
        let difference = replicates.push_difference([0, 1]);
        [0, 1, difference].map(|statistic| replicates.interval(statistic))
    };
    let [a, b] = scores
        .each_ref()
        .map(|score| auc(&positive, score).expect("two classes"));
    let [_, _, [lower, upper]] = run();
    // compare_sklearn.py reads this line.
    println!("auc {a} {b} difference {lower} {upper}");
    group.bench_function("10k-replicates-1k-patients-10k-rows", |bencher| {
        bencher.iter(|| black_box(run()))
    });
    group.finish();
}

fn million_rows(criterion: &mut Criterion) {
    let (positive, [score, _], patients) = scores(1_000_000);
    let mut group = criterion.benchmark_group("delong");
    group.sample_size(10);
    let components = || Components::new(black_box(&positive), black_box(&score)).expect("two classes");
    group.bench_function("1M-rows", |bencher| {
        bencher.iter(|| black_box(delong(&[&components()]).expect("many rows")))
    });
    group.bench_function("clustered-100k-patients-1M-rows", |bencher| {
        bencher.iter(|| black_box(clustered_delong(&[&components()], &patients).expect("many patients")))
    });
    group.finish();
}

criterion_group!(
    benches,
    svm_rbf,
    svm_linear,
    knn,
    planes,
    tuned,
    cluster_bootstrap,
    million_rows
);
criterion_main!(benches);
