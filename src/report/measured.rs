//! The further measures and the comparisons as tables show them: one table a set, one line a head or a pair.

use std::collections::BTreeMap;

use super::{
    HeadAssessment, HeadComparisons, StudyReport,
    panel::{estimate, p_value, rank},
};
use crate::eval::{Assessment, DifferenceTest, Interval, Measure, Unit};

/// The further measures of all heads on one set.
pub(super) struct Measured<'a> {
    pub set: &'a str,
    pub columns: Vec<String>,
    pub lines: Vec<MeasuredLine<'a>>,
    /// Why there are no values or intervals, each once.
    pub notes: Vec<String>,
}

/// One head.
pub(super) struct MeasuredLine<'a> {
    pub features: &'a str,
    /// With a mark where its training did not converge.
    pub head: String,
    pub cells: Vec<String>,
}

/// The comparisons of the heads of one table of features on one set.
pub(super) struct Compared<'a> {
    pub set: &'a str,
    pub features: &'a str,
    pub family: &'a str,
    pub columns: [String; 6],
    pub lines: Vec<[String; 6]>,
    /// Why there are no intervals or p-values, each once.
    pub notes: Vec<String>,
}

/// Notes with who they are of, each note once, in the order of their words.
#[derive(Default)]
struct Notes(BTreeMap<String, Vec<String>>);

impl Notes {
    fn add(&mut self, what: &str, note: Option<&String>, whose: String) {
        if let Some(note) = note {
            let all = self.0.entry(format!("{what}: {note}")).or_default();
            if !all.contains(&whose) {
                all.push(whose);
            }
        }
    }

    fn lines(self) -> Vec<String> {
        let line = |(words, whose): (String, Vec<String>)| format!("{words} ({})", whose.join(", "));
        self.0.into_iter().map(line).collect()
    }
}

/// Which measure a column shows.
type Pick = fn(&Assessment) -> Option<&Measure>;

fn columns(report: &StudyReport) -> Vec<(String, Pick)> {
    let percent = (report.sensitivity * 1e8).round() / 1e6;
    let prevalence = report.prevalence.unwrap_or_default();
    vec![
        ("AUC, clustered DeLong".to_owned(), |one| {
            one.by("auc", Interval::ClusteredDelong)
        }),
        // Where patients have several units it is too narrow, and stands in results.json alone.
        ("AUC, DeLong".to_owned(), |one| {
            match one.by("auc", Interval::ClusteredDelong) {
                Some(_) => None,
                None => one.by("auc", Interval::Delong),
            }
        }),
        ("AUC, BCa".to_owned(), |one| one.by("auc", Interval::Bca)),
        (format!("Specificity at {percent} % sensitivity"), |one| {
            one.get("specificity-at-sensitivity")
        }),
        (format!("PPV at prevalence {prevalence}"), |one| {
            one.get("ppv-at-prevalence")
        }),
        (format!("NPV at prevalence {prevalence}"), |one| {
            one.get("npv-at-prevalence")
        }),
        ("Brier score".to_owned(), |one| one.get("brier")),
        ("Calibration slope".to_owned(), |one| one.get("calibration-slope")),
        ("Calibration intercept".to_owned(), |one| {
            one.get("calibration-intercept")
        }),
    ]
}

/// The further measures, sets in the order of the results.
pub(super) fn measured(report: &StudyReport) -> Vec<Measured<'_>> {
    let layers = distinct(report.assessments.iter().map(|one| one.features.as_str()));
    let of_set = |set| {
        let own: Vec<&HeadAssessment> = report
            .assessments
            .iter()
            .filter(|one| one.assessment.set == set)
            .collect();
        let shown: Vec<(String, Pick)> = columns(report)
            .into_iter()
            .filter(|(_, pick)| own.iter().any(|one| pick(&one.assessment).is_some()))
            .collect();
        let mut notes = Notes::default();
        let line = |one: &&'_ HeadAssessment| {
            let head = &one.assessment.head;
            let cell = |(name, pick): &(String, Pick)| match pick(&one.assessment) {
                // The head's scores are no probabilities: a sentence says so for all.
                None => "none".to_owned(),
                found @ Some(measure) => {
                    let whose = match layers.len() {
                        1 => head.clone(),
                        _ => format!("{head} on {}", one.features),
                    };
                    notes.add(name, measure.note.as_ref(), whose);
                    estimate(found.map(|measure| &measure.row))
                }
            };
            shown.iter().map(cell).collect::<Vec<_>>()
        };
        let cells: Vec<Vec<String>> = own.iter().map(line).collect();
        Measured {
            set,
            columns: shown.into_iter().map(|(name, _)| name).collect(),
            lines: own
                .into_iter()
                .zip(cells)
                .map(|(one, cells)| MeasuredLine {
                    features: &one.features,
                    head: report.label(&one.assessment.head),
                    cells,
                })
                .collect(),
            notes: notes.lines(),
        }
    };
    sets(report.assessments.iter().map(|one| one.assessment.set.as_str()))
        .into_iter()
        .map(of_set)
        .collect()
}

/// What stands above the further measures.
pub(super) fn measured_words(report: &StudyReport) -> Vec<String> {
    let mut words = vec![
        "The same scores measured in other ways. The threshold of a specificity at a given sensitivity is found on these \
         same rows, and anew in every resample, hence optimistic and not for use."
            .to_owned(),
    ];
    let bare = distinct(
        report
            .assessments
            .iter()
            .filter(|one| one.assessment.calibration.is_empty())
            .map(|one| one.assessment.head.as_str()),
    );
    if !bare.is_empty() {
        let way_out = match report.whole_scans {
            true => "",
            false => "; probe.calibration = \"platt\" makes probabilities of scores",
        };
        words.push(format!(
            "Scores of {} are no probabilities, hence have no Brier score, no calibration and no decision curve{way_out}.",
            bare.join(", ")
        ));
    }
    if report.repeats.first().is_some_and(|areas| areas.repeats.len() > 1) {
        words.push(
            "Out-of-fold scores are here the mean of each row over the repeats: their AUC is that of the repeats' heads \
             together, not the mean of their AUCs."
                .to_owned(),
        );
    }
    words
}

/// `12 patients with positive, 13 with negative label`.
pub(super) fn classes(report: &StudyReport, set: &str) -> String {
    let one = report.assessments.iter().find(|one| one.assessment.set == set);
    one.map_or_else(String::new, |one| {
        let [positives, negatives] = one.assessment.class_patients;
        let unit = one
            .assessment
            .measures
            .first()
            .map_or(Unit::Patient, |found| found.row.unit);
        let what = match unit {
            Unit::Patient => "label",
            Unit::Scan => "scans",
            Unit::Slice => "slices",
        };
        format!("{positives} patients with positive, {negatives} with negative {what}")
    })
}

/// The comparisons, sets in the order of the results.
pub(super) fn compared(report: &StudyReport) -> Vec<Compared<'_>> {
    let mut all: Vec<Compared> = report.comparisons.iter().map(of_one).collect();
    all.sort_by_key(|one| rank(one.set));
    all
}

fn of_one(one: &HeadComparisons) -> Compared<'_> {
    let found = &one.comparisons;
    let by_theory = |test: &&DifferenceTest| test.interval != Interval::Bootstrap;
    let mut notes = Notes::default();
    let mut kind = Interval::Delong;
    let lines = found.comparisons.iter().map(|pair| {
        let names = format!("{} - {}", pair.first, pair.second);
        // Clustered DeLong's stands before the plain one, which takes rows for patients.
        let theory = pair.tests.iter().find(by_theory);
        let resampled = pair.tests.iter().find(|test| test.interval == Interval::Bootstrap);
        for test in [theory, resampled].into_iter().flatten() {
            notes.add(&test.interval.to_string(), test.note.as_ref(), names.clone());
        }
        kind = theory.map_or(kind, |test| test.interval);
        let ci = |test: Option<&DifferenceTest>| match test.and_then(|test| test.ci) {
            Some([lower, upper]) => format!("{lower:+.3} to {upper:+.3}"),
            None => "none".to_owned(),
        };
        let p = |p: Option<f64>| p.map_or("none".to_owned(), p_value);
        [
            names.clone(),
            format!("{:+.3} ({})", pair.difference, ci(theory)),
            ci(resampled),
            p(theory.and_then(|test| test.p)),
            p(theory.and_then(|test| test.p_holm)),
            p(theory.and_then(|test| test.p_bonferroni)),
        ]
    });
    let mut lines: Vec<[String; 6]> = lines.collect();
    for pair in &found.not_compared {
        let names = format!("{} - {}", pair.first, pair.second);
        notes.add("not compared", Some(&pair.why), names.clone());
        let none = || "none".to_owned();
        lines.push([
            names,
            "not converged: not compared".to_owned(),
            none(),
            none(),
            none(),
            none(),
        ]);
    }
    Compared {
        set: &found.set,
        features: &one.features,
        family: &found.family,
        columns: [
            "Heads".to_owned(),
            format!("Difference of AUCs ({kind} interval)"),
            "Bootstrap interval".to_owned(),
            "p".to_owned(),
            "p, Holm".to_owned(),
            "p, Bonferroni".to_owned(),
        ],
        lines,
        notes: notes.lines(),
    }
}

/// What stands above the comparisons.
pub(super) const COMPARED_WORDS: &str = "AUC of the first head less that of the second, on the same patients. The p-values \
                                         are two-sided and adjusted over the comparisons of one table, and over no others.";

/// The sets in the order of the results.
pub(super) fn sets<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut sets = distinct(all);
    sets.sort_by_key(|set| rank(set));
    sets
}

/// Each once, in their first order.
pub(super) fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}
