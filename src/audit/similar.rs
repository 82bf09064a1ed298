//! Pairs of rows that point the same way, among all pairs, block by block, so that memory stays bounded.

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

/// Rows of a block: `[BLOCK, N]` products are held at once by each thread.
const BLOCK: usize = 256;

/// Pairs that one block keeps at most: beyond, they are counted only.
const KEPT: usize = 200_000;

/// Two rows and the cosine between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub(super) rows: [usize; 2],
    pub(super) cosine: f32,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Similar {
    /// The pairs, the most alike first.
    pub(super) pairs: Vec<Pair>,
    /// Pairs that were counted only.
    pub(super) beyond: usize,
}

/// All pairs (the first row before the second) of at least this cosine for which `wanted` holds.
///
/// # Shapes
///
/// - `unit`: `[N, F]`, each row of length 1, or 0 where it points nowhere
pub(super) fn pairs_above(
    unit: ArrayView2<'_, f32>,
    least: f32,
    wanted: impl Fn([usize; 2]) -> bool + Sync,
) -> Similar {
    pairs_keeping(unit, least, wanted, KEPT)
}

fn pairs_keeping(
    unit: ArrayView2<'_, f32>,
    least: f32,
    wanted: impl Fn([usize; 2]) -> bool + Sync,
    kept: usize,
) -> Similar {
    let n = unit.nrows();
    let blocks: Vec<usize> = (0..n).step_by(BLOCK).collect();
    let found: Vec<(Vec<Pair>, usize)> = blocks
        .into_par_iter()
        .map(|start| {
            let end = (start + BLOCK).min(n);
            let products = unit.slice(s![start..end, ..]).dot(&unit.slice(s![start.., ..]).t()); // [BLOCK, N - start]
            let (mut pairs, mut beyond) = (Vec::new(), 0);
            for (first, row) in products.outer_iter().enumerate() {
                for (second, &cosine) in row.iter().enumerate().skip(first + 1) {
                    let rows = [start + first, start + second];
                    if cosine >= least && wanted(rows) {
                        match pairs.len() < kept {
                            true => pairs.push(Pair { rows, cosine }),
                            false => beyond += 1,
                        }
                    }
                }
            }
            (pairs, beyond)
        })
        .collect();
    let beyond = found.iter().map(|(_, beyond)| beyond).sum();
    let mut pairs: Vec<Pair> = found.into_iter().flat_map(|(pairs, _)| pairs).collect();
    pairs.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.rows.cmp(&b.rows)));
    Similar { pairs, beyond }
}

/// The nearest other row of each, by cosine; `None` for a row that points nowhere or is alone.
pub(super) fn first_neighbours(unit: ArrayView2<'_, f32>) -> Vec<Option<usize>> {
    let n = unit.nrows();
    let blocks: Vec<usize> = (0..n).step_by(BLOCK).collect();
    let found: Vec<Vec<Option<usize>>> = blocks
        .into_par_iter()
        .map(|start| {
            let end = (start + BLOCK).min(n);
            let products = unit.slice(s![start..end, ..]).dot(&unit.t()); // [BLOCK, N]
            let nearest = products.outer_iter().enumerate().map(|(offset, row)| {
                let own = start + offset;
                if row[own] < 0.5 {
                    return None; // of length 0
                }
                let mut best: Option<(usize, f32)> = None;
                for (other, &cosine) in row.iter().enumerate() {
                    if other != own && best.is_none_or(|(_, most)| cosine > most) {
                        best = Some((other, cosine));
                    }
                }
                best.map(|(other, _)| other)
            });
            nearest.collect()
        })
        .collect();
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn pairs_are_those_of_the_plain_loop_across_blocks() {
        let n = 2 * BLOCK + 7;
        let unit = Array2::from_shape_fn((n, 2), |(row, axis)| {
            let angle = (row * 37 % n) as f32 * 0.01;
            if axis == 0 { angle.cos() } else { angle.sin() }
        });
        let mut plain = 0;
        for a in 0..n {
            for b in a + 1..n {
                plain += usize::from(unit.row(a).dot(&unit.row(b)) >= 0.9999 && (a + b) % 2 == 0);
            }
        }
        let Similar { pairs, beyond } = pairs_above(unit.view(), 0.9999, |[a, b]| (a + b) % 2 == 0);
        assert_eq!(beyond, 0);
        let few = pairs_keeping(unit.view(), 0.9999, |[a, b]| (a + b) % 2 == 0, 10);
        assert!(few.pairs.len() <= 30 && few.pairs.len() + few.beyond == pairs.len());
        assert!(
            plain > 100 && pairs.len().abs_diff(plain) <= 2,
            "{} and {plain}",
            pairs.len()
        );
        assert!(pairs.iter().all(|pair| pair.rows[0] < pair.rows[1]));
        let nearest = first_neighbours(unit.view());
        let far = (0..n).filter(|&row| unit.row(row).dot(&unit.row(nearest[row].unwrap())) < 0.9999);
        assert_eq!(far.count(), 0);
    }

    #[test]
    fn a_row_of_zeros_has_no_neighbour() {
        let unit = ndarray::arr2(&[[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]);
        assert_eq!(first_neighbours(unit.view()), [Some(2), None, Some(0)]);
    }
}
