//! Scores with whose they are, and their pooling to patients.

use std::{borrow::Cow, collections::BTreeMap};

use super::{EvalError, Unit};

/// One set's scores, one row a slice: higher is more like the positive class.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    positive: Vec<bool>,
    score: Vec<f64>,
    patient: Vec<usize>,
    /// The threshold of the head that made each score, where one threshold does not serve all.
    thresholds: Option<Vec<f64>>,
}

/// Scores with one row a unit.
#[derive(Debug, Clone)]
pub struct Pooled<'a> {
    /// One row a unit.
    pub scores: Cow<'a, Scores>,
    /// Patients with slices of both classes. They count once a class, and stay one patient in every resample.
    pub mixed: usize,
}

/// Labels of patients may err for one patient in this many (near duplicates that joined two patients, a relapse);
/// where more are mixed, the labels are those of slices.
const MIXED_ONE_IN: usize = 10;

impl Scores {
    /// Checks that there is one label and one patient a score, and that scores are finite.
    ///
    /// `patient` are any integers; their numerical order, not that of the rows, is what resampling depends on.
    pub fn new(positive: Vec<bool>, score: Vec<f64>, patient: Vec<usize>) -> Result<Self, EvalError> {
        let (scores, labels, patients) = (score.len(), positive.len(), patient.len());
        if labels != scores || patients != scores {
            return Err(EvalError::Lengths {
                scores,
                labels,
                patients,
            });
        }
        let found = score.iter().filter(|score| !score.is_finite()).count();
        if found > 0 {
            return Err(EvalError::NotFinite { found, rows: scores });
        }
        Ok(Self {
            positive,
            score,
            patient,
            thresholds: None,
        })
    }

    /// The same scores where each has a threshold of its own: in cross-validation every fold has another head.
    ///
    /// # Panics
    ///
    /// Where there is not one threshold a score.
    #[must_use]
    pub fn with_thresholds(self, thresholds: Vec<f64>) -> Self {
        assert_eq!(thresholds.len(), self.len(), "one threshold a score");
        Self {
            thresholds: Some(thresholds),
            ..self
        }
    }

    /// The threshold of each row, where rows have thresholds of their own.
    pub fn thresholds(&self) -> Option<&[f64]> {
        self.thresholds.as_deref()
    }

    /// Whether each row is of the positive class.
    pub fn positive(&self) -> &[bool] {
        &self.positive
    }

    /// The score of each row.
    pub fn score(&self) -> &[f64] {
        &self.score
    }

    /// The patient of each row.
    pub fn patient(&self) -> &[usize] {
        &self.patient
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.score.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.score.is_empty()
    }

    /// One row a unit: slices as they are, or patients in numerical order with the mean score of their slices.
    ///
    /// A patient with slices of both classes becomes one row a class; an error where more than one patient in ten (and
    /// more than one at all) is such.
    ///
    /// ```
    /// use hounsfield::eval::{Scores, Unit};
    /// let scores = Scores::new(vec![true, false, true], vec![0.5, 0.25, 1.0], vec![7, 2, 7])?;
    /// let pooled = scores.pool(Unit::Patient)?.scores;
    /// assert_eq!((pooled.patient(), pooled.score()), ([2, 7].as_slice(), [0.25, 0.75].as_slice()));
    /// # Ok::<(), hounsfield::eval::EvalError>(())
    /// ```
    pub fn pool(&self, unit: Unit) -> Result<Pooled<'_>, EvalError> {
        if unit == Unit::Slice {
            return Ok(Pooled {
                scores: Cow::Borrowed(self),
                mixed: 0,
            });
        }
        let mut slices: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
        for row in 0..self.len() {
            let unit = (self.patient[row], self.positive[row]);
            slices.entry(unit).or_default().push(row);
        }
        let means = |values: &[f64]| -> Vec<f64> {
            let of_unit = |rows: &Vec<usize>| mean(rows.iter().map(|row| values[*row]).collect());
            slices.values().map(of_unit).collect()
        };
        let units: Vec<(usize, bool)> = slices.keys().copied().collect();
        let mixed = units.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
        let patients = units.len() - mixed;
        if mixed > 1 && mixed * MIXED_ONE_IN > patients {
            return Err(EvalError::MixedPatients { mixed, patients });
        }
        let scores = Self {
            positive: units.iter().map(|unit| unit.1).collect(),
            patient: units.iter().map(|unit| unit.0).collect(),
            score: means(&self.score),
            thresholds: self.thresholds.as_deref().map(means),
        };
        Ok(Pooled {
            scores: Cow::Owned(scores),
            mixed,
        })
    }
}

/// The mean, to 40 binary digits (relative 1e-12): patients whose slices agree have to tie, and so do those whose votes
/// have one mean (0.24 and 0.28, 0.26 and 0.26). Decimal fractions are not exact, and sums of them leave a last bit apart
/// what is equal.
fn mean(mut scores: Vec<f64>) -> f64 {
    // In rising order, so that the order of the rows does not reach the result.
    scores.sort_unstable_by(f64::total_cmp);
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    const DROPPED: u64 = 1 << 12;
    // Rounds the magnitude half up; a carry goes on into the exponent as it should.
    f64::from_bits((mean.to_bits() + DROPPED / 2) & !(DROPPED - 1))
}

#[cfg(test)]
mod tests {
    use super::{EvalError, Scores, Unit};

    #[test]
    fn labels_of_slices_are_not_pooled_as_labels_of_patients() {
        let scores = Scores::new(vec![true, false, true, false], vec![1.0; 4], vec![0, 0, 1, 1]).unwrap();
        let error = scores.pool(Unit::Patient).unwrap_err();
        assert_eq!(error, EvalError::MixedPatients { mixed: 2, patients: 2 });
        assert!(error.to_string().contains("unit = \"slice\""));
        assert_eq!(scores.pool(Unit::Slice).unwrap().scores.len(), 4);
    }

    #[test]
    fn one_mixed_patient_counts_once_a_class_and_stays_one_patient() {
        let scores = Scores::new(vec![true, false, true], vec![1.0, 0.0, 3.0], vec![5, 5, 5]).unwrap();
        let pooled = scores.pool(Unit::Patient).unwrap();
        assert_eq!(pooled.mixed, 1);
        assert_eq!(pooled.scores.patient(), [5, 5]);
        assert_eq!(pooled.scores.score(), [0.0, 2.0]);
    }

    #[test]
    fn patients_whose_slices_agree_tie_whatever_their_number() {
        let patient: Vec<usize> = (0..40).flat_map(|who| vec![who; who + 1]).collect();
        let rows = patient.len();
        let scores = Scores::new(vec![true; rows], vec![0.1; rows], patient).unwrap();
        let pooled = scores.pool(Unit::Patient).unwrap().scores;
        let first = pooled.score()[0];
        assert!(
            pooled.score().iter().all(|&score| score == first),
            "{:?}",
            pooled.score()
        );
        assert!((first - 0.1).abs() < 1e-12);
    }

    #[test]
    fn scores_that_are_no_numbers_are_counted_and_refused() {
        let error = Scores::new(vec![true; 3], vec![0.0, f64::NAN, f64::INFINITY], vec![0; 3]).unwrap_err();
        assert_eq!(error, EvalError::NotFinite { found: 2, rows: 3 });
        assert!(Scores::new(vec![true], vec![0.0, 1.0], vec![0, 0]).is_err());
    }

    #[test]
    fn equal_means_of_unequal_votes_tie() {
        let votes = vec![0.24, 0.28, 0.26, 0.26, 0.5, 0.02];
        let scores = Scores::new(vec![true; 6], votes, vec![0, 0, 1, 1, 2, 2]).unwrap();
        let pooled = scores.pool(Unit::Patient).unwrap().scores;
        assert_eq!(pooled.score()[0].to_bits(), pooled.score()[1].to_bits());
        assert_eq!(pooled.score()[0].to_bits(), pooled.score()[2].to_bits());
        assert!((pooled.score()[0] - 0.26).abs() < 1e-12);
    }
}
