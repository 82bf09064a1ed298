//! Scores as probabilities: which map a study asks for, and the map that was fitted.
//!
//! A map is fitted on scores of rows that the head had not seen, and on none that it is measured on.

use serde::{Deserialize, Serialize};

use super::Scores;
use crate::stats::{CalibrationError, Isotonic, Platt};

/// Which map. In a recipe `"none"`, `"platt"` or `"isotonic"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calibration {
    /// Scores stay what the head gives.
    #[default]
    None,
    /// Platt's sigmoid: two numbers, for few patients.
    Platt,
    /// A rising step function, for many.
    Isotonic,
}

/// A fitted map from a head's scores to probabilities; it never turns a ranking over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrationMap {
    /// Platt's sigmoid with a slope of 0 or more.
    Platt(Platt),
    /// Isotonic regression.
    Isotonic(Isotonic),
}

impl std::fmt::Display for Calibration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Platt => "Platt's sigmoid",
            Self::Isotonic => "isotonic regression",
        })
    }
}

impl Calibration {
    /// Fits the map on scores with one row a slice; `None` where none was asked for.
    ///
    /// Where these scores rank the classes backwards, or not at all, every row gets the one probability that is left, the
    /// share of positives (smoothed for Platt): a negative slope would turn the head over behind its user's back.
    ///
    /// ```
    /// use hounsfield::eval::{Calibration, Scores};
    /// let scores = Scores::new(vec![false, false, true, true], vec![-2.0, 0.5, 0.0, 3.0], vec![0, 1, 2, 3])?;
    /// let map = Calibration::Platt.fit(&scores)?.expect("one was asked for");
    /// assert!(map.apply(-2.0) < map.apply(3.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Scores of one class.
    pub fn fit(self, scores: &Scores) -> Result<Option<CalibrationMap>, CalibrationError> {
        let (positive, score) = (scores.positive(), scores.score());
        Ok(match self {
            Self::None => None,
            Self::Isotonic => Some(CalibrationMap::Isotonic(Isotonic::fit(positive, score)?)),
            Self::Platt => {
                let fitted = Platt::fit(positive, score)?;
                Some(CalibrationMap::Platt(match fitted.slope > 0.0 {
                    true => fitted,
                    // Of equal scores: the intercept alone.
                    false => Platt::fit(positive, &vec![0.0; score.len()])?,
                }))
            }
        })
    }
}

impl CalibrationMap {
    /// The probability that belongs to a score.
    pub fn apply(&self, score: f64) -> f64 {
        match self {
            Self::Platt(map) => map.apply(score),
            Self::Isotonic(map) => map.apply(score),
        }
    }

    /// Whether all scores get one probability.
    pub fn is_flat(&self) -> bool {
        match self {
            Self::Platt(map) => map.slope == 0.0,
            Self::Isotonic(map) => map.probability.first() == map.probability.last(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(positive: &[u8], score: &[f64]) -> Scores {
        let patients = (0..score.len()).collect();
        Scores::new(
            positive.iter().map(|&class| class == 1).collect(),
            score.to_vec(),
            patients,
        )
        .unwrap()
    }

    #[test]
    fn no_map_turns_a_ranking_over() {
        let backwards = scores(&[1, 1, 0, 0, 1, 0], &[1.0, 2.0, 3.0, 4.0, 2.5, 3.5]);
        for calibration in [Calibration::Platt, Calibration::Isotonic] {
            let map = calibration.fit(&backwards).unwrap().unwrap();
            assert!(map.is_flat(), "{map:?}");
            assert!((map.apply(0.0) - 0.5).abs() < 1e-9 && map.apply(9.0) == map.apply(0.0));
        }
        assert_eq!(Calibration::None.fit(&backwards).unwrap(), None);
    }

    #[test]
    fn maps_rise_survive_their_file_and_are_named_in_recipes() {
        let good = scores(&[0, 0, 1, 0, 1, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        for (calibration, word) in [(Calibration::Platt, "platt"), (Calibration::Isotonic, "isotonic")] {
            let map = calibration.fit(&good).unwrap().unwrap();
            let mapped: Vec<f64> = good.score().iter().map(|score| map.apply(*score)).collect();
            assert!(mapped.is_sorted() && !map.is_flat(), "{mapped:?}");
            let text = serde_json::to_string(&map).unwrap();
            assert!(text.starts_with(&format!("{{\"{word}\":")), "{text}");
            assert_eq!(serde_json::from_str::<CalibrationMap>(&text).unwrap(), map);
            assert_eq!(
                serde_json::from_str::<Calibration>(&format!("\"{word}\"")).unwrap(),
                calibration
            );
        }
        assert!(Calibration::Platt.fit(&scores(&[1, 1], &[0.0, 1.0])).is_err());
    }
}
