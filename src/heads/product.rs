//! Products of feature matrices row block by row block: the ground of kernels and of nearest neighbours.
//!
//! Blocks have a fixed size and each is multiplied by one thread, so that results do not depend on the number of
//! threads.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use ndarray::{ArrayView2, CowArray, Ix2};
use rayon::prelude::*;

/// Rows of the left matrix in one block: enough to keep the multiplication busy, few enough for the cache.
const BLOCK: usize = 64;

/// `[N, F]` with rows in one piece, and the squared length of each row.
pub(super) struct Rows<'a> {
    x: CowArray<'a, f64, Ix2>,
    norms: Vec<f64>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(x: ArrayView2<'a, f64>) -> Self {
        // `as_standard_layout` of a view borrows from the view, not from what the view looks at.
        let x: CowArray<'a, f64, Ix2> = if x.is_standard_layout() {
            x.into()
        } else {
            x.as_standard_layout().into_owned().into()
        };
        let norms = x.rows().into_iter().map(|row| row.dot(&row)).collect();
        Self { x, norms }
    }

    pub(super) fn len(&self) -> usize {
        self.norms.len()
    }

    pub(super) fn norms(&self) -> &[f64] {
        &self.norms
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        let width = self.x.ncols();
        &self.values()[row * width..(row + 1) * width]
    }

    fn values(&self) -> &[f64] {
        self.x.as_slice().expect("rows are in one piece")
    }
}

/// Gives `each` the inner products of a row of `a` with all rows of `b`, in the order of the rows of `a`.
pub(super) fn map_products<R: Send>(
    a: &Rows<'_>,
    b: &Rows<'_>,
    each: impl Fn(usize, &mut [f64]) -> R + Sync,
) -> Vec<R> {
    let (width, columns) = (a.x.ncols(), b.len());
    let blocks: Vec<Vec<R>> = (0..a.len().div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let first = block * BLOCK;
            let rows = BLOCK.min(a.len() - first);
            let mut products = vec![0.0; rows * columns];
            matmul(
                MatMut::from_row_major_slice_mut(&mut products, rows, columns),
                Accum::Replace,
                MatRef::from_row_major_slice(&a.values()[first * width..(first + rows) * width], rows, width),
                MatRef::from_row_major_slice(b.values(), columns, width).transpose(),
                1.0,
                Par::Seq,
            );
            // A table without rows has no chunks to hand out, and chunks of none are a panic.
            let chunks = products.chunks_mut(columns.max(1));
            chunks
                .enumerate()
                .map(|(row, products)| each(first + row, products))
                .collect()
        })
        .collect();
    blocks.into_iter().flatten().collect()
}

/// `[N, M]` inner products in single precision, as libsvm keeps its kernel.
pub(super) fn inner_products(a: &Rows<'_>, b: &Rows<'_>) -> Vec<f32> {
    fill(a, b, |product, _, _| product as f32)
}

/// `[N, M]` squared Euclidean distances in single precision.
pub(super) fn squared_distances(a: &Rows<'_>, b: &Rows<'_>) -> Vec<f32> {
    fill(a, b, |product, a, b| (a + b - 2.0 * product).max(0.0) as f32)
}

fn fill(a: &Rows<'_>, b: &Rows<'_>, value: impl Fn(f64, f64, f64) -> f32 + Sync) -> Vec<f32> {
    let rows = map_products(a, b, |row, products| {
        let norm = a.norms[row];
        let values = products
            .iter()
            .zip(&b.norms)
            .map(|(&product, &other)| value(product, norm, other));
        values.collect::<Vec<f32>>()
    });
    rows.concat()
}
