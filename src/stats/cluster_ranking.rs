//! The AUC of resampled clusters: rows are ranked once, and a resample is one pass over counts.

use super::{Bootstrap, Clusters, Ranking, Replicates, StatsError};

/// One score's rows by falling score, with what a resample of whole clusters leaves open: how often each was drawn.
///
/// Rows of one cluster, class and score stand as one with their number.
#[derive(Debug, Clone)]
pub struct ClusterRanking {
    /// By falling score; of equal scores the positives first.
    entries: Vec<Entry>,
    /// Ranges of entries of one score with both classes.
    mixed: Vec<std::ops::Range<usize>>,
    clusters: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    cluster: u32,
    /// Rows, in the field of their class; the other is 0.
    positives: u32,
    negatives: u32,
}

impl ClusterRanking {
    /// Ranks the rows. `positive`, `score` and the rows of `clusters` are of one length; scores are not NaN.
    pub fn new(positive: &[bool], score: &[f64], clusters: &Clusters) -> Self {
        let of_row = clusters.of_row();
        assert_eq!(of_row.len(), score.len(), "one cluster a row");
        let ranking = Ranking::new(positive, score);
        let (mut entries, mut mixed) = (Vec::new(), Vec::new());
        let mut same_score: Vec<(bool, u32)> = Vec::new();
        for run in ranking.runs() {
            same_score.clear();
            same_score.extend(run.iter().map(|&(row, positive)| (!positive, of_row[row as usize])));
            same_score.sort_unstable();
            let start = entries.len();
            for alike in same_score.chunk_by(|a, b| a == b) {
                let (negative, cluster) = alike[0];
                let rows = alike.len() as u32;
                let (positives, negatives) = if negative { (0, rows) } else { (rows, 0) };
                entries.push(Entry {
                    cluster,
                    positives,
                    negatives,
                });
            }
            if same_score[0].0 != same_score[same_score.len() - 1].0 {
                mixed.push(start..entries.len());
            }
        }
        Self {
            entries,
            mixed,
            clusters: clusters.count(),
        }
    }

    /// The AUC if each cluster counts as often as `times` says; `None` where that leaves one class only. The same
    /// number as [`Ranking::auc`] gives for the rows' weights.
    pub fn auc(&self, times: &[u32]) -> Option<f64> {
        assert_eq!(times.len(), self.clusters, "one count a cluster");
        let weights = |entry: &Entry| {
            let times = u64::from(times[entry.cluster as usize]);
            (times * u64::from(entry.positives), times * u64::from(entry.negatives))
        };
        // Pairs in which the positive stands higher, all ties among them since positives stand first.
        let (mut pairs_won, mut positives, mut negatives) = (0_u128, 0_u64, 0_u64);
        for entry in &self.entries {
            let (of_positive, of_negative) = weights(entry);
            positives += of_positive;
            negatives += of_negative;
            pairs_won += u128::from(of_negative) * u128::from(positives);
        }
        let mut ties = 0_u128;
        for range in &self.mixed {
            let (mut tied_positives, mut tied_negatives) = (0, 0);
            for entry in &self.entries[range.clone()] {
                let (of_positive, of_negative) = weights(entry);
                tied_positives += of_positive;
                tied_negatives += of_negative;
            }
            ties += u128::from(tied_positives) * u128::from(tied_negatives);
        }
        let pairs = u128::from(positives) * u128::from(negatives);
        (pairs > 0).then(|| (2 * pairs_won - ties) as f64 / (2 * pairs) as f64)
    }

    /// The AUC without each cluster in turn, in their order; `None` where one of them holds all rows of a class.
    ///
    /// One pass and not one a cluster: the pairs that a cluster takes with it are counted at its rows.
    pub fn jackknife(&self) -> Option<Vec<f64>> {
        let mut rows = vec![[0_i64; 2]; self.clusters];
        for entry in &self.entries {
            let [positives, negatives] = &mut rows[entry.cluster as usize];
            *positives += i64::from(entry.positives);
            *negatives += i64::from(entry.negatives);
        }
        let all = rows
            .iter()
            .fold([0, 0], |all, rows| [all[0] + rows[0], all[1] + rows[1]]);
        // Twice the pairs won that a cluster's rows have with all rows, and among each other.
        let (mut with_all, mut within) = (vec![0_i128; self.clusters], vec![0_i128; self.clusters]);
        let mut twice_won = 0_i128;
        let mut above = [0, 0];
        // A cluster's own positives above, and those that tie.
        let (mut own_above, mut own_tied) = (vec![0_i64; self.clusters], vec![0_i64; self.clusters]);
        let mut mixed = self.mixed.iter().peekable();
        let mut start = 0;
        while start < self.entries.len() {
            // Entries of one score, or a single one where no other class ties with it.
            let end = match mixed.next_if(|range| range.start == start) {
                Some(range) => range.end,
                None => start + 1,
            };
            let run = &self.entries[start..end];
            let tied = run.iter().fold([0, 0], |tied, entry| {
                [
                    tied[0] + i64::from(entry.positives),
                    tied[1] + i64::from(entry.negatives),
                ]
            });
            for entry in run {
                let (positives, negatives) = (i64::from(entry.positives), i64::from(entry.negatives));
                let won = i128::from(positives) * i128::from(2 * (all[1] - above[1]) - tied[1]);
                let lost_to = i128::from(negatives) * i128::from(2 * above[0] + tied[0]);
                with_all[entry.cluster as usize] += won + lost_to;
                twice_won += won;
                // Counted from the negative's side: the cluster's own positives above, and half of the tied ones.
                // Positives of a run come before its negatives, so that the tied ones are among `own_above` already.
                let own = &mut own_above[entry.cluster as usize];
                within[entry.cluster as usize] += i128::from(2 * negatives) * i128::from(*own);
                *own += positives;
            }
            if tied[0] > 0 && tied[1] > 0 {
                // Take back half of the ties: those of a cluster's own tied positives.
                for entry in run.iter().filter(|entry| entry.positives > 0) {
                    own_tied[entry.cluster as usize] = i64::from(entry.positives);
                }
                for entry in run.iter().filter(|entry| entry.negatives > 0) {
                    let tied = own_tied[entry.cluster as usize];
                    within[entry.cluster as usize] -= i128::from(entry.negatives) * i128::from(tied);
                }
                for entry in run {
                    own_tied[entry.cluster as usize] = 0;
                }
            }
            above = [above[0] + tied[0], above[1] + tied[1]];
            start = end;
        }
        (0..self.clusters)
            .map(|cluster| {
                let left = twice_won - with_all[cluster] + within[cluster];
                let pairs = i128::from(all[0] - rows[cluster][0]) * i128::from(all[1] - rows[cluster][1]);
                (pairs > 0).then(|| left as f64 / (2 * pairs) as f64)
            })
            .collect()
    }
}

impl Bootstrap {
    /// Resamples the clusters and computes the AUC of every score on each resample: one statistic a score, in their
    /// order; [`Replicates::push_difference`] makes paired differences of them. The same draws and numbers as
    /// [`resample`](Self::resample) with [`Ranking::auc`], and much faster.
    ///
    /// ```
    /// use hounsfield::stats::{Bootstrap, ClusterRanking, Clusters};
    /// let (positive, patients) = ([true, true, false, false, true, false], Clusters::new(&[1, 1, 2, 2, 3, 4]));
    /// let scores = [[0.9, 0.4, 0.5, 0.1, 0.7, 0.2], [0.6, 0.8, 0.7, 0.3, 0.2, 0.4]];
    /// let rankings = scores.map(|score| ClusterRanking::new(&positive, &score, &patients));
    /// let mut replicates = Bootstrap::default().resample_auc(&patients, &rankings).unwrap();
    /// let difference = replicates.push_difference([0, 1]);
    /// let [lower, upper] = replicates.interval(difference);
    /// assert!(lower < 0.2 && upper > 0.2 && replicates.p_value(difference, 0.0) > 0.05);
    /// ```
    pub fn resample_auc(&self, clusters: &Clusters, scores: &[ClusterRanking]) -> Result<Replicates, StatsError> {
        self.resample_times(clusters, |times| scores.iter().map(|score| score.auc(times)).collect())
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::{Bootstrap, ClusterRanking, Clusters, Ranking};

    /// Rows with many ties, patients with rows of both classes.
    fn made(rows: usize, patients: usize, seed: u64) -> (Vec<bool>, Vec<f64>, Clusters) {
        let mut rng = crate::seed::stream(seed, "test");
        let positive: Vec<bool> = (0..rows).map(|_| rng.random_range(0..3) == 0).collect();
        let score = positive
            .iter()
            .map(|&positive| f64::from(rng.random_range(0..20 + 8 * u32::from(positive))))
            .collect();
        let patient: Vec<usize> = (0..rows).map(|_| rng.random_range(0..patients)).collect();
        (positive, score, Clusters::new(&patient))
    }

    #[test]
    fn cluster_counts_say_the_same_as_row_weights() {
        let (positive, score, clusters) = made(300, 40, 0);
        let (fast, slow) = (
            ClusterRanking::new(&positive, &score, &clusters),
            Ranking::new(&positive, &score),
        );
        let bootstrap = Bootstrap::default();
        let rows = bootstrap.resample(&clusters, |weights| Some(vec![slow.auc(weights)?]));
        assert_eq!(bootstrap.resample_auc(&clusters, &[fast]), rows);
    }

    #[test]
    fn the_jackknife_leaves_out_one_cluster_at_a_time() {
        for (rows, patients) in [(300, 40), (60, 50), (200, 7)] {
            let (positive, score, clusters) = made(rows, patients, rows as u64);
            let ranking = ClusterRanking::new(&positive, &score, &clusters);
            let found = ranking.jackknife().unwrap();
            for (out, found) in found.into_iter().enumerate() {
                let times: Vec<u32> = (0..clusters.count()).map(|cluster| u32::from(cluster != out)).collect();
                assert_eq!(Some(found), ranking.auc(&times));
            }
        }
        let lone = ClusterRanking::new(&[true, false, false], &[1.0, 1.0, 0.0], &Clusters::new(&[0, 1, 2]));
        assert_eq!(lone.jackknife(), None);
    }

    #[test]
    fn a_class_that_no_draw_holds_is_an_error() {
        let clusters = Clusters::new(&[0, 1]);
        let ranking = ClusterRanking::new(&[true, true], &[0.0, 1.0], &clusters);
        assert!(Bootstrap::default().resample_auc(&clusters, &[ranking]).is_err());
    }
}
