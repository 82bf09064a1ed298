//! Which rows belong together: rows of one cluster (patient) are drawn, left out and summed together.

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
}
