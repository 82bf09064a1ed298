//! The leakage null: labels are permuted by patient, and the same pipeline is run again on the same split.
//!
//! Patients change labels within their set only, so that every set keeps its counts of both classes; in
//! cross-validation all folds are one set, and so are all rows of a split by slice. All slices of a patient keep one
//! label.

use std::collections::BTreeMap;

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::{
    StudyError, StudyRun,
    probe::{OUT_OF_FOLD, Probed},
    task::{Data, Task},
};
use crate::{cohort::Set, eval::NullAuc, heads::HeadConfig, progress::Progress, recipe::NullTuning, seed};

/// Permutations that leave some inner or outer training set without a class are drawn again, so often at most.
const DRAWS: usize = 20;

/// Patients of both classes without a partner are tolerated for one patient in this many; they keep their labels.
const STUCK_ONE_IN: usize = 10;

/// Whose labels change places.
struct Exchange {
    /// Patients of one class and one set each: the rows of each patient.
    plain: Vec<Vec<Vec<usize>>>,
    /// Patients of both classes, of one set and of as many slices: their rows in the order of the slices' names.
    mixed: Vec<Vec<Vec<usize>>>,
    /// Patients of both classes whose labels stay.
    stuck: usize,
}

impl Exchange {
    fn new(data: &Data<'_>) -> Result<Self, StudyError> {
        let (cohort, split) = (data.cohort, data.split);
        let mut of_patient = BTreeMap::<(String, usize), Vec<usize>>::new();
        for (set, rows) in data.rows {
            let stratum = match set {
                Set::External(_) => set.to_string(),
                _ if split.is_leaky() => "inside".to_owned(),
                Set::Fold(_) | Set::OutOfFold => OUT_OF_FOLD.to_owned(),
                _ => set.to_string(),
            };
            for row in rows {
                let key = (stratum.clone(), cohort.patient[*row]);
                of_patient.entry(key).or_default().push(*row);
            }
        }
        let patients = of_patient.len();
        let mut plain = BTreeMap::<String, Vec<Vec<usize>>>::new();
        let mut mixed = BTreeMap::<(String, usize), Vec<Vec<usize>>>::new();
        for ((stratum, _), mut rows) in of_patient {
            let first = cohort.positive[rows[0]];
            if rows.iter().all(|row| cohort.positive[*row] == first) {
                plain.entry(stratum).or_default().push(rows);
            } else {
                rows.sort_by_key(|row| &cohort.rows.slice_id[*row]);
                mixed.entry((stratum, rows.len())).or_default().push(rows);
            }
        }
        let stuck = mixed.values().filter(|group| group.len() == 1).count();
        if stuck > 1 && stuck * STUCK_ONE_IN > patients {
            return Err(StudyError::NullLabels { stuck, patients });
        }
        Ok(Self {
            plain: plain.into_values().collect(),
            mixed: mixed.into_values().collect(),
            stuck,
        })
    }

    /// The cohort's labels with patients changed.
    fn permuted(&self, positive: &[Option<bool>], rng: &mut ChaCha8Rng) -> Vec<bool> {
        let real: Vec<bool> = positive.iter().map(|class| *class == Some(true)).collect();
        let mut labels = real.clone();
        for patients in &self.plain {
            let mut classes: Vec<bool> = patients.iter().map(|rows| real[rows[0]]).collect();
            classes.shuffle(rng);
            for (rows, class) in patients.iter().zip(classes) {
                rows.iter().for_each(|row| labels[*row] = class);
            }
        }
        for patients in &self.mixed {
            let mut givers: Vec<&Vec<usize>> = patients.iter().collect();
            givers.shuffle(rng);
            for (rows, giver) in patients.iter().zip(givers) {
                rows.iter()
                    .zip(giver)
                    .for_each(|(row, from)| labels[*row] = real[*from]);
            }
        }
        labels
    }
}

impl StudyRun {
    /// Sets what permuted labels give beside what the heads of one layer gave.
    pub(super) fn add_nulls(&self, data: &Data<'_>, features: &str, probed: &mut [Probed]) -> Result<(), StudyError> {
        let probe = &self.study.probe;
        let permutations = probe.null;
        if permutations == 0 {
            return Ok(());
        }
        let exchange = Exchange::new(data)?;
        let refits = permutations * probed.len();
        let progress = Progress::new("null", "refits", refits as u64);
        let mut failed = Ok(());
        for (one, config) in probed.iter_mut().zip(&probe.heads) {
            match self.nulls(data, &exchange, features, config, one, &progress) {
                Ok(nulls) => one.nulls = nulls,
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
            one.warnings.extend(one.nulls.iter().filter_map(NullAuc::warning));
            if exchange.stuck > 0 {
                one.warnings.push(format!(
                    "{} patients have slices of both classes and no partner of as many: they keep their labels where \
                     labels are permuted",
                    exchange.stuck
                ));
            }
        }
        progress.finish();
        failed
    }

    fn nulls(
        &self,
        data: &Data<'_>,
        exchange: &Exchange,
        features: &str,
        config: &HeadConfig,
        one: &Probed,
        progress: &Progress,
    ) -> Result<Vec<NullAuc>, StudyError> {
        let probe = &self.study.probe;
        let frozen = config.fixed(&one.fitted.summary().chosen);
        let (config, tuned) = match probe.null_tuning {
            NullTuning::Again => (config, "tuned and fitted again"),
            NullTuning::Frozen => (
                &frozen,
                "fitted again with the hyperparameters that the real labels chose",
            ),
        };
        let task = Task {
            run: self,
            data,
            features,
            config,
            labels: None,
        };
        // Each permutation has a stream of its own, and all heads see the same.
        let streams = seed::stream(self.study.seed, "null");
        let areas = task.beside(probe.null, |permutation| {
            let mut rng = streams.clone();
            rng.set_stream(permutation as u64);
            let mut draws = 0;
            let areas = loop {
                self.check_stop()?;
                let labels = exchange.permuted(&data.cohort.positive, &mut rng);
                let permuted = Task {
                    labels: Some(&labels),
                    ..task
                };
                draws += 1;
                match permuted.areas() {
                    Err(StudyError::Set { .. } | StudyError::Head { .. }) if draws < DRAWS => {}
                    areas => break areas?,
                }
            };
            progress.tick(1);
            Ok((areas, draws - 1))
        })?;
        let redraws: usize = areas.iter().map(|(_, redraws)| redraws).sum();
        let again = match redraws {
            0 => String::new(),
            n => format!(", {n} draws that could not be fitted drawn again"),
        };
        let within = match data.split.is_leaky() {
            true => "among all patients of the split",
            false => "among the patients of each set",
        };
        let method = format!(
            "AUC of the same pipeline on the same split with labels permuted by patient {within}, {} times, heads \
             {tuned}, seed {}{again}; {} % range: percentiles; p one-sided, (1 + permutations of at least the AUC) / ({} + 1)",
            probe.null,
            self.study.seed,
            100.0 * probe.bootstrap.level,
            probe.null
        );
        let rows = one.evaluations.iter().filter_map(|evaluation| evaluation.rows.first());
        let null = |row| {
            let row: &crate::eval::ResultRow = row;
            let values = areas.iter().filter_map(|(areas, _)| *areas.get(&row.set)?).collect();
            NullAuc::new(row, values, &method)
        };
        Ok(rows.filter_map(null).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_counted_the_same_and_patients_stay_whole() {
        let exchange = Exchange {
            plain: vec![vec![vec![0, 1], vec![2], vec![3, 4, 5]], vec![vec![6], vec![7]]],
            mixed: vec![vec![vec![8, 9], vec![10, 11]]],
            stuck: 0,
        };
        let real = [
            true, true, false, false, false, false, true, false, true, false, false, true,
        ]
        .map(Some);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let labels = exchange.permuted(&real, &mut seed::stream(seed, "null"));
            assert!(labels[0] == labels[1] && labels[3] == labels[4] && labels[4] == labels[5]);
            let first = [labels[0], labels[2], labels[3]];
            assert_eq!(first.iter().filter(|label| **label).count(), 1);
            assert_ne!(labels[6], labels[7]);
            assert!(labels[8] != labels[9] && labels[10] != labels[11] && labels[8] != labels[10]);
            seen.insert(labels);
        }
        assert!(seen.len() > 6, "{}", seen.len());
    }
}
