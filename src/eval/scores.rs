//! Scores with whose they are.

use super::EvalError;

/// One set's scores, one row a slice: higher is more like the positive class.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    pub(super) positive: Vec<bool>,
    pub(super) score: Vec<f64>,
    pub(super) patient: Vec<usize>,
    /// The scan of each row, where scans are known.
    pub(super) scan: Option<Vec<usize>>,
    /// The threshold of the head that made each score, where one threshold does not serve all.
    pub(super) thresholds: Option<Vec<f64>>,
}

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
            scan: None,
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

    /// The same scores with the scan of each, any integers: numbers of one patient's scans may be another's too.
    ///
    /// # Panics
    ///
    /// Where there is not one scan a score.
    #[must_use]
    pub fn with_scans(self, scans: Vec<usize>) -> Self {
        assert_eq!(scans.len(), self.len(), "one scan a score");
        Self {
            scan: Some(scans),
            ..self
        }
    }

    /// The scan of each row, where scans are known.
    pub fn scan(&self) -> Option<&[usize]> {
        self.scan.as_deref()
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
}

#[cfg(test)]
mod tests {
    use super::{EvalError, Scores};

    #[test]
    fn scores_that_are_no_numbers_are_counted_and_refused() {
        let error = Scores::new(vec![true; 3], vec![0.0, f64::NAN, f64::INFINITY], vec![0; 3]).unwrap_err();
        assert_eq!(error, EvalError::NotFinite { found: 2, rows: 3 });
        assert!(Scores::new(vec![true], vec![0.0, 1.0], vec![0, 0]).is_err());
    }
}
