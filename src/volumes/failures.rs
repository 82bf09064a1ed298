//! Why scans have no voxels or no score, by count.

use std::collections::BTreeMap;

/// So many reasons are told.
const SHOWN: usize = 5;

/// The reasons of rows that failed with how many rows have each, the most frequent first, e.g. `no such file (2); not a CT scan (1)`.
pub(super) fn reasons(failures: &[(usize, String)]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for (_, why) in failures {
        *counts.entry(why).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let mut shown: Vec<String> = counts
        .iter()
        .take(SHOWN)
        .map(|(why, n)| format!("{why} ({n})"))
        .collect();
    if counts.len() > shown.len() {
        shown.push(format!("{} other reasons", counts.len() - shown.len()));
    }
    shown.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_reasons_come_first_and_rare_ones_are_counted() {
        let whys = ["a", "b", "b", "c", "d", "e", "f", "g"];
        let failures: Vec<_> = whys.iter().map(|why| (0, (*why).to_owned())).collect();
        assert_eq!(reasons(&failures), "b (2); a (1); c (1); d (1); e (1); 2 other reasons");
    }
}
