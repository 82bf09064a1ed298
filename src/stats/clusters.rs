//! Which rows belong together: rows of one cluster (patient) are drawn, left out and summed together.

use rayon::prelude::*;

/// The cluster of each row.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// From 0.
    of_row: Vec<u32>,
    count: usize,
}

impl Clusters {
    /// Clusters from any integers, one a row. Their numerical order is the order in which they are drawn, so that the
    /// order of the rows changes nothing.
    pub fn new(ids: &[usize]) -> Self {
        let mut distinct = ids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(
            u32::try_from(distinct.len()).is_ok(),
            "a set has fewer than 2^32 patients"
        );
        let position = |id: &usize| distinct.partition_point(|other| other < id) as u32;
        Self {
            of_row: ids.iter().map(position).collect(),
            count: distinct.len(),
        }
    }

    /// Number of clusters.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The cluster of each row, from 0 in the order of the ids.
    pub fn of_row(&self) -> &[u32] {
        &self.of_row
    }

    /// A statistic without each cluster in turn, in their order; `None` where it is not defined without one of them.
    ///
    /// `statistic` is given the weight of each row, 0 for those left out and 1 for the others. One pass a cluster: for
    /// an AUC [`ClusterRanking::jackknife`](super::ClusterRanking::jackknife) takes one in all.
    pub fn jackknife<F>(&self, statistic: F) -> Option<Vec<f64>>
    where
        F: Fn(&[u32]) -> Option<f64> + Sync,
    {
        let without = |weights: &mut Vec<u32>, out: usize| {
            for (weight, &cluster) in weights.iter_mut().zip(&self.of_row) {
                *weight = u32::from(cluster as usize != out);
            }
            statistic(weights)
        };
        (0..self.count)
            .into_par_iter()
            .map_init(|| vec![0; self.of_row.len()], without)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Clusters;
    use crate::stats::{ClusterRanking, Ranking};

    #[test]
    fn clusters_are_numbered_in_the_order_of_their_ids() {
        let clusters = Clusters::new(&[70, 3, 70, 12]);
        assert_eq!((clusters.count(), clusters.of_row()), (3, &[2, 0, 2, 1][..]));
        assert_eq!(Clusters::new(&[]).count(), 0);
    }

    #[test]
    fn the_jackknife_of_rows_is_that_of_counts() {
        let positive = [true, false, true, false, false, true];
        let score = [0.5, 0.5, 0.9, 0.7, 0.1, 0.1];
        let clusters = Clusters::new(&[4, 4, 9, 1, 1, 7]);
        let ranking = Ranking::new(&positive, &score);
        let by_rows = clusters.jackknife(|weights| ranking.auc(weights));
        assert_eq!(by_rows, ClusterRanking::new(&positive, &score, &clusters).jackknife());
        assert_eq!(clusters.jackknife(|weights| (weights[0] > 0).then_some(1.0)), None);
    }
}
