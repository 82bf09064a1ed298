//! Heads against scikit-learn, and what must hold for any of them.

use std::{collections::BTreeMap, path::Path};

use hounsfield::{
    heads::{FittedHead, HeadConfig, HeadError, Hyperparameter, TrainingSet, Tuning},
    seed::stream,
    stats::auc,
};
use ndarray::{Array2, Axis};
use rand::{RngExt as _, seq::SliceRandom as _};
use safetensors::{Dtype, SafeTensors};

/// What `tests/oracles/make_heads.py` wrote.
struct Oracle(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl Oracle {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/heads/heads.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let read = file.tensors().into_iter().map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F32 => {
                    let chunks = view.data().chunks_exact(4);
                    chunks
                        .map(|c| f64::from(f32::from_le_bytes(c.try_into().unwrap())))
                        .collect()
                }
                Dtype::F64 => {
                    let chunks = view.data().chunks_exact(8);
                    chunks.map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect()
                }
                other => panic!("{other:?} in the oracle"),
            };
            (name, (view.shape().to_vec(), values))
        });
        Self(read.collect())
    }

    fn vector(&self, name: &str) -> &[f64] {
        &self.0[name].1
    }

    fn matrix(&self, name: &str) -> Array2<f64> {
        let (shape, values) = &self.0[name];
        Array2::from_shape_vec((shape[0], shape[1]), values.clone()).unwrap()
    }

    /// Fits a head on `<prefix>train` and compares its scores of `<prefix>test` with those stored as `expected`.
    fn difference(&self, prefix: &str, head: &str, expected: &str) -> f64 {
        let x = self.matrix(&format!("{prefix}train.x"));
        let positive: Vec<bool> = self
            .vector(&format!("{prefix}train.y"))
            .iter()
            .map(|y| *y > 0.5)
            .collect();
        let groups: Vec<usize> = (0..positive.len()).collect();
        let set = TrainingSet {
            x: x.view(),
            positive: &positive,
            groups: &groups,
        };
        let fitted = config(head).fit(&set, &Tuning::default(), 0).unwrap();
        let scores = fitted
            .score_checked(self.matrix(&format!("{prefix}test.x")).view())
            .unwrap();
        let expected = self.vector(expected);
        let pairs = scores.iter().zip(expected);
        pairs
            .map(|(found, expected)| (found - expected).abs())
            .fold(0.0, f64::max)
    }

    /// Largest less smallest.
    fn range(&self, name: &str) -> f64 {
        let values = self.vector(name);
        values.iter().copied().fold(f64::MIN, f64::max) - values.iter().copied().fold(f64::MAX, f64::min)
    }
}

fn config(toml: &str) -> HeadConfig {
    #[derive(serde::Deserialize)]
    struct One {
        head: HeadConfig,
    }
    toml::from_str::<One>(&format!("head = {toml}")).unwrap().head
}

/// Expected: `LinearRegression`, `Ridge(10)` after `StandardScaler`, scikit-learn 1.9.1; make_heads.py.
#[test]
fn linear_is_scikit_learns() {
    let oracle = Oracle::read();
    let cases = [
        ("", r#""linear""#, "linear"),
        ("", r#"{ kind = "linear", standardize = false }"#, "linear"),
        ("", r#"{ kind = "linear", lambda = 10 }"#, "ridge.10"),
        ("wide.", r#""linear""#, "wide.linear"),
    ];
    for (prefix, head, expected) in cases {
        let difference = oracle.difference(prefix, head, expected);
        assert!(difference < 1e-8, "{head} is {difference:e} from {expected}");
    }
}

/// Expected: `LogisticRegression(C, tol=1e-12).predict_proba` after `StandardScaler`, scikit-learn 1.9.1; make_heads.py.
#[test]
fn logistic_is_scikit_learns() {
    let oracle = Oracle::read();
    for prefix in ["", "wide."] {
        for c in [1, 100] {
            let expected = format!("{prefix}logistic.{c}");
            let difference = oracle.difference(prefix, &format!("{{ kind = \"logistic\", c = {c} }}"), &expected);
            assert!(difference < 1e-6, "{difference:e} from {expected}");
        }
    }
}

/// Expected: `SVC.decision_function`, scikit-learn 1.9.1; make_heads.py.
#[test]
fn svms_are_scikit_learns() {
    let oracle = Oracle::read();
    let cases = [
        ("", r#"{ kind = "svm-linear", c = 1 }"#, "svm-linear.1"),
        ("", r#"{ kind = "svm-linear", c = 100 }"#, "svm-linear.100"),
        ("wide.", r#"{ kind = "svm-linear", c = 1 }"#, "wide.svm-linear.1"),
        ("", r#"{ kind = "svm-rbf", c = 1, gamma = "scale" }"#, "svm-rbf.1.scale"),
        ("", r#"{ kind = "svm-rbf", c = 10, gamma = 0.2 }"#, "svm-rbf.10.0.2"),
        (
            "",
            r#"{ kind = "svm-rbf", c = 1, gamma = "scale", standardize = false }"#,
            "raw.svm-rbf.1.scale",
        ),
    ];
    for (prefix, head, expected) in cases {
        let difference = oracle.difference(prefix, head, expected) / oracle.range(expected);
        assert!(
            difference < 1e-2,
            "{head} is {difference:e} of the range from {expected}"
        );
    }
}

/// Expected: `KNeighborsClassifier(k).predict_proba`, scikit-learn 1.9.1; make_heads.py.
#[test]
fn knn_is_scikit_learns() {
    let oracle = Oracle::read();
    let cases = [
        (r#"{ kind = "knn", k = 1 }"#, "knn.1"),
        (r#"{ kind = "knn", k = 5 }"#, "knn.5"),
        (r#"{ kind = "knn", k = 12 }"#, "knn.12"),
        (r#"{ kind = "knn", k = 5, standardize = false }"#, "raw.knn.5"),
    ];
    for (head, expected) in cases {
        let difference = oracle.difference("", head, expected);
        assert!(difference == 0.0, "{head} is {difference:e} from {expected}");
    }
}

/// Two solvers of one problem: linfa-svm, whose decision is `weighted_sum(x) - rho` and whose kernel is exp(-d² / eps).
#[test]
fn svms_are_linfas() {
    use linfa::{Dataset, prelude::Fit as _};
    let (train, test) = (Made::new(20, 30, 24), Made::new(10, 10, 25));
    let data = Dataset::new(
        train.x.clone(),
        train.positive.iter().copied().collect::<ndarray::Array1<bool>>(),
    );
    let params = || linfa_svm::Svm::<f64, bool>::params().pos_neg_weights(1.0, 1.0);
    let linfas = [
        params().linear_kernel().fit(&data).unwrap(),
        params().gaussian_kernel(20.0).fit(&data).unwrap(),
    ];
    let ours = [
        r#"{ kind = "svm-linear", c = 1, standardize = false }"#,
        r#"{ kind = "svm-rbf", c = 1, gamma = 0.05, standardize = false }"#,
    ];
    for (linfa, ours) in linfas.iter().zip(ours) {
        let scores = fit(&config(ours), &train).score_checked(test.x.view()).unwrap();
        for (row, score) in test.x.rows().into_iter().zip(scores) {
            let expected = linfa.weighted_sum(&row) - linfa.rho;
            assert!((score - expected).abs() < 2e-2, "{ours}: {score}, linfa-svm {expected}");
        }
    }
}

/// Expected: AUC 0.9033, `SVC(C=1, gamma="scale")` after `StandardScaler` on the 33 published features, patients kept whole
/// by the table's fold column; the reference results that lie beside the features. Skipped without `HOUNSFIELD_DATA`.
#[test]
fn real_features_give_the_reference_auc() {
    let Some(data) = std::env::var_os("HOUNSFIELD_DATA") else {
        println!("skipped: HOUNSFIELD_DATA is not set");
        return;
    };
    let folder = Path::new(&data).join("features/cs760-sarscov2");
    if !folder.is_dir() {
        println!("skipped: no features/cs760-sarscov2");
        return;
    }
    let file = std::fs::File::open(folder.join("features_33.npy")).unwrap();
    let x = <Array2<f64> as ndarray_npy::ReadNpyExt>::read_npy(file).unwrap();
    let mut table = csv::Reader::from_path(folder.join("labels.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    let positive: Vec<bool> = rows.iter().map(|row| row["label"] == "1").collect();
    let head = config(r#"{ kind = "svm-rbf", c = 1, gamma = "scale" }"#);
    let mut scores = vec![0.0; rows.len()];
    for fold in rows
        .iter()
        .map(|row| &row["fold"])
        .collect::<std::collections::BTreeSet<_>>()
    {
        let (test, train): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|&row| &rows[row]["fold"] == fold);
        let train_x = x.select(Axis(0), &train);
        let train_positive: Vec<bool> = train.iter().map(|&row| positive[row]).collect();
        let set = TrainingSet {
            x: train_x.view(),
            positive: &train_positive,
            groups: &train,
        };
        let fitted = head.fit(&set, &Tuning::default(), 0).unwrap();
        for (&row, score) in test
            .iter()
            .zip(fitted.score_checked(x.select(Axis(0), &test).view()).unwrap())
        {
            scores[row] = score;
        }
    }
    let area = auc(&positive, &scores).unwrap();
    assert!((area - 0.9033).abs() < 0.002, "{area}");
    println!("AUC {area:.5}");
}

/// Rows of patients with two to four slices each; classes differ by half a standard deviation in six of ten columns.
struct Made {
    x: Array2<f64>,
    positive: Vec<bool>,
    groups: Vec<usize>,
}

impl Made {
    fn new(positive_patients: usize, negative_patients: usize, seed: u64) -> Self {
        let mut rng = stream(seed, "made");
        let (mut values, mut positive, mut groups) = (vec![], vec![], vec![]);
        for group in 0..positive_patients + negative_patients {
            let label = group < positive_patients;
            let patient: Vec<f64> = (0..10).map(|_| normal(&mut rng)).collect();
            for _ in 0..rng.random_range(2..5) {
                for (column, patient) in patient.iter().enumerate() {
                    let shift = if label && column < 6 { 0.9 } else { 0.0 };
                    values.push(shift + 0.7 * patient + 0.7 * normal(&mut rng));
                }
                positive.push(label);
                groups.push(group);
            }
        }
        Self {
            x: Array2::from_shape_vec((positive.len(), 10), values).unwrap(),
            positive,
            groups,
        }
    }

    fn set(&self) -> TrainingSet<'_> {
        TrainingSet {
            x: self.x.view(),
            positive: &self.positive,
            groups: &self.groups,
        }
    }

    fn auc(&self, scores: &[f64]) -> f64 {
        auc(&self.positive, scores).unwrap()
    }
}

/// The sum of twelve uniform numbers less six.
fn normal(rng: &mut impl rand::Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

fn fit(head: &HeadConfig, made: &Made) -> FittedHead {
    head.fit(&made.set(), &Tuning::default(), 7).unwrap()
}

#[test]
fn swapped_labels_mirror_the_auc() {
    let (train, test) = (Made::new(18, 25, 1), Made::new(20, 20, 2));
    for head in HeadConfig::all() {
        let scores = fit(&head, &train).score_checked(test.x.view()).unwrap();
        let swapped = Made {
            x: train.x.clone(),
            positive: train.positive.iter().map(|p| !p).collect(),
            groups: train.groups.clone(),
        };
        let mirrored = fit(&head, &swapped).score_checked(test.x.view()).unwrap();
        let (there, back) = (test.auc(&scores), test.auc(&mirrored));
        assert!(there > 0.7, "{}: {there}", head.name());
        assert!((there + back - 1.0).abs() < 5e-3, "{}: {there} and {back}", head.name());
    }
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let (train, test) = (Made::new(15, 20, 3), Made::new(20, 20, 4));
    let mut order: Vec<usize> = (0..train.positive.len()).collect();
    order.shuffle(&mut stream(5, "order"));
    let shuffled = Made {
        x: train.x.select(Axis(0), &order),
        positive: order.iter().map(|&row| train.positive[row]).collect(),
        groups: order.iter().map(|&row| train.groups[row]).collect(),
    };
    for head in HeadConfig::all() {
        let (one, other) = (fit(&head, &train), fit(&head, &shuffled));
        assert_eq!(
            one.summary().chosen.get("c"),
            other.summary().chosen.get("c"),
            "{}",
            head.name()
        );
        let one = one.score(test.x.view()).unwrap();
        let other = other.score(test.x.view()).unwrap();
        // The SVMs stop within 1e-3 of the optimum, on whichever side they come from.
        let difference = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(difference < 1e-2, "{}: {difference}", head.name());
    }
}

/// linfa calls the larger class positive; a head must not.
#[test]
fn prevalence_does_not_turn_the_auc() {
    let test = Made::new(30, 30, 6);
    for head in HeadConfig::all() {
        for (positives, negatives) in [(10, 30), (30, 10), (20, 20)] {
            let train = Made::new(positives, negatives, 8);
            let area = test.auc(&fit(&head, &train).score_checked(test.x.view()).unwrap());
            assert!(area > 0.7, "{} at {positives} to {negatives}: {area}", head.name());
        }
    }
}

#[test]
fn the_unit_of_a_feature_does_not_matter() {
    let (train, test) = (Made::new(15, 20, 9), Made::new(20, 20, 10));
    let scaled = |made: &Made| {
        let mut x = made.x.clone();
        x.column_mut(2).mapv_inplace(|value| value * 1000.0 - 3.0);
        x
    };
    let train_scaled = Made {
        x: scaled(&train),
        positive: train.positive.clone(),
        groups: train.groups.clone(),
    };
    for head in HeadConfig::all() {
        let one = fit(&head, &train).score(test.x.view()).unwrap();
        let other = fit(&head, &train_scaled).score(scaled(&test).view()).unwrap();
        let difference = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(difference < 1e-2, "{}: {difference}", head.name());
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let (train, test) = (Made::new(15, 20, 11), Made::new(10, 10, 12));
    for head in HeadConfig::all() {
        let of_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let fitted = fit(&head, &train);
                (fitted.score(test.x.view()).unwrap(), fitted.summary().clone())
            })
        };
        assert_eq!(of_threads(1), of_threads(5), "{}", head.name());
    }
}

#[test]
fn open_hyperparameters_are_chosen_and_fixed_ones_kept() {
    let train = Made::new(15, 20, 13);
    for (head, points) in [
        (r#""linear""#, 0),
        (r#"{ kind = "linear", lambda = "tuned" }"#, 7),
        (r#""logistic""#, 5),
        (r#""svm-linear""#, 5),
        (r#""svm-rbf""#, 15),
        (r#"{ kind = "svm-rbf", c = 3.0 }"#, 3),
        (r#"{ kind = "svm-rbf", gamma = "auto" }"#, 5),
        (r#""knn""#, 6),
        (r#"{ kind = "knn", k = 4 }"#, 0),
    ] {
        let fitted = fit(&config(head), &train);
        let summary = fitted.summary();
        assert_eq!(summary.tuning.len(), points, "{head}");
        assert_eq!((summary.rows, summary.groups), (train.positive.len(), 35));
        let best = summary.tuning.iter().map(|point| point.auc).fold(0.0, f64::max);
        assert!(points == 0 || best > 0.7, "{head}: {best}");
        if let Some(point) = summary.tuning.iter().find(|point| point.auc > best - 1e-12) {
            let key = point.values.keys().next().unwrap();
            assert_eq!(
                summary.chosen[key], point.values[key],
                "{head}: the first of the best is taken"
            );
        }
    }
    let fixed = fit(&config(r#"{ kind = "svm-rbf", c = 3.0 }"#), &train);
    assert_eq!(fixed.summary().chosen["c"], Hyperparameter::Number(3.0));
}

#[test]
fn few_patients_mean_fewer_folds_or_defaults_and_a_note() {
    let made = Made::new(3, 12, 14);
    let fitted = fit(&config(r#""svm-rbf""#), &made);
    assert!(
        fitted
            .summary()
            .notes
            .iter()
            .any(|note| note.contains("3 inner folds, not 5"))
    );
    let made = Made::new(1, 12, 15);
    for (head, default) in [
        (r#""svm-rbf""#, ("c", 1.0)),
        (r#""knn""#, ("k", 5.0)),
        (r#""logistic""#, ("c", 1.0)),
    ] {
        let fitted = fit(&config(head), &made);
        assert_eq!(fitted.summary().chosen[default.0], Hyperparameter::Number(default.1));
        let note = &fitted.summary().notes[0];
        assert!(
            note.contains("found 1 with positive and 12 with negative rows"),
            "{note}"
        );
    }
    let error = config(r#""knn""#)
        .out_of_fold(&made.set(), &Tuning::default(), 0)
        .unwrap_err();
    assert!(error.to_string().contains("found 1 with positive"), "{error}");
}

#[test]
fn out_of_fold_scores_never_saw_the_patient() {
    // Labels without any tie to the features: one nearest neighbour knows the patient's other slices, and nothing else.
    let mut made = Made::new(0, 60, 16);
    let labels: Vec<bool> = (0..60).map(|group| group % 2 == 0).collect();
    made.positive = made.groups.iter().map(|&group| labels[group]).collect();
    let head = config(r#"{ kind = "knn", k = 1 }"#);
    let seen = fit(&head, &made).score(made.x.view()).unwrap();
    assert_eq!(made.auc(&seen), 1.0);
    let area = made.auc(&head.out_of_fold(&made.set(), &Tuning::default(), 0).unwrap());
    assert!((0.3..0.7).contains(&area), "out of fold {area}");

    let made = Made::new(20, 20, 17);
    for head in HeadConfig::all() {
        let area = made.auc(&head.out_of_fold(&made.set(), &Tuning { folds: 4 }, 0).unwrap());
        assert!((0.6..0.999).contains(&area), "{}: {area}", head.name());
    }
}

#[test]
fn a_kernel_that_is_too_narrow_is_an_error_that_says_so() {
    let (train, test) = (Made::new(10, 12, 18), Made::new(10, 10, 19));
    let head = config(r#"{ kind = "svm-rbf", c = 1, gamma = 500, standardize = false }"#);
    let fitted = fit(&head, &train);
    let error = fitted.score_checked(test.x.view()).unwrap_err();
    assert!(matches!(error, HeadError::ConstantScores { rows, .. } if rows == test.positive.len()));
    let text = error.to_string();
    assert!(
        text.contains("too narrow: gamma is 5.000e2") && text.contains("median squared distance"),
        "{text}"
    );
    assert!(fitted.check_scores(&[1.0]).is_ok());

    let constant = Made {
        x: Array2::from_elem(train.x.dim(), 0.3),
        positive: train.positive.clone(),
        groups: train.groups.clone(),
    };
    for head in HeadConfig::all() {
        let fitted = fit(&head, &constant);
        let text = fitted.score_checked(constant.x.view()).unwrap_err().to_string();
        assert!(text.contains("all 10 features are constant"), "{}: {text}", head.name());
    }

    let all = train.positive.len();
    let text = fit(&config(&format!("{{ kind = \"knn\", k = {all} }}")), &train).score_checked(test.x.view());
    assert!(text.unwrap_err().to_string().contains("all of them vote"));
}

#[test]
fn bad_training_sets_are_refused_with_numbers() {
    let made = Made::new(5, 5, 20);
    let tuning = Tuning::default();
    for head in HeadConfig::all() {
        let refused = |set: &TrainingSet<'_>| head.fit(set, &tuning, 0).unwrap_err().to_string();
        let mut x = made.x.clone();
        x[[4, 7]] = f64::NAN;
        x[[6, 0]] = f64::INFINITY;
        let text = refused(&TrainingSet {
            x: x.view(),
            ..made.set()
        });
        assert!(
            text.starts_with("2 feature values are NaN or infinite, the first in row 4, column 7"),
            "{text}"
        );
        let one_class = vec![true; made.positive.len()];
        let text = refused(&TrainingSet {
            positive: &one_class,
            ..made.set()
        });
        let rows = made.positive.len();
        assert!(
            text.starts_with(&format!("{rows} of {rows} training rows are positive")),
            "{text}"
        );
        let text = refused(&TrainingSet {
            positive: &made.positive[1..],
            ..made.set()
        });
        assert!(
            text.contains(&format!("{rows} rows of features came with {} labels", rows - 1)),
            "{text}"
        );
        let text = refused(&TrainingSet {
            x: Array2::zeros((0, 10)).view(),
            positive: &[],
            groups: &[],
        });
        assert!(text.contains("0 rows of 10 features"), "{text}");
        let fitted = fit(&head, &made);
        let text = fitted.score(Array2::zeros((3, 9)).view()).unwrap_err().to_string();
        assert_eq!(text, "features have 9 columns, the head was fitted on 10");
        assert!(fitted.score(x.view()).is_err());
        assert!(fitted.score(Array2::zeros((0, 10)).view()).unwrap().is_empty());
    }
    let error = config(r#"{ kind = "knn", k = 500 }"#)
        .fit(&made.set(), &tuning, 0)
        .unwrap_err();
    assert!(
        error.to_string().contains("knn: k is 500, expected at most the"),
        "{error}"
    );
    let (x, positive, groups) = (Array2::zeros((30_000, 1)), vec![true; 29_999], vec![0; 30_000]);
    let positive = [positive, vec![false]].concat();
    let set = TrainingSet {
        x: x.view(),
        positive: &positive,
        groups: &groups,
    };
    let error = config(r#""svm-rbf""#).fit(&set, &tuning, 0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("on 30000 rows needs a kernel matrix of 3.4 GiB"),
        "{error}"
    );
}

#[test]
fn a_saved_head_scores_to_the_same_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = (Made::new(10, 15, 21), Made::new(20, 20, 22));
    let raw = HeadConfig::KINDS.map(|kind| config(&format!("{{ kind = \"{kind}\", standardize = false }}")));
    for (index, head) in HeadConfig::all().into_iter().chain(raw).enumerate() {
        let mut fitted = fit(&head, &train);
        fitted.metadata.insert("threshold".to_owned(), "0.25".to_owned());
        let path = folder.path().join(format!("{index}.safetensors"));
        fitted.save(&path).unwrap();
        let loaded = FittedHead::load(&path).unwrap();
        assert_eq!(loaded.summary(), fitted.summary());
        assert_eq!(loaded.metadata["threshold"], "0.25");
        assert_eq!(loaded.kind(), head.name());
        let bits = |head: &FittedHead| -> Vec<u64> {
            head.score(test.x.view())
                .unwrap()
                .into_iter()
                .map(f64::to_bits)
                .collect()
        };
        assert_eq!(bits(&loaded), bits(&fitted), "{}", head.name());

        // Equal heads are equal files, and saving again replaces the file.
        let first = std::fs::read(&path).unwrap();
        loaded.save(&path).unwrap();
        assert!(first == std::fs::read(&path).unwrap(), "{}", head.name());
        for cut in [0, 7, 100, first.len() / 2, first.len() - 1] {
            std::fs::write(&path, &first[..cut]).unwrap();
            let text = FittedHead::load(&path).unwrap_err().to_string();
            assert!(text.contains("not a complete safetensors file"), "{text}");
        }
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        10,
        "no temporary file stays"
    );
}

#[test]
fn files_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let text = FittedHead::load(&path).unwrap_err().to_string();
    assert!(text.starts_with("reading a saved head failed"), "{text}");
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/heads/heads.safetensors");
    let text = FittedHead::load(&foreign).unwrap_err().to_string();
    assert!(text.contains("another program wrote it"), "{text}");

    let fitted = fit(&config(r#""linear""#), &Made::new(10, 15, 23));
    fitted.save(&path).unwrap();
    let saved = std::fs::read(&path).unwrap();
    let patched = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = saved
            .windows(from.len())
            .position(|bytes| bytes == from.as_bytes())
            .expect(from);
        let mut bytes = saved.clone();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, bytes).unwrap();
        FittedHead::load(&path).unwrap_err().to_string()
    };
    let text = patched(r#"\"version\":1"#, r#"\"version\":7"#);
    assert!(text.contains("version 7, this program reads version 1"), "{text}");
    let text = patched(r#""intercept""#, r#""intercapt""#);
    assert!(text.contains("`intercept` is missing"), "{text}");
    let text = patched(r#"\"features\":10"#, r#"\"features\":11"#);
    assert!(text.contains("not whole") || text.contains("11"), "{text}");
    let nowhere = folder.path().join("missing").join("head.safetensors");
    assert!(
        fitted
            .save(&nowhere)
            .unwrap_err()
            .to_string()
            .starts_with("writing a saved head failed")
    );
}
