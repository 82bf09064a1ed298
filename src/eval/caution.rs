//! What a reader must know before a set's numbers: how few patients they stand on, and what went against expectation.

use std::collections::BTreeSet;

use super::{ResultRow, Scores, Unit};

/// A class of fewer patients than this gets a warning.
const FEW: usize = 10;

/// The counts that intervals stand on.
pub(super) struct Size {
    pub patients: usize,
    pub positives: u64,
    pub negatives: u64,
    pub positive_patients: usize,
    pub negative_patients: usize,
}

impl Size {
    pub fn of(units: &Scores) -> Self {
        let patients_of = |class: bool| -> BTreeSet<usize> {
            let of_class = units
                .patient()
                .iter()
                .zip(units.positive())
                .filter(|(_, positive)| **positive == class);
            of_class.map(|(patient, _)| *patient).collect()
        };
        let (with_positive, with_negative) = (patients_of(true), patients_of(false));
        let positives = units.positive().iter().filter(|&&positive| positive).count();
        Self {
            patients: with_positive.union(&with_negative).count(),
            positives: positives as u64,
            negatives: (units.len() - positives) as u64,
            positive_patients: with_positive.len(),
            negative_patients: with_negative.len(),
        }
    }

    pub fn warnings(&self, set: &str, unit: Unit, mixed: usize) -> Vec<String> {
        let (positives, negatives) = (self.positive_patients, self.negative_patients);
        let held = format!("{set} holds {positives} positive and {negatives} negative patients");
        let mut warnings = Vec::new();
        match positives.min(negatives) {
            0 => warnings.push(format!(
                "one class only: {held}; no AUC, and no rate of the absent class"
            )),
            1 => warnings.push(format!("no interval: {held}, at least 2 of each are needed")),
            few if few < FEW => warnings.push(format!(
                "interval is wide: {held}; with fewer than {FEW} of a class no estimate is evidence alone"
            )),
            _ => {}
        }
        if mixed > 0 && unit == Unit::Scan {
            let scans = (self.positives + self.negatives) as usize - mixed;
            warnings.push(format!(
                "{mixed} of {scans} scans of {set} have slices of both classes: each counts once a class, and belongs to \
                 one patient in the resamples"
            ));
        } else if mixed > 0 {
            warnings.push(format!(
                "{mixed} of {} patients of {set} have slices of both classes: each counts once a class, and is one \
                 patient in the resamples",
                self.patients
            ));
        }
        warnings
    }
}

/// A ranking that is worse than chance beyond its interval.
pub(super) fn turned(auc: &ResultRow) -> Option<String> {
    let (value, [_, upper]) = (auc.value?, auc.ci?);
    let (head, set) = (&auc.head, &auc.set);
    // Scores of a table come of no features of ours.
    let features = match auc.features.as_str() {
        "" => String::new(),
        features => format!(" on {features}"),
    };
    (upper < 0.5).then(|| {
        format!("{head}{features} ranks {set} the wrong way round: AUC {value:.3}, interval below 0.5 (to {upper:.3})")
    })
}

/// A threshold that decides nothing on this set.
pub(super) fn flat(head: &str, set: &str, unit: Unit, called: &[bool]) -> Option<String> {
    let class = match (called.contains(&true), called.contains(&false)) {
        (true, false) => "positive",
        (false, true) => "negative",
        _ => return None,
    };
    Some(format!(
        "{head} calls every {unit} of {set} {class}: its threshold does not carry over"
    ))
}
