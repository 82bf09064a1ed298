//! Which scans are drawn: of each set the ones that the classifier is surest of, rightly and wrongly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Looked;

/// Probabilities from here on are called positive where no threshold was chosen: even odds.
const EVEN: f64 = 0.5;

/// A scan that is drawn, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// Its row in the cohort.
    pub row: usize,
    /// Why it is drawn.
    pub why: Why,
}

/// How a score and a label lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    TruePositive,
    FalsePositive,
    FalseNegative,
    TrueNegative,
    /// Called positive; there is no label.
    High,
    /// Called negative; there is no label.
    Low,
}

impl Why {
    pub fn words(self) -> &'static str {
        match self {
            Self::TruePositive => "true positive",
            Self::FalsePositive => "false positive",
            Self::FalseNegative => "false negative",
            Self::TrueNegative => "true negative",
            Self::High => "called positive, no label",
            Self::Low => "called negative, no label",
        }
    }
}

/// From where on scores are called positive, in a map and in words.
pub(super) fn cut(threshold: Option<f64>) -> f64 {
    threshold.unwrap_or(EVEN)
}

/// Of each set but the training set up to `per_set` scans: true positives, false positives, false negatives and true negatives in
/// turn, those furthest from the threshold first, of as many patients as can be. Sets stand in the order validation, test, others.
pub(super) fn choose(looked: &Looked<'_>, per_set: usize) -> Vec<(String, Vec<Choice>)> {
    let mut sets = BTreeMap::<(usize, &str), Vec<usize>>::new();
    for (row, set) in looked.sets.iter().enumerate() {
        let Some(set) = set.as_deref().filter(|set| *set != "train") else {
            continue;
        };
        let rank = ["validation", "test"].iter().position(|name| *name == set);
        sets.entry((rank.unwrap_or(2), set)).or_default().push(row);
    }
    let chosen = sets
        .into_iter()
        .map(|((_, set), rows)| (set.to_owned(), of_set(looked, &rows, per_set)));
    chosen.filter(|(_, choices)| !choices.is_empty()).collect()
}

fn of_set(looked: &Looked<'_>, rows: &[usize], per_set: usize) -> Vec<Choice> {
    let mut queues = BTreeMap::<Why, Vec<(f64, usize)>>::new();
    let cut = cut(looked.threshold);
    for &row in rows {
        let Some(score) = looked.scores[row].filter(|score| score.is_finite()) else {
            continue;
        };
        let why = match (looked.cohort.positive[row], score >= cut) {
            (Some(true), true) => Why::TruePositive,
            (Some(false), true) => Why::FalsePositive,
            (Some(true), false) => Why::FalseNegative,
            (Some(false), false) => Why::TrueNegative,
            (None, true) => Why::High,
            (None, false) => Why::Low,
        };
        queues.entry(why).or_default().push((-(score - cut).abs(), row));
    }
    let mut queues: Vec<(Why, VecDeque<usize>)> = queues
        .into_iter()
        .map(|(why, mut rows)| {
            rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            (why, rows.into_iter().map(|(_, row)| row).collect())
        })
        .collect();
    let (mut chosen, mut patients) = (Vec::new(), BTreeSet::new());
    // Patients that were drawn already come again only when no other is left.
    for again in [false, true] {
        loop {
            let before = chosen.len();
            for (why, queue) in &mut queues {
                let is_new = |row: &usize| again || !patients.contains(&looked.cohort.patient[*row]);
                let Some(at) = queue.iter().position(is_new).filter(|_| chosen.len() < per_set) else {
                    continue;
                };
                let row = queue.remove(at).expect("a place in the queue");
                patients.insert(looked.cohort.patient[row]);
                chosen.push(Choice { row, why: *why });
            }
            if chosen.len() == before {
                break;
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cohort::Cohort, features::Rows};

    /// Patients, labels (`+`, `-`, `?`), sets and scores.
    fn chosen(
        patients: &[usize],
        labels: &str,
        sets: &[&str],
        scores: &[f64],
        per_set: usize,
    ) -> Vec<(String, Vec<Choice>)> {
        let n = patients.len();
        let positive = labels.chars().map(|label| match label {
            '+' => Some(true),
            '-' => Some(false),
            _ => None,
        });
        let cohort = Cohort {
            rows: Rows::default(),
            patient: patients.to_vec(),
            n_patients: n,
            positive: positive.collect(),
            paths: Vec::new(),
            sha256: vec![None; n],
            given: None,
            warnings: Vec::new(),
        };
        let sets: Vec<Option<String>> = sets
            .iter()
            .map(|set| Some((*set).to_owned()).filter(|set| !set.is_empty()))
            .collect();
        let scores: Vec<Option<f64>> = scores
            .iter()
            .map(|score| Some(*score).filter(|score| score.is_finite()))
            .collect();
        let looked = Looked {
            name: "made",
            positive: "covid",
            cohort: &cohort,
            sets: &sets,
            scores: &scores,
            threshold: Some(0.3),
            banners: Vec::new(),
            report: None,
        };
        choose(&looked, per_set)
    }

    #[test]
    fn right_and_wrong_scans_take_turns_the_surest_first() {
        let found = chosen(
            &[0, 1, 2, 3, 4, 5, 6],
            "++--+-+",
            &["test"; 7],
            &[0.6, 0.9, 0.8, 0.1, 0.2, 0.05, f64::NAN],
            5,
        );
        let rows: Vec<(usize, Why)> = found[0].1.iter().map(|choice| (choice.row, choice.why)).collect();
        assert_eq!(
            rows,
            [
                (1, Why::TruePositive),
                (2, Why::FalsePositive),
                (4, Why::FalseNegative),
                (5, Why::TrueNegative),
                (0, Why::TruePositive)
            ]
        );
    }

    #[test]
    fn sets_but_the_training_set_come_in_their_order() {
        let sets = ["test", "train", "external:b", "validation", ""];
        let found = chosen(&[0, 1, 2, 3, 4], "+-+-+", &sets, &[0.5; 5], 2);
        let names: Vec<&str> = found.iter().map(|(set, _)| set.as_str()).collect();
        assert_eq!(names, ["validation", "test", "external:b"]);
    }

    #[test]
    fn a_patient_comes_again_only_when_no_other_is_left() {
        let found = chosen(&[0, 0, 0, 1], "++++", &["test"; 4], &[0.9, 0.8, 0.7, 0.4], 3);
        let rows: Vec<usize> = found[0].1.iter().map(|choice| choice.row).collect();
        assert_eq!(rows, [0, 3, 1]);
        assert_eq!(chosen(&[0], "?", &["test"], &[0.4], 9)[0].1[0].why, Why::High);
        assert!(chosen(&[0], "?", &["test"], &[0.4], 0).is_empty());
    }
}
