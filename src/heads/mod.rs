//! Classifiers on features: one file a head.
//!
//! A head is binary: it scores how much a row looks like the positive class. Labels are named long before; here they
//! are `bool`, so that no solver's own idea of the first or larger class can turn a score over.
//!
//! [`HeadConfig::fit`] standardises on the training rows, chooses what the configuration leaves open by
//! cross-validation that keeps patients whole, and gives a [`FittedHead`].

mod error;
mod file;
mod fitted;
mod fixed;
mod hyperplane;
mod knn;
mod linear;
mod logistic;
mod product;
mod ridge;
mod smo;
mod standardize;
mod svm_linear;
mod svm_rbf;
mod tuning;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use ndarray::ArrayView2;
use serde::{Deserialize, Deserializer, Serialize, de};

pub use self::{
    error::HeadError,
    fitted::{FitSummary, FittedHead, TuningPoint},
    knn::KnnConfig,
    linear::{Lambda, LinearConfig},
    logistic::LogisticConfig,
    standardize::Standardizer,
    svm_linear::SvmLinearConfig,
    svm_rbf::{Gamma, SvmRbfConfig},
    tuning::Tuning,
    value::Hyperparameter,
};

/// What a head is fitted on.
#[derive(Debug, Clone, Copy)]
pub struct TrainingSet<'a> {
    /// `[N, F]` raw features; heads standardise them themselves, on these rows only.
    pub x: ArrayView2<'a, f64>,
    /// `N` labels: whether the row is of the positive class.
    pub positive: &'a [bool],
    /// `N` patients as integers: rows of one patient stay together in every inner fold.
    pub groups: &'a [usize],
}

impl TrainingSet<'_> {
    /// Everything that makes a fit impossible whatever the head.
    pub(crate) fn check(&self) -> Result<(), HeadError> {
        let (rows, features) = self.x.dim();
        if rows == 0 || features == 0 {
            return Err(HeadError::Empty { rows, features });
        }
        if self.positive.len() != rows || self.groups.len() != rows {
            return Err(HeadError::Length {
                rows,
                labels: self.positive.len(),
                groups: self.groups.len(),
            });
        }
        check_finite(self.x)?;
        let positive = self.positive.iter().filter(|positive| **positive).count();
        if positive == 0 || positive == rows {
            return Err(HeadError::OneClass { rows, positive });
        }
        Ok(())
    }

    /// Number of patients.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.iter().collect::<BTreeSet<_>>().len()
    }
}

/// Finds values that are NaN or infinite.
pub(crate) fn check_finite(x: ArrayView2<'_, f64>) -> Result<(), HeadError> {
    let mut bad = x.indexed_iter().filter(|(_, value)| !value.is_finite());
    let Some(((row, column), _)) = bad.next() else {
        return Ok(());
    };
    Err(HeadError::NotFinite {
        count: 1 + bad.count(),
        row,
        column,
    })
}

/// A fitted classifier on features that are already standardised; [`FittedHead`] does that before.
pub trait Head: fmt::Debug + Send + Sync {
    /// The head's name in recipes and reports, e.g. `svm-rbf`.
    fn kind(&self) -> &'static str;

    /// Columns that it expects.
    fn feature_dim(&self) -> usize;

    /// How much each row looks like the positive class: greater is more alike.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, F]`
    /// - output: `N` scores
    fn score(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, HeadError>;

    /// Everything that makes up the fitted head, for its file.
    fn tensors(&self) -> BTreeMap<String, Tensor64>;

    /// `F` weights where the score rises with the sum of weights times features, whatever the features; `None` for other
    /// heads.
    fn weights(&self) -> Option<&[f64]> {
        None
    }
}

/// An array of a fitted head as its file holds it, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor64 {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f64>,
}

/// Which head, with the hyperparameters that are fixed; those left out are chosen by [`HeadConfig::fit`].
///
/// In a recipe it is a name, or a table with a `kind`:
///
/// ```
/// use hounsfield::heads::HeadConfig;
/// #[derive(serde::Deserialize)]
/// struct Probe {
///     heads: Vec<HeadConfig>,
/// }
/// let probe: Probe = toml::from_str(r#"heads = ["linear", { kind = "svm-rbf", c = 1.0, gamma = "scale" }]"#)?;
/// assert_eq!(probe.heads[1].name(), "svm-rbf");
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HeadConfig {
    /// Least squares on 0 and 1.
    Linear(LinearConfig),
    /// Logistic regression with an L2 penalty.
    Logistic(LogisticConfig),
    /// Support vector machine without a kernel.
    SvmLinear(SvmLinearConfig),
    /// Support vector machine with a Gaussian kernel.
    SvmRbf(SvmRbfConfig),
    /// Share of positives among the nearest training rows.
    Knn(KnnConfig),
}

/// `$config` is what the variant holds, `$body` what is done with it.
macro_rules! each {
    ($head:expr, $config:ident => $body:expr) => {
        match $head {
            HeadConfig::Linear($config) => $body,
            HeadConfig::Logistic($config) => $body,
            HeadConfig::SvmLinear($config) => $body,
            HeadConfig::SvmRbf($config) => $body,
            HeadConfig::Knn($config) => $body,
        }
    };
}

impl HeadConfig {
    /// The names of all heads, as recipes write them.
    pub const KINDS: [&str; 5] = ["linear", "logistic", "svm-linear", "svm-rbf", "knn"];

    /// Every head with its defaults.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Linear(LinearConfig::default()),
            Self::Logistic(LogisticConfig::default()),
            Self::SvmLinear(SvmLinearConfig::default()),
            Self::SvmRbf(SvmRbfConfig::default()),
            Self::Knn(KnnConfig::default()),
        ]
    }

    /// The head's name, e.g. `svm-rbf`, whatever its hyperparameters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) => linear::KIND,
            Self::Logistic(_) => logistic::KIND,
            Self::SvmLinear(_) => svm_linear::KIND,
            Self::SvmRbf(_) => svm_rbf::KIND,
            Self::Knn(_) => knn::KIND,
        }
    }

    /// Whether every fixed hyperparameter is in its range. [`HeadConfig::fit`] asks this too.
    pub fn check(&self) -> Result<(), HeadError> {
        each!(self, config => tuning::Learner::check(config))
    }

    /// Fits the head; open hyperparameters are chosen by [`Tuning`] inside `set`.
    pub fn fit(&self, set: &TrainingSet<'_>, tuning: &Tuning, seed: u64) -> Result<FittedHead, HeadError> {
        each!(self, config => tuning::fit(config, self, set, tuning, seed))
    }

    /// Scores of every row by a head that never saw the row's patient: the whole [`HeadConfig::fit`], with its choice
    /// of hyperparameters, is repeated for each of [`Tuning::folds`] folds. Of use for a threshold where no rows can be
    /// spared for validation.
    ///
    /// # Errors
    ///
    /// As [`HeadConfig::fit`], and where a class has fewer than two patients.
    pub fn out_of_fold(&self, set: &TrainingSet<'_>, tuning: &Tuning, seed: u64) -> Result<Vec<f64>, HeadError> {
        tuning::out_of_fold(self, set, tuning, seed)
    }

    /// Puts a fitted head together again from the arrays of its file.
    fn restore(&self, tensors: &BTreeMap<String, Tensor64>) -> Result<Arc<dyn Head>, String> {
        match self {
            Self::Linear(_) => hyperplane::Hyperplane::restore(linear::KIND, hyperplane::Link::Identity, tensors),
            Self::Logistic(_) => hyperplane::Hyperplane::restore(logistic::KIND, hyperplane::Link::Logistic, tensors),
            Self::SvmLinear(_) => {
                hyperplane::Hyperplane::restore(svm_linear::KIND, hyperplane::Link::Identity, tensors)
            }
            Self::SvmRbf(_) => svm_rbf::SvmRbf::restore(tensors),
            Self::Knn(_) => knn::Knn::restore(tensors),
        }
    }
}

impl<'de> Deserialize<'de> for HeadConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The tabular form; the enum itself also takes a bare name.
        #[derive(Deserialize)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        enum Table {
            Linear(LinearConfig),
            Logistic(LogisticConfig),
            SvmLinear(SvmLinearConfig),
            SvmRbf(SvmRbfConfig),
            Knn(KnnConfig),
        }
        struct NameOrTable;
        impl<'de> de::Visitor<'de> for NameOrTable {
            type Value = HeadConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "the name of a head ({}) or a table with a kind",
                    HeadConfig::KINDS.join(", ")
                )
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<HeadConfig, E> {
                HeadConfig::all()
                    .into_iter()
                    .find(|head| head.name() == name)
                    .ok_or_else(|| E::unknown_variant(name, &HeadConfig::KINDS))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<HeadConfig, A::Error> {
                let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(match table {
                    Table::Linear(config) => HeadConfig::Linear(config),
                    Table::Logistic(config) => HeadConfig::Logistic(config),
                    Table::SvmLinear(config) => HeadConfig::SvmLinear(config),
                    Table::SvmRbf(config) => HeadConfig::SvmRbf(config),
                    Table::Knn(config) => HeadConfig::Knn(config),
                })
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Probe {
        heads: Vec<HeadConfig>,
    }

    fn parse(text: &str) -> Result<Vec<HeadConfig>, String> {
        toml::from_str::<Probe>(text)
            .map(|probe| probe.heads)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn names_are_unique_and_configs_survive_toml() {
        let heads = HeadConfig::all();
        assert_eq!(
            heads.iter().map(HeadConfig::name).collect::<Vec<_>>(),
            HeadConfig::KINDS
        );
        let text = toml::to_string(&Probe { heads: heads.clone() }).unwrap();
        assert_eq!(parse(&text).unwrap(), heads, "{text}");
        let names = format!("heads = {:?}", HeadConfig::KINDS);
        assert_eq!(parse(&names).unwrap(), heads);
        let fixed = r#"heads = [{ kind = "linear", lambda = "tuned" }, { kind = "svm-rbf", c = 2, gamma = 0.5 },
            { kind = "svm-rbf", gamma = "auto", standardize = false }, { kind = "knn", k = 7 }]"#;
        let heads = parse(fixed).unwrap();
        let again = toml::to_string(&Probe { heads: heads.clone() }).unwrap();
        assert_eq!(parse(&again).unwrap(), heads, "{again}");
    }

    #[test]
    fn unknown_names_and_keys_are_refused_with_the_valid_ones() {
        let error = parse(r#"heads = ["svmm"]"#).unwrap_err();
        assert!(
            error.contains("unknown variant `svmm`") && error.contains("`svm-rbf`"),
            "{error}"
        );
        let error = parse(r#"heads = [{ kind = "forest" }]"#).unwrap_err();
        assert!(
            error.contains("unknown variant `forest`") && error.contains("`knn`"),
            "{error}"
        );
        let error = parse(r#"heads = [{ kind = "knn", neighbours = 3 }]"#).unwrap_err();
        assert!(
            error.contains("unknown field `neighbours`") && error.contains("`k`"),
            "{error}"
        );
        let error = parse(r#"heads = [{ kind = "svm-rbf", gamma = "wide" }]"#).unwrap_err();
        assert!(error.contains("\"scale\", \"auto\" or a number"), "{error}");
        assert!(parse(r#"heads = [{ c = 1.0 }]"#).unwrap_err().contains("kind"));
    }

    #[test]
    fn hyperparameters_out_of_range_are_refused() {
        for text in [
            r#"{ kind = "logistic", c = 0.0 }"#,
            r#"{ kind = "svm-linear", c = -1.0 }"#,
            r#"{ kind = "svm-rbf", gamma = inf }"#,
            r#"{ kind = "knn", k = 0 }"#,
            r#"{ kind = "linear", lambda = -0.5 }"#,
        ] {
            let head = &parse(&format!("heads = [{text}]")).unwrap()[0];
            let error = head.check().unwrap_err().to_string();
            assert!(error.contains("expected"), "{error}");
        }
        assert!(HeadConfig::all().iter().all(|head| head.check().is_ok()));
    }
}
