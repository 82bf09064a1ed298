//! Folds of rows that keep groups whole and classes balanced, as scikit-learn's `StratifiedGroupKFold` means them.

use std::collections::BTreeMap;

use rand::{Rng, seq::SliceRandom as _};

/// Why there are no folds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// Fewer than two folds were asked for.
    #[error("{k} folds were asked for, at least 2 are needed")]
    TooFewFolds {
        /// Folds asked for.
        k: usize,
    },
    /// Labels and groups are of different rows.
    #[error("{labels} labels and {groups} groups, expected one of each a row")]
    Length {
        /// Number of labels.
        labels: usize,
        /// Number of groups.
        groups: usize,
    },
    /// A class is in fewer groups than there are folds, so some fold would lack it.
    #[error(
        "{k} folds need {k} groups (patients) of each class, found {positive} with positive and {negative} with \
         negative rows: use fewer folds or more patients"
    )]
    TooFewGroups {
        /// Folds asked for.
        k: usize,
        /// Groups that hold at least one positive row.
        positive: usize,
        /// Groups that hold at least one negative row.
        negative: usize,
    },
}

/// What a group brings into a fold.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    positive: usize,
    negative: usize,
}

/// The fold (`0..k`) of each row.
///
/// Rows of one group are always in one fold, every fold holds rows of both classes, and rows of each class are spread
/// evenly as far as whole groups allow (large groups are placed first, each where its class is scarcest). The draw
/// decides among groups of similar size. The folds of the groups do not depend on the order of the rows.
///
/// # Errors
///
/// Where a class is in fewer than `k` groups; the numbers are in the message.
///
/// ```
/// use hounsfield::{seed, stats::grouped_folds};
/// let positive = [true, true, false, false, true, false];
/// let groups = [7, 7, 8, 8, 9, 5];
/// let fold = grouped_folds(&positive, &groups, 2, &mut seed::stream(0, "folds"))?;
/// assert_eq!(fold[0], fold[1]);
/// assert_ne!(fold[0], fold[4]);
/// # Ok::<(), hounsfield::stats::FoldError>(())
/// ```
pub fn grouped_folds(
    positive: &[bool],
    groups: &[usize],
    k: usize,
    rng: &mut impl Rng,
) -> Result<Vec<usize>, FoldError> {
    if k < 2 {
        return Err(FoldError::TooFewFolds { k });
    }
    if positive.len() != groups.len() {
        return Err(FoldError::Length {
            labels: positive.len(),
            groups: groups.len(),
        });
    }
    let mut counts = BTreeMap::<usize, Count>::new();
    for (&positive, &group) in positive.iter().zip(groups) {
        let count = counts.entry(group).or_default();
        if positive {
            count.positive += 1;
        } else {
            count.negative += 1;
        }
    }
    let with_positive = counts.values().filter(|count| count.positive > 0).count();
    let with_negative = counts.values().filter(|count| count.negative > 0).count();
    if with_positive < k || with_negative < k {
        return Err(FoldError::TooFewGroups {
            k,
            positive: with_positive,
            negative: with_negative,
        });
    }

    let mut order: Vec<(usize, Count)> = counts.into_iter().collect();
    order.shuffle(rng);
    // Groups of both classes come first, one a fold while folds are empty. Then a class always finds enough groups for
    // the folds that still lack it, because a group goes where its class is scarcest: every fold gets both. Within a
    // class the large come first; sizes are compared by powers of two, so that the draw has a say among similar ones.
    order.sort_by_key(|(_, count)| {
        let mixed = count.positive > 0 && count.negative > 0;
        (!mixed, std::cmp::Reverse((count.positive + count.negative).ilog2()))
    });

    let mut folds = vec![Count::default(); k];
    let mut fold_of = BTreeMap::new();
    for (group, count) in order {
        let scarcity = |fold: &Count| {
            let rows = fold.positive + fold.negative;
            match (count.positive > 0, count.negative > 0) {
                (true, false) => (fold.positive, rows),
                (false, true) => (fold.negative, rows),
                _ => (rows, rows),
            }
        };
        let best = (0..k)
            .min_by_key(|&fold| scarcity(&folds[fold]))
            .expect("k is at least 2");
        folds[best].positive += count.positive;
        folds[best].negative += count.negative;
        fold_of.insert(group, best);
    }
    Ok(groups.iter().map(|group| fold_of[group]).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::RngExt as _;

    use super::*;
    use crate::seed::stream;

    /// 60 groups of 1 to 9 rows, some mixed, about a third positive.
    fn made(seed: u64) -> (Vec<bool>, Vec<usize>) {
        let mut rng = stream(seed, "made");
        let (mut positive, mut groups) = (vec![], vec![]);
        for group in 0..60 {
            let mixed = rng.random_bool(0.1);
            let label = rng.random_bool(0.33);
            for row in 0..rng.random_range(1..10) {
                positive.push(if mixed { row % 2 == 0 } else { label });
                groups.push(group * 17);
            }
        }
        (positive, groups)
    }

    #[test]
    fn groups_stay_whole_and_folds_are_balanced() {
        for seed in 0..20 {
            let (positive, groups) = made(seed);
            let fold = grouped_folds(&positive, &groups, 5, &mut stream(seed, "folds")).unwrap();
            let pairs: BTreeSet<_> = groups.iter().zip(&fold).collect();
            let whole: BTreeSet<_> = groups.iter().collect();
            assert_eq!(pairs.len(), whole.len(), "a group is in two folds");
            let all = positive.iter().filter(|p| **p).count() as f64 / 5.0;
            for k in 0..5 {
                let rows = fold.iter().filter(|f| **f == k).count() as f64;
                let positives = (0..fold.len()).filter(|&i| fold[i] == k && positive[i]).count() as f64;
                assert!((positives - all).abs() < 7.0, "{positives} positives, {all} expected");
                let even = fold.len() as f64 / 5.0;
                assert!((rows - even).abs() < 14.0, "{rows} rows, {even} expected");
            }
        }
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter() {
        let (positive, groups) = made(3);
        let fold = grouped_folds(&positive, &groups, 4, &mut stream(1, "folds")).unwrap();
        let mut order: Vec<usize> = (0..fold.len()).collect();
        order.shuffle(&mut stream(2, "order"));
        let shuffled_positive: Vec<_> = order.iter().map(|&i| positive[i]).collect();
        let shuffled_groups: Vec<_> = order.iter().map(|&i| groups[i]).collect();
        let again = grouped_folds(&shuffled_positive, &shuffled_groups, 4, &mut stream(1, "folds")).unwrap();
        assert!(order.iter().zip(&again).all(|(&i, &f)| fold[i] == f));
        let other = grouped_folds(&positive, &groups, 4, &mut stream(9, "folds")).unwrap();
        assert_ne!(fold, other, "the seed has no say");
    }

    #[test]
    fn every_fold_has_both_classes_whenever_that_is_possible() {
        // Exactly k groups of each class, two of them mixed: the tightest case.
        let groups = [0, 0, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7];
        let positive = [
            true, false, true, false, true, true, false, false, false, false, true, false,
        ];
        for seed in 0..50 {
            let fold = grouped_folds(&positive, &groups, 5, &mut stream(seed, "folds")).unwrap();
            for k in 0..5 {
                for class in [true, false] {
                    assert!(
                        (0..12).any(|i| fold[i] == k && positive[i] == class),
                        "seed {seed}, fold {k}"
                    );
                }
            }
        }
    }

    #[test]
    fn too_few_groups_is_an_error_with_the_numbers() {
        let error = grouped_folds(&[true, true, false, false], &[1, 1, 2, 3], 2, &mut stream(0, "f")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("2 folds need 2 groups (patients) of each class, found 1 with positive and 2"));
        assert!(grouped_folds(&[true], &[1, 2], 2, &mut stream(0, "f")).is_err());
        assert!(grouped_folds(&[true], &[1], 1, &mut stream(0, "f")).is_err());
    }
}
