//! From slices to scans and patients: scores with one row a unit.
//!
//! A patient is pooled over all slices of all scans, so that a slice counts the same whichever scan it is of. Where a
//! scan is to count the same however many slices it has, pool twice: what is pooled to scans keeps its patients.

use std::{borrow::Cow, collections::BTreeMap};

use super::{EvalError, Pooling, Scores, Unit};

/// Scores with one row a unit.
#[derive(Debug, Clone)]
pub struct Pooled<'a> {
    /// One row a unit.
    pub scores: Cow<'a, Scores>,
    /// Units with slices of both classes. They count once a class; their patient stays one in every resample.
    pub mixed: usize,
}

/// Labels of patients may err for one patient in this many (near duplicates that joined two patients, a relapse);
/// where more are mixed, the labels are those of slices.
const MIXED_ONE_IN: usize = 10;

impl Scores {
    /// One row a unit: slices as they are, or scans or patients in numerical order with their slices' scores pooled.
    /// Thresholds of rows are averaged: those of one fold, hence of one patient, are one.
    ///
    /// A unit with slices of both classes becomes one row a class; an error where more than one unit in ten (and more
    /// than one at all) is such. So are scans that are not known, and a noisy-or of what is no probability.
    ///
    /// ```
    /// use hounsfield::eval::{Pooling, Scores, Unit};
    /// let scores = Scores::new(vec![true, false, true], vec![0.5, 0.25, 1.0], vec![7, 2, 7])?;
    /// let pooled = scores.pool(Unit::Patient, Pooling::Mean)?.scores;
    /// assert_eq!((pooled.patient(), pooled.score()), ([2, 7].as_slice(), [0.25, 0.75].as_slice()));
    ///
    /// // By scan first: a patient's two scans count the same, the one of two slices and that of one.
    /// let scores = Scores::new(vec![true; 3], vec![0.0, 1.0, 1.0], vec![7; 3])?.with_scans(vec![0, 0, 1]);
    /// let scans = scores.pool(Unit::Scan, Pooling::Mean)?.scores;
    /// assert_eq!(scans.pool(Unit::Patient, Pooling::Mean)?.scores.score(), [0.75]);
    /// # Ok::<(), hounsfield::eval::EvalError>(())
    /// ```
    pub fn pool(&self, unit: Unit, pooling: Pooling) -> Result<Pooled<'_>, EvalError> {
        let scan_of: Option<&[usize]> = match unit {
            Unit::Slice => {
                return Ok(Pooled {
                    scores: Cow::Borrowed(self),
                    mixed: 0,
                });
            }
            Unit::Patient => None,
            Unit::Scan => Some(self.scan().ok_or(EvalError::NoScans { rows: self.len() })?),
        };
        let rows = self.len();
        let outside = self.score.iter().filter(|score| !(0.0..=1.0).contains(*score)).count();
        if pooling == Pooling::NoisyOr && outside > 0 {
            return Err(EvalError::NotProbabilities { outside, rows });
        }
        let mut slices: BTreeMap<(usize, usize, bool), Vec<usize>> = BTreeMap::new();
        for row in 0..rows {
            let scan = scan_of.map_or(0, |scan| scan[row]);
            let unit = (self.patient[row], scan, self.positive[row]);
            slices.entry(unit).or_default().push(row);
        }
        // Where every unit has one row, there is nothing to pool, and scores stay what they are to the last bit.
        let single = slices.len() == rows;
        let pooled = |values: &[f64], pooling: Pooling| -> Vec<f64> {
            let of_unit = |rows: &Vec<usize>| match single {
                true => values[rows[0]],
                false => pooling.pool(rows.iter().map(|row| values[*row]).collect()),
            };
            slices.values().map(of_unit).collect()
        };
        let units: Vec<(usize, usize, bool)> = slices.keys().copied().collect();
        let same = |pair: &&[(usize, usize, bool)]| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1);
        let mixed = units.windows(2).filter(same).count();
        let distinct = units.len() - mixed;
        if mixed > 1 && mixed * MIXED_ONE_IN > distinct {
            return Err(match scan_of {
                Some(_) => EvalError::MixedScans { mixed, scans: distinct },
                None => EvalError::MixedPatients {
                    mixed,
                    patients: distinct,
                },
            });
        }
        let scores = Self {
            positive: units.iter().map(|unit| unit.2).collect(),
            patient: units.iter().map(|unit| unit.0).collect(),
            scan: scan_of.map(|_| units.iter().map(|unit| unit.1).collect()),
            score: pooled(&self.score, pooling),
            thresholds: self.thresholds.as_deref().map(|own| pooled(own, Pooling::Mean)),
        };
        Ok(Pooled {
            scores: Cow::Owned(scores),
            mixed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{EvalError, Pooling, Scores, Unit};

    #[test]
    fn labels_of_slices_are_not_pooled_as_labels_of_patients() {
        let scores = Scores::new(vec![true, false, true, false], vec![1.0; 4], vec![0, 0, 1, 1]).unwrap();
        let error = scores.pool(Unit::Patient, Pooling::Mean).unwrap_err();
        assert_eq!(error, EvalError::MixedPatients { mixed: 2, patients: 2 });
        assert!(error.to_string().contains("unit = \"slice\""));
        assert_eq!(scores.pool(Unit::Slice, Pooling::Max).unwrap().scores.len(), 4);
        let scans = scores.with_scans(vec![4, 4, 4, 4]);
        let error = scans.pool(Unit::Scan, Pooling::Mean).unwrap_err();
        assert_eq!(error, EvalError::MixedScans { mixed: 2, scans: 2 });
    }

    #[test]
    fn one_mixed_patient_counts_once_a_class_and_stays_one_patient() {
        let scores = Scores::new(vec![true, false, true], vec![1.0, 0.0, 3.0], vec![5, 5, 5]).unwrap();
        let pooled = scores.pool(Unit::Patient, Pooling::Mean).unwrap();
        assert_eq!(pooled.mixed, 1);
        assert_eq!(pooled.scores.patient(), [5, 5]);
        assert_eq!(pooled.scores.score(), [0.0, 2.0]);
    }

    #[test]
    fn patients_whose_slices_agree_tie_whatever_their_number() {
        let patient: Vec<usize> = (0..40).flat_map(|who| vec![who; who + 1]).collect();
        let rows = patient.len();
        let scores = Scores::new(vec![true; rows], vec![0.1; rows], patient).unwrap();
        let pooled = scores.pool(Unit::Patient, Pooling::Mean).unwrap().scores;
        let first = pooled.score()[0];
        assert!(
            pooled.score().iter().all(|&score| score == first),
            "{:?}",
            pooled.score()
        );
        assert!((first - 0.1).abs() < 1e-12);
    }

    #[test]
    fn equal_means_of_unequal_votes_tie() {
        let votes = vec![0.24, 0.28, 0.26, 0.26, 0.5, 0.02];
        let scores = Scores::new(vec![true; 6], votes, vec![0, 0, 1, 1, 2, 2]).unwrap();
        let pooled = scores.pool(Unit::Patient, Pooling::Mean).unwrap().scores;
        assert_eq!(pooled.score()[0].to_bits(), pooled.score()[1].to_bits());
        assert_eq!(pooled.score()[0].to_bits(), pooled.score()[2].to_bits());
        assert!((pooled.score()[0] - 0.26).abs() < 1e-12);
    }

    #[test]
    fn scans_of_two_patients_under_one_number_stay_apart() {
        let scores = Scores::new(
            vec![true, false, true, true],
            vec![1.0, 2.0, 3.0, 4.0],
            vec![1, 2, 1, 1],
        )
        .unwrap();
        let scans = scores.clone().with_scans(vec![0, 0, 0, 1]);
        let pooled = scans.pool(Unit::Scan, Pooling::Max).unwrap().scores;
        assert_eq!(
            (pooled.patient(), pooled.score()),
            ([1, 1, 2].as_slice(), [3.0, 4.0, 2.0].as_slice())
        );
        let error = scores.pool(Unit::Scan, Pooling::Max).unwrap_err();
        assert_eq!(error, EvalError::NoScans { rows: 4 });
    }

    #[test]
    fn a_noisy_or_of_what_is_no_probability_is_refused() {
        let scores = Scores::new(vec![true, false], vec![-0.5, 0.5], vec![1, 2]).unwrap();
        let error = scores.pool(Unit::Patient, Pooling::NoisyOr).unwrap_err();
        assert_eq!(error, EvalError::NotProbabilities { outside: 1, rows: 2 });
        assert!(error.to_string().contains("platt"));
        assert!(scores.pool(Unit::Slice, Pooling::NoisyOr).is_ok());
    }
}
