//! A weight for each feature and an intercept: what least squares, logistic regression and the linear SVM end as.

use std::{collections::BTreeMap, sync::Arc};

use ndarray::{ArrayView1, ArrayView2};

use super::{Head, HeadError, Tensor64};

/// What is done with the weighted sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It is the score.
    Identity,
    /// The score is the probability 1 / (1 + exp(-sum)).
    Logistic,
}

#[derive(Debug, Clone)]
pub(super) struct Hyperplane {
    pub(super) kind: &'static str,
    pub(super) link: Link,
    pub(super) weights: Vec<f64>,
    pub(super) intercept: f64,
}

impl Hyperplane {
    pub(super) fn restore(
        kind: &'static str,
        link: Link,
        tensors: &BTreeMap<String, Tensor64>,
    ) -> Result<Arc<dyn Head>, String> {
        let weights = tensor(tensors, "weights", 1)?.values.clone();
        let intercept = scalar(tensors, "intercept")?;
        Ok(Arc::new(Self {
            kind,
            link,
            weights,
            intercept,
        }))
    }
}

impl Head for Hyperplane {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn feature_dim(&self) -> usize {
        self.weights.len()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Result<Vec<f64>, HeadError> {
        let sums = x.dot(&ArrayView1::from(&self.weights)) + self.intercept;
        Ok(match self.link {
            Link::Identity => sums.to_vec(),
            Link::Logistic => sums.iter().map(|sum| 1.0 / (1.0 + (-sum).exp())).collect(),
        })
    }

    fn tensors(&self) -> BTreeMap<String, Tensor64> {
        BTreeMap::from([
            ("weights".to_owned(), Tensor64::vector(self.weights.clone())),
            ("intercept".to_owned(), Tensor64::vector(vec![self.intercept])),
        ])
    }

    fn weights(&self) -> Option<&[f64]> {
        Some(&self.weights)
    }
}

impl Tensor64 {
    /// An array of one axis.
    pub(super) fn vector(values: Vec<f64>) -> Self {
        Self {
            shape: vec![values.len()],
            values,
        }
    }

    /// An array of two axes.
    pub(super) fn matrix(x: ArrayView2<'_, f64>) -> Self {
        Self {
            shape: x.shape().to_vec(),
            values: x.iter().copied().collect(),
        }
    }
}

/// The tensor of a name with so many axes.
pub(super) fn tensor<'a>(
    tensors: &'a BTreeMap<String, Tensor64>,
    name: &str,
    axes: usize,
) -> Result<&'a Tensor64, String> {
    let tensor = tensors
        .get(name)
        .ok_or_else(|| format!("the array `{name}` is missing"))?;
    if tensor.shape.len() != axes {
        return Err(format!(
            "the array `{name}` has {} axes, expected {axes}",
            tensor.shape.len()
        ));
    }
    Ok(tensor)
}

/// The only value of a tensor.
pub(super) fn scalar(tensors: &BTreeMap<String, Tensor64>, name: &str) -> Result<f64, String> {
    match tensor(tensors, name, 1)?.values[..] {
        [value] => Ok(value),
        ref values => Err(format!("the array `{name}` has {} values, expected 1", values.len())),
    }
}
