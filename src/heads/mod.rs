//! Classifiers on features: one file a head.
//!
//! A head is binary: it scores how much a row looks like the positive class. Labels are named long before; here they
//! are `bool`, so that no solver's own idea of the first or larger class can turn a score over.

use ndarray::ArrayView2;

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
