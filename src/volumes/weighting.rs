//! How much each scan counts in the loss, and the loss itself.

use std::collections::BTreeMap;

use crate::recipe::{ClassWeights, ScanWeights};

/// What scans of the negative and the positive class count, and whether patients count alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weighting {
    /// Of the negative and the positive class.
    pub classes: [f64; 2],
    /// Of the scans of one patient.
    pub scans: ScanWeights,
}

impl Weighting {
    /// That of a training set: the class of each scan and its patient. Balanced classes have the same sum of weights.
    pub fn of(classes: ClassWeights, scans: ScanWeights, positive: &[bool], patient: &[usize]) -> Self {
        let classes = match classes {
            ClassWeights::None => [1.0; 2],
            ClassWeights::Given(weights) => weights,
            ClassWeights::Balanced => {
                let shares = shares(scans, patient);
                let total: f64 = shares.iter().sum();
                [false, true].map(|class| {
                    let own = positive.iter().zip(&shares).filter(|(side, _)| **side == class);
                    total / (2.0 * own.map(|(_, share)| share).sum::<f64>())
                })
            }
        };
        Self { classes, scans }
    }

    /// The weights of a set's scans, those of the training or of another set.
    pub fn weights(&self, positive: &[bool], patient: &[usize]) -> Vec<f64> {
        let class = |side: &bool| self.classes[usize::from(*side)];
        let shares = shares(self.scans, patient).into_iter();
        shares.zip(positive).map(|(share, side)| share * class(side)).collect()
    }
}

/// What each scan counts by its patient; 1 on average.
fn shares(scans: ScanWeights, patient: &[usize]) -> Vec<f64> {
    match scans {
        ScanWeights::Equal => vec![1.0; patient.len()],
        ScanWeights::PerPatient => {
            let mut of_patient = BTreeMap::<usize, usize>::new();
            for patient in patient {
                *of_patient.entry(*patient).or_default() += 1;
            }
            let mean = of_patient.len() as f64 / patient.len().max(1) as f64;
            patient
                .iter()
                .map(|patient| 1.0 / (of_patient[patient] as f64 * mean))
                .collect()
        }
    }
}

/// Probability of the positive class of two outputs.
pub(super) fn probability([negative, positive]: [f64; 2]) -> f64 {
    1.0 / (1.0 + (negative - positive).exp())
}

/// Cross entropy of two outputs. Of two classes it is the binary one, without the factor of 1/7 that the paper's formula has for its
/// "14 classes" (Pu et al. 2020, equation 1).
fn cross_entropy([negative, positive]: [f64; 2], class: bool) -> f64 {
    let margin = if class {
        positive - negative
    } else {
        negative - positive
    };
    // ln(1 + exp(-margin)), for margins of any size.
    (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()
}

/// The mean of the cross entropies under weights.
pub(super) fn mean_loss(outputs: &[[f64; 2]], positive: &[bool], weights: &[f64]) -> f64 {
    let losses = outputs.iter().zip(positive).zip(weights);
    let sum: f64 = losses
        .map(|((output, class), weight)| weight * cross_entropy(*output, *class))
        .sum();
    sum / weights.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn patients_and_classes_count_alike() {
        let positive = [true, true, true, false, false, true];
        let patient = [0, 0, 0, 1, 2, 3];
        let weighting = Weighting::of(ClassWeights::Balanced, ScanWeights::PerPatient, &positive, &patient);
        let weights = weighting.weights(&positive, &patient);
        assert!(close(weights.iter().sum::<f64>(), 6.0), "{weights:?}");
        let of =
            |wanted: &dyn Fn(usize) -> bool| (0..6).filter(|row| wanted(*row)).map(|row| weights[row]).sum::<f64>();
        assert!(close(of(&|row| positive[row]), of(&|row| !positive[row])));
        assert!(close(of(&|row| patient[row] == 0), of(&|row| patient[row] == 3)));
    }

    #[test]
    fn nothing_counts_more_where_nothing_was_asked_for() {
        let weighting = Weighting::of(
            ClassWeights::None,
            ScanWeights::Equal,
            &[true, false, false],
            &[0, 0, 1],
        );
        assert_eq!(weighting.weights(&[true, true], &[5, 5]), [1.0, 1.0]);
        let given = Weighting::of(
            ClassWeights::Given([0.5, 2.0]),
            ScanWeights::Equal,
            &[true, false],
            &[0, 1],
        );
        assert_eq!(given.weights(&[true, false], &[0, 1]), [2.0, 0.5]);
    }

    #[test]
    fn the_loss_of_two_outputs_is_the_binary_cross_entropy() {
        for (outputs, class) in [
            ([0.3, -1.2], true),
            ([0.3, -1.2], false),
            ([4.0, 4.0], true),
            ([-30.0, 20.0], false),
        ] {
            let p = probability(outputs);
            let expected = if class { -p.ln() } else { -(1.0 - p).ln() };
            let found = cross_entropy(outputs, class);
            assert!(
                (found - expected).abs() < 1e-9 * expected.max(1.0) || expected.is_infinite(),
                "{found} {expected}"
            );
        }
        assert_eq!(cross_entropy([0.0, 1000.0], false), 1000.0);
        assert!(close(cross_entropy([0.0, 0.0], true), 2.0_f64.ln()));
        assert_eq!(probability([1000.0, 0.0]), 0.0);
        assert!(
            cross_entropy([f64::NAN, 0.0], true).is_nan(),
            "what is no number is no small loss"
        );
    }

    #[test]
    fn a_mean_is_under_weights() {
        let outputs = [[0.0, 0.0], [0.0, 1000.0]];
        let found = mean_loss(&outputs, &[true, true], &[3.0, 1.0]);
        assert!(close(found, 0.75 * 2.0_f64.ln()));
    }
}
