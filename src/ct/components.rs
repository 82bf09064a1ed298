//! Connected components of a mask, found by its runs along the rows; neighbours share a side, not a corner.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

/// Pixels of one row that lie side by side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub row: usize,
    pub columns: Range<usize>,
}

/// The runs of one row, from left to right.
pub(super) fn runs(row: &[bool]) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = next(row, from, true);
        let end = next(row, start, false);
        from = end;
        (start < end).then_some(start..end)
    })
}

/// The first place from here on that is as wanted, the row's end where there is none.
fn next(row: &[bool], from: usize, wanted: bool) -> usize {
    // Whole blocks are looked through without a branch, which vectorises; long runs are the rule.
    const BLOCK: usize = 32;
    let without = |block: &&[bool]| !block.iter().fold(false, |found, set| found | (*set == wanted));
    let skipped = row[from..].chunks_exact(BLOCK).take_while(without).count();
    let start = from + BLOCK * skipped;
    let place = row[start..].iter().position(|set| *set == wanted);
    place.map_or(row.len(), |place| start + place)
}

/// The components of a mask.
#[derive(Debug)]
pub(super) struct Components {
    /// In the order of the rows.
    runs: Vec<Run>,
    /// The component of each run, from 0 on.
    component: Vec<usize>,
    count: usize,
}

impl Components {
    /// Those of a mask, `[H, W]`.
    pub fn of(mask: ArrayView2<'_, bool>) -> Self {
        let mask = mask.as_standard_layout();
        let pixels = mask.as_slice().expect("standard layout is contiguous");
        let mut runs: Vec<Run> = Vec::new();
        let mut parents: Vec<usize> = Vec::new();
        let mut above = 0..0;
        for (row, pixels) in pixels.chunks_exact(mask.ncols().max(1)).enumerate() {
            let begin = runs.len();
            let mut candidate = above.start;
            for columns in self::runs(pixels) {
                let run = runs.len();
                parents.push(run);
                // Runs of the row above that end before this one starts touch none of those that follow.
                while candidate < above.end && runs[candidate].columns.end <= columns.start {
                    candidate += 1;
                }
                for other in (candidate..above.end).take_while(|other| runs[*other].columns.start < columns.end) {
                    join(&mut parents, other, run);
                }
                runs.push(Run { row, columns });
            }
            above = begin..runs.len();
        }
        let mut names = vec![usize::MAX; runs.len()];
        let mut count = 0;
        let component = (0..runs.len())
            .map(|run| {
                let root = root(&mut parents, run);
                if names[root] == usize::MAX {
                    names[root] = count;
                    count += 1;
                }
                names[root]
            })
            .collect();
        Self { runs, component, count }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Each run with its component.
    pub fn runs(&self) -> impl Iterator<Item = (usize, &Run)> {
        self.component.iter().copied().zip(&self.runs)
    }

    /// What a function gives for the runs of each component, added up.
    pub fn sums(&self, of: impl Fn(&Run) -> usize) -> Vec<usize> {
        let mut sums = vec![0; self.count];
        for (component, run) in self.runs() {
            sums[component] += of(run);
        }
        sums
    }

    /// Pixels of each component.
    pub fn areas(&self) -> Vec<usize> {
        self.sums(|run| run.columns.len())
    }

    /// The component with most pixels, the first of them where there are several; `None` where nothing is set.
    pub fn largest(&self) -> Option<usize> {
        let areas = self.areas();
        (0..self.count).rev().max_by_key(|component| areas[*component])
    }

    /// The components that are wanted as a mask, `[H, W]`.
    pub fn mask(&self, dim: (usize, usize), wanted: impl Fn(usize) -> bool) -> Array2<bool> {
        let mut mask = Array2::from_elem(dim, false);
        for (component, run) in self.runs() {
            if wanted(component) {
                mask.row_mut(run.row)
                    .slice_mut(ndarray::s![run.columns.clone()])
                    .fill(true);
            }
        }
        mask
    }
}

fn root(parents: &mut [usize], mut run: usize) -> usize {
    while parents[run] != run {
        parents[run] = parents[parents[run]];
        run = parents[run];
    }
    run
}

fn join(parents: &mut [usize], one: usize, other: usize) {
    let (one, other) = (root(parents, one), root(parents, other));
    parents[one.max(other)] = one.min(other);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Array2<bool> {
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i].as_bytes()[j] == b'#')
    }

    #[test]
    fn arms_that_meet_further_down_are_one_and_corners_do_not_touch() {
        let found = Components::of(mask(&["#.#.#", "#.#..", "###.#", "...#.", "#.#.#"]).view());
        let mut areas = found.areas();
        areas.sort_unstable();
        assert_eq!(areas, [1, 1, 1, 1, 1, 1, 7]);
        assert_eq!(found.areas()[found.largest().unwrap()], 7);
    }

    #[test]
    fn nothing_set_is_no_component() {
        for dim in [(0, 0), (1, 1), (3, 0), (4, 4)] {
            let found = Components::of(Array2::from_elem(dim, false).view());
            assert_eq!((found.count, found.largest()), (0, None));
        }
    }

    /// Every pixel is in one component, and neighbours are in the same one: what the definition says, pixel by pixel.
    #[test]
    fn components_of_noise_are_those_of_the_definition() {
        let mut state = 7u32;
        let noise = Array2::from_shape_fn((40, 33), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 30 != 0
        });
        let found = Components::of(noise.view());
        let mut label = Array2::from_elem(noise.dim(), usize::MAX);
        for (component, run) in found.runs() {
            for column in run.columns.clone() {
                label[[run.row, column]] = component;
            }
        }
        assert_eq!(label.mapv(|component| component != usize::MAX), noise);
        let mut reached = vec![false; found.count];
        for start in noise.indexed_iter().filter(|(_, set)| **set).map(|(at, _)| at) {
            let component = label[start];
            if std::mem::replace(&mut reached[component], true) {
                continue;
            }
            let (mut seen, mut left) = (Array2::from_elem(noise.dim(), false), vec![start]);
            while let Some((i, j)) = left.pop() {
                if i < 40 && j < 33 && noise[[i, j]] && !std::mem::replace(&mut seen[[i, j]], true) {
                    left.extend([(i + 1, j), (i, j + 1), (i.wrapping_sub(1), j), (i, j.wrapping_sub(1))]);
                }
            }
            assert_eq!(seen, label.mapv(|other| other == component));
        }
    }
}
